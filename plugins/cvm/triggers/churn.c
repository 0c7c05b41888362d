/* See churn.h. */
#include "churn.h"
#include "logit.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64
#define FIELDS_MAX 64
#define VALUES_MAX 12
#define KNOTS 4
#define L2 3.0

static const char *const fact_fields[] = {
    "tenure_months", "monthly_spend", "age",           "segment",           "payment_status",  "spend_change_pct",
    "on_time_share", "data_gb",       "voice_minutes", "usage_change_pct",  "roaming_days_60", "dropped_call_rate",
    "download_mbps", "outages_30d",   "contacts_90d",  "late_payments_12m", "dispute_open"};

struct field { /* of a customer; "attributes.X" for those */
    char name[NAME_MAX_BYTES];
    bool category;
    size_t n_values; /* of a category */
    char values[VALUES_MAX][NAME_MAX_BYTES];
    double mean, sd, knot[KNOTS]; /* of a number */
    size_t seen, n_numbers, n_texts;
};

struct cell {
    double number; /* NAN: none */
    int value;     /* of a category; -1: none, or one that is not known */
};

struct churn_model {
    size_t n_fields, k;
    struct field field[FIELDS_MAX];
    double beta[CHURN_COLUMNS_MAX], mean[CHURN_COLUMNS_MAX]; /* of the columns, over the base */
};

struct churn {
    char label[NAME_MAX_BYTES];
    struct churn_model m; /* its fields */
    size_t n, room;
    struct cell *cells; /* [row][FIELDS_MAX] */
    double *y;
};

struct churn *churn_new(const char *label)
{
    struct churn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    snprintf(c->label, sizeof c->label, "%s", label);
    for (size_t i = 0; i < sizeof fact_fields / sizeof *fact_fields; i++)
        snprintf(c->m.field[c->m.n_fields++].name, NAME_MAX_BYTES, "%s", fact_fields[i]);
    return c;
}

void churn_free(struct churn *c)
{
    if (c) {
        free(c->cells);
        free(c->y);
    }
    free(c);
}

/* 1, 0, or -1: no label. */
static int label_of(const char *name, const struct cvm_facts *f)
{
    static const char *const yes[] = {"yes", "true", "churned", "left", "1", "y"};
    struct facts_value v;
    if (!facts_get(f, name, &v) || v.cell.kind == CVM_CELL_NULL)
        return -1;
    if (v.cell.kind != CVM_CELL_TEXT)
        return facts_number(&v.cell) > 0;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!strcasecmp(v.cell.text, yes[i]))
            return 1;
    return *v.cell.text ? 0 : -1;
}

static int field_find(const struct churn_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (!strcmp(m->field[i].name, name))
            return (int)i;
    return -1;
}

static int value_find(const struct field *x, const char *value)
{
    for (size_t i = 0; i < x->n_values; i++)
        if (!strncmp(x->values[i], value, NAME_MAX_BYTES - 1))
            return (int)i;
    return -1;
}

static void take_cell(struct field *x, const cvm_cell *cell, bool learn, struct cell *ret_cell)
{
    *ret_cell = (struct cell){NAN, -1};
    if (cell->kind == CVM_CELL_NULL)
        return;
    double number = facts_number(cell);
    if (cell->kind == CVM_CELL_TEXT) {
        char *end = NULL;
        double read = strtod(cell->text, &end);
        number = *cell->text && end && !*end ? read : NAN;
        ret_cell->value = value_find(x, cell->text);
        if (learn && isnan(number) && *cell->text) {
            x->n_texts++;
            if (ret_cell->value < 0 && x->n_values < VALUES_MAX) {
                snprintf(x->values[x->n_values], NAME_MAX_BYTES, "%s", cell->text);
                ret_cell->value = (int)x->n_values++;
            }
        }
    }
    ret_cell->number = number;
    if (learn)
        x->n_numbers += !isnan(number);
}

