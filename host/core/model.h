/* The things the core is made of, and how they hang together. Internal to host/core: services see core.h and edge.h.
 *
 * Everything here belongs to the loop thread. A `struct record` and what it points to is lent to the writer from
 * journal_flush() until it comes back; meanwhile the loop changes none of the fields the writer reads (they are set
 * before the lending), and the writer changes only fields marked "writer's". JSON values that are done with go to the
 * writer for good (journal_shed); parts of them may still be held here, so a value is changed in place only where
 * json_references() is 1. */
#ifndef HOST_CORE_MODEL_H
#define HOST_CORE_MODEL_H

#include "core.h"
#include "edge.h"
#include "id.h"
#include "json_text.h"
#include "log.h"
#include "manifest.h"
#include "names.h"
#include "registry.h"
#include "reload.h"
#include "stage.h"

#define CORE_REQUEST_TIMEOUT_MS 30000
#define CORE_REQUEST_TIMEOUT_MAX_MS (7 * 24 * 3600 * INT64_C(1000))
#define CORE_CALL_DEADLINE_MS 300000
#define CORE_PATHS 256          /* of contexts, whose texts are kept for the next turn that sets one */
#define CORE_QUANTUM 32         /* messages of one component before the next has its turn */
#define CORE_SLICE_US 1000      /* turns before I/O is polled */
#define CORE_VIRTUAL_SLICE 1024 /* messages of a slice under the virtual clock */
#define CORE_AHEAD_MAX 32768    /* turns that are not durable yet */
#define CORE_STOP_MS 2000       /* turns that may still run once the host stops */
#define CORE_AGE_MS 1000        /* waiting this long lifts a lane by a class */
#define CORE_PROBE_MS 30000     /* how often a component marked down is tried */
#define CORE_HARD_LIMIT_FACTOR 10
#define CORE_HARD_LIMIT_LEAST_MS 250
#define CORE_RETRIES_MAX 3
#define CORE_CONVERSATION_MESSAGES 10000
#define CORE_TURN_STATE_BYTES_MAX (4 * 1024 * 1024) /* keys and values a turn may write */
#define CORE_CONTEXT_MAX_BYTES (512 * 1024)         /* of a conversation's document */
#define CORE_READS_MAX_BYTES (32 * 1024 * 1024)     /* what the record of a turn says that it was told */
#define STATE_SCAN_MAX 1000                         /* pairs */
#define CORE_STATE_CACHE_MAX 200000                 /* entries */
#define CORE_STATE_CACHE_TTL_MS 300000              /* read anew after so long */
#define CORE_CLASSES 4
#define CORE_PROBATION_TURNS 200
#define CORE_PROBATION_MS 60000
#define CORE_PUBLISH_MAX 128 /* subscribers of a topic */

struct backup;
struct component;
struct conversation;
struct effect;
struct generation;
struct jobs;
struct keeper;
struct message;
struct plugin;
struct removal;
struct audit_events;
struct configuration;
struct record;
struct remote;
struct replay;
struct request;
struct timer;

/* ---- what recovery must find again: one row in open_items each ------------------------------------------------- */

enum item_kind { ITEM_MESSAGE, ITEM_REQUEST, ITEM_TIMER, ITEM_EFFECT };

struct item {
    cvm_id id;
    struct item *hash_next;
    int64_t no; /* key of its row; 0: never journalled (ephemeral, or an input not taken yet) */
    uint32_t refs;
    uint8_t kind; /* enum item_kind */
    bool hashed;
    bool written; /* writer's: the row stands in the table */
    bool doomed;  /* writer's: closed in the group in which it was opened */
};

/* ---- deadlines: one heap ------------------------------------------------------------------------------------------
 */

struct alarm {
    int64_t at_ms;
    uint64_t order; /* equal times fire in the order they were set */
    size_t index;   /* in the heap, from 1; 0: not set */
    void (*fire)(struct core *core, struct alarm *alarm);
};

/* ---- whom a message is about; shared by all messages it causes ------------------------------------------------ */

