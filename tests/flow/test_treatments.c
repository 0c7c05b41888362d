/* Treatments on a real host: those of the product, of a plugin that is dropped in, and those that people write, in
 * words and as JSON, by command and over HTTP; their file; what happens when one is applied. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FILE_NAME "config/custom_treatments.json"
#define VIDEO "Send personalized video message to customer with limit 10 and priority 2"

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int64_t limit_of(const json_t *treatment, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(treatment, "constraints"), name));
}

/* A command's JSON (json_decref), which must end so. */
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

static struct flow *with_treatments(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "treatments");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    return f;
}

/* Adds one and gives its id. */
static void add(struct flow *f, const char *input, char id[64])
{
    json_t *record = RUN(f, 0, "treatment", "add", input);
    snprintf(id, 64, "%s", str(record, "id"));
    json_decref(record);
}

static int64_t total(struct flow *f, const char *option)
{
    json_t *list = option ? RUN(f, 0, "treatment", "list", option) : RUN(f, 0, "treatment", "list");
    int64_t n = json_integer_value(json_object_get(list, "total"));
    ck_assert_int_eq(n, (int64_t)json_array_size(json_object_get(list, "treatments")));
    json_decref(list);
    return n;
}

/* ---- those of the product ---------------------------------------------------------------------------------------- */

START_TEST(standard_treatments_are_there)
{
    static const char *const ids[] = {
        "ignore",         "service_sms",       "retention_email",    "network_signal_booster",
        "retention_call", "loyalty_app_offer", "roaming_advice_sms", "billing_review_call"};
    struct flow *f = with_treatments();
    flow_config(f, "agents",
                json_loads("{\"cvm.treatment.standard\": {\"settings\": {\"treatment_overrides\": "
                           "{\"retention_call\": {\"constraints\": {\"max_per_day\": 35}}, \"service_sms\": "
                           "{\"constraints\": {\"priority\": 77}}}}}}",
                           0, NULL));
    flow_start(f);
    ck_assert_int_eq(total(f, NULL), 8);
    ck_assert_int_eq(total(f, "--custom-only"), 0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        json_t *one = RUN(f, 0, "treatment", "get", ids[i]);
        ck_assert_str_eq(str(one, "kind"), "standard");
        json_decref(one);
    }
    json_t *call = RUN(f, 0, "treatment", "get", "retention_call"), *sms = RUN(f, 0, "treatment", "get", "service_sms");
    ck_assert_int_eq(limit_of(call, "max_per_day"), 35); /* call-centre slots, as the operator says */
    ck_assert_int_eq(limit_of(call, "priority"), 2);
    ck_assert_int_eq(limit_of(sms, "priority"), 5); /* a faulty setting changes nothing and is told */
    json_decref(call);
    json_decref(sms);
    flow_wait_log(f, "treatment_overrides of service_sms is left out");
    EXPECT(f, 0, "cvmhost treatment add '{", "treatment", "help");
    EXPECT(f, 0, "cvmhost treatment add \"Send", "treatment", "help");
    EXPECT(f, 0, "MAX_PER_DAY", "treatment", "list");
    EXPECT(f, 5, "standard treatment", "treatment", "remove", "service_sms");
    EXPECT(f, 5, "standard treatment", "treatment", "update", "ignore", "limit 5");
    EXPECT(f, 4, "no treatment nope", "treatment", "get", "nope");
    EXPECT(f, 4, "no treatment nope", "treatment", "remove", "nope");
    ck_assert_int_eq(total(f, NULL), 8);
    flow_end(f);
}
END_TEST

/* ---- those that people write ------------------------------------------------------------------------------------- */

