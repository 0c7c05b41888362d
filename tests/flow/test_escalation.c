/* When a human is called, who may follow whom, what an answer looks like by its channel: the rules of the desk, each in
 * a real host with all of the product's plugins. */
#include "flow_desk.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUYER "08031234567"

static void set(struct flow *f, const char *component, json_t *settings)
{
    json_t *agents = json_object_get(f->config, "agents"), *there = json_object_get(agents, component);
    if (json_is_object(json_object_get(there, "settings")))
        json_object_update_new(json_object_get(there, "settings"), settings);
    else
        json_object_set_new(agents, component, json_pack("{s:o}", "settings", settings));
}

/* The message is with a human for this rule, in this queue. */
static void with_human(struct flow *f, const char *phone, const char *message, const char *rule, const char *queue)
{
    json_t *a = desk_say(f, phone, "WEB", message);
    char sql[300];
    ck_assert_msg(!strcmp(text_of(a, "status"), "ESCALATED"), "\"%s\": %s (%s) %s", message, text_of(a, "status"),
                  text_of(a, "reason"), text_of(a, "response_text"));
    snprintf(sql, sizeof sql,
             "select count(*) from handoffs where handoff_id = '%s' and status = 'open' and queue = '%s' and reasons "
             "like '%%\"rule\":\"%s\"%%'",
             text_of(a, "handoff_id"), queue, rule);
    ck_assert_msg(flow_sql_int(f, sql) == 1, "\"%s\" is not in the queue %s by %s but %s", message, queue, rule,
                  text_of(a, "reason"));
    ck_assert_msg(strstr(text_of(a, "response_text"), text_of(a, "handoff_id")), "no reference: %s",
                  text_of(a, "response_text"));
    json_decref(a);
}

START_TEST(each_keyword_calls_a_human)
{
    static const char *const words[][3] = {
        {"I will send my lawyer about my airtime", "legal_keywords", "legal"},
        {"the police will hear of my airtime", "legal_keywords", "legal"},
        {"I will sue you over this airtime", "legal_keywords", "legal"},
        {"I am writing to CBN about my airtime", "legal_keywords", "legal"},
        {"never using again, keep your airtime", "churn_keywords", "retention"},
        {"close account, I am done with your airtime", "churn_keywords", "retention"},
        {"this airtime thing is a scam", "security_keywords", "security"},
        {"there is fraud on my airtime", "security_keywords", "security"},
        {"my phone was stolen with airtime on it", "security_keywords", "security"},
    };
    struct flow *f = desk_started();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        with_human(f, "08034445556", words[i][0], words[i][1], words[i][2]);
    json_t *rows =
        flow_sql(f, "select count(*) from enquiries where priority = 'CRITICAL' and reason = 'security_keywords'");
    ck_assert_int_eq(int_of(json_array_get(rows, 0), "count(*)"), 3);
    json_decref(rows);
    /* Whole words only: "issue", "scamper", "suede" hold none of them. */
    json_t *a = desk_say(f, "08034445556", "WEB", "what is the smallest airtime i can buy for a suede issue");
    ck_assert_str_ne(text_of(a, "status"), "ESCALATED");
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(anger_and_tier_call_a_human)
{
    struct flow *f = desk_started();
    with_human(f, "08034445556", "You thieves! idiots! 500 MTN airtime 08031112229 now or I burn your office",
               "sentiment_threshold", "general");
    with_human(f, "08091234567", "what is the smallest airtime i can buy", "customer_tier", "vip"); /* PLATINUM */
    flow_end(f);
}
END_TEST

/* A routine purchase of the highest tier is served; a human is told, and the KPI does not count it. */
START_TEST(the_highest_tier_is_served_too)
{
    struct flow *f = desk_started();
    json_t *a = desk_say(f, "08091234567", "WEB", "Buy 500 MTN airtime for 08031112229");
    ck_assert_str_eq(text_of(a, "status"), "RESOLVED");
    ck_assert(*text_of(a, "transaction_id"));
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from handoffs where queue = 'vip'"), 1);
    json_decref(a);
    struct flow_answer k;
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from agent_metrics") > 0);
    ck_assert_int_eq(FLOW_RUN(f, &k, "analytics", "kpi", "--output", "json"), 0);
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(k.json, "kpis"), i, one) if (!strcmp(text_of(one, "kpi"), "escalation_rate"))
        ck_assert(number_of(one, "value") == 0);
    flow_answer_free(&k);
    flow_end(f);
}
END_TEST

