/* Jobs without a host: run at once, over the rows that the harness keeps as JSON. What the manifest does not allow is
 * refused as the host does it, each refusal a line in the log. */
#include "private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COLUMNS_MAX 128

struct opened { /* a cursor, loader or file; its host pointer is first, as the plugin sees it */
    const cvm_job_host *host;
    struct opened *next;
    struct job *j;
    /* cursor */
    const json_t **rows;
    size_t n_rows, at;
    cvm_cell *cells;
    json_t *texts; /* of cells that are no texts in the row */
    /* cursor and loader */
    const char *table;
    const json_t *decl;
    const char *columns[COLUMNS_MAX];
    size_t n_columns;
    /* file */
    FILE *file;
    char *line;
    size_t size;
};

struct job {
    cvm_job pub; /* must be first */
    struct harness *h;
    struct harness_component *c;
    const json_t *decl; /* of the manifest */
    const char *name;
    cvm_id id;
    uint64_t random;
    struct opened *opened;
    char code[64], text[512];
};

static const cvm_job_host table;

static struct job *of_job(cvm_job *j)
{
    return (struct job *)j;
}

static int complain(struct job *j, int error, const char *call, const char *what, const char *remedy)
{
    harness__log(j->h, "%s: job %s: %s %s: %s%s%s", j->c->id, j->name, call, what, cvm_strerror(error),
                 *remedy ? ": " : "", remedy);
    return error;
}

static const json_t *find(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(cvm_json_str(json_array_get(list, i), "name", ""), name) == 0)
            return json_array_get(list, i);
    return NULL;
}

static const json_t *find_table(const json_t *manifest, const char *name)
{
    return find(json_object_get(json_object_get(manifest, "needs"), "tables"), name);
}

static struct opened *open_new(struct job *j)
{
    struct opened *o = calloc(1, sizeof *o);
    if (!o)
        harness__die("out of memory");
    o->host = &table;
    o->j = j;
    o->next = j->opened;
    j->opened = o;
    return o;
}

static void opened_free(struct opened *o)
{
    struct opened **at = &o->j->opened;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    json_decref(o->texts);
    free(o->rows);
    free(o->cells);
    if (o->file)
        fclose(o->file);
    free(o->line);
    free(o);
}

/* ---- tables ---- */

/* "string", "integer", "number", "boolean", or "" where it is mixed, nested or not known here. */
static const char *type_of(const json_t *decl, const char *column)
{
    const json_t *property = json_object_get(json_object_get(json_object_get(decl, "schema"), "properties"), column);
    const json_t *type = json_object_get(property, "type");
    const char *one = json_string_value(type);
    for (size_t i = 0; !one && i < json_array_size(type); i++) {
        const char *text = json_string_value(json_array_get(type, i));
        if (text && strcmp(text, "null") != 0)
            one = text;
    }
    return one ? one : "";
}

static bool has_column(const json_t *decl, const char *column)
{
    const json_t *properties = json_object_get(json_object_get(decl, "schema"), "properties");
    return !properties || json_object_get(properties, column); /* one that a $ref names is not looked into */
}

static bool is_indexed(const json_t *decl, const char *column)
{
    const json_t *indexes = json_object_get(decl, "indexes");
    if (strcmp(cvm_json_str(decl, "key", ""), column) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(indexes); i++) {
        const char *index = json_string_value(json_array_get(indexes, i)), *equals = index ? strchr(index, '=') : NULL;
        index = equals ? equals + 1 : index;
        if (index && strcmp(index + (*index == '-'), column) == 0)
            return true;
    }
    return false;
}

/* The declaration of a table that the job may read; NULL, and an error. */
static const json_t *readable(struct job *j, const char *name, int *ret_error)
{
    const json_t *own = find_table(j->c->plugin->manifest, name);
    if (own)
        return own;
    if (harness__lists(json_object_get(j->decl, "reads"), name)) {
        for (size_t i = 0; i < j->h->n_plugins && !own; i++)
            own = find_table(j->h->plugins[i].manifest, name);
        if (!own)
            own = json_object_get(j->h->tables, name); /* whose plugin is not there: as the test gave it */
        *ret_error = own ? 0 : complain(j, CVM_ENOENT, "cvm_job_open", name, "the plugin that has it is not loaded");
        return own;
    }
    *ret_error = complain(j, CVM_EACCES, "cvm_job_open", name, "name it in \"reads\" of the job in the manifest");
    return NULL;
}