START_TEST(written_in_words)
{
    struct flow *f = with_treatments();
    char id[64];
    flow_start(f);
    json_t *video = RUN(f, 0, "treatment", "add", VIDEO);
    ck_assert_int_eq(strncmp(str(video, "id"), "custom_send_personalized_vide_", 30), 0);
    snprintf(id, sizeof id, "%s", str(video, "id"));
    ck_assert_uint_eq(strspn(strrchr(id, '_') + 1, "0123456789abcdef"), 8);
    ck_assert_uint_eq(strlen(id), 38);
    ck_assert_str_eq(str(video, "display_name"), "Send personalized video message to customer");
    ck_assert_str_eq(str(video, "description"), VIDEO);
    ck_assert_str_eq(str(video, "kind"), "custom");
    ck_assert_int_eq(limit_of(video, "max_per_day"), 10);
    ck_assert_int_eq(limit_of(video, "priority"), 2);
    json_t *changed = RUN(f, 0, "treatment", "update", str(video, "id"), "Updated description with new limit 20");
    ck_assert_str_eq(str(changed, "id"), str(video, "id"));
    ck_assert_str_eq(str(changed, "description"), "Updated description with new limit 20");
    ck_assert_str_eq(str(changed, "display_name"), "Send personalized video message to customer");
    ck_assert_int_eq(limit_of(changed, "max_per_day"), 20);
    ck_assert_int_eq(limit_of(changed, "priority"), 2);
    json_decref(changed);
    EXPECT(f, 5, "constraints.priority", "treatment", "add", "Gift priority 12");
    json_t *by_model = RUN(f, 0, "treatment", "add", "Gift limit 3", "--parser", "llm");
    ck_assert_int_eq(limit_of(by_model, "max_per_day"), 3); /* no model: the rules */
    ck_assert_uint_eq(json_array_size(json_object_get(by_model, "warnings")), 1);
    json_decref(by_model);
    ck_assert_int_eq(total(f, "--custom-only"), 2);
    EXPECT(f, 0, "removed: true", "treatment", "remove", str(video, "id"));
    EXPECT(f, 4, "no treatment", "treatment", "get", str(video, "id"));
    ck_assert_int_eq(total(f, "--custom-only"), 1);
    json_decref(video);
    flow_end(f);
}
END_TEST

START_TEST(written_as_json)
{
    struct flow *f = with_treatments();
    char id[64];
    flow_start(f);
    add(f,
        "{\"display_name\": \"Cell Tower Upgrade\", \"description\": \"x\", \"enabled\": true, \"channel\": "
        "\"network\", "
        "\"constraints\": {\"max_per_day\": 5, \"cost_per_contact_pounds\": 15.0, \"priority\": 3}}",
        id);
    ck_assert_int_eq(strncmp(id, "custom_cell_tower_upgr_", 23), 0);
    json_t *one = RUN(f, 0, "treatment", "update", id, "{\"constraints\": {\"priority\": 1}, \"enabled\": false}");
    ck_assert_int_eq(limit_of(one, "priority"), 1);
    ck_assert_int_eq(limit_of(one, "max_per_day"), 5);
    ck_assert(json_is_false(json_object_get(one, "enabled")));
    json_decref(one);
    one = RUN(f, 0, "treatment", "update", id, "{\"constraints\": null, \"description\": null}");
    ck_assert_int_eq(limit_of(one, "max_per_day"), 100);
    ck_assert_str_eq(str(one, "description"), "Cell Tower Upgrade");
    char *shown = json_dumps(one, 0); /* what is shown can be given back */
    json_decref(RUN(f, 0, "treatment", "update", id, shown));
    free(shown);
    json_decref(one);
    EXPECT(f, 5, "line 1", "treatment", "add", "{\"display_name\": ");
    EXPECT(f, 5, "colour", "treatment", "add", "{\"display_name\": \"x\", \"description\": \"x\", \"colour\": 1}");
    EXPECT(f, 5, "display_name", "treatment", "update", id, "{\"display_name\": null}");
    EXPECT(f, 5, "id", "treatment", "update", id, "{\"id\": \"other\"}");
    flow_write(f, "in.json", "{\"display_name\": \"VIP Gift Basket\", \"constraints\": {\"max_per_day\": 5}}");
    char command[400];
    int status;
    snprintf(command, sizeof command, "exec %s --home %s treatment add - <%s/in.json", flow_build("host/cvmhost"),
             f->home, f->home);
    pid_t pid = flow_spawn(f, "out", (const char *const[]){"/bin/sh", "-c", command, NULL});
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    char *text = flow_read(f, "out.txt");
    ck_assert_ptr_nonnull(strstr(text, "custom_vip_gift_bask_"));
    free(text);
    ck_assert_int_eq(total(f, "--custom-only"), 2);
    flow_end(f);
}
END_TEST

