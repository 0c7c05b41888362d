/* The audit from outside: the chain is checked beside a host at work and in a home without one; who changes a row is
 * found; what happened to the host is listed. The script of docs/howto/audit.md comes to the same. */
#include "flow.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TABLE "--output", "table"
#define LINES 20000

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    return f;
}

static void sql(struct flow *f, const char *text)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* As `audit head` shows it: "seq:hash". */
static void head(struct flow *f, char ret_head[128])
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "audit", "head", "--output", "json"), 0);
    snprintf(ret_head, 128, "%s", json_string_value(json_object_get(a.json, "head")));
    flow_answer_free(&a);
}

static json_t *verify(struct flow *f, int status)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "audit", "verify", "--output", "json"), status);
    json_t *verdict = json_incref(a.json);
    flow_answer_free(&a);
    return verdict;
}

static int64_t member(const json_t *verdict, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(verdict, name));
}

/* ---- beside a host at work ---- */

static bool is_done(pid_t pid)
{
    return kill(pid, 0) < 0;
}

START_TEST(is_checked_beside_a_host_at_work)
{
    struct flow *f = home();
    char path[128], program[512], first[128];
    flow_start(f);
    EXPECT(f, 0, "count: 1", "faulty", "count");
    head(f, first);
    snprintf(path, sizeof path, "%s/lines", f->home);
    FILE *lines = fopen(path, "w");
    for (int i = 0; i < LINES; i++)
        fputs("{}\n", lines);
    fclose(lines);
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    pid_t pid = flow_spawn(
        f, "load",
        (const char *const[]){program, "faulty", "count", "--file", path, "--parallel", "16", "--home", f->home, NULL});
    int checks = 0;
    for (int64_t rows = 0, before; rows < LINES / 2; checks++) {
        before = rows;
        json_t *verdict = verify(f, 0);
        ck_assert(json_is_true(json_object_get(verdict, "holds")));
        rows = member(verdict, "rows");
        ck_assert_int_ge(rows, before);
        json_decref(verdict);
        EXPECT(f, 0, "the chain holds", "audit", "verify", "--against", first, TABLE);
    }
    ck_assert_int_ge(checks, 2);
    FLOW_UNTIL(is_done(pid) || flow_sql_int(f, "select max(seq) from turns") > LINES);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from open_items") == 0);
    json_t *verdict = verify(f, 0);
    printf("%lld rows checked, %lld a second, %d checks under load\n", (long long)member(verdict, "rows"),
           (long long)member(verdict, "rows_per_s"), checks);
    json_decref(verdict);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--since", "1m", TABLE);
    flow_end(f);
}
END_TEST

/* ---- who changes a row is found ---- */

START_TEST(a_change_is_found)
{
    struct flow *f = home();
    char before[128], forged[128];
    EXPECT(f, 4, "has a host run in this home", "audit", "verify");
    EXPECT(f, 4, "has a host run in this home", "audit", "head");
    flow_start(f);
    for (int i = 0; i < 5; i++)
        EXPECT(f, 0, "count:", "faulty", "count");
    head(f, before);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--against", before, TABLE);
    ck_assert_int_eq(flow_stop(f), 0);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--against", before, TABLE);
    snprintf(forged, sizeof forged, "%s", before);
    forged[strlen(forged) - 1] = forged[strlen(forged) - 1] == '0' ? '1' : '0';
    EXPECT(f, 1, "is not the one whose head was given", "audit", "verify", "--against", forged, TABLE);
    EXPECT(f, 2, "--against: expected a head", "audit", "verify", "--against", "7:abc");
    EXPECT(f, 2, "--from: expected the number", "audit", "verify", "--from", "x");
    EXPECT(f, 2, "--since: expected a time", "audit", "verify", "--since", "yesterday");
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--since", "2020-01-31", TABLE);
    /* a host that goes on does not heal it */
    int64_t seq = flow_sql_int(f, "select min(seq) from turns where component = 'test.faulty' and type = 'count'");
    char text[200], said[64];
    snprintf(text, sizeof text, "UPDATE turns SET outcome = 'REFUSED' WHERE seq = %lld", (long long)seq);
    sql(f, text);
    snprintf(said, sizeof said, "the row %lld was changed (20", (long long)seq);
    EXPECT(f, 1, said, "audit", "verify", TABLE);
    EXPECT(f, 1, "count of test.faulty)", "audit", "verify", TABLE);
    flow_start(f);
    EXPECT(f, 0, "count:", "faulty", "count");
    json_t *verdict = verify(f, 1), *fault = json_object_get(verdict, "fault");
    ck_assert_str_eq(json_string_value(json_object_get(fault, "fault")), "changed");
    ck_assert_int_eq(member(fault, "seq"), seq);
    ck_assert_str_eq(json_string_value(json_object_get(fault, "component")), "test.faulty");
    json_decref(verdict);
    snprintf(text, sizeof text, "%lld", (long long)seq + 1);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--from", text, TABLE); /* which believes what is before */
    ck_assert_int_eq(flow_stop(f), 0);
    snprintf(text, sizeof text, "DELETE FROM turns WHERE seq = %lld", (long long)seq);
    sql(f, text);
    snprintf(said, sizeof said, "the row %lld was removed", (long long)seq);
    EXPECT(f, 1, said, "audit", "verify", TABLE);
    flow_write(f, "data/cvmhost.db", "no database at all");
    EXPECT(f, 3, "restore a backup", "audit", "verify");
    flow_free(f);
}
END_TEST

