/* Triggers on a real host: the sample base by each of them, custom ones, files, routes, a language model that confirms
 * or fails, the churn model, applying; and how well they find what people labelled. CVM_SHARED_DATA names a folder with
 * public data; what needs it is skipped without. */
#include "flow_llm.h"

#include <math.h>
#include <stdlib.h>

static const char *const names[5] = {"network_issues", "billing_disputes", "churn_risk", "high_value",
                                     "roaming_issues"};

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_t *run(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: %d, wanted %d: %s%s", words[0], words[1], got, status, a.text, a.errors);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

#define RUN(f, status, ...) run(f, status, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

/* For commands that start a host for themselves. */
static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_plugin(f, "triggers");
    flow_config_text(f, "{\"plugins\": {\"inline\": [\"*\"]}}");
    return f;
}

static void check_matches(const json_t *found, const char *trigger, size_t least)
{
    const json_t *matches = json_object_get(found, "matches");
    ck_assert_msg(json_array_size(matches) >= least, "%s: %zu", trigger, json_array_size(matches));
    ck_assert_int_eq(json_integer_value(json_object_get(found, "total_matches")), json_array_size(matches));
    for (size_t i = 0; i < json_array_size(matches); i++) {
        const json_t *m = json_array_get(matches, i), *evidence = json_object_get(m, "evidence");
        double confidence = json_number_value(json_object_get(m, "confidence"));
        ck_assert_str_eq(str(m, "trigger_type"), trigger);
        ck_assert(confidence > 0 && confidence <= 1);
        ck_assert_uint_gt(strlen(str(m, "reasoning")), 10);
        ck_assert_uint_ge(json_array_size(evidence), 1);
        for (size_t k = 0; k < json_array_size(evidence); k++) {
            size_t n = strlen(str(json_array_get(evidence, k), "excerpt"));
            ck_assert(n > 0 && n <= 240);
            ck_assert(*str(json_array_get(evidence, k), "source"));
        }
    }
}

START_TEST(each_trigger_finds_the_sample)
{
    struct flow *f = home();
    json_t *list = RUN(f, 0, "trigger", "list");
    ck_assert_uint_eq(json_array_size(json_object_get(list, "triggers")), 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_gt(strlen(str(json_array_get(json_object_get(list, "triggers"), i), "description")), 10);
    json_decref(list);
    for (size_t i = 0; i < 5; i++) {
        json_t *found = RUN(f, 0, "trigger", "run", names[i], "--all-customers");
        check_matches(found, names[i], 5);
        json_decref(found);
    }
    json_t *some = RUN(f, 0, "trigger", "run", "network_issues", "--customers", "U120,U121,U122"),
           *all = json_object_get(some, "matches");
    ck_assert_int_eq(json_integer_value(json_object_get(some, "customers")), 3);
    ck_assert_uint_le(json_array_size(all), 3);
    json_decref(some);
    EXPECT(f, 5, "--all-customers", "trigger", "run", "network_issues");
    EXPECT(f, 5, "trigger list", "trigger", "run", "nothing", "--all-customers");
    flow_free(f);
}
END_TEST

/* Who mistypes an id is told, and another component that asks for many gets the rest. */
START_TEST(unknown_customers_are_named)
{
    struct flow *f = home();
    EXPECT(f, 5, "there is no customer U999, u120; `cvmhost customer list` shows who there is", "trigger", "run",
           "network_issues", "--customers", "U120,U999,u120");
    EXPECT(f, 5, "there is no customer U999;", "trigger", "run", "custom", "--keywords", "signal", "--customers",
           "U999");
    json_t *found = flow_call(f, "cvm.trigger", "trigger_customers",
                              "{\"trigger_type\": \"network_issues\", \"customer_ids\": [\"U120\", \"U999\"]}", NULL);
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(json_integer_value(json_object_get(found, "customers")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(found, "unknown_customers")), 1);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(found, "unknown_customers"), 0)), "U999");
    json_decref(found);
    found = RUN(f, 0, "trigger", "run", "network_issues", "--customers", "U120");
    ck_assert_ptr_null(json_object_get(found, "unknown_customers"));
    json_decref(found);
    flow_free(f);
}
END_TEST

