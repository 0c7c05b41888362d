/* Checks the hash chain of a database that is opened for reading; beside a running host, too: it reads in short
 * transactions, up to the head that stood there when it began. Any thread that owns the connection. */
#ifndef HOST_CORE_AUDIT_VERIFY_H
#define HOST_CORE_AUDIT_VERIFY_H

#include "core/audit.h"

enum audit_fault {
    AUDIT_HOLDS,
    AUDIT_CHANGED,   /* the row `seq`, or its hash */
    AUDIT_INSERTED,  /* the row `seq` */
    AUDIT_REMOVED,   /* the rows `seq` to `last_seq` */
    AUDIT_REORDERED, /* the row of `seq` stands at `last_seq` */
    AUDIT_HEAD,      /* what the head says is not how the chain ends */
    AUDIT_OTHER,     /* it holds, but at `seq` it is not the one whose head was given */
    AUDIT_UNKNOWN    /* the head that was given is of rows that are not there to be checked */
};

/* A place in the chain. */
struct audit_place {
    int64_t seq, at_ms;
    uint8_t hash[AUDIT_HASH_BYTES];
};

struct audit_check {
    int64_t from_seq;                  /* the chain before it is believed; 0: from the beginning */
    const struct audit_place *against; /* a head that was written down; NULL: none */
    void (*progress)(void *arg, int64_t seq, int64_t last_seq); /* every page; NULL: none */
    void *arg;
};

struct audit_verdict {
    enum audit_fault fault;
    int64_t seq, last_seq; /* of the fault */
    int64_t at_ms;         /* of the row there, or of the last one before it; 0: none */
    char component[160], type[160];
    char text[400]; /* what was found, in a sentence; "" where it holds */
    int64_t first_seq;
    int64_t rows, stubs;     /* checked */
    int64_t pruned;          /* before the first row, behind the anchor */
    int64_t outside;         /* from before the chain */
    struct audit_place head; /* seq 0: nothing is in the chain yet */
};

/* Opens a database for reading only. CVM_ENOENT, CVM_EDATA (also of a host that made no chain) with a sentence. */
int audit_open(const char *path, sqlite3 **ret_db, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));
/* The newest row's; seq 0: there is none. */
int audit_read_head(sqlite3 *db, struct audit_place *ret_head) __attribute__((warn_unused_result));
/* The first row that is not older; behind the last one if all are. */
int audit_seq_since(sqlite3 *db, int64_t at_ms, int64_t *ret_seq) __attribute__((warn_unused_result));
/* 0: *ret_verdict says what was found. CVM_EDATA: the database cannot be read, with a sentence; CVM_ENOMEM. */
int audit_verify(sqlite3 *db, const struct audit_check *check, struct audit_verdict *ret_verdict, char *ret_error,
                 size_t error_size) __attribute__((warn_unused_result));
const char *audit_fault_name(enum audit_fault fault);

/* audit_diagnose.c: what was done to the row `seq` that does not follow `before`. Fills `ret_verdict`. */
int audit_diagnose(sqlite3 *db, struct audit_chain *chain, int64_t seq, const uint8_t before[AUDIT_HASH_BYTES],
                   const struct audit_place *head, struct audit_verdict *ret_verdict)
    __attribute__((warn_unused_result));
/* Prepares and binds integers, in order. CVM_EDATA. */
int audit_prepare(sqlite3 *db, const char *sql, const int64_t *binds, int n, sqlite3_stmt **ret_st)
    __attribute__((warn_unused_result));
void audit_show_row(sqlite3_stmt *row, struct audit_verdict *ret_verdict); /* of AUDIT_COLUMNS */

#endif
