/* The lifecycle on a real host: what a day does, what is learnt and not repeated, language models, restarts, what goes
 * out, what people see of it. */
#include "flow_llm.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE "/api/v1/lifecycle"

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double num(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static json_t *run(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: %d, wanted %d: %.300s%.300s", words[0], words[1], got, status, a.text,
                  a.errors);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

#define RUN(f, status, ...) run(f, status, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "lifecycle");
    flow_plugin(f, "actions");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    return f;
}

static struct flow *started(void)
{
    struct flow *f = home();
    flow_start(f);
    return f;
}

/* The card of a persona; of a day where that is not 0. Borrowed. */
static const json_t *card(const json_t *answer, const char *persona, int day)
{
    const json_t *cards = json_object_get(answer, "stories");
    for (size_t i = 0; i < json_array_size(cards); i++) {
        const json_t *c = json_array_get(cards, i);
        if (strcmp(str(c, "persona_key"), persona) == 0 && (!day || num(c, "day") == day))
            return c;
    }
    ck_abort_msg("no card of %s on day %d", persona, day);
    return NULL;
}

static char *export(struct flow *f, const char *what, const char *format)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "lifecycle", "export", "--what", what, "--format", format), 0);
    char *text = strdup(a.text);
    flow_answer_free(&a);
    return text;
}

/* ---- the beginning ---- */

START_TEST(five_personas_are_ready)
{
    struct flow *f = home(); /* in a command of its own, before anybody serves */
    flow_write(f, "config/cvmhost.json", "{\"plugins\": {\"inline\": [\"*\"]}}");
    json_t *state = RUN(f, 0, "lifecycle", "status");
    flow_start(f);
    for (int i = 0; i < 3; i++) {
        const json_t *customers = json_object_get(state, "customers"), *sam = json_array_get(customers, 0);
        ck_assert_uint_eq(json_array_size(customers), 5);
        ck_assert_str_eq(str(sam, "persona_key"), "Onboarding_Sam");
        ck_assert_str_eq(str(sam, "state"), "healthy");
        ck_assert_double_eq(num(sam, "engagement_score"), 85);
        ck_assert_double_eq(num(sam, "days_inactive"), 0);
        ck_assert_str_eq(json_string_value(json_array_get(json_object_get(sam, "traits"), 0)), "price-sensitive");
        ck_assert_double_eq(num(state, "day"), 0);
        ck_assert_double_eq(num(state, "active"), 5);
        ck_assert_str_eq(str(state, "learning_status"), "not started");
        json_decref(state);
        json_t *memory = RUN(f, 0, "lifecycle", "memory");
        ck_assert_uint_eq(json_object_size(memory), 0);
        json_decref(memory);
        memory = RUN(f, 0, "lifecycle", "memory", "--persona", "Growth_Femi"); /* he is there, nothing was tried */
        ck_assert_uint_eq(json_object_size(memory), 0);
        json_decref(memory);
        if (i == 0)
            json_decref(RUN(f, 0, "lifecycle", "run", "--days", "3"));
        state = i == 0 ? RUN(f, 0, "lifecycle", "reset") : RUN(f, 0, "lifecycle", "status");
    }
    json_decref(state);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history"), 0); /* swept */
    flow_end(f);
}
END_TEST

START_TEST(observing_is_deterministic)
{
    struct flow *f = started();
    static const char sam[] =
        "{\"customer\": {\"persona_key\": \"Onboarding_Sam\", \"display_name\": \"Student Sam\", \"segment\": "
        "\"Onboarding\", \"engagement_score\": 85, \"days_inactive\": 0, \"traits\": [\"price-sensitive\"]}}";
    json_t *one = flow_call(f, "lifecycle.behavior_analysis", "analyze", sam, NULL),
           *two = flow_call(f, "lifecycle.behavior_analysis", "analyze", sam, NULL);
    ck_assert(json_equal(one, two));
    ck_assert_str_eq(str(one, "state"), "healthy");
    ck_assert_double_eq(num(one, "engagement_score"), 85);
    ck_assert_ptr_nonnull(strstr(str(one, "summary"), "price-sensitive"));
    json_decref(one);
    json_decref(two);
    int status = 0;
    ck_assert_ptr_null(
        flow_call(f, "lifecycle.behavior_analysis", "analyze", "{\"customer\": {\"persona_key\": \"x\"}}", &status));
    ck_assert_int_eq(status, 5);
    flow_end(f);
}
END_TEST

