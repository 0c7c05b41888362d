/* The turns of a payment provider's interface: the calls it makes, what it remembers of a reference, how each answer
 * ends the request. The first rule: unknown is not failure. "failed" says that no money moved and none will, so only
 * what certainly means that becomes it. Owns the state keys pay/<reference> and pay-at/<time>/.. (for `keep_days`),
 * ask/<request>, link/<reference>, refund/<reference>, lost/<reference>. Loop thread. */
#include "payment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define MARGIN_MS 2000
#define STATUS_TIMEOUT_MS 10000
#define PURGE_BATCH 4
#define DAY_MS INT64_C(86400000)
#define LOST_MAX 2 /* times a reference is not found before its charge is given up; it is sent again in between */

/* ---- readers ---- */

const char *payment_text(const json_t *object, const char *key, char buf[PAYMENT_TEXT_SIZE])
{
    const json_t *v = json_object_get(object, key);
    buf[0] = '\0';
    if (json_is_integer(v))
        snprintf(buf, PAYMENT_TEXT_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_string(v) && json_string_length(v) < PAYMENT_TEXT_SIZE)
        snprintf(buf, PAYMENT_TEXT_SIZE, "%s", json_string_value(v));
    return buf;
}

int64_t payment_whole(const json_t *value)
{
    int64_t kobo;
    const char *text = json_string_value(value);
    if (json_is_integer(value))
        return json_integer_value(value) >= 0 ? (int64_t)json_integer_value(value) : -1;
    if (!text || !*text || strspn(text, "0123456789") != strlen(text) || naira_read_text(text, &kobo) < 0)
        return -1;
    return kobo / 100;
}

bool payment_says(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, n) == 0)
            return true;
    return false;
}

enum payment_state payment_by_status(int64_t http_status)
{
    if (http_status == 401 || http_status == 403)
        return PAYMENT_FAULT;
    return http_status == 429 ? PAYMENT_TROUBLE : PAYMENT_UNKNOWN;
}

struct payment payment_read(const cvm_msg *reply)
{
    struct payment none = {
        .reference = "", .currency = "", .message = "", .authorization = "", .email = "", .kobo = -1};
    const json_t *body = json_object_get(reply->data, "body");
    int64_t status = cvm_json_int(reply->data, "status", 0);
    if (reply->outcome != CVM_REPLIED)
        return none;
    if (!json_is_object(body)) {
        none.state = payment_by_status(status);
        return none;
    }
    return gateway.read(status, body);
}

const char *payment_word(const struct payment *p, const json_t *remembered)
{
    switch (p->state) {
    case PAYMENT_SUCCEEDED:
        return "succeeded";
    case PAYMENT_FAILED:
    case PAYMENT_REVERSED:
        return "failed";
    case PAYMENT_ABANDONED:
        return strcmp(cvm_json_str(remembered, "kind", "link"), "charge") == 0 ? "failed" : "pending";
    case PAYMENT_PENDING:
        return "pending";
    case PAYMENT_NOT_FOUND:
        return "not_found";
    default:
        return "unknown";
    }
}

/* ---- what is remembered of a reference ---- */

int payment_remembered(cvm_turn *t, const char *reference, const json_t **ret_remembered)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "pay/%.64s", reference);
    *ret_remembered = NULL;
    int e = cvm_state_get(t, key, ret_remembered);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int purge(cvm_turn *t)
{
    static const char *const kinds[] = {"pay", "link", "refund", "lost"};
    json_t *pairs = NULL;
    const int64_t keep_ms = cvm_json_int(cvm_settings(t), "keep_days", 100) * DAY_MS;
    CVM_TRY(cvm_state_scan(t, "pay-at/", NULL, PURGE_BATCH, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(pairs) && e >= 0; i++) {
        const char *at = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        int64_t at_ms = 0;
        char reference[PAYMENT_REFERENCE_MAX + 1] = "", key[CVM_STATE_KEY_MAX + 1];
        if (sscanf(at, "pay-at/%15" SCNd64 "/%64[!-~]", &at_ms, reference) != 2 || at_ms + keep_ms > cvm_now_ms(t))
            break;
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && e >= 0; k++) {
            snprintf(key, sizeof key, "%s/%s", kinds[k], reference);
            e = cvm_state_del(t, key);
        }
        if (e >= 0)
            e = cvm_state_del(t, at);
    }
    json_decref(pairs);
    return e;
}

