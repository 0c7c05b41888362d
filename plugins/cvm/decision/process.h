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

/* The work that waits under a request, as a copy. CVM_ENOENT: none does. */
CVM_MUST_USE int process_work(cvm_turn *t, cvm_id request, json_t **ret_work);
/* Asks for a unit, in `conversation`. Takes `work`. */
CVM_MUST_USE int process_allocate(cvm_turn *t, cvm_id request, json_t *work, const char *conversation);

/* gate.c: whether a customer of a batch may ask for a unit now; if not, it is called when it may. One without a batch
 * always may. */
CVM_MUST_USE int gate_enter(cvm_turn *t, cvm_id request, const json_t *work, bool *ret_open);
/* The customer has a unit, or is done; the next one may ask. */
CVM_MUST_USE int gate_pass(cvm_turn *t, const char *batch, int64_t rank);
CVM_MUST_USE int gate_forget(cvm_turn *t, const char *batch);

CVM_MUST_USE int process_take_unit(cvm_turn *t, cvm_id request, json_t *work); /* process.c */
/* apply.c: a unit is had. Of a batch that names a campaign some are left without, if there is who says which. */
CVM_MUST_USE int process_unit(cvm_turn *t, cvm_id request, json_t *work);
/* No unit, or it could not be applied: the next best, a few times; where the treatment was named, that is the end. */
CVM_MUST_USE int process_another(cvm_turn *t, cvm_id request, json_t *work, const char *message);
/* `applied`: what became of it ("sent", "simulated", "control"), NULL: nothing was applied. */
CVM_MUST_USE int process_finish(cvm_turn *t, cvm_id request, json_t *work, const char *applied);

#endif
