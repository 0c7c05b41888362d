/* The hash chain over the turns: each way of tampering with them is found and named; pruning and old databases leave it
 * checkable; receipts of the host are turns like others. */
#include "core/audit_verify.h"
#include "core/internal.h"
#include "core/store.h"
#include "files.h"
#include "virtual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUTS 24

struct book {
    struct virtual *v;
    char path[128], copy[160];
    sqlite3 *db; /* of the copy */
    struct audit_place head;
};

static void exec(sqlite3 *db, const char *sql)
{
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

static void work(struct virtual *v, int n)
{
    struct answer_seen seen = {0};
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(virtual_call(v, "test.faulty", "count", json_object(), &seen), CVM_REPLIED);
    json_decref(seen.data);
}

static struct audit_verdict check_db(sqlite3 *db, const struct audit_check *check)
{
    struct audit_verdict verdict;
    char error[256] = "";
    ck_assert_msg(audit_verify(db, check, &verdict, error, sizeof error) == 0, "%s", error);
    return verdict;
}

static void open_copy(struct book *b)
{
    sqlite3_close(b->db);
    files_copy(b->path, b->copy);
    ck_assert_int_eq(sqlite3_open(b->copy, &b->db), SQLITE_OK);
}

/* A home with some turns, closed; what is tampered with is a copy of its database. */
static struct book *book_new(void)
{
    struct book *b = calloc(1, sizeof *b);
    b->v = virtual_new((const char *const[]){"faulty", NULL}, NULL);
    snprintf(b->path, sizeof b->path, "%s/data/cvmhost.db", b->v->home);
    snprintf(b->copy, sizeof b->copy, "%s.copy", b->path);
    virtual_open(b->v);
    work(b->v, INPUTS);
    virtual_close(b->v);
    open_copy(b);
    ck_assert_int_eq(audit_read_head(b->db, &b->head), 0);
    ck_assert_int_ge(b->head.seq, INPUTS);
    return b;
}

static void book_free(struct book *b)
{
    sqlite3_close(b->db);
    virtual_free(b->v);
    free(b);
}

/* Tampers with a fresh copy, and expects this to be found, at this row. */
static void expect(struct book *b, const char *sql, enum audit_fault fault, int64_t seq)
{
    const struct audit_check check = {0};
    open_copy(b);
    exec(b->db, sql);
    struct audit_verdict v = check_db(b->db, &check);
    ck_assert_msg(v.fault == fault && v.seq == seq, "%s: %s at %lld: %s", sql, audit_fault_name(v.fault),
                  (long long)v.seq, v.text);
    ck_assert_msg(fault == AUDIT_HOLDS || *v.text, "%s: no sentence", sql);
}

START_TEST(holds_as_written)
{
    struct book *b = book_new();
    struct audit_check check = {0};
    struct audit_verdict v = check_db(b->db, &check);
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_eq(v.rows, b->head.seq);
    ck_assert_int_eq(v.first_seq, 1);
    ck_assert_int_eq(v.pruned + v.outside + v.stubs, 0);
    ck_assert_int_eq(number(b->db, "SELECT max(seq) FROM turns"), v.head.seq);
    check.from_seq = 10;
    v = check_db(b->db, &check);
    ck_assert_int_eq(v.fault, AUDIT_HOLDS);
    ck_assert_int_eq(v.rows, b->head.seq - 9);
    /* another life of the host goes on where the one before ended */
    virtual_open(b->v);
    work(b->v, 3);
    virtual_close(b->v);
    open_copy(b);
    v = check_db(b->db, &(struct audit_check){.against = &b->head});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_ge(v.rows, b->head.seq + 3);
    book_free(b);
}
END_TEST

START_TEST(finds_a_change_in_each_column)
{
    static const char *const changes[] = {
        "at_ms = at_ms + 1", "conversation = conversation + 1", "component = component || 'x'",
        "component = upper(component)", "message = zeroblob(16)", "message = NULL", "type = 'cound'", "sender = 'x'",
        "outcome = 'ERROR'", "us = us + 1", "us = us + 0.5", "build = substr(build, 2)", "key_id = 1",
        "record = replace(record, '1', '2')", "record = record || ' '", "record = CAST(record AS BLOB)",
        /* the same bytes, cut elsewhere */
        "component = component || substr(type, 1, 1), type = substr(type, 2)", "chain = zeroblob(32)", "chain = x'00'",
        "chain = NULL"};
    struct book *b = book_new();
    char sql[256];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const int64_t rows[] = {1, 9, b->head.seq - 1, b->head.seq};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            /* a row that a client caused: the host's own have no such type */
            snprintf(sql, sizeof sql, "UPDATE turns SET %s WHERE seq = %lld", changes[i], (long long)rows[k]);
            expect(b, sql, AUDIT_CHANGED, rows[k]);
        }
    }
    struct audit_verdict v = check_db(b->db, &(struct audit_check){0});
    ck_assert_str_eq(v.component, "test.faulty");
    ck_assert_str_eq(v.type, "count");
    ck_assert_int_gt(v.at_ms, 0);
    book_free(b);
}
END_TEST

