/* Selling electricity, from the checks to the last kobo: the plugins `transaction` and `power` turn by turn against a
 * small host, with a distribution company that does what the test says. */
#include "../../plugins/service/power/power.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

#define START INT64_C(1795000000000)
#define ADA "CUST-ADA"
#define METER "45012345678"
#define TOKEN "99991234567890123456"
#define NAIRA INT64_C(100)

extern const cvm_plugin_descriptor transaction_plugin, power_plugin;

/* ---- a company that does what it is told ---- */

static struct {
    int validate, vend; /* outcomes; -1: never answers */
    const char *meter_type, *code, *status;
    bool no_token;
    int validates, vends, verifies;
    cvm_id last;
    json_t *asked; /* of the last vend */
} company;

static int company_validate(cvm_turn *t, const cvm_msg *m)
{
    company.validates++;
    switch (company.validate) {
    case CVM_REPLIED:
        return cvm_reply(t, m,
                         json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "customer_name", "A. Bello", "address",
                                   "1 Broad Street", "tariff_class", "R3", "meter_type", company.meter_type,
                                   "service_band", "A", "rate_kobo", 20950));
    case CVM_REFUSED:
        return cvm_refuse_with(t, json_pack("{s:s}", "error_code", "UNKNOWN_METER"));
    case CVM_ERROR:
        return CVM_EIO;
    default:
        return CVM_PENDING;
    }
}

static json_t *vended(void)
{
    json_t *body = json_pack("{s:s, s:s}", "transaction_id", "N-1", "reference", "EKO-55120");
    if (!company.no_token) {
        json_object_set_new(body, "token", json_string(TOKEN));
        json_object_set_new(body, "units", json_real(22.2));
    }
    return body;
}

static int company_vend(cvm_turn *t, const cvm_msg *m)
{
    company.vends++;
    company.last = m->id;
    json_decref(company.asked);
    company.asked = json_deep_copy(m->data);
    switch (company.vend) {
    case CVM_REPLIED:
        return cvm_reply(t, m, vended());
    case CVM_REFUSED:
        return cvm_refuse_with(t, json_pack("{s:s, s:s}", "error_code", company.code, "message", "no"));
    case CVM_UNKNOWN:
        return cvm_settle(t, m->id, CVM_UNKNOWN, json_pack("{s:s}", "error_code", "TIMEOUT"), NULL);
    default:
        return CVM_PENDING;
    }
}

static int company_verify(cvm_turn *t, const cvm_msg *m)
{
    company.verifies++;
    if (!company.status)
        return CVM_PENDING;
    json_t *body = strcmp(company.status, "delivered") == 0 ? vended() : json_object();
    json_object_set_new(body, "status", json_string(company.status));
    return cvm_reply(t, m, body);
}

static int stranger_deliver(cvm_turn *t, const cvm_msg *m)
{
    return cvm_request(t, POWER_SALES, "deliver", cvm_json_share(m->data), &(cvm_request_opts){.on_behalf = m->id}) < 0
               ? CVM_EIO
               : CVM_PENDING;
}

static int stranger_answered(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
}

static const cvm_component test_components[] = {
    {.id = "test.disco", .state_version = 1}, {.id = "test.stranger", .state_version = 1}, {0}};
static const cvm_route test_routes[] = {{"test.disco", "validate_meter", company_validate},
                                        {"test.disco", "vend", company_vend},
                                        {"test.disco", "verify", company_verify},
                                        {"test.stranger", "deliver_it", stranger_deliver},
                                        {"test.stranger", "deliver.reply", stranger_answered},
                                        {0}};
#define cvm_plugin test_plugin
CVM_PLUGIN(.name = "test", .version = "1.0.0", .components = test_components, .routes = test_routes);
#undef cvm_plugin

static const char test_manifest[] =
    "{\"components\": ["
    "{\"id\": \"test.disco\", \"alias\": \"D\", \"roles\": [\"disco\"], \"serves\": {\"disco\": [\"EKEDC\"]},"
    " \"operations\": [{\"type\": \"validate_meter\", \"timeout_ms\": 20000}, {\"type\": \"vend\", \"timeout_ms\": "
    "300000},"
    " {\"type\": \"verify\"}]},"
    "{\"id\": \"test.stranger\", \"alias\": \"X\", \"may_send_to\": [\"service.power_sales\"],"
    " \"operations\": [{\"type\": \"deliver_it\"}]}]}";

