/* The turns of a vendor's interface: the calls it makes, the order it remembers, how each answer settles the request.
 * Knows of the vendor what `vendor` says. Loop thread. */
#include "vendor.h"

#include <cvm/money.h>

#include <inttypes.h>
#include <stdio.h>

#define STATUS_TIMEOUT_MS 10000 /* of a status or balance query */
#define MARGIN_MS 2000          /* the call ends this long before the request, so that its end can still be told */

const char *vendor_setting(cvm_turn *t, const char *name)
{
    return cvm_json_str(cvm_settings(t), name, "");
}

static json_t *failure(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

int vendor_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int vendor_settle_failure(cvm_turn *t, cvm_id request, int outcome, const char *code, const char *message)
{
    json_t *body = failure(code, message);
    json_object_set_new(body, "code", json_string(code));
    return vendor_settle(t, request, outcome, body);
}

int vendor_settle_unanswered(cvm_turn *t, cvm_id request)
{
    return vendor_settle_failure(t, request, CVM_ERROR, "CONNECTION_ERROR", vendor.say.no_answer);
}

/* ---- calls ---- */

int vendor_check_setup(cvm_turn *t, const cvm_msg *m, const char *path_setting)
{
    const char *key, *self = vendor_setting(t, vendor.self), *given = cvm_json_str(m->data, vendor.self, self);
    char text[256] = "";
    if (strcmp(given, self) != 0)
        return cvm_refuse_with(t, failure(vendor.other_code, vendor.say.other));
    if (!*vendor_setting(t, "base_url"))
        snprintf(text, sizeof text, "%s is not configured: set base_url of %s", self, m->recipient);
    else if (!*vendor_setting(t, path_setting))
        snprintf(text, sizeof text, "%s does not offer this: %s of %s is not set", self, path_setting, m->recipient);
    else if (cvm_secret(t, vendor_setting(t, "secret"), &key) < 0)
        snprintf(text, sizeof text, "%s is not configured: set the secret %s", self, vendor_setting(t, "secret"));
    if (!*text)
        return CVM_OK;
    json_t *body = failure("CONFIGURATION", text);
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

int vendor_ask(cvm_turn *t, const char *call, const char *path_setting, json_t *body, json_t *query, cvm_id on_behalf,
               int64_t timeout_ms)
{
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = call,
                                      .path = vendor_setting(t, path_setting),
                                      .query = query,
                                      .headers = vendor.headers(t),
                                      .body = body,
                                      .on_behalf = on_behalf,
                                      .timeout_ms = timeout_ms},
                          NULL);
    json_decref(query);
    return e;
}

static int ask_status(cvm_turn *t, const char *call, const char *reference, cvm_id on_behalf)
{
    return vendor_ask(t, call, "verify_path", NULL, json_pack("{s:s}", "reference", reference), on_behalf,
                      STATUS_TIMEOUT_MS);
}

/* ---- vend ---- */

json_t *vendor_naira(int64_t kobo)
{
    char text[32];
    if (kobo % 100 == 0)
        return json_integer(kobo / 100);
    snprintf(text, sizeof text, "%" PRId64 ".%02d", kobo / 100, (int)(kobo % 100));
    return json_string(text);
}

static void order_key(cvm_id request, char key[64])
{
    snprintf(key, 64, "vend/%016" PRIx64 "%016" PRIx64, request.hi, request.lo);
}

int vendor_vend(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t timeout = cvm_json_int(cvm_settings(t), "timeout_ms", vendor.timeout_ms);
    const char *path = vendor.vend_path ? vendor.vend_path(m) : "vend_path";
    CVM_TRY(vendor_check_setup(t, m, path));

    cvm_call call = {.size = sizeof call,
                     .name = "vend",
                     .path = vendor_setting(t, path),
                     .key = cvm_json_str(m->data, "reference", ""),
                     .on_behalf = m->id,
                     .timeout_ms = timeout};
    if (m->deadline_ms) {
        int64_t left = m->deadline_ms - cvm_now_ms(t);
        call.deadline_ms = m->deadline_ms - (left > 4 * MARGIN_MS ? MARGIN_MS : left / 4);
        if (timeout > left / 2) /* leave as much for finding out what became of a lost answer */
            call.timeout_ms = left > 2 ? left / 2 : 1;
    }
    order_key(m->id, key);
    json_t *order = vendor.order(m);
    if (!order)
        return CVM_ENOMEM; /* as NULL it would delete, and the answer would find nothing to settle */
    CVM_TRY(cvm_state_put(t, key, order));
    call.headers = vendor.headers(t);
    call.body = vendor.vend_body(t, m);
    CVM_TRY(cvm_http_call(t, &call, NULL));
    return CVM_PENDING;
}

