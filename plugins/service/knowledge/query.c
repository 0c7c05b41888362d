/* See knowledge.h: a question on its way: its vector, the host's search, the order of what was found. What the question
 * was travels with it and comes back with each answer, so nothing is kept meanwhile. Loop thread. */
#include "knowledge.h"

#include "../../common/pending.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define CANDIDATES 40 /* of each kind, for five documents and more */

/* How many passages are looked at: who wants few documents is spared most of them, which are recorded with the turn. */
static int64_t candidates(const json_t *with)
{
    int64_t top_k = cvm_json_int(with, "top_k", 5);
    return top_k >= 5 ? CANDIDATES : 3 * (top_k < 1 ? 1 : top_k);
}
#define QUESTION_MAX_BYTES 2000

/* What a question is searched for with, for free(). */
struct asked {
    char *match, *vector;
};

/* `vector` NULL: the host's own is taken. */
static int ask_with(const struct lexicon *lexicon, const char *text, const char *vector, struct asked *ret_asked,
                    cvm_question *ret_question)
{
    struct question *q = question_read(lexicon, text);
    const char *own = !q || vector ? "" : question_vector(q);
    if (!q || !own)
        return CVM_ENOMEM;
    ret_asked->match = strdup(q->match);
    ret_asked->vector = *own ? strdup(own) : NULL;
    if (!ret_asked->match || (*own && !ret_asked->vector))
        return CVM_ENOMEM;
    ret_question->match = ret_asked->match;
    ret_question->near_column = vector ? "vector_model" : *own ? "vector" : NULL;
    ret_question->near_vector = vector ? vector : ret_asked->vector;
    return CVM_OK;
}

/* The questions of a request: its own, and those that came with it. */
static size_t questions_in(const json_t *with)
{
    size_t n = json_array_size(json_object_get(with, "more")) + 1;
    return n < SEVERAL_MAX ? n : SEVERAL_MAX;
}

static const char *question_at(const json_t *with, size_t i)
{
    const char *text =
        i ? json_string_value(json_array_get(json_object_get(with, "more"), i - 1)) : cvm_json_str(with, "query", NULL);
    return text ? text : "";
}

/* Searches for all questions of `with` (taken) at once; its "vectors" are those of a service, else the host's own are
 * made. `whole`: the rows with their texts. */
static int search(cvm_turn *t, cvm_id request, json_t *with, bool whole)
{
    const struct lexicon *lexicon = kb_lexicon(t);
    const char *filter = cvm_json_str(with, "service_domain", "");
    const json_t *vectors = json_object_get(with, "vectors");
    size_t n = questions_in(with);
    cvm_question questions[SEVERAL_MAX];
    char domain[48];
    struct asked asked[SEVERAL_MAX] = {{0}};
    int e = CVM_OK;
    for (size_t i = 0; i < n && !e; i++)
        e = ask_with(lexicon, question_at(with, i), json_string_value(json_array_get(vectors, i)), &asked[i],
                     &questions[i]);
    snprintf(domain, sizeof domain, "%.40s", filter);
    for (char *c = domain; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (!e)
        e = cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "kb_chunks",
                                    .where = *domain ? json_pack("{s:s}", "domain", domain) : NULL,
                                    .limit = candidates(with) * (*domain || !json_object_get(with, "without") ? 1 : 2),
                                    .on_behalf = request,
                                    .match = questions[0].match,
                                    .near_column = questions[0].near_column,
                                    .near_vector = questions[0].near_vector,
                                    .with = with,
                                    .keys_only = !whole,
                                    .also = questions + 1,
                                    .n_also = n - 1});
    else
        json_decref(with);
    for (size_t i = 0; i < n; i++) {
        free(asked[i].match);
        free(asked[i].vector);
    }
    return e < 0 ? e : CVM_PENDING;
}

/* ---- while a service makes the vector ---------------------------------------------------------------------------- */

/* A look-up keeps no state: its question waits in memory, and is lost with it, as its request is. */
#define WAITING_MAX 256

static struct {
    cvm_id id;
    json_t *with;
} waiting[WAITING_MAX];
static size_t waiting_next;

int query_wait(cvm_turn *t, const cvm_msg *m, cvm_id question, json_t *what)
{
    if (*m->conversation || !what)
        return pending_put(t, question, what);
    size_t at = waiting_next++ % WAITING_MAX;
    for (size_t i = 0; i < WAITING_MAX && waiting[at].with; i++) /* no other is lost while there is room */
        at = waiting_next++ % WAITING_MAX;
    json_decref(waiting[at].with);
    waiting[at].id = question;
    waiting[at].with = what;
    return CVM_OK;
}

