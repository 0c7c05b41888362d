/* The database and the disk under it: held by another program, full, damaged. Nothing that was answered is lost,
 * nothing is answered that is not kept, and the host goes on by itself where waiting helps. */
#include "flow.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    return f;
}

/* Counts once; what the counter shows then. */
static int64_t count(struct flow *f)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, &a), 200);
    int64_t n = (int64_t)json_integer_value(json_object_get(a.json, "count"));
    flow_answer_free(&a);
    return n;
}

static int health(struct flow *f)
{
    return flow_http(f, "GET", "/health", NULL, NULL, NULL);
}

static bool has(struct flow *f, const char *file, const char *text)
{
    char *all = flow_read(f, file);
    bool found = all && strstr(all, text);
    free(all);
    return found;
}

/* A count with a key, under way in the background; its output is in NAME.txt. */
static void begin_count(struct flow *f, const char *name)
{
    char program[512];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(
        f, name,
        (const char *const[]){program, "faulty", "count", "--key", name, "--timeout", "60", "--home", f->home, NULL});
}

/* While nothing can be kept: refused with a time to come back, and the reason in a sentence. */
static void refuses(struct flow *f, const char *because)
{
    struct flow_answer a;
    FLOW_UNTIL(health(f) == 503);
    ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, &a), 503);
    ck_assert_msg(strstr(a.headers, "Retry-After: 1"), "%s", a.headers);
    ck_assert_msg(strstr(a.text, because), "no \"%s\" in %s", because, a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, NULL), 200);
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "count"), 1);
    ck_assert_msg(strstr(a.errors, because), "no \"%s\" in %s", because, a.errors);
    flow_answer_free(&a);
}

static int lines_with(struct flow *f, const char *text)
{
    char *log = flow_log(f);
    int n = 0;
    for (const char *at = log; (at = strstr(at, text)); at++)
        n++;
    free(log);
    return n;
}

/* ---- held by another program ---- */

static sqlite3 *open_database(struct flow *f)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void sql(sqlite3 *db, const char *text)
{
    char *error = NULL;
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &error) == SQLITE_OK, "%s: %s", text, error ? error : "?");
}

START_TEST(held_for_a_while)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    sqlite3 *db = open_database(f);
    sql(db, "BEGIN IMMEDIATE");
    begin_count(f, "waiting");
    refuses(f, "database is locked; another program holds it");
    ck_assert(!has(f, "waiting.txt", "count"));
    sql(db, "ROLLBACK");
    FLOW_UNTIL(has(f, "waiting.txt", "count: 2")); /* what was taken before is done, once */
    FLOW_UNTIL(health(f) == 200);
    ck_assert_int_eq(count(f), 3);
    ck_assert_int_eq(lines_with(f, "cannot commit"), 1);
    ck_assert_int_eq(lines_with(f, "commits again"), 1);
    ck_assert_int_eq(f->served, 1);
    sqlite3_close(db);
    flow_end(f);
}
END_TEST