/* Settles the vend and forgets the order. */
static int finish(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    char key[64];
    order_key(request, key);
    CVM_TRY(vendor_settle(t, request, outcome, data));
    return cvm_state_del(t, key);
}

static int finish_vended(cvm_turn *t, cvm_id request, const json_t *order, const json_t *body)
{
    json_t *reply = json_object(), *reference = text_member(body, "reference");
    json_object_set_new(reply, "reference",
                        reference ? reference : cvm_json_share(json_object_get(order, "reference")));
    vendor.copy(body, reply);
    return finish(t, request, CVM_REPLIED, reply);
}

/* The order of an open vend, borrowed; NULL where it is settled already. */
static int order_of(cvm_turn *t, cvm_id request, const json_t **ret_order)
{
    char key[64];
    order_key(request, key);
    *ret_order = NULL;
    int e = cvm_state_get(t, key, ret_order);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int vendor_vended(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    char key[64];
    CVM_TRY(order_of(t, m->on_behalf, &order));
    if (!order)
        return CVM_OK;
    struct answer a = vend_answer_read(m, order);
    switch (a.verdict) {
    case VERDICT_DONE:
        return finish_vended(t, m->on_behalf, order, a.body);
    case VERDICT_REFUSED:
        return finish(t, m->on_behalf, CVM_REFUSED, failure(a.code, a.message));
    case VERDICT_UNKNOWN:
        return finish(t, m->on_behalf, CVM_UNKNOWN, failure(a.code, a.message));
    case VERDICT_ASK:
        break;
    }
    if (!*vendor_setting(t, "verify_path"))
        return finish(t, m->on_behalf, CVM_UNKNOWN, failure(a.code, a.message));
    json_t *asked = json_copy((json_t *)(uintptr_t)order); /* a new object: the stored one is frozen */
    json_object_set_new(asked, "answer", json_string(a.code));
    order_key(m->on_behalf, key);
    CVM_TRY(ask_status(t, "check", cvm_json_str(order, "reference", ""), m->on_behalf));
    return cvm_state_put(t, key, asked);
}

/* What the vendor says of an order whose vend answer left it open. */
int vendor_checked(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order, *body = NULL;
    CVM_TRY(order_of(t, m->on_behalf, &order));
    if (!order)
        return CVM_OK;
    bool duplicate = strcmp(cvm_json_str(order, "answer", ""), "DUPLICATE") == 0;
    enum found found = status_answer_read(m, &body);
    bool ours = found == FOUND_DELIVERED && order_matches(order, body);
    if (ours && order_whole(order, body))
        return finish_vended(t, m->on_behalf, order, body);
    if ((found == FOUND_DELIVERED && !ours) || (found == FOUND_NOTHING && duplicate))
        return finish(t, m->on_behalf, CVM_REFUSED, failure("DUPLICATE", vendor.say.duplicate));
    if (found == FOUND_FAILED) {
        struct answer a = refusal_read(body);
        return finish(t, m->on_behalf, CVM_REFUSED, failure(a.code, a.message));
    }
    return finish(t, m->on_behalf, CVM_UNKNOWN, failure("TIMEOUT", vendor.say.undecided));
}

/* ---- the host asks what became of a vend call ---- */

int vendor_verify_vend(cvm_turn *t, const cvm_msg *m)
{
    const json_t *request = json_object_get(m->data, "request");
    const char *reference = cvm_json_str(request, "reference", cvm_json_str(m->data, "key", ""));
    CVM_TRY(vendor_check_setup(t, m, "verify_path"));
    CVM_TRY(ask_status(t, "outcome", reference, m->id));
    return CVM_PENDING;
}

/* A failed vend is "found" too: vend_reply reads the result like any other answer. */
int vendor_outcome(cvm_turn *t, const cvm_msg *m)
{
    const json_t *body = NULL;
    json_t *reply;
    switch (status_answer_read(m, &body)) {
    case FOUND_DELIVERED:
    case FOUND_FAILED:
        reply = json_pack("{s:b, s:o}", "found", 1, "result", cvm_json_share(body));
        break;
    case FOUND_NOTHING:
        reply = json_pack("{s:b}", "found", 0);
        break;
    default:
        reply = json_pack("{s:b}", "pending", 1);
        break;
    }
    return vendor_settle(t, m->on_behalf, CVM_REPLIED, reply);
}

/* ---- verify and balance, for whoever asks ---- */

int vendor_verify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(vendor_check_setup(t, m, "verify_path"));
    CVM_TRY(ask_status(t, "status", cvm_json_str(m->data, "reference", ""), m->id));
    return CVM_PENDING;
}

