/* A payment provider's interface: what its answers mean, how a charge, a link and a refund live through them, and whose
 * webhooks are believed. Built with each of the providers; their answers are made by the functions at the top. */
#include "provider.h"

#include "../../plugins/provider/common/encoding.h"
#include "../../plugins/provider/common/payment.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define REFERENCE "TXN-8f2c01ab77d0-P1"
#define KOBO 500050

extern const cvm_plugin_descriptor cvm_plugin;

static bool is_paystack(void)
{
    return strcmp(gateway.name, "paystack") == 0;
}

static const char *component(void)
{
    return is_paystack() ? "provider.payment.paystack" : "provider.payment.flutterwave";
}

/* ---- the providers' words ---- */

static const char *format(const char *text, ...)
{
    static char buf[8][1024];
    static int n;
    va_list args;
    va_start(args, text);
    vsnprintf(buf[n = (n + 1) % 8], 1024, text, args);
    va_end(args);
    return buf[n];
}

/* What is said of a payment: `good` for the word of success. */
static const char *said(const char *word, const char *reference, int64_t kobo, const char *currency)
{
    const bool good = strcmp(word, "good") == 0;
    if (is_paystack())
        return format(
            "{\"status\":true,\"message\":\"ok\",\"data\":{\"id\":3021,\"status\":\"%s\",\"reference\":\"%s\","
            "\"amount\":%lld,"
            "\"currency\":\"%s\",\"gateway_response\":\"because\",\"authorization\":{\"authorization_code\":\"AUTH_x\","
            "\"reusable\":true},\"customer\":{\"email\":\"ada@example.ng\"}}}",
            good ? "success" : word, reference, (long long)kobo, currency);
    return format("{\"status\":\"success\",\"message\":\"ok\",\"data\":{\"id\":3021,\"status\":\"%s\",\"tx_ref\":\"%"
                  "s\",\"amount\":%lld.%02d,"
                  "\"currency\":\"%s\",\"processor_response\":\"because\",\"card\":{\"token\":\"AUTH_x\"},"
                  "\"customer\":{\"email\":\"ada@example.ng\"}}}",
                  good ? "successful" : word, reference, (long long)(kobo / 100), (int)(kobo % 100), currency);
}

static const char *good(void)
{
    return said("good", REFERENCE, KOBO, "NGN");
}

static const char *error(const char *type, const char *code, const char *message)
{
    if (is_paystack())
        return format("{\"status\":false,\"message\":\"%s\",\"type\":\"%s\",\"code\":\"%s\"}", message, type, code);
    return format("{\"status\":\"error\",\"message\":\"%s\",\"data\":null}", message);
}

static const char *not_found(void)
{
    return error("validation_error", "transaction_not_found",
                 is_paystack() ? "Transaction reference not found" : "No transaction was found for this id");
}

static const char *duplicate(void)
{
    return error("validation_error", "duplicate_reference", "Duplicate transaction reference");
}

/* ---- turns ---- */

static void setup(void)
{
    provider_begin(component(), NULL,
                   json_pack("{s:s, s:s, s:i, s:i}", "base_url", "http://127.0.0.1:1", "callback_url",
                             "https://shop.example/back", "timeout_ms", 30000, "keep_days", 100));
    exact = true;
}

static json_t *order(void)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:s}", "reference", REFERENCE, "amount_kobo", KOBO, "currency", "NGN",
                     "authorization", "AUTH_x", "email", "ada@example.ng");
}

static int charge(void)
{
    return turn("charge", 0, asker, order(), now + 45000);
}

static json_t *reference(void)
{
    return json_pack("{s:s}", "reference", REFERENCE);
}

static void sent(const char *member, const char *value)
{
    const json_t *v = json_object_get(json_object_get(called, "body"), member);
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    ck_assert_msg(text && !strcmp(text, value), "%s: %s, not %s", member, text, value);
    free(text);
}

/* ---- charge ---- */