START_TEST(written_over_http)
{
    struct flow *f = with_treatments();
    struct flow_answer a;
    char path[128];
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/treatments",
                               "{\"display_name\": \"Gift\", \"constraints\": {\"max_per_day\": 7}}", NULL, &a),
                     201);
    snprintf(path, sizeof path, "/api/v1/cvm/treatments/%s", str(a.json, "id"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/treatments", "{\"input\": \"Gift two limit 8\"}", NULL, NULL),
                     201);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/cvm/treatments",
                               "{\"display_name\": \"Gift\", \"description\": \"x\", \"enabled\": 1}", NULL, &a),
                     400);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "PATCH", path, "{\"constraints\": {\"priority\": 2}}", NULL, &a), 200);
    ck_assert_int_eq(limit_of(a.json, "max_per_day"), 7);
    ck_assert_int_eq(limit_of(a.json, "priority"), 2);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/treatments?custom_only=true", NULL, NULL, &a), 200);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "total")), 2);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "DELETE", path, NULL, NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, NULL), 404);
    ck_assert_int_eq(flow_http(f, "DELETE", "/api/v1/cvm/treatments/ignore", NULL, NULL, NULL), 409);
    flow_end(f);
}
END_TEST

/* ---- the file ---------------------------------------------------------------------------------------------------- */

START_TEST(kept_in_a_file)
{
    struct flow *f = with_treatments();
    char id[64];
    flow_start(f);
    add(f, VIDEO, id);
    char *text = flow_read(f, FILE_NAME); /* it stands there before the answer */
    ck_assert_ptr_nonnull(text);
    json_t *file = json_loads(text, 0, NULL);
    ck_assert_int_eq(limit_of(json_object_get(file, id), "max_per_day"), 10);
    flow_kill(f, 9); /* another process */
    flow_wait_serving(f);
    json_decref(RUN(f, 0, "treatment", "get", id));
    flow_stop(f);

    json_object_set_new(json_object_get(json_object_get(file, id), "constraints"), "max_per_day", json_integer(4));
    json_object_set_new(file, "custom_by_hand", json_pack("{s:s, s:s}", "display_name", "By hand", "channel", "sms"));
    char *edited = json_dumps(file, JSON_INDENT(2));
    flow_write(f, FILE_NAME, edited);
    flow_start(f);
    json_t *one = RUN(f, 0, "treatment", "get", id);
    ck_assert_int_eq(limit_of(one, "max_per_day"), 4);
    json_decref(one);
    json_decref(RUN(f, 0, "treatment", "get", "custom_by_hand"));
    flow_stop(f);

    static const char *const broken[] = {"{\n\"custom_a\": {\"display_name\": \"x\"},\n}",
                                         "{\n\n\"custom_a\": {\"display_name\": \"x\", \"channel\": \"fax\"}}", "[]",
                                         "{\"service_sms\": {\"display_name\": \"x\"}}"};
    static const char *const why[] = {
        "custom_treatments.json:3: ", "custom_treatments.json:3: treatment custom_a: channel",
        "custom_treatments.json:1: expected an object", "an id is custom_"};
    for (size_t i = 0; i < 4; i++) {
        flow_write(f, FILE_NAME, broken[i]);
        flow_start(f);
        ck_assert_int_eq(total(f, "--custom-only"), 2);
        flow_wait_log(f, why[i]);
        flow_stop(f);
        free(text);
        text = flow_read(f, FILE_NAME);
        ck_assert_str_eq(text, broken[i]); /* left for whoever broke it */
    }
    flow_start(f);
    add(f, "Third gift limit 3", id); /* a change writes the file anew and keeps the edited one aside */
    free(text);
    text = flow_read(f, FILE_NAME ".edited");
    ck_assert_str_eq(text, "{\"service_sms\": {\"display_name\": \"x\"}}\n");
    free(text);
    free(edited);
    json_decref(file);
    flow_end(f);
}
END_TEST

