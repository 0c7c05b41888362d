/* Selling electricity over HTTP, the command line, the bus and in conversations: a real host with simulated
 * distribution companies, lost answers and kills. What was vended, paid and told must agree. */
#include "flow_power.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- PowerSalesAgent ---- */

START_TEST(sales_tools_by_agent_call)
{
    struct flow *f = desk_started();
    json_t *r = call(f, "service.power_sales", "validate_meter_number",
                     "{\"disco\": \"Ikeja Electric\", \"meter_number\": \"4501-2345 678\"}");
    ck_assert_str_eq(text_of(r, "disco"), "IKEDC");
    ck_assert_str_eq(text_of(r, "meter_number"), METER);
    ck_assert_str_eq(text_of(r, "meter_type"), "PREPAID");
    json_decref(r);
    r = call(f, "service.power_sales", "check_tariff", "{\"tariff_class\": \"c2\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(r, "tariffs")), 5);
    json_decref(r);
    r = call(f, "service.power_sales", "purchase_token",
             "{\"disco\": \"eko\", \"meter_number\": \"" METER
             "\", \"amount\": \"1500.50\", \"customer_phone\": \"08031234567\"}");
    ck_assert(json_is_true(json_object_get(r, "success")));
    ck_assert(twenty_digits(text_of(r, "token")));
    ck_assert(number_of(r, "total") == 1600.50);
    json_decref(r);
    r = call(f, "service.power_sales", "register_postpaid",
             "{\"disco\": \"AEDC\", \"customer_phone\": \"08031234567\", \"description\": \"a new shop\"}");
    ck_assert_int_eq(strncmp(text_of(r, "case_id"), "PWR-", 4), 0);
    ck_assert_str_eq(text_of(r, "kind"), "REGISTRATION");
    json_decref(r);
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

START_TEST(constants_and_boundaries)
{
    static const struct {
        const char *amount;
        int status;
        const char *says;
    } cases[] = {{"499.99", 422, "minimum"},
                 {"500", 200, ""},
                 {"500000", 200, ""},
                 {"500000.01", 422, "maximum"},
                 {"-5", 422, ""}};
    struct flow *f = desk_home();
    struct flow_answer a;
    json_t *agents = json_object_get(f->config, "agents");
    /* The range alone: without the second look that purchases of this size else need. */
    json_object_set_new(json_object_get(json_object_get(agents, "service.transaction"), "settings"), "two_factor_above",
                        json_integer(1000000));
    json_object_set_new(json_object_get(json_object_get(agents, "service.transaction"), "settings"), "approve_above",
                        json_integer(1000000));
    json_object_set_new(json_object_get(json_object_get(agents, "service.power_sales"), "settings"), "approval_above",
                        json_integer(1000000));
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "BIG", "08039990001"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", "BIG", "600000"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"disco\": \"EKEDC\", \"meter_number\": \"" METER "\", \"amount\": %s, \"customer_id\": \"BIG\"}",
                 cases[i].amount);
        int status = flow_http(f, "POST", BUY, body, NULL, &a);
        ck_assert_msg(status == cases[i].status && strstr(text_of(a.json, "error"), cases[i].says), "%s: %d %s",
                      cases[i].amount, status, a.text);
        ck_assert(status != 200 || number_of(a.json, "service_charge") == 100);
        flow_answer_free(&a);
    }
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "BIG", "--output", "json"), 0);
    ck_assert_int_eq(int_of(a.json, "balance_kobo"), (600000 - 500500 - 200) * 100);
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 2);

    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "show", "service.power", "--output", "json"), 0);
    const json_t *s = json_object_get(a.json, "service.power_sales"), *types = json_object_get(s, "meter_types"),
                 *classes = json_object_get(s, "tariff_classes");
    ck_assert(number_of(s, "min_purchase") == 500 && number_of(s, "max_purchase") == 500000);
    ck_assert(number_of(s, "service_charge") == 100 && number_of(s, "token_validity_days") == 30);
    ck_assert(json_array_size(types) == 2 && listed(types, "PREPAID") && listed(types, "POSTPAID"));
    ck_assert(json_array_size(classes) == 4 && listed(classes, "R2") && listed(classes, "R3") &&
              listed(classes, "C1") && listed(classes, "C2"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_tokens where julianday(expires_at) - "
                                     "julianday(issued_at) between 29.999 and 30.001"),
                     2);
    flow_end(f);
}
END_TEST

