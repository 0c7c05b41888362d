/* What must be true of the rows of a journal, whatever SQLite thinks of its pages. Without --deep of large tables only
 * the newest or first rows are looked at. */
#include "cli/db.h"

#include "cli/installed.h"
#include "core/config.h"
#include "core/internal.h"
#include "services/home.h"
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_TURNS 200000
#define SAMPLE_ROWS 20000
#define SAMPLE_CONTEXTS 200
#define SAMPLE_INBOX 500
#define PAGE 5000
#define GAPS_MAX 20
#define SHOWN_MAX 10

#define NEXT_REPORT "keep the file, restore a backup if the host will not serve, and report it as a fault of the host"
#define NEXT_VERIFY "cvmhost audit verify"

static int64_t all_or(const struct db_check *c, int64_t sample)
{
    return c->deep ? INT64_MAX : sample;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static void check_gap(struct db_check *c, int64_t first, int64_t last)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "SELECT (SELECT count(*) FROM audit_stubs WHERE seq BETWEEN %lld AND %lld) + (SELECT coalesce(sum("
             "min(last_seq, %lld) - max(first_seq, %lld) + 1), 0) FROM audit_anchors WHERE last_seq >= %lld AND"
             " first_seq <= %lld)",
             (long long)first, (long long)last, (long long)last, (long long)first, (long long)first, (long long)last);
    int64_t told = backup_number(c->db, sql, 0);
    if (told < last - first + 1)
        db_find(c, DB_FAULT, "turns are missing", "rows have left the journal that no prune has taken", NEXT_VERIFY,
                "turns %lld to %lld (%lld of them not accounted for)", (long long)first, (long long)last,
                (long long)(last - first + 1 - told));
}

static void check_sequence(struct db_check *c)
{
    int64_t at = c->deep || c->last_seq < SAMPLE_TURNS ? 0 : c->last_seq - SAMPLE_TURNS;
    int gaps = 0;
    bool more = true;
    char sql[200];
    db_step(c, "the order of turns");
    while (more && gaps < GAPS_MAX) {
        snprintf(sql, sizeof sql, "SELECT seq, json_valid(record) FROM turns WHERE seq > %lld ORDER BY seq LIMIT %d",
                 (long long)at, PAGE);
        sqlite3_stmt *st = db_prepare(c, sql);
        for (more = false; db_row(c, st, "turns"); more = true) {
            int64_t seq = sqlite3_column_int64(st, 0);
            if (seq != at + 1 && gaps++ < GAPS_MAX)
                check_gap(c, at + 1, seq - 1);
            if (!sqlite3_column_int(st, 1) && gaps++ < GAPS_MAX)
                db_find(c, DB_DAMAGE, "a record is no JSON", "what this turn did cannot be read", NEXT_VERIFY,
                        "turn %lld", (long long)seq);
            at = seq;
        }
        sqlite3_finalize(st);
    }
}

/* ---- rows that are not as they should be, by one statement each -------------------------------------------------- */

struct rule {
    const char *where, *sql; /* a text per bad row; %lld: at most so many are looked at */
    int64_t sample;
    const char *what, *means, *next;
};

static const struct rule rules[] = {
    {"open_items",
     "SELECT kind || ' ' || no FROM (SELECT * FROM open_items LIMIT %lld) WHERE NOT json_valid(doc) OR kind NOT IN"
     " ('message', 'request', 'timer', 'effect') OR (kind = 'message' AND json_extract(doc, '$.envelope.message_id') IS"
     " NULL) OR (kind != 'message' AND json_extract(doc, '$.id') IS NULL)",
     SAMPLE_ROWS, "something open cannot be read", "the host will not start: it could not go on with it", NEXT_REPORT},
    {"state",
     "SELECT component || ' ' || key FROM (SELECT * FROM state LIMIT %lld) WHERE turn > (SELECT max(seq) FROM turns)",
     SAMPLE_ROWS, "a value was written by a turn that is not there", "the end of the journal is lost", NEXT_VERIFY},
    {"state", "SELECT component || ' ' || key FROM (SELECT * FROM state LIMIT %lld) WHERE NOT json_valid(value)",
     SAMPLE_ROWS, "a value is no JSON", "its component cannot read it: each turn that does fails",
     "cvmhost state put STORE KEY JSON, or restore a backup"},
    {"contexts",
     "SELECT name FROM (SELECT * FROM contexts ORDER BY opened_ms DESC LIMIT %lld) WHERE NOT json_valid(doc)",
     SAMPLE_ROWS, "a document is no JSON", "messages of this conversation cannot be handled", NEXT_REPORT},
    {"dead_letters",
     "SELECT id FROM (SELECT * FROM dead_letters ORDER BY id DESC LIMIT %lld) WHERE NOT json_valid(envelope)",
     SAMPLE_ROWS, "a dead letter is no JSON", "it cannot be shown or sent again", NEXT_REPORT},
    {"folded", "SELECT name FROM (SELECT * FROM folded ORDER BY last_seq DESC LIMIT %lld) WHERE NOT json_valid(doc)",
     SAMPLE_ROWS, "what is left of a conversation is no JSON", "its decisions cannot be shown", NEXT_REPORT},
};

