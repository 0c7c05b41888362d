/* A payment provider's webhook: its signature is checked over the raw bytes before anything of them is read, a repeated
 * one has no effect, and what it says is asked for again before service.transaction hears of it. Its 200 goes out when
 * the turn is durable. Owns the state keys seen/<digest>, seen-at/<time>/<digest> (for a week), event/<message> and
 * count/<what>. Loop thread. */
#include "payment.h"

#include "encoding.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SAGA "service.transaction"
#define WEEK_MS INT64_C(604800000)
#define PURGE_BATCH 8
#define TRIES_MAX 12
#define DIGEST_SIZE 33

static const char *const counted[] = {"accepted", "repeated", "forged", "ignored", "unconfirmed"};

static int count(cvm_turn *t, const char *what, int64_t *ret_n)
{
    char key[64], metric[64];
    snprintf(metric, sizeof metric, "%s_webhooks_total", gateway.name);
    CVM_TRY(cvm_metric(t, metric, what, 1));
    snprintf(key, sizeof key, "count/%s", what);
    CVM_TRY(cvm_state_int(t, key, ret_n));
    return cvm_state_put_int(t, key, ++*ret_n);
}

int payment_webhook_count(cvm_turn *t, const cvm_msg *m)
{
    json_t *body = json_object();
    int e = CVM_OK;
    for (size_t i = 0; i < sizeof counted / sizeof counted[0] && e >= 0; i++) {
        char key[64];
        int64_t n = 0;
        snprintf(key, sizeof key, "count/%s", counted[i]);
        e = cvm_state_int(t, key, &n);
        json_object_set_new(body, counted[i], json_integer(n));
    }
    if (e < 0) {
        json_decref(body);
        return e;
    }
    return cvm_reply(t, m, body);
}

static int answer(cvm_turn *t, const cvm_msg *m, int status, const char *word)
{
    char body[64];
    snprintf(body, sizeof body, "{\"status\":\"%s\"}", word);
    return cvm_reply(t, m,
                     json_pack("{s:i, s:s, s:s}", "status", status, "content_type", "application/json", "body", body));
}

/* ---- the same one again ---- */

static int digest(cvm_turn *t, const struct payment_event *event, char ret_digest[DIGEST_SIZE])
{
    uint8_t mac[CVM_MAC_MAX];
    char text[4 * PAYMENT_TEXT_SIZE];
    int len =
        snprintf(text, sizeof text, "%.100s\n%s\n%s\n%s", event->kind, event->id, event->reference, event->status);
    int n = cvm_hmac(t, CVM_SHA256, gateway.name, strlen(gateway.name), text, (size_t)len, mac);
    for (int i = 0; i < 16 && i < n; i++)
        snprintf(ret_digest + 2 * i, 3, "%02x", mac[i]);
    return n < 0 ? n : CVM_OK;
}

static int purge(cvm_turn *t)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "seen-at/", NULL, PURGE_BATCH, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(pairs) && e >= 0; i++) {
        const char *at = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        int64_t at_ms = 0;
        char hex[DIGEST_SIZE] = "", key[64];
        if (sscanf(at, "seen-at/%15" SCNd64 "/%32[0-9a-f]", &at_ms, hex) != 2 || at_ms + WEEK_MS > cvm_now_ms(t))
            break;
        snprintf(key, sizeof key, "seen/%s", hex);
        e = cvm_state_del(t, key);
        if (e >= 0)
            e = cvm_state_del(t, at);
    }
    json_decref(pairs);
    return e;
}

/* Whether it came before; notes that it has come now. */
static int seen(cvm_turn *t, const struct payment_event *event, bool *ret_seen)
{
    char hex[DIGEST_SIZE], key[80];
    const json_t *at = NULL;
    CVM_TRY(digest(t, event, hex));
    snprintf(key, sizeof key, "seen/%s", hex);
    int e = cvm_state_get(t, key, &at);
    *ret_seen = e == CVM_OK;
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(purge(t));
    CVM_TRY(cvm_state_put_int(t, key, cvm_now_ms(t)));
    snprintf(key, sizeof key, "seen-at/%015" PRId64 "/%s", cvm_now_ms(t), hex);
    return cvm_state_put(t, key, json_true());
}

/* ---- what comes ---- */

