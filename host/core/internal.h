/* What the core's files offer each other, grouped by file. Loop thread unless said otherwise. */
#ifndef HOST_CORE_INTERNAL_H
#define HOST_CORE_INTERNAL_H

#include "core/envelope_words.h"
#include "model.h"

#include <assert.h>
#include <stdlib.h>

/* item.c: open things by id */
void item_insert(struct core *core, struct item *item);
void item_remove(struct core *core, struct item *item);
struct item *item_find(struct core *core, cvm_id id, enum item_kind kind);
void item_free(struct core *core, struct item *item);
static inline void item_release(struct core *core, struct item *item) /* frees at the last reference */
{
    assert(item->refs > 0);
    if (--item->refs == 0)
        item_free(core, item);
}

/* alarm.c: deadlines */
int alarm_set(struct core *core, struct alarm *alarm, int64_t at_ms, void (*fire)(struct core *, struct alarm *));
void alarm_clear(struct core *core, struct alarm *alarm);
int64_t alarm_next(const struct core *core);   /* INT64_MAX: none */
int alarms_fire(struct core *core, int limit); /* those due at now_ms; returns how many */

/* message.c */
struct subject *subject_new(cvm_id root, const char *enquiry_id, const char *customer_id, const char *session_id,
                            const char *traceparent);
struct subject *subject_derive(struct subject *from, const char *enquiry_id, const char *customer_id,
                               const char *session_id); /* gives a reference; `from` itself where nothing differs */
static inline struct subject *subject_hold(struct subject *subject) /* accepts NULL; gives it */
{
    if (subject)
        subject->refs++;
    return subject;
}
static inline void subject_release(struct subject *subject) /* accepts NULL */
{
    if (subject && --subject->refs == 0)
        free(subject);
}
struct message *message_new(struct core *core, const struct name *type); /* one reference, data NULL */
void message_set_subject(struct message *m, struct subject *subject);    /* takes the reference */
void message_set_content(struct message *m, const char *content);        /* copies */
void message_free(struct core *core, struct message *m);
enum envelope_form { ENVELOPE_WHOLE, ENVELOPE_SHORT };
void envelope_text(struct text *text, const struct message *m, enum envelope_form form); /* also the writer's thread */
json_t *envelope_json(const struct message *m);                                          /* gives a new value */

/* conversation.c: lanes */
bool conversation_is_anothers(struct core *core, const char *name); /* its key is that of one with another name */
struct conversation *conversation_open(struct core *core, const char *name,
                                       bool fresh); /* NULL: no memory, or its document cannot be read */
void conversation_hold(struct conversation *conversation);
void conversation_release(struct core *core,
                          struct conversation *conversation); /* leaves memory when nothing is open */
void lane_append(struct core *core, struct message *m);
void lane_resume(struct core *core, struct conversation *conversation); /* the head is done: schedule the next */
void lane_put_back(struct core *core, struct message *m);               /* to the front, eligible again */
void lane_take(struct core *core, struct message *m);                   /* out of it, wherever it stands */

/* schedule.c */
void post(struct core *core, struct message *m);         /* deliver to its recipient's queue; takes the reference */
void schedule(struct core *core, struct message *m);     /* into the run queue of its class and recipient */
bool schedule_run(struct core *core, int64_t budget_us); /* true: there is more to run */
void schedule_place_freed(struct core *core, struct component *c);
void schedule_lift(struct core *core, struct message *m, uint8_t class);
void schedule_kept(struct core *core, struct component *c, bool all);
void schedule_drop(struct core *core, struct message *m);
void schedule_take(struct core *core, struct message *m, struct queue *q, bool waiting);
void schedule_unrun(struct core *core, struct message *m);
void kick(struct core *core); /* makes the loop run turns */

/* turn.c */
void turn_run(struct core *core, struct message *m);
void turn_begin(struct core *core, struct component *component, struct conversation *conversation, struct message *m);
void turn_commit(struct core *core, const char *outcome, int64_t us);
void turn_undo(struct core *core);
/* The message ends without its handler: the requester gets `outcome` with {"code", "message"}; a message nobody waits
 * for becomes a dead letter where `dead` is given (static text). */
void turn_fail(struct core *core, struct message *m, int outcome, const char *code, const char *text, const char *dead);
/* Runs `m` at once as a turn of its component, without a queue, and keeps apart what it would do; or undoes it and
 * returns its error. turn_settle_tried keeps or drops it. */
