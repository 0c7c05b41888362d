/* One allocation from end to end: checks the figures, looks for prices, for an assignment, and says what came out.
 * Pure; see solve.h. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "solve_internal.h"

/* A step without a clock takes .05 ms: about what the longest do. */
#define STEP_MS 0.05

double solve__now_ms(const solve_clock *c)
{
    if (c->options != NULL && c->options->clock_ms != NULL)
        return c->options->clock_ms(c->options->arg);
    return STEP_MS * (double)(*c->steps)++;
}

bool solve__over(const solve_clock *c)
{
    double spent = solve__now_ms(c) - c->start_ms;
    return spent > c->limit_ms || solve__stopped(c, spent / c->limit_ms);
}

bool solve__stopped(const solve_clock *c, double done)
{
    return c->options != NULL && c->options->stopped != NULL && c->options->stopped(c->options->arg, done);
}

static int wrong(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int wrong(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return SOLVE_E_ARGUMENT;
}

static int check_limit(const solve_problem *p, size_t k, char *error, size_t size)
{
    const solve_limit *l = &p->limit[k];
    const char *name = l->name != NULL ? l->name : "";
    if (isnan(l->maximum) || l->maximum < 0 || !(l->minimum >= 0) || isinf(l->minimum) || l->minimum > l->maximum) {
        return wrong(error, size, "limit %zu %s: maximum %g and minimum %g must be 0 <= minimum <= maximum", k, name,
                     l->maximum, l->minimum);
    }
    for (size_t t = 0; t < p->columns; t++) {
        if ((l->fixed != NULL && !(l->fixed[t] >= 0 && isfinite(l->fixed[t]))) ||
            (l->rate != NULL && !(l->rate[t] >= 0 && isfinite(l->rate[t]))))
            return wrong(error, size, "limit %zu %s, column %zu: a use must be a number >= 0", k, name, t);
        if (l->rate != NULL && l->rate[t] > 0 && p->use == NULL)
            return wrong(error, size, "limit %zu %s has rates, but the problem has no uses", k, name);
    }
    return SOLVE_OK;
}

static int check(const solve_problem *p, char *error, size_t size)
{
    if (p->customers > SOLVE_MAX_CUSTOMERS || p->columns > SOLVE_MAX_COLUMNS || p->limits > SOLVE_MAX_LIMITS ||
        p->customers * p->columns > SOLVE_MAX_CELLS) {
        return wrong(error, size,
                     "%zu customers x %zu columns under %zu limits are more than %d x %d (%d cells) under %d",
                     p->customers, p->columns, p->limits, SOLVE_MAX_CUSTOMERS, SOLVE_MAX_COLUMNS, SOLVE_MAX_CELLS,
                     SOLVE_MAX_LIMITS);
    }
    if (p->per_customer < 1 || p->per_customer > SOLVE_MAX_PER_CUSTOMER || (p->required && p->per_customer != 1)) {
        return wrong(error, size, "%u columns per customer: 1 to %d, and 1 where one is required", p->per_customer,
                     SOLVE_MAX_PER_CUSTOMER);
    }
    if (p->customers * p->columns > 0 && p->value == NULL)
        return wrong(error, size, "no values");
    for (size_t k = 0; k < p->limits; k++) {
        int rc = check_limit(p, k, error, size);
        if (rc != SOLVE_OK)
            return rc;
    }
    for (size_t a = 0; a < p->customers * p->columns; a++) {
        if (isnan(p->value[a]) || p->value[a] == INFINITY) {
            return wrong(error, size, "customer %zu, column %zu: the value is no number", a / p->columns,
                         a % p->columns);
        }
        if (p->use != NULL && !(p->use[a] >= 0 && isfinite(p->use[a]))) {
            return wrong(error, size, "customer %zu, column %zu: the use must be a number >= 0", a / p->columns,
                         a % p->columns);
        }
    }
    return SOLVE_OK;
}

int solve__touch(const solve_problem *p, solve_touch *ret)
{
    ret->limit = malloc((p->limits * p->columns + 1) * sizeof *ret->limit);
    if (ret->limit == NULL)
        return SOLVE_E_MEMORY;
    uint32_t n = 0;
    for (size_t t = 0; t < p->columns; t++) {
        ret->start[t] = n;
        for (size_t k = 0; k < p->limits; k++) {
            const solve_limit *l = &p->limit[k];
            if ((l->fixed != NULL && l->fixed[t] > 0) || (l->rate != NULL && l->rate[t] > 0))
                ret->limit[n++] = (uint16_t)k;
        }
    }
    ret->start[p->columns] = n;
    return SOLVE_OK;
}

static int gives(const solve_problem *p, solve_result *r)
{
    r->assignment = malloc((p->customers * p->per_customer + 1) * sizeof *r->assignment);
    r->runner_up = malloc((p->customers + 1) * sizeof *r->runner_up);
    r->lead = malloc((p->customers + 1) * sizeof *r->lead);
    r->prices = calloc(p->limits + 1, sizeof *r->prices);
    r->loads = calloc(p->limits + 1, sizeof *r->loads);
    return r->assignment != NULL && r->runner_up != NULL && r->lead != NULL && r->prices != NULL && r->loads != NULL
               ? SOLVE_OK
               : SOLVE_E_MEMORY;
}

/* Whom each customer's column would have been next, at the prices. */
static void runners(const solve_problem *p, solve_result *r)
{
    solve_prices c;
    solve__price_columns(p, r->prices, &c);
    for (size_t i = 0; i < p->customers; i++) {
        const int16_t *mine = r->assignment + i * p->per_customer;
        double own = 0;
        double top = p->required ? -INFINITY : 0;
        int best = SOLVE_NOTHING;
        for (size_t t = 0; t < p->columns; t++) {
            size_t at = i * p->columns + t;
            double worth = (double)p->value[at] - c.fixed[t] - (c.rates ? c.rate[t] * (double)p->use[at] : 0);
            bool has = false;
            for (unsigned a = 0; a < p->per_customer; a++)
                has |= mine[a] == (int)t;
            own = has ? worth : own;
            if (!has && worth > top) {
                top = worth;
                best = (int)t;
            }
        }
        r->runner_up[i] = (int16_t)best;
        r->lead[i] = (float)(own - (best < 0 ? 0 : top));
    }
}

/* Values, loads and misses of the assignment that is there. */
static void measure(const solve_problem *p, const solve_touch *touch, solve_result *r)
{
    r->value = 0;
    r->assigned = r->unplaced = 0;
    memset(r->loads, 0, p->limits * sizeof *r->loads);
    for (size_t a = 0; a < p->customers * p->per_customer; a++) {
        int t = r->assignment[a];
        r->unplaced += t < 0 && p->required;
        if (t < 0)
            continue;
        size_t i = a / p->per_customer;
        r->value += (double)p->value[i * p->columns + (size_t)t];
        r->assigned++;
        for (uint32_t b = touch->start[t]; b < touch->start[t + 1]; b++)
            r->loads[touch->limit[b]] += solve__use(p, touch->limit[b], i, (size_t)t);
    }
    r->feasible = r->unplaced == 0;
    for (size_t k = 0; k < p->limits; k++)
        r->feasible &= r->loads[k] >= p->limit[k].minimum;
}

/* The bound is that of the minima as far as they were met: no assignment that meets as much has more. */
static int close_bound(const solve_problem *p, solve_result *r, double bound)
{
    double *minimum = malloc((p->limits + 1) * sizeof *minimum);
    if (minimum == NULL)
        return SOLVE_E_MEMORY;
    bool missed = false;
    for (size_t k = 0; k < p->limits; k++) {
        minimum[k] = r->loads[k] < p->limit[k].minimum ? r->loads[k] : p->limit[k].minimum;
        missed |= minimum[k] < p->limit[k].minimum;
    }
    r->bound = missed ? solve__bound(p, minimum, r->prices) : bound;
    free(minimum);
    return SOLVE_OK;
}

static int search(const solve_problem *p, const solve_touch *touch, const solve_clock *clock, double enough,
                  solve_result *r)
{
    double *minimum = calloc(p->limits + 1, sizeof *minimum);
    if (minimum == NULL)
        return SOLVE_E_MEMORY;
    for (size_t k = 0; k < p->limits; k++)
        minimum[k] = p->limit[k].minimum;
    double bound = 0;
    int rc = solve__dual(p, minimum, touch, clock, r->prices, &bound, &r->scans);
    free(minimum);
    if (rc == SOLVE_OK)
        rc = solve__stopped(clock, .6) ? SOLVE_E_STOPPED : SOLVE_OK;
    if (rc == SOLVE_OK)
        rc = solve__primal(p, touch, clock, r->prices, bound, r->assignment, r->loads, &r->scans);
    if (rc == SOLVE_OK && solve__is_gap(p))
        rc = solve__gap(p, clock, enough, r->prices, &bound, r->assignment);
    if (rc == SOLVE_OK && solve__stopped(clock, 1))
        rc = SOLVE_E_STOPPED;
    if (rc == SOLVE_OK) {
        measure(p, touch, r);
        rc = close_bound(p, r, bound);
    }
    return rc;
}

int solve_run(const solve_problem *p, const solve_options *o, solve_result *ret_result, char *error, size_t error_size)
{
    long steps = 0;
    solve_clock clock = {.options = o, .steps = &steps};
    clock.start_ms = solve__now_ms(&clock);
    clock.limit_ms = o != NULL && o->time_limit_ms > 0 ? o->time_limit_ms : 10000;
    int rc = check(p, error, error_size);
    if (rc != SOLVE_OK)
        return rc;
    solve_result r = {0};
    solve_touch touch = {0};
    rc = gives(p, &r);
    rc = rc == SOLVE_OK ? solve__touch(p, &touch) : rc;
    if (rc == SOLVE_OK) {
        for (size_t k = 0; o != NULL && o->warm != NULL && k < p->limits; k++)
            r.prices[k] = isfinite(o->warm[k]) ? o->warm[k] : 0;
        rc = search(p, &touch, &clock, o != NULL && o->enough > 0 ? o->enough : 1e-6, &r);
    }
    if (rc == SOLVE_OK) {
        /* A bound below the value can only be the last bits of two sums. */
        r.bound = r.bound < r.value && r.unplaced == 0 ? r.value : r.bound;
        r.gap = r.bound != 0 ? (r.bound - r.value) / fabs(r.bound) : r.bound - r.value;
        runners(p, &r);
        r.milliseconds = solve__now_ms(&clock) - clock.start_ms;
        *ret_result = r;
        memset(&r, 0, sizeof r);
    } else if (rc == SOLVE_E_MEMORY) {
        wrong(error, error_size, "out of memory for %zu customers x %zu columns", p->customers, p->columns);
    } else {
        wrong(error, error_size, "stopped");
    }
    free(touch.limit);
    solve_result_fini(&r);
    return rc;
}

void solve_result_fini(solve_result *r)
{
    if (r == NULL)
        return;
    free(r->assignment);
    free(r->runner_up);
    free(r->lead);
    free(r->prices);
    free(r->loads);
    memset(r, 0, sizeof *r);
}

double solve_one(const solve_problem *shape, const double *prices, const float *value, const float *use,
                 const bool *open, int16_t *ret_chosen, int16_t *ret_runner_up)
{
    solve_prices c;
    solve_choice ch;
    solve__price_columns(shape, prices, &c);
    solve__choose(shape, &c, value, use, open, &ch);
    double sum = 0;
    for (unsigned a = 0; a < shape->per_customer; a++) {
        ret_chosen[a] = a < ch.count ? ch.column[a] : SOLVE_NOTHING;
        sum += a < ch.count ? ch.worth[a] : 0;
    }
    *ret_runner_up = ch.next;
    return sum;
}

int solve_price_words(const solve_problem *p, const solve_result *r, size_t limit, const char *unit, char *text,
                      size_t size)
{
    const solve_limit *l = &p->limit[limit];
    const char *name = l->name != NULL ? l->name : "unit";
    double price = r->prices[limit];
    if (r->loads[limit] < l->minimum) {
        return snprintf(text, size, "%s: the minimum of %.10g cannot be met, %.10g could be had", name, l->minimum,
                        r->loads[limit]);
    }
    if (price > 0)
        return snprintf(text, size, "one more %s is worth %.2f%s%s", name, price, unit[0] != '\0' ? " " : "", unit);
    if (price < 0) {
        return snprintf(text, size, "one less as the minimum of %s would gain %.2f%s%s", name, -price,
                        unit[0] != '\0' ? " " : "", unit);
    }
    return snprintf(text, size, "%s: more of it would gain nothing", name);
}
