/* The plugin "support": tickets, each an instance of the workflow "support.ticket". What its files share. Loop thread.
 *
 * support.workflow keeps as state
 *     t/<ticket id>            the instance's id; "" while it is looked up whether the id was used before; false: it
 *                              has ended, and the id is not used again
 *     all                      true: each ticket there ever was has such a key
 * and of tickets that are open only
 *     i/<instance id>          the record: what workflow.h says, and the ticket
 *     o/<instance id>/<name>   an output
 *     d/<hash>, u/<hash>       a definition, and how many open instances began with it
 *     audit                    number of the last row of the audit
 * A ticket that has ended is a row of `support_tickets` and its id. Each instance is a conversation called by its
 * id: all that changes it happens in turns of that lane. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "../../common/text.h"
#include "workflow.h"
#include <cvm/cvm.h>
#include <cvm/json.h>

#define SUPPORT "support.workflow"
#define WORKFLOW_NAME "support.ticket"
#define APPROVED "solution_approved" /* the event */
#define TEAM_TOPIC "support-pubsub"
#define MESSAGE_TOPIC "message-pubsub"
#define ACTIVITY_ROLE "support.activity"

#define INSTANCE_PREFIX "support-"
#define INSTANCE_SIZE 96       /* "support-<ticket id>-<8 hex>" */
#define OUTPUT_BYTES_MAX 49152 /* of an activity, as JSON text */
#define SOLUTION_BYTES_MAX 16384
#define NOTES_BYTES_MAX 8192
#define RECORD_BYTES_MAX 61440 /* of a record, as JSON text: a state value holds no more than 64 KiB */
#define SUMMARY_MAX 300        /* characters of a summary in the audit */
#define QUESTIONS_MAX 16       /* to the customer, of one ticket */
#define TIME_SIZE TEXT_TIME_SIZE

/* An open ticket in a turn of its lane. */
struct ticket {
    cvm_turn *t;
    const cvm_msg *m;
    const char *instance;            /* its id: the conversation's name */
    const char *id;                  /* of the ticket, in the record */
    json_t *record, *outputs, *kept; /* kept: outputs as they are stored */
    struct workflow w;
    int64_t since_ms;  /* when the step that it was in began */
    bool over, unseen; /* unseen: its row stays as it is */
};

/* ticket.c: reading and keeping */
CVM_MUST_USE int ticket_load(cvm_turn *t, const cvm_msg *m, const char *instance, struct ticket *ret_ticket);
CVM_MUST_USE int ticket_save(struct ticket *k); /* record, outputs, row; where it is over, the row alone */
void ticket_free(struct ticket *k);
/* A new one, not kept yet. `steps` NULL: as the manifests say now. */
CVM_MUST_USE int ticket_make(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *steps, json_t *outputs,
                             struct ticket *ret_ticket);
const char *ticket_status(const struct ticket *k);
json_t *ticket_share(const struct ticket *k,
                     const char *member); /* of the record, shared; "" where it is none. Gives */
void ticket_forget(void);                 /* what is kept beside the turns: the plugin goes */
const json_t *ticket_steps(cvm_turn *t);  /* of the workflow as the manifests say now; NULL: none is declared */

/* run.c: one event, and all that it brings about */
CVM_MUST_USE int ticket_happens(struct ticket *k, const struct workflow_event *e);
CVM_MUST_USE int ticket_stop(struct ticket *k, const char *status);
CVM_MUST_USE int ticket_proceed(struct ticket *k, struct workflow_todo *todo); /* takes what is in `todo` */
CVM_MUST_USE int ticket_clocks(struct ticket *k); /* arms or cancels the timer of the SLA, as its clock runs */
CVM_MUST_USE int ticket_hold(struct ticket *k);   /* the wait it is in has no end for now */
CVM_MUST_USE int ticket_wait(struct ticket *k, int64_t left_ms); /* it has again */
/* What comes behind the end of a ticket opened its conversation anew: ends that. */
CVM_MUST_USE int end_again(cvm_turn *t, const cvm_msg *m);
int run_begin(cvm_turn *t, const cvm_msg *m);
int run_reply(cvm_turn *t, const cvm_msg *m);
int run_again(cvm_turn *t, const cvm_msg *m);
int run_deadline(cvm_turn *t, const cvm_msg *m);
int run_sla(cvm_turn *t, const cvm_msg *m);

