/* AnalyticsAgent's book-keeping: each finished enquiry is counted in the window that runs, its agents' steps become
 * rows of `agent_metrics`. Owns the state keys now -> the running window, last/<customer>/<intent> (for first-contact
 * resolution), sla/<enquiry>, open -> handoffs that wait, armed; and the table `kpi_windows` of those that are over.
 * Loop thread. */
#include "../../common/object.h"
#include "operations.h"

#define FCR_MS (24 * 3600000LL)
#define STEPS_MAX 60
#define PURGE_BATCH 500

/* ---- the window ----------------------------------------------------------------------------------------------------
 */

static int64_t window_ms(cvm_turn *t)
{
    int64_t s = cvm_json_int(cvm_settings(t), "window_s", 3600);
    return (s < 1 ? 1 : s) * 1000;
}

static int close_window(cvm_turn *t, const cvm_msg *m, const json_t *window, const char *conversation)
{
    char from[TIME_SIZE], to[TIME_SIZE];
    int64_t start = cvm_json_int(window, "start", 0);
    (void)m;
    CVM_TRY(pattern_learn(t, window));
    json_t *sums = json_copy((json_t *)(uintptr_t)window);
    json_object_del(sums, "start");
    return cvm_row_put(t, "kpi_windows",
                       json_pack("{s:s, s:s, s:I, s:o, s:s}", "window_start", ops_time(start, from), "window_end",
                                 ops_time(start + window_ms(t), to), "start_ms", (json_int_t)start, "sums", sums,
                                 "conversation", conversation));
}

int record_window(cvm_turn *t, json_t **ret_window)
{
    const json_t *kept = NULL;
    int64_t now = cvm_now_ms(t), length = window_ms(t), start = now - now % length;
    int e = cvm_state_get(t, "now", &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (kept && cvm_json_int(kept, "start", 0) != start) {
        CVM_TRY(close_window(t, NULL, kept, "component:" ANALYTICS));
        kept = NULL;
    }
    *ret_window = kept ? json_copy((json_t *)(uintptr_t)kept) : json_pack("{s:I}", "start", (json_int_t)start);
    return *ret_window ? CVM_OK : CVM_ENOMEM;
}

/* A timer of our own, whatever conversation this turn belongs to: an enquiry is over when its customer has heard
 * everything, not when the figures have been looked at again. */
static int own_timer(cvm_turn *t, const char *type, int64_t at_ms, json_t *data)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = ANALYTICS,
                   .type = "arm",
                   .conversation = "component:" ANALYTICS,
                   .data = json_pack("{s:s, s:I, s:o*}", "timer", type, "at_ms", (json_int_t)at_ms, "data", data),
                   .priority = CVM_LOW};
    return out.data ? t->host->emit(t, &out, NULL) : CVM_ENOMEM;
}

int record_arm(cvm_turn *t, const cvm_msg *m)
{
    const char *type = cvm_json_str(m->data, "timer", "");
    int64_t wait_ms = cvm_json_int(m->data, "at_ms", 0) - cvm_now_ms(t);
    if (strcmp(type, "refresh") != 0 && strcmp(type, "sla_due") != 0)
        return cvm_refuse(t, "INVALID", "timer", "The timer must be refresh or sla_due.");
    CVM_TRY(cvm_timer(t, type, wait_ms > 0 ? wait_ms : 0, cvm_json_share(json_object_get(m->data, "data")),
                      (cvm_id){0, 0}, NULL));
    return heard(t, m);
}

int record_keep(cvm_turn *t, json_t *window)
{
    int64_t armed = 0;
    CVM_TRY(cvm_state_put(t, "now", window));
    CVM_TRY(cvm_state_int(t, "armed", &armed));
    if (armed)
        return CVM_OK;
    CVM_TRY(cvm_state_put_int(t, "armed", 1));
    return own_timer(t, "refresh", cvm_now_ms(t) + cvm_json_int(cvm_settings(t), "refresh_ms", 5000), NULL);
}

/* ---- rows of agents ------------------------------------------------------------------------------------------------
 */

/* The text itself where it is short enough. New reference; of none, of "". */
static json_t *clipped(const json_t *text)
{
    const char *s = json_is_string(text) ? json_string_value(text) : "";
    size_t n = (size_t)clip(s, 1000);
    return json_is_string(text) && n == json_string_length(text) ? cvm_json_share(text) : json_stringn(s, n);
}

/* What the rows of one enquiry say alike; values are shared among them. */
struct steps {
    const json_t *enquiry;
    json_t *conversation, *done, *sure;
    char id[64];   /* of the row, in the order of time: rows of many enquiries stand together, and so cost one page */
    size_t id_len; /* without the number of the step */
};

