/* Buying airtime over HTTP and the command line from a real host, with the networks played by network_sim: every ending
 * of a vend, the same key again, and a host that is killed while money is held. In the end the books of the wallets and
 * of the networks must agree. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUY "/api/v1/transactions/airtime"

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

/* A home with wallets' and airtime's plugins and the networks behind them. Doubt ends soon: an answer within 1.5 s, a
 * refund after 6 s. */
static struct flow *home_with(const char *faults, int duplicate_window_s)
{
    struct flow *f = flow_new();
    char port[8];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(sim_url, sizeof sim_url, "http://127.0.0.1:%d", number);
    flow_spawn(f, "network_sim",
               (const char *const[]){"examples/simulators/network_sim/network_sim", "--port", port, "--quiet",
                                     "--settle-ms", "500", "--hang-ms", "20000", "--faults", faults, NULL});
    flow_plugin(f, "transaction");
    flow_plugin(f, "airtime");
    flow_plugin(f, "network");
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    json_t *agents = json_pack("{s:{s:{s:i, s:i, s:i, s:i}}, s:{s:{s:i}}}", "service.transaction", "settings",
                               "duplicate_window_s", duplicate_window_s, "answer_within_ms", 1500, "reconcile_after_s",
                               2, "max_per_minute", 1000, "service.airtime_sales", "settings", "credit_timeout_s", 6);
    for (size_t i = 0; i < 4; i++) {
        char id[64], url[96];
        snprintf(id, sizeof id, "provider.network.%s", networks[i]);
        snprintf(url, sizeof url, "%s/%s/v1", sim_url, networks[i]);
        json_object_set_new(agents, id, json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
    }
    flow_config(f, "agents", agents);
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    static const char *const secrets[] = {"MTN_API_KEY", "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY"};
    for (size_t i = 0; i < 4; i++)
        flow_env(f, secrets[i], "sim-key");
    flow_start(f);
    return f;
}

static struct flow *home(const char *faults)
{
    return home_with(faults, 0);
}

static void wallet(struct flow *f, const char *customer, const char *phone, const char *naira)
{
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", customer, phone), 0);
    if (naira)
        ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", customer, naira), 0);
}

static int buy(struct flow *f, const char *phone, int naira, const char *key, struct flow_answer *ret)
{
    char body[256], header[96];
    snprintf(body, sizeof body, "{\"network\": \"MTN\", \"phone\": \"%s\", \"amount\": %d, \"customer_id\": \"ADA\"}",
             phone, naira);
    snprintf(header, sizeof header, "Idempotency-Key: %s", key ? key : "");
    return flow_http(f, "POST", BUY, body, key ? (const char *const[]){header, NULL} : NULL, ret);
}

static int64_t balance(struct flow *f, const char *member)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "ADA", "--output", "json"), 0);
    int64_t kobo = int_of(a.json, member);
    flow_answer_free(&a);
    return kobo;
}

static json_t *ledger(struct flow *f)
{
    struct flow_answer a;
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, sim_url, sizeof own);
    ck_assert_int_eq(flow_http(f, "GET", "/ledger", NULL, NULL, &a), 200);
    memcpy(f->url, own, sizeof own);
    json_t *entries = json_incref(json_object_get(a.json, "entries"));
    flow_answer_free(&a);
    return entries;
}

/* What was vended although it was refunded is found by the reconciliation, 2 s after the refund. */
static int64_t lost(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from fraud_flags where kind = 'LATE_DELIVERY'");
}

/* Each transaction that succeeded was vended once, at its face value; each that was refunded was not, unless a flag
 * says so; every kobo is accounted for. */
