/* Jobs: long work beside the loop, such as a scan over a large table, solving, training, an import. Since 1.4.
 *
 * A job is a function of its input, the committed tables and files. It runs on a thread of its own, so it may take
 * minutes; it has no turn: it can touch no state, no context and no message, and must not call a cvm_...() function
 * that takes a `cvm_turn`. What it has in common with the plugin's handlers are constants only: they run at the same
 * time as it does.
 *
 *     static int solve(cvm_job *j, const json_t *input, json_t **ret_result)
 *     {
 *         const char *const columns[] = {"customer_id", "monthly_spend", NULL};
 *         const cvm_cell *cells;
 *         cvm_cursor *c;
 *         int64_t n = 0, sum = 0;
 *         int e;
 *         CVM_TRY(cvm_job_open(j, "cvm_customers", columns, NULL, NULL, &c));
 *         while ((e = cvm_cursor_next(c, &cells)) > 0) {
 *             n++;
 *             sum += cells[1].i;
 *         }
 *         cvm_cursor_close(c);
 *         CVM_TRY(e);
 *         *ret_result = json_pack("{s:I, s:I}", "customers", (json_int_t)n, "sum", (json_int_t)sum);
 *         return *ret_result ? CVM_OK : CVM_ENOMEM;
 *     }
 *     static const cvm_job_entry jobs[] = {{"solve", solve}, {0}};
 *     CVM_PLUGIN(.name = "x", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
 *
 * The manifest names each one, with the tables that it reads and writes (docs/reference/jobs.md). A handler starts it
 * with cvm_job_start; the answer comes as "<job>.reply". A job that is to end (its time is over, the host stops, the
 * plugin is removed) is told by cvm_job_stopped, and each call below that can fail fails with CVM_ESTATE from then on.
 *
 * All functions run on the job's own thread. A cursor, loader or file that the job leaves open is closed as it ends. */
#ifndef CVM_CVM_H
#include <cvm/cvm.h>
#endif
#ifndef CVM_JOB_H
#define CVM_JOB_H

#define CVM_JOB_RESULT_MAX_BYTES (1024 * 1024) /* of a result, as JSON text: more goes to a table */
#define CVM_JOB_LINE_MAX_BYTES (1024 * 1024)   /* of a file's line */

/* A run of a job, valid until its function returns. */
typedef struct cvm_job cvm_job;
/* The rows of a table, one after the other. */
typedef struct cvm_cursor cvm_cursor;
/* Rows on their way into a table. */
typedef struct cvm_loader cvm_loader;
/* A text file that is read line by line. */
typedef struct cvm_file cvm_file;

/* What a cell holds. */
enum cvm_cell_kind { CVM_CELL_NULL, CVM_CELL_INT, CVM_CELL_REAL, CVM_CELL_TEXT };

/* A value of a row. A boolean is an integer, an array or object its JSON text. `text` ends with NUL when it is read;
 * when it is written `len` alone counts. */
typedef struct cvm_cell {
    int kind;         /* enum cvm_cell_kind */
    int64_t i;        /* CVM_CELL_INT; of a CVM_CELL_REAL that was read: rounded towards zero */
    double r;         /* CVM_CELL_REAL; of a CVM_CELL_INT that was read: the same value */
    const char *text; /* CVM_CELL_TEXT; "" in others that were read */
    size_t len;
} cvm_cell;

/* A job's function. Borrows `input` (an object); gives the result (an object, NULL for {}) or an error, for which the
 * requester gets ERROR with {"code", "text"}. */
typedef int (*cvm_job_function)(cvm_job *j, const json_t *input, json_t **ret_result);

/* A job of the library; the manifest has one of the same name. */
typedef struct cvm_job_entry {
    const char *name;
    cvm_job_function run;
} cvm_job_entry;

/* Append-only; `size` says how much of it this host has. Use the functions below, not the table. */
typedef struct cvm_job_host {
    uint32_t size;
    const json_t *(*settings)(cvm_job *j);
    cvm_id (*id)(cvm_job *j);
    int64_t (*now_ms)(cvm_job *j);
    uint64_t (*random)(cvm_job *j);
    int (*open)(cvm_job *j, const char *table, const char *const columns[], const json_t *where, const char *order_by,
                cvm_cursor **ret_cursor);
    int (*next)(cvm_cursor *c, const cvm_cell **ret_cells);
    void (*close)(cvm_cursor *c);
    int (*loader)(cvm_job *j, const char *table, const char *const columns[], cvm_loader **ret_loader);
    int (*put)(cvm_loader *l, const cvm_cell *cells);
    int (*loader_close)(cvm_loader *l);
    int (*clear)(cvm_job *j, const char *table, const json_t *where, int64_t *ret_rows);
    int (*file)(cvm_job *j, const char *path, cvm_file **ret_file);
    int (*line)(cvm_file *f, const char **ret_line, size_t *ret_len);
    void (*file_close)(cvm_file *f);
    int (*save)(cvm_job *j, const char *path, const char *text, size_t len);
    void (*progress)(cvm_job *j, int64_t done, int64_t total, const char *what);
    bool (*stopped)(cvm_job *j);
    int (*give_up)(cvm_job *j, const char *code, const char *text);
    int (*classify)(cvm_job *j, const char *model, const char *text, json_t **ret_labels);
    int (*match)(cvm_job *j, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n);
    void (*log)(cvm_job *j, int level, const char *format, va_list args);
    int64_t (*elapsed_us)(cvm_job *j);
} cvm_job_host;

