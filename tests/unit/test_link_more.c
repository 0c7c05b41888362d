/* Plugins' own processes at the edges of their lives: a core that never starts, that stops, that takes messages back
 * while none runs; and what strangers make the host say. */
#include "core/remote_parts.h"
#include "core/store.h"
#include "files.h"
#include "looped.h"

#include <cvm/json.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

static const char *const NOTHING[] = {NULL};

#define CALLS_MAX 256

struct host {
    struct virtual *v;
    struct {
        http_done done;
        void *arg;
    } calls[CALLS_MAX]; /* to the outside: all are answered 200 {} */
    int n_calls;
    uv_loop_t loop;
    bool stopped, loaded;
    json_t *report; /* of the last change */
    int reports;
};

static int send_call(void *arg, const struct http_request *request, http_done done, void *done_arg,
                     uint64_t *ret_handle)
{
    struct host *h = arg;
    (void)request;
    ck_assert_int_lt(h->n_calls, CALLS_MAX);
    h->calls[h->n_calls].done = done;
    h->calls[h->n_calls].arg = done_arg;
    *ret_handle = (uint64_t)++h->n_calls;
    return 0;
}

static void answer_calls(struct host *h)
{
    while (h->n_calls) {
        int n = --h->n_calls;
        json_t *headers = json_object();
        const struct http_result result = {
            .fate = HTTP_ANSWERED, .status = 200, .headers = headers, .body = "{}", .body_len = 2};
        h->calls[n].done(h->calls[n].arg, &result);
        json_decref(headers);
    }
}

static void pass(struct host *h, int ms)
{
    for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end && !h->stopped;) {
        answer_calls(h);
        if (uv_run(&h->loop, UV_RUN_NOWAIT))
            usleep(200);
    }
}

static struct host *host_new(void)
{
    struct host *h = calloc(1, sizeof *h);
    char from[PATH_MAX], to[256];
    h->v = virtual_new(NOTHING, "{\"plugins\": {\"process\": [\"*\"], \"strikes\": 100}}");
    files_built("plugins/hostile/hostile.so", from);
    snprintf(to, sizeof to, "%s/plugins/hostile.so", h->v->home);
    files_copy(from, to);
    snprintf(to, sizeof to, "%s/manifests/hostile.json", h->v->home);
    files_copy(TEST_PLUGINS "/hostile/hostile.json", to);
    return h;
}

/* Gives what loading said. */
static int host_open(struct host *h)
{
    char error[512];
    ck_assert_int_eq(uv_loop_init(&h->loop), 0);
    struct core_options options = {.home = h->v->home,
                                   .config = h->v->config,
                                   .loop = &h->loop,
                                   .seed = 42,
                                   .send = send_call,
                                   .send_arg = h,
                                   .runner = TEST_RUNNER};
    ck_assert_msg(core_open(&options, &h->v->core, error, sizeof error) == 0, "%s", error);
    if (core_load(h->v->core, error, sizeof error) < 0)
        return CVM_EINVAL;
    ck_assert_msg(core_start(h->v->core, error, sizeof error) == 0, "%s", error);
    pass(h, 50);
    return 0;
}

static void on_stopped(void *arg)
{
    ((struct host *)arg)->stopped = true;
}

static void host_close(struct host *h)
{
    core_stop(h->v->core, on_stopped, h);
    pass(h, 5000);
    ck_assert(h->stopped);
    virtual_close(h->v);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&h->loop), 0);
    virtual_free(h->v);
    json_decref(h->report);
    free(h);
}

static void submit(struct host *h, const char *what, struct answer_seen *seen)
{
    struct edge_in in = {.source = "test",
                         .to = "test.hostile",
                         .type = "do",
                         .conversation = what,
                         .data = json_pack("{s:s}", "what", what),
                         .priority = -1};
    struct edge_error error;
    cvm_id id;
    ck_assert_int_eq(edge_submit(h->v->core, &in, virtual_seen, seen, &id, &error), 0);
}

static void put_file(const struct host *h, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", h->v->home, name);
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    chmod(path, 0755);
}

static void changed(void *arg, int error, json_t *report)
{
    struct host *h = arg;
    (void)error;
    json_decref(h->report);
    h->report = report;
    h->reports++;
}

