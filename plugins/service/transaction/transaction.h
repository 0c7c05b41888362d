/* What the files of the plugin `transaction` share: the state machine of a purchase, the accounts, the stored record
 * of a transaction, and the answers to those who asked. Knows no domain: what is bought is the seller's business.
 * Loop thread; every function that takes a turn may be called in a handler only. */
#ifndef SERVICE_TRANSACTION_H
#define SERVICE_TRANSACTION_H

#include "../common/clip.h"
#include <assert.h>
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <cvm/money.h>

#define TXN_SELF "service.transaction"
#define TXN_CUSTOMER_MAX 64           /* bytes of a customer id */
#define TXN_IDEMPOTENCY_MAX 128       /* bytes of an idempotency key */
#define TXN_WAITERS_MAX 32            /* requests that wait for one transaction */
#define TXN_KEEP_MS INT64_C(86400000) /* how long a final transaction and its key are remembered */
#define TXN_TIME_SIZE 32

/* ---- machine.c: the states of a purchase and the moves between them ---- */

enum txn_state { TXN_RECEIVED, TXN_HELD, TXN_DELIVERING, TXN_PENDING, TXN_SUCCESS, TXN_FAILED, TXN_REFUNDED, TXN_N };

const char *txn_state_name(enum txn_state state);
CVM_MUST_USE int txn_state_parse(const char *name, enum txn_state *ret_state);
bool txn_may_move(enum txn_state from, enum txn_state to);
bool txn_is_final(enum txn_state state);
/* The status people see: PENDING, SUCCESS, FAILED or REFUNDED. */
const char *txn_status(enum txn_state state);

/* ---- account.c: prepaid wallets, the component's state under account/ and phone/ ---- */

enum entry_kind { ENTRY_OPENING, ENTRY_CREDIT, ENTRY_HOLD, ENTRY_SETTLE, ENTRY_REFUND };

/* A booking as pure arithmetic on the figures of an account; see account_apply. */
struct figures {
    int64_t opening, credited, settled, held, balance;
};

/* CVM_EREFUSED: the balance does not cover a hold. CVM_ELIMIT: the balance would pass the largest sum. CVM_EINVAL:
 * the amount is not positive. CVM_ESTATE: less is held than should be settled or returned. Untouched on failure.
 * Asserts balance == opening + credited - settled - held. */
CVM_MUST_USE int account_apply(struct figures *f, enum entry_kind kind, int64_t amount);
void account_figures(const json_t *account, struct figures *ret_figures);

/* By customer id, or where that is empty or unknown by phone in any accepted form; either may be "". Gives a copy that
 * may be changed. CVM_ENOENT: no such account. */
CVM_MUST_USE int account_find(cvm_turn *t, const char *customer_id, const char *phone, json_t **ret_account);
/* Books and writes the ledger entry. The caller saves the account afterwards. `transaction_id` may be "". */
CVM_MUST_USE int account_book(cvm_turn *t, const cvm_msg *m, json_t *account, enum entry_kind kind, int64_t amount,
                              const char *transaction_id);
CVM_MUST_USE int account_save(cvm_turn *t, json_t *account); /* takes */
/* Counts a failed purchase of this session; returns the count, 0 where there is no session. Changes `account`. */
int64_t account_count_failure(json_t *account, const char *session_id);
/* Whether one more transaction now is over `per_minute`; if not, it is counted. Changes `account`. */
bool account_too_fast(json_t *account, int64_t now_ms, int64_t per_minute);

int account_open(cvm_turn *t, const cvm_msg *m);
int account_credit(cvm_turn *t, const cvm_msg *m);
int account_show(cvm_turn *t, const cvm_msg *m);

/* ---- record.c: the stored record of a transaction, txn/<id> while open, done/<id> for a day after ---- */

bool record_id_valid(const char *transaction_id);
cvm_id record_cookie(const char *transaction_id);
/* Both give a copy that may be changed (members are replaced, never changed in place). CVM_ENOENT: not there. */
CVM_MUST_USE int record_load(cvm_turn *t, const char *transaction_id, json_t **ret_record);
CVM_MUST_USE int record_by_cookie(cvm_turn *t, cvm_id cookie, json_t **ret_record);
CVM_MUST_USE int record_save(cvm_turn *t, json_t *record);      /* takes; moves a final one to done/ */
CVM_MUST_USE int record_row(cvm_turn *t, const json_t *record); /* writes the row of table `transactions` */
enum txn_state record_state(const json_t *record);
/* Asserts that the machine allows the move. */
void record_move(json_t *record, enum txn_state to);
int64_t record_int(const json_t *record, const char *key);
const char *record_str(const json_t *record, const char *key);

