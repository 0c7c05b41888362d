/* What a person changed in a text, line by line. Pure. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX 200

struct lines {
    const char *at[LINES_MAX];
    size_t len[LINES_MAX];
    size_t n;
};

/* What is beyond the last line belongs to it. */
static void split(const char *text, struct lines *l)
{
    l->n = 0;
    while (*text) {
        size_t len = l->n == LINES_MAX - 1 ? strlen(text) : strcspn(text, "\n");
        l->at[l->n] = text;
        l->len[l->n++] = len;
        text += len + (text[len] == '\n');
    }
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t k)
{
    return a->len[i] == b->len[k] && memcmp(a->at[i], b->at[k], a->len[i]) == 0;
}

static void put(json_t *diff, char sign, const struct lines *l, size_t i)
{
    json_array_append_new(diff, json_sprintf("%c %.*s", sign, (int)l->len[i], l->at[i]));
}

/* By the longest common subsequence: common[i][k] is its length from line i of `was` and k of `is` on. */
json_t *diff_lines(const char *was, const char *is)
{
    struct lines a, b;
    split(was, &a);
    split(is, &b);
    size_t width = b.n + 1, i = 0, k = 0;
    unsigned short *common = calloc((a.n + 1) * width, sizeof *common);
    json_t *diff = json_array();
    if (!common || !diff) {
        free(common);
        return diff;
    }
    for (i = a.n; i-- > 0;)
        for (k = b.n; k-- > 0;) {
            unsigned short down = common[(i + 1) * width + k], right = common[i * width + k + 1];
            common[i * width + k] = (unsigned short)(same(&a, i, &b, k) ? common[(i + 1) * width + k + 1] + 1
                                                     : down > right     ? down
                                                                        : right);
        }
    for (i = k = 0; i < a.n || k < b.n;) {
        if (i < a.n && k < b.n && same(&a, i, &b, k)) {
            put(diff, ' ', &a, i++);
            k++;
        } else if (k == b.n || (i < a.n && common[(i + 1) * width + k] >= common[i * width + k + 1])) {
            put(diff, '-', &a, i++);
        } else {
            put(diff, '+', &b, k++);
        }
    }
    free(common);
    return diff;
}

char *solution_text(const json_t *analysis)
{
    const json_t *steps = json_object_get(analysis, "resolution_steps");
    size_t size = 1, at = 0, i;
    const json_t *step;
    json_array_foreach(steps, i, step) size += json_string_length(step) + 1;
    if (size == 1)
        return strdup(cvm_json_str(analysis, "analysis", ""));
    char *text = malloc(size);
    if (!text)
        return NULL;
    *text = 0;
    json_array_foreach(steps, i, step)
    {
        const char *line = json_string_value(step);
        if (line)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "\n" : "", line);
    }
    return text;
}
