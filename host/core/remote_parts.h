/* What the files of plugins' own processes share: remote.c holds the messages that a process works on; remote_link.c
 * starts it, hears of its end and starts it again; remote_ops.c does what its turns ask for. Nothing else includes
 * this. */
#ifndef HOST_CORE_REMOTE_PARTS_H
#define HOST_CORE_REMOTE_PARTS_H

#include "core/internal.h"
#include "core/json_read.h"
#include "link/link.h"

#include <limits.h>

/* A message in the hands of a process. What its turn would do is kept until the process says that the turn is over. */
struct errand {
    struct errand *next;
    struct message *m;
    uint64_t number; /* of the turn at the link */
    int64_t now_ms;  /* the turn's time */
    json_t *ops;     /* array of [op, error that was answered, or null where none was] */
    json_t *reads, *denied, *met;
    uint32_t asked;
    size_t bytes;  /* of the frames that came for it */
    size_t weight; /* of the frame that was sent */
    bool unreadable;
    int64_t context_seen,
        scanned; /* one more than the version told; than the last turn that wrote state; 0: not asked */
    bool late;   /* its deadline had passed when the process came to it */
    /* What trials have come to, so that the next one begins where a turn of its own would be by then. */
    uint32_t ordinal, outputs;
    size_t output_bytes, state_bytes, context_bytes;
    json_t *context;                    /* with what was set in it; NULL: not tried */
    json_t *counters;                   /* object: prefix of short ids -> the last number */
    VECTOR(struct request *) settled;   /* and those handed on, each with a reference */
    size_t tried_settle, tried_counted; /* so many of `ops` are in the ordinal; in the sizes */
};

enum remote_step { REMOTE_UP, REMOTE_STARTING, REMOTE_DOWN };

struct remote {
    struct remote *next;
    struct core *core;
    struct generation *generation;
    cvm_plugin_descriptor descriptor; /* what the process says of its library */
    cvm_component *components;
    cvm_route *routes;
    json_t *ready;     /* holds their names */
    struct link *link; /* NULL: none runs */
    enum remote_step step;
    struct errand *head, *tail; /* in the order in which the process takes them */
    uint32_t n;
    size_t weight;
    struct frame_queue held;
    struct queue waiting[CORE_CLASSES]; /* no credit for them yet */
    uint64_t number, over;              /* of the last turn that was sent; that ended */
    size_t stale_bytes;                 /* of frames of turns that were taken back, since one ended */
    struct remote_poll *poll, *errors;
    struct alarm alarm;  /* the limit of the turn at the head, or the next start */
    int64_t look_cpu_ns; /* its processor time when it was first found past the limit; 0: it was not */
    int waits;           /* looks past the limit at which it did not want the processor */
    const char *ended;   /* why the host ended it; NULL: it did not */
    uint32_t failures;   /* ends in a row, without a turn between them */
    uint32_t restarts;
    bool more;     /* frames that came wait in memory, where no poll tells of them */
    uint32_t refs; /* its generation, and whoever is hearing it: a turn of its own may end the generation */
    int64_t lines_since_ms;
    uint32_t lines; /* of its log, in that second */
};

/* remote_ops.c. Does `op` in the turn `t`; its error. *ret_answer: a new object with "error" and what else the answer
 * says. */
int remote_op(cvm_turn *t, const json_t *op, json_t **ret_answer);
bool remote_op_reads(const json_t *op); /* changes nothing: not done again when the turn is kept */
bool remote_op_is(const json_t *op, const char *name);

/* remote_trial.c: an op of a turn is tried in a turn that is undone, and done for good when all of it is over. */
#define TRIAL_DIVERGED INT_MIN /* none of a handler's results: what held when it was asked does not hold any more */
int trial_run(struct core *core, struct errand *e, const json_t *op, json_t **ret_answer);
void trial_note_counter(struct errand *e, const json_t *op);     /* an op that may set a counter of short ids */
int trial_keep(struct core *core, struct errand *e, int result); /* in the turn that runs; its result */

void trial_forget(struct core *core); /* what outlives the undoing of a turn that is run again */

/* remote.c */
int remote_send_turn(struct remote *r, const cvm_msg *m, uint32_t route, int64_t now_ms, uint64_t *ret_number,
                     size_t *ret_weight);
int remote_take(struct remote *r, const struct frame *f); /* a frame of a turn; CVM_EDATA: against the rules */
void remote_feed(struct remote *r);                       /* as many of those that wait as there is credit for */
struct message *remote_drop_all(struct remote *r); /* back to the run queues; gives the one that ran, NULL: none */
void remote_limit(struct remote *r);               /* sets the alarm for the turn at the head */
void remote_answer_nothing(struct remote *r, uint64_t turn);
void remote_run_start(struct remote *r, struct message *m);

/* remote_link.c */
void remote_end(struct remote *r, const char *why); /* kills it; the rest follows when its link breaks */
void remote_broken(struct remote *r);               /* its link is broken */
void remote_flush_one(struct remote *r);
void remote_log(struct remote *r, int level, const char *about, const char *text);

#endif
