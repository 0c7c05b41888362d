/* The payment provider Flutterwave (version 3 of its interface, webhooks of 3 and 4): the paths, bodies and signatures
 * in which it differs; common/payment.c does the rest. Its sums are naira. Loop thread. */
#include "../common/encoding.h"
#include "../common/payment.h"

#include <stdio.h>

#define ID "provider.payment.flutterwave"

/* ---- calls ---- */

static json_t *charge_body(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "token", cvm_json_str(m->data, "authorization", ""), "currency",
                     cvm_json_str(m->data, "currency", "NGN"), "country", "NG", "amount",
                     naira_write(cvm_json_int(m->data, "amount_kobo", 0)), "email", cvm_json_str(m->data, "email", ""),
                     "tx_ref", cvm_json_str(m->data, "reference", ""));
}

static json_t *link_body(cvm_turn *t, const cvm_msg *m)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:{s:s}}", "tx_ref", cvm_json_str(m->data, "reference", ""), "amount",
                     naira_write(cvm_json_int(m->data, "amount_kobo", 0)), "currency",
                     cvm_json_str(m->data, "currency", "NGN"), "redirect_url",
                     cvm_json_str(cvm_settings(t), "callback_url", ""), "customer", "email",
                     cvm_json_str(m->data, "email", ""));
}

static void verify_call(const char *reference, char ret_path[PAYMENT_PATH_SIZE], json_t **ret_query)
{
    snprintf(ret_path, PAYMENT_PATH_SIZE, "/transactions/verify_by_reference");
    *ret_query = json_pack("{s:s}", "tx_ref", reference);
}

static json_t *refund_call(const struct payment *payment, int64_t kobo, char ret_path[PAYMENT_PATH_SIZE])
{
    snprintf(ret_path, PAYMENT_PATH_SIZE, "/transactions/%s/refund", payment->id);
    return json_pack("{s:o}", "amount", naira_write(kobo));
}

/* ---- answers ---- */

static enum payment_state by_word(const char *word)
{
    static const struct {
        const char *word;
        enum payment_state state;
    } words[] = {{"successful", PAYMENT_SUCCEEDED}, {"succeeded", PAYMENT_SUCCEEDED}, {"failed", PAYMENT_FAILED},
                 {"cancelled", PAYMENT_ABANDONED},  {"reversed", PAYMENT_REVERSED},   {"refunded", PAYMENT_REVERSED}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].state;
    return *word ? PAYMENT_PENDING : PAYMENT_UNKNOWN;
}

/* {"status": "error", "message"}: there is no code. */
static enum payment_state by_error(int64_t http_status, const json_t *body)
{
    const char *message = cvm_json_str(body, "message", "");
    if (payment_by_status(http_status) != PAYMENT_UNKNOWN)
        return payment_by_status(http_status);
    if (payment_says(message, "duplicate"))
        return PAYMENT_DUPLICATE;
    if (payment_says(message, "no transaction was found"))
        return PAYMENT_NOT_FOUND;
    if (http_status == 404)
        return PAYMENT_TROUBLE;
    return http_status >= 400 && http_status < 500 && http_status != 408 ? PAYMENT_FAILED : PAYMENT_UNKNOWN;
}

static struct payment read_payment(int64_t http_status, const json_t *body)
{
    const json_t *data = json_object_get(body, "data");
    const char *envelope = cvm_json_str(body, "status", "");
    struct payment p = {.reference = cvm_json_str(data, "tx_ref", ""),
                        .currency = cvm_json_str(data, "currency", ""),
                        .message = cvm_json_str(data, "processor_response", cvm_json_str(body, "message", "")),
                        .authorization = cvm_json_str(json_object_get(data, "card"), "token", ""),
                        .email = cvm_json_str(json_object_get(data, "customer"), "email", "")};
    char id[PAYMENT_TEXT_SIZE];
    snprintf(p.id, sizeof p.id, "%.31s", payment_text(data, "id", id));
    if (naira_read(json_object_get(data, "amount"), &p.kobo) < 0)
        p.kobo = -1;
    if (cvm_json_bool(body, "not_arrived", false))
        p.state = PAYMENT_TROUBLE;
    else if (strcmp(envelope, "error") == 0)
        p.state = by_error(http_status, body);
    else if (http_status == 200 && strcmp(envelope, "success") == 0)
        p.state = by_word(cvm_json_str(data, "status", ""));
    else
        p.state = payment_by_status(http_status);
    if (p.state == PAYMENT_SUCCEEDED && strspn(p.id, "0123456789") != strlen(p.id))
        p.state = PAYMENT_UNKNOWN; /* the id becomes part of a path */
    return p;
}

