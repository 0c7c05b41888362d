/* The plugin's long work: loading the sources, making the figures, importing, clearing, listing. Each runs on a thread
 * of its own; two that write wait for each other. */
#ifndef CVM_CUSTOMERS_JOBS_H
#define CVM_CUSTOMERS_JOBS_H

#include "faults.h"
#include "source.h"

/* {"force"?, "with"?} -> {"changed", "customers", "with"}: reads the files that are others than when they were read
 * last and makes the figures anew where something changed. */
int load_job(cvm_job *j, const json_t *input, json_t **ret_result);
/* {"file", "mapping"?, "replace"?, "permissions"?} -> what was taken */
int import_job(cvm_job *j, const json_t *input, json_t **ret_result);
/* {} -> {"removed"}: what was imported */
int clear_job(cvm_job *j, const json_t *input, json_t **ret_result);
/* {"source"?, "after"?, "limit", "with"?} -> {"customers" or "customer_ids", "next", "with"} */
int page_job(cvm_job *j, const json_t *input, json_t **ret_result);
/* {} -> how many customers have their churn_score by the churn model */
int scores_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- shared ---- */

/* One writes at a time. */
void jobs_lock(void);
void jobs_unlock(void);

/* Lines of a file of the job, for csv.h. `arg` is a struct job_lines. */
struct job_lines {
    cvm_job *job;
    cvm_file *file;
    const char *what; /* for progress */
    int64_t lines, total;
};
int job_next_line(void *arg, const char **ret_line, size_t *ret_len);

/* The figures of all customers that were not imported, of what is in the tables. `currency`: where billing says none;
 * `as_of`: a date, "" for the newest of the data. */
int figures_make(cvm_job *j, const char *currency, const char *as_of, int64_t *ret_customers);

#define LOADED_IMPORT "import" /* the row that says what was imported; of the kind "replace": the sample is out */

/* The row of cvm_sources: what was loaded. Borrows. NULL `fingerprint`: not loaded. */
struct loaded {
    const char *source, *kind, *file, *origin, *fingerprint;
    int64_t rows, skipped;
    const json_t *warnings;
};
int loaded_put(cvm_job *j, const struct loaded *l);

/* Removes the figures and rows of one origin from all tables of customers. Adds to *ret_n how many customers. */
int origin_clear(cvm_job *j, const char *origin, int64_t *ret_n);

/* A small text file as a whole. Gives (free); NULL with *ret_error. */
char *job_read_text(cvm_job *j, const char *path, size_t *ret_len, int *ret_error);
/* What people know a path as: its last part. */
const char *file_name(const char *path);

/* ---- import ---- */

/* An import under way. */
struct importing {
    cvm_job *job;
    const json_t *input, *settings;
    struct faults faults;
    struct job_lines lines;
    const char *form, *mapping; /* for people */
    char mapping_name[64];
    int64_t rows, imported, others, transcripts;
    int64_t removed;
    bool replace; /* takes the place of everything there is */
    bool begun;   /* a row could be read */
    bool figures; /* to be made afterwards */
};

/* What --permissions grants: a bit for each of sms, email, call, app, post, marketing. CVM_EINVAL: another word. */
#define PERMISSIONS 6
extern const char *const permission_names[PERMISSIONS];
int permissions_read(const char *list, unsigned *ret_bits);

/* Before each row that is put: what the import replaces goes with the first one, so that a file of which nothing can be
 * read, or a mapping that is not for it, empties no base. */
int import_begin(struct importing *i);

int import_csv(struct importing *i);
int import_histories(struct importing *i); /* JSON lines */

#endif
