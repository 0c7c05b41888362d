/* See bgnbd.h. Any thread. */
#include "bgnbd.h"

#include "maximum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TERMS 1000000
#define NEAR_ONE 1e-9 /* a - 1 stands below the fraction of expected purchases */

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* The derivative of log_gamma, x > 0: up to 10 by the recurrence, from there by Stirling's series. */
static double digamma(double x)
{
    double sum = 0;
    for (; x < 10; x++)
        sum -= 1 / x;
    double i = 1 / (x * x);
    return sum + log(x) - 0.5 / x - i * (1.0 / 12 - i * (1.0 / 120 - i * (1.0 / 252 - i * (1.0 / 240 - i / 132))));
}

static double log_of_sum(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);
    return high + log1p(exp(low - high));
}

/* ---- BG/NBD ------------------------------------------------------------------------------------------------------ */

/* One customer's log-likelihood; adds to the gradient where there is one. */
static double of_customer(const double *p, const struct clv_customer *c, double *gradient)
{
    double r = p[0], alpha = p[1], a = p[2], b = p[3], x = c->frequency;
    double stays = -(r + x) * log(alpha + c->age), left = -HUGE_VAL;
    double both = log_gamma(r + x) - log_gamma(r) + r * log(alpha);
    double chance = log_gamma(a + b) + log_gamma(b + x) - log_gamma(b) - log_gamma(a + b + x);
    if (x > 0)
        left = log(a) - log(b + x - 1) - (r + x) * log(alpha + c->recency);
    double end = x > 0 ? log_of_sum(stays, left) : stays;
    if (!gradient)
        return both + chance + end;
    double gone = x > 0 ? exp(left - end) : 0, here = 1 - gone, ab = digamma(a + b) - digamma(a + b + x);
    gradient[0] +=
        digamma(r + x) - digamma(r) + log(alpha) - here * log(alpha + c->age) - gone * log(alpha + c->recency);
    gradient[1] += r / alpha - here * (r + x) / (alpha + c->age) - gone * (r + x) / (alpha + c->recency);
    gradient[2] += ab + gone / a;
    gradient[3] += ab + digamma(b + x) - digamma(b) - (x > 0 ? gone / (b + x - 1) : 0);
    return both + chance + end;
}

double bgnbd_log_likelihood(const double parameters[4], const struct clv_customer *c)
{
    return of_customer(parameters, c, NULL);
}

struct many {
    const struct clv_customer *customers;
    size_t n;
    double penalty;
};

/* Equal customers come one after the other: their likelihood is found once. */
static double of_all(const double *parameters, double *ret_gradient, void *arg)
{
    const struct many *m = arg;
    double value = 0;
    memset(ret_gradient, 0, 4 * sizeof *ret_gradient);
    for (size_t i = 0; i < m->n;) {
        double own[4] = {0};
        size_t first = i;
        while (++i < m->n && memcmp(&m->customers[i], &m->customers[first], 3 * sizeof(double)) == 0)
            ;
        double times = (double)(i - first);
        value += times * of_customer(parameters, &m->customers[first], own);
        for (size_t k = 0; k < 4; k++)
            ret_gradient[k] += times * own[k];
    }
    for (size_t k = 0; m->penalty > 0 && k < 4; k++) {
        double u = log(parameters[k]), weight = m->penalty * (double)m->n;
        value -= weight * u * u;
        ret_gradient[k] -= 2 * weight * u / parameters[k];
    }
    return value;
}

static int by_figures(const void *a, const void *b)
{
    const struct clv_customer *x = a, *y = b;
    if (x->frequency != y->frequency)
        return x->frequency < y->frequency ? -1 : 1;
    if (x->recency != y->recency)
        return x->recency < y->recency ? -1 : 1;
    return x->age < y->age ? -1 : x->age > y->age;
}

/* On a slope that never ends (a chance of 0, customers who are all alike) the gradient falls below any bound and looks
 * like that of a maximum; what tells is the curvature, and so the errors, which are unknown or beyond all measure. */
static bool decided(const struct maximum *m, size_t d)
{
    for (size_t i = 0; i < d; i++)
        if (!(m->errors[i] <= CLV_ERROR_MAX * m->parameters[i]))
            return false;
    return m->converged;
}

static struct clv_fit fit_of(const struct maximum *m, size_t d, size_t customers)
{
    struct clv_fit f = {
        .converged = decided(m, d), .n = d, .log_likelihood = m->value, .customers = customers, .steps = m->steps};
    memcpy(f.parameters, m->parameters, d * sizeof(double));
    memcpy(f.errors, m->errors, d * sizeof(double));
    return f;
}

struct clv_fit bgnbd_fit(const struct clv_customer *customers, size_t n, double penalty)
{
    struct clv_fit failed = {.n = 4};
    struct clv_customer *sorted = malloc((n ? n : 1) * sizeof *sorted);
    double age = 0, frequency = 0;
    if (!n || !sorted) {
        free(sorted);
        return failed;
    }
    memcpy(sorted, customers, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_figures);
    for (size_t i = 0; i < n; i++) {
        age += sorted[i].age / (double)n;
        frequency += sorted[i].frequency / (double)n;
    }
    struct many m = {sorted, n, penalty};
    const double start[4] = {0.5, 0.5 * age / fmax(frequency, 0.1), 1, 2};
    struct maximum best = maximum_find(of_all, &m, age > 0 ? start : (double[4]){1, 1, 1, 1}, 4, (double)n);
    struct clv_fit fit = fit_of(&best, 4, n);
    if (penalty > 0) {
        fit.log_likelihood = 0;
        for (size_t i = 0; i < n; i++)
            fit.log_likelihood += of_customer(fit.parameters, &sorted[i], NULL);
    }
    free(sorted);
    return fit;
}

