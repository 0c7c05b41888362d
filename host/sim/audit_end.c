/* When nothing is under way any more: everything that was asked has its one answer, nothing is left open, and what is
 * stored is what the turns say. */
#include "sim/audit_parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_asked(struct sim *s)
{
    struct auditor *a = s->audit;
    const char *id;
    json_t *what;
    json_object_foreach(a->asked, id, what)
    {
        json_int_t n = json_integer_value(json_object_get(a->answers, id));
        if (n != 1 && s->plugins->own)
            sim_fail(s, INV_ONCE, "the request %s (%s to %s) was answered %lld times", id,
                     json_string_value(json_array_get(what, 1)), json_string_value(json_array_get(what, 0)),
                     (long long)n);
    }
}

/* A request may end before its turn (deadline); what nobody answers is handled or a dead letter. */
static void check_pending(struct sim *s)
{
    const char *id;
    json_t *what;
    json_object_foreach(s->audit->pending, id, what)
    {
        const char *sort = json_string_value(json_array_get(what, 2));
        if (strcmp(sort, "request") != 0)
            sim_fail(s, INV_ONCE, "%s (%s %s to %s, sent in turn %lld) was never handled", id,
                     json_string_value(json_array_get(what, 1)), sort, json_string_value(json_array_get(what, 0)),
                     (long long)json_integer_value(json_array_get(what, 3)));
    }
}

typedef void (*each_row)(struct sim *s, sqlite3_stmt *st);

static void each(struct sim *s, const char *sql, each_row fn)
{
    sqlite3_stmt *st = NULL;
    int e = auditor_open(s);
    if (e)
        return;
    disk_rest(s->disk, true);
    if (sqlite3_prepare_v2(s->audit->db, sql, -1, &st, NULL) != SQLITE_OK)
        sim_fail(s, INV_HOST, "%s: %s", sql, sqlite3_errmsg(s->audit->db));
    while (st && !s->failed && sqlite3_step(st) == SQLITE_ROW)
        fn(s, st);
    sqlite3_finalize(st);
    disk_rest(s->disk, false);
}

static const char *text(sqlite3_stmt *st, int i)
{
    const unsigned char *t = sqlite3_column_text(st, i);
    return t ? (const char *)t : "";
}

static void open_item(struct sim *s, sqlite3_stmt *st)
{
    sim_fail(s, INV_ONCE, "an open %s is left in the store: %.300s", text(st, 1), text(st, 2));
}

static void open_inbox(struct sim *s, sqlite3_stmt *st)
{
    sim_fail(s, INV_ONCE, "the input with the key %s is still said to be under way", text(st, 1));
}

static void stored(struct sim *s, sqlite3_stmt *st)
{
    json_t *state = json_object_get(s->audit->state, text(st, 0)), *entry = json_object_get(state, text(st, 1));
    json_t *value = json_loads(text(st, 2), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_int_t turn = sqlite3_column_int64(st, 3);
    if (json_array_size(entry) < 2)
        sim_fail(s, INV_STATE, "%s keeps %s, which no turn has written or a turn has deleted", text(st, 0),
                 text(st, 1));
    else if (json_integer_value(json_array_get(entry, 0)) != turn && !s->audit->lowered)
        sim_fail(s, INV_STATE, "%s %s is said to be of turn %lld, turn %lld wrote it last", text(st, 0), text(st, 1),
                 (long long)turn, (long long)json_integer_value(json_array_get(entry, 0)));
    else if (!json_equal(json_array_get(entry, 1), value) && !s->audit->lowered)
        sim_fail(s, INV_STATE, "%s %s is %.200s, its last turn says otherwise", text(st, 0), text(st, 1), text(st, 2));
    json_decref(value);
    json_object_del(state, text(st, 1));
}

static void check_missing(struct sim *s)
{
    const char *component, *key;
    json_t *keys, *entry;
    json_object_foreach(s->audit->state, component, keys)
    {
        json_object_foreach(keys, key, entry)
        {
            if (json_array_size(entry) > 1)
                sim_fail(s, INV_STATE, "%s has lost %s, which turn %lld wrote", component, key,
                         (long long)json_integer_value(json_array_get(entry, 0)));
        }
    }
}

void auditor_end(struct sim *s)
{
    check_asked(s);
    check_pending(s);
    each(s, "SELECT no, kind, doc FROM open_items WHERE kind != 'timer'", open_item);
    each(s, "SELECT source, key FROM inbox WHERE outcome < 0", open_inbox);
    each(s, "SELECT component, key, value, turn FROM state ORDER BY component, key", stored);
    if (!s->failed)
        check_missing(s);
}
