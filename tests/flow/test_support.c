/* Support tickets through the real host: every branch, what comes early or late, clocks, restarts, failures. The
 * activities are those of tests/plugins/crew, which do what the ticket's description says. */
#include "flow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct flow *desk(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "support");
    flow_plugin(f, "stores");
    flow_plugin(f, "crew");
    return f;
}

/* POST; gives the status, and what must stand in the answer. */
static void post(struct flow *f, const char *path, const char *body, int status, const char *text)
{
    struct flow_answer a;
    int got = flow_http(f, "POST", path, body, NULL, &a);
    ck_assert_msg(got == status && strstr(a.text, text), "POST %s %s: %d %s", path, body, got, a.text);
    flow_answer_free(&a);
}

static void create(struct flow *f, const char *id, const char *customer, const char *description)
{
    char body[400];
    snprintf(body, sizeof body, "{\"ticket_id\":\"%s\",\"customer_id\":\"%s\",\"description\":\"%s\"}", id, customer,
             description);
    post(f, "/support/ticket", body, 200, "workflow_started");
}

static void decide(struct flow *f, const char *id, const char *body, int status, const char *text)
{
    char path[120];
    snprintf(path, sizeof path, "/support/approve/%s", id);
    post(f, path, body, status, text);
}

/* GET; the JSON is the caller's. */
static json_t *get(struct flow *f, const char *what, const char *id, const char *more)
{
    struct flow_answer a;
    char path[160];
    snprintf(path, sizeof path, "/support/%s/%s%s", what, id, more);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

static json_t *status(struct flow *f, const char *id)
{
    return get(f, "status", id, "");
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* "output.approval.diff" */
static const json_t *at(const json_t *value, const char *path)
{
    char name[64];
    while (value && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        value = json_object_get(value, name);
        path += n + (path[n] == '.');
    }
    return value;
}

static bool is(struct flow *f, const char *id, const char *wanted)
{
    json_t *s = status(f, id);
    bool yes = strcmp(text_of(s, "status"), wanted) == 0;
    json_decref(s);
    return yes;
}

#define BECOMES(f, id, wanted) FLOW_UNTIL(is(f, id, wanted))

static int64_t rows(struct flow *f, const char *format, ...)
{
    char sql[300];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    return flow_sql_int(f, sql);
}

/* ---- a whole one ---- */

START_TEST(is_completed)
{
    struct flow *f = desk();
    flow_start(f);
    post(f, "/support/ticket", "{\"customer_id\":\"CUST001\"}", 400, "description");
    post(f, "/support/ticket", "{\"ticket_id\":\"A\",\"customer_id\":\"\",\"description\":\"x\"}", 400, "customer_id");
    post(f, "/support/ticket", "{\"ticket_id\":\"A\",\"customer_id\":\"C\",\"description\":\"  \"}", 400,
         "description");
    post(f, "/support/ticket", "{\"ticket_id\":\"a b\",\"customer_id\":\"C\",\"description\":\"x\"}", 400, "ticket_id");
    post(f, "/support/ticket", "{\"customer_id\":\"CUST001\",\"description\":\"no id given\"}", 200, "\"TICK");
    create(f, "TICK0012", "CUST001", "The sidecar cannot reach our application");
    post(f, "/support/ticket", "{\"ticket_id\":\"TICK0012\",\"customer_id\":\"CUST001\",\"description\":\"x\"}", 409,
         "TICKET_EXISTS");
    BECOMES(f, "TICK0012", "WAITING_FOR_APPROVAL");
    json_t *s = status(f, "TICK0012");
    ck_assert(json_is_object(at(s, "output.triage")) && json_is_object(at(s, "output.analysis")));
    ck_assert_int_eq(strncmp(text_of(s, "instance_id"), "support-TICK0012-", 17), 0);
    ck_assert_int_eq(strlen(text_of(s, "instance_id")), 17 + 8);
    ck_assert(json_integer_value(at(s, "remaining_seconds")) > 86000);
    char instance[100];
    snprintf(instance, sizeof instance, "%s", text_of(s, "instance_id"));
    json_decref(s);
    EXPECT(f, 0, "WAITING_FOR_APPROVAL", "state", "get", "execution-state", instance);
    EXPECT(f, 0, "Set the port", "state", "get", "analysis-state", "analysis-TICK0012");
    decide(f, "TICK0012", "{}", 400, "approved");
    decide(f, "TICK0012", "{\"approved\":true,\"rework\":true}", 400, "rework");
    decide(f, "TICK0012",
           "{\"approved\":true,\"final_solution\":\"Set the port\\nRestart twice\",\"support_notes\":\"checked\"}", 200,
           "approval_sent");
    BECOMES(f, "TICK0012", "COMPLETED");
    s = status(f, "TICK0012");
    char *diff = json_dumps(at(s, "output.approval.diff"), JSON_COMPACT);
    ck_assert_str_eq(diff, "[\"  Set the port\",\"- Restart the sidecar\",\"+ Restart twice\"]");
    free(diff);
    ck_assert_str_eq(text_of(at(s, "output.approval"), "support_notes"), "checked");
    ck_assert_str_eq(text_of(at(s, "output.notification"), "text"), "Set the port\nRestart twice");
    ck_assert_str_eq(text_of(at(s, "output"), "outcome"), "resolved");
    json_decref(s);
    decide(f, "TICK0012", "{\"approved\":true}", 409, "NOT_WAITING");
    post(f, "/support/ticket", "{\"ticket_id\":\"TICK0012\",\"customer_id\":\"CUST001\",\"description\":\"x\"}", 409,
         "TICKET_EXISTS");
    decide(f, "NONE", "{\"approved\":true}", 404, "NOT_FOUND");
    ck_assert_int_eq(flow_http(f, "GET", "/support/status/NONE", NULL, NULL, NULL), 404);
    ck_assert_int_eq(flow_http(f, "GET", "/support/tickets/NONE/audit", NULL, NULL, NULL), 404);
    ck_assert_int_eq(rows(f, "select count(*) from state where key like '_/%%TICK0012%%' and component = "
                             "'support.workflow' and value <> 'false'"), /* but the id, which is used */
                     0);
    flow_end(f);
}
END_TEST

/* Commands, the audit in its order, the log without what the customer wrote. */
START_TEST(is_told_step_by_step)
{
    static const char *const order[] = {"created", "started",  "lookup_customer", "finished", "started",  "finished",
                                        "waiting", "approved", "received",        "started",  "finished", "ended"};
    struct flow *f = desk();
    flow_start(f);
    flow_spawn(f, "tail", (const char *const[]){"host/cvmhost", "bus", "tail", "--topic", "support-pubsub", NULL});
    flow_spawn(f, "tail2", (const char *const[]){"host/cvmhost", "bus", "tail", "--topic", "message-pubsub", NULL});
    flow_sleep_ms(300);
    EXPECT(f, 0, "workflow_started", "support", "ticket", "create", "--id", "T1", "--customer", "CUST001",
           "--description", "Zebra trouble");
    BECOMES(f, "T1", "WAITING_FOR_APPROVAL");
    EXPECT(f, 0, "WAITING_FOR_APPROVAL", "support", "ticket", "list", "--status", "WAITING_FOR_APPROVAL");
    EXPECT(f, 2, "status: must be one of", "support", "ticket", "list", "--status", "WAITING");
    EXPECT(f, 0, "approval_sent", "support", "ticket", "approve", "T1", "--notes", "fine", "--by", "ada");
    BECOMES(f, "T1", "COMPLETED");
    EXPECT(f, 0, "outcome: resolved", "support", "ticket", "status", "T1");
    EXPECT(f, 4, "there is no ticket", "support", "audit", "T2");
    EXPECT(f, 0, "lookup_customer", "support", "audit", "T1");
    json_t *audit = get(f, "tickets", "T1", "/audit"), *entries = json_object_get(audit, "entries");
    ck_assert_int_eq(json_array_size(entries), sizeof order / sizeof *order);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        ck_assert_str_eq(text_of(json_array_get(entries, i), "what"), order[i]);
    ck_assert_str_eq(text_of(json_array_get(entries, 7), "actor"), "ada");
    ck_assert(json_is_integer(json_object_get(json_array_get(entries, 3), "duration_ms")));
    json_decref(audit);
    flow_wait_log(f, "T1: triage started");
    flow_wait_log(f, "T1: notify finished, resolved ended");
    ck_assert(!flow_logged(f, "Zebra"));
    flow_sleep_ms(200);
    char *team = flow_read(f, "tail.txt"), *all = flow_read(f, "tail2.txt");
    ck_assert_msg(strstr(team, "solution_ready") && strstr(team, "approve_url") && strstr(team, "expires_at"), "%s",
                  team);
    ck_assert_msg(strstr(all, "step_started") && strstr(all, "approved") && strstr(all, "ended"), "%s", all);
    free(team);
    free(all);
    flow_end(f);
}
END_TEST

/* ---- branches ---- */

START_TEST(branches_end_as_they_should)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "N", "CUST003", "x");
    BECOMES(f, "N", "COMPLETED");
    json_t *s = status(f, "N");
    ck_assert_str_eq(text_of(at(s, "output"), "outcome"), "not_entitled");
    ck_assert_ptr_null(at(s, "output.analysis"));
    ck_assert(strstr(text_of(at(s, "output.notification"), "text"), "plan") != NULL);
    json_decref(s);
    create(f, "U", "CUST99", "x");
    create(f, "U2", "XCUST", "x");
    BECOMES(f, "U2", "FAILED");
    s = status(f, "U2");
    ck_assert(strstr(text_of(at(s, "output.error"), "message"), "Customer not found") != NULL);
    ck_assert_str_eq(text_of(at(s, "output.error"), "code"), "CUSTOMER_NOT_FOUND");
    json_decref(s);
    create(f, "R", "CUST001", "x");
    BECOMES(f, "R", "WAITING_FOR_APPROVAL");
    decide(f, "R", "{\"approved\":false,\"support_notes\":\"no\"}", 200, "approval_sent");
    BECOMES(f, "R", "REJECTED");
    s = status(f, "R");
    ck_assert_ptr_null(at(s, "output.notification"));
    json_decref(s);
    decide(f, "R", "{\"approved\":true}", 409, "REJECTED");
    create(f, "E", "CUST001", "x");
    BECOMES(f, "E", "WAITING_FOR_APPROVAL");
    post(f, "/support/terminate/E", "{\"reason\":\"a mistake\"}", 200, "TERMINATED");
    ck_assert(is(f, "E", "TERMINATED"));
    post(f, "/support/terminate/E", "{}", 409, "TERMINATED");
    decide(f, "E", "{\"approved\":true}", 409, "TERMINATED");
    EXPECT(f, 5, "only what timed out or failed", "support", "ticket", "reopen", "E");
    flow_end(f);
}
END_TEST

