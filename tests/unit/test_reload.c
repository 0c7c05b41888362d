/* Plugins exchanged while they work, under the virtual clock: what the outside sees is the same as without the
 * exchange, whatever is wrong with the new build. */
#include "core/reload.h"
#include "files.h"
#include "virtual.h"

#include <cvm/json.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUSTOMERS 5
#define WORKS 6 /* of each customer */

static const char *const NOTHING[] = {NULL};

struct waiting {
    http_done done;
    void *arg;
};

/* What one run showed to the outside. */
static struct {
    struct virtual *v;
    struct waiting waiting[512];
    int n_waiting;
    json_t *calls, *answers; /* arrays, in the order in which they came */
    json_t *report;
    int error, reports;
} run;

/* ---- the world --------------------------------------------------------------------------------------------------- */

static int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg,
                      uint64_t *ret_handle)
{
    (void)arg;
    json_array_append_new(run.calls, json_pack("[s, s]", cvm_json_str(request->headers, "Idempotency-Key", ""),
                                               request->body ? request->body : ""));
    run.waiting[run.n_waiting] = (struct waiting){done, done_arg};
    *ret_handle = (uint64_t)++run.n_waiting;
    return 0;
}

static void pass(int64_t ms)
{
    struct core *core = run.v->core;
    for (int64_t until = core_now_ms(core) + ms; core_now_ms(core) < until;) {
        core_step(core, core_now_ms(core));
        while (run.n_waiting) {
            struct waiting w = run.waiting[--run.n_waiting];
            json_t *headers = json_object();
            w.done(
                w.arg,
                &(struct http_result){
                    .fate = HTTP_ANSWERED, .status = 200, .headers = headers, .body = "{}", .body_len = 2, .text = ""});
            json_decref(headers);
            core_step(core, core_now_ms(core));
        }
        core_step(core, core_now_ms(core) + 5);
    }
}

/* Puts a build of the plugin where the operator would: over the one that is there. */
static void put(const char *build)
{
    char name[64], from[PATH_MAX], to[128];
    snprintf(to, sizeof to, "%s/plugins/changing.so", run.v->home);
    if (strcmp(build, "bad_elf") == 0) {
        FILE *f = fopen(to, "we");
        fputs("no library at all", f);
        fclose(f);
        return;
    }
    snprintf(name, sizeof name, "plugins/changing/%s.so", build);
    files_built(name, from);
    files_copy(from, to);
    snprintf(name, sizeof name, "plugins/changing/%s.json", build);
    files_built(name, from);
    snprintf(to, sizeof to, "%s/manifests/changing.json", run.v->home);
    files_copy(from, to);
}

static void changed(void *arg, int error, json_t *report)
{
    (void)arg;
    json_decref(run.report);
    run.report = report;
    run.error = error;
    run.reports++;
}

static const char *result(void)
{
    return cvm_json_str(run.report, "result", "");
}

static void change(enum core_change what, const char *plugin, bool now)
{
    int before = run.reports;
    core_change(run.v->core, what, plugin, now, changed, NULL);
    ck_assert_int_eq(run.reports, before);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(run.reports, before + 1);
}

static void answered(void *arg, const struct edge_reply *reply)
{
    (void)arg;
    json_array_append_new(run.answers, json_pack("[i, O]", reply->outcome, reply->data));
}

static void submit(const char *customer, int k)
{
    char conversation[64];
    struct edge_error error;
    snprintf(conversation, sizeof conversation, "customer %s", customer);
    struct edge_in in = {.source = "test",
                         .to = "test.changing",
                         .type = "work",
                         .conversation = conversation,
                         .data = json_pack("{s:s, s:i}", "customer", customer, "k", k),
                         .priority = -1};
    int e = edge_submit(run.v->core, &in, answered, NULL, NULL, &error);
    ck_assert_msg(e == 0, "%s", error.text);
}

static void submit_round(int k)
{
    for (int c = 0; c < CUSTOMERS; c++) {
        char customer[16];
        snprintf(customer, sizeof customer, "c%d", c);
        submit(customer, k);
    }
}

