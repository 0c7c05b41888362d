/* The supervisor: what it makes of a dead host, when it starts it again, and a whole run over a host that is this very
 * program with another argument. */
#include "services/supervisor.h"

#include "services/blame.h"

#include "core/log.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED 9 /* a wait status */

static struct page *page;
static int page_fd, ready_fd;
static char text[512];
static struct blame_time at = {.now_ms = 1000000, .window_ms = 60000};

static void setup(void)
{
    ck_assert_int_eq(blame_page_new(&page_fd, &page), CVM_OK);
    ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    log_open(NULL, LOG_ERROR + 1, 0);
}

static void begin_turn(uint64_t message)
{
    snprintf(page->components[3], sizeof page->components[3], "test.faulty");
    page->component = 3;
    page->message = (cvm_id){0xabc, message};
    page->turn_started_ns = 1;
    atomic_store(&page->in_turn, 1);
}

START_TEST(names_component_and_message)
{
    begin_turn(1);
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "component test.faulty was handling MSG-0000000000000abc0000000000000001"));
    ck_assert_ptr_nonnull(strstr(text, "signal 9"));
    ck_assert_int_eq(atomic_load(&page->in_turn), 0);
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 1}), 1);
}
END_TEST

START_TEST(counts_a_second_crash_of_the_same_message)
{
    begin_turn(1);
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_ptr_null(strstr(text, "dead letters"));
    begin_turn(2);
    blame_examine(page, KILLED, at, text, sizeof text);
    begin_turn(1);
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "dead letters"));
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 1}), 2);
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 2}), 1);
}
END_TEST

START_TEST(says_nothing_where_no_handler_ran)
{
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(page->next_suspect, 0);
}
END_TEST

START_TEST(believes_nothing_on_the_page)
{
    begin_turn(1);
    page->component = UINT32_MAX;
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "component number 4294967295"));
    begin_turn(2);
    memset(page->components[3], 'x', sizeof page->components[3]);
    blame_examine(page, KILLED, at, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "xxx was handling"));
}
END_TEST

/* ---- quarantine ---- */

#define CRASHED SIGSEGV /* a wait status */

static void crash(const char *component, int wait_status, int64_t after_ms)
{
    begin_turn(7);
    snprintf(page->components[3], sizeof page->components[3], "%s", component);
    at.now_ms += after_ms;
    blame_examine(page, wait_status, at, text, sizeof text);
}

START_TEST(second_crash_in_the_window_is_quarantine)
{
    crash("test.faulty", CRASHED, 0);
    crash("test.other", CRASHED, 1000);
    ck_assert_str_eq(page->quarantine[0], "");
    crash("test.faulty", CRASHED, 59000);
    ck_assert_str_eq(page->quarantine[0], "test.faulty");
    ck_assert_ptr_nonnull(strstr(text, "quarantined"));
    ck_assert_str_eq(page->quarantine[1], "");
}
END_TEST

START_TEST(crashes_far_apart_are_not)
{
    for (int i = 0; i < 5; i++)
        crash("test.faulty", CRASHED, 60001);
    ck_assert_str_eq(page->quarantine[0], "");
}
END_TEST

START_TEST(what_others_kill_is_not_to_blame)
{
    for (int i = 0; i < 5; i++)
        crash("test.faulty", KILLED, 1);
    ck_assert_str_eq(page->quarantine[0], "");
    page->exit_reason = 1; /* the watchdog's */
    crash("test.faulty", SIGABRT, 1);
    page->exit_reason = 1;
    crash("test.faulty", KILLED, 1);
    ck_assert_str_eq(page->quarantine[0], "test.faulty");
}
END_TEST

START_TEST(plugin_that_crashes_while_it_is_loaded)
{
    for (int i = 0; i < 2; i++) {
        snprintf(page->loading, sizeof page->loading, "faulty");
        blame_examine(page, CRASHED, at, text, sizeof text);
        ck_assert_ptr_nonnull(strstr(text, "plugin faulty was being loaded"));
    }
    ck_assert_str_eq(page->quarantine[0], "faulty");
    ck_assert_str_eq(page->loading, "");
}
END_TEST

