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

#endif
