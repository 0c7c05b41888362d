/* The job `compare`: who was in which variant, what became of them, how the variants differ; with a score the Qini
 * curve too. The job's thread. */
#include "experiment.h"
#include "index.h"
#include "qini.h"
#include "rows.h"

#include "../common/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct subject {
    uint8_t variant;
    bool seen; /* the metric is known */
    int64_t since_ms;
    double value, score;
};

struct trial {
    const json_t *experiment;
    const char *metric;
    bool outcome, rate, daily;
    struct index_map customers;
    struct subject *at;
    size_t n, room;
    int64_t strangers; /* outcomes and observations of customers who are not in it, or before they were */
};

static int put(struct trial *r, const char *customer, size_t variant, int64_t since_ms)
{
    size_t i = index_put(&r->customers, customer, NULL);
    if (i == INDEX_NONE)
        return CVM_ELIMIT;
    if (i == r->room) {
        size_t room = r->room ? r->room * 2 : 1024;
        struct subject *at = realloc(r->at, room * sizeof *at);
        if (!at)
            return CVM_ENOMEM;
        r->at = at;
        r->room = room;
    }
    if (i == r->n)
        r->at[r->n++] =
            (struct subject){.variant = (uint8_t)variant, .since_ms = since_ms, .seen = r->outcome, .score = NAN};
    return CVM_OK;
}

static int exposure(void *arg, const cvm_cell *c)
{
    struct trial *r = arg;
    const json_t *variants = json_object_get(r->experiment, "variants");
    for (size_t i = 0; i < json_array_size(variants); i++)
        if (strcmp(cvm_json_str(json_array_get(variants, i), "name", ""), c[1].text) == 0)
            return put(r, c[0].text, i, value_ms(c[2].text));
    return CVM_OK;
}

static int everybody(void *arg, const cvm_cell *c)
{
    struct trial *r = arg;
    return put(r, c[0].text, experiment_variant(r->experiment, c[0].text),
               value_ms(cvm_json_str(r->experiment, "started_at", NULL)));
}

static int outcome(void *arg, const cvm_cell *c)
{
    struct trial *r = arg;
    size_t i = index_find(&r->customers, c[0].text, NULL);
    if (i == INDEX_NONE || value_ms(c[2].text) / 1000 < r->at[i].since_ms / 1000) {
        r->strangers++;
        return CVM_OK;
    }
    if (!r->rate)
        r->at[i].value += c[3].kind == CVM_CELL_NULL ? 0 : c[3].r;
    else if (strcmp(c[1].text, r->metric) == 0 ||
             (strcmp(r->metric, "responded") == 0 && strcmp(c[1].text, "converted") == 0))
        r->at[i].value = 1;
    return CVM_OK;
}

static int observation(void *arg, const cvm_cell *c)
{
    struct trial *r = arg;
    size_t i = index_find(&r->customers, c[0].text, NULL);
    if (i == INDEX_NONE) {
        r->strangers++;
        return CVM_OK;
    }
    r->at[i].value = c[1].r;
    r->at[i].seen = true;
    return CVM_OK;
}

static int scored(void *arg, const cvm_cell *c)
{
    struct trial *r = arg;
    size_t i = index_find(&r->customers, c[0].text, NULL);
    if (i != INDEX_NONE && c[1].kind != CVM_CELL_NULL)
        r->at[i].score = c[1].r;
    return CVM_OK;
}

static int read_all(cvm_job *j, struct trial *r, const char *score)
{
    static const char *const exposures[] = {"customer_id", "variant", "at", NULL};
    static const char *const outcomes[] = {"customer_id", "outcome", "at", "value_pounds", NULL};
    static const char *const observations[] = {"customer_id", "value", NULL};
    static const char *const ids[] = {"customer_id", NULL};
    const char *const scores[] = {"customer_id", score, NULL};
    const char *id = cvm_json_str(r->experiment, "id", ""),
               *treatment = cvm_json_str(r->experiment, "treatment_id", NULL);
    json_t *mine = json_pack("{s:s}", "experiment_id", id);
    int e;
    if (strcmp(cvm_json_str(r->experiment, "population", ""), "all") != 0)
        e = rows_read(j, "cvm_exposures", exposures, json_incref(mine), exposure, r);
    else if (json_object_get(r->experiment, "started_at"))
        e = rows_read(j, "cvm_customers", ids, NULL, everybody, r);
    else
        e = CVM_OK; /* nobody yet */
    if (e == CVM_OK && r->outcome)
        e = rows_read(j, "cvm_outcomes", outcomes, treatment ? json_pack("{s:s}", "treatment_id", treatment) : NULL,
                      outcome, r);
    else if (e == CVM_OK)
        e = rows_read(j, "cvm_observations", observations, json_incref(mine), observation, r);
    if (e == CVM_OK && score)
        e = rows_read(j, "cvm_customers", scores, NULL, scored, r);
    json_decref(mine);
    return e;
}

