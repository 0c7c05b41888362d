/* The way of records from the loop to the writer and back. The loop gathers the records of a tick and submits them
 * with one lock and one signal; the writer commits them in groups, in order, and hands them back; then what was held
 * for them is released. Under the virtual clock the same functions run on the loop. */
#include "core/checkpoint.h"
#include "core/internal.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_RETRY_MS 100
#define CHECKPOINT_BEHIND 4       /* where the log is so many times as long, the writer waits for its checkpoint */
#define JOURNAL_IDLE_MS 100       /* so long nothing was to be written: then the log is folded back before it is full */
#define JOURNAL_CHECKPOINT_MS 500 /* between attempts while a reader holds the log back */
#define JOURNAL_SHED_LATE_MS 100  /* so long values wait to be freed while there is something to commit */
#define JOURNAL_SHED_MAX 65536    /* values that wait for the writer to free them; more the loop frees itself */

/* The thread sanitizer sees no order between threads in what jansson, which it does not instrument, counts. */
#ifdef __SANITIZE_THREAD__
#define SHEDS false
#else
#define SHEDS true
#endif

/* Work on the writer's connection between two groups. */
struct job {
    struct job *next;
    int64_t after; /* turns to be durable first */
    void (*run)(struct store *store, void *arg);
    void (*done)(struct core *core, void *arg);
    void *arg;
};

/* Values that nobody has any use for. */
struct shed {
    json_t **at;
    uint32_t n, cap;
};

struct journal {
    struct core *core;
    struct store *store;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    bool threaded, stop;
    struct record *queue, *queue_tail; /* submitted */
    struct record *done, *done_tail;   /* durable, on the way back */
    struct job *jobs, *jobs_tail;      /* to be run */
    struct job *ran, *ran_tail;        /* on the way back */
    struct bulk_work *bulk, *bulk_tail;
    bool bulk_next;             /* a group was written since the last of them */
    bool ended;                 /* the writer takes no work any more */
    struct alarm virtual_alarm; /* virtual clock: when the writer goes on */
    bool waits;                 /* so it is set */
    int64_t durable;
    uint32_t in_flight; /* records submitted and not taken back; loop's */
    uint32_t group_max;
    int64_t checkpoint_bytes, wal_max_bytes;
    char path[4096];
    struct checkpointer *checkpointer;
    bool checkpointing;         /* beside the writer, which was told to write on; with the mutex */
    bool checkpointed;          /* it has ended */
    int64_t checkpointed_bytes; /* the log's length when it began */
    struct shed shed;           /* loop's */
    struct shed shed_out;       /* on the way to the writer */
    struct shed shed_in;        /* writer's */
    int64_t shed_ns;            /* when they were last freed; writer's */
    bool sleeps;                /* the writer waits without a limit */
    bool told;                  /* the host was told that it must end */
    atomic_int state;           /* enum journal_state */
    char error[256];            /* why it retries; with the mutex */
    char trouble[256];          /* the loop's copy */
};

enum journal_state { JOURNAL_GOOD, JOURNAL_RETRYING, JOURNAL_DAMAGED };

void journal_add(struct core *core, struct record *record)
{
    record->next = NULL;
    if (core->replay) {
        replay_record(core, record);
        return;
    }
    if (record->context)
        record->conversation->unsent = record;
    if (core->batch_tail)
        core->batch_tail->next = record;
    else
        core->batch = record;
    core->batch_tail = record;
    core->total.records++;
}

static void append(struct record **head, struct record **tail, struct record *first, struct record *last)
{
    if (*tail)
        (*tail)->next = first;
    else
        *head = first;
    *tail = last;
}

/* The loop's handle may be closed once the loop has asked the writer to stop. With the mutex. */
static void tell_loop(struct journal *j)
{
    if (!j->stop)
        uv_async_send(j->core->wake);
}

/* Until there is something to write, the host stops, or `ms` are over (0: no limit). With the mutex. */
static void writer_waits(struct journal *j, int64_t ms)
{
    if (!ms) {
        j->sleeps = true;
        pthread_cond_wait(&j->work, &j->mutex);
        j->sleeps = false;
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&j->work, &j->mutex, &until);
}

/* While nothing can be committed: what nobody waits for any more. With the mutex. */
static void drop_given_up(struct journal *j)
{
    struct bulk_work **at = &j->bulk;
    j->bulk_tail = NULL;
    while (*at) {
        struct bulk_work *work = *at;
        if (work->is_given_up(work)) {
            *at = work->next;
            work->drop(work);
        } else {
            j->bulk_tail = work;
            at = &work->next;
        }
    }
}

