/* How rows of `turns` leave without breaking their chain: each leaves its digest, and digests at the beginning of the
 * chain become one anchor. Writer's thread, within a transaction of the caller. */
#include "core/store.h"

#include <string.h>

static int judge(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
        return CVM_EBUSY;
    default:
        return CVM_EDATA;
    }
}

/* Prepares and binds integers, in order. */
static int prepare(struct store *s, const char *sql, const int64_t *binds, int n, sqlite3_stmt **ret_st)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (code)
        return judge(code);
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(st, i + 1, binds[i]);
    *ret_st = st;
    return 0;
}

static int run(sqlite3_stmt *st)
{
    int code = sqlite3_step(st);
    sqlite3_reset(st);
    return judge(code);
}

/* ---- rows to stubs ---- */

/* The digests of the rows; `ret_last` is the seq of the last. Rows from before the chain leave nothing. */
static int leave_stubs(struct store *s, int64_t conversation, int64_t limit, int64_t *ret_last, int64_t *ret_n)
{
    sqlite3_stmt *rows = NULL, *put = NULL;
    int64_t n = 0, last = 0;
    uint8_t digest[AUDIT_HASH_BYTES];
    int code = SQLITE_DONE;
    int e =
        prepare(s, "SELECT " AUDIT_COLUMNS ", chain IS NULL FROM turns WHERE conversation = ?1 ORDER BY seq LIMIT ?2",
                (int64_t[]){conversation, limit}, 2, &rows);
    if (!e)
        e = prepare(s, "INSERT INTO audit_stubs(seq, digest) VALUES(?1, ?2)", NULL, 0, &put);
    while (!e && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        n++;
        last = sqlite3_column_int64(rows, 0);
        if (sqlite3_column_int(rows, 12))
            continue;
        e = audit_digest_stored(&s->chain, rows, last, digest);
        sqlite3_bind_int64(put, 1, last);
        sqlite3_bind_blob(put, 2, digest, sizeof digest, SQLITE_STATIC);
        if (!e)
            e = run(put);
    }
    if (!e)
        e = judge(code);
    sqlite3_finalize(rows);
    sqlite3_finalize(put);
    *ret_last = last;
    *ret_n = n;
    return e;
}

int audit_prune(struct store *s, int64_t conversation, int64_t limit, int64_t *ret_n)
{
    sqlite3_stmt *del = NULL;
    int64_t last = 0, n = 0;
    int e = leave_stubs(s, conversation, limit, &last, &n);
    if (!e && n)
        e = prepare(s, "DELETE FROM turns WHERE conversation = ?1 AND seq <= ?2", (int64_t[]){conversation, last}, 2,
                    &del);
    if (!e && n)
        e = run(del);
    sqlite3_finalize(del);
    if (!e)
        *ret_n = n;
    return e;
}

int audit_prune_turn(struct store *s, int64_t seq)
{
    sqlite3_stmt *row = NULL, *change = NULL;
    uint8_t digest[AUDIT_HASH_BYTES];
    int e = prepare(s, "SELECT " AUDIT_COLUMNS ", chain IS NULL FROM turns WHERE seq = ?1", &seq, 1, &row);
    int code = e ? SQLITE_OK : sqlite3_step(row);
    if (!e && code == SQLITE_ROW && !sqlite3_column_int(row, 12)) {
        e = audit_digest_stored(&s->chain, row, seq, digest);
        if (!e)
            e = prepare(s, "INSERT INTO audit_stubs(seq, digest) VALUES(?1, ?2)", &seq, 1, &change);
        if (!e) {
            sqlite3_bind_blob(change, 2, digest, sizeof digest, SQLITE_STATIC);
            e = run(change);
        }
        sqlite3_finalize(change);
        change = NULL;
    } else if (!e) {
        e = judge(code);
    }
    sqlite3_finalize(row);
    if (!e)
        e = prepare(s, "DELETE FROM turns WHERE seq = ?1", &seq, 1, &change);
    if (!e)
        e = run(change);
    sqlite3_finalize(change);
    return e;
}