int query_waited(cvm_turn *t, const cvm_msg *m, json_t **ret_what)
{
    if (*m->conversation)
        return pending_take(t, m->on_behalf, ret_what);
    for (size_t i = 0; i < WAITING_MAX; i++)
        if (waiting[i].with && cvm_id_eq(waiting[i].id, m->on_behalf)) {
            *ret_what = waiting[i].with;
            waiting[i].with = NULL;
            return CVM_OK;
        }
    return CVM_ENOENT;
}

void query_drop(void)
{
    for (size_t i = 0; i < WAITING_MAX; i++) {
        json_decref(waiting[i].with);
        waiting[i].with = NULL;
    }
}

static bool too_large(const json_t *question)
{
    return json_string_length(question) > QUESTION_MAX_BYTES;
}

int query_ask(cvm_turn *t, const cvm_msg *m)
{
    static const char *const kept[] = {"query",   "top_k", "service_domain", "domain_hint",
                                       "without", "with",  "more",           "text_bytes"};
    const json_t *question = json_object_get(m->data, "query"), *more = json_object_get(m->data, "more");
    bool large = too_large(question);
    for (size_t i = 0; i < json_array_size(more); i++)
        large = large || !json_is_string(json_array_get(more, i)) || too_large(json_array_get(more, i));
    if (large || json_array_size(more) >= SEVERAL_MAX)
        return cvm_refuse(t, "TOO_LARGE", large ? "query" : "more",
                          "A question has at most 2000 bytes, and with it come at most 15 others.");
    json_t *with = json_pack("{s:s}", "as", "query");
    for (size_t i = 0; with && i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(m->data, kept[i]))
            json_object_set(with, kept[i], json_object_get(m->data, kept[i]));
    if (!with)
        return CVM_ENOMEM;
    if (!kb_uses_model(t))
        return search(t, m->id, with, false);
    json_t *texts = json_pack("[O]", question);
    json_array_extend(texts, (json_t *)(uintptr_t)more);
    int e = cvm_request(t, cvm_json_str(cvm_settings(t), "embedder", ""), "embed", json_pack("{s:o}", "texts", texts),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 3000});
    if (e == CVM_ENOENT || e == CVM_EACCES)
        return search(t, m->id, with, false);
    if (!e)
        e = query_wait(t, m, m->id, with);
    else
        json_decref(with);
    return e < 0 ? e : CVM_PENDING;
}

/* The vectors of a service, or none: then the questions are searched for by the host's own. */
int query_embedded(cvm_turn *t, const cvm_msg *m)
{
    json_t *with = NULL;
    int e = query_waited(t, m, &with);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *vectors = m->outcome == CVM_REPLIED ? json_object_get(m->data, "vectors") : NULL;
    if (vectors) { /* with it, should the rows be asked for once more */
        json_t *one = json_copy(with);
        json_decref(with);
        if (json_object_set(with = one, "vectors", vectors) < 0) {
            json_decref(with);
            return CVM_ENOMEM;
        }
    }
    e = search(t, m->on_behalf, with, false);
    return e == CVM_PENDING ? CVM_OK : e;
}

/* ---- what was found ---------------------------------------------------------------------------------------------- */

static int pass_on(cvm_turn *t, json_t *data)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = KB,
                   .type = "retrieved",
                   .data = data,
                   .conversation = KB_LANE,
                   .priority = CVM_LOW};
    return t->host->emit(t, &out, NULL);
}

/* For prune.c, what is news to it; and documents whose lines are to be made anew. A look-up keeps nothing, and its
 * answer waits for no one: it tells another look-up, which has it kept. */
static int tell(cvm_turn *t, const cvm_msg *m, const json_t *results, const json_t *anew)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)results, i, one)
    {
        double relevance = json_number_value(json_object_get(one, "relevance"));
        if (relevance > 0 && /* else it was only looked at */
            prune_is_news(t, cvm_json_str(one, "document_id", ""), relevance))
            json_array_append_new(list, json_pack("{s:O, s:O}", "document_id", json_object_get(one, "document_id"),
                                                  "relevance", json_object_get(one, "relevance")));
    }
    if (!json_array_size(list) && !json_array_size(anew)) {
        json_decref(list);
        return CVM_OK;
    }
    json_t *data = json_pack("{s:o, s:O*}", "found", list, "anew", (json_t *)(uintptr_t)anew);
    return !data ? CVM_ENOMEM : *m->conversation ? pass_on(t, data) : cvm_send(t, KB, "found", data);
}

