/* Entries [key, value, turn] of a component's state, as a scan finds them: what is stored, overlaid with what is not
 * stored yet, in byte order. Pure. */
#ifndef HOST_CORE_PAIRS_H
#define HOST_CORE_PAIRS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

bool pairs_in_range(const char *key, const char *prefix, const char *after);
/* Replaces or adds the entry of `key`; NULL removes it. Borrows `value`. */
void pairs_overlay(json_t *pairs, const char *key, json_t *value, int64_t turn);
/* The first `limit` in byte order; takes `pairs`, gives a new array. */
json_t *pairs_sorted(json_t *pairs, size_t limit);

#endif
