/* Which action a persona gets: one function for the agents and for simulations. Pure (libc, libm); a thread at a time.
 *
 *     source    the rule of the specification: what failed is left out; with the explore rate an untried action by
 *               chance; else the best known success; else the highest expected effect; else nothing
 *     random    any allowed action, each as likely
 *     thompson  each with the probability that it is the best by what was learnt (bandit.h), mixed with a floor that
 *               leaves none of them out: Thompson 1933; Agrawal & Goyal 2013. What failed is left out while nothing
 *               good is expected of it. Probability matching by quadrature in place of one draw from the posterior, so
 *               that the probability of the choice is known.
 *
 * Every choice is drawn from `probabilities` by one draw of the caller's generator: `probability` is the true
 * propensity of it, which evaluation off the policy needs. */
#ifndef LIFECYCLE_POLICY_H
#define LIFECYCLE_POLICY_H

#include "bandit.h"

#define POLICY_OPTIONS_MAX BANDIT_ACTIONS_MAX
#define POLICY_FEATURES BANDIT_COMMON

enum policy_kind { POLICY_SOURCE, POLICY_RANDOM, POLICY_THOMPSON };
/* Of "source", "random", "thompson"; false: another name. */
bool policy_kind_of(const char *name, enum policy_kind *ret_kind);
const char *policy_name(enum policy_kind kind);

struct policy_settings {
    enum policy_kind kind;
    double explore_rate; /* of source: 0.15 */
    double floor;        /* of thompson: this part is spread evenly over all allowed actions; 0.01 */
    double spread;       /* of thompson: deviations are taken times this; less explores less (Chapelle & Li 2011: An
                            empirical evaluation of Thompson sampling); 0.5 */
};
struct policy_settings policy_settings_usual(void);

/* An action as one persona has known it so far. Borrowed. */
struct policy_option {
    const char *action;
    double expected; /* effect that its treatment describes for the observed state */
    bool nothing;    /* NO_ACTION: its effect is 0; chosen where nothing else is allowed, or better by thompson */
    bool forbidden;  /* recorded as FAILED, and that has not expired */
    bool blocked;    /* must not be chosen at all: not in the variant's set, refused by its treatment, .. */
    bool success;    /* the latest record is SUCCESS */
    int tries;       /* how often the persona got it */
    double impact;   /* mean of these; ranks successes */
    bool yesterday;  /* got it the day before */
};

/* For whom. `bandit` and `known` are for thompson only. Borrowed. */
struct policy_case {
    const char *segment;
    enum bandit_state state;
    struct bandit *bandit;
    const struct bandit_persona *known; /* NULL: nothing is known of the persona */
};

enum policy_why { POLICY_RULE, POLICY_EXPLORE }; /* the answer's source: "rule" (or "fallback"), "explore" */

struct policy_choice {
    int index;           /* of the options; -1: nothing is allowed, not even NO_ACTION */
    double probability;  /* with which the policy chose it; 1 for -1 */
    enum policy_why why; /* explore: by chance an untried one (source), or not the one with the highest expectation */
    int best; /* what it would do without chance; -1: as above. With a language model: explore stays, else the
                 model is asked and `best` is what to fall back to */
    double mean, deviation;                   /* what is expected of it; thompson only, else 0 */
    double features[POLICY_FEATURES];         /* 1, at risk, critical, same action yesterday */
    double probabilities[POLICY_OPTIONS_MAX]; /* of all options */
};

/* The caller's generator: 64 random bits. */
typedef uint64_t (*policy_draw)(void *arg);

/* Chooses among n <= POLICY_OPTIONS_MAX options. Draws once, whatever the policy. */
void policy_choose(const struct policy_settings *settings, const struct policy_case *c,
                   const struct policy_option *options, size_t n, policy_draw draw, void *arg,
                   struct policy_choice *ret_choice);

#endif
