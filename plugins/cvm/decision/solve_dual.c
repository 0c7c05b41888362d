/* Prices of limits. Dualising the limits leaves a problem that each customer solves alone: the best columns after
 * prices. Its value plus what the limits themselves are worth is a bound at any prices, and convex in them; here the
 * lowest is looked for: first by subgradients with Polyak's step to a target level (Brannlund 1995; Goffin and Kiwiel
 * 1999), on a sample; then by Newton steps, whose second derivatives are counted from the customers who are nearly
 * indifferent between two columns. Pure; knows no customers' names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_internal.h"

enum { FIRST_SAMPLE = 8192, SAMPLE_GROWTH = 8, SUBGRADIENTS = 120, NEWTONS = 24, BUNDLES = 120 };

void solve__price_columns(const solve_problem *p, const double *lambda, solve_prices *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t k = 0; k < p->limits; k++) {
        const solve_limit *l = &p->limit[k];
        if (lambda[k] == 0.0)
            continue;
        for (size_t t = 0; t < p->columns; t++) {
            ret->fixed[t] += l->fixed != NULL ? lambda[k] * (double)l->fixed[t] : 0.0;
            ret->rate[t] += l->rate != NULL ? lambda[k] * (double)l->rate[t] : 0.0;
        }
    }
    for (size_t t = 0; t < p->columns; t++)
        ret->rates |= ret->rate[t] != 0.0;
}

/* Writes what each column is worth after prices. */
__attribute__((optimize("O3"))) static void worths(const solve_prices *c, size_t n, const float *restrict value,
                                                   const float *restrict use, double *restrict ret)
{
    if (c->rates)
        for (size_t t = 0; t < n; t++)
            ret[t] = (double)value[t] - c->fixed[t] - c->rate[t] * (double)use[t];
    else
        for (size_t t = 0; t < n; t++)
            ret[t] = (double)value[t] - c->fixed[t];
}

/* The best of what is left; ties go to the lower column. */
static int best_of(const double *worth, size_t n, double floor)
{
    int best = SOLVE_NOTHING;
    double top = floor;
    for (size_t t = 0; t < n; t++) {
        if (worth[t] > top) {
            top = worth[t];
            best = (int)t;
        }
    }
    return best;
}

void solve__choose(const solve_problem *p, const solve_prices *c, const float *value, const float *use,
                   const bool *open, solve_choice *ret)
{
    double worth[SOLVE_MAX_COLUMNS];
    worths(c, p->columns, value, use, worth);
    for (size_t t = 0; open != NULL && t < p->columns; t++)
        worth[t] = open[t] ? worth[t] : -INFINITY;
    double floor = p->required ? -INFINITY : 0.0;
    ret->count = 0;
    ret->next = SOLVE_NOTHING;
    ret->next_worth = p->required ? -INFINITY : 0.0;
    for (unsigned i = 0; i <= p->per_customer; i++) {
        int t = best_of(worth, p->columns, floor);
        if (t < 0)
            break;
        if (i == p->per_customer) {
            ret->next = (int16_t)t;
            ret->next_worth = worth[t];
            break;
        }
        ret->column[i] = (int16_t)t;
        ret->worth[i] = worth[t];
        ret->count++;
        worth[t] = -INFINITY;
        for (size_t s = 0; p->group != NULL && p->group[t] >= 0 && s < p->columns; s++)
            worth[s] = p->group[s] == p->group[t] ? -INFINITY : worth[s];
    }
}

/* Sums of one pass. */
typedef struct pass {
    double worth;    /* of the chosen ones after prices */
    double *load;    /* limits */
    double *hessian; /* limits x limits, or NULL */
    double window;   /* who is nearer to indifference than this counts in it */
} pass;

static void add_load(const solve_problem *p, const solve_touch *touch, size_t i, int t, double sign, double *load)
{
    for (uint32_t a = touch->start[t]; a < touch->start[t + 1]; a++)
        load[touch->limit[a]] += sign * solve__use(p, touch->limit[a], i, (size_t)t);
}

