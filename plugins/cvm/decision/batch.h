/* Beginning a batch, for those who bring the customers. Loop thread. */
#ifndef CVM_DECISION_BATCH_H
#define CVM_DECISION_BATCH_H

#include "decision.h"

#define BATCH_MAX 10000

enum batch_as { BATCH_REPLY, BATCH_COMMAND, BATCH_KEPT, BATCH_TRIGGERED };

/* Begins one under the request `id`, in the turn's conversation (BATCH_KEPT: in one of its own). `customers` is an
 * array of ids (taken); `treatment` NULL: recommended. Settles at the end as `as` says. */
CVM_MUST_USE int batch_begin(cvm_turn *t, cvm_id id, enum batch_as as, json_t *customers, const char *treatment);

#endif
