/* What the files of sim/ share: one life (`struct sim`) with its disk, its outside, its clients and its audit. All on
 * the thread of its process. */
#ifndef HOST_SIM_PARTS_H
#define HOST_SIM_PARTS_H

#include "conform/parts.h"
#include "core/broken.h"
#include "core/reload.h"
#include "sim/disk.h"
#include "sim/sim.h"

#include <sqlite3.h>

#define SIM_PATH 1024
#define SIM_PLUGINS_MAX 64
#define SIM_CLIENTS_MAX 512
#define SIM_TRACE_LINES 24
#define SIM_TRACE_BYTES 300
#define SIM_TURNS_MAX 60000 /* of one seed; more is no rest */
#define SIM_CANARY "sim-key-7f3a91"

enum invariant {
    INV_HOST,      /* the host must not end */
    INV_ONCE,      /* what was accepted ends exactly once */
    INV_DURABLE,   /* nothing unsafe leaves before its cause is durable */
    INV_CHARGED,   /* nothing is charged twice, or kept without delivery */
    INV_LIMIT,     /* a resource stays within its limit */
    INV_REACH,     /* nothing is reached that the manifest does not name */
    INV_SERVICE,   /* a hostile plugin harms no other's service */
    INV_INPUT,     /* bad input gets an error and changes nothing */
    INV_SAME,      /* the same journal gives the same outputs */
    INV_EXPLAINED, /* all can be explained from what is stored */
    INV_CONSERVED, /* delivered = settled + queued + lent + dead */
    INV_STATE      /* what is stored is what the turns say */
};

/* ---- the plugins that are run (plugins.c): read once, by the parent ---- */

struct sim_plugin {
    char name[CVM_NAME_MAX + 1];
    char library[2][SIM_PATH], manifest[2][SIM_PATH]; /* by build; the second may be the first */
    struct manifest *decl;
};

struct sim_plugins {
    char folder[SIM_PATH];
    bool own; /* those that come with the simulation: what they mean is known */
    struct sim_plugin at[SIM_PLUGINS_MAX];
    size_t n;
    json_t *words;
    json_t *may_send, *publishes; /* sender -> object of recipients, topics; of all builds */
};

int plugins_find(struct sim_plugins *p, const char *folder, char *ret_error, size_t error_size);
void plugins_forget(struct sim_plugins *p);

/* ---- one life ---- */

struct client {
    struct sim *sim;
    char key[40], conversation[48], to[CVM_NAME_MAX + 1], type[CVM_NAME_MAX + 1];
    bool keyed, durable, probe;
    json_t *data;
    int priority;
    cvm_id id;
    bool running; /* taken by this core, and not answered yet */
    bool settled; /* answered for good */
    bool alone;   /* the other body of a key: never taken */
    int tries, outcome;
    json_t *answer;
    int64_t turns_then; /* of the hostile plugin when it was submitted; probes */
    int64_t at_ms;
};

/* How rough this life is; drawn from the seed. Percent. */
struct temper {
    unsigned outside, late, disk, slow, crash, change, fault, error, hostile, bad, read;
    int steps;
};

struct sim {
    const struct sim_options *options;
    const struct sim_plugins *plugins;
    uint64_t seed;
    struct gen gen;
    struct temper temper;
    char home[SIM_PATH];
    struct disk *disk;
    struct config *config;
    struct core *core;
    int64_t virtual_ms, begin_ms; /* as the core last said; where a new one begins */
    struct client *clients[SIM_CLIENTS_MAX];
    size_t n_clients;
    int number; /* of the next input */
    struct outside_world *world;
    struct auditor *audit;
    struct watch *watch;
    bool unreadable;            /* the disk could not be read: what came back meanwhile waits for a restart */
    bool calm;                  /* heal: nothing is broken on purpose any more */
    int build[SIM_PLUGINS_MAX]; /* whose files lie in the home; -1: none */
    int changes_open;           /* asked for and not answered */
    int64_t units;              /* the limit of the resource */
    int64_t slow_until_ms, turns, hostile_turns, crashes, changes, inputs;
    /* the verdict */
    bool failed;
    bool unfit; /* it failed before its life began: its plugins cannot be run */
    enum invariant invariant;
    char what[600];
    int64_t failed_at_ms;
    char trace[SIM_TRACE_LINES][SIM_TRACE_BYTES];
    uint64_t n_trace, digest;
};

/* life.c */
void sim_live(struct sim *s); /* home to end; the verdict is in it */
int sim_open(struct sim *s);  /* false in s->failed where it must not fail */
void sim_crash(struct sim *s, const char *how);
void sim_run_on(struct sim *s, int64_t ms); /* runs and lets time pass; crashes where the disk was cut */
void sim_ticks(struct sim *s, int ticks);   /* some turns, no time */
int64_t sim_now(const struct sim *s);
__attribute__((format(printf, 2, 3))) void sim_event(struct sim *s, const char *format, ...);
__attribute__((format(printf, 3, 4))) void sim_fail(struct sim *s, enum invariant which, const char *format, ...);
void sim_hash(struct sim *s, const void *bytes, size_t n);

/* home.c */
int life_home(struct sim *s, const char *root);
int life_put(struct sim *s, size_t plugin, int build); /* its files, in this build */
void life_away(struct sim *s);

/* actions.c */
void sim_act(struct sim *s); /* one thing of those that may happen */
void sim_heal(struct sim *s);

/* load.c: inputs */
struct client *load_new(struct sim *s);
void load_submit(struct sim *s, struct client *c);
void load_flood(struct sim *s); /* of the hostile plugin, and a look at what another's message gets meanwhile */
void load_bad(struct sim *s);   /* an input that must be refused */
void load_heal(struct sim *s);
void load_crashed(struct sim *s);
void load_end(struct sim *s); /* every client has its answer */
void load_free(struct sim *s);

/* outside.c: the world that calls reach */
int world_new(struct sim *s);
void world_free(struct sim *s);
int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle);
int64_t world_next(const struct sim *s);
bool world_deliver(struct sim *s); /* what is due; false: nothing was */
void world_crashed(struct sim *s); /* nobody waits for answers any more */
void world_end(struct sim *s);     /* its books */

/* watch.c: around handlers */
int guardian_new(struct sim *s);
void guardian_free(struct sim *s);
int guardian_around(void *arg, const struct core_handler *h);
void guardian_opened(struct sim *s);
void guardian_forgive(struct sim *s, const char *component);
const json_t *guardian_reads(const struct sim *s, const char *message); /* keys its handler read; NULL: not known */
bool guardian_meddled(const struct sim *s, const char *message);        /* the simulation made its turn fail */
void guardian_forget(struct sim *s, const char *message);

/* audit.c: the journal as it becomes durable */
int auditor_new(struct sim *s);
void auditor_free(struct sim *s);
void auditor_close(struct sim *s);  /* its connection */
void auditor_opened(struct sim *s); /* nothing that was durable is gone */
void auditor_read(struct sim *s);
void auditor_listen(struct sim *s);                     /* to what streams are told */
int auditor_calls(struct sim *s, const char *key);      /* how many calls with this key stand in the journal */
const json_t *auditor_answer(struct sim *s, cvm_id id); /* [outcome, data]; NULL: none */
void auditor_replay(struct sim *s);                     /* audit_replay.c */
void auditor_end(struct sim *s);                        /* everything has ended; state is as folded */

#endif