/* send.c: what goes to others */
CVM_MUST_USE int send_activity(struct ticket *k, const json_t *step, char *ret_why, size_t size); /* CVM_ENOENT: why */
CVM_MUST_USE int send_store(struct ticket *k, const json_t *step, char *ret_why, size_t size);
/* Into the lane of an instance: it begins with that step; NULL: with the first, in a lane that is new. */
CVM_MUST_USE int send_begin(cvm_turn *t, const char *instance, const char *step);
CVM_MUST_USE int send_progress(struct ticket *k);
/* To the customer, by the component with the role support.ask; nothing where there is none. */
CVM_MUST_USE int send_question(struct ticket *k, const char *question);
void send_forget(void); /* as ticket_forget */

/* create.c, decide.c, look.c: what people ask */
int create_ticket(cvm_turn *t, const cvm_msg *m);
int create_from_words(cvm_turn *t, const cvm_msg *m);
int create_looked_up(cvm_turn *t, const cvm_msg *m);
int decide_approve(cvm_turn *t, const cvm_msg *m);
int decide_from_words(cvm_turn *t, const cvm_msg *m);
int decide_terminate(cvm_turn *t, const cvm_msg *m);
int decide_ask(cvm_turn *t, const cvm_msg *m);
int decide_answer(cvm_turn *t, const cvm_msg *m);
int decide_reopen(cvm_turn *t, const cvm_msg *m);
int decide_in_lane(cvm_turn *t, const cvm_msg *m);
/* Approves what an analysis proposes that has found nothing, without a solution of its own. */
bool decide_is_empty(const json_t *decision, const json_t *analysis);
int decide_closed(cvm_turn *t, const cvm_msg *m);
int reopen_found(cvm_turn *t, const cvm_msg *m);
int look_status(cvm_turn *t, const cvm_msg *m);
int look_list(cvm_turn *t, const cvm_msg *m);
int look_audit(cvm_turn *t, const cvm_msg *m);
int look_found(cvm_turn *t, const cvm_msg *m);
int look_answer(cvm_turn *t, const cvm_msg *m); /* "query.reply": by "what" of the question */

/* Asks a table for the rows with that ticket id; `what` says who takes the answer, `more` (taken) comes with it. */
CVM_MUST_USE int ask_ticket(cvm_turn *t, cvm_id request, const char *ticket, const char *what, json_t *more);
bool blank(const char *text);
/* Settles a request that may have ended meanwhile. Takes `data`. */
CVM_MUST_USE int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data);
__attribute__((format(printf, 5, 6))) CVM_MUST_USE int refuse(cvm_turn *t, cvm_id request, const char *code,
                                                              const char *field, const char *format, ...);

/* audit.c */
struct audit {
    const char *ticket, *actor, *step, *what;
    const char *input, *output; /* NULL: "" */
    int64_t duration_ms;        /* -1: none */
    int64_t at_ms;              /* 0: now */
};
CVM_MUST_USE int audit_row(cvm_turn *t, const cvm_msg *m, const struct audit *a);
int audit_message(cvm_turn *t, const cvm_msg *m);
CVM_MUST_USE int audit_answer(cvm_turn *t, const cvm_msg *m); /* the member "audit" of an activity's answer */
/* What an output says, in at most SUMMARY_MAX characters. */
void audit_summary(const json_t *output, char ret_text[SUMMARY_MAX * 4 + 1]);
/* At most SUMMARY_MAX characters of a text (NULL: none). Gives. */
json_t *audit_clipped(const char *text);
void text_clip(char *text, size_t chars); /* not within a character */

/* tell.c: topics */
CVM_MUST_USE int tell_event(struct ticket *k, const char *event, const char *step);
CVM_MUST_USE int tell_team(struct ticket *k, const char *event, const json_t *step, const char *topic);

/* sla.c: the clock of a ticket, a member "sla" of its record. Pure but for sla_arm. */
void sla_start(json_t *record, double hours, int64_t now_ms); /* 0 hours: none */
void sla_pause(json_t *record, int64_t now_ms);
void sla_resume(json_t *record, int64_t now_ms);
bool sla_runs(const json_t *record);
int64_t sla_left_ms(const json_t *record, int64_t now_ms); /* negative: late by so much */
int64_t sla_due_ms(const json_t *record);                  /* 0: it does not run */

/* diff.c. Pure. */
/* Lines "- was", "+ is", "  same": a shortest way from one text to the other, of at most 200 lines each. Gives. */
json_t *diff_lines(const char *was, const char *is);
/* The steps of a solution as text, a line each. Gives a string for free(). */
char *solution_text(const json_t *analysis);

#endif
