/* Small readers for JSON that came with a message. All borrow; none allocates. Any thread. */
#ifndef CVM_JSON_H
#define CVM_JSON_H

#include <cvm/cvm.h>

/* The string member, or `otherwise` where it is missing or no string. Borrowed from the object. */
static inline const char *cvm_json_str(const json_t *object, const char *key, const char *otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

/* The integer member, or `otherwise` where it is missing or no integer. */
static inline int64_t cvm_json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

/* The boolean member, or `otherwise` where it is missing or no boolean. */
static inline bool cvm_json_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* A new reference to a borrowed value (payloads are frozen, so sharing is safe); NULL stays NULL. */
static inline json_t *cvm_json_share(const json_t *value)
{
    return json_incref((json_t *)(uintptr_t)value);
}

#endif
