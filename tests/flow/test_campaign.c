/* Campaigns over the whole base on a real host: a what-if says exactly what the run does, limits hold in what is kept,
 * a changed treatment shows who loses whom; assignment problems and plans from files. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A command's JSON (json_decref), which must end so. */
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
#define TERMS "--budget-pounds", "60", "--days", "2"

static struct flow *with_customers(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_plugin(f, "treatments");
    flow_plugin(f, "decision");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_start(f);
    for (int i = 0; i < 100 && flow_sql_int(f, "SELECT count(*) FROM cvm_customers") == 0; i++)
        flow_sleep_ms(100);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM cvm_customers"), 0);
    return f;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* Without what differs from run to run. */
static char *figures(json_t *data)
{
    json_object_del(data, "run_id");
    json_object_del(data, "milliseconds");
    json_object_del(data, "rejections");
    return json_dumps(data, JSON_SORT_KEYS);
}

START_TEST(a_what_if_is_what_the_run_does)
{
    struct flow *f = with_customers();
    json_t *tried = RUN(f, 0, "whatif", TERMS);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_decisions"), 0);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_runs"), 0);
    json_t *done = RUN(f, 0, "campaign", "run", "spring", TERMS);
    char id[64];
    snprintf(id, sizeof id, "%s", json_string_value(json_object_get(done, "run_id")));
    char *one = figures(tried), *two = figures(done);
    ck_assert_str_eq(one, two);
    ck_assert_int_gt(number(done, "assigned"), 10);
    ck_assert_double_ge(number(done, "bound_pounds"), number(done, "expected_value_pounds"));
    ck_assert_double_le(number(done, "cost_pounds"), 60);
    ck_assert_double_le(-number(done, "cost_pounds"), number(done, "low_pounds") + .01);
    ck_assert_double_le(number(done, "low_pounds"), number(done, "expected_value_pounds"));

    /* What is kept is what was said, and within each day's limit. */
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_decisions"),
                     flow_sql_int(f, "SELECT count(*) FROM cvm_customers"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_decisions WHERE treatment_id <> 'ignore'"),
                     (int64_t)number(done, "assigned"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT sum(value) FROM cvm_decisions"),
                     (int64_t)(number(done, "expected_value_pounds") * 100 + .5));
    ck_assert_int_le(flow_sql_int(f, "SELECT count(*) AS n FROM cvm_decisions WHERE treatment_id = 'retention_call' "
                                     "GROUP BY day ORDER BY n DESC"),
                     40);
    json_t *shown = RUN(f, 0, "campaign", "show", id);
    ck_assert_str_eq(json_string_value(json_object_get(shown, "status")), "done");
    ck_assert(json_equal(json_object_get(shown, "treatments"), json_object_get(done, "treatments")));
    json_t *rows = RUN(f, 0, "campaign", "customers", id, "--limit", "5");
    ck_assert_uint_eq(json_array_size(json_object_get(rows, "decisions")), 5);
    json_t *prices = RUN(f, 0, "allocation", "prices");
    ck_assert_str_eq(json_string_value(json_object_get(prices, "run_id")), id);
    json_decref(RUN(f, 4, "campaign", "show", "RUN-000000000000"));
    free(one);
    free(two);
    json_decref(tried);
    json_decref(done);
    json_decref(shown);
    json_decref(rows);
    json_decref(prices);
    flow_end(f);
}
END_TEST

START_TEST(a_change_says_who_loses_whom)
{
    struct flow *f = with_customers();
    json_t *same = RUN(f, 0, "whatif", "--limits", "service_sms=1000");
    ck_assert_int_eq(number(json_object_get(same, "against_now"), "customers_decided_otherwise"), 0);
    json_t *less = RUN(f, 0, "whatif", "--without", "service_sms");
    const json_t *now = json_object_get(less, "against_now"), *one;
    size_t i;
    int64_t lost = -1;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(now, "treatments"), i,
                       one) if (!strcmp(json_string_value(json_object_get(one, "treatment")), "service_sms")) lost =
        (int64_t)number(one, "loses");
    ck_assert_int_gt(lost, 0);
    json_decref(same);
    json_decref(less);
    json_decref(RUN(f, 5, "whatif", "--without", "no_such_treatment"));
    json_decref(RUN(f, 5, "whatif", "--trigger", "no_such_trigger"));
    EXPECT(f, 5, "network_issues, billing_disputes, churn_risk and roaming_issues can", "whatif", "--trigger",
           "high_value");
    flow_end(f);
}
END_TEST

/* After a campaign one customer gets a scarce unit only where that is worth its price. */
START_TEST(one_customer_is_decided_at_the_last_prices)
{
    struct flow *f = with_customers();
    json_t *before = RUN(f, 0, "customer", "process", "U029");
    const json_t *one = json_is_array(before) ? json_array_get(before, 0) : before;
    ck_assert_str_eq(json_string_value(json_object_get(one, "selected_treatment")), "retention_call");
    json_decref(before);
    json_decref(RUN(f, 0, "campaign", "run", "scarce", "--limits", "retention_call=1"));
    json_t *limits = RUN(f, 0, "allocation", "show", "retention_call");
    const json_t *call = json_object_get(json_object_get(limits, "constraints"), "retention_call");
    ck_assert_double_gt(number(call, "price_pounds"), 4);
    json_decref(limits);
    json_t *after = RUN(f, 0, "customer", "process", "U029");
    one = json_is_array(after) ? json_array_get(after, 0) : after;
    ck_assert_str_eq(json_string_value(json_object_get(one, "selected_treatment")), "retention_email");
    json_decref(after);
    flow_end(f);
}
END_TEST