static int compare(const json_t *a, const json_t *b)
{
    bool none_a = !a || json_is_null(a), none_b = !b || json_is_null(b);
    if (none_a || none_b)
        return none_b - none_a;
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return x < y ? -1 : x > y;
    }
    if (json_is_boolean(a) && json_is_boolean(b))
        return json_is_true(a) - json_is_true(b);
    return json_is_string(a) && json_is_string(b) ? strcmp(json_string_value(a), json_string_value(b)) : 0;
}

static bool fits(const json_t *row, const json_t *where)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)where, name, value)
    {
        const json_t *cell = json_object_get(row, name);
        bool none = !cell || json_is_null(cell);
        if (json_is_null(value) ? !none
                                : none || compare(cell, value) != 0 || json_is_string(cell) != json_is_string(value))
            return false;
    }
    return true;
}

struct order {
    const char *by, *key; /* by: NULL: the key alone */
    bool descending;
};

/* By order, then by key, as the host gives them. */
static int by_order(const void *a, const void *b, void *arg)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    const struct order *o = arg;
    int by = o->by ? compare(json_object_get(x, o->by), json_object_get(y, o->by)) : 0;
    if (!by)
        by = compare(json_object_get(x, o->key), json_object_get(y, o->key));
    return o->descending ? -by : by;
}

static int take_columns(struct opened *o, const char *const columns[], const char *call)
{
    for (; columns && columns[o->n_columns]; o->n_columns++) {
        if (o->n_columns == COLUMNS_MAX || !has_column(o->decl, columns[o->n_columns]))
            return complain(o->j, CVM_EINVAL, call, columns[o->n_columns], "the table has no such column");
        o->columns[o->n_columns] = columns[o->n_columns];
    }
    return o->n_columns ? 0 : complain(o->j, CVM_EINVAL, call, o->table, "it needs columns");
}

static int check_where(struct opened *o, const json_t *where, const char *order, bool *ret_narrow)
{
    const char *name;
    json_t *value;
    if (where && !json_is_object(where))
        return complain(o->j, CVM_EINVAL, "cvm_job_open", o->table, "where must be an object");
    json_object_foreach((json_t *)(uintptr_t)where, name, value)
    {
        if (!has_column(o->decl, name) || json_is_array(value) || json_is_object(value))
            return complain(o->j, CVM_EINVAL, "cvm_job_open", name, "where must be of columns and plain values");
        *ret_narrow = *ret_narrow || is_indexed(o->decl, name);
    }
    if (order && !has_column(o->decl, order))
        return complain(o->j, CVM_EINVAL, "cvm_job_open", order, "the table has no such column");
    if (order && !*ret_narrow && !is_indexed(o->decl, order))
        return complain(o->j, CVM_EINVAL, "cvm_job_open", order,
                        "an order needs an index of the column in the manifest");
    return 0;
}

static int open_cursor(cvm_job *pub, const char *name, const char *const columns[], const json_t *where,
                       const char *order_by, cvm_cursor **ret_cursor)
{
    struct job *j = of_job(pub);
    int e = 0;
    const json_t *decl = readable(j, name, &e);
    if (!decl)
        return e;
    struct opened *o = open_new(j);
    bool descending = order_by && *order_by == '-', narrow = false;
    const char *order = order_by ? order_by + descending : NULL, *key;
    json_t *rows = json_object_get(j->h->rows, name), *row;
    o->table = name;
    o->decl = decl;
    e = take_columns(o, columns, "cvm_job_open");
    if (!e)
        e = check_where(o, where, order, &narrow);
    if (e) {
        opened_free(o);
        return e;
    }
    o->texts = json_array();
    o->rows = calloc(json_object_size(rows) + 1, sizeof(*o->rows));
    o->cells = calloc(o->n_columns, sizeof *o->cells);
    json_object_foreach(rows, key, row) if (fits(row, where)) o->rows[o->n_rows++] = json_incref(row);
    struct order by = {order, cvm_json_str(decl, "key", ""), descending};
    qsort_r(o->rows, o->n_rows, sizeof *o->rows, by_order, &by);
    *ret_cursor = (cvm_cursor *)o;
    return CVM_OK;
}

