/* The electricity distribution companies' interfaces: one provider component a company, the same code for all, told
 * apart by their settings. Sells to nobody and keeps no money: it carries one order to one company and says what became
 * of it, and asks about meters and bills.
 *
 * An open vend is remembered in the state under "vend/<request>" until it is settled. When the outcome of the vend call
 * is unknown the host asks verify_vend; when an answer leaves it open, `check` asks the company once by itself. Meters
 * that were found are remembered for an hour; see cache.c. */
#include "disco.h"

#include <cvm/money.h>

#include <inttypes.h>
#include <stdio.h>

#define VEND_TIMEOUT_MS 45000     /* of one attempt */
#define VALIDATE_TIMEOUT_MS 15000 /* of a validation or bill query */
#define STATUS_TIMEOUT_MS 10000   /* of a status or balance query */
#define MARGIN_MS 2000            /* the call ends this long before the request, so that its end can still be told */
#define HEADER_MAX 256

static const char *setting(cvm_turn *t, const char *name)
{
    return cvm_json_str(cvm_settings(t), name, "");
}

static json_t *failure(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

/* Settles a request whose asker may have given up by now. */
static int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int settle_failure(cvm_turn *t, cvm_id request, int outcome, const char *code, const char *message)
{
    json_t *body = failure(code, message);
    json_object_set_new(body, "code", json_string(code));
    return settle(t, request, outcome, body);
}

/* ---- calls ---- */

/* Refuses the message when this component is not set up for `path_setting`; else CVM_OK. */
static int check_setup(cvm_turn *t, const cvm_msg *m, const char *path_setting)
{
    const char *key, *disco = setting(t, "disco"), *given = cvm_json_str(m->data, "disco", disco);
    char text[256] = "";
    if (strcmp(given, disco) != 0)
        return cvm_refuse_with(t, failure("INVALID_DISCO", "The request is for another distribution company"));
    if (!*setting(t, "base_url"))
        snprintf(text, sizeof text, "%s is not configured: set base_url of %s", disco, m->recipient);
    else if (!*setting(t, path_setting))
        snprintf(text, sizeof text, "%s does not offer this: %s of %s is not set", disco, path_setting, m->recipient);
    else if (cvm_secret(t, setting(t, "secret"), &key) < 0)
        snprintf(text, sizeof text, "%s is not configured: set the secret %s", disco, setting(t, "secret"));
    if (!*text)
        return CVM_OK;
    json_t *body = failure("CONFIGURATION", text);
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

static json_t *key_headers(cvm_turn *t)
{
    char value[HEADER_MAX];
    snprintf(value, sizeof value, "Bearer ${%s}", setting(t, "secret"));
    return json_pack("{s:s}", "Authorization", value);
}

/* A query that changes nothing, under the name `call`; its reply comes as "<call>.reply" with the cookie. Takes `body`
 * and `query`, either of which may be NULL. */
static int ask(cvm_turn *t, const char *call, const char *path_setting, json_t *body, json_t *query, cvm_id on_behalf,
               int64_t timeout_ms)
{
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = call,
                                      .path = setting(t, path_setting),
                                      .query = query,
                                      .headers = key_headers(t),
                                      .body = body,
                                      .on_behalf = on_behalf,
                                      .timeout_ms = timeout_ms},
                          NULL);
    json_decref(query);
    return e;
}

