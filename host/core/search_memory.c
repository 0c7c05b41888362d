/* See search_memory.h: made of the rows that changed since the last search. Words are cut and stemmed by FTS5's
 * tokenizer, whose index is not used: its ranking reads a row of a table for each row that has a word. */
#include "core/search_memory.h"

#include "core/id.h"
#include "core/json_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 16
#define DEAD_LEAST 4096 /* rows that are gone, or words; where they are more than the others too, all is read anew */

struct search_memory {
    struct search_table *tables[TABLES_MAX];
    size_t n;
    sqlite3_stmt *declared; /* what is declared of a table */
    fts5_tokenizer cutter;
    Fts5Tokenizer *cut;
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* `text_of` an index gives its name. */
static uint32_t *place(const struct search_places *p, const char *name, size_t len,
                       const char *(*text_of)(const struct search_table *, uint32_t), const struct search_table *t)
{
    uint32_t at = (uint32_t)id_hash(name, len, 0x6e656172) & p->mask;
    for (; p->at[at]; at = (at + 1) & p->mask) {
        const char *is = text_of(t, p->at[at] - 1);
        if (strncmp(is, name, len) == 0 && !is[len])
            break;
    }
    return &p->at[at];
}

static const char *key_of(const struct search_table *t, uint32_t i)
{
    return t->rows[i].key;
}

static const char *term_of(const struct search_table *t, uint32_t i)
{
    return t->terms[i].text;
}

/* Room for one more, at most half full. */
static int widen(struct search_places *p, const char *(*text_of)(const struct search_table *, uint32_t),
                 const struct search_table *t)
{
    if (p->at && p->n < p->mask / 2)
        return 0;
    struct search_places wide = {.mask = p->at ? p->mask * 2 + 1 : 1023};
    wide.at = calloc((size_t)wide.mask + 1, sizeof *wide.at);
    if (!wide.at)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < p->n; i++) {
        const char *name = text_of(t, i);
        *place(&wide, name, strlen(name), text_of, t) = i + 1;
    }
    wide.n = p->n;
    free(p->at);
    *p = wide;
    return 0;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int grow(struct search_table *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : 256;
    struct search_row *rows = realloc(t->rows, cap * sizeof *rows);
    if (rows)
        t->rows = rows;
    uint64_t *values = realloc(t->values, cap * t->n_columns * sizeof *values);
    if (values)
        t->values = values;
    double *scores = calloc(cap, sizeof *scores);
    if (scores) {
        free(t->scores);
        t->scores = scores;
    }
    bool good = rows && values && scores;
    for (size_t i = 0; i < t->n_vectors; i++) {
        struct search_vectors *v = &t->vectors[i];
        float *at = v->at ? realloc(v->at, (size_t)cap * (size_t)v->dimension * sizeof *at) : NULL;
        uint8_t *has = realloc(v->has, cap);
        good = good && has && (at || !v->at);
        v->at = at ? at : v->at;
        v->has = has ? has : v->has;
    }
    if (!good)
        return CVM_ENOMEM;
    t->cap = cap;
    return 0;
}

/* The row's index; a new one where the key is new. CVM_ELIMIT: no more are kept. */
static int row_of(struct search_table *t, const char *key, uint32_t *ret_row)
{
    CVM_TRY(widen(&t->keys, key_of, t));
    uint32_t *at = place(&t->keys, key, strlen(key), key_of, t);
    if (!*at) {
        if (t->n == SEARCH_ROWS_MAX)
            return CVM_ELIMIT;
        if (t->n == t->cap)
            CVM_TRY(grow(t));
        char *copy = strdup(key);
        if (!copy)
            return CVM_ENOMEM;
        t->rows[t->n] = (struct search_row){.key = copy};
        for (size_t i = 0; i < t->n_vectors; i++)
            t->vectors[i].has[t->n] = 0;
        *at = ++t->n;
        t->keys.n = t->n;
    }
    *ret_row = *at - 1;
    return 0;
}

static void take_out(struct search_table *t, uint32_t i)
{
    struct search_row *row = &t->rows[i];
    for (uint32_t k = 0; k < row->n_terms; k++) {
        struct search_term *term = &t->terms[row->terms[k]];
        uint32_t at = 0;
        while (term->at[at].row != i)
            at++;
        term->at[at] = term->at[--term->n];
        t->n_used -= !term->n;
    }
    for (size_t k = 0; k < t->n_vectors; k++)
        t->vectors[k].has[i] = 0;
    free(row->terms);
    t->n_tokens -= row->tokens;
    t->n_alive -= row->alive;
    *row = (struct search_row){.key = row->key};
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

struct cutting {
    struct search_table *table;
    uint32_t row, *terms, n, cap, tokens;
    float weight;
    int error;
};

static int term_index(struct search_table *t, const char *text, size_t len, uint32_t *ret_term)
{
    CVM_TRY(widen(&t->words, term_of, t));
    uint32_t *at = place(&t->words, text, len, term_of, t);
    if (!*at) {
        if (t->n_terms == t->terms_cap) {
            uint32_t cap = t->terms_cap ? t->terms_cap * 2 : 1024;
            struct search_term *terms = realloc(t->terms, cap * sizeof *terms);
            if (!terms)
                return CVM_ENOMEM;
            t->terms = terms;
            t->terms_cap = cap;
        }
        char *copy = strndup(text, len);
        if (!copy)
            return CVM_ENOMEM;
        t->terms[t->n_terms] = (struct search_term){.text = copy};
        *at = ++t->n_terms;
        t->words.n = t->n_terms;
    }
    *ret_term = *at - 1;
    return 0;
}

static int add_posting(struct cutting *c, uint32_t i)
{
    struct search_term *term = &c->table->terms[i];
    if (term->n && term->at[term->n - 1].row == c->row) { /* of the row that is being read: the last one */
        term->at[term->n - 1].times += c->weight;
        return 0;
    }
    if (term->n == term->cap) {
        uint32_t cap = term->cap ? term->cap * 2 : 2;
        struct search_posting *at = realloc(term->at, cap * sizeof *at);
        if (!at)
            return CVM_ENOMEM;
        term->at = at;
        term->cap = cap;
    }
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64, *terms = realloc(c->terms, cap * sizeof *terms);
        if (!terms)
            return CVM_ENOMEM;
        c->terms = terms;
        c->cap = cap;
    }
    c->table->n_used += !term->n;
    term->at[term->n++] = (struct search_posting){c->row, c->weight};
    c->terms[c->n++] = i;
    return 0;
}

static int keep_token(void *arg, int flags, const char *text, int len, int start, int end)
{
    struct cutting *c = arg;
    uint32_t term = 0;
    (void)flags, (void)start, (void)end;
    c->error = term_index(c->table, text, len > SEARCH_TERM_MAX_BYTES ? SEARCH_TERM_MAX_BYTES : (size_t)len, &term);
    if (!c->error)
        c->error = add_posting(c, term);
    c->tokens++;
    return c->error ? SQLITE_NOMEM : SQLITE_OK;
}

struct finding {
    const struct search_table *table;
    uint32_t *terms;
    size_t n;
    bool missing;
};

static int find_token(void *arg, int flags, const char *text, int len, int start, int end)
{
    struct finding *f = arg;
    (void)flags, (void)start, (void)end;
    uint32_t at = f->table->words.at
                      ? *place(&f->table->words, text,
                               len > SEARCH_TERM_MAX_BYTES ? SEARCH_TERM_MAX_BYTES : (size_t)len, term_of, f->table)
                      : 0;
    f->missing = f->missing || !at || !f->table->terms[at - 1].n || f->n == SEARCH_TOKENS_MAX;
    if (!f->missing)
        f->terms[f->n++] = at - 1;
    return SQLITE_OK;
}

size_t search_memory_terms(struct search_memory *m, const struct search_table *t, const char *word,
                           uint32_t ret_terms[SEARCH_TOKENS_MAX])
{
    struct finding f = {.table = t, .terms = ret_terms};
    m->cutter.xTokenize(m->cut, &f, FTS5_TOKENIZE_QUERY, word, (int)strlen(word), find_token);
    return f.missing ? 0 : f.n;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static uint64_t number_value(double x)
{
    int64_t whole = x >= -9e18 && x <= 9e18 ? (int64_t)x : 0;
    return (double)whole == x ? id_hash(&whole, sizeof whole, 2) | 1 : id_hash(&x, sizeof x, 3) | 1;
}

uint64_t search_value(const json_t *value)
{
    json_int_t whole = json_integer_value(value);
    return json_is_string(value)    ? id_hash(json_string_value(value), json_string_length(value), 1) | 1
           : json_is_integer(value) ? id_hash(&whole, sizeof whole, 2) | 1
           : json_is_real(value)    ? number_value(json_real_value(value))
           : json_is_boolean(value) ? number_value(json_is_true(value))
                                    : 0;
}

static uint64_t column_value(sqlite3_stmt *st, int i)
{
    int64_t whole;
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_TEXT:
        return id_hash(sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i), 1) | 1;
    case SQLITE_INTEGER:
        whole = sqlite3_column_int64(st, i);
        return id_hash(&whole, sizeof whole, 2) | 1;
    case SQLITE_FLOAT:
        return number_value(sqlite3_column_double(st, i));
    default:
        return 0;
    }
}

