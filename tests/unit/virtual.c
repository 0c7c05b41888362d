/* See virtual.h. */
#include "virtual.h"

#include "files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void make_folder(const struct virtual *v, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", v->home, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

struct virtual *virtual_new(const char *const *plugins, const char *config)
{
    struct virtual *v = calloc(1, sizeof *v);
    char name[128], path[PATH_MAX], target[256], error[512];
    snprintf(v->home, sizeof v->home, "/tmp/cvm-virtual-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(v->home));
    make_folder(v, "config");
    make_folder(v, "manifests");
    make_folder(v, "plugins");
    for (size_t i = 0; plugins[i]; i++) {
        snprintf(name, sizeof name, "plugins/%s.so", plugins[i]);
        files_built(name, path);
        snprintf(target, sizeof target, "%s/plugins/%s.so", v->home, plugins[i]);
        files_copy(path, target);
        snprintf(path, sizeof path, "%s/%s.json", TEST_PLUGINS, plugins[i]);
        snprintf(target, sizeof target, "%s/manifests/%s.json", v->home, plugins[i]);
        files_copy(path, target);
    }
    snprintf(target, sizeof target, "%s/config/cvmhost.json", v->home);
    FILE *f = fopen(target, "we");
    fputs(config ? config : "{\"plugins\": {\"inline\": [\"*\"]}}", f);
    fclose(f);
    ck_assert_msg(config_load(v->home, NULL, &v->config, error, sizeof error) == 0, "%s", error);
    return v;
}

void virtual_open(struct virtual *v)
{
    char error[512];
    struct core_options options = {.home = v->home,
                                   .config = v->config,
                                   .seed = 42,
                                   .send = v->send,
                                   .send_arg = v->send_arg,
                                   .page = v->page,
                                   .runner = TEST_RUNNER};
    ck_assert_msg(core_open(&options, &v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_load(v->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_start(v->core, error, sizeof error) == 0, "%s", error);
    core_step(v->core, core_now_ms(v->core));
}

void virtual_close(struct virtual *v)
{
    core_close(v->core);
    v->core = NULL;
}

void virtual_free(struct virtual *v)
{
    if (v->core)
        virtual_close(v);
    char database[128];
    snprintf(database, sizeof database, "%s/data/cvmhost.db", v->home);
    if (getenv("CVMHOST_TEST_REPLAY") && access(database, F_OK) == 0)
        virtual_replays(v);
    config_free(v->config);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", v->home, (char *)NULL);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    free(v);
}

static void tell(void *arg, const struct replay_turn *turn)
{
    bool *told = arg;
    if (turn->verdict == REPLAY_SAME || turn->verdict == REPLAY_NOT_RUN)
        return;
    char *text = json_dumps(turn->differences, JSON_COMPACT | JSON_ENCODE_ANY);
    fprintf(stderr, "turn %lld, %s of %s (%s): %s: %s %s\n", (long long)turn->seq, turn->type, turn->component,
            turn->outcome, replay_verdict_name(turn->verdict), turn->why, text ? text : "");
    free(text);
    *told = true;
}

struct replay_report virtual_replays(struct virtual *v)
{
    struct replay_report report = {0};
    char error[512];
    bool told = false;
    const struct replay_options options = {.home = v->home, .trusted = true, .seen = tell, .arg = &told};
    ck_assert_msg(replay_home(&options, &report, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(report.differ == 0 && report.missing == 0, "%s: of %lld turns %lld differ and %lld are missing: %s",
                  v->home, (long long)report.turns, (long long)report.differ, (long long)report.missing, report.what);
    return report;
}

void virtual_seen(void *arg, const struct edge_reply *reply)
{
    struct answer_seen *seen = arg;
    seen->n++;
    seen->outcome = reply->outcome;
    seen->repeated = reply->repeated;
    json_decref(seen->data);
    seen->data = json_deep_copy(reply->data);
}

cvm_id virtual_submit(struct virtual *v, const char *to, const char *type, json_t *data, struct answer_seen *seen)
{
    struct edge_in in = {.source = "test", .to = to, .type = type, .data = data, .priority = -1};
    struct edge_error error;
    cvm_id id;
    int e = edge_submit(v->core, &in, virtual_seen, seen, &id, &error);
    ck_assert_msg(e == 0, "%s: %s: %s", type, error.field, error.text);
    return id;
}

int virtual_call(struct virtual *v, const char *to, const char *type, json_t *data, struct answer_seen *seen)
{
    json_decref(seen->data);
    *seen = (struct answer_seen){0};
    virtual_submit(v, to, type, data, seen);
    core_step(v->core, core_now_ms(v->core) + 3600000);
    ck_assert_int_eq(seen->n, 1);
    return seen->outcome;
}

static void counted(void *arg, int error, json_t *rows, bool more)
{
    int64_t *n = arg;
    (void)more;
    ck_assert_int_eq(error, 0);
    const json_t *row = json_array_get(rows, 0);
    ck_assert_msg(!row || json_object_get(row, "n"), "the column must be called n");
    *n = (int64_t)json_integer_value(json_object_get(row, "n"));
    json_decref(rows);
}

int64_t virtual_count(struct virtual *v, const char *sql)
{
    int64_t n = -1;
    ck_assert_int_eq(core_query(v->core, sql, json_array(), 1, counted, &n), 0);
    return n;
}

void virtual_conserved(struct virtual *v)
{
    json_t *ps = core_ps(v->core), *c;
    size_t i;
    json_array_foreach(json_object_get(ps, "components"), i, c)
    {
        const char *id = json_string_value(json_object_get(c, "id"));
        json_int_t delivered = json_integer_value(json_object_get(c, "delivered"));
        ck_assert_msg(json_integer_value(json_object_get(c, "queued")) == 0, "%s has messages queued", id);
        ck_assert_msg(json_integer_value(json_object_get(c, "lent")) == 0, "%s has requests open", id);
        ck_assert_int_eq(delivered, json_integer_value(json_object_get(c, "settled")) +
                                        json_integer_value(json_object_get(c, "dead")));
    }
    json_decref(ps);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
}