static int remember(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known;
    const char *reference = cvm_json_str(m->data, "reference", "");
    CVM_TRY(payment_remembered(t, reference, &known));
    if (known)
        return CVM_OK;
    CVM_TRY(purge(t));
    snprintf(key, sizeof key, "pay/%.64s", reference);
    CVM_TRY(
        cvm_state_put(t, key,
                      json_pack("{s:I, s:s, s:s}", "amount_kobo", (json_int_t)cvm_json_int(m->data, "amount_kobo", 0),
                                "currency", cvm_json_str(m->data, "currency", "NGN"), "kind", kind)));
    snprintf(key, sizeof key, "pay-at/%015" PRId64 "/%.64s", cvm_now_ms(t), reference);
    return cvm_state_put(t, key, json_true());
}

bool payment_is_of(const struct payment *p, const char *reference, const json_t *remembered)
{
    if (*p->reference && strcmp(p->reference, reference) != 0)
        return false;
    return strcasecmp(p->currency, cvm_json_str(remembered, "currency", "NGN")) == 0;
}

/* ---- how requests end ---- */

int payment_alert(cvm_turn *t, const char *code, const char *scope, const char *message)
{
    cvm_log(t, CVM_LOG_ERROR, "%s: %.32s, %.64s: %.200s", gateway.people, code, scope, message);
    return cvm_publish(
        t, "provider.alert",
        json_pack("{s:s, s:s, s:s, s:s}", "provider", gateway.name, "code", code, "scope", scope, "message", message));
}

int payment_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e; /* its asker has given up */
}

static json_t *failure(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

static int check_setup(cvm_turn *t, const cvm_msg *m)
{
    const char *secret;
    char text[256] = "";
    if (!*cvm_json_str(cvm_settings(t), "base_url", ""))
        snprintf(text, sizeof text, "%s is not configured: set base_url of %s", gateway.people, m->recipient);
    else if (cvm_secret(t, gateway.secret, &secret) < 0)
        snprintf(text, sizeof text, "%s is not configured: set the secret %s", gateway.people, gateway.secret);
    if (!*text)
        return CVM_OK;
    json_t *body = failure("CONFIGURATION", text);
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

/* ---- calls ---- */

static json_t *headers(void)
{
    char value[128];
    snprintf(value, sizeof value, "Bearer ${%s}", gateway.secret);
    return json_pack("{s:s}", "Authorization", value);
}

int payment_ask(cvm_turn *t, const char *call, const char *reference, cvm_id on_behalf)
{
    char path[PAYMENT_PATH_SIZE];
    json_t *query = NULL;
    gateway.verify_call(reference, path, &query);
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = call,
                                      .path = path,
                                      .query = query,
                                      .headers = headers(),
                                      .on_behalf = on_behalf,
                                      .timeout_ms = STATUS_TIMEOUT_MS},
                          NULL);
    json_decref(query);
    return e;
}

