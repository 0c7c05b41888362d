/* AnalyticsAgent's figures: KPIs of the desk over the last hour, day and week, from the windows that are over (asked of
 * the table, beside the writers) and the one that runs. Owns the state keys accuracy and started_ms. Loop thread. */
#include "operations.h"

#include <math.h>

#define HOUR_MS 3600000LL
#define WINDOWS_ASKED 1000

/* ---- sums over time ------------------------------------------------------------------------------------------------
 */

struct sums {
    json_t *hour, *day, *week;
};

static void add(struct sums *s, const json_t *window, int64_t age_ms)
{
    if (age_ms < HOUR_MS)
        window_add(s->hour, window);
    if (age_ms < 24 * HOUR_MS)
        window_add(s->day, window);
    if (age_ms < 7 * 24 * HOUR_MS)
        window_add(s->week, window);
}

static int collect(cvm_turn *t, const json_t *rows, struct sums *s)
{
    const json_t *running = NULL, *row;
    size_t i;
    int64_t now = cvm_now_ms(t);
    int e = cvm_state_get(t, "now", &running);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    *s = (struct sums){json_object(), json_object(), json_object()};
    add(s, running, 0);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const char *text = cvm_json_str(row, "sums", NULL);
        json_t *sums = text ? json_loads(text, 0, NULL) : NULL;
        add(s, sums ? sums : json_object_get(row, "sums"), now - cvm_json_int(row, "start_ms", 0));
        json_decref(sums);
    }
    json_object_del(s->hour, "start");
    json_object_del(s->day, "start");
    json_object_del(s->week, "start");
    return CVM_OK;
}

static void drop(struct sums *s)
{
    json_decref(s->hour);
    json_decref(s->day);
    json_decref(s->week);
}

/* ---- the KPIs ------------------------------------------------------------------------------------------------------
 */

static double sum(const json_t *window, const char *name)
{
    return (double)cvm_json_int(window, name, 0);
}

static double in(const json_t *window, const char *group, const char *name)
{
    return sum(json_object_get(window, group), name);
}

/* A ratio of nothing is none. */
static double ratio(double part, double of)
{
    return of > 0 ? part / of : NAN;
}

struct kpi {
    const char *name, *unit, *period;
    double value, target;
    bool at_least; /* else the value must stay below the target */
    double n;      /* how many it is of */
};

static void put(json_t *list, const struct kpi *k)
{
    bool known = !isnan(k->value);
    char target[32];
    bool met = k->at_least ? k->value > k->target : k->target > 0 ? k->value < k->target : k->value <= 0;
    snprintf(target, sizeof target, "%s %.4g", k->at_least ? ">" : k->target > 0 ? "<" : "=", k->target);
    json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:s, s:o, s:s, s:I}", "kpi", k->name, "value",
                                          known ? json_real(round(k->value * 1e6) / 1e6) : json_null(), "unit", k->unit,
                                          "target", target, "met", known ? json_boolean(met) : json_null(), "period",
                                          k->period, "of", (json_int_t)k->n));
}

static double transactions(const json_t *w)
{
    return in(w, "transactions", "SUCCESS") + in(w, "transactions", "FAILED") + in(w, "transactions", "REFUNDED");
}

