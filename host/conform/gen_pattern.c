/* A text that a regular expression matches: literals, classes, escapes, groups, alternatives, quantifiers. What else an
 * expression holds is passed over; who uses the text checks it against the schema. Pure. */
#include "conform/parts.h"

#include "core/json_text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define DEPTH_MAX 16

struct sample {
    struct gen *g;
    struct text out;
    int depth;
};

static const char *alternatives(struct sample *s, const char *at, bool write);

/* Reads "\d" and the like into `set`; gives how many characters it has. */
static size_t escape(char c, char set[128])
{
    size_t n = 0;
    for (int i = 32; i < 127; i++)
        if ((c == 'd' && isdigit(i)) || (c == 'w' && (isalnum(i) || i == '_')) || (c == 's' && i == ' ') ||
            (c == 'D' && isalpha(i)) || (c == 'S' && isalnum(i)) || (c == 'W' && i == '-'))
            set[n++] = (char)i;
    if (!n)
        set[n++] = c == 'n' ? '\n' : c == 't' ? '\t' : c;
    return n;
}

static const char *class_of(const char *at, char set[128], size_t *ret_n)
{
    bool has[128] = {false}, negated = *at == '^';
    char some[128];
    if (negated)
        at++;
    for (bool first = true; *at && (*at != ']' || first); first = false, at++) {
        unsigned char from = (unsigned char)*at;
        if (*at == '\\' && at[1]) {
            size_t n = escape(*++at, some);
            for (size_t i = 0; i < n; i++)
                has[(unsigned char)some[i] & 127] = true;
            continue;
        }
        if (at[1] == '-' && at[2] && at[2] != ']') {
            for (unsigned c = from; c <= (unsigned char)at[2] && c < 128; c++)
                has[c] = true;
            at += 2;
        } else if (from < 128) {
            has[from] = true;
        }
    }
    *ret_n = 0;
    for (int i = negated ? 33 : 1; i < 127; i++)
        if (has[i] != negated)
            set[(*ret_n)++] = (char)i;
    return *at ? at + 1 : at;
}

static const char *quantifier(struct sample *s, const char *at, size_t *ret_times)
{
    size_t least = 1, most = 1;
    if (*at == '*' || *at == '+' || *at == '?') {
        least = *at == '+';
        most = *at == '?' ? 1 : 6;
        at++;
    } else if (*at == '{' && isdigit((unsigned char)at[1])) {
        char *end;
        least = most = strtoul(at + 1, &end, 10);
        if (*end == ',')
            most = isdigit((unsigned char)end[1]) ? strtoul(end + 1, &end, 10) : (end++, least + 6);
        at = *end ? end + 1 : end;
    }
    if (*at == '?' || *at == '+')
        at++;
    least = least > TEXT_MAX ? TEXT_MAX : least;
    most = most > TEXT_MAX ? TEXT_MAX : most;
    *ret_times = least + gen_below(s->g, most >= least ? most - least + 1 : 1);
    return at;
}

static const char *one(struct sample *s, const char *at, bool write)
{
    char set[128] = {0};
    size_t n = 0, times = 1;
    const char *group = NULL, *end;
    if (*at == '(') {
        group = at + 1;
        if (group[0] == '?')
            group = group[1] == ':' ? group + 2 : group;
        at = s->depth++ < DEPTH_MAX ? alternatives(s, group, false) : at + strlen(at);
        s->depth--;
        at += *at == ')';
    } else if (*at == '[') {
        at = class_of(at + 1, set, &n);
    } else if (*at == '\\' && at[1]) {
        n = escape(at[1], set);
        at += 2;
    } else if (*at == '.') {
        n = escape('w', set);
        at++;
    } else if (*at == '^' || *at == '$') {
        return at + 1;
    } else {
        set[n++] = *at++;
    }
    end = quantifier(s, at, &times);
    for (size_t i = 0; write && i < times && s->out.len < TEXT_MAX; i++) {
        if (group && s->depth++ < DEPTH_MAX)
            alternatives(s, group, true);
        s->depth -= group != NULL;
        if (n)
            text_char(&s->out, set[gen_below(s->g, n)]);
    }
    return end;
}

/* Up to the ")" or the end; writes one of the alternatives. */
static const char *alternatives(struct sample *s, const char *at, bool write)
{
    const char *starts[32] = {at};
    size_t n = 1;
    while (*at && *at != ')') {
        if (*at == '|') {
            if (n < 32)
                starts[n++] = at + 1;
            at++;
        } else {
            at = one(s, at, false);
        }
    }
    for (const char *p = starts[gen_below(s->g, n)]; write && *p && *p != ')' && *p != '|';)
        p = one(s, p, true);
    return at;
}

char *gen_pattern(struct gen *g, const char *pattern)
{
    struct sample s = {.g = g};
    text_init(&s.out, 2 * TEXT_MAX);
    alternatives(&s, pattern, true);
    if (!s.out.failed)
        text_char(&s.out, 0);
    char *text = s.out.failed || !s.out.at ? NULL : strdup(s.out.at);
    text_free(&s.out);
    return text;
}
