/* The plugin `treatments`: what can be done for a customer, and how much of it there is. Three components:
 *
 *   cvm.treatment.standard  the treatments of its settings: describes, checks and applies them      (standard.c,
 * apply.c) cvm.treatments          the catalogue: what all components with the role cvm.treatment describe, and those
 * that people wrote, which it applies itself    (catalogue.c, change.c, keep.c, words.c, apply.c) cvm.allocation units
 * of a treatment per day, and how often a customer is contacted (allocate.c, limits.c, release.c, history.c)
 *
 * Loop thread, but for the jobs of keep.c, history.c and bar.c. */
#ifndef CVM_TREATMENTS_H
#define CVM_TREATMENTS_H

#include "../common/contact.h"
#include "../decision/moment.h"
#include "record.h"

#include <cvm/money.h>

#define CATALOGUE "cvm.treatments"
#define STANDARD "cvm.treatment.standard"
#define ALLOCATION "cvm.allocation"
#define DATA "cvm.data"
#define TOPIC "cvm.treatments"
#define PRICES "cvm.prices"
#define ROLE "cvm.treatment"
#define IGNORE "ignore"

#define CUSTOM_MAX 500     /* treatments that people wrote */
#define DESCRIBED_MAX 1000 /* treatments of one component's answer that are read */
#define WAITING_MAX 200    /* requests that wait for one thing */

/* ---- shared.c ---- */

/* {"hi", "lo"}; and back. */
json_t *id_json(cvm_id id);
cvm_id id_of_json(const json_t *value);
/* Whether a component with the role is loaded. */
bool has_role(cvm_turn *t, const char *role);
bool is_loaded(cvm_turn *t, const char *component);
/* A copy of a frozen object, to be changed; state_copy of a key's value, {} where there is none. Give. */
json_t *copy_of(const json_t *object);
CVM_MUST_USE int state_copy(cvm_turn *t, const char *key, json_t **ret_value);
/* Refuses by a member's problem. Always CVM_EREFUSED. */
CVM_MUST_USE int refuse_member(cvm_turn *t, const record_error *e);

/* ---- catalogue.c: what there is ---- */

int catalogue_start(cvm_turn *t, const cvm_msg *m);
int catalogue_changed(cvm_turn *t, const cvm_msg *m); /* host.registry */
int catalogue_described(cvm_turn *t, const cvm_msg *m);
int catalogue_list(cvm_turn *t, const cvm_msg *m);
int catalogue_get(cvm_turn *t, const cvm_msg *m);
int catalogue_help(cvm_turn *t, const cvm_msg *m);
/* The file has been read: nobody need wait for it any more. */
CVM_MUST_USE int catalogue_loaded(cvm_turn *t);
/* The record of that id. CVM_ENOENT. Gives. */
CVM_MUST_USE int catalogue_find(cvm_turn *t, const char *id, json_t **ret_record);
/* The same of those that people wrote. Borrowed until the handler returns. */
CVM_MUST_USE int catalogue_find_custom(cvm_turn *t, const char *id, const json_t **ret_record);
/* Tells those who subscribe what there is now. */
CVM_MUST_USE int catalogue_publish(cvm_turn *t);

/* ---- change.c: what people write ---- */

int change_add(cvm_turn *t, const cvm_msg *m);
int change_update(cvm_turn *t, const cvm_msg *m);
int change_remove(cvm_turn *t, const cvm_msg *m);
int change_read(cvm_turn *t, const cvm_msg *m); /* chat.reply */

/* ---- keep.c: the file ---- */

