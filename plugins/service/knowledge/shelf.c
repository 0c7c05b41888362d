/* See knowledge.h: a document in force, its versions, and the rows by which it is found. Loop thread. */
#include "knowledge.h"

#include "../../common/pending.h"
#include "../common/clip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void kb_time(int64_t ms, char ret_text[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void shelf_hash(const char *text, char ret_hash[17])
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    snprintf(ret_hash, 17, "%016" PRIx64, h);
}

const struct lexicon *kb_lexicon(cvm_turn *t)
{
    return lexicon_of(json_object_get(cvm_settings(t), "synonyms"));
}

bool kb_uses_model(cvm_turn *t)
{
    return strcmp(cvm_json_str(cvm_settings(t), "embedder", EMBED_HASH), EMBED_HASH) != 0;
}

struct change {
    const char *domain; /* NULL: none */
    int64_t rows, questions;
};

static void add_to(json_t *domains, const char *domain, int64_t n)
{
    n += cvm_json_int(domains, domain, 0);
    if (n > 0)
        json_object_set_new(domains, domain, json_integer((json_int_t)n));
    else
        json_object_del(domains, domain);
}

/* What goes and what comes, counted at once. */
static int count(cvm_turn *t, struct change out, struct change in)
{
    const json_t *was = NULL;
    int e = cvm_state_get(t, "count", &was);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *domains = json_copy(json_object_get(was, "domains"));
    if (!domains)
        domains = json_object();
    if (out.domain)
        add_to(domains, out.domain, -1);
    if (in.domain)
        add_to(domains, in.domain, 1);
    int64_t questions = in.questions - out.questions, passages = in.rows - out.rows - questions;
    return cvm_state_put(
        t, "count",
        json_pack("{s:I, s:I, s:I, s:o}", "documents",
                  (json_int_t)(cvm_json_int(was, "documents", 0) + (in.domain != NULL) - (out.domain != NULL)),
                  "passages", (json_int_t)(cvm_json_int(was, "passages", 0) + passages), "questions",
                  (json_int_t)(cvm_json_int(was, "questions", 0) + questions), "domains", domains));
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Classes of the words as words of their own, each once. */
static void concepts(const struct text_words *words, char *ret_text, size_t size)
{
    bool seen[TEXT_CLASSES_MAX] = {false};
    size_t at = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < words->n; i++)
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && words->at[i].classes[k] >= 0; k++) {
            int class = words->at[i].classes[k];
            char word[16];
            if (seen[class] || at + sizeof word >= size)
                continue;
            seen[class] = true;
            text_class_word(class, word);
            at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? " " : "", word);
        }
}

/* The host's own vector: of the words, of a passage with its title. A question is near to questions, whatever the
 * title. */
static int row_vector(const struct lexicon *lexicon, const char *kind, const char *body, const char *title,
                      struct text_words *words, char ret_vector[EMBED_TEXT_SIZE], char *ret_classes, size_t size)
{
    size_t whole_size = strlen(body) + strlen(title) + 4;
    char *whole = malloc(whole_size);
    if (!lexicon || !whole) {
        free(whole);
        return CVM_ENOMEM;
    }
    snprintf(whole, whole_size, "%s\n%s", body, title);
    text_read(lexicon, whole, words);
    free(whole);
    concepts(words, ret_classes, size);
    if (strcmp(kind, "question") == 0)
        text_read(lexicon, body, words);
    if (!embed_words(words->at, words->n, ret_vector))
        ret_vector[0] = '\0';
    return CVM_OK;
}