/* ---- the script of the documentation ---- */

static int python(struct flow *f, const char *name, const char *argument)
{
    char command[512];
    snprintf(command, sizeof command, "cd '%s' && python3 %s data/cvmhost.db %s >script.txt 2>&1", f->home, name,
             argument);
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* The blocks of a page in one language, as a file of the home. */
static void take_blocks(struct flow *f, const char *page, const char *language, const char *name)
{
    char line[1024], path[128], mark[32];
    bool inside = false;
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    snprintf(mark, sizeof mark, "```%s\n", language);
    FILE *from = fopen(flow_source(page), "r"), *to = fopen(path, "w");
    ck_assert(from && to);
    while (fgets(line, sizeof line, from)) {
        if (strncmp(line, "```", 3) == 0)
            inside = !inside && strcmp(line, mark) == 0;
        else if (inside)
            n += fputs(line, to) >= 0;
    }
    fclose(from);
    fclose(to);
    ck_assert_int_gt(n, 10);
}

static int script(struct flow *f, const char *head_given)
{
    return python(f, "verify.py", head_given);
}

/* What pruning leaves of the rows 1, 2 and 4. */
static const char prune_py[] =
    "exec(open('verify.py').read().split('db = ')[0])\n"
    "db = sqlite3.connect(sys.argv[1])\n"
    "columns = 'seq, at_ms, conversation, component, message, type, sender, outcome, us, build, key_id, record'\n"
    "row = db.execute('SELECT ' + columns + ' FROM turns WHERE seq = 4').fetchone()\n"
    "db.execute('INSERT INTO audit_stubs VALUES(4, ?)', (sha(*map(encode, row)),))\n"
    "db.execute(\"INSERT INTO audit_anchors SELECT 1, 2, 2, chain, at_ms, 'pruned' FROM turns WHERE seq = 2\")\n"
    "db.execute('DELETE FROM turns WHERE seq IN (1, 2, 4)')\n"
    "db.commit()\n";

START_TEST(others_can_check_it)
{
    struct flow *f = home();
    char shown[128];
    take_blocks(f, "docs/howto/audit.md", "python", "verify.py");
    flow_write(f, "prune.py", prune_py);
    flow_start(f);
    for (int i = 0; i < 5; i++)
        EXPECT(f, 0, "count:", "faulty", "count");
    head(f, shown);
    ck_assert_int_eq(script(f, shown), 0);
    char *said = flow_read(f, "script.txt");
    ck_assert_msg(strncmp(said, shown, strlen(shown)) == 0, "%s is not %s", said, shown);
    free(said);
    ck_assert_int_ne(script(f, "1:00"), 0);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(script(f, shown), 0);
    ck_assert_int_eq(python(f, "prune.py", ""), 0);
    EXPECT(f, 0, ", 3 pruned", "audit", "verify", "--against", shown, TABLE);
    ck_assert_int_eq(script(f, shown), 0);
    sql(f, "UPDATE turns SET us = us + 1 WHERE seq = 5");
    ck_assert_int_ne(script(f, ""), 0);
    said = flow_read(f, "script.txt");
    ck_assert_msg(strstr(said, "row 5 does not fit"), "%s", said);
    free(said);
    flow_free(f);
}
END_TEST

/* ---- receipts ---- */

static json_t *events(struct flow *f, const char *what)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "audit", "events", "--what", what, "--output", "json"), 0);
    json_t *rows = json_incref(a.json);
    flow_answer_free(&a);
    return rows;
}

static size_t count_events(struct flow *f, const char *what)
{
    json_t *rows = events(f, what);
    size_t n = json_array_size(rows);
    json_decref(rows);
    return n;
}

static const char *data_of(const json_t *rows, size_t i, const char *name)
{
    const char *text = json_string_value(json_object_get(json_object_get(json_array_get(rows, i), "data"), name));
    return text ? text : "";
}

