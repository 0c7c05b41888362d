/* What the halves of `db check` share: the file and what SQLite says of it (db.c), and what we know of the rows
 * (db_rules.c). One thread; only reads. */
#ifndef HOST_CLI_DB_H
#define HOST_CLI_DB_H

#include "cli/backup.h"

enum db_severity { DB_WARNING, DB_FAULT, DB_DAMAGE };

struct db_check {
    struct cli *cli;
    const char *path;
    sqlite3 *db;
    bool own;    /* the home's database, not another file */
    bool beside; /* a host runs: no look may take long */
    bool deep;
    json_t *findings; /* [{severity, what, where, means, next}] */
    json_t *schema;   /* --schema: [{table, kind, name, type, ..}] */
    int worst;        /* enum db_severity; -1: nothing found */
    int64_t last_seq;
    int64_t looked;   /* rows */
    int64_t until_ns; /* of the statement that runs; 0: no limit */
};

/* `where` is printed; `what`, `means`, `next` are sentences of ours. */
void db_find(struct db_check *c, enum db_severity severity, const char *what, const char *means, const char *next,
             const char *where, ...) __attribute__((format(printf, 6, 7)));
void db_step(const struct db_check *c, const char *what); /* tells a person at a terminal what is looked at */
/* NULL, and found as damage, where the statement cannot be prepared. */
sqlite3_stmt *db_prepare(struct db_check *c, const char *sql);
/* A row is there. What is no row and no end is found as damage; a look that takes too long beside a host just ends. */
bool db_row(struct db_check *c, sqlite3_stmt *st, const char *where);

void db_rules(struct db_check *c);

struct manifest;
struct manifest_table;
struct config;
typedef void (*db_table)(struct db_check *c, const struct manifest *m, const struct manifest_table *t);
void db_tables(struct db_check *c, const struct config *config, db_table each); /* those that the manifests declare */

/* `--schema`: tables, columns, defaults, indexes, against what the manifests declare. Returns the exit status. */
int db_schema(struct db_check *c);

#endif