static int step_row(cvm_turn *t, struct steps *all, size_t i, const json_t *step, const json_t *input,
                    const json_t *output)
{
    const json_t *confidence = json_object_get(step, "confidence");
    bool done = !strcmp(cvm_json_str(step, "result", ""), "REPLIED");
    for (size_t n = i + 1, at = 3; at > 0; n /= 10)
        all->id[all->id_len + --at] = (char)('0' + n % 10);
    json_t *row = json_object();
    OBJECT_PUT(row, "id", json_stringn(all->id, all->id_len + 3));
    OBJECT_SHARE(row, "agent_name", json_object_get(step, "agent"));
    OBJECT_SHARE(row, "enquiry_id", all->enquiry);
    OBJECT_PUT(row, "processing_time_ms", json_real((double)cvm_json_int(step, "duration_ms", 0)));
    OBJECT_PUT(row, "success", done ? json_incref(all->done) : json_integer(0));
    OBJECT_SHARE(row, "confidence_score", json_is_number(confidence) ? confidence : all->sure);
    OBJECT_PUT(row, "input_message", clipped(input));
    OBJECT_PUT(row, "output_message", clipped(output));
    OBJECT_SHARE(row, "timestamp", json_object_get(step, "started_at"));
    OBJECT_SHARE(row, "conversation", all->conversation);
    return row ? cvm_row_put(t, "agent_metrics", row) : CVM_ENOMEM;
}

/* What an agent was given is what the one before said; the first got the customer's words, the last said the answer. */
static int agent_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *context = cvm_context(t), *list = json_object_get(context, "processing_steps");
    const json_t *input = json_object_get(context, "message");
    struct steps all = {.enquiry = json_object_get(context, "enquiry_id"),
                        .conversation = json_string(m->conversation),
                        .done = json_integer(1),
                        .sure = json_real(1)};
    size_t n = json_is_string(all.enquiry) ? json_array_size(list) : 0;
    int e = all.conversation && all.done && all.sure ? CVM_OK : CVM_ENOMEM;
    all.id_len = (size_t)snprintf(all.id, sizeof all.id, "%013lld/%.40s/", (long long)cvm_now_ms(t),
                                  n ? json_string_value(all.enquiry) : "");
    for (size_t i = 0; i < n && i < STEPS_MAX && e >= 0; i++) {
        const json_t *step = json_array_get(list, i);
        const json_t *output = json_object_get(i + 1 == n ? context : step, i + 1 == n ? "final_response" : "note");
        e = step_row(t, &all, i, step, input, output);
        input = output;
    }
    json_decref(all.conversation);
    json_decref(all.done);
    json_decref(all.sure);
    return e;
}

/* ---- an enquiry ----------------------------------------------------------------------------------------------------
 */

/* Whether an escalation counts: a customer of the highest tier is always handed over (D-65). */
static bool only_tier(const json_t *rules)
{
    return json_array_size(rules) == 1 && !strcmp(cvm_json_str(json_array_get(rules, 0), "rule", ""), "customer_tier");
}

static int count_escalation(cvm_turn *t, json_t *window, const json_t *context)
{
    const json_t *rules = json_object_get(json_object_get(context, "escalation"), "rules"), *rule;
    size_t i;
    window_count(window, only_tier(rules) ? "escalated_tier" : "escalated", 1);
    json_array_foreach((json_t *)(uintptr_t)rules, i, rule)
        CVM_TRY(cvm_metric(t, "escalations_total", cvm_json_str(rule, "rule", "unknown"), 1));
    return CVM_OK;
}

/* Solved at the first contact, unless the same customer comes with the same within a day: then it was not. */
static int count_first_contact(cvm_turn *t, json_t *window, const json_t *closed)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *last = NULL;
    const char *intent = cvm_json_str(closed, "intent", "");
    bool solved = !strcmp(cvm_json_str(closed, "status", ""), "RESOLVED");
    int64_t now = cvm_now_ms(t);
    if (!*intent || !*cvm_json_str(closed, "customer_id", ""))
        return CVM_OK;
    snprintf(key, sizeof key, "last/%.40s/%.30s/%.40s", cvm_json_str(closed, "customer_id", ""),
             cvm_json_str(closed, "service_domain", ""), intent);
    int e = cvm_state_get(t, key, &last);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (last && cvm_json_bool(last, "solved", false) && now - cvm_json_int(last, "at_ms", 0) < FCR_MS)
        window_count(window, "first_contact_lost", 1);
    window_count(window, "first_contact_all", 1);
    window_count(window, "first_contact", solved);
    json_t *now_last = json_object();
    OBJECT_INT(now_last, "at_ms", now);
    OBJECT_PUT(now_last, "solved", json_boolean(solved));
    return cvm_state_put(t, key, now_last);
}

