/* Renewing: the last bundle of a line again, the next larger one, and auto-renewal, which is a schedule of the saga's.
 * Loop thread. */
#include "data.h"

#define CANCELLED_MAX 10

static bool is_step(const json_t *what)
{
    return cvm_json_bool(what, "step", false);
}

/* Ends the operation or the step. `rule` NULL for success; takes `body`. */
static int end_with(cvm_turn *t, cvm_id request, const json_t *what, const char *rule, const char *text, json_t *body)
{
    if (!body)
        return CVM_ENOMEM;
    if (is_step(what)) {
        json_t *given = rule ? json_pack("{s:o, s:s}", "result", body, "rule", rule)
                             : json_pack("{s:b, s:o}", "answered", 1, "result", body);
        return step_say(t, request, text, given, "service.qa");
    }
    json_object_set_new(body, rule ? "message" : "text", json_string(text));
    if (rule)
        json_object_set_new(body, "code", json_string(rule));
    return step_settle(t, request, rule ? CVM_REFUSED : CVM_REPLIED, body);
}

/* ---- the last bundle of a line ---- */

/* Takes `what`. */
static int find_last(cvm_turn *t, cvm_id request, const char *e164, json_t *what)
{
    char local[PHONE_SIZE];
    if (!what)
        return CVM_ENOMEM;
    json_object_set_new(what, "phone", json_string(phone_local(e164, local)));
    CVM_TRY(pending_put(t, request, what));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "data_bundles",
                                    .where = json_pack("{s:s}", "phone", local),
                                    .order_by = "-activated_at",
                                    .limit = 1,
                                    .on_behalf = request}));
    return CVM_PENDING;
}

static int phone_of_request(cvm_turn *t, const cvm_msg *m, char ret_e164[PHONE_SIZE])
{
    if (phone_normalise(cvm_json_str(m->data, "recipient_phone", ""), ret_e164) == CVM_OK)
        return CVM_OK;
    return cvm_refuse(t, "PHONE", "recipient_phone", "the number must be like 08012345678 or +2348012345678");
}

int renew_bundle(cvm_turn *t, const cvm_msg *m)
{
    char e164[PHONE_SIZE];
    CVM_TRY(phone_of_request(t, m, e164));
    return find_last(t, m->id, e164, json_pack("{s:s, s:O}", "kind", "renew", "payer", m->data));
}

int renew_step(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    struct data_rules rules;
    struct line line;
    data_rules_read(cvm_settings(t), &rules);
    line_of_step(t, &rules.networks, &line);
    return find_last(
        t, m->id, line.phone,
        json_pack("{s:s, s:b, s:b}", "kind", kind, "step", 1, "confirmed", network_confirmed(step_words(t, m))));
}

/* ---- auto-renewal ---- */

static const char *period_of(const char *type)
{
    static const char *const periods[][2] = {{"DAILY", "daily"}, {"WEEKLY", "weekly"}, {"MONTHLY", "monthly"}};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
        if (strcmp(periods[i][0], type) == 0)
            return periods[i][1];
    return NULL;
}

static const char *customer_of(cvm_turn *t, const json_t *what)
{
    return cvm_json_str(what, "customer", cvm_json_str(cvm_context(t), "customer_id", ""));
}

/* Asks the saga for the schedule; what waits goes on with "schedule_add.reply". `until` is when the running bundle
 * ends,
 * "" for not known. Takes `what`. */
