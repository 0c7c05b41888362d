/* What is promised of the service desk and stands in no other test: the roster as the running host tells it, first
 * contact, every route, a sample of every leaf of the intents, the description of the routes, what tables refuse. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- the roster ----------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *id, *alias, *tier, *tools, *temperature;
    const char *limits; /* members of its settings */
} roster[] = {
    {"service.triage", "TriageAgent", "entry", "[\"validate_phone\",\"validate_email\",\"detect_language\"]", "0.7",
     "{\"max_iterations\": 3, \"can_initiate\": true}"},
    {"service.classifier", "ClassifierAgent", "entry",
     "[\"extract_entities\",\"sentiment_analysis\",\"intent_classification\"]", "0.1",
     "{\"max_iterations\": 1, \"vectorstore_access\": true}"},
    {"service.orchestrator", "OrchestratorAgent", "entry", "[\"route_enquiry\",\"check_transition\",\"get_context\"]",
     "0.0", "{\"max_iterations\": 1}"},
    {"service.airtime_sales", "AirtimeSalesAgent", "domain",
     "[\"check_network_balance\",\"process_recharge\",\"get_pricing\"]", "0.3",
     "{\"max_transaction_limit\": 50000, \"api_integrations\": [\"MTN_API\", \"AIRTEL_API\", \"GLO_API\", "
     "\"9MOBILE_API\"]}"},
    {"service.airtime_billing", "AirtimeBillingAgent", "domain",
     "[\"lookup_transaction\",\"transaction_history\",\"request_refund\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.airtime_technical", "AirtimeTechnicalAgent", "domain",
     "[\"check_recharge_status\",\"requery_vend\",\"network_status\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.power_sales", "PowerSalesAgent", "domain",
     "[\"validate_meter_number\",\"purchase_token\",\"check_tariff\"]", "0.3",
     "{\"max_transaction_limit\": 100000, \"api_integrations\": [\"AEDC_API\", \"BEDC_API\", \"EKEDC_API\", "
     "\"EEDC_API\", \"IBEDC_API\", \"IKEDC_API\", \"JED_API\", \"KAEDCO_API\", \"KEDCO_API\", \"PHEDC_API\", "
     "\"YEDC_API\"]}"},
    {"service.power_billing", "PowerBillingAgent", "domain",
     "[\"check_bill\",\"explain_bill\",\"open_dispute\",\"check_tariff\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.power_technical", "PowerTechnicalAgent", "domain",
     "[\"token_help\",\"report_meter_fault\",\"report_outage\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.data_sales", "DataSalesAgent", "domain", "[\"recommend_plan\",\"activate_bundle\",\"check_balance\"]",
     "0.4",
     "{\"can_suggest_upgrades\": true, \"api_integrations\": [\"MTN_DATA_API\", \"AIRTEL_DATA_API\", \"GLO_DATA_API\", "
     "\"9MOBILE_DATA_API\"]}"},
    {"service.data_billing", "DataBillingAgent", "domain",
     "[\"check_data_balance\",\"usage_breakdown\",\"rollover_status\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.data_technical", "DataTechnicalAgent", "domain",
     "[\"apn_settings\",\"speed_diagnosis\",\"network_status\"]", "0.3", "{\"max_iterations\": 3}"},
    {"service.research", "ResearchAgent", "support", "[\"vector_search\",\"document_retrieval\",\"synthesize_answer\"]",
     "0.2", "{\"retrieval_top_k\": 5}"},
    {"service.qa", "QAAgent", "support", "[\"review_response\",\"check_policy\"]", "0.1", "{\"max_iterations\": 2}"},
    {"service.response_generator", "ResponseGeneratorAgent", "support", "[\"compose_response\",\"apply_tone\"]", "0.7",
     "{\"max_iterations\": 1}"},
    {"service.escalation", "EscalationAgent", "support", "[\"create_handoff\",\"notify_human\",\"split_enquiry\"]",
     "0.2", "{\"max_iterations\": 3}"},
    {"service.feedback", "FeedbackAgent", "support", "[\"request_rating\",\"record_rating\",\"sentiment_analysis\"]",
     "0.6", "{\"max_iterations\": 2}"},
    {"service.transaction", "TransactionAgent", "operations",
     "[\"initiate_payment\",\"verify_transaction\",\"generate_receipt\"]", "0.0",
     "{\"requires_2fa\": true, \"api_integrations\": [\"PAYSTACK_API\", \"FLUTTERWAVE_API\"]}"},
    {"service.notification", "NotificationAgent", "operations", "[\"send_sms\",\"send_email\",\"send_whatsapp\"]",
     "0.0", "{\"max_iterations\": 1}"},
    {"service.analytics", "AnalyticsAgent", "operations", "[\"record_interaction\",\"compute_kpi\",\"detect_pattern\"]",
     "0.0", "{\"max_iterations\": 1}"},
};

static const json_t *by(const json_t *list, const char *member, const char *value)
{
    const json_t *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, one) if (!strcmp(text_of(one, member), value)) return one;
    ck_abort_msg("no %s among those listed", value);
    return NULL;
}