static void check_rule(struct db_check *c, const struct rule *r)
{
    char sql[800];
    int found = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof sql, r->sql, (long long)all_or(c, r->sample));
#pragma GCC diagnostic pop
    sqlite3_stmt *st = db_prepare(c, sql);
    while (found++ < SHOWN_MAX && db_row(c, st, r->where))
        db_find(c, DB_FAULT, r->what, r->means, r->next, "%s: %.200s", r->where,
                (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
}

/* ---- documents against the turns that made them ------------------------------------------------------------------ */

static json_t *column_json(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? json_loadb(text, (size_t)sqlite3_column_bytes(st, i), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
}

/* Makes the document anew from the changes of its turns. */
static json_t *refold(struct db_check *c, int64_t conversation, int64_t *ret_version)
{
    json_t *doc = json_object(), *changes, *pair;
    size_t i;
    int64_t version = 0;
    sqlite3_stmt *st = db_prepare(c, "SELECT json_extract(record, '$.context') FROM turns WHERE conversation = ?1 AND"
                                     " json_extract(record, '$.context') IS NOT NULL ORDER BY seq");
    sqlite3_bind_int64(st, 1, conversation);
    while (doc && db_row(c, st, "turns")) {
        changes = column_json(st, 0);
        version += json_array_size(changes) > 0;
        json_array_foreach(changes, i, pair)
        {
            json_t *value = json_array_get(pair, 1);
            const char *path = json_string_value(json_array_get(pair, 0));
            json_t *next = path ? context_with(doc, path, value) : NULL; /* NULL: the member was taken away */
            json_decref(doc);
            doc = next;
        }
        json_decref(changes);
    }
    sqlite3_finalize(st);
    *ret_version = version;
    return doc;
}

/* In older records a member that was set to null and one that was removed look the same. */
static void strip_nulls(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(object, key);
        else
            strip_nulls(value);
    }
}

static void check_context(struct db_check *c, sqlite3_stmt *st)
{
    int64_t version = 0;
    json_t *stored = column_json(st, 3), *made = refold(c, sqlite3_column_int64(st, 0), &version);
    strip_nulls(stored);
    strip_nulls(made);
    if (stored && made && (version != sqlite3_column_int64(st, 2) || !json_equal(stored, made)))
        db_find(c, DB_FAULT, "the document is not what its turns made it",
                "a change was lost or made by another program; replay would give another result", NEXT_VERIFY,
                "conversation %.200s, version %lld, %lld by its turns", (const char *)sqlite3_column_text(st, 1),
                (long long)sqlite3_column_int64(st, 2), (long long)version);
    json_decref(stored);
    json_decref(made);
}

/* Of those that were folded, not even in part, there is nothing to compare with. */
static void check_contexts(struct db_check *c)
{
    char sql[400];
    db_step(c, "the documents of conversations");
    snprintf(sql, sizeof sql,
             "SELECT conversation, name, version, doc FROM contexts c WHERE version > 0 AND NOT EXISTS (SELECT 1 FROM"
             " folded f WHERE f.conversation = c.conversation) ORDER BY opened_ms DESC LIMIT %lld",
             (long long)all_or(c, SAMPLE_CONTEXTS));
    bool shared = c->beside && sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_stmt *st = db_prepare(c, sql);
    int64_t until = c->until_ns; /* one look, for all of them: both must be of the same moment */
    while ((!until || !c->until_ns || c->until_ns <= until + 1000000000) && db_row(c, st, "contexts"))
        check_context(c, st);
    sqlite3_finalize(st);
    if (shared)
        sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL);
}