/* The cells of a customer. learn: fields and values that are new are added. */
static void read_cells(struct churn_model *m, const struct cvm_facts *f, const json_t *attributes, const char *label,
                       bool learn, struct cell *ret_cells)
{
    struct facts_value v;
    const char *name;
    const json_t *value;
    char full[NAME_MAX_BYTES];
    for (size_t i = 0; i < FIELDS_MAX; i++)
        ret_cells[i] = (struct cell){NAN, -1};
    for (size_t i = 0; i < m->n_fields; i++)
        if (strncmp(m->field[i].name, "attributes.", 11) && facts_get(f, m->field[i].name, &v))
            take_cell(&m->field[i], &v.cell, learn, &ret_cells[i]);
    json_object_foreach((json_t *)attributes, name, value)
    {
        if (snprintf(full, sizeof full, "attributes.%s", name) >= (int)sizeof full || !strcmp(full, label))
            continue;
        int at = field_find(m, full);
        if (at < 0 && learn && m->n_fields < FIELDS_MAX) {
            at = (int)m->n_fields++;
            snprintf(m->field[at].name, NAME_MAX_BYTES, "%s", full);
        }
        cvm_cell cell = {CVM_CELL_NULL, 0, 0, "", 0};
        if (json_is_string(value))
            cell = (cvm_cell){CVM_CELL_TEXT, 0, 0, json_string_value(value), json_string_length(value)};
        else if (json_is_number(value))
            cell = (cvm_cell){CVM_CELL_REAL, 0, json_number_value(value), "", 0};
        else if (json_is_boolean(value))
            cell = (cvm_cell){CVM_CELL_INT, json_is_true(value), json_is_true(value), "", 0};
        if (at >= 0)
            take_cell(&m->field[at], &cell, learn, &ret_cells[at]);
    }
}

static json_t *attributes_of(const struct cvm_facts *f)
{
    return f->attributes_json ? json_incref((json_t *)f->attributes_json)
                              : json_loads(f->attributes ? f->attributes : "{}", 0, NULL);
}

int churn_add(struct churn *c, const struct cvm_facts *f)
{
    int label = label_of(c->label, f);
    if (label < 0)
        return 0;
    if (c->n == c->room) {
        size_t room = c->room ? c->room * 2 : 4096;
        struct cell *cells = realloc(c->cells, room * FIELDS_MAX * sizeof *cells);
        if (!cells)
            return CVM_ENOMEM;
        c->cells = cells;
        double *y = realloc(c->y, room * sizeof *y);
        if (!y)
            return CVM_ENOMEM;
        c->y = y;
        c->room = room;
    }
    json_t *attributes = attributes_of(f);
    read_cells(&c->m, f, attributes, c->label, true, c->cells + c->n * FIELDS_MAX);
    json_decref(attributes);
    c->y[c->n++] = label;
    return 1;
}

/* ---- columns ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Numbers and categories; what says nothing (one value, an id) is left out by having no spread. */
static int describe(struct churn *c)
{
    double *v = malloc((c->n ? c->n : 1) * sizeof *v);
    if (!v)
        return CVM_ENOMEM;
    for (size_t i = 0; i < c->m.n_fields; i++) {
        struct field *x = &c->m.field[i];
        size_t n = 0;
        double sum = 0, squares = 0;
        x->category = x->n_texts > x->n_numbers;
        for (size_t r = 0; r < c->n; r++)
            if (!isnan(c->cells[r * FIELDS_MAX + i].number))
                v[n++] = c->cells[r * FIELDS_MAX + i].number;
        for (size_t r = 0; r < n; r++)
            sum += v[r];
        x->mean = n ? sum / (double)n : 0;
        for (size_t r = 0; r < n; r++)
            squares += (v[r] - x->mean) * (v[r] - x->mean);
        x->sd = n > 1 ? sqrt(squares / (double)n) : 0;
        qsort(v, n, sizeof *v, ascending);
        for (size_t q = 0; q < KNOTS; q++)
            x->knot[q] = n ? v[(q + 1) * n / (KNOTS + 1)] : 0;
        x->seen = x->category ? (x->n_values < VALUES_MAX && x->n_values > 1 ? x->n_texts : 0) : n;
    }
    free(v);
    return 0;
}

