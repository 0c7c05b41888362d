/* Buying airtime, from the checks to the last kobo: the plugins `transaction` and `airtime` turn by turn against a
 * small host, with a network that does what the test says. */
#include "../../plugins/service/airtime/airtime.h"
#include "../../plugins/service/transaction/transaction.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

#define START INT64_C(1795000000000)
#define SALES "service.airtime_sales"
#define ADA "CUST-ADA"
#define ADA_PHONE "08031234567"
#define NAIRA INT64_C(100)

extern const cvm_plugin_descriptor transaction_plugin, airtime_plugin;

/* ---- the network and a seller that do what they are told ---- */

static struct {
    int outcome;        /* of vend; -1: it never answers */
    const char *code;   /* of a refusal */
    const char *status; /* of verify; NULL: it never answers */
    cvm_id last;        /* the last vend or delivery asked for */
    int vends, verifies;
    int64_t amount_kobo; /* of the last vend */
    char reference[64];
} net;

static int net_answer(cvm_turn *t, const cvm_msg *m)
{
    net.last = m->id;
    net.vends++;
    snprintf(net.reference, sizeof net.reference, "%s",
             cvm_json_str(m->data, "reference", cvm_json_str(m->data, "transaction_id", "")));
    switch (net.outcome) {
    case CVM_REPLIED:
        return cvm_reply(t, m, json_pack("{s:s, s:s}", "transaction_id", "N-1", "reference", "MTN-88213"));
    case CVM_REFUSED:
        return cvm_refuse_with(t, json_pack("{s:s, s:s}", "error_code", net.code, "message", "no"));
    case CVM_ERROR:
        return CVM_EIO;
    case CVM_UNKNOWN:
        return cvm_settle(t, m->id, CVM_UNKNOWN, json_pack("{s:s}", "error_code", "TIMEOUT"), NULL);
    default:
        return CVM_PENDING;
    }
}

static int net_vend(cvm_turn *t, const cvm_msg *m)
{
    net.amount_kobo = cvm_json_int(m->data, "amount_kobo", 0);
    return net_answer(t, m);
}

static int net_verify(cvm_turn *t, const cvm_msg *m)
{
    net.verifies++;
    if (!net.status)
        return CVM_PENDING;
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "status", net.status, "reference", "MTN-LATE"));
}

static int net_balance(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:s, s:i}", "network", "MTN", "balance_kobo", 12345));
}

static int seller_check(cvm_turn *t, const cvm_msg *m)
{
    net.verifies++;
    return cvm_reply(t, m, json_pack("{s:s}", "result", net.status ? net.status : "unknown"));
}

static const cvm_component test_components[] = {{.id = "test.network", .state_version = 1},
                                                {.id = "test.seller", .state_version = 1},
                                                {.id = "test.stranger", .state_version = 1},
                                                {0}};
static const cvm_route test_routes[] = {{"test.network", "vend", net_vend},
                                        {"test.network", "verify", net_verify},
                                        {"test.network", "balance", net_balance},
                                        {"test.seller", "deliver", net_answer},
                                        {"test.seller", "check_delivery", seller_check},
                                        {0}};
#define cvm_plugin test_plugin
CVM_PLUGIN(.name = "test", .version = "1.0.0", .components = test_components, .routes = test_routes);
#undef cvm_plugin

static const char test_manifest[] =
    "{\"components\": ["
    "{\"id\": \"test.network\", \"alias\": \"N\", \"roles\": [\"network\"],"
    " \"serves\": {\"network\": [\"MTN\", \"AIRTEL\", \"GLO\"]},"
    " \"operations\": [{\"type\": \"vend\", \"timeout_ms\": 300000}, {\"type\": \"verify\"}, {\"type\": \"balance\"}]},"
    "{\"id\": \"test.seller\", \"alias\": \"S\", \"roles\": [\"desk.seller\"],"
    " \"operations\": [{\"type\": \"deliver\"}, {\"type\": \"check_delivery\"}]},"
    "{\"id\": \"test.stranger\", \"alias\": \"X\", \"operations\": []}]}";

/* ---- the stage ---- */

static struct harness *f;

static void setup(void)
{
    memset(&net, 0, sizeof net);
    net.outcome = CVM_REPLIED;
    f = harness_new(START);
    harness_add(f, &transaction_plugin, MANIFESTS "/transaction.json");
    harness_add(f, &airtime_plugin, MANIFESTS "/airtime.json");
    json_object_set_new(harness_settings(f, TXN_SELF), "duplicate_window_s", json_integer(0));
    harness_add(f, &test_plugin, test_manifest);
    harness_request(f, "", TXN_SELF, "open_account", "c0",
                    json_pack("{s:s, s:s, s:I}", "customer_id", ADA, "phone", ADA_PHONE, "balance_kobo",
                              (json_int_t)(100000 * NAIRA)));
    harness_run(f, 0);
}

static void teardown(void)
{
    harness_free(f);
}

static const json_t *account(const char *customer)
{
    char key[128];
    snprintf(key, sizeof key, "account/%s", customer);
    return json_object_get(harness_state(f, TXN_SELF), key);
}

static int64_t balance(void)
{
    return cvm_json_int(account(ADA), "balance_kobo", -1);
}

static int64_t held(void)
{
    return cvm_json_int(account(ADA), "held_kobo", -1);
}

static size_t keys(const char *prefix)
{
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_state(f, TXN_SELF), key, value) n +=
        !strncmp(key, prefix, strlen(prefix));
    return n;
}

static const json_t *row(const char *table, const char *key)
{
    return json_object_get(harness_rows(f, table), key);
}

static const json_t *only_row(void)
{
    ck_assert_uint_eq(json_object_size(harness_rows(f, "transactions")), 1);
    return json_object_iter_value(json_object_iter((json_t *)(uintptr_t)harness_rows(f, "transactions")));
}

static const char *text(const json_t *object, const char *key)
{
    return cvm_json_str(object, key, "");
}

static json_t *order_of(const char *network, const char *phone, double amount)
{
    return json_pack("{s:s, s:s, s:f}", "network", network, "recipient_phone", phone, "amount", amount);
}

static cvm_id buy(const char *network, const char *phone, double amount)
{
    static int n;
    char lane[32];
    snprintf(lane, sizeof lane, "api-%d", ++n);
    cvm_id id = harness_request(f, "", SALES, "process_purchase", lane, order_of(network, phone, amount));
    harness_run(f, 0);
    return id;
}

static cvm_id buy_key(const char *key, double amount)
{
    json_t *o = order_of("MTN", ADA_PHONE, amount);
    json_object_set_new(o, "idempotency_key", json_string(key));
    cvm_id id = harness_request(f, "", SALES, "process_purchase", "keyed", o);
    harness_run(f, 0);
    return id;
}

