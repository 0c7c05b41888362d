/* Rows against a real host process: over HTTP, with the simulator in a process of its own. */
#include "bench.h"

#include <curl/curl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECOVER_OPEN 100000

static const char *const ALL[] = {"service", "transaction", "airtime", "network", "relay", NULL};
static const char *const RELAY[] = {"relay", NULL};

static void inquiry_body(int64_t i, char *out, size_t size)
{
    snprintf(out, size,
             "{\"customer_phone\": \"08031234567\", \"message\": \"What is the minimum airtime I can buy on MTN? (%lld)\","
             " \"channel\": \"WEB\"}",
             (long long)i);
}

static void purchase_body(int64_t i, char *out, size_t size)
{
    snprintf(out, size, "{\"network\": \"MTN\", \"phone\": \"0803%07lld\", \"amount\": 100, \"payer_phone\": \"08031234567\"}",
             (long long)(1000100 + i % 8000000 * 10));
}

static void echo_body(int64_t i, char *out, size_t size)
{
    snprintf(out, size,
             "{\"n\": %lld, \"text\": \"a body of about two hundred bytes, as the peers move it: the quick brown fox jumps over "
             "the lazy dog, and then once more, until there is enough of it to matter\"}",
             (long long)i);
}

int bench_enquiry(struct row *row, int purchase)
{
    struct bench_home home;
    struct load_result warm, trivial, load;
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    int result = -1;
    if (bench_home_make(&home, ALL) < 0 || bench_home_serve(&home) < 0)
        goto out;
    const char *path = purchase ? "/api/v1/transactions/airtime" : "/api/v1/enquiries";
    void (*body)(int64_t, char *, size_t) = purchase ? purchase_body : inquiry_body;
    sleep(1); /* the first starts seed the sample customer */
    if (bench_load(home.port, path, 64, 500, body, &warm) < 0)
        goto out;
    for (int i = 0; i < BENCH_RUNS; i++) {
        if (bench_load(home.port, "/bench/echo", 64, 40000, echo_body, &trivial) < 0 ||
            bench_load(home.port, path, 64, purchase ? 5000 : 10000, body, &load) < 0)
            goto out;
        values[i] = load.per_second;
        p50[i] = load.p50_us;
        p99[i] = load.p99_us;
        floors[i] = trivial.per_second;
        if (load.failed)
            fprintf(stderr, "bench: %lld requests were not answered with 200\n", (long long)load.failed);
    }
    row->unit = "req/s";
    row->floor = "http.trivial.64";
    row->value = bench_median(values, BENCH_RUNS);
    row->p50_us = bench_median(p50, BENCH_RUNS);
    row->p99_us = bench_median(p99, BENCH_RUNS);
    row->floor_value = bench_median(floors, BENCH_RUNS);
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

/* ---- recover.host -------------------------------------------------------------------------------------------------- */

static void no_rows(void *arg, int64_t n)
{
    *(int64_t *)arg = n;
}

static int64_t open_items(const struct bench_home *home, double *ret_read_s)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t n = 0, bytes = 0, begun = bench_ns();
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home->path);
    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    sqlite3_prepare_v2(db, "SELECT no, kind, doc FROM open_items ORDER BY no", -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW) {
        n++;
        bytes += sqlite3_column_bytes(st, 2);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    *ret_read_s = (double)(bench_ns() - begun) / 1e9;
    no_rows(&bytes, bytes);
    return n;
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

/* Open requests come from the control socket, pipelined: it takes thousands a connection. */
static int open_many(const struct bench_home *home)
{
    char command[8192];
    snprintf(command, sizeof command,
             "import socket, sys\n"
             "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1] + '/data/cvmhost.sock')\n");
    (void)command;
    return home->port ? 0 : -1;
}

int bench_recover(struct row *row)
{
    (void)open_many;
    (void)open_items;
    (void)ignore;
    (void)RELAY;
    row->unit = "ms";
    return -1;
}
