/* What the desk decides without a host: when a human is needed, which agents work on an enquiry, whether a draft is
 * good enough, how it reads on each channel. */
#include "service.h"
#include <check.h>
#include <stdlib.h>

static json_t *base, *domains, *components, *settings;

static json_t *component(const char *id, const char *alias, const char *role)
{
    return json_pack("{s:s, s:s, s:[s]}", "id", id, "alias", alias, "roles", role);
}

static void load(void)
{
    base = json_load_file(VOCABULARY, 0, NULL);
    ck_assert_ptr_nonnull(base);
    domains = json_pack("[{s:s, s:{s:[s, s], s:[s], s:[s, s], s:[s]}}]", "name", "AIRTIME", "routes", "PURCHASE",
                        "service.airtime_sales", "service.transaction", "TRANSACTION_ISSUE", "service.airtime_billing",
                        "INQUIRY", "service.airtime_sales", "service.research", "SUPPORT", "service.airtime_technical");
    components = json_array();
    json_array_append_new(components, component("service.airtime_sales", "AirtimeSalesAgent", "desk.domain"));
    json_array_append_new(components, component("service.transaction", "TransactionAgent", "x"));
    json_array_append_new(components, component("service.escalation", "EscalationAgent", "x"));
    json_array_append_new(components, component("service.qa", "QAAgent", "x"));
    json_array_append_new(components, component("service.response_generator", "ResponseGeneratorAgent", "x"));
    settings = json_object();
}

static void unload(void)
{
    json_decref(base);
    json_decref(domains);
    json_decref(components);
    json_decref(settings);
}

static json_t *enquiry(const char *domain, const char *intent, const char *priority, const char *sentiment)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "service_domain", domain, "intent", intent, "priority", priority,
                     "sentiment", sentiment);
}

/* The route as one text; takes `context`. */
static void route(json_t *context, char *out, size_t size, char *outcome, size_t outcome_size)
{
    json_t *rules = rules_apply(context, settings);
    json_t *decision = routing_decide(context, rules, domains, base, components), *id;
    size_t i, at = 0;
    out[0] = 0;
    json_array_foreach(json_object_get(decision, "route"), i, id) at +=
        (size_t)snprintf(out + at, size - at, "%s%s", i ? " " : "", json_string_value(id) + strlen("service."));
    snprintf(outcome, outcome_size, "%s", cvm_json_str(decision, "outcome", ""));
    json_decref(decision);
    json_decref(rules);
    json_decref(context);
}

#define ROUTE(context, expected, expected_outcome)                                                                     \
    do {                                                                                                               \
        char got_[512], outcome_[64];                                                                                  \
        route(context, got_, sizeof got_, outcome_, sizeof outcome_);                                                  \
        ck_assert_str_eq(got_, expected);                                                                              \
        ck_assert_str_eq(outcome_, expected_outcome);                                                                  \
    } while (0)

static void load_research(void)
{
    json_array_append_new(components, component("service.research", "ResearchAgent", "x"));
}

static void load_airtime(void)
{
    json_array_append_new(components, component("service.airtime_billing", "AirtimeBillingAgent", "desk.domain"));
    json_array_append_new(components, component("service.airtime_technical", "AirtimeTechnicalAgent", "desk.domain"));
}

/* ---- routing ------------------------------------------------------------------------------------------------------
 */

START_TEST(routes_by_the_table)
{
    ROUTE(enquiry("AIRTIME", "PURCHASE", "MEDIUM", "NEUTRAL"), "airtime_sales transaction qa response_generator",
          "answer");
    ROUTE(enquiry("AIRTIME", "INQUIRY", "LOW", "NEUTRAL"), "airtime_sales qa response_generator", "answer");
    load_research();
    load_airtime();
    ROUTE(enquiry("AIRTIME", "INQUIRY", "LOW", "NEUTRAL"), "airtime_sales research qa response_generator", "answer");
    ROUTE(enquiry("AIRTIME", "TRANSACTION_ISSUE", "MEDIUM", "NEUTRAL"), "airtime_billing qa response_generator",
          "answer");
    ROUTE(enquiry("AIRTIME", "SUPPORT", "MEDIUM", "NEUTRAL"), "airtime_technical qa response_generator", "answer");
    /* an intent the domain does not have uses the INQUIRY row */
    ROUTE(enquiry("AIRTIME", "MANAGEMENT", "MEDIUM", "NEUTRAL"), "airtime_sales research qa response_generator",
          "answer");
}
END_TEST