/* A purchase by the other seller, of any sum. */
static cvm_id sell(int64_t kobo, const char *sender)
{
    cvm_id id = harness_request(f, sender, TXN_SELF, "purchase", "other",
                                json_pack("{s:s, s:s, s:s, s:I, s:s, s:{s:i}}", "service_type", "POWER",
                                          "network_or_disco", "EKEDC", "recipient", "45012345678", "amount_kobo",
                                          (json_int_t)kobo, "customer_id", ADA, "delivery", "x", 1));
    harness_run(f, 0);
    return id;
}

/* ---- pure ---- */

START_TEST(phone_forms)
{
    static const char *const good[] = {"08031234567",     "+2348031234567",     "2348031234567", "0803-123-4567",
                                       "(0803) 123 4567", "+234 0803 123 4567", "23408031234567"};
    static const char *const bad[] = {"",
                                      "0803123456",
                                      "080312345678",
                                      "06031234567",
                                      "+08031234567",
                                      "+23480312345",
                                      "a",
                                      "++2348031234567",
                                      "0803123456x",
                                      "99999999999999999999999999999999"};
    char e164[PHONE_SIZE], local[PHONE_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(phone_normalise(good[i], e164), CVM_OK);
        ck_assert_str_eq(e164, "+2348031234567");
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(phone_normalise(bad[i], e164), CVM_EINVAL);
    ck_assert_str_eq(phone_local("+2348031234567", local), "08031234567");
    ck_assert(phone_range_in_use("+2347031234567"));
    ck_assert(!phone_range_in_use("+2347131234567"));
    ck_assert(!phone_range_in_use("+2348231234567"));
}
END_TEST

START_TEST(machine_moves)
{
    int allowed = 0;
    for (int a = 0; a < TXN_N; a++)
        for (int b = 0; b < TXN_N; b++)
            allowed += txn_may_move((enum txn_state)a, (enum txn_state)b);
    ck_assert_int_eq(allowed, 28);
    ck_assert(!txn_may_move(TXN_CHALLENGED, TXN_DELIVERING) && !txn_may_move(TXN_REVIEW, TXN_SUCCESS));
    ck_assert(!txn_may_move(TXN_HELD, TXN_CANCELLED) && !txn_may_move(TXN_CANCELLED, TXN_HELD));
    ck_assert(!txn_may_move(TXN_SUCCESS, TXN_REFUNDED));
    ck_assert(!txn_may_move(TXN_REFUNDED, TXN_SUCCESS));
    ck_assert(!txn_may_move(TXN_DELIVERING, TXN_REFUNDED));
    ck_assert(txn_is_final(TXN_SUCCESS) && txn_is_final(TXN_REFUNDED) && !txn_is_final(TXN_FAILED));
    ck_assert_str_eq(txn_status(TXN_DELIVERING), "PENDING");
    enum txn_state s;
    ck_assert_int_eq(txn_state_parse("HELD", &s), CVM_OK);
    ck_assert_int_eq(s, TXN_HELD);
    ck_assert_int_eq(txn_state_parse("held", &s), CVM_EDATA);
}
END_TEST

START_TEST(figures_never_lose_a_kobo)
{
    struct figures a = {0}, before;
    srand(7);
    for (int i = 0; i < 200000; i++) {
        enum entry_kind kind = (enum entry_kind)(rand() % 6);
        int64_t amount = rand() % 1000 - 2;
        before = a;
        int e = account_apply(&a, kind, amount);
        if (e < 0)
            ck_assert_int_eq(memcmp(&a, &before, sizeof a), 0);
        ck_assert(a.balance >= 0 && a.held >= 0);
        ck_assert_int_eq(a.balance, a.opening + a.credited - a.settled - a.returned - a.held);
    }
    ck_assert_int_eq(account_apply(&a, ENTRY_CREDIT, CVM_MONEY_MAX_MINOR), CVM_ELIMIT);
    ck_assert_int_eq(account_apply(&a, ENTRY_HOLD, a.balance + 1), CVM_EREFUSED);
    ck_assert_int_eq(account_apply(&a, ENTRY_SETTLE, a.held + 1), CVM_ESTATE);
}
END_TEST

START_TEST(prices)
{
    struct airtime_rules r;
    char code[NETWORK_SIZE];
    airtime_rules_read(harness_settings(f, SALES), &r);
    ck_assert_int_eq(airtime_discount(&r, 1000 * NAIRA), 0);
    ck_assert_int_eq(airtime_discount(&r, 9999 * NAIRA + 99), 0);
    ck_assert_int_eq(airtime_discount(&r, 10000 * NAIRA), 500 * NAIRA);
    ck_assert_int_eq(airtime_discount(&r, 10000 * NAIRA + 10), 500 * NAIRA + 1); /* 50000.5 kobo, to the nearest */
    static const char *const same[] = {"9mobile", "T2", "t2", "etisalat", " 9MOBILE ", "9-mobile"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        ck_assert_int_eq(network_code(&r.networks, same[i], code), CVM_OK);
        ck_assert_str_eq(code, "9MOBILE");
    }
    ck_assert_int_eq(network_code(&r.networks, "VODAFONE", code), CVM_ENOENT);
    ck_assert_int_eq(network_code(&r.networks, "", code), CVM_ENOENT);
    network_of_prefix(&r.networks, "+2347025123456", code);
    ck_assert_str_eq(code, "MTN");
    network_of_prefix(&r.networks, "+2347021234567", code);
    ck_assert_str_eq(code, "");
}
END_TEST

START_TEST(facts)
{
    struct airtime_rules r;
    char answer[1500];
    airtime_rules_read(harness_settings(f, SALES), &r);
    ck_assert_uint_eq(
        airtime_facts(&r, "What is the MINIMUM I can buy, and is there a discount?", answer, sizeof answer), 2);
    ck_assert_ptr_nonnull(strstr(answer, "\u20a650 to \u20a650,000"));
    ck_assert_ptr_nonnull(strstr(answer, "5 %"));
    ck_assert_uint_eq(airtime_facts(&r, "who is the president", answer, sizeof answer), 0);
    ck_assert_str_eq(answer, "");
    ck_assert_uint_eq(airtime_facts(&r, "discounted unlimited encode", answer, sizeof answer), 0); /* whole words */
}
END_TEST

/* ---- operations ---- */

START_TEST(success_has_all_fields)
{
    const json_t *d;
    ck_assert_int_eq(harness_result(f, buy("mtn", "+234 803 123 4567", 10000), &d), CVM_REPLIED);
    static const char *const fields[] = {"success",  "transaction_id", "network", "recipient", "amount",
                                         "discount", "final_amount",   "message", "reference", "agent"};
    ck_assert_uint_eq(json_object_size(d), sizeof fields / sizeof fields[0]);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        ck_assert_ptr_nonnull(json_object_get(d, fields[i]));
    ck_assert_str_eq(text(d, "network"), "MTN");
    ck_assert_str_eq(text(d, "recipient"), "08031234567");
    ck_assert_str_eq(text(d, "reference"), "MTN-88213");
    ck_assert_str_eq(text(d, "agent"), "AirtimeSalesAgent");
    ck_assert(json_number_value(json_object_get(d, "discount")) == 500);
    ck_assert(json_number_value(json_object_get(d, "final_amount")) == 9500);
    ck_assert_int_eq(net.amount_kobo, 10000 * NAIRA); /* the recipient gets the face value */
    ck_assert_int_eq(balance(), 90500 * NAIRA);
    ck_assert_int_eq(held(), 0);
    const json_t *r = only_row();
    ck_assert_str_eq(text(r, "status"), "SUCCESS");
    ck_assert_str_eq(text(r, "external_reference"), "MTN-88213");
    ck_assert_str_eq(text(r, "transaction_id"), net.reference);
    ck_assert_int_eq(cvm_json_int(r, "total_amount", 0), 9500 * NAIRA);
    ck_assert_int_eq(cvm_json_int(r, "discount", 0), 500 * NAIRA);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "wallet_entries")), 3); /* opening, hold, settle */
    ck_assert_uint_eq(keys("txn/"), 0);
    ck_assert_uint_eq(keys("done/"), 1);
    ck_assert_uint_eq(harness_open_requests(f), 0);
    harness_run(f, 3600000); /* no timer is left that would do anything */
    ck_assert_int_eq(balance(), 90500 * NAIRA);
}
END_TEST