START_TEST(charge_call)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    ck_assert_str_eq(call_name, "charge");
    ck_assert_str_eq(call_path, is_paystack() ? "/transaction/charge_authorization" : "/tokenized-charges");
    ck_assert_str_eq(call_key, REFERENCE);
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "Authorization", ""),
                     is_paystack() ? "Bearer ${PAYSTACK_SECRET_KEY}" : "Bearer ${FLUTTERWAVE_SECRET_KEY}");
    sent("amount", is_paystack() ? "500050" : "\"5000.50\"");
    sent("currency", "\"NGN\"");
    sent("email", "\"ada@example.ng\"");
    sent(is_paystack() ? "authorization_code" : "token", "\"AUTH_x\"");
    sent(is_paystack() ? "reference" : "tx_ref", "\"" REFERENCE "\"");
}
END_TEST

/* clang-format off */
static const struct {
    int outcome, status;
    const char *kind;   /* of the answer: a word for said(), or one of those below */
    const char *settles, *code;
    int technical;      /* -1: not said */
} charges[] = {
    {CVM_REPLIED, 200, "good", "succeeded", "", -1},
    {CVM_REPLIED, 200, "failed", "failed", "DECLINED", 0},
    {CVM_REPLIED, 200, "reversed", "failed", "REVERSED", 0},
    {CVM_REPLIED, 200, "pending", "pending", "", -1},
    {CVM_REPLIED, 200, "ongoing", "pending", "", -1},
    {CVM_REPLIED, 200, "send_otp", "pending", "", -1},
    {CVM_REPLIED, 200, "SUCCESS", "pending", "", -1},
    {CVM_REPLIED, 200, "a word nobody has listed", "pending", "", -1},
    {CVM_REPLIED, 200, "", "unknown", "", -1},
    {CVM_REPLIED, 200, "less", "unknown", "", -1},
    {CVM_REPLIED, 200, "more", "unknown", "", -1},
    {CVM_REPLIED, 200, "dollars", "unknown", "", -1},
    {CVM_REPLIED, 200, "other", "unknown", "", -1},
    {CVM_REPLIED, 400, "validation", "failed", "DECLINED", 0},
    {CVM_REPLIED, 404, "unknown", "failed", "CONNECTION_ERROR", 1},
    {CVM_REPLIED, 429, "validation", "failed", "CONNECTION_ERROR", 1},
    {CVM_REPLIED, 500, "validation", "unknown", "", -1},
    {CVM_REPLIED, 408, "validation", "unknown", "", -1},
    {CVM_REPLIED, 302, "nonsense", "unknown", "", -1},
    {CVM_REPLIED, 200, "nonsense", "unknown", "", -1},
    {CVM_REPLIED, 200, "hostile", "unknown", "", -1},
    {CVM_REPLIED, 200, "envelope", "unknown", "", -1},
    {CVM_REPLIED, 200, "lost", "failed", "CONNECTION_ERROR", 1},
    {CVM_TIMEOUT, 0, "", "unknown", "", -1},
    {CVM_UNKNOWN, 0, "", "unknown", "", -1},
    {CVM_ERROR, 0, "", "failed", "CONNECTION_ERROR", 1},
    {CVM_BUSY, 0, "", "failed", "CONNECTION_ERROR", 1},
};
/* clang-format on */

static const char *body_of(const char *kind)
{
    if (!strcmp(kind, "less"))
        return said("good", REFERENCE, KOBO - 1, "NGN");
    if (!strcmp(kind, "more"))
        return said("good", REFERENCE, KOBO + 1, "NGN");
    if (!strcmp(kind, "dollars"))
        return said("good", REFERENCE, KOBO, "USD");
    if (!strcmp(kind, "other"))
        return said("good", "TXN-OTHER", KOBO, "NGN");
    if (!strcmp(kind, "validation"))
        return error("validation_error", "invalid", "The authorisation is not valid");
    if (!strcmp(kind, "unknown"))
        return error("api_error", "unknown", "no such address");
    if (!strcmp(kind, "nonsense"))
        return "<html>";
    if (!strcmp(kind, "hostile"))
        return "{\"status\":{\"a\":[1]},\"data\":[{\"status\":\"success\"}]}";
    if (!strcmp(kind, "envelope")) /* success inside an envelope of none */
        return is_paystack() ? "{\"data\":{\"status\":\"success\"}}" : "{\"data\":{\"status\":\"successful\"}}";
    if (!strcmp(kind, "lost"))
        return "{\"not_arrived\":true}";
    return said(kind, REFERENCE, KOBO, "NGN");
}

