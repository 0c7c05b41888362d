/* The job assign_segments: reads all customers, gives each a segment by rules or by k-means, writes cvm_segments. Rows
 * of earlier runs go when the new ones stand, so a reader never finds it empty. The job's thread. */
#include "bands.h"
#include "kmeans.h"
#include "people.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLE "cvm_segments"
#define LEAST_KNOWN 2 /* metrics of a customer below which k-means has nothing to go by */
#define RUNS_MAX 64
#define TELLING 0.4        /* of a standard deviation from the mean, for a cluster's name */
#define UNKNOWN KMEANS_MAX /* the cluster of those of whom too little is known */

struct segment {
    char id[BANDS_NAME_SIZE], name[BANDS_NAME_SIZE];
    struct bands bands;
    size_t customers, n_spend, n_churn;
    double spend, churn;
    int currency; /* -1: none yet, -2: several */
};

struct plan {
    struct segment segments[BANDS_SEGMENTS];
    bool rules;
    double silhouette;
    size_t k;
    char run[40];
};

static void by_rules(const struct bands_limits *limits, struct people *p, struct plan *plan)
{
    for (size_t i = 0; i < p->n; i++) {
        struct person *one = &p->at[i];
        struct bands b = {bands_value(p->currencies[one->currency].spend, p->currencies[one->currency].n, one->spend),
                          bands_engagement(one->usage_change, limits), bands_risk(one->churn, limits)};
        one->segment = (uint8_t)bands_number(b);
    }
    for (size_t i = 0; i < BANDS_SEGMENTS; i++) {
        struct segment *s = &plan->segments[i];
        s->bands = bands_of(i);
        if (s->bands.engagement > ENGAGEMENT_GROWING || s->bands.risk > RISK_HIGH)
            continue;
        bands_id(s->bands, s->id);
        bands_name(s->bands, s->name);
    }
}

/* "High spend, falling usage": the two figures that are farthest from the mean. */
static void name_cluster(const struct kmeans *m, size_t cluster, struct segment *s)
{
    size_t first = 0, second = 1;
    const double *centre = m->centres[cluster];
    for (size_t d = 1; d < PEOPLE_METRICS; d++)
        if (fabs(centre[d]) > fabs(centre[first])) {
            second = first;
            first = d;
        } else if (second == first || fabs(centre[d]) > fabs(centre[second])) {
            second = d;
        }
    if (fabs(centre[first]) < TELLING)
        snprintf(s->name, sizeof s->name, "Average");
    else if (fabs(centre[second]) < TELLING)
        snprintf(s->name, sizeof s->name, "%s", people_metric_word(first, centre[first] > 0));
    else
        snprintf(s->name, sizeof s->name, "%s, %s", people_metric_word(first, centre[first] > 0),
                 people_metric_word(second, centre[second] > 0));
    s->name[0] = (char)toupper((unsigned char)s->name[0]);
}

static void name_clusters(const struct kmeans *m, struct plan *plan)
{
    char plain[KMEANS_MAX][BANDS_NAME_SIZE]; /* without numbers */
    for (size_t c = 0; c < m->k; c++) {
        struct segment *s = &plan->segments[c];
        int same = 1;
        name_cluster(m, c, s);
        memcpy(plain[c], s->name, sizeof plain[c]);
        for (size_t i = 0; i < c; i++)
            same += strcmp(plain[i], plain[c]) == 0;
        if (same > 1)
            snprintf(s->name + strlen(s->name), sizeof s->name - strlen(s->name), " %d", same);
        for (size_t i = 0, n = 0; s->name[i]; i++)
            if (isalnum((unsigned char)s->name[i]))
                s->id[n++] = (char)tolower((unsigned char)s->name[i]);
            else if (n && s->id[n - 1] != '_')
                s->id[n++] = '_';
    }
    snprintf(plan->segments[UNKNOWN].id, BANDS_NAME_SIZE, "unknown");
    snprintf(plan->segments[UNKNOWN].name, BANDS_NAME_SIZE, "Too little known");
}

/* The rows of whom enough is known go to the front of `rows`; gives their number and who they are. */
static size_t keep_known(const struct people *p, float *rows, size_t *who)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        int known = 0;
        for (size_t d = 0; d < PEOPLE_METRICS; d++)
            known += !isnan(rows[i * PEOPLE_METRICS + d]);
        if (known < LEAST_KNOWN)
            continue;
        memmove(rows + n * PEOPLE_METRICS, rows + i * PEOPLE_METRICS, PEOPLE_METRICS * sizeof *rows);
        who[n++] = i;
    }
    return n;
}

