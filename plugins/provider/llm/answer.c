/* See answer.h. Members that are not known are passed over; what is missing reads as empty. */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>

void llm_answer_fini(struct llm_answer *a)
{
    free(a->content);
    free(a->refusal);
    for (size_t i = 0; i < ANSWER_CALLS_MAX; i++) {
        free(a->calls[i].id);
        free(a->calls[i].name);
        free(a->calls[i].arguments);
    }
    *a = (struct llm_answer){0};
}

static int add(char **at, size_t *len, size_t *size, const char *text)
{
    size_t n = strlen(text);
    if (*len + n > ANSWER_CONTENT_MAX_BYTES)
        return CVM_ELIMIT;
    if (*len + n + 1 > *size) {
        size_t grown = *size ? *size : 256;
        while (grown < *len + n + 1)
            grown *= 2;
        char *moved = realloc(*at, grown);
        if (!moved)
            return CVM_ENOMEM;
        *at = moved;
        *size = grown;
    }
    memcpy(*at + *len, text, n + 1);
    *len += n;
    return 0;
}

static int set_once(char **at, const json_t *object, const char *member)
{
    const char *text = cvm_json_str(object, member, "");
    if (*at || !*text)
        return 0;
    *at = strdup(text);
    return *at ? 0 : CVM_ENOMEM;
}

/* A tool call, or a piece of one: id and name come with the first, arguments in pieces. */
static int add_call(struct llm_answer *a, const json_t *piece, size_t otherwise)
{
    const json_t *function = json_object_get(piece, "function");
    int64_t index = cvm_json_int(piece, "index", (int64_t)otherwise);
    if (index < 0 || index >= ANSWER_CALLS_MAX)
        return CVM_ELIMIT;
    struct answer_call *c = &a->calls[index];
    if ((size_t)index >= a->n_calls)
        a->n_calls = (size_t)index + 1;
    CVM_TRY(set_once(&c->id, piece, "id"));
    CVM_TRY(set_once(&c->name, function, "name"));
    return add(&c->arguments, &c->len, &c->size, cvm_json_str(function, "arguments", ""));
}

/* A message, or the delta of one. */
static int add_message(struct llm_answer *a, const json_t *message)
{
    const json_t *calls = json_object_get(message, "tool_calls"), *content = json_object_get(message, "content");
    if (json_is_string(content))
        CVM_TRY(add(&a->content, &a->content_len, &a->content_size, json_string_value(content)));
    CVM_TRY(set_once(&a->refusal, message, "refusal"));
    for (size_t i = 0; i < json_array_size(calls); i++)
        CVM_TRY(add_call(a, json_array_get(calls, i), i));
    return 0;
}

static void read_usage(struct llm_answer *a, const json_t *usage)
{
    if (!json_is_object(usage))
        return;
    a->has_usage = true;
    a->input_tokens = cvm_json_int(usage, "prompt_tokens", 0);
    a->output_tokens = cvm_json_int(usage, "completion_tokens", 0);
    a->cached_tokens = cvm_json_int(json_object_get(usage, "prompt_tokens_details"), "cached_tokens", 0);
    if (a->input_tokens < 0 || a->output_tokens < 0)
        a->input_tokens = a->output_tokens = 0;
    if (a->cached_tokens < 0 || a->cached_tokens > a->input_tokens)
        a->cached_tokens = 0;
}

static int read_part(struct llm_answer *a, const json_t *body, const char *member)
{
    const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    const char *model = cvm_json_str(body, "model", ""), *finish = cvm_json_str(choice, "finish_reason", "");
    if (*model && strlen(model) < sizeof a->model) /* cut it might end within a character */
        snprintf(a->model, sizeof a->model, "%s", model);
    if (*finish)
        snprintf(a->finish, sizeof a->finish, "%s", finish);
    read_usage(a, json_object_get(body, "usage"));
    return choice ? add_message(a, json_object_get(choice, member)) : 0;
}

static bool is_whole(const struct llm_answer *a)
{
    for (size_t i = 0; i < a->n_calls; i++)
        if (!a->calls[i].name)
            return false;
    return *a->finish && (a->content || a->n_calls || a->refusal);
}

int llm_answer_read(const json_t *body, struct llm_answer *answer)
{
    if (!json_is_object(json_object_get(json_array_get(json_object_get(body, "choices"), 0), "message")))
        return CVM_EDATA;
    CVM_TRY(read_part(answer, body, "message"));
    return is_whole(answer) ? 0 : CVM_EDATA;
}

static int on_event(void *arg, const char *data, size_t len)
{
    struct llm_stream *s = arg;
    if (s->done)
        return 0;
    if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
        s->done = true;
        return 0;
    }
    json_t *chunk = json_loadb(data, len, 0, NULL);
    const json_t *error = json_object_get(chunk, "error");
    int e = !json_is_object(chunk) || error ? CVM_EDATA : read_part(s->answer, chunk, "delta");
    if (error)
        snprintf(s->answer->code, sizeof s->answer->code, "%s",
                 cvm_json_str(error, "code", cvm_json_str(error, "type", "error")));
    json_decref(chunk);
    return e;
}

void llm_stream_init(struct llm_stream *stream, struct llm_answer *answer)
{
    stream->answer = answer;
    stream->done = false;
    sse_init(&stream->sse, on_event, stream);
}

int llm_stream_feed(struct llm_stream *stream, const char *bytes, size_t len)
{
    return sse_feed(&stream->sse, bytes, len);
}

int llm_stream_end(struct llm_stream *stream)
{
    sse_fini(&stream->sse);
    return stream->done && is_whole(stream->answer) ? 0 : CVM_EDATA;
}

json_t *llm_answer_calls(const struct llm_answer *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_calls; i++) {
        const struct answer_call *c = &a->calls[i];
        json_t *arguments = c->len ? json_loadb(c->arguments, c->len, 0, NULL) : json_object();
        if (!json_is_object(arguments)) {
            json_decref(arguments);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o}", "id", c->id ? c->id : "", "name", c->name, "arguments", arguments));
    }
    return list;
}
