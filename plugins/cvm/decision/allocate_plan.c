/* Solves a plan from a CSV and a JSON of limits (job solve_plan). A job's thread. */
#include "allocate.h"
#include "plan.h"

#include "../common/csv.h"

#include <math.h>
#include <string.h>

#define SHOWN_MAX 2000 /* rows in the answer itself; more go to a file */
#define LIMITS_MAX_BYTES (1024 * 1024)
#define WHY_SIZE 512

struct reading {
    cvm_job *job;
    cvm_file *file;
};

static int next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    struct reading *r = arg;
    return cvm_file_line(r->file, ret_line, ret_len);
}

static int open_file(cvm_job *j, const char *path, cvm_file **ret_file)
{
    char why[WHY_SIZE];
    int e = cvm_job_file(j, path, ret_file);
    if (e == CVM_OK)
        return e;
    snprintf(why, sizeof why, "%.300s: %s", path, cvm_strerror(e));
    return cvm_job_fail(j, e == CVM_ENOENT ? "NOT_FOUND" : "FILE", why);
}

static int read_limits(cvm_job *j, const char *path, json_t **ret_limits)
{
    char *text = malloc(LIMITS_MAX_BYTES + 1), why[WHY_SIZE];
    cvm_file *file = NULL;
    const char *line;
    size_t len, n = 0;
    int e = text ? open_file(j, path, &file) : CVM_ENOMEM;
    if (e != CVM_OK)
        goto out;
    while ((e = cvm_file_line(file, &line, &len)) > 0 && n + len + 1 < LIMITS_MAX_BYTES) {
        memcpy(text + n, line, len);
        n += len;
        text[n++] = '\n';
    }
    json_error_t at;
    *ret_limits = e == 0 ? json_loadb(text, n, 0, &at) : NULL;
    if (e > 0)
        snprintf(why, sizeof why, "%.300s: more than %d bytes", path, LIMITS_MAX_BYTES);
    else if (e == 0 && !*ret_limits)
        snprintf(why, sizeof why, "%.300s:%d:%d: %.120s", path, at.line, at.column, at.text);
    if (e >= 0)
        e = *ret_limits ? CVM_OK : cvm_job_fail(j, "FILE", why);
out:
    cvm_file_close(file);
    free(text);
    return e;
}

static bool number(const struct csv_field *f, double *ret)
{
    char text[64], *end;
    if (f->len < 1 || f->len >= sizeof text)
        return false;
    memcpy(text, f->text, f->len);
    text[f->len] = 0;
    *ret = strtod(text, &end);
    return !*end && isfinite(*ret) && fabs(*ret) < 1e12;
}

/* One record; false: `why` says which field is wrong. */
static int take(struct plan *p, const struct csv *csv, const int at[4], char *why, size_t size)
{
    static const char *const names[] = {"customer", "treatment", "value", "cost"};
    double figure[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
        bool there = at[i] >= 0 && (size_t)at[i] < csv->n;
        bool fine = i == 3 && !there
                        ? true
                        : there && csv->fields[at[i]].len > 0 && csv->fields[at[i]].len <= PLAN_ID_MAX_BYTES;
        fine = fine && (i < 2 || !there || number(&csv->fields[at[i]], &figure[i - 2]));
        if (!fine || figure[1] < 0) {
            snprintf(why, size, "line %lld, field %s: %s", (long long)csv->line, names[i],
                     i < 2    ? "must be 1 to 128 bytes"
                     : i == 2 ? "must be a number"
                              : "must be a number >= 0");
            return CVM_EINVAL;
        }
    }
    const struct csv_field *c = &csv->fields[at[0]], *t = &csv->fields[at[1]];
    int e = plan_add(p, c->text, c->len, t->text, t->len, figure[0], figure[1]);
    if (e != CVM_OK)
        snprintf(why, size, "line %lld: %s (%d treatments and %d rows at most)", (long long)csv->line, cvm_strerror(e),
                 SOLVE_MAX_COLUMNS, PLAN_MAX_ROWS);
    return e;
}

static int read_rows(cvm_job *j, const char *path, struct plan *p)
{
    struct reading r = {.job = j};
    struct csv *csv = NULL;
    char why[200] = "", whole[WHY_SIZE];
    int at[4] = {-1, -1, -1, -1}, e = open_file(j, path, &r.file);
    if (e != CVM_OK)
        return e;
    CVM_TRY(csv_new(next_line, &r, ',', &csv));
    e = csv_next(csv);
    if (e == 1 && !csv->fault) {
        static const char *const names[] = {"customer", "treatment", "value", "cost"};
        for (int i = 0; i < 4; i++)
            at[i] = csv_find(csv, names[i]);
    }
    if (at[0] < 0 || at[1] < 0 || at[2] < 0)
        snprintf(why, sizeof why, "line 1: the header must be customer,treatment,value and may have cost");
    while (!*why && (e = csv_next(csv)) == 1) {
        if (csv->fault)
            snprintf(why, sizeof why, "line %lld: %.120s", (long long)csv->line, csv->fault);
        else
            take(p, csv, at, why, sizeof why);
        if (p->rows % 65536 == 0)
            cvm_job_progress(j, (int64_t)p->rows, 0, "reading");
    }
    csv_free(csv);
    cvm_file_close(r.file);
    if (!*why)
        return e;
    snprintf(whole, sizeof whole, "%.300s: %s", path, why);
    return cvm_job_fail(j, "FILE", whole);
}