START_TEST(checks_in_order)
{
    static const struct {
        const char *network, *phone;
        double amount;
        const char *error;
    } cases[] = {{"VODAFONE", "1", 1,
                  "The network VODAFONE is not supported. Supported networks: MTN, AIRTEL, GLO, "
                  "9MOBILE."},
                 {"MTN", "1", 1, "The phone number is invalid. Write it like 08012345678 or +2348012345678."},
                 {"MTN", ADA_PHONE, 49, "The minimum airtime purchase is \u20a650."},
                 {"MTN", ADA_PHONE, -5, "The minimum airtime purchase is \u20a650."},
                 {"MTN", ADA_PHONE, 50001, "The maximum airtime purchase is \u20a650,000 per transaction."},
                 {"MTN", ADA_PHONE, 1e13, "The maximum airtime purchase is \u20a650,000 per transaction."},
                 {"MTN", ADA_PHONE, 50.001, "The amount is not a sum of naira."}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const json_t *d;
        ck_assert_int_eq(harness_result(f, buy(cases[i].network, cases[i].phone, cases[i].amount), &d), CVM_REFUSED);
        ck_assert_uint_eq(json_object_size(d), 4);
        ck_assert(json_is_false(json_object_get(d, "success")));
        ck_assert_str_eq(text(d, "error"), cases[i].error);
        ck_assert(*text(d, "recommendation"));
        ck_assert_str_eq(text(d, "agent"), "AirtimeSalesAgent");
    }
    ck_assert_int_eq(net.vends, 0);
    ck_assert_ptr_null(harness_rows(f, "transactions"));
    ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 50), NULL), CVM_REPLIED);
    ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 50000), NULL), CVM_REPLIED);
}
END_TEST

START_TEST(prefix_mismatch_is_mentioned)
{
    const json_t *d;
    ck_assert_int_eq(harness_result(f, buy("AIRTEL", ADA_PHONE, 100), &d), CVM_REPLIED);
    ck_assert_ptr_nonnull(strstr(text(d, "message"), "usually on MTN"));
}
END_TEST

START_TEST(rules_refuse)
{
    const json_t *d;
    ck_assert_int_eq(harness_result(f, buy("MTN", "08039999999", 100), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "UNKNOWN_CUSTOMER");
    ck_assert_int_eq(harness_result(f, sell(50000 * NAIRA + 1, "test.seller"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "TWO_FACTOR");
    ck_assert(cvm_json_bool(d, "handoff", false));
    ck_assert_int_eq(harness_result(f, sell(500001 * NAIRA, "test.seller"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "LIMIT");
    ck_assert_int_eq(harness_result(f, sell(0, "test.seller"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "ORDER");
    ck_assert_int_eq(harness_result(f, sell(100, "test.stranger"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_A_SELLER");
    ck_assert_int_eq(harness_result(f, sell(100, ""), &d), CVM_REFUSED);
    ck_assert_int_eq(harness_result(f, sell(50000 * NAIRA, "test.seller"), &d), CVM_REPLIED);
    ck_assert_int_eq(harness_result(f, sell(50000 * NAIRA, "test.seller"), &d), CVM_REPLIED);
    ck_assert_int_eq(harness_result(f, sell(100, "test.seller"), &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "INSUFFICIENT_FUNDS");
    ck_assert_int_eq(balance(), 0);
    ck_assert_int_eq(held(), 0);
}
END_TEST

START_TEST(sixth_in_a_minute_is_held_back)
{
    const json_t *d;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 100), NULL), CVM_REPLIED);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 100), &d), CVM_UNKNOWN);
        ck_assert_str_eq(text(d, "waits_for"), "human");
    }
    ck_assert_uint_eq(json_object_size(harness_rows(f, "fraud_flags")), 1);
    ck_assert_int_eq(net.vends, 5);
    harness_run(f, 60001);
    ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 100), NULL), CVM_REPLIED);
}
END_TEST

START_TEST(only_the_saga_may_ask_for_a_delivery)
{
    const json_t *d;
    json_t *delivery = json_pack("{s:s, s:{s:s, s:s, s:i}}", "transaction_id", "TXN-000000000001", "delivery",
                                 "network", "MTN", "phone", ADA_PHONE, "amount_kobo", 5000);
    cvm_id id = harness_request(f, "test.stranger", SALES, "deliver", "x", delivery);
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_int_eq(net.vends, 0);
}
END_TEST

/* ---- failure and doubt ---- */

START_TEST(known_failure_is_refunded_at_once)
{
    static const struct {
        const char *code, *advice;
    } cases[] = {{"INVALID_PHONE", "right and active"},
                 {"NETWORK_ERROR", "10 minutes"},
                 {"SOMETHING", "Contact support"},
                 {"CONNECTION_ERROR", "reference"}};
    net.outcome = CVM_REFUSED;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const json_t *d;
        net.code = cases[i].code;
        ck_assert_int_eq(harness_result(f, buy("MTN", ADA_PHONE, 100), &d), CVM_REFUSED);
        ck_assert_uint_eq(json_object_size(d), 4);
        ck_assert_str_eq(text(d, "error"), "no");
        ck_assert_ptr_nonnull(strstr(text(d, "recommendation"), cases[i].advice));
        ck_assert_ptr_nonnull(strstr(text(d, "recommendation"), net.reference));
        ck_assert_str_eq(text(row("transactions", net.reference), "status"), "REFUNDED");
        ck_assert_int_eq(balance(), 100000 * NAIRA);
        ck_assert_int_eq(held(), 0);
    }
    ck_assert_uint_eq(keys("txn/"), 0);
}
END_TEST

