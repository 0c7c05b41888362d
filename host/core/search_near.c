/* See search.h: the vectors of a reader's searches, in memory. Before each search it reads what has changed since the
 * one before, so it stands where the reader's snapshot does. Exact: every vector is looked at. Thread of the reader. */
#include "core/search.h"

#include "core/id.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16
#define LANES 8 /* of floats that the compiler adds at once; rows are padded to that */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

struct column {
    char *name; /* "T__near_C" */
    int dimension, stride;
    int64_t seq; /* of the last change read */
    float *vectors;
    char **keys;                   /* by slot; NULL: the slot is free */
    uint32_t n, cap, *table, mask; /* table: hash of key -> slot + 1 */
    uint32_t *free_slots, n_free;
    bool full;
};

struct search_near {
    struct column columns[COLUMNS_MAX];
    uint32_t n;
};

static void column_clear(struct column *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        free(c->keys[i]);
    free(c->keys);
    free(c->vectors);
    free(c->table);
    free(c->free_slots);
    free(c->name);
    *c = (struct column){0};
}

void search_near_free(struct search_near *near)
{
    if (!near)
        return;
    for (uint32_t i = 0; i < near->n; i++)
        column_clear(&near->columns[i]);
    free(near);
}

/* ---- reading what has changed ------------------------------------------------------------------------------------ */

static uint32_t place_of(const struct column *c, const char *key)
{
    uint32_t at = (uint32_t)id_hash(key, strlen(key), 0x6e656172) & c->mask;
    while (c->table[at] && (c->table[at] == UINT32_MAX || strcmp(c->keys[c->table[at] - 1], key) != 0))
        at = (at + 1) & c->mask;
    return at;
}

/* Room for one more; the table is at most half full, with the places of removed keys. */
static int grow(struct column *c)
{
    uint32_t cap = c->cap ? c->cap * 2 : 256;
    float *vectors = realloc(c->vectors, (size_t)cap * (size_t)c->stride * sizeof *vectors);
    if (vectors)
        c->vectors = vectors;
    char **keys = realloc(c->keys, cap * sizeof *keys);
    if (keys)
        c->keys = keys;
    uint32_t *slots = realloc(c->free_slots, cap * sizeof *slots);
    if (slots)
        c->free_slots = slots;
    uint32_t *table = calloc((size_t)cap * 4, sizeof *table);
    if (!vectors || !keys || !slots || !table) {
        free(table);
        return CVM_ENOMEM;
    }
    free(c->table);
    c->table = table;
    c->mask = cap * 4 - 1;
    c->cap = cap;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->keys[i])
            c->table[place_of(c, c->keys[i])] = i + 1;
    return 0;
}

static void take_out(struct column *c, const char *key)
{
    uint32_t at = c->mask ? place_of(c, key) : 0;
    if (!c->mask || !c->table[at])
        return;
    uint32_t slot = c->table[at] - 1;
    free(c->keys[slot]);
    c->keys[slot] = NULL;
    c->free_slots[c->n_free++] = slot;
    c->table[at] = UINT32_MAX; /* others that hashed here lie behind it */
}

/* Removed places are used up by many changes of one key: then the table is made anew. */
static void sweep(struct column *c)
{
    if (!c->mask) /* nothing has ever come in */
        return;
    memset(c->table, 0, ((size_t)c->mask + 1) * sizeof *c->table);
    for (uint32_t i = 0; i < c->n; i++)
        if (c->keys[i])
            c->table[place_of(c, c->keys[i])] = i + 1;
}

static int put_in(struct column *c, const char *key, const float *vector)
{
    if (c->mask) {
        uint32_t at = place_of(c, key);
        if (c->table[at]) {
            memcpy(c->vectors + (size_t)(c->table[at] - 1) * (size_t)c->stride, vector,
                   (size_t)c->dimension * sizeof *vector);
            return 0;
        }
    }
    if (c->n - c->n_free >= SEARCH_VECTORS_MAX) {
        c->full = true;
        return 0;
    }
    if (!c->n_free && c->n == c->cap && grow(c) < 0)
        return CVM_ENOMEM;
    char *copy = strdup(key);
    if (!copy)
        return CVM_ENOMEM;
    uint32_t slot = c->n_free ? c->free_slots[--c->n_free] : c->n++;
    float *row = c->vectors + (size_t)slot * (size_t)c->stride;
    memset(row, 0, (size_t)c->stride * sizeof *row);
    memcpy(row, vector, (size_t)c->dimension * sizeof *vector);
    c->keys[slot] = copy;
    c->table[place_of(c, key)] = slot + 1;
    return 0;
}

