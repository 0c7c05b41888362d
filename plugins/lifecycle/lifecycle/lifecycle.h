/* The plugin `lifecycle`: an agent that looks after simulated customers, day by day, and learns. Its components speak
 * to each other by messages; what they share is this header. Loop thread. */
#ifndef LIFECYCLE_LIFECYCLE_H
#define LIFECYCLE_LIFECYCLE_H

#include "../common/world.h"
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>

#define OBSERVER "lifecycle.behavior_analysis"
#define DECISION "lifecycle.decision"
#define SIMULATION "lifecycle.simulation"
#define MEMORY "lifecycle.memory"

#define HISTORY "lifecycle_history"
#define DAYS "lifecycle_days"
#define PERSONAS "lifecycle_personas"

#define BATCH 100       /* personas that go through the agents together */
#define CHUNK 25        /* persona records in one value of the state */
#define RECORD_MAX 2400 /* bytes of a persona's record, so that a chunk is a value */
#define STORIES_MAX 200 /* cards in an answer */
#define LIVE_MAX 200    /* a population up to this is told card by card */
#define STEP_TIMEOUT_MS (30 * 60 * 1000)
#define RUN_TIMEOUT_MS (6 * 24 * 3600 * INT64_C(1000))

/* ---- people.c: the population in the simulation's state ---------------------------------------------------------- */

/* {"epoch", "day", "personas", "loaded", ..}; never NULL. Gives a copy that may be changed. */
CVM_MUST_USE int people_world(cvm_turn *t, json_t **ret_world);
CVM_MUST_USE int people_world_put(cvm_turn *t, json_t *world); /* takes */

struct people {
    int n;
    struct life_persona of[BATCH];
    json_t *records; /* what they borrow from */
};
/* The personas of a batch as they are. people_fini accepts one that was not read. */
CVM_MUST_USE int people_read(cvm_turn *t, int batch, struct people *ret_people);
CVM_MUST_USE int people_write(cvm_turn *t, int batch, const struct people *people);
void people_fini(struct people *people);
/* Puts a batch's records (an array, borrowed) as they were loaded. */
CVM_MUST_USE int people_load(cvm_turn *t, int batch, const json_t *records);
/* The place of a persona in the population, -1: there is none. */
CVM_MUST_USE int people_find(cvm_turn *t, const char *key, int *ret_place);

/* ---- load.c ------------------------------------------------------------------------------------------------------ */

int load_on_start(cvm_turn *t, const cvm_msg *m);
int load_on_wait(cvm_turn *t, const cvm_msg *m);
int load_on_job(cvm_turn *t, const cvm_msg *m);
int load_on_rows(cvm_turn *t, const cvm_msg *m); /* query.reply with {"load": batch} */
int load_on_reset(cvm_turn *t, const cvm_msg *m);
int load_on_cleared(cvm_turn *t, const cvm_msg *m);
int load_on_sweep(cvm_turn *t, const cvm_msg *m);
/* Keeps a request until the personas are there; CVM_PENDING. */
CVM_MUST_USE int load_keep(cvm_turn *t, const cvm_msg *m);
int load_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- settings.c ---------------------------------------------------------------------------------------------------
 */

/* Whether a setting is nothing to run with; which one, and what it must be. */
bool settings_fault(const json_t *settings, char ret_field[64], char ret_text[200]);

/* ---- day.c: one day after the other ------------------------------------------------------------------------------ */

int day_on_next(cvm_turn *t, const cvm_msg *m);
int day_on_run(cvm_turn *t, const cvm_msg *m);
/* Begins a kept request. */
CVM_MUST_USE int day_begin(cvm_turn *t, cvm_id request, const char *type, const json_t *data);
int day_on_experiments(cvm_turn *t, const cvm_msg *m); /* running.reply of cvm.experiments */
int day_on_told(cvm_turn *t, const cvm_msg *m);        /* observe_day.reply of the same */
int day_on_described(cvm_turn *t, const cvm_msg *m);   /* describe.reply of an action's treatment */
int day_on_batch_done(cvm_turn *t, const cvm_msg *m);
int day_on_rows(cvm_turn *t, const cvm_msg *m); /* query.reply with {"cards": day} */

