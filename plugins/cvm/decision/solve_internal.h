/* What the files of the solver share. */
#ifndef CVM_DECISION_SOLVE_INTERNAL_H
#define CVM_DECISION_SOLVE_INTERNAL_H

#include "solve.h"

/* What one assignment to a column costs at given prices: fixed + rate * use. */
typedef struct solve_prices {
    double fixed[SOLVE_MAX_COLUMNS];
    double rate[SOLVE_MAX_COLUMNS];
    bool rates; /* one of `rate` is not 0 */
} solve_prices;

typedef struct solve_clock {
    double start_ms;
    double limit_ms;
    const solve_options *options;
    long *steps; /* counted where there is no clock */
} solve_clock;

/* One customer's choice at prices. */
typedef struct solve_choice {
    unsigned count;
    int16_t column[SOLVE_MAX_PER_CUSTOMER];
    double worth[SOLVE_MAX_PER_CUSTOMER]; /* value after prices, the best first */
    int16_t next;                         /* the best one left out, SOLVE_NOTHING where nothing is better */
    double next_worth;                    /* 0 for nothing */
} solve_choice;

double solve__now_ms(const solve_clock *c);
bool solve__over(const solve_clock *c);
bool solve__stopped(const solve_clock *c, double done);

void solve__price_columns(const solve_problem *p, const double *lambda, solve_prices *ret);
void solve__choose(const solve_problem *p, const solve_prices *c, const float *value, const float *use,
                   const bool *open, solve_choice *ret);

/* One row's use of a limit by a column. */
static inline double solve__use(const solve_problem *p, size_t limit, size_t customer, size_t column)
{
    const solve_limit *l = &p->limit[limit];
    double used = l->fixed != NULL ? (double)l->fixed[column] : 0.0;
    if (l->rate != NULL && l->rate[column] != 0.0f) {
        used += (double)l->rate[column] * (double)p->use[customer * p->columns + column];
    }
    return used;
}

/* The limits that a column uses, so that a move looks at those alone. */
typedef struct solve_touch {
    uint16_t *limit; /* borrowed from one block */
    uint32_t start[SOLVE_MAX_COLUMNS + 1];
} solve_touch;
int solve__touch(const solve_problem *p, solve_touch *ret);

/* Prices that make the bound low, from `lambda` on; `minimum` stands for the limits' own. The bound belongs to them
 * exactly. */
int solve__dual(const solve_problem *p, const double *minimum, const solve_touch *touch, const solve_clock *clock,
                double *lambda, double *ret_bound, size_t *scans);
double solve__bound(const solve_problem *p, const double *minimum, const double *lambda);

/* A convex function within bounds. */
typedef struct solve__convex {
    double (*value)(void *arg, const double *x, double *ret_slope);
    bool (*over)(void *arg);
    void *arg;
    const double *low;
    const double *high;
} solve__convex;
/* Lowers `*io_best`, the value at `center`, and moves the center. */
int solve__bundle(const solve__convex *f, size_t n, double *center, double *io_best, int rounds, double enough);

/* A feasible assignment at these prices, and better ones near it. `assignment`: customers x per_customer, `loads`:
 * limits. */
int solve__primal(const solve_problem *p, const solve_touch *touch, const solve_clock *clock, const double *lambda,
                  double bound, int16_t *assignment, double *loads, size_t *scans);

/* The generalised assignment problem: each limit is one column's own, each customer gets one. */
bool solve__is_gap(const solve_problem *p);
int solve__gap(const solve_problem *p, const solve_clock *clock, double enough, double *lambda, double *io_bound,
               int16_t *assignment);

#endif