static json_t *ask(const char *type, const char *customer)
{
    struct answer_seen seen = {0};
    virtual_submit(run.v, "test.changing", type, json_pack("{s:s}", "customer", customer), &seen);
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

static void begin(const char *build)
{
    memset(&run, 0, sizeof run);
    run.calls = json_array();
    run.answers = json_array();
    run.v = virtual_new(NOTHING, NULL);
    run.v->send = world_send;
    put(build);
    virtual_open(run.v);
}

static void finish(void)
{
    virtual_free(run.v);
    json_decref(run.calls);
    json_decref(run.answers);
    json_decref(run.report);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything outside: calls and answers, without the order of conversations that do not know each other. */
static char *stream(void)
{
    size_t n = 0, len = 0;
    char *lines[1024], *text;
    const json_t *lists[] = {run.calls, run.answers};
    for (int l = 0; l < 2; l++)
        for (size_t i = 0; i < json_array_size(lists[l]); i++)
            lines[n++] = json_dumps(json_array_get(lists[l], i), JSON_COMPACT | JSON_SORT_KEYS);
    for (int c = 0; c < CUSTOMERS; c++) {
        char customer[16];
        snprintf(customer, sizeof customer, "c%d", c);
        json_t *data = ask("total", customer);
        lines[n++] = json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS);
        json_decref(data);
    }
    qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        len += strlen(lines[i]) + 1;
    text = calloc(1, len + 1);
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), len + 1 - strlen(text), "%s\n", lines[i]);
        free(lines[i]);
    }
    return text;
}

/* Works in rounds; where `build` is given it comes in the middle of them. Gives the stream. */
static char *work_through(const char *build, bool loaded, const char *want)
{
    begin("v1");
    submit_round(1);
    pass(100);
    if (build && !loaded) {
        put(build);
        change(CHANGE_RELOAD, "changing", false);
        ck_assert_str_eq(result(), want);
    }
    for (int k = 2; k <= WORKS; k++) {
        submit_round(k);
        if (build && loaded && k == 3) { /* works wait, calls are out, timers run */
            core_step(run.v->core, core_now_ms(run.v->core) + 10);
            submit_round(++k);
            put(build);
            change(CHANGE_RELOAD, "changing", false);
            ck_assert_str_eq(result(), want);
        }
        if (k % 2)
            pass(100);
    }
    pass(1000);
    char *text = stream();
    virtual_conserved(run.v);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM changes"), CUSTOMERS * WORKS);
    finish();
    return text;
}

/* ---- the switch -------------------------------------------------------------------------------------------------- */

START_TEST(switches_code_and_keeps_the_rest)
{
    begin("v1");
    submit_round(1);
    check_version("1.0.0");
    put("v2");
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_int_eq(run.error, 0);
    ck_assert_str_eq(result(), "switched");
    const json_t *p = json_array_get(json_object_get(run.report, "plugins"), 0);
    ck_assert_str_eq(cvm_json_str(p, "action", ""), "replaced");
    ck_assert_str_eq(cvm_json_str(json_object_get(p, "from"), "version", ""), "1.0.0");
    ck_assert_str_eq(cvm_json_str(json_object_get(p, "to"), "version", ""), "2.0.0");
    ck_assert_int_eq(cvm_json_int(json_object_get(p, "probation"), "turns", 0), 200);
    ck_assert_int_eq(cvm_json_int(p, "delivered", -1), cvm_json_int(p, "settled", 0) + cvm_json_int(p, "queued", 0) +
                                                           cvm_json_int(p, "lent", 0) + cvm_json_int(p, "dead", 0));
    check_version("2.0.0");
    pass(100);
    ck_assert_uint_eq(json_array_size(run.answers), CUSTOMERS);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM turns WHERE type = 'plugins.change'"), 1);
    ck_assert_int_ge(virtual_count(run.v, "SELECT count(DISTINCT build) AS n FROM turns WHERE component = "
                                          "'test.changing'"),
                     2);
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(result(), "unchanged");
    finish();
}
END_TEST

START_TEST(same_stream_with_a_good_build)
{
    char *twin = work_through(NULL, false, NULL);
    for (int loaded = 0; loaded < 2; loaded++) {
        static const char *const good[] = {"v2", "state2", "one_way"};
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            char *text = work_through(good[i], loaded, "switched");
            ck_assert_msg(strcmp(twin, text) == 0, "%s, %s: other effects:\n%s\nthan:\n%s", good[i],
                          loaded ? "loaded" : "idle", text, twin);
            free(text);
        }
    }
    free(twin);
}
END_TEST

/* Conversations of the build before read state that others have written with the new one, of a newer version. */
START_TEST(same_stream_with_both_builds_at_work)
{
    char *twin = work_through(NULL, false, NULL);
    begin("v1");
    submit_round(1);
    pass(100);
    put("state2");
    ck_assert_int_eq(core_canary(run.v->core, "changing", 50), 0);
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(result(), "switched");
    for (int k = 2; k <= WORKS; k++) {
        submit_round(k);
        pass(100);
    }
    char *text = stream();
    ck_assert_msg(strcmp(twin, text) == 0, "other effects:\n%s\nthan:\n%s", text, twin);
    virtual_conserved(run.v);
    finish();
    free(text);
    free(twin);
}
END_TEST