static int count_sla(cvm_turn *t, const cvm_msg *m, json_t *window)
{
    int64_t deadline = cvm_json_int(m->data, "sla_deadline_ms", 0), now = cvm_now_ms(t);
    const char *status = cvm_json_str(m->data, "status", ""), *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    char key[64];
    if (!deadline)
        return CVM_OK;
    if (now > deadline) {
        window_count(window, "sla_breaches", 1);
        return cvm_metric(t, "sla_breaches_total", NULL, 1);
    }
    if (strcmp(status, "ESCALATED") != 0) /* the others are answered */
        return CVM_OK;
    snprintf(key, sizeof key, "sla/%.40s", enquiry);
    CVM_TRY(cvm_state_put(t, key, json_integer((json_int_t)deadline)));
    return own_timer(t, "sla_due", deadline, json_pack("{s:s}", "enquiry_id", enquiry));
}

static void count_cost(cvm_turn *t, json_t *window, const json_t *context)
{
    const json_t *costs = json_object_get(cvm_settings(t), "channel_cost_kobo"), *llm = json_object_get(context, "llm");
    double usd = json_number_value(json_object_get(llm, "cost_usd")),
           rate = json_number_value(json_object_get(cvm_settings(t), "naira_per_usd"));
    int64_t micro = (int64_t)(usd * 1e6), channel = cvm_json_int(costs, cvm_json_str(context, "channel", "SMS"), 0);
    window_count(window, "llm_micro_usd", micro);
    window_count(window, "llm_kobo", (int64_t)(usd * rate * 100));
    window_count(window, "cost_kobo", channel + (int64_t)(usd * rate * 100));
}

static int count(cvm_turn *t, const cvm_msg *m, json_t *window)
{
    const json_t *context = cvm_context(t), *review = json_object_get(context, "review");
    const char *status = cvm_json_str(m->data, "status", ""), *reason = cvm_json_str(m->data, "reason", "");
    char intent[96];
    int64_t ms = cvm_json_int(m->data, "duration_ms", 0);
    snprintf(intent, sizeof intent, "%s/%s", cvm_json_str(m->data, "service_domain", "UNKNOWN"),
             cvm_json_str(m->data, "intent", "UNKNOWN"));
    window_count(window, "enquiries", 1);
    window_duration(window, ms);
    window_count(window, "agents", cvm_json_int(m->data, "agents", 0));
    window_count_in(window, "intents", intent, 1);
    window_count_in(window, "channels", cvm_json_str(m->data, "channel", "SMS"), 1);
    window_count(window, "errors", !strcmp(reason, "agent_error"));
    if (cvm_json_bool(json_object_get(context, "classification"), "fallback_used", false))
        window_count(window, "fallbacks", 1);
    if (json_is_object(review)) {
        window_count(window, "reviews", 1);
        window_count(window, "approved", cvm_json_int(review, "rejections", 0) == 0);
    }
    count_cost(t, window, context);
    CVM_TRY(cvm_metric(t, "enquiry_seconds", NULL, (double)ms / 1000.0));
    CVM_TRY(cvm_metric(t, "enquiries_total", status, 1));
    if (!strcmp(status, "ESCALATED") || *cvm_json_str(context, "handoff_id", ""))
        CVM_TRY(count_escalation(t, window, context));
    CVM_TRY(count_first_contact(t, window, m->data));
    CVM_TRY(count_sla(t, m, window));
    return pattern_look(t, window, "intents", intent);
}

int record_closed(cvm_turn *t, const cvm_msg *m)
{
    json_t *window = NULL;
    CVM_TRY(record_window(t, &window));
    int e = count(t, m, window);
    if (e >= 0)
        e = agent_rows(t, m);
    if (e < 0) {
        json_decref(window);
        return e;
    }
    CVM_TRY(record_keep(t, window));
    return heard(t, m);
}

/* By hand: an interaction that no enquiry tells of, such as a call that a colleague took. */
int record_interaction(cvm_turn *t, const cvm_msg *m)
{
    json_t *window = NULL;
    CVM_TRY(record_window(t, &window));
    window_count(window, "interactions", 1);
    CVM_TRY(record_keep(t, window));
    char id[CVM_SHORT_ID_SIZE], at[TIME_SIZE];
    CVM_TRY(cvm_new_id(t, "INT", id));
    CVM_TRY(cvm_row_put(t, "agent_metrics",
                        json_pack("{s:s, s:s, s:s, s:f, s:i, s:f, s:s, s:s, s:s, s:s}", "id", id, "agent_name",
                                  cvm_json_str(m->data, "agent_name", ""), "enquiry_id",
                                  cvm_json_str(m->data, "enquiry_id", ""), "processing_time_ms",
                                  json_number_value(json_object_get(m->data, "processing_time_ms")), "success",
                                  cvm_json_bool(m->data, "success", true), "confidence_score",
                                  json_is_number(json_object_get(m->data, "confidence_score"))
                                      ? json_number_value(json_object_get(m->data, "confidence_score"))
                                      : 1.0,
                                  "input_message", cvm_json_str(m->data, "input_message", ""), "output_message",
                                  cvm_json_str(m->data, "output_message", ""), "timestamp", ops_time(cvm_now_ms(t), at),
                                  "conversation", m->conversation)));
    return cvm_reply(t, m, json_pack("{s:s, s:b}", "id", id, "recorded", 1));
}

