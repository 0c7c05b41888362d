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

/* 1 more than what a digit stands for; 0: it is none. */
static const uint8_t digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* What comes out, three bytes of four digits. */
struct decoded {
    uint8_t *bytes;
    size_t n, max;
    uint32_t bits;
    int n_bits; /* that are no byte yet: 0, 2, 4, 6 */
};

static int put_digit(struct decoded *d, uint32_t value)
{
    d->bits = d->bits << 6 | value;
    d->n_bits += 6;
    if (d->n_bits < 8)
        return 0;
    if (d->n == d->max)
        return CVM_EINVAL;
    d->n_bits -= 8;
    d->bytes[d->n++] = (uint8_t)(d->bits >> d->n_bits);
    return 0;
}

static int put_zeros(struct decoded *d, size_t n)
{
    for (; n && d->n_bits; n--)
        CVM_TRY(put_digit(d, 0));
    size_t whole = n / 4 * 3;
    if (whole > d->max - d->n)
        return CVM_EINVAL;
    memset(d->bytes + d->n, 0, whole);
    d->n += whole;
    for (n %= 4; n; n--)
        CVM_TRY(put_digit(d, 0));
    return 0;
}

/* "*12;" at *at: twelve times A. */
static int read_run(const char **at, const char *end, size_t *ret_n)
{
    size_t n = 0;
    const char *c = *at + 1;
    for (; c < end && *c >= '0' && *c <= '9' && n < VECTOR_RUN_MAX; c++)
        n = n * 10 + (size_t)(*c - '0');
    if (c == end || *c != ';' || n == 0 || n > VECTOR_RUN_MAX)
        return CVM_EINVAL;
    *at = c + 1;
    *ret_n = n;
    return 0;
}

/* Of the digits at *at as many as make whole threes of bytes. */
static void read_fours(const char **at, const char *end, struct decoded *d)
{
    const uint8_t *c = (const uint8_t *)*at;
    uint8_t *to = d->bytes + d->n;
    size_t fours = (size_t)(end - *at) / 4, room = (d->max - d->n) / 3;
    for (size_t n = fours < room ? fours : room; n; n--) {
        uint32_t one = digits[c[0]] - 1U, two = digits[c[1]] - 1U, three = digits[c[2]] - 1U, four = digits[c[3]] - 1U;
        if ((one | two | three | four) > 63)
            break;
        uint32_t bits = one << 18 | two << 12 | three << 6 | four;
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
        to += 3;
        c += 4;
    }
    *at = (const char *)c;
    d->n = (size_t)(to - d->bytes);
}

static int decode(const char *at, const char *end, struct decoded *d)
{
    while (at < end && *at != '=') {
        size_t run = 0;
        if (*at == '*') {
            CVM_TRY(read_run(&at, end, &run));
            CVM_TRY(put_zeros(d, run));
        }
        if (!d->n_bits)
            read_fours(&at, end, d);
        if (at == end || *at == '*' || *at == '=')
            continue;
        uint8_t digit = digits[(uint8_t)*at++];
        if (!digit || put_digit(d, digit - 1U) < 0)
            return CVM_EINVAL;
    }
    return 0;
}

/* The numbers as they are written: little-endian, as all that we run on. */
static int read_vector(const char *text, size_t len, float *ret_vector, int max, int *ret_dimension, double *ret_sum)
{
    struct decoded d = {.bytes = (uint8_t *)ret_vector, .max = (size_t)max * sizeof *ret_vector};
    double sum = 0;
    CVM_TRY(decode(text, text + len, &d));
    size_t n = d.n / sizeof *ret_vector;
    for (size_t i = 0; i < n; i++)
        sum += (double)ret_vector[i] * (double)ret_vector[i];
    if (d.n % sizeof *ret_vector || sum < 1e-12 || !isfinite(sum)) /* nor is it where a number is not finite */
        return CVM_EINVAL;
    *ret_dimension = (int)n;
    *ret_sum = sum;
    return 0;
}

int search_vector(const char *text, size_t len, float *ret_vector, int max, int *ret_dimension)
{
    double sum = 0;
    CVM_TRY(read_vector(text, len, ret_vector, max, ret_dimension, &sum));
    float scale = (float)(1 / sqrt(sum));
    for (int i = 0; i < *ret_dimension; i++)
        ret_vector[i] *= scale;
    return 0;
}

bool search_is_good_vector(const char *text, int dimension)
{
    float v[MANIFEST_SEARCH_DIMENSION_MAX];
    double sum = 0;
    int n = 0;
    return read_vector(text, strlen(text), v, dimension, &n, &sum) == 0 && n == dimension;
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
