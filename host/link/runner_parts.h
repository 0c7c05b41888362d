/* What the files of a plugin's own process share: runner.c receives and loads; runner_api.c is the function table its
 * handlers see; runner_state.c is state and context as the turn that runs sees them. One thread. */
#ifndef HOST_LINK_RUNNER_PARTS_H
#define HOST_LINK_RUNNER_PARTS_H

#include "core/json_text.h"
#include "core/regex.h"
#include "link/frame.h"

#include <cvm/cvm.h>

struct runner_component {
    char id[CVM_NAME_MAX + 1];
    uint64_t salt;
};

/* What the host has told and may be kept until the number of its facts changes. */
struct runner_facts {
    uint64_t number;
    json_t *values; /* object: "settings/ID", "registry/WHAT", "secret/NAME" -> value */
};

struct runner_turn {
    cvm_turn pub; /* first: the handler holds a pointer to it */
    struct runner *runner;
    const cvm_msg *message;
    const struct runner_component *component;
    uint64_t number;
    int64_t now_ms;
    bool open;                                /* its message is a request that waits for its answer */
    bool published;                           /* to how many only the host knows */
    json_t *context;                          /* NULL: not asked for */
    json_t *written;                          /* object key -> value, null for a deletion with `dropped` */
    json_t *dropped;                          /* object of the keys deleted */
    json_t *lent;                             /* array: holds what was lent to the handler until it returns */
    size_t bytes, state_bytes, context_bytes; /* at most so much: what is surely within a limit need not be asked */
    uint32_t outputs;
    uint64_t random;
    bool random_seeded;
};

struct runner {
    const char *name;
    uint32_t layers; /* of the confinement, that hold */
    struct framer in;
    struct frame_queue held; /* turns that came while an answer was waited for */
    struct text out;
    const cvm_plugin_descriptor *descriptor;
    void *instance;
    struct runner_component *components;
    size_t n_components;
    struct runner_facts facts;
    struct regexes *regexes;
    struct runner_turn turn;
    struct text scratch;
};

extern const cvm_host runner_api;

void runner_flush(struct runner *r); /* ends the process where the host is gone */

/* An operation the host does not answer; takes `op`. */
void runner_tell(struct runner_turn *t, json_t *op);
/* The reply of a turn, which nearly each one has: without a value made of it first. Borrows. */
void runner_tell_reply(struct runner_turn *t, const char *request, int outcome, const json_t *data,
                       const char *content);
/* One it does: gives the answer, an object with "error"; takes `op`. */
json_t *runner_ask(struct runner_turn *t, json_t *op);
/* The error of the answer; *ret_id its id where it has one (may be NULL). */
int runner_ask_id(struct runner_turn *t, json_t *op, cvm_id *ret_id);

/* runner_state.c */
const json_t *runner_context(cvm_turn *pub);
int runner_context_set(cvm_turn *pub, const char *path, json_t *value);
int runner_state_get(cvm_turn *pub, const char *key, const json_t **ret_value);
void runner_state_wrote(struct runner_turn *t, const char *key, json_t *value); /* NULL: removed */
int runner_state_put(cvm_turn *pub, const char *key, json_t *value);
int runner_state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs);

/* Counts an output of the turn, or what it keeps (0 outputs). True: it is surely within the turn's limits. */
bool runner_count(struct runner_turn *t, uint32_t outputs, size_t bytes);
const json_t *runner_lend(struct runner_turn *t, json_t *value); /* takes; NULL where there is no memory */

#endif
