/* test.miner: jobs that do what their input says. Built a second time as "quarry", a plugin with a table of its own
 * that the miner may read. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- jobs ---- */

/* {"rows", "run", "columns": "all"|"few", "from"}: so many rows into `ores`. */
static int load(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const all[] = {"id", "run", "n", "weight", "name", "seam", "tags", "good", NULL};
    static const char *const few[] = {"id", "n", NULL};
    bool whole = strcmp(cvm_json_str(input, "columns", "all"), "all") == 0;
    const char *run = cvm_json_str(input, "run", "r");
    int64_t rows = cvm_json_int(input, "rows", 0), from = cvm_json_int(input, "from", 0);
    char id[32], name[32];
    cvm_loader *l;
    CVM_TRY(cvm_job_loader(j, "ores", whole ? all : few, &l));
    for (int64_t i = from; i < from + rows; i++) {
        size_t id_len = (size_t)snprintf(id, sizeof id, "ore-%08lld", (long long)i);
        size_t name_len = (size_t)snprintf(name, sizeof name, "stone %lld", (long long)(i % 7));
        const cvm_cell cells[] = {
            {.kind = CVM_CELL_TEXT, .text = id, .len = id_len},
            {.kind = CVM_CELL_TEXT, .text = run, .len = strlen(run)},
            {.kind = CVM_CELL_INT, .i = i},
            {.kind = CVM_CELL_REAL, .r = (double)i / 2},
            {.kind = CVM_CELL_TEXT, .text = name, .len = name_len},
            {.kind = i % 3 ? CVM_CELL_INT : CVM_CELL_NULL, .i = i % 3},
            {.kind = CVM_CELL_TEXT, .text = "[1]", .len = 3},
            {.kind = CVM_CELL_INT, .i = i % 2},
        };
        const cvm_cell two[] = {cells[0], cells[2]};
        CVM_TRY(cvm_loader_put(l, whole ? cells : two));
        cvm_job_progress(j, i - from + 1, rows, "rows");
    }
    CVM_TRY(cvm_loader_close(l));
    *ret_result = json_pack("{s:I}", "rows", (json_int_t)rows);
    return CVM_OK;
}

static json_t *cell_json(const cvm_cell *c)
{
    return c->kind == CVM_CELL_INT    ? json_integer(c->i)
           : c->kind == CVM_CELL_REAL ? json_real(c->r)
           : c->kind == CVM_CELL_TEXT ? json_stringn(c->text, c->len)
                                      : json_null();
}

/* {"table", "columns", "where", "order", "keep", "load"}: {"n", "rows": the first `keep`}. */
static int scan(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *columns[32] = {NULL};
    const json_t *names = json_object_get(input, "columns");
    const cvm_cell *cells;
    size_t n_columns = json_array_size(names);
    int64_t n = 0, keep = cvm_json_int(input, "keep", 1000);
    cvm_cursor *c;
    int e;
    for (size_t i = 0; i < n_columns && i < 31; i++)
        columns[i] = json_string_value(json_array_get(names, i));
    CVM_TRY(cvm_job_open(j, cvm_json_str(input, "table", "ores"), columns, json_object_get(input, "where"),
                         cvm_json_str(input, "order", NULL), &c));
    json_t *rows = json_array();
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        json_t *row = n < keep ? json_array() : NULL;
        for (size_t i = 0; row && i < n_columns; i++)
            json_array_append_new(row, cell_json(&cells[i]));
        if (row)
            json_array_append_new(rows, row);
        n++;
    }
    cvm_cursor_close(c);
    *ret_result = json_pack("{s:I, s:o}", "n", (json_int_t)n, "rows", rows);
    return e;
}

static int clear(cvm_job *j, const json_t *input, json_t **ret_result)
{
    int64_t n = -1;
    CVM_TRY(cvm_job_clear(j, cvm_json_str(input, "table", "ores"), json_object_get(input, "where"), &n));
    *ret_result = json_pack("{s:I}", "rows", (json_int_t)n);
    return CVM_OK;
}

