/* Outside services at their worst: slow, silent, talking nonsense, not there at all. The host serves on meanwhile,
 * every request ends, money comes back, and work that waits for the outside survives stops and crashes. */
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool has(struct flow *f, const char *file, const char *text)
{
    char *all = flow_read(f, file);
    bool found = all && strstr(all, text);
    free(all);
    return found;
}

/* ---- services that play the outside ---- */

static int listen_on(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 128), 0);
    return fd;
}

/* What is said to a request, by a word in its path. */
static const struct {
    const char *word, *answer;
} nonsense[] = {
    {"/mtn/", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 25\r\n\r\n<html>All is well.</html>"},
    {"/airtel/", "\x16\x03\x01\xff\xfe no HTTP at all \x01\x02"},
    {"/glo/", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n"
              "[{\"status\": 17}, null, \"SUCCESS\""},
    {"/9mobile/",
     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"status\": \"deli"},
    {"", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"ok\": true}"},
};

/* Reads a head (and the body, as it comes in the same packet here), notes its first line, answers unless it cuts. */
static void answer(int fd, FILE *seen, bool cut)
{
    char text[8192] = "";
    size_t n = 0;
    while (n < sizeof text - 1 && !strstr(text, "\r\n\r\n")) {
        ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0)
            return;
        n += (size_t)got;
        text[n] = 0;
    }
    const char *key = strcasestr(text, "\nidempotency-key:");
    fprintf(seen, "%s%.*s key:%.*s\n", cut ? "cut " : "", (int)strcspn(text, "\r"), text,
            key ? (int)strcspn(key + 17, "\r") : 0, key ? key + 17 : "");
    fflush(seen);
    if (cut)
        return;
    size_t i = 0;
    while (*nonsense[i].word && !strstr(text, nonsense[i].word))
        i++;
    if (write(fd, nonsense[i].answer, strlen(nonsense[i].answer)) < 0)
        return;
    shutdown(fd, SHUT_WR);
}

/* A process that serves on the port, or closes each connection without a word, and writes what it was asked to
 * HOME/seen.txt. */
