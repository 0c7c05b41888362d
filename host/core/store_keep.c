/* Folding and pruning, step by step: a step looks at rows until its time is over and commits what it did, so a crash
 * loses at most a step and the rest goes on from what the rows themselves say. A turn goes when it is older than the
 * pass asks for and nothing needs it: its conversation is over (it ended, or nothing in it is open and nothing happened
 * since) and keeps its decisions in `folded`; in a lane without an end, no value of the state and nothing open names
 * it. Writer's thread. */
#include "core/keep.h"
#include "core/store.h"

#include "core/crash.h"
#include "core/record_read.h"
#include <assert.h>
#include <cvm/json.h>
#include <stdlib.h>
#include <string.h>

#define FOLD_ROWS 32                     /* of one conversation in one go */
#define FOLD_BYTES (128 * 1024)          /* their records together, but for the last */
#define RECORD_PARSED_BYTES (256 * 1024) /* decisions of a longer one are not kept: that is noted */
#define FOLDED_NOTES_MAX 200
#define FOLDED_BYTES_MAX (64 * 1024)
#define FOLDED_NAMES_MAX 64
#define OPEN_IDS_MAX (4 * 1024 * 1024)
#define OPEN_DEPTH_MAX 8
#define INBOX_ROWS 32
#define COLLAPSE_ROWS 128 /* stubs of pruned turns that join the anchor, in one step */

