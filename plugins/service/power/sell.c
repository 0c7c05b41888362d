/* Selling: PowerSalesAgent validates the meter, then has the saga hold the money, then vends for the saga. What it
 * needs later waits in pending.c. Owns the table `power_tokens`. Loop thread. */
#include "power.h"

#define VALIDATE_TIMEOUT_MS 20000 /* of which the company has 15 s */
#define DAY_MS INT64_C(86400000)

static bool kind_is(const json_t *what, const char *kind)
{
    return strcmp(cvm_json_str(what, "kind", ""), kind) == 0;
}

/* ---- before the payment ---- */

int sell_validate(cvm_turn *t, const cvm_msg *m, const struct power_order *o, json_t *what)
{
    json_object_set_new(what, "disco", json_string(o->disco));
    json_object_set_new(what, "meter", json_string(o->meter));
    json_object_set_new(what, "amount_kobo", json_integer(o->amount_kobo));
    CVM_TRY(pending_put(t, m->id, what));
    int e = cvm_request(t, "role:disco", "validate_meter",
                        json_pack("{s:s, s:s}", "disco", o->disco, "meter_number", o->meter),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = VALIDATE_TIMEOUT_MS});
    return e < 0 ? e : CVM_PENDING;
}

int sell_purchase_token(cvm_turn *t, const cvm_msg *m)
{
    struct power_rules rules;
    struct power_order o;
    struct sale_failure f;
    char phone[PHONE_SIZE] = "";
    const char *payer = cvm_json_str(m->data, "customer_phone", "");
    power_rules_read(cvm_settings(t), &rules);
    rules.approval_above_kobo = rules.max_kobo + rules.charge_kobo; /* here the saga holds it for a human */
    if (power_check(&rules, cvm_json_str(m->data, "disco", ""), cvm_json_str(m->data, "meter_number", ""),
                    json_object_get(m->data, "amount"), &o, &f) < 0)
        return sale_refuse(t, m->id, &f, "PowerSalesAgent");
    if (*payer && phone_normalise(payer, phone) < 0) {
        f.rule = "PHONE";
        snprintf(f.error, sizeof f.error, "The customer's phone number is invalid.");
        snprintf(f.recommendation, sizeof f.recommendation, "Write it like 08012345678 or +2348012345678.");
        return sale_refuse(t, m->id, &f, "PowerSalesAgent");
    }
    int e = sell_validate(t, m, &o,
                          json_pack("{s:s, s:s, s:s, s:s}", "kind", "sell", "customer_id",
                                    cvm_json_str(m->data, "customer_id", ""), "phone", phone, "key",
                                    cvm_json_str(m->data, "idempotency_key", "")));
    if (e != CVM_ENOENT)
        return e;
    snprintf(f.error, sizeof f.error, "%s cannot be reached here.", power_disco_name(&rules, o.disco));
    snprintf(f.recommendation, sizeof f.recommendation, "You were not charged. Please try again later.");
    return cvm_refuse_with(t, sale_failure_body(&f, "PowerSalesAgent"));
}

int sell_step(cvm_turn *t, const cvm_msg *m, const struct power_rules *rules, const struct power_order *o)
{
    int e = sell_validate(t, m, o, json_pack("{s:s}", "kind", "step"));
    if (e != CVM_ENOENT)
        return e;
    json_t *what = NULL; /* no provider is loaded for this company */
    char text[200];
    CVM_TRY(pending_take(t, m->id, &what));
    json_decref(what);
    snprintf(text, sizeof text, "I cannot reach %s at the moment; nothing was charged.",
             power_disco_name(rules, o->disco));
    return step_hand_over(t, m->id, text, "disco_not_available", "no provider serves this company", "transactions");
}

static int note_sale(cvm_turn *t, const struct power_order *o, const json_t *meter)
{
    return cvm_note(t, "decision",
                    json_pack("{s:s, s:s, s:s, s:s, s:I}", "chose", "sell", "because", "the meter was found", "disco",
                              o->disco, "meter_type", cvm_json_str(meter, "meter_type", ""), "amount_kobo",
                              (json_int_t)o->amount_kobo));
}

/* The saga's request; the answer comes as "purchase.reply". */
static int pay(cvm_turn *t, const cvm_msg *m, const json_t *what, const struct power_order *o, json_t *body)
{
    static const char *const payer[][2] = {
        {"customer_id", "customer_id"}, {"phone", "phone"}, {"key", "idempotency_key"}};
    for (size_t i = 0; body && i < sizeof payer / sizeof payer[0]; i++) {
        const char *value = cvm_json_str(what, payer[i][0], "");
        if (*value)
            json_object_set_new(body, payer[i][1], json_string(value));
    }
    if (!body)
        return CVM_ENOMEM;
    return cvm_request(t, SALE_TRANSACTION, "purchase", body,
                       &(cvm_request_opts){.on_behalf = m->on_behalf, .timeout_ms = SALE_PURCHASE_TIMEOUT_MS});
}

