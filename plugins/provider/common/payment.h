/* A payment provider's interface as the host's operations charge, verify, refund and link, and its webhook. Each plugin
 * that is built with it defines `gateway`, which says how its provider differs, and has PAYMENT_ROUTES in its table.
 * Sums are kobo. Nothing is believed that does not fit the reference, the currency and the sum. Loop thread. */
#ifndef PROVIDER_COMMON_PAYMENT_H
#define PROVIDER_COMMON_PAYMENT_H

#include "naira.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

#define PAYMENT_REFERENCE_MAX 64
#define PAYMENT_TEXT_SIZE 160
#define PAYMENT_PATH_SIZE 160

enum payment_state {
    PAYMENT_UNKNOWN, /* the answer does not say */
    PAYMENT_SUCCEEDED,
    PAYMENT_FAILED,
    PAYMENT_PENDING,
    PAYMENT_ABANDONED, /* not paid, or not yet: by what it was asked for */
    PAYMENT_REVERSED,
    PAYMENT_NOT_FOUND, /* said in so many words */
    PAYMENT_DUPLICATE, /* the reference exists: it is ours */
    PAYMENT_TROUBLE,   /* the provider's own; nothing was taken */
    PAYMENT_FAULT,     /* our set-up is wrong; nothing was taken */
};

/* What an answer says. Strings are borrowed from it; never NULL. */
struct payment {
    enum payment_state state;
    const char *reference, *currency; /* "" where they are missing */
    const char *message, *authorization, *email;
    char id[32];  /* the provider's own */
    int64_t kobo; /* -1: it does not say */
};

/* What a webhook tells. */
struct payment_event {
    const char *kind; /* "charge.success"; "" where it is none that matters */
    char reference[PAYMENT_TEXT_SIZE], id[PAYMENT_TEXT_SIZE], status[PAYMENT_TEXT_SIZE];
};

struct gateway {
    const char *name;   /* "paystack" */
    const char *people; /* "Paystack" */
    const char *secret; /* the name of the key for calls */
    /* Of the order in `m`; each gives its body. */
    json_t *(*charge_body)(cvm_turn *t, const cvm_msg *m);
    json_t *(*link_body)(cvm_turn *t, const cvm_msg *m);
    const char *charge_path, *link_path; /* without their settings of the same name */
    /* Where a reference is asked for; *ret_query is given, or NULL. */
    void (*verify_call)(const char *reference, char ret_path[PAYMENT_PATH_SIZE], json_t **ret_query);
    /* Where a payment is given back; gives the body. */
    json_t *(*refund_call)(const struct payment *payment, int64_t kobo, char ret_path[PAYMENT_PATH_SIZE]);
    struct payment (*read)(int64_t http_status, const json_t *body);
    enum payment_state (*read_refund)(int64_t http_status, const json_t *body);
    const char *(*read_link)(const json_t *body); /* "": it has none */
    /* Whether the raw bytes come from the provider. CVM_ENOENT: the secret is not set; CVM_EREFUSED: they do not. */
    int (*check_signature)(cvm_turn *t, const json_t *headers, const char *raw, size_t len);
    void (*read_event)(const json_t *body, struct payment_event *ret_event);
};
extern const struct gateway gateway;

/* ---- for gateways ---- */

/* A member as text, also where it is a number; "" for anything else. Returns buf. */
const char *payment_text(const json_t *object, const char *key, char buf[PAYMENT_TEXT_SIZE]);
/* A whole number, also as text. -1: it is none. */
int64_t payment_whole(const json_t *value);
/* Whether one word of a text is there, in any case. */
bool payment_says(const char *text, const char *word);
/* The end that HTTP's status alone tells; PAYMENT_UNKNOWN: none. */
enum payment_state payment_by_status(int64_t http_status);

/* ---- routes ---- */

int payment_charge(cvm_turn *t, const cvm_msg *m);
int payment_charged(cvm_turn *t, const cvm_msg *m);       /* "charge.reply" */
int payment_rechecked(cvm_turn *t, const cvm_msg *m);     /* "recheck.reply" */
int payment_verify_charge(cvm_turn *t, const cvm_msg *m); /* the host asks */
int payment_outcome(cvm_turn *t, const cvm_msg *m);       /* "outcome.reply" */
int payment_verify(cvm_turn *t, const cvm_msg *m);
int payment_status(cvm_turn *t, const cvm_msg *m); /* "status.reply" */
int payment_link(cvm_turn *t, const cvm_msg *m);
int payment_linked(cvm_turn *t, const cvm_msg *m); /* "link.reply" */
int payment_refund(cvm_turn *t, const cvm_msg *m);
int payment_refund_checked(cvm_turn *t, const cvm_msg *m); /* "refund_check.reply" */
int payment_refunded(cvm_turn *t, const cvm_msg *m);       /* "refund.reply" */

int payment_webhook(cvm_turn *t, const cvm_msg *m);
int payment_confirm_due(cvm_turn *t, const cvm_msg *m);   /* timer */
int payment_confirmed(cvm_turn *t, const cvm_msg *m);     /* "confirm.reply" */
int payment_event_taken(cvm_turn *t, const cvm_msg *m);   /* "payment_event.reply" */
int payment_webhook_count(cvm_turn *t, const cvm_msg *m); /* operation webhook_counts */

/* clang-format off */
#define PAYMENT_ROUTES(id)                                                                                             \
    {id, "charge", payment_charge}, {id, "charge.reply", payment_charged}, {id, "recheck.reply", payment_rechecked},   \
    {id, "verify_charge", payment_verify_charge}, {id, "outcome.reply", payment_outcome},                              \
    {id, "verify", payment_verify}, {id, "status.reply", payment_status},                                              \
    {id, "link", payment_link}, {id, "link.reply", payment_linked},                                                    \
    {id, "refund", payment_refund}, {id, "refund_check.reply", payment_refund_checked},                                \
    {id, "refund.reply", payment_refunded},                                                                            \
    {id, "webhook", payment_webhook}, {id, "confirm_due", payment_confirm_due},                                        \
    {id, "confirm.reply", payment_confirmed}, {id, "payment_event.reply", payment_event_taken},                        \
    {id, "webhook_counts", payment_webhook_count}
/* clang-format on */

/* ---- what payment.c and payment_hook.c share ---- */

int payment_ask(cvm_turn *t, const char *call, const char *reference, cvm_id on_behalf);
/* What an answer says; PAYMENT_UNKNOWN for no complete one. */
struct payment payment_read(const cvm_msg *reply);
/* The word for others, by what is remembered of the reference: an abandoned charge has failed, an abandoned link may be
 * paid yet. */
const char *payment_word(const struct payment *p, const json_t *remembered);
/* {"amount_kobo", "currency", "kind"} of a reference, borrowed; NULL: it was not made here. */
CVM_MUST_USE int payment_remembered(cvm_turn *t, const char *reference, const json_t **ret_remembered);
/* Whether an answer is about this payment, as far as it says: its reference and currency. */
bool payment_is_of(const struct payment *p, const char *reference, const json_t *remembered);
CVM_MUST_USE int payment_alert(cvm_turn *t, const char *code, const char *scope, const char *message);
CVM_MUST_USE int payment_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data);

#endif
