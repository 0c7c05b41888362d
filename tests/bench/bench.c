/* Runs the rows and the curves, and judges them by what was recorded. */
#include "bench_report.h"

#include "core/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRIES 2 /* of a row that lost too much */

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
    return bench_enquiry(row, 64, BENCH_ANSWER);
}

static int answer_1000(struct row *row)
{
    return bench_enquiry(row, 1000, BENCH_ANSWER);
}

static int crowd_1000(struct row *row)
{
    return bench_enquiry(row, 1000, BENCH_CROWD);
}

static int purchase_64(struct row *row)
{
    return bench_enquiry(row, 64, BENCH_PURCHASE);
}

static const struct {
    const char *name;
    int (*run)(struct row *row);
    enum better better;
    const char *budget;
} rows[] = {
    {"hop4.shared", hop_shared, HIGHER, ">= 5,000,000/s, p50 <= 0.4 us, p99 <= 1.5 us"},
    {"hop4.fresh", hop_fresh, HIGHER, ">= 500,000/s"},
    {"journal.turns", bench_journal, HIGHER, ">= 150,000/s, ratio >= 0.5"},
    {"http.trivial.64", trivial_64, HIGHER, ">= 65,000/s"},
    {"http.trivial.1000", trivial_1000, HIGHER, ">= 55,000/s, p99 <= 30 ms"},
    {"http.journal.64", journalled_64, HIGHER, ">= 30,000/s"},
    {"enquiry.answer.64", answer_64, HIGHER, ">= 4,000/s, p99 <= 30 ms"},
    {"enquiry.answer.1000", answer_1000, HIGHER, ">= 3,500/s, p99 <= 400 ms"},
    {"enquiry.crowd.1000", crowd_1000, HIGHER, "p99 <= 300 ms"},
    {"enquiry.purchase.64", purchase_64, HIGHER, ">= 1,500/s, p99 <= 80 ms"},
    {"support.ticket.64", bench_support, HIGHER, "p99 <= 50 ms"},
    {"lifecycle.90x5", bench_lifecycle_few, HIGHER, "< 1 s"},
    {"lifecycle.90x10k", bench_lifecycle_many, HIGHER, "< 120 s"},
    {"classify", bench_classify, HIGHER, ">= 20,000/s"},
    {"job.load", bench_job_load, HIGHER, ">= 100,000/s"},
    {"job.read", bench_job_read, HIGHER, NULL},
    {"decision.one", bench_decision, HIGHER, "p99 <= 1 ms"},
    {"allocate.one", bench_solve_one, LOOSE, NULL},
    {"allocate.7k", bench_solve_7k, LOOSE, "< 100 ms"},
    {"allocate.1m", bench_solve_1m, LOWER, "<= 20 s"},
    {"reload.hold", bench_reload_hold, LOOSE, "p50 <= 5 us, p99 <= 50 us"},
    {"reload.pause", bench_reload_pause, LOOSE, NULL},
    {"link.round", bench_link_round, LOOSE, "p50 <= 25 us, p99 <= 100 us"},
    {"link.messages", bench_link_messages, HIGHER, ">= 100,000/s"},
    {"move.hold", bench_move_hold, LOOSE, "p99 <= 5 ms"},
    {"recover.child", bench_recover_child, LOOSE, "p99 <= 50 ms"},
    {"recover.host", bench_recover, LOOSE, "<= 1 s"},
    {"start.warm", bench_start, LOWER, "<= 60 ms"},
    {"memory.idle", bench_memory, LOWER, "<= 64 MiB with text models"},
    {"memory.growth", bench_growth, LOOSE, "<= 4 MiB over 1,000,000 enquiries"},
    {"idle.wakeups", bench_wakeups, LOOSE, "0"},
};
#define N_ROWS (sizeof rows / sizeof *rows)

static const struct {
    const char *name;
    int (*run)(struct curve *curve);
} curves[] = {{"curve.load", curve_load},
              {"curve.conversations", curve_conversations},
              {"curve.plugins", curve_plugins},
              {"curve.journal", curve_journal}};
#define N_CURVES (sizeof curves / sizeof *curves)

static struct {
    int as_json, gate;
    const char *only, *against, *record;
    json_t *recorded;
} options;

