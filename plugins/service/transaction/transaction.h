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
#define TELL_COMPONENT "service.notification"
#define TXN_CUSTOMER_MAX 64          /* bytes of a customer id */
#define TXN_IDEMPOTENCY_MAX 128      /* bytes of an idempotency key */
#define TXN_WAITERS_MAX 32           /* requests that wait for one transaction */
#define TXN_DAY_MS INT64_C(86400000) /* how long a key stands for its first purchase */
#define TXN_KEEP_MS (2 * TXN_DAY_MS) /* how long a final transaction is remembered: its day can be reconciled */
#define TXN_TIME_SIZE 32
#define TXN_LOOKS_MAX 16 /* most questions about what was given up */
#define TXN_PROBE 0xffff /* the number in the cookie of a probe */

/* ---- machine.c: the states of a purchase and the moves between them ---- */

enum txn_state {
    TXN_RECEIVED,
    TXN_CHALLENGED, /* waits for the customer's code */
    TXN_REVIEW,     /* waits for a human */
    TXN_PAYING,     /* waits for a payment provider or for the customer's payment */
    TXN_HELD,
    TXN_DELIVERING,
    TXN_PENDING,
    TXN_PARKED, /* our float with the provider is low: tried again */
    TXN_SUCCESS,
    TXN_FAILED,
    TXN_REFUNDING, /* failed; the money is on its way back to where it came from */
    TXN_REFUNDED,
    TXN_CANCELLED, /* ended before anything was taken */
    TXN_N
};

const char *txn_state_name(enum txn_state state);
CVM_MUST_USE int txn_state_parse(const char *name, enum txn_state *ret_state);
bool txn_may_move(enum txn_state from, enum txn_state to);
bool txn_is_final(enum txn_state state);
/* The status people see: PENDING, SUCCESS, FAILED or REFUNDED. */
const char *txn_status(enum txn_state state);

/* ---- account.c: prepaid wallets, the component's state under account/ and phone/ ---- */

enum entry_kind { ENTRY_OPENING, ENTRY_CREDIT, ENTRY_HOLD, ENTRY_SETTLE, ENTRY_REFUND, ENTRY_RETURN };

/* A booking as pure arithmetic on the figures of an account; see account_apply. */
struct figures {
    int64_t opening, credited, settled, returned, held, balance;
};

/* CVM_EREFUSED: the balance does not cover a hold. CVM_ELIMIT: the balance would pass the largest sum. CVM_EINVAL:
 * the amount is not positive. CVM_ESTATE: less is held than should be settled or returned. Untouched on failure.
 * ENTRY_RETURN: what is held leaves for where it came from. Asserts balance == opening + credited - settled -
 * returned - held. */
CVM_MUST_USE int account_apply(struct figures *f, enum entry_kind kind, int64_t amount);
void account_figures(const json_t *account, struct figures *ret_figures);

/* By customer id, or where that is empty or unknown by phone in any accepted form; either may be "". Gives a copy that
 * may be changed. CVM_ENOENT: no such account. */
CVM_MUST_USE int account_find(cvm_turn *t, const char *customer_id, const char *phone, json_t **ret_account);
/* Books and writes the ledger entry. The caller saves the account afterwards. `transaction_id` may be "". */
CVM_MUST_USE int account_book(cvm_turn *t, const cvm_msg *m, json_t *account, enum entry_kind kind, int64_t amount,
                              const char *transaction_id);
/* A payment that came in for a transaction: booked under its own reference, as a transaction may have several. */
CVM_MUST_USE int account_book_payment(cvm_turn *t, const cvm_msg *m, json_t *account, int64_t amount,
                                      const char *transaction_id, const char *reference);
CVM_MUST_USE int account_save(cvm_turn *t, json_t *account); /* takes */
/* Counts a failed purchase of this session; returns the count, 0 where there is no session. Changes `account`. */
int64_t account_count_failure(json_t *account, const char *session_id);
/* Whether one more transaction now is over `per_minute`; if not, it is counted. Changes `account`. */
bool account_too_fast(json_t *account, int64_t now_ms, int64_t per_minute);

int account_open(cvm_turn *t, const cvm_msg *m);
int account_credit(cvm_turn *t, const cvm_msg *m);
int account_show(cvm_turn *t, const cvm_msg *m);
int account_authorize(cvm_turn *t, const cvm_msg *m); /* keeps what a provider may charge again with */
int account_deauthorize(cvm_turn *t, const cvm_msg *m);
bool customer_valid(const char *id); /* its characters are few and its length is bounded */

