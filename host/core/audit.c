/* The hash chain over the rows of `turns`: encodes a row, hashes it, links it to the one before. The writer adds rows
 * on its thread; whoever checks the chain has a struct audit_chain of his own. Knows nothing of turns but their
 * columns.
 *
 * The encoding of a row is that of its columns in the order of AUDIT_COLUMNS, each by its kind as stored: an integer is
 * 'i' and 8 bytes, a text 't', its length as 8 bytes and its bytes, a blob the same with 'b', a NULL 'n', a real number
 * 'r' and the 8 bytes of its IEEE form; numbers have the high byte first. */
#include "core/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define COLUMNS_MAX_BYTES (1024 * 1024)
#define GENESIS_TEXT "cvmhost audit chain 1\n"
#define RECORD_COLUMN 11

/* ---- encoding ---- */

static void add_number(struct text *text, char kind, uint64_t value)
{
    char bytes[9] = {kind};
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (char)(value >> (56 - 8 * i));
    text_add(text, bytes, sizeof bytes);
}

static void add_bytes(struct text *text, char kind, const void *bytes, size_t len)
{
    add_number(text, kind, len);
    text_add(text, bytes, len);
}

static void add_string(struct text *text, const char *string)
{
    add_bytes(text, 't', string, strlen(string));
}

static void add_row(struct text *text, const struct audit_row *row, size_t record_len)
{
    text_reset(text);
    add_number(text, 'i', (uint64_t)row->seq);
    add_number(text, 'i', (uint64_t)row->at_ms);
    add_number(text, 'i', (uint64_t)row->conversation);
    add_string(text, row->component);
    if (row->message)
        add_bytes(text, 'b', row->message, 16);
    else
        text_char(text, 'n');
    add_string(text, row->type);
    add_string(text, row->sender);
    add_string(text, row->outcome);
    add_number(text, 'i', (uint64_t)row->us);
    add_string(text, row->build);
    add_number(text, 'i', (uint64_t)row->key_id);
    add_number(text, 't', record_len);
}

/* One column as it is stored; the bytes of the last are not copied. */
static void add_column(struct text *text, sqlite3_stmt *row, int i)
{
    double real;
    uint64_t bits;
    switch (sqlite3_column_type(row, i)) {
    case SQLITE_INTEGER:
        add_number(text, 'i', (uint64_t)sqlite3_column_int64(row, i));
        return;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(row, i);
        memcpy(&bits, &real, sizeof bits);
        add_number(text, 'r', bits);
        return;
    case SQLITE_NULL:
        text_char(text, 'n');
        return;
    default:
        break;
    }
    char kind = sqlite3_column_type(row, i) == SQLITE_TEXT ? 't' : 'b';
    const void *bytes = sqlite3_column_blob(row, i);
    size_t len = (size_t)sqlite3_column_bytes(row, i);
    add_number(text, kind, len);
    if (i != RECORD_COLUMN)
        text_add(text, bytes ? bytes : "", len);
}

/* ---- hashing ---- */

static int prepare(struct audit_chain *chain)
{
    if (chain->hash)
        return 0;
    text_init(&chain->columns, COLUMNS_MAX_BYTES);
    chain->hash = EVP_MD_CTX_new();
    return chain->hash && EVP_DigestInit_ex(chain->hash, EVP_sha256(), NULL) == 1 ? 0 : CVM_ENOMEM;
}

/* The context keeps its algorithm: looking that up costs more than hashing a small row. */
static int hash2(struct audit_chain *chain, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *ret_hash)
{
    int e = prepare(chain);
    if (e)
        return e;
    return EVP_DigestInit_ex(chain->hash, NULL, NULL) == 1 && EVP_DigestUpdate(chain->hash, a, a_len) == 1 &&
                   EVP_DigestUpdate(chain->hash, b, b_len) == 1 && EVP_DigestFinal_ex(chain->hash, ret_hash, NULL) == 1
               ? 0
               : CVM_ENOMEM;
}

int audit_link(struct audit_chain *chain, const uint8_t before[AUDIT_HASH_BYTES],
               const uint8_t digest[AUDIT_HASH_BYTES], uint8_t ret_hash[AUDIT_HASH_BYTES])
{
    return hash2(chain, before, AUDIT_HASH_BYTES, digest, AUDIT_HASH_BYTES, ret_hash);
}