static void event_key(cvm_id id, char key[64])
{
    snprintf(key, 64, "event/%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

static bool is_reference(const char *text)
{
    size_t n = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.=-");
    return n > 0 && n <= PAYMENT_REFERENCE_MAX && !text[n];
}

static int take(cvm_turn *t, const cvm_msg *m, const struct payment_event *event)
{
    char key[64];
    bool repeated = false;
    int64_t n = 0;
    if (!*event->kind || !is_reference(event->reference)) {
        CVM_TRY(count(t, "ignored", &n));
        return answer(t, m, 200, "ignored");
    }
    CVM_TRY(seen(t, event, &repeated));
    CVM_TRY(count(t, repeated ? "repeated" : "accepted", &n));
    if (repeated)
        return answer(t, m, 200, "repeated");
    event_key(m->id, key);
    CVM_TRY(cvm_state_put(t, key,
                          json_pack("{s:s, s:s, s:s, s:i}", "reference", event->reference, "event_id",
                                    *event->id ? event->id : event->reference, "event", event->kind, "tries", 1)));
    CVM_TRY(payment_ask(t, "confirm", event->reference, m->id));
    return answer(t, m, 200, "accepted");
}

int payment_webhook(cvm_turn *t, const cvm_msg *m)
{
    size_t len = 0;
    int64_t n = 0;
    struct payment_event event = {.kind = ""};
    char *raw = base64_read(cvm_json_str(m->data, "body", ""), &len);
    int e = raw ? gateway.check_signature(t, json_object_get(m->data, "headers"), raw, len) : CVM_EREFUSED;
    if (e == CVM_OK) {
        json_t *body = cvm_json_exact(raw, len);
        gateway.read_event(body, &event);
        e = take(t, m, &event);
        json_decref(body);
        free(raw);
        return e;
    }
    free(raw);
    if (e == CVM_ENOENT) /* it will be sent again, to a host that can judge it */
        return answer(t, m, 503, "not configured");
    if (e != CVM_EREFUSED)
        return e;
    CVM_TRY(count(t, "forged", &n));
    if ((n & (n - 1)) == 0)
        cvm_log(t, CVM_LOG_WARNING, "%" PRId64 " webhooks so far had a wrong signature", n);
    return answer(t, m, 401, "refused");
}

/* ---- it is asked for, and told ---- */

static int again(cvm_turn *t, cvm_id id, const json_t *event)
{
    static const int64_t after_ms[] = {2000, 5000, 15000, 60000, 300000};
    char key[64];
    int64_t n = 0, tries = cvm_json_int(event, "tries", 1);
    event_key(id, key);
    if (tries >= TRIES_MAX) {
        CVM_TRY(count(t, "unconfirmed", &n));
        CVM_TRY(payment_alert(t, "UNCONFIRMED", cvm_json_str(event, "reference", ""),
                              "a webhook could not be confirmed; look the payment up"));
        return cvm_state_del(t, key);
    }
    json_t *next = json_copy((json_t *)(uintptr_t)event);
    if (!next)
        return CVM_ENOMEM;
    json_object_set_new(next, "tries", json_integer(tries + 1));
    CVM_TRY(cvm_state_put(t, key, next));
    return cvm_timer(t, "confirm_due", after_ms[tries <= 5 ? tries - 1 : 4], NULL, id, NULL);
}

int payment_confirm_due(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const json_t *event = NULL;
    event_key(m->on_behalf, key);
    int e = cvm_state_get(t, key, &event);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    return payment_ask(t, "confirm", cvm_json_str(event, "reference", ""), m->on_behalf);
}

int payment_confirmed(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t n = 0;
    const json_t *event = NULL, *remembered;
    const struct payment p = payment_read(m);
    event_key(m->on_behalf, key);
    int e = cvm_state_get(t, key, &event);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *reference = cvm_json_str(event, "reference", "");
    CVM_TRY(payment_remembered(t, reference, &remembered));
    const char *word = payment_word(&p, remembered);
    /* A webhook may be quicker than the books behind the query. */
    const char *kind = cvm_json_str(event, "event", "");
    const bool early =
        strcmp(word, "pending") == 0 && (strcmp(kind, "charge.success") == 0 || strcmp(kind, "charge.completed") == 0);
    if (strcmp(word, "unknown") == 0 || early)
        return again(t, m->on_behalf, event);
    if (p.state == PAYMENT_NOT_FOUND || p.kobo < 0 || !payment_is_of(&p, reference, remembered)) {
        CVM_TRY(count(t, "unconfirmed", &n));
        return cvm_state_del(t, key);
    }
    json_t *told = json_pack("{s:s, s:s, s:s, s:I, s:s}", "provider", gateway.name, "reference", reference, "status",
                             word, "amount_kobo", (json_int_t)p.kobo, "event_id", cvm_json_str(event, "event_id", ""));
    e = cvm_request(t, SAGA, "payment_event", told, &(cvm_request_opts){.on_behalf = m->on_behalf});
    if (e == CVM_ENOENT) { /* nobody sells here: then the money is nobody's, and people must know */
        CVM_TRY(count(t, "unconfirmed", &n));
        CVM_TRY(payment_alert(t, "NO_TAKER", reference, "a payment came, and " SAGA " does not take it"));
        return cvm_state_del(t, key);
    }
    return e;
}

int payment_event_taken(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t n = 0;
    const json_t *event = NULL;
    event_key(m->on_behalf, key);
    int e = cvm_state_get(t, key, &event);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED)
        return again(t, m->on_behalf, event);
    if (!cvm_json_bool(m->data, "accepted", true))
        CVM_TRY(count(t, "unconfirmed", &n));
    return cvm_state_del(t, key);
}
