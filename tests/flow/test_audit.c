/* What operators see of what happened and what is kept: the audit log, the log, the figures of each agent's calls, and
 * the stores they may look into and change. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Lines of JSON that a command wrote; each is checked to be an object. */
static json_t *lines(struct flow *f, const char *const *words)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_run(f, &a, words), 0);
    json_t *all = json_array();
    for (char *save = NULL, *line = strtok_r(a.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *one = json_loads(line, 0, NULL);
        ck_assert_msg(json_is_object(one), "no object: %s", line);
        json_array_append_new(all, one);
    }
    flow_answer_free(&a);
    return all;
}

/* The row of the audit log of this agent and action; the last one. */
static const json_t *row_of(const json_t *rows, const char *agent, const char *action)
{
    const json_t *found = NULL;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) if (strcmp(text_of(row, "agent"), agent) == 0 &&
                                         strcmp(text_of(row, "action"), action) == 0) found = row;
    ck_assert_msg(found, "no row of %s %s", agent, action);
    return found;
}

/* The product with its networks played. */
static struct flow *product(void)
{
    struct flow *f = flow_new();
    char port[8], url[96];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    flow_spawn(f, "network_sim",
               (const char *const[]){"examples/simulators/network_sim/network_sim", "--port", port, "--quiet", NULL});
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mtn/v1", number);
    flow_product(f);
    json_t *agents = json_object_get(f->config, "agents");
    json_object_set_new(agents, "provider.network.mtn", json_pack("{s:{s:s}}", "settings", "base_url", url));
    flow_env(f, "MTN_API_KEY", "sim-key");
    flow_start(f);
    return f;
}

/* ---- the audit log ---- */

START_TEST(every_action_is_in_the_audit_log)
{
    struct flow *f = product();
    EXPECT(f, 0, "ENQ-", "enquiry", "submit", "How much is MTN airtime?", "--customer-phone", "08031234567");
    EXPECT(f, 0, "success: true", "buy", "airtime", "MTN", "08031234567", "500");
    json_t *rows = lines(f, (const char *const[]){"log", "tail", "--audit", "-n", "1000", NULL});
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        ck_assert_msg(strlen(text_of(row, "at")) == 24 && text_of(row, "at")[23] == 'Z', "%s", text_of(row, "at"));
        ck_assert_str_ne(text_of(row, "agent"), "");
        ck_assert_str_ne(text_of(row, "action"), "");
        ck_assert_str_ne(text_of(row, "outcome"), "");
    }
    /* an action and its decision, with the enquiry as its subject */
    const json_t *classified = row_of(rows, "service.classifier", "handle");
    ck_assert_int_eq(strncmp(text_of(classified, "subject"), "ENQ-", 4), 0);
    const json_t *note = json_array_get(json_object_get(json_object_get(classified, "record"), "notes"), 0);
    ck_assert_str_eq(json_string_value(json_array_get(note, 0)), "decision");
    /* a provider call, with its key; and what came back */
    const json_t *vend = row_of(rows, "provider.network.mtn", "vend");
    const json_t *call = json_array_get(json_object_get(json_object_get(vend, "record"), "calls"), 0);
    ck_assert_int_eq(strncmp(text_of(call, "key"), "TXN-", 4), 0);
    ck_assert_ptr_nonnull(strstr(text_of(call, "url"), "/mtn/v1/"));
    char answered[96];
    snprintf(answered, sizeof answered, "%s.reply", text_of(call, "name"));
    ck_assert(json_is_object(
        json_object_get(json_object_get(row_of(rows, "provider.network.mtn", answered), "record"), "in")));
    /* a change of state, of money, and of rows */
    const json_t *paid = json_object_get(row_of(rows, "service.transaction", "purchase"), "record");
    ck_assert_uint_gt(json_array_size(json_object_get(paid, "state")), 0);
    ck_assert_uint_gt(json_array_size(json_object_get(paid, "rows")), 0);
    /* and nothing is missing: the view has a row for every turn */
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from audit_log"), flow_sql_int(f, "select max(seq) from turns"));
    json_decref(rows);
    EXPECT(f, 0, "call vend", "log", "tail", "--audit", "-n", "100", "--output", "table");
    EXPECT(f, 0, "decision classification", "log", "tail", "--audit", "-n", "100", "--output", "table");
    rows = lines(f, (const char *const[]){"log", "tail", "--audit", "-n", "2", NULL});
    ck_assert_uint_eq(json_array_size(rows), 2);
    json_decref(rows);
    /* no key of a provider is in it */
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from audit_log where record like '%sim-key%'"), 0);
    flow_end(f);
}
END_TEST

