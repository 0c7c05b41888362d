/* The journal with its writer's thread and a real loop: many clients at once, a full disk, another program that holds
 * the file, a damaged file, a reader that does not let go, and stopping in the middle of all that. A thin VFS over
 * SQLite's own makes the writes fail. */
#include "core/audit_verify.h"
#include "core/internal.h"
#include "virtual.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"courier", NULL};

#define A "test.courier"
#define B "test.helper"

/* ---- a disk that fails ------------------------------------------------------------------------------------------- */

static atomic_int write_error; /* what each write gives; SQLITE_OK: writes */
static atomic_int fail_every;  /* each n-th write fails as a full disk does; 0: none */
static atomic_int writes;
static sqlite3_vfs shim;
static const sqlite3_io_methods *real_methods; /* of the log, which is all that a commit writes */
static sqlite3_io_methods shim_methods;

static int shim_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    int every = atomic_load(&fail_every), error = atomic_load(&write_error);
    if (error)
        return error;
    if (every && atomic_fetch_add(&writes, 1) % every == every - 1)
        return SQLITE_FULL;
    return real_methods->xWrite(file, data, n, at);
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int e = real->xOpen(real, name, file, flags, ret_flags);
    if (e == SQLITE_OK && file->pMethods && (flags & SQLITE_OPEN_WAL)) {
        if (!real_methods) {
            real_methods = file->pMethods;
            shim_methods = *real_methods;
            shim_methods.xWrite = shim_write;
        }
        if (file->pMethods == real_methods)
            file->pMethods = &shim_methods;
    }
    return e;
}