int audit_digest_stored(struct audit_chain *chain, sqlite3_stmt *row, int64_t seq, uint8_t ret_digest[AUDIT_HASH_BYTES])
{
    int e = prepare(chain);
    struct text *text = &chain->columns;
    if (e)
        return e;
    text_reset(text);
    add_number(text, 'i', (uint64_t)seq);
    for (int i = 1; i <= RECORD_COLUMN; i++)
        add_column(text, row, i);
    if (text->failed)
        return CVM_ENOMEM;
    bool bytes = sqlite3_column_type(row, RECORD_COLUMN) == SQLITE_TEXT ||
                 sqlite3_column_type(row, RECORD_COLUMN) == SQLITE_BLOB;
    const void *record = bytes ? sqlite3_column_blob(row, RECORD_COLUMN) : NULL;
    size_t len = bytes ? (size_t)sqlite3_column_bytes(row, RECORD_COLUMN) : 0;
    return hash2(chain, text->at, text->len, record ? record : "", len, ret_digest);
}

void audit_chain_free(struct audit_chain *chain)
{
    EVP_MD_CTX_free(chain->hash);
    text_free(&chain->columns);
    *chain = (struct audit_chain){0};
}

/* ---- the writer ---- */

void audit_group(struct audit_chain *chain)
{
    assert(chain->begun);
    memcpy(chain->next, chain->head, sizeof chain->next);
}

int audit_add(struct audit_chain *chain, const struct audit_row *row, const char *record, size_t record_len)
{
    uint8_t digest[AUDIT_HASH_BYTES];
    int e = prepare(chain);
    if (e)
        return e;
    add_row(&chain->columns, row, record_len);
    if (chain->columns.failed)
        return CVM_ENOMEM;
    chain->next_seq = row->seq;
    chain->next_ms = row->at_ms;
    e = hash2(chain, chain->columns.at, chain->columns.len, record, record_len, digest);
    return e ? e : audit_link(chain, chain->next, digest, chain->next);
}

void audit_committed(struct audit_chain *chain)
{
    memcpy(chain->head, chain->next, sizeof chain->head);
}

/* ---- where it begins ---- */

int audit_genesis(struct audit_chain *chain, sqlite3 *db, uint8_t ret_hash[AUDIT_HASH_BYTES])
{
    sqlite3_stmt *st = NULL;
    int e = CVM_EDATA;
    if (sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = 'home_id'", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) == SQLITE_TEXT) {
        const char *id = (const char *)sqlite3_column_text(st, 0);
        e = hash2(chain, GENESIS_TEXT, strlen(GENESIS_TEXT), id, (size_t)sqlite3_column_bytes(st, 0), ret_hash);
    }
    sqlite3_finalize(st);
    return e;
}

static int make_home_id(struct store *s, uint64_t seed)
{
    uint64_t id[2] = {id_mix(seed, 1), id_mix(seed, 2)};
    char sql[160];
    if (!seed && getrandom(id, sizeof id, 0) != sizeof id)
        return CVM_EIO;
    snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO meta VALUES('home_id', '%016llx%016llx')",
             (unsigned long long)id[0], (unsigned long long)id[1]);
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? CVM_EIO : 0;
}

/* The head; where somebody took it away, the last row or anchor: going on is not repairing, a check says what is gone.
 */
int audit_begin(struct store *s, uint64_t seed)
{
    static const char sql[] =
        "SELECT hash FROM (SELECT 1 AS rank, seq, chain AS hash FROM audit_head UNION ALL"
        " SELECT * FROM (SELECT 2, seq, chain FROM turns ORDER BY seq DESC LIMIT 1) UNION ALL"
        " SELECT * FROM (SELECT 3, last_seq, hash FROM audit_anchors ORDER BY last_seq DESC LIMIT 1))"
        " WHERE typeof(hash) = 'blob' AND length(hash) = 32 ORDER BY rank LIMIT 1";
    struct audit_chain *chain = &s->chain;
    sqlite3_stmt *st = NULL;
    int e = make_home_id(s, seed);
    if (!e)
        e = audit_genesis(chain, s->db, chain->head);
    if (!e && sqlite3_prepare_v2(s->db, sql, -1, &st, NULL))
        e = CVM_EDATA;
    int step = e ? SQLITE_ERROR : sqlite3_step(st);
    if (step == SQLITE_ROW)
        memcpy(chain->head, sqlite3_column_blob(st, 0), sizeof chain->head);
    else if (!e && step != SQLITE_DONE)
        e = CVM_EDATA;
    sqlite3_finalize(st);
    chain->begun = !e;
    return e;
}
