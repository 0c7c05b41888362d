/* Copies the database of a running host: SQLite's backup over the writer's own connection, a few pages at a time on its
 * thread, so that what is committed meanwhile goes into the copy too, no reader holds the log back, and the copy is
 * complete however much is written. The copy is not synced: whoever asked for it reads it, and syncs what he makes of
 * it. Loop thread, but for run_step. */
#include "core/audit.h"
#include "core/keep.h"

#include "core/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_NS INT64_C(1000000)
#define STEP_PAGES 8
#define PAUSE_MS 10
#define BUSY_MS 2
#define BUSY_LONGEST_MS 50

struct backup {
    struct core *core;
    struct alarm alarm;
    char *path;
    core_pruned done;
    void *arg;
    int64_t begun_ms, waits_since_ms;
    /* the writer's during a step: */
    bool complete;
    int error;
    int64_t steps, ns, longest_ns, bytes;
    char text[300];
};

void store_backup_end(struct store *s)
{
    if (s->backup)
        sqlite3_backup_finish(s->backup);
    sqlite3_close(s->backup_db);
    s->backup = NULL;
    s->backup_db = NULL;
}

static bool begin(struct store *s, struct backup *b)
{
    /* Made here and not by SQLite: nobody else may read it, not even for a moment. */
    int fd = unlink(b->path) == 0 || errno == ENOENT ? open(b->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && sqlite3_open_v2(b->path, &s->backup_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == 0 &&
        sqlite3_exec(s->backup_db,
                     "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE;"
                     "PRAGMA cache_size = 64",
                     NULL, NULL, NULL) == 0)
        s->backup = sqlite3_backup_init(s->backup_db, "main", s->db, "main");
    if (s->backup)
        return true;
    b->error = CVM_EIO;
    snprintf(b->text, sizeof b->text, "%s cannot be written: %s", b->path,
             s->backup_db ? sqlite3_errmsg(s->backup_db) : strerror(errno));
    return false;
}

static void copy(struct store *s, struct backup *b, int64_t until_ns)
{
    int e;
    do
        e = sqlite3_backup_step(s->backup, STEP_PAGES);
    while (e == SQLITE_OK && clock_ns() < until_ns);
    b->bytes = 4096 * (int64_t)sqlite3_backup_pagecount(s->backup);
    if (e == SQLITE_OK || e == SQLITE_BUSY || e == SQLITE_LOCKED)
        return;
    b->complete = e == SQLITE_DONE;
    if (!b->complete) {
        b->error = e == SQLITE_CORRUPT ? CVM_EDATA : CVM_EIO;
        snprintf(b->text, sizeof b->text, "%s: the copy has failed: %s", b->path, sqlite3_errstr(e));
    }
}

static void run_step(struct store *s, void *arg)
{
    struct backup *b = arg;
    int64_t begun = clock_ns();
    if (s->backup || begin(s, b))
        copy(s, b, begun + STEP_NS);
    if (b->error || b->complete)
        store_backup_end(s);
    if (b->error)
        unlink(b->path);
    int64_t ns = clock_ns() - begun;
    b->steps++;
    b->ns += ns;
    b->longest_ns = ns > b->longest_ns ? ns : b->longest_ns;
}

static void next_step(struct core *core, struct alarm *alarm);

static void end(struct backup *b)
{
    struct core *core = b->core;
    struct keep_totals *t = keep_totals(core);
    json_t *report = b->error ? json_pack("{s:s}", "text", b->text)
                              : json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", b->path, "bytes", (json_int_t)b->bytes,
                                          "steps", (json_int_t)b->steps, "us", (json_int_t)(b->ns / 1000),
                                          "longest_step_us", (json_int_t)(b->longest_ns / 1000));
    if (b->error) {
        log_warning("journal", "no backup: %s", b->text);
    } else {
        log_info("journal", "the database was copied: %lld bytes in %lld ms", (long long)b->bytes,
                 (long long)(core->now_ms - b->begun_ms));
        audit_event(core, "journal.copied",
                    json_pack("{s:s, s:s, s:I}", "by", "operator", "file", b->path, "bytes", (json_int_t)b->bytes));
        t->backups++;
        t->backup_ms = core->now_ms;
        t->backup_bytes = b->bytes;
    }
    core->backup = NULL;
    b->done(b->arg, b->error, report);
    free(b->path);
    free(b);
}

static void stepped(struct core *core, void *arg)
{
    struct backup *b = arg;
    core_set_now(core);
    if (b->error || b->complete)
        end(b);
    else
        alarm_set(core, &b->alarm, core->now_ms + PAUSE_MS, next_step);
}

static void next_step(struct core *core, struct alarm *alarm)
{
    struct backup *b = core->backup;
    if (core->stopping)
        return; /* keep_close tells */
    if (!b->waits_since_ms)
        b->waits_since_ms = core->now_ms;
    if (core->trouble || (!journal_idle(core) && core->now_ms - b->waits_since_ms < BUSY_LONGEST_MS)) {
        alarm_set(core, alarm, core->now_ms + BUSY_MS, next_step);
        return;
    }
    b->waits_since_ms = 0;
    if (journal_job(core, run_step, stepped, b) < 0) {
        b->error = CVM_ENOMEM;
        snprintf(b->text, sizeof b->text, "out of memory");
        end(b);
    }
}

int core_backup(struct core *core, core_pruned done, void *arg)
{
    if (core->backup || core->stopping)
        return core->backup ? CVM_EBUSY : CVM_ESTATE;
    core_set_now(core);
    struct backup *b = calloc(1, sizeof *b);
    if (!b || asprintf(&b->path, "%s/data/backup.db", core->home) < 0) {
        free(b);
        return CVM_ENOMEM;
    }
    b->core = core;
    b->done = done;
    b->arg = arg;
    b->begun_ms = core->now_ms;
    core->backup = b;
    return alarm_set(core, &b->alarm, core->now_ms, next_step);
}

void backup_close(struct core *core)
{
    struct backup *b = core->backup;
    if (!b)
        return;
    core->backup = NULL;
    alarm_clear(core, &b->alarm);
    b->done(b->arg, CVM_ESTATE, NULL);
    unlink(b->path);
    free(b->path);
    free(b);
}
