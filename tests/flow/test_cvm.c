/* Customers of the sample base led from data to treatment, on the real host: by command, by message and over HTTP. */
#include "flow_llm.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const plugins[] = {"customers", "treatments", "decision", "triggers", "llm"};

/* A setting of a component: laid over its manifest's. Takes `value`. */
static void setting(struct flow *f, const char *component, const char *name, json_t *value)
{
    json_t *agents = json_object_get(f->config, "agents"), *one;
    if (!agents) {
        agents = json_object();
        json_object_set_new(f->config, "agents", agents);
    }
    if (!(one = json_object_get(agents, component))) {
        one = json_pack("{s:{}}", "settings");
        json_object_set_new(agents, component, one);
    }
    json_object_set_new(json_object_get(one, "settings"), name, value);
}

/* No hour is too late for a message, so that tests do not know the time of day. */
static struct flow *home(void)
{
    struct flow *f = flow_new();
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        flow_plugin(f, plugins[i]);
    setting(f, "cvm.treatment", "llm_provider", json_string("rules"));
    setting(f, "cvm.allocation", "contact_policy", json_object());
    return f;
}

static struct flow *started(void)
{
    struct flow *f = home();
    flow_start(f);
    return f;
}

/* `customer process WORDS --output json` as its array (json_decref). */
static json_t *process(struct flow *f, const char *ids, const char *option, const char *value)
{
    struct flow_answer a;
    const char *words[] = {"customer", "process", ids, "--output", "json", option, value, NULL};
    int status = flow_run(f, &a, words);
    json_t *results = json_incref(a.json);
    ck_assert_msg(status == 0 && json_is_array(results), "process %s: %d %s%s", ids, status, a.text, a.errors);
    flow_answer_free(&a);
    return results;
}

static const json_t *of(const json_t *results, size_t i)
{
    const json_t *one = json_array_get(results, i);
    ck_assert_ptr_nonnull(one);
    return one;
}

static int64_t history(struct flow *f)
{
    json_t *answer = flow_call(f, "cvm.allocation", "get_history", "{}", NULL);
    int64_t n = (int64_t)json_array_size(json_object_get(answer, "history"));
    json_decref(answer);
    return n;
}

/* ---- one customer ---- */

START_TEST(one_customer_gets_a_treatment_and_a_reason)
{
    struct flow *f = started();
    json_t *results = process(f, "U124", NULL, NULL);
    const json_t *r = of(results, 0);
    ck_assert_uint_eq(json_array_size(results), 1);
    ck_assert_str_eq(text_of(r, "customer_id"), "U124");
    ck_assert_str_eq(text_of(r, "status"), "success");
    ck_assert(*text_of(r, "selected_treatment") && *text_of(r, "explanation"));
    ck_assert(json_is_true(json_object_get(r, "allocated")));
    ck_assert_str_eq(text_of(r, "application"), "simulated");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from cvm_applications where status = 'simulated'"), 1);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from cvm_choices where customer_id = 'U124'"), 1);
    json_decref(results);
    EXPECT(f, 4, "no customer", "customer", "process", "NOPE");
    EXPECT(f, 5, "Name customers", "customer", "process");
    flow_end(f);
}
END_TEST

/* Where `type` stands in the lines of a trace, from `from` on; fails where it does not. */
static const char *behind(const char *from, const char *type)
{
    const char *at = strstr(from, type);
    ck_assert_msg(at != NULL, "no %s in, or not behind: %s", type, from);
    return at + 1;
}

