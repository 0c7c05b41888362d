/* A job's cursors: the rows of a table in order, by a connection that only reads. Rows come in pages; a page is copied
 * and the statement ended before the first row of it is given, so that no transaction of a reader is open longer than a
 * page takes, however long the job thinks about a row. The next page begins behind the last key. The run's thread. */
#include "core/job.h"

#include "core/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 512
#define PAGE_TEXT_BYTES (512 * 1024) /* a page ends when its texts are longer */
#define PAGE_NS (100 * INT64_C(1000000))
#define LOOK_ROWS 64 /* between looks at the clock */
#define COLUMNS_MAX 128
#define CHUNK_BYTES 65536
#define READ_WAIT_MS 1000

/* Memory for texts that stays where it is until the page is over. */
struct chunk {
    struct chunk *next;
    size_t used, size;
    char bytes[];
};

/* An equality that the cursor looks at itself, where no index helps. */
struct filter {
    const json_t *value;
    int column; /* of the statement */
};

enum phase { PHASE_NULLS, PHASE_VALUES }; /* of the column that orders; without one only the second */

struct cursor {
    cvm_cursor pub; /* first */
    struct cursor *next;
    struct job_run *run;
    const struct manifest_table *table;
    json_t *where;     /* a copy; the filters point into it */
    const char *order; /* column; NULL: the key */
    bool descending;
    size_t n_columns;
    int key_column, order_column; /* of the statement */
    char *select;                 /* the columns, with what pages and filters need */
    char *equal;                  /* " AND .." over columns that an index or the key finds */
    json_t *binds;                /* for it */
    struct filter *filters;
    size_t n_filters;
    sqlite3_stmt *statements[2][2]; /* [phase][goes on behind a row] */
    enum phase phase;
    bool behind; /* there is a last row */
    char *last_key;
    cvm_cell last_order;
    char *last_order_text;
    bool ended;
    /* the page */
    cvm_cell *cells;
    size_t n_rows, at;
    struct chunk *chunks, *chunk;
    size_t text_bytes;
};

static struct cursor *of(cvm_cursor *c)
{
    return (struct cursor *)c;
}

/* ---- texts of a page --------------------------------------------------------------------------------------------- */

static char *page_room(struct cursor *c, size_t n)
{
    struct chunk *k = c->chunk;
    while (k && k->size - k->used < n)
        k = k->next;
    if (!k) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        k = malloc(sizeof *k + size);
        if (!k)
            return NULL;
        *k = (struct chunk){.next = c->chunks, .size = size};
        c->chunks = c->chunk = k;
    }
    c->chunk = k;
    k->used += n;
    return k->bytes + k->used - n;
}

static void page_reset(struct cursor *c)
{
    for (struct chunk **at = &c->chunks; *at;) {
        struct chunk *k = *at;
        k->used = 0;
        if (k->size > CHUNK_BYTES) { /* a single long text is no reason to keep so much */
            *at = k->next;
            free(k);
        } else {
            at = &k->next;
        }
    }
    c->chunk = c->chunks;
    c->text_bytes = c->n_rows = c->at = 0;
}