/* ---- reading what has changed ------------------------------------------------------------------------------------ */

static int put_vector(struct search_vectors *v, const struct search_table *t, uint32_t row, const void *vector)
{
    if (!v->at && !(v->at = calloc((size_t)t->cap * (size_t)v->dimension, sizeof *v->at)))
        return CVM_ENOMEM;
    float *to = search_block(v, row) + row % SEARCH_LANES;
    for (int i = 0; i < v->dimension; i++)
        memcpy(&to[i * SEARCH_LANES], (const char *)vector + (size_t)i * sizeof *to, sizeof *to);
    v->has[row] = 1;
    return 0;
}

/* seq, key, whether the row stands, its columns, its vectors. The texts are the first columns. */
static int put_in(struct search_memory *m, struct search_table *t, uint32_t i, sqlite3_stmt *st)
{
    struct cutting c = {.table = t, .row = i};
    const json_t *texts = json_object_get(t->form, "texts");
    int e = 0;
    for (size_t k = 0; k < t->n_columns; k++)
        t->values[i * t->n_columns + k] = column_value(st, (int)k + 3);
    for (size_t k = 0; !e && k < t->n_texts; k++) {
        const char *text = (const char *)sqlite3_column_text(st, (int)k + 3);
        c.weight = (float)json_number_value(json_array_get(json_array_get(texts, k), 1));
        if (text && m->cutter.xTokenize(m->cut, &c, FTS5_TOKENIZE_DOCUMENT, text, sqlite3_column_bytes(st, (int)k + 3),
                                        keep_token))
            e = CVM_ENOMEM;
    }
    struct search_row *row = &t->rows[i];
    row->terms = c.terms;
    row->n_terms = c.n;
    row->tokens = c.tokens;
    row->alive = true;
    t->n_alive++;
    t->n_tokens += c.tokens;
    for (size_t k = 0; !e && k < t->n_vectors; k++) {
        int at = (int)(3 + t->n_columns + k);
        const void *vector = sqlite3_column_blob(st, at);
        if (vector && sqlite3_column_bytes(st, at) == t->vectors[k].dimension * (int)sizeof(float))
            e = put_vector(&t->vectors[k], t, i, vector);
    }
    if (e)
        take_out(t, i);
    return e;
}

