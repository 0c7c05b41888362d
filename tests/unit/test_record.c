/* Records of turns: what is stored short reads whole, in C and in SQL alike; and records of before, which are stored
 * whole, read and run again as the same turns. */
#include "core/audit_verify.h"
#include "core/id.h"
#include "core/record_read.h"
#include "core/replay.h"
#include "core/store.h"
#include "files.h"
#include "virtual.h"

#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JOURNAL_9 TEST_PLUGINS "/../unit/journal_9.sql"

static const char *const EVERY[] = {"every", NULL};
static const char *const AGENTS[] = {"faulty", "looper", NULL};

static sqlite3 *open_journal(const struct virtual *v)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *ask(sqlite3 *db, const char *sql, int64_t seq)
{
    sqlite3_stmt *st = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_bind_int64(st, 1, seq);
    return st;
}

/* The rows, numbers and texts as such; "record" stays text. */
static json_t *rows_of(sqlite3 *db, const char *sql, int64_t seq)
{
    json_t *rows = json_array();
    sqlite3_stmt *st = ask(db, sql, seq);
    while (sqlite3_step(st) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            int type = sqlite3_column_type(st, i);
            json_object_set_new(row, sqlite3_column_name(st, i),
                                type == SQLITE_INTEGER ? json_integer(sqlite3_column_int64(st, i))
                                : type == SQLITE_NULL  ? json_null()
                                                       : json_string((const char *)sqlite3_column_text(st, i)));
        }
        json_array_append_new(rows, row);
    }
    ck_assert_msg(sqlite3_finalize(st) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    return rows;
}

/* The record of a turn as C reads it. */
static json_t *read_record(sqlite3 *db, int64_t seq)
{
    json_t *rows = rows_of(db, "SELECT record, " RECORD_COLUMNS("turns") " FROM turns WHERE seq = ?1", seq);
    json_t *row = json_array_get(rows, 0);
    record_unpack(row);
    json_t *record = json_incref(json_object_get(row, "record"));
    ck_assert_msg(json_is_object(record), "turn %lld", (long long)seq);
    ck_assert_uint_eq(json_object_size(row), 1);
    json_decref(rows);
    return record;
}

static void expect_equal(const json_t *got, const json_t *wanted, const char *of, int64_t seq)
{
    if (got && wanted && json_equal(got, wanted))
        return;
    char *a = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS),
         *b = json_dumps(wanted, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    ck_abort_msg("turn %lld: %s\n%s\n%s", (long long)seq, of, a, b);
}

/* The messages of a turn as the view has them, `out` before `in`, are those of the record. Gives how many. */
static int expect_view(sqlite3 *db, int64_t seq, json_t *record)
{
    json_t *rows = rows_of(db, "SELECT message_id, envelope FROM messages WHERE seq = ?1", seq);
    json_t *all = json_array(), *in = json_object_get(record, "in"), *row;
    size_t i;
    if (json_object_get(record, "out"))
        json_array_extend(all, json_object_get(record, "out"));
    if (in)
        json_array_append(all, in);
    ck_assert_uint_eq(json_array_size(rows), json_array_size(all));
    json_array_foreach(rows, i, row)
    {
        json_t *shown = json_loads(cvm_json_str(row, "envelope", ""), JSON_ALLOW_NUL, NULL);
        expect_equal(shown, json_array_get(all, i), "the view and the reader", seq);
        ck_assert_str_eq(cvm_json_str(row, "message_id", ""), cvm_json_str(shown, "message_id", "?"));
        json_decref(shown);
    }
    json_decref(rows);
    json_decref(all);
    return (int)i;
}

static int expect_views(struct virtual *v)
{
    sqlite3 *db = open_journal(v);
    json_t *rows = rows_of(db, "SELECT seq FROM turns", 0), *row;
    int n = 0;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        int64_t seq = cvm_json_int(row, "seq", 0);
        json_t *record = read_record(db, seq);
        n += expect_view(db, seq, record);
        json_decref(record);
    }
    json_decref(rows);
    sqlite3_close(db);
    return n;
}