static json_t *kpis(const struct sums *s, const json_t *accuracy)
{
    const json_t *h = s->hour, *d = s->day, *w = s->week;
    double nh = sum(h, "enquiries"), nd = sum(d, "enquiries"), tx = transactions(h);
    double judged = sum(accuracy, "n");
    /* Before the text model is trained the rules answer alone, and not as well. */
    const char *read = sum(accuracy, "by_rules") * 2 > judged ? "measured, without the model" : "measured";
    double quality = ratio(sum(d, "approved"), sum(d, "reviews"));
    const struct kpi all[] = {
        {"mean_response_time", "s", "1 h", ratio(sum(h, "duration_ms") / 1000.0, nh), 3, false, nh},
        {"p99_response_time", "s", "1 h", nh > 0 ? window_quantile(h, 0.99) : NAN, 10, false, nh},
        {"error_rate", "ratio", "1 h", ratio(sum(h, "errors"), nh), 0.005, false, nh},
        {"customer_satisfaction", "ratio", "7 d", ratio(sum(w, "rated_well"), sum(w, "rated")), 0.85, true,
         sum(w, "rated")},
        {"first_contact_resolution", "ratio", "7 d",
         ratio(sum(w, "first_contact") - sum(w, "first_contact_lost"), sum(w, "first_contact_all")), 0.70, true,
         sum(w, "first_contact_all")},
        {"escalation_rate", "ratio", "1 d", ratio(sum(d, "escalated"), nd), 0.10, false, nd},
        {"transaction_success", "ratio", "1 h", ratio(in(h, "transactions", "SUCCESS"), tx), 0.95, true, tx},
        {"transaction_success_financial", "ratio", "1 h", ratio(in(h, "transactions", "SUCCESS"), tx), 0.98, true, tx},
        {"classification_accuracy", "ratio", read, ratio(sum(accuracy, "right"), judged), 0.90, true, judged},
        {"domain_accuracy", "ratio", read, ratio(sum(accuracy, "domains"), judged), 0.95, true, judged},
        {"qa_approval", "ratio", "1 d", quality, 0.85, true, sum(d, "reviews")},
        {"agents_per_enquiry", "agents", "1 d", ratio(sum(d, "agents"), nd), 4, false, nd},
        {"cost_per_enquiry", "NGN", "1 d", ratio(sum(d, "cost_kobo") / 100.0, nd), 50, false, nd},
        {"llm_cost_per_enquiry", "NGN", "1 d", ratio(sum(d, "llm_kobo") / 100.0, nd), 20, false, nd},
        {"llm_cost_per_enquiry_usd", "USD", "1 d", ratio(sum(d, "llm_micro_usd") / 1e6, nd), 0.05, false, nd},
        {"sla_breaches", "enquiries", "1 d", sum(d, "sla_breaches"), 0, false, nd},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        put(list, &all[i]);
    return list;
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

int kpi_compute(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "kpi_windows",
                                    .order_by = "-window_start",
                                    .limit = WINDOWS_ASKED,
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

int kpi_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *accuracy = NULL;
    struct sums s;
    if (m->outcome != CVM_REPLIED)
        return ops_pass(t, m);
    int e = cvm_state_get(t, "accuracy", &accuracy);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    CVM_TRY(collect(t, json_object_get(m->data, "rows"), &s));
    json_t *body =
        json_pack("{s:o, s:O, s:O, s:O}", "kpis", kpis(&s, accuracy), "hour", s.hour, "day", s.day, "week", s.week);
    drop(&s);
    e = cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int compute_for(cvm_turn *t, cvm_id request)
{
    return cvm_request(t, ANALYTICS, "compute_kpi", NULL, &(cvm_request_opts){.on_behalf = request});
}

int kpi_show(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "eval");
    if (json_is_array(rows) && !ops_loaded(t, DESK))
        return cvm_refuse(t, "NOT_AVAILABLE", "eval", "Nobody is loaded who understands enquiries.");
    if (json_is_array(rows))
        CVM_TRY(cvm_request(t, DESK, "evaluate", json_pack("{s:o}", "rows", cvm_json_share(rows)),
                            &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 120000}));
    else
        CVM_TRY(compute_for(t, m->id));
    return CVM_PENDING;
}

int kpi_measured(cvm_turn *t, const cvm_msg *m)
{
    double n = sum(m->data, "n");
    if (m->outcome != CVM_REPLIED)
        return ops_pass(t, m);
    CVM_TRY(
        cvm_state_put(t, "accuracy",
                      json_pack("{s:O?, s:O?, s:O?, s:O?, s:I}", "n", json_object_get(m->data, "n"), "right",
                                json_object_get(m->data, "right"), "domains", json_object_get(m->data, "domains"),
                                "by_rules", json_object_get(m->data, "by_rules"), "at_ms", (json_int_t)cvm_now_ms(t))));
    if (n > 0)
        CVM_TRY(cvm_metric(t, "classification_accuracy_ratio", NULL, sum(m->data, "right") / n));
    return compute_for(t, m->on_behalf);
}

/* ---- dashboard, gauges ---------------------------------------------------------------------------------------------
 */

static json_t *dashboard(cvm_turn *t, const json_t *computed)
{
    const json_t *started = NULL, *now = NULL, *hour = json_object_get(computed, "hour");
    char at[TIME_SIZE];
    int64_t open = 0, since = cvm_now_ms(t);
    if (cvm_state_get(t, "started_ms", &started) == CVM_OK)
        since = json_integer_value(started);
    if (cvm_state_get(t, "now", &now) < 0)
        now = NULL;
    if (cvm_state_int(t, "open", &open) < 0)
        open = 0;
    return json_pack("{s:s, s:I, s:I, s:I, s:O?, s:O?, s:O?, s:O?, s:O?}", "generated_at", ops_time(cvm_now_ms(t), at),
                     "serving_seconds", (json_int_t)((cvm_now_ms(t) - since) / 1000), "handoffs_open", (json_int_t)open,
                     "enquiries_last_hour", (json_int_t)cvm_json_int(hour, "enquiries", 0), "kpis",
                     json_object_get(computed, "kpis"), "intents", json_object_get(hour, "intents"), "channels",
                     json_object_get(hour, "channels"), "transactions", json_object_get(hour, "transactions"),
                     "running", now);
}

static int gauges(cvm_turn *t, const json_t *computed)
{
    static const char *const names[][2] = {{"customer_satisfaction", "csat_ratio"},
                                           {"first_contact_resolution", "fcr_ratio"},
                                           {"classification_accuracy", "classification_accuracy_ratio"},
                                           {"qa_approval", "qa_approval_ratio"},
                                           {"agents_per_enquiry", "agents_per_enquiry"},
                                           {"cost_per_enquiry", "enquiry_cost_ngn"},
                                           {"llm_cost_per_enquiry", "llm_cost_ngn"},
                                           {"llm_cost_per_enquiry_usd", "llm_cost_usd"}};
    const json_t *list = json_object_get(computed, "kpis"), *kpi;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, kpi)
    {
        const char *name = cvm_json_str(kpi, "kpi", "");
        const json_t *value = json_object_get(kpi, "value");
        CVM_TRY(json_is_number(value) ? cvm_metric(t, "kpi", name, json_number_value(value)) : CVM_OK);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (json_is_number(value) && !strcmp(names[k][0], name))
                CVM_TRY(cvm_metric(t, names[k][1], NULL, json_number_value(value)));
    }
    return CVM_OK;
}

int kpi_dashboard(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, ANALYTICS, "read_kpi", NULL, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

/* For `kpi`, which waits for it; without anybody waiting, for the gauges. */
int kpi_computed(cvm_turn *t, const cvm_msg *m)
{
    if (!cvm_id_is_none(m->on_behalf))
        return ops_pass(t, m);
    return m->outcome == CVM_REPLIED ? gauges(t, m->data) : CVM_OK;
}

int kpi_shown(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return ops_pass(t, m);
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, dashboard(t, m->data), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int kpi_refresh(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    CVM_TRY(cvm_state_put_int(t, "armed", 0));
    return compute_for(t, (cvm_id){0, 0});
}

int kpi_handle(cvm_turn *t, const cvm_msg *m)
{
    return ops_step(t, m, NULL);
}
