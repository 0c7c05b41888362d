/* Small readers for JSON that came with a message. All borrow; none allocates. Any thread. */
#ifndef CVM_JSON_H
#define CVM_JSON_H

#include <cvm/cvm.h>
#include <stdlib.h>

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

/* Length of the number at `s` as JSON writes one; *ret_decimal: it has a fraction or an exponent. 0: it is none. */
static inline size_t cvm_json__number(const char *s, const char *end, bool *ret_decimal)
{
    const char *at = s, *digits;
    *ret_decimal = false;
    at += at < end && *at == '-';
    for (digits = at; at < end && *at >= '0' && *at <= '9'; at++)
        ;
    if (at == digits || (*digits == '0' && at > digits + 1))
        return 0;
    if (at < end && *at == '.') {
        for (digits = ++at; at < end && *at >= '0' && *at <= '9'; at++)
            ;
        if (at == digits)
            return 0;
        *ret_decimal = true;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        for (digits = at; at < end && *at >= '0' && *at <= '9'; at++)
            ;
        if (at == digits)
            return 0;
        *ret_decimal = true;
    }
    return (size_t)(at - s);
}

/* Reads JSON of any kind; a number with a fraction or an exponent comes as a string, as it was written, so that a sum
 * of money never goes through a double. Gives; NULL: it is no JSON, or there is no memory. Any thread. */
static inline json_t *cvm_json_exact(const char *text, size_t len)
{
    char *copy = (char *)malloc(2 * len + 3); /* a decimal has three bytes at least and gets two more */
    const char *end = text + len;
    size_t n = 0;
    bool quoted = false, decimal;
    if (!copy)
        return NULL;
    for (const char *s = text; s < end;) {
        size_t taken = 1;
        decimal = false;
        if (quoted)
            taken = *s == '\\' && s + 1 < end ? 2 : 1;
        else if (*s == '-' || (*s >= '0' && *s <= '9'))
            taken = cvm_json__number(s, end, &decimal);
        if (!taken) { /* as it is: the reader says no */
            decimal = false;
            taken = 1;
        }
        quoted = *s == '"' ? !quoted : quoted;
        if (decimal)
            copy[n++] = '"';
        memcpy(copy + n, s, taken);
        n += taken;
        s += taken;
        if (decimal)
            copy[n++] = '"';
    }
    json_t *value = json_loadb(copy, n, JSON_DECODE_ANY, NULL);
    free(copy);
    return value;
}

/* A new reference to a borrowed value (payloads are frozen, so sharing is safe); NULL stays NULL. */
static inline json_t *cvm_json_share(const json_t *value)
{
    return json_incref((json_t *)(uintptr_t)value);
}

#define CVM_NOTES_BEGIN '\x1e'
#define CVM_NOTE_ENDS '\x1f'

/* A text with what else is known of it, for cvm_classify: `notes` is an array of short strings ("language:pcm", at most
 * 256 count), each a feature of its own. The model learns what they are worth when its manifest names the operation
 * that gives the same notes for its examples (`models[].notes`). The text itself begins none. Gives (free); NULL: out
 * of memory. */
static inline char *cvm_noted_text(const char *text, const json_t *notes)
{
    size_t len = strlen(text) + 1, n = json_array_size(notes);
    for (size_t i = 0; i < n; i++)
        len += json_string_length(json_array_get(notes, i)) + 1;
    char *noted = (char *)malloc(len), *to = noted;
    if (!noted)
        return NULL;
    for (const char *from = text; *from; from++)
        *to++ = *from == CVM_NOTES_BEGIN ? ' ' : *from;
    for (size_t i = 0; i < n; i++) {
        const json_t *note = json_array_get(notes, i);
        *to++ = i ? CVM_NOTE_ENDS : CVM_NOTES_BEGIN;
        if (json_is_string(note))
            memcpy(to, json_string_value(note), json_string_length(note));
        to += json_string_length(note);
    }
    *to = 0;
    return noted;
}

#endif
