/* What the files of payment_sim share: the two providers it plays, and an entry of their books as they show it. */
#ifndef PAYMENT_SIM_H
#define PAYMENT_SIM_H

#include "simulator.h"

#include <string.h>

enum provider { PAYSTACK, FLUTTERWAVE, PROVIDERS };

#define REFUND_PREFIX "refund-" /* of the reference under which a refund is booked */

/* ---- shapes.c: pure but for the books ---- */

enum shown { SHOW_SUCCEEDED, SHOW_FAILED, SHOW_PENDING, SHOW_UNPAID, SHOW_REVERSED };

enum shown shown_of(const struct vending *v, const struct entry *e, int64_t now_ms);
/* What a charge, a query or a webhook says of a payment. Gives. */
json_t *payment_data(const struct vending *v, const struct entry *e, int64_t now_ms);
json_t *refund_data(const struct vending *v, const struct entry *refund, int64_t now_ms);
/* {"status", "message", "data"} as the provider has it; takes `data`, which may be NULL. */
void say_good(struct answer *a, int provider, const char *message, json_t *data);
void say_error(struct answer *a, int provider, int status, const char *type, const char *code, const char *message);
/* What of a payment was not given back. */
int64_t kept_kobo(const struct vending *v, const struct entry *e);

/* ---- notices.c ---- */

/* Tells of a payment or refund that is decided now or at its time, signed, and now and then badly. */
void notice(struct vending *v, const struct entry *e, int64_t now_ms);

#endif
