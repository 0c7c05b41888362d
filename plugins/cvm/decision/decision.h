/* The plugin's handlers and what its files share. Loop thread. */
#ifndef CVM_DECISION_DECISION_H
#define CVM_DECISION_DECISION_H

#include "journey.h"
#include "problem.h"

#include "../../common/llm_ask.h"
#include "../../common/pending.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

#define ORCHESTRATOR "cvm.orchestrator"
#define JOURNEY "cvm.journey"
#define TREATMENT "cvm.treatment"
#define DATA "cvm.data"
#define TREATMENTS "cvm.treatments"
#define ALLOCATION "cvm.allocation"
#define TRIGGER "cvm.trigger"
#define EVALUATION "cvm.evaluation"

#define CHOICES "cvm_choices"
#define APPLICATIONS "cvm_applications"

/* ---- cvm.journey: journeys.c ---- */
int journey_build_one(cvm_turn *t, const cvm_msg *m);
int journey_analyse_one(cvm_turn *t, const cvm_msg *m);
int journey_summarise_one(cvm_turn *t, const cvm_msg *m);

/* ---- cvm.treatment: recommend.c, recommend_llm.c, recommend_state.c ---- */
int treatment_recommend(cvm_turn *t, const cvm_msg *m); /* also both names of the alternative */
int treatment_told(cvm_turn *t, const cvm_msg *m);      /* replies of what it asks for */
int treatment_modelled(cvm_turn *t, const cvm_msg *m);  /* chat.reply */

/* What a request waits with: a journey cut to what deciding needs, and the rest as given. Takes `work`. */
CVM_MUST_USE int work_keep(cvm_turn *t, cvm_id request, json_t *work);
/* Gives it and forgets it. CVM_ENOENT: nothing waits. */
CVM_MUST_USE int work_take(cvm_turn *t, cvm_id request, json_t **ret_work);
/* The journey as it is kept. Gives. */
json_t *work_journey(const json_t *journey);

/* Asks the model; the work has been kept. `bad`: what was wrong with its answer before, or NULL. */
CVM_MUST_USE int model_ask(cvm_turn *t, const struct problem *p, cvm_id request, const char *bad);
/* The candidate that the model chose; DECIDE_NONE: its answer is none, *ret_bad says why (a static text). */
size_t model_choice(const struct problem *p, const json_t *answer, const char **ret_bad);

/* ---- cvm.orchestrator: process.c, apply.c, batch.c, triggered.c, why.c ---- */
int process_customer(cvm_turn *t, const cvm_msg *m);
int process_with_treatment(cvm_turn *t, const cvm_msg *m);
int process_data(cvm_turn *t, const cvm_msg *m);    /* get_customer_data.reply */
int process_journey(cvm_turn *t, const cvm_msg *m); /* build_journey.reply */
int process_listed(cvm_turn *t, const cvm_msg *m);  /* list.reply */
int process_limits(cvm_turn *t, const cvm_msg *m);  /* get_constraints.reply */
int process_recommended(cvm_turn *t,
                        const cvm_msg *m);            /* recommend_treatment.reply, find_alternative_treatment.reply */
int process_allocated(cvm_turn *t, const cvm_msg *m); /* allocate_resource.reply */
int process_assigned(cvm_turn *t, const cvm_msg *m);  /* assign.reply */
int process_applied(cvm_turn *t, const cvm_msg *m);   /* apply.reply */
int process_released(cvm_turn *t, const cvm_msg *m);  /* release_resource.reply */

int process_permitted(cvm_turn *t, const cvm_msg *m); /* get_records.reply */

int batch_process(cvm_turn *t, const cvm_msg *m);   /* process_batch */
int batch_command(cvm_turn *t, const cvm_msg *m);   /* process_customers: what the command asks for */
int batch_start(cvm_turn *t, const cvm_msg *m);     /* start_batch */
int batch_look(cvm_turn *t, const cvm_msg *m);      /* get_batch */
int batch_customers(cvm_turn *t, const cvm_msg *m); /* list_customers.reply */
int batch_ordered(cvm_turn *t, const cvm_msg *m);   /* worth.reply */
int batch_one_done(cvm_turn *t, const cvm_msg *m);  /* process_customer.reply, process_customer_with_treatment.reply */
int batch_forget(cvm_turn *t, const cvm_msg *m);    /* timer */
int batch_job_worth(cvm_job *j, const json_t *input, json_t **ret_result);

int triggered_find(cvm_turn *t, const cvm_msg *m);  /* trigger_customers */
int triggered_apply(cvm_turn *t, const cvm_msg *m); /* trigger_and_process */
int triggered_found(cvm_turn *t, const cvm_msg *m); /* trigger_customers.reply */

int why_customer(cvm_turn *t, const cvm_msg *m);
int why_asked(cvm_turn *t, const cvm_msg *m); /* query.reply */

/* {"customer_id", "status": "error", "message", "code"}. Gives. */
json_t *failure_body(const char *customer_id, const char *code, const char *message);

#endif
