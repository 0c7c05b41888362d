/* What an allocation reads: assignment problems as OR-Library writes them, plans of values and limits. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/cvm/decision/gap_text.h"
#include "../../plugins/cvm/decision/plan.h"

#include <cvm/cvm.h>

static bool read_all(struct gap_text *g, const char *text, char *why, size_t size)
{
    memset(g, 0, sizeof *g);
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        if (!gap_text_line(g, at, len, why, size))
            return false;
        at += len + (at[len] == '\n');
    }
    return true;
}

/* Reads problem `which`; "" or what is wrong. */
static const char *fault(const char *text, size_t which)
{
    static char why[200];
    struct gap_text g;
    struct gap_problem p = {0};
    *why = 0;
    if (read_all(&g, text, why, sizeof why) && gap_text_problem(&g, which, false, &p, why, sizeof why))
        gap_problem_fini(&p);
    gap_text_fini(&g);
    return why;
}

START_TEST(a_problem_is_read)
{
    struct gap_text g;
    struct gap_problem p;
    char why[200];
    ck_assert(read_all(&g, " 2 3 \n10 4\n7 8 6 9\n1 2 3\n4 5 6\n\n 7 8\n", why, sizeof why));
    ck_assert_msg(gap_text_problem(&g, 1, true, &p, why, sizeof why), "%s", why);
    ck_assert_uint_eq(p.problem.customers, 3);
    ck_assert_uint_eq(p.problem.columns, 2);
    ck_assert(p.problem.required);
    ck_assert(p.value[0] == -10 && p.value[1] == -8 && p.value[4] == -7 && p.use[1] == 4 && p.use[5] == 6);
    ck_assert(p.limit[1].maximum == 8 && p.limit[1].rate[1] == 1 && p.limit[1].rate[0] == 0);
    gap_problem_fini(&p);
    gap_text_fini(&g);
}
END_TEST

START_TEST(one_of_a_collection)
{
    static const char text[] = "2\n1 1\n5\n1\n3\n1 2\n7 8\n1 1\n9\n";
    struct gap_text g;
    struct gap_problem p;
    char why[200];
    ck_assert(read_all(&g, text, why, sizeof why));
    ck_assert_msg(gap_text_problem(&g, 2, false, &p, why, sizeof why), "%s", why);
    ck_assert_uint_eq(p.problem.customers, 2);
    ck_assert(p.value[1] == 8 && p.limit[0].maximum == 9);
    gap_problem_fini(&p);
    gap_text_fini(&g);
    ck_assert_str_eq(fault(text, 3), "the file has 2 problems, there is no number 3");
}
END_TEST

START_TEST(faults_name_line_and_field)
{
    ck_assert_str_eq(fault("2 3\n1 2 x\n", 1), "line 2, field 3: \"x\" is no number of at most 1000000000");
    ck_assert_str_eq(fault("2 3\n1 nan 3\n", 1), "line 2, field 2: \"nan\" is no number of at most 1000000000");
    ck_assert_str_eq(fault("2 3\n1 2 3\n4 5 6\n1 2 3\n4 5\n", 1),
                     "line 5: the file ends after 5 of 6 consumptions (2 agents, 3 jobs)");
    ck_assert_str_eq(fault("0 3\n", 1), "line 1, field 1: the number of agents must be 1 to 256, got 0");
    ck_assert_str_eq(fault("2 2.5\n", 1), "line 1, field 2: the number of jobs must be 1 to 20000000, got 2.5");
    ck_assert_str_eq(fault("1 2\n1 2\n1 -2\n5\n", 1),
                     "line 3, field 2: the consumption of job 1 by agent 0 must be 0 to 1000000, got -2");
    ck_assert_str_eq(fault("1 2\n1 2\n1 2\n-5\n", 1), "line 4, field 1: the capacity of agent 0 must be >= 0, got -5");
    ck_assert_str_eq(fault("1 2\n1 2\n1 2\n5 6\n", 1), "line 4, field 2: nothing is expected behind the 1 capacities");
    ck_assert_str_eq(fault("", 1), "line 0: the file ends where \"agents jobs\" should stand");
}
END_TEST

static void add(struct plan *p, const char *customer, const char *treatment, double value, double cost)
{
    ck_assert_int_eq(plan_add(p, customer, strlen(customer), treatment, strlen(treatment), value, cost), CVM_OK);
}

static int build(struct plan *p, const char *limits, char *why, size_t size)
{
    json_t *json = json_loads(limits, 0, NULL);
    int e = plan_build(p, json, why, size);
    json_decref(json);
    return e;
}

START_TEST(a_plan_is_made_of_rows_and_limits)
{
    struct plan p = {0};
    char why[200];
    add(&p, "A", "call", 40, 3);
    add(&p, "B", "sms", 2, 1);
    add(&p, "A", "sms", 1, 1);
    ck_assert_int_eq(plan_add(&p, "", 0, "sms", 3, 1, 1), CVM_ELIMIT);
    json_t *limits = json_loads(
        "{\"treatments\": {\"call\": {\"maximum\": 2, \"cost\": 5}, \"letter\": {\"maximum\": 1}}, \"budgets\": "
        "{\"b\": {\"maximum\": 9, \"treatments\": [\"call\"]}}, \"exclusive\": [[\"call\", \"sms\"]], "
        "\"per_customer\": 2}",
        0, NULL);
    ck_assert_int_eq(plan_build(&p, limits, why, sizeof why), CVM_OK);
    ck_assert_uint_eq(p.problem.customers, 2);
    ck_assert_uint_eq(p.problem.limits, 2);
    ck_assert(p.value[0] == 40 && p.value[1] == 1 && isinf(p.value[2]) && p.value[3] == 2);
    ck_assert(p.limit[1].fixed[0] == 5 && p.limit[1].rate[0] == 1 && p.limit[1].rate[1] == 0);
    ck_assert(p.group[0] == 0 && p.group[1] == 0);
    plan_fini(&p);
    json_decref(limits);
}
END_TEST

START_TEST(wrong_limits_are_refused)
{
    static const char *const texts[] = {"[]",
                                        "{\"treatments\": []}",
                                        "{\"treatments\": {\"call\": 5}}",
                                        "{\"treatments\": {\"call\": {\"maximum\": -1}}}",
                                        "{\"budgets\": {\"b\": {\"maximum\": \"x\"}}}",
                                        "{\"per_customer\": 9}",
                                        "{\"exclusive\": [[\"call\"], [\"call\"]]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct plan p = {0};
        char why[200] = "";
        add(&p, "A", "call", 40, 3);
        ck_assert_msg(build(&p, texts[i], why, sizeof why) == CVM_EINVAL && !strncmp(why, "limits: ", 8), "%s: %s",
                      texts[i], why);
        plan_fini(&p);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan");
    TCase *c = tcase_create("plan");
    tcase_add_test(c, a_problem_is_read);
    tcase_add_test(c, one_of_a_collection);
    tcase_add_test(c, faults_name_line_and_field);
    tcase_add_test(c, a_plan_is_made_of_rows_and_limits);
    tcase_add_test(c, wrong_limits_are_refused);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
