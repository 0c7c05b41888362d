/* What a component can do wrong, and that it harms only its own caller: errors, faults, limits, silence, secrets that
 * are not its own, conversations without an end, topics. Everything goes through the command line of a real host. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct flow *started(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    return f;
}

static void end(struct flow *f)
{
    ck_assert_int_eq(f->served, 1); /* nothing here ends the host */
    flow_end(f);
}

static int status_of(struct flow *f, const char *to, const char *type, const char *data)
{
    int status;
    json_decref(flow_call(f, to, type, data, &status));
    return status;
}

static int64_t number(struct flow *f, const char *to, const char *type, const char *data, const char *member)
{
    json_t *answer = flow_call(f, to, type, data, NULL);
    const json_t *value = json_object_get(answer, member);
    ck_assert_msg(json_is_integer(value), "%s %s: no number %s", to, type, member);
    int64_t n = (int64_t)json_integer_value(value);
    json_decref(answer);
    return n;
}

/* What test.caller says about a request of `type` that it sent to test.faulty. */
static void outcome(struct flow *f, const char *call, const char *expected, const char *code)
{
    json_t *answer = flow_call(f, "test.caller", "call", call, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "outcome")), expected);
    if (code)
        ck_assert_str_eq(json_string_value(json_object_get(json_object_get(answer, "data"), "code")), code);
    json_decref(answer);
}

START_TEST(each_failure_is_the_callers_alone)
{
    struct flow *f = started();
    ck_assert_int_eq(status_of(f, "test.faulty", "error", "{}"), 1);
    ck_assert_int_eq(status_of(f, "test.faulty", "silent", "{}"), 1);
    ck_assert_int_eq(status_of(f, "test.faulty", "fault", "{}"), 1);
    ck_assert_int_eq(status_of(f, "test.faulty", "refuse", "{}"), 5);
    ck_assert_int_ne(status_of(f, "test.faulty", "nonsense", "{}"), 0);
    ck_assert_int_eq(status_of(f, "test.faulty", "ok", "{}"), 0);
    ck_assert_int_eq(status_of(f, "FaultyAgent", "ok", "{}"), 0);
    outcome(f, "{\"type\": \"error\"}", "ERROR", NULL);
    outcome(f, "{\"type\": \"silent\"}", "ERROR", "NO_REPLY");
    outcome(f, "{\"type\": \"fault\"}", "ERROR", "FAULT");
    outcome(f, "{\"type\": \"refuse\"}", "REFUSED", "NOT_TODAY");
    outcome(f, "{\"type\": \"never\", \"timeout_ms\": 200}", "TIMEOUT", NULL);
    outcome(f, "{\"type\": \"twice\"}", "REPLIED", NULL);
    outcome(f, "{\"type\": \"ok\", \"data\": {\"text\": \"x\"}}", "REPLIED", NULL);
    end(f);
}
END_TEST

START_TEST(failed_turns_leave_nothing)
{
    struct flow *f = started();
    status_of(f, "test.faulty", "fault", "{}");
    status_of(f, "test.faulty", "refuse", "{}");
    ck_assert_int_eq(number(f, "test.faulty", "counted", "{}", "faulted"), 0);
    ck_assert_int_eq(number(f, "test.faulty", "counted", "{}", "refused"), 0);
    ck_assert_int_eq(number(f, "test.faulty", "count", "{}", "count"), 1);
    ck_assert_int_eq(number(f, "test.faulty", "counted", "{}", "count"), 1);
    end(f);
}
END_TEST

START_TEST(faulted_turns_are_run_again)
{
    struct flow *f = started();
    ck_assert_int_eq(number(f, "test.faulty", "flaky", "{\"times\": 2}", "attempts"), 3);
    end(f);
}
END_TEST

static bool is_placed(struct flow *f, const char *placement)
{
    struct flow_answer a;
    char member[64];
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "info", "faulty", "--output", "json"), 0);
    snprintf(member, sizeof member, "\"placement\":\"%s\"", placement);
    bool placed = strstr(a.text, member) != NULL;
    flow_answer_free(&a);
    return placed;
}

static void fault_until_moved_out(struct flow *f)
{
    ck_assert(is_placed(f, "inline"));
    for (int i = 0; i < 5; i++)
        outcome(f, "{\"type\": \"fault\"}", "ERROR", "FAULT");
    for (int i = 0; i < 100 && !is_placed(f, "process"); i++)
        flow_sleep_ms(20);
    ck_assert(is_placed(f, "process"));
}

