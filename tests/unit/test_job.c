/* Jobs: under the virtual clock, where they are run at once, and on a loop with threads. */
#include "looped.h"

#include "core/id.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const both[] = {"miner", "quarry", NULL};
static struct virtual *v;
static struct answer_seen seen;

static void begin(void)
{
    v = virtual_new(both, NULL);
    virtual_open(v);
}

static void finish(void)
{
    virtual_conserved(v);
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_free(v);
}

static json_t *parsed(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    ck_assert_msg(value != NULL, "%s: %s", text, error.text);
    return value;
}

/* Runs a job; expects `outcome`; gives the data of its answer, borrowed until the next. */
static const json_t *run(const char *job, const char *input, const char *outcome)
{
    json_t *data = json_pack("{s:s, s:o}", "job", job, "input", parsed(input));
    ck_assert_int_eq(virtual_call(v, "test.miner", "begin", data, &seen), CVM_REPLIED);
    const char *ended = cvm_json_str(seen.data, "outcome", "none");
    if (strcmp(ended, outcome) != 0) {
        char *text = json_dumps(seen.data, 0);
        ck_abort_msg("%s %s ended as %s", job, input, text);
    }
    return json_object_get(seen.data, "data");
}

static void check_rows(const char *input, const char *rows)
{
    const json_t *data = run("scan", input, "REPLIED");
    json_t *wanted = parsed(rows);
    char *got = json_dumps(json_object_get(data, "rows"), 0);
    ck_assert_msg(json_equal(json_object_get(data, "rows"), wanted), "%s: %s", input, got);
    free(got);
    json_decref(wanted);
}

START_TEST(loads_scans_and_clears)
{
    begin();
    ck_assert_int_eq(cvm_json_int(run("load", "{\"rows\": 25000, \"run\": \"a\"}", "REPLIED"), "rows", 0), 25000);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 25000);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores WHERE n * 0.5 = weight AND run = 'a' AND "
                                      "tags = '[1]' AND good = n % 2 AND seam IS nullif(n % 3, 0)"),
                     25000);
    ck_assert_int_eq(cvm_json_int(run("scan", "{\"columns\": [\"id\", \"n\"], \"keep\": 0}", "REPLIED"), "n", 0),
                     25000);
    /* columns that a loader does not name stay as they are */
    run("load", "{\"rows\": 10, \"from\": 24995, \"columns\": \"few\"}", "REPLIED");
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores WHERE run IS NULL"), 5);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 25005);
    run("load", "{\"rows\": 100, \"from\": 100, \"run\": \"b\"}", "REPLIED");
    ck_assert_int_eq(cvm_json_int(run("clear", "{\"where\": {\"run\": \"b\"}}", "REPLIED"), "rows", 0), 100);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 24905);
    ck_assert_int_eq(cvm_json_int(run("clear", "{\"where\": {\"n\": 25001, \"run\": null}}", "REPLIED"), "rows", -1),
                     1);
    ck_assert_int_eq(cvm_json_int(run("clear", "{}", "REPLIED"), "rows", 0), 24904);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 0);
    ck_assert_int_eq(cvm_json_int(run("clear", "{}", "REPLIED"), "rows", -1), 0);
    finish();
}
END_TEST