/* ---- days ---- */

START_TEST(a_day_changes_scores_by_the_impact)
{
    struct flow *f = started();
    json_t *day = RUN(f, 0, "lifecycle", "run", "--days", "1", "--noise", "0", "--force",
                      "Onboarding_Sam=SEND_DISCOUNT", "--force", "Retention_Clara=SEND_TUTORIAL");
    ck_assert_uint_eq(json_array_size(json_object_get(day, "stories")), 5);
    const json_t *sam = card(day, "Onboarding_Sam", 1), *clara = card(day, "Retention_Clara", 1);
    ck_assert_double_eq(num(sam, "impact"), 8);
    ck_assert_double_eq(num(clara, "impact"), -3);
    ck_assert_str_eq(str(sam, "outcome"), "SUCCESS");
    ck_assert_str_eq(str(clara, "outcome"), "FAILED");
    json_decref(day);
    day = RUN(f, 0, "lifecycle", "run", "--days", "30");
    const json_t *cards = json_object_get(day, "stories");
    for (size_t i = 0; i < json_array_size(cards); i++) {
        const json_t *c = json_array_get(cards, i);
        double after = num(c, "score_before") + num(c, "impact");
        after = after < 0 ? 0 : after > 100 ? 100 : after;
        ck_assert_msg(fabs(after - num(c, "score_after")) < 1e-6, "%s", str(c, "headline"));
        ck_assert(*str(c, "thought") && *str(c, "headline") && *str(c, "observation"));
    }
    json_decref(day);
    EXPECT(f, 5, "there is no persona", "lifecycle", "run", "--days", "1", "--force", "Nobody_X=SEND_DISCOUNT");
    EXPECT(f, 5, "there is no action", "lifecycle", "run", "--days", "1", "--force", "Onboarding_Sam=SING");
    flow_end(f);
}
END_TEST

START_TEST(what_failed_is_not_done_again)
{
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "1", "--noise", "0", "--force", "Onboarding_Sam=SEND_DISCOUNT",
                    "--force", "Retention_Clara=SEND_TUTORIAL"));
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "lifecycle", "memory"), 0);
    ck_assert_str_eq(str(json_object_get(a.json, "Onboarding_Sam"), "SEND_DISCOUNT"), "SUCCESS");
    ck_assert_str_eq(str(json_object_get(a.json, "Retention_Clara"), "SEND_TUTORIAL"), "FAILED");
    ck_assert_uint_eq(json_object_size(json_object_get(a.json, "Onboarding_Sam")), 1);
    flow_answer_free(&a);
    EXPECT(f, 4, "There is no persona Nobody_Nil; there are ", "lifecycle", "memory", "--persona", "Nobody_Nil");
    EXPECT(f, 4, "Onboarding_Sam", "lifecycle", "memory", "--persona", "Nobody_Nil");
    json_t *hints = flow_call(f, "lifecycle.memory", "get_success_hints", "{\"customer\": \"Onboarding_Sam\"}", NULL);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(hints, "actions"), 0)), "SEND_DISCOUNT");
    json_decref(hints);
    hints = flow_call(f, "lifecycle.memory", "get_forbidden_actions", "{\"customer\": \"Retention_Clara\"}", NULL);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(hints, "actions"), 0)), "SEND_TUTORIAL");
    json_decref(hints);
    json_decref(flow_call(f, "lifecycle.memory", "update",
                          "{\"customer\": \"Growth_Femi\", \"action\": \"SEND_SURVEY\", \"status\": \"FAILED\"}",
                          NULL));
    hints = flow_call(f, "lifecycle.memory", "get_forbidden_actions", "{\"customer\": \"Growth_Femi\"}", NULL);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(hints, "actions"), 0)), "SEND_SURVEY");
    json_decref(hints);
    json_t *days = RUN(f, 0, "lifecycle", "run", "--days", "20");
    const json_t *next = card(days, "Onboarding_Sam", 2);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(next, "hints"), 0)), "SEND_DISCOUNT");
    json_decref(days);
    /* Nobody gets what failed for them the last time it was used, but by exploring, and that takes untried ones. */
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE persona_key = 'Retention_Clara' AND "
                                     "action = 'SEND_TUTORIAL'"),
                     1);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history later JOIN lifecycle_history earlier ON "
                                     "later.persona_key = earlier.persona_key AND later.action = earlier.action AND "
                                     "later.day > earlier.day WHERE earlier.outcome = 'FAILED'"),
                     0);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE adapted"), 0);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE source = 'explore'"), 0);
    ck_assert_int_eq(
        flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE probability <= 0 OR probability > 1"), 0);
    EXPECT(f, 0, "adapted", "lifecycle", "status");
    EXPECT(f, 0, "SEND_TUTORIAL", "why", "life-1-2");
    EXPECT(f, 0, "simulate_user_behavior", "lifecycle", "next-day", "--trace");
    flow_end(f);
}
END_TEST

