/* What of the support desk's agents needs no host: the words of a ticket, which documents fit it, what they say of it,
 * the message to the customer; then the agents turn by turn, over stores and a knowledge base that the test plays. */
#include "../../plugins/support/agents/agents.h"
#include "../../plugins/support/agents/analysis.h"
#include "../../plugins/support/agents/letter.h"
#include "../../plugins/support/agents/words.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- words ---- */

START_TEST(words_are_forms_of_one_another)
{
    static const struct {
        const char *text, *other;
        bool same;
    } pairs[] = {{"pods", "pod", true},          {"Connects", "connection", true}, {"connecting", "connected", true},
                 {"x509", "x509:", true},        {"port", "porting", false},       {"cat", "cats", true},
                 {"state", "status", false},     {"order-api", "order-api", true}, {"1.14", "1.15", false},
                 {"kafka", "kafkaesque", false}, {"OOMKilled", "oomkilled", true}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct words words;
        bool in[WORDS_MAX];
        words_read(pairs[i].text, NULL, &words);
        ck_assert_uint_eq(words.n, 1);
        ck_assert_msg((words_in(&words, pairs[i].other, in) == 1) == pairs[i].same, "%s, %s", pairs[i].text,
                      pairs[i].other);
    }
}
END_TEST

START_TEST(words_say_something)
{
    struct words words;
    json_t *vocabulary = json_pack("[s, s]", "sidecar", "port");
    words_read("Hello, the sidecar and the SIDECAR cannot reach ports 8080 of order-api; it is in v1.14.4", vocabulary,
               &words);
    static const struct {
        const char *text;
        bool known;
    } expected[] = {{"sidecar", true}, {"reach", false},    {"ports", true},
                    {"8080", false},   {"order-api", true}, {"v1.14.4", true}};
    ck_assert_uint_eq(words.n, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < words.n; i++) {
        ck_assert_str_eq(words.at[i].text, expected[i].text);
        ck_assert_msg(words.at[i].known == expected[i].known, "%s", words.at[i].text);
    }
    char many[4096] = "";
    for (int i = 0; i < 400; i++) {
        char word[16];
        snprintf(word, sizeof word, "word%d ", i);
        strncat(many, word, sizeof many - strlen(many) - 1);
    }
    words_read(many, vocabulary, &words);
    ck_assert_uint_eq(words.n, WORDS_MAX);
    json_decref(vocabulary);
}
END_TEST

/* ---- the analysis ---- */

static json_t *aspects(void)
{
    return json_loads("[{\"aspect\": \"connectivity\", \"always\": true, \"terms\": \"network\"},"
                      " {\"aspect\": \"configuration\", \"always\": true, \"terms\": \"settings\"},"
                      " {\"aspect\": \"compatibility\", \"always\": true, \"terms\": \"version\"},"
                      " {\"aspect\": \"state\", \"words\": [\"redis\", \"lost data\"], \"terms\": \"store\"},"
                      " {\"aspect\": \"security\", \"words\": [\"tls\"], \"terms\": \"certificate\"}]",
                      0, NULL);
}

START_TEST(aspects_are_asked_about)
{
    json_t *setting = aspects(), *vocabulary = json_pack("[s, s]", "redis", "sidecar");
    json_t *list = analysis_aspects(setting, vocabulary, "We lost data in Redis, says the sidecar", 3);
    static const char *const expected[][2] = {{"connectivity", "redis sidecar network"},
                                              {"configuration", "redis sidecar settings"},
                                              {"compatibility", "redis sidecar version"},
                                              {"symptom", "redis sidecar"},
                                              {"state", "redis lost data store"}};
    ck_assert_uint_eq(json_array_size(list), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(cvm_json_str(json_array_get(list, i), "aspect", ""), expected[i][0]);
        ck_assert_str_eq(cvm_json_str(json_array_get(list, i), "query", ""), expected[i][1]);
    }
    json_decref(list);
    list = analysis_aspects(setting, vocabulary, "Nothing of the trade", 6); /* as many as there are */
    ck_assert_uint_eq(json_array_size(list), 6);
    ck_assert_str_eq(cvm_json_str(json_array_get(list, 3), "query", ""), "Nothing of the trade");
    json_decref(list);
    json_decref(setting);
    json_decref(vocabulary);
}
END_TEST

