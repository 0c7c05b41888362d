/* Statistics of outcomes: intervals, tests, what can be told from how much. Pure; any thread.
 *
 * A rate's interval is Wilson's, that of a difference of rates Newcombe's (both keep what they promise for few
 * customers too), that of a difference of means Welch's. */
#ifndef CVM_INSIGHT_STATS_H
#define CVM_INSIGHT_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stats_interval {
    double low, high;
};

/* Figures of a group: how many, their mean, the sum of squares about it. */
struct stats_sample {
    int64_t n;
    double mean, m2;
};

/* What two groups say; a is what is judged, b what it is judged by. */
struct stats_test {
    bool known;         /* false: nothing can be told; the rest but `method` is without meaning */
    const char *method; /* for people */
    double difference;  /* a - b */
    struct stats_interval interval;
    double p; /* two-sided */
    bool few; /* so few that the test is rough */
};

double stats_normal_cdf(double z);
double stats_normal_quantile(double p); /* 0 < p < 1 */
double stats_t_two_sided(double t, double df);
double stats_t_quantile(double p, double df);
double stats_chi2_above(double x, double df);

void stats_add(struct stats_sample *s, double x);
double stats_variance(const struct stats_sample *s); /* of the group, n - 1 below; 0 for fewer than 2 */

/* Of a rate. n == 0: 0 to 1. */
struct stats_interval stats_wilson(int64_t k, int64_t n, double level);
/* Of a mean by Student's t. n < 2: all numbers. */
struct stats_interval stats_mean_interval(const struct stats_sample *s, double level);

/* z test of two proportions; Fisher's exact where fewer than 5 are expected in a cell. */
void stats_two_rates(int64_t k_a, int64_t n_a, int64_t k_b, int64_t n_b, double level, struct stats_test *ret_test);
/* Welch's t test. */
void stats_welch(const struct stats_sample *a, const struct stats_sample *b, double level, struct stats_test *ret_test);
double stats_fisher(int64_t k_a, int64_t n_a, int64_t k_b, int64_t n_b);

/* Bounds that hold however often one looks: the mixture sequential probability ratio test, a normal mixture of
 * variance `tau`^2 over the effect, which must be chosen before the data. `variance` is that of the difference as it
 * is estimated now. */
void stats_sequential(double difference, double variance, double tau, double level, double *ret_p,
                      struct stats_interval *ret_interval);

/* How many customers it takes in all to tell rates `a` and `b` apart with probability `power`, when `share_b` of them
 * are in b. INT64_MAX: never. */
int64_t stats_needed(double a, double b, double share_b, double level, double power);
/* The same for means: difference and variance of one customer in either group. */
int64_t stats_needed_mean(double difference, double var_a, double var_b, double share_b, double level, double power);

/* Whether counts fit weights: the p value of the chi-square test. 1 where there is nothing to compare. */
double stats_ratio_mismatch(const int64_t *counts, const double *weights, size_t n);
/* Holm's adjustment of n <= STATS_TESTS_MAX p values, in place. */
#define STATS_TESTS_MAX 32
void stats_holm(double *p, size_t n);

#endif
