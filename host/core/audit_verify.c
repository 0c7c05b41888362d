/* Walks the chain: the rows of `turns` and the stubs of those that were pruned, merged by their number, page by page.
 * Stops at the first thing that does not fit; audit_diagnose.c says what it is. */
#include "core/audit_verify.h"

#include "core/internal.h"

#include <string.h>
#include <unistd.h>

#define PAGE_ITEMS 20000
#define PAGE_MAX_NS INT64_C(150000000) /* no reader may hold the write-ahead log longer than 250 ms */
#define BUSY_WAIT_MS 5000
#define CHAIN_COLUMN 12
#define BEFORE_THE_CHAIN "before the chain"

struct walk {
    sqlite3 *db;
    struct audit_chain chain;
    const struct audit_check *check;
    struct audit_verdict *verdict;
    sqlite3_stmt *rows, *stubs;
    uint8_t hash[AUDIT_HASH_BYTES]; /* at `seq` */
    int64_t seq, at_ms;             /* checked up to here */
    bool done;
};

const char *audit_fault_name(enum audit_fault fault)
{
    static const char *const names[] = {"holds",     "changed", "inserted", "removed",
                                        "reordered", "head",    "other",    "unknown"};
    return names[fault];
}

int audit_prepare(sqlite3 *db, const char *sql, const int64_t *binds, int n, sqlite3_stmt **ret_st)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        return CVM_EDATA;
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(st, i + 1, binds[i]);
    *ret_st = st;
    return 0;
}

static void copy_column(sqlite3_stmt *row, int i, char *ret_text, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(row, i);
    snprintf(ret_text, size, "%s", text ? text : "");
}

void audit_show_row(sqlite3_stmt *row, struct audit_verdict *v)
{
    v->at_ms = sqlite3_column_int64(row, 1);
    copy_column(row, 3, v->component, sizeof v->component);
    copy_column(row, 5, v->type, sizeof v->type);
}

/* ---- opening ---- */

