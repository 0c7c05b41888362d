/* Load over HTTP from one thread: connections that are kept, and fresh ones for each request. Every request has a key
 * of its own and must be answered once: nothing is sent again. */
#ifndef TESTS_FLOW_UPGRADE_LOAD_H
#define TESTS_FLOW_UPGRADE_LOAD_H

#include "flow.h"

struct upgrade_load {
    int64_t answered; /* 200 */
    int64_t refused;  /* connections that were */
    int64_t failed;   /* requests without an answer, or with another status */
    int64_t longest_us;
    char what[256]; /* the first that failed */
};

/* POST /test/count over `kept` and `fresh` connections until `done` says so and all are answered. */
void upgrade_load_run(struct flow *f, int kept, int fresh, bool (*done)(void *arg), void *arg,
                      struct upgrade_load *ret_load);

#endif
