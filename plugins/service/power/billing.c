/* PowerBillingAgent: bills of postpaid meters, disputes, tariffs of one's own charge. What was paid is in payments.c.
 * Loop thread. */
#include "power.h"

#define BILL_TIMEOUT_MS 20000

static const char *naira(int64_t kobo, char buf[40])
{
    memcpy(buf, "\xe2\x82\xa6", 3); /* the naira sign */
    cvm_money_text(kobo, buf + 3, 37);
    return buf;
}

/* ---- bills ---- */

static void bill_lines(const json_t *bill, char *text, size_t size)
{
    char sum[40];
    const json_t *lines = json_object_get(bill, "lines");
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(lines) && at + 200 < size; i++) {
        const json_t *line = json_array_get(lines, i);
        const char *item = cvm_json_str(line, "item", "");
        at += (size_t)snprintf(text + at, size - at, "%s%.*s: %s", i ? "; " : " ", clip(item, 120), item,
                               naira(cvm_json_int(line, "amount_kobo", 0), sum));
    }
}

/* The bill in words, with its lines where it is to be explained. */
static void bill_text(const json_t *meter, const json_t *bill, bool explain, char *text, size_t size)
{
    char sum[40], lines[POWER_LONG_SIZE / 2];
    const char *due = cvm_json_str(bill, "due_date", ""), *period = cvm_json_str(bill, "period", "");
    bool estimated = strcasecmp(cvm_json_str(bill, "reading", ""), "ESTIMATED") == 0;
    bill_lines(bill, lines, sizeof lines);
    snprintf(text, size, "The bill of meter %s at %s%s%s: %s to pay%s%s.%s%s%s%s",
             cvm_json_str(meter, "meter_number", ""), cvm_json_str(meter, "disco", ""), *period ? " for " : "", period,
             naira(cvm_json_int(bill, "amount_due_kobo", 0), sum), *due ? " by " : "", due,
             explain && *lines ? " It consists of" : "", explain ? lines : "", explain && *lines ? "." : "",
             estimated ? " It was estimated, not read; to dispute it write DISPUTE with the figures on the meter."
                       : "");
}

