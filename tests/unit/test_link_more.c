/* Plugins' own processes at the edges of their lives: a core that never starts, that stops, that takes messages back
 * while none runs; and what strangers make the host say. */
#include "core/remote_parts.h"
#include "files.h"
#include "virtual.h"

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

struct host {
    struct virtual *v;
    uv_loop_t loop;
    bool stopped, loaded;
    json_t *report; /* of the last change */
    int reports;
};

static void pass(struct host *h, int ms)
{
    for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end && !h->stopped;)
        if (uv_run(&h->loop, UV_RUN_NOWAIT))
            usleep(200);
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
    struct core_options options = {
        .home = h->v->home, .config = h->v->config, .loop = &h->loop, .seed = 42, .runner = TEST_RUNNER};
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
    for (int i = 0; i < 5000 && r->step != REMOTE_DOWN; i++)
        uv_run(&h->loop, UV_RUN_NOWAIT);
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
    pass(h, 5000);
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

int main(void)
{
    Suite *suite = suite_create("link_more");
    TCase *tcase = tcase_create("edges");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_host_that_cannot_load_ends);
    tcase_add_test(tcase, a_host_stops_with_messages_in_hand);
    tcase_add_test(tcase, messages_taken_back_keep_no_process_from_starting);
    tcase_add_test(tcase, a_process_that_talks_of_what_is_over_is_ended);
    tcase_add_test(tcase, what_a_stranger_says_spoils_no_report);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
