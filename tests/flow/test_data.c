/* Data on the real host: bundles sold and refused over HTTP and the command line, the tools of the three agents, and
 * what customers write. Networks are played by a simulator: a line uses 50 MB a day and 50 more for each unit of its
 * last digit; other last digits make trouble, see network_sim --help. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUY "/api/v1/transactions/data"

static const char *payer(void)
{
    static const char *const payers[] = {"08031234567", "08021234567", "08051234567", "08022423871", "08052437442"};
    static size_t turn;
    return payers[turn++ % 5];
}

/* Sells over HTTP; the answer's JSON (json_decref). */
static json_t *sell(struct flow *f, const char *network, const char *phone, const char *code, int *ret_status)
{
    struct flow_answer a;
    char body[256];
    snprintf(body, sizeof body,
             "{\"network\": \"%s\", \"phone\": \"%s\", \"bundle_code\": \"%s\", \"payer_phone\": \"%s\"}", network,
             phone, code, payer());
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

/* Says a message as `phone`; the answer must come from this agent, for this reason, with these words. */
static json_t *said(struct flow *f, const char *phone, const char *message, const char *agent, const char *reason,
                    const char *words)
{
    json_t *a = desk_say(f, phone, "WEB", message);
    ck_assert_msg(listed(json_object_get(a, "agents_involved"), agent), "\"%s\": not by %s: %s", message, agent,
                  text_of(a, "response_text"));
    ck_assert_msg(!strcmp(text_of(a, "reason"), reason), "\"%s\": %s: %s", message, text_of(a, "reason"),
                  text_of(a, "response_text"));
    ck_assert_msg(strstr(text_of(a, "response_text"), words), "\"%s\": no \"%s\" in: %s", message, words,
                  text_of(a, "response_text"));
    return a;
}

static void says(struct flow *f, const char *phone, const char *message, const char *agent, const char *words)
{
    json_decref(said(f, phone, message, agent, "answered", words));
}

/* ---- selling ---- */

static void check_sold(const json_t *a, const char *code, double amount, bool rollover)
{
    static const char *const texts[] = {"transaction_id", "network",    "recipient", "bundle_code", "size",
                                        "validity",       "expires_at", "message",   "reference",   "agent"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(*text_of(a, texts[i]), "no %s", texts[i]);
    ck_assert(json_is_true(json_object_get(a, "success")) && json_is_false(json_object_get(a, "auto_renew")));
    ck_assert(json_is_true(json_object_get(a, "rollover")) == rollover);
    ck_assert_str_eq(text_of(a, "bundle_code"), code);
    ck_assert(number_of(a, "amount") == amount);
}

START_TEST(sells_by_http_and_command_line)
{
    static const struct {
        const char *network, *phone, *code;
        double amount;
        bool rollover;
    } cases[] = {{"MTN", "08031112229", "*312*20#", 1200, true},
                 {"airtel", "+2348021112229", "*141*1#", 1000, true},
                 {"GLO", "08051112229", "*312*201#", 100, false},
                 {"T2", "08091112229", "*312*306#", 45000, true}};
    struct flow *f = desk_started();
    struct flow_answer a;
    int status;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *sold = sell(f, cases[i].network, cases[i].phone, cases[i].code, &status);
        ck_assert_msg(status == 200, "%s: %d %s", cases[i].code, status, text_of(sold, "error"));
        check_sold(sold, cases[i].code, cases[i].amount, cases[i].rollover);
        json_decref(sold);
    }
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "buy", "data", "MTN", "08031112228", "*312*16#", "--payer-phone", payer(), "--output", "json"),
        0);
    check_sold(a.json, "*312*16#", 500, true);
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 5);
    /* The network was told which bundle. */
    json_t *entries = desk_ledger(f), *entry;
    size_t i, bundles = 0;
    json_array_foreach(entries, i, entry) bundles += *text_of(entry, "bundle_code") != 0;
    ck_assert_uint_eq(bundles, 5);
    json_decref(entries);
    flow_end(f);
}
END_TEST