static json_t *result(const char *id, double relevance, const char *text)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:s}", "document_id", id, "title", id, "source", "s", "relevance", relevance,
                     "text", text);
}

static json_t *part(const char *aspect, json_t *results)
{
    return json_pack("{s:s, s:{s:o}}", "name", aspect, "data", "results", results);
}

START_TEST(documents_have_to_fit)
{
    json_t *vocabulary = json_pack("[s, s, s]", "redis", "password", "settings");
    json_t *parts = json_pack(
        "[o, o]",
        part("configuration",
             json_pack("[o, o, o]", result("general", 0.9, "How settings are read"),
                       result("redis", 0.35, "# Redis\n\nRedis wants a **password**.\n\n1. Set `it`.\n2. Try."),
                       result("weak", 0.1, "redis password everywhere"))),
        part("symptom", json_pack("[o]", result("redis", 0.2, "x"))));
    json_t *documents = analysis_documents(parts, vocabulary, "Redis asks for a password");
    ck_assert_uint_eq(json_array_size(documents), 2); /* what the aspect's own term led to is no answer */
    const json_t *best = json_array_get(documents, 0), *weak = json_array_get(documents, 1);
    ck_assert_int_eq(json_is_true(json_object_get(best, "fits")), 1);
    ck_assert_str_eq(cvm_json_str(best, "document_id", ""), "redis");
    ck_assert_uint_eq(json_array_size(json_object_get(best, "aspects")), 1); /* 0.2 is of no relevance to the other */
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(best, "by"), "configuration")), 0.35);
    ck_assert_str_eq(cvm_json_str(weak, "document_id", ""), "weak"); /* for its words alone */
    ck_assert_uint_eq(json_array_size(json_object_get(weak, "aspects")), 0);
    ck_assert_double_eq(json_number_value(json_object_get(weak, "symptom")), 0);
    ck_assert_double_gt(json_number_value(json_object_get(weak, "fit")), 0);
    json_t *r = analysis_by_rules(documents, parts, "");
    ck_assert(json_is_true(json_object_get(r, "found")));
    json_decref(r);
    json_decref(documents);
    json_array_append_new(parts, part("symptom", json_pack("[o]", result("weak", 0.8, "y")))); /* found better later */
    documents = analysis_documents(parts, vocabulary, "Redis asks for a password");
    best = json_array_get(documents, 0);
    ck_assert_str_eq(cvm_json_str(best, "document_id", ""), "weak");
    ck_assert_str_eq(cvm_json_str(best, "text", ""), "redis password everywhere");
    ck_assert_double_eq(json_number_value(json_object_get(best, "relevance")), 0.8);
    ck_assert_double_eq(json_number_value(json_object_get(best, "symptom")), 0.8);
    json_decref(documents);
    json_array_remove(parts, json_array_size(parts) - 1);
    documents = analysis_documents(parts, vocabulary, "My football team lost");
    ck_assert_uint_eq(json_array_size(documents), 0);
    r = analysis_by_rules(documents, parts, "look again");
    ck_assert(json_is_false(json_object_get(r, "found")));
    ck_assert(json_real_value(json_object_get(r, "confidence")) == 0);
    ck_assert_ptr_nonnull(strstr(cvm_json_str(r, "analysis", ""), "look again"));
    ck_assert_uint_gt(json_array_size(json_object_get(r, "resolution_steps")), 0);
    json_decref(r);
    json_decref(documents);
    json_decref(parts);
    json_decref(vocabulary);
}
END_TEST

START_TEST(rules_read_cause_and_steps)
{
    json_t *parts = json_pack(
        "[o]", part("symptom", json_pack("[o, o]",
                                         result("a", 0.9,
                                                "# Title\n\nThe **cause** is\nthis `port`.\n\n1. First.\n2. Second.\n\n"
                                                "More text.\n"),
                                         result("b", 0.3, "Other.\n\n1. Third."))));
    json_t *documents = analysis_documents(parts, NULL, "anything");
    json_t *r = analysis_by_rules(documents, parts, "");
    ck_assert_str_eq(cvm_json_str(r, "root_cause", ""), "The cause is this port.");
    const json_t *steps = json_object_get(r, "resolution_steps");
    ck_assert_uint_eq(json_array_size(steps), 2); /* the other is much less sure */
    ck_assert_str_eq(json_string_value(json_array_get(steps, 1)), "Second.");
    ck_assert(json_real_value(json_object_get(r, "confidence")) > 0.8);
    ck_assert_ptr_nonnull(strstr(cvm_json_str(r, "analysis", ""), "As to symptom: a (a)."));
    json_decref(r);
    json_decref(documents);
    json_decref(parts);
}
END_TEST

