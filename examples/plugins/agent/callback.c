/* CallbackAgent: "call me in 20 minutes". Shows a durable timer, a topic, groups of a regular expression, a list from
 * state, and one step of a conversation. Knows no phone system: when the time has come it publishes "callback.due", and
 * whoever makes calls subscribes to that. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS INT64_C(60000)

static void callback_key(const char *id, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "callback/%.40s", id);
}

/* Keeps the wish and arms its timer, both or neither. The timer's id is kept to cancel it. */
static int plan(cvm_turn *t, const char *who, int64_t minutes, char ret_id[CVM_SHORT_ID_SIZE])
{
    char key[CVM_STATE_KEY_MAX + 1];
    cvm_id timer;
    CVM_TRY(cvm_new_id(t, "CB", ret_id));
    CVM_TRY(
        cvm_timer(t, "due", minutes * MINUTE_MS, json_pack("{s:s}", "callback_id", ret_id), (cvm_id){0, 0}, &timer));
    callback_key(ret_id, key);
    return cvm_state_put(t, key,
                         json_pack("{s:s, s:s, s:I, s:[I, I]}", "callback_id", ret_id, "who", who, "at_ms",
                                   (json_int_t)(cvm_now_ms(t) + minutes * MINUTE_MS), "timer", (json_int_t)timer.hi,
                                   (json_int_t)timer.lo));
}

/* Operation "request". */
static int request(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    int64_t minutes = cvm_json_int(m->data, "minutes", 15);
    CVM_TRY(plan(t, cvm_json_str(m->data, "who", ""), minutes, id));
    return cvm_reply(t, m, json_pack("{s:s, s:I}", "callback_id", id, "minutes", (json_int_t)minutes));
}

/* Operation "cancel". A timer that has fired is no error of ours: then there is no such wish any more. */
static int cancel(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *wish = NULL;
    callback_key(cvm_json_str(m->data, "callback_id", ""), key);
    int found = cvm_state_get(t, key, &wish);
    if (found == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "callback_id", "There is no such call to come.");
    CVM_TRY(found);
    const json_t *id = json_object_get(wish, "timer");
    cvm_id timer = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                    (uint64_t)json_integer_value(json_array_get(id, 1))};
    int gone = cvm_timer_cancel(t, timer);
    if (gone < 0 && gone != CVM_ENOENT)
        return gone;
    CVM_TRY(cvm_state_del(t, key));
    return cvm_reply(t, m, json_pack("{s:b}", "cancelled", 1));
}

/* Operation "list": a look, which changes nothing ("durable": false). */
static int list(cvm_turn *t, const cvm_msg *m)
{
    json_t *pairs = NULL, *rows = json_array();
    int e = cvm_state_scan(t, "callback/", NULL, 100, &pairs);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(pairs); i++) {
        const json_t *wish = json_array_get(json_array_get(pairs, i), 1);
        json_array_append_new(rows,
                              json_pack("{s:O, s:O, s:O}", "callback_id", json_object_get(wish, "callback_id"), "who",
                                        json_object_get(wish, "who"), "at_ms", json_object_get(wish, "at_ms")));
    }
    json_decref(pairs);
    if (e < 0) {
        json_decref(rows);
        return e;
    }
    return cvm_reply(t, m, json_pack("{s:o}", "callbacks", rows));
}

/* The timer "due": a message like any other, also after a restart. */
static int due(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *wish = NULL;
    callback_key(cvm_json_str(m->data, "callback_id", ""), key);
    int found = cvm_state_get(t, key, &wish);
    if (found == CVM_ENOENT)
        return CVM_OK; /* cancelled meanwhile */
    CVM_TRY(found);
    CVM_TRY(cvm_publish(t, "callback.due",
                        json_pack("{s:O, s:O}", "callback_id", json_object_get(wish, "callback_id"), "who",
                                  json_object_get(wish, "who"))));
    return cvm_state_del(t, key);
}

/* The minutes that a text asks for: group 1 is the number, group 2 the unit. CVM_ENOENT: it does not say. */
static int read_minutes(cvm_turn *t, const char *text, int64_t *ret_minutes)
{
    cvm_span spans[3];
    int found = cvm_match(t, "\\bin\\s+(\\d{1,3})\\s*(minutes?|min|hours?|h)\\b", text, 0, spans, 3);
    if (found < 0)
        return found;
    *ret_minutes = strtol(text + spans[1].start, NULL, 10) * (text[spans[2].start] == 'h' ? 60 : 1);
    return CVM_OK;
}

/* Operation "handle": one step of a conversation. */
static int handle(cvm_turn *t, const cvm_msg *m)
{
    const char *text = cvm_json_str(json_object_get(m->data, "message"), "content", "");
    char id[CVM_SHORT_ID_SIZE], answer[120];
    int64_t minutes = 0;
    int found = read_minutes(t, text, &minutes);
    if (found == CVM_ENOENT || minutes == 0)
        return cvm_reply(t, m,
                         json_pack("{s:s, s:{s:b}, s:n, s:b}", "content", "When shall we call? Say: in 20 minutes.",
                                   "structured_data", "needs_input", 1, "next", "end", 0));
    CVM_TRY(found);
    CVM_TRY(plan(t, cvm_json_str(cvm_context(t), "customer_id", "customer"), minutes, id));
    snprintf(answer, sizeof answer, "We call you in %lld minutes. Reference: %s.", (long long)minutes, id);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:{s:s}, s:n, s:b}", "content", answer, "structured_data", "callback_id", id,
                               "next", "end", 1));
}

static const cvm_component components[] = {{.id = "callback.agent", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"callback.agent", "request", request}, {"callback.agent", "cancel", cancel},
                                   {"callback.agent", "list", list},       {"callback.agent", "due", due},
                                   {"callback.agent", "handle", handle},   {0}};
CVM_PLUGIN(.name = "callback", .version = "1.0.0", .components = components, .routes = routes);
