/* The agents of segments, effects and experiments over rows that the test gives, turn by turn. */
#include "../../plugins/cvm/insight/insight.h"

#include <check.h>
#include <cvm/harness.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TREATMENT "retention_call"

static struct harness *started(void)
{
    struct harness *h = harness_new(0);
    harness_add(h, &cvm_plugin, INSIGHT_MANIFEST);
    harness_stub(h, TREATMENTS, "get", CVM_REPLIED, json_pack("{s:s}", "id", TREATMENT));
    return h;
}

static double real(const json_t *o, const char *name)
{
    ck_assert_msg(json_is_number(json_object_get(o, name)), "%s is no number", name);
    return json_number_value(json_object_get(o, name));
}

static const json_t *named(const json_t *list, const char *member, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(cvm_json_str(json_array_get(list, i), member, ""), value) == 0)
            return json_array_get(list, i);
    ck_abort_msg("no %s %s", member, value);
    return NULL;
}

/* ---- segments ---- */

/* Eight customers, spending 10 to 80 pounds; the last two tell nothing of usage and risk. */
static json_t *customers(void)
{
    json_t *rows = json_array();
    for (int i = 1; i <= 8; i++) {
        char id[8];
        snprintf(id, sizeof id, "U%d", i);
        json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:f}", "customer_id", id, "currency", "GBP", "monthly_spend",
                                i * 1000, "tenure_months", i, "upsell_score", i / 10.0);
        if (i <= 6) {
            json_object_set_new(row, "usage_change_pct", json_real(i % 2 ? 20 : -20));
            json_object_set_new(row, "churn_score", json_real(i > 4 ? .8 : .1));
        }
        json_array_append_new(rows, row);
    }
    json_array_append_new(rows, json_pack("{s:s}", "customer_id", "U9")); /* of whom nothing is known */
    return rows;
}

START_TEST(rules_put_everybody_somewhere)
{
    struct harness *h = started();
    const json_t *r, *one;
    double share = 0;
    int64_t n = 0;
    size_t i;
    harness_fill(h, "cvm_customers", "customer_id", customers());
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "list_segments", NULL, &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "segments")), 0);
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", NULL, &r), CVM_REPLIED);
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "list_segments", NULL, &r), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "customers", 0), 9);
    json_array_foreach(json_object_get(r, "segments"), i, one)
    {
        share += real(one, "share");
        n += cvm_json_int(one, "customers", 0);
    }
    ck_assert(fabs(share - 1) < .001 && n == 9);
    one = named(json_object_get(r, "segments"), "segment", "basic.growing.low");
    ck_assert_str_eq(cvm_json_str(one, "name", ""), "Basic, growing, low risk");
    ck_assert(real(one, "mean_spend_pounds") == 10 && real(one, "mean_churn") == .1);
    one = named(json_object_get(r, "segments"), "segment", "premium.unknown.unknown");
    ck_assert(json_is_null(json_object_get(one, "mean_churn")) && cvm_json_int(one, "churn_known", -1) == 0);
    one = named(json_object_get(r, "segments"), "segment", "unknown.unknown.unknown");
    ck_assert(json_is_null(json_object_get(one, "mean_spend_pounds")));
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "get_segment", json_pack("{s:s}", "customer_id", "U6"), &r),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "segment", ""), "solid.fading.high");
    ck_assert_str_eq(cvm_json_str(r, "risk_band", ""), "high");
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "show_segment", json_pack("{s:s}", "subject", "U6"), &r),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "customer_id", ""), "U6");
    ck_assert_int_eq(
        harness_ask(h, SEGMENTATION, "show_segment", json_pack("{s:s}", "subject", "basic, growing, LOW risk"), &r),
        CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "customers", 0), 1);
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "show_segment", json_pack("{s:s}", "subject", "nobody"), &r),
                     CVM_REFUSED);
    harness_free(h);
}
END_TEST

START_TEST(churn_model_fills_in)
{
    struct harness *h = started();
    const json_t *r;
    harness_fill(h, "cvm_customers", "customer_id", customers());
    harness_fill(
        h, "cvm_churn_scores", "customer_id",
        json_pack("[{s:s, s:f}, {s:s, s:f}]", "customer_id", "U8", "chance", .75, "customer_id", "U1", "chance", .75));
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", NULL, &r), CVM_REPLIED);
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "get_segment", json_pack("{s:s}", "customer_id", "U8"), &r),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "risk_band", ""), "high");
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "get_segment", json_pack("{s:s}", "customer_id", "U1"), &r),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "risk_band", ""), "low"); /* the base knows better */
    harness_free(h);
}
END_TEST

