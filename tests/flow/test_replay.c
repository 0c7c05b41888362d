/* What a real host has recorded runs again with the same outcome, across an exchange of builds and beside the host;
 * what was changed in the journal, and code that keeps secrets from it, are named. CVM_WORKS: how many conversations
 * (256). */
#include "change_load.h"

#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static json_t *replay(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_run(f, &a, words), status);
    json_t *report = json_incref(a.json);
    ck_assert_msg(report != NULL, "%s%s", a.text, a.errors);
    flow_answer_free(&a);
    return report;
}

static int64_t count(const json_t *report, const char *member)
{
    return (int64_t)json_integer_value(json_object_get(report, member));
}

static const char *const ALL[] = {"replay", "--all", "--output", "json", NULL};

static void all_the_same(struct flow *f, int64_t conversations)
{
    int64_t begun = flow_now_ms();
    json_t *report = replay(f, 0, ALL);
    printf("%lld turns of %lld conversations again in %lld ms\n", (long long)count(report, "turns"),
           (long long)count(report, "conversations"), (long long)(flow_now_ms() - begun));
    ck_assert_int_eq(count(report, "differ"), 0);
    ck_assert_int_eq(count(report, "missing"), 0);
    ck_assert_int_ge(count(report, "conversations"), conversations);
    ck_assert_int_ge(count(report, "same"), conversations);
    json_decref(report);
}

static struct flow *worked(void)
{
    struct flow *f = flow_new();
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_plugin(f, "echo");
    flow_plugin(f, "faulty");
    change_put(f, "v1");
    struct load *load = load_new(f, setting("CVM_WORKS", 2048));
    bool exchanged = false;
    load_apart(load);
    flow_start(f);
    while (load_run(load, 1)) {
        if (exchanged || load_answered(load) * 2 < load_each(load) * LOAD_CUSTOMERS)
            continue;
        change_put(f, "v2");
        EXPECT(f, 0, "changing", "reload", "changing");
        exchanged = true;
    }
    ck_assert(exchanged);
    load_free(load);
    return f;
}

START_TEST(the_same_across_a_reload)
{
    struct flow *f = worked();
    int64_t builds = flow_sql_int(f, "SELECT count(DISTINCT build) FROM turns WHERE component = 'test.changing'");
    ck_assert_int_eq(builds, 2);
    all_the_same(f, setting("CVM_WORKS", 2048)); /* beside the host */
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    all_the_same(f, setting("CVM_WORKS", 2048));
    flow_free(f);
}
END_TEST