/* {"path"}: {"lines": the first ten, "n", "longest"}. */
static int lines(cvm_job *j, const json_t *input, json_t **ret_result)
{
    cvm_file *f;
    const char *line;
    size_t len, longest = 0;
    int64_t n = 0;
    int e;
    CVM_TRY(cvm_job_file(j, cvm_json_str(input, "path", ""), &f));
    json_t *first = json_array();
    while ((e = cvm_file_line(f, &line, &len)) > 0) {
        if (n++ < 10 && len < 1000)
            json_array_append_new(first, json_stringn(line, len));
        longest = len > longest ? len : longest;
    }
    *ret_result = json_pack("{s:o, s:I, s:I}", "lines", first, "n", (json_int_t)n, "longest", (json_int_t)longest);
    return e; /* the file is left open */
}

static int save(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *text = cvm_json_str(input, "text", "");
    (void)ret_result;
    return cvm_job_save(j, cvm_json_str(input, "path", ""), text, strlen(text));
}

/* Until it is told to end, or `ms` are over; `deaf`: it does not listen. */
static int spin(cvm_job *j, const json_t *input, json_t **ret_result)
{
    int64_t ms = cvm_json_int(input, "ms", 60000);
    for (int64_t i = 0; i < ms && (cvm_json_bool(input, "deaf", false) || !cvm_job_stopped(j)); i++) {
        for (volatile int k = 0; k < 500000;)
            k++;
        cvm_job_progress(j, i, ms, "turning round");
    }
    *ret_result = json_pack("{s:b}", "stopped", cvm_job_stopped(j));
    return CVM_OK;
}

/* {"how"}: results of every kind. */
static int odd(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *how = cvm_json_str(input, "how", "");
    if (strcmp(how, "fail") == 0)
        return cvm_job_fail(j, "NO_ORE", "the mine is empty");
    if (strcmp(how, "array") == 0)
        *ret_result = json_array();
    if (strcmp(how, "large") == 0)
        *ret_result = json_pack("{s:o}", "text", json_sprintf("%2000000d", 7));
    if (strcmp(how, "crash") == 0)
        abort();
    return strcmp(how, "error") == 0 ? CVM_EDATA : CVM_OK;
}

static int facts(cvm_job *j, const json_t *input, json_t **ret_result)
{
    cvm_span spans[2];
    json_t *labels = NULL;
    cvm_id id = cvm_job_id(j);
    int classified = cvm_job_classify(j, "enquiry", "hello", &labels);
    int matched = cvm_job_match(j, "(st)one", "a stone", 0, spans, 2);
    json_decref(labels);
    cvm_job_log(j, CVM_LOG_DEBUG, "facts of %s", cvm_json_str(input, "x", "nobody"));
    *ret_result =
        json_pack("{s:I, s:I, s:I, s:O, s:i, s:i, s:I, s:O}", "now", (json_int_t)cvm_job_now_ms(j), "random",
                  (json_int_t)cvm_job_random(j), "id", (json_int_t)id.lo, "settings", cvm_job_settings(j), "classified",
                  classified, "matched", matched, "at", (json_int_t)spans[1].start, "input", input);
    return CVM_OK;
}

