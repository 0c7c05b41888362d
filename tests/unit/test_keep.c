/* The journal in the long run, under the virtual clock: days pass, conversations that are over are folded, their turns
 * go, and whatever is still needed stays; also where the host is killed in the middle. */
#include "virtual.h"

#include "core/crash.h"
#include "core/internal.h"
#include "core/keep.h"
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"courier", NULL};

#define A "test.courier"
#define B "test.helper"
#define DAY_MS (24 * 3600 * INT64_C(1000))

static void days(struct virtual *v, double n)
{
    core_step(v->core, core_now_ms(v->core) + (int64_t)(n * DAY_MS));
}

/* One request with these steps in a conversation of its own; its answer must be REPLIED. */
static void steps_in(struct virtual *v, const char *conversation, const char *key, const char *steps)
{
    struct answer_seen seen = {0};
    struct edge_error error;
    struct edge_in in = {
        .source = "test", .to = A, .type = "run", .priority = -1, .conversation = conversation, .key = key};
    in.data = json_pack("{s:o}", "steps", json_loads(steps, 0, NULL));
    ck_assert_ptr_nonnull(json_object_get(in.data, "steps"));
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(seen.outcome, CVM_REPLIED);
    json_decref(seen.data);
}

#define DECIDES                                                                                                        \
    "[{\"do\": \"note\", \"value\": {\"chose\": \"left\"}}, {\"do\": \"set\", \"path\": \"/x\", \"value\": 7},"        \
    " {\"do\": \"reply\"}]"

static struct virtual *opened(void)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    return v;
}

static char *text(struct virtual *v, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    char *found = strdup((const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    return found;
}

START_TEST(folds_what_is_over)
{
    struct virtual *v = opened();
    steps_in(v, "one", NULL, DECIDES);
    steps_in(v, "one", NULL, "[{\"do\": \"end\"}, {\"do\": \"reply\"}]");
    steps_in(v, "two", "key-1", DECIDES);
    days(v, 89);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded"), 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM inbox"), 0);
    steps_in(v, "late", NULL, DECIDES);
    days(v, 2);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded"), 2);
    ck_assert_int_eq(virtual_count(v, "SELECT turns AS n FROM folded WHERE name = 'one'"), 2);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE conversation IN"
                                      " (SELECT conversation FROM folded)"),
                     0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE conversation = "
                                      "(SELECT conversation FROM contexts WHERE name = 'late')"),
                     1);
    char *doc = text(v, "SELECT json_extract(notes, '$[0].data.chose') FROM folded_log WHERE subject = 'two'");
    ck_assert_str_eq(doc, "left");
    free(doc);
    /* the context stays, and the conversation can go on */
    steps_in(v, "one", NULL, DECIDES);
    ck_assert_int_eq(virtual_count(v, "SELECT json_extract(doc, '$.x') AS n FROM contexts WHERE name = 'one'"), 7);
    steps_in(v, "last", NULL, DECIDES); /* the newest turn always stays */
    days(v, 100);
    ck_assert_int_eq(virtual_count(v, "SELECT turns AS n FROM folded WHERE name = 'one'"), 3);
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

/* Topic lanes have no end: their turns go one by one, but not one that wrote what the state still holds. */
START_TEST(keeps_what_is_needed)
{
    struct virtual *v = opened();
    steps_in(v, "long", NULL,
             "[{\"do\": \"timer\", \"delay_ms\": 10368000000, \"data\": {\"steps\": []}},"
             " {\"do\": \"reply\"}]"); /* 120 days */
    for (int i = 0; i < 2; i++)
        steps_in(v, "teller", NULL,
                 "[{\"do\": \"publish\", \"to\": \"BROADCAST\", \"type\": \"test.parcel\", \"data\": {\"steps\":"
                 " [{\"do\": \"put\", \"key\": \"parcel\", \"value\": 1}]}}, {\"do\": \"reply\"}]");
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'test.parcel'"), 2);
    days(v, 100);
    steps_in(v, "late", NULL, DECIDES);
    days(v, 1);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded"), 1);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'test.parcel'"), 1);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM state s WHERE key = 'parcel' AND turn IN"
                                      " (SELECT seq FROM turns)"),
                     1);
    days(v, 150);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded WHERE name = 'long'"), 1);
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

/* Every gap among the turns is told of by a stub or an anchor of the chain. */
static void no_unexplained_gap(struct virtual *v)
{
    ck_assert_int_eq(virtual_count(v, "SELECT (SELECT count(*) FROM turns) + (SELECT count(*) FROM audit_stubs) +"
                                      " (SELECT coalesce(sum(n), 0) FROM audit_anchors) AS n"),
                     virtual_count(v, "SELECT max(seq) AS n FROM turns"));
}

