/* The list of pages, as the shared parts of the pages ask for it. */
#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

extern const cvm_plugin_descriptor cvm_plugin;

START_TEST(lists_pages_with_a_title)
{
    struct harness *h = harness_new(0);
    const json_t *r;
    harness_add(h, &cvm_plugin, WEB_MANIFEST);
    harness_run(h, 0);
    ck_assert_int_eq(harness_ask(h, "web.pages", "list_pages", json_object(), &r), CVM_REPLIED);
    const json_t *pages = json_object_get(r, "pages"), *first = json_array_get(pages, 0);
    ck_assert_uint_eq(json_array_size(pages), 1);
    ck_assert_str_eq(cvm_json_str(first, "path", ""), "/ui/");
    ck_assert_str_eq(cvm_json_str(first, "title", ""), "Overview");
    ck_assert_str_eq(cvm_json_str(first, "plugin", ""), "web");
    ck_assert(cvm_json_bool(first, "nav", false));
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("web");
    TCase *c = tcase_create("web");
    tcase_add_test(c, lists_pages_with_a_title);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
