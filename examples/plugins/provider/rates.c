/* RatesProvider: exchange rates from an outside service, remembered for some minutes. Shows a call that only reads
 * ("safe": it may leave at once and be repeated), a cache in state, and an old answer where no new one can be had. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>

static void pair_key(const json_t *data, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "rate/%.8s/%.8s", cvm_json_str(data, "base", ""),
             cvm_json_str(data, "quote", ""));
}

/* The remembered rate of a pair: {"rate", "at_ms"}; NULL where there is none. */
static int recall(cvm_turn *t, const char *key, const json_t **ret_known)
{
    *ret_known = NULL;
    int found = cvm_state_get(t, key, ret_known);
    return found == CVM_ENOENT ? CVM_OK : found;
}

static json_t *body_of(const json_t *known, bool stale)
{
    return json_pack("{s:O, s:O, s:b}", "rate", json_object_get(known, "rate"), "at_ms",
                     json_object_get(known, "at_ms"), "stale", stale);
}

/* Operation "rate". The conversation's context keeps the pair until the answer comes. */
static int rate(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known;
    pair_key(m->data, key);
    CVM_TRY(recall(t, key, &known));
    int64_t age = cvm_now_ms(t) - cvm_json_int(known, "at_ms", 0);
    if (known && age < cvm_json_int(cvm_settings(t), "fresh_s", 600) * 1000)
        return cvm_reply(t, m, body_of(known, false));
    json_t *query =
        json_pack("{s:O, s:O}", "base", json_object_get(m->data, "base"), "symbols", json_object_get(m->data, "quote"));
    cvm_call call = {.size = sizeof call, .name = "latest", .query = query, .on_behalf = m->id, .timeout_ms = 5000};
    int e = cvm_http_call(t, &call, NULL);
    json_decref(query); /* the query is borrowed, unlike headers and body */
    CVM_TRY(e);
    CVM_TRY(cvm_context_set(t, "/pair", cvm_json_share(m->data)));
    return CVM_PENDING;
}

/* "latest.reply" */
static int latest(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known, *pair = json_object_get(cvm_context(t), "pair"), *body = json_object_get(m->data, "body");
    const json_t *fresh = json_object_get(json_object_get(body, "rates"), cvm_json_str(pair, "quote", ""));
    pair_key(pair, key);
    if (m->outcome == CVM_REPLIED && cvm_json_int(m->data, "status", 0) == 200 && json_is_number(fresh)) {
        json_t *found = json_pack("{s:O, s:I}", "rate", fresh, "at_ms", (json_int_t)cvm_now_ms(t));
        json_t *answer = body_of(found, false);
        int e = cvm_state_put(t, key, found);
        if (e < 0) {
            json_decref(answer);
            return e;
        }
        return cvm_settle(t, m->on_behalf, CVM_REPLIED, answer, NULL);
    }
    CVM_TRY(recall(t, key, &known));
    if (known)
        return cvm_settle(t, m->on_behalf, CVM_REPLIED, body_of(known, true), NULL);
    return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                      json_pack("{s:s, s:s}", "code", "NO_RATE", "message", "No rate is to be had now."), NULL);
}

static const cvm_component components[] = {{.id = "rates.provider", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"rates.provider", "rate", rate}, {"rates.provider", "latest.reply", latest}, {0}};
CVM_PLUGIN(.name = "rates", .version = "1.0.0", .components = components, .routes = routes);
