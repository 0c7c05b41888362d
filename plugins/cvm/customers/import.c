/* Importing customers: which form a file has and which mapping is for it, and the rows through it into the tables. A
 * row that cannot be read is a fault with its line and costs that row alone. What is imported stays until it is
 * cleared; it may replace everything that was there. The job's thread. */
#include "jobs.h"
#include "mapping.h"
#include "reading.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

#define MAPPING_MAX_BYTES (256 * 1024)
#define WARNINGS_SHOWN 20

const char *const permission_names[PERMISSIONS] = {"sms", "email", "call", "app", "post", "marketing"};

int permissions_read(const char *list, unsigned *ret_bits)
{
    unsigned bits = 0;
    while (*list) {
        size_t len = strcspn(list, ", "), i = 0;
        while (i < PERMISSIONS && (strlen(permission_names[i]) != len || memcmp(permission_names[i], list, len) != 0))
            i++;
        if (i < PERMISSIONS)
            bits |= 1u << i;
        else if (len == 3 && memcmp(list, "all", 3) == 0)
            bits |= (1u << PERMISSIONS) - 1;
        else if (len)
            return CVM_EINVAL;
        list += len + (list[len] != 0);
    }
    *ret_bits = bits;
    return 0;
}

char *job_read_text(cvm_job *j, const char *path, size_t *ret_len, int *ret_error)
{
    struct job_lines lines = {.job = j};
    char *text = NULL;
    const char *line;
    size_t len, at = 0;
    int e = cvm_job_file(j, path, &lines.file);
    if (!e && !(text = malloc(MAPPING_MAX_BYTES + 1)))
        e = CVM_ENOMEM;
    while (!e && (e = job_next_line(&lines, &line, &len)) > 0) {
        e = 0;
        if (at + len + 1 > MAPPING_MAX_BYTES) {
            e = CVM_ELIMIT;
            break;
        }
        memcpy(text + at, line, len);
        at += len;
        text[at++] = '\n';
    }
    cvm_file_close(lines.file);
    if (e < 0) {
        free(text);
        *ret_error = e;
        return NULL;
    }
    text[at] = 0;
    *ret_len = at;
    return text;
}

/* ---- which mapping ----------------------------------------------------------------------------------------------- */

/* Gives; NULL: the reason is said (*ret_error), or there is no such file (0). */
static json_t *read_mapping(cvm_job *j, const char *path, int *ret_error)
{
    json_error_t error;
    char text[300];
    size_t len = 0;
    char *content = job_read_text(j, path, &len, ret_error);
    if (!content) {
        snprintf(text, sizeof text, "the mapping %.120s: %s", file_name(path), cvm_strerror(*ret_error));
        *ret_error = cvm_job_fail(j, *ret_error == CVM_ENOENT ? "NOT_FOUND" : "BAD_MAPPING", text);
        return NULL;
    }
    json_t *doc = json_loadb(content, len, JSON_REJECT_DUPLICATES, &error);
    free(content);
    if (json_is_object(doc))
        return doc;
    json_decref(doc);
    snprintf(text, sizeof text, "the mapping %.120s, line %d: %s", file_name(path), error.line,
             doc ? "expected an object" : error.text);
    *ret_error = cvm_job_fail(j, "BAD_MAPPING", text);
    return NULL;
}

/* The shipped mapping that is for this header. */
static json_t *shipped_mapping(struct importing *i, const struct csv *header)
{
    const json_t *names = json_object_get(i->settings, "mappings"), *name;
    size_t n;
    json_array_foreach(names, n, name)
    {
        char path[128];
        int e = 0;
        snprintf(path, sizeof path, "manifest:mappings/%.60s.json",
                 json_is_string(name) ? json_string_value(name) : "");
        json_t *doc = read_mapping(i->job, path, &e);
        if (mapping_recognises(doc, header))
            return doc;
        json_decref(doc);
    }
    return NULL;
}

