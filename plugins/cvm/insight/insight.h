/* The plugin's handlers and jobs, and what its files share. Handlers run on the loop's thread, jobs on their own. */
#ifndef CVM_INSIGHT_INSIGHT_H
#define CVM_INSIGHT_INSIGHT_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define SEGMENTATION "cvm.segmentation"
#define EVALUATION "cvm.evaluation"
#define EXPERIMENTS "cvm.experiments"
#define TREATMENTS "cvm.treatments" /* knows which treatments there are */

/* Bytes of a row's key, with NUL. */
#define INSIGHT_KEY_SIZE 257
/* A row's key of two to four parts (NULL and "" are left out), which hold no blank. False: too long. */
bool insight_key(char ret_key[INSIGHT_KEY_SIZE], const char *a, const char *b, const char *c, const char *d);
/* Refuses a request of which a member is no text of 1 to `most` bytes: what comes from another component was held
 * against no schema, and a turn that fails later would leave the asker without an answer. */
CVM_MUST_USE int insight_need(cvm_turn *t, const cvm_msg *m, const char *name, size_t most);
/* Asks a table of its own for the row with that key; the request waits. Takes `with`, which may be NULL. Returns
 * CVM_PENDING. */
CVM_MUST_USE int insight_ask(cvm_turn *t, const cvm_msg *m, const char *table, const char *column, const char *key,
                             json_t *with);

#define ID_MAX 64        /* bytes of a customer's or experiment's id */
#define TREATMENT_MAX 80 /* of a treatment's or campaign's */
#define LEVEL 0.95       /* of all intervals */
#define POWER 0.8        /* of what is said about how many more are needed */

/* ---- cvm.segmentation: segmentation.c, segment_job.c, segment_rows.c ---- */
int segment_on_assign(cvm_turn *t, const cvm_msg *m);
int segment_on_assigned(cvm_turn *t, const cvm_msg *m); /* assign_segments.reply */
int segment_on_list(cvm_turn *t, const cvm_msg *m);
int segment_on_get(cvm_turn *t, const cvm_msg *m);
int segment_on_show(cvm_turn *t, const cvm_msg *m);
int segment_on_found(cvm_turn *t, const cvm_msg *m); /* query.reply */
int segment_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- cvm.evaluation: evaluation.c, evaluation_job.c, effect.c ---- */
int evaluation_on_record(cvm_turn *t, const cvm_msg *m);
int evaluation_on_treatment(cvm_turn *t, const cvm_msg *m); /* get.reply */
int evaluation_on_applied(cvm_turn *t, const cvm_msg *m);   /* applied.reply */
int evaluation_on_assign(cvm_turn *t, const cvm_msg *m);
int evaluation_on_found(cvm_turn *t, const cvm_msg *m); /* query.reply */
int evaluation_on_evaluate(cvm_turn *t, const cvm_msg *m);
int evaluation_on_report(cvm_turn *t, const cvm_msg *m);
int evaluation_job(cvm_job *j, const json_t *input, json_t **ret_result);
int evaluation_applied_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- cvm.experiments: experiment.c, experiment_actions.c, experiment_use.c, experiment_day.c, experiment_job.c,
 * compare.c ---- */
int experiment_on_create(cvm_turn *t, const cvm_msg *m);
int experiment_on_described(cvm_turn *t, const cvm_msg *m); /* describe.reply */
int experiment_on_list(cvm_turn *t, const cvm_msg *m);
int experiment_on_get(cvm_turn *t, const cvm_msg *m);
int experiment_on_start(cvm_turn *t, const cvm_msg *m);
int experiment_on_stop(cvm_turn *t, const cvm_msg *m);
int experiment_on_assign(cvm_turn *t, const cvm_msg *m);
int experiment_on_found(cvm_turn *t, const cvm_msg *m); /* query.reply */
int experiment_on_observe(cvm_turn *t, const cvm_msg *m);
int experiment_on_report(cvm_turn *t, const cvm_msg *m);
int experiment_on_running(cvm_turn *t, const cvm_msg *m);
int experiment_on_observe_day(cvm_turn *t, const cvm_msg *m);
int experiment_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- shared: shared.c ---- */

/* The answer of a job goes to who asked; what a person asked wrongly (codes but the host's own) is a refusal. */
int insight_relay(cvm_turn *t, const cvm_msg *m);
/* "2026-11-21T12:00:00Z". */
#define INSIGHT_TIME_SIZE 21
void insight_time(int64_t ms, char ret_text[INSIGHT_TIME_SIZE]);
/* A number with so many digits behind the point; null for one that is none. Gives. */
json_t *insight_number(double x, int digits);
/* Puts a member (taken) into an object that is being made; without memory for it the object is given up and *object
 * becomes NULL, so that only the end need be checked. */
void insight_set(json_t **object, const char *name, json_t *value);
void insight_append(json_t **list, json_t *value);
/* A setting that is a number. */
double insight_setting(const json_t *settings, const char *name, double otherwise);
/* The member `name` of a request in milliseconds; `otherwise` where it is not given. False: it is no date. */
bool insight_time_of(const json_t *request, const char *name, int64_t otherwise, int64_t *ret_ms);

#endif
