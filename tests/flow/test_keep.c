/* The journal in the long run, on a real host: what is folded is still explained; a backup made under load restores to
 * the same; neither holds the host up; damage is named. CVM_KEEP_CALLS calls under load, many in the soak. */
#include "flow.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTED                                                                                                          \
    "{\"steps\":[{\"do\":\"note\",\"value\":{\"chose\":\"left\"}},{\"do\":\"set\",\"path\":\"/x\",\"value\":7},"       \
    "{\"do\":\"reply\"}]}"

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "courier");
    flow_plugin(f, "faulty");
    flow_start(f);
    return f;
}

static int64_t calls(void)
{
    const char *text = getenv("CVM_KEEP_CALLS");
    return text ? strtoll(text, NULL, 10) : 300;
}

/* A folder beside the home, which goes with it. */
static char *beside(struct flow *f, const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    return path;
}

static void prune_all(struct flow *f)
{
    flow_sleep_ms(20);
    char before[32];
    time_t now = time(NULL);
    strftime(before, sizeof before, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    EXPECT(f, 0, "pruned", "journal", "prune", "--now", "--before", before);
}

START_TEST(folded_is_still_explained)
{
    struct flow *f = home();
    for (int i = 0; i < 3; i++)
        json_decref(flow_call(f, "test.courier", "run", NOTED, NULL));
    json_t *rows = flow_sql(f, "SELECT name FROM contexts ORDER BY opened_ms LIMIT 1");
    const char *name = json_string_value(json_object_get(json_array_get(rows, 0), "name"));
    flow_sleep_ms(1100); /* --before is in seconds */
    json_decref(flow_call(f, "test.courier", "run", NOTED, NULL));
    EXPECT(f, 2, "--dry-run", "journal", "prune");
    EXPECT(f, 2, "expected a day", "journal", "prune", "--now", "--before", "soon");
    EXPECT(f, 2, "in the future", "journal", "prune", "--now", "--before", "2999-01-01");
    EXPECT(f, 0, "0 conversations would be folded", "journal", "prune", "--dry-run");
    prune_all(f);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM folded"), 3);
    EXPECT(f, 0, "folded on 20", "why", name);
    EXPECT(f, 0, "chose left", "why", name);
    EXPECT(f, 0, "folded_at: 20", "conversation", "show", name);
    EXPECT(f, 0, "turns_pruned: ", "journal", "stats");
    EXPECT(f, 0, "nothing found", "db", "check", "--deep");
    EXPECT(f, 0, "the chain holds", "audit", "verify");
    json_decref(rows);
    flow_end(f);
}
END_TEST

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Requests one after the other; gives the 99th percentile of their times. */
static int64_t p99_us(struct flow *f, int64_t n)
{
    int64_t *us = calloc((size_t)n, sizeof *us);
    for (int64_t i = 0; i < n; i++) {
        int64_t begun = flow_now_us();
        ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, NULL), 200);
        us[i] = flow_now_us() - begun;
    }
    qsort(us, (size_t)n, sizeof *us, by_value);
    int64_t found = us[n * 99 / 100];
    free(us);
    return found;
}

/* Backup after backup, prune after prune, in a process of its own; the last backup stays as "DIR". */
static pid_t keep_busy(struct flow *f, const char *dir)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    char part[200];
    for (int i = 0;; i++) {
        snprintf(part, sizeof part, "%s-%d", dir, i);
        if (FLOW_RUN(f, NULL, "backup", part) != 0)
            _exit(1);
        time_t now = time(NULL);
        char before[32];
        strftime(before, sizeof before, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
        if (FLOW_RUN(f, NULL, "journal", "prune", "--now", "--before", before) != 0)
            _exit(2);
    }
}

