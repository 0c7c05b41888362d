/* The audit: a hash chain over the rows of `turns` as they are stored, and receipts of what happened to the host
 * itself.
 *
 *   digest(row) = SHA-256(its columns: audit.c says the encoding, docs/reference/journal.md at length)
 *   chain(n)    = SHA-256(chain(n - 1), digest(row n)), in the column `chain` of row n
 *   genesis     = SHA-256("cvmhost audit chain 1\n", home id), where nothing is before
 *   audit_head(seq, chain, at_ms): the newest row; written in the commit that writes that row
 *
 * No row of `turns` is ever changed. One leaves only through audit_prune(), which keeps its digest in
 * audit_stubs(seq, digest), 32 bytes a row: so the chain can be followed through the rows that are gone, wherever they
 * stood. Stubs at the beginning of the chain, before the first row that is still there, become one row of
 *   audit_anchors(last_seq, first_seq, n, hash, at_ms, why): the rows of first_seq..last_seq are gone, and `hash` is
 *   chain(last_seq); or, why = "before the chain", they were written by a host that made none. */
#ifndef HOST_CORE_AUDIT_H
#define HOST_CORE_AUDIT_H

#include "json_text.h"
#include <openssl/evp.h>
#include <sqlite3.h>

#define AUDIT_HASH_BYTES 32

struct core;
struct store;

/* ---- pruning: on the writer's thread, within a transaction of the caller -----------------------------------------
 */

/* Deletes the turns of a conversation, the oldest first, at most `limit`, and keeps their digests. `*ret_n`: how many;
 * less than `limit`: none is left. CVM_EBUSY, CVM_EDATA as store_write(): roll back. */
int audit_prune(struct store *store, int64_t conversation, int64_t limit, int64_t *ret_n)
    __attribute__((warn_unused_result));
/* The same of one turn, in a lane that has no end. */
int audit_prune_turn(struct store *store, int64_t seq) __attribute__((warn_unused_result));
/* Turns up to `limit` stubs that begin the chain into the anchor there; after audit_prune, in the same transaction or a
 * later one. `why`: what the anchor says of them ("pruned"). Same errors. */
int audit_collapse(struct store *store, int64_t at_ms, const char *why, int64_t limit, int64_t *ret_n)
    __attribute__((warn_unused_result));

/* ---- receipts: loop thread ---------------------------------------------------------------------------------------
 */

/* A durable turn of the component "host" in its place in the sequence, of type `what` (static text such as
 * "process.ended", "journal.pruned"; documented in docs/reference/journal.md), with the note [what, data]. At any time,
 * also within a turn: it is written with the next tick. Takes `data`, an object (NULL: none); no secrets and no
 * personal data in it. Well known members: component, plugin, message, why, by ("operator", "host"). */
void audit_event(struct core *core, const char *what, json_t *data);
/* The same for what others can cause as often as they like (refused tokens, ..): at most AUDIT_OFTEN of `what` a
 * minute, and the next one says how many were left out ("left_out"). */
void audit_event_limited(struct core *core, const char *what, json_t *data);
#define AUDIT_OFTEN 10
/* A host that serves has started; before that, how the one before ended where it did not stop: "host.died". Takes
 * `data`. After core_start. */
void audit_host_started(struct core *core, json_t *data);
void audit_events_write(struct core *core); /* the tick's: no turn is running */
void audit_events_free(struct core *core);

/* ---- the chain: the writer's side (store_write.c) ---------------------------------------------------------------
 */

struct audit_chain {
    EVP_MD_CTX *hash;
    struct text columns;                                    /* of the row, encoded; reused */
    uint8_t head[AUDIT_HASH_BYTES], next[AUDIT_HASH_BYTES]; /* as committed; of the group under way */
    int64_t next_seq, next_ms;
    bool begun;
};

/* The columns of one row but `record`, which follows as text. */
struct audit_row {
    int64_t seq, at_ms, conversation, us, key_id;
    const char *component, *type, *sender, *outcome, *build;
    const uint8_t *message; /* 16 bytes; NULL: none */
};

/* Where the chain stands; makes the home's id where there is none, from `seed` (0: at random). */
int audit_begin(struct store *store, uint64_t seed);
/* A group begins, again where it is retried. */
void audit_group(struct audit_chain *chain);
/* Adds a row; its hash is then in chain->next. */
int audit_add(struct audit_chain *chain, const struct audit_row *row, const char *record, size_t record_len)
    __attribute__((warn_unused_result));
void audit_committed(struct audit_chain *chain);
void audit_chain_free(struct audit_chain *chain);

/* ---- the chain: whoever checks it ------------------------------------------------------------------------------- */

#define AUDIT_COLUMNS "seq, at_ms, conversation, component, message, type, sender, outcome, us, build, key_id, record"
/* Of a row of AUDIT_COLUMNS; `seq` in place of its own, because a row may have been moved. */
int audit_digest_stored(struct audit_chain *chain, sqlite3_stmt *row, int64_t seq, uint8_t ret_digest[AUDIT_HASH_BYTES])
    __attribute__((warn_unused_result));
int audit_link(struct audit_chain *chain, const uint8_t before[AUDIT_HASH_BYTES],
               const uint8_t digest[AUDIT_HASH_BYTES], uint8_t ret_hash[AUDIT_HASH_BYTES])
    __attribute__((warn_unused_result));
int audit_genesis(struct audit_chain *chain, sqlite3 *db, uint8_t ret_hash[AUDIT_HASH_BYTES])
    __attribute__((warn_unused_result));

#endif
