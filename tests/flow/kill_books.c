/* The statements about the books; see kill_books.h. Each is a query that finds what breaks it. */
#include "kill_books.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    const char *says, *sql; /* rows that the query gives are violations */
};

#define ACCOUNT(figure) "json_extract(s.value, '$." figure "_kobo')"
#define ACCOUNTS "host.state s WHERE s.component = 'service.transaction' AND s.key LIKE 'account/%'"
#define ENTRIES(kinds)                                                                                                 \
    "(SELECT coalesce(sum(amount_kobo), 0) FROM host.wallet_entries w WHERE w.customer_id = "                          \
    "substr(s.key, 9) AND w.kind IN (" kinds "))"
#define ENTRY(kind)                                                                                                    \
    "(SELECT coalesce(sum(w.amount_kobo), 0) FROM host.wallet_entries w WHERE w.transaction_id = "                     \
    "t.transaction_id AND w.kind = '" kind "')"

/* `before` is the networks' ledger from before the snapshot, `after` that from after it. */
static const struct rule
    always[] =
        {
            {"no vend left before its purchase was durable", "SELECT l.* FROM before l LEFT JOIN host.transactions t "
                                                             "ON t.transaction_id = l.reference WHERE t.id IS NULL"},
            {"what was vended is what was bought",
             "SELECT l.*, t.amount, t.recipient FROM before l JOIN host.transactions t ON t.transaction_id = "
             "l.reference "
             "WHERE t.amount != l.amount_kobo OR t.recipient != l.phone OR t.network_or_disco != l.network"},
            {"no reference was vended twice",
             "SELECT reference, count(*) FROM after GROUP BY reference HAVING count(*) > 1"},
            {"what is paid was delivered",
             "SELECT t.transaction_id FROM host.transactions t LEFT JOIN after l ON t.transaction_id = l.reference AND "
             "l.status = 'delivered' WHERE t.status = 'SUCCESS' AND l.reference IS NULL"},
            {"a purchase is held, then settled or refunded, never both",
             "SELECT t.transaction_id, t.status, t.total_amount, " ENTRY("hold") ", " ENTRY("settle") ", " ENTRY(
                 "refun"
                 "d") " FROM host.transactions t WHERE " ENTRY("hold") " != t.total_amount OR " ENTRY("settle") " != "
                                                                                                                "iif(t."
                                                                                                                "status"
                                                                                                                " = "
                                                                                                                "'SUCCE"
                                                                                                                "SS', "
                                                                                                                "t."
                                                                                                                "total_"
                                                                                                                "amount"
                                                                                                                ", 0) "
                                                                                                                "OR"
                                                                                                                " " ENTRY(
                                                                                                                    "re"
                                                                                                                    "fu"
                                                                                                                    "n"
                                                                                                                    "d") " != iif(t.status = "
                                                                                                                         "'REFUNDED', t.total_amount, "
                                                                                                                         "0) OR t.status NOT IN "
                                                                                                                         "('PENDING', 'SUCCESS', "
                                                                                                                         "'REFUNDED')"},
            {"a wallet's figures are the sum of its entries",
             "SELECT s.key, s.value FROM " ACCOUNTS
             " AND (" ACCOUNT("settled") " != " ENTRIES("'settle'") " OR " ACCOUNT("opening") " + " ACCOUNT("credited") " != " ENTRIES("'opening', 'credit'") " OR " ACCOUNT("held") " != " ENTRIES(
                 "'hold'") " - " ENTRIES("'settle', 'refund'") " OR " ACCOUNT("balance") " != " ACCOUNT("opening") " +"
                                                                                                                   " " ACCOUNT("credited") " - " ACCOUNT(
                                                                                                                       "settled") " - " ACCOUNT("held") ")"},
            {"what is held belongs to open purchases",
             "SELECT s.key, s.value FROM " ACCOUNTS " AND " ACCOUNT(
                 "held") " != (SELECT coalesce(sum(total_amount), 0) FROM "
                         "host.transactions t WHERE t.customer_id = substr(s.key, 9) AND t.status = 'PENDING')"},
            {"no token was given for two purchases",
             "SELECT token, group_concat(transaction_id) FROM host.power_tokens GROUP BY token HAVING count(*) > 1"},
            {"a token is the one that was vended for its purchase, for its meter",
             "SELECT p.transaction_id, p.token, l.token FROM host.power_tokens p LEFT JOIN after l ON l.reference = "
             "p.transaction_id WHERE l.token IS NULL OR l.token != p.token OR l.phone != p.meter_number"},
            {"who paid for electricity has the token of the purchase",
             "SELECT t.transaction_id FROM host.transactions t LEFT JOIN host.power_tokens p ON p.transaction_id = "
             "t.transaction_id WHERE t.service_type = 'POWER' AND t.status = 'SUCCESS' AND (p.token IS NULL OR "
             "replace(json_extract(t.metadata, '$.receipt.Token'), ' ', '') != p.token)"},
            {"the sequence of turns has no gap",
             "SELECT count(*), max(seq) FROM host.turns HAVING count(*) != max(seq)"},
            {"no message is a dead letter", "SELECT type, reason, envelope FROM host.dead_letters"},
            {"the file is whole",
             "SELECT * FROM pragma_integrity_check('turns', 'host') WHERE integrity_check != 'ok'"},
};

