/* The job "train": learns who leaves from the customers who have a label, judges itself on fifths that it had not seen,
 * and writes every customer's chance with its factors to cvm_churn_scores. A job's thread. */
#include "churn.h"
#include "triggers.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *report_json(const struct churn_report *r)
{
    json_t *bins = json_array();
    for (size_t b = 0; b < CHURN_BINS; b++)
        if (r->bin[b].n)
            json_array_append_new(bins, json_pack("{s:f, s:f, s:I, s:f, s:f}", "from", (double)b / CHURN_BINS, "to",
                                                  (double)(b + 1) / CHURN_BINS, "customers", (json_int_t)r->bin[b].n,
                                                  "said", round(r->bin[b].said * 1000) / 1000, "left",
                                                  round(r->bin[b].was * 1000) / 1000));
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:o}", "labelled", (json_int_t)r->n, "left", (json_int_t)r->left,
                     "auc", round(r->auc * 10000) / 10000, "brier", round(r->brier * 10000) / 10000,
                     "calibration_slope", round(r->slope * 1000) / 1000, "calibration_intercept",
                     round(r->intercept * 1000) / 1000, "calibration", bins);
}

static int learn(cvm_job *j, const char *label, struct churn_model **ret_model, struct churn_report *ret_report)
{
    const cvm_cell *cells;
    cvm_cursor *c;
    struct cvm_facts f;
    struct churn *base = churn_new(label);
    char why[200];
    int e = base ? cvm_job_open(j, "cvm_customers", facts_columns, NULL, NULL, &c) : CVM_ENOMEM;
    if (e == 0) {
        while ((e = cvm_cursor_next(c, &cells)) > 0) {
            facts_from_cells(cells, &f);
            if ((e = churn_add(base, &f)) < 0)
                break;
        }
        cvm_cursor_close(c);
    }
    if (e == 0)
        e = churn_train(base, ret_model, ret_report);
    churn_free(base);
    if (e != CVM_EDATA)
        return e;
    snprintf(why, sizeof why, "fewer than 100 customers have %s, or all have the same: name another with --label",
             label);
    return cvm_job_fail(j, "NO_LABELS", why);
}

static void factors_text(const struct churn_factor *f, size_t n, char *ret_text, size_t size)
{
    size_t at = 0;
    ret_text[0] = 0;
    for (size_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s %s (%+.2f)", i ? ", " : "",
                               f[i].weight > 0 ? "more for" : "less for", f[i].text, f[i].weight);
}

static int score_all(cvm_job *j, const struct churn_model *m, int64_t *ret_n)
{
    static const char *const columns[] = {"customer_id", "chance", "factors", "scored_at", NULL};
    const cvm_cell *cells;
    cvm_cursor *c = NULL;
    cvm_loader *l = NULL;
    struct cvm_facts f;
    int64_t n = 0;
    int e = cvm_job_clear(j, "cvm_churn_scores", NULL, NULL);
    if (e == 0)
        e = cvm_job_open(j, "cvm_customers", facts_columns, NULL, NULL, &c);
    if (e == 0)
        e = cvm_job_loader(j, "cvm_churn_scores", columns, &l);
    while (e >= 0 && (e = cvm_cursor_next(c, &cells)) > 0) {
        struct churn_factor factors[CHURN_FACTORS];
        char text[400];
        size_t k = 0;
        facts_from_cells(cells, &f);
        double chance = churn_chance(m, &f, factors, &k);
        if (isnan(chance))
            continue;
        factors_text(factors, k, text, sizeof text);
        cvm_cell row[4] = {{.kind = CVM_CELL_TEXT, .text = f.customer_id, .len = strlen(f.customer_id)},
                           {.kind = CVM_CELL_REAL, .r = chance},
                           {.kind = CVM_CELL_TEXT, .text = text, .len = strlen(text)},
                           {.kind = CVM_CELL_INT, .i = cvm_job_now_ms(j)}};
        e = cvm_loader_put(l, row);
        if (++n % 4096 == 0) {
            cvm_job_progress(j, n, 0, "customers scored");
            if (cvm_job_stopped(j))
                e = CVM_ESTATE;
        }
    }
    cvm_cursor_close(c);
    int closed = cvm_loader_close(l);
    *ret_n = n;
    return e < 0 ? e : closed;
}

int job_train(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *label = cvm_json_str(input, "label", "attributes.Churn");
    struct churn_model *m = NULL;
    struct churn_report r;
    int64_t scored = 0;
    cvm_job_progress(j, 0, 0, "learning who leaves");
    CVM_TRY(learn(j, label, &m, &r));
    int e = score_all(j, m, &scored);
    if (e == 0) {
        *ret_result = report_json(&r);
        json_object_set_new(*ret_result, "scored", json_integer(scored));
        json_object_set_new(*ret_result, "label", json_string(label));
        json_object_set_new(*ret_result, "factors", churn_model_factors(m, 10));
    }
    churn_model_free(m);
    return e;
}
