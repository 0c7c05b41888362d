/* Customers on a real host: sources from files and tables, what of them cannot be read, the cache, imports and what
 * hostile files do, a kill in the middle, the routes. CVM_SHARED_DATA names a folder with public data; what needs it is
 * skipped without. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS 20000
#define USAGE                                                                                                          \
    "customer_id,month,voice_minutes,sms_count,data_gb,roaming_minutes,roaming_data_gb,spend_pounds,paid_on_time\n"

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int64_t num(const json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

static bool has(const json_t *list, const char *part)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strstr(json_string_value(json_array_get(list, i)), part))
            return true;
    return false;
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

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "customers");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    return f;
}

/* For commands that start a host for themselves. */
static struct flow *home_unserved(const char *settings)
{
    struct flow *f = flow_new();
    char text[1000];
    flow_plugin(f, "customers");
    snprintf(text, sizeof text,
             "{\"plugins\": {\"inline\": [\"*\"]}, \"agents\": {\"cvm.data\": {\"settings\": {%s}}}}", settings);
    flow_config_text(f, text);
    return f;
}

static json_t *data_of(struct flow *f, const char *id)
{
    char request[100];
    int status;
    snprintf(request, sizeof request, "{\"customer_id\": \"%s\"}", id);
    json_t *answer = flow_call(f, "cvm.data", "get_customer_data", request, &status);
    ck_assert_msg(answer != NULL, "%s: exit status %d", id, status);
    return answer;
}

