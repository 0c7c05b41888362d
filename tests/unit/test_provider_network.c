/* The plugin `network` against a host made of a few functions: which call it makes, and how it settles for each answer.
 * What matters most: REFUSED gives money back, so only an answer that certainly means "not vended" may become that. */
#include <check.h>
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

extern const cvm_plugin_descriptor cvm_plugin;

/* ---- the host ---- */

static json_t *settings, *state, *called, *settled;
static char call_name[32], call_path[64], call_key[64];
static int64_t call_timeout_ms, call_deadline_ms;
static int settled_outcome, secret_result;
static cvm_id settled_id;

static void forget(void)
{
    json_decref(called);
    json_decref(settled);
    called = settled = NULL;
    settled_outcome = -1;
    call_name[0] = '\0';
}

static int fake_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content)
{
    ck_assert_msg(settled_outcome == -1, "settled twice");
    settled_id = request;
    settled_outcome = outcome;
    settled = data;
    return CVM_OK;
}

static int fake_note_reply(cvm_turn *t, int outcome, json_t *data, const char *content)
{
    settled_outcome = outcome;
    settled = data;
    return CVM_EREFUSED;
}

static int fake_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id)
{
    snprintf(call_name, sizeof call_name, "%s", call->name);
    snprintf(call_path, sizeof call_path, "%s", call->path);
    snprintf(call_key, sizeof call_key, "%s", call->key ? call->key : "");
    call_timeout_ms = call->timeout_ms;
    call_deadline_ms = call->deadline_ms;
    called = json_pack("{s:o, s:o*, s:O*}", "headers", call->headers, "body", call->body, "query", call->query);
    return CVM_OK;
}

static int fake_state_get(cvm_turn *t, const char *key, const json_t **ret_value)
{
    const json_t *v = json_object_get(state, key);
    if (!v)
        return CVM_ENOENT;
    *ret_value = v;
    return CVM_OK;
}

static int fake_state_put(cvm_turn *t, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(state, key, value);
    else
        json_object_del(state, key);
    return CVM_OK;
}

static int64_t fake_now_ms(cvm_turn *t)
{
    return 1000000;
}

static const json_t *fake_settings(cvm_turn *t)
{
    return settings;
}

static int fake_secret(cvm_turn *t, const char *name, const char **ret_value)
{
    ck_assert_str_eq(name, "MTN_API_KEY");
    *ret_value = "never to be seen";
    return secret_result;
}

static const cvm_host host = {.size = sizeof host,
                              .settle = fake_settle,
                              .note_reply = fake_note_reply,
                              .call = fake_call,
                              .state_get = fake_state_get,
                              .state_put = fake_state_put,
                              .now_ms = fake_now_ms,
                              .settings = fake_settings,
                              .secret = fake_secret};

/* One turn of provider.network.mtn; `data` is taken. */
static int turn(const char *type, int outcome, cvm_id on_behalf, json_t *data, int64_t deadline_ms)
{
    cvm_turn t = {.host = &host};
    cvm_msg m = {.id = {7, 9},
                 .on_behalf = on_behalf,
                 .deadline_ms = deadline_ms,
                 .sender = "",
                 .recipient = "provider.network.mtn",
                 .type = type,
                 .conversation = "C",
                 .data = data,
                 .outcome = (uint8_t)outcome};
    int result = CVM_ENOENT;
    forget();
    ck_assert_ptr_nonnull(data);
    for (uint32_t i = 0; cvm_plugin.routes[i].component; i++)
        if (strcmp(cvm_plugin.routes[i].component, m.recipient) == 0 && strcmp(cvm_plugin.routes[i].type, type) == 0)
            result = cvm_plugin.turn(NULL, &t, &m, i);
    json_decref(data);
    return result;
}

static void setup(void)
{
    settings =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "network", "MTN", "base_url", "http://127.0.0.1:1",
                  "vend_path", "/airtime/vend", "verify_path", "/airtime/verify", "balance_path", "/merchant/balance",
                  "key_header", "X-MTN-API-Key", "key_prefix", "", "secret", "MTN_API_KEY", "timeout_ms", 30000);
    state = json_object();
    secret_result = CVM_OK;
    settled_outcome = -1;
}