/* The rows of the matrix that need no process; the others are in flow/test_reload. */
static const struct bad {
    const char *build, *want, *step, *text;
} bad[] = {
    {"bad_elf", "refused", "vet", "is not an ELF file"},
    {"wrong_magic", "refused", "vet", "magic"},
    {"newer_abi", "refused", "vet", "ABI 1.99"},
#ifndef CVM_INSTRUMENTED                                       /* else every library has a constructor */
    {"constructor", "refused", "load", "before it was ready"}, /* for that reason in a process of its own */
#endif
    {"refuse_create", "refused", "load", "create failed"},
    {"refuse_start", "refused", "start", "start failed"},
    {"fail_upgrade", "refused", "vet", "the upgrade fails"},
    {"faults", "switched", NULL, NULL},
    {"sometimes", "switched", NULL, NULL},
};

START_TEST(same_stream_with_a_bad_build)
{
    const struct bad *b = &bad[_i / 2];
    bool loaded = _i % 2;
    char *twin = work_through(NULL, false, NULL), *text = work_through(b->build, loaded, b->want);
    ck_assert_msg(strcmp(twin, text) == 0, "%s, %s: other effects:\n%s\nthan:\n%s", b->build,
                  loaded ? "loaded" : "idle", text, twin);
    free(twin);
    free(text);
}
END_TEST

START_TEST(refusals_say_what_and_where)
{
    const struct bad *b = &bad[_i];
    begin("v1");
    submit_round(1);
    pass(100);
    put(b->build);
    change(CHANGE_RELOAD, "changing", false);
    if (b->step) {
        const json_t *error = json_object_get(run.report, "error");
        ck_assert_int_eq(run.error, CVM_EINVAL);
        ck_assert_str_eq(cvm_json_str(error, "step", ""), b->step);
        ck_assert_str_eq(cvm_json_str(error, "plugin", ""), "changing");
        ck_assert_msg(strstr(cvm_json_str(error, "text", ""), b->text) != NULL, "%s", cvm_json_str(error, "text", ""));
    }
    check_version(b->step ? "1.0.0"
                  : b->want
                      ? cvm_json_str(json_object_get(json_array_get(json_object_get(run.report, "plugins"), 0), "to"),
                                     "version", "")
                      : "");
    finish();
}
END_TEST

/* What the manifest says of the library and is not so, as one text in it stands in place of another. */
static const struct {
    const char *was, *is, *text;
} mismatches[] = {
    {"\"test.changing\", \"alias\"", "\"test.changed\", \"alias\"",
     "component test.changed is not in the library, which has: test.changing, test.changing_idle"},
    {"\"state_version\": 1", "\"state_version\": 3", "state_version: the manifest says 3, the library 1"},
    {"\"2.0.0\"", "\"2.0.1\"", "version: the manifest says 2.0.1, the library 2.0.0"},
    {"{ \"type\": \"number\" }", "{ \"type\": \"letter\" }", "the library has no handler for operation letter"},
    {"\"abi\": \"1.0\"", "\"abi\": \"1.9\"", "abi: the manifest asks for the plugin interface 1.9"},
    {"\"settings\": {", "\"subscribes\": [\"deaf\"], \"settings\": {", "subscribes to deaf but has no handler"},
};

START_TEST(manifests_must_be_true)
{
    char path[128], text[16384];
    begin("v1");
    put("v2");
    snprintf(path, sizeof path, "%s/manifests/changing.json", run.v->home);
    size_t n;
    uint8_t *bytes = files_read(path, &n);
    bytes[n - 1] = 0; /* the last line's end */
    const char *old = (const char *)bytes, *at = strstr(old, mismatches[_i].was);
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - old), old, mismatches[_i].is, at + strlen(mismatches[_i].was));
    files_write(path, text, strlen(text));
    change(CHANGE_RELOAD, "changing", false);
    const char *said = cvm_json_str(json_object_get(run.report, "error"), "text", "");
    ck_assert_msg(strstr(said, mismatches[_i].text), "%s", said);
    check_version("1.0.0");
    free(bytes);
    finish();
}
END_TEST

static void refused(enum core_change what, const char *plugin, const char *why)
{
    change(what, plugin, true);
    const char *said = cvm_json_str(json_object_get(run.report, "error"), "text", "");
    ck_assert_msg(strcmp(result(), "refused") == 0 && strstr(said, why), "%s: %s", result(), said);
}

