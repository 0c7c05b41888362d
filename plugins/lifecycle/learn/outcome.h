/* What reward an action can be expected to have: a ridge regression per action, learnt on part of a log. Pure; any
 * thread. */
#ifndef LIFECYCLE_LEARN_OUTCOME_H
#define LIFECYCLE_LEARN_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

#define OUTCOME_ACTIONS_MAX 32
#define OUTCOME_FEATURES_MAX 48 /* without the constant */
#define OUTCOME_D (OUTCOME_FEATURES_MAX + 1)

/* The rows that a model is made of, in arrays; borrowed. */
struct outcome_rows {
    size_t n, d, n_actions;
    const double *x; /* n x d, each feature about 0 with a deviation of about 1 */
    const int *action;
    const double *reward;
};

struct outcome_model;

/* Learns from the rows of which fold[i] != left_out. `deviations`: for outcome_predict to give them. Gives; NULL: no
 * memory. outcome_free accepts NULL. */
struct outcome_model *outcome_learn(const struct outcome_rows *rows, const unsigned char *fold, int left_out,
                                    bool deviations);
void outcome_free(struct outcome_model *m);

/* The expected reward of an action for features x, and the deviation of that expectation (may be NULL). */
double outcome_predict(const struct outcome_model *m, const double *x, int action, double *ret_deviation);

#endif
