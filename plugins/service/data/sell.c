/* Selling: DataSalesAgent has the saga hold the money, then vends for the saga. What a delivery needs later waits in
 * pending.c. Owns the table `data_bundles`. Loop thread. */
#include "data.h"

#define DAY_MS INT64_C(86400000)

/* ---- the purchase ---- */

/* Who pays: the customer named, else the wallet of the payer's number, else that of the number served. */
static int add_payer(const json_t *payer, const struct data_order *o, json_t *body)
{
    const char *customer = cvm_json_str(payer, "customer_id", ""), *phone = cvm_json_str(payer, "payer_phone", "");
    const char *key = cvm_json_str(payer, "idempotency_key", "");
    char e164[PHONE_SIZE];
    if (*key)
        json_object_set_new(body, "idempotency_key", json_string(key));
    if (*customer)
        return json_object_set_new(body, "customer_id", json_string(customer)) ? CVM_ENOMEM : CVM_OK;
    if (*phone && phone_normalise(phone, e164) < 0)
        return CVM_EREFUSED;
    return json_object_set_new(body, "phone", json_string(*phone ? e164 : o->phone)) ? CVM_ENOMEM : CVM_OK;
}

int sell_order(cvm_turn *t, cvm_id request, const struct data_rules *rules, const struct data_order *o,
               const json_t *payer)
{
    struct sale_failure f = {.rule = "PHONE"};
    json_t *body = data_purchase_body(rules, o);
    if (!body)
        return CVM_ENOMEM;
    int e = add_payer(payer, o, body);
    if (e < 0) {
        json_decref(body);
        snprintf(f.error, sizeof f.error, "The payer's phone number is invalid.");
        snprintf(f.recommendation, sizeof f.recommendation, "Write it like 08012345678 or +2348012345678.");
        return e == CVM_EREFUSED ? sale_refuse(t, request, &f, "DataSalesAgent") : e;
    }
    CVM_TRY(
        cvm_note(t, "decision",
                 json_pack("{s:s, s:s, s:s, s:I, s:b}", "chose", "sell", "network", o->network, "bundle_code",
                           o->bundle.code, "amount_kobo", (json_int_t)o->bundle.kobo, "auto_renew", o->auto_renew)));
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "purchase", body,
                        &(cvm_request_opts){.on_behalf = request, .timeout_ms = SALE_PURCHASE_TIMEOUT_MS}));
    return CVM_PENDING;
}

int sell_activate(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct data_order o;
    struct sale_failure f;
    data_rules_read(cvm_settings(t), &rules);
    if (data_check(&rules, cvm_json_str(m->data, "network", ""), cvm_json_str(m->data, "recipient_phone", ""),
                   cvm_json_str(m->data, "bundle_code", ""), &o, &f) < 0)
        return sale_refuse(t, m->id, &f, "DataSalesAgent");
    o.auto_renew = cvm_json_bool(m->data, "auto_renew", rules.auto_renewal);
    return sell_order(t, m->id, &rules, &o, m->data);
}

int sell_purchased(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    enum cvm_outcome outcome = CVM_ERROR;
    data_rules_read(cvm_settings(t), &rules);
    json_t *body = data_sold_body(&rules, m, &outcome);
    bool renews = cvm_json_bool(json_object_get(m->data, "delivery"), "auto_renew", false);
    if (outcome == CVM_REPLIED && renews && body)
        return renew_after_sale(t, m->on_behalf, m, body);
    return step_settle(t, m->on_behalf, outcome, body);
}

int sell_context(cvm_turn *t, const struct data_order *o)
{
    const struct bundle *b = &o->bundle;
    return cvm_context_set(t, "/data_context",
                           json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:n}", "network", o->network,
                                     "recipient_phone", o->phone, "bundle_code", b->code, "size", b->size, "validity",
                                     b->validity, "price", cvm_money_to_json(b->kobo), "is_gift", o->gift, "auto_renew",
                                     o->auto_renew, "transaction_reference"));
}

/* ---- for the saga ---- */