struct subject {
    uint32_t refs;
    bool restored; /* it was open in a backup: its calls may have been made in a time that is lost */
    cvm_id root;   /* the input from outside that began it */
    const char *enquiry_id, *customer_id, *session_id, *traceparent; /* in `text`, or "" */
    char text[];
};

/* ---- messages ---------------------------------------------------------------------------------------------------- */

enum message_place {
    PLACE_NONE,    /* behind others in its lane, or being handled */
    PLACE_RUN,     /* in the run queue of its class and recipient */
    PLACE_WAITING, /* beyond the recipient's concurrency, or kept until it is in service again */
    PLACE_AWAY     /* in the hands of its recipient's process */
};

struct message {
    struct item item;                        /* item.id == pub.id */
    cvm_msg pub;                             /* what the handler sees */
    struct message *next;                    /* in the lane */
    struct message *queue_next, *queue_prev; /* in a run queue, or among those waiting for a place */
    struct component *to, *from;             /* from: NULL for the outside */
    struct conversation *conversation;       /* NULL: ephemeral */
    struct subject *subject;
    struct request *request;  /* the open request it carries; NULL: none */
    struct item *origin;      /* the timer, effect or request that this message ends; NULL: none */
    const struct name *type;  /* the operation's; of a reply, the request's */
    const char *source, *key; /* of an input from outside, in `hash`ed inbox; else NULL */
    cvm_id cause;
    int64_t sent_by; /* the turn whose record has its envelope; 0: its own turn's has */
    json_t *data;    /* pub.data */
    json_t *tags;
    int64_t eligible_ms;
    uint32_t route; /* index for the plugin's turn function, where `epoch` is the binding's */
    uint32_t epoch;
    uint32_t weight;         /* about the bytes of its text; 0: not known */
    uint8_t class;           /* run queue it stands in */
    uint8_t place;           /* enum message_place */
    bool outside;            /* has left its lane before its turn */
    bool called;             /* a place is kept for it */
    uint8_t attempts, again; /* turns that faulted; turns of a process that were overtaken by others */
    bool input;              /* its envelope stands in the record of its own turn */
    uint8_t crashes;         /* of a process of its own, while it ran this: see remote.c */
    bool expired;            /* its request ended while it waited: to be dropped */
    bool reply;
    char *content; /* owned; NULL for "" */
};

/* ---- requests: end exactly once ------------------------------------------------------------------------------- */

struct request {
    struct item item;                  /* the row of a lent request; item.id is the id by which its holder knows it */
    struct alarm alarm;                /* its deadline */
    cvm_id asked;                      /* the id by which its asker knows it; differs after a forward */
    struct component *asker;           /* NULL: an edge, or the host for `effect` */
    struct conversation *conversation; /* the asker's lane; NULL: ephemeral */
    struct component *holder;
    struct component *taker; /* as its row says: also while the host holds it for a plugin that is away */
    struct message *message; /* while it waits in a queue; NULL: lent */
    const struct name *type;
    struct subject *subject;
    struct effect *effect; /* the host asks on behalf of this effect; NULL: no */
    struct inbox *inbox;   /* an edge asks: where the answer goes; NULL: nowhere */
    cvm_id on_behalf;
    int64_t deadline_ms;
    uint32_t young; /* place among those of this tick, from 1; 0: its deadline is set, or it has none */
    uint8_t priority;
    bool live;            /* open, and so holding a reference */
    bool ended, settling; /* settling: by the turn that runs now */
    bool edge;
};

struct timer {
    struct item item;
    struct alarm alarm;
    struct component *component;
    struct conversation *conversation;
    struct subject *subject;
    const struct name *type;
    json_t *data;
    cvm_id on_behalf;
    uint8_t priority;
    bool cancelled;
};

/* ---- effects: an outgoing call, a question to the tables, or a job --------------------------------------------- */

enum effect_state { EFFECT_HELD, EFFECT_WAITING, EFFECT_SENT, EFFECT_ASKING, EFFECT_ANSWERED };

