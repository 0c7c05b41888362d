/* The agents of the support desk in a real host: the sample customers, the knowledge they answer from, what happens
 * when a part is missing, a language model, a further agent. With the real workflow and the real stores. */
#include "flow_llm.h"

#define DESCRIPTION "The sidecar cannot reach our application"
#define CUST001_TICKET                                                                                                 \
    "{\"ticket\": {\"ticket_id\": \"%s\", \"customer_id\": \"%s\", \"description\": \"%s\"}, \"outputs\": %s}"

static const char *const ours[] = {"stores", "support", "support_agents", "knowledge", "llm"};

static bool documents_there(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from kb_documents where domain = 'SUPPORT' and status = 'active'") >= 25;
}

/* A desk without the plugin `but`; NULL: whole, with its samples and documents. */
static struct flow *desk(const char *but)
{
    struct flow *f = flow_new();
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!but || strcmp(ours[i], but) != 0)
            flow_plugin(f, ours[i]);
    return f;
}

static void opened(struct flow *f)
{
    flow_start(f);
    EXPECT(f, 0, "Sample data setup completed successfully", "support", "load-samples");
    FLOW_UNTIL(documents_there(f));
}

static json_t *asked(struct flow *f, const char *path, int expected)
{
    struct flow_answer a;
    int status = flow_http(f, "GET", path, NULL, NULL, &a);
    ck_assert_msg(status == expected, "GET %s: %d %s", path, status, a.text);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

static void posted(struct flow *f, const char *path, const char *body)
{
    struct flow_answer a;
    int status = flow_http(f, "POST", path, body, NULL, &a);
    ck_assert_msg(status == 200, "POST %s: %d %s", path, status, a.text);
    flow_answer_free(&a);
}

static bool is_at(struct flow *f, const char *ticket, const char *status)
{
    char path[128];
    snprintf(path, sizeof path, "/support/status/%s", ticket);
    json_t *json = asked(f, path, 200);
    bool is = strcmp(text_of(json, "status"), status) == 0;
    json_decref(json);
    return is;
}

static json_t *output_of(struct flow *f, const char *ticket)
{
    char path[128];
    snprintf(path, sizeof path, "/support/status/%s", ticket);
    json_t *json = asked(f, path, 200), *output = json_incref(json_object_get(json, "output"));
    json_decref(json);
    return output;
}

static json_t *called(struct flow *f, const char *to, const char *type, const char *ticket, const char *customer,
                      const char *description, const char *outputs, int expected)
{
    char data[4096];
    int status = -1;
    snprintf(data, sizeof data, CUST001_TICKET, ticket, customer, description, outputs);
    json_t *json = flow_call(f, to, type, data, &status);
    ck_assert_msg(status == expected, "%s %s ended with %d", to, type, status);
    return json;
}

static void fails_with(struct flow *f, const char *to, const char *type, const char *customer, const char *text)
{
    char data[512];
    snprintf(data, sizeof data, CUST001_TICKET, "TICK0001", customer, DESCRIPTION, "{}");
    struct flow_answer a;
    ck_assert_int_ne(FLOW_RUN(f, &a, "agent", "call", to, type, "--data", data), 0);
    ck_assert_msg(strstr(a.errors, text), "%s %s does not say \"%s\": %s", to, type, text, a.errors);
    flow_answer_free(&a);
}

/* ---- the stores and the samples ---- */

START_TEST(stores_are_filled)
{
    static const char *const names[] = {"customer-state",  "system-state", "analysis-state",
                                        "execution-state", "memory-state", "registry-state"};
    struct flow *f = desk(NULL);
    flow_start(f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        EXPECT(f, 0, names[i], "state", "stores");
    EXPECT(f, 0, "query_knowledge_base", "state", "get", "registry-state", "support.expert");
    EXPECT(f, 0, "support.workflow", "state", "list", "registry-state");
    EXPECT(f, 0, "version: 1", "state", "put", "customer-state", "K", "{\"a\": 1}", "--if-version", "0");
    EXPECT(f, 5, "CONFLICT", "state", "put", "customer-state", "K", "{\"a\": 2}", "--if-version", "0");
    EXPECT(f, 0, "version: 2", "state", "put", "customer-state", "K", "{\"a\": 2}", "--if-version", "1");
    EXPECT(f, 5, "CONFLICT", "state", "delete", "customer-state", "K", "--if-version", "1");
    EXPECT(f, 0, "deleted", "state", "delete", "customer-state", "K", "--if-version", "2");
    EXPECT(f, 5, "READ_ONLY", "state", "delete", "registry-state", "support.expert");
    flow_end(f);
}
END_TEST

START_TEST(samples_are_loaded)
{
    struct flow *f = desk(NULL);
    struct flow_answer a;
    flow_start(f);
    json_t *health = asked(f, "/health/data", 503);
    ck_assert_str_eq(text_of(health, "status"), "missing");
    ck_assert(json_is_false(json_object_get(json_object_get(health, "customers"), "CUST001")));
    ck_assert_ptr_nonnull(strstr(text_of(health, "hint"), "cvmhost support load-samples"));
    json_decref(health);
    EXPECT(f, 0, "Sample data setup completed successfully", "support", "load-samples");
    health = asked(f, "/health/data", 200);
    ck_assert_str_eq(text_of(health, "status"), "ok");
    ck_assert_uint_eq(json_object_size(json_object_get(health, "customers")), 3);
    ck_assert(json_is_true(json_object_get(json_object_get(health, "systems"), "CUST003")));
    json_decref(health);
    EXPECT(f, 0, "company_name: Acme Corporation", "state", "get", "customer-state", "CUST001");
    EXPECT(f, 0, "plan: Enterprise", "state", "get", "customer-state", "CUST001");
    EXPECT(f, 0, "TechStart Inc", "state", "get", "customer-state", "CUST002");
    EXPECT(f, 0, "plan: Professional", "state", "get", "customer-state", "CUST002");
    EXPECT(f, 0, "Basic User LLC", "state", "get", "customer-state", "CUST003");
    EXPECT(f, 0, "support_entitled: false", "state", "get", "customer-state", "CUST003");
    EXPECT(f, 0, "dapr_version: 1.14.4", "state", "get", "system-state", "CUST001");
    EXPECT(f, 0, "cloud_provider: AWS", "state", "get", "system-state", "CUST001");
    EXPECT(f, 0, "applications: order-api", "state", "get", "system-state", "CUST001");
    /* A second time nothing is overwritten. */
    EXPECT(f, 0, "version: 2", "state", "put", "customer-state", "CUST002",
           "{\"customer_id\": \"CUST002\", \"plan\": \"Mine\"}");
    EXPECT(f, 0, "completed successfully", "support", "load-samples");
    EXPECT(f, 0, "plan: Mine", "state", "get", "customer-state", "CUST002");
    EXPECT(f, 0, "deleted", "state", "delete", "system-state", "CUST001");
    health = asked(f, "/health/data", 503);
    ck_assert(json_is_false(json_object_get(json_object_get(health, "systems"), "CUST001")));
    json_decref(health);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, &a), 200);
    ck_assert_str_eq(text_of(a.json, "status"), "healthy");
    ck_assert(*text_of(a.json, "version"));
    ck_assert(json_is_integer(json_object_get(a.json, "uptime_seconds")));
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(a.json, "plugins"), "loaded")), 5);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(a.json, "plugins"), "failed")), 0);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* ---- a whole ticket: what a working installation shows ---- */

