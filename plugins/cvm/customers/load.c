/* Loading: the files of the sources into their tables, where a file is another than when it was read last, and then the
 * figures. A source whose kind is `sqlite` is its table as it is. What was loaded stands in cvm_sources; a source that
 * is being read has no fingerprint there, so that one that a crash cut off is read again. The job's thread. */
#include "jobs.h"
#include "reading.h"
#include <cvm/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FINGERPRINT_SIZE 40
#define PATH_SIZE 1200
#define FIGURES "figures" /* the row of cvm_sources that says they are made */

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

void jobs_lock(void)
{
    pthread_mutex_lock(&writing);
}

void jobs_unlock(void)
{
    pthread_mutex_unlock(&writing);
}

int job_next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    struct job_lines *l = arg;
    int e = cvm_file_line(l->file, ret_line, ret_len);
    if (e > 0 && ++l->lines % 4096 == 0) {
        cvm_job_progress(l->job, l->lines, l->total, l->what);
        if (cvm_job_stopped(l->job))
            return CVM_ESTATE;
    }
    return e;
}

int loaded_put(cvm_job *j, const struct loaded *l)
{
    static const char *const columns[] = {"source", "kind",    "file",         "origin",   "fingerprint",
                                          "rows",   "skipped", "loaded_at_ms", "warnings", NULL};
    const char *texts[] = {l->source, l->kind, l->file, l->origin, l->fingerprint};
    char *warnings = json_dumps(l->warnings, JSON_COMPACT);
    cvm_cell cells[9] = {0};
    cvm_loader *loader = NULL;
    for (size_t i = 0; i < 5; i++)
        if (texts[i])
            cells[i] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = texts[i], .len = strlen(texts[i])};
    cells[5] = (cvm_cell){.kind = CVM_CELL_INT, .i = l->rows};
    cells[6] = (cvm_cell){.kind = CVM_CELL_INT, .i = l->skipped};
    cells[7] = (cvm_cell){.kind = CVM_CELL_INT, .i = cvm_job_now_ms(j)};
    if (warnings)
        cells[8] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = warnings, .len = strlen(warnings)};
    int e = cvm_job_loader(j, "cvm_sources", columns, &loader);
    if (!e)
        e = cvm_loader_put(loader, cells);
    int closed = cvm_loader_close(loader);
    free(warnings);
    return e ? e : closed;
}

int origin_clear(cvm_job *j, const char *origin, int64_t *ret_n)
{
    json_t *where = json_pack("{s:s}", "origin", origin);
    int64_t n = 0;
    int e = where ? cvm_job_clear(j, "cvm_customers", where, &n) : CVM_ENOMEM;
    for (size_t i = 0; i < SOURCES && !e; i++)
        e = sources[i].of_customers ? cvm_job_clear(j, sources[i].table, where, NULL) : 0;
    json_decref(where);
    *ret_n += n;
    return e;
}

/* ---- what was loaded before -------------------------------------------------------------------------------------- */

struct before {
    char fingerprints[SOURCES][FINGERPRINT_SIZE];
    char figures[FINGERPRINT_SIZE];
    bool no_sample; /* an import has taken its place */
};

static void copy_text(char to[FINGERPRINT_SIZE], const cvm_cell *cell)
{
    if (cell->kind == CVM_CELL_TEXT && cell->len < FINGERPRINT_SIZE)
        memcpy(to, cell->text, cell->len + 1);
}

static int read_before(cvm_job *j, struct before *b)
{
    static const char *const columns[] = {"source", "kind", "fingerprint", NULL};
    const cvm_cell *cells;
    cvm_cursor *c;
    int e;
    memset(b, 0, sizeof *b);
    CVM_TRY(cvm_job_open(j, "cvm_sources", columns, NULL, NULL, &c));
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        const struct source *s = source_find(cells[0].text);
        if (s)
            copy_text(b->fingerprints[s - sources], &cells[2]);
        else if (strcmp(cells[0].text, FIGURES) == 0)
            copy_text(b->figures, &cells[2]);
        else if (strcmp(cells[0].text, LOADED_IMPORT) == 0)
            b->no_sample = strcmp(cells[1].text, "replace") == 0;
    }
    cvm_cursor_close(c);
    return e;
}