/* ---- one member after the other ---------------------------------------------------------------------------------- */

#define HOME "0123456789abcdef" /* of the row's conversation, a key that names none */
#define ID(end) "MSG-" HOME end
#define FIRST "1111111111111111"
#define OTHER "2222222222222222"
#define AT "\"timestamp\":\"2026-11-21T10:00:00.250Z\""
#define ANSWER                                                                                                         \
    AT ",\"sender\":\"test.b\",\"recipient\":\"test.a\",\"message_type\":\"response\",\"type\":\"do\","                \
       "\"outcome\":\"REPLIED\",\"structured_data\":{},"
#define SENT(to, sort, type)                                                                                           \
    AT ",\"sender\":\"test.b\",\"recipient\":\"" to "\",\"message_type\":\"" sort "\",\"type\":\"" type "\","

/* Rows of test.b, sender test.a, message FIRST of that conversation: short as now and whole as before. `lane` is in the
 * record where a message is of the row's conversation. */
#define LANE ",\"lane\":\"here\""
#define IN_LANE "\"conversation\":\"here\",\"priority\":\"MEDIUM\""
static const struct {
    const char *type, *now, *before;
} pairs[] = {
    /* of an answer everything but its id */
    {"do", "{\"out\":[{\"id\":\"" OTHER "\"}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(OTHER) "\"," ANSWER IN_LANE ",\"in_reply_to\":\"" ID(FIRST) "\"}]}"},
    {"do", "{\"out\":[{\"id\":\"" OTHER "\",\"outcome\":\"REFUSED\"}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(
         OTHER) "\"," AT ",\"sender\":\"test.b\",\"recipient\":\"test.a\","
                "\"message_type\":\"response\",\"type\":\"do\",\"outcome\":\"REFUSED\",\"structured_data\":{}," IN_LANE
                ",\"in_reply_to\":\"" ID(FIRST) "\"}]}"},
    /* a notification, a request, a request that wants no answer, one of a sort of its own */
    {"do.reply", "{\"out\":[{\"id\":\"" OTHER "\",\"to\":\"test.c\"}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(OTHER) "\"," SENT("test.c", "notification",
                                                         "do") "\"structured_data\":{}," IN_LANE "}]}"},
    {"do", "{\"out\":[{\"id\":\"" OTHER "\",\"to\":\"test.c\",\"type\":\"look\",\"deadline_ms\":50}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(OTHER) "\"," SENT("test.c", "request",
                                                         "look") "\"structured_data\":{}," IN_LANE
                                                                 ",\"requires_response\":true,\"deadline_ms\":50}]}"},
    {"do",
     "{\"out\":[{\"id\":\"" OTHER "\",\"to\":\"test.c\",\"deadline_ms\":50,\"requires_response\":false}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(OTHER) "\"," SENT("test.c", "request", "do") "\"structured_data\":{}," IN_LANE
                                                                                    ",\"deadline_ms\":50}]}"},
    {"do",
     "{\"out\":[{\"id\":\"" OTHER
     "\",\"to\":\"test.c\",\"message_type\":\"escalation\",\"requires_response\":true}]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(OTHER) "\"," SENT(
         "test.c", "escalation", "do") "\"structured_data\":{}," IN_LANE ",\"requires_response\":true}]}"},
    /* time, sender, priority, data, conversation, and what is there only where it differs */
    {"do",
     "{\"out\":[{\"id\":\"" OTHER "\",\"timestamp\":\"2026-11-21T09:00:00.001Z\",\"sender\":\"host.conversation\","
     "\"to\":\"test.c\",\"content\":\"hello "
     "\\\"you\\\"\",\"data\":{\"a\":[1,2.5,null,\"\\u00e4\"]},\"customer_id\":\"C\","
     "\"conversation\":\"elsewhere\",\"priority\":\"HIGH\",\"tags\":[\"t\"],\"confidence\":0.5}]}",
     "{\"out\":[{\"message_id\":\"" ID(
         OTHER) "\",\"timestamp\":\"2026-11-21T09:00:00.001Z\","
                "\"sender\":\"host.conversation\",\"recipient\":\"test.c\",\"message_type\":\"notification\",\"type\":"
                "\"do\","
                "\"content\":\"hello "
                "\\\"you\\\"\",\"structured_data\":{\"a\":[1,2.5,null,\"\\u00e4\"]},\"customer_id\":\"C\","
                "\"conversation\":\"elsewhere\",\"priority\":\"HIGH\",\"tags\":[\"t\"],\"confidence\":0.5}]}"},
    /* data of another message; a conversation without a name */
    {"do",
     "{\"out\":[{\"id\":\"" FIRST "\",\"to\":\"test.c\",\"data\":{\"x\":1},\"conversation\":\"\"},"
     "{\"id\":\"" OTHER "\",\"to\":\"test.d\",\"same\":0,\"conversation\":\"\"}]}",
     "{\"out\":[{\"message_id\":\"" ID(FIRST) "\"," SENT(
         "test.c", "notification", "do") "\"structured_data\":{\"x\":1},\"priority\":\"MEDIUM\"},{\"message_id\":"
                                         "\"" ID(OTHER) "\"," SENT("test.d", "notification",
                                                                   "do") "\"structured_data\":{\"x\":1},"
                                                                         "\"priority\":\"MEDIUM\"}]}"},
    /* ids: of the row's message, of its conversation, of another; a request that was handed on, or asked by nobody */
    {"do",
     "{\"out\":[{\"id\":\"" OTHER "\",\"to\":\"test.c\",\"outcome\":\"ERROR\",\"in_reply_to\":\"" FIRST FIRST "\","
     "\"cause\":\"\",\"on_behalf\":\"" OTHER "\",\"asked\":\"" OTHER FIRST "\"},"
     "{\"id\":\"" OTHER OTHER "\",\"to\":\"test.c\",\"asked\":null}],"
     "\"calls\":[{\"name\":\"c\",\"id\":\"" OTHER "\"}],\"timers\":[{\"type\":\"t\",\"id\":\"\"}],"
     "\"cancelled\":[\"" OTHER "\"],\"answers\":[[\"\",\"REPLIED\",{}]]" LANE "}",
     "{\"out\":[{\"message_id\":\"" ID(
         OTHER) "\"," AT ",\"sender\":\"test.b\",\"recipient\":\"test.c\","
                "\"message_type\":\"response\",\"type\":\"do\",\"outcome\":\"ERROR\",\"structured_data\":{}," IN_LANE
                ",\"in_reply_to\":\"MSG-" FIRST FIRST "\",\"cause\":\"" ID(FIRST) "\",\"on_behalf\":\"" ID(
                    OTHER) "\",\"asked\":\"MSG-" OTHER FIRST "\"},{\"message_id\":\"MSG-" OTHER OTHER
                           "\"," SENT("test.c", "notification",
                                      "do") "\"structured_data\":{}," IN_LANE ",\"asked\":null}],"
                                            "\"calls\":[{\"name\":\"c\",\"id\":\"" ID(
                                                OTHER) "\"}],\"timers\":[{\"type\":\"t\",\"id\":"
                                                       "\"" ID(FIRST) "\"}],"
                                                                      "\"cancelled\":[\"" ID(OTHER) "\"],\"answers\":[["
                                                                                                    "\"" ID(
                                                                                                        FIRST) "\","
                                                                                                               "\"RE"
                                                                                                               "PLIE"
                                                                                                               "D\","
                                                                                                               "{}]]"
                                                                                                               "}"},
    /* from outside; from a timer, with a recipient of before a move, and of a conversation that its key names */
    {"do", "{\"in\":{\"id\":\"\",\"deadline_ms\":9}" LANE "}",
     "{\"in\":{\"message_id\":\"" ID(
         FIRST) "\"," AT ",\"sender\":\"test.a\",\"recipient\":\"test.b\","
                "\"message_type\":\"request\",\"type\":\"do\",\"structured_data\":{}," IN_LANE
                ",\"requires_response\":true,\"deadline_ms\":9}}"},
    {"do.reply", "{\"in\":{\"id\":\"\",\"sender\":\"\",\"to\":\"test.old\",\"type\":\"then\",\"outcome\":\"REPLIED\"}}",
     "{\"in\":{\"message_id\":\"" ID(
         FIRST) "\"," AT ",\"sender\":\"\",\"recipient\":\"test.old\","
                "\"message_type\":\"response\",\"type\":\"then\",\"outcome\":\"REPLIED\",\"structured_data\":{},"
                "\"conversation\":\"IN-"
                "123456789abcdef\",\"priority\":\"MEDIUM\"}}"},
};
#define N_PAIRS (int64_t)(sizeof pairs / sizeof *pairs)

