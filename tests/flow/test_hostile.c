/* A plugin that means harm (tests/plugins/hostile) in a process of its own, beside polite ones under steady load: each
 * bad deed must leave the others' service as it was, reach nothing, and cost the host nothing but a new process.
 * Whether something was reached is looked at from outside, too. CVM_WINDOW_MS: how long each deed is watched at least.
 */
#include "flow.h"
#include "polite_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HARD_LIMIT_MS 250
#define HARD_LIMIT_MORE_MS 100 /* from the limit to the end of the process */
#define BACK_MS 2000           /* a new process takes work again */
#define NOISE_MS 25            /* two cores for the host, its customers, the plugins and whoever else is there */
#define TRIES 4                /* what a deed does to others it does each time, what the machine does it does not */
#define WINDOW_MS 300
#define NORMAL_MS 2000
#define LINE_BYTES (1 << 20)

#define SECRET_OF_OTHERS "hush-other"

/* ---- the control socket
 * ---------------------------------------------------------------------------------------------- */

/* `data` is an object in JSON. Gives the connection on which the answer comes. */
static int send_call(struct flow *f, const char *to, const char *type, const char *data, int timeout_ms)
{
    char *text = NULL;
    int fd = flow_connect(f);
    int n = asprintf(&text,
                     "{\"id\":1,\"do\":\"call\",\"to\":\"%s\",\"type\":\"%s\",\"conversation\":\"bad company\","
                     "\"timeout_ms\":%d,\"data\":%s}\n",
                     to, type, timeout_ms, data);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    free(text);
    return fd;
}

