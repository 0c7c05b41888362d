/* Reading what a vendor answers to an order: pure functions over the reply of a call. They know neither turns nor
 * state, and of the vendor only its words. */
#ifndef PROVIDER_COMMON_ANSWER_H
#define PROVIDER_COMMON_ANSWER_H

#include <cvm/cvm.h>

enum verdict {
    VERDICT_DONE,    /* vended: `body` has the transaction id and whatever else was bought */
    VERDICT_REFUSED, /* certainly not vended */
    VERDICT_ASK,     /* the answer does not say; only a status query can */
    VERDICT_UNKNOWN  /* nobody could find out in time */
};

struct answer {
    enum verdict verdict;
    const char *code, *message; /* VERDICT_REFUSED, VERDICT_ASK, VERDICT_UNKNOWN; never NULL */
    const json_t *body;         /* borrowed from the reply; NULL where there is none */
};

/* What is remembered of an order while its vend is open: {"reference", "amount_kobo"} and, under vendor.number_end, the
 * end of `number`. Gives. */
json_t *order_new(const char *reference, const char *number, int64_t amount_kobo);

/* What "vend.reply" says about the order. Borrows both. */
struct answer vend_answer_read(const cvm_msg *reply, const json_t *order);

/* A refusal in the vendor's own words where it gives some; VERDICT_ASK for "processed already". Borrows. */
struct answer refusal_read(const json_t *body);

enum found { FOUND_DELIVERED, FOUND_FAILED, FOUND_PENDING, FOUND_NOTHING, FOUND_NO_ANSWER };

/* What the reply of a status query says. *ret_body is borrowed, untouched for FOUND_NOTHING and FOUND_NO_ANSWER. */
enum found status_answer_read(const cvm_msg *reply, const json_t **ret_body);
const char *found_word(enum found found);

/* Whether an answer is about this order; what either leaves out counts as equal. */
bool order_matches(const json_t *order, const json_t *body);
/* Whether it has all that was bought. */
bool order_whole(const json_t *order, const json_t *body);

/* The member as text, also where a number is sent; NULL where it is missing, empty or overlong. Gives. */
json_t *text_member(const json_t *body, const char *key);
bool has_text(const json_t *body, const char *key);
/* Copies a member that has text. */
void copy_text(const json_t *body, const char *key, json_t *into);

#endif
