/* What the files of the plugin `vtpass` share: one aggregator behind two roles, `network` and `disco`. Loop thread. */
#ifndef VTPASS_H
#define VTPASS_H

#include "../common/naira.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

#define VT_NETWORK "provider.network.vtpass"
#define VT_POWER "provider.power.vtpass"
#define VT_WEBHOOK "provider.vtpass.webhook"

#define VT_REQUEST_ID_SIZE 48
#define VT_TEXT_SIZE 160  /* a text member of an answer */
#define VT_TOKEN_SIZE 21  /* twenty digits and NUL */
#define VT_DATE_DIGITS 12 /* of a request id */

/* ---- decide.c: what an answer means. Pure ---- */

enum vt_asked { VT_PAY, VT_REQUERY };

enum vt_action {
    VT_DONE,        /* vended */
    VT_FAILED,      /* certainly not vended, or given back to our account */
    VT_ASK_LATER,   /* only a status query can say */
    VT_ASK_NOW,     /* the id exists: it is ours */
    VT_WAIT,        /* taken for a duplicate of a moment ago: wait, ask, then send again */
    VT_RESEND,      /* it never arrived: send the same id once more */
    VT_LOW,         /* our account with the vendor is empty; nothing was vended */
    VT_FAULT,       /* our set-up is wrong; nothing was vended, and nothing will be */
    VT_SERVICE_OFF, /* the service is not sold at the moment; nothing was vended */
    VT_UNREACHABLE, /* the biller does not answer the vendor; nothing was vended */
    VT_MANUAL,      /* people have to look at it */
};

struct vt_decision {
    enum vt_action action;
    const char *error_code, *message; /* never NULL */
};

/* By `code` and content.transactions.status of an answer, "" where they are missing. */
struct vt_decision vt_decide(enum vt_asked asked, const char *code, const char *status);

/* ---- read.c: members of answers, whose types change. Pure ---- */

/* A string or a whole number as text; "" for anything else, for "N/A" and for what is overlong. Returns buf. */
const char *vt_text(const json_t *object, const char *key, char buf[VT_TEXT_SIZE]);
/* The code of an answer as three digits, "" where there is none; the state of its transaction. */
const char *vt_code(const json_t *body, char buf[VT_TEXT_SIZE]);
const char *vt_status(const json_t *body, char buf[VT_TEXT_SIZE]);
/* The decision about an answer: HTTP's status, and the body, which may be no object. */
struct vt_decision vt_read(enum vt_asked asked, int64_t http_status, const json_t *body);
/* The twenty digits of "Token : 2636 ..". */
bool vt_token(const json_t *body, const char *key, char ret_token[VT_TOKEN_SIZE]);
/* Whether it is about this order: {"request_id", "amount_kobo", "end"}; what is left out counts as equal. */
bool vt_matches(const json_t *order, const json_t *body);
/* Whether it has all that was bought: for an order with "token" the token. */
bool vt_whole(const json_t *order, const json_t *body);
/* Copies transaction id, token, further tokens and units to `into`. */
void vt_copy(const json_t *body, json_t *into);
/* What merchant-verify found, as validate_meter and bill answer it; NULL: there is no such meter of that type, or the
 * answer does not say (*ret_missing: it says that there is none). Gives. */
json_t *vt_meter(int64_t http_status, const json_t *body, const char *type, bool *ret_missing);
json_t *vt_bill(int64_t http_status, const json_t *body, bool *ret_missing);
/* {"<variation_code>": [kobo, name], ..} of service-variations; NULL: it is none. Gives. */
json_t *vt_variations(int64_t http_status, const json_t *body);

/* ---- request_id.c: pure ---- */

/* Twelve digits of the minute in Lagos, then what is letter or digit in the reference; different references give
 * different ids. */
void vt_request_id(int64_t now_ms, const char *reference, char ret_id[VT_REQUEST_ID_SIZE]);
/* Whether the vendor takes the id's date part today. */
bool vt_is_of_today(int64_t now_ms, const char *request_id);

/* ---- circuit.c: what is not tried for a while ---- */

/* The scope of everything, of our float, or a service id. */
#define VT_ALL "all"
#define VT_FLOAT "float"

/* Refuses the message while a circuit is open for its service; else CVM_OK. */
CVM_MUST_USE int vt_circuit_check(cvm_turn *t, const cvm_msg *m, const char *service);
/* Opens it and tells people: a line in the log and the topic `provider.alert`. */
CVM_MUST_USE int vt_circuit_open(cvm_turn *t, const char *scope, const char *code, const char *error_code,
                                 const char *message);
/* One more refusal because of the biller; the third in a row opens the service's circuit. */
CVM_MUST_USE int vt_circuit_count(cvm_turn *t, const char *service, const char *code);
CVM_MUST_USE int vt_circuit_good(cvm_turn *t, const char *service);
CVM_MUST_USE int vt_alert(cvm_turn *t, const char *code, const char *scope, const char *message);