START_TEST(blames_are_bounded)
{
    char name[32], names[64];
    for (int i = 0; i < 3 * PAGE_BLAMES_MAX; i++) {
        snprintf(name, sizeof name, "test.c%d", i);
        crash(name, CRASHED, 1);
    }
    ck_assert_int_eq(blame_all(page, at, names, sizeof names), PAGE_BLAMES_MAX);
    ck_assert_uint_eq(strlen(names), sizeof names - 1);
    memset(page->blames, 'x', sizeof page->blames); /* believed no more than the rest */
    memset(page->quarantine, 'x', sizeof page->quarantine);
    crash("test.faulty", CRASHED, 1);
    blame_all(page, at, names, sizeof names);
}
END_TEST

START_TEST(forgets_the_oldest_suspect)
{
    for (uint64_t i = 1; i <= PAGE_SUSPECTS_MAX + 1; i++) {
        begin_turn(i);
        blame_examine(page, KILLED, at, text, sizeof text);
    }
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 1}), 0);
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 2}), 1);
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, PAGE_SUSPECTS_MAX + 1}), 1);
}
END_TEST

START_TEST(waits_longer_each_time)
{
    ck_assert_int_eq(supervisor_delay_ms(0, 5000), 0);
    ck_assert_int_eq(supervisor_delay_ms(1, 5000), 100);
    ck_assert_int_eq(supervisor_delay_ms(2, 5000), 200);
    ck_assert_int_eq(supervisor_delay_ms(6, 5000), 3200);
    ck_assert_int_eq(supervisor_delay_ms(7, 5000), 5000);
    ck_assert_int_eq(supervisor_delay_ms(1000, 5000), 5000);
}
END_TEST

/* Runs a supervisor over this program as host, playing `role`; gives the supervisor's exit status. */
static int run_with(const char *role, struct supervisor_options options)
{
    const char *argv[] = {"test_supervisor", "host", role, NULL};
    options.argv = options.self = argv;
    options.fds = (struct host_fds){.http = -1, .control = -1, .page = page_fd, .ready = ready_fd, .lock = -1};
    options.page = page;
    options.delay_max_ms = 50;
    options.version = "1.0.0";
    options.serving = "";
    options.window_ms = options.window_ms ? options.window_ms : 60000;
    options.ready_ms = options.ready_ms ? options.ready_ms : 10000;
    return supervisor_run(&options);
}

static int run(const char *role, int restarts_max)
{
    return run_with(role, (struct supervisor_options){.restarts_max = restarts_max});
}

START_TEST(ends_with_a_host_that_ends)
{
    ck_assert_int_eq(run("0", 5), 0);
    ck_assert_uint_eq(page->restarts, 0);
}
END_TEST

START_TEST(does_not_repeat_what_cannot_succeed)
{
    ck_assert_int_eq(run("3", 5), 3);
    ck_assert_int_eq(run("2", 5), 2);
    ck_assert_int_eq(run("1", 5), 1); /* never served */
    ck_assert_uint_eq(page->restarts, 0);
}
END_TEST

START_TEST(restarts_until_it_serves)
{
    ck_assert_int_eq(run("crash-thrice", 5), 0);
    ck_assert_uint_eq(page->restarts, 3);
}
END_TEST

/* Four restarts, one more in safe mode. */
START_TEST(gives_up_when_it_crashes_in_safe_mode)
{
    ck_assert_int_eq(run("crash", 4), SUPERVISOR_UNSAFE);
    ck_assert_uint_eq(page->restarts, 5);
    ck_assert_uint_eq(page->safe, 1);
}
END_TEST

START_TEST(restarts_a_host_that_failed_after_it_served)
{
    ck_assert_int_eq(run("serve-then-1", 2), SUPERVISOR_UNSAFE);
    ck_assert_uint_eq(page->restarts, 3);
}
END_TEST

/* Killed from outside in turns of a component: nobody's own doing, but safe mode tries without it. */
START_TEST(safe_mode_leaves_out_who_ran)
{
    ck_assert_int_eq(run("killed-in-turn-until-safe", 3), 0);
    ck_assert_uint_eq(page->restarts, 4);
    ck_assert_str_eq(page->quarantine[0], "test.faulty");
}
END_TEST

START_TEST(safe_mode_ends)
{
    struct supervisor_options options = {.restarts_max = 0, .window_ms = 200};
    ck_assert_int_eq(run_with("serve-until-calm", options), 0);
    ck_assert_uint_eq(page->restarts, 1);
}
END_TEST

