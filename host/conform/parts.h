/* What the files of conform/ share. The parent plans and judges; children run the plugin. `struct conform` is made
 * before the first fork and read by all; `page` is the one memory that parent and child both see. */
#ifndef HOST_CONFORM_PARTS_H
#define HOST_CONFORM_PARTS_H

#include "conform/conform.h"
#include "core/core.h"
#include "core/edge.h"
#include "core/manifest.h"

#include <stdarg.h>

#define CONFORM_PATH 4096
#define CONFORM_PEERS_MAX 256
#define CONFORM_FINDINGS_MAX 20 /* of one check */

/* ---- numbers and values ---- */

struct gen {
    uint64_t state;
    const json_t *document; /* for $ref */
    const json_t *words;    /* array of strings that the plugin knows */
    json_t *seen;           /* member name -> array of values that came in answers; NULL: none */
};

uint64_t gen_next(struct gen *g);
uint64_t gen_below(struct gen *g, uint64_t n);
bool gen_chance(struct gen *g, unsigned percent);
uint64_t gen_mix(uint64_t a, uint64_t b);
uint64_t gen_hash(const void *bytes, size_t n, uint64_t seed);

json_t *gen_value(struct gen *g, const json_t *schema, const char *member, int depth); /* as the schema says */
json_t *gen_object(struct gen *g, const json_t *schema); /* the same, an object in any case */
json_t *gen_any(struct gen *g, int depth);               /* shaped by nothing */
json_t *gen_mutated(struct gen *g, json_t *value);       /* takes; one to three things in it are odd */
char *gen_pattern(struct gen *g, const char *pattern);   /* a text the expression matches, mostly; for free() */
void gen_see(json_t *seen, const json_t *value);         /* remembers the scalars of an answer by name */

/* ---- the plan ---- */

struct board {
    char where[300];      /* "component, type" whose handler runs, or what the child does */
    char message[16384];  /* that message, as JSON */
    int64_t cpu_us;       /* of the child when the handler began */
    volatile int running; /* a handler runs */
    volatile uint32_t turns;
    volatile int done, of; /* progress */
    int64_t at;            /* where a child that died can go on */
    int64_t denied;        /* which request for memory was made to fail; 0: none */
};

struct conform {
    struct conform_options options;
    char work[CONFORM_PATH]; /* folder of everything below */
    char library[CONFORM_PATH], manifest_path[CONFORM_PATH];
    struct manifest *manifest;
    struct manifest *others[128]; /* of the plugins around it, which answer as peers */
    size_t n_others;
    struct manifest_component peers[CONFORM_PEERS_MAX];
    bool peer_known[CONFORM_PEERS_MAX]; /* its manifest is one of others */
    size_t n_peers;
    struct manifest_component sender; /* hands mutated messages on, publishes */
    json_t *routes;                   /* [{"component", "type"}] of the library */
    json_t *components;               /* id -> {"state_version", "upgrade", "downgrade"} of the library */
    json_t *words;
    json_t *learned; /* peer id -> {type: true}: sent, and no operation known */
    json_t *checks;
    struct board *shared;
    char facts[CONFORM_PATH]; /* where the child of now writes what it finds */
    int homes;
    bool process; /* homes made now run the plugin in a process of its own; of a program all do */
    pid_t janitor;
    int alive; /* open as long as this process lives */
};

/* plan.c */
int plan_make(struct conform *c, char *ret_error, size_t error_size);
void plan_free(struct conform *c);
int plan_home(struct conform *c, const char *library, char ret_home[CONFORM_PATH]); /* a new home with the plugin */
int plan_copy(const char *from, const char *to);
void plan_remove(const char *folder);
void plan_words(struct conform *c);       /* words.c */
void plan_read_others(struct conform *c); /* plan_peers.c */
void plan_peers(struct conform *c);       /* anew, with what was learned */
void plan_forget_peers(struct conform *c);

