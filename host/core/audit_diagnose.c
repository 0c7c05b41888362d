/* What was done to a row that does not follow the one before it: told by how the rows around it fit where they are, and
 * where they may have been. Reads only. */
#include "core/audit_verify.h"

#include <cvm/cvm.h>
#include <stdlib.h>
#include <string.h>

#define AROUND_MAX 1000 /* rows behind it among which the one that belongs there is looked for */
#define GONE_MAX 16     /* rows taken out and the others renumbered */
#define CHAIN_COLUMN 12

struct around {
    struct audit_chain *chain;
    sqlite3_stmt *st; /* ?1: the number of a row */
    int64_t seq;
    const uint8_t *before;
};

/* The hash of the row at `at`, were it row `as` behind `hash`; and the hash that stands in it. False: there is none. */
static bool hash_as(const struct around *a, int64_t at, int64_t as, const uint8_t *hash, uint8_t *ret_hash,
                    uint8_t *ret_stored)
{
    uint8_t digest[AUDIT_HASH_BYTES];
    sqlite3_reset(a->st);
    sqlite3_bind_int64(a->st, 1, at);
    if (sqlite3_step(a->st) != SQLITE_ROW || sqlite3_column_bytes(a->st, CHAIN_COLUMN) != AUDIT_HASH_BYTES)
        return false;
    memcpy(ret_stored, sqlite3_column_blob(a->st, CHAIN_COLUMN), AUDIT_HASH_BYTES);
    return audit_digest_stored(a->chain, a->st, as, digest) == 0 && audit_link(a->chain, hash, digest, ret_hash) == 0;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, AUDIT_HASH_BYTES) == 0;
}

/* Whether the row at `at` is as it was, but for its number, behind `hash`. */
static bool fits(const struct around *a, int64_t at, int64_t as, const uint8_t *hash, uint8_t *ret_stored)
{
    uint8_t computed[AUDIT_HASH_BYTES];
    return hash_as(a, at, as, hash, computed, ret_stored) && same(computed, ret_stored);
}

/* The next row stood here, and so did all behind it, one further. */
static bool is_inserted(const struct around *a, const struct audit_place *head)
{
    uint8_t one[AUDIT_HASH_BYTES], two[AUDIT_HASH_BYTES], any[AUDIT_HASH_BYTES], skipped[AUDIT_HASH_BYTES];
    if (!fits(a, a->seq + 1, a->seq, a->before, one))
        return false;
    if (!hash_as(a, a->seq + 2, a->seq + 1, one, any, two)) /* else the last two were swapped */
        return head->seq == a->seq;
    return fits(a, a->seq + 2, a->seq + 1, one, skipped);
}

/* Rows were taken out here and those behind them got their numbers. How many; 0: no. */
static int gone(const struct around *a, const uint8_t *stored)
{
    uint8_t any[AUDIT_HASH_BYTES];
    for (int n = 1; n <= GONE_MAX; n++)
        if (fits(a, a->seq + 1, a->seq + 1 + n, stored, any))
            return n;
    return 0;
}

/* Where the row stands that belongs here, with its hash or without; 0: not near. */
static int64_t elsewhere(const struct around *a, const uint8_t *stored)
{
    uint8_t computed[AUDIT_HASH_BYTES], its[AUDIT_HASH_BYTES];
    for (int64_t at = a->seq + 1; at <= a->seq + AROUND_MAX; at++)
        if (hash_as(a, at, a->seq, a->before, computed, its) && (same(computed, its) || same(computed, stored)))
            return at;
    return 0;
}

static void say(struct audit_verdict *v, enum audit_fault fault, int64_t seq, int64_t last, const char *what)
{
    v->fault = fault;
    v->seq = seq;
    v->last_seq = last;
    snprintf(v->text, sizeof v->text, "the row %lld %s", (long long)seq, what);
}

static void judge(const struct around *a, const struct audit_place *head, struct audit_verdict *v)
{
    uint8_t computed[AUDIT_HASH_BYTES], stored[AUDIT_HASH_BYTES] = {0}, any[AUDIT_HASH_BYTES];
    const bool last = a->seq == head->seq, hashed = hash_as(a, a->seq, a->seq, a->before, computed, stored);
    int n = 0;
    int64_t at;
    if (is_inserted(a, head)) {
        say(v, AUDIT_INSERTED, a->seq, a->seq, "was inserted, and those behind it were renumbered");
    } else if ((at = elsewhere(a, stored))) {
        say(v, AUDIT_REORDERED, a->seq, at, "stands elsewhere: rows were reordered");
        snprintf(v->text, sizeof v->text, "the rows %lld and %lld were reordered", (long long)a->seq, (long long)at);
    } else if (hashed && (n = gone(a, stored))) {
        say(v, AUDIT_REMOVED, a->seq, a->seq + n - 1, "was removed, and those behind it were renumbered");
    } else if (hashed && (last ? same(stored, head->hash) : fits(a, a->seq + 1, a->seq + 1, stored, any))) {
        say(v, AUDIT_CHANGED, a->seq, a->seq, "was changed");
    } else if (!hashed || (last ? same(computed, head->hash) : fits(a, a->seq + 1, a->seq + 1, computed, any))) {
        say(v, AUDIT_CHANGED, a->seq, a->seq, "has another hash than it had: that was changed, or taken away");
    } else {
        say(v, AUDIT_CHANGED, a->seq, a->seq, "was changed, or the chain was written anew from there on");
    }
}

int audit_diagnose(sqlite3 *db, struct audit_chain *chain, int64_t seq, const uint8_t before[AUDIT_HASH_BYTES],
                   const struct audit_place *head, struct audit_verdict *ret_verdict)
{
    struct around a = {.chain = chain, .seq = seq, .before = before};
    int e = audit_prepare(db, "SELECT " AUDIT_COLUMNS ", chain FROM turns WHERE seq = ?1", NULL, 0, &a.st);
    if (!e)
        judge(&a, head, ret_verdict);
    sqlite3_finalize(a.st);
    return e;
}