static int read_changes(struct column *c, sqlite3 *db)
{
    char *sql = sqlite3_mprintf("SELECT seq, key, vector FROM \"%w\" WHERE seq > %lld ORDER BY seq", c->name,
                                (long long)c->seq);
    sqlite3_stmt *st = NULL;
    int step = 0, e = !sql ? CVM_ENOMEM : sqlite3_prepare_v2(db, sql, -1, &st, NULL) ? CVM_ENOENT : 0;
    uint32_t removed = 0;
    sqlite3_free(sql);
    while (!e && (step = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 1);
        const void *vector = sqlite3_column_blob(st, 2);
        if (!key)
            continue;
        if (vector && sqlite3_column_bytes(st, 2) == c->dimension * (int)sizeof(float)) {
            e = put_in(c, key, vector);
        } else {
            take_out(c, key);
            if (++removed > c->mask / 4) {
                sweep(c);
                removed = 0;
            }
        }
        if (!e)
            c->seq = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    if (removed)
        sweep(c);
    return e ? e : step == SQLITE_DONE ? 0 : CVM_EIO;
}

/* ---- the nearest ------------------------------------------------------------------------------------------------- */

static float product(const float *a, const float *b, int stride)
{
    lanes sum = {0};
    for (int i = 0; i < stride; i += LANES)
        sum += *(const lanes *)(const void *)(a + i) * *(const lanes *)(const void *)(b + i);
    float all = 0;
    for (int i = 0; i < LANES; i++)
        all += sum[i];
    return all;
}

/* Equal ones in the order of their keys, so that the answer says nothing of the order in which they came. */
static bool better(const struct search_hit *a, const struct search_hit *b)
{
    return a->cosine > b->cosine || (a->cosine == b->cosine && strcmp(a->key, b->key) < 0);
}

static void sift(struct search_hit *heap, size_t n, size_t at)
{
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (better(&heap[worst], &heap[child]))
                worst = child;
        if (worst == at)
            return;
        struct search_hit swap = heap[at];
        heap[at] = heap[worst];
        heap[worst] = swap;
        at = worst;
    }
}

static int by_cosine(const void *a, const void *b)
{
    return better(a, b) ? -1 : 1;
}

static size_t choose(const struct column *c, const float *vector, size_t n, struct search_hit *heap)
{
    float padded[MANIFEST_SEARCH_DIMENSION_MAX + LANES] = {0};
    size_t filled = 0;
    memcpy(padded, vector, (size_t)c->dimension * sizeof *vector);
    for (uint32_t i = 0; i < c->n; i++) {
        if (!c->keys[i])
            continue;
        struct search_hit hit = {c->keys[i], product(padded, c->vectors + (size_t)i * (size_t)c->stride, c->stride)};
        if (filled < n) {
            heap[filled++] = hit;
            if (filled == n)
                for (size_t k = n / 2 + 1; k-- > 0;)
                    sift(heap, n, k);
        } else if (better(&hit, &heap[0])) {
            heap[0] = hit;
            sift(heap, n, 0);
        }
    }
    qsort(heap, filled, sizeof *heap, by_cosine);
    return filled;
}

static struct column *column_of(struct search_near *near, const char *name, int dimension)
{
    for (uint32_t i = 0; i < near->n; i++)
        if (strcmp(near->columns[i].name, name) == 0 && near->columns[i].dimension == dimension)
            return &near->columns[i];
    if (near->n == COLUMNS_MAX)
        column_clear(&near->columns[--near->n]);
    struct column *c = &near->columns[near->n];
    c->name = strdup(name);
    c->dimension = dimension;
    c->stride = (dimension + LANES - 1) / LANES * LANES;
    near->n += c->name != NULL;
    return c->name ? c : NULL;
}

int search_near_find(struct search_near **near, sqlite3 *db, const char *table, const char *column, const float *vector,
                     int dimension, size_t n, struct search_hit *ret_hits, size_t *ret_n)
{
    char *name = sqlite3_mprintf("%s__near_%s", table, column);
    if (!*near)
        *near = calloc(1, sizeof **near);
    struct column *c = name && *near ? column_of(*near, name, dimension) : NULL;
    sqlite3_free(name);
    if (!c)
        return CVM_ENOMEM;
    int e = read_changes(c, db);
    if (e)
        return e;
    *ret_n = choose(c, vector, n, ret_hits);
    return 0;
}
