/* The variants of an experiment side by side: what each group did, how they differ, whether the difference can be
 * believed. Pure; any thread. */
#ifndef CVM_INSIGHT_COMPARE_H
#define CVM_INSIGHT_COMPARE_H

#include "stats.h"

#include <jansson.h>

#define COMPARE_MAX 8 /* variants; the first is what the others are compared with */

struct compare_variant {
    const char *name;
    double weight;
    int64_t customers;         /* assigned */
    struct stats_sample value; /* of those for whom the metric is known; 0 or 1 each for a rate */
    int64_t events;            /* of a rate: how many are 1 */
};

/* {"variants", "comparisons", "sample_ratio", "caution"}. `least` is the smallest difference that matters and what the
 * sequential bound looks for; 0: a tenth of the deviation. Gives; NULL: no memory. */
json_t *compare_json(const struct compare_variant *variants, size_t n, bool rate, double least);

#endif