static void ask_key(cvm_id id, char key[64])
{
    snprintf(key, 64, "ask/%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

/* Notes what the request `id` is about. Takes `what`. */
static int expect(cvm_turn *t, cvm_id id, json_t *what)
{
    char key[64];
    ask_key(id, key);
    return cvm_state_put(t, key, what);
}

/* What it is about, borrowed; NULL: it has ended. `end`: it ends now. */
static int expected(cvm_turn *t, cvm_id id, bool end, const json_t **ret_what)
{
    char key[64];
    ask_key(id, key);
    *ret_what = NULL;
    int e = cvm_state_get(t, key, ret_what);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    return end ? cvm_state_del(t, key) : CVM_OK;
}

/* Takes `body`. */
static int send(cvm_turn *t, const cvm_msg *m, const char *call, const char *path_setting, const char *path,
                json_t *body)
{
    const char *reference = cvm_json_str(m->data, "reference", "");
    int64_t timeout = cvm_json_int(cvm_settings(t), "timeout_ms", 30000);
    int64_t left = m->deadline_ms ? m->deadline_ms - cvm_now_ms(t) : 2 * timeout;
    return cvm_http_call(
        t,
        &(cvm_call){.size = sizeof(cvm_call),
                    .name = call,
                    .path = cvm_json_str(cvm_settings(t), path_setting, path),
                    .headers = headers(),
                    .body = body,
                    .key = reference,
                    .on_behalf = m->id,
                    .timeout_ms = timeout < left / 2 ? timeout
                                  : left / 2 > 0     ? left / 2
                                                     : 1,
                    .deadline_ms = m->deadline_ms ? m->deadline_ms - (left > 4 * MARGIN_MS ? MARGIN_MS : left / 4) : 0},
        NULL);
}

/* ---- charge ---- */

int payment_charge(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m));
    CVM_TRY(remember(t, m, "charge"));
    CVM_TRY(expect(t, m->id, cvm_json_share(m->data)));
    CVM_TRY(send(t, m, "charge", "charge_path", gateway.charge_path, gateway.charge_body(t, m)));
    return CVM_PENDING;
}

/* The body of a charge's or a query's reply. Gives. */
static json_t *told(const struct payment *p, const char *word, const char *reference)
{
    const bool trouble = p->state == PAYMENT_TROUBLE;
    json_t *body = json_pack("{s:s, s:s}", "status", word, "reference", reference);
    if (!body)
        return NULL;
    if (p->kobo >= 0)
        json_object_set_new(body, "amount_kobo", json_integer(p->kobo));
    if (*p->currency)
        json_object_set_new(body, "currency", json_string(p->currency));
    if (p->state == PAYMENT_SUCCEEDED && *p->authorization)
        json_object_set_new(body, "authorization", json_string(p->authorization));
    if (p->state == PAYMENT_SUCCEEDED && *p->email)
        json_object_set_new(body, "email", json_string(p->email));
    if (strcmp(word, "failed") == 0) {
        json_object_set_new(body, "technical", json_boolean(trouble));
        json_object_set_new(body, "error_code",
                            json_string(trouble                         ? "CONNECTION_ERROR"
                                        : p->state == PAYMENT_REVERSED  ? "REVERSED"
                                        : p->state == PAYMENT_ABANDONED ? "ABANDONED"
                                                                        : "DECLINED"));
        if (*p->message && json_object_set_new(body, "message", json_stringn(p->message, strnlen(p->message, 200))) < 0)
            json_object_set_new(body, "message", json_string("declined"));
    }
    return body;
}

static int end_charge(cvm_turn *t, cvm_id request, const json_t *order, struct payment *p)
{
    const char *reference = cvm_json_str(order, "reference", "");
    const json_t *remembered;
    CVM_TRY(payment_remembered(t, reference, &remembered));
    if (p->state == PAYMENT_FAULT) {
        CVM_TRY(payment_alert(t, "CONFIGURATION", reference, "the key is not accepted"));
        return payment_settle(t, request, CVM_REFUSED,
                              failure("CONFIGURATION", "The provider does not accept our key"));
    }
    if (p->state == PAYMENT_SUCCEEDED &&
        (!payment_is_of(p, reference, remembered) || p->kobo != cvm_json_int(remembered, "amount_kobo", 0))) {
        CVM_TRY(payment_alert(t, "MISMATCH", reference, "another sum, currency or reference than was charged"));
        p->state = PAYMENT_UNKNOWN;
    }
    const char *word = p->state == PAYMENT_TROUBLE ? "failed" : payment_word(p, remembered);
    if (p->state == PAYMENT_NOT_FOUND)
        word = "unknown";
    return payment_settle(t, request, CVM_REPLIED, told(p, word, reference));
}