/* A customer who left is in no segment any more; nobody is in two. */
START_TEST(later_run_replaces_the_earlier)
{
    struct harness *h = started();
    const json_t *r;
    harness_fill(h, "cvm_customers", "customer_id", customers());
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", NULL, &r), CVM_REPLIED);
    ck_assert_uint_eq(json_object_size(harness_rows(h, "cvm_segments")), 9);
    json_t *fewer = customers();
    json_array_remove(fewer, 2);
    harness_fill(h, "cvm_customers", "customer_id", fewer);
    ck_assert_int_eq(
        harness_ask(h, SEGMENTATION, "assign_segments", json_pack("{s:s, s:i}", "scheme", "kmeans", "k", 3), &r),
        CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "k", 0), 3);
    ck_assert_uint_eq(json_object_size(harness_rows(h, "cvm_segments")), 8);
    const char *name;
    json_t *row;
    json_object_foreach((json_t *)(uintptr_t)harness_rows(h, "cvm_segments"), name, row)
        ck_assert_str_eq(cvm_json_str(row, "scheme", ""), "kmeans");
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "get_segment", json_pack("{s:s}", "customer_id", "U9"), &r),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "segment", ""), "unknown");
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", json_pack("{s:i}", "k", 3), &r), CVM_REFUSED);
    harness_free(h);
}
END_TEST

START_TEST(without_customers_says_so)
{
    struct harness *h = started();
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", NULL, &r), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(r, "code", ""), "NO_CUSTOMERS");
    harness_fill(h, "cvm_customers", "customer_id", json_array());
    ck_assert_int_eq(harness_ask(h, SEGMENTATION, "assign_segments", NULL, &r), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(r, "code", ""), "NO_CUSTOMERS");
    harness_free(h);
}
END_TEST

/* ---- evaluation ---- */

static int record(struct harness *h, const char *customer, const char *treatment, const char *outcome, double value,
                  const json_t **ret)
{
    return harness_ask(h, EVALUATION, "record_outcome",
                       json_pack("{s:s, s:s, s:s, s:f}", "customer_id", customer, "treatment_id", treatment, "outcome",
                                 outcome, "value_pounds", value),
                       ret);
}

/* U0 to U(n-1), applied at the harness's time. */
static json_t *applications(int n)
{
    json_t *rows = json_array();
    for (int i = 0; i < n; i++) {
        char id[16], customer[16];
        snprintf(id, sizeof id, "APP-%d", i);
        snprintf(customer, sizeof customer, "U%d", i);
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:f}", "application_id", id, "customer_id",
                                              customer, "treatment_id", TREATMENT, "at", "2026-01-01T00:00:00.000Z",
                                              "status", i % 2 ? "simulated" : "sent", "cost_pounds", 8.0));
    }
    return rows;
}

static const json_t *evaluate(struct harness *h)
{
    const json_t *r;
    ck_assert_int_eq(
        harness_ask(h, EVALUATION, "evaluate_treatment", json_pack("{s:s}", "treatment_id", TREATMENT), &r),
        CVM_REPLIED);
    return r;
}

START_TEST(outcomes_count_once)
{
    struct harness *h = started();
    const json_t *r;
    harness_fill(h, "cvm_applications", "application_id", applications(10));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(record(h, "U1", TREATMENT, "converted", 120, &r), CVM_REPLIED);
    ck_assert_int_eq(record(h, "U2", TREATMENT, "responded", 0, &r), CVM_REPLIED);
    ck_assert_int_eq(record(h, "U3", TREATMENT, "churned", 0, &r), CVM_REPLIED);
    ck_assert_int_eq(record(h, "X9", TREATMENT, "converted", 50, &r), CVM_REPLIED); /* was never treated */
    r = evaluate(h);
    ck_assert_int_eq(cvm_json_int(r, "applied", 0), 10);
    ck_assert_int_eq(cvm_json_int(r, "simulated", 0), 5);
    ck_assert_int_eq(cvm_json_int(r, "responded", 0), 2);
    ck_assert_int_eq(cvm_json_int(r, "converted", 0), 1);
    ck_assert_int_eq(cvm_json_int(r, "churned", 0), 1);
    ck_assert_int_eq(cvm_json_int(r, "unmatched_outcomes", 0), 1);
    ck_assert(real(r, "conversion_rate") == .1 && real(r, "response_rate") == .2);
    ck_assert(real(r, "cost_pounds") == 80 && real(r, "value_pounds") == 120 && real(r, "return_on_spend") == 1.5);
    ck_assert(json_is_null(json_object_get(r, "uplift_vs_control")));
    ck_assert_str_eq(cvm_json_str(r, "verdict", ""), "not enough data");
    harness_free(h);
}
END_TEST

