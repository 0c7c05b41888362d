/* Random messages to every operation, and to the routes that take replies, timers and topics; what the plugin makes of
 * them is judged by messages_run.c. The same seed gives the same messages, run twice they must give the same journal.
 */
#include "conform/parts.h"

#include "core/hex.h"
#include "core/id.h"
#include "core/record_read.h"
#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRASHES_MAX 8
#define SURVEY 60 /* messages of the first look at what is sent to whom */

/* ---- in the parent --------------------------------------------------------------------------------------------------
 */

static void take_learned(struct conform *c, const json_t *facts)
{
    size_t i;
    json_t *fact;
    json_array_foreach((json_t *)(uintptr_t)facts, i, fact)
    {
        const char *to = cvm_json_str(fact, "to", "");
        json_t *types = json_object_get(c->learned, to);
        if (strcmp(cvm_json_str(fact, "kind", ""), "learned") != 0)
            continue;
        if (!types)
            json_object_set_new(c->learned, to, types = json_object());
        json_object_set_new(types, cvm_json_str(fact, "type", ""), json_true());
    }
}

/* First messages, only to see what is sent to whom: then the peers take it. */
static void survey(struct conform *c)
{
    struct messages run = {.count = SURVEY + 2 * (int)operations_count(c), .quiet = true};
    char text[300];
    json_t *facts = NULL;
    if (plan_home(c, c->library, run.home) < 0)
        return;
    child_run(c, messages_run, &run, &facts, text, sizeof text);
    take_learned(c, facts);
    json_decref(facts);
    plan_remove(run.home);
}

void messages_survey(struct conform *c)
{
    survey(c);
    plan_peers(c);
}

static const json_t *fact_of(const json_t *facts, const char *kind)
{
    size_t i;
    json_t *fact;
    json_array_foreach((json_t *)(uintptr_t)facts, i,
                       fact) if (strcmp(cvm_json_str(fact, "kind", ""), kind) == 0) return fact;
    return NULL;
}

static void skip_last(struct conform *c, struct messages *run)
{
    const struct manifest_component *component;
    const struct manifest_operation *op = operation_at(c, (size_t)c->shared->at % operations_count(c), &component);
    char name[300];
    snprintf(name, sizeof name, "%s %s", component->id, op->type);
    json_object_set_new(run->skip, name, json_true());
    run->from = (int)c->shared->at + 1;
}

static void add_totals(json_t *to, const json_t *from)
{
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)(uintptr_t)from, name, n) json_object_set_new(
        to, name, json_integer(json_integer_value(n) + json_integer_value(json_object_get(to, name))));
}

static void tell_routes(struct conform *c, const json_t *ran, const json_t *totals, int messages, int64_t slowest_us)
{
    size_t i, n = 0, missed = 0; /* routes */
    json_t *route, *value;
    const char *key;
    char text[400] = "", all[200] = "";
    size_t at = 0;
    json_array_foreach(c->routes, i, route)
    {
        char name[300];
        snprintf(name, sizeof name, "%s %s", cvm_json_str(route, "component", ""), cvm_json_str(route, "type", ""));
        if (json_object_get(ran, name))
            n++;
        else if (missed++ < 4)
            at += (size_t)snprintf(text + at, at < sizeof text ? sizeof text - at : 0, "%s%.90s", at ? ", " : "", name);
    }
    at = 0;
    json_object_foreach((json_t *)(uintptr_t)totals, key, value) at += (size_t)snprintf(
        all + at, at < sizeof all ? sizeof all - at : 0, ", %lld %s", (long long)json_integer_value(value), key);
    char slow[100] = "";
    if (slowest_us > c->manifest->limits.turn_budget_ms * 1000)
        snprintf(slow, sizeof slow, "; one turn took %lld ms, its turn_budget_ms is %lld",
                 (long long)(slowest_us / 1000), (long long)c->manifest->limits.turn_budget_ms);
    report(c, "messages", RESULT_OK, "%d messages%s; %zu of %zu routes ran%s%s%s%s", messages, all, n, n + missed,
           missed ? ", not: " : "", text, missed > 4 ? ", .." : "", slow);
}