/* The same turn has run in another process: its effects stand in core->turn, or `result` is why not. */
void turn_conclude(struct core *core, struct message *m, int result, int64_t us);
void turn_drop(struct core *core, struct message *m); /* ends a message without a turn */
/* The process that was working on it has ended, `by_others`: not by itself and not by the host. */
void turn_crashed(struct core *core, struct message *m, bool by_others);
int turn_try(struct core *core, struct message *m, struct turn *ret_turn);
void turn_settle_tried(struct core *core, struct turn *tried, bool keep);
void turn_reset(struct core *core); /* without giving back the memory it has */
void turn_free(struct core *core);
/* What the turn was told, for its record: anything (taken), or which turn's value of a key it read. In a trial it is
 * kept as JSON, for the turn that is kept in the end; else it becomes text at once. */
void turn_note_read(struct turn *t, json_t *read);
void turn_note_key(struct turn *t, const char *key, int64_t turn);
/* What decides a function's answer beside the turn's own inputs, for the record: `what` is "full", "sick", "over",
 * "late" or "gone"; see docs/reference/journal.md. */
void turn_met(struct turn *t, const char *what, const char *name);
void turn_met_id(struct turn *t, const char *what, cvm_id id);
void answer_undo(struct core *core, struct answer *a); /* it is not among the turn's answers any more */
extern const cvm_host turn_api;                        /* turn_api.c */

/* lead.c: the conversation engine takes the answer of an agent within that agent's turn, where it can */
void turn_lead(struct core *core);

void complain_of_handler(const struct core *core, struct component *c, const char *type, int error); /* complain.c */
/* complain.c: the functions below for handlers, with a line in the log where they refuse */
int told_emit(cvm_turn *t, const cvm_out *out, cvm_id *ret_id);
int told_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content);
int told_timer(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id);
int told_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id);
int told_query(cvm_turn *t, const cvm_query *query);
int told_job(cvm_turn *t, const char *name, json_t *input, cvm_id on_behalf, int64_t timeout_ms);
int told_context_set(cvm_turn *t, const char *path, json_t *value);
int told_state_put(cvm_turn *t, const char *key, json_t *value);
int told_new_id(cvm_turn *t, const char *prefix, char *ret_id, size_t size);
int told_classify(cvm_turn *t, const char *model, const char *text, json_t **ret_labels);
int told_row_put(cvm_turn *t, const char *table, json_t *row);
int told_row_del(cvm_turn *t, const char *table, const char *key);

/* turn_configuration.c: what turns name as the configuration in force */
struct configuration *configuration_now(struct core *core); /* NULL: no memory */
int configuration_open(struct core *core, char *ret_error, size_t error_size);
void configuration_close(struct core *core);
void configuration_digest(uint64_t key, const char *name, const char *value, char ret_hex[17]); /* of a secret */
bool configuration_names(const struct core *core,
                         const char *hash); /* a build or manifest, in one of the recent ones */
int64_t configuration_id(const struct configuration *configuration); /* NULL: 0 */
int configuration_pretend(struct core *core, int64_t id);            /* a core that replays: what its records name */
const char *configuration_unwritten(const struct configuration *c, int64_t *ret_id, const char **ret_hash,
                                    int64_t *ret_at_ms); /* writer's; its document, NULL: it is stored */
void configuration_written(struct configuration *c);     /* writer's; its group is committed */

/* remote.c, remote_link.c: plugins in processes of their own */
struct link;
/* Starts a process for the build at `path` and waits until it is ready: any thread. */
int remote_launch(const struct manifest *m, const char *path, const char *runner, struct link **ret_link,
                  json_t **ret_ready, char *ret_error, size_t error_size);
int remote_open(struct core *core, struct generation *g, struct candidate *candidate, char *error, size_t size);
void remote_free(struct remote *remote);               /* accepts NULL */
void remote_run(struct core *core, struct message *m); /* hands it over; its turn ends when the process says so */
void remote_recall(struct generation *g);              /* takes back what it has in hand; accepts NULL */
void remote_put_back(struct core *core, struct message *m);
int remote_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route); /* at once: waits for its end */
int remote_convert(struct remote *remote, const char *component, bool down, uint32_t version, const char *key,
                   const json_t *value, json_t **ret_value);