/* A customer at the margin moves from one column to another when the price of either moves. */
static void add_margin(const solve_problem *p, const solve_touch *touch, size_t i, const solve_choice *ch, pass *s)
{
    double margin = ch->worth[ch->count - 1] - ch->next_worth;
    if (!(margin < s->window))
        return;
    /* Between two columns both sides are counted, of nothing only the one that has something. */
    double weight = 1.0 / (s->window * (ch->next < 0 ? 1.0 : 2.0));
    uint16_t limit[64];
    double delta[64];
    unsigned n = 0;
    for (int side = 0; side < 2; side++) {
        int t = side == 0 ? ch->column[ch->count - 1] : ch->next;
        for (uint32_t a = t < 0 ? 0 : touch->start[t]; t >= 0 && a < touch->start[t + 1] && n < 64; a++) {
            limit[n] = touch->limit[a];
            delta[n++] = (side == 0 ? 1.0 : -1.0) * solve__use(p, touch->limit[a], i, (size_t)t);
        }
    }
    for (unsigned a = 0; a < n; a++)
        for (unsigned b = 0; b < n; b++)
            s->hessian[limit[a] * p->limits + limit[b]] += delta[a] * delta[b] * weight;
}

static void scan(const solve_problem *p, const solve_touch *touch, const double *lambda, size_t stride, pass *s)
{
    solve_prices c;
    solve__price_columns(p, lambda, &c);
    s->worth = 0;
    memset(s->load, 0, p->limits * sizeof *s->load);
    if (s->hessian != NULL)
        memset(s->hessian, 0, p->limits * p->limits * sizeof *s->hessian);
    for (size_t i = 0; i < p->customers; i += stride) {
        solve_choice ch;
        solve__choose(p, &c, p->value + i * p->columns, p->use == NULL ? NULL : p->use + i * p->columns, NULL, &ch);
        for (unsigned a = 0; a < ch.count; a++) {
            s->worth += ch.worth[a];
            add_load(p, touch, i, ch.column[a], 1.0, s->load);
        }
        if (s->hessian != NULL && ch.count > 0)
            add_margin(p, touch, i, &ch, s);
    }
}

double solve__bound(const solve_problem *p, const double *minimum, const double *lambda)
{
    solve_prices c;
    solve__price_columns(p, lambda, &c);
    double sum = 0;
    for (size_t k = 0; k < p->limits; k++)
        sum += lambda[k] > 0 ? lambda[k] * p->limit[k].maximum : lambda[k] < 0 ? lambda[k] * minimum[k] : 0.0;
    for (size_t i = 0; i < p->customers; i++) {
        solve_choice ch;
        solve__choose(p, &c, p->value + i * p->columns, p->use == NULL ? NULL : p->use + i * p->columns, NULL, &ch);
        for (unsigned a = 0; a < ch.count; a++)
            sum += ch.worth[a];
    }
    return sum;
}

/* The search's own state. Prices are scaled so that a unit of each is about one assignment's share. */
typedef struct search {
    const solve_problem *p;
    const double *minimum;
    const solve_touch *touch;
    const solve_clock *clock;
    size_t stride;
    double share; /* of the base that the sample is */
    double *scale;
    double *lambda;
    double *best;
    double *gradient;
    double *step;
    pass pass;
    double ceiling; /* no price per scaled unit is beyond this */
    size_t *scans;
} search;

static double evaluate(search *s, const double *lambda, bool hessian)
{
    double *keep = s->pass.hessian;
    s->pass.hessian = hessian ? keep : NULL;
    scan(s->p, s->touch, lambda, s->stride, &s->pass);
    s->pass.hessian = keep;
    ++*s->scans;
    double f = s->pass.worth;
    for (size_t k = 0; k < s->p->limits; k++) {
        double maximum = s->p->limit[k].maximum * s->share;
        double minimum = s->minimum[k] * s->share;
        double load = s->pass.load[k];
        if (lambda[k] > 0 || (lambda[k] == 0 && load > maximum))
            s->gradient[k] = maximum - load;
        else if (lambda[k] < 0 || load < minimum)
            s->gradient[k] = minimum - load;
        else
            s->gradient[k] = 0;
        f += lambda[k] > 0 ? lambda[k] * maximum : lambda[k] < 0 ? lambda[k] * minimum : 0;
    }
    return f;
}

/* A price of an unlimited limit is 0; one without a minimum is never below. */
static double legal(const search *s, size_t k, double from, double to)
{
    double top = s->ceiling / s->scale[k];
    to = to > top ? top : to < -top ? -top : to;
    if ((from > 0 && to < 0) || (from < 0 && to > 0))
        return 0;
    return (to > 0 && isinf(s->p->limit[k].maximum)) || (to < 0 && s->minimum[k] <= 0) ? 0 : to;
}