START_TEST(is_sent_back_at_most_twice)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "W", "CUST001", "x");
    for (int i = 0; i < 2; i++) {
        BECOMES(f, "W", "WAITING_FOR_APPROVAL");
        decide(f, "W", "{\"approved\":false,\"rework\":true,\"support_notes\":\"look at the proxy\"}", 200, "sent");
        FLOW_UNTIL(rows(f, "select count(*) from support_audit where ticket_id = 'W' and what = 'waiting'") == i + 2);
    }
    BECOMES(f, "W", "WAITING_FOR_APPROVAL");
    json_t *s = status(f, "W");
    ck_assert_str_eq(text_of(at(s, "output.analysis"), "notes_seen"), "look at the proxy");
    json_decref(s);
    decide(f, "W", "{\"approved\":false,\"rework\":true}", 409, "REWORK_LIMIT");
    ck_assert(is(f, "W", "WAITING_FOR_APPROVAL"));
    decide(f, "W", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "W", "COMPLETED");
    ck_assert_int_eq(
        rows(f, "select count(*) from support_audit where ticket_id = 'W' and step = 'expert' and what = 'finished'"),
        3);
    flow_end(f);
}
END_TEST

/* ---- time ---- */

START_TEST(nobody_in_time_is_a_refusal)
{
    struct flow *f = desk();
    flow_config(f, "support.approval_timeout_hours", json_real(0.0003)); /* 1.08 s */
    flow_start(f);
    flow_spawn(f, "tail", (const char *const[]){"host/cvmhost", "bus", "tail", "--topic", "support-pubsub", NULL});
    create(f, "L", "CUST001", "x");
    BECOMES(f, "L", "TIMED_OUT");
    decide(f, "L", "{\"approved\":true}", 409, "timed out");
    json_t *s = status(f, "L");
    ck_assert_ptr_null(at(s, "output.notification"));
    json_decref(s);
    char *team = flow_read(f, "tail.txt");
    ck_assert_msg(strstr(team, "timed_out"), "%s", team);
    free(team);
    EXPECT(f, 0, "reopened", "support", "ticket", "reopen", "L");
    EXPECT(f, 5, "is open", "support", "ticket", "reopen", "L");
    BECOMES(f, "L", "WAITING_FOR_APPROVAL");
    decide(f, "L", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "L", "COMPLETED");
    ck_assert_int_eq(
        rows(f, "select count(*) from support_audit where ticket_id = 'L' and step = 'expert' and what = 'finished'"),
        1);
    flow_end(f);
}
END_TEST

