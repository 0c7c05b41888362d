/* The job `fit_clv`: what the customers of a file will buy and, where it says what they spend, are worth. Job thread.
 */
#include "../../cvm/common/csv.h"
#include "../../cvm/common/value.h"
#include "bgnbd.h"
#include "learn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CUSTOMERS_MAX 1000000
#define FREQUENCY_MAX 1e6
#define TIME_MAX 1e6
#define SPEND_MAX 1e12
#define MANY 500 /* customers whom a small penalty holds */
#define LEAST 10 /* customers, of whom some bought again, that four parameters take at the least */
#define ID_SIZE 65

struct customer {
    struct clv_customer c;
    char id[ID_SIZE];
    double alive, expected, mean_spend, value; /* value in minor units; NAN: not known */
};

struct file {
    cvm_job *j;
    struct csv *csv;
    int id, frequency, recency, age, spend; /* columns; -1: none */
    size_t fields;                          /* of the header */
    struct customer *at;
    struct clv_customer *figures; /* of `at`, for the fit */
    size_t n, room, repeaters;
    struct learn_faults faults;
};

static int next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    return cvm_file_line(arg, ret_line, ret_len);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int column(struct file *f, const char *columns, const char *name, bool needed, int *ret_at)
{
    char wanted[128], text[LEARN_TEXT_SIZE];
    const char *at = name;
    size_t len = strlen(name);
    bool said = learn_column(columns, name, &at, &len);
    snprintf(wanted, sizeof wanted, "%.*s", (int)(len < sizeof wanted ? len : sizeof wanted - 1), at);
    *ret_at = csv_find(f->csv, wanted);
    if (*ret_at >= 0)
        return learn_once(f->j, f->csv, *ret_at);
    if (!said && !needed)
        return CVM_OK;
    snprintf(text, sizeof text, "the file has no column \"%.100s\" for %s: --columns %s=NAME says which it is", wanted,
             name, name);
    return cvm_job_fail(f->j, "COLUMNS", text);
}

static int columns_of(struct file *f, const char *columns)
{
    static const char *const names[] = {"id", "frequency", "recency", "T", "spend", NULL};
    char room[64], text[LEARN_TEXT_SIZE];
    const char *unknown = learn_unknown_column(columns, names, room);
    if (unknown) {
        snprintf(text, sizeof text, "--columns: \"%.63s\" is none of id=, frequency=, recency=, T=, spend=", unknown);
        return cvm_job_fail(f->j, "COLUMNS", text);
    }
    f->fields = f->csv->n;
    CVM_TRY(column(f, columns, "id", false, &f->id));
    CVM_TRY(column(f, columns, "frequency", true, &f->frequency));
    CVM_TRY(column(f, columns, "recency", true, &f->recency));
    CVM_TRY(column(f, columns, "T", true, &f->age));
    return column(f, columns, "spend", false, &f->spend);
}

static bool number(const struct file *f, int at, double *ret)
{
    return (size_t)at < f->csv->n && value_real(f->csv->fields[at].text, f->csv->fields[at].len, ret) && *ret >= 0;
}

/* NULL: the record is a customer. */
static const char *read_customer(const struct file *f, struct customer *c)
{
    *c = (struct customer){.mean_spend = NAN, .value = NAN};
    if (f->csv->fault)
        return f->csv->fault;
    if (f->csv->n > f->fields)
        return LEARN_MORE_FIELDS;
    if (!number(f, f->frequency, &c->c.frequency) || c->c.frequency != floor(c->c.frequency) ||
        c->c.frequency > FREQUENCY_MAX)
        return "frequency: must be a whole number of repeat purchases from 0 to 1,000,000";
    if (!number(f, f->recency, &c->c.recency) || c->c.recency > TIME_MAX)
        return "recency: must be a number from 0 to 1,000,000";
    if (!number(f, f->age, &c->c.age) || c->c.age < c->c.recency || c->c.age > TIME_MAX)
        return "T: must be a number, not below recency, and at most 1,000,000";
    if (c->c.frequency > 0 && c->c.recency <= 0)
        return "recency: must be above 0 where frequency is";
    if (c->c.frequency == 0 && c->c.recency > 0)
        return "recency: must be 0 where frequency is";
    if (f->spend >= 0 && (size_t)f->spend < f->csv->n && f->csv->fields[f->spend].len &&
        (!number(f, f->spend, &c->c.spend) || c->c.spend > SPEND_MAX))
        return "spend: must be a number from 0 to 1e12, in minor units";
    if (f->id >= 0 && (size_t)f->id < f->csv->n) {
        size_t len = f->csv->fields[f->id].len;
        if (!value_is_id(f->csv->fields[f->id].text, len))
            return "id: must be 1 to 64 bytes without blanks";
        memcpy(c->id, f->csv->fields[f->id].text, len);
    } else {
        snprintf(c->id, sizeof c->id, "%lld", (long long)f->csv->line);
    }
    return NULL;
}

