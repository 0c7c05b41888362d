/* The job `evaluate_log`: what a policy would have earned in a log. Job thread. */
#include "../../cvm/common/csv.h"
#include "../../cvm/common/value.h"
#include "log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SUM_SLACK 1e-3   /* what probabilities of a row may miss 1 by */
#define FAULTY_MOST 0.05 /* part of the rows that may be faulty for an answer about the rest to be one */
#define PROBABILITIES_MAX (32 * 1000 * 1000)

/* ---- policies ---------------------------------------------------------------------------------------------------- */

struct table {
    cvm_job *j;
    const char *path, *unit; /* the file, and what is counted in it: "line", of JSON "element" */
    struct log *l;
    double *p;   /* rows of the log that were taken x OUTCOME_ACTIONS_MAX */
    size_t next; /* row of the log that is waited for */
    int64_t rows;
};

static int wrong(const struct table *t, int64_t at, const char *why)
{
    char text[LEARN_TEXT_SIZE];
    snprintf(text, sizeof text, "%.200s: %s %lld: %s", t->path, t->unit, (long long)at, why);
    return cvm_job_fail(t->j, "POLICY", text);
}

/* The probabilities of one row of the file: they belong to the log's row of the same number. */
static int check_row(const struct table *t, int64_t at, double *p)
{
    double sum = 0;
    for (size_t a = 0; a < OUTCOME_ACTIONS_MAX; a++) {
        if (!(p[a] >= 0 && p[a] <= 1))
            return wrong(t, at, "a probability must be a number from 0 to 1");
        sum += p[a];
    }
    if (fabs(sum - 1) > SUM_SLACK)
        return wrong(t, at, "the probabilities must add up to 1");
    for (size_t a = 0; a < OUTCOME_ACTIONS_MAX; a++)
        p[a] /= sum;
    return CVM_OK;
}

static int next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    return cvm_file_line(arg, ret_line, ret_len);
}

/* Row number t->rows of the file; takes it where the log's row was taken. */
static int take_row(struct table *t, int64_t at, double *p)
{
    CVM_TRY(check_row(t, at, p));
    if (t->next < t->l->off.rows.n && t->l->row[t->next] == t->rows)
        memcpy(&t->p[t->next++ * OUTCOME_ACTIONS_MAX], p, OUTCOME_ACTIONS_MAX * sizeof *p);
    t->rows++;
    return CVM_OK;
}

/* Which action each column has. */
static int read_header(const struct table *t, const struct csv *csv, int ret_actions[OUTCOME_ACTIONS_MAX])
{
    if (csv->fault)
        return wrong(t, 1, csv->fault);
    for (size_t i = 0; i < csv->n; i++) {
        int action = log_action(t->l, csv->fields[i].text, csv->fields[i].len);
        if (i == OUTCOME_ACTIONS_MAX || action < 0)
            return wrong(t, 1, "the header must name actions, 32 with those of the log at most");
        for (size_t k = 0; k < i; k++)
            if (ret_actions[k] == action)
                return wrong(t, 1, "the header names an action more than once");
        ret_actions[i] = action;
    }
    return CVM_OK;
}

static int read_record(struct table *t, const struct csv *csv, const int *actions, size_t n)
{
    double p[OUTCOME_ACTIONS_MAX] = {0};
    if (csv->fault || csv->n > n)
        return wrong(t, csv->line, csv->fault ? csv->fault : LEARN_MORE_FIELDS);
    for (size_t i = 0; i < n; i++)
        if (i >= csv->n || !value_real(csv->fields[i].text, csv->fields[i].len, &p[actions[i]]))
            p[actions[i]] = NAN;
    return take_row(t, csv->line, p);
}

static int read_csv(struct table *t, cvm_file *f)
{
    struct csv *csv;
    int actions[OUTCOME_ACTIONS_MAX], e, failed = CVM_OK;
    CVM_TRY(csv_new(next_line, f, ',', &csv));
    e = csv_next(csv);
    if (e > 0)
        failed = read_header(t, csv, actions);
    size_t n = csv->n;
    while (failed >= 0 && e > 0 && (e = csv_next(csv)) > 0)
        failed = read_record(t, csv, actions, n);
    csv_free(csv);
    return failed < 0 ? failed : e;
}

