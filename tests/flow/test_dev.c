/* `cvmhost dev`: a saved file becomes a build, a build a reload, and every one of them is told. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a person would give as --build: the "compiler" refuses a source that says so. */
static const char build_script[] = "set -e\n"
                                   "if grep -q BROKEN \"$CVMHOST_HOME/src/source.c\"; then echo 'source.c:1: broken'; "
                                   "exit 1; fi\n"
                                   "cp \"$CVMHOST_HOME/src/source.c\" \"$CVMHOST_HOME/built.txt\"\n";

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_write(f, "config/cvmhost.json", "{}"); /* echo is not trusted there */
    flow_write(f, "src/source.c", "one\n");
    flow_write(f, "src/build.sh", build_script);
    return f;
}

/* At least n times in what it printed. */
static bool told(struct flow *f, const char *text, int n)
{
    char *out = flow_read(f, "dev.txt"), *at = out;
    for (; n > 0 && at && (at = strstr(at, text)); n--)
        at++;
    free(out);
    return n == 0;
}

static pid_t start_dev(struct flow *f, bool build)
{
    char command[160], sources[128];
    snprintf(command, sizeof command, "sh %s/src/build.sh", f->home);
    snprintf(sources, sizeof sources, "%s/src", f->home);
    const char *argv[] = {"host/cvmhost", "dev", "--port", "0", build ? "--build" : NULL, command, sources, NULL};
    pid_t pid = flow_spawn(f, "dev", argv);
    FLOW_UNTIL(told(f, "serving on http", 1));
    return pid;
}

static void end_dev(struct flow *f, pid_t pid)
{
    int status;
    kill(pid, SIGINT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "ps", "--no-start"), 1); /* its host is gone too */
    flow_free(f);
}

/* Editors write another file and put it in the place of the old one. */
static void save(struct flow *f, const char *name, const char *text)
{
    char from[160], to[160];
    flow_write(f, "src/.saved", text);
    snprintf(from, sizeof from, "%s/src/.saved", f->home);
    snprintf(to, sizeof to, "%s/%s", f->home, name);
    ck_assert_int_eq(rename(from, to), 0);
}

START_TEST(builds_on_save)
{
    struct flow *f = home();
    pid_t dev = start_dev(f, true);
    ck_assert(told(f, "built in", 1)); /* before it serves */
    char *built = flow_read(f, "built.txt");
    ck_assert_str_eq(built, "one\n");
    free(built);
    save(f, "src/source.c", "two\n");
    FLOW_UNTIL(told(f, "built in", 2));
    ck_assert(told(f, "src/source.c has changed: sh ", 1));
    built = flow_read(f, "built.txt");
    ck_assert_str_eq(built, "two\n");
    free(built);
    save(f, "src/source.c", "BROKEN\n");
    FLOW_UNTIL(told(f, "the build failed (status 1); what runs stays", 1));
    ck_assert(told(f, "source.c:1: broken", 1));
    ck_assert_int_eq(FLOW_RUN(f, NULL, "echo", "publish", "--no-start"), 0);
    flow_write(f, "src/deeper/new.c", "a folder that comes later");
    FLOW_UNTIL(told(f, "the build failed", 2));
    flow_sleep_ms(300);
    ck_assert(!told(f, "the build failed", 3)); /* once for each burst of changes */
    end_dev(f, dev);
}
END_TEST

START_TEST(reloads_what_has_changed)
{
    struct flow *f = home();
    pid_t dev = start_dev(f, false);
    char *manifest = flow_read(f, "manifests/echo.json");
    save(f, "manifests/echo.json", manifest);
    FLOW_UNTIL(told(f, "reloading echo\n", 1));
    free(manifest);
    flow_plugin(f, "faulty"); /* two files: one reload of all, or one after the other */
    FLOW_UNTIL(told(f, "reloading ", 2));
    flow_write(f, "plugins/README", "of no plugin");
    flow_sleep_ms(300);
    ck_assert(!told(f, "reloading README", 1));
    end_dev(f, dev);
}
END_TEST

