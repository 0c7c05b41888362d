/* Campaigns and what-ifs as operations: gathers what there is to decide with, starts the job, keeps what came out. Owns
 * the rows of cvm_runs, and the state keys ask/<request> and `prices`, the prices of the last run. Loop thread. */
#include "campaign.h"
#include "moment.h"

#include "../../common/pending.h"

#include <string.h>

#define CATALOGUE "cvm.treatments"
#define ALLOCATION "cvm.allocation"
#define PRICES "cvm.prices" /* the topic: who decides for single customers hears it */

/* Ends the request that `m` is the answer for with a failure of what was asked. */
static int fail(cvm_turn *t, const cvm_msg *m, const char *what)
{
    char text[300];
    snprintf(text, sizeof text, "%s: %.200s", what,
             cvm_json_str(m->data, "message", cvm_json_str(m->data, "text", "no answer")));
    int e =
        cvm_settle(t, m->on_behalf, CVM_ERROR, json_pack("{s:s, s:s}", "code", "UNAVAILABLE", "message", text), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- running ---- */

static int begin(cvm_turn *t, const cvm_msg *m, json_t *what)
{
    int e = pending_put(t, m->id, what);
    if (e == CVM_ELIMIT)
        return cvm_refuse(t, "TOO_LARGE", NULL, "The terms are too large to be kept while the limits are asked for.");
    if (e < 0)
        return e;
    CVM_TRY(cvm_request(t, ALLOCATION, "get_constraints", NULL, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int campaign_run(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    CVM_TRY(cvm_new_id(t, "RUN", id));
    return begin(t, m,
                 json_pack("{s:s, s:s, s:O, s:b}", "run_id", id, "name", cvm_json_str(m->data, "name", ""), "terms",
                           m->data, "what_if", 0));
}

int campaign_what_if(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, json_pack("{s:O, s:b}", "terms", m->data, "what_if", 1));
}

/* What of the limits is decided by, by treatment: it is kept until the catalogue answers. Gives. */
static json_t *limits_of(const json_t *constraints)
{
    static const char *const members[] = {"max_per_day", "used_today", "remaining", "cost_per_contact_pounds"};
    json_t *limits = json_object(), *one;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)constraints, id, one)
    {
        json_t *kept = json_object();
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            json_object_set(kept, members[i], json_object_get(one, members[i]));
        json_object_set_new(limits, id, kept);
    }
    return limits;
}

static int limited(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    if (m->outcome != CVM_REPLIED)
        return fail(t, m, "the limits are not to be had");
    json_t *more = json_copy((json_t *)(uintptr_t)what);
    json_object_set_new(more, "constraints", limits_of(json_object_get(m->data, "constraints")));
    int e = pending_put(t, m->on_behalf, more);
    if (e == CVM_ELIMIT)
        return fail(t, m, "there are too many limits");
    if (e < 0)
        return e;
    return cvm_request(t, CATALOGUE, "list", NULL, &(cvm_request_opts){.on_behalf = m->on_behalf});
}

int campaign_constraints(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, limited);
}

/* The row of a run, without what came out. Gives. */
static json_t *row_of(cvm_turn *t, const json_t *what, const char *status)
{
    char *terms = json_dumps(json_object_get(what, "terms"), JSON_COMPACT | JSON_SORT_KEYS);
    json_t *row =
        json_pack("{s:s, s:s, s:I, s:s, s:s}", "run_id", cvm_json_str(what, "run_id", ""), "name",
                  cvm_json_str(what, "name", ""), "at_ms", (json_int_t)cvm_json_int(what, "at_ms", cvm_now_ms(t)),
                  "status", status, "terms", terms ? terms : "{}");
    free(terms);
    return row;
}

static int started(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    if (m->outcome != CVM_REPLIED)
        return fail(t, m, "the treatments are not to be had");
    json_t *kept = json_copy((json_t *)(uintptr_t)what), *input = json_copy((json_t *)(uintptr_t)what);
    json_object_set(input, "treatments", json_object_get(m->data, "treatments"));
    json_object_del(kept, "constraints");
    json_object_set_new(kept, "at_ms", json_integer((json_int_t)cvm_now_ms(t)));
    int e = pending_put(t, m->on_behalf, kept);
    if (e == CVM_OK && !cvm_json_bool(what, "what_if", false))
        e = cvm_row_put(t, CAMPAIGN_RUNS, row_of(t, what, "running"));
    if (e != CVM_OK) {
        json_decref(input);
        return e;
    }
    return cvm_job_start(t, "decide", input, m->on_behalf, 0);
}

int campaign_treatments(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, started);
}

static int keep_figures(cvm_turn *t, const json_t *what, const json_t *data)
{
    json_t *figures = json_object_get(data, "figures"), *row = row_of(t, what, "done");
    static const char *const shown[] = {"assigned", "expected_value_pounds", "gap_percent", "cost_pounds"};
    char *text = json_dumps(figures, JSON_COMPACT);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        json_object_set(row, shown[i], json_object_get(figures, shown[i]));
    json_object_set(row, "customers", json_object_get(json_object_get(figures, "funnel"), "matched"));
    json_object_set(row, "milliseconds", json_object_get(data, "milliseconds"));
    json_object_set_new(row, "figures", json_string(text ? text : "{}"));
    free(text);
    CVM_TRY(cvm_row_put(t, CAMPAIGN_RUNS, row));
    int64_t days = cvm_json_int(json_object_get(what, "terms"), "days", 1);
    CVM_TRY(cvm_publish(t, PRICES,
                        json_pack("{s:s, s:I, s:O}", "run_id", cvm_json_str(what, "run_id", ""), "until_ms",
                                  (json_int_t)(cvm_now_ms(t) + days * DAY_MS), "prices",
                                  json_object_get(figures, "prices"))));
    return cvm_state_put(t, "prices",
                         json_pack("{s:s, s:I, s:O}", "run_id", cvm_json_str(what, "run_id", ""), "at_ms",
                                   (json_int_t)cvm_now_ms(t), "prices", json_object_get(figures, "prices")));
}

