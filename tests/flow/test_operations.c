/* What happens after a customer has been answered, in a real host with all of the product's plugins: messages, ratings,
 * figures, and what people see of them. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUYER "08031234567"

static json_t *buy(struct flow *f, const char *channel)
{
    json_t *a = desk_say(f, BUYER, channel, "Buy 500 MTN airtime for 08031112229");
    ck_assert_str_eq(text_of(a, "reason"), "sold");
    return a;
}

static int64_t count(struct flow *f, const char *format, const char *id)
{
    char sql[400];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof sql, format, id);
#pragma GCC diagnostic pop
    return flow_sql_int(f, sql);
}

static double metric(struct flow *f, const char *line)
{
    struct flow_answer a;
    char begin[128];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(begin, sizeof begin, "\n%s ", line);
    const char *at = strstr(a.text, begin);
    double value = at ? strtod(at + strlen(begin), NULL) : -1;
    flow_answer_free(&a);
    return value;
}

static json_t *row(struct flow *f, const char *sql)
{
    json_t *rows = flow_sql(f, sql), *first = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    return first;
}

/* ---- afterwards ----------------------------------------------------------------------------------------------------
 */

START_TEST(a_purchase_is_confirmed)
{
    struct flow *f = desk_started();
    json_t *a = buy(f, "SMS");
    const char *id = text_of(a, "enquiry_id");
    FLOW_UNTIL(count(f, "select count(*) from outbox where enquiry_id = '%s' and template = 'purchase_receipt'", id) ==
               1);
    json_t *r = row(f, "select * from outbox where template = 'purchase_receipt'");
    ck_assert_str_eq(text_of(r, "status"), "written"); /* there is no gateway */
    ck_assert_str_eq(text_of(r, "channel"), "SMS");
    ck_assert_str_eq(text_of(r, "recipient"), "+2348031234567");
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), "500.00 of MTN airtime"));
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), text_of(a, "transaction_id")));
    struct flow_answer shown;
    ck_assert_int_eq(FLOW_RUN(f, &shown, "outbox", "list", "--enquiry-id", id, "--template", "purchase_receipt"), 0);
    ck_assert_ptr_nonnull(strstr(shown.text, "purchase_receipt"));
    ck_assert_ptr_nonnull(strstr(shown.text, "+2348031234567"));
    flow_answer_free(&shown);
    json_decref(r);
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(two_purchases_are_two_receipts)
{
    struct flow *f = desk_started();
    json_t *a = desk_say(f, BUYER, "SMS",
                         "Buy 500 MTN airtime for 08031112229 and 2000 naira light for meter 45012345678 ekedc");
    const char *id = text_of(a, "enquiry_id");
    ck_assert_uint_eq(json_array_size(json_object_get(a, "next_steps")), 3); /* both references, and the rating */
    FLOW_UNTIL(count(f, "select count(*) from outbox where enquiry_id = '%s' and template = 'purchase_receipt'", id) ==
               2);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from outbox o join transactions t using (transaction_id) where "
                                     "o.template = 'purchase_receipt' and instr(o.text, t.transaction_id) and "
                                     "instr(o.text, case t.service_type when 'POWER' then '2,000.00 of electricity' "
                                     "else '500.00 of MTN airtime' end)"),
                     2);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* The answer is there before what follows it, and what follows is durable turns in the enquiry's conversation. */