START_TEST(changes_that_make_no_sense)
{
    char from[128], to[128];
    begin("v1");
    refused(CHANGE_RELOAD, "nobody", "there is no manifest nobody.json in ");
    refused(CHANGE_MOVE_PROCESS, "nobody", "no plugin nobody is loaded");
    refused(CHANGE_ROLLBACK, "nobody", "no plugin nobody is loaded");
    refused(CHANGE_REMOVE, "nobody", "no plugin nobody is loaded");
    refused(CHANGE_ENABLE, "changing", "changing is not disabled");
    /* two files for one plugin */
    put("v2");
    snprintf(from, sizeof from, "%s/manifests/changing.json", run.v->home);
    snprintf(to, sizeof to, "%s/manifests/twin.json", run.v->home);
    files_copy(from, to);
    refused(CHANGE_RELOAD, NULL, "is claimed by");
    unlink(to);
    /* a folder in the place of the library */
    snprintf(to, sizeof to, "%s/plugins/changing.so", run.v->home);
    unlink(to);
    ck_assert_int_eq(mkdir(to, 0700), 0);
    refused(CHANGE_RELOAD, "changing", "is not a regular file");
    check_version("1.0.0");
    rmdir(to);
    put("v2");
    change(CHANGE_DISABLE, "changing", true);
    ck_assert_str_eq(result(), "removed");
    refused(CHANGE_RELOAD, "changing", "changing is disabled; cvmhost plugin enable changing takes it back");
    refused(CHANGE_REMOVE, "changing", "changing is disabled already");
    change(CHANGE_RELOAD, NULL, true);
    ck_assert_str_eq(result(), "unchanged"); /* of what is disabled only its name speaks */
    change(CHANGE_ENABLE, "changing", true);
    check_version("2.0.0");
    finish();
}
END_TEST

/* A plugin from another home comes into ours, with a table in its manifest. */
static void bring(const struct virtual *from_home, const char *name, const char *table)
{
    char from[128], to[128];
    json_error_t fault;
    snprintf(from, sizeof from, "%s/plugins/%s.so", from_home->home, name);
    snprintf(to, sizeof to, "%s/plugins/%s.so", run.v->home, name);
    files_copy(from, to);
    snprintf(from, sizeof from, "%s/manifests/%s.json", from_home->home, name);
    json_t *manifest = json_load_file(from, 0, &fault), *needs = json_object_get(manifest, "needs");
    ck_assert_msg(manifest != NULL, "%s: %s", from, fault.text);
    if (!needs)
        json_object_set_new(manifest, "needs", needs = json_object());
    json_object_set_new(needs, "tables",
                        json_pack("[{s:s, s:s, s:{s:s, s:{s:{s:s}}, s:[s], s:b}}]", "name", table, "key", "id",
                                  "schema", "type", "object", "properties", "id", "type", "string", "required", "id",
                                  "additionalProperties", 0));
    snprintf(to, sizeof to, "%s/manifests/%s.json", run.v->home, name);
    ck_assert_int_eq(json_dump_file(manifest, to, 0), 0);
    json_decref(manifest);
}

/* They would not start together after a restart either, so neither is taken. */
START_TEST(claims_of_plugins_that_come_together)
{
    static const char *const both[] = {"courier", "echo", NULL};
    begin("v1");
    struct virtual *other = virtual_new(both, NULL);
    bring(other, "courier", "shared_notes");
    bring(other, "echo", "shared_notes");
    change(CHANGE_RELOAD, NULL, false);
    const json_t *error = json_object_get(run.report, "error");
    ck_assert_int_eq(run.error, CVM_EINVAL);
    ck_assert_str_eq(cvm_json_str(error, "plugin", ""), "echo");
    ck_assert_str_eq(cvm_json_str(error, "text", ""),
                     "the table shared_notes is declared by plugins courier and echo; take one of them out, or name it "
                     "in plugins.disabled");
    check_version("1.0.0");
    bring(other, "echo", "other_notes");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "switched");
    virtual_free(other);
    finish();
}
END_TEST

/* ---- probation and rollback -------------------------------------------------------------------------------------- */

static const json_t *plugin_now(void)
{
    static json_t *list;
    json_decref(list);
    list = core_plugins(run.v->core);
    return json_array_get(list, 0);
}

/* The new build faults at what the one before never knew: the message ends as one without a handler, which is the new
 * one's strike and no fault of the one before; all else goes on. */