static char *path_in(struct flow *f, const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    return path;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

START_TEST(commands_need_no_host)
{
    struct flow *f = home_unserved("");
    json_t *list = RUN(f, 0, "customer", "list"), *ids = json_object_get(list, "customer_ids");
    ck_assert_uint_ge(json_array_size(ids), 50);
    ck_assert_uint_eq(json_array_size(ids), json_array_size(json_object_get(list, "customers")));
    for (int n = 120; n <= 169; n++) {
        char id[8];
        snprintf(id, sizeof id, "U%d", n);
        ck_assert_msg(has(ids, id), "%s", id);
    }
    json_t *first = RUN(f, 0, "customer", "list", "--limit", "2");
    json_t *second = RUN(f, 0, "customer", "list", "--limit", "2", "--after", str(first, "next"));
    ck_assert(json_equal(json_array_get(ids, 2), json_array_get(json_object_get(second, "customer_ids"), 0)));
    json_t *shown = RUN(f, 0, "customer", "show", "U124");
    ck_assert_str_eq(str(json_object_get(json_object_get(shown, "customer_data"), "facts"), "customer_id"), "U124");
    ck_assert_ptr_nonnull(json_object_get(shown, "journey"));
    EXPECT(f, 4, "CUSTOMER_NOT_FOUND", "customer", "show", "nobody");
    EXPECT(f, 0, "usage.csv", "customer", "sources");
    EXPECT(f, 0, "U001", "customer", "list", "--limit", "1", "--log_level", "ERROR"); /* spellings of old scripts */
    EXPECT(f, 0, "", "customer", "show", "--customer_id", "U124", "--output_file", "list.txt");
    char *text = flow_read(f, "output/list.txt"), *log = flow_log(f);
    ck_assert_ptr_nonnull(strstr(text, "U124"));
    const char *name = str(json_object_get(json_object_get(shown, "customer_data"), "facts"), "name");
    ck_assert(*name && !strstr(log, name)); /* nothing personal in the log */
    free(text);
    free(log);
    json_decref(list);
    json_decref(first);
    json_decref(second);
    json_decref(shown);
    flow_free(f);
}
END_TEST

START_TEST(each_source_answers)
{
    static const struct {
        const char *agent, *member;
    } agents[] = {
        {"cvm.source.usage", "spend_pounds"},         {"cvm.source.recommender", "score"},
        {"cvm.source.campaigns", "treatment_id"},     {"cvm.source.demographics", "segment"},
        {"cvm.source.network", "signal_dbm"},         {"cvm.source.call_transcripts", "call_id"},
        {"cvm.source.web_transcripts", "session_id"}, {"cvm.source.permissions", "sms"},
    };
    struct flow *f = home();
    flow_start(f);
    for (size_t i = 0; i < sizeof agents / sizeof *agents; i++) {
        json_t *answer = flow_call(f, agents[i].agent, "get_records", "{\"customer_id\": \"U124\"}", NULL);
        json_t *record = json_array_get(json_object_get(answer, "records"), 0);
        ck_assert_msg(json_object_get(record, agents[i].member) != NULL, "%s", agents[i].agent);
        ck_assert_str_eq(str(record, "customer_id"), "U124");
        ck_assert_str_eq(str(answer, "status"), "success");
        json_t *ids = flow_call(f, agents[i].agent, "list_customer_ids", "{}", NULL);
        ck_assert_msg(has(json_object_get(ids, "customer_ids"), "U124"), "%s", agents[i].agent);
        json_decref(ids);
        json_decref(answer);
        EXPECT(f, 5, "customer_id", "agent", "call", agents[i].agent, "get_records");
    }
    json_t *offers = flow_call(f, "cvm.source.offers", "get_records", "{}", NULL);
    json_t *prices = flow_call(f, "cvm.source.prices", "get_records", "{}", NULL);
    json_t *offer = json_array_get(json_object_get(offers, "records"), 0);
    ck_assert(json_is_array(json_object_get(offer, "eligible_segments")));
    ck_assert_ptr_nonnull(json_object_get(json_array_get(json_object_get(prices, "records"), 0), "competitor"));
    json_decref(offers);
    json_decref(prices);
    flow_end(f);
}
END_TEST

START_TEST(all_sources_in_one_answer)
{
    static const char *const members[] = {
        "facts",     "attributes",  "demographics",     "usage",           "network",    "billing",
        "campaigns", "recommender", "call_transcripts", "web_transcripts", "permissions"};
    struct flow *f = home();
    flow_start(f);
    json_t *answer = data_of(f, "U124"), *data = json_object_get(answer, "customer_data");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(data, members[i]);
        ck_assert_msg(json_array_size(member) + json_object_size(member) > 0, "%s", members[i]);
    }
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "warnings")), 0);
    json_t *some = flow_call(f, "cvm.data", "get_customer_data",
                             "{\"customer_id\": \"U124\", \"sources\": [\"usage\", \"permissions\"]}", NULL);
    ck_assert_uint_eq(json_object_size(json_object_get(some, "customer_data")), 2);
    json_t *rows =
        flow_sql(f, "SELECT customer_id FROM cvm_customers WHERE customer_id NOT IN (SELECT customer_id FROM "
                    "cvm_permissions) LIMIT 1");
    json_t *none = data_of(f, str(json_array_get(rows, 0), "customer_id"));
    const char *channel;
    json_t *may;
    json_object_foreach(json_object_get(json_object_get(none, "customer_data"), "permissions"), channel, may)
        ck_assert_msg(!json_is_true(may), "%s", channel);
    json_decref(none);
    json_decref(rows);
    json_decref(some);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(answers_are_kept_for_a_while)
{
    struct flow *f = home();
    flow_start(f);
    json_t *first = data_of(f, "U124"), *again = data_of(f, "U124");
    ck_assert(!json_is_true(json_object_get(first, "cached")));
    ck_assert(json_is_true(json_object_get(again, "cached")));
    ck_assert(json_equal(json_object_get(first, "customer_data"), json_object_get(again, "customer_data")));
    json_t *fresh =
        flow_call(f, "cvm.data", "get_customer_data", "{\"customer_id\": \"U124\", \"refresh\": true}", NULL);
    ck_assert(!json_is_true(json_object_get(fresh, "cached")));
    json_t *cleared = flow_call(f, "cvm.data", "clear_cache", "{}", NULL);
    ck_assert_int_eq(num(cleared, "cleared"), 1);
    json_t *after = data_of(f, "U124");
    ck_assert(!json_is_true(json_object_get(after, "cached")));
    json_decref(first);
    json_decref(again);
    json_decref(fresh);
    json_decref(cleared);
    json_decref(after);
    flow_end(f);
}
END_TEST