START_TEST(the_answer_waits_for_none_of_it)
{
    struct flow *f = desk_started();
    json_t *a = buy(f, "WEB");
    const char *id = text_of(a, "enquiry_id");
    static const char *const agents[] = {"service.notification", "service.feedback", "service.analytics"};
    char sql[400];
    for (size_t i = 0; i < 3; i++) {
        snprintf(sql, sizeof sql,
                 "select count(*) from audit_log where subject = '%s' and agent = '%s' and action = 'enquiry_closed'",
                 id, agents[i]);
        FLOW_UNTIL(flow_sql_int(f, sql) == 1);
        snprintf(sql, sizeof sql,
                 "select (select min(seq) from audit_log where subject = '%s' and agent = '%s' and action = "
                 "'enquiry_closed') > (select max(seq) from audit_log where subject = '%s' and agent = 'service.desk' "
                 "and action = 'converse.reply')",
                 id, agents[i], id);
        ck_assert_int_eq(flow_sql_int(f, sql), 1);
    }
    static const char *const members[] = {"enquiry_id",      "status",    "response_text", "processing_time_seconds",
                                          "agents_involved", "next_steps"};
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(json_object_get(a, members[i]), "the answer lacks %s", members[i]);
    ck_assert(listed(json_object_get(a, "next_steps"), "Rate this answer 1 to 5"));
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(each_step_of_an_agent_is_a_row)
{
    struct flow *f = desk_started();
    json_t *a = buy(f, "SMS"), *agent;
    const char *id = text_of(a, "enquiry_id");
    size_t i;
    FLOW_UNTIL(count(f, "select count(*) from agent_metrics where enquiry_id = '%s'", id) >= 7);
    json_array_foreach(json_object_get(a, "agents_involved"), i, agent)
    {
        char sql[300];
        snprintf(sql, sizeof sql,
                 "select count(*) from agent_metrics where enquiry_id = '%s' and agent_name = '%s' and success = 1 and "
                 "processing_time_ms >= 0 and confidence_score > 0 and length(input_message) > 0 and "
                 "length(output_message) > 0 and timestamp > '2026'",
                 id, json_string_value(agent));
        ck_assert_msg(flow_sql_int(f, sql) >= 1, "no row of %s", json_string_value(agent));
    }
    struct flow_answer s;
    ck_assert_int_eq(FLOW_RUN(f, &s, "enquiry", "show", id, "--steps", "--output", "json"), 0);
    const json_t *steps = json_object_get(s.json, "processing_steps"), *step, *qa = NULL;
    static const char *const members[] = {"agent", "step", "started_at", "duration_ms", "result", "note"};
    json_array_foreach((json_t *)(uintptr_t)steps, i, step)
    {
        for (size_t k = 0; k < 6; k++)
            ck_assert_msg(json_object_get(step, members[k]), "a step lacks %s", members[k]);
        qa = strcmp(text_of(step, "agent"), "QAAgent") ? qa : step;
    }
    const json_t *scores = json_object_get(qa, "scores");
    ck_assert(number_of(scores, "accuracy") >= 0.5 && number_of(scores, "completeness") >= 0.5 &&
              number_of(scores, "professionalism") >= 0.5);
    flow_answer_free(&s);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- gateways ------------------------------------------------------------------------------------------------------
 */

static json_t *through(struct flow *f, const char *phone, const char *email, const char *status)
{
    char data[300], sql[200];
    snprintf(data, sizeof data, "{\"phone\": \"%s\", \"email\": \"%s\", \"text\": \"Hello\", \"template\": \"%s\"}",
             phone, email, phone);
    json_decref(flow_call(f, "service.notification", "notify", data, NULL));
    snprintf(sql, sizeof sql, "select * from outbox where template = '%s'", phone);
    char until[300];
    snprintf(until, sizeof until, "select count(*) from outbox where template = '%s' and status = '%s'", phone, status);
    FLOW_UNTIL(flow_sql_int(f, until) == 1);
    return row(f, sql);
}

START_TEST(a_second_channel_takes_over)
{
    struct flow *f = desk_home();
    flow_plugin(f, "gateway");
    json_object_set_new(json_object_get(f->config, "agents"), "service.notification",
                        json_pack("{s:{s:i}}", "settings", "back_off_ms", 20));
    flow_start(f);
    json_t *r = through(f, "08035550009", "a@example.com", "sent");
    ck_assert_str_eq(text_of(r, "channel"), "SMS");
    ck_assert_str_eq(text_of(r, "reference"), "GW-1");
    ck_assert_int_eq(int_of(r, "attempts"), 1);
    json_decref(r);
    r = through(f, "08035550003", "a@example.com", "sent"); /* works at the third try */
    ck_assert_str_eq(text_of(r, "channel"), "SMS");
    ck_assert_int_eq(int_of(r, "attempts"), 3);
    json_decref(r);
    r = through(f, "08035550001", "a@example.com", "sent"); /* refused: not tried again */
    ck_assert_str_eq(text_of(r, "channel"), "EMAIL");
    ck_assert_str_eq(text_of(r, "recipient"), "a@example.com");
    ck_assert_int_eq(int_of(r, "attempts"), 2);
    json_decref(r);
    r = through(f, "08035550002", "b@example.com", "sent"); /* three times, then the other way */
    ck_assert_str_eq(text_of(r, "channel"), "EMAIL");
    ck_assert_int_eq(int_of(r, "attempts"), 4);
    json_decref(r);
    r = through(f, "08035560002", "", "failed"); /* there is no other way */
    ck_assert_int_eq(int_of(r, "attempts"), 3);
    json_decref(r);
    flow_end(f);
}
END_TEST

/* ---- ratings -------------------------------------------------------------------------------------------------------
 */

START_TEST(an_enquiry_is_rated_once_by_its_customer)
{
    struct flow *f = desk_started();
    json_t *a = buy(f, "SMS");
    const char *id = text_of(a, "enquiry_id");
    char path[128];
    struct flow_answer r;
    snprintf(path, sizeof path, "/api/v1/enquiries/%s/rating", id);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "enquiry", "rate", id, "6"), 2);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "enquiry", "rate", id, "0"), 2);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"rating\": 9}", NULL, NULL), 400);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"rating\": 4, \"customer_phone\": \"08039998887\"}", NULL, &r), 404);
    ck_assert_str_eq(text_of(r.json, "code"), "NOT_FOUND");
    flow_answer_free(&r);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "enquiry", "rate", "ENQ-000000000000", "5"), 4);
    ck_assert_int_eq(FLOW_RUN(f, &r, "enquiry", "rate", id, "5", "very good, thank you", "--customer-phone", BUYER,
                              "--output", "json"),
                     0);
    ck_assert_str_eq(text_of(r.json, "sentiment"), "POSITIVE");
    flow_answer_free(&r);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"rating\": 1}", NULL, &r), 422);
    ck_assert_str_eq(text_of(r.json, "code"), "RATED");
    flow_answer_free(&r);
    json_t *e = row(f, "select * from enquiries");
    ck_assert_int_eq(int_of(e, "customer_rating"), 5);
    ck_assert_str_eq(text_of(e, "feedback_text"), "very good, thank you");
    ck_assert_str_eq(text_of(e, "resolution_status"), "RESOLVED");
    /* the row was written when it was opened, answered and rated, and lies where it lay */
    ck_assert_int_eq(flow_sql_int(f, "select max(rowid) from enquiries"),
                     flow_sql_int(f, "select count(*) from enquiries"));
    ck_assert_ptr_nonnull(strstr(text_of(e, "final_response"), "500"));
    json_decref(e);
    json_decref(a);
    FLOW_UNTIL(metric(f, "cvmhost_ratings_total{rating=\"5\"}") == 1);
    FLOW_UNTIL(metric(f, "cvmhost_csat_ratio") == 1);
    flow_end(f);
}
END_TEST

