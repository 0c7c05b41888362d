/* See looped.h. */
#include "looped.h"

#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg,
                      uint64_t *ret_handle)
{
    struct looped *l = arg;
    (void)request;
    ck_assert_int_lt(l->n_waiting, LOOPED_WAITING_MAX);
    l->waiting[l->n_waiting].done = done;
    l->waiting[l->n_waiting].arg = done_arg;
    *ret_handle = (uint64_t)++l->n_waiting;
    l->calls++;
    return 0;
}

static void answer_calls(struct looped *l)
{
    while (l->n_waiting) {
        int n = --l->n_waiting;
        json_t *headers = json_object();
        l->waiting[n].done(l->waiting[n].arg,
                           &(struct http_result){
                               .fate = HTTP_ANSWERED, .status = 200, .headers = headers, .body = "{}", .body_len = 2});
        json_decref(headers);
    }
}

struct looped *looped_new(const char *const *plugins, bool process, int strikes, const char *extra)
{
    struct looped *l = calloc(1, sizeof *l);
    char config[2048];
    snprintf(config, sizeof config, "{%s \"plugins\": {\"%s\": [\"*\"], \"strikes\": %d}}", extra ? extra : "",
             process ? "process" : "inline", strikes);
    l->v = virtual_new(plugins, config);
    l->v->send = world_send;
    l->v->send_arg = l;
    return l;
}

void looped_open(struct looped *l, bool on_loop)
{
    char error[512];
    l->on_loop = on_loop;
    l->stopped = false;
    memset(&l->page, 0, sizeof l->page);
    if (l->suspects)
        memcpy(&l->page, l->suspects, sizeof l->page);
    l->v->page = &l->page;
    if (!on_loop) {
        virtual_open(l->v);
        return;
    }
    ck_assert_int_eq(uv_loop_init(&l->loop), 0);
    struct core_options options = {.home = l->v->home,
                                   .config = l->v->config,
                                   .loop = &l->loop,
                                   .seed = 42,
                                   .send = world_send,
                                   .send_arg = l,
                                   .page = &l->page,
                                   .runner = TEST_RUNNER};
    ck_assert_msg(core_open(&options, &l->v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_load(l->v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_start(l->v->core, error, sizeof error) == 0, "%s", error);
    looped_pass(l, 20);
}

static void once(struct looped *l)
{
    answer_calls(l);
    if (!uv_run(&l->loop, UV_RUN_NOWAIT))
        return;
    usleep(200);
}

void looped_pass(struct looped *l, int64_t ms)
{
    struct core *core = l->v->core;
    if (l->on_loop) {
        for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end;)
            once(l);
        return;
    }
    for (int64_t until = core_now_ms(core) + ms; core_now_ms(core) < until;) {
        core_step(core, core_now_ms(core));
        answer_calls(l);
        core_step(core, core_now_ms(core) + 5);
    }
}

bool looped_until(struct looped *l, const int *flag, int64_t ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    if (!l->on_loop)
        looped_pass(l, ms);
    while (!*flag && l->on_loop && uv_hrtime() < end)
        once(l);
    return *flag != 0;
}

static bool is_quiet(const struct looped *l)
{
    json_t *ps = core_ps(l->v->core), *c;
    json_int_t queued = 0;
    size_t i;
    json_array_foreach(json_object_get(ps, "components"), i, c) queued +=
        json_integer_value(json_object_get(c, "queued"));
    json_decref(ps);
    return queued == 0;
}

void looped_quiet(struct looped *l)
{
    for (int i = 0; i < 2000 && !is_quiet(l); i++)
        looped_pass(l, 5);
    ck_assert(is_quiet(l));
}

static void on_stopped(void *arg)
{
    ((struct looped *)arg)->stopped = true;
}

void looped_stop(struct looped *l)
{
    if (!l->on_loop) {
        virtual_close(l->v);
        return;
    }
    core_stop(l->v->core, on_stopped, l);
    for (int i = 0; i < 5000 && !l->stopped; i++) {
        uv_run(&l->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert(l->stopped);
    virtual_close(l->v);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&l->loop), 0);
}

void looped_free(struct looped *l)
{
    if (l->v->core)
        looped_stop(l);
    virtual_free(l->v);
    json_decref(l->report);
    free(l);
}

json_t *looped_steps(const char *text)
{
    json_error_t error;
    json_t *steps = json_loads(text, JSON_ALLOW_NUL, &error);
    ck_assert_msg(steps != NULL, "%s: %s", text, error.text);
    return json_pack("{s:o}", "steps", steps);
}

cvm_id looped_submit(struct looped *l, const char *to, const char *type, const char *conversation, json_t *data,
                     struct answer_seen *seen)
{
    struct edge_in in = {
        .source = "test", .to = to, .type = type, .conversation = conversation, .data = data, .priority = -1};
    struct edge_error error;
    cvm_id id = {0, 0};
    int e = edge_submit(l->v->core, &in, virtual_seen, seen, &id, &error);
    ck_assert_msg(e == 0, "%s: %s: %s", type, error.field, error.text);
    return id;
}

static void changed(void *arg, int error, json_t *report)
{
    struct looped *l = arg;
    json_decref(l->report);
    l->report = report;
    l->error = error;
    l->reports++;
}

void looped_change(struct looped *l, enum core_change what, const char *plugin, const char *result)
{
    int before = l->reports;
    core_change(l->v->core, what, plugin, true, changed, l);
    for (int i = 0; i < 1000 && l->reports == before; i++)
        looped_pass(l, 5);
    ck_assert_int_eq(l->reports, before + 1);
    const char *is = cvm_json_str(l->report, "result", "");
    char *text = json_dumps(l->report, JSON_COMPACT);
    ck_assert_msg(strcmp(is, result) == 0, "%s and not %s: %s", is, result, text);
    free(text);
}

const json_t *looped_process(struct looped *l, const char *plugin)
{
    static json_t *shown;
    json_decref(shown);
    shown = core_plugin(l->v->core, plugin);
    return json_object_get(shown, "process");
}

void looped_path(const struct looped *l, const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", l->v->home, name);
}

int64_t looped_count(struct looped *l, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    looped_path(l, "data/cvmhost.db", path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}
