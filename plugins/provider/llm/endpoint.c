/* A provider that has a server: one completion, one HTTP call. What leaves is masked, what comes is read whole or from
 * its stream, unmasked, priced. Judges no health and keeps no budget: it says what happened, the front decides. The
 * host hands an answer over when it is complete; a stream is read from that. Loop thread. */
#include "../common/retry_after.h"
#include "answer.h"
#include "llm.h"
#include "mask.h"
#include "price.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *setting(cvm_turn *t, const char *name, const char *otherwise)
{
    return cvm_json_str(cvm_settings(t), name, otherwise);
}

static void call_key(cvm_id request, char key[64])
{
    snprintf(key, 64, "call/%016" PRIx64 "%016" PRIx64, request.hi, request.lo);
}

/* Asked directly, not by the front: the front shall choose, beginning with this one. */
int endpoint_chat(cvm_turn *t, const cvm_msg *m)
{
    json_t *data = json_copy((json_t *)(uintptr_t)m->data);
    if (!data)
        return CVM_ENOMEM;
    if (!json_object_get(data, "provider") || !strcmp(cvm_json_str(data, "provider", ""), "auto"))
        json_object_set_new(data, "first", json_string(m->recipient));
    if (!json_object_get(data, "agent"))
        json_object_set_new(data, "agent", json_string(m->sender));
    CVM_TRY(cvm_forward(t, m->id, LLM_FRONT, "chat", data));
    return CVM_PENDING;
}

/* ---- asking ---- */

/* The name by which this server knows the model that the agent wants. */
static const char *model_of(cvm_turn *t, const json_t *request)
{
    const char *wanted = cvm_json_str(request, "model", "");
    const char *mapped = cvm_json_str(json_object_get(cvm_settings(t), "models"), wanted, "");
    return *mapped ? mapped : *setting(t, "model", "") ? setting(t, "model", "") : wanted;
}

static json_t *failure(const char *code, const char *text)
{
    return json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "message", text);
}

static int not_set_up(cvm_turn *t, const cvm_msg *m, const char *what)
{
    char text[192];
    snprintf(text, sizeof text, "%s is not set up: %s", m->recipient, what);
    return cvm_reply(t, m, failure(FAIL_CONFIGURATION, text));
}

static json_t *headers(cvm_turn *t)
{
    char value[160];
    const char *secret = setting(t, "secret", "");
    snprintf(value, sizeof value, "Bearer ${%.100s}", secret);
    return *secret ? json_pack("{s:s}", "Authorization", value) : json_object();
}

/* The request as it may leave; NULL: no memory. `map` gets what was taken out. */
static json_t *masked(cvm_turn *t, const json_t *request, json_t *map)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)request);
    if (!copy || cvm_json_bool(cvm_settings(t), "personal_data", false))
        return copy;
    json_t *messages = mask_json(json_object_get(request, "messages"), json_object_get(request, "personal"), map);
    if (!messages) {
        json_decref(copy);
        return NULL;
    }
    /* Ids of tool calls are the server's own words. */
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *was = json_array_get(json_object_get(request, "messages"), i);
        const json_t *calls = json_object_get(was, "tool_calls");
        json_t *now = json_array_get(messages, i);
        json_object_set(now, "role", json_object_get(was, "role"));
        if (json_object_get(was, "tool_call_id"))
            json_object_set(now, "tool_call_id", json_object_get(was, "tool_call_id"));
        for (size_t c = 0; c < json_array_size(calls); c++)
            json_object_set(json_array_get(json_object_get(now, "tool_calls"), c), "id",
                            json_object_get(json_array_get(calls, c), "id"));
    }
    json_object_set_new(copy, "messages", messages);
    return copy;
}