/* a / (b + x - 1) ((alpha + age) / (alpha + recency))^(r + x): how much likelier left than there. */
static double gone_odds(const double p[4], const struct clv_customer *c)
{
    if (c->frequency <= 0)
        return 0;
    return exp(log(p[2]) - log(p[3] + c->frequency - 1) +
               (p[0] + c->frequency) * (log(p[1] + c->age) - log(p[1] + c->recency)));
}

double bgnbd_alive(const double parameters[4], const struct clv_customer *c)
{
    return 1 / (1 + gone_odds(parameters, c));
}

double clv_hypergeometric(double a, double b, double c, double z)
{
    double term = 1, sum = 1;
    for (int i = 0; i < TERMS; i++) {
        term *= (a + i) * (b + i) / (c + i) * z / (1 + i);
        sum += term;
        if (fabs(term) <= 1e-15 * fabs(sum))
            break;
    }
    return sum;
}

/* The logarithm of the same for a, b, c and z above 0, whose terms may be beyond any double. */
static double log_hypergeometric(double a, double b, double c, double z)
{
    double term = 1, sum = 1, taken_out = 0;
    for (int i = 0; i < TERMS; i++) {
        term *= (a + i) * (b + i) / (c + i) * z / (1 + i);
        sum += term;
        if (term <= 1e-15 * sum)
            break;
        if (sum > 1e200) {
            taken_out += log(sum);
            term /= sum;
            sum = 1;
        }
    }
    return log(sum) + taken_out;
}

/* The published formula, or the same after Euler's transformation of its hypergeometric function, whichever has the
 * smaller power. In logarithms where its terms are above 0: for somebody who bought often, or where a is large, as it
 * is for customers who are all alike, power and function leave what a double holds, one to each side. */
double bgnbd_expected(const double parameters[4], const struct clv_customer *c, double horizon)
{
    double r = parameters[0], a = parameters[2], b = parameters[3], x = c->frequency;
    double z = horizon / (parameters[1] + c->age + horizon), gone;
    if (fabs(a - 1) < NEAR_ONE)
        a = 1 + NEAR_ONE;
    double k = a + b + x - 1;
    if (a - 1 > r + x)
        gone = exp((r + x) * log1p(-z) + log_hypergeometric(r + x, b + x, k, z));
    else if (a > 2 && a + b - 1 > r)
        gone = exp((a - 1) * log1p(-z) + log_hypergeometric(a + b - 1 - r, a - 1, k, z));
    else
        gone = pow(1 - z, a - 1) * clv_hypergeometric(a + b - 1 - r, a - 1, k, z);
    return k / (a - 1) * (1 - gone) / (1 + gone_odds(parameters, c));
}

/* ---- Gamma-Gamma ------------------------------------------------------------------------------------------------- */

static double spend_of_all(const double *parameters, double *ret_gradient, void *arg)
{
    const struct many *m = arg;
    double p = parameters[0], q = parameters[1], v = parameters[2], value = 0;
    memset(ret_gradient, 0, 3 * sizeof *ret_gradient);
    for (size_t i = 0; i < m->n; i++) {
        double x = m->customers[i].frequency, z = m->customers[i].spend, px = p * x, all = log(v + x * z);
        double top = digamma(px + q);
        value += log_gamma(px + q) - log_gamma(px) - log_gamma(q) + q * log(v) + (px - 1) * log(z) + px * log(x) -
                 (px + q) * all;
        ret_gradient[0] += x * (top - digamma(px) + log(z) + log(x) - all);
        ret_gradient[1] += top - digamma(q) + log(v) - all;
        ret_gradient[2] += q / v - (px + q) / (v + x * z);
    }
    return value;
}

/* In units of the mean spend, so that the way to the maximum does not depend on the currency. */
struct clv_fit gamma_gamma_fit(const struct clv_customer *customers, size_t n)
{
    struct clv_fit fit = {.n = 3};
    struct clv_customer *own = malloc((n ? n : 1) * sizeof *own);
    double mean = 0, logs = 0;
    size_t used = 0;
    for (size_t i = 0; own && i < n; i++)
        if (customers[i].frequency > 0 && customers[i].spend > 0) {
            own[used++] = customers[i];
            mean += customers[i].spend;
        }
    if (used > 2) {
        mean /= (double)used;
        for (size_t i = 0; i < used; i++) {
            own[i].spend /= mean;
            logs += log(mean);
        }
        struct many m = {own, used, 0};
        struct maximum best = maximum_find(spend_of_all, &m, (double[]){2, 3, 2}, 3, (double)used);
        fit = fit_of(&best, 3, used);
        fit.parameters[2] *= mean;
        fit.errors[2] *= mean;
        fit.log_likelihood -= logs;
    }
    free(own);
    return fit;
}

double gamma_gamma_expected(const double parameters[3], const struct clv_customer *c)
{
    double p = parameters[0], q = parameters[1], v = parameters[2];
    double x = c->spend > 0 ? c->frequency : 0;
    if (p * x + q <= 1)
        return NAN;
    return p * (v + x * (x > 0 ? c->spend : 0)) / (p * x + q - 1);
}
