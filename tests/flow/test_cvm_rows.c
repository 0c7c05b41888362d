/* What a person sees of customers, triggers and treatments, where it is not another test's: permissions of a file and
 * of an import, tables that can be read, errors that say what to do. On a real host. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct flow *started(const char *permissions)
{
    static const char *const plugins[] = {"customers", "treatments", "decision", "triggers", "llm"};
    struct flow *f = flow_new();
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        flow_plugin(f, plugins[i]);
    /* No hour is too late for a message. */
    flow_config(f, "agents",
                json_pack("{s:{s:{s:s}}, s:{s:{s:{}}}}", "cvm.treatment", "settings", "llm_provider", "rules",
                          "cvm.allocation", "settings", "contact_policy"));
    if (permissions)
        flow_write(f, "data/cvm/permissions.json", permissions);
    flow_start(f);
    return f;
}

static const char *str(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* The first result of a command that must end well (json_decref). */
static json_t *result(struct flow *f, const char *const *words)
{
    struct flow_answer a;
    int status = flow_run(f, &a, words);
    ck_assert_msg(status == 0 && json_array_size(a.json) == 1, "%s: %d %s%s", words[1], status, a.text, a.errors);
    json_t *one = json_incref(json_array_get(a.json, 0));
    flow_answer_free(&a);
    return one;
}
#define RESULT(f, ...) result(f, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

static bool lists(const json_t *array, const char *word)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!strcmp(json_string_value(json_array_get(array, i)), word))
            return true;
    return false;
}

/* The same customer three times: what the file permits decides what he may get, and only that. */
START_TEST(the_file_of_permissions_decides)
{
    struct flow *f = started("{\"U124\": {\"sms\": false, \"email\": true, \"call\": false, \"app\": false, \"post\": "
                             "false, \"marketing\": true}}");
    json_t *one = RESULT(f, "customer", "process", "U124");
    ck_assert(lists(json_object_get(one, "permissions_applied"), "email"));
    ck_assert(!lists(json_object_get(one, "permissions_applied"), "sms"));
    EXPECT(f, 0, "permission:sms", "why", "U124", "service_sms");
    EXPECT(f, 0, "permission:call", "why", "U124", "retention_call");
    EXPECT(f, 5, "permission:sms", "customer", "process", "U124", "--treatment", "service_sms");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from cvm_applications where treatment_id like '%sms%' or "
                                     "treatment_id like '%call%' or treatment_id like '%app%'"),
                     0);
    json_decref(one);
    /* Nobody else is in the file: no treatment that needs a permission. */
    json_decref(RESULT(f, "customer", "process", "U123"));
    EXPECT(f, 0, "permission:email", "why", "U123", "retention_email");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from cvm_applications where customer_id = 'U123' and "
                                     "treatment_id <> 'network_signal_booster'"),
                     0);
    flow_write(f, "data/cvm/permissions.json", "{\"U123\": {\"sms\": true, \"marketing\": true}}");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "load"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "process", "U123", "--treatment", "service_sms"), 0);
    EXPECT(f, 5, "permission:email", "customer", "process", "U124", "--treatment", "retention_email");
    flow_end(f);
}
END_TEST

/* Permissions that an import grants hold for one customer as they do for the base. */
START_TEST(permissions_of_an_import_hold)
{
    struct flow *f = started(NULL);
    char path[128];
    struct flow_answer a;
    flow_write(f, "base.csv", "customer_id,monthly_spend,tenure_months,churn_score\nI1,9000,30,0.8\nI2,8000,20,0.7\n");
    snprintf(path, sizeof path, "%s/base.csv", f->home);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "import", path, "--replace", "--permissions", "email,marketing"), 0);
    json_t *one = RESULT(f, "customer", "process", "I1");
    ck_assert_str_eq(str(one, "selected_treatment"), "retention_email");
    json_decref(one);
    EXPECT(f, 5, "permission:sms", "customer", "process", "I2", "--treatment", "service_sms");
    ck_assert_int_eq(FLOW_RUN(f, &a, "whatif", "--output", "json"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "assigned")), 2);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* What the churn model learnt from an imported base is what is decided by. */
START_TEST(decisions_go_by_the_churn_model)
{
    struct flow *f = started(NULL);
    char base[16384] = "customer_id,tenure_months,monthly_spend,Churn\n", path[128];
    for (int i = 0; i < 300; i++)
        snprintf(base + strlen(base), sizeof base - strlen(base), "C%03d,%d,%d,%s\n", i, i % 60, 5000 + i * 7 % 900,
                 i % 60 < 20 && i % 7 ? "Yes" : "No");
    flow_write(f, "base.csv", base);
    snprintf(path, sizeof path, "%s/base.csv", f->home);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "import", path, "--replace", "--permissions", "all"), 0);
    json_t *one = RESULT(f, "customer", "process", "C001");
    EXPECT(f, 0, "unknown, .15 taken", "why", "C001", "--output", "json");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "trigger", "train", "churn_risk"), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from cvm_customers where churn_score is not null"), 300);
    ck_assert_int_gt(
        flow_sql_int(f, "select cast(churn_score * 100 as integer) from cvm_customers where customer_id = 'C001'"),
        flow_sql_int(f, "select cast(churn_score * 100 as integer) from cvm_customers where customer_id = 'C050'") +
            20);
    json_decref(one);
    one = RESULT(f, "customer", "process", "C002");
    ck_assert_ptr_nonnull(strstr(str(one, "explanation"), "churn score"));
    EXPECT(f, 0, "the churn model gives", "trigger", "run", "churn_risk", "--customers", "C002");
    json_decref(one);
    flow_end(f);
}
END_TEST

START_TEST(tables_can_be_read)
{
    struct flow *f = started(NULL);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "trigger", "run", "network_issues", "--all-customers"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "EVIDENCE"));
    ck_assert_ptr_null(strstr(a.text, "excerpt"));
    flow_answer_free(&a);
    /* The passages in one cell, and the same header where there are none. */
    ck_assert_int_eq(FLOW_RUN(f, &a, "trigger", "run", "network_issues", "--all-customers", "--output", "csv"), 0);
    ck_assert_int_eq(
        strncmp(a.text, "customer_id,trigger_type,confidence,method,reasoning,evidence,matched_at\r\n", 74), 0);
    ck_assert_ptr_nonnull(strstr(a.text, " | "));
    flow_answer_free(&a);
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "trigger", "run", "custom", "--all-customers", "--keywords", "zzzz", "--output", "csv"), 0);
    ck_assert_str_eq(a.text, "customer_id,trigger_type,confidence,method,reasoning,evidence,matched_at\r\n");
    flow_answer_free(&a);
    /* A line a customer, then how many. */
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "trigger", "apply", "roaming_issues", "--all-customers", "--treatment", "roaming_advice_sms"),
        0);
    ck_assert_int_eq(strncmp(a.text, "CUSTOMER_ID  SELECTED_TREATMENT", 31), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "processed: "));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("rows");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, the_file_of_permissions_decides);
    tcase_add_test(c, permissions_of_an_import_hold);
    tcase_add_test(c, decisions_go_by_the_churn_model);
    tcase_add_test(c, tables_can_be_read);
    return flow_main("cvm_rows", (TCase *const[]){c, NULL});
}
