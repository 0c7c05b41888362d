/* The training of a hosted model: examples of the manifests into a file under data/models, which is then opened. Runs
 * on its own thread at low priority, so that no turn waits for it; touches nothing of the core. */
#include "core/models.h"

#include "core/file.h"
#include "core/heap.h"
#include <cvm/json.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define JOB_NICE 10
#define MODELS_KEPT 4 /* files: going back to what was there before needs no training */
#define MODELS_LISTED 256

void model_path(const char *folder, const char *key, char ret_path[4200])
{
    snprintf(ret_path, 4200, "%s/%s.model", folder, key);
}

static bool progress(void *arg, double done)
{
    struct model_job *job = arg;
    (void)done;
    return !atomic_load(&job->stop);
}

/* ---- examples ---- */

static int add_lines(struct model_job *job, const struct model_section *part, size_t *at_note, struct examples *e)
{
    const char *at = part->manifest->examples, *end = at + part->manifest->examples_len;
    char why[256] = "";
    for (size_t line = 1; at < end; line++) {
        size_t n = (size_t)(strchrnul(at, '\n') - at);
        json_error_t fault;
        const char *begin = at;
        at += n + 1;
        if (strspn(begin, " \t\r\n") >= n)
            continue;
        json_t *example = json_loadb(begin, n, JSON_REJECT_DUPLICATES, &fault);
        if (json_array_size(job->notes))
            json_object_set(example, "notes", json_array_get(job->notes, (*at_note)++));
        int error = example ? examples_add_json(e, example, part->domain, why, sizeof why) : CVM_EINVAL;
        json_decref(example);
        if (error) {
            snprintf(job->error, sizeof job->error, "plugin %s: domain.examples: line %zu: %s", part->plugin, line,
                     example ? why : fault.text);
            return error;
        }
    }
    return 0;
}

static int collect(struct model_job *job, struct examples *e)
{
    json_t *heads = json_loads(job->heads, 0, NULL);
    int error = heads ? examples_heads(e, heads, job->error, sizeof job->error) : CVM_ENOMEM;
    json_decref(heads);
    size_t at_note = 0;
    for (size_t i = 0; i < job->n_parts && !error; i++)
        error = add_lines(job, &job->parts[i], &at_note, e);
    return error ? error : examples_sort(e);
}

/* ---- files ---- */

struct found {
    char name[80];
    int64_t ns;
};

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->ns > y->ns ? -1 : x->ns < y->ns;
}

/* Models that were not used for long go; those that are mapped stay readable to whoever has them. */
static void tidy(const struct model_job *job)
{
    struct found found[MODELS_LISTED];
    char path[4400];
    struct stat st;
    size_t n = 0;
    DIR *dir = opendir(job->folder);
    for (struct dirent *d; dir && n < MODELS_LISTED && (d = readdir(dir));) {
        size_t len = strlen(d->d_name);
        snprintf(path, sizeof path, "%s/%s", job->folder, d->d_name);
        if (len < 6 || len >= sizeof found->name || strcmp(d->d_name + len - 6, ".model") != 0 || stat(path, &st) < 0)
            continue;
        memcpy(found[n].name, d->d_name, len + 1);
        found[n++].ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    if (dir)
        closedir(dir);
    qsort(found, n, sizeof *found, newest_first);
    for (size_t i = MODELS_KEPT; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", job->folder, found[i].name);
        unlink(path);
    }
}

/* What the model was trained on, beside it under its name: the next start knows which one answered last. */
static void note_last(const struct model_job *job)
{
    char path[4200], temporary[4300];
    snprintf(path, sizeof path, "%s/%s.json", job->folder, job->name);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    char *text = NULL;
    int n = asprintf(&text, "{\"key\": \"%s\", \"sections\": %s}\n", job->key, job->sections);
    if (n > 0 && file_write(temporary, text, (size_t)n) == 0)
        (void)rename(temporary, path);
    if (n > 0)
        free(text);
}

/* ---- the job ---- */

void model_job_run(struct model_job *job)
{
    struct examples e;
    char path[4200], error[400] = "";
    struct model_training how = {job->max_bytes, progress, job, job->key};
    int64_t begun = clock_ns();
    if (job->threaded)
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), JOB_NICE);
    model_path(job->folder, job->key, path);
    examples_init(&e);
    int failed = collect(job, &e);
    if (!failed && (failed = model_train(&e, &how, path, error, sizeof error)))
        snprintf(job->error, sizeof job->error, "%s", error);
    if (!failed && model_open(path, job->max_bytes, &job->model, error, sizeof error) < 0)
        snprintf(job->error, sizeof job->error, "%s", error);
    examples_fini(&e);
    job->seconds = (double)(clock_ns() - begun) / 1e9;
    if (failed && !*job->error)
        snprintf(job->error, sizeof job->error, "%s", cvm_strerror(failed));
    if (job->model) {
        note_last(job);
        tidy(job);
    }
    heap_give_back(); /* what a training takes is many times what its model takes */
    atomic_store(&job->done, true);
}

void model_job_free(struct model_job *job)
{
    if (!job)
        return;
    for (size_t i = 0; i < job->n_parts; i++)
        manifest_free(job->parts[i].manifest);
    model_unref(job->model);
    json_decref(job->notes);
    free(job->parts);
    free(job->heads);
    free(job->sections);
    free(job);
}