static int context_put(cvm_turn *t, const struct power_order *o, const json_t *meter)
{
    return cvm_context_set(
        t, "/power_context",
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:n, s:n, s:n}", "disco", o->disco, "meter_number", o->meter,
                  "meter_type", cvm_json_str(meter, "meter_type", ""), "amount", cvm_money_to_json(o->amount_kobo),
                  "customer_name", cvm_json_str(meter, "customer_name", ""), "address",
                  cvm_json_str(meter, "address", ""), "tariff_class", cvm_json_str(meter, "tariff_class", ""), "token",
                  "units", "transaction_reference"));
}

static int validated(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct power_rules rules;
    struct power_order o = {.amount_kobo = cvm_json_int(what, "amount_kobo", 0)};
    struct sale_failure f;
    bool in_step = kind_is(what, "step");
    if (!in_step && !kind_is(what, "sell"))
        return tools_validated(t, m, what);
    power_rules_read(cvm_settings(t), &rules);
    snprintf(o.disco, sizeof o.disco, "%s", cvm_json_str(what, "disco", ""));
    snprintf(o.meter, sizeof o.meter, "%s", cvm_json_str(what, "meter", ""));
    if (m->outcome != CVM_REPLIED) {
        power_not_validated(&rules, m, o.disco, &f);
        return in_step ? sale_step_refuse(t, m->on_behalf, &f, "PowerSalesAgent")
                       : sale_refuse(t, m->on_behalf, &f, "PowerSalesAgent");
    }
    CVM_TRY(note_sale(t, &o, m->data));
    if (!in_step)
        return pay(t, m, what, &o, power_purchase_body(&rules, &o, m->data));
    CVM_TRY(context_put(t, &o, m->data));
    return sale_order(t, m, m->on_behalf, power_purchase_body(&rules, &o, m->data));
}

int sell_validated(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, validated);
}

int sell_purchased(cvm_turn *t, const cvm_msg *m)
{
    struct power_rules rules;
    enum cvm_outcome outcome = CVM_ERROR;
    power_rules_read(cvm_settings(t), &rules);
    json_t *body = receipt_sold_body(&rules, m, &outcome);
    return step_settle(t, m->on_behalf, outcome, body);
}

/* ---- for the saga ---- */

/* Asks the company; the delivery waits, because its answer becomes a receipt. */
static int ask_company(cvm_turn *t, const cvm_msg *m, const char *type, json_t *data, int64_t timeout_ms)
{
    int e = pending_put(t, m->id,
                        json_pack("{s:s, s:O}", "transaction_id", cvm_json_str(m->data, "transaction_id", ""),
                                  "delivery", json_object_get(m->data, "delivery")));
    if (e < 0) {
        json_decref(data);
        return e;
    }
    return cvm_request(t, "role:disco", type, data, &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = timeout_ms});
}

int sell_deliver(cvm_turn *t, const cvm_msg *m)
{
    const json_t *d = json_object_get(m->data, "delivery");
    int64_t left = cvm_json_int(m->data, "deadline_ms", m->deadline_ms) - cvm_now_ms(t);
    if (!sale_from_saga(m))
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "only " SALE_TRANSACTION " may ask for a delivery");
    if (left < SALE_VEND_LEAST_MS)
        return cvm_refuse_with(t, sale_not_delivered("CONNECTION_ERROR", "It is too late to vend."));
    /* Not beyond the saga's deadline: the host may send a lost vend again until then, and never after the refund. */
    int e = ask_company(t, m, "vend",
                        json_pack("{s:s, s:s, s:s, s:I, s:s}", "disco", cvm_json_str(d, "disco", ""), "meter_number",
                                  cvm_json_str(d, "meter_number", ""), "meter_type",
                                  cvm_json_str(d, "meter_type", "PREPAID"), "amount_kobo",
                                  (json_int_t)cvm_json_int(d, "amount_kobo", 0), "reference",
                                  cvm_json_str(m->data, "transaction_id", "")),
                        left);
    if (e == CVM_ENOENT)
        return cvm_refuse_with(
            t, sale_not_delivered("CONNECTION_ERROR", "The token service is not available at the moment."));
    return e < 0 ? e : CVM_PENDING;
}

