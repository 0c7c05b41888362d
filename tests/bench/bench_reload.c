/* What an exchange of a plugin costs under load: two builds take turns. reload.hold is what the host's own receipt says
 * of the switch; reload.pause is what a client sees: the longest time between two answers while a change is under way,
 * beside the longest of a stretch without one. */
#include "bench_inside.h"

#include "core/edge.h"
#include "core/reload.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANGES 200
#define IN_FLIGHT 64
#define PAUSE_MS 10

struct load {
    struct inside *in;
    uv_timer_t timer;
    json_t *data;
    int changes, wanted;
    bool changing;
    int64_t last_ns, longest_ns, calm_ns; /* of the answers: the last, the longest pause in a change and outside */
    int64_t sent, answered, failed;
    double us[CHANGES], pause_us[CHANGES], calm_us[CHANGES];
    bool ended, broken;
    double floor_us;
};

static void feed(struct load *l);

static void answered(void *arg, const struct edge_reply *reply)
{
    struct load *l = arg;
    int64_t now = bench_ns(), pause = now - l->last_ns, *longest = l->changing ? &l->longest_ns : &l->calm_ns;
    l->last_ns = now;
    if (pause > *longest)
        *longest = pause;
    l->answered++;
    l->failed += reply->outcome != CVM_REPLIED;
    feed(l);
}

static void feed(struct load *l)
{
    struct edge_error error;
    struct edge_in input = {
        .source = "bench", .to = "bench.keeper", .type = "echo", .data = json_incref(l->data), .priority = -1};
    if (l->ended)
        return;
    if (edge_submit(l->in->core, &input, answered, l, NULL, &error) < 0) {
        fprintf(stderr, "bench: %s\n", error.text);
        l->broken = true;
        return;
    }
    l->sent++;
}

/* By rename, as an installer does. */
static int put_build(const struct inside *in, int build)
{
    char from[4200], fresh[128], to[128];
    snprintf(from, sizeof from, "%s/tests/bench/%s", bench_build(), build ? "relay_2.so" : "relay.so");
    snprintf(fresh, sizeof fresh, "%s/plugins/.relay.fresh", in->home.path);
    snprintf(to, sizeof to, "%s/plugins/relay.so", in->home.path);
    return bench_copy(from, fresh) < 0 ? -1 : rename(fresh, to);
}

static void changed(void *arg, int error, json_t *report)
{
    struct load *l = arg;
    const json_t *plugin = json_array_get(json_object_get(report, "plugins"), 0);
    const char *result = json_string_value(json_object_get(report, "result"));
    if (error < 0 || !result || strcmp(result, "switched") != 0) {
        char *text = json_dumps(report, 0);
        fprintf(stderr, "bench: the plugin was not exchanged: %s\n", text ? text : "");
        free(text);
        l->broken = true;
    } else {
        l->us[l->changes] = json_number_value(json_object_get(json_object_get(plugin, "us"), "switch"));
        l->pause_us[l->changes] = (double)l->longest_ns / 1e3;
        l->calm_us[l->changes++] = (double)l->calm_ns / 1e3;
    }
    json_decref(report);
    l->changing = false;
    l->calm_ns = 0;
}

static void on_pause(uv_timer_t *timer)
{
    struct load *l = timer->data;
    if (l->changing || l->changes >= l->wanted)
        return;
    if (put_build(l->in, 1 - l->changes % 2) < 0) {
        l->broken = true;
        return;
    }
    l->changing = true;
    l->longest_ns = 0;
    core_change(l->in->core, CHANGE_RELOAD, "relay", false, changed, l);
}

/* A copy of the library opened and its entry found: what no exchange can do without. */
static double floor_us(const struct inside *in)
{
    double us[21];
    char from[4200], to[128];
    snprintf(from, sizeof from, "%s/tests/bench/relay_2.so", bench_build());
    snprintf(to, sizeof to, "%s/floor.so", in->home.path);
    for (int i = 0; i < 21; i++) {
        int64_t begun = bench_ns();
        bench_copy(from, to);
        void *library = dlopen(to, RTLD_NOW | RTLD_LOCAL);
        if (!library || !dlsym(library, "cvm_plugin"))
            return 0;
        us[i] = (double)(bench_ns() - begun) / 1e3;
        dlclose(library);
        unlink(to);
    }
    return bench_median(us, 21);
}

static int run(struct load *l)
{
    struct inside in = {.core = NULL};
    if (bench_inside_open(&in) < 0)
        return -1;
    l->in = &in;
    l->wanted = (int)bench_amount(CHANGES);
    l->data = bench_order();
    uv_timer_init(&in.loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, on_pause, PAUSE_MS, PAUSE_MS);
    l->last_ns = bench_ns();
    for (int i = 0; i < IN_FLIGHT; i++)
        feed(l);
    while (l->changes < l->wanted && !l->broken)
        uv_run(&in.loop, UV_RUN_ONCE);
    l->ended = true;
    int64_t until = bench_ns() + 10000000000;
    while (l->answered < l->sent && bench_ns() < until)
        uv_run(&in.loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&l->timer, NULL);
    if (l->answered != l->sent || l->failed)
        fprintf(stderr, "bench: of %lld requests %lld were not answered, %lld not well\n", (long long)l->sent,
                (long long)(l->sent - l->answered), (long long)l->failed);
    l->floor_us = floor_us(&in);
    bench_inside_close(&in);
    json_decref(l->data);
    return l->broken || l->answered != l->sent || l->failed ? -1 : 0;
}

static void fill(struct row *row, double *us, int n)
{
    row->unit = "us";
    row->value = row->p50_us = bench_median(us, n); /* sorts them */
    row->p99_us = us[(int)(n * 0.99)];
}

int bench_reload_hold(struct row *row)
{
    static struct load l;
    l = (struct load){.changes = 0};
    if (run(&l) < 0)
        return -1;
    fill(row, l.us, l.changes);
    row->floor = "copy and open the library";
    row->floor_value = l.floor_us;
    return 0;
}

int bench_reload_pause(struct row *row)
{
    static struct load l;
    l = (struct load){.changes = 0};
    if (run(&l) < 0)
        return -1;
    fill(row, l.pause_us, l.changes);
    row->floor = "the same without a change";
    row->floor_value = bench_median(l.calm_us, l.changes);
    return 0;
}