START_TEST(answer_of_a_charge)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    call_answered("charge.reply", charges[_i].outcome, charges[_i].status, body_of(charges[_i].kind));
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    ck_assert_msg(!strcmp(word("status"), charges[_i].settles), "%s: %s", charges[_i].kind, word("status"));
    ck_assert_str_eq(word("error_code"), charges[_i].code);
    ck_assert_str_eq(word("reference"), REFERENCE);
    const json_t *technical = json_object_get(settled, "technical");
    ck_assert_int_eq(technical ? json_is_true(technical) : -1, charges[_i].technical);
    if (!strcmp(charges[_i].settles, "succeeded")) {
        ck_assert_int_eq(cvm_json_int(settled, "amount_kobo", 0), KOBO);
        ck_assert_str_eq(word("authorization"), "AUTH_x");
    }
}
END_TEST

START_TEST(a_wrong_key_is_told)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    call_answered("charge.reply", CVM_REPLIED, 401, error("validation_error", "invalid_key", "Invalid key"));
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    ck_assert_str_eq(emitted_type, "provider.alert");
    secret_result = CVM_ENOENT;
    ck_assert_int_eq(charge(), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
}
END_TEST

START_TEST(a_duplicate_is_ours)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    call_answered("charge.reply", CVM_REPLIED, 400, duplicate());
    ck_assert_int_eq(settled_outcome, -1);
    ck_assert_str_eq(call_name, "recheck");
    call_answered("recheck.reply", CVM_REPLIED, 200, good());
    ck_assert_str_eq(word("status"), "succeeded");
    /* The same reference for another sum is not it. */
    json_t *other = order();
    json_object_set_new(other, "amount_kobo", json_integer(KOBO * 2));
    ck_assert_int_eq(turn("charge", 0, asker, other, now + 45000), CVM_PENDING);
    call_answered("charge.reply", CVM_REPLIED, 400, duplicate());
    call_answered("recheck.reply", CVM_REPLIED, 200, said("good", REFERENCE, KOBO * 2, "NGN"));
    ck_assert_str_eq(word("status"), "unknown");
    ck_assert_int_eq(charge(), CVM_PENDING);
    call_answered("charge.reply", CVM_REPLIED, 400, duplicate());
    call_answered("recheck.reply", CVM_REPLIED, 503, "{}");
    ck_assert_str_eq(word("status"), "unknown");
}
END_TEST

static const json_t *looked_up(int outcome, int status, const char *body)
{
    ck_assert_int_eq(
        turn("verify_charge", 0, asker, json_pack("{s:s, s:s, s:n}", "call", "charge", "key", REFERENCE, "request"), 0),
        CVM_PENDING);
    ck_assert_str_eq(call_name, "outcome");
    call_answered("outcome.reply", outcome, status, body);
    return settled;
}

