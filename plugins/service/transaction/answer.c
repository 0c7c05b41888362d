/* Bodies and texts for those who asked: sellers get figures in kobo, a conversation gets words. Owns the advice for
 * each error code. Changes no money. Loop thread. */
#include "transaction.h"

#define TEXT_MAX 1024

/* clang-format off */
static const struct {
    const char *code, *advice; /* "%s" stands for the transaction id */
} advices[] = {
    { "INSUFFICIENT_BALANCE", "Our own balance with the provider is low for the moment; orders will go through again shortly." },
    { "INVALID_PHONE", "Check that the number is right and active, then try again." },
    { "TIMEOUT", "The network is slow and it may still go through. Please do not repeat it; check the status in 5 minutes." },
    { "DUPLICATE", "It was already processed. Check the balance before you try again." },
    { "NETWORK_ERROR", "The provider has trouble at the moment. Try again in 10 minutes." },
    { "CONNECTION_ERROR", "You have not paid for it. Try again later and keep the reference %s." },
    { "UNKNOWN", "You have not paid for it. Try again later and keep the reference %s." },
    { "INSUFFICIENT_FUNDS", "Add money to the wallet or choose a smaller amount, then try again." },
    { "UNKNOWN_CUSTOMER", "Open a wallet for this customer or phone number first." },
    { "LIMIT", "Choose a smaller amount." },
    { "TWO_FACTOR", "A colleague can confirm and complete this purchase with you." },
    { "VELOCITY", "For your safety a colleague will look at it. Try again in a minute or ask for a colleague." },
    { "DUPLICATE_SUSPECTED", "If you want it once more, order again in a minute, or at once with an idempotency key." },
    { "OUTAGE", "Please try again later; we look for it every minute and sell again as soon as it is back." },
    { "CODE_EXPIRED", "Nothing was charged. Order again and confirm with the code within five minutes." },
    { "CODE_WRONG", "Nothing was charged. Order again for a new code." },
    { "REJECTED", "Nothing was charged. A colleague can tell you more." },
    { "NOT_APPROVED", "Nothing was charged. Order again, or ask a colleague." },
    { "PAYMENT_DECLINED", "Nothing was charged. Pay another way, or ask your bank." },
    { "PAYMENT_UNAVAILABLE", "Nothing was charged. Add money to the wallet, or try again later." },
    { "PAYMENT_EXPIRED", "Should you have paid, the money is in your wallet soon. Order again." },
    { "PAYMENT_TIMEOUT", "Should you have paid, the money is in your wallet soon. Keep the reference %s." },
    { "UNDERPAID", "Your payment is in your wallet. Add what is missing and order again." },
    { "NONE_DELIVERED", "Everything was returned to your wallet. See each recipient's reason." },
    { "DUPLICATE_KEY", "Use a new idempotency key for a new purchase." },
    { "ORDER", "Check the order and try again." },
};
/* clang-format on */

void answer_advice(const char *code, const char *transaction_id, char *ret_text, size_t size)
{
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
        if (strcmp(advices[i].code, code) != 0)
            continue;
        const char *mark = strstr(advices[i].advice, "%s");
        if (mark)
            snprintf(ret_text, size, "%.*s%s%s", (int)(mark - advices[i].advice), advices[i].advice, transaction_id,
                     mark + 2);
        else
            snprintf(ret_text, size, "%s", advices[i].advice);
        return;
    }
    snprintf(ret_text, size, "Contact support with the transaction reference %s.", transaction_id);
}

static const char *const echoed[] = {"service_type",  "network_or_disco",    "recipient",  "amount_kobo",
                                     "discount_kobo", "service_charge_kobo", "total_kobo", "summary",
                                     "destination",   "context_path",        "delivery",   "remark"};

static void echo(json_t *body, const json_t *from)
{
    for (size_t i = 0; i < sizeof echoed / sizeof echoed[0]; i++) {
        const json_t *v = json_object_get(from, echoed[i]);
        if (v)
            json_object_set_new(body, echoed[i], cvm_json_share(v));
    }
}