static void check_queries(const json_t *analysis)
{
    static const char *const always[] = {"connectivity", "configuration", "compatibility"};
    const json_t *queries = json_object_get(analysis, "queries");
    const char *last_start = "", *first_end = "~";
    ck_assert_uint_ge(json_array_size(queries), 3);
    for (size_t k = 0; k < 3; k++) {
        bool there = false;
        for (size_t i = 0; i < json_array_size(queries); i++)
            there = there || strcmp(text_of(json_array_get(queries, i), "aspect"), always[k]) == 0;
        ck_assert_msg(there, "no query about %s", always[k]);
    }
    for (size_t i = 0; i < json_array_size(queries); i++) {
        const char *begin = text_of(json_array_get(queries, i), "started_at");
        const char *end = text_of(json_array_get(queries, i), "ended_at");
        last_start = strcmp(begin, last_start) > 0 ? begin : last_start;
        first_end = strcmp(end, first_end) < 0 ? end : first_end;
    }
    ck_assert_msg(strcmp(last_start, first_end) <= 0, "the last query began at %s, the first ended at %s", last_start,
                  first_end);
}

START_TEST(shows_its_success_indicators)
{
    static const char *const logged[] = {
        "agent support.triage (SupportTriageAgent); tools: lookup_customer, lookup_system_info",
        "agent support.expert (ExpertAgent); tools: query_knowledge_base",
        "agent support.notification (NotificationAgent); tools: create_customer_notification",
        "ticket TICK0012: triage ends: the customer is entitled",
        "ticket TICK0012: the expert is done",
        "ticket TICK0012: the customer's message is written by template"};
    static const char *const personal[] = {"Amara", "amara.cole", "cannot reach our application"};
    struct flow *f = desk(NULL);
    opened(f);
    flow_spawn(f, "tail",
               (const char *const[]){"host/cvmhost", "--home", f->home, "bus", "tail", "--topic", "support-pubsub",
                                     "--output", "json", NULL});
    flow_sleep_ms(500);
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"TICK0012\", \"customer_id\": \"CUST001\", \"description\": \"" DESCRIPTION "\"}");
    FLOW_UNTIL(is_at(f, "TICK0012", "WAITING_FOR_APPROVAL"));
    EXPECT(f, 0, "cvmhost support ticket approve TICK0012", "support", "ticket", "status", "TICK0012");
    json_t *output = output_of(f, "TICK0012"), *triage = json_object_get(output, "triage");
    json_t *analysis = json_object_get(output, "analysis");
    ck_assert(json_is_true(json_object_get(triage, "entitled")));
    ck_assert_str_eq(text_of(json_object_get(triage, "customer"), "company_name"), "Acme Corporation");
    ck_assert_str_eq(text_of(json_object_get(triage, "system"), "cloud_provider"), "AWS");
    check_queries(analysis);
    int64_t n_queries = (int64_t)json_array_size(json_object_get(analysis, "queries"));
    ck_assert_ptr_nonnull(strstr(text_of(analysis, "root_cause"), "The sidecar calls the application on the port"));
    ck_assert_uint_ge(json_array_size(json_object_get(analysis, "resolution_steps")), 3);
    ck_assert(json_real_value(json_object_get(analysis, "confidence")) > 0.5);
    ck_assert_str_eq(text_of(json_array_get(json_object_get(analysis, "sources"), 0), "document_id"), "kb-tec-001");
    json_decref(output);
    EXPECT(f, 0, "root_cause", "state", "get", "analysis-state", "analysis-TICK0012");
    EXPECT(f, 0, "support.expert/TICK0012", "state", "list", "memory-state");
    char *told = NULL;
    FLOW_UNTIL((free(told), told = flow_read(f, "tail.txt")) && strstr(told, "solution_ready"));
    ck_assert_ptr_nonnull(strstr(told, "/support/approve/TICK0012"));
    free(told);
    posted(f, "/support/approve/TICK0012",
           "{\"approved\": true, \"final_solution\": \"Set the application port to 8080\"}");
    FLOW_UNTIL(is_at(f, "TICK0012", "COMPLETED"));
    output = output_of(f, "TICK0012");
    json_t *message = json_object_get(output, "notification");
    const char *text = text_of(message, "text");
    ck_assert_str_eq(text_of(output, "outcome"), "resolved");
    ck_assert_str_eq(text_of(message, "source"), "template");
    ck_assert_str_eq(text_of(message, "to"), "amara.cole@acme.example");
    ck_assert(strstr(text, "Dear Amara Cole") && strstr(text, "TICK0012") &&
              strstr(text, "Set the application port to 8080"));
    ck_assert_ptr_null(strstr(text, "Compare the port")); /* the approved solution, not the draft */
    json_decref(output);
    EXPECT(f, 0, "lookup_customer", "support", "audit", "TICK0012");
    EXPECT(f, 0, "lookup_system_info", "support", "audit", "TICK0012");
    EXPECT(f, 0, "\"step\":\"expert\",\"what\":\"query_knowledge_base\"", "support", "audit", "TICK0012", "--output",
           "json");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from support_audit where what = 'query_knowledge_base'"),
                     n_queries); /* each by itself */
    EXPECT(f, 0, "query_knowledge_base", "plugin", "info", "support.expert");
    char *log = flow_log(f);
    for (size_t i = 0; i < sizeof logged / sizeof *logged; i++)
        ck_assert_msg(strstr(log, logged[i]), "the log does not say: %s", logged[i]);
    for (size_t i = 0; i < sizeof personal / sizeof *personal; i++)
        ck_assert_msg(!strstr(log, personal[i]), "the log says: %s", personal[i]);
    free(log);
    flow_end(f);
}
END_TEST