/* Commits one group of at most group_max records; repeats it while the disk is full or busy. False: damaged, or the
 * host stops and cannot wait: nothing of the group was accepted. */
static bool write_group(struct journal *j, struct record *first, struct record *end)
{
    for (;;) {
        int e = store_write(j->store, first, end);
        if (!e)
            break;
        if (e != CVM_EBUSY) {
            atomic_store(&j->state, JOURNAL_DAMAGED);
            return false;
        }
        pthread_mutex_lock(&j->mutex);
        snprintf(j->error, sizeof j->error, "%s", store_error(j->store));
        if (atomic_exchange(&j->state, JOURNAL_RETRYING) == JOURNAL_GOOD)
            tell_loop(j);
        drop_given_up(j);
        for (int64_t next = clock_ns() + JOURNAL_RETRY_MS * INT64_C(1000000); !j->stop && clock_ns() < next;)
            writer_waits(j, JOURNAL_RETRY_MS);
        bool stop = j->stop;
        pthread_mutex_unlock(&j->mutex);
        if (stop)
            return false;
    }
    atomic_store(&j->state, JOURNAL_GOOD);
    return true;
}

/* The first records of the queue, about group_max, taken out of it. Not between two of which only the second has the
 * context of both. */
static struct record *take_group(struct journal *j, struct record **ret_last)
{
    struct record *first = j->queue, *last = first;
    for (uint32_t n = 1; (n < j->group_max || !last->divisible) && last->next; n++)
        last = last->next;
    j->queue = last->next;
    if (!j->queue)
        j->queue_tail = NULL;
    last->next = NULL;
    *ret_last = last;
    return first;
}

static void put_group_back(struct journal *j, struct record *first, struct record *last)
{
    last->next = j->queue;
    if (!j->queue)
        j->queue_tail = last;
    j->queue = first;
}

static void push_job(struct job **head, struct job **tail, struct job *job)
{
    job->next = NULL;
    if (*tail)
        (*tail)->next = job;
    else
        *head = job;
    *tail = job;
}

static void swap_shed(struct shed *a, struct shed *b)
{
    struct shed was = *a;
    *a = *b;
    *b = was;
}

static void free_values(struct shed *shed)
{
    for (uint32_t i = 0; i < shed->n; i++)
        json_decref(shed->at[i]);
    shed->n = 0;
}

/* With the mutex, which it gives back meanwhile. */
static void free_shed(struct journal *j)
{
    while (j->shed_out.n) {
        swap_shed(&j->shed_in, &j->shed_out);
        pthread_mutex_unlock(&j->mutex);
        free_values(&j->shed_in);
        pthread_mutex_lock(&j->mutex);
    }
}

/* Who waits for a commit goes first, but memory does not grow for long. With the mutex, which it gives back meanwhile.
 */
static void free_shed_late(struct journal *j)
{
    int64_t now = clock_ns();
    if (j->queue && now - j->shed_ns < JOURNAL_SHED_LATE_MS * INT64_C(1000000))
        return;
    j->shed_ns = now;
    free_shed(j);
}

void journal_shed(struct core *core, json_t *value)
{
    struct journal *j = core->journal;
    /* one that others hold as well costs nothing to let go of, and so does a number */
    if (SHEDS && value && j && j->threaded && (json_is_object(value) || json_is_array(value)) &&
        json_references(value) == 1 && j->shed.n < JOURNAL_SHED_MAX && VECTOR_PUSH(j->shed, value))
        return;
    json_decref(value);
}

/* Where the writer still has those of before, these go with the next ones. */
static void hand_shed(struct journal *j)
{
    if (!j->shed.n)
        return;
    pthread_mutex_lock(&j->mutex);
    if (!j->shed_out.n)
        swap_shed(&j->shed_out, &j->shed);
    if (j->sleeps)
        pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
}

/* With the mutex, which it gives back meanwhile. */
static void run_job(struct journal *j)
{
    struct job *job = j->jobs;
    j->jobs = job->next;
    if (!j->jobs)
        j->jobs_tail = NULL;
    pthread_mutex_unlock(&j->mutex);
    job->run(j->store, job->arg);
    pthread_mutex_lock(&j->mutex);
    push_job(&j->ran, &j->ran_tail, job);
    tell_loop(j);
}

