/* Runs the rows and prints them as a table or as JSON. */
#include "bench.h"

#include "core/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char build_path[4096];
static int quick;

int64_t bench_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int bench_runs(void)
{
    return quick ? 1 : BENCH_RUNS;
}

int64_t bench_amount(int64_t n)
{
    return quick ? (n + 19) / 20 : n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

const char *bench_build(void)
{
    return build_path;
}

const char *bench_source(void)
{
    return BENCH_SOURCE;
}

static int hop_shared(struct row *row)
{
    return bench_hop(row, 0);
}

static int hop_fresh(struct row *row)
{
    return bench_hop(row, 1);
}

static int trivial_64(struct row *row)
{
    return bench_http(row, "/bench/echo", 64);
}

static int trivial_1000(struct row *row)
{
    return bench_http(row, "/bench/echo", 1000);
}

static int journalled_64(struct row *row)
{
    return bench_http(row, "/bench/chain", 64);
}

static int answer_64(struct row *row)
{
    return bench_enquiry(row, 64, 0);
}

static int answer_1000(struct row *row)
{
    return bench_enquiry(row, 1000, 0);
}

static int purchase_64(struct row *row)
{
    return bench_enquiry(row, 64, 1);
}

static const struct {
    const char *name;
    int (*run)(struct row *row);
} rows[] = {{"hop4.shared", hop_shared},
            {"hop4.fresh", hop_fresh},
            {"journal.turns", bench_journal},
            {"http.trivial.64", trivial_64},
            {"http.trivial.1000", trivial_1000},
            {"http.journal.64", journalled_64},
            {"enquiry.answer.64", answer_64},
            {"enquiry.answer.1000", answer_1000},
            {"enquiry.purchase.64", purchase_64},
            {"support.ticket.64", bench_support},
            {"lifecycle.90x5", bench_lifecycle_few},
            {"lifecycle.90x10k", bench_lifecycle_many},
            {"classify", bench_classify},
            {"job.load", bench_job_load},
            {"job.read", bench_job_read},
            {"decision.one", bench_decision},
            {"allocate.one", bench_solve_one},
            {"allocate.7k", bench_solve_7k},
            {"allocate.1m", bench_solve_1m},
            {"reload.hold", bench_reload_hold},
            {"reload.pause", bench_reload_pause},
            {"link.round", bench_link_round},
            {"link.messages", bench_link_messages},
            {"move.hold", bench_move_hold},
            {"recover.child", bench_recover_child},
            {"recover.host", bench_recover},
            {"start.warm", bench_start},
            {"memory.idle", bench_memory},
            {"memory.growth", bench_growth},
            {"idle.wakeups", bench_wakeups}};
#define N_ROWS (sizeof rows / sizeof *rows)

static void cpu_name(char *name, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(name, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = 0;
            snprintf(name, size, "%s", strchr(line, ':') + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

static void print_json(const struct row *done, int n)
{
    char cpu[256];
    json_t *list = json_array();
    cpu_name(cpu, sizeof cpu);
    for (int i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:f, s:f, s:f, s:s, s:f, s:f, s:i}", "name", done[i].name, "unit", done[i].unit,
                            "value", done[i].value, "p50_us", done[i].p50_us, "p99_us", done[i].p99_us, "floor",
                            done[i].floor, "floor_value", done[i].floor_value, "ratio",
                            done[i].floor_value > 0 ? done[i].value / done[i].floor_value : 0.0, "runs", bench_runs()));
    const char *commit = getenv("BENCH_COMMIT");
    json_t *all = json_pack("{s:i, s:s, s:{s:s, s:i}, s:o}", "bench", 1, "commit", commit ? commit : "", "machine",
                            "cpu", cpu, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "rows", list);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    puts("");
    json_decref(all);
}

static int decimals(double value)
{
    return value < 1000 ? 2 : 0;
}

int main(int argc, char **argv)
{
    struct row done[N_ROWS];
    int n = 0, as_json = 0, failed = 0;
    const char *only = NULL;
    ssize_t len = readlink("/proc/self/exe", build_path, sizeof build_path - 1);
    for (int cut = 0; len > 0 && cut < 3; len--)
        if (build_path[len - 1] == '/') /* BUILD/tests/bench/bench */
            build_path[len - 1] = 0, cut++;
    log_open(NULL, LOG_WARNING, 1);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            as_json = 1;
        else if (strcmp(argv[i], "--quick") == 0)
            quick = 1;
        else if (strcmp(argv[i], "--bare") == 0)
            return bench_bare();
        else
            only = argv[i];
    }
    if (!as_json)
        printf("%-20s %12s %-10s %9s %9s   %-26s %12s %8s\n", "row", "value", "unit", "p50 us", "p99 us", "floor",
               "floor", "ratio");
    for (size_t i = 0; i < N_ROWS; i++) {
        struct row row = {.name = rows[i].name};
        if (only && strncmp(rows[i].name, only, strlen(only)) != 0)
            continue;
        if (rows[i].run(&row) < 0) {
            failed = 1;
            continue;
        }
        if (!as_json)
            printf("%-20s %12.*f %-10s %9.2f %9.2f   %-26s %12.*f %8.3f\n", row.name, decimals(row.value), row.value,
                   row.unit, row.p50_us, row.p99_us, row.floor, decimals(row.floor_value), row.floor_value,
                   row.floor_value > 0 ? row.value / row.floor_value : 0);
        fflush(stdout);
        done[n++] = row;
    }
    if (!n && !failed) {
        fprintf(stderr, "bench: no row is called %s\n", only);
        return 2;
    }
    if (as_json)
        print_json(done, n);
    return failed;
}