static cvm_cell cell_of(struct opened *o, const json_t *value)
{
    if (!value || json_is_null(value))
        return (cvm_cell){.kind = CVM_CELL_NULL, .text = ""};
    if (json_is_integer(value) || json_is_boolean(value)) {
        int64_t i = json_is_integer(value) ? (int64_t)json_integer_value(value) : json_is_true(value);
        return (cvm_cell){.kind = CVM_CELL_INT, .i = i, .r = (double)i, .text = ""};
    }
    if (json_is_real(value))
        return (cvm_cell){
            .kind = CVM_CELL_REAL, .r = json_real_value(value), .i = (int64_t)json_real_value(value), .text = ""};
    if (!json_is_string(value)) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        json_array_append_new(o->texts, json_string(text));
        free(text);
        value = json_array_get(o->texts, json_array_size(o->texts) - 1);
    }
    return (cvm_cell){.kind = CVM_CELL_TEXT, .text = json_string_value(value), .len = json_string_length(value)};
}

static int next(cvm_cursor *pub, const cvm_cell **ret_cells)
{
    struct opened *o = (struct opened *)pub;
    if (o->at == o->n_rows)
        return 0;
    const json_t *row = o->rows[o->at++];
    json_array_clear(o->texts);
    for (size_t i = 0; i < o->n_columns; i++) {
        bool real = strcmp(type_of(o->decl, o->columns[i]), "number") == 0;
        o->cells[i] = cell_of(o, json_object_get(row, o->columns[i]));
        if (real && o->cells[i].kind == CVM_CELL_INT)
            o->cells[i].kind = CVM_CELL_REAL;
    }
    *ret_cells = o->cells;
    return 1;
}

static void close_cursor(cvm_cursor *pub)
{
    struct opened *o = (struct opened *)pub;
    for (size_t i = 0; i < o->n_rows; i++)
        json_decref((json_t *)(uintptr_t)o->rows[i]);
    opened_free(o);
}

/* The declaration of a table that the job may load; NULL: it may not. */
static const json_t *writable(struct job *j, const char *name, const char *call)
{
    const json_t *decl = find_table(j->c->plugin->manifest, name);
    if (decl && cvm_json_bool(decl, "bulk", false) && harness__lists(json_object_get(j->decl, "writes"), name))
        return decl;
    complain(j, CVM_EACCES, call, name,
             decl && !cvm_json_bool(decl, "bulk", false) ? "declare the table with \"bulk\": true"
                                                         : "name it in \"writes\" of the job in the manifest");
    return NULL;
}

static int open_loader(cvm_job *pub, const char *name, const char *const columns[], cvm_loader **ret_loader)
{
    struct job *j = of_job(pub);
    const json_t *decl = writable(j, name, "cvm_job_loader");
    bool key = false;
    if (!decl)
        return CVM_EACCES;
    struct opened *o = open_new(j);
    o->table = name;
    o->decl = decl;
    int e = take_columns(o, columns, "cvm_job_loader");
    for (size_t i = 0; !e && i < o->n_columns; i++)
        key = key || strcmp(o->columns[i], cvm_json_str(decl, "key", "")) == 0;
    if (!e && !key)
        e = complain(j, CVM_EINVAL, "cvm_job_loader", name, "the key must be among the columns");
    if (e) {
        opened_free(o);
        return e;
    }
    *ret_loader = (cvm_loader *)o;
    return CVM_OK;
}