/* Takes `what`. Asks PowerSalesAgent about the meter first: it knows the companies' names and what the meter is. */
static int ask_meter(cvm_turn *t, const cvm_msg *m, json_t *what, const char *disco, const char *meter)
{
    json_t *data = json_pack("{s:s, s:s}", "disco", disco, "meter_number", meter);
    int e = pending_put(t, m->id, what);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    CVM_TRY(cvm_request(t, POWER_SALES, "validate_meter_number", data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static int bill_operation(cvm_turn *t, const cvm_msg *m, bool explain)
{
    return ask_meter(t, m, json_pack("{s:s, s:b}", "kind", "bill", "explain", explain),
                     cvm_json_str(m->data, "disco", ""), cvm_json_str(m->data, "meter_number", ""));
}

int billing_check_bill(cvm_turn *t, const cvm_msg *m)
{
    return bill_operation(t, m, false);
}

int billing_explain_bill(cvm_turn *t, const cvm_msg *m)
{
    return bill_operation(t, m, true);
}

/* Ends the operation or the step with a failure. */
static int bill_failed(cvm_turn *t, cvm_id request, const json_t *what, const char *rule, const char *error,
                       const char *recommendation)
{
    struct sale_failure f = {.rule = rule};
    char text[SALE_TEXT_SIZE * 2];
    snprintf(f.error, sizeof f.error, "%.*s", clip(error, 400), error);
    snprintf(f.recommendation, sizeof f.recommendation, "%.*s", clip(recommendation, 400), recommendation);
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", rule, "because", f.error)));
    json_t *body = sale_failure_body(&f, "PowerBillingAgent");
    if (!cvm_json_bool(what, "step", false))
        return step_settle(t, request, CVM_REFUSED, body);
    snprintf(text, sizeof text, "%s %s", f.error, f.recommendation);
    return step_say(t, request, text, json_pack("{s:o, s:s}", "result", body, "rule", rule), "service.qa");
}

/* Takes `what`, and keeps it for the bill. */
static int ask_bill(cvm_turn *t, const cvm_msg *m, json_t *what)
{
    json_t *kept = json_copy(what);
    json_object_set_new(kept, "meter", cvm_json_share(m->data));
    json_decref(what);
    CVM_TRY(pending_put(t, m->on_behalf, kept));
    int e = cvm_request(t, "role:disco", "bill",
                        json_pack("{s:s, s:s}", "disco", cvm_json_str(m->data, "disco", ""), "meter_number",
                                  cvm_json_str(m->data, "meter_number", "")),
                        &(cvm_request_opts){.on_behalf = m->on_behalf, .timeout_ms = BILL_TIMEOUT_MS});
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(pending_take(t, m->on_behalf, &kept));
    e = bill_failed(t, m->on_behalf, kept, "NOT_AVAILABLE", "The distribution company cannot be reached here.",
                    "Please try again later.");
    json_decref(kept);
    return e;
}

int billing_validated(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL;
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(cvm_json_str(what, "kind", ""), "case") == 0)
        e = case_validated(t, m, what);
    else if (m->outcome != CVM_REPLIED)
        e = bill_failed(t, m->on_behalf, what, cvm_json_str(m->data, "rule", "NOT_VALIDATED"),
                        cvm_json_str(m->data, "error", "The meter cannot be validated at the moment."),
                        cvm_json_str(m->data, "recommendation", "Please try again later."));
    else if (strcmp(cvm_json_str(m->data, "meter_type", ""), "POSTPAID") != 0)
        e = bill_failed(t, m->on_behalf, what, "NOT_POSTPAID", "This meter is prepaid: it has no bill.",
                        "A purchase of units is explained on its receipt: amount, rate of your class and band, VAT.");
    else
        return ask_bill(t, m, what);
    json_decref(what);
    return e;
}

static int billed(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    static const char *const texts[] = {"customer_name", "period", "due_date", "reading"};
    char text[POWER_LONG_SIZE];
    const json_t *meter = json_object_get(what, "meter"), *lines = json_object_get(m->data, "lines");
    if (m->outcome != CVM_REPLIED)
        return bill_failed(t, m->on_behalf, what, "NOT_AVAILABLE", "The bill cannot be read at the moment.",
                           "Please try again later.");
    bill_text(meter, m->data, cvm_json_bool(what, "explain", false), text, sizeof text);
    json_t *body = json_pack("{s:s, s:s, s:o, s:[], s:s}", "disco", cvm_json_str(meter, "disco", ""), "meter_number",
                             cvm_json_str(meter, "meter_number", ""), "amount_due",
                             cvm_money_to_json(cvm_json_int(m->data, "amount_due_kobo", 0)), "lines", "text", text);
    for (size_t i = 0; body && i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *v = json_object_get(m->data, texts[i]);
        if (v)
            json_object_set_new(body, texts[i], cvm_json_share(v));
    }
    for (size_t i = 0; body && i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        json_array_append_new(json_object_get(body, "lines"),
                              json_pack("{s:s, s:o}", "item", cvm_json_str(line, "item", ""), "amount",
                                        cvm_money_to_json(cvm_json_int(line, "amount_kobo", 0))));
    }
    if (!body)
        return CVM_ENOMEM;
    if (!cvm_json_bool(what, "step", false))
        return step_settle(t, m->on_behalf, CVM_REPLIED, body);
    return step_say(t, m->on_behalf, text, json_pack("{s:b, s:o}", "answered", 1, "bill", body), "service.qa");
}

int billing_billed(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, billed);
}

/* ---- tariffs ---- */

/* PowerSalesAgent has them. */
int billing_check_tariff(cvm_turn *t, const cvm_msg *m)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = POWER_SALES,
                   .type = "check_tariff",
                   .data = cvm_json_share(m->data),
                   .request = m->id,
                   .priority = -1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

static int tariff_step(cvm_turn *t, const cvm_msg *m, const char *words, const char *disco, const char *meter)
{
    char tariff_class[4], band[2];
    tariff_named(words, tariff_class, band);
    json_t *data = *disco && *meter ? json_pack("{s:s, s:s}", "disco", disco, "meter_number", meter)
                                    : json_pack("{s:s, s:s}", "tariff_class",
                                                *tariff_class || *band ? tariff_class : "R2", "service_band", band);
    CVM_TRY(cvm_request(t, POWER_SALES, "check_tariff", data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int billing_tariff(cvm_turn *t, const cvm_msg *m)
{
    char text[POWER_LONG_SIZE];
    const char *told = cvm_json_str(m->data, "text", "");
    if (m->outcome != CVM_REPLIED)
        return step_say(t, m->on_behalf,
                        cvm_json_str(m->data, "error",
                                     "The tariff of this meter cannot be read at the moment; please "
                                     "try again later."),
                        NULL, "service.qa");
    snprintf(text, sizeof text,
             "%.*s If you are charged by another band than you are supplied, write DISPUTE with your company and "
             "meter number.",
             clip(told, 1500), told);
    return step_say(t, m->on_behalf, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

/* ---- a step of a conversation ---- */

int billing_open_dispute(cvm_turn *t, const cvm_msg *m)
{
    return case_operation(t, m, "BILL_DISPUTE");
}

static int dispute(cvm_turn *t, const cvm_msg *m, const char *words)
{
    static const char *const estimates[] = {"estimated", "estimate", "estimation", "crazy bill", "bulk bill", NULL};
    return case_step(t, m, "BILL_DISPUTE",
                     words_have_any(words, estimates)
                         ? "An estimated bill is corrected by a reading: please add the figures on your meter, if you "
                           "have one."
                         : "");
}

static int ask_for_meter(cvm_turn *t, const cvm_msg *m)
{
    return step_ask(
        t, m->id,
        "To look at your bill I need your distribution company and your meter number. A bill consists of the "
        "energy used at the rate of your class and band, 7.5 % VAT, and what was left unpaid before; a "
        "purchase of units also has a service charge.",
        "needs_input", json_pack("[s, s]", "disco", "meter_number"));
}

int billing_handle(cvm_turn *t, const cvm_msg *m)
{
    static const char *const paid[] = {"not_received", "debited",      "refund",         "duplicate",
                                       "wrong_target", "many_charges", "refund_overdue", NULL};
    static const char *const breakdown[] = {"breakdown", "break down", "itemised", "itemized",
                                            "explain",   "calculated", NULL};
    bool many = false, payment = false;
    const json_t *entities = step_entities(t);
    const json_t *disco = step_only(json_object_get(entities, "discos"), &many);
    const json_t *meter = step_only(json_object_get(entities, "meter_numbers"), &many);
    const char *words = step_words(t, m), *at = json_is_string(disco) ? json_string_value(disco) : "",
               *number = json_is_string(meter) ? json_string_value(meter) : "";
    bool explain = power_leaf(t, "bill breakdown") || words_have_any(words, breakdown);
    for (const char *const *cue = paid; *cue; cue++)
        payment = payment || hold_cue(t, *cue);
    if (power_leaf(t, "dispute bill") || hold_cue(t, "dispute"))
        return dispute(t, m, words);
    if (power_leaf(t, "query tariff") && !hold_cue(t, "not_received"))
        return tariff_step(t, m, words, at, number);
    if (payment)
        return payments_step(t, m);
    if (*at && *number)
        return ask_meter(t, m, json_pack("{s:s, s:b, s:b}", "kind", "bill", "step", 1, "explain", explain), at, number);
    return ask_for_meter(t, m);
}