int payment_charged(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    struct payment p = payment_read(m);
    CVM_TRY(expected(t, m->on_behalf, p.state != PAYMENT_DUPLICATE, &order));
    if (!order)
        return CVM_OK;
    if (p.state == PAYMENT_DUPLICATE) /* ours, from an attempt whose answer was lost */
        return payment_ask(t, "recheck", cvm_json_str(order, "reference", ""), m->on_behalf);
    if (m->outcome == CVM_ERROR || m->outcome == CVM_BUSY || m->outcome == CVM_REFUSED) {
        p.state = PAYMENT_TROUBLE; /* it did not leave */
        p.message = "The provider cannot be reached";
    }
    return end_charge(t, m->on_behalf, order, &p);
}

int payment_rechecked(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    struct payment p = payment_read(m);
    CVM_TRY(expected(t, m->on_behalf, true, &order));
    if (p.state == PAYMENT_TROUBLE || p.state == PAYMENT_FAULT)
        p.state = PAYMENT_UNKNOWN; /* of the query, not of the charge */
    return order ? end_charge(t, m->on_behalf, order, &p) : CVM_OK;
}

/* ---- the host asks what became of a charge ---- */

int payment_verify_charge(cvm_turn *t, const cvm_msg *m)
{
    const char *reference = cvm_json_str(m->data, "key", "");
    CVM_TRY(expect(t, m->id, json_pack("{s:s}", "reference", reference)));
    CVM_TRY(payment_ask(t, "outcome", reference, m->id));
    return CVM_PENDING;
}

/* Not found: sent again, once; not found again, it never arrives there. */
static int lost(cvm_turn *t, cvm_id request, const char *reference)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t n = 0;
    snprintf(key, sizeof key, "lost/%.64s", reference);
    CVM_TRY(cvm_state_int(t, key, &n));
    CVM_TRY(cvm_state_put_int(t, key, n + 1));
    if (n + 1 < LOST_MAX)
        return payment_settle(t, request, CVM_REPLIED, json_pack("{s:b}", "found", 0));
    return payment_settle(t, request, CVM_REPLIED, json_pack("{s:b, s:{s:b}}", "found", 1, "result", "not_arrived", 1));
}

int payment_outcome(cvm_turn *t, const cvm_msg *m)
{
    const json_t *what;
    const struct payment p = payment_read(m);
    CVM_TRY(expected(t, m->on_behalf, true, &what));
    switch (p.state) {
    case PAYMENT_SUCCEEDED:
    case PAYMENT_FAILED:
    case PAYMENT_ABANDONED:
    case PAYMENT_REVERSED:
        return payment_settle(t, m->on_behalf, CVM_REPLIED,
                              json_pack("{s:b, s:O}", "found", 1, "result", json_object_get(m->data, "body")));
    case PAYMENT_NOT_FOUND:
        return lost(t, m->on_behalf, cvm_json_str(what, "reference", ""));
    default:
        return payment_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:b}", "pending", 1));
    }
}

/* ---- verify ---- */

int payment_verify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m));
    CVM_TRY(expect(t, m->id, cvm_json_share(m->data)));
    CVM_TRY(payment_ask(t, "status", cvm_json_str(m->data, "reference", ""), m->id));
    return CVM_PENDING;
}

int payment_status(cvm_turn *t, const cvm_msg *m)
{
    const json_t *asked, *remembered;
    struct payment p = payment_read(m);
    CVM_TRY(expected(t, m->on_behalf, true, &asked));
    if (!asked)
        return CVM_OK;
    const char *reference = cvm_json_str(asked, "reference", "");
    CVM_TRY(payment_remembered(t, reference, &remembered));
    if (p.state == PAYMENT_FAULT)
        CVM_TRY(payment_alert(t, "CONFIGURATION", reference, "the key is not accepted"));
    const int64_t wanted = cvm_json_int(remembered, "amount_kobo", p.kobo);
    if (p.state == PAYMENT_SUCCEEDED && (!payment_is_of(&p, reference, remembered) || p.kobo < 0)) {
        CVM_TRY(payment_alert(t, "MISMATCH", reference, "another currency or reference than was asked for"));
        p.state = PAYMENT_UNKNOWN;
    } else if (p.state == PAYMENT_SUCCEEDED && p.kobo != wanted) { /* who asked gets what was paid, and must compare */
        CVM_TRY(payment_alert(t, "MISMATCH", reference, "another sum than was asked for"));
    }
    return payment_settle(t, m->on_behalf, CVM_REPLIED, told(&p, payment_word(&p, remembered), reference));
}