int audit_open(const char *path, sqlite3 **ret_db, char *error, size_t size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int e = CVM_EDATA;
    if (access(path, F_OK) != 0) {
        snprintf(error, size, "%s: there is no journal; has a host run in this home?", path);
        return CVM_ENOENT;
    }
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (!code)
        code = sqlite3_busy_timeout(db, BUSY_WAIT_MS);
    if (!code && (code = sqlite3_prepare_v2(db, "SELECT chain FROM turns LIMIT 0", -1, &st, NULL)) == SQLITE_ERROR)
        snprintf(error, size, "%s: its turns have no hash chain: start this version of cvmhost in the home once", path);
    else if (code)
        snprintf(error, size, "%s: %s; restore a backup", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_finalize(st);
    if (!code) {
        *ret_db = db;
        return 0;
    }
    sqlite3_close(db);
    return e;
}

int audit_read_head(sqlite3 *db, struct audit_place *ret_head)
{
    sqlite3_stmt *st = NULL;
    struct audit_place head = {0};
    int e = audit_prepare(db, "SELECT seq, at_ms, chain FROM audit_head", NULL, 0, &st);
    int code = e ? SQLITE_ERROR : sqlite3_step(st);
    if (code == SQLITE_ROW) {
        head.seq = sqlite3_column_int64(st, 0);
        head.at_ms = sqlite3_column_int64(st, 1);
        if (sqlite3_column_bytes(st, 2) == AUDIT_HASH_BYTES)
            memcpy(head.hash, sqlite3_column_blob(st, 2), AUDIT_HASH_BYTES);
    } else if (code != SQLITE_DONE) {
        e = CVM_EDATA;
    }
    sqlite3_finalize(st);
    if (!e)
        *ret_head = head;
    return e;
}

static int one_number(sqlite3 *db, const char *sql, const int64_t *binds, int n, int64_t *ret_value)
{
    sqlite3_stmt *st = NULL;
    int e = audit_prepare(db, sql, binds, n, &st);
    if (!e && sqlite3_step(st) == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(st, 0);
    else
        e = CVM_EDATA;
    sqlite3_finalize(st);
    return e;
}

/* By halves, as times grow with numbers: there is no index on time. */
int audit_seq_since(sqlite3 *db, int64_t at_ms, int64_t *ret_seq)
{
    static const char at[] = "SELECT coalesce((SELECT at_ms >= ?2 FROM turns WHERE seq >= ?1 ORDER BY seq LIMIT 1), 1)";
    int64_t low = 0, high = 0;
    int e = one_number(db, "SELECT coalesce(min(seq), 1) FROM turns", NULL, 0, &low);
    if (!e)
        e = one_number(db, "SELECT coalesce(max(seq), 0) + 1 FROM turns", NULL, 0, &high);
    while (!e && low < high) {
        int64_t middle = low + (high - low) / 2, late = 0;
        e = one_number(db, at, (int64_t[]){middle, at_ms}, 2, &late);
        if (late)
            high = middle;
        else
            low = middle + 1;
    }
    if (!e)
        *ret_seq = low;
    return e;
}

/* ---- faults ---- */

static void found(struct walk *w, enum audit_fault fault, int64_t seq, int64_t last, const char *text)
{
    struct audit_verdict *v = w->verdict;
    v->fault = fault;
    v->seq = seq;
    v->last_seq = last;
    v->at_ms = w->at_ms;
    snprintf(v->text, sizeof v->text, "%s", text);
    w->done = true;
}

static void found_missing(struct walk *w, int64_t last)
{
    char text[200];
    int64_t first = w->seq + 1;
    if (first == last)
        snprintf(text, sizeof text, "the row %lld was removed", (long long)first);
    else
        snprintf(text, sizeof text, "the rows %lld to %lld were removed", (long long)first, (long long)last);
    found(w, AUDIT_REMOVED, first, last, text);
}

static void found_too_many(struct walk *w, int64_t seq, const char *where)
{
    char text[200];
    sqlite3_stmt *st = NULL;
    snprintf(text, sizeof text, "the row %lld was inserted %s", (long long)seq, where);
    found(w, AUDIT_INSERTED, seq, seq, text);
    if (audit_prepare(w->db, "SELECT " AUDIT_COLUMNS " FROM turns WHERE seq = ?1", &seq, 1, &st) == 0 &&
        sqlite3_step(st) == SQLITE_ROW)
        audit_show_row(st, w->verdict);
    sqlite3_finalize(st);
}

/* The head that was given, if it is of this place. */
static void compare(struct walk *w)
{
    const struct audit_place *against = w->check->against;
    char text[300];
    if (!against || w->done || against->seq != w->seq || memcmp(against->hash, w->hash, sizeof w->hash) == 0)
        return;
    snprintf(text, sizeof text,
             "the chain is not the one whose head was given: row %lld or one before it was changed and all behind it "
             "written anew",
             (long long)w->seq);
    found(w, AUDIT_OTHER, w->seq, w->seq, text);
}

/* ---- where it begins and ends ---- */

/* What is gone before the first row. Also while the walk is under way: stubs that it has not reached may have become a
 * part of the anchor. */
static int begin_at_anchor(struct walk *w)
{
    sqlite3_stmt *st = NULL;
    struct audit_verdict *v = w->verdict;
    int e = audit_prepare(w->db, "SELECT first_seq, last_seq, n, at_ms, hash, why FROM audit_anchors ORDER BY last_seq",
                          NULL, 0, &st);
    int code = SQLITE_DONE;
    v->pruned = v->outside = 0;
    while (!e && (code = sqlite3_step(st)) == SQLITE_ROW) {
        const char *why = (const char *)sqlite3_column_text(st, 5);
        bool outside = why && strcmp(why, BEFORE_THE_CHAIN) == 0;
        int64_t last = sqlite3_column_int64(st, 1);
        *(outside ? &v->outside : &v->pruned) += sqlite3_column_int64(st, 2);
        if (last <= w->seq)
            continue;
        w->seq = last;
        w->at_ms = sqlite3_column_int64(st, 3);
        v->first_seq = last + 1;
        if (!outside && sqlite3_column_bytes(st, 4) == AUDIT_HASH_BYTES)
            memcpy(w->hash, sqlite3_column_blob(st, 4), AUDIT_HASH_BYTES);
    }
    sqlite3_finalize(st);
    return e ? e : code == SQLITE_DONE ? 0 : CVM_EDATA;
}

/* Rows where the anchors say that none is, and behind the head. */
static int look_outside(struct walk *w)
{
    struct audit_verdict *v = w->verdict;
    int64_t n = 0, seq = 0, last = v->first_seq - 1;
    int e = one_number(w->db, "SELECT count(*) FROM turns WHERE seq <= ?1", &last, 1, &n);
    if (!e && n > v->outside) {
        e = one_number(w->db, "SELECT max(seq) FROM turns WHERE seq <= ?1", &last, 1, &seq);
        if (!e)
            found_too_many(w, seq, "before the beginning of the chain");
        return e;
    }
    if (!e)
        e = one_number(w->db, "SELECT coalesce(min(seq), 0) FROM turns WHERE seq > ?1", &v->head.seq, 1, &seq);
    if (!e && seq && !v->head.seq)
        found(w, AUDIT_HEAD, seq, seq, "the head of the chain was removed");
    return e;
}

/* The chain before `from_seq` is believed: as the last row before it says, for stubs do not say theirs. */
static int skip_to(struct walk *w, int64_t from)
{
    sqlite3_stmt *st = NULL;
    int64_t until = from - 1;
    int e = audit_prepare(w->db, "SELECT seq, at_ms, chain FROM turns WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1",
                          &until, 1, &st);
    int code = e ? SQLITE_ERROR : sqlite3_step(st);
    if (code == SQLITE_ROW && sqlite3_column_int64(st, 0) > w->seq && sqlite3_column_bytes(st, 2) == AUDIT_HASH_BYTES) {
        w->seq = sqlite3_column_int64(st, 0);
        w->at_ms = sqlite3_column_int64(st, 1);
        memcpy(w->hash, sqlite3_column_blob(st, 2), AUDIT_HASH_BYTES);
    }
    sqlite3_finalize(st);
    return e ? e : code == SQLITE_ROW || code == SQLITE_DONE ? 0 : CVM_EDATA;
}

static int begin(struct walk *w)
{
    const struct audit_place *against = w->check->against;
    int e = audit_read_head(w->db, &w->verdict->head);
    w->verdict->first_seq = 1;
    if (!e && audit_genesis(&w->chain, w->db, w->hash) < 0) {
        found(w, AUDIT_HEAD, 0, 0, "the home's id, of which the chain begins, was removed");
        return 0;
    }
    if (!e)
        e = begin_at_anchor(w);
    if (!e)
        e = look_outside(w);
    if (!e && w->check->from_seq > w->seq + 1)
        e = skip_to(w, w->check->from_seq);
    if (!e && !w->done && against && against->seq < w->seq) {
        char text[200];
        snprintf(text, sizeof text, "the head that was given is of row %lld; what is checked begins with row %lld",
                 (long long)against->seq, (long long)w->seq + 1);
        found(w, AUDIT_UNKNOWN, against->seq, against->seq, text);
    }
    compare(w);
    return e;
}

static int end(struct walk *w)
{
    struct audit_verdict *v = w->verdict;
    int64_t seq = 0;
    if (w->done)
        return 0;
    if (v->head.seq && memcmp(w->hash, v->head.hash, sizeof w->hash) != 0) {
        found(w, AUDIT_HEAD, v->head.seq, v->head.seq, "the head of the chain was changed");
        return 0;
    }
    /* The host may have gone on: only a row that it did not write has no head beyond it. */
    struct audit_place now;
    int e = audit_read_head(w->db, &now);
    if (!e)
        e = one_number(w->db, "SELECT coalesce(min(seq), 0) FROM turns WHERE seq > ?1", &now.seq, 1, &seq);
    if (!e && seq)
        found_too_many(w, seq, "behind the end of the chain");
    if (!e && !w->done && w->check->against && w->check->against->seq > w->seq) {
        char text[200];
        snprintf(text, sizeof text, "the rows %lld to %lld, of which the head that was given is the last, were removed",
                 (long long)w->seq + 1, (long long)w->check->against->seq);
        found(w, AUDIT_REMOVED, w->seq + 1, w->check->against->seq, text);
    }
    return e;
}

/* ---- pages ---- */

static int take_row(struct walk *w, int64_t seq)
{
    uint8_t digest[AUDIT_HASH_BYTES], hash[AUDIT_HASH_BYTES];
    int e = audit_digest_stored(&w->chain, w->rows, seq, digest);
    if (!e)
        e = audit_link(&w->chain, w->hash, digest, hash);
    if (e)
        return e;
    if (sqlite3_column_bytes(w->rows, CHAIN_COLUMN) != AUDIT_HASH_BYTES ||
        memcmp(sqlite3_column_blob(w->rows, CHAIN_COLUMN), hash, sizeof hash) != 0) {
        w->done = true;
        audit_show_row(w->rows, w->verdict);
        return audit_diagnose(w->db, &w->chain, seq, w->hash, &w->verdict->head, w->verdict);
    }
    memcpy(w->hash, hash, sizeof w->hash);
    w->seq = seq;
    w->at_ms = sqlite3_column_int64(w->rows, 1);
    w->verdict->rows++;
    compare(w);
    return 0;
}

static int take_stub(struct walk *w, int64_t seq)
{
    if (sqlite3_column_bytes(w->stubs, 1) != AUDIT_HASH_BYTES) {
        found(w, AUDIT_CHANGED, seq, seq, "what was kept of a pruned row was changed");
        return 0;
    }
    int e = audit_link(&w->chain, w->hash, sqlite3_column_blob(w->stubs, 1), w->hash);
    w->seq = seq;
    w->verdict->stubs++;
    compare(w);
    return e;
}

/* The next of both; INT64_MAX: no more. */
static int next(sqlite3_stmt *st, int64_t *ret_seq)
{
    int code = sqlite3_step(st);
    *ret_seq = code == SQLITE_ROW ? sqlite3_column_int64(st, 0) : INT64_MAX;
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : CVM_EDATA;
}

static int walk_page(struct walk *w)
{
    const int64_t began = clock_ns(), last = w->verdict->head.seq;
    int64_t row = 0, stub = 0;
    int e = next(w->rows, &row);
    if (!e)
        e = next(w->stubs, &stub);
    for (int n = 0; !e && !w->done && n < PAGE_ITEMS; n++) {
        int64_t seq = row < stub ? row : stub;
        if (seq > last || seq != w->seq + 1) {
            if (w->seq == last)
                break;
            found_missing(w, (seq > last ? last + 1 : seq) - 1);
        } else if (row == stub) {
            found_too_many(w, seq, "in the place of one that was pruned");
        } else if (seq == row) {
            e = take_row(w, seq);
            e = e ? e : next(w->rows, &row);
        } else {
            e = take_stub(w, seq);
            e = e ? e : next(w->stubs, &stub);
        }
        if (n % 64 == 0 && clock_ns() - began > PAGE_MAX_NS)
            break;
    }
    return e;
}

/* One read transaction. */
static int page(struct walk *w)
{
    int e = sqlite3_exec(w->db, "BEGIN", NULL, NULL, NULL) ? CVM_EDATA : 0;
    if (!e && w->verdict->rows + w->verdict->stubs)
        e = begin_at_anchor(w);
    sqlite3_bind_int64(w->rows, 1, w->seq);
    sqlite3_bind_int64(w->stubs, 1, w->seq);
    if (!e)
        e = walk_page(w);
    sqlite3_reset(w->rows);
    sqlite3_reset(w->stubs);
    sqlite3_exec(w->db, "COMMIT", NULL, NULL, NULL);
    return e;
}

static int walk(struct walk *w)
{
    const struct audit_check *c = w->check;
    int e = sqlite3_exec(w->db, "BEGIN", NULL, NULL, NULL) ? CVM_EDATA : 0;
    if (!e)
        e = begin(w);
    sqlite3_exec(w->db, "COMMIT", NULL, NULL, NULL);
    if (!e)
        e = audit_prepare(w->db, "SELECT " AUDIT_COLUMNS ", chain FROM turns WHERE seq > ?1 ORDER BY seq", NULL, 0,
                          &w->rows);
    if (!e)
        e = audit_prepare(w->db, "SELECT seq, digest FROM audit_stubs WHERE seq > ?1 ORDER BY seq", NULL, 0, &w->stubs);
    while (!e && !w->done && w->seq < w->verdict->head.seq) {
        e = page(w);
        if (!e && c->progress)
            c->progress(c->arg, w->seq, w->verdict->head.seq);
    }
    if (!e && sqlite3_exec(w->db, "BEGIN", NULL, NULL, NULL))
        e = CVM_EDATA;
    if (!e)
        e = end(w);
    if (!sqlite3_get_autocommit(w->db)) /* else nothing was begun, and what failed before is still to be told */
        sqlite3_exec(w->db, "COMMIT", NULL, NULL, NULL);
    return e;
}

int audit_verify(sqlite3 *db, const struct audit_check *check, struct audit_verdict *ret_verdict, char *error,
                 size_t size)
{
    struct audit_verdict verdict = {0};
    struct walk w = {.db = db, .check = check, .verdict = &verdict};
    int e = walk(&w);
    if (e)
        snprintf(error, size, "the journal cannot be read: %s", e == CVM_ENOMEM ? "out of memory" : sqlite3_errmsg(db));
    else
        *ret_verdict = verdict;
    sqlite3_finalize(w.rows);
    sqlite3_finalize(w.stubs);
    audit_chain_free(&w.chain);
    return e;
}