/* ---- one source -------------------------------------------------------------------------------------------------- */

struct loading {
    cvm_job *job;
    const json_t *settings;
    struct before before;
    bool force, changed; /* of customers */
    int64_t rows, skipped;
};

static int hash_file(cvm_job *j, const char *path, uint64_t *ret_hash)
{
    struct job_lines lines = {.job = j};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *line;
    size_t len;
    int e;
    CVM_TRY(cvm_job_file(j, path, &lines.file));
    while ((e = job_next_line(&lines, &line, &len)) > 0) {
        for (size_t i = 0; i < len; i++)
            hash = (hash ^ (unsigned char)line[i]) * UINT64_C(0x100000001b3);
        hash = (hash ^ '\n') * UINT64_C(0x100000001b3);
    }
    cvm_file_close(lines.file);
    *ret_hash = hash;
    return e;
}

/* Where the source's file lies: in the folder of the settings, else the sample's. CVM_ENOENT: nowhere. */
static int find_file(const struct loading *l, const struct source *s, char path[PATH_SIZE], const char **ret_origin,
                     uint64_t *ret_hash)
{
    const json_t *own = json_object_get(json_object_get(l->settings, "sources"), s->name);
    const char *file = cvm_json_str(own, "file", s->file);
    snprintf(path, PATH_SIZE, "%.500s/%.500s", cvm_json_str(l->settings, "data_dir", "data/cvm"), file);
    *ret_origin = "file";
    int e = hash_file(l->job, path, ret_hash);
    if (e != CVM_ENOENT || (l->before.no_sample && s->of_customers) || !cvm_json_bool(l->settings, "sample", true))
        return e;
    snprintf(path, PATH_SIZE, "manifest:sample/%s", s->file);
    *ret_origin = "sample";
    return hash_file(l->job, path, ret_hash);
}

static int put_row(struct reading *r, const struct source_row *row)
{
    return cvm_loader_put(r->arg, row->cells);
}

/* Takes away what was read of the source before. */
static int clear_source(struct loading *l, const struct source *s)
{
    static const char *const origins[] = {"file", "sample"};
    for (size_t i = 0; i < 2; i++) {
        json_t *where = json_pack("{s:s}", "origin", origins[i]);
        if (where && s->kind)
            json_object_set_new(where, "kind", json_string(s->kind));
        int e = where ? cvm_job_clear(l->job, s->table, where, NULL) : CVM_ENOMEM;
        json_decref(where);
        CVM_TRY(e);
    }
    return 0;
}

static int read_source(struct loading *l, const struct source *s, const char *path, const char *origin,
                       struct faults *faults, int64_t *ret_rows)
{
    const char *columns[SOURCE_COLUMNS_MAX + 1];
    struct job_lines lines = {.job = l->job, .what = s->name};
    struct reading *r = calloc(1, sizeof *r);
    cvm_loader *loader = NULL;
    if (!r)
        return CVM_ENOMEM;
    source_columns(s, columns);
    int e = cvm_job_file(l->job, path, &lines.file);
    if (!e)
        e = cvm_job_loader(l->job, s->table, columns, &loader);
    r->source = s;
    r->origin = origin;
    r->faults = faults;
    r->take = put_row;
    r->arg = loader;
    if (!e)
        e = reading_file(r, job_next_line, &lines);
    if (e == CVM_ELIMIT) { /* what came before is good */
        faults_note(faults, lines.lines + 1, "a line is longer than 1 MiB, and all that follows is left out");
        e = 0;
    }
    *ret_rows = r->rows;
    int closed = cvm_loader_close(loader);
    cvm_file_close(lines.file);
    free(r);
    return e ? e : closed;
}