struct effect {
    struct item item;
    struct alarm alarm; /* next attempt, or the deadline */
    struct component *component;
    struct conversation *conversation; /* NULL: ephemeral */
    struct subject *subject;
    const struct manifest_call *call; /* NULL: a query, or a job */
    bool job;                         /* `type` is its name, `body` its input */
    int64_t asked_ms;                 /* of a job: when */
    struct manifest *manifest;        /* held: `call` is a part of it */
    const struct name *type;          /* of the answer: "<call>.reply" is type->reply */
    char *url;                        /* of a call */
    json_t *headers, *body, *query;
    char *key;
    cvm_id on_behalf;
    int64_t timeout_ms, deadline_ms;
    uint64_t handle; /* of the attempt under way; 0: none */
    enum effect_state state;
    struct effect *sending_next; /* of the same conversation, calls of channels in order */
    bool recovered;
    bool doubtful; /* a mail that an earlier attempt may have delivered */
    uint32_t attempts, asked;
    uint8_t priority;
    struct core *core;
};

/* ---- the inbox: an input with a key, running or held until its answer is durable ----------------------------- */

struct waiter {
    struct waiter *next;
    edge_done done;
    void *arg;
    bool repeated;
};

struct inbox {
    struct inbox *next; /* in the bucket; unkeyed ones are in no bucket */
    char *source, *key; /* NULL: no key */
    uint8_t hash[32];
    cvm_id id;
    struct waiter *waiters;
    uint32_t refs;
    bool listed;
    struct core *core;
};

/* ---- conversations: lanes ---------------------------------------------------------------------------------------- */

struct conversation {
    struct conversation *hash_next;
    int64_t key;
    struct message *head, *tail; /* first in, first out; only the head is eligible */
    struct effect *sending;      /* calls of channels that have begun or wait for their turn */
    json_t *context;             /* an object; frozen, replaced by copies of changed paths */
    size_t context_bytes;        /* of its text, at most */
    int64_t version;             /* of the context */
    int64_t parent;              /* key of the conversation that opened it; 0: none */
    uint64_t touched;            /* plugins that took part, by their bits */
    int64_t opened_ms, ended_ms;
    uint32_t open;     /* messages, requests, timers, effects that belong to it, and records in flight */
    uint32_t messages; /* in its life, as far as this process knows */
    uint32_t limit;
    uint32_t by_priority[CORE_CLASSES]; /* messages in the lane, by priority */
    uint8_t class;                      /* highest priority waiting */
    bool scheduled;                     /* the head stands in a run queue, waits for a place, or runs */
    bool pinned;                        /* component:<id>: never leaves memory */
    bool dirty;                         /* its row (name, parent, end) is not journalled yet */
    struct record *last;                /* writer's: the last record of the group that changes it */
    struct record *unsent;              /* the last that holds the context and is not submitted yet; NULL: none */
    char name[];
};

/* ---- components -------------------------------------------------------------------------------------------------- */

struct queue {
    struct message *head, *tail;
};

struct route_slot {
    const struct name *type;
    const struct manifest_operation *operation; /* NULL: a reply, timer, topic or start */
    uint32_t route;
};

#define ROUTE_STATE_EDIT UINT32_MAX /* run by the host, not by the component */

struct counts {
    uint64_t delivered, settled, dead;
    uint64_t queued, lent;
    uint64_t turns, errors, refusals, faults, over_budget, busy, late_replies, unrouted;
    uint64_t us_total;
    uint64_t decisions; /* notes that say a confidence, and the sum of it */
    double confidence;
};

/* The function a component's turns run: the plugin's, or one of the host's own components. */
typedef int (*turn_fn)(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route);

/* What one generation says of one component. Queues, state, requests and timers are the component's and stay; this is
 * exchanged by one pointer store. */
