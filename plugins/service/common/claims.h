/* What became of a customer's purchases: looking one up, the history, a refund, a question to the network, and the
 * steps of a conversation about all that. For the billing and technical agents of a line of business; each plugin that
 * is built with it defines `claims` and has CLAIMS_ROUTES in its table for each of them. Reads through
 * service.transaction and only the customer's own; what waits is in pending.c. Loop thread. */
#ifndef SERVICE_COMMON_CLAIMS_H
#define SERVICE_COMMON_CLAIMS_H

#include "../../common/pending.h"
#include "step.h"

struct claims {
    const char *service;   /* "AIRTIME" */
    const char *noun;      /* "airtime" */
    const char *arrived;   /* how a customer sees that it came */
    const char *technical; /* who asks the network in a conversation; NULL: whoever is asked */
};
extern const struct claims claims;

/* ---- books.c: pure, over the rows of list_transactions ---- */

/* The newest of this service, for the recipient (any form; "" for any) and of the sum (0: any). NULL: none. */
const json_t *books_newest(const json_t *transactions, const char *service, const char *recipient, int64_t kobo);
/* Two that are alike within so many minutes, the newer one first. False: there are none. */
bool books_repeat(const json_t *transactions, const char *service, int64_t minutes, const json_t *ret_two[2]);
int64_t books_age_hours(const json_t *row, int64_t now_ms); /* 0 where the time cannot be read */
/* "₦500.00 for 08031234567 on MTN on 2026-11-21 was successful. Reference MTN-1." */
void books_text(const json_t *row, char *ret_text, size_t size);
/* The newest `most` of this service in a line each. Returns how many. */
size_t books_history(const json_t *transactions, const char *service, size_t most, char *ret_text, size_t size);

/* ---- operations ---- */

int claims_lookup(cvm_turn *t, const cvm_msg *m);  /* {customer, transaction_id?} */
int claims_history(cvm_turn *t, const cvm_msg *m); /* {customer, limit?} */
int claims_refund(cvm_turn *t, const cvm_msg *m);  /* {customer, transaction_id} */
int claims_requery(cvm_turn *t, const cvm_msg *m); /* {customer, transaction_id?} */

int claims_listed(cvm_turn *t, const cvm_msg *m);   /* "list_transactions.reply" */
int claims_refunded(cvm_turn *t, const cvm_msg *m); /* "refund_transaction.reply" */
int claims_verified(cvm_turn *t, const cvm_msg *m); /* "verify_transaction.reply" */

#define CLAIMS_ROUTES(id)                                                                                              \
    {id, "list_transactions.reply", claims_listed}, {id, "refund_transaction.reply", claims_refunded},                 \
    {                                                                                                                  \
        id, "verify_transaction.reply", claims_verified                                                                \
    }

/* ---- steps ---- */

CVM_MUST_USE int claims_step(cvm_turn *t, const cvm_msg *m);         /* something went wrong, or the history */
CVM_MUST_USE int claims_requery_step(cvm_turn *t, const cvm_msg *m); /* it did not arrive */

#endif
