/* The base, a customer at a time: the row of cvm_customers with the conversations and the churn model's chance, joined
 * by key. A job's thread. */
#ifndef TRIGGERS_BASE_H
#define TRIGGERS_BASE_H

#include "triggers.h"

struct base {
    cvm_job *job;
    cvm_cursor *customers, *transcripts, *chances;
    const cvm_cell *transcript, *chance; /* the row it stands at; NULL: the end */
    struct cvm_facts facts;
    struct conversations conversations;
    struct case_file file;
    char factors[EXCERPT_BYTES_MAX];
    int64_t seen;
};

/* All customers, or one. `texts`: with conversations. */
int base_open(struct base *b, cvm_job *j, const char *customer_id, bool texts);
/* 1: `b->file` is the next customer, valid until the next call; 0: the end; or an error. */
int base_next(struct base *b);
void base_close(struct base *b);

/* Customers that were named and are not in the base; the first of them by their ids. */
#define UNKNOWN_NAMED_MAX 20
struct unknown {
    json_t *ids; /* NULL: none */
    int64_t n;
};
CVM_MUST_USE int unknown_add(struct unknown *u, const char *id);
/* Where the input is "strict" the job fails for them, else they are in the result, as "unknown_customers". */
CVM_MUST_USE int unknown_judge(cvm_job *j, const json_t *input, const struct unknown *u);
void unknown_tell(const struct unknown *u, json_t *result);
void unknown_fini(struct unknown *u);

/* From which monthly spend a customer of this currency is of high value: a natural break above the 70th of a hundred,
 * else the 80th of a hundred; the setting min_spend (major units, by currency) wins. */
#define BASE_CURRENCIES_MAX 16
struct spend {
    size_t n;
    int64_t customers;
    struct {
        char currency[8];
        double from;
    } by[BASE_CURRENCIES_MAX];
};
int spend_read(cvm_job *j, const json_t *settings, struct spend *ret_spend);
double spend_from(const struct spend *s, const char *currency); /* NAN: not known */
/* The same of sorted values. Pure. */
double spend_break(const double *sorted, size_t n, double share_top);

#endif