START_TEST(whoever_churns_is_left_alone)
{
    struct flow *f = home();
    flow_config(f, "lifecycle.churn_score", json_integer(45));
    flow_config(f, "lifecycle.explore_rate", json_integer(0));
    flow_start(f);
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "1", "--noise", "0", "--force", "Winback_Dan=SEND_TUTORIAL"));
    json_t *state = RUN(f, 0, "lifecycle", "status");
    const json_t *dan = json_array_get(json_object_get(state, "customers"), 4);
    ck_assert_double_eq(num(state, "churned"), 1);
    ck_assert_str_eq(str(dan, "status"), "churned");
    ck_assert_double_eq(num(dan, "churned_on_day"), 1);
    ck_assert_double_eq(num(dan, "clv"), 0);
    json_decref(state);
    json_t *day = RUN(f, 0, "lifecycle", "next-day");
    const json_t *c = card(day, "Winback_Dan", 2);
    ck_assert_str_eq(str(c, "action"), "NO_ACTION");
    ck_assert_str_eq(str(c, "source"), "rule");
    ck_assert_str_eq(str(c, "status"), "churned");
    ck_assert_str_eq(str(c, "outcome"), "NONE");
    json_decref(day);
    flow_end(f);
}
END_TEST

/* ---- actions ---- */

START_TEST(nine_actions_and_a_new_one_the_next_day)
{
    struct flow *f = started();
    static const char *const all[] = {"send_discount",        "send_tutorial",          "send_reminder",
                                      "grant_loyalty_points", "offer_upgrade",          "schedule_call",
                                      "send_survey",          "send_feature_highlight", "no_action"};
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "list", "--kind", "treatment"), 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ck_assert_msg(strstr(a.text, all[i]), "no %s in: %s", all[i], a.text);
    flow_answer_free(&a);
    EXPECT(f, 5, "there is no action SEND_VOUCHER", "lifecycle", "run", "--days", "1", "--force",
           "Onboarding_Sam=SEND_VOUCHER");
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    flow_plugin(f, "voucher");
    EXPECT(f, 0, "added", "reload");
    json_t *day =
        RUN(f, 0, "lifecycle", "run", "--days", "1", "--noise", "0", "--force", "Onboarding_Sam=SEND_VOUCHER");
    const json_t *sam = card(day, "Onboarding_Sam", 2);
    ck_assert_str_eq(str(sam, "action"), "SEND_VOUCHER");
    ck_assert_double_eq(num(sam, "impact"), 5); /* as its describe says for a healthy one */
    json_decref(day);
    /* It promises most, so others get it by themselves. */
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "10"));
    ck_assert_int_gt(
        flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE action = 'SEND_VOUCHER' AND persona_key "
                        "!= 'Onboarding_Sam'"),
        0);
    flow_end(f);
}
END_TEST

START_TEST(nothing_is_sent)
{
    struct flow *f = home();
    flow_plugin(f, "operations");
    flow_plugin(f, "service");
    flow_start(f);
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "10"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM outbox"), 0);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM turns WHERE component LIKE 'channel.%'"), 0);
    flow_end(f);
}
END_TEST

/* ---- language models ---- */

static struct flow *with_model(void)
{
    struct flow *f = home();
    flow_plugin(f, "llm");
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    flow_config(f, "lifecycle.explore_rate", json_integer(0));
    return f;
}