START_TEST(unknown_treatments_and_outcomes_are_refused)
{
    struct harness *h = started();
    const json_t *r;
    ck_assert_int_eq(record(h, "U1", TREATMENT, "delighted", 0, &r), CVM_REFUSED);
    harness_stub(h, TREATMENTS, "get", CVM_REFUSED, json_pack("{s:s}", "code", "NOT_FOUND"));
    ck_assert_int_eq(record(h, "U1", "free_lunch", "converted", 0, &r), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(r, "code", ""), "UNKNOWN_TREATMENT");
    ck_assert_ptr_null(harness_rows(h, "cvm_outcomes"));
    harness_fill(h, "cvm_applications", "application_id",
                 applications(2)); /* one that was removed after it was applied */
    ck_assert_int_eq(record(h, "U1", TREATMENT, "converted", 0, &r), CVM_REPLIED);
    ck_assert_int_eq(harness_ask(h, EVALUATION, "report", json_pack("{s:s}", "from", "yesterday"), &r), CVM_REFUSED);
    harness_free(h);
}
END_TEST

START_TEST(control_group_is_a_twentieth_and_stays)
{
    enum { N = 2000 };
    struct harness *h = started();
    const json_t *r;
    int control = 0;
    for (int i = 0; i < N; i++) {
        char customer[16];
        snprintf(customer, sizeof customer, "U%d", i);
        ck_assert_int_eq(harness_ask(h, EVALUATION, "assign",
                                     json_pack("{s:s, s:s, s:s}", "customer_id", customer, "campaign", "spring",
                                               "treatment_id", TREATMENT),
                                     &r),
                         CVM_REPLIED);
        bool is_control = strcmp(cvm_json_str(r, "group", ""), "control") == 0;
        control += is_control;
        if (i % 100 == 0) {
            json_object_set_new(harness_settings(h, EVALUATION), "control_percent", json_integer(is_control ? 0 : 100));
            ck_assert_int_eq(harness_ask(h, EVALUATION, "assign",
                                         json_pack("{s:s, s:s}", "customer_id", customer, "campaign", "spring"), &r),
                             CVM_REPLIED);
            ck_assert_int_eq(strcmp(cvm_json_str(r, "group", ""), "control") == 0, is_control);
        }
    }
    ck_assert_msg(control > N * .03 && control < N * .07, "%d of %d", control, N);
    harness_free(h);
}
END_TEST

/* 900 treated of whom 270 convert, 300 left without of whom 30 do. */
START_TEST(uplift_is_told_by_the_control_group)
{
    struct harness *h = started();
    json_t *groups = json_array(), *outcomes = json_array();
    for (int i = 0; i < 1200; i++) {
        char customer[16];
        snprintf(customer, sizeof customer, "U%d", i);
        bool control = i >= 900, converted = control ? i < 930 : i < 270;
        json_array_append_new(groups, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "group_id", customer, "campaign", "c",
                                                "customer_id", customer, "treatment_id", TREATMENT, "side",
                                                control ? "control" : "treated", "at", "2026-01-01T00:00:00Z"));
        if (converted)
            json_array_append_new(outcomes, json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s}", "outcome_id", customer,
                                                      "customer_id", customer, "treatment_id", TREATMENT,
                                                      "application_id", "", "outcome", "converted", "value_pounds",
                                                      100.0, "at", "2026-01-02T00:00:00Z"));
    }
    harness_fill(h, "cvm_applications", "application_id", applications(900));
    harness_fill(h, "cvm_groups", "group_id", groups);
    harness_fill(h, "cvm_outcomes", "outcome_id", outcomes);
    const json_t *r = evaluate(h);
    ck_assert_int_eq(cvm_json_int(r, "applied", 0), 900);
    ck_assert_int_eq(cvm_json_int(r, "control", 0), 300);
    ck_assert(fabs(real(r, "uplift_vs_control") - .2) < 1e-9);
    ck_assert(real(r, "uplift_low") > .14 && real(r, "uplift_high") < .26);
    ck_assert(fabs(real(r, "value_uplift_pounds") - 20) < 1e-9);
    ck_assert_str_eq(cvm_json_str(r, "verdict", ""), "raises");
    ck_assert_int_eq(harness_ask(h, EVALUATION, "report", json_pack("{s:s}", "to", "2025-12-31"), &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "treatments")), 0);
    ck_assert_int_eq(harness_ask(h, EVALUATION, "report", NULL, &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "treatments")), 1);
    harness_free(h);
}
END_TEST