/* Asks the network; the delivery waits, because its answer is remembered. */
static int ask_network(cvm_turn *t, const cvm_msg *m, const char *type, json_t *data, int64_t timeout_ms)
{
    int e =
        cvm_request(t, "role:network", type, data, &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = timeout_ms});
    if (e < 0)
        return e;
    CVM_TRY(pending_put(t, m->id,
                        json_pack("{s:s, s:s, s:O}", "kind", "delivery", "transaction_id",
                                  cvm_json_str(m->data, "transaction_id", ""), "delivery",
                                  json_object_get(m->data, "delivery"))));
    return CVM_PENDING;
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
    int e = ask_network(t, m, "vend",
                        json_pack("{s:s, s:s, s:I, s:s, s:s}", "network", cvm_json_str(d, "network", ""), "phone",
                                  cvm_json_str(d, "phone", ""), "amount_kobo",
                                  (json_int_t)cvm_json_int(d, "amount_kobo", 0), "bundle_code",
                                  cvm_json_str(d, "bundle_code", ""), "reference",
                                  cvm_json_str(m->data, "transaction_id", "")),
                        left);
    if (e == CVM_ENOENT)
        return cvm_refuse_with(t,
                               sale_not_delivered("CONNECTION_ERROR", "This network cannot be reached at the moment."));
    return e;
}

/* The saga's "delivered" with the words for a conversation, and the row by which the bundle is renewed. Gives in
 * *ret_body. */
static int delivered(cvm_turn *t, const cvm_msg *m, const json_t *what, json_t **ret_body)
{
    struct data_rules rules;
    char from[DATA_TIME_SIZE], until[DATA_TIME_SIZE], text[DATA_LONG_SIZE], receipt[64];
    const json_t *d = json_object_get(what, "delivery");
    const char *network = cvm_json_str(d, "network", ""), *size = cvm_json_str(d, "size", "");
    int64_t now = cvm_now_ms(t);
    data_rules_read(cvm_settings(t), &rules);
    data_time(now, from);
    data_time(now + cvm_json_int(d, "validity_days", 0) * DAY_MS, until);
    CVM_TRY(cvm_row_put(t, "data_bundles",
                        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "transaction_id",
                                  cvm_json_str(what, "transaction_id", ""), "network", network, "phone",
                                  cvm_json_str(d, "phone", ""), "bundle_code", cvm_json_str(d, "bundle_code", ""),
                                  "size", size, "validity", cvm_json_str(d, "validity", ""), "amount",
                                  (json_int_t)cvm_json_int(d, "amount_kobo", 0), "activated_at", from, "expires_at",
                                  until, "conversation", m->conversation)));
    snprintf(text, sizeof text, "It is valid until %.10s.%s", until,
             data_rolls_over(&rules, network) ? " What is left then rolls over if you renew before." : "");
    snprintf(receipt, sizeof receipt, "%s, %s, until %.10s", size, cvm_json_str(d, "validity", ""), until);
    json_t *body = json_copy((json_t *)(uintptr_t)m->data);
    if (!body)
        return CVM_ENOMEM;
    json_object_set_new(body, "text", json_string(text));
    json_object_set_new(body, "expires_at", json_string(until));
    json_object_set_new(body, "receipt", json_pack("{s:s}", "Bundle", receipt));
    *ret_body = body;
    return CVM_OK;
}

static int vended(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    enum cvm_outcome outcome = CVM_REPLIED;
    json_t *body = NULL;
    if (m->outcome == CVM_REPLIED)
        CVM_TRY(delivered(t, m, what, &body));
    else
        body = sale_not_vended(m, "The network refused it.", "The network service is unavailable at the moment.",
                               "The network did not answer in time.", &outcome);
    return step_settle(t, m->on_behalf, outcome, body);
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
    int e = ask_network(t, m, "verify",
                        json_pack("{s:s, s:s}", "network", cvm_json_str(d, "network", ""), "reference",
                                  cvm_json_str(m->data, "transaction_id", "")),
                        SALE_VERIFY_TIMEOUT_MS);
    return e == CVM_ENOENT ? cvm_reply(t, m, json_pack("{s:s}", "result", "unknown")) : e;
}

static int verified(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const char *result = sale_checked(m);
    json_t *body = NULL;
    if (strcmp(result, "delivered") == 0)
        CVM_TRY(delivered(t, m, what, &body));
    else
        sale_copy_checked(m, body = json_object());
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