/* The database in another's hands, while no host runs. */
static void change(struct flow *f, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

/* The build that would come answers otherwise than what is recorded: nothing is changed unless that is allowed. */
START_TEST(a_build_is_proven_before_it_runs)
{
    struct flow *f = worked();
    EXPECT(f, 0, "2.0.0", "plugin", "info", "changing");
    EXPECT(f, 0, "proven by", "reload", "changing", "--prove", "50", "--max-diff", "1000000");
    change_put(f, "faults");
    EXPECT(f, 5, "come out differently", "reload", "changing", "--prove", "50");
    EXPECT(f, 0, "2.0.0", "plugin", "info", "changing");
    EXPECT(f, 2, "--prove", "reload", "changing", "--prove", "none");
    EXPECT(f, 2, "--max-diff", "reload", "changing", "--max-diff", "3");
    flow_end(f);
}
END_TEST

/* What two of a hundred would be decided otherwise by another component's new build, through messages that were never
 * sent: exactly these two are shown, and the exchange depends on how many may differ. */
START_TEST(decisions_are_proven_through_what_follows)
{
    static const char *const subjects[] = {"T17", "T42"}, *const was[] = {"carry", "roll"};
    char path[200], installed[200], tilted[300];
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_plugin(f, "chooser");
    flow_plugin(f, "scales");
    flow_start(f);
    snprintf(path, sizeof path, "%s/things.jsonl", f->home);
    FILE *things = fopen(path, "w");
    ck_assert_ptr_nonnull(things);
    for (int i = 1; i <= 100; i++)
        fprintf(things, "{\"thing\": \"T%d\", \"weight\": %d}\n", i, i == 17 ? 20 : i == 42 ? 80 : i);
    fclose(things);
    EXPECT(f, 0, "T100", "choose", "--file", path);
    EXPECT(f, 0, "100 the same, 0 differ", "replay", "--all", "--with-current");

    snprintf(tilted, sizeof tilted, "%s", flow_build("tests/plugins/scales_tilted.so"));
    EXPECT(f, 1, "98 the same, 2 differ", "replay", "--all", "--since", "1h", "--with", tilted);
    EXPECT(f, 2, "--with", "replay", "--all", "--with", "/none.so");
    snprintf(installed, sizeof installed, "%s/plugins/scales.so", f->home);
    change_copy(tilted, installed);
    ck_assert_int_eq(FLOW_RUN(f, &a, "reload", "scales", "--prove", "100", "--max-diff", "1%", "--output", "json"), 5);
    const json_t *differing = json_object_get(a.json, "differing");
    ck_assert_int_eq(count(a.json, "decisions"), 100);
    ck_assert_uint_eq(json_array_size(differing), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *d = json_array_get(differing, i);
        ck_assert_str_eq(cvm_json_str(d, "subject", ""), subjects[i]);
        ck_assert_str_eq(cvm_json_str(d, "was", ""), was[i]);
        ck_assert_str_eq(cvm_json_str(d, "is", ""), was[1 - i]);
        ck_assert_str_eq(cvm_json_str(d, "because", ""), i ? "it weighs 20" : "it weighs 80");
    }
    flow_answer_free(&a);
    EXPECT(f, 2, "--max-diff", "reload", "scales", "--prove", "100", "--max-diff", "2 %");
    EXPECT(f, 0, "98 the same, 2 differ", "reload", "scales", "--prove", "100", "--max-diff", "2%");
    char builds[2][65];
    for (int i = 0; i < 2; i++) {
        json_t *rows =
            flow_sql(f, i ? "SELECT json_extract(p.value, '$.build') AS b FROM host_configs c, json_each(c.doc, "
                            "'$.plugins') p WHERE json_extract(p.value, '$.name') = 'scales' ORDER BY c.id DESC"
                          : "SELECT json_extract(p.value, '$.build') AS b FROM host_configs c, json_each(c.doc, "
                            "'$.plugins') p WHERE json_extract(p.value, '$.name') = 'scales' ORDER BY c.id");
        snprintf(builds[i], 13, "%s", cvm_json_str(json_array_get(rows, 0), "b", "?"));
        json_decref(rows);
    }
    EXPECT(f, 0, "T42", "bisect", builds[0], builds[1]);
    EXPECT(f, 2, "not in service before", "bisect", builds[1], builds[0]);
    EXPECT(f, 4, "no build", "bisect", builds[0], "abcdef");
    flow_end(f);
}
END_TEST

static int64_t rolled(struct flow *f, int64_t after, int64_t *ret_last)
{
    char sql[300];
    *ret_last = flow_sql_int(f, "SELECT max(seq) FROM turns");
    snprintf(sql, sizeof sql, "SELECT count(*) FROM turns WHERE seq > %lld AND instr(record, '\"chose\":\"roll\"')",
             (long long)after);
    return flow_sql_int(f, sql);
}

/* A new build gets some of the conversations first, always the same; then all. What ran where can be run again. */
START_TEST(some_conversations_go_first)
{
    char path[200], installed[200];
    int64_t last = 0, n;
    struct flow *f = flow_new();
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "plugins.probation_turns", json_integer(300));
    flow_plugin(f, "chooser");
    flow_plugin(f, "scales");
    flow_start(f);
    snprintf(path, sizeof path, "%s/things.jsonl", f->home);
    FILE *things = fopen(path, "w");
    ck_assert_ptr_nonnull(things);
    for (int i = 1; i <= 200; i++)
        fputs("{\"thing\": \"T17\", \"weight\": 20}\n", things);
    fclose(things);
    EXPECT(f, 0, "carry", "choose", "--file", path);
    ck_assert_int_eq(rolled(f, 0, &last), 0);
    snprintf(installed, sizeof installed, "%s/plugins/scales.so", f->home);
    change_copy(flow_build("tests/plugins/scales_tilted.so"), installed);
    EXPECT(f, 2, "--canary", "reload", "--canary", "10");
    EXPECT(f, 2, "--canary", "reload", "scales", "--canary", "100");
    EXPECT(f, 4, "nobody", "reload", "nobody", "--canary", "10");
    EXPECT(f, 0, "scales", "reload", "scales", "--canary", "30");
    EXPECT(f, 0, "carry", "choose", "--file", path);
    n = rolled(f, last, &last);
    ck_assert_msg(n > 30 && n < 95, "%lld of 200", (long long)n);
    for (int i = 0; i < 8 && n < 200; i++) {
        EXPECT(f, 0, "roll", "choose", "--file", path);
        n = rolled(f, last, &last);
    }
    ck_assert_int_eq(n, 200); /* probation is over */
    all_the_same(f, 200);
    change_copy(flow_build("tests/plugins/chooser.so"),
                installed); /* not a build of it: the part that was asked for is gone */
    ck_assert_int_ne(FLOW_RUN(f, NULL, "reload", "scales", "--canary", "30"), 0);
    change_copy(flow_build("tests/plugins/scales.so"), installed);
    EXPECT(f, 0, "scales", "reload", "scales");
    EXPECT(f, 0, "carry", "choose", "--file", path);
    ck_assert_int_eq(rolled(f, last, &last), 0);
    flow_end(f);
}
END_TEST