/* The whole answer (json_decref); closes. */
static json_t *take_answer(int fd)
{
    char *line = calloc(1, LINE_BYTES);
    size_t have = 0;
    ssize_t n = 1;
    while (n > 0 && have < LINE_BYTES - 1 && !memchr(line, '\n', have)) {
        n = recv(fd, line + have, LINE_BYTES - 1 - have, 0);
        have += n > 0 ? (size_t)n : 0;
    }
    json_t *answer = json_loadb(line, have, JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_msg(answer, "no answer: %s", line);
    close(fd);
    free(line);
    return answer;
}

static const char *outcome_of(const json_t *answer)
{
    const char *outcome = json_string_value(json_object_get(answer, "outcome"));
    const char *refused = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    return outcome ? outcome : refused ? refused : "none";
}

static bool replied(const json_t *answer)
{
    return strcmp(outcome_of(answer), "REPLIED") == 0;
}

static bool reached(const json_t *answer)
{
    return json_is_true(json_object_get(json_object_get(answer, "data"), "reached"));
}

static int error_of(const json_t *answer)
{
    return (int)json_integer_value(json_object_get(json_object_get(answer, "data"), "error"));
}

/* Until the plugin answers again: its process. */
static pid_t wait_back(struct flow *f, int within_ms)
{
    int64_t until = flow_now_ms() + within_ms;
    for (;;) {
        json_t *answer = take_answer(send_call(f, "test.hostile", "do", "{\"what\":\"pid\"}", 2000));
        pid_t pid = replied(answer) ? (pid_t)error_of(answer) : 0;
        if (!pid && flow_now_ms() > until) {
            char *text = json_dumps(answer, 0);
            ck_abort_msg("it is not back after %d ms: %s", within_ms, text);
        }
        json_decref(answer);
        if (pid)
            return pid;
        flow_sleep_ms(20);
    }
}

/* ---- deeds
 * ----------------------------------------------------------------------------------------------------------- */

enum fate {
    ENDS,    /* its process ends */
    HANGS,   /* is ended by the hard limit */
    DENIED,  /* is answered: not reached; the process lives */
    STOPPED, /* is not reached, whether its process lives or not */
    ANYTHING /* may succeed as far as it concerns itself */
};

struct deed {
    enum fate fate;
    const char *data; /* %1$s is the home, %2$d a port on which the test listens */
    int disk_ms; /* what it may have written within its limits, before which no answer that comes later may leave */
};

#define DO(what) "{\"what\":\"" what "\"}"
#define DO_WITH(what, more) "{\"what\":\"" what "\"," more "}"
#define FORGE(kind, body) "{\"what\":\"forge\",\"kind\":" kind ",\"body\":\"" body "\"}"
#define FORGE_WITH(kind, body, more) "{\"what\":\"forge\",\"kind\":" kind ",\"body\":\"" body "\"," more "}"
#define ASK "18"
#define TELL "19"
#define DONE "20"

static const struct deed ends[] = {
    {ENDS, DO("crash")},          {ENDS, DO("abort")},           {ENDS, DO("exit")},
    {ENDS, DO("exit_fully")},     {ENDS, DO("overflow_stack")},  {ENDS, DO("smash_stack")},
    {ANYTHING, DO("smash_heap")}, {HANGS, DO("hang_busy")},      {HANGS, DO("hang_asleep")},
    {HANGS, DO("stop_itself")},   {HANGS, DO("ignore_signals")}, {ENDS, DO("trace_host")},
    {ENDS, DO("close_link")},     {HANGS, DO("swallow_link")},
};

static const struct deed floods[] = {
    {STOPPED, DO("flood_messages")},
    {ANYTHING, DO("flood_log")},
    {ANYTHING, DO("flood_errors")},
    {STOPPED, DO("flood_state"), .disk_ms = 250},
    {STOPPED, DO("flood_notes")},
    {ANYTHING, DO("flood_questions")},
    {STOPPED, DO("flood_ids")},
    {STOPPED, FORGE_WITH(ASK, "{\\\"op\\\":\\\"new_id\\\",\\\"prefix\\\":\\\"X\\\"}", "\"n\":3000")},
    {STOPPED, DO("huge_reply")},
    {STOPPED, DO("leak")},
    {STOPPED, DO("leak_shared")},
    {DENIED, DO("multiply")},
    {STOPPED, DO("multiply_threads")},
};

static const struct deed attempts[] = {
    {DENIED, DO_WITH("read_file", "\"path\":\"/etc/passwd\"")},
    {DENIED, DO_WITH("read_file", "\"path\":\"%1$s/config/cvmhost.json\"")},
    {DENIED, DO_WITH("read_file", "\"path\":\"%1$s/data/cvmhost.db\"")},
    {DENIED, DO_WITH("read_file", "\"path\":\"%1$s/plugins/faulty.so\"")},
    {DENIED, DO_WITH("read_file", "\"path\":\"/proc/self/environ\"")},
    {DENIED, DO_WITH("write_file", "\"path\":\"%1$s/evil\"")},
    {DENIED, DO_WITH("write_file", "\"path\":\"%1$s/data/cvmhost.db\"")},
    {DENIED, DO_WITH("connect_tcp", "\"port\":%2$d")},
    {DENIED, DO_WITH("connect_unix", "\"path\":\"%1$s/data/cvmhost.sock\"")},
    {DENIED, DO_WITH("run_program", "\"command\":\"echo x >%1$s/evil\"")},
    {DENIED, DO("kill_host")},
    {DENIED, DO("kill_all")},
    {DENIED, DO_WITH("search_environment", "\"text\":\"" SECRET_OF_OTHERS "\"")},
    {DENIED, DO("read_descriptors")},
    {DENIED, DO_WITH("ask_secret", "\"name\":\"TEST_OTHER_SECRET\"")},
    {DENIED, DO_WITH("ask_other", "\"to\":\"test.faulty\",\"type\":\"count\"")},
    {DENIED, DO_WITH("ask_other", "\"to\":\"role:test.worker\",\"type\":\"count\"")},
    {DENIED, DO_WITH("call_outside", "\"name\":\"anything\",\"path\":\"http://127.0.0.1:%2$d/\"")},
    {DENIED, DO_WITH("publish", "\"topic\":\"test.news\"")},
    {DENIED, DO_WITH("write_table", "\"table\":\"turns\"")},
    {DENIED, DO_WITH("ask_table", "\"table\":\"state\"")},
    {DENIED, DO_WITH("read_state", "\"key\":\"count\"")},
    {DENIED, DO_WITH("read_state", "\"key\":\"../test.faulty/count\"")},
    {ANYTHING, DO_WITH("change_payload", "\"marker\":\"original\"")},
    {DENIED, DO("settle_twice")},
    {STOPPED, DO("send_descriptors")},
};

static const struct deed lies[] = {
    {ANYTHING, DO_WITH("write_garbage", "\"seed\":1")},
    {ANYTHING, DO_WITH("write_garbage", "\"seed\":2")},
    {ANYTHING,
     FORGE(TELL, "{\\\"op\\\":\\\"emit\\\",\\\"kind\\\":1,\\\"to\\\":\\\"test.faulty\\\",\\\"type\\\":\\\"count\\\"}")},
    {ANYTHING, FORGE(ASK, "{\\\"op\\\":\\\"secret\\\",\\\"name\\\":\\\"TEST_OTHER_SECRET\\\"}")},
    {ANYTHING, FORGE(ASK, "{\\\"op\\\":\\\"state_scan\\\",\\\"prefix\\\":\\\"\\\",\\\"limit\\\":-1}")},
    {ANYTHING, FORGE(TELL, "{\\\"op\\\":5}")},
    {ANYTHING, FORGE(TELL, "{\\\"op\\\":\\\"emit\\\",\\\"kind\\\":99,\\\"to\\\":7,\\\"tags\\\":{}}")},
    {ANYTHING, FORGE(TELL, "{\\\"op\\\":\\\"log\\\",\\\"level\\\":99,\\\"text\\\":\\\"x\\\\nforged line\\\"}")},
    {ANYTHING, FORGE(TELL, "[[[[[[[[")},
    {ANYTHING, FORGE(DONE, "{\\\"result\\\":0}")},
    {ANYTHING, FORGE(DONE, "{\\\"result\\\":99999999999}")},
    {ANYTHING, FORGE_WITH(DONE, "{}", "\"shift\":5")},
    {ANYTHING, FORGE_WITH(TELL, "{}", "\"size\":2147483647")},
    {ANYTHING, FORGE_WITH(TELL, "{}", "\"n\":50000")},
    {ANYTHING, FORGE("16", "{\\\"link\\\":1}")},
    {ANYTHING, FORGE("17", "{\\\"text\\\":\\\"x\\\"}")},
    {ANYTHING, FORGE("21", "{\\\"value\\\":1}")},
    {ANYTHING, FORGE("999", "{}")},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- one deed, watched
 * ----------------------------------------------------------------------------------------------- */

struct watch {
    struct flow *f;
    struct polite *polite;
    int port;
    int64_t normal_us[2]; /* p99 of those inside the host, of those in a process of their own */
    int64_t worst_us[2];
    int64_t worst_end_ms;
};

struct course {
    json_t *answer;
    int64_t answered_ms, ended_ms; /* after the request; -1: did not */
};

static int window_ms(void)
{
    const char *text = getenv("CVM_WINDOW_MS");
    return text ? (int)strtol(text, NULL, 10) : WINDOW_MS;
}

/* Both its answer and the end of its process, as they come, for as long as the window lasts. */
static struct course observe(int fd, int process, int64_t begun)
{
    struct course course = {.answered_ms = -1, .ended_ms = -1};
    int64_t until = begun + window_ms();
    while (flow_now_ms() < until || (!course.answer && flow_now_ms() < begun + FLOW_WAIT_MS)) {
        struct pollfd p[2] = {{.fd = course.answer ? -1 : fd, .events = POLLIN},
                              {.fd = course.ended_ms < 0 ? process : -1, .events = POLLIN}};
        poll(p, 2, 10);
        if (p[1].revents)
            course.ended_ms = flow_now_ms() - begun;
        if (p[0].revents) {
            course.answered_ms = flow_now_ms() - begun;
            course.answer = take_answer(fd);
        }
    }
    return course;
}

static void check_fate(const char *data, enum fate fate, const struct course *c, pid_t before, pid_t after)
{
    bool ended = c->ended_ms >= 0;
    ck_assert_msg(c->answer, "%s: no answer at all", data);
    ck_assert_msg(ended == (before != after), "%s: process %d, then %d", data, (int)before, (int)after);
    if (fate == ENDS || fate == HANGS)
        ck_assert_msg(ended && !replied(c->answer), "%s: its process lives: %s", data, outcome_of(c->answer));
    if (fate == DENIED)
        ck_assert_msg(!ended && replied(c->answer), "%s: ended, %s", data, outcome_of(c->answer));
    if (fate == DENIED || fate == STOPPED)
        ck_assert_msg(!replied(c->answer) || !reached(c->answer), "%s: reached", data);
}

/* Does it once. Gives how much it took of the others' service, in us beyond what is allowed, and of its own time. */
static int64_t attempt(struct watch *w, const struct deed *d, int64_t ret_p99[2], int64_t *ret_ended_ms)
{
    char data[1024];
    int64_t excess = 0;
    snprintf(data, sizeof data, d->data, w->f->home, w->port);
    pid_t before = wait_back(w->f, BACK_MS);
    int process = (int)syscall(SYS_pidfd_open, before, 0);
    ck_assert_int_ge(process, 0);
    int64_t begun = flow_now_ms();
    struct course course = observe(send_call(w->f, "test.hostile", "do", data, 10000), process, begun);
    int64_t asked_again = flow_now_ms();
    pid_t after = wait_back(w->f, BACK_MS);
    int64_t end = flow_now_ms();
    if (course.ended_ms < 0 && before != after)
        course.ended_ms = end - begun;
    printf("%-70.70s %-8s", data, outcome_of(course.answer));
    printf(" %5lld ms, ended %5lld ms, back %4lld ms, p99", (long long)course.answered_ms, (long long)course.ended_ms,
           (long long)(before == after ? 0 : end - asked_again));
    for (int i = 0; i < 2; i++) {
        ret_p99[i] = polite_quantile(w->polite, 2 * i, 2 * i + 1, begun, end, 0.99);
        int64_t more = ret_p99[i] - 2 * w->normal_us[i] - (NOISE_MS + d->disk_ms) * 1000;
        excess = more > excess ? more : excess;
        printf(" %7.2f", (double)ret_p99[i] / 1000);
    }
    printf(" ms\n");
    check_fate(data, d->fate, &course, before, after);
    *ret_ended_ms = course.ended_ms;
    if (d->fate == HANGS && course.ended_ms > HARD_LIMIT_MS + HARD_LIMIT_MORE_MS)
        excess += 1000 * (course.ended_ms - HARD_LIMIT_MS - HARD_LIMIT_MORE_MS);
    json_decref(course.answer);
    close(process);
    return excess;
}

/* The p99 while nothing happens; the worst of those measured. */
static void measure_normal(struct watch *w, int ms)
{
    int64_t from = flow_now_ms();
    flow_sleep_ms(ms);
    for (int i = 0; i < 2; i++) {
        int64_t p99 = polite_quantile(w->polite, 2 * i, 2 * i + 1, from, flow_now_ms(), 0.99);
        w->normal_us[i] = p99 > w->normal_us[i] ? p99 : w->normal_us[i];
    }
    printf("normal: p99 %.2f ms inside the host, %.2f ms in a process\n", (double)w->normal_us[0] / 1000,
           (double)w->normal_us[1] / 1000);
}

static void deed(struct watch *w, const struct deed *d)
{
    int64_t p99[2] = {0, 0}, ended_ms = 0, excess = 1;
    for (int i = 0; excess > 0 && i < TRIES; i++) {
        if (i)
            measure_normal(w, window_ms());
        excess = attempt(w, d, p99, &ended_ms);
    }
    ck_assert_msg(excess <= 0,
                  "%s: p99 %lld and %lld us beside it, %lld and %lld us without, its process ended after %lld ms",
                  d->data, (long long)p99[0], (long long)p99[1], (long long)w->normal_us[0], (long long)w->normal_us[1],
                  (long long)ended_ms);
    for (int i = 0; i < 2; i++)
        w->worst_us[i] = p99[i] > w->worst_us[i] ? p99[i] : w->worst_us[i];
    if (d->fate == HANGS && ended_ms > w->worst_end_ms)
        w->worst_end_ms = ended_ms;
}

/* ---- from outside
 * ---------------------------------------------------------------------------------------------------- */

static int listen_tcp(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* `strikes` in `window_s` mark a component down. */
static struct flow *started(int strikes, int window_s)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_plugin(f, "hostile");
    flow_config(f, "plugins.inline", json_pack("[s]", "faulty"));
    flow_config(f, "plugins.strikes", json_integer(strikes));
    flow_config(f, "plugins.strike_window_s", json_integer(window_s));
    flow_env(f, "TEST_OTHER_SECRET", SECRET_OF_OTHERS);
    flow_start(f);
    return f;
}

/* The load begins, and what is normal is measured. */
static struct watch begin(int *ret_listener)
{
    static const struct polite_ask asks[POLITE_CUSTOMERS] = {{"test.faulty", "count", "polite 0"},
                                                             {"test.faulty", "ok", "polite 1"},
                                                             {"test.echo_a", "heard", NULL},
                                                             {"test.echo_a", "heard", NULL}};
    struct watch w = {.f = started(16, 1)};
    *ret_listener = listen_tcp(&w.port);
    wait_back(w.f, BACK_MS);
    w.polite = polite_start(w.f, asks);
    flow_sleep_ms(300);
    measure_normal(&w, NORMAL_MS);
    return w;
}

/* The host is the one that was started, its customers got all they asked for, once. */
static void finish(struct watch *w, int listener)
{
    int64_t good[POLITE_CUSTOMERS], bad[POLITE_CUSTOMERS];
    printf("worst: p99 %.2f ms inside the host, %.2f ms in a process; a hang ended after %lld ms\n",
           (double)w->worst_us[0] / 1000, (double)w->worst_us[1] / 1000, (long long)w->worst_end_ms);
    polite_end(w->polite, good, bad);
    for (int i = 0; i < POLITE_CUSTOMERS; i++)
        ck_assert_msg(bad[i] == 0 && good[i] > 100, "customer %d: %lld good answers, %lld bad ones", i,
                      (long long)good[i], (long long)bad[i]);
    json_t *counted = take_answer(send_call(w->f, "test.faulty", "counted", "{}", 2000));
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(counted, "data"), "count")), good[0]);
    json_decref(counted);
    ck_assert_int_eq(accept(listener, NULL, NULL), -1);
    ck_assert_int_eq(errno, EAGAIN);
    close(listener);
    char *evil = flow_read(w->f, "evil"), *log = flow_log(w->f);
    ck_assert_ptr_null(evil);
    ck_assert_ptr_null(strstr(log, SECRET_OF_OTHERS));
    free(log);
    ck_assert_int_eq(w->f->served, 1);
    ck_assert_int_eq(kill(w->f->host, 0), 0);
    flow_end(w->f);
}