/* ---- the message ---- */

START_TEST(letters_say_all)
{
    static char subject[SUBJECT_SIZE], text[LETTER_SIZE];
    json_t *steps = json_pack("[s, s]", "Set the port.", "Restart the pod.");
    struct letter l = {.name = "Amara Cole",
                       .ticket_id = "TICK1",
                       .description = "It\n does not  connect",
                       .company = "Acme",
                       .plan = "Basic",
                       .root_cause = "A wrong port.",
                       .steps = steps,
                       .solution = "",
                       .sender = "Desk",
                       .entitled = true,
                       .found = true};
    letter_write(&l, subject, text);
    ck_assert(strstr(text, "Dear Amara Cole,") && strstr(text, "    It does not connect\n") &&
              strstr(text, "A wrong port."));
    ck_assert(strstr(text, "1. Set the port.\n2. Restart the pod.") && strstr(text, "Desk") &&
              strstr(subject, "TICK1"));
    ck_assert(letter_complete(&l, text));
    ck_assert(letter_complete(&l, "Amara Cole, TICK1: Set  the\nport. and Restart the pod."));
    ck_assert(!letter_complete(&l, "Amara Cole, TICK1: Set the port."));
    ck_assert(!letter_complete(&l, "Amara Cole: Set the port. Restart the pod."));
    ck_assert(!letter_complete(&l, "TICK1: Set the port. Restart the pod."));
    l.solution = "Use port 8080";
    letter_write(&l, subject, text);
    ck_assert(strstr(text, "Use port 8080") && !strstr(text, "Set the port.") && !strstr(text, "A wrong port."));
    ck_assert(!letter_complete(&l, "Amara Cole, TICK1: Set the port. Restart the pod."));
    l.entitled = false;
    letter_write(&l, subject, text);
    ck_assert(strstr(text, "The plan Basic of Acme does not include") && !strstr(text, "8080") &&
              letter_complete(&l, text));
    json_decref(steps);
}
END_TEST

START_TEST(letters_are_bounded)
{
    static char subject[SUBJECT_SIZE], text[LETTER_SIZE];
    char *large = malloc(20001);
    memset(large, 'x', 20000);
    large[20000] = '\0';
    struct letter l = {.name = large,
                       .ticket_id = "T",
                       .description = large,
                       .company = large,
                       .plan = large,
                       .root_cause = large,
                       .solution = large,
                       .sender = large,
                       .entitled = true,
                       .found = true};
    letter_write(&l, subject, text);
    ck_assert_uint_lt(strlen(text), LETTER_SIZE);
    free(large);
}
END_TEST

/* ---- turn by turn ---- */

static struct harness *started(void)
{
    struct harness *h = harness_new(0);
    harness_add(h, &cvm_plugin, AGENTS_MANIFEST);
    return h;
}

static json_t *ticket(void)
{
    return json_pack("{s:{s:s, s:s, s:s}}", "ticket", "ticket_id", "T1", "customer_id", "C1", "description",
                     "Redis asks for a password");
}

static const char *code_of(const json_t *data)
{
    return cvm_json_str(data, "code", "");
}

