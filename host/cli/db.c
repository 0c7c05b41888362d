/* `cvmhost db check`: opens the database for reading only, lets SQLite look at its pages table by table, looks at the
 * rows by our own rules, and says of each finding what it means and what to do. Beside a running host no look takes
 * longer than a reader may hold the log back; what is too large for that is said. */
#include "cli/db.h"

#include "cli/show.h"
#include "services/home.h"
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FINDINGS_MAX 200
#define BESIDE_NS INT64_C(200000000)
#define PROGRESS_OPS 2000

#define NEXT_RESTORE "restore a backup: cvmhost restore DIR --force; without one: cvmhost db check --repair-advice"

static const char *const severities[] = {"warning", "fault", "damage"};

void db_find(struct db_check *c, enum db_severity severity, const char *what, const char *means, const char *next,
             const char *where, ...)
{
    char text[600];
    va_list args;
    va_start(args, where);
    vsnprintf(text, sizeof text, where, args);
    va_end(args);
    if ((int)severity > c->worst)
        c->worst = (int)severity;
    if (json_array_size(c->findings) < FINDINGS_MAX)
        json_array_append_new(c->findings, json_pack("{s:s, s:s, s:s, s:s, s:s}", "severity", severities[severity],
                                                     "what", what, "where", text, "means", means, "next", next));
}

void db_step(const struct db_check *c, const char *what)
{
    if (c->cli->terminal && c->cli->output == OUTPUT_DEFAULT)
        fprintf(stderr, "%s ...\n", what);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int too_long(void *arg)
{
    const struct db_check *c = arg;
    return c->until_ns && now_ns() > c->until_ns;
}

sqlite3_stmt *db_prepare(struct db_check *c, const char *sql)
{
    sqlite3_stmt *st = NULL;
    c->until_ns = c->beside ? now_ns() + BESIDE_NS : 0;
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) == SQLITE_OK)
        return st;
    db_find(c, DB_DAMAGE, sqlite3_errmsg(c->db), "a table is not there, or the schema cannot be read", NEXT_RESTORE,
            "%.300s", sql);
    return NULL;
}

bool db_row(struct db_check *c, sqlite3_stmt *st, const char *where)
{
    int e = st ? sqlite3_step(st) : SQLITE_DONE;
    c->looked += e == SQLITE_ROW;
    if (e == SQLITE_ROW)
        return true;
    if (e == SQLITE_INTERRUPT)
        db_find(c, DB_WARNING, "not looked at whole", "it is too large to be looked at beside a running host",
                "make a backup and check that: cvmhost db check DIR/cvmhost.db", "%s", where);
    else if (e != SQLITE_DONE)
        db_find(c, DB_DAMAGE, sqlite3_errmsg(c->db), "pages of the file are damaged: what stands in them is lost",
                NEXT_RESTORE, "%s", where);
    return false;
}

/* ---- what SQLite knows ------------------------------------------------------------------------------------------- */

static void check_table(struct db_check *c, const char *name)
{
    char *sql = sqlite3_mprintf("PRAGMA %s(%Q)", c->deep ? "integrity_check" : "quick_check", name);
    db_step(c, name);
    sqlite3_stmt *st = sql ? db_prepare(c, sql) : NULL;
    while (db_row(c, st, name)) {
        const char *said = (const char *)sqlite3_column_text(st, 0);
        if (said && strcmp(said, "ok") != 0)
            db_find(c, DB_DAMAGE, said, "the table, or an index of it, is not what was written", NEXT_RESTORE, "%s",
                    name);
    }
    sqlite3_finalize(st);
    sqlite3_free(sql);
}

