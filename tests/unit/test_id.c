/* Ids: no two alike where they must not be, and the same text back. */
#include "core/id.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define N 200000

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void check_unique(uint64_t *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    for (size_t i = 1; i < n; i++)
        ck_assert_msg(values[i] != values[i - 1], "%llx twice", (unsigned long long)values[i]);
}

START_TEST(short_ids_are_unique)
{
    static const uint64_t keys[] = {0, 1, 0x9e3779b97f4a7c15ULL};
    uint64_t *values = malloc(N * sizeof *values);
    for (size_t k = 0; k < 3; k++) {
        size_t neighbours = 0;
        for (uint64_t i = 0; i < N; i++) {
            values[i] = id_permute48(i + 1, keys[k]);
            ck_assert(values[i] < (UINT64_C(1) << 48));
            neighbours += i && values[i] - values[i - 1] < 1000;
        }
        ck_assert_uint_lt(neighbours, 10); /* the next one is not to be guessed from the last */
        check_unique(values, N);
    }
    free(values);
}
END_TEST

/* The 500 outputs of many turns, and what each of them causes. */
START_TEST(derived_ids_are_unique)
{
    uint64_t *values = malloc(N * sizeof *values);
    size_t n = 0;
    for (uint64_t turn = 0; turn < N / 1000; turn++) {
        cvm_id cause = {turn % 10, turn};
        for (uint32_t ordinal = 1; ordinal <= 500; ordinal++) {
            cvm_id id = id_derive(cause, id_hash("test.a", 6, turn % 7), ordinal, 5);
            ck_assert_uint_eq(id.hi, 5);
            values[n++] = id.lo;
            values[n++] = id_derive(id, id_hash("test.b", 6, 0), 1, 5).lo;
        }
    }
    check_unique(values, n);
    free(values);
}
END_TEST

START_TEST(conversation_keys_are_unique)
{
    uint64_t *values = malloc(N * sizeof *values);
    for (int i = 0; i < N; i++) {
        char name[40];
        snprintf(name, sizeof name, i % 2 ? "ENQ-%012x" : "IN-%016x", i / 2);
        int64_t key = conversation_key(name);
        ck_assert_int_gt(key, 0);
        values[i] = (uint64_t)key;
    }
    check_unique(values, N);
    free(values);
}
END_TEST

/* Keys of inputs grow, also within a millisecond and when the clock is put back; their names lead to them. */
START_TEST(inputs_have_keys_in_order)
{
    uint64_t key = 0, random = 5;
    for (int i = 0; i < 200000; i++) {
        char name[40];
        int64_t ms = INT64_C(1790000000000) + (i < 100000 ? i / 50 : i - 150000);
        uint64_t next = input_key(key, ms, id_random(&random));
        ck_assert_uint_gt(next, key);
        ck_assert_uint_lt(next >> INPUT_KEY_MS_SHIFT, 1790000000000ULL + 60000);
        input_name(next, name);
        ck_assert_uint_eq(strlen(name), 18);
        ck_assert_int_eq(conversation_key(name), (int64_t)next);
        key = next;
    }
    /* names of other shapes keep the keys that they had */
    ck_assert_int_eq(conversation_key("IN-00000000000000a"), 10);
    ck_assert_int_ne(conversation_key("IN-000000000000000a"), 10);
    ck_assert_int_ne(conversation_key("IN-00000000000000A"), 10);
    ck_assert_int_gt(conversation_key("IN-000000000000000"), 0);
    ck_assert_int_eq(conversation_key("IN-0123456789abcdef"), INT64_C(1401970672274978105));
}
END_TEST

START_TEST(text_and_back)
{
    static const char *const bad[] = {"",
                                      "MSG-",
                                      "MSG-0123456789abcdef0123456789abcde",
                                      "MSG-0123456789abcdef0123456789abcdeg",
                                      "MSG-0123456789ABCDEF0123456789abcdef",
                                      "msg-0123456789abcdef0123456789abcdef",
                                      "MSG-0123456789abcdef0123456789abcdef0"};
    cvm_id id = {0x0123456789abcdefULL, 0xfedcba9876543210ULL}, back;
    char text[40];
    for (int i = 0; i < 1000; i++) {
        id = id_derive(id, 1, 1, id.lo);
        id_text(id, text);
        ck_assert_uint_eq(strlen(text), 36);
        ck_assert_int_eq(id_parse(text, &back), 0);
        ck_assert(cvm_id_eq(id, back));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(id_parse(bad[i], &back) == CVM_EINVAL, "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("id");
    TCase *c = tcase_create("id");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, short_ids_are_unique);
    tcase_add_test(c, derived_ids_are_unique);
    tcase_add_test(c, conversation_keys_are_unique);
    tcase_add_test(c, inputs_have_keys_in_order);
    tcase_add_test(c, text_and_back);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
