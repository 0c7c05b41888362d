/* See people.h. The job's thread. */
#include "people.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

static uint8_t currency_of(struct people *p, const char *code)
{
    for (size_t i = 0; i < p->n_currencies; i++)
        if (strncmp(p->currencies[i].code, code, 3) == 0)
            return (uint8_t)i;
    if (p->n_currencies == PEOPLE_CURRENCIES)
        return PEOPLE_CURRENCIES - 1;
    strncpy(p->currencies[p->n_currencies].code, code, 3);
    return (uint8_t)p->n_currencies++;
}

static double number(const cvm_cell *c)
{
    return c->kind == CVM_CELL_INT || c->kind == CVM_CELL_REAL ? c->r : NAN;
}

static int put(struct people *p, const cvm_cell *c)
{
    if (p->n == p->room) {
        size_t room = p->room ? p->room * 2 : 1024;
        struct person *at = realloc(p->at, room * sizeof *at);
        if (!at)
            return CVM_ENOMEM;
        p->at = at;
        p->room = room;
    }
    size_t number_of = index_put(&p->ids, c[0].text, NULL);
    if (number_of == INDEX_NONE)
        return CVM_ELIMIT;
    if (number_of < p->n) /* seen already */
        return CVM_OK;
    p->at[p->n++] = (struct person){.currency = currency_of(p, c[1].text),
                                    .spend = c[2].kind == CVM_CELL_INT ? c[2].i : INT64_MIN,
                                    .usage_change = number(&c[3]),
                                    .churn = number(&c[4]),
                                    .data = (float)number(&c[5]),
                                    .tenure = (float)number(&c[6]),
                                    .contacts = (float)number(&c[7])};
    return CVM_OK;
}

static int sort_spend(struct people *p)
{
    for (size_t k = 0; k < p->n_currencies; k++) {
        int64_t *spend = malloc((p->n ? p->n : 1) * sizeof *spend);
        size_t n = 0;
        if (!spend)
            return CVM_ENOMEM;
        for (size_t i = 0; i < p->n; i++)
            if (p->at[i].currency == k && p->at[i].spend != INT64_MIN)
                spend[n++] = p->at[i].spend;
        qsort(spend, n, sizeof *spend, by_value);
        p->currencies[k].spend = spend;
        p->currencies[k].n = n;
    }
    return CVM_OK;
}

/* Where the base has no churn score, the chance that the churn model gave. Without the model's table: none. */
static int read_chances(cvm_job *j, struct people *p)
{
    static const char *const columns[] = {"customer_id", "chance", NULL};
    const cvm_cell *cells;
    cvm_cursor *c;
    int e = cvm_job_open(j, "cvm_churn_scores", columns, NULL, NULL, &c);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        size_t i = index_find(&p->ids, cells[0].text, NULL);
        if (i != INDEX_NONE && isnan(p->at[i].churn))
            p->at[i].churn = number(&cells[1]);
    }
    cvm_cursor_close(c);
    return e;
}

int people_read(cvm_job *j, struct people *ret_people)
{
    static const char *const columns[] = {"customer_id",      "currency",     "monthly_spend",
                                          "usage_change_pct", "churn_score",  "data_gb",
                                          "tenure_months",    "contacts_90d", NULL};
    const cvm_cell *cells;
    cvm_cursor *c;
    int e = cvm_job_open(j, "cvm_customers", columns, NULL, NULL, &c);
    if (e == CVM_ENOENT)
        return cvm_job_fail(j, "NO_CUSTOMERS", "there is no table of customers: the plugin customers is not loaded");
    CVM_TRY(e);
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        e = put(ret_people, cells);
        if (e < 0)
            break;
        if (ret_people->n % 10000 == 0)
            cvm_job_progress(j, (int64_t)ret_people->n, 0, "reading customers");
    }
    cvm_cursor_close(c);
    if (e == CVM_OK && !ret_people->n)
        e = cvm_job_fail(j, "NO_CUSTOMERS", "there are no customers yet: cvmhost customer import FILE");
    if (e == CVM_OK)
        e = read_chances(j, ret_people);
    return e < 0 ? e : sort_spend(ret_people);
}

void people_fini(struct people *p)
{
    for (size_t i = 0; i < p->n_currencies; i++)
        free(p->currencies[i].spend);
    index_fini(&p->ids);
    free(p->at);
}

static float spend_of(const struct people *p, const struct person *one)
{
    size_t n = p->currencies[one->currency].n;
    if (one->spend < 0 || !n)
        return NAN;
    int64_t median = p->currencies[one->currency].spend[n / 2];
    return (float)(log1p((double)one->spend) - log1p((double)(median < 0 ? 0 : median)));
}

float *people_metrics(const struct people *p)
{
    float *rows = malloc((p->n ? p->n : 1) * PEOPLE_METRICS * sizeof *rows);
    for (size_t i = 0; rows && i < p->n; i++) {
        const struct person *one = &p->at[i];
        float *row = rows + i * PEOPLE_METRICS;
        row[0] = spend_of(p, one);
        row[1] = isnan(one->usage_change) ? NAN : (float)fmax(-100, fmin(100, one->usage_change));
        row[2] = (float)one->churn;
        row[3] = one->data < 0 ? NAN : log1pf(one->data);
        row[4] = one->tenure;
        row[5] = one->contacts < 0 ? NAN : log1pf(one->contacts);
    }
    return rows;
}

const char *people_metric_word(size_t metric, bool above)
{
    static const char *const words[PEOPLE_METRICS][2] = {
        {"low spend", "high spend"},  {"falling usage", "rising usage"}, {"low risk", "high risk"},
        {"little data", "much data"}, {"new", "long with us"},           {"few contacts", "many contacts"}};
    return words[metric][above];
}