/* ---- calls.c: set-up, outgoing calls, settling ---- */

const char *vt_setting(cvm_turn *t, const char *name);
/* The vendor's name of a service; "" where it sells none. `kind` is "airtime", "data" or NULL. */
const char *vt_service(cvm_turn *t, const char *name, const char *kind);
/* Refuses the message when this component is not set up, or does not serve its network or company; else CVM_OK. */
CVM_MUST_USE int vt_check_setup(cvm_turn *t, const cvm_msg *m);
json_t *vt_failure(const char *code, const char *message); /* gives */
CVM_MUST_USE int vt_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data);
CVM_MUST_USE int vt_settle_unanswered(cvm_turn *t, cvm_id request);
/* A query that changes nothing. POST with `body`, else GET with `query`; takes both. */
CVM_MUST_USE int vt_ask(cvm_turn *t, const char *call, const char *path, json_t *body, json_t *query, cvm_id on_behalf,
                        int64_t timeout_ms);
CVM_MUST_USE int vt_requery(cvm_turn *t, const char *call, const char *request_id, cvm_id on_behalf);
const json_t *vt_body(const cvm_msg *reply, int64_t *ret_http_status); /* NULL, 0: no complete answer */

/* ---- book.c: which request id an order has, and whose it is while it is open ---- */

/* The request id of a reference: the one it has, else a new one, which is remembered. */
CVM_MUST_USE int vt_book_id(cvm_turn *t, const char *reference, char ret_id[VT_REQUEST_ID_SIZE]);
/* {"request_id", ..} of a reference, borrowed; NULL: it was never vended here. */
CVM_MUST_USE int vt_book_find(cvm_turn *t, const char *reference, const json_t **ret_entry);
/* The order of an open vend, borrowed; NULL where it is settled already. By its request, or by its request id. */
CVM_MUST_USE int vt_book_order(cvm_turn *t, cvm_id request, const json_t **ret_order);
CVM_MUST_USE int vt_book_by_id(cvm_turn *t, const char *request_id, cvm_id *ret_request, const json_t **ret_order);
/* Takes `order`, which has "request_id". */
CVM_MUST_USE int vt_book_put(cvm_turn *t, cvm_id request, json_t *order);
CVM_MUST_USE int vt_book_close(cvm_turn *t, cvm_id request, const json_t *order);

/* ---- vend.c, query.c, bundles.c, webhook.c: the operations ---- */

/* Sends the order of `request`, whose body is whole, for the first time. Takes `order`. */
CVM_MUST_USE int vt_send_order(cvm_turn *t, cvm_id request, int64_t deadline_ms, json_t *order);

int vt_vend_network(cvm_turn *t, const cvm_msg *m);
int vt_vend_power(cvm_turn *t, const cvm_msg *m);
int vt_vended(cvm_turn *t, const cvm_msg *m);      /* "vend.reply" */
int vt_requery_due(cvm_turn *t, const cvm_msg *m); /* timer */
int vt_requeried(cvm_turn *t, const cvm_msg *m);   /* "requery.reply" */
int vt_verify_vend(cvm_turn *t, const cvm_msg *m);
int vt_outcome(cvm_turn *t, const cvm_msg *m); /* "outcome.reply" */
int vt_hint(cvm_turn *t, const cvm_msg *m);    /* "transaction_update" */
int vt_hinted(cvm_turn *t, const cvm_msg *m);  /* "hint.reply" */

int vt_verify(cvm_turn *t, const cvm_msg *m);
int vt_status_told(cvm_turn *t, const cvm_msg *m); /* "status.reply" */
int vt_balance(cvm_turn *t, const cvm_msg *m);
int vt_balance_told(cvm_turn *t, const cvm_msg *m); /* "balance.reply" */
int vt_not_offered(cvm_turn *t, const cvm_msg *m);
int vt_validate(cvm_turn *t, const cvm_msg *m);
int vt_bill_asked(cvm_turn *t, const cvm_msg *m);
int vt_meter_told(cvm_turn *t, const cvm_msg *m); /* "validate.reply" */
int vt_bill_told(cvm_turn *t, const cvm_msg *m);  /* "bill.reply" */

int vt_bundles(cvm_turn *t, const cvm_msg *m);
int vt_bundles_told(cvm_turn *t, const cvm_msg *m);      /* "bundles.reply" */
int vt_variations_told(cvm_turn *t, const cvm_msg *m);   /* "variations.reply", for a vend */
int vt_variations_update(cvm_turn *t, const cvm_msg *m); /* "variations_update" */
/* Finishes and sends the order of a data vend: finds the variation of `bundle_code`. Takes `order`. */
CVM_MUST_USE int vt_bundle_order(cvm_turn *t, const cvm_msg *m, const char *bundle_code, json_t *order);

int vt_webhook(cvm_turn *t, const cvm_msg *m);

#endif