START_TEST(rows_come_in_order)
{
    begin();
    run("load", "{\"rows\": 3000, \"run\": \"a\"}", "REPLIED");
    check_rows("{\"columns\": [\"id\", \"weight\", \"seam\"], \"keep\": 2}",
               "[[\"ore-00000000\", 0.0, null], [\"ore-00000001\", 0.5, 1]]");
    check_rows("{\"columns\": [\"id\"], \"keep\": 1, \"order\": \"-id\"}", "[[\"ore-00002999\"]]");
    check_rows("{\"columns\": [\"n\"], \"keep\": 2, \"order\": \"-weight\"}", "[[2999], [2998]]");
    check_rows("{\"columns\": [\"seam\", \"n\"], \"keep\": 1, \"order\": \"seam\"}", "[[null, 0]]");
    check_rows("{\"columns\": [\"seam\", \"n\"], \"keep\": 1, \"order\": \"-seam\"}", "[[2, 2999]]");
    const char *const orders[] = {"seam", "-seam", "weight", "-weight", "id", "-id"};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) { /* each once, over pages */
        char input[200];
        snprintf(input, sizeof input, "{\"columns\": [\"n\", \"seam\"], \"order\": \"%s\", \"keep\": 3000}", orders[i]);
        const json_t *data = run("scan", input, "REPLIED"), *row;
        char times[3000] = {0};
        size_t k;
        json_array_foreach(json_object_get(data, "rows"), k, row) times[json_integer_value(json_array_get(row, 0))]++;
        ck_assert_int_eq(json_array_size(json_object_get(data, "rows")), 3000);
        for (k = 0; k < 3000; k++)
            ck_assert_msg(times[k] == 1, "%s: %zu came %d times", orders[i], k, times[k]);
    }
    check_rows(
        "{\"columns\": [\"n\"], \"where\": {\"seam\": 2, \"name\": \"stone 3\"}, \"order\": \"-name\", \"keep\": 1}",
        "[[2999]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"weight\": 1.5}}", "[[3]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"n\": 4}}", "[[4]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"good\": true, \"n\": 4}}", "[]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"id\": \"ore-00000007\"}}", "[[7]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"seam\": null}, \"keep\": 2}", "[[0], [3]]");
    ck_assert_int_eq(
        cvm_json_int(run("scan", "{\"columns\": [\"n\"], \"where\": {\"name\": \"stone 0\"}}", "REPLIED"), "n", 0),
        429);
    finish();
}
END_TEST

START_TEST(reads_what_the_manifest_names)
{
    begin();
    json_t *stone = json_pack("{s:s, s:{s:s, s:i}}", "table", "quarry_stones", "row", "id", "s", "n", 5);
    ck_assert_int_eq(virtual_call(v, "test.quarry", "put", stone, &seen), CVM_REPLIED);
    check_rows("{\"table\": \"quarry_stones\", \"columns\": [\"id\", \"n\"]}", "[[\"s\", 5]]");
    const struct {
        const char *input;
        int error;
    } bad[] = {{"{\"table\": \"quarry_dust\", \"columns\": [\"id\"]}", CVM_EACCES},
               {"{\"table\": \"turns\", \"columns\": [\"seq\"]}", CVM_EACCES},
               {"{\"table\": \"nowhere\", \"columns\": [\"id\"]}", CVM_ENOENT},
               {"{\"columns\": [\"gold\"]}", CVM_EINVAL},
               {"{\"columns\": []}", CVM_EINVAL},
               {"{\"columns\": [\"n\"], \"order\": \"name\"}", CVM_EINVAL},
               {"{\"columns\": [\"n\"], \"order\": \"gold\"}", CVM_EINVAL},
               {"{\"columns\": [\"n\"], \"where\": {\"gold\": 1}}", CVM_EINVAL},
               {"{\"columns\": [\"n\"], \"where\": {\"n\": [1]}}", CVM_EINVAL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const json_t *data = run("scan", bad[i].input, "ERROR");
        ck_assert_msg(strcmp(cvm_json_str(data, "text", ""), cvm_strerror(bad[i].error)) == 0, "%s: %s", bad[i].input,
                      cvm_json_str(data, "text", ""));
    }
    finish();
}
END_TEST

START_TEST(writes_bulk_tables_only)
{
    begin();
    const struct {
        const char *what;
        int error;
    } bad[] = {{"foreign", CVM_EACCES},  {"turned", CVM_EACCES}, {"unnamed", CVM_EACCES}, {"missing", CVM_EACCES},
               {"keyless", CVM_EINVAL},  {"twice", CVM_EINVAL},  {"unknown", CVM_EINVAL}, {"key", CVM_EINVAL},
               {"null key", CVM_EINVAL}, {"number", CVM_EINVAL}, {"text", CVM_EINVAL},    {"fraction", CVM_EINVAL},
               {"utf8", CVM_EINVAL},     {"kind", CVM_EINVAL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char input[64];
        snprintf(input, sizeof input, "{\"what\": \"%s\"}", bad[i].what);
        const json_t *data = run("wrong", input, "ERROR");
        ck_assert_msg(strcmp(cvm_json_str(data, "text", ""), cvm_strerror(bad[i].error)) == 0, "%s: %s", bad[i].what,
                      cvm_json_str(data, "text", ""));
    }
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 0);
    run("wrong", "{\"what\": \"nothing\"}", "REPLIED");
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 1);
    run("clear", "{\"table\": \"visits\"}", "ERROR");
    json_t *row = json_pack("{s:s, s:{s:s}}", "table", "ores", "row", "id", "x");
    ck_assert_int_eq(virtual_call(v, "test.miner", "put", row, &seen), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(seen.data, "error", 0), CVM_EACCES);
    ck_assert_int_eq(virtual_call(v, "test.miner", "put", json_pack("{s:s, s:s}", "table", "ores", "key", "x"), &seen),
                     CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(seen.data, "error", 0), CVM_EACCES);
    row = json_pack("{s:s, s:{s:s}}", "table", "visits", "row", "id", "x");
    ck_assert_int_eq(virtual_call(v, "test.miner", "put", row, &seen), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(seen.data, "error", 1), 0);
    finish();
}
END_TEST

