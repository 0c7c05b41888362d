/* The operations of AirtimeSalesAgent: sells through the transaction saga, delivers through the networks. Keeps no
 * money and no state: what it needs later travels with the requests. Loop thread. */
#include "airtime.h"

/* Who pays: the customer named, else the wallet of the payer's number, else that of the number recharged. */
static int add_payer(const cvm_msg *m, const struct airtime_order *o, json_t *body)
{
    const char *customer = cvm_json_str(m->data, "customer_id", ""), *payer = cvm_json_str(m->data, "payer_phone", "");
    const char *key = cvm_json_str(m->data, "idempotency_key", "");
    char phone[PHONE_SIZE];
    if (*key)
        json_object_set_new(body, "idempotency_key", json_string(key));
    if (*customer)
        return json_object_set_new(body, "customer_id", json_string(customer)) ? CVM_ENOMEM : CVM_OK;
    if (*payer && phone_normalise(payer, phone) < 0)
        return CVM_EREFUSED;
    return json_object_set_new(body, "phone", json_string(*payer ? phone : o->phone)) ? CVM_ENOMEM : CVM_OK;
}

int airtime_process_purchase(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules rules;
    struct airtime_order o;
    struct sale_failure f;
    airtime_rules_read(cvm_settings(t), &rules);
    if (json_object_get(m->data, "recipients"))
        return airtime_bulk(t, m, &rules);
    int e = airtime_check(&rules, cvm_json_str(m->data, "network", ""), cvm_json_str(m->data, "recipient_phone", ""),
                          json_object_get(m->data, "amount"), &o, &f);
    if (e < 0)
        return sale_refuse(t, m->id, &f, AIRTIME_ALIAS);
    json_t *body = airtime_purchase_body(&rules, &o);
    if (!body)
        return CVM_ENOMEM;
    e = add_payer(m, &o, body);
    if (e < 0) {
        json_decref(body);
        f.rule = "PHONE";
        snprintf(f.error, sizeof f.error, "The payer's phone number is invalid.");
        snprintf(f.recommendation, sizeof f.recommendation, "Write it like 08012345678 or +2348012345678.");
        return e == CVM_EREFUSED ? sale_refuse(t, m->id, &f, AIRTIME_ALIAS) : e;
    }
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:I, s:I, s:b}", "chose", "sell", "network", o.network, "amount_kobo",
                               (json_int_t)o.amount_kobo, "final_kobo", (json_int_t)o.final_kobo, "bulk", o.bulk)));
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "purchase", body,
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = SALE_PURCHASE_TIMEOUT_MS}));
    return CVM_PENDING;
}

int airtime_purchased(cvm_turn *t, const cvm_msg *m)
{
    enum cvm_outcome outcome = CVM_ERROR;
    json_t *body = airtime_sold_body(m, &outcome);
    return step_settle(t, m->on_behalf, outcome, body);
}

/* ---- for the saga ---- */

int airtime_deliver(cvm_turn *t, const cvm_msg *m)
{
    const json_t *d = json_object_get(m->data, "delivery");
    int64_t left = cvm_json_int(m->data, "deadline_ms", m->deadline_ms) - cvm_now_ms(t);
    if (!sale_from_saga(m))
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "only " SALE_TRANSACTION " may ask for a delivery");
    if (left < SALE_VEND_LEAST_MS)
        return cvm_refuse_with(t, sale_not_delivered("CONNECTION_ERROR", "It is too late to vend."));
    json_t *vend = json_pack("{s:s, s:s, s:I, s:s}", "network", cvm_json_str(d, "network", ""), "phone",
                             cvm_json_str(d, "phone", ""), "amount_kobo", (json_int_t)cvm_json_int(d, "amount_kobo", 0),
                             "reference", cvm_json_str(m->data, "transaction_id", ""));
    /* Not beyond the saga's deadline: the host may send a lost vend again until then, and never after the refund. */
    int e = cvm_request(t, "role:network", "vend", vend, &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = left});
    if (e == CVM_ENOENT)
        return cvm_refuse_with(t,
                               sale_not_delivered("CONNECTION_ERROR", "This network cannot be reached at the moment."));
    return e < 0 ? e : CVM_PENDING;
}

