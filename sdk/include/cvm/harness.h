/* A plugin without a host: for tests of handlers, turn by turn, in one process and without waiting.
 *
 *     struct harness *h = harness_new(0);
 *     harness_add(h, &cvm_plugin, "tv.json");
 *     const json_t *answer;
 *     HARNESS_CHECK(harness_ask(h, "tv.agent", "renew", json_pack("{s:s}", "card", "7021"), &answer) == CVM_REPLIED);
 *     HARNESS_CHECK(strcmp(cvm_json_str(answer, "status", ""), "renewed") == 0);
 *     harness_free(h);
 *     return harness_finish();
 *
 * Link with `pkg-config --cflags --libs cvmhost-harness`. The plugin is either compiled into the test (`cvm_plugin` is
 * then its descriptor; with several, compile each with -Dcvm_plugin=NAME_plugin) or loaded with harness_load.
 *
 * It behaves as the host does where a handler can tell: a turn is kept whole or undone; what the manifest does not
 * allow is refused; a request ends exactly once, at the latest by its deadline; state of an older version is upgraded
 * as it is read; time stands still within a turn and passes only in harness_run. It is stricter in one way: a value
 * that was given away and changed afterwards ends the test. It journals nothing, sends nothing out, knows no lanes, no
 * load, no mailbox limits and no turn budget; cvm_match and patterns need libpcre2-8 on the machine.
 *
 * Misuse (an unknown component, a manifest that does not fit, a request that breaks its schema) ends the test with a
 * sentence and SIGABRT. CVM_HARNESS_LOG=1 in the environment prints what handlers log and why turns fail.
 *
 * One thread. `json_t *` given to a function is taken; what is given back as `const json_t *` is borrowed, valid until
 * the next call that runs turns. */