START_TEST(spend_makes_the_tier)
{
    struct flow *f = desk_home();
    set(f, "service.desk",
        json_pack("{s:{s:i, s:i, s:i}}", "tier_spend_naira", "SILVER", 500, "GOLD", 1000, "PLATINUM", 1000000));
    flow_start(f);
    static const char *const tiers[] = {"BRONZE", "SILVER", "GOLD"};
    for (size_t i = 0; i < 3; i++) {
        json_t *a = desk_say(f, BUYER, "WEB", "Buy 500 MTN airtime for 08031112229");
        char sql[200];
        snprintf(sql, sizeof sql, "select count(*) from customers where id = '%s' and customer_tier = '%s'",
                 text_of(a, "customer_id"), tiers[i]);
        ck_assert_msg(flow_sql_int(f, sql) == 1, "not %s", tiers[i]);
        if (i == 2)
            ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "tier", text_of(a, "customer_id"), "PLATINUM"), 0);
        json_decref(a);
        flow_sleep_ms(300); /* the topic's turn */
    }
    ck_assert_int_eq(
        flow_sql_int(
            f, "select count(*) from customers where customer_tier = 'PLATINUM' and phone_number = '+2348031234567'"),
        1);
    flow_end(f);
}
END_TEST

START_TEST(the_third_failure_calls_a_human)
{
    struct flow *f = desk_started();
    for (int i = 0; i < 3; i++) {
        json_t *a = desk_say(f, BUYER, "WEB", "Buy 500 MTN airtime for 08031110002");
        bool last = i == 2;
        ck_assert_msg(last == !strcmp(text_of(a, "status"), "ESCALATED"), "%d: %s %s", i, text_of(a, "status"),
                      text_of(a, "reason"));
        if (last)
            ck_assert_str_eq(text_of(a, "reason"), "transaction_failure_count");
        json_decref(a);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from handoffs where queue = 'transactions'"), 1);
    flow_end(f);
}
END_TEST

/* The network hangs, the time for an answer is over: 300 s, here less. */
START_TEST(a_stalled_conversation_calls_a_human)
{
    struct flow *f = desk_home();
    set(f, "service.desk", json_pack("{s:i}", "response_time_ms", 400));
    flow_start(f);
    json_t *a = desk_say(f, BUYER, "WEB", "Buy 500 MTN airtime for 08031110003");
    ck_assert_str_eq(text_of(a, "status"), "ESCALATED");
    ck_assert_str_eq(text_of(a, "reason"), "response_time_exceeded");
    ck_assert_ptr_nonnull(strstr(text_of(a, "response_text"), "do not repeat"));
    json_decref(a);
    flow_end(f);
}
END_TEST

/* A draft with a word that is not used with customers: back to its author once, then to a human. */
START_TEST(a_bad_draft_is_reworked_once)
{
    struct flow *f = desk_home();
    set(f, "service.qa", json_pack("{s:[s], s:f}", "forbidden_words", "airtime", "approve_mean", 0.95));
    flow_start(f);
    json_t *a = desk_say(f, BUYER, "WEB", "what is the smallest airtime i can buy"), *step;
    size_t i, authors = 0;
    ck_assert_str_eq(text_of(a, "reason"), "qa_rejected");
    struct flow_answer s;
    ck_assert_int_eq(FLOW_RUN(f, &s, "enquiry", "show", text_of(a, "enquiry_id"), "--steps", "--output", "json"), 0);
    json_array_foreach(json_object_get(s.json, "processing_steps"), i, step) authors +=
        !strcmp(text_of(step, "agent"), "AirtimeSalesAgent");
    ck_assert_uint_eq(authors, 2);
    flow_answer_free(&s);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* The same, where as many agents as the rule says have worked on it: no rework any more. */
START_TEST(after_many_agents_it_is_a_humans)
{
    struct flow *f = desk_home();
    set(f, "service.qa",
        json_pack("{s:[s], s:f, s:i}", "forbidden_words", "airtime", "approve_mean", 0.95, "unresolved_after_agents",
                  1));
    flow_start(f);
    with_human(f, BUYER, "what is the smallest airtime i can buy", "unresolved_after_agents", "general");
    flow_end(f);
}
END_TEST

/* ---- who may follow whom -------------------------------------------------------------------------------------------
 */

#define DOMAIN_AGENTS                                                                                                  \
    "AirtimeSalesAgent AirtimeBillingAgent AirtimeTechnicalAgent PowerSalesAgent PowerBillingAgent "                   \
    "PowerTechnicalAgent DataSalesAgent DataBillingAgent DataTechnicalAgent "
#define SALES "TransactionAgent ResearchAgent QAAgent EscalationAgent ResponseGeneratorAgent "
#define OTHERS "ResearchAgent QAAgent EscalationAgent TransactionAgent ResponseGeneratorAgent "

static const char *const roster[][2] = {
    {"TriageAgent", "ClassifierAgent ResponseGeneratorAgent "},
    {"ClassifierAgent", "OrchestratorAgent "},
    {"OrchestratorAgent", DOMAIN_AGENTS "ResearchAgent EscalationAgent ResponseGeneratorAgent "},
    {"AirtimeSalesAgent", SALES},
    {"PowerSalesAgent", SALES},
    {"DataSalesAgent", SALES},
    {"AirtimeBillingAgent", "AirtimeTechnicalAgent " OTHERS},
    {"AirtimeTechnicalAgent", "AirtimeBillingAgent " OTHERS},
    {"PowerBillingAgent", "PowerTechnicalAgent " OTHERS},
    {"PowerTechnicalAgent", "PowerBillingAgent " OTHERS},
    {"DataBillingAgent", "DataTechnicalAgent " OTHERS},
    {"DataTechnicalAgent", "DataBillingAgent " OTHERS},
    {"ResearchAgent", DOMAIN_AGENTS "QAAgent EscalationAgent ResponseGeneratorAgent "},
    {"TransactionAgent", "NotificationAgent ResponseGeneratorAgent QAAgent EscalationAgent "},
    {"QAAgent", DOMAIN_AGENTS "ResponseGeneratorAgent EscalationAgent "},
    {"ResponseGeneratorAgent", "FeedbackAgent NotificationAgent "},
    {"EscalationAgent", "*"},
    {"NotificationAgent", "ResponseGeneratorAgent FeedbackAgent AnalyticsAgent "},
    {"FeedbackAgent", "AnalyticsAgent "},
    {"AnalyticsAgent", ""},
};
#define AGENTS (sizeof roster / sizeof *roster)

/* Alias -> component, of the shipped manifests in the area "service". */
static json_t *shipped_agents(void)
{
    char pattern[4096];
    glob_t found;
    json_t *all = json_object(), *c;
    size_t k;
    snprintf(pattern, sizeof pattern, "%s/*.json", flow_source("manifests"));
    ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        json_t *m = json_load_file(found.gl_pathv[i], 0, NULL);
        json_array_foreach(json_object_get(m, "components"), k,
                           c) if (!strncmp(text_of(c, "id"), "service.", 8) && !strcmp(text_of(c, "kind"), "agent"))
            json_object_set(all, text_of(c, "alias"), c);
        json_decref(m);
    }
    globfree(&found);
    return all;
}

static bool may(const json_t *from, const json_t *to)
{
    const json_t *next = json_object_get(from, "next"), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)next, i, one)
    {
        const char *name = json_string_value(one);
        if (!strcmp(name, "*") || !strcmp(name, text_of(to, "id")) || !strcmp(name, text_of(to, "alias")) ||
            (!strncmp(name, "role:", 5) && listed(json_object_get(to, "roles"), name + 5)))
            return true;
    }
    return false;
}