#define STATEMENTS(X)                                                                                                  \
    X(OPEN_NEXT, "SELECT no, doc FROM open_items WHERE no > ?1 ORDER BY no LIMIT 1")                                   \
    X(TURN_NEXT, "SELECT seq, at_ms, conversation, component, message, length(record), record FROM turns"              \
                 " WHERE seq > ?1 ORDER BY seq LIMIT 1")                                                               \
    X(LANE_LAST, "SELECT at_ms FROM turns WHERE conversation = ?1 ORDER BY seq DESC LIMIT 1")                          \
    X(LANE_FIRST, "SELECT 1 FROM turns WHERE conversation = ?1 AND seq < ?2 LIMIT 1")                                  \
    X(LANE_ROWS, "SELECT seq, at_ms, component, type, outcome, length(record), record, message, sender FROM turns"     \
                 " WHERE conversation = ?1 AND seq < ?2 ORDER BY seq")                                                 \
    X(LANE_END, "SELECT ended_ms, name FROM contexts WHERE conversation = ?1")                                         \
    X(STATE_NAMES, "SELECT 1 FROM state WHERE component = ?1 AND key = ?2 AND turn = ?3")                              \
    X(FOLDED_GET, "SELECT doc, first_seq, first_ms, turns, name FROM folded WHERE conversation = ?1")                  \
    X(FOLDED_PUT, "INSERT OR REPLACE INTO folded(conversation, name, folded_ms, first_seq, last_seq, first_ms,"        \
                  " last_ms, turns, doc) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                  \
    X(LETTER_NEXT,                                                                                                     \
      "SELECT id, (SELECT 1 FROM state s WHERE s.component = 'host.redrive' AND s.key = CAST(d.id AS TEXT)) IS NOT"    \
      " NULL OR coalesce(json_extract(envelope, '$.message_type'), '') IN ('request', 'response'), at_ms"              \
      " FROM dead_letters d WHERE id > ?1 AND id < (SELECT max(id) FROM dead_letters) ORDER BY id LIMIT 1")

enum {
#define X(id, sql) S_##id,
    STATEMENTS(X)
#undef X
        S_COUNT
};

static const char *const statements[] = {
#define X(id, sql) sql,
    STATEMENTS(X)
#undef X
};

_Static_assert(S_COUNT <= sizeof((struct keep_pass *)0)->statement / sizeof(void *), "a place for each");

static sqlite3_stmt *get(struct store *s, struct keep_pass *p, int id)
{
    if (!p->statement[id] && sqlite3_prepare_v3(s->db, statements[id], -1, SQLITE_PREPARE_PERSISTENT,
                                                (sqlite3_stmt **)&p->statement[id], NULL))
        p->error = CVM_EIO;
    return p->statement[id];
}

/* One row is there; else the statement is reset, and p->error set where it failed. */
static bool row(struct keep_pass *p, sqlite3_stmt *st)
{
    int e = st ? sqlite3_step(st) : SQLITE_ERROR;
    if (e == SQLITE_ROW)
        return true;
    sqlite3_reset(st);
    if (e != SQLITE_DONE)
        p->error = (e & 0xff) == SQLITE_CORRUPT || (e & 0xff) == SQLITE_NOTADB ? CVM_EDATA : CVM_EIO;
    return false;
}

static void done(struct keep_pass *p, sqlite3_stmt *st)
{
    while (row(p, st))
        ;
}

/* ---- what is open ------------------------------------------------------------------------------------------------ */

static void add_open(struct keep_pass *p, int64_t hi, int64_t lo)
{
    if (p->n_open == p->open_cap) {
        size_t cap = p->open_cap ? 2 * p->open_cap : 1024;
        struct keep_id *at = cap <= OPEN_IDS_MAX ? realloc(p->open, cap * sizeof *at) : NULL;
        if (!at) {
            p->error = CVM_ELIMIT;
            return;
        }
        p->open = at;
        p->open_cap = cap;
    }
    p->open[p->n_open++] = (struct keep_id){hi, lo};
}

/* Whatever looks like an id or names a lane, wherever it stands: too much kept is no harm. */
static void walk_open(struct keep_pass *p, const json_t *value, const char *name, int depth)
{
    const char *text = json_string_value(value), *key;
    json_t *inner;
    size_t i;
    cvm_id id;
    if (depth > OPEN_DEPTH_MAX)
        return;
    if (text && id_parse(text, &id) == 0)
        add_open(p, (int64_t)id.hi, (int64_t)id.lo);
    else if (text && *text && strcmp(name, "conversation") == 0)
        add_open(p, conversation_key(text), 0);
    json_object_foreach((json_t *)(uintptr_t)value, key, inner) walk_open(p, inner, key, depth + 1);
    json_array_foreach((json_t *)(uintptr_t)value, i, inner) walk_open(p, inner, "", depth + 1);
}

static json_t *column_doc(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    json_t *doc = text ? json_loadb(text, (size_t)sqlite3_column_bytes(st, i), JSON_ALLOW_NUL, NULL) : NULL;
    return doc;
}

static void next_open(struct store *s, struct keep_pass *p)
{
    sqlite3_stmt *st = get(s, p, S_OPEN_NEXT);
    sqlite3_bind_int64(st, 1, p->position);
    if (row(p, st)) {
        json_t *doc = column_doc(st, 1);
        p->position = sqlite3_column_int64(st, 0);
        walk_open(p, doc, "", 0);
        json_decref(doc);
        sqlite3_reset(st);
    } else if (!p->error) {
        p->phase = KEEP_TURNS;
        p->position = p->resume;
    }
}

static int by_hi(const void *a, const void *b)
{
    const struct keep_id *x = a, *y = b;
    return x->hi != y->hi ? (x->hi < y->hi ? -1 : 1) : (x->lo > y->lo) - (x->lo < y->lo);
}

static int by_key(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The first of those with this high half; NULL: there is none. */
static const struct keep_id *open_lane(struct keep_pass *p, int64_t hi)
{
    size_t low = 0, high = p->n_open;
    if (!p->sorted && p->n_open)
        qsort(p->open, p->n_open, sizeof *p->open, by_hi);
    p->sorted = true;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->open[mid].hi < hi)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->n_open && p->open[low].hi == hi ? &p->open[low] : NULL;
}

static bool open_id(struct keep_pass *p, cvm_id id)
{
    struct keep_id wanted = {(int64_t)id.hi, (int64_t)id.lo};
    return open_lane(p, wanted.hi) && bsearch(&wanted, p->open, p->n_open, sizeof *p->open, by_hi);
}

/* ---- turns of lanes that never end ------------------------------------------------------------------------------- */

static bool state_names(struct store *s, struct keep_pass *p, const char *component, const char *key, int64_t seq)
{
    sqlite3_stmt *st = get(s, p, S_STATE_NAMES);
    sqlite3_bind_text(st, 1, component, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, seq);
    bool named = row(p, st);
    sqlite3_reset(st);
    return named;
}

static bool text_is_open(struct keep_pass *p, const json_t *object, const char *member)
{
    cvm_id id;
    const char *text = cvm_json_str(object, member, "");
    return id_parse(text, &id) == 0 && open_id(p, id);
}

static bool is_needed(struct store *s, struct keep_pass *p, int64_t lane, const char *component, cvm_id message,
                      json_t *record, int64_t seq)
{
    size_t i;
    json_t *one;
    const struct record_row row = {.conversation = lane,
                                   .message = message,
                                   .component = component,
                                   .type = "",
                                   .sender = ""}; /* only ids are looked at */
    bool needed = open_id(p, message) || record_whole(record, &row) < 0;
    json_array_foreach(json_object_get(record, "state"), i, one)
    {
        const char *key = json_string_value(json_array_get(one, 0));
        needed = needed || (key && state_names(s, p, component, key, seq));
    }
    json_array_foreach(json_object_get(record, "timers"), i, one) needed = needed || text_is_open(p, one, "id");
    json_array_foreach(json_object_get(record, "calls"), i, one) needed = needed || text_is_open(p, one, "id");
    json_array_foreach(json_object_get(record, "jobs"), i, one) needed = needed || text_is_open(p, one, "id");
    json_array_foreach(json_object_get(record, "out"), i, one) needed = needed || text_is_open(p, one, "message_id");
    return needed;
}

static cvm_id column_id(sqlite3_stmt *st, int i)
{
    const uint8_t *at = sqlite3_column_blob(st, i);
    return at && sqlite3_column_bytes(st, i) == 16 ? id_of_bytes(at) : (cvm_id){0, 0};
}

/* ---- folding a conversation -------------------------------------------------------------------------------------- */

static json_t *member_array(json_t *doc, const char *name)
{
    json_t *array = json_object_get(doc, name);
    if (!array)
        json_object_set_new(doc, name, array = json_array());
    return array;
}

static void count_lost(json_t *doc, int64_t n)
{
    if (n)
        json_object_set_new(doc, "notes_lost", json_integer(cvm_json_int(doc, "notes_lost", 0) + n));
}

/* Adds each of a record's names once: [table, key] of rows, the lanes it sent to. */
static void add_once(json_t *list, json_t *value)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) >= FOLDED_NAMES_MAX)
        return;
    json_array_foreach(list, i, one) if (json_equal(one, value)) return;
    json_array_append(list, value);
}

