/* The sample data of the support desk: puts it into the stores, says whether it is there. What the samples are stands
 * in the settings. Loop thread. */
#include "agents.h"

#include <stdio.h>

#define RECORDS_MAX 32 /* of both kinds together */
#define LOOKS_MAX                                                                                                      \
    64 /* under way at a time: a look-up keeps no state, and is lost with the process as its request is                \
        */

static const char *const stores[] = {"customer-state", "system-state"};
static const char *const kinds[] = {"customers", "systems"};

/* ---- loading ---- */

static size_t add_parts(cvm_turn *t, size_t kind, struct part *parts, size_t n)
{
    const json_t *records = json_object_get(json_object_get(cvm_settings(t), "samples"), kinds[kind]);
    for (size_t i = 0; i < json_array_size(records) && n < RECORDS_MAX; i++) {
        const json_t *record = json_array_get(records, i);
        parts[n++] =
            (struct part){.to = "role:store",
                          .type = "put",
                          .name = kinds[kind],
                          .data = json_pack("{s:s, s:s, s:O, s:i}", "store", stores[kind], "key",
                                            cvm_json_str(record, "customer_id", ""), "value", record, "if_version", 0),
                          .timeout_ms = STORE_TIMEOUT_MS};
    }
    return n;
}

int data_load(cvm_turn *t, const cvm_msg *m)
{
    struct part parts[RECORDS_MAX];
    char text[400];
    json_t *run = NULL, *keys = json_array();
    size_t n = add_parts(t, 1, parts, add_parts(t, 0, parts, 0));
    for (size_t i = 0; i < n; i++)
        json_array_append(keys, json_object_get(parts[i].data, "key"));
    int sent = many_send(t, m, json_pack("{s:o}", "keys", keys), parts, n);
    if (sent != 0)
        return sent < 0 ? sent : CVM_PENDING;
    CVM_TRY(many_take(t, m->id, &run));
    json_decref(run);
    store_trouble(stores[0], text, sizeof text);
    return settle_failed(t, m->id, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
}

/* "created", "kept" (somebody may have changed it since: it stays), or NULL. */
static const char *became(const json_t *part)
{
    if (many_replied(part))
        return "created";
    return strcmp(cvm_json_str(json_object_get(part, "data"), "code", ""), "CONFLICT") == 0 ? "kept" : NULL;
}

static int loaded(cvm_turn *t, const cvm_msg *m, const json_t *run)
{
    const json_t *parts = json_object_get(run, "parts"), *keys = json_object_get(json_object_get(run, "what"), "keys");
    json_t *all[] = {json_object(), json_object()};
    const char *missing = NULL;
    size_t created = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *how = became(part);
        size_t kind = strcmp(cvm_json_str(part, "name", ""), kinds[1]) == 0;
        if (how)
            json_object_set_new(all[kind], json_string_value(json_array_get(keys, i)), json_string(how));
        else
            missing = stores[kind];
        created += how && strcmp(how, "created") == 0;
    }
    char text[400];
    if (missing) {
        json_decref(all[0]);
        json_decref(all[1]);
        store_trouble(missing, text, sizeof text);
        return settle_failed(t, m->on_behalf, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
    }
    snprintf(text, sizeof text,
             "Sample data setup completed successfully: %zu customers and %zu systems are there, %zu of "
             "these records are new.",
             json_object_size(all[0]), json_object_size(all[1]), created);
    cvm_log(t, CVM_LOG_INFO, "%s", text);
    return settle(t, m->on_behalf, CVM_REPLIED,
                  json_pack("{s:s, s:o, s:o}", "message", text, kinds[0], all[0], kinds[1], all[1]));
}

int data_put(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    CVM_TRY(many_answer(t, m, NULL, &run));
    int e = run ? loaded(t, m, run) : CVM_OK;
    json_decref(run);
    return e;
}

/* ---- looking ---- */

struct look {
    cvm_id request;
    size_t n, open;
    struct {
        cvm_id id;
        size_t kind;
        char key[65];
        bool there, silent;
    } records[RECORDS_MAX];
};

static struct look looks[LOOKS_MAX];
static size_t look_next;

static int look_done(cvm_turn *t, struct look *look)
{
    json_t *all[] = {json_object(), json_object()};
    const char *silent = NULL;
    bool whole = look->n > 0;
    char text[400] = "Load the sample data: cvmhost support load-samples";
    for (size_t i = 0; i < look->n; i++) {
        json_object_set_new(all[look->records[i].kind], look->records[i].key, json_boolean(look->records[i].there));
        whole = whole && look->records[i].there;
        if (look->records[i].silent)
            silent = stores[look->records[i].kind];
    }
    if (silent)
        store_trouble(silent, text, sizeof text);
    json_t *body = json_pack("{s:s, s:o, s:o}", "status", whole ? "ok" : "missing", kinds[0], all[0], kinds[1], all[1]);
    if (!whole)
        json_object_set_new(body, "hint", json_string(text));
    cvm_id request = look->request;
    look->request = (cvm_id){0, 0};
    return settle(t, request, whole ? CVM_REPLIED : CVM_REFUSED, body);
}

int data_health(cvm_turn *t, const cvm_msg *m)
{
    struct look *look = &looks[look_next++ % LOOKS_MAX];
    *look = (struct look){.request = m->id};
    for (size_t kind = 0; kind < 2; kind++) {
        const json_t *records = json_object_get(json_object_get(cvm_settings(t), "samples"), kinds[kind]);
        for (size_t i = 0; i < json_array_size(records) && look->n < RECORDS_MAX; i++) {
            const char *key = cvm_json_str(json_array_get(records, i), "customer_id", "");
            size_t at = look->n++;
            look->records[at].kind = kind;
            snprintf(look->records[at].key, sizeof look->records[at].key, "%.64s", key);
            int e =
                cvm_request(t, "role:store", "get", json_pack("{s:s, s:s}", "store", stores[kind], "key", key),
                            &(cvm_request_opts){
                                .on_behalf = m->id, .timeout_ms = STORE_TIMEOUT_MS, .ret_id = &look->records[at].id});
            look->records[at].silent = e == CVM_ENOENT;
            if (e < 0 && e != CVM_ENOENT)
                return e;
            look->open += e >= 0;
        }
    }
    if (look->open)
        return CVM_PENDING;
    CVM_TRY(look_done(t, look));
    return CVM_OK;
}

int data_looked(cvm_turn *t, const cvm_msg *m)
{
    struct look *look = NULL;
    for (size_t i = 0; i < LOOKS_MAX && !look; i++)
        if (cvm_id_eq(looks[i].request, m->on_behalf) && !cvm_id_is_none(m->on_behalf))
            look = &looks[i];
    for (size_t i = 0; look && i < look->n; i++)
        if (cvm_id_eq(look->records[i].id, m->in_reply_to) && look->open) {
            look->records[i].there = m->outcome == CVM_REPLIED;
            look->records[i].silent = m->outcome != CVM_REPLIED && m->outcome != CVM_REFUSED;
            look->open--;
            return look->open ? CVM_OK : look_done(t, look);
        }
    return CVM_OK;
}