START_TEST(large_purchases_need_a_colleague)
{
    struct flow *f = desk_started();
    int status;
    json_t *r = sell(f, "EKEDC", METER, "99900", &status); /* with the charge just the automatic limit */
    ck_assert_int_eq(status, 422);
    ck_assert_str_eq(text_of(r, "rule"), "TWO_FACTOR");
    json_decref(r);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "BIG", "08039990001"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", "BIG", "600000"), 0);
    char id[2][32], body[200];
    for (int i = 0; i < 2; i++) {
        struct flow_answer a;
        snprintf(body, sizeof body,
                 "{\"disco\": \"EKEDC\", \"meter_number\": \"" METER "\", \"amount\": %s, \"customer_id\": \"BIG\"}",
                 i ? "150000" : "99900.01");
        ck_assert_int_eq(flow_http(f, "POST", BUY, body, NULL, &a), 202);
        ck_assert_str_eq(text_of(a.json, "waits_for"), "human");
        snprintf(id[i], sizeof id[i], "%s", text_of(a.json, "transaction_id"));
        flow_answer_free(&a);
    }
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from handoffs where queue = 'transactions'") == 2);
    ck_assert_uint_eq(desk_check_books(f), 0); /* nothing is vended or held before */
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from wallet_entries where kind = 'hold'"), 0);
    EXPECT(f, 4, "no transaction with this id", "transaction", "approve", "TXN-000000000000", "--by", "Bola");
    EXPECT(f, 0, "SUCCESS", "transaction", "approve", id[1], "--by", "Bola", "--note", "known customer");
    EXPECT(f, 0, "did not approve", "transaction", "reject", id[0], "--by", "Bola");
    EXPECT(f, 5, "NOT_WAITING", "transaction", "approve", id[0], "--by", "Bola");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_tokens"), 1);
    ck_assert_uint_eq(desk_check_books(f), 1);
    r = desk_say(f, "08031234567", "WEB", "Buy 150000 naira token for EKEDC meter " METER);
    ck_assert_str_eq(text_of(r, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(r, "reason"), "transaction_amount_threshold");
    json_decref(r);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 2);
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

START_TEST(eleven_discos_with_aliases)
{
    static const char *const aliases[][2] = {
        {"abuja", "AEDC"},           {"Benin", "BEDC"},   {"EKEDP", "EKEDC"}, {"EKO", "EKEDC"},
        {"Enugu", "EEDC"},           {"IBADAN", "IBEDC"}, {"IE", "IKEDC"},    {"Ikeja", "IKEDC"},
        {"Ikeja Electric", "IKEDC"}, {"JEDC", "JED"},     {"jos", "JED"},     {"KAEDC", "KAEDCO"},
        {"KADUNA", "KAEDCO"},        {"kano", "KEDCO"},   {"PHED", "PHEDC"},  {"Port Harcourt", "PHEDC"},
        {"port-harcourt", "PHEDC"},  {"YOLA", "YEDC"}};
    struct flow *f = desk_started();
    struct flow_answer a;
    size_t i;
    json_t *one;
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/discos", NULL, NULL, &a), 200);
    const json_t *discos = json_object_get(a.json, "discos");
    ck_assert_uint_eq(json_array_size(discos), 11);
    json_array_foreach(discos, i, one)
    {
        bool known = false;
        for (const char *const *code = desk_discos; *code; code++)
            known = known || !strcmp(*code, text_of(one, "code"));
        ck_assert_msg(known && *text_of(one, "name") && json_array_size(json_object_get(one, "aliases")) &&
                          json_array_size(json_object_get(one, "coverage_areas")),
                      "%s", text_of(one, "code"));
    }
    flow_answer_free(&a);
    for (i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"disco\": \"%s\", \"meter_number\": \"" METER "\"}", aliases[i][0]);
        ck_assert_int_eq(flow_http(f, "POST", "/api/v1/meters/validate", body, NULL, &a), 200);
        ck_assert_str_eq(text_of(a.json, "disco"), aliases[i][1]);
        flow_answer_free(&a);
    }
    for (const char *const *code = desk_discos; *code; code++) {
        int status;
        json_t *r = sell(f, *code, METER, "500", &status);
        ck_assert_msg(status == 200, "%s: %d %s", *code, status, text_of(r, "error"));
        json_decref(r);
    }
    int status;
    json_t *r = sell(f, "ABA POWER", METER, "500", &status);
    ck_assert_int_eq(status, 422);
    for (const char *const *code = desk_discos; *code; code++)
        ck_assert_msg(strstr(text_of(r, "error"), *code), "%s", text_of(r, "error"));
    json_decref(r);
    ck_assert_uint_eq(desk_check_books(f), 11);
    ck_assert_int_eq(flow_sql_int(f, "select count(distinct token) from power_tokens"), 11);
    flow_end(f);
}
END_TEST

