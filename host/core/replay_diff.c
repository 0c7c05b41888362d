/* Where a turn that was run again differs from its record. Equal texts are equal; else both are read, and each place
 * where they differ is told. Pure. */
#include "core/replay_parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define DIFFERENCES_MAX 50
#define WHERE_MAX_BYTES 512

static void add(json_t *list, const char *where, const json_t *recorded, const json_t *made)
{
    if (json_array_size(list) < DIFFERENCES_MAX)
        json_array_append_new(list,
                              json_pack("{s:s, s:O?, s:O?}", "where", where, "recorded", recorded, "replayed", made));
}

static void compare(json_t *list, const char *where, json_t *a, json_t *b);

static void below(json_t *list, const char *where, const char *name, json_t *a, json_t *b)
{
    char deeper[WHERE_MAX_BYTES];
    snprintf(deeper, sizeof deeper, "%s/%s", where, name);
    compare(list, deeper, a, b);
}

/* Members in another order are another text, though the same value. */
static bool same_order(json_t *a, json_t *b)
{
    void *x = json_object_iter(a), *y = json_object_iter(b);
    for (; x && y; x = json_object_iter_next(a, x), y = json_object_iter_next(b, y))
        if (strcmp(json_object_iter_key(x), json_object_iter_key(y)) != 0)
            return false;
    return true;
}

static void compare(json_t *list, const char *where, json_t *a, json_t *b)
{
    const char *name;
    json_t *value;
    size_t before = json_array_size(list);
    if (json_is_object(a) && json_is_object(b)) {
        json_object_foreach(a, name, value) below(list, where, name, value, json_object_get(b, name));
        json_object_foreach(b, name, value) if (!json_object_get(a, name)) below(list, where, name, NULL, value);
        if (json_array_size(list) == before && !same_order(a, b))
            add(list, where, a, b);
    } else if (json_is_array(a) && json_is_array(b)) {
        size_t n = json_array_size(a) > json_array_size(b) ? json_array_size(a) : json_array_size(b);
        for (size_t i = 0; i < n; i++) {
            char place[24];
            snprintf(place, sizeof place, "%zu", i);
            below(list, where, place, json_array_get(a, i), json_array_get(b, i));
        }
    } else if ((a || b) && (!a || !b || !json_equal(a, b))) {
        add(list, where, a, b);
    }
}

/* Of an input without a key nobody waits any more once the host has crashed: the answer is made all the same. */
static void drop_unheard(const json_t *recorded, json_t *made)
{
    if (!json_object_get(recorded, "answers"))
        json_object_del(made, "answers");
}

/* "*": what was digested has gone from an export, and was replaced. */
static void drop_digests(json_t *recorded, json_t *made)
{
    json_t *rows = json_object_get(recorded, "rows"), *calls = json_object_get(recorded, "calls"), *row, *call;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        json_t *other = json_array_get(json_object_get(made, "rows"), i);
        if (json_array_size(row) == 3 && json_array_size(other) == 3 &&
            strcmp(json_string_value(json_array_get(row, 2)), "*") == 0)
            json_array_set(other, 2, json_array_get(row, 2));
    }
    json_array_foreach(calls, i, call)
    {
        json_t *other = json_array_get(json_object_get(made, "calls"), i);
        if (strcmp(cvm_json_str(call, "sent", ""), "*") == 0 && json_object_get(other, "sent"))
            json_object_set(other, "sent", json_object_get(call, "sent"));
    }
}

json_t *replay_differences(const struct replay *r, const struct past_turn *turn, const char *made, size_t len)
{
    bool same = strlen(turn->text) == len && memcmp(turn->text, made, len) == 0;
    json_t *list = NULL;
    if (same && strcmp(turn->outcome, r->outcome) == 0)
        return NULL;
    json_t *a = json_deep_copy(turn->record), *b = json_loadb(made, len, JSON_ALLOW_NUL, NULL);
    (void)past_whole(turn, r->lane, b);
    list = json_array();
    json_object_del(a, "_state"); /* a reader's own */
    json_object_del(a, "_subject");
    if (r->options->with_current) { /* another code reads what it reads; what counts is what comes of it */
        json_object_del(a, "run");
        json_object_del(b, "run");
        json_object_del(a, "reads");
        json_object_del(b, "reads");
        json_object_del(a, "state_version");
        json_object_del(b, "state_version");
    }
    drop_unheard(a, b);
    drop_digests(a, b);
    if (strcmp(turn->outcome, r->outcome) != 0)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "where", "/outcome", "recorded", turn->outcome, "replayed", r->outcome));
    compare(list, "", a, b);
    json_decref(a);
    json_decref(b);
    if (json_array_size(list) == 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}