START_TEST(refusals_are_in_the_audit_log)
{
    struct flow *f = flow_new();
    flow_plugin(f, "secretive");
    flow_plugin(f, "faulty");
    flow_env(f, "TEST_OTHER_SECRET", "hush-other");
    flow_start(f);
    EXPECT(f, 0, "\"got\":false", "secretive", "ask", "TEST_OTHER_SECRET", "--output", "json");
    EXPECT(f, 5, "refused", "faulty", "refuse");
    EXPECT(f, 1, "", "agent", "call", "test.faulty", "error");
    EXPECT(f, 0, "denied TEST_OTHER_SECRET", "log", "tail", "--audit", "--output", "table");
    EXPECT(f, 0, "refused NOT_TODAY", "log", "tail", "--audit", "--output", "table");
    EXPECT(f, 0, "ERROR", "log", "tail", "--audit", "--output", "table");
    EXPECT(f, 2, "-n: expected 1 to 1000 lines", "log", "tail", "--audit", "-n", "0");
    EXPECT(f, 2, "-n: expected", "log", "tail", "-n", "many");
    flow_end(f);
}
END_TEST

static bool waits_for(struct flow *f, const char *file, const char *text)
{
    char *all = flow_read(f, file);
    bool found = all && strstr(all, text);
    free(all);
    return found;
}

START_TEST(tails_follow)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    char program[512];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(f, "audit",
               (const char *const[]){program, "log", "tail", "--audit", "--follow", "--home", f->home, NULL});
    flow_spawn(f, "log", (const char *const[]){program, "log", "tail", "-f", "-n", "1", "--home", f->home, NULL});
    FLOW_UNTIL(waits_for(f, "log.txt", "serving on"));
    EXPECT(f, 0, "count: 1", "faulty", "count");
    FLOW_UNTIL(waits_for(f, "audit.txt", "\"action\":\"count\""));
    EXPECT(f, 1, "", "agent", "call", "test.faulty", "fault");
    FLOW_UNTIL(waits_for(f, "log.txt", "fault in fault"));
    EXPECT(f, 0, "WARNING test.faulty: fault in fault", "log", "tail", "-n", "1", "--output", "table");
    ck_assert_int_eq(flow_stop(f), 0);
    EXPECT(f, 0, "\"text\":\"stopped\"", "log", "tail", "-n", "1"); /* the file needs no host, the journal does */
    EXPECT(f, 1, "no host is running", "log", "tail", "--audit", "--no-start");
    flow_free(f);
    f = flow_new();
    EXPECT(f, 4, "has a host run in this home?", "log", "tail");
    flow_free(f);
}
END_TEST

/* ---- figures of each call ---- */

static double metric(struct flow *f, const char *name, const char *component)
{
    struct flow_answer a;
    char line[160];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(line, sizeof line, "%s{component=\"%s\"} ", name, component);
    const char *at = strstr(a.text, line);
    ck_assert_msg(at, "no %s", line);
    double value = strtod(at + strlen(line), NULL);
    flow_answer_free(&a);
    return value;
}

START_TEST(every_call_has_time_success_and_confidence)
{
    struct flow *f = product();
    EXPECT(f, 0, "ENQ-", "enquiry", "submit", "How much is MTN airtime?", "--customer-phone", "08031234567");
    EXPECT(f, 5, "", "buy", "airtime", "NONE", "08031234567", "500");
    json_t *rows = flow_sql(f, "select * from component_metrics where component = 'service.classifier' and "
                               "subject like 'ENQ-%'"),
           *row;
    ck_assert_uint_eq(json_array_size(rows), 1);
    row = json_array_get(rows, 0);
    ck_assert(json_number_value(json_object_get(row, "processing_time_ms")) > 0);
    ck_assert_int_eq(json_integer_value(json_object_get(row, "success")), 1);
    ck_assert(json_number_value(json_object_get(row, "confidence_score")) == 0.5); /* what the rules give */
    json_decref(rows);
    rows = flow_sql(f, "select * from component_metrics where component = 'service.airtime_sales' order by id desc");
    row = json_array_get(rows, 0);
    ck_assert_int_eq(json_integer_value(json_object_get(row, "success")), 0);
    ck_assert(json_number_value(json_object_get(row, "confidence_score")) == 1);
    json_decref(rows);
    ck_assert_int_eq(flow_sql_int(f,
                                  "select count(*) from component_metrics where processing_time_ms is null or success "
                                  "is null or confidence_score is null or timestamp is null"),
                     0);
    ck_assert(metric(f, "cvmhost_component_turns_total", "service.classifier") >= 1);
    ck_assert(metric(f, "cvmhost_component_turn_seconds_total", "service.classifier") > 0);
    ck_assert(metric(f, "cvmhost_component_refusals_total", "service.airtime_sales") == 1);
    ck_assert(metric(f, "cvmhost_component_confidence_total", "service.classifier") == 0.5);
    ck_assert(metric(f, "cvmhost_component_decisions_total", "service.classifier") == 1);
    flow_end(f);
}
END_TEST

/* ---- stores ---- */

