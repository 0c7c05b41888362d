/* What a commit gathers is in the log when readers are told of it: SQLite's own, with a reader beside it. */
#include "core/wal_gather.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS 400
#define GROUPS 12

static char folder[64], path[96];
static sqlite3 *writer, *reader;

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK, "%s: %s", sql, error ? error : "");
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    int step = sqlite3_step(st);
    ck_assert_msg(step == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(db));
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/cvm-gather-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/t.db", folder);
    ck_assert_int_eq(sqlite3_open(path, &writer), SQLITE_OK);
    run(writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                "CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT); CREATE INDEX t_text ON t(text)");
    wal_gather_open(writer);
    ck_assert_int_eq(sqlite3_open(path, &reader), SQLITE_OK);
}

static void tear_down(void)
{
    char command[128];
    sqlite3_close(reader);
    sqlite3_close(writer);
    snprintf(command, sizeof command, "%s-wal", path);
    unlink(command);
    snprintf(command, sizeof command, "%s-shm", path);
    unlink(command);
    unlink(path);
    rmdir(folder);
}

static void write_group(int group, const char *end)
{
    char sql[256];
    wal_gather(writer, true);
    run(writer, "BEGIN IMMEDIATE");
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
             " INSERT INTO t(text) SELECT hex(randomblob(300 + i)) || ' %d' FROM c",
             ROWS, group);
    run(writer, sql);
    run(writer, end);
    wal_gather(writer, false);
}

/* `cache` pages: with few of them a transaction reads back what it has gathered. */
static void groups_with_cache(int cache)
{
    char sql[64];
    int64_t rows = 0;
    snprintf(sql, sizeof sql, "PRAGMA cache_size = %d", cache);
    run(writer, sql);
    for (int i = 0; i < GROUPS; i++) {
        bool kept = i % 3 != 1;
        write_group(i, kept ? "COMMIT" : "ROLLBACK");
        rows += kept ? ROWS : 0;
        ck_assert_int_eq(number(reader, "SELECT count(*) FROM t"), rows);
        if (i % 4 == 3) { /* as the journal prunes: no sync, nothing gathered */
            run(writer, "PRAGMA synchronous = NORMAL; UPDATE t SET text = 'x' || text WHERE n % 7 = 0;"
                        "PRAGMA synchronous = FULL");
            ck_assert_int_gt(number(reader, "SELECT count(*) FROM t WHERE text LIKE 'x%'"), 0);
        }
        ck_assert_int_eq(number(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        if (i % 5 == 4)
            run(writer, "PRAGMA wal_checkpoint(PASSIVE)");
    }
    run(writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    ck_assert_int_eq(number(reader, "SELECT count(*) FROM t"), rows);
}

START_TEST(readers_see_what_is_committed)
{
    groups_with_cache(2000);
}
END_TEST

START_TEST(a_transaction_reads_its_own)
{
    groups_with_cache(10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_gather");
    TCase *c = tcase_create("groups");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, readers_see_what_is_committed);
    tcase_add_test(c, a_transaction_reads_its_own);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