/* Gives the value of a cell as its column has it; NULL: it is not of its kind. */
static json_t *value_of(const cvm_cell *cell, const char *type)
{
    bool number = strcmp(type, "number") == 0, integer = strcmp(type, "integer") == 0;
    bool boolean = strcmp(type, "boolean") == 0, any = !*type;
    switch ((enum cvm_cell_kind)cell->kind) {
    case CVM_CELL_NULL:
        return json_null();
    case CVM_CELL_INT:
        return number           ? json_real((double)cell->i)
               : boolean        ? json_boolean(cell->i != 0)
               : integer || any ? json_integer(cell->i)
                                : NULL;
    case CVM_CELL_REAL:
        return !number && !any ? NULL : isfinite(cell->r) ? json_real(cell->r) : json_null();
    case CVM_CELL_TEXT:
        if (number || integer || boolean || !cell->text)
            return NULL;
        if (strcmp(type, "array") == 0 || strcmp(type, "object") == 0)
            return json_loadb(cell->text, cell->len, 0, NULL);
        return json_stringn(cell->text, cell->len);
    }
    return NULL;
}

static int put(cvm_loader *pub, const cvm_cell *cells)
{
    struct opened *o = (struct opened *)pub;
    struct job *j = o->j;
    json_t *rows = json_object_get(j->h->rows, o->table), *fresh = json_object();
    const char *name = cvm_json_str(o->decl, "key", "");
    for (size_t i = 0; i < o->n_columns; i++) {
        json_t *value = value_of(&cells[i], type_of(o->decl, o->columns[i]));
        if (!value) {
            json_decref(fresh);
            return complain(j, CVM_EINVAL, "cvm_loader_put", o->columns[i],
                            "the cell is not of the kind of its column, or the text no UTF-8");
        }
        json_object_set_new(fresh, o->columns[i], value);
    }
    const char *key = cvm_json_str(fresh, name, "");
    if (!*key || strlen(key) > 256) {
        json_decref(fresh);
        return complain(j, CVM_EINVAL, "cvm_loader_put", name, "the key must be a text of 1 to 256 bytes");
    }
    if (!rows)
        json_object_set_new(j->h->rows, o->table, rows = json_object());
    json_t *old = json_object_get(rows, key), *row = old ? json_copy(old) : json_object();
    json_object_update(row, fresh);
    json_object_set_new(rows, key, row);
    json_decref(fresh);
    return CVM_OK;
}

static int close_loader(cvm_loader *l)
{
    opened_free((struct opened *)l);
    return CVM_OK;
}

static int clear(cvm_job *pub, const char *name, const json_t *where, int64_t *ret_rows)
{
    struct job *j = of_job(pub);
    const json_t *decl = writable(j, name, "cvm_job_clear");
    int64_t n = 0;
    if (!decl)
        return CVM_EACCES;
    struct opened *o = open_new(j);
    bool narrow = false;
    o->table = name;
    o->decl = decl;
    int e = check_where(o, where, NULL, &narrow);
    opened_free(o);
    json_t *rows = json_object_get(j->h->rows, name), *row;
    const char *key;
    void *behind;
    if (!e)
        json_object_foreach_safe(rows, behind, key, row) if (fits(row, where))
        {
            json_object_del(rows, key);
            n++;
        }
    if (!e && ret_rows)
        *ret_rows = n;
    return e;
}

/* ---- files ---- */

static bool stays(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (*at == '.')
            return false;
    }
    return *path && *path != '/';
}

static int open_file(cvm_job *pub, const char *path, cvm_file **ret_file)
{
    struct job *j = of_job(pub);
    bool manifest = strncmp(path, "manifest:", 9) == 0, absolute = *path == '/';
    const char *rest = manifest ? path + 9 : path;
    char full[8192];
    struct stat st;
    if (absolute ? !cvm_json_bool(j->decl, "files", false) : !stays(rest))
        return complain(j, CVM_EACCES, "cvm_job_file", path,
                        "it stays in the home, or is \"manifest:NAME\"; an absolute one needs \"files\": true");
    if (!absolute && !manifest && !*j->h->home)
        harness__die("%s: job %s opens %s: set the home with harness_home", j->c->id, j->name, path);
    snprintf(full, sizeof full, "%s%s%s",
             absolute   ? ""
             : manifest ? j->c->plugin->folder
                        : j->h->home,
             absolute ? "" : "/", rest);
    FILE *f = fopen(full, "re");
    if (!f)
        return complain(j, CVM_ENOENT, "cvm_job_file", path, "");
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode)) {
        fclose(f);
        return complain(j, CVM_EINVAL, "cvm_job_file", path, "no regular file");
    }
    struct opened *o = open_new(j);
    o->file = f;
    *ret_file = (cvm_file *)o;
    return CVM_OK;
}

