/* Parts of the plugin `operations` that need hours: the rest is tests/flow/test_operations.c. */
#include "../../plugins/service/operations/operations.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

/* Gauges are set anew after what changes them, also when the host has served for longer than the tidying takes to come.
 */
START_TEST(gauges_never_stand_still)
{
    struct harness *h = harness_new(0);
    harness_add(h, &cvm_plugin, OPERATIONS_MANIFEST);
    for (int i = 0; i < 4; i++) {
        harness_run(h, 11 * 60 * 1000);
        ck_assert_int_eq(cvm_json_int(harness_state(h, ANALYTICS), "armed", -1), 0);
    }
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("operations_unit");
    TCase *c = tcase_create("time");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, gauges_never_stand_still);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