bool remotes_tick(struct core *core); /* sends what the tick has handed over; true: more of theirs waits */
void remotes_stop(struct core *core);
void remotes_detach(struct core *core);           /* the core ends: the loop may keep a handle of theirs longer */
pid_t remote_pid(const struct remote *remote);    /* 0: none runs */
json_t *remote_json(const struct remote *remote); /* {"pid", "state", "restarts", "in_hand", "waiting"} */
void core_handle_closed(struct core *core);       /* core.c: one of core->handles */

/* emit.c: messages out */
int turn_emit(cvm_turn *t, const cvm_out *out, cvm_id *ret_id); /* takes data and tags where it succeeds */

/* request.c */
struct request *request_alloc(struct core *core);
void requests_age(struct core *core); /* the tick is over */
struct request *request_new(struct core *core, struct message *carrier, int64_t deadline_ms);
void request_answer(struct core *core, struct turn *t, struct request *r, int outcome, json_t *data,
                    const char *content); /* adds the answer to the turn; takes data */
void request_lend(struct core *core, struct request *r);
void request_end(struct core *core, struct request *r);
void request_free(struct core *core, struct request *r);
struct request *request_find(struct turn *t, cvm_id id); /* borrowed */
int turn_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content);
void request_resume(struct core *core, struct request *r); /* sets the deadline's alarm */

/* timer.c */
int turn_timer(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id);
int turn_timer_cancel(cvm_turn *t, cvm_id id);
void timer_arm(struct core *core, struct timer *timer);
void timer_cancel(struct core *core, struct timer *timer); /* its turn is committed */
void timer_free(struct core *core, struct timer *timer);

/* effect_make.c: turn_call, turn_query, turn_job, effect_find_call; effect.c: the rest */
int turn_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id);
int turn_query(cvm_turn *t, const cvm_query *query);
int turn_job(cvm_turn *t, const char *name, json_t *input, cvm_id on_behalf, int64_t timeout_ms); /* takes input */
/* A request to an operation that is "durable": false, out of a durable turn. Takes the data where it succeeds. */
int effect_look(struct turn *t, const cvm_out *out, struct component *to, const struct route_slot *slot, size_t bytes,
                cvm_id *ret_id);
bool effect_is_look(const struct effect *e);              /* it asks within the host: it begins with its turn */
void effect_begin(struct core *core, struct effect *e);   /* its turn is durable */
void effect_recover(struct core *core, struct effect *e); /* may have been sent before a crash */
void effect_verified(struct core *core, struct effect *e, int outcome, const json_t *data, const char *content);
void effect_free(struct core *core, struct effect *e);
void effect_answer(struct core *core, struct effect *e, int outcome, json_t *data); /* takes data; at most once */
void effect_leave(struct core *core, struct effect *e); /* its plugin goes; what is durable comes back with it */
const struct manifest_call *effect_find_call(const struct component *c, const char *name);

/* state.c */
int turn_state_get(cvm_turn *t, const char *key, const json_t **ret_value);
int turn_state_put(cvm_turn *t, const char *key, json_t *value);
int turn_state_scan(cvm_turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_pairs);
int state_converted(const struct component *c, const char *key, uint32_t version, json_t *value, json_t **ret_value);
int turn_new_id(cvm_turn *t, const char *prefix, char *ret_id, size_t size);
void state_apply(struct core *core, const struct state_change *change, int64_t seq);
bool state_is_of(const struct core *core, const struct component *c, const char *key, int64_t turn);
void state_durable(struct core *core, const struct state_change *change);
void state_trim(struct core *core);
void state_free(struct core *core);
int state_prove(struct core *core, const struct component *c, const struct binding *b, size_t limit,
                uint32_t *ret_version); /* on failure the version that cannot be read */
/* After a switch to code of an older state version: writes what is stored in that version, while both are there. */
void state_lower(struct core *core, const struct generation *newer, const struct generation *older);

/* state_edit.c: "state.put" and "state.delete" of any component, run by the host itself */
int state_edit_init(struct core *core);
const struct route_slot *state_edit_slot(const struct core *core, const char *type); /* NULL: neither */
int state_edit_turn(cvm_turn *t, const cvm_msg *m);

/* row.c */
int metric_note(struct turn *t, json_t *data); /* takes data */
void metric_apply(struct turn *t);
void metrics_of_plugins(const struct core *core, struct text *text);
int turn_row_put(cvm_turn *t, const char *table, json_t *row);
int turn_row_del(cvm_turn *t, const char *table, const char *key);