START_TEST(a_number_answers_the_question)
{
    struct flow *f = desk_started();
    json_t *a = desk_say(f, BUYER, "SMS", "4"); /* nobody asked */
    ck_assert_str_ne(text_of(a, "reason"), "rated");
    ck_assert(*text_of(a, "response_text"));
    json_decref(a);
    a = buy(f, "SMS");
    FLOW_UNTIL(count(f, "select count(*) from outbox where template = 'rating_request' and enquiry_id = '%s'",
                     text_of(a, "enquiry_id")) == 1);
    json_t *thanks = desk_say(f, BUYER, "SMS", "4, was quick");
    ck_assert_str_eq(text_of(thanks, "reason"), "rated");
    ck_assert_str_eq(text_of(thanks, "enquiry_id"), text_of(a, "enquiry_id"));
    ck_assert_int_eq(
        count(f, "select customer_rating from enquiries where enquiry_id = '%s'", text_of(a, "enquiry_id")), 4);
    json_decref(thanks);
    thanks = desk_say(f, BUYER, "SMS", "1"); /* once */
    ck_assert_ptr_nonnull(strstr(text_of(thanks, "response_text"), "already"));
    ck_assert_int_eq(
        count(f, "select customer_rating from enquiries where enquiry_id = '%s'", text_of(a, "enquiry_id")), 4);
    json_decref(thanks);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- figures -------------------------------------------------------------------------------------------------------
 */

static const json_t *kpi(const json_t *list, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, one) if (!strcmp(text_of(one, "kpi"), name)) return one;
    ck_abort_msg("there is no KPI %s", name);
    return NULL;
}