static enum payment_state read_refund(int64_t http_status, const json_t *body)
{
    const char *word = cvm_json_str(json_object_get(body, "data"), "status", "");
    if (strcmp(cvm_json_str(body, "status", ""), "error") == 0)
        return by_error(http_status, body);
    if (http_status != 200 || strcmp(cvm_json_str(body, "status", ""), "success") != 0)
        return payment_by_status(http_status);
    return strncmp(word, "completed", 9) == 0 ? PAYMENT_SUCCEEDED
           : strcmp(word, "failed") == 0      ? PAYMENT_FAILED
           : *word                            ? PAYMENT_PENDING
                                              : PAYMENT_UNKNOWN;
}

static const char *read_link(const json_t *body)
{
    return strcmp(cvm_json_str(body, "status", ""), "success") == 0
               ? cvm_json_str(json_object_get(body, "data"), "link", "")
               : "";
}

/* ---- webhooks ---- */

/* `webhook_check` "hmac": flutterwave-signature is the base64 HMAC-SHA256 of the raw bytes under the secret hash.
 * "hash": verif-hash, or flutterwave-signature, is the secret hash itself. */
static int check_signature(cvm_turn *t, const json_t *headers, const char *raw, size_t len)
{
    const char *secret, *given = cvm_json_str(headers, "flutterwave-signature", "");
    const char *check = cvm_json_str(cvm_settings(t), "webhook_check", "hmac");
    uint8_t mac[CVM_MAC_MAX];
    char text[BASE64_SIZE(CVM_MAC_MAX)];
    if (cvm_secret(t, "FLUTTERWAVE_SECRET_HASH", &secret) < 0 || !*secret)
        return CVM_ENOENT;
    if (strcmp(check, "hash") == 0) {
        const bool first = cvm_same_secret(cvm_json_str(headers, "verif-hash", ""), secret);
        return cvm_same_secret(given, secret) || first ? CVM_OK : CVM_EREFUSED;
    }
    int n = cvm_hmac(t, CVM_SHA256, secret, strlen(secret), raw, len, mac);
    if (n < 0)
        return n;
    base64_write(mac, (size_t)n, text);
    return cvm_same_secret(text, given) ? CVM_OK : CVM_EREFUSED;
}

/* Version 3 says "event" and "tx_ref", version 4 "type" and "reference". */
static void read_event(const json_t *body, struct payment_event *e)
{
    static const char *const kinds[] = {"charge.completed", "charge.failed", "refund.completed"};
    const json_t *data = json_object_get(body, "data");
    const char *event = cvm_json_str(body, "event", cvm_json_str(body, "type", ""));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i], event) == 0)
            e->kind = kinds[i];
    payment_text(body, "id", e->id);
    if (!*e->id)
        payment_text(data, "id", e->id);
    payment_text(data, "status", e->status);
    payment_text(data, "tx_ref", e->reference);
    if (!*e->reference)
        payment_text(data, "reference", e->reference);
}

const struct gateway gateway = {.name = "flutterwave",
                                .people = "Flutterwave",
                                .secret = "FLUTTERWAVE_SECRET_KEY",
                                .charge_body = charge_body,
                                .link_body = link_body,
                                .charge_path = "/tokenized-charges",
                                .link_path = "/payments",
                                .verify_call = verify_call,
                                .refund_call = refund_call,
                                .read = read_payment,
                                .read_refund = read_refund,
                                .read_link = read_link,
                                .check_signature = check_signature,
                                .read_event = read_event};

static const cvm_component components[] = {{.id = ID, .state_version = 1}, {0}};
static const cvm_route routes[] = {PAYMENT_ROUTES(ID), {0}};

CVM_PLUGIN(.name = "flutterwave", .version = "1.0.0", .components = components, .routes = routes);
