/* What the components of the plugin `operations` share: messages to customers, their ratings, and the figures of the
 * desk. All of it happens after a customer has been answered. Loop thread. */
#ifndef OPERATIONS_OPERATIONS_H
#define OPERATIONS_OPERATIONS_H

#include "../common/clip.h"
#include "../common/phone.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <cvm/money.h>
#include <stdio.h>

#define NOTIFICATION "service.notification"
#define FEEDBACK "service.feedback"
#define ANALYTICS "service.analytics"
#define DESK "service.desk"
#define CLASSIFIER "service.classifier"

#define TIME_SIZE 32
#define MESSAGE_MAX 4096 /* bytes of a message to a customer */

/* ---- shared.c ---- */

const char *ops_time(int64_t at_ms, char ret_text[TIME_SIZE]); /* UTC, ISO 8601 with milliseconds */
bool ops_has_role(cvm_turn *t, const char *role);
bool ops_loaded(cvm_turn *t, const char *id);
/* A cookie that holds the 48 bits of a short id ("NTF-0123456789ab"), and back. None where it is no such id. */
cvm_id ops_cookie(const char *short_id);
void ops_short_id(const char *prefix, cvm_id cookie, char ret_id[CVM_SHORT_ID_SIZE]);
/* Ends an agent's step: says what it was given, and goes on to `next`; NULL ends the conversation. */
CVM_MUST_USE int ops_step(cvm_turn *t, const cvm_msg *m, const char *next);
/* Passes an answer on to the request that waits for it. */
CVM_MUST_USE int ops_pass(cvm_turn *t, const cvm_msg *m);

/* ---- notify.c: what is to be said to whom; the table `outbox` ---- */

int notify_handle(cvm_turn *t, const cvm_msg *m);
int notify_any(cvm_turn *t, const cvm_msg *m);      /* "notify" */
int notify_sms(cvm_turn *t, const cvm_msg *m);      /* "send_sms" */
int notify_email(cvm_turn *t, const cvm_msg *m);    /* "send_email" */
int notify_whatsapp(cvm_turn *t, const cvm_msg *m); /* "send_whatsapp" */
int notify_contact(cvm_turn *t, const cvm_msg *m);  /* "contact.reply" */
int notify_closed(cvm_turn *t, const cvm_msg *m);   /* from the desk */
int notify_resolved(cvm_turn *t, const cvm_msg *m); /* topic handoff.resolved */

/* ---- deliver.c: attempts, back-off, the second channel ---- */

/* Tries the record's channel; writes record and row. `record` is taken. */
CVM_MUST_USE int deliver_begin(cvm_turn *t, json_t *record);
int deliver_answered(cvm_turn *t, const cvm_msg *m); /* "deliver.reply" */
int deliver_again(cvm_turn *t, const cvm_msg *m);    /* timer */

/* ---- outbox.c ---- */

int outbox_list(cvm_turn *t, const cvm_msg *m);
int outbox_listed(cvm_turn *t, const cvm_msg *m);

/* ---- feedback.c ---- */

int feedback_handle(cvm_turn *t, const cvm_msg *m);
int feedback_request(cvm_turn *t, const cvm_msg *m);
int feedback_record(cvm_turn *t, const cvm_msg *m);
int feedback_last(cvm_turn *t, const cvm_msg *m);
int feedback_recorded(cvm_turn *t, const cvm_msg *m);
int feedback_sentiment(cvm_turn *t, const cvm_msg *m);
int feedback_read(cvm_turn *t, const cvm_msg *m);
int feedback_closed(cvm_turn *t, const cvm_msg *m);

/* ---- window.c: sums of a stretch of time, pure ---- */

/* A window is an object of whole numbers and of objects of such. Adds `from` to `into`. */
void window_add(json_t *into, const json_t *from);
void window_count(json_t *window, const char *name, int64_t n);
/* The same in the object `group`; at most 64 names, the rest is "other". */
void window_count_in(json_t *window, const char *group, const char *name, int64_t n);
extern const double window_bounds[]; /* seconds, of the counts "le" of durations */
#define WINDOW_BOUNDS 12
void window_duration(json_t *window, int64_t ms);
double window_quantile(const json_t *window, double q); /* seconds, by the bound that holds it; 0 for none */

/* ---- record.c: what happened is counted ---- */

int record_closed(cvm_turn *t, const cvm_msg *m); /* from the desk */
int record_interaction(cvm_turn *t, const cvm_msg *m);
int record_rated(cvm_turn *t, const cvm_msg *m);       /* topic enquiry.rated */
int record_transaction(cvm_turn *t, const cvm_msg *m); /* topic transaction.ended */
int record_handoff(cvm_turn *t, const cvm_msg *m);     /* topics handoff.* */
int record_arm(cvm_turn *t, const cvm_msg *m);
int record_sla(cvm_turn *t, const cvm_msg *m); /* timer */
int record_start(cvm_turn *t, const cvm_msg *m);
/* The window that runs, for changing; ends the one before when its time is over. Gives. */
CVM_MUST_USE int record_window(cvm_turn *t, json_t **ret_window);
CVM_MUST_USE int record_keep(cvm_turn *t, json_t *window); /* takes; sees that the gauges are set soon */

/* ---- pattern.c ---- */

/* Looks whether `name` of `group` ("intents", "failures") comes over three times as often as usual. */
CVM_MUST_USE int pattern_look(cvm_turn *t, const json_t *window, const char *group, const char *name);
/* A window is over: what is usual changes. */
CVM_MUST_USE int pattern_learn(cvm_turn *t, const json_t *window);
int pattern_detect(cvm_turn *t, const cvm_msg *m);

/* ---- kpi.c ---- */

int kpi_compute(cvm_turn *t, const cvm_msg *m);  /* "compute_kpi" */
int kpi_rows(cvm_turn *t, const cvm_msg *m);     /* "query.reply" */
int kpi_show(cvm_turn *t, const cvm_msg *m);     /* "kpi" */
int kpi_measured(cvm_turn *t, const cvm_msg *m); /* "evaluate.reply" */
int kpi_dashboard(cvm_turn *t, const cvm_msg *m);
int kpi_computed(cvm_turn *t, const cvm_msg *m); /* "compute_kpi.reply": for kpi, or the gauges */
int kpi_shown(cvm_turn *t, const cvm_msg *m);    /* "read_kpi.reply": for the dashboard */
int kpi_refresh(cvm_turn *t, const cvm_msg *m);  /* timer: the gauges */
int kpi_handle(cvm_turn *t, const cvm_msg *m);

/* The desk does not wait to hear that it was heard; whoever asks does. */
static inline int heard(cvm_turn *t, const cvm_msg *m)
{
    return m->requires_response ? cvm_reply(t, m, json_object()) : CVM_OK;
}

#endif
