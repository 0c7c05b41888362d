/* What a core asks a replay instead of what it knows itself: what was full, late or gone when the turn first ran, the
 * state and the scans that it read, its timers and ids, all from its record. */
#include "core/replay_parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool replay_met(const struct core *core, const char *what, const char *name)
{
    const json_t *list = json_object_get(json_object_get(core->replay->turn->record, "met"), what);
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       value) if (strcmp(json_string_value(value), name) == 0) return true;
    return false;
}

bool replay_met_id(const struct core *core, const char *what, cvm_id id)
{
    char shown[40];
    id_text(id, shown);
    return replay_met(core, what, shown);
}

void replay_secret(struct core *core, const char *name)
{
    struct replay *r = core->replay;
    size_t i;
    json_t *lost;
    json_array_foreach(r->world->lost, i, lost) if (strcmp(json_string_value(lost), name) == 0)
        replay_say(r, "the secret %s is not what it was then", name);
}

void replay_short_id(struct core *core, const json_t *ids, char *ret_id, size_t size)
{
    const json_t *id = json_array_get(json_object_get(core->replay->turn->record, "ids"), json_array_size(ids));
    if (json_is_string(id))
        snprintf(ret_id, size, "%s", json_string_value(id));
}

/* The turn that had written the key, as the record says; -1: it does not. Found by an index that the first asks for. */
static int64_t read_from(struct replay *r, const char *key)
{
    const json_t *reads = json_object_get(r->turn->record, "reads");
    json_t *read;
    size_t i;
    if (!r->reads) {
        r->reads = json_object();
        json_array_foreach((json_t *)(uintptr_t)reads, i, read) if (json_array_size(read) == 2)
            json_object_set_nocheck(r->reads, json_string_value(json_array_get(read, 0)), json_array_get(read, 1));
    }
    read = json_object_get(r->reads, key);
    return read ? (int64_t)json_integer_value(read) : -1;
}

int replay_state(struct core *core, struct state_entry *e)
{
    struct replay *r = core->replay;
    const char *component = e->component->id->text;
    json_t *value = NULL;
    uint32_t version = 1;
    int64_t turn = read_from(r, e->key);
    bool imagined = imagine_state(r->past.imagine, component, e->key, &value, &version, &turn);
    if (!imagined && turn > 0 && past_state(&r->past, component, e->key, turn, &value, &version) < 0)
        replay_say(r, "what turn %lld wrote under the key %s of %s is not stored any more", (long long)turn, e->key,
                   component);
    if (!imagined && turn < 0) {
        r->asked_elsewhere = true;
        turn = 0;
        past_state_now(&r->past, component, e->key, r->turn->seq, &value, &version, &turn);
    }
    json_decref(e->value);
    json_decref(e->view);
    e->view = NULL;
    e->value = value;
    e->version = version;
    e->turn = turn;
    return 0;
}

/* The record's scan of this range that was not asked for yet. */
static const json_t *find_scan(struct replay *r, const char *prefix, const char *after, size_t limit)
{
    const json_t *reads = json_object_get(r->turn->record, "reads");
    uint32_t n = 0;
    size_t i;
    json_t *read;
    json_array_foreach((json_t *)(uintptr_t)reads, i, read)
    {
        const char *first = json_string_value(json_array_get(read, 0));
        if (json_array_size(read) < 4 || strcmp(first, "scan") != 0 || n++ < r->scans)
            continue;
        r->scans++;
        if (strcmp(json_string_value(json_array_get(read, 1)), prefix) == 0 &&
            strcmp(json_string_value(json_array_get(read, 2)), after ? after : "") == 0 &&
            json_integer_value(json_array_get(read, 3)) == (json_int_t)limit)
            return read;
        break;
    }
    return NULL;
}

