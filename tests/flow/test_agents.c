/* What is set for one agent and no other: how many requests it holds at once, its model and its temperature. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MATRIX_MODEL "gpt-4o-mini"

/* The gauge of a component in /metrics. */
static int64_t gauge(struct flow *f, const char *name, const char *component)
{
    struct flow_answer a;
    char line[160];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(line, sizeof line, "\ncvmhost_component_%s{component=\"%s\"} ", name, component);
    const char *at = strstr(a.text, line);
    ck_assert_msg(at != NULL, "no %s in /metrics", line + 1);
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    flow_answer_free(&a);
    return value;
}

static void call_never(struct flow *f, const char *name, const char *component, const char *type, const char *data)
{
    flow_spawn(f, name, (const char *const[]){"host/cvmhost", "agent", "call", component, type, "--data", data, NULL});
}

START_TEST(each_has_its_own_concurrency)
{
    struct flow *f = flow_new();
    char name[16];
    flow_plugin(f, "faulty");
    flow_config(f, "agents", json_pack("{s:{s:i}}", "test.faulty", "concurrency", 2));
    flow_start(f);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "never%d", i);
        call_never(f, name, "test.faulty", "never", "{}");
    }
    FLOW_UNTIL(gauge(f, "queued", "test.faulty") == 3);
    ck_assert_int_eq(gauge(f, "in_flight", "test.faulty"), 2);
    /* The other one is not limited: it holds as many as it is asked for. */
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "call%d", i);
        call_never(f, name, "test.caller", "call", "{\"type\":\"ok\",\"timeout_ms\":20000}");
    }
    FLOW_UNTIL(gauge(f, "in_flight", "test.caller") == 4);
    ck_assert_int_eq(gauge(f, "in_flight", "test.faulty"), 2);
    ck_assert_int_eq(gauge(f, "queued", "test.faulty"), 7);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "info", "test.faulty"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "concurrency: 2\n"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

static const struct {
    const char *agent;
    double temperature;
} matrix[] = {{"service.triage", 0.7},
              {"service.classifier", 0.1},
              {"service.orchestrator", 0.0},
              {"service.qa", 0.1},
              {"service.response_generator", 0.7},
              {"service.escalation", 0.2},
              {"service.airtime_sales", 0.3},
              {"service.power_sales", 0.3},
              {"service.power_billing", 0.3},
              {"service.power_technical", 0.3},
              {"service.transaction", 0.0}};

static void expect_settings(struct flow *f, const char *agent, const char *model, double temperature)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "info", agent, "--output", "json"), 0);
    const json_t *settings = json_object_get(a.json, "settings");
    const char *its = json_string_value(json_object_get(settings, "llm_model"));
    double value = json_number_value(json_object_get(settings, "llm_temperature"));
    ck_assert_msg(its && strcmp(its, model) == 0, "%s has model %s", agent, its ? its : "none");
    ck_assert_msg(json_object_get(settings, "llm_temperature") && value > temperature - 1e-9 &&
                      value < temperature + 1e-9,
                  "%s has temperature %g", agent, value);
    flow_answer_free(&a);
}

START_TEST(each_has_its_own_model_and_temperature)
{
    struct flow *f = flow_new();
    flow_product(f);
    json_object_del(f->config, "agents");
    flow_start(f);
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
        expect_settings(f, matrix[i].agent, MATRIX_MODEL, matrix[i].temperature);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "info", "service.classifier"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "llm_temperature: 0.1\n"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_stop(f), 0);
    f->served = 0;
    flow_remove(f, "serve.err");
    json_object_set_new(
        f->config, "agents",
        json_pack("{s:{s:{s:s, s:f}}}", "service.qa", "settings", "llm_model", "large", "llm_temperature", 0.9));
    flow_start(f);
    expect_settings(f, "service.qa", "large", 0.9);
    expect_settings(f, "service.triage", MATRIX_MODEL, 0.7);
    flow_end(f);
}
END_TEST