START_TEST(names_what_was_changed)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    EXPECT(f, 0, "text: a", "faulty", "ok", "a");
    EXPECT(f, 0, "attempts: 2", "agent", "call", "test.faulty",
           "flaky"); /* counts in its own memory, which no record has */
    json_t *report = replay(f, 1, ALL);
    json_t *row = json_array_get(json_object_get(report, "rows"), 0);
    ck_assert_int_eq(count(report, "differ"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(row, "type")), "flaky");
    ck_assert_str_eq(json_string_value(json_object_get(row, "verdict")), "differs");
    json_decref(report);
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    change(f, "UPDATE turns SET record = replace(record, '\"echo\":{\"text\":\"a\"}', '\"echo\":{\"text\":\"b\"}') "
              "WHERE type ="
              " 'ok'");
    report = replay(f, 1, ALL);
    ck_assert_int_eq(count(report, "differ"), 2);
    json_t *difference =
        json_array_get(json_object_get(json_array_get(json_object_get(report, "rows"), 0), "differences"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(difference, "where")), "/answers/0/2/echo/text");
    json_decref(report);
    EXPECT(f, 4, "nothing is stored about no-such-thing", "replay", "no-such-thing");
    EXPECT(f, 2, "ID", "replay");
    flow_free(f);
}
END_TEST

/* A customer's enquiry, in a file for others: nobody's number is in it, and it runs there. */
START_TEST(exported_without_personal_data)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_product(f);
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, &a, "enquiry", "submit",
                              "My name is Ada Obi, send 500 MTN airtime to 08031234567, write to ada.obi@mail.example",
                              "--customer-phone", "+2348031234567", "--output", "json"),
                     0);
    const char *id = json_string_value(json_object_get(a.json, "enquiry_id"));
    ck_assert_msg(id != NULL, "%s", a.text);
    char file[128], *enquiry = strdup(id), *text;
    flow_answer_free(&a);
    json_t *report = replay(f, 0, (const char *const[]){"replay", enquiry, "--output", "json", NULL});
    int64_t turns = count(report, "turns");
    ck_assert_int_gt(turns, 5);
    json_decref(report);
    snprintf(file, sizeof file, "%s/export.json", f->home);
    ck_assert_int_eq(FLOW_RUN(f, &a, "export", enquiry, "--with-builds", "--output-file", file), 0);
    int said = 0;
    for (const char *at = a.errors; (at = strstr(at, "turn ")); at++, said++) /* hashes of numbers */
        ck_assert_msg(strstr(at, "comes out differently without personal data"), "%s", a.errors);
    flow_answer_free(&a);
    text = flow_read(f, "export.json");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_null(strstr(text, "8031234567"));
    ck_assert_ptr_null(strstr(text, "ada.obi@mail.example"));
    free(text);
    ck_assert_int_eq(flow_stop(f), 0);
    f->pid = 0;
    struct flow *other = flow_new();
    char place[128];
    snprintf(place, sizeof place, "%s/imported", other->home);
    EXPECT(other, 0, "imported into", "import", file, "--home", place);
    EXPECT(other, 5, "has a journal already", "import", file, "--home", place);
    report = replay(other, 1, (const char *const[]){"replay", "--all", "--home", place, "--output", "json", NULL});
    ck_assert_int_ge(count(report, "turns"), turns);
    ck_assert_int_eq(count(report, "differ"), said);
    ck_assert_int_eq(count(report, "missing"), 0);
    ck_assert_int_ge(count(report, "same"), turns - said);
    json_decref(report);
    EXPECT(other, 1, " same", "import", file, "--replay");
    int status = FLOW_RUN(other, &a, "replay", enquiry, "--home", place);
    ck_assert_msg(status == (said ? 1 : 0), "%s%s", a.text, a.errors); /* sums by recipient are kept by hash */
    flow_answer_free(&a);
    free(enquiry);
    flow_free(other);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("replay");
    tcase_set_timeout(c, setting("CVM_WORKS", 0) ? 1200 : 120);
    tcase_add_test(c, the_same_across_a_reload);
    tcase_add_test(c, a_build_is_proven_before_it_runs);
    tcase_add_test(c, decisions_are_proven_through_what_follows);
    tcase_add_test(c, some_conversations_go_first);
    tcase_add_test(c, names_what_was_changed);
    tcase_add_test(c, exported_without_personal_data);
    return flow_main("replay", (TCase *[]){c, NULL});
}
