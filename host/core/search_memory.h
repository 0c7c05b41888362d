/* A searched table as a reader keeps it in memory: words and the rows that have them, vectors, a hash of each value. A
 * row keeps its place as long as the table stays in memory; that of a removed one is not alive. search_ask.c reads it.
 * Thread of the reader. */
#ifndef HOST_CORE_SEARCH_MEMORY_H
#define HOST_CORE_SEARCH_MEMORY_H

#include "core/search.h"

#define SEARCH_LANES 16          /* rows whose vectors are multiplied at once */
#define SEARCH_TERM_MAX_BYTES 63 /* of a word's stem; what is longer is cut */
#define SEARCH_TOKENS_MAX 8      /* that one word of a question may fall into */

struct search_posting {
    uint32_t row;
    float times; /* each by the weight of its column */
};

struct search_term {
    char *text;
    struct search_posting *at;
    uint32_t n, cap;
};

struct search_row {
    char *key;
    uint32_t *terms, n_terms;
    uint32_t tokens; /* words of all its texts */
    bool alive;
};

/* The numbers of 16 rows lie side by side, those of one dimension after the other: a question has few that are not 0,
 * and the others are not read. */
struct search_vectors {
    int dimension;
    float *at;    /* NULL: no row has had one */
    uint8_t *has; /* by row */
};

/* Where names are: hash -> index + 1. Nothing is taken out. */
struct search_places {
    uint32_t *at, mask, n;
};

struct search_table {
    char *name, *form_text;
    json_t *form; /* as declared: see search_index.c */
    sqlite3_stmt *changes, *row;
    int64_t seq; /* of the last change read */
    size_t n_columns, n_texts, n_vectors;
    struct search_row *rows;
    uint64_t *values; /* hashes, n_columns of each row; 0: null */
    uint32_t n, cap, n_alive;
    struct search_vectors vectors[MANIFEST_SEARCH_VECTORS_MAX];
    struct search_places keys, words;
    struct search_term *terms;
    uint32_t n_terms, terms_cap, n_used; /* used: that a row has */
    int64_t n_tokens;
    double *scores; /* by row, of the search under way; 0 between searches */
};

static inline float *search_block(const struct search_vectors *v, uint32_t row)
{
    return v->at + (size_t)(row / SEARCH_LANES) * (size_t)v->dimension * SEARCH_LANES;
}

/* The table as it is at the reader's snapshot. CVM_ENOENT: no such table is searched. */
int search_memory_read(struct search_memory **memory, sqlite3 *db, const char *table, struct search_table **ret_table);

/* The stems of a word, as they stand in the table; where one stands nowhere, 0 of them. */
size_t search_memory_terms(struct search_memory *memory, const struct search_table *table, const char *word,
                           uint32_t ret_terms[SEARCH_TOKENS_MAX]);
/* What stands for a value among the hashes; 0: nothing is equal to it. */
uint64_t search_value(const json_t *value);

#endif
