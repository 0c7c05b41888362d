/* See torture.h. */
#include "torture.h"

#include "core/core.h"
#include "core/edge.h"
#include "core/log.h"
#include "core/reload.h"
#include <cvm/json.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_MS 3600000
#define CALLS_MAX 16

static const char *const plugins[] = {"bad",     "bad_none", "courier", "courier", "outside",
                                      "outside", "echo",     "echo",    NULL};

/* `counts`: it raises the counter of test.bad by one, once. `forgotten`: its answer is not kept under its key. */
static const struct {
    const char *to, *type, *data;
    bool counts, forgotten;
} inputs[TORTURE_INPUTS] = {
    {"test.bad", "put", "{\"name\": \"ann1\", \"n\": 7}", true},
    {"test.bad", "put", "{\"name\": \"bob2\", \"n\": 2}", true},
    {"test.courier", "run",
     "{\"steps\": [{\"do\": \"put\", \"key\": \"k\", \"value\": [1]}, {\"do\": \"set\", \"path\": \"/x\", \"value\": "
     "{\"y\": 1}},"
     "{\"do\": \"timer\", \"delay_ms\": 500}, {\"do\": \"request\", \"to\": \"test.helper\", \"data\": {\"steps\":"
     "[{\"do\": \"put\", \"key\": \"h\", \"value\": 2}, {\"do\": \"reply\"}]}}, {\"do\": \"pending\"}]}",
     false},
    {"test.outside", "go", "{\"call\": \"again\", \"body\": {\"n\": 1}, \"headers\": {\"X-A\": \"b\"}}", false},
    {"test.outside", "note", "{\"note_id\": \"1\", \"colour\": \"red\", \"size\": 3}", false},
    {"test.echo_a", "publish", "{\"text\": \"hello\"}", false},
    {"test.bad", "put", "{\"name\": \"cid3\", \"n\": 3}", true},
    /* after the reload */
    {"test.bad", "put", "{\"name\": \"dan4\", \"n\": 7}", true},
    {"test.bad", "get", "{\"name\": \"bob2\"}", false},
    {"test.outside", "list", "{\"where\": {\"colour\": \"red\"}}", false},
    {"test.courier", "run", "{\"steps\": [{\"do\": \"scan\", \"prefix\": \"\"}, {\"do\": \"reply\"}]}", false},
    /* after the start that recovers */
    {"test.bad", "put", "{\"name\": \"eve5\", \"n\": 5}", true},
    {"test.outside", "go", "{\"call\": \"read\"}", false},
    {"test.echo_a", "heard", "{}", false, true},
};
#define BEFORE_RELOAD 7
#define BEFORE_STOP 11

static char home[64];
static struct config *config;
static struct {
    http_done done;
    void *arg;
} calls[CALLS_MAX];
static int n_calls;

static int fault(struct torture_seen *seen, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fault(struct torture_seen *seen, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!seen->fault[0])
        vsnprintf(seen->fault, sizeof seen->fault, format, args);
    va_end(args);
    return -1;
}

/* ---- the home ---- */