/* An array of objects action -> probability. */
static int read_json(struct table *t)
{
    char *text;
    json_t *list, *one, *value;
    const char *name;
    size_t i;
    CVM_TRY(learn_text(t->j, t->path, &text));
    list = json_loads(text, 0, NULL);
    free(text);
    if (!json_is_array(list)) {
        json_decref(list);
        return cvm_job_fail(t->j, "POLICY",
                            "the file of probabilities is no JSON array of objects, an object for each row of the log");
    }
    int e = CVM_OK;
    json_array_foreach(list, i, one)
    {
        double p[OUTCOME_ACTIONS_MAX] = {0};
        if (!json_is_object(one)) {
            e = wrong(t, (int64_t)i + 1,
                      "must be an object of actions and their probabilities, such as {\"CALL\": 0.4, \"WAIT\": 0.6}");
            break;
        }
        json_object_foreach(one, name, value)
        {
            int action = log_action(t->l, name, strlen(name));
            if (action >= 0)
                p[action] = json_is_number(value) ? json_number_value(value) : NAN;
        }
        e = take_row(t, (int64_t)i + 1, p);
        if (e < 0)
            break;
    }
    json_decref(list);
    return e;
}

/* Probabilities per row of the log, in its order. *ret_given is rows x actions; free() it. */
static int read_given(cvm_job *j, const char *path, struct log *l, double **ret_given)
{
    struct table t = {.j = j, .path = path, .l = l};
    cvm_file *f = NULL;
    size_t len = strlen(path), n = l->off.rows.n;
    char text[LEARN_TEXT_SIZE];
    bool json = len > 5 && strcmp(path + len - 5, ".json") == 0;
    t.unit = json ? "element" : "line";
    if (n * OUTCOME_ACTIONS_MAX > PROBABILITIES_MAX)
        return cvm_job_fail(j, "TOO_MANY", "the log has too many rows for probabilities of each");
    t.p = calloc(n * OUTCOME_ACTIONS_MAX + 1, sizeof *t.p);
    if (!t.p)
        return CVM_ENOMEM;
    int e = json ? read_json(&t) : cvm_job_file(j, path, &f);
    if (!json && e == CVM_OK)
        e = read_csv(&t, f);
    cvm_file_close(f);
    if (e < 0 && e != CVM_EREFUSED)
        e = learn_unreadable(j, path, e);
    if (e >= 0 && t.rows != l->rows) {
        snprintf(text, sizeof text,
                 "%.200s has %lld rows of probabilities and the log %lld rows: one for each is needed", path,
                 (long long)t.rows, (long long)l->rows);
        e = cvm_job_fail(j, "POLICY", text);
    }
    size_t k = l->off.rows.n_actions;
    for (size_t i = 0; e >= 0 && i < n; i++) /* close together, as evaluation reads them */
        memmove(&t.p[i * k], &t.p[i * OUTCOME_ACTIONS_MAX], k * sizeof *t.p);
    if (e < 0)
        free(t.p);
    else
        *ret_given = t.p;
    return e < 0 ? e : CVM_OK;
}

static int read_policy(cvm_job *j, const char *name, struct log *l, struct off_policy *ret_policy, double **ret_given)
{
    static const struct {
        const char *name;
        enum off_kind kind;
    } kinds[] = {{"uniform", OFF_UNIFORM}, {"logged", OFF_LOGGED}, {"greedy", OFF_GREEDY}, {"thompson", OFF_THOMPSON}};
    char text[LEARN_TEXT_SIZE];
    *ret_policy = (struct off_policy){.kind = OFF_GIVEN};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(name, kinds[i].name) == 0) {
            ret_policy->kind = kinds[i].kind;
            return CVM_OK;
        }
    if (strncmp(name, "action:", 7) == 0) {
        ret_policy->kind = OFF_ACTION;
        ret_policy->action = log_action(l, name + 7, strlen(name + 7));
        if (ret_policy->action >= 0)
            return CVM_OK;
    } else if (strncmp(name, "file:", 5) == 0) {
        CVM_TRY(read_given(j, name + 5, l, ret_given));
        ret_policy->given = *ret_given;
        return CVM_OK;
    }
    snprintf(text, sizeof text, "--policy %.80s: must be action:NAME, uniform, logged, greedy, thompson or file:PATH",
             name);
    return cvm_job_fail(j, "POLICY", text);
}

/* ---- what cannot be told whatever the numbers say ---------------------------------------------------------------- */

