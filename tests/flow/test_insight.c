/* Segments, effects and experiments on a real host, over the sample base and treatments that were really applied. */
#include "flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREATMENT "network_signal_booster" /* needs no permission */

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int64_t num(const json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

static json_t *run(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: %d, wanted %d: %s%s", words[0], words[1], got, status, a.text, a.errors);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

#define RUN(f, status, ...) run(f, status, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

/* Takes `agents`, their settings, which may be NULL. */
static struct flow *started_with(json_t *agents)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_plugin(f, "decision");
    flow_plugin(f, "treatments");
    flow_plugin(f, "triggers");
    flow_plugin(f, "insight");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    if (agents)
        json_object_set_new(f->config, "agents", agents);
    flow_start(f);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE churn_score IS NOT NULL") > 100);
    return f;
}

static struct flow *started(void)
{
    return started_with(NULL);
}

static const json_t *named(const json_t *list, const char *member, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(str(json_array_get(list, i), member), value) == 0)
            return json_array_get(list, i);
    return NULL;
}

/* ---- segments ---- */

START_TEST(every_customer_has_a_segment)
{
    struct flow *f = started();
    const json_t *one;
    double share = 0;
    size_t i;
    int64_t base = flow_sql_int(f, "SELECT count(*) FROM cvm_customers"), n = 0;
    json_decref(RUN(f, 4, "segment", "show", "U124")); /* none yet */
    json_t *r = RUN(f, 0, "segment", "run");
    ck_assert_str_eq(str(r, "scheme"), "rules");
    ck_assert_int_eq(num(r, "customers"), base);
    json_decref(r);
    r = RUN(f, 0, "segment", "list");
    json_array_foreach(json_object_get(r, "segments"), i, one)
    {
        share += json_number_value(json_object_get(one, "share"));
        n += num(one, "customers");
    }
    ck_assert_msg(n == base && fabs(share - 1) < .01, "%lld of %lld", (long long)n, (long long)base);
    ck_assert_int_gt(json_array_size(json_object_get(r, "segments")), 6);
    one = json_array_get(json_object_get(r, "segments"), 0);
    EXPECT(f, 0, str(one, "name"), "segment", "list");
    json_t *shown = RUN(f, 0, "segment", "show", str(one, "name"));
    ck_assert_int_eq(num(shown, "customers"), num(one, "customers"));
    json_decref(shown);
    json_decref(r);
    r = RUN(f, 0, "segment", "show", "U124");
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM cvm_segments WHERE customer_id = 'U124' AND segment = '%s'",
             str(r, "segment"));
    ck_assert_int_eq(flow_sql_int(f, sql), 1);
    json_decref(r);
    r = RUN(f, 0, "segment", "run", "--scheme", "kmeans", "--k", "4");
    ck_assert_int_eq(num(r, "k"), 4);
    json_decref(r);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_segments WHERE scheme = 'kmeans'"), base);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_segments"), base);
    json_decref(RUN(f, 2, "segment", "run", "--scheme", "astrology"));
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/segments", NULL, NULL, &a), 200);
    ck_assert_str_eq(str(a.json, "scheme"), "kmeans");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers/U124/segment", NULL, NULL, &a), 200);
    ck_assert_str_eq(str(a.json, "customer_id"), "U124");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/segments/nobody", NULL, NULL, NULL), 404);
    flow_end(f);
}
END_TEST

/* ---- effects ---- */

static void apply(struct flow *f, const char *customer)
{
    char data[200];
    snprintf(data, sizeof data, "{\"customer_id\": \"%s\", \"treatment_id\": \"%s\"}", customer, TREATMENT);
    json_t *r = flow_call(f, "cvm.orchestrator", "process_customer_with_treatment", data, NULL);
    ck_assert_msg(r && strcmp(str(r, "status"), "success") == 0, "%s: %s", customer, str(r, "explanation"));
    json_decref(r);
}

