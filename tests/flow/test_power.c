/* Electricity as customers and other systems meet it, over HTTP, the command line, the bus and in conversations: a real
 * host with simulated distribution companies. What was vended, paid and told must agree. */
#include "flow_desk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUY "/api/v1/transactions/power"
#define METER "45012345678" /* of class R3, band A; see disco_sim --help */
#define POSTPAID "65012345678"

/* Three customers pay in turn, so that none is too hasty. */
static const char *payer(void)
{
    static const char *const payers[] = {"08021234567", "08031234567", "08051234567", "08022423871", "08052437442"};
    static size_t turn;
    return payers[turn++ % 5];
}

/* Sells over HTTP; the answer's JSON (json_decref). */
static json_t *sell(struct flow *f, const char *disco, const char *meter, const char *amount, int *ret_status)
{
    struct flow_answer a;
    char body[256];
    snprintf(body, sizeof body,
             "{\"disco\": \"%s\", \"meter_number\": \"%s\", \"amount\": %s, \"customer_phone\": \"%s\"}", disco, meter,
             amount, payer());
    *ret_status = flow_http(f, "POST", BUY, body, NULL, &a);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    return answer;
}

static json_t *call(struct flow *f, const char *to, const char *type, const char *data)
{
    json_t *r = flow_call(f, to, type, data, NULL);
    ck_assert_msg(r, "%s %s %s failed", to, type, data);
    return r;
}

static int64_t pending(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'");
}

/* How often the companies were asked for something. */
static int asked(struct flow *f, const char *what)
{
    int n = 0;
    char *log = flow_read(f, "disco_sim.txt");
    for (const char *at = log ? strstr(log, what) : NULL; at; at = strstr(at + 1, what))
        n++;
    free(log);
    return n;
}

static bool twenty_digits(const char *token)
{
    return strlen(token) == 20 && strspn(token, "0123456789") == 20;
}

/* Says a message that must be answered by an agent, with these words in the answer. */
static json_t *said(struct flow *f, const char *channel, const char *message, const char *agent, const char *words)
{
    json_t *a = desk_say(f, payer(), channel, message);
    ck_assert_msg(listed(json_object_get(a, "agents_involved"), agent), "\"%s\": not by %s but %s: %s", message, agent,
                  json_dumps(json_object_get(a, "agents_involved"), 0), text_of(a, "response_text"));
    ck_assert_msg(strstr(text_of(a, "response_text"), words), "\"%s\": no \"%s\" in: %s", message, words,
                  text_of(a, "response_text"));
    return a;
}

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
    desk_ended(f);
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
    desk_ended(f);
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
    r = sell(f, "EKEDC", METER, "99900.01", &status);
    ck_assert_msg(status == 422 && strstr(text_of(r, "error"), "approved"), "%d %s", status, text_of(r, "error"));
    json_decref(r);
    r = desk_say(f, "08031234567", "WEB", "Buy 150000 naira token for EKEDC meter " METER);
    ck_assert_str_eq(text_of(r, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(r, "reason"), "transaction_amount_threshold");
    json_decref(r);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    ck_assert_uint_eq(desk_check_books(f), 0);
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(failed_vend_is_refunded)
{
    static const struct {
        const char *meter, *code, *says;
    } cases[] = {{"45012340001", "INSUFFICIENT_BALANCE", "low for the moment"},
                 {"45012340002", "INVALID_METER", "Check the meter number"},
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
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
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
    desk_ended(f);
}
END_TEST

/* ---- bills and tariffs ---- */

START_TEST(postpaid_bill_breakdown_and_payment)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    int status;
    json_t *r =
        call(f, "service.power_billing", "check_bill", "{\"disco\": \"Eko\", \"meter_number\": \"" POSTPAID "\"}");
    double due = number_of(r, "amount_due"), sum = 0;
    size_t i;
    json_t *line;
    ck_assert(due > 0);
    json_array_foreach(json_object_get(r, "lines"), i, line) sum += number_of(line, "amount");
    ck_assert(i >= 2 && sum > due - 0.01 && sum < due + 0.01);
    json_decref(r);
    r = sell(f, "EKEDC", POSTPAID, "5000", &status);
    ck_assert_int_eq(status, 200);
    ck_assert(json_is_null(json_object_get(r, "token")) && json_is_null(json_object_get(r, "units")));
    ck_assert_str_eq(text_of(r, "meter_type"), "POSTPAID");
    ck_assert_ptr_nonnull(strstr(text_of(r, "response_text"), "bill"));
    json_decref(r);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "bill", "EKEDC", POSTPAID, "--output", "json"), 0);
    ck_assert(number_of(a.json, "amount_due") == due - 5000);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "bill", "EKEDC", METER), 5);
    ck_assert_ptr_nonnull(strstr(a.text, "prepaid"));
    flow_answer_free(&a);
    json_decref(said(f, "WEB", "How much is my bill? EKEDC postpaid meter " POSTPAID, "PowerSalesAgent", "to pay"));
    json_decref(said(f, "WEB", "Explain my bill, EKEDC meter " POSTPAID, "PowerBillingAgent", "VAT"));
    json_decref(said(f, "WEB", "I want to register for postpaid with Abuja Disco", "PowerSalesAgent", "PWR-"));
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_cases where kind = 'REGISTRATION' and disco = 'AEDC'"),
                     1);
    ck_assert_uint_eq(desk_check_books(f), 1);
    desk_ended(f);
}
END_TEST