static int read_all(struct file *f)
{
    int e;
    while ((e = csv_next(f->csv)) > 0) {
        if (f->n == f->room) {
            size_t room = f->room ? 2 * f->room : 1024;
            struct customer *grown = realloc(f->at, room * sizeof *grown);
            if (!grown)
                return CVM_ENOMEM;
            f->at = grown;
            f->room = room;
        }
        if (f->n == CUSTOMERS_MAX)
            return cvm_job_fail(f->j, "TOO_MANY", "the file has more than 1,000,000 customers");
        const char *fault = read_customer(f, &f->at[f->n]);
        if (fault)
            learn_fault(&f->faults, f->csv->line, fault);
        else
            f->repeaters += f->at[f->n++].c.frequency > 0;
    }
    if (e < 0)
        return e;
    f->figures = malloc((f->n + 1) * sizeof *f->figures);
    for (size_t i = 0; f->figures && i < f->n; i++)
        f->figures[i] = f->at[i].c;
    return f->figures ? CVM_OK : CVM_ENOMEM;
}

static int read_file(struct file *f, const char *path, const char *columns)
{
    cvm_file *file = NULL;
    int e = cvm_job_file(f->j, path, &file);
    if (e == CVM_OK)
        e = csv_new(next_line, file, ',', &f->csv);
    if (e == CVM_OK && ((e = csv_next(f->csv)) == 0 || (e > 0 && f->csv->fault)))
        e = cvm_job_fail(f->j, "FILE", "the file has no header line that can be read");
    if (e > 0)
        e = columns_of(f, columns);
    if (e == CVM_OK)
        e = read_all(f);
    cvm_file_close(file);
    return e < 0 && e != CVM_EREFUSED ? learn_unreadable(f->j, path, e) : e;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const struct customer *x = a, *y = b;
    double u = isnan(x->value) ? x->expected : x->value, v = isnan(y->value) ? y->expected : y->value;
    return u != v ? (u < v ? 1 : -1) : strcmp(x->id, y->id);
}

static json_t *parameters_of(const struct clv_fit *fit, const char *const *names)
{
    json_t *values = json_object(), *errors = json_object();
    for (size_t i = 0; i < fit->n; i++) {
        json_object_set_new(values, names[i], learn_figure(fit->parameters[i]));
        json_object_set_new(errors, names[i], learn_figure(fit->errors[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:I, s:b}", "parameters", values, "standard_errors", errors, "log_likelihood",
                     learn_number(fit->log_likelihood, 3), "customers", (json_int_t)fit->customers, "converged",
                     fit->converged);
}

static json_t *minor(double x)
{
    return isfinite(x) && fabs(x) < 9e15 ? json_integer((json_int_t)nearbyint(x)) : json_null();
}

static json_t *customer_of(const struct customer *c, bool spend)
{
    json_t *o =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "customer_id", c->id, "frequency", learn_figure(c->c.frequency),
                  "recency", learn_figure(c->c.recency), "T", learn_figure(c->c.age), "p_alive",
                  learn_number(c->alive, 4), "expected_purchases", learn_number(c->expected, 4));
    if (o && spend) {
        json_object_set_new(o, "expected_spend_minor", minor(c->mean_spend));
        json_object_set_new(o, "clv_minor", minor(c->value));
    }
    return o;
}

/* All customers as CSV below output/. */
static int save(struct file *f, const char *name, bool spend)
{
    char path[300], text[LEARN_TEXT_SIZE], *all = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&all, &len);
    if (!out)
        return CVM_ENOMEM;
    fprintf(out, "customer_id,frequency,recency,T,p_alive,expected_purchases%s\n",
            spend ? ",expected_spend_minor,clv_minor" : "");
    for (size_t i = 0; i < f->n; i++) {
        const struct customer *c = &f->at[i];
        fprintf(out, "%s,%.15g,%.15g,%.15g,%.4f,%.4f", c->id, c->c.frequency, c->c.recency, c->c.age, c->alive,
                c->expected);
        if (spend && isfinite(c->value))
            fprintf(out, ",%.0f,%.0f", c->mean_spend, c->value);
        else if (spend)
            fputs(",,", out);
        fputc('\n', out);
    }
    if (fclose(out) != 0 || !all) {
        free(all);
        return CVM_ENOMEM;
    }
    snprintf(path, sizeof path, "output/%.250s", name);
    int e = cvm_job_save(f->j, path, all, len);
    free(all);
    if (e == CVM_EACCES || e == CVM_ELIMIT || e == CVM_EINVAL) {
        snprintf(text, sizeof text, "--save %.200s: %s", name,
                 e == CVM_ELIMIT ? "more than 64 MiB" : "must be a name below output/ of the home");
        return cvm_job_fail(f->j, "FILE", text);
    }
    return e;
}

