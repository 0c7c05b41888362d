/* Reading what a distribution company answers: pure functions over the reply of a call. They know neither turns nor
 * state. */
#ifndef DISCO_ANSWER_H
#define DISCO_ANSWER_H

#include <cvm/cvm.h>

#define TOKEN_DIGITS 20

enum verdict {
    VERDICT_DONE,    /* vended: `body` has the transaction id and, for a PREPAID meter, the token */
    VERDICT_REFUSED, /* certainly not vended */
    VERDICT_ASK,     /* the answer does not say; only a status query can */
    VERDICT_UNKNOWN  /* nobody could find out in time */
};

struct answer {
    enum verdict verdict;
    const char *code, *message; /* VERDICT_REFUSED, VERDICT_ASK, VERDICT_UNKNOWN; never NULL */
    const json_t *body;         /* borrowed from the reply; NULL where there is none */
};

/* What is remembered of an order while its vend is open: {"reference", "amount_kobo", "meter_end", "postpaid"}. */
json_t *order_new(const char *reference, const char *meter, bool postpaid, int64_t amount_kobo);

/* What "vend.reply" says about the order. Borrows both. */
struct answer vend_answer_read(const cvm_msg *reply, const json_t *order);

/* A refusal in the company's own words where it gives some; VERDICT_ASK for "processed already". Borrows. */
struct answer refusal_read(const json_t *body);

enum found { FOUND_DELIVERED, FOUND_FAILED, FOUND_PENDING, FOUND_NOTHING, FOUND_NO_ANSWER };

/* What the reply of a status query says. *ret_body is borrowed, untouched for FOUND_NOTHING and FOUND_NO_ANSWER. */
enum found status_answer_read(const cvm_msg *reply, const json_t **ret_body);
const char *found_word(enum found found);

/* Whether an answer is about this order; what either leaves out counts as equal. */
bool order_matches(const json_t *order, const json_t *body);
/* Whether it has all that was bought: the twenty digits, unless the meter is POSTPAID. */
bool order_whole(const json_t *order, const json_t *body);

/* Copies transaction id, token, units, further tokens and balance of a vend, in our own forms, to `into`. */
void vend_copy(const json_t *body, json_t *into);

/* Whether the reply of a validation or bill query certainly says that there is no such meter. */
bool meter_missing(const cvm_msg *reply);
/* {"customer_name", "address", "tariff_class", "meter_type"} and, where told, "service_band" and "rate_kobo". NULL: the
 * reply does not say. Gives. */
json_t *meter_answer_read(const cvm_msg *reply);
/* {"amount_due_kobo"} and, where told, "customer_name", "period", "due_date", "reading" and "lines" of {"item",
 * "amount_kobo"}. NULL: the reply does not say. Gives. */
json_t *bill_answer_read(const cvm_msg *reply);

/* The member as text, also where a number is sent; NULL where it is missing, empty or overlong. Gives. */
json_t *text_member(const json_t *body, const char *key);

#endif
