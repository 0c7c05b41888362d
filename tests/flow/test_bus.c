/* Messages as they are seen from outside: every envelope whole, a broadcast heard by all but its sender, a batch that
 * goes on around the calls that fail, and a component that is sent more than it can take. */
#include "flow.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void tail(struct flow *f, const char *name)
{
    char program[512];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(f, name, (const char *const[]){program, "bus", "tail", "--home", f->home, NULL});
}

/* The lines of a file of the home, as JSON. */
static json_t *lines(struct flow *f, const char *file)
{
    char *text = flow_read(f, file), *save = NULL;
    json_t *all = json_array();
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        json_t *one = json_loads(line, 0, NULL);
        ck_assert_msg(one != NULL || !strtok_r(NULL, "\n", &save), "no JSON: %s", line);
        if (one) /* the last may be half written */
            json_array_append_new(all, one);
    }
    free(text);
    return all;
}

/* ---- envelopes ---- */

static bool is_id(const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != 36 || strncmp(text, "MSG-", 4) != 0)
        return false;
    for (text += 4; *text; text++)
        if (!isdigit((unsigned char)*text) && (*text < 'a' || *text > 'f'))
            return false;
    return true;
}

static bool is_one_of(const json_t *value, const char *const *names)
{
    const char *text = json_string_value(value);
    while (text && *names && strcmp(*names, text) != 0)
        names++;
    return text && *names;
}

static bool is_time(const json_t *value)
{
    int y, mo, d, h, mi, s, ms, n = 0;
    const char *text = json_string_value(value);
    return text && sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo, &d, &h, &mi, &s, &ms, &n) == 7 && n == 24 &&
           !text[24];
}

/* The member that is not as the envelope's schema says; NULL: all are. */
static const char *fault_of(const json_t *e)
{
    static const char *const types[] = {"request", "response", "notification", "escalation", NULL};
    static const char *const priorities[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL", NULL};
    static const char *const texts[] = {"content", "enquiry_id", "customer_id", "session_id", "conversation"};
    static const char *const filled[] = {"sender", "recipient", "type"};
    const json_t *confidence = json_object_get(e, "confidence"), *reply = json_object_get(e, "in_reply_to");
    for (size_t i = 0; i < 5; i++)
        if (!json_is_string(json_object_get(e, texts[i])))
            return texts[i];
    for (size_t i = 0; i < 3; i++)
        if (!*text_of(e, filled[i]))
            return filled[i];
    return !is_id(json_object_get(e, "message_id"))                                             ? "message_id"
           : !is_time(json_object_get(e, "timestamp"))                                          ? "timestamp"
           : !is_one_of(json_object_get(e, "message_type"), types)                              ? "message_type"
           : !is_one_of(json_object_get(e, "priority"), priorities)                             ? "priority"
           : !json_is_object(json_object_get(e, "structured_data"))                             ? "structured_data"
           : !json_is_boolean(json_object_get(e, "requires_response"))                          ? "requires_response"
           : !json_is_array(json_object_get(e, "tags"))                                         ? "tags"
           : !json_is_integer(json_object_get(e, "deadline_ms"))                                ? "deadline_ms"
           : json_integer_value(json_object_get(e, "schema_version")) != 1                      ? "schema_version"
           : !json_is_number(confidence) || json_number_value(confidence) < 0                   ? "confidence"
           : json_number_value(confidence) > 1                                                  ? "confidence"
           : !reply || (!json_is_null(reply) && !is_id(reply))                                  ? "in_reply_to"
           : (strcmp(text_of(e, "message_type"), "response") == 0) == (bool)json_is_null(reply) ? "in_reply_to"
                                                                                                : NULL;
}

static int64_t envelopes(struct flow *f, const char *type)
{
    json_t *all = lines(f, "tail.txt"), *e;
    size_t i;
    int64_t n = 0;
    json_array_foreach(all, i, e) n += strcmp(text_of(e, "type"), type) == 0;
    json_decref(all);
    return n;
}

START_TEST(every_envelope_is_whole)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_start(f);
    tail(f, "tail");
    FLOW_UNTIL(FLOW_RUN(f, NULL, "faulty", "counted") == 0 && envelopes(f, "counted") > 0); /* it watches */
    FLOW_RUN(f, NULL, "enquiry", "submit", "How much is MTN airtime?", "--customer-phone", "08031234567");
    FLOW_RUN(f, NULL, "buy", "airtime", "MTN", "08031234567", "500");
    FLOW_RUN(f, NULL, "echo", "publish");
    FLOW_RUN(f, NULL, "faulty", "refuse");
    FLOW_RUN(f, NULL, "agent", "call", "test.faulty", "fault");
    FLOW_RUN(f, NULL, "agent", "call", "test.faulty", "later"); /* a timer */
    FLOW_RUN(f, NULL, "faulty", "ok", "last");
    FLOW_UNTIL(envelopes(f, "ok") > 0);
    json_t *all = lines(f, "tail.txt"), *e, *ids = json_object();
    size_t i;
    ck_assert_uint_gt(json_array_size(all), 30);
    json_array_foreach(all, i, e)
    {
        const char *fault = fault_of(e);
        char *text = fault ? json_dumps(e, 0) : NULL;
        ck_assert_msg(!fault, "%s is not as it must be in %s", fault, text);
        free(text);
        ck_assert_msg(!json_object_get(ids, text_of(e, "message_id")) || strcmp(text_of(e, "type"), "test.news") == 0,
                      "%s occurs twice", text_of(e, "message_id"));
        json_object_set_new(ids, text_of(e, "message_id"), json_true());
        if (strcmp(text_of(e, "type"), "ok") != 0 || strcmp(text_of(e, "message_type"), "request") != 0)
            continue;
        ck_assert_str_eq(text_of(e, "priority"), "MEDIUM"); /* the defaults */
        ck_assert(json_number_value(json_object_get(e, "confidence")) == 1);
        ck_assert_uint_eq(json_array_size(json_object_get(e, "tags")), 0);
        ck_assert(json_is_true(json_object_get(e, "requires_response")));
        ck_assert_str_eq(text_of(e, "enquiry_id"), "");
    }
    json_decref(ids);
    json_decref(all);
    flow_end(f);
}
END_TEST

