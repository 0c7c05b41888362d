/* Conversations that the engine leads over agents: who comes next, what ends them, and the documents of their lanes. */
#include "core/id.h"
#include "core/json_text.h"
#include "virtual.h"

#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const PLUGINS[] = {"faulty", "looper", NULL};

static void write_transitions(const struct virtual *v, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/config/transitions.json", v->home);
    FILE *f = fopen(path, "we");
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* Opens one with that data; how it ended, its error's code ("": none) and who took part, "A B", must be these. */
static void converse(struct virtual *v, json_t *data, const char *ended, const char *code, const char *involved)
{
    struct answer_seen a = {0};
    char who[256] = "";
    json_t *one;
    size_t i;
    virtual_call(v, "test.opener", "open", data, &a);
    char *text = json_dumps(a.data, JSON_COMPACT);
    ck_assert_msg(a.outcome == CVM_REPLIED, "%d: %s", a.outcome, text);
    ck_assert_msg(strcmp(cvm_json_str(a.data, "ended", ""), ended) == 0, "%s", text);
    ck_assert_msg(strcmp(cvm_json_str(json_object_get(a.data, "error"), "code", ""), code) == 0, "%s", text);
    json_array_foreach(json_object_get(a.data, "agents_involved"), i, one)
        snprintf(who + strlen(who), sizeof who - strlen(who), "%s%s", i ? " " : "", json_string_value(one));
    ck_assert_msg(strcmp(who, involved) == 0, "%s: %s", who, text);
    free(text);
    json_decref(a.data);
}

START_TEST(the_route_says_who_is_next)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    converse(v, json_pack("{s:[s, s]}", "route", "LooperAgent", "FaultyAgent"), "signal", "",
             "LooperAgent FaultyAgent");
    converse(v, json_pack("{s:[s]}", "route", "role:test.worker"), "signal", "", "LooperAgent FaultyAgent");
    converse(v, json_pack("{s:[s]}", "route", "test.looper"), "route_end", "", "LooperAgent"); /* it was the last */
    converse(v, json_pack("{s:[]}", "route"), "route_end", "", "LooperAgent");
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

START_TEST(an_agent_that_fails_ends_it)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    converse(v, json_pack("{s:s, s:s}", "to", "test.faulty", "do", "error"), "error", "FAILED",
             "LooperAgent FaultyAgent");
    converse(v, json_pack("{s:s, s:s}", "to", "test.faulty", "do", "fault"), "error", "FAULT",
             "LooperAgent FaultyAgent");
    converse(v, json_pack("{s:s}", "first", "test.opener"), "error", "NO_HANDLE", "OpenerProvider");
    converse(v, json_pack("{s:s}", "to", "test.nobody"), "denied", "NOT_LOADED", "LooperAgent");
    converse(v, json_pack("{s:s}", "to", "role:test.none"), "denied", "NOT_LOADED", "LooperAgent");
    converse(v, json_pack("{s:b, s:s}", "bare", 1, "to", "test.caller"), "denied", "TRANSITION_DENIED", "LooperAgent");
    struct answer_seen a = {0};
    ck_assert_int_eq(virtual_call(v, "test.opener", "open", json_pack("{s:s}", "first", "test.nobody"), &a),
                     CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(a.data, "code", ""), "NOT_FOUND");
    json_decref(a.data);
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

/* What the agents' manifests allow, the operator may forbid; a replay knows what was forbidden then. */
START_TEST(the_operator_forbids_transitions)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    write_transitions(v, "{\"forbid\": [[\"test.caller\", \"*\"], [\"LooperAgent\", \"role:test.worker\"]]}");
    virtual_open(v);
    converse(v, json_pack("{s:s}", "to", "test.faulty"), "denied", "TRANSITION_DENIED", "LooperAgent");
    converse(v, NULL, "rounds", "MAX_ROUNDS", "LooperAgent"); /* to itself it may */
    write_transitions(v, "{\"forbid\": []}");
    virtual_close(v);
    struct replay_report report = virtual_replays(v);
    ck_assert_int_gt(report.same, 30);
    virtual_open(v);
    converse(v, json_pack("{s:s}", "to", "test.faulty"), "signal", "", "LooperAgent FaultyAgent");
    virtual_free(v);
}
END_TEST