START_TEST(steps_have_a_fixed_order)
{
    struct flow *f = started();
    struct flow_answer a;
    static const char *const steps[] = {"cvm.data  get_customer_data",         "cvm.journey  build_journey",
                                        "cvm.source.permissions  get_records", "cvm.treatment  recommend_treatment",
                                        "cvm.allocation  allocate_resource",   "apply"};
    ck_assert_int_eq(FLOW_RUN(f, &a, "customer", "process", "U124", "--trace"), 0);
    const char *at = a.errors;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        at = behind(at, steps[i]);
    flow_answer_free(&a);
    /* Once more: he has that one today, so that the fallback follows the allocation. */
    ck_assert_int_eq(FLOW_RUN(f, &a, "customer", "process", "U124", "--trace"), 0);
    at = behind(behind(behind(a.errors, "allocate_resource"), "find_alternative_treatment"), "allocate_resource");
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(old_spellings_are_taken)
{
    struct flow *f = started();
    ck_assert_int_eq(
        FLOW_RUN(f, NULL, "customer", "process", "--customer_ids", "U123,U124,U125", "--output_file", "old.json"), 0);
    char *text = flow_read(f, "output/old.json");
    json_t *results = json_loads(text, 0, NULL);
    ck_assert_uint_eq(json_array_size(results), 3);
    json_decref(results);
    free(text);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "process", "U126", "--log_level", "WARNING"), 0);
    EXPECT(f, 2, "--log-level", "customer", "process", "U126", "--log_level", "LOUD");
    flow_end(f);
}
END_TEST

START_TEST(given_treatment_is_held_against_permission_and_limit)
{
    struct flow *f = home();
    setting(f, "cvm.treatment.standard", "treatment_overrides",
            json_pack("{s:{s:b}}", "loyalty_app_offer", "enabled", 0));
    flow_start(f);
    json_t *results = process(f, "U124", "--treatment", "network_signal_booster");
    ck_assert_str_eq(text_of(of(results, 0), "treatment_id"), "network_signal_booster");
    ck_assert_str_eq(text_of(of(results, 0), "method"), "given");
    json_decref(results);
    EXPECT(f, 5, "today already", "customer", "process", "U124", "--treatment", "network_signal_booster");
    EXPECT(f, 4, "no treatment", "customer", "process", "U124", "--treatment", "no_such_thing");
    EXPECT(f, 5, "disabled", "customer", "process", "U124", "--treatment", "loyalty_app_offer");
    /* Somebody who permits no calls. */
    json_t *rows =
        flow_sql(f, "select customer_id from cvm_customers where call = 0 and sms = 1 order by customer_id limit 1");
    const char *silent = text_of(of(rows, 0), "customer_id");
    int64_t before = history(f);
    EXPECT(f, 5, "permission:call", "customer", "process", silent, "--treatment", "retention_call");
    ck_assert_int_eq(history(f), before);
    json_t *answer = flow_call(f, "cvm.orchestrator", "process_customer_with_treatment",
                               "{\"customer_id\": \"U123\", \"treatment_id\": \"network_signal_booster\"}", NULL);
    ck_assert_str_eq(text_of(answer, "status"), "success");
    ck_assert_str_eq(text_of(answer, "treatment_id"), "network_signal_booster");
    ck_assert(*text_of(answer, "explanation"));
    json_decref(answer);
    json_decref(rows);
    flow_end(f);
}
END_TEST

/* ---- many ---- */

START_TEST(results_are_written_to_the_output_folder)
{
    struct flow *f = started();
    ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "process", "U123,U124,U125", "--output-file", "results.json"), 0);
    char *text = flow_read(f, "output/results.json");
    json_t *results = json_loads(text, 0, NULL);
    static const char *const ids[] = {"U123", "U124", "U125"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(text_of(of(results, i), "customer_id"), ids[i]);
    json_decref(results);
    free(text);
    EXPECT(f, 5, "results are written into", "customer", "process", "U123", "--output-file", "../results.json");
    EXPECT(f, 5, "results are written into", "customer", "process", "U123", "--output-file", "/tmp/results.json");
    ck_assert_int_eq(
        FLOW_RUN(f, NULL, "customer", "process", "U123,U124", "--output", "csv", "--output-file", "two.csv"), 0);
    text = flow_read(f, "output/two.csv");
    ck_assert_msg(strncmp(text, "customer_id,selected_treatment,explanation,status,allocated,alternatives_tried", 76) ==
                      0,
                  "%s", text);
    free(text);
    flow_end(f);
}
END_TEST

