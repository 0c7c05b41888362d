/* See json_text.h. */
#include "json_text.h"

#include <stdio.h>
#include <stdlib.h>

void json_text_begin(struct json_text *o)
{
    o->len = 1;
    o->full = false;
    o->text[0] = '{';
}

static void put(struct json_text *o, const char *text, size_t len)
{
    if (o->len + len + 1 > JSON_TEXT_MAX_BYTES) {
        o->full = true;
        return;
    }
    memcpy(o->text + o->len, text, len);
    o->len += len;
}

static void put_name(struct json_text *o, const char *quoted_name)
{
    if (o->len > 1)
        put(o, ",", 1);
    put(o, quoted_name, strlen(quoted_name));
}

static void put_quoted(struct json_text *o, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    put(o, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(o, text + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            put(o, (char[]){'\\', (char)c}, 2);
        } else
            put(o, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
    put(o, text + from, len - from);
    put(o, "\"", 1);
}

void json_text_string(struct json_text *o, const char *quoted_name, const char *text, size_t len)
{
    put_name(o, quoted_name);
    put_quoted(o, text, len);
}

static bool is_number(const char *s, size_t len)
{
    size_t at = len && *s == '-', whole;
    if (len > 15)
        return false;
    for (whole = at; whole < len && s[whole] >= '0' && s[whole] <= '9'; whole++)
        ;
    if (whole == at || (s[at] == '0' && whole > at + 1))
        return false;
    if (whole == len)
        return true;
    if (s[whole] != '.' || whole + 1 == len)
        return false;
    for (size_t i = whole + 1; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return true;
}

void json_text_scalar(struct json_text *o, const char *quoted_name, const char *text, size_t len)
{
    put_name(o, quoted_name);
    if (is_number(text, len))
        put(o, text, len);
    else
        put_quoted(o, text, len);
}

void json_text_integer(struct json_text *o, const char *quoted_name, int64_t value)
{
    char number[24];
    put_name(o, quoted_name);
    put(o, number, (size_t)snprintf(number, sizeof number, "%lld", (long long)value));
}

bool json_text_end(struct json_text *o)
{
    put(o, "}", 1);
    o->text[o->len] = 0;
    return !o->full;
}

char *json_text_name(const char *name, size_t len)
{
    struct json_text *o = malloc(sizeof *o);
    char *quoted = NULL;
    if (!o)
        return NULL;
    o->len = 0;
    o->full = false;
    put_quoted(o, name, len);
    put(o, ":", 1);
    if (!o->full && (quoted = malloc(o->len + 1))) {
        memcpy(quoted, o->text, o->len);
        quoted[o->len] = 0;
    }
    free(o);
    return quoted;
}
