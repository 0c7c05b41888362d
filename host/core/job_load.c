/* A job's loaders: rows are gathered in groups and go to the writer, which puts them into the table by one prepared
 * statement, between the groups of the turns. A loader has two groups: one is filled while the other is written, and
 * who fills faster waits. Clearing is the same with keys that a cursor finds.
 *
 * A group belongs to the run's thread, or, from journal_bulk until it is told done, to the writer's. */
#include "core/job.h"

#include "core/store.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ROWS 10000
#define GROUP_CELLS 262144
#define GROUP_TEXT_BYTES (4 * 1024 * 1024)
#define ROW_MAX_BYTES (1024 * 1024)
#define KEY_MAX_BYTES 256
#define SLICE_NS (20 * INT64_C(1000000)) /* of the writer, when turns wait for it */
#define SLICE_ROWS 256                   /* between looks at the clock */
#define COLUMNS_MAX 128

struct packed {
    uint8_t kind; /* enum cvm_cell_kind */
    uint32_t len;
    union {
        int64_t i;
        double r;
        size_t at; /* of a text, in the group's bytes */
    } u;
};

struct group {
    struct bulk_work work; /* first */
    struct loader *loader;
    struct packed *cells;
    char *bytes;
    size_t n_rows, written, used, cap;
    bool away; /* with the mutex: the writer has it */
    bool last; /* the statement goes after it */
};

struct loader {
    cvm_loader pub; /* first */
    struct loader *next;
    struct job_run *run;
    const struct manifest_table *table;
    size_t n_columns, rows_max;
    int columns[COLUMNS_MAX]; /* of the table */
    int key;                  /* which of them is its key */
    bool removes;             /* rows are keys alone, to be removed */
    char *sql;
    void *statement; /* the writer's */
    struct group groups[2];
    int at; /* which is being filled */
    pthread_mutex_t mutex;
    pthread_cond_t back; /* a group is not away any more */
    int error;           /* with the mutex: of a group */
};

/* ---- the writer's thread ----------------------------------------------------------------------------------------- */

static int bind_cell(sqlite3_stmt *st, int column, const struct packed *cell, const char *bytes)
{
    switch ((enum cvm_cell_kind)cell->kind) {
    case CVM_CELL_INT:
        return sqlite3_bind_int64(st, column, cell->u.i);
    case CVM_CELL_REAL:
        return sqlite3_bind_double(st, column, cell->u.r);
    case CVM_CELL_TEXT:
        return sqlite3_bind_text(st, column, bytes + cell->u.at, (int)cell->len, SQLITE_STATIC);
    case CVM_CELL_NULL:
        break;
    }
    return sqlite3_bind_null(st, column);
}

static int write_row(sqlite3_stmt *st, const struct group *g, size_t row)
{
    size_t n = g->loader->n_columns;
    const struct packed *cells = g->cells + row * n;
    int e = 0;
    for (size_t i = 0; i < n && !e; i++)
        e = bind_cell(st, (int)i + 1, &cells[i], g->bytes);
    if (!e)
        e = sqlite3_step(st);
    sqlite3_reset(st);
    return e == SQLITE_DONE ? 0 : e;
}

/* Some of the rows, or all, as one transaction. */
static int write_slice(struct store *s, struct group *g, bool (*waits)(void *), void *arg)
{
    int64_t until = clock_ns() + SLICE_NS;
    size_t at = g->written;
    int e = sqlite3_step(s->statement[STATEMENT_BEGIN]);
    sqlite3_reset(s->statement[STATEMENT_BEGIN]);
    if (e != SQLITE_DONE)
        return e;
    for (e = 0; at < g->n_rows && !e; at++) {
        e = write_row(g->loader->statement, g, at);
        if ((at - g->written) % SLICE_ROWS == SLICE_ROWS - 1 && clock_ns() > until && waits(arg)) {
            at += !e;
            break;
        }
    }
    if (!e) {
        e = sqlite3_step(s->statement[STATEMENT_COMMIT]);
        sqlite3_reset(s->statement[STATEMENT_COMMIT]);
        if (e == SQLITE_DONE) {
            g->written = at;
            return 0;
        }
    }
    if (!sqlite3_get_autocommit(s->db)) {
        sqlite3_step(s->statement[STATEMENT_ROLLBACK]);
        sqlite3_reset(s->statement[STATEMENT_ROLLBACK]);
    }
    return e;
}