/* In the company's own log the validation stands before the vend, and where it fails nothing was held. */
START_TEST(meter_is_validated_before_payment)
{
    static const struct {
        const char *disco, *meter, *says;
    } cases[] = {{"EKEDC", "45012340007", "not found"},
                 {"EKEDC", "45012340017", "cannot validate"},
                 {"EKEDC", "45012340018", "cannot validate"},
                 {"EKEDC", "4501234567", "11 to 13 digits"},
                 {"EKEDC", "45012345678901", "11 to 13 digits"}};
    struct flow *f = desk_started();
    struct flow_answer a;
    int status;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *r = sell(f, cases[i].disco, cases[i].meter, "1000", &status);
        ck_assert_msg(status == 422 && strstr(text_of(r, "error"), cases[i].says), "%s: %d %s", cases[i].meter, status,
                      text_of(r, "error"));
        ck_assert_uint_eq(json_object_size(r), 4); /* success, error, recommendation, agent */
        json_decref(r);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from wallet_entries where kind = 'hold'"), 0);
    ck_assert_int_eq(asked(f, "/vend"), 0);

    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/meters/validate",
                               "{\"disco\": \"EKEDC\", \"meter_number\": \"" METER "\"}", NULL, &a),
                     200);
    ck_assert_str_eq(text_of(a.json, "customer_name"), "A. Bello");
    ck_assert_str_ne(text_of(a.json, "address"), "");
    ck_assert_str_eq(text_of(a.json, "tariff_class"), "R3");
    ck_assert_str_eq(text_of(a.json, "meter_type"), "PREPAID");
    flow_answer_free(&a);
    json_decref(sell(f, "EKEDC", METER, "1000", &status));
    ck_assert_int_eq(status, 200);
    char *log = flow_read(f, "disco_sim.txt");
    const char *vend = strstr(log, "/ekedc/vend"), *validate = strstr(log, "/ekedc/validate");
    ck_assert_msg(vend && validate && validate < vend, "%s", log);
    free(log);

    char *manifest = flow_read(f, "manifests/disco.json");
    ck_assert_ptr_nonnull(strstr(manifest, "\"timeout_ms\": 45000, \"validate_timeout_ms\": 15000"));
    free(manifest);
    flow_end(f);
}
END_TEST

START_TEST(validation_is_remembered_for_an_hour)
{
    struct flow *f = desk_started();
    int status;
    for (int i = 0; i < 3; i++) {
        json_decref(sell(f, "EKEDC", METER, "1000", &status));
        ck_assert_int_eq(status, 200);
    }
    ck_assert_int_eq(asked(f, "/validate"), 1);
    ck_assert_int_eq(asked(f, "/vend"), 3);
    json_decref(sell(f, "IKEDC", METER, "1000", &status)); /* another company's meter is another meter */
    ck_assert_int_eq(asked(f, "/validate"), 2);
    char *manifest = flow_read(f, "manifests/disco.json");
    ck_assert_ptr_nonnull(strstr(manifest, "\"validation_cache_s\": 3600"));
    free(manifest);
    flow_end(f);
}
END_TEST

START_TEST(token_purchase_answer)
{
    static const char *const fields[] = {"success",        "transaction_id", "token",         "units",
                                         "reference",      "meter_number",   "customer_name", "amount",
                                         "service_charge", "total",          "response_text", "agent"};
    struct flow *f = desk_started();
    struct flow_answer a;
    int status;
    json_t *r = sell(f, "EKEDC", METER, "5000", &status), *entries = desk_ledger(f);
    ck_assert_int_eq(status, 200);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        ck_assert_msg(json_object_get(r, fields[i]), "no %s", fields[i]);
    ck_assert_uint_eq(json_object_size(r), sizeof fields / sizeof *fields);
    ck_assert(twenty_digits(text_of(r, "token")));
    ck_assert(number_of(r, "units") == 22.2 && number_of(r, "amount") == 5000 && number_of(r, "total") == 5100);
    ck_assert_str_eq(text_of(r, "agent"), "PowerSalesAgent");
    const json_t *entry = desk_vended(entries, text_of(r, "transaction_id"));
    ck_assert_str_eq(text_of(entry, "token"), text_of(r, "token"));
    json_decref(entries);
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "receipt", text_of(r, "transaction_id"), "--output", "json"), 0);
    char first[5];
    snprintf(first, sizeof first, "%.4s", text_of(r, "token"));
    ck_assert_ptr_nonnull(strstr(text_of(a.json, "text"), "Token"));
    ck_assert_ptr_nonnull(strstr(text_of(a.json, "text"), first));
    flow_answer_free(&a);
    json_decref(r);
    ck_assert_int_eq(FLOW_RUN(f, &a, "buy", "power", "eko", "4501 2345 678", "700", "--customer-phone", "08021234567",
                              "--output", "json"),
                     0);
    ck_assert(twenty_digits(text_of(a.json, "token")));
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