static bool is_shared_lane(const char *name)
{
    return strncmp(name, "topic:", 6) == 0 || strncmp(name, "component:", 10) == 0;
}

struct folding {
    int64_t conversation, first_seq, last_seq, first_ms, last_ms, turns;
    size_t note_bytes;
    char name[CVM_NAME_MAX + 1];
    json_t *doc;
    int n;
};

/* Decisions with who made them and when; what the turn wrote; where it led to. */
static void fold_record(struct store *s, struct keep_pass *p, struct folding *f, sqlite3_stmt *st)
{
    int64_t seq = sqlite3_column_int64(st, 0);
    const char *component = (const char *)sqlite3_column_text(st, 2);
    bool parsed = sqlite3_column_int64(st, 5) <= RECORD_PARSED_BYTES;
    json_t *record = parsed ? column_doc(st, 6) : NULL, *note, *one, *list;
    size_t i;
    const struct record_row row = {.at_ms = sqlite3_column_int64(st, 1),
                                   .conversation = f->conversation,
                                   .message = column_id(st, 7),
                                   .component = component,
                                   .type = (const char *)sqlite3_column_text(st, 3),
                                   .sender = (const char *)sqlite3_column_text(st, 8),
                                   .name = f->name[0] ? f->name : NULL};
    if (!record || record_whole(record, &row) < 0) {
        json_decref(record);
        count_lost(f->doc, 1);
        return;
    }
    list = member_array(f->doc, "notes");
    json_array_foreach(json_object_get(record, "notes"), i, note)
    {
        size_t bytes = json_text_size(note, FOLDED_BYTES_MAX + 1);
        if (json_array_size(list) >= FOLDED_NOTES_MAX || f->note_bytes + bytes > FOLDED_BYTES_MAX) {
            count_lost(f->doc, 1);
            continue;
        }
        f->note_bytes += bytes;
        json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:s, s:s, s:O, s:O}", "seq", (json_int_t)seq, "at_ms",
                                              (json_int_t)sqlite3_column_int64(st, 1), "component", component, "type",
                                              sqlite3_column_text(st, 3), "outcome", sqlite3_column_text(st, 4), "what",
                                              json_array_get(note, 0), "data", json_array_get(note, 1)));
    }
    json_array_foreach(json_object_get(record, "rows"), i, one) add_once(member_array(f->doc, "rows"), one);
    json_array_foreach(json_object_get(record, "out"), i, one)
    {
        json_t *lane = json_object_get(one, "conversation");
        if (json_is_string(lane) && !is_shared_lane(json_string_value(lane)) &&
            conversation_key(json_string_value(lane)) != f->conversation)
            add_once(member_array(f->doc, "led_to"), lane);
        else if (json_is_string(lane) && !f->name[0] && !is_shared_lane(json_string_value(lane)))
            snprintf(f->name, sizeof f->name, "%s", json_string_value(lane));
    }
    const char *name = cvm_json_str(json_object_get(record, "in"), "conversation", "");
    if (!f->name[0] && conversation_key(name) == f->conversation)
        snprintf(f->name, sizeof f->name, "%s", name);
    json_array_foreach(json_object_get(record, "state"), i, one)
    {
        const char *key = json_string_value(json_array_get(one, 0));
        if (key && state_names(s, p, component, key, seq)) {
            json_t *wrote = json_pack("[s, s, I]", component, key, (json_int_t)seq);
            add_once(member_array(f->doc, "state"), wrote);
            json_decref(wrote);
        }
    }
    json_decref(record);
}