/* ---- what was accepted has an end, or something open that will end it -------------------------------------------- */

static bool has_open(struct db_check *c, cvm_id id)
{
    char text[40], *sql;
    id_text(id, text);
    sql = sqlite3_mprintf("SELECT count(*) FROM open_items WHERE instr(doc, %Q)", text);
    bool found = sql && backup_number(c->db, sql, 1) > 0;
    sqlite3_free(sql);
    return found;
}

static bool has_turn(struct db_check *c, cvm_id id)
{
    char text[40], *sql;
    id_text(id, text);
    sql = sqlite3_mprintf("SELECT EXISTS (SELECT 1 FROM turns WHERE conversation = %lld AND message = x'%s') OR"
                          " EXISTS (SELECT 1 FROM folded WHERE conversation = %lld)",
                          (long long)id.hi, text + 4, (long long)id.hi);
    bool found = sql && backup_number(c->db, sql, 1) > 0;
    sqlite3_free(sql);
    return found;
}

static void check_inbox(struct db_check *c)
{
    char sql[200];
    int found = 0;
    cvm_id id;
    db_step(c, "keys and what became of them");
    snprintf(sql, sizeof sql, "SELECT source, key, message, outcome FROM inbox ORDER BY outcome, at_ms DESC LIMIT %lld",
             (long long)all_or(c, SAMPLE_INBOX));
    bool shared = c->beside && sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_stmt *st = db_prepare(c, sql);
    while (found < SHOWN_MAX && db_row(c, st, "inbox")) {
        bool good = sqlite3_column_bytes(st, 2) == sizeof id;
        if (good)
            memcpy(&id, sqlite3_column_blob(st, 2), sizeof id);
        bool running = sqlite3_column_int(st, 3) < 0;
        if (good && running && !has_open(c, id)) {
            found++;
            db_find(c, DB_FAULT, "accepted, not answered, and nothing is open that will",
                    "who asked gets no answer, and the same key is told to wait until it is forgotten", NEXT_REPORT,
                    "inbox: a key of %.60s", (const char *)sqlite3_column_text(st, 0));
        } else if (!good || !has_turn(c, id)) {
            found++;
            db_find(c, DB_FAULT, "a key without its message", "what the key was answered with cannot be explained",
                    NEXT_VERIFY, "inbox: a key of %.60s", (const char *)sqlite3_column_text(st, 0));
        }
    }
    sqlite3_finalize(st);
    if (shared)
        sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL);
}

/* ---- tables that manifests declare ------------------------------------------------------------------------------- */

static json_t *row_json(sqlite3_stmt *st, const struct manifest_table *t)
{
    json_t *row = json_object();
    for (size_t i = 0; i < t->n_columns; i++) {
        const json_t *property = schema_member(NULL, t->schema_json, t->columns[i].name);
        const char *type = cvm_json_str(property, "type", "");
        json_t *value = NULL;
        switch (sqlite3_column_type(st, (int)i)) {
        case SQLITE_INTEGER:
            value = strcmp(type, "boolean") == 0 ? json_boolean(sqlite3_column_int(st, (int)i))
                                                 : json_integer(sqlite3_column_int64(st, (int)i));
            break;
        case SQLITE_FLOAT:
            value = json_real(sqlite3_column_double(st, (int)i));
            break;
        case SQLITE_NULL:
            continue; /* a member that was not there, or null where that is allowed */
        default:
            value = t->columns[i].type == COLUMN_JSON ? column_json(st, (int)i) : NULL;
            if (!value)
                value = json_stringn((const char *)sqlite3_column_text(st, (int)i),
                                     (size_t)sqlite3_column_bytes(st, (int)i));
        }
        json_object_set_new(row, t->columns[i].name, value);
    }
    return row;
}