START_TEST(custom_ones_are_shown_and_found)
{
    struct flow *f = home();
    json_t *pets = RUN(f, 0, "trigger", "run", "custom", "--all-customers", "--description",
                       "Customers mentioning dogs or other pets");
    check_matches(pets, "custom", 2);
    json_decref(pets);
    json_t *rule = RUN(f, 0, "trigger", "compile", "--description", "poor video-call quality during business hours");
    ck_assert_uint_ge(json_array_size(json_object_get(json_object_get(rule, "rule"), "ideas")), 2);
    ck_assert(json_is_array(json_object_get(rule, "sample")));
    json_decref(rule);
    json_t *words = RUN(f, 0, "trigger", "run", "custom", "--all-customers", "--keywords", "signal,drop,poor coverage",
                        "--data-types", "call_transcripts"),
           *m, *e;
    check_matches(words, "custom", 1);
    size_t i, k;
    json_array_foreach(json_object_get(words, "matches"), i, m) json_array_foreach(json_object_get(m, "evidence"), k, e)
        ck_assert_str_eq(str(e, "source"), "call_transcripts");
    json_decref(words);
    EXPECT(f, 5, "--keywords", "trigger", "run", "custom", "--all-customers");
    EXPECT(f, 2, "match", "trigger", "run", "custom", "--all-customers", "--keywords", "x", "--match", "neither");
    flow_free(f);
}
END_TEST