START_TEST(transitions_are_those_of_the_table)
{
    json_t *all = shipped_agents();
    ck_assert_uint_eq(json_object_size(all), AGENTS);
    for (size_t i = 0; i < AGENTS; i++) {
        const json_t *from = json_object_get(all, roster[i][0]);
        ck_assert_msg(from, "there is no %s", roster[i][0]);
        for (size_t k = 0; k < AGENTS; k++) {
            char word[64];
            snprintf(word, sizeof word, "%s ", roster[k][0]);
            bool table = !strcmp(roster[i][1], "*") || strstr(roster[i][1], word);
            if (i != k)
                ck_assert_msg(may(from, json_object_get(all, roster[k][0])) == table, "%s to %s: the table says %s",
                              roster[i][0], roster[k][0], table ? "yes" : "no");
        }
    }
    json_decref(all);
    struct flow *f = desk_started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "service.orchestrator", "check_transition", "--data",
                              "{\"from\": \"TriageAgent\", \"to\": \"QAAgent\"}", "--output", "json"),
                     0);
    ck_assert(json_is_false(json_object_get(a.json, "allowed")));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

static const struct {
    const char *alias, *tools;
    double temperature;
} matrix[] = {
    {"TriageAgent", "validate_phone validate_email detect_language", 0.7},
    {"ClassifierAgent", "extract_entities sentiment_analysis intent_classification", 0.1},
    {"OrchestratorAgent", "route_enquiry check_transition get_context", 0},
    {"AirtimeSalesAgent", "check_network_balance process_recharge get_pricing", 0.3},
    {"AirtimeBillingAgent", "lookup_transaction transaction_history request_refund", 0.3},
    {"AirtimeTechnicalAgent", "check_recharge_status requery_vend network_status", 0.3},
    {"PowerSalesAgent", "validate_meter_number purchase_token check_tariff", 0.3},
    {"PowerBillingAgent", "check_bill explain_bill open_dispute check_tariff", 0.3},
    {"PowerTechnicalAgent", "token_help report_meter_fault report_outage", 0.3},
    {"DataSalesAgent", "recommend_plan activate_bundle check_balance", 0.4},
    {"DataBillingAgent", "check_data_balance usage_breakdown rollover_status", 0.3},
    {"DataTechnicalAgent", "apn_settings speed_diagnosis network_status", 0.3},
    {"ResearchAgent", "vector_search document_retrieval synthesize_answer", 0.2},
    {"QAAgent", "review_response check_policy", 0.1},
    {"ResponseGeneratorAgent", "compose_response apply_tone", 0.7},
    {"EscalationAgent", "create_handoff notify_human split_enquiry", 0.2},
    {"FeedbackAgent", "request_rating record_rating sentiment_analysis", 0.6},
    {"TransactionAgent", "initiate_payment verify_transaction generate_receipt", 0},
    {"NotificationAgent", "send_sms send_email send_whatsapp", 0},
    {"AnalyticsAgent", "record_interaction compute_kpi detect_pattern", 0},
};