/* A run that a crash cuts off is made again from its beginning, and ends once. */
START_TEST(a_run_survives_a_kill)
{
    struct flow *f = with_customers();
    for (int i = 0; i < 3; i++) {
        char key[32];
        const char *const words[] = {"host/cvmhost", "--home", f->home, "campaign", "run", "again", "--key", key, NULL};
        snprintf(key, sizeof key, "campaign-%d", i);
        pid_t pid = flow_spawn(f, "campaign", words);
        (void)pid;
        flow_sleep_ms(15 * (i + 1));
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
        json_t *done = RUN(f, 0, "campaign", "run", "again", "--key", key);
        ck_assert_int_gt(number(done, "assigned"), 0);
        json_decref(done);
    }
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_runs WHERE status = 'done'"), 3);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_decisions"),
                     3 * flow_sql_int(f, "SELECT count(*) FROM cvm_customers"));
    flow_end(f);
}
END_TEST

static const char problem[] = "2 3\n 10 4 7\n 8 6 9\n 5 5 5\n 5 5 5\n 5 10\n";

START_TEST(an_assignment_problem_from_a_file)
{
    struct flow *f = with_customers();
    char path[600], text[600];
    char here[400];
    flow_write(f, "small.txt", problem);
    flow_write(f, "wrong.txt", "2 3\n 10 4 x\n");
    flow_write(f, "short.txt", "2 3\n 10 4 7\n 8 6\n");
    snprintf(here, sizeof here, "%s", f->home);
    snprintf(path, sizeof path, "%s/small.txt", here);
    json_t *solved = RUN(f, 0, "allocation", "solve", path);
    ck_assert_int_eq(number(solved, "value"), 25);
    ck_assert_int_eq(number(solved, "bound"), 25);
    ck_assert_double_eq(number(solved, "gap_percent"), 0);
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(solved, "assignment"), 0)), 0);
    json_decref(solved);
    solved = RUN(f, 0, "allocation", "solve", path, "--min");
    ck_assert_int_eq(number(solved, "value"), 4 + 8 + 9);
    json_decref(solved);
    snprintf(path, sizeof path, "%s/wrong.txt", here);
    snprintf(text, sizeof text, "wrong.txt: line 2, field 3: \"x\" is no number");
    flow_expect(f, 5, text, (const char *const[]){"allocation", "solve", path, NULL});
    snprintf(path, sizeof path, "%s/short.txt", here);
    flow_expect(f, 5, "short.txt: line 3: the file ends after 5 of 6 values (2 agents, 3 jobs)",
                (const char *const[]){"allocation", "solve", path, NULL});
    flow_end(f);
}
END_TEST

START_TEST(a_plan_from_a_table_of_values)
{
    struct flow *f = with_customers();
    char values[600], limits[600];
    flow_write(f, "values.csv",
               "customer,treatment,value,cost\nA,call,40,3\nA,sms,1,0.5\nB,call,30,3\nC,call,8,3\n\"D,E\",sms,2,0.5\n");
    flow_write(f, "limits.json",
               "{\"treatments\": {\"call\": {\"maximum\": 2}}, \"budgets\": {\"pounds\": {\"maximum\": 7}}}");
    snprintf(values, sizeof values, "%s/values.csv", f->home);
    snprintf(limits, sizeof limits, "%s/limits.json", f->home);
    json_t *plan = RUN(f, 0, "allocation", "plan", values, limits, "--save", "plan.csv");
    ck_assert_int_eq(number(plan, "value"), 72);
    ck_assert_double_eq(number(plan, "gap_percent"), 0);
    char *saved = flow_read(f, "output/plan.csv");
    ck_assert_str_eq(saved,
                     "customer,treatment,value,cost,runner_up\nA,call,40,3,sms\nB,call,30,3,\n\"D,E\",sms,2,0.5,\n");
    free(saved);
    json_decref(plan);
    flow_write(f, "values.csv", "customer,treatment,value,cost\nA,call,forty,3\n");
    flow_expect(f, 5, "values.csv: line 2, field value: must be a number",
                (const char *const[]){"allocation", "plan", values, limits, NULL});
    flow_end(f);
}
END_TEST

/* The public base, where it is: imported, decided for at once, within a tenth of a per cent of the bound. */
START_TEST(the_telco_base)
{
    const char *shared = getenv("CVM_SHARED_DATA");
    if (!shared) {
        printf("CVM_SHARED_DATA is not set: the Telco base is left out\n");
        return;
    }
    struct flow *f = with_customers();
    char path[600];
    snprintf(path, sizeof path, "%s/telco/telco-customer-churn.csv", shared);
    json_decref(RUN(f, 0, "customer", "import", path, "--mapping",
                    flow_source("manifests/customers/mappings/telco.json"), "--replace", "--permissions", "all"));
    json_t *done = RUN(f, 0, "campaign", "run", "telco", "--budget-pounds", "500", "--days", "3");
    ck_assert_int_eq(number(json_object_get(done, "funnel"), "customers"), 7043);
    ck_assert_double_le(number(done, "gap_percent"), .1);
    ck_assert_double_le(number(done, "cost_pounds"), 500);
    json_decref(done);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("campaign");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_what_if_is_what_the_run_does);
    tcase_add_test(c, a_change_says_who_loses_whom);
    tcase_add_test(c, one_customer_is_decided_at_the_last_prices);
    tcase_add_test(c, a_run_survives_a_kill);
    tcase_add_test(c, an_assignment_problem_from_a_file);
    tcase_add_test(c, a_plan_from_a_table_of_values);
    tcase_add_test(c, the_telco_base);
    return flow_main("campaign", (TCase *const[]){c, NULL});
}
