/* A host small enough to read, for tests of plugins turn by turn: a queue, virtual time, state, contexts and rows in
 * memory, turns that are undone when they fail. It holds requests and rows against the manifests (required and unknown
 * members) and notices when a frozen value was changed. Nothing is journalled and nothing leaves. */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <cvm/cvm.h>
#include <cvm/json.h>

struct fake;

struct fake *fake_new(int64_t now_ms);
void fake_free(struct fake *f);

/* Adds a plugin with its manifest: the path of the file, or the text itself, which begins with "{". Each component gets
 * its "start", if it has one. */
void fake_add(struct fake *f, const cvm_plugin_descriptor *plugin, const char *manifest_path);
/* The settings of a component, to be changed by the test. */
json_t *fake_settings(struct fake *f, const char *component);

/* A request from outside (sender "") or from a component, delivered by the next fake_run. `data` is taken. */
cvm_id fake_request(struct fake *f, const char *sender, const char *to, const char *type, const char *conversation,
                    json_t *data);
/* Who the following requests are made for: the envelope's enquiry and session. NULL for "". */
void fake_subject(struct fake *f, const char *enquiry_id, const char *session_id);
/* How a request from fake_request ended; -1 while it is open. `ret_data` (may be NULL) is borrowed. */
int fake_result(struct fake *f, cvm_id request, const json_t **ret_data);

/* Runs until nothing is queued; then, if `ms` is positive, through the timers and deadlines of that long. */
void fake_run(struct fake *f, int64_t ms);
int64_t fake_now(const struct fake *f);

/* Ends an open request in the name of its recipient, outside a turn: for scripts that answer late. */
bool fake_settle(struct fake *f, cvm_id request, int outcome, json_t *data);

const json_t *fake_state(struct fake *f, const char *component); /* object key -> value */
const json_t *fake_rows(struct fake *f, const char *table);      /* object key -> row */
json_t *fake_context(struct fake *f, const char *conversation);  /* object, to be changed by the test */
size_t fake_open_requests(const struct fake *f);
size_t fake_notes(const struct fake *f); /* notes of committed turns */

#endif