/* It stops in time although it cannot keep what waits: it has promised nothing. */
START_TEST(stopped_while_it_is_held)
{
    struct flow *f = home();
    struct flow_answer a;
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    sqlite3 *db = open_database(f);
    sql(db, "BEGIN IMMEDIATE");
    begin_count(f, "waiting");
    refuses(f, "database is locked");
    int64_t begun = flow_now_ms();
    flow_stop(f);
    ck_assert_int_lt(flow_now_ms() - begun, 15000);
    sql(db, "ROLLBACK");
    sqlite3_close(db);
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "count", "--key", "waiting"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "count: 2"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(held_at_start)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    ck_assert_int_eq(flow_stop(f), 0);
    sqlite3 *db = open_database(f);
    sql(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    ck_assert_int_eq(flow_start_status(f, NULL), 1);
    ck_assert_msg(strstr(f->start_errors, "database is locked; another program holds it: end that"), "%s",
                  f->start_errors);
    sqlite3_close(db);
    flow_start(f);
    ck_assert_int_eq(count(f), 2);
    flow_end(f);
}
END_TEST

/* ---- a full disk ---- */

/* A file system of 2 MiB on data/, which only this test and what it starts can see. False where that is not allowed:
 * needs root, or a kernel that lets users have mounts of their own. */
static bool small_disk(struct flow *f)
{
    char path[128], map[64];
    uid_t user = getuid();
    snprintf(path, sizeof path, "%s/data", f->home);
    mkdir(path, 0750);
    if (unshare(user ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0)
        return false;
    if (user) {
        snprintf(map, sizeof map, "%u %u 1", user, user);
        int fd = open("/proc/self/uid_map", O_WRONLY);
        if (fd < 0 || write(fd, map, strlen(map)) < 0)
            return false;
        close(fd);
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", path, "tmpfs", 0, "size=2m,mode=0750") == 0;
}

static void fill_disk(struct flow *f)
{
    char path[128], block[4096] = {1};
    snprintf(path, sizeof path, "%s/data/filler", f->home);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

static void end_disk(struct flow *f)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data", f->home);
    umount2(path, MNT_DETACH);
    flow_free(f);
}

START_TEST(full_disk)
{
    struct flow *f = home();
    if (!small_disk(f)) {
        fprintf(stderr, "full_disk: skipped, a file system of its own cannot be mounted here (needs root)\n");
        flow_free(f);
        return;
    }
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    fill_disk(f);
    begin_count(f, "waiting");
    refuses(f, "database or disk is full");
    ck_assert(!has(f, "waiting.txt", "count"));
    flow_remove(f, "data/filler");
    FLOW_UNTIL(has(f, "waiting.txt", "count: 2"));
    FLOW_UNTIL(health(f) == 200);
    ck_assert_int_eq(count(f), 3);

    /* Killed while it is full: back when there is space, with all that was answered and each key done once. */
    fill_disk(f);
    begin_count(f, "killed");
    refuses(f, "full");
    flow_kill(f, SIGKILL);
    flow_wait_log(f, "the host died (signal 9");
    flow_sleep_ms(300);
    flow_remove(f, "data/filler");
    FLOW_UNTIL(health(f) == 200);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "count", "--key", "killed"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "count: 4"));
    flow_answer_free(&a);
    ck_assert_int_eq(count(f), 5);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select cast(value as integer) from state where key = 'count'"), 5);
    end_disk(f);
}
END_TEST

static void limit_files(struct flow *f, rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(prlimit(f->host, RLIMIT_FSIZE, NULL, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ck_assert_int_eq(prlimit(f->host, RLIMIT_FSIZE, &limit, NULL), 0);
}

/* The same for anybody: the host's files may not grow. */
START_TEST(file_size_limit)
{
    struct flow *f = home();
    struct stat st;
    char path[128];
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    snprintf(path, sizeof path, "%s/data/cvmhost.db-wal", f->home);
    ck_assert_int_eq(stat(path, &st), 0);
    limit_files(f, (rlim_t)st.st_size);
    begin_count(f, "waiting");
    refuses(f, "disk I/O error");
    ck_assert(!has(f, "waiting.txt", "count"));
    limit_files(f, RLIM_INFINITY);
    FLOW_UNTIL(has(f, "waiting.txt", "count: 2"));
    FLOW_UNTIL(health(f) == 200);
    ck_assert_int_eq(count(f), 3);
    ck_assert_int_eq(f->served, 1);
    flow_end(f);
}
END_TEST

/* ---- damage ---- */

/* Overwrites the first page of a table. */
static void damage(struct flow *f, const char *table)
{
    char path[128], text[128], page[4096];
    sqlite3 *db = open_database(f);
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(db);
    snprintf(text, sizeof text, "select rootpage from sqlite_master where name = '%s'", table);
    int64_t root = flow_sql_int(f, text);
    ck_assert_int_gt(root, 1);
    memset(page, 0xa5, sizeof page);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, page, sizeof page, (root - 1) * 4096), (ssize_t)sizeof page);
    close(fd);
}

static struct flow *counted(void)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(count(f), 1);
    ck_assert_int_eq(flow_stop(f), 0);
    return f;
}

START_TEST(damaged_at_start)
{
    static const char *const tables[] = {"turns", "open_items"};
    struct flow *f = counted();
    damage(f, tables[_i]);
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_msg(strstr(f->start_errors, "restore a backup"), "%s", f->start_errors);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "is not started again"));
    flow_free(f);
}
END_TEST

START_TEST(cut_short)
{
    struct flow *f = counted();
    char path[128];
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    ck_assert_int_eq(truncate(path, 5000), 0);
    flow_remove(f, "data/cvmhost.db-wal");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_msg(strstr(f->start_errors, "estore a backup"), "%s", f->start_errors);
    flow_free(f);
}
END_TEST

