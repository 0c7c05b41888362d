/* The watchdog: ends a turn that hangs, leaves others alone, sleeps while the loop does. */
#include "services/watchdog.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define WAKES_MAX 30 /* it has a thread of its own */
#else
#define WAKES_MAX 3 /* our own sleep is one */
#endif

static struct page page;
static uv_loop_t loop;
static struct watchdog *watchdog;
static bool closed;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void setup(void)
{
    signal(SIGABRT, SIG_DFL);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(watchdog_start(&loop, &page, &watchdog), CVM_OK);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void stop(void)
{
    watchdog_stop(watchdog, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(closed);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void begin(int64_t limit_ms)
{
    snprintf(page.components[0], sizeof page.components[0], "test.faulty");
    page.hard_limit_ns = limit_ms * 1000000;
    page.turn_started_ns = now_ns();
    atomic_store(&page.in_turn, 1);
}

static void end(void)
{
    atomic_store(&page.in_turn, 0);
}

static void burn(int64_t ms)
{
    int64_t until = now_ns() + ms * 1000000;
    while (now_ns() < until)
        ;
}

START_TEST(ends_an_endless_loop)
{
    begin(100);
    burn(3000);
    ck_abort_msg("still there");
}
END_TEST

START_TEST(ends_a_turn_that_waits)
{
    begin(100);
    sleep(3);
    ck_abort_msg("still there");
}
END_TEST

START_TEST(leaves_turns_within_their_limit)
{
    for (int i = 0; i < 4; i++) {
        begin(300);
        burn(150);
        end();
    }
    begin(0); /* no limit */
    burn(300);
    end();
    stop();
}
END_TEST

static void *compete(void *arg)
{
    while (!atomic_load((atomic_bool *)arg))
        ;
    return NULL;
}

/* The turn needs 60 ms of the processor and gets a small part of it: past its limit by the wall, not by its own time.
 */
START_TEST(leaves_a_turn_that_was_not_scheduled)
{
    enum { RIVALS = 24 };
    pthread_t rivals[RIVALS];
    atomic_bool enough = false;
    struct timespec t;
    for (int i = 0; i < RIVALS; i++)
        ck_assert_int_eq(pthread_create(&rivals[i], NULL, compete, &enough), 0);
    begin(250);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec == 0 && t.tv_nsec < 60 * 1000000);
    end();
    atomic_store(&enough, true);
    for (int i = 0; i < RIVALS; i++)
        pthread_join(rivals[i], NULL);
    stop();
}
END_TEST

static void turn_in_idle(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    begin(100);
    burn(3000);
}

static void start_turn(uv_timer_t *timer)
{
    static uv_idle_t idle;
    uv_idle_init(timer->loop, &idle);
    uv_idle_start(&idle, turn_in_idle);
}

/* As the core does it: after a long sleep of the loop, a turn from an idle handle. */
START_TEST(wakes_with_the_loop)
{
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, start_turn, 500, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_abort_msg("still there");
}
END_TEST

START_TEST(sleeps_while_the_loop_sleeps)
{
    struct rusage before, after;
    usleep(500000);
    getrusage(RUSAGE_SELF, &before);
    sleep(1);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, WAKES_MAX);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *c = tcase_create("watchdog");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_set_timeout(c, 20);
    tcase_add_test_raise_signal(c, ends_an_endless_loop, SIGABRT);
    tcase_add_test_raise_signal(c, ends_a_turn_that_waits, SIGABRT);
    tcase_add_test(c, leaves_turns_within_their_limit);
    tcase_add_test(c, leaves_a_turn_that_was_not_scheduled);
    tcase_add_test_raise_signal(c, wakes_with_the_loop, SIGABRT);
    tcase_add_test(c, sleeps_while_the_loop_sleeps);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
