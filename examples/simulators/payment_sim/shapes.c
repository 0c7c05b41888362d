/* The two providers' answers: Paystack counts kobo, Flutterwave naira. */
#include "payment_sim.h"

#include <stdio.h>
#include <time.h>

static void rfc3339(int64_t ms, char ret_text[32])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &tm);
    strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

int64_t kept_kobo(const struct vending *v, const struct entry *e)
{
    char reference[REFERENCE_MAX + 1];
    snprintf(reference, sizeof reference, REFUND_PREFIX "%.100s", e->reference);
    const struct entry *refund = ledger_find(v->ledger, e->vendor, reference);
    return e->amount_kobo - (refund && refund->outcome != OUT_NONE ? refund->amount_kobo : 0);
}

enum shown shown_of(const struct vending *v, const struct entry *e, int64_t now_ms)
{
    const char *status = ledger_status(e, now_ms);
    if (strcmp(status, "delivered") == 0)
        return kept_kobo(v, e) == 0 ? SHOW_REVERSED : SHOW_SUCCEEDED;
    if (strcmp(status, "failed") == 0)
        return SHOW_FAILED;
    return strcmp(status, "pending") == 0 ? SHOW_PENDING : SHOW_UNPAID;
}

json_t *payment_data(const struct vending *v, const struct entry *e, int64_t now_ms)
{
    static const char *const words[PROVIDERS][5] = {{"success", "failed", "pending", "abandoned", "reversed"},
                                                    {"successful", "failed", "pending", "pending", "successful"}};
    char at[32], authorization[32];
    const enum shown shown = shown_of(v, e, now_ms);
    /* Some authorisations take another sum, or another currency, than was asked for. */
    const int64_t kobo = e->amount_kobo - (ends_with(e->subject, "0030") ? 100 : 0);
    const char *currency = ends_with(e->subject, "0031") ? "USD" : "NGN", *word = words[e->vendor][shown];
    rfc3339(e->time_ms, at);
    snprintf(authorization, sizeof authorization, "%.15s", e->subject);
    if (e->vendor == PAYSTACK)
        return json_pack(
            "{s:I, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:n, s:{s:s, s:s, s:s, s:b}, s:{s:s, s:s, s:n}}", "id",
            (json_int_t)(3000 + e->n), "domain", "test", "status", word, "reference", e->reference, "amount",
            (json_int_t)kobo, "gateway_response", shown == SHOW_FAILED ? "Insufficient funds" : "Successful", "paid_at",
            at, "created_at", at, "channel", "card", "currency", currency, "message", "authorization",
            "authorization_code", authorization, "bin", "408408", "last4", "4081", "reusable", 1, "customer", "email",
            "payer@customers.invalid", "customer_code", "CUS_sim", "phone");
    char naira[32];
    snprintf(naira, sizeof naira, "%lld.%02d", (long long)(kobo / 100), (int)(kobo % 100));
    return json_pack("{s:I, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:{s:i, s:s}}", "id",
                     (json_int_t)(900000 + e->n), "tx_ref", e->reference, "flw_ref", "FLW-SIM", "amount",
                     e->n % 2 && kobo % 100 == 0 ? json_integer(kobo / 100) : json_string(naira), "currency", currency,
                     "processor_response", shown == SHOW_FAILED ? "Insufficient funds" : "Approved", "auth_model",
                     "noauth", "status", word, "payment_type", "card", "created_at", at, "card", "first_6digits",
                     "408408", "last_4digits", "4081", "token", authorization, "customer", "id", 1, "email",
                     "payer@customers.invalid");
}

json_t *refund_data(const struct vending *v, const struct entry *e, int64_t now_ms)
{
    const bool open = strcmp(ledger_status(e, now_ms), "pending") == 0;
    const char *of = e->reference + strlen(REFUND_PREFIX);
    (void)v;
    if (e->vendor == PAYSTACK)
        return json_pack("{s:I, s:s, s:s, s:I, s:s}", "id", (json_int_t)(3000 + e->n), "status",
                         open ? "pending" : "processed", "transaction_reference", of, "amount",
                         (json_int_t)e->amount_kobo, "currency", "NGN");
    return json_pack("{s:I, s:s, s:s, s:I}", "id", (json_int_t)(900000 + e->n), "status",
                     open ? "pending" : "completed", "tx_ref", of, "amount_refunded",
                     (json_int_t)(e->amount_kobo / 100));
}

void say_good(struct answer *a, int provider, const char *message, json_t *data)
{
    json_t *body = json_pack("{s:o, s:s}", "status", provider == PAYSTACK ? json_true() : json_string("success"),
                             "message", message);
    json_object_set_new(body, "data", data ? data : json_null());
    snprintf(a->note, sizeof a->note, "%s", message);
    json_answer(a, 200, body);
}

void say_error(struct answer *a, int provider, int status, const char *type, const char *code, const char *message)
{
    snprintf(a->note, sizeof a->note, "%s", *code ? code : message);
    if (provider == PAYSTACK)
        json_answer(a, status,
                    json_pack("{s:b, s:s, s:{s:s}, s:s, s:s}", "status", 0, "message", message, "meta", "nextStep",
                              "Try again later", "type", type, "code", code));
    else
        json_answer(a, status, json_pack("{s:s, s:s, s:n}", "status", "error", "message", message, "data"));
}