static void check_books(struct flow *f)
{
    json_t *entries = ledger(f), *rows = flow_sql(f, "select * from transactions"), *row;
    size_t i, k;
    int64_t vended = 0, sold = 0;
    json_array_foreach(rows, i, row)
    {
        const char *id = text_of(row, "transaction_id"), *status = text_of(row, "status");
        json_t *entry;
        int found = 0;
        json_array_foreach(entries, k, entry)
        {
            if (strcmp(text_of(entry, "reference"), id) == 0 && strcmp(text_of(entry, "status"), "delivered") == 0) {
                found++;
                ck_assert_int_eq(int_of(entry, "amount_kobo"), int_of(row, "amount"));
            }
        }
        vended += found;
        ck_assert_msg(found <= 1, "%s was vended twice", id);
        if (strcmp(status, "SUCCESS") == 0) {
            ck_assert_msg(found == 1, "%s was paid but not vended", id);
            sold += int_of(row, "total_amount");
        } else {
            ck_assert_msg(strcmp(status, "REFUNDED") == 0, "%s is %s", id, status);
            ck_assert_msg(!found || strstr(text_of(row, "rule"), "CREDIT_TIMEOUT"), "%s: vended and refunded", id);
        }
    }
    int64_t unpaid = vended - flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'");
    FLOW_UNTIL(lost(f) == unpaid);
    ck_assert_int_eq(sold, flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind = 'settle'"));
    ck_assert_int_eq(balance(f, "held_kobo"), 0);
    ck_assert_int_eq(
        balance(f, "balance_kobo"),
        flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind in ('opening', 'credit')") - sold);
    json_decref(entries);
    json_decref(rows);
}

/* ---- tests --------------------------------------------------------------------------------------------------------
 */

START_TEST(sells_by_http_and_command_line)
{
    struct flow *f = home("0");
    struct flow_answer a;
    wallet(f, "ADA", "08031234567", "20000");
    ck_assert_int_eq(buy(f, "08031234567", 10000, NULL, &a), 200);
    static const char *const fields[] = {"success",  "transaction_id", "network", "recipient", "amount",
                                         "discount", "final_amount",   "message", "reference", "agent"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        ck_assert_msg(json_object_get(a.json, fields[i]), "no %s in %s", fields[i], a.text);
    ck_assert_uint_eq(json_object_size(a.json), sizeof fields / sizeof *fields);
    char path[96];
    snprintf(path, sizeof path, "/api/v1/transactions/%s", text_of(a.json, "transaction_id"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    ck_assert_str_eq(text_of(a.json, "status"), "SUCCESS");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/transactions/TXN-000000000000", NULL, NULL, NULL), 404);

    ck_assert_int_eq(buy(f, "08031234567", 49, NULL, &a), 422);
    ck_assert(json_is_false(json_object_get(a.json, "success")));
    ck_assert_uint_eq(json_object_size(a.json), 4);
    flow_answer_free(&a);
    ck_assert_int_eq(buy(f, "080312345", 1000, NULL, NULL), 422);

    ck_assert_int_eq(FLOW_RUN(f, &a, "buy", "airtime", "mtn", "08031234567", "1000", "--output", "json"), 0);
    ck_assert(json_number_value(json_object_get(a.json, "final_amount")) == 1000);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "buy", "airtime", "VODAFONE", "08031234567", "1000"), 5);
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "list", "--customer", "ADA", "--status", "SUCCESS"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "9500"));
    flow_answer_free(&a);
    ck_assert_int_eq(balance(f, "balance_kobo"), 950000);
    check_books(f);
    flow_end(f);
}
END_TEST

/* The last four digits make the simulated network behave; see network_sim --help. */
START_TEST(every_ending_of_a_vend)
{
    static const struct {
        const char *phone;
        int status;
        const char *ends, *code;
    } cases[] = {
        {"08030000001", 202, "REFUNDED", "INSUFFICIENT_BALANCE"},
        {"08030000002", 422, "REFUNDED", "INVALID_PHONE"},
        {"08030000004", 422, "REFUNDED", "DUPLICATE"},
        {"08030000005", 422, "REFUNDED", "NETWORK_ERROR"},
        {"08030000016", 200, "SUCCESS", ""},
        {"08030000008", 0, "SUCCESS", ""},
        {"08030000010", 0, "SUCCESS", ""},
        {"08030000015", 0, "SUCCESS", ""},
        {"08030000007", 0, "SUCCESS", ""},
        {"08030000014", 0, "SUCCESS", ""},
        {"08030000003", 0, "REFUNDED", "TIMEOUT"},
        {"08030000006", 0, "REFUNDED", "TIMEOUT"},
    };
    struct flow *f = home("0");
    wallet(f, "ADA", "08031234567", "100000");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_answer a;
        int status = buy(f, cases[i].phone, 100, NULL, &a);
        if (cases[i].status)
            ck_assert_msg(status == cases[i].status, "%s: %d %s", cases[i].phone, status, a.text);
        ck_assert_msg(json_object_get(a.json, "success"), "%s: %d %s", cases[i].phone, status, a.text);
        flow_answer_free(&a);
    }
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'") == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "select status, json_extract(metadata, '$.error_code') as code from transactions where recipient = "
                 "'+234%s'",
                 cases[i].phone + 1);
        json_t *rows = flow_sql(f, sql);
        ck_assert_uint_eq(json_array_size(rows), 1);
        ck_assert_msg(strcmp(text_of(json_array_get(rows, 0), "status"), cases[i].ends) == 0, "%s: %s", cases[i].phone,
                      text_of(json_array_get(rows, 0), "status"));
        ck_assert_str_eq(text_of(json_array_get(rows, 0), "code"), cases[i].code);
        json_decref(rows);
    }
    check_books(f);
    flow_end(f);
}
END_TEST