/* ---- record.c: the stored record of a transaction, txn/<id> while open, done/<id> for a day after ---- */

bool record_id_valid(const char *transaction_id);
cvm_id record_cookie(const char *transaction_id);
/* The same with a number, so that the answer to an earlier attempt is told from that to the present one. */
cvm_id record_cookie_n(const char *transaction_id, int64_t n);
int64_t record_cookie_number(cvm_id cookie);
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

/* The members of a list in a record: a copy of it that may grow. Gives. */
json_t *record_list(const json_t *record, const char *key);

const char *time_text(int64_t at_ms, char buf[TXN_TIME_SIZE]);
void id_to_text(cvm_id id, char ret_text[33]);
cvm_id id_from_text(const char *text);

/* ---- begin.c: the rules before a purchase; gate.c: what it waits for before money moves; saga.c: what follows ---- */

enum asker_kind { ASKER_PURCHASE, ASKER_HANDLE, ASKER_PUBLIC };

struct order {
    const char *seller;          /* component id */
    const char *idempotency_key; /* "" for none */
    const json_t *body;          /* borrowed; the purchase request */
    const json_t *items;         /* borrowed; of an order with several recipients, else NULL */
    enum asker_kind asker;
};

/* A setting in milliseconds or another unit; `otherwise` where it is missing or not positive. */
int64_t saga_setting_ms(cvm_turn *t, const char *name, int64_t otherwise);
/* After how many milliseconds what was given up is asked about once more, when that was done `n` times; 0: no more. */
int64_t saga_look_after_ms(cvm_turn *t, int64_t n);
int64_t saga_setting_kobo(cvm_turn *t, const char *name, int64_t otherwise);
/* Arms the timer that the record waits for, in place of the one before; the record keeps its id. */
CVM_MUST_USE int saga_arm(cvm_turn *t, const cvm_msg *m, json_t *record, const char *type, int64_t delay_ms);
CVM_MUST_USE int saga_disarm(cvm_turn *t, const cvm_msg *m, json_t *record);

int saga_begin(cvm_turn *t, const cvm_msg *m, const struct order *order);
int saga_purchase(cvm_turn *t, const cvm_msg *m);
/* One more who waits for the record. */
CVM_MUST_USE int saga_wait(json_t *record, const cvm_msg *m, enum asker_kind kind, bool replayed);
/* A record of one recipient of an order, with the sums and texts of `body`. Gives. */
json_t *record_new(const cvm_msg *m, const char *seller, const json_t *body, const char *id, const char *customer_id,
                   int64_t now);
/* Holds the total and asks the seller to deliver; the credit timeout begins. Saves record and account (borrowed). */
CVM_MUST_USE int saga_hold(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record);

/* Goes on to the next gate that is not passed, and behind the last to the payment. Saves record and account
 * (borrowed). */
CVM_MUST_USE int gate_advance(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record);
/* Ends a purchase before anything was taken. Saves the record (borrowed). */
CVM_MUST_USE int gate_cancel(cvm_turn *t, const cvm_msg *m, json_t *record, const char *rule, const char *message);
int gate_due(cvm_turn *t, const cvm_msg *m); /* timer */
int gate_approve(cvm_turn *t, const cvm_msg *m);
int gate_reject(cvm_turn *t, const cvm_msg *m);
int gate_handoff(cvm_turn *t, const cvm_msg *m);  /* "create_handoff.reply" */
int gate_claimed(cvm_turn *t, const cvm_msg *m);  /* "claim_handoff.reply" */
int gate_resolved(cvm_turn *t, const cvm_msg *m); /* "resolve_handoff.reply" */

/* ---- otp.c: the customer's code ---- */

bool otp_possible(cvm_turn *t); /* there is a key, and somebody to send it */
/* So many purchases of the customer ended by wrong codes that somebody may be guessing: a human looks at the next. */
bool otp_guessed(cvm_turn *t, const json_t *account);
CVM_MUST_USE int otp_begin(cvm_turn *t, const cvm_msg *m, const json_t *account, json_t *record);
int otp_confirm(cvm_turn *t, const cvm_msg *m);
int otp_resend(cvm_turn *t, const cvm_msg *m);

/* ---- pay.c: stored authorisations and links; paid.c: what comes of them ---- */

