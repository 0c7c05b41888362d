/* The engine of workflows: a pure function of a definition (the merged steps of the manifests), an instance (JSON) and
 * what happened. It says what is to be done now; who does it is the caller. Knows no turn and no tickets.
 *
 * Of an instance it owns: status, step, phase, run, attempt, since_ms, deadline_ms, counts, early, outcome, error. */
#ifndef SUPPORT_WORKFLOW_H
#define SUPPORT_WORKFLOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKFLOW_RETRY 3             /* where a step says nothing */
#define WORKFLOW_TIMEOUT_MS 300000   /* of an activity that says nothing */
#define WORKFLOW_FIRST_DELAY_MS 1000 /* then twice that, and so on */
#define WORKFLOW_HOURS_MAX 9600.0    /* of a wait: 400 days */
#define WORKFLOW_ENTERED_MAX 64      /* steps that one event may pass through */

/* One of them, with what belongs to it. `instance` and `outputs` (object: name -> output) are changed. */
struct workflow {
    const json_t *steps;    /* borrowed */
    json_t *instance;       /* borrowed, changed */
    json_t *outputs;        /* borrowed, changed */
    const json_t *settings; /* borrowed: what "setting:NAME" stands for */
    int64_t now_ms;
};

enum workflow_happened {
    WORKFLOW_BEGIN,    /* enters `step`, the first where it is NULL */
    WORKFLOW_DONE,     /* the activity gave `data` */
    WORKFLOW_STORED,   /* its output is in the store */
    WORKFLOW_FAILED,   /* the activity or the store did not work: `code`, `text` */
    WORKFLOW_REFUSED,  /* the activity said no: the same */
    WORKFLOW_AGAIN,    /* the delay before another attempt is over */
    WORKFLOW_EVENT,    /* `code` is its name, `data` what it brings */
    WORKFLOW_TIMED_OUT /* the deadline of a wait has passed */
};

struct workflow_event {
    enum workflow_happened what;
    const char *step, *code, *text;
    json_t *data; /* borrowed */
};

enum workflow_todo_kind {
    WORKFLOW_NOTHING, /* the event was kept for later */
    WORKFLOW_SEND,    /* send `step`'s operation */
    WORKFLOW_STORE,   /* put its output where "store" says */
    WORKFLOW_DELAY,   /* say WORKFLOW_AGAIN in delay_ms */
    WORKFLOW_WAIT,    /* say WORKFLOW_TIMED_OUT in delay_ms; 0: never */
    WORKFLOW_END      /* it is over */
};

struct workflow_todo {
    enum workflow_todo_kind kind;
    const json_t *step; /* borrowed from the steps */
    int64_t delay_ms;
    json_t *told; /* array of [what, step]: started, finished, waiting, received, timed_out, failed, refused, ended */
};

/* Takes what happened. 0, with *ret_todo (release `told`); CVM_ESTATE: it does not fit where the instance is (an event
 * that no step on the way waits for, a reply that is not awaited); CVM_EEXIST: such an event is kept already: nothing
 * is changed. CVM_EDATA: the way leads to a step that its definition has not; CVM_ENOMEM: instance and outputs may be
 * changed in part, and are not to be kept. */
int workflow_take(struct workflow *w, const struct workflow_event *e, struct workflow_todo *ret_todo);

/* Ends it from outside, with that status. */
int workflow_stop(struct workflow *w, const char *status, struct workflow_todo *ret_todo);

/* The step the instance is in; NULL: none. */
const json_t *workflow_step(const struct workflow *w);
/* Whether it waits for the event now, or will on some way from here. */
bool workflow_waits(const struct workflow *w, const char *event);
bool workflow_may_wait(const struct workflow *w, const char *event);
/* Whether the event with that data would take a branch of its wait, now or when it comes to that, which has been taken
 * as often as it may. */
bool workflow_exhausted(const struct workflow *w, const char *event, const json_t *data);

/* The name its output has. */
const char *workflow_output(const json_t *step);
/* A number, or the setting that it names; `otherwise` where that is none. */
double workflow_number(const struct workflow *w, const json_t *value, double otherwise);
/* Fills {name} in with the members of the instance. Never longer than `size`. */
void workflow_fill(const json_t *instance, const char *pattern, char *ret_text, size_t size);

#endif