START_TEST(triage_tells_apart)
{
    struct harness *h = started();
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_ERROR); /* there are no stores */
    ck_assert_str_eq(code_of(r), "STORE_UNAVAILABLE");
    harness_stub(h, "role:store", "put", CVM_REPLIED, NULL);
    harness_stub(h, "role:store", "get", CVM_REFUSED, json_pack("{s:s}", "code", "NOT_FOUND"));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REFUSED);
    ck_assert_str_eq(code_of(r), "CUSTOMER_NOT_FOUND");
    harness_stub(h, "role:store", "get", CVM_TIMEOUT, NULL);
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_ERROR);
    ck_assert_str_eq(code_of(r), "STORE_UNAVAILABLE");
    harness_stub(h, "role:store", "get", CVM_REPLIED,
                 json_pack("{s:{s:s, s:b}}", "value", "plan", "Gold", "support_entitled", 1));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED);
    ck_assert(cvm_json_bool(r, "entitled", false));
    ck_assert_uint_eq(json_array_size(json_object_get(r, "tools")), 2);
    harness_stub(h, "role:store", "get", CVM_REPLIED, json_pack("{s:{s:s}}", "value", "plan", "Gold"));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED);
    ck_assert(!cvm_json_bool(r, "entitled", true)); /* nobody is who does not say so */
    char wide[202] = "x";                           /* cut within a character wherever it is cut */
    for (size_t i = 1; i < 200; i += 2)
        memcpy(wide + i, "\xc3\xa9", 3);
    harness_stub(
        h, "role:store", "get", CVM_REPLIED,
        json_pack("{s:{s:s, s:s, s:[s, s]}}", "value", "company_name", wide, "plan", wide, "applications", wide, wide));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED);
    ck_assert(*cvm_json_str(r, "summary", ""));
    ck_assert_uint_eq(json_object_size(harness_state(h, TRIAGE)), 0);
    harness_free(h);
}
END_TEST

/* Stores that give several values at once; what they answer is a stub's. */
static const cvm_component able_components[] = {{.id = "test.stores", .state_version = 1}, {0}};

static int unasked(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_EFAULT;
}

static const cvm_route able_routes[] = {
    {"test.stores", "get", unasked}, {"test.stores", "get_several", unasked}, {"test.stores", "put", unasked}, {0}};

static int able_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route)
{
    (void)instance;
    return able_routes[route].handler(t, m);
}

static const cvm_plugin_descriptor able = {.magic = CVM_MAGIC,
                                           .size = sizeof(cvm_plugin_descriptor),
                                           .abi_major = CVM_ABI_MAJOR,
                                           .abi_minor = CVM_ABI_MINOR,
                                           .name = "able",
                                           .version = "1.0.0",
                                           .components = able_components,
                                           .routes = able_routes,
                                           .turn = able_turn};

static const char able_manifest[] =
    "{\"manifest\": 1, \"name\": \"able\", \"version\": \"1.0.0\", \"components\": [{\"id\": \"test.stores\", "
    "\"kind\": "
    "\"provider\", \"roles\": [\"store\"], \"state_version\": 1, \"operations\": [{\"type\": \"get\"}, {\"type\": "
    "\"get_several\"}, {\"type\": \"put\"}]}]}";

static size_t sent_of(struct harness *h, const char *type)
{
    const json_t *sent = harness_sent(h);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(sent); i++)
        n += strcmp(cvm_json_str(json_array_get(sent, i), "type", ""), type) == 0;
    return n;
}

