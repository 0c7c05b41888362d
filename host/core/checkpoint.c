/* Owns the thread and its connection, which is opened when it is first needed. A checkpoint that fails is not told:
 * the log stays as long as it was, and who asked sees that. */
#include "core/checkpoint.h"

#include "core/crash.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHECKPOINT_NICE 10 /* it can wait for whoever commits, and whoever waits for that */

struct checkpointer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    bool asked, stop;
    const char *path;
    sqlite3 *db; /* the thread's */
    void (*done)(void *arg);
    void *arg;
};

static void run(struct checkpointer *c)
{
    if (!c->db &&
        (sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL) ||
         sqlite3_exec(c->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0",
                      NULL, NULL, NULL))) {
        sqlite3_close(c->db);
        c->db = NULL;
        return;
    }
    crash_here(CRASH_CHECKPOINT);
    sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *checkpoints(void *arg)
{
    struct checkpointer *c = arg;
    setpriority(PRIO_PROCESS, (id_t)gettid(), CHECKPOINT_NICE); /* of this thread alone */
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        while (!c->asked && !c->stop)
            pthread_cond_wait(&c->work, &c->mutex);
        if (c->stop)
            break;
        c->asked = false;
        pthread_mutex_unlock(&c->mutex);
        run(c);
        c->done(c->arg);
        pthread_mutex_lock(&c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

struct checkpointer *checkpointer_start(const char *path, void (*done)(void *arg), void *arg)
{
    struct checkpointer *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->path = path;
    c->done = done;
    c->arg = arg;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->work, NULL);
    if (pthread_create(&c->thread, NULL, checkpoints, c)) {
        pthread_cond_destroy(&c->work);
        pthread_mutex_destroy(&c->mutex);
        free(c);
        return NULL;
    }
    pthread_setname_np(c->thread, "checkpoint");
    return c;
}

void checkpointer_begin(struct checkpointer *c)
{
    pthread_mutex_lock(&c->mutex);
    c->asked = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
}

void checkpointer_stop(struct checkpointer *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    sqlite3_close(c->db);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
