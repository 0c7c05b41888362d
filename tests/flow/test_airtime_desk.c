/* The desk of airtime on the real host: purchases that went wrong, history, refunds, recharges that did not arrive, how
 * things are done. Networks are played by a simulator, see network_sim --help. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *call(struct flow *f, const char *to, const char *type, const char *data)
{
    json_t *r = flow_call(f, to, type, data, NULL);
    ck_assert_msg(r, "%s %s %s failed", to, type, data);
    return r;
}

static void calls_in_vain(struct flow *f, const char *to, const char *type, const char *data)
{
    int status;
    ck_assert_msg(!flow_call(f, to, type, data, &status), "%s %s %s succeeded", to, type, data);
    ck_assert_int_ne(status, 0);
}

/* Says a message as `phone`; the answer must come from this agent, for this reason, with these words. */
static json_t *said(struct flow *f, const char *phone, const char *message, const char *agent, const char *reason,
                    const char *words)
{
    json_t *a = desk_say(f, phone, "WEB", message);
    ck_assert_msg(listed(json_object_get(a, "agents_involved"), agent), "\"%s\": not by %s: %s: %s", message, agent,
                  text_of(a, "reason"), text_of(a, "response_text"));
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

/* Buys airtime; the transaction's id in a buffer that the next call overwrites. */
static const char *buys(struct flow *f, const char *payer, const char *phone, int amount)
{
    static char id[32];
    struct flow_answer a;
    char body[256], where[200];
    snprintf(body, sizeof body, "{\"network\": \"MTN\", \"phone\": \"%s\", \"amount\": %d, \"payer_phone\": \"%s\"}",
             phone, amount, payer);
    flow_http(f, "POST", "/api/v1/transactions/airtime", body, NULL, &a);
    flow_answer_free(&a);
    snprintf(where, sizeof where,
             "select transaction_id from transactions where recipient = '+234%s' and amount = %d00 "
             "order by initiated_at desc, key_id desc limit 1",
             phone + 1, amount);
    json_t *rows = flow_sql(f, where);
    snprintf(id, sizeof id, "%s", text_of(json_array_get(rows, 0), "transaction_id"));
    json_decref(rows);
    return id;
}

/* ---- tools ---- */

START_TEST(billing_tools_by_agent_call)
{
    struct flow *f = desk_started();
    char first[32], data[160];
    snprintf(first, sizeof first, "%s", buys(f, "08031234567", "08031112229", 500));
    buys(f, "08031234567", "08031110005", 700); /* fails and is refunded */
    buys(f, "08021234567", "08031112229", 900); /* somebody else's */

    json_t *a = call(f, "service.airtime_billing", "transaction_history", "{\"customer\": \"08031234567\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(a, "transactions")), 2);
    ck_assert(strstr(text_of(a, "text"), "was successful") &&
              strstr(text_of(a, "text"), "was returned to your wallet"));
    ck_assert(!strstr(text_of(a, "text"), "900"));
    json_decref(a);
    snprintf(data, sizeof data, "{\"customer\": \"08031234567\", \"transaction_id\": \"%s\"}", first);
    a = call(f, "service.airtime_billing", "lookup_transaction", data);
    ck_assert_str_eq(text_of(json_object_get(a, "transaction"), "transaction_id"), first);
    json_decref(a);
    calls_in_vain(f, "service.airtime_billing", "request_refund", data); /* it was delivered */
    /* What is another customer's does not exist. */
    snprintf(data, sizeof data, "{\"customer\": \"08021234567\", \"transaction_id\": \"%s\"}", first);
    a = call(f, "service.airtime_billing", "lookup_transaction", data);
    ck_assert(json_is_false(json_object_get(a, "found")));
    json_decref(a);
    calls_in_vain(f, "service.airtime_billing", "request_refund", data);
    calls_in_vain(f, "service.airtime_technical", "requery_vend", data);
    flow_end(f);
}
END_TEST

START_TEST(refund_of_a_failed_purchase)
{
    struct flow *f = desk_started();
    char data[160];
    snprintf(data, sizeof data, "{\"customer\": \"08031234567\", \"transaction_id\": \"%s\"}",
             buys(f, "08031234567", "08031110005", 700));
    json_t *a = call(f, "service.airtime_billing", "request_refund", data);
    ck_assert_str_eq(text_of(a, "status"), "REFUNDED");
    ck_assert(number_of(a, "amount") == 700);
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(technical_tools_by_agent_call)
{
    struct flow *f = desk_started();
    char data[160];
    snprintf(data, sizeof data, "{\"customer\": \"08031234567\", \"transaction_id\": \"%s\"}",
             buys(f, "08031234567", "08031112229", 500));
    json_t *a = call(f, "service.airtime_technical", "check_recharge_status", "{\"customer\": \"08031234567\"}");
    ck_assert_ptr_nonnull(strstr(text_of(a, "text"), "was successful"));
    json_decref(a);
    a = call(f, "service.airtime_technical", "requery_vend", data);
    ck_assert_str_eq(text_of(a, "delivery"), "delivered");
    json_decref(a);
    a = call(f, "service.airtime_technical", "network_status", "{\"network\": \"MTN\", \"phone\": \"08031110025\"}");
    ck_assert_str_eq(text_of(a, "status"), "outage");
    json_decref(a);
    calls_in_vain(f, "service.airtime_technical", "network_status", "{\"network\": \"VODAFONE\"}");
    flow_end(f);
}
END_TEST

/* ---- what customers write ---- */

START_TEST(failed_recharges)
{
    struct flow *f = desk_started();
    buys(f, "08031234567", "08031110005", 700);
    says(f, "08031234567", "my recharge failed, refund me my 700", "AirtimeBillingAgent", "returned to your wallet");
    json_decref(said(f, "08021234567", "I bought 500 airtime since morning and I have not received it, refund me",
                     "AirtimeBillingAgent", "payment_not_found", "HND-"));
    buys(f, "08021234567", "08031112229", 500);
    json_decref(said(f, "08021234567", "please refund my 500 MTN recharge to 08031112229, I changed my mind",
                     "AirtimeBillingAgent", "refund_claim", "HND-"));
    says(f, "08021234567", "show me my airtime transaction history", "AirtimeBillingAgent", "500.00 for 08031112229");
    flow_end(f);
}
END_TEST

START_TEST(delayed_credits)
{
    struct flow *f = desk_started();
    buys(f, "08031234567", "08031112229", 500);
    says(f, "08031234567", "the 500 MTN airtime for 08031112229 has not been credited", "AirtimeTechnicalAgent",
         "The network confirms the delivery");
    buys(f, "08021234567", "08031110003", 300); /* the network never decides */
    json_t *a = desk_say(f, "08021234567", "WEB", "the 300 airtime I bought has not been credited");
    ck_assert_msg(strstr(text_of(a, "response_text"), "not confirmed yet") ||
                      strstr(text_of(a, "response_text"), "returned"),
                  "%s", text_of(a, "response_text"));
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(duplicate_charges)
{
    struct flow *f = desk_started();
    buys(f, "08031234567", "08031112229", 500);
    buys(f, "08031234567", "08031112229", 500);
    json_decref(said(f, "08031234567", "you charged me twice for the 500 airtime", "AirtimeBillingAgent",
                     "duplicate_charge", "HND-"));
    buys(f, "08051234567", "08031110005", 600);
    buys(f, "08051234567", "08031110005", 600);
    says(f, "08051234567", "you charged me twice for the 600 airtime", "AirtimeBillingAgent",
         "only one of them was charged");
    flow_end(f);
}
END_TEST

START_TEST(how_things_are_done)
{
    struct flow *f = desk_started();
    says(f, "08031234567", "how do I convert my airtime to data", "AirtimeTechnicalAgent", "*312#");
    says(f, "08031234567", "how can I share airtime with my friend", "AirtimeTechnicalAgent", "*321#");
    says(f, "08031234567", "I want to borrow airtime", "AirtimeTechnicalAgent", "*303#");
    says(f, "08031234567", "I forgot my airtime transfer pin", "AirtimeTechnicalAgent", "*321#");
    json_decref(said(f, "08031234567", "activate auto recharge of airtime for me", "AirtimeTechnicalAgent",
                     "needs_input", "weekly"));
    flow_end(f);
}
END_TEST

START_TEST(auto_recharge_on_and_off)
{
    struct flow *f = desk_started();
    says(f, "08031234567", "activate auto recharge of 500 naira MTN airtime every week for my line",
         "AirtimeTechnicalAgent", "Auto-recharge is on");
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) from schedules where kind = 'top_up' and status = 'active' and every = "
                        "'weekly'"),
        1);
    says(f, "08031234567", "stop my airtime auto recharge", "AirtimeTechnicalAgent", "Auto-recharge is off");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from schedules where status = 'active'"), 0);
    flow_end(f);
}
END_TEST

START_TEST(ported_numbers_are_asked_about)
{
    struct flow *f = desk_started();
    json_t *a =
        said(f, "08021234567", "Buy 500 GLO airtime for 08031112229", "AirtimeSalesAgent", "confirm_network", "PORTED");
    ck_assert(strstr(text_of(a, "response_text"), "MTN") && strstr(text_of(a, "response_text"), "GLO"));
    json_decref(a);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions"), 0);
    json_decref(said(f, "08021234567", "Buy 500 GLO airtime for 08031112229, it was ported", "AirtimeSalesAgent",
                     "sold", "GLO"));
    /* A program that names the network has said so. */
    ck_assert_int_eq(FLOW_RUN(f, NULL, "buy", "airtime", "GLO", "08031112228", "500", "--payer-phone", "08021234567"),
                     0);
    ck_assert_uint_eq(desk_check_books(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(context_has_the_order)
{
    static const char *const members[] = {"network", "recipient_phone", "amount", "transaction_reference",
                                          "is_bulk_purchase"};
    struct flow *f = desk_started();
    struct flow_answer shown;
    json_t *a = desk_say(f, "08021234567", "WEB", "Buy 10000 MTN airtime for 08031112229");
    ck_assert_int_eq(FLOW_RUN(f, &shown, "enquiry", "show", text_of(a, "enquiry_id"), "--context", "--output", "json"),
                     0);
    const json_t *c = json_object_get(json_object_get(shown.json, "context"), "airtime_context");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ck_assert_msg(json_object_get(c, members[i]) && !json_is_null(json_object_get(c, members[i])), "no %s",
                      members[i]);
    ck_assert(json_is_true(json_object_get(c, "is_bulk_purchase")) && number_of(c, "amount") == 10000);
    flow_answer_free(&shown);
    json_decref(a);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("airtime_desk");
    tcase_set_timeout(c, 90);
    tcase_add_test(c, billing_tools_by_agent_call);
    tcase_add_test(c, refund_of_a_failed_purchase);
    tcase_add_test(c, technical_tools_by_agent_call);
    tcase_add_test(c, failed_recharges);
    tcase_add_test(c, delayed_credits);
    tcase_add_test(c, duplicate_charges);
    tcase_add_test(c, how_things_are_done);
    tcase_add_test(c, auto_recharge_on_and_off);
    tcase_add_test(c, ported_numbers_are_asked_about);
    tcase_add_test(c, context_has_the_order);
    return flow_main("airtime_desk", (TCase *[]){c, NULL});
}
