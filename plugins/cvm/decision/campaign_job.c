/* The job `decide`: reads all customers and what they did before, decides for all at once, writes who gets what. A
 * what-if does the same and writes nothing. A job's thread. */
#include "allocate.h"
#include "base.h"
#include "campaign.h"
#include "past.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WHY_SIZE 256

/* Reads everybody into `one` and, where it is not NULL, into `two`. */
static int read_base(cvm_job *j, struct base *one, struct base *two)
{
    struct past *past = NULL;
    cvm_cursor *c = NULL;
    const cvm_cell *cells;
    struct cvm_facts facts;
    int e = past_open(j, &past);
    if (e == CVM_OK)
        e = cvm_job_open(j, "cvm_customers", facts_columns, NULL, NULL, &c);
    while (e >= 0 && (e = cvm_cursor_next(c, &cells)) == 1) {
        const struct base_history *history = NULL;
        size_t n = 0;
        unsigned signals = 0;
        facts_from_cells(cells, &facts);
        if (!facts.customer_id)
            continue;
        e = past_of(past, &facts, &history, &n, &signals);
        e = e >= 0 ? base_add(one, &facts, signals, history, n) : e;
        e = e >= 0 && two ? base_add(two, &facts, signals, history, n) : e;
        if (one->total % 8192 == 0)
            cvm_job_progress(j, one->total, 0, "reading customers");
    }
    cvm_cursor_close(c);
    past_close(past);
    return e < 0 ? e : CVM_OK;
}

/* ---- writing ---- */

static const char *const columns[] = {"decision_id", "run_id", "customer_id", "treatment_id", "day",       "value",
                                      "propensity",  "worth",  "cost",        "price",        "runner_up", "lead",
                                      "at_ms",       NULL};

static cvm_cell text_cell(const char *text)
{
    return (cvm_cell){.kind = text ? CVM_CELL_TEXT : CVM_CELL_NULL, .text = text, .len = text ? strlen(text) : 0};
}

static cvm_cell int_cell(double x)
{
    return (cvm_cell){.kind = CVM_CELL_INT, .i = llround(x)};
}

/* Six decimals: the rest is how a float is kept. */
static cvm_cell real_cell(double x)
{
    return (cvm_cell){.kind = CVM_CELL_REAL, .r = round(x * 1e6) / 1e6};
}

static int put_row(cvm_job *j, cvm_loader *l, const struct base *b, const struct base_decision *d, const char *run,
                   size_t slot)
{
    size_t i = slot / d->problem.per_customer, n = slot % d->problem.per_customer;
    int t = d->result.assignment[slot], next = d->result.runner_up[i];
    const char *customer = plan_text(&b->ids, i);
    char id[256];
    size_t cell = i * b->n + (t < 0 ? 0 : (size_t)t);
    double price = t < 0 || d->limit_of[t] < 0 ? 0 : d->result.prices[d->limit_of[t]];
    price += t < 0 || d->budget < 0 ? 0 : d->result.prices[d->budget] * (double)b->options[t].o.cost;
    snprintf(id, sizeof id, n ? "%s/%s/%zu" : "%s/%s", run, customer, n);
    cvm_cell cells[] = {text_cell(id),
                        text_cell(run),
                        text_cell(customer),
                        text_cell(base_choice(b, d, i, n)),
                        int_cell(d->day[slot]),
                        int_cell(t < 0 ? 0 : (double)b->value[cell]),
                        real_cell(t < 0 ? 0 : (double)b->propensity[cell]),
                        int_cell(t < 0 ? 0 : (double)b->worth[cell]),
                        int_cell(t < 0 ? 0 : (double)b->options[t].o.cost),
                        real_cell(round(price * 100) / 100),
                        text_cell(next < 0 ? OPTION_IGNORE : b->options[next].o.id),
                        real_cell(round((double)d->result.lead[i] * 100) / 100),
                        int_cell((double)cvm_job_now_ms(j))};
    return cvm_loader_put(l, cells);
}

/* Who gets what, and who gets nothing; an earlier attempt's rows go first. */
static int write_base(cvm_job *j, const struct base *b, const struct base_decision *d, const char *run)
{
    cvm_loader *l = NULL;
    json_t *where = json_pack("{s:s}", "run_id", run);
    int e = where ? cvm_job_clear(j, CAMPAIGN_DECISIONS, where, NULL) : CVM_ENOMEM;
    json_decref(where);
    if (e == CVM_OK)
        e = cvm_job_loader(j, CAMPAIGN_DECISIONS, columns, &l);
    size_t slots = d->problem.customers * d->problem.per_customer;
    for (size_t s = 0; e == CVM_OK && s < slots; s++) {
        if (d->result.assignment[s] >= 0 || s % d->problem.per_customer == 0)
            e = put_row(j, l, b, d, run, s);
        if (s % 8192 == 0)
            cvm_job_progress(j, (int64_t)s, (int64_t)slots, "writing decisions");
    }
    int closed = cvm_loader_close(l);
    return e != CVM_OK ? e : closed;
}