/* A row of columns; the names of the columns into `names` (may be NULL). */
static size_t encode(const struct churn_model *m, const struct cell *cells, double *row,
                     char (*names)[NAME_MAX_BYTES * 2])
{
    size_t k = 0;
    int tenure = field_find(m, "tenure_months"), spend = field_find(m, "monthly_spend");
    double t = cells[tenure].number, s = cells[spend].number;
    double lt = isnan(t) ? 0 : log1p(t < 0 ? 0 : t) - 3,
           ls = isnan(s) || m->field[spend].sd <= 0 ? 0 : (s - m->field[spend].mean) / m->field[spend].sd;
#define COLUMN(value, ...)                                                                                             \
    do {                                                                                                               \
        if (k < CHURN_COLUMNS_MAX) {                                                                                   \
            row[k] = (value);                                                                                          \
            if (names)                                                                                                 \
                snprintf(names[k], sizeof *names, __VA_ARGS__);                                                        \
            k++;                                                                                                       \
        }                                                                                                              \
    } while (0)
    COLUMN(1.0, "base");
    COLUMN(lt, "tenure_months");
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct field *x = &m->field[i];
        const char *name = strncmp(x->name, "attributes.", 11) ? x->name : x->name + 11;
        if (!x->seen)
            continue;
        if (x->category) {
            for (size_t v = 0; v < x->n_values; v++) {
                bool is = cells[i].value == (int)v;
                COLUMN(is, "%s is %s", name, x->values[v]);
                COLUMN(is ? lt : 0, "%s is %s, by tenure_months", name, x->values[v]);
                if (x->n_values > 2)
                    COLUMN(is ? ls * .5 : 0, "%s is %s, by monthly_spend", name, x->values[v]);
            }
            continue;
        }
        if (x->sd <= 0)
            continue;
        bool none = isnan(cells[i].number);
        double z = none ? 0 : (cells[i].number - x->mean) / x->sd;
        COLUMN(z, "%s", name);
        for (size_t q = 0; q < KNOTS; q++) {
            double bend = (cells[i].number - x->knot[q]) / x->sd;
            if (q && !(x->knot[q] > x->knot[q - 1]))
                continue;
            COLUMN(none || bend < 0 ? 0 : bend, "%s above %.4g", name, x->knot[q]);
        }
    }
#undef COLUMN
    return k;
}

/* ---- training ---- */

static void bins_of(const double *chance, const double *y, size_t n, struct churn_report *r)
{
    for (size_t i = 0; i < n; i++) {
        size_t b = (size_t)(chance[i] * CHURN_BINS);
        b = b < CHURN_BINS ? b : CHURN_BINS - 1;
        r->bin[b].n++;
        r->bin[b].said += chance[i];
        r->bin[b].was += y[i];
    }
    for (size_t b = 0; b < CHURN_BINS; b++)
        if (r->bin[b].n) {
            r->bin[b].said /= (double)r->bin[b].n;
            r->bin[b].was /= (double)r->bin[b].n;
        }
}

/* Which fifth a row is in: shuffled by a fixed generator, so that the order of the base does not matter. */
static size_t fold_of(size_t i)
{
    uint64_t z = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return (size_t)((z ^ z >> 27) % CHURN_FOLDS);
}

static int judge_unseen(const double *x, const double *y, size_t n, size_t k, double *ret_chance)
{
    double beta[CHURN_COLUMNS_MAX], *weight = malloc(n * sizeof *weight);
    int e = weight ? 0 : CVM_ENOMEM;
    for (size_t fold = 0; e == 0 && fold < CHURN_FOLDS; fold++) {
        for (size_t i = 0; i < n; i++)
            weight[i] = fold_of(i) != fold;
        e = logit_fit(x, y, weight, n, k, L2, beta);
        for (size_t i = 0; e == 0 && i < n; i++)
            if (fold_of(i) == fold)
                ret_chance[i] = logit_chance(logit_score(beta, x + i * k, k));
    }
    free(weight);
    return e;
}