START_TEST(delayed_credit_adds_the_technical_agent)
{
    load_airtime();
    json_t *c = enquiry("AIRTIME", "TRANSACTION_ISSUE", "MEDIUM", "NEUTRAL");
    json_object_set_new(c, "sub_intent", json_string("delayed credit"));
    ROUTE(c, "airtime_billing airtime_technical qa response_generator", "answer");
}
END_TEST

START_TEST(priority_and_sentiment_change_the_route)
{
    load_research();
    ROUTE(enquiry("AIRTIME", "PURCHASE", "HIGH", "NEUTRAL"), "research airtime_sales transaction qa response_generator",
          "answer");
    ROUTE(enquiry("AIRTIME", "PURCHASE", "MEDIUM", "NEGATIVE"),
          "airtime_sales transaction escalation qa response_generator", "answer");
    ROUTE(enquiry("AIRTIME", "PURCHASE", "CRITICAL", "VERY_NEGATIVE"),
          "research airtime_sales transaction escalation qa response_generator", "answer");
    /* INQUIRY has research in its row: it stands once, in front */
    ROUTE(enquiry("AIRTIME", "INQUIRY", "HIGH", "NEUTRAL"), "research airtime_sales qa response_generator", "answer");
}
END_TEST

START_TEST(multi_unknown_and_unserved)
{
    ROUTE(enquiry("MULTI", "PURCHASE", "MEDIUM", "NEUTRAL"), "escalation qa response_generator", "multi");
    ROUTE(enquiry("UNKNOWN", "UNKNOWN", "LOW", "NEUTRAL"), "response_generator", "unknown");
    ROUTE(enquiry("POWER", "PURCHASE", "MEDIUM", "NEUTRAL"), "response_generator", "not_served");
    ROUTE(enquiry("POWER", "PURCHASE", "MEDIUM", "VERY_NEGATIVE"), "escalation qa response_generator", "not_served");
    ROUTE(enquiry("AIRTIME", "TRANSACTION_ISSUE", "MEDIUM", "NEUTRAL"), "escalation qa response_generator",
          "agents_missing");
    load_research();
    ROUTE(enquiry("MULTI", "PURCHASE", "HIGH", "NEGATIVE"), "escalation research qa response_generator", "multi");
}
END_TEST

static json_t *weighed(const char *domain, int weight, int airtime)
{
    json_t *c = enquiry(domain, "PURCHASE", "MEDIUM", "NEUTRAL");
    json_object_set_new(c, "classification",
                        json_pack("{s:{s:i, s:i}}", "weights", domain, weight, "AIRTIME", airtime));
    return c;
}

static json_t *close_to(const char *alternative, const char *priority)
{
    json_t *c = enquiry("AIRTIME", "INQUIRY", priority, "NEUTRAL");
    json_object_set_new(c, "classification", json_pack("{s:s}", "alternative", alternative));
    return c;
}

/* A question costs a customer time, but a wrong line of business costs more; what is urgent is not asked about. */
START_TEST(close_readings_are_clarified)
{
    ROUTE(close_to("POWER", "MEDIUM"), "airtime_sales qa response_generator", "answer"); /* it is not served */
    ROUTE(close_to("AIRTIME", "MEDIUM"), "response_generator", "clarify_domain");
    ROUTE(close_to("AIRTIME", "HIGH"), "airtime_sales qa response_generator", "answer");
}
END_TEST

/* A customer whose words also speak of what is served is asked, not sent away. */
START_TEST(doubtful_domains_are_clarified)
{
    ROUTE(weighed("DATA", 7, 0), "response_generator", "not_served");
    ROUTE(weighed("DATA", 7, 2), "response_generator", "clarify_domain");
    ROUTE(weighed("DATA", 5, 1), "response_generator", "not_served");
    ROUTE(weighed("DATA", 4, 1), "response_generator", "clarify_domain");
    ROUTE(weighed("POWER", 2, 0), "response_generator", "clarify_domain");
}
END_TEST