static bool answers(const json_t *component, const char *tool)
{
    const json_t *operations = json_object_get(component, "operations"), *op;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)operations, i, op) if (!strcmp(text_of(op, "type"), tool)) return true;
    return false;
}

/* Twenty agents, each with its tools, which it answers by their names, its temperature and `handle`. */
START_TEST(all_twenty_agents_are_there)
{
    struct flow *f = desk_started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "list", "--area", "service", "--output", "json"), 0);
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
        ck_assert_msg(strstr(a.text, matrix[i].alias), "agent list lacks %s", matrix[i].alias);
    flow_answer_free(&a);
    flow_end(f);
    json_t *all = shipped_agents();
    ck_assert_uint_eq(sizeof matrix / sizeof *matrix, json_object_size(all));
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        const json_t *c = json_object_get(all, matrix[i].alias);
        const json_t *settings = json_object_get(c, "settings"), *tools = json_object_get(c, "tools");
        char text[200], *tool, *rest = text;
        double temperature = number_of(settings, "llm_temperature");
        ck_assert_msg(json_object_get(settings, "llm_temperature") && temperature > matrix[i].temperature - 1e-9 &&
                          temperature < matrix[i].temperature + 1e-9,
                      "%s has temperature %g", matrix[i].alias, temperature);
        ck_assert_msg(answers(c, "handle"), "%s takes no conversation", matrix[i].alias);
        snprintf(text, sizeof text, "%s", matrix[i].tools);
        while ((tool = strsep(&rest, " "))) {
            ck_assert_msg(listed(tools, tool), "%s lacks the tool %s", matrix[i].alias, tool);
            ck_assert_msg(answers(c, tool), "%s does not answer %s", matrix[i].alias, tool);
        }
    }
    json_decref(all);
}
END_TEST

