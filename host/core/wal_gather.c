/* The log's file of the writer, with what a group writes to it gathered. SQLite writes each page of a commit by two
 * calls, one for its header of 24 bytes, so that every page of the file is touched three times on the way; gathered,
 * a group reaches the file in few long writes. Owned by the store's connection; runs on the writer's thread.
 *
 * Nothing gets visible or durable earlier or later: what is gathered goes to the file before it is synced, and with
 * synchronous = FULL a commit is synced before readers are told of it. Where commits are not synced nothing may be
 * gathered: store_write() switches it on for its commit only. Knows nothing of turns. */
#include "core/wal_gather.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_BYTES (120 * 1024) /* SQLite takes less than 128 KiB at once, and says that the disk is full else */

struct wal_gather {
    sqlite3_io_methods is; /* first: the file's methods lead here */
    const sqlite3_io_methods *was;
    bool on;
    sqlite3_int64 at; /* where the gathered bytes belong */
    size_t n;
    char bytes[GATHER_BYTES];
};

static struct wal_gather *of(sqlite3_file *file)
{
    return (struct wal_gather *)(uintptr_t)file->pMethods;
}

/* A failure is told once, to who asked for something that needs the bytes; they belong to a commit that is given up
 * then, and SQLite writes it anew. */
static int flush(sqlite3_file *file)
{
    struct wal_gather *g = of(file);
    size_t n = g->n;
    g->n = 0;
    return n ? g->was->xWrite(file, g->bytes, (int)n, g->at) : SQLITE_OK;
}

static int gather_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct wal_gather *g = of(file);
    bool joins = g->n && at == g->at + (sqlite3_int64)g->n && (size_t)n <= GATHER_BYTES - g->n;
    int e = joins ? SQLITE_OK : flush(file);
    if (e != SQLITE_OK)
        return e;
    if (!g->on || n > GATHER_BYTES)
        return (e = flush(file)) ? e : g->was->xWrite(file, from, n, at);
    if (!g->n)
        g->at = at;
    memcpy(g->bytes + g->n, from, (size_t)n);
    g->n += (size_t)n;
    return SQLITE_OK;
}

static int gather_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    int e = flush(file);
    return e ? e : of(file)->was->xRead(file, to, n, at);
}

static int gather_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int e = flush(file);
    return e ? e : of(file)->was->xTruncate(file, size);
}

static int gather_sync(sqlite3_file *file, int flags)
{
    int e = flush(file);
    return e ? e : of(file)->was->xSync(file, flags);
}

static int gather_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    int e = flush(file);
    return e ? e : of(file)->was->xFileSize(file, ret_size);
}

/* Nothing is left by then but what no commit made valid. */
static int gather_close(sqlite3_file *file)
{
    struct wal_gather *g = of(file);
    file->pMethods = g->was;
    free(g);
    return file->pMethods->xClose(file);
}

void wal_gather_open(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    struct wal_gather *g = malloc(sizeof *g);
    if (!g || sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods || file->pMethods->xClose == gather_close) {
        free(g); /* it goes without */
        return;
    }
    g->is = *file->pMethods;
    g->was = file->pMethods;
    g->on = false;
    g->n = 0;
    g->is.xWrite = gather_write;
    g->is.xRead = gather_read;
    g->is.xTruncate = gather_truncate;
    g->is.xSync = gather_sync;
    g->is.xFileSize = gather_size;
    g->is.xClose = gather_close;
    file->pMethods = &g->is;
}

void wal_gather(sqlite3 *db, bool on)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK && file && file->pMethods &&
        file->pMethods->xClose == gather_close)
        of(file)->on = on;
}