/* context.c */
int turn_context_set(cvm_turn *t, const char *path, json_t *value);
const json_t *turn_context(cvm_turn *t);
/* A context that is changed in place: the turn is kept, with its record; it is undone; or the turn goes on with a copy
 * of its own, because others run before it has ended. */
void context_forget_paths(struct core *core);
void context_keep(struct turn *t, struct record *record);
void context_restore(struct turn *t);
CVM_MUST_USE int context_detach(struct turn *t);
json_t *context_with(json_t *doc, const char *path, json_t *value); /* borrows; gives; value NULL: without it */

/* journal.c: from the loop to the writer and back */
int journal_open(struct core *core, char *ret_error, size_t error_size);
int journal_start(struct core *core);           /* after recovery; starts the writer's thread */
struct store *journal_store(struct core *core); /* after journal_start its store_wal_bytes() only */
void journal_add(struct core *core, struct record *record);
void journal_flush(struct core *core); /* submits the batch */
void record_release(struct core *core, struct record *record);
/* Takes a value; where nobody else holds it the writer frees it, by and by. What it is made of may be held by others.
 */
void journal_shed(struct core *core, json_t *value); /* accepts NULL */
/* How many hold the value. 1: the caller alone; what the writer freed around it is over. */
static inline size_t json_references(const json_t *value)
{
    return __atomic_load_n(&value->refcount, __ATOMIC_ACQUIRE);
}
void journal_returned(struct core *core); /* takes back what is durable: releases held effects, taps, memory */
void journal_stop(struct core *core);
void journal_close(struct core *core);
void core_check_read(struct core *core, int error); /* of a look-up: CVM_EDATA, a damaged file, ends the host */
uint32_t journal_ahead(const struct core *core);    /* turns that are not durable yet */
bool journal_idle(const struct core *core);
/* `run` on the writer's thread, when all turns so far are durable; then `done` on the loop (NULL: free(arg)), unless
 * the core is closed before. Without a writer's thread both at once. */
int journal_job(struct core *core, void (*run)(struct store *store, void *arg),
                void (*done)(struct core *core, void *arg), void *arg);
void held_add(struct core *core, struct held *held);
/* Many rows at once, beside the turns: `run` on the writer's thread between two groups of theirs, again and again until
 * it gives true; it gives false, with what it did committed, when `waits` says that a group waits and it has had its
 * share. Any thread; the caller keeps `work` until `run` has given true or `drop` was called, because the writer has
 * ended. CVM_EIO: it has ended already. Under the virtual clock all of it at once. */
struct bulk_work {
    struct bulk_work *next;
    bool (*run)(struct store *store, struct bulk_work *work, bool (*waits)(void *arg), void *arg);
    void (*drop)(struct bulk_work *work);
    bool (*is_given_up)(const struct bulk_work *work); /* whether it may be dropped while nothing can be committed */
};
int journal_bulk(struct core *core, struct bulk_work *work);

/* models.c: text models of the loaded plugins */
struct model;
void models_start(struct core *core);
void models_refresh(struct core *core);  /* after a change of the registry or the settings; between turns */
void models_returned(struct core *core); /* puts in place what was trained */
bool models_idle(struct core *core);     /* stops a training; whether none runs any more */
void models_close(struct core *core);
const struct model *models_find(const struct core *core, const char *name); /* NULL: none answers */
json_t *models_ids(const struct core *core);                                /* {name: hash}; NULL: none */
void models_metrics(const struct core *core, struct text *text);
/* turn_classify.c */
int classify_text(const struct model *m, const char *text, json_t **ret_labels); /* any thread */
int turn_classify(cvm_turn *pub, const char *name, const char *text, json_t **ret_labels);

/* keep.c: folding and pruning, and copies of the database */
int keep_open(struct core *core);
void keep_start(struct core *core); /* the first pass comes soon after */
void keep_written(struct core *core);
void keep_close(struct core *core); /* after the writer has ended */

/* store.c: SQLite; the writer's functions run on its thread (or in-loop under the virtual clock) */
struct store;
int store_open(const char *path, bool writer, struct store **ret_store, char *ret_error, size_t error_size);
int store_migrate(struct store *store, char *ret_error, size_t error_size);
int store_table(struct store *store, struct table *table, char *ret_error, size_t error_size);
int store_write(struct store *store, struct record *first, struct record *end); /* one group; 0, CVM_EBUSY: try again,
                                                                                   CVM_EDATA: give up */
