/* The tool itself: what it sees and does on a page of its own, and that nothing of the browser is left behind. */
#include "browser.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A page without a host. */
static const char page[] =
    "data:text/html,<title>t</title><style>@media (prefers-color-scheme: dark) { p { color: white } }</style>"
    "<button onclick=\"document.querySelector('p').textContent='pressed'\">Press</button><input><p>still</p>";

static struct browser *open_page(struct flow *f)
{
    snprintf(f->url, sizeof f->url, "%s", "");
    struct browser *b = browser_new(f);
    browser_open(b, page);
    return b;
}

START_TEST(sees_and_does)
{
    struct flow *f = flow_new();
    struct browser *b = open_page(f);
    browser_expect(b, "p", "still");
    browser_click(b, "button");
    browser_expect(b, "p", "pressed");
    browser_type(b, "input", "one");
    browser_fill(b, "input", "two");
    browser_keys(b, " three");
    ck_assert_int_eq(browser_int(b, "document.querySelector('input').value.length"), 9);
    ck_assert_ptr_null(browser_attribute(b, "input", "placeholder"));
    ck_assert_int_ge(browser_first_paint_ms(b), 0);
    browser_size(b, 360, 740);
    ck_assert_int_eq(browser_int(b, "innerWidth"), 360);
    browser_dark(b, true);
    ck_assert_int_eq(browser_int(b, "matchMedia('(prefers-color-scheme: dark)').matches"), 1);
    browser_fits(b);
    browser_picture(b, "browser");
    browser_new_window(b);
    browser_open(b, page);
    browser_expect(b, "p", "still");
    browser_window(b, 0);
    browser_expect(b, "p", "pressed");
    browser_quiet(b);
    json_decref(browser_run(b, "console.error('a fault')"));
    char *errors = browser_errors(b);
    ck_assert_msg(strstr(errors, "a fault") != NULL, "%s", errors);
    free(errors);
    browser_free(b);
    flow_free(f);
}
END_TEST

/* How many processes have `text` in their command line. */
static int running(const char *text)
{
    static const char command[] = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' |"
                                  " awk 'index($0, ENVIRON[\"SOUGHT\"]) { n++ } END { print n + 0 }'";
    char line[32] = "";
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        setenv("SOUGHT", text, 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    ck_assert_int_ge(read(fds[0], line, sizeof line - 1), 0);
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return (int)strtol(line, NULL, 10);
}

START_TEST(a_killed_test_leaves_no_browser)
{
    struct flow *f = flow_new();
    int fds[2];
    char folder[512] = "";
    ck_assert_int_eq(pipe(fds), 0);
    pid_t test = fork();
    if (test == 0) {
        struct browser *b = open_page(f);
        json_t *value = browser_run(b, "return 1");
        json_decref(value);
        dprintf(fds[1], "--user-data-dir=%s", browser_folder(b));
        pause();
    }
    ck_assert_int_gt(read(fds[0], folder, sizeof folder - 1), 0);
    ck_assert_int_gt(running(folder), 0);
    kill(test, SIGKILL);
    waitpid(test, NULL, 0);
    FLOW_UNTIL(running(folder) == 0);
    flow_free(f);
}
END_TEST

int main(void)
{
    if (!browser_installed())
        return 77;
    TCase *c = tcase_create("browser");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, sees_and_does);
    tcase_add_test(c, a_killed_test_leaves_no_browser);
    return flow_main("browser", (TCase *[]){c, NULL});
}
