/* Workflows as manifests write them: a list of steps, each an operation that is sent, an event that is waited for, or
 * an end. Here their sense is checked and what plugins add to one another's is put together; who runs them is a plugin.
 * Knows JSON only. Loop thread. */
#ifndef SDK_HARNESS_WORKFLOWS_H
#define SDK_HARNESS_WORKFLOWS_H

#include <jansson.h>
#include <stddef.h>

#define WORKFLOW_STEPS_MAX 64 /* of one, with what others add */

/* Where a list of steps is wrong. */
struct workflow_fault {
    char field[120]; /* "steps[2].next" */
    char text[400];
};

/* Whether each step is of one kind and has the members of it. 0, CVM_EINVAL. */
int workflows_check_step(const json_t *step, struct workflow_fault *ret_fault);
/* Whether the steps make a whole: no id twice, every name leads to a step, every step is reached, no way goes round
 * without a wait or a counter. 0, CVM_EINVAL, CVM_ENOMEM. */
int workflows_check(const json_t *steps, struct workflow_fault *ret_fault);
/* Gives the steps with every "next" written out. */
json_t *workflows_normal(const json_t *steps);
/* Puts `add` ({"after", "step"}) into normal steps; a second one after the same step comes behind the first. `added`
 * (object: id -> after) remembers. 0, CVM_EINVAL with *ret_fault, CVM_ENOMEM. */
int workflows_add(json_t *steps, json_t *added, const json_t *add, struct workflow_fault *ret_fault);

#endif