START_TEST(finds_what_is_gone)
{
    struct book *b = book_new();
    char sql[256];
    expect(b, "DELETE FROM turns WHERE seq = 5", AUDIT_REMOVED, 5);
    expect(b, "DELETE FROM turns WHERE seq BETWEEN 5 AND 8", AUDIT_REMOVED, 5);
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){0}).last_seq, 8);
    expect(b, "DELETE FROM turns WHERE seq = 1", AUDIT_REMOVED, 1);
    expect(b, "DELETE FROM turns", AUDIT_REMOVED, 1);
    expect(b, "UPDATE turns SET seq = seq + 1000 WHERE seq = 5", AUDIT_REMOVED, 5);
    expect(b,
           "DELETE FROM turns WHERE seq = 5; UPDATE turns SET seq = -seq WHERE seq > 5;"
           "UPDATE turns SET seq = -seq - 1 WHERE seq < 0; UPDATE audit_head SET seq = seq - 1",
           AUDIT_REMOVED, 5);
    /* the end */
    snprintf(sql, sizeof sql, "DELETE FROM turns WHERE seq > %lld", (long long)b->head.seq - 3);
    expect(b, sql, AUDIT_REMOVED, b->head.seq - 2);
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){0}).last_seq, b->head.seq);
    /* the end with its head: nothing here tells, what was written down elsewhere does */
    snprintf(sql, sizeof sql,
             "DELETE FROM turns WHERE seq > %lld;"
             "UPDATE audit_head SET (seq, chain) = (SELECT seq, chain FROM turns ORDER BY seq DESC LIMIT 1)",
             (long long)b->head.seq - 3);
    expect(b, sql, AUDIT_HOLDS, 0);
    struct audit_verdict v = check_db(b->db, &(struct audit_check){.against = &b->head});
    ck_assert_int_eq(v.fault, AUDIT_REMOVED);
    ck_assert_int_eq(v.last_seq, b->head.seq);
    book_free(b);
}
END_TEST

#define COPY_OF                                                                                                        \
    " SELECT at_ms, conversation, component, message, type, sender, outcome, us, build, key_id, record, chain"         \
    " FROM turns WHERE seq = "
#define INSERT_AT(seq)                                                                                                 \
    "INSERT INTO turns(seq, at_ms, conversation, component, message, type, sender, outcome, us, build, key_id, record" \
    ", chain) SELECT " seq ", * FROM (" COPY_OF "4)"

START_TEST(finds_what_came_in)
{
    struct book *b = book_new();
    static const char shift[] =
        "UPDATE turns SET seq = -seq WHERE seq >= 7; UPDATE turns SET seq = 1 - seq WHERE seq < 0;"
        "UPDATE audit_head SET seq = seq + 1;";
    char sql[1024];
    expect(b, INSERT_AT("(SELECT max(seq) + 1 FROM turns)"), AUDIT_INSERTED, b->head.seq + 1);
    expect(b, INSERT_AT("0"), AUDIT_INSERTED, 0);
    expect(b, INSERT_AT("-5"), AUDIT_INSERTED, -5);
    snprintf(sql, sizeof sql, "%s%s", shift, INSERT_AT("7"));
    expect(b, sql, AUDIT_INSERTED, 7);
    /* before the last */
    snprintf(sql, sizeof sql, "UPDATE turns SET seq = seq + 1 WHERE seq = %lld; %s", (long long)b->head.seq,
             INSERT_AT("(SELECT max(seq) - 1 FROM turns)"));
    expect(b, sql, AUDIT_INSERTED, b->head.seq);
    book_free(b);
}
END_TEST