START_TEST(a_wrong_file_of_transitions_is_said)
{
    static const struct {
        const char *text, *error;
    } cases[] = {{"{\"forbid\": [", "transitions.json:1: "},
                 {"[]", "must be {\"forbid\": [[\"from\", \"to\"], ...]}"},
                 {"{\"forbid\": [[\"a\", \"b\", \"c\"]]}", "must be {\"forbid\""},
                 {"{\"forbid\": [[\"a\", 1]]}", "must be {\"forbid\""},
                 {"{\"forbid\": [], \"allow\": []}", "must be {\"forbid\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct virtual *v = virtual_new(PLUGINS, NULL);
        struct core_options options = {.home = v->home, .config = v->config, .seed = 42};
        struct core *core = NULL;
        char error[512] = "";
        write_transitions(v, cases[i].text);
        int e = core_open(&options, &core, error, sizeof error);
        if (!e)
            e = core_load(core, error, sizeof error);
        ck_assert_msg(e < 0 && strstr(error, cases[i].error), "%s: %s", cases[i].text, error);
        if (core)
            core_close(core);
        virtual_free(v);
    }
}
END_TEST

/* In how many turns the engine took an answer of its own, and in how many an agent's turn did it at once. */
static void led_so(struct virtual *v, int own, int at_once)
{
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'handle.reply'"), own);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE json_extract(record, '$.led') IS NOT NULL"
                                      " AND type != 'handle.reply' AND component != 'host.conversation'"),
                     at_once);
}

/* What an agent answers is led on within its own turn; the record says so, and shows the answer as any other. */
START_TEST(an_answer_is_led_on_in_the_turn_that_gave_it)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    converse(v, json_pack("{s:[s, s]}", "route", "LooperAgent", "FaultyAgent"), "signal", "",
             "LooperAgent FaultyAgent");
    led_so(v, 0, 2);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE component = 'host.conversation'"), 1);
    static const char answers[] = "SELECT count(*) AS n FROM messages WHERE json_extract(envelope, '$.outcome') ="
                                  " 'REPLIED' AND json_extract(envelope, '$.recipient') = 'host.conversation'";
    ck_assert_int_eq(virtual_count(v, answers), 2);
    /* what is next follows from the answer, as it does in a turn of the engine's own */
    ck_assert_int_eq(
        virtual_count(v, "SELECT count(*) AS n FROM messages a JOIN messages b ON b.seq = a.seq AND"
                         " json_extract(b.envelope, '$.cause') = a.message_id WHERE json_extract(a.envelope,"
                         " '$.outcome') = 'REPLIED' AND json_extract(b.envelope, '$.sender') = 'host.conversation'"),
        2);
    ck_assert_int_eq(virtual_count(v, "SELECT max(json_array_length(doc, '$.processing_steps')) AS n FROM contexts"),
                     2);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    converse(v, json_pack("{s:s}", "way", "later"), "signal", "", "LooperAgent FaultyAgent"); /* from a timer's turn */
    converse(v, json_pack("{s:s}", "way", "twice"), "signal", "", "LooperAgent FaultyAgent");
    led_so(v, 0, 6);
    virtual_conserved(v);
    struct replay_report report = virtual_replays(v);
    ck_assert_int_gt(report.same, 12);
    virtual_free(v);
}
END_TEST

/* Who asks for its own conversation to be led: the first step is part of its turn. The request is the engine's, over a
 * restart as well. */
START_TEST(a_conversation_begins_in_the_turn_that_asks_for_it)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    static const char own[] = "SELECT count(*) AS n FROM turns WHERE component = 'host.conversation'";
    virtual_open(v);
    converse(v, json_pack("{s:b, s:[s, s]}", "here", 1, "route", "LooperAgent", "FaultyAgent"), "signal", "",
             "LooperAgent FaultyAgent");
    led_so(v, 0, 3);
    ck_assert_int_eq(virtual_count(v, own), 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM messages WHERE json_extract(envelope, '$.type') ="
                                      " 'converse'"),
                     2); /* asked and answered */
    converse(v, json_pack("{s:b, s:s}", "here", 1, "first", "test.opener"), "error", "NO_HANDLE", "OpenerProvider");
    led_so(v, 0, 4);
    converse(v, json_pack("{s:b, s:s}", "here", 1, "way", "never"), "error", "TIMEOUT", "LooperAgent");
    ck_assert_int_eq(
        virtual_call(v, "test.opener", "open", json_pack("{s:b, s:s}", "here", 1, "first", "test.nobody"), &a),
        CVM_REFUSED); /* in a turn of the engine's own */
    ck_assert_int_eq(virtual_count(v, own), 2);
    virtual_conserved(v);
    a.n = 0;
    virtual_submit(v, "test.opener", "open", json_pack("{s:b, s:s}", "here", 1, "way", "later"), &a);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items WHERE kind = 'request'"), 3);
    virtual_close(v);
    virtual_open(v);
    core_step(v->core, core_now_ms(v->core) + 24 * 3600000); /* its clock begins anew */
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'converse.reply'"), 5);
    ck_assert_int_eq(virtual_count(v, own), 2);
    virtual_conserved(v);
    virtual_replays(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

static void note_verdict(void *arg, const struct replay_turn *turn)
{
    struct text *seen = arg;
    if (turn->verdict != REPLAY_SAME && turn->verdict != REPLAY_NOT_RUN)
        text_printf(seen, "%s of %s %s; ", turn->type, turn->component, *turn->why ? turn->why : "differs");
}

static void would_be(struct virtual *v, int64_t same, const char *expected)
{
    struct replay_report report = {0};
    struct text seen;
    char error[512] = "";
    text_init(&seen, 4096);
    const struct replay_options options = {
        .home = v->home, .trusted = true, .with_current = true, .seen = note_verdict, .arg = &seen};
    ck_assert_msg(replay_home(&options, &report, error, sizeof error) == 0, "%s", error);
    text_char(&seen, 0);
    ck_assert_str_eq(seen.at, expected);
    ck_assert_int_eq(report.same, same);
    text_free(&seen);
}

/* What would have come of it is found through turns that lead on: by today's rules the conversation ends one agent
 * earlier, or goes on to one that was forbidden. */
START_TEST(what_if_goes_through_turns_that_lead_on)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    converse(v, json_pack("{s:s}", "to", "test.faulty"), "signal", "", "LooperAgent FaultyAgent");
    virtual_close(v);
    would_be(v, 5, "");
    write_transitions(v, "{\"forbid\": [[\"test.looper\", \"test.faulty\"]]}");
    would_be(v, 2,
             "handle of test.looper differs; handle of test.faulty it is not reached now; "
             "converse.reply of test.opener it is not reached now; ");
    virtual_open(v);
    converse(v, json_pack("{s:s}", "to", "test.faulty"), "denied", "TRANSITION_DENIED", "LooperAgent");
    virtual_close(v);
    write_transitions(v, "{\"forbid\": []}");
    would_be(v, 7, "handle of test.looper differs; converse.reply of test.opener it is not reached now; ");
    virtual_free(v);
}
END_TEST

