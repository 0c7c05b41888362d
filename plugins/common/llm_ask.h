/* How an agent asks a language model, and what it may believe of the answer. An agent asks when its setting
 * `llm_provider` says so, and at most twice in a conversation: a customer waits for each. Built into each plugin that
 * asks. Owns the member `llm_asked` of the context. Loop thread. */
#ifndef SERVICE_COMMON_LLM_ASK_H
#define SERVICE_COMMON_LLM_ASK_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define LLM_ASKED_MAX 2 /* questions of one conversation */

struct llm_ask {
    const char *purpose;     /* for the record: "classification" */
    const char *system;      /* what is to be done; always the same text, which servers keep */
    const char *user;        /* what it is to be done with */
    json_t *schema;          /* taken; NULL: prose is wanted */
    const char *schema_name; /* with a schema */
    const char *name;        /* of the customer, who stays here; "" */
    int64_t max_tokens;      /* 0: as usual */
    cvm_id on_behalf;
    const json_t *settings; /* in place of the agent's, with the same members; NULL: those */
    bool uncounted;         /* no customer waits: it is none of the conversation's questions */
};

/* Whether a model is to be asked now: the settings name a provider, one is loaded, and the conversation has not had its
 * questions. */
bool llm_wanted(cvm_turn *t);
/* Whether one is loaded. */
bool llm_loaded(cvm_turn *t);
/* Asks; the answer comes as "chat.reply" with the cookie. The agent's settings `llm_provider`, `llm_model`,
 * `llm_temperature` (or `model`, `temperature`) and `llm_timeout_ms` (60000) hold. */
CVM_MUST_USE int llm_ask(cvm_turn *t, const struct llm_ask *ask);

/* Of a "chat.reply": the data or the text of a model's answer; NULL: nobody has answered. Borrowed. */
const json_t *llm_data(const cvm_msg *m);
const char *llm_text(const cvm_msg *m);

/* Whether `text` says each figure of `facts` as it stands there (sums, numbers, references, tokens, dates) and none
 * besides. Pure; any thread. */
bool llm_facts_kept(const char *facts, const char *text);

/* A prose answer from passages: [{"document_id", "text", ..}]. The reply's text is good where llm_cited holds. */
CVM_MUST_USE int llm_ask_passages(cvm_turn *t, const char *question, const json_t *passages, const char *name,
                                  cvm_id on_behalf);
/* Whether a text cites passages, only such as were given ("[kb-air-001]"), and has no figure that they lack. Pure. */
bool llm_cited(const char *text, const json_t *passages);

#endif