START_TEST(tariffs_and_bands)
{
    static const int hours[] = {20, 16, 12, 8, 4};
    struct flow *f = desk_started();
    json_t *r = call(f, "service.power_sales", "check_tariff", "{\"tariff_class\": \"R2\"}"), *one;
    size_t i;
    json_array_foreach(json_object_get(r, "tariffs"), i, one)
    {
        ck_assert_int_eq(int_of(one, "hours_per_day"), hours[i]);
        ck_assert(number_of(one, "rate_with_vat") > number_of(one, "rate") && number_of(one, "rate") > 0);
    }
    ck_assert_uint_eq(i, 5);
    json_decref(r);
    r = call(f, "service.power_sales", "check_tariff", "{\"disco\": \"EKEDC\", \"meter_number\": \"" METER "\"}");
    one = json_array_get(json_object_get(r, "tariffs"), 0);
    ck_assert_str_eq(text_of(one, "tariff_class"), "R3");
    ck_assert_str_eq(text_of(one, "service_band"), "A");
    ck_assert(number_of(one, "rate") == 209.5);
    json_decref(r);
    r = call(f, "service.power_billing", "check_tariff", "{\"tariff_class\": \"C1\", \"service_band\": \"E\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(r, "tariffs")), 1);
    json_decref(r);
    int status;
    r = flow_call(f, "service.power_sales", "check_tariff", "{\"tariff_class\": \"R9\"}", &status);
    ck_assert_int_eq(status, 5);
    json_decref(r);
    json_decref(said(f, "WEB", "What is the tariff for band A?", "PowerSalesAgent", "209.50"));
    json_decref(said(f, "WEB", "Why am I charged the wrong band on my light bill? I am on band A, class R3",
                     "PowerBillingAgent", ""));
    desk_ended(f);
}
END_TEST

START_TEST(billing_disputes_and_confirmations)
{
    struct flow *f = desk_started();
    int status;
    json_t *a = said(f, "WEB", "I dispute this estimated bill from EKEDC, meter " POSTPAID ", nobody came to read it",
                     "PowerBillingAgent", "PWR-");
    ck_assert_str_eq(text_of(a, "status"), "RESOLVED");
    json_decref(a);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_cases where kind = 'BILL_DISPUTE' and disco = 'EKEDC' "
                                     "and meter_number = '" POSTPAID "' and address <> '' and description like "
                                     "'%nobody came%'"),
                     1);
    a = call(f, "service.power_billing", "open_dispute",
             "{\"disco\": \"ibadan\", \"meter_number\": \"" POSTPAID "\", \"description\": \"twice the usual\"}");
    ck_assert_str_eq(text_of(a, "kind"), "BILL_DISPUTE");
    json_decref(a);
    a = flow_call(f, "service.power_billing", "open_dispute",
                  "{\"disco\": \"IBEDC\", \"meter_number\": \"65012340007\"}", &status);
    ck_assert_int_eq(status, 5); /* no such meter */
    json_decref(a);

    /* What was paid, with its token; a pending and a failed one; and one that the books do not have. */
    json_decref(desk_say(f, "08062464584", "SMS", "Buy 5000 naira token for EKEDC meter " METER));
    a = desk_say(f, "08062464584", "WEB", "I paid 5000 for light token and I have not received it");
    json_t *rows = flow_sql(f, "select token from power_tokens");
    char first[8];
    snprintf(first, sizeof first, " %.4s ", text_of(json_array_get(rows, 0), "token"));
    ck_assert_msg(strstr(text_of(a, "response_text"), first), "%s", text_of(a, "response_text"));
    json_decref(rows);
    json_decref(a);
    json_decref(desk_say(f, "08082478155", "SMS", "Buy 700 naira token for EKEDC meter 45012340003"));
    a = desk_say(f, "08082478155", "WEB", "I paid 700 for light token and I have not received it");
    ck_assert_msg(strstr(text_of(a, "response_text"), "not confirmed yet"), "%s", text_of(a, "response_text"));
    json_decref(a);
    FLOW_UNTIL(pending(f) == 0);
    a = desk_say(f, "08082478155", "WEB", "I paid 700 for light token and I have not received it");
    ck_assert_msg(strstr(text_of(a, "response_text"), "returned to your wallet"), "%s", text_of(a, "response_text"));
    json_decref(a);
    a = desk_say(f, "08072491726", "WEB", "I paid 5000 for light token and I have not received it");
    ck_assert_str_eq(text_of(a, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(a, "reason"), "payment_not_found");
    json_decref(a);
    desk_ended(f);
}
END_TEST