static void add_failure(json_t *body, const char *code, const char *message, const char *recommendation,
                        const char *transaction_id)
{
    char advice[TEXT_MAX];
    if (!*recommendation) {
        answer_advice(code, transaction_id, advice, sizeof advice);
        recommendation = advice;
    }
    json_object_set_new(body, "error_code", json_string(code));
    json_object_set_new(body, "message", json_string(message));
    json_object_set_new(body, "recommendation", json_string(recommendation));
}

json_t *answer_refusal(const json_t *order_body, const char *rule, const char *message, bool handoff)
{
    json_t *body = json_pack("{s:s, s:b}", "rule", rule, "handoff", handoff);
    if (!body)
        return NULL;
    echo(body, order_body);
    add_failure(body, rule, message, "", "");
    return body;
}

/* What a purchase waits for, where it is not the delivery. */
static void add_waiting(json_t *body, const json_t *record)
{
    char at[TXN_TIME_SIZE], text[400];
    const char *id = record_str(record, "transaction_id");
    const json_t *otp = json_object_get(record, "otp"), *pay = json_object_get(record, "pay");
    switch (record_state(record)) {
    case TXN_CHALLENGED:
        snprintf(text, sizeof text, "Confirm it within the next minutes; nothing is charged before. Reference %s.", id);
        add_failure(body, "CONFIRMATION_REQUIRED", "A code of 6 digits was sent to the customer's phone.", text, id);
        json_object_set_new(body, "waits_for", json_string("code"));
        json_object_set_new(body, "challenge_id", json_string(cvm_json_str(otp, "id", "")));
        json_object_set_new(body, "expires_at", json_string(time_text(cvm_json_int(otp, "ends_ms", 0), at)));
        break;
    case TXN_REVIEW:
        snprintf(text, sizeof text, "Please do not repeat it; nothing is charged before. Reference %s.", id);
        add_failure(body, "HELD_FOR_REVIEW", "A colleague looks at this purchase before it goes on.", text, id);
        json_object_set_new(body, "waits_for", json_string("human"));
        break;
    case TXN_PAYING:
        json_object_set_new(body, "waits_for", json_string("payment"));
        if (!*record_str(record, "payment_url")) {
            add_failure(body, "PAYMENT_PENDING", "The payment is not confirmed yet.",
                        "Please do not repeat it; it goes on as soon as the payment is known.", id);
            break;
        }
        snprintf(text, sizeof text, "Pay here: %s", record_str(record, "payment_url"));
        add_failure(body, "PAYMENT_REQUIRED", "It goes on as soon as it is paid.", text, id);
        json_object_set_new(body, "payment_url", json_string(record_str(record, "payment_url")));
        json_object_set_new(body, "expires_at", json_string(time_text(cvm_json_int(pay, "ends_ms", 0), at)));
        break;
    case TXN_PARKED:
        add_failure(body, "INSUFFICIENT_BALANCE", "It is delayed for a short while.", "", id);
        json_object_set_new(body, "waits_for", json_string("float"));
        break;
    default:
        add_failure(body, "TIMEOUT", "The network has not confirmed the purchase yet.", "", id);
    }
}

json_t *answer_body(const json_t *record, bool replayed, enum cvm_outcome *ret_outcome)
{
    enum txn_state state = record_state(record);
    const char *id = record_str(record, "transaction_id");
    json_t *body =
        json_pack("{s:s, s:s, s:b}", "transaction_id", id, "status", txn_status(state), "replayed", replayed);
    if (!body)
        return NULL;
    echo(body, record);
    if (json_object_get(record, "items"))
        json_object_set_new(body, "order", bulk_result(record));
    if (state == TXN_SUCCESS) {
        json_object_set_new(body, "reference", json_string(record_str(record, "reference")));
        const json_t *delivered = json_object_get(record, "delivered");
        if (delivered)
            json_object_set_new(body, "delivered", cvm_json_share(delivered));
        *ret_outcome = CVM_REPLIED;
    } else if (state == TXN_REFUNDED || state == TXN_REFUNDING || state == TXN_CANCELLED) {
        add_failure(body, record_str(record, "error_code"), record_str(record, "message"),
                    record_str(record, "recommendation"), id);
        if (*record_str(record, "rule"))
            json_object_set_new(body, "rule", json_string(record_str(record, "rule")));
        *ret_outcome = CVM_REFUSED;
    } else {
        add_waiting(body, record);
        *ret_outcome = CVM_UNKNOWN;
    }
    return body;
}

