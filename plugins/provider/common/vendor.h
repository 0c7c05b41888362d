/* A vendor's interface as the host's operations vend, verify_vend, verify and balance: carries one order to the vendor
 * and says what became of it. Each plugin that is built with it defines `vendor`, which says how its kind of vendor
 * differs, and has VENDOR_ROUTES in its table for each of its components.
 *
 * An open vend is remembered in the state under "vend/<request>" until it is settled. When the outcome of the vend call
 * is unknown the host asks verify_vend; when an answer leaves it open, `check` asks the vendor once by itself. Loop
 * thread. */
#ifndef PROVIDER_COMMON_VENDOR_H
#define PROVIDER_COMMON_VENDOR_H

#include "answer.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

struct vendor {
    const char *self;       /* the setting, and the member of a request, that names the vendor */
    const char *number;     /* the member of vendors' answers with the number that is served .. */
    const char *number_end; /* .. and of a remembered order with the end of it */
    int64_t timeout_ms;     /* of one vend attempt, where the setting does not say */
    const char *other_code; /* the code for a request that is for another vendor */
    /* What is said of an order, in full sentences. */
    struct {
        const char *other, *refused, *late, *unsent, *duplicate, *undecided, *no_answer;
    } say;
    json_t *(*headers)(cvm_turn *t);                        /* with the key; gives */
    json_t *(*order)(const cvm_msg *m);                     /* what is remembered of a vend; gives */
    json_t *(*vend_body)(cvm_turn *t, const cvm_msg *m);    /* gives */
    const char *(*vend_path)(const cvm_msg *m);             /* the setting with the path of a vend; NULL: "vend_path" */
    bool (*whole)(const json_t *order, const json_t *body); /* see order_whole; NULL: a transaction id is all */
    void (*copy)(const json_t *body, json_t *into);         /* what was vended, in our own forms */
};
extern const struct vendor vendor;

const char *vendor_setting(cvm_turn *t, const char *name);
/* Refuses the message when this component is not set up for `path_setting`; else CVM_OK. */
CVM_MUST_USE int vendor_check_setup(cvm_turn *t, const cvm_msg *m, const char *path_setting);
/* A query that changes nothing, under the name `call`; its reply comes as "<call>.reply" with the cookie. Takes `body`
 * and `query`, either of which may be NULL. */
CVM_MUST_USE int vendor_ask(cvm_turn *t, const char *call, const char *path_setting, json_t *body, json_t *query,
                            cvm_id on_behalf, int64_t timeout_ms);
/* Settles a request whose asker may have given up by now. Takes `data`. */
CVM_MUST_USE int vendor_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data);
CVM_MUST_USE int vendor_settle_failure(cvm_turn *t, cvm_id request, int outcome, const char *code, const char *message);
CVM_MUST_USE int vendor_settle_unanswered(cvm_turn *t, cvm_id request);
/* Whole naira as a number, else a decimal string: never a float. Gives. */
json_t *vendor_naira(int64_t kobo);

int vendor_vend(cvm_turn *t, const cvm_msg *m);
int vendor_vended(cvm_turn *t, const cvm_msg *m);  /* "vend.reply" */
int vendor_checked(cvm_turn *t, const cvm_msg *m); /* "check.reply" */
int vendor_verify_vend(cvm_turn *t, const cvm_msg *m);
int vendor_outcome(cvm_turn *t, const cvm_msg *m); /* "outcome.reply" */
int vendor_verify(cvm_turn *t, const cvm_msg *m);
int vendor_status(cvm_turn *t, const cvm_msg *m); /* "status.reply" */
int vendor_balance(cvm_turn *t, const cvm_msg *m);
int vendor_balance_told(cvm_turn *t, const cvm_msg *m); /* "balance.reply" */
int vendor_statement(cvm_turn *t, const cvm_msg *m);
int vendor_stated(cvm_turn *t, const cvm_msg *m); /* "statement_call.reply" */

/* clang-format off */
#define VENDOR_ROUTES(id)                                                                                              \
    {id, "vend", vendor_vend}, {id, "vend.reply", vendor_vended}, {id, "check.reply", vendor_checked},                 \
    {id, "verify_vend", vendor_verify_vend}, {id, "outcome.reply", vendor_outcome},                                    \
    {id, "verify", vendor_verify}, {id, "status.reply", vendor_status},                                                \
    {id, "balance", vendor_balance}, {id, "balance.reply", vendor_balance_told},                             \
    {id, "statement", vendor_statement}, {id, "statement_call.reply", vendor_stated}
/* clang-format on */

#endif