START_TEST(matches_go_to_files)
{
    struct flow *f = home();
    json_t *found =
        RUN(f, 0, "trigger", "run", "network_issues", "--all-customers", "--output-file", "network_issues.csv");
    char *csv = flow_read(f, "output/network_issues.csv");
    ck_assert_ptr_nonnull(csv);
    ck_assert(!strncmp(csv, "customer_id,trigger_type,confidence,method,reasoning,evidence,matched_at\n", 73));
    size_t lines = 0;
    for (const char *at = csv; (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_uint_eq(lines, json_array_size(json_object_get(found, "matches")) + 1);
    free(csv);
    json_decref(found);
    json_decref(RUN(f, 0, "trigger", "run", "churn_risk", "--all-customers", "--output-file", "churn.json"));
    char *text = flow_read(f, "output/churn.json");
    json_t *read = json_loads(text, 0, NULL);
    ck_assert_uint_ge(json_array_size(read), 5);
    json_decref(read);
    free(text);
    EXPECT(f, 5, "output/", "trigger", "run", "churn_risk", "--all-customers", "--output-file", "../x.csv");
    json_decref(RUN(f, 0, "trigger", "run", "all", "--all-customers", "--file", "all.jsonl"));
    text = flow_read(f, "output/all.jsonl");
    ck_assert_ptr_nonnull(strstr(text, "\"customer_id\":\"U123\""));
    free(text);
    flow_free(f);
}
END_TEST

START_TEST(routes_and_other_agents)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_plugin(f, "customers");
    flow_plugin(f, "triggers");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/triggers", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "triggers")), 6);
    flow_answer_free(&a);
    json_t *one = flow_call(f, "cvm.data", "get_customer_data", "{\"customer_id\": \"U123\"}", NULL);
    json_t *question = json_pack("{s:[O]}", "customers", json_object_get(one, "customer_data"));
    json_object_set_new(json_array_get(json_object_get(question, "customers"), 0), "customer_id", json_string("U123"));
    char *text = json_dumps(question, JSON_COMPACT);
    json_t *mine = flow_call(f, "cvm.trigger.network_issues", "match", text, NULL);
    json_t *asked = flow_call(f, "cvm.trigger", "trigger_customers",
                              "{\"customer_ids\": [\"U123\"], \"trigger_type\": \"network_issues\"}", NULL);
    ck_assert(json_is_array(json_object_get(mine, "matches")));
    ck_assert_uint_eq(json_array_size(json_object_get(mine, "matches")),
                      json_array_size(json_object_get(asked, "matches")));
    free(text);
    json_decref(question);
    json_decref(one);
    json_decref(mine);
    json_decref(asked);
    asked = flow_call(f, "cvm.trigger.custom", "describe", "{}", NULL);
    ck_assert_str_eq(str(asked, "kind"), "custom");
    json_decref(asked);
    flow_end(f);
}
END_TEST

START_TEST(a_language_model_confirms_or_fails)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_plugin(f, "triggers");
    flow_plugin(f, "llm");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    json_object_set_new(json_object_get(f->config, "agents"), "cvm.trigger",
                        json_pack("{s:{s:s, s:i}}", "settings", "llm_provider", "openai", "llm_timeout_ms", 5000));
    flow_start(f);
    static const char ask[] = "{\"customer_ids\": \"*\", \"trigger_type\": \"custom\", \"mode\": \"%s\", "
                              "\"custom_trigger\": {\"description\": \"mentions pets\"}}";
    char request[300];
    snprintf(request, sizeof request, ask, "rules");
    json_t *rules = flow_call(f, "cvm.trigger", "trigger_customers", request, NULL),
           *matches = json_object_get(rules, "matches");
    ck_assert_uint_ge(json_array_size(matches), 2);
    const char *first = str(json_array_get(matches, 0), "customer_id"),
               *second = str(json_array_get(matches, 1), "customer_id");
    json_t *said = json_pack("{s:[{s:s, s:b, s:s}, {s:s, s:b, s:s}]}", "verdicts", "customer_id", first, "matches", 0,
                             "reasoning", "no", "customer_id", second, "matches", 1, "reasoning", "has a dog");
    char *content = json_dumps(said, JSON_COMPACT);
    json_t *script = json_pack("{s:[{s:s}]}", "script", "content", content);
    char *text = json_dumps(json_object_get(script, "script"), JSON_COMPACT);
    llm_script(f, text);
    free(text);
    snprintf(request, sizeof request, ask, "llm");
    json_t *found = flow_call(f, "cvm.trigger", "trigger_customers", request, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(found, "matches")), json_array_size(matches) - 1);
    ck_assert_str_eq(str(json_array_get(json_object_get(found, "matches"), 0), "method"), "hybrid");
    ck_assert_str_eq(str(json_array_get(json_object_get(found, "matches"), 0), "reasoning"), "has a dog");
    json_decref(found);
    llm_script(f, "[{\"status\": 400}, {\"status\": 400}, {\"status\": 400}, {\"status\": 400}]");
    found = flow_call(f, "cvm.trigger", "trigger_customers", request, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(found, "matches")), json_array_size(matches));
    ck_assert_str_eq(str(json_array_get(json_object_get(found, "matches"), 0), "method"), "rules");
    json_decref(found);
    json_decref(rules);
    json_decref(said);
    json_decref(script);
    free(content);
    flow_end(f);
}
END_TEST

/* A base where the contract decides. */
static void write_base(struct flow *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "customer_id,tenure_months,Contract,monthly_spend,Churn\n");
    for (int i = 0; i < 1000; i++)
        fprintf(out, "M%04d,%d,%s,%d.50,%s\n", i, 1 + i % 60, i % 2 ? "Month-to-month" : "Two year", 20 + i % 80,
                (i % 2 ? i % 10 < 8 : i % 40 == 0) ? "Yes" : "No");
    fclose(out);
    flow_write(f, "base.csv", text);
    free(text);
}