START_TEST(no_provider_is_a_known_failure)
{
    const json_t *d;
    ck_assert_int_eq(harness_result(f, buy("9MOBILE", "08091234567", 100), &d), CVM_REFUSED); /* no wallet there */
    json_t *o = order_of("9MOBILE", "08091234567", 100);
    json_object_set_new(o, "customer_id", json_string(ADA));
    cvm_id id = harness_request(f, "", SALES, "process_purchase", "x", o);
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_str_eq(text(only_row(), "status"), "REFUNDED");
    ck_assert_int_eq(balance(), 100000 * NAIRA);
}
END_TEST

START_TEST(silence_is_pending_then_refunded_then_flagged)
{
    const json_t *d;
    net.outcome = -1;
    cvm_id id = buy("MTN", ADA_PHONE, 1000);
    harness_run(f, 31000);
    ck_assert_int_eq(harness_result(f, id, NULL), -1);
    harness_run(f, 1500);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_UNKNOWN);
    ck_assert(json_is_false(json_object_get(d, "success")));
    ck_assert_str_eq(text(d, "status"), "PENDING");
    ck_assert_str_eq(text(d, "transaction_id"), net.reference);
    ck_assert_ptr_nonnull(strstr(text(d, "recommendation"), "5 minutes"));
    ck_assert_int_eq(held(), 1000 * NAIRA);
    harness_run(f, 266000);
    ck_assert_int_eq(held(), 1000 * NAIRA); /* 298.5 s: still open */
    ck_assert_str_eq(text(only_row(), "status"), "PENDING");
    harness_run(f, 2000);
    ck_assert_int_eq(held(), 0);
    ck_assert_int_eq(balance(), 100000 * NAIRA);
    ck_assert_str_eq(text(only_row(), "status"), "REFUNDED");
    ck_assert_str_eq(text(only_row(), "rule"), "CREDIT_TIMEOUT");
    ck_assert_ptr_null(harness_rows(f, "fraud_flags"));
    net.status = "delivered";
    harness_run(f, 601000); /* the reconciliation finds it after all */
    ck_assert_uint_eq(json_object_size(harness_rows(f, "fraud_flags")), 1);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(only_row(), "metadata"), "late_delivery"));
    ck_assert_int_eq(balance(), 100000 * NAIRA);
}
END_TEST

START_TEST(silence_of_the_reconciliation_is_asked_again)
{
    net.outcome = -1;
    buy("MTN", ADA_PHONE, 1000);
    harness_run(f, 310000);
    ck_assert_str_eq(text(only_row(), "status"), "REFUNDED");
    harness_run(f, 700000); /* ten minutes later the network does not answer either */
    ck_assert_ptr_null(harness_rows(f, "fraud_flags"));
    net.status = "delivered";
    harness_run(f, 601000);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "fraud_flags")), 1);
    ck_assert_int_eq(balance(), 100000 * NAIRA);
    int asked = net.verifies;
    harness_run(f, INT64_C(86400000)); /* and not any more */
    ck_assert_int_eq(net.verifies, asked);
}
END_TEST

/* How often it is asked again is the operator's, as long as the purchase is remembered. */
START_TEST(silence_is_asked_again_as_often_as_set)
{
    static const struct {
        int times, after_s, asked;
    } cases[] = {{0, 600, 1}, {1, 600, 2}, {16, 60, 12}};
    json_object_set_new(harness_settings(f, TXN_SELF), "reconcile_times", json_integer(cases[_i].times));
    json_object_set_new(harness_settings(f, TXN_SELF), "reconcile_after_s", json_integer(cases[_i].after_s));
    net.outcome = -1;
    buy("MTN", ADA_PHONE, 1000);
    harness_run(f, 310000);
    ck_assert_str_eq(text(only_row(), "status"), "REFUNDED");
    int before = net.verifies;
    harness_run(f, 2 * TXN_KEEP_MS);
    ck_assert_int_eq(net.verifies - before, cases[_i].asked);
    ck_assert_int_eq(balance(), 100000 * NAIRA);
}
END_TEST

START_TEST(late_reply_after_the_refund_is_flagged_once)
{
    net.outcome = -1;
    cvm_id id = sell(1000 * NAIRA, "test.seller");
    harness_run(f, 310000);
    ck_assert_int_eq(harness_result(f, id, NULL), CVM_UNKNOWN);
    ck_assert_int_eq(balance(), 100000 * NAIRA);
    ck_assert(harness_answer(f, net.last, CVM_REPLIED, json_pack("{s:s}", "reference", "LATE")));
    harness_run(f, 0);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "fraud_flags")), 1);
    ck_assert_str_eq(text(only_row(), "status"), "REFUNDED");
    ck_assert_int_eq(balance(), 100000 * NAIRA);
    net.status = "delivered";
    harness_run(f, 1200000);
    ck_assert_uint_eq(json_object_size(harness_rows(f, "fraud_flags")), 1);
}
END_TEST

START_TEST(late_success_before_the_deadline_settles)
{
    net.outcome = -1;
    buy("MTN", ADA_PHONE, 1000);
    harness_run(f, 120000);
    ck_assert(harness_answer(f, net.last, CVM_REPLIED,
                             json_pack("{s:s, s:s}", "transaction_id", "N-2", "reference", "MTN-2")));
    harness_run(f, 0);
    ck_assert_str_eq(text(only_row(), "status"), "SUCCESS");
    ck_assert_int_eq(balance(), 99000 * NAIRA);
    harness_run(f, 3600000);
    ck_assert_int_eq(balance(), 99000 * NAIRA);
    ck_assert_str_eq(text(only_row(), "status"), "SUCCESS");
}
END_TEST