static void subgradients(search *s, double *io_best, int rounds)
{
    size_t n = s->p->limits;
    double best = *io_best;
    double level = .25 * (fabs(best) + 1e-9);
    int idle = 0;
    memset(s->step, 0, n * sizeof *s->step);
    for (int round = 0; round < rounds && !solve__over(s->clock) && level > 1e-7 * fabs(best); round++) {
        double f = evaluate(s, s->lambda, false);
        if (f < best) {
            idle = f < best - .1 * level ? 0 : idle + 1;
            best = f;
            memcpy(s->best, s->lambda, n * sizeof *s->lambda);
        } else {
            idle++;
        }
        if (idle >= 6) {
            level *= .5;
            idle = 0;
            memcpy(s->lambda, s->best, n * sizeof *s->lambda);
            memset(s->step, 0, n * sizeof *s->step);
            continue;
        }
        double norm = 0;
        for (size_t k = 0; k < n; k++) {
            s->step[k] = -s->gradient[k] / s->scale[k] + .4 * s->step[k];
            norm += s->step[k] * s->step[k];
        }
        if (norm == 0)
            break;
        double t = (f - best + level) / norm;
        for (size_t k = 0; k < n; k++)
            s->lambda[k] = legal(s, k, s->lambda[k], s->lambda[k] + t * s->step[k] / s->scale[k]);
    }
    *io_best = best;
}

/* Solves (H + ridge) d = -gradient for the limits that can move, by Cholesky; H is overwritten. */
static bool newton_step(const search *s, double *h, const double *gradient, double *d)
{
    size_t n = s->p->limits;
    for (size_t k = 0; k < n; k++) {
        bool moves = gradient[k] != 0;
        for (size_t j = 0; j < n && !moves; j++)
            h[k * n + j] = h[j * n + k] = 0;
        d[k] = -gradient[k];
        double ridge = 1e-6 + .02 * h[k * n + k];
        h[k * n + k] = moves ? h[k * n + k] + ridge * (h[k * n + k] > 0 ? 1 : s->scale[k] * s->scale[k]) : 1.0;
    }
    for (size_t k = 0; k < n; k++) {
        for (size_t j = 0; j <= k; j++) {
            double sum = h[k * n + j];
            for (size_t i = 0; i < j; i++)
                sum -= h[k * n + i] * h[j * n + i];
            if (k == j) {
                if (!(sum > 0))
                    return false;
                h[k * n + k] = sqrt(sum);
            } else {
                h[k * n + j] = sum / h[j * n + j];
            }
        }
    }
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < k; i++)
            d[k] -= h[k * n + i] * d[i];
        d[k] /= h[k * n + k];
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t i = k + 1; i < n; i++)
            d[k] -= h[i * n + k] * d[i];
        d[k] /= h[k * n + k];
    }
    return true;
}

/* The step is halved until the bound falls; the window of indifference narrows where it does not. */
static void newtons(search *s, double *io_best, double window, int rounds, double enough)
{
    size_t n = s->p->limits;
    double best = *io_best;
    double least = window * 1e-3;
    for (int round = 0; round < rounds && window > least && !solve__over(s->clock); round++) {
        s->pass.window = window;
        double at = evaluate(s, s->best, true);
        best = at < best ? at : best;
        if (!newton_step(s, s->pass.hessian, s->gradient, s->step)) {
            window *= .5;
            continue;
        }
        double t = 1;
        bool better = false;
        double before = best;
        for (int half = 0; half < 3 && !better; half++, t *= .35) {
            for (size_t k = 0; k < n; k++)
                s->lambda[k] = legal(s, k, s->best[k], s->best[k] + t * s->step[k]);
            double f = evaluate(s, s->lambda, false);
            if (f < best) {
                best = f;
                memcpy(s->best, s->lambda, n * sizeof *s->best);
                better = true;
            }
        }
        if (!better || before - best < enough * fabs(best))
            window *= .4;
    }
    *io_best = best;
}

/* The function in scaled prices, with a slope that holds for all prices that may be. */
static double scaled_value(void *arg, const double *x, double *ret_slope)
{
    search *s = arg;
    for (size_t k = 0; k < s->p->limits; k++)
        s->lambda[k] = x[k] / s->scale[k];
    double f = evaluate(s, s->lambda, false);
    for (size_t k = 0; k < s->p->limits; k++) {
        const solve_limit *l = &s->p->limit[k];
        double load = s->pass.load[k];
        if (s->minimum[k] <= 0 && !isinf(l->maximum))
            s->gradient[k] = l->maximum * s->share - load;
        else if (s->minimum[k] > 0 && isinf(l->maximum))
            s->gradient[k] = s->minimum[k] * s->share - load;
        ret_slope[k] = s->gradient[k] / s->scale[k];
    }
    return f;
}