/* ---- stubs to an anchor ---- */

struct anchor {
    int64_t first, last, n;
    uint8_t hash[AUDIT_HASH_BYTES];
};

/* Where the chain begins: behind the last anchor, which grows if it is one of pruned rows. */
static int beginning(struct store *s, struct anchor *a)
{
    sqlite3_stmt *st = NULL;
    int e = prepare(s,
                    "SELECT first_seq, last_seq, n, hash, why = 'before the chain' FROM audit_anchors"
                    " ORDER BY last_seq DESC LIMIT 1",
                    NULL, 0, &st);
    int code = e ? SQLITE_OK : sqlite3_step(st);
    *a = (struct anchor){.first = 1};
    if (!e && code == SQLITE_ROW) {
        bool outside = sqlite3_column_int(st, 4);
        a->last = sqlite3_column_int64(st, 1);
        a->first = outside ? a->last + 1 : sqlite3_column_int64(st, 0);
        a->n = outside ? 0 : sqlite3_column_int64(st, 2);
        e = outside                                         ? audit_genesis(&s->chain, s->db, a->hash)
            : sqlite3_column_bytes(st, 3) != sizeof a->hash ? CVM_EDATA
                                                            : 0;
        if (!e && !outside)
            memcpy(a->hash, sqlite3_column_blob(st, 3), sizeof a->hash);
    } else if (!e) {
        e = code == SQLITE_DONE ? audit_genesis(&s->chain, s->db, a->hash) : judge(code);
    }
    sqlite3_finalize(st);
    return e;
}

static int follow_stubs(struct store *s, struct anchor *a, int64_t limit, int64_t *ret_n)
{
    sqlite3_stmt *st = NULL;
    int code = SQLITE_DONE;
    int e = prepare(s, "SELECT seq, digest FROM audit_stubs WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                    (int64_t[]){a->last, limit}, 2, &st);
    int64_t n = 0;
    while (!e && (code = sqlite3_step(st)) == SQLITE_ROW) {
        if (sqlite3_column_int64(st, 0) != a->last + 1) /* a row is still there */
            break;
        e = sqlite3_column_bytes(st, 1) != AUDIT_HASH_BYTES
                ? CVM_EDATA
                : audit_link(&s->chain, a->hash, sqlite3_column_blob(st, 1), a->hash);
        a->last++;
        n++;
    }
    if (!e)
        e = judge(code);
    sqlite3_finalize(st);
    *ret_n = n;
    return e;
}

static int write_anchor(struct store *s, const struct anchor *a, int64_t at_ms, const char *why)
{
    sqlite3_stmt *st = NULL;
    int e = prepare(s, "DELETE FROM audit_stubs WHERE seq <= ?1", &a->last, 1, &st);
    if (!e)
        e = run(st);
    sqlite3_finalize(st);
    st = NULL;
    if (!e)
        e = prepare(s, "DELETE FROM audit_anchors WHERE first_seq = ?1", &a->first, 1, &st);
    if (!e)
        e = run(st);
    sqlite3_finalize(st);
    st = NULL;
    if (!e)
        e = prepare(s,
                    "INSERT INTO audit_anchors(first_seq, last_seq, n, at_ms, hash, why)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                    (int64_t[]){a->first, a->last, a->n, at_ms}, 4, &st);
    if (!e) {
        sqlite3_bind_blob(st, 5, a->hash, sizeof a->hash, SQLITE_STATIC);
        sqlite3_bind_text(st, 6, why, -1, SQLITE_STATIC);
        e = run(st);
    }
    sqlite3_finalize(st);
    return e;
}

int audit_collapse(struct store *s, int64_t at_ms, const char *why, int64_t limit, int64_t *ret_n)
{
    struct anchor a;
    int64_t n = 0;
    int e = beginning(s, &a);
    if (!e)
        e = follow_stubs(s, &a, limit, &n);
    a.n += n;
    if (!e && n)
        e = write_anchor(s, &a, at_ms, why);
    if (!e)
        *ret_n = n;
    return e;
}