START_TEST(doubt_is_verified)
{
    static const struct {
        int outcome;
        const char *code, *status, *ends;
        int64_t balance;
        int64_t within_ms;
    } cases[] = {
        {CVM_UNKNOWN, "", "delivered", "SUCCESS", 99000, 6000},
        {CVM_ERROR, "", "delivered", "SUCCESS", 99000, 6000},
        {CVM_UNKNOWN, "", "failed", "REFUNDED", 100000, 6000},
        {CVM_UNKNOWN, "", "not_found", "REFUNDED", 100000, 301000}, /* it may only be slow to appear */
        {CVM_UNKNOWN, "", "pending", "REFUNDED", 100000, 301000},
        {CVM_REFUSED, "DUPLICATE", "delivered", "SUCCESS", 99000, 0},
        {CVM_REFUSED, "DUPLICATE", "not_found", "REFUNDED", 100000, 0},
        {CVM_REFUSED, "DUPLICATE", "pending", "REFUNDED", 100000, 301000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net.outcome = cases[i].outcome;
        net.code = cases[i].code;
        net.status = cases[i].status;
        cvm_id id = buy("MTN", ADA_PHONE, 1000);
        if (cases[i].within_ms > 6000) {
            harness_run(f, 290000);
            ck_assert_str_eq(text(only_row(), "status"), "PENDING");
            ck_assert_int_gt(net.verifies, 3);
            ck_assert_int_lt(net.verifies, 12);
        }
        harness_run(f, cases[i].within_ms);
        ck_assert_msg(!strcmp(text(only_row(), "status"), cases[i].ends), "case %zu", i);
        ck_assert_int_eq(balance(), cases[i].balance * NAIRA);
        if (cases[i].within_ms <= 6000)
            ck_assert_int_eq(harness_result(f, id, NULL), cases[i].balance == 100000 ? CVM_REFUSED : CVM_REPLIED);
        teardown();
        setup();
    }
}
END_TEST

START_TEST(verify_transaction_asks_the_network)
{
    const json_t *d;
    net.outcome = -1;
    net.status = "pending";
    cvm_id bought = buy("MTN", ADA_PHONE, 1000);
    for (int round = 0; round < 2; round++) {
        cvm_id id = harness_request(f, "", TXN_SELF, "verify_transaction", "ops",
                                    json_pack("{s:s}", "transaction_id", net.reference));
        harness_run(f, 0);
        ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
        ck_assert_str_eq(text(d, "delivery"), round ? "delivered" : "unknown");
        ck_assert_str_eq(text(d, "status"), round ? "SUCCESS" : "PENDING");
        net.status = "delivered";
    }
    ck_assert_int_eq(harness_result(f, bought, NULL), CVM_REPLIED);
    cvm_id id = harness_request(f, "", TXN_SELF, "verify_transaction", "ops",
                                json_pack("{s:s}", "transaction_id", "TXN-00000000000g"));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_FOUND");
}
END_TEST

/* ---- the same key ---- */

START_TEST(same_key_is_charged_once)
{
    const json_t *a, *b;
    net.outcome = -1;
    cvm_id first = buy_key("k1", 1000), second = buy_key("k1", 1000);
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(harness_result(f, buy_key("k1", 2000), &b), CVM_REFUSED);
    ck_assert_str_eq(text(b, "rule"), "DUPLICATE_KEY");
    harness_run(f, 33000);
    ck_assert_int_eq(harness_result(f, first, &a), CVM_UNKNOWN);
    ck_assert_int_eq(harness_result(f, second, &b), CVM_UNKNOWN);
    ck_assert(json_equal(a, b));
    ck_assert_int_eq(harness_result(f, buy_key("k1", 1000), &b), CVM_UNKNOWN); /* at once: it is known to take long */
    harness_answer(f, net.last, CVM_REPLIED, json_pack("{s:s, s:s}", "transaction_id", "N", "reference", "R"));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, buy_key("k1", 1000), &b), CVM_REPLIED);
    ck_assert_str_eq(text(b, "reference"), "R");
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(balance(), 99000 * NAIRA);
    net.outcome = CVM_REPLIED;
    harness_run(f, TXN_KEEP_MS + 3600000);
    ck_assert_uint_eq(keys("key/"), 0);
    ck_assert_uint_eq(keys("done/"), 0);
    ck_assert_uint_eq(keys("purge/"), 0);
    ck_assert_int_eq(harness_result(f, buy_key("k1", 2000), &b), CVM_REPLIED);
    ck_assert_int_eq(net.vends, 2);
}
END_TEST

START_TEST(failed_with_a_key_stays_failed)
{
    const json_t *d;
    net.outcome = CVM_REFUSED;
    net.code = "NETWORK_ERROR";
    ck_assert_int_eq(harness_result(f, buy_key("k2", 1000), NULL), CVM_REFUSED);
    net.outcome = CVM_REPLIED;
    ck_assert_int_eq(harness_result(f, buy_key("k2", 1000), &d), CVM_REFUSED);
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(harness_result(f, buy_key("k3", 1000), &d), CVM_REPLIED);
}
END_TEST

/* ---- wallets ---- */

START_TEST(wallets)
{
    const json_t *d;
    cvm_id id = harness_request(f, "", TXN_SELF, "credit_account", "x",
                                json_pack("{s:s, s:s}", "customer", "+2348031234567", "amount", "10.50"));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(d, "balance_kobo", 0), 10001050);
    static const char *const bad[] = {"0", "-1", "1.234", "x"};
    for (size_t i = 0; i < 4; i++) {
        id = harness_request(f, "", TXN_SELF, "credit_account", "x",
                             json_pack("{s:s, s:s}", "customer", ADA, "amount", bad[i]));
        harness_run(f, 0);
        ck_assert_int_eq(harness_result(f, id, NULL), CVM_REFUSED);
    }
    static const struct {
        const char *customer, *phone;
        int outcome;
    } opens[] = {{ADA, ADA_PHONE, CVM_REPLIED},     {ADA, "08030000000", CVM_REFUSED},
                 {"OTHER", ADA_PHONE, CVM_REFUSED}, {"a/b", "08030000001", CVM_REFUSED},
                 {"B", "0803", CVM_REFUSED},        {"B", "08030000001", CVM_REPLIED}};
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        id = harness_request(f, "", TXN_SELF, "open_account", "x",
                             json_pack("{s:s, s:s, s:i}", "customer_id", opens[i].customer, "phone", opens[i].phone,
                                       "balance_kobo", 100));
        harness_run(f, 0);
        ck_assert_int_eq(harness_result(f, id, NULL), opens[i].outcome);
    }
    ck_assert_int_eq(balance(), 10001050); /* opening it again added nothing */
    id = harness_request(f, "", TXN_SELF, "account", "", json_pack("{s:s}", "customer", "B"));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    ck_assert(json_number_value(json_object_get(d, "balance")) == 1);
}
END_TEST

START_TEST(payer_is_the_named_one)
{
    const json_t *d;
    json_t *o = order_of("MTN", "08135550000", 100);
    json_object_set_new(o, "payer_phone", json_string("0803 123 4567"));
    cvm_id id = harness_request(f, "", SALES, "process_recharge", "x", o);
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "recipient"), "08135550000");
    ck_assert_int_eq(balance(), 99900 * NAIRA);
    o = order_of("MTN", ADA_PHONE, 100);
    json_object_set_new(o, "customer_id", json_string("nobody")); /* never falls back on the number's wallet */
    id = harness_request(f, "", SALES, "process_purchase", "x", o);
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "UNKNOWN_CUSTOMER");
}
END_TEST