START_TEST(other_customers)
{
    struct flow *f = desk(NULL);
    opened(f);
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"TICK2\", \"customer_id\": \"CUST002\", \"description\": \"Redis says NOAUTH "
           "authentication required\"}");
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"TICK3\", \"customer_id\": \"CUST003\", \"description\": \"" DESCRIPTION "\"}");
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"TICK9\", \"customer_id\": \"CUST999\", \"description\": \"" DESCRIPTION "\"}");
    FLOW_UNTIL(is_at(f, "TICK2", "WAITING_FOR_APPROVAL"));
    json_t *output = output_of(f, "TICK2");
    ck_assert_ptr_nonnull(strstr(text_of(json_object_get(output, "analysis"), "root_cause"), "NOAUTH"));
    ck_assert_ptr_nonnull(json_object_get(output, "triage"));
    json_decref(output);
    posted(f, "/support/approve/TICK2", "{\"approved\": true}"); /* the proposed solution stands */
    FLOW_UNTIL(is_at(f, "TICK2", "COMPLETED"));
    output = output_of(f, "TICK2");
    ck_assert_ptr_nonnull(
        strstr(text_of(json_object_get(output, "notification"), "text"), "1. Try by hand from the pod"));
    json_decref(output);
    FLOW_UNTIL(is_at(f, "TICK3", "COMPLETED"));
    output = output_of(f, "TICK3");
    const char *text = text_of(json_object_get(output, "notification"), "text");
    ck_assert_str_eq(text_of(output, "outcome"), "not_entitled");
    ck_assert_ptr_null(json_object_get(output, "analysis"));
    ck_assert(strstr(text, "Bea Lindqvist") && strstr(text, "plan Basic") && strstr(text, "TICK3"));
    json_decref(output);
    FLOW_UNTIL(is_at(f, "TICK9", "FAILED"));
    output = output_of(f, "TICK9");
    char *all = json_dumps(output, 0);
    ck_assert(strstr(all, "Customer not found") && strstr(all, "cvmhost support load-samples") &&
              strstr(all, "CUST001"));
    free(all);
    json_decref(output);
    flow_end(f);
}
END_TEST

