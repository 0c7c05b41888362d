/* Jobs: rows of 20 columns that a job puts into a table and reads out of it, beside SQLite alone doing the same with
 * one statement in one thread. */
#include "bench_inside.h"

#include "core/edge.h"
#include <cvm/json.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 1000000
#define GROUP 10000
#define COLUMNS 20

static const char *const PLUGINS[] = {"hauler", NULL};

static void replied(void *arg, const struct edge_reply *reply)
{
    *(json_t **)arg = reply->outcome == CVM_REPLIED ? json_deep_copy(reply->data) : json_null();
}

/* Rows a second of a job; < 0: it failed. */
static double run_job(struct inside *in, const char *job, int64_t rows)
{
    json_t *result = NULL;
    struct edge_error error;
    struct edge_in input = {.source = "bench", .to = "bench.hauler", .type = "haul", .priority = -1};
    input.data = json_pack("{s:s, s:I}", "job", job, "rows", (json_int_t)rows);
    int64_t begun = bench_ns();
    if (edge_submit(in->core, &input, replied, &result, NULL, &error) < 0) {
        fprintf(stderr, "bench: %s\n", error.text);
        return -1;
    }
    while (!result)
        uv_run(&in->loop, UV_RUN_ONCE);
    bool good = json_is_object(result) && cvm_json_int(result, "rows", rows) == rows;
    json_decref(result);
    return good ? (double)rows * 1e9 / (double)(bench_ns() - begun) : -1;
}

static sqlite3 *open_database(const struct inside *in, const char *name)
{
    char path[200];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/%s", in->home.path, name);
    if (sqlite3_open(path, &db) ||
        sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384", NULL, NULL,
                     NULL))
        abort();
    return db;
}

static double floor_load(const struct inside *in, int64_t rows)
{
    sqlite3 *db = open_database(in, "floor.db");
    sqlite3_stmt *st = NULL;
    char id[24];
    if (sqlite3_exec(db,
                     "CREATE TABLE loads(id TEXT PRIMARY KEY, i0 INTEGER, i1 INTEGER, i2 INTEGER, i3 INTEGER,"
                     " i4 INTEGER, i5 INTEGER, i6 INTEGER, i7 INTEGER, r0 REAL, r1 REAL, r2 REAL, r3 REAL, r4 REAL,"
                     " r5 REAL, r6 REAL, t0 TEXT, t1 TEXT, t2 TEXT, t3 TEXT, key_id INTEGER NOT NULL DEFAULT 0)"
                     " WITHOUT ROWID",
                     NULL, NULL, NULL) ||
        sqlite3_prepare_v2(db,
                           "INSERT OR REPLACE INTO loads VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                           " ?, ?, 0)",
                           -1, &st, NULL))
        abort();
    int64_t begun = bench_ns();
    for (int64_t i = 0; i < rows; i++) {
        if (i % GROUP == 0)
            sqlite3_exec(db, i ? "COMMIT; BEGIN" : "BEGIN", NULL, NULL, NULL);
        sqlite3_bind_text(st, 1, id, snprintf(id, sizeof id, "CUST-%09lld", (long long)i), SQLITE_STATIC);
        for (int k = 2; k < 17; k++)
            k < 10 ? sqlite3_bind_int64(st, k, i * k) : sqlite3_bind_double(st, k, k * 1.5);
        for (int k = 17; k <= COLUMNS; k++)
            sqlite3_bind_text(st, k, "month-to-month", 14, SQLITE_STATIC);
        sqlite3_step(st);
        sqlite3_reset(st);
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    double figure = (double)rows * 1e9 / (double)(bench_ns() - begun);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return figure;
}

static double floor_read(const struct inside *in, int64_t rows)
{
    sqlite3 *db = open_database(in, "data/cvmhost.db");
    sqlite3_stmt *st = NULL;
    int64_t sum = 0, seen = 0;
    if (sqlite3_prepare_v2(db,
                           "SELECT id, i0, i1, i2, i3, i4, i5, i6, i7, r0, r1, r2, r3, r4, r5, r6, t0, t1, t2, t3"
                           " FROM loads ORDER BY id",
                           -1, &st, NULL))
        abort();
    int64_t begun = bench_ns();
    for (; sqlite3_step(st) == SQLITE_ROW; seen++)
        for (int k = 0; k < COLUMNS; k++)
            sum += k == 0 || k > 15 ? (sqlite3_column_text(st, k) != NULL) + sqlite3_column_bytes(st, k)
                   : k < 9          ? sqlite3_column_int64(st, k)
                                    : (int64_t)sqlite3_column_double(st, k);
    double figure = (double)rows * 1e9 / (double)(bench_ns() - begun);
    if (seen != rows || !sum)
        fprintf(stderr, "bench: %lld rows of %lld\n", (long long)seen, (long long)rows);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return figure;
}

static int bench_job(struct row *row, bool reads)
{
    double values[BENCH_RUNS], floors[BENCH_RUNS];
    int64_t rows = bench_amount(ROWS);
    row->unit = "rows/s";
    row->floor = reads ? "SQLite alone, one statement over the table" : "SQLite alone, groups of 10,000 rows";
    for (int i = 0; i < bench_runs(); i++) {
        struct inside in = {0};
        if (bench_inside_open_with(&in, PLUGINS) < 0)
            return -1;
        values[i] = run_job(&in, "load", rows);
        if (reads && values[i] > 0)
            values[i] = run_job(&in, "read", rows);
        floors[i] = values[i] < 0 ? 0 : reads ? floor_read(&in, rows) : floor_load(&in, rows);
        bench_inside_close(&in);
        if (values[i] < 0)
            return -1;
    }
    row->value = bench_median(values, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    return 0;
}

int bench_job_load(struct row *row)
{
    return bench_job(row, false);
}

int bench_job_read(struct row *row)
{
    return bench_job(row, true);
}