/* Reads the file; the answer ends in catalogue_loaded. */
CVM_MUST_USE int keep_load(cvm_turn *t);
/* Writes it, then settles the request about treatment `id`. */
CVM_MUST_USE int keep_then_settle(cvm_turn *t, cvm_id request, const char *id, bool removed, const char *warning);
int keep_loaded(cvm_turn *t, const cvm_msg *m); /* load.reply */
int keep_kept(cvm_turn *t, const cvm_msg *m);   /* keep.reply */
int keep_job_load(cvm_job *j, const json_t *input, json_t **ret_result);
int keep_job_keep(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- standard.c, apply.c ---- */

int standard_describe(cvm_turn *t, const cvm_msg *m);
int standard_check(cvm_turn *t, const cvm_msg *m);
/* The record of a standard treatment, with what the settings lay over it. CVM_ENOENT. Gives. */
CVM_MUST_USE int standard_find(cvm_turn *t, const char *id, json_t **ret_record);
int custom_check(cvm_turn *t, const cvm_msg *m);

int standard_apply(cvm_turn *t, const cvm_msg *m);
int custom_apply(cvm_turn *t, const cvm_msg *m);
int apply_permissions(cvm_turn *t, const cvm_msg *m); /* get_customer_data.reply */
int apply_confirmed(cvm_turn *t, const cvm_msg *m);   /* confirm_contact.reply */
int apply_delivered(cvm_turn *t, const cvm_msg *m);   /* deliver.reply */

/* ---- allocation ---- */

struct limit {
    char id[TREATMENT_ID_MAX + 1];
    bool enabled, service, unlimited;
    int64_t max, cost, priority; /* cost in minor units */
    const char *channel, *category;
};

#define ALLOCATION_KEY_SIZE (CVM_STATE_KEY_MAX + 1)

/* limits.c */
int allocation_start(cvm_turn *t, const cvm_msg *m);
int allocation_limits(cvm_turn *t, const cvm_msg *m); /* the topic */
int allocation_prices(cvm_turn *t, const cvm_msg *m); /* the topic PRICES */
int allocation_check(cvm_turn *t, const cvm_msg *m);
int allocation_constraints(cvm_turn *t, const cvm_msg *m);
int allocation_reset(cvm_turn *t, const cvm_msg *m);
CVM_MUST_USE int check_say(cvm_turn *t, cvm_id request, const json_t *data);
CVM_MUST_USE int constraints_say(cvm_turn *t, cvm_id request, const json_t *data);
/* Takes the list of a catalogue. */
CVM_MUST_USE int limits_take(cvm_turn *t, const json_t *treatments);
/* CVM_ENOENT: no such treatment. */
CVM_MUST_USE int limit_get(cvm_turn *t, const char *id, struct limit *ret_limit);
/* The zone of the settings; UTC where they name none that is known. */
struct zone allocation_zone(cvm_turn *t);
const char *used_key(const char *id, const char *day, char key[ALLOCATION_KEY_SIZE]);

/* prune.c */
CVM_MUST_USE int prune_arm(cvm_turn *t);
int prune_used(cvm_turn *t, const cvm_msg *m); /* the timer "prune" */

/* history.c */
struct event {
    const char *treatment, *customer, *outcome, *reason, *by; /* by NULL: who sent the message */
    int64_t remaining, cost;                                  /* remaining -1: without limit */
};
/* A row of the history. Gives the id of it. */
CVM_MUST_USE int history_put(cvm_turn *t, const cvm_msg *m, const struct event *event, char ret_id[CVM_SHORT_ID_SIZE]);
int history_get(cvm_turn *t, const cvm_msg *m);
int history_got(cvm_turn *t, const cvm_msg *m); /* history.reply */
int history_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* bar.c */
CVM_MUST_USE int bar_start(cvm_turn *t);        /* counts anew where the last count is old */
int bar_counted(cvm_turn *t, const cvm_msg *m); /* bar.reply */
/* false: not known. */
bool bar_get(cvm_turn *t, int64_t *ret_minor);
int bar_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* allocate.c */
int allocate_resource(cvm_turn *t, const cvm_msg *m);
int allocate_listed(cvm_turn *t, const cvm_msg *m); /* list.reply */
/* Has the request answered when the catalogue has told what there is. */
CVM_MUST_USE int allocate_wait(cvm_turn *t, const cvm_msg *m);

/* release.c: what a customer holds, and contacts */
CVM_MUST_USE int holds_get(cvm_turn *t, const char *customer, json_t **ret_list);
CVM_MUST_USE int holds_put(cvm_turn *t, const char *customer, json_t *list); /* takes */
/* The contact policy over them; `but` is left out (-1: none is). */
void holds_check(cvm_turn *t, const json_t *list, int but, const struct limit *limit, const json_t *permissions,
                 struct contact_verdict *ret);
int release_resource(cvm_turn *t, const cvm_msg *m);
int confirm_contact(cvm_turn *t, const cvm_msg *m);
int check_contact(cvm_turn *t, const cvm_msg *m);
/* {"rule", "message", "until"?}. Gives. */
json_t *verdict_json(const struct contact_verdict *v);

#endif
