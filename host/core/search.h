/* Full-text and vector search over the rows of a table whose manifest declares "search". Beside the table T stand, in
 * the same database and changed in the same transaction as its rows,
 *     T__text      words of the text columns: FTS5, stemmed, accents folded; its row id is a hash of the row's key
 *     T__words     its vocabulary (fts5vocab)
 *     T__near_C    the vectors of the column C in the order in which they changed; a removed one stays as NULL, so that
 *                  a reader learns of it
 * The writer owns the indexes; a reader keeps the vectors in memory and reads what has changed before each search.
 * Knows nothing of what the texts say. */
#ifndef HOST_CORE_SEARCH_H
#define HOST_CORE_SEARCH_H

#include "core/manifest.h"
#include <sqlite3.h>

#define SEARCH_VECTORS_MAX 131072 /* of one column; later ones are not found by nearness */
#define SEARCH_WORDS_MAX 64       /* of a question; more are not looked for */
#define SEARCH_MATCH_MAX_BYTES 16384

struct search_index;
struct search_near;

/* search_index.c: the writer's side, on its thread. */

/* Makes the indexes where they are missing or were declared otherwise. Returns CVM_EDATA on failure. Gives *ret_index,
 * for free(); its statements end with the store. */
struct store;
int search_index_make(struct store *store, const struct manifest_table *table, struct search_index **ret_index);
/* Puts a row's texts and vectors, or takes them out (`row` NULL). Returns a code of SQLite. */
int search_index_put(struct search_index *index, const struct manifest_table *table, const char *key,
                     const json_t *row);

/* Whether the column's values are kept in the index only. Any thread. */
bool search_is_vector(const struct manifest_table *table, const char *column);
/* Whether a text is a vector of so many finite numbers, not all zero. Any thread. */
bool search_is_good_vector(const char *text, int dimension);

/* search_ask.c: a reader's side. The functions that the SQL of a search uses:
 *     cvm_words(T, match)    {"match": of FTS5, "n": rows, "terms": [[word, found as, rows that have it], ..]}
 *     cvm_near(T, C, v, n)   [[key, cosine], ..], the n nearest of the column, best first */
int search_ask_functions(sqlite3 *db, struct search_near **near);
/* The SQL of a question over texts and vectors; `where` is " AND ..." over the table `t` or "". Its first bind is the
 * match, its second the vector. */
struct text;
void search_ask_sql(struct text *sql, const struct manifest_table *table, const char *vector, bool match,
                    const char *where, int64_t limit);

/* search_near.c: vectors in memory, on the thread of the reader. */

#define SEARCH_NEAR_MAX 4096 /* nearest that one search gives */

struct search_hit {
    const char *key; /* borrowed until the next search */
    float cosine;
};

/* The `n` nearest of the column to `vector`, which is of unit length, best first. CVM_ENOENT: there is no such column.
 */
int search_near_find(struct search_near **near, sqlite3 *db, const char *table, const char *column, const float *vector,
                     int dimension, size_t n, struct search_hit *ret_hits, size_t *ret_n);
void search_near_free(struct search_near *near); /* accepts NULL */

/* Reads base64 of little-endian floats and makes them of unit length. CVM_EINVAL: it is none, or no length. */
int search_vector(const char *text, size_t len, float *ret_vector, int max, int *ret_dimension);

#endif