/* What of a run a plugin sees. */
struct cvm_job {
    const cvm_job_host *host; /* the rest is the host's own */
};

/* What of these a plugin sees. */
struct cvm_cursor {
    const cvm_job_host *host;
};
struct cvm_loader {
    const cvm_job_host *host;
};
struct cvm_file {
    const cvm_job_host *host;
};

/* ---- in a turn ---- */

/* Starts the job `job` of the plugin when the turn is kept. Takes `input` (an object, NULL for {}). The answer comes as
 * the message "<job>.reply" to this component: REPLIED with the result, ERROR with {"code", "text"}, TIMEOUT;
 * `on_behalf` comes back in it. `timeout_ms` counts from when it begins to run (0: the manifest's own); few run at a
 * time, the others wait. In a durable conversation a job that was cut off by the end of the host is started again from
 * its beginning with the same input, so a job first clears what an earlier attempt of the same run may have written:
 * give its rows an id of the run. In an ephemeral operation it is lost then. CVM_EACCES: the manifest declares no such
 * job. CVM_ENOENT: no route of this component takes its reply. CVM_EINVAL: the input is no object, the time is none.
 * CVM_ELIMIT: as for cvm_request. Since 1.4. */
CVM_MUST_USE static inline int cvm_job_start(cvm_turn *t, const char *job, json_t *input, cvm_id on_behalf,
                                             int64_t timeout_ms)
{
    return t->host->job_start(t, job, input, on_behalf, timeout_ms);
}

/* ---- in a job ---- */

/* The settings of the component that started it, as they were then. An object, never NULL, borrowed. */
static inline const json_t *cvm_job_settings(cvm_job *j)
{
    return j->host->settings(j);
}

/* The id of the run: the same when it is started again after a crash. */
static inline cvm_id cvm_job_id(cvm_job *j)
{
    return j->host->id(j);
}

/* The time of the turn that started it; constant, and the same when it is started again. */
static inline int64_t cvm_job_now_ms(cvm_job *j)
{
    return j->host->now_ms(j);
}

/* Microseconds since it began to run, on a clock that never goes back. Another number each time: only for ending a
 * search in time, and for telling how long it took. */
static inline int64_t cvm_job_elapsed_us(cvm_job *j)
{
    return j->host->elapsed_us(j);
}

/* Random bits seeded by the run: the same when it is started again. Not for secrets. */
static inline uint64_t cvm_job_random(cvm_job *j)
{
    return j->host->random(j);
}

/* Opens the rows of a table: one of the own plugin, or one that the job's `reads` in the manifest names. `columns` ends
 * with NULL; the cells come in its order. `where` is an object column -> value (equal; null: has none), borrowed, NULL
 * for all rows. `order_by` is the key (NULL) or a column with an index, "-" before it for descending; with `where` over
 * a column with an index any column. It sees what was committed as it gets there, so a row that is added meanwhile may
 * be among them or not; each row comes once. CVM_EACCES: the table is neither. CVM_ENOENT: it is not there.
 * CVM_EINVAL: no such column, an order without an index. CVM_ELIMIT: more than 16 at a time. */
CVM_MUST_USE static inline int cvm_job_open(cvm_job *j, const char *table, const char *const columns[],
                                            const json_t *where, const char *order_by, cvm_cursor **ret_cursor)
{
    return j->host->open(j, table, columns, where, order_by, ret_cursor);
}

/* The next row: 1 and its cells, valid until the next call; 0 at the end; or an error. */
CVM_MUST_USE static inline int cvm_cursor_next(cvm_cursor *c, const cvm_cell **ret_cells)
{
    return c->host->next(c, ret_cells);
}

/* Closes a cursor. NULL is allowed. */
static inline void cvm_cursor_close(cvm_cursor *c)
{
    if (c)
        c->host->close(c);
}

/* Opens a loader: rows into a table of the own plugin that the manifest declares with "bulk": true and names in the
 * job's `writes`. `columns` ends with NULL and has the key among them. A row whose key is there already is changed in
 * these columns. Rows go to the store in groups of some thousand, each as a whole. CVM_EACCES: no such table, or not
 * declared so. CVM_EINVAL: the columns. CVM_ELIMIT: more than 16 at a time. */
