/* How long a component is held while its plugin is exchanged, under load: two builds take turns. The time is what the
 * host's own receipt says of the switch: from the last turn of the old build to the first that the new one may run. */
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
    int64_t sent, answered, failed;
    double us[CHANGES];
    bool ended, broken;
};

static void feed(struct load *l);

static void answered(void *arg, const struct edge_reply *reply)
{
    struct load *l = arg;
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
    }
    json_decref(report);
    l->changes++;
}

static void on_pause(uv_timer_t *timer)
{
    struct load *l = timer->data;
    static int asked;
    if (asked > l->changes || l->changes >= l->wanted) {
        asked = l->changes;
        return;
    }
    asked = l->changes + 1;
    if (put_build(l->in, asked % 2) < 0)
        l->broken = true;
    else
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

int bench_reload(struct row *row)
{
    struct inside in = {.core = NULL};
    struct load l = {.in = &in, .wanted = (int)bench_amount(CHANGES), .data = bench_order()};
    if (bench_inside_open(&in) < 0)
        return -1;
    uv_timer_init(&in.loop, &l.timer);
    l.timer.data = &l;
    uv_timer_start(&l.timer, on_pause, PAUSE_MS, PAUSE_MS);
    for (int i = 0; i < IN_FLIGHT; i++)
        feed(&l);
    while (l.changes < l.wanted && !l.broken)
        uv_run(&in.loop, UV_RUN_ONCE);
    l.ended = true;
    int64_t until = bench_ns() + 10000000000;
    while (l.answered < l.sent && bench_ns() < until)
        uv_run(&in.loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&l.timer, NULL);
    if (l.answered != l.sent || l.failed)
        fprintf(stderr, "bench: of %lld requests %lld were not answered, %lld not well\n", (long long)l.sent,
                (long long)(l.sent - l.answered), (long long)l.failed);
    row->unit = "us";
    row->floor = "copy and open the library";
    row->floor_value = floor_us(&in);
    row->value = row->p50_us = l.changes ? bench_median(l.us, l.changes) : 0;
    row->p99_us = l.changes ? l.us[(int)(l.changes * 0.99)] : 0; /* bench_median() has sorted them */
    bench_inside_close(&in);
    json_decref(l.data);
    return l.broken ? -1 : 0;
}