int churn_train(struct churn *c, struct churn_model **ret_model, struct churn_report *ret_report)
{
    double first[CHURN_COLUMNS_MAX], *x = NULL, *chance = NULL;
    struct churn_model *m = NULL;
    struct churn_report r = {.n = c->n};
    for (size_t i = 0; i < c->n; i++)
        r.left += c->y[i] > .5;
    if (c->n < 100 || !r.left || r.left == c->n)
        return CVM_EDATA;
    CVM_TRY(describe(c));
    size_t k = encode(&c->m, c->cells, first, NULL);
    x = malloc(c->n * k * sizeof *x);
    chance = malloc(c->n * sizeof *chance);
    m = malloc(sizeof *m);
    int e = x && chance && m ? 0 : CVM_ENOMEM;
    if (e < 0)
        goto out;
    *m = c->m;
    m->k = k;
    memset(m->mean, 0, sizeof m->mean);
    for (size_t i = 0; i < c->n; i++) {
        encode(m, c->cells + i * FIELDS_MAX, x + i * k, NULL);
        for (size_t j = 0; j < k; j++)
            m->mean[j] += x[i * k + j] / (double)c->n;
    }
    if ((e = judge_unseen(x, c->y, c->n, k, chance)) < 0 || (e = logit_fit(x, c->y, NULL, c->n, k, L2, m->beta)) < 0)
        goto out;
    r.auc = logit_auc(chance, c->y, c->n);
    r.brier = logit_brier(chance, c->y, c->n);
    if ((e = logit_calibration(chance, c->y, c->n, &r.slope, &r.intercept)) < 0)
        goto out;
    bins_of(chance, c->y, c->n, &r);
    *ret_model = m;
    m = NULL;
    *ret_report = r;
out:
    free(x);
    free(chance);
    free(m);
    return e;
}

void churn_model_free(struct churn_model *m)
{
    free(m);
}

/* ---- answers ---- */

/* Columns of one field belong together: "Contract is Month-to-month" and its bends by tenure are one reason. */
static size_t stem(const char *name)
{
    const char *by = strstr(name, ", by "), *above = strstr(name, " above ");
    return by ? (size_t)(by - name) : above ? (size_t)(above - name) : strlen(name);
}

static void gather(const struct churn_model *m, const double *row, char (*names)[NAME_MAX_BYTES * 2],
                   struct churn_factor *out, size_t *ret_n)
{
    struct churn_factor all[CHURN_COLUMNS_MAX];
    size_t n = 0;
    for (size_t j = 1; j < m->k; j++) {
        double weight = m->beta[j] * (row[j] - m->mean[j]);
        size_t len = stem(names[j]), at = 0;
        bool is = strstr(names[j], " is ") != NULL;
        if (is && row[j] == 0)
            continue; /* that he is not something else is no reason to give */
        while (at < n && (strncmp(all[at].text, names[j], len) || all[at].text[len]))
            at++;
        if (at == n) {
            snprintf(all[n].text, sizeof all[n].text, "%.*s", (int)len, names[j]);
            all[n++].weight = 0;
        }
        all[at].weight += weight;
    }
    size_t kept = 0;
    for (; kept < CHURN_FACTORS; kept++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (best == n || fabs(all[i].weight) > fabs(all[best].weight))
                best = i;
        if (best == n || fabs(all[best].weight) < .05)
            break;
        out[kept] = all[best];
        all[best].weight = 0;
    }
    *ret_n = kept;
}

/* "tenure_months" as "tenure_months 3". */
static void say_number(const struct churn_model *m, const struct cell *cells, struct churn_factor *f)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        const char *name = strncmp(m->field[i].name, "attributes.", 11) ? m->field[i].name : m->field[i].name + 11;
        double number = cells[i].number;
        if (m->field[i].category || strcmp(name, f->text) || isnan(number))
            continue;
        size_t len = strlen(f->text);
        snprintf(f->text + len, sizeof f->text - len, " %.6g", strcmp(name, "monthly_spend") ? number : number / 100);
        return;
    }
}

double churn_chance(const struct churn_model *m, const struct cvm_facts *f, struct churn_factor *ret_factors,
                    size_t *ret_n)
{
    struct cell cells[FIELDS_MAX];
    double row[CHURN_COLUMNS_MAX];
    char names[CHURN_COLUMNS_MAX][NAME_MAX_BYTES * 2];
    json_t *attributes = attributes_of(f);
    read_cells((struct churn_model *)m, f, attributes, "", false, cells);
    json_decref(attributes);
    size_t k = encode(m, cells, row, ret_factors ? names : NULL);
    if (k != m->k)
        return NAN;
    if (ret_factors) {
        gather(m, row, names, ret_factors, ret_n);
        for (size_t i = 0; i < *ret_n; i++)
            say_number(m, cells, &ret_factors[i]);
    }
    return logit_chance(logit_score(m->beta, row, k));
}

