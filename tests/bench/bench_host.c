/* Rows against a real host process: over HTTP, with the simulator in a process of its own. */
#include "bench.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RECOVER_OPEN 100000

static const char *const RELAY[] = {"relay", NULL};

static int64_t asked; /* so far, in all runs of a row: each request differs from those before it */

static void inquiry_of(int customer, int64_t i, char *out, size_t size)
{
    static const char *const asks[] = {
        "What is the minimum airtime I can buy on MTN?", "How long does a recharge take to arrive?",
        "abeg how I fit buy airtime for my mama line", "Which networks do you sell airtime for, and how do I pay?"};
    snprintf(out, size, "{\"customer_phone\": \"0803%07d\", \"message\": \"%s (%lld)\", \"channel\": \"WEB\"}",
             customer, asks[i % 4], (long long)i);
}

static void inquiry_body(int64_t i, char *out, size_t size)
{
    (void)i;
    i = asked++;
    inquiry_of(1230000 + (int)(i % BENCH_CUSTOMERS), i, out, size);
}

/* Each from a customer nobody has heard of. */
static void crowd_body(int64_t i, char *out, size_t size)
{
    (void)i;
    i = asked++;
    inquiry_of(2155000 + (int)i, i, out, size);
}

static void purchase_body(int64_t i, char *out, size_t size)
{
    (void)i;
    i = asked++;
    snprintf(out, size,
             "{\"network\": \"MTN\", \"phone\": \"0803%07lld\", \"amount\": 100, \"payer_phone\": \"0803123%04d\"}",
             (long long)(1000100 + i % 8000000 * 10), (int)(i % BENCH_CUSTOMERS));
}

/* So many that each connection has a few. */
static int64_t requests(int64_t n, int connections)
{
    return bench_amount(n) > connections * 3 ? bench_amount(n) : connections * 3;
}

static const struct {
    const char *path, *unit;
    void (*body)(int64_t i, char *out, size_t size);
    int64_t n; /* requests a run; 0: one for each connection, all at once */
} kinds[] = {[BENCH_ANSWER] = {"/api/v1/enquiries", "req/s", inquiry_body, 10000},
             [BENCH_CROWD] = {"/api/v1/enquiries", "enquiry/s", crowd_body, 0},
             [BENCH_PURCHASE] = {"/api/v1/transactions/airtime", "req/s", purchase_body, 5000}};

