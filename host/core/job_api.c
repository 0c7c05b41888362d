/* What a job's function may call: the table of it and its smaller entries, and the run around the function. The run's
 * own thread; under the virtual clock the loop's. */
#include "core/job.h"

#include "core/heap.h"
#include "core/regex.h"
#include "core/store.h"
#include "models/model.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What runs on this thread; NULL: no job. */
static _Thread_local const struct job_run *under_way;

bool job_faulted(struct page *page)
{
    if (!under_way)
        return false;
    page->job.component = under_way->component_index;
    page->job.id = under_way->id;
    atomic_store(&page->job.faulted, 1);
    return true;
}

#define FAULT_STACK_BYTES 65536 /* a job that used up its stack is to be reported too */

static struct job_run *of(cvm_job *j)
{
    return (struct job_run *)j;
}

int job_stopping(struct job_run *run)
{
    return atomic_load_explicit(&run->stop, memory_order_relaxed) ? CVM_ESTATE : 0;
}

int job_complain(struct job_run *run, int error, const char *asked, const char *subject, const char *why)
{
    log_warning(run->component, "job %s: %s %.100s: %s%s%s", run->decl->name, asked, subject, cvm_strerror(error),
                *why ? ": " : "", why);
    return error;
}

const struct job_table *job_find_table(struct job_run *run, const char *name, const char *asked, int *ret_error)
{
    bool named = false;
    for (size_t i = 0; name && i < run->n_tables; i++)
        if (strcmp(run->tables[i].table->decl->name, name) == 0)
            return &run->tables[i];
    for (size_t i = 0; name && i < run->decl->reads.n; i++)
        named = named || strcmp(run->decl->reads.at[i], name) == 0;
    *ret_error = job_complain(run, named ? CVM_ENOENT : CVM_EACCES, asked, name ? name : "(no table)",
                              named ? "the plugin that has this table is not loaded"
                                    : "the plugin has no such table, and \"reads\" of the job does not name it");
    return NULL;
}

static const json_t *settings(cvm_job *j)
{
    return of(j)->settings;
}

static cvm_id id(cvm_job *j)
{
    return of(j)->id;
}

static int64_t now_ms(cvm_job *j)
{
    return of(j)->now_ms;
}

static int64_t elapsed_us(cvm_job *j)
{
    const struct job_run *run = of(j);
    return run->core->options.loop ? (clock_ns() - run->began_ns) / 1000 : 0; /* virtual time stands still meanwhile */
}

static uint64_t random_bits(cvm_job *j)
{
    return id_random(&of(j)->random);
}

static void progress(cvm_job *j, int64_t done, int64_t total, const char *what)
{
    struct job_run *run = of(j);
    pthread_mutex_lock(&run->mutex);
    run->at = done;
    run->total = total;
    snprintf(run->what, sizeof run->what, "%s", what ? what : "");
    pthread_mutex_unlock(&run->mutex);
}

static bool stopped(cvm_job *j)
{
    return job_stopping(of(j)) < 0;
}

static int fail(cvm_job *j, const char *code, const char *text)
{
    struct job_run *run = of(j);
    snprintf(run->code, sizeof run->code, "%s", code ? code : "FAILED");
    snprintf(run->text, sizeof run->text, "%s", text ? text : "");
    text_make_utf8(run->code);
    text_make_utf8(run->text);
    return CVM_EREFUSED;
}

static int classify(cvm_job *j, const char *model, const char *text, json_t **ret_labels)
{
    struct job_run *run = of(j);
    if (!model || !text)
        return CVM_EINVAL;
    for (size_t i = 0; i < run->n_models; i++) {
        if (strcmp(run->models[i].name, model) != 0)
            continue;
        return run->models[i].model ? classify_text(run->models[i].model, text, ret_labels) : CVM_ENOENT;
    }
    return job_complain(run, CVM_EACCES, "cvm_job_classify", model,
                        "the manifest neither declares this model nor names it under needs.models");
}

static int match(cvm_job *j, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    return regexes_match(&of(j)->regexes, pattern, text, offset, spans, n);
}

static void log_line(cvm_job *j, int level, const char *format, va_list args)
{
    char line[1024];
    vsnprintf(line, sizeof line, format, args);
    log_write((enum log_level)(level & 3), of(j)->component, "%s", line);
}

const cvm_job_host job_api = {.size = sizeof(cvm_job_host),
                              .settings = settings,
                              .id = id,
                              .now_ms = now_ms,
                              .random = random_bits,
                              .open = job_open,
                              .next = job_next,
                              .close = job_close_cursor,
                              .loader = job_loader,
                              .put = job_put,
                              .loader_close = job_close_loader,
                              .clear = job_clear,
                              .file = job_file,
                              .line = job_line,
                              .file_close = job_close_file,
                              .save = job_save,
                              .elapsed_us = elapsed_us,
                              .progress = progress,
                              .stopped = stopped,
                              .give_up = fail,
                              .classify = classify,
                              .match = match,
                              .log = log_line};

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void check_result(struct job_run *run)
{
    if (!run->error && !run->result && !(run->result = json_object()))
        run->error = CVM_ENOMEM;
    if (!run->error && !json_is_object(run->result))
        run->error = fail(&run->pub, "FAILED", "the job's result is no object");
    if (!run->error && json_text_size(run->result, CVM_JOB_RESULT_MAX_BYTES) > CVM_JOB_RESULT_MAX_BYTES)
        run->error = fail(&run->pub, "TOO_LARGE", "the job's result is over 1 MiB: it belongs into a table");
    if (run->error) {
        json_decref(run->result);
        run->result = NULL;
    }
}

void job_execute(struct job_run *run)
{
    char *stack = run->threaded ? malloc(FAULT_STACK_BYTES) : NULL;
    if (stack)
        (void)sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = FAULT_STACK_BYTES}, NULL);
    if (run->threaded)
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), JOB_NICE);
    under_way = run;
    int e = run->function(&run->pub, run->input, &run->result);
    under_way = NULL;
    run->error = e < 0 ? e : 0;
    while (run->cursors)
        job_close_cursor((cvm_cursor *)run->cursors);
    while (run->loaders)
        job_drop_loader(run->loaders);
    while (run->files)
        job_close_file((cvm_file *)run->files);
    check_result(run);
    store_close(run->store);
    regexes_free(run->regexes);
    run->store = NULL;
    run->regexes = NULL;
    if (stack) {
        (void)sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
        free(stack);
        heap_give_back(); /* what a scan over a large table took */
    }
}