static void install_shim(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    shim = *real;
    shim.zName = "shim";
    shim.pAppData = real;
    shim.pNext = NULL;
    shim.xOpen = shim_open;
    ck_assert_int_eq(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

/* ---- a core on a loop -------------------------------------------------------------------------------------------- */

struct host {
    struct virtual *v;
    uv_loop_t loop;
    struct core *core;
    int fatal; /* exit status asked for */
    int n_fatal;
    bool stopped;
    uv_timer_t tick; /* the loop turns, so that a test can look */
};

static void on_fatal(void *arg, int status, const char *text)
{
    struct host *h = arg;
    ck_assert_ptr_nonnull(text);
    h->fatal = status;
    h->n_fatal++;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void host_open(struct host *h)
{
    char error[512];
    ck_assert_int_eq(uv_loop_init(&h->loop), 0);
    uv_timer_init(&h->loop, &h->tick);
    uv_timer_start(&h->tick, on_tick, 5, 5);
    struct core_options options = {
        .home = h->v->home, .config = h->v->config, .loop = &h->loop, .fatal = on_fatal, .fatal_arg = h};
    ck_assert_msg(core_open(&options, &h->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_load(h->core, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(core_start(h->core, error, sizeof error) == 0, "%s", error);
    h->stopped = false;
}

static struct host *host_new(const char *config)
{
    struct host *h = calloc(1, sizeof *h);
    install_shim();
    h->v = virtual_new(PLUGINS, config);
    host_open(h);
    return h;
}

static int64_t ms_now(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* Runs the loop until *what is at least `least`, at most `ms`; true: it is. */
static bool until(struct host *h, const int *what, int least, int64_t ms)
{
    int64_t end = ms_now() + ms;
    while (*what < least && ms_now() < end)
        uv_run(&h->loop, UV_RUN_ONCE);
    return *what >= least;
}

static void run_for(struct host *h, int64_t ms)
{
    static const int never = 0;
    until(h, &never, 1, ms);
}

static void on_stopped(void *arg)
{
    ((struct host *)arg)->stopped = true;
}

/* True: it stopped within `ms`. */
static bool host_stop(struct host *h, int64_t ms)
{
    int64_t end = ms_now() + ms;
    core_stop(h->core, on_stopped, h);
    while (!h->stopped && ms_now() < end)
        uv_run(&h->loop, UV_RUN_ONCE);
    return h->stopped;
}

static void host_close(struct host *h)
{
    if (!h->stopped)
        ck_assert(host_stop(h, 5000));
    core_close(h->core);
    h->core = NULL;
    uv_close((uv_handle_t *)&h->tick, NULL);
    while (uv_run(&h->loop, UV_RUN_DEFAULT))
        ;
    ck_assert_int_eq(uv_loop_close(&h->loop), 0);
}

/* Looked at under the virtual clock, with nothing open. */
static void host_free(struct host *h)
{
    struct virtual *v = h->v;
    host_close(h);
    atomic_store(&write_error, SQLITE_OK);
    atomic_store(&fail_every, 0);
    virtual_open(v);
    core_step(v->core, core_now_ms(v->core) + INT64_C(1000000000000));
    virtual_conserved(v);
    virtual_free(v);
    free(h);
}

struct client {
    int *answered;
    int outcome, n;
    json_t *data;
};

static void on_answer(void *arg, const struct edge_reply *reply)
{
    struct client *c = arg;
    c->n++;
    c->outcome = reply->outcome;
    json_decref(c->data);
    c->data = json_deep_copy(reply->data);
    ++*c->answered;
}

static int submit(struct host *h, const char *type, const char *script, struct client *c, struct edge_error *error)
{
    char *copy = strdup(script);
    for (char *s = copy; *s; s++)
        *s = *s == '\'' ? '"' : *s;
    struct edge_in in = {.source = "test", .to = A, .type = type, .priority = -1};
    in.data = json_pack("{s:o}", "steps", json_loads(copy, 0, NULL));
    free(copy);
    return edge_submit(h->core, &in, on_answer, c, NULL, error);
}

static void take(struct host *h, const char *type, const char *script, struct client *c)
{
    struct edge_error error;
    ck_assert_msg(submit(h, type, script, c, &error) == 0, "%s", error.text);
}

static sqlite3 *other_program(struct host *h, const char *first)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", h->v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    ck_assert_msg(sqlite3_exec(db, first, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    return db;
}

/* ---- many at once -------------------------------------------------------------------------------------------------
 */

#define CLIENTS 64

static void count_envelope(void *arg, const json_t *envelope)
{
    ck_assert(json_is_object(envelope));
    ++*(int *)arg;
}

/* While a group is being tried again nothing is admitted: a client comes back, as it is told to. */
static bool submit_in_time(struct host *h, const char *type, const char *script, struct client *client)
{
    struct edge_error error;
    for (int tries = 0; tries < 500; tries++) {
        if (submit(h, type, script, client, &error) == 0)
            return true;
        ck_assert_int_eq(error.error, CVM_EBUSY);
        run_for(h, 20);
    }
    return false;
}

/* Each writes state and context, asks another component, sets a timer and takes one back; some only look. */
static void many_clients(struct host *h, int rounds)
{
    struct client clients[CLIENTS] = {{0}};
    int answered = 0, taken = 0, heard = 0;
    struct edge_tap *tap = edge_tap_open(h->core, (cvm_id){0, 0}, count_envelope, &heard);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            char script[600];
            snprintf(script, sizeof script,
                     "[{'do':'put','key':'c/%d','value':%d},{'do':'set','path':'/a/b','value':[1,2,3]},{'do':'request',"
                     "'conversation':'with-%d','data':{'steps':[{'do':'put','key':'h/%d','value':'x'},{'do':'note',"
                     "'value':1},{'do':'reply'}]}},{'do':'timer','delay_ms':%d,'data':{'steps':[{'do':'put','key':"
                     "'t/%d','value':1}]}},{'do':'publish','type':'test.parcel','data':{'steps':[]}},{'do':'pending'}]",
                     i, round, i % 7, i, i % 10, i);
            clients[i].answered = &answered;
            if (i % 8 == 7)
                taken += submit_in_time(h, "peek", "[{'do':'scan','prefix':'c/'},{'do':'reply'}]", &clients[i]);
            else
                taken += submit_in_time(h, "run", script, &clients[i]);
        }
        ck_assert_msg(until(h, &answered, taken, 20000), "%d of %d answered", answered, taken);
    }
    ck_assert_int_eq(taken, rounds * CLIENTS);
    run_for(h, 100);
    ck_assert_int_gt(heard, taken);
    edge_tap_close(h->core, tap);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(clients[i].outcome, CVM_REPLIED);
        json_decref(clients[i].data);
    }
}

#define ROOMY "{\"plugins\": {\"inline\": [\"*\"]}}"

START_TEST(many_at_once)
{
    struct host *h = host_new(ROOMY);
    many_clients(h, 20);
    host_free(h);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* there the loop frees everything itself */
static pthread_t loop_thread;
static atomic_int freed_beside;

static void free_counted(void *p)
{
    atomic_fetch_add(&freed_beside, p && !pthread_equal(pthread_self(), loop_thread));
    free(p);
}

/* What a turn has left behind costs the loop nothing: the writer frees it soon, also when nothing more is to be
 * written. */
START_TEST(values_are_freed_beside_the_loop)
{
    struct host *h = host_new(ROOMY);
    char script[4000];
    int answered = 0, n = snprintf(script, sizeof script, "[{'do':'note','value':['x'");
    struct client c = {.answered = &answered};
    for (int i = 1; i < 500; i++)
        n += snprintf(script + n, sizeof script - (size_t)n, ",'x'");
    snprintf(script + n, sizeof script - (size_t)n, "]},{'do':'reply'}]");
    loop_thread = pthread_self();
    json_set_alloc_funcs(malloc, free_counted);
    for (int i = 0; i < 20; i++) {
        take(h, "run", script, &c);
        ck_assert(until(h, &answered, i + 1, 5000));
    }
    for (int64_t end = ms_now() + 5000; atomic_load(&freed_beside) < 20 * 500 && ms_now() < end;)
        run_for(h, 20);
    json_set_alloc_funcs(malloc, free);
    ck_assert_int_ge(atomic_load(&freed_beside), 20 * 500);
    json_decref(c.data);
    host_free(h);
}
END_TEST
#endif

static void chain_holds(struct host *h)
{
    char path[128], error[256] = "";
    struct audit_verdict verdict = {0};
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", h->v->home);
    ck_assert_msg(audit_open(path, &db, error, sizeof error) == 0, "%s", error);
    ck_assert_int_eq(audit_verify(db, &(struct audit_check){0}, &verdict, error, sizeof error), 0);
    ck_assert_msg(verdict.fault == AUDIT_HOLDS, "%s", verdict.text);
    ck_assert_int_gt(verdict.rows, CLIENTS);
    sqlite3_close(db);
}

/* Some write of most groups fails, so they are tried several times: what is written is the same. */
START_TEST(groups_are_tried_again)
{
    struct host *h = host_new(ROOMY);
    atomic_store(&fail_every, 251);
    many_clients(h, 3);
    atomic_store(&fail_every, 0);
    run_for(h, 300);
    ck_assert_int_eq(h->fatal, 0);
    chain_holds(h);
    host_free(h);
}
END_TEST

/* ---- a store that cannot be written -------------------------------------------------------------------------------
 */

static void held_until_it_can(struct host *h, void (*bad)(struct host *), void (*good)(struct host *))
{
    struct edge_error error;
    int answered = 0;
    struct client a = {.answered = &answered}, b = a, c = a;
    take(h, "run", "[{'do':'put','key':'k','value':1},{'do':'reply'}]", &a);
    ck_assert(until(h, &answered, 1, 5000));
    bad(h);
    take(h, "run", "[{'do':'put','key':'k','value':2},{'do':'reply'}]", &b);
    take(h, "peek", "[{'do':'get','key':'k'},{'do':'reply'}]", &c);
    run_for(h, 700);
    ck_assert_int_eq(answered, 1); /* neither that it is done, nor what it has written */
    ck_assert_ptr_nonnull(core_unhealthy(h->core));
    struct client refused = {.answered = &answered};
    ck_assert_int_eq(submit(h, "run", "[{'do':'reply'}]", &refused, &error), CVM_EBUSY);
    ck_assert_int_gt(error.retry_after_s, 0);
    good(h);
    ck_assert(until(h, &answered, 3, 5000));
    ck_assert_ptr_null(core_unhealthy(h->core));
    ck_assert_int_eq(h->fatal, 0);
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(c.data, "found"), 0)), 2);
    take(h, "run", "[{'do':'get','key':'k'},{'do':'reply'}]", &a);
    ck_assert(until(h, &answered, 4, 5000));
    json_decref(a.data);
    json_decref(b.data);
    json_decref(c.data);
    host_free(h);
}

static void disk_full(struct host *h)
{
    (void)h;
    atomic_store(&write_error, SQLITE_FULL);
}

static void disk_errors(struct host *h)
{
    (void)h;
    atomic_store(&write_error, SQLITE_IOERR_WRITE);
}

static void disk_good(struct host *h)
{
    (void)h;
    atomic_store(&write_error, SQLITE_OK);
}

START_TEST(full_disk)
{
    held_until_it_can(host_new(ROOMY), disk_full, disk_good);
}
END_TEST

START_TEST(failing_disk)
{
    held_until_it_can(host_new(ROOMY), disk_errors, disk_good);
}
END_TEST

static sqlite3 *holder;

static void hold(struct host *h)
{
    holder = other_program(h, "BEGIN IMMEDIATE");
}

static void let_go(struct host *h)
{
    (void)h;
    sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(holder);
}

START_TEST(another_writer)
{
    held_until_it_can(host_new(ROOMY), hold, let_go);
}
END_TEST

/* What was not accepted is nowhere; the host ends although it cannot write. */
START_TEST(stop_while_the_disk_is_full)
{
    struct host *h = host_new(ROOMY);
    int answered = 0;
    struct client a = {.answered = &answered};
    run_for(h, 50);
    atomic_store(&write_error, SQLITE_FULL);
    take(h, "run", "[{'do':'put','key':'k','value':1},{'do':'reply'}]", &a);
    run_for(h, 300);
    ck_assert(host_stop(h, 5000));
    ck_assert_int_eq(answered, 0);
    host_free(h);
}
END_TEST

/* Status 3, once, and nothing that was held leaves. */
START_TEST(damaged_file)
{
    struct host *h = host_new(ROOMY);
    int answered = 0;
    struct client a = {.answered = &answered};
    run_for(h, 50);
    atomic_store(&write_error, SQLITE_CORRUPT);
    take(h, "run", "[{'do':'put','key':'k','value':1},{'do':'reply'}]", &a);
    ck_assert(until(h, &h->n_fatal, 1, 5000));
    run_for(h, 200);
    ck_assert_int_eq(h->fatal, 3);
    ck_assert_int_eq(h->n_fatal, 1);
    ck_assert_int_eq(answered, 0);
    ck_assert(host_stop(h, 5000));
    host_free(h);
}
END_TEST

/* The log stays short while ten times as much goes through it as may ever be in it, and is empty soon after: what turns
 * read meanwhile holds nothing back. */
START_TEST(long_log_begins_anew)
{
    struct host *h = host_new("{\"plugins\": {\"inline\": [\"*\"]}, \"journal\": {\"wal_max_mib\": 8, "
                              "\"wal_checkpoint_mib\": 1}}");
    int answered = 0;
    struct client c = {.answered = &answered};
    run_for(h, 50);
    for (int i = 0; i < 80; i++) {
        char *script = NULL;
        ck_assert_int_gt(asprintf(&script,
                                  "[{'do':'get','key':'none-%d'},{'do':'put','value':'%050000d'},"
                                  "{'do':'note','value':'%0500000d'},{'do':'reply'}]",
                                  i, 1, 2),
                         0);
        take(h, "run", script, &c);
        ck_assert(until(h, &answered, i + 1, 5000));
        ck_assert_ptr_null(core_unhealthy(h->core));
        free(script);
    }
    struct store *store = journal_store(h->core);
    for (int64_t end = ms_now() + 5000; store_wal_bytes(store) && ms_now() < end;)
        run_for(h, 20);
    ck_assert_int_eq(store_wal_bytes(store), 0);
    json_decref(c.data);
    host_free(h);
}
END_TEST

/* A reader that stays keeps the log growing: nothing is admitted above its limit, and again once it has gone. */
START_TEST(reader_that_stays)
{
    struct host *h = host_new("{\"plugins\": {\"inline\": [\"*\"]}, \"journal\": {\"wal_max_mib\": 8, "
                              "\"wal_checkpoint_mib\": 1}}");
    struct edge_error error;
    int answered = 0, taken = 0;
    struct client c = {.answered = &answered};
    run_for(h, 50);
    sqlite3 *reader = other_program(h, "BEGIN; SELECT count(*) FROM turns;");
    char *script = NULL;
    ck_assert_int_gt(
        asprintf(&script, "[{'do':'put','value':'%050000d'},{'do':'note','value':'%0500000d'},{'do':'reply'}]", 1, 2),
        0);
    for (int i = 0; i < 100 && !core_unhealthy(h->core); i++) {
        taken += submit(h, "run", script, &c, &error) == 0;
        ck_assert(until(h, &answered, taken, 5000));
    }
    free(script);
    ck_assert_ptr_nonnull(core_unhealthy(h->core));
    ck_assert_int_eq(submit(h, "run", "[{'do':'reply'}]", &c, &error), CVM_EBUSY);
    sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(reader);
    for (int64_t end = ms_now() + 5000; core_unhealthy(h->core) && ms_now() < end;)
        uv_run(&h->loop, UV_RUN_ONCE);
    ck_assert_ptr_null(core_unhealthy(h->core));
    take(h, "run", "[{'do':'reply'}]", &c);
    ck_assert(until(h, &answered, taken + 1, 5000));
    json_decref(c.data);
    host_free(h);
}
END_TEST

/* Work that makes more work does not run away from a disk that is full: memory has an end. */
START_TEST(turns_wait_for_the_journal)
{
    struct host *h = host_new(ROOMY);
    int answered = 0;
    struct client a = {.answered = &answered};
    run_for(h, 50);
    atomic_store(&write_error, SQLITE_FULL);
    take(h, "run", "[{'do':'send','conversation':'endless','data':{'steps':[{'do':'again'}]}},{'do':'reply'}]", &a);
    int64_t ahead = 0, before = -1, end = ms_now() + 30000;
    while (ahead != before && ms_now() < end) {
        before = ahead;
        run_for(h, 1000);
        json_t *ps = core_ps(h->core), *totals = json_object_get(ps, "totals");
        ahead = json_integer_value(json_object_get(totals, "submitted")) -
                json_integer_value(json_object_get(totals, "durable"));
        json_decref(ps);
    }
    ck_assert_int_eq(ahead, before);
    ck_assert_int_lt(ahead, 40000);
    atomic_store(&write_error, SQLITE_OK);
    ck_assert(until(h, &answered, 1, 20000));
    json_decref(a.data);
    ck_assert(host_stop(h, 20000));
    host_close(h);
    virtual_free(h->v);
    free(h);
}
END_TEST

/* ---- stopping ------------------------------------------------------------------------------------------------------
 */

/* Work that has no end does not keep the host from ending. */
START_TEST(stop_in_endless_work)
{
    struct host *h = host_new(ROOMY);
    int answered = 0;
    struct client a = {.answered = &answered};
    take(h, "run", "[{'do':'send','conversation':'endless','data':{'steps':[{'do':'again'}]}},{'do':'reply'}]", &a);
    ck_assert(until(h, &answered, 1, 5000));
    json_decref(a.data);
    ck_assert(host_stop(h, 20000));
    host_close(h);
    virtual_free(h->v);
    free(h);
}
END_TEST

START_TEST(stop_with_open_work)
{
    struct host *h = host_new(ROOMY);
    struct client clients[CLIENTS] = {{0}};
    int answered = 0;
    for (int i = 0; i < CLIENTS / 2; i++) {
        clients[i].answered = &answered;
        take(h, i % 2 ? "run" : "peek",
             i % 3 ? "[{'do':'request','data':{'steps':[{'do':'pending'}]}},{'do':'pending'}]" : "[{'do':'reply'}]",
             &clients[i]);
    }
    uv_run(&h->loop, UV_RUN_NOWAIT);
    ck_assert(host_stop(h, 5000));
    host_close(h);
    host_open(h);
    run_for(h, 50);
    for (int i = 0; i < CLIENTS; i++)
        json_decref(clients[i].data);
    host_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal");
    TCase *c = tcase_create("journal");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, many_at_once);
#ifndef __SANITIZE_THREAD__
    tcase_add_test(c, values_are_freed_beside_the_loop);
#endif
    tcase_add_test(c, groups_are_tried_again);
    tcase_add_test(c, full_disk);
    tcase_add_test(c, failing_disk);
    tcase_add_test(c, another_writer);
    tcase_add_test(c, stop_while_the_disk_is_full);
    tcase_add_test(c, damaged_file);
    tcase_add_test(c, long_log_begins_anew);
    tcase_add_test(c, reader_that_stays);
    tcase_add_test(c, turns_wait_for_the_journal);
    tcase_add_test(c, stop_in_endless_work);
    tcase_add_test(c, stop_with_open_work);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