/* child.c */
enum child_end { CHILD_DONE, CHILD_CRASHED, CHILD_HANGS, CHILD_ENDED };
/* Runs `body` in a child and waits. Gives what it found as an array of facts {"kind", ..}; a crash or hang says where
 * in the page. `text` is a sentence for CHILD_CRASHED and the like. */
enum child_end child_run(struct conform *c, int (*body)(struct conform *c, void *arg), void *arg, json_t **ret_facts,
                         char *ret_text, size_t text_size);
void mend(char *text); /* makes UTF-8 of a text that was cut */
/* In the child. */
void unsynced_begin(void);                        /* unsynced.c */
void fact_write(struct conform *c, json_t *fact); /* takes */
void find(struct conform *c, const char *check, const char *what, const char *component, const char *type,
          const char *format, ...) __attribute__((format(printf, 6, 7)));

/* conform.c: lines of the report */
enum result { RESULT_OK, RESULT_FAILED, RESULT_SKIPPED };
void report(struct conform *c, const char *check, enum result result, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void report_facts(struct conform *c, const json_t *facts); /* the findings among them, into their checks */
void report_finding(struct conform *c, const char *check, const char *what, const char *where, const char *text,
                    const char *message);
bool wanted(const struct conform *c, const char *check);

/* ---- the plugin among its peers, in a child (world.c, outside.c, peers.c) ---- */

enum world_mode {
    WORLD_WILD, /* outside and peers answer anything */
    WORLD_CALM  /* they answer well or refuse, the same to the same question */
};

struct input {
    char key[48], conversation[48];
    const struct manifest_component *component;
    const struct manifest_operation *operation;
    json_t *data;
    bool forward, mutated, injected;
    int n, outcome;
    json_t *answer;
};

struct world {
    struct conform *c;
    struct core *core;
    struct config *config;
    enum world_mode mode;
    char home[CONFORM_PATH];
    struct outside *outside;
    json_t *seen;
};

int world_open(struct world *w, struct conform *c, const char *home, enum world_mode mode, int64_t begin_ms);
void world_close(struct world *w);
/* Submits. False: the edge refused it (its sentence in ret_text). */
bool world_submit(struct world *w, struct input *in, char *ret_text, size_t text_size);
/* Runs what is there, then lets `ms` of time pass; the outside answers meanwhile. */
void world_pass(struct world *w, int64_t ms);
const cvm_plugin_descriptor *world_descriptor(const struct world *w); /* of the plugin; NULL: it is not there */
struct remote *world_remote(const struct world *w);                   /* its process; NULL: it runs inside */
bool world_quiet(const struct world *w); /* nothing asked of the outside waits for its answer */

int outside_new(struct world *w);
void outside_free(struct world *w);
int outside_send(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle);
int64_t outside_next(const struct world *w); /* when the next answer comes; INT64_MAX: none */
bool outside_answer(struct world *w);        /* gives those that are due */

int peers_add(struct world *w);

/* ---- around handlers, in a child (guard.c, borrow.c, memory.c) ---- */

struct injection {
    const char *component, *type; /* component NULL: none */
    const json_t *instead;        /* data of the message in whose turn it comes */
    uint32_t route;
    uint8_t outcome;
    cvm_id on_behalf;
    const json_t *data;
};

struct guard {
    struct conform *c;
    const char *check; /* whose findings faults are */
    bool watch;        /* references, limits, answers */
    bool tolerant;     /* of refused calls: messages are odd */
    bool apart;        /* the plugin runs in a process of its own: what memory it takes is not seen here */
    uint32_t kill_at;  /* that process is ended at this call of the host, counted from 1; 0: it is not */
    uint32_t calls;    /* of the turn that runs */
    int killed;
    pid_t (*process_of)(void *arg); /* the process that runs now, 0: none */
    void *process_arg;
    struct injection inject;
    const cvm_route *routes;
    json_t *ran, *timers; /* "component type" -> count; types of timers armed */
    json_t *odd;          /* conversations begun by mutated messages */
    json_t *open;         /* conversation -> things under way that come back to it */
    int64_t slowest_us;
    int turns;
};

extern struct guard guard;
void guard_begin(struct conform *c, const char *check);
int guard_around(void *arg, const struct core_handler *h);
void guard_call(void);                                        /* at each call of the host */
cvm_host guard_table(const cvm_host *host, const cvm_msg *m); /* guard_host.c */
const json_t *guard_asked(void);                              /* conversation -> what this turn asked for */
int64_t guard_under_way(const char *conversation);            /* -1: not known */

void borrow_begin(void);
void borrow(const char *what, const json_t *value, bool counted);
void borrow_taken(const char *what, json_t *value);       /* before the call that takes it */
void borrow_given(json_t *value);                         /* after it; NULL: nothing was taken */
void borrow_pause(void);                                  /* before the host may drop what it held */
void borrow_resume(void);                                 /* after it */
void borrow_replaced(const char *key);                    /* before a state value is put or deleted */
void borrow_placed(const char *key, const json_t *value); /* after it was given */
void borrow_forget(const char *what);                     /* before parts of what was taken so are replaced */
const char *borrow_end(char ret_text[200]);               /* what was wrong; NULL: nothing */

void memory_begin(void);                /* from now on blocks are known */
void memory_patch(const char *home);    /* the library's own malloc and free, too */
void memory_shift(int64_t seconds);     /* the library's clock, and its random numbers */
void memory_enter(const char *where);   /* the handler's code runs: its blocks are its own; NULL: it is over */
void memory_host(bool entered);         /* within a call of the host */
void memory_fail(int64_t nth, bool on); /* the nth request for memory from now fails; on: and all behind it. 0: none */
bool memory_call_fails(void);           /* counts a call of the host; true: it is to fail */
int64_t memory_events(void);            /* requests and calls counted since memory_fail */
bool memory_failed(void);               /* one has failed since */
const char *memory_wrong(void);         /* freed twice, or written to after that, since the last question; NULL */
size_t memory_left(json_t *ret_counts); /* blocks of handlers that were never freed; counts by "where" */

/* ---- checks ---- */

void check_vet(struct conform *c);
int check_manifest(struct conform *c, char *ret_error, size_t error_size); /* loads it, too */
void check_lifecycle(struct conform *c);
void check_messages(struct conform *c); /* and answers, limits, references, leaks, determinism */
void check_memory(struct conform *c);
void check_state(struct conform *c);
void check_kill(struct conform *c); /* and restart */
void check_process(struct conform *c);

/* messages_run.c: a child's part of check_messages */
struct messages {
    char home[CONFORM_PATH];
    int from, count;
    bool quiet;      /* findings are known from a run before */
    int64_t shift_s; /* of the clock that a turn must not ask */
    bool kills;      /* of the plugin's process, in the middle of turns */
    json_t *skip;    /* "component type" of operations that crashed */
    json_t *totals;  /* outcome -> number */
};
int messages_run(struct conform *c, void *messages);
/* messages.c: whether two homes hold the same turns; where not, a finding of `check`. Gives how many; -1: unreadable.
 */
void messages_survey(struct conform *c); /* what is sent to whom: peers take it from then on */
long long messages_compare(struct conform *c, const char *check, const char *remedy, const char *home_a,
                           const char *home_b);

/* draw.c: messages, and what is written down of them so that other runs can repeat them */
void draw_input(struct conform *c, struct gen *g, json_t *seen, int number, bool calm, struct input *ret_input);
json_t *step_of(const struct input *in); /* gives */
bool step_input(const struct conform *c, const json_t *step, int number, struct input *ret_input);
void input_free(struct input *in);

size_t operations_count(const struct conform *c);
const struct manifest_operation *operation_at(const struct conform *c, size_t i,
                                              const struct manifest_component **ret_component);

#endif