/* `rows` gets it without the host's own vector. */
static int put_row(cvm_turn *t, const struct kb_document *d, size_t i, const json_t *piece, json_t *rows)
{
    static struct text_words words; /* of this call */
    char id[DOCUMENT_ID_MAX + 16], about[512], classes[2048], vector[EMBED_TEXT_SIZE];
    const char *text = cvm_json_str(piece, "text", ""), *kind = cvm_json_str(piece, "kind", "passage");
    snprintf(id, sizeof id, "%s#%03zu", d->id, i);
    snprintf(about, sizeof about, "%.*s %.*s", clip(d->topic, 200), d->topic, clip(d->keywords, 280), d->keywords);
    for (char *c = about; *c; c++)
        *c = *c == '-' ? ' ' : *c;
    CVM_TRY(row_vector(kb_lexicon(t), kind, text, d->title, &words, vector, classes, sizeof classes));
    json_t *row = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "chunk_id", id, "document_id",
                            d->id, "position", (int)i, "kind", kind, "domain", d->domain, "topic", d->topic, "source",
                            d->source, "title", d->title, "keywords", about, "body", text, "concepts", classes);
    if (row && json_object_get(piece, "answer"))
        json_object_set(row, "answer", json_object_get(piece, "answer"));
    if (row)
        json_array_append_new(rows, json_copy(row));
    if (row && *vector)
        json_object_set_new(row, "vector", json_string(vector));
    return cvm_row_put(t, "kb_chunks", row);
}

/* How many of the words of `a` that mean something stand in `b`, or others of their classes. */
static int shared(const struct text_words *a, const struct text_words *b)
{
    int n = 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct text_word *w = &a->at[i];
        int best = 0;
        for (size_t k = 0; k < b->n && best < 2; k++) {
            if (!w->common && strcmp(w->stem, b->at[k].stem) == 0)
                best = 2;
            for (size_t c = 0; c < TEXT_OF_WORD_MAX && w->classes[c] >= 0 && !best; c++)
                for (size_t d = 0; d < TEXT_OF_WORD_MAX && b->at[k].classes[d] >= 0; d++)
                    best = w->classes[c] == b->at[k].classes[d] ? 1 : best;
        }
        n += best;
    }
    return n;
}

#define COMPARED_MAX 24 /* passages that a question is compared with */

/* Each question gets the passage that speaks most of what it asks. */
static void answer_questions(const struct lexicon *lexicon, json_t *pieces)
{
    static struct text_words words, of[COMPARED_MAX]; /* of this call */
    const json_t *texts[COMPARED_MAX];
    size_t n = 0, i;
    json_t *piece;
    json_array_foreach(pieces, i, piece)
    {
        if (n == COMPARED_MAX || strcmp(cvm_json_str(piece, "kind", ""), "passage") != 0)
            continue;
        texts[n] = json_object_get(piece, "text");
        text_read(lexicon, json_string_value(texts[n]), &of[n]);
        n++;
    }
    json_array_foreach(pieces, i, piece)
    {
        int best = -1;
        if (strcmp(cvm_json_str(piece, "kind", ""), "question") != 0)
            continue;
        text_read(lexicon, cvm_json_str(piece, "text", ""), &words);
        for (size_t k = 0; k < n; k++) {
            int s = shared(&words, &of[k]);
            if (s > best) {
                best = s;
                json_object_set(piece, "answer", (json_t *)(uintptr_t)texts[k]);
            }
        }
    }
}

#define ROWS_IN_A_CALL 12

/* Asks a service for the vectors of the rows; they can be found without meanwhile. */
static int ask_vectors(cvm_turn *t, const char *id, int64_t version, const json_t *rows)
{
    const char *embedder = cvm_json_str(cvm_settings(t), "embedder", EMBED_HASH);
    for (size_t from = 0; from < json_array_size(rows); from += ROWS_IN_A_CALL) {
        json_t *texts = json_array(), *some = json_array();
        cvm_id asked = {0, 0};
        for (size_t i = from; i < json_array_size(rows) && i < from + ROWS_IN_A_CALL; i++) {
            json_array_append(texts, json_object_get(json_array_get(rows, i), "body"));
            json_array_append(some, json_array_get(rows, i));
        }
        int e = cvm_request(t, embedder, "embed", json_pack("{s:o}", "texts", texts),
                            &(cvm_request_opts){.timeout_ms = 120000, .ret_id = &asked});
        if (e < 0) {
            json_decref(some);
            return e == CVM_ENOENT ? CVM_OK : e;
        }
        CVM_TRY(pending_put(
            t, asked, json_pack("{s:s, s:I, s:o}", "document_id", id, "version", (json_int_t)version, "rows", some)));
    }
    return CVM_OK;
}