START_TEST(many_are_written_at_once)
{
    struct flow *f = with_treatments();
    struct flow_answer a;
    char lines[4000] = "";
    flow_start(f);
    for (int i = 0; i < 60; i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "{\"input\": \"Gift %d of all limit %d\"}\n", i,
                 i);
    flow_write(f, "lines.jsonl", lines);
    char path[128];
    snprintf(path, sizeof path, "%s/lines.jsonl", f->home);
    ck_assert_int_eq(FLOW_RUN(f, &a, "treatment", "add", "--file", path, "--parallel", "20"), 0);
    flow_answer_free(&a);
    char *text = flow_read(f, FILE_NAME);
    json_t *file = json_loads(text, 0, NULL);
    ck_assert_uint_eq(json_object_size(file), 60);
    json_decref(file);
    free(text);
    ck_assert_int_eq(total(f, "--custom-only"), 60);
    flow_end(f);
}
END_TEST

/* ---- of a plugin that is dropped in ------------------------------------------------------------------------------ */

START_TEST(dropped_in_plugin_is_in_the_list)
{
    struct flow *f = with_treatments();
    flow_start(f);
    ck_assert_int_eq(total(f, NULL), 8);
    flow_plugin(f, "goodwill");
    EXPECT(f, 0, "goodwill", "reload");
    json_t *one = RUN(f, 0, "treatment", "get", "goodwill_credit");
    ck_assert_str_eq(str(one, "component"), "goodwill.treatment");
    json_decref(one);
    ck_assert_int_eq(total(f, NULL), 9);
    json_decref(flow_call(f, "cvm.allocation", "allocate_resource",
                          "{\"treatment_key\": \"goodwill_credit\", \"customer_id\": \"U1\"}", NULL));
    json_t *applied = flow_call(f, "goodwill.treatment", "apply",
                                "{\"treatment_id\": \"goodwill_credit\", \"customer_id\": \"U1\"}", NULL);
    ck_assert_str_eq(str(applied, "status"), "sent");
    json_decref(applied);
    EXPECT(f, 5, "standard treatment", "treatment", "remove", "goodwill_credit");
    EXPECT(f, 0, "goodwill", "plugin", "disable", "goodwill", "--now");
    FLOW_UNTIL(total(f, NULL) == 8);
    flow_end(f);
}
END_TEST

/* ---- applied ----------------------------------------------------------------------------------------------------- */

static void apply(struct flow *f, const char *component, const char *treatment, const char *customer,
                  const char *status, const char *rule)
{
    char data[256];
    snprintf(data, sizeof data, "{\"treatment_id\": \"%s\", \"customer_id\": \"%s\", \"application_id\": \"A1\"}",
             treatment, customer);
    json_t *answer = flow_call(f, component, "apply", data, NULL);
    ck_assert_msg(!strcmp(str(answer, "status"), status), "%s to %s: %s %s", treatment, customer, str(answer, "status"),
                  str(answer, "rule"));
    ck_assert_str_eq(str(answer, "rule"), rule);
    json_decref(answer);
}

#define STANDARD "cvm.treatment.standard"

