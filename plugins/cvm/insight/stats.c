/* See stats.h. Special functions by continued fractions and series, as in the usual tables. Any thread. */
#include "stats.h"

#include <assert.h>
#include <math.h>

#define STEPS 1000 /* of a series or fraction; they end after some dozen */
#define TINY 1e-300
#define EXACT_LEAST 5 /* expected in each cell for the normal approximation */
#define FEW 30        /* customers of a group below which a mean's test is rough */

double stats_normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* Acklam's approximation, then a step of Halley's, which makes it exact to rounding. */
double stats_normal_quantile(double p)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                               1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                               6.680131188771972e+01, -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                               -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00};
    double x, q = p < 0.5 ? p : 1 - p;
    assert(p > 0 && p < 1);
    if (q < 0.02425) {
        double r = sqrt(-2 * log(q));
        x = (((((c[0] * r + c[1]) * r + c[2]) * r + c[3]) * r + c[4]) * r + c[5]) /
            ((((d[0] * r + d[1]) * r + d[2]) * r + d[3]) * r + 1);
    } else {
        double u = q - 0.5, r = u * u;
        x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * u /
            (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
    }
    double e = stats_normal_cdf(x) - q, u = e * sqrt(2 * M_PI) * exp(x * x / 2);
    x -= u / (1 + x * u / 2);
    return p < 0.5 ? x : -x;
}

static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double h = d;
    for (int m = 1; m < STEPS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int i = 0; i < 2; i++) {
            double f = i ? odd : even;
            d = 1 + f * d;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = 1 + f / c;
            c = fabs(c) < TINY ? TINY : c;
            step = c * d;
            h *= step;
        }
        if (fabs(step - 1) < 1e-15)
            break;
    }
    return h;
}

/* The regularised incomplete beta function. */
static double beta_share(double a, double b, double x)
{
    int sign;
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double stats_t_two_sided(double t, double df)
{
    return isinf(t) ? 0 : beta_share(df / 2, 0.5, df / (df + t * t));
}

double stats_t_quantile(double p, double df)
{
    double low = 0, high = 1, tail = 2 * (p < 0.5 ? p : 1 - p);
    assert(p > 0 && p < 1);
    while (stats_t_two_sided(high, df) > tail && high < 1e300)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        double middle = low + (high - low) / 2;
        *(stats_t_two_sided(middle, df) > tail ? &low : &high) = middle;
    }
    return p < 0.5 ? -high : high;
}

/* The regularised upper incomplete gamma function of df / 2 at x / 2. */
double stats_chi2_above(double x, double df)
{
    double a = df / 2, y = x / 2;
    int sign;
    if (y <= 0)
        return 1;
    double front = exp(-y + a * log(y) - lgamma_r(a, &sign));
    if (y < a + 1) {
        double term = 1 / a, sum = term;
        for (int i = 1; i < STEPS * 10 && term > sum * 1e-17; i++)
            sum += term *= y / (a + i);
        return 1 - front * sum;
    }
    double b = y + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    for (int i = 1; i < STEPS * 10; i++) {
        double f = -i * (i - a);
        b += 2;
        d = f * d + b;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = b + f / c;
        c = fabs(c) < TINY ? TINY : c;
        h *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return front * h;
}

void stats_add(struct stats_sample *s, double x)
{
    double from = x - s->mean;
    s->n++;
    s->mean += from / (double)s->n;
    s->m2 += from * (x - s->mean);
}

double stats_variance(const struct stats_sample *s)
{
    return s->n < 2 ? 0 : s->m2 / (double)(s->n - 1);
}

static double z_of(double level)
{
    return stats_normal_quantile(0.5 + level / 2);
}

struct stats_interval stats_wilson(int64_t k, int64_t n, double level)
{
    double z = z_of(level), size = (double)n, p = n ? (double)k / size : 0;
    if (!n)
        return (struct stats_interval){0, 1};
    double middle = (p + z * z / (2 * size)) / (1 + z * z / size);
    double half = z / (1 + z * z / size) * sqrt(p * (1 - p) / size + z * z / (4 * size * size));
    return (struct stats_interval){k == 0 ? 0 : fmax(0, middle - half), k == n ? 1 : fmin(1, middle + half)};
}

struct stats_interval stats_mean_interval(const struct stats_sample *s, double level)
{
    if (s->n < 2)
        return (struct stats_interval){-INFINITY, INFINITY};
    double half = stats_t_quantile(0.5 + level / 2, (double)(s->n - 1)) * sqrt(stats_variance(s) / (double)s->n);
    return (struct stats_interval){s->mean - half, s->mean + half};
}

static double choose_log(int64_t n, int64_t k)
{
    int sign;
    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) - lgamma_r((double)(n - k) + 1, &sign);
}