bool store_checkpoint(struct store *store); /* true: all of the log was folded back, the next commit begins it anew */
void record_text(struct text *text, struct text *scratch, const struct record *record); /* any thread */
int64_t store_wal_bytes(const struct store *store);
void store_backup_end(struct store *store); /* drops a copy that is not complete; none: nothing */
const char *store_error(const struct store *store);
void store_close(struct store *store);
int store_meta_int(struct store *store, const char *sql, int64_t *ret_value);
/* What is read of states and contexts until the end is of one moment, and costs less for it. In between nothing that
 * is stored leaves memory: who reads it again would miss what was written since. A reader's. */
void store_read_begin(struct store *store);
void store_read_end(struct store *store);
int store_state_get(struct store *store, const char *component, const char *key, json_t **ret_value,
                    int64_t *ret_version, int64_t *ret_turn);
int store_state_scan(struct store *store, const char *component, const char *from, const char *prefix, size_t limit,
                     json_t *pairs); /* appends [key, value, version, turn] */
int store_context_get(struct store *store, int64_t key, const char *name, json_t **ret_doc, int64_t *ret_version,
                      int64_t *ret_parent, int64_t *ret_opened, int64_t *ret_ended);
int store_inbox_get(struct store *store, const char *source, const char *key, uint8_t ret_hash[32], int *ret_outcome,
                    json_t **ret_result, cvm_id *ret_id); /* CVM_ENOENT; *ret_outcome -1: running */
typedef int (*store_open_fn)(void *arg, int64_t no, const char *kind, json_t *doc);
typedef bool (*store_wanted_fn)(void *arg, int64_t no, const char *doc); /* false: not read any further */
int store_each_open(struct store *store, store_wanted_fn wanted /* NULL: all */, store_open_fn fn, void *arg);
int store_query(struct store *store, const char *sql, const json_t *binds, size_t limit, json_t **ret_rows,
                bool *ret_more);
/* See search.h. */
int store_search(struct store *store, const json_t *question, struct search_found *ret_found);
void store_close_open_item(struct store *store, int64_t no);

/* item_doc.c: open things as JSON, and back (recovery) */
void item_doc(struct text *text, const struct item *item); /* the writer's thread */
bool item_doc_good(const char *kind, const json_t *doc);   /* false: item_doc never wrote this */
int recover_position(struct core *core, char *ret_error, size_t error_size);
int recover(struct core *core, char *ret_error, size_t error_size);
int recover_parked(struct core *core, const struct plugin *back); /* what waited for a plugin, once it is back */

/* inbox.c */
struct inbox *inbox_find(struct core *core, cvm_id id); /* borrowed */
int inbox_wait(struct inbox *inbox, edge_done done, void *arg, bool repeated);
struct inbox *inbox_new(struct core *core, const char *source, const char *key, const uint8_t hash[32], cvm_id id);
void inbox_answer(struct core *core, struct inbox *inbox, int outcome, const json_t *data, const char *content);
void inbox_release(struct core *core, struct inbox *inbox);

/* component.c */
uint64_t component_salt(const char *id);
struct component *component_get(struct core *core, const char *id); /* made where there is none; NULL: no memory */
void component_free(struct component *c);
struct component *registry_add_host(struct core *core, const struct manifest_component *decl, turn_fn turn,
                                    const char *const *types);
int binding_make(struct core *core, struct generation *g, const struct manifest_component *decl,
                 struct binding *ret_binding, char *error, size_t size); /* to be cleared also on failure */
bool binding_configure(const struct core *core, struct binding *binding);
void binding_clear(struct binding *binding);
struct table *component_table(const struct component *c, const char *name); /* NULL: not its plugin's */

/* registry.c */
struct component *registry_find(const struct core *core, const char *id_or_alias, const char *area); /* NULL */
struct component *registry_role(struct core *core, const char *role, const json_t *fields);
bool registry_component_matches(const struct component *c, const char *pattern); /* id, alias, "role:R", "*" */
struct plugin *registry_plugin(const struct core *core, const char *name);
/* Of the bindings that are to be, by component index. A sentence in `error` where they do not fit together. */
int registry_build(struct core *core, const struct binding *const *future, struct registry **ret_registry, char *error,
                   size_t size);
