/* PowerBillingAgent on what a customer paid: finds the purchase among their transactions and its token among those that
 * were issued. Says it in words; a claim that the books do not settle goes to a human. Loop thread. */
#include "power.h"

#include <time.h>

#define LIST_LIMIT 50

static const char *naira_of(const json_t *transaction, const char *key, char buf[40])
{
    int64_t kobo = 0;
    if (cvm_money_from_json(json_object_get(transaction, key), &kobo) < 0)
        kobo = 0;
    memcpy(buf, "\xe2\x82\xa6", 3); /* the naira sign */
    cvm_money_text(kobo, buf + 3, 37);
    return buf;
}

static int ask_transactions(cvm_turn *t, const cvm_msg *m, const char *customer, json_t *what)
{
    /* Nobody has the id "?": who is not known is shown nothing, and "" would stand for everybody. */
    json_t *data = json_pack("{s:s, s:i}", "customer", *customer ? customer : "?", "limit", LIST_LIMIT);
    int e = pending_put(t, m->id, what);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "list_transactions", data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int payments_confirm(cvm_turn *t, const cvm_msg *m)
{
    return ask_transactions(
        t, m, cvm_json_str(m->data, "customer", ""),
        json_pack("{s:s, s:s}", "kind", "confirm", "meter", cvm_json_str(m->data, "meter_number", "")));
}

int payments_step(cvm_turn *t, const cvm_msg *m)
{
    static const char *const claims[] = {"refund", "duplicate", "wrong_target", "many_charges", "refund_overdue", NULL};
    bool many = false, claim = false;
    const json_t *context = cvm_context(t),
                 *meter = step_only(json_object_get(step_entities(t), "meter_numbers"), &many);
    const char *customer = *m->customer_id ? m->customer_id : cvm_json_str(context, "customer_id", "");
    for (const char *const *cue = claims; *cue; cue++)
        claim = claim || hold_cue(t, *cue);
    return ask_transactions(t, m, customer,
                            json_pack("{s:s, s:b, s:b, s:s}", "kind", "confirm", "step", 1, "claim", claim, "meter",
                                      json_is_string(meter) ? json_string_value(meter) : ""));
}

/* The newest purchase of electricity, for the meter where one is named. Borrowed; NULL: none. */
static const json_t *newest(const json_t *transactions, const char *meter)
{
    for (size_t i = 0; i < json_array_size(transactions); i++) {
        const json_t *one = json_array_get(transactions, i);
        if (strcmp(cvm_json_str(one, "service_type", ""), "POWER") == 0 &&
            (!*meter || strcmp(cvm_json_str(one, "recipient", ""), meter) == 0))
            return one;
    }
    return NULL;
}

static void payment_text(cvm_turn *t, const json_t *paid, const json_t *token, char *text, size_t size)
{
    char amount[40], total[40], shown[32], reference[64] = "";
    const char *external = cvm_json_str(paid, "external_reference", "");
    const char *status = cvm_json_str(paid, "status", ""), *digits = cvm_json_str(token, "token", "");
    const char *meter = cvm_json_str(paid, "recipient", ""), *disco = cvm_json_str(paid, "network_or_disco", "");
    size_t at =
        (size_t)snprintf(text, size, "Your latest electricity purchase, %s for meter %s at %s on %.10s, ",
                         naira_of(paid, "amount", amount), meter, disco, cvm_json_str(paid, "initiated_at", ""));
    naira_of(paid, "total_amount", total);
    if (strncmp(external, "TXN-", 4) != 0) /* an answer names its own enquiry's transaction only */
        snprintf(reference, sizeof reference, " Reference %.40s.", external);
    if (strcmp(status, "SUCCESS") == 0 && *digits)
        snprintf(text + at, size - at,
                 "was successful. TOKEN: %s, %.1f kWh.%s For help with loading reply HELP TOKEN.%s",
                 receipt_token(digits, shown), json_number_value(json_object_get(token, "units")), reference,
                 cvm_json_bool(token, "expired", false) ? " It is older than its validity and has expired." : "");
    else if (strcmp(status, "SUCCESS") == 0)
        snprintf(text + at, size - at, "was successful.%s", reference);
    else if (strcmp(status, "PENDING") == 0)
        snprintf(text + at, size - at,
                 "is not confirmed yet. Please do not repeat it: within minutes the token comes, or %s returns to your "
                 "wallet.",
                 total);
    else
        snprintf(text + at, size - at, "failed, and %s was returned to your wallet. You can buy again.", total);
}

static json_t *payment_body(const json_t *paid, const json_t *token, const char *text)
{
    static const char *const kept[] = {"transaction_id",     "status",           "amount",
                                       "total_amount",       "network_or_disco", "recipient",
                                       "external_reference", "initiated_at"};
    static const char *const of_token[] = {"token", "units", "expires_at", "expired"};
    json_t *body = json_pack("{s:b, s:s}", "found", paid != NULL, "text", text);
    for (size_t i = 0; body && i < sizeof kept / sizeof kept[0]; i++)
        if (json_object_get(paid, kept[i]))
            json_object_set(body, kept[i], json_object_get(paid, kept[i]));
    for (size_t i = 0; body && i < sizeof of_token / sizeof of_token[0]; i++)
        if (json_object_get(token, of_token[i]))
            json_object_set(body, of_token[i], json_object_get(token, of_token[i]));
    return body;
}

/* Ends the operation or the step. `paid` and `token` may be NULL. */
static int told(cvm_turn *t, cvm_id request, const json_t *what, const json_t *paid, const json_t *token)
{
    char text[POWER_LONG_SIZE];
    bool step = cvm_json_bool(what, "step", false);
    if (paid)
        payment_text(t, paid, token, text, sizeof text);
    else
        snprintf(text, sizeof text, "I find no electricity purchase of yours with us.");
    json_t *body = payment_body(paid, token, text);
    if (!body)
        return CVM_ENOMEM;
    if (!step)
        return step_settle(t, request, CVM_REPLIED, body);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:b}", "chose", "tell what was paid", "status",
                               cvm_json_str(paid, "status", "none"), "claim", cvm_json_bool(what, "claim", false))));
    bool returned = strcmp(cvm_json_str(paid, "status", ""), "REFUNDED") == 0;
    if (!paid || (cvm_json_bool(what, "claim", false) && !returned)) {
        json_decref(body);
        return step_hand_over(
            t, request, text, paid ? "refund_claim" : "payment_not_found",
            paid ? "claims money back for a purchase" : "reports a payment that our books do not have", "transactions");
    }
    return step_say(t, request, text, json_pack("{s:b, s:o}", "answered", 1, "payment", body), "service.qa");
}