START_TEST(early_decision_is_kept)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "Y", "CUST001", "slow_expert=1500");
    FLOW_UNTIL(rows(f, "select count(*) from support_audit where ticket_id = 'Y' and step = 'expert'") == 1);
    decide(f, "Y", "{\"approved\":true,\"final_solution\":\"Do it\"}", 200, "approval_sent");
    decide(f, "Y", "{\"approved\":false}", 409, "has come already");
    ck_assert(is(f, "Y", "RUNNING"));
    BECOMES(f, "Y", "COMPLETED");
    json_t *s = status(f, "Y");
    ck_assert_str_eq(text_of(at(s, "output.notification"), "text"), "Do it");
    ck_assert_str_eq(text_of(at(s, "output.approval"), "proposed_solution"), "Wait");
    json_decref(s);
    flow_end(f);
}
END_TEST

/* Killed and stopped while it waits: the same deadline, nothing is done twice. */
START_TEST(waits_over_a_restart)
{
    struct flow *f = desk();
    flow_config(f, "support.approval_timeout_hours", json_real(0.002)); /* 7.2 s */
    flow_start(f);
    create(f, "K", "CUST001", "x");
    create(f, "Q", "CUST001", "x");
    BECOMES(f, "K", "WAITING_FOR_APPROVAL");
    BECOMES(f, "Q", "WAITING_FOR_APPROVAL");
    json_t *s = status(f, "K");
    char until[40];
    snprintf(until, sizeof until, "%s", text_of(s, "expires_at"));
    json_decref(s);
    flow_kill(f, 9);
    flow_wait_serving(f);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_config(f, "support.approval_timeout_hours", json_real(24)); /* a wait keeps what it began with */
    flow_start(f);
    s = status(f, "K");
    ck_assert_str_eq(text_of(s, "expires_at"), until);
    ck_assert_str_eq(text_of(s, "status"), "WAITING_FOR_APPROVAL");
    json_decref(s);
    decide(f, "K", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "K", "COMPLETED");
    BECOMES(f, "Q", "TIMED_OUT");
    s = status(f, "Q");
    ck_assert_msg(strcmp(text_of(s, "updated_at"), until) >= 0, "%s, due %s", text_of(s, "updated_at"), until);
    json_decref(s);
    EXPECT(f, 0, "1", "state", "get", "support.triage", "triage/K");
    EXPECT(f, 0, "1", "state", "get", "support.expert", "expert/K");
    EXPECT(f, 0, "1", "state", "get", "support.notification", "notify/K");
    flow_end(f);
}
END_TEST

