/* Bounds of the generalised assignment problem by prices of jobs: dualising "each job once" leaves a 0-1 knapsack an
 * agent (Fisher, Jaikumar and Van Wassenhove 1986), a tighter bound than the linear one. Subgradients with Polyak's
 * step to the best value known. From each agent's table follows what it costs to force a job in or out, and so what no
 * better assignment has (as Posta, Ferland and Michelon 2012 fix variables). Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_gap.h"

/* Tables of one agent's knapsack. */
typedef struct knapsack {
    int *item;    /* jobs with something to gain */
    double *gain; /* jobs */
    double *row[2];
    unsigned char *take; /* items x (capacity + 1) */
    double *before;      /* items + 1 rows, where penalties are wanted */
    double *after;
} knapsack;

typedef struct relax {
    gap *g;
    knapsack k;
    int largest; /* capacity that matters */
    double *worth;
    int *count;         /* jobs: how many agents took it */
    unsigned char *has; /* jobs x agents */
    double *value;      /* agents */
    int16_t *trial;
    int *left;
} relax;

__attribute__((optimize("O3"))) static void add_item(const double *restrict from, double *restrict to, int capacity,
                                                     int need, double gain, unsigned char *restrict take)
{
    memcpy(to, from, (size_t)need * sizeof *to);
    memset(take, 0, (size_t)need);
    for (int w = need; w <= capacity; w++) {
        double with = from[w - need] + gain;
        take[w] = with > from[w];
        to[w] = with > from[w] ? with : from[w];
    }
}

/* The capacity of an agent, no more than all he may do needs. */
static int effective(const gap *g, int i)
{
    long sum = 0;
    for (int j = 0; j < g->jobs; j++)
        sum += g->open[j * g->agents + i] ? g->need[j * g->agents + i] : 0;
    return sum < g->capacity[i] ? (int)sum : g->capacity[i];
}

static int items_of(const relax *x, int i)
{
    const gap *g = x->g;
    int n = 0;
    for (int j = 0; j < g->jobs; j++) {
        int at = j * g->agents + i;
        double gain = g->open[at] ? g->profit[at] - x->worth[j] : -1;
        if (gain > 0) {
            x->k.item[n] = j;
            x->k.gain[n++] = gain;
        }
    }
    return n;
}

/* Solves agent i's knapsack at the present prices; marks what he takes. */
static double agent(relax *x, int i)
{
    const gap *g = x->g;
    int n = items_of(x, i);
    int cap = effective(g, i);
    size_t width = (size_t)cap + 1;
    for (int j = 0; j < g->jobs; j++)
        x->has[j * g->agents + i] = 0;
    memset(x->k.row[0], 0, width * sizeof(double));
    int now = 0;
    for (int a = 0; a < n; a++, now ^= 1) {
        add_item(x->k.row[now], x->k.row[now ^ 1], cap, g->need[x->k.item[a] * g->agents + i], x->k.gain[a],
                 x->k.take + (size_t)a * width);
    }
    double value = x->k.row[now][cap];
    int w = cap;
    for (int a = n; a-- > 0;) {
        if (x->k.take[(size_t)a * width + (size_t)w]) {
            int j = x->k.item[a];
            x->has[j * g->agents + i] = 1;
            x->count[j]++;
            w -= g->need[j * g->agents + i];
        }
    }
    return value;
}

static double bound_at(relax *x)
{
    const gap *g = x->g;
    double sum = 0;
    memset(x->count, 0, (size_t)g->jobs * sizeof *x->count);
    for (int j = 0; j < g->jobs; j++)
        sum += x->worth[j];
    for (int i = 0; i < g->agents; i++) {
        x->value[i] = agent(x, i);
        sum += x->value[i];
    }
    return sum;
}

/* An assignment from what the agents took: each job to the best of them that has room, the others where the least is
 * lost. */