START_TEST(holds_nothing_up_and_restores_the_same)
{
    struct flow *f = home(), *g = flow_new();
    char dir[160], part[200];
    int status = 0;
    snprintf(dir, sizeof dir, "%s/backup", f->home);
    p99_us(f, calls()); /* warm */
    int64_t alone = p99_us(f, calls());
    pid_t pid = keep_busy(f, dir);
    int64_t kept = p99_us(f, calls());
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM folded") > 0);
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    fprintf(stderr, "p99 %lld us alone, %lld us beside backup and prune\n", (long long)alone, (long long)kept);
    if (getenv("CVM_KEEP_CALLS")) /* a check runs beside other tests; the soak has the machine to itself */
        ck_assert_msg(kept <= alone * 3 / 2 + 1000, "p99 %lld us alone, %lld us beside", (long long)alone,
                      (long long)kept);
    /* one that is quiet, and what it restores to */
    const char *const key[] = {"Idempotency-Key: the-key", NULL};
    struct flow_answer first, again;
    ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", key, &first), 200);
    snprintf(part, sizeof part, "%s-last", dir);
    int64_t turns = flow_sql_int(f, "SELECT max(seq) FROM turns");
    EXPECT(f, 0, "the database up to turn", "backup", part);
    EXPECT(f, 5, "is there already", "backup", part);
    int64_t count = flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'count'");
    EXPECT(f, 5, "stop it first", "restore", part, "--force");
    ck_assert_int_eq(flow_stop(f), 0);
    EXPECT(f, 5, "say --force", "restore", part);
    EXPECT(g, 0, "restored as of", "restore", part, "--force");
    EXPECT(g, 0, "turn", "db", "check", "--deep");
    ck_assert_int_ge(flow_sql_int(g, "SELECT max(seq) FROM turns"), turns); /* a receipt of the backup may be in it */
    flow_start(g);
    ck_assert_int_eq(flow_sql_int(g, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'count'"), count);
    ck_assert_int_eq(flow_http(g, "POST", "/test/count", "{}", key, &again), 200);
    ck_assert_str_eq(again.text, first.text); /* not counted again */
    ck_assert_int_eq(flow_sql_int(g, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'count'"), count);
    flow_answer_free(&first);
    flow_answer_free(&again);
    flow_end(g);
    flow_free(f);
}
END_TEST

/* Bytes in the middle of the file become others. */
static void damage(const char *path)
{
    FILE *file = fopen(path, "r+e");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    for (long at = 4096; at < size; at += 4096) {
        fseek(file, at, SEEK_SET);
        fputs("these bytes were something else before", file);
    }
    fclose(file);
}

START_TEST(damage_is_named)
{
    struct flow *f = home();
    char part[200], database[240];
    for (int i = 0; i < 20; i++)
        json_decref(flow_call(f, "test.courier", "run", NOTED, NULL));
    EXPECT(f, 0, "nothing found", "db", "check");
    snprintf(part, sizeof part, "%s", beside(f, "backup"));
    EXPECT(f, 0, "turn", "backup", part);
    snprintf(database, sizeof database, "%s/cvmhost.db", part);
    EXPECT(f, 0, "nothing found", "db", "check", database, "--deep");
    ck_assert_int_eq(flow_stop(f), 0);
    damage(database);
    EXPECT(f, 3, "restore a backup", "db", "check", database);
    EXPECT(f, 3, ".recover", "db", "check", database, "--repair-advice");
    EXPECT(f, 3, "is not what it was when the backup was made", "restore", part, "--force");
    EXPECT(f, 4, "no database", "db", "check", beside(f, "nothing.db"));
    /* rows that no page tells of */
    EXPECT(f, 0, "nothing found", "db", "check");
    snprintf(database, sizeof database, "%s/data/cvmhost.db", f->home);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(database, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "DELETE FROM turns WHERE seq IN (4, 5); UPDATE contexts SET doc = '{\"x\":8}' WHERE"
                                  " rowid = (SELECT min(rowid) FROM contexts);"
                                  "INSERT INTO open_items VALUES(99999, 'nothing', '{}')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    EXPECT(f, 1, "turns 4 to 5 (2 of them not accounted for)", "db", "check");
    EXPECT(f, 1, "is not what its turns made it", "db", "check");
    EXPECT(f, 1, "something open cannot be read", "db", "check");
    flow_free(f);
}
END_TEST

START_TEST(logs_are_opened_anew)
{
    struct flow *f = home();
    char from[200], to[200];
    snprintf(from, sizeof from, "%s", beside(f, "logs/cvmhost.log"));
    snprintf(to, sizeof to, "%s", beside(f, "logs/cvmhost.log.1"));
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_int_eq(kill(f->host, SIGHUP), 0);
    char *text = NULL;
    FLOW_UNTIL((free(text), text = flow_read(f, "logs/cvmhost.log")) && strstr(text, "SIGHUP"));
    free(text);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("keep");
    tcase_set_timeout(c, getenv("CVM_KEEP_CALLS") ? 900 : 120);
    tcase_add_test(c, folded_is_still_explained);
    tcase_add_test(c, holds_nothing_up_and_restores_the_same);
    tcase_add_test(c, damage_is_named);
    tcase_add_test(c, logs_are_opened_anew);
    return flow_main("keep", (TCase *[]){c, NULL});
}