START_TEST(clocks_stand_while_the_customer_is_asked)
{
    struct flow *f = desk();
    flow_config(f, "support.sla_hours", json_real(0.0008));             /* 2.88 s */
    flow_config(f, "support.approval_timeout_hours", json_real(0.001)); /* 3.6 s */
    flow_start(f);
    create(f, "S", "CUST001", "x");
    BECOMES(f, "S", "WAITING_FOR_APPROVAL");
    post(f, "/support/answer/S", "{\"answer\":\"early\"}", 409, "is not asked");
    EXPECT(f, 0, "WAITING_FOR_CUSTOMER", "support", "ticket", "ask", "S", "Which version?");
    post(f, "/support/ask/S", "{\"question\":\"And?\"}", 409, "NOT_WAITING");
    json_t *s = status(f, "S");
    ck_assert(json_is_true(at(s, "sla.paused")));
    ck_assert_ptr_null(at(s, "expires_at"));
    json_decref(s);
    flow_sleep_ms(4500); /* longer than both */
    ck_assert(is(f, "S", "WAITING_FOR_CUSTOMER"));
    ck_assert_int_eq(rows(f, "select count(*) from support_audit where what = 'sla_breached'"), 0);
    EXPECT(f, 0, "WAITING_FOR_APPROVAL", "support", "ticket", "answer", "S", "1.14");
    s = status(f, "S");
    ck_assert(json_is_false(at(s, "sla.paused")) && json_is_string(at(s, "expires_at")));
    ck_assert_str_eq(text_of(json_array_get(at(s, "output.questions"), 0), "answer"), "1.14");
    json_decref(s);
    FLOW_UNTIL(rows(f, "select count(*) from support_audit where what = 'sla_breached'") == 1);
    s = status(f, "S");
    ck_assert(json_is_true(at(s, "sla.breached")));
    json_decref(s);
    BECOMES(f, "S", "TIMED_OUT");
    /* Who decides while the customer is asked need not wait for the answer. */
    create(f, "S2", "CUST001", "x");
    BECOMES(f, "S2", "WAITING_FOR_APPROVAL");
    post(f, "/support/ask/S2", "{\"question\":\"And?\"}", 200, "WAITING_FOR_CUSTOMER");
    decide(f, "S2", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "S2", "COMPLETED");
    flow_end(f);
}
END_TEST