/* ---- PowerTechnicalAgent ---- */

START_TEST(help_token_by_brand)
{
    static const char *const brands[] = {"Hexing", "Mojec", "Conlog"};
    struct flow *f = desk_started();
    json_decref(said(f, "SMS", "HELP TOKEN", "PowerTechnicalAgent", "keypad"));
    json_decref(said(f, "WEB", "help token", "PowerTechnicalAgent", "Hexing, Mojec or Conlog"));
    for (size_t i = 0; i < 3; i++) {
        char text[64], data[64], words[32];
        snprintf(text, sizeof text, "HELP TOKEN %s", brands[i]);
        snprintf(words, sizeof words, "On a %s meter", brands[i]);
        json_decref(said(f, "SMS", text, "PowerTechnicalAgent", words));
        snprintf(data, sizeof data, "{\"brand\": \"%s\"}", brands[i]);
        json_t *r = call(f, "service.power_technical", "token_help", data);
        ck_assert_str_eq(text_of(r, "brand"), brands[i]);
        ck_assert_uint_eq(json_array_size(json_object_get(r, "steps")), 4);
        ck_assert_ptr_nonnull(strstr(text_of(r, "text"), words));
        json_decref(r);
    }
    desk_ended(f);
}
END_TEST

START_TEST(technical_enquiries)
{
    struct flow *f = desk_started();
    json_decref(said(f, "WEB", "my meter keeps rejecting the token I bought, it is a Hexing", "PowerTechnicalAgent",
                     "On a Hexing meter"));
    json_decref(said(f, "SMS", "the screen of my meter is blank, EKEDC " METER, "PowerTechnicalAgent", "PWR-"));
    json_decref(said(f, "WEB", "There has been no light on our street since yesterday, Ikeja Electric",
                     "PowerTechnicalAgent", "PWR-"));
    json_t *a = said(f, "WEB", "Electric pole fell and the wire is sparking on the road in Surulere",
                     "PowerTechnicalAgent", "keep everybody well away");
    ck_assert_str_eq(text_of(a, "priority"), "CRITICAL");
    json_decref(a);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_cases where kind in ('METER_FAULT', 'OUTAGE', "
                                     "'DANGER') and status = 'open'"),
                     3);
    desk_ended(f);
}
END_TEST