/* It neither serves nor ends: that is a crash, also at the very first start. */
START_TEST(host_that_does_not_serve_is_ended)
{
    ck_assert_int_eq(run_with("sleep", (struct supervisor_options){.restarts_max = 1, .ready_ms = 50}),
                     SUPERVISOR_UNSAFE);
    ck_assert_uint_eq(page->restarts, 2);
}
END_TEST

START_TEST(restarts_after_a_handler_that_exits)
{
    ck_assert_int_eq(run("exit-in-turn", 5), 0);
    ck_assert_uint_eq(page->restarts, 2);
    ck_assert_uint_eq(page_crashes(page, (cvm_id){0xabc, 1}), 2);
}
END_TEST

START_TEST(forwards_the_stop)
{
    pid_t self = getpid(), helper = fork();
    if (helper == 0) {
        usleep(200000);
        kill(self, SIGTERM);
        _exit(0);
    }
    ck_assert_int_eq(run("wait-for-term", 2), 7);
    ck_assert_uint_eq(page->restarts, 0);
    waitpid(helper, NULL, 0);
}
END_TEST

static void on_term(int signal_number)
{
    (void)signal_number;
    _exit(7);
}

/* The host process of the tests above. */
static int play(const char *role, int ready)
{
    uint64_t one = 1;
    if (strcmp(role, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(role, "crash-thrice") == 0) {
        if (page->restarts < 3)
            raise(SIGSEGV);
        return 0;
    }
    if (strcmp(role, "exit-in-turn") == 0) { /* with statuses that else end the supervisor too */
        page->message = (cvm_id){0xabc, 1};
        atomic_store(&page->in_turn, page->restarts < 2);
        return page->restarts == 0 ? 3 : 0;
    }
    if (strcmp(role, "serve-then-1") == 0)
        return write(ready, &one, sizeof one) == sizeof one ? 1 : 0;
    if (strcmp(role, "killed-in-turn-until-safe") == 0) {
        if (page->safe)
            return 0;
        begin_turn(page->restarts);
        raise(SIGKILL);
    }
    if (strcmp(role, "serve-until-calm") == 0) {
        if (page->restarts == 0)
            raise(SIGKILL);
        if (write(ready, &one, sizeof one) != sizeof one)
            return 1;
        while (page->safe)
            usleep(1000);
        return 0;
    }
    if (strcmp(role, "sleep") == 0)
        for (;;)
            pause();
    if (strcmp(role, "wait-for-term") == 0) {
        sigset_t none; /* it comes blocked, so that a host does not die before it is ready to stop */
        sigemptyset(&none);
        signal(SIGTERM, on_term);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (;;)
            pause();
    }
    return (int)strtol(role, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 5) { /* "host", the role, --fds and them */
        int ready;
        if (sscanf(argv[4], "%*d,%*d,%d,%d", &page_fd, &ready) != 2)
            return 2;
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
        return play(argv[2], ready);
    }
    Suite *suite = suite_create("supervisor");
    TCase *c = tcase_create("supervisor");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, names_component_and_message);
    tcase_add_test(c, counts_a_second_crash_of_the_same_message);
    tcase_add_test(c, says_nothing_where_no_handler_ran);
    tcase_add_test(c, believes_nothing_on_the_page);
    tcase_add_test(c, forgets_the_oldest_suspect);
    tcase_add_test(c, waits_longer_each_time);
    tcase_add_test(c, ends_with_a_host_that_ends);
    tcase_add_test(c, does_not_repeat_what_cannot_succeed);
    tcase_add_test(c, restarts_until_it_serves);
    tcase_add_test(c, second_crash_in_the_window_is_quarantine);
    tcase_add_test(c, crashes_far_apart_are_not);
    tcase_add_test(c, what_others_kill_is_not_to_blame);
    tcase_add_test(c, plugin_that_crashes_while_it_is_loaded);
    tcase_add_test(c, blames_are_bounded);
    tcase_add_test(c, gives_up_when_it_crashes_in_safe_mode);
    tcase_add_test(c, safe_mode_leaves_out_who_ran);
    tcase_add_test(c, safe_mode_ends);
    tcase_add_test(c, host_that_does_not_serve_is_ended);
    tcase_add_test(c, restarts_a_host_that_failed_after_it_served);
    tcase_add_test(c, restarts_after_a_handler_that_exits);
    tcase_add_test(c, forwards_the_stop);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
