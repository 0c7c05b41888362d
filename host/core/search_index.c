/* See search.h: the writer's side. Knows how an index is declared, made anew when the declaration changes, and changed
 * with a row. Runs on the writer's thread. */
#include "core/search.h"

#include "core/json_text.h"
#include "core/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VECTOR_RUN_MAX 100000 /* digits */

struct search_index {
    sqlite3_stmt *changed;
    sqlite3_stmt *near_put[MANIFEST_SEARCH_VECTORS_MAX], *near_del[MANIFEST_SEARCH_VECTORS_MAX];
};

/* ---- vectors as text --------------------------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

struct digits {
    const char *at, *end;
    size_t run; /* of zeros */
};

#define DIGITS_END (-2)

/* The next one; -1: there is none. "*12;" is twelve times A. */
static int next_digit(struct digits *d)
{
    size_t n = 0;
    if (d->run > 0) {
        d->run--;
        return 0;
    }
    if (d->at == d->end || *d->at == '=')
        return DIGITS_END;
    if (*d->at != '*')
        return digit(*d->at++);
    for (d->at++; d->at < d->end && *d->at >= '0' && *d->at <= '9' && n < VECTOR_RUN_MAX; d->at++)
        n = n * 10 + (size_t)(*d->at - '0');
    if (d->at == d->end || *d->at != ';' || n == 0 || n > VECTOR_RUN_MAX)
        return -1;
    d->at++;
    d->run = n - 1;
    return 0;
}

int search_vector(const char *text, size_t len, float *ret_vector, int max, int *ret_dimension)
{
    uint32_t bits = 0, word = 0;
    int n_bits = 0, n_bytes = 0, n = 0, d;
    double sum = 0;
    struct digits digits = {.at = text, .end = text + len};
    while ((d = next_digit(&digits)) != DIGITS_END) {
        while (!n_bits && !n_bytes && !d && digits.run >= 15 && n + 3 <= max) { /* three numbers that are 0 */
            memset(&ret_vector[n], 0, 3 * sizeof *ret_vector);
            n += 3;
            digits.run -= 15;
            d = next_digit(&digits);
        }
        if (d == DIGITS_END)
            break;
        if (d < 0)
            return CVM_EINVAL;
        bits = bits << 6 | (uint32_t)d;
        if ((n_bits += 6) < 8)
            continue;
        n_bits -= 8;
        word |= (bits >> n_bits & 0xff) << 8 * n_bytes;
        if (++n_bytes < 4)
            continue;
        if (n == max)
            return CVM_EINVAL;
        memcpy(&ret_vector[n], &word, sizeof word);
        if (!isfinite(ret_vector[n]))
            return CVM_EINVAL;
        sum += (double)ret_vector[n] * (double)ret_vector[n];
        n++;
        word = 0;
        n_bytes = 0;
    }
    if (n_bytes || sum < 1e-12 || !isfinite(sum))
        return CVM_EINVAL;
    float scale = (float)(1 / sqrt(sum));
    for (int i = 0; i < n; i++)
        ret_vector[i] *= scale;
    *ret_dimension = n;
    return 0;
}

bool search_is_good_vector(const char *text, int dimension)
{
    float v[MANIFEST_SEARCH_DIMENSION_MAX];
    int n = 0;
    return search_vector(text, strlen(text), v, dimension, &n) == 0 && n == dimension;
}