static json_t *curve_of(const struct trial *r, const char *score, size_t variant, const char *name, const char *against)
{
    struct qini_customer *customers = malloc((r->n ? r->n : 1) * sizeof *customers);
    struct qini q;
    size_t n = 0;
    json_t *curve = json_array(), *o = NULL;
    for (size_t i = 0; customers && i < r->n; i++)
        if (r->at[i].seen && !isnan(r->at[i].score) && (r->at[i].variant == variant || r->at[i].variant == 0))
            customers[n++] = (struct qini_customer){r->at[i].score, r->at[i].value, r->at[i].variant == variant};
    bool made = customers && qini_make(customers, n, LEVEL, &q);
    for (int i = 0; made && i < QINI_POINTS; i++)
        insight_append(&curve, json_pack("{s:o, s:o}", "share", insight_number(i / (QINI_POINTS - 1.0), 2), "gain",
                                         insight_number(q.gain[i], 6)));
    o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "score", score, "variant", name, "against", against,
                  "customers", (json_int_t)n, "coefficient", made ? insight_number(q.coefficient, 6) : json_null(),
                  "low", made ? insight_number(q.interval.low, 6) : json_null(), "high",
                  made ? insight_number(q.interval.high, 6) : json_null(), "curve", curve);
    if (o)
        insight_set(&o, "verdict",
                    json_string(!made                ? "not enough data: a group has nobody with that score"
                                : q.interval.low > 0 ? "the score finds those whom the treatment moves"
                                : q.interval.high < 0
                                    ? "the score finds those whom the treatment moves least"
                                    : "not enough data: no better than a random order can be excluded"));
    free(customers);
    return o;
}

/* *ret_e: the days of such an area cannot be read. */
static json_t *result_of(cvm_job *j, const struct trial *r, const json_t *input, int *ret_e)
{
    int64_t days = 0, units = 0;
    struct compare_variant variants[COMPARE_MAX] = {0};
    double weights[COMPARE_MAX];
    const json_t *list = json_object_get(r->experiment, "variants");
    size_t n = experiment_weights(r->experiment, weights), scored_variant = 1;
    const char *score = cvm_json_str(input, "score", NULL), *wanted = cvm_json_str(input, "variant", NULL);
    for (size_t i = 0; i < n; i++) {
        variants[i].name = cvm_json_str(json_array_get(list, i), "name", "");
        variants[i].weight = weights[i];
        if (wanted && i && strcmp(wanted, variants[i].name) == 0)
            scored_variant = i;
    }
    for (size_t i = 0; i < r->n; i++) {
        struct compare_variant *v = &variants[r->at[i].variant];
        v->customers++;
        if (!r->at[i].seen)
            continue;
        stats_add(&v->value, r->at[i].value);
        v->events += r->rate && r->at[i].value == 1;
    }
    if (r->daily)
        *ret_e = experiment_read_days(j, r->experiment, variants, n, &days);
    for (size_t i = 0; i < n; i++)
        units += variants[i].customers;
    json_t *result =
        compare_json(variants, n, r->rate, json_number_value(json_object_get(r->experiment, "least_effect")));
    if (!result)
        return NULL;
    static const char *const names[] = {"id",   "area",       "status",     "metric",
                                        "kind", "population", "started_at", "stopped_at"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(r->experiment, names[i]))
            insight_set(&result, names[i], cvm_json_share(json_object_get(r->experiment, names[i])));
    insight_set(&result, "customers", json_integer((json_int_t)units));
    if (r->daily) {
        insight_set(&result, "unit", json_string("persona and day"));
        insight_set(&result, "days", json_integer((json_int_t)days));
    }
    insight_set(&result, "outside", json_integer(r->strangers));
    if (score)
        insight_set(&result, "qini",
                    curve_of(r, score, scored_variant, variants[scored_variant].name, variants[0].name));
    return result;
}

int experiment_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct trial r = {.experiment = json_object_get(input, "experiment")};
    r.metric = cvm_json_str(r.experiment, "metric", "");
    r.outcome = experiment_is_outcome(r.metric);
    r.rate = strcmp(cvm_json_str(r.experiment, "kind", ""), "rate") == 0;
    r.daily = experiment_is_daily(cvm_json_str(r.experiment, "area", ""));
    int e = r.daily ? CVM_OK : read_all(j, &r, cvm_json_str(input, "score", NULL));
    if (e == CVM_ELIMIT)
        e = cvm_job_fail(j, "TOO_MANY", "more customers than one experiment may have");
    if (e == CVM_OK) {
        json_t *result = result_of(j, &r, input, &e);
        if (e == CVM_OK && result)
            *ret_result = result;
        else
            json_decref(result);
        e = e < 0 ? e : result ? CVM_OK : CVM_ENOMEM;
    }
    index_fini(&r.customers);
    free(r.at);
    return e;
}
