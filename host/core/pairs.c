/* Pairs of a component's state; see pairs.h. */
#include "core/pairs.h"

#include <stdlib.h>
#include <string.h>

bool pairs_in_range(const char *key, const char *prefix, const char *after)
{
    return strncmp(key, prefix, strlen(prefix)) == 0 && (!after || strcmp(key, after) > 0);
}

void pairs_overlay(json_t *pairs, const char *key, json_t *value, int64_t turn)
{
    size_t i;
    json_t *pair;
    json_array_foreach(pairs, i, pair)
    {
        if (strcmp(json_string_value(json_array_get(pair, 0)), key) != 0)
            continue;
        if (!value)
            json_array_remove(pairs, i);
        else if (json_array_set(pair, 1, value) == 0 && json_array_size(pair) > 2)
            json_array_set_new(pair, 2, json_integer(turn));
        return;
    }
    if (value)
        json_array_append_new(pairs, json_pack("[s, O, I]", key, value, (json_int_t)turn));
}

static int by_key(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    return strcmp(json_string_value(json_array_get(x, 0)), json_string_value(json_array_get(y, 0)));
}

json_t *pairs_sorted(json_t *pairs, size_t limit)
{
    size_t n = json_array_size(pairs);
    json_t **sorted = n ? calloc(n, sizeof(*sorted)) : NULL;
    json_t *result = json_array();
    for (size_t i = 0; sorted && i < n; i++)
        sorted[i] = json_array_get(pairs, i);
    if (sorted)
        qsort(sorted, n, sizeof(*sorted), by_key);
    for (size_t i = 0; sorted && i < n && i < limit; i++)
        json_array_append(result, sorted[i]);
    free(sorted);
    json_decref(pairs);
    return result;
}