struct binding {
    const struct manifest_component *decl;
    struct generation *generation; /* NULL: the host's own, or out of service */
    turn_fn turn;
    void *instance;
    struct remote *remote;     /* the process that runs it; NULL: it runs inside the host */
    const cvm_component *code; /* upgrade and downgrade; NULL: none */
    struct route_slot *slots;  /* open addressing by the type's pointer; size a power of two */
    uint32_t slot_mask;
    const struct route_slot *any_reply; /* takes replies that no other route takes; NULL: they are dropped */
    uint32_t epoch; /* no two bindings of a core have the same: says whether a route index is this one's */
    json_t *settings;
    int64_t concurrency; /* 0: no limit */
    int64_t mailbox, budget_us, hard_limit_ns;
    uint32_t conversation_limit;
};

struct component {
    const struct binding *now;    /* never NULL */
    const struct binding *before; /* of the generation before, while the new one is on probation; NULL: none */
    struct plugin *plugin;        /* NULL: the host's own */
    struct name *id;
    const char *alias; /* a name's text */
    uint32_t index;
    uint64_t salt;
    const uint64_t *may_send;  /* bit set of component indexes, in the registry */
    struct conversation *lane; /* component:<id> */
    struct queue run[CORE_CLASSES];
    struct component *active_next[CORE_CLASSES];
    bool active[CORE_CLASSES];
    struct queue waiting; /* requests beyond `concurrency` */
    int64_t called;       /* places kept for those of `waiting` that are in a run queue now */
    int64_t away;         /* requests that its process is working on */
    int64_t state_seq;    /* the last turn that wrote state of it, as far as this process knows */
    int64_t *strikes_at;  /* the last of them, as many as count; in no order */
    uint32_t n_strikes, strikes_cap;
    bool down, may_all;
    bool closing;                /* its plugin is being removed: nothing new comes in */
    bool absent;                 /* out of service: `now` has no routes */
    bool returning;              /* was so until the switch under way: what waits for it is in the store */
    int64_t complaints_since_ms; /* complain.c */
    uint32_t n_complaints;
    int64_t probe_ms;
    struct alarm probe;
    struct queue kept; /* while it is down: what cannot be answered BUSY */
    struct counts counts;
    json_t *metrics;                        /* what it publishes, metric.c; NULL: nothing yet */
    struct manifest_component nothing_decl; /* what `now` says when it is out of service */
    struct binding nothing;
};

/* One loaded build of a plugin. */
struct generation {
    struct plugin *plugin;
    uint32_t number; /* from 1; counts the loads of its plugin in this process */
    struct manifest *manifest;
    void *library;
    struct remote *remote; /* its process; NULL: it runs inside the host */
    const cvm_plugin_descriptor *descriptor;
    void *instance;
    bool created, may_unload;
    uint32_t jobs;                  /* runs of its code that have not ended */
    bool retired;                   /* it goes with the last of them */
    char build[65];                 /* SHA-256 of the library, in hex */
    char content[65];               /* of the manifest with its domain */
    const struct name *short_build; /* as turns name it */
    char *path;                     /* the private copy it was loaded from */
    struct binding *bindings;       /* in the manifest's order */
    struct component **components;
    struct table **tables;
};

/* Names a build beyond its life in memory; all "": none. */
struct build_mark {
    char version[32], build[65], content[65];
};

/* What the next start is to know of a plugin; phase "loading" while its new build is being brought in. */
struct plugin_row {
    char name[CVM_NAME_MAX + 1], phase[16];
    struct build_mark now, before, bad;
    enum placement placed;
};

enum plugin_phase {
    PLUGIN_RUNNING,
    PLUGIN_PROBATION,
    PLUGIN_REMOVING,
    PLUGIN_DISABLED,
    PLUGIN_GONE,
    PLUGIN_QUARANTINED /* not loaded: its code crashed the host, and it has no process of its own; quarantine.c */
};