/* An answer that comes from elsewhere, too much for one turn, a failure and a deadline take the way of any reply. */
START_TEST(what_cannot_be_led_on_at_once_is_an_ordinary_answer)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    converse(v, json_pack("{s:s}", "way", "aside"), "signal", "", "LooperAgent FaultyAgent");
    led_so(v, 1, 1); /* FaultyAgent's, which ended it */
    converse(v, json_pack("{s:s}", "way", "wide"), "signal", "", "LooperAgent FaultyAgent");
    led_so(v, 2, 2);
    converse(v, json_pack("{s:s}", "way", "big"), "signal", "", "LooperAgent FaultyAgent");
    led_so(v, 3, 3);
    converse(v, json_pack("{s:s, s:s}", "to", "test.faulty", "do", "error"), "error", "FAILED",
             "LooperAgent FaultyAgent");
    led_so(v, 4, 4);
    converse(v, json_pack("{s:s}", "way", "never"), "error", "TIMEOUT", "LooperAgent");
    led_so(v, 5, 4);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    virtual_conserved(v);
    virtual_replays(v);
    virtual_free(v);
}
END_TEST

/* The context keeps the first steps, however long it goes on. */
START_TEST(a_long_one_keeps_a_limited_document)
{
    struct virtual *v = virtual_new(PLUGINS,
                                    "{\"plugins\": {\"inline\": [\"*\"]}, \"conversation\": {\"max_rounds\": 230}}");
    virtual_open(v);
    converse(v, NULL, "rounds", "MAX_ROUNDS", "LooperAgent");
    ck_assert_int_eq(
        virtual_count(v, "SELECT json_extract(doc, '$.rounds') AS n FROM contexts WHERE name LIKE 'ENQ-%'"), 230);
    ck_assert_int_eq(
        virtual_count(v,
                      "SELECT json_array_length(doc, '$.processing_steps') AS n FROM contexts WHERE name LIKE 'ENQ-%'"),
        200);
    virtual_free(v);
}
END_TEST