static const struct rule settled[] = {
    {"nothing is held or open",
     "SELECT t.transaction_id, t.status FROM host.transactions t WHERE t.status NOT IN ('SUCCESS', 'REFUNDED')"},
    {"what was given back was not delivered, or a human was told",
     "SELECT t.transaction_id, t.rule FROM host.transactions t JOIN after l ON l.reference = t.transaction_id AND "
     "l.status = 'delivered' WHERE t.status = 'REFUNDED' AND t.transaction_id NOT IN (SELECT transaction_id FROM "
     "host.fraud_flags WHERE kind = 'LATE_DELIVERY')"},
    {"for each customer, delivered, sold and settled agree to the kobo",
     "SELECT s.key, s.value FROM " ACCOUNTS " AND (" ACCOUNT(
         "settled") " != (SELECT coalesce(sum(total_amount), 0) FROM "
                    "host.transactions t WHERE t.customer_id = substr(s.key, 9) AND t.status = 'SUCCESS') OR (SELECT "
                    "coalesce(sum(l.amount_kobo), 0) FROM after l JOIN host.transactions t ON t.transaction_id = "
                    "l.reference WHERE "
                    "l.status = 'delivered' AND t.customer_id = substr(s.key, 9) AND t.transaction_id NOT IN (SELECT "
                    "transaction_id "
                    "FROM host.fraud_flags WHERE kind = 'LATE_DELIVERY')) != (SELECT coalesce(sum(amount), 0) FROM "
                    "host.transactions t WHERE t.customer_id = substr(s.key, 9) AND t.status = 'SUCCESS'))"},
    {"each message was taken by one turn only",
     "SELECT hex(message), count(*), group_concat(seq), min(component), min(type) FROM host.turns WHERE message IS NOT "
     "NULL GROUP BY message HAVING count(*) > 1"},
    {"each accepted input has its answer", "SELECT source, key, at_ms FROM host.inbox WHERE outcome < 0"},
    {"nothing is left open but a component's own timers",
     "SELECT kind, doc FROM host.open_items WHERE kind != 'timer' OR "
     "json_extract(doc, '$.conversation') NOT LIKE 'component:%'"},
    {"each purchase input began one transaction",
     "SELECT i.key, i.result FROM host.inbox i WHERE i.source = 'http' AND json_extract(i.result, '$.agent') IN "
     "('AirtimeSalesAgent', 'PowerSalesAgent') AND json_extract(i.result, '$.transaction_id') IS NOT NULL GROUP BY "
     "json_extract(i.result, '$.transaction_id') HAVING count(*) > 1"},
    {"the file is whole", "SELECT * FROM pragma_integrity_check(1, 'host') WHERE integrity_check != 'ok'"},
};

/* ---- the snapshot ------------------------------------------------------------------------------------------------ */

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK, "%s: %s", sql, error ? error : "");
}

static sqlite3 *open_books(struct flow *f)
{
    char sql[256];
    sqlite3 *db = NULL;
    ck_assert_int_eq(
        sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, NULL),
        SQLITE_OK);
    sqlite3_busy_timeout(db, FLOW_WAIT_MS);
    snprintf(sql, sizeof sql, "ATTACH 'file:%s/data/cvmhost.db?mode=ro' AS host", f->home);
    run(db, sql);
    return db;
}

static void load_ledger(struct flow *f, sqlite3 *db, const char *sim_url, const char *table)
{
    struct flow_answer a;
    char sql[160];
    sqlite3_stmt *st = NULL;
    json_t *entry;
    size_t i;
    struct flow networks = *f;
    snprintf(networks.url, sizeof networks.url, "%s", sim_url);
    ck_assert_msg(flow_http(&networks, "GET", "/ledger", NULL, NULL, &a) == 200, "no ledger: %d %s", a.status, a.text);
    snprintf(sql, sizeof sql, "INSERT INTO %s VALUES(?1, ?2, ?3, ?4, ?5, ?6)", table);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    json_array_foreach(json_object_get(a.json, "entries"), i, entry)
    {
        static const char *const texts[][2] = {
            {"reference"}, {"status"}, {NULL}, {"phone_number", "meter_number"}, {"network", "disco"}, {"token"}};
        for (int c = 0; c < 6; c++) {
            const char *text = texts[c][0] ? json_string_value(json_object_get(entry, texts[c][0])) : NULL;
            if (!text && texts[c][1])
                text = json_string_value(json_object_get(entry, texts[c][1]));
            if (texts[c][0])
                sqlite3_bind_text(st, c + 1, text, -1, SQLITE_STATIC);
        }
        sqlite3_bind_int64(st, 3, (int64_t)json_integer_value(json_object_get(entry, "amount_kobo")));
        ck_assert_int_eq(sqlite3_step(st), SQLITE_DONE);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    flow_answer_free(&a);
}

static void load_ledgers(struct flow *f, sqlite3 *db, const struct books_sims *sims, const char *table)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "CREATE TABLE %s(reference TEXT, status TEXT, amount_kobo INTEGER, phone TEXT, network TEXT, token TEXT)",
             table);
    run(db, sql);
    load_ledger(f, db, sims->networks, table);
    if (*sims->discos)
        load_ledger(f, db, sims->discos, table);
    snprintf(sql, sizeof sql, "CREATE INDEX %s_reference ON %s(reference)", table, table);
    run(db, sql);
}

