/* A customer's answer to what the desk asked: "AIRTEL" after "Which network?" is read with the order it completes.
 * Pure. Any thread. */
#ifndef SERVICE_REPLY_H
#define SERVICE_REPLY_H

#include "understanding.h"

#define REPLY_BYTES_MAX 1000 /* of the order and its answers together */

/* May this question be answered by a few words? `rule` is the reason of the answer that asked. */
bool reply_expected(const char *rule);
/* Is `message` nothing but values, such as a network, a sum, a number or a "yes" to `rule`, and no order of its own? */
bool reply_fits(const struct vocabulary *vocabulary, const char *rule, const char *message);
/* The order with its answer. False: too long together. */
bool reply_join(const char *order, const char *message, char *ret_text, size_t size);

#endif