/* ---- a conversation ---- */

static void naira(const json_t *body, const char *key, char buf[40])
{
    memcpy(buf, "\xe2\x82\xa6", 3); /* the naira sign */
    cvm_money_text(cvm_json_int(body, key, 0), buf + 3, 37);
}

static void say(enum cvm_outcome outcome, const json_t *body, char *text, size_t size)
{
    const char *summary = cvm_json_str(body, "summary", "The purchase");
    const char *destination = cvm_json_str(body, "destination", "you");
    const char *remark = cvm_json_str(body, "remark", "");
    const char *id = cvm_json_str(body, "transaction_id", "");
    const char *message = cvm_json_str(body, "message", ""), *advice = cvm_json_str(body, "recommendation", "");
    char total[40], reference[48] = "";
    naira(body, "total_kobo", total);
    if (*id && !strstr(advice, id)) /* said once is enough */
        snprintf(reference, sizeof reference, " Reference %.*s.", clip(id, 30), id);
    if (outcome == CVM_REPLIED) {
        const char *more = cvm_json_str(json_object_get(body, "delivered"), "text", "");
        bool less = cvm_json_int(body, "discount_kobo", 0) > 0;
        snprintf(text, size, "Done: %s went to %s.%s%s%s%s%s%s%s Reference %s.", summary, destination, *more ? " " : "",
                 more, less ? " With the bulk discount you paid " : "", less ? total : "", less ? "." : "",
                 *remark ? " " : "", remark, cvm_json_str(body, "reference", id));
    } else if (outcome == CVM_UNKNOWN && json_object_get(body, "waits_for")) {
        snprintf(text, size, "%s for %s: %s %s%s", summary, destination, message, advice, reference);
    } else if (outcome == CVM_UNKNOWN) {
        snprintf(text, size,
                 "%s for %s is not confirmed yet. %s If it is not delivered, %s comes back to your wallet.%s", summary,
                 destination, advice, total, reference);
    } else if (*id) {
        bool stop = *message && strchr(".!?", message[strlen(message) - 1]);
        if (strcmp(cvm_json_str(body, "status", ""), "FAILED") ==
            0) { /* nothing is in the wallet that was not before */
            snprintf(text, size, "%s for %s failed: %s%s %s%s", summary, destination, message, stop ? "" : ".", advice,
                     reference);
            return;
        }
        snprintf(text, size, "%s for %s failed: %s%s %s was returned to your wallet. %s%s", summary, destination,
                 message, stop ? "" : ".", total, advice, reference);
    } else {
        snprintf(text, size, "%s %s", message, advice);
    }
}

static const char *const outcomes[] = {[CVM_REPLIED] = "SUCCESS", [CVM_REFUSED] = "FAILED", [CVM_UNKNOWN] = "PENDING"};

static int set_context(cvm_turn *t, enum cvm_outcome outcome, const json_t *body, int64_t session_failures)
{
    const char *id = cvm_json_str(body, "transaction_id", ""), *domain = cvm_json_str(body, "context_path", "");
    if (*id) {
        CVM_TRY(cvm_context_set(t, "/transaction_id", json_string(id)));
        CVM_TRY(cvm_context_set(t, "/transaction_status", json_string(cvm_json_str(body, "status", ""))));
    }
    const char *reference = cvm_json_str(body, "reference", id);
    if (*domain && *reference) {
        char path[CVM_NAME_MAX + 32];
        snprintf(path, sizeof path, "%s/transaction_reference", domain);
        CVM_TRY(cvm_context_set(t, path, json_string(reference)));
    }
    if (*domain && *id) { /* what is above is of the last purchase only; a message may order two */
        char path[CVM_NAME_MAX + 32];
        snprintf(path, sizeof path, "/purchases%s", domain);
        CVM_TRY(cvm_context_set(
            t, path, json_pack("{s:s, s:s}", "transaction_id", id, "status", cvm_json_str(body, "status", ""))));
    }
    if (outcome != CVM_REFUSED || cvm_json_bool(body, "replayed", false))
        return CVM_OK;
    int64_t n = cvm_json_int(cvm_context(t), "transaction_failure_count", 0) + 1;
    return cvm_context_set(t, "/transaction_failure_count", json_integer(session_failures > n ? session_failures : n));
}