/* From the source to what answers: the "compiler" puts the version of the source into the library. */
START_TEST(a_save_is_served)
{
    struct flow *f = home();
    flow_write(f, "src/build.sh",
               "set -e; cd \"$CVMHOST_HOME\"; v=$(cat src/source.c)\n"
               "sed s/1.0.0/$v/ echo.so >echo.new; sed s/1.0.0/$v/ echo.json >echo.json.new\n"
               "mv echo.new plugins/echo.so; mv echo.json.new manifests/echo.json\n");
    static const char *const moved[][2] = {{"plugins/echo.so", "echo.so"}, {"manifests/echo.json", "echo.json"}};
    for (size_t i = 0; i < 2; i++) {
        char from[160], to[160];
        snprintf(from, sizeof from, "%s/%s", f->home, moved[i][0]);
        snprintf(to, sizeof to, "%s/%s", f->home, moved[i][1]);
        ck_assert_int_eq(rename(from, to), 0);
    }
    flow_write(f, "src/source.c", "1.0.0");
    pid_t dev = start_dev(f, true);
    save(f, "src/source.c", "1.0.1");
    FLOW_UNTIL(told(f, "echo 1.0.0 -> 1.0.1   build ", 1));
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "list"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "echo  1.0.1    probation"));
    flow_answer_free(&a);
    flow_write(f, "plugins/echo.so", "torn");
    FLOW_UNTIL(told(f, "is not an ELF file", 1));
    save(f, "src/source.c", "1.0.2");
    FLOW_UNTIL(told(f, "echo 1.0.1 -> 1.0.2   build ", 1));
    end_dev(f, dev);
}
END_TEST

START_TEST(uses_the_host_that_runs)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_start(f);
    pid_t dev = flow_spawn(f, "dev", (const char *const[]){"host/cvmhost", "dev", NULL});
    FLOW_UNTIL(told(f, "using the host that runs in", 1));
    char *manifest = flow_read(f, "manifests/echo.json");
    flow_write(f, "manifests/echo.json", manifest);
    FLOW_UNTIL(told(f, "reloading echo\n", 1));
    free(manifest);
    kill(dev, SIGINT);
    ck_assert_int_eq(waitpid(dev, NULL, 0), dev);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "ps"), 0);
    flow_end(f);
}
END_TEST

START_TEST(starts_again_what_could_not_start)
{
    struct flow *f = home();
    char *good = flow_read(f, "manifests/echo.json");
    flow_write(f, "manifests/echo.json", "{");
    pid_t dev = flow_spawn(f, "dev", (const char *const[]){"host/cvmhost", "dev", "--port", "0", NULL});
    FLOW_UNTIL(told(f, "the host has ended (status 3); the next change starts it again", 1));
    flow_write(f, "manifests/echo.json", good);
    FLOW_UNTIL(told(f, "serving on http", 1));
    free(good);
    end_dev(f, dev);
}
END_TEST

START_TEST(says_what_is_wrong)
{
    static const struct {
        const char *words[6];
        int status;
        const char *text;
    } wrong[] = {{{"dev", "src"}, 2, "--build is missing"},
                 {{"dev", "--build", "true", "/nonexistent"}, 4, "/nonexistent cannot be watched"},
                 {{"dev", "--home", "/nonexistent"}, 4, "there is no home at /nonexistent"},
                 {{"dev", "--home", "/tmp"}, 1, "a home has plugins/ and manifests/"}};
    struct flow *f = home();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct flow_answer a;
        ck_assert_int_eq(flow_run(f, &a, wrong[i].words), wrong[i].status);
        ck_assert_msg(strstr(a.errors, wrong[i].text), "no \"%s\" in: %s", wrong[i].text, a.errors);
        flow_answer_free(&a);
    }
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("dev");
    tcase_set_timeout(tests, 90);
    tcase_add_test(tests, builds_on_save);
    tcase_add_test(tests, reloads_what_has_changed);
    tcase_add_test(tests, a_save_is_served);
    tcase_add_test(tests, uses_the_host_that_runs);
    tcase_add_test(tests, starts_again_what_could_not_start);
    tcase_add_test(tests, says_what_is_wrong);
    return flow_main("dev", (TCase *[]){tests, NULL});
}
