/* Commands in a home where no host runs: each starts a private one, or uses that of another command, and leaves none
 * behind. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMANDS 6

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_write(f, "config/cvmhost.json", "{\"plugins\": {\"inline\": [\"*\"]}}");
    return f;
}

static pid_t spawn_command(struct flow *f, const char *name, const char *const *words)
{
    const char *argv[16] = {"host/cvmhost"};
    for (int n = 1; words[n - 1] && n < 15; n++)
        argv[n] = words[n - 1];
    return flow_spawn(f, name, argv);
}

#define SPAWN(f, name, ...) spawn_command(f, name, (const char *const[]){__VA_ARGS__, NULL})

static bool nobody_left(struct flow *f)
{
    return FLOW_RUN(f, NULL, "ps", "--no-start") == 1;
}

static int count_log(struct flow *f, const char *text)
{
    char *log = flow_log(f);
    int n = 0;
    for (const char *at = log; (at = strstr(at, text)); at++)
        n++;
    free(log);
    return n;
}

START_TEST(starts_a_host_for_itself)
{
    struct flow *f = home();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "ok", "hello"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "text: hello"));
    ck_assert_str_eq(a.errors, "");
    flow_answer_free(&a);
    FLOW_UNTIL(nobody_left(f));
    ck_assert_int_eq(count_log(f, "serving commands in"), 1);
    ck_assert(!flow_logged(f, "serving on http"));
    EXPECT(f, 0, "test.echo_a", "plugin", "list", "--kind", "provider");
    EXPECT(f, 5, "refused: ", "faulty", "refuse");
    EXPECT(f, 4, "no component \"none\" is loaded", "agent", "call", "none", "ok");
    EXPECT(f, 1, "no operation \"none\"", "agent", "call", "test.faulty", "none");
    FLOW_UNTIL(nobody_left(f));
    flow_free(f);
}
END_TEST

START_TEST(what_it_did_is_kept)
{
    struct flow *f = home();
    for (int i = 0; i < 3; i++)
        EXPECT(f, 0, "", "faulty", "count");
    EXPECT(f, 0, "count: 3", "faulty", "counted");
    EXPECT(f, 0, "value: 3", "state", "get", "test.faulty", "count");
    flow_free(f);
}
END_TEST

/* While one works, others use its host; all of many that start at once are served. */
START_TEST(commands_share_one)
{
    struct flow *f = home();
    pid_t slow = SPAWN(f, "slow", "agent", "call", "test.faulty", "never", "--timeout", "2");
    flow_wait_log(f, "serving commands in");
    pid_t all[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        all[i] = SPAWN(f, name, "faulty", "count");
    }
    int status;
    for (int i = 0; i < COMMANDS; i++)
        ck_assert(waitpid(all[i], &status, 0) == all[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(count_log(f, "serving commands in"), 1);
    ck_assert(waitpid(slow, &status, 0) == slow && WEXITSTATUS(status) == 1);
    FLOW_UNTIL(nobody_left(f));
    for (int i = 0; i < COMMANDS; i++) { /* nobody there: all of them may start one */
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        all[i] = SPAWN(f, name, "faulty", "count");
    }
    for (int i = 0; i < COMMANDS; i++)
        ck_assert(waitpid(all[i], &status, 0) == all[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(f, 0, "count: 12", "faulty", "counted");
    flow_free(f);
}
END_TEST

START_TEST(ends_when_its_command_is_killed)
{
    struct flow *f = home();
    pid_t slow = SPAWN(f, "slow", "agent", "call", "test.faulty", "never");
    flow_wait_log(f, "serving commands in");
    EXPECT(f, 0, "test.faulty", "ps", "--no-start");
    kill(slow, SIGKILL);
    FLOW_UNTIL(nobody_left(f));
    flow_free(f);
}
END_TEST

START_TEST(a_host_that_stays_waits_for_it)
{
    struct flow *f = home();
    pid_t slow = SPAWN(f, "slow", "agent", "call", "test.faulty", "never", "--timeout", "0.5");
    flow_wait_log(f, "serving commands in");
    flow_start(f);
    ck_assert_int_eq(waitpid(slow, NULL, WNOHANG), slow);
    char *said = flow_read(f, "serve.err");
    ck_assert_ptr_nonnull(strstr(said, "waiting for a command that works in"));
    free(said);
    EXPECT(f, 0, "test.faulty", "ps");
    flow_end(f);
}
END_TEST

START_TEST(says_why_there_is_none)
{
    struct flow *f = home();
    struct stat st;
    char path[128];
    EXPECT(f, 1, "no host is running in", "ps", "--no-start");
    EXPECT(f, 1, "no host is running in", "reload");
    EXPECT(f, 1, "no host is running in", "bus", "tail");
    EXPECT(f, 1, "there is no home at /nonexistent", "ps", "--home", "/nonexistent");
    flow_env(f, "CVMHOST_NO_START", "1");
    EXPECT(f, 1, "start it with: cvmhost serve --home", "faulty", "ok");
    flow_env(f, "CVMHOST_NO_START", "");
    snprintf(path, sizeof path, "%s/plugins", f->home); /* a folder of libraries is no home */
    EXPECT(f, 1, "it is no home: there are no manifests", "ps", "--home", path);
    snprintf(path, sizeof path, "%s/plugins/data", f->home);
    ck_assert_int_ne(stat(path, &st), 0);
    flow_write(f, "config/cvmhost.json", "{\"plugins\": {\"inlin\": []}}");
    EXPECT(f, 3, "none can be started there: ", "ps");
    EXPECT(f, 3, "plugins.inlin", "ps");
    flow_write(f, "config/cvmhost.json", "{}");
    EXPECT(f, 0, "ok: true", "faulty", "ok"); /* in a process of its own */
    flow_free(f);
}
END_TEST

START_TEST(root_does_not_take_the_data)
{
    struct flow *f = home();
    char path[128];
    EXPECT(f, 0, "", "faulty", "count");
    FLOW_UNTIL(nobody_left(f));
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    if (geteuid() == 0) { /* only root can give a file away */
        ck_assert_int_eq(chown(path, 1234, 1234), 0);
        EXPECT(f, 1, "its data belong to user 1234: run the command as that user", "faulty", "count");
        ck_assert_int_eq(chown(path, 0, 0), 0);
    }
    EXPECT(f, 0, "count: 1", "faulty", "counted");
    flow_free(f);
}
END_TEST

START_TEST(survives_a_crash_of_its_host)
{
    struct flow *f = home();
    EXPECT(f, 1, "failed: ", "agent", "call", "test.faulty", "crash");
    ck_assert(flow_logged(f, "goes to the dead letters"));
    EXPECT(f, 0, "crash", "dlq", "list");
    flow_free(f);
}
END_TEST

START_TEST(knows_the_commands_of_the_installed_set)
{
    struct flow *f = home();
    static const char *const moves[][2] = {{"plugins/echo.so", "lib/cvmhost/plugins/echo.so"},
                                           {"manifests/echo.json", "share/cvmhost/manifests/echo.json"},
                                           {"manifests/faulty.json", "plugins/faulty.json"}};
    char from[160], to[160];
    flow_write(f, "lib/cvmhost/plugins/x", "");
    flow_write(f, "share/cvmhost/manifests/x", "");
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        snprintf(from, sizeof from, "%s/%s", f->home, moves[i][0]);
        snprintf(to, sizeof to, "%s/%s", f->home, moves[i][1]);
        ck_assert_int_eq(rename(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/lib/cvmhost", f->home);
    flow_env(f, "CVMHOST_INSTALLED", to);
    EXPECT(f, 0, "echo publish", "help");
    EXPECT(f, 0, "faulty count", "help"); /* dropped in beside its library */
    EXPECT(f, 0, "published: true", "echo", "publish");
    EXPECT(f, 0, "text: a", "faulty", "ok", "a");
    flow_free(f);
}
END_TEST

/* What one agent gives another passes the bus, and is shown. */
START_TEST(trace_lists_every_hop)
{
    static const char *const hops[] = {"outside -> service.desk  process_enquiry",
                                       "service.desk -> host.conversation  converse",
                                       "host.conversation -> service.triage  handle",
                                       "service.triage -> host.conversation  handle = REPLIED",
                                       "host.conversation -> service.classifier  handle",
                                       "service.classifier -> host.conversation  handle = REPLIED",
                                       "host.conversation -> service.orchestrator  handle",
                                       "host.conversation -> service.airtime_sales  handle",
                                       "service.airtime_sales -> host.conversation  handle = REPLIED",
                                       "host.conversation -> service.transaction  handle",
                                       "service.transaction -> service.airtime_sales  deliver",
                                       "service.airtime_sales -> provider.network.mtn  vend",
                                       "provider.network.mtn -> service.airtime_sales  vend = ",
                                       "service.airtime_sales -> service.transaction  deliver = ",
                                       "service.transaction -> host.conversation  handle = REPLIED",
                                       "host.conversation -> service.response_generator  handle",
                                       "host.conversation -> service.desk  converse = REPLIED"};
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_product(f);
    char *config = json_dumps(f->config, 0);
    flow_write(f, "config/cvmhost.json", config);
    free(config);
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "enquiry", "submit", "I want to buy 1000 naira MTN airtime for 08031234567", "--trace"), 0);
    const char *at = a.errors;
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
        const char *found = strstr(at, hops[i]);
        ck_assert_msg(found, "no \"%s\" (or not in its place) in:\n%s", hops[i], a.errors);
        at = found;
    }
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

/* How many lines of the level the command adds to the log. */
static int logged_by(struct flow *f, const char *level, const char *option)
{
    int before = count_log(f, level);
    EXPECT(f, 1, "failed: ", "agent", "call", "test.faulty", "error", option ? "--log-level" : NULL, option);
    FLOW_UNTIL(nobody_left(f));
    return count_log(f, level) - before;
}

#define DEBUG "\"level\":\"DEBUG\""
#define INFO "\"level\":\"INFO\""

START_TEST(log_level_by_option_variable_and_file)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_env(f, "LOG_LEVEL", "");
    ck_assert_int_gt(logged_by(f, INFO, NULL), 0); /* the default */
    ck_assert_int_eq(logged_by(f, DEBUG, NULL), 0);
    flow_write(f, "config/cvmhost.json",
               "{\"plugins\": {\"inline\": [\"*\"]}, \"host\": {\"log_level\": \"WARNING\"}}");
    ck_assert_int_eq(logged_by(f, INFO, NULL), 0); /* the file */
    flow_env(f, "LOG_LEVEL", "DEBUG");
    ck_assert_int_gt(logged_by(f, DEBUG, NULL), 0); /* the variable before the file */
    ck_assert_int_eq(logged_by(f, DEBUG, "WARNING"), 0);
    flow_env(f, "LOG_LEVEL", "ERROR");
    ck_assert_int_gt(logged_by(f, DEBUG, "DEBUG"), 0); /* the option before the variable */
    ck_assert_int_eq(logged_by(f, INFO, "WARNING"), 0);
    /* A level that was asked for is shown; and what an area logs stands in its own file too. */
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "test.faulty", "error", "--log-level", "DEBUG"), 1);
    ck_assert_ptr_nonnull(strstr(a.errors, "DEBUG   test.faulty: error: "));
    flow_answer_free(&a);
    char *area = flow_read(f, "logs/test.log");
    ck_assert_ptr_nonnull(area);
    ck_assert_ptr_nonnull(strstr(area, "\"about\":\"test.faulty\""));
    ck_assert_ptr_null(strstr(area, "\"about\":\"host\""));
    free(area);
    EXPECT(f, 2, "--log-level: expected DEBUG, INFO, WARNING or ERROR", "ps", "--log-level", "LOUD");
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("oneshot");
    tcase_set_timeout(tests, 90);
    tcase_add_test(tests, starts_a_host_for_itself);
    tcase_add_test(tests, what_it_did_is_kept);
    tcase_add_test(tests, commands_share_one);
    tcase_add_test(tests, ends_when_its_command_is_killed);
    tcase_add_test(tests, a_host_that_stays_waits_for_it);
    tcase_add_test(tests, says_why_there_is_none);
    tcase_add_test(tests, root_does_not_take_the_data);
    tcase_add_test(tests, survives_a_crash_of_its_host);
    tcase_add_test(tests, knows_the_commands_of_the_installed_set);
    tcase_add_test(tests, trace_lists_every_hop);
    tcase_add_test(tests, log_level_by_option_variable_and_file);
    return flow_main("oneshot", (TCase *[]){tests, NULL});
}