/* A plugin by its name, over its generations. */
struct plugin {
    char *name;
    struct plugin *next;       /* by name */
    uint64_t bit;              /* in conversations' `touched` */
    struct generation *now;    /* NULL: disabled, quarantined or gone */
    struct generation *before; /* while on probation */
    enum plugin_phase phase;
    bool installed;        /* of the installed set, else of the home */
    enum placement placed; /* by the operator's `move`; PLACEMENT_ANY: as the rules say */
    bool one_way;          /* the build before cannot read what this one writes */
    uint32_t loads;
    /* probation */
    struct alarm alarm;
    uint32_t turns_left, strikes;
    uint8_t canary; /* while on probation it gets so many of a hundred conversations, the build before the others; 0: it
                       gets all */
    uint8_t canary_wanted;      /* of the change that is asked for */
    bool proving;               /* on probation when the host ended: another crash in its code still takes it back */
    struct build_mark previous; /* what a rollback goes back to */
    struct build_mark bad;      /* what was rolled back: not taken from the folder again unless named */
    const char *note;           /* static text for the operator; NULL: none */
    struct removal *removal;
    struct build_mark quarantined; /* the build that crashed the host: it runs outside, or not at all; "": none */
    bool faulty;                   /* quarantined for faults, which did the host no harm: until the next start */
    struct core *leaving;          /* on its way out of this host, for its faults; NULL: it is not */
    struct manifest *held;         /* of it where it is not loaded at all; else NULL */
};

/* ---- state cache ------------------------------------------------------------------------------------------------- */

struct state_entry {
    struct state_entry *hash_next;
    struct state_entry *pending_prev, *pending_next; /* list of those with changes not yet durable */
    struct component *component;
    json_t *value;       /* as it was written; NULL: no such key */
    uint32_t version;    /* state version of `value` */
    uint32_t view_epoch; /* of the binding that made `view` */
    json_t *view;        /* `value` in the version of the code that reads it now; NULL: not asked for */
    uint64_t hash;
    int64_t turn;        /* that wrote it; 0: unknown */
    int64_t read_ms;     /* when it was read from the store or written */
    uint32_t pending;    /* changes on their way to the journal */
    bool used;           /* for the cache's clock hand */
    struct record *last; /* writer's */
    char key[];
};

struct state_change {
    struct state_entry *entry;
    json_t *value;              /* NULL: delete */
    uint32_t text_at, text_len; /* where record_text() has put it */
};

struct row_change {
    struct table *table;
    json_t *row; /* NULL: delete */
    char *key;
    bool superseded; /* writer's: a later change of its group is of the same row */
};

/* ---- the record of a turn, lent to the writer -------------------------------------------------------------------- */

struct inbox_change {
    struct inbox *inbox;
    int outcome; /* -1: taken; else the answer */
    json_t *result;
};

struct dead_letter {
    struct message *message;
    const char *reason; /* static text */
};

struct context_change {
    json_t *path;  /* string */
    json_t *value; /* NULL: removed */
};

struct record {
    struct record *next;
    int64_t seq, at_ms;
    struct conversation *conversation;
    struct component *component;
    struct message *message; /* the input of the turn */
    const char *outcome;     /* static text */
    int64_t us;
    const char *build; /* of the code that ran; a name's text or "" */
    uint32_t state_version;
    struct configuration *configuration;       /* in force; NULL: none known */
    json_t *context;                           /* after the turn; NULL: not changed */
    int64_t context_version, ended_ms, parent; /* copies: the conversation goes on meanwhile */
    int64_t context_before;                    /* the version that the handler saw */
    bool contexts_row;                         /* write the conversation's row */
    bool takes, taken;                         /* the context, of the record before; by the one after: one group */
    bool divisible;                            /* a group may end here */
    bool ended;                                /* this turn ended it */
    json_t *notes;                             /* array; NULL: none */
    json_t *extra;                             /* object: error, met, ..; NULL: none, as of most */
    const char *reads;                         /* JSON text: what it was told, with commas between; "": nothing */
    struct context_change *changes;            /* of the context */
    struct message **outs;
    struct item **opens, **closes;
    struct state_change *states;
    struct row_change *rows;
    struct inbox_change *inboxes;
    struct dead_letter *dead;
    struct edge_publication *told_out;
    uint32_t led; /* place in `outs`, from 1, of what the engine took within this turn; 0: nothing */
    uint32_t n_outs, n_opens, n_closes, n_states, n_rows, n_inboxes, n_dead, n_told_out, n_changes;
};

/* ---- a turn under way ----------------------------------------------------------------------------------------------
 */