/* ---- knowledge ---- */

START_TEST(documents_are_found)
{
    static const char *const questions[][2] = {{"the sidecar does not connect to our application", "kb-tec-001"},
                                               {"no sidecar is injected into the pod", "kb-tec-003"},
                                               {"which ports must be open in the firewall", "kb-tec-005"},
                                               {"bind address already in use", "kb-tec-006"},
                                               {"x509 certificate has expired", "kb-tec-007"},
                                               {"dns lookup fails inside the cluster", "kb-tec-008"},
                                               {"context deadline exceeded", "kb-tec-009"},
                                               {"redis NOAUTH authentication required", "kb-tec-011"},
                                               {"subscriber does not receive messages", "kb-tec-014"},
                                               {"kafka consumer lag keeps growing", "kb-tec-016"},
                                               {"secret not found when loading the component", "kb-tec-017"},
                                               {"which versions are compatible with each other", "kb-tec-020"},
                                               {"how do I upgrade safely", "kb-tec-021"},
                                               {"pod is in CrashLoopBackOff", "kb-tec-023"},
                                               {"container exceeds the memory limit OOMKilled", "kb-tec-025"},
                                               {"failed to assign an IP address to container on aws", "kb-tec-027"},
                                               {"no traces in zipkin", "kb-tec-031"},
                                               {"prometheus has no metrics of the sidecar", "kb-tec-032"}};
    struct flow *f = desk(NULL);
    opened(f);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct flow_answer a;
        ck_assert_int_eq(FLOW_RUN(f, &a, "kb", "search", questions[i][0], "--domain", "SUPPORT", "--output", "json"),
                         0);
        const json_t *best = json_array_get(json_object_get(a.json, "results"), 0);
        ck_assert_msg(strcmp(text_of(best, "document_id"), questions[i][1]) == 0, "%s: %s", questions[i][0], a.text);
        flow_answer_free(&a);
    }
    json_t *r = called(f, "support.expert", "analyse", "T1", "CUST001",
                       "pods are OOMKilled every night since the last release, and our kafka consumer lags", "{}", 0);
    ck_assert_uint_gt(json_array_size(json_object_get(r, "queries")), 4); /* aspects of the description */
    ck_assert_ptr_nonnull(strstr(text_of(r, "analysis"), "kb-tec-025"));
    json_decref(r);
    r = called(f, "support.expert", "analyse", "T2", "CUST001", "my football team lost the match yesterday", "{}", 0);
    ck_assert(json_is_false(json_object_get(r, "found")));
    ck_assert(json_real_value(json_object_get(r, "confidence")) == 0);
    ck_assert_ptr_nonnull(strstr(text_of(r, "root_cause"), "Not found"));
    check_queries(r);
    json_decref(r);
    int status = -1;
    r = flow_call(f, "support.expert", "query_knowledge_base",
                  "{\"issue_description\": \"sidecar does not connect\", \"system_info\": \"AWS\"}", &status);
    const json_t *one = json_array_get(json_object_get(r, "results"), 0);
    ck_assert(status == 0 && *text_of(one, "document_id") && *text_of(one, "text") &&
              json_object_get(one, "relevance"));
    json_decref(r);
    flow_end(f);
}
END_TEST