/* ---- experiments ---- */

static int ask_of(struct harness *h, const char *type, const char *id, const char *customer, const json_t **ret)
{
    json_t *data = json_pack("{s:s}", "experiment_id", id);
    if (customer)
        json_object_set_new(data, "customer_id", json_string(customer));
    return harness_ask(h, EXPERIMENTS, type, data, ret);
}

static void create(struct harness *h, json_t *data)
{
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, EXPERIMENTS, "create", data, &r), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "status", ""), "draft");
}

START_TEST(experiment_goes_its_way)
{
    struct harness *h = started();
    const json_t *r;
    create(h, json_pack("{s:s, s:[s,s], s:{s:{s:s}}}", "id", "spring", "variants", "control=1", "call=3", "settings",
                        "call", "model", "b"));
    ck_assert_int_eq(
        harness_ask(h, EXPERIMENTS, "create", json_pack("{s:s, s:[s,s]}", "id", "spring", "variants", "a", "b"), &r),
        CVM_REFUSED);
    ck_assert_int_eq(
        harness_ask(h, EXPERIMENTS, "create", json_pack("{s:s, s:[s,s]}", "id", "bad", "variants", "a", "b=x"), &r),
        CVM_REFUSED);
    ck_assert_int_eq(
        harness_ask(h, EXPERIMENTS, "create", json_pack("{s:s, s:[s,s]}", "id", "bad", "variants", "a", "a=2"), &r),
        CVM_REFUSED);
    ck_assert_int_eq(ask_of(h, "assign", "spring", "U1", &r), CVM_REPLIED);
    ck_assert(json_is_null(json_object_get(r, "variant"))); /* does not run yet */
    ck_assert_int_eq(ask_of(h, "stop_experiment", "spring", NULL, &r), CVM_REFUSED);
    ck_assert_int_eq(ask_of(h, "start_experiment", "spring", NULL, &r), CVM_REPLIED);
    ck_assert_int_eq(ask_of(h, "start_experiment", "spring", NULL, &r), CVM_REFUSED);
    int calls = 0;
    for (int i = 0; i < 400; i++) {
        char customer[16], variant[16];
        snprintf(customer, sizeof customer, "U%d", i);
        ck_assert_int_eq(ask_of(h, "assign", "spring", customer, &r), CVM_REPLIED);
        snprintf(variant, sizeof variant, "%s", cvm_json_str(r, "variant", ""));
        ck_assert_int_eq(strcmp(variant, "call") == 0, json_object_get(r, "settings") != NULL);
        calls += strcmp(variant, "call") == 0;
        ck_assert_int_eq(ask_of(h, "assign", "spring", customer, &r), CVM_REPLIED);
        ck_assert_str_eq(cvm_json_str(r, "variant", ""), variant);
    }
    ck_assert_msg(calls > 260 && calls < 340, "%d of 400", calls);
    ck_assert_int_eq(ask_of(h, "stop_experiment", "spring", NULL, &r), CVM_REPLIED);
    ck_assert_int_eq(ask_of(h, "assign", "spring", "U9999", &r), CVM_REPLIED);
    ck_assert(json_is_null(json_object_get(r, "variant")));
    ck_assert_int_eq(ask_of(h, "start_experiment", "spring", NULL, &r), CVM_REFUSED);
    ck_assert_int_eq(harness_ask(h, EXPERIMENTS, "list", json_pack("{s:s}", "status", "stopped"), &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "experiments")), 1);
    ck_assert_int_eq(ask_of(h, "get", "none", NULL, &r), CVM_REFUSED);
    harness_free(h);
}
END_TEST

