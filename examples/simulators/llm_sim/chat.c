/* Chat completions: what is answered (a script's word, else something that fits the request), how (whole, or as a
 * stream in pieces of any size), and what goes wrong. */
#include "llm_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define HANG_S 300

static const char *str(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : otherwise;
}

/* ---- an answer that fits ---- */

/* The least value that fits a schema. New. */
static json_t *instance(const json_t *root, const json_t *schema, int depth)
{
    const char *ref = str(schema, "$ref", ""), *key;
    json_t *member, *value, *type = json_object_get(schema, "type");
    if (depth > DEPTH_MAX)
        return json_null();
    if (!strncmp(ref, "#/$defs/", 8))
        return instance(root, json_object_get(json_object_get(root, "$defs"), ref + 8), depth + 1);
    if (json_array_size(json_object_get(schema, "enum")))
        return json_deep_copy(json_array_get(json_object_get(schema, "enum"), 0));
    if (json_object_get(schema, "const"))
        return json_deep_copy(json_object_get(schema, "const"));
    if (json_array_size(json_object_get(schema, "anyOf")))
        return instance(root, json_array_get(json_object_get(schema, "anyOf"), 0), depth + 1);
    const char *is = json_is_array(type) ? json_string_value(json_array_get(type, 0)) : json_string_value(type);
    is = is ? is : json_object_get(schema, "properties") ? "object" : "string";
    if (!strcmp(is, "object")) {
        value = json_object();
        json_object_foreach(json_object_get(schema, "properties"), key, member)
            json_object_set_new(value, key, instance(root, member, depth + 1));
        return value;
    }
    if (!strcmp(is, "array")) {
        value = json_array();
        for (json_int_t i = 0; i < json_integer_value(json_object_get(schema, "minItems")); i++)
            json_array_append_new(value, instance(root, json_object_get(schema, "items"), depth + 1));
        return value;
    }
    if (!strcmp(is, "integer") || !strcmp(is, "number")) {
        json_t *least = json_object_get(schema, "minimum");
        return least ? json_deep_copy(least) : json_integer(0);
    }
    return !strcmp(is, "boolean") ? json_false() : !strcmp(is, "null") ? json_null() : json_string("text");
}

static const json_t *last_of(const json_t *body, const char *role)
{
    const json_t *messages = json_object_get(body, "messages");
    for (size_t i = json_array_size(messages); i-- > 0;)
        if (!strcmp(str(json_array_get(messages, i), "role", ""), role))
            return json_array_get(messages, i);
    return NULL;
}

static json_t *call_of(const json_t *tool, const json_t *arguments)
{
    const json_t *f = json_object_get(tool, "function");
    json_t *made = arguments ? json_deep_copy(arguments)
                             : instance(json_object_get(f, "parameters"), json_object_get(f, "parameters"), 0);
    char *text = json_dumps(made, JSON_COMPACT);
    json_t *call = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", "call_1", "type", "function", "function", "name",
                             str(f, "name", "tool"), "arguments", text);
    free(text);
    json_decref(made);
    return call;
}

/* "Well: {text}" with the member "text" of the user's JSON in place of it. New. */
static json_t *worded(const json_t *body, const char *template)
{
    const char *hole = strstr(template, "{text}");
    json_t *said = json_loads(str(last_of(body, "user"), "content", "{}"), 0, NULL);
    json_t *text = !hole ? json_string(template)
                         : json_sprintf("%.*s%s%s", (int)(hole - template), template, str(said, "text", ""), hole + 6);
    json_decref(said);
    return text;
}

/* The message of the answer: {"role", "content", "tool_calls"}. New. */
static json_t *message_of(const json_t *body, const json_t *script)
{
    const json_t *format = json_object_get(body, "response_format"), *tools = json_object_get(body, "tools");
    const json_t *choice = json_object_get(body, "tool_choice"), *data = json_object_get(script, "data");
    const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema"),
                 *tool = last_of(body, "tool");
    json_t *message = json_pack("{s:s, s:n, s:n}", "role", "assistant", "content", "refusal");
    bool none = json_is_string(choice) && !strcmp(json_string_value(choice), "none"), forced = json_is_object(choice);
    if (json_object_get(script, "tool_calls")) {
        json_object_set(message, "tool_calls", json_object_get(script, "tool_calls"));
    } else if (json_object_get(script, "template")) {
        json_object_set_new(message, "content", worded(body, str(script, "template", "")));
    } else if (json_object_get(script, "content")) {
        json_object_set(message, "content", json_object_get(script, "content"));
    } else if (json_array_size(tools) && !none && (forced || (!tool && !schema))) {
        json_object_set_new(message, "tool_calls", json_pack("[o]", call_of(json_array_get(tools, 0), data)));
    } else if (schema || data || format) {
        json_t *made = data ? json_deep_copy(data) : schema ? instance(schema, schema, 0) : json_object();
        char *text = json_dumps(made, JSON_COMPACT);
        json_object_set_new(message, "content", json_string(text));
        free(text);
        json_decref(made);
    } else {
        const json_t *said = tool ? tool : last_of(body, "user");
        json_object_set_new(message, "content",
                            json_sprintf("%s%s", tool ? "" : "You said: ", str(said, "content", "")));
    }
    return message;
}