static void expect(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static void copy(const char *from, const char *to)
{
    static char bytes[4 << 20];
    FILE *f = fopen(from, "re");
    expect(f != NULL, from);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    unlink(to);
    f = fopen(to, "we");
    expect(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, to);
}

static void put_library(const char *name, const char *build)
{
    char from[512], to[128];
    snprintf(from, sizeof from, TEST_BUILT "/%s.so", build);
    snprintf(to, sizeof to, "%s/plugins/%s.so", home, name);
    copy(from, to);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static pid_t maker;

static void remove_home(void)
{
    if (getpid() != maker)
        return;
    config_free(config);
    nftw(home, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

void scenario_make_home(void)
{
    static const char *const folders[] = {"config", "manifests", "plugins"};
    char from[512], to[128], why[512];
    snprintf(home, sizeof home, "%s/torture_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    log_open(NULL, LOG_ERROR, getenv("TORTURE_LOG") != NULL);
    expect(mkdtemp(home) != NULL, home);
    maker = getpid();
    atexit(remove_home);
    for (int i = 0; i < 3; i++) {
        snprintf(to, sizeof to, "%s/%s", home, folders[i]);
        expect(mkdir(to, 0700) == 0, to);
    }
    for (const char *const *p = plugins; *p; p += 2) {
        put_library(p[0], p[1]);
        snprintf(from, sizeof from, TEST_PLUGINS "/%s.json", p[0]);
        snprintf(to, sizeof to, "%s/manifests/%s.json", home, p[0]);
        copy(from, to);
    }
    snprintf(to, sizeof to, "%s/config/cvmhost.json", home);
    FILE *f = fopen(to, "we");
    expect(f && fputs("{\"plugins\": {\"inline\": [\"*\"]}}", f) >= 0 && fclose(f) == 0, to);
    expect(config_load(home, NULL, &config, why, sizeof why) == 0, why);
}

void scenario_reset(void)
{
    char data[96];
    snprintf(data, sizeof data, "%s/data", home);
    nftw(data, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    put_library("bad", "bad_none");
}

/* ---- the outside ---- */

static int send_call(void *arg, const struct http_request *request, http_done done, void *done_arg,
                     uint64_t *ret_handle)
{
    (void)arg, (void)request;
    if (n_calls == CALLS_MAX)
        return CVM_EBUSY;
    calls[n_calls].done = done;
    calls[n_calls].arg = done_arg;
    *ret_handle = (uint64_t)++n_calls;
    return 0;
}

/* The first of two is answered; what happens to the others is not known. */
static void answer_calls(void)
{
    static int odd;
    while (n_calls) {
        json_t *headers = json_object();
        struct http_result result = {.fate = odd++ % 2 ? HTTP_TIMED_OUT : HTTP_ANSWERED,
                                     .status = 200,
                                     .headers = headers,
                                     .body = "{\"a\": 1}",
                                     .body_len = 8,
                                     .text = ""};
        n_calls--;
        calls[n_calls].done(calls[n_calls].arg, &result);
        json_decref(headers);
    }
}

static void on_fatal(void *arg, int exit_status, const char *text)
{
    struct torture_seen *seen = arg;
    snprintf(seen->promised, sizeof seen->promised, "%s", text[0] ? "fatal" : "fatal without a sentence");
    _exit(exit_status);
}

/* ---- a life ---- */

struct waiting {
    struct torture_seen *seen;
    int input;
};

static struct waiting waiting[TORTURE_INPUTS];

static void on_answer(void *arg, const struct edge_reply *reply)
{
    const struct waiting *w = arg;
    struct torture_seen *seen = w->seen;
    if (seen->answers[w->input]++ == 0)
        seen->outcome[w->input] = reply->outcome;
}

static bool submit(struct core *core, struct torture_seen *seen, int i)
{
    struct edge_error error = {0};
    char key[16];
    snprintf(key, sizeof key, "key-%d", i);
    json_t *data = json_loads(inputs[i].data, 0, NULL);
    if (!data)
        return false; /* the client's memory */
    struct edge_in in = {.source = "torture",
                         .key = key,
                         .to = inputs[i].to,
                         .type = inputs[i].type,
                         .data = data,
                         .content = "words",
                         .enquiry_id = "ENQ-1",
                         .session_id = "SES-1",
                         .priority = -1};
    waiting[i] = (struct waiting){seen, i};
    int e = edge_submit(core, &in, on_answer, &waiting[i], NULL, &error);
    if (e < 0 && !error.text[0])
        fault(seen, "input %d was refused without a sentence: %d", i, e);
    if (e < 0 && !seen->failed)
        fault(seen, "input %d was refused: %s", i, error.text);
    seen->accepted[i] = seen->accepted[i] || e == 0;
    return e == 0;
}

static void pass(struct core *core, int64_t ms)
{
    for (int64_t until = core_now_ms(core) + ms; core_now_ms(core) < until;) {
        core_step(core, core_now_ms(core));
        answer_calls();
        core_step(core, core_now_ms(core));
        int64_t next = core_next_ms(core);
        core_step(core, next < until ? next : until);
    }
}

static struct core *begin(struct torture_seen *seen, const char *step)
{
    char error[512] = "";
    struct core *core = NULL;
    struct core_options options = {
        .home = home, .config = config, .seed = 42, .send = send_call, .fatal = on_fatal, .fatal_arg = seen};
    snprintf(seen->step, sizeof seen->step, "%s", step);
    n_calls = 0;
    int e = core_open(&options, &core, error, sizeof error);
    if (!e)
        e = core_load(core, error, sizeof error);
    if (!e)
        e = core_start(core, error, sizeof error);
    if (!e)
        return core;
    if (!error[0])
        fault(seen, "%s: refused without a sentence: %d", step, e);
    if (!seen->failed)
        fault(seen, "%s: %s", step, error);
    core_close(core);
    return NULL;
}

static void on_changed(void *arg, int error, json_t *report)
{
    struct torture_seen *seen = arg;
    if (error && !seen->failed)
        fault(seen, "the reload was refused");
    json_decref(report);
}

static void end(struct core *core, struct torture_seen *seen, const char *step)
{
    snprintf(seen->step, sizeof seen->step, "%s", step);
    core_close(core);
}

/* All that was accepted is answered, once: by its deadline at the latest. */
static void check_answers(struct torture_seen *seen, int from, int to)
{
    for (int i = from; i < to; i++)
        if (seen->accepted[i] && seen->answers[i] != 1)
            fault(seen, "input %d (%s of %s) has %d answers", i, inputs[i].type, inputs[i].to, seen->answers[i]);
}

static bool first_life(struct torture_seen *seen, void (*rest)(void), void (*watch)(void))
{
    struct core *core = begin(seen, "first start");
    if (!core)
        return false;
    snprintf(seen->step, sizeof seen->step, "inputs");
    for (int i = 0; i < BEFORE_RELOAD; i++) {
        submit(core, seen, i);
        if (i % 2)
            core_step(core, core_now_ms(core));
    }
    pass(core, 2000);
    snprintf(seen->step, sizeof seen->step, "reload");
    rest();
    put_library("bad", "bad_silent");
    watch();
    core_change(core, CHANGE_RELOAD, "bad", false, on_changed, seen);
    for (int i = BEFORE_RELOAD; i < BEFORE_STOP; i++)
        submit(core, seen, i);
    pass(core, HOUR_MS);
    check_answers(seen, 0, BEFORE_STOP);
    snprintf(seen->step, sizeof seen->step, "shown");
    free(core_metrics(core));
    json_decref(core_ps(core));
    submit(core, seen, BEFORE_STOP);
    submit(core, seen, 3);
    core_step(core, core_now_ms(core)); /* and so it is stopped in the middle of work */
    end(core, seen, "stop");
    return true;
}

void scenario_run(struct torture_seen *seen, void (*rest)(void), void (*watch)(void))
{
    watch();
    first_life(seen, rest, watch);
    struct core *core = begin(seen, "second start");
    if (core) {
        snprintf(seen->step, sizeof seen->step, "recovered");
        for (int i = BEFORE_STOP; i < TORTURE_INPUTS; i++)
            submit(core, seen, i);
        pass(core, HOUR_MS);
        check_answers(seen, BEFORE_STOP + 1, TORTURE_INPUTS);
        end(core, seen, "second stop");
    }
    rest();
}

/* ---- afterwards ---- */

static int64_t number(struct torture_seen *seen, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) || sqlite3_prepare_v2(db, sql, -1, &st, NULL) ||
        sqlite3_step(st) != SQLITE_ROW)
        fault(seen, "%s: %s", sql, sqlite3_errmsg(db));
    else
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static void check_number(struct torture_seen *seen, const char *sql, int64_t wanted)
{
    int64_t n = number(seen, sql);
    if (n != wanted)
        fault(seen, "%s: %lld, not %lld", sql, (long long)n, (long long)wanted);
}

void scenario_check(struct torture_seen *seen)
{
    struct torture_seen after = {0};
    int64_t counted = 0;
    struct core *core = begin(&after, "last start");
    if (core) {
        pass(core, HOUR_MS); /* what was left open goes on first */
        for (int i = 0; i < TORTURE_INPUTS; i++)
            submit(core, &after, i);
        pass(core, HOUR_MS);
        check_answers(&after, 0, TORTURE_INPUTS);
        for (int i = 0; i < TORTURE_INPUTS; i++) {
            counted += inputs[i].counts && after.outcome[i] == CVM_REPLIED;
            if (seen->answers[i] && seen->outcome[i] != after.outcome[i] && seen->outcome[i] != CVM_BUSY &&
                !inputs[i].forgotten)
                fault(&after, "input %d was answered %d, and now %d", i, seen->outcome[i], after.outcome[i]);
        }
        end(core, &after, "last stop");
        check_number(&after, "SELECT count(*) FROM open_items", 0);
        check_number(&after, "SELECT coalesce(max(value), 0) FROM state WHERE component = 'test.bad' AND key = 'count'",
                     counted);
        check_number(&after, "SELECT count(*) FROM bad_notes", counted);
        check_number(&after, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'", 0);
    }
    if (after.fault[0] && !seen->fault[0])
        snprintf(seen->fault, sizeof seen->fault, "afterwards: %.380s", after.fault);
}