static void check_parts(const char *text, const char *token)
{
    static const char *const parts[] = {"successful",
                                        METER,
                                        "A. Bello",
                                        "Ogui Road",
                                        "Eko Electricity Distribution Company",
                                        "5,000.00",
                                        "100.00",
                                        "5,100.00",
                                        "22.2 kWh",
                                        "1. Go to the keypad",
                                        "2. Enter the 20 digits of the token",
                                        "3. Press ENTER or #",
                                        "4. Wait for the beep",
                                        "valid for 30 days",
                                        "Reference",
                                        "HELP TOKEN",
                                        "call"};
    char groups[32];
    snprintf(groups, sizeof groups, "%.4s %.4s %.4s %.4s %.4s", token, token + 4, token + 8, token + 12, token + 16);
    ck_assert_msg(strstr(text, groups), "no token %s in %s", groups, text);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) || !strcmp(parts[i], "successful"), "no \"%s\" in %s", parts[i], text);
}

/* The token that was issued for an answered enquiry. */
static void token_of(struct flow *f, const json_t *answer, char ret_token[24])
{
    char sql[128];
    snprintf(sql, sizeof sql, "select token from power_tokens where transaction_id = '%s'",
             text_of(answer, "transaction_id"));
    json_t *rows = flow_sql(f, sql);
    snprintf(ret_token, 24, "%s", text_of(json_array_get(rows, 0), "token"));
    json_decref(rows);
}

START_TEST(receipt_has_every_part)
{
    char token[24];
    struct flow *f = desk_started();
    int status;
    json_t *r = sell(f, "EKEDC", METER, "5000", &status);
    ck_assert_ptr_nonnull(strstr(text_of(r, "response_text"), "successful"));
    check_parts(text_of(r, "response_text"), text_of(r, "token"));
    json_decref(r);
    /* The same in a conversation; a text message keeps the token whole on a line of its own. */
    r = said(f, "WHATSAPP", "Buy 5000 naira token for EKEDC meter " METER, "PowerSalesAgent", "Done");
    token_of(f, r, token);
    check_parts(text_of(r, "response_text"), token);
    json_decref(r);
    r = said(f, "SMS", "Buy 5000 naira token for EKEDC meter " METER, "PowerSalesAgent", "HELP TOKEN");
    token_of(f, r, token);
    const char *alone = strrchr(text_of(r, "response_text"), '\n');
    ck_assert_msg(alone && !strcmp(alone + 1, token), "%s", text_of(r, "response_text"));
    json_decref(r);
    ck_assert_uint_eq(desk_check_books(f), 3);
    flow_end(f);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(failed_vend_is_refunded)
{
    static const struct {
        const char *meter, *code, *says;
    } cases[] = {{"45012340002", "INVALID_METER", "Check the meter number"},
                 {"45012340004", "DUPLICATE", "already processed"},
                 {"45012340005", "NETWORK_ERROR", "in 10 minutes"}};
    struct flow *f = desk_started();
    struct flow_answer a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        char sql[256];
        json_t *r = sell(f, "EKEDC", cases[i].meter, "1000", &status);
        ck_assert_msg(status == 422 && strstr(text_of(r, "recommendation"), cases[i].says) &&
                          strstr(text_of(r, "error"), "returned to your wallet"),
                      "%s: %d %s %s", cases[i].meter, status, text_of(r, "error"), text_of(r, "recommendation"));
        snprintf(sql, sizeof sql,
                 "select count(*) from transactions where recipient = '%s' and status = 'REFUNDED' and "
                 "json_extract(metadata, '$.error_code') = '%s'",
                 cases[i].meter, cases[i].code);
        ck_assert_msg(flow_sql_int(f, sql) == 1, "%s is not %s", cases[i].meter, cases[i].code);
        json_decref(r);
    }
    json_t *told = desk_say(f, "08062464584", "WEB", "Buy 2000 naira token for EKEDC meter 45012340005");
    ck_assert_ptr_nonnull(strstr(text_of(told, "response_text"), "was returned to your wallet"));
    json_decref(told);
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "08062464584", "--output", "json"), 0);
    ck_assert(int_of(a.json, "balance_kobo") == 10000000 && int_of(a.json, "held_kobo") == 0);
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_tokens"), 0);
    flow_end(f);
}
END_TEST