int airtime_vended(cvm_turn *t, const cvm_msg *m)
{
    enum cvm_outcome outcome = CVM_REPLIED;
    json_t *body = m->outcome == CVM_REPLIED ? cvm_json_share(m->data)
                                             : sale_not_vended(m, "The network refused it.",
                                                               "The network service is unavailable at the moment.",
                                                               "The network did not answer in time.", &outcome);
    return step_settle(t, m->on_behalf, outcome, body);
}

int airtime_check_delivery(cvm_turn *t, const cvm_msg *m)
{
    const json_t *d = json_object_get(m->data, "delivery");
    if (!sale_from_saga(m))
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "only " SALE_TRANSACTION " may ask for a check");
    int e = cvm_request(t, "role:network", "verify",
                        json_pack("{s:s, s:s}", "network", cvm_json_str(d, "network", ""), "reference",
                                  cvm_json_str(m->data, "transaction_id", "")),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = SALE_VERIFY_TIMEOUT_MS});
    if (e == CVM_ENOENT)
        return cvm_reply(t, m, json_pack("{s:s}", "result", "unknown"));
    return e < 0 ? e : CVM_PENDING;
}

int airtime_verified(cvm_turn *t, const cvm_msg *m)
{
    json_t *body = json_pack("{s:s}", "result", sale_checked(m));
    sale_copy_checked(m, body);
    return step_settle(t, m->on_behalf, CVM_REPLIED, body);
}

/* ---- tools ---- */

int airtime_get_pricing(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules r;
    airtime_rules_read(cvm_settings(t), &r);
    const json_t *amount = json_object_get(m->data, "amount");
    json_t *body = json_pack(
        "{s:O, s:o, s:o, s:o, s:o, s:o, s:s}", "supported_networks", r.networks.codes, "min_recharge",
        cvm_money_to_json(r.min_kobo), "max_recharge", cvm_money_to_json(r.max_kobo), "bulk_discount_threshold",
        cvm_money_to_json(r.bulk_from_kobo), "bulk_discount_percent", cvm_money_to_json(r.bulk_basis_points),
        "transaction_fee", cvm_money_to_json(r.fee_kobo), "currency", "NGN");
    if (!body)
        return CVM_ENOMEM;
    if (amount) {
        int64_t kobo;
        if (cvm_money_from_json(amount, &kobo) < 0 || kobo < r.min_kobo || kobo > r.max_kobo) {
            json_decref(body);
            return cvm_refuse(t, "AMOUNT", "amount", "outside what can be bought in one purchase");
        }
        int64_t discount = airtime_discount(&r, kobo);
        json_object_set_new(body, "amount", cvm_money_to_json(kobo));
        json_object_set_new(body, "discount", cvm_money_to_json(discount));
        json_object_set_new(body, "final_amount", cvm_money_to_json(kobo - discount + r.fee_kobo));
    }
    return cvm_reply(t, m, body);
}

int airtime_check_balance(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules rules;
    char network[NETWORK_SIZE];
    airtime_rules_read(cvm_settings(t), &rules);
    if (network_code(&rules.networks, cvm_json_str(m->data, "network", ""), network) < 0)
        return cvm_refuse(t, "NETWORK", "network", "not a supported network");
    int e = cvm_request(t, "role:network", "balance", json_pack("{s:s}", "network", network),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = SALE_VERIFY_TIMEOUT_MS});
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network");
    return e < 0 ? e : CVM_PENDING;
}

int airtime_balance(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    return step_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:o, s:s}", "network", cvm_json_str(m->data, "network", ""), "balance",
                                 cvm_money_to_json(cvm_json_int(m->data, "balance_kobo", 0)), "currency",
                                 cvm_json_str(m->data, "currency", "NGN")));
}
