/* Questions to the committed data. They run one after the other on a worker with a read-only connection of its own;
 * under the virtual clock on the loop, at once. */
#include "core/internal.h"

#include <stdlib.h>

#define QUERY_WAITING_MAX 4096
#define SEARCHES_AT_ONCE 8 /* they are short: waking a thread costs as much as one */

struct query {
    struct query *next;
    char *sql;            /* NULL: it is a search */
    json_t *binds, *rows; /* binds: of a search, the question */
    struct search_found result;
    size_t limit;
    bool more;
    int error;
    core_rows done;
    core_found found;
    void *arg;
};

struct query_service {
    struct store *store;
    struct query *head, *tail;
    uint32_t n, running; /* the first of them are with the worker */
    uv_work_t work;
};

static void start(struct core *core);

int query_open(struct core *core, char *ret_error, size_t error_size)
{
    char path[4096];
    struct query_service *s = calloc(1, sizeof *s);
    if (!s)
        return CVM_ENOMEM;
    core->queries = s;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", core->home);
    return store_open(path, false, &s->store, ret_error, error_size);
}

bool query_idle(const struct core *core)
{
    return !core->queries || !core->queries->head;
}

static void finish(struct core *core)
{
    struct query_service *s = core->queries;
    struct query *q = s->head;
    s->head = q->next;
    if (!s->head)
        s->tail = NULL;
    s->n--;
    core_set_now(core);
    if (q->sql)
        q->done(q->arg, q->error, q->rows, q->more);
    else
        q->found(q->arg, q->error, &q->result);
    json_decref(q->binds);
    free(q->sql);
    free(q);
}

static void run(struct query_service *s, struct query *q)
{
    q->error = q->sql ? store_query(s->store, q->sql, q->binds, q->limit, &q->rows, &q->more)
                      : store_search(s->store, q->binds, &q->result);
}

static void work(uv_work_t *req)
{
    struct query_service *s = ((struct core *)req->data)->queries;
    struct query *q = s->head;
    run(s, q);
    for (uint32_t i = 1; i < s->running; i++) /* what is behind the last is the loop's to change */
        run(s, q = q->next);
}

static void after(uv_work_t *req, int status)
{
    struct core *core = req->data;
    (void)status;
    for (uint32_t n = core->queries->running; n > 0; n--)
        finish(core);
    core->queries->running = 0;
    start(core);
    if (core->stopping) /* who waits for this to be idle looks when turns run */
        kick(core);
}

static void start(struct core *core)
{
    struct query_service *s = core->queries;
    if (s->running || !s->head)
        return;
    s->running = 1;
    for (struct query *q = s->head; !q->sql && q->next && !q->next->sql && s->running < SEARCHES_AT_ONCE; q = q->next)
        s->running++;
    s->work.data = core;
    uv_queue_work(core->options.loop, &s->work, work, after);
}

static struct query *query_new(struct core *core, const char *sql, json_t *binds, int *ret_error)
{
    bool room = core->queries->n < QUERY_WAITING_MAX;
    struct query *q = room ? calloc(1, sizeof *q) : NULL;
    if (!q || (sql && !(q->sql = strdup(sql)))) {
        json_decref(binds);
        free(q);
        *ret_error = room ? CVM_ENOMEM : CVM_EBUSY;
        return NULL;
    }
    q->binds = binds;
    return q;
}

static void add(struct core *core, struct query *q)
{
    struct query_service *s = core->queries;
    if (s->tail)
        s->tail->next = q;
    else
        s->head = q;
    s->tail = q;
    s->n++;
    if (core->options.loop) {
        start(core);
    } else {
        run(s, q);
        finish(core);
    }
}

int core_search(struct core *core, json_t *question, core_found done, void *arg)
{
    int e = 0;
    struct query *q = query_new(core, NULL, question, &e);
    if (!q)
        return e;
    q->found = done;
    q->arg = arg;
    add(core, q);
    return 0;
}

int core_query(struct core *core, const char *sql, json_t *binds, size_t limit, core_rows done, void *arg)
{
    int e = 0;
    struct query *q = query_new(core, sql, binds, &e);
    if (!q)
        return e;
    q->limit = limit;
    q->done = done;
    q->arg = arg;
    add(core, q);
    return 0;
}

void query_close(struct core *core)
{
    struct query_service *s = core->queries;
    if (!s)
        return;
    for (struct query *q = s->head, *next; q; q = next) {
        next = q->next;
        json_decref(q->binds);
        free(q->sql);
        free(q);
    }
    store_close(s->store);
    free(s);
    core->queries = NULL;
}