int query_found(cvm_turn *t, const cvm_msg *m)
{
    return pass_on(t, cvm_json_share(m->data));
}

struct place {
    char id[DOCUMENT_ID_MAX + 1];
    int at;           /* of the row in the document */
    const json_t *in; /* value with its line */
};

struct finding {
    cvm_turn *t;
    struct place *places;
    struct rank_row *rows;
    char *lines; /* of rows that came with their texts: head and body of each */
    size_t n;
    json_t *anew; /* ids of documents without lines */
    bool whole;
};

static bool unwanted(const json_t *without, const json_t *about)
{
    for (size_t i = 0; i < json_array_size(without); i++)
        if (json_equal(json_object_get(about, "domain"), json_array_get(without, i)))
            return true;
    return false;
}

static bool read_place(const json_t *row, struct place *p)
{
    const char *key = json_string_value(json_array_get(row, 0)), *mark = key ? strrchr(key, '#') : NULL;
    if (!mark || mark - key > DOCUMENT_ID_MAX)
        return false;
    memcpy(p->id, key, (size_t)(mark - key));
    p->id[mark - key] = '\0';
    p->at = 0;
    const char *c = mark + 1;
    for (; *c >= '0' && *c <= '9' && p->at < 100000; c++)
        p->at = p->at * 10 + (*c - '0');
    return c > mark + 1;
}

/* Rows as their documents' lines have them; one that is of no row now is left out: its document has changed. */
static int add_row(struct finding *f, const json_t *found, const json_t *without)
{
    struct place *p = &f->places[f->n];
    struct rank_row *row = &f->rows[f->n];
    if (!read_place(found, p))
        return CVM_OK;
    struct lines_found found_row;
    int e = lines_row(f->t, p->id, p->at, &found_row);
    if (e == CVM_ENOENT) {
        bool seen = false;
        for (size_t i = 0; i < json_array_size(f->anew); i++)
            seen = seen || strcmp(json_string_value(json_array_get(f->anew, i)), p->id) == 0;
        if (!seen)
            json_array_append_new(f->anew, json_string(p->id));
        return CVM_OK;
    }
    if (e < 0 || !found_row.row.line || unwanted(without, found_row.value))
        return e;
    p->in = found_row.value;
    *row = (struct rank_row){.document_id = p->id,
                             .about = p->in,
                             .topic = found_row.topic,
                             .head = found_row.head_line,
                             .body = found_row.row.line,
                             .head_read = found_row.head,
                             .body_read = found_row.row.read,
                             .question = found_row.row.question,
                             .at = found_row.row.at,
                             .text_score = json_number_value(json_array_get(found, 1)),
                             .cosine = json_number_value(json_array_get(found, 2))};
    f->n++;
    return CVM_OK;
}

static int add_whole_row(struct finding *f, const json_t *found, const json_t *without)
{
    char *head = f->lines + f->n * 2 * (TRACE_MAX_BYTES + 1), *body = head + TRACE_MAX_BYTES + 1;
    if (unwanted(without, found))
        return CVM_OK;
    if (!shelf_lines(kb_lexicon(f->t), found, head, body))
        return CVM_ENOMEM;
    f->places[f->n].in = found;
    f->rows[f->n] = (struct rank_row){.document_id = cvm_json_str(found, "document_id", ""),
                                      .about = found,
                                      .topic = cvm_json_str(found, "topic", ""),
                                      .head = head,
                                      .body = body,
                                      .question = strcmp(cvm_json_str(found, "kind", ""), "question") == 0,
                                      .at = -1,
                                      .text_score = json_number_value(json_object_get(found, "text_score")),
                                      .cosine = json_number_value(json_object_get(found, "vector_score"))};
    f->n++;
    return CVM_OK;
}

static const json_t *text_of(void *arg, const struct rank_row *row)
{
    struct finding *f = arg;
    char key[SHELF_KEY_SIZE];
    const json_t *text = NULL;
    if (f->whole)
        return json_object_get(row->about, row->question ? "answer" : "body");
    if (row->at < 0)
        return NULL;
    shelf_text_key(row->document_id, row->at, key);
    return cvm_state_get(f->t, key, &text) < 0 ? NULL : text;
}

static void finding_free(struct finding *f)
{
    free(f->places);
    free(f->rows);
    free(f->lines);
    json_decref(f->anew);
}