START_TEST(a_host_that_cannot_load_ends)
{
    struct host *h = host_new();
    put_file(h, "manifests/zoo.json", "{\"manifest\": 1}");
    ck_assert_int_lt(host_open(h), 0); /* with the process of the other one running */
    host_close(h);
}
END_TEST

/* Under a sanitizer this shows what lies behind the loop's end. */
START_TEST(a_host_stops_with_messages_in_hand)
{
    struct host *h = host_new();
    struct answer_seen hanging = {0}, waiting = {0};
    ck_assert_int_eq(host_open(h), 0);
    submit(h, "hang_asleep", &hanging);
    submit(h, "nothing", &waiting);
    pass(h, 30);
    ck_assert_uint_eq(h->v->core->remotes->n, 2);
    host_close(h);
    ck_assert_int_eq(hanging.n + waiting.n, 0);
}
END_TEST

/* A switch that fails takes the messages back, and leaves the old process to come up again. */
START_TEST(messages_taken_back_keep_no_process_from_starting)
{
    struct host *h = host_new();
    struct answer_seen seen = {0};
    ck_assert_int_eq(host_open(h), 0);
    struct remote *r = h->v->core->remotes;
    kill(remote_pid(r), SIGKILL);
    for (int i = 0; i < 20000 && r->step != REMOTE_DOWN; i++) { /* it is that for one round only */
        uv_run(&h->loop, UV_RUN_NOWAIT);
        usleep(100);
    }
    ck_assert_int_eq(r->step, REMOTE_DOWN);
    submit(h, "nothing", &seen);
    remote_recall(r->generation);
    pass(h, 2000);
    ck_assert_int_eq(r->step, REMOTE_UP);
    ck_assert_int_eq(seen.n, 1);
    json_decref(seen.data);
    host_close(h);
}
END_TEST

START_TEST(a_process_that_talks_of_what_is_over_is_ended)
{
    struct host *h = host_new();
    struct answer_seen seen = {0}, after = {0};
    ck_assert_int_eq(host_open(h), 0);
    struct remote *r = h->v->core->remotes;
    submit(h, "flood_late", &seen);
    for (int i = 0; i < 40 && !r->restarts; i++)
        pass(h, 500);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_uint_ge(r->restarts, 1);
    submit(h, "nothing", &after);
    pass(h, 1000);
    ck_assert(after.n == 1 && after.outcome == CVM_REPLIED);
    json_decref(seen.data);
    json_decref(after.data);
    host_close(h);
}
END_TEST

/* Its last words are no UTF-8: the report says them all the same. */
START_TEST(what_a_stranger_says_spoils_no_report)
{
    struct host *h = host_new();
    ck_assert_int_eq(host_open(h), 0);
    put_file(h, "plugins/rude.sh", "#!/bin/sh\nprintf 'na\\303 \\377\\033[2Jso\\n' >&2\nexit 3\n");
    put_file(h, "manifests/rude.json",
             "{\"manifest\": 1, \"name\": \"rude\", \"version\": \"1.0.0\", \"abi\": \"1.0\", \"program\": \"rude.sh\","
             " \"description\": \"Rude\", \"components\": [{\"id\": \"test.rude\", \"alias\": \"Rude\","
             " \"kind\": \"agent\", \"operations\": [{\"type\": \"do\", \"description\": \"Nothing\"}]}]}");
    core_change(h->v->core, CHANGE_RELOAD, "rude", false, changed, h);
    for (int i = 0; i < 200 && !h->reports; i++)
        pass(h, 20);
    ck_assert_int_eq(h->reports, 1);
    const char *text = cvm_json_str(json_object_get(h->report, "error"), "text", "");
    ck_assert_msg(strstr(text, "exit status 3") && strstr(text, "na? ?"), "%s", text);
    host_close(h);
}
END_TEST

/* ---- a storm -------------------------------------------------------------------------------------------------------
 */

#define STORM_SENT_MAX 2000

static struct storm {
    struct host *h;
    uint64_t random;
    struct answer_seen seen[STORM_SENT_MAX];
    char said[STORM_SENT_MAX][64];
    int sent, changes;
    bool inside; /* what may run inside the host does so at times, and then nothing crashes */
} storm;

static int any(int n)
{
    return (int)(id_random(&storm.random) % (uint64_t)n);
}