static int undecided(struct file *f, double penalty)
{
    char text[LEARN_TEXT_SIZE];
    snprintf(text, sizeof text,
             "the customers leave the parameters undecided: the likelihood has no clear maximum; %s holds them",
             penalty > 0    ? "a greater --penalty"
             : f->n >= MANY ? "--penalty 0.001"
                            : "--penalty 0.01");
    return cvm_job_fail(f->j, "ROWS", text);
}

/* false: a figure is beyond what can be reckoned with. */
static bool predict(struct file *f, const struct clv_fit *fit, const struct clv_fit *spend, double horizon)
{
    for (size_t i = 0; i < f->n; i++) {
        struct customer *c = &f->at[i];
        c->alive = bgnbd_alive(fit->parameters, &c->c);
        c->expected = bgnbd_expected(fit->parameters, &c->c, horizon);
        if (spend) {
            c->mean_spend = gamma_gamma_expected(spend->parameters, &c->c);
            c->value = c->mean_spend * c->expected;
        }
        if (!isfinite(c->alive) || !isfinite(c->expected))
            return false;
    }
    qsort(f->at, f->n, sizeof *f->at, by_value);
    return true;
}

static json_t *answer(const struct file *f, const struct clv_fit *fit, const struct clv_fit *spend, double horizon,
                      int64_t limit)
{
    static const char *const names[] = {"r", "alpha", "a", "b"}, *const spend_names[] = {"p", "q", "v"};
    json_t *list = json_array();
    double purchases = 0, alive = 0, value = 0;
    for (size_t i = 0; i < f->n; i++) {
        if ((int64_t)i < limit)
            json_array_append_new(list, customer_of(&f->at[i], spend != NULL));
        purchases += f->at[i].expected;
        alive += f->at[i].alive;
        value += isfinite(f->at[i].value) ? f->at[i].value : 0;
    }
    json_t *o = json_pack("{s:o, s:o, s:f, s:o, s:o, s:I}", "customers", list, "bgnbd", parameters_of(fit, names),
                          "horizon", horizon, "expected_purchases", learn_number(purchases, 2), "expected_alive",
                          learn_number(alive, 1), "faulty_rows", (json_int_t)f->faults.n);
    if (o && spend) {
        json_object_set_new(o, "gamma_gamma", parameters_of(spend, spend_names));
        json_object_set_new(o, "clv_minor", minor(value));
    }
    if (o && f->faults.list)
        json_object_set(o, "faults", f->faults.list);
    return o;
}

int clv_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct file f = {.j = j};
    struct clv_fit fit, spend;
    const json_t *h = json_object_get(input, "horizon");
    double horizon = h ? json_number_value(h) : 39, penalty = json_number_value(json_object_get(input, "penalty"));
    const char *save_as = cvm_json_str(input, "save", NULL);
    int e = read_file(&f, cvm_json_str(input, "file", ""), cvm_json_str(input, "columns", ""));
    if (e == CVM_OK && (f.n < LEAST || f.repeaters < LEAST))
        e = cvm_job_fail(j, "ROWS",
                         "too few customers: 10 at the least must have bought again; faulty rows do not count");
    if (e < 0)
        goto out;
    cvm_job_progress(j, 0, 0, "fitting");
    fit = bgnbd_fit(f.figures, f.n, penalty);
    if (!fit.converged) {
        e = undecided(&f, penalty);
        goto out;
    }
    bool known = f.spend >= 0;
    if (known) {
        spend = gamma_gamma_fit(f.figures, f.n);
        known = spend.converged;
    }
    if (!predict(&f, &fit, known ? &spend : NULL, horizon))
        e = cvm_job_fail(j, "ROWS", "the figures are too large to be reckoned with");
    if (e == CVM_OK && save_as)
        e = save(&f, save_as, known);
    if (e == CVM_OK) {
        *ret_result = answer(&f, &fit, known ? &spend : NULL, horizon, cvm_json_int(input, "limit", 20));
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    if (e == CVM_OK && f.spend >= 0 && !known)
        json_object_set_new(*ret_result, "note",
                            json_string("spend: too few known, or they leave the parameters undecided; no value"));
out:
    csv_free(f.csv);
    free(f.at);
    free(f.figures);
    json_decref(f.faults.list);
    return e;
}
