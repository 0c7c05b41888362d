/* Jobs as the loop sees them: they wait for a place, run beside it, and are answered as what a turn has asked for
 * (effect.c). A job's answer is given once; what a run says after that is dropped. Loop thread. */
#include "core/job.h"

#include "core/crash.h"
#include "models/model.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct waiting_job {
    struct waiting_job *next;
    struct effect *effect; /* a reference */
};

struct jobs {
    struct waiting_job *waiting, *waiting_tail;
    struct job_run *running; /* also those whose answer was given already and that have not ended */
    uint32_t n_waiting, n_running;
};

static void answer_error(struct core *core, struct effect *e, int outcome, const char *code, const char *text)
{
    effect_answer(core, e, outcome, json_pack("{s:s, s:s, s:s}", "code", code, "message", text, "text", text));
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static void run_free(struct core *core, struct job_run *run)
{
    struct generation *g = run->generation;
    for (size_t i = 0; i < run->n_tables; i++)
        table_release(run->tables[i].table);
    for (size_t i = 0; i < run->n_models; i++)
        model_unref(run->models[i].model);
    if (run->effect)
        item_release(core, &run->effect->item);
    json_decref((json_t *)(uintptr_t)run->input);
    json_decref(run->settings);
    json_decref(run->result);
    pthread_mutex_destroy(&run->mutex);
    free(run->secrets);
    free(run->tables);
    free(run->models);
    free(run);
    if (--g->jobs == 0 && g->retired)
        generation_retire(core, g);
}

static bool add_table(struct job_run *run, struct table *table, bool own)
{
    table->refs++;
    run->tables[run->n_tables++] = (struct job_table){table, own};
    return true;
}

/* Those of its plugin, and those of others that it may read and that are there. */
static int take_tables(struct core *core, struct job_run *run)
{
    const struct generation *g = run->generation;
    run->tables = calloc(g->manifest->n_tables + run->decl->reads.n + 1, sizeof *run->tables);
    if (!run->tables)
        return CVM_ENOMEM;
    for (size_t i = 0; i < g->manifest->n_tables; i++)
        add_table(run, g->tables[i], true);
    for (size_t i = 0; i < run->decl->reads.n; i++) {
        bool found = false;
        for (const struct plugin *p = core->plugins; p; p = p->next)
            for (size_t k = 0; p != g->plugin && p->now && k < p->now->manifest->n_tables && !found; k++)
                if (strcmp(p->now->tables[k]->decl->name, run->decl->reads.at[i]) == 0)
                    found = add_table(run, p->now->tables[k], false);
    }
    return 0;
}

static void take_model(struct core *core, struct job_run *run, const char *name)
{
    const struct model *m = models_find(core, name);
    run->models[run->n_models++] = (struct job_model){name, m ? model_ref((struct model *)(uintptr_t)m) : NULL};
}

static int take_models(struct core *core, struct job_run *run)
{
    const struct manifest *m = run->manifest;
    run->models = calloc(m->n_models + m->needs_models.n + 1, sizeof *run->models);
    if (!run->models)
        return CVM_ENOMEM;
    for (size_t i = 0; i < m->n_models; i++)
        take_model(core, run, m->models[i].name);
    for (size_t i = 0; i < m->needs_models.n; i++)
        take_model(core, run, m->needs_models.at[i]);
    return 0;
}

static cvm_job_function find_function(const struct generation *g, const char *name)
{
    for (const cvm_job_entry *job = generation_jobs(g->descriptor); job && job->name; job++)
        if (strcmp(job->name, name) == 0)
            return job->run;
    return NULL;
}

/* Gives a run that is ready to begin; NULL: no memory. */
static struct job_run *run_new(struct core *core, struct effect *e, cvm_job_function function,
                               const struct manifest_job *decl)
{
    const struct binding *b = e->component->now;
    struct job_run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    *run = (struct job_run){.pub.host = &job_api,
                            .core = core,
                            .effect = e,
                            .generation = b->generation,
                            .manifest = b->generation->manifest,
                            .decl = decl,
                            .function = function,
                            .component = e->component->id->text,
                            .component_index = e->component->index,
                            .id = e->item.id,
                            .now_ms = e->asked_ms,
                            .started_ms = core->now_ms,
                            .began_ns = clock_ns(),
                            .random = id_seed(e->item.id, e->component->salt),
                            .input = json_incref(e->body),
                            .settings = json_incref(b->settings)};
    pthread_mutex_init(&run->mutex, NULL);
    e->item.refs++;
    b->generation->jobs++;
    const char *secrets = config_str(core->options.config, "secrets.file", NULL);
    run->secrets = secrets ? strdup(secrets) : NULL;
    if ((secrets && !run->secrets) || take_tables(core, run) < 0 || take_models(core, run) < 0) {
        run_free(core, run);
        return NULL;
    }
    return run;
}

/* Nobody waits for it any more; it ends as soon as it looks. */
static void let_go(struct core *core, struct job_run *run)
{
    struct effect *e = run->effect;
    atomic_store(&run->stop, true);
    run->effect = NULL;
    if (e)
        item_release(core, &e->item);
}

/* The run has ended: whoever waits gets its answer. One that was told to end may have done half its work. */
static void take_end(struct core *core, struct job_run *run)
{
    struct effect *e = run->effect;
    if (!e || atomic_load(&run->stop))
        return;
    if (run->error) {
        const char *code = *run->code ? run->code : run->error == CVM_EACCES ? "NOT_ALLOWED" : "FAILED";
        log_info(run->component, "job %s failed: %s", run->decl->name, cvm_strerror(run->error));
        answer_error(core, e, CVM_ERROR, code, *run->text ? run->text : cvm_strerror(run->error));
        return;
    }
    effect_answer(core, e, CVM_REPLIED, run->result);
    run->result = NULL;
}

static void thread_main(void *arg)
{
    struct job_run *run = arg;
    job_execute(run);
    atomic_store(&run->done, true);
    uv_async_send(run->core->wake);
}

static void time_is_over(struct core *core, struct alarm *alarm)
{
    struct effect *e = (struct effect *)((char *)alarm - offsetof(struct effect, alarm));
    for (struct job_run *run = core->jobs->running; run; run = run->next) {
        if (run->effect != e)
            continue;
        log_warning(run->component, "job %s: not done within %lld ms", run->decl->name, (long long)e->timeout_ms);
        e->item.refs++;
        let_go(core, run);
        answer_error(core, e, CVM_TIMEOUT, "TIMEOUT", "the job was not done in its time");
        item_release(core, &e->item);
        return;
    }
}

/* ---- waiting and beginning --------------------------------------------------------------------------------------- */

static int64_t parallel(const struct core *core)
{
    return config_int(core->options.config, "jobs.parallel", 1);
}

static void start(struct core *core, struct effect *e)
{
    const struct generation *g = e->component->now->generation;
    const struct manifest_job *decl = g ? manifest_find_job(g->manifest, e->type->text) : NULL;
    cvm_job_function function = decl && !g->remote ? find_function(g, decl->name) : NULL;
    if (!function) { /* of a component that is away it is parked */
        answer_error(core, e, CVM_ERROR, "NOT_AVAILABLE", "the plugin that runs has no such job");
        return;
    }
    if (page_crashes(core->page, e->item.id) >= PAGE_CRASHES_TO_DEAD) {
        log_error(e->component->id->text, "job %s ran in %d crashes of the host: it is not run again", decl->name,
                  PAGE_CRASHES_TO_DEAD);
        answer_error(core, e, CVM_ERROR, "CRASHED", "running this job crashed the host");
        return;
    }
    struct job_run *run = run_new(core, e, function, decl);
    if (!run) {
        answer_error(core, e, CVM_ERROR, "FAILED", cvm_strerror(CVM_ENOMEM));
        return;
    }
    e->state = EFFECT_SENT;
    core->total.jobs++;
    if (e->conversation)
        crash_here(CRASH_EFFECT_HELD);
    if (!core->options.loop) {
        job_execute(run);
        take_end(core, run);
        run_free(core, run);
        return;
    }
    run->threaded = true;
    if (uv_thread_create(&run->thread, thread_main, run) != 0) {
        answer_error(core, e, CVM_ERROR, "FAILED", "no thread could be started");
        run_free(core, run);
        return;
    }
    run->next = core->jobs->running;
    core->jobs->running = run;
    core->jobs->n_running++;
    alarm_set(core, &e->alarm, core->now_ms + e->timeout_ms, time_is_over);
}

static void start_next(struct core *core)
{
    struct jobs *jobs = core->jobs;
    while (jobs->waiting && !core->stopping && jobs->n_running < parallel(core)) {
        struct waiting_job *first = jobs->waiting;
        struct effect *e = first->effect;
        jobs->waiting = first->next;
        if (!jobs->waiting)
            jobs->waiting_tail = NULL;
        jobs->n_waiting--;
        free(first);
        if (e->state != EFFECT_ANSWERED)
            start(core, e);
        item_release(core, &e->item);
    }
}

/* Its turn is durable, or it was found at the start. */
void job_begin(struct core *core, struct effect *e)
{
    if (!core->jobs && !(core->jobs = calloc(1, sizeof *core->jobs)))
        crash_promised("a job"); /* recovery finds it again */
    struct jobs *jobs = core->jobs;
    int64_t most = config_int(core->options.config, "jobs.waiting", 64);
    if (jobs->n_waiting >= most && !e->recovered) {
        answer_error(core, e, CVM_BUSY, "BUSY", "too many jobs wait already");
        return;
    }
    struct waiting_job *w = calloc(1, sizeof *w);
    if (!w)
        crash_promised("a job");
    w->effect = e;
    e->item.refs++;
    e->state = EFFECT_WAITING;
    if (jobs->waiting_tail)
        jobs->waiting_tail->next = w;
    else
        jobs->waiting = w;
    jobs->waiting_tail = w;
    jobs->n_waiting++;
    start_next(core);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

void jobs_returned(struct core *core)
{
    struct jobs *jobs = core->jobs;
    bool ended = false;
    for (struct job_run **at = jobs ? &jobs->running : NULL; at && *at;) {
        struct job_run *run = *at;
        if (!atomic_load(&run->done)) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        jobs->n_running--;
        uv_thread_join(&run->thread);
        take_end(core, run);
        run_free(core, run);
        ended = true;
    }
    if (ended)
        start_next(core);
}

/* The plugin leaves: what of it waits or runs is open in the store until it is back. */
void jobs_leave(struct core *core, const struct plugin *p)
{
    struct jobs *jobs = core->jobs;
    if (!jobs)
        return;
    for (struct waiting_job *w = jobs->waiting; w; w = w->next) /* leaves the list when its place comes */
        if (w->effect->component->plugin == p && w->effect->state != EFFECT_ANSWERED)
            effect_leave(core, w->effect);
    for (struct job_run *run = jobs->running; run; run = run->next) {
        struct effect *e = run->generation->plugin == p ? run->effect : NULL;
        if (!e)
            continue;
        e->item.refs++;
        let_go(core, run);
        effect_leave(core, e);
        item_release(core, &e->item);
    }
}

bool jobs_idle(struct core *core)
{
    for (struct job_run *run = core->jobs ? core->jobs->running : NULL; run; run = run->next)
        atomic_store(&run->stop, true);
    return !core->jobs || !core->jobs->running;
}

void jobs_close(struct core *core)
{
    struct jobs *jobs = core->jobs;
    if (!jobs)
        return;
    jobs_idle(core);
    while (jobs->running) {
        struct job_run *run = jobs->running;
        jobs->running = run->next;
        uv_thread_join(&run->thread);
        run_free(core, run);
    }
    for (struct waiting_job *w = jobs->waiting, *next; w; w = next) {
        next = w->next;
        item_release(core, &w->effect->item);
        free(w);
    }
    free(jobs);
    core->jobs = NULL;
}

static json_t *line_of(const struct effect *e, const char *state)
{
    char shown[40], root[40] = "";
    id_text(e->item.id, shown);
    if (e->subject)
        id_text(e->subject->root, root);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "job", e->type->text, "component", e->component->id->text,
                     "state", state, "id", shown, "conversation", e->conversation ? e->conversation->name : "", "root",
                     root);
}

json_t *core_jobs(struct core *core)
{
    json_t *list = json_array();
    core_set_now(core);
    for (struct job_run *run = core->jobs ? core->jobs->running : NULL; run; run = run->next) {
        json_t *line = run->effect ? line_of(run->effect, "running")
                                   : json_pack("{s:s, s:s, s:s}", "job", run->decl->name, "component", run->component,
                                               "state", "ending");
        pthread_mutex_lock(&run->mutex);
        json_object_set_new(line, "seconds", json_integer((core->now_ms - run->started_ms) / 1000));
        json_object_set_new(line, "done", json_integer(run->at));
        json_object_set_new(line, "total", json_integer(run->total));
        json_object_set_new(line, "what", json_string(run->what));
        pthread_mutex_unlock(&run->mutex);
        json_array_insert_new(list, 0, line); /* the oldest first */
    }
    for (const struct waiting_job *w = core->jobs ? core->jobs->waiting : NULL; w; w = w->next)
        if (w->effect->state != EFFECT_ANSWERED)
            json_array_append_new(list, line_of(w->effect, "waiting"));
    return list;
}

void jobs_metrics(const struct core *core, struct text *text)
{
    const struct jobs *jobs = core->jobs;
    text_printf(text, "# HELP cvmhost_%s\n# TYPE cvmhost_%s\ncvmhost_%s %llu\n", "jobs_total Jobs begun.",
                "jobs_total counter", "jobs_total", (unsigned long long)core->total.jobs);
    text_printf(text, "# HELP cvmhost_%s\n# TYPE cvmhost_%s\ncvmhost_%s %u\n",
                "jobs_running Jobs that run, also those whose time is over.", "jobs_running gauge", "jobs_running",
                jobs ? jobs->n_running : 0);
    text_printf(text, "# HELP cvmhost_%s\n# TYPE cvmhost_%s\ncvmhost_%s %u\n", "jobs_waiting Jobs that wait to run.",
                "jobs_waiting gauge", "jobs_waiting", jobs ? jobs->n_waiting : 0);
}
