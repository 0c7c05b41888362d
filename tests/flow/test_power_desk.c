/* Electricity at the desk: bills, tariffs, disputes, faults, how people write, and the domain that comes and goes with
 * its plugin. A real host with simulated distribution companies. */
#include "flow_power.h"

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
    flow_end(f);
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
    flow_end(f);
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
    json_decref(a);
    a = desk_say(f, "08062464584", "WEB", "Did my electricity payment go through? Meter " METER);
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
    flow_end(f);
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
        json_decref(said(f, "SMS", brands[i], "PowerTechnicalAgent", words)); /* as the answer to what it asks */
        snprintf(data, sizeof data, "{\"brand\": \"%s\"}", brands[i]);
        json_t *r = call(f, "service.power_technical", "token_help", data);
        ck_assert_str_eq(text_of(r, "brand"), brands[i]);
        ck_assert_uint_eq(json_array_size(json_object_get(r, "steps")), 4);
        ck_assert_ptr_nonnull(strstr(text_of(r, "text"), words));
        json_decref(r);
    }
    flow_end(f);
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
    flow_end(f);
}
END_TEST

START_TEST(reports_open_cases)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    json_t *r = said(f, "WEB", "I want to replace my old Conlog meter, AEDC meter " METER, "PowerSalesAgent", "PWR-");
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
    flow_end(f);
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
    flow_end(f);
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
    flow_end(f);
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
    flow_end(f);
}
END_TEST

static void check_served(struct flow *f, bool served)
{
    json_t *a = desk_say(f, payer(), "WEB", "Buy 1000 naira token for EKEDC meter " METER);
    ck_assert_msg(!strcmp(text_of(a, "reason"), served ? "sold" : "domain_not_served"), "%s: %s", text_of(a, "reason"),
                  text_of(a, "response_text"));
    json_decref(a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/discos", NULL, NULL, NULL), served ? 200 : 404);
    ck_assert(served == (FLOW_RUN(f, NULL, "power", "tariff") == 0));
    a = desk_say(f, payer(), "WEB", "Buy 500 MTN airtime for 08031112229");
    ck_assert_str_eq(text_of(a, "reason"), "sold");
    json_decref(a);
}

/* The domain comes and goes with its plugin alone, while the host runs; the rest goes on. */
START_TEST(comes_and_goes_with_its_plugin)
{
    struct flow *f = desk_home();
    flow_remove(f, "plugins/power.so");
    flow_remove(f, "manifests/power.json");
    flow_start(f);
    check_served(f, false);
    flow_plugin(f, "power");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    check_served(f, true);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "disable", "power"), 0);
    FLOW_UNTIL(FLOW_RUN(f, NULL, "plugin", "info", "service.power_sales") != 0); /* what is open ends first */
    check_served(f, false);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "enable", "power"), 0);
    check_served(f, true);
    ck_assert_uint_eq(desk_check_books(f), 6); /* four of airtime, two of electricity */
    flow_end(f);
}
END_TEST

static void put(struct flow *f, bool there)
{
    if (there) {
        flow_plugin(f, "power");
    } else {
        flow_remove(f, "plugins/power.so");
        flow_remove(f, "manifests/power.json");
    }
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    FLOW_UNTIL((FLOW_RUN(f, NULL, "plugin", "info", "service.power_sales") == 0) ==
               there); /* what is open ends first */
}

/* Its files taken out of the running host and put back: nothing that was sold or opened is lost. */
START_TEST(removed_and_put_back)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    check_served(f, true);
    json_decref(desk_say(f, "08051234567", "WEB", "no light in our whole street since yesterday"));
    json_t *before = flow_sql(f, "select * from power_tokens"), *cases = flow_sql(f, "select * from power_cases");
    ck_assert(json_array_size(before) == 1 && json_array_size(cases) == 1);
    for (int round = 0; round < 2; round++) {
        put(f, false);
        check_served(f, false);
        put(f, true);
        check_served(f, true);
    }
    json_t *after = flow_sql(f, "select * from power_tokens order by issued_at");
    ck_assert_uint_eq(json_array_size(after), 3);
    bool kept = false;
    for (size_t i = 0; i < 3; i++)
        kept |= json_equal(json_array_get(before, 0), json_array_get(after, i));
    ck_assert(kept);
    ck_assert_int_eq(FLOW_RUN(f, &a, "power", "case", "list", "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "cases")), 1);
    flow_answer_free(&a);
    ck_assert_uint_eq(desk_check_books(f), 8); /* five of airtime, three of electricity */
    json_decref(before);
    json_decref(cases);
    json_decref(after);
    flow_end(f);
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
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("power_desk");
    tcase_set_timeout(c, 90);
    tcase_add_test(c, postpaid_bill_breakdown_and_payment);
    tcase_add_test(c, tariffs_and_bands);
    tcase_add_test(c, billing_disputes_and_confirmations);
    tcase_add_test(c, help_token_by_brand);
    tcase_add_test(c, technical_enquiries);
    tcase_add_test(c, reports_open_cases);
    tcase_add_test(c, registers_of_purchase);
    tcase_add_test(c, asks_for_what_is_missing);
    tcase_add_test(c, airtime_and_power_in_one_message);
    tcase_add_test(c, comes_and_goes_with_its_plugin);
    tcase_add_test(c, removed_and_put_back);
    tcase_add_test(c, context_has_the_order);
    return flow_main("power_desk", (TCase *[]){c, NULL});
}
