/* The mobile networks' vending interfaces: one provider component a network, the same code for all, told apart by their
 * settings. Sells to nobody and keeps no money: it carries one order to one network and says what became of it.
 *
 * An open vend is remembered in the state under "vend/<request>" until it is settled. When the outcome of the vend call
 * is unknown the host asks verify_vend; when an answer leaves it open, `check` asks the network once by itself. */
#include "answer.h"

#include <cvm/json.h>
#include <cvm/money.h>

#include <inttypes.h>
#include <stdio.h>

#define TIMEOUT_MS 30000        /* of one vend attempt */
#define STATUS_TIMEOUT_MS 10000 /* of a status or balance query */
#define MARGIN_MS 2000          /* the call ends this long before the request, so that its end can still be told */
#define HEADER_MAX 256

static const char *setting(cvm_turn *t, const char *name)
{
    return cvm_json_str(cvm_settings(t), name, "");
}

static json_t *failure(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

/* ---- calls ---- */

/* Refuses the message when this component is not set up for `path_setting`; else CVM_OK. */
static int check_setup(cvm_turn *t, const cvm_msg *m, const char *path_setting)
{
    const char *key, *network = setting(t, "network"), *given = cvm_json_str(m->data, "network", network);
    char text[256] = "";
    if (strcmp(given, network) != 0)
        return cvm_refuse_with(t, failure("INVALID_NETWORK", "The order is for another network"));
    if (!*setting(t, "base_url"))
        snprintf(text, sizeof text, "%s is not configured: set base_url of %s", network, m->recipient);
    else if (!*setting(t, path_setting))
        snprintf(text, sizeof text, "%s does not offer this: %s of %s is not set", network, path_setting, m->recipient);
    else if (cvm_secret(t, setting(t, "secret"), &key) < 0)
        snprintf(text, sizeof text, "%s is not configured: set the secret %s", network, setting(t, "secret"));
    if (!*text)
        return CVM_OK;
    json_t *body = failure("CONFIGURATION", text);
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

static json_t *key_headers(cvm_turn *t)
{
    char value[HEADER_MAX];
    snprintf(value, sizeof value, "%s${%s}", setting(t, "key_prefix"), setting(t, "secret"));
    return json_pack("{s:s}", setting(t, "key_header"), value);
}

/* A status query under the name `call`, whose reply comes as "<call>.reply" with the cookie. */
static int ask_status(cvm_turn *t, const char *call, const char *reference, cvm_id on_behalf)
{
    json_t *query = json_pack("{s:s}", "reference", reference);
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = call,
                                      .path = setting(t, "verify_path"),
                                      .query = query,
                                      .headers = key_headers(t),
                                      .on_behalf = on_behalf,
                                      .timeout_ms = STATUS_TIMEOUT_MS},
                          NULL);
    json_decref(query);
    return e;
}

/* ---- vend ---- */

/* Whole naira as a number, else a decimal string: never a float. */
static json_t *naira(int64_t kobo)
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

static int vend(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const char *phone = cvm_json_str(m->data, "phone", ""), *reference = cvm_json_str(m->data, "reference", "");
    int64_t kobo = cvm_json_int(m->data, "amount_kobo", 0),
            timeout = cvm_json_int(cvm_settings(t), "timeout_ms", TIMEOUT_MS);
    CVM_TRY(check_setup(t, m, "vend_path"));

    cvm_call call = {.size = sizeof call,
                     .name = "vend",
                     .path = setting(t, "vend_path"),
                     .key = reference,
                     .on_behalf = m->id,
                     .timeout_ms = timeout};
    if (m->deadline_ms) {
        int64_t left = m->deadline_ms - cvm_now_ms(t);
        call.deadline_ms = m->deadline_ms - (left > 4 * MARGIN_MS ? MARGIN_MS : left / 4);
        if (timeout > left / 2) /* leave as much for finding out what became of a lost answer */
            call.timeout_ms = left > 2 ? left / 2 : 1;
    }
    order_key(m->id, key);
    json_t *order = order_new(reference, phone, kobo);
    if (!order)
        return CVM_ENOMEM; /* as NULL it would delete, and the answer would find nothing to settle */
    CVM_TRY(cvm_state_put(t, key, order));
    call.headers = key_headers(t);
    call.body = json_pack("{s:s, s:o, s:s, s:s}", "phone_number", phone, "amount", naira(kobo), "network",
                          setting(t, "network"), "reference", reference);
    CVM_TRY(cvm_http_call(t, &call, NULL));
    return CVM_PENDING;
}

/* Settles the vend and forgets the order. Its requester may have given up by now. */
static int finish(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    char key[64];
    order_key(request, key);
    int e = cvm_settle(t, request, outcome, data, NULL);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    return cvm_state_del(t, key);
}

static int finish_vended(cvm_turn *t, cvm_id request, const json_t *order, const json_t *body)
{
    json_t *reference = text_member(body, "reference");
    if (!reference)
        reference = cvm_json_share(json_object_get(order, "reference"));
    return finish(
        t, request, CVM_REPLIED,
        json_pack("{s:o, s:o}", "transaction_id", text_member(body, "transaction_id"), "reference", reference));
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

static int vend_reply(cvm_turn *t, const cvm_msg *m)
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
    if (!*setting(t, "verify_path"))
        return finish(t, m->on_behalf, CVM_UNKNOWN, failure(a.code, a.message));
    json_t *asked = json_copy((json_t *)(uintptr_t)order); /* a new object: the stored one is frozen */
    json_object_set_new(asked, "answer", json_string(a.code));
    order_key(m->on_behalf, key);
    CVM_TRY(ask_status(t, "check", cvm_json_str(order, "reference", ""), m->on_behalf));
    return cvm_state_put(t, key, asked);
}