static int put_vectors(cvm_turn *t, const json_t *rows, const json_t *vectors)
{
    static struct text_words words; /* of this call */
    char vector[EMBED_TEXT_SIZE], classes[2048];
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *was = json_array_get(rows, i);
        CVM_TRY(row_vector(kb_lexicon(t), cvm_json_str(was, "kind", ""), cvm_json_str(was, "body", ""),
                           cvm_json_str(was, "title", ""), &words, vector, classes, sizeof classes));
        json_t *row = json_copy((json_t *)(uintptr_t)was);
        if (*vector)
            json_object_set_new(row, "vector", json_string(vector));
        json_object_set(row, "vector_model", json_array_get(vectors, i));
        CVM_TRY(cvm_row_put(t, "kb_chunks", row));
    }
    return CVM_OK;
}

static int vectors_came(cvm_turn *t, const cvm_msg *m, const json_t *kept)
{
    const json_t *rows = json_object_get(kept, "rows"), *vectors = json_object_get(m->data, "vectors"), *now = NULL;
    const char *id = cvm_json_str(kept, "document_id", "");
    char key[DOCUMENT_ID_MAX + 8];
    snprintf(key, sizeof key, "doc/%s", id);
    if (m->outcome != CVM_REPLIED || json_array_size(rows) != json_array_size(vectors)) {
        cvm_log(t, CVM_LOG_WARNING, "no vectors for document %s: it is found by words and by the host's own vectors",
                id);
        return CVM_OK;
    }
    int e = cvm_state_get(t, key, &now);
    if (e == CVM_ENOENT || (!e && (cvm_json_int(now, "version", 0) != cvm_json_int(kept, "version", -1) ||
                                   strcmp(cvm_json_str(now, "status", ""), "active") != 0)))
        return CVM_OK; /* another version, meanwhile */
    return e ? e : put_vectors(t, rows, vectors);
}

int shelf_embedded(cvm_turn *t, const cvm_msg *m)
{
    json_t *kept = NULL;
    if (!cvm_id_is_none(m->on_behalf))
        return query_embedded(t, m);
    int e = pending_take(t, m->in_reply_to, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = vectors_came(t, m, kept);
    json_decref(kept);
    return e;
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

static int drop_rows(cvm_turn *t, const char *id, int64_t from, int64_t rows)
{
    char key[DOCUMENT_ID_MAX + 16];
    for (int64_t i = from; i < rows; i++) {
        snprintf(key, sizeof key, "%s#%03d", id, (int)i);
        CVM_TRY(cvm_row_del(t, "kb_chunks", key));
    }
    return CVM_OK;
}

static json_t *document_row(cvm_turn *t, const struct kb_document *d, int64_t version, int64_t created_ms,
                            int64_t passages, int64_t questions, const char *status)
{
    char created[32], updated[32];
    kb_time(created_ms, created);
    kb_time(cvm_now_ms(t), updated);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "document_id",
                     d->id, "title", d->title, "domain", d->domain, "topic", d->topic, "source", d->source, "language",
                     d->language, "keywords", d->keywords, "origin", d->origin, "version", (json_int_t)version,
                     "status", status, "characters", (json_int_t)strlen(d->text), "passages", (json_int_t)passages,
                     "questions", (json_int_t)questions, "created_at", created, "updated_at", updated, "embedder",
                     cvm_json_str(cvm_settings(t), "embedder", EMBED_HASH));
}

static int put_version(cvm_turn *t, const struct kb_document *d, int64_t version)
{
    char key[DOCUMENT_ID_MAX + 16], at[32];
    snprintf(key, sizeof key, "%s@%d", d->id, (int)version);
    kb_time(cvm_now_ms(t), at);
    return cvm_row_put(t, "kb_versions",
                       json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "version_id", key, "document_id",
                                 d->id, "version", (json_int_t)version, "title", d->title, "domain", d->domain, "topic",
                                 d->topic, "source", d->source, "keywords", d->keywords, "text", d->text, "created_at",
                                 at));
}