static bool is_over(void *arg)
{
    const search *s = arg;
    return solve__over(s->clock);
}

/* Where slopes alone get stuck. */
static int bundles(search *s, double *io_best, int rounds, double enough)
{
    size_t n = s->p->limits;
    double *block = malloc((3 * n + 1) * sizeof *block);
    if (block == NULL)
        return SOLVE_E_MEMORY;
    double *low = block;
    double *high = block + n;
    double *center = block + 2 * n;
    for (size_t k = 0; k < n; k++) {
        low[k] = s->minimum[k] > 0 ? -s->ceiling : 0;
        high[k] = isinf(s->p->limit[k].maximum) ? 0 : s->ceiling;
        center[k] = s->best[k] * s->scale[k];
    }
    solve__convex f = {.value = scaled_value, .over = is_over, .arg = s, .low = low, .high = high};
    int rc = solve__bundle(&f, n, center, io_best, rounds, enough);
    for (size_t k = 0; k < n; k++)
        s->best[k] = center[k] / s->scale[k];
    free(block);
    return rc;
}

/* One limit at a time what a typical assignment uses of it. */
static double set_scales(search *s)
{
    const solve_problem *p = s->p;
    double sum = 0;
    size_t count = 0;
    size_t stride = p->customers / 1024 + 1;
    for (size_t k = 0; k < p->limits; k++) {
        double used = 0;
        size_t n = 0;
        for (size_t i = 0; i < p->customers; i += stride) {
            for (size_t t = 0; t < p->columns; t++) {
                double u = solve__use(p, k, i, t);
                used += u;
                n += u > 0;
            }
        }
        s->scale[k] = n > 0 && used > 0 ? used / (double)n : 1.0;
    }
    double top = 0;
    for (size_t i = 0; i < p->customers * p->columns; i++) {
        if (isfinite(p->value[i])) {
            double v = fabs((double)p->value[i]);
            top = v > top ? v : top;
            sum += v;
            count++;
        }
    }
    s->ceiling = 4 * top + 1e-9;
    return count > 0 ? sum / (double)count : 0;
}

int solve__dual(const solve_problem *p, const double *minimum, const solve_touch *touch, const solve_clock *clock,
                double *lambda, double *ret_bound, size_t *scans)
{
    size_t n = p->limits;
    double *block = calloc(6 * n + n * n + 1, sizeof *block);
    if (block == NULL)
        return SOLVE_E_MEMORY;
    search s = {.p = p,
                .minimum = minimum,
                .touch = touch,
                .clock = clock,
                .scale = block,
                .lambda = block + n,
                .best = block + 2 * n,
                .gradient = block + 3 * n,
                .step = block + 4 * n,
                .scans = scans};
    s.pass.load = block + 5 * n;
    s.pass.hessian = block + 6 * n;
    double mean = set_scales(&s);
    int rc = SOLVE_OK;
    for (size_t k = 0; k < n; k++)
        s.lambda[k] = s.best[k] = legal(&s, k, lambda[k], lambda[k]);
    s.stride = p->customers / FIRST_SAMPLE + 1;
    for (bool first = true;; first = false) {
        size_t rows = (p->customers + s.stride - 1) / s.stride;
        s.share = p->customers > 0 ? (double)rows / (double)p->customers : 1;
        double best = evaluate(&s, s.best, false);
        memcpy(s.lambda, s.best, n * sizeof *s.lambda);
        if (first)
            subgradients(&s, &best, SUBGRADIENTS);
        double window = mean * (first ? .2 : .02) + 1e-12;
        newtons(&s, &best, window, first ? NEWTONS : NEWTONS / 2, 1e-7);
        rc = bundles(&s, &best, first ? BUNDLES : BUNDLES / 4, 1e-7);
        if (rc != SOLVE_OK || s.stride == 1 || solve__stopped(clock, 0))
            break;
        s.stride = s.stride / SAMPLE_GROWTH + (s.stride / SAMPLE_GROWTH == 0);
    }
    memcpy(lambda, s.best, n * sizeof *lambda);
    *ret_bound = solve__bound(p, minimum, lambda);
    ++*scans;
    free(block);
    return rc;
}