/* ---- the stage ---- */

static struct harness *f;

static void setup(void)
{
    memset(&company, 0, sizeof company);
    company.meter_type = "PREPAID";
    f = harness_new(START);
    harness_add(f, &transaction_plugin, MANIFESTS "/transaction.json");
    harness_add(f, &power_plugin, MANIFESTS "/power.json");
    harness_add(f, &test_plugin, test_manifest);
    harness_request(f, "", SALE_TRANSACTION, "open_account", "c0",
                    json_pack("{s:s, s:s, s:I}", "customer_id", ADA, "phone", "08031234567", "balance_kobo",
                              (json_int_t)(100000 * NAIRA)));
    harness_run(f, 0);
}

static void teardown(void)
{
    harness_free(f);
    json_decref(company.asked);
}

static cvm_id buy(const char *disco, const char *meter, double naira, const char *key)
{
    json_t *body =
        json_pack("{s:s, s:s, s:f, s:s}", "disco", disco, "meter_number", meter, "amount", naira, "customer_id", ADA);
    if (key)
        json_object_set_new(body, "idempotency_key", json_string(key));
    return harness_request(f, "", POWER_SALES, "purchase_token", "c1", body);
}

static int sold(cvm_id request, const json_t **ret_data)
{
    harness_run(f, 0);
    return harness_result(f, request, ret_data);
}

static int64_t wallet(const char *member)
{
    return cvm_json_int(json_object_get(harness_state(f, SALE_TRANSACTION), "account/" ADA), member, -1);
}

static const char *text(const json_t *object, const char *key)
{
    return cvm_json_str(object, key, "");
}

/* Whatever was asked is answered, and nothing waits for ever. */
static void check_clean(void)
{
    ck_assert_uint_eq(harness_open_requests(f), 0);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_state(f, POWER_SALES), key, value)
        ck_assert_msg(strncmp(key, "ask/", 4) != 0, "%s still waits", key);
}

/* ---- the order of things ---- */

START_TEST(validates_then_holds_then_vends)
{
    const json_t *d;
    company.validate = -1;
    cvm_id id = buy("Eko", "4501-2345-678", 5000, NULL);
    harness_run(f, 0);
    ck_assert_int_eq(company.validates, 1);
    ck_assert_int_eq(wallet("held_kobo"), 0); /* nothing is held while the meter is in doubt */
    ck_assert_int_eq(company.vends, 0);
    harness_run(f, 21000);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_ptr_nonnull(strstr(text(d, "error"), "cannot validate"));

    company.validate = CVM_REPLIED;
    company.vend = -1;
    id = buy("Eko", "4501-2345-678", 5000, NULL);
    harness_run(f, 0);
    ck_assert_int_eq(wallet("held_kobo"), 5100 * NAIRA);
    ck_assert_int_eq(cvm_json_int(company.asked, "amount_kobo", 0), 5000 * NAIRA);
    ck_assert_str_eq(text(company.asked, "meter_number"), METER);
    ck_assert(harness_answer(f, company.last, CVM_REPLIED, vended()));
    ck_assert_int_eq(sold(id, &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "token"), TOKEN);
    ck_assert_str_eq(text(d, "reference"), "EKO-55120");
    ck_assert_int_eq(wallet("balance_kobo"), (100000 - 5100) * NAIRA);
    ck_assert_int_eq(wallet("held_kobo"), 0);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "power_tokens")), 1);
    check_clean();
}
END_TEST

static const struct {
    const char *disco, *meter;
    double naira;
    const char *says;
} refusals[] = {
    {"EKEDC", "450123456", 1000, "11 to 13 digits"},
    {"EKEDC", "45012345678901", 1000, "11 to 13 digits"},
    {"EKEDC", "4501234567x", 1000, "11 to 13 digits"},
    {"ABA", METER, 1000, "AEDC, BEDC, EKEDC"},
    {"ABA", "1", 1, "11 to 13 digits"}, /* the meter is looked at first */
    {"EKEDC", METER, 499.99, "minimum"},
    {"EKEDC", METER, 500000.01, "maximum"},
    {"EKEDC", METER, -1, "minimum"},
};

