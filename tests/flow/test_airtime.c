/* Airtime's operations as their users call them, over HTTP, the command line and the bus, in a real host with simulated
 * networks. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUY "/api/v1/transactions/airtime"

/* Sells over HTTP; the answer's JSON (json_decref). Two customers pay in turn, so that none is too hasty. */
static json_t *sell(struct flow *f, const char *network, const char *phone, const char *amount, int *ret_status)
{
    static int turn;
    struct flow_answer a;
    char body[256];
    snprintf(body, sizeof body, "{\"network\": \"%s\", \"phone\": \"%s\", \"amount\": %s, \"payer_phone\": \"%s\"}",
             network, phone, amount, turn++ % 2 ? "08021234567" : "08031234567");
    *ret_status = flow_http(f, "POST", BUY, body, NULL, &a);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    return answer;
}

START_TEST(tools_by_agent_call)
{
    struct flow *f = desk_started();
    json_t *r = flow_call(f, "service.airtime_sales", "check_network_balance", "{\"network\": \"mtn\"}", NULL);
    ck_assert_str_eq(text_of(r, "network"), "MTN");
    ck_assert(number_of(r, "balance") > 0);
    json_decref(r);
    r = flow_call(f, "service.airtime_sales", "get_pricing", "{\"amount\": 10000}", NULL);
    ck_assert(number_of(r, "discount") == 500 && number_of(r, "final_amount") == 9500);
    json_decref(r);
    r = flow_call(
        f, "service.airtime_sales", "process_recharge",
        "{\"network\": \"T2\", \"recipient_phone\": \"08091112229\", \"amount\": \"250.50\", \"payer_phone\": "
        "\"08031234567\"}",
        NULL);
    ck_assert(json_is_true(json_object_get(r, "success")));
    ck_assert_str_eq(text_of(r, "network"), "9MOBILE");
    json_decref(r);
    ck_assert_uint_eq(desk_check_books(f), 1);
    flow_end(f);
}
END_TEST

START_TEST(constants_and_boundaries)
{
    static const struct {
        const char *network, *amount;
        int status;
        const char *says;
    } cases[] = {{"MTN", "49", 422, "minimum"},
                 {"AIRTEL", "50", 200, ""},
                 {"GLO", "50000", 200, ""},
                 {"9MOBILE", "50001", 422, "maximum"},
                 {"VODAFONE", "1000", 422, "VODAFONE"}};
    struct flow *f = desk_started();
    struct flow_answer a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        json_t *r = sell(f, cases[i].network, "08031112229", cases[i].amount, &status);
        ck_assert_msg(status == cases[i].status && strstr(text_of(r, "error"), cases[i].says), "%s %s: %d %s",
                      cases[i].network, cases[i].amount, status, text_of(r, "error"));
        json_decref(r);
    }
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "show", "service.airtime", "--output", "json"), 0);
    const json_t *s = json_object_get(a.json, "service.airtime_sales"),
                 *networks = json_object_get(s, "supported_networks");
    ck_assert(number_of(s, "min_recharge") == 50 && number_of(s, "max_recharge") == 50000);
    ck_assert(number_of(s, "transaction_fee") == 0 && number_of(s, "refund_window_hours") == 24);
    ck_assert(number_of(s, "bulk_discount_threshold") == 10000 && number_of(s, "bulk_discount_percent") == 5);
    ck_assert(number_of(s, "credit_timeout_s") == 4); /* as this home sets it; 300 in the manifest */
    ck_assert(json_array_size(networks) == 4 && listed(networks, "MTN") && listed(networks, "AIRTEL") &&
              listed(networks, "GLO") && listed(networks, "9MOBILE"));
    flow_answer_free(&a);
    char *manifest = flow_read(f, "manifests/airtime.json");
    ck_assert_ptr_nonnull(strstr(manifest, "\"credit_timeout_s\": 300"));
    free(manifest);
    flow_end(f);
}
END_TEST

START_TEST(bulk_discount_and_face_value)
{
    static const char *const fields[] = {"success",  "transaction_id", "network", "recipient", "amount",
                                         "discount", "final_amount",   "message", "reference", "agent"};
    struct flow *f = desk_started();
    struct flow_answer a;
    int status;
    json_t *r = sell(f, "MTN", "08031112229", "10000", &status);
    ck_assert_int_eq(status, 200);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        ck_assert_msg(json_object_get(r, fields[i]), "no %s", fields[i]);
    ck_assert(number_of(r, "amount") == 10000 && number_of(r, "discount") == 500 &&
              number_of(r, "final_amount") == 9500);
    json_t *entries = desk_ledger(f);
    ck_assert_int_eq(int_of(desk_vended(entries, text_of(r, "transaction_id")), "amount_kobo"), 1000000);
    json_decref(entries);
    json_decref(r);
    r = sell(f, "MTN", "08031112229", "9999.99", &status);
    ck_assert(status == 200 && number_of(r, "discount") == 0 && number_of(r, "final_amount") == 9999.99);
    json_decref(r);
    ck_assert_int_eq(FLOW_RUN(f, &a, "buy", "airtime", "MTN", "08031234567", "10000", "--output", "json"), 0);
    ck_assert(number_of(a.json, "discount") == 500 && number_of(a.json, "final_amount") == 9500);
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 3);
    flow_end(f);
}
END_TEST