START_TEST(churn_is_learnt_from_the_base)
{
    struct flow *f = home();
    char path[200];
    write_base(f);
    snprintf(path, sizeof path, "%s/base.csv", f->home);
    json_decref(RUN(f, 0, "customer", "import", path, "--replace"));
    json_t *none = RUN(f, 0, "trigger", "run", "churn_risk", "--all-customers");
    ck_assert_int_eq(json_integer_value(json_object_get(none, "total_matches")), 0);
    json_decref(none);
    json_t *model = RUN(f, 0, "trigger", "train", "churn_risk");
    ck_assert_int_eq(json_integer_value(json_object_get(model, "scored")), 1000);
    ck_assert_double_gt(json_number_value(json_object_get(model, "auc")), .8);
    ck_assert_uint_ge(json_array_size(json_object_get(model, "calibration")), 2);
    ck_assert_uint_ge(json_array_size(json_object_get(model, "factors")), 2);
    json_decref(model);
    json_t *found = RUN(f, 0, "trigger", "run", "churn_risk", "--all-customers");
    check_matches(found, "churn_risk", 300);
    ck_assert_ptr_nonnull(
        strstr(str(json_array_get(json_object_get(found, "matches"), 0), "reasoning"), "Month-to-month"));
    json_decref(found);
    EXPECT(f, 5, "--label", "trigger", "train", "churn_risk", "--label", "attributes.Nothing");
    EXPECT(f, 5, "churn_risk", "trigger", "train", "high_value");
    flow_free(f);
}
END_TEST

START_TEST(a_treatment_goes_to_whom_is_found)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_plugin(f, "triggers");
    flow_plugin(f, "decision");
    flow_plugin(f, "treatments");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_start(f);
    json_t *done = RUN(f, 0, "trigger", "apply", "network_issues", "--all-customers", "--treatment", "service_sms");
    int64_t matches = json_integer_value(json_object_get(done, "matches")),
            processed = json_integer_value(json_object_get(done, "processed"));
    ck_assert_int_ge(matches, 5);
    ck_assert(processed > 0 && processed <= matches);
    ck_assert_uint_eq(json_array_size(json_object_get(done, "results")), (size_t)matches);
    json_decref(done);
    json_t *asked = flow_call(f, "cvm.orchestrator", "trigger_customers",
                              "{\"customer_ids\": \"*\", \"trigger_type\": \"roaming_issues\"}", NULL);
    ck_assert_uint_ge(json_array_size(json_object_get(asked, "matches")), 5);
    json_decref(asked);
    flow_end(f);
}
END_TEST

/* ---- against what people labelled ---- */

struct score {
    int tp, fp, fn;
};

static double f1(const struct score *s)
{
    return s->tp ? 2.0 * s->tp / (2.0 * s->tp + s->fp + s->fn) : 0;
}

static bool in_list(const json_t *list, const char *what)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), what))
            return true;
    return false;
}

static json_t *lines_of(char *text)
{
    json_t *list = json_array();
    for (const char *at = text, *end; *at; at = end + (*end != 0)) {
        end = at + strcspn(at, "\n");
        if (end > at)
            json_array_append_new(list, json_loadb(at, (size_t)(end - at), 0, NULL));
    }
    free(text);
    return list;
}

static char *whole_file(const char *path)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    char *text = calloc(1, 4 << 20);
    ck_assert_uint_lt(fread(text, 1, (4 << 20) - 1, file), (4 << 20) - 1);
    fclose(file);
    return text;
}