START_TEST(checks_refuse_in_order)
{
    const json_t *d;
    ck_assert_int_eq(sold(buy(refusals[_i].disco, refusals[_i].meter, refusals[_i].naira, NULL), &d), CVM_REFUSED);
    ck_assert_msg(strstr(text(d, "error"), refusals[_i].says), "%s", text(d, "error"));
    ck_assert_uint_eq(json_object_size(d), 4);
    ck_assert_int_eq(company.validates, 0);
    check_clean();
}
END_TEST

START_TEST(failed_validation_costs_nothing)
{
    const json_t *d;
    company.validate = CVM_REFUSED;
    ck_assert_int_eq(sold(buy("EKEDC", METER, 1000, NULL), &d), CVM_REFUSED);
    ck_assert_ptr_nonnull(strstr(text(d, "error"), "not found at Eko Electricity"));
    company.validate = CVM_ERROR;
    ck_assert_int_eq(sold(buy("EKEDC", METER, 1000, NULL), &d), CVM_REFUSED);
    ck_assert_ptr_nonnull(strstr(text(d, "recommendation"), "not charged"));
    ck_assert_int_eq(sold(buy("AEDC", METER, 1000, NULL), &d), CVM_REFUSED); /* nobody serves it here */
    ck_assert_int_eq(wallet("balance_kobo"), 100000 * NAIRA);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "transactions")), 0);
    check_clean();
}
END_TEST

START_TEST(failed_vend_returns_the_money)
{
    const json_t *d;
    company.vend = CVM_REFUSED;
    company.code = "NETWORK_ERROR";
    ck_assert_int_eq(sold(buy("EKEDC", METER, 1000, NULL), &d), CVM_REFUSED);
    ck_assert_ptr_nonnull(strstr(text(d, "error"), "returned to your wallet"));
    ck_assert_str_ne(text(d, "transaction_id"), "");
    ck_assert_int_eq(wallet("balance_kobo"), 100000 * NAIRA);
    ck_assert_int_eq(wallet("held_kobo"), 0);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "power_tokens")), 0);
    check_clean();
}
END_TEST

/* ---- what is not known ---- */

START_TEST(slow_vend_is_waited_for)
{
    const json_t *d;
    company.vend = -1;
    cvm_id id = buy("EKEDC", METER, 1000, NULL);
    harness_run(f, 46000); /* longer than the saga's own patience: a vend has 45 s */
    ck_assert_int_eq(harness_result(f, id, &d), -1);
    ck_assert(harness_answer(f, company.last, CVM_REPLIED, vended()));
    ck_assert_int_eq(sold(id, &d), CVM_REPLIED);
    id = buy("EKEDC", METER, 1200, NULL); /* another sum: the same one would be asked about */
    harness_run(f, 51000);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "status"), "PENDING");
    company.status = "failed";
    harness_run(f, 400000);
    ck_assert_int_eq(wallet("balance_kobo"), (100000 - 1100) * NAIRA);
}
END_TEST

START_TEST(verified_token_is_sold_once)
{
    const json_t *d;
    company.vend = CVM_UNKNOWN;
    company.status = "delivered";
    cvm_id id = buy("EKEDC", METER, 1000, NULL);
    harness_run(f, 20000);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "token"), TOKEN);
    ck_assert_int_eq(company.vends, 1);
    ck_assert_int_eq(company.verifies, 1);
    ck_assert_int_eq(wallet("balance_kobo"), (100000 - 1100) * NAIRA);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "power_tokens")), 1);
    check_clean();
}
END_TEST

/* A second vend has a reference of its own; its token is found by the transaction all the same. */
START_TEST(token_after_a_low_float)
{
    const json_t *d;
    company.vend = CVM_REFUSED;
    company.code = "INSUFFICIENT_BALANCE";
    cvm_id id = buy("EKEDC", METER, 1000, NULL);
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_UNKNOWN);
    company.vend = CVM_REPLIED;
    harness_run(f, 31000);
    ck_assert_int_eq(company.vends, 2);
    ck_assert_int_gt(strlen(text(company.asked, "reference")), 16);
    ck_assert_ptr_nonnull(json_object_get(harness_rows(f, "power_tokens"), text(d, "transaction_id")));
}
END_TEST