START_TEST(a_lost_charge_is_looked_up)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    ck_assert(cvm_json_bool(looked_up(CVM_TIMEOUT, 0, ""), "pending", false));
    ck_assert(cvm_json_bool(looked_up(CVM_REPLIED, 503, "{}"), "pending", false));
    ck_assert(cvm_json_bool(looked_up(CVM_REPLIED, 401, "{}"), "pending", false));
    ck_assert(cvm_json_bool(looked_up(CVM_REPLIED, 200, said("pending", REFERENCE, KOBO, "NGN")), "pending", false));
    ck_assert(cvm_json_bool(looked_up(CVM_REPLIED, 200, good()), "found", false));
    ck_assert(cvm_json_bool(looked_up(CVM_REPLIED, 200, said("failed", REFERENCE, KOBO, "NGN")), "found", false));
    ck_assert(!cvm_json_bool(looked_up(CVM_REPLIED, 400, not_found()), "found", true)); /* sent again */
    const json_t *second = looked_up(CVM_REPLIED, 400, not_found());                    /* but once */
    ck_assert(cvm_json_bool(second, "found", false));
    ck_assert(cvm_json_bool(json_object_get(second, "result"), "not_arrived", false));
}
END_TEST

/* ---- verify ---- */

static const struct {
    int status;
    const char *kind, *settles;
    bool alerts;
} verifies[] = {
    {200, "good", "succeeded", false},   {200, "failed", "failed", false},    {200, "pending", "pending", false},
    {200, "less", "succeeded", true}, /* with what was paid: the asker compares */
    {200, "dollars", "unknown", true},   {200, "other", "unknown", true},     {400, "not found", "not_found", false},
    {503, "nonsense", "unknown", false}, {200, "nonsense", "unknown", false}, {401, "nonsense", "unknown", true},
    {404, "nonsense", "unknown", false}, {200, "hostile", "unknown", false},
};

START_TEST(answer_of_a_query)
{
    ck_assert_int_eq(charge(), CVM_PENDING);
    ck_assert_int_eq(turn("verify", 0, asker, reference(), 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "status");
    ck_assert_str_eq(call_path, is_paystack() ? "/transaction/verify/" REFERENCE : "/transactions/verify_by_reference");
    if (!is_paystack())
        ck_assert_str_eq(cvm_json_str(json_object_get(called, "query"), "tx_ref", ""), REFERENCE);
    call_answered("status.reply", CVM_REPLIED, verifies[_i].status,
                  strcmp(verifies[_i].kind, "not found") ? body_of(verifies[_i].kind) : not_found());
    ck_assert_msg(!strcmp(word("status"), verifies[_i].settles), "%s: %s", verifies[_i].kind, word("status"));
    ck_assert_str_eq(emitted_type, verifies[_i].alerts ? "provider.alert" : "");
    if (!strcmp(verifies[_i].kind, "less"))
        ck_assert_int_eq(cvm_json_int(settled, "amount_kobo", 0), KOBO - 1);
}
END_TEST

START_TEST(what_is_abandoned_may_be_paid_yet)
{
    if (!is_paystack())
        return;
    json_t *link = order();
    ck_assert_int_eq(turn("link", 0, asker, link, now + 45000), CVM_PENDING);
    ck_assert_int_eq(turn("verify", 0, asker, reference(), 0), CVM_PENDING);
    call_answered("status.reply", CVM_REPLIED, 200, said("abandoned", REFERENCE, KOBO, "NGN"));
    ck_assert_str_eq(word("status"), "pending");
    json_object_clear(state);
    ck_assert_int_eq(charge(), CVM_PENDING);
    call_answered("charge.reply", CVM_REPLIED, 200, said("abandoned", REFERENCE, KOBO, "NGN"));
    ck_assert_str_eq(word("status"), "failed");
}
END_TEST

/* ---- link ---- */

START_TEST(a_link)
{
    const char *url = "https://checkout.example/x1";
    ck_assert_int_eq(turn("link", 0, asker, order(), now + 45000), CVM_PENDING);
    ck_assert_str_eq(call_path, is_paystack() ? "/transaction/initialize" : "/payments");
    sent("amount", is_paystack() ? "500050" : "\"5000.50\"");
    if (is_paystack())
        sent("callback_url", "\"https://shop.example/back\"");
    else
        sent("redirect_url", "\"https://shop.example/back\"");
    call_answered("link.reply", CVM_REPLIED, 200,
                  is_paystack() ? format("{\"status\":true,\"data\":{\"authorization_url\":\"%s\"}}", url)
                                : format("{\"status\":\"success\",\"data\":{\"link\":\"%s\"}}", url));
    ck_assert_str_eq(word("url"), url);
    ck_assert_int_eq(turn("link", 0, asker, order(), now + 45000), CVM_OK); /* the same again */
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("url"), url);
}
END_TEST

