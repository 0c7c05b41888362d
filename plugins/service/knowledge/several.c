/* See knowledge.h: the answer to questions that were asked together. A text that several of them led to stands in it
 * once. Loop thread. */
#include "knowledge.h"

/* Documents that the answer has already, by their ids in the results that were found. */
struct shown {
    const char *ids[SEVERAL_MAX * KB_TOP_K_MAX];
    size_t n;
};

static bool is_shown(struct shown *shown, const char *id)
{
    for (size_t i = 0; i < shown->n; i++)
        if (strcmp(shown->ids[i], id) == 0)
            return true;
    if (shown->n < sizeof shown->ids / sizeof *shown->ids)
        shown->ids[shown->n++] = id;
    return false;
}

/* Of the document, what the answer has once: title, source and its first text, of at most `bytes`. */
static void add_text(cvm_turn *t, json_t *result, const char *id, int at, size_t bytes)
{
    char key[SHELF_KEY_SIZE];
    const json_t *about = NULL, *text = NULL;
    if (at < 0 || shelf_traced(t, id, at, &about) < 0)
        return; /* it was taken out meanwhile */
    shelf_text_key(id, at, key);
    if (cvm_state_get(t, key, &text) < 0)
        return;
    json_object_set(result, "title", json_object_get(about, "title"));
    json_object_set(result, "source", json_object_get(about, "source"));
    size_t n = json_string_length(text);
    const char *from = json_string_value(text);
    if (n > bytes)
        for (n = bytes; n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80;)
            n--;
    json_object_set_new(result, "text", n < json_string_length(text) ? json_stringn(from, n) : cvm_json_share(text));
}

/* `one` itself where it was made brief for this. Gives. */
static json_t *result_of(cvm_turn *t, json_t *one, const char *id, bool known, size_t bytes)
{
    int at = (int)cvm_json_int(one, "at", -1);
    if (json_object_get(one, "at")) {
        json_object_del(one, "at");
        if (!known)
            add_text(t, one, id, at, bytes);
        return json_incref(one);
    }
    return known ? json_pack("{s:s, s:O}", "document_id", id, "relevance", json_object_get(one, "relevance"))
                 : json_incref(one); /* with its text already */
}

static json_t *answer_of(cvm_turn *t, const json_t *part, struct shown *shown, size_t bytes)
{
    json_t *results = json_array();
    const json_t *found = json_object_get(part, "results");
    for (size_t i = 0; i < json_array_size(found); i++) {
        json_t *one = json_array_get(found, i);
        const char *id = cvm_json_str(one, "document_id", "");
        json_array_append_new(results, result_of(t, one, id, is_shown(shown, id), bytes));
    }
    return json_pack("{s:o, s:I}", "results", results, "ended_ms", (json_int_t)cvm_now_ms(t));
}

int several_answer(cvm_turn *t, const cvm_msg *m, const json_t *with, const json_t *all)
{
    json_t *answer = NULL, *more = json_array();
    struct shown shown;
    shown.n = 0;
    int64_t bytes = cvm_json_int(with, "text_bytes", INT32_MAX);
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *one = answer_of(t, json_array_get(all, i), &shown, bytes > 0 ? (size_t)bytes : 0);
        if (i == 0)
            answer = one;
        else
            json_array_append_new(more, one);
    }
    json_object_set_new(answer, "topics", json_array());
    json_object_set_new(answer, "more", more);
    if (json_object_get(with, "with"))
        json_object_set(answer, "with", json_object_get(with, "with"));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, answer, NULL);
}