bool pay_by_provider(cvm_turn *t); /* whether anything but the wallet can pay */
CVM_MUST_USE int pay_begin(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record);
CVM_MUST_USE int pay_next(cvm_turn *t, const cvm_msg *m, json_t *record); /* the next provider, or the end */
CVM_MUST_USE int pay_late(cvm_turn *t, const cvm_msg *m, json_t *record); /* the time to pay is over */
int pay_charged(cvm_turn *t, const cvm_msg *m);                           /* "charge.reply" */
int pay_linked(cvm_turn *t, const cvm_msg *m);                            /* "link.reply" */
int pay_verified(cvm_turn *t, const cvm_msg *m);                          /* "verify.reply" */
int pay_check_due(cvm_turn *t, const cvm_msg *m);                         /* timer */
int pay_event(cvm_turn *t, const cvm_msg *m);                             /* operation payment_event */
/* Asks the present provider what became of the payment. */
CVM_MUST_USE int pay_verify(cvm_turn *t, const cvm_msg *m, json_t *record);

/* ---- refund.c: money on its way back ---- */

bool refund_to_source(cvm_turn *t, const json_t *record);
CVM_MUST_USE int refund_row(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *status, const char *to);
CVM_MUST_USE int refund_begin(cvm_turn *t, const cvm_msg *m, json_t *record);
int refund_told(cvm_turn *t, const cvm_msg *m);       /* "refund.reply" */
int refund_due(cvm_turn *t, const cvm_msg *m);        /* timer */
int refund_asked(cvm_turn *t, const cvm_msg *m);      /* operation refund_transaction */
int refund_settled_by(cvm_turn *t, const cvm_msg *m); /* operation settle_refund */
int refund_found(cvm_turn *t, const cvm_msg *m);      /* "find_transaction.reply" */

/* ---- saga.c ---- */

int saga_delivered(cvm_turn *t, const cvm_msg *m);  /* "deliver.reply" */
int saga_answer_due(cvm_turn *t, const cvm_msg *m); /* timer */
int saga_deadline(cvm_turn *t, const cvm_msg *m);   /* timer */
int saga_check_due(cvm_turn *t, const cvm_msg *m);  /* timer */
int saga_checked(cvm_turn *t, const cvm_msg *m);    /* "check_delivery.reply" */
int saga_reconcile(cvm_turn *t, const cvm_msg *m);  /* timer */
int saga_float_due(cvm_turn *t, const cvm_msg *m);  /* timer */
int saga_verify(cvm_turn *t, const cvm_msg *m);     /* operation verify_transaction */
/* Ends it, the money settled or given back in the same turn. `from` says where it goes: ENTRY_REFUND to the wallet,
 * ENTRY_RETURN where it came from. */
CVM_MUST_USE int saga_finish(cvm_turn *t, const cvm_msg *m, json_t *record, enum entry_kind kind);
CVM_MUST_USE int saga_ask_delivery(cvm_turn *t, const cvm_msg *m, json_t *record); /* asks the seller to deliver */
CVM_MUST_USE int saga_check(cvm_turn *t, const cvm_msg *m, json_t *record);        /* asks what became of it */
void set_message(json_t *record, const char *key, const char *text);               /* a text of bounded length */

/* The component behind an id or alias if it sells; NULL if it does not. Borrowed from the registry. */
const char *saga_seller(cvm_turn *t, const char *id_or_alias);
bool component_loaded(cvm_turn *t, const char *id);

/* ---- fraud.c ---- */

/* A row of table `fraud_flags`. `transaction_id` may be "". */
CVM_MUST_USE int flag_row(cvm_turn *t, const cvm_msg *m, const char *kind, const char *customer_id,
                          const char *transaction_id, const char *detail);
/* Looks at a purchase before it begins. ret_hold: the rule that holds it for a human; "" for none. Changes `account`.
 */
CVM_MUST_USE int fraud_check(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record,
                             const char **ret_hold);
/* Counts how it ended. Changes `account`. */
CVM_MUST_USE int fraud_count(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record, bool success);
/* Whether the same was bought a moment ago; if not, remembers it. Changes `account`. Gives the seconds since, or -1. */
int64_t fraud_duplicate(cvm_turn *t, json_t *account, const json_t *body);
/* The state key under which it is remembered who bought for this recipient. */
CVM_MUST_USE int fraud_recipient_key(cvm_turn *t, const char *recipient, char ret_key[CVM_STATE_KEY_MAX + 1]);
int fraud_list(cvm_turn *t, const cvm_msg *m);

/* ---- lane.c: whether what a provider serves can be sold at the moment ---- */