/* The row by which the token is found again, and the conversation's context where there is one. */
static int remember(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct power_rules rules;
    char issued[POWER_TIME_SIZE], expires[POWER_TIME_SIZE], id[17];
    const json_t *d = json_object_get(what, "delivery"), *token = json_object_get(m->data, "token");
    int64_t now = cvm_now_ms(t);
    if (!token)
        return CVM_OK;
    snprintf(id, sizeof id, "%.16s",
             cvm_json_str(what, "transaction_id", "")); /* "TXN-…-2" is a second reference of it */
    power_rules_read(cvm_settings(t), &rules);
    CVM_TRY(cvm_row_put(t, "power_tokens",
                        json_pack("{s:s, s:s, s:s, s:O, s:O?, s:I, s:s, s:s, s:s}", "transaction_id", id, "disco",
                                  cvm_json_str(d, "disco", ""), "meter_number", cvm_json_str(d, "meter_number", ""),
                                  "token", token, "units", json_object_get(m->data, "units"), "amount",
                                  (json_int_t)cvm_json_int(d, "amount_kobo", 0), "issued_at", power_time(now, issued),
                                  "expires_at", power_time(now + rules.validity_days * DAY_MS, expires), "conversation",
                                  m->conversation)));
    if (!json_is_object(json_object_get(cvm_context(t), "power_context")))
        return CVM_OK;
    CVM_TRY(cvm_context_set(t, "/power_context/token", cvm_json_share(token)));
    const json_t *units = json_object_get(m->data, "units");
    return cvm_context_set(t, "/power_context/units", units ? cvm_json_share(units) : json_null());
}

/* The saga's "delivered" with the words for a conversation and for a receipt. Gives. */
static json_t *delivered_body(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct power_rules rules;
    char text[POWER_LONG_SIZE], token[32], units[24];
    const char *channel = cvm_json_str(cvm_context(t), "channel", "");
    json_t *body = json_copy((json_t *)(uintptr_t)m->data);
    power_rules_read(cvm_settings(t), &rules);
    token_receipt_text(&rules, json_object_get(what, "delivery"), m->data,
                       strcmp(channel, "SMS") == 0 || strcmp(channel, "USSD") == 0 ? RECEIPT_BRIEF : RECEIPT_TALK, text,
                       sizeof text);
    if (!body || json_object_set_new(body, "text", json_string(text)) < 0) {
        json_decref(body);
        return NULL;
    }
    if (*cvm_json_str(m->data, "token", "")) {
        snprintf(units, sizeof units, "%.1f kWh", json_number_value(json_object_get(m->data, "units")));
        json_object_set_new(
            body, "receipt",
            json_pack("{s:s, s:s}", "Token", receipt_token(cvm_json_str(m->data, "token", ""), token), "Units", units));
    }
    return body;
}

static int vended(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    enum cvm_outcome outcome = CVM_REPLIED;
    if (m->outcome != CVM_REPLIED) {
        json_t *body = sale_not_vended(m, "The distribution company refused it.",
                                       "The token service is not available at the moment.",
                                       "The distribution company did not answer in time.", &outcome);
        return step_settle(t, m->on_behalf, outcome, body);
    }
    CVM_TRY(remember(t, m, what));
    return step_settle(t, m->on_behalf, outcome, delivered_body(t, m, what));
}

int sell_vended(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, vended);
}

int sell_check_delivery(cvm_turn *t, const cvm_msg *m)
{
    const json_t *d = json_object_get(m->data, "delivery");
    if (!sale_from_saga(m))
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "only " SALE_TRANSACTION " may ask for a check");
    int e = ask_company(t, m, "verify",
                        json_pack("{s:s, s:s}", "disco", cvm_json_str(d, "disco", ""), "reference",
                                  cvm_json_str(m->data, "transaction_id", "")),
                        SALE_VERIFY_TIMEOUT_MS);
    if (e == CVM_ENOENT) {
        json_t *what = NULL;
        CVM_TRY(pending_take(t, m->id, &what));
        json_decref(what);
        return cvm_reply(t, m, json_pack("{s:s}", "result", "unknown"));
    }
    return e < 0 ? e : CVM_PENDING;
}

static int verified(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const char *type = cvm_json_str(json_object_get(what, "delivery"), "meter_type", "PREPAID");
    const char *result = sale_checked(m);
    bool whole = *cvm_json_str(m->data, "token", "") || strcmp(type, "POSTPAID") == 0;
    bool delivered = strcmp(result, "delivered") == 0;
    if (delivered && !whole) { /* without its token it is not delivered to anyone */
        delivered = false;
        result = "unknown";
    }
    if (delivered)
        CVM_TRY(remember(t, m, what));
    json_t *body = delivered ? delivered_body(t, m, what) : json_object();
    if (!delivered)
        sale_copy_checked(m, body);
    if (!body)
        return CVM_ENOMEM;
    json_object_del(body, "status");
    json_object_set_new(body, "result", json_string(result));
    return step_settle(t, m->on_behalf, CVM_REPLIED, body);
}

int sell_verified(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, verified);
}