START_TEST(looking_things_up)
{
    const json_t *d;
    buy("MTN", ADA_PHONE, 10000);
    net.outcome = CVM_REFUSED;
    net.code = "NETWORK_ERROR";
    char good[64];
    snprintf(good, sizeof good, "%s", net.reference);
    buy("MTN", ADA_PHONE, 100);
    cvm_id list = harness_request(f, "", TXN_SELF, "list_transactions", "",
                                  json_pack("{s:s, s:s}", "customer", ADA_PHONE, "status", "SUCCESS"));
    cvm_id show = harness_request(f, "", TXN_SELF, "show_transaction", "", json_pack("{s:s}", "transaction_id", good));
    cvm_id none = harness_request(f, "", TXN_SELF, "show_transaction", "",
                                  json_pack("{s:s}", "transaction_id", "TXN-ffffffffffff"));
    cvm_id receipt =
        harness_request(f, "", TXN_SELF, "generate_receipt", "", json_pack("{s:s}", "transaction_id", good));
    cvm_id failed =
        harness_request(f, "", TXN_SELF, "generate_receipt", "", json_pack("{s:s}", "transaction_id", net.reference));
    cvm_id pay = harness_request(f, "", TXN_SELF, "initiate_payment", "",
                                 json_pack("{s:s, s:i}", "customer", ADA, "amount", 200000));
    cvm_id price = harness_request(f, "", SALES, "get_pricing", "", json_pack("{s:i}", "amount", 10000));
    cvm_id float_ = harness_request(f, "", SALES, "check_network_balance", "", json_pack("{s:s}", "network", "mtn"));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, list, &d), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(d, "transactions")), 1);
    ck_assert_ptr_null(json_object_get(d, "rows")); /* who adds them up counts each once */
    ck_assert_int_eq(harness_result(f, show, &d), CVM_REPLIED);
    ck_assert(json_number_value(json_object_get(d, "total_amount")) == 9500);
    ck_assert_int_eq(harness_result(f, none, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_FOUND");
    ck_assert_int_eq(harness_result(f, receipt, &d), CVM_REPLIED);
    ck_assert_ptr_nonnull(strstr(text(d, "text"), "NGN 9,500.00"));
    ck_assert_int_eq(harness_result(f, failed, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_COMPLETED");
    ck_assert_int_eq(harness_result(f, pay, &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "status"), "INSUFFICIENT_FUNDS");
    ck_assert_int_eq(harness_result(f, price, &d), CVM_REPLIED);
    ck_assert(json_number_value(json_object_get(d, "final_amount")) == 9500);
    ck_assert_int_eq(harness_result(f, float_, &d), CVM_REPLIED);
    ck_assert(json_number_value(json_object_get(d, "balance")) == 123.45);
}
END_TEST

START_TEST(refunds_are_told)
{
    static const struct {
        int outcome, result;
        const char *said;
    } cases[] = {
        {CVM_REPLIED, CVM_REFUSED, "DELIVERED"}, {CVM_REFUSED, CVM_REPLIED, "REFUNDED"}, {-1, CVM_REPLIED, "PENDING"}};
    for (size_t i = 0; i < 3; i++) {
        const json_t *d;
        net.outcome = cases[i].outcome;
        net.code = "NETWORK_ERROR";
        buy("MTN", ADA_PHONE, 100);
        cvm_id id = harness_request(f, "", TXN_SELF, "refund_transaction", "ops",
                                    json_pack("{s:s}", "transaction_id", net.reference));
        harness_run(f, 0);
        ck_assert_int_eq(harness_result(f, id, &d), cases[i].result);
        ck_assert_str_eq(cvm_json_str(d, "code", text(d, "status")), cases[i].said);
    }
    harness_run(f, TXN_KEEP_MS + 3600000);
    const json_t *d;
    cvm_id id = harness_request(f, "", TXN_SELF, "refund_transaction", "ops",
                                json_pack("{s:s}", "transaction_id", net.reference));
    harness_run(f, 0);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED); /* what became of it stands in the table */
    ck_assert_str_eq(text(d, "status"), "REFUNDED");
}
END_TEST

/* ---- in a conversation ---- */

/* What the engine does: hands a step the message of the one before. */
static const json_t *step(const char *lane, const char *to, const char *from, const char *words, json_t *structured)
{
    const json_t *d = NULL;
    cvm_id id = harness_request(f, "host.conversation", to, "handle", lane,
                                json_pack("{s:{s:s, s:s, s:o}, s:i}", "message", "content", words, "from", from,
                                          "structured_data", structured ? structured : json_object(), "round", 1));
    harness_run(f, 0);
    if (harness_result(f, id, &d) == -1) {
        harness_run(f, 33000);
        ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    }
    return d;
}

static void converse(const char *lane, const char *intent, json_t *entities)
{
    json_t *c = harness_context(f, lane);
    json_object_set_new(c, "intent", json_string(intent));
    json_object_set_new(c, "customer_phone", json_string("+2348031234567"));
    json_object_set_new(c, "customer_id", json_string("someone-of-the-desk"));
    json_object_set_new(c, "entities", entities);
}

static json_t *named(const char *phone, double amount, const char *network)
{
    json_t *e = json_pack("{s:[], s:[], s:[]}", "phone_numbers", "amounts", "networks");
    if (phone)
        json_array_append_new(json_object_get(e, "phone_numbers"), json_string(phone));
    if (amount > 0)
        json_array_append_new(json_object_get(e, "amounts"), json_real(amount));
    if (network)
        json_array_append_new(json_object_get(e, "networks"), json_string(network));
    return e;
}

static const json_t *hand_on(const char *lane, const json_t *sales)
{
    return step(lane, TXN_SELF, SALES, text(sales, "content"),
                json_deep_copy(json_object_get(sales, "structured_data")));
}

START_TEST(conversation_buys)
{
    harness_subject(f, "ENQ-1", NULL, "SES-1");
    converse("ENQ-1", "PURCHASE", named(NULL, 1000, NULL));
    json_object_set_new(harness_context(f, "ENQ-1"), "cues", json_pack("[s, s]", "buy", "request"));
    const json_t *d = step("ENQ-1", SALES, "OrchestratorAgent", "1000 naira airtime for my line", NULL);
    ck_assert_str_eq(text(d, "next"), TXN_SELF);
    const json_t *c = harness_context(f, "ENQ-1"), *air = json_object_get(c, "airtime_context");
    ck_assert_str_eq(text(air, "network"), "MTN"); /* by the prefix of the own number */
    ck_assert_str_eq(text(air, "recipient_phone"), "+2348031234567");
    ck_assert(json_number_value(json_object_get(air, "amount")) == 1000);
    ck_assert(json_is_false(json_object_get(air, "is_bulk_purchase")));
    ck_assert_int_eq(net.vends, 0);
    json_t *sales = json_deep_copy(d);
    d = hand_on("ENQ-1", sales);
    ck_assert_str_eq(text(d, "next"), "service.qa");
    ck_assert_str_eq(text(d, "content"),
                     "Done: \u20a61,000.00 airtime went to 08031234567 on MTN. Reference MTN-88213.");
    c = harness_context(f, "ENQ-1");
    ck_assert_str_eq(text(c, "transaction_id"), net.reference);
    ck_assert_str_eq(text(json_object_get(c, "airtime_context"), "transaction_reference"), "MTN-88213");
    ck_assert_str_eq(text(only_row(), "enquiry_id"), "ENQ-1");
    ck_assert_str_eq(text(only_row(), "conversation"), "ENQ-1");
    d = hand_on("ENQ-1", sales); /* a reworked answer does not buy again */
    ck_assert_ptr_nonnull(strstr(text(d, "content"), "MTN-88213"));
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(balance(), 99000 * NAIRA);
    json_decref(sales);
}
END_TEST

START_TEST(conversation_asks_for_what_is_missing)
{
    static const struct {
        const char *phone;
        double amount;
        const char *network, *words, *missing;
    } cases[] = {{NULL, 0, "MTN", "MTN airtime for my line", "[\"amount\"]"},
                 {NULL, 1000, NULL, "1k airtime for my brother", "[\"recipient_phone\"]"},
                 {NULL, 1000, "MTN", "1k MTN airtime for him", "[\"recipient_phone\"]"},
                 {NULL, 0, NULL, "airtime for her", "[\"amount\",\"recipient_phone\"]"},
                 {NULL, 1000, NULL, "1k airtime", "[\"network\"]"}, /* nothing is sold on an amount alone */
                 {"07021234567", 1000, NULL, "1k airtime to 07021234567", "[\"network\"]"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        converse("ENQ-2", "purchase", named(cases[i].phone, cases[i].amount, cases[i].network));
        json_object_del(harness_context(f, "ENQ-2"), "airtime_context");
        const json_t *d = step("ENQ-2", SALES, "OrchestratorAgent", cases[i].words, NULL);
        char *missing = json_dumps(json_object_get(json_object_get(d, "structured_data"), "missing"), JSON_COMPACT);
        ck_assert_str_eq(missing, cases[i].missing);
        free(missing);
        ck_assert_str_eq(text(d, "next"), "service.qa");
        ck_assert_ptr_null(json_object_get(json_object_get(d, "structured_data"), "order"));
    }
    /* what was said before is remembered */
    converse("ENQ-2", "PURCHASE", named(NULL, 0, "GLO"));
    const json_t *d = step("ENQ-2", SALES, "OrchestratorAgent", "glo", NULL);
    ck_assert_str_eq(text(d, "next"), TXN_SELF);
    ck_assert_str_eq(text(json_object_get(json_object_get(d, "structured_data"), "order"), "recipient"),
                     "+2347021234567");
}
END_TEST

START_TEST(conversation_refuses_customers_orders)
{
    converse("ENQ-3", "PURCHASE", named(NULL, 1000, "MTN"));
    const json_t *sales = step("ENQ-3", SALES, "OrchestratorAgent", "1000 MTN airtime", NULL);
    json_t *order = json_deep_copy(json_object_get(sales, "structured_data"));
    static const char *const others[] = {"", "customer", "TriageAgent", "X", "test.stranger"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const json_t *d = step("ENQ-3", TXN_SELF, others[i], "hello", json_deep_copy(order));
        ck_assert_str_eq(text(d, "content"), "hello");
    }
    json_decref(order);
    ck_assert_int_eq(net.vends, 0);
    ck_assert_int_eq(balance(), 100000 * NAIRA);
}
END_TEST

START_TEST(conversation_counts_failures_of_the_session)
{
    net.outcome = CVM_REFUSED;
    net.code = "NETWORK_ERROR";
    for (int i = 1; i <= 3; i++) {
        char lane[16];
        snprintf(lane, sizeof lane, "ENQ-%d", 40 + i);
        harness_subject(f, lane, NULL, "SES-9");
        converse(lane, "PURCHASE", named(NULL, 1000, "MTN"));
        json_t *sales = json_deep_copy(step(lane, SALES, "OrchestratorAgent", "1000 MTN airtime", NULL));
        const json_t *d = hand_on(lane, sales);
        ck_assert_ptr_nonnull(strstr(text(d, "content"), "was returned to your wallet"));
        ck_assert_str_eq(text(json_object_get(d, "structured_data"), "outcome"), "FAILED");
        ck_assert_int_eq(cvm_json_int(harness_context(f, lane), "transaction_failure_count", 0), i);
        json_decref(sales);
    }
}
END_TEST

START_TEST(conversation_hears_that_it_is_pending)
{
    net.outcome = -1;
    converse("ENQ-5", "PURCHASE", named(NULL, 1000, "MTN"));
    json_t *sales = json_deep_copy(step("ENQ-5", SALES, "OrchestratorAgent", "1000 MTN airtime", NULL));
    const json_t *d = hand_on("ENQ-5", sales);
    json_decref(sales);
    ck_assert_str_eq(text(json_object_get(d, "structured_data"), "outcome"), "PENDING");
    ck_assert_ptr_nonnull(strstr(text(d, "content"), "do not repeat"));
    ck_assert_str_eq(text(harness_context(f, "ENQ-5"), "transaction_status"), "PENDING");
}
END_TEST

START_TEST(conversation_answers_questions)
{
    converse("ENQ-6", "INQUIRY", named(NULL, 0, NULL));
    const json_t *d = step("ENQ-6", SALES, "OrchestratorAgent", "any discount for bulk?", NULL);
    ck_assert_str_eq(text(d, "next"), "service.qa");
    ck_assert(cvm_json_bool(json_object_get(d, "structured_data"), "answered", false));
    d = step("ENQ-6", SALES, "OrchestratorAgent", "why is the sky blue", NULL);
    const json_t *structured = json_object_get(d, "structured_data");
    ck_assert_str_eq(text(structured, "rule"), "no_answer");
    ck_assert_str_eq(text(json_object_get(structured, "escalate"), "rule"), "no_answer");
    ck_assert_str_eq(text(d, "next"), "service.escalation"); /* nobody else is loaded who may know */
}
END_TEST

/* Complaints, anger, a report of fraud: nothing is sold, whatever is named. */
START_TEST(conversation_holds_sales)
{
    static const struct {
        const char *cue, *sentiment, *escalate, *rule;
    } cases[] = {{"complaint", "NEUTRAL", "", "unclear_purchase"},
                 {"order", "VERY_NEGATIVE", "", "sentiment_threshold"},
                 {"order", "NEGATIVE", "security", "security_keywords"},
                 {"order", "NEUTRAL", "legal", "legal_keywords"},
                 {"bulk", "NEUTRAL", "", "bulk_order"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *phone = strcmp(cases[i].cue, "bulk") ? "08031234567" : NULL;
        converse("ENQ-7", "PURCHASE", named(phone, 1000, "MTN"));
        json_t *c = harness_context(f, "ENQ-7");
        json_object_set_new(c, "cues", json_pack("[s]", cases[i].cue));
        json_object_set_new(c, "sentiment", json_string(cases[i].sentiment));
        json_object_set_new(c, "classification", json_pack("{s:[s]}", "escalate_reasons", cases[i].escalate));
        const json_t *d = step("ENQ-7", SALES, "OrchestratorAgent", "1k MTN", NULL);
        ck_assert_str_eq(text(json_object_get(d, "structured_data"), "rule"), cases[i].rule);
        ck_assert_ptr_null(json_object_get(json_object_get(d, "structured_data"), "order"));
        ck_assert_str_ne(text(d, "next"), TXN_SELF);
    }
    ck_assert_int_eq(net.vends, 0);
}
END_TEST

/* ---- everything at once ---- */

static void check_books(void)
{
    const char *key;
    json_t *value;
    int64_t open = 0;
    json_object_foreach((json_t *)(uintptr_t)harness_state(f, TXN_SELF), key, value) if (!strncmp(key, "txn/", 4))
        open += cvm_json_int(value, "total_kobo", 0);
    ck_assert_int_eq(held(), open);
    int64_t sums[5] = {0};
    static const char *const kinds[] = {"opening", "credit", "hold", "settle", "refund"};
    json_object_foreach((json_t *)(uintptr_t)harness_rows(f, "wallet_entries"), key,
                        value) for (int i = 0; i < 5; i++) if (!strcmp(text(value, "kind"), kinds[i])) sums[i] +=
        cvm_json_int(value, "amount_kobo", 0);
    ck_assert_int_eq(balance(), sums[0] + sums[1] - sums[2] + sums[4]);
    ck_assert_int_eq(held(), sums[2] - sums[3] - sums[4]);
    ck_assert_int_eq(sums[3], cvm_json_int(account(ADA), "settled_kobo", -1));
}

START_TEST(random_purchases_conserve_money)
{
    static const int outcomes[] = {CVM_REPLIED, CVM_REPLIED, CVM_REFUSED, CVM_UNKNOWN, CVM_ERROR, -1};
    static const char *const codes[] = {"NETWORK_ERROR", "DUPLICATE", "INVALID_PHONE"};
    static const char *const found[] = {"delivered", "failed", "not_found", "pending", NULL};
    cvm_id vends[400];
    int n = 0;
    srand((unsigned)(11 + _i));
    json_object_set_new(harness_settings(f, TXN_SELF), "max_per_minute", json_integer(1000));
    for (int i = 0; i < 400; i++) {
        net.outcome = outcomes[rand() % 6];
        net.code = codes[rand() % 3];
        net.status = found[rand() % 5];
        char key[16];
        snprintf(key, sizeof key, "k%d", rand() % 200);
        if (rand() % 3 == 0)
            buy_key(key, 50 + rand() % 3);
        else if (rand() % 2)
            buy("MTN", ADA_PHONE, 50 + rand() % 12000);
        else
            sell(1 + rand() % 100000, "test.seller");
        vends[n++] = net.last;
        if (rand() % 4 == 0)
            harness_answer(f, vends[rand() % n], rand() % 2 ? CVM_REPLIED : CVM_REFUSED,
                           json_pack("{s:s, s:s}", "reference", "R", "error_code", "NETWORK_ERROR"));
        if (rand() % 5 == 0)
            harness_request(f, "", TXN_SELF, "credit_account", "x",
                            json_pack("{s:s, s:i}", "customer", ADA, "amount", 1 + rand() % 5000));
        harness_run(f, rand() % 60000);
        check_books();
    }
    harness_run(f, 2000000); /* longer than any deadline */
    check_books();
    ck_assert_int_eq(held(), 0);
    ck_assert_uint_eq(keys("txn/"), 0);
    ck_assert_uint_eq(harness_open_requests(f), 0);
    const char *key;
    json_t *value;
    int64_t sold = 0;
    json_object_foreach((json_t *)(uintptr_t)harness_rows(f, "transactions"), key,
                        value) if (!strcmp(text(value, "status"), "SUCCESS")) sold +=
        cvm_json_int(value, "total_amount", 0);
    else ck_assert_str_eq(text(value, "status"), "REFUNDED");
    ck_assert_int_eq(sold, cvm_json_int(account(ADA), "settled_kobo", -1));
    harness_run(f, TXN_KEEP_MS + 3600000);
    ck_assert_uint_eq(keys("done/") + keys("key/") + keys("purge/"), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("purchase");
    TCase *pure = tcase_create("pure"), *sale = tcase_create("sale"), *talk = tcase_create("talk"),
          *all = tcase_create("random");
    tcase_add_test(pure, phone_forms);
    tcase_add_test(pure, machine_moves);
    tcase_add_test(pure, figures_never_lose_a_kobo);
    tcase_add_test(sale, prices);
    tcase_add_test(sale, facts);
    tcase_add_test(sale, success_has_all_fields);
    tcase_add_test(sale, checks_in_order);
    tcase_add_test(sale, prefix_mismatch_is_mentioned);
    tcase_add_test(sale, rules_refuse);
    tcase_add_test(sale, sixth_in_a_minute_is_held_back);
    tcase_add_test(sale, only_the_saga_may_ask_for_a_delivery);
    tcase_add_test(sale, known_failure_is_refunded_at_once);
    tcase_add_test(sale, no_provider_is_a_known_failure);
    tcase_add_test(sale, silence_is_pending_then_refunded_then_flagged);
    tcase_add_test(sale, silence_of_the_reconciliation_is_asked_again);
    tcase_add_loop_test(sale, silence_is_asked_again_as_often_as_set, 0, 3);
    tcase_add_test(sale, late_reply_after_the_refund_is_flagged_once);
    tcase_add_test(sale, late_success_before_the_deadline_settles);
    tcase_add_test(sale, doubt_is_verified);
    tcase_add_test(sale, verify_transaction_asks_the_network);
    tcase_add_test(sale, same_key_is_charged_once);
    tcase_add_test(sale, failed_with_a_key_stays_failed);
    tcase_add_test(sale, wallets);
    tcase_add_test(sale, payer_is_the_named_one);
    tcase_add_test(sale, looking_things_up);
    tcase_add_test(sale, refunds_are_told);
    tcase_add_test(talk, conversation_buys);
    tcase_add_test(talk, conversation_asks_for_what_is_missing);
    tcase_add_test(talk, conversation_refuses_customers_orders);
    tcase_add_test(talk, conversation_counts_failures_of_the_session);
    tcase_add_test(talk, conversation_hears_that_it_is_pending);
    tcase_add_test(talk, conversation_answers_questions);
    tcase_add_test(talk, conversation_holds_sales);
    tcase_add_loop_test(all, random_purchases_conserve_money, 0, 3);
    tcase_add_checked_fixture(sale, setup, teardown);
    tcase_add_checked_fixture(talk, setup, teardown);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 50);
    suite_add_tcase(s, pure);
    suite_add_tcase(s, sale);
    suite_add_tcase(s, talk);
    suite_add_tcase(s, all);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures ? 1 : 0;
}