static void check_agent(const json_t *agent, size_t i)
{
    char tier[40];
    const char *name;
    json_t *wanted = json_loads(roster[i].tools, 0, NULL), *value;
    const json_t *settings = json_object_get(agent, "settings");
    ck_assert_str_eq(text_of(agent, "alias"), roster[i].alias);
    snprintf(tier, sizeof tier, "desk.%s", roster[i].tier);
    ck_assert_msg(listed(json_object_get(agent, "roles"), tier), "%s is not of the tier %s", roster[i].id, tier);
    ck_assert_msg(json_equal(json_object_get(agent, "tools"), wanted), "%s has other tools", roster[i].id);
    json_decref(wanted);
    double temperature = number_of(settings, "llm_temperature") - strtod(roster[i].temperature, NULL);
    ck_assert_msg(json_object_get(settings, "llm_temperature") && temperature < 1e-9 && temperature > -1e-9,
                  "%s has another temperature", roster[i].id);
    ck_assert_str_eq(text_of(settings, "llm_model"), "gpt-4o-mini");
    wanted = json_loads(roster[i].limits, 0, NULL);
    json_object_foreach(wanted, name, value)
        ck_assert_msg(json_equal(json_object_get(settings, name), value), "%s has another %s", roster[i].id, name);
    json_decref(wanted);
}

START_TEST(roster_is_the_capability_matrix)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "list", "--area", "service", "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(a.json), COUNT(roster));
    for (size_t i = 0; i < COUNT(roster); i++)
        check_agent(by(a.json, "id", roster[i].id), i);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "list", "--area", "serv", "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(a.json), 0);
    flow_answer_free(&a);
    EXPECT(f, 0, "requires_2fa: true", "plugin", "info", "service.transaction");
    EXPECT(f, 0, "llm_temperature: 0.1", "plugin", "info", "service.classifier");
    flow_end(f);
}
END_TEST

/* ---- first contact -------------------------------------------------------------------------------------------------
 */

static json_t *call(struct flow *f, const char *agent, const char *type, json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);
    json_t *answer = flow_call(f, agent, type, text, NULL);
    ck_assert_msg(answer, "%s %s %s: no answer", agent, type, text);
    free(text);
    json_decref(data);
    return answer;
}

START_TEST(phone_numbers_are_accepted_and_refused)
{
    static const char *const good[][2] = {{"08012345678", "+2348012345678"},     {"+2348012345678", "+2348012345678"},
                                          {"2348012345678", "+2348012345678"},   {"0801 234 5678", "+2348012345678"},
                                          {"0801-234-5678", "+2348012345678"},   {"(0703) 1234567", "+2347031234567"},
                                          {"+23409012345678", "+2349012345678"}, {"09112345678", "+2349112345678"}};
    static const char *const doubtful[] = {"07112345678", "08512345678", "09912345678"};
    static const char *const bad[] = {"",           "0801234567",    "080123456789", "06012345678", "+1 8012345678",
                                      "8012345678", "2340123456789", "phone",        "0801234567a"};
    struct flow *f = desk_started();
    for (size_t i = 0; i < COUNT(good); i++) {
        json_t *r = call(f, "service.triage", "validate_phone", json_pack("{s:s}", "phone", good[i][0]));
        ck_assert_msg(json_is_true(json_object_get(r, "valid")) && !json_object_get(r, "warning"), "%s", good[i][0]);
        ck_assert_str_eq(text_of(r, "e164"), good[i][1]);
        json_decref(r);
    }
    for (size_t i = 0; i < COUNT(doubtful); i++) {
        json_t *r = call(f, "service.triage", "validate_phone", json_pack("{s:s}", "phone", doubtful[i]));
        ck_assert_msg(json_is_true(json_object_get(r, "valid")) && strstr(text_of(r, "warning"), "confirm"), "%s",
                      doubtful[i]);
        json_decref(r);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        json_t *r = call(f, "service.triage", "validate_phone", json_pack("{s:s}", "phone", bad[i]));
        ck_assert_msg(json_is_false(json_object_get(r, "valid")), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(text_of(r, "error"), "08012345678"));
        ck_assert_ptr_nonnull(strstr(text_of(r, "error"), "+2348012345678"));
        json_decref(r);
    }
    /* At the edge, too. */
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/enquiries",
                               "{\"message\": \"hello\", \"customer_phone\": \"06012345678\"}", NULL, &a),
                     400);
    ck_assert_str_eq(text_of(a.json, "field"), "customer_phone");
    ck_assert_ptr_nonnull(strstr(text_of(a.json, "detail"), "08012345678 or +2348012345678"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(triage_takes_the_first_contact)
{
    static const char *const languages[][2] = {{"please what do you want me to do", "en"},
                                               {"abeg wetin una dey do", "pcm"},
                                               {"don allah ina son wutar", "ha"}};
    struct flow *f = desk_started();
    struct flow_answer a;
    json_t *r = call(f, "service.triage", "validate_email", json_pack("{s:s}", "email", "ada@example.com"));
    ck_assert(json_is_true(json_object_get(r, "valid")));
    json_decref(r);
    r = call(f, "service.triage", "validate_email", json_pack("{s:s}", "email", "ada@example"));
    ck_assert(json_is_false(json_object_get(r, "valid")) && *text_of(r, "error"));
    json_decref(r);
    for (size_t i = 0; i < COUNT(languages); i++) {
        r = call(f, "service.triage", "detect_language", json_pack("{s:s}", "text", languages[i][0]));
        ck_assert_str_eq(text_of(r, "language"), languages[i][1]);
        json_decref(r);
    }
    ck_assert_int_eq(
        flow_http(f, "POST", "/api/v1/enquiries",
                  "{\"message\": \"Good morning\", \"customer_phone\": \"0803 555 0001\", \"channel\": \"WhatsApp\", "
                  "\"customer_email\": \"ada@example.com\", \"customer_name\": \"Ada Obi\"}",
                  NULL, &a),
        200);
    ck_assert_str_eq(text_of(a.json, "reason"), "greeting");
    ck_assert_ptr_nonnull(strstr(text_of(a.json, "response_text"), "Hello Ada"));
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(a.json, "agents_involved"), 0)), "TriageAgent");
    char *id = strdup(text_of(a.json, "enquiry_id"));
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "enquiry", "show", id, "--context", "--steps", "--output", "json"), 0);
    const json_t *c = json_object_get(a.json, "context");
    ck_assert_str_eq(text_of(c, "customer_phone"), "+2348035550001");
    ck_assert_str_eq(text_of(c, "customer_email"), "ada@example.com");
    ck_assert_str_eq(text_of(c, "customer_name"), "Ada Obi");
    ck_assert_str_eq(text_of(c, "language"), "en");
    ck_assert_str_eq(text_of(c, "channel"), "WHATSAPP");
    ck_assert_str_eq(text_of(json_array_get(json_object_get(a.json, "processing_steps"), 0), "agent"), "TriageAgent");
    flow_answer_free(&a);
    ck_assert_int_eq(
        flow_http(f, "POST", "/api/v1/enquiries",
                  "{\"message\": \"hello\", \"customer_phone\": \"08035550001\", \"customer_email\": \"x\"}", NULL, &a),
        400);
    ck_assert_str_eq(text_of(a.json, "field"), "customer_email");
    flow_answer_free(&a);
    free(id);
    flow_end(f);
}
END_TEST