/* A group of turns waits. */
static bool group_waits(void *arg)
{
    struct journal *j = arg;
    pthread_mutex_lock(&j->mutex);
    bool waits = j->queue != NULL;
    pthread_mutex_unlock(&j->mutex);
    return waits;
}

/* On the checkpointer's thread. */
static void checkpoint_done(void *arg)
{
    struct journal *j = arg;
    pthread_mutex_lock(&j->mutex);
    j->checkpointing = false;
    j->checkpointed = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
}

/* Most of a log that is long is folded back beside the writer, which does what came meanwhile, so that the log can
 * begin anew. Never both at once (checkpoint.h). True: the log is folded back. With the mutex, which it gives back
 * meanwhile. */
static bool checkpoint(struct journal *j, bool idle)
{
    int64_t wal = store_wal_bytes(j->store), limit = j->checkpoint_bytes;
    if (wal < j->checkpointed_bytes) /* it began anew */
        j->checkpointed = false;
    if (j->checkpointing || wal <= (idle ? limit / 4 : limit))
        return false;
    int64_t rest = j->checkpointed ? wal - j->checkpointed_bytes : wal;
    j->checkpointed = false;
    if (j->checkpointer && rest > limit / 4 && wal <= CHECKPOINT_BEHIND * limit) {
        j->checkpointing = true;
        j->checkpointed_bytes = wal;
        checkpointer_begin(j->checkpointer);
        return false;
    }
    pthread_mutex_unlock(&j->mutex);
    bool whole = store_checkpoint(j->store);
    pthread_mutex_lock(&j->mutex);
    if (whole && wal > j->wal_max_bytes)
        tell_loop(j); /* it admits again */
    return whole;
}

/* With the mutex, which it gives back meanwhile. */
static void run_bulk(struct journal *j)
{
    struct bulk_work *work = j->bulk;
    j->bulk = work->next;
    if (!j->bulk)
        j->bulk_tail = NULL;
    pthread_mutex_unlock(&j->mutex);
    bool done = work->run(j->store, work, group_waits, j);
    pthread_mutex_lock(&j->mutex);
    checkpoint(j, false);
    j->bulk_next = false;
    if (done)
        return;
    work->next = j->bulk;
    j->bulk = work;
    if (!j->bulk_tail)
        j->bulk_tail = work;
}

/* With the mutex. */
static void drop_bulk(struct journal *j)
{
    j->ended = true;
    for (struct bulk_work *work = j->bulk, *next; work; work = next) {
        next = work->next;
        work->drop(work);
    }
    j->bulk = j->bulk_tail = NULL;
}

static bool never_waits(void *arg)
{
    (void)arg;
    return false;
}

int journal_bulk(struct core *core, struct bulk_work *work)
{
    struct journal *j = core->journal;
    work->next = NULL;
    if (!j->threaded) {
        while (!work->run(j->store, work, never_waits, NULL))
            ;
        return 0;
    }
    pthread_mutex_lock(&j->mutex);
    int e = j->ended ? CVM_EIO : 0;
    if (!e) {
        if (j->bulk_tail)
            j->bulk_tail->next = work;
        else
            j->bulk = work;
        j->bulk_tail = work;
        pthread_cond_signal(&j->work);
    }
    pthread_mutex_unlock(&j->mutex);
    return e;
}

/* Between two groups the queue is empty for a moment; a log that is folded back then holds up the next one, and what
 * every group changes is written as often. True: there is something to do. With the mutex. */
static bool rested(struct journal *j)
{
    if (store_wal_bytes(j->store) > j->checkpoint_bytes)
        return false; /* a reader held it back */
    writer_waits(j, JOURNAL_IDLE_MS);
    return j->queue || j->jobs || j->bulk || j->stop;
}

