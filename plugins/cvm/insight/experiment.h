/* What the files of cvm.experiments share. */
#ifndef CVM_INSIGHT_EXPERIMENT_H
#define CVM_INSIGHT_EXPERIMENT_H

#include "compare.h"
#include "insight.h"

/* The experiment that a request names (experiment_id), borrowed; the request is refused where there is none. Loop
 * thread. */
CVM_MUST_USE int experiment_find(cvm_turn *t, const json_t *request, const json_t **ret_experiment);

/* Keeps a new one (taken) and answers the request with it; refused where the id is in use. */
CVM_MUST_USE int experiment_keep(cvm_turn *t, cvm_id request, json_t *experiment);

/* The variant of that name, borrowed; NULL: there is none. */
const json_t *experiment_named(const json_t *variants, const char *name);
/* The names in a list from a place on, "a, b": a member of its objects, or its texts where that is NULL. Cut where
 * there is no more room. */
void experiment_names(const json_t *list, const char *member, size_t from, char *ret_text, size_t size);

/* Whether the metric comes from recorded outcomes; others are observed. */
bool experiment_is_outcome(const char *metric);

/* Its variants' weights; gives their number. */
size_t experiment_weights(const json_t *experiment, double ret_weights[COMPARE_MAX]);
/* The variant that the hash gives a customer. Pure. */
size_t experiment_variant(const json_t *experiment, const char *customer_id);

/* NULL: it takes customers now; else why not. */
const char *experiment_closed(const json_t *experiment, int64_t now);

/* ---- experiment_day.c: areas that assign by themselves and tell figures once a day ---- */

bool experiment_is_daily(const char *area);
/* What is wrong with the metric or a variant's settings of such an area; NULL: nothing. */
const char *experiment_wrong_daily(const char *metric, const json_t *variants);
/* Keeps a new experiment (taken) of such an area when those that offer actions have said which there are, and its
 * variants name no other. */
CVM_MUST_USE int experiment_check_actions(cvm_turn *t, const cvm_msg *m, json_t *experiment);
/* Adds what was told of the days to the variants. Job thread. */
CVM_MUST_USE int experiment_read_days(cvm_job *j, const json_t *experiment, struct compare_variant *variants, size_t n,
                                      int64_t *ret_days);

#endif
