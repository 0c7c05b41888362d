/* The payment provider Paystack: the paths, bodies and signature in which it differs; common/payment.c does the rest.
 * Its sums are kobo. Loop thread. */
#include "../common/payment.h"

#include <stdio.h>

#define ID "provider.payment.paystack"

/* ---- calls ---- */

static json_t *charge_body(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    return json_pack("{s:s, s:I, s:s, s:s, s:s}", "email", cvm_json_str(m->data, "email", ""), "amount",
                     (json_int_t)cvm_json_int(m->data, "amount_kobo", 0), "currency",
                     cvm_json_str(m->data, "currency", "NGN"), "authorization_code",
                     cvm_json_str(m->data, "authorization", ""), "reference", cvm_json_str(m->data, "reference", ""));
}

static json_t *link_body(cvm_turn *t, const cvm_msg *m)
{
    const char *back = cvm_json_str(cvm_settings(t), "callback_url", "");
    json_t *body =
        json_pack("{s:s, s:I, s:s, s:s}", "email", cvm_json_str(m->data, "email", ""), "amount",
                  (json_int_t)cvm_json_int(m->data, "amount_kobo", 0), "currency",
                  cvm_json_str(m->data, "currency", "NGN"), "reference", cvm_json_str(m->data, "reference", ""));
    if (*back)
        json_object_set_new(body, "callback_url", json_string(back));
    return body;
}

static void verify_call(const char *reference, char ret_path[PAYMENT_PATH_SIZE], json_t **ret_query)
{
    snprintf(ret_path, PAYMENT_PATH_SIZE, "/transaction/verify/%.64s", reference);
    *ret_query = NULL;
}

static json_t *refund_call(const struct payment *payment, int64_t kobo, char ret_path[PAYMENT_PATH_SIZE])
{
    snprintf(ret_path, PAYMENT_PATH_SIZE, "/refund");
    return json_pack("{s:s, s:I}", "transaction", payment->reference, "amount", (json_int_t)kobo);
}

/* ---- answers ---- */

static enum payment_state by_word(const char *word)
{
    static const struct {
        const char *word;
        enum payment_state state;
    } words[] = {{"success", PAYMENT_SUCCEEDED},
                 {"failed", PAYMENT_FAILED},
                 {"abandoned", PAYMENT_ABANDONED},
                 {"reversed", PAYMENT_REVERSED}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].state;
    return *word ? PAYMENT_PENDING : PAYMENT_UNKNOWN; /* a word nobody has listed is not final */
}

/* {"status": false, "type", "code"} */
static enum payment_state by_error(int64_t http_status, const json_t *body)
{
    const char *code = cvm_json_str(body, "code", ""), *message = cvm_json_str(body, "message", "");
    const char *type = cvm_json_str(body, "type", "");
    if (payment_by_status(http_status) != PAYMENT_UNKNOWN)
        return payment_by_status(http_status);
    if (strcmp(code, "duplicate_reference") == 0 || payment_says(message, "duplicate transaction reference"))
        return PAYMENT_DUPLICATE;
    if (strcmp(code, "transaction_not_found") == 0 || payment_says(message, "transaction reference not found"))
        return PAYMENT_NOT_FOUND;
    if (http_status < 400 || http_status >= 500 || http_status == 408)
        return PAYMENT_UNKNOWN;
    return strcmp(type, "api_error") == 0 || strcmp(type, "processor_error") == 0 || http_status == 404
               ? PAYMENT_TROUBLE
               : PAYMENT_FAILED;
}