static void *writer(void *arg)
{
    struct journal *j = arg;
    pthread_mutex_lock(&j->mutex);
    for (;;) {
        while (j->jobs && (!j->queue || j->queue->seq > j->jobs->after))
            run_job(j);
        if (j->bulk && (!j->queue || j->bulk_next)) {
            run_bulk(j);
            continue;
        }
        free_shed_late(j);
        while (!j->queue && !j->jobs && !j->bulk && !j->stop) {
            if (rested(j))
                continue;
            int64_t before = store_wal_bytes(j->store);
            bool worked = checkpoint(j, true);
            /* a reader may hold the log back: it is tried again, because nothing new may come that would */
            free_shed(j);
            if (!j->queue && !j->jobs && !j->bulk && !j->stop && !worked)
                writer_waits(j, before > j->checkpoint_bytes && !j->checkpointing ? JOURNAL_CHECKPOINT_MS : 0);
        }
        if (!j->queue && (j->jobs || j->bulk))
            continue;
        if (!j->queue)
            break;
        struct record *last, *first = take_group(j, &last);
        pthread_mutex_unlock(&j->mutex);
        bool good = write_group(j, first, NULL);
        pthread_mutex_lock(&j->mutex);
        if (!good) {
            put_group_back(j, first, last);
            break;
        }
        append(&j->done, &j->done_tail, first, last);
        j->durable = last->seq;
        j->bulk_next = true;
        tell_loop(j);
        checkpoint(j, false);
    }
    drop_bulk(j);
    tell_loop(j);
    pthread_mutex_unlock(&j->mutex);
    return NULL;
}

/* The store is open and migrated; starts the writer. */
int journal_start(struct core *core)
{
    struct journal *j = core->journal;
    if (!core->options.loop)
        return 0;
    j->threaded = true;
    j->checkpointer = checkpointer_start(j->path, checkpoint_done, j); /* none: the writer does it alone */
    if (pthread_create(&j->thread, NULL, writer, j))
        return CVM_ENOMEM;
    pthread_setname_np(j->thread, "journal");
    return 0;
}

struct store *journal_store(struct core *core)
{
    return core->journal->store;
}

int journal_open(struct core *core, char *ret_error, size_t error_size)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return CVM_ENOMEM;
    core->journal = j;
    j->core = core;
    pthread_mutex_init(&j->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&j->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    j->group_max = (uint32_t)config_int(core->options.config, "journal.group_max", 1024);
    j->checkpoint_bytes = config_int(core->options.config, "journal.wal_checkpoint_mib", 16) * 1024 * 1024;
    j->wal_max_bytes = config_int(core->options.config, "journal.wal_max_mib", 512) * 1024 * 1024;
    if (j->checkpoint_bytes >= j->wal_max_bytes) /* only where the first was not set */
        j->checkpoint_bytes = j->wal_max_bytes / 2;
    snprintf(j->path, sizeof j->path, "%s/data/cvmhost.db", core->home);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* else all threads share a lock and a count for each allocation */
    int e = store_open(j->path, true, &j->store, ret_error, error_size);
    return e ? e : store_migrate(j->store, ret_error, error_size);
}

/* ---- the writer under the virtual clock: steps on the loop --------------------------------------------------------
 */

static void virtual_written(struct core *core, struct alarm *alarm);

static void virtual_wait(struct journal *j, int64_t ms)
{
    j->waits = true;
    alarm_set(j->core, &j->virtual_alarm, j->core->now_ms + ms, virtual_written);
}

/* One group, in no time. A disk that is full or busy is tried again, as the thread does it. */
static bool virtual_group(struct journal *j)
{
    struct record *last, *first = take_group(j, &last);
    int e = store_write(j->store, first, NULL);
    if (!e) {
        append(&j->done, &j->done_tail, first, last);
        j->durable = last->seq;
        atomic_store(&j->state, JOURNAL_GOOD);
        if (store_wal_bytes(j->store) > j->checkpoint_bytes)
            store_checkpoint(j->store);
        return true;
    }
    put_group_back(j, first, last);
    snprintf(j->error, sizeof j->error, "%s", store_error(j->store));
    atomic_store(&j->state, e == CVM_EBUSY ? JOURNAL_RETRYING : JOURNAL_DAMAGED);
    if (e == CVM_EBUSY)
        virtual_wait(j, JOURNAL_RETRY_MS);
    return false;
}

/* All that is submitted, and the work that waited for it. */
static void virtual_written(struct core *core, struct alarm *alarm)
{
    struct journal *j = core->journal;
    (void)alarm;
    j->waits = false;
    while (j->queue && virtual_group(j))
        ;
    while (!j->queue && j->jobs) {
        struct job *job = j->jobs;
        j->jobs = job->next;
        if (!j->jobs)
            j->jobs_tail = NULL;
        job->run(j->store, job->arg);
        push_job(&j->ran, &j->ran_tail, job);
    }
}

