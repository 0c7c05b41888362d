/* What a language model is asked of a message, and what of its answer is believed. */
#ifndef SERVICE_CLASSIFIER_LLM_H
#define SERVICE_CLASSIFIER_LLM_H

#include "model_step.h"

/* Whether the local reading is so unsure that a model is asked: below the setting `llm_below`. */
bool classifier_llm_may(cvm_turn *t, const cvm_msg *m, const json_t *local);
/* Asks about `text`; `local` is taken and kept. Returns what the handler returns. */
CVM_MUST_USE int classifier_llm_ask(cvm_turn *t, const cvm_msg *m, const char *text, json_t *local);
/* The classification after the model's answer: its own laid over the local one where it has the required members with
 * values that there are; else the local one with confidence 0.5 and fallback_used. New value. */
json_t *classifier_llm_merge(const struct vocabulary *v, const char *text, const json_t *local, const json_t *data);

#endif
