/* Exchanges under unlucky circumstances: while the writer is behind, while the host stops, after crashes with other
 * files in the folders, with claims that others have taken meanwhile, with plugins that were long away. */
#include "core/internal.h"
#include "core/registry.h"
#include "core/reload.h"
#include "files.h"
#include "virtual.h"

#include <cvm/json.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKER "test.changing"
#define TRUSTING "{\"plugins\": {\"inline\": [\"*\"]}}"
#define NARROW "{\"plugins\": {\"inline\": [\"*\"]}, \"agents\": {\"test.changing\": {\"concurrency\": 2}}}"

static const char *const NOTHING[] = {NULL};

struct waiting {
    http_done done;
    void *arg;
};

static struct {
    struct virtual *v;
    struct page page;
    struct waiting waiting[512];
    int n_waiting, calls;
    uv_loop_t loop;
    bool looped, stopped;
    sqlite3 *lock; /* holds the database file against the writer */
    json_t *report;
    int error, reports;
} run;

/* ---- the world --------------------------------------------------------------------------------------------------- */

static int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg,
                      uint64_t *ret_handle)
{
    (void)arg;
    (void)request;
    run.waiting[run.n_waiting] = (struct waiting){done, done_arg};
    *ret_handle = (uint64_t)++run.n_waiting;
    run.calls++;
    return 0;
}

static void answer_calls(void)
{
    while (run.n_waiting) {
        struct waiting w = run.waiting[--run.n_waiting];
        json_t *headers = json_object();
        w.done(w.arg, &(struct http_result){
                          .fate = HTTP_ANSWERED, .status = 200, .headers = headers, .body = "{}", .body_len = 2});
        json_decref(headers);
    }
}

/* Under the virtual clock `ms` of it; else about as much real time. */
static void pass(int64_t ms)
{
    struct core *core = run.v->core;
    if (run.looped) {
        for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end; usleep(500)) {
            answer_calls();
            uv_run(&run.loop, UV_RUN_NOWAIT);
        }
        return;
    }
    for (int64_t until = core_now_ms(core) + ms; core_now_ms(core) < until;) {
        core_step(core, core_now_ms(core));
        answer_calls();
        core_step(core, core_now_ms(core) + 5);
    }
}