START_TEST(failing_customer_is_one_result)
{
    struct flow *f = started();
    json_t *results = process(f, "U123,NOPE,U125", NULL, NULL);
    ck_assert_uint_eq(json_array_size(results), 3);
    ck_assert_str_eq(text_of(of(results, 0), "status"), "success");
    ck_assert_str_eq(text_of(of(results, 1), "status"), "error");
    ck_assert_str_eq(text_of(of(results, 1), "code"), "CUSTOMER_NOT_FOUND");
    ck_assert_str_eq(text_of(of(results, 2), "status"), "success");
    json_decref(results);
    json_t *answer =
        flow_call(f, "cvm.orchestrator", "process_batch", "{\"customer_ids\": [\"NOPE\", \"U130\"]}", NULL);
    ck_assert_int_eq(int_of(answer, "total"), 2);
    ck_assert_int_eq(int_of(answer, "succeeded"), 1);
    ck_assert_int_eq(int_of(answer, "failed"), 1);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(all_customers_are_processed_within_the_limits)
{
    struct flow *f = started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "customer", "process", "--all-customers", "--output", "json"), 0);
    int64_t base = flow_sql_int(f, "select count(*) from cvm_customers");
    ck_assert_int_ge(base, 50);
    ck_assert_int_eq((int64_t)json_array_size(a.json), base);
    size_t i, calls = 0;
    json_t *r;
    json_array_foreach(a.json, i, r)
    {
        ck_assert_msg(strcmp(text_of(r, "status"), "success") == 0, "%s: %s", text_of(r, "customer_id"),
                      text_of(r, "message"));
        calls += !strcmp(text_of(r, "selected_treatment"), "retention_call");
    }
    ck_assert_uint_le(calls, 20);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* Two units, six customers: the two who spend most get them, in whatever order they are named. */
START_TEST(high_value_customers_get_the_last_units)
{
    struct flow *f = home();
    setting(f, "cvm.treatment.standard", "treatment_overrides",
            json_pack("{s:{s:{s:i}}}", "network_signal_booster", "constraints", "max_per_day", 2));
    setting(f, "cvm.allocation", "high_value_reserve_percent", json_integer(0));
    flow_start(f);
    json_decref(flow_call(f, "cvm.data", "list_customers", "{}", NULL));
    json_t *rows = flow_sql(
        f, "select customer_id from cvm_customers where monthly_spend is not null order by monthly_spend, customer_id");
    char ids[256] = "";
    const char *best[2] = {"", ""};
    size_t n = json_array_size(rows);
    static const size_t parts[] = {2, 9, 5, 8, 3, 6}; /* tenths of the base by spend; 9 and 8 are the two best */
    for (size_t i = 0; i < 6; i++) {
        const char *id = text_of(of(rows, n * parts[i] / 10), "customer_id");
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%s", i ? "," : "", id);
        if (parts[i] >= 8)
            best[parts[i] - 8] = id;
    }
    json_t *results = process(f, ids, "--treatment", "network_signal_booster");
    for (size_t i = 0; i < 6; i++) {
        const json_t *r = of(results, i);
        bool should = !strcmp(text_of(r, "customer_id"), best[0]) || !strcmp(text_of(r, "customer_id"), best[1]);
        ck_assert_msg(should == !strcmp(text_of(r, "status"), "success"), "%s: %s", text_of(r, "customer_id"),
                      text_of(r, "explanation"));
    }
    json_decref(results);
    json_decref(rows);
    flow_end(f);
}
END_TEST

/* ---- nothing left ---- */

START_TEST(alternative_is_found_when_no_unit_can_be_had)
{
    struct flow *f = started();
    json_t *first = process(f, "U124", NULL, NULL), *second = process(f, "U124", NULL, NULL);
    ck_assert(
        listed(json_object_get(of(second, 0), "alternatives_tried"), text_of(of(first, 0), "selected_treatment")));
    ck_assert_str_ne(text_of(of(first, 0), "selected_treatment"), text_of(of(second, 0), "selected_treatment"));
    json_decref(second);
    const char *last = "";
    for (int i = 0; i < 8 && strcmp(last, "ignore") != 0; i++) {
        second = process(f, "U124", NULL, NULL);
        last = !strcmp(text_of(of(second, 0), "selected_treatment"), "ignore") ? "ignore" : "";
        if (*last) {
            ck_assert_str_eq(text_of(of(second, 0), "status"), "success");
            ck_assert_msg(strstr(text_of(of(second, 0), "explanation"), "used up") != NULL, "%s",
                          text_of(of(second, 0), "explanation"));
        }
        json_decref(second);
    }
    ck_assert_str_eq(last, "ignore");
    json_decref(first);
    flow_end(f);
}
END_TEST

