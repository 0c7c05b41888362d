/* The generalised assignment problem from end to end: relaxes and searches in turn until the best assignment is proven
 * or time is up. Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_gap.h"

bool gap__over(const gap *g)
{
    return solve__now_ms(g->clock) - g->clock->start_ms > g->deadline_ms || solve__over(g->clock);
}

bool gap__proven(const gap *g)
{
    double open = g->bound - g->best_value;
    return g->infeasible || open <= g->enough * fabs(g->bound) || (g->step > 0 && open <= g->step * (1 - 1e-6));
}

uint32_t gap__random(gap *g, uint32_t below)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return (uint32_t)((g->random >> 33) % below);
}

bool gap__offer(gap *g, const int16_t *assignment)
{
    int *left = malloc((size_t)g->agents * sizeof *left);
    if (left == NULL)
        return false;
    memcpy(left, g->capacity, (size_t)g->agents * sizeof *left);
    double value = 0;
    bool fits = true;
    for (int j = 0; j < g->jobs && fits; j++) {
        int i = assignment[j];
        fits = i >= 0 && (left[i] -= g->need[j * g->agents + i]) >= 0;
        value += fits ? g->profit[j * g->agents + i] : 0;
    }
    free(left);
    if (!fits || value <= g->best_value + 1e-9)
        return false;
    g->best_value = value;
    memcpy(g->best, assignment, (size_t)g->jobs * sizeof *assignment);
    return true;
}

bool solve__is_gap(const solve_problem *p)
{
    if (!p->required || p->columns != p->limits || p->use == NULL || p->columns < 1 || p->customers < 1 ||
        p->customers * p->columns > GAP_MAX_CELLS)
        return false;
    for (size_t k = 0; k < p->limits; k++) {
        const solve_limit *l = &p->limit[k];
        if (l->rate == NULL || l->minimum > 0)
            return false;
        for (size_t t = 0; t < p->columns; t++)
            if ((l->fixed != NULL && l->fixed[t] != 0) || l->rate[t] != (t == k ? 1.0f : 0.0f))
                return false;
    }
    for (size_t a = 0; a < p->customers * p->columns; a++)
        if (p->use[a] != floorf(p->use[a]) || p->use[a] > 1e6f)
            return false;
    return true;
}

static int gap_new(const solve_problem *p, gap *g)
{
    size_t cells = p->customers * p->columns;
    g->agents = (int)p->columns;
    g->jobs = (int)p->customers;
    g->profit = malloc(cells * sizeof *g->profit);
    g->need = malloc(cells * sizeof *g->need);
    g->open = malloc(cells * sizeof *g->open);
    g->capacity = malloc(p->columns * sizeof *g->capacity);
    g->price = malloc(p->columns * sizeof *g->price);
    g->worth = malloc(p->customers * sizeof *g->worth);
    g->best = malloc(p->customers * sizeof *g->best);
    if (g->profit == NULL || g->need == NULL || g->open == NULL || g->capacity == NULL || g->price == NULL ||
        g->worth == NULL || g->best == NULL)
        return SOLVE_E_MEMORY;
    g->step = 1;
    for (size_t i = 0; i < p->columns; i++) {
        double most = floor(p->limit[i].maximum);
        g->capacity[i] = most > 2e9 ? 2000000000 : (int)most;
    }
    for (size_t a = 0; a < cells; a++) {
        g->profit[a] = (double)p->value[a];
        g->need[a] = (int)p->use[a];
        g->open[a] = isfinite(p->value[a]) && g->need[a] <= g->capacity[a % p->columns];
        g->step = isfinite(p->value[a]) && p->value[a] != floorf(p->value[a]) ? 0 : g->step;
    }
    return SOLVE_OK;
}

static void gap_fini(gap *g)
{
    free(g->profit);
    free(g->need);
    free(g->open);
    free(g->capacity);
    free(g->price);
    free(g->worth);
    free(g->best);
}

/* What the linear relaxation says of a job at the prices of capacity: a start for its own price. */
static void start_worths(gap *g)
{
    for (int j = 0; j < g->jobs; j++) {
        double top = -INFINITY;
        for (int i = 0; i < g->agents; i++) {
            int at = j * g->agents + i;
            double w = g->open[at] ? g->profit[at] - g->price[i] * g->need[at] : -INFINITY;
            top = w > top ? w : top;
        }
        g->worth[j] = isfinite(top) ? top : 0;
    }
}

static int phases(gap *g, int16_t *assignment)
{
    double limit = g->clock->limit_ms;
    g->deadline_ms = limit * .3;
    int rc = gap__relax(g, 120);
    if (rc == SOLVE_OK && !gap__proven(g))
        rc = gap__tabu(g, isfinite(g->best_value) ? g->best : assignment, 2000);
    if (rc == SOLVE_OK && !gap__proven(g))
        rc = gap__relax(g, 400);
    g->deadline_ms = limit * .4;
    if (rc == SOLVE_OK && !gap__proven(g))
        rc = gap__branch(g);
    g->deadline_ms = limit * .7;
    if (rc == SOLVE_OK && !gap__proven(g))
        rc = gap__tabu(g, isfinite(g->best_value) ? g->best : assignment, 20000);
    g->deadline_ms = limit;
    if (rc == SOLVE_OK && !gap__proven(g))
        rc = gap__tabu(g, isfinite(g->best_value) ? g->best : assignment, 1000000000);
    return rc;
}

int solve__gap(const solve_problem *p, const solve_clock *clock, double enough, double *lambda, double *io_bound,
               int16_t *assignment)
{
    gap g = {
        .best_value = -INFINITY, .bound = *io_bound, .random = 88172645463325252u, .clock = clock, .enough = enough};
    int rc = gap_new(p, &g);
    if (rc == SOLVE_OK) {
        memcpy(g.price, lambda, p->limits * sizeof *g.price);
        start_worths(&g);
        gap__offer(&g, assignment);
        rc = phases(&g, assignment);
    }
    if (rc == SOLVE_OK && isfinite(g.best_value))
        memcpy(assignment, g.best, p->customers * sizeof *assignment);
    if (rc == SOLVE_OK) {
        double whole = g.step > 0 ? floor(g.bound + 1e-6 * (1 + 1e-6 * fabs(g.bound))) : g.bound;
        *io_bound = whole < g.best_value ? g.best_value : whole;
    }
    gap_fini(&g);
    return rc;
}
