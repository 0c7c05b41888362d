/* From the rows of all sources of one customer to the row of figures that everybody decides by: facts.h says what each
 * of them means. Takes a source's rows in the order of their keys. Owns the texts that the figures point to. Pure; any
 * thread. */
#ifndef CVM_CUSTOMERS_MERGE_H
#define CVM_CUSTOMERS_MERGE_H

#include "../common/value.h"
#include "json_text.h"
#include "source.h"

#define MERGE_MONTHS_MAX 24

struct merge_month {
    int64_t begins_ms;
    double voice, data, spend, roaming;
    int64_t paid; /* 0, 1, FACTS_NONE */
};

struct merge_mean {
    double sum;
    int64_t n;
};

struct merge {
    int64_t as_of_ms;                            /* where stretches of time end */
    char currency_other[4];                      /* where billing says none */
    struct cvm_facts facts;                      /* so far */
    struct merge_month months[MERGE_MONTHS_MAX]; /* the newest, in order */
    size_t n_months;
    int64_t months_seen;
    struct merge_mean dropped, signal, download;
    char newest_churn[VALUE_DATE_SIZE], newest_upsell[VALUE_DATE_SIZE];
    struct json_text attributes;
    char texts[8][128]; /* customer_id, name, segment, .. */
    size_t n_texts;
};

/* A new customer. `id` is copied. */
void merge_begin(struct merge *m, const char *customer_id);
/* A row of that customer: cells in the order of source_columns. Copies. */
void merge_add(struct merge *m, enum source_no source, const cvm_cell *cells);
/* The figures, valid until the next merge_begin. */
const struct cvm_facts *merge_end(struct merge *m);

/* The last moment that a row of this source speaks of, INT64_MIN: of none. `date` is its month, day or time. */
int64_t merge_moment(enum source_no source, const char *date);
/* The field of a source that says when; -1: none. */
int merge_when(enum source_no source);

#endif