/* What people know a path as. */
const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int load_file(struct loading *l, const struct source *s, const char *path, const char *origin,
                     const char *fingerprint)
{
    struct faults faults;
    struct loaded done = {.source = s->name, .kind = "file", .file = path, .origin = origin};
    if (!faults_begin(&faults, file_name(path)))
        return CVM_ENOMEM;
    int e = loaded_put(l->job, &done);
    if (!e)
        e = clear_source(l, s);
    if (!e && *origin)
        e = read_source(l, s, path, origin, &faults, &done.rows);
    if (!e && !*origin && !l->before.no_sample) /* an imported base needs none */
        faults_note(&faults, 0, "there is no such file");
    done.fingerprint = fingerprint;
    done.skipped = faults.skipped;
    done.warnings = faults.list;
    if (!e)
        e = loaded_put(l->job, &done);
    if (faults.skipped)
        cvm_job_log(l->job, CVM_LOG_WARNING, "%s: %lld rows were read, %lld were left out", faults.file,
                    (long long)done.rows, (long long)faults.skipped);
    faults_end(&faults);
    return e;
}

static int load_source(struct loading *l, const struct source *s)
{
    const json_t *own = json_object_get(json_object_get(l->settings, "sources"), s->name);
    const char *before = l->before.fingerprints[s - sources], *origin = "";
    char path[PATH_SIZE] = "", fingerprint[FINGERPRINT_SIZE] = "table";
    uint64_t hash = 0;
    int e = 0;
    if (strcmp(cvm_json_str(own, "kind", "file"), "sqlite") == 0) {
        if (strcmp(before, fingerprint) == 0)
            return 0;
        l->changed |= s->of_customers;
        return loaded_put(
            l->job,
            &(struct loaded){
                .source = s->name, .kind = "sqlite", .file = s->table, .origin = "table", .fingerprint = fingerprint});
    }
    e = find_file(l, s, path, &origin, &hash);
    if (e == CVM_ENOENT) {
        origin = "";
        snprintf(path, sizeof path, "%s", s->file);
    } else if (e)
        return e;
    snprintf(fingerprint, sizeof fingerprint, "%s %016llx", *origin ? origin : "none", (unsigned long long)hash);
    if (!l->force && strcmp(before, fingerprint) == 0)
        return 0;
    l->changed |= s->of_customers;
    return load_file(l, s, path, origin, fingerprint);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static int load_all(struct loading *l, int64_t *ret_customers)
{
    const char *currency = cvm_json_str(l->settings, "currency", "GBP"),
               *as_of = cvm_json_str(l->settings, "as_of", "");
    char fingerprint[FINGERPRINT_SIZE];
    CVM_TRY(read_before(l->job, &l->before));
    for (size_t i = 0; i < SOURCES; i++)
        CVM_TRY(load_source(l, &sources[i]));
    snprintf(fingerprint, sizeof fingerprint, "1 %.8s %.12s", currency, as_of);
    l->changed |= strcmp(l->before.figures, fingerprint) != 0;
    if (!l->changed)
        return 0;
    struct loaded done = {.source = FIGURES, .kind = FIGURES, .file = "cvm_customers", .origin = "table"};
    CVM_TRY(loaded_put(l->job, &done));
    CVM_TRY(figures_make(l->job, currency, as_of, ret_customers));
    done.fingerprint = fingerprint;
    done.rows = *ret_customers;
    return loaded_put(l->job, &done);
}

int load_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct loading l = {.job = j, .settings = cvm_job_settings(j), .force = cvm_json_bool(input, "force", false)};
    int64_t customers = 0;
    jobs_lock();
    int e = load_all(&l, &customers);
    jobs_unlock();
    if (e < 0)
        return e;
    *ret_result = json_pack("{s:b, s:I, s:O?}", "changed", l.changed, "customers", (json_int_t)customers, "with",
                            json_object_get(input, "with"));
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}