static bool read_folded(struct store *s, struct keep_pass *p, struct folding *f)
{
    sqlite3_stmt *st = get(s, p, S_FOLDED_GET);
    sqlite3_bind_int64(st, 1, f->conversation);
    bool known = row(p, st);
    if (known) {
        f->doc = column_doc(st, 0);
        f->note_bytes = (size_t)sqlite3_column_bytes(st, 0); /* a little more than the notes alone */
        f->first_seq = sqlite3_column_int64(st, 1);
        f->first_ms = sqlite3_column_int64(st, 2);
        f->turns = sqlite3_column_int64(st, 3);
        snprintf(f->name, sizeof f->name, "%s", (const char *)sqlite3_column_text(st, 4));
        sqlite3_reset(st);
    }
    if (!f->doc)
        f->doc = json_object();
    return known;
}

static void write_folded(struct store *s, struct keep_pass *p, const struct folding *f)
{
    sqlite3_stmt *st = get(s, p, S_FOLDED_PUT);
    char *text = json_dumps(f->doc, JSON_COMPACT);
    int64_t numbers[] = {p->now_ms, f->first_seq, f->last_seq, f->first_ms, f->last_ms, f->turns};
    if (!text) {
        p->error = CVM_ENOMEM;
        return;
    }
    sqlite3_bind_int64(st, 1, f->conversation);
    sqlite3_bind_text(st, 2, f->name, -1, SQLITE_STATIC);
    for (int i = 0; i < 6; i++)
        sqlite3_bind_int64(st, 3 + i, numbers[i]);
    sqlite3_bind_text(st, 9, text, -1, SQLITE_STATIC);
    done(p, st);
    free(text);
}

/* The oldest turns of a conversation that is over, a few at a time. */
static void fold(struct store *s, struct keep_pass *p, int64_t conversation, const char *name)
{
    struct folding f = {.conversation = conversation};
    bool known = read_folded(s, p, &f);
    int64_t bytes = 0, gone = 0;
    if (name && *name)
        snprintf(f.name, sizeof f.name, "%s", name);
    sqlite3_stmt *st = get(s, p, S_LANE_ROWS);
    sqlite3_bind_int64(st, 1, conversation);
    sqlite3_bind_int64(st, 2, p->last_seq);
    while (f.n < FOLD_ROWS && bytes < FOLD_BYTES && row(p, st)) {
        f.n++;
        f.last_seq = sqlite3_column_int64(st, 0);
        f.last_ms = sqlite3_column_int64(st, 1);
        if (!f.turns++) {
            f.first_seq = f.last_seq;
            f.first_ms = f.last_ms;
        }
        bytes += sqlite3_column_int64(st, 5);
        fold_record(s, p, &f, st);
    }
    sqlite3_reset(st);
    if (!p->error && f.n)
        write_folded(s, p, &f);
    if (!p->error && f.n)
        p->error = audit_prune(s, conversation, f.n, &gone);
    assert(p->error || gone == f.n);
    json_decref(f.doc);
    p->conversations += !known;
    p->turns += f.n;
    p->bytes += bytes;
}