static void swap_sql(int64_t a, int64_t b, char *sql, size_t size)
{
    snprintf(sql, size,
             "UPDATE turns SET seq = -1 WHERE seq = %lld; UPDATE turns SET seq = %lld WHERE seq = %lld;"
             "UPDATE turns SET seq = %lld WHERE seq = -1",
             (long long)a, (long long)a, (long long)b, (long long)b);
}

START_TEST(finds_another_order)
{
    struct book *b = book_new();
    char sql[1024];
    const int64_t pairs[][2] = {{5, 9}, {5, 6}, {b->head.seq - 1, b->head.seq}, {1, b->head.seq}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        swap_sql(pairs[i][0], pairs[i][1], sql, sizeof sql);
        expect(b, sql, AUDIT_REORDERED, pairs[i][0]);
        ck_assert_int_eq(check_db(b->db, &(struct audit_check){0}).last_seq, pairs[i][1]);
        /* the rows without their hashes */
        size_t used = strlen(sql);
        snprintf(
            sql + used, sizeof sql - used,
            "; CREATE TEMP TABLE was AS SELECT seq, chain FROM turns WHERE seq IN (%lld, %lld);"
            "UPDATE turns SET chain = (SELECT chain FROM was WHERE was.seq <> turns.seq) WHERE seq IN (%lld, %lld)",
            (long long)pairs[i][0], (long long)pairs[i][1], (long long)pairs[i][0], (long long)pairs[i][1]);
        expect(b, sql, AUDIT_REORDERED, pairs[i][0]);
    }
    book_free(b);
}
END_TEST

/* As somebody would who knows how the chain is made. */
static void rewrite_from(sqlite3 *db, int64_t seq, bool with_head)
{
    struct audit_chain chain = {0};
    sqlite3_stmt *rows = NULL, *put = NULL;
    uint8_t hash[AUDIT_HASH_BYTES], digest[AUDIT_HASH_BYTES];
    int64_t before = seq - 1;
    ck_assert_int_eq(audit_prepare(db, "SELECT chain FROM turns WHERE seq = ?1", &before, 1, &rows), 0);
    if (sqlite3_step(rows) == SQLITE_ROW)
        memcpy(hash, sqlite3_column_blob(rows, 0), sizeof hash);
    else
        ck_assert_int_eq(audit_genesis(&chain, db, hash), 0);
    sqlite3_finalize(rows);
    ck_assert_int_eq(
        audit_prepare(db, "SELECT " AUDIT_COLUMNS " FROM turns WHERE seq >= ?1 ORDER BY seq", &seq, 1, &rows), 0);
    ck_assert_int_eq(audit_prepare(db, "UPDATE turns SET chain = ?2 WHERE seq = ?1", NULL, 0, &put), 0);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        ck_assert_int_eq(audit_digest_stored(&chain, rows, sqlite3_column_int64(rows, 0), digest), 0);
        ck_assert_int_eq(audit_link(&chain, hash, digest, hash), 0);
        sqlite3_bind_int64(put, 1, sqlite3_column_int64(rows, 0));
        sqlite3_bind_blob(put, 2, hash, sizeof hash, SQLITE_STATIC);
        ck_assert_int_eq(sqlite3_step(put), SQLITE_DONE);
        sqlite3_reset(put);
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(put);
    if (with_head)
        exec(db, "UPDATE audit_head SET chain = (SELECT chain FROM turns ORDER BY seq DESC LIMIT 1)");
    audit_chain_free(&chain);
}

