/* What the parts of the harness share. One thread. */
#ifndef SDK_HARNESS_PRIVATE_H
#define SDK_HARNESS_PRIVATE_H

#include <cvm/harness.h>

#define HARNESS_COMPONENTS_MAX 64
#define HARNESS_PLUGINS_MAX 16
#define HARNESS_ITEMS_MAX 8192
#define HARNESS_CANCELLED_MAX 64

struct harness_plugin {
    const cvm_plugin_descriptor *descriptor;
    void *instance, *library; /* library: from dlopen, or NULL */
    json_t *manifest;
    char folder[4096]; /* of the files beside its manifest */
};

struct harness_component {
    const char *id, *alias; /* of the manifest; alias may be "" */
    struct harness_plugin *plugin;
    const json_t *decl;
    json_t *settings;
    json_t *state, *versions, *dumps; /* key -> value, state version, text of the value as it was frozen */
};

struct harness_item { /* a message, a timer, an open request, an open call, a job */
    enum { ITEM_QUEUED, ITEM_TIMER, ITEM_OPEN, ITEM_CALL, ITEM_JOB } kind;
    cvm_id id, in_reply_to, on_behalf;
    cvm_id asked;                        /* of an open request: the id its asker knows */
    struct harness_component *to, *from; /* from: NULL for outside; to: NULL for a stub or the outside */
    char *type, *conversation, *enquiry, *customer, *session, *sender;
    json_t *data;
    int outcome;
    int64_t at_ms; /* a timer's time, an open request's deadline */
    bool reply, request;
};

struct harness_turn {
    cvm_turn pub; /* must be first */
    struct harness *h;
    struct harness_component *c;
    const struct harness_item *m;
    bool ephemeral;
    uint64_t ordinal;
    struct harness_item made[CVM_TURN_OUTPUTS_MAX];
    size_t n_made;
    struct {
        cvm_id request;
        int outcome;
        json_t *data;
        struct harness_component *forward; /* NULL: settled */
        cvm_id id;                         /* under which it goes on */
    } settled[CVM_TURN_OUTPUTS_MAX];
    size_t n_settled;
    cvm_id cancelled[HARNESS_CANCELLED_MAX];
    size_t n_cancelled;
    json_t *refusal, *notes, *sent;
};

struct harness {
    int64_t now;
    uint64_t counter;
    struct harness_plugin plugins[HARNESS_PLUGINS_MAX];
    size_t n_plugins;
    struct harness_component components[HARNESS_COMPONENTS_MAX];
    size_t n_components;
    struct harness_item items[HARNESS_ITEMS_MAX];
    size_t n_items;
    json_t *rows, *contexts, *results, *registry, *domains, *workflows, *pages, *secrets, *stubs, *sent, *timers,
        *notes, *logs, *retired;
    json_t *tables;  /* name -> {"key"}: of those whose plugin is not there */
    char home[4096]; /* "": none */
    json_t *models;  /* model -> text ("": any) -> labels */
    char enquiry[CVM_NAME_MAX + 1], customer[CVM_NAME_MAX + 1], session[CVM_NAME_MAX + 1];
};

/* Where handlers call: table.c, and kept.c for what outlives the turn. */

#define EPHEMERAL "an operation with \"durable\": false may change nothing that is kept"

static inline struct harness_turn *of(cvm_turn *t)
{
    return (struct harness_turn *)t;
}

/* Logs why `call` was refused, with what would allow it; returns `error`. */
int harness__complain(const struct harness_turn *t, int error, const char *call, const char *what, const char *remedy);
/* A message of the turn, for what it is about to emit; NULL: too many. */
struct harness_item *harness__make(struct harness_turn *t, const char *type, const char *conversation);

int harness__query(cvm_turn *pub, const cvm_query *q);
const json_t *harness__context(cvm_turn *pub);
int harness__context_set(cvm_turn *pub, const char *path, json_t *value);
int harness__state_get(cvm_turn *pub, const char *key, const json_t **ret_value);
int harness__state_put(cvm_turn *pub, const char *key, json_t *value);
int harness__state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs);
int harness__row_put(cvm_turn *pub, const char *name, json_t *row);
int harness__row_del(cvm_turn *pub, const char *name, const char *key);
extern const cvm_host harness_table;

_Noreturn void harness__die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line for harness_logs, and for standard error if CVM_HARNESS_LOG is set. */
void harness__log(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A job of the manifest; NULL: it has none of that name. */
const json_t *harness__job(const struct harness_component *c, const char *name);
/* Runs it. Borrows the input, gives the data of its answer and the outcome. */
int harness__run_job(struct harness *h, struct harness_component *c, const char *name, cvm_id run, const json_t *input,
                     json_t **ret_data);

cvm_id harness__id(struct harness *h);
bool harness__lists(const json_t *array, const char *text);
struct harness_component *harness__component(struct harness *h, const char *name); /* NULL: there is none */
int harness__route(const struct harness_component *c, const char *type);           /* < 0: there is none */
const json_t *harness__operation(const struct harness_component *c, const char *type);
struct harness_item *harness__open(struct harness *h, cvm_id id); /* a request or call; NULL: it is not open */
/* Ends an open request: its reply is queued, or kept as a result. Takes data. */
bool harness__end(struct harness *h, cvm_id id, int outcome, json_t *data);

/* Holds a value against a schema of a manifest. 0, or CVM_EINVAL with the field's path and a sentence. */
int harness__schema(const json_t *manifest, const json_t *schema, const json_t *value, char ret_field[160],
                    char ret_text[160]);

/* PCRE2, found at run time. Same return as cvm_match. */
int harness__match(const char *pattern, bool caseless, const char *text, size_t offset, cvm_span *spans, size_t n);

#endif
