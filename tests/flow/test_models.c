/* Text models of a real host: trained after the start and kept for the next one, learning what is dropped in, staying
 * when something leaves, asked from both placements, recorded for replay. */
#include "flow.h"

#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct flow *home_with(const char *second)
{
    struct flow *f = flow_new();
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_plugin(f, "sorter");
    if (second)
        flow_plugin(f, second);
    return f;
}

/* {"labels"} or {"error"} */
static json_t *sort(struct flow *f, const char *component, const char *text, const char *model)
{
    char *data;
    ck_assert(asprintf(&data, "{\"text\": \"%s\", \"model\": \"%s\"}", text, model) > 0);
    int status;
    json_t *answer = flow_call(f, component, "sort", data, &status);
    ck_assert_int_eq(status, 0);
    free(data);
    json_t *payload = json_object_get(answer, "data");
    payload = json_incref(payload ? payload : answer);
    json_decref(answer);
    return payload;
}

static int error_of(struct flow *f, const char *component, const char *text, const char *model)
{
    json_t *answer = sort(f, component, text, model);
    int e = (int)json_integer_value(json_object_get(answer, "error"));
    json_decref(answer);
    return e;
}

static bool says(struct flow *f, const char *component, const char *text, const char *head, const char *label)
{
    json_t *answer = sort(f, component, text, "kind");
    const json_t *best = json_array_get(json_object_get(json_object_get(answer, "labels"), head), 0);
    const char *got = json_string_value(json_array_get(best, 0));
    bool same = got && strcmp(got, label) == 0;
    json_decref(answer);
    return same;
}

static json_t *model_of(struct flow *f)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "model", "list", "--output", "json"), 0);
    const json_t *list = json_object_get(a.json, "models");
    json_t *one = json_incref(json_array_get(json_is_array(list) ? list : a.json, 0));
    ck_assert_msg(one, "%s", a.text);
    flow_answer_free(&a);
    return one;
}

static bool is_ready(struct flow *f)
{
    json_t *m = model_of(f);
    bool ready = json_is_true(json_object_get(m, "ready")) && !json_is_true(json_object_get(m, "training"));
    json_decref(m);
    return ready;
}

static int64_t examples_of(struct flow *f)
{
    json_t *m = model_of(f);
    int64_t n =
        json_is_true(json_object_get(m, "training")) ? -1 : (int64_t)json_integer_value(json_object_get(m, "examples"));
    json_decref(m);
    return n;
}