static void put_plugin(const char *build, const char *json, const char *name)
{
    char from[PATH_MAX], to[256];
    snprintf(to, sizeof to, "%s/plugins/%s.so", storm.h->v->home, name);
    files_built(build, from);
    unlink(to);
    files_copy(from, to);
    snprintf(to, sizeof to, "%s/manifests/%s.json", storm.h->v->home, name);
    files_copy(json, to);
}

static void put_changing(void)
{
    static const char *const builds[] = {"v1",        "v2",           "state2", "turned", "faults",
                                         "sometimes", "refuse_start", "starts", "hangs",  "crashes"};
    char build[64], name[64], json[PATH_MAX];
    const char *which = builds[any(storm.inside ? 8 : 10)];
    snprintf(build, sizeof build, "plugins/changing/%s.so", which);
    snprintf(name, sizeof name, "plugins/changing/%s.json", which);
    files_built(name, json);
    put_plugin(build, json, "changing");
}

static void storm_changed(void *arg, int error, json_t *report)
{
    (void)arg;
    (void)error;
    ck_assert_ptr_nonnull(report);
    storm.changes--;
    json_decref(report);
}

static void storm_change(enum core_change what, const char *plugin)
{
    storm.changes++;
    core_change(storm.h->v->core, what, plugin, any(2), storm_changed, NULL);
}

static void storm_submit(const char *to, const char *type, bool lane, json_t *data)
{
    char conversation[32];
    struct edge_error error;
    cvm_id id;
    snprintf(conversation, sizeof conversation, "talk %d", any(6));
    struct edge_in in = {.source = "test",
                         .to = to,
                         .type = type,
                         .conversation = lane ? conversation : NULL,
                         .data = data,
                         .timeout_ms =
                             any(4) ? 5000 : 20 + any(200), /* also of one whose timer becomes a dead letter */
                         .priority = (int8_t)(any(5) - 1)};
    if (storm.sent < STORM_SENT_MAX &&
        edge_submit(storm.h->v->core, &in, virtual_seen, &storm.seen[storm.sent], &id, &error) == 0)
        snprintf(storm.said[storm.sent++], sizeof storm.said[0], "%s %s %s", to, type, lane ? conversation : "");
}

static void storm_send(void)
{
    static const char *const types[] = {"ok",   "ok",    "count", "count", "error", "refuse", "silent", "later",
                                        "slow", "flood", "flaky", "fault", "crash", "abort",  "hang"};
    const char *type = types[any(15 - (any(3) > 0) * 3)];
    switch (any(4)) {
    case 0:
        storm_submit("test.changing", "work", true, json_pack("{s:s, s:i}", "customer", any(2) ? "a" : "b", "k", 1));
        break;
    case 1:
        storm_submit("test.caller", "call", any(2),
                     json_pack("{s:s, s:s, s:{s:i}, s:i}", "to", "test.faulty", "type",
                               strcmp(type, "abort") == 0 ? "crash" : type, "data", "n", 3, "timeout_ms",
                               20 + any(300)));
        break;
    case 2:
        storm_submit("test.faulty", "counted", false, json_object());
        break;
    default:
        storm_submit("test.faulty", type, true,
                     strcmp(type, "ok") == 0 ? json_object() : json_pack("{s:i, s:i}", "n", 5, "ms", 5));
    }
}

static void storm_step(void)
{
    int what = any(100);
    struct remote *r = storm.h->v->core->remotes;
    if (what < 70) {
        storm_send();
    } else if (what < 76) {
        for (int n = any(4); r && n; n--)
            r = r->next;
        if (r && r->link)
            kill(remote_pid(r), any(3) ? SIGKILL : SIGSEGV);
    } else if (what < 80) {
        put_changing();
        storm_change(CHANGE_RELOAD, "changing");
    } else if (what < 82) {
        storm_change(CHANGE_ROLLBACK, "changing");
    } else if (what < 84) {
        storm_change(storm.inside ? CHANGE_MOVE_INLINE : CHANGE_MOVE_PROCESS, "changing");
        storm_change(CHANGE_MOVE_PROCESS, "changing");
    } else if (what < 86 && !any(3)) {
        const char *plugin = any(2) ? "faulty" : "changing";
        storm_change(CHANGE_DISABLE, plugin);
        storm_change(CHANGE_ENABLE, plugin);
    } else {
        pass(storm.h, any(8) ? any(4) : any(60));
    }
}

