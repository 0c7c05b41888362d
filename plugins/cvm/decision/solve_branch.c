/* Depth first over what may still be part of a better assignment. At the prices of capacity each job away from its best
 * agent, and each unit of capacity left over, loses something; a branch ends when the losses eat up what the bound is
 * above the best value. Proves small instances within milliseconds. Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_gap.h"

enum { MOST_JOBS = 400, LOOK_EVERY = 16384 };

typedef struct option {
    double loss;
    int agent;
    int need;
} option;

typedef struct branch {
    gap *g;
    option *options; /* jobs x agents, each job's by loss */
    int *count;      /* jobs */
    int *order;      /* jobs: who has most to lose by his second choice comes first */
    int *at;         /* depth: the next option */
    double *lost;    /* depth + 1 */
    int *left;       /* agents */
    int16_t *chosen; /* jobs */
    double top;      /* the bound at these prices */
} branch;

static double second(const branch *b, int j)
{
    return b->count[j] > 1 ? b->options[j * b->g->agents + 1].loss : INFINITY;
}

/* What a solution may lose and still be better. */
static double budget(const branch *b)
{
    const gap *g = b->g;
    return b->top - g->best_value - (g->step > 0 ? g->step * (1 - 1e-6) : g->enough * fabs(b->top));
}

static void prepare(branch *b)
{
    gap *g = b->g;
    b->top = 0;
    for (int i = 0; i < g->agents; i++)
        b->top += g->price[i] * g->capacity[i];
    for (int j = 0; j < g->jobs; j++) {
        option *o = b->options + j * g->agents;
        double best = -INFINITY;
        int n = 0;
        for (int i = 0; i < g->agents; i++) {
            int at = j * g->agents + i;
            double worth = g->profit[at] - g->price[i] * g->need[at];
            if (!isfinite(worth))
                continue;
            best = worth > best ? worth : best;
            if (!g->open[at])
                continue;
            int a = n++;
            for (; a > 0 && o[a - 1].loss < worth; a--)
                o[a] = o[a - 1];
            o[a] = (option){worth, i, g->need[at]};
        }
        for (int a = 0; a < n; a++)
            o[a].loss = best - o[a].loss;
        b->count[j] = n;
        b->top += isfinite(best) ? best : 0;
        int a = j;
        for (; a > 0 && second(b, b->order[a - 1]) < second(b, j); a--)
            b->order[a] = b->order[a - 1];
        b->order[a] = j;
    }
    memcpy(b->left, g->capacity, (size_t)g->agents * sizeof *b->left);
}

/* True: all was seen or cut off. */
static bool descend(branch *b)
{
    gap *g = b->g;
    int depth = 0;
    b->at[0] = 0;
    b->lost[0] = 0;
    double most = budget(b);
    for (long node = 1;; node++) {
        if (node % LOOK_EVERY == 0 && gap__over(g))
            return false;
        int j = b->order[depth];
        int a = b->at[depth];
        const option *o = b->options + j * g->agents;
        if (a > 0)
            b->left[o[a - 1].agent] += b->chosen[j] >= 0 ? o[a - 1].need : 0;
        b->chosen[j] = SOLVE_NOTHING;
        while (a < b->count[j] && b->left[o[a].agent] < o[a].need)
            a++;
        if (a >= b->count[j] || b->lost[depth] + o[a].loss > most) {
            if (depth-- == 0)
                return true;
            continue;
        }
        b->chosen[j] = (int16_t)o[a].agent;
        b->left[o[a].agent] -= o[a].need;
        b->at[depth] = a + 1;
        b->lost[depth + 1] = b->lost[depth] + o[a].loss;
        if (++depth == g->jobs) {
            gap__offer(g, b->chosen);
            most = budget(b);
            depth--;
        } else {
            b->at[depth] = 0;
        }
    }
}

int gap__branch(gap *g)
{
    if (g->jobs > MOST_JOBS)
        return SOLVE_OK;
    size_t jobs = (size_t)g->jobs;
    branch b = {.g = g};
    b.options = malloc(jobs * (size_t)g->agents * sizeof *b.options);
    b.count = malloc(jobs * sizeof *b.count);
    b.order = malloc(jobs * sizeof *b.order);
    b.at = malloc((jobs + 1) * sizeof *b.at);
    b.lost = malloc((jobs + 1) * sizeof *b.lost);
    b.left = malloc((size_t)g->agents * sizeof *b.left);
    b.chosen = malloc(jobs * sizeof *b.chosen);
    int rc = SOLVE_E_MEMORY;
    if (b.options && b.count && b.order && b.at && b.lost && b.left && b.chosen) {
        prepare(&b);
        bool all = descend(&b);
        g->bound = all && isfinite(g->best_value) ? g->best_value : g->bound;
        g->infeasible = all && !isfinite(g->best_value);
        rc = SOLVE_OK;
    }
    free(b.options);
    free(b.count);
    free(b.order);
    free(b.at);
    free(b.lost);
    free(b.left);
    free(b.chosen);
    return rc;
}
