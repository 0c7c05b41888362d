/* The JSON writer. Escapes what JSON demands and nothing else; object members keep their order. */
#include "core/json_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_init(struct text *text, size_t limit)
{
    *text = (struct text){.limit = limit};
}

void text_free(struct text *text)
{
    free(text->at);
    *text = (struct text){.limit = text->limit};
}

void text_reset(struct text *text)
{
    text->len = 0;
    text->failed = false;
}

static bool grow(struct text *text, size_t more)
{
    if (text->failed || more > text->limit || text->len > text->limit - more) {
        text->failed = true;
        return false;
    }
    size_t cap = text->cap ? text->cap : 256;
    while (cap < text->len + more + 1)
        cap *= 2;
    if (cap > text->limit + 1) /* so that appending within the memory is appending within the limit */
        cap = text->limit + 1;
    char *at = realloc(text->at, cap);
    if (!at) {
        text->failed = true;
        return false;
    }
    text->at = at;
    text->cap = cap;
    return true;
}

void text_add_growing(struct text *text, const char *bytes, size_t len)
{
    if (!grow(text, len))
        return;
    memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = 0;
}

void text_int(struct text *text, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (value < 0)
        digits[--at] = '-';
    text_add(text, digits + at, sizeof digits - at);
}

void text_printf(struct text *text, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        text->failed = true;
    else
        text_add(text, line, (size_t)n);
}

/* A number with at most 15 digits of which some stand behind the point, as amounts, rates and confidences are; false:
 * it is none. The quotient of two integers that a double holds exactly is the double nearest to that decimal (IEEE 754
 * rounds a division correctly), which is what reading it gives; so it is the shortest, too. */
static bool add_decimal(struct text *text, double value)
{
    static const double powers[] = {1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    const double size = fabs(value);
    if (size < 1e-4 || size >= 1e14) /* a smaller one has an exponent */
        return false;
    for (int places = 1; places <= 9; places++) {
        const double power = powers[places - 1], scaled = rint(size * power);
        if (scaled >= 1e15)
            return false;
        if (scaled / power != size)
            continue;
        char digits[24];
        size_t at = sizeof digits;
        uint64_t v = (uint64_t)scaled;
        for (int n = 0; v || n <= places; n++, v /= 10) {
            if (n == places)
                digits[--at] = '.';
            digits[--at] = (char)('0' + v % 10);
        }
        if (value < 0)
            digits[--at] = '-';
        text_add(text, digits + at, sizeof digits - at);
        return true;
    }
    return false;
}

/* Shortest form: most amounts have few digits, so 15 significant ones are tried first. */
void text_real(struct text *text, double value)
{
    char digits[40];
    if (!isfinite(value)) { /* JSON has none; jansson refuses to make them, so this is a guard only */
        text_puts(text, "null");
        return;
    }
    if (fabs(value) < 1e15 && value == (double)(int64_t)value) {
        if (value == 0 && signbit(value))
            text_char(text, '-');
        text_int(text, (int64_t)value);
        text_add(text, ".0", 2);
        return;
    }
    if (add_decimal(text, value))
        return;
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (precision == 17 || strtod(digits, NULL) == value)
            break;
    }
    if (!strpbrk(digits, ".e"))
        strncat(digits, ".0", sizeof digits - strlen(digits) - 1);
    text_puts(text, digits);
}

#define JSON_TEXT_USUAL_BYTES 2000 /* of an answer */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define ANY_ZERO(word) (((word)-EACH(1)) & ~(word)&EACH(0x80))

/* Length of the well-formed character at `s`, whose first byte is no ASCII; 0: it is none. RFC 3629, section 4. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (!n || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

bool text_is_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint64_t word;
        if (len - i >= sizeof word && !((memcpy(&word, text + i, sizeof word), word) & EACH(0x80))) {
            i += sizeof word;
            continue;
        }
        size_t n = (unsigned char)text[i] < 0x80 ? 1 : utf8_length((const unsigned char *)text + i, len - i);
        if (!n)
            return false;
        i += n;
    }
    return true;
}

char *text_make_utf8(char *text)
{
    for (size_t i = 0, len = strlen(text); i < len;) {
        size_t n = (unsigned char)text[i] < 0x80 ? 1 : utf8_length((const unsigned char *)text + i, len - i);
        if (!n)
            text[i] = '?';
        i += n ? n : 1;
    }
    return text;
}

typedef int8_t bytes16 __attribute__((vector_size(16)));

/* Whether the next 16 bytes are ASCII that stands in a string as it is: most are. What is no ASCII is negative. */
static bool plain16(const char *s)
{
    bytes16 at;
    uint64_t halves[2];
    memcpy(&at, s, sizeof at);
    const bytes16 special = (at < 0x20) | (at == '"') | (at == '\\');
    memcpy(halves, &special, sizeof halves);
    return !(halves[0] | halves[1]);
}

static bool plain8(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    uint64_t control = (word - EACH(0x20)) & ~word & EACH(0x80);
    return !((word & EACH(0x80)) | control | ANY_ZERO(word ^ EACH('"')) | ANY_ZERO(word ^ EACH('\\')));
}

