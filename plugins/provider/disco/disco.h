/* What the files of the plugin `disco` share. Loop thread. */
#ifndef DISCO_H
#define DISCO_H

#include "../common/meter_cache.h"
#include "../common/vendor.h"

/* ---- answer.c: pure ---- */

/* Whether a vend has all that was bought: the twenty digits, unless the meter is POSTPAID. */
bool vend_whole(const json_t *order, const json_t *body);
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

#endif