/* ---- the answer by channel -----------------------------------------------------------------------------------------
 */

START_TEST(answers_fit_their_channel)
{
    struct flow *f = desk_started();
    static const struct {
        const char *channel;
        size_t most;
    } lengths[] = {{"SMS", 480}, {"USSD", 182}, {"WHATSAPP", 4096}, {"VOICE", 600}};
    const char *question = "what is the smallest airtime i can buy, and how much discount is there";
    json_t *sms = desk_say(f, BUYER, "SMS", question), *mail = desk_say(f, BUYER, "EMAIL", question);
    ck_assert_str_ne(text_of(sms, "response_text"), text_of(mail, "response_text"));
    ck_assert_ptr_nonnull(strstr(text_of(mail, "response_text"), "Dear "));
    ck_assert_ptr_null(strstr(text_of(sms, "response_text"), "Dear "));
    json_decref(sms);
    json_decref(mail);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char data[6000], words[4800] = "";
        for (size_t at = 0; at + 18 < sizeof words; at += 17)
            memcpy(words + at, "word 08031234567 ", 18);
        words[4700] = 0;
        snprintf(data, sizeof data, "{\"channel\": \"%s\", \"text\": \"%s\"}", lengths[i].channel, words);
        json_t *c = flow_call(f, "service.response_generator", "compose_response", data, NULL);
        ck_assert_msg(strlen(text_of(c, "response_text")) <= lengths[i].most, "%s: %zu", lengths[i].channel,
                      strlen(text_of(c, "response_text")));
        ck_assert_msg(strlen(text_of(c, "response_text")) > 50, "%s", lengths[i].channel);
        json_decref(c);
    }
    json_t *spoken = flow_call(f, "service.response_generator", "compose_response",
                               "{\"channel\": \"VOICE\", \"text\": \"Sent to 08031234567.\"}", NULL);
    ck_assert_ptr_nonnull(strstr(text_of(spoken, "response_text"), "0 8 0, 3 1 2"));
    json_decref(spoken);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *human = tcase_create("human"), *table = tcase_create("table");
    tcase_set_timeout(human, 60);
    tcase_set_timeout(table, 60);
    tcase_add_test(human, each_keyword_calls_a_human);
    tcase_add_test(human, anger_and_tier_call_a_human);
    tcase_add_test(human, the_highest_tier_is_served_too);
    tcase_add_test(human, spend_makes_the_tier);
    tcase_add_test(human, the_third_failure_calls_a_human);
    tcase_add_test(human, a_stalled_conversation_calls_a_human);
    tcase_add_test(human, a_bad_draft_is_reworked_once);
    tcase_add_test(human, after_many_agents_it_is_a_humans);
    tcase_add_test(table, transitions_are_those_of_the_table);
    tcase_add_test(table, all_twenty_agents_are_there);
    tcase_add_test(table, answers_fit_their_channel);
    return flow_main("escalation", (TCase *[]){human, table, NULL});
}
