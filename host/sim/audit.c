/* Reads the journal as it becomes durable, over a connection of its own, and holds each turn against those before it:
 * every message comes from somewhere and is handled once, every request is answered once, what was read is what was
 * there, nothing went where the manifest does not allow it. audit_end.c says whether everything has ended. */
#include "sim/audit_parts.h"

#include "core/id.h"
#include "core/record_read.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int auditor_new(struct sim *s)
{
    struct auditor *a = s->audit = calloc(1, sizeof *a);
    if (!a)
        return CVM_ENOMEM;
    json_t **const all[] = {&a->known, &a->calls,   &a->answers, &a->asked, &a->timers,
                            &a->state, &a->pending, &a->closed,  &a->busy,  &a->meddled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i] = json_object()))
            return CVM_ENOMEM;
    return 0;
}

void auditor_close(struct sim *s)
{
    sqlite3_finalize(s->audit->turns);
    sqlite3_close(s->audit->db);
    s->audit->turns = NULL;
    s->audit->db = NULL;
}

void auditor_free(struct sim *s)
{
    struct auditor *a = s->audit;
    if (!a)
        return;
    auditor_close(s);
    json_t *const all[] = {a->known, a->calls,   a->answers, a->asked, a->timers,
                           a->state, a->pending, a->closed,  a->busy,  a->meddled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    free(a);
    s->audit = NULL;
}

int auditor_open(struct sim *s)
{
    static const char sql[] =
        "SELECT seq, at_ms, conversation, component, message, type, sender, outcome, build, record"
        " FROM turns WHERE seq > ? ORDER BY seq";
    struct auditor *a = s->audit;
    char path[SIM_PATH + 32];
    if (a->db)
        return 0;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", s->home);
    if (sqlite3_open_v2(path, &a->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
        sqlite3_exec(a->db, "PRAGMA query_only = ON", NULL, NULL, NULL) ||
        sqlite3_prepare_v2(a->db, sql, -1, &a->turns, NULL)) {
        sim_fail(s, INV_HOST, "the journal cannot be read: %s", sqlite3_errmsg(a->db));
        return CVM_EIO;
    }
    return 0;
}

/* ---- one turn ------------------------------------------------------------------------------------------------------
 */

static bool is_of_host(const char *component)
{
    return strcmp(component, "host") == 0 || strncmp(component, "host.", 5) == 0 || strcmp(component, "engine") == 0;
}

static json_int_t bump(json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name)) + 1;
    json_object_set_new(object, name, json_integer(n));
    return n;
}

static bool allowed(const struct sim *s, const char *from, const char *to, const char *type, const json_t *out)
{
    const json_t *names = json_object_get(s->plugins->may_send, from);
    if (!*from || is_of_host(from) || is_of_host(to) || strcmp(from, to) == 0 || !names)
        return true;
    if (strcmp(cvm_json_str(out, "message_type", ""), "response") == 0 || json_object_get(names, to))
        return true;
    if (json_object_get(json_object_get(s->plugins->publishes, from), type))
        return true;
    const char *name;
    json_t *yes;
    json_object_foreach(
        (json_t *)(uintptr_t)names, name,
        yes) if (!s->plugins->own &&
                 (strchr(name, '*') || strncmp(name, "role:", 5) == 0 ||
                  !strchr(name, '.'))) return true; /* sets and aliases: whom they mean is the registry's knowledge */
    return false;
}

static void check_out(struct sim *s, const struct row *r, const json_t *out)
{
    struct auditor *a = s->audit;
    const char *id = cvm_json_str(out, "message_id", ""), *to = cvm_json_str(out, "recipient", ""),
               *from = cvm_json_str(out, "sender", ""), *type = cvm_json_str(out, "type", ""),
               *sort = cvm_json_str(out, "message_type", ""), *of = cvm_json_str(out, "in_reply_to", NULL);
    if (json_object_get(a->known, id))
        sim_fail(s, INV_ONCE, "turn %lld sends %s (%s to %s), which an earlier turn sent", r->seq, id, type, to);
    json_object_set_new(a->known, id, json_integer(r->seq));
    json_object_set_new(a->pending, id, json_pack("[s, s, s, I]", to, type, sort, (json_int_t)r->seq));
    if (!allowed(s, from, to, type, out))
        sim_fail(s, INV_REACH, "turn %lld: %s sent %s to %s, whom its manifest does not name", r->seq, from, type, to);
    if (strcmp(sort, "response") == 0 && of && bump(a->answers, of) > 1)
        sim_fail(s, INV_ONCE, "turn %lld answers the request %s a second time", r->seq, of);
    if (strcmp(sort, "request") == 0 && cvm_json_bool(out, "requires_response", false) &&
        !json_object_get(out, "asked"))
        json_object_set_new(a->asked, id, json_pack("[s, s]", to, type));
}