START_TEST(damaged_rows_are_left_out_and_told)
{
    struct flow *f = home();
    mkdir(path_in(f, "data/cvm"), 0700);
    flow_write(f, "data/cvm/usage.csv",
               USAGE "U124,2026-10,100,10,20.5,0,0,30.00,1\n"
                     "U124,2026-09,many,10,20,0,0,30,1\n"
                     "U124,2026-08,100,10\n"
                     ",2026-08,100,10,20,0,0,30,1\n"
                     "\"U124\",2026-07,\"100\",10,20,0,0,31,no\n");
    flow_write(
        f, "data/cvm/call_transcripts.json",
        "[{\"customer_id\": \"U124\", \"call_id\": \"C1\", \"started_at\": \"2026-10-01T10:00:00+02:00\", \"text\": "
        "\"hello\"},\n {\"customer_id\": },\n {\"customer_id\": \"U125\", \"call_id\": \"C2\"}]");
    flow_start(f);
    json_t *answer = data_of(f, "U124"), *data = json_object_get(answer, "customer_data");
    json_t *warnings = json_object_get(answer, "warnings"), *usage = json_object_get(data, "usage");
    ck_assert(has(warnings, "usage: 3 of 5 rows were left out"));
    ck_assert(has(warnings, "usage.csv:3: voice_minutes: is no number"));
    ck_assert(has(warnings, "usage.csv:4: has 4 fields, the header has 9"));
    ck_assert(has(warnings, "usage.csv:5: customer_id: is missing"));
    ck_assert(has(warnings, "call_transcripts.json:2: is no JSON"));
    ck_assert(has(warnings, "call_transcripts.json:3: started_at: is missing"));
    ck_assert_uint_eq(json_array_size(usage), 2);
    ck_assert_str_eq(str(json_array_get(usage, 0), "month"), "2026-07"); /* oldest first */
    ck_assert_int_eq(num(json_array_get(usage, 0), "paid_on_time"), 0);
    ck_assert_str_eq(str(json_array_get(json_object_get(data, "call_transcripts"), 0), "started_at"),
                     "2026-10-01T08:00:00Z");
    ck_assert_int_eq(num(json_object_get(data, "facts"), "last_charged"), 3000);
    json_decref(answer);
    flow_write(f, "data/cvm/usage.csv", USAGE "U124,2026-10,100,10,20.5,0,0,41.00,1\n");
    json_decref(RUN(f, 0, "customer", "load"));
    answer = data_of(f, "U124");
    ck_assert(!has(json_object_get(answer, "warnings"), "usage"));
    ck_assert_int_eq(num(json_object_get(json_object_get(answer, "customer_data"), "facts"), "last_charged"), 4100);
    json_decref(answer);
    flow_end(f);
}
END_TEST

START_TEST(a_changed_file_is_noticed)
{
    struct flow *f = home();
    flow_config(f, "agents", json_pack("{s:{s:{s:i}}}", "cvm.data", "settings", "watch_seconds", 1));
    mkdir(path_in(f, "data/cvm"), 0700);
    flow_write(f, "data/cvm/usage.csv", USAGE "U124,2026-10,100,10,20.5,0,0,41.00,1\n");
    flow_start(f);
    FLOW_UNTIL(flow_sql_int(f, "SELECT last_charged FROM cvm_customers WHERE customer_id = 'U124'") == 4100);
    flow_write(f, "data/cvm/usage.csv", USAGE "U124,2026-10,100,10,20.5,0,0,42.00,1\n");
    FLOW_UNTIL(flow_sql_int(f, "SELECT last_charged FROM cvm_customers WHERE customer_id = 'U124'") == 4200);
    flow_end(f);
}
END_TEST