static bool check_pages(struct db_check *c)
{
    sqlite3_stmt *st = db_prepare(c, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    json_t *names = json_array(), *name;
    size_t i;
    while (db_row(c, st, "the schema"))
        json_array_append_new(names, json_string((const char *)sqlite3_column_text(st, 0)));
    sqlite3_finalize(st);
    json_array_foreach(names, i, name) check_table(c, json_string_value(name));
    bool some = json_array_size(names) > 0;
    json_decref(names);
    if (!some && c->worst < DB_DAMAGE)
        db_find(c, DB_DAMAGE, "there are no tables", "this is no database of a cvmhost, or an empty one", NEXT_RESTORE,
                "%s", c->path);
    return some;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int open_database(struct db_check *c)
{
    char wal[BACKUP_PATH_MAX + 8];
    struct stat st;
    if (stat(c->path, &st) < 0 || !S_ISREG(st.st_mode))
        return cli_fail(CLI_NOT_FOUND, "there is no database at %s", c->path);
    snprintf(wal, sizeof wal, "%s-wal", c->path);
    int e = c->own || access(wal, F_OK) == 0 ? sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK
                                             : backup_open_still(c->path, &c->db) < 0;
    if (e)
        return cli_fail(CLI_CONFIG, "%s cannot be opened: %s", c->path, c->db ? sqlite3_errmsg(c->db) : "no memory");
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* we leave the file as we found it */
    sqlite3_busy_timeout(c->db, 2000);
    sqlite3_progress_handler(c->db, PROGRESS_OPS, too_long, c);
    return CLI_OK;
}

static void show_advice(const struct db_check *c)
{
    fprintf(
        c->cli->out,
        "\nWhat can be done about a damaged database, best first:\n"
        "  1. Stop the host, and keep what there is: cp -a %s* SOMEWHERE/\n"
        "  2. Restore the newest backup that is whole:\n"
        "       cvmhost db check BACKUP/cvmhost.db --deep && cvmhost restore BACKUP --force\n"
        "     What came after it is lost; calls that may have been made since are verified or reported as unknown.\n"
        "  3. Without a backup, save the rows that can be read (package sqlite3):\n"
        "       sqlite3 %s .recover | sqlite3 saved.db\n"
        "       cvmhost db check saved.db --deep\n"
        "     then, with the host stopped, put saved.db in its place and take %s-wal and %s-shm away:\n"
        "       mv saved.db %s\n"
        "     The chain of the audit is broken where rows were lost: cvmhost audit verify shows where.\n"
        "  4. Look for the reason before the host starts again: dmesg, smartctl -a, a full disk, a copy that was made\n"
        "     with cp beside a running host (use cvmhost backup).\n",
        c->path, c->path, c->path, c->path, c->path);
}

static int tell(const struct db_check *c, bool advice)
{
    size_t i;
    json_t *one;
    struct cli *cli = c->cli;
    if (cli->output == OUTPUT_JSON) {
        json_t *all = json_pack("{s:s, s:b, s:b, s:I, s:I, s:O}", "path", c->path, "ok", (int)(c->worst < DB_FAULT),
                                "deep", (int)c->deep, "last_turn", (json_int_t)c->last_seq, "rows",
                                (json_int_t)c->looked, "findings", c->findings);
        show_json(cli, all);
        json_decref(all);
    } else if (cli->output == OUTPUT_CSV) {
        show_csv(cli, c->findings, NULL);
    } else {
        json_array_foreach(c->findings, i, one)
            fprintf(cli->out, "%s: %s: %s\n    means: %s\n    next: %s\n", cvm_json_str(one, "severity", ""),
                    cvm_json_str(one, "where", ""), cvm_json_str(one, "what", ""), cvm_json_str(one, "means", ""),
                    cvm_json_str(one, "next", ""));
        fprintf(cli->out, "%s: %s, turn %lld, %lld rows looked at%s\n", c->path,
                c->worst < 0            ? "nothing found"
                : c->worst < DB_FAULT   ? "warnings only"
                : c->worst == DB_DAMAGE ? "damaged"
                                        : "not as it should be",
                (long long)c->last_seq, (long long)c->looked, c->deep ? "" : " (--deep: all)");
    }
    if (advice && cli->output == OUTPUT_DEFAULT)
        show_advice(c);
    return c->worst < DB_FAULT ? CLI_OK : c->worst == DB_DAMAGE ? CLI_CONFIG : CLI_FAILED;
}

int cli_db_check(struct cli *cli)
{
    struct db_check c = {.cli = cli, .worst = -1};
    const char *file = NULL;
    char path[HOME_PATH_MAX];
    c.deep = cli_take_flag(cli, "--deep", NULL);
    bool advice = cli_take_flag(cli, "--repair-advice", NULL), schema = cli_take_flag(cli, "--schema", NULL);
    int status = cli_arguments(cli, "db check [FILE] [--deep] [--repair-advice] [--schema]", NULL, 0, &file, 0, 1);
    if (status != CLI_OK)
        return status;
    if (!file && home_path(cli->home, HOME_DATABASE, path, sizeof path) < 0)
        return cli_fail(CLI_USAGE, "the path of the home is too long");
    c.path = file ? file : path;
    c.own = !file;
    c.beside = c.own && home_owner(cli->home) != 0;
    c.findings = json_array();
    status = open_database(&c);
    if (status == CLI_OK && schema) {
        status = db_schema(&c);
    } else if (status == CLI_OK) {
        if (check_pages(&c))
            db_rules(&c);
        status = tell(&c, advice);
    } else if (advice && status == CLI_CONFIG) {
        show_advice(&c);
    }
    sqlite3_close(c.db);
    json_decref(c.findings);
    return status;
}
