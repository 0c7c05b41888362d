/* What a learner believes of the actions' effects: for each action a Bayesian linear model with a level per segment and
 * a deviation per persona, which forgets. Pure (libc, libm); a thread at a time.
 *
 *     impact = expected + theta . x + b[persona] + noise         for each action by itself
 *     x      = (1, at risk, critical, same action yesterday, one of the segments)
 *     theta  ~ N(0, prior),  b ~ N(0, tau^2),  noise ~ N(0, sigma^2)
 *
 * The deviation of a persona is integrated out exactly: with n impacts of a persona, their features' sum s and k = 1 /
 * (sigma^2 / tau^2 + n), they add sum(x x') - k s s' to theta's precision. So a persona is five figures an action, and
 * is drawn to its segment as long as little is known of it, the segment to all.
 *
 * Sources: Lindley & Smith 1972 (hierarchical linear model); Laird & Ware 1982 (random effects integrated out);
 * Agrawal & Goyal 2013, "Thompson Sampling for Contextual Bandits with Linear Payoffs"; forgetting towards the prior:
 * Kulhavy & Zarrop 1993; discounted Thompson sampling: Raj & Kalyani 2017. */
#ifndef LIFECYCLE_BANDIT_H
#define LIFECYCLE_BANDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BANDIT_ACTIONS_MAX 32
#define BANDIT_SEGMENTS_MAX 12 /* others have no level of their own */
#define BANDIT_NAME_MAX 64     /* bytes of an action or segment, with NUL */
#define BANDIT_COMMON 4        /* features but for the segment */
#define BANDIT_D (BANDIT_COMMON + BANDIT_SEGMENTS_MAX)

/* The state of a customer as lifecycle.behavior_analysis says. */
enum bandit_state { BANDIT_HEALTHY, BANDIT_AT_RISK, BANDIT_CRITICAL };

/* What is believed before there are data; deviations in points of the score. */
struct bandit_prior {
    double sigma;        /* of an impact around what is expected of it */
    double all;          /* of an action's effect on everybody around what its treatment says */
    double segment;      /* of a segment's around that */
    double persona;      /* of a persona's around its segment's */
    double state;        /* of what a state adds */
    double fatigue;      /* of what the same action the day before adds.. */
    double fatigue_mean; /* ..around this */
    double half_life;    /* days after which an impact counts half; 0: never forgets */
};
struct bandit_prior bandit_prior_usual(void);

/* What one persona's impacts say of one action. All 0 at first. */
struct bandit_figures {
    double n, s[BANDIT_COMMON - 1], sy;
    int64_t day; /* up to which it is discounted */
};

/* One persona's; serialised with it. All 0 at first. Index as in the bandit. */
struct bandit_persona {
    struct bandit_figures of[BANDIT_ACTIONS_MAX];
};

/* What all personas' impacts say of one action: precision and right-hand side, without prior and in units of sigma^2.
 * A persona has one segment, so segments have nothing in common but what they have with the common features. */
struct bandit_model {
    char name[BANDIT_NAME_MAX];
    double a[BANDIT_COMMON][BANDIT_COMMON], b[BANDIT_COMMON];
    double segment[BANDIT_SEGMENTS_MAX][BANDIT_COMMON], segment_b[BANDIT_SEGMENTS_MAX];
    bool solved; /* the rest fits the above */
    double theta[BANDIT_D], covariance[BANDIT_D][BANDIT_D];
};

/* What all personas share. For reading; bandit_json.h stores it. */
struct bandit {
    struct bandit_prior prior;
    int64_t day;
    int n_actions, n_segments;
    char segments[BANDIT_SEGMENTS_MAX][BANDIT_NAME_MAX];
    struct bandit_model models[BANDIT_ACTIONS_MAX];
};

/* Gives; NULL: no memory. bandit_free accepts NULL. */
struct bandit *bandit_new(const struct bandit_prior *prior);
void bandit_free(struct bandit *b);

/* The index of an action, which is added if need be; -1: too many, or a name too long. An index stays. */
int bandit_action(struct bandit *b, const char *action);
/* The index of a segment, which is added if need be; -1: it has no level of its own. */
int bandit_segment(struct bandit *b, const char *segment);

/* The day from which on an impact counts in full; earlier ones fade to it. Never goes back. */
void bandit_day(struct bandit *b, int64_t day);

/* The circumstances of an action. */
struct bandit_case {
    const char *segment;
    enum bandit_state state;
    bool yesterday;  /* the persona got the same action the day before */
    double expected; /* effect that its treatment describes for the state */
};

/* Expected effect and its deviation (of the effect, without the noise of one impact). `persona` NULL: an unknown one.
 */
void bandit_predict(struct bandit *b, const struct bandit_persona *persona, int action, const struct bandit_case *c,
                    double *ret_mean, double *ret_deviation);
/* Learns an impact; what is no finite number is left out. Takes time as the square of the features. */
void bandit_learn(struct bandit *b, struct bandit_persona *persona, int action, const struct bandit_case *c,
                  double impact);

/* The probability of each of n independent normal variables to be the greatest, by deterministic quadrature; adds up to
 * 1. A deviation may be 0. */
void bandit_best(const double *means, const double *deviations, size_t n, double *ret_probabilities);

#endif