static void teardown(void)
{
    forget();
    json_decref(settings);
    json_decref(state);
}

static int order(int64_t kobo, int64_t deadline_ms)
{
    return turn("vend", 0, (cvm_id){0, 0},
                json_pack("{s:s, s:s, s:I, s:s}", "network", "MTN", "phone", "+2348031239999", "amount_kobo",
                          (json_int_t)kobo, "reference", "TXN-1"),
                deadline_ms);
}

static const cvm_id asker = {7, 9};

static json_t *answer(int status, const char *body)
{
    json_t *o = json_pack("{s:i, s:{}, s:s}", "status", status, "headers", "text", "");
    json_t *parsed = json_loads(body, JSON_DECODE_ANY, NULL);
    json_object_set_new(o, "body", parsed ? parsed : json_null());
    return o;
}

static const char *word(const char *member)
{
    return cvm_json_str(settled, member, "");
}

/* ---- the tests ---- */

START_TEST(vend_call)
{
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "vend");
    ck_assert_str_eq(call_path, "/airtime/vend");
    ck_assert_str_eq(call_key, "TXN-1");
    ck_assert_int_eq(call_timeout_ms, 30000);
    ck_assert_int_eq(call_deadline_ms, 1298000);
    const json_t *body = json_object_get(called, "body");
    ck_assert_str_eq(cvm_json_str(body, "amount", ""), "100.50");
    ck_assert_str_eq(cvm_json_str(body, "phone_number", ""), "+2348031239999");
    ck_assert_str_eq(cvm_json_str(body, "network", ""), "MTN");
    ck_assert_str_eq(cvm_json_str(body, "reference", ""), "TXN-1");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "X-MTN-API-Key", ""), "${MTN_API_KEY}");
    ck_assert_int_eq(settled_outcome, -1);

    ck_assert_int_eq(order(100000, 1010000), CVM_PENDING);
    ck_assert_int_eq(cvm_json_int(json_object_get(called, "body"), "amount", 0), 1000);
    ck_assert_int_eq(call_timeout_ms, 5000);
    ck_assert_int_eq(call_deadline_ms, 1008000);
}
END_TEST

START_TEST(not_configured)
{
    json_object_set_new(settings, "base_url", json_string(""));
    ck_assert_int_eq(order(5000, 0), CVM_EREFUSED);
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("code"), "CONFIGURATION");
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    json_object_set_new(settings, "base_url", json_string("http://127.0.0.1:1"));
    secret_result = CVM_ENOENT;
    ck_assert_int_eq(order(5000, 0), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    ck_assert_ptr_nonnull(strstr(word("message"), "MTN_API_KEY"));
    secret_result = CVM_OK;
    json_object_set_new(settings, "balance_path", json_string(""));
    ck_assert_int_eq(turn("balance", 0, asker, json_pack("{s:s}", "network", "MTN"), 0), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s, s:s}", "network", "GLO", "reference", "R"), 0),
                     CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "INVALID_NETWORK");
    ck_assert_str_eq(call_name, "");
}
END_TEST

enum { ASKS = -1 }; /* not settled: the plugin asks the network */