/* The simulated network's numbers that make trouble: what the customer is advised, at once and in the end. */
START_TEST(advice_for_every_code)
{
    static const struct {
        const char *phone, *advice, *code;
    } cases[] = {{"08031110001", "low for the moment", "INSUFFICIENT_BALANCE"},
                 {"08031110002", "right and active", "INVALID_PHONE"},
                 {"08031110003", "check the status in 5 minutes", "TIMEOUT"},
                 {"08031110004", "already processed", "DUPLICATE"},
                 {"08031110005", "in 10 minutes", "NETWORK_ERROR"},
                 {"08031110006", "check the status in 5 minutes", "TIMEOUT"}};
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        json_t *r = sell(f, "MTN", cases[i].phone, "100", &status);
        ck_assert_msg(status != 200 && strstr(text_of(r, "recommendation"), cases[i].advice), "%s: %d %s",
                      cases[i].phone, status, text_of(r, "recommendation"));
        json_decref(r);
    }
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'PENDING'") == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "select count(*) from transactions where status = 'REFUNDED' and recipient = '+234%s' and "
                 "json_extract(metadata, '$.error_code') = '%s'",
                 cases[i].phone + 1, cases[i].code);
        ck_assert_msg(flow_sql_int(f, sql) == 1, "%s is not %s", cases[i].phone, cases[i].code);
    }
    flow_end(f);
}
END_TEST

START_TEST(unknown_result_is_pending_then_refunded)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    json_t *said = desk_say(f, "08031234567", "SMS", "Buy 700 MTN airtime for 08031110003");
    const char *id = text_of(said, "transaction_id");
    ck_assert_str_eq(text_of(said, "status"), "PENDING");
    ck_assert_str_eq(text_of(said, "reason"), "PENDING");
    ck_assert_ptr_nonnull(strstr(text_of(said, "response_text"), "do not repeat"));
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "show", id, "--output", "json"), 0);
    ck_assert_str_eq(text_of(a.json, "status"), "PENDING");
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "08031234567", "--output", "json"), 0);
    ck_assert_int_eq(int_of(a.json, "held_kobo"), 70000);
    flow_answer_free(&a);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'REFUNDED'") == 1);
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", "08031234567", "--output", "json"), 0);
    ck_assert_int_eq(int_of(a.json, "held_kobo"), 0);
    ck_assert_int_eq(int_of(a.json, "balance_kobo"), 10000000);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "why", id), 0);
    ck_assert_msg(strstr(a.text, "verify"), "the network was not asked: %s", a.text);
    flow_answer_free(&a);
    json_decref(said);
    flow_end(f);
}
END_TEST

START_TEST(history_of_a_customer_and_duplicates)
{
    struct flow *f = desk_started();
    struct flow_answer a, again;
    char *customer;
    for (int i = 0; i < 2; i++)
        json_decref(desk_say(f, "08031234567", "SMS", "Buy 300 MTN airtime for 08031112229"));
    json_decref(desk_say(f, "08021234567", "SMS", "Buy 400 Airtel airtime for 08021112229"));
    ck_assert_int_eq(FLOW_RUN(f, &a, "buy", "airtime", "MTN", "08031112229", "200", "--payer-phone", "08031234567",
                              "--key", "order-7", "--output", "json"),
                     0);
    ck_assert_int_eq(FLOW_RUN(f, &again, "buy", "airtime", "MTN", "08031112229", "200", "--payer-phone", "08031234567",
                              "--key", "order-7", "--output", "json"),
                     0);
    ck_assert_str_eq(text_of(a.json, "transaction_id"), text_of(again.json, "transaction_id"));
    flow_answer_free(&again);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "list", "--customer", "08031234567", "--output", "json"), 0);
    json_t *rows = json_object_get(a.json, "transactions");
    ck_assert_uint_eq(json_array_size(rows), 3); /* two enquiries are two orders; one key is one */
    customer = strdup(text_of(json_array_get(rows, 0), "customer_id"));
    flow_answer_free(&a);
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "transaction", "list", "--customer", customer, "--status", "SUCCESS", "--output", "json"), 0);
    rows = json_object_get(a.json, "transactions");
    ck_assert_uint_eq(json_array_size(rows), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(text_of(json_array_get(rows, i), "customer_id"), customer);
    flow_answer_free(&a);
    free(customer);
    ck_assert_uint_eq(desk_check_books(f), 4);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("airtime");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, tools_by_agent_call);
    tcase_add_test(c, constants_and_boundaries);
    tcase_add_test(c, bulk_discount_and_face_value);
    tcase_add_test(c, advice_for_every_code);
    tcase_add_test(c, unknown_result_is_pending_then_refunded);
    tcase_add_test(c, history_of_a_customer_and_duplicates);
    return flow_main("airtime", (TCase *[]){c, NULL});
}
