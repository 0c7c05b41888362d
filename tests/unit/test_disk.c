/* The disk of the simulation: what is synced survives each crash, what is not is there, missing or torn and never more
 * than that; and what the store says of a disk that cannot be read. */
#include "core/internal.h"
#include "sim/disk.h"

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>

#define FOLDER "/nowhere/test_disk"
#define FILE_NAME FOLDER "/a.db"
#define ROUNDS 60

static sqlite3 *open_file(void)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open_v2(FILE_NAME, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                  "PRAGMA wal_autocheckpoint = 20; CREATE TABLE IF NOT EXISTS t(n, pad)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

static int one(sqlite3 *db, const char *sql, char *ret_text, size_t size)
{
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    if (ret_text)
        snprintf(ret_text, size, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return n;
}

START_TEST(what_is_synced_survives)
{
    struct disk *d = disk_new(FOLDER, 77);
    char sql[160], text[64];
    int kept = 0, lost = 0, cuts = 0;
    ck_assert_ptr_nonnull(d);
    for (int round = 0; round < ROUNDS; round++) {
        sqlite3 *db = open_file();
        int n = one(db, "SELECT count(*) FROM t", NULL, 0);
        ck_assert_msg(n == kept || n == kept + 1, "%d rows, %d were committed", n, kept);
        lost += n == kept;
        kept = n;
        one(db, "PRAGMA integrity_check", text, sizeof text);
        ck_assert_str_eq(text, "ok");
        disk_cut_after(d, 3 + (uint64_t)round % 17);
        for (int i = 0; i < 6; i++) {
            snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d, randomblob(6000))", i);
            if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
                break;
            kept++;
        }
        cuts += disk_is_cut(d);
        disk_cut_after(d, 0);
        sqlite3_close(db);
        disk_power(d);
    }
    ck_assert_int_gt(cuts, ROUNDS / 2);
    ck_assert_int_gt(lost, 0);
    disk_free(d);
}
END_TEST

static int never(void *arg, int64_t no, const char *kind, json_t *doc)
{
    (void)arg;
    (void)no;
    (void)kind;
    (void)doc;
    return 0;
}

/* Only damage ends the host; a read that failed may go well the next time. */
START_TEST(a_read_that_failed_is_no_damage)
{
    struct disk *d = disk_new(FOLDER, 78);
    struct store *store = NULL;
    char error[256];
    ck_assert_ptr_nonnull(d);
    ck_assert_int_eq(store_open(FILE_NAME, true, &store, error, sizeof error), 0);
    ck_assert_int_eq(store_migrate(store, error, sizeof error), 0);
    store_close(store);
    ck_assert_int_eq(store_open(FILE_NAME, true, &store, error, sizeof error), 0);
    disk_fail(d, DISK_IO_READ, 100);
    ck_assert_int_eq(store_each_open(store, NULL, never, NULL), CVM_EIO);
    disk_fail(d, DISK_GOOD, 0);
    ck_assert_int_eq(store_each_open(store, NULL, never, NULL), 0);
    store_close(store);
    disk_free(d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("disk");
    TCase *c = tcase_create("disk");
    tcase_add_test(c, what_is_synced_survives);
    tcase_add_test(c, a_read_that_failed_is_no_damage);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