static int by_kmeans(cvm_job *j, const json_t *input, struct people *p, struct plan *plan)
{
    uint64_t seed = (uint64_t)cvm_json_int(cvm_job_settings(j), "kmeans_seed", 1);
    size_t most = (size_t)fmax(1, fmin(KMEANS_MAX, insight_setting(cvm_job_settings(j), "kmeans_most", 8)));
    size_t *who = malloc(p->n * sizeof *who), n = 0;
    uint8_t *of = malloc(p->n);
    float *rows = people_metrics(p);
    struct kmeans m = {0};
    int e = who && of && rows ? CVM_OK : CVM_ENOMEM;
    if (e == CVM_OK)
        n = keep_known(p, rows, who);
    if (e == CVM_OK && n) {
        kmeans_normalise(rows, n, PEOPLE_METRICS);
        cvm_job_progress(j, 0, 0, "looking for clusters");
        plan->k = (size_t)cvm_json_int(input, "k", 0);
        if (!plan->k)
            plan->k = kmeans_choose(rows, n, PEOPLE_METRICS, most, seed, &plan->silhouette);
        e = kmeans_run(rows, n, PEOPLE_METRICS, plan->k, seed, of, &m) ? CVM_OK : CVM_ENOMEM;
        plan->k = m.k;
    }
    for (size_t i = 0; i < p->n; i++)
        p->at[i].segment = UNKNOWN;
    for (size_t i = 0; e == CVM_OK && i < n; i++)
        p->at[who[i]].segment = of[i];
    name_clusters(&m, plan);
    free(who);
    free(of);
    free(rows);
    return e;
}

static void count(const struct people *p, struct plan *plan)
{
    for (size_t i = 0; i < BANDS_SEGMENTS; i++)
        plan->segments[i].currency = -1;
    for (size_t i = 0; i < p->n; i++) {
        const struct person *one = &p->at[i];
        struct segment *s = &plan->segments[one->segment];
        s->customers++;
        if (one->spend != INT64_MIN) {
            s->n_spend++;
            s->spend += (double)one->spend;
            s->currency = s->currency == -1 || s->currency == one->currency ? one->currency : -2;
        }
        if (!isnan(one->churn)) {
            s->n_churn++;
            s->churn += one->churn;
        }
    }
}

static cvm_cell text_cell(const char *text)
{
    return (cvm_cell){.kind = CVM_CELL_TEXT, .text = text, .len = strlen(text)};
}

static int write_rows(cvm_job *j, const struct people *p, const struct plan *plan)
{
    static const char *const columns[] = {"customer_id",     "segment",   "name",   "scheme",      "value_band",
                                          "engagement_band", "risk_band", "run_id", "assigned_at", NULL};
    char at[INSIGHT_TIME_SIZE];
    cvm_loader *l;
    int e = CVM_OK;
    insight_time(cvm_job_now_ms(j), at);
    CVM_TRY(cvm_job_loader(j, TABLE, columns, &l));
    for (size_t i = 0; e == CVM_OK && i < p->n; i++) {
        const struct segment *s = &plan->segments[p->at[i].segment];
        cvm_cell cells[9] = {text_cell(index_text(&p->ids, i)), text_cell(s->id), text_cell(s->name),
                             text_cell(plan->rules ? "rules" : "kmeans")};
        if (plan->rules) {
            cells[4] = text_cell(bands_value_word(s->bands.value));
            cells[5] = text_cell(bands_engagement_word(s->bands.engagement));
            cells[6] = text_cell(bands_risk_word(s->bands.risk));
        }
        cells[7] = text_cell(plan->run);
        cells[8] = text_cell(at);
        e = cvm_loader_put(l, cells);
        if (i % 10000 == 0)
            cvm_job_progress(j, (int64_t)i, (int64_t)p->n, "writing segments");
    }
    int closed = cvm_loader_close(l);
    return e < 0 ? e : closed;
}