START_TEST(the_dashboard_has_the_figures)
{
    struct flow *f = desk_started();
    struct flow_answer d;
    json_t *a = buy(f, "SMS");
    FLOW_RUN(f, NULL, "enquiry", "rate", text_of(a, "enquiry_id"), "2", "slow");
    json_decref(a);
    a = desk_say(f, "08034445556", "WEB", "Send 500 mtn airtime to 08031112229 or hear from my lawyer");
    ck_assert_str_eq(text_of(a, "status"), "ESCALATED");
    json_decref(a);
    json_decref(buy(f, "SMS")); /* the same intent again: the first contact did not settle it */
    FLOW_UNTIL(metric(f, "cvmhost_enquiry_seconds_count") == 3);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/analytics/dashboard", NULL, NULL, &d), 200);
    const json_t *list = json_object_get(d.json, "kpis");
    ck_assert_int_eq(int_of(d.json, "enquiries_last_hour"), 3);
    ck_assert_int_eq(int_of(d.json, "handoffs_open"), 1);
    ck_assert(number_of(kpi(list, "customer_satisfaction"), "value") == 0);
    ck_assert(json_is_false(json_object_get(kpi(list, "customer_satisfaction"), "met")));
    double rate = number_of(kpi(list, "escalation_rate"), "value"),
           fcr = number_of(kpi(list, "first_contact_resolution"), "value");
    ck_assert_msg(rate > 0.33 && rate < 0.34, "escalation rate %g", rate);
    ck_assert_msg(fcr > 0.33 && fcr < 0.34, "first contact %g", fcr); /* of three, one is left */
    double agents = number_of(kpi(list, "agents_per_enquiry"), "value");
    ck_assert_msg(agents >= 1 && agents < 4, "agents %g", agents);
    ck_assert(number_of(kpi(list, "mean_response_time"), "value") < 3);
    ck_assert(json_is_true(json_object_get(kpi(list, "p99_response_time"), "met")));
    ck_assert(json_is_null(json_object_get(kpi(list, "classification_accuracy"), "value"))); /* not measured */
    flow_answer_free(&d);
    ck_assert_int_eq(FLOW_RUN(f, &d, "analytics", "dashboard"), 0);
    ck_assert_ptr_nonnull(strstr(d.text, "first_contact_resolution"));
    flow_answer_free(&d);
    FLOW_UNTIL(metric(f, "cvmhost_kpi{kpi=\"escalation_rate\"}") > 0.33);
    ck_assert(metric(f, "cvmhost_escalations_total{reason=\"legal_keywords\"}") == 1);
    ck_assert(metric(f, "cvmhost_enquiries_total{status=\"RESOLVED\"}") == 2);
    ck_assert(metric(f, "cvmhost_handoffs_open") == 1);
    ck_assert(metric(f, "cvmhost_qa_approval_ratio") > 0);
    ck_assert(metric(f, "cvmhost_fcr_ratio") > 0.33);
    ck_assert(metric(f, "cvmhost_agents_per_enquiry") > 0);
    ck_assert(metric(f, "cvmhost_enquiry_cost_ngn") > 0);
    ck_assert(metric(f, "cvmhost_llm_cost_ngn") == 0);
    ck_assert(metric(f, "cvmhost_llm_cost_usd") == 0);
    flow_end(f);
}
END_TEST

START_TEST(accuracy_is_measured_with_labels)
{
    struct flow *f = desk_started();
    struct flow_answer k;
    char path[200];
    flow_write(f, "labels.jsonl",
               "{\"message\": \"Buy 500 MTN airtime for 08031112229\", \"expect\": {\"service_domain\": \"AIRTIME\", "
               "\"intent\": \"PURCHASE\"}}\n"
               "{\"text\": \"no light since yesterday in our street\", \"domain\": \"POWER\"}\n\n"
               "{\"message\": \"Buy 500 MTN airtime for 08031112229\", \"expect\": {\"service_domain\": \"POWER\", "
               "\"intent\": \"PURCHASE\"}}\n"
               "{\"message\": \"Buy 500 MTN airtime for 08031112229\", \"expect\": {\"service_domain\": \"AIRTIME\", "
               "\"intent\": \"INQUIRY\"}}\n");
    snprintf(path, sizeof path, "%s/labels.jsonl", f->home);
    ck_assert_int_eq(FLOW_RUN(f, &k, "analytics", "kpi", "--eval", path, "--output", "json"), 0);
    ck_assert_msg(number_of(kpi(json_object_get(k.json, "kpis"), "classification_accuracy"), "value") == 0.5, "%s",
                  k.text);
    ck_assert_int_eq(int_of(kpi(json_object_get(k.json, "kpis"), "classification_accuracy"), "of"), 4);
    ck_assert(number_of(kpi(json_object_get(k.json, "kpis"), "domain_accuracy"), "value") == 0.75);
    ck_assert_str_eq(text_of(kpi(json_object_get(k.json, "kpis"), "domain_accuracy"), "period"),
                     "measured, without the model");
    flow_answer_free(&k);
    ck_assert(metric(f, "cvmhost_classification_accuracy_ratio") == 0.5);
    flow_write(f, "labels.jsonl", "{}\nno line\n");
    ck_assert_int_eq(FLOW_RUN(f, &k, "analytics", "kpi", "--eval", path), 2);
    ck_assert_msg(strstr(k.errors, "labels.jsonl:2"), "%s", k.errors);
    flow_answer_free(&k);
    flow_end(f);
}
END_TEST