/* ---- failures ---- */

/* What is asked and answered is kept with the ticket, as much as there is room for. */
START_TEST(questions_have_an_end)
{
    struct flow *f = desk();
    char body[4100], text[4001];
    int i, status = 200;
    flow_start(f);
    create(f, "B", "CUST001", "x");
    BECOMES(f, "B", "WAITING_FOR_APPROVAL");
    memset(text, 'y', 4000);
    text[4000] = 0;
    for (i = 0; i < 40 && status == 200; i++) {
        snprintf(body, sizeof body, "{\"%s\":\"%.*s\"}", i % 2 ? "answer" : "question", i % 2 ? 4000 : 2000, text);
        struct flow_answer a;
        status = flow_http(f, "POST", i % 2 ? "/support/answer/B" : "/support/ask/B", body, NULL, &a);
        ck_assert_msg(status == 200 || (status == 409 && strstr(a.text, "TOO_LARGE")), "%d %s", status, a.text);
        flow_answer_free(&a);
    }
    ck_assert(i > 10 && i < 40);
    if (i % 2 == 0) /* an answer that was too long: a short one does */
        post(f, "/support/answer/B", "{\"answer\":\"yes\"}", 200, "WAITING_FOR_APPROVAL");
    decide(f, "B", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "B", "COMPLETED");
    flow_end(f);
}
END_TEST

START_TEST(failures_are_tried_again)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "F1", "CUST001", "fail_triage=2");
    create(f, "F9", "CUST001", "fail_triage=9");
    BECOMES(f, "F1", "WAITING_FOR_APPROVAL");
    ck_assert_int_eq(rows(f, "select count(*) from support_audit where ticket_id = 'F1' and what = 'failed'"), 2);
    BECOMES(f, "F9", "FAILED");
    ck_assert_int_eq(rows(f, "select count(*) from support_audit where ticket_id = 'F9' and what = 'failed'"), 4);
    ck_assert(flow_logged(f, "F9: triage failed: FAILED"));
    flow_end(f);
}
END_TEST