START_TEST(reports_open_cases)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    json_t *r = said(f, "WEB", "I want to replace my meter, AEDC meter " METER, "PowerSalesAgent", "PWR-");
    json_decref(r);
    json_decref(said(f, "WEB", "the meter is faulty, it is beeping. IBEDC " METER, "PowerTechnicalAgent", "PWR-"));
    json_decref(
        said(f, "WEB", "transformer blew, no supply in the whole area, Kano disco", "PowerTechnicalAgent", "PWR-"));
    r = call(f, "service.power_sales", "request_meter",
             "{\"disco\": \"AEDC\", \"meter_number\": \"" METER "\", \"description\": \"upgrade to smart\"}");
    ck_assert_str_eq(text_of(r, "kind"), "METER_REQUEST");
    json_decref(r);
    r = call(f, "service.power_technical", "report_outage", "{\"disco\": \"Jos\", \"description\": \"dark\"}");
    ck_assert_int_eq(int_of(r, "hours"), 24);
    json_decref(r);
    r = call(f, "service.power_technical", "report_meter_fault",
             "{\"disco\": \"Yola\", \"meter_number\": \"" METER "\"}");
    char id[32];
    snprintf(id, sizeof id, "%s", text_of(r, "case_id"));
    json_decref(r);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "case", "list", "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "cases")), 6);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "case", "show", id, "--output", "json"), 0);
    ck_assert_str_eq(text_of(a.json, "disco"), "YEDC");
    ck_assert_str_eq(text_of(a.json, "customer_name"), "A. Bello");
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "power", "case", "close", id, "new battery"), 0);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "case", "close", id, "something else", "--output", "json"), 0);
    ck_assert_str_eq(text_of(a.json, "resolution"), "new battery");
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "power", "case", "show", "PWR-000000000000"), 4);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from power_cases where status = 'open'"), 5);
    desk_ended(f);
}
END_TEST

/* ---- how people write ---- */

START_TEST(registers_of_purchase)
{
    static const struct {
        const char *channel, *message;
    } cases[] = {
        {"SMS", "Buy 1000 naira token for EKEDC meter " METER},
        {"EMAIL",
         "Good day. Kindly process a purchase of N1,000 worth of electricity units for our prepaid meter " METER
         " (Ikeja Electric). Thank you."},
        {"WHATSAPP", "abeg help me load 1k light for my meter " METER ", na ibedc"},
        {"WHATSAPP", "oga i wan buy nepa light 1000 naira, phed, meter no " METER},
        {"VOICE", "please buy one thousand naira electricity for my eko disco meter four five zero one two three four "
                  "five six seven eight"},
        {"SMS", "recharge my prepaid meter " METER " with 1000 AEDC"},
        {"WEB", "1000 token KEDCO " METER},
        {"SMS", "Ina son sayen wutar lantarki na naira dubu daya, KEDCO meter " METER}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *a = desk_say(f, payer(), cases[i].channel, cases[i].message);
        ck_assert_msg(!strcmp(text_of(a, "reason"), "sold"), "\"%s\": %s: %s", cases[i].message, text_of(a, "reason"),
                      text_of(a, "response_text"));
        json_decref(a);
    }
    ck_assert_uint_eq(desk_check_books(f), sizeof cases / sizeof *cases);
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) from transactions where amount = 100000 and recipient = '" METER "'"),
        sizeof cases / sizeof *cases);
    desk_ended(f);
}
END_TEST