/* At once, unless the disk takes its time. */
static void virtual_write(struct journal *j)
{
    const struct core_options *o = &j->core->options;
    if (j->waits)
        return;
    int64_t ms = o->write_ms ? o->write_ms(o->write_arg) : 0;
    if (ms > 0)
        virtual_wait(j, ms);
    else
        virtual_written(j->core, NULL);
}

void journal_flush(struct core *core)
{
    struct journal *j = core->journal;
    struct record *first = core->batch, *last = core->batch_tail;
    if (!first)
        return;
    core->batch = core->batch_tail = NULL;
    uint32_t undivided = 0;
    for (struct record *r = first; r; r = r->next) {
        j->in_flight++;
        undivided += r->taken;
        undivided -= r->takes;
        r->divisible = !undivided;
        r->conversation->unsent = NULL;
    }
    assert(!undivided);
    if (j->threaded) {
        pthread_mutex_lock(&j->mutex);
        bool idle = !j->queue;
        append(&j->queue, &j->queue_tail, first, last);
        if (idle)
            pthread_cond_signal(&j->work);
        pthread_mutex_unlock(&j->mutex);
        return;
    }
    append(&j->queue, &j->queue_tail, first, last);
    virtual_write(j);
}

int journal_job(struct core *core, void (*fn)(struct store *, void *), void (*done)(struct core *, void *), void *arg)
{
    struct journal *j = core->journal;
    if (!j->threaded)
        journal_flush(core);
    if (!j->threaded && core->durable == core->seq) {
        fn(j->store, arg);
        done ? done(core, arg) : free(arg);
        return 0;
    }
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return CVM_ENOMEM;
    *job = (struct job){.run = fn, .done = done, .arg = arg, .after = core->seq};
    if (j->threaded)
        journal_flush(core);
    pthread_mutex_lock(&j->mutex);
    push_job(&j->jobs, &j->jobs_tail, job);
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
    if (!j->threaded)
        virtual_write(j);
    return 0;
}

static void end_jobs(struct core *core, struct job *job)
{
    while (job) {
        struct job *next = job->next;
        job->done ? job->done(core, job->arg) : free(job->arg);
        free(job);
        job = next;
    }
}

void held_add(struct core *core, struct held *held)
{
    held->next = NULL;
    if (core->held_tail)
        core->held_tail->next = held;
    else
        core->held = held;
    core->held_tail = held;
}

static void release_held(struct core *core)
{
    struct held *h;
    while ((h = core->held) && h->seq <= core->durable) {
        core->held = h->next;
        if (!core->held)
            core->held_tail = NULL;
        if (h->effect) {
            struct effect *e = h->effect;
            effect_begin(core, e);
        } else {
            inbox_answer(core, h->inbox, h->outcome, h->data, h->content);
            inbox_release(core, h->inbox);
        }
        json_decref(h->data);
        free(h->content);
        free(h);
    }
}

void record_release(struct core *core, struct record *rec)
{
    if (core->taps) {
        if (rec->message && rec->message->input)
            tap_message(core, rec->message);
        for (uint32_t i = 0; i < rec->n_outs; i++)
            tap_message(core, rec->outs[i]);
        for (uint32_t i = 0; i < rec->n_dead; i++)
            dead_letter_tap(core, &rec->dead[i]);
        for (uint32_t i = 0; i < rec->n_told_out; i++)
            tap_publication(core, rec->message, &rec->told_out[i], i);
    }
    if (rec->n_told_out && core->published)
        core->published(core->published_arg, rec->seq, rec->told_out, rec->n_told_out);
    for (uint32_t i = 0; i < rec->n_told_out; i++)
        journal_shed(core, (json_t *)(uintptr_t)rec->told_out[i].data);
    for (uint32_t i = 0; i < rec->n_opens; i++)
        item_release(core, rec->opens[i]);
    for (uint32_t i = 0; i < rec->n_closes; i++)
        item_release(core, rec->closes[i]);
    for (uint32_t i = 0; i < rec->n_outs; i++)
        item_release(core, &rec->outs[i]->item);
    for (uint32_t i = 0; i < rec->n_states; i++) {
        if (!core->replay)
            state_durable(core, &rec->states[i]);
        journal_shed(core, rec->states[i].value);
    }
    for (uint32_t i = 0; i < rec->n_rows; i++) {
        table_release(rec->rows[i].table);
        journal_shed(core, rec->rows[i].row);
        free(rec->rows[i].key);
    }
    for (uint32_t i = 0; i < rec->n_inboxes; i++) {
        journal_shed(core, rec->inboxes[i].result);
        inbox_release(core, rec->inboxes[i].inbox);
    }
    for (uint32_t i = 0; i < rec->n_dead; i++)
        item_release(core, &rec->dead[i].message->item);
    journal_shed(core, rec->context);
    for (uint32_t i = 0; i < rec->n_changes; i++) {
        json_decref(rec->changes[i].path);
        journal_shed(core, rec->changes[i].value);
    }
    journal_shed(core, rec->notes);
    journal_shed(core, rec->extra);
    if (rec->message)
        item_release(core, &rec->message->item);
    conversation_release(core, rec->conversation);
    free(rec);
}