/* What is left, for whoever looks for the reason. */
static void storm_tell(void)
{
    json_t *ps = core_ps(storm.h->v->core);
    char *text = json_dumps(ps, JSON_INDENT(1));
    fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(ps);
    for (struct remote *r = storm.h->v->core->remotes; r; r = r->next) {
        text = json_dumps(ps = remote_json(r), JSON_COMPACT);
        fprintf(stderr, "%s of %u: %s, alarm %zu\n", r->generation->manifest->name, r->generation->number, text,
                r->alarm.index);
        free(text);
        json_decref(ps);
    }
    for (int i = 0; i < storm.sent; i++)
        if (!storm.seen[i].n)
            fprintf(stderr, "%d: %s\n", i, storm.said[i]);
}

static bool storm_is_over(void)
{
    for (int i = 0; i < storm.sent; i++)
        if (!storm.seen[i].n)
            return false;
    return !storm.changes;
}

static void conserved(struct host *h)
{
    json_t *ps = core_ps(h->v->core), *c;
    size_t i;
    json_array_foreach(json_object_get(ps, "components"), i, c)
    {
        const char *id = cvm_json_str(c, "id", "");
        ck_assert_msg(cvm_json_int(c, "queued", 1) == 0 && cvm_json_int(c, "lent", 1) == 0, "%s has something open",
                      id);
        ck_assert_int_eq(cvm_json_int(c, "delivered", 0), cvm_json_int(c, "settled", 0) + cvm_json_int(c, "dead", 0));
    }
    json_decref(ps);
    for (uint32_t k = 0; k < h->v->core->n_components; k++)
        ck_assert_int_eq(h->v->core->components[k]->away, 0);
    json_t *open = NULL;
    bool more;
    ck_assert_int_eq(store_query(h->v->core->reader, "SELECT kind, doc FROM open_items", NULL, 10, &open, &more), 0);
    char *text = json_dumps(open, JSON_COMPACT);
    ck_assert_msg(json_array_size(open) == 0, "still open: %s", text);
    free(text);
    json_decref(open);
}

START_TEST(a_storm_of_deaths_and_changes)
{
    char path[PATH_MAX];
    int steps = getenv("CVM_STORM_STEPS") ? (int)strtol(getenv("CVM_STORM_STEPS"), NULL, 10) : 200;
    uint64_t seed = getenv("CVM_STORM_SEED") ? strtoull(getenv("CVM_STORM_SEED"), NULL, 10) : 0;
    struct host *h = calloc(1, sizeof *h);
    storm = (struct storm){
        .h = h, .random = id_seed((cvm_id){seed + (uint64_t)_i, 7}, 9), .inside = (seed + (uint64_t)_i) % 2};
    h->v = virtual_new(NOTHING, "{\"plugins\": {\"process\": [\"*\"], \"strikes\": 100, \"probation_turns\": 30},"
                                " \"agents\": {\"test.faulty\": {\"concurrency\": 3}}}");
    files_built("plugins/changing/v1.json", path);
    put_plugin("plugins/changing/v1.so", path, "changing");
    put_plugin("plugins/faulty.so", TEST_PLUGINS "/faulty.json", "faulty");
    ck_assert_int_eq(host_open(h), 0);
    for (int i = 0; i < steps; i++)
        storm_step();
    files_built("plugins/changing/v1.json", path);
    put_plugin("plugins/changing/v1.so", path, "changing");
    for (int i = 0; i < 300 && storm.changes; i++)
        pass(h, 50);
    ck_assert_int_eq(storm.changes, 0);
    storm_change(CHANGE_ENABLE, "faulty");
    storm_change(CHANGE_ENABLE, "changing");
    storm_change(CHANGE_RELOAD, "changing");
    for (int i = 0; i < 400 && !storm_is_over(); i++) {
        core_revive(h->v->core, "test.faulty");
        core_revive(h->v->core, "test.changing");
        if (i % 10 == 0 && !storm.changes) { /* it may have left only now */
            storm_change(CHANGE_ENABLE, "faulty");
            storm_change(CHANGE_ENABLE, "changing");
        }
        pass(h, 100);
    }
    pass(h, 1000);
    if (!storm_is_over())
        storm_tell();
    for (int i = 0; i < storm.sent; i++) {
        ck_assert_msg(storm.seen[i].n == 1, "seed %llu: the %dth of %d has %d answers", (unsigned long long)seed + _i,
                      i, storm.sent, storm.seen[i].n);
        json_decref(storm.seen[i].data);
    }
    conserved(h);
    host_close(h);
}
END_TEST

