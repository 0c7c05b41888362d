/* A log of choices and rewards, read from CSV. Job thread. */
#ifndef LIFECYCLE_LEARN_LOG_H
#define LIFECYCLE_LEARN_LOG_H

#include "learn.h"
#include "offpolicy.h"

#define LOG_ROWS_MAX 1000000
#define LOG_CELLS_MAX (16 * 1000 * 1000) /* rows times features */

struct log {
    struct off_log off; /* what evaluation takes */
    char names[OUTCOME_ACTIONS_MAX][OFF_NAME_MAX];
    int *action;
    double *reward, *propensity, *x;
    int64_t *row;      /* the row of the file, from 0, that each came from */
    int64_t rows;      /* of the file, faulty ones too */
    bool propensities; /* a column of them was named */
    struct learn_faults faults;
    int64_t unlikely;      /* rows without a valid propensity, of the faulty ones */
    int64_t unlikely_line; /* the first of them */
};

/* Reads it; faulty rows are left out and named. Any error was told to the job. Free it with log_fini in any case. */
CVM_MUST_USE int log_read(cvm_job *j, const char *path, const char *columns, struct log *ret_log);
void log_fini(struct log *l);

/* The index of an action, which is added if need be; -1: too many, or the name is none. */
int log_action(struct log *l, const char *name, size_t len);

#endif
