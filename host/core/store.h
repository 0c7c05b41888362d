/* A connection to the store. One writes and checkpoints; the others only read. Used by one thread at a time. */
#ifndef HOST_CORE_STORE_H
#define HOST_CORE_STORE_H

#include "core/audit.h"
#include "internal.h"
#include <sqlite3.h>

#define STORE_STATEMENTS(X)                                                                                            \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(TURN, "INSERT INTO turns(seq, at_ms, conversation, component, message, type, sender, outcome, us, build, "       \
            "record, chain)"                                                                                           \
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                             \
    X(AUDIT_HEAD, "INSERT OR REPLACE INTO audit_head(one, seq, chain, at_ms) VALUES(1, ?, ?, ?)")                      \
    X(CONTEXT, "INSERT INTO contexts(conversation, name, parent, version, opened_ms, ended_ms, doc)"                   \
               " VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(conversation) DO UPDATE SET parent = excluded.parent,"        \
               " version = excluded.version, opened_ms = excluded.opened_ms, ended_ms = excluded.ended_ms, key_id = "  \
               "0, doc = excluded.doc")                                                                                \
    X(CONFIGURATION, "INSERT OR IGNORE INTO host_configs(id, hash, at_ms, doc) VALUES(?, ?, ?, ?)")                    \
    X(STATE_PUT,                                                                                                       \
      "INSERT INTO state(component, key, value, version, turn) VALUES(?, ?, ?, ?, ?) ON CONFLICT(component,"           \
      " key) DO UPDATE SET value = excluded.value, version = excluded.version, turn = excluded.turn,"                  \
      " key_id = 0")                                                                                                   \
    X(STATE_DEL, "DELETE FROM state WHERE component = ? AND key = ?")                                                  \
    X(OPEN, "INSERT INTO open_items(no, kind, doc) VALUES(?, ?, ?)")                                                   \
    X(CLOSE, "DELETE FROM open_items WHERE no = ?")                                                                    \
    X(INBOX_TAKE,                                                                                                      \
      "INSERT OR REPLACE INTO inbox(source, key, hash, message, at_ms, outcome) VALUES(?, ?, ?, ?, ?, -1)")            \
    X(INBOX_ANSWER, "UPDATE inbox SET outcome = ?, result = ? WHERE source = ? AND key = ?")                           \
    X(DEAD, "INSERT INTO dead_letters(at_ms, message, component, type, reason, envelope) VALUES(?, ?, ?, ?, ?, ?)")    \
    X(READ, "BEGIN")                                                                                                   \
    X(STATE_GET, "SELECT value, version, turn FROM state WHERE component = ? AND key = ?")                             \
    X(STATE_SCAN,                                                                                                      \
      "SELECT key, value, version, turn FROM state WHERE component = ? AND key > ? AND key >= ? AND key < ?"           \
      " ORDER BY key LIMIT ?")                                                                                         \
    X(CONTEXT_GET, "SELECT doc, version, parent, opened_ms, ended_ms, name FROM contexts WHERE conversation = ?")      \
    X(INBOX_GET, "SELECT hash, outcome, result, message FROM inbox WHERE source = ? AND key = ?")

enum store_statement {
#define STORE_X(id, sql) STATEMENT_##id,
    STORE_STATEMENTS(STORE_X)
#undef STORE_X
        STATEMENT_COUNT
};

struct store {
    sqlite3 *db;
    char *path;
    bool writer;
    bool one_moment; /* reads share a transaction, which the first of them begins */
    sqlite3_stmt *statement[STATEMENT_COUNT];
    struct text text;           /* reused for each row's JSON */
    struct text scratch;        /* what of it is only digested */
    struct audit_chain chain;   /* of the writer */
    struct row_change **newest; /* of each row that a group changes, by hash of its key */
    size_t newest_room;
    _Atomic int64_t wal_bytes;
    int64_t busy_until_ns;
    sqlite3_stmt **kept; /* of tables, until it is closed; others are those of the indexes themselves */
    size_t n_kept;
    struct search_memory *search; /* what this reader's searches keep */
    struct asking *asking;        /* room for one of them */
    sqlite3_backup *backup;       /* under way; NULL: none */
    sqlite3 *backup_db;
    char error[256];
};

/* Prepares a statement that lives as long as the store. CVM_EDATA: it cannot be; *ret_statement is NULL then. */
int store_keep(struct store *store, const struct text *sql, sqlite3_stmt **ret_statement);
int store_prepare(struct store *store, char *ret_error, size_t error_size);
/* Puts the columns of the row that stands at into an object. */
void store_row_json(sqlite3_stmt *statement, json_t *row);

int64_t store_format(void); /* of the stores that this program writes; it reads older ones. Any thread */

#endif
