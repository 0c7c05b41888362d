/* Sales through the aggregator VTpass, played by vtpass_sim: nothing but the order in `roles` says that it is asked.
 * Every row of its table of codes ends in the right state of the purchase; its webhook is a hint; books agree at the
 * end. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char sim_url[64];

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Sellers, wallets and both kinds of providers; `roles` puts VTpass first. Doubt ends soon. */
static struct flow *home(const char *faults, bool webhooks, bool asks)
{
    static const char *const plugins[] = {"transaction", "airtime", "data", "power", "network", "disco", "vtpass"};
    static const char *const secrets[] = {"VTPASS_API_KEY", "VTPASS_PUBLIC_KEY", "VTPASS_SECRET_KEY"};
    struct flow *f = flow_new();
    char port[8], hooks[64], url[96];
    int number = flow_free_port();
    f->port = flow_kept_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(sim_url, sizeof sim_url, "http://127.0.0.1:%d", number);
    snprintf(url, sizeof url, "%s/api", sim_url);
    snprintf(hooks, sizeof hooks, "http://127.0.0.1:%d/webhooks", f->port);
    flow_spawn(f, "vtpass_sim",
               (const char *const[]){"examples/simulators/vtpass_sim/vtpass_sim", "--port", port, "--settle-ms", "600",
                                     "--hang-ms", "20000", "--faults", faults, "--webhook-faults", "0.5",
                                     webhooks ? "--webhooks" : NULL, hooks, NULL});
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++)
        flow_plugin(f, plugins[i]);
    json_t *settings =
        json_pack("{s:s, s:i, s:[i, i, i], s:i, s:i, s:i, s:s, s:i}", "base_url", url, "timeout_ms", 1000,
                  "requery_after_ms", asks ? 200 : 60000, asks ? 400 : 60000, asks ? 800 : 60000, "duplicate_wait_ms",
                  300, "circuit_s", 0, "float_wait_s", 0, "contact_phone", "08030000001", "validate_timeout_ms", 1000);
    flow_config(f, "agents",
                json_pack("{s:{s:{s:i, s:i, s:i}}, s:{s:{s:i}}, s:{s:{s:i, s:i}}, s:{s:O}, s:{s:o}}",
                          "service.transaction", "settings", "answer_within_ms", 1500, "reconcile_after_s", 2,
                          "max_per_minute", 1000, "service.airtime_sales", "settings", "credit_timeout_s", 8,
                          "service.power_sales", "settings", "credit_timeout_s", 8, "answer_within_ms", 1500,
                          "provider.network.vtpass", "settings", settings, "provider.power.vtpass", "settings",
                          settings));
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "roles",
                json_pack("{s:[s], s:[s]}", "network", "provider.network.vtpass", "disco", "provider.power.vtpass"));
    for (size_t i = 0; i < 3; i++)
        flow_env(f, secrets[i], "sim-key");
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "ADA", "08031234567"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", "ADA", "500000"), 0);
    return f;
}

static int buy_airtime(struct flow *f, const char *phone, struct flow_answer *ret)
{
    char body[160];
    snprintf(body, sizeof body, "{\"network\": \"MTN\", \"phone\": \"%s\", \"amount\": 100, \"customer_id\": \"ADA\"}",
             phone);
    return flow_http(f, "POST", "/api/v1/transactions/airtime", body, NULL, ret);
}

static int buy_power(struct flow *f, const char *meter, struct flow_answer *ret)
{
    char body[160];
    snprintf(body, sizeof body,
             "{\"disco\": \"IKEDC\", \"meter_number\": \"%s\", \"amount\": 5000, \"customer_id\": \"ADA\"}", meter);
    return flow_http(f, "POST", "/api/v1/transactions/power", body, NULL, ret);
}

static json_t *asked_of(struct flow *f, const char *path)
{
    struct flow_answer a;
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, sim_url, sizeof own);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    memcpy(f->url, own, sizeof own);
    json_t *entries = json_incref(json_object_get(a.json, "entries"));
    flow_answer_free(&a);
    return entries;
}