START_TEST(a_message_the_older_build_does_not_know)
{
    begin("no_posted");
    put("faults");
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "probation");
    submit("one", 1);
    pass(200);
    ck_assert_uint_eq(json_array_size(run.calls), 1);
    ck_assert_uint_eq(json_array_size(run.answers), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(run.answers, 0), 0)), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(plugin_now(), "strikes", 0), 3); /* work, post.reply, later */
    check_version("2.6.0");
    json_t *total = ask("total", "one");
    ck_assert_int_eq(cvm_json_int(total, "sum", 0), 1);
    ck_assert_int_eq(cvm_json_int(total, "posted", 0), 0);
    json_decref(total);
    ck_assert_int_eq(
        virtual_count(run.v, "SELECT count(*) AS n FROM turns WHERE type = 'post.reply' AND outcome = 'OK'"), 0);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM turns WHERE type = 'post.reply'"), 1);
    virtual_conserved(run.v);
    finish();
}
END_TEST

START_TEST(five_strikes_bring_the_old_build_back)
{
    begin("v1");
    put("faults");
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "probation");
    for (int k = 1; k <= 4; k++)
        submit("one", k);
    core_step(run.v->core, core_now_ms(run.v->core));
    ck_assert_int_eq(cvm_json_int(plugin_now(), "strikes", 0), 4);
    check_version("2.6.0");
    submit("one", 5);
    core_step(run.v->core, core_now_ms(run.v->core));
    check_version("1.0.0");
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "running");
    pass(200);
    ck_assert_uint_eq(json_array_size(run.answers), 5);
    /* the build is known to be bad: only by name it comes again */
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "unchanged");
    check_version("1.0.0");
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(result(), "switched");
    check_version("2.6.0");
    finish();
}
END_TEST

START_TEST(probation_ends_by_turns_or_time)
{
    begin("v1");
    put("v2");
    change(CHANGE_RELOAD, "changing", false);
    for (int k = 1; k <= 70; k++)
        submit("many", k);
    pass(10000);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "running");
    put("v1");
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "probation");
    core_step(run.v->core, core_now_ms(run.v->core) + 59000);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "probation");
    core_step(run.v->core, core_now_ms(run.v->core) + 2000);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "running");
    finish();
}
END_TEST

/* While the old build is in memory, and after it has left it. */
START_TEST(operator_rolls_back)
{
    begin("v1");
    submit_round(1);
    pass(100);
    put("state2");
    change(CHANGE_RELOAD, "changing", false);
    submit_round(2);
    pass(100);
    if (_i)
        core_step(run.v->core, core_now_ms(run.v->core) + 70000);
    change(CHANGE_ROLLBACK, "changing", false);
    ck_assert_msg(run.error == 0, "%s", cvm_json_str(json_object_get(run.report, "error"), "text", ""));
    ck_assert_str_eq(result(), "switched");
    check_version("1.0.0");
    json_t *total = ask("total", "c1");
    ck_assert_int_eq(cvm_json_int(total, "sum", 0), 3); /* written by the newer code, read by the older */
    json_decref(total);
    submit_round(3);
    pass(100);
    ck_assert_int_eq(virtual_count(run.v, "SELECT count(*) AS n FROM state WHERE version = 2"), 0);
    ck_assert_uint_eq(json_array_size(run.answers), 3 * CUSTOMERS);
    change(CHANGE_ROLLBACK, "changing", false); /* there is nothing before it */
    ck_assert_int_eq(run.error, CVM_EINVAL);
    finish();
}
END_TEST

START_TEST(no_way_back_is_said_before)
{
    begin("v1");
    put("one_way");
    change(CHANGE_RELOAD, "changing", false);
    const json_t *p = json_array_get(json_object_get(run.report, "plugins"), 0);
    ck_assert(cvm_json_bool(p, "no_way_back", false));
    ck_assert(json_is_null(json_object_get(p, "probation")));
    change(CHANGE_ROLLBACK, "changing", false);
    ck_assert_int_eq(run.error, CVM_EINVAL);
    check_version("2.2.0");
    finish();
}
END_TEST

static void reopen(void)
{
    virtual_close(run.v);
    virtual_open(run.v);
}

START_TEST(restart_remembers_what_was_rolled_back)
{
    begin("v1");
    put("v2");
    change(CHANGE_RELOAD, "changing", false);
    change(CHANGE_ROLLBACK, "changing", false);
    reopen(); /* the folder still holds the other build */
    check_version("1.0.0");
    put("state2");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "switched");
    check_version("2.1.0");
    reopen();
    check_version("2.1.0");
    finish();
}
END_TEST

/* ---- the linker's traps ------------------------------------------------------------------------------------------ */

static int mappings(const char *what)
{
    char line[4096];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, f))
        n += strstr(line, what) && strstr(line, "r-xp");
    fclose(f);
    return n;
}

