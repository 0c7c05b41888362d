/* Which treatment a customer gets: every one is held against the rules in one order, what is left is ranked. A pure
 * function of the problem, so that a decision can be made again with one thing changed. No allocation; any thread.
 *
 * Rules in order, the first that does not hold rejects: disabled, permission, excluded, segment, eligibility, check
 * (the treatment's own answer), exhausted. `ignore` is held against none but `excluded`. Ranking: of those with figures
 * of their own the highest value above 0; of those without (rule scorer) the one that suits most of the customer's
 * triggers, one at least, then lower priority number, lower cost, id. If both kinds have a best, the higher value of
 * the two, with assumed figures for the second. Nobody: `ignore`, worth 0. */
#ifndef CVM_DECISION_DECIDE_H
#define CVM_DECISION_DECIDE_H

#include "value.h"

#define DECIDE_NONE ((size_t)-1)
#define DECIDE_OPTIONS_MAX 2000
#define DECIDE_RULE_SIZE 96

struct decide_option {
    struct option o;
    struct value_history history;
    int64_t remaining;   /* units left today; OPTION_UNLIMITED: no limit is known */
    bool excluded;       /* by who asks */
    bool refused;        /* the component was asked and said no: */
    const char *refusal; /* its rule, "" */
    const char *taken;   /* why no unit could be taken, though some were left; NULL: not tried */
    bool rules_waived;   /* change.c: as if it had no eligibility rules */
};

struct decide_problem {
    struct cvm_facts facts;
    unsigned word_signals;  /* triggers known by more than the facts */
    const json_t *triggers; /* names of others; NULL: none */
    struct decide_option *options;
    size_t n;
};

struct decide_verdict {
    char rule[DECIDE_RULE_SIZE]; /* "": a candidate. "disabled", "permission:sms", "excluded", "segment",
                                    "eligibility:ID", "check:RULE", "exhausted" */
    const char *why;             /* a sentence or NULL */
    struct value value;
};

struct decide_result {
    size_t winner, runner_up;        /* DECIDE_NONE: nobody */
    struct decide_verdict *verdicts; /* of each option, in order; the caller's, `n` of them */
};

/* Decides. result->verdicts is filled in. */
void decide(const struct decide_problem *p, struct decide_result *result);
/* The winner alone, fast: for searching. */
size_t decide_winner(const struct decide_problem *p);
/* Whether an option is a candidate; `rule` (DECIDE_RULE_SIZE, may be NULL) gets the first rule that rejects it. */
bool decide_candidate(const struct decide_problem *p, size_t i, char *rule, const char **ret_why);
/* All triggers of the customer. */
unsigned decide_signals(const struct decide_problem *p);

#endif
