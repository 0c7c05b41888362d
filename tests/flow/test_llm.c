/* Language models on the real host, against a server that behaves like the real ones: who is asked, what is recorded,
 * what is masked, what happens when it is busy, slow, broken or answers nonsense; and that without one nothing is
 * asked. */
#include "flow_llm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *ask(struct flow *f, const char *data)
{
    int status = 0;
    json_t *answer = flow_call(f, "provider.llm", "chat", data, &status);
    ck_assert_msg(answer, "chat %s: %d", data, status);
    return answer;
}

#define HELLO "{\"messages\": [{\"role\": \"user\", \"content\": \"hello there\"}], \"model\": \"gpt-4o-mini\"}"
#define SCHEMA                                                                                                         \
    "\"schema\": {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"colour\", \"n\"], "          \
    "\"properties\": {\"colour\": {\"enum\": [\"red\", \"blue\"]}, \"n\": {\"type\": \"integer\"}}}"
#define DATA                                                                                                           \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"which colour\"}], \"model\": \"gpt-4o-mini\", " SCHEMA "}"

/* ---- who is asked ---- */

START_TEST(providers_are_there_and_chosen)
{
    struct flow *f = llm_home();
    llm_endpoint(f, "hosted", "{\"model\": \"hosted-1\", \"prices\": {\"*\": {\"input\": 1, \"output\": 2}}}");
    llm_endpoint(f, "local", "{\"model\": \"local-1\"}");
    flow_config(f, "roles.llm", json_pack("[s, s]", "provider.llm.local", "provider.llm.openai"));
    flow_start(f);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "list"), 0);
    flow_answer_free(&a);
    static const char *const all[] = {"openai", "hosted", "local", "rules"};
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "list", "--kind", "provider"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "llm"));
    flow_answer_free(&a);
    for (size_t i = 0; i < 4; i++) {
        char id[64];
        snprintf(id, sizeof id, "provider.llm.%s", all[i]);
        EXPECT(f, 0, id, "plugin", "info", "llm");
    }
    json_t *answer = ask(f, HELLO); /* the operator's order */
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.local");
    ck_assert_str_eq(text_of(answer, "model"), "local-1");
    ck_assert_str_eq(text_of(answer, "content"), "You said: hello there");
    ck_assert(json_is_false(json_object_get(answer, "fallback_used")));
    json_decref(answer);
    static const struct {
        const char *provider, *answers;
    } wishes[] = {{"\"openai\"", "provider.llm.openai"},
                  {"\"provider.llm.hosted\"", "provider.llm.hosted"},
                  {"[\"hosted\", \"local\"]", "provider.llm.hosted"},
                  {"\"rules\"", "provider.llm.rules"},
                  {"\"auto\"", "provider.llm.local"}};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        char data[256];
        snprintf(
            data, sizeof data,
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"provider\": %s, \"model\": \"gpt-4o-mini\"}",
            wishes[i].provider);
        answer = ask(f, data);
        ck_assert_msg(!strcmp(text_of(answer, "provider"), wishes[i].answers), "%s: %s", wishes[i].provider,
                      text_of(answer, "provider"));
        json_decref(answer);
    }
    /* Whoever holds the role may be asked; the one that is asked by its name is the first. */
    answer = flow_call(f, "provider.llm.openai", "chat", HELLO, NULL);
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.openai");
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(area_has_its_provider)
{
    struct flow *f = llm_home();
    llm_endpoint(f, "local", "{\"model\": \"local-1\"}");
    flow_config(f, "agents", json_incref(json_object_get(f->config, "agents")));
    json_object_set_new(json_object_get(f->config, "agents"), "provider.llm",
                        json_pack("{s:{s:{s:s}}}", "settings", "areas", "support", "local"));
    flow_start(f);
    json_t *answer =
        ask(f, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"agent\": \"support.triage\"}");
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.local");
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(without_key_rules_answer)
{
    struct flow *f = flow_new();
    flow_plugin(f, "llm");
    flow_start(f);
    json_t *answer = ask(f, HELLO);
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.rules");
    ck_assert(json_is_true(json_object_get(answer, "fallback_used")));
    ck_assert_str_eq(text_of(answer, "reason"), "configuration");
    ck_assert_ptr_null(json_object_get(answer, "content"));
    json_decref(answer);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from llm_calls"), 0);
    EXPECT(f, 0, "not set up", "llm", "status");
    flow_end(f);
}
END_TEST

/* ---- structured answers and tools ---- */

static const char *const structured[] = {"json_schema", "tool", "json_object"};

START_TEST(schema_is_in_the_request)
{
    struct flow *f = llm_home();
    json_t *settings = llm_settings(f, "openai");
    json_object_set_new(settings, "structured", json_string(structured[_i]));
    json_object_set_new(settings, "stream", json_boolean(_i == 1));
    flow_start(f);
    llm_script(f, "{\"data\": {\"colour\": \"blue\", \"n\": 3}}");
    json_t *answer = ask(f, DATA), *requests = llm_requests(f);
    ck_assert_str_eq(text_of(json_object_get(answer, "data"), "colour"), "blue");
    ck_assert_int_eq(int_of(json_object_get(answer, "data"), "n"), 3);
    const json_t *body = json_object_get(json_array_get(requests, 0), "body");
    const json_t *format = json_object_get(body, "response_format");
    char *text = json_dumps(body, JSON_COMPACT);
    ck_assert_ptr_nonnull(strstr(text, "\"enum\":[\"red\",\"blue\"]") ? strstr(text, "enum")
                                                                      : strstr(text, "\\\"red\\\""));
    if (_i == 0) {
        const json_t *its = json_object_get(format, "json_schema");
        ck_assert_str_eq(text_of(format, "type"), "json_schema");
        ck_assert(json_is_true(json_object_get(its, "strict")));
        ck_assert_ptr_nonnull(json_object_get(json_object_get(json_object_get(its, "schema"), "properties"), "colour"));
    } else if (_i == 1) {
        ck_assert_str_eq(text_of(json_object_get(json_object_get(body, "tool_choice"), "function"), "name"), "answer");
        ck_assert_ptr_null(format);
    } else {
        ck_assert_str_eq(text_of(format, "type"), "json_object");
    }
    free(text);
    json_decref(requests);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(tools_are_called_and_answered)
{
    struct flow *f = llm_home();
    json_object_set_new(llm_settings(f, "openai"), "stream", json_boolean(_i));
    flow_start(f);
#define TOOL                                                                                                           \
    "\"tools\": [{\"name\": \"verify_meter\", \"parameters\": {\"type\": \"object\", \"properties\": {\"meter\": "     \
    "{\"type\": \"string\"}}}}]"
    llm_script(f, "{\"data\": {\"meter\": \"11111111111\"}}");
    json_t *answer =
        ask(f, "{\"messages\": [{\"role\": \"user\", \"content\": \"check\"}], \"model\": \"gpt-4o-mini\", " TOOL "}");
    const json_t *call = json_array_get(json_object_get(answer, "tool_calls"), 0);
    ck_assert_str_eq(text_of(call, "name"), "verify_meter");
    ck_assert_str_eq(text_of(json_object_get(call, "arguments"), "meter"), "11111111111");
    json_t *second = json_pack("{s:[{s:s, s:s}, {s:s, s:[O]}, {s:s, s:O, s:s}], s:s, s:i, s:[{s:s}]}", "messages",
                               "role", "user", "content", "check", "role", "assistant", "tool_calls", call, "role",
                               "tool", "tool_call_id", json_object_get(call, "id"), "content", "the meter is fine",
                               "model", "gpt-4o-mini", "iteration", 1, "tools", "name", "verify_meter");
    char *text = json_dumps(second, 0);
    json_t *said = ask(f, text);
    ck_assert_str_eq(text_of(said, "content"), "the meter is fine");
    json_decref(said);
    free(text);
    json_decref(second);
    json_decref(answer);
    /* After so many rounds it must answer without tools. */
    answer = ask(f, "{\"messages\": [{\"role\": \"user\", \"content\": \"check\"}], \"model\": \"gpt-4o-mini\", "
                    "\"iteration\": 2, \"max_iterations\": 2, " TOOL "}");
    ck_assert_ptr_null(json_object_get(answer, "tool_calls"));
    ck_assert_str_eq(text_of(answer, "content"), "You said: check");
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(wrong_schema_is_repaired_once)
{
    struct flow *f = llm_home();
    flow_start(f);
    llm_script(f, "[{\"fault\": \"wrong_schema\"}, {\"data\": {\"colour\": \"red\", \"n\": 1}}]");
    json_t *answer = ask(f, DATA), *requests = llm_requests(f);
    ck_assert_str_eq(text_of(json_object_get(answer, "data"), "colour"), "red");
    ck_assert_uint_eq(json_array_size(requests), 2);
    const json_t *messages = json_object_get(json_object_get(json_array_get(requests, 1), "body"), "messages");
    ck_assert_uint_eq(json_array_size(messages), 3);
    ck_assert_ptr_nonnull(strstr(text_of(json_array_get(messages, 2), "content"), "colour: is missing"));
    json_decref(requests);
    json_decref(answer);
    llm_script(f, "[{\"fault\": \"text\"}, {\"fault\": \"text\"}]"); /* prose is never searched for data */
    answer = ask(f, DATA);
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.rules");
    ck_assert_str_eq(text_of(answer, "reason"), "wrong_schema");
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from llm_calls where outcome = 'wrong_schema'"), 3);
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* ---- streams ---- */

START_TEST(streams_are_put_together)
{
    struct flow *f = llm_home();
    json_object_set_new(llm_settings(f, "openai"), "stream", json_true());
    flow_start(f);
    llm_script(f, "{\"content\": \"\\u20a61,000 \\u00e8k\\u00f3 \\ud83d\\ude00 for you\"}");
    json_t *answer = ask(f, HELLO);
    ck_assert_str_eq(text_of(answer, "content"), "₦1,000 èkó 😀 for you");
    ck_assert_int_gt(int_of(json_object_get(answer, "usage"), "output_tokens"), 0);
    json_decref(answer);
    llm_script(f, "{\"fault\": \"half\"}"); /* half a stream is no answer */
    answer = ask(f, HELLO);
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.rules");
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* ---- what goes wrong ---- */

static const struct {
    const char *fault, *outcome;
} faults[] = {{"429", "rate_limited"}, {"insufficient_quota", "quota"}, {"500", "server_error"},
              {"503", "server_error"}, {"401", "unauthorized"},         {"400", "bad_request"},
              {"cut", "connection"},   {"half", "connection"},          {"wrong_json", "unreadable"},
              {"refusal", "refused"},  {"length", "truncated"},         {"wrong_arguments", "unreadable"},
              {"hang", "timeout"}};

START_TEST(next_provider_answers)
{
    struct flow *f = llm_home();
    llm_endpoint(f, "local", "{\"model\": \"local-1\"}");
    flow_config(f, "roles.llm", json_pack("[s, s]", "provider.llm.openai", "provider.llm.local"));
    json_object_set_new(llm_settings(f, "openai"), "timeout_ms", json_integer(700));
    flow_start(f);
    char script[96], sql[128];
    snprintf(script, sizeof script, "{\"fault\": \"%s\", \"model\": \"gpt-4o-mini\", \"retry_after\": 60}",
             faults[_i].fault);
    llm_script(f, script);
    json_t *answer = ask(f, HELLO);
    ck_assert_msg(!strcmp(text_of(answer, "provider"), "provider.llm.local"), "%s: %s, %s", faults[_i].fault,
                  text_of(answer, "provider"), text_of(answer, "reason"));
    ck_assert(json_is_true(json_object_get(answer, "fallback_used")));
    json_decref(answer);
    snprintf(sql, sizeof sql,
             "select count(*) from llm_calls where provider = 'provider.llm.openai' and outcome = '%s'",
             faults[_i].outcome);
    ck_assert_msg(flow_sql_int(f, sql) == 1, "%s: no row %s", faults[_i].fault, faults[_i].outcome);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from llm_calls where outcome = 'ok' and fallback = 1"), 1);
    flow_end(f);
}
END_TEST

START_TEST(patience_is_kept_and_tried_again)
{
    struct flow *f = llm_home();
    flow_start(f);
    int64_t began = flow_now_ms();
    llm_script(f, "{\"fault\": \"429\", \"retry_after\": 1}");
    json_t *answer = ask(f, HELLO); /* nobody else is there: it waits for so short a time */
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.openai");
    ck_assert_int_ge(flow_now_ms() - began, 1000);
    json_decref(answer);
    llm_script(f, "{\"fault\": \"429\", \"retry_after\": 30}");
    for (int i = 0; i < 3; i++) { /* not asked again before its time */
        answer = ask(f, HELLO);
        ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.rules");
        json_decref(answer);
    }
    EXPECT(f, 0, "held", "llm", "status");
    json_t *requests = llm_requests(f);
    ck_assert_uint_eq(json_array_size(requests), 3);
    json_decref(requests);
    flow_end(f);
}
END_TEST

START_TEST(one_that_failed_is_tried_later)
{
    struct flow *f = llm_home();
    flow_start(f);
    llm_script(f, "{\"fault\": \"500\"}");
    json_t *answer = ask(f, HELLO); /* held for a second, which is short enough to wait for */
    json_decref(answer);
    llm_script(f, "[{\"fault\": \"500\"}, {\"fault\": \"500\"}]");
    for (int i = 0; i < 2; i++)
        json_decref(ask(f, HELLO));
    FLOW_UNTIL(llm_answers(f, HELLO, "provider.llm.openai"));
    EXPECT(f, 0, "works", "llm", "status");
    flow_end(f);
}
END_TEST

START_TEST(never_answered_ends_in_time)
{
    struct flow *f = llm_home();
    flow_start(f);
    llm_script(f, "{\"fault\": \"hang\"}");
    int64_t began = flow_now_ms();
    json_t *answer = ask(
        f,
        "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"model\": \"gpt-4o-mini\", \"timeout_ms\": 1500}");
    int64_t took = flow_now_ms() - began;
    ck_assert_str_eq(text_of(answer, "provider"), "provider.llm.rules");
    ck_assert_str_eq(text_of(answer, "reason"), "timeout");
    ck_assert(json_is_true(json_object_get(answer, "fallback_used")));
    ck_assert_msg(took >= 1400 && took < 6000, "%lld ms", (long long)took);
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* ---- what is recorded ---- */

START_TEST(calls_are_recorded)
{
    struct flow *f = llm_home();
    flow_start(f);
    json_decref(ask(
        f,
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a secret word: tomatoes\"}], \"model\": \"gpt-4o-mini\", "
        "\"agent\": \"service.qa\", \"purpose\": \"test\", \"enquiry_id\": \"ENQ-000000000001\"}"));
    json_t *rows = flow_sql(f, "select * from llm_calls");
    const json_t *row = json_array_get(rows, 0);
    ck_assert_uint_eq(json_array_size(rows), 1);
    ck_assert_str_eq(text_of(row, "provider"), "provider.llm.openai");
    ck_assert_str_eq(text_of(row, "model"), "gpt-4o-mini");
    ck_assert_str_eq(text_of(row, "agent"), "service.qa");
    ck_assert_str_eq(text_of(row, "purpose"), "test");
    ck_assert_str_eq(text_of(row, "enquiry_id"), "ENQ-000000000001");
    ck_assert_str_eq(text_of(row, "outcome"), "ok");
    int64_t in = int_of(row, "input_tokens"), cached = int_of(row, "cached_tokens"), out = int_of(row, "output_tokens");
    ck_assert(in > 0 && out > 0 && cached > 0);
    double micro = (double)(in - cached) * 0.15 + (double)cached * 0.075 + (double)out * 0.6;
    ck_assert_msg(int_of(row, "cost_micro_usd") >= (int64_t)micro &&
                      int_of(row, "cost_micro_usd") <= (int64_t)micro + 1,
                  "%lld, not %f", (long long)int_of(row, "cost_micro_usd"), micro);
    json_decref(rows);
    EXPECT(f, 0, "gpt-4o-mini", "llm", "calls", "--agent", "service.qa");
    EXPECT(f, 0, "cvmhost_llm_calls_total{provider=\"provider.llm.openai\"} 1", "metrics");
    EXPECT(f, 0, "cvmhost_llm_cost_usd_total{agent=\"service.qa\"}", "metrics");
    EXPECT(f, 0, "cvmhost_llm_cost_ngn_total{agent=\"service.qa\"}", "metrics");
    char *log = flow_log(f);
    ck_assert_ptr_null(strstr(log, "tomatoes")); /* no text of a question or answer */
    ck_assert_ptr_null(strstr(log, LLM_KEY));
    free(log);
    flow_end(f);
}
END_TEST

START_TEST(budget_ends_it)
{
    struct flow *f = llm_home();
    json_t *agents = json_object_get(f->config, "agents");
    json_object_set_new(agents, "provider.llm",
                        json_pack("{s:{s:f, s:f, s:{s:f}}}", "settings", "budget_day_usd", 0.01, "budget_enquiry_usd",
                                  0.0001, "budget_agents_usd", "service.poor", 0.0001));
    flow_start(f);
#define WITH(more)                                                                                                     \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"model\": \"gpt-4o-mini\", \"max_tokens\": "          \
    "100, " more "}"
    int answered = 0;
    const char *data[] = {WITH("\"enquiry_id\": \"ENQ-1\""), WITH("\"agent\": \"service.poor\"")};
    for (int i = 0; i < 200 && answered == i; i++) {
        json_t *answer = ask(f, data[_i]);
        answered += !strcmp(text_of(answer, "provider"), "provider.llm.openai");
        if (answered == i)
            ck_assert_str_eq(text_of(answer, "reason"), "budget");
        json_decref(answer);
    }
    ck_assert_int_gt(answered, 0);
    ck_assert_int_lt(answered, 200);
    ck_assert_int_le(flow_sql_int(f, "select sum(cost_micro_usd) from llm_calls"), 100);
    json_t *other = ask(f, WITH("\"enquiry_id\": \"ENQ-2\"")); /* others are served */
    ck_assert_str_eq(text_of(other, "provider"), "provider.llm.openai");
    json_decref(other);
    flow_end(f);
}
END_TEST

START_TEST(personal_data_stays_here)
{
    struct flow *f = llm_home();
    json_object_set_new(llm_settings(f, "openai"), "personal_data", json_boolean(_i));
    flow_start(f);
    json_t *answer = ask(
        f, "{\"messages\": [{\"role\": \"user\", \"content\": \"Chinedu Okafor, 08031234567, token "
           "1234-5678-9012-3456-7890, "
           "c.okafor@example.com: N1,000 please\"}], \"model\": \"gpt-4o-mini\", \"personal\": [\"Chinedu Okafor\"]}");
    ck_assert_str_eq(text_of(answer, "content"),
                     "You said: Chinedu Okafor, 08031234567, token 1234-5678-9012-3456-7890, "
                     "c.okafor@example.com: N1,000 please");
    json_t *requests = llm_requests(f);
    char *sent = json_dumps(requests, 0);
    static const char *const personal[] = {"08031234567", "Chinedu", "Okafor", "5678", "example.com"};
    for (size_t i = 0; i < sizeof personal / sizeof *personal; i++)
        ck_assert_msg((strstr(sent, personal[i]) != NULL) == _i, "%s in %s", personal[i], sent);
    ck_assert_ptr_nonnull(strstr(sent, "N1,000 please"));
    free(sent);
    json_decref(requests);
    json_decref(answer);
    flow_end(f);
}
END_TEST

/* ---- the agents ---- */

/* The product with a server of models for the named agents; started. */
static struct flow *desk_with(const char *const *agents, json_t *settings)
{
    struct flow *f = desk_home();
    json_t *all = json_object_get(f->config, "agents");
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    for (; *agents; agents++) {
        json_t *its = json_pack("{s:s}", "llm_provider", "auto");
        json_object_update(its, settings);
        json_object_set_new(all, *agents, json_pack("{s:o}", "settings", its));
    }
    json_decref(settings);
    flow_start(f);
    return f;
}

#define CLASSIFIED                                                                                                     \
    "{\"data\": {\"service_domain\": \"DATA\", \"intent\": \"TECHNICAL_ISSUE\", \"priority\": \"LOW\", "               \
    "\"sentiment\": \"NEUTRAL\", \"entities\": {\"phone_numbers\": [\"08099999999\"], \"meter_numbers\": [], "         \
    "\"amounts\": [77], \"networks\": [], \"discos\": []}, \"reasoning\": \"slow\", \"confidence\": 0.83}}"

static json_t *classified(struct flow *f, const char *text)
{
    char data[512];
    snprintf(data, sizeof data, "{\"enquiry_text\": \"%s\"}", text);
    json_t *answer = flow_call(f, "service.classifier", "classify_enquiry", data, NULL);
    ck_assert_msg(answer, "no classification of %s", text);
    return answer;
}

static void check_members(const json_t *answer)
{
    static const char *const members[] = {"service_domain", "intent", "priority", "sentiment", "entities"};
    ck_assert(json_is_true(json_object_get(answer, "success")));
    for (size_t i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(json_object_get(json_object_get(answer, "classification"), members[i]));
}

START_TEST(unsure_messages_are_classified_by_a_model)
{
    struct flow *f = desk_with((const char *const[]){"service.classifier", NULL}, json_pack("{s:f}", "llm_below", 1.1));
    llm_script(f, CLASSIFIED);
    json_t *answer = classified(f, "the thing dey slow well well for 08031234567");
    const json_t *c = json_object_get(answer, "classification");
    check_members(answer);
    ck_assert_str_eq(text_of(c, "service_domain"), "DATA");
    ck_assert_str_eq(text_of(c, "intent"), "TECHNICAL_ISSUE");
    ck_assert(json_is_false(json_object_get(answer, "fallback_used")));
    ck_assert(number_of(answer, "confidence") > 0.829 && number_of(answer, "confidence") < 0.831);
    const json_t *entities = json_object_get(c, "entities"); /* what is not in the message is not believed */
    ck_assert_uint_eq(json_array_size(json_object_get(entities, "phone_numbers")), 1);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(entities, "phone_numbers"), 0)), "08031234567");
    ck_assert_uint_eq(json_array_size(json_object_get(entities, "amounts")), 0);
    json_decref(answer);
    json_t *requests = llm_requests(f);
    char *sent = json_dumps(json_array_get(requests, 0), JSON_COMPACT);
    ck_assert_ptr_nonnull(strstr(sent, "\"json_schema\""));
    ck_assert_ptr_nonnull(strstr(sent, "VERY_NEGATIVE"));
    ck_assert_ptr_nonnull(strstr(sent, "\"temperature\":0.1"));
    ck_assert_ptr_null(strstr(sent, "08031234567"));
    free(sent);
    json_decref(requests);
    flow_end(f);
}
END_TEST

static const char *const nonsense[] = {
    "[{\"fault\": \"text\"}, {\"fault\": \"text\"}]",
    "[{\"fault\": \"wrong_schema\"}, {\"fault\": \"wrong_schema\"}]",
    "{\"fault\": \"500\", \"times\": 5}",
    "{\"data\": {\"service_domain\": \"BANKING\", \"intent\": \"PURCHASE\"}, \"times\": 2}",
    "{\"data\": {\"service_domain\": \"POWER\", \"intent\": \"MANAGEMENT\", \"priority\": \"LOW\", \"sentiment\": "
    "\"NEUTRAL\", "
    "\"entities\": {\"phone_numbers\": [], \"meter_numbers\": [], \"amounts\": [], \"networks\": [], \"discos\": []}, "
    "\"reasoning\": \"\", \"confidence\": 1}, \"times\": 2}",
};

START_TEST(nonsense_falls_back_to_the_rules)
{
    struct flow *f = desk_with((const char *const[]){"service.classifier", NULL}, json_pack("{s:f}", "llm_below", 1.1));
    llm_script(f, nonsense[_i]);
    json_t *answer = classified(f, "buy 500 airtime for 08031234567");
    check_members(answer);
    ck_assert_str_eq(text_of(json_object_get(answer, "classification"), "service_domain"), "AIRTIME");
    ck_assert(json_is_true(json_object_get(answer, "fallback_used")));
    ck_assert(number_of(answer, "confidence") > 0.49 && number_of(answer, "confidence") < 0.51);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(model_that_never_answers_costs_its_timeout)
{
    struct flow *f = desk_with((const char *const[]){"service.classifier", NULL},
                               json_pack("{s:f, s:i}", "llm_below", 1.1, "llm_timeout_ms", 1500));
    llm_script(f, "{\"fault\": \"hang\"}");
    int64_t began = flow_now_ms();
    json_t *answer = desk_say(f, "08031234567", "SMS", "buy 500 airtime for 08031234567");
    int64_t took = flow_now_ms() - began;
    ck_assert_str_eq(text_of(answer, "status"), "RESOLVED");
    ck_assert_ptr_nonnull(json_object_get(answer, "transaction_id"));
    struct flow_answer shown;
    ck_assert_int_eq(
        FLOW_RUN(f, &shown, "enquiry", "show", text_of(answer, "enquiry_id"), "--context", "--output", "json"), 0);
    ck_assert_ptr_nonnull(strstr(shown.text, "\"fallback_used\":true"));
    flow_answer_free(&shown);
    ck_assert_msg(took >= 1400 && took < 10000, "%lld ms", (long long)took);
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) from llm_calls where outcome = 'timeout' and enquiry_id like 'ENQ-%' "
                        "and customer_id <> ''"),
        1);
    json_decref(answer);
    EXPECT(f, 0, "llm_timeout_ms: 1500", "plugin", "info", "service.classifier");
    flow_end(f);
}
END_TEST

START_TEST(wording_keeps_to_the_facts)
{
    static const struct {
        const char *script;
        bool used;
    } wordings[] = {{"{\"template\": \"Well now, here it is. {text}\"}", true},
                    {"{\"template\": \"Well now, here it is. {text} You get 70 naira back.\"}", false},
                    {"{\"template\": \"Well now, here it is: all is done.\"}", false},
                    {"{\"fault\": \"500\"}", false}};
    struct flow *f = desk_with((const char *const[]){"service.response_generator", NULL}, json_object());
    for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++) {
        llm_script(f, wordings[i].script);
        json_t *answer = desk_say(f, NULL, "WEB", "buy 500 MTN airtime for 08031234567");
        const char *text = text_of(answer, "response_text"), *id = text_of(answer, "transaction_id");
        ck_assert_msg((strstr(text, "Well now") != NULL) == wordings[i].used, "%s: %s", wordings[i].script, text);
        ck_assert_msg(*id && strstr(text, "500") && strstr(text, id), "no sum or reference in: %s", text);
        ck_assert_ptr_null(strstr(text, "70 naira"));
        json_decref(answer);
    }
    json_t *requests = llm_requests(f); /* whom it is for stays here */
    char *sent = json_dumps(requests, 0);
    ck_assert_ptr_null(strstr(sent, "08031234567"));
    free(sent);
    json_decref(requests);
    flow_end(f);
}
END_TEST

/* What ResearchAgent answers; the id of the first document it cites goes to `ret_id`. */
static json_t *researched(struct flow *f, char ret_id[64])
{
    json_t *step =
        flow_call(f, "service.research", "handle", "{\"message\": {\"content\": \"how do I borrow airtime\"}}", NULL);
    const json_t *sources = json_object_get(json_object_get(step, "structured_data"), "sources");
    snprintf(ret_id, 64, "%s", text_of(json_array_get(sources, 0), "document_id"));
    return step;
}

START_TEST(research_words_what_it_found)
{
    char id[64], script[160], other[64];
    struct flow *f = desk_with((const char *const[]){"service.research", NULL}, json_object());
    json_t *step = NULL;
    for (int i = 0; i < 100 && (!step || !*id); i++) { /* until the documents have been read in */
        json_decref(step);
        llm_script(f, "{\"content\": \"It is so [kb-of-nobody].\", \"times\": 1}");
        step = researched(f, id);
        flow_sleep_ms(*id ? 0 : 200);
    }
    ck_assert_msg(*id, "nothing was found");
    ck_assert_ptr_null(strstr(text_of(step, "content"), "nobody")); /* what it was not given it may not cite */
    json_decref(step);
    json_decref(llm_http(f, "DELETE", "/script", NULL));
    snprintf(script, sizeof script, "{\"content\": \"It is easy [%s].\"}", id);
    llm_script(f, script);
    step = researched(f, other);
    ck_assert_ptr_nonnull(strstr(text_of(step, "content"), "It is easy ["));
    json_decref(step);
    flow_end(f);
}
END_TEST

START_TEST(at_most_two_questions_and_replay_asks_none)
{
    struct flow *f =
        desk_with((const char *const[]){"service.classifier", "service.qa", "service.response_generator", NULL},
                  json_pack("{s:f}", "llm_below", 1.1));
    llm_script(f, CLASSIFIED);
    llm_script(f, "{\"data\": {\"accuracy\": 1, \"completeness\": 0.9, \"professionalism\": 0.8, \"remarks\": []}}");
    json_t *answer = desk_say(f, "08031234567", "WEB", "my internet is slow since yesterday");
    ck_assert_str_eq(text_of(json_object_get(answer, "classification"), "service_domain"), "DATA");
    json_t *rows = flow_sql(f, "select purpose from llm_calls order by created_at");
    ck_assert_uint_le(json_array_size(rows), 2);
    ck_assert_str_eq(text_of(json_array_get(rows, 0), "purpose"), "classification");
    json_decref(rows);
    json_t *requests = llm_requests(f);
    size_t asked = json_array_size(requests);
    json_decref(requests);
    EXPECT(f, 0, "", "replay", text_of(answer, "enquiry_id"));
    requests = llm_requests(f);
    ck_assert_uint_eq(json_array_size(requests), asked);
    json_decref(requests);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(without_a_provider_nobody_is_asked)
{
    static const char *const messages[] = {"buy 500 airtime for 08031234567", "hmm", "what is the price of light",
                                           "my data is slow and my light is off"};
    struct flow *f = desk_with((const char *const[]){NULL}, json_object());
    for (size_t i = 0; i < 4; i++) {
        json_t *answer = desk_say(f, NULL, "WEB", messages[i]);
        ck_assert_msg(*text_of(answer, "response_text"), "no answer to %s", messages[i]);
        json_decref(answer);
    }
    json_t *requests = llm_requests(f);
    ck_assert_uint_eq(json_array_size(requests), 0);
    json_decref(requests);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from llm_calls"), 0);
    EXPECT(f, 0, "llm_timeout_ms: 60000", "plugin", "info", "service.classifier");
    flow_end(f);
}
END_TEST

START_TEST(tone_suits_the_channel)
{
    struct flow *f = desk_started();
    const char *message = "how do I check my airtime balance";
    json_t *sms = desk_say(f, NULL, "SMS", message), *mail = desk_say(f, NULL, "EMAIL", message);
    json_t *angry = desk_say(f, NULL, "WEB", "this is really annoying, my recharge failed");
    ck_assert_ptr_null(strchr(text_of(sms, "response_text"), '\n'));
    ck_assert_uint_le(strlen(text_of(sms, "response_text")), 480);
    ck_assert_ptr_nonnull(strstr(text_of(mail, "response_text"), "Kind regards"));
    ck_assert_ptr_null(strstr(text_of(sms, "response_text"), "Kind regards"));
    ck_assert_ptr_nonnull(strcasestr(text_of(angry, "response_text"), "sorry"));
    json_decref(sms);
    json_decref(mail);
    json_decref(angry);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("llm"), *agents = tcase_create("agents");
    tcase_set_timeout(agents, 120);
    tcase_add_test(agents, unsure_messages_are_classified_by_a_model);
    tcase_add_loop_test(agents, nonsense_falls_back_to_the_rules, 0, sizeof nonsense / sizeof *nonsense);
    tcase_add_test(agents, model_that_never_answers_costs_its_timeout);
    tcase_add_test(agents, wording_keeps_to_the_facts);
    tcase_add_test(agents, research_words_what_it_found);
    tcase_add_test(agents, at_most_two_questions_and_replay_asks_none);
    tcase_add_test(agents, without_a_provider_nobody_is_asked);
    tcase_add_test(agents, tone_suits_the_channel);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, providers_are_there_and_chosen);
    tcase_add_test(c, area_has_its_provider);
    tcase_add_test(c, without_key_rules_answer);
    tcase_add_loop_test(c, schema_is_in_the_request, 0, 3);
    tcase_add_loop_test(c, tools_are_called_and_answered, 0, 2);
    tcase_add_test(c, wrong_schema_is_repaired_once);
    tcase_add_test(c, streams_are_put_together);
    tcase_add_loop_test(c, next_provider_answers, 0, sizeof faults / sizeof *faults);
    tcase_add_test(c, patience_is_kept_and_tried_again);
    tcase_add_test(c, one_that_failed_is_tried_later);
    tcase_add_test(c, never_answered_ends_in_time);
    tcase_add_test(c, calls_are_recorded);
    tcase_add_loop_test(c, budget_ends_it, 0, 2);
    tcase_add_loop_test(c, personal_data_stays_here, 0, 2);
    return flow_main("llm", (TCase *[]){c, agents, NULL});
}
