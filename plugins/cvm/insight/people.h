/* The customers as segmentation sees them: read once, kept while the job runs. The job's thread. */
#ifndef CVM_INSIGHT_PEOPLE_H
#define CVM_INSIGHT_PEOPLE_H

#include "index.h"
#include "insight.h"

#define PEOPLE_CURRENCIES 16 /* further ones count as one */
#define PEOPLE_METRICS 6

struct person {
    int64_t spend; /* minor units; INT64_MIN: unknown */
    double usage_change, churn;
    float data, tenure, contacts; /* NAN: unknown */
    uint8_t currency, segment;
};

struct people {
    struct index_map ids;
    struct person *at;
    size_t n, room;
    struct {
        char code[4];
        int64_t *spend; /* known ones, in order */
        size_t n;
    } currencies[PEOPLE_CURRENCIES];
    size_t n_currencies;
};

/* Begins with a struct of zeros; people_fini also after an error. */
CVM_MUST_USE int people_read(cvm_job *j, struct people *ret_people);
void people_fini(struct people *p);

/* n x PEOPLE_METRICS figures for k-means, NAN where unknown: spend against the median of its currency, change of
 * usage, churn score, data, months with us, contacts. Gives (free); NULL: no memory. */
float *people_metrics(const struct people *p);
/* What a metric is called when it is above the mean and below it: "high spend", "low spend". */
const char *people_metric_word(size_t metric, bool above);

#endif