CVM_MUST_USE static inline int cvm_job_loader(cvm_job *j, const char *table, const char *const columns[],
                                              cvm_loader **ret_loader)
{
    return j->host->loader(j, table, columns, ret_loader);
}

/* Puts a row; copies the cells. Waits while the store is behind. CVM_EINVAL: a cell is not of its column's kind (a REAL
 * column takes integers; a REAL that is no finite number becomes NULL), the key is no text of 1 to 256 bytes, a text is
 * no UTF-8. CVM_ELIMIT: a row of over 1 MiB. CVM_EIO: an earlier group could not be written. */
CVM_MUST_USE static inline int cvm_loader_put(cvm_loader *l, const cvm_cell *cells)
{
    return l->host->put(l, cells);
}

/* Waits until all rows are committed, and closes it, also where it fails. NULL is allowed. CVM_EIO: a group could not
 * be written. A loader that the job leaves open is dropped with the rows that did not fill a group. */
CVM_MUST_USE static inline int cvm_loader_close(cvm_loader *l)
{
    return l ? l->host->loader_close(l) : CVM_OK;
}

/* Removes the rows equal to `where` (as for cvm_job_open; NULL: all) of a table that it may load, and gives their
 * number in *ret_rows, which may be NULL. Same errors as cvm_job_open and cvm_job_loader. */
CVM_MUST_USE static inline int cvm_job_clear(cvm_job *j, const char *table, const json_t *where, int64_t *ret_rows)
{
    return j->host->clear(j, table, where, ret_rows);
}

/* Opens a text file. "manifest:NAME" is a file of the plugin's folder beside its manifest; another relative path is one
 * of the home's; an absolute one is taken where the job's manifest entry says "files": true. CVM_EACCES: a path that
 * leaves its place (by "..", by a link), or leads to the host's own files (data, but for data/AREA/ of the
 * component's area; logs, plugins, names that begin with a dot). CVM_ENOENT: no such file. CVM_EINVAL: no regular file.
 * CVM_ELIMIT: more than 16 at a time. */
CVM_MUST_USE static inline int cvm_job_file(cvm_job *j, const char *path, cvm_file **ret_file)
{
    return j->host->file(j, path, ret_file);
}

/* The next line, without its end ("\n" or "\r\n"): 1, and the text, ended by NUL, valid until the next call; 0 at the
 * end of the file; or an error. CVM_ELIMIT: a line over CVM_JOB_LINE_MAX_BYTES. */
CVM_MUST_USE static inline int cvm_file_line(cvm_file *f, const char **ret_line, size_t *ret_len)
{
    return f->host->line(f, ret_line, ret_len);
}

/* Closes a file. NULL is allowed. */
static inline void cvm_file_close(cvm_file *f)
{
    if (f)
        f->host->file_close(f);
}

/* Writes a file as a whole or not at all, and durably. `path` is relative to the home and lies below config/ or
 * output/; folders on the way are made. Only with "files": true in the manifest. CVM_EACCES: another place, or a file
 * of the host's own. CVM_ELIMIT: over 64 MiB. */
CVM_MUST_USE static inline int cvm_job_save(cvm_job *j, const char *path, const char *text, size_t len)
{
    return j->host->save(j, path, text, len);
}

/* Says how far it is: `done` of `total` (0: not known), and a few words on what it does. Shown by a command that waits
 * on a terminal, and by `cvmhost job list`. Cheap: call it as often as is handy. No personal data. */
static inline void cvm_job_progress(cvm_job *j, int64_t done, int64_t total, const char *what)
{
    j->host->progress(j, done, total, what);
}

/* Whether it is to end: return soon, with any value. Cheap. */
static inline bool cvm_job_stopped(cvm_job *j)
{
    return j->host->stopped(j);
}

/* Says why it fails; the job returns what this returns. `code` is a word for programs, `text` a sentence for people:
 * the requester gets ERROR with both. Copies. Always CVM_EREFUSED. */
CVM_MUST_USE static inline int cvm_job_fail(cvm_job *j, const char *code, const char *text)
{
    return j->host->give_up(j, code, text);
}

/* As cvm_classify, by the model that answered when the job began to run. */
CVM_MUST_USE static inline int cvm_job_classify(cvm_job *j, const char *model, const char *text, json_t **ret_labels)
{
    return j->host->classify(j, model, text, ret_labels);
}

/* As cvm_match. */
CVM_MUST_USE static inline int cvm_job_match(cvm_job *j, const char *pattern, const char *text, size_t offset,
                                             cvm_span *spans, size_t n)
{
    return j->host->match(j, pattern, text, offset, spans, n);
}

/* Writes a line to the host's log, as cvm_log. */
__attribute__((format(printf, 3, 4))) static inline void cvm_job_log(cvm_job *j, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    j->host->log(j, level, format, args);
    va_end(args);
}

#endif