void journal_returned(struct core *core)
{
    struct journal *j = core->journal;
    pthread_mutex_lock(&j->mutex);
    struct record *done = j->done;
    struct job *ran = j->ran;
    j->done = j->done_tail = NULL;
    j->ran = j->ran_tail = NULL;
    if (j->durable > core->durable) /* else nothing was written yet since the start */
        core->durable = j->durable;
    char error[sizeof j->error];
    memcpy(error, j->error, sizeof error);
    pthread_mutex_unlock(&j->mutex);
    bool retried = core->trouble == j->trouble;
    switch ((enum journal_state)atomic_load(&j->state)) {
    case JOURNAL_GOOD:
        core->trouble = store_wal_bytes(j->store) > j->wal_max_bytes
                            ? "the write-ahead log is too large; is a reader stuck?"
                            : NULL;
        if (retried)
            log_info("journal", "commits again");
        break;
    case JOURNAL_RETRYING:
        memcpy(j->trouble, error, sizeof error);
        if (!retried)
            log_error("journal", "cannot commit: %s; nothing leaves and nothing is admitted until it can", error);
        core->trouble = j->trouble;
        break;
    case JOURNAL_DAMAGED:
        core->trouble = j->trouble;
        if (core->options.fatal && !j->told) { /* also where it was tried again before */
            j->told = true;
            snprintf(j->trouble, sizeof j->trouble, "%s", store_error(j->store));
            core->options.fatal(core->options.fatal_arg, 3, j->trouble);
        }
        return;
    }
    if (done)
        keep_written(core);
    while (done) {
        struct record *next = done->next;
        j->in_flight--;
        record_release(core, done);
        done = next;
    }
    release_held(core);
    end_jobs(core, ran);
    hand_shed(j);
}

uint32_t journal_ahead(const struct core *core)
{
    return core->journal->in_flight;
}

/* All is durable, or cannot become so: then the host that stops need not wait, for nothing of it was accepted. */
void core_check_read(struct core *core, int error)
{
    if (error == CVM_EDATA && core->options.fatal)
        core->options.fatal(core->options.fatal_arg, 3, "data/cvmhost.db is damaged; restore a backup");
}

bool journal_idle(const struct core *core)
{
    return atomic_load(&core->journal->state) != JOURNAL_GOOD || (!core->batch && core->journal->in_flight == 0);
}

/* From here on the writer does not touch the loop. */
void journal_stop(struct core *core)
{
    struct journal *j = core->journal;
    pthread_mutex_lock(&j->mutex);
    j->stop = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
}

/* What was submitted is committed first, where it can be. */
void journal_close(struct core *core)
{
    struct journal *j = core->journal;
    if (!j)
        return;
    journal_stop(core);
    alarm_clear(core, &j->virtual_alarm);
    if (j->threaded)
        pthread_join(j->thread, NULL);
    checkpointer_stop(j->checkpointer);
    struct record *left[] = {j->queue, j->done, core->batch};
    for (int i = 0; i < 3; i++) {
        for (struct record *r = left[i], *next; r; r = next) {
            next = r->next;
            record_release(core, r);
        }
    }
    core->batch = NULL;
    for (struct job *job = j->jobs ? j->jobs : j->ran, *next; job; job = next) {
        next = job->next ? job->next : job == j->jobs_tail ? j->ran : NULL;
        if (!job->done)
            free(job->arg);
        free(job); /* another's arg belongs to who gave it */
    }
    struct shed *sheds[] = {&j->shed, &j->shed_out, &j->shed_in};
    for (int i = 0; i < 3; i++) {
        free_values(sheds[i]);
        free(sheds[i]->at);
    }
    store_close(j->store);
    pthread_cond_destroy(&j->work);
    pthread_mutex_destroy(&j->mutex);
    free(j);
    core->journal = NULL;
}