static int schedule(cvm_turn *t, cvm_id request, const struct data_order *o, const char *until, json_t *what)
{
    char local[PHONE_SIZE], start[11] = "", now[DATA_TIME_SIZE], e[96];
    const char *every = period_of(o->bundle.type), *customer = customer_of(t, what);
    if (!every) {
        int error =
            end_with(t, request, what, "PERIOD", "A plan of this length cannot be renewed by itself.", json_object());
        json_decref(what);
        return error;
    }
    phone_local(o->phone, local);
    if (strcmp(until, data_time(cvm_now_ms(t), now)) > 0)
        snprintf(start, sizeof start, "%.10s", until);
    snprintf(e, sizeof e, "%s for %s on %s", o->bundle.size, local, o->network);
    json_object_set_new(what, "bundle", json_string(e));
    json_object_set_new(what, "every", json_string(every));
    CVM_TRY(pending_put(t, request, json_copy(what)));
    /* The renewal is itself no reason for another one. */
    json_t *body =
        json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:b}, s:s, s:s*, s:s}", "customer", customer, "seller", DATA_SALES,
                  "order", "network", o->network, "recipient_phone", local, "bundle_code", o->bundle.code, "auto_renew",
                  0, "every", every, "start", *start ? start : NULL, "kind", "auto_renewal");
    json_decref(what);
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_add", body, &(cvm_request_opts){.on_behalf = request}));
    return CVM_PENDING;
}

int renew_after_sale(cvm_turn *t, cvm_id request, const cvm_msg *reply, json_t *sold)
{
    struct data_rules rules;
    struct data_order o;
    struct sale_failure f;
    const json_t *d = json_object_get(reply->data, "delivery");
    const char *customer = reply->customer_id, *phone = cvm_json_str(d, "phone", "");
    data_rules_read(cvm_settings(t), &rules);
    if (data_check(&rules, cvm_json_str(d, "network", ""), phone, cvm_json_str(d, "bundle_code", ""), &o, &f) < 0)
        return step_settle(t, request, CVM_REPLIED, sold);
    return schedule(
        t, request, &o, cvm_json_str(sold, "expires_at", ""),
        json_pack("{s:s, s:s, s:o}", "kind", "sold", "customer", *customer ? customer : phone, "sold", sold));
}

int renew_scheduled(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL;
    char text[SALE_TEXT_SIZE];
    int e = pending_take(t, m->on_behalf, &what);
    bool on = m->outcome == CVM_REPLIED;
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(cvm_json_str(what, "kind", ""), "sold") == 0) {
        json_t *sold = json_copy(json_object_get(what, "sold"));
        json_object_set_new(sold, "auto_renew", json_boolean(on));
        e = step_settle(t, m->on_behalf, CVM_REPLIED, sold);
    } else if (on) {
        const char *next = cvm_json_str(m->data, "next_run_at", "");
        snprintf(text, sizeof text,
                 "Auto-renewal is on: %s, %s%s%.10s, paid from your wallet. To stop it, write AUTO RENEW OFF.",
                 cvm_json_str(what, "bundle", ""), cvm_json_str(what, "every", ""), *next ? ", next on " : "", next);
        e = end_with(t, m->on_behalf, what, NULL, text,
                     json_pack("{s:b, s:s, s:s}", "auto_renew", 1, "schedule_id",
                               cvm_json_str(m->data, "schedule_id", ""), "next_run_at", next));
    } else {
        const char *why =
            cvm_json_str(m->data, "message", "It cannot be set up at the moment; please try again later.");
        snprintf(text, sizeof text, "Auto-renewal was not turned on. %.*s", clip(why, 300), why);
        e = end_with(t, m->on_behalf, what, "AUTO_RENEWAL", text, json_pack("{s:b}", "auto_renew", 0));
    }
    json_decref(what);
    return e;
}

/* ---- turning it off ---- */

static int list_schedules(cvm_turn *t, cvm_id request, json_t *what)
{
    const char *customer = customer_of(t, what);
    json_t *ask = json_pack("{s:s}", "customer", customer);
    int e = pending_put(t, request, what);
    if (e < 0) {
        json_decref(ask);
        return e;
    }
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_list", ask, &(cvm_request_opts){.on_behalf = request}));
    return CVM_PENDING;
}