static const struct {
    int outcome, status;
    const char *body;
    int settles;
    const char *code;
} answers[] = {
    {CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"reference\":\"NET-1\"}", CVM_REPLIED, ""},
    {CVM_REPLIED, 200, "{\"transaction_id\":17,\"status\":\"delivered\"}", CVM_REPLIED, ""},
    {CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"status\":\"pending\"}", ASKS, ""},
    {CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"status\":\"failed\"}", CVM_REFUSED, "UNKNOWN"},
    {CVM_REPLIED, 200, "{\"success\":false,\"error_code\":\"INVALID_PHONE\"}", CVM_REFUSED, "INVALID_PHONE"},
    {CVM_REPLIED, 200, "{}", ASKS, ""},
    {CVM_REPLIED, 200, "[]", ASKS, ""},
    {CVM_REPLIED, 200, "<html>", ASKS, ""},
    {CVM_REPLIED, 202, "{\"transaction_id\":\"N-1\"}", ASKS, ""},
    {CVM_REPLIED, 302, "", ASKS, ""},
    {CVM_REPLIED, 408, "{\"error_code\":\"TIMEOUT\"}", ASKS, ""},
    {CVM_REPLIED, 500, "{\"error_code\":\"NETWORK_ERROR\"}", ASKS, ""},
    {CVM_REPLIED, 402, "{\"error_code\":\"INSUFFICIENT_BALANCE\",\"message\":\"low\"}", CVM_REFUSED,
     "INSUFFICIENT_BALANCE"},
    {CVM_REPLIED, 401, "<html>", CVM_REFUSED, "UNKNOWN"},
    {CVM_REPLIED, 409, "{\"error_code\":\"DUPLICATE\"}", ASKS, ""},
    {CVM_ERROR, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {CVM_BUSY, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {CVM_TIMEOUT, 0, "", CVM_UNKNOWN, "TIMEOUT"},
    {CVM_UNKNOWN, 0, "", CVM_UNKNOWN, "TIMEOUT"},
};

START_TEST(vend_answer)
{
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", answers[_i].outcome, asker, answer(answers[_i].status, answers[_i].body), 0),
                     CVM_OK);
    ck_assert_int_eq(settled_outcome, answers[_i].settles);
    if (answers[_i].settles == ASKS) {
        ck_assert_str_eq(call_name, "check");
        ck_assert_str_eq(cvm_json_str(json_object_get(called, "query"), "reference", ""), "TXN-1");
        ck_assert_uint_eq(json_object_size(state), 1);
        return;
    }
    ck_assert(cvm_id_eq(settled_id, asker));
    ck_assert_str_eq(word("error_code"), answers[_i].code);
    ck_assert_str_eq(call_name, "");
    ck_assert_uint_eq(json_object_size(state), 0);
    if (answers[_i].settles == CVM_REPLIED) {
        ck_assert_str_eq(word("transaction_id"), _i ? "17" : "N-1");
        ck_assert_str_eq(word("reference"), _i ? "TXN-1" : "NET-1");
    }
}
END_TEST

#define DELIVERED(amount, phone)                                                                                       \
    "{\"status\":\"delivered\",\"transaction_id\":\"N-1\",\"amount\":" amount ",\"phone_number\":\"" phone "\"}"

static const struct {
    const char *vend; /* the answer that leaves it open */
    int outcome, status;
    const char *body;
    int settles;
    const char *code;
} checks[] = {
    {"{}", CVM_REPLIED, 200, DELIVERED("100.50", "08031239999"), CVM_REPLIED, ""},
    {"{}", CVM_REPLIED, 200, DELIVERED("101", "08031239999"), CVM_REFUSED, "DUPLICATE"},
    {"{}", CVM_REPLIED, 200, "{\"status\":\"failed\"}", CVM_REFUSED, "UNKNOWN"},
    {"{}", CVM_REPLIED, 200, "{\"status\":\"pending\"}", CVM_UNKNOWN, "TIMEOUT"},
    {"{}", CVM_REPLIED, 200, "{\"status\":\"not_found\"}", CVM_UNKNOWN, "TIMEOUT"},
    {"{}", CVM_REPLIED, 503, "{}", CVM_UNKNOWN, "TIMEOUT"},
    {"{}", CVM_ERROR, 0, "", CVM_UNKNOWN, "TIMEOUT"},
    {"DUPLICATE", CVM_REPLIED, 200, DELIVERED("\"100.5\"", "+2348031239999"), CVM_REPLIED, ""},
    {"DUPLICATE", CVM_REPLIED, 200, DELIVERED("100.50", "08031230000"), CVM_REFUSED, "DUPLICATE"},
    {"DUPLICATE", CVM_REPLIED, 200, "{\"status\":\"not_found\"}", CVM_REFUSED, "DUPLICATE"},
    {"DUPLICATE", CVM_REPLIED, 404, "{\"error_code\":\"NOT_FOUND\"}", CVM_REFUSED, "DUPLICATE"},
    {"DUPLICATE", CVM_REPLIED, 404, "{}", CVM_UNKNOWN, "TIMEOUT"},
};

START_TEST(check_answer)
{
    bool duplicate = *checks[_i].vend == 'D';
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker,
                          answer(duplicate ? 409 : 200, duplicate ? "{\"error_code\":\"DUPLICATE\"}" : checks[_i].vend),
                          0),
                     CVM_OK);
    ck_assert_int_eq(turn("check.reply", checks[_i].outcome, asker, answer(checks[_i].status, checks[_i].body), 0),
                     CVM_OK);
    ck_assert_int_eq(settled_outcome, checks[_i].settles);
    ck_assert_str_eq(word("error_code"), checks[_i].code);
    ck_assert_uint_eq(json_object_size(state), 0);
    ck_assert_int_eq(turn("check.reply", checks[_i].outcome, asker, answer(200, "{}"), 0), CVM_OK); /* late: dropped */
    ck_assert_int_eq(settled_outcome, -1);
}
END_TEST