/* ---- topics ---- */

static int heard(struct flow *f, const char *who)
{
    char line[128];
    int n = 0;
    snprintf(line, sizeof line, "%s heard from test.echo_a", who);
    char *log = flow_log(f);
    for (const char *at = log; (at = strstr(at, line)); at++)
        n++;
    free(log);
    return n;
}

START_TEST(broadcast_is_logged_by_all_but_the_sender)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "echo", "shout"), 0);
    FLOW_UNTIL(heard(f, "test.echo_b") == 1 && heard(f, "test.echo_c") == 1);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "echo", "publish"), 0);
    FLOW_UNTIL(heard(f, "test.echo_b") == 2 && heard(f, "test.echo_c") == 2);
    flow_sleep_ms(100);
    ck_assert_int_eq(heard(f, "test.echo_a"), 0);
    ck_assert_int_eq(heard(f, "test.echo_b") + heard(f, "test.echo_c"), 4);
    flow_end(f);
}
END_TEST

/* ---- a batch ---- */

/* What line `i` of the batch asks for; the crash ends the host, twice, until its message is a dead letter. */
static const char *ask(int i)
{
    static const char *const asks[] = {"error", "fault", "silent", "refuse", "slow"};
    return i == 20 ? "crash" : i % 4 == 1 ? asks[i / 4 % 5] : "ok";
}

START_TEST(batch_completes_for_the_others)
{
    enum { LINES = 40 };
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_config(f, "plugins.strikes", json_integer(100));
    flow_start(f);
    char text[LINES * 64] = "", path[128];
    size_t at = 0;
    for (int i = 0; i < LINES; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "{\"id\":\"%d\",\"type\":\"%s\",\"timeout_ms\":15000}\n", i,
                               ask(i));
    flow_write(f, "in.jsonl", text);
    snprintf(path, sizeof path, "%s/in.jsonl", f->home);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "call", "--file", path, "--parallel", "4", "--timeout", "19"), 0);
    flow_write(f, "out.jsonl", a.text);
    json_t *answers = lines(f, "out.jsonl"), *one;
    size_t i;
    ck_assert_msg(json_array_size(answers) == LINES, "%zu answers: %s%s", json_array_size(answers), a.text, a.errors);
    json_array_foreach(answers, i, one)
    {
        const char *type = ask((int)i), *outcome = text_of(one, "outcome");
        const char *expected = strcmp(type, "ok") == 0 || strcmp(type, "slow") == 0 ? "REPLIED"
                               : strcmp(type, "refuse") == 0                        ? "REFUSED"
                                                                                    : "ERROR";
        ck_assert_msg(strcmp(outcome, expected) == 0, "line %zu (%s): %s", i, type, outcome);
        if (strcmp(type, "crash") == 0)
            ck_assert_str_eq(text_of(json_object_get(one, "data"), "code"), "DEAD_LETTER");
    }
    json_decref(answers);
    flow_answer_free(&a);
    ck_assert(flow_logged(f, "component test.faulty was handling MSG-"));
    ck_assert_int_eq(FLOW_RUN(f, NULL, "faulty", "ok"), 0);
    flow_end(f);
}
END_TEST