/* ---- what is meant -------------------------------------------------------------------------------------------------
 */

START_TEST(classifier_gives_all_members)
{
    struct flow *f = desk_started();
    json_t *r = call(f, "service.classifier", "classify_enquiry",
                     json_pack("{s:s}", "enquiry_text", "abeg load N1,000 mtn airtime for 08031234567, I am annoyed"));
    const json_t *c = json_object_get(r, "classification"), *e = json_object_get(c, "entities");
    ck_assert(json_is_true(json_object_get(r, "success")) && json_is_true(json_object_get(r, "fallback_used")));
    ck_assert(number_of(r, "confidence") > 0.49 && number_of(r, "confidence") < 0.51);
    ck_assert_str_eq(text_of(r, "agent"), "ClassifierAgent");
    ck_assert_str_eq(text_of(c, "service_domain"), "AIRTIME");
    ck_assert_str_eq(text_of(c, "intent"), "PURCHASE");
    ck_assert_str_eq(text_of(c, "priority"), "MEDIUM");
    ck_assert_str_eq(text_of(c, "sentiment"), "NEGATIVE");
    ck_assert(*text_of(c, "reasoning"));
    ck_assert(listed(json_object_get(e, "phone_numbers"), "08031234567") &&
              listed(json_object_get(e, "networks"), "MTN"));
    ck_assert(json_number_value(json_array_get(json_object_get(e, "amounts"), 0)) == 1000);
    ck_assert(json_is_array(json_object_get(e, "meter_numbers")) && json_is_array(json_object_get(e, "discos")));
    json_decref(r);
    r = call(f, "service.classifier", "extract_entities",
             json_pack("{s:s}", "text", "5k light for meter 45012345678, EKEDC, call 08031234567"));
    e = json_object_get(r, "entities");
    ck_assert(listed(json_object_get(e, "meter_numbers"), "45012345678") &&
              listed(json_object_get(e, "discos"), "EKEDC"));
    ck_assert(listed(json_object_get(e, "phone_numbers"), "08031234567"));
    ck_assert(json_number_value(json_array_get(json_object_get(e, "amounts"), 0)) == 5000);
    json_decref(r);
    flow_end(f);
}
END_TEST

struct sample {
    const char *text, *domain, *intent, *leaf; /* NULL: any */
};