START_TEST(ignore_takes_no_unit)
{
    static const char *const ids[] = {"service_sms",        "retention_email",   "network_signal_booster",
                                      "retention_call",     "loyalty_app_offer", "roaming_advice_sms",
                                      "billing_review_call"};
    struct flow *f = home();
    json_t *none = json_object();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        json_object_set_new(none, ids[i], json_pack("{s:{s:i}}", "constraints", "max_per_day", 0));
    setting(f, "cvm.treatment.standard", "treatment_overrides", none);
    flow_start(f);
    json_t *results = process(f, "U124", NULL, NULL);
    ck_assert_str_eq(text_of(of(results, 0), "selected_treatment"), "ignore");
    ck_assert_str_eq(text_of(of(results, 0), "status"), "success");
    ck_assert(*text_of(of(results, 0), "explanation"));
    ck_assert(json_is_false(json_object_get(of(results, 0), "allocated")));
    ck_assert_int_eq(history(f), 0);
    json_decref(results);
    flow_end(f);
}
END_TEST

/* ---- agents alone ---- */

static char *journey_of(struct flow *f, const char *customer, const char *member)
{
    char data[128];
    snprintf(data, sizeof data, "{\"customer_id\": \"%s\"}", customer);
    json_t *answer = flow_call(f, "cvm.data", "get_customer_data", data, NULL);
    json_t *request =
        json_pack("{s:s, s:O}", "customer_id", customer, "customer_data", json_object_get(answer, "customer_data"));
    char *text = json_dumps(request, JSON_COMPACT);
    json_t *built = flow_call(f, "cvm.journey", "build_journey", text, NULL);
    free(text);
    json_t *wrapped = json_pack("{s:O}", member, json_object_get(built, "journey"));
    text = json_dumps(wrapped, JSON_COMPACT);
    json_decref(wrapped);
    json_decref(built);
    json_decref(request);
    json_decref(answer);
    return text;
}

START_TEST(journeys_are_built_analysed_and_summarised)
{
    struct flow *f = started();
    char *text = journey_of(f, "U124", "journey");
    json_t *journey = json_loads(text, 0, NULL),
           *events = json_object_get(json_object_get(journey, "journey"), "events");
    const char *before = "";
    ck_assert_uint_ge(json_array_size(events), 3);
    for (size_t i = 0; i < json_array_size(events); i++) {
        ck_assert_str_le(before, text_of(of(events, i), "timestamp"));
        before = text_of(of(events, i), "timestamp");
    }
    json_t *analysis = flow_call(f, "cvm.journey", "analyze_journey", text, NULL);
    ck_assert(json_is_object(json_object_get(analysis, "metrics")) &&
              json_is_array(json_object_get(analysis, "patterns")));
    ck_assert(json_is_object(json_object_get(analysis, "trends")) &&
              json_is_array(json_object_get(analysis, "insights")));
    ck_assert(listed(json_object_get(analysis, "patterns"), "repeat contact about the same problem"));
    json_t *summary = flow_call(f, "cvm.journey", "summarize_journey", text, NULL);
    ck_assert(*text_of(summary, "summary"));
    ck_assert_uint_le(strlen(text_of(summary, "summary")), 1200);
    json_decref(summary);
    json_decref(analysis);
    json_decref(journey);
    free(text);
    flow_end(f);
}
END_TEST