json_t *churn_model_factors(const struct churn_model *m, size_t most)
{
    struct cell cells[FIELDS_MAX];
    double row[CHURN_COLUMNS_MAX];
    char names[CHURN_COLUMNS_MAX][NAME_MAX_BYTES * 2];
    bool used[CHURN_COLUMNS_MAX] = {false};
    json_t *list = json_array();
    for (size_t i = 0; i < FIELDS_MAX; i++)
        cells[i] = (struct cell){NAN, -1};
    encode(m, cells, row, names);
    for (size_t kept = 0; kept < most; kept++) {
        size_t best = 0;
        for (size_t j = 1; j < m->k; j++)
            if (!used[j] && !strstr(names[j], ", by ") && !strstr(names[j], " above ") &&
                (!best || fabs(m->beta[j]) > fabs(m->beta[best])))
                best = j;
        if (!best)
            break;
        used[best] = true;
        json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "factor", names[best], "log_odds", m->beta[best],
                                              "odds_ratio", exp(m->beta[best])));
    }
    return list;
}

/* ---- kept ---- */

json_t *churn_model_json(const struct churn_model *m)
{
    json_t *fields = json_array(), *beta = json_array(), *mean = json_array();
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct field *x = &m->field[i];
        json_t *values = json_array(), *knots = json_array();
        for (size_t v = 0; v < x->n_values; v++)
            json_array_append_new(values, json_string(x->values[v]));
        for (size_t q = 0; q < KNOTS; q++)
            json_array_append_new(knots, json_real(x->knot[q]));
        json_array_append_new(fields, json_pack("{s:s, s:b, s:I, s:o, s:f, s:f, s:o}", "name", x->name, "category",
                                                x->category, "seen", (json_int_t)x->seen, "values", values, "mean",
                                                x->mean, "sd", x->sd, "knots", knots));
    }
    for (size_t j = 0; j < m->k; j++) {
        json_array_append_new(beta, json_real(m->beta[j]));
        json_array_append_new(mean, json_real(m->mean[j]));
    }
    return json_pack("{s:i, s:o, s:o, s:o}", "version", 1, "fields", fields, "beta", beta, "mean", mean);
}

int churn_model_load(const json_t *json, struct churn_model **ret_model)
{
    const json_t *fields = json_object_get(json, "fields"), *beta = json_object_get(json, "beta");
    const json_t *mean = json_object_get(json, "mean"), *field;
    size_t i, k = json_array_size(beta);
    if (cvm_json_int(json, "version", 0) != 1 || json_array_size(fields) > FIELDS_MAX || k < 2 ||
        k > CHURN_COLUMNS_MAX || json_array_size(mean) != k)
        return CVM_EDATA;
    struct churn_model *m = calloc(1, sizeof *m);
    if (!m)
        return CVM_ENOMEM;
    json_array_foreach(fields, i, field)
    {
        struct field *x = &m->field[m->n_fields++];
        const json_t *values = json_object_get(field, "values"), *knots = json_object_get(field, "knots");
        snprintf(x->name, sizeof x->name, "%s", cvm_json_str(field, "name", ""));
        x->category = cvm_json_bool(field, "category", false);
        x->seen = (size_t)cvm_json_int(field, "seen", 0);
        x->mean = json_number_value(json_object_get(field, "mean"));
        x->sd = json_number_value(json_object_get(field, "sd"));
        for (size_t v = 0; v < json_array_size(values) && v < VALUES_MAX; v++)
            snprintf(x->values[x->n_values++], NAME_MAX_BYTES, "%s", json_string_value(json_array_get(values, v)));
        for (size_t q = 0; q < KNOTS; q++)
            x->knot[q] = json_number_value(json_array_get(knots, q));
    }
    m->k = k;
    for (i = 0; i < k; i++) {
        m->beta[i] = json_number_value(json_array_get(beta, i));
        m->mean[i] = json_number_value(json_array_get(mean, i));
    }
    if (field_find(m, "tenure_months") < 0 || field_find(m, "monthly_spend") < 0) {
        free(m);
        return CVM_EDATA;
    }
    *ret_model = m;
    return 0;
}
