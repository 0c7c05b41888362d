/* What it costs that a plugin runs in a process of its own: a round trip to it, messages through it, a move there and
 * back under load, and the time from the end of its process to its next answer. */
#include "bench_inside.h"

#include "core/edge.h"
#include "core/reload.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 100000
#define MESSAGES 1000000
#define IN_FLIGHT 64
#define MOVES 200
#define KILLS 200
#define PACKET_BYTES 600 /* a turn with a payload of 400 bytes, as a frame */

struct load {
    struct inside *in;
    json_t *data, *report;
    int64_t left, sent, answered, failed;
    bool changed;
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
    if (l->left <= 0)
        return;
    l->left--;
    l->sent++;
    if (edge_submit(l->in->core, &input, answered, l, NULL, &error) < 0) {
        l->answered++;
        l->failed++;
    }
}

static void changed(void *arg, int error, json_t *report)
{
    struct load *l = arg;
    (void)error;
    l->report = report;
    l->changed = true;
}

/* Gives for how long the component was held, in us; < 0: it was not moved. */
static double move(struct load *l, bool out)
{
    l->changed = false;
    core_change(l->in->core, out ? CHANGE_MOVE_PROCESS : CHANGE_MOVE_INLINE, "relay", false, changed, l);
    while (!l->changed)
        uv_run(&l->in->loop, UV_RUN_ONCE);
    const json_t *plugin = json_array_get(json_object_get(l->report, "plugins"), 0);
    const char *result = json_string_value(json_object_get(l->report, "result"));
    double us = json_number_value(json_object_get(json_object_get(plugin, "us"), "switch"));
    if (!result || strcmp(result, "switched") != 0) {
        char *text = json_dumps(l->report, 0);
        fprintf(stderr, "bench: the plugin was not moved: %s\n", text ? text : "");
        free(text);
        us = -1;
    }
    json_decref(l->report);
    return us;
}

static int begin(struct load *l, struct inside *in, bool out)
{
    *l = (struct load){.in = in};
    if (bench_inside_open(in) < 0)
        return -1;
    l->data = bench_order();
    return out && move(l, true) < 0 ? -1 : 0;
}

static int end(struct load *l)
{
    int bad = l->failed || l->answered != l->sent;
    if (bad)
        fprintf(stderr, "bench: of %lld requests %lld were not answered, %lld not well\n", (long long)l->sent,
                (long long)(l->sent - l->answered), (long long)l->failed);
    bench_inside_close(l->in);
    json_decref(l->data);
    return bad ? -1 : 0;
}

static void wait_for(struct load *l, int64_t answers)
{
    while (l->answered < answers)
        uv_run(&l->in->loop, UV_RUN_ONCE);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- one at a time -------------------------------------------------------------------------------------------------
 */

/* A packet there and back between two processes, and nothing else. */
static double floor_round(int64_t n)
{
    int pair[2];
    char bytes[PACKET_BYTES] = {0};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        ssize_t got;
        while ((got = recv(pair[1], bytes, sizeof bytes, 0)) > 0)
            if (send(pair[1], bytes, (size_t)got, 0) < 0)
                break;
        _exit(0);
    }
    close(pair[1]);
    double *us = calloc((size_t)n, sizeof *us);
    for (int64_t i = 0; i < n; i++) {
        int64_t begun = bench_ns();
        if (send(pair[0], bytes, sizeof bytes, 0) < 0 || recv(pair[0], bytes, sizeof bytes, 0) <= 0)
            break;
        us[i] = (double)(bench_ns() - begun) / 1e3;
    }
    close(pair[0]);
    waitpid(pid, NULL, 0);
    double median = bench_median(us, (int)n);
    free(us);
    return median;
}