#define VECTOR(type)                                                                                                   \
    struct {                                                                                                           \
        type *at;                                                                                                      \
        uint32_t n, cap;                                                                                               \
    }

struct answer { /* a request that this turn ends */
    struct request *request;
    struct message *reply; /* NULL: an edge or an effect asked */
    int outcome;           /* ANSWER_FORWARDED: handed on, nothing to tell */
    json_t *data;          /* NULL: the reply has it */
    char *content;         /* owned */
};

#define ANSWER_FORWARDED (-1)

struct overwritten { /* a member of a context that is changed in place */
    json_t *value;   /* NULL: there was none */
    char name[CVM_NAME_MAX + 1];
};

struct turn {
    cvm_turn pub; /* first: the handler holds a pointer to it */
    struct core *core;
    struct component *component;
    struct conversation *conversation;
    struct message *message;
    json_t *context;                   /* changed; NULL: unchanged */
    bool in_place;                     /* it is the conversation's own, that has none meanwhile */
    struct record *took;               /* the record that held it as well; NULL: none did */
    VECTOR(struct overwritten) before; /* in place: what it was */
    size_t context_bytes;              /* of the changed copy */
    VECTOR(struct context_change) changes;
    struct text reads;           /* what it was told, as its record says it */
    json_t *trial_reads;         /* the same in a trial: array; NULL: nothing */
    json_t *notes, *error, *ids; /* arrays and object for the record; NULL: none */
    VECTOR(struct message *) outs;
    VECTOR(struct answer) answers;
    VECTOR(struct item *) opens;  /* timers and effects it makes */
    VECTOR(struct item *) closes; /* timers it cancels */
    VECTOR(struct state_change) states;
    VECTOR(struct row_change) rows;
    VECTOR(struct dead_letter) dead;
    VECTOR(struct edge_publication) told_out; /* what clients are told when it is durable */
    size_t bytes;                             /* of all it puts out; turn_count keeps it within CVM_TURN_BYTES_MAX */
    size_t state_bytes;
    uint32_t ordinal;
    struct message *led; /* of what it puts out, the engine has taken this: lead.c; NULL: nothing */
    uint64_t random;
    json_t *metrics; /* what it publishes; NULL: nothing */
    json_t *denied;  /* what the manifest did not allow; outlives the undoing, ends in the record */
    json_t *met;     /* what its functions answered by how full, sick or late others were; the same */
    json_t *refusal; /* body of a refusal; outlives the undoing */
    int refusal_outcome;
    bool ended; /* cvm_end */
    bool random_seeded;
    bool lend;             /* the handler returned PENDING on an open request */
    const char *unhandled; /* the host ended the message, no handler ran: why it became a dead letter, or ""; static */
    bool trial;            /* only to see what it would do: it will be undone */
    bool told;             /* what is refused now was refused in a trial, and said in the log */
    uint32_t tried;        /* outputs of trials before this one */
    int64_t dropped;       /* keys in the range of the scan that is tried, which the turn has removed */
    bool unreadable;       /* stored state could not be turned into the version of the code that runs */
};

/* Messages, answers, timers and calls of the turn so far. */
static inline uint32_t turn_outputs(const struct turn *t)
{
    return t->tried + t->outs.n + t->answers.n + t->opens.n;
}

/* Counts what a turn puts out; CVM_ELIMIT, and nothing counted, where it would be too much. */
static inline int turn_count(struct turn *t, size_t bytes)
{
    if (bytes > CVM_TURN_BYTES_MAX - t->bytes)
        return CVM_ELIMIT;
    t->bytes += bytes;
    return 0;
}

/* ---- loop, journal, store ------------------------------------------------------------------------------------------
 */

/* What is held until a turn is durable. */
struct held {
    struct held *next;
    int64_t seq;
    struct effect *effect; /* begins */
    struct inbox *inbox;   /* answers its waiters */
    int outcome;
    json_t *data;
    char *content;
};