static int descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int files(const char *folder)
{
    char path[128];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", run.v->home, folder);
    DIR *dir = opendir(path);
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* The same two builds over the same path, again and again: each time the code is the new one and its memory fresh, and
 * what is not used goes. */
START_TEST(three_hundred_generations)
{
    int fds = 0, maps = 0;
    begin("v1");
    for (int i = 1; i <= 300; i++) {
        put(i % 2 ? "v2" : "v1");
        change(CHANGE_RELOAD, "changing", false);
        ck_assert_str_eq(result(), "switched");
        json_t *data = ask("which", "");
        ck_assert_str_eq(cvm_json_str(data, "version", ""), i % 2 ? "2.0.0" : "1.0.0");
        ck_assert_int_eq(cvm_json_int(data, "asked", 0), 1);
        json_decref(data);
        submit("all", i);
        pass(50);
        if (i == 10) {
            fds = descriptors();
            maps = mappings("/data/builds/");
        }
    }
    ck_assert_int_eq(descriptors(), fds);
    ck_assert_int_eq(mappings("/data/builds/"), maps);
    ck_assert_int_le(maps, 2);
    ck_assert_int_le(files("data/builds"), 4);
    ck_assert_uint_eq(json_array_size(run.answers), 300);
    ck_assert_int_eq(cvm_json_int(plugin_now(), "generation", 0), 301);
    finish();
}
END_TEST

/* A file that is renamed over, and one that is written in place: the running code is that of neither. */
START_TEST(the_file_may_be_written_over)
{
    char path[128], from[PATH_MAX], temporary[160];
    begin("v1");
    snprintf(path, sizeof path, "%s/plugins/changing.so", run.v->home);
    FILE *f = fopen(path, "r+e"); /* in place: the same inode */
    for (int i = 0; i < 200; i++)
        fputs("rubbish where code was ", f);
    fclose(f);
    check_version("1.0.0");
    submit_round(1);
    pass(100);
    files_built("plugins/changing/v2.so", from);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    files_copy(from, temporary);
    ck_assert_int_eq(rename(temporary, path), 0);
    files_built("plugins/changing/v2.json", from);
    snprintf(temporary, sizeof temporary, "%s/manifests/changing.json", run.v->home);
    files_copy(from, temporary);
    check_version("1.0.0");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "switched");
    check_version("2.0.0");
    finish();
}
END_TEST

/* ---- coming and going -------------------------------------------------------------------------------------------- */

START_TEST(goes_when_its_conversations_have_ended)
{
    struct edge_error error;
    begin("v1");
    submit_round(1);
    core_step(run.v->core, core_now_ms(run.v->core));
    change(CHANGE_REMOVE, "changing", false);
    ck_assert_str_eq(result(), "removing");
    struct edge_in in = {.source = "test", .to = "test.changing", .type = "which", .priority = -1};
    ck_assert_int_eq(edge_submit(run.v->core, &in, answered, NULL, NULL, &error), CVM_ENOENT);
    pass(1000);
    ck_assert_uint_eq(json_array_size(run.answers), CUSTOMERS); /* nothing of what had begun was lost */
    json_t *none = core_plugins(run.v->core);
    ck_assert_uint_eq(json_array_size(none), 0);
    json_decref(none);
    ck_assert_int_eq(files("plugins") + files("manifests"), 0);
    ck_assert_int_eq(mappings("/data/builds/"), 0);
    finish();
}
END_TEST

static void begin_slowly(const char *build)
{
    memset(&run, 0, sizeof run);
    run.calls = json_array();
    run.answers = json_array();
    run.v = virtual_new(NOTHING,
                        "{\"plugins\": {\"inline\": [\"*\"]}, \"agents\": {\"test.changing\": {\"concurrency\": 2}}}");
    run.v->send = world_send;
    put(build);
    virtual_open(run.v);
}

/* --now: what is open waits in the store and goes on when the plugin is back; `_i` is 1 with a restart between. */
START_TEST(parked_work_comes_back_with_the_plugin)
{
    struct edge_error error;
    begin_slowly("v1");
    struct edge_in in = {.source = "test",
                         .to = "test.changing",
                         .type = "batch",
                         .priority = -1,
                         .data = json_pack("{s:s, s:i}", "customer", "all", "n", 12)};
    ck_assert_int_eq(edge_submit(run.v->core, &in, answered, NULL, NULL, &error), 0);
    core_step(run.v->core,
              core_now_ms(run.v->core)); /* one is lent, its call is out, its timer runs, the others wait */
    submit("late", 1);                   /* not accepted yet */
    change(CHANGE_REMOVE, "changing", true);
    ck_assert_str_eq(result(), "removed");
    pass(500);
    ck_assert_uint_eq(json_array_size(run.answers), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(run.answers, 0), 0)), CVM_BUSY);
    if (_i) {
        run.n_waiting = 0;
        reopen();
        pass(500);
    }
    put("v2");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_msg(strcmp(result(), "switched") == 0, "%s",
                  cvm_json_str(json_object_get(run.report, "error"), "text", ""));
    pass(5000); /* the call that was out may have been made: it is made again, after a while */
    if (!_i) {
        ck_assert_uint_eq(json_array_size(run.answers), 2);
        const json_t *answer = json_array_get(run.answers, 1);
        ck_assert_int_eq(json_integer_value(json_array_get(answer, 0)), CVM_REPLIED);
        ck_assert_int_eq(cvm_json_int(json_array_get(answer, 1), "failed", -1), 0);
    }
    json_t *total = ask("total", "all");
    ck_assert_int_eq(cvm_json_int(total, "sum", 0), 12 * 13 / 2);
    json_decref(total);
    virtual_conserved(run.v);
    finish();
}
END_TEST