/* Without a loader's mutex. After it the group may be gone. */
static void give_back(struct group *g, int error)
{
    struct loader *l = g->loader;
    if (g->last) {
        sqlite3_finalize(l->statement);
        l->statement = NULL;
    }
    pthread_mutex_lock(&l->mutex);
    g->away = false;
    if (error && !l->error)
        l->error = error;
    pthread_cond_signal(&l->back);
    pthread_mutex_unlock(&l->mutex);
}

static bool write_group(struct store *s, struct bulk_work *work, bool (*waits)(void *), void *arg)
{
    struct group *g = (struct group *)work;
    struct loader *l = g->loader;
    sqlite3_stmt *st = l->statement;
    int e = 0;
    if (g->n_rows && !st)
        e = sqlite3_prepare_v3(s->db, l->sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    l->statement = st;
    if (!e && g->n_rows)
        e = write_slice(s, g, waits, arg);
    if ((!e && g->written < g->n_rows) || ((e & 0xff) == SQLITE_BUSY && !job_stopping(l->run)))
        return false;
    if (e)
        log_warning("journal", "rows of the table %s cannot be written: %s", l->table->name, sqlite3_errmsg(s->db));
    give_back(g, e ? CVM_EIO : 0);
    return true;
}

static bool is_given_up(const struct bulk_work *work)
{
    return job_stopping(((const struct group *)work)->loader->run) < 0;
}

static void drop_group(struct bulk_work *work)
{
    give_back((struct group *)work, CVM_EIO);
}

/* ---- the run's thread -------------------------------------------------------------------------------------------- */

static struct loader *of(cvm_loader *l)
{
    return (struct loader *)l;
}

static void wait_back(struct loader *l, struct group *g)
{
    pthread_mutex_lock(&l->mutex);
    while (g->away)
        pthread_cond_wait(&l->back, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
}

static int error_of(struct loader *l)
{
    pthread_mutex_lock(&l->mutex);
    int e = l->error;
    pthread_mutex_unlock(&l->mutex);
    return e;
}

/* The group that was filled goes; the other one, once it is back, is filled next. */
static int hand_over(struct loader *l, bool last)
{
    struct group *g = &l->groups[l->at];
    g->written = 0;
    g->last = last;
    g->away = true;
    if (journal_bulk(l->run->core, &g->work) < 0)
        give_back(g, CVM_EIO);
    l->at = !l->at;
    g = &l->groups[l->at];
    wait_back(l, g);
    g->n_rows = g->used = 0;
    return error_of(l);
}

static void loader_free(struct loader *l)
{
    for (int i = 0; i < 2; i++) {
        free(l->groups[i].cells);
        free(l->groups[i].bytes);
    }
    pthread_cond_destroy(&l->back);
    pthread_mutex_destroy(&l->mutex);
    free(l->sql);
    free(l);
}

/* Waits for the writer; `keep`: what is gathered is written too. */
static int finish(struct loader *l, bool keep)
{
    struct loader **at = &l->run->loaders;
    while (*at && *at != l)
        at = &(*at)->next;
    if (*at) {
        *at = l->next;
        l->run->n_loaders--;
    }
    if (!keep)
        l->groups[l->at].n_rows = 0;
    hand_over(l, true);
    wait_back(l, &l->groups[!l->at]);
    int e = error_of(l);
    loader_free(l);
    return e;
}

static char *make_sql(const struct loader *l)
{
    const struct manifest_table *d = l->table;
    struct text sql;
    text_init(&sql, 65536);
    if (l->removes) {
        text_printf(&sql, "DELETE FROM \"%s\" WHERE \"%s\" = ?1", d->name, d->key);
    } else {
        bool whole = l->n_columns == d->n_columns;
        text_printf(&sql, "INSERT %sINTO \"%s\"(", whole ? "OR REPLACE " : "", d->name);
        for (size_t i = 0; i < l->n_columns; i++)
            text_printf(&sql, "%s\"%s\"", i ? ", " : "", d->columns[l->columns[i]].name);
        text_puts(&sql, ") VALUES(");
        for (size_t i = 0; i < l->n_columns; i++)
            text_puts(&sql, i ? ", ?" : "?");
        text_puts(&sql, ")");
        if (!whole)
            text_printf(&sql, " ON CONFLICT(\"%s\") DO %s", d->key, l->n_columns > 1 ? "UPDATE SET " : "NOTHING");
        for (size_t i = 0, n = 0; i < l->n_columns && !whole; i++)
            if ((int)i != l->key)
                text_printf(&sql, "%s\"%s\" = excluded.\"%s\"", n++ ? ", " : "", d->columns[l->columns[i]].name,
                            d->columns[l->columns[i]].name);
    }
    text_add(&sql, "", 0);
    if (sql.failed) {
        text_free(&sql);
        return NULL;
    }
    return sql.at;
}

/* The columns, each once, the key among them. */
static int take_columns(struct loader *l, const char *const columns[])
{
    const struct manifest_table *d = l->table;
    l->key = -1;
    for (; columns[l->n_columns]; l->n_columns++) {
        const char *name = columns[l->n_columns];
        int found = -1;
        if (l->n_columns == d->n_columns)
            return job_complain(l->run, CVM_EINVAL, "cvm_job_loader", d->name, "a column is named twice");
        for (size_t i = 0; i < d->n_columns && found < 0; i++)
            if (strcmp(d->columns[i].name, name) == 0)
                found = (int)i;
        for (size_t i = 0; i < l->n_columns; i++)
            if (l->columns[i] == found)
                found = -1;
        if (found < 0)
            return job_complain(l->run, CVM_EINVAL, "cvm_job_loader", name,
                                "the table has no such column, or it is named twice");
        if (strcmp(name, d->key) == 0)
            l->key = (int)l->n_columns;
        l->columns[l->n_columns] = found;
    }
    return l->key >= 0
               ? 0
               : job_complain(l->run, CVM_EINVAL, "cvm_job_loader", d->name, "the key must be among the columns");
}

static int may_write(struct job_run *run, const char *name, const char *asked, const struct manifest_table **ret_table)
{
    int e = job_stopping(run);
    if (e)
        return e;
    for (size_t i = 0; name && i < run->decl->writes.n; i++) {
        if (strcmp(run->decl->writes.at[i], name) != 0)
            continue;
        for (size_t k = 0; k < run->n_tables; k++) {
            if (!run->tables[k].own || strcmp(run->tables[k].table->decl->name, name) != 0)
                continue;
            *ret_table = run->tables[k].table->decl;
            return 0;
        }
    }
    return job_complain(run, CVM_EACCES, asked, name ? name : "(no table)",
                        "\"writes\" of the job in the manifest does not name it");
}

static int make(struct job_run *run, const struct manifest_table *table, const char *const columns[], bool removes,
                struct loader **ret_loader)
{
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        return CVM_ENOMEM;
    l->pub.host = &job_api;
    l->run = run;
    l->table = table;
    l->removes = removes;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->back, NULL);
    int e = take_columns(l, columns);
    if (!e) {
        l->rows_max = GROUP_CELLS / l->n_columns < GROUP_ROWS ? GROUP_CELLS / l->n_columns : GROUP_ROWS;
        l->sql = make_sql(l);
        for (int i = 0; i < 2; i++) {
            l->groups[i].work.run = write_group;
            l->groups[i].work.drop = drop_group;
            l->groups[i].work.is_given_up = is_given_up;
            l->groups[i].loader = l;
            l->groups[i].cells = malloc(l->rows_max * l->n_columns * sizeof *l->groups[i].cells);
        }
        e = l->sql && l->groups[0].cells && l->groups[1].cells ? 0 : CVM_ENOMEM;
    }
    if (e) {
        loader_free(l);
        return e;
    }
    l->next = run->loaders;
    run->loaders = l;
    run->n_loaders++;
    *ret_loader = l;
    return 0;
}

int job_loader(cvm_job *j, const char *table, const char *const columns[], cvm_loader **ret_loader)
{
    struct job_run *run = (struct job_run *)j;
    const struct manifest_table *decl = NULL;
    struct loader *l = NULL;
    CVM_TRY(may_write(run, table, "cvm_job_loader", &decl));
    if (!columns || !columns[0])
        return job_complain(run, CVM_EINVAL, "cvm_job_loader", table, "it needs columns");
    if (run->n_loaders >= JOB_OPEN_MAX)
        return job_complain(run, CVM_ELIMIT, "cvm_job_loader", table, "too many are open");
    CVM_TRY(make(run, decl, columns, false, &l));
    *ret_loader = &l->pub;
    return CVM_OK;
}

static int refuse_cell(struct loader *l, int column, const char *why)
{
    return job_complain(l->run, CVM_EINVAL, "cvm_loader_put", l->table->columns[l->columns[column]].name, why);
}

static bool room(struct group *g, size_t len)
{
    if (g->cap - g->used >= len)
        return true;
    size_t cap = g->cap ? g->cap : 65536;
    while (cap - g->used < len)
        cap *= 2;
    char *bytes = realloc(g->bytes, cap);
    if (!bytes)
        return false;
    g->bytes = bytes;
    g->cap = cap;
    return true;
}

static int pack_text(struct loader *l, struct group *g, int column, const cvm_cell *cell, struct packed *ret)
{
    if (!cell->text || !text_is_utf8(cell->text, cell->len))
        return refuse_cell(l, column, "the text is no UTF-8");
    if (cell->len > ROW_MAX_BYTES)
        return CVM_ELIMIT;
    if (!room(g, cell->len))
        return CVM_ENOMEM;
    memcpy(g->bytes + g->used, cell->text, cell->len);
    *ret = (struct packed){.kind = CVM_CELL_TEXT, .len = (uint32_t)cell->len, .u.at = g->used};
    g->used += cell->len;
    return 0;
}

static int pack(struct loader *l, struct group *g, int column, const cvm_cell *cell, struct packed *ret)
{
    int type = (int)l->table->columns[l->columns[column]].type;
    switch ((enum cvm_cell_kind)cell->kind) {
    case CVM_CELL_NULL:
        *ret = (struct packed){.kind = CVM_CELL_NULL};
        return 0;
    case CVM_CELL_INT:
        if (type == COLUMN_INTEGER)
            *ret = (struct packed){.kind = CVM_CELL_INT, .u.i = cell->i};
        else if (type == COLUMN_REAL)
            *ret = (struct packed){.kind = CVM_CELL_REAL, .u.r = (double)cell->i};
        else
            return refuse_cell(l, column, "the column takes texts");
        return 0;
    case CVM_CELL_REAL:
        if (type != COLUMN_REAL)
            return refuse_cell(l, column, "the column takes no fractions");
        *ret = isfinite(cell->r) ? (struct packed){.kind = CVM_CELL_REAL, .u.r = cell->r}
                                 : (struct packed){.kind = CVM_CELL_NULL};
        return 0;
    case CVM_CELL_TEXT:
        if (type == COLUMN_INTEGER || type == COLUMN_REAL)
            return refuse_cell(l, column, "the column takes numbers");
        return pack_text(l, g, column, cell, ret);
    }
    return refuse_cell(l, column, "the cell is of no kind");
}

int job_put(cvm_loader *loader, const cvm_cell *cells)
{
    struct loader *l = of(loader);
    struct group *g = &l->groups[l->at];
    size_t used = g->used;
    struct packed *row = g->cells + g->n_rows * l->n_columns;
    const cvm_cell *key = &cells[l->key];
    CVM_TRY(job_stopping(l->run));
    if (key->kind != CVM_CELL_TEXT || key->len == 0 || key->len > KEY_MAX_BYTES)
        return refuse_cell(l, l->key, "the key must be a text of 1 to 256 bytes");
    int e = 0;
    for (size_t i = 0; i < l->n_columns && !e; i++)
        e = pack(l, g, (int)i, &cells[i], &row[i]);
    if (!e && g->used - used > ROW_MAX_BYTES)
        e = CVM_ELIMIT;
    if (e) {
        g->used = used;
        return e;
    }
    g->n_rows++;
    return g->n_rows == l->rows_max || g->used > GROUP_TEXT_BYTES ? hand_over(l, false) : CVM_OK;
}

int job_close_loader(cvm_loader *l)
{
    int stopping = job_stopping(of(l)->run);
    int e = finish(of(l), !stopping);
    return stopping ? stopping : e;
}

void job_drop_loader(struct loader *l)
{
    (void)finish(l, false);
}

/* What the loaders of this job hold goes first, as if it had been written at once. */
static int write_out(struct job_run *run)
{
    for (struct loader *l = run->loaders; l; l = l->next) {
        CVM_TRY(hand_over(l, false));
        wait_back(l, &l->groups[!l->at]);
        CVM_TRY(error_of(l));
    }
    return 0;
}

int job_clear(cvm_job *j, const char *table, const json_t *where, int64_t *ret_rows)
{
    struct job_run *run = (struct job_run *)j;
    const struct manifest_table *decl = NULL;
    struct loader *l = NULL;
    cvm_cursor *c = NULL;
    const cvm_cell *key = NULL;
    int64_t n = 0;
    CVM_TRY(may_write(run, table, "cvm_job_clear", &decl));
    CVM_TRY(write_out(run));
    const char *const columns[] = {decl->key, NULL};
    CVM_TRY(job_open(j, table, columns, where, NULL, &c));
    int e = make(run, decl, columns, true, &l);
    while (!e && (e = job_next(c, &key)) > 0) {
        e = job_put(&l->pub, key);
        n += !e;
    }
    job_close_cursor(c);
    if (l) {
        int closed = finish(l, !e);
        e = e ? e : closed;
    }
    if (!e && ret_rows)
        *ret_rows = n;
    return e;
}