START_TEST(refuses_what_is_not_for_sale)
{
    static const struct {
        const char *network, *phone, *code, *error;
    } cases[] = {{"VODAFONE", "08031112229", "*312*20#", "MTN, AIRTEL, GLO, 9MOBILE"},
                 {"MTN", "0803", "*312*20#", "+2348012345678"},
                 {"MTN", "08031112229", "*141*1#", "*312*16#"}, /* the error lists the network's own */
                 {"MTN", "08031112229", "*312*1#*", "*312*16#"}};
    struct flow *f = desk_home();
    int status;
    /* Outside the limits, and one that was taken off the market. */
    static const char glo[] =
        "{\"bundles\": {\"GLO\": ["
        "{\"size\": \"50MB\", \"validity\": \"1 day\", \"price\": 99, \"code\": \"*1#\", \"package_type\": \"DAILY\", "
        "\"size_mb\": 50, \"validity_days\": 1},"
        "{\"size\": \"900GB\", \"validity\": \"365 days\", \"price\": 50001, \"code\": \"*2#\", \"package_type\": "
        "\"YEARLY\", \"size_mb\": 921600, \"validity_days\": 365},"
        "{\"size\": \"1GB\", \"validity\": \"7 days\", \"price\": 500, \"code\": \"*3#\", \"package_type\": "
        "\"WEEKLY\", "
        "\"size_mb\": 1024, \"validity_days\": 7, \"active\": false}]}}";
    json_object_set_new(json_object_get(json_object_get(f->config, "agents"), "service.data_sales"), "settings",
                        json_loads(glo, 0, NULL));
    flow_start(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *a = sell(f, cases[i].network, cases[i].phone, cases[i].code, &status);
        ck_assert_msg(status == 422 && strstr(text_of(a, "error"), cases[i].error) && *text_of(a, "recommendation") &&
                          !strcmp(text_of(a, "agent"), "DataSalesAgent") &&
                          json_is_false(json_object_get(a, "success")),
                      "%zu: %d %s", i, status, text_of(a, "error"));
        json_decref(a);
    }
    static const char *const limits[][2] = {{"*1#", "100"}, {"*2#", "50,000"}, {"*3#", "does not sell"}};
    for (size_t i = 0; i < 3; i++) {
        json_t *a = sell(f, "GLO", "08051112229", limits[i][0], &status);
        ck_assert_msg(status == 422 && strstr(text_of(a, "error"), limits[i][1]), "%s: %s", limits[i][0],
                      text_of(a, "error"));
        json_decref(a);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    flow_end(f);
}
END_TEST

/* As for airtime: what is unknown is asked about, what failed is paid back, nothing is vended twice. */
START_TEST(every_ending_of_a_vend)
{
    static const struct {
        const char *phone;
        int status;
        const char *after;
    } cases[] = {{"08031110001", 202, "REFUNDED"}, {"08031110002", 422, "REFUNDED"}, {"08031110005", 422, "REFUNDED"},
                 {"08031110006", 0, "REFUNDED"},   {"08031110008", 200, "SUCCESS"},  {"08031110007", 0, "SUCCESS"},
                 {"08031110003", 202, "REFUNDED"}};
    struct flow *f = desk_started();
    char where[200];
    int status;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_decref(sell(f, "MTN", cases[i].phone, "*312*20#", &status));
        ck_assert_msg(cases[i].status == 0 || status == cases[i].status, "%s: %d", cases[i].phone, status);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(where, sizeof where, "select count(*) from transactions where recipient = '+234%s' and status = '%s'",
                 cases[i].phone + 1, cases[i].after);
        FLOW_UNTIL(flow_sql_int(f, where) == 1);
    }
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(same_key_is_charged_once)
{
    static const char body[] = "{\"network\": \"MTN\", \"phone\": \"08031234567\", \"bundle_code\": \"*312*20#\", "
                               "\"idempotency_key\": \"k1\"}";
    struct flow *f = desk_started();
    struct flow_answer a, b;
    ck_assert_int_eq(flow_http(f, "POST", BUY, body, NULL, &a), 200);
    ck_assert_int_eq(flow_http(f, "POST", BUY, body, NULL, &b), 200);
    ck_assert_str_eq(text_of(a.json, "transaction_id"), text_of(b.json, "transaction_id"));
    ck_assert_str_eq(text_of(a.json, "expires_at"), text_of(b.json, "expires_at"));
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_answer_free(&a);
    flow_answer_free(&b);
    flow_end(f);
}
END_TEST

/* ---- the catalogue and the settings ---- */

START_TEST(catalogue_by_network)
{
    static const char *const given[][5] = {{"100MB", "1 day", "100", "*312*1#", "DAILY"},
                                           {"1GB", "7 days", "500", "*312*16#", "WEEKLY"},
                                           {"2GB", "30 days", "1200", "*312*20#", "MONTHLY"},
                                           {"10GB", "30 days", "5000", "*312*21#", "MONTHLY"},
                                           {"150GB", "365 days", "50000", "*312*90#", "YEARLY"}};
    static const char *const networks[] = {"MTN", "AIRTEL", "GLO", "9MOBILE"};
    struct flow *f = desk_started();
    struct flow_answer a;
    char path[64];
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/bundles?network=MTN", NULL, NULL, &a), 200);
    const json_t *list = json_object_get(a.json, "bundles");
    ck_assert_uint_eq(json_array_size(list), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *b = json_array_get(list, i);
        ck_assert_str_eq(text_of(b, "size"), given[i][0]);
        ck_assert_str_eq(text_of(b, "validity"), given[i][1]);
        ck_assert(number_of(b, "price") == strtod(given[i][2], NULL));
        ck_assert_str_eq(text_of(b, "code"), given[i][3]);
        ck_assert_str_eq(text_of(b, "package_type"), given[i][4]);
    }
    flow_answer_free(&a);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/api/v1/bundles?network=%s", networks[i]);
        ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
        ck_assert_uint_ge(json_array_size(json_object_get(a.json, "bundles")), 5);
        ck_assert(strstr(a.text, "DAILY") && strstr(a.text, "WEEKLY") && strstr(a.text, "MONTHLY") &&
                  strstr(a.text, "YEARLY"));
        flow_answer_free(&a);
    }
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/bundles?network=VODAFONE", NULL, NULL, NULL), 422);
    EXPECT(f, 0, "*141*1#", "bundle", "list", "airtel");
    flow_end(f);
}
END_TEST