static void repair(relax *x)
{
    gap *g = x->g;
    memcpy(x->left, g->capacity, (size_t)g->agents * sizeof *x->left);
    for (int j = 0; j < g->jobs; j++) {
        x->trial[j] = SOLVE_NOTHING;
        double top = -INFINITY;
        for (int i = 0; i < g->agents; i++) {
            int at = j * g->agents + i;
            double w = x->has[at] ? g->profit[at] - g->price[i] * g->need[at] : -INFINITY;
            if (w > top && x->left[i] >= g->need[at]) {
                top = w;
                x->trial[j] = (int16_t)i;
            }
        }
        if (x->trial[j] >= 0)
            x->left[x->trial[j]] -= g->need[j * g->agents + x->trial[j]];
    }
    for (;;) {
        int job = -1;
        int to = -1;
        double worst = -INFINITY;
        for (int j = 0; j < g->jobs; j++) {
            if (x->trial[j] >= 0)
                continue;
            double best = -INFINITY;
            double second = -1e9;
            int at_best = -1;
            for (int i = 0; i < g->agents; i++) {
                int at = j * g->agents + i;
                if (!isfinite(g->profit[at]) || x->left[i] < g->need[at])
                    continue;
                double w = g->profit[at] - g->price[i] * g->need[at];
                if (w > best) {
                    second = best > second ? best : second;
                    best = w;
                    at_best = i;
                } else if (w > second) {
                    second = w;
                }
            }
            if (at_best >= 0 && best - second > worst) {
                worst = best - second;
                job = j;
                to = at_best;
            }
        }
        if (job < 0)
            break;
        x->trial[job] = (int16_t)to;
        x->left[to] -= g->need[job * g->agents + to];
    }
    gap__offer(g, x->trial);
}

/* Closes each (job, agent) whose forcing in would bring the bound to what is known already; `has` and `value` are of
 * `worth`. */
static int close_pairs(relax *x, double bound)
{
    gap *g = x->g;
    double least = g->best_value + (g->step > 0 ? g->step * (1 - 1e-6) : 1e-9 * fabs(bound));
    int closed = 0;
    for (int i = 0; i < g->agents && isfinite(g->best_value); i++) {
        int cap = effective(g, i);
        int n = items_of(x, i);
        size_t width = (size_t)cap + 1;
        if ((size_t)(n + 1) * width > GAP_KNAPSACK_CELLS / 8)
            continue;
        double *before = x->k.before;
        memset(before, 0, width * sizeof *before);
        for (int a = 0; a < n; a++) {
            add_item(before + (size_t)a * width, before + (size_t)(a + 1) * width, cap,
                     g->need[x->k.item[a] * g->agents + i], x->k.gain[a], x->k.take);
        }
        const double *all = before + (size_t)n * width;
        double value = all[cap];
        /* Jobs nobody gains by: forcing one in takes room from the others. */
        for (int j = 0; j < g->jobs; j++) {
            int at = j * g->agents + i;
            double gain = g->profit[at] - x->worth[j];
            if (g->open[at] && gain <= 0 && bound - value + all[cap - g->need[at]] + gain < least) {
                g->open[at] = false;
                closed++;
            }
        }
        double *after = x->k.row[0];
        double *next = x->k.row[1];
        memset(after, 0, width * sizeof *after);
        for (int a = n; a-- > 0;) {
            int at = x->k.item[a] * g->agents + i;
            double with = -INFINITY;
            int room = cap - g->need[at];
            const double *left = before + (size_t)a * width;
            for (int w = 0; w <= room; w++) {
                double v = left[w] + after[room - w];
                with = v > with ? v : with;
            }
            add_item(after, next, cap, g->need[at], x->k.gain[a], x->k.take);
            double *swap = after;
            after = next;
            next = swap;
            if (bound - value + with + x->k.gain[a] < least) {
                g->open[at] = false;
                closed++;
            }
        }
    }
    return closed;
}