START_TEST(a_model_decides_with_its_reason)
{
    struct flow *f = with_model();
    flow_start(f);
    llm_script(
        f, "{\"data\": {\"thought\": \"A call shows that we care.\", \"action\": \"SCHEDULE_CALL\"}, \"times\": 5}");
    json_t *day = RUN(f, 0, "lifecycle", "next-day");
    const json_t *clara = card(day, "Retention_Clara", 1);
    ck_assert_str_eq(str(clara, "source"), "llm");
    ck_assert_str_eq(str(clara, "thought"), "A call shows that we care.");
    ck_assert_str_eq(str(clara, "action"), "SCHEDULE_CALL");
    ck_assert_double_gt(num(clara, "tokens"), 0);
    ck_assert_double_gt(num(clara, "cost_micro_usd"), 0);
    ck_assert_str_eq(str(card(day, "Onboarding_Sam", 1), "outcome"), "FAILED"); /* -4 */
    json_decref(day);
    json_t *state = RUN(f, 0, "lifecycle", "status");
    ck_assert_double_gt(num(state, "cost_usd"), 0);
    double input = num(state, "input_tokens"), output = num(state, "output_tokens");
    ck_assert_double_le(num(state, "cost_usd"), (input * .15 + output * .6) / 1e6 + 1e-5); /* the source's prices; */
    ck_assert_double_ge(num(state, "cost_usd"), (input * .075 + output * .6) / 1e6); /* what is cached costs half */
    ck_assert_ptr_nonnull(strstr(str(state, "provider"), "openai"));
    json_decref(state);
    /* What failed is not offered, what worked is told. */
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    json_t *requests = llm_requests(f);
    size_t seen = 0;
    for (size_t i = 0; i < json_array_size(requests); i++) {
        char *body = json_dumps(json_object_get(json_array_get(requests, i), "body"), 0);
        if (i >= 5 && strstr(body, "Onboarding")) {
            ck_assert_ptr_null(strstr(body, "SCHEDULE_CALL"));
            seen++;
        }
        if (i >= 5 && strstr(body, "Retention"))
            ck_assert_ptr_nonnull(strstr(body, "worked for this customer before"));
        free(body);
    }
    ck_assert_uint_eq(seen, 1);
    json_decref(requests);
    EXPECT(f, 0, "cvmhost_lifecycle_decision_seconds_count", "metrics");
    EXPECT(f, 0, "cvmhost_component_turn_seconds_total{component=\"lifecycle.memory\"}", "metrics");
    flow_end(f);
}
END_TEST

START_TEST(a_failing_model_is_stood_in_for)
{
    struct flow *f = with_model();
    flow_start(f);
    llm_script(f, "{\"fault\": \"500\", \"times\": 50}");
    json_t *day = RUN(f, 0, "lifecycle", "next-day");
    const json_t *cards = json_object_get(day, "stories");
    for (size_t i = 0; i < json_array_size(cards); i++)
        ck_assert_str_eq(str(json_array_get(cards, i), "source"), "fallback");
    ck_assert_str_eq(str(card(day, "Onboarding_Sam", 1), "action"), "GRANT_LOYALTY_POINTS"); /* highest expectation */
    json_decref(day);
    flow_wait_log(f, "a rule decides");
    flow_end(f);
}
END_TEST

START_TEST(without_a_key_rules_decide)
{
    struct flow *f = home();
    flow_plugin(f, "llm");
    flow_start(f);
    json_t *day = RUN(f, 0, "lifecycle", "run", "--days", "2");
    ck_assert_str_eq(str(day, "provider"), "rules");
    json_decref(day);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE source NOT IN ('rule', 'explore')"),
                     0);
    flow_end(f);
}
END_TEST

/* ---- the same again ---- */

START_TEST(the_same_seed_gives_the_same_bytes)
{
    char *first = NULL;
    for (int i = 0; i < 3; i++) {
        struct flow *f = started();
        if (i < 2)
            json_decref(RUN(f, 0, "lifecycle", "run", "--days", "15", "--seed", i ? "7" : "7"));
        for (int k = 0; i == 2 && k < 15; k++) /* day by day is the same as well */
            json_decref(RUN(f, 0, "lifecycle", "run", "--days", "1", "--seed", "7"));
        char *text = export(f, "history", "csv");
        ck_assert_int_eq(strncmp(text,
                                 "day,persona_key,segment,observation_state,action,source,impact,score_before,score_"
                                 "after,outcome,status,clv\n",
                                 100),
                         0);
        if (first)
            ck_assert_str_eq(first, text);
        else
            first = strdup(text);
        free(text);
        flow_end(f);
    }
    free(first);
}
END_TEST