struct registry *registry_exchange(struct core *core, struct registry *registry); /* takes; gives the one before */
void registry_free(struct registry *registry);

/* generation.c */
int generation_load(struct core *core, struct plugin *p, struct candidate *candidate, struct generation **ret_g,
                    char *error, size_t size); /* library, create, bindings; tables are the caller's */
const struct binding *generation_binding(const struct generation *g, const struct component *c); /* NULL: has none */
const cvm_job_entry *generation_jobs(const cvm_plugin_descriptor *d);                            /* NULL: none */
void generation_free(struct core *core, struct generation *g); /* stop, destroy, unload; accepts NULL */

/* plugin.c */
struct stage_place plugin_place(const struct core *core);
struct plugin *plugin_get(struct core *core, const char *name); /* made where there is none; NULL: no memory */
int plugins_load(struct core *core, char *error, size_t size);  /* at the start */
/* core->moved anew: from the store, or as it is with `but` placed so. */
int plugins_read_moved(struct core *core, struct plugin *but, enum placement placed);
enum placement generation_placement(const struct generation *g);
void plugins_begin(struct core *core); /* brings back state that a newer build has left; before anything runs */
void plugins_free(struct core *core);
const char *plugin_phase_name(enum plugin_phase phase);
const char *plugin_mark(const struct plugin *p);
void plugin_row_take(const struct plugin *p, const char *phase, struct plugin_row *ret_row);
int plugin_row_write(struct store *store, const struct plugin_row *row, int64_t at_ms); /* the writer's thread */
void build_mark_of(const struct generation *g, struct build_mark *ret_mark);
bool build_mark_is(const struct build_mark *mark, const char *build, const char *content);
int tables_make(struct core *core, struct plugin *p, struct manifest *m, struct table **ret_tables, char *error,
                size_t size);
void table_release(struct table *table); /* accepts NULL */

/* reload.c */
bool reload_is_still(const struct core *core);
void reload_free(struct core *core);
void generation_install(struct core *core, struct generation *g);
void generation_uninstall(struct generation *g); /* accepts NULL */
json_t *change_receipt(const struct core *core, const struct plugin *p, const char *action,
                       const struct generation *from, const struct generation *to, int64_t held);
void change_record(struct core *core, json_t *receipts);
void host_record(struct core *core, const struct name *type, const char *note, json_t *data); /* no turn is running */
void plugin_remember(struct core *core, const struct plugin *p, const char *phase);
struct message *start_message(struct core *core, struct component *c);                         /* core.c */
struct message *host_message(struct core *core, struct component *c, const struct name *type); /* in its lane */

/* vet_recorded.c: sentences for the receipt. Writer's thread; `old` NULL: nothing ran before */
void vet_recorded(struct store *store, const struct manifest *old, const struct manifest *fresh, json_t *warnings);

/* vet_open.c */
int vet_open_work(struct core *core, const struct generation *old, const struct generation *fresh, char *error,
                  size_t size);

/* probation.c */
void probation_begin(struct core *core, struct plugin *p, struct generation *old);
void probation_resume(struct core *core, struct plugin *p); /* after a restart: no generation before in memory */
void probation_end(struct core *core, struct plugin *p);    /* the generation before goes, where there is one */
void probation_turn(struct core *core, struct component *c, bool struck);
void probation_strike(struct core *core, struct component *c); /* against the new build; at the limit the old is back */
/* Gives the receipt; NULL, and a sentence in `error`, where the build before does not fit the others any more. */
json_t *probation_rollback(struct core *core, struct plugin *p, const char *why, char *error, size_t size);
void probation_behind(const struct generation *now, const struct generation *before);
void build_forget_unused(struct core *core, const struct build_mark *mark);
bool build_is_needed(const struct core *core, const char *hash); /* of a library, or of a manifest */
void binding_swap(struct component *c);
/* NULL, or why not both builds can be in service together. */
const char *canary_impossible(const struct plugin *p, const struct generation *old, const struct generation *fresh,
                              bool no_way_back);
bool canary_elsewhere(const struct component *c, const struct conversation *in);
void generation_retire(struct core *core, struct generation *g); /* accepts NULL */
int plugin_exchange(struct core *core, struct plugin *p, struct generation *other, char *error, size_t size);
void plugin_back_in_service(struct core *core, struct plugin *p);

