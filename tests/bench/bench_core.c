/* Rows inside one process: a core on a real loop with its writer thread, fed by the same edge as production. */
#include "bench_inside.h"

#include "core/edge.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"relay", NULL};

int bench_inside_open(struct inside *in)
{
    return bench_inside_open_with(in, PLUGINS);
}

int bench_inside_open_with(struct inside *in, const char *const *plugins)
{
    char error[512] = "";
    struct core_options options = {.home = in->home.path, .loop = &in->loop, .seed = 7, .runner = in->runner};
    snprintf(in->runner, sizeof in->runner, "%s/host/cvmhost", bench_build());
    if (bench_home_make(&in->home, plugins) < 0)
        return -1;
    uv_loop_init(&in->loop);
    if (config_load(in->home.path, NULL, &in->config, error, sizeof error) < 0)
        goto fail;
    options.config = in->config;
    if (core_open(&options, &in->core, error, sizeof error) < 0 || core_load(in->core, error, sizeof error) < 0 ||
        core_start(in->core, error, sizeof error) < 0)
        goto fail;
    return 0;
fail:
    fprintf(stderr, "bench: %s\n", error);
    return -1;
}

static void stopped(void *arg)
{
    *(int *)arg = 1;
}

void bench_inside_close(struct inside *in)
{
    int done = 0;
    core_stop(in->core, stopped, &done);
    while (!done)
        uv_run(&in->loop, UV_RUN_ONCE);
    core_close(in->core);
    uv_run(&in->loop, UV_RUN_DEFAULT);
    uv_loop_close(&in->loop);
    config_free(in->config);
    bench_home_remove(&in->home);
}

json_t *bench_order(void)
{
    char filler[240];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    return json_pack("{s:s, s:f, s:s, s:i, s:b, s:s}", "order_id", "ORD-1001", "amount", 129.95, "currency", "EUR",
                     "items", 3, "express", 1, "note", filler);
}

/* ---- hop4 ----------------------------------------------------------------------------------------------------------
 */

static void replied(void *arg, const struct edge_reply *reply)
{
    *(json_t **)arg = json_deep_copy(reply->data);
}

static json_t *run_chain(struct inside *in, int64_t requests, int in_flight, int fresh)
{
    json_t *result = NULL;
    struct edge_error error;
    struct edge_in input = {.source = "bench", .to = "bench.producer", .type = "run", .priority = -1};
    input.data = json_pack("{s:I, s:i, s:b, s:o}", "requests", (json_int_t)requests, "in_flight", in_flight, "fresh",
                           fresh, "payload", bench_order());
    if (edge_submit(in->core, &input, replied, &result, NULL, &error) < 0) {
        fprintf(stderr, "bench: %s\n", error.text);
        return NULL;
    }
    while (!result)
        uv_run(&in->loop, UV_RUN_ONCE);
    return result;
}

/* The floor: four indirect calls, each takes a header from a free list, rewrites it, refers to the payload, drops the
 * one before. */
struct header {
    struct header *next;
    uint64_t id[2], cause[2];
    int64_t time;
    const char *sender, *recipient, *type;
    json_t *payload;
};
static struct header *free_headers;

static struct header *hop(struct header *from, const char *to)
{
    struct header *h = free_headers;
    free_headers = h->next;
    *h = (struct header){.id = {from->id[0] + 1, from->id[1] * 3},
                         .cause = {from->id[0], from->id[1]},
                         .time = from->time + 1,
                         .sender = from->recipient,
                         .recipient = to,
                         .type = from->type,
                         .payload = json_incref(from->payload)};
    json_decref(from->payload);
    from->next = free_headers;
    free_headers = from;
    return h;
}

static double floor_calls(int fresh)
{
    static struct header pool[64];
    struct header *(*volatile call)(struct header *, const char *) = hop;
    int64_t n = bench_amount(fresh ? 300000 : 5000000), begun = bench_ns();
    free_headers = NULL;
    for (int i = 0; i < 64; i++) {
        pool[i].next = free_headers;
        free_headers = &pool[i];
    }
    json_t *payload = bench_order();
    for (int64_t i = 0; i < n; i++) {
        struct header *h = free_headers;
        free_headers = h->next;
        *h = (struct header){.id = {(uint64_t)i, 1}, .type = "hop", .recipient = "a", .payload = json_incref(payload)};
        for (int k = 0; k < 4; k++) {
            if (fresh) { /* what building five fields costs, with the library all use */
                json_decref(h->payload);
                h->payload = json_pack("{s:I, s:s, s:f, s:s, s:b}", "order", (json_int_t)i, "currency", "EUR", "amount",
                                       129.95, "status", "open", "express", 1);
            }
            h = call(h, "b");
        }
        json_decref(h->payload);
        h->next = free_headers;
        free_headers = h;
    }
    json_decref(payload);
    return (double)n * 1e9 / (double)(bench_ns() - begun);
}