START_TEST(what_happens_to_the_host_leaves_receipts)
{
    struct flow *f = home();
    flow_plugin(f, "secretive");
    flow_env(f, "TEST_OTHER_SECRET", "hush-other");
    flow_start(f);
    EXPECT(f, 0, "\"got\":false", "secretive", "ask", "TEST_OTHER_SECRET", "--output", "json");
    EXPECT(f, 0, "written: true", "state", "put", "test.faulty", "count", "41");
    for (int i = 0; i < 100 && !flow_logged(f, "out of service"); i++) /* inside the host, then outside of it */
        EXPECT(f, 1, "", "agent", "call", "test.faulty", "fault");
    EXPECT(f, 0, "revived: true", "plugin", "revive", "test.faulty");
    EXPECT(f, 0, "disabled", "plugin", "disable", "secretive", TABLE);
    EXPECT(f, 1, "", "agent", "call", "test.faulty", "crash");
    flow_wait_serving(f);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    ck_assert_int_eq(flow_stop(f), 0);
    json_t *rows = events(f, "host.died");
    ck_assert_uint_ge(json_array_size(rows), 2);
    ck_assert_str_eq(data_of(rows, 0, "component"), "test.faulty");
    ck_assert_int_eq(strncmp(data_of(rows, 0, "message"), "MSG-", 4), 0);
    ck_assert_ptr_nonnull(strstr(data_of(rows, 0, "how"), "signal"));
    ck_assert_ptr_nonnull(strstr(data_of(rows, json_array_size(rows) - 1, "how"), "signal 9"));
    json_decref(rows);
    rows = events(f, "secret.refused");
    ck_assert_uint_eq(json_array_size(rows), 1);
    ck_assert_str_eq(data_of(rows, 0, "secret"), "TEST_OTHER_SECRET");
    json_decref(rows);
    rows = events(f, "state.edited");
    ck_assert_str_eq(data_of(rows, 0, "by"), "operator");
    EXPECT(f, 0, "edited by the operator", "why", data_of(rows, 0, "message"));
    json_decref(rows);
    static const char *const whats[] = {"component.down", "plugin.quarantined", "plugin.disabled", "host.stopped"};
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        rows = events(f, whats[i]);
        ck_assert_msg(json_array_size(rows) == 1, "%s: %zu", whats[i], json_array_size(rows));
        json_decref(rows);
    }
    EXPECT(f, 0, "plugin.quarantined", "audit", "events", "--since", "1h", TABLE);
    EXPECT(f, 0, "how signal 9", "audit", "events", "--limit", "3", TABLE);
    EXPECT(f, 0, "the chain holds", "audit", "verify", TABLE);
    EXPECT(f, 2, "--limit: expected", "audit", "events", "--limit", "0");
    /* the page of the supervisor is gone with it: the next start still knows */
    size_t starts = count_events(f, "host.started");
    flow_start(f);
    FLOW_UNTIL(count_events(f, "host.started") > starts); /* it is durable a moment after the host serves */
    kill(f->pid, SIGKILL);
    ck_assert_int_eq(flow_wait_end(f), 128 + SIGKILL);
    flow_start(f);
    ck_assert_int_eq(flow_stop(f), 0);
    rows = events(f, "host.died");
    ck_assert_ptr_nonnull(strstr(data_of(rows, json_array_size(rows) - 1, "how"), "not known"));
    json_decref(rows);
    flow_free(f);
}
END_TEST

/* ---- who did what ---- */

static size_t listed(struct flow *f, const char *option, const char *value)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "audit", "log", option, value, "--output", "json"), 0);
    size_t n = json_array_size(a.json);
    flow_answer_free(&a);
    return n;
}

START_TEST(turns_are_listed_by_what_they_are)
{
    struct flow *f = home();
    flow_start(f);
    for (int i = 0; i < 4; i++)
        EXPECT(f, 0, "count:", "faulty", "count");
    EXPECT(f, 5, "refused", "faulty", "refuse");
    ck_assert_uint_eq(listed(f, "--action", "count"), 4);
    ck_assert_uint_eq(listed(f, "--outcome", "REFUSED"), 1);
    ck_assert_uint_eq(listed(f, "--agent", "test.none"), 0);
    ck_assert_uint_ge(listed(f, "--agent", "test.faulty"), 5);
    ck_assert_uint_eq(listed(f, "--limit", "2"), 2);
    ck_assert_uint_ge(listed(f, "--since", "1h"), 5);
    ck_assert_uint_eq(listed(f, "--since", "2100-01-01T00:00Z"), 0);
    json_t *row = flow_sql(f, "select subject from audit_log where action = 'refuse'");
    ck_assert_uint_eq(listed(f, "--subject", json_string_value(json_object_get(json_array_get(row, 0), "subject"))), 1);
    json_decref(row);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_uint_eq(listed(f, "--action", "count"), 4); /* the file needs no host */
    EXPECT(f, 0, "test.faulty", "audit", "log", TABLE);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("chain"), *r = tcase_create("receipts");
    tcase_set_timeout(c, 120);
    tcase_set_timeout(r, 120);
    tcase_add_test(c, is_checked_beside_a_host_at_work);
    tcase_add_test(c, a_change_is_found);
    tcase_add_test(c, others_can_check_it);
    tcase_add_test(r, what_happens_to_the_host_leaves_receipts);
    tcase_add_test(r, turns_are_listed_by_what_they_are);
    return flow_main("chain", (TCase *[]){c, r, NULL});
}