START_TEST(same_key_is_charged_once)
{
    struct flow *f = home("0");
    struct flow_answer a, b;
    wallet(f, "ADA", "08031234567", "5000");
    ck_assert_int_eq(buy(f, "08031234567", 1000, "order-1", &a), 200);
    ck_assert_int_eq(buy(f, "08031234567", 1000, "order-1", &b), 200);
    ck_assert_str_eq(a.text, b.text);
    flow_answer_free(&a);
    flow_answer_free(&b);
    ck_assert_int_eq(buy(f, "08031234567", 2000, "order-1", NULL), 409);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            FLOW_RUN(f, NULL, "buy", "airtime", "MTN", "08031234567", "500", "--idempotency-key", "order-2"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "buy", "airtime", "MTN", "08031234567", "600", "--idempotency-key", "order-2"),
                     5);
    ck_assert_int_eq(balance(f, "balance_kobo"), 350000);
    check_books(f);
    flow_end(f);
}
END_TEST

/* Without a key an order that is like the one before may be a mistake; with one somebody has said that it is not. */
START_TEST(another_key_is_another_order)
{
    struct flow *f = home_with("0", 600);
    struct flow_answer a;
    wallet(f, "ADA", "08031234567", "5000");
    ck_assert_int_eq(buy(f, "08031234567", 1000, NULL, NULL), 200);
    ck_assert_int_eq(buy(f, "08031234567", 1000, NULL, NULL), 422);
    ck_assert_int_eq(buy(f, "08031234567", 1000, "order-1", NULL), 200);
    ck_assert_int_eq(
        FLOW_RUN(f, NULL, "buy", "airtime", "MTN", "08031234567", "1000", "--customer-id", "ADA", "--key", "order-2"),
        0);
    ck_assert_int_eq(balance(f, "balance_kobo"), 200000);
    /* nobody's statement says what the network delivered */
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "reconcile", "--output", "json"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "status")), "not_compared");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(a.json, "not_compared"), 0)), "MTN");
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* Customers buy while the networks disturb and the host is killed; each repeats with its key until it has an answer. */
START_TEST(killed_while_money_is_held)
{
    enum { BUYERS = 8, EACH = 12, KILLS = 3 };
    struct flow *f = home("0.2");
    wallet(f, "ADA", "08031234567", "1000000");
    for (int b = 0; b < BUYERS; b++) {
        if (fork() > 0)
            continue;
        for (int i = 0; i < EACH; i++) {
            char key[32], phone[16];
            int status, tries = 0;
            snprintf(key, sizeof key, "buyer-%d-%d", b, i);
            snprintf(phone, sizeof phone, "0803%03d9%03d", b, i);
            do {
                if (tries++)
                    flow_sleep_ms(50);
                status = buy(f, phone, 100 + i, key, NULL);
            } while ((status == 0 || status == 503) && tries < 400);
            if (tries == 400)
                _exit(1);
        }
        _exit(0);
    }
    for (int k = 0; k < KILLS; k++) {
        flow_sleep_ms(700);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    int failed = 0, status;
    for (int b = 0; b < BUYERS; b++) {
        ck_assert(wait(&status) > 0);
        failed += status != 0;
    }
    ck_assert_int_eq(failed, 0);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'") == 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), BUYERS * EACH);
    check_books(f);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("purchase");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, sells_by_http_and_command_line);
    tcase_add_test(c, every_ending_of_a_vend);
    tcase_add_test(c, same_key_is_charged_once);
    tcase_add_test(c, another_key_is_another_order);
    tcase_add_test(c, killed_while_money_is_held);
    return flow_main("purchase", (TCase *[]){c, NULL});
}
