/* Deciding for a whole base without a host: what one customer may have and what it is worth, for all of them, under
 * limits. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/cvm/decision/base.h"
#include "../../plugins/cvm/decision/campaign.h"

static json_t *treatments(void)
{
    static const char text[] =
        "[{\"id\": \"ignore\", \"display_name\": \"Nothing\"},"
        " {\"id\": \"retention_call\", \"display_name\": \"Call\", \"channel\": \"call\","
        "  \"constraints\": {\"max_per_day\": 30, \"cost_per_contact_pounds\": 8, \"priority\": 1},"
        "  \"value\": {\"kind\": \"retain\", \"propensity\": 0.3, \"months\": 12, \"margin\": 0.4}},"
        " {\"id\": \"retention_email\", \"display_name\": \"Mail\", \"channel\": \"email\","
        "  \"constraints\": {\"max_per_day\": 50, \"cost_per_contact_pounds\": 0.2, \"priority\": 3},"
        "  \"eligibility\": [{\"rule\": \"half_a_year\", \"fact\": \"tenure_months\", \"op\": \">=\", \"value\": 6, "
        "\"why\": \"later\"}],"
        "  \"value\": {\"kind\": \"retain\", \"propensity\": 0.08, \"months\": 12, \"margin\": 0.4}},"
        " {\"id\": \"upgrade_sms\", \"display_name\": \"SMS\", \"channel\": \"sms\","
        "  \"constraints\": {\"max_per_day\": 40, \"cost_per_contact_pounds\": 0.1, \"priority\": 5},"
        "  \"value\": {\"kind\": \"sell\", \"propensity\": 0.05, \"months\": 12, \"margin\": 0.5, \"amount_pounds\": "
        "6}}]";
    json_t *list = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(list);
    return list;
}

/* The same customers each time. */
static void add_customers(struct base *b, int n)
{
    uint32_t seed = 7;
    for (int i = 0; i < n; i++) {
        struct cvm_facts f;
        char id[16];
        facts_clear(&f);
        snprintf(id, sizeof id, "C%05d", i);
        f.customer_id = id;
        f.sms = f.email = f.marketing = 1;
        seed = seed * 1664525u + 1013904223u;
        f.call = seed >> 30 != 0;
        f.tenure_months = (int64_t)(seed >> 8 & 63);
        f.monthly_spend = 1500 + (int64_t)(seed >> 12 & 8191);
        f.churn_score = (double)(seed >> 10 & 1023) / 1023;
        f.upsell_score = (double)(seed >> 5 & 1023) / 1023;
        ck_assert_int_eq(base_add(b, &f, 0, NULL, 0), CVM_OK);
    }
}

static struct base *make(const json_t *list, const json_t *constraints, struct base_terms terms, int n)
{
    struct base *b = NULL;
    char why[200] = "";
    ck_assert_msg(base_new(list, constraints, &terms, &b, why, sizeof why) == CVM_OK, "%s", why);
    add_customers(b, n);
    return b;
}

static const struct base_terms terms = {FACTS_NONE, 1, 1, NULL, 5000};

static void decide_for(const struct base *b, struct base_decision *d)
{
    char why[200] = "";
    ck_assert_msg(base_decide(b, NULL, NULL, NULL, d, why, sizeof why) == CVM_OK, "%s", why);
}

START_TEST(limits_and_rules_hold_and_the_bound_is_near)
{
    json_t *list = treatments();
    struct base_terms with = terms;
    struct base_decision d;
    with.budget = 50000;
    with.days = 3;
    struct base *b = make(list, NULL, with, 2000);
    decide_for(b, &d);
    int64_t per_day[4][3] = {{0}}, cost = 0;
    ck_assert_uint_eq(b->n, 3);
    for (size_t i = 0; i < 2000; i++) {
        int t = d.result.assignment[i];
        if (t < 0)
            continue;
        ck_assert_uint_lt(d.day[i], 3);
        per_day[t][d.day[i]]++;
        cost += b->options[t].o.cost;
    }
    for (size_t t = 0; t < b->n; t++)
        for (size_t day = 0; day < 3; day++)
            ck_assert_int_le(per_day[t][day], b->daily[t]);
    ck_assert_int_le(cost, 50000);
    ck_assert_int_gt(d.result.assigned, 100);
    ck_assert_double_le(d.result.gap, .01);
    ck_assert_str_eq(b->funnel[0].rejected[0].rule, "permission:call");
    ck_assert_str_eq(b->funnel[1].rejected[0].rule, "eligibility:half_a_year");
    base_decision_fini(&d);
    base_free(b);
    json_decref(list);
}
END_TEST

START_TEST(figures_add_up)
{
    json_t *list = treatments();
    struct base_decision d;
    struct base *b = make(list, NULL, terms, 500);
    decide_for(b, &d);
    json_t *s = base_summary(b, &d, 1700000000000), *entry;
    size_t i;
    int64_t assigned = 0, contacts = 0;
    double value = 0, cost = 0;
    json_array_foreach(json_object_get(s, "treatments"), i, entry)
    {
        assigned += json_integer_value(json_object_get(entry, "assigned"));
        value += json_number_value(json_object_get(entry, "value_pounds"));
        cost += json_number_value(json_object_get(entry, "cost_pounds"));
        ck_assert_int_ge(json_integer_value(json_object_get(entry, "candidates")),
                         json_integer_value(json_object_get(entry, "worthwhile")));
        ck_assert_int_ge(json_integer_value(json_object_get(entry, "worthwhile")),
                         json_integer_value(json_object_get(entry, "wanted")));
    }
    json_array_foreach(json_object_get(s, "volumes"), i, entry)
    {
        contacts += json_integer_value(json_object_get(entry, "contacts"));
        ck_assert_str_eq(json_string_value(json_object_get(entry, "day")), "2023-11-14");
    }
    ck_assert_int_eq(assigned, json_integer_value(json_object_get(s, "assigned")));
    ck_assert_int_eq(contacts, assigned);
    double expected = json_number_value(json_object_get(s, "expected_value_pounds"));
    ck_assert_double_eq_tol(value, expected, .05);
    ck_assert_double_eq_tol(cost, json_number_value(json_object_get(s, "cost_pounds")), .05);
    ck_assert_double_lt(json_number_value(json_object_get(s, "low_pounds")), expected);
    ck_assert_double_gt(json_number_value(json_object_get(s, "high_pounds")), expected);
    ck_assert_double_ge(json_number_value(json_object_get(s, "bound_pounds")), expected);
    json_decref(s);
    base_decision_fini(&d);
    base_free(b);
    json_decref(list);
}
END_TEST

