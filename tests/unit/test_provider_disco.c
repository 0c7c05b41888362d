/* The plugin `disco` against a host made of a few functions: which call it makes, and how it settles for each answer.
 * What matters most: REFUSED gives money back, so only an answer that certainly means "not vended" may become that, and
 * nothing without its twenty digits is a token. */
#include "provider.h"

static void setup(void)
{
    /* What the plugin ships with, so that its times and paths are those of the manifest. */
    json_t *manifest = json_load_file(MANIFESTS "/disco.json", 0, NULL), *shipped = NULL, *one;
    size_t i;
    json_array_foreach(json_object_get(manifest, "components"), i, one)
    {
        if (strcmp(cvm_json_str(one, "id", ""), "provider.disco.ekedc") == 0)
            shipped = json_deep_copy(json_object_get(one, "settings"));
    }
    json_decref(manifest);
    provider_begin("provider.disco.ekedc", "EKEDC_API_KEY", shipped);
    json_object_set_new(settings, "balance_path", json_string("/merchant/balance"));
}

#define METER "45012345678"
#define TOKEN "99991234567890123456"

static int order(const char *type, int64_t kobo, int64_t deadline_ms)
{
    return turn("vend", 0, (cvm_id){0, 0},
                json_pack("{s:s, s:s, s:s, s:I, s:s}", "disco", "EKEDC", "meter_number", METER, "meter_type", type,
                          "amount_kobo", (json_int_t)kobo, "reference", "TXN-1"),
                deadline_ms);
}

/* ---- vends ---- */

START_TEST(vend_has_forty_five_seconds)
{
    ck_assert_int_eq(order("PREPAID", 500050, 1300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "vend");
    ck_assert_str_eq(call_path, "/prepaid/vend");
    ck_assert_str_eq(call_key, "TXN-1");
    ck_assert_int_eq(call_timeout_ms, 45000);
    ck_assert_int_eq(call_deadline_ms, 1298000);
    const json_t *body = json_object_get(called, "body");
    ck_assert_str_eq(cvm_json_str(body, "amount", ""), "5000.50");
    ck_assert_str_eq(cvm_json_str(body, "meter_number", ""), METER);
    ck_assert_str_eq(cvm_json_str(body, "reference", ""), "TXN-1");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "Authorization", ""), "Bearer ${EKEDC_API_KEY}");
    ck_assert_int_eq(settled_outcome, -1);

    ck_assert_int_eq(order("PREPAID", 100000, 1010000), CVM_PENDING); /* half of what is left, to find out the rest */
    ck_assert_int_eq(cvm_json_int(json_object_get(called, "body"), "amount", 0), 1000);
    ck_assert_int_eq(call_timeout_ms, 5000);
}
END_TEST

START_TEST(not_configured)
{
    json_object_set_new(settings, "base_url", json_string(""));
    ck_assert_int_eq(order("PREPAID", 5000, 0), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    json_object_set_new(settings, "base_url", json_string("http://127.0.0.1:1"));
    secret_result = CVM_ENOENT;
    ck_assert_int_eq(order("PREPAID", 5000, 0), CVM_EREFUSED);
    ck_assert_str_eq(word("code"), "CONFIGURATION");
    ck_assert_ptr_nonnull(strstr(word("message"), "EKEDC_API_KEY"));
    secret_result = CVM_OK;
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s, s:s}", "disco", "AEDC", "reference", "R"), 0),
                     CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "INVALID_DISCO");
    json_object_set_new(settings, "bill_path", json_string(""));
    ck_assert_int_eq(turn("bill", 0, asker, json_pack("{s:s, s:s}", "disco", "EKEDC", "meter_number", METER), 0),
                     CVM_EREFUSED);
    ck_assert_str_eq(call_name, "");
}
END_TEST

enum { ASKS = -1 }; /* not settled: the plugin asks the company */