static struct payment read_payment(int64_t http_status, const json_t *body)
{
    const json_t *data = json_object_get(body, "data");
    const json_t *authorization = json_object_get(data, "authorization");
    struct payment p = {.reference = cvm_json_str(data, "reference", ""),
                        .currency = cvm_json_str(data, "currency", ""),
                        .message = cvm_json_str(data, "gateway_response", cvm_json_str(body, "message", "")),
                        .authorization = "",
                        .email = cvm_json_str(json_object_get(data, "customer"), "email", ""),
                        .kobo = payment_whole(json_object_get(data, "amount"))};
    char id[PAYMENT_TEXT_SIZE];
    snprintf(p.id, sizeof p.id, "%.31s", payment_text(data, "id", id));
    if (cvm_json_bool(authorization, "reusable", false))
        p.authorization = cvm_json_str(authorization, "authorization_code", "");
    if (cvm_json_bool(body, "not_arrived", false))
        p.state = PAYMENT_TROUBLE;
    else if (json_is_false(json_object_get(body, "status")))
        p.state = by_error(http_status, body);
    else if (http_status == 200 && json_is_true(json_object_get(body, "status")))
        p.state = by_word(cvm_json_str(data, "status", ""));
    else
        p.state = payment_by_status(http_status);
    return p;
}

static enum payment_state read_refund(int64_t http_status, const json_t *body)
{
    const char *word = cvm_json_str(json_object_get(body, "data"), "status", "");
    if (json_is_false(json_object_get(body, "status")))
        return http_status >= 400 && http_status < 500 ? by_error(http_status, body) : PAYMENT_UNKNOWN;
    if (http_status != 200 || !json_is_true(json_object_get(body, "status")))
        return payment_by_status(http_status);
    return strcmp(word, "processed") == 0                                    ? PAYMENT_SUCCEEDED
           : strcmp(word, "failed") == 0                                     ? PAYMENT_FAILED
           : strcmp(word, "pending") == 0 || strcmp(word, "processing") == 0 ? PAYMENT_PENDING
                                                                             : PAYMENT_UNKNOWN;
}

static const char *read_link(const json_t *body)
{
    return cvm_json_bool(body, "status", false) ? cvm_json_str(json_object_get(body, "data"), "authorization_url", "")
                                                : "";
}

/* ---- webhooks ---- */

/* x-paystack-signature: HMAC-SHA512 of the raw bytes under the secret key, in lower-case hex. */
static int check_signature(cvm_turn *t, const json_t *headers, const char *raw, size_t len)
{
    const char *secret, *given = cvm_json_str(headers, "x-paystack-signature", "");
    uint8_t mac[CVM_MAC_MAX];
    char hex[2 * CVM_MAC_MAX + 1] = "";
    if (cvm_secret(t, "PAYSTACK_SECRET_KEY", &secret) < 0 || !*secret)
        return CVM_ENOENT;
    int n = cvm_hmac(t, CVM_SHA512, secret, strlen(secret), raw, len, mac);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    return cvm_same_secret(hex, given) ? CVM_OK : CVM_EREFUSED;
}

static void read_event(const json_t *body, struct payment_event *e)
{
    static const char *const kinds[] = {"charge.success",       "charge.failed",    "refund.pending",
                                        "refund.processing",    "refund.processed", "refund.failed",
                                        "charge.dispute.create"};
    const json_t *data = json_object_get(body, "data");
    const char *event = cvm_json_str(body, "event", "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i], event) == 0)
            e->kind = kinds[i];
    payment_text(data, "id", e->id);
    payment_text(data, "status", e->status);
    payment_text(data, strncmp(event, "refund.", 7) == 0 ? "transaction_reference" : "reference", e->reference);
    if (!*e->reference)
        payment_text(json_object_get(data, "transaction"), "reference", e->reference);
}

const struct gateway gateway = {.name = "paystack",
                                .people = "Paystack",
                                .secret = "PAYSTACK_SECRET_KEY",
                                .charge_body = charge_body,
                                .link_body = link_body,
                                .charge_path = "/transaction/charge_authorization",
                                .link_path = "/transaction/initialize",
                                .verify_call = verify_call,
                                .refund_call = refund_call,
                                .read = read_payment,
                                .read_refund = read_refund,
                                .read_link = read_link,
                                .check_signature = check_signature,
                                .read_event = read_event};

static const cvm_component components[] = {{.id = ID, .state_version = 1}, {0}};
static const cvm_route routes[] = {PAYMENT_ROUTES(ID), {0}};

CVM_PLUGIN(.name = "paystack", .version = "1.0.0", .components = components, .routes = routes);