int vendor_status(cvm_turn *t, const cvm_msg *m)
{
    static const char *const texts[] = {"reference", "error_code", "message"};
    int64_t kobo;
    const json_t *body = NULL;
    enum found found = status_answer_read(m, &body);
    if (found == FOUND_NO_ANSWER)
        return vendor_settle_unanswered(t, m->on_behalf);
    json_t *reply = json_pack("{s:s}", "status", found_word(found));
    vendor.copy(body, reply);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        copy_text(body, texts[i], reply);
    if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) == CVM_OK)
        json_object_set_new(reply, "amount_kobo", json_integer(kobo));
    return vendor_settle(t, m->on_behalf, CVM_REPLIED, reply);
}

int vendor_balance(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(vendor_check_setup(t, m, "balance_path"));
    CVM_TRY(vendor_ask(t, "balance", "balance_path", NULL, NULL, m->id, STATUS_TIMEOUT_MS));
    return CVM_PENDING;
}

int vendor_balance_told(cvm_turn *t, const cvm_msg *m)
{
    int64_t kobo;
    const json_t *body = json_object_get(m->data, "body");
    if (m->outcome != CVM_REPLIED || cvm_json_int(m->data, "status", 0) != 200 ||
        cvm_money_from_json(json_object_get(body, "balance"), &kobo) < 0)
        return vendor_settle_unanswered(t, m->on_behalf);
    return vendor_settle(t, m->on_behalf, CVM_REPLIED,
                         json_pack("{s:s, s:I, s:s}", vendor.self, vendor_setting(t, vendor.self), "balance_kobo",
                                   (json_int_t)kobo, "currency", cvm_json_str(body, "currency", "NGN")));
}

/* ---- statement: what the vendor delivered in a time ---- */

int vendor_statement(cvm_turn *t, const cvm_msg *m)
{
    const json_t *after = json_object_get(m->data, "after");
    if (!*vendor_setting(t, "statement_url"))
        return cvm_refuse_with(t, failure("NOT_OFFERED", "statement_url is not set"));
    json_t *query = json_pack("{s:I, s:I, s:O*}", "since_ms", (json_int_t)cvm_json_int(m->data, "from_ms", 0),
                              "until_ms", (json_int_t)cvm_json_int(m->data, "to_ms", 0), "after", after);
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = "statement_call",
                                      .query = query,
                                      .on_behalf = m->id,
                                      .timeout_ms = STATUS_TIMEOUT_MS},
                          NULL);
    json_decref(query);
    return e < 0 ? e : CVM_PENDING;
}

int vendor_stated(cvm_turn *t, const cvm_msg *m)
{
    static const char *const kept[] = {"reference", "status", "amount_kobo"};
    const json_t *body = json_object_get(m->data, "body"), *entries = json_object_get(body, "entries");
    const char *self = vendor_setting(t, vendor.self);
    if (m->outcome != CVM_REPLIED || cvm_json_int(m->data, "status", 0) != 200 || !json_is_array(entries))
        return vendor_settle_unanswered(t, m->on_behalf);
    json_t *own = json_array();
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        if (strcmp(cvm_json_str(entry, vendor.self, self), self) != 0)
            continue;
        json_t *one = json_object();
        for (size_t k = 0; k < sizeof kept / sizeof kept[0]; k++)
            if (json_object_get(entry, kept[k]))
                json_object_set_new(one, kept[k], cvm_json_share(json_object_get(entry, kept[k])));
        json_array_append_new(own, one);
    }
    return vendor_settle(
        t, m->on_behalf, CVM_REPLIED,
        json_pack("{s:o, s:[s], s:O*}", "entries", own, "covers", self, "after", json_object_get(body, "after")));
}
