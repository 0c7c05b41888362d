/* The supervisor as operators and service managers meet it: plugins that crash the host are left out, a host that
 * cannot live is not started for ever, and another version of the program takes over while clients are at work. */
#include "flow.h"

#include "upgrade_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    return f;
}

/* Other versions of the program. */
static const char *other(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s", flow_build(name));
    return path;
}
#define NEXT other("tests/flow/cvmhost_next")
#define STUCK other("tests/flow/cvmhost_stuck")

static void crash(struct flow *f)
{
    ck_assert_int_eq(flow_http(f, "POST", "/test/crash", "{}", NULL, NULL), 0);
    flow_wait_serving(f);
}

/* The version of the host that runs. */
static void expect_version(struct flow *f, const char *version)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "upgrade", "--check", other("host/cvmhost"), "--output", "json"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "running")), version);
    flow_answer_free(&a);
}

/* Which program a process runs. */
static void expect_program(pid_t pid, const char *name)
{
    char path[64], target[512];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    ck_assert_int_gt(n, 0);
    target[n] = 0;
    ck_assert_msg(strcmp(strrchr(target, '/') + 1, name) == 0, "%s", target);
}

/* ---- quarantine -------------------------------------------------------------------------------------------------- */

START_TEST(plugin_that_crashes_twice_is_quarantined)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_start(f);
    crash(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    crash(f);
    ck_assert(flow_logged(f, "quarantined: its code was running when the host died twice"));
    EXPECT(f, 0, "quarantined", "ps");
    EXPECT(f, 0, "quarantined", "plugin", "list");
    EXPECT(f, 0, "cvmhost revive", "plugin", "info", "faulty");
    EXPECT(f, 0, "placement: process", "plugin", "info", "faulty");
    EXPECT(f, 0, "cvmhost_plugin_quarantined{plugin=\"faulty\"} 1", "metrics");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(strstr(a.text, "\"quarantined\":[\"faulty\"]"));
    flow_answer_free(&a);
    int served = f->served;
    pid_t host = f->host;
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    ck_assert_int_ge(flow_http(f, "POST", "/test/crash", "{}", NULL, NULL),
                     500); /* its process dies of it, not the host */
    json_t *echoed = flow_call(f, "test.echo_a", "heard", "{}", NULL);
    ck_assert_ptr_nonnull(echoed);
    json_decref(echoed);
    ck_assert_int_eq(kill(host, 0), 0);
    ck_assert_int_eq(f->served, served);
    flow_end(f);
}
END_TEST

START_TEST(quarantine_outlives_the_supervisor_until_it_is_revived)
{
    struct flow *f = home();
    flow_start(f);
    crash(f);
    crash(f);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    ck_assert(flow_logged(f, "quarantined since an earlier crash"));
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    EXPECT(f, 0, "unchanged", "reload", "faulty"); /* the same build */
    EXPECT(f, 0, "nothing has changed", "reload");
    EXPECT(f, 0, "placement: process", "plugin", "info", "faulty");
    EXPECT(f, 0, "revived: true", "revive", "test.faulty");
    EXPECT(f, 0, "placement: inline", "plugin", "info", "faulty");
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    crash(f); /* what was before does not count any more */
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    flow_end(f);
}
END_TEST

/* The same code with a byte behind it. */
static void bring_another_build(struct flow *f)
{
    char path[128];
    snprintf(path, sizeof path, "%s/plugins/faulty.so", f->home);
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    fputc('x', file);
    fclose(file);
}

START_TEST(another_build_lifts_the_quarantine)
{
    struct flow *f = home();
    flow_start(f);
    crash(f);
    crash(f);
    bring_another_build(f);
    EXPECT(f, 0, "faulty", "reload");
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    EXPECT(f, 0, "placement: inline", "plugin", "info", "faulty");
    flow_end(f);
}
END_TEST

