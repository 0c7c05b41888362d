/* Objects built member by member, for those that are built often: json_pack reads its format each time, which costs as
 * much as what it makes. All take or borrow as they say, and give false where a value is missing (no memory, text that
 * is no UTF-8); `ok = add(..) & add(..)` takes all of them whatever comes of one. Any thread. */
#ifndef PLUGINS_COMMON_JSON_ADD_H
#define PLUGINS_COMMON_JSON_ADD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Takes `value`. `key` is UTF-8; a constant one has its length at hand. */
static inline bool json_add(json_t *object, const char *key, json_t *value)
{
    return json_object_setn_new_nocheck(object, key, strlen(key), value) == 0;
}

static inline bool json_add_text(json_t *object, const char *key, const char *text)
{
    return json_add(object, key, json_string(text));
}

static inline bool json_add_int(json_t *object, const char *key, int64_t value)
{
    return json_add(object, key, json_integer(value));
}

/* Borrows a value that nobody changes any more. */
static inline bool json_add_shared(json_t *object, const char *key, const json_t *value)
{
    return json_add(object, key, json_incref((json_t *)(uintptr_t)value));
}

/* The object, where all of it could be made; else NULL, and it is released. */
static inline json_t *json_made(json_t *object, bool ok)
{
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

#endif