static pid_t serve(struct flow *f, int port, bool cut)
{
    char path[128];
    snprintf(path, sizeof path, "%s/seen.txt", f->home);
    int listener = listen_on(port);
    pid_t parent = getpid(), pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0) {
        close(listener);
        f->spawned[f->n_spawned++] = pid; /* ended by flow_free */
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    FILE *seen = fopen(path, "a");
    for (int fd; seen && getppid() == parent && (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
        answer(fd, seen, cut);
    _exit(0);
}

/* A home whose component test.outside calls that port. */
static struct flow *calling(int port)
{
    struct flow *f = flow_new();
    char url[64];
    flow_plugin(f, "outside");
    flow_plugin(f, "faulty");
    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    flow_config(f, "agents", json_pack("{s:{s:{s:s}}}", "test.outside", "settings", "base", url));
    return f;
}

static void begin_call(struct flow *f, const char *name, const char *data)
{
    char program[512];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(f, name,
               (const char *const[]){program, "agent", "call", "test.outside", "go", "--data", data, "--key", name,
                                     "--timeout", "60", "--output", "json", "--home", f->home, NULL});
}

static int64_t metric(struct flow *f, const char *name)
{
    struct flow_answer a;
    char line[96];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(a.text, line);
    ck_assert_msg(at, "no %s", name);
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    flow_answer_free(&a);
    return value;
}

/* ---- slow ---- */

/* The connections are taken by the kernel and never answered: each call waits its 30 s. */
START_TEST(slow_outside_blocks_nobody)
{
    enum { CALLS = 8, PROBES = 40 };
    int port = flow_free_port(), listener = listen_on(port), late = 0;
    struct flow *f = calling(port);
    char name[16];
    flow_start(f);
    for (int i = 0; i < CALLS; i++) {
        snprintf(name, sizeof name, "call%d", i);
        begin_call(f, name, "{\"call\": \"again\", \"timeout_ms\": 30000}");
    }
    FLOW_UNTIL(metric(f, "cvmhost_calls_total") == CALLS);
    int64_t begun = flow_now_ms();
    for (int i = 0; i < PROBES; i++) {
        int64_t asked = flow_now_ms();
        ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
        ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
        int64_t took = flow_now_ms() - asked;
        late += took > 100;
        ck_assert_msg(took < 2000, "an answer took %lld ms", (long long)took);
        flow_sleep_ms(20);
    }
    ck_assert_msg(late <= PROBES / 10, "%d of %d answers took over 100 ms", late, PROBES);
    ck_assert_int_ge(flow_now_ms() - begun, 20 * PROBES); /* all this time the calls were under way */
    ck_assert_int_eq(metric(f, "cvmhost_calls_total"), CALLS);
    for (int i = 0; i < CALLS; i++) {
        snprintf(name, sizeof name, "call%d.txt", i);
        ck_assert(!has(f, name, "outcome"));
    }
    close(listener);
    flow_end(f); /* nor do they keep the host from stopping */
}
END_TEST

START_TEST(silent_outside_ends_with_the_timeout)
{
    int port = flow_free_port(), listener = listen_on(port);
    struct flow *f = calling(port);
    flow_start(f);
    json_t *a = flow_call(f, "test.outside", "go", "{\"call\": \"once\", \"timeout_ms\": 200}", NULL);
    ck_assert_str_eq(text_of(a, "outcome"), "UNKNOWN"); /* it may have been done */
    json_decref(a);
    a = flow_call(f, "test.outside", "go", "{\"call\": \"read\", \"timeout_ms\": 200}", NULL);
    ck_assert_str_ne(text_of(a, "outcome"), "REPLIED");
    json_decref(a);
    ck_assert_int_ge(metric(f, "cvmhost_calls_unknown_total"), 1);
    close(listener);
    a = flow_call(f, "test.outside", "go", "{\"call\": \"once\", \"timeout_ms\": 200}", NULL);
    ck_assert_str_ne(text_of(a, "outcome"), "REPLIED"); /* refused connections end too */
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- nonsense ---- */

/* Each network answers in its own wrong way: nothing counts as sold, and the money comes back. */
START_TEST(nonsense_is_no_sale)
{
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    static const char *const secrets[] = {"MTN_API_KEY", "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY"};
    struct flow *f = flow_new();
    struct flow_answer a;
    char body[256], id[64], url[96];
    int port = flow_free_port();
    flow_plugin(f, "transaction");
    flow_plugin(f, "airtime");
    flow_plugin(f, "network");
    json_t *agents = json_pack("{s:{s:{s:i, s:i}}, s:{s:{s:i}}}", "service.transaction", "settings", "answer_within_ms",
                               500, "max_per_minute", 100, "service.airtime_sales", "settings", "credit_timeout_s", 3);
    for (size_t i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "provider.network.%s", networks[i]);
        snprintf(url, sizeof url, "http://127.0.0.1:%d/%s/v1", port, networks[i]);
        json_object_set_new(agents, id, json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
        flow_env(f, secrets[i], "key");
    }
    flow_config(f, "agents", agents);
    serve(f, port, false);
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "ADA", "08031234567"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", "ADA", "5000"), 0);
    for (size_t i = 0; i < 4; i++) {
        snprintf(body, sizeof body,
                 "{\"network\": \"%s\", \"phone\": \"08031234567\", \"amount\": 100, \"customer_id\": \"ADA\"}",
                 networks[i]);
        flow_http(f, "POST", "/api/v1/transactions/airtime", body, NULL, &a);
        ck_assert_msg(!json_is_true(json_object_get(a.json, "success")) || strstr(a.text, "PENDING"), "%s: %s",
                      networks[i], a.text);
        flow_answer_free(&a);
        ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'"), 0);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'REFUNDED'") == 4);
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "ADA", "--output", "json"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "balance_kobo")), 500000);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "held_kobo")), 0);
    flow_answer_free(&a);
    for (size_t i = 0; i < 4; i++) {
        snprintf(url, sizeof url, "/%s/v1", networks[i]);
        ck_assert_msg(has(f, "seen.txt", url), "%s was not asked", networks[i]);
    }
    ck_assert_int_eq(f->served, 1);
    flow_end(f);
}
END_TEST