START_TEST(a_rise_is_a_pattern)
{
    struct flow *f = desk_home();
    json_object_set_new(json_object_get(f->config, "agents"), "service.analytics",
                        json_pack("{s:{s:i, s:i}}", "settings", "window_s", 2, "pattern_least", 4));
    flow_start(f);
    json_decref(buy(f, "SMS")); /* the usual: one in a window */
    flow_sleep_ms(2100);
    json_decref(desk_say(f, "08034445556", "SMS", "Good morning"));
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from kpi_windows") >= 1);
    for (int tries = 0; tries < 5 && !flow_sql_int(f, "select count(*) from patterns"); tries++)
        for (int i = 0; i < 5; i++)
            json_decref(desk_say(f, "08034445556", "SMS", "what is the smallest airtime i can buy"));
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from patterns where kind = 'intent' and subject = 'AIRTIME/INQUIRY'") >=
               1);
    ck_assert(metric(f, "cvmhost_patterns_total{kind=\"intent\"}") >= 1);
    flow_end(f);
}
END_TEST

/* ---- a colleague's answer ------------------------------------------------------------------------------------------
 */

START_TEST(a_colleagues_answer_reaches_the_customer)
{
    static const char *const members[] = {"handoff_id", "enquiry_id",     "reasons", "queue",     "summary",
                                          "context",    "draft_response", "status",  "created_at"};
    struct flow *f = desk_started();
    struct flow_answer h;
    json_t *a = desk_say(f, "08034445556", "WHATSAPP", "Send 500 mtn airtime to 08031112229 or hear from my lawyer");
    const char *id = text_of(a, "handoff_id");
    ck_assert_int_eq(FLOW_RUN(f, &h, "handoff", "show", id, "--output", "json"), 0);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ck_assert_msg(json_object_get(h.json, members[i]), "the handoff lacks %s", members[i]);
    ck_assert_str_eq(text_of(h.json, "queue"), "legal");
    ck_assert_str_eq(text_of(json_object_get(h.json, "context"), "message"),
                     "Send 500 mtn airtime to 08031112229 or hear from my lawyer");
    flow_answer_free(&h);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "handoff", "claim", id, "--by", "ada"), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "handoff", "resolve", id, "--note", "We called you and sent it."), 0);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from outbox where template = 'case_answered'") == 1);
    json_t *r = row(f, "select * from outbox where template = 'case_answered'");
    ck_assert_str_eq(text_of(r, "channel"), "WHATSAPP");
    ck_assert_str_eq(text_of(r, "recipient"), "+2348034445556");
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), "We called you and sent it."));
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), id));
    json_decref(r);
    FLOW_UNTIL(count(f, "select count(*) from enquiries where enquiry_id = '%s' and resolution_status = 'RESOLVED'",
                     text_of(a, "enquiry_id")) == 1);
    FLOW_UNTIL(metric(f, "cvmhost_handoffs_open") == 0);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- tables --------------------------------------------------------------------------------------------------------
 */

