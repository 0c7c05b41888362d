/* A language model's view of a draft, beside the rubric by rules. */
#ifndef SERVICE_QA_LLM_H
#define SERVICE_QA_LLM_H

#include "model_step.h"

/* Asks about the draft of `m`; `review`, that of the rules, is taken and kept. */
CVM_MUST_USE int qa_llm_ask(cvm_turn *t, const cvm_msg *m, json_t *review);
/* The review after the model's answer: of each score the lower one counts, so that a model approves nothing that the
 * rules do not. Without an answer that of the rules. New value. */
json_t *qa_llm_merge(const json_t *review, const json_t *data, const json_t *settings);

#endif