/* The transaction that was begun under this customer's key in the last 24 hours. CVM_ENOENT: none. */
CVM_MUST_USE int record_of_key(cvm_turn *t, const char *customer_id, const char *key, json_t **ret_record);
CVM_MUST_USE int record_remember_key(cvm_turn *t, const char *customer_id, const char *key, const char *transaction_id);
/* Removes what is older than a day, a few at a time; calls itself again by timer. */
int record_purge(cvm_turn *t, const cvm_msg *m);
int record_start(cvm_turn *t, const cvm_msg *m);

/* A row of table `fraud_flags`. `transaction_id` may be "". */
CVM_MUST_USE int flag_row(cvm_turn *t, const cvm_msg *m, const char *kind, const char *customer_id,
                          const char *transaction_id, const char *detail);

const char *time_text(int64_t at_ms, char buf[TXN_TIME_SIZE]);
void id_to_text(cvm_id id, char ret_text[33]);
cvm_id id_from_text(const char *text);

/* ---- begin.c: hold and deliver; saga.c: then settle, verify or refund ---- */

enum asker_kind { ASKER_PURCHASE, ASKER_HANDLE };

struct order {
    const char *seller;          /* component id */
    const char *idempotency_key; /* "" for none */
    const json_t *body;          /* borrowed; the purchase request */
    enum asker_kind asker;
};

/* A setting in milliseconds or another unit; `otherwise` where it is missing or not positive. */
int64_t saga_setting_ms(cvm_turn *t, const char *name, int64_t otherwise);
/* Arms the timer that the record waits for; the record keeps its id. */
CVM_MUST_USE int saga_arm(cvm_turn *t, json_t *record, const char *type, int64_t delay_ms);

int saga_begin(cvm_turn *t, const cvm_msg *m, const struct order *order);
int saga_purchase(cvm_turn *t, const cvm_msg *m);
int saga_delivered(cvm_turn *t, const cvm_msg *m);  /* "deliver.reply" */
int saga_answer_due(cvm_turn *t, const cvm_msg *m); /* timer */
int saga_deadline(cvm_turn *t, const cvm_msg *m);   /* timer */
int saga_check_due(cvm_turn *t, const cvm_msg *m);  /* timer */
int saga_checked(cvm_turn *t, const cvm_msg *m);    /* "check_delivery.reply" */
int saga_reconcile(cvm_turn *t, const cvm_msg *m);  /* timer */
int saga_verify(cvm_turn *t, const cvm_msg *m);     /* operation verify_transaction */

/* The component behind an id or alias if it sells; NULL if it does not. Borrowed from the registry. */
const char *saga_seller(cvm_turn *t, const char *id_or_alias);

/* ---- answer.c: bodies and texts ---- */

/* The advice for an error code or rule, in ret_text. */
void answer_advice(const char *code, const char *transaction_id, char *ret_text, size_t size);
/* The reply of `purchase` for a record in its present state; ret_outcome is what it is sent with. Gives. */
json_t *answer_body(const json_t *record, bool replayed, enum cvm_outcome *ret_outcome);
/* The reply of `purchase` when a rule refused before anything was held. Gives. */
json_t *answer_refusal(const json_t *order_body, const char *rule, const char *message, bool handoff);
/* Settles one asker. `body` is taken. A request that is no longer open is no error. */
CVM_MUST_USE int answer_asker(cvm_turn *t, enum asker_kind kind, cvm_id request, enum cvm_outcome outcome, json_t *body,
                              int64_t session_failures);
/* Settles all who wait for the record and forgets them. */
CVM_MUST_USE int answer_waiters(cvm_turn *t, json_t *record, int64_t session_failures);

/* ---- lookup.c and converse.c ---- */

int lookup_list(cvm_turn *t, const cvm_msg *m);
int lookup_listed(cvm_turn *t, const cvm_msg *m); /* "query.reply" */
int lookup_show(cvm_turn *t, const cvm_msg *m);
int lookup_shown(cvm_turn *t, const cvm_msg *m); /* "list_transactions.reply" */
int lookup_receipt(cvm_turn *t, const cvm_msg *m);
int lookup_receipted(cvm_turn *t, const cvm_msg *m); /* "show_transaction.reply" */
int lookup_refund(cvm_turn *t, const cvm_msg *m);
int lookup_payment(cvm_turn *t, const cvm_msg *m); /* initiate_payment */
int converse_handle(cvm_turn *t, const cvm_msg *m);

#endif