static int ask_server(cvm_turn *t, const cvm_msg *m, const char *model)
{
    char key[64];
    struct llm_form form = {.model = model,
                            .structured = setting(t, "structured", "json_schema"),
                            .max_tokens_member = setting(t, "max_tokens_member", "max_tokens"),
                            .stream = cvm_json_bool(cvm_settings(t), "stream", false)};
    int64_t timeout = cvm_json_int(cvm_settings(t), "timeout_ms", 60000),
            left = cvm_json_int(m->data, "attempt_ms", timeout);
    timeout = left < timeout ? left : timeout;
    json_t *map = json_object(), *request = map ? masked(t, m->data, map) : NULL;
    json_t *body = request ? request_body(request, &form) : NULL;
    const json_t *schema = json_object_get(m->data, "schema");
    json_t *kept =
        json_pack("{s:o, s:s, s:b, s:b, s:I}", "map", map, "model", model, "schema", schema != NULL, "tool",
                  schema && json_object_get(body, "tool_choice") && !json_object_get(body, "response_format"), "input",
                  (json_int_t)request_tokens(m->data));
    json_decref(request);
    call_key(m->id, key);
    int e = body ? cvm_state_put(t, key, kept) : CVM_ENOMEM;
    if (!body)
        json_decref(kept);
    if (e < 0) {
        json_decref(body);
        return e;
    }
    CVM_TRY(cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = "completion",
                                      .path = setting(t, "path", "/chat/completions"),
                                      .headers = headers(t),
                                      .body = body,
                                      .on_behalf = m->id,
                                      .timeout_ms = timeout},
                          NULL));
    return CVM_PENDING;
}

int endpoint_complete(cvm_turn *t, const cvm_msg *m)
{
    const char *secret = setting(t, "secret", ""), *value, *model = model_of(t, m->data);
    struct price price = {0};
    char text[160];
    if (!*setting(t, "base_url", ""))
        return not_set_up(t, m, "set base_url");
    if (*secret && cvm_secret(t, secret, &value) < 0) {
        snprintf(text, sizeof text, "set the secret %.100s", secret);
        return not_set_up(t, m, text);
    }
    if (!*model)
        return not_set_up(t, m, "set model");
    if (!cvm_json_bool(cvm_settings(t), "free", false)) {
        if (!price_find(json_object_get(cvm_settings(t), "prices"), model, &price)) {
            snprintf(text, sizeof text, "prices has no price of the model %.80s", model);
            return not_set_up(t, m, text);
        }
        int64_t worst = price_cost(&price, request_tokens(m->data), 0, cvm_json_int(m->data, "max_tokens", 1024));
        if (worst > cvm_json_int(m->data, "budget_micro", INT64_MAX))
            return cvm_reply(t, m, failure(FAIL_BUDGET, "what may be spent is spent"));
    }
    return ask_server(t, m, model);
}

/* ---- the answer ---- */

static int64_t retry_ms(cvm_turn *t, const json_t *headers)
{
    const char *ms = cvm_json_str(headers, "retry-after-ms", ""), *s = cvm_json_str(headers, "retry-after", "");
    return *ms ? retry_after_ms(ms, 1, cvm_now_ms(t)) : *s ? retry_after_ms(s, 1000, cvm_now_ms(t)) : 0;
}

static const char *of_status(int64_t status, const json_t *error)
{
    const char *code = cvm_json_str(error, "code", ""), *type = cvm_json_str(error, "type", "");
    if (status == 429)
        return !strcmp(code, "insufficient_quota") || !strcmp(type, "insufficient_quota") ? FAIL_QUOTA : FAIL_RATE;
    if (status == 401 || status == 403)
        return FAIL_KEY;
    if (status == 408 || status == 504)
        return FAIL_TIMEOUT;
    return status >= 500 ? FAIL_SERVER : FAIL_REQUEST;
}

/* What has come, into `answer`. "" or how it failed. */
static const char *read_answer(const cvm_msg *m, struct llm_answer *answer)
{
    const json_t *body = json_object_get(m->data, "body"), *text = json_object_get(m->data, "text");
    if (m->outcome == CVM_TIMEOUT)
        return FAIL_TIMEOUT;
    if (m->outcome != CVM_REPLIED)
        return FAIL_CONNECTION;
    int64_t status = cvm_json_int(m->data, "status", 0);
    if (status != 200)
        return of_status(status, json_object_get(body, "error"));
    if (json_is_object(body))
        return llm_answer_read(body, answer) < 0 ? FAIL_UNREADABLE : "";
    struct llm_stream stream;
    llm_stream_init(&stream, answer);
    int e = llm_stream_feed(&stream, json_string_value(text) ? json_string_value(text) : "", json_string_length(text));
    int end = llm_stream_end(&stream);
    return *answer->code ? FAIL_SERVER : e || end ? FAIL_UNREADABLE : "";
}

