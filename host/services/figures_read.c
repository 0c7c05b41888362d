/* See figures.h: the text that /metrics shows, as values. Only what the host writes need be understood: a TYPE line
 * before a figure's rows, no times, no exemplars. Pure. */
#include "services/figures.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 128

struct reading {
    json_t *figures, *now, *points; /* `now` is the figure whose rows come; borrowed */
    char name[NAME_MAX_BYTES], kind[16];
    char help[512];
};

static void begin(struct reading *r, const char *line, size_t len)
{
    char name[NAME_MAX_BYTES], kind[16], copy[NAME_MAX_BYTES + 16];
    snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), line);
    r->now = NULL;
    if (sscanf(copy, "%127s %15s", name, kind) != 2)
        return;
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    r->points = json_array();
    r->now = json_pack("{s:s, s:s, s:s, s:o}", "name", name, "kind", kind, "help", r->help, "points", r->points);
    if (json_array_append_new(r->figures, r->now) < 0)
        r->now = NULL;
    r->help[0] = 0;
}

static void keep_help(struct reading *r, const char *line, size_t len)
{
    size_t name = strcspn(line, " ");
    r->help[0] = 0;
    if (name < len)
        snprintf(r->help, sizeof r->help, "%.*s", (int)(len - name - 1), line + name + 1);
}

/* Labels from behind "{" on; gives where "}" stands, NULL: they cannot be read. `le` is taken out of them. */
static const char *read_labels(const char *s, const char *end, json_t *labels, char le[32])
{
    while (s < end && *s != '}') {
        const char *equals = memchr(s, '=', (size_t)(end - s));
        char name[64], value[256];
        size_t n = 0;
        if (!equals || equals + 1 >= end || equals[1] != '"')
            return NULL;
        snprintf(name, sizeof name, "%.*s", (int)(equals - s), s);
        for (s = equals + 2; s < end && *s != '"'; s++) {
            if (*s == '\\' && s + 1 < end)
                s++;
            if (n < sizeof value - 1)
                value[n++] = *s;
        }
        value[n] = 0;
        if (s >= end)
            return NULL;
        s += s + 1 < end && s[1] == ',' ? 2 : 1;
        if (!strcmp(name, "le"))
            snprintf(le, 32, "%.31s", value);
        else
            json_object_set_new(labels, name, json_string(value));
    }
    return s < end ? s : NULL;
}

/* The point with these labels; the rows of one stand together. */
static json_t *point_of(struct reading *r, const json_t *labels)
{
    json_t *last = json_array_get(r->points, json_array_size(r->points) - 1);
    if (last && json_equal(json_object_get(last, "labels"), (json_t *)(uintptr_t)labels))
        return last;
    last = json_pack("{s:O, s:[], s:[], s:f, s:i}", "labels", labels, "bounds", "counts", "sum", 0.0, "count", 0);
    return json_array_append_new(r->points, last) < 0 ? NULL : last;
}

/* Buckets come as what is below each bound, and go as what is in each. */
static void add_part(struct reading *r, const char *part, const json_t *labels, const char *le, double value)
{
    json_t *point = point_of(r, labels), *counts = json_object_get(point, "counts");
    if (!strcmp(part, "_sum"))
        json_object_set_new(point, "sum", json_real(value));
    else if (!strcmp(part, "_count"))
        json_object_set_new(point, "count", json_integer((json_int_t)value));
    if (strcmp(part, "_bucket") != 0)
        return;
    json_int_t before = 0;
    for (size_t i = 0; i < json_array_size(counts); i++)
        before += json_integer_value(json_array_get(counts, i));
    json_array_append_new(counts, json_integer((json_int_t)value - before));
    if (strcmp(le, "+Inf") != 0)
        json_array_append_new(json_object_get(point, "bounds"), json_real(strtod(le, NULL)));
}

static void read_row(struct reading *r, const char *line, size_t len)
{
    const char *end = line + len, *s = line;
    char le[32] = "";
    size_t name = strlen(r->name);
    json_t *labels = json_object();
    while (s < end && *s != '{' && *s != ' ')
        s++;
    char part[16];
    snprintf(part, sizeof part, "%.*s", (int)((size_t)(s - line) > name ? (size_t)(s - line) - name : 0), line + name);
    bool ours = r->now && (size_t)(s - line) >= name && !strncmp(line, r->name, name);
    if (ours && s < end && *s == '{') {
        s = read_labels(s + 1, end, labels, le);
        s = s ? s + 1 : NULL;
    }
    char *after = NULL;
    double value = ours && s && s < end ? strtod(s, &after) : 0;
    if (after && after > s && after <= end && !strcmp(r->kind, "histogram"))
        add_part(r, part, labels, le, value);
    else if (after && after > s && after <= end && !*part)
        json_array_append_new(r->points, json_pack("{s:O, s:f}", "labels", labels, "value", value));
    json_decref(labels);
}

json_t *figures_read(const char *text)
{
    struct reading r = {.figures = json_array()};
    while (r.figures && *text) {
        size_t len = strcspn(text, "\n");
        if (len > 7 && !strncmp(text, "# TYPE ", 7))
            begin(&r, text + 7, len - 7);
        else if (len > 7 && !strncmp(text, "# HELP ", 7))
            keep_help(&r, text + 7, len - 7);
        else if (len && *text != '#')
            read_row(&r, text, len);
        text += len + (text[len] == '\n');
    }
    return r.figures;
}

json_t *figures_pages(const json_t *figures, size_t points)
{
    json_t *pages = json_array(), *page = NULL, *part = NULL;
    const json_t *figure, *point;
    size_t i, k, n = points;
    json_array_foreach((json_t *)(uintptr_t)figures, i, figure)
    {
        part = NULL;
        json_array_foreach(json_object_get(figure, "points"), k, point)
        {
            if (n >= points) {
                page = json_array();
                json_array_append_new(pages, page);
                n = 0;
                part = NULL;
            }
            if (!part) {
                part = json_copy((json_t *)(uintptr_t)figure);
                json_object_set_new(part, "points", json_array());
                json_array_append_new(page, part);
            }
            json_array_append(json_object_get(part, "points"), (json_t *)(uintptr_t)point);
            n++;
        }
    }
    return pages;
}