/* The step's answer to the conversation engine. Borrows body; gives. */
static json_t *step_body(enum cvm_outcome outcome, json_t *body)
{
    char text[TEXT_MAX * 2];
    say(outcome, body, text, sizeof text);
    return json_pack("{s:s%, s:{s:s, s:O}, s:s, s:b}", "content", text, strnlen(text, sizeof text), "structured_data",
                     "outcome", outcomes[outcome], "transaction", body, "next", "service.qa", "end", 0);
}

/* From the body of a purchase's answer, which is borrowed. */
static json_t *public_body(enum cvm_outcome outcome, const json_t *body)
{
    static const char *const texts[] = {
        "transaction_id", "status",    "service_type", "network_or_disco", "recipient",   "reference", "error_code",
        "recommendation", "waits_for", "challenge_id", "expires_at",       "payment_url", "rule",      "order"};
    char text[TEXT_MAX * 2];
    say(outcome, body, text, sizeof text);
    json_t *view = json_pack("{s:b, s:s, s:o, s:o}", "success", outcome == CVM_REPLIED, "message", text, "amount",
                             cvm_money_to_json(cvm_json_int(body, "amount_kobo", 0)), "total",
                             cvm_money_to_json(cvm_json_int(body, "total_kobo", 0)));
    for (size_t i = 0; view && i < sizeof texts / sizeof texts[0]; i++)
        if (json_object_get(body, texts[i]))
            json_object_set_new(view, texts[i], cvm_json_share(json_object_get(body, texts[i])));
    return view;
}

int answer_asker(cvm_turn *t, enum asker_kind kind, cvm_id request, enum cvm_outcome outcome, json_t *body,
                 int64_t session_failures)
{
    int e;
    if (!body)
        return CVM_ENOMEM;
    if (kind == ASKER_PURCHASE) {
        e = cvm_settle(t, request, outcome, body, NULL);
    } else if (kind == ASKER_PUBLIC) {
        json_t *view = public_body(outcome, body);
        json_decref(body);
        e = cvm_settle(t, request, outcome, view, NULL);
    } else {
        e = set_context(t, outcome, body, session_failures);
        json_t *step = e < 0 ? NULL : step_body(outcome, body);
        json_decref(body);
        if (e < 0)
            return e;
        e = cvm_settle(t, request, CVM_REPLIED, step, NULL);
    }
    return e == CVM_ENOENT ? CVM_OK : e;
}

void answer_text(const json_t *record, char *ret_text, size_t size)
{
    enum cvm_outcome outcome = CVM_UNKNOWN;
    json_t *body = answer_body(record, false, &outcome);
    say(outcome, body, ret_text, size);
    json_decref(body);
}

json_t *answer_public(const json_t *record, enum cvm_outcome *ret_outcome)
{
    json_t *body = answer_body(record, false, ret_outcome), *view = public_body(*ret_outcome, body);
    json_decref(body);
    return view;
}

int answer_waiters(cvm_turn *t, json_t *record, int64_t session_failures)
{
    json_t *waiters = json_incref(json_object_get(record, "waiters"));
    json_object_del(record, "waiters");
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(waiters) && e >= 0; i++) {
        const json_t *w = json_array_get(waiters, i);
        enum cvm_outcome outcome = CVM_UNKNOWN;
        json_t *body = answer_body(record, cvm_json_bool(w, "replayed", false), &outcome);
        e = answer_asker(t, (enum asker_kind)cvm_json_int(w, "kind", ASKER_PURCHASE),
                         id_from_text(cvm_json_str(w, "request", "")), outcome, body, session_failures);
    }
    json_decref(waiters);
    return e;
}
