/* Jobs in a real host: killed in the middle, crashing, watched, with paths of people. */
#include "flow.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS "400000"

static struct flow *begin(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "miner");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "supervisor.restart_delay_ms", json_integer(0));
    flow_start(f);
    return f;
}

static int64_t replies(struct flow *f, const char *type)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM turns WHERE type = '%s'", type);
    return flow_sql_int(f, sql);
}

START_TEST(a_kill_in_the_middle)
{
    struct flow *f = begin();
    const char *request = "{\"job\": \"load\", \"input\": {\"rows\": " ROWS ", \"run\": \"a\"}}";
    const char *const words[] = {"host/cvmhost", "--home", f->home, "agent", "call", "test.miner",
                                 "begin",        "--data", request, "--key", "once", NULL};
    flow_spawn(f, "call", words);
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM ores") > 0);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    ck_assert_int_lt(flow_sql_int(f, "SELECT count(*) FROM ores"), strtol(ROWS, NULL, 10));
    FLOW_UNTIL(replies(f, "load.reply") == 1);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "test.miner", "begin", "--data", request, "--key", "once"), 0);
    ck_assert_msg(strstr(a.text, "rows: " ROWS) != NULL, "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(replies(f, "load.reply"), 1);
    ck_assert_int_eq(replies(f, "begin"), 1);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM ores"), strtol(ROWS, NULL, 10));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM ores WHERE run = 'a' AND weight = n * 0.5"),
                     strtol(ROWS, NULL, 10));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM open_items"), 0);
    flow_end(f);
}
END_TEST

START_TEST(a_crash_is_the_jobs)
{
    struct flow *f = begin();
    const char *request = "{\"job\": \"odd\", \"input\": {\"how\": \"crash\"}}";
    const char *const words[] = {"host/cvmhost", "--home", f->home, "agent", "call", "test.miner",
                                 "begin",        "--data", request, "--key", "once", NULL};
    flow_spawn(f, "call", words);
    flow_wait_log(f, "the host has died 2 times"); /* tried again, it may crash before the host says that it serves */
    flow_wait_log(f, "recovered 0 messages, 1 open requests, 0 timers, 0 calls");
    flow_wait_serving(f);
    FLOW_UNTIL(FLOW_RUN(f, NULL, "plugin", "list") == 0);
    char *crash = flow_read(f, "logs/crash.log");
    ck_assert_msg(strstr(crash, "a job of component test.miner was running: MSG-") != NULL, "%s", crash);
    free(crash);
    flow_wait_log(f, "a plugin with jobs runs inside the host only");
    EXPECT(f, 0, "quarantined", "plugin", "list");
    EXPECT(f, 0, "", "revive", "miner");
    FLOW_UNTIL(replies(f, "odd.reply") == 1);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "agent", "call", "test.miner", "begin", "--data", request, "--key", "once"), 0);
    ck_assert_msg(strstr(a.text, "CRASHED") != NULL, "%s", a.text);
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(people_see_how_far_it_is)
{
    struct flow *f = begin();
    const char *const words[] = {"host/cvmhost", "--home",           f->home,        "mine",  "begin", "--job", "spin",
                                 "--input",      "{\"ms\": 100000}", "--timeout-ms", "60000", NULL};
    EXPECT(f, 0, "", "job", "list");
    flow_spawn(f, "call", words);
    struct flow_answer a;
    json_t *job = NULL;
    for (int i = 0; i < 400 && !json_integer_value(json_object_get(job, "total")); i++) { /* it says so as it begins */
        ck_assert_int_eq(FLOW_RUN(f, &a, "job", "list", "--output", "json"), 0);
        json_decref(job);
        job = json_incref(json_array_get(a.json, 0));
        flow_answer_free(&a);
    }
    ck_assert_str_eq(json_string_value(json_object_get(job, "job")), "spin");
    ck_assert_str_eq(json_string_value(json_object_get(job, "what")), "turning round");
    ck_assert_int_eq(json_integer_value(json_object_get(job, "total")), 100000);
    json_decref(job);
    EXPECT(f, 0, "turning round", "job", "list");
    EXPECT(f, 0, "cvmhost_jobs_running 1", "metrics");
    int64_t begun = flow_now_ms();
    ck_assert_int_eq(flow_stop(f), 0); /* which ends it */
    ck_assert_int_lt(flow_now_ms() - begun, 10000);
    flow_free(f);
}
END_TEST

START_TEST(paths_are_of_this_machine)
{
    struct flow *f = begin();
    struct flow_answer a;
    flow_write(f, "orders.txt", "one\ntwo\n");
    ck_assert_int_eq(chdir(f->home), 0);
    ck_assert_int_eq(FLOW_RUN(f, &a, "mine", "read", "orders.txt"), 0);
    ck_assert_msg(strstr(a.text, "one, two") != NULL, "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_sql_int(f,
                                  "SELECT json_extract(record, '$.jobs[0].input.path') LIKE '/%/orders.txt' FROM turns "
                                  "WHERE type = 'read'"),
                     1);
    ck_assert_int_eq(flow_http(f, "POST", "/mine/read", "{\"file\": \"/etc/passwd\"}", NULL, &a), 400);
    ck_assert_msg(strstr(a.text, "file is a path of a file on the host's machine") != NULL, "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/mine/read", "{\"files\": [{\"at\": \"x\"}]}", NULL, &a), 400);
    ck_assert_msg(strstr(a.text, "files[0].at is a path") != NULL, "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/mine/read", "{}", NULL, NULL), 200);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("job");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_kill_in_the_middle);
    tcase_add_test(c, a_crash_is_the_jobs);
    tcase_add_test(c, people_see_how_far_it_is);
    tcase_add_test(c, paths_are_of_this_machine);
    return flow_main("job", (TCase *[]){c, NULL});
}