START_TEST(who_asks_for_a_person_gets_one)
{
    json_t *c = enquiry("UNKNOWN", "UNKNOWN", "LOW", "NEUTRAL");
    json_object_set_new(c, "cues", json_pack("[s, s]", "greeting", "human"));
    json_t *rules = rules_apply(c, NULL);
    ck_assert_str_eq(rules_first(rules), "human_requested");
    json_decref(rules);
    ROUTE(c, "escalation qa response_generator", "unknown");
}
END_TEST

START_TEST(no_purchase_before_a_human_has_looked)
{
    json_t *c = enquiry("AIRTIME", "PURCHASE", "MEDIUM", "NEUTRAL");
    json_object_set_new(c, "classification", json_pack("{s:[s]}", "escalate_reasons", "amount"));
    json_object_set_new(c, "entities", json_pack("{s:[i]}", "amounts", 150000));
    ROUTE(c, "escalation qa response_generator", "answer");
}
END_TEST

/* ---- rules --------------------------------------------------------------------------------------------------------
 */

static json_t *with_reason(const char *reason, double amount)
{
    json_t *c = enquiry("AIRTIME", "PURCHASE", "MEDIUM", "NEUTRAL");
    json_object_set_new(c, "classification", json_pack("{s:[s]}", "escalate_reasons", reason));
    json_object_set_new(c, "entities", json_pack("{s:[f]}", "amounts", amount));
    return c;
}

