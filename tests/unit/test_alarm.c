/* The heap of deadlines against a plain list: what fires, and in which order. */
#include "core/internal.h"

#include <check.h>
#include <stdlib.h>

#define N 2000

static uint64_t seed = 7;
static struct alarm *fired[N];
static int n_fired;

static uint64_t next(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed >> 33;
}

static void fire(struct core *core, struct alarm *alarm)
{
    (void)core;
    fired[n_fired++] = alarm;
}

static void check_heap(const struct core *core)
{
    for (size_t i = 1; i <= core->alarms.n; i++) {
        const struct alarm *a = core->alarms.at[i - 1], *up = core->alarms.at[i / 2 ? i / 2 - 1 : 0];
        ck_assert_uint_eq(a->index, i);
        ck_assert(a == up || up->at_ms < a->at_ms || (up->at_ms == a->at_ms && up->order < a->order));
    }
}

START_TEST(order)
{
    static struct alarm alarms[N];
    struct core *core = calloc(1, sizeof *core);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 100; i++) {
            struct alarm *a = &alarms[next() % N];
            if (next() % 3)
                ck_assert_int_eq(alarm_set(core, a, core->now_ms + (int64_t)(next() % 50), fire), 0);
            else
                alarm_clear(core, a);
        }
        check_heap(core);
        core->now_ms += (int64_t)(next() % 20);
        int due = 0;
        for (int i = 0; i < N; i++)
            due += alarms[i].index && alarms[i].at_ms <= core->now_ms;
        n_fired = 0;
        ck_assert_int_eq(alarms_fire(core, N), due);
        ck_assert_int_eq(n_fired, due);
        for (int i = 0; i < due; i++) {
            const struct alarm *a = fired[i], *before = i ? fired[i - 1] : NULL;
            ck_assert(!a->index && a->at_ms <= core->now_ms);
            ck_assert(!before || before->at_ms < a->at_ms || (before->at_ms == a->at_ms && before->order < a->order));
        }
        ck_assert(alarm_next(core) > core->now_ms);
        check_heap(core);
    }
    free(core->alarms.at);
    free(core);
}
END_TEST

/* One that is set again from its own firing, and one that clears another that is due as well. */
static int again;
static struct alarm other;

static void fire_again(struct core *core, struct alarm *alarm)
{
    alarm_clear(core, &other);
    if (++again < 3)
        alarm_set(core, alarm, core->now_ms + 10, fire_again);
}

START_TEST(changes_while_firing)
{
    static struct alarm one;
    struct core *core = calloc(1, sizeof *core);
    alarm_set(core, &one, 5, fire_again);
    alarm_set(core, &other, 5, fire);
    n_fired = 0;
    for (core->now_ms = 0; core->now_ms < 100; core->now_ms++)
        alarms_fire(core, 10);
    ck_assert_int_eq(again, 3);
    ck_assert_int_eq(n_fired, 0);
    ck_assert_int_eq(alarm_next(core), INT64_MAX);
    free(core->alarms.at);
    free(core);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("alarm");
    TCase *c = tcase_create("alarm");
    tcase_add_test(c, order);
    tcase_add_test(c, changes_while_firing);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