/* A running renewal of ours, for this number where one is meant. */
static bool is_ours(const json_t *row, const char *local)
{
    const json_t *order = json_object_get(row, "order");
    json_t *parsed = json_is_string(order) ? json_loads(json_string_value(order), 0, NULL) : NULL;
    const char *phone = cvm_json_str(parsed ? parsed : order, "recipient_phone", ""),
               *status = cvm_json_str(row, "status", "");
    bool ours = strcmp(cvm_json_str(row, "kind", ""), "auto_renewal") == 0 && strcasecmp(status, "cancelled") != 0 &&
                strcasecmp(status, "ended") != 0 && (!*local || strcmp(phone, local) == 0);
    json_decref(parsed);
    return ours;
}

static int cancel(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const json_t *rows = json_object_get(m->data, "rows");
    int64_t asked = 0;
    if (m->outcome != CVM_REPLIED)
        return end_with(t, m->on_behalf, what, "NOT_AVAILABLE",
                        "Auto-renewal cannot be changed at the moment; please try again later.", json_object());
    for (size_t i = 0; i < json_array_size(rows) && asked < CANCELLED_MAX; i++) {
        const json_t *row = json_array_get(rows, i);
        if (!is_ours(row, cvm_json_str(what, "only", "")))
            continue;
        CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_cancel",
                            json_pack("{s:s, s:s}", "schedule_id", cvm_json_str(row, "schedule_id", ""), "customer",
                                      cvm_json_str(row, "customer_id", "")),
                            &(cvm_request_opts){.on_behalf = m->on_behalf}));
        asked++;
    }
    if (asked == 0)
        return end_with(
            t, m->on_behalf, what, NULL,
            "No auto-renewal of ours runs on your line. To stop one that the network runs, dial *305# on it.",
            json_pack("{s:b, s:i}", "auto_renew", 0, "cancelled", 0));
    json_t *waits = json_copy((json_t *)(uintptr_t)what);
    json_object_set_new(waits, "asked", json_integer(asked));
    json_object_set_new(waits, "left", json_integer(asked));
    return pending_put(t, m->on_behalf, waits);
}

int renew_listed(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, cancel);
}

static int cancelled(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    int64_t left = cvm_json_int(what, "left", 1) - 1;
    bool failed = cvm_json_bool(what, "failed", false) || m->outcome != CVM_REPLIED;
    if (left > 0) {
        json_t *waits = json_copy((json_t *)(uintptr_t)what);
        json_object_set_new(waits, "left", json_integer(left));
        json_object_set_new(waits, "failed", json_boolean(failed));
        return pending_put(t, m->on_behalf, waits);
    }
    if (failed)
        return end_with(t, m->on_behalf, what, "AUTO_RENEWAL",
                        "Auto-renewal could not be turned off; a colleague can help.", json_object());
    return end_with(t, m->on_behalf, what, NULL,
                    "Auto-renewal is off. The bundle you have stays until it expires; nothing is bought after that.",
                    json_pack("{s:b, s:O}", "auto_renew", 0, "cancelled", json_object_get(what, "asked")));
}

int renew_cancelled(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, cancelled);
}

/* ---- the operation and the step ---- */

int renew_set_auto(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct data_order o;
    struct sale_failure f;
    char e164[PHONE_SIZE], local[PHONE_SIZE];
    const char *code = cvm_json_str(m->data, "bundle_code", ""), *customer = cvm_json_str(m->data, "customer", "");
    bool on = cvm_json_bool(m->data, "on", true);
    data_rules_read(cvm_settings(t), &rules);
    CVM_TRY(phone_of_request(t, m, e164));
    if (!on)
        return list_schedules(
            t, m->id,
            json_pack("{s:s, s:s, s:s}", "kind", "off", "customer", customer, "only", phone_local(e164, local)));
    json_t *what = json_pack("{s:s, s:s}", "kind", "auto", "customer", customer);
    if (!*code)
        return find_last(t, m->id, e164, what);
    if (data_check(&rules, cvm_json_str(m->data, "network", ""), e164, code, &o, &f) == CVM_OK)
        return schedule(t, m->id, &o, "", what);
    json_decref(what);
    return sale_refuse(t, m->id, &f, "DataSalesAgent");
}