static void move_prices(relax *x, double step)
{
    for (int j = 0; j < x->g->jobs; j++)
        x->worth[j] += step * (x->count[j] - 1);
}

static double squares(const relax *x)
{
    double sum = 0;
    for (int j = 0; j < x->g->jobs; j++)
        sum += (double)(x->count[j] - 1) * (x->count[j] - 1);
    return sum;
}

static int descend(relax *x, int rounds)
{
    gap *g = x->g;
    double theta = 1;
    int idle = 0;
    double reached = INFINITY;
    memcpy(x->worth, g->worth, (size_t)g->jobs * sizeof *x->worth);
    for (int round = 0; round < rounds && !gap__over(g) && !gap__proven(g); round++) {
        double f = bound_at(x);
        double norm = squares(x);
        if (f < reached - 1e-9) {
            idle = f < reached - 1e-5 * fabs(f) ? 0 : idle + 1;
            reached = f;
            memcpy(g->worth, x->worth, (size_t)g->jobs * sizeof *x->worth);
        } else {
            idle++;
        }
        g->bound = f < g->bound ? f : g->bound;
        if (round % 4 == 0 || norm == 0)
            repair(x);
        if (norm == 0 || theta < 1e-4)
            break;
        if (idle >= 12) {
            theta *= .6;
            idle = 0;
            memcpy(x->worth, g->worth, (size_t)g->jobs * sizeof *x->worth);
            bound_at(x);
            norm = squares(x);
            f = reached;
        }
        double target = isfinite(g->best_value) ? g->best_value : f - .01 * fabs(f);
        double over = f - target > 1e-6 * fabs(f) ? f - target : 1e-6 * fabs(f) + 1e-9;
        move_prices(x, norm > 0 ? theta * over / norm : 0);
    }
    memcpy(x->worth, g->worth, (size_t)g->jobs * sizeof *x->worth);
    double f = bound_at(x);
    close_pairs(x, f);
    return SOLVE_OK;
}

int gap__relax(gap *g, int rounds)
{
    relax x = {.g = g};
    for (int i = 0; i < g->agents; i++) {
        int cap = effective(g, i);
        x.largest = cap > x.largest ? cap : x.largest;
    }
    size_t width = (size_t)x.largest + 1;
    size_t jobs = (size_t)g->jobs;
    if (width * jobs > GAP_KNAPSACK_CELLS * 4u)
        return SOLVE_OK; /* the linear bound has to do */
    size_t table = (jobs + 1) * width < GAP_KNAPSACK_CELLS / 8 ? (jobs + 1) * width : GAP_KNAPSACK_CELLS / 8;
    x.k.item = malloc(jobs * sizeof *x.k.item);
    x.k.gain = malloc(jobs * sizeof *x.k.gain);
    x.k.row[0] = malloc(width * sizeof(double));
    x.k.row[1] = malloc(width * sizeof(double));
    x.k.take = malloc(jobs * width);
    x.k.before = malloc(table * sizeof(double));
    x.worth = malloc(jobs * sizeof *x.worth);
    x.count = malloc(jobs * sizeof *x.count);
    x.has = malloc(jobs * (size_t)g->agents);
    x.value = malloc((size_t)g->agents * sizeof *x.value);
    x.trial = malloc(jobs * sizeof *x.trial);
    x.left = malloc((size_t)g->agents * sizeof *x.left);
    bool ok = x.k.item && x.k.gain && x.k.row[0] && x.k.row[1] && x.k.take && x.k.before && x.worth && x.count &&
              x.has && x.value && x.trial && x.left;
    int rc = ok ? descend(&x, rounds) : SOLVE_E_MEMORY;
    free(x.k.item);
    free(x.k.gain);
    free(x.k.row[0]);
    free(x.k.row[1]);
    free(x.k.take);
    free(x.k.before);
    free(x.worth);
    free(x.count);
    free(x.has);
    free(x.value);
    free(x.trial);
    free(x.left);
    return rc;
}