static void check_rows(struct db_check *c, const struct manifest *m, const struct manifest_table *t)
{
    struct text sql;
    int found = 0;
    char exists[200];
    snprintf(exists, sizeof exists, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '%.63s'",
             t->name);
    if (!backup_number(c->db, exists, 0))
        return; /* its plugin has not run yet */
    text_init(&sql, 65536);
    text_puts(&sql, "SELECT ");
    for (size_t i = 0; i < t->n_columns; i++)
        text_printf(&sql, "%s\"%s\"", i ? ", " : "", t->columns[i].name);
    text_printf(&sql, " FROM \"%s\" LIMIT %lld", t->name, (long long)all_or(c, SAMPLE_ROWS / 10));
    text_add(&sql, "", 1);
    sqlite3_stmt *st = sql.failed ? NULL : db_prepare(c, sql.at);
    while (found < SHOWN_MAX && db_row(c, st, t->name)) {
        struct schema_error fault;
        json_t *row = row_json(st, t);
        if (schema_check(t->schema, row, &fault) < 0 && ++found)
            db_find(c, DB_WARNING, fault.text, "a row is not as the manifest that stands in the folder declares it",
                    "cvmhost plugin vet FILE tells what a newer build changed; the plugin may write the row anew",
                    "table %s of %s, column %.60s", t->name, m->name, fault.field);
        json_decref(row);
    }
    sqlite3_finalize(st);
    text_free(&sql);
}

void db_tables(struct db_check *c, const struct config *config, db_table each)
{
    struct stage_list list = {.n = 0};
    char error[1024];
    const char *installed = getenv("CVMHOST_INSTALLED"); /* "": none */
    if (!installed)
        installed = CVMHOST_INSTALLED;
    const struct stage_place place = {
        .home = c->cli->home, .installed = *installed ? installed : NULL, .config = config};
    if (stage_scan(&place, &list, error, sizeof error) == 0) {
        for (size_t i = 0; i < list.n; i++) {
            struct manifest *m = NULL;
            if (manifest_load(list.manifest[i], &m, error, sizeof error) < 0)
                continue;
            for (size_t k = 0; k < m->n_tables; k++)
                each(c, m, &m->tables[k]);
            manifest_free(m);
        }
    }
    stage_list_clear(&list);
}

static void check_tables(struct db_check *c)
{
    struct config *config = NULL;
    char error[1024];
    if (config_load(c->cli->home, c->cli->config_file, &config, error, sizeof error) < 0)
        return; /* `config check` says why */
    db_step(c, "tables of plugins");
    db_tables(c, config, check_rows);
    int64_t most = 1024 * 1024 * config_int(config, "journal.wal_max_mib", 512);
    char wal[HOME_PATH_MAX + 8];
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", c->path);
    if (stat(wal, &st) == 0 && st.st_size > most)
        db_find(c, DB_WARNING, "the write-ahead log is larger than journal.wal_max_mib",
                "nothing new is admitted while a reader holds it back",
                "end programs that read the database (fuser FILE); the host folds it back when they are gone", "%s",
                wal);
    config_free(config);
}

/* ---- builds ------------------------------------------------------------------------------------------------------ */

static void check_builds(struct db_check *c)
{
    char folder[HOME_PATH_MAX], sql[300], path[HOME_PATH_MAX + 300];
    struct dirent *entry;
    if (home_path(c->cli->home, "data/builds", folder, sizeof folder) < 0)
        return;
    json_t *missing = backup_missing_builds(c->db, folder), *one;
    size_t i;
    json_array_foreach(missing, i, one)
        db_find(c, DB_WARNING, "a build is missing",
                "after a crash the plugin that stands in the folder runs instead; a rollback is not possible",
                "cvmhost reload, or put it back from a backup (DIR/builds)", "data/builds: %s", json_string_value(one));
    json_decref(missing);
    DIR *dir = c->beside ? NULL : opendir(folder); /* a running host may be bringing one in */
    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (strspn(name, "0123456789abcdef") != 64)
            continue;
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM host_plugins WHERE '%.64s' IN (build, content, before_build,"
                 " before_content)) + (SELECT count(*) FROM host_configs WHERE instr(doc, '%.64s'))",
                 name, name);
        if (backup_number(c->db, sql, 1) > 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        db_find(c, DB_WARNING, "a build that nothing names", "it takes place, and goes with the next start of the host",
                "nothing to do", "%s", path);
    }
    if (dir)
        closedir(dir);
}

void db_rules(struct db_check *c)
{
    c->last_seq = backup_number(c->db, "SELECT max(seq) FROM turns", 0);
    check_sequence(c);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        check_rule(c, &rules[i]);
    check_contexts(c);
    check_inbox(c);
    if (c->own)
        check_tables(c);
    if (c->own)
        check_builds(c);
}