static int decided(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    bool what_if = cvm_json_bool(what, "what_if", false), done = m->outcome == CVM_REPLIED;
    const char *code = cvm_json_str(m->data, "code", "");
    bool refused = m->outcome == CVM_ERROR && !strcmp(code, "TERMS");
    json_t *data = NULL;
    if (!what_if && done)
        CVM_TRY(keep_figures(t, what, m->data));
    if (!what_if && !done)
        CVM_TRY(cvm_row_put(t, CAMPAIGN_RUNS, row_of(t, what, "failed")));
    if (done) {
        data = json_object();
        json_object_set(data, "run_id", json_object_get(what, "run_id"));
        json_object_set(data, "milliseconds", json_object_get(m->data, "milliseconds"));
        json_object_update_missing(data, json_object_get(m->data, "figures"));
        if (!what_if)
            json_object_del(data, "rejections"); /* campaign show has them */
    } else {
        data = refused ? json_pack("{s:s, s:s}", "code", code, "message",
                                   cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", "")))
                       : cvm_json_share(m->data);
    }
    int e = cvm_settle(t, m->on_behalf, refused ? CVM_REFUSED : m->outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int campaign_decided(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, decided);
}

/* ---- looking ---- */

static int ask(cvm_turn *t, const cvm_msg *m, const char *kind, const char *table, json_t *where, const char *order)
{
    CVM_TRY(pending_put(t, m->id, json_pack("{s:s, s:O}", "kind", kind, "given", m->data)));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = table,
                                    .where = where,
                                    .order_by = order,
                                    .limit = cvm_json_int(m->data, "limit", 50),
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

int campaign_list(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "list", CAMPAIGN_RUNS, json_object(), "-at_ms");
}

int campaign_show(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "show", CAMPAIGN_RUNS, json_pack("{s:s}", "run_id", cvm_json_str(m->data, "run_id", "")), NULL);
}

int campaign_customers(cvm_turn *t, const cvm_msg *m)
{
    json_t *where = json_pack("{s:s}", "run_id", cvm_json_str(m->data, "run_id", ""));
    if (json_object_get(m->data, "treatment"))
        json_object_set(where, "treatment_id", json_object_get(m->data, "treatment"));
    if (json_object_get(m->data, "customer_id"))
        json_object_set(where, "customer_id", json_object_get(m->data, "customer_id"));
    return ask(t, m, "customers", CAMPAIGN_DECISIONS, where, NULL);
}

int campaign_prices(cvm_turn *t, const cvm_msg *m)
{
    const json_t *kept = NULL;
    char text[MOMENT_SIZE];
    const char *id;
    json_t *price, *rows = json_array();
    int e = cvm_state_get(t, "prices", &kept);
    if (e < 0 && e != CVM_ENOENT) {
        json_decref(rows);
        return e;
    }
    json_object_foreach(json_object_get(kept, "prices"), id, price)
    {
        json_array_append_new(rows,
                              json_pack("{s:s, s:f}", "treatment", id, "price_pounds", json_number_value(price) / 100));
    }
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:o}", "run_id", cvm_json_str(kept, "run_id", ""), "at",
                               kept ? moment_text(cvm_json_int(kept, "at_ms", 0), text) : "", "prices", rows));
}

/* A row as people see it. Gives. */
static json_t *row_shown(const json_t *row)
{
    char text[MOMENT_SIZE];
    json_t *shown = json_copy((json_t *)(uintptr_t)row);
    json_object_set_new(shown, "at", json_string(moment_text(cvm_json_int(row, "at_ms", 0), text)));
    json_object_del(shown, "at_ms");
    json_object_del(shown, "key_id");
    json_object_del(shown, "figures");
    return shown;
}

static json_t *run_shown(const json_t *row)
{
    json_t *shown = row_shown(row), *figures = json_loads(cvm_json_str(row, "figures", "{}"), 0, NULL),
           *terms = json_loads(cvm_json_str(row, "terms", "{}"), 0, NULL);
    json_object_set_new(shown, "terms", terms ? terms : json_object());
    if (figures)
        json_object_update_missing(shown, figures);
    json_decref(figures);
    return shown;
}

static int answered(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const char *kind = cvm_json_str(what, "kind", "");
    json_t *rows = json_object_get(m->data, "rows"), *data = NULL;
    int outcome = m->outcome;
    if (outcome != CVM_REPLIED) {
        data = cvm_json_share(m->data);
    } else if (!strcmp(kind, "list")) {
        json_t *runs = json_array(), *row;
        size_t i;
        json_array_foreach(rows, i, row)
        {
            json_array_append_new(runs, row_shown(row));
        }
        data = json_pack("{s:o}", "campaigns", runs);
    } else if (!strcmp(kind, "customers")) {
        data = json_pack("{s:O, s:O?}", "decisions", rows, "more", json_object_get(m->data, "more"));
    } else if (json_array_size(rows) == 0) {
        outcome = CVM_REFUSED;
        data = json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "run_id", "message",
                         "There is no such run. `cvmhost campaign list` lists them.");
    } else {
        data = run_shown(json_array_get(rows, 0));
    }
    int e = cvm_settle(t, m->on_behalf, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int campaign_rows(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, answered);
}