/* Both tools in one request; each by itself where that is not answered, and what is wrong is said as it is then. */
START_TEST(triage_asks_together)
{
    struct harness *h = started();
    const json_t *r, *tools;
    harness_add(h, &able, able_manifest);
    harness_stub(h, "role:store", "put", CVM_REPLIED, NULL);
    json_t *customer = json_pack("{s:{s:s, s:b}, s:i}", "value", "plan", "Gold", "support_entitled", 1, "version", 3);
    json_t *system = json_pack("{s:{s:s}, s:i}", "value", "dapr_version", "1.14", "version", 1);
    harness_stub(h, "role:store", "get_several", CVM_REPLIED, json_pack("{s:[O, o]}", "found", customer, system));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED);
    ck_assert_uint_eq(sent_of(h, "get"), 0);
    ck_assert(cvm_json_bool(r, "entitled", false));
    ck_assert_str_eq(cvm_json_str(json_object_get(r, "system"), "dapr_version", ""), "1.14");
    tools = json_object_get(r, "tools");
    ck_assert_str_eq(cvm_json_str(json_array_get(tools, 0), "tool", ""), "lookup_customer");
    ck_assert_str_eq(cvm_json_str(json_array_get(tools, 1), "tool", ""), "lookup_system_info");
    ck_assert(cvm_json_bool(json_array_get(tools, 1), "found", false));
    ck_assert_uint_eq(json_array_size(json_object_get(r, "audit")), 2);
    harness_stub(h, "role:store", "get_several", CVM_REPLIED,
                 json_pack("{s:[o, {s:s}]}", "found", customer, "code", "NOT_FOUND"));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED); /* a system may be unknown */
    ck_assert(!cvm_json_bool(json_array_get(json_object_get(r, "tools"), 1), "found", true));
    harness_stub(h, "role:store", "get_several", CVM_REPLIED,
                 json_pack("{s:[{s:s}, {s:s}]}", "found", "code", "NOT_FOUND", "code", "NOT_FOUND"));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REFUSED);
    ck_assert_str_eq(code_of(r), "CUSTOMER_NOT_FOUND");
    ck_assert_uint_eq(sent_of(h, "get"), 0);
    harness_stub(h, "role:store", "get_several", CVM_TIMEOUT, NULL);
    harness_stub(h, "role:store", "get", CVM_REPLIED, json_pack("{s:{s:s}}", "value", "plan", "Gold"));
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_REPLIED);
    ck_assert_uint_eq(sent_of(h, "get"), 2);
    ck_assert_str_eq(cvm_json_str(r, "plan", ""), "Gold");
    harness_stub(h, "role:store", "get", CVM_TIMEOUT, NULL);
    ck_assert_int_eq(harness_ask(h, TRIAGE, "run", ticket(), &r), CVM_ERROR);
    ck_assert_str_eq(code_of(r), "STORE_UNAVAILABLE");
    ck_assert_uint_eq(json_object_size(harness_state(h, TRIAGE)), 0);
    harness_free(h);
}
END_TEST

START_TEST(expert_needs_one_answer)
{
    struct harness *h = started();
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, EXPERT, "analyse", ticket(), &r), CVM_ERROR);
    ck_assert_str_eq(code_of(r), "KB_UNAVAILABLE");
    harness_stub(h, "role:store", "put", CVM_REPLIED, NULL);
    harness_stub(h, "role:kb", "query", CVM_TIMEOUT, NULL);
    ck_assert_int_eq(harness_ask(h, EXPERT, "analyse", ticket(), &r), CVM_ERROR);
    ck_assert_str_eq(code_of(r), "KB_UNAVAILABLE");
    /* Any provider's form of a result: the text beside the id, or in passages. */
    harness_stub(h, "role:kb", "query", CVM_REPLIED,
                 json_pack("{s:[{s:s, s:f, s:s}]}", "results", "document_id", "D", "relevance", 0.9, "text",
                           "Redis wants its password.\n\n1. Set it."));
    ck_assert_int_eq(harness_ask(h, EXPERT, "analyse", ticket(), &r), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(r, "root_cause", ""), "Redis wants its password.");
    ck_assert_uint_ge(json_array_size(json_object_get(r, "queries")), 4);
    ck_assert_str_eq(cvm_json_str(r, "source", ""), "rules");
    ck_assert_uint_eq(json_object_size(harness_state(h, EXPERT)), 0);
    harness_free(h);
}
END_TEST

/* All aspects in one request; each by itself of a knowledge base that does not take that. */
START_TEST(expert_asks_together)
{
    struct harness *h = started();
    const json_t *r, *queries;
    harness_stub(h, "role:store", "put", CVM_REPLIED, NULL);
    json_t *found = json_pack("{s:s, s:f, s:s}", "document_id", "D", "relevance", 0.9, "text", "Redis wants it.");
    json_t *again = json_pack("{s:s, s:f}", "document_id", "D", "relevance", 0.4);
    harness_stub(h, "role:kb", "query", CVM_REPLIED,
                 json_pack("{s:[o], s:I, s:[{s:[o]}, {s:b}, {s:[]}]}", "results", found, "ended_ms", (json_int_t)7,
                           "more", "results", again, "failed", 1, "results"));
    ck_assert_int_eq(harness_ask(h, EXPERT, "analyse", ticket(), &r), CVM_REPLIED);
    ck_assert_uint_eq(sent_of(h, "query"), 1);
    queries = json_object_get(r, "queries");
    ck_assert_uint_ge(json_array_size(queries), 4);
    ck_assert_int_eq(cvm_json_int(json_array_get(queries, 0), "results_count", -1), 1);
    ck_assert_str_eq(cvm_json_str(json_array_get(queries, 0), "ended_at", ""), "1970-01-01T00:00:00.007Z");
    ck_assert_int_eq(cvm_json_int(json_array_get(queries, 1), "results_count", -1), 1);
    ck_assert(!cvm_json_bool(json_array_get(queries, 2), "answered", true));
    ck_assert(cvm_json_bool(json_array_get(queries, 3), "answered", false));
    size_t before = sent_of(h, "query");
    harness_stub(h, "role:kb", "query", CVM_REFUSED, json_pack("{s:s}", "code", "ONE_QUESTION"));
    ck_assert_int_eq(harness_ask(h, EXPERT, "analyse", ticket(), &r), CVM_ERROR);
    ck_assert_str_eq(code_of(r), "KB_UNAVAILABLE");
    ck_assert_uint_ge(sent_of(h, "query") - before, 5);
    ck_assert_uint_eq(json_object_size(harness_state(h, EXPERT)), 0);
    harness_free(h);
}
END_TEST

