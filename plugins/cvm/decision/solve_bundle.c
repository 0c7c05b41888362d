/* A proximal bundle method (Lemarechal 1975; Kiwiel 1990) for a convex function of a few variables within bounds: where
 * many customers are alike the bound has kinks at which steps along one slope get stuck, so all slopes seen lately are
 * used together. Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_internal.h"

enum { CUTS = 48, MASTER_STEPS = 400, HALVINGS = 24 };

typedef struct bundle {
    const solve__convex *f;
    size_t n;
    size_t cuts;
    double *slope;  /* CUTS x n */
    double *base;   /* CUTS: the cut's height at 0 */
    double *weight; /* CUTS: sums to 1 */
    double *rate;   /* CUTS: of the master's gain by weight */
    double *sum;    /* n: of the slopes by weight */
    double *center;
    double *point;
    double *trial;
    double *got; /* n: the slope at the trial */
    double reach;
} bundle;

static double clip(const bundle *b, size_t k, double x)
{
    return x < b->f->low[k] ? b->f->low[k] : x > b->f->high[k] ? b->f->high[k] : x;
}

/* Where the master problem is least for the sum of slopes that is there. */
static void set_point(bundle *b, const double *sum)
{
    for (size_t k = 0; k < b->n; k++)
        b->point[k] = clip(b, k, b->center[k] - b->reach * sum[k]);
}

static double height(const bundle *b, size_t i)
{
    double at = b->base[i];
    for (size_t k = 0; k < b->n; k++)
        at += b->slope[i * b->n + k] * b->point[k];
    return at;
}

/* The model: the highest cut at the point. */
static double model(const bundle *b)
{
    double top = -INFINITY;
    for (size_t i = 0; i < b->cuts; i++) {
        double h = height(b, i);
        top = h > top ? h : top;
    }
    return top;
}

/* Moves weight from cut `from` to cut `to` as far as the master gains, by halving on the difference of their heights.
 */
static void shift(bundle *b, size_t from, size_t to)
{
    const double *out = b->slope + from * b->n;
    const double *in = b->slope + to * b->n;
    double low = 0;
    double high = b->weight[from];
    double t = high;
    for (int step = 0; step < HALVINGS; step++) {
        double gain = b->base[to] - b->base[from];
        for (size_t k = 0; k < b->n; k++) {
            double x = clip(b, k, b->center[k] - b->reach * (b->sum[k] + t * (in[k] - out[k])));
            gain += (in[k] - out[k]) * x;
        }
        if (gain >= 0 && step == 0)
            break; /* all of it */
        if (gain > 0)
            low = t;
        else
            high = t;
        t = (low + high) / 2;
    }
    b->weight[from] -= t;
    b->weight[to] += t;
    for (size_t k = 0; k < b->n; k++)
        b->sum[k] += t * (in[k] - out[k]);
}

static void solve_master(bundle *b)
{
    for (int step = 0; step < MASTER_STEPS; step++) {
        size_t to = 0;
        size_t from = SIZE_MAX;
        set_point(b, b->sum);
        for (size_t i = 0; i < b->cuts; i++) {
            b->rate[i] = height(b, i);
            to = b->rate[i] > b->rate[to] ? i : to;
            if (b->weight[i] > 1e-12 && (from == SIZE_MAX || b->rate[i] < b->rate[from]))
                from = i;
        }
        if (from == SIZE_MAX || from == to || b->rate[to] - b->rate[from] < 1e-9 * (1 + fabs(b->rate[to])))
            break;
        shift(b, from, to);
    }
    set_point(b, b->sum);
}

/* Adds the cut at `x`; where there is no room the one with the least weight goes, to what is left of the others. */
static void add_cut(bundle *b, const double *x, double f, const double *slope)
{
    size_t at = b->cuts;
    if (at == CUTS) {
        at = 0;
        for (size_t i = 1; i < CUTS; i++)
            at = b->weight[i] < b->weight[at] ? i : at;
        double left = 1 - b->weight[at];
        b->weight[at] = 0;
        memset(b->sum, 0, b->n * sizeof *b->sum);
        for (size_t i = 0; i < CUTS; i++) {
            b->weight[i] /= left;
            for (size_t k = 0; k < b->n; k++)
                b->sum[k] += b->weight[i] * b->slope[i * b->n + k];
        }
    } else {
        b->cuts++;
    }
    double base = f;
    for (size_t k = 0; k < b->n; k++)
        base -= slope[k] * x[k];
    memcpy(b->slope + at * b->n, slope, b->n * sizeof *slope);
    b->base[at] = base;
    b->weight[at] = b->cuts == 1 ? 1 : 0;
    if (b->cuts == 1)
        memcpy(b->sum, slope, b->n * sizeof *slope);
}

static void descend(bundle *b, double *io_best, int rounds, double enough)
{
    double best = *io_best;
    double norm = 0;
    int idle = 0;
    for (size_t k = 0; k < b->n; k++)
        norm += b->sum[k] * b->sum[k];
    b->reach = norm > 0 ? .02 * (fabs(best) + 1e-9) / norm : 1;
    for (int round = 0; round < rounds && !b->f->over(b->f->arg); round++) {
        solve_master(b);
        double promised = best - model(b);
        if (promised < enough * (fabs(best) + 1e-9)) {
            /* Near the center nothing is to be gained: look further, and end where that is so too. */
            if (++idle > 3)
                break;
            b->reach *= 10;
            continue;
        }
        idle = 0;
        memcpy(b->trial, b->point, b->n * sizeof *b->trial);
        double f = b->f->value(b->f->arg, b->trial, b->got);
        add_cut(b, b->trial, f, b->got);
        if (best - f >= .1 * promised) {
            b->reach *= best - f >= .5 * promised ? 2 : 1;
            best = f;
            memcpy(b->center, b->trial, b->n * sizeof *b->center);
        } else {
            b->reach *= best - f < -promised ? .5 : .85;
        }
    }
    *io_best = best;
}

int solve__bundle(const solve__convex *f, size_t n, double *center, double *io_best, int rounds, double enough)
{
    if (n == 0)
        return SOLVE_OK;
    double *block = calloc(CUTS * n + 3 * CUTS + 4 * n, sizeof *block);
    if (block == NULL)
        return SOLVE_E_MEMORY;
    bundle b = {.f = f, .n = n, .slope = block, .base = block + CUTS * n, .center = center};
    b.weight = b.base + CUTS;
    b.rate = b.weight + CUTS;
    b.sum = b.rate + CUTS;
    b.point = b.sum + n;
    b.trial = b.point + n;
    b.got = b.trial + n;
    double at = f->value(f->arg, center, b.got);
    add_cut(&b, center, at, b.got);
    *io_best = at < *io_best ? at : *io_best;
    descend(&b, io_best, rounds, enough);
    free(block);
    return SOLVE_OK;
}