/* ---- jobs ---- */

static int seen(struct flow *f, const char *text)
{
    char *all = flow_read(f, "seen.txt");
    int n = 0;
    for (const char *at = all; at && (at = strstr(at, text)); at++)
        n++;
    free(all);
    return n;
}

/* A delivery whose service breaks off is tried again and again with the same key, through a stop and a crash, until the
 * service takes it. */
START_TEST(queued_delivery_is_made_after_restarts)
{
    static const char data[] = "{\"call\": \"again\", \"key\": \"NTC-1\", \"body\": {\"text\": \"hello\"}}";
    int port = flow_free_port();
    struct flow *f = calling(port);
    struct flow_answer a;
    pid_t service = serve(f, port, true);
    flow_start(f);
    begin_call(f, "notice", data);
    FLOW_UNTIL(seen(f, "cut POST /again") >= 2); /* retried */
    kill(service, SIGKILL);                      /* now it is down altogether */
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from open_items where kind = 'effect'"), 1);
    flow_start(f);
    ck_assert(flow_logged(f, "1 calls"));
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from open_items where kind = 'effect'"), 1);
    int cuts = seen(f, "cut POST /again");
    serve(f, port, false);
    FLOW_UNTIL(seen(f, "POST /again") == cuts + 1);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from open_items where kind = 'effect'") == 0);
    ck_assert_int_eq(seen(f, "key: NTC-1"), cuts + 1); /* each time the same key */
    /* Whoever asks again with the key learns the result. */
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "agent", "call", "test.outside", "go", "--key", "notice", "--data", data, "--output", "json"),
        0);
    ck_assert_str_eq(text_of(a.json, "outcome"), "REPLIED");
    flow_answer_free(&a);
    ck_assert_int_eq(seen(f, "POST /again"), cuts + 1);
    flow_end(f);
}
END_TEST

static void timed_job(bool killed)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char program[512];
    flow_plugin(f, "faulty");
    flow_start(f);
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    const char *const words[] = {
        "agent", "call",   "test.caller",
        "call",  "--data", "{\"type\": \"later\", \"data\": {\"delay_ms\": 800}, \"timeout_ms\": 20000}",
        "--key", "job",    "--output",
        "json",  NULL};
    const char *argv[16] = {program};
    int n = 1;
    for (; words[n - 1]; n++)
        argv[n] = words[n - 1];
    argv[n++] = "--home";
    argv[n++] = f->home;
    flow_spawn(f, "job", argv);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from open_items where kind = 'timer'") == 1);
    if (killed) {
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    } else {
        ck_assert_int_eq(flow_stop(f), 0);
        flow_sleep_ms(1000); /* it falls due while no host runs */
        flow_start(f);
    }
    ck_assert(flow_logged(f, "1 timers"));
    ck_assert_int_eq(flow_run(f, &a, words), 0);
    ck_assert_str_eq(text_of(a.json, "outcome"), "REPLIED");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from turns where type = 'settle_now'"), 1);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from open_items"), 0);
    flow_end(f);
}

START_TEST(timed_job_survives_a_kill)
{
    timed_job(true);
}
END_TEST

START_TEST(timed_job_survives_a_stop)
{
    timed_job(false);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("outside"), *j = tcase_create("jobs");
    tcase_set_timeout(c, 60);
    tcase_set_timeout(j, 60);
    tcase_add_test(c, slow_outside_blocks_nobody);
    tcase_add_test(c, silent_outside_ends_with_the_timeout);
    tcase_add_test(c, nonsense_is_no_sale);
    tcase_add_test(j, queued_delivery_is_made_after_restarts);
    tcase_add_test(j, timed_job_survives_a_kill);
    tcase_add_test(j, timed_job_survives_a_stop);
    return flow_main("outside", (TCase *[]){c, j, NULL});
}
