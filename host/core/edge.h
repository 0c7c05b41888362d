/* Where messages from outside enter the core and their answers leave it: used by the HTTP listener, the control
 * socket and tests. An answer is handed over only when the turn that gave it is durable. Loop thread. */
#ifndef HOST_CORE_EDGE_H
#define HOST_CORE_EDGE_H

#include <cvm/cvm.h>

struct core;

/* Why an input was not taken. Nothing was changed. */
struct edge_error {
    int error;         /* CVM_EINVAL (field names it), CVM_ENOENT (no such component or operation), CVM_EEXIST (the key
                          was used with another body), CVM_EBUSY (come back later), CVM_ELIMIT, CVM_EACCES */
    char field[128];   /* "" where none */
    char text[384];    /* a sentence */
    int retry_after_s; /* CVM_EBUSY: when to try again */
};

struct edge_in {
    const char *source;       /* scope of the key: "http", "cli" */
    const char *key;          /* idempotency key, at most 128 bytes; NULL: none */
    const char *to, *type;    /* component id or alias; operation */
    json_t *data;             /* taken; an object; NULL for {} */
    const char *content;      /* NULL for "" */
    const char *conversation; /* NULL: a conversation of its own */
    const char *enquiry_id, *customer_id, *session_id, *traceparent; /* NULL for "" */
    int priority;                                                    /* enum cvm_priority; -1: MEDIUM */
    int64_t timeout_ms;                                              /* 0: the operation's default */
    bool edit; /* the operator's "state.put" {key, value} or "state.delete" {key} of component `to` */
};

struct edge_reply {
    cvm_id request;     /* id of the input */
    int outcome;        /* enum cvm_outcome */
    const json_t *data; /* borrowed; an object */
    const char *content;
    bool repeated; /* the answer to an earlier input with the same key */
};

/* Called once for each input taken, from the loop, never from inside edge_submit. */
typedef void (*edge_done)(void *arg, const struct edge_reply *reply);

/* Takes an input. Returns 0 (done will be called) or a negative error with *ret_error filled (done will not be
 * called). `in->data` is taken in both cases. `ret_id` may be NULL. */
int edge_submit(struct core *core, struct edge_in *in, edge_done done, void *arg, cvm_id *ret_id,
                struct edge_error *ret_error);

/* The client has gone: done is not called any more for (id, arg). The work goes on. */
void edge_forget(struct core *core, cvm_id id, void *arg);

/* Envelopes as they become durable (ephemeral ones at once), for `bus tail` and `--trace`. `root` none: all; else only
 * those caused by that input. The callback borrows `envelope`. */
struct edge_tap;
typedef void (*edge_tap_fn)(void *arg, const json_t *envelope);
struct edge_tap *edge_tap_open(struct core *core, cvm_id root, edge_tap_fn fn, void *arg);
void edge_tap_close(struct core *core, struct edge_tap *tap);

/* What a turn has published on a topic that a stream of a manifest names. */
struct edge_publication {
    const char *topic, *component;
    const json_t *data; /* an object; NULL for {} */
};
/* Called once for each turn that has published some, in the order of the turns, when it is durable. All is borrowed. */
typedef void (*edge_published)(void *arg, int64_t turn, const struct edge_publication *publications, size_t n);
void edge_listen(struct core *core, edge_published fn, void *arg); /* one listener; NULL: none any more */
int64_t edge_durable(const struct core *core);                     /* the last turn that is durable */

#endif