static void do_all(const struct deed *deeds, size_t n)
{
    int listener;
    struct watch w = begin(&listener);
    const char *only = getenv("CVM_DEED");
    for (size_t i = 0; i < n; i++)
        if (!only || strstr(deeds[i].data, only))
            deed(&w, &deeds[i]);
    finish(&w, listener);
}

START_TEST(ends_and_hangs_harm_nobody)
{
    do_all(ends, COUNT(ends));
}
END_TEST

START_TEST(floods_harm_nobody)
{
    do_all(floods, COUNT(floods));
}
END_TEST

START_TEST(lies_on_the_link_harm_nobody)
{
    do_all(lies, COUNT(lies));
}
END_TEST

START_TEST(reaches_nothing)
{
    int listener;
    struct watch w = begin(&listener);
    json_t *early = take_answer(send_call(w.f, "test.hostile", "act_early", "{}", 2000));
    ck_assert_msg(replied(early) && !reached(early), "its constructor reached %d", error_of(early));
    json_decref(early);
    for (size_t i = 0; i < COUNT(attempts); i++)
        deed(&w, &attempts[i]);
    FLOW_UNTIL(flow_sql_int(w.f, "SELECT count(*) FROM turns WHERE component = 'test.hostile' AND "
                                 "record LIKE '%\"denied\":[[\"secret\",\"TEST_OTHER_SECRET\"]%'") > 0);
    FLOW_UNTIL(flow_sql_int(w.f, "SELECT count(*) FROM turns WHERE component = 'test.hostile' AND "
                                 "record LIKE '%\"marker\":\"original\"%'") > 0);
    ck_assert_int_eq(flow_sql_int(w.f, "SELECT count(*) FROM turns WHERE record LIKE '%\"marker\":\"changed\"%'"), 0);
    ck_assert_int_eq(flow_sql_int(w.f, "SELECT count(*) FROM state WHERE component = 'test.hostile'"), 0);
    finish(&w, listener);
}
END_TEST

