/* How likely a customer is to leave, from the figures: a logistic regression over what the base itself says (a label
 * such as attributes.Churn). Columns are found in the data: numbers (standardised, bent at their quintiles), categories
 * (one column a value), and both with the length of the contract so far. Pure; any thread. */
#ifndef TRIGGERS_CHURN_H
#define TRIGGERS_CHURN_H

#include "../common/facts.h"
#include <jansson.h>

#define CHURN_COLUMNS_MAX 250
#define CHURN_FACTORS 5
#define CHURN_FOLDS 5
#define CHURN_BINS 10

struct churn; /* being taught */
struct churn_model;

struct churn_report {
    size_t n, left;
    double auc, brier, slope, intercept;
    struct {
        size_t n;
        double said, was; /* mean chance, share that left */
    } bin[CHURN_BINS];
};

struct churn_factor {
    char text[96];
    double weight; /* what it adds to the log-odds, against the mean customer */
};

/* `label`: a fact or "attributes.NAME". Gives; NULL: out of memory. */
struct churn *churn_new(const char *label);
void churn_free(struct churn *c);
/* A customer; one without the label is skipped (0), else 1. CVM_ENOMEM. */
int churn_add(struct churn *c, const struct cvm_facts *f);
/* Trains on all, judged on fifths that it had not seen. CVM_EDATA: fewer than 100 rows, or of one kind. */
int churn_train(struct churn *c, struct churn_model **ret_model, struct churn_report *ret_report);

void churn_model_free(struct churn_model *m);
json_t *churn_model_json(const struct churn_model *m);                    /* gives; NULL: out of memory */
int churn_model_load(const json_t *json, struct churn_model **ret_model); /* CVM_EDATA */
/* The chance, and what makes it: at most CHURN_FACTORS, strongest first. `ret_factors` may be NULL. */
double churn_chance(const struct churn_model *m, const struct cvm_facts *f, struct churn_factor *ret_factors,
                    size_t *ret_n);
/* Over all customers: what weighs most; {"factor", "odds"} each. Gives. */
json_t *churn_model_factors(const struct churn_model *m, size_t most);

#endif
