/* Full-text and vector search over the rows of a table whose manifest declares "search". Beside the table T stand, in
 * the same database and changed in the same transaction as its rows,
 *     T__rows      keys in the order in which their rows changed; a removed one stays, so that a reader learns of it
 *     T__near_C    the vectors of the column C
 * and in `meta`, under "search T", what is declared. The writer owns them; a reader keeps words, vectors and a hash of
 * each value in memory and reads what has changed before each search. Knows nothing of what the texts say. */
#ifndef HOST_CORE_SEARCH_H
#define HOST_CORE_SEARCH_H

#include "core/manifest.h"
#include <sqlite3.h>

#define SEARCH_ROWS_MAX 131072 /* of one table; later ones are not found */
#define SEARCH_WORDS_MAX 64    /* of a question; more are not looked for */

struct search_index;
struct search_memory;
struct search_found; /* core.h */
struct store;

/* search_index.c: the writer's side, on its thread. */

/* Makes the indexes where they are missing or were declared otherwise; for a table that is not searched now, what notes
 * its changes for a build that searches it. Returns CVM_EDATA on failure. Gives *ret_index, for free(); its statements
 * end with the store. */
int search_index_make(struct store *store, const struct manifest_table *table, struct search_index **ret_index);
/* Whether a build has searched the table: another one that does not must note its changes all the same. */
bool search_index_stands(struct store *store, const struct manifest_table *table);
/* Puts a row's vectors, or takes them out (`row` NULL), and notes that it changed. Returns a code of SQLite. */
int search_index_put(struct search_index *index, const struct manifest_table *table, const char *key,
                     const json_t *row);

/* Whether the column's values are kept in the index only. Any thread. */
bool search_is_vector(const struct manifest_table *table, const char *column);
/* Whether a text is a vector of so many finite numbers, not all zero. Any thread. */
bool search_is_good_vector(const char *text, int dimension);

/* Reads base64 of little-endian floats, "*12;" being AAAAAAAAAAAA, and makes them of unit length. CVM_EINVAL: it is
 * none, or no length. */
int search_vector(const char *text, size_t len, float *ret_vector, int max, int *ret_dimension);

/* search_ask.c: a reader's side, on its thread. */

/* Answers a question: {"table", "match"?, "near"?: [column, vector], "where"?, "limit", "keys"?: only keys are wanted,
 * "also"?: [{"match"?, "near"?}]}. Gives rows, each with "text_score" and "vector_score", or [key, text score, vector
 * score]; what was made of the words of `match`: {"n": rows, "terms": [[word, found as, rows that have it], ..]}, or
 * NULL; and [{"rows", "words"}] of what was asked also, or NULL. CVM_ENOENT: no such table is searched; CVM_EINVAL,
 * CVM_EIO, CVM_ETIMEOUT, CVM_ENOMEM. */
int search_ask(struct store *store, const json_t *question, struct search_found *ret_found);
void search_memory_free(struct search_memory *memory); /* accepts NULL; before the connection is closed */

#endif