/* What a polite component has left open is its own to settle. */
START_TEST(settles_nobody_elses_request)
{
    struct flow *f = started(16, 1);
    char data[200];
    wait_back(f, BACK_MS);
    int fd = send_call(f, "test.faulty", "never", "{}", 1500);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM turns WHERE type = 'never'") == 1);
    json_t *rows = flow_sql(f, "SELECT 'MSG-' || lower(hex(message)) AS id FROM turns WHERE type = 'never'");
    snprintf(data, sizeof data, "{\"what\":\"settle_other\",\"id\":\"%s\"}",
             json_string_value(json_object_get(json_array_get(rows, 0), "id")));
    json_t *tried = take_answer(send_call(f, "test.hostile", "do", data, 2000));
    ck_assert_msg(replied(tried) && !reached(tried) && error_of(tried) == -4, "%s: %d", data, error_of(tried));
    json_t *ended = take_answer(fd);
    ck_assert_str_eq(outcome_of(ended), "TIMEOUT");
    json_decref(ended);
    json_decref(tried);
    json_decref(rows);
    flow_end(f);
}
END_TEST

START_TEST(five_strikes_take_it_down_alone)
{
    struct flow *f = started(5, 60);
    for (int crashes = 0; crashes < 5; crashes += 2) { /* each message is tried in a new process once */
        wait_back(f, BACK_MS);
        json_t *answer = take_answer(send_call(f, "test.hostile", "do", DO("crash"), 2000));
        ck_assert_msg(!replied(answer), "after %d crashes: %s", crashes, outcome_of(answer));
        json_decref(answer);
    }
    json_t *down = take_answer(send_call(f, "test.hostile", "do", DO("nothing"), 2000));
    ck_assert_str_eq(outcome_of(down), "BUSY");
    json_decref(down);
    json_t *polite = take_answer(send_call(f, "test.echo_a", "heard", "{}", 2000));
    ck_assert_str_eq(outcome_of(polite), "REPLIED");
    json_decref(polite);
    ck_assert(flow_logged(f, "out of service"));
    EXPECT(f, 0, "", "plugin", "revive", "test.hostile");
    wait_back(f, BACK_MS);
    ck_assert_int_eq(f->served, 1);
    flow_end(f);
}
END_TEST

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    TCase *ends_case = tcase_create("ends");
    tcase_add_test(ends_case, ends_and_hangs_harm_nobody);
    TCase *floods_case = tcase_create("floods");
    tcase_add_test(floods_case, floods_harm_nobody);
    TCase *lies_case = tcase_create("lies");
    tcase_add_test(lies_case, lies_on_the_link_harm_nobody);
    TCase *reach_case = tcase_create("reach");
    tcase_add_test(reach_case, reaches_nothing);
    TCase *settle_case = tcase_create("settle");
    tcase_add_test(settle_case, settles_nobody_elses_request);
    TCase *strikes_case = tcase_create("strikes");
    tcase_add_test(strikes_case, five_strikes_take_it_down_alone);
    TCase *all[] = {ends_case, floods_case, lies_case, reach_case, settle_case, strikes_case, NULL};
    for (size_t i = 0; all[i]; i++)
        tcase_set_timeout(all[i], 300);
    return flow_main("hostile", all);
}
