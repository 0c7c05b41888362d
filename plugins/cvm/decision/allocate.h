/* The global allocation as operations: `cvm.allocation_solver`. Its jobs run beside the loop, its handlers on it. */
#ifndef CVM_DECISION_ALLOCATE_H
#define CVM_DECISION_ALLOCATE_H

#include <cvm/json.h>

#define ALLOCATION_SOLVER "cvm.allocation_solver"

/* Jobs. */
int allocate_file(cvm_job *j, const json_t *input, json_t **ret_result);
int allocate_plan(cvm_job *j, const json_t *input, json_t **ret_result);

/* Handlers. */
int allocate_on_solve(cvm_turn *t, const cvm_msg *m);
int allocate_on_plan(cvm_turn *t, const cvm_msg *m);
int allocate_on_reply(cvm_turn *t, const cvm_msg *m);

#endif
