/* The global allocation: which customer gets which treatment, for the highest total value under limits. What is
 * maximised, what came out, and the prices by which one customer more can be decided. Pure: libc and libm, no clock but
 * the monotonic one, any thread. */
#ifndef CVM_DECISION_SOLVE_H
#define CVM_DECISION_SOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SOLVE_MAX_CUSTOMERS = 20000000,
    SOLVE_MAX_COLUMNS = 256,
    SOLVE_MAX_LIMITS = 512,
    SOLVE_MAX_PER_CUSTOMER = 8,
    SOLVE_MAX_CELLS = 400000000, /* customers x columns: 1.6 GB a matrix */
    SOLVE_NOTHING = -1           /* a place of an assignment that is left empty */
};

/* One assignment of a column to a customer uses `fixed[column] + rate[column] * use[customer][column]` of a limit; both
 * must be >= 0. A missing array is all 0. The sum stays <= maximum always (INFINITY: no limit) and >= minimum where
 * that can be had. */
typedef struct solve_limit {
    const char *name; /* in words: "retention_call"; may be NULL */
    double maximum;
    double minimum;
    const float *fixed;
    const float *rate;
} solve_limit;

/* A column is a treatment, or a treatment on one day. Borrowed for the length of a call. */
typedef struct solve_problem {
    size_t customers;
    size_t columns;
    size_t limits;
    const float *value; /* customers x columns, row by row; -INFINITY: this one is excluded */
    const float *use;   /* the same shape, or NULL where no limit has a rate */
    const int *group;   /* a customer gets one column of a group at most (the days of a treatment); < 0 or NULL: none */
    const solve_limit *limit;
    unsigned per_customer; /* 1..SOLVE_MAX_PER_CUSTOMER */
    bool required; /* each customer gets exactly one (per_customer 1), as in the generalised assignment problem */
} solve_problem;

typedef struct solve_options {
    double time_limit_ms; /* <= 0: 10,000; what is found by then is returned */
    const double *warm;   /* prices of an earlier run of the same limits, or NULL */
    double enough;        /* stop at this relative gap; <= 0: .000001 */
    bool (*stopped)(void *arg, double done);
    double (*clock_ms)(void *arg); /* NULL: steps are counted, so that a limit of time cuts at the same place always */
    void *arg;
} solve_options;

/* Gives all arrays; solve_result_fini frees them. */
typedef struct solve_result {
    double value;
    double bound;  /* no allocation has more (where minima were missed: none that uses as much of these) */
    double gap;    /* (bound - value) / |bound| */
    bool feasible; /* false: `required` left somebody without (shown as SOLVE_NOTHING), or a minimum was missed */
    size_t assigned;
    size_t unplaced;     /* customers without a column though one is required */
    int16_t *assignment; /* customers x per_customer */
    int16_t *runner_up;  /* the best column that a customer did not get, at these prices; SOLVE_NOTHING: nothing */
    float *lead; /* by how much, after prices, the assigned one is better than the runner-up (< 0: a limit decided) */
    double *prices; /* limits: what one unit more of the limit is worth; < 0: what the minimum costs */
    double *loads;  /* limits */
    double milliseconds;
    size_t scans; /* passes over the base */
} solve_result;

enum { SOLVE_OK = 0, SOLVE_E_ARGUMENT = -1, SOLVE_E_MEMORY = -2, SOLVE_E_STOPPED = -3 };

/* SOLVE_E_ARGUMENT writes into `error` which figure of the problem is wrong. The same problem and warm prices give the
 * same result unless the time limit cuts the search. */
int solve_run(const solve_problem *p, const solve_options *o, solve_result *ret_result, char *error, size_t error_size)
    __attribute__((warn_unused_result));
void solve_result_fini(solve_result *r);

/* One customer at given prices: the best columns in order into `chosen` (per_customer), SOLVE_NOTHING after the last.
 * `open[column]` false: no longer to be had (NULL: all are). Without memory and scans: for streaming. Returns the value
 * after prices. */
double solve_one(const solve_problem *shape, const double *prices, const float *value, const float *use,
                 const bool *open, int16_t *ret_chosen, int16_t *ret_runner_up);

/* "one more retention_call is worth 412.00"; returns the length as snprintf. */
int solve_price_words(const solve_problem *p, const solve_result *r, size_t limit, const char *unit, char *text,
                      size_t size);

#endif
