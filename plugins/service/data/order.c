/* Orders of bundles: the checks in their order, and the bodies. Pure; any thread. */
#include "data.h"

static int check_phone(const struct data_rules *rules, const char *text, struct data_order *o, struct sale_failure *f)
{
    int e = phone_normalise(text, o->phone);
    o->range_unusual = e == CVM_OK && !phone_range_in_use(o->phone);
    if (e == CVM_OK && !(o->range_unusual && rules->strict_ranges))
        return CVM_OK;
    snprintf(f->error, sizeof f->error, "The phone number is invalid. Write it like 08012345678 or +2348012345678.");
    return sale_refused(f, "PHONE", "Check the number and try again.");
}

static int check_bundle(const struct data_rules *rules, const char *code, struct data_order *o, struct sale_failure *f)
{
    struct bundle all[DATA_BUNDLES_MAX];
    char list[400], one[140], low[40], high[40];
    size_t n = catalogue_of(rules, o->network, all), at = 0;
    if (catalogue_find(rules, o->network, code, &o->bundle) < 0) {
        list[0] = '\0';
        for (size_t i = 0; i < n; i++) {
            char what[96];
            snprintf(one, sizeof one, "%s%s %s", i ? ", " : "", all[i].code, bundle_text(&all[i], what));
            if (at + strlen(one) >= sizeof list)
                break;
            at += (size_t)snprintf(list + at, sizeof list - at, "%s", one);
        }
        snprintf(f->error, sizeof f->error, "%s does not sell the bundle %.*s. %s bundles: %s.", o->network,
                 *code ? clip(code, 24) : 6, *code ? code : "(none)", o->network, n ? list : "none");
        return sale_refused(f, "BUNDLE", "Choose one of these bundles.");
    }
    if (o->bundle.kobo >= rules->min_kobo && o->bundle.kobo <= rules->max_kobo)
        return CVM_OK;
    snprintf(f->error, sizeof f->error, "A data purchase is from %s to %s.", sale_naira(rules->min_kobo, low),
             sale_naira(rules->max_kobo, high));
    return sale_refused(f, o->bundle.kobo < rules->min_kobo ? "MIN_AMOUNT" : "MAX_AMOUNT", "Choose another bundle.");
}

int data_check(const struct data_rules *rules, const char *network, const char *phone, const char *code,
               struct data_order *ret_order, struct sale_failure *f)
{
    struct data_order o = {.auto_renew = false};
    char known[160];
    if (network_code(&rules->networks, network, o.network) < 0) {
        snprintf(f->error, sizeof f->error, "The network %.*s is not supported. Supported networks: %s.",
                 *network ? clip(network, 20) : 6, *network ? network : "(none)",
                 networks_text(&rules->networks, known, sizeof known));
        return sale_refused(f, "NETWORK", "Choose one of the supported networks.");
    }
    CVM_TRY(check_phone(rules, phone, &o, f));
    CVM_TRY(check_bundle(rules, code, &o, f));
    if (!network_differs(&rules->networks, o.phone, o.network, o.prefix_network))
        o.prefix_network[0] = '\0';
    *ret_order = o;
    return CVM_OK;
}

/* ---- bodies ---- */

json_t *data_purchase_body(const struct data_rules *rules, const struct data_order *o)
{
    char summary[64], local[PHONE_SIZE], destination[64], note[200] = "";
    const struct bundle *b = &o->bundle;
    snprintf(summary, sizeof summary, "%s data for %s", b->size, b->validity);
    snprintf(destination, sizeof destination, "%s on %s", phone_local(o->phone, local), o->network);
    if (o->range_unusual)
        snprintf(note, sizeof note, "Please note: the number is in a range that is not in use by mobile networks.");
    else if (*o->prefix_network)
        snprintf(note, sizeof note,
                 "Please note: numbers with this prefix are usually on %s; it was sent on %s as asked.",
                 o->prefix_network, o->network);
    json_t *delivery =
        json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:b, s:b}", "network", o->network, "phone", local, "amount_kobo",
                  (json_int_t)b->kobo, "bundle_code", b->code, "size", b->size, "validity", b->validity,
                  "validity_days", (json_int_t)b->days, "auto_renew", o->auto_renew, "gift", o->gift);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s*, s:o}", "service_type", "DATA", "network_or_disco",
                     o->network, "recipient", o->phone, "amount_kobo", (json_int_t)b->kobo, "credit_timeout_s",
                     (json_int_t)rules->credit_timeout_s, "summary", summary, "destination", destination,
                     "context_path", "/data_context", "remark", *note ? note : NULL, "delivery", delivery);
}

static json_t *success_body(const struct data_rules *rules, const json_t *sold)
{
    char local[PHONE_SIZE], text[SALE_TEXT_SIZE * 2];
    const json_t *d = json_object_get(sold, "delivery"), *given = json_object_get(sold, "delivered");
    const char *note = cvm_json_str(sold, "remark", ""), *network = cvm_json_str(sold, "network_or_disco", "");
    const char *more = cvm_json_str(given, "text", "");
    snprintf(text, sizeof text, "%s went to %s.%s%s%s%s", cvm_json_str(sold, "summary", "Data"),
             cvm_json_str(sold, "destination", ""), *more ? " " : "", more, *note ? " " : "", note);
    return json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:s, s:s, s:s}", "success", 1,
                     "transaction_id", cvm_json_str(sold, "transaction_id", ""), "network", network, "recipient",
                     phone_local(cvm_json_str(sold, "recipient", ""), local), "bundle_code",
                     cvm_json_str(d, "bundle_code", ""), "size", cvm_json_str(d, "size", ""), "validity",
                     cvm_json_str(d, "validity", ""), "amount", cvm_money_to_json(cvm_json_int(sold, "amount_kobo", 0)),
                     "expires_at", cvm_json_str(given, "expires_at", ""), "auto_renew", 0, "rollover",
                     data_rolls_over(rules, network), "message", text, "reference", cvm_json_str(sold, "reference", ""),
                     "agent", "DataSalesAgent");
}

static json_t *refused_body(const json_t *d)
{
    struct sale_failure f;
    const char *rule = cvm_json_str(d, "rule", ""), *message = cvm_json_str(d, "message", "The purchase was refused.");
    snprintf(f.error, sizeof f.error, "%.*s", clip(message, 500), message);
    sale_advise(&f, cvm_json_str(d, "recommendation", "Contact support."), cvm_json_str(d, "transaction_id", ""));
    json_t *body = sale_failure_body(&f, "DataSalesAgent");
    if (body && *rule)
        json_object_set_new(body, "rule", json_string(rule));
    return body;
}

json_t *data_sold_body(const struct data_rules *rules, const cvm_msg *reply, enum cvm_outcome *ret_outcome)
{
    if (reply->outcome != CVM_REPLIED && reply->outcome != CVM_REFUSED)
        return sale_unsold_body(reply, "DataSalesAgent", ret_outcome);
    *ret_outcome = reply->outcome;
    return reply->outcome == CVM_REPLIED ? success_body(rules, reply->data) : refused_body(reply->data);
}