/* ---- link ---- */

int payment_link(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known = NULL;
    const char *reference = cvm_json_str(m->data, "reference", "");
    CVM_TRY(check_setup(t, m));
    snprintf(key, sizeof key, "link/%.64s", reference);
    int e = cvm_state_get(t, key, &known);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (e == CVM_OK)
        return cvm_reply(t, m, json_pack("{s:O, s:s}", "url", known, "reference", reference));
    CVM_TRY(remember(t, m, "link"));
    CVM_TRY(expect(t, m->id, cvm_json_share(m->data)));
    CVM_TRY(send(t, m, "link", "link_path", gateway.link_path, gateway.link_body(t, m)));
    return CVM_PENDING;
}

int payment_linked(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *order, *body = json_object_get(m->data, "body");
    const int64_t status = m->outcome == CVM_REPLIED ? cvm_json_int(m->data, "status", 0) : 0;
    CVM_TRY(expected(t, m->on_behalf, true, &order));
    if (!order)
        return CVM_OK;
    const char *reference = cvm_json_str(order, "reference", "");
    const char *url = status >= 200 && status < 300 && json_is_object(body) ? gateway.read_link(body) : "";
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://127.0.0.1:", 17) != 0) {
        if (payment_by_status(status) == PAYMENT_FAULT)
            CVM_TRY(payment_alert(t, "CONFIGURATION", reference, "the key is not accepted"));
        /* Whatever became of it there: nobody has the address, so nobody can pay by it. */
        return payment_settle(t, m->on_behalf, CVM_REFUSED,
                              failure("CONNECTION_ERROR", "The provider gave no link; use another reference"));
    }
    snprintf(key, sizeof key, "link/%.64s", reference);
    CVM_TRY(cvm_state_put(t, key, json_string(url)));
    return payment_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:s, s:s}", "url", url, "reference", reference));
}

/* ---- refund ---- */

static void refund_key(const json_t *order, char key[CVM_STATE_KEY_MAX + 1])
{
    const char *reference = cvm_json_str(order, "reference", "");
    snprintf(key, CVM_STATE_KEY_MAX + 1, "refund/%.64s", cvm_json_str(order, "refund_reference", reference));
}

static int end_refund(cvm_turn *t, cvm_id request, const json_t *order, const char *word, const char *code,
                      const char *message)
{
    char key[CVM_STATE_KEY_MAX + 1];
    json_t *body = json_pack("{s:s, s:s}", "status", word, "reference", cvm_json_str(order, "reference", ""));
    refund_key(order, key);
    if (*code) {
        json_object_set_new(body, "error_code", json_string(code));
        json_object_set_new(body, "message", json_string(message));
    }
    if (strcmp(word, "failed") != 0) /* one that certainly failed may be tried again */
        CVM_TRY(cvm_state_put(t, key, json_string(word)));
    else
        CVM_TRY(cvm_state_del(t, key));
    return payment_settle(t, request, CVM_REPLIED, body);
}

/* The payment is looked up first: its state may say that it was given back already, and its id may be needed. */
int payment_refund(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m));
    CVM_TRY(expect(t, m->id, cvm_json_share(m->data)));
    CVM_TRY(payment_ask(t, "refund_check", cvm_json_str(m->data, "reference", ""), m->id));
    return CVM_PENDING;
}

