/* See search.h: a reader's side. Owns the functions that the SQL of a search calls and the SQL itself. A question's
 * words reach FTS5 in quotes, so nothing in them is syntax. Thread of the reader. */
#include "core/search.h"

#include "core/json_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX_BYTES 63
#define SPELL_LEAST 4          /* letters of a word that is worth a guess */
#define SPELL_TERMS_MAX 20000  /* of the vocabulary, looked at for one word */
#define COMMON_SHARE 4         /* a word in more than a quarter of the rows finds nothing */
#define COMMON_LEAST_ROWS 2000 /* where there are fewer, looking costs nothing */

struct word {
    char text[WORD_MAX_BYTES + 1], as[WORD_MAX_BYTES + 1];
    int64_t rows;
};

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool in_word(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

/* Distinct words, in lower case where they are ASCII. */
static size_t read_words(const char *text, struct word *words)
{
    size_t n = 0;
    while (*text && n < SEARCH_WORDS_MAX) {
        size_t len = 0;
        struct word *w = &words[n];
        while (*text && !in_word((unsigned char)*text))
            text++;
        for (; in_word((unsigned char)*text); text++)
            if (len < WORD_MAX_BYTES)
                w->text[len++] = (char)((unsigned char)*text < 0x80 ? tolower((unsigned char)*text) : *text);
        w->text[len] = 0;
        if (!len || (len == WORD_MAX_BYTES && !text_is_utf8(w->text, len)))
            continue;
        bool seen = false;
        for (size_t i = 0; i < n && !seen; i++)
            seen = strcmp(words[i].text, w->text) == 0;
        n += !seen;
    }
    return n;
}

/* Rows that have the word; -1: the index cannot be read. */
static int64_t count_rows(sqlite3_stmt *st, const char *word)
{
    char quoted[WORD_MAX_BYTES + 3];
    snprintf(quoted, sizeof quoted, "\"%s\"", word);
    sqlite3_bind_text(st, 1, quoted, -1, SQLITE_STATIC);
    int64_t n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_reset(st);
    return n;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *form, const char *table)
{
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf(form, table, table);
    if (sql)
        sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    sqlite3_free(sql);
    return st;
}

/* ---- spelling ---------------------------------------------------------------------------------------------------- */

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Letters to change, leave out, add, or exchange with their neighbours; `most` + 1 where there are more. */
static int distance(const char *a, size_t n, const char *b, size_t m, int most)
{
    int rows[3][WORD_MAX_BYTES + 2], *before = rows[0], *last = rows[1], *now = rows[2];
    if (abs((int)n - (int)m) > most)
        return most + 1;
    for (size_t k = 0; k <= m; k++)
        last[k] = (int)k;
    for (size_t i = 1; i <= n; i++) {
        int best = now[0] = (int)i;
        for (size_t k = 1; k <= m; k++) {
            int d = last[k - 1] + (a[i - 1] != b[k - 1]);
            d = least(d, least(last[k], now[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                d = least(d, before[k - 2] + 1);
            now[k] = d;
            best = least(best, d);
        }
        if (best > most)
            return most + 1;
        int *swap = before;
        before = last;
        last = now;
        now = swap;
    }
    return last[m];
}

/* The vocabulary holds stems: the word is compared as it is and without what a stem has lost. */
static int distance_to_stem(const char *word, const char *term, int most)
{
    static const char *const endings[] = {"", "s", "es", "ed", "e", "ing", "y", "ion", "ment", "ation", "ations"};
    size_t n = strlen(word), m = strlen(term);
    int best = most + 1;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t cut = strlen(endings[i]);
        if (n >= cut + SPELL_LEAST && strcmp(word + n - cut, endings[i]) == 0)
            best = least(best, distance(word, n - cut, term, m, most));
    }
    return best;
}

/* The term of the vocabulary that the word may have been meant to be, of those with its first letter. */
static void spell(sqlite3_stmt *terms, struct word *w)
{
    size_t n = strlen(w->text);
    int most = n >= 8 ? 2 : 1, best = most + 1, looked = 0;
    char first[2] = {w->text[0], 0}, next[2] = {(char)(w->text[0] + 1), 0};
    if (n < SPELL_LEAST || !islower((unsigned char)w->text[0]) || strpbrk(w->text, "0123456789"))
        return;
    sqlite3_bind_text(terms, 1, first, -1, SQLITE_STATIC);
    sqlite3_bind_text(terms, 2, next, -1, SQLITE_STATIC);
    while (looked++ < SPELL_TERMS_MAX && sqlite3_step(terms) == SQLITE_ROW) {
        const char *term = (const char *)sqlite3_column_text(terms, 0);
        int64_t rows = sqlite3_column_int64(terms, 1);
        if (!term || strlen(term) < SPELL_LEAST || strlen(term) > WORD_MAX_BYTES)
            continue;
        int d = distance_to_stem(w->text, term, most);
        if (d <= most && (d < best || (d == best && rows > w->rows))) {
            best = d;
            w->rows = rows;
            snprintf(w->as, sizeof w->as, "%s", term);
        }
    }
    sqlite3_reset(terms);
}

/* ---- cvm_words --------------------------------------------------------------------------------------------------- */

static void words_json(struct text *out, const struct word *words, size_t n, int64_t rows)
{
    struct text match;
    int used = 0;
    text_init(&match, SEARCH_MATCH_MAX_BYTES);
    for (int common = 0; common < 2 && !used; common++) /* where all are common, those are looked for */
        for (size_t i = 0; i < n; i++) {
            if (!words[i].rows || (!common && rows > COMMON_LEAST_ROWS && words[i].rows > rows / COMMON_SHARE))
                continue;
            text_printf(&match, "%s\"%s\"", used++ ? " OR " : "", *words[i].as ? words[i].as : words[i].text);
        }
    text_add(&match, "", 0);
    text_puts(out, "{\"match\":");
    text_string(out, used ? match.at : "\"\"");
    text_puts(out, ",\"n\":");
    text_int(out, rows);
    text_puts(out, ",\"terms\":[");
    for (size_t i = 0; i < n; i++) {
        text_puts(out, i ? ",[" : "[");
        text_string(out, words[i].text);
        text_char(out, ',');
        text_string(out, *words[i].as ? words[i].as : words[i].text);
        text_char(out, ',');
        text_int(out, words[i].rows);
        text_char(out, ']');
    }
    text_puts(out, "]}");
    out->failed = out->failed || match.failed;
    text_free(&match);
}

static void words_function(sqlite3_context *c, int n_args, sqlite3_value **args)
{
    (void)n_args;
    sqlite3 *db = sqlite3_context_db_handle(c);
    const char *table = (const char *)sqlite3_value_text(args[0]), *text = (const char *)sqlite3_value_text(args[1]);
    struct word words[SEARCH_WORDS_MAX] = {0};
    struct text out;
    int64_t rows = 0;
    size_t n = text ? read_words(text, words) : 0;
    sqlite3_stmt *count = prepare(db, "SELECT count(*) FROM \"%w__text\" WHERE \"%w__text\" MATCH ?1", table);
    sqlite3_stmt *all = prepare(db, "SELECT count(*) FROM \"%w__text_docsize\"", table);
    sqlite3_stmt *terms = prepare(db, "SELECT term, doc FROM \"%w__words\" WHERE term >= ?1 AND term < ?2", table);
    if (!count || !all || !terms) {
        sqlite3_result_error(c, "the table has no text to search", -1);
        goto out;
    }
    if (sqlite3_step(all) == SQLITE_ROW)
        rows = sqlite3_column_int64(all, 0);
    for (size_t i = 0; i < n; i++) {
        words[i].rows = count_rows(count, words[i].text);
        if (words[i].rows < 0) {
            sqlite3_result_error(c, "the text index cannot be read", -1);
            goto out;
        }
        if (!words[i].rows)
            spell(terms, &words[i]);
    }
    text_init(&out, 65536);
    words_json(&out, words, n, rows);
    if (out.failed)
        sqlite3_result_error_nomem(c);
    else
        sqlite3_result_text(c, out.at, (int)out.len, SQLITE_TRANSIENT);
    text_free(&out);
out:
    sqlite3_finalize(count);
    sqlite3_finalize(all);
    sqlite3_finalize(terms);
}

/* ---- cvm_near ---------------------------------------------------------------------------------------------------- */

static void hits_json(struct text *out, const struct search_hit *hits, size_t n)
{
    text_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        text_puts(out, i ? ",[" : "[");
        text_string(out, hits[i].key);
        text_char(out, ',');
        text_real(out, (double)hits[i].cosine);
        text_char(out, ']');
    }
    text_char(out, ']');
}

static void near_function(sqlite3_context *c, int n_args, sqlite3_value **args)
{
    (void)n_args;
    float vector[MANIFEST_SEARCH_DIMENSION_MAX];
    const char *text = (const char *)sqlite3_value_text(args[2]);
    int64_t wanted = sqlite3_value_int64(args[3]);
    size_t most = wanted < 1 ? 1 : wanted > SEARCH_NEAR_MAX ? SEARCH_NEAR_MAX : (size_t)wanted, n = 0;
    int dimension = 0;
    struct search_hit *hits = calloc(most, sizeof *hits);
    struct text out;
    if (!text || search_vector(text, (size_t)sqlite3_value_bytes(args[2]), vector, MANIFEST_SEARCH_DIMENSION_MAX,
                               &dimension) < 0) {
        sqlite3_result_error(c, "no vector", -1);
        free(hits);
        return;
    }
    int e = hits ? search_near_find(sqlite3_user_data(c), sqlite3_context_db_handle(c),
                                    (const char *)sqlite3_value_text(args[0]),
                                    (const char *)sqlite3_value_text(args[1]), vector, dimension, most, hits, &n)
                 : CVM_ENOMEM;
    text_init(&out, 16 * 1024 * 1024);
    hits_json(&out, hits, n);
    if (e == CVM_ENOMEM || (!e && out.failed))
        sqlite3_result_error_nomem(c);
    else if (e)
        sqlite3_result_error(c, "the vectors cannot be read", -1);
    else
        sqlite3_result_text(c, out.at, (int)out.len, SQLITE_TRANSIENT);
    text_free(&out);
    free(hits);
}

int search_ask_functions(sqlite3 *db, struct search_near **near)
{
    return sqlite3_create_function_v2(db, "cvm_words", 2, SQLITE_UTF8, NULL, words_function, NULL, NULL, NULL) ||
                   sqlite3_create_function_v2(db, "cvm_near", 4, SQLITE_UTF8, near, near_function, NULL, NULL, NULL)
               ? CVM_ENOMEM
               : 0;
}

/* ---- the question ------------------------------------------------------------------------------------------------ */

static void text_ranks(struct text *sql, const struct manifest_table *d, const char *where, int64_t limit)
{
    text_printf(sql,
                "q AS MATERIALIZED (SELECT cvm_words('%s', ?1) AS words), "
                "a AS MATERIALIZED (SELECT f.key AS key, -bm25(\"%s__text\", 0",
                d->name, d->name);
    for (size_t i = 0; i < d->search.n_texts; i++)
        text_printf(sql, ", %g", d->search.texts[i].weight);
    text_printf(sql, ") AS score FROM \"%s__text\" f", d->name);
    if (*where)
        text_printf(sql, " CROSS JOIN \"%s\" t ON t.\"%s\" = f.key", d->name, d->key);
    text_printf(sql,
                " WHERE \"%s__text\" MATCH (SELECT words ->> '$.match' FROM q)%s ORDER BY score DESC, f.key"
                " LIMIT %lld)",
                d->name, where, (long long)limit);
}

void search_ask_sql(struct text *sql, const struct manifest_table *d, const char *vector, bool match, const char *where,
                    int64_t limit)
{
    text_puts(sql, "WITH ");
    if (match)
        text_ranks(sql, d, where, limit);
    if (vector)
        text_printf(sql,
                    "%sb AS MATERIALIZED (SELECT n.value ->> 0 AS key, n.value ->> 1 AS score"
                    " FROM json_each(cvm_near('%s', '%s', ?2, %lld)) n CROSS JOIN \"%s\" t ON t.\"%s\" = n.value ->> 0"
                    " WHERE 1%s LIMIT %lld)",
                    match ? ", " : "", d->name, vector, (long long)(*where ? SEARCH_NEAR_MAX : limit), d->name, d->key,
                    where, (long long)limit);
    text_printf(sql, " SELECT ");
    for (size_t i = 0; i < d->n_columns; i++)
        if (!search_is_vector(d, d->columns[i].name))
            text_printf(sql, "t.\"%s\", ", d->columns[i].name);
    text_printf(sql, "%s AS text_score, %s AS vector_score%s FROM (%s%s%s) u CROSS JOIN \"%s\" t ON t.\"%s\" = u.key",
                match ? "a.score" : "NULL", vector ? "b.score" : "NULL",
                match ? ", (SELECT words FROM q) AS _words" : "", match ? "SELECT key FROM a" : "",
                match && vector ? " UNION " : "", vector ? "SELECT key FROM b" : "", d->name, d->key);
    if (match)
        text_puts(sql, " LEFT JOIN a ON a.key = u.key");
    if (vector)
        text_puts(sql, " LEFT JOIN b ON b.key = u.key");
    text_puts(sql, " ORDER BY ");
    if (match && vector)
        text_puts(sql, "coalesce(a.score / (SELECT max(score) FROM a), 0) + coalesce(b.score, 0) DESC, u.key");
    else
        text_printf(sql, "%s.score DESC, u.key", match ? "a" : "b");
}
