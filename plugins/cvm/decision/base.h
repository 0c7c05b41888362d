/* A decision for the whole base: each customer is held against each treatment by the rules and the value that one
 * customer is decided by, then all are decided at once. A what-if is the same with nothing written. Owns the figures of
 * all customers. Pure but for allocation; any thread. */
#ifndef CVM_DECISION_BASE_H
#define CVM_DECISION_BASE_H

#include "decide.h"
#include "plan.h"

#define BASE_DAYS_MAX 92
#define BASE_RULES_MAX 24 /* of one treatment that are counted one by one */

struct base_terms {
    int64_t budget; /* minor units; FACTS_NONE: none */
    int64_t days;   /* 1..BASE_DAYS_MAX */
    int64_t per_customer;
    const char *trigger; /* only customers who match it; NULL: all */
    double time_limit_ms;
};

struct base_count {
    char rule[DECIDE_RULE_SIZE];
    int64_t customers;
};

/* What became of one treatment on the way. */
struct base_funnel {
    struct base_count rejected[BASE_RULES_MAX];
    size_t n_rejected;
    int64_t candidates; /* no rule rejects it */
    int64_t worthwhile; /* and it is worth something */
    int64_t wanted;     /* and nothing is worth more */
};

/* What a customer did before with one treatment. */
struct base_history {
    const char *treatment; /* borrowed */
    struct value_history history;
};

struct base {
    struct base_terms terms;
    struct decide_option *options; /* without `ignore` */
    int64_t *today, *daily;        /* of each option: units left today, units of a day; OPTION_UNLIMITED */
    size_t n;
    json_t *records; /* held */
    int64_t total, matched;
    struct plan_names ids;
    float *value, *propensity, *worth; /* matched x options; value -INFINITY: not to be */
    size_t room;
    struct base_funnel *funnel; /* of each option */
};

/* What was decided. */
struct base_decision {
    solve_problem problem;
    solve_result result;
    solve_limit *limit;
    float *weights;
    uint8_t *day;  /* matched x per_customer: from 0 */
    int *limit_of; /* of each option, -1: none */
    int budget;    /* the limit that is the budget, -1: none */
};

/* `treatments` array of records, `constraints` object by id (NULL: those of the records). CVM_EINVAL, CVM_ELIMIT:
 * ret_why. Gives. */
CVM_MUST_USE int base_new(const json_t *treatments, const json_t *constraints, const struct base_terms *terms,
                          struct base **ret, char *ret_why, size_t size);
void base_free(struct base *b);
/* One customer more; each once. `word_signals`: triggers known by what was said. */
CVM_MUST_USE int base_add(struct base *b, const struct cvm_facts *facts, unsigned word_signals,
                          const struct base_history *history, size_t n_history);

CVM_MUST_USE int base_decide(const struct base *b, bool (*stopped)(void *arg, double done),
                             double (*clock_ms)(void *arg), void *arg, struct base_decision *ret, char *ret_why,
                             size_t size);
void base_decision_fini(struct base_decision *d);

/* The figures of a decision: funnel, volumes, cost, expected value with its interval, limits and their prices. Without
 * anything that differs from run to run. Gives. */
json_t *base_summary(const struct base *b, const struct base_decision *d, int64_t now_ms);
/* Who is decided otherwise: [{"from", "to", "customers", "value_change_pounds"}], and what each treatment loses and
 * gains. Both of the same customers. Gives. */
json_t *base_compare(const struct base *before, const struct base_decision *b, const struct base *after,
                     const struct base_decision *a);
/* "ignore" where the customer gets nothing. */
const char *base_choice(const struct base *b, const struct base_decision *d, size_t customer, size_t slot);

#endif