START_TEST(a_table_serves_as_a_file_does)
{
    struct flow *f = home_unserved("");
    json_t *before = RUN(f, 0, "customer", "show", "U124"), *sources = json_object();
    static const char *const names[] = {"usage",   "billing",          "recommender",     "campaigns",  "demographics",
                                        "network", "call_transcripts", "web_transcripts", "permissions"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(sources, names[i], json_pack("{s:s}", "kind", "sqlite"));
    json_t *config = json_pack("{s:{s:[s]}, s:{s:{s:{s:o}}}}", "plugins", "inline", "*", "agents", "cvm.data",
                               "settings", "sources", sources);
    char *text = json_dumps(config, 0);
    flow_write(f, "config/cvmhost.json", text);
    FLOW_UNTIL(FLOW_RUN(f, NULL, "ps", "--no-start") == 1);
    json_t *after = RUN(f, 0, "customer", "show", "U124"), *list = RUN(f, 0, "customer", "sources");
    ck_assert(json_equal(json_object_get(before, "customer_data"), json_object_get(after, "customer_data")));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_sources WHERE kind = 'sqlite'"), 9);
    json_decref(list);
    json_decref(before);
    json_decref(after);
    json_decref(config);
    free(text);
    flow_free(f);
}
END_TEST

/* With the plugins that decide: showing a customer has the journey, and decides nothing; old spellings still work. */
START_TEST(shows_the_journey_and_decides_nothing)
{
    static const char *const others[] = {"decision", "treatments"};
    struct flow *f = home_unserved("");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        flow_plugin(f, others[i]);
    json_t *before = RUN(f, 0, "allocation", "history"), *shown = RUN(f, 0, "customer", "show", "U124");
    json_t *after = RUN(f, 0, "allocation", "history"), *journey = json_object_get(shown, "journey");
    ck_assert_str_eq(str(journey, "customer_id"), "U124");
    ck_assert_uint_gt(json_array_size(json_object_get(journey, "events")), 0);
    ck_assert(json_equal(json_object_get(before, "history"), json_object_get(after, "history")));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_applications"), 0);
    EXPECT(f, 0, "", "customer", "process", "--customer_ids", "U124,U125", "--output_file", "results.json",
           "--log_level", "ERROR");
    char *results = flow_read(f, "output/results.json");
    ck_assert(strstr(results, "U124") && strstr(results, "U125"));
    free(results);
    json_decref(before);
    json_decref(shown);
    json_decref(after);
    flow_free(f);
}
END_TEST

/* ---- import ------------------------------------------------------------------------------------------------------ */

/* A base of ROWS customers; `bad` of them cannot be read. */
static void write_base(struct flow *f, const char *name, int bad)
{
    char *text = malloc((size_t)ROWS * 80 + 200);
    size_t at = (size_t)snprintf(text, 200, "Account,Months,Bill,Product,Notes\r\n");
    for (int i = 0; i < ROWS; i++)
        at += (size_t)snprintf(text + at, 80, "A%06d,%s,%d.%02d,\"Flex, %d\",\"said \"\"hi\"\"\"\r\n", i,
                               i < bad ? "some" : "12", i % 90, i % 100, i % 7);
    flow_write(f, name, text);
    free(text);
}

static const char mapping[] = "{\"columns\": {\"Account\": \"customer_id\", \"Months\": \"tenure_months\", \"Bill\": "
                              "{\"field\": \"monthly_spend\", \"scale\": 100}, \"Product\": \"attributes.plan\"},"
                              " \"constants\": {\"currency\": \"EUR\"}, \"attributes\": [\"Notes\"]}";

START_TEST(imports_by_a_mapping)
{
    struct flow *f = home();
    char file[200], map[200];
    write_base(f, "base.csv", 3);
    flow_write(f, "base.json", mapping);
    snprintf(file, sizeof file, "%s", path_in(f, "base.csv"));
    snprintf(map, sizeof map, "%s", path_in(f, "base.json"));
    flow_start(f);
    EXPECT(f, 5, "NO_MAPPING", "customer", "import", file);
    json_t *done = RUN(f, 0, "customer", "import", file, "--mapping", map, "--permissions", "sms,marketing");
    ck_assert_int_eq(num(done, "rows"), ROWS);
    ck_assert_int_eq(num(done, "imported"), ROWS - 3);
    ck_assert_int_eq(num(done, "skipped"), 3);
    json_t *first = json_array_get(json_object_get(done, "warnings"), 0);
    ck_assert_str_eq(str(first, "file"), "base.csv");
    ck_assert_int_eq(num(first, "line"), 2);
    ck_assert_str_eq(str(first, "field"), "Months");
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'import'"), ROWS - 3);
    json_t *one = data_of(f, "A000123"), *facts = json_object_get(json_object_get(one, "customer_data"), "facts");
    ck_assert_int_eq(num(facts, "monthly_spend"), 3323);
    ck_assert_str_eq(str(facts, "currency"), "EUR");
    ck_assert_str_eq(str(json_object_get(facts, "attributes"), "plan"), "Flex, 4");
    ck_assert_str_eq(str(json_object_get(facts, "attributes"), "Notes"), "said \"hi\"");
    ck_assert(num(facts, "sms") == 1 && num(facts, "marketing") == 1 && num(facts, "email") == 0);
    json_decref(one);
    json_decref(data_of(f, "U124")); /* the sample is still there */
    json_decref(done);
    done = RUN(f, 0, "customer", "import", file, "--mapping", map, "--replace");
    ck_assert_int_gt(num(done, "removed"), ROWS);
    EXPECT(f, 4, "CUSTOMER_NOT_FOUND", "customer", "show", "U124");
    json_decref(RUN(f, 0, "customer", "load")); /* and does not come back by itself */
    EXPECT(f, 4, "CUSTOMER_NOT_FOUND", "customer", "show", "U124");
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers"), ROWS - 3);
    json_decref(done);
    done = RUN(f, 0, "customer", "clear");
    ck_assert_int_eq(num(done, "removed"), ROWS - 3);
    EXPECT(f, 4, "CUSTOMER_NOT_FOUND", "customer", "show", "A000123");
    json_decref(data_of(f, "U124"));
    json_decref(done);
    flow_end(f);
}
END_TEST

START_TEST(imports_histories)
{
    struct flow *f = home();
    flow_write(
        f, "histories.jsonl",
        "{\"record\": \"customer\", \"customer_id\": \"H1\", \"call_transcripts\": [{\"date\": \"2026-03-01\", "
        "\"turns\": [{\"speaker\": \"customer\", \"text\": \"No signal.\"}, {\"speaker\": \"agent\", \"text\": "
        "\"Sorry.\"}]}], \"web_transcripts\": [], \"usage\": {\"avg_monthly_data_gb\": 8.5, \"days_abroad_90d\": 3},"
        " \"billing\": {\"plan\": \"Flex\", \"currency\": \"GBP\", \"avg_monthly_spend\": 20, "
        "\"last_month_charged\": 25, \"tenure_months\": 14}, \"network\": {\"dropped_call_rate_pct\": 1.5}, "
        "\"labels\": [\"network_issues\"]}\n"
        "{\"record\": \"custom_trigger\", \"description\": \"x\"}\n"
        "{\"record\": \"customer\", \"customer_id\": \"H2\", \"usage\": {\"avg_monthly_data_gb\": \"much\"}}\n"
        "not JSON\n"
        "{\"record\": \"customer\", \"customer_id\": \"H3\", \"call_transcripts\": [{\"date\": \"soon\", \"turns\": "
        "[]}]}\n");
    flow_start(f);
    json_t *done = RUN(f, 0, "customer", "import", path_in(f, "histories.jsonl"));
    ck_assert_int_eq(num(done, "imported"), 1);
    ck_assert_int_eq(num(done, "skipped"), 3);
    ck_assert_int_eq(num(done, "others"), 1);
    ck_assert_int_eq(num(done, "transcripts"), 1);
    ck_assert_str_eq(str(json_array_get(json_object_get(done, "warnings"), 0), "field"), "usage.avg_monthly_data_gb");
    json_t *one = data_of(f, "H1"), *data = json_object_get(one, "customer_data"),
           *facts = json_object_get(data, "facts");
    ck_assert_int_eq(num(facts, "monthly_spend"), 2000);
    ck_assert_int_eq(num(facts, "contacts_90d"), 1);
    ck_assert_str_eq(str(json_array_get(json_object_get(data, "call_transcripts"), 0), "text"),
                     "customer: No signal.\nagent: Sorry.");
    ck_assert_ptr_null(json_object_get(json_object_get(facts, "attributes"), "labels"));
    EXPECT(f, 4, "CUSTOMER_NOT_FOUND", "customer", "show", "H3"); /* whole or not at all */
    json_decref(one);
    json_decref(RUN(f, 0, "customer", "load", "--force")); /* the sources know nothing of H1 but what was imported */
    one = data_of(f, "H1");
    facts = json_object_get(json_object_get(one, "customer_data"), "facts");
    ck_assert_int_eq(num(facts, "monthly_spend"), 2000);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'file'"), 300);
    json_decref(one);
    json_decref(done);
    flow_end(f);
}
END_TEST

/* Rows in the form of a source join its table, and the figures follow. */
START_TEST(imports_rows_of_a_source)
{
    struct flow *f = home();
    flow_write(f, "more.csv", USAGE "N1,2026-10,100,10,20,0,0,50,1\nN1,2026-09,100,10,20,0,0,30,1\nN1,x,,,,,,,\n");
    flow_start(f);
    json_t *done = RUN(f, 0, "customer", "import", path_in(f, "more.csv"));
    ck_assert_str_eq(str(done, "form"), "source");
    ck_assert_int_eq(num(done, "imported"), 2);
    ck_assert_int_eq(num(done, "skipped"), 1);
    json_t *one = data_of(f, "N1");
    ck_assert_int_eq(num(json_object_get(json_object_get(one, "customer_data"), "facts"), "monthly_spend"), 4000);
    json_decref(one);
    json_decref(done);
    flow_end(f);
}
END_TEST

/* What a file may hold: each is refused or read with its faults told, and the base stays. */
START_TEST(hostile_files_change_nothing)
{
    static const struct {
        const char *text;
        int status;
        const char *says;
    } files[] = {
        {"", 5, "empty"},
        {"\n\n\n", 5, "empty"},
        {"\"never closed\nA,B\n", 5, "BAD_FILE"},
        {"a,b\n1,2\n", 5, "NO_MAPPING"},
        {"customer_id,name\n\"A,1\n", 0, "\"imported\":0"},
        {"customer_id,name\nA 1,x\n\x01,y\nB1,\xff\xfe\n", 0, "\"imported\":0"},
        {"customer_id,name\n'); DROP TABLE cvm_customers; --,x\nR1,\"'; DELETE FROM cvm_customers; --\"\n", 0,
         "\"imported\":1"},
        {"customer_id,age\nB1,1e400\nB2,-9999999999999999999999\nB3,nan\nB4,0x10\n", 0, "\"imported\":0"},
        {"customer_id,customer_id\nA,B\n", 0, "\"imported\":1"},
        {"{\"customer_id\": 1}\n{{{{\n[1]\n{\"customer_id\": \"../../etc\"}\n", 0, "\"imported\":1"},
    };
    struct flow *f = home();
    struct flow_answer a;
    flow_start(f);
    int64_t before = flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'file'");
    FLOW_UNTIL((before = flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'file'")) == 300);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        flow_write(f, "hostile.csv", files[i].text);
        int status = FLOW_RUN(f, &a, "customer", "import", path_in(f, "hostile.csv"), "--output", "json");
        ck_assert_msg(status == files[i].status, "%zu: %d: %s%s", i, status, a.text, a.errors);
        ck_assert_msg(strstr(a.text, files[i].says) || strstr(a.errors, files[i].says), "%zu: %s%s", i, a.text,
                      a.errors);
        flow_answer_free(&a);
    }
    char *line = malloc(2 * 1024 * 1024);
    memset(line, 'x', 2 * 1024 * 1024 - 1);
    line[2 * 1024 * 1024 - 1] = 0;
    memcpy(line, "customer_id,name\n", 17);
    flow_write(f, "hostile.csv", line);
    free(line);
    EXPECT(f, 5, "a line of over 1 MiB", "customer", "import", path_in(f, "hostile.csv"));
    EXPECT(f, 5, "no regular file", "customer", "import", f->home);
    EXPECT(f, 4, "NOT_FOUND", "customer", "import", "/nonexistent.csv");
    EXPECT(f, 5, "may not read", "customer", "import", path_in(f, "data/cvmhost.db"));
    EXPECT(f, 5, "permissions: expected words", "customer", "import", path_in(f, "hostile.csv"), "--permissions",
           "fax");
    flow_write(f, "map.json", "{\"columns\": [}");
    flow_write(f, "hostile.csv", "customer_id,name\nQ1,x\n");
    char map[200];
    snprintf(map, sizeof map, "%s", path_in(f, "map.json"));
    EXPECT(f, 5, "BAD_MAPPING", "customer", "import", path_in(f, "hostile.csv"), "--mapping", map);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'file'"), before);
    json_decref(data_of(f, "U124"));
    flow_end(f);
}
END_TEST

/* What cannot be read takes nobody's place. */
START_TEST(a_refused_import_replaces_nobody)
{
    static const struct {
        const char *text;
        int status;
    } files[] = {{"", 5},
                 {"\"never closed\nA,B\n", 5},
                 {"a,b\n1,2\n", 5},
                 {"customer_id,name\nA 1,x\n", 5},
                 {"{\"name\":\n\"x\"}\n", 5}};
    struct flow *f = home();
    char map[200];
    flow_start(f);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'file'") == 300);
    int64_t before = flow_sql_int(f, "SELECT count(*) FROM cvm_customers"),
            calls = flow_sql_int(f, "SELECT count(*) FROM cvm_transcripts");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        flow_write(f, "base.csv", files[i].text);
        ck_assert_int_eq(FLOW_RUN(f, NULL, "customer", "import", path_in(f, "base.csv"), "--replace"), files[i].status);
    }
    flow_write(f, "base.csv", "customer_id,name\nQ1,x\n");
    EXPECT(f, 4, "NOT_FOUND", "customer", "import", path_in(f, "base.csv"), "--replace", "--mapping", "nosuch");
    flow_write(f, "map.json", "{\"columns\": {\"customer_id\": \"nosuch\"}}");
    snprintf(map, sizeof map, "%s", path_in(f, "map.json"));
    EXPECT(f, 5, "BAD_MAPPING", "customer", "import", path_in(f, "base.csv"), "--replace", "--mapping", map);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers"), before);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_transcripts"), calls);
    EXPECT(f, 0, "", "customer", "import", path_in(f, "base.csv"), "--replace");
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers"), 1);
    flow_end(f);
}
END_TEST

