/* What the files of cvm.experiments share. */
#ifndef CVM_INSIGHT_EXPERIMENT_H
#define CVM_INSIGHT_EXPERIMENT_H

#include "compare.h"
#include "insight.h"

/* The experiment that a request names (experiment_id), borrowed; the request is refused where there is none. Loop
 * thread. */
CVM_MUST_USE int experiment_find(cvm_turn *t, const json_t *request, const json_t **ret_experiment);

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
/* Adds what was told of the days to the variants. Job thread. */
CVM_MUST_USE int experiment_read_days(cvm_job *j, const json_t *experiment, struct compare_variant *variants, size_t n,
                                      int64_t *ret_days);

#endif