START_TEST(no_link)
{
    static const char *const urls[] = {"", "javascript:alert(1)", "http://elsewhere.example/", "https:/x", "ftp://x"};
    for (size_t i = 0; i < 7; i++) {
        json_object_clear(state);
        ck_assert_int_eq(turn("link", 0, asker, order(), now + 45000), CVM_PENDING);
        if (i < 5)
            call_answered("link.reply", CVM_REPLIED, 200,
                          is_paystack() ? format("{\"status\":true,\"data\":{\"authorization_url\":\"%s\"}}", urls[i])
                                        : format("{\"status\":\"success\",\"data\":{\"link\":\"%s\"}}", urls[i]));
        else
            call_answered("link.reply", i == 5 ? CVM_UNKNOWN : CVM_REPLIED, 400, duplicate());
        ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    }
}
END_TEST

/* ---- refund ---- */

static void refund_begun(const char *state_of_payment)
{
    ck_assert_int_eq(
        turn("refund", 0, asker,
             json_pack("{s:s, s:i, s:s}", "reference", REFERENCE, "amount_kobo", KOBO, "refund_reference", "RFD-1"), 0),
        CVM_PENDING);
    ck_assert_str_eq(call_name, "refund_check");
    call_answered("refund_check.reply", CVM_REPLIED, 200, state_of_payment);
}

static const char *refunded(const char *status)
{
    return is_paystack() ? format("{\"status\":true,\"data\":{\"status\":\"%s\"}}", status)
                         : format("{\"status\":\"success\",\"data\":{\"status\":\"%s\"}}", status);
}

START_TEST(a_refund_is_asked_for_once)
{
    refund_begun(good());
    ck_assert_str_eq(call_name, "refund");
    ck_assert_str_eq(call_path, is_paystack() ? "/refund" : "/transactions/3021/refund");
    sent("amount", is_paystack() ? "500050" : "\"5000.50\"");
    if (is_paystack())
        sent("transaction", "\"" REFERENCE "\"");
    call_answered("refund.reply", CVM_UNKNOWN, 0, "");
    ck_assert_str_eq(word("status"), "unknown");
    refund_begun(good()); /* nobody knows whether it was given back: it is not given back again */
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("status"), "unknown");
    refund_begun(said("reversed", REFERENCE, KOBO, "NGN"));
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("status"), "succeeded");
}
END_TEST

static const struct {
    int outcome, status;
    const char *word, *settles;
} refunds[] = {
    {CVM_REPLIED, 200, "pending", "pending"}, {CVM_REPLIED, 200, "failed", "failed"}, {CVM_REPLIED, 200, "", "unknown"},
    {CVM_REPLIED, 502, "pending", "unknown"}, {CVM_ERROR, 0, "", "failed"},           {CVM_TIMEOUT, 0, "", "unknown"},
    {CVM_REPLIED, 401, "", "failed"},
};

START_TEST(answer_of_a_refund)
{
    refund_begun(good());
    call_answered("refund.reply", refunds[_i].outcome, refunds[_i].status, refunded(refunds[_i].word));
    ck_assert_msg(!strcmp(word("status"), refunds[_i].settles), "%s: %s", refunds[_i].word, word("status"));
    if (!strcmp(refunds[_i].settles, "failed")) {
        refund_begun(good()); /* which may be tried again */
        ck_assert_str_eq(call_name, "refund");
    }
}
END_TEST

