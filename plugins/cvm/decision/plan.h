/* A plan from a CSV of customer, treatment, value and cost and a JSON of limits, as the solver takes it. Owns what it
 * makes. Pure; any thread.
 *
 * {"treatments": {"retention_call": {"maximum": 400, "minimum": 50, "cost": 4.5}}, "per_customer": 1,
 *  "budgets": {"calls and letters": {"maximum": 5000, "treatments": ["retention_call"]}}, "exclusive": [["a", "b"]]} */
#ifndef CVM_DECISION_PLAN_H
#define CVM_DECISION_PLAN_H

#include "solve.h"

#include <jansson.h>

#define PLAN_MAX_ROWS 20000000
#define PLAN_ID_MAX_BYTES 128

struct plan_names { /* each name once, by number */
    char *pool;
    size_t used, room;
    uint32_t *at; /* of each name, in the pool */
    size_t n, at_room;
    uint32_t *slot; /* hash -> number + 1 */
    size_t slots;
};

struct plan_row {
    uint32_t customer;
    uint32_t treatment;
    float value;
    float cost;
};

struct plan {
    struct plan_names customers, treatments;
    struct plan_row *row;
    size_t rows, row_room;
    float *value, *use, *weights; /* of the problem */
    int *group;
    solve_limit *limit;
    solve_problem problem;
};

/* CVM_OK, CVM_ENOMEM or CVM_ELIMIT. The number of a name, which is added where it is new. */
int plan_name(struct plan_names *names, const char *text, size_t len, uint32_t *ret_number);
const char *plan_text(const struct plan_names *names, size_t number);
int plan_add(struct plan *p, const char *customer, size_t customer_len, const char *treatment, size_t treatment_len,
             double value, double cost);
/* Makes `problem` of the rows and the limits. CVM_EINVAL: ret_why says what is wrong. */
int plan_build(struct plan *p, const json_t *limits, char *ret_why, size_t size);
void plan_fini(struct plan *p);

#endif
