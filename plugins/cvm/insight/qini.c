/* See qini.h. Customers of one score stand together: a tie says nothing about who comes first. Any thread. */
#include "qini.h"

#include <math.h>
#include <stdlib.h>

#define RESAMPLES 200
#define DRAWS_MAX 32

static int by_score(const void *one, const void *other)
{
    double a = ((const struct qini_customer *)one)->score, b = ((const struct qini_customer *)other)->score;
    return a > b ? -1 : a < b;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* How often a customer is in a resample: of Poisson's distribution with mean 1. */
static int drawn(uint64_t *state)
{
    static const double least = 0.36787944117144233; /* exp(-1) */
    double product = 1;
    int n = -1;
    do {
        product *= (double)(next_random(state) >> 11) * 0x1p-53;
        n++;
    } while (product > least && n < DRAWS_MAX);
    return n;
}

struct sums {
    double treated, held, of_treated, of_held, whole;
};

static double gain_of(const struct sums *s)
{
    return s->of_treated - (s->held > 0 ? s->of_held * s->treated / s->held : 0);
}

static void put_points(double *gain, double x_0, double y_0, double x_1, double y_1)
{
    for (int i = 1; i < QINI_POINTS; i++) {
        double x = (double)i / (QINI_POINTS - 1);
        if (x > x_0 && x <= x_1 + 1e-12)
            gain[i] = y_0 + (y_1 - y_0) * (x_1 > x_0 ? fmin(1, (x - x_0) / (x_1 - x_0)) : 1);
    }
}

/* The coefficient; `times` NULL: of the customers as they are. */
static double area(const struct qini_customer *c, size_t n, const int *times, double *gain)
{
    struct sums s = {0};
    double under = 0, x = 0, y = 0, whole = 0, all_treated = 0;
    for (size_t i = 0; i < n; i++) {
        double w = times ? times[i] : 1;
        whole += w;
        all_treated += c[i].treated ? w : 0;
    }
    if (whole <= 0 || all_treated <= 0)
        return 0;
    for (size_t i = 0, from = 0; i < n; i++) {
        double w = times ? times[i] : 1;
        s.whole += w;
        *(c[i].treated ? &s.treated : &s.held) += w;
        *(c[i].treated ? &s.of_treated : &s.of_held) += w * c[i].outcome;
        if (i + 1 < n && c[i + 1].score == c[from].score)
            continue;
        from = i + 1;
        double next_x = s.whole / whole, next_y = gain_of(&s) / all_treated;
        under += (next_x - x) * (y + next_y) / 2;
        if (gain)
            put_points(gain, x, y, next_x, next_y);
        x = next_x;
        y = next_y;
    }
    return under - y / 2;
}

static int by_number(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

bool qini_make(struct qini_customer *customers, size_t n, double level, struct qini *ret_qini)
{
    struct qini q = {0};
    double found[RESAMPLES];
    uint64_t seed = 1;
    size_t treated = 0;
    for (size_t i = 0; i < n; i++)
        treated += customers[i].treated;
    int *times = treated > 0 && treated < n ? malloc(n * sizeof *times) : NULL;
    if (!times)
        return false;
    qsort(customers, n, sizeof *customers, by_score);
    q.coefficient = area(customers, n, NULL, q.gain);
    for (int i = 0; i < RESAMPLES; i++) {
        for (size_t k = 0; k < n; k++)
            times[k] = drawn(&seed);
        found[i] = area(customers, n, times, NULL);
    }
    free(times);
    qsort(found, RESAMPLES, sizeof *found, by_number);
    int cut = (int)((1 - level) / 2 * RESAMPLES);
    q.interval = (struct stats_interval){found[cut], found[RESAMPLES - 1 - cut]};
    *ret_qini = q;
    return true;
}