START_TEST(finds_another_history)
{
    struct book *b = book_new();
    struct audit_place seventh = {.seq = 7};
    const struct audit_check check = {0}, against = {.against = &b->head};
    exec(b->db, "UPDATE turns SET us = us + 1 WHERE seq = 5");
    rewrite_from(b->db, 5, false);
    ck_assert_int_eq(check_db(b->db, &check).fault, AUDIT_HEAD);
    rewrite_from(b->db, 5, true);
    ck_assert_int_eq(check_db(b->db, &check).fault, AUDIT_HOLDS); /* as any chain without a key */
    ck_assert_int_eq(check_db(b->db, &against).fault, AUDIT_OTHER);
    ck_assert_int_eq(check_db(b->db, &against).seq, b->head.seq);
    /* a head from the middle: what is behind it is not its matter */
    open_copy(b);
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(audit_prepare(b->db, "SELECT chain FROM turns WHERE seq = 7", NULL, 0, &st), 0);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    memcpy(seventh.hash, sqlite3_column_blob(st, 0), AUDIT_HASH_BYTES);
    sqlite3_finalize(st);
    exec(b->db, "UPDATE turns SET us = us + 1 WHERE seq = 9");
    rewrite_from(b->db, 9, true);
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){.against = &seventh}).fault, AUDIT_HOLDS);
    exec(b->db, "UPDATE turns SET us = us + 1 WHERE seq = 7");
    rewrite_from(b->db, 7, true);
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){.against = &seventh}).fault, AUDIT_OTHER);
    /* the head, and what the chain begins with */
    expect(b, "UPDATE audit_head SET chain = zeroblob(32)", AUDIT_HEAD, b->head.seq);
    expect(b, "DELETE FROM audit_head", AUDIT_HEAD, 1);
    expect(b, "DELETE FROM meta WHERE key = 'home_id'", AUDIT_HEAD, 0);
    open_copy(b);
    exec(b->db, "UPDATE meta SET value = 'another' WHERE key = 'home_id'");
    ck_assert_int_eq(check_db(b->db, &check).seq, 1);
    book_free(b);
}
END_TEST

/* ---- pruning ---- */

struct pruned {
    int64_t until; /* the conversations of the rows from `from` to here */
    int64_t from, n, collapsed;
    int error;
};

static void prune(struct store *s, void *arg)
{
    struct pruned *p = arg;
    exec(s->db, "BEGIN IMMEDIATE");
    for (int64_t seq = p->from; seq <= p->until; seq++) {
        char sql[128];
        int64_t n = 0, more = 1;
        snprintf(sql, sizeof sql, "SELECT coalesce((SELECT conversation FROM turns WHERE seq = %lld), 0)",
                 (long long)seq);
        int64_t conversation = number(s->db, sql);
        for (; conversation && more; n += more)
            ck_assert_int_eq(audit_prune(s, conversation, 1, &more), 0);
        p->n += n;
    }
    ck_assert_int_eq(audit_collapse(s, 1700000000000, "pruned", 1000, &p->collapsed), 0);
    exec(s->db, "COMMIT");
}

static void pruned_done(struct core *core, void *arg)
{
    (void)core;
    (void)arg;
}

static struct pruned prune_rows(struct book *b, int64_t from, int64_t until)
{
    struct pruned p = {.from = from, .until = until};
    virtual_open(b->v);
    ck_assert_int_eq(journal_job(b->v->core, prune, pruned_done, &p), 0);
    virtual_close(b->v);
    open_copy(b);
    return p;
}