/* ---- what is missing, and what to do about it ---- */

START_TEST(says_what_is_missing)
{
    struct flow *f = desk("knowledge");
    flow_start(f);
    fails_with(f, "support.triage", "run", "CUST001", "Customer not found");
    fails_with(f, "support.triage", "run", "CUST001", "cvmhost support load-samples");
    fails_with(f, "support.expert", "analyse", "CUST001", "plugins/knowledge.so");
    flow_end(f);
    f = desk("stores");
    flow_start(f);
    fails_with(f, "support.triage", "run", "CUST001", "customer-state");
    fails_with(f, "support.triage", "run", "CUST001", "manifests/stores.json");
    EXPECT(f, 1, "plugins/stores.so", "support", "load-samples");
    json_t *health = asked(f, "/health/data", 503);
    ck_assert_ptr_nonnull(strstr(text_of(health, "hint"), "plugins/stores.so"));
    json_decref(health);
    flow_end(f);
}
END_TEST

/* ---- a language model ---- */

#define ANALYSIS                                                                                                       \
    "{\"data\": {\"root_cause\": \"The sidecar was given another port than the application has.\", \"analysis\": "     \
    "\"The application must listen on the port of the sidecar [kb-tec-001].\", \"resolution_steps\": [\"Compare both " \
    "ports.\", \"Restart the pod.\"], \"confidence\": 0.8}}"
#define OUTPUTS                                                                                                        \
    "{\"triage\": {\"entitled\": true, \"customer\": {\"contact_name\": \"Amara Cole\", \"contact_email\": "           \
    "\"a@acme.example\"}}, \"approval\": {\"final_solution\": \"Set the port to 8080.\"}}"

START_TEST(models_word_it_or_do_not)
{
    struct flow *f = desk(NULL);
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    opened(f);
    llm_script(f, ANALYSIS);
    json_t *r = called(f, "support.expert", "analyse", "T1", "CUST001", DESCRIPTION, "{}", 0);
    ck_assert_str_eq(text_of(r, "source"), "llm");
    ck_assert_str_eq(text_of(r, "root_cause"), "The sidecar was given another port than the application has.");
    ck_assert_uint_eq(json_array_size(json_object_get(r, "resolution_steps")), 2);
    check_queries(r);
    json_decref(r);
    llm_script(
        f, "{\"data\": {\"root_cause\": \"x\", \"analysis\": \"Use port 7777 [kb-tec-001].\", \"resolution_steps\": "
           "[\"y\"], \"confidence\": 1}}"); /* a port that no document has */
    r = called(f, "support.expert", "analyse", "T2", "CUST001", DESCRIPTION, "{}", 0);
    ck_assert_str_eq(text_of(r, "source"), "rules");
    ck_assert_ptr_nonnull(strstr(text_of(r, "fallback"), "did not keep to the passages"));
    json_decref(r);
    llm_script(f, "[{\"fault\": \"401\"}, {\"fault\": \"401\"}, {\"fault\": \"401\"}]");
    r = called(f, "support.expert", "analyse", "T3", "CUST001", DESCRIPTION, "{}", 0);
    ck_assert_str_eq(text_of(r, "source"), "rules");
    ck_assert_ptr_nonnull(strstr(text_of(r, "root_cause"), "The sidecar calls the application"));
    ck_assert(strstr(text_of(r, "fallback"), "OPENAI_API_KEY") && strstr(text_of(r, "fallback"), "credit"));
    json_decref(r);
    flow_end(f);
}
END_TEST