START_TEST(asks_for_what_is_missing)
{
    static const struct {
        const char *message, *reason, *asks;
    } cases[] = {
        {"I want to buy light", "needs_input", "amount"},
        {"Buy 5000 naira token for EKEDC", "needs_input", "meter number"},
        {"Buy 5000 naira light for meter " METER, "needs_input", "distribution company"},
        {"Buy 5000 naira token for EKEDC meter " METER " and 3000 for meter 45012345686", "several_orders", "one"},
        {"Buy 300 naira token for EKEDC meter " METER, "MIN_AMOUNT", "500"},
        {"Buy 1000 naira token for EKEDC meter 45012340007", "UNKNOWN_METER", "not found"}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *a = desk_say(f, payer(), "WEB", cases[i].message);
        ck_assert_msg(!strcmp(text_of(a, "reason"), cases[i].reason) &&
                          strstr(text_of(a, "response_text"), cases[i].asks),
                      "\"%s\": %s: %s", cases[i].message, text_of(a, "reason"), text_of(a, "response_text"));
        json_decref(a);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    desk_ended(f);
}
END_TEST

START_TEST(airtime_and_power_in_one_message)
{
    struct flow *f = desk_started();
    json_t *a = desk_say(
        f, payer(), "WEB",
        "Buy 500 MTN airtime for 08031112229 and also buy 3000 naira electricity token for EKEDC meter " METER);
    ck_assert_str_eq(text_of(a, "reason"), "sold");
    ck_assert(listed(json_object_get(a, "agents_involved"), "AirtimeSalesAgent"));
    ck_assert(listed(json_object_get(a, "agents_involved"), "PowerSalesAgent"));
    json_decref(a);
    /* Which number is the phone and which the meter. */
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions where service_type = 'AIRTIME' and recipient = "
                                     "'+2348031112229'"),
                     1);
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) from transactions where service_type = 'POWER' and recipient = '" METER "'"),
        1);
    ck_assert_uint_eq(desk_check_books(f), 2);
    desk_ended(f);
}
END_TEST

/* The domain comes and goes with its plugin alone. */
START_TEST(without_the_plugin_it_is_not_served)
{
    struct flow *f = desk_home();
    flow_remove(f, "plugins/power.so");
    flow_remove(f, "manifests/power.json");
    json_object_del(json_object_get(f->config, "agents"), "service.power_sales");
    flow_start(f);
    json_t *a = desk_say(f, NULL, "WEB", "Buy 5000 naira token for EKEDC meter " METER);
    ck_assert_str_eq(text_of(a, "reason"), "domain_not_served");
    json_decref(a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/discos", NULL, NULL, NULL), 404);
    a = desk_say(f, NULL, "WEB", "Buy 500 MTN airtime for 08031112229");
    ck_assert_str_eq(text_of(a, "reason"), "sold");
    json_decref(a);
    desk_ended(f);
}
END_TEST

START_TEST(context_has_the_order)
{
    static const char *const members[] = {"disco",   "meter_number", "meter_type", "amount", "customer_name",
                                          "address", "tariff_class", "token",      "units",  "transaction_reference"};
    struct flow *f = desk_started();
    struct flow_answer shown;
    json_t *a = desk_say(f, "08031234567", "WEB", "Buy 5000 naira token for EKEDC meter " METER);
    ck_assert_int_eq(FLOW_RUN(f, &shown, "enquiry", "show", text_of(a, "enquiry_id"), "--context", "--output", "json"),
                     0);
    const json_t *c = json_object_get(json_object_get(shown.json, "context"), "power_context");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ck_assert_msg(json_object_get(c, members[i]) && !json_is_null(json_object_get(c, members[i])), "no %s",
                      members[i]);
    ck_assert(twenty_digits(text_of(c, "token")) && number_of(c, "units") == 22.2 && number_of(c, "amount") == 5000);
    flow_answer_free(&shown);
    json_decref(a);
    desk_ended(f);
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
    tcase_add_test(c, postpaid_bill_breakdown_and_payment);
    tcase_add_test(c, tariffs_and_bands);
    tcase_add_test(c, billing_disputes_and_confirmations);
    tcase_add_test(c, help_token_by_brand);
    tcase_add_test(c, technical_enquiries);
    tcase_add_test(c, reports_open_cases);
    tcase_add_test(c, registers_of_purchase);
    tcase_add_test(c, asks_for_what_is_missing);
    tcase_add_test(c, airtime_and_power_in_one_message);
    tcase_add_test(c, without_the_plugin_it_is_not_served);
    tcase_add_test(c, context_has_the_order);
    return flow_main("power", (TCase *[]){c, NULL});
}
