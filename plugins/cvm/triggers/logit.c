/* See logit.h. Normal equations by Cholesky; a step that makes it worse is halved. */
#include "logit.h"
#include <cvm/cvm.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 60

double logit_chance(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

double logit_score(const double *beta, const double *row, size_t k)
{
    double z = 0;
    for (size_t i = 0; i < k; i++)
        z += beta[i] * row[i];
    return z;
}

static double loss(const double *x, const double *y, const double *weight, size_t n, size_t k, double l2,
                   const double *beta)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double z = logit_score(beta, x + i * k, k), s = y[i] > .5 ? -z : z;
        sum += (weight ? weight[i] : 1) * (s > 30 ? s : log1p(exp(s)));
    }
    for (size_t j = 1; j < k; j++)
        sum += .5 * l2 * beta[j] * beta[j];
    return sum;
}

/* Solves a v = b for a symmetric positive a; both are overwritten, b becomes v. */
static int solve(double *a, double *b, size_t k)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t p = 0; p < j; p++)
            for (size_t i = j; i < k; i++)
                a[i * k + j] -= a[i * k + p] * a[j * k + p];
        if (!(a[j * k + j] > 1e-12))
            return CVM_EDATA;
        double d = sqrt(a[j * k + j]);
        for (size_t i = j; i < k; i++)
            a[i * k + j] /= d;
    }
    for (size_t i = 0; i < k; i++) {
        for (size_t p = 0; p < i; p++)
            b[i] -= a[i * k + p] * b[p];
        b[i] /= a[i * k + i];
    }
    for (size_t i = k; i-- > 0;) {
        for (size_t p = i + 1; p < k; p++)
            b[i] -= a[p * k + i] * b[p];
        b[i] /= a[i * k + i];
    }
    return 0;
}

static void normal(const double *x, const double *y, const double *weight, size_t n, size_t k, double l2,
                   const double *beta, double *a, double *g)
{
    memset(a, 0, k * k * sizeof *a);
    memset(g, 0, k * sizeof *g);
    for (size_t i = 0; i < n; i++) {
        const double *row = x + i * k;
        double p = logit_chance(logit_score(beta, row, k)), u = weight ? weight[i] : 1;
        double w = u * fmax(p * (1 - p), 1e-9), r = u * (y[i] - p);
        for (size_t j = 0; j < k; j++) {
            if (row[j] == 0)
                continue;
            g[j] += r * row[j];
            for (size_t q = 0; q <= j; q++)
                a[j * k + q] += w * row[j] * row[q];
        }
    }
    for (size_t j = 0; j < k; j++) {
        double penalty = j ? l2 : 1e-8;
        a[j * k + j] += penalty;
        g[j] -= j ? l2 * beta[j] : 0;
    }
}

int logit_fit(const double *x, const double *y, const double *weight, size_t n, size_t k, double l2, double *ret_beta)
{
    double *a = malloc(k * k * sizeof *a), *memory = calloc(3 * k, sizeof *memory);
    double *g = memory, *beta = memory ? memory + k : NULL, *trial = memory ? memory + 2 * k : NULL;
    int e = a && memory ? 0 : CVM_ENOMEM;
    if (e < 0)
        goto out;
    double now = loss(x, y, weight, n, k, l2, beta);
    for (size_t step = 0; step < STEPS_MAX; step++) {
        normal(x, y, weight, n, k, l2, beta, a, g);
        if ((e = solve(a, g, k)) < 0)
            goto out;
        double scale = 1, next = now;
        for (size_t half = 0; half < 30; half++, scale /= 2) {
            for (size_t j = 0; j < k; j++)
                trial[j] = beta[j] + scale * g[j];
            next = loss(x, y, weight, n, k, l2, trial);
            if (next <= now)
                break;
        }
        if (!(next < now - 1e-9 * (1 + fabs(now))))
            break;
        memcpy(beta, trial, k * sizeof *beta);
        now = next;
    }
    memcpy(ret_beta, beta, k * sizeof *beta);
out:
    free(a);
    free(memory);
    return e;
}

struct scored {
    double chance, y;
};

static int by_chance(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->chance, y = ((const struct scored *)b)->chance;
    return x < y ? -1 : x > y;
}

double logit_auc(const double *chance, const double *y, size_t n)
{
    struct scored *s = malloc((n ? n : 1) * sizeof *s);
    double positive = 0, ranks = 0;
    if (!s)
        return NAN;
    for (size_t i = 0; i < n; i++)
        s[i] = (struct scored){chance[i], y[i]};
    qsort(s, n, sizeof *s, by_chance);
    for (size_t i = 0; i < n;) {
        size_t j = i;
        double in = 0;
        for (; j < n && s[j].chance == s[i].chance; j++)
            in += s[j].y;
        ranks += in * ((double)(i + j + 1) / 2);
        positive += in;
        i = j;
    }
    free(s);
    return (ranks - positive * (positive + 1) / 2) / (positive * ((double)n - positive));
}

double logit_brier(const double *chance, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (chance[i] - y[i]) * (chance[i] - y[i]);
    return n ? sum / (double)n : NAN;
}

int logit_calibration(const double *chance, const double *y, size_t n, double *ret_slope, double *ret_intercept)
{
    double *x = malloc((n ? n : 1) * 2 * sizeof *x), beta[2];
    if (!x)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        double p = fmin(fmax(chance[i], 1e-6), 1 - 1e-6);
        x[2 * i] = 1;
        x[2 * i + 1] = log(p / (1 - p));
    }
    int e = logit_fit(x, y, NULL, n, 2, 0, beta);
    free(x);
    if (e < 0)
        return e;
    *ret_slope = beta[1];
    *ret_intercept = beta[0];
    return 0;
}