/* A table as one generation declares it; shared by the generations that declare it alike. */
struct table {
    const struct manifest_table *decl;
    struct manifest *manifest; /* held: `decl` is a part of it */
    struct plugin *plugin;
    void *put, *del;             /* writer's prepared statements */
    struct search_index *search; /* writer's; NULL: it is not searched */
    uint32_t refs;               /* generations, and changes of rows on their way to the store */
};

struct edge_tap {
    struct edge_tap *next;
    cvm_id root;
    edge_tap_fn fn;
    void *arg;
    bool closed;
};

#define CORE_HASH_BUCKETS 65536

struct core {
    struct core_options options;
    char *home;
    uint64_t seed;
    uint64_t input_key;      /* of the newest conversation that an input began */
    int64_t now_ms;          /* of this tick */
    int64_t tick_cpu_us;     /* the thread's processor time when it began; 0 under the virtual clock */
    int64_t clock_offset_ms; /* from the steady clock to the wall's */
    int64_t virtual_ms;
    struct names *names;
    json_t *paths[CORE_PATHS]; /* of contexts, by hash: those last set */
    struct name *name_start, *name_query, *name_timeout, *name_change, *name_registry;

    /* plugins */
    struct plugin *plugins;
    uint32_t n_plugins;
    struct component **components;
    uint32_t n_components, components_cap;
    uint32_t epoch;
    struct registry *registry;
    uint64_t registry_version;
    struct alarm registry_told; /* to tell those who want to know that it has changed */
    struct component *host, *engine;
    struct remote *remotes;          /* plugins' own processes */
    json_t *moved;                   /* object: plugin -> enum placement; never changed, only exchanged */
    json_t *quarantined;             /* object: plugin -> "build content"; never changed, only exchanged */
    struct seen *seen;               /* while plugins and models are loaded at the start */
    struct sqlite3_stmt *plugin_row; /* while plugins are loaded at the start */
    uint64_t facts;                  /* rises whenever settings, secrets or the registry may have changed */
    struct reload *reload;
    int64_t parked_seq; /* the last turn that may have parked something */
    uint32_t mapped;    /* libraries of retired generations that cannot be unloaded */

    /* conversations, open things */
    struct conversation **conversations;
    struct item **items;
    struct inbox **inboxes;
    uint32_t n_conversations;
    VECTOR(struct alarm *) alarms; /* heap, from index 1 */
    uint64_t alarm_order;

    /* scheduling */
    struct component *active_head[CORE_CLASSES], *active_tail[CORE_CLASSES];
    uint64_t runnable;
    struct message *follow; /* the last that a turn made eligible, while it stands in a run queue */
    int64_t aged_ms;
    uint32_t slice; /* turns of one, under the virtual clock */
    struct turn turn;
    struct message *free_messages;
    struct request *free_requests;
    VECTOR(struct request *) young;

    /* state */
    struct state_entry **states;
    uint32_t n_states, state_hand;
    struct state_entry *pending;
    struct route_slot state_edit[2]; /* state_edit.c */

    /* journal */
    int64_t seq, durable, item_no;
    struct record *batch, *batch_tail;
    struct held *held, *held_tail;
    struct journal *journal;
    struct store *reader; /* the loop's own read-only connection */
    struct query_service *queries;
    struct jobs *jobs; /* NULL: none yet */
    struct keeper *keeper;
    struct backup *backup;
    uint64_t short_id_key;
    uint32_t starting; /* first turns of components that have not ended */
    bool stopping, accepting;
    int64_t stop_ms;     /* stopping: no turns from then on */
    const char *trouble; /* the store cannot commit; NULL: it can */
    int64_t bytes_queued;

    struct audit_events *events;                          /* audit_event.c: not written yet; NULL: none */
    struct configuration *configurations, *configuration; /* all of this run; in force as of the last turn */
    uint64_t configured_registry, configured_settings;    /* what it was made of */
    json_t *known_builds;                                 /* texts of recent ones: builds that a replay needs */
    struct replay *replay; /* this core runs recorded turns again: nothing is kept, nothing leaves; NULL: no */
    struct edge_tap *taps;
    edge_published published; /* NULL: nobody listens */
    void *published_arg;
    struct transitions *transitions;
    struct regexes *regexes;
    struct models *models;