#ifndef CVM_HARNESS_H
#define CVM_HARNESS_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#ifdef __cplusplus
extern "C" {
#endif

struct harness;

/* The plugin that is compiled into the test. */
extern const cvm_plugin_descriptor cvm_plugin;

/* ---- making ---- */

/* An empty one whose clock stands at `now_ms` (0: 2026-01-01T00:00Z). Never NULL. */
struct harness *harness_new(int64_t now_ms);
/* Ends everything; calls `stop` and `destroy` of the plugins. NULL is allowed. */
void harness_free(struct harness *h);

/* Adds a plugin. `manifest` is the path of its manifest, or the manifest's text itself, which begins with "{"; files
 * that it refers to are read from the folder beside it. Runs `create` and each component's "start". Borrows both. */
void harness_add(struct harness *h, const cvm_plugin_descriptor *plugin, const char *manifest);
/* The same for a built library. Gives its descriptor, valid until harness_free. */
const cvm_plugin_descriptor *harness_load(struct harness *h, const char *library, const char *manifest);
/* Another build takes over, as a reload does it: state, timers and open requests stay, "start" runs again, settings are
 * those of the new manifest. The plugin of that name must be there. */
void harness_replace(struct harness *h, const cvm_plugin_descriptor *plugin, const char *manifest);

/* The settings of a component (by id or alias), to be changed by the test. */
json_t *harness_settings(struct harness *h, const char *component);
/* Sets a secret; the manifest must name it for a handler to get it. */
void harness_secret(struct harness *h, const char *name, const char *value);
/* What cvm_classify gives for a text (NULL: for any that is not named): `labels` as the host gives them (taken; NULL:
 * no model answers, as is so for all at first). The manifest must declare the model or name it in needs.models. */
void harness_model(struct harness *h, const char *model, const char *text, json_t *labels);
/* Answers all requests `type` to `to` (a component id or "role:R"), instead of a component that is not there, with
 * `outcome` (enum cvm_outcome; -1: never answers) and `data` (taken; NULL for {}). The last one given counts. */
void harness_stub(struct harness *h, const char *to, const char *type, int outcome, json_t *data);
/* Puts a value into a component's state as a build with that state version would have left it. `value` is taken. */
void harness_state_put(struct harness *h, const char *component, const char *key, uint32_t version, json_t *value);

/* ---- talking ---- */

/* Whom the following requests are about: the envelope's fields. NULL for "". */
void harness_subject(struct harness *h, const char *enquiry_id, const char *customer_id, const char *session_id);
/* Queues a request from outside (`sender` "") or from a component. One from outside is held against the operation's
 * schema as an edge does it, and refused with {"code": "INVALID", "field", "message"}. `data` is taken, NULL for {}.
 * Delivered by the next harness_run. Gives its id. */
cvm_id harness_request(struct harness *h, const char *sender, const char *to, const char *type,
                       const char *conversation, json_t *data);
/* Sends a message nobody answers (a timer by its name, a reply by "<type>.reply"), or a copy of a topic. */
void harness_send(struct harness *h, const char *to, const char *type, const char *conversation, json_t *data);
/* Request, run until nothing is queued, result: for operations that need no time. Gives the outcome, -1 while it is
 * open. The conversation is "ask". `ret_data` may be NULL. */
int harness_ask(struct harness *h, const char *to, const char *type, json_t *data, const json_t **ret_data);
/* One step of a conversation: `handle` with the message `content`, as the conversation engine asks it. The result is
 * {"content", "structured_data", "next", "end"} as the agent gave it. Same return as harness_ask. */
int harness_handle(struct harness *h, const char *conversation, const char *agent, const char *content,
                   const json_t **ret_data);
/* How a request ended (enum cvm_outcome); -1 while it is open. */
int harness_result(struct harness *h, cvm_id request, const json_t **ret_data);
/* Runs until nothing is queued; then, if `ms` is positive, on through the timers and deadlines of that long. */
void harness_run(struct harness *h, int64_t ms);
/* The clock, in milliseconds. */
int64_t harness_now(const struct harness *h);

/* ---- calls to the outside ---- */

/* The oldest outgoing call that has no answer yet: {"name", "method", "path", "query", "headers", "body", "key"}; NULL:
 * there is none. `ret_id` may be NULL. */
const json_t *harness_call(struct harness *h, cvm_id *ret_id);
/* Answers it (`outcome` and `data` as "<name>.reply" gets them), or ends any other open request in the name of its
 * recipient. `data` is taken. false: it is not open. Delivered by the next harness_run. */
bool harness_answer(struct harness *h, cvm_id id, int outcome, json_t *data);
/* The same with a complete HTTP answer of a JSON body (taken; NULL for none). */
bool harness_answer_http(struct harness *h, cvm_id id, int status, json_t *body);

/* ---- jobs ---- */

/* Runs a job of a component's plugin at once, over the harness's rows, as cvm_job_start of that component would: gives
 * CVM_REPLIED or CVM_ERROR and what "<job>.reply" gets. What turns start is run by harness_run, at once and in no time.
 * `input` is taken, NULL for {}. */
int harness_job(struct harness *h, const char *component, const char *job, json_t *input, const json_t **ret_data);
/* Gives a table these rows (an array of objects, taken) in place of those it has: one of a plugin that was added, or of
 * another one that a job reads. `key` is the column that is its key. */
void harness_fill(struct harness *h, const char *table, const char *key, json_t *rows);
/* The folder that relative paths of jobs are of. Copied. */
void harness_home(struct harness *h, const char *folder);

/* ---- looking ---- */

const json_t *harness_state(struct harness *h, const char *component); /* object key -> value as it is stored */
const json_t *harness_rows(struct harness *h, const char *table);      /* object key -> row; NULL: no row yet */
json_t *harness_context(struct harness *h, const char *conversation);  /* object, to be changed by the test */
/* What kept turns sent, oldest first: [{"kind": "request"|"message"|"publish"|"forward"|"call"|"job", "from", "to",
 * "type", "conversation", "data"}]. */
const json_t *harness_sent(const struct harness *h);
const json_t *harness_timers(struct harness *h);      /* armed: [{"component", "type", "at_ms", "data"}] */
const json_t *harness_notes(const struct harness *h); /* of kept turns: [{"component", "what", "data"}] */
const json_t *harness_logs(const struct harness *h);  /* lines of text, the failures of turns among them */
size_t harness_open_requests(const struct harness *h);

/* ---- a test program of one's own ---- */

/* Counts; says what did not hold, with file and line, and goes on. Gives `condition`. */
#define HARNESS_CHECK(condition) harness_check((condition), #condition, __FILE__, __LINE__)
bool harness_check(bool condition, const char *text, const char *file, int line);
/* Prints "12 checks, 0 failed". Gives main's status: 0, or 1 if one failed or none was made. */
int harness_finish(void);

#ifdef __cplusplus
}
#endif
#endif