/* The ladder: out of the host, then out of service. */
START_TEST(faults_take_it_out_of_the_host_then_out_of_service)
{
    struct flow *f = started();
    fault_until_moved_out(f);
    ck_assert(!flow_logged(f, "out of service"));
    EXPECT(f, 0, "quarantined", "plugin", "list");
    EXPECT(f, 0, "faulted too often inside the host", "plugin", "info", "faulty");
    EXPECT(f, 0, "test.faulty", "audit", "events", "--what", "plugin.quarantined");
    outcome(f, "{\"type\": \"ok\"}", "REPLIED", NULL);
    EXPECT(f, 0, "unchanged", "reload", "faulty"); /* the same build stays out */
    for (int i = 0; i < 5; i++)
        outcome(f, "{\"type\": \"fault\"}", "ERROR", "FAULT");
    outcome(f, "{\"type\": \"ok\"}", "BUSY", NULL); /* its caller goes on */
    ck_assert(flow_logged(f, "out of service"));
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "revive", "test.faulty"), 0);
    ck_assert(is_placed(f, "inline"));
    outcome(f, "{\"type\": \"ok\"}", "REPLIED", NULL);
    end(f);
}
END_TEST

/* The operator's word and the next start bring it back: it did the host no harm. */
START_TEST(what_faulted_comes_back_into_the_host)
{
    struct flow *f = started();
    fault_until_moved_out(f);
    EXPECT(f, 0, "", "move", "faulty", "--inline");
    ck_assert(is_placed(f, "inline"));
    EXPECT(f, 0, "running", "plugin", "list");
    fault_until_moved_out(f); /* once more */
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    ck_assert(is_placed(f, "inline"));
    flow_end(f);
}
END_TEST

START_TEST(slow_work_delays_and_is_counted)
{
    struct flow *f = started();
    ck_assert_int_eq(status_of(f, "test.faulty", "slow", "{\"ms\": 60}"), 0);
    ck_assert_int_eq(status_of(f, "test.faulty", "ok", "{}"), 0);
    end(f);
}
END_TEST

START_TEST(late_settlement_is_harmless)
{
    struct flow *f = started();
    outcome(f, "{\"type\": \"later\", \"data\": {\"delay_ms\": 20}}", "REPLIED", NULL);
    outcome(f, "{\"type\": \"later\", \"data\": {\"delay_ms\": 500}, \"timeout_ms\": 100}", "TIMEOUT", NULL);
    flow_sleep_ms(700);
    ck_assert_int_eq(status_of(f, "test.faulty", "ok", "{}"), 0);
    end(f);
}
END_TEST

START_TEST(turns_have_limits)
{
    struct flow *f = started();
    ck_assert_int_eq(number(f, "test.faulty", "flood", "{\"n\": 200}", "sent"), 200);
    FLOW_UNTIL(number(f, "test.faulty", "counted", "{}", "sunk") == 200);
    ck_assert_int_eq(status_of(f, "test.faulty", "flood", "{\"n\": 300}"), 1);
    ck_assert_int_eq(status_of(f, "test.faulty", "big", "{}"), 1);
    ck_assert_int_eq(number(f, "test.faulty", "counted", "{}", "sunk"), 200); /* nothing of the 300 was kept */
    ck_assert_int_eq(number(f, "test.faulty", "stray", "{}", "error"), -4);
    ck_assert_int_lt(number(f, "test.faulty", "scribble", "{}", "error"), 0);
    end(f);
}
END_TEST

START_TEST(the_log_says_what_would_allow_it)
{
    struct flow *f = started();
    number(f, "test.faulty", "stray", "{}", "error");
    ck_assert(flow_logged(f,
                          "stray: cvm_request call to test.caller: not allowed by the manifest: the manifest does not "
                          "name the recipient under may_send_to"));
    number(f, "test.faulty", "stray", "{\"to\": \"test.nobody\"}", "error");
    ck_assert(flow_logged(f, "no component that is loaded has this id or alias"));
    number(f, "test.faulty", "scribble", "{}", "error");
    ck_assert(flow_logged(f, "scribble: cvm_state_put: not possible in this state: an ephemeral operation"));
    ck_assert_int_eq(status_of(f, "test.faulty", "twice", "{}"), 0);
    ck_assert(flow_logged(f, "twice: cvm_settle: not found: it was answered already"));
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "test.caller", "call", "--data", "{\"type\": \"counted\"}",
                              "--timeout", "0.2"),
                     1);
    flow_answer_free(&a);
    ck_assert(flow_logged(f, "asked for \\\"counted\\\" and has no route \\\"counted.reply\\\""));
    for (int i = 0; i < 20; i++)
        number(f, "test.faulty", "scribble", "{}", "error");
    char *log = flow_log(f);
    int told = 0;
    for (const char *at = log; (at = strstr(at, "scribble: cvm_state_put")); at++)
        told++;
    free(log);
    ck_assert_int_lt(told, 20); /* a handler that fails under load does not fill the disk */
    end(f);
}
END_TEST