static int line(cvm_file *f, const char **ret_line, size_t *ret_len)
{
    struct opened *o = (struct opened *)f;
    ssize_t n = getline(&o->line, &o->size, o->file);
    if (n < 0)
        return feof(o->file) ? 0 : CVM_EIO;
    if (n && o->line[n - 1] == '\n') {
        n--;
        n -= n && o->line[n - 1] == '\r';
    }
    o->line[n] = 0;
    if (n > CVM_JOB_LINE_MAX_BYTES)
        return CVM_ELIMIT;
    *ret_line = o->line;
    *ret_len = (size_t)n;
    return 1;
}

static void close_file(cvm_file *f)
{
    opened_free((struct opened *)f);
}

static int save(cvm_job *pub, const char *path, const char *text, size_t len)
{
    struct job *j = of_job(pub);
    char full[8192];
    if (!cvm_json_bool(j->decl, "files", false) || !stays(path) ||
        (strncmp(path, "config/", 7) != 0 && strncmp(path, "output/", 7) != 0))
        return complain(j, CVM_EACCES, "cvm_job_save", path,
                        "it needs \"files\": true, and a path below config/ or output/");
    if (!*j->h->home)
        harness__die("%s: job %s saves %s: set the home with harness_home", j->c->id, j->name, path);
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(full, sizeof full, "%s/%.*s", j->h->home, (int)(slash - path), path);
        if (mkdir(full, 0750) < 0 && errno != EEXIST)
            return CVM_EIO;
    }
    snprintf(full, sizeof full, "%s/%s", j->h->home, path);
    FILE *f = fopen(full, "we");
    bool good = f && fwrite(text, 1, len, f) == len;
    if (f)
        good = fclose(f) == 0 && good;
    return good ? CVM_OK : complain(j, CVM_EIO, "cvm_job_save", path, "");
}

/* ---- the rest ---- */

static const json_t *settings(cvm_job *j)
{
    return of_job(j)->c->settings;
}

static cvm_id id(cvm_job *j)
{
    return of_job(j)->id;
}

static int64_t now_ms(cvm_job *j)
{
    return of_job(j)->h->now;
}