static int ask_status(cvm_turn *t, const char *call, const char *reference, cvm_id on_behalf)
{
    return ask(t, call, "verify_path", NULL, json_pack("{s:s}", "reference", reference), on_behalf, STATUS_TIMEOUT_MS);
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
    const char *meter = cvm_json_str(m->data, "meter_number", ""), *reference = cvm_json_str(m->data, "reference", "");
    const char *type = cvm_json_str(m->data, "meter_type", "PREPAID");
    int64_t kobo = cvm_json_int(m->data, "amount_kobo", 0),
            timeout = cvm_json_int(cvm_settings(t), "timeout_ms", VEND_TIMEOUT_MS);
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
    json_t *order = order_new(reference, meter, strcmp(type, "POSTPAID") == 0, kobo);
    if (!order)
        return CVM_ENOMEM; /* as NULL it would delete, and the answer would find nothing to settle */
    CVM_TRY(cvm_state_put(t, key, order));
    call.headers = key_headers(t);
    call.body = json_pack("{s:s, s:o, s:s, s:s}", "meter_number", meter, "amount", naira(kobo), "meter_type", type,
                          "reference", reference);
    CVM_TRY(cvm_http_call(t, &call, NULL));
    return CVM_PENDING;
}

/* Settles the vend and forgets the order. */
static int finish(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    char key[64];
    order_key(request, key);
    CVM_TRY(settle(t, request, outcome, data));
    return cvm_state_del(t, key);
}

static int finish_vended(cvm_turn *t, cvm_id request, const json_t *order, const json_t *body)
{
    json_t *reply = json_object(), *reference = text_member(body, "reference");
    json_object_set_new(reply, "reference",
                        reference ? reference : cvm_json_share(json_object_get(order, "reference")));
    vend_copy(body, reply);
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

/* What the company says of an order whose vend answer left it open. */
static int check_reply(cvm_turn *t, const cvm_msg *m)
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
        return finish(t, m->on_behalf, CVM_REFUSED,
                      failure("DUPLICATE", "The distribution company has processed such an order already"));
    if (found == FOUND_FAILED) {
        struct answer a = refusal_read(body);
        return finish(t, m->on_behalf, CVM_REFUSED, failure(a.code, a.message));
    }
    return finish(t, m->on_behalf, CVM_UNKNOWN,
                  failure("TIMEOUT", "The distribution company has not decided the order yet"));
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
    return settle(t, m->on_behalf, CVM_REPLIED, reply);
}

/* ---- verify and balance, for whoever asks ---- */

static int verify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m, "verify_path"));
    CVM_TRY(ask_status(t, "status", cvm_json_str(m->data, "reference", ""), m->id));
    return CVM_PENDING;
}

static int status_reply(cvm_turn *t, const cvm_msg *m)
{
    static const char *const texts[] = {"reference", "error_code", "message"};
    int64_t kobo;
    const json_t *body = NULL;
    enum found found = status_answer_read(m, &body);
    if (found == FOUND_NO_ANSWER)
        return settle_failure(t, m->on_behalf, CVM_ERROR, "CONNECTION_ERROR",
                              "The distribution company did not answer; try again later");
    json_t *reply = json_pack("{s:s}", "status", found_word(found));
    vend_copy(body, reply);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *text = text_member(body, texts[i]);
        if (text)
            json_object_set_new(reply, texts[i], text);
    }
    if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) == CVM_OK)
        json_object_set_new(reply, "amount_kobo", json_integer(kobo));
    return settle(t, m->on_behalf, CVM_REPLIED, reply);
}

static int balance(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m, "balance_path"));
    CVM_TRY(ask(t, "balance", "balance_path", NULL, NULL, m->id, STATUS_TIMEOUT_MS));
    return CVM_PENDING;
}

static int balance_reply(cvm_turn *t, const cvm_msg *m)
{
    int64_t kobo;
    const json_t *body = json_object_get(m->data, "body");
    if (m->outcome != CVM_REPLIED || cvm_json_int(m->data, "status", 0) != 200 ||
        cvm_money_from_json(json_object_get(body, "balance"), &kobo) < 0)
        return settle_failure(t, m->on_behalf, CVM_ERROR, "CONNECTION_ERROR",
                              "The distribution company did not answer; try again later");
    return settle(t, m->on_behalf, CVM_REPLIED,
                  json_pack("{s:s, s:I, s:s}", "disco", setting(t, "disco"), "balance_kobo", (json_int_t)kobo,
                            "currency", cvm_json_str(body, "currency", "NGN")));
}

