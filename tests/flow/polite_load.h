/* Steady customers of well-behaved components: each has a connection and a thread of its own and asks at its times,
 * whether the answer before was slow or not; how long each answer took is counted from when it should have been asked.
 * Knows nothing of what goes on beside it. */
#ifndef TESTS_FLOW_POLITE_LOAD_H
#define TESTS_FLOW_POLITE_LOAD_H

#include "flow.h"

#define POLITE_CUSTOMERS 4
#define POLITE_PERIOD_US 5000

struct polite;

/* What customer `i` asks. Strings are borrowed. */
struct polite_ask {
    const char *to, *type, *conversation; /* conversation NULL: none */
};

struct polite *polite_start(struct flow *f, const struct polite_ask asks[POLITE_CUSTOMERS]);
/* Ends it; gives the answers of customer `i` that were what they should be, and those that were not. */
void polite_end(struct polite *p, int64_t ret_good[POLITE_CUSTOMERS], int64_t ret_bad[POLITE_CUSTOMERS]);

/* The quantile `q` (0 to 1) of the customers from `first` to `last`, of what was asked from `from_ms` to `to_ms`
 * (flow_now_ms), in us; what has not been answered yet counts with its age. -1: nothing was asked. */
int64_t polite_quantile(struct polite *p, int first, int last, int64_t from_ms, int64_t to_ms, double q);

#endif