/* ---- what a turn was told, and what holds when it is over ------------------------------------------------------- */

static const char *const EVERY[] = {"every", NULL};

static bool found(const struct answer_seen *seen, const char *text)
{
    char *all = json_dumps(seen->data, JSON_COMPACT);
    bool is = all && strstr(all, text);
    free(all);
    return is;
}

START_TEST(a_scan_that_does_not_hold_is_done_again)
{
    struct looped *l = looped_new(EVERY, true, 100, NULL);
    struct answer_seen seen = {0}, edited = {0};
    looped_open(l, true);
    looped_submit(l, "test.every", "do", "one", looped_steps("[[\"scan\", \"s/\"], [\"work\", 150], [\"reply\"]]"),
                  &seen);
    looped_pass(l, 40);
    struct edge_in in = {.source = "test",
                         .to = "test.every",
                         .type = "state.put",
                         .priority = CVM_HIGH,
                         .edit = true,
                         .data = json_pack("{s:s, s:i}", "key", "s/new", "value", 1)};
    struct edge_error error;
    cvm_id id;
    ck_assert_int_eq(edge_submit(l->v->core, &in, virtual_seen, &edited, &id, &error), 0);
    ck_assert(looped_until(l, &edited.n, 2000) && !seen.n);
    ck_assert(looped_until(l, &seen.n, 5000));
    ck_assert(found(&seen, "s/new"));
    json_decref(seen.data);
    json_decref(edited.data);
    looped_free(l);
}
END_TEST

/* One that waited for a place has left its lane: others of the conversation go on meanwhile. */
START_TEST(a_context_that_does_not_hold_is_read_again)
{
    static const char *const both[] = {"every", "courier", NULL};
    struct looped *l = looped_new(both, true, 100, "\"agents\": {\"test.every\": {\"concurrency\": 1}},");
    struct answer_seen first = {0}, slow = {0}, other = {0};
    looped_open(l, true);
    looped_submit(l, "test.every", "do", "one", looped_steps("[[\"work\", 100], [\"reply\"]]"), &first);
    looped_submit(l, "test.every", "do", "two",
                  looped_steps("[[\"context\"], [\"work\", 150], [\"set\", \"/mine\", 1], [\"reply\"]]"), &slow);
    ck_assert(looped_until(l, &first.n, 2000));
    looped_pass(l, 40);
    looped_submit(l, "test.helper", "run", "two",
                  looped_steps("[{\"do\": \"set\", \"path\": \"/other\", \"value\": 1}, {\"do\": \"reply\"}]"), &other);
    ck_assert(looped_until(l, &other.n, 2000) && !slow.n);
    ck_assert(looped_until(l, &slow.n, 5000));
    ck_assert(found(&slow, "other"));
    ck_assert_int_eq(looped_count(l, "SELECT json_extract(doc, '$.mine') + json_extract(doc, '$.other') FROM contexts"
                                     " WHERE name = 'two'"),
                     2);
    json_decref(first.data);
    json_decref(slow.data);
    json_decref(other.data);
    looped_free(l);
}
END_TEST

int main(void)
{
    const char *runs = getenv("CVM_STORM_RUNS");
    Suite *suite = suite_create("link_more");
    TCase *tcase = tcase_create("edges");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_host_that_cannot_load_ends);
    tcase_add_test(tcase, a_host_stops_with_messages_in_hand);
    tcase_add_test(tcase, messages_taken_back_keep_no_process_from_starting);
    tcase_add_test(tcase, a_process_that_talks_of_what_is_over_is_ended);
    tcase_add_test(tcase, what_a_stranger_says_spoils_no_report);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, a_scan_that_does_not_hold_is_done_again);
    tcase_add_test(tcase, a_context_that_does_not_hold_is_read_again);
    tcase = tcase_create("storm");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_storm_of_deaths_and_changes, 0, runs ? (int)strtol(runs, NULL, 10) : 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
