/* What the components of the plugin `llm` share. A request `chat` comes to the front (`provider.llm`), which chooses a
 * provider, asks it to `complete`, and goes to the next where that fails; the last is `provider.llm.rules`. Loop
 * thread.
 *
 * State of the front:
 *   job/<request>                         an open chat, see front.c
 *   health/<provider>                     {"failures", "until_ms", "probe_ms", "reason"}; none: it works
 *   spent/<day>/all, /agent/.., /enquiry/..  micro-dollars
 * State of a provider:
 *   call/<request>                        what was masked in an open completion */
#ifndef PROVIDER_LLM_LLM_H
#define PROVIDER_LLM_LLM_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define LLM_FRONT "provider.llm"
#define LLM_RULES "provider.llm.rules"
#define LLM_ROLE "llm"
#define LLM_STATE_MAX_BYTES 60000 /* of a job, as text */

/* How a completion failed; "" where it did not. These words stand in the table `llm_calls` and on /metrics. */
#define FAIL_TIMEOUT "timeout"
#define FAIL_CONNECTION "connection"
#define FAIL_RATE "rate_limited"
#define FAIL_QUOTA "quota"
#define FAIL_SERVER "server_error"
#define FAIL_KEY "unauthorized"
#define FAIL_REQUEST "bad_request"
#define FAIL_UNREADABLE "unreadable"
#define FAIL_TRUNCATED "truncated"
#define FAIL_REFUSED "refused"
#define FAIL_SCHEMA "wrong_schema"
#define FAIL_BUDGET "budget"
#define FAIL_CONFIGURATION "configuration"
#define FAIL_DOWN "down"

/* ---- front.c ---- */
int front_chat(cvm_turn *t, const cvm_msg *m);
int front_completed(cvm_turn *t, const cvm_msg *m); /* "complete.reply" */
int front_again(cvm_turn *t, const cvm_msg *m);     /* the timer "again" */

/* ---- order.c: whom to ask ---- */

/* Ids of the providers for a request, in order. New array. */
json_t *order_of(cvm_turn *t, const json_t *request, const char *agent);

/* ---- health.c ---- */

/* Whether it may be asked now. One that failed is let through once its time is over, one request at a time;
 * *ret_wait_ms (untouched where it may) is how long it is held. */
CVM_MUST_USE int health_admit(cvm_turn *t, const char *provider, bool *ret_may, int64_t *ret_wait_ms);
/* What became of a completion. `retry_ms`: what the server asked for, 0: nothing. */
CVM_MUST_USE int health_tell(cvm_turn *t, const char *provider, const char *failure, int64_t retry_ms);
/* What a provider was found to lack when it was asked last; NULL: nothing. */
CVM_MUST_USE int health_set_up(cvm_turn *t, const char *provider, const char *missing);
json_t *health_status(cvm_turn *t, const char *provider); /* new object */

/* ---- budget.c ---- */

/* Micro-dollars that may still be spent for it today; INT64_MAX: no limit. */
CVM_MUST_USE int budget_left(cvm_turn *t, const char *agent, const char *enquiry, int64_t *ret_micro);
CVM_MUST_USE int budget_spend(cvm_turn *t, const char *agent, const char *enquiry, int64_t micro);
CVM_MUST_USE int budget_status(cvm_turn *t, json_t **ret_status);

/* ---- calls.c: what is recorded ---- */

/* Writes the row of a completion: `job` as front.c keeps it, `reply` as a provider gave it, `outcome` one of the words
 * above or "ok". */
CVM_MUST_USE int calls_record(cvm_turn *t, const cvm_msg *m, const json_t *job, const json_t *reply,
                              const char *outcome);
int calls_list(cvm_turn *t, const cvm_msg *m);
int calls_listed(cvm_turn *t, const cvm_msg *m); /* "query.reply" */
int calls_status(cvm_turn *t, const cvm_msg *m);

/* ---- endpoint.c: a provider with a server ---- */
int endpoint_chat(cvm_turn *t, const cvm_msg *m);
int endpoint_complete(cvm_turn *t, const cvm_msg *m);
int endpoint_completed(cvm_turn *t, const cvm_msg *m); /* "completion.reply" */

/* ---- rules.c ---- */
int rules_chat(cvm_turn *t, const cvm_msg *m);

/* ---- request.c: pure ---- */

/* How a server is asked: settings of the provider, and what the call chose. All borrowed. */
struct llm_form {
    const char *model, *structured; /* "json_schema", "tool" or "json_object" */
    const char *max_tokens_member;
    bool stream;
};

/* The body of a completion. `request` is masked. New value; NULL: no memory. */
json_t *request_body(const json_t *request, const struct llm_form *form);
/* Tokens it may take at most, roughly: for budgets before the bill has come. */
int64_t request_tokens(const json_t *request);

#endif
