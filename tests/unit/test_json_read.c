/* The JSON reader against jansson: it takes what that takes, as the same value, and nothing else. */
#include "core/json_read.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 5;

static uint32_t next(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

/* Both read a copy of exactly that length, so that a look beyond its end is seen. Gives whether it is JSON. */
static bool same(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    json_t *theirs = json_loadb(copy, len, JSON_ALLOW_NUL, NULL), *ours = json_read(copy, len);
    char *a = theirs ? json_dumps(theirs, 0) : NULL, *b = ours ? json_dumps(ours, 0) : NULL;
    bool good = theirs != NULL;
    ck_assert_msg(!theirs == !ours, "%.*s: %s", (int)len, text, theirs ? "refused" : "taken");
    ck_assert_msg(!good || (json_equal(theirs, ours) && strcmp(a, b) == 0), "%.*s: read as %s", (int)len, text, b);
    free(a);
    free(b);
    free(copy);
    json_decref(theirs);
    json_decref(ours);
    return good;
}

static const char *const good[] = {
    "{}",
    " [ ] ",
    "{\"a\":{\"b\":[1,2,[3,{}]],\"c\":null},\"d\":true,\"e\":false}",
    "{\"\":\"\",\"a\":1,\"b\":2,\"a\":3}",
    "[0,-0,1,-1,9223372036854775807,-9223372036854775808]",
    "[0.0,-0.0,129.95,1e5,1E-5,2.5e+3,0.1,123456789012345678.5,3.141592653589793238462643383279,1e-400,5e-324,"
    "1.7976931348623157e308,9007199254740993.0,0.00000000000000000000001,4503599627370497.5]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\u0000 \xc3\xa9 \xf0\x9f\x98\x80 \x7f\"]",
    "{\"a\\u0041\\n\":{\"b\\\\\":\"\\u00e9\"}}",
    "\t\r\n{\"a\" :\t[ 1 , 2 ] }\n",
};
static const char *const bad[] = {
    "",
    " ",
    "1",
    "\"a\"",
    "null",
    "{",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "[1]x",
    "[1][2]",
    "[01]",
    "[-]",
    "[+1]",
    "[.5]",
    "[1.]",
    "[1e]",
    "[1e+]",
    "[--1]",
    "[9223372036854775808]",
    "[-9223372036854775809]",
    "[1e999]",
    "[-1e999]",
    "[99999999999999999999]",
    "[tru]",
    "[truex]",
    "[nul]",
    "[True]",
    "[\"\\x\"]",
    "[\"\\u12\"]",
    "[\"\\u123g\"]",
    "[\"\\ud800\"]",
    "[\"\\ud800\\u0041\"]",
    "[\"\\udc00\"]",
    "[\"\\ud800\\ud800\"]",
    "[\"a\nb\"]",
    "[\"\x01\"]",
    "[\"\xff\"]",
    "[\"\xc0\x80\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xf4\x90\x80\x80\"]",
    "[\"\xc3\"]",
    "[\"\xc3\\u00e9\"]",
    "[\"abc]",
    "[\"abc\\",
    "{\"a\\u0000b\":1}",
    "[1 2]",
    "{\"a\":1 \"b\":2}",
    "[}",
    "{]",
    "\xef\xbb\xbf[]",
};
#define N(a) (sizeof(a) / sizeof *(a))

START_TEST(takes_what_is_json)
{
    for (size_t i = 0; i < N(good); i++)
        ck_assert_msg(same(good[i], strlen(good[i])), "%s", good[i]);
}
END_TEST

START_TEST(refuses_what_is_not)
{
    for (size_t i = 0; i < N(bad); i++)
        ck_assert_msg(!same(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!same("[\"a\0b\"]", 7));
    ck_assert(!same("[1]\0", 4));
    ck_assert(!json_read("[1\0]", 4));
}
END_TEST

START_TEST(mutants)
{
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        static const char marks[] = "{}[]\",:\\u0123456789eE+-.tfn \n";
        char text[512];
        const char *from = good[next(N(good))];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (uint32_t n = 1 + next(3); n && len > 1; n--) {
            size_t at = next((uint32_t)len);
            switch (next(4)) {
            case 0:
                text[at] = marks[next(sizeof marks - 1)];
                break;
            case 1:
                text[at] = (char)(1 + next(255)); /* a NUL after a number is overlooked by the library */
                break;
            case 2:
                memmove(text + at, text + at + 1, --len - at);
                break;
            default:
                memmove(text + at + 1, text + at, len++ - at);
                text[at] = marks[next(sizeof marks - 1)];
            }
        }
        taken += same(text, len);
    }
    ck_assert_int_gt(taken, 20000);
}
END_TEST

START_TEST(reals_are_the_nearest)
{
    for (int i = 0; i < 200000; i++) {
        char text[64];
        int digits = 1 + (int)next(20), at = snprintf(text, sizeof text, "[%s", next(2) ? "-" : "");
        text[at++] = (char)('1' + next(9));
        int point = (int)next((uint32_t)digits);
        for (int k = 0; k < digits; k++) {
            if (k == point)
                text[at++] = '.';
            text[at++] = (char)('0' + next(10));
        }
        if (next(4) == 0)
            at += snprintf(text + at, sizeof text - (size_t)at, "e%d", (int)next(600) - 300);
        text[at++] = ']';
        same(text, (size_t)at);
    }
}
END_TEST

START_TEST(depth)
{
    static char text[8192];
    for (int deep = 2040; deep < 2060; deep++) {
        memset(text, '[', (size_t)deep);
        text[deep] = '1';
        memset(text + deep + 1, ']', (size_t)deep);
        ck_assert_int_eq(same(text, 2 * (size_t)deep + 1), deep < 2048);
        memset(text + deep, ']', (size_t)deep);
        ck_assert_int_eq(same(text, 2 * (size_t)deep), deep <= 2048);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json_read");
    TCase *c = tcase_create("json_read");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, takes_what_is_json);
    tcase_add_test(c, refuses_what_is_not);
    tcase_add_test(c, mutants);
    tcase_add_test(c, reals_are_the_nearest);
    tcase_add_test(c, depth);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
