/* Reasons and evidence of a verdict; for judge.c and custom.c. Pure; any thread. */
#ifndef TRIGGERS_EXPLAIN_H
#define TRIGGERS_EXPLAIN_H

#include "judge.h"

/* `x`: the reading, NULL where there were no conversations; `plain`: the figures alone say so. */
void explain(const struct thresholds *th, const struct case_file *c, const struct reading *x, enum trigger i,
             bool plain, struct verdict *v);
void explain_passage(struct verdict *v, const struct conversation *c, size_t from, size_t to);

#endif
