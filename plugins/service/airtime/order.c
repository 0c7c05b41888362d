/* Airtime orders: the rules from the settings, the checks in their order, the price, and the bodies. Pure; any thread.
 */
#include "airtime.h"

void airtime_rules_read(const json_t *settings, struct airtime_rules *ret_rules)
{
    *ret_rules = (struct airtime_rules){
        .min_kobo = sale_setting_kobo(settings, "min_recharge", 5000),
        .max_kobo = sale_setting_kobo(settings, "max_recharge", 5000000),
        .bulk_from_kobo = sale_setting_kobo(settings, "bulk_discount_threshold", 1000000),
        .bulk_basis_points = sale_setting_kobo(settings, "bulk_discount_percent", 500),
        .fee_kobo = sale_setting_kobo(settings, "transaction_fee", 0),
        .credit_timeout_s = cvm_json_int(settings, "credit_timeout_s", 300),
        .refund_window_hours = cvm_json_int(settings, "refund_window_hours", 24),
        .strict_ranges = cvm_json_bool(settings, "strict_phone_ranges", false),
    };
    networks_read(settings, &ret_rules->networks);
}

int64_t airtime_discount(const struct airtime_rules *rules, int64_t amount_kobo)
{
    if (amount_kobo < rules->bulk_from_kobo)
        return 0;
    return (amount_kobo * rules->bulk_basis_points + 5000) / 10000; /* to the nearest kobo */
}

/* ---- the checks ---- */

static int check_phone(const struct airtime_rules *rules, const char *text, struct airtime_order *o,
                       struct sale_failure *f)
{
    int e = phone_normalise(text, o->phone);
    o->range_unusual = e == CVM_OK && !phone_range_in_use(o->phone);
    if (e == CVM_OK && !(o->range_unusual && rules->strict_ranges))
        return CVM_OK;
    snprintf(f->error, sizeof f->error, "The phone number is invalid. Write it like 08012345678 or +2348012345678.");
    return sale_refused(f, "PHONE", "Check the number and try again.");
}

int airtime_check(const struct airtime_rules *rules, const char *network, const char *phone, const json_t *amount,
                  struct airtime_order *ret_order, struct sale_failure *ret_failure)
{
    struct airtime_order o = {0};
    char known[160];
    if (!*network) /* it would be that of the number's prefix, so look at the number first */
        CVM_TRY(check_phone(rules, phone, &o, ret_failure));
    if (network_code(&rules->networks, network, o.network) < 0) {
        networks_text(&rules->networks, known, sizeof known);
        snprintf(ret_failure->error, sizeof ret_failure->error,
                 "The network %.*s is not supported. Supported networks: %s.", *network ? clip(network, 20) : 6,
                 *network ? network : "(none)", known);
        return sale_refused(ret_failure, "NETWORK", "Choose one of the supported networks.");
    }
    CVM_TRY(check_phone(rules, phone, &o, ret_failure));
    CVM_TRY(sale_check_amount(amount, rules->min_kobo, rules->max_kobo, "airtime", &o.amount_kobo, ret_failure));
    o.bulk = o.amount_kobo >= rules->bulk_from_kobo;
    o.discount_kobo = airtime_discount(rules, o.amount_kobo);
    o.final_kobo = o.amount_kobo - o.discount_kobo + rules->fee_kobo;
    network_of_prefix(&rules->networks, o.phone, o.prefix_network);
    *ret_order = o;
    return CVM_OK;
}

/* ---- bodies ---- */

static void remark(const struct airtime_order *o, char *buf, size_t size)
{
    buf[0] = '\0';
    if (o->range_unusual)
        snprintf(buf, size, "Please note: the number is in a range that is not in use by mobile networks.");
    else if (*o->prefix_network && strcmp(o->prefix_network, o->network) != 0)
        snprintf(buf, size, "Please note: numbers with this prefix are usually on %s; it was sent on %s as asked.",
                 o->prefix_network, o->network);
}

json_t *airtime_purchase_body(const struct airtime_rules *rules, const struct airtime_order *o)
{
    char sum[40], summary[64], local[PHONE_SIZE], destination[64], note[200];
    snprintf(summary, sizeof summary, "%s airtime", sale_naira_exact(o->amount_kobo, sum));
    snprintf(destination, sizeof destination, "%s on %s", phone_local(o->phone, local), o->network);
    remark(o, note, sizeof note);
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:{s:s, s:s, s:I}}", "service_type", "AIRTIME",
                  "network_or_disco", o->network, "recipient", o->phone, "amount_kobo", (json_int_t)o->amount_kobo,
                  "discount_kobo", (json_int_t)o->discount_kobo, "service_charge_kobo", (json_int_t)rules->fee_kobo,
                  "credit_timeout_s", (json_int_t)rules->credit_timeout_s, "summary", summary, "destination",
                  destination, "context_path", "/airtime_context", "delivery", "network", o->network, "phone", local,
                  "amount_kobo", (json_int_t)o->amount_kobo);
    if (body && *note)
        json_object_set_new(body, "remark", json_string(note));
    return body;
}

static json_t *success_body(const json_t *sold)
{
    char local[PHONE_SIZE], text[SALE_TEXT_SIZE];
    int64_t amount = cvm_json_int(sold, "amount_kobo", 0), discount = cvm_json_int(sold, "discount_kobo", 0);
    const char *note = cvm_json_str(sold, "remark", "");
    snprintf(text, sizeof text, "%s went to %s.%s%s", cvm_json_str(sold, "summary", "Airtime"),
             cvm_json_str(sold, "destination", ""), *note ? " " : "", note);
    return json_pack("{s:b, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s}", "success", 1, "transaction_id",
                     cvm_json_str(sold, "transaction_id", ""), "network", cvm_json_str(sold, "network_or_disco", ""),
                     "recipient", phone_local(cvm_json_str(sold, "recipient", ""), local), "amount",
                     cvm_money_to_json(amount), "discount", cvm_money_to_json(discount), "final_amount",
                     cvm_money_to_json(cvm_json_int(sold, "total_kobo", amount - discount)), "message", text,
                     "reference", cvm_json_str(sold, "reference", ""), "agent", AIRTIME_ALIAS);
}

static json_t *refused_body(const json_t *d)
{
    struct sale_failure f;
    const char *rule = cvm_json_str(d, "rule", ""), *message = cvm_json_str(d, "message", "The purchase was refused.");
    snprintf(f.error, sizeof f.error, "%.*s", clip(message, 500), message);
    sale_advise(&f, cvm_json_str(d, "recommendation", "Contact support."), cvm_json_str(d, "transaction_id", ""));
    json_t *body = sale_failure_body(&f, AIRTIME_ALIAS);
    if (body && *rule)
        json_object_set_new(body, "rule", json_string(rule));
    return body;
}

json_t *airtime_sold_body(const cvm_msg *reply, enum cvm_outcome *ret_outcome)
{
    if (reply->outcome != CVM_REPLIED && reply->outcome != CVM_REFUSED)
        return sale_unsold_body(reply, AIRTIME_ALIAS, ret_outcome);
    *ret_outcome = reply->outcome;
    return reply->outcome == CVM_REPLIED ? success_body(reply->data) : refused_body(reply->data);
}