/* ---- the same again -------------------------------------------------------------------------------------------------
 */

#define RECORD 8 /* its column */

/* Of two placements, without what the host itself notes of processes, and what counts its rows. */
static sqlite3_stmt *turns_of(const char *home, bool placements, sqlite3 **ret_db)
{
    static const char all[] = "SELECT seq, at_ms, conversation, component, hex(message), type, sender, outcome, record "
                              "FROM turns ORDER BY seq";
    static const char most[] =
        "SELECT 0, at_ms, conversation, component, hex(message), type, sender, outcome, "
        "json_remove(record, '$.run', '$.reads') AS record FROM turns WHERE component <> 'host' ORDER BY seq";
    const char *sql = placements ? most : all;
    char path[CONFORM_PATH + 32];
    sqlite3_stmt *s = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(*ret_db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    return s;
}

static const char *column(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return text ? (const char *)text : "";
}

/* Records as they read: what messages share in one process, each has of its own behind a link. */
static bool same_records(sqlite3_stmt *a, sqlite3_stmt *b)
{
    sqlite3_stmt *const of[] = {a, b};
    json_t *record[2] = {NULL, NULL};
    bool same = true;
    for (int i = 0; i < 2 && same; i++) {
        struct record_row row = {.at_ms = sqlite3_column_int64(of[i], 1),
                                 .conversation = sqlite3_column_int64(of[i], 2),
                                 .component = column(of[i], 3),
                                 .type = column(of[i], 5),
                                 .sender = column(of[i], 6)};
        uint8_t id[16];
        if (hex_read(column(of[i], 4), id, sizeof id))
            row.message = id_of_bytes(id);
        record[i] = json_loads(column(of[i], RECORD), JSON_ALLOW_NUL, NULL);
        same = record[i] && record_whole(record[i], &row) == 0;
    }
    same = same && json_equal(record[0], record[1]);
    json_decref(record[0]);
    json_decref(record[1]);
    return same;
}

/* Where the texts part, a little before. */
static const char *parting(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    size_t back = i > 30 ? 30 : i;
    while (back < i && ((unsigned char)a[i - back] & 0xc0) == 0x80)
        back++;
    return a + i - back;
}

long long messages_compare(struct conform *c, const char *check, const char *remedy, const char *home_a,
                           const char *home_b)
{
    const bool placements = strcmp(check, "process") == 0;
    sqlite3 *da = NULL, *db = NULL;
    sqlite3_stmt *a = turns_of(home_a, placements, &da), *b = turns_of(home_b, placements, &db);
    long long n = 0;
    int ra = SQLITE_ROW, rb = SQLITE_ROW;
    bool same = a && b;
    while (same && (ra = sqlite3_step(a)) == SQLITE_ROW && (rb = sqlite3_step(b)) == SQLITE_ROW) {
        n++;
        for (int i = 0; i < sqlite3_column_count(a) && same; i++) {
            const char *x = column(a, i), *y = column(b, i);
            if (strcmp(x, y) == 0 || (i == RECORD && placements && same_records(a, b)))
                continue;
            char text[500], where[300];
            const char *px = parting(x, y);
            snprintf(where, sizeof where, "%s, %s", column(a, 3), column(a, 5));
            snprintf(text, sizeof text,
                     "the same messages gave another journal, first in turn %lld (%s): \"%.80s\" and \"%.80s\"; %s", n,
                     sqlite3_column_name(a, i), px, y + (px - x), remedy);
            report_finding(c, check, "journal", where, text, "");
            same = false;
        }
    }
    if (same && sqlite3_step(ra == SQLITE_ROW ? a : b) == SQLITE_ROW)
        report_finding(c, check, "journal", "", "the same messages gave a longer journal the second time", "");
    bool readable = a && b;
    sqlite3_finalize(a);
    sqlite3_finalize(b);
    sqlite3_close(da);
    sqlite3_close(db);
    return readable ? n : -1;
}

static void compare(struct conform *c, const char *home_a, const char *home_b)
{
    long long n = messages_compare(c, "determinism",
                                   "clock, random numbers and ids come from the turn, and nothing is kept in memory",
                                   home_a, home_b);
    report(c, "determinism", n >= 0 ? RESULT_OK : RESULT_SKIPPED,
           n >= 0 ? "%lld turns, run twice, gave the same journal" : "the journal could not be read", n);
}

static void again(struct conform *c, const char *first)
{
    struct messages run = {.count = c->options.messages, .quiet = true, .shift_s = 100000};
    char text[300];
    json_t *facts = NULL;
    if (plan_home(c, c->library, run.home) < 0)
        return;
    if (child_run(c, messages_run, &run, &facts, text, sizeof text) != CHILD_DONE)
        report_finding(c, "determinism", "second run", c->shared->where, text, c->shared->message);
    else
        compare(c, first, run.home);
    json_decref(facts);
    plan_remove(run.home);
}

void check_messages(struct conform *c)
{
    static const char *const found_on_the_way[][2] = {
        {"answers", "every request was answered, as its schemas say"},
        {"limits", "every call of the host was allowed and within its limits"},
        {"references", "what was lent was given back as it was"},
        {"leaks", "all memory that handlers asked for was freed"}};
    if (!operations_count(c)) {
        report(c, "messages", RESULT_SKIPPED, "the plugin has no operation to send to");
        return;
    }
    messages_survey(c);
    struct messages run = {.count = c->options.messages, .skip = json_object()};
    json_t *ran = json_object(), *timers = json_object(), *totals = json_object();
    enum child_end end = CHILD_ENDED;
    c->shared->of = run.count;
    int crashes = 0;
    int64_t slowest_us = 0;
    while (crashes < CRASHES_MAX && run.from < run.count) {
        char text[300];
        json_t *facts = NULL;
        if (plan_home(c, c->library, run.home) < 0)
            break;
        end = child_run(c, messages_run, &run, &facts, text, sizeof text);
        report_facts(c, facts);
        const json_t *fact = fact_of(facts, "ran");
        json_object_update(ran, json_object_get(fact, "routes"));
        json_object_update(timers, json_object_get(fact, "timers"));
        add_totals(totals, json_object_get(fact, "totals"));
        slowest_us =
            slowest_us > cvm_json_int(fact, "slowest_us", 0) ? slowest_us : cvm_json_int(fact, "slowest_us", 0);
        json_decref(facts);
        if (end == CHILD_DONE)
            break;
        crashes++;
        report_finding(c, "messages", end == CHILD_HANGS ? "hang" : "crash", c->shared->where, text,
                       c->shared->message);
        skip_last(c, &run);
        plan_remove(run.home);
    }
    c->shared->of = 0;
    tell_routes(c, ran, totals, c->options.messages, slowest_us);
    for (size_t i = 0; i < sizeof found_on_the_way / sizeof *found_on_the_way; i++)
        if (i >= 2 && c->manifest->program)
            report(c, found_on_the_way[i][0], RESULT_SKIPPED,
                   "a program: its memory is its own, and nothing of the host's is lent to it");
        else
            report(c, found_on_the_way[i][0], i == 3 && end != CHILD_DONE ? RESULT_SKIPPED : RESULT_OK, "%s",
                   i == 3 && end != CHILD_DONE ? "not known, as it crashed" : found_on_the_way[i][1]);
    if (wanted(c, "determinism")) {
        if (crashes == 0 && end == CHILD_DONE)
            again(c, run.home);
        else
            report(c, "determinism", RESULT_SKIPPED, "not known, as it crashed");
    }
    plan_remove(run.home);
    json_decref(run.skip);
    json_decref(ran);
    json_decref(timers);
    json_decref(totals);
}