static const char *judge(const struct llm_answer *answer)
{
    if (answer->refusal || !strcmp(answer->finish, "content_filter"))
        return FAIL_REFUSED;
    return !strcmp(answer->finish, "length") ? FAIL_TRUNCATED : "";
}

/* Content, data and calls of a good answer, unmasked. Returns "" or how it is not good. */
static const char *put_answer(json_t *reply, const struct llm_answer *answer, const json_t *kept)
{
    const json_t *map = json_object_get(kept, "map");
    bool schema = cvm_json_bool(kept, "schema", false);
    json_t *calls = llm_answer_calls(answer);
    if (!calls)
        return FAIL_UNREADABLE;
    if (cvm_json_bool(kept, "tool", false) && json_array_size(calls)) { /* the answer came as a tool's arguments */
        json_object_set_new(reply, "data", unmask_json(json_object_get(json_array_get(calls, 0), "arguments"), map));
        json_decref(calls);
        return "";
    }
    if (json_array_size(calls))
        json_object_set_new(reply, "tool_calls", unmask_json(calls, map));
    if (answer->content) {
        json_t *data = schema ? json_loadb(answer->content, answer->content_len, 0, NULL) : NULL;
        char *text = unmask_text(answer->content, map);
        if (data)
            json_object_set_new(reply, "data", unmask_json(data, map));
        else if (text)
            json_object_set_new(reply, "content", json_string(text));
        free(text);
        json_decref(data);
    }
    json_decref(calls);
    return "";
}

static json_t *reply_of(cvm_turn *t, const cvm_msg *m, const json_t *kept)
{
    struct llm_answer answer = {0};
    struct price price = {0};
    const char *code = read_answer(m, &answer), *model = cvm_json_str(kept, "model", "");
    bool came = !*code;
    if (came)
        code = judge(&answer);
    json_t *reply = json_pack("{s:s, s:I, s:I}", "model", *answer.model ? answer.model : model, "status",
                              (json_int_t)cvm_json_int(m->data, "status", 0), "retry_ms",
                              (json_int_t)retry_ms(t, json_object_get(m->data, "headers")));
    if (came && !*code)
        code = put_answer(reply, &answer, kept);
    /* A server that sends no count is paid for what its texts are roughly long. */
    int64_t input = answer.has_usage ? answer.input_tokens : came ? cvm_json_int(kept, "input", 0) : 0;
    int64_t output = answer.has_usage ? answer.output_tokens : came ? (int64_t)answer.content_len / 4 + 1 : 0;
    bool priced = price_find(json_object_get(cvm_settings(t), "prices"), model, &price);
    json_object_set_new(reply, "usage",
                        json_pack("{s:I, s:I, s:I}", "input_tokens", (json_int_t)input, "output_tokens",
                                  (json_int_t)output, "cached_tokens", (json_int_t)answer.cached_tokens));
    json_object_set_new(reply, "cost_micro",
                        json_integer(priced ? price_cost(&price, input, answer.cached_tokens, output) : 0));
    json_object_set_new(reply, "ok", json_boolean(!*code));
    json_object_set_new(reply, "code", json_string(code));
    llm_answer_fini(&answer);
    return reply;
}

int endpoint_completed(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const json_t *kept = NULL;
    call_key(m->on_behalf, key);
    int e = cvm_state_get(t, key, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *reply = reply_of(t, m, kept);
    CVM_TRY(cvm_state_del(t, key));
    e = cvm_settle(t, m->on_behalf, CVM_REPLIED, reply, NULL);
    return e == CVM_ENOENT ? CVM_OK : e; /* nobody waits any more */
}