/* All of them by one command, which asks the host for each. */
static void check_samples(struct flow *f, const struct sample *samples, size_t n)
{
    char path[128], *text = NULL, *rest, *line;
    size_t len = 0, i = 0;
    struct flow_answer a;
    FILE *out = open_memstream(&text, &len);
    for (i = 0; i < n; i++) {
        json_t *row = json_pack("{s:s}", "message", samples[i].text);
        json_dumpf(row, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(row);
    }
    fclose(out);
    flow_write(f, "samples.jsonl", text);
    free(text);
    snprintf(path, sizeof path, "%s/samples.jsonl", f->home);
    ck_assert_int_eq(FLOW_RUN(f, &a, "enquiry", "classify", "--file", path, "--output", "json"), 0);
    rest = a.text;
    for (i = 0; i < n && (line = strsep(&rest, "\n")); i++) {
        json_t *r = json_loads(line, 0, NULL);
        ck_assert_msg(!strcmp(text_of(r, "service_domain"), samples[i].domain) &&
                          (!samples[i].intent || !strcmp(text_of(r, "intent"), samples[i].intent)) &&
                          (!samples[i].leaf || !strcmp(text_of(r, "sub_intent"), samples[i].leaf)),
                      "\"%s\": %s %s (%s), not %s %s (%s)", samples[i].text, text_of(r, "service_domain"),
                      text_of(r, "intent"), text_of(r, "sub_intent"), samples[i].domain,
                      samples[i].intent ? samples[i].intent : "", samples[i].leaf ? samples[i].leaf : "");
        json_decref(r);
    }
    ck_assert_uint_eq(i, n);
    flow_answer_free(&a);
}

START_TEST(every_leaf_has_a_sample)
{
    static const struct sample samples[] = {
        {"Recharge my line with 500 naira MTN airtime", "AIRTIME", "PURCHASE", "self top-up"},
        {"Buy 500 naira MTN airtime for my mother, 08031112229", "AIRTIME", "PURCHASE", "third-party top-up"},
        {"We want to buy airtime in bulk for our staff", "AIRTIME", "PURCHASE", "bulk purchase"},
        {"My airtime recharge failed", "AIRTIME", "TRANSACTION_ISSUE", "failed transaction"},
        {"I bought airtime this morning and it has not arrived", "AIRTIME", "TRANSACTION_ISSUE", "delayed credit"},
        {"I was charged twice for the same airtime", "AIRTIME", "TRANSACTION_ISSUE", "duplicate charge"},
        {"I want a refund for my airtime", "AIRTIME", "TRANSACTION_ISSUE", "refund request"},
        {"How do I check my airtime balance?", "AIRTIME", "INQUIRY", "check balance"},
        {"Show me my airtime transaction history", "AIRTIME", "INQUIRY", "transaction history"},
        {"What is the price of 1000 naira airtime?", "AIRTIME", "INQUIRY", "pricing"},
        {"How do I convert airtime to data?", "AIRTIME", "SUPPORT", "convert airtime to data"},
        {"How do I share airtime with my friend?", "AIRTIME", "SUPPORT", "share airtime"},
        {"Please activate auto-recharge of my airtime every week", "AIRTIME", "SUPPORT", "activate auto-recharge"},
        {"I forgot my PIN for airtime transfer, reset it", "AIRTIME", "SUPPORT", "PIN reset"},
        {"I want to buy prepaid token of 5000 naira for my meter", "POWER", "PURCHASE", "buy prepaid token"},
        {"I want to register for postpaid electricity", "POWER", "PURCHASE", "register for postpaid"},
        {"I dispute my estimated electricity bill", "POWER", "BILLING_ISSUE", "dispute bill"},
        {"My electricity bill is on the wrong tariff band", "POWER", "BILLING_ISSUE", "query tariff"},
        {"Please give me the breakdown of my electricity bill", "POWER", "BILLING_ISSUE", "bill breakdown"},
        {"The meter rejected my token", "POWER", "TECHNICAL_ISSUE", "token loading error"},
        {"My meter is faulty, the screen is blank", "POWER", "TECHNICAL_ISSUE", "meter fault"},
        {"I want to report an outage, there is no light in our street", "POWER", "TECHNICAL_ISSUE", "report outage"},
        {"What is my bill for this month, my meter is postpaid", "POWER", "INQUIRY", "bill status"},
        {"What is the tariff for band A?", "POWER", "INQUIRY", "tariff information"},
        {"How can I upgrade my meter to a smart meter?", "POWER", "INQUIRY", "meter upgrade"},
        {"I want to buy a 2GB MTN data bundle", "DATA", "PURCHASE", "new bundle"},
        {"Please renew my data plan", "DATA", "PURCHASE", "renew"},
        {"I want to upgrade my data plan to a bigger plan", "DATA", "PURCHASE", "upgrade"},
        {"Which data plan do you recommend for me?", "DATA", "PURCHASE", "recommendation"},
        {"My data finished too fast", "DATA", "BALANCE_ISSUE", "unexpected depletion"},
        {"Check my data balance", "DATA", "BALANCE_ISSUE", "check balance"},
        {"Does my unused data roll over to next month?", "DATA", "BALANCE_ISSUE", "query rollover"},
        {"My internet is very slow", "DATA", "TECHNICAL_ISSUE", "slow speed"},
        {"My internet connection drops every few minutes", "DATA", "TECHNICAL_ISSUE", "connection drops"},
        {"What are the APN settings for my iPhone?", "DATA", "TECHNICAL_ISSUE", "APN help"},
        {"Turn on auto renewal of my data plan", "DATA", "MANAGEMENT", "auto-renewal"},
        {"I want to gift data to my sister", "DATA", "MANAGEMENT", "gift data"},
        {"How can I share my data with my family?", "DATA", "MANAGEMENT", "data sharing"},
        {"Can I borrow data from MTN?", "DATA", "MANAGEMENT", "borrow data"},
    };
    struct flow *f = desk_started();
    check_samples(f, samples, COUNT(samples));
    flow_end(f);
}
END_TEST

START_TEST(words_are_whole_words)
{
    static const struct sample samples[] = {
        {"my account number", "UNKNOWN", NULL, NULL}, /* "mb" is in "number" */
        {"a slight delay of my parcel", "UNKNOWN", NULL, NULL},
        {"500mb please", "DATA", "PURCHASE", NULL},
        {"recharge my prepaid meter", "POWER", "PURCHASE", NULL},
        {"Top-up my line", "AIRTIME", "PURCHASE", NULL},
        {"no NEPA since yesterday", "POWER", NULL, NULL},
        {"MTN 500 08034445556", "AIRTIME", "PURCHASE", NULL},
        {"EKEDC 3k for 45123456789", "POWER", "PURCHASE", NULL},
        {"convert my airtime to data", "AIRTIME", "SUPPORT", "convert airtime to data"},
        {"MTN 500 airtime for 08035551212 and AEDC 3k token for 45123456789", "MULTI", NULL, NULL},
        {"Good morning", "UNKNOWN", NULL, NULL},
    };
    struct flow *f = desk_started();
    check_samples(f, samples, COUNT(samples));
    flow_end(f);
}
END_TEST

/* ---- routes --------------------------------------------------------------------------------------------------------
 */

static const char *const table[][3] = {
    {"AIRTIME", "PURCHASE", "airtime_sales transaction"}, {"AIRTIME", "TRANSACTION_ISSUE", "airtime_billing"},
    {"AIRTIME", "INQUIRY", "airtime_sales research"},     {"AIRTIME", "SUPPORT", "airtime_technical"},
    {"AIRTIME", "MANAGEMENT", "airtime_sales research"}, /* it has none: as INQUIRY */
    {"POWER", "PURCHASE", "power_sales transaction"},     {"POWER", "BILLING_ISSUE", "power_billing"},
    {"POWER", "TECHNICAL_ISSUE", "power_technical"},      {"POWER", "INQUIRY", "power_sales research"},
    {"DATA", "PURCHASE", "data_sales transaction"},       {"DATA", "BALANCE_ISSUE", "data_billing"},
    {"DATA", "TECHNICAL_ISSUE", "data_technical"},        {"DATA", "MANAGEMENT", "data_sales"},
    {"DATA", "INQUIRY", "data_sales research"},
};

static void check_route(struct flow *f, json_t *facts, const char *wanted)
{
    char route[512] = "";
    json_t *asked = json_incref(facts), *r = call(f, "service.orchestrator", "route_enquiry", facts), *id;
    size_t i;
    json_array_foreach(json_object_get(r, "route"), i, id)
    {
        ck_assert_int_eq(strncmp(json_string_value(id), "service.", 8), 0);
        size_t len = strlen(route);
        snprintf(route + len, sizeof route - len, "%s%s", i ? " " : "", json_string_value(id) + 8);
    }
    char *text = json_dumps(asked, JSON_COMPACT);
    ck_assert_msg(!strcmp(route, wanted), "%s: %s, not %s", text, route, wanted);
    free(text);
    json_decref(asked);
    json_decref(r);
}

static json_t *facts(const char *domain, const char *intent, const char *priority, const char *sentiment)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "service_domain", domain, "intent", intent, "priority", priority,
                     "sentiment", sentiment);
}

