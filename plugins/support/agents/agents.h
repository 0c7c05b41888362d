/* The plugin "support_agents": the agents of the support desk. What its files share. Loop thread.
 *
 * An agent works on a ticket in an activity: an operation that the workflow calls with {"ticket", "outputs", "notes",
 * "attempt"} and whose reply it keeps. Each asks others for what it needs, all at once (many.c), and answers when the
 * last has answered. Kept as state of the agent meanwhile
 *     run/<request>       {"what": .., "parts": [{"hi", "lo", "name", "started_ms"}]}
 *     run/<request>/<n>   the answer to a part: {"ended_ms", "outcome", "data"}
 *     run/<request>/left  the parts that have none yet, a bit each
 *     no_model            until when no model is asked, since none was set up */
#ifndef AGENTS_H
#define AGENTS_H

#include "../../common/text.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

#define TRIAGE "support.triage"
#define EXPERT "support.expert"
#define NOTIFICATION "support.notification"
#define DATA "support.data"
#define WORKFLOW "support.workflow"

#define STORE_TIMEOUT_MS 5000
#define KB_TIMEOUT_MS 10000

/* ---- many.c: several requests at once ---- */

struct part {
    const char *to, *type;
    const char *name; /* of the part, for who reads the answers */
    json_t *data;     /* taken */
    int64_t timeout_ms;
};

/* Sends `n` requests on behalf of `request`, and keeps `what` (taken) until all are answered. A recipient that is
 * not there is a part that has failed at once. Returns the number of those that are under way, or an error; where none
 * is, nothing is kept. */
CVM_MUST_USE int many_send(cvm_turn *t, cvm_id request, json_t *what, struct part *parts, size_t n);
/* What is kept of an answer that came: something small. `before`: what is kept of those parts that stand before this
 * one and have been answered, so that nothing is kept twice. Gives. */
typedef json_t *many_keep(cvm_turn *t, const cvm_msg *m, const json_t *before);
/* Takes the answer `m` in. *ret_run is the run with all its parts, each with its answer, once the last has come
 * (released by the caller; the state is gone), else NULL. `keep` NULL: all of an answer is kept. */
CVM_MUST_USE int many_answer(cvm_turn *t, const cvm_msg *m, many_keep *keep, json_t **ret_run);
const json_t *many_part(const json_t *run, const char *name);
bool many_replied(const json_t *part);

/* ---- shared.c ---- */

#define TIME_SIZE TEXT_TIME_SIZE
const char *ticket_text(const cvm_msg *m, const char *name); /* member of the request's ticket; "" */
bool component_there(cvm_turn *t, const char *id);
/* Ends a request; that it is over already is no error. Takes `data`. */
CVM_MUST_USE int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data);
/* The same with {"code", "field", "message"}. */
CVM_MUST_USE int settle_failed(cvm_turn *t, cvm_id request, int outcome, const char *code, const char *field,
                               const char *message);
/* What an agent or a tool of it did, for the audit. Takes `input` and `output`; gives. */
json_t *audit_entry(const char *what, json_t *input, json_t *output, int64_t duration_ms);
/* {"a":"..","b":".."}, as the text that the audit shows of it where nothing in it needs an escape. `a` and `b` need
 * none, and all four are texts of JSON. Gives. */
json_t *audit_pair(const char *a, const char *is, const char *b, const char *other);
/* Tells the ticket's audit trail all of that before the activity ends; nobody is told where no workflow is loaded.
 * Takes `entries`. */
CVM_MUST_USE int audit(cvm_turn *t, const char *ticket_id, const char *actor, json_t *entries);
/* Ends an activity; what it did goes with its answer, by itself where nobody waits for that any more. Takes `data` and
 * `entries`, NULL: none. */
CVM_MUST_USE int settle_activity(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *ticket_id,
                                 const char *actor, json_t *entries);
/* {"code", "field", "message"} for it. Gives. */
json_t *failure_data(const char *code, const char *field, const char *message);
/* Tells message-pubsub what an agent has to say of a ticket. `content` has no personal data. */
CVM_MUST_USE int say(cvm_turn *t, const char *agent, const char *ticket_id, const char *content);
/* Keeps what the agent is to remember of a ticket in memory-state. Takes `memory`, an object. */
CVM_MUST_USE int remember(cvm_turn *t, const char *agent, const char *ticket_id, json_t *memory);
int remembered(cvm_turn *t, const cvm_msg *m); /* "put.reply", of what was sent before this build */
/* What a ticket says where nobody is asked, NULL: a model is asked. One that lately was not set up is not asked again
 * at each ticket. */
CVM_MUST_USE int model_wanted(cvm_turn *t, bool *ret_wanted, const char **ret_why);
/* Takes note of it where a "chat.reply" says that no model is set up. */
CVM_MUST_USE int model_answered(cvm_turn *t, const cvm_msg *m);
/* Of a "chat.reply" that is of no use: what to do about it, for people. Logs it where something is wrong; that no model
 * is set up is no trouble. `faulty`: it answered, and what is wrong with that; NULL. */
const char *model_trouble(cvm_turn *t, const cvm_msg *m, const char *ticket_id, const char *faulty);
/* The sentence for a store that does not answer. */
void store_trouble(const char *store, char *ret_text, size_t size);

/* ---- the agents ---- */

int triage_run(cvm_turn *t, const cvm_msg *m);
int triage_lookup_customer(cvm_turn *t, const cvm_msg *m);
int triage_lookup_system(cvm_turn *t, const cvm_msg *m);
int triage_found(cvm_turn *t, const cvm_msg *m);      /* "get.reply" */
int triage_found_both(cvm_turn *t, const cvm_msg *m); /* "get_several.reply" */
void triage_forget(void);                             /* what is kept beside the turns: the plugin goes */

int expert_analyse(cvm_turn *t, const cvm_msg *m);
int expert_ask(cvm_turn *t, const cvm_msg *m);    /* query_knowledge_base */
int expert_found(cvm_turn *t, const cvm_msg *m);  /* "query.reply" */
int expert_worded(cvm_turn *t, const cvm_msg *m); /* "chat.reply" */

int notification_create(cvm_turn *t, const cvm_msg *m);
int notification_ask(cvm_turn *t, const cvm_msg *m);
int notification_worded(cvm_turn *t, const cvm_msg *m);    /* "chat.reply" */
int notification_delivered(cvm_turn *t, const cvm_msg *m); /* "deliver.reply" */

int data_load(cvm_turn *t, const cvm_msg *m); /* load_samples */
int data_put(cvm_turn *t, const cvm_msg *m);  /* "put.reply" */
int data_health(cvm_turn *t, const cvm_msg *m);
int data_looked(cvm_turn *t, const cvm_msg *m); /* "list.reply" */

/* What is kept of an operation's call of a tool by itself: no ticket, the answer is the tool's. */
#define TOOL_ALONE "tool"

#endif