static int listed(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const json_t *list = json_object_get(m->data, "transactions");
    const json_t *paid = newest(list, cvm_json_str(what, "meter", ""));
    if (!paid || strcmp(cvm_json_str(paid, "status", ""), "SUCCESS") != 0)
        return told(t, m->on_behalf, what, paid, NULL);
    json_t *kept = json_copy((json_t *)(uintptr_t)what);
    json_object_set_new(kept, "paid", cvm_json_share(paid));
    CVM_TRY(pending_put(t, m->on_behalf, kept));
    return cvm_ask(t,
                   &(cvm_query){.size = sizeof(cvm_query),
                                .table = "power_tokens",
                                .where = json_pack("{s:s}", "transaction_id", cvm_json_str(paid, "transaction_id", "")),
                                .limit = 1,
                                .on_behalf = m->on_behalf});
}

int payments_listed(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, listed);
}

/* RFC 3339 in UTC orders as text. */
static bool is_past(cvm_turn *t, const char *at)
{
    char now[32];
    time_t s = (time_t)(cvm_now_ms(t) / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return *at && strcmp(at, now) < 0;
}

int payments_token(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL, *token;
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    token = json_copy(json_array_get(json_object_get(m->data, "rows"), 0));
    if (token)
        json_object_set_new(token, "expired", json_boolean(is_past(t, cvm_json_str(token, "expires_at", ""))));
    e = told(t, m->on_behalf, what, json_object_get(what, "paid"), token);
    json_decref(token);
    json_decref(what);
    return e;
}