static const struct {
    const char *type;
    int outcome, status;
    const char *body;
    int settles;
    const char *code;
} answers[] = {
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"token\":\"" TOKEN "\",\"units\":22.2}", CVM_REPLIED,
     ""},
    {"PREPAID", CVM_REPLIED, 200,
     "{\"transaction_id\":17,\"token\":\"Token : 9999 1234 5678 9012 3456\",\"units\":\"22.2 kWh\"}", CVM_REPLIED, ""},
    {"POSTPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"balance\":0}", CVM_REPLIED, ""},
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"units\":22.2}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"token\":\"9999123456789012345\"}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"token\":\"999912345678901234567\"}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"token\":\"" TOKEN "\",\"status\":\"pending\"}", ASKS,
     ""},
    {"PREPAID", CVM_REPLIED, 200, "{\"transaction_id\":\"N-1\",\"status\":\"failed\"}", CVM_REFUSED, "UNKNOWN"},
    {"PREPAID", CVM_REPLIED, 200, "{\"success\":false,\"error_code\":\"INVALID_METER\"}", CVM_REFUSED, "INVALID_METER"},
    {"PREPAID", CVM_REPLIED, 200, "<html>", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 202, "{\"transaction_id\":\"N-1\"}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 408, "{}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 500, "{\"error_code\":\"NETWORK_ERROR\"}", ASKS, ""},
    {"PREPAID", CVM_REPLIED, 402, "{\"error_code\":\"INSUFFICIENT_BALANCE\",\"message\":\"low\"}", CVM_REFUSED,
     "INSUFFICIENT_BALANCE"},
    {"PREPAID", CVM_REPLIED, 409, "{\"error_code\":\"DUPLICATE\"}", ASKS, ""},
    {"PREPAID", CVM_ERROR, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {"PREPAID", CVM_BUSY, 0, "", CVM_REFUSED, "CONNECTION_ERROR"},
    {"PREPAID", CVM_TIMEOUT, 0, "", CVM_UNKNOWN, "TIMEOUT"},
    {"PREPAID", CVM_UNKNOWN, 0, "", CVM_UNKNOWN, "TIMEOUT"},
};

START_TEST(vend_answer)
{
    ck_assert_int_eq(order(answers[_i].type, 500000, 1300000), CVM_PENDING);
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
    ck_assert_uint_eq(json_object_size(state), 0);
    if (answers[_i].settles == CVM_REPLIED && _i < 2) {
        ck_assert_str_eq(word("token"), TOKEN);
        ck_assert(json_number_value(json_object_get(settled, "units")) == 22.2);
        ck_assert_str_eq(word("reference"), "TXN-1");
    }
}
END_TEST

#define DELIVERED(amount, meter)                                                                                       \
    "{\"status\":\"delivered\",\"transaction_id\":\"N-1\",\"token\":\"" TOKEN "\",\"amount\":" amount                  \
    ",\"meter_number\":\"" meter "\"}"

static const struct {
    bool duplicate; /* the answer that leaves it open; else an empty one */
    int outcome, status;
    const char *body;
    int settles;
    const char *code;
} checks[] = {
    {false, CVM_REPLIED, 200, DELIVERED("5000", METER), CVM_REPLIED, ""},
    {false, CVM_REPLIED, 200, DELIVERED("5001", METER), CVM_REFUSED, "DUPLICATE"},
    {false, CVM_REPLIED, 200, "{\"status\":\"delivered\",\"transaction_id\":\"N-1\"}", CVM_UNKNOWN, "TIMEOUT"},
    {false, CVM_REPLIED, 200, "{\"status\":\"failed\"}", CVM_REFUSED, "UNKNOWN"},
    {false, CVM_REPLIED, 200, "{\"status\":\"pending\"}", CVM_UNKNOWN, "TIMEOUT"},
    {false, CVM_REPLIED, 200, "{\"status\":\"not_found\"}", CVM_UNKNOWN, "TIMEOUT"},
    {false, CVM_REPLIED, 503, "{}", CVM_UNKNOWN, "TIMEOUT"},
    {false, CVM_ERROR, 0, "", CVM_UNKNOWN, "TIMEOUT"},
    {true, CVM_REPLIED, 200, DELIVERED("\"5000.00\"", METER), CVM_REPLIED, ""},
    {true, CVM_REPLIED, 200, DELIVERED("5000", "45012340000"), CVM_REFUSED, "DUPLICATE"},
    {true, CVM_REPLIED, 200, "{\"status\":\"not_found\"}", CVM_REFUSED, "DUPLICATE"},
    {true, CVM_REPLIED, 404, "{}", CVM_UNKNOWN, "TIMEOUT"},
};