/* Lost, late, senseless and doubled answers: every token that the company issued is sold once, and no other. */
START_TEST(every_ending_of_a_vend)
{
    static const struct {
        const char *meter, *ends;
    } cases[] = {{"45012340008", "SUCCESS"},  {"45012340010", "SUCCESS"},  {"45012340014", "SUCCESS"},
                 {"45012340015", "SUCCESS"},  {"45012340016", "SUCCESS"},  {"45012340019", "SUCCESS"},
                 {"65012340008", "SUCCESS"},  {"45012340003", "REFUNDED"}, {"45012340006", "REFUNDED"},
                 {"45012340011", "REFUNDED"}, {"45012340012", "REFUNDED"}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        json_t *r = sell(f, "IBEDC", cases[i].meter, "1000", &status);
        ck_assert_msg(json_object_get(r, "success"), "%s: %d", cases[i].meter, status);
        json_decref(r);
    }
    FLOW_UNTIL(pending(f) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "select count(*) from transactions where recipient = '%s' and status = '%s'",
                 cases[i].meter, cases[i].ends);
        ck_assert_msg(flow_sql_int(f, sql) == 1, "%s is not %s", cases[i].meter, cases[i].ends);
    }
    ck_assert_uint_eq(desk_check_books(f), 7);
    json_t *entries = desk_ledger(f), *entry;
    size_t i;
    json_array_foreach(entries, i, entry)
    {
        char sql[200];
        if (strcmp(text_of(entry, "status"), "delivered") != 0 || !*text_of(entry, "token"))
            continue;
        snprintf(sql, sizeof sql, "select count(*) from power_tokens where transaction_id = '%s' and token = '%s'",
                 text_of(entry, "reference"), text_of(entry, "token"));
        ck_assert_msg(flow_sql_int(f, sql) == 1, "the token of %s is not known", text_of(entry, "reference"));
    }
    json_decref(entries);
    flow_end(f);
}
END_TEST

static int buy(struct flow *f, int i, const char *meter)
{
    char body[256], header[64];
    snprintf(body, sizeof body,
             "{\"disco\": \"EKEDC\", \"meter_number\": \"%s\", \"amount\": %d, \"customer_id\": \"ADA\"}", meter,
             600 + i);
    snprintf(header, sizeof header, "Idempotency-Key: order-%d", i);
    return flow_http(f, "POST", BUY, body, (const char *const[]){header, NULL}, NULL);
}

/* Buyers repeat with their keys until they are answered, while the companies lose answers and the host is killed. */
START_TEST(killed_while_money_is_held)
{
    enum { ORDERS = 12, KILLS = 2 };
    static const char *const meters[] = {"45012340008", "45012340014", METER,
                                         "45012340019", "45012340015", "45012340016"};
    struct flow *f = desk_home();
    json_object_set_new(
        json_object_get(json_object_get(json_object_get(f->config, "agents"), "service.transaction"), "settings"),
        "max_per_minute", json_integer(1000));
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "ADA", "08039990002"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", "ADA", "100000"), 0);
    for (int i = 0; i < ORDERS; i++) {
        if (fork() > 0)
            continue;
        int status, tries = 0;
        do {
            if (tries++)
                flow_sleep_ms(50);
            status = buy(f, i, meters[i % 6]);
        } while ((status == 0 || status == 503) && tries < 400);
        _exit(tries == 400);
    }
    for (int k = 0; k < KILLS; k++) {
        flow_sleep_ms(400);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    for (int i = 0; i < ORDERS; i++) {
        int status;
        ck_assert(wait(&status) > 0);
        ck_assert_int_eq(status, 0);
    }
    FLOW_UNTIL(pending(f) == 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), ORDERS);
    ck_assert_uint_eq(desk_check_books(f) + (size_t)flow_sql_int(f, "select count(*) from transactions where status = "
                                                                    "'REFUNDED'"),
                      ORDERS);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from (select token from power_tokens group by token having "
                                     "count(*) > 1)"),
                     0);
    flow_end(f);
}
END_TEST