static int read_changes(struct search_memory *m, struct search_table *t)
{
    int step, e = 0;
    sqlite3_bind_int64(t->changes, 1, t->seq);
    while (!e && (step = sqlite3_step(t->changes)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(t->changes, 1);
        bool stands = sqlite3_column_type(t->changes, 2) != SQLITE_NULL;
        uint32_t row = 0, known = t->keys.at && key ? *place(&t->keys, key, strlen(key), key_of, t) : 0;
        if (known)
            take_out(t, known - 1);
        if (key && stands && !(e = row_of(t, key, &row)))
            e = put_in(m, t, row, t->changes);
        e = e == CVM_ELIMIT ? 0 : e;
        if (!e)
            t->seq = sqlite3_column_int64(t->changes, 0);
    }
    sqlite3_reset(t->changes);
    return e ? e : step == SQLITE_DONE ? 0 : step == SQLITE_INTERRUPT ? CVM_ETIMEOUT : CVM_EIO;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void table_free(struct search_table *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n; i++) {
        free(t->rows[i].key);
        free(t->rows[i].terms);
    }
    for (uint32_t i = 0; i < t->n_terms; i++) {
        free(t->terms[i].text);
        free(t->terms[i].at);
    }
    for (size_t i = 0; i < t->n_vectors; i++) {
        free(t->vectors[i].at);
        free(t->vectors[i].has);
    }
    sqlite3_finalize(t->changes);
    sqlite3_finalize(t->row);
    free(t->rows);
    free(t->values);
    free(t->scores);
    free(t->terms);
    free(t->keys.at);
    free(t->words.at);
    json_decref(t->form);
    free(t->form_text);
    free(t->name);
    free(t);
}

void search_memory_free(struct search_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        table_free(m->tables[i]);
    sqlite3_finalize(m->declared);
    if (m->cut)
        m->cutter.xDelete(m->cut);
    free(m);
}

/* What is declared, as text for free(); NULL: it is not searched. */
static char *form_of(struct search_memory *m, const char *table)
{
    char *form = NULL;
    sqlite3_bind_text(m->declared, 1, table, -1, SQLITE_STATIC);
    if (sqlite3_step(m->declared) == SQLITE_ROW && sqlite3_column_text(m->declared, 0))
        form = strdup((const char *)sqlite3_column_text(m->declared, 0));
    sqlite3_reset(m->declared);
    return form;
}

static bool is_declared_so(struct search_memory *m, const struct search_table *t)
{
    sqlite3_bind_text(m->declared, 1, t->name, -1, SQLITE_STATIC);
    const char *form =
        sqlite3_step(m->declared) == SQLITE_ROW ? (const char *)sqlite3_column_text(m->declared, 0) : NULL;
    bool same = form && strcmp(form, t->form_text) == 0;
    sqlite3_reset(m->declared);
    return same;
}

static void add_columns(struct text *sql, const json_t *columns)
{
    for (size_t i = 0; i < json_array_size(columns); i++)
        text_printf(sql, "%st.\"%s\"", i ? ", " : "", json_string_value(json_array_get(columns, i)));
}

static int prepare(sqlite3 *db, struct text *sql, sqlite3_stmt **ret_statement)
{
    return sql->failed || sqlite3_prepare_v3(db, sql->at, (int)sql->len, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL)
               ? CVM_EIO
               : 0;
}

static int prepare_table(struct search_table *t, sqlite3 *db)
{
    const json_t *columns = json_object_get(t->form, "columns"), *vectors = json_object_get(t->form, "vectors");
    const char *key = json_string_value(json_object_get(t->form, "key"));
    struct text sql;
    text_init(&sql, 65536);
    text_printf(&sql, "SELECT r.seq, r.key, t.\"%s\", ", key);
    add_columns(&sql, columns);
    for (size_t i = 0; i < t->n_vectors; i++)
        text_printf(&sql, ", n%zu.vector", i);
    text_printf(&sql, " FROM \"%s__rows\" r LEFT JOIN \"%s\" t ON t.\"%s\" = r.key", t->name, t->name, key);
    for (size_t i = 0; i < t->n_vectors; i++)
        text_printf(&sql, " LEFT JOIN \"%s__near_%s\" n%zu ON n%zu.key = r.key", t->name,
                    json_string_value(json_array_get(json_array_get(vectors, i), 0)), i, i);
    text_puts(&sql, " WHERE r.seq > ?1 ORDER BY r.seq");
    int e = prepare(db, &sql, &t->changes);
    text_reset(&sql);
    text_puts(&sql, "SELECT ");
    add_columns(&sql, columns);
    text_printf(&sql, " FROM \"%s\" t WHERE t.\"%s\" = ?1", t->name, key);
    e = e ? e : prepare(db, &sql, &t->row);
    text_free(&sql);
    return e;
}

/* Takes `form_text`. */
static int table_make(sqlite3 *db, const char *name, char *form_text, struct search_table **ret_table)
{
    struct search_table *t = calloc(1, sizeof *t);
    if (!t) {
        free(form_text);
        return CVM_ENOMEM;
    }
    t->name = strdup(name);
    t->form_text = form_text;
    t->form = json_loads(form_text, 0, NULL);
    const json_t *vectors = json_object_get(t->form, "vectors");
    t->n_columns = json_array_size(json_object_get(t->form, "columns"));
    t->n_texts = json_array_size(json_object_get(t->form, "texts"));
    size_t n = json_array_size(vectors);
    t->n_vectors = n > MANIFEST_SEARCH_VECTORS_MAX ? MANIFEST_SEARCH_VECTORS_MAX : n;
    for (size_t i = 0; i < t->n_vectors; i++) {
        int dimension = (int)json_integer_value(json_array_get(json_array_get(vectors, i), 1));
        t->vectors[i].dimension = dimension;
    }
    int e = !t->name ? CVM_ENOMEM : !t->form || !t->n_columns ? CVM_ENOENT : prepare_table(t, db);
    if (e) {
        table_free(t);
        return e;
    }
    *ret_table = t;
    return 0;
}

static int memory_make(sqlite3 *db, struct search_memory **ret_memory)
{
    static const char *const how[] = {"unicode61", "remove_diacritics", "2"};
    struct search_memory *m = calloc(1, sizeof *m);
    sqlite3_stmt *st = NULL;
    fts5_api *api = NULL;
    void *maker = NULL;
    if (m && !sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &st, NULL)) {
        sqlite3_bind_pointer(st, 1, (void *)&api, "fts5_api_ptr", NULL);
        sqlite3_step(st);
    }
    sqlite3_finalize(st);
    if (!api || api->xFindTokenizer(api, "porter", &maker, &m->cutter) ||
        m->cutter.xCreate(maker, (const char **)(uintptr_t)how, 3, &m->cut) ||
        sqlite3_prepare_v3(db, "SELECT value FROM meta WHERE key = 'search ' || ?1", -1, SQLITE_PREPARE_PERSISTENT,
                           &m->declared, NULL)) {
        search_memory_free(m);
        return CVM_ENOMEM;
    }
    *ret_memory = m;
    return 0;
}