/* Where a message that no turn sent comes from: a client, a timer, a call, or the host itself. */
static void check_in(struct sim *s, const struct row *r, const json_t *in)
{
    struct auditor *a = s->audit;
    const char *id = cvm_json_str(in, "message_id", ""), *from = cvm_json_str(in, "sender", ""),
               *cause = cvm_json_str(in, "cause", NULL), *type = cvm_json_str(in, "type", "");
    json_object_set_new(a->known, id, json_integer(r->seq));
    if (!*from || strcmp(from, "outside") == 0 || (is_of_host(from) && is_of_host(r->component) && !cause))
        return;
    bool mine = cause && (json_object_get(a->known, cause) || json_object_get(a->calls, cause) ||
                          json_object_get(a->timers, cause));
    if (mine || strcmp(type, "start") == 0 || json_object_get(a->timers, id))
        return;
    sim_fail(s, INV_EXPLAINED,
             "turn %lld: the input %s (%s from %s to %s) has the cause %s, which is not in the journal", r->seq, id,
             type, from, r->component, cause ? cause : "(none)");
}

static void check_reads(struct sim *s, const struct row *r, const json_t *record)
{
    struct auditor *a = s->audit;
    const json_t *reads = json_object_get(record, "reads"), *state = json_object_get(a->state, r->component);
    const json_t *seen = guardian_reads(s, r->id);
    json_t *pair, *key;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)reads, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        if (json_array_size(pair) != 2) /* a scan */
            continue;
        json_int_t turn = json_integer_value(json_array_get(pair, 1));
        const json_t *entry = json_object_get(state, name ? name : "");
        json_int_t written = json_integer_value(json_array_get(entry, 0));
        /* The host writes state down for an older build between the start of that and its turn. */
        if (strcmp(r->type, "start") == 0 && turn && turn == json_integer_value(json_array_get(entry, 2)))
            continue;
        if (turn != written && (turn || json_array_size(entry) > 1) && !a->lowered)
            sim_fail(s, s->plugins->own ? INV_LIMIT : INV_STATE,
                     "turn %lld of %s read %s as turn %lld left it, but turn %lld has written it since", r->seq,
                     r->component, name, (long long)turn, (long long)written);
    }
    if (strcmp(r->outcome, "OK") != 0 && strcmp(r->outcome, "PENDING") != 0)
        return;
    json_array_foreach((json_t *)(uintptr_t)seen, i, key)
    {
        bool found = false;
        json_array_foreach((json_t *)(uintptr_t)reads, k, pair) found =
            found || json_equal(json_array_get(pair, 0), key);
        if (!found)
            sim_fail(s, INV_EXPLAINED, "turn %lld of %s read %s, and its record does not say so", r->seq, r->component,
                     json_string_value(key));
    }
}

/* The state that the turns tell: component -> key -> [turn, value]. */
static void fold(struct sim *s, const struct row *r, const json_t *record)
{
    struct auditor *a = s->audit;
    json_t *state = json_object_get(a->state, r->component), *pair;
    size_t i;
    if (!state)
        json_object_set_new(a->state, r->component, state = json_object());
    json_array_foreach(json_object_get(record, "state"), i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0));
        json_t *value = json_array_get(pair, 1);
        if (!key)
            continue;
        json_int_t before = *r->id ? 0 : json_integer_value(json_array_get(json_object_get(state, key), 0));
        json_object_set_new(state, key,
                            json_array_size(pair) < 2 ? json_pack("[I]", (json_int_t)r->seq)
                                                      : json_pack("[I, O, I]", (json_int_t)r->seq, value, before));
    }
    const json_t *used = json_array_get(json_object_get(json_object_get(a->state, "sim.ledger"), "used"), 1);
    if (s->plugins->own && json_integer_value(used) > s->units)
        sim_fail(s, INV_LIMIT, "turn %lld: %lld units are in use, there are %lld", r->seq,
                 (long long)json_integer_value(used), (long long)s->units);
}