static json_t *find_mapping(struct importing *i, const struct csv *header, int *ret_error)
{
    const char *path = cvm_json_str(i->input, "mapping", "");
    json_t *doc = *path ? read_mapping(i->job, path, ret_error) : shipped_mapping(i, header);
    const char *name = *path ? file_name(path) : cvm_json_str(doc, "name", "shipped");
    if (!doc && !*path) {
        doc = mapping_of_names(header);
        name = "by the names of the columns";
    }
    if (!doc && !*ret_error)
        *ret_error = cvm_job_fail(i->job, "NO_MAPPING",
                                  "no mapping is for a file with these columns: write one and give it with --mapping "
                                  "(docs/reference/customers.md), or call the columns as those of cvm_customers");
    snprintf(i->mapping_name, sizeof i->mapping_name, "%.60s", name);
    i->mapping = i->mapping_name;
    return doc;
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

int import_begin(struct importing *i)
{
    static const char *const origins[] = {"import", "table", "file", "sample"};
    for (size_t o = 0; o < 4 && i->replace && !i->begun; o++)
        CVM_TRY(origin_clear(i->job, origins[o], &i->removed));
    i->begun = true;
    return 0;
}

static int take_rows(struct importing *i, struct csv *csv, struct mapping *m)
{
    cvm_loader *loader = NULL;
    const cvm_cell *cells;
    char fault[240];
    CVM_TRY(cvm_job_loader(i->job, "cvm_customers", mapping_columns(m), &loader));
    int e;
    while ((e = csv_next(csv)) > 0) {
        i->rows++;
        if (csv->fault || mapping_row(m, csv, &cells, fault, sizeof fault) < 0) {
            faults_row(&i->faults, csv->line, csv->fault ? csv->fault : fault);
            continue;
        }
        if ((e = import_begin(i)) < 0 || (e = cvm_loader_put(loader, cells)) < 0)
            break;
        i->imported++;
    }
    int closed = cvm_loader_close(loader);
    return e ? e : closed;
}

/* Permissions that the operator grants stand for those that the file does not have. */
static int grant(struct importing *i, json_t *doc)
{
    unsigned bits = 0;
    const json_t *given = json_object_get(doc, "constants");
    json_t *constants = json_is_object(given) ? json_deep_copy(given) : json_object();
    permissions_read(cvm_json_str(i->input, "permissions", ""), &bits); /* was read before */
    for (size_t p = 0; p < PERMISSIONS; p++)
        if (bits & 1u << p)
            json_object_set_new(constants, permission_names[p], json_integer(1));
    return json_object_set_new(doc, "constants", constants) < 0 ? CVM_ENOMEM : 0;
}

static int import_mapped(struct importing *i, struct csv *csv)
{
    struct mapping *m = NULL;
    char fault[240], text[400];
    int e = 0;
    json_t *doc = find_mapping(i, csv, &e);
    if (!doc)
        return e;
    e = grant(i, doc);
    if (!e && (e = mapping_new(doc, csv, &m, fault, sizeof fault)) == CVM_EINVAL) {
        snprintf(text, sizeof text, "the mapping %.80s: %s", i->mapping, fault);
        e = cvm_job_fail(i->job, "BAD_MAPPING", text);
    }
    json_decref(doc);
    i->form = "csv";
    if (!e)
        e = take_rows(i, csv, m);
    mapping_free(m);
    return e;
}

struct joining {
    struct importing *i;
    cvm_loader *loader;
};

static int put_row(struct reading *r, const struct source_row *row)
{
    struct joining *to = r->arg;
    CVM_TRY(import_begin(to->i));
    return cvm_loader_put(to->loader, row->cells);
}

/* A file in the form of one of the sources: its rows join the source's table. */
static int import_source(struct importing *i, struct csv *csv, const struct source *s)
{
    const char *columns[SOURCE_COLUMNS_MAX + 1];
    struct reading *r = calloc(1, sizeof *r);
    struct joining to = {.i = i};
    if (!r)
        return CVM_ENOMEM;
    source_columns(s, columns);
    int e = cvm_job_loader(i->job, s->table, columns, &to.loader);
    *r = (struct reading){.source = s, .origin = "table", .faults = &i->faults, .take = put_row, .arg = &to};
    if (!e)
        e = reading_rows(r, csv);
    int closed = cvm_loader_close(to.loader);
    i->form = "source";
    i->mapping = s->name;
    i->imported = r->rows;
    i->rows = r->rows + i->faults.skipped;
    i->figures = s->of_customers;
    free(r);
    return e ? e : closed;
}

int import_csv(struct importing *i)
{
    struct csv *csv;
    CVM_TRY(csv_new(job_next_line, &i->lines, ',', &csv));
    int e = csv_next(csv);
    if (e > 0 && csv->fault) {
        char text[200];
        snprintf(text, sizeof text, "line %lld (the header) %s", (long long)csv->line, csv->fault);
        e = cvm_job_fail(i->job, "BAD_FILE", text);
    } else if (e > 0) {
        const struct source *s = *cvm_json_str(i->input, "mapping", "") ? NULL : source_of_header(csv);
        e = s ? import_source(i, csv, s) : import_mapped(i, csv);
    }
    csv_free(csv);
    return e;
}

/* ---- the job ----------------------------------------------------------------------------------------------------- */

/* Counts lines, so that progress has an end, and finds the first byte that is no blank; -1: there is none. */
static int look(struct importing *i, const char *path, int *ret_first)
{
    struct job_lines lines = {.job = i->job, .what = "reading"};
    const char *line;
    size_t len;
    int first = -1, e;
    CVM_TRY(cvm_job_file(i->job, path, &lines.file));
    while ((e = job_next_line(&lines, &line, &len)) > 0)
        for (size_t at = 0; first < 0 && at < len; at++)
            if (!strchr(" \t\r\xef\xbb\xbf", line[at]))
                first = (unsigned char)line[at];
    cvm_file_close(lines.file);
    i->lines.total = lines.lines;
    *ret_first = first;
    return e;
}

/* Whether an earlier import has taken the sample's place. */
static int replaced_before(cvm_job *j, bool *ret_replaced)
{
    json_t *where = json_pack("{s:s}", "source", LOADED_IMPORT);
    const cvm_cell *cells;
    cvm_cursor *c;
    int e = cvm_job_open(j, "cvm_sources", (const char *const[]){"kind", NULL}, where, NULL, &c);
    if (!e) {
        e = cvm_cursor_next(c, &cells);
        *ret_replaced = e > 0 && strcmp(cells[0].text, "replace") == 0;
        cvm_cursor_close(c);
    }
    json_decref(where);
    return e < 0 ? e : 0;
}

static int import_all(struct importing *i, const char *path)
{
    int first = -1;
    int64_t customers;
    int e = look(i, path, &first);
    if (e == CVM_ENOENT || e == CVM_EACCES || e == CVM_EINVAL || e == CVM_ELIMIT)
        return cvm_job_fail(i->job, e == CVM_ENOENT ? "NOT_FOUND" : "BAD_FILE",
                            e == CVM_ENOENT   ? "there is no such file"
                            : e == CVM_EACCES ? "the host may not read this file"
                            : e == CVM_ELIMIT ? "it has a line of over 1 MiB"
                                              : "it is no regular file");
    if (e)
        return e;
    if (first < 0)
        return cvm_job_fail(i->job, "BAD_FILE", "the file is empty");
    CVM_TRY(cvm_job_file(i->job, path, &i->lines.file));
    i->replace = cvm_json_bool(i->input, "replace", false);
    e = first == '{' ? import_histories(i) : import_csv(i);
    cvm_file_close(i->lines.file);
    if (!e && i->replace && !i->begun)
        e = cvm_job_fail(i->job, "BAD_FILE", "no row of it could be read, so nothing was replaced");
    bool replaced = i->replace;
    if (!e && !replaced)
        e = replaced_before(i->job, &replaced);
    if (!e && i->figures)
        e = figures_make(i->job, cvm_json_str(i->settings, "currency", "GBP"), cvm_json_str(i->settings, "as_of", ""),
                         &customers);
    return e ? e
             : loaded_put(i->job, &(struct loaded){.source = LOADED_IMPORT,
                                                   .kind = replaced ? "replace" : "add",
                                                   .file = file_name(path),
                                                   .origin = "import",
                                                   .rows = i->imported,
                                                   .skipped = i->faults.skipped,
                                                   .warnings = i->faults.list});
}

/* The first faults, and how many there are. */
static json_t *first_faults(const struct faults *f)
{
    json_t *shown = json_array();
    for (size_t n = 0; n < WARNINGS_SHOWN && n < json_array_size(f->list); n++)
        json_array_append(shown, json_array_get(f->list, n));
    return shown;
}

int import_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct importing i = {.job = j, .input = input, .settings = cvm_job_settings(j), .form = "", .mapping = ""};
    const char *path = cvm_json_str(input, "file", "");
    unsigned bits;
    if (permissions_read(cvm_json_str(input, "permissions", ""), &bits) < 0)
        return cvm_job_fail(j, "BAD_VALUE",
                            "permissions: expected words among sms, email, call, app, post, marketing, or all");
    if (!faults_begin(&i.faults, file_name(path)))
        return CVM_ENOMEM;
    i.lines = (struct job_lines){.job = j, .what = "rows"};
    jobs_lock();
    int e = import_all(&i, path);
    jobs_unlock();
    if (!e)
        *ret_result =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "status", "success", "form", i.form,
                      "mapping", i.mapping, "rows", (json_int_t)i.rows, "imported", (json_int_t)i.imported, "skipped",
                      (json_int_t)i.faults.skipped, "others", (json_int_t)i.others, "transcripts",
                      (json_int_t)i.transcripts, "removed", (json_int_t)i.removed, "warnings", first_faults(&i.faults));
    faults_end(&i.faults);
    return e ? e : *ret_result ? CVM_OK : CVM_ENOMEM;
}

int clear_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    int64_t removed = 0, customers;
    (void)input;
    jobs_lock();
    int e = origin_clear(j, "import", &removed);
    if (!e)
        e = origin_clear(j, "table", &removed);
    if (!e)
        e = cvm_job_clear(j, "cvm_sources", NULL, NULL); /* all is to be read again, the sample too */
    if (!e)
        e = figures_make(j, cvm_json_str(cvm_job_settings(j), "currency", "GBP"), "", &customers);
    jobs_unlock();
    if (!e)
        *ret_result = json_pack("{s:s, s:I}", "status", "success", "removed", (json_int_t)removed);
    return e ? e : *ret_result ? CVM_OK : CVM_ENOMEM;
}