static void insert(sqlite3 *db, int64_t seq, const char *type, const char *record)
{
    sqlite3_stmt *st =
        ask(db,
            "INSERT INTO turns(seq, at_ms, conversation, component, message, type, sender, outcome, us, build,"
            " record) VALUES(?1, 1795255200250, 0x" HOME ", 'test.b', x'" HOME FIRST "', ?2, 'test.a', 'OK', 1,"
            " 'b', ?3)",
            seq);
    sqlite3_bind_text(st, 2, type, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, record, -1, SQLITE_STATIC);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
}

START_TEST(what_is_left_out_is_filled_in)
{
    struct virtual *v = virtual_new(EVERY, NULL);
    virtual_open(v);
    virtual_close(v);
    sqlite3 *db = open_journal(v);
    for (int64_t i = 0; i < N_PAIRS; i++) {
        insert(db, 1000 + i, pairs[i].type, pairs[i].now);
        insert(db, 2000 + i, pairs[i].type, pairs[i].before);
    }
    for (int64_t i = 0; i < N_PAIRS; i++) {
        json_error_t at;
        json_t *now = read_record(db, 1000 + i), *before = read_record(db, 2000 + i),
               *wanted = json_loads(pairs[i].before, 0, &at);
        ck_assert_msg(wanted, "%lld: %s at %d", (long long)i, at.text, at.position);
        expect_equal(before, wanted, "one of before stays as it is", i);
        expect_equal(now, wanted, "one of now reads as one of before", i);
        ck_assert_int_gt(expect_view(db, 1000 + i, now), 0);
        ck_assert_int_gt(expect_view(db, 2000 + i, wanted), 0);
        json_t *a = rows_of(db, "SELECT at, agent, action, sender, subject, outcome, us FROM audit_log WHERE seq = ?1",
                            1000 + i),
               *b = rows_of(db, "SELECT at, agent, action, sender, subject, outcome, us FROM audit_log WHERE seq = ?1",
                            2000 + i);
        expect_equal(a, b, "audit_log", i);
        json_decref(a);
        json_decref(b);
        json_decref(now);
        json_decref(before);
        json_decref(wanted);
    }
    run(db, "DELETE FROM turns WHERE seq >= 1000");
    sqlite3_close(db);
    virtual_free(v);
}
END_TEST