START_TEST(a_refund_that_is_done)
{
    refund_begun(good());
    call_answered("refund.reply", CVM_REPLIED, 200, refunded(is_paystack() ? "processed" : "completed"));
    ck_assert_str_eq(word("status"), "succeeded");
    refund_begun(good());
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("status"), "succeeded");
    json_object_clear(state);
    refund_begun(said("failed", REFERENCE, KOBO, "NGN"));
    ck_assert_str_eq(word("status"), "failed");
    ck_assert_str_eq(word("error_code"), "NOT_PAID");
}
END_TEST

/* ---- webhooks ---- */

#define PAYSTACK_BODY                                                                                                  \
    "{\"event\":\"charge.success\",\"data\":{\"reference\":\"CVM-1\",\"amount\":500000,\"currency\":\"NGN\","          \
    "\"status\":"                                                                                                      \
    "\"success\"}}"
#define PAYSTACK_MAC                                                                                                   \
    "3d2cd1365110d6f46220457fb6f3beb70790ae77aee1c283a74491d98ac60037de83d9d1dfcbf188c03c8abacc94e5c44ff990c96ef4ba57" \
    "7ed0"                                                                                                             \
    "ef9beaa1aa8b"
#define FLUTTERWAVE_BODY                                                                                               \
    "{\"event\":\"charge.completed\",\"data\":{\"id\":1,\"tx_ref\":\"CVM-1\",\"amount\":5000,\"currency\":\"NGN\","    \
    "\"status\":"                                                                                                      \
    "\"successful\"}}"
#define FLUTTERWAVE_MAC "v16+ftTZIRbB8+bRQz0z2fcRKYq37LkjCIZE2/rePjY="

static const char *vector_body(void)
{
    return is_paystack() ? PAYSTACK_BODY : FLUTTERWAVE_BODY;
}

static const char *vector_mac(void)
{
    return is_paystack() ? PAYSTACK_MAC : FLUTTERWAVE_MAC;
}

/* Gives the status of HTTP. */
static int hook_with(const char *header, const char *value, const char *raw)
{
    char body[4096];
    base64_write((const uint8_t *)raw, strlen(raw), body);
    ck_assert_int_eq(turn("webhook", 0, asker, json_pack("{s:{s:s}, s:s}", "headers", header, value, "body", body), 0),
                     CVM_OK);
    return (int)cvm_json_int(settled, "status", 0);
}

static int hook(const char *value, const char *raw)
{
    return hook_with(is_paystack() ? "x-paystack-signature" : "flutterwave-signature", value, raw);
}

static void with_the_vectors_key(void)
{
    secret_value = is_paystack() ? "sk_test_cvmhost" : "flw-secret-hash";
}

static int64_t counted(const char *what)
{
    char key[64];
    snprintf(key, sizeof key, "count/%s", what);
    return json_integer_value(json_object_get(state, key));
}

START_TEST(a_webhook_of_the_provider)
{
    with_the_vectors_key();
    ck_assert_int_eq(hook(vector_mac(), vector_body()), 200);
    ck_assert_str_eq(call_name, "confirm");
    ck_assert_int_eq(counted("accepted"), 1);
    ck_assert_int_eq(hook(vector_mac(), vector_body()), 200); /* again: no effect */
    ck_assert_str_eq(call_name, "");
    ck_assert_int_eq(n_emitted, 0);
    ck_assert_int_eq(counted("repeated"), 1);
    call_answered("confirm.reply", CVM_REPLIED, 503, "{}"); /* it is asked again */
    ck_assert_int_eq(timer_ms, 2000);
    ck_assert_int_eq(turn("confirm_due", 0, asker, json_object(), 0), CVM_OK);
    ck_assert_str_eq(call_name, "confirm");
    call_answered("confirm.reply", CVM_REPLIED, 200, said("pending", "CVM-1", 500000, "NGN")); /* it was quicker */
    ck_assert_int_eq(n_emitted, 0);
    ck_assert_int_eq(timer_ms, 5000);
    ck_assert_int_eq(turn("confirm_due", 0, asker, json_object(), 0), CVM_OK);
    call_answered("confirm.reply", CVM_REPLIED, 200, said("good", "CVM-1", 500000, "NGN"));
    ck_assert_str_eq(emitted_type, "payment_event");
    ck_assert_str_eq(emitted_to, "service.transaction");
    ck_assert_str_eq(cvm_json_str(emitted, "provider", ""), gateway.name);
    ck_assert_str_eq(cvm_json_str(emitted, "reference", ""), "CVM-1");
    ck_assert_str_eq(cvm_json_str(emitted, "status", ""), "succeeded");
    ck_assert_int_eq(cvm_json_int(emitted, "amount_kobo", 0), 500000);
    ck_assert_int_eq(turn("payment_event.reply", CVM_REPLIED, asker, json_pack("{s:b}", "accepted", 1), 0), CVM_OK);
    ck_assert_int_eq(turn("confirm_due", 0, asker, json_object(), 0), CVM_OK);
    ck_assert_str_eq(call_name, ""); /* it is over */
}
END_TEST

