/* Patterns of components: what they find, and the limits that keep them from holding the host up. */
#include "core/regex.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct regexes *all;

static int match(const char *pattern, const char *text, cvm_span *spans, size_t n)
{
    return regexes_match(&all, pattern, text, 0, spans, n);
}

START_TEST(finds_groups)
{
    cvm_span s[4];
    ck_assert_int_eq(match("(a+)(b)?(c)", "xxAAc", s, 4), 4);
    ck_assert(s[0].start == 2 && s[0].end == 5 && s[1].start == 2 && s[1].end == 4 && s[3].start == 4);
    ck_assert(s[2].start == SIZE_MAX && s[2].end == SIZE_MAX); /* took no part */
    ck_assert_int_eq(match("a", "b", s, 1), CVM_ENOENT);
    ck_assert_int_eq(regexes_match(&all, "a", "aXa", 1, s, 1), 1);
    ck_assert_uint_eq(s[0].start, 2);
    ck_assert_int_eq(match("(", "x", s, 1), CVM_EINVAL);
    ck_assert_int_eq(match("a", "\xff", s, 1), CVM_EINVAL); /* no UTF-8 */
    ck_assert_int_eq(regexes_match(&all, "a", "abc", 4, s, 1), CVM_ELIMIT);
}
END_TEST

START_TEST(gives_as_many_groups_as_there_is_room_for)
{
    char pattern[256] = "";
    cvm_span s[40];
    for (int i = 0; i < 40; i++)
        memcpy(pattern + 3 * (size_t)i, "(.)", 4);
    char text[41];
    memset(text, 'x', 40);
    text[40] = 0;
    ck_assert_int_eq(match(pattern, text, s, 40), 32);
    ck_assert(s[31].start == 30 && s[31].end == 31);
    ck_assert(s[32].start == SIZE_MAX);
}
END_TEST

START_TEST(is_limited)
{
    cvm_span s[1];
    char *large = malloc(70001);
    memset(large, 'a', 70000);
    large[70000] = 0;
    ck_assert_int_eq(match("a", large, s, 1), CVM_ELIMIT);
    large[5000] = 0;
    ck_assert_int_eq(match(large, "a", s, 1), CVM_ELIMIT);
    ck_assert_int_eq(match("^(a|aa)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", s, 1), CVM_ELIMIT);
    free(large);
}
END_TEST

/* More patterns than are kept: each is right still, the first ones too when they come again. */
START_TEST(forgets_patterns)
{
    char pattern[32], text[32];
    cvm_span s[1];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 700; i++) {
            snprintf(pattern, sizeof pattern, "^n%dx$", i);
            snprintf(text, sizeof text, "N%dX", i);
            ck_assert_int_eq(match(pattern, text, s, 1), 1);
            ck_assert_int_eq(match(pattern, "n", s, 1), CVM_ENOENT);
        }
    }
}
END_TEST

static void end(void)
{
    regexes_free(all);
    all = NULL;
    regexes_free(NULL);
}

int main(void)
{
    Suite *s = suite_create("regex");
    TCase *c = tcase_create("regex");
    tcase_add_checked_fixture(c, NULL, end);
    tcase_add_test(c, finds_groups);
    tcase_add_test(c, gives_as_many_groups_as_there_is_room_for);
    tcase_add_test(c, is_limited);
    tcase_add_test(c, forgets_patterns);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