/* ---- meters and bills ---- */

static json_t *meter_body(const cvm_msg *m)
{
    return json_pack("{s:s}", "meter_number", cvm_json_str(m->data, "meter_number", ""));
}

static int validate(cvm_turn *t, const cvm_msg *m)
{
    const json_t *known = NULL;
    const char *meter = cvm_json_str(m->data, "meter_number", "");
    CVM_TRY(check_setup(t, m, "validate_path"));
    CVM_TRY(cache_find(t, meter, &known));
    if (known)
        return cvm_reply(t, m, cvm_json_share(known));
    CVM_TRY(cache_expect(t, m->id, meter));
    CVM_TRY(ask(t, "validate", "validate_path", meter_body(m), NULL, m->id,
                cvm_json_int(cvm_settings(t), "validate_timeout_ms", VALIDATE_TIMEOUT_MS)));
    return CVM_PENDING;
}

static int validate_reply(cvm_turn *t, const cvm_msg *m)
{
    json_t *meter = meter_answer_read(m);
    CVM_TRY(cache_arrived(t, m->on_behalf, meter));
    if (meter)
        return settle(t, m->on_behalf, CVM_REPLIED, meter);
    if (meter_missing(m))
        return settle_failure(t, m->on_behalf, CVM_REFUSED, "UNKNOWN_METER",
                              "The distribution company does not know this meter");
    return settle_failure(t, m->on_behalf, CVM_ERROR, "CONNECTION_ERROR",
                          "The distribution company did not answer; try again later");
}

static int bill(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_setup(t, m, "bill_path"));
    CVM_TRY(ask(t, "bill", "bill_path", meter_body(m), NULL, m->id,
                cvm_json_int(cvm_settings(t), "validate_timeout_ms", VALIDATE_TIMEOUT_MS)));
    return CVM_PENDING;
}

static int bill_reply(cvm_turn *t, const cvm_msg *m)
{
    json_t *found = bill_answer_read(m);
    if (found)
        return settle(t, m->on_behalf, CVM_REPLIED, found);
    if (meter_missing(m)) {
        struct answer a = refusal_read(json_object_get(m->data, "body"));
        return settle_failure(t, m->on_behalf, CVM_REFUSED, a.code, a.message);
    }
    return settle_failure(t, m->on_behalf, CVM_ERROR, "CONNECTION_ERROR",
                          "The distribution company did not answer; try again later");
}

/* clang-format off */
#define DISCOS(X) X("aedc") X("bedc") X("ekedc") X("eedc") X("ibedc") X("ikedc") X("jed") X("kaedco") X("kedco") X("phedc") X("yedc")

#define COMPONENT(code) {.id = "provider.disco." code, .state_version = 1},

#define ROUTES(code) \
    {"provider.disco." code, "vend", vend}, {"provider.disco." code, "vend.reply", vend_reply}, \
    {"provider.disco." code, "check.reply", check_reply}, {"provider.disco." code, "verify_vend", verify_vend}, \
    {"provider.disco." code, "outcome.reply", outcome_reply}, {"provider.disco." code, "verify", verify}, \
    {"provider.disco." code, "status.reply", status_reply}, {"provider.disco." code, "balance", balance}, \
    {"provider.disco." code, "balance.reply", balance_reply}, {"provider.disco." code, "validate_meter", validate}, \
    {"provider.disco." code, "validate.reply", validate_reply}, {"provider.disco." code, "bill", bill}, \
    {"provider.disco." code, "bill.reply", bill_reply},

static const cvm_component components[] = {DISCOS(COMPONENT) {0}};

static const cvm_route routes[] = {DISCOS(ROUTES) {0}};
/* clang-format on */

CVM_PLUGIN(.name = "disco", .version = "1.0.0", .components = components, .routes = routes);