/* ---- batch.c: a batch's way through the agents ------------------------------------------------------------------- */

int batch_on_simulate(cvm_turn *t, const cvm_msg *m);
int batch_on_observed(cvm_turn *t, const cvm_msg *m);
int batch_on_recalled(cvm_turn *t, const cvm_msg *m);
int batch_on_decided(cvm_turn *t, const cvm_msg *m);
int batch_on_applied(cvm_turn *t, const cvm_msg *m);
int batch_on_evaluate(cvm_turn *t, const cvm_msg *m);
int batch_on_evaluated(cvm_turn *t, const cvm_msg *m);
int batch_on_learnt(cvm_turn *t, const cvm_msg *m);

/* ---- story.c ----------------------------------------------------------------------------------------------------- */

/* What came of a persona's day. Borrowed. */
struct story {
    int64_t day, epoch;
    int place;
    const struct life_persona *p;
    const struct life_observation *seen;
    const json_t *decision; /* as lifecycle.decision gives it */
    double before, impact;
    bool churned_now, undone;
    int64_t clv;
    const char *conversation;
};
/* The history's row, which is a card too. Gives. */
json_t *story_row(const struct story *s);
/* Of a row as a question gives it: texts of JSON become JSON, what cards do not have goes. Gives. */
json_t *story_card(const json_t *row);
/* "SUCCESS", "FAILED" or "NONE". */
const char *story_outcome(const char *action, double impact, bool undone);
void story_key(char key[48], int64_t epoch, int64_t day, int place);

/* ---- look.c ------------------------------------------------------------------------------------------------------ */

int look_on_status(cvm_turn *t, const cvm_msg *m);
int look_on_waited(cvm_turn *t, const cvm_msg *m);
int look_on_stories(cvm_turn *t, const cvm_msg *m);
int look_on_rows(cvm_turn *t, const cvm_msg *m); /* query.reply */
int look_on_metrics(cvm_turn *t, const cvm_msg *m);
int look_on_export(cvm_turn *t, const cvm_msg *m);
int look_on_report(cvm_turn *t, const cvm_msg *m);
/* The state of all as `status` shows it. Gives. */
CVM_MUST_USE int look_state(cvm_turn *t, json_t **ret_state);
/* Of sums by currency the one there is; NULL: what is of several is no sum. Gives. */
json_t *look_one_total(const json_t *totals);
/* A download: text as it stands. Gives. */
json_t *look_text(const char *type, const char *text);
void look_csv(FILE *out, const char *text); /* a field of a line, quoted where it must be */
int report_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- the other components ------------------------------------------------------------------------------------------
 */

int observe_on_analyze(cvm_turn *t, const cvm_msg *m);
int verify_on_verify(cvm_turn *t, const cvm_msg *m);
int verify_on_reply(cvm_turn *t, const cvm_msg *m);

int memory_on_update(cvm_turn *t, const cvm_msg *m);
int memory_on_forbidden(cvm_turn *t, const cvm_msg *m);
int memory_on_hints(cvm_turn *t, const cvm_msg *m);
int memory_on_recall(cvm_turn *t, const cvm_msg *m);
int memory_on_show(cvm_turn *t, const cvm_msg *m);
int memory_on_segments(cvm_turn *t, const cvm_msg *m);
int memory_on_download(cvm_turn *t, const cvm_msg *m);
int memory_on_who(cvm_turn *t, const cvm_msg *m); /* query.reply */
int memory_on_clear(cvm_turn *t, const cvm_msg *m);

int decide_on_decide(cvm_turn *t, const cvm_msg *m);
int decide_on_chat(cvm_turn *t, const cvm_msg *m);
int decide_on_learn(cvm_turn *t, const cvm_msg *m);
int decide_on_clear(cvm_turn *t, const cvm_msg *m);

#endif
