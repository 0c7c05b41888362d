/* Data's pure parts: the catalogue, what people write for a bundle, advice, the checks of an order, what the books say.
 */
#include "../../plugins/service/data/data.h"

#include <check.h>
#include <stdlib.h>

static json_t *manifest;
static struct data_rules rules;

static void setup(void)
{
    manifest = json_load_file(MANIFESTS "/data.json", 0, NULL);
    ck_assert_ptr_nonnull(manifest);
    data_rules_read(json_object_get(json_array_get(json_object_get(manifest, "components"), 0), "settings"), &rules);
}

static void teardown(void)
{
    json_decref(manifest);
}

START_TEST(catalogue)
{
    static const char *const networks[] = {"MTN", "AIRTEL", "GLO", "9MOBILE"};
    struct bundle all[DATA_BUNDLES_MAX], one;
    size_t sum = 0;
    for (size_t i = 0; i < 4; i++)
        sum += catalogue_of(&rules, networks[i], all);
    ck_assert_uint_eq(sum, 24);
    ck_assert_int_eq(catalogue_find(&rules, "AIRTEL", "*141*1#", &one), CVM_OK);
    ck_assert(one.mb == 1536 && one.kobo == 100000 && one.days == 30);
    ck_assert_int_eq(catalogue_find(&rules, "MTN", "*141*1#", &one), CVM_ENOENT);
    ck_assert_uint_eq(catalogue_of(&rules, "VODAFONE", all), 0);
    /* Rows that make no sense are not for sale. */
    json_t *bad =
        json_loads("{\"MTN\": [{}, 5, {\"code\": \"a\", \"size\": \"1GB\", \"validity\": \"1 day\", \"price\": \"x\", "
                   "\"package_type\": \"DAILY\", \"size_mb\": 1, \"validity_days\": 1}, {\"code\": \"a\", \"size\": "
                   "\"1GB\", \"validity\": \"1 day\", \"price\": 5, \"package_type\": \"HOURLY\", \"size_mb\": 1, "
                   "\"validity_days\": 1}]}",
                   0, NULL);
    struct data_rules broken = rules;
    broken.bundles = bad;
    ck_assert_uint_eq(catalogue_of(&broken, "MTN", all), 0);
    json_decref(bad);
}
END_TEST

static const struct {
    const char *words, *type, *code;
    int64_t mb, daily;
} writings[] = {
    {"buy 2GB for me", "", "", 2048, 0},
    {"abeg 500mb", "", "", 500, 0},
    {"one point five gig for one month", "MONTHLY", "", 1536, 0},
    {"1.25gb weekly", "WEEKLY", "", 1280, 0},
    {"two gigabytes", "", "", 2048, 0},
    {"a gig of data", "", "", 1024, 0},
    {"one and half gig", "", "", 1536, 0},
    {"five hundred mb", "", "", 500, 0},
    {"4G network is slow", "", "", 0, 0},
    {"2g data", "", "", 2048, 0},
    {"send *312*20# to my line", "", "*312*20#", 0, 0},
    {"150MB a day for a month", "MONTHLY", "", 150, 150},
    {"about 150 mb per day", "", "", 150, 150},
    {"I use 1gb/day", "", "", 1024, 1024},
    {"200mb of data daily", "", "", 200, 200},
    {"100000 naira", "", "", 0, 0},
    {"member of 5 bags", "", "", 0, 0},
    {"yearly plan", "YEARLY", "", 0, 0},
    {"dial *123 now", "", "", 0, 0},
};

START_TEST(what_people_write)
{
    struct wanted w;
    wanted_read(writings[_i].words, NULL, &w);
    ck_assert_msg(w.mb == writings[_i].mb, "\"%s\": %lld MB", writings[_i].words, (long long)w.mb);
    ck_assert_str_eq(w.type, writings[_i].type);
    ck_assert_str_eq(w.code, writings[_i].code);
    ck_assert_int_eq(wanted_daily_mb(writings[_i].words), writings[_i].daily);
}
END_TEST

static const struct {
    const char *network;
    int64_t daily, days, budget;
    const char *code, *upgrade; /* NULL: none */
    bool covers;
} needs[] = {
    {"MTN", 150, 30, 0, "*312*21#", "*312*90#", true}, /* 4950 MB */
    {"MTN", 60, 30, 0, "*312*20#", "*312*21#", true},  /* 1980 MB fit into 2048 */
    {"MTN", 63, 30, 0, "*312*21#", "*312*90#", true},  /* 2079 MB do not */
    {"MTN", 80, 1, 0, "*312*1#", "*312*16#", true},
    {"MTN", 100, 7, 0, "*312*16#", "*312*20#", true},
    {"GLO", 150, 30, 0, "*312*204#", "*312*205#", true},
    {"MTN", 150, 30, 200000, "*312*20#", "*312*21#", false}, /* budget 2,000 */
    {"MTN", 9000, 30, 0, "*312*90#", NULL, false},
    {"9MOBILE", 10, 30, 0, "*312*303#", "*312*304#", true},
};