static uint64_t random_bits(cvm_job *j) /* splitmix64 */
{
    uint64_t z = of_job(j)->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t elapsed_us(cvm_job *j)
{
    (void)j;
    return 0;
}

static void progress(cvm_job *j, int64_t done, int64_t total, const char *what)
{
    (void)j;
    (void)done;
    (void)total;
    (void)what;
}

static bool stopped(cvm_job *j)
{
    (void)j;
    return false;
}

static int give_up(cvm_job *pub, const char *code, const char *text)
{
    snprintf(of_job(pub)->code, sizeof of_job(pub)->code, "%s", code ? code : "FAILED");
    snprintf(of_job(pub)->text, sizeof of_job(pub)->text, "%s", text ? text : "");
    return CVM_EREFUSED;
}

static int classify(cvm_job *pub, const char *model, const char *text, json_t **ret_labels)
{
    struct job *j = of_job(pub);
    const json_t *manifest = j->c->plugin->manifest;
    if (!model || !text)
        return CVM_EINVAL;
    if (!find(json_object_get(manifest, "models"), model) &&
        !harness__lists(json_object_get(json_object_get(manifest, "needs"), "models"), model))
        return complain(j, CVM_EACCES, "cvm_job_classify", model, "declare it, or name it in \"needs.models\"");
    const json_t *texts = json_object_get(j->h->models, model), *labels = json_object_get(texts, text);
    if (!labels)
        labels = json_object_get(texts, "");
    if (!json_is_object(labels))
        return CVM_ENOENT;
    *ret_labels = json_deep_copy(labels);
    return *ret_labels ? CVM_OK : CVM_ENOMEM;
}

static int match(cvm_job *pub, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    (void)pub;
    return harness__match(pattern, true, text, offset, spans, n);
}

static void log_line(cvm_job *pub, int level, const char *format, va_list args)
{
    char text[1024];
    (void)level;
    vsnprintf(text, sizeof text, format, args);
    harness__log(of_job(pub)->h, "%s: %s", of_job(pub)->c->id, text);
}

static const cvm_job_host table = {.size = sizeof table,
                                   .settings = settings,
                                   .id = id,
                                   .now_ms = now_ms,
                                   .random = random_bits,
                                   .open = open_cursor,
                                   .next = next,
                                   .close = close_cursor,
                                   .loader = open_loader,
                                   .put = put,
                                   .loader_close = close_loader,
                                   .clear = clear,
                                   .file = open_file,
                                   .line = line,
                                   .file_close = close_file,
                                   .save = save,
                                   .elapsed_us = elapsed_us,
                                   .progress = progress,
                                   .stopped = stopped,
                                   .give_up = give_up,
                                   .classify = classify,
                                   .match = match,
                                   .log = log_line};

/* ---- a run ---- */

const json_t *harness__job(const struct harness_component *c, const char *name)
{
    return find(json_object_get(c->plugin->manifest, "jobs"), name);
}

static cvm_job_function function_of(const struct harness_component *c, const char *name)
{
    const cvm_plugin_descriptor *d = c->plugin->descriptor;
    const cvm_job_entry *job = d->size >= offsetof(cvm_plugin_descriptor, jobs) + sizeof d->jobs ? d->jobs : NULL;
    while (job && job->name && strcmp(job->name, name) != 0)
        job++;
    if (!job || !job->name)
        harness__die("the library of %s has no job %s", c->id, name);
    return job->run;
}

int harness__run_job(struct harness *h, struct harness_component *c, const char *name, cvm_id run, const json_t *input,
                     json_t **ret_data)
{
    struct job j = {.pub.host = &table, .h = h, .c = c, .decl = harness__job(c, name), .name = name, .id = run};
    json_t *result = NULL;
    j.random = run.lo ^ run.hi;
    int e = function_of(c, name)(&j.pub, input, &result);
    while (j.opened)
        j.opened->rows ? close_cursor((cvm_cursor *)j.opened) : opened_free(j.opened);
    if (e >= 0 && result && !json_is_object(result))
        e = give_up(&j.pub, "FAILED", "the job's result is no object");
    char *text = e >= 0 && result ? json_dumps(result, JSON_COMPACT) : NULL;
    if (text && strlen(text) > CVM_JOB_RESULT_MAX_BYTES)
        e = give_up(&j.pub, "TOO_LARGE", "the job's result is over 1 MiB: it belongs into a table");
    free(text);
    if (e >= 0) {
        *ret_data = result ? result : json_object();
        return CVM_REPLIED;
    }
    json_decref(result);
    const char *code = *j.code ? j.code : e == CVM_EACCES ? "NOT_ALLOWED" : "FAILED";
    const char *why = *j.text ? j.text : cvm_strerror(e);
    harness__log(h, "%s: job %s failed: %s", c->id, name, why);
    *ret_data = json_pack("{s:s, s:s, s:s}", "code", code, "message", why, "text", why);
    return CVM_ERROR;
}

int harness_job(struct harness *h, const char *component, const char *job, json_t *input, const json_t **ret_data)
{
    struct harness_component *c = harness__component(h, component);
    json_t *data = NULL;
    if (!c || !harness__job(c, job))
        harness__die("%s: there is no such component, or its manifest has no job %s", component, job);
    if (!input)
        input = json_object();
    int outcome = harness__run_job(h, c, job, harness__id(h), input, &data);
    json_decref(input);
    json_object_set_new(h->results, "job", data);
    if (ret_data)
        *ret_data = data;
    return outcome;
}

void harness_fill(struct harness *h, const char *name, const char *key, json_t *rows)
{
    json_t *keyed = json_object(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *value = cvm_json_str(row, key, NULL);
        if (!value)
            harness__die("a row of %s has no text under its key \"%s\"", name, key);
        json_object_set(keyed, value, row);
    }
    json_decref(rows);
    json_object_set_new(h->rows, name, keyed);
    json_object_set_new(h->tables, name, json_pack("{s:s}", "key", key));
}

void harness_home(struct harness *h, const char *folder)
{
    snprintf(h->home, sizeof h->home, "%s", folder);
}