static void doubt(const struct log *l, const struct off_policy *policy, struct off_result *r)
{
    char text[OFF_WHY_SIZE] = "";
    if (!l->off.rows.n)
        snprintf(text, sizeof text, "there are no rows that can be used");
    else if (!l->propensities && policy->kind != OFF_LOGGED)
        snprintf(text, sizeof text,
                 "the log has no propensities: the probability with which each action was chosen must be in it "
                 "(--columns propensity=NAME)");
    else if (l->unlikely)
        snprintf(text, sizeof text,
                 "%lld rows have no propensity above 0 and at most 1, the first in line %lld: without them the rest is "
                 "no fair sample",
                 (long long)l->unlikely, (long long)l->unlikely_line);
    else if ((double)l->faults.n > FAULTY_MOST * (double)l->rows)
        snprintf(text, sizeof text, "%lld of %lld rows are faulty: the rest may be no fair sample",
                 (long long)l->faults.n, (long long)l->rows);
    else if (r->known && !(isfinite(r->dr.value) && isfinite(r->gain.value)))
        snprintf(text, sizeof text, "rewards or features are too large to be reckoned with");
    if (!*text)
        return;
    r->known = false;
    memcpy(r->why, text, sizeof text);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static json_t *estimate(const char *method, const struct off_interval *i, bool known)
{
    return json_pack("{s:s, s:o, s:o, s:o}", "method", method, "value", known ? learn_figure(i->value) : json_null(),
                     "low", known ? learn_figure(i->low) : json_null(), "high",
                     known ? learn_figure(i->high) : json_null());
}

static json_t *actions_of(const struct log *l, const struct off_result *r)
{
    json_t *list = json_array();
    double n = (double)l->off.rows.n;
    for (size_t a = 0; a < l->off.rows.n_actions; a++)
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:o, s:o}", "action", l->names[a], "logged", (json_int_t)r->count[a], "share",
                            learn_number((double)r->count[a] / n, 4), "policy_share", learn_number(r->mass[a], 4)));
    return list;
}

static json_t *answer(const struct log *l, const char *policy, const struct off_result *r)
{
    const char *verdict = !r->known          ? "cannot tell"
                          : r->gain.low > 0  ? "better"
                          : r->gain.high < 0 ? "worse"
                                             : "no difference can be told";
    json_t *estimates =
        json_pack("[o, o, o, o]", estimate("IPS", &r->ips, r->known), estimate("SNIPS", &r->snips, r->known),
                  estimate("DR", &r->dr, r->known), estimate("DR - logged", &r->gain, r->known));
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:I, s:I}", "policy", policy, "verdict", verdict, "logged_mean",
                          l->off.rows.n ? learn_figure(r->logged) : json_null(), "estimates", estimates, "rows",
                          (json_int_t)l->off.rows.n, "faulty_rows", (json_int_t)l->faults.n);
    if (!o)
        return NULL;
    if (!r->known)
        json_object_set_new(o, "why", json_string(r->why));
    if (l->faults.list)
        json_object_set(o, "faults", l->faults.list);
    if (!l->off.rows.n)
        return o;
    json_object_set_new(o, "effective_rows", learn_number(r->ess, 1));
    json_object_set_new(o, "rows_with_its_action", json_integer((json_int_t)r->matched));
    json_object_set_new(o, "weights",
                        json_pack("{s:o, s:o, s:o, s:I, s:o}", "mean", learn_figure(r->weight), "most",
                                  learn_figure(r->most), "share_of_most", learn_number(r->share, 4), "above_20",
                                  (json_int_t)r->clipped, "ips_clipped_at_20", learn_figure(r->clipped_ips)));
    json_object_set_new(o, "actions", actions_of(l, r));
    return o;
}

int evaluate_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *name = cvm_json_str(input, "policy", "");
    struct log l;
    struct off_policy policy;
    struct off_result r = {0};
    double *given = NULL;
    int e = log_read(j, cvm_json_str(input, "log", ""), cvm_json_str(input, "columns", ""), &l);
    if (e >= 0)
        e = read_policy(j, name, &l, &policy, &given);
    if (e >= 0) {
        cvm_job_progress(j, 0, 0, "evaluating");
        e = off_evaluate(&l.off, &policy, &r) < 0 ? CVM_ENOMEM : CVM_OK;
    }
    if (e >= 0) {
        doubt(&l, &policy, &r);
        *ret_result = answer(&l, name, &r);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    free(given);
    log_fini(&l);
    return e;
}
