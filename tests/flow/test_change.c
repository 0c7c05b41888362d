/* Plugins exchanged by commands, as an operator sees it: what is told, what it exits with, what is refused by which
 * rule. That no message is lost meanwhile is tested elsewhere. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct flow *started(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_plugin(f, "faulty");
    flow_start(f);
    return f;
}

/* Another build of a plugin: its version is a text in the library as in the manifest. */
static void put_build(struct flow *f, const char *plugin, const char *from, const char *to)
{
    char command[512];
    snprintf(command, sizeof command, "sed -i 's/%s/%s/' %s/plugins/%s.so %s/manifests/%s.json", from, to, f->home,
             plugin, f->home, plugin);
    pid_t pid = flow_spawn(f, "sed", (const char *const[]){"/bin/sh", "-c", command, NULL});
    int status;
    ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
}

START_TEST(reloads_and_rolls_back)
{
    struct flow *f = started();
    struct flow_answer a;
    EXPECT(f, 0, "nothing has changed: 2 plugins run as they stand in the folders", "reload");
    EXPECT(f, 0, "unchanged", "reload", "echo");
    EXPECT(f, 0, "", "echo", "publish");
    put_build(f, "echo", "1[.]0[.]0", "1.0.1");
    ck_assert_int_eq(FLOW_RUN(f, &a, "reload", "echo"), 0);
    static const char *const lines[] = {"echo 1.0.0 -> 1.0.1   build ",
                                        "… -> ",
                                        "…   on probation (200 turns or 60 s)\n  staged ",
                                        " · vetted ",
                                        " · loaded ",
                                        " · switched ",
                                        " · held 0 messages\n  delivered 3 ",
                                        "= settled 3 + queued 0 + lent 0 + dead 0\n"};
    const char *at = a.text;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg((at = strstr(at, lines[i])), "no \"%s\" in its place in:\n%s", lines[i], a.text);
    ck_assert_ptr_null(strchr(a.text, '\033'));
    flow_answer_free(&a);
    EXPECT(f, 0, "1.0.1    probation, ", "plugin", "list");
    EXPECT(f, 0, "version: 1.0.0", "plugin", "info", "echo"); /* the one before */
    EXPECT(f, 0, "generation: 2", "plugin", "info", "EchoA");
    EXPECT(f, 0, "heard: 1", "agent", "call", "test.echo_b", "heard");
    EXPECT(f, 0, "echo 1.0.1 -> 1.0.0", "rollback", "echo");
    EXPECT(f, 0, "heard: 1", "agent", "call", "test.echo_b", "heard");
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "list", "--output", "json"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(a.json, 0), "version")), "1.0.0");
    flow_answer_free(&a);
    EXPECT(f, 5, "echo has no build before this one", "rollback", "echo");
    ck_assert_int_eq(FLOW_RUN(f, &a, "reload", "echo", "--output", "json"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "result")), "switched");
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(refuses_with_the_step_and_changes_nothing)
{
    struct flow *f = started();
    flow_write(f, "plugins/faulty.so", "no library");
    EXPECT(f, 3, "is not an ELF file (step: vet; nothing was changed)", "reload", "faulty");
    put_build(f, "echo", "1[.]0[.]0", "1.0.1");
    EXPECT(f, 3, "is not an ELF file", "reload"); /* all or none */
    EXPECT(f, 0, "echo    1.0.0    running", "plugin", "list");
    EXPECT(f, 0, "text: a", "faulty", "ok", "a");
    EXPECT(f, 4, "there is no manifest none.json", "reload", "none");
    EXPECT(f, 4, "no plugin none is loaded", "rollback", "none");
    EXPECT(f, 4, "none", "plugin", "remove", "none");
    EXPECT(f, 5, "echo is not disabled", "plugin", "enable", "echo");
    EXPECT(f, 2, "NAME is missing", "rollback");
    EXPECT(f, 2, "there is no option --now here", "reload", "--now");
    EXPECT(f, 4, "there is no component and no quarantined plugin none", "revive", "none");
    EXPECT(f, 0, "revived: true", "revive", "test.faulty");
    flow_end(f);
}
END_TEST

START_TEST(takes_out_and_puts_back)
{
    struct flow *f = started();
    EXPECT(f, 0, "faulty 1.0.0   build ", "plugin", "disable", "faulty");
    EXPECT(f, 0, "faulty           disabled", "plugin", "list");
    EXPECT(f, 2, "there is no command \"faulty ok\"", "faulty", "ok");
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 404);
    EXPECT(f, 5, "faulty is disabled already", "plugin", "disable", "faulty");
    ck_assert_int_eq(flow_stop(f), 0);
    f->served = 0;
    flow_remove(f, "serve.err");
    flow_start(f);
    EXPECT(f, 0, "disabled", "plugin", "list");
    EXPECT(f, 0, "enabled", "plugin", "enable", "faulty");
    EXPECT(f, 0, "text: a", "faulty", "ok", "a");
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    EXPECT(f, 0, "removed", "plugin", "remove", "faulty", "--now");
    EXPECT(f, 4, "there is no plugin or component faulty", "plugin", "info", "faulty");
    char *text = flow_read(f, "data/removed/faulty.json");
    ck_assert_ptr_nonnull(text);
    free(text);
    flow_plugin(f, "faulty");
    EXPECT(f, 0, "faulty 1.0.0", "reload");
    EXPECT(f, 0, "text: a", "faulty", "ok", "a");
    flow_end(f);
}
END_TEST

/* What the new build faults on the old one does; the list counts it. */
START_TEST(shows_strikes_and_what_was_rolled_back)
{
    struct flow *f = started();
    put_build(f, "faulty", "1[.]0[.]0", "1.0.1");
    EXPECT(f, 0, "faulty 1.0.0 -> 1.0.1", "reload", "faulty");
    EXPECT(f, 1, "failed: ", "agent", "call", "test.faulty", "fault");
    EXPECT(f, 0, "probation, 1 strike, ", "plugin", "list");
    EXPECT(f, 0, "strikes: 1", "plugin", "info", "faulty");
    for (int i = 0; i < 4; i++)
        EXPECT(f, 1, "failed: ", "agent", "call", "test.faulty", "fault");
    flow_wait_log(f, "rolled back");
    EXPECT(f, 0, "faulty  1.0.0", "plugin", "list");
    EXPECT(f, 0, "", "reload"); /* does not take up again what was bad */
    EXPECT(f, 0, "faulty  1.0.0", "plugin", "list");
    EXPECT(f, 0, "1.0.0 -> 1.0.1", "reload", "faulty"); /* unless it is named */
    flow_end(f);
}
END_TEST

START_TEST(hangup_takes_up_what_is_new)
{
    struct flow *f = started();
    put_build(f, "echo", "1[.]0[.]0", "1.0.1");
    kill(f->pid, SIGHUP);
    flow_wait_log(f, "reloaded: switched");
    EXPECT(f, 0, "echo    1.0.1", "plugin", "list");
    flow_write(f, "plugins/faulty.so", "no library");
    kill(f->pid, SIGHUP);
    flow_wait_log(f, "the reload was refused and nothing was changed");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("change");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, reloads_and_rolls_back);
    tcase_add_test(tests, refuses_with_the_step_and_changes_nothing);
    tcase_add_test(tests, takes_out_and_puts_back);
    tcase_add_test(tests, shows_strikes_and_what_was_rolled_back);
    tcase_add_test(tests, hangup_takes_up_what_is_new);
    return flow_main("change", (TCase *[]){tests, NULL});
}
