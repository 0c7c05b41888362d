/* How well a score finds those whom a treatment moves: the Qini curve of treated and held-out customers, the best
 * scored first. Pure; any thread. */
#ifndef CVM_INSIGHT_QINI_H
#define CVM_INSIGHT_QINI_H

#include "stats.h"

#define QINI_POINTS 11 /* at 0, 10, .. 100 per cent of the customers */

struct qini_customer {
    double score, outcome;
    bool treated; /* false: held out */
};

/* `gain` is in outcomes more than without treatment, per treated customer of the whole experiment, when the customers
 * up to there are treated; the line that a random order would give ends where the curve ends. */
struct qini {
    double gain[QINI_POINTS];
    double coefficient;             /* area between curve and line; 0: no better than chance */
    struct stats_interval interval; /* of it, by resampling */
};

/* Sorts `customers`. Needs at least one of each group: false otherwise, or without memory. */
bool qini_make(struct qini_customer *customers, size_t n, double level, struct qini *ret_qini);

#endif
