/* Jobs: long work of plugins beside the loop. The loop starts a run and takes its end (job.c); the run itself has a
 * thread of its own, under the virtual clock it is run on the loop at once. What the thread reads of a run was made
 * before it began and stays; what it changes belongs to it until `done`, but for what says otherwise.
 *
 * job_api.c is the table that the plugin's function sees, job_read.c reads tables, job_load.c writes them through the
 * writer, job_file.c has the files. */
#ifndef HOST_CORE_JOB_H
#define HOST_CORE_JOB_H

#include "core/internal.h"
#include <pthread.h>
#include <stdatomic.h>

#define JOB_OPEN_MAX 16 /* cursors, loaders, files at a time; of each */
#define JOB_WHAT_SIZE 128
#define JOB_CODE_SIZE 64
#define JOB_TEXT_SIZE 512
#define JOB_NICE 5 /* turns go first */

struct cursor;
struct loader;
struct line_file;
struct model;
struct regexes;

/* A table that a run may use. */
struct job_table {
    struct table *table; /* a reference */
    bool own;
};

struct job_model {
    const char *name;
    struct model *model; /* a reference; NULL: none answers */
};

struct job_run {
    cvm_job pub; /* first: the function holds a pointer to it */
    struct job_run *next;
    struct core *core;     /* the thread reads home, journal and wake of it */
    struct effect *effect; /* the loop's: who waits for the answer; NULL: nobody any more */
    struct generation *generation;
    const struct manifest *manifest;
    const struct manifest_job *decl;
    cvm_job_function function;
    const char *component;
    char *secrets; /* the file that the configuration names for them, below the home or absolute; NULL: none */
    uint32_t component_index;
    cvm_id id;
    int64_t now_ms, started_ms; /* of the turn that asked; of its beginning */
    int64_t began_ns;           /* the same, on the clock that never goes back */
    uint64_t random;
    const json_t *input;
    json_t *settings;
    struct job_table *tables;
    size_t n_tables;
    struct job_model *models;
    size_t n_models;
    uv_thread_t thread;
    bool threaded;
    atomic_bool stop, done;
    /* of the thread */
    struct store *store; /* its reader; NULL: not opened yet */
    struct regexes *regexes;
    struct cursor *cursors;
    struct loader *loaders;
    struct line_file *files;
    uint32_t n_cursors, n_loaders, n_files;
    int error;
    json_t *result;
    char code[JOB_CODE_SIZE], text[JOB_TEXT_SIZE]; /* why it failed, in its own words; "" */
    /* how far it is: with the mutex */
    pthread_mutex_t mutex;
    int64_t at, total;
    char what[JOB_WHAT_SIZE];
};

extern const cvm_job_host job_api; /* job_api.c */

void job_execute(struct job_run *run); /* job_api.c: the whole of it, on its thread */
int job_stopping(struct job_run *run); /* CVM_ESTATE once it is to end, else 0 */
/* The table by its name, if the run may read it; NULL with a line in the log: it may not, or there is none. */
const struct job_table *job_find_table(struct job_run *run, const char *name, const char *asked, int *ret_error);
/* A line in the log for what was refused; gives `error`. */
int job_complain(struct job_run *run, int error, const char *asked, const char *subject, const char *why);

/* job_read.c */
int job_open(cvm_job *j, const char *table, const char *const columns[], const json_t *where, const char *order_by,
             cvm_cursor **ret_cursor);
int job_next(cvm_cursor *c, const cvm_cell **ret_cells);
void job_close_cursor(cvm_cursor *c);
/* job_load.c */
int job_loader(cvm_job *j, const char *table, const char *const columns[], cvm_loader **ret_loader);
int job_put(cvm_loader *l, const cvm_cell *cells);
int job_close_loader(cvm_loader *l);
void job_drop_loader(struct loader *l); /* without what it holds */
int job_clear(cvm_job *j, const char *table, const json_t *where, int64_t *ret_rows);
/* job_file.c */
int job_file(cvm_job *j, const char *path, cvm_file **ret_file);
int job_line(cvm_file *f, const char **ret_line, size_t *ret_len);
void job_close_file(cvm_file *f);
int job_save(cvm_job *j, const char *path, const char *text, size_t len);

#endif