static void check_answer(const char *job, const char *input, const char *outcome, const char *code, const char *text)
{
    const json_t *data = run(job, input, outcome);
    ck_assert_str_eq(cvm_json_str(data, "code", ""), code);
    ck_assert_msg(strstr(cvm_json_str(data, "text", ""), text) != NULL, "%s", cvm_json_str(data, "text", ""));
}

START_TEST(answers_are_checked)
{
    begin();
    check_answer("odd", "{\"how\": \"fail\"}", "ERROR", "NO_ORE", "the mine is empty");
    check_answer("odd", "{\"how\": \"error\"}", "ERROR", "FAILED", "damaged");
    check_answer("odd", "{\"how\": \"array\"}", "ERROR", "FAILED", "no object");
    check_answer("odd", "{\"how\": \"large\"}", "ERROR", "TOO_LARGE", "belongs into a table");
    ck_assert_int_eq(json_object_size(run("odd", "{\"how\": \"null\"}", "REPLIED")), 0);
    const struct {
        const char *request;
        int error;
    } bad[] = {{"{\"job\": \"dig\"}", CVM_EACCES},
               {"{\"job\": \"here\"}", CVM_ENOENT},
               {"{\"job\": \"odd\", \"timeout_ms\": -1}", CVM_EINVAL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(virtual_call(v, "test.miner", "begin", parsed(bad[i].request), &seen), CVM_REPLIED);
        ck_assert_int_eq(cvm_json_int(seen.data, "error", 0), bad[i].error);
    }
    /* an ephemeral operation may start one too */
    ck_assert_int_eq(virtual_call(v, "test.miner", "peek", parsed("{\"job\": \"odd\", \"input\": {}}"), &seen),
                     CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(seen.data, "outcome", ""), "REPLIED");
    finish();
}
END_TEST

START_TEST(knows_settings_clock_and_randomness)
{
    begin();
    json_t *first = json_deep_copy(run("facts", "{\"x\": 1}", "REPLIED"));
    ck_assert_int_eq(cvm_json_int(json_object_get(first, "settings"), "depth", 0), 7);
    ck_assert_int_eq(cvm_json_int(json_object_get(first, "input"), "x", 0), 1);
    ck_assert_int_eq(cvm_json_int(first, "classified", 0), CVM_ENOENT);
    ck_assert_int_eq(cvm_json_int(first, "matched", 0), 2);
    ck_assert_int_eq(cvm_json_int(first, "at", 0), 2);
    ck_assert_int_gt(cvm_json_int(first, "now", 0), 1600000000000);
    const json_t *second = run("facts", "{\"x\": 1}", "REPLIED");
    ck_assert_int_ne(cvm_json_int(first, "id", 0), cvm_json_int(second, "id", 0));
    ck_assert_int_ne(cvm_json_int(first, "random", 0), cvm_json_int(second, "random", 0));
    json_decref(first);
    finish();
}
END_TEST

/* ---- files ---- */

static void put_file(const char *name, const char *text, size_t len)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", v->home, name);
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void make_folder(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", v->home, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void make_link(const char *to, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", v->home, name);
    ck_assert_int_eq(symlink(to, path), 0);
}