START_TEST(move_lifts_the_quarantine)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_start(f);
    crash(f);
    crash(f);
    EXPECT(f, 0, "faulty", "move", "faulty", "--inline");
    EXPECT(f, 0, "placement: inline", "plugin", "info", "faulty");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(strstr(a.text, "\"status\":\"healthy\""));
    ck_assert_ptr_nonnull(strstr(a.text, "\"failed\":0"));
    ck_assert_ptr_null(strstr(a.text, "quarantined"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* It is taken back as ever; the crashes of the build that is gone do not count against the one before. */
START_TEST(probation_has_its_own_way)
{
    struct flow *f = home();
    flow_start(f);
    bring_another_build(f);
    EXPECT(f, 0, "faulty", "reload");
    crash(f);
    ck_assert(flow_logged(f, "the new build crashed the host"));
    crash(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    EXPECT(f, 0, "placement: inline", "plugin", "info", "faulty");
    crash(f);
    EXPECT(f, 0, "placement: process", "plugin", "info", "faulty");
    flow_end(f);
}
END_TEST

START_TEST(quarantined_plugin_can_be_removed)
{
    struct flow *f = home();
    flow_start(f);
    crash(f);
    crash(f);
    EXPECT(f, 0, "faulty", "plugin", "remove", "faulty");
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 404);
    EXPECT(f, 4, "faulty", "plugin", "info", "faulty");
    flow_end(f);
}
END_TEST

/* ---- the budget -------------------------------------------------------------------------------------------------- */

START_TEST(safe_mode_is_the_last_try)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_config(f, "supervisor.restarts", json_integer(1));
    flow_start(f);
    for (int i = 0; i < 2; i++) {
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    ck_assert(flow_logged(f, "in safe mode"));
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(strstr(a.text, "\"safe_mode\":true"));
    flow_answer_free(&a);
    EXPECT(f, 0, "cvmhost_safe_mode 1", "metrics");
    flow_kill(f, SIGKILL);
    ck_assert_int_eq(flow_wait_end(f), 4);
    ck_assert(flow_logged(f, "in safe mode too"));
    flow_free(f);
}
END_TEST

/* One crash is within the budget, the next is not: what ran then is left out, and the host lives. */
START_TEST(safe_mode_leaves_out_who_crashed)
{
    struct flow *f = home();
    flow_config(f, "supervisor.restarts", json_integer(0));
    flow_start(f);
    crash(f);
    ck_assert(flow_logged(f, "are quarantined: test.faulty"));
    ck_assert_int_ge(flow_http(f, "POST", "/test/crash", "{}", NULL, NULL), 500);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

START_TEST(host_that_does_not_serve_is_not_waited_for)
{
    struct flow *f = home();
    flow_config(f, "supervisor.restarts", json_integer(0));
    flow_config(f, "supervisor.ready_s", json_integer(1));
    f->program = strdup(STUCK);
    ck_assert_int_eq(flow_start_status(f, NULL), 4);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "does not serve after 1 s (supervisor.ready_s)"));
    flow_free(f);
}
END_TEST

/* ---- upgrades ---------------------------------------------------------------------------------------------------- */

struct upgrade {
    struct flow *f;
    const char *program;
    int64_t begin_ms, ended_ms;
    pid_t pid;
    int status;
};

/* Load for a while, the upgrade, load for a while. */
static bool upgraded(void *arg)
{
    struct upgrade *u = arg;
    int status;
    if (!u->pid && flow_now_ms() >= u->begin_ms)
        u->pid = flow_spawn(u->f, "upgrade",
                            (const char *const[]){"host/cvmhost", "upgrade", u->program, "--home", u->f->home, NULL});
    if (u->pid && !u->ended_ms && waitpid(u->pid, &status, WNOHANG) == u->pid) {
        u->ended_ms = flow_now_ms();
        u->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
    ck_assert_msg(flow_now_ms() < u->begin_ms + FLOW_WAIT_MS, "the upgrade does not end");
    return u->ended_ms && flow_now_ms() > u->ended_ms + 200;
}

static int64_t upgrade_under_load(struct flow *f, const char *program)
{
    char path[512];
    struct upgrade_load load;
    snprintf(path, sizeof path, "%s", program);
    struct upgrade u = {.f = f, .program = path, .begin_ms = flow_now_ms() + 200};
    upgrade_load_run(f, 64, 16, upgraded, &u, &load);
    char *said = flow_read(f, "upgrade.txt");
    ck_assert_msg(u.status == 0, "%s", said);
    ck_assert_msg(load.refused == 0 && load.failed == 0, "refused %lld, failed %lld of %lld: %s",
                  (long long)load.refused, (long long)load.failed, (long long)load.answered, load.what);
    ck_assert_int_gt(load.answered, 100);
    char *line = strrchr(said, '>') ? said + strcspn(said, "u") : said;
    fprintf(stderr, "%.*s; %lld requests, the longest took %lld ms\n", (int)strcspn(line, "\n"), line,
            (long long)load.answered, (long long)load.longest_us / 1000);
    free(said);
    flow_wait_serving(f);
    return load.answered;
}

START_TEST(another_version_takes_over_under_load)
{
    struct flow *f = home();
    flow_config(f, "http.per_address", json_integer(1024));
    flow_start(f);
    pid_t supervisor = f->pid, host = f->host;
    int64_t answered = upgrade_under_load(f, NEXT);
    ck_assert(flow_logged(f, "upgraded 0.1.0 -> 9.9.9-next"));
    expect_version(f, "9.9.9-next");
    ck_assert_int_ne(f->host, host);
    expect_program(f->host, "cvmhost_next");
    expect_program(supervisor, "cvmhost_next"); /* under its own number */
    flow_remove(f, "upgrade.txt");
    answered += upgrade_under_load(f, other("host/cvmhost")); /* by the supervisor that took over */
    ck_assert(flow_logged(f, "upgraded 9.9.9-next -> 0.1.0"));
    expect_program(supervisor, "cvmhost");
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from turns where type = 'host.upgraded'"), 2);
    json_t *rows = flow_sql(f, "select value from state where component = 'test.faulty' and key = 'count'");
    const char *count = json_string_value(json_object_get(json_array_get(rows, 0), "value"));
    ck_assert_msg(count && strtoll(count, NULL, 10) == answered, "counted %s of %lld", count ? count : "nothing",
                  (long long)answered);
    json_decref(rows);
    flow_free(f);
}
END_TEST

/* It is as good a supervisor as the one before. */
START_TEST(new_supervisor_starts_a_crashed_host_again)
{
    struct flow *f = home();
    flow_start(f);
    EXPECT(f, 0, "0.1.0 -> 9.9.9-next", "upgrade", NEXT);
    flow_wait_serving(f);
    crash(f);
    expect_program(f->host, "cvmhost_next");
    crash(f);
    EXPECT(f, 0, "quarantined", "plugin", "list");
    kill(f->pid, SIGHUP);
    flow_wait_log(f, "SIGHUP: reloading all plugins");
    flow_end(f);
}
END_TEST

START_TEST(program_that_cannot_take_over_is_refused)
{
    struct flow *f = home();
    flow_start(f);
    pid_t host = f->host;
    EXPECT(f, 1, "/bin/false", "upgrade", "/bin/false");
    EXPECT(f, 4, "/no/such/program", "upgrade", "/no/such/program");
    flow_write(f, "script", "#!/bin/sh\necho '{\"version\": \"1.0.0\"}'\n");
    char path[128];
    snprintf(path, sizeof path, "%s/script", f->home);
    EXPECT(f, 1, "script", "upgrade", path); /* it may not be run */
    chmod(path, 0755);
    EXPECT(f, 1, "no cvmhost that can take over", "upgrade", path);
    flow_write(
        f, "script",
        "#!/bin/sh\necho '{\"version\": \"1.0.0\", \"database\": 1, \"handover\": 1, \"page\": {\"magic\": \"1\", "
        "\"bytes\": 4096}}'\n");
    EXPECT(f, 5, "reads databases up to format 1", "upgrade", path);
    flow_write(f, "script",
               "#!/bin/sh\necho '{\"version\": \"1.0.0\", \"database\": 999999, \"handover\": 1, \"page\": {\"magic\": "
               "\"1\", \"bytes\": 4096}}'\n");
    EXPECT(f, 5, "no way back", "upgrade", path);
    EXPECT(f, 0, "999999", "upgrade", path, "--check", "--one-way");
    ck_assert_int_eq(kill(host, 0), 0);
    expect_version(f, "0.1.0");
    ck_assert_int_eq(f->served, 1);
    flow_end(f);
}
END_TEST

START_TEST(version_that_does_not_serve_is_taken_back)
{
    struct flow *f = home();
    flow_config(f, "supervisor.ready_s", json_integer(1));
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, NULL), 200);
    EXPECT(f, 1, "9.9.9-stuck", "upgrade", STUCK);
    flow_wait_serving(f);
    ck_assert(flow_logged(f, "did not come to serve (it did not serve within 1 s): 0.1.0 runs again"));
    expect_version(f, "0.1.0");
    expect_program(f->pid, "cvmhost");
    expect_program(f->host, "cvmhost");
    /* One that knows another page, and ends at once. */
    char path[128];
    flow_write(
        f, "script",
        "#!/bin/sh\n[ $1 = version ] || exit 3\necho '{\"version\": \"1.0.0\", \"database\": 500, \"handover\": 1, "
        "\"page\": {\"magic\": \"1\", \"bytes\": 4096}}'\n");
    json_t *format = flow_sql(f, "pragma user_version");
    json_decref(format);
    char *script = flow_read(f, "script"), *number = strstr(script, "500");
    snprintf(path, sizeof path, "%3lld", (long long)flow_sql_int(f, "pragma user_version"));
    memcpy(number, path, 3);
    flow_write(f, "script", script);
    free(script);
    snprintf(path, sizeof path, "%s/script", f->home);
    chmod(path, 0755);
    EXPECT(f, 1, "exit status 3", "upgrade", path);
    flow_wait_serving(f);
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, &a), 200);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "count")), 2);
    flow_answer_free(&a);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from turns where type = 'host.upgrade_failed'") == 2);
    flow_kill(f, SIGKILL); /* and the supervisor knows its page again */
    flow_wait_serving(f);
    flow_end(f);
}
END_TEST

