/* A host made of a few functions, for one component of a provider plugin: which call it makes, and how it settles. The
 * test is linked with the plugin. One turn at a time; not for threads. */
#ifndef TESTS_PROVIDER_H
#define TESTS_PROVIDER_H

#include <check.h>
#include <cvm/cvm.h>
#include <cvm/json.h>

extern json_t *settings, *state;
/* Of the last turn: the call made, or "" in call_name; how it settled, -1 and NULL where it did not. */
extern char call_name[32], call_path[64], call_key[64];
extern int64_t call_timeout_ms, call_deadline_ms;
extern json_t *called /* {"headers", "body", "query"} */, *settled;
extern int settled_outcome;
extern cvm_id settled_id;

/* Of the last turn: the timer armed, -1 for none; what was sent or published last, NULL for nothing. */
extern int64_t timer_ms;
extern char emitted_to[64], emitted_type[64];
extern json_t *emitted;
extern int n_emitted;

extern bool exact;                  /* answers of calls are read as those of "exact" ones; false at the beginning */
extern int64_t now;                 /* 1,000,000 at the beginning */
extern const char *secret_value;    /* of any secret; "never to be seen" at the beginning */
extern int secret_result;           /* of asking for the secret; CVM_OK at the beginning */
static const cvm_id asker = {7, 9}; /* whom turns are for */

/* Takes the settings; `secret_name` is the only one that may be asked for, NULL: any. Borrows the names. */
void provider_begin(const char *component, const char *secret_name, json_t *with_settings);
void provider_end(void);

/* One turn; `data` is taken. */
int turn(const char *type, int outcome, cvm_id on_behalf, json_t *data, int64_t deadline_ms);
/* The same for the message `asker_id` of the component `to`. */
int turn_of(const char *to, cvm_id id, const char *type, int outcome, cvm_id on_behalf, json_t *data,
            int64_t deadline_ms);
/* The turn of a call's reply. Asserts that it is CVM_OK. */
void call_answered(const char *type, int outcome, int status, const char *body);

/* The data of a call's reply; null for a body that is no JSON. Gives. */
json_t *answer(int status, const char *body);
/* A text member of what was settled with. */
const char *word(const char *member);

#endif