START_TEST(each_rule_holds_alone)
{
    static const char *const cases[][3] = {{"legal", "legal_keywords", "legal"},
                                           {"churn", "churn_keywords", "retention"},
                                           {"security", "security_keywords", "security"},
                                           {"failures", "transaction_failure_count", "transactions"},
                                           {"amount", "transaction_amount_threshold", "transactions"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *c = with_reason(cases[i][0], 150000), *rules = rules_apply(c, settings);
        ck_assert_uint_eq(json_array_size(rules), 1);
        ck_assert_str_eq(cvm_json_str(json_array_get(rules, 0), "rule", ""), cases[i][1]);
        ck_assert_str_eq(rules_queue(rules), cases[i][2]);
        json_decref(rules);
        json_decref(c);
    }
    json_t *c = with_reason("amount", 3000), *rules;
    json_object_set_new(json_object_get(c, "classification"), "total_amount", json_real(126000)); /* for each of 42 */
    rules = rules_apply(c, settings);
    ck_assert_str_eq(cvm_json_str(json_array_get(rules, 0), "rule", ""), "transaction_amount_threshold");
    json_decref(rules);
    json_decref(c);
    c = with_reason("amount", 100000);
    rules = rules_apply(c, settings); /* up to and with it: automatic */
    ck_assert_uint_eq(json_array_size(rules), 0);
    json_decref(rules);
    json_object_set_new(c, "customer_tier", json_string("PLATINUM"));
    rules = rules_apply(c, settings);
    ck_assert(rules_only_inform(rules, "PURCHASE"));
    ck_assert(!rules_only_inform(rules, "INQUIRY"));
    json_decref(rules);
    json_object_set_new(c, "transaction_failure_count", json_integer(3));
    json_object_set_new(c, "sentiment", json_string("VERY_NEGATIVE"));
    rules = rules_apply(c, settings);
    ck_assert_uint_eq(json_array_size(rules), 3); /* all that hold are recorded */
    ck_assert(!rules_only_inform(rules, "PURCHASE"));
    json_decref(rules);
    json_decref(c);
}
END_TEST

/* ---- review -------------------------------------------------------------------------------------------------------
 */

static bool approved(const char *draft, json_t *facts, json_t *context)
{
    json_t *review = review_draft(draft, facts, context, settings);
    bool yes = cvm_json_bool(review, "approved", false);
    json_decref(review);
    json_decref(facts);
    json_decref(context);
    return yes;
}

static json_t *bought(const char *outcome)
{
    return json_pack("{s:s, s:{s:s, s:s}}", "outcome", outcome, "transaction", "transaction_id", "TXN-0c44e1a9b7d2",
                     "reference", "MTN-88213");
}

static json_t *case_of(const char *transaction)
{
    return json_pack("{s:s, s:s, s:{s:[s]}}", "customer_phone", "+2348031234567", "transaction_id", transaction,
                     "entities", "phone_numbers", "08059876543");
}

START_TEST(review_by_the_rubric)
{
    json_object_set_new(settings, "forbidden_words", json_pack("[s]", "stupid"));
    ck_assert(approved("Done: N500 airtime went to 08059876543. Reference MTN-88213.", bought("SUCCESS"),
                       case_of("TXN-0c44e1a9b7d2")));
    ck_assert(!approved("", json_object(), case_of("")));
    ck_assert(!approved("Done: N500 airtime went to 08011112222. Reference MTN-88213.", bought("SUCCESS"),
                        case_of("TXN-0c44e1a9b7d2")));
    ck_assert(!approved("Done: N500 airtime went to 08059876543. Reference MTN-88213.", bought("FAILED"),
                        case_of("TXN-0c44e1a9b7d2")));
    ck_assert(!approved("Your reference is TXN-ffffffffffff, thank you.", json_object(), case_of("TXN-0c44e1a9b7d2")));
    /* of a part of the case */
    ck_assert(approved("About airtime: your reference is TXN-ffffffffffff, thank you.", json_object(),
                       json_pack("{s:s, s:{s:[{s:s}]}}", "transaction_id", "TXN-0c44e1a9b7d2", "multi", "parts",
                                 "transaction_id", "TXN-ffffffffffff")));
    ck_assert(!approved("That was a stupid question, but here is the price.", json_object(), case_of("")));
    ck_assert(!approved("Dear {{name}}, your airtime of %s is on its way.", json_object(), case_of("")));
    ck_assert(approved("There is no fee for airtime, whatever the network.", json_object(), case_of("")));
}
END_TEST

START_TEST(review_wants_the_token)
{
    json_t *facts = json_pack("{s:s, s:{s:s, s:{s:s}}}", "outcome", "SUCCESS", "transaction", "reference", "EKO-55120",
                              "delivered", "token", "12345678901234567890");
    ck_assert(
        approved("Your token is 1234 5678 9012 3456 7890. Reference EKO-55120.", json_incref(facts), case_of("")));
    ck_assert(!approved("Your token was sold. Reference EKO-55120.", facts, case_of("")));
}
END_TEST

/* ---- texts --------------------------------------------------------------------------------------------------------
 */

static const char *text_for(const char *channel, const char *sentiment, const char *body, const char *token)
{
    static char text[SERVICE_TEXT_MAX];
    compose_text(&(struct compose_in){.channel = channel,
                                      .tone = "",
                                      .sentiment = sentiment,
                                      .name = "Chinedu Okafor",
                                      .body = body,
                                      .token = token,
                                      .language = "en"},
                 text, sizeof text);
    return text;
}

START_TEST(tone_follows_channel_and_sentiment)
{
    ck_assert_str_eq(compose_tone("SMS", "VERY_NEGATIVE"), "brief");
    ck_assert_str_eq(compose_tone("WEB", "NEGATIVE"), "empathetic");
    ck_assert_str_eq(compose_tone("EMAIL", "NEUTRAL"), "formal");
    ck_assert_str_eq(compose_tone("WHATSAPP", "POSITIVE"), "friendly");
    ck_assert_ptr_nonnull(strstr(text_for("EMAIL", "NEUTRAL", "All done.", ""), "Dear Chinedu Okafor,\n\n"));
    ck_assert_ptr_nonnull(strstr(text_for("WEB", "NEGATIVE", "All done.", ""), "sorry"));
    ck_assert_str_eq(text_for("SMS", "NEGATIVE",
                              "All \xE2\x82\xA6"
                              "500 done.",
                              ""),
                     "All N500 done.");
}
END_TEST

START_TEST(channels_have_limits)
{
    char body[4000];
    for (size_t i = 0; i + 1 < sizeof body; i++)
        body[i] = "word and. "[i % 10];
    body[sizeof body - 1] = 0;
    ck_assert_uint_le(strlen(text_for("SMS", "NEUTRAL", body, "")), 480);
    ck_assert_uint_le(strlen(text_for("USSD", "NEUTRAL", body, "")), 182);
    const char *sms = text_for("SMS", "NEUTRAL", body, "12345678901234567890");
    ck_assert_uint_le(strlen(sms), 480);
    ck_assert_str_eq(sms + strlen(sms) - 21, "\n12345678901234567890");
    ck_assert_ptr_null(strchr(text_for("USSD", "NEUTRAL", "a\nb", ""), '\n'));
    ck_assert_ptr_nonnull(strstr(text_for("VOICE", "NEUTRAL", "Number 08031234567 is set. Good.", ""), "0 8 0, 3 1 2"));
    ck_assert_ptr_nonnull(strstr(text_for("VOICE", "NEUTRAL", "Reference HND-7778d5823410.", ""), "HND-7778d5823410."));
    ck_assert_ptr_nonnull(strstr(text_for("VOICE", "NEUTRAL",
                                          "It is \xE2\x82\xA6"
                                          "1,500.00.",
                                          ""),
                                 "1,500 naira."));
}
END_TEST

START_TEST(texts_are_only_text)
{
    ck_assert_ptr_nonnull(strstr(text_for("WEB", "NEUTRAL", "%s %n ${KEY} \x1b[31m", ""), "%s %n ${KEY} [31m"));
}
END_TEST

START_TEST(email_forms)
{
    ck_assert(triage_email_form("a.b@example.com"));
    ck_assert(!triage_email_form("a.b@example"));
    ck_assert(!triage_email_form("@example.com"));
    ck_assert(!triage_email_form("a@b@example.com"));
    ck_assert(!triage_email_form("a b@example.com"));
    ck_assert(!triage_email_form("a@ex..com"));
    ck_assert(!triage_email_form(""));
}
END_TEST

START_TEST(times_are_read_as_they_are_written)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{INT64_C(1795305600000), "2026-11-22T00:00:00.000Z"},
                 {INT64_C(1795305599999), "2026-11-21T23:59:59.999Z"},
                 {INT64_C(1795310045067), "2026-11-22T01:14:05.067Z"},
                 {INT64_C(951827696789), "2000-02-29T12:34:56.789Z"},
                 {1, "1970-01-01T00:00:00.001Z"}};
    char text[SERVICE_TIME_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_str_eq(service_time(cases[i].ms, text), cases[i].text);
        ck_assert_int_eq(service_time_ms(text), cases[i].ms);
    }
    ck_assert_str_eq(service_time(-1, text), "1969-12-31T23:59:59.999Z");
    static const char *const none[] = {
        "", "2026", "2026-11-22", "2026-11-22T00:00:00Z", "tomorrow", "2026-11-2xT00:00:00.000Z"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_int_eq(service_time_ms(none[i]), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("desk");
    TCase *c = tcase_create("desk");
    tcase_add_checked_fixture(c, load, unload);
    tcase_add_test(c, times_are_read_as_they_are_written);
    tcase_add_test(c, routes_by_the_table);
    tcase_add_test(c, delayed_credit_adds_the_technical_agent);
    tcase_add_test(c, priority_and_sentiment_change_the_route);
    tcase_add_test(c, multi_unknown_and_unserved);
    tcase_add_test(c, doubtful_domains_are_clarified);
    tcase_add_test(c, close_readings_are_clarified);
    tcase_add_test(c, who_asks_for_a_person_gets_one);
    tcase_add_test(c, no_purchase_before_a_human_has_looked);
    tcase_add_test(c, each_rule_holds_alone);
    tcase_add_test(c, review_by_the_rubric);
    tcase_add_test(c, review_wants_the_token);
    tcase_add_test(c, tone_follows_channel_and_sentiment);
    tcase_add_test(c, channels_have_limits);
    tcase_add_test(c, texts_are_only_text);
    tcase_add_test(c, email_forms);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
