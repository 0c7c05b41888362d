/* What a policy would have earned, told from a log of what another one did: evaluation off the policy. Pure; any
 * thread.
 *
 *     IPS    mean of w r, w = the policy's probability of the logged action / the probability it was logged with
 *     SNIPS  the same divided by the mean of w (Swaminathan & Joachims 2015)
 *     DR     mean of sum over a of policy(a) q(a) + w (r - q(logged action)), q a ridge regression that was learnt on
 *            other rows (Dudik, Langford & Li 2011; cross-fitting: Chernozhukov et al. 2018)
 *
 * Intervals: a mean's by Hall's transformation, which takes the skew of weighted rewards out of Student's t (Hall 1992,
 * "On the removal of skewness by transformation"); SNIPS, a ratio, by inverting that test as Fieller does. Rows are
 * taken as independent given what was logged before. */
#ifndef LIFECYCLE_LEARN_OFFPOLICY_H
#define LIFECYCLE_LEARN_OFFPOLICY_H

#include "outcome.h"

#include <stdint.h>

#define OFF_NAME_MAX 64 /* bytes of an action, with NUL */
#define OFF_FOLDS 5
#define OFF_WHY_SIZE 320
#define OFF_ESS_LEAST 50.0    /* effective rows below which nothing is said: intervals do not keep their word there */
#define OFF_SPREAD_LEAST 20.0 /* rows that the spread of the weights must rest on, for an interval to be one */
#define OFF_MATCHED_LEAST 30  /* rows whose action the policy might have taken */
#define OFF_CLIP 20.0         /* weights above are counted, and cut in what is shown for comparison */

/* A log. The first `n_logged` of the actions occur in it. Borrowed. */
struct off_log {
    struct outcome_rows rows;
    size_t n_logged;
    char (*names)[OFF_NAME_MAX];
    const double *propensity; /* above 0, at most 1 */
};

enum off_kind { OFF_ACTION, OFF_UNIFORM, OFF_LOGGED, OFF_GREEDY, OFF_THOMPSON, OFF_GIVEN };

struct off_policy {
    enum off_kind kind;
    int action;          /* OFF_ACTION */
    const double *given; /* OFF_GIVEN: rows x actions */
};

struct off_interval {
    double value, low, high;
};

struct off_result {
    bool known; /* false: cannot tell; `why` says why, and the intervals are without meaning */
    char why[OFF_WHY_SIZE];
    struct off_interval ips, snips, dr;
    struct off_interval gain; /* DR against what was logged */
    double logged;            /* mean reward */

    double second;                    /* rows that the spread of the weights rests on: (sum w^2)^2 / sum w^4 */
    double ess;                       /* effective rows: (sum w)^2 / sum w^2 (Kong 1992) */
    double weight, weight_z;          /* mean of w, which is 1 with true propensities, in its deviations from there */
    double most, share;               /* the greatest weight, its part of all */
    size_t matched;                   /* rows with w > 0 */
    size_t clipped;                   /* rows with w > OFF_CLIP */
    double clipped_ips;               /* IPS with them cut to that */
    double mass[OUTCOME_ACTIONS_MAX]; /* the policy's mean probability of each action */
    size_t count[OUTCOME_ACTIONS_MAX];
};

/* 0, or -1: no memory. */
int off_evaluate(const struct off_log *log, const struct off_policy *policy, struct off_result *ret_result);

/* The interval of a mean at 95 per cent. */
struct off_interval off_mean(const double *values, size_t n);
/* That of sum w r / sum w. */
struct off_interval off_ratio(const double *weights, const double *rewards, size_t n);

#endif