START_TEST(routes_of_every_pair)
{
    struct flow *f = desk_started();
    char wanted[256];
    for (size_t i = 0; i < COUNT(table); i++) {
        snprintf(wanted, sizeof wanted, "%s qa response_generator", table[i][2]);
        check_route(f, facts(table[i][0], table[i][1], i % 2 ? "MEDIUM" : "low", "NEUTRAL"), wanted);
        /* Urgent: research first, once. Unhappy: escalation before the review. */
        const char *last = strstr(table[i][2], " research");
        snprintf(wanted, sizeof wanted, "research %.*s escalation qa response_generator",
                 last ? (int)(last - table[i][2]) : (int)strlen(table[i][2]), table[i][2]);
        check_route(f, facts(table[i][0], table[i][1], i % 2 ? "HIGH" : "CRITICAL", "NEGATIVE"), wanted);
    }
    check_route(f, facts("AIRTIME", "PURCHASE", "HIGH", "POSITIVE"),
                "research airtime_sales transaction qa response_generator");
    check_route(f, facts("DATA", "PURCHASE", "LOW", "VERY_NEGATIVE"),
                "data_sales transaction escalation qa response_generator");
    static const char *const both[] = {"delayed credit", "failed transaction"};
    for (size_t i = 0; i < COUNT(both); i++) {
        json_t *delayed = facts("AIRTIME", "transaction_issue", "MEDIUM", "NEUTRAL");
        json_object_set_new(delayed, "sub_intent", json_string(both[i]));
        check_route(f, delayed, "airtime_billing airtime_technical qa response_generator");
    }
    check_route(f, facts("MULTI", "PURCHASE", "HIGH", "NEGATIVE"), "escalation research qa response_generator");
    check_route(f, facts("multi", "INQUIRY", "LOW", "NEUTRAL"), "escalation research qa response_generator");
    flow_end(f);
}
END_TEST

/* ---- a human -------------------------------------------------------------------------------------------------------
 */