int bench_link_round(struct row *row)
{
    struct inside in = {.core = NULL};
    struct load l;
    int64_t n = bench_amount(ROUNDS);
    if (begin(&l, &in, true) < 0)
        return -1;
    double *us = calloc((size_t)n, sizeof *us);
    for (int64_t i = 0; i < n; i++) {
        int64_t begun = bench_ns();
        l.left = 1;
        feed(&l);
        wait_for(&l, l.sent);
        us[i] = (double)(bench_ns() - begun) / 1e3;
    }
    qsort(us, (size_t)n, sizeof *us, by_value);
    row->unit = "us";
    row->value = row->p50_us = us[n / 2];
    row->p99_us = us[(int64_t)((double)n * 0.99)];
    row->floor = "a packet there and back";
    row->floor_value = floor_round(n);
    free(us);
    return end(&l);
}

/* ---- as many as there can be ---------------------------------------------------------------------------------------
 */

static double messages_per_second(bool out)
{
    struct inside in = {.core = NULL};
    struct load l;
    int64_t n = bench_amount(MESSAGES);
    if (begin(&l, &in, out) < 0)
        return -1;
    int64_t begun = bench_ns();
    l.left = n;
    for (int i = 0; i < IN_FLIGHT; i++)
        feed(&l);
    wait_for(&l, n);
    double rate = 2.0 * (double)n * 1e9 / (double)(bench_ns() - begun);
    return end(&l) < 0 ? -1 : rate;
}

int bench_link_messages(struct row *row)
{
    double values[BENCH_RUNS], floors[BENCH_RUNS];
    for (int i = 0; i < bench_runs(); i++)
        if ((values[i] = messages_per_second(true)) < 0 || (floors[i] = messages_per_second(false)) < 0)
            return -1;
    row->unit = "msg/s";
    row->value = bench_median(values, bench_runs());
    row->floor = "the same inside the host";
    row->floor_value = bench_median(floors, bench_runs());
    return 0;
}

/* ---- moves and ends ------------------------------------------------------------------------------------------------
 */

static void fill(struct row *row, double *us, int n)
{
    row->unit = "us";
    row->value = row->p50_us = bench_median(us, n); /* sorts them */
    row->p99_us = us[(int)(n * 0.99)];
}

int bench_move_hold(struct row *row)
{
    static double us[MOVES];
    struct inside in = {.core = NULL};
    struct load l;
    int n = (int)bench_amount(MOVES);
    if (begin(&l, &in, false) < 0)
        return -1;
    l.left = INT64_MAX;
    for (int i = 0; i < IN_FLIGHT; i++)
        feed(&l);
    for (int i = 0; i < n; i++) {
        if ((us[i] = move(&l, i % 2 == 0)) < 0)
            return -1;
        wait_for(&l, l.answered + 200);
    }
    l.left = 0;
    wait_for(&l, l.sent);
    fill(row, us, n);
    row->floor = "none";
    return end(&l);
}

static pid_t pid_of(const struct load *l)
{
    json_t *shown = core_plugin(l->in->core, "relay");
    pid_t pid = (pid_t)json_integer_value(json_object_get(json_object_get(shown, "process"), "pid"));
    json_decref(shown);
    return pid;
}

int bench_recover_child(struct row *row)
{
    static double us[KILLS];
    struct inside in = {.core = NULL};
    struct load l;
    int n = (int)bench_amount(KILLS);
    if (begin(&l, &in, true) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        l.left = 100; /* a turn between the ends, or the next start waits */
        feed(&l);
        wait_for(&l, l.sent + l.left);
        pid_t pid = pid_of(&l);
        int64_t begun = bench_ns();
        kill(pid, SIGKILL);
        while (pid_of(&l) == pid) /* else the next one is still answered by it */
            uv_run(&in.loop, UV_RUN_ONCE);
        l.left = 1;
        feed(&l);
        wait_for(&l, l.sent);
        us[i] = (double)(bench_ns() - begun) / 1e3;
    }
    fill(row, us, n);
    row->floor = "none";
    return end(&l);
}