START_TEST(advice)
{
    struct need need = {needs[_i].daily, needs[_i].days, needs[_i].budget};
    json_t *a = recommend(&rules, needs[_i].network, &need);
    ck_assert_str_eq(cvm_json_str(json_object_get(a, "recommended"), "code", ""), needs[_i].code);
    ck_assert_str_eq(cvm_json_str(json_object_get(a, "upgrade"), "code", "none"),
                     needs[_i].upgrade ? needs[_i].upgrade : "none");
    ck_assert(cvm_json_bool(a, "covers", !needs[_i].covers) == needs[_i].covers);
    ck_assert(*cvm_json_str(a, "reason", "") && strstr(cvm_json_str(a, "text", ""), "recommend"));
    json_decref(a);
}
END_TEST

START_TEST(advice_with_nothing_for_sale)
{
    struct need need = {100, 30, 5000}; /* 50 naira */
    ck_assert_ptr_null(recommend(&rules, "MTN", &need));
    need.budget_kobo = 0;
    ck_assert_ptr_null(recommend(&rules, "VODAFONE", &need));
    rules.upgrades = false;
    json_t *a = recommend(&rules, "MTN", &need);
    ck_assert(json_is_null(json_object_get(a, "upgrade")));
    json_decref(a);
}
END_TEST

START_TEST(networks_by_prefix)
{
    struct networks unset;
    char code[NETWORK_SIZE];
    networks_read(NULL, &unset); /* a component without the settings knows the four */
    static const char *const cases[][2] = {{"+2348031234567", "MTN"},     {"+2347025123456", "MTN"},
                                           {"+2348021234567", "AIRTEL"},  {"+2348051234567", "GLO"},
                                           {"+2348091234567", "9MOBILE"}, {"+2348011234567", ""},
                                           {"+2347021234567", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        network_of_prefix(&unset, cases[i][0], code);
        ck_assert_str_eq(code, cases[i][1]);
        network_of_prefix(&rules.networks, cases[i][0], code);
        ck_assert_str_eq(code, cases[i][1]);
    }
    ck_assert_int_eq(network_code(&unset, "t2 mobile", code), CVM_OK);
    ck_assert_str_eq(code, "9MOBILE");
    ck_assert_int_eq(network_code(&unset, "", code), CVM_ENOENT);
    ck_assert(network_differs(&unset, "+2348031234567", "GLO", code) &&
              !network_differs(&unset, "+2348031234567", "MTN", code) &&
              !network_differs(&unset, "+2348011234567", "GLO", code));
    ck_assert(network_confirmed("it was PORTED to glo") && !network_confirmed("report it"));
}
END_TEST

START_TEST(what_the_books_say)
{
    json_t *rows = json_loads(
        "[{\"service_type\": \"DATA\", \"recipient\": \"+2348031234567\", \"amount\": 500, \"total_amount\": 500, "
        "\"network_or_disco\": \"MTN\", \"status\": \"SUCCESS\", \"initiated_at\": \"2026-01-01T10:20:00Z\"},"
        "{\"service_type\": \"AIRTIME\", \"recipient\": \"+2348031234567\", \"amount\": 500, "
        "\"network_or_disco\": \"MTN\", \"status\": \"SUCCESS\", \"initiated_at\": \"2026-01-01T10:19:00Z\"},"
        "{\"service_type\": \"DATA\", \"recipient\": \"+2348031234567\", \"amount\": 500, \"total_amount\": 500, "
        "\"network_or_disco\": \"MTN\", \"status\": \"REFUNDED\", \"initiated_at\": \"2026-01-01T10:00:00Z\"}]",
        0, NULL);
    const json_t *two[2] = {NULL, NULL};
    char text[1000];
    ck_assert_ptr_eq(books_newest(rows, "DATA", "08031234567", 50000), json_array_get(rows, 0));
    ck_assert_ptr_null(books_newest(rows, "DATA", "", 60000));
    ck_assert_ptr_null(books_newest(rows, "POWER", "", 0));
    ck_assert(books_repeat(rows, "DATA", 20, two) && two[0] == json_array_get(rows, 0) &&
              two[1] == json_array_get(rows, 2));
    ck_assert(!books_repeat(rows, "DATA", 19, two) && !books_repeat(rows, "AIRTIME", 60, two));
    ck_assert_int_eq(books_age_hours(two[0], INT64_C(1767349200000)), 24); /* 2026-01-02T10:20Z */
    ck_assert_uint_eq(books_history(rows, "DATA", 5, text, sizeof text), 2);
    ck_assert(strstr(text, "was successful") && strstr(text, "was returned to your wallet"));
    ck_assert_uint_eq(books_history(rows, "DATA", 5, text, 60), 0); /* half a line says nothing */
    json_decref(rows);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *tc = tcase_create("data");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, catalogue);
    tcase_add_loop_test(tc, what_people_write, 0, (int)(sizeof writings / sizeof writings[0]));
    tcase_add_loop_test(tc, advice, 0, (int)(sizeof needs / sizeof needs[0]));
    tcase_add_test(tc, advice_with_nothing_for_sale);
    tcase_add_test(tc, networks_by_prefix);
    tcase_add_test(tc, what_the_books_say);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
