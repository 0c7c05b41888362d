/* What the flow tests of the product share: a home with all of its plugins, simulated networks and
 * distribution companies, a customer's message, and the books that must agree. */
#ifndef TESTS_FLOW_FLOW_DESK_H
#define TESTS_FLOW_FLOW_DESK_H

#include "flow.h"

const char *text_of(const json_t *object, const char *key); /* "" where there is none */
int64_t int_of(const json_t *object, const char *key);
double number_of(const json_t *object, const char *key);
bool listed(const json_t *list, const char *text);

extern const char *const desk_discos[]; /* codes, ends with NULL */

/* The product with networks and distribution companies played by simulators, which log to HOME/network_sim.txt and
 * disco_sim.txt, its sample customers and settings. Doubt ends soon: an answer within 1.5 s, a refund after 4 s.
 * desk_home does not start it yet. */
struct flow *desk_home(void);
struct flow *desk_started(void);

/* The answer to a message (json_decref); `phone` NULL for a sample customer. */
json_t *desk_say(struct flow *f, const char *phone, const char *channel, const char *message);

/* The outside books' entries (json_decref), and the one of a transaction that was delivered; NULL: none. */
json_t *desk_ledger(struct flow *f);
const json_t *desk_vended(const json_t *entries, const char *transaction);
/* Every success stands once in transactions, wallet and the outside books with equal sums, and nothing else was
 * vended. Returns how many. */
size_t desk_check_books(struct flow *f);

#endif