static json_t *usage_of(const json_t *body, const json_t *message)
{
    size_t in = json_dumpb(json_object_get(body, "messages"), NULL, 0, JSON_COMPACT) / 4 + 1;
    size_t out = json_dumpb(message, NULL, 0, JSON_COMPACT) / 4 + 1;
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:i}}", "prompt_tokens", (json_int_t)in, "completion_tokens",
                     (json_int_t)out, "total_tokens", (json_int_t)(in + out), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)(in / 2), "completion_tokens_details", "reasoning_tokens", 0);
}

/* ---- streams ---- */

struct stream {
    char *text;
    size_t len, size;
};

static void put(struct stream *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len + n + 1 > s->size) {
        s->size = (s->len + n + 1) * 2;
        s->text = realloc(s->text, s->size);
        if (!s->text)
            abort();
    }
    memcpy(s->text + s->len, text, n + 1);
    s->len += n;
}

static void put_chunk(struct stream *s, const char *model, json_t *choices, json_t *usage)
{
    json_t *chunk = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o}", "id", "chatcmpl-1", "object",
                              "chat.completion.chunk", "created", (json_int_t)time(NULL), "model", model, "obfuscation",
                              "xyz", "choices", choices, "usage", usage ? usage : json_null());
    char *text = json_dumps(chunk, JSON_COMPACT);
    put(s, "data: ");
    put(s, text);
    put(s, "\r\n\r\n");
    free(text);
    json_decref(chunk);
}

static void put_delta(struct stream *s, const char *model, json_t *delta, const char *finish)
{
    put_chunk(s, model, json_pack("[{s:i, s:o, s:s?}]", "index", 0, "delta", delta, "finish_reason", finish), NULL);
}

/* Bytes of the next piece of a text, not within a character: a delta is JSON of its own. */
static size_t piece(const char *text)
{
    size_t n = strnlen(text, 5);
    while (((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void put_stream(struct stream *s, const char *model, const json_t *message, const char *finish, json_t *usage)
{
    const char *content = str(message, "content", "");
    const json_t *calls = json_object_get(message, "tool_calls");
    put(s, ": a comment\r\n\r\n");
    put_delta(s, model, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL);
    for (size_t n; *content; content += n) {
        n = piece(content);
        put_delta(s, model, json_pack("{s:s%}", "content", content, n), NULL);
    }
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *f = json_object_get(call, "function");
        const char *arguments = str(f, "arguments", "");
        put_delta(s, model,
                  json_pack("{s:[{s:i, s:s, s:s, s:{s:s, s:s}}]}", "tool_calls", "index", (int)i, "id",
                            str(call, "id", ""), "type", "function", "function", "name", str(f, "name", ""),
                            "arguments", ""),
                  NULL);
        for (size_t n; *arguments; arguments += n) {
            n = piece(arguments);
            put_delta(s, model,
                      json_pack("{s:[{s:i, s:{s:s%}}]}", "tool_calls", "index", (int)i, "function", "arguments",
                                arguments, n),
                      NULL);
        }
    }
    put_delta(s, model, json_object(), finish);
    if (usage)
        put_chunk(s, model, json_array(), usage);
    put(s, "data: [DONE]\r\n\r\n");
}

/* In chunks of HTTP that end anywhere; `share` of it, then the connection is cut. */
static bool send_stream(struct conn *c, const struct stream *s, double share)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t end = (size_t)((double)s->len * share), n;
    char size[16];
    if (!conn_write(c, head, sizeof head - 1))
        return false;
    for (size_t at = 0; at < end; at += n) {
        n = 1 + conn_random(c) % 40;
        n = n > end - at ? end - at : n;
        snprintf(size, sizeof size, "%zx\r\n", n);
        if (!conn_write(c, size, strlen(size)) || !conn_write(c, s->text + at, n) || !conn_write(c, "\r\n", 2))
            return false;
    }
    return share >= 1 && conn_write(c, "0\r\n\r\n", 5);
}

/* ---- what goes wrong ---- */

static const struct {
    const char *name;
    int status;
    const char *type, *code, *text;
} errors[] = {
    {"429", 429, "requests", "rate_limit_exceeded", "too many requests"},
    {"insufficient_quota", 429, "insufficient_quota", "insufficient_quota", "you exceeded your current quota"},
    {"401", 401, "invalid_request_error", "invalid_api_key", "incorrect key"},
    {"400", 400, "invalid_request_error", "context_length_exceeded", "the messages are too long"},
    {"500", 500, "server_error", NULL, "the server had an error"},
    {"503", 503, "server_error", NULL, "the engine is overloaded"},
};

json_t *error_body(const char *type, const char *code, const char *message)
{
    return json_pack("{s:{s:s, s:s, s:n, s:s?}}", "error", "message", message, "type", type, "param", "code", code);
}

/* The fault of a request: of its script, its header, or the end of its model's name after "+". */
static const char *fault_of(const json_t *script, const char *header, const char *model)
{
    const char *plus = strchr(model, '+');
    return json_object_get(script, "fault") ? str(script, "fault", "") : *header ? header : plus ? plus + 1 : "";
}

static bool answer_error(struct conn *c, const char *fault, const json_t *script, bool *ret_answered)
{
    char extra[64] = "";
    *ret_answered = true;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(errors[i].name, fault) != 0)
            continue;
        if (errors[i].status == 429)
            snprintf(extra, sizeof extra, "Retry-After: %g\r\n",
                     json_object_get(script, "retry_after") ? json_number_value(json_object_get(script, "retry_after"))
                                                            : 1);
        return conn_answer(c, errors[i].status, extra, error_body(errors[i].type, errors[i].code, errors[i].text));
    }
    *ret_answered = false;
    return true;
}