/* Wrong values for a loader: {"what"}. */
static int wrong(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const columns[] = {"id", "n", "name", NULL}, *const keyless[] = {"n", NULL};
    static const char *const twice[] = {"id", "n", "n", NULL}, *const unknown[] = {"id", "gold", NULL};
    const char *what = cvm_json_str(input, "what", "");
    cvm_cell row[] = {{.kind = CVM_CELL_TEXT, .text = "k", .len = 1},
                      {.kind = CVM_CELL_INT, .i = 1},
                      {.kind = CVM_CELL_TEXT, .text = "a", .len = 1}};
    const char *table = strcmp(what, "foreign") == 0   ? "quarry_stones"
                        : strcmp(what, "turned") == 0  ? "visits"
                        : strcmp(what, "unnamed") == 0 ? "gems"
                        : strcmp(what, "missing") == 0 ? "nothing"
                                                       : "ores";
    cvm_loader *l;
    (void)ret_result;
    CVM_TRY(cvm_job_loader(j, table,
                           strcmp(what, "keyless") == 0   ? keyless
                           : strcmp(what, "twice") == 0   ? twice
                           : strcmp(what, "unknown") == 0 ? unknown
                                                          : columns,
                           &l));
    if (strcmp(what, "key") == 0)
        row[0].len = 0;
    if (strcmp(what, "null key") == 0)
        row[0].kind = CVM_CELL_NULL;
    if (strcmp(what, "number") == 0)
        row[1] = row[2];
    if (strcmp(what, "text") == 0)
        row[2] = row[1];
    if (strcmp(what, "fraction") == 0)
        row[1] = (cvm_cell){.kind = CVM_CELL_REAL, .r = 1.5};
    if (strcmp(what, "utf8") == 0)
        row[2].text = "\xff";
    if (strcmp(what, "kind") == 0)
        row[2].kind = 9;
    CVM_TRY(cvm_loader_put(l, row));
    return cvm_loader_close(l);
}

/* ---- handlers ---- */

/* {"job", "input", "timeout_ms"}: starts it and hands on how it ended. */
static int begin(cvm_turn *t, const cvm_msg *m)
{
    json_t *input = json_object_get(m->data, "input");
    int e = cvm_job_start(t, cvm_json_str(m->data, "job", ""), json_incref(input), m->id,
                          cvm_json_int(m->data, "timeout_ms", 0));
    return e < 0 ? cvm_reply(t, m, json_pack("{s:i}", "error", e)) : CVM_PENDING;
}

/* {"path", "files": [{"at"}]}: its lines, read by a job. */
static int read_file(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_job_start(t, "lines", cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

static int ended(cvm_turn *t, const cvm_msg *m)
{
    static const char *const outcomes[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:s, s:O}", "outcome", outcomes[m->outcome], "data", m->data), NULL);
}

/* {"table", "row"} or {"table", "key"}. */
static int put(cvm_turn *t, const cvm_msg *m)
{
    json_t *row = json_object_get(m->data, "row");
    const char *table = cvm_json_str(m->data, "table", "");
    int e = row ? cvm_row_put(t, table, json_incref(row)) : cvm_row_del(t, table, cvm_json_str(m->data, "key", ""));
    return cvm_reply(t, m, json_pack("{s:i}", "error", e));
}

#ifdef MINER_QUARRY
static const cvm_component components[] = {{.id = "test.quarry", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.quarry", "put", put}, {0}};
CVM_PLUGIN(.name = "quarry", .version = "1.0.0", .components = components, .routes = routes);
int (*const miner_unused[])(cvm_turn *, const cvm_msg *) = {begin, ended, read_file};
const cvm_job_function miner_unused_jobs[] = {load, scan, clear, lines, save, spin, odd, facts, wrong};
#else
static const cvm_job_entry jobs[] = {{"load", load},
                                     {"scan", scan},
                                     {"clear", clear},
                                     {"lines", lines},
                                     {"save", save},
                                     {"spin", spin},
                                     {"odd", odd},
                                     {"facts", facts},
                                     {"wrong", wrong},
                                     {"here", lines},
                                     {0}};
static const cvm_component components[] = {{.id = "test.miner", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.miner", "begin", begin},       {"test.miner", "peek", begin},
                                   {"test.miner", "put", put},           {"test.miner", "read", read_file},
                                   {"test.miner", "load.reply", ended},  {"test.miner", "scan.reply", ended},
                                   {"test.miner", "clear.reply", ended}, {"test.miner", "lines.reply", ended},
                                   {"test.miner", "save.reply", ended},  {"test.miner", "spin.reply", ended},
                                   {"test.miner", "odd.reply", ended},   {"test.miner", "facts.reply", ended},
                                   {"test.miner", "wrong.reply", ended}, {0}};
CVM_PLUGIN(.name = "miner", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
#endif
