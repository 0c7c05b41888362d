/* What cvm.allocation keeps of days long gone: nothing. */
#include "../../plugins/cvm/treatments/treatments.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdio.h>

#define DAY_MS INT64_C(86400000)

static struct harness *started(void)
{
    struct harness *h = harness_new(0);
    harness_home(h, "/nonexistent"); /* no treatments that people wrote */
    harness_add(h, &cvm_plugin, TREATMENTS_MANIFEST);
    harness_run(h, 0);
    return h;
}

/* Units of a treatment, taken so many days ago. */
static void taken(struct harness *h, const char *id, int days_ago)
{
    char key[ALLOCATION_KEY_SIZE], day[ZONE_DAY_SIZE];
    struct zone z = {0};
    zone_day(&z, harness_now(h) - days_ago * DAY_MS, day);
    harness_state_put(h, ALLOCATION, used_key(id, day, key), 1, json_integer(days_ago));
}

static size_t kept(struct harness *h, const char *prefix)
{
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_state(h, ALLOCATION), key, value) n +=
        strncmp(key, prefix, strlen(prefix)) == 0;
    return n;
}

static size_t armed(struct harness *h)
{
    const json_t *timer;
    size_t i, n = 0;
    json_array_foreach((json_t *)(uintptr_t)harness_timers(h), i, timer) n +=
        strcmp(cvm_json_str(timer, "component", ""), ALLOCATION) == 0 &&
        strcmp(cvm_json_str(timer, "type", ""), "prune") == 0;
    return n;
}

START_TEST(units_of_old_days_are_forgotten)
{
    struct harness *h = started();
    for (int days = 0; days <= 60; days += 10)
        taken(h, "call", days);
    taken(h, "call", 38);
    taken(h, "call", 42);
    harness_state_put(h, ALLOCATION, "reset/call", 1, json_integer(1));
    harness_run(h, DAY_MS - 1000);
    ck_assert_uint_eq(kept(h, "used/"), 9);
    harness_run(h, 2000);
    ck_assert_uint_eq(kept(h, "used/call/"), 5); /* of 0, 10, 20, 30 and 38 days; 40 and more were 41 by now */
    ck_assert_uint_eq(kept(h, "reset/"), 1);
    ck_assert_uint_eq(armed(h), 1);
    harness_run(h, DAY_MS); /* and each day */
    ck_assert_uint_eq(kept(h, "used/call/"), 5);
    harness_run(h, DAY_MS);
    ck_assert_uint_eq(kept(h, "used/call/"), 4);
    harness_free(h);
}
END_TEST

/* More than fit into a turn. */
START_TEST(many_go_in_many_turns)
{
    struct harness *h = started();
    char id[32];
    for (int i = 0; i < 2500; i++) {
        snprintf(id, sizeof id, "t%04d", i);
        taken(h, id, i % 2 ? 100 : 1);
    }
    harness_run(h, DAY_MS + 1000);
    ck_assert_uint_eq(kept(h, "used/"), 1250);
    ck_assert_uint_eq(armed(h), 1);
    harness_replace(h, &cvm_plugin, TREATMENTS_MANIFEST); /* starts again: one timer all the same */
    harness_run(h, 0);
    ck_assert_uint_eq(armed(h), 1);
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("allocation");
    TCase *c = tcase_create("allocation");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, units_of_old_days_are_forgotten);
    tcase_add_test(c, many_go_in_many_turns);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