/* ---- what comes later ----------------------------------------------------------------------------------------------
 */

int record_rated(cvm_turn *t, const cvm_msg *m)
{
    json_t *window = NULL;
    CVM_TRY(record_window(t, &window));
    window_count(window, "rated", 1);
    window_count(window, "rated_well", cvm_json_int(m->data, "rating", 0) >= 4);
    return record_keep(t, window);
}

int record_transaction(cvm_turn *t, const cvm_msg *m)
{
    const char *status = cvm_json_str(m->data, "status", "UNKNOWN"),
               *who = cvm_json_str(m->data, "network_or_disco", "");
    json_t *window = NULL;
    CVM_TRY(record_window(t, &window));
    window_count_in(window, "transactions", status, 1);
    int e = CVM_OK;
    if (strcmp(status, "SUCCESS") != 0 && *who) {
        window_count_in(window, "failures", who, 1);
        e = pattern_look(t, window, "failures", who);
    }
    if (e < 0) {
        json_decref(window);
        return e;
    }
    return record_keep(t, window);
}

int record_handoff(cvm_turn *t, const cvm_msg *m)
{
    int64_t open = 0;
    char key[64];
    if (!strcmp(m->type, "handoff.claimed"))
        return CVM_OK;
    CVM_TRY(cvm_state_int(t, "open", &open));
    open += strcmp(m->type, "handoff.created") ? -1 : 1;
    open = open < 0 ? 0 : open;
    CVM_TRY(cvm_state_put_int(t, "open", open));
    CVM_TRY(cvm_metric(t, "handoffs_open", NULL, (double)open));
    if (!strcmp(m->type, "handoff.created"))
        return CVM_OK;
    snprintf(key, sizeof key, "sla/%.40s", cvm_json_str(m->data, "enquiry_id", ""));
    return cvm_state_del(t, key);
}

/* The time by which it should have been settled is here, and it is not. */
int record_sla(cvm_turn *t, const cvm_msg *m)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    const json_t *waits = NULL;
    json_t *window = NULL;
    char key[64];
    snprintf(key, sizeof key, "sla/%.40s", enquiry);
    int e = cvm_state_get(t, key, &waits);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    CVM_TRY(cvm_state_del(t, key));
    cvm_log(t, CVM_LOG_WARNING, "%.40s is not settled and its time is over", enquiry);
    CVM_TRY(cvm_metric(t, "sla_breaches_total", NULL, 1));
    CVM_TRY(record_window(t, &window));
    window_count(window, "sla_breaches", 1);
    return record_keep(t, window);
}

/* What is known of customers' last enquiries is of use for a day. */
static int purge(cvm_turn *t)
{
    json_t *pairs = NULL, *pair;
    size_t i;
    int e = cvm_state_scan(t, "last/", NULL, PURGE_BATCH, &pairs);
    json_array_foreach(pairs, i, pair)
    {
        if (e >= 0 && cvm_now_ms(t) - cvm_json_int(json_array_get(pair, 1), "at_ms", 0) > FCR_MS)
            e = cvm_state_del(t, json_string_value(json_array_get(pair, 0)));
    }
    json_decref(pairs);
    return e;
}

int record_start(cvm_turn *t, const cvm_msg *m)
{
    int64_t open = 0;
    bool timer = strcmp(m->type, "start") != 0;
    if (timer)
        CVM_TRY(purge(t));
    else
        CVM_TRY(cvm_state_put_int(t, "started_ms", cvm_now_ms(t)));
    CVM_TRY(cvm_state_int(t, "open", &open));
    CVM_TRY(cvm_metric(t, "handoffs_open", NULL, (double)open));
    if (!timer) {
        CVM_TRY(cvm_state_put_int(t, "armed", 1)); /* with the timer only: nobody else takes it back */
        CVM_TRY(cvm_timer(t, "refresh", 1000, NULL, (cvm_id){0, 0}, NULL));
    }
    return cvm_timer(t, "tidy", 600000, NULL, (cvm_id){0, 0}, NULL);
}
