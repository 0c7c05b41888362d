/* Owns the core: opens it over a home, loads, starts, and runs it - by a libuv loop, or step by step under the virtual
 * clock. A tick: fire what is due, run turns for about a millisecond, submit their records. */
#include "core/audit.h"
#include "core/internal.h"

#include "core/regex.h"
#include "core/seen.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define CORE_ALARMS_A_TICK 1024

/* The host's own component: takes deadlines of requests that passed, and answers nobody waits for. */
static int host_turn(void *instance, cvm_turn *pub, const cvm_msg *m, uint32_t route)
{
    struct turn *t = (struct turn *)pub;
    (void)instance;
    (void)route;
    struct request *r = t->message->origin ? NULL : request_find(t, m->on_behalf);
    if (r && !r->ended && !r->settling)
        request_answer(t->core, t, r, CVM_TIMEOUT,
                       json_pack("{s:s, s:s}", "code", "TIMEOUT", "message", "no answer came before the deadline"),
                       NULL);
    return CVM_OK;
}

static int register_host(struct core *core)
{
    static struct manifest_component decl = {.id = "host", .kind = KIND_AGENT};
    static const char *const types[] = {"timeout", NULL};
    core->host = registry_add_host(core, &decl, host_turn, types);
    return core->host ? engine_register(core) : CVM_ENOMEM;
}

static int make_folder(const char *home, const char *name, char *error, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", home, name);
    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        snprintf(error, size, "%s: cannot be made: %s", path, strerror(errno));
        return CVM_EIO;
    }
    return 0;
}

/* The key of short ids and the chain of the audit belong to the installation: made once, kept in the store. */
static int load_key(struct core *core)
{
    int64_t key = 0;
    struct store *store = journal_store(core);
    if (store_meta_int(store, "SELECT value FROM meta WHERE key = 'short_id_key'", &key) < 0) {
        char sql[128];
        if (core->options.seed)
            key = (int64_t)(core->options.seed >> 1);
        else if (getrandom(&key, sizeof key, 0) != sizeof key)
            return CVM_EIO;
        key &= INT64_MAX;
        snprintf(sql, sizeof sql, "INSERT INTO meta VALUES('short_id_key', %lld) RETURNING value", (long long)key);
        if (store_meta_int(store, sql, &key) < 0)
            return CVM_EIO;
    }
    core->short_id_key = (uint64_t)key;
    return audit_begin(store, core->options.seed);
}

static int allocate(struct core *core)
{
    core->conversations = calloc(CORE_HASH_BUCKETS, sizeof *core->conversations);
    core->items = calloc(CORE_HASH_BUCKETS, sizeof *core->items);
    core->inboxes = calloc(CORE_HASH_BUCKETS, sizeof *core->inboxes);
    core->states = calloc(CORE_HASH_BUCKETS, sizeof *core->states);
    if (!core->options.page)
        core->page = core->own_page = calloc(1, sizeof *core->own_page);
    else
        core->page = core->options.page;
    if (!core->conversations || !core->items || !core->inboxes || !core->states || !core->page ||
        names_new(&core->names) < 0)
        return CVM_ENOMEM;
    core->name_start = names_intern(core->names, "start");
    core->name_query = names_intern(core->names, "query");
    core->name_registry = names_intern(core->names, "host.registry");
    core->name_timeout = names_intern(core->names, "timeout");
    core->name_change = names_intern(core->names, "plugins.change");
    return core->name_start && core->name_query && core->name_timeout && core->name_change && core->name_registry
               ? state_edit_init(core)
               : CVM_ENOMEM;
}

int core_open(const struct core_options *options, struct core **ret_core, char *error, size_t size)
{
    char path[4096];
    struct core *core = calloc(1, sizeof *core);
    int e = core ? 0 : CVM_ENOMEM;
    snprintf(error, size, "out of memory");
    if (e)
        return e;
    core->options = *options;
    core->home = strdup(options->home);
    core->seed = options->seed;
    core->virtual_ms = options->begin_ms ? options->begin_ms : 1700000000000;
    core->slice = CORE_VIRTUAL_SLICE;
    turn_reset(core);
    if (!core->seed && getrandom(&core->seed, sizeof core->seed, 0) != sizeof core->seed)
        core->seed = (uint64_t)clock_wall_ms();
    e = core->home ? allocate(core) : CVM_ENOMEM;
    if (e)
        goto fail;
    if ((e = make_folder(core->home, "data", error, size)) || (e = make_folder(core->home, "data/builds", error, size)))
        goto fail;
    core_set_now(core);
    if ((e = keep_open(core)) || (e = journal_open(core, error, size)))
        goto fail;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", core->home);
    if ((e = store_open(path, false, &core->reader, error, size)) || (e = query_open(core, error, size)))
        goto fail;
    if ((e = configuration_open(core, error, size)))
        goto fail;
    if ((e = load_key(core)) || (e = register_host(core))) {
        snprintf(error, size, "%s: cannot be %s", path, e == CVM_EDATA ? "read; restore a backup" : "prepared");
        goto fail;
    }
    *ret_core = core;
    return 0;
fail:
    core_close(core);
    return e;
}

