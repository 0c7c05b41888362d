/* See trace.h. */
#include "trace.h"

#include <stdio.h>

static bool same(const struct text_word *a, const struct text_word *b)
{
    return a->common == b->common && memcmp(a->classes, b->classes, sizeof a->classes) == 0 &&
           strcmp(a->stem, b->stem) == 0;
}

void trace_write(const struct text_words *words, bool once, char ret_line[TRACE_MAX_BYTES + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < words->n; i++) {
        const struct text_word *w = &words->at[i];
        char one[TEXT_WORD_SIZE + 8 * TEXT_OF_WORD_MAX + 4];
        bool seen = false;
        for (size_t k = 0; k < i && once && !seen; k++)
            seen = same(&words->at[k], w);
        if (seen)
            continue;
        size_t n = (size_t)snprintf(one, sizeof one, "%s%s%s", at ? " " : "", w->stem, w->common ? "~" : "");
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && w->classes[k] >= 0; k++)
            n += (size_t)snprintf(one + n, sizeof one - n, "%c%d", k ? ',' : ':', w->classes[k]);
        if (at + n > TRACE_MAX_BYTES)
            break;
        memcpy(ret_line + at, one, n);
        at += n;
    }
    ret_line[at] = '\0';
}

bool trace_next(const char **line, struct trace_word *ret)
{
    const char *c = *line;
    while (*c == ' ')
        c++;
    if (!*c)
        return false;
    ret->stem = c;
    while (*c && *c != ' ' && *c != '~' && *c != ':')
        c++;
    ret->len = (uint16_t)(c - ret->stem);
    ret->letters = trace_letters(ret->stem, ret->len);
    ret->common = *c == '~';
    c += ret->common;
    ret->n_classes = 0;
    while (*c == ':' || *c == ',') {
        int class = 0;
        for (c++; *c >= '0' && *c <= '9' && class < TEXT_CLASSES_MAX; c++)
            class = 10 * class + (*c - '0');
        if (class < TEXT_CLASSES_MAX && ret->n_classes < TEXT_OF_WORD_MAX)
            ret->classes[ret->n_classes++] = (int16_t) class;
    }
    while (*c && *c != ' ')
        c++;
    *line = c;
    return true;
}