START_TEST(verified_result)
{
    json_t *data = answer(200, DELIVERED("100.50", "08031239999"));
    json_object_set_new(data, "verified", json_true());
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker, data, 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    data = answer(200, DELIVERED("50", "08031239999"));
    json_object_set_new(data, "verified", json_true());
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker, data, 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "DUPLICATE");
}
END_TEST

START_TEST(host_asks)
{
    json_t *data = json_pack("{s:s, s:s, s:{s:s}}", "call", "vend", "key", "TXN-1", "request", "reference", "TXN-1");
    ck_assert_int_eq(turn("verify_vend", 0, (cvm_id){0, 0}, data, 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "outcome");
    ck_assert_int_eq(turn("outcome.reply", CVM_REPLIED, asker, answer(200, DELIVERED("5", "1")), 0), CVM_OK);
    ck_assert(json_is_true(json_object_get(settled, "found")));
    ck_assert_str_eq(cvm_json_str(json_object_get(settled, "result"), "transaction_id", ""), "N-1");
    ck_assert_int_eq(turn("outcome.reply", CVM_REPLIED, asker, answer(200, "{\"status\":\"not_found\"}"), 0), CVM_OK);
    ck_assert(json_is_false(json_object_get(settled, "found")));
    ck_assert_int_eq(turn("outcome.reply", CVM_REPLIED, asker, answer(404, "<html>"), 0), CVM_OK);
    ck_assert(json_is_true(json_object_get(settled, "pending")));
    ck_assert_int_eq(turn("outcome.reply", CVM_TIMEOUT, asker, json_object(), 0), CVM_OK);
    ck_assert(json_is_true(json_object_get(settled, "pending")));
}
END_TEST

START_TEST(anyone_asks)
{
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s}", "reference", "R-1"), 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "status");
    ck_assert_int_eq(turn("status.reply", CVM_REPLIED, asker, answer(200, DELIVERED("\"100.50\"", "1")), 0), CVM_OK);
    ck_assert_str_eq(word("status"), "delivered");
    ck_assert_str_eq(word("transaction_id"), "N-1");
    ck_assert_int_eq(cvm_json_int(settled, "amount_kobo", 0), 10050);
    ck_assert_int_eq(turn("status.reply", CVM_REPLIED, asker, answer(503, "{}"), 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_ERROR);
    ck_assert_int_eq(turn("balance", 0, asker, json_object(), 0), CVM_PENDING);
    ck_assert_str_eq(call_path, "/merchant/balance");
    ck_assert_int_eq(turn("balance.reply", CVM_REPLIED, asker, answer(200, "{\"balance\":\"12.34\"}"), 0), CVM_OK);
    ck_assert_int_eq(cvm_json_int(settled, "balance_kobo", 0), 1234);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("provider_network");
    TCase *tc = tcase_create("provider_network");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, vend_call);
    tcase_add_test(tc, not_configured);
    tcase_add_loop_test(tc, vend_answer, 0, (int)(sizeof answers / sizeof answers[0]));
    tcase_add_loop_test(tc, check_answer, 0, (int)(sizeof checks / sizeof checks[0]));
    tcase_add_test(tc, verified_result);
    tcase_add_test(tc, host_asks);
    tcase_add_test(tc, anyone_asks);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