/* Killed in the middle, the import is made again from its beginning when the host is back. */
START_TEST(an_import_outlives_a_kill)
{
    struct flow *f = home();
    char file[200], map[200];
    write_base(f, "base.csv", 0);
    flow_write(f, "base.json", mapping);
    snprintf(file, sizeof file, "%s", path_in(f, "base.csv"));
    snprintf(map, sizeof map, "%s", path_in(f, "base.json"));
    flow_start(f);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM cvm_customers") == 300);
    flow_spawn(f, "import", (const char *const[]){"host/cvmhost", "customer", "import", file, "--mapping", map, NULL});
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'import'") > 0);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    FLOW_UNTIL(flow_sql_int(f, "SELECT rows FROM cvm_sources WHERE source = 'import'") == ROWS);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_customers WHERE origin = 'import'"), ROWS);
    flow_end(f);
}
END_TEST

/* ---- routes ------------------------------------------------------------------------------------------------------ */

START_TEST(routes)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers?limit=3", NULL, NULL, &a), 200);
    json_t *ids = json_object_get(a.json, "customer_ids");
    ck_assert_uint_eq(json_array_size(ids), 3);
    char path[100];
    snprintf(path, sizeof path, "/api/v1/cvm/customers?limit=1&after=%s", str(a.json, "next"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), 200);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(a.json, "customer_ids"), 0)), "U004");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers/U124", NULL, NULL, &a), 200);
    ck_assert_ptr_nonnull(json_object_get(a.json, "customer_data"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers/nobody", NULL, NULL, &a), 404);
    ck_assert_ptr_nonnull(strstr(a.text, "CUSTOMER_NOT_FOUND"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/customers?limit=0", NULL, NULL, NULL), 400);
    flow_end(f);
}
END_TEST

/* ---- public data ------------------------------------------------------------------------------------------------- */

START_TEST(public_bases)
{
    const char *folder = getenv("CVM_SHARED_DATA");
    char path[400];
    if (!folder) {
        printf("public_bases: skipped, CVM_SHARED_DATA names no folder\n");
        return;
    }
    struct flow *f = home_unserved("");
    snprintf(path, sizeof path, "%s/telco/telco-customer-churn.csv", folder);
    json_t *done = RUN(f, 0, "customer", "import", path, "--replace");
    ck_assert_str_eq(str(done, "mapping"), "telco");
    ck_assert_int_eq(num(done, "imported"), 7043);
    json_decref(done);
    snprintf(path, sizeof path, "%s/desk/histories.jsonl", folder);
    done = RUN(f, 0, "customer", "import", path);
    ck_assert_int_eq(num(done, "skipped"), 0);
    ck_assert_int_gt(num(done, "imported"), 30);
    json_decref(done);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("customers");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, commands_need_no_host);
    tcase_add_test(c, each_source_answers);
    tcase_add_test(c, all_sources_in_one_answer);
    tcase_add_test(c, answers_are_kept_for_a_while);
    tcase_add_test(c, damaged_rows_are_left_out_and_told);
    tcase_add_test(c, a_changed_file_is_noticed);
    tcase_add_test(c, a_table_serves_as_a_file_does);
    tcase_add_test(c, shows_the_journey_and_decides_nothing);
    tcase_add_test(c, imports_by_a_mapping);
    tcase_add_test(c, imports_histories);
    tcase_add_test(c, imports_rows_of_a_source);
    tcase_add_test(c, hostile_files_change_nothing);
    tcase_add_test(c, a_refused_import_replaces_nobody);
    tcase_add_test(c, an_import_outlives_a_kill);
    tcase_add_test(c, routes);
    tcase_add_test(c, public_bases);
    return flow_main("customers", (TCase *[]){c, NULL});
}