/* The runs whose rows stand there, but this one. */
static int clear_earlier(cvm_job *j, const char *run)
{
    static const char *const columns[] = {"run_id", NULL};
    char runs[RUNS_MAX][40];
    size_t n = 0;
    const cvm_cell *cells;
    cvm_cursor *c;
    int e;
    CVM_TRY(cvm_job_open(j, TABLE, columns, NULL, NULL, &c));
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        bool seen = strcmp(cells[0].text, run) == 0;
        for (size_t i = 0; !seen && i < n; i++)
            seen = strcmp(runs[i], cells[0].text) == 0;
        if (!seen && n < RUNS_MAX)
            snprintf(runs[n++], sizeof runs[0], "%s", cells[0].text);
    }
    cvm_cursor_close(c);
    for (size_t i = 0; e == CVM_OK && i < n; i++) {
        json_t *where = json_pack("{s:s}", "run_id", runs[i]);
        e = cvm_job_clear(j, TABLE, where, NULL);
        json_decref(where);
    }
    return e;
}

static json_t *segment_json(const struct people *p, const struct plan *plan, const struct segment *s)
{
    double spend = s->n_spend && s->currency >= 0 ? s->spend / (double)s->n_spend / 100 : NAN;
    json_t *one = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:s, s:o, s:I, s:I}", "segment", s->id, "name", s->name, "customers",
        (json_int_t)s->customers, "share", insight_number((double)s->customers / (double)p->n, 4), "mean_spend_pounds",
        insight_number(spend, 2), "currency", s->currency >= 0 ? p->currencies[s->currency].code : "", "mean_churn",
        insight_number(s->n_churn ? s->churn / (double)s->n_churn : NAN, 3), "spend_known", (json_int_t)s->n_spend,
        "churn_known", (json_int_t)s->n_churn);
    if (one && plan->rules) {
        insight_set(&one, "value_band", json_string(bands_value_word(s->bands.value)));
        insight_set(&one, "engagement_band", json_string(bands_engagement_word(s->bands.engagement)));
        insight_set(&one, "risk_band", json_string(bands_risk_word(s->bands.risk)));
    }
    return one;
}

static int by_size(const void *one, const void *other)
{
    const struct segment *a = *(const struct segment *const *)one, *b = *(const struct segment *const *)other;
    return a->customers != b->customers ? (a->customers > b->customers ? -1 : 1) : strcmp(a->id, b->id);
}

static json_t *result_of(cvm_job *j, const struct people *p, const struct plan *plan)
{
    const struct segment *order[BANDS_SEGMENTS];
    char at[INSIGHT_TIME_SIZE];
    size_t n = 0;
    json_t *list = json_array();
    for (size_t i = 0; i < BANDS_SEGMENTS; i++)
        if (plan->segments[i].customers)
            order[n++] = &plan->segments[i];
    qsort(order, n, sizeof *order, by_size);
    for (size_t i = 0; i < n; i++)
        insight_append(&list, segment_json(p, plan, order[i]));
    insight_time(cvm_job_now_ms(j), at);
    json_t *result =
        json_pack("{s:s, s:s, s:s, s:I, s:o}", "run_id", plan->run, "scheme", plan->rules ? "rules" : "kmeans",
                  "assigned_at", at, "customers", (json_int_t)p->n, "segments", list);
    if (result && !plan->rules) {
        insight_set(&result, "k", json_integer((json_int_t)plan->k));
        if (plan->silhouette > 0)
            insight_set(&result, "silhouette", insight_number(plan->silhouette, 3));
    }
    return result;
}

int segment_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const json_t *settings = cvm_job_settings(j);
    struct bands_limits limits = {
        insight_setting(settings, "growing_pct", 10), insight_setting(settings, "fading_pct", -10),
        insight_setting(settings, "risk_medium", 0.3), insight_setting(settings, "risk_high", 0.7)};
    struct people p = {0};
    struct plan *plan = calloc(1, sizeof *plan);
    cvm_id id = cvm_job_id(j);
    int e = plan ? people_read(j, &p) : CVM_ENOMEM;
    if (e == CVM_OK) {
        snprintf(plan->run, sizeof plan->run, "%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
        plan->rules = strcmp(cvm_json_str(input, "scheme", "rules"), "kmeans") != 0;
        if (plan->rules)
            by_rules(&limits, &p, plan);
        else
            e = by_kmeans(j, input, &p, plan);
    }
    if (e == CVM_OK) {
        count(&p, plan);
        e = write_rows(j, &p, plan);
    }
    if (e == CVM_OK)
        e = clear_earlier(j, plan->run);
    if (e == CVM_OK) {
        *ret_result = result_of(j, &p, plan);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    people_fini(&p);
    free(plan);
    return e;
}
