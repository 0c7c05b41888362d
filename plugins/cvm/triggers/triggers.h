/* What the parts of the plugin share. The agent cvm.trigger finds customers by triggers; long work is its jobs. */
#ifndef TRIGGERS_TRIGGERS_H
#define TRIGGERS_TRIGGERS_H

#include "custom.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#ifndef CVM_JOB_H
#include <cvm/job.h>
#endif

#define TRIGGER_AGENT "cvm.trigger"
#define TRIGGER_ROLE "cvm.trigger"

/* ---- knowledge.c: what the manifest's files teach, made once and shared by jobs. ---- */

struct knowledge {
    struct judge *judge;
    struct custom_terms *terms;
};
/* Gives *ret_knowledge, to be released. A failure is said with cvm_job_fail. The job's thread. */
int knowledge_take(cvm_job *j, const struct knowledge **ret_knowledge);
void knowledge_release(const struct knowledge *k);
void knowledge_forget(void *instance); /* the descriptor's destroy */

/* ---- matches.c ---- */

/* A match record (docs/reference/triggers.md). `brief`: without evidence. Gives; NULL: out of memory. */
json_t *match_json(const char *customer_id, const char *trigger, const struct verdict *v, int64_t at_ms, bool brief);
/* Records as a file: CSV, JSON, or lines of {"customer_id", "triggers"}. */
struct text_file {
    char *text;
    size_t len, room;
    bool failed;
};
void text_file_add(struct text_file *f, const char *text, size_t len);
void text_file_csv_head(struct text_file *f);
void text_file_csv(struct text_file *f, const json_t *match);
void text_file_fini(struct text_file *f);

/* ---- jobs: scan.c, train.c ---- */

int job_scan(cvm_job *j, const json_t *input, json_t **ret_result);
int job_train(cvm_job *j, const json_t *input, json_t **ret_result);
int job_gather(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- the agent: find.c, others.c, model.c ---- */

int list_triggers(cvm_turn *t, const cvm_msg *m);
int describe_trigger(cvm_turn *t, const cvm_msg *m);
int match_customers(cvm_turn *t, const cvm_msg *m);
int find_customers(cvm_turn *t, const cvm_msg *m);
int find_scanned(cvm_turn *t, const cvm_msg *m);
int find_judged(cvm_turn *t, const cvm_msg *m); /* chat.reply */
int compile_trigger(cvm_turn *t, const cvm_msg *m);
int apply_trigger(cvm_turn *t, const cvm_msg *m);
int apply_done(cvm_turn *t, const cvm_msg *m);
int train_churn(cvm_turn *t, const cvm_msg *m);
int train_taken(cvm_turn *t, const cvm_msg *m);
int train_done(cvm_turn *t, const cvm_msg *m);
int others_gathered(cvm_turn *t, const cvm_msg *m);
int others_matched(cvm_turn *t, const cvm_msg *m);

#endif