static const json_t *read_lines(const char *path, const char *outcome)
{
    char input[600];
    snprintf(input, sizeof input, "{\"path\": \"%s\"}", path);
    return run("lines", input, outcome);
}

START_TEST(files_are_read_by_lines)
{
    char path[300], *text = malloc(2 * 1024 * 1024);
    begin();
    put_file("orders.txt", "one\r\ntwo\n\nfour", 14);
    const json_t *data = read_lines("orders.txt", "REPLIED");
    json_t *wanted = parsed("[\"one\", \"two\", \"\", \"four\"]");
    ck_assert(json_equal(json_object_get(data, "lines"), wanted));
    json_decref(wanted);
    put_file("empty.txt", "", 0);
    ck_assert_int_eq(cvm_json_int(read_lines("empty.txt", "REPLIED"), "n", -1), 0);
    memset(text, 'x', 2 * 1024 * 1024);
    text[1024 * 1024] = '\n';
    put_file("long.txt", text, 1024 * 1024 + 3);
    data = read_lines("long.txt", "REPLIED");
    ck_assert_int_eq(cvm_json_int(data, "n", 0), 2);
    ck_assert_int_eq(cvm_json_int(data, "longest", 0), 1024 * 1024);
    text[1024 * 1024] = 'x';
    put_file("longer.txt", text, 1024 * 1024 + 1);
    ck_assert_str_eq(cvm_json_str(read_lines("longer.txt", "ERROR"), "text", ""), cvm_strerror(CVM_ELIMIT));
    put_file("endless.txt", text, 2 * 1024 * 1024);
    read_lines("endless.txt", "ERROR");
    snprintf(path, sizeof path, "%s/orders.txt", v->home);
    ck_assert_int_eq(cvm_json_int(read_lines(path, "REPLIED"), "n", 0), 4);
    make_folder("manifests/miner");
    put_file("manifests/miner/tools.txt", "pick\n", 5);
    ck_assert_int_eq(cvm_json_int(read_lines("manifest:tools.txt", "REPLIED"), "n", 0), 1);
    free(text);
    finish();
}
END_TEST