/* ---- whole journals ---------------------------------------------------------------------------------------------- */

static void say(struct virtual *v, const char *steps)
{
    struct answer_seen a = {0};
    json_error_t at;
    json_t *list = json_loads(steps, 0, &at);
    ck_assert_msg(list, "%s: %s", steps, at.text);
    virtual_call(v, "test.every", "do", json_pack("{s:o}", "steps", list), &a);
    json_decref(a.data);
}

/* Each member of a message once as it is left out and once as it is not. */
static void every_kind_of_message(struct virtual *v)
{
    say(v, "[[\"count\",\"n\"],[\"reply\",\"said\"]]");
    say(v, "[[\"refuse\",\"NO\",\"f\",\"never\"]]");
    say(v, "[[\"return\",-1]]");
    say(v, "[[\"emit\",0,\"test.other\",\"do\",{\"data\":{\"steps\":[[\"reply\",\"there\"]]},\"on_behalf\":\"own\"}],"
           "[\"return\",1]]");
    say(v,
        "[[\"emit\",0,\"test.other\",\"do\",{\"data\":{\"steps\":[[\"refuse\",\"NO\",\"f\",\"never\"]]},"
        "\"content\":\"please\",\"enquiry_id\":\"E-1\",\"customer_id\":\"C-1\",\"session_id\":\"S-1\",\"tags\":[\"a\"],"
        "\"confidence\":0.5,\"priority\":3,\"on_behalf\":\"own\"}],[\"return\",1]]");
    say(v, "[[\"emit\",0,\"test.other\",\"do\",{\"data\":{\"steps\":[[\"settle\",\"own\",5,{\"x\":1},\"unsure\"]]},"
           "\"on_behalf\":\"own\",\"conversation\":\"elsewhere\",\"fresh\":true}],[\"return\",1]]");
    say(v, "[[\"emit\",1,\"test.other\",\"do\"],[\"emit\",1,\"test.other\",\"do\",{\"message_type\":3}],[\"reply\"]]");
    say(v, "[[\"emit\",1,\"test.other\",\"do\",{\"n\":30,\"data\":{\"steps\":[[\"count\",\"x\"]]}}],"
           "[\"emit\",2,null,\"test.word\",{\"n\":20,\"data\":{\"steps\":[]}}],[\"reply\"]]");
    say(v,
        "[[\"emit\",3,\"test.other\",\"do\",{\"request\":\"own\",\"data\":{\"steps\":[[\"reply\"]]}}],[\"return\",1]]");
    say(v, "[[\"emit\",0,\"test.other\",\"do\",{\"keep\":\"open\",\"data\":{\"steps\":[[\"return\",1]]}}],"
           "[\"settle\",\"own\",0,{}]]");
    say(v, "[[\"settle\",\"open\",0,{}],[\"emit\",3,\"test.other\",\"do\",{\"request\":\"open\"}],[\"reply\"]]");
    say(v, "[[\"timer\",\"tick\",1,{\"steps\":[[\"settle\",\"behalf\",0]]},null,1],[\"return\",1]]");
    say(v, "[[\"note\",\"decision\",{\"confidence\":0.25}],[\"set\",\"/a\",1],[\"put\",\"k\",1],[\"reply\"]]");
    core_step(v->core, core_now_ms(v->core) + 120000);
}