/* Macro-F1 over the five, and over the custom triggers of the file. */
static void measure(const char *path, double *ret_builtin, double *ret_custom)
{
    struct flow *f = home();
    struct score scores[5] = {{0, 0, 0}};
    json_decref(RUN(f, 0, "customer", "import", path, "--replace"));
    json_decref(RUN(f, 0, "trigger", "run", "all", "--all-customers", "--file", "all.jsonl"));
    json_t *gold = lines_of(whole_file(path)), *predicted = lines_of(flow_read(f, "output/all.jsonl")), *g, *p,
           *by_id = json_object();
    size_t i, k, custom = 0;
    double sum = 0;
    char *rules = NULL;
    size_t rules_size = 0;
    FILE *out = open_memstream(&rules, &rules_size);
    json_array_foreach(predicted, i, p) json_object_set(by_id, str(p, "customer_id"), json_object_get(p, "triggers"));
    json_array_foreach(gold, i, g)
    {
        if (!strcmp(str(g, "record"), "custom_trigger")) {
            char *line = json_dumps(g, JSON_COMPACT);
            fprintf(out, "%s\n", line);
            free(line);
            custom++;
            continue;
        }
        for (size_t t = 0; t < 5; t++) {
            bool want = in_list(json_object_get(g, "labels"), names[t]),
                 got = in_list(json_object_get(by_id, str(g, "customer_id")), names[t]);
            if (!want && in_list(json_object_get(g, "labels_optional"), names[t]))
                continue;
            scores[t].tp += want && got;
            scores[t].fp += got && !want;
            scores[t].fn += want && !got;
        }
    }
    *ret_builtin = 0;
    for (size_t t = 0; t < 5; t++)
        *ret_builtin += f1(&scores[t]) / 5;
    fclose(out);
    flow_write(f, "rules.jsonl", rules);
    char rules_path[200];
    snprintf(rules_path, sizeof rules_path, "%s/rules.jsonl", f->home);
    json_decref(
        RUN(f, 0, "trigger", "run", "custom", "--all-customers", "--rules", rules_path, "--file", "custom.jsonl"));
    json_decref(predicted);
    predicted = lines_of(flow_read(f, "output/custom.jsonl"));
    json_array_foreach(gold, i, g) json_array_foreach(predicted, k, p)
    {
        struct score s = {0, 0, 0};
        size_t n;
        json_t *id;
        if (strcmp(str(g, "record"), "custom_trigger") || strcmp(str(g, "trigger_id"), str(p, "trigger_id")))
            continue;
        json_array_foreach(json_object_get(p, "customer_ids"), n,
                           id) if (in_list(json_object_get(g, "matching_customer_ids"), json_string_value(id))) s.tp++;
        else if (!in_list(json_object_get(g, "optional_customer_ids"), json_string_value(id))) s.fp++;
        s.fn = (int)json_array_size(json_object_get(g, "matching_customer_ids")) - s.tp;
        sum += f1(&s);
    }
    *ret_custom = custom ? sum / (double)custom : 0;
    printf("%s: macro-F1 %.3f, custom %.3f\n", strrchr(path, '/') + 1, *ret_builtin, *ret_custom);
    free(rules);
    json_decref(gold);
    json_decref(predicted);
    json_decref(by_id);
    flow_free(f);
}

START_TEST(held_out_histories)
{
    double builtin, custom;
    char path[400];
    snprintf(path, sizeof path, "%s", flow_source("tests/cvm/histories.jsonl")); /* the next call overwrites it */
    measure(path, &builtin, &custom);
    ck_assert_double_ge(builtin, .88);
    ck_assert_double_ge(custom, .54);
}
END_TEST

START_TEST(public_bases)
{
    const char *folder = getenv("CVM_SHARED_DATA");
    char path[400];
    double builtin, custom;
    if (!folder) {
        printf("public_bases: skipped, CVM_SHARED_DATA names no folder\n");
        return;
    }
    snprintf(path, sizeof path, "%s/desk/histories.jsonl", folder);
    measure(path, &builtin, &custom);
    ck_assert_double_ge(builtin, .88);
    ck_assert_double_ge(custom, .6);
    struct flow *f = home();
    snprintf(path, sizeof path, "%s/telco/telco-customer-churn.csv", folder);
    json_decref(RUN(f, 0, "customer", "import", path, "--replace"));
    json_t *model = RUN(f, 0, "trigger", "train", "churn_risk");
    ck_assert_double_ge(json_number_value(json_object_get(model, "auc")), .845);
    ck_assert_double_le(json_number_value(json_object_get(model, "brier")), .136);
    ck_assert(fabs(json_number_value(json_object_get(model, "calibration_slope")) - 1) <= .1);
    json_decref(model);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("triggers");
    tcase_set_timeout(c, 180);
    tcase_add_test(c, each_trigger_finds_the_sample);
    tcase_add_test(c, custom_ones_are_shown_and_found);
    tcase_add_test(c, unknown_customers_are_named);
    tcase_add_test(c, matches_go_to_files);
    tcase_add_test(c, routes_and_other_agents);
    tcase_add_test(c, a_language_model_confirms_or_fails);
    tcase_add_test(c, churn_is_learnt_from_the_base);
    tcase_add_test(c, a_treatment_goes_to_whom_is_found);
    tcase_add_test(c, held_out_histories);
    tcase_add_test(c, public_bases);
    return flow_main("triggers", (TCase *[]){c, NULL});
}
