/* The plugin `network` against a host made of a few functions: which call it makes, and how it settles for each answer.
 * What matters most: REFUSED gives money back, so only an answer that certainly means "not vended" may become that. */
#include "provider.h"

static void setup(void)
{
    provider_begin("provider.network.mtn", "MTN_API_KEY",
                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "network", "MTN", "base_url",
                             "http://127.0.0.1:1", "vend_path", "/airtime/vend", "verify_path", "/airtime/verify",
                             "balance_path", "/merchant/balance", "key_header", "X-MTN-API-Key", "key_prefix", "",
                             "secret", "MTN_API_KEY", "timeout_ms", 30000));
}

static int order(int64_t kobo, int64_t deadline_ms)
{
    return turn("vend", 0, (cvm_id){0, 0},
                json_pack("{s:s, s:s, s:I, s:s}", "network", "MTN", "phone", "+2348031239999", "amount_kobo",
                          (json_int_t)kobo, "reference", "TXN-1"),
                deadline_ms);
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

START_TEST(bundles)
{
    json_object_set_new(settings, "bundle_path", json_string("/data/vend"));
    json_t *data = json_pack("{s:s, s:s, s:i, s:s, s:s}", "network", "MTN", "phone", "+2348031239999", "amount_kobo",
                             120000, "reference", "TXN-1", "bundle_code", "*312*20#");
    ck_assert_int_eq(turn("vend", 0, (cvm_id){0, 0}, data, 1300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "vend");
    ck_assert_str_eq(call_path, "/data/vend");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "body"), "bundle_code", ""), "*312*20#");
    ck_assert_int_eq(cvm_json_int(json_object_get(called, "body"), "amount", 0), 1200);
    ck_assert_int_eq(order(5000, 0), CVM_PENDING); /* airtime goes its own way */
    ck_assert_str_eq(call_path, "/airtime/vend");
    ck_assert_ptr_null(json_object_get(json_object_get(called, "body"), "bundle_code"));
}
END_TEST

static int line(const char *type)
{
    return turn(type, 0, asker, json_pack("{s:s, s:s}", "network", "MTN", "phone", "+2348031239999"), 0);
}