START_TEST(a_forged_webhook)
{
    char mac[160];
    with_the_vectors_key();
    snprintf(mac, sizeof mac, "%s", vector_mac());
    for (size_t i = 0; i < strlen(mac); i += 7) { /* one wrong letter anywhere */
        char was = mac[i];
        mac[i] = was == 'a' ? 'b' : 'a';
        ck_assert_int_eq(hook(mac, vector_body()), 401);
        mac[i] = was;
    }
    mac[strlen(mac) - 1] = '\0';
    ck_assert_int_eq(hook(mac, vector_body()), 401);
    ck_assert_int_eq(hook("", vector_body()), 401);
    ck_assert_int_eq(hook_with("x-other", vector_mac(), vector_body()), 401);
    ck_assert_int_eq(hook(vector_mac(), format("%s ", vector_body())), 401); /* one byte more */
    ck_assert_int_eq(hook(secret_value, vector_body()), 401);
    ck_assert_int_gt(counted("forged"), 5);
    ck_assert_int_eq(counted("accepted"), 0);
    ck_assert_str_eq(call_name, "");
    ck_assert_int_eq(n_emitted, 0);
    ck_assert_uint_eq(json_object_size(state), 1); /* the count, nothing else */
    secret_result = CVM_ENOENT;
    ck_assert_int_eq(hook(vector_mac(), vector_body()), 503);
}
END_TEST

START_TEST(the_hash_itself_is_a_switch)
{
    if (is_paystack())
        return;
    with_the_vectors_key();
    ck_assert_int_eq(hook_with("verif-hash", "flw-secret-hash", FLUTTERWAVE_BODY), 401);
    json_object_set_new(settings, "webhook_check", json_string("hash"));
    ck_assert_int_eq(hook_with("verif-hash", "flw-secret-hash", FLUTTERWAVE_BODY), 200);
    ck_assert_int_eq(hook_with("flutterwave-signature", "flw-secret-hash", FLUTTERWAVE_BODY), 200);
    ck_assert_int_eq(hook_with("verif-hash", "flw-secret-hasH", FLUTTERWAVE_BODY), 401);
    ck_assert_int_eq(hook_with("flutterwave-signature", FLUTTERWAVE_MAC, FLUTTERWAVE_BODY), 401);
}
END_TEST