/* Most of what it holds is gone: rows, or words that no row has any more; or there is no room for others. */
static bool is_worn(const struct search_table *t)
{
    uint32_t dead = t->n - t->n_alive, unused = t->n_terms - t->n_used;
    return (dead > DEAD_LEAST && (dead > t->n_alive || t->n == SEARCH_ROWS_MAX)) ||
           (unused > DEAD_LEAST && unused > t->n_used);
}

/* Forgets tables that are declared otherwise now, and those that are better read anew. */
static void forget(struct search_memory *m)
{
    for (size_t i = m->n; i-- > 0;)
        if (is_worn(m->tables[i]) || !is_declared_so(m, m->tables[i])) {
            table_free(m->tables[i]);
            m->tables[i] = m->tables[--m->n];
        }
}

int search_memory_read(struct search_memory **memory, sqlite3 *db, const char *table, struct search_table **ret_table)
{
    struct search_table *t = NULL;
    if (!*memory)
        CVM_TRY(memory_make(db, memory));
    struct search_memory *m = *memory;
    forget(m);
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->tables[i]->name, table) == 0)
            t = m->tables[i];
    if (!t) {
        char *form = form_of(m, table);
        if (!form)
            return CVM_ENOENT;
        CVM_TRY(table_make(db, table, form, &t));
        if (m->n == TABLES_MAX)
            table_free(m->tables[--m->n]);
        m->tables[m->n++] = t;
    }
    CVM_TRY(read_changes(m, t));
    *ret_table = t;
    return 0;
}