START_TEST(lines)
{
    json_object_set_new(settings, "line_path", json_string("/data/balance"));
    json_object_set_new(settings, "usage_path", json_string("/data/usage"));
    json_object_set_new(settings, "status_path", json_string("/network/status"));
    ck_assert_int_eq(line("line_balance"), CVM_PENDING);
    ck_assert_str_eq(call_name, "line");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "query"), "phone_number", ""), "+2348031239999");
    call_answered("line.reply", CVM_REPLIED, 200,
                  "{\"data_mb\": 700, \"bundles\": [{\"bundle_code\": \"A\", \"size_mb\": 1024, \"left_mb\": 700}], "
                  "\"owner\": \"x\"}");
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(settled, "data_mb", 0), 700);
    ck_assert_ptr_null(json_object_get(settled, "owner"));
    static const struct {
        int outcome, status;
        const char *body;
        int settles;
    } bad[] = {{CVM_REPLIED, 200, "{\"data_mb\": \"many\"}", CVM_ERROR},
               {CVM_REPLIED, 200, "<html>", CVM_ERROR},
               {CVM_REPLIED, 503, "{}", CVM_ERROR},
               {CVM_TIMEOUT, 0, "", CVM_ERROR},
               {CVM_REPLIED, 404, "{\"error_code\": \"INVALID_PHONE\", \"message\": \"not ours\"}", CVM_REFUSED}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(line("line_balance"), CVM_PENDING);
        call_answered("line.reply", bad[i].outcome, bad[i].status, bad[i].body);
        ck_assert_int_eq(settled_outcome, bad[i].settles);
    }
    ck_assert_int_eq(line("usage"), CVM_PENDING);
    call_answered(
        "usage.reply", CVM_REPLIED, 200,
        "{\"days\": [{\"date\": \"2026-01-01\", \"used_mb\": 100}, {\"date\": \"2026-01-02\", \"used_mb\": 201}, {}], "
        "\"by_app\": []}");
    ck_assert_int_eq(cvm_json_int(settled, "average_mb", 0), 151);
    ck_assert_int_eq(line("usage"), CVM_PENDING);
    call_answered("usage.reply", CVM_REPLIED, 200, "{\"days\": []}");
    ck_assert_int_eq(settled_outcome, CVM_ERROR);
    ck_assert_int_eq(line("network_status"), CVM_PENDING);
    call_answered("health.reply", CVM_REPLIED, 200, "{\"status\": \"outage\", \"message\": \"a fibre cut\"}");
    ck_assert_str_eq(word("status"), "outage");
    ck_assert_int_eq(line("network_status"), CVM_PENDING);
    call_answered("health.reply", CVM_REPLIED, 200, "{\"status\": \"who knows\"}");
    ck_assert_int_eq(settled_outcome, CVM_ERROR);
    json_object_set_new(settings, "usage_path", json_string(""));
    ck_assert_int_eq(line("usage"), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
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
    {CVM_REPLIED, 409, "{}", ASKS, ""},
    {CVM_ERROR, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {CVM_BUSY, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {CVM_TIMEOUT, 0, "", CVM_UNKNOWN, "TIMEOUT"},
    {CVM_UNKNOWN, 0, "", CVM_UNKNOWN, "TIMEOUT"},
};

START_TEST(vend_answer)
{
    ck_assert_int_eq(order(10050, 1300000), CVM_PENDING);
    call_answered("vend.reply", answers[_i].outcome, answers[_i].status, answers[_i].body);
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
    call_answered("vend.reply", CVM_REPLIED, duplicate ? 409 : 200,
                  duplicate ? "{\"error_code\":\"DUPLICATE\"}" : checks[_i].vend);
    call_answered("check.reply", checks[_i].outcome, checks[_i].status, checks[_i].body);
    ck_assert_int_eq(settled_outcome, checks[_i].settles);
    ck_assert_str_eq(word("error_code"), checks[_i].code);
    ck_assert_uint_eq(json_object_size(state), 0);
    call_answered("check.reply", checks[_i].outcome, 200, "{}"); /* late: dropped */
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
    call_answered("outcome.reply", CVM_REPLIED, 200, DELIVERED("5", "1"));
    ck_assert(json_is_true(json_object_get(settled, "found")));
    ck_assert_str_eq(cvm_json_str(json_object_get(settled, "result"), "transaction_id", ""), "N-1");
    call_answered("outcome.reply", CVM_REPLIED, 200, "{\"status\":\"not_found\"}");
    ck_assert(json_is_false(json_object_get(settled, "found")));
    call_answered("outcome.reply", CVM_REPLIED, 404, "<html>");
    ck_assert(json_is_true(json_object_get(settled, "pending")));
    ck_assert_int_eq(turn("outcome.reply", CVM_TIMEOUT, asker, json_object(), 0), CVM_OK);
    ck_assert(json_is_true(json_object_get(settled, "pending")));
}
END_TEST

START_TEST(anyone_asks)
{
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s}", "reference", "R-1"), 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "status");
    call_answered("status.reply", CVM_REPLIED, 200, DELIVERED("\"100.50\"", "1"));
    ck_assert_str_eq(word("status"), "delivered");
    ck_assert_str_eq(word("transaction_id"), "N-1");
    ck_assert_int_eq(cvm_json_int(settled, "amount_kobo", 0), 10050);
    call_answered("status.reply", CVM_REPLIED, 503, "{}");
    ck_assert_int_eq(settled_outcome, CVM_ERROR);
    ck_assert_int_eq(turn("balance", 0, asker, json_object(), 0), CVM_PENDING);
    ck_assert_str_eq(call_path, "/merchant/balance");
    call_answered("balance.reply", CVM_REPLIED, 200, "{\"balance\":\"12.34\"}");
    ck_assert_int_eq(cvm_json_int(settled, "balance_kobo", 0), 1234);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("provider_network");
    TCase *tc = tcase_create("provider_network");
    tcase_add_checked_fixture(tc, setup, provider_end);
    tcase_add_test(tc, vend_call);
    tcase_add_test(tc, not_configured);
    tcase_add_test(tc, bundles);
    tcase_add_test(tc, lines);
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