/* Signs anything as the provider would. */
static int signed_hook(const char *raw)
{
    uint8_t mac[CVM_MAC_MAX];
    char text[2 * CVM_MAC_MAX + 1] = "";
    extern size_t harness__hmac(bool, const void *, size_t, const void *, size_t, uint8_t[64]);
    size_t n = harness__hmac(is_paystack(), secret_value, strlen(secret_value), raw, strlen(raw), mac);
    if (!is_paystack())
        base64_write(mac, n, text);
    for (size_t i = 0; is_paystack() && i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", mac[i]);
    return hook(text, raw);
}

START_TEST(signed_nonsense_is_ignored)
{
    static const char *const raws[] = {"",
                                       "x",
                                       "[]",
                                       "{}",
                                       "{\"event\":7}",
                                       "{\"event\":\"transfer.success\",\"data\":{}}",
                                       "{\"event\":\"charge.success\",\"data\":{\"reference\":\"a/../b\"}}",
                                       "{\"event\":\"charge.completed\",\"data\":{\"tx_ref\":\"a b\"}}",
                                       "{\"event\":\"charge.completed\",\"data\":[\"tx_ref\"]}",
                                       "{\"type\":\"charge.completed\",\"data\":{\"reference\":\"\"}}"};
    for (size_t i = 0; i < sizeof raws / sizeof raws[0]; i++) {
        ck_assert_int_eq(signed_hook(raws[i]), 200);
        ck_assert_str_eq(call_name, "");
    }
    ck_assert_int_eq(counted("ignored"), (int)(sizeof raws / sizeof raws[0]));
}
END_TEST

START_TEST(a_webhook_of_version_four)
{
    if (is_paystack())
        return;
    ck_assert_int_eq(
        signed_hook(
            "{\"type\":\"charge.completed\",\"id\":\"wbk_1\",\"timestamp\":1,\"data\":{\"id\":\"chg_1\",\"status\":"
            "\"succeeded\",\"reference\":\"" REFERENCE "\",\"amount\":5000.50,\"currency\":\"NGN\"}}"),
        200);
    ck_assert_str_eq(call_name, "confirm");
}
END_TEST

START_TEST(what_the_provider_does_not_know_is_nobodys)
{
    ck_assert_int_eq(signed_hook(vector_body()), 200);
    call_answered("confirm.reply", CVM_REPLIED, 400, not_found());
    ck_assert_int_eq(n_emitted, 0);
    ck_assert_int_eq(counted("unconfirmed"), 1);
    json_object_clear(state);
    ck_assert_int_eq(signed_hook(vector_body()), 200);
    call_answered("confirm.reply", CVM_REPLIED, 200, said("good", "CVM-1", 500000, "USD"));
    ck_assert_int_eq(n_emitted, 0);
    json_object_clear(state);
    ck_assert_int_eq(signed_hook(vector_body()), 200);
    for (int i = 0; i < 11; i++)
        call_answered("confirm.reply", CVM_TIMEOUT, 0, "");
    call_answered("confirm.reply", CVM_TIMEOUT, 0, "");
    ck_assert_str_eq(emitted_type, "provider.alert");
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

int main(void)
{
    Suite *s = suite_create("provider_payment");
    TCase *c = tcase_create("payment");
    tcase_add_checked_fixture(c, setup, provider_end);
    tcase_add_test(c, charge_call);
    tcase_add_loop_test(c, answer_of_a_charge, 0, COUNT(charges));
    tcase_add_test(c, a_wrong_key_is_told);
    tcase_add_test(c, a_duplicate_is_ours);
    tcase_add_test(c, a_lost_charge_is_looked_up);
    tcase_add_loop_test(c, answer_of_a_query, 0, COUNT(verifies));
    tcase_add_test(c, what_is_abandoned_may_be_paid_yet);
    tcase_add_test(c, a_link);
    tcase_add_test(c, no_link);
    tcase_add_test(c, a_refund_is_asked_for_once);
    tcase_add_loop_test(c, answer_of_a_refund, 0, COUNT(refunds));
    tcase_add_test(c, a_refund_that_is_done);
    tcase_add_test(c, a_webhook_of_the_provider);
    tcase_add_test(c, a_forged_webhook);
    tcase_add_test(c, the_hash_itself_is_a_switch);
    tcase_add_test(c, signed_nonsense_is_ignored);
    tcase_add_test(c, a_webhook_of_version_four);
    tcase_add_test(c, what_the_provider_does_not_know_is_nobodys);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
