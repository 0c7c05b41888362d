/* The agent's turns, shared by find.c, others.c and model.c. Loop thread. */
#ifndef TRIGGERS_FIND_H
#define TRIGGERS_FIND_H

#include "triggers.h"

#define ORCHESTRATOR "cvm.orchestrator"
#define APPLY_TIMEOUT_MS 3600000

struct builtin {
    const char *name, *description, *rule;
};
bool asked_by_people(const cvm_msg *m);             /* a customer that is not there is a mistake then, to be told */
extern const struct builtin builtins[TRIGGERS + 1]; /* "custom" is the last */

/* What a request needs when its job answers, in the component's state. `what` is taken. */
CVM_MUST_USE int ask_keep(cvm_turn *t, cvm_id request, json_t *what);
CVM_MUST_USE int ask_take(cvm_turn *t, cvm_id request, json_t **ret_what);

CVM_MUST_USE int settle_found(cvm_turn *t, cvm_id request, json_t *data); /* takes `data` */
CVM_MUST_USE int settle_failed(cvm_turn *t, const cvm_msg *m);

/* ---- model.c: a language model confirms what rules found ---- */

bool model_wanted(cvm_turn *t, const json_t *kept, const json_t *result);
CVM_MUST_USE int model_confirm(cvm_turn *t, cvm_id request, const json_t *kept, const json_t *result);

/* ---- others.c: triggers of other plugins ---- */

CVM_MUST_USE int others_begin(cvm_turn *t, const cvm_msg *m, const char *component, const json_t *ids);

#endif