static bool settled(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'") == 0;
}

/* How often the vendor has delivered an order of this number. */
static int delivered(const json_t *entries, const char *number)
{
    json_t *e;
    size_t i;
    int n = 0;
    json_array_foreach((json_t *)(uintptr_t)entries, i,
                       e) if (!strcmp(text_of(e, "subject"), number) && !strcmp(text_of(e, "status"), "delivered")) n++;
    return n;
}

/* What was sold was delivered once, what was paid back was not, and the wallet has the rest. */
static void check_books(struct flow *f, int may_be_late)
{
    json_t *entries = asked_of(f, "/statement"), *rows = flow_sql(f, "select * from transactions"), *row;
    size_t i;
    int late = 0;
    json_array_foreach(rows, i, row)
    {
        char number[32];
        const char *to = text_of(row, "recipient"), *status = text_of(row, "status");
        snprintf(number, sizeof number, "%s%s", strncmp(to, "+234", 4) ? "" : "0",
                 strncmp(to, "+234", 4) ? to : to + 4);
        const int n = delivered(entries, number);
        if (!strcmp(status, "SUCCESS"))
            ck_assert_msg(n == 1, "%s was paid and delivered %d times", number, n);
        else
            late += n;
        ck_assert_msg(n <= 1, "%s was delivered %d times", number, n);
    }
    ck_assert_int_le(late, may_be_late);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from wallet_entries where kind = 'hold'"),
                     flow_sql_int(f, "select count(*) from wallet_entries where kind in ('settle', 'refund')"));
    json_decref(entries);
    json_decref(rows);
}

/* ---- tests ---- */

START_TEST(sells_all_by_the_order_of_roles)
{
    struct flow *f = home("0", false, true);
    struct flow_answer a;
    ck_assert_msg(buy_airtime(f, "08031234567", &a) == 200, "%s", a.text);
    flow_answer_free(&a);
    ck_assert_msg(buy_power(f, "45012345678", &a) == 200, "%s", a.text);
    const char *token = text_of(a.json, "token");
    ck_assert_msg(strlen(token) == 20 && !strncmp(token, "9999", 4), "%s", a.text);
    ck_assert(json_number_value(json_object_get(a.json, "units")) > 0);
    ck_assert_str_eq(text_of(a.json, "meter_number"), "45012345678");
    flow_answer_free(&a);
    ck_assert_msg(buy_power(f, "65012345678", &a) == 200, "%s", a.text); /* POSTPAID: found by the second question */
    ck_assert(!*text_of(a.json, "token"));
    flow_answer_free(&a);
    ck_assert_int_eq(buy_power(f, "45012340007", NULL), 422);
    ck_assert_msg(
        flow_http(f, "POST", "/api/v1/transactions/data",
                  "{\"network\": \"MTN\", \"phone\": \"08031234568\", \"bundle_code\": \"*312*1#\", \"customer_id\": "
                  "\"ADA\"}",
                  NULL, &a) == 200,
        "%s", a.text);
    flow_answer_free(&a);
    EXPECT(f, 0, "mtn-10mb-100", "vtpass", "bundles", "MTN");
    json_t *balance = flow_call(f, "provider.network.vtpass", "balance", "{\"network\": \"MTN\"}", NULL);
    ck_assert_int_eq(int_of(balance, "balance_kobo"), INT64_C(100000000000) - 10000 - 2 * 500000 - 10000);
    json_decref(balance);
    json_t *entries = asked_of(f, "/statement"), *e;
    size_t i;
    ck_assert_uint_eq(json_array_size(entries), 4);
    json_array_foreach(entries, i, e)
        ck_assert_msg(strspn(text_of(e, "reference"), "0123456789") >= 12, "%s", text_of(e, "reference"));
    json_decref(entries);
    check_books(f, 0);
    flow_end(f);
}
END_TEST

