/* Which text models there are, and which answers; see models.h. */
#include "core/models.h"

#include "core/file.h"
#include "core/hex.h"
#include "core/json_text.h"
#include "core/seen.h"
#include <cvm/json.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOTE_MAX_BYTES 65536

static void folder_of(const struct core *core, char ret_folder[4096])
{
    snprintf(ret_folder, 4096, "%s/data/models", core->home);
}

static size_t max_bytes(const struct core *core)
{
    return (size_t)config_int(core->options.config, "models.max_mib", 16) << 20;
}

static bool enabled(const struct core *core)
{
    return config_bool(core->options.config, "models.enabled", 1);
}

/* ---- what is declared ---- */

static struct hosted_model *find(const struct core *core, const char *name)
{
    struct hosted_model *m = core->models ? core->models->first : NULL;
    while (m && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

static void hosted_free(struct hosted_model *m)
{
    model_unref(m->now);
    json_decref(m->heads);
    json_decref(m->sections);
    free(m);
}

static void declare(struct core *core, const struct plugin *p, const struct manifest_model *decl)
{
    struct hosted_model *m = find(core, decl->name);
    if (!m) {
        if (!(m = calloc(1, sizeof *m)))
            return;
        snprintf(m->name, sizeof m->name, "%s", decl->name);
        struct hosted_model **at = &core->models->first;
        while (*at && strcmp((*at)->name, m->name) < 0)
            at = &(*at)->next;
        m->next = *at;
        *at = m;
    }
    snprintf(m->plugin, sizeof m->plugin, "%s", p->name);
    json_decref(m->heads);
    m->heads = json_incref((json_t *)(uintptr_t)decl->heads);
    snprintf(m->notes, sizeof m->notes, "%s", decl->notes);
    m->declared = true;
}

static void list_declared(struct core *core)
{
    for (struct hosted_model *m = core->models->first; m; m = m->next)
        m->declared = false;
    for (const struct plugin *p = core->plugins; p; p = p->next)
        for (size_t i = 0; p->now && i < p->now->manifest->n_models; i++)
            declare(core, p, &p->now->manifest->models[i]);
    for (struct hosted_model **at = &core->models->first; *at;) {
        struct hosted_model *m = *at;
        if (m->declared) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        hosted_free(m);
        core->configuration = NULL;
    }
}

/* ---- what they are trained on ---- */

static int by_plugin(const void *a, const void *b)
{
    return strcmp(((const struct model_section *)a)->plugin, ((const struct model_section *)b)->plugin);
}

/* The examples in service, by plugin. Manifests are borrowed. Gives a new array. */
static struct model_section *list_sections(const struct core *core, size_t *ret_n)
{
    size_t n = 0;
    for (const struct plugin *p = core->plugins; p; p = p->next)
        n += p->now && p->now->manifest->examples;
    struct model_section *parts = calloc(n + 1, sizeof *parts);
    *ret_n = 0;
    for (const struct plugin *p = core->plugins; parts && p; p = p->next) {
        if (!p->now || !p->now->manifest->examples)
            continue;
        struct model_section *part = &parts[(*ret_n)++];
        part->manifest = p->now->manifest;
        snprintf(part->plugin, sizeof part->plugin, "%s", p->name);
        snprintf(part->domain, sizeof part->domain, "%s", cvm_json_str(part->manifest->domain, "name", ""));
    }
    if (parts)
        qsort(parts, *ret_n, sizeof *parts, by_plugin);
    return parts;
}

static json_t *sections_json(const struct core *core, const struct hosted_model *m, const struct model_section *parts,
                             size_t n)
{
    json_t *sections = json_object();
    char *heads = json_text(m->heads, NULL), hash[HASH_HEX_SIZE] = "";
    if (heads)
        hash_hex(heads, strlen(heads), hash);
    free(heads);
    json_object_set_new(sections, "", json_string(hash));
    for (const struct plugin *p = core->plugins; p && *m->notes; p = p->next) /* another build reads otherwise */
        if (p->now && strcmp(p->name, m->plugin) == 0)
            json_object_set_new(sections, "/", json_sprintf("%s %.16s", m->notes, p->now->build));
    for (size_t i = 0; i < n; i++)
        json_object_set_new(sections, parts[i].plugin,
                            json_sprintf("%s %s", parts[i].domain, parts[i].manifest->examples_hash));
    return sections;
}

static void key_of(const struct core *core, const json_t *sections, char ret_key[MODEL_ID_SIZE])
{
    char hash[HASH_HEX_SIZE], *text = NULL, *list = json_text(sections, NULL);
    int n = list ? asprintf(&text, "%d %zu %s", MODEL_TRAINER, max_bytes(core), list) : -1;
    *ret_key = 0;
    if (n > 0) {
        hash_hex(text, (size_t)n, hash);
        snprintf(ret_key, MODEL_ID_SIZE, "%.*s", MODEL_ID_SIZE - 1, hash);
        free(text);
    }
    free(list);
}

/* Whether a model of `was` has seen all of `is`: domains have only left. */
static bool covers(const json_t *was, const json_t *is)
{
    const char *name;
    json_t *hash;
    json_object_foreach((json_t *)(uintptr_t)is, name, hash)
    {
        if (!json_equal(json_object_get(was, name), hash))
            return false;
    }
    return was != NULL;
}

/* ---- the exchange, between turns ---- */

static void take(struct core *core, struct hosted_model *m, struct model *model, json_t *sections)
{
    model_unref(m->now);
    json_decref(m->sections);
    m->now = model;
    m->sections = sections;
    m->trouble[0] = 0;
    core->configuration = NULL; /* turns name another one from here on */
    core->facts++;
}

/* From the file of that key. A damaged one is no more than none: it is made anew. */
static bool take_file(struct core *core, struct hosted_model *m, const char *key, const json_t *sections)
{
    char folder[4096], path[4200], error[400];
    struct model *model;
    folder_of(core, folder);
    model_path(folder, key, path);
    size_t mark = seen_mark(core->seen);
    bool known = seen_file(core->seen, core->seen ? seen_key_of(path) : 0);
    int e = model_open_seen(path, max_bytes(core), known, &model, error, sizeof error);
    if (e) {
        seen_take_back(core->seen, mark);
        if (e != CVM_ENOENT)
            log_warning("host", "model %s: %s; it is made anew", m->name, error);
        return false;
    }
    take(core, m, model, json_incref((json_t *)(uintptr_t)sections));
    m->seconds = 0;
    return true;
}

/* The model that answered last, before the host was started. */
static void take_last(struct core *core, struct hosted_model *m)
{
    char folder[4096], path[4400], error[400];
    json_t *note = NULL;
    folder_of(core, folder);
    snprintf(path, sizeof path, "%s/%s.json", folder, m->name);
    if (file_json(path, NOTE_MAX_BYTES, false, &note, error, sizeof error) < 0)
        return;
    const char *key = cvm_json_str(note, "key", "");
    const json_t *sections = json_object_get(note, "sections");
    if (strspn(key, "0123456789abcdef") == MODEL_ID_SIZE - 1 && !key[MODEL_ID_SIZE - 1] && json_is_object(sections))
        take_file(core, m, key, sections);
    json_decref(note);
}

/* ---- training ---- */

static void run_thread(void *arg)
{
    struct model_job *job = arg;
    struct core *core = job->core;
    model_job_run(job);
    uv_async_send(core->wake); /* closed after this thread has been waited for */
}

static struct model_job *job_new(struct core *core, const struct hosted_model *m, const json_t *sections,
                                 struct model_section *parts, size_t n)
{
    struct model_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->core = core;
    snprintf(job->name, sizeof job->name, "%s", m->name);
    memcpy(job->key, m->key, sizeof job->key);
    folder_of(core, job->folder);
    job->heads = json_text(m->heads, NULL);
    job->sections = json_text(sections, NULL);
    job->max_bytes = max_bytes(core);
    job->parts = calloc(n + 1, sizeof *job->parts);
    if (!job->heads || !job->sections || !job->parts) {
        model_job_free(job);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        job->parts[i] = parts[i];
        manifest_hold(parts[i].manifest);
    }
    job->n_parts = n;
    return job;
}

static void job_over(struct core *core)
{
    struct model_job *job = core->models->job;
    struct hosted_model *m = find(core, job->name);
    core->models->job = NULL;
    if (m && strcmp(m->key, job->key) == 0 && job->model) {
        take(core, m, job->model, json_loads(job->sections, 0, NULL));
        job->model = NULL;
        m->seconds = job->seconds;
        log_info("host", "model %s: trained on %zu examples in %.1f s; %.12s, %zu KiB", m->name, model_examples(m->now),
                 m->seconds, model_id(m->now), model_bytes(m->now) >> 10);
    } else if (m && strcmp(m->key, job->key) == 0 && !atomic_load(&job->stop)) {
        snprintf(m->trouble, sizeof m->trouble, "%s", job->error);
        log_warning("host", "model %s cannot be trained: %s", m->name, job->error);
    }
    model_job_free(job);
    core->models->seen_registry = UINT64_MAX; /* whether another one is to be trained */
}

static void train(struct core *core)
{
    struct model_job *job = core->models->job;
    job->threaded = core->options.loop != NULL;
    if (job->threaded && uv_thread_create(&job->thread, run_thread, job) == 0)
        return;
    job->threaded = false;
    if (core->options.loop) {
        snprintf(job->error, sizeof job->error, "no thread can be started to train it");
        job_over(core);
        return;
    }
    model_job_run(job);
    job_over(core);
}

void models_noted(struct core *core)
{
    if (atomic_load(&core->models->job->stop))
        job_over(core);
    else
        train(core);
}

static void begin_job(struct core *core, struct hosted_model *m, const json_t *sections, struct model_section *parts,
                      size_t n)
{
    if (*m->notes && !core->accepting) { /* nobody could be asked for notes yet */
        core->models->seen_registry = UINT64_MAX;
        return;
    }
    struct model_job *job = job_new(core, m, sections, parts, n);
    if (!job)
        return;
    core->models->job = job;
    if (mkdir(job->folder, 0750) < 0 && errno != EEXIST)
        log_warning("host", "%s: %s", job->folder, strerror(errno));
    const char *slash = strchr(m->notes, '/');
    if (!slash) {
        train(core);
        return;
    }
    snprintf(job->noter, sizeof job->noter, "%.*s", (int)(slash - m->notes), m->notes);
    snprintf(job->noter_type, sizeof job->noter_type, "%s", slash + 1);
    models_ask_notes(job);
}

/* ---- keeping up with what is loaded ---- */

static void keep_up(struct core *core, struct hosted_model *m, struct model_section *parts, size_t n)
{
    char key[MODEL_ID_SIZE];
    json_t *sections = sections_json(core, m, parts, n);
    key_of(core, sections, key);
    bool other = strcmp(m->key, key) != 0;
    if (other)
        m->trouble[0] = 0;
    memcpy(m->key, key, sizeof key);
    if (n == 0)
        snprintf(m->trouble, sizeof m->trouble, "no loaded domain has examples");
    if (!m->now && other && n && !take_file(core, m, key, sections))
        take_last(core, m);
    bool trained = m->now && covers(m->sections, sections);
    if (!trained && n && !*m->trouble && !core->models->job && (!m->now || !take_file(core, m, key, sections)))
        begin_job(core, m, sections, parts, n);
    else if (core->models->job && strcmp(core->models->job->name, m->name) == 0 &&
             strcmp(core->models->job->key, key) != 0)
        atomic_store(&core->models->job->stop, true); /* what it learns is not wanted any more */
    json_decref(sections);
}

static void drop_all(struct core *core)
{
    for (struct hosted_model *m = core->models->first; m; m = m->next) {
        if (m->now)
            take(core, m, NULL, NULL);
        m->key[0] = 0;
        snprintf(m->trouble, sizeof m->trouble, "models.enabled is false");
    }
    if (core->models->job)
        atomic_store(&core->models->job->stop, true);
}

void models_refresh(struct core *core)
{
    struct models *s = core->models;
    uint64_t settings = config_version(core->options.config);
    if (!s || !s->started || core->stopping ||
        (s->seen_registry == core->registry_version && s->seen_settings == settings))
        return;
    s->seen_registry = core->registry_version;
    s->seen_settings = settings;
    list_declared(core);
    if (!enabled(core)) {
        drop_all(core);
        return;
    }
    size_t n = 0;
    struct model_section *parts = s->first ? list_sections(core, &n) : NULL;
    for (struct hosted_model *m = s->first; parts && m; m = m->next)
        keep_up(core, m, parts, n);
    free(parts);
}

void models_start(struct core *core)
{
    if (!core->models)
        core->models = calloc(1, sizeof *core->models);
    if (!core->models)
        return;
    core->models->started = true;
    core->models->seen_registry = UINT64_MAX;
    models_refresh(core);
}

void models_returned(struct core *core)
{
    struct model_job *job = core->models ? core->models->job : NULL;
    if (!job || job->asking || !atomic_load(&job->done))
        return;
    uv_thread_join(&job->thread);
    job_over(core);
    models_refresh(core);
}

bool core_learns(const struct core *core)
{
    const struct hosted_model *m = core->models && enabled(core) ? core->models->first : NULL;
    while (m && (m->now || *m->trouble))
        m = m->next;
    return m != NULL;
}

bool models_idle(struct core *core)
{
    if (core->models && core->models->job)
        atomic_store(&core->models->job->stop, true);
    return !core->models || !core->models->job;
}

void models_close(struct core *core)
{
    struct models *s = core->models;
    if (!s)
        return;
    if (s->job) {
        atomic_store(&s->job->stop, true);
        if (!s->job->asking)
            uv_thread_join(&s->job->thread);
        model_job_free(s->job);
    }
    for (struct hosted_model *m = s->first, *next; m; m = next) {
        next = m->next;
        hosted_free(m);
    }
    free(s);
    core->models = NULL;
}

/* ---- asking ---- */

const struct model *models_find(const struct core *core, const char *name)
{
    const struct hosted_model *m = find(core, name);
    return m ? m->now : NULL;
}

json_t *models_ids(const struct core *core)
{
    json_t *ids = NULL;
    for (const struct hosted_model *m = core->models ? core->models->first : NULL; m; m = m->next) {
        if (!m->now)
            continue;
        if (!ids)
            ids = json_object();
        json_object_set_new(ids, m->name, json_string(model_id(m->now)));
    }
    return ids;
}

static json_t *model_json(const struct core *core, const struct hosted_model *m)
{
    const struct model_job *job = core->models->job;
    json_t *heads = json_array(), *file = NULL;
    char folder[4096], path[4200];
    for (size_t h = 0; m->now && h < model_heads(m->now); h++)
        json_array_append_new(heads, json_string(model_head(m->now, h)));
    if (m->now) {
        folder_of(core, folder);
        model_path(folder, model_id(m->now), path);
        file = json_string(path);
    }
    return json_pack("{s:s, s:s, s:b, s:b, s:s?, s:I, s:I, s:I, s:f, s:o, s:o*, s:s?}", "name", m->name, "plugin",
                     m->plugin, "ready", m->now != NULL, "training", job && strcmp(job->name, m->name) == 0, "hash",
                     m->now ? model_id(m->now) : NULL, "examples", (json_int_t)(m->now ? model_examples(m->now) : 0),
                     "features", (json_int_t)(m->now ? model_features(m->now) : 0), "bytes",
                     (json_int_t)(m->now ? model_bytes(m->now) : 0), "training_seconds", m->seconds, "heads", heads,
                     "file", file, "note", *m->trouble ? m->trouble : NULL);
}

json_t *core_models(const struct core *core, const char *plugin)
{
    json_t *list = json_array();
    for (const struct hosted_model *m = core->models ? core->models->first : NULL; m; m = m->next)
        if (!plugin || strcmp(m->plugin, plugin) == 0)
            json_array_append_new(list, model_json(core, m));
    return list;
}

#define PER_MODEL(metric, help, expression)                                                                            \
    do {                                                                                                               \
        text_printf(text, "# HELP cvmhost_%s %s\n# TYPE cvmhost_%s gauge\n", metric, help, metric);                    \
        for (const struct hosted_model *m = core->models ? core->models->first : NULL; m; m = m->next)                 \
            text_printf(text, "cvmhost_%s{model=\"%s\"} %.15g\n", metric, m->name, (double)(expression));              \
    } while (0)

void models_metrics(const struct core *core, struct text *text)
{
    PER_MODEL("model_ready", "Whether a text model answers.", m->now != NULL);
    PER_MODEL("model_examples", "Examples it was trained on.", m->now ? model_examples(m->now) : 0);
    PER_MODEL("model_bytes", "Size of its file, which is mapped.", m->now ? model_bytes(m->now) : 0);
    PER_MODEL("model_training_seconds", "How long its training took; 0: it was found in the home.", m->seconds);
    text_puts(text, "# HELP cvmhost_model_info The model that answers, by its hash.\n"
                    "# TYPE cvmhost_model_info gauge\n");
    for (const struct hosted_model *m = core->models ? core->models->first : NULL; m; m = m->next)
        if (m->now)
            text_printf(text, "cvmhost_model_info{model=\"%s\",hash=\"%s\"} 1\n", m->name, model_id(m->now));
}