static void home_path(const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", run.v->home, name);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    home_path(name, path);
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* Puts a build where the operator would, with the manifest of `like`; `edit` (NULL: nothing) is done to that. */
static void put_as(const char *name, const char *build, const char *like, void (*edit)(json_t *manifest))
{
    char file[64], from[PATH_MAX], to[256];
    json_error_t fault;
    snprintf(file, sizeof file, "plugins/changing/%s.so", build);
    files_built(file, from);
    snprintf(to, sizeof to, "%s/plugins/%s.so", run.v->home, name);
    files_copy(from, to);
    snprintf(file, sizeof file, "plugins/changing/%s.json", like);
    files_built(file, from);
    json_t *manifest = json_load_file(from, 0, &fault);
    ck_assert_msg(manifest != NULL, "%s: %s", from, fault.text);
    if (edit)
        edit(manifest);
    snprintf(to, sizeof to, "%s/manifests/%s.json", run.v->home, name);
    ck_assert_int_eq(json_dump_file(manifest, to, JSON_INDENT(1)), 0);
    json_decref(manifest);
}

static void put_edited(const char *build, void (*edit)(json_t *manifest))
{
    put_as("changing", build, build, edit);
}

static void put(const char *build)
{
    put_edited(build, NULL);
}

static json_t *component_of(json_t *manifest)
{
    return json_array_get(json_object_get(manifest, "components"), 0);
}

static json_t *first_table(json_t *manifest)
{
    return json_array_get(json_object_get(json_object_get(manifest, "needs"), "tables"), 0);
}

/* Names, and no commands and routes, which are the first plugin's. */
static void make_second(json_t *manifest)
{
    json_t *c = component_of(manifest), *operation;
    size_t i;
    json_object_set_new(manifest, "name", json_string("second"));
    json_object_set_new(manifest, "library", json_string("second.so"));
    json_object_set_new(c, "id", json_string("test.second"));
    json_object_set_new(c, "alias", json_string("Second"));
    json_object_set_new(c, "may_send_to", json_pack("[s]", WORKER));
    json_array_foreach(json_object_get(c, "operations"), i, operation) json_object_del(operation, "expose");
    json_object_set_new(first_table(manifest), "name", json_string("other_changes"));
}

static void make_second_again(json_t *manifest)
{
    make_second(manifest);
    json_object_set_new(manifest, "description", json_string("Another manifest is another build"));
}

/* The library has the worker, the manifest names another of its components only. */
static void idle_only(json_t *manifest)
{
    json_object_set_new(manifest, "components",
                        json_pack("[{s:s, s:s, s:s, s:i, s:[{s:s}]}]", "id", WORKER "_idle", "alias", "Idle", "kind",
                                  "agent", "state_version", 1, "operations", "type", "idle"));
    json_object_del(manifest, "needs");
    json_object_del(manifest, "schemas");
}

static void put_second(const char *build)
{
    put_as("second", build, "v1", make_second);
}

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static void begin_with(const char *build, const char *config)
{
    memset(&run, 0, sizeof run);
    run.v = virtual_new(NOTHING, config);
    run.v->send = world_send;
    run.v->page = &run.page;
    if (build)
        put(build);
}

static void begin(const char *build)
{
    begin_with(build, TRUSTING);
    virtual_open(run.v);
}

/* With a loop and a writer's thread, as a host that serves. */
static void begin_looped(const char *build, const char *config)
{
    char error[512];
    begin_with(build, config);
    ck_assert_int_eq(uv_loop_init(&run.loop), 0);
    run.looped = true;
    struct core_options options = {.home = run.v->home,
                                   .config = run.v->config,
                                   .loop = &run.loop,
                                   .seed = 42,
                                   .send = world_send,
                                   .page = &run.page,
                                   .runner = TEST_RUNNER};
    ck_assert_msg(core_open(&options, &run.v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_load(run.v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_start(run.v->core, error, sizeof error) == 0, "%s", error);
    pass(20);
}

static void on_stopped(void *arg)
{
    (void)arg;
    run.stopped = true;
}

static void stop(void)
{
    core_stop(run.v->core, on_stopped, NULL);
    for (int i = 0; i < 5000 && !run.stopped; i++) {
        uv_run(&run.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert(run.stopped);
    virtual_close(run.v);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&run.loop), 0);
    run.looped = false;
}

static void finish(void)
{
    if (run.looped)
        stop();
    virtual_free(run.v);
    json_decref(run.report);
}

static void reopen(void)
{
    run.n_waiting = 0;
    if (run.v->core)
        virtual_close(run.v);
    virtual_open(run.v);
}

static sqlite3 *open_store(void)
{
    char path[256];
    sqlite3 *db = NULL;
    home_path("data/cvmhost.db", path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

static void execute(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    int e = sqlite3_exec(db, sql, NULL, NULL, &error);
    ck_assert_msg(e == SQLITE_OK, "%s: %s", sql, error);
}

/* From here on the writer can commit nothing, as with a full disk. */
static void hold_store(void)
{
    run.lock = open_store();
    execute(run.lock, "BEGIN IMMEDIATE");
}

static void free_store(void)
{
    execute(run.lock, "ROLLBACK");
    sqlite3_close(run.lock);
    run.lock = NULL;
}

static void edit_store(const char *sql)
{
    sqlite3 *db = open_store();
    execute(db, sql);
    sqlite3_close(db);
}

static void changed(void *arg, int error, json_t *report)
{
    (void)arg;
    json_decref(run.report);
    run.report = report;
    run.error = error;
    run.reports++;
}

static void ask_change(enum core_change what, const char *plugin, bool now)
{
    core_change(run.v->core, what, plugin, now, changed, NULL);
}

static void wait_change(int reports)
{
    if (!run.looped)
        core_step(run.v->core, core_now_ms(run.v->core));
    for (int i = 0; run.looped && i < 500 && run.reports < reports; i++)
        pass(10);
    ck_assert_int_eq(run.reports, reports);
}

static const char *report_error(void)
{
    return cvm_json_str(json_object_get(run.report, "error"), "text", "");
}

static void change(enum core_change what, const char *plugin, bool now, const char *result)
{
    int before = run.reports;
    ask_change(what, plugin, now);
    wait_change(before + 1);
    ck_assert_msg(strcmp(cvm_json_str(run.report, "result", ""), result) == 0, "%s: %s",
                  cvm_json_str(run.report, "result", ""), report_error());
}

static void submit(const char *customer, int k, struct answer_seen *seen)
{
    char conversation[64];
    struct edge_error error;
    snprintf(conversation, sizeof conversation, "customer %s", customer);
    struct edge_in in = {.source = "test",
                         .to = WORKER,
                         .type = "work",
                         .conversation = conversation,
                         .data = json_pack("{s:s, s:i}", "customer", customer, "k", k),
                         .priority = -1};
    int e = edge_submit(run.v->core, &in, virtual_seen, seen, NULL, &error);
    ck_assert_msg(e == 0, "%s", error.text);
}

static json_t *ask(const char *type, const char *customer)
{
    struct answer_seen seen = {0};
    virtual_submit(run.v, WORKER, type, json_pack("{s:s}", "customer", customer), &seen);
    if (run.looped)
        pass(50);
    else
        core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(seen.n, 1);
    ck_assert_msg(seen.outcome == CVM_REPLIED, "%s: outcome %d", type, seen.outcome);
    return seen.data;
}

static void check_version(const char *version)
{
    json_t *data = ask("which", "");
    ck_assert_str_eq(cvm_json_str(data, "version", ""), version);
    json_decref(data);
}

static int64_t sum_of(const char *customer)
{
    json_t *data = ask("total", customer);
    int64_t sum = cvm_json_int(data, "sum", -1);
    json_decref(data);
    return sum;
}

static const json_t *plugin_now(void)
{
    static json_t *list;
    json_decref(list);
    list = core_plugins(run.v->core);
    return json_array_get(list, 0);
}

static void check_state(const char *state)
{
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", "gone"), state);
}

static int64_t count(const char *sql)
{
    sqlite3 *db = open_store();
    sqlite3_stmt *st = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* ---- while the writer is behind ---------------------------------------------------------------------------------- */

/* A row on its way to the store when the generation that declares its table goes. */
START_TEST(rows_outlive_their_generation)
{
    struct answer_seen seen = {0};
    begin_looped("v1", TRUSTING);
    hold_store();
    submit("one", 1, &seen);
    pass(10);
    ask_change(CHANGE_REMOVE, "changing", true);
    pass(50);
    free_store();
    wait_change(1);
    ck_assert_str_eq(cvm_json_str(run.report, "result", ""), "removed");
    ck_assert_int_eq(count("SELECT count(*) FROM changes"), 1);
    finish();
}
END_TEST

/* A request that was lent and not written yet when its plugin went is the plugin's when it is back. */
START_TEST(lent_requests_are_written_as_the_plugins)
{
    struct answer_seen seen = {0};
    begin_looped("v1", TRUSTING);
    hold_store();
    submit("one", 1, &seen);
    pass(5); /* its timer has not fired */
    ask_change(CHANGE_DISABLE, "changing", true);
    pass(50);
    free_store();
    wait_change(1);
    ck_assert_int_eq(count("SELECT count(*) FROM open_items WHERE kind = 'request' AND "
                           "json_extract(doc, '$.holder') = '" WORKER "'"),
                     1);
    change(CHANGE_ENABLE, "changing", false, "switched");
    pass(400);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(seen.outcome, CVM_REPLIED);
    json_decref(seen.data);
    finish();
}
END_TEST

/* Between the plan of a change and its switch the build in service is rolled back by its faults. */
START_TEST(rolled_back_while_another_build_comes)
{
    struct answer_seen seen[5] = {{0}};
    begin_looped("v1", TRUSTING);
    put("faults");
    change(CHANGE_RELOAD, "changing", false, "switched");
    hold_store();
    submit("c0", 1, &seen[0]); /* its record holds the marks back */
    pass(5);
    put("v2");
    ask_change(CHANGE_RELOAD, "changing", false);
    pass(100);
    for (int i = 1; i < 5; i++) {
        char customer[8];
        snprintf(customer, sizeof customer, "c%d", i);
        submit(customer, 1, &seen[i]);
    }
    pass(40);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "version", ""), "1.0.0");
    free_store();
    wait_change(2);
    ck_assert_str_eq(cvm_json_str(run.report, "result", ""), "switched");
    pass(300);
    check_version("2.0.0");
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(seen[i].n, 1);
        ck_assert_int_eq(seen[i].outcome, CVM_REPLIED);
        json_decref(seen[i].data);
    }
    finish();
}
END_TEST

/* The host stops while the writer has the marks of a change. */
START_TEST(stopped_in_the_middle_of_a_change)
{
    begin_looped("v1", TRUSTING);
    hold_store();
    put("v2");
    ask_change(CHANGE_RELOAD, "changing", false);
    pass(100);
    ck_assert_int_eq(run.reports, 0);
    stop();
    ck_assert_int_eq(run.reports, 1);
    ck_assert_str_eq(cvm_json_str(json_object_get(run.report, "error"), "code", ""), "STOPPING");
    free_store();
    finish();
}
END_TEST

/* Of a change that was asked for and has not begun. */
START_TEST(stopped_before_a_change_begins)
{
    begin("v1");
    put("v2");
    ask_change(CHANGE_RELOAD, "changing", false);
    ask_change(CHANGE_DISABLE, "changing", true);
    virtual_close(run.v);
    ck_assert_int_eq(run.reports, 2);
    finish();
}
END_TEST

/* What cannot be noted is not done: the next start would not know of it. */
START_TEST(nothing_changes_that_cannot_be_noted)
{
    begin_looped("v1", TRUSTING);
    hold_store();
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "refused");
    ck_assert_msg(strstr(report_error(), "cannot be noted") != NULL, "%s", report_error());
    free_store();
    check_version("1.0.0");
    change(CHANGE_RELOAD, "changing", false, "switched");
    finish();
}
END_TEST

/* ---- restarts ---------------------------------------------------------------------------------------------------- */

/* What the supervisor leaves in the page; NULL: it was no turn. */
static void die_in(const char *component)
{
    virtual_close(run.v);
    run.page.restarts++;
    snprintf(run.page.crashed, sizeof run.page.crashed, "%s", component ? component : "");
}

/* A restart takes what ran, whatever has become of the files. */
START_TEST(files_are_of_no_matter_to_a_restart)
{
    char path[256];
    begin("v1");
    die_in(NULL);
    write_file("plugins/changing.so", "half a library");
    reopen();
    check_version("1.0.0");
    die_in(NULL);
    write_file("manifests/changing.json", "{\"manifest\": 1,");
    reopen();
    check_version("1.0.0");
    die_in(NULL);
    home_path("manifests/changing.json", path);
    ck_assert_int_eq(unlink(path), 0);
    home_path("plugins/changing.so", path);
    ck_assert_int_eq(unlink(path), 0);
    reopen();
    check_version("1.0.0");
    virtual_close(run.v);
    run.page.restarts = 0; /* a start by the operator takes what is there */
    reopen();
    check_state("gone");
    finish();
}
END_TEST

/* Under the virtual clock nothing runs beside the host: who is to be quarantined is not loaded at all. Others, restarts
 * and a reload of all leave it so; a revival, another build or a removal ends it. */
START_TEST(quarantine_without_a_process_of_its_own)
{
    begin("v1");
    die_in(WORKER);
    snprintf(run.page.quarantine[0], sizeof run.page.quarantine[0], WORKER);
    reopen();
    check_state("quarantined");
    ck_assert_str_eq(run.page.quarantine[0], "");
    ck_assert_str_eq(core_quarantined(run.v->core, WORKER), "changing");
    change(CHANGE_RELOAD, NULL, false, "unchanged");
    change(CHANGE_RELOAD, "changing", false, "refused");
    virtual_close(run.v);
    run.page.restarts = 0; /* also of the supervisor */
    reopen();
    check_state("quarantined");
    if (_i == 0)
        change(CHANGE_ENABLE, "changing", false, "switched");
    if (_i == 1) {
        put("v2");
        change(CHANGE_RELOAD, NULL, false, "switched");
    }
    if (_i == 2)
        change(CHANGE_REMOVE, "changing", false, "removed");
    ck_assert_ptr_null(core_quarantined(run.v->core, "changing"));
    check_state(_i == 2 ? "gone" : "running");
    reopen();
    check_state(_i == 2 ? "gone" : "running");
    finish();
}
END_TEST

/* The build that crashed the host is not the one to come back because another lies in the folder by now. */
START_TEST(another_file_beside_a_build_that_crashed)
{
    begin("v1");
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    if (_i) {
        die_in(WORKER);
    } else {
        die_in(NULL);
        edit_store("UPDATE host_plugins SET phase = 'loading'");
    }
    put("sometimes");
    reopen();
    check_version("1.0.0");
    die_in(NULL); /* and it is known from then on */
    put("v2");
    reopen();
    check_version("1.0.0");
    finish();
}
END_TEST

/* Two builds are on probation, and each crashes the host: one restart takes back one of them. */
START_TEST(each_of_two_crashes_is_taken_back)
{
    begin_with("v1", TRUSTING);
    put_second("second");
    virtual_open(run.v);
    put("v2");
    put_as("second", "second", "v1", make_second_again);
    change(CHANGE_RELOAD, NULL, false, "switched");
    die_in("test.second");
    reopen();
    check_version("2.0.0");
    die_in(WORKER);
    reopen();
    check_version("1.0.0");
    die_in(WORKER); /* it is not the new build any more */
    reopen();
    check_version("1.0.0");
    ck_assert_int_eq(
        virtual_count(run.v, "SELECT count(*) AS n FROM host_plugins WHERE bad_build != '' AND phase = 'running'"), 2);
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    core_step(run.v->core, core_now_ms(run.v->core) + 30000);
    die_in(NULL);
    reopen();
    core_step(run.v->core, core_now_ms(run.v->core) + 61000);
    die_in(WORKER); /* its probation was over */
    reopen();
    check_version("2.0.0");
    finish();
}
END_TEST

/* A copy that a power cut has spoiled is not what a rollback goes to, and is mended by the next reload of the same. */
START_TEST(a_spoiled_copy_of_a_manifest)
{
    char hash[80], name[128];
    begin("v1");
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    core_step(run.v->core, core_now_ms(run.v->core) + 61000);
    sqlite3 *db = open_store();
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT before_content FROM host_plugins", -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    snprintf(hash, sizeof hash, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    snprintf(name, sizeof name, "data/builds/%s.json", hash);
    write_file(name, "{\"path\": ");
    change(CHANGE_ROLLBACK, "changing", false, "refused");
    check_version("2.0.0");
    put("v1");
    write_file(name, "{\"path\": ");
    change(CHANGE_RELOAD, "changing", false, "switched");
    die_in(NULL);
    reopen();
    check_version("1.0.0");
    finish();
}
END_TEST

/* A component that the files did not have when the host started, with work in the store. */
START_TEST(a_component_that_comes_back_alone)
{
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    put_second("second");
    virtual_open(run.v);
    virtual_submit(run.v, "test.second", "batch", json_pack("{s:s, s:i}", "customer", "all", "n", 3), &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    virtual_close(run.v);
    put_as("changing", "v1", "v1", idle_only);
    reopen();
    ck_assert_str_eq(cvm_json_str(plugin_now(), "name", ""), "changing");
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    pass(5000);
    ck_assert_int_eq(virtual_count(run.v, "SELECT value AS n FROM state WHERE key = 'left'"), 0);
    ck_assert_int_eq(sum_of("all"), 6);
    virtual_conserved(run.v);
    json_decref(seen.data);
    finish();
}
END_TEST

/* The build before reads what the crashed one has written in its newer version. */
START_TEST(newer_state_of_a_build_that_crashed)
{
    struct answer_seen seen = {0};
    begin("v1");
    put("state2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    submit("one", 1, &seen);
    pass(100);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE version = 2") > 0, 1);
    die_in(WORKER);
    reopen();
    check_version("1.0.0");
    ck_assert_int_eq(sum_of("one"), 1);
    submit("one", 2, &seen);
    pass(100);
    ck_assert_int_eq(sum_of("one"), 3);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE version = 2"), 0);
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* What the build before wrote, when it ran what the older one faulted on, is in that one's version when it goes. */
START_TEST(newer_state_of_a_build_that_helped_out)
{
    static const char *const customers[] = {"one", "two", "three"};
    struct answer_seen seen = {0};
    begin("state2");
    put("sometimes");
    change(CHANGE_RELOAD, "changing", false, "switched");
    for (int i = 0; i < 3; i++)
        submit(customers[i], 1, &seen);
    pass(100);
    ck_assert_int_gt(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE version = 2"), 0);
    pass(70000);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE version = 2"), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sum_of(customers[i]), 1);
    json_decref(seen.data);
    finish();
}
END_TEST

/* ---- plugins that were away -------------------------------------------------------------------------------------- */

static void submit_batch(int n, struct answer_seen *seen)
{
    virtual_submit(run.v, WORKER, "batch", json_pack("{s:s, s:i}", "customer", "all", "n", n), seen);
    core_step(run.v->core, core_now_ms(run.v->core));
}

/* It asks another plugin and is away when the answers come; `_i` is 1 with a restart between. */
START_TEST(answers_wait_for_who_asked)
{
    struct answer_seen seen = {0};
    begin_with("v1", TRUSTING);
    put_second("second");
    virtual_open(run.v);
    virtual_submit(run.v, "test.second", "batch", json_pack("{s:s, s:i}", "customer", "all", "n", 3), &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    change(CHANGE_DISABLE, "second", true, "removed");
    pass(200); /* the works are done */
    ck_assert_int_eq(sum_of("all"), 1 + 2 + 3);
    ck_assert_int_eq(seen.n, 0);
    if (_i)
        reopen();
    change(CHANGE_ENABLE, "second", false, "switched");
    pass(200);
    if (!_i) {
        ck_assert_int_eq(seen.n, 1);
        ck_assert_int_eq(cvm_json_int(seen.data, "failed", -1), 0);
    }
    ck_assert_int_eq(virtual_count(run.v, "SELECT value AS n FROM state WHERE key = 'left'"), 0);
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* Both who asked and who was asked are away over a restart; `_i`: who is back first. */
START_TEST(both_sides_were_away)
{
    static const char *const order[2][2] = {{"changing", "second"}, {"second", "changing"}};
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    put_second("second");
    virtual_open(run.v);
    virtual_submit(run.v, "test.second", "batch", json_pack("{s:s, s:i}", "customer", "all", "n", 3), &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    change(CHANGE_DISABLE, "second", true, "removed");
    change(CHANGE_DISABLE, "changing", true, "removed");
    reopen();
    change(CHANGE_ENABLE, order[_i][0], false, "switched");
    pass(200);
    change(CHANGE_ENABLE, order[_i][1], false, "switched");
    pass(5000);
    ck_assert_int_eq(virtual_count(run.v, "SELECT value AS n FROM state WHERE key = 'left'"), 0);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE key = 'failed'"), 0);
    ck_assert_int_eq(sum_of("all"), 1 + 2 + 3);
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* A call that is out while its plugin is away: answered meanwhile (then it is made again, with its key), or after. */
START_TEST(calls_of_a_plugin_that_is_away)
{
    struct answer_seen seen = {0};
    begin("v1");
    submit("one", 1, &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(run.calls, 1);
    change(CHANGE_DISABLE, "changing", true, "removed");
    if (_i)
        answer_calls();
    core_step(run.v->core, core_now_ms(run.v->core));
    change(CHANGE_ENABLE, "changing", false, "switched");
    pass(5000);
    ck_assert_int_eq(run.calls, _i ? 2 : 1);
    json_t *data = ask("total", "one");
    ck_assert_int_eq(cvm_json_int(data, "posted", 0), 1);
    json_decref(data);
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* What begins with a plugin that is to go is told so at once. */
START_TEST(nothing_begins_with_a_plugin_that_goes)
{
    struct answer_seen seen = {0}, batch = {0};
    begin_with("v1", TRUSTING);
    put_second("second");
    virtual_open(run.v);
    submit("one", 1, &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    change(CHANGE_DISABLE, "changing", false, "removing");
    change(CHANGE_ENABLE, "changing", false, "refused"); /* and says how to go on */
    ck_assert_ptr_nonnull(
        strstr(cvm_json_str(json_object_get(run.report, "error"), "text", ""), "disable it with --now"));
    virtual_submit(run.v, "test.second", "batch", json_pack("{s:s, s:i}", "customer", "all", "n", 3), &batch);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(batch.n, 1);
    ck_assert_int_eq(cvm_json_int(batch.data, "failed", 0), 3);
    pass(1000);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(seen.outcome, CVM_REPLIED);
    json_decref(seen.data);
    json_decref(batch.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* Longer than its requests were to wait; `_i` is 1 with a restart between, which forgets their deadlines. */
START_TEST(back_after_the_deadlines)
{
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    virtual_open(run.v);
    submit_batch(6, &seen);
    change(CHANGE_DISABLE, "changing", true, "removed");
    if (_i)
        reopen();
    core_step(run.v->core, core_now_ms(run.v->core) + 3600000);
    change(CHANGE_ENABLE, "changing", false, "switched");
    pass(20000);
    virtual_conserved(run.v);
    ck_assert_int_eq(virtual_count(run.v, "SELECT value AS n FROM state WHERE key = 'left'"), 0);
    ck_assert_int_le(virtual_count(run.v, "SELECT value AS n FROM state WHERE key = 'failed'"), 6);
    json_decref(seen.data);
    finish();
}
END_TEST

/* It must be able to read what it once wrote. */
START_TEST(back_with_an_older_state)
{
    struct answer_seen seen = {0};
    begin("state2");
    submit("one", 1, &seen);
    pass(100);
    change(CHANGE_DISABLE, "changing", true, "removed");
    put("v1");
    change(CHANGE_ENABLE, "changing", false, "refused");
    ck_assert_msg(strstr(report_error(), "state version 2") != NULL, "%s", report_error());
    put("state2");
    change(CHANGE_ENABLE, "changing", false, "switched");
    ck_assert_int_eq(sum_of("one"), 1);
    json_decref(seen.data);
    finish();
}
END_TEST

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* Those that wait for a place are not forgotten when places are not limited any more, or there are more. */
START_TEST(places_that_come_with_the_configuration)
{
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    virtual_open(run.v);
    submit_batch(12, &seen);
    write_file("config/cvmhost.json", _i ? "{\"plugins\": {\"inline\": [\"*\"]}, \"agents\": {\"test.changing\": "
                                           "{\"concurrency\": 13}}}"
                                         : TRUSTING);
    change(CHANGE_RELOAD, NULL, false, "switched");
    core_step(run.v->core, core_now_ms(run.v->core) + 30); /* all at once, in the time of one */
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(cvm_json_int(seen.data, "failed", -1), 0);
    pass(100);
    virtual_conserved(run.v);
    json_decref(seen.data);
    finish();
}
END_TEST

/* Disabled in the configuration is not disabled by command: it is back when the configuration says so. */
START_TEST(disabled_by_the_configuration_and_back)
{
    begin("v1");
    write_file("config/cvmhost.json", "{\"plugins\": {\"inline\": [\"*\"], \"disabled\": [\"changing\"]}}");
    change(CHANGE_RELOAD, NULL, false, "removing");
    pass(1000);
    ck_assert_int_eq(access(run.v->home, F_OK), 0);
    write_file("config/cvmhost.json", TRUSTING);
    change(CHANGE_RELOAD, NULL, false, "switched");
    check_version("1.0.0");
    finish();
}
END_TEST

/* A folder that cannot be read is not an empty one. */
START_TEST(a_folder_that_cannot_be_read)
{
    char path[256], away[256];
    begin("v1");
    home_path("manifests", path);
    home_path("away", away);
    ck_assert_int_eq(rename(path, away), 0);
    write_file("manifests", "no folder");
    change(CHANGE_RELOAD, NULL, false, "refused");
    ck_assert_msg(strstr(report_error(), "manifests") != NULL, "%s", report_error());
    pass(1000);
    check_version("1.0.0");
    finish();
}
END_TEST

/* ---- what a build says ------------------------------------------------------------------------------------------- */

static void other_key(json_t *manifest)
{
    json_object_set_new(first_table(manifest), "key", json_string("conversation"));
}

/* A table that stands cannot get another key: its rows would break the journal. */
START_TEST(a_table_keeps_its_key)
{
    struct answer_seen seen = {0};
    begin("v1");
    submit("one", 1, &seen);
    pass(100);
    put_edited("v2", other_key);
    change(CHANGE_RELOAD, "changing", false, "refused");
    ck_assert_msg(strstr(report_error(), "change_id") != NULL, "%s", report_error());
    check_version("1.0.0");
    json_decref(seen.data);
    finish();
}
END_TEST

static void no_which_command(json_t *manifest)
{
    json_object_del(json_array_get(json_object_get(component_of(manifest), "operations"), 3), "expose");
}

/* Another plugin takes the command that the new build has given up. */
static void bring_claimant(void)
{
    static const char *const echo[] = {"echo", NULL};
    char from[256], to[256];
    json_error_t fault;
    struct virtual *other = virtual_new(echo, NULL);
    snprintf(from, sizeof from, "%s/plugins/echo.so", other->home);
    home_path("plugins/echo.so", to);
    files_copy(from, to);
    snprintf(from, sizeof from, "%s/manifests/echo.json", other->home);
    json_t *manifest = json_load_file(from, 0, &fault);
    ck_assert_msg(manifest != NULL, "%s", fault.text);
    json_object_set_new(json_array_get(json_object_get(component_of(manifest), "operations"), 0), "expose",
                        json_pack("{s:s}", "cli", "changing which"));
    home_path("manifests/echo.json", to);
    ck_assert_int_eq(json_dump_file(manifest, to, 0), 0);
    json_decref(manifest);
    virtual_free(other);
}

/* The way back is closed then; the host says so and goes on. */
START_TEST(a_way_back_that_others_have_closed)
{
    struct answer_seen seen = {0};
    begin("v1");
    put_edited(_i ? "faults" : "v2", no_which_command);
    change(CHANGE_RELOAD, "changing", false, "switched");
    bring_claimant();
    change(CHANGE_RELOAD, "echo", false, "switched");
    if (!_i) {
        change(CHANGE_ROLLBACK, "changing", false, "refused");
        ck_assert_msg(strstr(report_error(), "changing which") != NULL, "%s", report_error());
        check_version("2.0.0");
    }
    for (int k = 1; _i && k <= 7; k++)
        submit("one", k, &seen);
    pass(300);
    if (_i) {
        ck_assert_int_eq(seen.n, 7);
        ck_assert_int_eq(sum_of("one"), 28);
        check_version("2.6.0");
    }
    json_decref(seen.data);
    finish();
}
END_TEST

/* It is rolled back while it waits for its conversations to end: it goes all the same. */
START_TEST(rolled_back_while_it_is_removed)
{
    struct answer_seen seen = {0};
    begin("v1");
    put("faults");
    change(CHANGE_RELOAD, "changing", false, "switched");
    for (int k = 1; k <= 5; k++)
        submit("one", k, &seen);
    change(CHANGE_DISABLE, "changing", false, "removing");
    core_step(run.v->core, core_now_ms(run.v->core) + 1);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "version", ""), "1.0.0");
    check_state("removing");
    change(CHANGE_RELOAD, "changing", false, "refused");
    pass(1000);
    ck_assert_int_eq(seen.n, 5);
    check_state("disabled");
    json_decref(seen.data);
    finish();
}
END_TEST

/* What one build made of a stored value is nothing to the next; the host's own counters are nothing to either. */
START_TEST(values_are_read_by_the_build_in_service)
{
    struct answer_seen seen = {0}, first = {0}, second = {0};
    begin("v1");
    submit("one", 1, &seen);
    pass(100);
    virtual_submit(run.v, WORKER, "number", NULL, &first);
    core_step(run.v->core, core_now_ms(run.v->core));
    put("hasty");
    change(CHANGE_RELOAD, "changing", false, "switched");
    ck_assert_int_eq(sum_of("one"), 101);
    virtual_submit(run.v, WORKER, "number", NULL, &second);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(second.outcome, CVM_REPLIED);
    ck_assert_str_ne(cvm_json_str(first.data, "id", ""), cvm_json_str(second.data, "id", ""));
    put("state2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    ck_assert_int_eq(sum_of("one"), 1);
    json_decref(seen.data);
    json_decref(first.data);
    json_decref(second.data);
    finish();
}
END_TEST

/* One of two cannot start: what the other did in its start was not. */
START_TEST(starts_are_kept_together_or_not_at_all)
{
    size_t n;
    begin("v1");
    put("starts");
    put_second("second_refuses");
    change(CHANGE_RELOAD, NULL, false, "refused");
    ck_assert_str_eq(cvm_json_str(json_object_get(run.report, "error"), "step", ""), "start");
    ck_assert_str_eq(cvm_json_str(json_object_get(run.report, "error"), "plugin", ""), "second");
    pass(100);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state"), 0);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM turns WHERE type IN ('start', 'later', 'number')"),
                     0);
    const struct operation *all = registry_operations(run.v->core, &n);
    for (size_t i = 0; i < n; i++)
        ck_assert_str_eq(all[i].plugin, "changing");
    check_version("1.0.0");
    virtual_conserved(run.v);
    put_second("second");
    change(CHANGE_RELOAD, NULL, false, "switched");
    pass(100);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE key = 'started'"), 1);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM turns WHERE type IN ('start', 'later', 'number')"),
                     3);
    finish();
}
END_TEST

/* What waits finds its handler by its name, wherever the new build has it. */
START_TEST(handlers_stand_in_another_order)
{
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    virtual_open(run.v);
    submit_batch(6, &seen);
    put("turned");
    change(CHANGE_RELOAD, "changing", false, "switched");
    pass(1000);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(cvm_json_int(seen.data, "failed", -1), 0);
    ck_assert_int_eq(sum_of("all"), 21);
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

static void short_names(json_t *manifest)
{
    json_t *schema = json_object_get(json_object_get(manifest, "schemas"), "Work");
    json_object_set_new(json_object_get(json_object_get(schema, "properties"), "customer"), "maxLength",
                        json_integer(2));
}

static void second_with_the_first_table(json_t *manifest)
{
    make_second(manifest);
    json_object_set_new(first_table(manifest), "name", json_string("changes"));
}

static void make_thief(json_t *manifest)
{
    make_second(manifest);
    json_object_set_new(manifest, "name", json_string("thief"));
    json_object_set_new(manifest, "library", json_string("thief.so"));
    json_object_set_new(component_of(manifest), "id", json_string(WORKER));
    json_object_set_new(first_table(manifest), "name", json_string("third_changes"));
}

/* What is open must find its handler and fit, and nothing may be taken from others; once it has ended it may come. */
static const struct unfit {
    const char *plugin, *build;
    void (*edit)(json_t *manifest);
    const char *text;
    bool comes;
} unfit[] = {
    {"changing", "no_later", NULL, "a timer \"later\" is open", true},
    {"changing", "no_posted", NULL, "a call whose answer comes as \"post.reply\" is open", true},
    {"changing", "v2", short_names, "the new schema refuses it", true},
    {"second", "second_deaf", make_second, "a request whose answer comes as \"work.reply\" is open", true},
    {"second", "second", second_with_the_first_table, "the table changes is declared by plugins changing and second",
     false},
    {"thief", "thief", make_thief, "component id test.changing is already taken by plugin changing", false},
};

START_TEST(what_does_not_fit_does_not_come)
{
    const struct unfit *u = &unfit[_i];
    struct answer_seen seen = {0};
    begin_with("v1", NARROW);
    put_second("second");
    virtual_open(run.v);
    virtual_submit(run.v, "test.second", "batch", json_pack("{s:s, s:i}", "customer", "all", "n", 3), &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    const char *like = strncmp(u->plugin, "changing", 8) == 0 ? u->build : "v1";
    put_as(u->plugin, u->build, like, u->edit);
    change(CHANGE_RELOAD, u->plugin, false, "refused");
    ck_assert_msg(strstr(report_error(), u->text) != NULL, "%s", report_error());
    pass(2000);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(cvm_json_int(seen.data, "failed", -1), 0);
    change(CHANGE_RELOAD, u->plugin, false, u->comes ? "switched" : "refused");
    json_decref(seen.data);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* Equal changes are answered together only where nothing between them says otherwise. */
/* As many as take it a rung further, one after another. */
static void fault(int n)
{
    for (int i = 0; i < n; i++) {
        struct answer_seen seen = {0};
        submit("one", 1, &seen);
        for (int k = 0; k < 200 && !seen.n; k++)
            pass(5);
        ck_assert_int_eq(seen.outcome, CVM_ERROR);
        json_decref(seen.data);
    }
}

static bool is_down(void)
{
    struct edge_error error;
    struct edge_in in = {.source = "test", .to = WORKER, .type = "which", .priority = -1};
    struct answer_seen seen = {0};
    if (edge_submit(run.v->core, &in, virtual_seen, &seen, NULL, &error) == CVM_EBUSY)
        return true;
    pass(100);
    ck_assert_int_eq(seen.n, 1);
    json_decref(seen.data);
    return false;
}

/* Five faults take it out of the host, five more out of service; where it cannot leave the host, the first five do. */
START_TEST(faults_are_a_ladder)
{
    char path[300];
    begin_looped("faults", TRUSTING);
    const struct plugin *p = run.v->core->plugins;
    if (_i) { /* the copy that would be moved is damaged */
        home_path("data/builds", path);
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s.json", p->now->content);
        ck_assert_int_eq(truncate(path, 1), 0);
    }
    fault(5);
    for (int k = 0; k < 400 && p->leaving; k++)
        pass(10);
    ck_assert_ptr_null(p->leaving);
    ck_assert_int_eq(p->now->remote != NULL, !_i);
    ck_assert_int_eq(*p->quarantined.build != 0, !_i);
    ck_assert_int_eq(is_down(), _i);
    if (!_i) {
        ck_assert_str_eq(plugin_mark(p), "running"); /* the next start has it inside again */
        fault(5);
        ck_assert(is_down());
        ck_assert_ptr_nonnull(p->now->remote);
        change(CHANGE_MOVE_INLINE, "changing", false, "switched");
        ck_assert(!is_down());
        ck_assert_ptr_null(p->now->remote);
        ck_assert_int_eq(*p->quarantined.build, 0);
    }
    finish();
}
END_TEST

START_TEST(changes_keep_their_order)
{
    begin("v1");
    ask_change(CHANGE_DISABLE, "changing", true);
    ask_change(CHANGE_ENABLE, "changing", false);
    ask_change(CHANGE_DISABLE, "changing", true);
    ask_change(CHANGE_DISABLE, "changing", true);
    pass(100);
    ck_assert_int_eq(run.reports, 4);
    check_state("disabled");
    finish();
}
END_TEST

/* ---- whose is what ----------------------------------------------------------------------------------------------- */

static void own_table(json_t *manifest)
{
    json_object_set_new(first_table(manifest), "name", json_string("own_changes"));
}

static void with_idle(json_t *manifest)
{
    json_array_append_new(json_object_get(manifest, "components"),
                          json_pack("{s:s, s:s, s:s, s:i, s:[{s:s}]}", "id", WORKER "_idle", "alias", "Idle", "kind",
                                    "agent", "state_version", 1, "operations", "type", "idle"));
}

static void make_idle_thief(json_t *manifest)
{
    idle_only(manifest);
    json_object_set_new(manifest, "name", json_string("thief"));
    json_object_set_new(manifest, "library", json_string("thief.so"));
}

/* What the newer build has given up is another's by now: the older one cannot have it back. */
static const struct given_up {
    void (*before)(json_t *manifest), (*after)(json_t *manifest);
    const char *other;
    void (*taken)(json_t *manifest);
    const char *text;
} given_up[] = {
    {NULL, own_table, "second", second_with_the_first_table,
     "table changes of the build before belongs to plugin second by now"},
    {with_idle, NULL, "thief", make_idle_thief,
     "component test.changing_idle of the build before belongs to plugin thief by now"},
};

START_TEST(what_was_given_up_does_not_come_back)
{
    const struct given_up *g = &given_up[_i];
    begin(NULL);
    put_edited("v1", g->before);
    change(CHANGE_RELOAD, "changing", false, "switched");
    put_edited("v2", g->after);
    change(CHANGE_RELOAD, "changing", false, "switched");
    put_as(g->other, g->other, "v1", g->taken);
    change(CHANGE_RELOAD, g->other, false, "switched");
    change(CHANGE_ROLLBACK, "changing", false, "refused");
    ck_assert_msg(strstr(report_error(), g->text) != NULL, "%s", report_error());
    check_version("2.0.0");
    change(CHANGE_DISABLE, g->other, true, "removed");
    change(CHANGE_ROLLBACK, "changing", false, "switched");
    check_version("1.0.0");
    finish();
}
END_TEST

static bool is_there(const char *name)
{
    char path[256];
    home_path(name, path);
    return access(path, F_OK) == 0;
}

/* Files that were removed are kept, also where some of the same names were before. */
START_TEST(removed_twice)
{
    char path[256];
    begin(NULL);
    for (int i = 0; i < 2; i++) {
        put("v1");
        home_path("manifests/changing", path);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        write_file("manifests/changing/note", i ? "second" : "first");
        change(CHANGE_RELOAD, "changing", false, "switched");
        pass(1000);
        if (i) {
            snprintf(path, sizeof path, "data/removed/changing.%lld", (long long)core_now_ms(run.v->core));
            ck_assert(!is_there(path));
        }
        change(CHANGE_REMOVE, "changing", true, "removed");
        ck_assert(!is_there("plugins/changing.so") && !is_there("manifests/changing.json"));
        ck_assert(!is_there("manifests/changing"));
        ck_assert(is_there("data/removed/changing.so") && is_there("data/removed/changing/note"));
    }
    ck_assert_msg(is_there(path), "%s", path);
    finish();
}
END_TEST

/* What came with the package is the package manager's: it is taken out of service, its files stay. */
START_TEST(the_installed_set_is_not_removed)
{
    char path[256], installed[256], to[256];
    begin(NULL);
    put("v1");
    home_path("lib", path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    home_path("lib/cvmhost", installed);
    ck_assert_int_eq(mkdir(installed, 0700), 0);
    home_path("plugins", path);
    home_path("lib/cvmhost/plugins", to);
    ck_assert_int_eq(rename(path, to), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    home_path("share", path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    home_path("share/cvmhost", path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    home_path("manifests", path);
    home_path("share/cvmhost/manifests", to);
    ck_assert_int_eq(rename(path, to), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    run.v->core->options.installed = installed;
    change(CHANGE_RELOAD, NULL, false, "switched");
    check_version("1.0.0");
    change(CHANGE_REMOVE, "changing", true, "refused");
    ck_assert_msg(strstr(report_error(), "cvmhost plugin disable changing") != NULL, "%s", report_error());
    check_version("1.0.0");
    change(CHANGE_DISABLE, "changing", true, "removed");
    ck_assert(is_there("lib/cvmhost/plugins/changing.so") && is_there("share/cvmhost/manifests/changing.json"));
    finish();
}
END_TEST

static json_t *found_by; /* what is said of the table's search and indexes */

static void found(json_t *manifest)
{
    json_object_set_new(manifest, "abi", json_string("1.3"));
    json_object_update(first_table(manifest), found_by);
}

/* A table that two builds declare alike is one; where it is indexed or searched otherwise it is read anew. */
START_TEST(tables_are_shared_where_they_are_alike)
{
    static const struct {
        const char *declared;
        bool alike;
    } steps[] = {
        {"{\"indexes\": [\"conversation\"]}", false},
        {"{\"indexes\": [\"conversation\"]}", true},
        {"{\"indexes\": [\"sum\"]}", false},
        {"{\"indexes\": [\"sum\"], \"search\": {\"text\": {\"conversation\": 1}}}", false},
        {"{\"indexes\": [\"sum\"], \"search\": {\"text\": {\"conversation\": 1}}}", true},
        {"{\"indexes\": [\"sum\"], \"search\": {\"text\": {\"conversation\": 2}}}", false},
        {"{\"indexes\": [\"sum\"]}", false},
    };
    struct answer_seen seen = {0};
    begin("v1");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct core *core = run.v->core;
        const struct table *before = component_table(registry_find(core, WORKER, NULL), "changes");
        found_by = json_loads(steps[i].declared, 0, NULL);
        put_edited(i % 2 ? "v1" : "v2", found);
        json_decref(found_by);
        change(CHANGE_RELOAD, "changing", false, "switched");
        const struct table *after = component_table(registry_find(core, WORKER, NULL), "changes");
        ck_assert_msg((before == after) == steps[i].alike, "step %zu", i);
        submit("one", (int)i + 1, &seen);
        pass(100);
        ck_assert_int_eq(seen.n, (int)i + 1);
        ck_assert_int_eq(seen.outcome, CVM_REPLIED);
    }
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM changes"), sizeof steps / sizeof *steps);
    json_decref(seen.data);
    finish();
}
END_TEST

static void take_found(void *arg, int error, const struct search_found *result)
{
    ck_assert_int_eq(error, 0);
    json_decref(result->words);
    *(json_t **)arg = result->rows;
}

/* How many rows have the word, and how well the first has it. */
static size_t search_changes(const char *word, double *ret_score)
{
    json_t *rows = NULL, *question = json_pack("{s:s, s:s, s:i}", "table", "changes", "match", word, "limit", 10);
    ck_assert_int_eq(core_search(run.v->core, question, take_found, &rows), 0);
    size_t n = json_array_size(rows);
    *ret_score = json_real_value(json_object_get(json_array_get(rows, 0), "text_score"));
    json_decref(rows);
    return n;
}

static void declare(const char *build, const char *what)
{
    found_by = json_loads(what, 0, NULL);
    put_edited(build, found);
    json_decref(found_by);
    change(CHANGE_RELOAD, "changing", false, "switched");
}

/* Weights count from the exchange on; what a build wrote that did not search the table is found by one that does. */
START_TEST(search_is_as_declared)
{
    static const char *const customers[] = {"one", "two", "three", "four", "five"};
    struct answer_seen seen = {0};
    double light, heavy, again;
    begin("v1");
    declare("v2", "{\"search\": {\"text\": {\"conversation\": 1}}}");
    for (int i = 0; i < 4; i++) {
        submit(customers[i], 1, &seen);
        pass(100);
    }
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM changes"), 4);
    ck_assert_uint_eq(search_changes("one", &light), 1);
    declare("v1", "{\"search\": {\"text\": {\"conversation\": 9}}}");
    ck_assert_uint_eq(search_changes("one", &heavy), 1);
    ck_assert_msg(heavy > light * 1.2, "%g, %g", heavy, light);
    declare("v2", "{\"indexes\": [\"sum\"]}");
    submit(customers[4], 1, &seen);
    pass(100);
    ck_assert_int_eq(seen.n, 5);
    declare("v1", "{\"search\": {\"text\": {\"conversation\": 9}}}");
    ck_assert_uint_eq(search_changes("five", &again), 1);
    json_decref(seen.data);
    finish();
}
END_TEST

static struct {
    int told, error;
    char reached[64];
} peers;

static int peer_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t operation)
{
    (void)instance;
    if (operation == 0) {
        peers.error = cvm_send(t, "Shared", "who", NULL);
        return cvm_reply(t, m, NULL);
    }
    if (operation == 1)
        snprintf(peers.reached, sizeof peers.reached, "%s", m->recipient);
    else
        peers.told++;
    return CVM_OK;
}

static void check_reaches(const char *from, const char *reached, int error)
{
    struct answer_seen seen = {0};
    peers.reached[0] = 0;
    virtual_submit(run.v, from, "ask", NULL, &seen);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(peers.error, error);
    ck_assert_str_eq(peers.reached, reached);
    json_decref(seen.data);
}

/* An alias that several areas use is each area's own; who is in none of them, or comes from outside, must say the id.
 * And who has subscribed to it is told when the plugins change. */
START_TEST(aliases_are_of_an_area)
{
    static const char *const topic[] = {"host.registry"};
    static struct manifest_operation operations[] = {{.type = "ask"}, {.type = "who"}, {.type = "host.registry"}};
    static struct manifest_component decls[] = {
        {.id = "near.asker"},  {.id = "near.shared", .alias = "Shared"},
        {.id = "far.asker"},   {.id = "far.shared", .alias = "Shared"},
        {.id = "other.asker"},
    };
    char error[512];
    struct answer_seen seen = {0};
    struct edge_error fault;
    memset(&peers, 0, sizeof peers);
    begin_with("v1", TRUSTING);
    const struct core_options options = {.home = run.v->home, .config = run.v->config, .seed = 42, .send = world_send};
    ck_assert_int_eq(core_open(&options, &run.v->core, error, sizeof error), 0);
    for (size_t i = 0; i < sizeof decls / sizeof *decls; i++) {
        decls[i].kind = KIND_AGENT;
        decls[i].alias = decls[i].alias ? decls[i].alias : decls[i].id;
        decls[i].operations = operations;
        decls[i].n_operations = sizeof operations / sizeof *operations;
        if (i == 0)
            decls[i].subscribes = (struct manifest_strings){(const char **)(uintptr_t)topic, 1};
        ck_assert_int_eq(core_add_peer(run.v->core, &decls[i], peer_turn), 0);
    }
    ck_assert_msg(core_load(run.v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_start(run.v->core, error, sizeof error) == 0, "%s", error);
    pass(100);
    check_reaches("near.asker", "near.shared", 0);
    check_reaches("far.asker", "far.shared", 0);
    check_reaches("other.asker", "", CVM_ENOENT);
    struct edge_in in = {.source = "test", .to = "Shared", .type = "ask", .priority = -1};
    ck_assert_int_lt(edge_submit(run.v->core, &in, virtual_seen, &seen, NULL, &fault), 0);
    int before = peers.told;
    put("v2");
    change(CHANGE_RELOAD, "changing", false, "switched");
    pass(100);
    ck_assert_int_eq(peers.told, before + 1);
    finish();
}
END_TEST

/* "fruit" with a model of the name that the sorter's has. */
static void put_fruit(const char *model)
{
    char from[PATH_MAX], to[256];
    json_error_t fault;
    files_built("plugins/fruit.so", from);
    home_path("plugins/fruit.so", to);
    files_copy(from, to);
    home_path("manifests/fruit", to);
    mkdir(to, 0700);
    home_path("manifests/fruit/examples.jsonl", to);
    files_copy(TEST_PLUGINS "/fruit/examples.jsonl", to);
    json_t *manifest = json_load_file(TEST_PLUGINS "/fruit.json", 0, &fault);
    ck_assert_msg(manifest != NULL, "%s", fault.text);
    json_object_del(manifest, "needs");
    json_object_set_new(
        manifest, "models",
        json_pack("[{s:s, s:s, s:{s:[s]}}]", "name", model, "examples", "domains", "heads", "kind", "domain"));
    home_path("manifests/fruit.json", to);
    ck_assert_int_eq(json_dump_file(manifest, to, 0), 0);
    json_decref(manifest);
}

/* A model has one plugin that declares it; which there are, and whether they can be asked, is part of the health. */
START_TEST(a_model_is_of_one_plugin)
{
    static const char *const sorter[] = {"sorter", NULL};
    char path[256];
    memset(&run, 0, sizeof run);
    run.v = virtual_new(sorter, TRUSTING);
    home_path("manifests/sorter", path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    home_path("manifests/sorter/examples.jsonl", path);
    files_copy(TEST_PLUGINS "/sorter/examples.jsonl", path);
    virtual_open(run.v);
    put_fruit("kind");
    change(CHANGE_RELOAD, "fruit", false, "refused");
    ck_assert_msg(strstr(report_error(), "the model \"kind\" is declared by ") != NULL, "%s", report_error());
    put_fruit("kernel");
    change(CHANGE_RELOAD, "fruit", false, "switched");
    json_t *health = json_pack("{s:s}", "status", "healthy"), *models;
    core_health(run.v->core, health);
    models = json_object_get(health, "models");
    ck_assert_uint_eq(json_object_size(models), 2);
    ck_assert(json_is_boolean(json_object_get(json_object_get(models, "kind"), "ready")));
    ck_assert(json_is_boolean(json_object_get(json_object_get(models, "kernel"), "ready")));
    json_decref(health);
    finish();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reload_more");
    TCase *c = tcase_create("reload_more");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, rows_outlive_their_generation);
    tcase_add_test(c, lent_requests_are_written_as_the_plugins);
    tcase_add_test(c, rolled_back_while_another_build_comes);
    tcase_add_test(c, stopped_in_the_middle_of_a_change);
    tcase_add_test(c, stopped_before_a_change_begins);
    tcase_add_test(c, nothing_changes_that_cannot_be_noted);
    tcase_add_test(c, files_are_of_no_matter_to_a_restart);
    tcase_add_loop_test(c, quarantine_without_a_process_of_its_own, 0, 3);
    tcase_add_loop_test(c, another_file_beside_a_build_that_crashed, 0, 2);
    tcase_add_test(c, newer_state_of_a_build_that_crashed);
    tcase_add_test(c, newer_state_of_a_build_that_helped_out);
    tcase_add_test(c, each_of_two_crashes_is_taken_back);
    tcase_add_test(c, a_spoiled_copy_of_a_manifest);
    tcase_add_test(c, a_component_that_comes_back_alone);
    tcase_add_loop_test(c, back_after_the_deadlines, 0, 2);
    tcase_add_test(c, back_with_an_older_state);
    tcase_add_loop_test(c, places_that_come_with_the_configuration, 0, 2);
    tcase_add_test(c, disabled_by_the_configuration_and_back);
    tcase_add_test(c, a_folder_that_cannot_be_read);
    tcase_add_test(c, a_table_keeps_its_key);
    tcase_add_loop_test(c, a_way_back_that_others_have_closed, 0, 2);
    tcase_add_test(c, rolled_back_while_it_is_removed);
    tcase_add_test(c, values_are_read_by_the_build_in_service);
    tcase_add_test(c, changes_keep_their_order);
    tcase_add_loop_test(c, faults_are_a_ladder, 0, 2);
    tcase_add_loop_test(c, answers_wait_for_who_asked, 0, 2);
    tcase_add_loop_test(c, both_sides_were_away, 0, 2);
    tcase_add_loop_test(c, calls_of_a_plugin_that_is_away, 0, 2);
    tcase_add_test(c, nothing_begins_with_a_plugin_that_goes);
    tcase_add_test(c, starts_are_kept_together_or_not_at_all);
    tcase_add_test(c, handlers_stand_in_another_order);
    tcase_add_loop_test(c, what_does_not_fit_does_not_come, 0, (int)(sizeof unfit / sizeof *unfit));
    tcase_add_loop_test(c, what_was_given_up_does_not_come_back, 0, (int)(sizeof given_up / sizeof *given_up));
    tcase_add_test(c, removed_twice);
    tcase_add_test(c, the_installed_set_is_not_removed);
    tcase_add_test(c, tables_are_shared_where_they_are_alike);
    tcase_add_test(c, search_is_as_declared);
    tcase_add_test(c, aliases_are_of_an_area);
    tcase_add_test(c, a_model_is_of_one_plugin);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