static int find_rows(struct finding *f, const json_t *rows, const json_t *without)
{
    size_t n = json_array_size(rows) + 1;
    f->places = calloc(n, sizeof *f->places);
    f->rows = calloc(n, sizeof *f->rows);
    f->lines = f->whole ? malloc(n * 2 * (TRACE_MAX_BYTES + 1)) : NULL;
    int e = f->places && f->rows && (f->lines || !f->whole) ? CVM_OK : CVM_ENOMEM;
    for (size_t i = 0; !e && i < json_array_size(rows); i++)
        e = f->whole ? add_whole_row(f, json_array_get(rows, i), without)
                     : add_row(f, json_array_get(rows, i), without);
    return e;
}

static json_t *ranked_of(cvm_turn *t, const json_t *with, const char *question, const json_t *words, struct finding *f,
                         bool brief)
{
    int64_t top_k = cvm_json_int(with, "top_k", 5);
    struct rank_source source = {.rows = f->rows, .n = f->n, .text = text_of, .arg = f, .brief = brief};
    const struct question *q = question_read(kb_lexicon(t), question);
    return q ? rank(q->words, q->n_words, cvm_json_str(with, "domain_hint", ""), words, &source,
                    (size_t)(top_k < 1              ? 1
                             : top_k > KB_TOP_K_MAX ? KB_TOP_K_MAX
                                                    : top_k))
             : NULL;
}

/* Once more, with the texts: some document has no lines yet. They are made when this is over. */
static int ask_whole(cvm_turn *t, const cvm_msg *m, const json_t *with, const json_t *anew)
{
    json_t *again = json_copy((json_t *)(uintptr_t)with);
    if (!again || json_object_set(again, "anew", (json_t *)(uintptr_t)anew) < 0) {
        json_decref(again);
        return CVM_ENOMEM;
    }
    int e = search(t, m->on_behalf, again, true);
    return e == CVM_PENDING ? CVM_OK : e;
}

/* What the questions found, each for itself, while `anew` has no document. */
static int rank_all(cvm_turn *t, const cvm_msg *m, const json_t *with, json_t *all, json_t *anew)
{
    size_t n = questions_in(with);
    int e = CVM_OK;
    for (size_t i = 0; i < n && e >= 0; i++) {
        struct finding f = {.t = t, .whole = json_object_get(with, "anew") != NULL, .anew = json_incref(anew)};
        const json_t *found = i ? json_array_get(json_object_get(m->data, "also"), i - 1) : m->data;
        e = find_rows(&f, json_object_get(found, "rows"), json_object_get(with, "without"));
        if (e >= 0 && !json_array_size(anew) &&
            json_array_append_new(
                all, ranked_of(t, with, question_at(with, i), json_object_get(found, "words"), &f, n > 1)) < 0)
            e = CVM_ENOMEM;
        finding_free(&f);
    }
    return e;
}

static int settle_ranked(cvm_turn *t, const cvm_msg *m, const json_t *with, json_t *all)
{
    for (size_t i = 0; i < json_array_size(all); i++)
        CVM_TRY(
            tell(t, m, json_object_get(json_array_get(all, i), "results"), i ? NULL : json_object_get(with, "anew")));
    if (json_object_get(with, "more"))
        return several_answer(t, m, with, all);
    json_t *ranked = json_incref(json_array_get(all, 0));
    json_object_set(ranked, "query", json_object_get(with, "query"));
    if (json_object_get(with, "with"))
        json_object_set(ranked, "with", json_object_get(with, "with"));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, ranked, NULL);
}

static int found(cvm_turn *t, const cvm_msg *m, const json_t *with)
{
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, CVM_ERROR,
                          json_pack("{s:s, s:s}", "code", "SEARCH_FAILED", "message",
                                    "The knowledge base cannot be searched at the moment."),
                          NULL);
    json_t *all = json_array(), *anew = json_array();
    lines_begin();
    int e = all && anew ? rank_all(t, m, with, all, anew) : CVM_ENOMEM;
    if (e >= 0)
        e = json_array_size(anew) ? ask_whole(t, m, with, anew) : settle_ranked(t, m, with, all);
    json_decref(all);
    json_decref(anew);
    return e;
}

int query_reply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const char *as = cvm_json_str(with, "as", "");
    if (strcmp(as, "trace") == 0)
        return shelf_trace_rows(t, m);
    int e = strcmp(as, "query") == 0 || m->outcome != CVM_REPLIED ? found(t, m, with) : manage_listed(t, m, as);
    return e == CVM_ENOENT ? CVM_OK : e;
}