/* Nothing of it is open, and its end, or the last that happened in it, is long enough ago. */
static bool is_over(struct store *s, struct keep_pass *p, int64_t conversation, char *ret_name, size_t size)
{
    int64_t ended = 0;
    *ret_name = 0;
    if (open_lane(p, conversation))
        return false;
    sqlite3_stmt *end = get(s, p, S_LANE_END), *last = get(s, p, S_LANE_LAST);
    sqlite3_bind_int64(end, 1, conversation);
    if (row(p, end)) {
        ended = sqlite3_column_int64(end, 0);
        snprintf(ret_name, size, "%s", (const char *)sqlite3_column_text(end, 1));
        sqlite3_reset(end);
    }
    sqlite3_bind_int64(last, 1, conversation);
    bool over = ended < p->before_ms && row(p, last) && sqlite3_column_int64(last, 0) < p->before_ms;
    sqlite3_reset(last);
    return over;
}

static void next_turn(struct store *s, struct keep_pass *p)
{
    char name[CVM_NAME_MAX + 1], component[CVM_NAME_MAX + 1];
    sqlite3_stmt *st = get(s, p, S_TURN_NEXT);
    sqlite3_bind_int64(st, 1, p->position);
    if (!row(p, st))
        return;
    int64_t seq = sqlite3_column_int64(st, 0), lane = sqlite3_column_int64(st, 2), bytes = sqlite3_column_int64(st, 5);
    bool pinned = bsearch(&lane, p->pinned, p->n_pinned, sizeof lane, by_key) != NULL;
    if (sqlite3_column_int64(st, 1) >= p->before_ms || seq >= p->last_seq) {
        if (sqlite3_column_int64(st, 1) >= p->before_ms) /* else only the last is left, which stays */
            p->turn_ms = sqlite3_column_int64(st, 1);
        p->phase = KEEP_LETTERS; /* turns stand in the order of time */
        sqlite3_reset(st);
        p->position = 0;
        return;
    }
    cvm_id message = column_id(st, 4);
    json_t *record = pinned && bytes <= RECORD_PARSED_BYTES ? column_doc(st, 6) : NULL;
    snprintf(component, sizeof component, "%s", (const char *)sqlite3_column_text(st, 3));
    sqlite3_reset(st);
    p->position = seq;
    bool kept = lane == p->skip || (pinned ? !record || is_needed(s, p, lane, component, message, record, seq)
                                           : !is_over(s, p, lane, name, sizeof name));
    json_decref(record);
    p->skip = kept && !pinned ? lane : 0;
    p->kept += kept;
    if (kept || p->error)
        return;
    if (p->dry) {
        sqlite3_stmt *first = get(s, p, S_LANE_FIRST);
        sqlite3_bind_int64(first, 1, lane);
        sqlite3_bind_int64(first, 2, seq);
        p->conversations += !pinned && !row(p, first);
        sqlite3_reset(first);
        p->turns++;
        p->bytes += bytes;
    } else if (pinned) {
        p->error = audit_prune_turn(s, seq);
        p->turns++;
        p->bytes += bytes;
    } else {
        fold(s, p, lane, name);
    }
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void exec(struct store *s, struct keep_pass *p, const char *sql)
{
    if (!p->error && sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        p->error = (sqlite3_errcode(s->db) & 0xff) == SQLITE_CORRUPT ? CVM_EDATA : CVM_EIO;
}

/* One that was answered or sent again is settled; the others wait for an operator however old. The newest stays: its
 * number must not come again. */
static void next_letter(struct store *s, struct keep_pass *p)
{
    char sql[80];
    sqlite3_stmt *st = get(s, p, S_LETTER_NEXT);
    sqlite3_bind_int64(st, 1, p->position);
    if (row(p, st)) {
        bool settled = sqlite3_column_int(st, 1) != 0, old = sqlite3_column_int64(st, 2) < p->before_ms;
        p->position = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        if (old && settled) {
            snprintf(sql, sizeof sql, "DELETE FROM dead_letters WHERE id = %lld", (long long)p->position);
            p->dry ? (void)0 : exec(s, p, sql);
            p->letters++;
        }
        if (old)
            return;
    }
    p->phase = KEEP_INBOX;
    p->position = 0;
}

static void next_keys(struct store *s, struct keep_pass *p)
{
    char sql[256];
    int64_t n = 0;
    if (p->dry) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM inbox WHERE at_ms < %lld AND outcome >= 0",
                 (long long)p->inbox_before_ms);
        p->error = store_meta_int(s, sql, &n);
        p->keys = n;
        p->phase = KEEP_DONE;
        return;
    }
    snprintf(sql, sizeof sql,
             "DELETE FROM inbox WHERE (source, key) IN (SELECT source, key FROM inbox WHERE at_ms < %lld"
             " AND outcome >= 0 ORDER BY at_ms LIMIT %d)",
             (long long)p->inbox_before_ms, INBOX_ROWS);
    exec(s, p, sql);
    n = p->error ? 0 : sqlite3_changes(s->db);
    p->keys += n;
    if (n == INBOX_ROWS || p->error)
        return;
    p->phase = KEEP_DONE;
    p->error = store_meta_int(s, "SELECT coalesce(min(at_ms), 9223372036854775807) FROM inbox", &p->key_ms);
}