START_TEST(learns_after_the_start_and_keeps_it)
{
    struct flow *f = home_with("fruit");
    flow_start(f);
    FLOW_UNTIL(is_ready(f));
    ck_assert(says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    ck_assert(says(f, "test.sorter", "where is my granite", "asks", "STONE/FIND"));
    ck_assert(says(f, "test.fruit", "bring a pear at once", "urgent", "yes"));
    ck_assert(says(f, "test.sorter", "good morning to you", "kind", "NONE"));
    EXPECT(f, 0, "cvmhost_model_ready{model=\"kind\"} 1", "metrics");
    EXPECT(f, 0, "training_seconds", "plugin", "info", "sorter");
    EXPECT(f, 0, "STONE/FIND", "model", "explain", "kind", "where is my granite");
    json_t *m = model_of(f);
    char *hash = strdup(json_string_value(json_object_get(m, "hash")));
    ck_assert(json_number_value(json_object_get(m, "training_seconds")) > 0);
    json_decref(m);
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    flow_start(f);
    m = model_of(f); /* at once: it lies in the home */
    ck_assert(json_is_true(json_object_get(m, "ready")));
    ck_assert_str_eq(json_string_value(json_object_get(m, "hash")), hash);
    ck_assert(json_number_value(json_object_get(m, "training_seconds")) <= 0);
    json_decref(m);
    free(hash);
    flow_end(f);
}
END_TEST

START_TEST(learns_what_is_dropped_in_and_stays_when_it_leaves)
{
    struct flow *f = home_with(NULL);
    flow_start(f);
    FLOW_UNTIL(is_ready(f));
    ck_assert_int_eq(examples_of(f), 29);
    ck_assert(!says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    flow_plugin(f, "fruit");
    EXPECT(f, 0, "fruit", "reload");
    FLOW_UNTIL(examples_of(f) == 53);
    ck_assert(says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    EXPECT(f, 0, "fruit", "plugin", "disable", "fruit", "--now");
    flow_sleep_ms(100);
    ck_assert_int_eq(examples_of(f), 53); /* what it says of fruit, the component must know how to answer */
    ck_assert(says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    flow_end(f);
}
END_TEST

START_TEST(refuses_who_does_not_name_it)
{
    struct flow *f = home_with("fruit");
    flow_start(f);
    ck_assert_int_eq(error_of(f, "test.sorter", "x", "other"), CVM_EACCES);
    ck_assert_int_eq(error_of(f, "test.fruit", "x", "other"), CVM_EACCES);
    flow_wait_log(f, "cvm_classify other");
    flow_end(f);
}
END_TEST

START_TEST(can_be_switched_off)
{
    struct flow *f = home_with(NULL);
    flow_config(f, "models.enabled", json_false());
    flow_start(f);
    ck_assert_int_eq(error_of(f, "test.sorter", "a granite", "kind"), CVM_ENOENT);
    json_t *m = model_of(f);
    ck_assert(json_is_false(json_object_get(m, "ready")));
    json_decref(m);
    flow_end(f);
}
END_TEST

START_TEST(a_damaged_file_is_made_anew)
{
    struct flow *f = home_with("fruit");
    char name[128];
    flow_start(f);
    FLOW_UNTIL(is_ready(f));
    json_t *m = model_of(f);
    snprintf(name, sizeof name, "data/models/%s.model", json_string_value(json_object_get(m, "hash")));
    json_decref(m);
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    flow_remove(f, name);
    flow_write(f, name, "CVMMODEL and then nothing");
    flow_start(f);
    flow_wait_log(f, "it is made anew");
    FLOW_UNTIL(is_ready(f));
    ck_assert(says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    flow_end(f);
}
END_TEST

START_TEST(bad_examples_leave_the_rules)
{
    struct flow *f = home_with(NULL);
    flow_write(f, "manifests/sorter/examples.jsonl", "{\"text\": \"a\", \"intent\": \"X\"}\n{\"intent\": \"Y\"}\n");
    flow_start(f);
    flow_wait_log(f, "examples: line 2: ");
    ck_assert_int_eq(error_of(f, "test.sorter", "a granite", "kind"), CVM_ENOENT);
    EXPECT(f, 0, "line 2", "plugin", "info", "sorter");
    flow_end(f);
}
END_TEST

static void replays(struct flow *f)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "replay", "--all", "--output", "json"), 0);
    ck_assert_int_eq((int)json_integer_value(json_object_get(a.json, "differ")), 0);
    ck_assert_int_eq((int)json_integer_value(json_object_get(a.json, "missing")), 0);
    ck_assert_int_ge((int)json_integer_value(json_object_get(a.json, "same")), 2);
    flow_answer_free(&a);
}

static void recorded(bool process)
{
    struct flow *f = home_with("fruit");
    flow_start(f);
    if (process)
        EXPECT(f, 0, "", "move", "sorter", "--process");
    FLOW_UNTIL(is_ready(f));
    ck_assert(says(f, "test.sorter", "is there a mango", "kind", "FRUIT"));
    ck_assert(says(f, "test.sorter", "where is the granite", "kind", "STONE"));
    ck_assert_int_eq(error_of(f, "test.sorter", "x", "other"), CVM_EACCES);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM turns WHERE component = 'test.sorter' AND"
                               " json_extract(record, '$.reads[0][0]') = 'model'") == 2);
    ck_assert_int_eq(
        flow_sql_int(f, "SELECT count(*) FROM host_configs WHERE json_extract(doc, '$.models.kind') IS NOT NULL") > 0,
        1);
    /* another model answers, and what the first one said is still what the turns go by */
    EXPECT(f, 0, "fruit", "plugin", "disable", "fruit", "--now");
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    flow_start(f);
    FLOW_UNTIL(is_ready(f));
    replays(f);
    flow_end(f);
}

START_TEST(is_recorded_for_replay)
{
    recorded(false);
}
END_TEST

START_TEST(is_recorded_from_a_process)
{
    recorded(true);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("models");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, learns_after_the_start_and_keeps_it);
    tcase_add_test(c, learns_what_is_dropped_in_and_stays_when_it_leaves);
    tcase_add_test(c, refuses_who_does_not_name_it);
    tcase_add_test(c, can_be_switched_off);
    tcase_add_test(c, a_damaged_file_is_made_anew);
    tcase_add_test(c, bad_examples_leave_the_rules);
    tcase_add_test(c, is_recorded_for_replay);
    tcase_add_test(c, is_recorded_from_a_process);
    return flow_main("models", (TCase *[]){c, NULL});
}