/* Since when it is stopped; 0: it is sold. */
CVM_MUST_USE int lane_stopped(cvm_turn *t, const char *service, const char *network, int64_t *ret_since_ms);
enum lane_news { LANE_SERVES, LANE_FAILS, LANE_LOW_FLOAT };
CVM_MUST_USE int lane_tell(cvm_turn *t, const cvm_msg *m, const json_t *record, enum lane_news news);
int lane_probe(cvm_turn *t, const cvm_msg *m); /* timer */
/* The provider has answered a probe: it is sold again, on trial. */
CVM_MUST_USE int lane_probed(cvm_turn *t, const json_t *record);
int lane_list(cvm_turn *t, const cvm_msg *m);

/* ---- tell.c: messages to customers, through service.notification where it is loaded ---- */

/* `more` is taken, may be NULL. */
CVM_MUST_USE int tell_customer(cvm_turn *t, const char *customer_id, const char *phone, const char *template,
                               const char *text, json_t *more);
CVM_MUST_USE int tell_ended(cvm_turn *t, const json_t *record, enum txn_state to); /* topic transaction.ended */
CVM_MUST_USE int tell_ending(cvm_turn *t, const json_t *account, const json_t *record);

/* ---- bulk.c: an order with several recipients ---- */

#define BULK_ITEMS_MAX 100

int bulk_purchase(cvm_turn *t, const cvm_msg *m);
CVM_MUST_USE int bulk_spread(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record); /* as saga_hold */
int bulk_more(cvm_turn *t, const cvm_msg *m);                                                 /* timer */
CVM_MUST_USE int bulk_ended(cvm_turn *t, const cvm_msg *m, const json_t *record);             /* of one recipient */
json_t *bulk_result(const json_t *record);                                                    /* gives */

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

/* The record in words, for the customer. */
void answer_text(const json_t *record, char *ret_text, size_t size);
/* What a customer may see of it, sums in naira. Gives. */
json_t *answer_public(const json_t *record, enum cvm_outcome *ret_outcome);

/* ---- receipt.c ---- */

int receipt_asked(cvm_turn *t, const cvm_msg *m);
int receipt_text(cvm_turn *t, const cvm_msg *m);  /* "show_transaction.reply" */
int receipt_html(cvm_turn *t, const cvm_msg *m);  /* "find_for_html.reply" */
int receipt_print(cvm_turn *t, const cvm_msg *m); /* "find_for_print.reply" */

/* ---- schedule.c, run.c ---- */

int schedule_add(cvm_turn *t, const cvm_msg *m);
int schedule_opened(cvm_turn *t, const cvm_msg *m); /* message open_schedule */
int schedule_passed(cvm_turn *t, const cvm_msg *m); /* "open_schedule.reply" */
int schedule_change(cvm_turn *t, const cvm_msg *m); /* cancel, pause, resume */
int schedule_list(cvm_turn *t, const cvm_msg *m);
int schedule_due(cvm_turn *t, const cvm_msg *m);    /* timer */
int schedule_remind(cvm_turn *t, const cvm_msg *m); /* timer */
int schedule_bought(cvm_turn *t, const cvm_msg *m); /* the reply of the seller's operation */
int schedule_look(cvm_turn *t, const cvm_msg *m);   /* timer */

/* ---- books.c ---- */

int books_reconcile(cvm_turn *t, const cvm_msg *m);
int books_go_on(cvm_turn *t, const cvm_msg *m);     /* timer */
int books_statement(cvm_turn *t, const cvm_msg *m); /* "statement.reply" */
int books_list(cvm_turn *t, const cvm_msg *m);
/* Reconciles yesterday, once a day; called every few minutes. */
CVM_MUST_USE int books_daily(cvm_turn *t, const cvm_msg *m);

/* ---- lookup.c and converse.c ---- */

int lookup_list(cvm_turn *t, const cvm_msg *m);
int lookup_listed(cvm_turn *t, const cvm_msg *m); /* "query.reply" */
int lookup_show(cvm_turn *t, const cvm_msg *m);
int lookup_shown(cvm_turn *t, const cvm_msg *m); /* "list_transactions.reply" */
int lookup_find(cvm_turn *t, const cvm_msg *m);  /* find_transaction: show, for ourselves */
/* The rows of a table as a reply of {name: rows}. */
CVM_MUST_USE int lookup_table(cvm_turn *t, const cvm_msg *m, const char *table, json_t *where, const char *order_by);
int lookup_payment(cvm_turn *t, const cvm_msg *m); /* initiate_payment */
int converse_handle(cvm_turn *t, const cvm_msg *m);

#endif