START_TEST(outcomes_of_applied_treatments_are_reported)
{
    static const char *const customers[] = {"U123", "U124", "U125", "U126"};
    struct flow *f = started();
    for (size_t i = 0; i < 4; i++)
        apply(f, customers[i]);
    for (int twice = 0; twice < 2; twice++)
        json_decref(RUN(f, 0, "evaluation", "record", "U124", TREATMENT, "converted", "--value-pounds", "240.5"));
    json_decref(RUN(f, 0, "evaluation", "record", "U125", TREATMENT, "responded"));
    json_decref(RUN(f, 5, "evaluation", "record", "U124", "no_such_treatment", "converted"));
    EXPECT(f, 2, "outcome", "evaluation", "record", "U124", TREATMENT, "delighted");
    json_t *r = RUN(f, 0, "evaluation", "report");
    const json_t *one = named(json_object_get(r, "treatments"), "treatment_id", TREATMENT);
    ck_assert_int_eq(num(one, "applied"), 4);
    ck_assert_int_eq(num(one, "responded"), 2);
    ck_assert_int_eq(num(one, "converted"), 1);
    ck_assert(json_number_value(json_object_get(one, "value_pounds")) == 240.5);
    ck_assert(json_number_value(json_object_get(one, "cost_pounds")) == 100);
    ck_assert_str_eq(str(one, "verdict"), "not enough data");
    ck_assert_int_gt(num(one, "more_needed"), 100);
    json_decref(r);
    EXPECT(f, 0, "treatment_id,applied,responded,converted", "evaluation", "report", "--output", "csv");
    EXPECT(f, 0, "not enough data", "evaluation", "report", "--treatment", TREATMENT, "--from", "2020-01-01");
    EXPECT(f, 0, "not enough data", "evaluation", "report", "--to", "2020-01-01");
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/evaluation/outcomes",
                               "{\"customer_id\": \"U126\", \"treatment_id\": \"" TREATMENT
                               "\", \"outcome\": \"complained\"}",
                               NULL, NULL),
                     201);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/evaluation/" TREATMENT, NULL, NULL, &a), 200);
    ck_assert_int_eq(num(a.json, "complained"), 1);
    flow_answer_free(&a);
    flow_kill(f, 9); /* what was recorded stays */
    flow_wait_serving(f);
    r = RUN(f, 0, "evaluation", "show", TREATMENT);
    ck_assert_int_eq(num(r, "converted"), 1);
    json_decref(r);
    flow_end(f);
}
END_TEST

START_TEST(control_group_is_kept)
{
    struct flow *f = started();
    int control = 0;
    for (int i = 0; i < 60; i++) {
        char data[200];
        snprintf(data, sizeof data, "{\"customer_id\": \"U%03d\", \"campaign\": \"spring\", \"treatment_id\": \"%s\"}",
                 100 + i, TREATMENT);
        json_t *r = flow_call(f, "cvm.evaluation", "assign", data, NULL);
        control += strcmp(str(r, "group"), "control") == 0;
        json_decref(r);
        r = flow_call(f, "cvm.evaluation", "assign", data, NULL);
        ck_assert_str_ne(str(r, "group"), "");
        json_decref(r);
    }
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_groups"), 60);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_groups WHERE side = 'control'"), control);
    json_t *r = RUN(f, 0, "evaluation", "show", TREATMENT);
    ck_assert_int_eq(num(r, "control"), control);
    json_decref(r);
    flow_end(f);
}
END_TEST

/* Of those a trigger finds the control group is left without, keeps no unit and is what the treatment is held against;
 * whom a person names is treated. */
START_TEST(triggered_customers_leave_a_control_group)
{
    struct flow *f = started_with(json_pack("{s:{s:{s:i}}, s:{s:{s:{}}}}", "cvm.evaluation", "settings",
                                            "control_percent", 50, "cvm.allocation", "settings", "contact_policy"));
    const json_t *one;
    size_t i;
    char withheld[64] = "";
    int64_t control = 0, treated = 0;
    json_t *r = RUN(f, 0, "trigger", "apply", "network_issues", "--all-customers", "--treatment", TREATMENT);
    json_array_foreach(json_object_get(r, "results"), i, one)
    {
        bool left = strcmp(str(one, "application"), "control") == 0;
        bool allocated = json_is_true(json_object_get(one, "allocated"));
        control += left;
        treated += allocated;
        ck_assert(!left || !allocated);
        if (left) {
            ck_assert_str_eq(str(one, "selected_treatment"), "ignore");
            snprintf(withheld, sizeof withheld, "%s", str(one, "customer_id"));
        }
    }
    ck_assert_int_eq(num(r, "control"), control);
    ck_assert_msg(control > 0 && treated > 0, "%lld, %lld", (long long)control, (long long)treated);
    json_decref(r);
    ck_assert_int_eq(
        flow_sql_int(f, "SELECT count(*) FROM cvm_applications WHERE status = 'control' AND cost_pounds = 0"), control);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_applications WHERE status != 'control'"), treated);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_allocations WHERE outcome = 'released'"), control);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_allocations WHERE outcome = 'allocated'"),
                     control + treated);
    json_decref(RUN(f, 0, "evaluation", "record", withheld, TREATMENT, "converted"));
    r = RUN(f, 0, "evaluation", "report");
    one = named(json_object_get(r, "treatments"), "treatment_id", TREATMENT);
    ck_assert_int_eq(num(one, "applied"), treated);
    ck_assert_int_eq(num(one, "control"), control);
    ck_assert_int_eq(num(one, "control_treated"), 0);
    double uplift = json_number_value(json_object_get(one, "uplift_vs_control"));
    ck_assert_msg(fabs(uplift + 1.0 / (double)control) < .001, "%f", uplift);
    json_decref(r);
    int64_t groups = flow_sql_int(f, "SELECT count(*) FROM cvm_groups");
    ck_assert_int_eq(groups, control + treated);
    json_decref(RUN(f, 0, "allocation", "reset", TREATMENT));
    apply(f, withheld);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_groups"), groups);
    flow_end(f);
}
END_TEST