START_TEST(check_answer)
{
    ck_assert_int_eq(order("PREPAID", 500000, 1300000), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, checks[_i].duplicate ? 409 : 200,
                  checks[_i].duplicate ? "{\"error_code\":\"DUPLICATE\"}" : "{}");
    call_answered("check.reply", checks[_i].outcome, checks[_i].status, checks[_i].body);
    ck_assert_int_eq(settled_outcome, checks[_i].settles);
    ck_assert_str_eq(word("error_code"), checks[_i].code);
    ck_assert_uint_eq(json_object_size(state), 0);
    call_answered("check.reply", checks[_i].outcome, 200, "{}"); /* late: dropped */
    ck_assert_int_eq(settled_outcome, -1);
}
END_TEST

START_TEST(host_asks)
{
    json_t *data = json_pack("{s:s, s:s, s:{s:s}}", "call", "vend", "key", "TXN-1", "request", "reference", "TXN-1");
    ck_assert_int_eq(turn("verify_vend", 0, (cvm_id){0, 0}, data, 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "outcome");
    call_answered("outcome.reply", CVM_REPLIED, 200, DELIVERED("5", METER));
    ck_assert(json_is_true(json_object_get(settled, "found")));
    call_answered("outcome.reply", CVM_REPLIED, 200, "{\"status\":\"not_found\"}");
    ck_assert(json_is_false(json_object_get(settled, "found")));
    call_answered("outcome.reply", CVM_REPLIED, 404, "<html>");
    ck_assert(json_is_true(json_object_get(settled, "pending")));

    json_t *found = answer(200, DELIVERED("5000", METER));
    json_object_set_new(found, "verified", json_true());
    ck_assert_int_eq(order("PREPAID", 500000, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker, found, 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    found = answer(200, DELIVERED("50", METER)); /* somebody else's order under our reference */
    json_object_set_new(found, "verified", json_true());
    ck_assert_int_eq(order("PREPAID", 500000, 1300000), CVM_PENDING);
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker, found, 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "DUPLICATE");
}
END_TEST

START_TEST(key_change_tokens_are_carried)
{
    ck_assert_int_eq(order("PREPAID", 500000, 1300000), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200,
                  "{\"transaction_id\":\"N-1\",\"token\":\"" TOKEN
                  "\",\"kct1\":\"11112222333344445555\",\"kct2\":null}");
    ck_assert_str_eq(word("kct1"), "11112222333344445555");
    ck_assert_ptr_null(json_object_get(settled, "kct2"));
}
END_TEST

/* ---- meters and bills ---- */

#define FOUND "{\"customer_name\":\"A. Bello\",\"address\":\"1 Broad Street\",\"tariff_class\":\"R2\"}"

static int ask_meter(void)
{
    return turn("validate_meter", 0, asker, json_pack("{s:s, s:s}", "disco", "EKEDC", "meter_number", METER), 0);
}

START_TEST(validation_has_fifteen_seconds)
{
    ck_assert_int_eq(ask_meter(), CVM_PENDING);
    ck_assert_str_eq(call_name, "validate");
    ck_assert_str_eq(call_path, "/prepaid/validate");
    ck_assert_int_eq(call_timeout_ms, 15000);
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "body"), "meter_number", ""), METER);
    call_answered("validate.reply", CVM_REPLIED, 200, FOUND);
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    ck_assert_str_eq(word("customer_name"), "A. Bello");
    ck_assert_str_eq(word("address"), "1 Broad Street");
    ck_assert_str_eq(word("tariff_class"), "R2");
    ck_assert_str_eq(word("meter_type"), "PREPAID"); /* where it is not said */
}
END_TEST

static const struct {
    int outcome, status;
    const char *body;
    int settles;
    const char *code;
} validations[] = {
    {CVM_REPLIED, 200, FOUND, CVM_REPLIED, ""},
    {CVM_REPLIED, 404, "{}", CVM_REFUSED, "UNKNOWN_METER"},
    {CVM_REPLIED, 400, "{}", CVM_REFUSED, "UNKNOWN_METER"},
    {CVM_REPLIED, 401, "{}", CVM_ERROR, "CONNECTION_ERROR"},
    {CVM_REPLIED, 429, "{}", CVM_ERROR, "CONNECTION_ERROR"},
    {CVM_REPLIED, 503, "{}", CVM_ERROR, "CONNECTION_ERROR"},
    {CVM_REPLIED, 200, "{}", CVM_ERROR, "CONNECTION_ERROR"},
    {CVM_REPLIED, 200, "<html>", CVM_ERROR, "CONNECTION_ERROR"},
    {CVM_TIMEOUT, 0, "", CVM_ERROR, "CONNECTION_ERROR"},
};

