/* allocate.7k, allocate.1m: who gets which treatment, for a base of 7,043 customers with five capped treatments and a
 * budget, and for 1,000,000 with twenty; milliseconds of one thread. The floor is one pass over the values.
 * allocate.one: one customer at the last prices, and the floor the same pass over his row. */
#include "bench.h"

#include "../../plugins/cvm/decision/solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 20
#define SAMPLES 20000

struct instance {
    solve_problem problem;
    float *value;
    float weights[COLUMNS_MAX + 1][COLUMNS_MAX];
    solve_limit limit[COLUMNS_MAX + 1];
};

static uint64_t seed;

static double any(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) / 9007199254740992.0;
}

/* Values as propensity x worth - cost has them: few customers are worth much; a fifth of the pairs is not allowed. */
static int make(struct instance *x, size_t customers, size_t columns)
{
    double spend = 0;
    seed = 1;
    x->value = malloc(customers * columns * sizeof *x->value);
    if (!x->value)
        return -1;
    for (size_t t = 0; t < columns; t++) {
        x->weights[columns][t] = (float)(10 * (1 + (int)(any() * 20)));
        x->weights[t][t] = 1;
        x->limit[t] = (solve_limit){"unit", floor((double)customers * (.02 + any() * .08)), 0, x->weights[t], NULL};
        spend += x->limit[t].maximum * (double)x->weights[columns][t];
    }
    x->limit[columns] = (solve_limit){"pound", floor(spend * .6), 0, x->weights[columns], NULL};
    for (size_t i = 0; i < customers; i++) {
        double worth = -log(any() + 1e-12) * 1000;
        for (size_t t = 0; t < columns; t++) {
            double value = floor(worth * any() * any() - (double)x->weights[columns][t]);
            x->value[i * columns + t] = any() < .2 ? -INFINITY : (float)value;
        }
    }
    x->problem = (solve_problem){customers, columns, columns + 1, x->value, NULL, NULL, x->limit, 1, false};
    return 0;
}

/* The best of each row without prices: what cannot be done in less. */
static double pass_ms(const struct instance *x)
{
    int64_t begun = bench_ns();
    double sum = 0;
    for (size_t i = 0; i < x->problem.customers; i++) {
        float best = 0;
        for (size_t t = 0; t < x->problem.columns; t++) {
            float v = x->value[i * x->problem.columns + t];
            best = v > best ? v : best;
        }
        sum += (double)best;
    }
    double ms = (double)(bench_ns() - begun) / 1e6;
    return sum > 0 ? ms : -1;
}

static int solve(const char *name, struct row *row, size_t customers, size_t columns, int runs, solve_result *ret_last,
                 struct instance *x)
{
    double ms[BENCH_RUNS], floor_ms[BENCH_RUNS], least = .999;
    char why[200] = "";
    if (make(x, customers, columns) < 0)
        return -1;
    for (int i = 0; i < runs; i++) {
        solve_options o = {.time_limit_ms = 600000};
        solve_result r;
        int64_t begun = bench_ns(); /* what the result says is the solver's own count of its work */
        if (solve_run(&x->problem, &o, &r, why, sizeof why) != SOLVE_OK || r.value < least * r.bound) {
            fprintf(stderr, "%s: %s, or less than %g of the bound\n", name, why, least);
            return -1;
        }
        ms[i] = (double)(bench_ns() - begun) / 1e6;
        floor_ms[i] = pass_ms(x);
        if (i + 1 < runs || !ret_last)
            solve_result_fini(&r);
        else
            *ret_last = r;
    }
    row->value = bench_median(ms, runs);
    row->floor_value = bench_median(floor_ms, runs);
    row->unit = "ms";
    row->floor = "one pass over the values";
    return 0;
}

int bench_solve_7k(struct row *row)
{
    struct instance x = {0};
    int e = solve("allocate.7k", row, 7043, 5, bench_runs(), NULL, &x);
    free(x.value);
    return e;
}

int bench_solve_1m(struct row *row)
{
    struct instance x = {0};
    int e = solve("allocate.1m", row, (size_t)bench_amount(1000000), 20, 1, NULL, &x);
    free(x.value);
    return e;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int bench_solve_one(struct row *row)
{
    static double us[SAMPLES];
    struct instance x = {0};
    solve_result r = {0};
    int e = solve("allocate.one", row, 20000, 20, 1, &r, &x);
    for (size_t i = 0; !e && i < SAMPLES; i++) {
        int16_t chosen, next;
        int64_t begun = bench_ns();
        solve_one(&x.problem, r.prices, x.value + i * 20, NULL, NULL, &chosen, &next);
        us[i] = (double)(bench_ns() - begun) / 1000;
    }
    if (!e) {
        qsort(us, SAMPLES, sizeof *us, by_size);
        row->value = row->p50_us = us[SAMPLES / 2];
        row->p99_us = us[SAMPLES / 100 * 99];
        row->floor_value = row->floor_value * 1000 / 20000;
        row->unit = "us";
        row->floor = "one pass over the row";
    }
    solve_result_fini(&r);
    free(x.value);
    return e;
}