/* More is stored than is tried beforehand, and the one value that the upgrade cannot read is met in service. */
/* The plugin goes before what a start brought back into its lanes has had its turn; all of it is done when it is there
 * again, once. */
START_TEST(recovered_work_is_parked_from_its_lanes)
{
    struct edge_error error;
    char text[512];
    begin_slowly("v1");
    struct edge_in in = {.source = "test",
                         .to = "test.changing",
                         .type = "batch",
                         .priority = -1,
                         .data = json_pack("{s:s, s:i}", "customer", "all", "n", 12)};
    ck_assert_int_eq(edge_submit(run.v->core, &in, answered, NULL, NULL, &error), 0);
    core_step(run.v->core, core_now_ms(run.v->core));
    virtual_close(run.v);
    run.n_waiting = 0;
    const struct core_options options = {.home = run.v->home,
                                         .config = run.v->config,
                                         .seed = 43,
                                         .send = run.v->send,
                                         .send_arg = run.v->send_arg,
                                         .runner = TEST_RUNNER};
    ck_assert_int_eq(core_open(&options, &run.v->core, text, sizeof text), 0);
    ck_assert_int_eq(core_load(run.v->core, text, sizeof text), 0);
    ck_assert_int_eq(core_start(run.v->core, text, sizeof text), 0);
    change(CHANGE_REMOVE, "changing", true);
    ck_assert_str_eq(result(), "removed");
    pass(500);
    put("v2");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "switched");
    pass(5000);
    json_t *total = ask("total", "all");
    ck_assert_int_eq(cvm_json_int(total, "sum", 0), 12 * 13 / 2);
    json_decref(total);
    virtual_conserved(run.v);
    finish();
}
END_TEST

START_TEST(upgrade_that_fails_later_is_a_strike)
{
    struct edge_error error;
    begin("v1");
    for (int i = 0; i < 602; i++) {
        char customer[16] = "zz";
        if (i < 600)
            snprintf(customer, sizeof customer, "c%d", i);
        struct edge_in in = {.source = "test", .to = "test.changing", .type = "work", .priority = -1};
        in.data = json_pack("{s:s, s:i, s:b}", "customer", customer, "k", i == 601 ? 2 : 1, "quiet", 1);
        in.conversation = customer;
        if (i == 601) {
            put("fail_one");
            change(CHANGE_RELOAD, "changing", false);
            ck_assert_str_eq(result(), "switched");
        }
        ck_assert_int_eq(edge_submit(run.v->core, &in, answered, NULL, NULL, &error), 0);
        core_step(run.v->core, core_now_ms(run.v->core));
    }
    ck_assert_uint_eq(json_array_size(run.answers), 602);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(run.answers, 601), 0)), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(plugin_now(), "strikes", 0), 1);
    finish();
}
END_TEST

/* Its files vanish by mistake while it works, and come back: so does it. */
START_TEST(files_that_come_back_keep_the_plugin)
{
    char json[128], away[160];
    begin("v1");
    submit_round(1);
    core_step(run.v->core, core_now_ms(run.v->core));
    snprintf(json, sizeof json, "%s/manifests/changing.json", run.v->home);
    snprintf(away, sizeof away, "%s/changing.json", run.v->home);
    ck_assert_int_eq(rename(json, away), 0);
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "removing");
    ck_assert_int_eq(rename(away, json), 0);
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "running");
    pass(1000);
    ck_assert_uint_eq(json_array_size(run.answers), CUSTOMERS);
    submit_round(2);
    pass(100);
    ck_assert_uint_eq(json_array_size(run.answers), 2 * CUSTOMERS);
    finish();
}
END_TEST