START_TEST(experiment_report_reads_outcomes_and_scores)
{
    struct harness *h = started();
    const json_t *r;
    json_t *base = json_array(), *outcomes = json_array();
    create(h, json_pack("{s:s, s:[s,s], s:s, s:s}", "id", "whole", "variants", "control", "call", "population", "all",
                        "metric", "converted"));
    ck_assert_int_eq(ask_of(h, "report", "whole", NULL, &r), CVM_REPLIED); /* nobody is in it yet */
    ck_assert_int_eq(cvm_json_int(r, "customers", -1), 0);
    ck_assert_int_eq(ask_of(h, "start_experiment", "whole", NULL, &r), CVM_REPLIED);
    for (int i = 0; i < 4000; i++) {
        char customer[16];
        snprintf(customer, sizeof customer, "U%d", i);
        json_array_append_new(base, json_pack("{s:s, s:f}", "customer_id", customer, "upsell_score", i % 100 / 100.0));
    }
    harness_fill(h, "cvm_customers", "customer_id", base);
    for (int i = 0; i < 4000; i++) {
        char customer[16];
        snprintf(customer, sizeof customer, "U%d", i);
        ck_assert_int_eq(i % 40 ? CVM_REPLIED : ask_of(h, "assign", "whole", customer, &r), CVM_REPLIED);
        if (i % 10 == 0 || i % 100 >= 90) /* those of a high score convert whoever they are; here only ids count */
            json_array_append_new(outcomes,
                                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s}", "outcome_id", customer,
                                            "customer_id", customer, "treatment_id", TREATMENT, "application_id", "",
                                            "outcome", "converted", "value_pounds", 1.0, "at", "2026-01-02T00:00:00Z"));
    }
    harness_fill(h, "cvm_outcomes", "outcome_id", outcomes);
    ck_assert_int_eq(harness_ask(h, EXPERIMENTS, "report",
                                 json_pack("{s:s, s:s}", "experiment_id", "whole", "score", "upsell_score"), &r),
                     CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "customers", 0), 4000);
    ck_assert(cvm_json_bool(json_object_get(r, "sample_ratio"), "ok", false));
    int64_t events = 0;
    for (size_t i = 0; i < 2; i++)
        events += cvm_json_int(json_array_get(json_object_get(r, "variants"), i), "events", 0);
    ck_assert_int_eq(events, 40 * 19);
    const json_t *qini = json_object_get(r, "qini");
    ck_assert_int_eq(cvm_json_int(qini, "customers", 0), 4000);
    ck_assert_uint_eq(json_array_size(json_object_get(qini, "curve")), 11);
    ck_assert(fabs(real(qini, "coefficient")) < .02);
    harness_free(h);
}
END_TEST

START_TEST(observations_make_means)
{
    struct harness *h = started();
    const json_t *r;
    create(h, json_pack("{s:s, s:[s,s], s:s}", "id", "minutes", "variants", "a", "b", "metric", "minutes"));
    ck_assert_int_eq(ask_of(h, "start_experiment", "minutes", NULL, &r), CVM_REPLIED);
    for (int i = 0; i < 200; i++) {
        char customer[16];
        snprintf(customer, sizeof customer, "U%d", i);
        ck_assert_int_eq(ask_of(h, "assign", "minutes", customer, &r), CVM_REPLIED);
        double value = (strcmp(cvm_json_str(r, "variant", ""), "b") == 0 ? 12 : 10) + i % 5;
        for (int twice = 0; twice < 2; twice++)
            ck_assert_int_eq(harness_ask(h, EXPERIMENTS, "observe",
                                         json_pack("{s:s, s:s, s:f}", "experiment_id", "minutes", "customer_id",
                                                   customer, "value", value),
                                         &r),
                             CVM_REPLIED);
    }
    ck_assert_int_eq(ask_of(h, "report", "minutes", NULL, &r), CVM_REPLIED);
    const json_t *c = json_array_get(json_object_get(r, "comparisons"), 0);
    ck_assert_str_eq(cvm_json_str(c, "verdict", ""), "higher");
    ck_assert(fabs(real(c, "difference") - 2) < .5 && real(c, "always_valid_low") > 0);
    ck_assert_str_eq(cvm_json_str(c, "test", ""), "Welch's t test");
    create(h, json_pack("{s:s, s:[s,s]}", "id", "sold", "variants", "a", "b"));
    ck_assert_int_eq(harness_ask(h, EXPERIMENTS, "observe",
                                 json_pack("{s:s, s:s, s:i}", "experiment_id", "sold", "customer_id", "U1", "value", 1),
                                 &r),
                     CVM_REFUSED);
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("insight_agents");
    TCase *c = tcase_create("agents");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, rules_put_everybody_somewhere);
    tcase_add_test(c, churn_model_fills_in);
    tcase_add_test(c, later_run_replaces_the_earlier);
    tcase_add_test(c, without_customers_says_so);
    tcase_add_test(c, outcomes_count_once);
    tcase_add_test(c, unknown_treatments_and_outcomes_are_refused);
    tcase_add_test(c, control_group_is_a_twentieth_and_stays);
    tcase_add_test(c, uplift_is_told_by_the_control_group);
    tcase_add_test(c, experiment_goes_its_way);
    tcase_add_test(c, experiment_report_reads_outcomes_and_scores);
    tcase_add_test(c, observations_make_means);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