START_TEST(messages_are_delivered_or_kept)
{
    struct harness *h = started();
    const json_t *r;
    json_t *request = ticket();
    json_object_set_new(request, "outputs",
                        json_pack("{s:{s:b, s:{s:s, s:s}}, s:{s:s}}", "triage", "entitled", 1, "customer",
                                  "contact_name", "Amara", "contact_email", "a@b.example", "approval", "final_solution",
                                  "Set it"));
    harness_stub(h, "role:store", "put", CVM_REPLIED, NULL);
    ck_assert_int_eq(harness_ask(h, NOTIFICATION, "create", json_deep_copy(request), &r), CVM_REPLIED);
    ck_assert(!cvm_json_bool(r, "delivered", true) && !json_object_get(r, "delivery_error"));
    json_object_set_new(harness_settings(h, NOTIFICATION), "notify_channel", json_string("email"));
    harness_stub(h, "role:channel", "deliver", CVM_REPLIED, json_pack("{s:s}", "status", "sent"));
    ck_assert_int_eq(harness_ask(h, NOTIFICATION, "create", json_deep_copy(request), &r), CVM_REPLIED);
    ck_assert(cvm_json_bool(r, "delivered", false));
    ck_assert_str_eq(cvm_json_str(r, "channel", ""), "email");
    const json_t *sent = harness_sent(h);
    bool delivered = false;
    for (size_t i = 0; i < json_array_size(sent); i++) {
        const json_t *data = json_object_get(json_array_get(sent, i), "data");
        if (strcmp(cvm_json_str(json_array_get(sent, i), "type", ""), "deliver") != 0)
            continue;
        delivered = true;
        ck_assert_str_eq(cvm_json_str(data, "to", ""), "a@b.example");
        ck_assert_ptr_nonnull(strstr(cvm_json_str(data, "reference", ""), "T1"));
    }
    ck_assert(delivered);
    harness_stub(h, "role:channel", "deliver", CVM_REFUSED, json_pack("{s:s}", "message", "mailbox full"));
    ck_assert_int_eq(harness_ask(h, NOTIFICATION, "create", request, &r), CVM_REPLIED);
    ck_assert(!cvm_json_bool(r, "delivered", true));
    ck_assert_str_eq(cvm_json_str(r, "delivery_error", ""), "mailbox full");
    ck_assert_uint_eq(json_object_size(harness_state(h, NOTIFICATION)), 0);
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("support_agents");
    TCase *c = tcase_create("support_agents");
    tcase_add_test(c, words_are_forms_of_one_another);
    tcase_add_test(c, words_say_something);
    tcase_add_test(c, aspects_are_asked_about);
    tcase_add_test(c, documents_have_to_fit);
    tcase_add_test(c, rules_read_cause_and_steps);
    tcase_add_test(c, letters_say_all);
    tcase_add_test(c, letters_are_bounded);
    tcase_add_test(c, triage_tells_apart);
    tcase_add_test(c, triage_asks_together);
    tcase_add_test(c, expert_needs_one_answer);
    tcase_add_test(c, expert_asks_together);
    tcase_add_test(c, messages_are_delivered_or_kept);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