static bool full(cvm_turn *t)
{
    const json_t *counts = NULL;
    int64_t most = cvm_json_int(cvm_settings(t), "max_documents", KB_DOCUMENTS_MAX);
    return cvm_state_get(t, "count", &counts) == CVM_OK && cvm_json_int(counts, "documents", 0) >= most;
}

int shelf_put(cvm_turn *t, const struct kb_document *d, int64_t *ret_version)
{
    char key[DOCUMENT_ID_MAX + 8];
    const json_t *was = NULL;
    snprintf(key, sizeof key, "doc/%s", d->id);
    int e = cvm_state_get(t, key, &was);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    bool active = was && strcmp(cvm_json_str(was, "status", ""), "active") == 0;
    if (!active && full(t))
        return CVM_EBUSY;
    /* What comes back as it was is no new version. */
    bool same = was && strcmp(cvm_json_str(was, "hash", ""), d->hash) == 0;
    int64_t version = cvm_json_int(was, "version", 0) + !same;
    int64_t created = cvm_json_int(was, "created_ms", cvm_now_ms(t)), questions = 0;
    json_t *pieces = document_cut(d->text);
    answer_questions(kb_lexicon(t), pieces);
    json_t *rows = json_array(), *piece;
    size_t i, n = json_array_size(pieces);
    e = pieces ? CVM_OK : CVM_ENOMEM;
    json_array_foreach(pieces, i, piece)
    {
        questions += strcmp(cvm_json_str(piece, "kind", ""), "question") == 0;
        if (!e)
            e = put_row(t, d, i, piece, rows);
    }
    json_decref(pieces);
    if (!e && active)
        e = drop_rows(t, d->id, (int64_t)n, cvm_json_int(was, "rows", 0));
    if (!e)
        e = shelf_trace(t, d->id, rows, active ? cvm_json_int(was, "rows", 0) : 0);
    if (!e)
        e = count(t,
                  (struct change){active ? cvm_json_str(was, "domain", "") : NULL,
                                  active ? cvm_json_int(was, "rows", 0) : 0,
                                  active ? cvm_json_int(was, "questions", 0) : 0},
                  (struct change){d->domain, (int64_t)n, questions});
    if (!e && !same)
        e = put_version(t, d, version);
    if (!e)
        e = cvm_row_put(t, "kb_documents",
                        document_row(t, d, version, created, (int64_t)n - questions, questions, "active"));
    if (!e)
        e = cvm_state_put(t, key,
                          json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "version", (json_int_t)version,
                                    "status", "active", "hash", d->hash, "origin", d->origin, "file", d->file, "rows",
                                    (json_int_t)n, "questions", (json_int_t)questions, "domain", d->domain,
                                    "created_ms", (json_int_t)created));
    if (!e && kb_uses_model(t))
        e = ask_vectors(t, d->id, version, rows);
    json_decref(rows);
    if (!e)
        *ret_version = version;
    return e;
}

int shelf_take(cvm_turn *t, const char *id, const char *status)
{
    char key[DOCUMENT_ID_MAX + 8], at[32];
    const json_t *was = NULL;
    snprintf(key, sizeof key, "doc/%.64s", id);
    CVM_TRY(cvm_state_get(t, key, &was));
    if (strcmp(cvm_json_str(was, "status", ""), "active") != 0)
        return CVM_ENOENT;
    int64_t rows = cvm_json_int(was, "rows", 0), questions = cvm_json_int(was, "questions", 0);
    CVM_TRY(drop_rows(t, id, 0, rows));
    CVM_TRY(shelf_trace(t, id, NULL, rows));
    CVM_TRY(count(t, (struct change){cvm_json_str(was, "domain", ""), rows, questions}, (struct change){0}));
    kb_time(cvm_now_ms(t), at);
    CVM_TRY(cvm_row_put(t, "kb_documents",
                        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "document_id", id, "status", status, "domain",
                                  cvm_json_str(was, "domain", ""), "origin", cvm_json_str(was, "origin", ""), "version",
                                  (json_int_t)cvm_json_int(was, "version", 0), "updated_at", at)));
    json_t *now = json_copy((json_t *)(uintptr_t)was);
    json_object_set_new(now, "status", json_string(status));
    return cvm_state_put(t, key, now);
}