static void take_calls(struct sim *s, const struct row *r, const json_t *record)
{
    struct auditor *a = s->audit;
    json_t *entry;
    size_t i;
    (void)r;
    json_array_foreach(json_object_get(record, "calls"), i, entry)
    {
        bump(a->calls, cvm_json_str(entry, "key", ""));
        bump(a->calls, cvm_json_str(entry, "id", ""));
    }
    json_array_foreach(json_object_get(record, "queries"), i, entry) bump(a->calls, cvm_json_str(entry, "id", ""));
    json_array_foreach(json_object_get(record, "jobs"), i, entry) bump(a->calls, cvm_json_str(entry, "id", ""));
    json_array_foreach(json_object_get(record, "timers"), i, entry)
        json_object_set_new(a->timers, cvm_json_str(entry, "id", ""), json_true());
}

static void take_answers(struct sim *s, const struct row *r, const json_t *record)
{
    struct auditor *a = s->audit;
    json_t *answer;
    size_t i;
    json_array_foreach(json_object_get(record, "answers"), i, answer)
    {
        const char *id = json_string_value(json_array_get(answer, 0));
        const char *outcome = json_string_value(json_array_get(answer, 1));
        if (!id || !outcome)
            continue;
        if (json_object_get(a->closed, id))
            sim_fail(s, INV_ONCE, "turn %lld answers the input %s a second time", r->seq, id);
        bool busy = strcmp(outcome, "BUSY") == 0; /* nothing was done: it may come again under its key */
        json_object_set(busy ? a->busy : a->closed, id, answer);
    }
}

static void check_turn(struct sim *s, const struct row *r, const json_t *record)
{
    struct auditor *a = s->audit;
    const json_t *in = json_object_get(record, "in");
    json_t *out;
    size_t i;
    if (s->options->trace)
        fprintf(stderr, "  turn %lld %s %s %s %.2000s\n", r->seq, r->component, r->type, r->outcome, r->text);
    if (*r->id) {
        if (in)
            check_in(s, r, in);
        else if (!json_object_get(a->known, r->id))
            sim_fail(s, INV_EXPLAINED, "turn %lld handles %s (%s), which no turn before it has sent", r->seq, r->id,
                     r->type);
        char once[64];
        snprintf(once, sizeof once, "turn %s", r->id);
        bool again = json_object_get(a->known, once) && !json_object_get(a->busy, r->id);
        if (again)
            sim_fail(s, INV_ONCE, "turn %lld handles %s (%s to %s), which turn %lld has handled", r->seq, r->id,
                     r->type, r->component, (long long)json_integer_value(json_object_get(a->known, once)));
        json_object_set_new(a->known, once, json_integer(r->seq));
        json_object_del(a->busy, r->id);
        json_object_del(a->pending, r->id);
    }
    if (guardian_meddled(s, r->id)) {
        char seq[24];
        snprintf(seq, sizeof seq, "%lld", r->seq);
        json_object_set_new(a->meddled, seq, json_true());
    }
    check_reads(s, r, record);
    fold(s, r, record);
    take_calls(s, r, record);
    json_array_foreach(json_object_get(record, "out"), i, out) check_out(s, r, out);
    take_answers(s, r, record);
    if (strstr(r->text, SIM_CANARY))
        sim_fail(s, INV_REACH, "turn %lld of %s: a secret stands in the journal", r->seq, r->component);
}

static void id_of(sqlite3_stmt *st, int i, char ret_text[40])
{
    const uint8_t *b = sqlite3_column_blob(st, i);
    cvm_id id = {0, 0};
    ret_text[0] = 0;
    if (sqlite3_column_bytes(st, i) != 16)
        return;
    for (int k = 0; k < 8; k++) {
        id.hi = id.hi << 8 | b[k];
        id.lo = id.lo << 8 | b[8 + k];
    }
    id_text(id, ret_text);
}