static void take_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--json") == 0)
            options.as_json = 1;
        else if (strcmp(argv[i], "--quick") == 0)
            quick = 1;
        else if (strcmp(argv[i], "--bare") == 0)
            exit(bench_bare());
        else if (strcmp(argv[i], "--against") == 0 && next)
            options.against = argv[++i];
        else if (strcmp(argv[i], "--record") == 0 && next)
            options.record = argv[++i];
        else if (strcmp(argv[i], "--gate") == 0 && next)
            options.gate = (int)strtol(argv[++i], NULL, 10);
        else
            options.only = argv[i];
    }
    if (options.against)
        options.recorded = json_load_file(options.against, 0, NULL);
    if (options.gate && !options.recorded) {
        fprintf(stderr, "bench: there is nothing to compare with: %s\n",
                options.against ? options.against : "--against");
        exit(2);
    }
}

static int wanted(const char *name)
{
    return !options.only || strncmp(name, options.only, strlen(options.only)) == 0;
}

/* Once more, where it lost too much: the machine may have had other work. The better one counts. */
static int lost(struct row *row, int (*run)(struct row *row))
{
    double loss, other;
    for (int i = 0; i < RETRIES; i++) {
        struct row again = *row;
        if (report_loss(row, options.recorded, &loss) < 0 || 100 * loss <= options.gate)
            return 0;
        if (run(&again) == 0 && report_loss(&again, options.recorded, &other) == 0 && other < loss)
            *row = again;
    }
    return report_loss(row, options.recorded, &loss) == 0 && 100 * loss > options.gate;
}

static int run_rows(struct row *done, int *ret_failed)
{
    int n = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        struct row row = {.name = rows[i].name, .better = rows[i].better, .budget = rows[i].budget};
        if (!wanted(row.name) || (options.gate && row.better == LOOSE))
            continue;
        if (rows[i].run(&row) < 0) {
            if (options.gate)
                printf("%s could not be measured\n", row.name);
            ++*ret_failed;
            continue;
        }
        int fell = options.gate && lost(&row, rows[i].run);
        if (!options.as_json)
            report_row(&row, options.recorded);
        if (fell)
            printf("    has lost more than %d %% of its ratio\n", options.gate);
        *ret_failed += fell;
        done[n++] = row;
    }
    return n;
}

static int run_curves(struct curve *done, int *ret_failed)
{
    int n = 0;
    for (size_t i = 0; i < N_CURVES && !options.gate; i++) {
        struct curve curve = {.name = curves[i].name};
        if (!wanted(curve.name))
            continue;
        if (curves[i].run(&curve) < 0) {
            ++*ret_failed;
            continue;
        }
        if (!options.as_json)
            report_curve(&curve);
        done[n++] = curve;
    }
    return n;
}

/* bench --pages RECORDED [--check] PAGE...: the figures that were recorded, in the documents. */
static int pages(int argc, char **argv)
{
    struct row known[N_ROWS];
    int failed = 0, check = 0;
    json_t *recorded = json_load_file(argv[2], 0, NULL);
    for (size_t i = 0; i < N_ROWS; i++)
        known[i] = (struct row){.name = rows[i].name, .budget = rows[i].budget};
    for (int i = 3; recorded && i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0)
            check = 1;
        else if (report_page(argv[i], recorded, known, (int)N_ROWS, check) < 0)
            failed = 1;
    }
    if (!recorded)
        fprintf(stderr, "bench: %s cannot be read\n", argv[2]);
    json_decref(recorded);
    return failed || !recorded;
}

int main(int argc, char **argv)
{
    struct row done[N_ROWS];
    struct curve bends[N_CURVES];
    int failed = 0;
    ssize_t len = readlink("/proc/self/exe", build_path, sizeof build_path - 1);
    for (int cut = 0; len > 0 && cut < 3; len--)
        if (build_path[len - 1] == '/') /* BUILD/tests/bench/bench */
            build_path[len - 1] = 0, cut++;
    log_open(NULL, LOG_WARNING, 1);
    if (argc > 3 && strcmp(argv[1], "--pages") == 0)
        return pages(argc, argv);
    take_options(argc, argv);
    if (!options.as_json)
        report_head();
    int n = run_rows(done, &failed), n_curves = run_curves(bends, &failed);
    if (!n && !n_curves && !failed) {
        fprintf(stderr, "bench: no row is called %s\n", options.only);
        return 2;
    }
    json_t *all = report_json(done, n, bends, n_curves);
    if (options.as_json) {
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        puts("");
    }
    if (options.record && !failed && json_dump_file(all, options.record, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0)
        failed = 1;
    json_decref(all);
    json_decref(options.recorded);
    return failed != 0;
}
