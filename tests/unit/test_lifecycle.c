/* The lifecycle's agents without a host, turn by turn: memory, decisions by rules and by a model that answers, fails or
 * is not there, whole days with actions in the harness. */
#include <check.h>
#include <cvm/harness.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DECISION "lifecycle.decision"
#define MEMORY "lifecycle.memory"
#define SIMULATION "lifecycle.simulation"

extern const cvm_plugin_descriptor lifecycle_plugin, actions_plugin;

static struct harness *h;

/* ---- a language model of ours ---- */

static int model_outcome;
static const char *model_says;

static int chat(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->id, model_outcome, json_loads(model_says, 0, NULL), NULL);
}

static const cvm_component components[] = {{.id = "test.model", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.model", "chat", chat}, {0}};
CVM_PLUGIN(.name = "model", .version = "1.0.0", .components = components, .routes = routes);
static const char model_manifest[] = "{\"manifest\": 1, \"name\": \"model\", \"version\": \"1.0.0\", \"abi\": \"1.4\", "
                                     "\"library\": \"model.so\", \"components\": [{\"id\": "
                                     "\"test.model\", \"kind\": \"provider\", \"roles\": [\"llm\"], \"state_version\": "
                                     "1, \"operations\": [{\"type\": \"chat\"}]}]}";

static const char *str(const json_t *o, const char *key)
{
    return cvm_json_str(o, key, "");
}

static double num(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void setup(void)
{
    h = harness_new(0);
    harness_home(h, "/nonexistent");
    harness_add(h, &actions_plugin, MANIFESTS "/actions.json");
    harness_add(h, &lifecycle_plugin, MANIFESTS "/lifecycle.json");
    harness_run(h, 0);
}

static void teardown(void)
{
    harness_free(h);
}

/* Gives the answer's data; it must be a reply. */
static const json_t *ask(const char *to, const char *type, const char *data)
{
    const json_t *answer = NULL;
    json_t *request = json_loads(data, 0, NULL);
    ck_assert_msg(request, "%s", data);
    int outcome = harness_ask(h, to, type, request, &answer);
    ck_assert_msg(outcome == CVM_REPLIED, "%s %s: outcome %d, %s", to, type, outcome, str(answer, "message"));
    return answer;
}

static const char *refusal(const char *to, const char *type, const char *data)
{
    const json_t *answer = NULL;
    ck_assert_int_eq(harness_ask(h, to, type, json_loads(data, 0, NULL), &answer), CVM_REFUSED);
    return str(answer, "field");
}

#define OPTIONS                                                                                                        \
    "\"options\": [{\"action\": \"NO_ACTION\"}, {\"action\": \"A\", \"expected\": {\"healthy\": 3, \"critical\": "     \
    "1}}, "                                                                                                            \
    "{\"action\": \"B\", \"expected\": {\"healthy\": 2, \"critical\": 4}}]"
#define WHO "\"customer\": {\"persona_key\": \"S_x\", \"segment\": \"S\", \"display_name\": \"X\""

static void without_exploring(void)
{
    json_object_set_new(harness_settings(h, DECISION), "explore_rate", json_integer(0));
    json_object_set_new(harness_settings(h, DECISION), "provider", json_string("rules"));
}

/* ---- memory ---- */

START_TEST(memory_keeps_the_latest_outcome)
{
    ask(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"A\", \"status\": \"SUCCESS\", \"impact\": 4}");
    ask(MEMORY, "update", "{\"customer\": {\"persona_key\": \"S_x\"}, \"action\": \"B\", \"status\": \"FAILED\"}");
    ask(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"NO_ACTION\", \"status\": \"FAILED\"}");
    json_t *want = json_pack("{s:{s:s, s:s}}", "S_x", "A", "SUCCESS", "B", "FAILED");
    ck_assert(json_equal(ask(MEMORY, "show", "{}"), want));
    json_decref(want);
    const json_t *actions = json_object_get(ask(MEMORY, "get_forbidden_actions", "{\"customer\": \"S_x\"}"), "actions");
    ck_assert_uint_eq(json_array_size(actions), 1);
    ask(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"A\", \"status\": \"FAILED\", \"impact\": -2}");
    actions = json_object_get(ask(MEMORY, "get_forbidden_actions", "{\"customer\": \"S_x\"}"), "actions");
    ck_assert_uint_eq(json_array_size(actions), 2);
    actions = json_object_get(ask(MEMORY, "get_success_hints", "{\"customer\": \"S_x\"}"), "actions");
    ck_assert_uint_eq(json_array_size(actions), 0);
    const json_t *known =
        json_array_get(json_object_get(ask(MEMORY, "recall", "{\"personas\": [\"S_x\"]}"), "memories"), 0);
    const json_t *tried = json_object_get(json_object_get(known, "tried"), "A");
    ck_assert_int_eq(json_integer_value(json_array_get(tried, 0)), 2);
    ck_assert_double_eq(json_number_value(json_array_get(tried, 1)), 1); /* of 4 and -2 */
    ck_assert_str_eq(refusal(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"A\"}"), "status");
    ck_assert_str_eq(refusal(MEMORY, "update", "{\"action\": \"A\", \"status\": \"FAILED\"}"), "customer");
}
END_TEST

START_TEST(names_do_not_break_lines)
{
    ask(MEMORY, "update", "{\"customer\": \"S_a,b\", \"action\": \"SAY \\\"HI\\\"\", \"status\": \"SUCCESS\"}");
    ck_assert_str_eq(str(ask(MEMORY, "download", "{\"format\": \"csv\"}"), "body"),
                     "persona_key,action,status\n\"S_a,b\",\"SAY \"\"HI\"\"\",SUCCESS\n");
}
END_TEST

START_TEST(what_failed_expires)
{
    json_object_set_new(harness_settings(h, MEMORY), "forbidden_ttl_days", json_integer(5));
    ask(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"A\", \"status\": \"FAILED\", \"day\": 10}");
    static const struct {
        const char *data;
        size_t n;
    } cases[] = {{"{\"customer\": \"S_x\", \"day\": 15}", 1}, {"{\"customer\": \"S_x\", \"day\": 16}", 0}};
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(
            json_array_size(json_object_get(ask(MEMORY, "get_forbidden_actions", cases[i].data), "actions")),
            cases[i].n);
}
END_TEST

START_TEST(segments_are_counted)
{
    ask(MEMORY, "update", "{\"customer\": \"S_x\", \"action\": \"A\", \"status\": \"SUCCESS\"}");
    ask(MEMORY, "update", "{\"customer\": \"S_y\", \"action\": \"A\", \"status\": \"FAILED\"}");
    ask(MEMORY, "update", "{\"customer\": \"T_y\", \"action\": \"A\", \"status\": \"FAILED\"}");
    const json_t *all = json_object_get(ask(MEMORY, "segments", "{}"), "segments"),
                 *a = json_object_get(json_object_get(all, "S"), "A");
    ck_assert_double_eq(num(a, "successes"), 1);
    ck_assert_double_eq(num(a, "failures"), 1);
    ck_assert_uint_eq(json_object_size(all), 2);
}
END_TEST

/* ---- decisions ---- */

START_TEST(rules_go_by_experience)
{
    static const struct {
        const char *rest, *action;
        bool adapted;
    } cases[] = {
        {"}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {}", "A", false},
        {"}, \"observation\": {\"state\": \"critical\"}, \"memory\": {}", "B", false},
        {"}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {\"forbidden\": [\"A\"]}", "B", true},
        {"}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {\"hints\": [\"B\"], \"tried\": {\"B\": [2, 5]}}",
         "B", true},
        {"}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {\"forbidden\": [\"A\", \"B\"]}", "NO_ACTION",
         true},
        {", \"status\": \"churned\"}, \"observation\": {\"state\": \"churned\"}, \"memory\": {}", "NO_ACTION", false},
    };
    char data[1024];
    without_exploring();
    snprintf(data, sizeof data, "{" OPTIONS ", " WHO "%s}", cases[_i].rest);
    const json_t *d = ask(DECISION, "decide", data);
    ck_assert_str_eq(str(d, "action"), cases[_i].action);
    ck_assert_str_eq(str(d, "source"), "rule");
    ck_assert_int_eq(cvm_json_bool(d, "adapted", !cases[_i].adapted), cases[_i].adapted);
    ck_assert(*str(d, "thought"));
    const json_t *note = json_array_get(harness_notes(h), json_array_size(harness_notes(h)) - 1);
    char *text = json_dumps(note, JSON_ENCODE_ANY);
    ck_assert_ptr_nonnull(strstr(text, "S_x"));
    free(text);
}
END_TEST

START_TEST(exploring_takes_what_is_untried)
{
    json_object_set_new(harness_settings(h, DECISION), "explore_rate", json_integer(1));
    json_object_set_new(harness_settings(h, DECISION), "provider", json_string("rules"));
    const json_t *d = ask(
        DECISION, "decide",
        "{" OPTIONS ", " WHO
        "}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {\"hints\": [\"A\"], \"tried\": {\"A\": [1, 4]}}}");
    ck_assert_str_eq(str(d, "source"), "explore");
    ck_assert_str_eq(str(d, "action"), "B");
}
END_TEST

START_TEST(bad_options_are_refused)
{
    ck_assert_str_eq(refusal(DECISION, "decide", "{\"options\": [{\"x\": 1}], " WHO "}}"), "options");
}
END_TEST

static const json_t *decided_by(int outcome, const char *reply)
{
    without_exploring();
    json_object_set_new(harness_settings(h, DECISION), "provider", json_string("auto"));
    model_outcome = outcome;
    model_says = reply;
    harness_add(h, &cvm_plugin, model_manifest);
    return ask(DECISION, "decide",
               "{\"day\": 1, " OPTIONS ", " WHO
               "}, \"observation\": {\"state\": \"healthy\"}, \"memory\": {\"forbidden\": [\"B\"]}}");
}

START_TEST(a_model_is_asked_and_held_to_the_rules)
{
    static const struct {
        const char *reply, *action, *source;
        int outcome;
    } cases[] = {
        {"{\"provider\": \"p\", \"data\": {\"thought\": \"Because.\", \"action\": \"NO_ACTION\"}, \"usage\": "
         "{\"input_tokens\": 700, \"output_tokens\": 50}, \"cost_usd\": 0.000135}",
         "NO_ACTION", "llm", CVM_REPLIED},
        {"{\"provider\": \"p\", \"data\": {\"thought\": \"Because.\", \"action\": \"B\"}}", "A", "fallback",
         CVM_REPLIED},
        {"{\"provider\": \"p\", \"data\": {\"thought\": \"\", \"action\": \"A\"}}", "A", "fallback", CVM_REPLIED},
        {"{\"provider\": \"provider.llm.rules\", \"reason\": \"timeout\"}", "A", "fallback", CVM_REPLIED},
        {"{\"code\": \"X\", \"message\": \"x\"}", "A", "fallback", CVM_ERROR},
        {"{\"provider\": \"provider.llm.rules\", \"reason\": \"configuration\"}", "A", "rule", CVM_REPLIED},
    };
    const json_t *d = decided_by(cases[_i].outcome, cases[_i].reply);
    ck_assert_str_eq(str(d, "source"), cases[_i].source);
    ck_assert_str_eq(str(d, "action"), cases[_i].action);
    if (_i == 0) {
        ck_assert_double_eq(num(d, "input_tokens"), 700);
        ck_assert_double_eq(num(d, "cost_micro_usd"), 135);
        ck_assert_str_eq(str(d, "thought"), "Because.");
    }
}
END_TEST

/* ---- days ---- */

START_TEST(a_day_goes_through_all)
{
    json_object_set_new(harness_settings(h, DECISION), "provider", json_string("rules"));
    const json_t *state = ask(SIMULATION, "status", "{}");
    ck_assert_double_eq(num(state, "active"), 5);
    const json_t *day =
        ask(SIMULATION, "run", "{\"days\": 1, \"noise\": 0, \"force\": [\"Onboarding_Sam=SEND_DISCOUNT\"]}");
    const json_t *sam = json_array_get(json_object_get(day, "stories"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(day, "stories")), 5);
    ck_assert_str_eq(str(sam, "persona_key"), "Onboarding_Sam");
    ck_assert_double_eq(num(sam, "impact"), 8);
    ck_assert_double_eq(num(day, "day"), 1);
    ck_assert_uint_eq(json_object_size(harness_rows(h, "lifecycle_history")), 5);
    ck_assert_uint_eq(json_object_size(harness_rows(h, "lifecycle_days")), 1);
    ck_assert_str_eq(str(json_object_get(ask(MEMORY, "show", "{}"), "Onboarding_Sam"), "SEND_DISCOUNT"), "SUCCESS");
    state = ask(SIMULATION, "reset", "{}");
    ck_assert_double_eq(num(state, "day"), 0);
    ck_assert_uint_eq(json_object_size(ask(MEMORY, "show", "{}")), 0);
}
END_TEST

START_TEST(an_action_that_fails_is_told)
{
    json_object_set_new(harness_settings(h, DECISION), "provider", json_string("rules"));
    json_object_set_new(harness_settings(h, "treatment.send_discount"), "text", json_string(""));
    const json_t *answer = ask("treatment.send_discount", "apply",
                               "{\"customers\": [{\"customer_id\": \"a\", \"to\": \"x\"}], \"channel\": \"email\"}");
    ck_assert_str_eq(str(answer, "status"), "simulated"); /* nothing to say: nothing is sent */
    answer = ask("treatment.no_action", "describe", "{}");
    ck_assert_str_eq(str(json_array_get(json_object_get(answer, "treatments"), 0), "action"), "NO_ACTION");
}
END_TEST

START_TEST(a_channel_is_used_where_one_is_named)
{
    harness_stub(h, "role:channel", "deliver", CVM_REPLIED, json_pack("{s:s}", "status", "sent"));
    const json_t *answer = ask("treatment.send_discount", "apply",
                               "{\"treatment_id\": \"treatment.send_discount\", \"application_id\": \"a\", "
                               "\"channel\": \"email\", \"customers\": "
                               "[{\"customer_id\": \"a\", \"to\": \"a@example.org\"}, {\"customer_id\": \"b\"}]}");
    ck_assert_str_eq(str(answer, "status"), "sent");
    ck_assert_double_eq(num(answer, "sent"), 1); /* the other one has no address */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lifecycle");
    TCase *t = tcase_create("lifecycle");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, memory_keeps_the_latest_outcome);
    tcase_add_test(t, names_do_not_break_lines);
    tcase_add_test(t, what_failed_expires);
    tcase_add_test(t, segments_are_counted);
    tcase_add_loop_test(t, rules_go_by_experience, 0, 6);
    tcase_add_test(t, exploring_takes_what_is_untried);
    tcase_add_test(t, bad_options_are_refused);
    tcase_add_loop_test(t, a_model_is_asked_and_held_to_the_rules, 0, 6);
    tcase_add_test(t, a_day_goes_through_all);
    tcase_add_test(t, an_action_that_fails_is_told);
    tcase_add_test(t, a_channel_is_used_where_one_is_named);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