int core_load(struct core *core, char *error, size_t size)
{
    int e = transitions_read(core->home, &core->transitions, error, size);
    return e ? e : plugins_load(core, error, size);
}

/* ---- one tick ------------------------------------------------------------------------------------------------------
 */

/* Not once the host has stopped long enough, and not further ahead of the journal than memory should hold: a disk that
 * is full or slow holds the turns back, not only their effects. */
static bool may_run(const struct core *core)
{
    return !(core->stopping && core->now_ms >= core->stop_ms) && journal_ahead(core) < CORE_AHEAD_MAX;
}

static bool tick(struct core *core)
{
    core_set_now(core);
    if (core->options.loop) {
        core->tick_cpu_us = clock_thread_cpu_us();
        store_read_begin(core->reader);
    }
    bool more = alarms_fire(core, CORE_ALARMS_A_TICK) == CORE_ALARMS_A_TICK;
    if (may_run(core))
        more = schedule_run(core, CORE_SLICE_US) || more;
    if (core->remotes)
        more = remotes_tick(core) || more;
    store_read_end(core->reader); /* before anything leaves memory: what is read again is read as it is then */
    models_refresh(core);
    audit_events_write(core);
    requests_age(core);
    state_trim(core);
    journal_flush(core);
    return more;
}

bool core_tick(struct core *core, uint32_t turns)
{
    assert(!core->options.loop && turns);
    core->slice = turns;
    bool more = tick(core);
    core->slice = CORE_VIRTUAL_SLICE;
    journal_returned(core);
    return more || (core->runnable && may_run(core)) || core->batch;
}

int64_t core_next_ms(const struct core *core)
{
    return alarm_next(core);
}

void core_advance(struct core *core, int64_t to_ms)
{
    assert(!core->options.loop);
    if (to_ms > core->virtual_ms)
        core->virtual_ms = to_ms;
    core_set_now(core);
}

int64_t core_step(struct core *core, int64_t until_ms)
{
    int64_t before = (int64_t)core->total.turns;
    assert(!core->options.loop);
    for (;;) {
        bool more = tick(core);
        journal_returned(core);
        if (more || (core->runnable && may_run(core)) || core->batch)
            continue;
        int64_t next = alarm_next(core);
        if (next > until_ms)
            break;
        if (next > core->virtual_ms)
            core->virtual_ms = next;
    }
    if (until_ms > core->virtual_ms)
        core->virtual_ms = until_ms;
    core_set_now(core);
    return (int64_t)core->total.turns - before;
}

/* ---- on a loop -----------------------------------------------------------------------------------------------------
 */

static struct core *core_of(void *handle)
{
    return uv_handle_get_data(handle);
}