/* The last four digits make the vendor answer with a code, or behave; see vtpass_sim --help. */
/* clang-format off */
static const struct {
    const char *end, *status, *code;
} rows[] = {
    {"0000", "SUCCESS", ""},  {"0022", "REFUNDED", "TIMEOUT"}, {"0012", "REFUNDED", "NETWORK_ERROR"},
    {"0019", "SUCCESS", ""},  {"0023", "REFUNDED", "NETWORK_ERROR"}, {"0024", "REFUNDED", "NETWORK_ERROR"},
    {"0025", "SUCCESS", ""},  {"0026", "SUCCESS", ""},  {"0027", "SUCCESS", ""},  {"0028", "SUCCESS", ""}, {"0029", "SUCCESS", ""},
    {"9044", "REFUNDED", "TIMEOUT"}, {"9091", "REFUNDED", "NETWORK_ERROR"}, {"9016", "REFUNDED", "NETWORK_ERROR"},
    {"9040", "REFUNDED", "NETWORK_ERROR"}, {"9010", "REFUNDED", "INVALID_BUNDLE"}, {"9011", "REFUNDED", "UNKNOWN"},
    {"9012", "REFUNDED", "UNKNOWN"}, {"9013", "REFUNDED", "INVALID_AMOUNT"}, {"9017", "REFUNDED", "INVALID_AMOUNT"},
    {"9031", "REFUNDED", "INVALID_AMOUNT"}, {"9032", "REFUNDED", "INVALID_AMOUNT"}, {"9025", "REFUNDED", "UNKNOWN"},
    {"0016", "SUCCESS", ""} /* 014 */, {"0014", "SUCCESS", ""} /* 015 of the query, sent again */,
    {"0006", "REFUNDED", "CONNECTION_ERROR"} /* 015 twice */, {"0004", "SUCCESS", ""} /* 019 */,
    {"9021", "REFUNDED", "CONNECTION_ERROR"}, {"9022", "REFUNDED", "CONNECTION_ERROR"}, {"9023", "REFUNDED", "CONNECTION_ERROR"},
    {"9024", "REFUNDED", "CONNECTION_ERROR"}, {"9026", "REFUNDED", "CONNECTION_ERROR"}, {"9027", "REFUNDED", "CONNECTION_ERROR"},
    {"9028", "REFUNDED", "CONNECTION_ERROR"}, {"9085", "REFUNDED", "CONNECTION_ERROR"}, {"9087", "REFUNDED", "CONNECTION_ERROR"},
    {"9030", "REFUNDED", "NETWORK_ERROR"}, {"9034", "REFUNDED", "NETWORK_ERROR"}, {"9035", "REFUNDED", "NETWORK_ERROR"},
    {"0008", "SUCCESS", ""} /* answer lost */, {"0010", "SUCCESS", ""} /* HTML */, {"0015", "SUCCESS", ""} /* 502 */,
    {"0018", "SUCCESS", ""} /* half an answer */, {"0011", "REFUNDED", "CONNECTION_ERROR"} /* 503, 015 twice */,
    {"0003", "REFUNDED", "TIMEOUT"}, {"9018", "", ""} /* the saga may wait for float */,
};
/* clang-format on */
#define ROWS (sizeof rows / sizeof rows[0])

START_TEST(every_row_ends_in_the_right_state)
{
    struct flow *f = home("0", false, true);
    for (size_t i = 0; i < ROWS; i++) {
        char phone[16];
        snprintf(phone, sizeof phone, "0803%03zu%s", i, rows[i].end);
        buy_airtime(f, phone, NULL);
    }
    int64_t until = flow_now_ms() + 40000;
    while (flow_sql_int(f, "select count(*) from transactions where status = 'PENDING' and recipient not like '%9018'"))
        ck_assert(flow_now_ms() < until), flow_sleep_ms(50);
    for (size_t i = 0; i < ROWS; i++) {
        char sql[256];
        if (!*rows[i].status)
            continue;
        snprintf(sql, sizeof sql,
                 "select status, json_extract(metadata, '$.error_code') as code from transactions where recipient = "
                 "'+234803%03zu%s'",
                 i, rows[i].end);
        json_t *found = flow_sql(f, sql), *row = json_array_get(found, 0);
        ck_assert_msg(!strcmp(text_of(row, "status"), rows[i].status), "%s: %s %s", rows[i].end, text_of(row, "status"),
                      text_of(row, "code"));
        ck_assert_msg(!strcmp(text_of(row, "code"), rows[i].code), "%s: %s", rows[i].end, text_of(row, "code"));
        json_decref(found);
    }
    json_t *entries = asked_of(f, "/statement");
    ck_assert_int_eq(delivered(entries, "08030260004"), 1);
    json_decref(entries);
    ck_assert(flow_logged(f, "VTpass answers 087"));
    ck_assert(flow_logged(f, "float_low"));
    flow_end(f);
}
END_TEST