static bool read_cell(struct cursor *c, sqlite3_stmt *st, int column, cvm_cell *ret_cell)
{
    switch (sqlite3_column_type(st, column)) {
    case SQLITE_INTEGER:
        ret_cell->kind = CVM_CELL_INT;
        ret_cell->i = sqlite3_column_int64(st, column);
        ret_cell->r = (double)ret_cell->i;
        ret_cell->text = "";
        ret_cell->len = 0;
        return true;
    case SQLITE_FLOAT:
        ret_cell->kind = CVM_CELL_REAL;
        ret_cell->r = sqlite3_column_double(st, column);
        ret_cell->i = sqlite3_column_int64(st, column);
        ret_cell->text = "";
        ret_cell->len = 0;
        return true;
    case SQLITE_NULL:
        *ret_cell = (cvm_cell){.kind = CVM_CELL_NULL, .text = ""};
        return true;
    default:
        break;
    }
    const unsigned char *text = sqlite3_column_text(st, column);
    size_t len = (size_t)sqlite3_column_bytes(st, column);
    char *copy = text ? page_room(c, len + 1) : NULL;
    if (!copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    c->text_bytes += len + 1;
    *ret_cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = copy, .len = len};
    return true;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int column_of(const struct manifest_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool is_found_fast(const struct manifest_table *table, const char *name)
{
    bool descending;
    if (strcmp(name, table->key) == 0)
        return true;
    for (size_t i = 0; i < table->indexes.n; i++)
        if (strcmp(manifest_index_column(table->indexes.at[i], &descending), name) == 0)
            return true;
    return false;
}

static int take_order(struct cursor *c, const char *order_by, bool narrow)
{
    if (!order_by)
        return 0;
    c->descending = *order_by == '-';
    int at = column_of(c->table, order_by + c->descending);
    if (at < 0)
        return job_complain(c->run, CVM_EINVAL, "cvm_job_open", order_by, "the table has no such column");
    const char *name = c->table->columns[at].name;
    if (strcmp(name, c->table->key) == 0)
        return 0;
    if (!narrow && !is_found_fast(c->table, name))
        return job_complain(c->run, CVM_EINVAL, "cvm_job_open", order_by,
                            "an order needs an index of the column in the manifest");
    c->order = name;
    return 0;
}

static bool is_plain(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* The statement's columns: those asked for, the key, the one that orders, those that are filtered by. */
static int take_columns(struct cursor *c, const char *const columns[])
{
    struct text select, equal;
    const char *name;
    json_t *value;
    int n = 0, e = 0;
    text_init(&select, 65536);
    text_init(&equal, 65536);
    for (; columns[n] && !e; n++) {
        if (n >= COLUMNS_MAX || column_of(c->table, columns[n]) < 0)
            e = job_complain(c->run, n >= COLUMNS_MAX ? CVM_ELIMIT : CVM_EINVAL, "cvm_job_open", columns[n],
                             "the table has no such column");
        text_printf(&select, "\"%s\", ", columns[n]);
    }
    c->n_columns = (size_t)n;
    c->key_column = n++;
    text_printf(&select, "\"%s\"", c->table->key);
    if (c->order) {
        c->order_column = n++;
        text_printf(&select, ", \"%s\"", c->order);
    }
    json_object_foreach(c->where, name, value)
    {
        if (!e && (column_of(c->table, name) < 0 || !is_plain(value)))
            e = job_complain(c->run, CVM_EINVAL, "cvm_job_open", name, "where must be of columns and plain values");
        if (is_found_fast(c->table, name)) {
            json_array_append(c->binds, value);
            text_printf(&equal, " AND \"%s\" IS ?%zu", name, json_array_size(c->binds));
        } else {
            c->filters[c->n_filters++] = (struct filter){value, n++};
            text_printf(&select, ", \"%s\"", name);
        }
    }
    text_add(&select, "", 0);
    text_add(&equal, "", 0);
    if (!e && (select.failed || equal.failed || !(c->select = strdup(select.at)) || !(c->equal = strdup(equal.at))))
        e = CVM_ENOMEM;
    text_free(&select);
    text_free(&equal);
    return e;
}

static int open_store(struct job_run *run)
{
    char path[4096], error[256];
    if (run->store)
        return 0;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", run->core->home);
    int e = store_open(path, false, &run->store, error, sizeof error);
    if (e)
        return job_complain(run, e == CVM_ENOMEM ? e : CVM_EIO, "cvm_job_open", "", error);
    sqlite3_busy_timeout(run->store->db, READ_WAIT_MS);
    return 0;
}

static void cursor_free(struct cursor *c)
{
    for (int i = 0; i < 4; i++)
        sqlite3_finalize(c->statements[i / 2][i % 2]);
    for (struct chunk *k = c->chunks, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    json_decref(c->where);
    json_decref(c->binds);
    free(c->select);
    free(c->equal);
    free(c->filters);
    free(c->last_key);
    free(c->last_order_text);
    free(c->cells);
    free(c);
}

int job_open(cvm_job *j, const char *table, const char *const columns[], const json_t *where, const char *order_by,
             cvm_cursor **ret_cursor)
{
    struct job_run *run = (struct job_run *)j;
    int e = job_stopping(run);
    const struct job_table *t = e ? NULL : job_find_table(run, table, "cvm_job_open", &e);
    if (!t)
        return e;
    if (!columns || !columns[0] || (where && !json_is_object(where)))
        return job_complain(run, CVM_EINVAL, "cvm_job_open", table, "it needs columns, and where must be an object");
    if (run->n_cursors >= JOB_OPEN_MAX)
        return job_complain(run, CVM_ELIMIT, "cvm_job_open", table, "too many are open");
    CVM_TRY(open_store(run));
    struct cursor *c = calloc(1, sizeof *c);
    if (!c)
        return CVM_ENOMEM;
    bool narrow = false;
    const char *name;
    json_t *value;
    c->pub.host = &job_api;
    c->run = run;
    c->table = t->table->decl;
    c->where = where ? json_deep_copy(where) : json_object();
    c->binds = json_array();
    c->filters = calloc(json_object_size(c->where) + 1, sizeof *c->filters);
    json_object_foreach(c->where, name, value) narrow = narrow || is_found_fast(c->table, name);
    e = c->where && c->binds && c->filters ? take_order(c, order_by, narrow) : CVM_ENOMEM;
    if (!e)
        e = take_columns(c, columns);
    if (!e && !(c->cells = malloc(PAGE_ROWS * c->n_columns * sizeof *c->cells)))
        e = CVM_ENOMEM;
    if (e) {
        cursor_free(c);
        return e;
    }
    c->phase = c->order && !c->descending ? PHASE_NULLS : PHASE_VALUES;
    c->next = run->cursors;
    run->cursors = c;
    run->n_cursors++;
    *ret_cursor = &c->pub;
    return CVM_OK;
}

void job_close_cursor(cvm_cursor *cursor)
{
    struct cursor *c = of(cursor);
    struct cursor **at = &c->run->cursors;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at) {
        *at = c->next;
        c->run->n_cursors--;
    }
    cursor_free(c);
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static int prepare(struct cursor *c, sqlite3_stmt **ret_statement)
{
    sqlite3_stmt **st = &c->statements[c->phase][c->behind];
    const char *key = c->table->key, *more = c->descending ? "<" : ">", *way = c->descending ? " DESC" : "";
    size_t n = json_array_size(c->binds);
    struct text sql;
    if (*st) {
        *ret_statement = *st;
        return 0;
    }
    text_init(&sql, 262144);
    text_printf(&sql, "SELECT %s FROM \"%s\" WHERE 1%s", c->select, c->table->name, c->equal);
    if (c->order && c->phase == PHASE_NULLS)
        text_printf(&sql, " AND \"%s\" IS NULL", c->order);
    else if (c->order && !c->behind)
        text_printf(&sql, " AND \"%s\" IS NOT NULL", c->order);
    if (c->behind && c->order && c->phase == PHASE_VALUES)
        text_printf(&sql, " AND (\"%s\", \"%s\") %s (?%zu, ?%zu)", c->order, key, more, n + 1, n + 2);
    else if (c->behind)
        text_printf(&sql, " AND \"%s\" %s ?%zu", key, more, n + 2);
    text_puts(&sql, " ORDER BY ");
    if (c->order && c->phase == PHASE_VALUES)
        text_printf(&sql, "\"%s\"%s, ", c->order, way);
    text_printf(&sql, "\"%s\"%s", key, way);
    text_add(&sql, "", 0);
    bool good = !sql.failed &&
                sqlite3_prepare_v3(c->run->store->db, sql.at, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) == SQLITE_OK;
    text_free(&sql);
    if (!good)
        return job_complain(c->run, CVM_EIO, "cvm_job_open", c->table->name, sqlite3_errmsg(c->run->store->db));
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(c->binds, i);
        if (json_is_string(value))
            sqlite3_bind_text(*st, (int)i + 1, json_string_value(value), (int)json_string_length(value), SQLITE_STATIC);
        else if (json_is_real(value))
            sqlite3_bind_double(*st, (int)i + 1, json_real_value(value));
        else if (json_is_null(value))
            sqlite3_bind_null(*st, (int)i + 1);
        else
            sqlite3_bind_int64(*st, (int)i + 1,
                               json_is_integer(value) ? (int64_t)json_integer_value(value) : json_is_true(value));
    }
    *ret_statement = *st;
    return 0;
}

static void bind_last(const struct cursor *c, sqlite3_stmt *st)
{
    int n = (int)json_array_size(c->binds);
    if (c->order && c->phase == PHASE_VALUES) {
        if (c->last_order.kind == CVM_CELL_INT)
            sqlite3_bind_int64(st, n + 1, c->last_order.i);
        else if (c->last_order.kind == CVM_CELL_REAL)
            sqlite3_bind_double(st, n + 1, c->last_order.r);
        else
            sqlite3_bind_text(st, n + 1, c->last_order_text, (int)c->last_order.len, SQLITE_STATIC);
    }
    sqlite3_bind_text(st, n + 2, c->last_key, -1, SQLITE_STATIC);
}

static char *column_copy(sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    size_t len = (size_t)sqlite3_column_bytes(st, column);
    char *copy = text ? malloc(len + 1) : NULL;
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = 0;
    }
    return copy;
}

/* Where the next page goes on. */
static int remember(struct cursor *c, sqlite3_stmt *st)
{
    free(c->last_key);
    free(c->last_order_text);
    c->last_order_text = NULL;
    if (!(c->last_key = column_copy(st, c->key_column)))
        return CVM_ENOMEM;
    c->behind = true;
    if (!c->order || c->phase == PHASE_NULLS)
        return 0;
    switch (sqlite3_column_type(st, c->order_column)) {
    case SQLITE_INTEGER:
        c->last_order = (cvm_cell){.kind = CVM_CELL_INT, .i = sqlite3_column_int64(st, c->order_column)};
        return 0;
    case SQLITE_FLOAT:
        c->last_order = (cvm_cell){.kind = CVM_CELL_REAL, .r = sqlite3_column_double(st, c->order_column)};
        return 0;
    default:
        c->last_order_text = column_copy(st, c->order_column);
        c->last_order = (cvm_cell){.kind = CVM_CELL_TEXT, .len = (size_t)sqlite3_column_bytes(st, c->order_column)};
        return c->last_order_text ? 0 : CVM_ENOMEM;
    }
}

static bool equals(sqlite3_stmt *st, int column, const json_t *value)
{
    int type = sqlite3_column_type(st, column);
    switch (json_typeof(value)) {
    case JSON_STRING:
        return type == SQLITE_TEXT && (size_t)sqlite3_column_bytes(st, column) == json_string_length(value) &&
               memcmp(sqlite3_column_text(st, column), json_string_value(value), json_string_length(value)) == 0;
    case JSON_INTEGER:
        return type == SQLITE_INTEGER
                   ? sqlite3_column_int64(st, column) == (int64_t)json_integer_value(value)
                   : type == SQLITE_FLOAT && sqlite3_column_double(st, column) == (double)json_integer_value(value);
    case JSON_REAL:
        return (type == SQLITE_INTEGER || type == SQLITE_FLOAT) &&
               sqlite3_column_double(st, column) == json_real_value(value);
    case JSON_NULL:
        return type == SQLITE_NULL;
    default:
        return type == SQLITE_INTEGER && (sqlite3_column_int64(st, column) != 0) == json_is_true(value);
    }
}

static int read_row(struct cursor *c, sqlite3_stmt *st)
{
    for (size_t i = 0; i < c->n_filters; i++)
        if (!equals(st, c->filters[i].column, c->filters[i].value))
            return 0;
    cvm_cell *row = c->cells + c->n_rows * c->n_columns;
    for (size_t i = 0; i < c->n_columns; i++)
        if (!read_cell(c, st, (int)i, &row[i]))
            return CVM_ENOMEM;
    c->n_rows++;
    return 0;
}

/* The rows up to where the page is full or its time over; then *ret_step is SQLITE_ROW. */
static int read_rows(struct cursor *c, sqlite3_stmt *st, int *ret_step)
{
    int64_t until = clock_ns() + PAGE_NS;
    int step = SQLITE_DONE;
    for (uint32_t seen = 1; (step = sqlite3_step(st)) == SQLITE_ROW; seen++) {
        CVM_TRY(read_row(c, st));
        if (c->n_rows == PAGE_ROWS || c->text_bytes > PAGE_TEXT_BYTES ||
            (seen % LOOK_ROWS == 0 && clock_ns() > until)) {
            CVM_TRY(remember(c, st));
            break;
        }
    }
    *ret_step = step;
    return 0;
}

static int fill(struct cursor *c)
{
    page_reset(c);
    while (!c->n_rows && !c->ended) {
        sqlite3_stmt *st = NULL;
        int step = SQLITE_DONE;
        CVM_TRY(job_stopping(c->run));
        CVM_TRY(prepare(c, &st));
        if (c->behind)
            bind_last(c, st);
        int e = read_rows(c, st, &step);
        if (!e && step != SQLITE_ROW && step != SQLITE_DONE)
            e = job_complain(c->run, (step & 0xff) == SQLITE_NOMEM ? CVM_ENOMEM : CVM_EIO, "cvm_cursor_next",
                             c->table->name, sqlite3_errmsg(c->run->store->db));
        sqlite3_reset(st);
        if (e)
            return e;
        if (step == SQLITE_ROW)
            continue;
        enum phase last = c->order && c->descending ? PHASE_NULLS : PHASE_VALUES;
        if (c->phase == last) {
            c->ended = true;
        } else {
            c->phase = last;
            c->behind = false;
        }
    }
    return 0;
}

int job_next(cvm_cursor *cursor, const cvm_cell **ret_cells)
{
    struct cursor *c = of(cursor);
    if (c->at == c->n_rows) {
        CVM_TRY(fill(c));
        if (!c->n_rows)
            return 0;
    }
    *ret_cells = c->cells + c->at++ * c->n_columns;
    return 1;
}