static void change(const struct virtual *v, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

/* An empty document would replace it, and what it said would be lost. */
START_TEST(a_document_that_cannot_be_read_is_not_replaced)
{
    struct virtual *v = virtual_new((const char *const[]){"every", NULL}, NULL);
    struct answer_seen a = {0};
    struct edge_error error;
    struct edge_in in = {.source = "test", .to = "test.every", .type = "do", .conversation = "one", .priority = -1};
    unsetenv("CVMHOST_TEST_REPLAY"); /* the journal does not know what the test wrote itself */
    virtual_open(v);
    in.data = json_pack("{s:[[s, s, s], [s]]}", "steps", "set", "/word", "kept", "reply");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a.outcome, CVM_REPLIED);
    virtual_close(v);
    change(v, "UPDATE contexts SET doc = substr(doc, 2) WHERE name = 'one'");
    virtual_open(v);
    a.n = 0;
    in.data = json_pack("{s:[[s, s, s], [s]]}", "steps", "set", "/word", "new", "reply");
    ck_assert_int_lt(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a.n, 0);
    ck_assert_int_eq(
        virtual_count(v, "SELECT count(*) AS n FROM contexts WHERE name = 'one' AND doc LIKE '\"word\":\"kept\"%'"), 1);
    virtual_close(v);
    change(v, "UPDATE contexts SET doc = '{' || doc WHERE name = 'one'");
    virtual_open(v);
    in.data = json_pack("{s:[[s], [s]]}", "steps", "context", "reply");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_str_eq(cvm_json_str(json_array_get(json_object_get(a.data, "found"), 0), "word", ""), "kept");
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* By a name that holds the key of another's: neither while that one is open, nor when it lies in the store, nor after a
 * restart. */
START_TEST(nobody_gets_at_another_by_a_made_name)
{
    struct virtual *v = virtual_new((const char *const[]){"every", NULL}, NULL);
    struct answer_seen a = {0}, none = {0};
    struct edge_error error;
    struct edge_in in = {.source = "test", .to = "test.every", .type = "do", .priority = -1};
    char own[32], made[32];
    int64_t key;
    for (int i = 0;; i++) {
        snprintf(own, sizeof own, "customer %d", i);
        if ((key = conversation_key(own)) < INT64_C(1) << 60)
            break;
    }
    snprintf(made, sizeof made, "IN-%015llx", (unsigned long long)key);
    ck_assert_int_eq(conversation_key(made), key);
    virtual_open(v);
    in.conversation = own;
    in.data = json_pack("{s:[[s, s, s], [s]]}", "steps", "set", "/word", "kept", "reply");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    for (int round = 0; round < 3; round++) {
        in.conversation = made;
        in.data = json_pack("{s:[[s, s, s], [s]]}", "steps", "set", "/word", "new", "reply");
        ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &none, NULL, &error), CVM_EINVAL);
        ck_assert_str_eq(error.field, "conversation");
        core_step(v->core, core_now_ms(v->core));
        if (round == 1) {
            virtual_close(v);
            virtual_open(v);
        }
    }
    ck_assert_int_eq(a.outcome, CVM_REPLIED);
    ck_assert_int_eq(none.n, 0);
    json_decref(a.data);
    a = (struct answer_seen){0};
    in.conversation = own;
    in.data = json_pack("{s:[[s], [s]]}", "steps", "context", "reply");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_str_eq(cvm_json_str(json_array_get(json_object_get(a.data, "found"), 0), "word", ""), "kept");
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM contexts WHERE name LIKE 'IN-%'"), 0);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* The clock was an hour ahead, and was put back before the host ended: what began then keeps its key to itself. */
START_TEST(keys_go_on_behind_those_of_a_clock_ahead)
{
    struct virtual *v = virtual_new((const char *const[]){"every", NULL}, NULL);
    struct answer_seen a = {0};
    unsetenv("CVMHOST_TEST_REPLAY"); /* the journal does not know what the test wrote itself */
    int64_t newest = 0;
    for (int round = 0; round < 2; round++) {
        virtual_open(v);
        virtual_submit(v, "test.every", "do", json_pack("{s:[[s, s, s], [s]]}", "steps", "set", "/word", "x", "reply"),
                       &a);
        core_step(v->core, core_now_ms(v->core));
        ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM contexts WHERE name GLOB 'IN-*'"), round + 1);
        int64_t key = virtual_count(v, "SELECT max(conversation) AS n FROM contexts WHERE name GLOB 'IN-*'");
        virtual_close(v);
        ck_assert_int_gt(key, newest);
        if (round == 0)
            change(v, "UPDATE contexts SET conversation = conversation + (3600000 << 18), name = printf('IN-%015x',"
                      " conversation + (3600000 << 18)) WHERE name GLOB 'IN-*'");
        newest = key + (INT64_C(3600000) << 18);
    }
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conversation");
    TCase *c = tcase_create("conversation");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, the_route_says_who_is_next);
    tcase_add_test(c, an_agent_that_fails_ends_it);
    tcase_add_test(c, the_operator_forbids_transitions);
    tcase_add_test(c, a_wrong_file_of_transitions_is_said);
    tcase_add_test(c, an_answer_is_led_on_in_the_turn_that_gave_it);
    tcase_add_test(c, a_conversation_begins_in_the_turn_that_asks_for_it);
    tcase_add_test(c, what_cannot_be_led_on_at_once_is_an_ordinary_answer);
    tcase_add_test(c, a_long_one_keeps_a_limited_document);
    tcase_add_test(c, a_document_that_cannot_be_read_is_not_replaced);
    tcase_add_test(c, nobody_gets_at_another_by_a_made_name);
    tcase_add_test(c, keys_go_on_behind_those_of_a_clock_ahead);
    suite_add_tcase(s, c);
    c = tcase_create("what if");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, what_if_goes_through_turns_that_lead_on);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
