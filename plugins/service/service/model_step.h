/* See model_step.c. */
#ifndef SERVICE_MODEL_STEP_H
#define SERVICE_MODEL_STEP_H

#include "../../common/llm_ask.h"
#include "../../common/pending.h"
#include "service.h"

/* Whether this step may ask a model: the agent's settings want it, the step is a durable one, and it can be kept. */
bool model_may(cvm_turn *t, const cvm_msg *m);
/* Asks, and keeps the message with what was found so far (taken). The handler returns what this returns. */
CVM_MUST_USE int model_ask(cvm_turn *t, const cvm_msg *m, json_t *found, struct llm_ask *ask);

/* Goes on with `m`, the message of then; `found` is borrowed; `answer` is the model's reply: llm_data, llm_text. */
typedef int (*model_step)(cvm_turn *t, const cvm_msg *m, const json_t *found, const cvm_msg *answer);
/* The handler of "chat.reply". An answer that nobody waits for is dropped. */
CVM_MUST_USE int model_resume(cvm_turn *t, const cvm_msg *m, model_step step);

#endif