/* quarantine.c */
bool quarantine_wanted(const struct core *core, const struct plugin_row *row, const struct candidate *candidate);
bool quarantine_begin(struct core *core, struct plugin *p, struct candidate *candidate); /* false: it is held */
void quarantine_hold(struct core *core, struct plugin *p, const struct candidate *candidate);
const struct plugin *quarantine_find(const struct core *core, const char *name); /* plugin, component id, alias; NULL */
void quarantine_faulty(struct core *core, struct plugin *p);         /* it has been moved outside for its faults */
void quarantine_forget(struct core *core, const struct manifest *m); /* crashes, as the page has them */
void quarantine_lift(struct core *core, struct plugin *p);           /* and forgets the crashes of what runs now */

/* removal.c */
int removal_begin(struct core *core, struct plugin *p, bool disable, bool now, json_t **ret_report, char *error,
                  size_t size);
void removal_take_back(struct core *core, struct plugin *p);
json_t *removal_of_missing(struct core *core, const struct candidate *candidates, size_t n);
bool removal_park(struct core *core, struct message *m); /* true: taken */
void removal_free(struct removal *removal);

/* engine.c: conversations over agents */
const json_t *transitions_doc(const struct transitions *transitions);    /* borrowed; NULL: none */
int transitions_take(json_t *doc, struct transitions **ret_transitions); /* takes; NULL gives NULL */
int engine_register(struct core *core);
int transitions_read(const char *home, struct transitions **ret_transitions, char *ret_error, size_t error_size);
void transitions_free(struct transitions *transitions); /* accepts NULL */

/* fault.c */
void fault_strike(struct core *core, struct component *c);
bool fault_down(struct core *core, struct component *c); /* true: answer BUSY instead of running */
void fault_succeeded(struct core *core, struct component *c);
void fault_forgive(struct core *core, struct component *c);

/* job.c */
void job_begin(struct core *core, struct effect *e);
void jobs_returned(struct core *core);                      /* takes the ends of those that have ended */
void jobs_leave(struct core *core, const struct plugin *p); /* the plugin goes: its jobs are to end */
void jobs_metrics(const struct core *core, struct text *text);
bool jobs_idle(struct core *core);  /* tells them to end; whether none runs any more */
void jobs_close(struct core *core); /* waits for them; before the journal */

/* query.c */
int query_open(struct core *core, char *ret_error, size_t error_size);
void query_close(struct core *core);
bool query_idle(const struct core *core);

/* tap.c */
void tap_message(struct core *core, const struct message *m);
void tap_publication(struct core *core, const struct message *cause, const struct edge_publication *p, uint32_t n);
void tap_envelope(struct core *core, const json_t *envelope, cvm_id root);

/* dead_letter.c: the topic "dead-letter" */
void dead_letter_publish(struct turn *t, const struct message *m, const char *reason); /* to those who subscribe */
void dead_letter_tap(struct core *core, const struct dead_letter *letter);             /* it is durable */

/* replay.c: what a core that runs recorded turns again is told in place of what it knows itself. Only where
 * core->replay is set. */
bool replay_met(const struct core *core, const char *what, const char *name);
bool replay_met_id(const struct core *core, const char *what, cvm_id id);
struct request *replay_request(struct core *core, cvm_id id); /* borrowed; NULL: it was not open */
struct timer *replay_timer(struct turn *t, cvm_id id);        /* borrowed; NULL: it was gone */
int replay_state(struct core *core, struct state_entry *entry);
int replay_scan(struct core *core, struct component *c, const char *prefix, const char *after, size_t limit,
                json_t **ret_entries); /* [[key, value, turn], ..], sorted */
void replay_short_id(struct core *core, const json_t *ids, char *ret_id, size_t size);     /* after those in `ids` */
void replay_secret(struct core *core, const char *name);                                   /* it is asked for */
int replay_model(struct core *core, const char *name, json_int_t mark, json_t **ret_read); /* CVM_ENOENT: not asked */
int64_t replay_key(const struct core *core, const char *conversation);
bool replay_led(const struct core *core);                     /* the engine took its reply within the turn */
void replay_record(struct core *core, struct record *record); /* takes */

/* clock.c */
int64_t clock_wall_ms(void);
int64_t clock_ns(void);
int64_t clock_coarse_ns(void);
int64_t clock_thread_cpu_us(void);
void core_set_now(struct core *core);

#endif