static void hash_row(struct sim *s, sqlite3_stmt *st)
{
    for (int i = 0; i < sqlite3_column_count(st); i++)
        sim_hash(s, sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i));
}

static int make_whole(sqlite3_stmt *turn, json_t *record)
{
    const void *message = sqlite3_column_blob(turn, 4);
    struct record_row row = {.at_ms = sqlite3_column_int64(turn, 1),
                             .conversation = sqlite3_column_int64(turn, 2),
                             .component = (const char *)sqlite3_column_text(turn, 3),
                             .type = (const char *)sqlite3_column_text(turn, 5),
                             .sender = (const char *)sqlite3_column_text(turn, 6)};
    if (message && sqlite3_column_bytes(turn, 4) == 16)
        row.message = id_of_bytes(message);
    return record_whole(record, &row);
}

void auditor_read(struct sim *s)
{
    struct auditor *a = s->audit;
    if (s->failed || auditor_open(s) < 0)
        return;
    disk_rest(s->disk, true); /* its faults are for the host */
    sqlite3_bind_int64(a->turns, 1, a->seq);
    int e;
    while ((e = sqlite3_step(a->turns)) == SQLITE_ROW && !s->failed) {
        struct row r = {.seq = (long long)sqlite3_column_int64(a->turns, 0),
                        .component = (const char *)sqlite3_column_text(a->turns, 3),
                        .type = (const char *)sqlite3_column_text(a->turns, 5),
                        .outcome = (const char *)sqlite3_column_text(a->turns, 7),
                        .text = (const char *)sqlite3_column_text(a->turns, 9)};
        id_of(a->turns, 4, r.id);
        json_t *record = json_loads(r.text, JSON_ALLOW_NUL, NULL);
        hash_row(s, a->turns);
        if (r.seq != a->seq + 1 && a->seq)
            sim_fail(s, INV_ONCE, "the journal goes from turn %lld to turn %lld", (long long)a->seq, r.seq);
        if (!record)
            sim_fail(s, INV_EXPLAINED, "turn %lld: its record is no JSON", r.seq);
        else if (make_whole(a->turns, record) < 0)
            sim_fail(s, INV_HOST, "out of memory");
        else
            check_turn(s, &r, record);
        a->seq = r.seq;
        guardian_forget(s, r.id);
        json_decref(record);
    }
    if (e != SQLITE_ROW && e != SQLITE_DONE)
        sim_fail(s, INV_HOST, "the journal cannot be read: %s", sqlite3_errmsg(a->db));
    sqlite3_reset(a->turns);
    disk_rest(s->disk, false);
}

/* After a crash: what was durable before stands there. */
void auditor_opened(struct sim *s)
{
    struct auditor *a = s->audit;
    sqlite3_stmt *st = NULL;
    long long last = -1;
    if (auditor_open(s) < 0)
        return;
    disk_rest(s->disk, true);
    if (sqlite3_prepare_v2(a->db, "SELECT coalesce(max(seq), 0) FROM turns", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        last = (long long)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    disk_rest(s->disk, false);
    if (last < a->seq)
        sim_fail(s, INV_ONCE, "turn %lld was durable, and after the crash the journal ends with turn %lld",
                 (long long)a->seq, last);
}

/* What streams are told stands in the journal by then. */
static void told(void *arg, int64_t turn, const struct edge_publication *publications, size_t n)
{
    struct sim *s = arg;
    auditor_read(s);
    if (!s->failed && turn > s->audit->seq)
        sim_fail(s, INV_DURABLE, "%s: what turn %lld published on %s was told before that was durable",
                 publications[n - 1].component, (long long)turn, publications[n - 1].topic);
}

void auditor_listen(struct sim *s)
{
    edge_listen(s->core, told, s);
}

int auditor_calls(struct sim *s, const char *key)
{
    return (int)json_integer_value(json_object_get(s->audit->calls, key));
}

const json_t *auditor_answer(struct sim *s, cvm_id id)
{
    char text[40];
    id_text(id, text);
    const json_t *answer = json_object_get(s->audit->closed, text);
    return answer ? answer : json_object_get(s->audit->busy, text);
}