int bench_hop(struct row *row, int fresh)
{
    struct inside in = {.core = NULL};
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    if (bench_inside_open(&in) < 0)
        return -1;
    for (int i = 0; i < bench_runs(); i++) {
        json_t *many = run_chain(&in, bench_amount(fresh ? 500000 : 4000000), 64, fresh),
               *one = run_chain(&in, bench_amount(60000), 1, fresh);
        if (!many || !one)
            return -1;
        values[i] = (double)json_integer_value(json_object_get(many, "requests")) * 1e9 /
                    (double)json_integer_value(json_object_get(many, "ns"));
        p50[i] = json_real_value(json_object_get(one, "p50_us"));
        p99[i] = json_real_value(json_object_get(one, "p99_us"));
        floors[i] = floor_calls(fresh);
        json_decref(many);
        json_decref(one);
    }
    row->unit = "req/s";
    row->floor = fresh ? "4 calls, fresh payloads" : "4 calls";
    row->value = bench_median(values, bench_runs());
    row->p50_us = bench_median(p50, bench_runs());
    row->p99_us = bench_median(p99, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    bench_inside_close(&in);
    return 0;
}

/* ---- journal.turns -------------------------------------------------------------------------------------------------
 */

#define JOURNAL_TURNS 200000
#define JOURNAL_IN_FLIGHT 1024

struct feeder {
    struct inside *in;
    int64_t left, done, failed;
    json_t *data;
    int64_t *sent_ns, *took_ns;
    struct slot {
        struct feeder *feeder;
        int64_t n;
    } slots[JOURNAL_IN_FLIGHT];
};

static void feed(struct slot *slot);

static void kept(void *arg, const struct edge_reply *reply)
{
    struct slot *slot = arg;
    struct feeder *f = slot->feeder;
    f->failed += reply->outcome != CVM_REPLIED;
    f->took_ns[slot->n] = bench_ns() - f->sent_ns[slot->n];
    f->done++;
    feed(slot);
}

static void feed(struct slot *slot)
{
    struct feeder *f = slot->feeder;
    char conversation[32];
    struct edge_error error;
    if (f->left == 0)
        return;
    slot->n = --f->left;
    snprintf(conversation, sizeof conversation, "bench-%lld", (long long)(slot->n % 256));
    struct edge_in input = {.source = "bench",
                            .to = "bench.keeper",
                            .type = "keep",
                            .data = json_incref(f->data),
                            .conversation = conversation,
                            .priority = -1};
    f->sent_ns[slot->n] = bench_ns();
    if (edge_submit(f->in->core, &input, kept, slot, NULL, &error) < 0) {
        fprintf(stderr, "bench: %s\n", error.text);
        f->failed++;
        f->done++;
    }
}

static int by_int(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The same rows, their text ready, in groups of the same size, by SQLite alone. */
static double floor_rows(const struct inside *in)
{
    char path[128];
    sqlite3 *from = NULL, *to = NULL;
    sqlite3_stmt *read = NULL, *turn = NULL, *context = NULL;
    struct text_row {
        char *record;
        uint8_t id[16];
        int64_t seq, conversation;
    } *rows = calloc((size_t)bench_amount(JOURNAL_TURNS), sizeof *rows);
    int n = 0;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", in->home.path);
    sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY, NULL);
    sqlite3_prepare_v2(from, "SELECT seq, conversation, message, record FROM turns WHERE type = 'keep' LIMIT ?", -1,
                       &read, NULL);
    sqlite3_bind_int64(read, 1, bench_amount(JOURNAL_TURNS));
    while (sqlite3_step(read) == SQLITE_ROW) {
        rows[n].seq = sqlite3_column_int64(read, 0);
        rows[n].conversation = sqlite3_column_int64(read, 1);
        memcpy(rows[n].id, sqlite3_column_blob(read, 2), 16);
        rows[n++].record = strdup((const char *)sqlite3_column_text(read, 3));
    }
    sqlite3_finalize(read);
    sqlite3_close(from);
    snprintf(path, sizeof path, "%s/floor.db", in->home.path);
    sqlite3_open(path, &to);
    sqlite3_exec(
        to,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;"
        "PRAGMA secure_delete = OFF; CREATE TABLE turns(seq INTEGER PRIMARY KEY, at_ms, conversation INTEGER,"
        " component TEXT, message BLOB, type TEXT, sender TEXT, outcome TEXT, us INTEGER, build TEXT, record TEXT);"
        "CREATE INDEX turns_conversation ON turns(conversation);"
        "CREATE TABLE contexts(conversation INTEGER PRIMARY KEY, name TEXT, doc TEXT)",
        NULL, NULL, NULL);
    sqlite3_prepare_v2(to, "INSERT INTO turns VALUES(?, 1, ?, 'bench.keeper', ?, 'keep', '', 'OK', 1, 'b', ?)", -1,
                       &turn, NULL);
    sqlite3_prepare_v2(to, "INSERT OR REPLACE INTO contexts VALUES(?, 'bench-1', '{\"last\":1}')", -1, &context, NULL);
    int64_t begun = bench_ns();
    for (int i = 0; i < n; i++) {
        if (i % JOURNAL_IN_FLIGHT == 0)
            sqlite3_exec(to, i ? "COMMIT; BEGIN" : "BEGIN", NULL, NULL, NULL);
        sqlite3_bind_int64(turn, 1, rows[i].seq);
        sqlite3_bind_int64(turn, 2, rows[i].conversation);
        sqlite3_bind_blob(turn, 3, rows[i].id, 16, SQLITE_STATIC);
        sqlite3_bind_text(turn, 4, rows[i].record, -1, SQLITE_STATIC);
        sqlite3_step(turn);
        sqlite3_reset(turn);
        if (i % 4 == 0) { /* 1,024 turns over 256 conversations: each context once a group */
            sqlite3_bind_int64(context, 1, rows[i].conversation);
            sqlite3_step(context);
            sqlite3_reset(context);
        }
    }
    sqlite3_exec(to, "COMMIT", NULL, NULL, NULL);
    double rate = (double)n * 1e9 / (double)(bench_ns() - begun);
    sqlite3_finalize(turn);
    sqlite3_finalize(context);
    sqlite3_close(to);
    for (int i = 0; i < n; i++)
        free(rows[i].record);
    free(rows);
    return rate;
}

int bench_journal(struct row *row)
{
    int64_t turns = bench_amount(JOURNAL_TURNS);
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    for (int i = 0; i < bench_runs(); i++) {
        struct inside in = {.core = NULL};
        struct feeder f = {.in = &in, .left = turns, .data = json_pack("{s:o}", "order", bench_order())};
        if (bench_inside_open(&in) < 0)
            return -1;
        f.sent_ns = calloc((size_t)turns, sizeof *f.sent_ns);
        f.took_ns = calloc((size_t)turns, sizeof *f.took_ns);
        int64_t begun = bench_ns();
        for (int k = 0; k < JOURNAL_IN_FLIGHT; k++) {
            f.slots[k].feeder = &f;
            feed(&f.slots[k]);
        }
        while (f.done < turns)
            uv_run(&in.loop, UV_RUN_ONCE);
        values[i] = (double)turns * 1e9 / (double)(bench_ns() - begun);
        qsort(f.took_ns, (size_t)turns, sizeof *f.took_ns, by_int);
        p50[i] = (double)f.took_ns[turns / 2] / 1e3;
        p99[i] = (double)f.took_ns[(int64_t)((double)turns * 0.99)] / 1e3;
        floors[i] = floor_rows(&in);
        if (f.failed)
            fprintf(stderr, "bench: %lld of %lld turns failed\n", (long long)f.failed, (long long)turns);
        json_decref(f.data);
        free(f.sent_ns);
        free(f.took_ns);
        bench_inside_close(&in);
    }
    row->unit = "turns/s";
    row->floor = "SQLite, text ready";
    row->value = bench_median(values, bench_runs());
    row->p50_us = bench_median(p50, bench_runs());
    row->p99_us = bench_median(p99, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    return 0;
}