int renew_auto_step(cvm_turn *t, const cvm_msg *m)
{
    static const char *const off[] = {"off", "stop", "cancel", "deactivate", "disable", "remove", "dont", "end", NULL};
    struct data_rules rules;
    struct data_order o;
    struct sale_failure f;
    struct bundle found[DATA_BUNDLES_MAX];
    struct wanted wanted;
    struct line line;
    char local[PHONE_SIZE];
    const char *words = step_words(t, m);
    data_rules_read(cvm_settings(t), &rules);
    line_of_step(t, &rules.networks, &line);
    if (hold_cue(t, "stop") || words_have_any(words, off))
        return list_schedules(t, m->id,
                              json_pack("{s:s, s:b, s:s}", "kind", "off", "step", 1, "only",
                                        line.own ? "" : phone_local(line.phone, local)));
    if (hold_cue(t, "how_to") || hold_cue(t, "question")) {
        char text[DATA_LONG_SIZE];
        size_t topics = data_facts(&rules, "auto renew", text, sizeof text);
        return sale_answer(t, m->id, topics, text, "");
    }
    wanted_read(words, NULL, &wanted);
    json_t *what = json_pack("{s:s, s:b}", "kind", "auto", "step", 1);
    if (*line.network && (wanted.mb || *wanted.code) && catalogue_pick(&rules, line.network, &wanted, found) == 1 &&
        data_check(&rules, line.network, line.phone, found[0].code, &o, &f) == CVM_OK)
        return schedule(t, m->id, &o, "", what);
    return find_last(t, m->id, line.phone, what);
}

/* ---- what the last bundle was ---- */

static int upgrade(cvm_turn *t, cvm_id request, const json_t *what, const struct data_rules *rules,
                   const struct data_order *o)
{
    struct bundle next;
    char text[SALE_TEXT_SIZE], one[96];
    bool is = recommend_larger(rules, o->network, &o->bundle, &next);
    if (is)
        snprintf(text, sizeof text,
                 "Your last bundle is %s on %s. The next larger one is %s. To buy it, write: buy %s %s data.",
                 o->bundle.size, o->network, bundle_text(&next, one), next.size, o->network);
    else
        snprintf(text, sizeof text, "Your last bundle, %s on %s, is the largest there is.", o->bundle.size, o->network);
    return end_with(t, request, what, NULL, text,
                    json_pack("{s:o}", "upgrade", is ? bundle_json(o->network, &next) : json_null()));
}

static int found(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct data_rules rules;
    struct data_order o;
    struct sale_failure f;
    const char *kind = cvm_json_str(what, "kind", "");
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0);
    data_rules_read(cvm_settings(t), &rules);
    if (!row && is_step(what))
        return step_ask(
            t, m->on_behalf,
            "I find no bundle that was bought for this number with us. Please tell me the size, the network and "
            "the number, such as 2GB MTN data for my line.",
            "needs_input", json_pack("[s]", "bundle_code"));
    if (!row)
        return end_with(t, m->on_behalf, what, "NOT_FOUND", "no bundle was bought for this number with us",
                        json_object());
    if (data_check(&rules, cvm_json_str(row, "network", ""), cvm_json_str(row, "phone", ""),
                   cvm_json_str(row, "bundle_code", ""), &o, &f) < 0)
        return is_step(what) ? sale_step_refuse(t, m->on_behalf, &f, "DataSalesAgent")
                             : sale_refuse(t, m->on_behalf, &f, "DataSalesAgent");
    if (strcmp(kind, "upgrade") == 0)
        return upgrade(t, m->on_behalf, what, &rules, &o);
    if (strcmp(kind, "auto") == 0)
        return schedule(t, m->on_behalf, &o, cvm_json_str(row, "expires_at", ""), json_copy((json_t *)(uintptr_t)what));
    if (is_step(what)) /* it was sold on this network before: no need to ask again */
        return sales_order(t, m, m->on_behalf, &rules, &o, true);
    return sell_order(t, m->on_behalf, &rules, &o, json_object_get(what, "payer"));
}

int renew_found(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, found);
}
