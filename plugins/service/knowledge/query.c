/* See knowledge.h: a question on its way: its vector, the host's search, the order of what was found. What the question
 * was travels with it and comes back with each answer, so nothing is kept meanwhile. Loop thread. */
#include "knowledge.h"

#include "../../common/pending.h"

#include <ctype.h>
#include <stdio.h>

#define CANDIDATES 40 /* of each kind, for five documents and more */

/* How many passages are looked at: who wants few documents is spared most of them, which are recorded with the turn. */
static int64_t candidates(const json_t *with)
{
    int64_t top_k = cvm_json_int(with, "top_k", 5);
    return top_k >= 5 ? CANDIDATES : 3 * (top_k < 1 ? 1 : top_k);
}
#define QUESTION_MAX_BYTES 2000

/* The words of the question that mean something, and their classes. */
static void match_of(const struct text_words *words, char *ret_match, size_t size)
{
    size_t at = 0, n = 0;
    ret_match[0] = '\0';
    for (size_t i = 0; i < words->n && n < 40; i++) {
        const struct text_word *w = &words->at[i];
        if (!w->common && at + sizeof w->text + 1 < size) {
            at += (size_t)snprintf(ret_match + at, size - at, "%s%s", at ? " " : "", w->text);
            n++;
        }
    }
    for (size_t i = 0; i < words->n; i++)
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && words->at[i].classes[k] >= 0; k++) {
            char class[16];
            text_class_word(words->at[i].classes[k], class);
            if (at + sizeof class + 1 < size)
                at += (size_t)snprintf(ret_match + at, size - at, " %s", class);
        }
}

/* Takes `with`. `vector` NULL: none, or it is the host's own that is to be made. */
static int search(cvm_turn *t, cvm_id request, json_t *with, const char *column, const char *vector)
{
    static struct text_words words; /* of this call */
    char match[4096], own[EMBED_TEXT_SIZE], domain[48];
    const struct lexicon *lexicon = kb_lexicon(t);
    const char *filter = cvm_json_str(with, "service_domain", "");
    if (!lexicon) {
        json_decref(with);
        return CVM_ENOMEM;
    }
    text_read(lexicon, cvm_json_str(with, "query", ""), &words);
    match_of(&words, match, sizeof match);
    if (!vector && embed_words(&words, own)) {
        vector = own;
        column = "vector";
    }
    snprintf(domain, sizeof domain, "%.40s", filter);
    for (char *c = domain; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "kb_chunks",
                                    .where = *domain ? json_pack("{s:s}", "domain", domain) : NULL,
                                    .limit = candidates(with) * (*domain || !json_object_get(with, "without") ? 1 : 2),
                                    .on_behalf = request,
                                    .match = match,
                                    .near_column = vector ? column : NULL,
                                    .near_vector = vector,
                                    .with = with}));
    return CVM_PENDING;
}

/* ---- while a service makes the vector ---------------------------------------------------------------------------- */

/* A look-up keeps no state: its question waits in memory, and is lost with it, as its request is. */
#define WAITING_MAX 256

static struct {
    cvm_id id;
    json_t *with;
} waiting[WAITING_MAX];
static size_t waiting_next;

static int wait_for(cvm_turn *t, const cvm_msg *m, json_t *with)
{
    if (*m->conversation)
        return pending_put(t, m->id, with);
    size_t at = waiting_next++ % WAITING_MAX;
    json_decref(waiting[at].with);
    waiting[at].id = m->id;
    waiting[at].with = with;
    return CVM_OK;
}

static json_t *waited_for(cvm_turn *t, const cvm_msg *m)
{
    json_t *with = NULL;
    if (*m->conversation)
        return pending_take(t, m->on_behalf, &with) < 0 ? NULL : with;
    for (size_t i = 0; i < WAITING_MAX && !with; i++)
        if (waiting[i].with && cvm_id_eq(waiting[i].id, m->on_behalf)) {
            with = waiting[i].with;
            waiting[i].with = NULL;
        }
    return with;
}

void query_drop(void)
{
    for (size_t i = 0; i < WAITING_MAX; i++) {
        json_decref(waiting[i].with);
        waiting[i].with = NULL;
    }
}