/* A stricter schema is taken, for it may be meant; that it refuses what came lately is said. */
START_TEST(narrower_schemas_are_warned_of)
{
    char path[128], text[8192];
    begin("v1");
    submit_round(1);
    pass(100);
    put("v2");
    snprintf(path, sizeof path, "%s/manifests/changing.json", run.v->home);
    FILE *f = fopen(path, "r+e");
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    char *at = strstr(text, "\"maxLength\": 40");
    ck_assert_ptr_nonnull(at);
    memcpy(at, "\"maxLength\": 1 ", 15);
    rewind(f);
    fputs(text, f);
    fclose(f);
    change(CHANGE_RELOAD, "changing", false);
    ck_assert_str_eq(result(), "switched");
    const json_t *p = json_array_get(json_object_get(run.report, "plugins"), 0);
    const char *warning = json_string_value(json_array_get(json_object_get(p, "warnings"), 0));
    ck_assert_msg(warning && strstr(warning, "test.changing: work: the new schema refuses 5 of the last 5 inputs"),
                  "%s", warning ? warning : "no warning");
    finish();
}
END_TEST

static void write_config(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/config/cvmhost.json", run.v->home);
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
}

/* The configuration is read anew: settings reach generations that stay; a faulty one changes nothing. */
START_TEST(settings_are_read_anew)
{
    begin("v1");
    write_config("{\"plugins\": {\"inline\": [\"*\"]}, \"agents\": {\"test.changing\": {\"settings\": "
                 "{\"base\": \"http://elsewhere.example\"}}}}");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "switched");
    ck_assert_str_eq(cvm_json_str(json_array_get(json_object_get(run.report, "plugins"), 0), "action", ""), "settings");
    json_t *list = core_components(run.v->core);
    ck_assert_str_eq(cvm_json_str(json_object_get(json_array_get(list, 0), "settings"), "base", ""),
                     "http://elsewhere.example");
    json_decref(list);
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "unchanged");
    write_config("{\"plugins\": {\"inline\": 7}}");
    put("v2");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "refused");
    ck_assert_msg(strstr(cvm_json_str(json_object_get(run.report, "error"), "text", ""), "plugins.inline") != NULL,
                  "%s", cvm_json_str(json_object_get(run.report, "error"), "text", ""));
    check_version("1.0.0");
    finish();
}
END_TEST

START_TEST(disabled_over_a_restart)
{
    begin("v1");
    change(CHANGE_DISABLE, "changing", false);
    ck_assert_str_eq(result(), "removed");
    reopen();
    ck_assert_str_eq(cvm_json_str(plugin_now(), "state", ""), "disabled");
    change(CHANGE_RELOAD, NULL, false);
    ck_assert_str_eq(result(), "unchanged");
    change(CHANGE_ENABLE, "changing", false);
    ck_assert_str_eq(result(), "switched");
    check_version("1.0.0");
    change(CHANGE_ENABLE, "changing", false);
    ck_assert_int_eq(run.error, CVM_EINVAL);
    change(CHANGE_DISABLE, "nobody", false);
    ck_assert_int_eq(run.error, CVM_ENOENT);
    finish();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reload");
    TCase *c = tcase_create("reload");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, switches_code_and_keeps_the_rest);
    tcase_add_test(c, same_stream_with_a_good_build);
    tcase_add_test(c, same_stream_with_both_builds_at_work);
    tcase_add_loop_test(c, same_stream_with_a_bad_build, 0, 2 * (int)(sizeof bad / sizeof *bad));
    tcase_add_loop_test(c, manifests_must_be_true, 0, sizeof mismatches / sizeof *mismatches);
    tcase_add_test(c, changes_that_make_no_sense);
    tcase_add_test(c, claims_of_plugins_that_come_together);
    tcase_add_loop_test(c, refusals_say_what_and_where, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(c, a_message_the_older_build_does_not_know);
    tcase_add_test(c, five_strikes_bring_the_old_build_back);
    tcase_add_test(c, probation_ends_by_turns_or_time);
    tcase_add_loop_test(c, operator_rolls_back, 0, 2);
    tcase_add_test(c, no_way_back_is_said_before);
    tcase_add_test(c, restart_remembers_what_was_rolled_back);
    tcase_add_test(c, three_hundred_generations);
    tcase_add_test(c, the_file_may_be_written_over);
    tcase_add_test(c, goes_when_its_conversations_have_ended);
    tcase_add_loop_test(c, parked_work_comes_back_with_the_plugin, 0, 2);
    tcase_add_test(c, recovered_work_is_parked_from_its_lanes);
    tcase_add_test(c, upgrade_that_fails_later_is_a_strike);
    tcase_add_test(c, files_that_come_back_keep_the_plugin);
    tcase_add_test(c, narrower_schemas_are_warned_of);
    tcase_add_test(c, settings_are_read_anew);
    tcase_add_test(c, disabled_over_a_restart);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
