/* JSON objects built member by member, for what is built for every message: json_pack reads its format each time and
 * measures each name. Where a member cannot be had the whole object goes and is NULL, as with json_pack, so what is put
 * into it after that does nothing and the one check is at the end. Owns nothing. Any thread. */
#ifndef COMMON_OBJECT_H
#define COMMON_OBJECT_H

#include <jansson.h>
#include <stdint.h>
#include <string.h>

/* Puts a new value (taken; NULL: it cannot be had) under a name that is written there as a literal. `object` is a
 * variable. */
#define OBJECT_PUT(object, name, value) object_putn(&(object), "" name, sizeof(name) - 1, (value))
#define OBJECT_TEXT(object, name, text) OBJECT_PUT(object, name, json_string(text))
/* The same with a text that is UTF-8 for certain: a literal, a time, a name that the host gave, a string of JSON. */
#define OBJECT_KNOWN(object, name, text) OBJECT_PUT(object, name, json_string_nocheck(text))
#define OBJECT_INT(object, name, number) OBJECT_PUT(object, name, json_integer(number))
/* The same with a value that is borrowed; where it is NULL or JSON's null the member is left out. */
#define OBJECT_SHARE(object, name, value) object_share(&(object), "" name, sizeof(name) - 1, (value))

static inline void object_putn(json_t **object, const char *name, size_t len, json_t *value)
{
    if (!*object) {
        json_decref(value);
    } else if (json_object_setn_new_nocheck(*object, name, len, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

/* Under a name that is no literal; it is UTF-8. */
static inline void object_put(json_t **object, const char *name, json_t *value)
{
    object_putn(object, name, strlen(name), value);
}

static inline void object_share(json_t **object, const char *name, size_t len, const json_t *value)
{
    if (value && !json_is_null(value))
        object_putn(object, name, len, json_incref((json_t *)(uintptr_t)value));
}

/* Shares the members of `from` that have one of these names. */
static inline void object_share_all(json_t **object, const json_t *from, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        object_share(object, names[i], strlen(names[i]), json_object_get(from, names[i]));
}

#endif
