/* The core as the rest of the host sees it: opened over a home, loaded, started, run by a loop, closed. Loop thread. */
#ifndef HOST_CORE_CORE_H
#define HOST_CORE_CORE_H

#include "config.h"
#include "id.h"
#include "manifest.h"
#include "page.h"
#include "services/http_client.h"
#include <uv.h>

struct core;

/* A handler about to run: what it returns is what `turn` returns. Borrowed. */
struct core_handler {
    int (*turn)(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route);
    void *instance;
    cvm_turn *t;
    const cvm_msg *m;
    uint32_t route;
    bool plugin; /* false: a component of the host */
};

static inline int core_handler_run(const struct core_handler *h)
{
    return h->turn(h->instance, h->t, h->m, h->route);
}

struct core_options {
    const char *home;        /* data/ is made in it */
    struct config *config;   /* borrowed; outlives the core; a reload reads it anew */
    const char *config_file; /* where it was read; NULL: HOME/config/cvmhost.json */
    const char *installed;   /* PREFIX/lib/cvmhost, NULL: none */
    const char *runner;      /* binary that runs plugins in processes of their own; NULL: the one that runs */
    uv_loop_t *loop;         /* NULL: virtual clock, in-loop writer; core_step() drives it */
    struct page *page;       /* NULL: a private one */
    uint64_t seed;           /* of the generator for ids without a key; 0: from the system */
    int64_t begin_ms;        /* where the virtual clock begins; 0: a fixed point */
    /* Virtual clock: how long the disk takes for what is submitted now; NULL: no time. */
    int64_t (*write_ms)(void *arg);
    void *write_arg;
    /* Sends an outgoing call; NULL: calls end as HTTP_NOT_SENT. */
    int (*send)(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle);
    void *send_arg;
    /* Runs a handler in place of the core, as core_handler_run() does; NULL: the core. For those who watch plugins. */
    int (*around)(void *arg, const struct core_handler *handler);
    void *around_arg;
    /* The command or path among these that is the host's own, which no plugin may claim. Borrowed; NULL: neither is.
     * Itself NULL: none is. */
    const char *(*owns)(const struct manifest_expose *expose);
    void (*fatal)(void *arg, int exit_status, const char *text); /* the host must end now (damaged database: 3) */
    void *fatal_arg;
};

int core_open(const struct core_options *options, struct core **ret_core, char *ret_error, size_t error_size);
/* Reads the manifests and loads the plugins. The first fault refuses the start and is named in `ret_error`. */
int core_load(struct core *core, char *ret_error, size_t error_size);
/* A component of the caller, as the host has its own: stands in for one that is not loaded. After core_open, before
 * core_load. `decl` is borrowed and outlives the core; its operations are the messages it takes, by index. */
int core_add_peer(struct core *core, const struct manifest_component *decl,
                  int (*turn)(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t operation));
/* Recovers what was open, then gives each component its "start". */
int core_start(struct core *core, char *ret_error, size_t error_size);
/* The components' "start" turns, and what they have sent, are not over yet: what they prepare may be missing. */
bool core_is_starting(const struct core *core);
/* A text model has no answer yet: it is being trained for the first time in this home. */
bool core_learns(const struct core *core);
/* Stops admission, lets the writer finish what was submitted, then calls `done`. Open work stays for the next start. */
void core_stop(struct core *core, void (*done)(void *), void *arg);
void core_close(struct core *core); /* after core_stop's done (or at once under the virtual clock) */

/* Virtual clock only: runs until nothing is queued, then advances time to the next timer at most `until_ms` and goes
 * on; returns the number of turns run. */
int64_t core_step(struct core *core, int64_t until_ms);
/* The same in smaller steps: fires what is due and runs at most `turns` turns; true: there is more to do now. */
bool core_tick(struct core *core, uint32_t turns);
int64_t core_next_ms(const struct core *core);       /* of the next timer; INT64_MAX: none */
void core_advance(struct core *core, int64_t to_ms); /* time passes; nothing runs */
int64_t core_now_ms(const struct core *core);

/* What the operator sees; each gives a new value. */
json_t *core_ps(const struct core *core);                       /* {"components": [..], "totals": {..}} */
json_t *core_plugins(const struct core *core);                  /* array */
json_t *core_plugin(const struct core *core, const char *name); /* by plugin name, component id or alias; NULL */
json_t *core_components(const struct core *core);               /* array */
void core_log_loaded(const struct core *core);                  /* a line for each plugin and each component */
uint64_t core_facts(const struct core *core); /* another number whenever settings or what is loaded may have changed */
int core_revive(struct core *core, const char *component);
/* The quarantined plugin of this name, or with a component of this id or alias; NULL: there is none. Borrowed. It comes
 * back by CHANGE_ENABLE. */
const char *core_quarantined(const struct core *core, const char *name);
/* Text models, each {"name", "plugin", "ready", "training", "hash", "examples", "features", "bytes",
 * "training_seconds", "heads", "file", "note"}: all, or those of a plugin. Gives a new array. */