START_TEST(same_key_is_vended_once)
{
    struct flow *f = desk_started();
    struct flow_answer a, b;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(FLOW_RUN(f, i ? &b : &a, "buy", "power", "EKEDC", METER, "900", "--customer-phone",
                                  "08031234567", "--key", "order-1", "--output", "json"),
                         0);
    ck_assert_str_eq(text_of(a.json, "token"), text_of(b.json, "token"));
    ck_assert_str_eq(text_of(a.json, "transaction_id"), text_of(b.json, "transaction_id"));
    flow_answer_free(&a);
    flow_answer_free(&b);
    ck_assert_int_eq(
        FLOW_RUN(f, NULL, "buy", "power", "EKEDC", METER, "901", "--customer-phone", "08031234567", "--key", "order-1"),
        5);
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

/* ---- the simulator itself ---- */

static json_t *asked_sim(struct flow *f, const char *path, const char *body, int status)
{
    struct flow_answer a;
    int got = flow_http(f, "POST", path, body, (const char *const[]){"Authorization: Bearer sim-key", NULL}, &a);
    ck_assert_msg(got == status, "%s %s: %d %s", path, body, got, a.text);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    return answer;
}

/* What was answered survives a kill -9, the same reference has the same token, and no token is issued twice. */
START_TEST(simulator_keeps_its_books)
{
    struct flow *f = flow_new();
    char port[8], ledger[96], first[24], body[128];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(ledger, sizeof ledger, "%s/disco.jsonl", f->home);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d", number);
    const char *const argv[] = {"examples/simulators/disco_sim/disco_sim", "--port", port, "--ledger", ledger, NULL};
    for (int run = 0; run < 2; run++) {
        pid_t sim = flow_spawn(f, "disco_sim", argv);
        FLOW_UNTIL(flow_http(f, "GET", "/health", NULL, NULL, NULL) == 200);
        for (int i = 0; i < 20; i++) {
            snprintf(body, sizeof body, "{\"meter_number\": \"" METER "\", \"amount\": %d, \"reference\": \"R-%d\"}",
                     500 + i, i);
            json_t *r = asked_sim(f, i % 2 ? "/ekedc/v1/prepaid/vend" : "/AEDC/vend", body, 200);
            ck_assert(twenty_digits(text_of(r, "token")) && !strncmp(text_of(r, "token"), "9999", 4));
            if (i == 7 && run == 0)
                snprintf(first, sizeof first, "%s", text_of(r, "token"));
            else if (i == 7)
                ck_assert_str_eq(text_of(r, "token"), first);
            json_decref(r);
        }
        json_decref(asked_sim(f, "/ekedc/vend",
                              "{\"meter_number\": \"" METER "\", \"amount\": 9, \"reference\": \"R-1\"}", 409));
        siginfo_t ended;
        kill(sim, SIGKILL);
        ck_assert_int_eq(waitid(P_PID, (id_t)sim, &ended, WEXITED | WNOWAIT), 0); /* its books are unlocked only then */
    }
    char *books = flow_read(f, "disco.jsonl");
    size_t lines = 0;
    for (const char *c = books; *c; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, 20);
    free(books);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("power");
    tcase_set_timeout(c, 90);
    tcase_add_test(c, sales_tools_by_agent_call);
    tcase_add_test(c, constants_and_boundaries);
    tcase_add_test(c, large_purchases_need_a_colleague);
    tcase_add_test(c, eleven_discos_with_aliases);
    tcase_add_test(c, meter_is_validated_before_payment);
    tcase_add_test(c, validation_is_remembered_for_an_hour);
    tcase_add_test(c, token_purchase_answer);
    tcase_add_test(c, receipt_has_every_part);
    tcase_add_test(c, failed_vend_is_refunded);
    tcase_add_test(c, every_ending_of_a_vend);
    tcase_add_test(c, killed_while_money_is_held);
    tcase_add_test(c, same_key_is_vended_once);
    tcase_add_test(c, simulator_keeps_its_books);
    return flow_main("power", (TCase *[]){c, NULL});
}