START_TEST(a_run_survives_kills_and_ends_with_the_same_bytes)
{
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "200", "--seed", "3"));
    char *whole = export(f, "history", "csv");
    flow_end(f);
    f = home();
    flow_config(f, "supervisor.restart_delay_ms", json_integer(0));
    flow_config(f, "supervisor.restarts", json_integer(100));
    flow_start(f);
    const char *argv[] = {
        flow_build("host/cvmhost"), "lifecycle", "run", "--days", "200", "--seed", "3", "--home", f->home, NULL};
    char program[512];
    snprintf(program, sizeof program, "%s", argv[0]);
    argv[0] = program;
    flow_spawn(f, "run", argv);
    for (int kills = 0, day = 0; kills < 4; kills++) {
        day += 20;
        char sql[96];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM lifecycle_days WHERE day >= %d", day);
        FLOW_UNTIL(flow_sql_int(f, sql) > 0);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM lifecycle_days WHERE day = 200") == 1);
    char *text = export(f, "history", "csv");
    ck_assert_str_eq(text, whole);
    free(text);
    free(whole);
    flow_end(f);
}
END_TEST

START_TEST(memory_survives_a_restart)
{
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "5"));
    json_t *before = RUN(f, 0, "lifecycle", "memory");
    ck_assert_int_eq(flow_stop(f), 0);
    json_t *after = RUN(f, 0, "lifecycle", "memory"); /* in a process of its own */
    ck_assert(json_equal(before, after));
    ck_assert_uint_eq(json_object_size(after), 5);
    json_decref(after);
    flow_start(f);
    json_t *state = RUN(f, 0, "lifecycle", "reset", "--keep-memory");
    ck_assert_double_eq(num(state, "day"), 0);
    json_decref(state);
    after = RUN(f, 0, "lifecycle", "memory");
    ck_assert(json_equal(before, after));
    json_decref(after);
    json_decref(before);
    flow_end(f);
}
END_TEST

/* ---- what people see ---- */

START_TEST(verify_passes_and_fails)
{
    struct flow *f = started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "lifecycle", "verify"), 0);
    size_t n = strlen(a.text);
    ck_assert_ptr_nonnull(strstr(a.text, "PASS: simulation"));
    ck_assert_ptr_nonnull(strstr(a.text, "PASS: decision"));
    ck_assert_ptr_null(strstr(a.text, "FAIL"));
    ck_assert_str_eq(a.text + n - strlen("ALL TESTS PASSED\n"), "ALL TESTS PASSED\n");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_config(f, "lifecycle.churn_score", json_integer(95)); /* the settings are part of it */
    flow_config(f, "agents", json_pack("{s:{s:i}}", "lifecycle.decision", "concurrency", 1));
    flow_start(f);
    EXPECT(f, 0, "ALL TESTS PASSED", "lifecycle", "verify");
    flow_end(f);
}
END_TEST

START_TEST(exports_are_tables_and_json)
{
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "4"));
    char *csv = export(f, "history", "csv"), *text = export(f, "history", "json");
    size_t lines = 0;
    for (const char *at = csv; *at; at++)
        lines += *at == '\n';
    json_t *rows = json_loads(text, 0, NULL);
    ck_assert_uint_eq(lines, 21);
    ck_assert_uint_eq(json_array_size(rows), 20);
    ck_assert_ptr_nonnull(json_object_get(json_array_get(rows, 0), "observation_state"));
    json_decref(rows);
    free(csv);
    free(text);
    csv = export(f, "memory", "csv");
    ck_assert_int_eq(strncmp(csv, "persona_key,action,status\n", 26), 0);
    free(csv);
    EXPECT(f, 0, "mean_score", "lifecycle", "export", "--what", "metrics", "--format", "csv");
    EXPECT(f, 0, "", "lifecycle", "export", "--what", "history", "--format", "csv", "--output-file", "h.csv");
    char *file = flow_read(f, "output/h.csv");
    ck_assert_ptr_nonnull(strstr(file, "Onboarding_Sam"));
    free(file);
    EXPECT(f, 0, "output/lifecycle-history.json", "lifecycle", "export", "--what", "history", "--save");
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", BASE "/export?what=history&format=csv&from=2&to=3", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(strstr(a.headers, "text/csv"));
    ck_assert_ptr_null(strstr(a.text, "\n1,"));
    ck_assert_ptr_nonnull(strstr(a.text, "\n3,"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

static bool is_written(struct flow *f, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/output/%s", f->home, name);
    return access(path, F_OK) == 0;
}

/* What a GET asks for is never written; what the command asks for is, the memory too. */
START_TEST(only_the_command_writes_files)
{
    static const char *const what[] = {"memory", "history", "metrics"};
    struct flow *f = started();
    struct flow_answer a;
    char name[64], path[200];
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, BASE "/export?what=%s&save=true&format=csv", what[i]);
        snprintf(name, sizeof name, "lifecycle-%s.csv", what[i]);
        ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 400);
        ck_assert_msg(strstr(a.text, "save"), "%s", a.text);
        flow_answer_free(&a);
        ck_assert_msg(!is_written(f, name), "%s", name);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "lifecycle-%s.csv", what[i]);
        snprintf(path, sizeof path, "output/%s", name);
        EXPECT(f, 0, path, "lifecycle", "export", "--what", what[i], "--save", "--format", "csv");
        ck_assert_msg(is_written(f, name), "%s", name);
    }
    char *written = flow_read(f, "output/lifecycle-memory.csv"), *shown = export(f, "memory", "csv");
    ck_assert_str_eq(written, shown);
    free(written);
    free(shown);
    flow_end(f);
}
END_TEST

