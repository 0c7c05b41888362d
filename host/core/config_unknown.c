/* Finds settings that do not exist and guesses what was meant. Knows the schema only as JSON. */
#include "core/config_settings.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 256
#define AREA_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"
#define NAME_COMPARED_MAX 64 /* longer names are no misspelt settings */

struct guess {
    const char *path; /* the unknown setting: "http.prot" */
    const char *name; /* its last part */
    unsigned distance;
    char best[PATH_MAX_BYTES];
};

/* Edits (insert, delete, replace, swap neighbours) that make one of the other: optimal string alignment. */
static unsigned distance(const char *a, const char *b)
{
    unsigned char rows[3][NAME_COMPARED_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_COMPARED_MAX || m > NAME_COMPARED_MAX)
        return NAME_COMPARED_MAX;
    unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);
            d = row[j - 1] + 1u < d ? row[j - 1] + 1u : d;
            d = last[j] + 1u < d ? last[j] + 1u : d;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1u < d)
                d = before[j - 2] + 1u;
            row[j] = (unsigned char)d;
        }
        unsigned char *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

static void join(char *out, const char *prefix, const char *name)
{
    snprintf(out, PATH_MAX_BYTES, "%.120s%s%.120s", prefix, *prefix ? "." : "", name);
}

/* Compares with every setting under `schema`; one of the same name elsewhere, or of which the name is the beginning
 * (`wal_max` of `wal_max_mib`), is a good guess too. */
static void compare_all(struct guess *g, const json_t *schema, const char *prefix)
{
    const char *name;
    json_t *member;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        char path[PATH_MAX_BYTES];
        join(path, prefix, name);
        unsigned d = distance(path, g->path);
        if (strcmp(name, g->name) == 0)
            d = 1;
        else if (d > 2 && strlen(g->name) >= 3 && strncmp(name, g->name, strlen(g->name)) == 0)
            d = 2;
        if (d < g->distance) {
            g->distance = d;
            memcpy(g->best, path, sizeof path);
        }
        compare_all(g, member, path);
    }
}

static void say_unknown(const json_t *root, const json_t *section, const char *prefix, const char *name, char *ret_text,
                        size_t size)
{
    char path[PATH_MAX_BYTES];
    join(path, prefix, name);
    struct guess g = {.path = path, .name = name, .distance = (unsigned)(strlen(name) + 2) / 3 + 1};
    compare_all(&g, root, "");
    compare_all(&g, section, prefix); /* sections under a free name are found only here */
    if (*g.best) {
        snprintf(ret_text, size, "%s: unknown setting; did you mean %s?", path, g.best);
        return;
    }
    size_t at = (size_t)snprintf(ret_text, size, "%s: unknown setting; known are", path);
    const char *known, *comma = " ";
    json_t *member;
    json_object_foreach(json_object_get(section, "properties"), known, member)
    {
        if (at < size)
            at += (size_t)snprintf(ret_text + at, size - at, "%s%s", comma, known);
        comma = ", ";
    }
}

/* A section at the top that is no misspelt one of the host's own: settings for the components of an area. */
static bool is_area(const json_t *root, const json_t *schema, const char *name, const json_t *value)
{
    const char *known;
    json_t *member;
    if (schema != root || !json_is_object(value) || strspn(name, AREA_LETTERS) != strlen(name))
        return false;
    json_object_foreach(json_object_get(root, "properties"), known, member)
    {
        if (distance(name, known) <= (strlen(name) < 6 ? 1u : 2u))
            return false;
    }
    return true;
}

bool config_is_area(const json_t *schema, const char *name)
{
    return !json_object_get(json_object_get(schema, "properties"), name);
}

static bool find_unknown(const json_t *root, const json_t *schema, const json_t *value, const char *prefix,
                         char *ret_text, size_t size)
{
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        const json_t *known = json_object_get(json_object_get(schema, "properties"), name);
        char path[PATH_MAX_BYTES];
        if (!known && is_area(root, schema, name, member))
            continue;
        if (!known && json_is_false(additional)) {
            say_unknown(root, schema, prefix, name, ret_text, size);
            return true;
        }
        join(path, prefix, name);
        if (find_unknown(root, known ? known : additional, member, path, ret_text, size))
            return true;
    }
    return false;
}

bool config_unknown(const json_t *schema, const json_t *value, char *ret_text, size_t size)
{
    return find_unknown(schema, schema, value, "", ret_text, size);
}