static void conversations(struct virtual *v)
{
    static const char *const ways[] = {"later", "twice", "never"};
    struct answer_seen a = {0};
    for (int here = 0; here < 2; here++) {
        virtual_call(v, "test.opener", "open",
                     json_pack("{s:b, s:[s, s]}", "here", here, "route", "LooperAgent", "FaultyAgent"), &a);
        virtual_call(v, "test.opener", "open", json_pack("{s:b, s:s}", "here", here, "first", "test.opener"), &a);
        virtual_call(v, "test.opener", "open", json_pack("{s:s, s:s}", "to", "test.faulty", "do", "error"), &a);
        for (int i = 0; i < 3; i++)
            virtual_call(v, "test.opener", "open", json_pack("{s:b, s:s}", "here", here, "way", ways[i]), &a);
    }
    json_decref(a.data);
}

/* All that readers show. */
static json_t *shown(struct virtual *v, const char *conversation)
{
    const struct replay_export_options options = {
        .home = v->home, .id = conversation, .keep_personal = true, .trusted = true};
    char error[512];
    sqlite3 *db = open_journal(v);
    json_t *messages = rows_of(db, "SELECT seq, message_id, envelope FROM messages ORDER BY seq, message_id", 0);
    json_t *row, *exported = NULL, *notes = NULL;
    size_t i;
    json_array_foreach(messages, i, row)
        json_object_set_new(row, "envelope", json_loads(cvm_json_str(row, "envelope", ""), JSON_ALLOW_NUL, NULL));
    json_t *audit =
        rows_of(db, "SELECT seq, at, agent, action, sender, subject, outcome FROM audit_log ORDER BY seq", 0);
    json_t *metrics = rows_of(db,
                              "SELECT id, component, subject, success, CAST(confidence_score AS REAL) AS confidence,"
                              " input_message, output_message FROM component_metrics ORDER BY id",
                              0);
    sqlite3_close(db);
    ck_assert_msg(replay_export(&options, &exported, &notes, error, sizeof error) == 0, "%s", error);
    json_decref(notes);
    return json_pack("{s:o, s:o, s:o, s:o}", "messages", messages, "audit", audit, "metrics", metrics, "export",
                     exported);
}

