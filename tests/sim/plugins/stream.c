/* Works of customers, in order: each is counted, published, and posted by a channel; requests that wait, are handed on,
 * or never end. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>

#ifndef BUILD
#define BUILD 1
#endif
#define STREAM "sim.stream"
#define SINK "sim.sink"

static int settle(cvm_turn *t, cvm_id id, int outcome, json_t *data)
{
    int e = cvm_settle(t, id, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int work(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    const json_t *old = NULL;
    char key[64], child[96];
    snprintf(key, sizeof key, "s/%.40s", customer);
    int e = cvm_state_get(t, key, &old);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    int64_t n = e < 0 ? 1 : cvm_json_int(old, "n", 0) + 1;
    if (n % 7 == 0 && cvm_json_bool(m->data, "picky", false))
        return cvm_refuse(t, "SEVENTH", "picky", "every seventh is refused");
    CVM_TRY(cvm_state_put(t, key,
                          json_pack("{s:I, s:I}", "n", (json_int_t)n, "dice", (json_int_t)(cvm_random(t) % 1000000))));
    CVM_TRY(cvm_context_set(t, "/works/-", json_integer(n)));
    CVM_TRY(cvm_row_put(t, "sim_works", json_pack("{s:s, s:I}", "customer", customer, "n", (json_int_t)n)));
    CVM_TRY(cvm_publish(t, "sim.done", json_pack("{s:s, s:I}", "customer", customer, "n", (json_int_t)n)));
    CVM_TRY(cvm_note(t, "work", json_pack("{s:s, s:I}", "customer", customer, "n", (json_int_t)n)));
    snprintf(child, sizeof child, "%.40s/%lld", customer, (long long)n);
    cvm_request_opts opts = {.on_behalf = m->id, .conversation = n % 3 ? NULL : child};
    CVM_TRY(cvm_request(t, SINK, "post", json_pack("{s:s, s:I}", "customer", customer, "n", (json_int_t)n), &opts));
    return CVM_PENDING;
}

static int posted(cvm_turn *t, const cvm_msg *m)
{
    return settle(t, m->on_behalf, m->outcome == CVM_REPLIED ? CVM_REPLIED : CVM_ERROR, cvm_json_share(m->data));
}

static int wait_for(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_timer(t, "wake", cvm_json_int(m->data, "ms", 0), NULL, m->id, NULL));
    return CVM_PENDING;
}

static int wake(cvm_turn *t, const cvm_msg *m)
{
    return settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:I}", "at", (json_int_t)cvm_now_ms(t)));
}

static int hand(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, SINK, "post", json_pack("{s:s, s:i}", "customer", "hand", "n", 0)));
    return CVM_PENDING;
}

static int never(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_PENDING;
}

/* Who has worked how much, from the tables. */
static int ask(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query), .table = "sim_works", .on_behalf = m->id}));
    return CVM_PENDING;
}

static int rows(cvm_turn *t, const cvm_msg *m)
{
    return settle(t, m->on_behalf, m->outcome,
                  json_pack("{s:I}", "n", (json_int_t)json_array_size(json_object_get(m->data, "rows"))));
}

static int finish(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_end(t));
    return cvm_reply(t, m, NULL);
}

static int count(cvm_turn *t, const cvm_msg *m)
{
    const json_t *old = NULL;
    char key[64];
    snprintf(key, sizeof key, "s/%.40s", cvm_json_str(m->data, "customer", ""));
    int e = cvm_state_get(t, key, &old);
    return e < 0 && e != CVM_ENOENT
               ? e
               : cvm_reply(
                     t, m,
                     json_pack("{s:I, s:i}", "n", (json_int_t)(e < 0 ? 0 : cvm_json_int(old, "n", 0)), "build", BUILD));
}

/* ---- the channel ---- */

static int post(cvm_turn *t, const cvm_msg *m)
{
    cvm_call c = {.size = sizeof c, .name = "post", .body = cvm_json_share(m->data), .on_behalf = m->id};
    CVM_TRY(cvm_http_call(t, &c, NULL));
    return CVM_PENDING;
}

static int post_ended(cvm_turn *t, const cvm_msg *m)
{
    return settle(t, m->on_behalf, m->outcome == CVM_REPLIED ? CVM_REPLIED : CVM_UNKNOWN,
                  json_pack("{s:I}", "status", (json_int_t)cvm_json_int(m->data, "status", 0)));
}

static int heard(cvm_turn *t, const cvm_msg *m)
{
    int64_t n = 0;
    (void)m;
    CVM_TRY(cvm_state_int(t, "heard", &n));
    return cvm_state_put_int(t, "heard", n + 1);
}

static const cvm_component components[] = {{.id = STREAM, .state_version = 1}, {.id = SINK, .state_version = 1}, {0}};
static const cvm_route routes[] = {{STREAM, "work", work},     {STREAM, "post.reply", posted},
                                   {STREAM, "wait", wait_for}, {STREAM, "wake", wake},
                                   {STREAM, "hand", hand},     {STREAM, "never", never},
                                   {STREAM, "ask", ask},       {STREAM, "query.reply", rows},
                                   {STREAM, "finish", finish}, {STREAM, "count", count},
                                   {SINK, "post", post},       {SINK, "post.reply", post_ended},
                                   {SINK, "sim.done", heard},  {0}};
#if BUILD == 2
CVM_PLUGIN(.name = "stream", .version = "2.0.0", .components = components, .routes = routes);
#else
CVM_PLUGIN(.name = "stream", .version = "1.0.0", .components = components, .routes = routes);
#endif