int payment_refund_checked(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1], path[PAYMENT_PATH_SIZE];
    const json_t *order, *known = NULL;
    const struct payment p = payment_read(m);
    CVM_TRY(expected(t, m->on_behalf, false, &order));
    if (!order)
        return CVM_OK;
    const char *reference = cvm_json_str(order, "reference", "");
    refund_key(order, key);
    int e = cvm_state_get(t, key, &known);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    const char *before = json_is_string(known) ? json_string_value(known) : "";
    const json_t *ours;
    CVM_TRY(payment_remembered(t, reference, &ours));
    if (p.state == PAYMENT_SUCCEEDED && !*before && payment_is_of(&p, reference, ours)) {
        json_t *body = gateway.refund_call(&p, cvm_json_int(order, "amount_kobo", 0), path);
        CVM_TRY(cvm_http_call(t,
                              &(cvm_call){.size = sizeof(cvm_call),
                                          .name = "refund",
                                          .path = path,
                                          .headers = headers(),
                                          .body = body,
                                          .key = key,
                                          .on_behalf = m->on_behalf,
                                          .timeout_ms = cvm_json_int(cvm_settings(t), "timeout_ms", 30000)},
                              NULL));
        CVM_TRY(cvm_state_put(t, key, json_string("unknown"))); /* until its answer is here */
        char at[CVM_STATE_KEY_MAX + 1];
        snprintf(at, sizeof at, "pay-at/%015" PRId64 "/%s", cvm_now_ms(t), strchr(key, '/') + 1);
        return cvm_state_put(t, at, json_true());
    }
    char ask[64];
    json_t *ended = json_incref((json_t *)(uintptr_t)order);
    ask_key(m->on_behalf, ask);
    e = cvm_state_del(t, ask);
    if (e >= 0 && p.state == PAYMENT_REVERSED)
        e = end_refund(t, m->on_behalf, ended, "succeeded", "", "");
    else if (e >= 0 && *before) /* asked for already: a second request might give back twice */
        e = end_refund(t, m->on_behalf, ended, before, strcmp(before, "unknown") ? "" : "UNKNOWN",
                       "The provider does not say what became of the refund; look at its dashboard");
    else if (e >= 0 && (p.state == PAYMENT_FAILED || p.state == PAYMENT_NOT_FOUND))
        e = end_refund(t, m->on_behalf, ended, "failed", "NOT_PAID", "There is no such payment to be given back");
    else if (e >= 0) /* nothing was sent */
        e = payment_settle(t, m->on_behalf, CVM_REFUSED,
                           failure("CONNECTION_ERROR", "The provider does not say what became of the payment"));
    json_decref(ended);
    return e;
}

int payment_refunded(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order, *body = json_object_get(m->data, "body");
    CVM_TRY(expected(t, m->on_behalf, true, &order));
    if (!order)
        return CVM_OK;
    const char *reference = cvm_json_str(order, "reference", "");
    const bool unsent = m->outcome == CVM_ERROR || m->outcome == CVM_BUSY || m->outcome == CVM_REFUSED;
    const int64_t status = cvm_json_int(m->data, "status", 0);
    const enum payment_state state = m->outcome != CVM_REPLIED ? PAYMENT_UNKNOWN
                                     : !json_is_object(body)   ? payment_by_status(status)
                                                               : gateway.read_refund(status, body);
    if (unsent || state == PAYMENT_TROUBLE)
        return end_refund(t, m->on_behalf, order, "failed", "CONNECTION_ERROR", "The provider cannot be reached");
    if (state == PAYMENT_FAULT) {
        CVM_TRY(payment_alert(t, "CONFIGURATION", reference, "the key is not accepted"));
        return end_refund(t, m->on_behalf, order, "failed", "CONFIGURATION", "The provider does not accept our key");
    }
    switch (state) {
    case PAYMENT_SUCCEEDED:
        return end_refund(t, m->on_behalf, order, "succeeded", "", "");
    case PAYMENT_PENDING:
        return end_refund(t, m->on_behalf, order, "pending", "", "");
    case PAYMENT_FAILED:
        return end_refund(t, m->on_behalf, order, "failed", "DECLINED", "The provider did not accept the refund");
    default:
        return end_refund(t, m->on_behalf, order, "unknown", "UNKNOWN", "The provider does not say what became of it");
    }
}
