/* See customers.h: the operations of cvm.data. All of them are look-ups: what they know is in tables, what they keep in
 * memory is a cache. Loop thread. */
#include "customers.h"

#include <stdio.h>

#define JOURNEY "cvm.journey"
#define WAITING_MAX 256

/* ---- show: what waits for the journey; a look-up keeps no state, so it is lost with its request ---- */

static struct {
    cvm_id id;
    json_t *body;
} waiting[WAITING_MAX];
static size_t waiting_next;

static void wait_for(cvm_id request, json_t *body)
{
    size_t at = waiting_next++ % WAITING_MAX;
    json_decref(waiting[at].body);
    waiting[at].id = request;
    waiting[at].body = body;
}

static json_t *waited_for(cvm_id request)
{
    for (size_t i = 0; i < WAITING_MAX; i++)
        if (waiting[i].body && cvm_id_eq(waiting[i].id, request)) {
            json_t *body = waiting[i].body;
            waiting[i].body = NULL;
            return body;
        }
    return NULL;
}

void data_forget(void)
{
    for (size_t i = 0; i < WAITING_MAX; i++) {
        json_decref(waiting[i].body);
        waiting[i].body = NULL;
    }
    cache_free();
}

/* ---- customers --------------------------------------------------------------------------------------------------- */

int data_get(cvm_turn *t, const cvm_msg *m)
{
    return ready_then(t, m, "get");
}

int data_show(cvm_turn *t, const cvm_msg *m)
{
    return ready_then(t, m, "show");
}

int data_list(cvm_turn *t, const cvm_msg *m)
{
    return ready_then(t, m, "list");
}

int data_sources(cvm_turn *t, const cvm_msg *m)
{
    return ready_then(t, m, "sources");
}

int data_clear_cache(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "customer_id", NULL);
    return answer(t, m->id, json_pack("{s:I}", "cleared", (json_int_t)cache_clear(id)));
}

/* The members that were asked for. */
static json_t *chosen(const json_t *data, const json_t *names)
{
    json_t *some = json_object();
    const json_t *name;
    size_t i;
    if (!json_is_array(names)) {
        json_decref(some);
        return cvm_json_share(data);
    }
    json_array_foreach(names, i, name)
    {
        json_t *value = json_is_string(name) ? json_object_get(data, json_string_value(name)) : NULL;
        if (value)
            json_object_set(some, json_string_value(name), value);
    }
    return some;
}

static json_t *body_of(const char *id, const json_t *found, const json_t *names, bool cached)
{
    return json_pack("{s:s, s:o, s:O, s:b}", "customer_id", id, "customer_data",
                     chosen(json_object_get(found, "customer_data"), names), "warnings",
                     json_object_get(found, "warnings"), "cached", cached);
}

/* Asks for the journey where an agent for it is loaded. */
static int show(cvm_turn *t, cvm_id request, const char *id, const json_t *found, bool cached)
{
    json_t *body = body_of(id, found, NULL, cached);
    int e = body ? cvm_request(t, JOURNEY, "build_journey",
                               json_pack("{s:s, s:O}", "customer_id", id, "customer_data",
                                         json_object_get(found, "customer_data")),
                               &(cvm_request_opts){.on_behalf = request, .timeout_ms = 10000})
                 : CVM_ENOMEM;
    if (e == CVM_ENOENT) {
        json_object_set_new(body, "journey", json_null());
        return answer(t, request, body);
    }
    if (e < 0) {
        json_decref(body);
        return e;
    }
    wait_for(request, body);
    return CVM_PENDING;
}

int data_journey(cvm_turn *t, const cvm_msg *m)
{
    json_t *body = waited_for(m->on_behalf), *journey = json_object_get(m->data, "journey");
    if (!body)
        return CVM_OK;
    json_object_set(body, "journey", m->outcome == CVM_REPLIED && journey ? journey : json_null());
    if (m->outcome != CVM_REPLIED) {
        json_t *warnings = json_copy(json_object_get(body, "warnings"));
        json_array_append_new(warnings, json_string("the journey could not be built"));
        json_object_set_new(body, "warnings", warnings);
    }
    return answer(t, m->on_behalf, body);
}

int data_gathered(cvm_turn *t, cvm_id request, const json_t *with, const json_t *found)
{
    const char *id = cvm_json_str(with, "customer_id", ""), *as = cvm_json_str(with, "as", "");
    const json_t *names = json_object_get(json_object_get(with, "request"), "sources");
    if (strcmp(as, "sources") == 0) {
        json_t *list = json_array(), *row;
        size_t i;
        json_array_foreach((json_t *)(uintptr_t)found, i, row)
        {
            json_t *one = json_copy(row), *warnings = json_loads(cvm_json_str(row, "warnings", "[]"), 0, NULL);
            json_object_set_new(one, "warnings", warnings ? warnings : json_array());
            json_object_del(one, "fingerprint");
            json_object_del(one, "key_id");
            json_array_append_new(list, one);
        }
        return answer(t, request, json_pack("{s:o}", "sources", list));
    }
    if (strcmp(as, "show") == 0) {
        cache_put(id, found, cvm_now_ms(t));
        int e = show(t, request, id, found, false);
        return e == CVM_PENDING ? CVM_OK : e;
    }
    if (!names)
        cache_put(id, found, cvm_now_ms(t));
    return answer(t, request, body_of(id, found, names, false));
}

/* ---- going on once all is loaded --------------------------------------------------------------------------------- */

static int go_get(cvm_turn *t, cvm_id request, const char *as, const json_t *data)
{
    const char *id = cvm_json_str(data, "customer_id", "");
    int64_t ttl = cvm_json_int(cvm_settings(t), "cache_ttl_seconds", 300) * 1000;
    const json_t *found = cvm_json_bool(data, "refresh", false) ? NULL : cache_get(id, cvm_now_ms(t), ttl);
    if (!found)
        return gather_begin(t, request, as, data);
    if (strcmp(as, "show") == 0)
        return show(t, request, id, found, true);
    return answer(t, request, body_of(id, found, json_object_get(data, "sources"), true));
}

static int go_list(cvm_turn *t, cvm_id request, const json_t *data)
{
    CVM_TRY(cvm_job_start(t, "page",
                          json_pack("{s:s, s:I}", "after", cvm_json_str(data, "after", ""), "limit",
                                    (json_int_t)cvm_json_int(data, "limit", 1000)),
                          request, 0));
    return CVM_PENDING;
}

int data_go(cvm_turn *t, cvm_id request, const char *as, const json_t *data)
{
    if (strcmp(as, "list") == 0)
        return go_list(t, request, data);
    if (strcmp(as, "sources") == 0) {
        CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                        .table = "cvm_sources",
                                        .limit = 100,
                                        .on_behalf = request,
                                        .with = json_pack("{s:s}", "as", "sources")}));
        return CVM_PENDING;
    }
    return go_get(t, request, as, data);
}

int data_page(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    json_t *body = json_copy((json_t *)(uintptr_t)m->data);
    json_object_del(body, "with");
    return answer(t, m->on_behalf, body);
}