/* Every record is stored whole, as releases before wrote them. */
static void store_as_before(struct virtual *v)
{
    sqlite3 *db = open_journal(v);
    json_t *rows = rows_of(db, "SELECT seq FROM turns", 0), *row;
    size_t i;
    run(db, "BEGIN");
    json_array_foreach(rows, i, row)
    {
        int64_t seq = cvm_json_int(row, "seq", 0);
        json_t *record = read_record(db, seq);
        char *text = json_dumps(record, JSON_COMPACT);
        sqlite3_stmt *st = ask(db, "UPDATE turns SET record = ?2 WHERE seq = ?1", seq);
        sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
        ck_assert_int_eq(sqlite3_step(st), SQLITE_DONE);
        sqlite3_finalize(st);
        free(text);
        json_decref(record);
    }
    run(db, "COMMIT");
    json_decref(rows);
    rows = rows_of(db, "SELECT count(*) AS n FROM turns, json_each(record, '$.out') WHERE value ->> '$.id' IS NOT NULL",
                   0);
    ck_assert_int_eq(cvm_json_int(json_array_get(rows, 0), "n", -1), 0);
    json_decref(rows);
    sqlite3_close(db);
}

/* Journals of now show in the view what they show in C; stored as before, everything shows and runs as it did. */
static void check_journal(struct virtual *v, const char *conversation, int messages)
{
    virtual_close(v);
    ck_assert_int_gt(expect_views(v), messages);
    json_t *now = shown(v, conversation);
    struct replay_report a = virtual_replays(v);
    store_as_before(v);
    json_t *before = shown(v, conversation);
    struct replay_report b = virtual_replays(v);
    const char *key;
    json_t *list;
    json_object_foreach(now, key, list) expect_equal(json_object_get(before, key), list, key, 0);
    ck_assert_uint_gt(json_array_size(json_object_get(json_object_get(now, "export"), "turns")), 0);
    ck_assert_int_gt(a.same, messages / 2);
    ck_assert_int_eq(a.same, b.same);
    ck_assert_int_eq(a.turns, b.turns);
    json_decref(now);
    json_decref(before);
    virtual_free(v);
}

START_TEST(messages_of_every_kind_read_whole)
{
    struct virtual *v = virtual_new(EVERY, NULL);
    virtual_open(v);
    every_kind_of_message(v);
    check_journal(v, "elsewhere", 60);
}
END_TEST

START_TEST(conversations_read_whole)
{
    struct virtual *v = virtual_new(AGENTS, NULL);
    virtual_open(v);
    conversations(v);
    virtual_close(v);
    sqlite3 *db = open_journal(v);
    json_t *rows = rows_of(db, "SELECT name FROM contexts WHERE name LIKE 'ENQ-%' LIMIT 1", 0);
    sqlite3_close(db);
    check_journal(v, cvm_json_str(json_array_get(rows, 0), "name", "?"), 50);
    json_decref(rows);
}
END_TEST