/* ---- too much ---- */

/* A figure of test.faulty, as `ps` shows it. */
static int64_t of_faulty(struct flow *f, const char *member)
{
    struct flow_answer a;
    int64_t n = -1;
    ck_assert_int_eq(FLOW_RUN(f, &a, "ps", "--output", "json"), 0);
    json_t *c;
    size_t i;
    json_array_foreach(json_object_get(a.json, "components"), i, c) if (strcmp(text_of(c, "id"), "test.faulty") == 0)
        n = (int64_t)json_integer_value(json_object_get(c, member));
    flow_answer_free(&a);
    return n;
}

START_TEST(full_mailbox_is_refused)
{
    struct flow *f = flow_new();
    char program[512], name[16];
    flow_plugin(f, "faulty");
    json_t *doc = json_load_file(flow_source("tests/plugins/faulty.json"), 0, NULL);
    json_object_set_new(doc, "limits", json_pack("{s:i}", "mailbox", 3));
    json_t *operations = json_object_get(json_array_get(json_object_get(doc, "components"), 0), "operations"), *op;
    size_t k;
    json_array_foreach(operations, k, op) if (strcmp(text_of(op, "type"), "never") == 0)
        json_object_set_new(op, "timeout_ms", json_integer(3000));
    char *text = json_dumps(doc, 0);
    flow_write(f, "manifests/faulty.json", text);
    free(text);
    json_decref(doc);
    flow_config(f, "agents", json_pack("{s:{s:i}}", "test.faulty", "concurrency", 1));
    flow_start(f);
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    for (int i = 0; i < 4; i++) { /* one is held, three wait */
        snprintf(name, sizeof name, "never%d", i);
        flow_spawn(f, name,
                   (const char *const[]){program, "agent", "call", "test.faulty", "never", "--home", f->home, NULL});
    }
    struct flow_answer a;
    FLOW_UNTIL(of_faulty(f, "queued") == 3);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, &a), 503);
    ck_assert_msg(strstr(a.headers, "Retry-After: "), "%s", a.headers);
    ck_assert_msg(strstr(a.text, "test.faulty is full (3 messages wait)"), "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    /* Its caller inside gets BUSY, an ordinary answer. */
    json_t *answer = flow_call(f, "test.caller", "call", "{\"type\": \"ok\"}", NULL);
    ck_assert_str_eq(text_of(answer, "outcome"), "BUSY");
    json_decref(answer);
    FLOW_UNTIL(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL) == 200); /* once the others have timed out */
    flow_end(f);
}
END_TEST

START_TEST(handler_past_its_budget_is_counted)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/slow", "{\"ms\": 60}", NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    struct flow_answer a;
    ck_assert_int_eq(of_faulty(f, "over_budget"), 1);
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(strstr(a.text, "cvmhost_component_over_budget_total{component=\"test.faulty\"} 1\n"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(payload_against_its_schema_is_refused)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_plugin(f, "faulty");
    flow_start(f);
    static const struct {
        const char *body, *says;
        int status;
    } bodies[] = {{"{\"number\": \"five\"}", "number", 400},
                  {"{\"colour\": 1}", "colour", 400},
                  {"[1]", "object", 400},
                  {"{\"text\": ", "JSON", 400}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int status = flow_http(f, "POST", "/test/ok", bodies[i].body, NULL, &a);
        ck_assert_msg(status == bodies[i].status && strstr(a.text, bodies[i].says), "%s: %d %s", bodies[i].body, status,
                      a.text);
        flow_answer_free(&a);
    }
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "ok", "--number", "five"), 2);
    ck_assert_ptr_nonnull(strstr(a.errors, "--number: expected integer"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("bus"), *l = tcase_create("load");
    tcase_set_timeout(c, 60);
    tcase_set_timeout(l, 60);
    tcase_add_test(c, every_envelope_is_whole);
    tcase_add_test(c, broadcast_is_logged_by_all_but_the_sender);
    tcase_add_test(l, batch_completes_for_the_others);
    tcase_add_test(l, full_mailbox_is_refused);
    tcase_add_test(l, handler_past_its_budget_is_counted);
    tcase_add_test(l, payload_against_its_schema_is_refused);
    return flow_main("bus", (TCase *[]){c, l, NULL});
}