/* All tables as unlikely as this one or more so. */
double stats_fisher(int64_t k_a, int64_t n_a, int64_t k_b, int64_t n_b)
{
    int64_t k = k_a + k_b, low = k > n_b ? k - n_b : 0, high = k < n_a ? k : n_a;
    double all = choose_log(n_a + n_b, k), sum = 0;
    double here = choose_log(n_a, k_a) + choose_log(n_b, k_b) - all;
    for (int64_t i = low; i <= high; i++) {
        double p = choose_log(n_a, i) + choose_log(n_b, k - i) - all;
        if (p <= here + 1e-7)
            sum += exp(p);
    }
    return fmin(1, sum);
}

void stats_two_rates(int64_t k_a, int64_t n_a, int64_t k_b, int64_t n_b, double level, struct stats_test *ret_test)
{
    struct stats_test t = {.known = n_a > 0 && n_b > 0, .method = "two-proportion z test"};
    *ret_test = t;
    if (!t.known)
        return;
    double a = (double)n_a, b = (double)n_b, p_a = (double)k_a / a, p_b = (double)k_b / b;
    double pooled = (double)(k_a + k_b) / (a + b), smaller = fmin(a, b) * fmin(pooled, 1 - pooled);
    struct stats_interval w_a = stats_wilson(k_a, n_a, level), w_b = stats_wilson(k_b, n_b, level);
    t.difference = p_a - p_b;
    t.interval.low = t.difference - hypot(p_a - w_a.low, w_b.high - p_b);
    t.interval.high = t.difference + hypot(w_a.high - p_a, p_b - w_b.low);
    t.few = smaller < EXACT_LEAST;
    if (t.few) {
        t.method = "Fisher's exact test";
        t.p = stats_fisher(k_a, n_a, k_b, n_b);
    } else {
        t.p = erfc(fabs(t.difference) / sqrt(pooled * (1 - pooled) * (1 / a + 1 / b)) / sqrt(2));
    }
    *ret_test = t;
}

void stats_welch(const struct stats_sample *a, const struct stats_sample *b, double level, struct stats_test *ret_test)
{
    struct stats_test t = {.method = "Welch's t test", .difference = a->mean - b->mean};
    double v_a = a->n ? stats_variance(a) / (double)a->n : 0, v_b = b->n ? stats_variance(b) / (double)b->n : 0;
    double v = v_a + v_b;
    t.known = a->n >= 2 && b->n >= 2 && v > 0;
    t.few = a->n < FEW || b->n < FEW;
    if (t.known) {
        double df = v * v / (v_a * v_a / (double)(a->n - 1) + v_b * v_b / (double)(b->n - 1));
        double half = stats_t_quantile(0.5 + level / 2, df) * sqrt(v);
        t.interval = (struct stats_interval){t.difference - half, t.difference + half};
        t.p = stats_t_two_sided(t.difference / sqrt(v), df);
    }
    *ret_test = t;
}

void stats_sequential(double difference, double variance, double tau, double level, double *ret_p,
                      struct stats_interval *ret_interval)
{
    double mixed = tau * tau, whole = variance + mixed;
    assert(variance > 0 && tau > 0);
    double evidence = 0.5 * log(variance / whole) + mixed * difference * difference / (2 * variance * whole);
    double half = sqrt(2 * variance * whole / mixed * (0.5 * log(whole / variance) - log(1 - level)));
    *ret_p = fmin(1, exp(-evidence));
    *ret_interval = (struct stats_interval){difference - half, difference + half};
}

int64_t stats_needed_mean(double difference, double var_a, double var_b, double share_b, double level, double power)
{
    double z = z_of(level) + stats_normal_quantile(power);
    double n = z * z * (var_a / (1 - share_b) + var_b / share_b) / (difference * difference);
    return isfinite(n) && n < 1e15 ? (int64_t)ceil(n) : INT64_MAX;
}

int64_t stats_needed(double a, double b, double share_b, double level, double power)
{
    return stats_needed_mean(a - b, a * (1 - a), b * (1 - b), share_b, level, power);
}

double stats_ratio_mismatch(const int64_t *counts, const double *weights, size_t n)
{
    double total = 0, weight = 0, chi = 0;
    int df = -1;
    for (size_t i = 0; i < n; i++) {
        total += (double)counts[i];
        weight += weights[i];
    }
    for (size_t i = 0; i < n && total > 0; i++) {
        double expected = total * weights[i] / weight;
        if (weights[i] <= 0)
            continue;
        chi += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
        df++;
    }
    return df > 0 ? stats_chi2_above(chi, df) : 1;
}

void stats_holm(double *p, size_t n)
{
    bool done[STATS_TESTS_MAX] = {false};
    double least = 0;
    assert(n <= STATS_TESTS_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t next = n;
        for (size_t k = 0; k < n; k++)
            if (!done[k] && (next == n || p[k] < p[next]))
                next = k;
        least = fmax(least, fmin(1, p[next] * (double)(n - i)));
        p[next] = least;
        done[next] = true;
    }
}