START_TEST(validation_answer)
{
    ck_assert_int_eq(ask_meter(), CVM_PENDING);
    call_answered("validate.reply", validations[_i].outcome, validations[_i].status, validations[_i].body);
    ck_assert_int_eq(settled_outcome, validations[_i].settles);
    ck_assert_str_eq(word("error_code"), validations[_i].code);
    ck_assert_uint_eq(json_object_size(state), validations[_i].settles == CVM_REPLIED ? 2 : 0);
}
END_TEST

START_TEST(found_meter_is_remembered)
{
    ck_assert_int_eq(ask_meter(), CVM_PENDING);
    call_answered("validate.reply", CVM_REPLIED, 200, FOUND);
    now += 3599 * 1000;
    ck_assert_int_eq(ask_meter(), CVM_OK);
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("customer_name"), "A. Bello");
    now += 1000;
    ck_assert_int_eq(ask_meter(), CVM_PENDING);
    ck_assert_str_eq(call_name, "validate");
    call_answered("validate.reply", CVM_REPLIED, 200, FOUND);
    ck_assert_uint_eq(json_object_size(state), 2); /* the old one is gone */
    json_object_set_new(settings, "validation_cache_s", json_integer(0));
    ck_assert_int_eq(ask_meter(), CVM_PENDING);
}
END_TEST

START_TEST(bill_answer)
{
    ck_assert_int_eq(turn("bill", 0, asker, json_pack("{s:s, s:s}", "disco", "EKEDC", "meter_number", METER), 0),
                     CVM_PENDING);
    ck_assert_str_eq(call_path, "/postpaid/bill");
    call_answered("bill.reply", CVM_REPLIED, 200,
                  "{\"amount_due\":\"1234.50\",\"period\":\"2026-10\",\"lines\":[{\"item\":\"Energy\","
                  "\"amount\":1200},{\"item\":\"?\"}]}");
    ck_assert_int_eq(cvm_json_int(settled, "amount_due_kobo", 0), 123450);
    ck_assert_uint_eq(json_array_size(json_object_get(settled, "lines")), 1);
    call_answered("bill.reply", CVM_REPLIED, 409, "{\"error_code\":\"NOT_POSTPAID\"}");
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "NOT_POSTPAID");
    call_answered("bill.reply", CVM_TIMEOUT, 0, "");
    ck_assert_int_eq(settled_outcome, CVM_ERROR);
}
END_TEST

START_TEST(anyone_asks)
{
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s}", "reference", "R-1"), 0), CVM_PENDING);
    ck_assert_str_eq(call_name, "status");
    call_answered("status.reply", CVM_REPLIED, 200, DELIVERED("\"100.50\"", METER));
    ck_assert_str_eq(word("status"), "delivered");
    ck_assert_str_eq(word("token"), TOKEN);
    ck_assert_int_eq(cvm_json_int(settled, "amount_kobo", 0), 10050);
    ck_assert_int_eq(turn("balance", 0, asker, json_object(), 0), CVM_PENDING);
    call_answered("balance.reply", CVM_REPLIED, 200, "{\"balance\":\"12.34\"}");
    ck_assert_int_eq(cvm_json_int(settled, "balance_kobo", 0), 1234);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("provider_disco");
    TCase *tc = tcase_create("provider_disco");
    tcase_add_checked_fixture(tc, setup, provider_end);
    tcase_add_test(tc, vend_has_forty_five_seconds);
    tcase_add_test(tc, not_configured);
    tcase_add_loop_test(tc, vend_answer, 0, (int)(sizeof answers / sizeof answers[0]));
    tcase_add_loop_test(tc, check_answer, 0, (int)(sizeof checks / sizeof checks[0]));
    tcase_add_test(tc, host_asks);
    tcase_add_test(tc, key_change_tokens_are_carried);
    tcase_add_test(tc, validation_has_fifteen_seconds);
    tcase_add_loop_test(tc, validation_answer, 0, (int)(sizeof validations / sizeof validations[0]));
    tcase_add_test(tc, found_meter_is_remembered);
    tcase_add_test(tc, bill_answer);
    tcase_add_test(tc, anyone_asks);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
