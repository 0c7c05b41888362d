/* A language model's wording of an answer, from the text that the agents wrote. */
#ifndef SERVICE_RESPONSE_LLM_H
#define SERVICE_RESPONSE_LLM_H

#include "model_step.h"

CVM_MUST_USE int response_llm_ask(cvm_turn *t, const cvm_msg *m, const char *body, const char *tone,
                                  const char *channel);
/* Whether the wording may stand for `body`: each figure as it was and no other, within the channel's room, and nothing
 * that the review by rules minds. */
bool response_llm_keeps(cvm_turn *t, const cvm_msg *m, const char *body, const char *prose, const char *channel);

#endif