START_TEST(goes_on_after_a_crash)
{
    char name[32];
    struct virtual *v = opened();
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "talk-%d", i % 100);
        steps_in(v, name, NULL, DECIDES);
    }
    int64_t turns = virtual_count(v, "SELECT count(*) AS n FROM turns");
    virtual_close(v);
    for (int kill = 1; kill < 4; kill++) {
        pid_t pid = fork();
        if (pid == 0) {
            char want[32];
            snprintf(want, sizeof want, "folded:%d", kill);
            setenv("CVMHOST_CRASH", want, 1);
            crash_init();
            virtual_open(v);
            days(v, 100);
            _exit(0);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        virtual_open(v);
        ck_assert_int_ge(
            virtual_count(v, "SELECT count(*) + (SELECT coalesce(sum(turns), 0) FROM folded) AS n FROM turns"), turns);
        no_unexplained_gap(v);
        virtual_close(v);
    }
    virtual_open(v);
    days(v, 100);
    ck_assert_int_eq(virtual_count(v, "SELECT sum(turns) AS n FROM folded WHERE name GLOB 'talk-*'"), 300);
    ck_assert_int_eq(virtual_count(v, "SELECT min(json_array_length(notes)) AS n FROM folded_log"), 3);
    no_unexplained_gap(v);
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

static void pruned(void *arg, int error, json_t *report)
{
    ck_assert(error == 0 || error == CVM_ESTATE);
    *(json_t **)arg = report;
}

START_TEST(counts_before_it_does)
{
    struct virtual *v = opened();
    json_t *report = NULL;
    char name[32];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "talk-%d", i % 20);
        steps_in(v, name, NULL, DECIDES);
    }
    steps_in(v, "last", NULL, DECIDES);
    ck_assert_int_eq(core_prune(v->core, true, core_now_ms(v->core) + 1, pruned, &report), CVM_EINVAL);
    ck_assert_int_eq(core_prune(v->core, true, core_now_ms(v->core), pruned, &report), 0);
    ck_assert_int_eq(core_prune(v->core, true, core_now_ms(v->core), pruned, &report), CVM_EBUSY);
    days(v, 0.1);
    ck_assert_ptr_nonnull(report);
    ck_assert_int_eq(json_integer_value(json_object_get(report, "conversations")), 20);
    int64_t told = json_integer_value(json_object_get(report, "turns"));
    json_decref(report);
    report = NULL;
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded"), 0);
    ck_assert_int_eq(core_prune(v->core, false, core_now_ms(v->core), pruned, &report), 0);
    days(v, 0.1);
    ck_assert_ptr_nonnull(report);
    ck_assert_int_eq(json_integer_value(json_object_get(report, "turns")), told);
    ck_assert_int_eq(json_integer_value(json_object_get(report, "conversations")), 20);
    json_decref(report);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM folded"), 20);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns WHERE type = 'journal.pruned'"), 1);
    no_unexplained_gap(v);
    virtual_free(v);
}
END_TEST

START_TEST(copies_what_comes_meanwhile)
{
    struct virtual *v = opened();
    json_t *report = NULL;
    char name[32], path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "talk-%d", i);
        steps_in(v, name, NULL, "[{\"do\": \"put\", \"key\": \"big\", \"bytes\": 20000}, {\"do\": \"reply\"}]");
    }
    ck_assert_int_eq(core_backup(v->core, pruned, &report), 0);
    ck_assert_int_eq(core_backup(v->core, pruned, &report), CVM_EBUSY);
    core_step(v->core, core_now_ms(v->core) + 1);
    ck_assert_ptr_null(report);
    steps_in(v, "meanwhile", NULL, DECIDES);
    days(v, 0.1);
    ck_assert_ptr_nonnull(report);
    json_decref(report);
    snprintf(path, sizeof path, "%s/data/backup.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db,
                                        "SELECT count(*) FROM contexts WHERE name = 'meanwhile' AND"
                                        " (SELECT integrity_check FROM pragma_integrity_check) = 'ok'",
                                        -1, &st, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_column_int(st, 0), 1);
    sqlite3_finalize(st);
    sqlite3_close(db);
    ck_assert_int_eq(core_backup(v->core, pruned, &report), 0); /* dropped with the core */
    core_step(v->core, core_now_ms(v->core));
    report = NULL;
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keep");
    TCase *c = tcase_create("keep");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, folds_what_is_over);
    tcase_add_test(c, keeps_what_is_needed);
    tcase_add_test(c, goes_on_after_a_crash);
    tcase_add_test(c, counts_before_it_does);
    tcase_add_test(c, copies_what_comes_meanwhile);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
