/* Campaigns over the whole base and what-ifs: operations of `cvm.allocation_solver`. The job runs beside the loop, the
 * handlers on it. */
#ifndef CVM_DECISION_CAMPAIGN_H
#define CVM_DECISION_CAMPAIGN_H

#include <cvm/json.h>

#define CAMPAIGN_RUNS "cvm_runs"
#define CAMPAIGN_DECISIONS "cvm_decisions"

/* Job: {"run_id"?, "what_if", "terms", "treatments", "constraints"} -> the figures. */
int campaign_decide(cvm_job *j, const json_t *input, json_t **ret_result);

/* Handlers. */
int campaign_run(cvm_turn *t, const cvm_msg *m);
int campaign_what_if(cvm_turn *t, const cvm_msg *m);
int campaign_list(cvm_turn *t, const cvm_msg *m);
int campaign_show(cvm_turn *t, const cvm_msg *m);
int campaign_customers(cvm_turn *t, const cvm_msg *m);
int campaign_prices(cvm_turn *t, const cvm_msg *m);
int campaign_treatments(cvm_turn *t, const cvm_msg *m);  /* list.reply */
int campaign_constraints(cvm_turn *t, const cvm_msg *m); /* get_constraints.reply */
int campaign_decided(cvm_turn *t, const cvm_msg *m);     /* decide.reply */
int campaign_rows(cvm_turn *t, const cvm_msg *m);        /* query.reply */

/* What of the catalogue takes part, and what is changed about it, by the terms: {"treatments", "without", "limits",
 * "treatment"}. CVM_EINVAL: ret_why. Give. */
CVM_MUST_USE int campaign_change(const json_t *terms, const json_t *treatments, const json_t *constraints,
                                 json_t **ret_treatments, json_t **ret_constraints, char *ret_why, size_t size);

#endif
