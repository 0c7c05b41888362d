/* A treatment plugin that decides about two of a hundred customers otherwise is stopped before it runs, by what is
 * recorded, and exactly these two decisions are shown. */
#include "change_load.h"

#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define CUSTOMERS 100

START_TEST(two_of_a_hundred_decisions)
{
    static const char *const plugins[] = {"customers", "treatments", "decision", "triggers", "gift"};
    static const char *const whom[] = {"U131", "U142"};
    char ids[CUSTOMERS * 5 + 1] = "", installed[300], fewer[300];
    struct flow_answer a;
    struct flow *f = flow_new();
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "agents",
                json_pack("{s:{s:{s:s}}, s:{s:{s:{}}}}", "cvm.treatment", "settings", "llm_provider", "rules",
                          "cvm.allocation", "settings", "contact_policy"));
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        flow_plugin(f, plugins[i]);
    flow_start(f);
    for (int i = 0; i < CUSTOMERS; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%sU%d", i ? "," : "", 101 + i);
    ck_assert_int_eq(FLOW_RUN(f, &a, "customer", "process", ids, "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(a.json), CUSTOMERS);
    const json_t *one;
    size_t i, gifts = 0;
    json_array_foreach(a.json, i, one) gifts += !strcmp(cvm_json_str(one, "selected_treatment", ""), "gift");
    ck_assert_uint_ge(gifts, 90);
    flow_answer_free(&a);
    EXPECT(f, 0, "100 recorded decisions: 100 the same, 0 differ", "reload", "gift", "--prove", "100");

    snprintf(fewer, sizeof fewer, "%s", flow_build("tests/plugins/gift_fewer.so"));
    snprintf(installed, sizeof installed, "%s/plugins/gift.so", f->home);
    change_copy(fewer, installed);
    EXPECT(f, 5, "98 the same, 2 differ", "reload", "gift", "--prove", "100", "--max-diff", "1%");
    ck_assert_int_eq(FLOW_RUN(f, &a, "reload", "gift", "--prove", "100", "--max-diff", "1%", "--output", "json"), 5);
    const json_t *differing = json_object_get(a.json, "differing");
    ck_assert_uint_eq(json_array_size(differing), 2);
    json_array_foreach((json_t *)(uintptr_t)differing, i, one)
    {
        ck_assert_str_eq(cvm_json_str(one, "was", ""), "gift");
        ck_assert_str_ne(cvm_json_str(one, "is", ""), "gift");
        ck_assert(strcmp(cvm_json_str(one, "subject", ""), whom[0]) == 0 ||
                  strcmp(cvm_json_str(one, "subject", ""), whom[1]) == 0);
    }
    flow_answer_free(&a);
    EXPECT(f, 0, "98 the same, 2 differ", "reload", "gift", "--prove", "100", "--max-diff", "2%");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("prove");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, two_of_a_hundred_decisions);
    return flow_main("prove", (TCase *[]){c, NULL});
}