int bench_enquiry(struct row *row, int connections, enum bench_enquiry kind)
{
    struct bench_home home;
    struct load_result warm, trivial, load;
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    int result = -1;
    if (bench_home_make_all(&home) < 0 || bench_home_serve(&home) < 0 || bench_home_ready(&home) < 0)
        goto out;
    const char *path = kinds[kind].path;
    int64_t n = kinds[kind].n ? requests(kinds[kind].n, connections) : connections;
    asked = 0;
    if (bench_load(home.port, path, connections, requests(500, connections), kinds[kind].body, &warm) < 0)
        goto out;
    for (int i = 0; i < bench_runs(); i++) {
        if (bench_load(home.port, "/bench/echo", connections, requests(40000, connections), bench_echo_body, &trivial) <
                0 ||
            bench_load(home.port, path, connections, n, kinds[kind].body, &load) < 0)
            goto out;
        values[i] = load.per_second;
        p50[i] = load.p50_us;
        p99[i] = load.p99_us;
        floors[i] = trivial.per_second;
        if (load.failed)
            fprintf(stderr, "bench: %lld requests were not answered with 200\n", (long long)load.failed);
    }
    row->unit = kinds[kind].unit;
    row->floor = connections == 64 ? "http.trivial.64" : "http.trivial.1000";
    row->value = bench_median(values, bench_runs());
    row->p50_us = bench_median(p50, bench_runs());
    row->p99_us = bench_median(p99, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

/* An operation of the benchmark's own: nothing but the way in and out, and what it does to the journal. */
int bench_http(struct row *row, const char *path, int connections)
{
    struct bench_home home;
    struct load_result warm, canned, load;
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    int result = -1, floor_port = 0, floor_pid = 0;
    if (bench_home_make(&home, RELAY) < 0 || bench_home_serve(&home) < 0 ||
        bench_floor_serve(&floor_port, &floor_pid) < 0 ||
        bench_load(home.port, path, connections, connections * 4, bench_echo_body, &warm) < 0)
        goto out;
    for (int i = 0; i < bench_runs(); i++) {
        if (bench_load(floor_port, path, connections, requests(200000, connections), bench_echo_body, &canned) < 0 ||
            bench_load(home.port, path, connections, requests(100000, connections), bench_echo_body, &load) < 0)
            goto out;
        values[i] = load.per_second;
        p50[i] = load.p50_us;
        p99[i] = load.p99_us;
        floors[i] = canned.per_second;
        if (load.failed)
            fprintf(stderr, "bench: %lld requests were not answered with 200\n", (long long)load.failed);
    }
    row->unit = "req/s";
    row->floor = "epoll, canned answer";
    row->value = bench_median(values, bench_runs());
    row->p50_us = bench_median(p50, bench_runs());
    row->p99_us = bench_median(p99, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    result = 0;
out:
    bench_end(floor_pid, SIGKILL);
    bench_home_remove(&home);
    return result;
}

/* ---- recover.host: 100,000 requests taken and not settled, kill -9, time to the first durable answer ------------- */

/* The floor: reading the same rows with SQLite alone. */
static double read_rows_s(const struct bench_home *home, int64_t *ret_n)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    volatile int64_t bytes = 0;
    int64_t begun = bench_ns();
    *ret_n = 0;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home->path);
    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    sqlite3_prepare_v2(db, "SELECT no, kind, doc FROM open_items ORDER BY no", -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW) {
        ++*ret_n;
        bytes += sqlite3_column_bytes(st, 2);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return (double)(bench_ns() - begun) / 1e9;
}

static int write_whole(int fd, const char *at, size_t len)
{
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n <= 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The control socket takes thousands of open calls a connection. */
int bench_hold(const struct bench_home *home, int64_t n, int *ret_fds)
{
    int64_t open = 0;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s/data/cvmhost.sock", home->path);
    for (int c = 0; c < BENCH_HOLD_CONNECTIONS; c++) {
        ret_fds[c] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(ret_fds[c], (struct sockaddr *)&to, sizeof to) < 0)
            return -1;
        for (int i = 0; i < n / BENCH_HOLD_CONNECTIONS; i++) {
            char line[256];
            int len =
                snprintf(line, sizeof line,
                         "{\"id\":%d,\"do\":\"call\",\"to\":\"bench.keeper\",\"type\":\"wait\",\"data\":{\"n\":%d}}\n",
                         i, c * (int)n + i);
            if (write_whole(ret_fds[c], line, (size_t)len) < 0)
                return -1;
        }
    }
    for (int i = 0; i < 600 && open < n; i++, usleep(100000))
        read_rows_s(home, &open);
    if (open < n)
        fprintf(stderr, "bench: only %lld of %lld requests are open\n", (long long)open, (long long)n);
    return open < n ? -1 : 0;
}

static int recover_once(double *ret_ms, double *ret_floor_ms)
{
    struct bench_home home;
    struct load_result first;
    int fds[BENCH_HOLD_CONNECTIONS] = {0}, result = -1;
    int64_t n = 0;
    if (bench_home_make(&home, RELAY) < 0 || bench_home_serve(&home) < 0 || bench_hold(&home, RECOVER_OPEN, fds) < 0)
        goto out;
    *ret_floor_ms = 1e3 * read_rows_s(&home, &n);
    int64_t begun = bench_ns();
    kill(bench_home_child(&home), SIGKILL);
    usleep(2000); /* the dead host's connections are gone; the listening socket is the supervisor's */
    if (bench_load(home.port, "/bench/echo-durable", 1, 1, bench_echo_body, &first) < 0 || first.failed)
        goto out;
    *ret_ms = (double)(bench_ns() - begun) / 1e6;
    result = 0;
out:
    for (int c = 0; c < BENCH_HOLD_CONNECTIONS; c++)
        if (fds[c] > 0)
            close(fds[c]);
    bench_home_remove(&home);
    return result;
}

int bench_recover(struct row *row)
{
    double values[BENCH_RUNS], floors[BENCH_RUNS];
    for (int i = 0; i < bench_runs(); i++)
        if (recover_once(&values[i], &floors[i]) < 0)
            return -1;
    row->unit = "ms";
    row->floor = "reading the rows";
    row->value = bench_median(values, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    return 0;
}