/* The host's own lane has all that ever happened to it; the story of a receipt is that receipt. */
START_TEST(a_receipt_is_a_story_of_its_own)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    EXPECT(f, 0, "faulty", "plugin", "disable", "faulty");
    EXPECT(f, 0, "faulty", "plugin", "enable", "faulty");
    ck_assert_int_gt(flow_sql_int(f, "select count(*) from turns where component = 'host'"), 2);
    json_t *rows = flow_sql(f, "select 'MSG-' || lower(hex(message)) as id from turns where component = 'host' and"
                               " type = 'plugins.change' order by seq limit 1");
    const char *id = text_of(json_array_get(rows, 0), "id");
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "why", id, "--output", "json"), 0);
    const json_t *turns = json_object_get(a.json, "turns");
    ck_assert_uint_eq(json_array_size(turns), 1);
    ck_assert_str_eq(text_of(json_array_get(turns, 0), "message_id"), id);
    flow_answer_free(&a);
    EXPECT(f, 0, "<- this message", "why", id);
    EXPECT(f, 0, "1 turns of 1 conversations: 0 same, 0 differ, 0 cannot be run any more, 1 are the host's own",
           "replay", id);
    json_decref(rows);
    flow_end(f);
}
END_TEST

START_TEST(stores_are_listed_read_and_written)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_start(f);
    EXPECT(f, 0, "count: 1", "faulty", "count");
    EXPECT(f, 0, "published", "echo", "publish");
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from state where component = 'test.echo_b'") == 1);
    EXPECT(f, 0, "test.faulty", "state", "stores");
    EXPECT(f, 0, "test.echo_b", "state", "stores");
    EXPECT(f, 0, "count", "state", "list", "test.faulty");
    EXPECT(f, 0, "value: 1", "state", "get", "FaultyAgent", "count");

    EXPECT(f, 0, "was: 1", "state", "put", "test.faulty", "count", "41");
    EXPECT(f, 0, "count: 42", "faulty", "count"); /* the component sees it at once */
    EXPECT(f, 0, "written: true", "state", "put", "FaultyAgent", "own", "{\"a\": [1, \"x\"]}");
    flow_kill(f, SIGKILL); /* what was answered is durable */
    flow_wait_serving(f);
    EXPECT(f, 0, "\"a\":[1,\"x\"]", "state", "get", "test.faulty", "own", "--output", "json");
    EXPECT(f, 0, "count: 43", "faulty", "count");
    EXPECT(f, 0, "deleted: true", "state", "delete", "test.faulty", "count");
    EXPECT(f, 0, "count: 1", "faulty", "count");
    EXPECT(f, 0, "edited by the operator, state own", "log", "tail", "--audit", "--output", "table");

    EXPECT(f, 4, "there is no such key", "state", "delete", "test.faulty", "none");
    EXPECT(f, 4, "there is no such key", "state", "get", "test.faulty", "none");
    EXPECT(f, 4, "keeps state here", "state", "get", "test.none", "k");
    EXPECT(f, 4, "keeps state here", "state", "put", "test.none", "k", "1");
    EXPECT(f, 4, "keeps state here", "state", "put", "host", "k", "1");
    EXPECT(f, 2, "expected JSON", "state", "put", "test.faulty", "k", "plain");
    EXPECT(f, 5, "the host's own", "state", "put", "test.faulty", ".id/X", "1");
    char key[140] = "";
    memset(key, 'k', 129);
    EXPECT(f, 5, "at most 128 bytes", "state", "put", "test.faulty", key, "1");
    char *value = malloc(70000);
    memset(value, 'v', 69999);
    value[0] = value[69998] = '"';
    value[69999] = 0;
    EXPECT(f, 5, "at most 65536 bytes", "state", "put", "test.faulty", "k", value);
    free(value);
    flow_end(f);
}
END_TEST

/* The way to mend a component that stumbles over its own state. */
START_TEST(state_of_a_component_out_of_service_can_be_changed)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    for (int i = 0; i < 100 && !flow_logged(f, "out of service"); i++) /* inside the host, then outside of it */
        EXPECT(f, 1, "", "agent", "call", "test.faulty", "fault");
    EXPECT(f, 1, "out of service", "faulty", "count");
    EXPECT(f, 0, "written: true", "state", "put", "test.faulty", "count", "7");
    EXPECT(f, 1, "out of service", "faulty", "count"); /* which does not put it back */
    EXPECT(f, 0, "revived: true", "plugin", "revive", "test.faulty");
    EXPECT(f, 0, "count: 8", "faulty", "count");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("audit"), *s = tcase_create("stores");
    tcase_set_timeout(c, 60);
    tcase_set_timeout(s, 60);
    tcase_add_test(c, every_action_is_in_the_audit_log);
    tcase_add_test(c, refusals_are_in_the_audit_log);
    tcase_add_test(c, tails_follow);
    tcase_add_test(c, every_call_has_time_success_and_confidence);
    tcase_add_test(c, a_receipt_is_a_story_of_its_own);
    tcase_add_test(s, stores_are_listed_read_and_written);
    tcase_add_test(s, state_of_a_component_out_of_service_can_be_changed);
    return flow_main("audit", (TCase *[]){c, s, NULL});
}