    /* totals */
    struct {
        uint64_t figures_given, figures_dropped; /* pages of them */
        uint64_t turns, inputs, refused_busy, dead_letters, transitions_denied, late_replies, calls, call_unknown,
            timeouts, records, secrets_refused, repeated, state_hits, state_misses, jobs;
    } total;

    /* loop */
    uv_idle_t *idle;
    uv_prepare_t *prepare;
    uv_timer_t *clock;
    uv_async_t *wake;
    int handles;
    int64_t clock_at; /* the deadline the loop's timer is set for; 0: none */
    void (*stopped)(void *);
    void *stopped_arg;
    struct page *page, *own_page;
};

struct topic {
    const struct name *name;
    VECTOR(struct component *) subscribers;
};

struct alias { /* that names one component only */
    struct name *name;
    struct component *component;
};

/* What the generations in service say together. Built aside, then exchanged as a whole. */
struct registry {
    struct operation *operations;
    size_t n_operations;
    struct registry_page *all_pages;
    size_t n_pages;
    struct registry_stream *streams;
    size_t n_streams;
    VECTOR(const struct name *) streamed;                         /* the topics of all streams, each once */
    json_t *domains, *components, *knowledge, *pages, *workflows; /* what cvm_registry gives */
    VECTOR(struct topic *) topics;
    uint64_t *may_send; /* rows of `words` for each component */
    size_t words;
    uint32_t n_components; /* rows */
    VECTOR(struct alias) aliases;
};

/* Room for one more in a VECTOR, and appending to it; false: out of memory. */
bool vector_grow(void *at, uint32_t *cap, size_t size);
#define VECTOR_ROOM(v) ((v).n < (v).cap || vector_grow(&(v).at, &(v).cap, sizeof *(v).at))
#define VECTOR_PUSH(v, value) (VECTOR_ROOM(v) ? ((v).at[(v).n++] = (value), true) : false)

/* All zero, by the library: of a size that it knows the compiler makes a loop of words, which costs several times as
 * much for what a message and a request need. */
static inline void clear_bytes(void *at, size_t size)
{
    __asm__("" : "+r"(size));
    memset(at, 0, size);
}

/* Of a message that answers: no operation, topic or timer is called so. */
static inline bool name_is_reply(const struct name *name)
{
    return name->len > 6 && memcmp(name->text + name->len - 6, ".reply", 6) == 0;
}

static inline const struct route_slot *binding_route(const struct binding *b, const struct name *type)
{
    for (uint32_t i = type->hash;; i++) {
        const struct route_slot *slot = &b->slots[i & b->slot_mask];
        if (slot->type == type)
            return slot;
        if (!slot->type)
            return b->any_reply && name_is_reply(type) ? b->any_reply : NULL;
    }
}

static inline const struct route_slot *component_route(const struct component *component, const struct name *type)
{
    return binding_route(component->now, type);
}

/* The name by which its handler is found. */
static inline const struct name *message_entry(const struct message *m)
{
    return m->reply ? m->type->reply : m->type;
}

static inline bool component_may_send(const struct component *from, const struct component *to)
{
    return from->may_all || from == to || !to->plugin || (from->may_send[to->index / 64] >> (to->index % 64) & 1);
}

/* Stands in the journal, or will: so must its end. */
static inline bool request_durable(const struct request *r)
{
    return r->item.no || r->conversation || (r->message && r->message->conversation);
}

/* Who opens a conversation says how many messages it may have. */
static inline void conversation_limit(struct conversation *conversation, const struct component *opener)
{
    if (!conversation->limit)
        conversation->limit =
            opener->now->conversation_limit ? opener->now->conversation_limit : CORE_CONVERSATION_MESSAGES;
}

/* The conservation law, asserted at every turn. */
static inline void component_assert(const struct component *c)
{
    if (c->counts.delivered != c->counts.settled + c->counts.queued + c->counts.lent + c->counts.dead)
        __builtin_trap();
}

#endif