/* Five agents work on it one after the other, and what the last one says does not pass the review. */
START_TEST(after_five_agents_a_human_has_it)
{
    struct flow *f = desk_home();
    flow_plugin(f, "worker");
    flow_start(f);
    json_t *a = desk_say(f, "08034445556", "WEB", "my gutter is blocked");
    const json_t *involved = json_object_get(a, "agents_involved");
    for (int i = 1; i <= 5; i++) {
        char name[24];
        snprintf(name, sizeof name, "Worker%dAgent", i);
        ck_assert_msg(listed(involved, name), "%s did not work on it", name);
    }
    ck_assert_str_eq(text_of(a, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(a, "reason"), "unresolved_after_agents");
    ck_assert_ptr_null(strstr(text_of(a, "response_text"), "nonsense"));
    json_t *rows = flow_sql(f, "select draft_response, reasons from handoffs");
    ck_assert_uint_eq(json_array_size(rows), 1);
    ck_assert_ptr_nonnull(strstr(text_of(json_array_get(rows, 0), "draft_response"), "gutter"));
    json_decref(rows);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* Nor does a refused answer about two lines of business reach the customer. */
START_TEST(refused_answer_of_two_parts_is_not_sent)
{
    struct flow *f = desk_home();
    json_object_set_new(json_object_get(f->config, "agents"), "service.qa",
                        json_pack("{s:{s:[s]}}", "settings", "forbidden_words", "share pin"));
    flow_start(f);
    json_t *a = desk_say(f, "08034445556", "WEB",
                         "How do I share airtime with my friend, and also my electricity meter rejected the token");
    ck_assert_str_eq(text_of(a, "service_domain"), "MULTI");
    ck_assert_str_eq(text_of(a, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(a, "reason"), "qa_rejected");
    ck_assert_ptr_null(strstr(text_of(a, "response_text"), "share PIN"));
    ck_assert_ptr_nonnull(strstr(text_of(a, "response_text"), text_of(a, "handoff_id")));
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from handoffs where draft_response like '%share PIN%'"), 1);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- the interface -------------------------------------------------------------------------------------------------
 */

START_TEST(description_is_version_two)
{
    struct flow *f = desk_started();
    struct flow_answer a, b;
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/openapi.json", NULL, NULL, &a), 200);
    const json_t *info = json_object_get(a.json, "info");
    ck_assert_str_eq(text_of(info, "title"), "Multi-Service Customer Service API");
    ck_assert_str_eq(text_of(info, "version"), "2.0.0");
    ck_assert_int_eq(FLOW_RUN(f, &b, "openapi"), 0);
    ck_assert(json_equal(json_object_get(b.json, "info"), info));
    flow_answer_free(&b);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* A path of the description with ids that nothing has. */
static void fill(const char *path, char ret_path[256])
{
    size_t at = 0;
    for (const char *s = path; *s && at + 8 < 256; s++) {
        if (*s == '{') {
            memcpy(ret_path + at, "none-1", 6);
            at += 6;
            s += strcspn(s, "}");
            continue;
        }
        ret_path[at++] = *s;
    }
    ret_path[at] = 0;
}

START_TEST(every_route_refuses_what_it_does_not_know)
{
    struct flow *f = desk_started();
    struct flow_answer d, a;
    const char *path, *method;
    json_t *methods, *operation;
    size_t n = 0;
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/openapi.json", NULL, NULL, &d), 200);
    json_object_foreach(json_object_get(d.json, "paths"), path, methods)
    {
        if (strncmp(path, "/api/v1/", 8) != 0 || strstr(path, "openapi"))
            continue; /* webhooks ask for a signature first */
        json_object_foreach(methods, method, operation)
        {
            char filled[256], upper[8] = "", url[320];
            bool body = !strcmp(method, "post") || !strcmp(method, "put") || !strcmp(method, "patch");
            fill(path, filled);
            for (size_t i = 0; method[i] && i < 7; i++)
                upper[i] = (char)(method[i] - 32);
            snprintf(url, sizeof url, "%s%s", filled, body ? "" : "?no_such_member=1");
            int status = flow_http(f, upper, url, body ? "{\"no_such_member\": 1}" : NULL, NULL, &a);
            ck_assert_msg(status == 400 && !strcmp(text_of(a.json, "field"), "no_such_member"), "%s %s: %d %s", upper,
                          path, status, a.text);
            flow_answer_free(&a);
            n++;
            if (!body)
                continue;
            status = flow_http(f, upper, filled, "[1, 2", NULL, NULL);
            ck_assert_msg(status == 400, "%s %s takes what is no JSON: %d", upper, path, status);
        }
    }
    flow_answer_free(&d);
    ck_assert_uint_ge(n, 30);
    flow_end(f);
}
END_TEST

START_TEST(enquiry_is_shown)
{
    static const char *const members[] = {
        "enquiry_id",      "status",         "resolution_status", "service_domain", "intent",
        "priority",        "sentiment",      "original_message",  "final_response", "created_at",
        "agents_involved", "transaction_id", "customer_rating",   "sla_deadline",   "channel"};
    struct flow *f = desk_started();
    struct flow_answer a;
    char path[96];
    json_t *said = desk_say(f, "08031234567", "WEB", "Buy 500 MTN airtime for 08031112229");
    snprintf(path, sizeof path, "/api/v1/enquiries/%s", text_of(said, "enquiry_id"));
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    for (size_t i = 0; i < COUNT(members); i++)
        ck_assert_msg(json_object_get(a.json, members[i]), "no %s: %s", members[i], a.text);
    ck_assert_str_eq(text_of(a.json, "status"), "RESOLVED");
    ck_assert_str_eq(text_of(a.json, "final_response"), text_of(said, "response_text"));
    ck_assert(json_equal(json_object_get(a.json, "agents_involved"), json_object_get(said, "agents_involved")));
    ck_assert_str_eq(text_of(a.json, "transaction_id"), text_of(said, "transaction_id"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/enquiries/ENQ-000000000000", NULL, NULL, &a), 404);
    ck_assert_str_eq(text_of(a.json, "code"), "NOT_FOUND");
    flow_answer_free(&a);
    EXPECT(f, 0, text_of(said, "enquiry_id"), "enquiry", "list");
    json_decref(said);
    flow_end(f);
}
END_TEST

/* ---- tables --------------------------------------------------------------------------------------------------------
 */

/* One customer for a number, however it is written; ratings and statuses stay within what is allowed; a purchase names
 * its enquiry and its customer. */
START_TEST(rows_keep_the_rules)
{
    struct flow *f = desk_started();
    static const char *const forms[] = {"08035550001", "+2348035550001", "0803 555 0001"};
    for (size_t i = 0; i < COUNT(forms); i++)
        json_decref(desk_say(f, forms[i], "WEB", "Good morning"));
    ck_assert_int_eq(flow_sql_int(f, "select count(distinct customer_id) from enquiries"), 1);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from customers where customer_tier = 'BRONZE' and "
                                     "preferred_language = 'en' and is_active = 1 and "
                                     "id in (select customer_id from enquiries)"),
                     1);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) - count(distinct phone_hash) from customers"), 0);
    static const char *const numbers[] = {"08031112229", "08031110002", "08031110003"};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char text[80];
        snprintf(text, sizeof text, "Buy %zu naira MTN airtime for %s", 500 + i, numbers[i]);
        json_decref(desk_say(f, "08022423871", "WEB", text));
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions where status in ('SUCCESS', 'REFUNDED', "
                                     "'PENDING', 'FAILED') and service_charge = 0"),
                     3);
    ck_assert_int_ge(flow_sql_int(f, "select count(distinct status) from transactions"), 2);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions t join enquiries e on e.enquiry_id = "
                                     "t.enquiry_id join customers c on c.id = e.customer_id where t.service_type = "
                                     "'AIRTIME' and t.total_amount = t.amount"),
                     3);
    /* The table refuses what the routes never let through. */
    json_t *rows = flow_sql(f, "select enquiry_id from enquiries limit 1");
    char data[96];
    for (int rating = 0; rating <= 6; rating += 6) {
        snprintf(data, sizeof data, "{\"enquiry_id\": \"%s\", \"rating\": %d}",
                 text_of(json_array_get(rows, 0), "enquiry_id"), rating);
        int status = 0;
        json_decref(flow_call(f, "service.desk", "rate_enquiry", data, &status));
        ck_assert_int_ne(status, 0);
    }
    json_decref(rows);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from enquiries where customer_rating is not null"), 0);
    flow_end(f);
}
END_TEST

/* ---- keys ---- */

#define MARKER "marker-7f3a91c2e5"

/* Whether a file of the home has the text anywhere; not where there is no such file. */
static bool holds(struct flow *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    ck_assert_uint_eq(fread(bytes, 1, size, file), size);
    fclose(file);
    bool found = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    return found;
}

/* Calls that are sent with a key, that the other side refuses for it, and that fail: the key stands in no log, no
 * answer, no table. */
START_TEST(keys_appear_nowhere)
{
    static const char *const keys[] = {"MTN_API_KEY",         "AIRTEL_API_KEY",    "IKEDC_API_KEY",
                                       "PAYSTACK_SECRET_KEY", "VTPASS_SECRET_KEY", "OTP_KEY"};
    static const char *const commands[][4] = {{"config", "show"},   {"config", "show", "secrets"},
                                              {"config", "check"},  {"plugin", "info", "network"},
                                              {"log", "tail"},      {"log", "tail", "--audit"},
                                              {"audit", "log"},     {"transaction", "list"},
                                              {"audit", "events"},  {"metrics"},
                                              {"plugin", "list"},   {"dlq", "list"},
                                              {"analytics", "kpi"}, {"openapi"}};
    static const char *const files[] = {"logs/cvmhost.log",   "logs/service.log", "logs/review.log",
                                        "logs/crash.log",     "data/cvmhost.db",  "data/cvmhost.db-wal",
                                        "config/cvmhost.json"};
    struct flow *f = desk_home();
    struct flow_answer a;
    for (size_t i = 0; i < COUNT(keys); i++)
        flow_env(f, keys[i], MARKER); /* the simulators want another, so they refuse */
    flow_env(f, "LOG_LEVEL", "DEBUG");
    flow_start(f);
    json_decref(desk_say(f, "08031234567", "SMS", "I want 500 naira MTN airtime for 08031234567"));
    json_decref(desk_say(f, "08021234567", "SMS", "Abeg load 2000 light for my meter 45012345678, ikeja electric"));
    ck_assert_int_ne(FLOW_RUN(f, &a, "buy", "airtime", "MTN", "08031234567", "100", "--trace"), 0);
    ck_assert_ptr_null(strstr(a.text, MARKER));
    ck_assert_ptr_null(strstr(a.errors, MARKER));
    flow_answer_free(&a);
    json_t *rows = flow_sql(f, "select transaction_id as id from transactions");
    ck_assert_uint_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        ck_assert_int_eq(FLOW_RUN(f, &a, "why", text_of(json_array_get(rows, i), "id")), 0);
        ck_assert_ptr_null(strstr(a.text, MARKER));
        flow_answer_free(&a);
    }
    json_decref(rows);
    for (size_t i = 0; i < COUNT(commands); i++) {
        const char *const *w = commands[i];
        ck_assert_int_eq(flow_run(f, &a, (const char *const[]){w[0], w[1], w[1] ? w[2] : NULL, NULL}), 0);
        ck_assert_msg(!strstr(a.text, MARKER) && !strstr(a.errors, MARKER), "%s %s shows a key", w[0], w[1]);
        flow_answer_free(&a);
    }
    for (size_t i = 0; i < COUNT(files); i++)
        ck_assert_msg(!holds(f, files[i], MARKER), "%s has a key", files[i]);
    ck_assert(holds(f, "logs/cvmhost.log", "provider.network.mtn") && holds(f, "data/cvmhost.db", "transactions"));
    flow_end(f);
}
END_TEST

