/* Texts with numbers: which place of an array belongs to a customer, or to a treatment and a customer. Owns copies of
 * the texts. Pure; any thread. */
#ifndef CVM_INSIGHT_INDEX_H
#define CVM_INSIGHT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_MAX 5000000 /* texts */
#define INDEX_NONE SIZE_MAX

struct index_map {
    char *texts; /* one after the other, each with its NUL */
    size_t *at;  /* where each begins, by number */
    uint32_t *slots;
    size_t n, room, n_slots, used, size;
};

/* The number of `first` and `second` (NULL: none) together, a new one (the highest so far and one) where there is
 * none. INDEX_NONE: no memory, or too many. Begins with a struct of zeros. */
size_t index_put(struct index_map *m, const char *first, const char *second);
/* INDEX_NONE: there is none. */
size_t index_find(const struct index_map *m, const char *first, const char *second);
/* The first text of a number; borrowed until the next index_put. */
const char *index_text(const struct index_map *m, size_t number);
void index_fini(struct index_map *m);

#endif