static int64_t counter(struct flow *f, const char *name)
{
    struct flow_answer a;
    char line[96];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(a.text, line);
    ck_assert_msg(at != NULL, "no %s in /metrics", name);
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    flow_answer_free(&a);
    return value;
}

/* Until the components that begin with the host have read what they need: then only what is asked for is read. */
static void wait_for_quiet(struct flow *f)
{
    int64_t before = -1, misses = counter(f, "cvmhost_state_cache_misses_total");
    for (int i = 0; i < 200 && misses != before; i++) {
        before = misses;
        flow_sleep_ms(200);
        misses = counter(f, "cvmhost_state_cache_misses_total");
    }
}

/* What is read again comes from memory, and /metrics says how often. After a start nothing is there yet. */
START_TEST(each_reads_again_from_memory)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "ADA", "08039990001"), 0);
    ck_assert_int_eq(flow_stop(f), 0);
    f->served = 0;
    flow_remove(f, "serve.err");
    flow_start(f);
    wait_for_quiet(f);
    int64_t hits = counter(f, "cvmhost_state_cache_hits_total"),
            misses = counter(f, "cvmhost_state_cache_misses_total");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "show", "ADA"), 0);
    ck_assert_int_gt(counter(f, "cvmhost_state_cache_misses_total"), misses);
    int64_t now = -1; /* a component whose timer comes meanwhile may read what it needs; not each time */
    for (int tries = 0; tries < 5 && now != misses; tries++) {
        misses = counter(f, "cvmhost_state_cache_misses_total");
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "show", "ADA"), 0);
        now = counter(f, "cvmhost_state_cache_misses_total");
    }
    ck_assert_int_eq(now, misses);
    ck_assert_int_ge(counter(f, "cvmhost_state_cache_hits_total"), hits + 3);
    flow_end(f);
}
END_TEST

/* An envelope that is whole, but for one member. */
static void refuses(struct flow *f, const char *agent, const char *member, const char *value)
{
    struct flow_answer a;
    char path[160], wanted[64];
    json_t *e = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "sender", "outside", "recipient", agent,
                          "message_type", "request", "type", "handle", "content", "", "enquiry_id", "", "customer_id",
                          "", "session_id", "SES-0123456789ab");
    if (value)
        json_object_set_new(e, member, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(e, member);
    char *text = json_dumps(e, JSON_COMPACT);
    flow_write(f, "envelope.json", text);
    snprintf(path, sizeof path, "%s/envelope.json", f->home);
    snprintf(wanted, sizeof wanted, "cvmhost: %s: ", member);
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "--envelope", path), 2);
    ck_assert_msg(strstr(a.errors, wanted), "%s: %s %s: %s", agent, member, value ? value : "missing", a.errors);
    flow_answer_free(&a);
    free(text);
    json_decref(e);
}

START_TEST(each_answers_nonsense_with_an_error)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        struct flow_answer a;
        ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", matrix[i].agent, "nonsense"), 1);
        ck_assert_msg(strstr(a.errors, "has no operation \"nonsense\""), "%s: %s", matrix[i].agent, a.errors);
        flow_answer_free(&a);
        refuses(f, matrix[i].agent, "priority", "\"URGENT\"");
        refuses(f, matrix[i].agent, "message_type", "\"gossip\"");
        refuses(f, matrix[i].agent, "confidence", "1.01");
        refuses(f, matrix[i].agent, "session_id", NULL);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from turns where type in ('nonsense', 'handle')"), 0);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("agents");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_has_its_own_concurrency);
    tcase_add_test(tests, each_has_its_own_model_and_temperature);
    tcase_add_test(tests, each_answers_nonsense_with_an_error);
    tcase_add_test(tests, each_reads_again_from_memory);
    return flow_main("agents", (TCase *[]){tests, NULL});
}