static double clock_ms(void *arg)
{
    return (double)cvm_job_elapsed_us(arg) / 1000;
}

static bool stopped(void *arg, double done)
{
    cvm_job_progress(arg, (int64_t)(done * 100), 100, "solving");
    return cvm_job_stopped(arg);
}

static json_t *limits_of(const struct plan *p, const solve_result *r)
{
    json_t *list = json_array();
    for (size_t k = 0; k < p->problem.limits; k++) {
        const solve_limit *l = &p->limit[k];
        char words[200];
        solve_price_words(&p->problem, r, k, "", words, sizeof words);
        json_array_append_new(list, json_pack("{s:s, s:f, s:o, s:f, s:f, s:s}", "limit", l->name, "load", r->loads[k],
                                              "maximum", isinf(l->maximum) ? json_null() : json_real(l->maximum),
                                              "minimum", l->minimum, "one_more_is_worth",
                                              round(r->prices[k] * 100) / 100, "words", words));
    }
    return list;
}

static json_t *row_of(const struct plan *p, const solve_result *r, size_t slot)
{
    size_t i = slot / p->problem.per_customer, t = (size_t)r->assignment[slot], cell = i * p->problem.columns + t;
    int other = r->runner_up[i];
    return json_pack("{s:s, s:s, s:f, s:f, s:s*, s:f}", "customer", plan_text(&p->customers, i), "treatment",
                     plan_text(&p->treatments, t), "value", (double)p->value[cell], "cost", (double)p->use[cell],
                     "runner_up", other < 0 ? NULL : plan_text(&p->treatments, (size_t)other), "lead",
                     (double)r->lead[i]);
}

/* A name as a field of CSV. */
static void put_name(FILE *out, const char *name, char behind)
{
    bool plain = !name[strcspn(name, ",\"\r\n")];
    if (!plain)
        fputc('"', out);
    for (; *name; name++) {
        if (*name == '"')
            fputc('"', out);
        fputc(*name, out);
    }
    if (!plain)
        fputc('"', out);
    fputc(behind, out);
}

/* The assignment as CSV, for a file. */
static int save(cvm_job *j, const char *name, const struct plan *p, const solve_result *r)
{
    char *text = NULL, path[256];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return CVM_ENOMEM;
    fputs("customer,treatment,value,cost,runner_up\n", out);
    for (size_t a = 0; a < p->problem.customers * p->problem.per_customer; a++) {
        size_t i = a / p->problem.per_customer;
        if (r->assignment[a] < 0)
            continue;
        size_t t = (size_t)r->assignment[a], cell = i * p->problem.columns + t;
        put_name(out, plan_text(&p->customers, i), ',');
        put_name(out, plan_text(&p->treatments, t), ',');
        fprintf(out, "%.9g,%.9g,", (double)p->value[cell], (double)p->use[cell]);
        put_name(out, r->runner_up[i] < 0 ? "" : plan_text(&p->treatments, (size_t)r->runner_up[i]), '\n');
    }
    fclose(out);
    snprintf(path, sizeof path, "output/%.200s", name);
    int e = text ? cvm_job_save(j, path, text, len) : CVM_ENOMEM;
    free(text);
    return e;
}

static json_t *result_of(const struct plan *p, const solve_result *r, const char *name)
{
    json_t *rows = json_array();
    for (size_t a = 0; a < p->problem.customers * p->problem.per_customer && json_array_size(rows) < SHOWN_MAX; a++)
        if (r->assignment[a] >= 0)
            json_array_append_new(rows, row_of(p, r, a));
    return json_pack("{s:f, s:f, s:f, s:f, s:b, s:I, s:I, s:s*, s:o, s:o}", "value", r->value, "bound", r->bound,
                     "gap_percent", round(r->gap * 1e7) / 1e5, "milliseconds", round(r->milliseconds * 1000) / 1000,
                     "feasible", r->feasible, "customers", (json_int_t)p->problem.customers, "assigned",
                     (json_int_t)r->assigned, "saved", *name ? name : NULL, "limits", limits_of(p, r), "assignment",
                     rows);
}

int allocate_plan(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct plan p = {0};
    solve_result r = {0};
    json_t *limits = NULL;
    char why[WHY_SIZE] = "";
    const char *name = cvm_json_str(input, "save", "");
    solve_options o = {.time_limit_ms = 1000.0 * json_number_value(json_object_get(input, "time_limit")),
                       .stopped = stopped,
                       .clock_ms = clock_ms,
                       .arg = j};
    int e = read_limits(j, cvm_json_str(input, "limits", ""), &limits);
    e = e == CVM_OK ? read_rows(j, cvm_json_str(input, "file", ""), &p) : e;
    if (e == CVM_OK && plan_build(&p, limits, why, sizeof why) != CVM_OK)
        e = cvm_job_fail(j, "FILE", why);
    if (e == CVM_OK) {
        int solved = solve_run(&p.problem, &o, &r, why, sizeof why);
        e = solved == SOLVE_OK ? CVM_OK : cvm_job_fail(j, solved == SOLVE_E_STOPPED ? "STOPPED" : "FILE", why);
    }
    if (e == CVM_OK && *name)
        e = save(j, name, &p, &r);
    if (e == CVM_OK) {
        *ret_result = result_of(&p, &r, name);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    solve_result_fini(&r);
    plan_fini(&p);
    json_decref(limits);
    return e;
}