static void first_of(struct flow *f, const char *name, char begins)
{
    char path[64];
    snprintf(path, sizeof path, "output/%s", name);
    char *text = flow_read(f, path);
    ck_assert_msg(text[0] == begins, "%s: %.60s", name, text);
    free(text);
}

/* The form comes from --output, else the name of the file, else --format; what contradicts is refused. */
START_TEST(the_form_of_a_file_is_that_of_its_name)
{
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    EXPECT(f, 0, "", "lifecycle", "export", "--what", "history", "--output-file", "a.csv");
    first_of(f, "a.csv", 'd');
    EXPECT(f, 0, "", "lifecycle", "export", "--what", "history", "--output", "csv", "--output-file", "b.csv");
    first_of(f, "b.csv", 'd');
    EXPECT(f, 0, "", "lifecycle", "export", "--what", "history", "--output", "json", "--output-file", "c.csv");
    first_of(f, "c.csv", '[');
    EXPECT(f, 0, "", "lifecycle", "export", "--what", "history", "--output-file", "d.json");
    first_of(f, "d.json", '[');
    EXPECT(f, 0, "persona_key,action,status", "lifecycle", "memory", "--output", "csv");
    EXPECT(f, 2, "--format csv: the name of --output-file says json", "lifecycle", "export", "--what", "history",
           "--format", "csv", "--output-file", "e.json");
    EXPECT(f, 2, "--format json: --output says csv", "lifecycle", "export", "--what", "history", "--format", "json",
           "--output", "csv", "--output-file", "e.json");
    ck_assert(!is_written(f, "e.json"));
    EXPECT(f, 5, "from (3) must not be after to (2)", "lifecycle", "export", "--what", "history", "--from", "3", "--to",
           "2");
    ck_assert_int_eq(flow_http(f, "GET", BASE "/metrics?from=3&to=2", NULL, NULL, NULL), 400);
    flow_end(f);
}
END_TEST

/* Sums of different currencies are no sum. */
START_TEST(value_is_told_by_currency)
{
    struct flow *f = home();
    flow_write(f, "data/lifecycle/personas.json",
               "[{\"persona_key\": \"A_Ada\", \"display_name\": \"Ada\", \"segment\": \"A\", \"engagement_score\": 80, "
               "\"monthly_revenue\": 1000, \"gross_margin\": 0.5, \"currency\": \"NGN\"},"
               "{\"persona_key\": \"A_Bob\", \"display_name\": \"Bob\", \"segment\": \"A\", \"engagement_score\": 80, "
               "\"monthly_revenue\": 2000, \"gross_margin\": 0.5},"
               "{\"persona_key\": \"A_Chi\", \"display_name\": \"Chi\", \"segment\": \"A\", \"engagement_score\": 80, "
               "\"monthly_revenue\": 3000, \"gross_margin\": 0.5, \"currency\": \"NGN\"}]");
    flow_start(f);
    json_t *state = RUN(f, 0, "lifecycle", "next-day");
    json_decref(state);
    state = RUN(f, 0, "lifecycle", "status");
    const json_t *c = json_object_get(state, "customers"), *totals = json_object_get(state, "clv_totals");
    ck_assert(json_is_null(json_object_get(state, "clv_total")));
    ck_assert(json_is_null(json_object_get(state, "currency")));
    ck_assert_uint_eq(json_object_size(totals), 2);
    ck_assert_double_gt(num(totals, "USD"), 0);
    ck_assert_double_eq(num(totals, "USD"), num(json_array_get(c, 1), "clv"));
    ck_assert_double_eq(num(totals, "NGN"), num(json_array_get(c, 0), "clv") + num(json_array_get(c, 2), "clv"));
    char *text = export(f, "metrics", "json");
    json_t *rows = json_loads(text, 0, NULL);
    ck_assert_msg(json_is_null(json_object_get(json_array_get(rows, 0), "clv_total")), "%s", text);
    ck_assert_msg(json_equal(json_object_get(json_array_get(rows, 0), "clv_totals"), totals), "%s", text);
    json_decref(rows);
    free(text);
    text = export(f, "metrics", "csv");
    ck_assert_msg(strstr(text, "cost_micro_usd,clv_totals\n") && strstr(text, "\"\"USD\"\":"), "%s", text);
    free(text);
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", BASE "/metrics", NULL, NULL, &a), 200);
    ck_assert(json_is_null(json_array_get(json_object_get(a.json, "clv_total"), 0)));
    ck_assert(json_equal(json_array_get(json_object_get(a.json, "clv_totals"), 0), totals));
    flow_answer_free(&a);
    json_decref(state);
    flow_end(f);
}
END_TEST