/* A customer in need of everything, three treatments: what is enabled, permitted and not excluded. */
#define RECOMMEND(extra)                                                                                               \
    "{\"journey\": {\"customer_id\": \"U1\", \"patterns\": [\"network_issues\", \"churn_risk\"], \"insights\": "       \
    "[\"three network complaints in 30 days, none resolved\"],"                                                        \
    "\"metrics\": {\"churn_probability\": 0.8, \"monthly_spend_pounds\": 40}}, \"permissions\": {\"sms\": true, "      \
    "\"email\": true, \"marketing\": true},"                                                                           \
    "\"constraints\": {\"a_text\": {\"remaining\": 5}, \"a_mail\": {\"remaining\": 5}, \"a_call\": {\"remaining\": "   \
    "5}, \"an_old_one\": {\"remaining\": 5}, \"gone\": {\"remaining\": 0}},"                                           \
    "\"treatments\": [{\"id\": \"a_text\", \"channel\": \"sms\", \"applies_to\": [\"network_issues\"], "               \
    "\"constraints\": {\"priority\": 2}},"                                                                             \
    "{\"id\": \"a_mail\", \"channel\": \"email\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": "  \
    "4}},"                                                                                                             \
    "{\"id\": \"a_call\", \"channel\": \"call\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": "   \
    "1}},"                                                                                                             \
    "{\"id\": \"gone\", \"channel\": \"sms\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": 1}},"  \
    "{\"id\": \"an_old_one\", \"channel\": \"sms\", \"enabled\": false, \"applies_to\": [\"network_issues\"], "        \
    "\"constraints\": {\"priority\": 1}}]" extra "}"

static json_t *recommend(struct flow *f, const char *type, const char *data)
{
    int status = 0;
    json_t *answer = flow_call(f, "cvm.treatment", type, data, &status);
    ck_assert_msg(answer, "%s: %d", type, status);
    return answer;
}

START_TEST(excluded_treatments_never_come_back)
{
    static const char *const names[] = {"find_alternative_treatment", "find_alternative"};
    struct flow *f = started();
    json_t *answer = recommend(f, "recommend_treatment", RECOMMEND(""));
    ck_assert_str_eq(text_of(answer, "selected_treatment"), "a_text");
    ck_assert_ptr_nonnull(strstr(text_of(answer, "explanation"), "network complaints"));
    json_decref(answer);
    for (size_t i = 0; i < 2; i++) {
        answer = recommend(f, names[i], RECOMMEND(", \"excluded_treatment\": \"a_text\""));
        ck_assert_str_eq(text_of(answer, "selected_treatment"), "a_mail");
        json_decref(answer);
        answer = recommend(f, names[i],
                           RECOMMEND(", \"excluded_treatment\": \"a_text\", \"excluded_treatments\": [\"a_mail\"]"));
        ck_assert_str_eq(text_of(answer, "selected_treatment"), "ignore");
        json_decref(answer);
    }
    flow_end(f);
}
END_TEST

static struct flow *with_model(void)
{
    struct flow *f = home();
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    setting(f, "cvm.treatment", "llm_provider", json_string("auto"));
    flow_start(f);
    return f;
}

START_TEST(model_chooses_among_the_candidates)
{
    struct flow *f = with_model();
    llm_script(f, "{\"data\": {\"selected_treatment\": \"a_mail\", \"explanation\": \"The churn probability is 0.8 and "
                  "the network complaints are not resolved.\"}}");
    json_t *answer = recommend(f, "recommend_treatment", RECOMMEND("")), *requests = llm_requests(f);
    ck_assert_str_eq(text_of(answer, "selected_treatment"), "a_mail");
    ck_assert_str_eq(text_of(answer, "method"), "llm");
    ck_assert_str_eq(text_of(answer, "explanation"),
                     "The churn probability is 0.8 and the network complaints are not resolved.");
    char *asked = json_dumps(requests, JSON_COMPACT);
    ck_assert_ptr_nonnull(strstr(asked, "a_text"));
    ck_assert_ptr_nonnull(strstr(asked, "three network complaints"));
    ck_assert_ptr_null(strstr(asked, "an_old_one")); /* what is forbidden is not even offered */
    ck_assert_ptr_null(strstr(asked, "a_call"));
    ck_assert_ptr_null(strstr(asked, "\\\"gone\\\""));
    free(asked);
    json_decref(requests);
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* Disabled, forbidden, exhausted, excluded, invented: whatever it names, it is asked once more, then the rules decide.
 */
START_TEST(rules_hold_whatever_the_model_says)
{
    static const char *const bad[] = {"an_old_one", "a_call", "gone", "a_text", "an_invention"};
    struct flow *f = with_model();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char script[512];
        json_t *before = llm_requests(f);
        snprintf(script, sizeof script,
                 "[{\"data\": {\"selected_treatment\": \"%s\", \"explanation\": \"It is simply the best there is.\"}},"
                 "{\"data\": {\"selected_treatment\": \"%s\", \"explanation\": \"It is simply the best there is.\"}}]",
                 bad[i], bad[i]);
        llm_script(f, script);
        json_t *answer = recommend(f, "find_alternative_treatment", RECOMMEND(", \"excluded_treatment\": \"a_text\"")),
               *after = llm_requests(f);
        ck_assert_msg(!strcmp(text_of(answer, "selected_treatment"), "a_mail"), "%s: %s", bad[i],
                      text_of(answer, "selected_treatment"));
        ck_assert_str_eq(text_of(answer, "method"), "rules");
        ck_assert_uint_eq(json_array_size(after), json_array_size(before) + 2);
        json_decref(before);
        json_decref(after);
        json_decref(answer);
    }
    /* Once bad, then good. */
    llm_script(f,
               "[{\"data\": {\"selected_treatment\": \"gone\", \"explanation\": \"It is simply the best there is.\"}},"
               "{\"data\": {\"selected_treatment\": \"ignore\", \"explanation\": \"The complaints are being dealt with "
               "already.\"}}]");
    json_t *answer = recommend(f, "recommend_treatment", RECOMMEND(""));
    ck_assert_str_eq(text_of(answer, "selected_treatment"), "ignore");
    ck_assert_str_eq(text_of(answer, "method"), "llm");
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(model_is_selected_by_the_environment)
{
    struct flow *f = home();
    setting(f, "cvm.treatment", "llm_model", json_string("${MODEL_ID:-gpt-4o}"));
    flow_start(f);
    EXPECT(f, 0, "gpt-4o", "config", "show", "agents.cvm.treatment");
    ck_assert_int_eq(flow_stop(f), 0);
    flow_env(f, "MODEL_ID", "a-model-of-ours");
    llm_server(f);
    llm_endpoint(f, "openai", "{\"prices\": {\"*\": {\"input\": 1, \"output\": 2}}}");
    setting(f, "cvm.treatment", "llm_provider", json_string("auto"));
    flow_start(f);
    EXPECT(f, 0, "a-model-of-ours", "config", "show");
    json_t *answer = recommend(f, "recommend_treatment", RECOMMEND("")), *requests = llm_requests(f);
    ck_assert_str_eq(text_of(json_object_get(of(requests, 0), "body"), "model"), "a-model-of-ours");
    json_decref(requests);
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* ---- why ---- */

START_TEST(decisions_are_explained)
{
    struct flow *f = started();
    struct flow_answer a;
    EXPECT(f, 4, "U124", "why", "U124");
    json_decref(process(f, "U124", NULL, NULL));
    ck_assert_int_eq(FLOW_RUN(f, &a, "why", "U124", "--output", "json"), 0);
    const char *chosen = text_of(a.json, "chosen");
    ck_assert(*chosen && *text_of(a.json, "runner_up") && *text_of(a.json, "explanation"));
    ck_assert_msg(strncmp(text_of(a.json, "smallest_change"), "If ", 3) == 0, "%s", a.text);
    const json_t *first = of(json_object_get(a.json, "considered"), 0);
    ck_assert_str_eq(text_of(first, "treatment_id"), chosen);
    double value = number_of(first, "propensity") * number_of(first, "worth_pounds") - number_of(first, "cost_pounds");
    ck_assert_double_eq_tol(value, number_of(first, "value_pounds"), 0.011);
    ck_assert_uint_ge(json_object_size(json_object_get(first, "factors")), 3);
    flow_answer_free(&a);
    /* Each that was turned down by a rule says by which. */
    json_t *rows = flow_sql(f, "select customer_id from cvm_customers where call = 0 order by customer_id limit 1");
    const char *silent = text_of(of(rows, 0), "customer_id");
    json_decref(process(f, silent, NULL, NULL));
    EXPECT(f, 0, "permission:call", "why", silent, "retention_call");
    EXPECT(f, 0, "was not among", "why", silent, "no_such_treatment");
    EXPECT(f, 4, "nothing is known", "why", "U999", "retention_call");
    json_decref(rows);
    flow_end(f);
}
END_TEST

/* ---- over HTTP ---- */

static bool is_done(struct flow *f, const char *path)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    bool done = !strcmp(text_of(a.json, "state"), "done");
    flow_answer_free(&a);
    return done;
}

START_TEST(customers_are_processed_over_http)
{
    struct flow *f = started();
    struct flow_answer a;
    char path[128];
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/customers/U124/process", "{}", NULL, &a), 200);
    ck_assert_str_eq(text_of(a.json, "customer_id"), "U124");
    ck_assert_str_eq(text_of(a.json, "status"), "success");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/customers/U125/process",
                               "{\"treatment_id\": \"network_signal_booster\"}", NULL, &a),
                     200);
    ck_assert_str_eq(text_of(a.json, "treatment_id"), "network_signal_booster");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/customers/NOPE/process", "{}", NULL, &a), 422);
    ck_assert_str_eq(text_of(a.json, "code"), "CUSTOMER_NOT_FOUND");
    flow_answer_free(&a);
    ck_assert_int_eq(
        flow_http(f, "POST", "/api/v1/cvm/batches", "{\"customer_ids\": [\"U126\", \"NOPE\", \"U127\"]}", NULL, &a),
        202);
    snprintf(path, sizeof path, "/api/v1/cvm/batches/%s", text_of(a.json, "batch_id"));
    flow_answer_free(&a);
    FLOW_UNTIL(is_done(f, path));
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    ck_assert_int_eq(int_of(a.json, "total"), 3);
    ck_assert_int_eq(int_of(a.json, "succeeded"), 2);
    ck_assert_str_eq(text_of(of(json_object_get(a.json, "results"), 1), "customer_id"), "NOPE");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/batches/BAT-0", NULL, NULL, NULL), 404);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers/U124/why", NULL, NULL, &a), 200);
    ck_assert(*text_of(a.json, "chosen"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* Three kills while a batch runs: each customer has one result, none is treated twice, no limit is passed. */
START_TEST(kills_lose_and_double_no_customer)
{
    struct flow *f = started();
    struct flow_answer a;
    char path[128];
    int64_t base = flow_sql_int(f, "select count(*) from cvm_customers");
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/batches", "{\"all_customers\": true}", NULL, &a), 202);
    snprintf(path, sizeof path, "/api/v1/cvm/batches/%s", text_of(a.json, "batch_id"));
    flow_answer_free(&a);
    for (int i = 0; i < 3; i++) {
        flow_sleep_ms(400);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    for (int i = 0; i < 60 && !is_done(f, path); i++)
        flow_sleep_ms(500);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    ck_assert_str_eq(text_of(a.json, "state"), "done");
    ck_assert_int_eq(int_of(a.json, "succeeded"), int_of(a.json, "total"));
    ck_assert_int_ge(int_of(a.json, "total"), base > 50 ? base : 50);
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) - count(distinct customer_id) from cvm_applications where status != 'failed'"),
        0);
    ck_assert_int_le(
        flow_sql_int(f, "select count(*) from cvm_applications where treatment_id = 'network_signal_booster'"), 10);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* ---- triggered ---- */

START_TEST(triggered_customers_are_treated_within_the_rules)
{
    struct flow *f = started();
    json_t *found = flow_call(f, "cvm.orchestrator", "trigger_customers",
                              "{\"customer_ids\": \"*\", \"trigger_type\": \"network_issues\"}", NULL);
    size_t n = json_array_size(json_object_get(found, "matches"));
    ck_assert_uint_ge(n, 5);
    ck_assert_int_eq(int_of(found, "total_matches"), (int64_t)n);
    json_t *answer = flow_call(
        f, "cvm.orchestrator", "trigger_and_process",
        "{\"customer_ids\": \"*\", \"trigger_type\": \"network_issues\", \"treatment_id\": \"service_sms\"}", NULL);
    const json_t *results = json_object_get(answer, "results");
    ck_assert_int_eq(int_of(answer, "matches"), (int64_t)n);
    ck_assert_uint_eq(json_array_size(results), n);
    int64_t processed = 0;
    for (size_t i = 0; i < n; i++) {
        char sql[160];
        bool success = !strcmp(text_of(of(results, i), "status"), "success");
        processed += success;
        snprintf(sql, sizeof sql, "select sms from cvm_customers where customer_id = '%s'",
                 text_of(of(results, i), "customer_id"));
        ck_assert_msg(success == (flow_sql_int(f, sql) == 1), "%s: %s", text_of(of(results, i), "customer_id"),
                      text_of(of(results, i), "explanation"));
        ck_assert(success || *text_of(of(results, i), "message"));
    }
    ck_assert_int_eq(int_of(answer, "processed"), processed);
    json_decref(answer);
    json_decref(found);
    flow_end(f);
}
END_TEST

START_TEST(triggers_are_applied_by_command)
{
    struct flow *f = started();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "trigger", "apply", "network_issues", "--all-customers", "--treatment",
                              "service_sms", "--output", "json"),
                     0);
    flow_answer_free(&a);
    ck_assert_int_ge(flow_sql_int(f, "select count(*) from cvm_applications where treatment_id = 'service_sms'"), 3);
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "treatment", "add", "Send a card with a picture of a dog with limit 5", "--output", "json"), 0);
    const char *own = text_of(a.json, "id");
    ck_assert(*own);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "trigger", "apply", "custom", "--all-customers", "--description",
                              "customers who mention dogs or other pets", "--treatment", own),
                     0);
    ck_assert_int_ge(flow_sql_int(f, "select count(*) from cvm_applications where treatment_id like 'custom%'"), 1);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *one = tcase_create("one"), *many = tcase_create("many"), *alone = tcase_create("alone"),
          *triggered = tcase_create("triggered");
    TCase *all[] = {one, many, alone, triggered, NULL};
    for (size_t i = 0; all[i]; i++)
        tcase_set_timeout(all[i], 120);
    tcase_add_test(one, one_customer_gets_a_treatment_and_a_reason);
    tcase_add_test(one, steps_have_a_fixed_order);
    tcase_add_test(one, old_spellings_are_taken);
    tcase_add_test(one, given_treatment_is_held_against_permission_and_limit);
    tcase_add_test(one, decisions_are_explained);
    tcase_add_test(many, results_are_written_to_the_output_folder);
    tcase_add_test(many, failing_customer_is_one_result);
    tcase_add_test(many, all_customers_are_processed_within_the_limits);
    tcase_add_test(many, high_value_customers_get_the_last_units);
    tcase_add_test(many, alternative_is_found_when_no_unit_can_be_had);
    tcase_add_test(many, ignore_takes_no_unit);
    tcase_add_test(many, customers_are_processed_over_http);
    tcase_add_test(many, kills_lose_and_double_no_customer);
    tcase_add_test(alone, journeys_are_built_analysed_and_summarised);
    tcase_add_test(alone, excluded_treatments_never_come_back);
    tcase_add_test(alone, model_chooses_among_the_candidates);
    tcase_add_test(alone, rules_hold_whatever_the_model_says);
    tcase_add_test(alone, model_is_selected_by_the_environment);
    tcase_add_test(triggered, triggered_customers_are_treated_within_the_rules);
    tcase_add_test(triggered, triggers_are_applied_by_command);
    return flow_main("cvm", all);
}
