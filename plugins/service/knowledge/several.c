/* See knowledge.h: questions that were asked together. Each is searched for by itself, all at the same time; what was
 * found for one waits for the others as places alone, and texts are read once all are there. Loop thread. */
#include "knowledge.h"

#include <stdio.h>

static bool is_in(const json_t *results, const char *id)
{
    for (size_t i = 0; i < json_array_size(results); i++)
        if (strcmp(cvm_json_str(json_array_get(results, i), "document_id", ""), id) == 0)
            return true;
    return false;
}

/* Of the document, what the answer has once: title, source and its first text, of at most `bytes`. */
static void add_text(cvm_turn *t, json_t *result, const char *id, int at, size_t bytes)
{
    char key[DOCUMENT_ID_MAX + 24];
    const json_t *about = NULL, *text = NULL;
    snprintf(key, sizeof key, "text/%.64s#%03d", id, at);
    if (at < 0 || shelf_traced(t, id, at, &about) < 0 || cvm_state_get(t, key, &text) < 0)
        return; /* it was taken out meanwhile */
    json_object_set(result, "title", json_object_get(about, "title"));
    json_object_set(result, "source", json_object_get(about, "source"));
    size_t n = json_string_length(text);
    const char *from = json_string_value(text);
    if (n > bytes)
        for (n = bytes; n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80;)
            n--;
    json_object_set_new(result, "text", n < json_string_length(text) ? json_stringn(from, n) : cvm_json_share(text));
}

/* `before`: what the answers before this one have. */
static json_t *answer_of(cvm_turn *t, const json_t *part, json_t *before, size_t bytes)
{
    json_t *results = json_array();
    const json_t *found = json_object_get(part, "results");
    for (size_t i = 0; i < json_array_size(found); i++) {
        const json_t *one = json_array_get(found, i);
        const char *id = cvm_json_str(one, "document_id", "");
        json_t *result = json_pack("{s:s, s:O}", "document_id", id, "relevance", json_object_get(one, "relevance"));
        if (!is_in(before, id) && json_object_get(one, "at"))
            add_text(t, result, id, (int)cvm_json_int(one, "at", -1), bytes);
        else if (!is_in(before, id)) /* with its text already */
            json_object_update_missing(result, (json_t *)(uintptr_t)one);
        json_array_append_new(results, result);
    }
    json_array_extend(before, results);
    return json_pack("{s:o, s:O, s:O*}", "results", results, "ended_ms", json_object_get(part, "ended_ms"), "failed",
                     json_object_get(part, "failed"));
}

/* The first question's answer, and those of the others beside it. */
static int answer_all(cvm_turn *t, const cvm_msg *m, const json_t *with, const json_t *parts, size_t n)
{
    json_t *answer = NULL, *more = json_array(), *before = json_array();
    int64_t bytes = cvm_json_int(with, "text_bytes", INT32_MAX);
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "%u", (unsigned)i & 0xff);
        const json_t *part = json_object_get(parts, name);
        json_t *one = answer_of(t, part, before, bytes > 0 ? (size_t)bytes : 0);
        failed += json_object_get(part, "failed") != NULL;
        if (i == 0)
            answer = one;
        else
            json_array_append_new(more, one);
    }
    json_decref(before);
    json_object_set_new(answer, "topics", json_array());
    json_object_set_new(answer, "more", more);
    if (json_object_get(with, "with"))
        json_object_set(answer, "with", json_object_get(with, "with"));
    if (failed < n)
        return cvm_settle(t, m->on_behalf, CVM_REPLIED, answer, NULL);
    json_decref(answer);
    return cvm_settle(t, m->on_behalf, CVM_ERROR,
                      json_pack("{s:s, s:s}", "code", "SEARCH_FAILED", "message",
                                "The knowledge base cannot be searched at the moment."),
                      NULL);
}

int several_answer(cvm_turn *t, const cvm_msg *m, const json_t *with, const json_t *ranked)
{
    char name[8];
    json_t *kept = NULL, *part = json_pack("{s:O*, s:I}", "results", json_object_get(ranked, "results"), "ended_ms",
                                           (json_int_t)cvm_now_ms(t));
    int64_t n = cvm_json_int(with, "of", 1);
    n = n < 1 ? 1 : n > SEVERAL_MAX ? SEVERAL_MAX : n;
    int e = query_waited(t, m, &kept);
    if (part && !ranked)
        json_object_set_new(part, "failed", json_true());
    json_t *parts = e == CVM_OK ? json_copy(kept) : json_object();
    json_decref(kept);
    snprintf(name, sizeof name, "%u", (unsigned)cvm_json_int(with, "part", 0) & 0xff);
    if (e == CVM_ENOENT)
        e = CVM_OK;
    if (json_object_set_new(parts, name, part) < 0 && !e)
        e = CVM_ENOMEM;
    if (!e && (int64_t)json_object_size(parts) < n)
        return query_wait(t, m, m->on_behalf, parts);
    if (!e)
        e = answer_all(t, m, with, parts, (size_t)n);
    json_decref(parts);
    return e;
}