START_TEST(http_tells_the_same)
{
    struct flow *f = started();
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "POST", BASE "/next-day", "{}", NULL, &a), 200);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "stories")), 5);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", BASE, NULL, NULL, &a), 200);
    double sum = 0;
    const json_t *customers = json_object_get(a.json, "customers");
    for (size_t i = 0; i < json_array_size(customers); i++)
        sum += num(json_array_get(customers, i), "clv");
    ck_assert_double_eq(num(a.json, "clv_total"), sum);
    ck_assert_double_eq(num(json_object_get(a.json, "clv_totals"), "NGN"), sum);
    ck_assert_str_eq(str(a.json, "currency"), "NGN");
    ck_assert_double_gt(sum, 0);
    const json_t *sam = json_array_get(customers, 0); /* 250,000 a month, margin 0.55 */
    double r = .5 + .49 * num(sam, "engagement_score") / 100;
    ck_assert_msg(fabs(num(sam, "clv") - 250000 * .55 * r / (1.01 - r)) <= 1, "clv %g", num(sam, "clv"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", BASE "/stories?day=1", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "stories")), 5);
    ck_assert(json_is_array(json_object_get(card(a.json, "Onboarding_Sam", 1), "forbidden")));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", BASE "/stories?persona=Onboarding_Sam", NULL, NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "GET", BASE "/stories?persona=Nobody", NULL, NULL, &a), 404);
    ck_assert_str_eq(str(a.json, "field"), "persona");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", BASE "/memory", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_object_size(a.json), 5);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", BASE "/metrics", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "days")), 1);
    ck_assert_uint_eq(json_object_size(json_object_get(a.json, "score")), 5);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", BASE "/reset", "{}", NULL, &a), 200);
    ck_assert_double_eq(num(a.json, "day"), 0);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* ---- configuration ---- */

START_TEST(parameters_come_from_the_configuration)
{
    struct flow *f = home();
    flow_config(f, "lifecycle",
                json_pack("{s:s, s:s, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:s, s:i}", "provider", "rules", "model",
                          "gpt-4o-mini", "temperature", .7, "explore_rate", 1.0, "noise", 0, "seed", 5, "churn_score",
                          10, "churn_inactive_days", 30, "forbidden_ttl_days", 0, "personas_file",
                          "data/lifecycle/mine.json", "llm_timeout_seconds", 30));
    flow_write(
        f, "data/lifecycle/mine.json",
        "[{\"persona_key\": \"New_Ada\", \"display_name\": \"Ada\", \"segment\": \"New\", \"engagement_score\": 50, "
        "\"sensitivities\": {\"SEND_SURVEY\": 3.5}},\n {\"persona_key\": \"New_Bob\", \"display_name\": \"Bob\", "
        "\"segment\": \"New\", \"engagement_score\": 500}]");
    flow_start(f);
    json_t *state = RUN(f, 0, "lifecycle", "status");
    ck_assert_uint_eq(json_array_size(json_object_get(state, "customers")), 1);
    const char *problem = json_string_value(json_array_get(json_object_get(state, "problems"), 0));
    ck_assert_msg(problem && strstr(problem, "personas[1].engagement_score: must be a number from 0 to 100"), "%s",
                  problem);
    json_decref(state);
    json_t *day = RUN(f, 0, "lifecycle", "run", "--days", "1", "--force", "New_Ada=SEND_SURVEY");
    ck_assert_double_eq(num(card(day, "New_Ada", 1), "impact"), 3.5); /* no noise */
    json_decref(day);
    day = RUN(f, 0, "lifecycle", "next-day");
    ck_assert_str_eq(str(card(day, "New_Ada", 2), "source"), "explore"); /* always */
    json_decref(day);
    json_t *shown = RUN(f, 0, "config", "show", "lifecycle");
    ck_assert_double_eq(num(shown, "seed"), 5);
    json_decref(shown);
    flow_config(f, "lifecycle.explore_rate", json_integer(0));
    flow_end(f);
}
END_TEST

