/* What sellers of any line of business have in common: sums in words, refusals, the limits of an amount, how a step of
 * a conversation ends with an order, and what the saga hears of a delivery. Built into each seller. */
#ifndef SERVICE_COMMON_SALE_H
#define SERVICE_COMMON_SALE_H

#include "step.h"

#define SALE_TRANSACTION "service.transaction"
#define SALE_TEXT_SIZE 512
#define SALE_PIECES_MAX 3
#define SALE_PIECE_SIZE 200
#define SALE_PURCHASE_TIMEOUT_MS 330000 /* the saga answers long before */
#define SALE_VERIFY_TIMEOUT_MS 20000
#define SALE_VEND_LEAST_MS 1000

/* ---- pure ---- */

/* Why an order is not accepted; `rule` is for the record. */
struct sale_failure {
    const char *rule;
    char error[SALE_TEXT_SIZE], recommendation[SALE_TEXT_SIZE];
};

const char *sale_naira(int64_t kobo, char buf[40]);       /* "₦1,000" or "₦1,000.50" */
const char *sale_naira_exact(int64_t kobo, char buf[40]); /* "₦1,000.00" */
int64_t sale_setting_kobo(const json_t *settings, const char *name, int64_t otherwise);

/* Completes a failure whose error is written. Returns CVM_EREFUSED. */
int sale_refused(struct sale_failure *failure, const char *rule, const char *recommendation);
/* Checks the smallest and largest amount. `what` is bought. CVM_EREFUSED: *ret_failure says why. */
CVM_MUST_USE int sale_check_amount(const json_t *amount, int64_t min_kobo, int64_t max_kobo, const char *what,
                                   int64_t *ret_kobo, struct sale_failure *ret_failure);
json_t *sale_failure_body(const struct sale_failure *failure, const char *agent);
/* The recommendation `given`, with the reference `id` ("" for none) unless that is named in it. */
void sale_advise(struct sale_failure *failure, const char *given, const char *id);
/* The answer to whoever wanted to buy, for a reply of `purchase` that neither sold nor refused; *ret_outcome is what to
 * send it with. Gives. */
json_t *sale_unsold_body(const cvm_msg *reply, const char *agent, enum cvm_outcome *ret_outcome);

/* ---- operations ---- */

/* Ends a request for an order that is not accepted. */
CVM_MUST_USE int sale_refuse(cvm_turn *t, cvm_id request, const struct sale_failure *failure, const char *agent);

/* ---- a step of a conversation ---- */

/* Ends the step: nothing is sold before a human because of the rule `hold`. */
CVM_MUST_USE int sale_hold(cvm_turn *t, cvm_id request, const char *hold);
/* Asks for what is missing of an order of `what`; `more` is said after it. Takes `names`. */
CVM_MUST_USE int sale_ask(cvm_turn *t, cvm_id request, const char *what, char pieces[][SALE_PIECE_SIZE], size_t n,
                          bool several, const char *more, json_t *names);
CVM_MUST_USE int sale_step_refuse(cvm_turn *t, cvm_id request, const struct sale_failure *failure, const char *agent);
/* Hands the order `body`, which is taken, to TransactionAgent, which is next. CVM_ENOMEM for NULL. */
CVM_MUST_USE int sale_order(cvm_turn *t, const cvm_msg *m, cvm_id request, json_t *body);
/* Ends the step with the facts that were found on `topics` topics; on none the route goes on to research, or a human
 * is asked. */
CVM_MUST_USE int sale_answer(cvm_turn *t, cvm_id request, size_t topics, const char *facts, const char *not_known);

/* ---- for the saga ---- */

/* Vending costs money, so only the saga, which holds the customer's, may ask for it. */
bool sale_from_saga(const cvm_msg *m);
json_t *sale_not_delivered(const char *code, const char *message); /* gives */
/* What the saga is told of a vend's reply other than CVM_REPLIED. Gives. */
json_t *sale_not_vended(const cvm_msg *reply, const char *refused, const char *busy, const char *late,
                        enum cvm_outcome *ret_outcome);
/* "delivered", "failed", "absent" or "unknown", by the reply of `verify`. */
const char *sale_checked(const cvm_msg *reply);
/* Copies reference, transaction id and the reason from the reply of `verify`. `into` may be NULL. */
void sale_copy_checked(const cvm_msg *reply, json_t *into);

#endif