START_TEST(holds_where_rows_are_pruned)
{
    struct book *b = book_new();
    struct pruned p = prune_rows(b, 10, 14);
    ck_assert_int_ge(p.n, 5);
    ck_assert_int_eq(p.collapsed, 0); /* there are rows before them */
    struct audit_verdict v = check_db(b->db, &(struct audit_check){.against = &b->head});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_eq(v.stubs, p.n);
    /* what was kept of them is part of the chain */
    ck_assert_int_ne(check_db(b->db, &(struct audit_check){0}).fault, AUDIT_CHANGED);
    expect(b, "UPDATE audit_stubs SET digest = zeroblob(32) WHERE seq = 12", AUDIT_CHANGED, 15);
    expect(b, "UPDATE audit_stubs SET digest = x'01' WHERE seq = 12", AUDIT_CHANGED, 12);
    expect(b, "DELETE FROM audit_stubs WHERE seq = 12", AUDIT_REMOVED, 12);
    expect(b, INSERT_AT("12"), AUDIT_INSERTED, 12);
    expect(b, "UPDATE turns SET us = us + 1 WHERE seq = 9", AUDIT_CHANGED, 9);
    expect(b, "DELETE FROM turns WHERE seq = 9", AUDIT_REMOVED, 9);
    /* from the beginning on: they become one anchor, up to the first row that is there */
    p = prune_rows(b, 1, 9);
    ck_assert_int_ge(p.collapsed, 14);
    ck_assert_int_eq(number(b->db, "SELECT count(*) FROM audit_anchors"), 1);
    ck_assert_int_eq(number(b->db, "SELECT count(*) FROM audit_stubs"), 0);
    v = check_db(b->db, &(struct audit_check){.against = &b->head});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_eq(v.pruned, p.collapsed);
    ck_assert_int_eq(v.first_seq, p.collapsed + 1);
    expect(b, "UPDATE audit_anchors SET hash = zeroblob(32)", AUDIT_CHANGED, p.collapsed + 1);
    expect(b, "DELETE FROM audit_anchors", AUDIT_REMOVED, 1);
    expect(b, "UPDATE audit_anchors SET last_seq = last_seq + 1", AUDIT_INSERTED, p.collapsed + 1);
    expect(b, "UPDATE audit_anchors SET last_seq = last_seq - 1", AUDIT_REMOVED, p.collapsed);
    open_copy(b);
    struct audit_place third = {.seq = 3};
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){.against = &third}).fault, AUDIT_UNKNOWN);
    /* all of them: numbers and chain still go on from the head */
    int64_t last = number(b->db, "SELECT max(seq) FROM turns");
    p = prune_rows(b, 1, last + 10);
    ck_assert_int_eq(number(b->db, "SELECT count(*) FROM turns"), 0);
    virtual_open(b->v);
    work(b->v, 2);
    virtual_close(b->v);
    open_copy(b);
    ck_assert_int_gt(number(b->db, "SELECT min(seq) FROM turns"), last);
    v = check_db(b->db, &(struct audit_check){0});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_ge(v.rows, 2);
    book_free(b);
}
END_TEST

/* A database of the time before the chain: what a later migration adds is taken away again. */
START_TEST(begins_behind_old_rows)
{
    struct book *b = book_new();
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    char drop[4096] = "";
    ck_assert_int_eq(sqlite3_open(b->path, &db), SQLITE_OK);
    ck_assert_int_eq(
        audit_prepare(db,
                      "SELECT 'DROP ' || type || ' ' || name || ';' FROM sqlite_master WHERE sql IS NOT NULL AND NOT"
                      " (type = 'table' AND name IN ('meta', 'turns', 'contexts', 'state', 'inbox', 'open_items',"
                      " 'dead_letters', 'host_plugins')) AND name NOT IN ('turns_conversation', 'contexts_parent',"
                      " 'inbox_at', 'audit_log', 'agent_metrics', 'messages') ORDER BY type = 'table'",
                      NULL, 0, &st),
        0);
    while (sqlite3_step(st) == SQLITE_ROW)
        strncat(drop, (const char *)sqlite3_column_text(st, 0), sizeof drop - strlen(drop) - 1);
    sqlite3_finalize(st);
    exec(db, drop);
    exec(db, "ALTER TABLE turns DROP COLUMN chain; ALTER TABLE host_plugins DROP COLUMN placement; DELETE FROM meta "
             "WHERE key = 'home_id'; PRAGMA user_version = 3");
    int64_t old = number(db, "SELECT count(*) FROM turns");
    sqlite3_close(db);
    virtual_open(b->v);
    work(b->v, 5);
    virtual_close(b->v);
    open_copy(b);
    struct audit_verdict v = check_db(b->db, &(struct audit_check){0});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_eq(v.outside, old);
    ck_assert_int_eq(v.first_seq, old + 1);
    ck_assert_int_ge(v.rows, 5);
    /* an old row is nobody's business, one more of them is */
    expect(b, "UPDATE turns SET us = us + 1 WHERE seq = 3", AUDIT_HOLDS, 0);
    expect(b, INSERT_AT("0"), AUDIT_INSERTED, old);
    /* a row of the chain cannot be declared to be an old one */
    expect(b, "UPDATE audit_anchors SET last_seq = last_seq + 1, n = n + 1", AUDIT_CHANGED, old + 2);
    /* pruned together: of the old ones nothing is kept */
    struct pruned p = prune_rows(b, 1, old + 2);
    ck_assert_int_ge(p.n, old);
    v = check_db(b->db, &(struct audit_check){0});
    ck_assert_msg(v.fault == AUDIT_HOLDS, "%s", v.text);
    ck_assert_int_eq(v.outside, old);
    ck_assert_int_eq(v.pruned, p.collapsed);
    ck_assert_int_ge(p.collapsed, 1);
    book_free(b);
}
END_TEST