START_TEST(nothing_is_sent_without_permission)
{
    struct flow *f = with_treatments();
    char id[64];
    flow_start(f);
    add(f, "Gift by SMS, limit 5", id);
    apply(f, STANDARD, "service_sms", "U124", "failed", "consent"); /* nobody knows the customer */
    apply(f, "cvm.treatments", id, "U124", "failed", "consent");
    apply(f, STANDARD, "network_signal_booster", "U124", "simulated", "");
    apply(f, STANDARD, "ignore", "U124", "simulated", "");
    json_decref(RUN(f, 0, "treatment", "update", id, "{\"channel\": \"none\"}"));
    apply(f, "cvm.treatments", id, "U124", "simulated", "");
    json_decref(RUN(f, 0, "treatment", "update", id, "{\"enabled\": false}"));
    apply(f, "cvm.treatments", id, "U124", "failed", "enabled");
    flow_end(f);
}
END_TEST

START_TEST(permissions_are_the_customers)
{
    struct flow *f = with_treatments();
    flow_plugin(f, "customers");
    flow_start(f);
    apply(f, STANDARD, "retention_email", "U124", "simulated", ""); /* no channel is there */
    apply(f, STANDARD, "retention_email", "U121", "failed", "consent");
    apply(f, STANDARD, "retention_email", "U122", "failed", "marketing");
    apply(f, STANDARD, "service_sms", "U122", "simulated", ""); /* serves, does not sell */
    apply(f, STANDARD, "retention_email", "nobody", "failed", "consent");
    flow_end(f);
}
END_TEST

/* ---- recommended ------------------------------------------------------------------------------------------------- */

/* What is chosen for the customer (free() it), and allocated with that. */
static char *chosen(struct flow *f, const char *customer)
{
    json_t *answer = RUN(f, 0, "customer", "process", customer);
    const json_t *one = json_is_array(answer) ? json_array_get(answer, 0) : answer;
    char *id = strdup(str(one, "selected_treatment"));
    ck_assert_msg(*id, "%s: nothing is selected", customer);
    json_decref(answer);
    return id;
}

START_TEST(custom_ones_are_recommended)
{
    struct flow *f = with_treatments();
    char id[64], *is;
    flow_plugin(f, "customers");
    flow_plugin(f, "decision");
    flow_start(f);
    add(f,
        "{\"display_name\": \"Golden gift\", \"description\": \"A gift for everybody\", \"constraints\": "
        "{\"max_per_day\": 1}, "
        "\"value\": {\"kind\": \"fixed\", \"propensity\": 0.9, \"amount_pounds\": 500}}",
        id);
    is = chosen(f, "U124"); /* at once, without any change to code or configuration */
    ck_assert_str_eq(is, id);
    free(is);
    is = chosen(f, "U125"); /* the day's only one is gone */
    ck_assert_str_ne(is, id);
    free(is);
    json_decref(RUN(f, 0, "treatment", "update", id, "limit 10, disabled"));
    is = chosen(f, "U126"); /* never a disabled one */
    ck_assert_str_ne(is, id);
    free(is);
    json_decref(RUN(f, 0, "treatment", "update", id, "enabled at a cost of 5,000 pounds each"));
    is = chosen(f, "U127"); /* nor what costs more than it is worth */
    ck_assert_str_ne(is, id);
    free(is);
    json_decref(RUN(f, 0, "treatment", "update", id, "cost 1"));
    is = chosen(f, "U128");
    ck_assert_str_eq(is, id);
    free(is);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("treatments");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, standard_treatments_are_there);
    tcase_add_test(c, written_in_words);
    tcase_add_test(c, written_as_json);
    tcase_add_test(c, written_over_http);
    tcase_add_test(c, kept_in_a_file);
    tcase_add_test(c, many_are_written_at_once);
    tcase_add_test(c, dropped_in_plugin_is_in_the_list);
    tcase_add_test(c, nothing_is_sent_without_permission);
    tcase_add_test(c, permissions_are_the_customers);
    tcase_add_test(c, custom_ones_are_recommended);
    return flow_main("treatments", (TCase *[]){c, NULL});
}