/* Found only when it is needed: the host ends before an answer leaves, and is not started to end again. */
START_TEST(damaged_in_use)
{
    static const char *const tables[] = {"inbox", "state"};
    struct flow *f = counted();
    damage(f, tables[_i]);
    flow_start(f);
    int status = flow_http(f, "POST", "/test/count", "{}", (const char *const[]){"Idempotency-Key: again", NULL}, NULL);
    ck_assert_int_ne(status, 200);
    ck_assert_int_eq(flow_wait_end(f), 3);
    ck_assert(flow_logged(f, "restore a backup"));
    ck_assert(flow_logged(f, "is not started again"));
    flow_free(f);
}
END_TEST

START_TEST(made_by_a_newer_host)
{
    struct flow *f = counted();
    sqlite3 *db = open_database(f);
    sql(db, "PRAGMA user_version = 900");
    sqlite3_close(db);
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_msg(strstr(f->start_errors, "made by a newer cvmhost (format 900"), "%s", f->start_errors);
    flow_free(f);
}
END_TEST

/* As releases before wrote it: rows in the order of their keys. */
START_TEST(made_by_an_older_host)
{
    static const char as_before[] =
        "PRAGMA legacy_alter_table = ON; BEGIN;"
        "CREATE TABLE c(conversation INTEGER PRIMARY KEY, name TEXT NOT NULL, parent INTEGER NOT NULL,"
        " version INTEGER NOT NULL, opened_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
        " key_id INTEGER NOT NULL DEFAULT 0, doc TEXT NOT NULL); INSERT INTO c SELECT * FROM contexts;"
        "DROP TABLE contexts; ALTER TABLE c RENAME TO contexts;"
        "INSERT INTO contexts VALUES(7, 'seven', 5, 3, 1, 2, 0, '{\"x\":7}');"
        "CREATE INDEX contexts_parent ON contexts(parent) WHERE parent != 0;"
        "CREATE TABLE s(component TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,"
        " turn INTEGER NOT NULL, key_id INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(component, key)) WITHOUT ROWID;"
        "INSERT INTO s SELECT * FROM state; DROP TABLE state; ALTER TABLE s RENAME TO state;"
        "PRAGMA user_version = 9; COMMIT";
    static const char large[] = "CREATE TABLE bulk(v); INSERT INTO bulk VALUES(zeroblob(270000000));"
                                "PRAGMA wal_checkpoint(TRUNCATE)";
    struct flow *f = counted();
    sqlite3 *db = open_database(f);
    sql(db, as_before);
    if (_i)
        sql(db, large);
    sqlite3_close(db);
    flow_start(f);
    ck_assert_int_eq(flow_logged(f, "its rows stay where they are"), _i);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM sqlite_schema WHERE tbl_name IN ('contexts', 'state') AND"
                                     " type = 'table' AND sql LIKE '%UNIQUE%'"),
                     _i ? 0 : 2);
    ck_assert_int_gt(flow_sql_int(f, "PRAGMA user_version"), 9);
    ck_assert_int_eq(count(f), 2);
    ck_assert_int_eq(count(f), 3);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM contexts WHERE conversation = 7 AND name = 'seven' AND"
                                     " parent = 5 AND version = 3 AND ended_ms = 2 AND doc = '{\"x\":7}'"),
                     1);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM audit_log WHERE subject != ''"), 0);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check != 'ok'"), 0);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *h = tcase_create("held"), *d = tcase_create("full"), *b = tcase_create("damaged");
    tcase_set_timeout(h, 60);
    tcase_set_timeout(d, 60);
    tcase_set_timeout(b, 60);
    tcase_add_test(h, held_for_a_while);
    tcase_add_test(h, stopped_while_it_is_held);
    tcase_add_test(h, held_at_start);
    tcase_add_test(d, full_disk);
    tcase_add_test(d, file_size_limit);
    tcase_add_loop_test(b, damaged_at_start, 0, 2);
    tcase_add_test(b, cut_short);
    tcase_add_loop_test(b, damaged_in_use, 0, 2);
    tcase_add_test(b, made_by_a_newer_host);
    tcase_add_loop_test(b, made_by_an_older_host, 0, 2);
    return flow_main("store", (TCase *[]){h, d, b, NULL});
}