START_TEST(a_changed_section_takes_effect_at_a_reload)
{
    struct flow *f = home();
    flow_config(f, "lifecycle.explore_rate", json_integer(0));
    flow_start(f);
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "3"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE source = 'explore'"), 0);
    flow_write(f, "config/cvmhost.json", "{\"plugins\": {\"inline\": [\"*\"]}, \"lifecycle\": {\"explore_rate\": 1}}");
    EXPECT(f, 0, "other settings", "reload");
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE source = 'explore'"), 5);
    flow_end(f);
}
END_TEST

START_TEST(a_setting_out_of_bounds_is_named)
{
    static const char *const wrong[][2] = {
        {"explore_rate", "7"}, {"noise", "\"x\""}, {"churn_score", "-5"}, {"seed", "-1"}, {"policy", "\"dance\""}};
    struct flow *f = started();
    json_decref(RUN(f, 0, "lifecycle", "next-day"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[200], said[64];
        snprintf(text, sizeof text, "{\"plugins\": {\"inline\": [\"*\"]}, \"lifecycle\": {\"%s\": %s}}", wrong[i][0],
                 wrong[i][1]);
        snprintf(said, sizeof said, "lifecycle.%s: must be", wrong[i][0]);
        flow_write(f, "config/cvmhost.json", text);
        EXPECT(f, 3, said, "reload");
    }
    json_t *day = RUN(f, 0, "lifecycle", "next-day");
    ck_assert_double_eq(num(day, "day"), 2);
    json_decref(day);
    flow_end(f);
}
END_TEST

START_TEST(other_policies_choose_too)
{
    static const char *const policies[] = {"thompson", "random"};
    struct flow *f = home();
    flow_config(f, "lifecycle.policy", json_string(policies[_i]));
    flow_start(f);
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "30", "--seed", "4"));
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM lifecycle_history WHERE policy = '%s' AND probability < 1",
             policies[_i]);
    ck_assert_int_gt(flow_sql_int(f, sql), 50);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *days = tcase_create("days"), *models = tcase_create("models"), *again = tcase_create("again"),
          *seen = tcase_create("seen");
    TCase *all[] = {days, models, again, seen, NULL};
    for (size_t i = 0; all[i]; i++)
        tcase_set_timeout(all[i], 90);
    tcase_add_test(days, five_personas_are_ready);
    tcase_add_test(days, observing_is_deterministic);
    tcase_add_test(days, a_day_changes_scores_by_the_impact);
    tcase_add_test(days, what_failed_is_not_done_again);
    tcase_add_test(days, whoever_churns_is_left_alone);
    tcase_add_test(days, nine_actions_and_a_new_one_the_next_day);
    tcase_add_test(days, nothing_is_sent);
    tcase_add_test(models, a_model_decides_with_its_reason);
    tcase_add_test(models, a_failing_model_is_stood_in_for);
    tcase_add_test(models, without_a_key_rules_decide);
    tcase_add_test(again, the_same_seed_gives_the_same_bytes);
    tcase_add_test(again, a_run_survives_kills_and_ends_with_the_same_bytes);
    tcase_add_test(again, memory_survives_a_restart);
    tcase_add_test(seen, verify_passes_and_fails);
    tcase_add_test(seen, exports_are_tables_and_json);
    tcase_add_test(seen, only_the_command_writes_files);
    tcase_add_test(seen, the_form_of_a_file_is_that_of_its_name);
    tcase_add_test(seen, value_is_told_by_currency);
    tcase_add_test(seen, http_tells_the_same);
    tcase_add_test(seen, parameters_come_from_the_configuration);
    tcase_add_test(seen, a_changed_section_takes_effect_at_a_reload);
    tcase_add_test(seen, a_setting_out_of_bounds_is_named);
    tcase_add_loop_test(seen, other_policies_choose_too, 0, 2);
    return flow_main("lifecycle", all);
}