static void check_rules(sqlite3 *db, const struct rule *rules, size_t n, const char *when)
{
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *st = NULL;
        char found[2000] = "";
        int step, rows = 0;
        ck_assert_msg(sqlite3_prepare_v2(db, rules[i].sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", rules[i].sql,
                      sqlite3_errmsg(db));
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
            size_t len = strlen(found);
            for (int c = 0; rows < 3 && c < sqlite3_column_count(st); c++, len = strlen(found))
                snprintf(found + len, sizeof found - len, "%s%s", c ? " | " : "\n  ", sqlite3_column_text(st, c));
            rows++;
        }
        ck_assert_msg(step == SQLITE_DONE, "%s: %s", rules[i].sql, sqlite3_errmsg(db));
        ck_assert_msg(!rows, "%s, this does not hold: %s. %d against it:%s", when, rules[i].says, rows, found);
        sqlite3_finalize(st);
    }
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static int status_of(int outcome, const struct ask *a)
{
    static const int statuses[] = {200, 422, 500, 504, 503, 202}; /* by enum cvm_outcome */
    return outcome == 1 && !load_buys(a->kind) ? 400 : statuses[outcome];
}

static void check_answer(sqlite3_stmt *st, const struct ask *a, const char *when)
{
    int status = atomic_load(&a->status);
    sqlite3_bind_text(st, 1, a->key, -1, SQLITE_STATIC);
    ck_assert_msg(sqlite3_step(st) == SQLITE_ROW,
                  "%s: %s (%s) was answered with %d %s, and the inbox has never heard of it", when, a->key,
                  load_path(a->kind), status, a->text);
    int outcome = sqlite3_column_int(st, 0);
    ck_assert_msg(outcome >= 0, "%s: %s (%s) was answered with %d, and the inbox says that it is open: %s", when,
                  a->key, load_path(a->kind), status, a->text);
    ck_assert_msg(status == status_of(outcome, a), "%s: %s (%s) was answered with %d; the inbox has outcome %d: %s",
                  when, a->key, load_path(a->kind), status, outcome, a->text);
    json_t *given = json_loads(a->text, 0, NULL);
    json_t *stored = json_loads((const char *)sqlite3_column_text(st, 1), 0, NULL);
    if (status == 200 || status == 202)
        ck_assert_msg(given && json_equal(given, stored), "%s: %s was answered %s, the inbox has %s", when, a->key,
                      a->text, sqlite3_column_text(st, 1));
    json_decref(given);
    json_decref(stored);
    sqlite3_reset(st);
}

static void check_answers(sqlite3 *db, struct load *load, const bool *answered, int n, const char *when)
{
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT outcome, result FROM host.inbox WHERE source = 'http' AND key = ?1",
                                        -1, &st, NULL),
                     SQLITE_OK);
    for (int i = 0; i < n; i++)
        if (answered[i])
            check_answer(st, load_at(load, i), when);
    sqlite3_finalize(st);
}

void books_check(struct flow *f, const struct books_sims *sims, struct load *load, const char *when)
{
    int n = load_count(load);
    bool *answered = calloc((size_t)n + 1, sizeof *answered);
    sqlite3 *db = open_books(f);
    for (int i = 0; i < n; i++) /* before the snapshot: what a client has had by now must be in it */
        answered[i] = atomic_load(&load_at(load, i)->status) > 0;
    load_ledgers(f, db, sims, "before");
    run(db, "BEGIN; SELECT count(*) FROM host.inbox");
    load_ledgers(f, db, sims, "after");
    check_rules(db, always, sizeof always / sizeof *always, when);
    check_answers(db, load, answered, n, when);
    sqlite3_close(db);
    free(answered);
}

int64_t books_open(struct flow *f)
{
    return flow_sql_int(f,
                        "SELECT (SELECT count(*) FROM transactions WHERE status = 'PENDING') + (SELECT count(*) FROM "
                        "open_items WHERE kind != 'timer' OR json_extract(doc, '$.conversation') NOT LIKE "
                        "'component:%')");
}

void books_check_settled(struct flow *f, const struct books_sims *sims, struct load *load)
{
    books_check(f, sims, load, "in the end");
    sqlite3 *db = open_books(f);
    load_ledgers(f, db, sims, "after");
    check_rules(db, settled, sizeof settled / sizeof *settled, "in the end");
    sqlite3_close(db);
}