START_TEST(files_stay_in_their_place)
{
    begin();
    make_folder("manifests/miner");
    make_folder("output");
    make_folder("data/test"); /* of the area of test.miner */
    make_folder("data/shop");
    put_file("data/test/in.txt", "one\n", 4);
    put_file("data/test/.key", "one\n", 4);
    put_file("data/shop/in.txt", "one\n", 4);
    put_file("manifests/miner/tools.txt", "pick\n", 5);
    put_file("config/.env", "KEY=1\n", 6);
    put_file(".env", "KEY=1\n", 6);
    make_link("/etc/passwd", "passwords");
    make_link("orders.txt", "same");
    make_link("../miner.json", "manifests/miner/up");
    make_link(".env", "secret");
    make_link("/etc", "output/etc");
    put_file("orders.txt", "one\n", 4);
    ck_assert_int_eq(cvm_json_int(read_lines("same", "REPLIED"), "n", 0), 1);
    ck_assert_int_eq(cvm_json_int(read_lines("data/test/in.txt", "REPLIED"), "n", 0), 1);
    const char *const bad[] = {"passwords",
                               "data/test/.key",
                               "data/shop/in.txt",
                               "../x",
                               "config/../orders.txt",
                               "manifest:../miner.json",
                               "manifest:up",
                               "manifest:/etc/passwd",
                               "data/cvmhost.db",
                               "config/cvmhost.json",
                               ".env",
                               "config/.env",
                               "secret",
                               "",
                               "manifest:",
                               "plugins/miner.so"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(strcmp(cvm_json_str(read_lines(bad[i], "ERROR"), "code", ""), "NOT_ALLOWED") == 0, "%s", bad[i]);
    char own[300];
    snprintf(own, sizeof own, "%s/.env", v->home);
    ck_assert_str_eq(cvm_json_str(read_lines(own, "ERROR"), "code", ""), "NOT_ALLOWED");
    ck_assert_str_eq(cvm_json_str(read_lines("nothing", "ERROR"), "text", ""), cvm_strerror(CVM_ENOENT));
    ck_assert_str_eq(cvm_json_str(read_lines("output", "ERROR"), "text", ""), cvm_strerror(CVM_EINVAL));
    ck_assert_str_eq(cvm_json_str(read_lines("/dev/null", "ERROR"), "text", ""), cvm_strerror(CVM_EINVAL));
    finish();
}
END_TEST

static bool is_there(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", v->home, name);
    return access(path, F_OK) == 0;
}

START_TEST(files_are_saved_as_a_whole)
{
    char others[64];
    begin();
    run("save", "{\"path\": \"output/a/b.txt\", \"text\": \"hello\"}", "REPLIED");
    ck_assert_str_eq(
        json_string_value(json_array_get(json_object_get(read_lines("output/a/b.txt", "REPLIED"), "lines"), 0)),
        "hello");
    run("save", "{\"path\": \"output/a/b.txt\", \"text\": \"again\"}", "REPLIED");
    ck_assert_str_eq(
        json_string_value(json_array_get(json_object_get(read_lines("output/a/b.txt", "REPLIED"), "lines"), 0)),
        "again");
    run("save", "{\"path\": \"config/mine.json\", \"text\": \"{}\"}", "REPLIED");
    make_link("/tmp", "output/out");
    const char *const bad[] = {"data/x",
                               "x",
                               "/tmp/x",
                               "output/../x",
                               "output/",
                               "output/.x",
                               "config/cvmhost.json",
                               "output//x",
                               "output/out/x",
                               "config/.env",
                               ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char input[200];
        snprintf(input, sizeof input, "{\"path\": \"%s\", \"text\": \"x\"}", bad[i]);
        ck_assert_msg(strcmp(cvm_json_str(run("save", input, "ERROR"), "code", ""), "NOT_ALLOWED") == 0, "%s", bad[i]);
    }
    ck_assert(!is_there("x") && !is_there("data/x") && is_there("config/mine.json"));
    snprintf(others, sizeof others, "output/.c.txt.%ld", (long)getpid());
    put_file(others, "half", 4); /* what another job is writing under the same name */
    run("save", "{\"path\": \"output/c.txt\", \"text\": \"x\"}", "REPLIED");
    ck_assert(is_there("output/c.txt") && is_there(others));
    finish();
}
END_TEST

START_TEST(secrets_are_neither_read_nor_saved)
{
    static const char text[] = "{\"plugins\": {\"inline\": [\"*\"]}, \"secrets\": {\"file\": \"config/keys\"}}";
    char path[300], error[256];
    v = virtual_new(both, NULL);
    put_file("config/keys", "{}\n", 3);
    snprintf(path, sizeof path, "%s/config/keys", v->home);
    ck_assert_int_eq(chmod(path, 0600), 0);
    put_file("config/cvmhost.json", text, strlen(text));
    config_free(v->config);
    v->config = NULL;
    ck_assert_msg(config_load(v->home, NULL, &v->config, error, sizeof error) == 0, "%s", error);
    virtual_open(v);
    ck_assert_str_eq(cvm_json_str(read_lines("config/keys", "ERROR"), "code", ""), "NOT_ALLOWED");
    ck_assert_str_eq(cvm_json_str(run("save", "{\"path\": \"config/keys\", \"text\": \"KEY=2\"}", "ERROR"), "code", ""),
                     "NOT_ALLOWED");
    finish();
}
END_TEST

/* ---- crash, recovery, replay ---- */

START_TEST(starts_again_after_a_crash)
{
    begin();
    virtual_submit(v, "test.miner", "begin", parsed("{\"job\": \"load\", \"input\": {\"rows\": 10}}"), &seen);
    while (virtual_count(v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'") == 0)
        core_tick(v->core, 1);
    virtual_close(v); /* whether it ran or not: its answer was not taken */
    ck_assert_int_eq(seen.n, 0);
    virtual_open(v);
    core_step(v->core, core_now_ms(v->core) + 1000);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM ores"), 10);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'load.reply'"), 1);
    finish();
}
END_TEST

START_TEST(turns_that_start_jobs_run_again_the_same)
{
    begin();
    run("load", "{\"rows\": 10}", "REPLIED");
    run("scan", "{\"columns\": [\"n\"]}", "REPLIED");
    run("odd", "{\"how\": \"fail\"}", "ERROR");
    json_t *data = json_pack("{s:s}", "job", "unknown");
    ck_assert_int_eq(virtual_call(v, "test.miner", "begin", data, &seen), CVM_REPLIED);
    struct replay_report report = virtual_replays(v);
    ck_assert_int_ge(report.turns, 7);
    finish();
}
END_TEST

/* ---- on a loop, with threads ---- */

static struct looped *l;

static void begin_loop(const char *extra)
{
    l = looped_new(both, false, 5, extra);
    looped_open(l, true);
}

static void finish_loop(void)
{
    looped_free(l);
}

static void submit(const char *request, struct answer_seen *ret_seen)
{
    looped_submit(l, "test.miner", "begin", NULL, parsed(request), ret_seen);
    looped_pass(l, 30);
}

static void check_outcome(struct answer_seen *answer, int64_t ms, const char *outcome)
{
    ck_assert_msg(looped_until(l, &answer->n, ms), "no answer");
    char *text = json_dumps(answer->data, 0);
    ck_assert_msg(strcmp(cvm_json_str(answer->data, "outcome", ""), outcome) == 0, "%s", text);
    free(text);
}

/* How many jobs are listed in this state. */
static size_t listed(const char *state)
{
    json_t *jobs = core_jobs(l->v->core), *job;
    size_t i, n = 0;
    json_array_foreach(jobs, i, job) n += strcmp(cvm_json_str(job, "state", ""), state) == 0;
    json_decref(jobs);
    return n;
}

/* The same, once there are some. */
static size_t wait_listed(const char *state)
{
    for (int i = 0; i < 2000 && !listed(state); i++)
        looped_pass(l, 5);
    return listed(state);
}

/* Until the committed data say so. */
static void wait_count(const char *sql, int64_t n)
{
    for (int i = 0; i < 1000 && looped_count(l, sql) != n; i++)
        looped_pass(l, 10);
    ck_assert_int_eq(looped_count(l, sql), n);
}

static void pass_until_none(const char *state)
{
    for (int i = 0; i < 4000 && listed(state); i++)
        looped_pass(l, 10);
    ck_assert_int_eq(listed(state), 0);
}

START_TEST(loads_beside_the_turns)
{
    struct answer_seen a = {0}, b = {0};
    begin_loop(NULL);
    submit("{\"job\": \"load\", \"input\": {\"rows\": 60000}}", &a);
    for (int i = 0; i < 20; i++) {
        char row[100];
        snprintf(row, sizeof row, "{\"table\": \"visits\", \"row\": {\"id\": \"%d\"}}", i);
        looped_submit(l, "test.miner", "put", NULL, parsed(row), &b);
        looped_pass(l, 5);
    }
    check_outcome(&a, 20000, "REPLIED");
    looped_pass(l, 50);
    for (int i = 0; i < 1000 && b.n < 20; i++)
        looped_pass(l, 10);
    ck_assert_int_eq(b.n, 20);
    ck_assert_int_eq(looped_count(l, "SELECT count(*) FROM ores"), 60000);
    ck_assert_int_eq(looped_count(l, "SELECT count(*) FROM visits"), 20);
    json_decref(a.data);
    a = (struct answer_seen){0};
    submit("{\"job\": \"clear\", \"input\": {}}", &a);
    check_outcome(&a, 20000, "REPLIED");
    ck_assert_int_eq(looped_count(l, "SELECT count(*) FROM ores"), 0);
    json_decref(a.data);
    json_decref(b.data);
    finish_loop();
}
END_TEST

START_TEST(time_is_limited)
{
    struct answer_seen a = {0}, b = {0};
    begin_loop(NULL);
    submit("{\"job\": \"spin\", \"timeout_ms\": 150}", &a);
    ck_assert_int_eq(wait_listed("running"), 1);
    check_outcome(&a, 5000, "TIMEOUT");
    submit("{\"job\": \"spin\", \"input\": {\"deaf\": true, \"ms\": 2000}, \"timeout_ms\": 100}", &b);
    check_outcome(&b, 5000, "TIMEOUT");
    pass_until_none("ending"); /* what it says then is dropped */
    looped_pass(l, 50);
    ck_assert_int_eq(a.n, 1);
    ck_assert_int_eq(b.n, 1);
    json_decref(a.data);
    json_decref(b.data);
    finish_loop();
}
END_TEST

START_TEST(few_run_at_a_time)
{
    struct answer_seen a = {0}, b = {0}, c = {0};
    begin_loop("\"jobs\": {\"parallel\": 1, \"waiting\": 1},");
    submit("{\"job\": \"spin\", \"timeout_ms\": 400}", &a);
    submit("{\"job\": \"facts\", \"input\": {\"x\": 1}}", &b);
    ck_assert_int_eq(wait_listed("running"), 1);
    ck_assert_int_eq(wait_listed("waiting"), 1);
    submit("{\"job\": \"facts\", \"input\": {\"x\": 2}}", &c);
    check_outcome(&c, 1000, "BUSY");
    check_outcome(&a, 5000, "TIMEOUT");
    check_outcome(&b, 5000, "REPLIED");
    json_decref(a.data);
    json_decref(b.data);
    json_decref(c.data);
    finish_loop();
}
END_TEST

START_TEST(a_stop_ends_it_and_a_start_begins_it_again)
{
    struct answer_seen a = {0};
    begin_loop(NULL);
    submit("{\"job\": \"spin\", \"input\": {\"ms\": 400}}", &a);
    ck_assert_int_eq(wait_listed("running"), 1);
    looped_stop(l);
    ck_assert_int_eq(a.n, 0);
    ck_assert_int_eq(looped_count(l, "SELECT count(*) FROM open_items WHERE kind = 'effect'"), 1);
    looped_open(l, true);
    ck_assert_int_eq(wait_listed("running"), 1);
    pass_until_none("running");
    looped_quiet(l);
    looped_pass(l, 50);
    wait_count("SELECT count(*) FROM turns WHERE type = 'spin.reply'", 1);
    wait_count("SELECT count(*) FROM turns WHERE type = 'spin.reply' AND "
               "json_extract(record, '$.in.data.stopped') = 0",
               1);
    wait_count("SELECT count(*) FROM open_items", 0);
    finish_loop();
}
END_TEST

START_TEST(a_plugin_that_goes_takes_its_jobs_along)
{
    struct answer_seen a = {0}, b = {0};
    begin_loop(NULL);
    submit("{\"job\": \"spin\", \"input\": {\"deaf\": true, \"ms\": 4000}}", &a);
    submit("{\"job\": \"load\", \"input\": {\"rows\": 20}}", &b);
    ck_assert_int_eq(wait_listed("waiting"), 1);
    looped_change(l, CHANGE_DISABLE, "miner", "removed");
    ck_assert_int_eq(listed("running"), 0);
    ck_assert_int_eq(listed("waiting"), 0);
    ck_assert_int_eq(listed("ending"), 1); /* its code is still in memory */
    looped_change(l, CHANGE_ENABLE, "miner", "switched");
    pass_until_none("ending");
    ck_assert_int_eq(wait_listed("running"), 1); /* again */
    pass_until_none("running");
    looped_pass(l, 200);
    wait_count("SELECT count(*) FROM turns WHERE type = 'spin.reply'", 1);
    wait_count("SELECT count(*) FROM turns WHERE type = 'load.reply'", 1);
    wait_count("SELECT count(*) FROM ores", 20);
    json_decref(a.data);
    json_decref(b.data);
    finish_loop();
}
END_TEST

START_TEST(what_crashed_the_host_twice_is_not_run_again)
{
    struct answer_seen a = {0};
    cvm_id id;
    begin_loop(NULL);
    submit("{\"job\": \"spin\"}", &a);
    ck_assert_int_eq(wait_listed("running"), 1);
    json_t *jobs = core_jobs(l->v->core);
    ck_assert_int_eq(id_parse(cvm_json_str(json_array_get(jobs, 0), "id", ""), &id), 0);
    json_decref(jobs);
    looped_stop(l);
    struct page page = {.next_suspect = 1};
    page.suspects[0].message = id;
    page.suspects[0].crashes = PAGE_CRASHES_TO_DEAD;
    l->suspects = &page;
    looped_open(l, true);
    looped_pass(l, 50);
    ck_assert_int_eq(listed("running"), 0);
    wait_count("SELECT count(*) FROM turns WHERE type = 'spin.reply' AND "
               "json_extract(record, '$.in.data.code') = 'CRASHED'",
               1);
    finish_loop();
}
END_TEST

/* With `from` in the miner's manifest turned into `to` (of the same length), the core does not load. */
static void check_refused(const char *from, const char *to, const char *why)
{
    char path[200], text[8192], error[512] = "";
    struct core *core = NULL;
    v = virtual_new(both, NULL);
    snprintf(path, sizeof path, "%s/manifests/miner.json", v->home);
    FILE *f = fopen(path, "r+e");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    char *at = strstr(text, from);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    rewind(f);
    fputs(text, f);
    fclose(f);
    struct core_options options = {.home = v->home, .config = v->config, .seed = 1, .runner = TEST_RUNNER};
    ck_assert_int_eq(core_open(&options, &core, error, sizeof error), 0);
    ck_assert_int_lt(core_load(core, error, sizeof error), 0);
    ck_assert_msg(strstr(error, why) != NULL, "%s", error);
    core_close(core);
    virtual_free(v);
}

START_TEST(manifest_and_library_have_the_same_jobs)
{
    check_refused("\"name\": \"here\"", "\"name\": \"away\"", "the library has no job \"away\"");
    check_refused(",\n    { \"name\": \"here\" }", "                        ",
                  "the library has a job \"here\", which is not in the manifest");
}
END_TEST

START_TEST(a_move_outside_is_refused)
{
    begin_loop(NULL);
    looped_change(l, CHANGE_MOVE_PROCESS, "miner", "refused");
    char *report = json_dumps(l->report, 0);
    ck_assert_msg(strstr(report, "a plugin with jobs runs inside the host only") != NULL, "%s", report);
    free(report);
    finish_loop();
}
END_TEST

START_TEST(a_plugin_with_jobs_runs_inside_only)
{
    char error[512];
    l = looped_new(both, true, 5, NULL); /* in processes */
    struct core_options options = {.home = l->v->home, .config = l->v->config, .seed = 1, .runner = TEST_RUNNER};
    struct core *core = NULL;
    ck_assert_int_eq(core_open(&options, &core, error, sizeof error), 0);
    ck_assert_int_lt(core_load(core, error, sizeof error), 0);
    ck_assert_msg(strstr(error, "a plugin with jobs runs inside the host only; name it in plugins.inline"), "%s",
                  error);
    core_close(core);
    looped_free(l);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("job");
    TCase *c = tcase_create("virtual");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, loads_scans_and_clears);
    tcase_add_test(c, rows_come_in_order);
    tcase_add_test(c, reads_what_the_manifest_names);
    tcase_add_test(c, writes_bulk_tables_only);
    tcase_add_test(c, answers_are_checked);
    tcase_add_test(c, knows_settings_clock_and_randomness);
    tcase_add_test(c, files_are_read_by_lines);
    tcase_add_test(c, files_stay_in_their_place);
    tcase_add_test(c, files_are_saved_as_a_whole);
    tcase_add_test(c, secrets_are_neither_read_nor_saved);
    tcase_add_test(c, starts_again_after_a_crash);
    tcase_add_test(c, turns_that_start_jobs_run_again_the_same);
    suite_add_tcase(s, c);
    c = tcase_create("loop");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, loads_beside_the_turns);
    tcase_add_test(c, time_is_limited);
    tcase_add_test(c, few_run_at_a_time);
    tcase_add_test(c, a_stop_ends_it_and_a_start_begins_it_again);
    tcase_add_test(c, a_plugin_that_goes_takes_its_jobs_along);
    tcase_add_test(c, what_crashed_the_host_twice_is_not_run_again);
    tcase_add_test(c, a_plugin_with_jobs_runs_inside_only);
    tcase_add_test(c, a_move_outside_is_refused);
    tcase_add_test(c, manifest_and_library_have_the_same_jobs);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