bool search_is_vector(const struct manifest_table *table, const char *column)
{
    for (size_t i = 0; i < table->search.n_vectors; i++)
        if (strcmp(table->search.vectors[i].column, column) == 0)
            return true;
    return false;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int run(sqlite3 *db, const struct text *sql)
{
    return sql->failed || sqlite3_exec(db, sql->at, NULL, NULL, NULL) ? CVM_EDATA : 0;
}

static bool is_text(const struct manifest_table *d, const char *column)
{
    for (size_t i = 0; i < d->search.n_texts; i++)
        if (strcmp(d->search.texts[i].column, column) == 0)
            return true;
    return false;
}

/* What is declared, as it is noted for readers: {"form": 2, "key", "columns": texts first, without vectors, "texts":
 * [[column, weight], ..], "vectors": [[column, dimension], ..]}. Text for free(), or NULL. */
static char *declared(const struct manifest_table *d)
{
    json_t *columns = json_array(), *texts = json_array(), *vectors = json_array();
    for (size_t i = 0; i < d->search.n_texts; i++) {
        json_array_append_new(columns, json_string(d->search.texts[i].column));
        json_array_append_new(texts, json_pack("[s, f]", d->search.texts[i].column, d->search.texts[i].weight));
    }
    for (size_t i = 0; i < d->n_columns; i++)
        if (!is_text(d, d->columns[i].name) && !search_is_vector(d, d->columns[i].name))
            json_array_append_new(columns, json_string(d->columns[i].name));
    for (size_t i = 0; i < d->search.n_vectors; i++)
        json_array_append_new(vectors,
                              json_pack("[s, i]", d->search.vectors[i].column, d->search.vectors[i].dimension));
    json_t *form = json_pack("{s:i, s:s, s:o, s:o, s:o}", "form", 2, "key", d->key, "columns", columns, "texts", texts,
                             "vectors", vectors);
    char *text = form ? json_text(form, NULL) : NULL;
    json_decref(form);
    return text;
}

static bool is_declared_so(sqlite3 *db, const char *table, const char *so)
{
    sqlite3_stmt *st = NULL;
    bool same = false;
    if (sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = 'search ' || ?", -1, &st, NULL))
        return false;
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_text(st, 0))
        same = strcmp((const char *)sqlite3_column_text(st, 0), so) == 0;
    sqlite3_finalize(st);
    return same;
}

/* The rows that stand are noted as changed; an index of words that an earlier version kept goes. The declaration is
 * noted last. */
static int make_rows(sqlite3 *db, const struct manifest_table *d, const char *so)
{
    struct text sql;
    text_init(&sql, 65536);
    text_printf(&sql,
                "SAVEPOINT search; DROP TABLE IF EXISTS \"%s__words\"; DROP TABLE IF EXISTS \"%s__text\";"
                "CREATE TABLE IF NOT EXISTS \"%s__rows\"(seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
                "INSERT OR IGNORE INTO \"%s__rows\"(key) SELECT \"%s\" FROM \"%s\"",
                d->name, d->name, d->name, d->name, d->key, d->name);
    sqlite3_stmt *st = NULL;
    int e = run(db, &sql);
    if (!e &&
        sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta(key, value) VALUES('search ' || ?1, ?2)", -1, &st, NULL))
        e = CVM_EDATA;
    if (!e) {
        sqlite3_bind_text(st, 1, d->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 2, so, -1, SQLITE_STATIC);
        e = sqlite3_step(st) == SQLITE_DONE ? 0 : CVM_EDATA;
    }
    sqlite3_finalize(st);
    sqlite3_exec(db, e ? "ROLLBACK TO search; RELEASE search" : "RELEASE search", NULL, NULL, NULL);
    text_free(&sql);
    return e;
}

static int prepare_rows(struct store *s, const struct manifest_table *d, struct search_index *index)
{
    struct text sql;
    text_init(&sql, 4096);
    text_printf(&sql, "INSERT OR REPLACE INTO \"%s__rows\"(key) VALUES(?1)", d->name);
    int e = store_keep(s, &sql, &index->changed);
    text_free(&sql);
    return e;
}

static int make_vectors(struct store *s, const struct manifest_table *d, struct search_index *index)
{
    struct text sql;
    int e = 0;
    text_init(&sql, 65536);
    for (size_t i = 0; !e && i < d->search.n_vectors; i++) {
        const char *column = d->search.vectors[i].column;
        text_reset(&sql);
        text_printf(&sql,
                    "CREATE TABLE IF NOT EXISTS \"%s__near_%s\"(seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
                    " vector BLOB)",
                    d->name, column);
        e = run(s->db, &sql);
        text_reset(&sql);
        text_printf(&sql, "INSERT OR REPLACE INTO \"%s__near_%s\"(key, vector) VALUES(?1, ?2)", d->name, column);
        e = e ? e : store_keep(s, &sql, &index->near_put[i]);
        text_reset(&sql);
        text_printf(&sql,
                    "INSERT OR REPLACE INTO \"%s__near_%s\"(key, vector) SELECT key, NULL FROM \"%s__near_%s\""
                    " WHERE key = ?1 AND vector IS NOT NULL",
                    d->name, column, d->name, column);
        e = e ? e : store_keep(s, &sql, &index->near_del[i]);
    }
    text_free(&sql);
    return e;
}

bool search_index_stands(struct store *s, const struct manifest_table *d)
{
    struct text sql;
    text_init(&sql, 4096);
    text_printf(&sql, "SELECT seq FROM \"%s__rows\" LIMIT 0", d->name);
    bool stands = run(s->db, &sql) == 0;
    text_free(&sql);
    return stands;
}

int search_index_make(struct store *s, const struct manifest_table *d, struct search_index **ret_index)
{
    struct search_index *index = calloc(1, sizeof *index);
    bool searched = d->search.n_texts || d->search.n_vectors;
    char *so = declared(d);
    int e = index && so ? make_vectors(s, d, index) : CVM_EDATA;
    if (!e && searched && !is_declared_so(s->db, d->name, so))
        e = make_rows(s->db, d, so);
    if (!e)
        e = prepare_rows(s, d, index);
    free(so);
    if (e) {
        free(index); /* its statements end with the store */
        return e;
    }
    *ret_index = index;
    return 0;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static int step(sqlite3_stmt *st)
{
    int e = sqlite3_step(st);
    sqlite3_reset(st);
    return e == SQLITE_DONE || e == SQLITE_ROW ? SQLITE_OK : e;
}

static int put_vector(struct search_index *index, const struct manifest_table *d, size_t i, const char *key,
                      const json_t *row)
{
    float v[MANIFEST_SEARCH_DIMENSION_MAX];
    const json_t *value = json_object_get(row, d->search.vectors[i].column);
    int n = 0;
    bool is = json_is_string(value) && search_vector(json_string_value(value), json_string_length(value), v,
                                                     d->search.vectors[i].dimension, &n) == 0;
    sqlite3_stmt *st = is ? index->near_put[i] : index->near_del[i];
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    if (is)
        sqlite3_bind_blob(st, 2, v, n * (int)sizeof *v, SQLITE_TRANSIENT);
    return step(st);
}

int search_index_put(struct search_index *index, const struct manifest_table *d, const char *key, const json_t *row)
{
    sqlite3_bind_text(index->changed, 1, key, -1, SQLITE_STATIC);
    int e = step(index->changed);
    for (size_t i = 0; !e && i < d->search.n_vectors; i++)
        e = put_vector(index, d, i, key, row);
    return e;
}
