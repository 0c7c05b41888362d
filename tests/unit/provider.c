/* See provider.h. */
#include "provider.h"

#include "../../sdk/harness/hmac.h"

#include <stdio.h>
#include <stdlib.h>

extern const cvm_plugin_descriptor cvm_plugin;

json_t *settings, *state, *called, *settled;
char call_name[32], call_path[64], call_key[64];
int64_t call_timeout_ms, call_deadline_ms, now;
int settled_outcome, secret_result;
const char *secret_value;
cvm_id settled_id;
int64_t timer_ms;
char emitted_to[64], emitted_type[64];
json_t *emitted;
int n_emitted;
bool exact;
static const char *recipient, *secret;
static json_t *lent; /* what a turn has read stays until it is over */

static void forget(void)
{
    json_decref(called);
    json_decref(settled);
    json_decref(emitted);
    json_decref(lent);
    called = settled = emitted = lent = NULL;
    timer_ms = -1;
    n_emitted = 0;
    emitted_to[0] = emitted_type[0] = '\0';
    settled_outcome = -1;
    call_name[0] = '\0';
}

static int fake_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content)
{
    ck_assert_msg(settled_outcome == -1, "settled twice");
    settled_id = request;
    settled_outcome = outcome;
    settled = data;
    return CVM_OK;
}

static int fake_note_reply(cvm_turn *t, int outcome, json_t *data, const char *content)
{
    settled_outcome = outcome;
    settled = data;
    return CVM_EREFUSED;
}

static int fake_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id)
{
    snprintf(call_name, sizeof call_name, "%s", call->name);
    snprintf(call_path, sizeof call_path, "%s", call->path);
    snprintf(call_key, sizeof call_key, "%s", call->key ? call->key : "");
    call_timeout_ms = call->timeout_ms;
    call_deadline_ms = call->deadline_ms;
    called = json_pack("{s:o, s:o*, s:O*}", "headers", call->headers, "body", call->body, "query", call->query);
    return CVM_OK;
}

static int fake_state_get(cvm_turn *t, const char *key, const json_t **ret_value)
{
    const json_t *v = json_object_get(state, key);
    if (!v)
        return CVM_ENOENT;
    if (!lent)
        lent = json_array();
    json_array_append(lent, (json_t *)(uintptr_t)v);
    *ret_value = v;
    return CVM_OK;
}

static int fake_state_put(cvm_turn *t, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(state, key, value);
    else
        json_object_del(state, key);
    return CVM_OK;
}

static int64_t fake_now_ms(cvm_turn *t)
{
    return now;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int fake_state_scan(cvm_turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    const char *key, *keys[64];
    json_t *value;
    size_t n = 0;
    json_object_foreach(state, key, value) if (strncmp(key, prefix, strlen(prefix)) == 0) keys[n++] = key;
    qsort(keys, n, sizeof *keys, by_key);
    *ret_pairs = json_array();
    for (size_t i = 0; i < n && i < limit; i++)
        json_array_append_new(*ret_pairs, json_pack("[s, O]", keys[i], json_object_get(state, keys[i])));
    return CVM_OK;
}

static const json_t *fake_settings(cvm_turn *t)
{
    return settings;
}

static int fake_secret(cvm_turn *t, const char *name, const char **ret_value)
{
    if (secret)
        ck_assert_str_eq(name, secret);
    *ret_value = secret_value;
    return secret_result;
}

static int fake_timer(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    json_decref(data);
    timer_ms = delay_ms;
    return CVM_OK;
}

static int fake_emit(cvm_turn *t, const cvm_out *out, cvm_id *ret_id)
{
    snprintf(emitted_to, sizeof emitted_to, "%s", out->to ? out->to : "");
    snprintf(emitted_type, sizeof emitted_type, "%s", out->type);
    json_decref(emitted);
    emitted = out->data;
    n_emitted++;
    return CVM_OK;
}

static void fake_log(cvm_turn *t, int level, const char *format, va_list args)
{
}

static int fake_note(cvm_turn *t, const char *what, json_t *data)
{
    json_decref(data);
    return CVM_OK;
}

static int fake_hmac(cvm_turn *t, int digest, const void *key, size_t key_len, const void *data, size_t len,
                     uint8_t *ret_mac, size_t size)
{
    return (int)harness__hmac(digest == CVM_SHA512, key, key_len, data, len, ret_mac);
}

static const cvm_host host = {.size = sizeof host,
                              .settle = fake_settle,
                              .note_reply = fake_note_reply,
                              .call = fake_call,
                              .state_get = fake_state_get,
                              .state_put = fake_state_put,
                              .state_scan = fake_state_scan,
                              .now_ms = fake_now_ms,
                              .settings = fake_settings,
                              .secret = fake_secret,
                              .timer = fake_timer,
                              .emit = fake_emit,
                              .log = fake_log,
                              .hmac = fake_hmac,
                              .note = fake_note};

int turn(const char *type, int outcome, cvm_id on_behalf, json_t *data, int64_t deadline_ms)
{
    return turn_of(recipient, asker, type, outcome, on_behalf, data, deadline_ms);
}

int turn_of(const char *to, cvm_id id, const char *type, int outcome, cvm_id on_behalf, json_t *data,
            int64_t deadline_ms)
{
    cvm_turn t = {.host = &host};
    cvm_msg m = {.id = id,
                 .on_behalf = on_behalf,
                 .deadline_ms = deadline_ms,
                 .sender = "",
                 .recipient = to,
                 .type = type,
                 .conversation = "C",
                 .data = data,
                 .outcome = (uint8_t)outcome};
    int result = CVM_ENOENT;
    forget();
    ck_assert_ptr_nonnull(data);
    for (uint32_t i = 0; cvm_plugin.routes[i].component; i++)
        if (strcmp(cvm_plugin.routes[i].component, m.recipient) == 0 && strcmp(cvm_plugin.routes[i].type, type) == 0)
            result = cvm_plugin.turn(NULL, &t, &m, i);
    json_decref(data);
    return result;
}

void provider_begin(const char *component, const char *secret_name, json_t *with_settings)
{
    recipient = component;
    secret = secret_name;
    settings = with_settings;
    ck_assert_ptr_nonnull(settings);
    state = json_object();
    secret_result = CVM_OK;
    secret_value = "never to be seen";
    settled_outcome = -1;
    exact = false;
    now = 1000000;
}

void provider_end(void)
{
    forget();
    json_decref(settings);
    json_decref(state);
}

json_t *answer(int status, const char *body)
{
    json_t *o = json_pack("{s:i, s:{}, s:s}", "status", status, "headers", "text", "");
    json_t *parsed = exact ? cvm_json_exact(body, strlen(body)) : json_loads(body, JSON_DECODE_ANY, NULL);
    json_object_set_new(o, "body", parsed ? parsed : json_null());
    return o;
}

void call_answered(const char *type, int outcome, int status, const char *body)
{
    ck_assert_int_eq(turn(type, outcome, asker, answer(status, body), 0), CVM_OK);
}

const char *word(const char *member)
{
    return cvm_json_str(settled, member, "");
}