/* The same message, spoilt. */
static const char *spoil(json_t *message, const char *fault)
{
    if (!strcmp(fault, "text"))
        json_object_set_new(message, "content", json_string("Sure! Here is what I think: it is about airtime."));
    if (!strcmp(fault, "wrong_schema"))
        json_object_set_new(message, "content", json_string("{\"unexpected\":true}"));
    if (!strcmp(fault, "wrong_arguments"))
        json_object_set_new(message, "tool_calls",
                            json_pack("[{s:s, s:s, s:{s:s, s:s}}]", "id", "call_1", "type", "function", "function",
                                      "name", "tool", "arguments", "{\"meter\": "));
    if (!strcmp(fault, "refusal"))
        json_object_set_new(message, "refusal", json_string("I cannot help with that."));
    return !strcmp(fault, "length")                                      ? "length"
           : json_array_size(json_object_get(message, "tool_calls")) > 0 ? "tool_calls"
                                                                         : "stop";
}

static bool send_whole(struct conn *c, const char *model, const json_t *message, const char *finish, json_t *usage,
                       const char *fault)
{
    json_t *body = json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:s, s:O}], s:o}", "id", "chatcmpl-1", "object",
                             "chat.completion", "created", (json_int_t)time(NULL), "model", model, "choices", "index",
                             0, "finish_reason", finish, "message", message, "usage", usage);
    if (!strcmp(fault, "half") || !strcmp(fault, "wrong_json")) {
        char *text = json_dumps(body, JSON_COMPACT);
        bool whole = !strcmp(fault, "wrong_json");
        json_decref(body);
        bool good = conn_answer_text(c, 200, "application/json", whole ? "" : "Half: yes\r\n", text,
                                     whole ? strlen(text) / 2 : strlen(text));
        free(text);
        return good && whole;
    }
    return conn_answer(c, 200, "", body);
}

bool chat_answer(struct conn *c, const json_t *body, const char *fault_header)
{
    const char *model = str(body, "model", "");
    bool answered, good, stream = json_is_true(json_object_get(body, "stream"));
    if (!*model || !json_array_size(json_object_get(body, "messages")))
        return conn_answer(c, 400, "", error_body("invalid_request_error", "invalid_value", "model or messages"));
    json_t *script = script_take(model);
    char fault[32];
    snprintf(fault, sizeof fault, "%s", fault_of(script, fault_header, model));
    good = answer_error(c, fault, script, &answered);
    if (answered) {
        json_decref(script);
        return good;
    }
    if (!strcmp(fault, "hang")) {
        json_decref(script);
        sleep(HANG_S);
        return false;
    }
    if (json_object_get(script, "delay_ms"))
        usleep((useconds_t)json_integer_value(json_object_get(script, "delay_ms")) * 1000);
    if (!strcmp(fault, "cut")) {
        json_decref(script);
        return false;
    }
    json_t *message = message_of(body, script), *usage = usage_of(body, message);
    const char *finish = spoil(message, fault);
    if (stream) {
        struct stream s = {0};
        bool counts = json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage"));
        put_stream(&s, model, message, finish, counts ? json_incref(usage) : NULL);
        good = send_stream(c, &s, strcmp(fault, "half") ? 1.0 : 0.5);
        free(s.text);
        json_decref(usage);
    } else {
        good = send_whole(c, model, message, finish, usage, fault);
    }
    json_decref(message);
    json_decref(script);
    return good;
}
