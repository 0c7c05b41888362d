/* A reader of JSON that keeps nothing; see json_lines.h. */
#include "core/json_lines.h"

#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 64

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool scan_escape(struct scan *s)
{
    if (s->at == s->end)
        return false;
    char c = *s->at++;
    if (c != 'u')
        return strchr("\"\\/bfnrt", c) != NULL && c;
    for (int i = 0; i < 4; i++, s->at++)
        if (s->at == s->end || !strchr("0123456789abcdefABCDEF", *s->at) || !*s->at)
            return false;
    return true;
}

static bool scan_string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !scan_escape(s)))
            return false;
    }
    return false;
}

static bool scan_digits(struct scan *s)
{
    const char *begin = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > begin;
}

static bool scan_number(struct scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !scan_digits(s))
        return false;
    if (take(s, '.') && !scan_digits(s))
        return false;
    if (!take(s, 'e') && !take(s, 'E'))
        return true;
    if (!take(s, '+'))
        take(s, '-');
    return scan_digits(s);
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

static bool scan_value(struct scan *s, int depth);

static bool scan_members(struct scan *s, char close, int depth)
{
    skip_space(s);
    if (take(s, close))
        return true;
    do {
        skip_space(s);
        if (close == '}') {
            if (!scan_string(s))
                return false;
            skip_space(s);
            if (!take(s, ':'))
                return false;
        }
        if (!scan_value(s, depth + 1))
            return false;
        skip_space(s);
    } while (take(s, ','));
    return take(s, close);
}

static bool scan_value(struct scan *s, int depth)
{
    skip_space(s);
    if (s->at == s->end || depth > DEPTH_MAX)
        return false;
    switch (*s->at) {
    case '{':
    case '[':
        s->at++;
        return scan_members(s, s->at[-1] == '{' ? '}' : ']', depth);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

bool json_lines_is_object(const char *text, size_t len)
{
    struct scan s = {text, text + len};
    skip_space(&s);
    if (s.at == s.end || *s.at != '{' || !scan_value(&s, 0))
        return false;
    skip_space(&s);
    return s.at == s.end;
}