/* ---- finding rows by time ---- */

START_TEST(finds_the_first_row_of_a_time)
{
    struct book *b = book_new();
    int64_t at = number(b->db, "SELECT at_ms FROM turns WHERE seq = 9"), seq = 0;
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT min(seq) FROM turns WHERE at_ms >= %lld", (long long)at);
    ck_assert_int_eq(audit_seq_since(b->db, at, &seq), 0);
    ck_assert_int_eq(seq, number(b->db, sql));
    ck_assert_int_eq(audit_seq_since(b->db, 0, &seq), 0);
    ck_assert_int_eq(seq, 1);
    ck_assert_int_eq(audit_seq_since(b->db, INT64_MAX, &seq), 0);
    ck_assert_int_eq(seq, b->head.seq + 1);
    book_free(b);
}
END_TEST

/* ---- receipts ---- */

START_TEST(events_are_turns_of_the_host)
{
    struct book *b = book_new();
    virtual_open(b->v);
    audit_event(b->v->core, "process.ended", json_pack("{s:s}", "component", "test.faulty"));
    audit_event(b->v->core, "journal.pruned", NULL);
    for (int i = 0; i < AUDIT_OFTEN + 7; i++)
        audit_event_limited(b->v->core, "edge.refused", json_pack("{s:i}", "n", i));
    core_step(b->v->core, core_now_ms(b->v->core) + 120000);
    audit_event_limited(b->v->core, "edge.refused", json_pack("{s:i}", "n", 99));
    core_step(b->v->core, core_now_ms(b->v->core));
    virtual_close(b->v);
    open_copy(b);
#define EVENTS "SELECT count(*) FROM turns WHERE component = 'host' AND "
    ck_assert_int_eq(number(b->db, EVENTS "type = 'process.ended' AND json_extract(record, '$.notes[0][1].component') ="
                                          " 'test.faulty' AND json_extract(record, '$.notes[0][0]') = type"),
                     1);
    ck_assert_int_eq(number(b->db, EVENTS "type = 'journal.pruned'"), 1);
    ck_assert_int_eq(number(b->db, EVENTS "type = 'edge.refused'"), AUDIT_OFTEN + 1);
    ck_assert_int_eq(number(b->db, EVENTS "json_extract(record, '$.notes[0][1].left_out') = 7"), 1);
    ck_assert_int_eq(check_db(b->db, &(struct audit_check){0}).fault, AUDIT_HOLDS);
    book_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *c = tcase_create("chain"), *r = tcase_create("receipts");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, holds_as_written);
    tcase_add_test(c, finds_a_change_in_each_column);
    tcase_add_test(c, finds_what_is_gone);
    tcase_add_test(c, finds_what_came_in);
    tcase_add_test(c, finds_another_order);
    tcase_add_test(c, finds_another_history);
    tcase_add_test(c, holds_where_rows_are_pruned);
    tcase_add_test(c, begins_behind_old_rows);
    tcase_add_test(c, finds_the_first_row_of_a_time);
    tcase_add_test(r, events_are_turns_of_the_host);
    suite_add_tcase(suite, c);
    suite_add_tcase(suite, r);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