/* Another code's scan, of what is stored today and was there then. */
static json_t *scan_now(struct replay *r, const struct component *c, const char *prefix, const char *after,
                        size_t limit)
{
    sqlite3_stmt *st = NULL;
    char end[CVM_STATE_KEY_MAX + 8];
    json_t *entries = json_array();
    snprintf(end, sizeof end, "%s\xf4\x8f\xbf\xbf", prefix);
    if (sqlite3_prepare_v2(r->past.db,
                           "SELECT key, value, version, turn FROM state WHERE component = ? AND key > ? AND key >= ?"
                           " AND key < ? AND turn < ? ORDER BY key LIMIT ?",
                           -1, &st, NULL))
        return entries;
    sqlite3_bind_text(st, 1, c->id->text, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, after ? after : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, prefix, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, end, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, r->turn->seq);
    sqlite3_bind_int64(st, 6, (int64_t)limit);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        json_t *value = json_loads((const char *)sqlite3_column_text(st, 1), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *made = NULL;
        if (value && state_converted(c, key, (uint32_t)sqlite3_column_int64(st, 2), value, &made) == 0)
            json_array_append_new(entries, json_pack("[s, o, I]", key, made, (json_int_t)sqlite3_column_int64(st, 3)));
        json_decref(value);
    }
    sqlite3_finalize(st);
    return entries;
}

int replay_scan(struct core *core, struct component *c, const char *prefix, const char *after, size_t limit,
                json_t **ret_entries)
{
    struct replay *r = core->replay;
    const json_t *scan = find_scan(r, prefix, after, limit);
    if (!scan) {
        r->asked_elsewhere = true;
        *ret_entries = scan_now(r, c, prefix, after, limit);
        return 0;
    }
    json_t *entries = json_array();
    for (size_t i = 4; i < json_array_size(scan); i++) {
        const json_t *entry = json_array_get(scan, i);
        const char *key = json_string_value(json_array_get(entry, 0));
        int64_t turn = (int64_t)json_integer_value(json_array_get(entry, 1));
        json_t *value = NULL, *made = NULL;
        uint32_t version = 1;
        int e = past_state(&r->past, c->id->text, key, turn, &value, &version);
        if (e < 0 || !value)
            replay_say(r, "what turn %lld wrote under the key %s of %s is not stored any more", (long long)turn, key,
                       c->id->text);
        else
            e = state_converted(c, key, version, value, &made);
        json_decref(value);
        if (e < 0) {
            json_decref(entries);
            return e;
        }
        json_array_append_new(entries, json_pack("[s, o, I]", key, made ? made : json_null(), (json_int_t)turn));
    }
    *ret_entries = entries;
    return 0;
}

/* What the model said of that text. None in the record: it was not there, or is asked of another text today. */
int replay_model(struct core *core, const char *name, json_int_t mark, json_t **ret_read)
{
    struct replay *r = core->replay;
    const json_t *reads = json_object_get(r->turn->record, "reads");
    size_t i;
    json_t *read;
    json_array_foreach((json_t *)(uintptr_t)reads, i, read)
    {
        const char *asked = json_string_value(json_array_get(read, 1));
        if (json_array_size(read) != 5 || !asked || strcmp(asked, name) != 0 ||
            strcmp(json_string_value(json_array_get(read, 0)), "model") != 0 ||
            json_integer_value(json_array_get(read, 3)) != mark)
            continue;
        *ret_read = json_incref(read);
        return 0;
    }
    return CVM_ENOENT;
}

struct timer *replay_timer(struct turn *t, cvm_id id)
{
    struct replay *r = t->core->replay;
    if (replay_met_id(t->core, "gone", id))
        return NULL;
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->item = (struct item){.id = id, .kind = ITEM_TIMER, .refs = 1, .no = 1};
    timer->component = t->component;
    timer->conversation = t->conversation;
    conversation_hold(timer->conversation);
    if (!VECTOR_PUSH(r->kept, &timer->item)) {
        item_release(t->core, &timer->item);
        return NULL;
    }
    return timer;
}

int64_t replay_key(const struct core *core, const char *conversation)
{
    return past_key(&core->replay->past, conversation);
}