/* Where the turns were when the host ended: those kept need not be looked at again before the next pass. */
static void note_position(struct store *s, struct keep_pass *p)
{
    char sql[160];
    int64_t at = p->phase == KEEP_TURNS ? p->position : p->phase == KEEP_OPEN ? p->resume : 0;
    if (at == p->noted)
        return;
    snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO meta(key, value) VALUES('keep.position', %lld)", (long long)at);
    exec(s, p, sql);
    p->noted = at;
}

void keep_resume(struct store *s, struct keep_pass *p)
{
    int64_t oldest_ms = INT64_MAX;
    if (store_meta_int(s, "SELECT coalesce(max(seq), 0) FROM turns", &p->last_seq) < 0)
        p->error = CVM_EIO;
    (void)store_meta_int(s, "SELECT value FROM meta WHERE key = 'keep.position'", &p->noted); /* else there is none */
    if (!p->dry)
        p->resume = p->noted;
    bool some = store_meta_int(s, "SELECT at_ms FROM turns ORDER BY seq LIMIT 1", &oldest_ms) == 0;
    p->turn_ms = p->key_ms = INT64_MAX;
    if (p->phase == KEEP_OPEN && (!some || oldest_ms >= p->before_ms)) {
        p->phase = KEEP_LETTERS; /* what is open need not be known */
        p->turn_ms = oldest_ms;
    }
}

static void work(struct store *s, struct keep_pass *p, int64_t until_ns)
{
    do {
        if (p->phase == KEEP_OPEN)
            next_open(s, p);
        else if (p->phase == KEEP_TURNS)
            next_turn(s, p);
        else if (p->phase == KEEP_LETTERS)
            next_letter(s, p);
        else if (p->phase == KEEP_INBOX)
            next_keys(s, p);
    } while (!p->error && p->phase != KEEP_DONE && clock_ns() < until_ns);
}

static void forget_statements(struct keep_pass *p)
{
    for (int i = 0; i < S_COUNT; i++) {
        sqlite3_finalize(p->statement[i]);
        p->statement[i] = NULL;
    }
}

/* It need not be on the disk at once: after a power failure it is done again. So it waits for no disk. */
void keep_step(struct store *s, struct keep_pass *p)
{
    int64_t begun = clock_ns();
    bool writes = !p->dry;
    p->error = 0;
    if (writes) {
        exec(s, p, "PRAGMA synchronous = NORMAL");
        exec(s, p, "BEGIN IMMEDIATE");
    }
    if (!p->error)
        work(s, p, begun + KEEP_STEP_NS);
    int64_t joined = 0;
    if (writes && !p->error && p->turns)
        p->error = audit_collapse(s, p->now_ms, "pruned", COLLAPSE_ROWS, &joined);
    if (writes && !p->error)
        note_position(s, p);
    if (writes) {
        crash_here(CRASH_FOLDED);
        exec(s, p, "COMMIT");
        if (!sqlite3_get_autocommit(s->db))
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        if (sqlite3_exec(s->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK)
            p->error = CVM_EDATA; /* commits must not go on without it */
    }
    if (p->error)
        snprintf(p->text, sizeof p->text, "%s", sqlite3_errmsg(s->db));
    if (p->error || p->phase == KEEP_DONE)
        forget_statements(p);
    int64_t ns = clock_ns() - begun;
    p->steps++;
    p->ns += ns;
    p->longest_ns = ns > p->longest_ns ? ns : p->longest_ns;
}

void keep_clear(struct keep_pass *p)
{
    free(p->pinned);
    free(p->open);
    *p = (struct keep_pass){0};
}