/* ---- injection ---- */

static const char *const injections[] = {"'; DROP TABLE customers; --", "x' OR '1'='1",
                                         "\" OR 1=1; DELETE FROM turns --"};

/* The text as it stands in a path or a query. */
static void append_escaped(char *to, size_t size, const char *text)
{
    size_t at = strlen(to);
    for (; *text && at + 4 < size; text++)
        at += (size_t)snprintf(to + at, size - at, "%%%02X", (unsigned char)*text);
}

/* A schema of the description, its reference followed. */
static const json_t *schema_of(const json_t *all, const json_t *schema)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    const char *name = ref ? strrchr(ref, '/') + 1 : NULL;
    return name ? json_object_get(json_object_get(json_object_get(all, "components"), "schemas"), name) : schema;
}

/* A value of the schema whose texts are all `text`, as far as the schema lets them. Gives. */
static json_t *injected(const json_t *all, const json_t *schema, const char *text, int depth)
{
    schema = schema_of(all, schema);
    const char *type = text_of(schema, "type"), *name;
    const json_t *values = json_object_get(schema, "enum"), *member;
    if (values)
        return json_incref(json_array_get(values, 0));
    if (!strcmp(type, "object")) {
        json_t *object = json_object();
        json_object_foreach(json_object_get(schema, "properties"), name, member) if (depth < 4)
            json_object_set_new(object, name, injected(all, member, text, depth + 1));
        return object;
    }
    if (!strcmp(type, "array"))
        return json_pack("[o]", injected(all, json_object_get(schema, "items"), text, depth + 1));
    if (!strcmp(type, "integer") || !strcmp(type, "number")) {
        double least = number_of(schema, "minimum");
        return json_integer(least > 1 ? (json_int_t)least : 1);
    }
    return !strcmp(type, "boolean") ? json_true() : json_string(text);
}