/* A component that is not there: the sentence says what to do, and when it is back the ticket goes on. */
START_TEST(missing_activity_names_the_remedy)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "M", "CUST001", "x");
    BECOMES(f, "M", "WAITING_FOR_APPROVAL");
    EXPECT(f, 0, "", "plugin", "disable", "crew", "--now");
    decide(f, "M", "{\"approved\":true}", 200, "approval_sent");
    create(f, "M2", "CUST001", "x");
    FLOW_UNTIL(rows(f, "select count(*) from support_audit where ticket_id = 'M' and what = 'failed'") > 0);
    json_t *s = status(f, "M");
    ck_assert_str_eq(text_of(at(s, "output.error"), "code"), "NOT_AVAILABLE");
    ck_assert_msg(strstr(text_of(at(s, "output.error"), "message"), "cvmhost reload"), "%s",
                  text_of(at(s, "output.error"), "message"));
    json_decref(s);
    EXPECT(f, 0, "", "plugin", "enable", "crew");
    BECOMES(f, "M", "COMPLETED");
    BECOMES(f, "M2", "WAITING_FOR_APPROVAL");
    EXPECT(f, 0, "", "plugin", "disable", "stores", "--now");
    create(f, "M3", "CUST001", "x");
    BECOMES(f, "M3", "FAILED");
    s = status(f, "M3");
    ck_assert_msg(strstr(text_of(at(s, "output.error"), "message"), "the store analysis-state"), "%s",
                  text_of(at(s, "output.error"), "message"));
    json_decref(s);
    EXPECT(f, 0, "", "plugin", "enable", "stores");
    EXPECT(f, 0, "reopened", "support", "ticket", "reopen", "M3");
    BECOMES(f, "M3", "WAITING_FOR_APPROVAL");
    flow_end(f);
}
END_TEST

/* A step that a plugin adds is one of new tickets; one that began before goes on as it began. */
START_TEST(definition_stays_with_a_ticket)
{
    struct flow *f = desk();
    flow_start(f);
    create(f, "D1", "CUST001", "x");
    BECOMES(f, "D1", "WAITING_FOR_APPROVAL");
    flow_plugin(f, "review");
    EXPECT(f, 0, "review", "reload");
    create(f, "D2", "CUST001", "x");
    BECOMES(f, "D2", "WAITING_FOR_APPROVAL");
    decide(f, "D1", "{\"approved\":true}", 200, "approval_sent");
    decide(f, "D2", "{\"approved\":true}", 200, "approval_sent");
    BECOMES(f, "D1", "COMPLETED");
    BECOMES(f, "D2", "COMPLETED");
    json_t *s = status(f, "D1");
    ck_assert_ptr_null(at(s, "output.review"));
    json_decref(s);
    s = status(f, "D2");
    ck_assert_str_eq(text_of(at(s, "output.review"), "summary"), "reviewed");
    json_decref(s);
    ck_assert_int_eq(rows(f, "select count(*) from state where component = 'support.workflow' and key like 'd/%%'"), 0);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("support");
    tcase_set_timeout(c, 90);
    tcase_add_test(c, is_completed);
    tcase_add_test(c, is_told_step_by_step);
    tcase_add_test(c, branches_end_as_they_should);
    tcase_add_test(c, is_sent_back_at_most_twice);
    tcase_add_test(c, nobody_in_time_is_a_refusal);
    tcase_add_test(c, early_decision_is_kept);
    tcase_add_test(c, waits_over_a_restart);
    tcase_add_test(c, clocks_stand_while_the_customer_is_asked);
    tcase_add_test(c, questions_have_an_end);
    tcase_add_test(c, failures_are_tried_again);
    tcase_add_test(c, missing_activity_names_the_remedy);
    tcase_add_test(c, definition_stays_with_a_ticket);
    return flow_main("support", (TCase *[]){c, NULL});
}