START_TEST(the_schema_is_what_manifests_declare)
{
    static const char *const indexes[][2] = {
        {"idx_customers_phone", "phone_hash"},         {"idx_enquiries_customer", "customer_id"},
        {"idx_enquiries_status", "resolution_status"}, {"idx_enquiries_created", "created_at DESC"},
        {"idx_agent_metrics_name", "agent_name"},      {"idx_agent_metrics_timestamp", "timestamp DESC"},
        {"idx_transactions_customer", "customer_id"},  {"idx_transactions_status", "status"}};
    static const char *const columns[] = {"customers.id",
                                          "customers.phone_number",
                                          "customers.email",
                                          "customers.full_name",
                                          "customers.customer_tier",
                                          "customers.preferred_language",
                                          "customers.created_at",
                                          "customers.updated_at",
                                          "customers.is_active",
                                          "enquiries.id",
                                          "enquiries.enquiry_id",
                                          "enquiries.customer_id",
                                          "enquiries.service_domain",
                                          "enquiries.intent",
                                          "enquiries.priority",
                                          "enquiries.sentiment",
                                          "enquiries.original_message",
                                          "enquiries.final_response",
                                          "enquiries.agents_involved",
                                          "enquiries.processing_duration_seconds",
                                          "enquiries.resolution_status",
                                          "enquiries.created_at",
                                          "enquiries.resolved_at",
                                          "enquiries.sla_deadline",
                                          "enquiries.customer_rating",
                                          "enquiries.feedback_text",
                                          "transactions.id",
                                          "transactions.transaction_id",
                                          "transactions.enquiry_id",
                                          "transactions.customer_id",
                                          "transactions.service_type",
                                          "transactions.network_or_disco",
                                          "transactions.amount",
                                          "transactions.service_charge",
                                          "transactions.total_amount",
                                          "transactions.status",
                                          "transactions.external_reference",
                                          "transactions.initiated_at",
                                          "transactions.completed_at",
                                          "transactions.metadata",
                                          "agent_metrics.id",
                                          "agent_metrics.agent_name",
                                          "agent_metrics.enquiry_id",
                                          "agent_metrics.processing_time_ms",
                                          "agent_metrics.success",
                                          "agent_metrics.confidence_score",
                                          "agent_metrics.input_message",
                                          "agent_metrics.output_message",
                                          "agent_metrics.timestamp"};
    static const char *const defaults[][2] = {
        {"customer_tier", "'BRONZE'"}, {"preferred_language", "'en'"}, {"is_active", "1"}};
    struct flow *f = desk_started();
    struct flow_answer s;
    json_t *line;
    size_t i;
    ck_assert_int_eq(FLOW_RUN(f, &s, "db", "check", "--schema", "--output", "json"), 0);
    for (size_t k = 0; k < 8; k++) {
        bool found = false;
        json_array_foreach(s.json, i, line) found |= !strcmp(text_of(line, "name"), indexes[k][0]) &&
                                                     !strcmp(text_of(line, "type"), indexes[k][1]) &&
                                                     !strcmp(text_of(line, "state"), "ok");
        ck_assert_msg(found, "no index %s", indexes[k][0]);
    }
    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
        char name[128];
        bool found = false;
        json_array_foreach(s.json, i, line)
        {
            snprintf(name, sizeof name, "%s.%s", text_of(line, "table"), text_of(line, "name"));
            found |= !strcmp(name, columns[k]);
        }
        ck_assert_msg(found, "no column %s", columns[k]);
    }
    for (size_t k = 0; k < 3; k++)
        json_array_foreach(s.json, i, line) if (!strcmp(text_of(line, "table"), "customers") &&
                                                !strcmp(text_of(line, "name"), defaults[k][0]))
            ck_assert_str_eq(text_of(line, "default"), defaults[k][1]);
    flow_answer_free(&s);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *after = tcase_create("after"), *figures = tcase_create("figures");
    tcase_set_timeout(after, 60);
    tcase_set_timeout(figures, 60);
    tcase_add_test(after, a_purchase_is_confirmed);
    tcase_add_test(after, two_purchases_are_two_receipts);
    tcase_add_test(after, the_answer_waits_for_none_of_it);
    tcase_add_test(after, each_step_of_an_agent_is_a_row);
    tcase_add_test(after, a_second_channel_takes_over);
    tcase_add_test(after, an_enquiry_is_rated_once_by_its_customer);
    tcase_add_test(after, a_number_answers_the_question);
    tcase_add_test(after, a_colleagues_answer_reaches_the_customer);
    tcase_add_test(figures, the_dashboard_has_the_figures);
    tcase_add_test(figures, accuracy_is_measured_with_labels);
    tcase_add_test(figures, a_rise_is_a_pattern);
    tcase_add_test(figures, the_schema_is_what_manifests_declare);
    return flow_main("operations", (TCase *[]){after, figures, NULL});
}