/* Without its webhook these would be asked about after a minute. */
START_TEST(a_webhook_hastens_the_question)
{
    struct flow *f = home("0", true, false);
    struct flow_answer a;
    int status = buy_airtime(f, "08030000026", &a);
    ck_assert_msg(status == 200, "%d %s", status, a.text); /* within the 1.5 s of an answer */
    flow_answer_free(&a);
    FLOW_UNTIL(settled(f));
    /* What is said of an order that nobody knows, or of one that is over, has no effect. */
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            flow_http(f, "POST", "/webhooks/vtpass",
                      "{\"type\":\"transaction-update\",\"data\":{\"code\":\"000\",\"requestId\":\"202611210934X\"}}",
                      NULL, &a),
            200);
        ck_assert_str_eq(text_of(a.json, "response"), "success");
        flow_answer_free(&a);
    }
    ck_assert_int_eq(flow_http(f, "POST", "/webhooks/vtpass", "nonsense", NULL, NULL), 400);
    check_books(f, 0);
    flow_end(f);
}
END_TEST

/* A lie that names a real order: the vendor is asked, and the lie is not believed. */
START_TEST(a_forged_webhook_is_a_question)
{
    struct flow *f = home("0", false, true);
    struct flow_answer a;
    char hook[256];
    ck_assert_int_eq(buy_airtime(f, "08030000022", &a), 202); /* pending, for ever */
    flow_answer_free(&a);
    json_t *entries = asked_of(f, "/ledger");
    snprintf(hook, sizeof hook,
             "{\"type\":\"transaction-update\",\"data\":{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":"
             "\"delivered\"}},"
             "\"requestId\":\"%s\"}}",
             text_of(json_array_get(entries, 0), "reference"));
    json_decref(entries);
    ck_assert_int_eq(flow_http(f, "POST", "/webhooks/vtpass", hook, NULL, NULL), 200);
    flow_sleep_ms(500);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'"), 0);
    flow_end(f);
}
END_TEST

START_TEST(nothing_is_lost_among_faults)
{
    enum { ORDERS = 60 };
    struct flow *f = home("0.4", true, true);
    for (int i = 0; i < ORDERS; i++) {
        char number[16];
        snprintf(number, sizeof number, i % 3 ? "0803%03d7100" : "450%03d45678", i);
        if (i % 3)
            buy_airtime(f, number, NULL);
        else
            buy_power(f, number, NULL);
    }
    int64_t until = flow_now_ms() + 40000;
    while (!settled(f))
        ck_assert(flow_now_ms() < until), flow_sleep_ms(50);
    check_books(f, 3); /* what cannot be found out within 8 s is paid back and looked for again */
    int64_t sold = flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'");
    ck_assert_int_gt(sold, ORDERS / 2);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("vtpass");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, sells_all_by_the_order_of_roles);
    tcase_add_test(c, every_row_ends_in_the_right_state);
    tcase_add_test(c, a_webhook_hastens_the_question);
    tcase_add_test(c, a_forged_webhook_is_a_question);
    tcase_add_test(c, nothing_is_lost_among_faults);
    return flow_main("vtpass", (TCase *[]){c, NULL});
}