START_TEST(models_write_to_the_customer)
{
    struct flow *f = desk(NULL);
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    opened(f);
    llm_script(f, "{\"content\": \"Dear Amara Cole, on ticket T1 we recommend: Set the port to 8080. Yours\"}");
    json_t *r = called(f, "support.notification", "create", "T1", "CUST001", DESCRIPTION, OUTPUTS, 0);
    ck_assert_str_eq(text_of(r, "source"), "llm");
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), "we recommend: Set the port to 8080."));
    json_decref(r);
    llm_script(f, "{\"content\": \"Dear Amara Cole, on ticket T2: all is well.\"}"); /* without the solution */
    r = called(f, "support.notification", "create", "T2", "CUST001", DESCRIPTION, OUTPUTS, 0);
    ck_assert_str_eq(text_of(r, "source"), "template");
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), "Set the port to 8080."));
    json_decref(r);
    flow_end(f);
}
END_TEST

START_TEST(delivers_by_a_channel)
{
    struct flow *f = desk(NULL);
    flow_config(f, "support.notify_channel", json_string("pigeon"));
    opened(f);
    json_t *r = called(f, "support.notification", "create", "T1", "CUST001", DESCRIPTION, OUTPUTS, 0);
    ck_assert(json_is_false(json_object_get(r, "delivered"))); /* nobody has pigeons: it is kept, and says so */
    ck_assert_str_eq(text_of(r, "channel"), "pigeon");
    ck_assert_ptr_nonnull(strstr(text_of(r, "delivery_error"), "support.notify_channel"));
    ck_assert_ptr_nonnull(strstr(text_of(r, "text"), "Set the port to 8080."));
    json_decref(r);
    flow_end(f);
}
END_TEST

static json_t *about_nothing(struct flow *f, const char *id)
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"ticket_id\": \"%s\", \"customer_id\": \"CUST001\", \"description\": \"zebra banana\"}", id);
    posted(f, "/support/ticket", body);
    FLOW_UNTIL(is_at(f, id, "WAITING_FOR_APPROVAL"));
    json_t *output = output_of(f, id);
    ck_assert(json_is_false(json_object_get(json_object_get(output, "analysis"), "found")));
    return output;
}

/* What stands in the steps is for the team; the customer gets what somebody has written. */
START_TEST(nothing_found_is_not_approved)
{
    struct flow *f = desk(NULL);
    opened(f);
    json_decref(about_nothing(f, "Z1"));
    EXPECT(f, 5, "NO_SOLUTION", "support", "ticket", "approve", "Z1");
    EXPECT(f, 5, "NO_SOLUTION", "support", "ticket", "approve", "Z1", "--solution", "  ");
    ck_assert(is_at(f, "Z1", "WAITING_FOR_APPROVAL"));
    EXPECT(f, 0, "approval_sent", "support", "ticket", "approve", "Z1", "--solution", "Feed it", "--notes",
           "it was hungry");
    FLOW_UNTIL(is_at(f, "Z1", "COMPLETED"));
    json_t *output = output_of(f, "Z1");
    const char *text = text_of(json_object_get(output, "notification"), "text");
    ck_assert(strstr(text, "Feed it") && !strstr(text, "A support engineer"));
    json_decref(output);
    EXPECT(f, 0, "zebra banana", "support", "audit", "Z1", "--output", "json"); /* of its creation */
    EXPECT(f, 0, "Feed it", "support", "audit", "Z1", "--output", "json");
    EXPECT(f, 0, "it was hungry", "support", "audit", "Z1", "--output", "json");
    EXPECT(f, 5, "reject", "support", "ticket", "approve", "Z1", "--reject", "--rework");
    json_decref(about_nothing(f, "Z2"));
    EXPECT(f, 5, "final_solution", "support", "ticket", "approve", "Z2", "--reject", "--solution", "x");
    EXPECT(f, 5, "question", "support", "ticket", "ask", "Z2", "  ");
    EXPECT(f, 0, "WAITING_FOR_CUSTOMER", "support", "ticket", "ask", "Z2", "How old is it?");
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from support_audit where what = 'ask_customer' and "
                               "output like '%support.notify_channel%' and input = 'How old is it?'") == 1);
    EXPECT(f, 5, "answer", "support", "ticket", "answer", "Z2", " ");
    EXPECT(f, 0, "WAITING_FOR_APPROVAL", "support", "ticket", "answer", "Z2", "Two years");
    EXPECT(f, 0, "approval_sent", "support", "ticket", "approve", "Z2", "--reject", "--notes", "not ours");
    flow_end(f);
}
END_TEST