/* ---- a release before -------------------------------------------------------------------------------------------- */

/* A database as a release with format 9 left it in the middle of its work: tables of before, whole records, a timer and
 * two requests open. */
static void write_journal_9(const struct virtual *v)
{
    char path[128];
    size_t n;
    snprintf(path, sizeof path, "%s/data", v->home);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    char *text = (char *)files_read(JOURNAL_9, &n), *sql = strndup(text, n);
    sqlite3 *db = open_journal(v);
    run(db, sql);
    run(db, "PRAGMA user_version = 9");
    sqlite3_close(db);
    free(sql);
    free(text);
}

/* What its readers showed, and what of it no later turn changes. */
static json_t *kept_of(const struct virtual *v)
{
    sqlite3 *db = open_journal(v);
    json_t *row, *messages = rows_of(db,
                                     "SELECT seq, conversation, message_id, envelope FROM messages WHERE seq <= 7"
                                     " ORDER BY seq, message_id",
                                     0);
    size_t i;
    json_array_foreach(messages, i, row)
        json_object_set_new(row, "envelope", json_loads(cvm_json_str(row, "envelope", ""), JSON_ALLOW_NUL, NULL));
    json_t *all = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "messages", messages, "audit",
        rows_of(db, "SELECT * FROM audit_log WHERE seq <= 7 ORDER BY seq", 0), "metrics",
        rows_of(db,
                "SELECT id, component, subject, success, CAST(confidence_score AS TEXT) AS confidence,"
                " input_message, output_message, timestamp FROM component_metrics WHERE id <= 7 ORDER BY id",
                0),
        "contexts", rows_of(db, "SELECT * FROM contexts ORDER BY conversation", 0), "state",
        rows_of(db, "SELECT * FROM state WHERE key = 'k' OR key LIKE 'heard%' OR key LIKE 'id/%' ORDER BY key", 0));
    sqlite3_close(db);
    return all;
}

START_TEST(a_journal_of_format_9_goes_on)
{
    struct virtual *v = virtual_new(EVERY, NULL);
    struct answer_seen a = {0};
    const char *key;
    json_t *list;
    write_journal_9(v);
    json_t *before = kept_of(v);
    ck_assert_uint_eq(json_array_size(json_object_get(before, "messages")), 7);
    virtual_open(v);
    ck_assert_int_eq(virtual_count(v, "SELECT user_version AS n FROM pragma_user_version"), store_format());
    json_t *after = kept_of(v);
    json_object_foreach(before, key, list) expect_equal(json_object_get(after, key), list, key, 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 3);
    core_step(v->core, core_now_ms(v->core) + 24 * 3600000); /* its clock begins anew */
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE seq > 7 AND type = 'tick'"), 1);
    ck_assert_int_eq(
        virtual_call(v, "test.every", "do", json_pack("{s:[[s, s, i], [s]]}", "steps", "put", "k", 2, "reply"), &a),
        CVM_REPLIED);
    json_decref(a.data);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM state WHERE key = 'k' AND value = '2'"), 1);
    virtual_conserved(v);
    virtual_close(v);
    ck_assert_int_gt(expect_views(v), 8);
    sqlite3 *db = open_journal(v);
    struct audit_verdict verdict;
    char error[256] = "";
    ck_assert_msg(audit_verify(db, &(struct audit_check){0}, &verdict, error, sizeof error) == 0, "%s", error);
    ck_assert_str_eq(verdict.text, ""); /* the chain goes on behind the rows of before */
    ck_assert_int_gt(verdict.rows, 8);
    sqlite3_close(db);
    json_decref(before);
    json_decref(after);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *c = tcase_create("whole");
    tcase_set_timeout(c, 110);
    tcase_add_test(c, what_is_left_out_is_filled_in);
    tcase_add_test(c, messages_of_every_kind_read_whole);
    tcase_add_test(c, conversations_read_whole);
    tcase_add_test(c, a_journal_of_format_9_goes_on);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
