/* What a treatment did: counts of those who got it and of those who were left without on purpose, and what can be said
 * of them. Pure; any thread. */
#ifndef CVM_INSIGHT_EFFECT_H
#define CVM_INSIGHT_EFFECT_H

#include "stats.h"

#include <jansson.h>

#define EFFECT_WHY_SIZE 256

struct effect {
    int64_t applications, simulated, failed;                    /* applied, of these without a channel, not applied */
    int64_t applied, responded, converted, complained, churned; /* customers */
    int64_t control, control_responded, control_converted, control_churned;
    int64_t unmatched; /* outcomes of customers who neither got it nor are in the control group, or before they did */
    int64_t crossed;   /* of the control group but treated all the same: counted as treated */
    double cost;       /* pounds */
    struct stats_sample value, control_value; /* pounds a customer */
};

/* What is said of a difference. */
struct effect_verdict {
    const char *word; /* raises, lowers, no difference, not enough data */
    char why[EFFECT_WHY_SIZE];
    int64_t more; /* customers that it would take beyond those there are; -1: does not apply */
};

/* Of a test of rates. `rate` is what the compared group has, `share` the part of customers that is in it, `present` how
 * many there are, `least` the smallest difference that matters (0.02: two in a hundred). */
void effect_judge(const struct stats_test *test, double rate, double share, int64_t present, double least,
                  struct effect_verdict *ret_verdict);

/* {"treatment_id", "applied", ..}; `share` is the control group's part where there is none yet. Gives; NULL: no memory.
 */
json_t *effect_json(const char *treatment_id, const struct effect *e, double share, double least);

#endif
