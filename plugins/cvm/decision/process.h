/* The steps of processing a customer that are shared between process.c (until a unit is had) and apply.c (from then
 * on). `work` is taken by each. Loop thread. */
#ifndef CVM_DECISION_PROCESS_H
#define CVM_DECISION_PROCESS_H

#include "decision.h"

#define PERMISSIONS "cvm.source.permissions"

CVM_MUST_USE int process_keep(cvm_turn *t, cvm_id request, json_t *work);
/* Gives a copy that may be changed. CVM_ENOENT: nothing waits. */
CVM_MUST_USE int process_take(cvm_turn *t, const cvm_msg *m, json_t **ret_work);
/* Asks and keeps. Takes `data` too. */
CVM_MUST_USE int process_ask(cvm_turn *t, cvm_id request, json_t *work, const char *to, const char *type, json_t *data);
CVM_MUST_USE int process_fail(cvm_turn *t, cvm_id request, json_t *work, const char *code, const char *message);
const char *process_trouble(const cvm_msg *m, const char *otherwise);

CVM_MUST_USE int process_take_unit(cvm_turn *t, cvm_id request, json_t *work); /* process.c */
CVM_MUST_USE int process_apply(cvm_turn *t, cvm_id request, json_t *work);     /* apply.c */
/* No unit, or it could not be applied: the next best, a few times; where the treatment was named, that is the end. */
CVM_MUST_USE int process_another(cvm_turn *t, cvm_id request, json_t *work, const char *message);
/* `applied`: what became of it ("sent", "simulated"), NULL: nothing was applied. */
CVM_MUST_USE int process_finish(cvm_turn *t, cvm_id request, json_t *work, const char *applied);

#endif
