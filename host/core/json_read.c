/* The reader; see json_read.h. One pass over the text. Strings without escapes are made of it as they lie there; a
 * number of few digits is made of its digits, which is exact, others are left to strtod. */
#include "core/json_read.h"

#include "core/json_text.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define JSON_READ_DEPTH_MAX 2048   /* as the library's */
#define EXACT_MANTISSA (1LL << 53) /* these integers, and the powers of ten up to 22, are doubles */
#define EXACT_POWER 22

struct reader {
    const char *at, *end;
    char *room; /* for texts with escapes and long numbers; as long as the whole text and one more; NULL: none yet */
    size_t room_size;
    int depth;
};

static json_t *read_value(struct reader *r);

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

/* The next character that is no space, taken where it is `c`. */
static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static char *room(struct reader *r)
{
    if (!r->room)
        r->room = malloc(r->room_size);
    return r->room;
}

/* ---- strings ---- */

static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *to, int c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* After the "u" of an escape, maybe a pair of them. -1: no character. */
static int read_unicode(struct reader *r)
{
    int c = hex4(r->at, r->end);
    if (c < 0)
        return -1;
    r->at += 4;
    if (c < 0xD800 || c > 0xDFFF)
        return c;
    if (c > 0xDBFF || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
        return -1;
    int low = hex4(r->at + 2, r->end);
    if (low < 0xDC00 || low > 0xDFFF)
        return -1;
    r->at += 6;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* An escape is never shorter than what it stands for: the room is enough. NULL: there is no such escape. */
static char *read_escape(struct reader *r, char *to)
{
    static const char names[] = "\"\\/bfnrt", stand_for[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return NULL;
    char c = *r->at++;
    if (c == 'u') {
        int unicode = read_unicode(r);
        return unicode < 0 ? NULL : put_utf8(to, unicode);
    }
    const char *found = c ? strchr(names, c) : NULL;
    if (!found)
        return NULL;
    *to++ = stand_for[found - names];
    return to;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

/* The rest of a string with escapes; `begin` is its first character. */
static bool read_escaped(struct reader *r, const char *begin, const char **ret_text, size_t *ret_len)
{
    char *to = room(r), *start = to;
    if (!to)
        return false;
    memcpy(to, begin, (size_t)(r->at - begin));
    to += r->at - begin;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            if (!(to = read_escape(r, to)))
                return false;
        } else if (is_plain((unsigned char)*r->at)) {
            *to++ = *r->at++;
        } else {
            return false;
        }
    }
    *ret_text = start;
    *ret_len = (size_t)(to - start);
    return true;
}

/* After its first quote. What it gives holds until the next string is read. */
static bool read_string(struct reader *r, const char **ret_text, size_t *ret_len)
{
    const char *begin = r->at;
    unsigned char all = 0;
    while (r->at < r->end && is_plain((unsigned char)*r->at))
        all |= (unsigned char)*r->at++;
    *ret_text = begin;
    *ret_len = (size_t)(r->at - begin);
    if (r->at < r->end && *r->at == '\\') {
        if (!read_escaped(r, begin, ret_text, ret_len))
            return false;
        all = 0x80;
    }
    if (r->at == r->end || *r->at != '"')
        return false;
    r->at++;
    return all < 0x80 || text_is_utf8(*ret_text, *ret_len);
}

/* ---- numbers ---- */

static bool is_digit(const struct reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static json_t *read_long_real(struct reader *r, const char *begin)
{
    char *text = room(r), *end;
    if (!text)
        return NULL;
    memcpy(text, begin, (size_t)(r->at - begin));
    text[r->at - begin] = 0;
    errno = 0;
    double value = strtod(text, &end);
    return *end || (errno == ERANGE && fabs(value) > 1) ? NULL : json_real(value);
}

static json_t *read_number(struct reader *r)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *begin = r->at;
    bool negative = *r->at == '-', real = false, fits = true;
    uint64_t value = 0;
    int power = 0;
    if (negative)
        r->at++;
    if (!is_digit(r) || (*r->at == '0' && r->at + 1 < r->end && r->at[1] >= '0' && r->at[1] <= '9'))
        return NULL;
    for (; is_digit(r); r->at++) {
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*r->at - '0'), &value);
    }
    if (r->at < r->end && *r->at == '.') {
        real = true;
        r->at++;
        if (!is_digit(r))
            return NULL;
        for (; is_digit(r); r->at++, power++) {
            fits = fits && power < EXACT_POWER && !__builtin_mul_overflow(value, 10, &value) &&
                   !__builtin_add_overflow(value, (uint64_t)(*r->at - '0'), &value);
        }
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        real = true;
        fits = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!is_digit(r))
            return NULL;
        while (is_digit(r))
            r->at++;
    }
    if (!real) {
        if (!fits || value > (uint64_t)INT64_MAX + negative)
            return NULL;
        return json_integer(negative ? (json_int_t)(0 - value) : (json_int_t)value);
    }
    if (!fits || value > (uint64_t)EXACT_MANTISSA)
        return read_long_real(r, begin);
    double exact = (double)value / powers[power];
    return json_real(negative ? -exact : exact);
}

/* ---- the rest ---- */

static bool read_members(struct reader *r, json_t *object)
{
    if (take(r, '}'))
        return true;
    do {
        const char *key;
        size_t len;
        if (!take(r, '"') || !read_string(r, &key, &len) || memchr(key, 0, len))
            return false;
        char *kept = key == r->room ? malloc(len + 1) : NULL; /* the value may need the room */
        if (key == r->room && !kept)
            return false;
        if (kept)
            key = memcpy(kept, key, len);
        json_t *value = take(r, ':') ? read_value(r) : NULL;
        bool good = value && json_object_setn_new_nocheck(object, key, len, value) == 0;
        free(kept);
        if (!good)
            return false;
    } while (take(r, ','));
    return take(r, '}');
}

static bool read_elements(struct reader *r, json_t *array)
{
    if (take(r, ']'))
        return true;
    do {
        json_t *value = read_value(r);
        if (!value || json_array_append_new(array, value) < 0)
            return false;
    } while (take(r, ','));
    return take(r, ']');
}

/* After its bracket. */
static json_t *read_container(struct reader *r, json_t *container)
{
    if (container && (json_is_object(container) ? read_members(r, container) : read_elements(r, container)))
        return container;
    json_decref(container);
    return NULL;
}

static json_t *read_word(struct reader *r, const char *word, json_t *value)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return NULL;
    r->at += len;
    return value;
}

static json_t *read_any(struct reader *r)
{
    const char *text;
    size_t len;
    switch (*r->at) {
    case '{':
        r->at++;
        return read_container(r, json_object());
    case '[':
        r->at++;
        return read_container(r, json_array());
    case '"':
        r->at++;
        return read_string(r, &text, &len) ? json_stringn_nocheck(text, len) : NULL;
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return read_number(r);
    }
}

static json_t *read_value(struct reader *r)
{
    json_t *value = NULL;
    skip_space(r);
    r->depth++;
    if (r->at < r->end && r->depth <= JSON_READ_DEPTH_MAX)
        value = read_any(r);
    r->depth--;
    return value;
}

json_t *json_read(const char *text, size_t len)
{
    struct reader r = {.at = text, .end = text + len, .room_size = len + 1};
    json_t *value = NULL;
    skip_space(&r);
    if (r.at < r.end && (*r.at == '{' || *r.at == '['))
        value = read_value(&r);
    skip_space(&r);
    if (r.at != r.end) {
        json_decref(value);
        value = NULL;
    }
    free(r.room);
    return value;
}