START_TEST(constants_are_settings)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "info", "service.data_sales", "--output", "json"), 0);
    static const char *const texts[] = {"\"min_purchase\": 100",
                                        "\"max_purchase\": 50000",
                                        "\"auto_renewal_default\": false",
                                        "\"gifting_allowed\": true",
                                        "\"can_suggest_upgrades\": true",
                                        "DAILY",
                                        "YEARLY",
                                        "MTN_DATA_API",
                                        "9MOBILE_DATA_API"};
    char *text = json_dumps(a.json, JSON_INDENT(1));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(strstr(text, texts[i]), "no %s in %s", texts[i], text);
    free(text);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* ---- tools ---- */

START_TEST(sales_tools_by_agent_call)
{
    struct flow *f = desk_started();
    json_t *a = call(f, "service.data_sales", "recommend_plan", "{\"network\": \"MTN\", \"daily_mb\": 150}");
    ck_assert_int_eq(int_of(a, "need_mb"), 4950); /* 30 days and a tenth */
    ck_assert_str_eq(text_of(json_object_get(a, "recommended"), "code"), "*312*21#");
    ck_assert_str_eq(text_of(json_object_get(a, "upgrade"), "code"), "*312*90#");
    ck_assert(number_of(json_object_get(a, "recommended"), "price_per_gb") == 500);
    ck_assert_ptr_nonnull(strstr(text_of(a, "reason"), "150MB a day for 30 days"));
    json_decref(a);
    /* By what the network counted: this line uses 150 MB a day. */
    a = call(f, "service.data_sales", "recommend_plan", "{\"phone\": \"08031112222\", \"days\": 7}");
    ck_assert_int_eq(int_of(a, "daily_mb"), 150);
    ck_assert_str_eq(text_of(json_object_get(a, "recommended"), "code"), "*312*20#");
    json_decref(a);
    a = call(f, "service.data_sales", "recommend_plan", "{\"network\": \"MTN\", \"daily_mb\": 150, \"budget\": 2000}");
    ck_assert_str_eq(text_of(json_object_get(a, "recommended"), "code"), "*312*20#");
    ck_assert(json_is_false(json_object_get(a, "covers")));
    json_decref(a);
    a = call(f, "service.data_sales", "check_balance", "{\"phone\": \"08031112220\"}");
    ck_assert_int_eq(int_of(a, "data_mb"), 2048 - 150);
    json_decref(a);
    a = call(f, "service.data_sales", "activate_bundle",
             "{\"network\": \"MTN\", \"recipient_phone\": \"08031234567\", \"bundle_code\": \"*312*20#\"}");
    check_sold(a, "*312*20#", 1200, true);
    json_decref(a);
    a = call(f, "service.data_sales", "renew_bundle", "{\"recipient_phone\": \"08031234567\"}");
    check_sold(a, "*312*20#", 1200, true);
    json_decref(a);
    int status;
    ck_assert_ptr_null(
        flow_call(f, "service.data_sales", "renew_bundle", "{\"recipient_phone\": \"08059999999\"}", &status));
    EXPECT(f, 0, "*312*21#", "bundle", "recommend", "MTN", "--daily-mb", "150", "--output", "json");
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(other_tools_by_agent_call)
{
    struct flow *f = desk_started();
    json_t *a = call(f, "service.data_billing", "check_data_balance", "{\"phone\": \"08031112220\"}");
    ck_assert_ptr_nonnull(strstr(text_of(a, "text"), "1.9GB"));
    json_decref(a);
    a = call(f, "service.data_billing", "usage_breakdown", "{\"phone\": \"08031112222\"}");
    ck_assert_int_eq(int_of(a, "average_mb"), 150);
    ck_assert_ptr_nonnull(strstr(text_of(a, "text"), "video"));
    json_decref(a);
    a = call(f, "service.data_billing", "rollover_status", "{\"network\": \"GLO\"}");
    ck_assert(json_is_false(json_object_get(a, "rollover")));
    json_decref(a);
    a = call(f, "service.data_billing", "rollover_status", "{\"network\": \"MTN\"}");
    ck_assert(json_is_true(json_object_get(a, "rollover")));
    json_decref(a);
    static const char *const networks[] = {"MTN", "AIRTEL", "GLO", "9MOBILE"};
    for (size_t i = 0; i < 4; i++) {
        char data[80];
        snprintf(data, sizeof data, "{\"network\": \"%s\"}", networks[i]);
        a = call(f, "service.data_technical", "apn_settings", data);
        ck_assert(*text_of(a, "apn") && strstr(text_of(a, "text"), "Android") && strstr(text_of(a, "text"), "iPhone"));
        json_decref(a);
    }
    a = call(f, "service.data_technical", "apn_settings", "{\"network\": \"MTN\", \"device\": \"iOS\"}");
    ck_assert(!strstr(text_of(a, "text"), "Android"));
    json_decref(a);
    static const char *const causes[][2] = {
        {"08031110024", "network"}, {"08031110025", "network"}, {"08031110021", "no_data"}, {"08031112222", "device"}};
    for (size_t i = 0; i < 4; i++) {
        char data[80];
        snprintf(data, sizeof data, "{\"phone\": \"%s\"}", causes[i][0]);
        a = call(f, "service.data_technical", "speed_diagnosis", data);
        ck_assert_str_eq(text_of(a, "cause"), causes[i][1]);
        json_decref(a);
    }
    a = call(f, "service.data_technical", "network_status", "{\"network\": \"GLO\"}");
    ck_assert_str_eq(text_of(a, "status"), "ok");
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- what customers write ---- */

START_TEST(buys_as_people_write)
{
    static const struct {
        const char *phone, *channel, *message;
    } cases[] = {{"08031234567", "SMS", "Buy 2GB MTN data for 08031112229"},
                 {"08021234567", "WHATSAPP", "abeg send me 2gb for my mtn line 08031112229"},
                 {"08051234567", "WEB", "I want the MTN 2GB monthly plan on 08031112229"},
                 {"08022423871", "VOICE",
                  "please buy two gigabytes of mtn data for zero eight zero three one one one two two two nine"},
                 {"08052437442", "EMAIL", "Kindly subscribe 08031112229 (MTN) to the 1,200 naira data plan."}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *a = desk_say(f, cases[i].phone, cases[i].channel, cases[i].message);
        ck_assert_msg(!strcmp(text_of(a, "reason"), "sold"), "\"%s\": %s: %s", cases[i].message, text_of(a, "reason"),
                      text_of(a, "response_text"));
        json_decref(a);
    }
    ck_assert_int_eq(flow_sql_int(f,
                                  "select count(*) from transactions where service_type = 'DATA' and amount = 120000 "
                                  "and recipient = '+2348031112229'"),
                     sizeof cases / sizeof *cases);
    ck_assert_uint_eq(desk_check_books(f), sizeof cases / sizeof *cases);
    flow_end(f);
}
END_TEST

START_TEST(asks_for_what_is_missing)
{
    static const struct {
        const char *message, *reason, *asks;
    } cases[] = {{"I want to buy data", "needs_input", "network"},
                 {"buy data for my brother", "needs_input", "number"},
                 {"Buy MTN data for 08031112229", "needs_input", "size"},
                 {"Buy 3GB MTN data for 08031112229", "BUNDLE", "2GB (30 days)"},
                 {"Buy monthly MTN data for 08031112229", "needs_input", "10GB"},
                 {"Buy 1GB GLO data for 08031112229", "BUNDLE", "1.25GB"},
                 {"Buy 2.5GB GLO data for 08031112229", "confirm_network", "PORTED"}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        json_decref(said(f, payer(), cases[i].message, "DataSalesAgent", cases[i].reason, cases[i].asks));
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    json_decref(said(f, payer(), "Buy 2.5GB GLO data for 08031112229, it was ported", "DataSalesAgent", "sold", "GLO"));
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

START_TEST(recommends_and_suggests)
{
    struct flow *f = desk_started();
    says(f, "08031234567", "Which MTN plan do you recommend? I use about 150MB a day", "DataSalesAgent",
         "10GB (30 days)");
    says(f, "08031234567", "recommend a data plan for me on MTN", "DataSalesAgent",
         "a day for 30 days"); /* as counted */
    says(f, "08031234567", "how much is 3gb on airtel?", "DataSalesAgent", "2,000");
    says(f, "08031234567", "what is the cheapest monthly data plan on GLO?", "DataSalesAgent", "2.5GB (30 days)");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    json_decref(said(f, "08031234567", "Buy 2GB MTN data for my line", "DataSalesAgent", "sold", "valid until"));
    says(f, "08031234567", "I want to upgrade my data plan", "DataSalesAgent", "10GB (30 days)");
    json_decref(said(f, "08031234567", "renew my data plan", "DataSalesAgent", "sold", "2GB"));
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(gifts_borrows_and_shares)
{
    struct flow *f = desk_started();
    struct flow_answer shown;
    json_t *a =
        said(f, "08031234567", "gift 1GB MTN data to my sister 08061112229", "DataSalesAgent", "sold", "08061112229");
    ck_assert_int_eq(FLOW_RUN(f, &shown, "enquiry", "show", text_of(a, "enquiry_id"), "--context", "--output", "json"),
                     0);
    const json_t *c = json_object_get(json_object_get(shown.json, "context"), "data_context");
    ck_assert(json_is_true(json_object_get(c, "is_gift")));
    flow_answer_free(&shown);
    json_decref(a);
    json_decref(said(f, payer(), "gift 1GB MTN data to 0803111", "DataSalesAgent", "answered", "*321#"));
    says(f, payer(), "how can I share my data with my wife?", "DataSalesAgent", "*321#");
    says(f, payer(), "I want a family plan, to share data with my children", "DataSalesAgent", "family plan");
    says(f, payer(), "I want to borrow data", "DataSalesAgent", "*303#");
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

static int64_t renewals(struct flow *f, const char *status)
{
    char sql[160];
    snprintf(sql, sizeof sql, "select count(*) from schedules where kind = 'auto_renewal' and status = '%s'", status);
    return flow_sql_int(f, sql);
}

/* Off unless it is turned on: by a purchase, an operation, a message; each ends what is on. */
START_TEST(auto_renewal_on_and_off)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    json_t *r;
    ck_assert_int_eq(FLOW_RUN(f, &a, "buy", "data", "MTN", "08031234567", "*312*20#", "--output", "json"), 0);
    ck_assert(json_is_false(json_object_get(a.json, "auto_renew")));
    flow_answer_free(&a);
    ck_assert_int_eq(renewals(f, "active"), 0);
    r = said(f, "08031234567", "turn on auto renewal for my data plan", "DataSalesAgent", "answered",
             "Auto-renewal is on: 2GB");
    json_decref(r);
    ck_assert_int_eq(renewals(f, "active"), 1);
    ck_assert_int_eq(FLOW_RUN(f, &a, "schedule", "list", "--kind", "auto_renewal", "--output", "json"), 0);
    ck_assert(strstr(a.text, "*312*20#") && strstr(a.text, "monthly") && strstr(a.text, "08031234567"));
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "schedule", "list", "--kind", "top_up", "--output", "json"), 0);
    ck_assert_ptr_null(strstr(a.text, "*312*20#"));
    flow_answer_free(&a);
    says(f, "08031234567", "please stop the auto renewal of my data", "DataSalesAgent", "Auto-renewal is off");
    ck_assert_int_eq(renewals(f, "active"), 0);
    ck_assert_int_eq(renewals(f, "cancelled"), 1);
    says(f, "08031234567", "please stop the auto renewal of my data", "DataSalesAgent", "*305#"); /* there is none */

    r = call(f, "service.data_sales", "activate_bundle",
             "{\"network\": \"MTN\", \"recipient_phone\": \"08031234567\", \"bundle_code\": \"*312*16#\", "
             "\"auto_renew\": true}");
    ck_assert(json_is_true(json_object_get(r, "auto_renew")) && *text_of(r, "transaction_id"));
    json_decref(r);
    ck_assert_int_eq(renewals(f, "active"), 1);
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "bundle", "auto-renew", "08031234567", "08031234567", "--on", "false", "--output", "json"), 0);
    ck_assert_int_eq(int_of(a.json, "cancelled"), 1);
    flow_answer_free(&a);
    ck_assert_int_eq(renewals(f, "active"), 0);
    r = call(f, "service.data_sales", "set_auto_renewal",
             "{\"customer\": \"08031234567\", \"recipient_phone\": \"08031234567\"}");
    ck_assert(json_is_true(json_object_get(r, "auto_renew")) && *text_of(r, "next_run_at"));
    json_decref(r);
    int status; /* nobody renews a year */
    ck_assert_ptr_null(
        flow_call(f, "service.data_sales", "set_auto_renewal",
                  "{\"customer\": \"08031234567\", \"recipient_phone\": \"08031234567\", \"network\": \"MTN\", "
                  "\"bundle_code\": \"*312*90#\"}",
                  &status));
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(billing_enquiries)
{
    struct flow *f = desk_started();
    says(f, "08031112220", "check my data balance", "DataBillingAgent", "1.9GB");
    says(f, "08031110021", "my data finished just like that, I did not use it", "DataBillingAgent", "no data left");
    says(f, "08031110021", "my 2gb finished in one day, what used my data?", "DataBillingAgent", "video");
    says(f, "08031112220", "does my unused data roll over?", "DataBillingAgent", "rolls over");
    says(f, "08051112220", "does my unused data roll over?", "DataBillingAgent", "does not roll over");
    json_decref(said(f, "08031112220", "what is the data balance of 08051112220", "DataBillingAgent", "not_own_line",
                     "owner only"));
    flow_end(f);
}
END_TEST

START_TEST(technical_enquiries)
{
    struct flow *f = desk_started();
    says(f, "08031112220", "please send me the APN settings for my iPhone", "DataTechnicalAgent",
         "web.gprs.mtnnigeria.net");
    says(f, "08021112220", "internet settings for android airtel", "DataTechnicalAgent", "internet.ng.airtel.com");
    says(f, "08031112220", "my internet is very slow today", "DataTechnicalAgent", "flight mode");
    says(f, "08031110024", "my internet is very slow today", "DataTechnicalAgent", "trouble near this line");
    says(f, "08031110021", "browsing is not opening anything on my phone, internet slow", "DataTechnicalAgent",
         "no data left");
    says(f, "08031112220", "my data connection keeps dropping, it disconnects on and off", "DataTechnicalAgent",
         "flight mode");
    flow_end(f);
}
END_TEST

START_TEST(context_has_the_order)
{
    static const char *const members[] = {"network", "recipient_phone", "bundle_code",
                                          "size",    "validity",        "price",
                                          "is_gift", "auto_renew",      "transaction_reference"};
    struct flow *f = desk_started();
    struct flow_answer shown;
    json_t *a = desk_say(f, "08031234567", "WEB", "Buy 2GB MTN data for 08031112229");
    ck_assert_int_eq(FLOW_RUN(f, &shown, "enquiry", "show", text_of(a, "enquiry_id"), "--context", "--output", "json"),
                     0);
    const json_t *c = json_object_get(json_object_get(shown.json, "context"), "data_context");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ck_assert_msg(json_object_get(c, members[i]) && !json_is_null(json_object_get(c, members[i])), "no %s",
                      members[i]);
    ck_assert_str_eq(text_of(c, "bundle_code"), "*312*20#");
    ck_assert(number_of(c, "price") == 1200);
    flow_answer_free(&shown);
    json_decref(a);
    flow_end(f);
}
END_TEST

static void check_served(struct flow *f, bool served)
{
    json_t *a = desk_say(f, payer(), "WEB", "Buy 2GB MTN data for 08031112229");
    ck_assert_msg(!strcmp(text_of(a, "reason"), served ? "sold" : "domain_not_served"), "%s: %s", text_of(a, "reason"),
                  text_of(a, "response_text"));
    json_decref(a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/bundles", NULL, NULL, NULL), served ? 200 : 404);
    ck_assert(served == (FLOW_RUN(f, NULL, "bundle", "list") == 0));
    a = desk_say(f, payer(), "WEB", "Buy 500 MTN airtime for 08031112229");
    ck_assert_str_eq(text_of(a, "reason"), "sold");
    json_decref(a);
}

/* The domain comes and goes with its plugin alone, while the host runs; the rest goes on. */
START_TEST(comes_and_goes_with_its_plugin)
{
    struct flow *f = desk_home();
    flow_remove(f, "plugins/data.so");
    flow_remove(f, "manifests/data.json");
    flow_start(f);
    check_served(f, false);
    flow_plugin(f, "data");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    check_served(f, true);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "disable", "data"), 0);
    FLOW_UNTIL(FLOW_RUN(f, NULL, "plugin", "info", "service.data_sales") != 0); /* what is open ends first */
    check_served(f, false);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "enable", "data"), 0);
    check_served(f, true);
    ck_assert_uint_eq(desk_check_books(f), 6); /* four of airtime, two of data */
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("data");
    tcase_set_timeout(c, 90);
    tcase_add_test(c, sells_by_http_and_command_line);
    tcase_add_test(c, refuses_what_is_not_for_sale);
    tcase_add_test(c, every_ending_of_a_vend);
    tcase_add_test(c, same_key_is_charged_once);
    tcase_add_test(c, catalogue_by_network);
    tcase_add_test(c, constants_are_settings);
    tcase_add_test(c, sales_tools_by_agent_call);
    tcase_add_test(c, other_tools_by_agent_call);
    tcase_add_test(c, buys_as_people_write);
    tcase_add_test(c, asks_for_what_is_missing);
    tcase_add_test(c, recommends_and_suggests);
    tcase_add_test(c, gifts_borrows_and_shares);
    tcase_add_test(c, auto_renewal_on_and_off);
    tcase_add_test(c, billing_enquiries);
    tcase_add_test(c, technical_enquiries);
    tcase_add_test(c, context_has_the_order);
    tcase_add_test(c, comes_and_goes_with_its_plugin);
    return flow_main("data", (TCase *[]){c, NULL});
}