#define LONG_ID "LONG-0123456789-0123456789-0123456789-0123456789-0123456789"

/* As much as the routes let in. */
static char *long_text(size_t n, const char *with)
{
    size_t len = strlen(with);
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = with[i % len];
    text[n] = 0;
    return text;
}

static void posted_json(struct flow *f, const char *path, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    posted(f, path, text);
    free(text);
    json_decref(body);
}

START_TEST(long_texts_come_through)
{
    struct flow *f = desk(NULL);
    char *description = long_text(8192, "sidecar port "), *solution = long_text(16384, "Set it. Then look.\n");
    opened(f);
    posted_json(
        f, "/support/ticket",
        json_pack("{s:s, s:s, s:s}", "ticket_id", LONG_ID, "customer_id", "CUST001", "description", description));
    for (int i = 0; i < 2; i++) {
        FLOW_UNTIL(is_at(f, LONG_ID, "WAITING_FOR_APPROVAL"));
        posted_json(f, "/support/approve/" LONG_ID,
                    i ? json_pack("{s:b, s:s}", "approved", 1, "final_solution", solution)
                      : json_pack("{s:b, s:b, s:s}", "approved", 0, "rework", 1, "support_notes", description));
        if (!i)
            FLOW_UNTIL(flow_sql_int(f, "select count(*) from support_audit where what = 'waiting'") == 2);
    }
    FLOW_UNTIL(is_at(f, LONG_ID, "COMPLETED"));
    json_t *output = output_of(f, LONG_ID);
    ck_assert_ptr_nonnull(strstr(text_of(json_object_get(output, "notification"), "text"), solution));
    json_decref(output);
    free(description);
    free(solution);
    flow_end(f);
}
END_TEST

/* ---- another agent ---- */

START_TEST(another_agent_joins)
{
    struct flow *f = desk(NULL);
    opened(f);
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"OLD\", \"customer_id\": \"CUST001\", \"description\": \"" DESCRIPTION "\"}");
    FLOW_UNTIL(is_at(f, "OLD", "WAITING_FOR_APPROVAL"));
    flow_plugin(f, "security_review");
    EXPECT(f, 0, "security_review", "reload");
    posted(f, "/support/ticket",
           "{\"ticket_id\": \"NEW\", \"customer_id\": \"CUST001\", \"description\": \"Redis says NOAUTH "
           "authentication required\"}");
    FLOW_UNTIL(is_at(f, "NEW", "WAITING_FOR_APPROVAL"));
    json_t *output = output_of(f, "NEW"), *security = json_object_get(output, "security");
    ck_assert_str_eq(text_of(security, "risk"), "high"); /* the steps speak of a password */
    ck_assert_uint_ge(json_array_size(json_object_get(security, "findings")), 1);
    json_decref(output);
    EXPECT(f, 0, "review_steps", "support", "audit", "NEW");
    EXPECT(f, 0, "review_steps", "state", "get", "registry-state", "review.security");
    posted(f, "/support/approve/NEW", "{\"approved\": true}");
    posted(f, "/support/approve/OLD", "{\"approved\": true}");
    FLOW_UNTIL(is_at(f, "NEW", "COMPLETED") && is_at(f, "OLD", "COMPLETED"));
    output = output_of(f, "OLD");
    ck_assert_ptr_null(json_object_get(output, "security"));
    json_decref(output);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("support_agents");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, stores_are_filled);
    tcase_add_test(c, samples_are_loaded);
    tcase_add_test(c, shows_its_success_indicators);
    tcase_add_test(c, other_customers);
    tcase_add_test(c, documents_are_found);
    tcase_add_test(c, says_what_is_missing);
    tcase_add_test(c, models_word_it_or_do_not);
    tcase_add_test(c, models_write_to_the_customer);
    tcase_add_test(c, delivers_by_a_channel);
    tcase_add_test(c, nothing_found_is_not_approved);
    tcase_add_test(c, long_texts_come_through);
    tcase_add_test(c, another_agent_joins);
    return flow_main("support_agents", (TCase *[]){c, NULL});
}