START_TEST(the_same_inputs_give_the_same_figures)
{
    json_t *list = treatments();
    char *text[2];
    for (int round = 0; round < 2; round++) {
        struct base_decision d;
        struct base *b = make(list, NULL, terms, 800);
        decide_for(b, &d);
        json_t *s = base_summary(b, &d, 1700000000000);
        text[round] = json_dumps(s, JSON_SORT_KEYS);
        json_decref(s);
        base_decision_fini(&d);
        base_free(b);
    }
    ck_assert_str_eq(text[0], text[1]);
    free(text[0]);
    free(text[1]);
    json_decref(list);
}
END_TEST

/* A new treatment takes customers away from those that are there; the comparison says whose. */
START_TEST(a_change_shows_who_loses_whom)
{
    json_t *nothing = json_object(), *list = treatments(), *after = NULL, *limits = NULL, *none = NULL, *same = NULL;
    json_t *change = json_pack("{s:{s:s, s:s, s:s, s:{s:i, s:f}, s:{s:s, s:f, s:i, s:f}}}", "treatment", "id", "gift",
                               "display_name", "Gift", "channel", "email", "constraints", "max_per_day", 60,
                               "cost_per_contact_pounds", 1.0, "value", "kind", "retain", "propensity", .25, "months",
                               12, "margin", .4);
    char why[200] = "";
    ck_assert_int_eq(campaign_change(nothing, list, NULL, &same, &none, why, sizeof why), CVM_OK);
    ck_assert(json_equal(same, list));
    ck_assert_msg(campaign_change(change, list, NULL, &after, &limits, why, sizeof why) == CVM_OK, "%s", why);
    ck_assert_uint_eq(json_array_size(after), json_array_size(list) + 1);
    struct base *b = make(list, none, terms, 1000), *a = make(after, limits, terms, 1000);
    struct base_decision db, da;
    decide_for(b, &db);
    decide_for(a, &da);
    json_t *diff = base_compare(b, &db, a, &da), *entry;
    size_t i;
    int64_t moved = 0, to_gift = 0;
    json_array_foreach(json_object_get(diff, "moves"), i, entry)
    {
        moved += json_integer_value(json_object_get(entry, "customers"));
        if (!strcmp(json_string_value(json_object_get(entry, "to")), "gift"))
            to_gift += json_integer_value(json_object_get(entry, "customers"));
    }
    ck_assert_int_eq(moved, json_integer_value(json_object_get(diff, "customers_decided_otherwise")));
    ck_assert_int_eq(to_gift, 60);
    ck_assert_uint_gt(json_array_size(json_object_get(diff, "treatments")), 0);
    ck_assert_double_gt(da.result.value, db.result.value);
    json_decref(diff);
    base_decision_fini(&da);
    base_decision_fini(&db);
    base_free(a);
    base_free(b);
    json_t *bad = json_pack("{s:[s]}", "without", "no_such");
    json_t *x = NULL, *y = NULL;
    ck_assert_int_eq(campaign_change(bad, list, NULL, &x, &y, why, sizeof why), CVM_EINVAL);
    ck_assert_str_eq(why, "without: there is no treatment no_such");
    json_decref(bad);
    json_decref(nothing);
    json_decref(change);
    json_decref(list);
    json_decref(after);
    json_decref(limits);
    json_decref(none);
    json_decref(same);
}
END_TEST

/* What is used up today is there again tomorrow. */
START_TEST(what_was_used_today_is_missing_today)
{
    json_t *list = treatments();
    json_t *constraints =
        json_pack("{s:{s:i, s:i, s:i}}", "retention_call", "max_per_day", 30, "used_today", 30, "remaining", 0);
    struct base_terms with = terms;
    struct base_decision d;
    struct base *b = make(list, constraints, with, 1000);
    decide_for(b, &d);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_ne(d.result.assignment[i], 0);
    base_decision_fini(&d);
    base_free(b);
    with.days = 2;
    b = make(list, constraints, with, 1000);
    decide_for(b, &d);
    int calls = 0;
    for (size_t i = 0; i < 1000; i++) {
        calls += d.result.assignment[i] == 0;
        ck_assert(d.result.assignment[i] != 0 || d.day[i] == 1);
    }
    ck_assert_int_eq(calls, 30);
    base_decision_fini(&d);
    base_free(b);
    json_decref(constraints);
    json_decref(list);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *c = tcase_create("base");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, limits_and_rules_hold_and_the_bound_is_near);
    tcase_add_test(c, figures_add_up);
    tcase_add_test(c, the_same_inputs_give_the_same_figures);
    tcase_add_test(c, a_change_shows_who_loses_whom);
    tcase_add_test(c, what_was_used_today_is_missing_today);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