int query_ask(cvm_turn *t, const cvm_msg *m)
{
    const char *question = cvm_json_str(m->data, "query", "");
    if (strlen(question) > QUESTION_MAX_BYTES)
        return cvm_refuse(t, "TOO_LARGE", "query", "A question has at most 2000 bytes.");
    json_t *with = json_copy((json_t *)(uintptr_t)m->data);
    json_object_set_new(with, "as", json_string("query"));
    if (!kb_uses_model(t))
        return search(t, m->id, with, NULL, NULL);
    int e =
        cvm_request(t, cvm_json_str(cvm_settings(t), "embedder", ""), "embed", json_pack("{s:[s]}", "texts", question),
                    &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 3000});
    if (e == CVM_ENOENT || e == CVM_EACCES)
        return search(t, m->id, with, NULL, NULL);
    if (!e)
        e = wait_for(t, m, with);
    else
        json_decref(with);
    return e < 0 ? e : CVM_PENDING;
}

/* The vector of a service, or none: then the question is searched for by the host's own. */
int query_embedded(cvm_turn *t, const cvm_msg *m)
{
    const char *vector =
        m->outcome == CVM_REPLIED ? json_string_value(json_array_get(json_object_get(m->data, "vectors"), 0)) : NULL;
    json_t *with = waited_for(t, m);
    if (!with)
        return CVM_OK;
    int e = search(t, m->on_behalf, with, vector ? "vector_model" : NULL, vector);
    return e == CVM_PENDING ? CVM_OK : e;
}

/* What was found, for prune.c. A look-up keeps nothing, and its answer waits for no one: it tells another look-up,
 * which has it kept. */
static int tell_retrieved(cvm_turn *t, const json_t *results)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)results, i, one) if (json_number_value(json_object_get(one, "relevance")) >
                                                                 0) /* else it was only looked at */
        json_array_append_new(list, json_pack("{s:O, s:O}", "document_id", json_object_get(one, "document_id"),
                                              "relevance", json_object_get(one, "relevance")));
    if (!json_array_size(list)) {
        json_decref(list);
        return CVM_OK;
    }
    return cvm_send(t, KB, "found", json_pack("{s:o}", "found", list));
}

int query_found(cvm_turn *t, const cvm_msg *m)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = KB,
                   .type = "retrieved",
                   .data = cvm_json_share(m->data),
                   .conversation = KB_LANE,
                   .priority = CVM_LOW};
    return t->host->emit(t, &out, NULL);
}

/* What was found without the domains that are not wanted; `ret_own` is to be released where it is not NULL. */
static const json_t *wanted(const json_t *found, const json_t *with, json_t **ret_own)
{
    const json_t *without = json_object_get(with, "without"), *rows = json_object_get(found, "rows");
    *ret_own = NULL;
    if (!json_array_size(without))
        return found;
    json_t *kept = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        bool out = false;
        for (size_t k = 0; k < json_array_size(without); k++)
            out = out || json_equal(json_object_get(row, "domain"), json_array_get(without, k));
        if (!out)
            json_array_append(kept, row);
    }
    *ret_own = json_copy((json_t *)(uintptr_t)found);
    json_object_set_new(*ret_own, "rows", kept);
    return *ret_own;
}

static int found(cvm_turn *t, const cvm_msg *m, const json_t *with)
{
    int64_t top_k = cvm_json_int(with, "top_k", 5);
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, CVM_ERROR,
                          json_pack("{s:s, s:s}", "code", "SEARCH_FAILED", "message",
                                    "The knowledge base cannot be searched at the moment."),
                          NULL);
    json_t *own;
    const json_t *rows = wanted(m->data, with, &own);
    json_t *ranked = rank(kb_lexicon(t), cvm_json_str(with, "query", ""), cvm_json_str(with, "domain_hint", ""), rows,
                          (size_t)(top_k < 1              ? 1
                                   : top_k > KB_TOP_K_MAX ? KB_TOP_K_MAX
                                                          : top_k));
    json_decref(own);
    if (!ranked)
        return CVM_ENOMEM;
    int e = tell_retrieved(t, json_object_get(ranked, "results"));
    json_object_set(ranked, "query", json_object_get(with, "query"));
    if (json_object_get(with, "with"))
        json_object_set(ranked, "with", json_object_get(with, "with"));
    if (e < 0) {
        json_decref(ranked);
        return e;
    }
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, ranked, NULL);
}

int query_reply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const char *as = cvm_json_str(with, "as", "");
    int e = strcmp(as, "query") == 0 || m->outcome != CVM_REPLIED ? found(t, m, with) : manage_listed(t, m, as);
    return e == CVM_ENOENT ? CVM_OK : e;
}
