/* How long a value is as text, for what has a limit. */
#ifndef PLUGINS_COMMON_JSON_BYTES_H
#define PLUGINS_COMMON_JSON_BYTES_H

#include <jansson.h>
#include <string.h>

/* What it takes at most as text, without writing that. */
static inline size_t json_most_bytes(const json_t *value)
{
    size_t bytes = 32, i; /* a number with all its digits */
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)value, name, one) bytes += json_most_bytes(one) + 6 * strlen(name) + 4;
    json_array_foreach(value, i, one) bytes += json_most_bytes(one) + 1;
    return bytes + 6 * json_string_length(value);
}

#endif