/* What the network says of an order whose vend answer left it open. */
static int check_reply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order, *body = NULL;
    CVM_TRY(order_of(t, m->on_behalf, &order));
    if (!order)
        return CVM_OK;
    bool duplicate = strcmp(cvm_json_str(order, "answer", ""), "DUPLICATE") == 0;
    enum found found = status_answer_read(m, &body);
    if (found == FOUND_DELIVERED && order_matches(order, body))
        return finish_vended(t, m->on_behalf, order, body);
    if (found == FOUND_DELIVERED || (found == FOUND_NOTHING && duplicate))
        return finish(t, m->on_behalf, CVM_REFUSED,
                      failure("DUPLICATE", "The network has processed such an order already"));
    if (found == FOUND_FAILED) {
        struct answer a = refusal_read(body);
        return finish(t, m->on_behalf, CVM_REFUSED, failure(a.code, a.message));
    }
    return finish(t, m->on_behalf, CVM_UNKNOWN, failure("TIMEOUT", "The network has not decided the order yet"));
}

/* ---- the host asks what became of a vend call ---- */

static int verify_vend(cvm_turn *t, const cvm_msg *m)
{
    const json_t *request = json_object_get(m->data, "request");
    const char *reference = cvm_json_str(request, "reference", cvm_json_str(m->data, "key", ""));
    CVM_TRY(check_setup(t, m, "verify_path"));
    CVM_TRY(ask_status(t, "outcome", reference, m->id));
    return CVM_PENDING;
}

/* A failed vend is "found" too: vend_reply reads the result like any other answer. */
static int outcome_reply(cvm_turn *t, const cvm_msg *m)
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
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, reply, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- verify and balance, for whoever asks ---- */

static int verify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m, "verify_path"));
    CVM_TRY(ask_status(t, "status", cvm_json_str(m->data, "reference", ""), m->id));
    return CVM_PENDING;
}

static int settle_unanswered(cvm_turn *t, cvm_id request)
{
    json_t *body = failure("CONNECTION_ERROR", "The network did not answer; try again later");
    json_object_set_new(body, "code", json_string("CONNECTION_ERROR"));
    int e = cvm_settle(t, request, CVM_ERROR, body, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int status_reply(cvm_turn *t, const cvm_msg *m)
{
    static const char *const texts[] = {"transaction_id", "reference", "error_code", "message"};
    int64_t kobo;
    const json_t *body = NULL;
    enum found found = status_answer_read(m, &body);
    if (found == FOUND_NO_ANSWER)
        return settle_unanswered(t, m->on_behalf);
    json_t *reply = json_pack("{s:s}", "status", found_word(found));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *text = text_member(body, texts[i]);
        if (text)
            json_object_set_new(reply, texts[i], text);
    }
    if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) == CVM_OK)
        json_object_set_new(reply, "amount_kobo", json_integer(kobo));
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, reply, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int balance(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m, "balance_path"));
    CVM_TRY(cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = "balance",
                                      .path = setting(t, "balance_path"),
                                      .headers = key_headers(t),
                                      .on_behalf = m->id,
                                      .timeout_ms = STATUS_TIMEOUT_MS},
                          NULL));
    return CVM_PENDING;
}

static int balance_reply(cvm_turn *t, const cvm_msg *m)
{
    int64_t kobo;
    const json_t *body = json_object_get(m->data, "body");
    if (m->outcome != CVM_REPLIED || cvm_json_int(m->data, "status", 0) != 200 ||
        cvm_money_from_json(json_object_get(body, "balance"), &kobo) < 0)
        return settle_unanswered(t, m->on_behalf);
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:I, s:s}", "network", setting(t, "network"), "balance_kobo", (json_int_t)kobo,
                                 "currency", cvm_json_str(body, "currency", "NGN")),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* clang-format off */
#define ROUTES(id)                                                                                                     \
    {id, "vend", vend}, {id, "vend.reply", vend_reply}, {id, "check.reply", check_reply},                              \
    {id, "verify_vend", verify_vend}, {id, "outcome.reply", outcome_reply},                                            \
    {id, "verify", verify}, {id, "status.reply", status_reply},                                                        \
    {id, "balance", balance}, {id, "balance.reply", balance_reply}

static const cvm_component components[] = {
    {.id = "provider.network.mtn", .state_version = 1}, {.id = "provider.network.airtel", .state_version = 1},
    {.id = "provider.network.glo", .state_version = 1}, {.id = "provider.network.9mobile", .state_version = 1}, {0}};

static const cvm_route routes[] = {ROUTES("provider.network.mtn"), ROUTES("provider.network.airtel"),
                                   ROUTES("provider.network.glo"), ROUTES("provider.network.9mobile"), {0}};
/* clang-format on */

CVM_PLUGIN(.name = "network", .version = "1.0.0", .components = components, .routes = routes);