/* ---- the job ---- */

static double clock_ms(void *arg)
{
    return (double)cvm_job_elapsed_us(arg) / 1000;
}

static bool stopped(void *arg, double done)
{
    cvm_job_progress(arg, (int64_t)(done * 100), 100, "deciding for all");
    return cvm_job_stopped(arg);
}

static int read_terms(const json_t *terms, struct base_terms *ret, char *why, size_t size)
{
    const json_t *budget = json_object_get(terms, "budget_pounds"), *limit = json_object_get(terms, "time_limit");
    *ret = (struct base_terms){FACTS_NONE, cvm_json_int(terms, "days", 1), cvm_json_int(terms, "per_customer", 1),
                               cvm_json_str(terms, "trigger", NULL), 60000};
    if (json_is_number(budget))
        ret->budget = llround(json_number_value(budget) * 100);
    if (json_is_number(limit))
        ret->time_limit_ms = json_number_value(limit) * 1000;
    int signal = ret->trigger ? signal_find(ret->trigger) : SIGNAL_NETWORK;
    if (signal < 0 || signal == SIGNAL_HIGH_VALUE) { /* of high value is who spends more than the others do */
        snprintf(why, size,
                 "trigger: %.60s cannot choose who is in a campaign; %s, %s, %s and %s can. `cvmhost trigger apply` "
                 "treats whom any trigger finds",
                 ret->trigger, signal_names[SIGNAL_NETWORK], signal_names[SIGNAL_BILLING], signal_names[SIGNAL_CHURN],
                 signal_names[SIGNAL_ROAMING]);
        return CVM_EINVAL;
    }
    if (ret->days < 1 || ret->days > BASE_DAYS_MAX || ret->per_customer < 1 ||
        ret->per_customer > SOLVE_MAX_PER_CUSTOMER) {
        snprintf(why, size, "days must be 1 to %d, per_customer 1 to %d", BASE_DAYS_MAX, SOLVE_MAX_PER_CUSTOMER);
        return CVM_EINVAL;
    }
    return CVM_OK;
}

/* A base by the terms, or as things are without what they change. */
static int make(const json_t *input, const struct base_terms *terms, bool changed, struct base **ret, char *why,
                size_t size)
{
    json_t *treatments = NULL, *constraints = NULL, *none = json_object();
    int e = campaign_change(changed ? json_object_get(input, "terms") : none, json_object_get(input, "treatments"),
                            json_object_get(input, "constraints"), &treatments, &constraints, why, size);
    if (e == CVM_OK)
        e = base_new(treatments, constraints, terms, ret, why, size);
    json_decref(none);
    json_decref(treatments);
    json_decref(constraints);
    return e;
}

static bool changes(const json_t *terms)
{
    return json_object_get(terms, "treatment") || json_object_get(terms, "without") ||
           json_object_get(terms, "treatments") || json_object_get(terms, "limits");
}

/* The members of `figures` that are decided, and what differs from how things are. */
static int decide_all(cvm_job *j, const json_t *input, struct base *after, struct base *before, json_t **ret_result,
                      char *why, size_t size)
{
    struct base_decision a = {0}, b = {0};
    const char *run = cvm_json_str(input, "run_id", NULL);
    int e = base_decide(after, stopped, clock_ms, j, &a, why, size);
    if (e == CVM_OK && before)
        e = base_decide(before, stopped, clock_ms, j, &b, why, size);
    if (e == CVM_OK && !cvm_json_bool(input, "what_if", false) && run)
        e = write_base(j, after, &a, run);
    if (e == CVM_OK) {
        json_t *summary = base_summary(after, &a, cvm_job_now_ms(j));
        if (summary && before)
            json_object_set_new(summary, "against_now", base_compare(before, &b, after, &a));
        *ret_result =
            json_pack("{s:o, s:f}", "figures", summary, "milliseconds", round(a.result.milliseconds * 1000) / 1000);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    base_decision_fini(&a);
    base_decision_fini(&b);
    return e;
}

int campaign_decide(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct base_terms terms;
    struct base *after = NULL, *before = NULL;
    char why[WHY_SIZE] = "";
    const json_t *given = json_object_get(input, "terms");
    int e = read_terms(given, &terms, why, sizeof why);
    if (e == CVM_OK)
        e = make(input, &terms, true, &after, why, sizeof why);
    if (e == CVM_OK && cvm_json_bool(input, "what_if", false) && changes(given))
        e = make(input, &terms, false, &before, why, sizeof why);
    if (e == CVM_OK)
        e = read_base(j, after, before);
    if (e == CVM_OK)
        e = decide_all(j, input, after, before, ret_result, why, sizeof why);
    base_free(after);
    base_free(before);
    return e == CVM_EINVAL || e == CVM_ELIMIT ? cvm_job_fail(j, "TERMS", *why ? why : cvm_strerror(e)) : e;
}