void core_handle_closed(struct core *core)
{
    if (--core->handles == 0 && core->stopped) {
        core->idle = NULL; /* what is let go of from now on wakes nobody */
        core->prepare = NULL;
        core->clock = NULL;
        core->wake = NULL;
        void (*stopped)(void *) = core->stopped;
        core->stopped = NULL;
        stopped(core->stopped_arg);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct core *core = core_of(handle);
    free(handle);
    core_handle_closed(core);
}

static void close_handles(struct core *core)
{
    remotes_stop(core);
    uv_handle_t *all[] = {(uv_handle_t *)core->idle, (uv_handle_t *)core->prepare, (uv_handle_t *)core->clock,
                          (uv_handle_t *)core->wake};
    for (int i = 0; i < 4; i++)
        if (all[i] && !uv_is_closing(all[i]))
            uv_close(all[i], on_closed);
}

/* Once admission is closed and what was submitted is durable, the loop may let go of the core. */
static void stop_when_idle(struct core *core)
{
    if (core->stopping && core->stopped && journal_idle(core) && query_idle(core) && reload_is_still(core) &&
        models_idle(core) && jobs_idle(core)) {
        journal_stop(core);
        close_handles(core);
    }
}

static void arm_clock(struct core *core);

static void on_idle(uv_idle_t *idle)
{
    struct core *core = core_of(idle);
    if (!tick(core))
        uv_idle_stop(idle);
    arm_clock(core);
    stop_when_idle(core);
}

static void on_clock(uv_timer_t *timer)
{
    kick(core_of(timer));
}

static void on_wake(uv_async_t *wake)
{
    struct core *core = core_of(wake);
    core_set_now(core);
    journal_returned(core);
    models_returned(core);
    jobs_returned(core);
    if ((core->runnable && may_run(core)) || core->batch)
        kick(core);
    arm_clock(core);
    stop_when_idle(core);
}

/* What I/O callbacks posted in this iteration runs before the loop sleeps. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct core *core = core_of(prepare);
    models_refresh(core);
    if (core->held && core->held->seq <= core->durable)
        journal_returned(core);
    if ((core->runnable && may_run(core)) || core->batch)
        kick(core);
    arm_clock(core);
}

/* The timer runs for the first deadline only, so an idle host sleeps. */
static void arm_clock(struct core *core)
{
    int64_t next = alarm_next(core);
    if (uv_is_closing((uv_handle_t *)core->clock))
        return;
    if (next == INT64_MAX) {
        uv_timer_stop(core->clock);
        core->clock_at = 0;
    } else if (next != core->clock_at || !uv_is_active((uv_handle_t *)core->clock)) {
        core_set_now(core);
        int64_t delay = next - core->now_ms;
        uv_update_time(core->options.loop);
        uv_timer_start(core->clock, on_clock, delay > 0 ? (uint64_t)delay : 0, 0);
        core->clock_at = next;
    }
}

static int open_handles(struct core *core)
{
    uv_loop_t *loop = core->options.loop;
    if (!loop)
        return 0;
    core->idle = calloc(1, sizeof *core->idle);
    core->prepare = calloc(1, sizeof *core->prepare);
    core->clock = calloc(1, sizeof *core->clock);
    core->wake = calloc(1, sizeof *core->wake);
    if (!core->idle || !core->prepare || !core->clock || !core->wake)
        return CVM_ENOMEM;
    uv_idle_init(loop, core->idle);
    uv_prepare_init(loop, core->prepare);
    uv_timer_init(loop, core->clock);
    if (uv_async_init(loop, core->wake, on_wake) < 0)
        return CVM_EIO;
    core->handles += 4; /* beside those of plugins' processes */
    core->idle->data = core->prepare->data = core->clock->data = core->wake->data = core;
    return uv_prepare_start(core->prepare, on_prepare) < 0 ? CVM_EIO : 0;
}

void kick(struct core *core)
{
    if (core->idle && !uv_is_active((uv_handle_t *)core->idle) && !uv_is_closing((uv_handle_t *)core->idle))
        uv_idle_start(core->idle, on_idle);
}

/* ---- start and stop ------------------------------------------------------------------------------------------------
 */

struct message *host_message(struct core *core, struct component *c, const struct name *type)
{
    struct message *m = message_new(core, type);
    if (!m)
        return NULL;
    m->pub.id = m->item.id = (cvm_id){(uint64_t)c->lane->key, id_mix(core->seed += 0x9e3779b97f4a7c15ULL, c->salt) | 1};
    m->to = c;
    m->pub.sender = core->host->id->text;
    m->pub.recipient = c->id->text;
    m->pub.message_type = CVM_NOTIFICATION;
    m->pub.priority = CVM_CRITICAL;
    m->pub.data = m->data = json_object();
    m->input = true;
    m->conversation = c->lane;
    m->pub.conversation = c->lane->name;
    conversation_hold(c->lane);
    return m;
}

struct message *start_message(struct core *core, struct component *c)
{
    return host_message(core, c, core->name_start);
}

int core_start(struct core *core, char *error, size_t size)
{
    snprintf(error, size, "out of memory");
    int e = open_handles(core);
    if (!e)
        e = recover_position(core, error, size);
    if (!e)
        plugins_begin(core);
    if (!e)
        models_start(core);
    if (!e && core->seen)
        seen_save(core->seen);
    seen_free(core->seen);
    core->seen = NULL;
    for (uint32_t i = 0; !e && i < core->n_components; i++) {
        struct component *c = core->components[i];
        struct message *m = component_route(c, core->name_start) ? start_message(core, c) : NULL;
        if (m) {
            core->starting++;
            post(core, m); /* before what waits for it, which may need what it prepares */
        }
    }
    if (!e)
        e = recover(core, error, size);
    if (!e)
        e = journal_start(core);
    if (e)
        return e;
    core->accepting = true;
    keep_start(core);
    if (core->options.loop)
        kick(core);
    return 0;
}

uint64_t core_facts(const struct core *core)
{
    return core->facts;
}

bool core_is_starting(const struct core *core)
{
    bool busy = core->starting > 0;
    for (uint32_t i = 0; i < core->n_components && !busy; i++)
        busy = core->components[i]->lane && core->components[i]->lane->head; /* what the first turns have sent */
    return busy;
}

void core_stop(struct core *core, void (*done)(void *), void *arg)
{
    core_set_now(core);
    core->stopping = true;
    core->stop_ms = core->now_ms + CORE_STOP_MS; /* work without end must not keep the host */
    core->stopped = done;
    core->stopped_arg = arg;
    (void)jobs_idle(core); /* tells them */
    if (core->options.loop && core->handles) {
        if (core->idle)
            kick(core);
        else /* it never started, but plugins' processes are watched */
            close_handles(core);
        return;
    }
    core->stopped = NULL;
    done(arg);
}

static void free_conversations(struct core *core)
{
    for (int i = 0; i < CORE_HASH_BUCKETS; i++) {
        for (struct conversation *c = core->conversations[i], *next; c; c = next) {
            next = c->hash_next;
            json_decref(c->context);
            free(c);
        }
    }
}

/* A waiting request is held by its message and by being open; it goes with the other open things. */
static void drop(struct core *core, struct message *m)
{
    struct request *r = m->request;
    if (r && r->live && !r->item.hashed)
        item_insert(core, &r->item);
    item_release(core, &m->item);
}

/* Everything still in memory is in the store as well, or was never accepted: it is let go. */
static void free_open(struct core *core)
{
    for (int i = 0; core->conversations && i < CORE_HASH_BUCKETS; i++)
        for (struct conversation *c = core->conversations[i]; c; c = c->hash_next)
            c->open += 1000000; /* none leaves while the others are freed */
    for (uint32_t i = 0; i < core->n_components; i++) {
        struct component *c = core->components[i];
        struct queue *queues[CORE_CLASSES + 2] = {&c->run[0], &c->run[1],  &c->run[2],
                                                  &c->run[3], &c->waiting, &c->kept};
        for (int q = 0; q < CORE_CLASSES + 2; q++) {
            for (struct message *m = queues[q]->head, *next; m; m = next) {
                next = m->queue_next;
                if (m->outside || !m->conversation) /* others go with their lanes: later, for this reads them */
                    drop(core, m);
            }
        }
    }
    for (int i = 0; core->conversations && i < CORE_HASH_BUCKETS; i++) {
        for (struct conversation *c = core->conversations[i]; c; c = c->hash_next) {
            while (c->head) {
                struct message *m = c->head;
                c->head = m->next;
                drop(core, m);
            }
        }
    }
    requests_age(core);
    while (core->alarms.n)
        alarm_clear(core, core->alarms.at[0]);
    for (int i = 0; core->items && i < CORE_HASH_BUCKETS; i++) {
        while (core->items[i]) {
            struct item *item = core->items[i];
            item_remove(core, item);
            item_release(core, item);
        }
    }
    for (struct held *h = core->held, *next; h; h = next) {
        next = h->next;
        if (h->inbox)
            inbox_release(core, h->inbox);
        json_decref(h->data);
        free(h->content);
        free(h);
    }
}

void core_close(struct core *core)
{
    if (!core)
        return;
    for (struct edge_tap *tap = core->taps, *next; tap; tap = next) { /* first: what is let go now is not durable */
        next = tap->next;
        free(tap);
    }
    core->taps = NULL;
    core->published = NULL;
    models_close(core);
    jobs_close(core);
    query_close(core);
    journal_close(core);
    keep_close(core);
    reload_free(core); /* the writer may have worked for a change */
    if (core->names) {
        for (struct plugin *p = core->plugins; p; p = p->next) {
            remote_recall(p->now);
            remote_recall(p->before);
        }
        remotes_detach(core);
        free_open(core);
        free_conversations(core);
        plugins_free(core);
        state_free(core);
    }
    seen_free(core->seen);
    store_close(core->reader);
    transitions_free(core->transitions);
    regexes_free(core->regexes);
    for (struct message *m = core->free_messages, *next; m; m = next) {
        next = m->queue_next;
        free(m);
    }
    for (struct request *r = core->free_requests, *next; r; r = next) {
        next = (struct request *)r->item.hash_next;
        free(r);
    }
    turn_free(core);
    context_forget_paths(core);
    configuration_close(core);
    audit_events_free(core);
    free(core->alarms.at);
    free(core->young.at);
    names_free(core->names);
    free(core->conversations);
    free(core->items);
    free(core->inboxes);
    free(core->states);
    free(core->own_page);
    free(core->home);
    free(core);
}