/* A company that says "delivered" and gives no token has delivered nothing to the customer. */
START_TEST(delivered_without_token_is_refunded)
{
    const json_t *d;
    company.vend = CVM_UNKNOWN;
    company.status = "delivered";
    company.no_token = true;
    cvm_id id = buy("EKEDC", METER, 1000, NULL);
    harness_run(f, 400000);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_UNKNOWN);
    ck_assert_int_eq(wallet("balance_kobo"), 100000 * NAIRA);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "power_tokens")), 0);
    ck_assert_int_ge(company.verifies, 3);
}
END_TEST

START_TEST(same_key_vends_once)
{
    const json_t *d, *again;
    ck_assert_int_eq(sold(buy("EKEDC", METER, 1000, "k1"), &d), CVM_REPLIED);
    ck_assert_int_eq(sold(buy("Eko", METER, 1000, "k1"), &again), CVM_REPLIED);
    ck_assert(json_equal(d, again));
    ck_assert_int_eq(company.vends, 1);
    ck_assert_int_eq(sold(buy("Eko", METER, 1001, "k1"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "DUPLICATE_KEY");
    check_clean();
}
END_TEST

START_TEST(only_the_saga_may_have_vended)
{
    const json_t *d;
    cvm_id id = harness_request(f, "", "test.stranger", "deliver_it", "c2",
                                json_pack("{s:s, s:{s:s, s:s, s:i}}", "transaction_id", "TXN-000000000001", "delivery",
                                          "disco", "EKEDC", "meter_number", METER, "amount_kobo", 100000));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_ALLOWED");
    ck_assert_int_eq(company.vends, 0);
}
END_TEST

START_TEST(postpaid_pays_the_bill)
{
    const json_t *d;
    company.meter_type = "POSTPAID";
    company.no_token = true;
    ck_assert_int_eq(sold(buy("EKEDC", METER, 1000, NULL), &d), CVM_REPLIED);
    ck_assert_str_eq(text(company.asked, "meter_type"), "POSTPAID");
    ck_assert(json_is_null(json_object_get(d, "token")));
    ck_assert_ptr_nonnull(strstr(text(d, "response_text"), "bill was successful"));
    ck_assert_ptr_null(strstr(text(d, "response_text"), "TOKEN"));
    ck_assert_uint_eq(json_object_size(harness_rows(f, "power_tokens")), 0);
    check_clean();
}
END_TEST

/* ---- pure parts ---- */

static struct power_rules rules_of_manifest(void)
{
    struct power_rules r;
    power_rules_read(harness_settings(f, POWER_SALES), &r);
    return r;
}

START_TEST(meters_and_names)
{
    struct power_rules r = rules_of_manifest();
    char meter[POWER_METER_SIZE], disco[POWER_DISCO_SIZE];
    ck_assert_int_eq(power_meter(" 0412-3456 789 ", meter), CVM_OK);
    ck_assert_str_eq(meter, "04123456789");
    ck_assert_int_eq(power_meter("1234567890123", meter), CVM_OK);
    ck_assert_int_eq(power_meter("1234567890", meter), CVM_EINVAL);
    ck_assert_int_eq(power_meter("", meter), CVM_EINVAL);
    ck_assert_int_eq(power_meter("12345678901\n", meter), CVM_EINVAL);
    ck_assert(power_check_digit("79927398713") && !power_check_digit("79927398710"));
    ck_assert_int_eq(power_disco(&r, "  port harcourt", disco), CVM_OK);
    ck_assert_str_eq(disco, "PHEDC");
    ck_assert_int_eq(power_disco(&r, "ie", disco), CVM_OK);
    ck_assert_str_eq(disco, "IKEDC");
    ck_assert_int_eq(power_disco(&r, "", disco), CVM_ENOENT);
    ck_assert_int_eq(power_disco(&r, "EKEDC'; drop table transactions", disco), CVM_ENOENT);
}
END_TEST

START_TEST(receipts_fit_their_channel)
{
    struct power_rules r = rules_of_manifest();
    char whole[POWER_LONG_SIZE], brief[POWER_LONG_SIZE];
    json_t *delivery =
        json_pack("{s:s, s:s, s:i, s:i, s:s, s:s}", "disco", "EKEDC", "meter_number", METER, "amount_kobo", 50000000,
                  "charge_kobo", 10000, "customer_name", "Oluwaseun Adebayo-Ogunlesi", "address", "1 Broad Street");
    json_t *body = json_pack("{s:s, s:f, s:s, s:s}", "token", TOKEN, "units", 2220.2, "reference", "EKO-1", "kct1",
                             "11112222333344445555");
    token_receipt_text(&r, delivery, body, RECEIPT_WHOLE, whole, sizeof whole);
    const char *kct = strstr(whole, "1111 2222 3333 4444 5555"),
               *token = strstr(whole, "TOKEN: 9999 1234 5678 9012 3456");
    ck_assert_msg(kct && token && kct < token, "%s", whole); /* else the meter refuses the token */
    json_object_del(body, "kct1");
    token_receipt_text(&r, delivery, body, RECEIPT_BRIEF, brief, sizeof brief);
    ck_assert_uint_le(strlen(brief), 260); /* with "Done: ..", and room for the token alone, three parts of a message */
    token_receipt_text(&r, delivery, body, RECEIPT_TALK, whole, 40); /* what does not fit is cut, not overrun */
    ck_assert_uint_le(strlen(whole), 39);
    json_decref(delivery);
    json_decref(body);
}
END_TEST

START_TEST(tariff_of_meter_goes_before_the_table)
{
    struct power_rules r = rules_of_manifest();
    json_t *meter = json_pack("{s:s, s:s, s:i}", "tariff_class", "R2", "service_band", "A", "rate_kobo", 30000);
    json_t *told = tariff_of_meter(&r, meter), *one = json_array_get(json_object_get(told, "tariffs"), 0);
    ck_assert(json_number_value(json_object_get(one, "rate")) == 300);
    ck_assert(json_number_value(json_object_get(one, "rate_with_vat")) == 322.5);
    json_decref(told);
    json_object_del(meter, "rate_kobo");
    told = tariff_of_meter(&r, meter);
    ck_assert_uint_eq(json_array_size(json_object_get(told, "tariffs")), 1);
    json_decref(told);
    json_decref(meter);
    ck_assert_ptr_null(tariff_table(&r, "R9", ""));
    char tariff_class[4], band[2];
    tariff_named("am i on Band C or what, class r2?", tariff_class, band);
    ck_assert_str_eq(tariff_class, "R2");
    ck_assert_str_eq(band, "C");
}
END_TEST

START_TEST(facts_and_help)
{
    struct power_rules r = rules_of_manifest();
    char answer[POWER_LONG_SIZE * 2];
    static const char *const questions[][2] = {{"what is the minimum?", "500"},
                                               {"is there a service charge", "100"},
                                               {"how long is a token valid", "30 days"},
                                               {"which discos do you serve", "Yola"},
                                               {"what is the tariff", "209.50"},
                                               {"how can i save energy", "LED"},
                                               {"I want to report an outage", "case"},
                                               {"my estimated bill", "dispute"},
                                               {"how do i load it", "keypad"}};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        ck_assert_msg(power_facts(&r, questions[i][0], answer, sizeof answer) && strstr(answer, questions[i][1]),
                      "%s: %s", questions[i][0], answer);
    ck_assert_uint_eq(power_facts(&r, "who won the match", answer, sizeof answer), 0);
    ck_assert_str_eq(token_help_brand("my MOJEC meter"), "Mojec");
    ck_assert_str_eq(token_help_brand("mojecs"), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power");
    TCase *tc = tcase_create("power");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, validates_then_holds_then_vends);
    tcase_add_loop_test(tc, checks_refuse_in_order, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tc, failed_validation_costs_nothing);
    tcase_add_test(tc, failed_vend_returns_the_money);
    tcase_add_test(tc, slow_vend_is_waited_for);
    tcase_add_test(tc, verified_token_is_sold_once);
    tcase_add_test(tc, token_after_a_low_float);
    tcase_add_test(tc, delivered_without_token_is_refunded);
    tcase_add_test(tc, same_key_vends_once);
    tcase_add_test(tc, only_the_saga_may_have_vended);
    tcase_add_test(tc, postpaid_pays_the_bill);
    tcase_add_test(tc, meters_and_names);
    tcase_add_test(tc, receipts_fit_their_channel);
    tcase_add_test(tc, tariff_of_meter_goes_before_the_table);
    tcase_add_test(tc, facts_and_help);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