/* Path and query with the text in every place that takes one. */
static void injected_url(const char *path, const json_t *operation, const char *text, char ret_url[2000])
{
    const json_t *parameter;
    size_t i;
    *ret_url = 0;
    for (const char *s = path; *s; s++) {
        size_t at = strlen(ret_url);
        if (*s == '{') {
            append_escaped(ret_url, 2000, text);
            s += strcspn(s, "}");
        } else {
            ret_url[at] = *s, ret_url[at + 1] = 0;
        }
    }
    char mark = '?';
    json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
    {
        const json_t *schema = json_object_get(parameter, "schema");
        if (strcmp(text_of(parameter, "in"), "query") != 0 || strcmp(text_of(schema, "type"), "string") != 0)
            continue;
        size_t at = strlen(ret_url);
        snprintf(ret_url + at, 2000 - at, "%c%s=", mark, text_of(parameter, "name"));
        append_escaped(ret_url, 2000, text);
        mark = '&';
    }
}

/* Every route, with SQL in all of its texts: it is refused or taken as the text that it is, and nothing is gone. */
START_TEST(sql_in_texts_is_text)
{
    static const char tables[] = "select count(*) from sqlite_master where type = 'table'";
    static const char people[] = "select count(*) from customers", turns[] = "select count(*) from turns";
    struct flow *f = desk_started();
    struct flow_answer d, a;
    const char *path, *method;
    json_t *methods, *operation;
    size_t n = 0;
    json_decref(desk_say(f, "08031234567", "WEB", "Buy 500 MTN airtime for 08031112229"));
    int64_t had_tables = flow_sql_int(f, tables), had_people = flow_sql_int(f, people),
            had_turns = flow_sql_int(f, turns);
    ck_assert_int_gt(had_people, 0);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/openapi.json", NULL, NULL, &d), 200);
    json_object_foreach(json_object_get(d.json, "paths"), path, methods)
    {
        const char *end = strrchr(path, '/');
        if (!strcmp(end, "/events") || !strncmp(path, "/health", 7) || !strncmp(path, "/webhooks", 9) ||
            strstr(path, "openapi"))
            continue; /* streams do not end, webhooks ask for a signature, the others take no text */
        json_object_foreach(methods, method, operation) for (size_t k = 0; k < COUNT(injections); k++)
        {
            char upper[8] = "", url[2000];
            for (size_t i = 0; method[i] && i < 7; i++)
                upper[i] = (char)(method[i] - 32);
            injected_url(path, operation, injections[k], url);
            const json_t *media = json_object_get(json_object_get(operation, "requestBody"), "content");
            const json_t *schema = json_object_get(json_object_get(media, "application/json"), "schema");
            json_t *body = schema ? injected(d.json, schema, injections[k], 0) : NULL;
            char *text = body ? json_dumps(body, 0) : NULL;
            int status = flow_http(f, upper, url, text, NULL, &a);
            ck_assert_msg(status >= 200 && status < 500, "%s %s: %d %.300s (%.300s)", upper, path, status, a.text,
                          text ? text : "");
            ck_assert_msg(!strstr(a.text, "SQL") && !strstr(a.text, "syntax error"), "%s %s: %.300s", upper, path,
                          a.text);
            flow_answer_free(&a);
            json_decref(body);
            free(text);
            n++;
        }
    }
    flow_answer_free(&d);
    ck_assert_uint_ge(n, 200);
    ck_assert_int_eq(flow_sql_int(f, tables), had_tables);
    ck_assert_int_ge(flow_sql_int(f, people), had_people);
    ck_assert_int_ge(flow_sql_int(f, turns), had_turns);
    EXPECT(f, 0, "", "db", "check");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("agents"), *routes = tcase_create("routes"), *edge = tcase_create("edge"),
          *keys = tcase_create("keys");
    tcase_set_timeout(c, 90);
    tcase_set_timeout(routes, 120);
    tcase_set_timeout(edge, 90);
    tcase_set_timeout(keys, 90);
    tcase_add_test(c, roster_is_the_capability_matrix);
    tcase_add_test(c, phone_numbers_are_accepted_and_refused);
    tcase_add_test(c, triage_takes_the_first_contact);
    tcase_add_test(c, classifier_gives_all_members);
    tcase_add_test(c, every_leaf_has_a_sample);
    tcase_add_test(c, words_are_whole_words);
    tcase_add_test(routes, routes_of_every_pair);
    tcase_add_test(routes, after_five_agents_a_human_has_it);
    tcase_add_test(routes, refused_answer_of_two_parts_is_not_sent);
    tcase_add_test(edge, description_is_version_two);
    tcase_add_test(edge, every_route_refuses_what_it_does_not_know);
    tcase_add_test(edge, enquiry_is_shown);
    tcase_add_test(edge, rows_keep_the_rules);
    tcase_add_test(keys, keys_appear_nowhere);
    tcase_add_test(keys, sql_in_texts_is_text);
    return flow_main("service_rows", (TCase *[]){c, routes, edge, keys, NULL});
}