START_TEST(secrets_of_others_are_refused)
{
    struct flow *f = flow_new();
    flow_plugin(f, "secretive");
    flow_env(f, "TEST_OWN_SECRET", "hush-own");
    flow_env(f, "TEST_OTHER_SECRET", "hush-other");
    flow_start(f);
    ck_assert_int_eq(number(f, "test.secretive", "ask", "{\"name\": \"TEST_OWN_SECRET\"}", "error"), 0);
    ck_assert_int_eq(number(f, "test.secretive", "ask", "{\"name\": \"TEST_OTHER_SECRET\"}", "error"), -4);
    ck_assert(flow_logged(f, "refused"));
    char *log = flow_log(f);
    ck_assert_ptr_null(strstr(log, "hush"));
    free(log);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from audit_log where agent = 'test.secretive' and "
                                     "record like '%TEST_OTHER_SECRET%' and record like '%denied%'"),
                     1);
    flow_free(f);
}
END_TEST

START_TEST(conversation_without_end_is_ended)
{
    struct flow *f = flow_new();
    flow_plugin(f, "looper");
    flow_plugin(f, "faulty");
    flow_config(f, "conversation.max_rounds", json_integer(7));
    flow_start(f);
    json_t *answer = flow_call(f, "test.opener", "open", "{}", NULL);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "ended")), "rounds");
    ck_assert_int_eq(json_integer_value(json_object_get(answer, "rounds")), 7);
    json_decref(answer);
    answer = flow_call(f, "test.opener", "open", "{\"to\": \"test.faulty\"}", NULL);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "ended")), "signal");
    json_decref(answer);
    answer = flow_call(f, "test.opener", "open", "{\"to\": \"test.faulty\", \"do\": \"fault\"}", NULL);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "ended")), "error");
    json_decref(answer);
    answer = flow_call(f, "test.opener", "open", "{\"to\": \"test.opener\"}", NULL); /* not in its `next` */
    ck_assert_str_eq(json_string_value(json_object_get(answer, "ended")), "denied");
    json_decref(answer);
    end(f);
}
END_TEST

static void expect_heard(struct flow *f, const char *who, int64_t n)
{
    FLOW_UNTIL(number(f, who, "heard", "{}", "heard") >= n);
    ck_assert_int_eq(number(f, who, "heard", "{}", "heard"), n);
}

START_TEST(broadcast_reaches_all_but_the_sender)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_start(f);
    json_decref(flow_call(f, "test.echo_a", "publish", "{\"text\": \"one\"}", NULL));
    json_decref(flow_call(f, "test.echo_a", "shout", "{\"text\": \"two\"}", NULL));
    expect_heard(f, "test.echo_b", 2);
    expect_heard(f, "test.echo_c", 2);
    expect_heard(f, "test.echo_a", 0);
    json_decref(flow_call(f, "test.echo_a", "publish", "{\"fail\": true}", NULL)); /* subscribers that fail */
    json_decref(flow_call(f, "test.echo_a", "publish", "{}", NULL));
    expect_heard(f, "test.echo_b", 3);
    end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("faults");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, each_failure_is_the_callers_alone);
    tcase_add_test(c, failed_turns_leave_nothing);
    tcase_add_test(c, faulted_turns_are_run_again);
    tcase_add_test(c, faults_take_it_out_of_the_host_then_out_of_service);
    tcase_add_test(c, what_faulted_comes_back_into_the_host);
    tcase_add_test(c, slow_work_delays_and_is_counted);
    tcase_add_test(c, late_settlement_is_harmless);
    tcase_add_test(c, turns_have_limits);
    tcase_add_test(c, the_log_says_what_would_allow_it);
    tcase_add_test(c, secrets_of_others_are_refused);
    tcase_add_test(c, conversation_without_end_is_ended);
    tcase_add_test(c, broadcast_reaches_all_but_the_sender);
    return flow_main("faults", (TCase *[]){c, NULL});
}