json_t *core_models(const struct core *core, const char *plugin);
/* Adds what the operator should look at although the host serves: "quarantined": [plugins], "safe_mode": true; and how
 * many plugins are loaded, and failed: "plugins". A "status" that is "healthy" becomes "degraded" where something is
 * down. */
void core_health(const struct core *core, json_t *body);

/* Folds and prunes the journal now, after a pass that is under way: turns of conversations that were over before
 * `before_ms` (0: as journal.keep_days says). `dry` only counts. CVM_EBUSY: another one waits already; CVM_EINVAL: that
 * is in the future. `done` owns `report`: {"dry_run", "before_ms", "turns", "bytes", "conversations", "kept",
 * "dead_letters", "keys", "steps", "us", "longest_step_us"}, or {"text"} on error (NULL where the host stops). */
typedef void (*core_pruned)(void *arg, int error, json_t *report);
int core_prune(struct core *core, bool dry, int64_t before_ms, core_pruned done, void *arg);
json_t *core_keeping(const struct core *core); /* what pruning has done so far, and when it goes on */

/* Copies the database to HOME/data/backup.db, as it is when the copy is complete. CVM_EBUSY: one is being made.
 * `done` owns `report`: {"file", "bytes", "steps", "us", "longest_step_us"}, or {"text"} on error. */
int core_backup(struct core *core, core_pruned done, void *arg);

/* Dead letters are redriven by a request "redrive" {"number"} from outside to the host's component "host.redrive"; what
 * it keeps under the number, {"at", "message_id"}, is its state. Called by core_open. */
int redrive_register(struct core *core);

/* The jobs that wait and run, oldest first: [{"job", "component", "state": "running"|"waiting"|"ending", "id",
 * "conversation", "root", "seconds", "done", "total", "what"}]. Gives a new array. */
json_t *core_jobs(struct core *core);
/* In a handler of faults: whether the thread that faulted runs a job, which the page then says. */
bool job_faulted(struct page *page);

/* Pages of these figures that a component carried elsewhere, and that were dropped. */
void core_count_figures(struct core *core, size_t given, size_t dropped);
/* Prometheus text format. Gives a string for free(). */
char *core_metrics(const struct core *core);
/* NULL while healthy; else a sentence that says what is wrong (the store is full, ..). */
const char *core_unhealthy(const struct core *core);

/* A question to the committed data, on a worker with a read-only connection. `binds` is taken: array of values for ?1,
 * ?2, ..; a string that starts with "x'" binds a blob in hex. At most `limit` rows, each an object by column name;
 * column values that are JSON in columns named "record", "doc" or ending in "_json" stay text. `done` runs on the loop
 * and owns `rows` (NULL on error). */
typedef void (*core_rows)(void *arg, int error, json_t *rows, bool more);
int core_query(struct core *core, const char *sql, json_t *binds, size_t limit, core_rows done, void *arg);
/* A search (search.h), on the same worker. `question` is taken; `done` owns what was found, NULL where there is none.
 */
struct search_found {
    json_t *rows, *words, *also;
};
typedef void (*core_found)(void *arg, int error, const struct search_found *found);
int core_search(struct core *core, json_t *question, core_found done, void *arg);

/* clang-format off */
/* The journal, as `core_query` sees it (docs/reference/journal.md says it at length):
 *   turns(seq INTEGER PRIMARY KEY, at_ms, conversation INTEGER, component, message BLOB, type, sender, outcome, us, build,
 *         key_id, record): index on conversation
 *     outcome: OK, PENDING, REFUSED, ERROR (also after a fault), TIMEOUT, BUSY, UNKNOWN, DEAD
 *     record: JSON; its members are in docs/reference/journal.md: `run` and `in` say what it was given, `out`, `answers`,
 *       `calls`, `timers`, `context`, `state`, `rows`, `notes` what came of it, `reads` and `met` what it was told meanwhile
 *   host_configs(id INTEGER PRIMARY KEY, hash, at_ms, doc): what `run` names
 *   contexts(conversation INTEGER PRIMARY KEY, name, parent INTEGER, version, opened_ms, ended_ms, key_id, doc)
 *   state(component, key, value, version, turn, key_id; PRIMARY KEY(component, key))
 *   inbox(source, key, hash BLOB, message BLOB, at_ms, outcome, result; PRIMARY KEY(source, key))
 *   open_items(no INTEGER PRIMARY KEY, kind, doc): what recovery reads
 *   dead_letters(id INTEGER PRIMARY KEY, at_ms, message BLOB, component, type, reason, envelope)
 *   folded(conversation INTEGER PRIMARY KEY, name, folded_ms, first_seq, last_seq, first_ms, last_ms, turns, key_id, doc):
 *     what is left of a conversation whose turns were pruned
 *   audit_anchors(first_seq INTEGER PRIMARY KEY, last_seq, hash, n, at_ms): gaps that pruning left among the turns
 *   every table a manifest declares, under its own name; its column "conversation" makes its rows explainable by `why`
 *   views: audit_log, component_metrics, messages
 * The high half of a message id is its conversation's key, so a message leads to its conversation. */
/* clang-format on */

#endif