static bool plain1(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

/* Where the first byte from `i` on stands that needs a closer look; `len`: there is none. The last word of a text
 * overlaps the one before. */
static size_t skip_plain(const char *s, size_t i, size_t len)
{
    if (len >= 16) {
        while (len - i >= 16 && plain16(s + i))
            i += 16;
        if (len - i < 16 && plain16(s + len - 16))
            return len;
    } else if (len >= 8 && plain8(s) && plain8(s + len - 8)) {
        return len;
    }
    while (i < len && plain1(s[i]))
        i++;
    return i;
}

/* What is no UTF-8 becomes U+FFFD: whatever came in, the text can be read back. */
static void add_escaped(struct text *text, const char *s, size_t i, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;
    for (; i < len; i = skip_plain(s, i, len)) {
        unsigned char c = (unsigned char)s[i];
        size_t n = c < 0x80 ? 0 : utf8_length((const unsigned char *)s + i, len - i);
        if (n) {
            i += n;
            continue;
        }
        text_add(text, s + start, i - start);
        start = ++i;
        if (c >= 0x80) {
            text_add(text, "\xef\xbf\xbd", 3);
            continue;
        }
        char escape[6] = {'\\', (char)c};
        n = 2;
        switch (c) {
        case '"':
        case '\\':
            break;
        case '\n':
            escape[1] = 'n';
            break;
        case '\r':
            escape[1] = 'r';
            break;
        case '\t':
            escape[1] = 't';
            break;
        default:
            memcpy(escape + 1, "u00", 3);
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
            n = 6;
        }
        text_add(text, escape, n);
    }
    text_add(text, s + start, len - start);
}

static void add_string(struct text *text, const char *s, size_t len)
{
    const size_t plain = skip_plain(s, 0, len);
    text_char(text, '"');
    if (plain == len)
        text_add(text, s, len);
    else
        add_escaped(text, s, plain, len);
    text_char(text, '"');
}

void text_string(struct text *text, const char *string)
{
    add_string(text, string, strlen(string));
}

static void add_value(struct text *text, const json_t *value, int depth)
{
    if (depth > JSON_TEXT_DEPTH_MAX) {
        text->failed = true;
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        json_t *object = (json_t *)(uintptr_t)value; /* iterating reads only; jansson's type says otherwise */
        char mark = '{';
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
            text_char(text, mark);
            mark = ',';
            add_string(text, json_object_iter_key(it), json_object_iter_key_len(it));
            text_char(text, ':');
            add_value(text, json_object_iter_value(it), depth + 1);
        }
        if (mark == '{')
            text_char(text, '{');
        text_char(text, '}');
        break;
    }
    case JSON_ARRAY:
        text_char(text, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i)
                text_char(text, ',');
            add_value(text, json_array_get(value, i), depth + 1);
        }
        text_char(text, ']');
        break;
    case JSON_STRING:
        add_string(text, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        text_int(text, (int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        text_real(text, json_real_value(value));
        break;
    case JSON_TRUE:
        text_add(text, "true", 4);
        break;
    case JSON_FALSE:
        text_add(text, "false", 5);
        break;
    case JSON_NULL:
        text_add(text, "null", 4);
        break;
    }
}

void text_json(struct text *text, const json_t *value)
{
    if (value)
        add_value(text, value, 0);
    else
        text_add(text, "null", 4);
}

char *json_text(const json_t *value, size_t *ret_len)
{
    struct text text;
    text_init(&text, SIZE_MAX / 4);
    (void)grow(&text, JSON_TEXT_USUAL_BYTES); /* else it would be moved again and again; fails below where it fails */
    text_json(&text, value);
    if (text.failed) {
        text_free(&text);
        return NULL;
    }
    text_add(&text, "", 0);
    if (ret_len)
        *ret_len = text.len;
    return text.at;
}

static size_t size_of(const json_t *value, size_t limit, int depth)
{
    size_t size = 0;
    if (depth > JSON_TEXT_DEPTH_MAX / 2)
        return limit + 1;
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        json_t *object = (json_t *)(uintptr_t)value;
        for (void *it = json_object_iter(object); it && size <= limit; it = json_object_iter_next(object, it))
            size += json_object_iter_key_len(it) + 4 + size_of(json_object_iter_value(it), limit, depth + 1);
        return size + 2;
    }
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value) && size <= limit; i++)
            size += 1 + size_of(json_array_get(value, i), limit, depth + 1);
        return size + 2;
    case JSON_STRING:
        return json_string_length(value) + 2;
    case JSON_INTEGER:
    case JSON_REAL:
        return 12;
    default:
        return 5;
    }
}

size_t json_text_size(const json_t *value, size_t limit)
{
    return value ? size_of(value, limit, 0) : 4;
}

static int add_piece(const char *bytes, size_t len, void *arg)
{
    struct text *text = arg;
    text_add(text, bytes, len);
    return text->failed ? -1 : 0;
}

char *json_text_sorted(const json_t *value)
{
    struct text text;
    text_init(&text, SIZE_MAX / 4);
    int e = json_dump_callback(value, add_piece, &text, JSON_COMPACT | JSON_SORT_KEYS);
    if (e || text.failed)
        text_free(&text);
    return text.at;
}