/* ---- experiments ---- */

START_TEST(experiment_from_creation_to_report)
{
    struct flow *f = started();
    json_t *r =
        RUN(f, 0, "experiment", "create", "spring-call", "--variants", "control=1,call=1", "--population", "all");
    ck_assert_str_eq(str(r, "status"), "draft");
    json_decref(r);
    EXPECT(f, 5, "EXISTS", "experiment", "create", "spring-call", "--variants", "a,b");
    EXPECT(f, 5, "variants: \"b=many\"", "experiment", "create", "other", "--variants", "a,b=many");
    EXPECT(f, 5, "variants: \"a=0\": a variant is NAME or NAME=WEIGHT with a weight above 0", "experiment", "create",
           "other", "--variants", "a=0,b=1");
    EXPECT(f, 5, "settings.c: there is no such variant; there are a, b", "experiment", "create", "other", "--variants",
           "a,b", "--settings", "{\"c\": {\"prompt\": \"x\"}}");
    json_decref(RUN(f, 0, "experiment", "start", "spring-call"));
    r = RUN(f, 0, "experiment", "assign", "spring-call", "U124");
    char first[40];
    snprintf(first, sizeof first, "%s", str(r, "variant"));
    ck_assert(strcmp(first, "call") == 0 || strcmp(first, "control") == 0);
    json_decref(r);
    flow_kill(f, 9);
    flow_wait_serving(f);
    r = RUN(f, 0, "experiment", "assign", "spring-call", "U124");
    ck_assert_str_eq(str(r, "variant"), first);
    json_decref(r);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_exposures"), 1);
    apply(f, "U124");
    json_decref(RUN(f, 0, "evaluation", "record", "U124", TREATMENT, "converted"));
    r = RUN(f, 0, "experiment", "report", "spring-call", "--score", "upsell_score");
    ck_assert_int_eq(num(r, "customers"), flow_sql_int(f, "SELECT count(*) FROM cvm_customers"));
    EXPECT(f, 4, "variant: \"nope\" is no variant of this experiment; there are call", "experiment", "report",
           "spring-call", "--score", "upsell_score", "--variant", "nope");
    EXPECT(f, 4, "there are call", "experiment", "report", "spring-call", "--variant", "nope");
    EXPECT(f, 5, "the one that the others are compared with", "experiment", "report", "spring-call", "--score",
           "upsell_score", "--variant", "control");
    EXPECT(f, 5, "give score too", "experiment", "report", "spring-call", "--variant", "call");
    const json_t *mine = named(json_object_get(r, "variants"), "variant", first);
    ck_assert_int_eq(num(mine, "events"), 1);
    ck_assert(json_is_true(json_object_get(json_object_get(r, "sample_ratio"), "ok")));
    const json_t *c = json_array_get(json_object_get(r, "comparisons"), 0);
    ck_assert_str_eq(str(c, "verdict"), "not enough data");
    ck_assert_str_eq(str(c, "test"), "Fisher's exact test");
    ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(r, "qini"), "curve")), 11);
    json_decref(r);
    json_decref(RUN(f, 0, "experiment", "stop", "spring-call"));
    EXPECT(f, 0, "stopped", "experiment", "list");
    EXPECT(f, 0, "spring-call", "experiment", "list", "--output", "csv");
    EXPECT(f, 4, "no experiment", "experiment", "show", "none");
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/experiments/spring-call/start", "{}", NULL, NULL), 409);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/experiments/none/report", NULL, NULL, NULL), 404);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/experiments/spring-call/report", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *s = tcase_create("segments"), *e = tcase_create("effects"), *x = tcase_create("experiments");
    tcase_set_timeout(s, 60);
    tcase_set_timeout(e, 60);
    tcase_set_timeout(x, 60);
    tcase_add_test(s, every_customer_has_a_segment);
    tcase_add_test(e, outcomes_of_applied_treatments_are_reported);
    tcase_add_test(e, control_group_is_kept);
    tcase_add_test(e, triggered_customers_leave_a_control_group);
    tcase_add_test(x, experiment_from_creation_to_report);
    return flow_main("insight", (TCase *[]){s, e, x, NULL});
}
