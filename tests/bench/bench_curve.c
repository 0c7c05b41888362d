/* How cost grows: with requests at once, conversations that are open, plugins that are loaded, and what the journal
 * holds already. The same real host and load as the rows. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOAD_REQUESTS 40000
#define CHAIN "/bench/chain"

static const char *const RELAY[] = {"relay", NULL};

static double cpu_us(int pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    const char *name_end = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
    if (name_end)
        (void)!sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    if (f)
        fclose(f);
    return 1e6 * (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void add_point(struct curve *curve, double x, const struct load_result *load, double beside)
{
    if (load->failed)
        fprintf(stderr, "bench: %s: %lld requests were not answered with 200\n", curve->name, (long long)load->failed);
    curve->points[curve->n].x = x;
    curve->points[curve->n].value = load->per_second;
    curve->points[curve->n].p50_us = load->p50_us;
    curve->points[curve->n].p99_us = load->p99_us;
    curve->points[curve->n++].beside = beside;
}

/* The median of three. */
static int steady(int port, const char *path, int connections, int64_t total, struct load_result *ret_load)
{
    struct load_result r[3];
    for (int i = 0; i < 3; i++)
        if (bench_load(port, path, connections, total, bench_echo_body, &r[i]) < 0)
            return -1;
    int least = 0, most = 0;
    for (int i = 1; i < 3; i++) {
        least = r[i].per_second < r[least].per_second ? i : least;
        most = r[i].per_second >= r[most].per_second ? i : most;
    }
    *ret_load = r[least == most ? 0 : 3 - least - most];
    return 0;
}

int curve_load(struct curve *curve)
{
    static const int at_once[] = {1, 4, 16, 64, 256, 1000};
    struct bench_home home;
    struct load_result load;
    int result = -1;
    curve->x = "requests at once";
    curve->unit = "req/s";
    curve->beside = "processor us a request";
    if (bench_home_make(&home, RELAY) < 0 || bench_home_serve(&home) < 0 ||
        steady(home.port, CHAIN, 16, 500, &load) < 0)
        goto out;
    for (size_t i = 0; i < sizeof at_once / sizeof *at_once; i++) {
        int64_t n = bench_amount(at_once[i] < 16 ? LOAD_REQUESTS / 10 : LOAD_REQUESTS);
        n = n < 4 * at_once[i] ? 4 * at_once[i] : n;
        double spent = cpu_us(bench_home_child(&home));
        if (steady(home.port, CHAIN, at_once[i], n, &load) < 0)
            goto out;
        spent = cpu_us(bench_home_child(&home)) - spent;
        add_point(curve, at_once[i], &load, spent / (3.0 * (double)n));
    }
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

int curve_conversations(struct curve *curve)
{
    static const int64_t open[] = {0, 10000, 30000, 100000, 200000};
    int result = -1;
    curve->x = "conversations open";
    curve->unit = "req/s";
    curve->beside = "MiB resident";
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        struct bench_home home;
        struct load_result load;
        int fds[BENCH_HOLD_CONNECTIONS] = {0};
        int64_t n = open[i] ? bench_amount(open[i]) : 0;
        result = -1;
        if (bench_home_make(&home, RELAY) == 0 && bench_home_serve(&home) == 0 && bench_hold(&home, n, fds) == 0 &&
            steady(home.port, CHAIN, 64, bench_amount(LOAD_REQUESTS), &load) == 0)
            result = 0;
        if (result == 0)
            add_point(curve, (double)n, &load, bench_rss_mib(bench_home_child(&home)));
        for (int c = 0; c < BENCH_HOLD_CONNECTIONS; c++)
            if (fds[c] > 0)
                close(fds[c]);
        bench_home_remove(&home);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int restart_ms(struct bench_home *home, double *ret_ms)
{
    bench_home_stop(home, SIGTERM);
    int64_t begun = bench_ns();
    if (bench_home_serve(home) < 0)
        return -1;
    *ret_ms = (double)(bench_ns() - begun) / 1e6;
    return 0;
}

/* The relay, then more and more of the product's plugins, in the order of their names. */
int curve_plugins(struct curve *curve)
{
    static const int more[] = {0, 8, 16, 64};
    int result = 0;
    curve->x = "plugins";
    curve->unit = "req/s, not journalled";
    curve->beside = "ms to start";
    for (size_t i = 0; i < sizeof more / sizeof *more && result == 0; i++) {
        struct bench_home home;
        struct load_result load;
        double ms = 0;
        int n = 0;
        result = -1;
        if (bench_home_make_some(&home, more[i], &n) == 0 && bench_home_serve(&home) == 0 &&
            bench_home_ready(&home) == 0 && restart_ms(&home, &ms) == 0 &&
            steady(home.port, "/bench/echo", 64, bench_amount(LOAD_REQUESTS), &load) == 0)
            result = 0;
        if (result == 0)
            add_point(curve, n, &load, ms);
        bench_home_remove(&home);
    }
    return result;
}

int curve_journal(struct curve *curve)
{
    static const int64_t so_far[] = {10000, 100000, 300000, 1000000};
    struct bench_home home;
    struct load_result load;
    int64_t written = 0;
    double ms;
    int result = -1;
    curve->x = "requests in the journal";
    curve->unit = "req/s";
    curve->beside = "ms to start";
    if (bench_home_make(&home, RELAY) < 0 || bench_home_serve(&home) < 0)
        goto out;
    for (size_t i = 0; i < sizeof so_far / sizeof *so_far; i++) {
        int64_t upto = bench_amount(so_far[i]), probe = bench_amount(LOAD_REQUESTS / 10);
        if (bench_load(home.port, CHAIN, 64, upto - written, bench_echo_body, &load) < 0 ||
            restart_ms(&home, &ms) < 0 || steady(home.port, CHAIN, 64, probe, &load) < 0)
            goto out;
        add_point(curve, (double)upto, &load, ms);
        written = upto + 3 * probe;
    }
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}