static void copy_program(const char *from, const char *to)
{
    char command[1200], part[600];
    snprintf(part, sizeof part, "%s", from);
    snprintf(command, sizeof command, "%s.new", to);
    FILE *in = fopen(part, "r"), *out = fopen(command, "w");
    ck_assert(in && out);
    static char bytes[65536];
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
    chmod(command, 0755);
    ck_assert_int_eq(rename(command, to), 0); /* as packages are installed */
}

START_TEST(signal_takes_up_the_program_on_disk)
{
    struct flow *f = home();
    char path[128];
    snprintf(path, sizeof path, "%s/cvmhost", f->home);
    copy_program(flow_build("host/cvmhost"), path);
    f->program = strdup(path);
    flow_start(f);
    copy_program(NEXT, path);
    kill(f->pid, SIGUSR2);
    flow_wait_serving(f);
    flow_wait_log(f, "upgraded 0.1.0 -> 9.9.9-next");
    expect_version(f, "9.9.9-next");
    copy_program(flow_build("host/cvmhost"), path);
    EXPECT(f, 0, "9.9.9-next -> 0.1.0", "upgrade"); /* names nothing: the same file */
    flow_wait_serving(f);
    flow_end(f);
}
END_TEST

START_TEST(without_a_supervisor_there_is_no_upgrade)
{
    struct flow *f = home();
    flow_start_with(f, (const char *const[]){"--no-supervise", NULL});
    EXPECT(f, 1, "without a supervisor", "upgrade", NEXT);
    kill(f->pid, SIGUSR2);
    flow_wait_log(f, "no supervisor");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

/* ---- a service manager ------------------------------------------------------------------------------------------- */

static int manager_new(struct flow *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", f->home);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    flow_env(f, "NOTIFY_SOCKET", address.sun_path);
    return fd;
}

/* The next datagram within `ms`; "" where none came. */
static const char *hear(int fd, int ms)
{
    static char text[2048];
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

/* Until a datagram has `want`; gives how many without it said that the watchdog is well. */
static int wait_to_hear(int fd, const char *want)
{
    int pings = 0;
    for (int64_t until = flow_now_ms() + FLOW_WAIT_MS; flow_now_ms() < until;) {
        const char *text = hear(fd, 1000);
        if (strstr(text, want))
            return pings;
        pings += strcmp(text, "WATCHDOG=1") == 0;
    }
    ck_abort_msg("the manager was not told %s", want);
}

START_TEST(service_manager_is_told)
{
    struct flow *f = home();
    int fd = manager_new(f);
    flow_start(f);
    wait_to_hear(fd, "READY=1\nSTATUS=cvmhost 0.1.0 serves on http://127.0.0.1:");
    kill(f->pid, SIGHUP);
    wait_to_hear(fd, "RELOADING=1\nMONOTONIC_USEC=");
    wait_to_hear(fd, "READY=1");
    flow_kill(f, SIGKILL);
    wait_to_hear(fd, "STATUS=the host died (signal 9");
    wait_to_hear(fd, "STATUS=cvmhost 0.1.0 serves");
    flow_wait_serving(f);
    EXPECT(f, 0, "next", "upgrade", NEXT);
    wait_to_hear(fd, "RELOADING=1");
    wait_to_hear(fd, "READY=1\nSTATUS=cvmhost 9.9.9-next serves");
    ck_assert_int_eq(flow_stop(f), 0);
    wait_to_hear(fd, "STOPPING=1");
    close(fd);
    flow_free(f);
}
END_TEST

START_TEST(watchdog_hears_of_a_loop_that_goes_round)
{
    struct flow *f = home();
    int fd = manager_new(f);
    flow_env(f, "WATCHDOG_USEC", "300000");
    flow_start(f);
    for (int i = 0; i < 3; i++)
        wait_to_hear(fd, "WATCHDOG=1");
    kill(f->host, SIGSTOP); /* a loop that does not come round any more */
    while (*hear(fd, 250))
        ;
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(hear(fd, 150), "");
    kill(f->host, SIGCONT);
    wait_to_hear(fd, "WATCHDOG=1");
    flow_kill(f, SIGKILL); /* a restart is not a loop that stands still */
    flow_wait_serving(f);
    wait_to_hear(fd, "WATCHDOG=1");
    wait_to_hear(fd, "WATCHDOG=1");
    EXPECT(f, 0, "next", "upgrade", NEXT);
    wait_to_hear(fd, "9.9.9-next serves");
    wait_to_hear(fd, "WATCHDOG=1");
    wait_to_hear(fd, "WATCHDOG=1");
    ck_assert_int_eq(flow_stop(f), 0);
    close(fd);
    flow_free(f);
}
END_TEST

/* The socket is the manager's: clients may come before the host, and while it changes. */
START_TEST(socket_of_the_service_manager_is_used)
{
    struct flow *f = home();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char script[1200], path[128], url[64];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    int fd = fcntl(listener, F_DUPFD, 5);
    ck_assert(fd > 0 && fd < 10);
    snprintf(script, sizeof script,
             "#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http\nexec %s \"$@\" 3<&%d %d<&-\n",
             flow_build("host/cvmhost"), fd, fd);
    flow_write(f, "activate", script);
    snprintf(path, sizeof path, "%s/activate", f->home);
    chmod(path, 0755);
    f->program = strdup(path);
    f->port = 1; /* what the manager opened wins */
    flow_start(f);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    ck_assert_str_eq(f->url, url);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    EXPECT(f, 0, "next", "upgrade", NEXT);
    flow_wait_serving(f);
    ck_assert_str_eq(f->url, url);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    ck_assert_int_eq(flow_stop(f), 0);
    close(listener);
    close(fd);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *quarantine = tcase_create("quarantine"), *budget = tcase_create("budget"),
          *upgrade = tcase_create("upgrade"), *manager = tcase_create("manager");
    tcase_set_timeout(quarantine, 60);
    tcase_add_test(quarantine, plugin_that_crashes_twice_is_quarantined);
    tcase_add_test(quarantine, quarantine_outlives_the_supervisor_until_it_is_revived);
    tcase_add_test(quarantine, another_build_lifts_the_quarantine);
    tcase_add_test(quarantine, move_lifts_the_quarantine);
    tcase_add_test(quarantine, probation_has_its_own_way);
    tcase_add_test(quarantine, quarantined_plugin_can_be_removed);
    tcase_set_timeout(budget, 60);
    tcase_add_test(budget, safe_mode_is_the_last_try);
    tcase_add_test(budget, safe_mode_leaves_out_who_crashed);
    tcase_add_test(budget, host_that_does_not_serve_is_not_waited_for);
    tcase_set_timeout(upgrade, 60);
    tcase_add_test(upgrade, another_version_takes_over_under_load);
    tcase_add_test(upgrade, new_supervisor_starts_a_crashed_host_again);
    tcase_add_test(upgrade, program_that_cannot_take_over_is_refused);
    tcase_add_test(upgrade, version_that_does_not_serve_is_taken_back);
    tcase_add_test(upgrade, signal_takes_up_the_program_on_disk);
    tcase_add_test(upgrade, without_a_supervisor_there_is_no_upgrade);
    tcase_set_timeout(manager, 60);
    tcase_add_test(manager, service_manager_is_told);
    tcase_add_test(manager, watchdog_hears_of_a_loop_that_goes_round);
    tcase_add_test(manager, socket_of_the_service_manager_is_used);
    return flow_main("supervise", (TCase *[]){quarantine, budget, upgrade, manager, NULL});
}
