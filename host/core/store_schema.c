/* The tables of the store and their migrations; also the tables that manifests declare. */
#include "core/search.h"
#include "core/store.h"
#include "core/wal_gather.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
/* Messages of a record as envelopes: what record_text.c leaves out is filled in as record_read.c does it. `m.v` is the
 * message as stored; one with a message_id is whole. */
#define LANE                                                                                                           \
    "coalesce((SELECT name FROM contexts c WHERE c.conversation = t.conversation), json_extract(t.record, '$.lane'),"  \
    " iif(t.conversation >> 60 = 0, printf('IN-%015x', t.conversation), ''))"
#define ID(x)                                                                                                          \
    "'MSG-' || CASE length(" x ") WHEN 0 THEN lower(hex(message)) WHEN 16 THEN printf('%016x', conversation) || " x    \
    " ELSE " x " END"
#define MEMBER(name, value) " || ',\"" name "\":' || " value
#define IF_THERE(name) " || coalesce(',\"" name "\":' || (v -> '$." name "'), '')"
#define ID_IF_THERE(name)                                                                                              \
    " || CASE json_type(v, '$." name "') WHEN 'text' THEN ',\"" name                                                   \
    "\":' || json_quote(" ID("(v ->> '$." name "')") ") WHEN 'null' THEN ',\"" name "\":null' ELSE '' END"
#define OR_ELSE(name, value) "json_quote(coalesce(v ->> '$." name "', " value "))"
#define MESSAGE_ID "CASE WHEN v ->> '$.id' IS NULL THEN v ->> '$.message_id' ELSE " ID("(v ->> '$.id')") " END"
#define ENVELOPE                                                                                                       \
    "CASE WHEN v ->> '$.id' IS NULL THEN v ELSE '{\"message_id\":' || json_quote(" MESSAGE_ID                          \
    ")" MEMBER("timestamp", OR_ELSE("timestamp", "strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch')"))       \
        MEMBER("sender", OR_ELSE("sender", "iif(own, sender, component)"))                                             \
            MEMBER("recipient", OR_ELSE("to", "iif(own, component, sender)")) MEMBER(                                  \
                "message_type",                                                                                        \
                OR_ELSE("message_type", "CASE WHEN reply THEN 'response' WHEN v ->> '$.deadline_ms' IS NOT"            \
                                        " NULL THEN 'request' ELSE 'notification' END"))                               \
                MEMBER("type", OR_ELSE("type", "type")) " || iif(reply, ',\"outcome\":' || " OR_ELSE(                  \
                    "outcome", "'REPLIED'") ", '')" IF_THERE("content")                                                \
                    MEMBER("structured_data",                                                                          \
                           "coalesce(v -> '$.data', record -> ('$.out[' || (v ->> '$.same') || '].data'), '{}')")      \
                        IF_THERE("enquiry_id") IF_THERE("customer_id") IF_THERE("session_id") IF_THERE("traceparent")  \
                            " || iif(coalesce(v ->> '$.conversation', lane) = '', '', ',\"conversation\":' || " OR_ELSE("conversation", "lane") ")" MEMBER(                            \
                                "priority",                                                                            \
                                OR_ELSE("priority",                                                                    \
                                        "'MEDIUM'")) " || iif(coalesce(v ->> '$.requires_response', v ->> "            \
                                                     "'$.deadline_ms' IS NOT NULL), ',\"requires_response\":true',"    \
                                                     " '')" IF_THERE("tags") IF_THERE(                                 \
                                                         "confidence") " || iif(reply AND NOT own AND v ->> '$.to' "   \
                                                                       "IS NULL, ',\"in_reply_to\":' || "              \
                                                                       "json_quote('MSG-' || lower(hex("               \
                                                                       "message))), '')" ID_IF_THERE("in_reply_to")    \
                                                                           ID_IF_THERE("cause") IF_THERE(              \
                                                                               "deadline_ms") ID_IF_THERE("on_behalf") \
                                                                               ID_IF_THERE("asked") " || '}' END"
#define MESSAGE_COLUMNS(v, own)                                                                                        \
    "SELECT t.seq, t.conversation, t.at_ms, t.component, t.message, t.sender, t.record, " LANE " AS lane, "            \
    "iif(length(t.type) > 6 AND substr(t.type, -6) = '.reply', substr(t.type, 1, length(t.type) - 6), t.type) AS "     \
    "type, " v " AS v, " own " AS own, " v " ->> '$.outcome' IS NOT NULL OR (NOT " own " AND " v                       \
    " ->> '$.to' IS NULL) AS reply FROM turns t"

#define OF_MESSAGE(which)                                                                                              \
    "coalesce(json_extract(record, '$." which ".conversation'), iif(json_extract(record, '$." which ".id') IS NULL,"   \
    " NULL, " LANE "))"

/* Rows with a document or a value lie in the order in which they were written, and an index of small entries finds
 * them: keys are in no order, and rows of a page's size kept in theirs would move their neighbours, three pages or four
 * for each, and make trees of values. Views name the tables, so they are moved without looking at those. A large database
 * keeps its tables as they were, which work the same and cost more: who starts a host does not wait for minutes. */
#define ROWS_AS_WRITTEN                                                                                                \
    "PRAGMA legacy_alter_table = ON;"                                                                                  \
    "CREATE TABLE contexts_moved(conversation INTEGER NOT NULL UNIQUE, name TEXT NOT NULL, parent INTEGER NOT NULL,"   \
    " version INTEGER NOT NULL, opened_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"                                \
    " key_id INTEGER NOT NULL DEFAULT 0, doc TEXT NOT NULL);"                                                          \
    "INSERT INTO contexts_moved(conversation, name, parent, version, opened_ms, ended_ms, key_id, doc)"                \
    " SELECT conversation, name, parent, version, opened_ms, ended_ms, key_id, doc FROM contexts"                      \
    " ORDER BY conversation;"                                                                                          \
    "DROP TABLE contexts; ALTER TABLE contexts_moved RENAME TO contexts;"                                              \
    "CREATE INDEX contexts_parent ON contexts(parent) WHERE parent != 0;"                                              \
    "CREATE TABLE state_moved(component TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"                        \
    " version INTEGER NOT NULL, turn INTEGER NOT NULL, key_id INTEGER NOT NULL DEFAULT 0, UNIQUE(component, key));"    \
    "INSERT INTO state_moved(component, key, value, version, turn, key_id)"                                            \
    " SELECT component, key, value, version, turn, key_id FROM state ORDER BY component, key;"                         \
    "DROP TABLE state; ALTER TABLE state_moved RENAME TO state;"                                                       \
    "PRAGMA legacy_alter_table = OFF;"
#define MOVE_MOST_BYTES (256 * INT64_C(1024) * 1024)

static const char *const migrations[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE turns(seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, conversation INTEGER NOT NULL,"
    " component TEXT NOT NULL, message BLOB, type TEXT NOT NULL, sender TEXT NOT NULL, outcome TEXT NOT NULL,"
    " us INTEGER NOT NULL, build TEXT NOT NULL, key_id INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL);"
    "CREATE INDEX turns_conversation ON turns(conversation);"
    "CREATE TABLE contexts(conversation INTEGER PRIMARY KEY, name TEXT NOT NULL, parent INTEGER NOT NULL,"
    " version INTEGER NOT NULL, opened_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
    " key_id INTEGER NOT NULL DEFAULT 0, doc TEXT NOT NULL);"
    "CREATE INDEX contexts_parent ON contexts(parent) WHERE parent != 0;"
    "CREATE TABLE state(component TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,"
    " turn INTEGER NOT NULL, key_id INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(component, key)) WITHOUT ROWID;"
    "CREATE TABLE inbox(source TEXT NOT NULL, key TEXT NOT NULL, hash BLOB NOT NULL, message BLOB NOT NULL,"
    " at_ms INTEGER NOT NULL, outcome INTEGER NOT NULL, result TEXT, PRIMARY KEY(source, key)) WITHOUT ROWID;"
    "CREATE INDEX inbox_at ON inbox(at_ms);"
    "CREATE TABLE open_items(no INTEGER PRIMARY KEY, kind TEXT NOT NULL, doc TEXT NOT NULL);"
    "CREATE TABLE dead_letters(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, message BLOB NOT NULL,"
    " component TEXT NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL, envelope TEXT NOT NULL);"
    /* What people ask for, from the rows as stored. */
    "CREATE VIEW audit_log AS SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at,"
    " component AS agent, type AS action, sender, (SELECT name FROM contexts c WHERE c.conversation = t.conversation)"
    " AS subject, outcome, us, record FROM turns t;"
    "CREATE VIEW agent_metrics AS SELECT seq AS id, component AS agent_name,"
    " (SELECT name FROM contexts c WHERE c.conversation = t.conversation) AS enquiry_id, us / 1000.0 AS"
    " processing_time_ms, outcome IN ('OK', 'PENDING') AS success,"
    " json_extract(record, '$.out[0].confidence') AS confidence_score, json_extract(record, '$.in.content') AS"
    " input_message, json_extract(record, '$.out[0].content') AS output_message,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS timestamp FROM turns t;"
    "CREATE VIEW messages AS SELECT t.seq AS seq, t.conversation AS conversation,"
    " json_extract(e.value, '$.message_id') AS message_id, e.value AS envelope"
    " FROM turns t, json_each(t.record, '$.out') e"
    " UNION ALL SELECT seq, conversation, json_extract(record, '$.in.message_id'), json_extract(record, '$.in')"
    " FROM turns WHERE json_extract(record, '$.in') IS NOT NULL;",
    /* A turn that answers with a refusal or error is none of success. The confidence is what the agent said with its
     * decision, its answer or its message; else it was sure. */
    "DROP VIEW agent_metrics; CREATE VIEW agent_metrics AS SELECT seq AS id, component AS agent_name,"
    " (SELECT name FROM contexts c WHERE c.conversation = t.conversation) AS enquiry_id, us / 1000.0 AS"
    " processing_time_ms, outcome IN ('OK', 'PENDING') AND coalesce("
    "json_extract(record, '$.answers[0][1]'), json_extract(record, '$.out[0].outcome'), 'REPLIED') = 'REPLIED'"
    " AS success, coalesce("
    "json_extract(record, '$.notes[0][1].confidence'), json_extract(record, '$.answers[0][2].confidence'),"
    " json_extract(record, '$.out[0].structured_data.confidence'), json_extract(record, '$.out[0].confidence'), 1.0)"
    " AS confidence_score, json_extract(record, '$.in.content') AS input_message,"
    " json_extract(record, '$.out[0].content') AS output_message,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS timestamp FROM turns t;"
    /* A conversation without a context of its own is known by the messages of the turn. */
    "DROP VIEW audit_log; CREATE VIEW audit_log AS SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0,"
    " 'unixepoch') AS at, component AS agent, type AS action, sender, coalesce((SELECT name FROM contexts c"
    " WHERE c.conversation = t.conversation), json_extract(record, '$.in.conversation'),"
    " json_extract(record, '$.out[0].conversation'), '') AS subject, outcome, us, record FROM turns t;",
    /* What runs of each plugin, what ran before it, and which build was found bad: for the next start. */
    "CREATE TABLE host_plugins(name TEXT PRIMARY KEY, phase TEXT NOT NULL, version TEXT NOT NULL, build TEXT NOT NULL,"
    " content TEXT NOT NULL, before_version TEXT NOT NULL, before_build TEXT NOT NULL, before_content TEXT NOT NULL,"
    " bad_build TEXT NOT NULL, bad_content TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;",
    /* The hash chain over the turns (audit.h); rows from before it stay outside. What the host says of itself is found
     * without reading the others. */
    "ALTER TABLE turns ADD COLUMN chain BLOB;"
    "CREATE TABLE audit_head(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL,"
    " at_ms INTEGER NOT NULL);"
    "CREATE TABLE audit_stubs(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL);"
    "CREATE TABLE audit_anchors(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, n INTEGER NOT NULL,"
    " hash BLOB NOT NULL, at_ms INTEGER NOT NULL, why TEXT NOT NULL);"
    "INSERT INTO audit_anchors SELECT min(seq), max(seq), count(*), x'', max(at_ms), 'before the chain' FROM turns"
    " HAVING count(*);"
    "CREATE INDEX turns_of_host ON turns(seq) WHERE component = 'host';",
    /* What records name by its id: builds, manifests, settings and the secrets' digests. */
    "CREATE TABLE host_configs(id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, at_ms INTEGER NOT NULL,"
    " doc TEXT NOT NULL);",
    /* What is left of a conversation whose turns were folded away: its decisions and what its turns wrote. Its final
     * document stays in contexts. */
    "CREATE TABLE folded(conversation INTEGER PRIMARY KEY, name TEXT NOT NULL, folded_ms INTEGER NOT NULL,"
    " first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " turns INTEGER NOT NULL, key_id INTEGER NOT NULL DEFAULT 0, doc TEXT NOT NULL);"
    "CREATE INDEX folded_last ON folded(last_seq);"
    /* A view of its own: joined to audit_log it would make the newest turns wait for a sort of all. */
    "CREATE VIEW folded_log AS SELECT name AS subject, strftime('%Y-%m-%dT%H:%M:%fZ', folded_ms / 1000.0, 'unixepoch')"
    " AS folded_on, strftime('%Y-%m-%dT%H:%M:%fZ', first_ms / 1000.0, 'unixepoch') AS first_at,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', last_ms / 1000.0, 'unixepoch') AS last_at, first_seq, last_seq, turns,"
    " json_extract(doc, '$.notes') AS notes FROM folded;",
    /* Where the operator moved it: 0 nowhere, 1 inside the host, 2 to a process of its own. */
    "ALTER TABLE host_plugins ADD COLUMN placement INTEGER NOT NULL DEFAULT 0;",
    /* Named after whose figures they are, so that a plugin may have a table of agents' own. */
    "CREATE VIEW component_metrics AS SELECT seq AS id, component, (SELECT name FROM contexts c WHERE c.conversation ="
    " t.conversation) AS subject, us / 1000.0 AS processing_time_ms, outcome IN ('OK', 'PENDING') AND coalesce("
    "json_extract(record, '$.answers[0][1]'), json_extract(record, '$.out[0].outcome'), 'REPLIED') = 'REPLIED'"
    " AS success, coalesce("
    "json_extract(record, '$.notes[0][1].confidence'), json_extract(record, '$.answers[0][2].confidence'),"
    " json_extract(record, '$.out[0].structured_data.confidence'), json_extract(record, '$.out[0].confidence'), 1.0)"
    " AS confidence_score, json_extract(record, '$.in.content') AS input_message,"
    " json_extract(record, '$.out[0].content') AS output_message,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS timestamp FROM turns t;"
    "DROP VIEW IF EXISTS agent_metrics;",
    /* Names of conversations that inputs begin hold their key (id.c): a program that does not know would miss them. */
    "",
    ROWS_AS_WRITTEN,
    /* Records say once what the row says: a program that does not know would take their messages for damaged. */
    "DROP VIEW messages; CREATE VIEW messages AS SELECT seq, conversation, " MESSAGE_ID " AS message_id, " ENVELOPE
    " AS envelope FROM (" MESSAGE_COLUMNS("e.value", "0") ", json_each(t.record, '$.out') e UNION ALL "
    MESSAGE_COLUMNS("(t.record -> '$.in')", "1") " WHERE json_extract(t.record, '$.in') IS NOT NULL);"
    "DROP VIEW audit_log; CREATE VIEW audit_log AS SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0,"
    " 'unixepoch') AS at, component AS agent, type AS action, sender, coalesce((SELECT name FROM contexts c"
    " WHERE c.conversation = t.conversation), " OF_MESSAGE("in") ", " OF_MESSAGE("out[0]") ", '') AS subject, outcome,"
    " us, record FROM turns t;",
    /* Data under both of its names; a conversation without a name has no member. */
    "DROP VIEW messages; CREATE VIEW messages AS SELECT seq, conversation, " MESSAGE_ID " AS message_id, " ENVELOPE
    " AS envelope FROM (" MESSAGE_COLUMNS("e.value", "0") ", json_each(t.record, '$.out') e UNION ALL "
    MESSAGE_COLUMNS("(t.record -> '$.in')", "1") " WHERE json_extract(t.record, '$.in') IS NOT NULL);"
    "DROP VIEW component_metrics; CREATE VIEW component_metrics AS SELECT seq AS id, component, (SELECT name FROM"
    " contexts c WHERE c.conversation = t.conversation) AS subject, us / 1000.0 AS processing_time_ms,"
    " outcome IN ('OK', 'PENDING') AND coalesce("
    "json_extract(record, '$.answers[0][1]'), json_extract(record, '$.out[0].outcome'), 'REPLIED') = 'REPLIED'"
    " AS success, coalesce("
    "json_extract(record, '$.notes[0][1].confidence'), json_extract(record, '$.answers[0][2].confidence'),"
    " json_extract(record, '$.out[0].data.confidence'), json_extract(record, '$.out[0].structured_data.confidence'),"
    " json_extract(record, '$.out[0].confidence'), 1.0) AS confidence_score,"
    " json_extract(record, '$.in.content') AS input_message, json_extract(record, '$.out[0].content') AS"
    " output_message, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS timestamp FROM turns t;",
};
/* clang-format on */

static int fail(struct store *s, char *ret_error, size_t size, const char *what)
{
    int code = sqlite3_errcode(s->db) & 0xff;
    snprintf(ret_error, size, "%s: %s: %s", s->path, what, sqlite3_errmsg(s->db));
    return code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_FULL || code == SQLITE_IOERR ? CVM_EBUSY
                                                                                                       : CVM_EDATA;
}

int64_t store_format(void)
{
    return (int64_t)(sizeof migrations / sizeof *migrations);
}

/* The statements that bring a store from this format to the next. */
static const char *migration(struct store *s, int64_t version)
{
    int64_t bytes = 0;
    const char *sql = migrations[version];
    if (strcmp(sql, ROWS_AS_WRITTEN) != 0 ||
        store_meta_int(s, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &bytes) < 0 ||
        bytes <= MOVE_MOST_BYTES)
        return sql;
    log_info("journal", "%s has %lld MiB: its rows stay where they are", s->path, (long long)(bytes >> 20));
    return "";
}

int store_migrate(struct store *s, char *ret_error, size_t size)
{
    int64_t version = 0;
    const int64_t newest = store_format();
    if (store_meta_int(s, "PRAGMA user_version", &version) < 0)
        return fail(s, ret_error, size, "cannot be read; is it damaged? Restore a backup");
    if (version > newest) {
        snprintf(ret_error, size, "%s: made by a newer cvmhost (format %lld, this one knows %lld)", s->path,
                 (long long)version, (long long)newest);
        return CVM_EDATA;
    }
    for (; version < newest; version++) {
        char done[64];
        snprintf(done, sizeof done, "PRAGMA user_version = %lld; COMMIT", (long long)version + 1);
        if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ||
            sqlite3_exec(s->db, migration(s, version), NULL, NULL, NULL) ||
            sqlite3_exec(s->db, done, NULL, NULL, NULL)) {
            int e = fail(s, ret_error, size, "cannot be brought up to date");
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return e;
        }
    }
    wal_gather_open(s->db);
    return store_prepare(s, ret_error, size);
}

static const char *column_type(const struct manifest_column *column)
{
    return column->type == COLUMN_INTEGER ? "INTEGER" : column->type == COLUMN_REAL ? "REAL" : "TEXT";
}

/* " DEFAULT ..": what the schema of the property says, where it is a plain value. */
static void put_default(struct text *sql, const struct manifest_table *d, const char *column)
{
    const json_t *value =
        json_object_get(json_object_get(json_object_get(d->schema_json, "properties"), column), "default");
    if (json_is_string(value) && !strchr(json_string_value(value), '\''))
        text_printf(sql, " DEFAULT '%s'", json_string_value(value));
    else if (json_is_integer(value))
        text_printf(sql, " DEFAULT %lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        text_printf(sql, " DEFAULT %d", (int)json_is_true(value));
}

static int run(struct store *s, const struct text *sql)
{
    return sql->failed || sqlite3_exec(s->db, sql->at, NULL, NULL, NULL) ? CVM_EDATA : 0;
}

/* The columns of a table that stands, as one text: name, default and key ("1" or ""), each with its NUL. Empty: there
 * is no such table. */
static int read_columns(struct store *s, const struct manifest_table *d, struct text *ret_columns)
{
    sqlite3_stmt *st = NULL;
    int step = sqlite3_prepare_v2(s->db,
                                  "SELECT name, coalesce(dflt_value, 'NULL'), iif(pk = 1, '1', '')"
                                  " FROM pragma_table_info(?1)",
                                  -1, &st, NULL);
    text_reset(ret_columns);
    if (step == SQLITE_OK)
        sqlite3_bind_text(st, 1, d->name, -1, SQLITE_STATIC);
    while (st && (step = sqlite3_step(st)) == SQLITE_ROW)
        for (int i = 0; i < 3; i++) {
            const char *value = (const char *)sqlite3_column_text(st, i);
            text_add(ret_columns, value ? value : "", value ? strlen(value) + 1 : 1);
        }
    sqlite3_finalize(st);
    return step == SQLITE_DONE && !ret_columns->failed ? 0 : CVM_EDATA;
}

struct column_found {
    const char *name, *otherwise;
    bool is_key;
};

/* The column at *at, which moves to the next one. False: there is none any more. */
static bool next_column(const struct text *columns, size_t *at, struct column_found *ret)
{
    if (*at >= columns->len)
        return false;
    ret->name = columns->at + *at;
    ret->otherwise = ret->name + strlen(ret->name) + 1;
    const char *key = ret->otherwise + strlen(ret->otherwise) + 1;
    ret->is_key = *key;
    *at = (size_t)(key + strlen(key) + 1 - columns->at);
    return true;
}

static bool has_column(const struct text *columns, const char *name)
{
    struct column_found c;
    for (size_t at = 0; next_column(columns, &at, &c);)
        if (sqlite3_stricmp(c.name, name) == 0)
            return true;
    return false;
}

/* The key of a table that stands; "": none. A row put by a key that is none would break the commit. */
static const char *key_of(const struct text *columns)
{
    struct column_found c;
    for (size_t at = 0; next_column(columns, &at, &c);)
        if (c.is_key)
            return c.name;
    return "";
}

/* Whether rows lie in the order of their keys: for scans of large tables, and where nothing else points at them. The
 * others lie in the order in which they were written: keys that people see are in no order, and each row would touch a
 * page of its own in the table and in each index. */
static bool stays_sorted(const struct manifest_table *d)
{
    if (d->bulk || !d->indexes.n)
        return true;
    for (size_t i = 0; i < d->n_columns; i++)
        if (strcmp(d->columns[i].name, d->key) == 0)
            return d->columns[i].type == COLUMN_INTEGER;
    return true;
}

static bool is_declared(const struct manifest_table *d, const char *column)
{
    for (size_t i = 0; i < d->n_columns; i++)
        if (strcmp(d->columns[i].name, column) == 0)
            return true;
    return false;
}

/* A row that stands keeps its place, and with it its entry among the keys, which are in no order: to replace it would
 * touch a page of both. What another build declared and this one does not is not left of the row before. */
static void put_update(struct text *sql, const struct manifest_table *d, const struct text *columns)
{
    struct column_found c;
    text_printf(sql, " ON CONFLICT(\"%s\") DO UPDATE SET key_id = 0", d->key);
    for (size_t at = 0; next_column(columns, &at, &c);) {
        if (strcmp(c.name, d->key) == 0 || strcmp(c.name, "key_id") == 0)
            continue;
        if (is_declared(d, c.name))
            text_printf(sql, ", \"%s\" = excluded.\"%s\"", c.name, c.name);
        else
            text_printf(sql, ", \"%s\" = %s", c.name, c.otherwise);
    }
}

static int make_table(struct store *s, const struct manifest_table *d, struct text *sql)
{
    text_reset(sql);
    text_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\"(", d->name);
    for (size_t i = 0; i < d->n_columns; i++) {
        text_printf(sql, "\"%s\" %s%s", d->columns[i].name, column_type(&d->columns[i]),
                    strcmp(d->columns[i].name, d->key) == 0 ? " PRIMARY KEY" : "");
        put_default(sql, d, d->columns[i].name);
        text_puts(sql, ", ");
    }
    text_printf(sql, "key_id INTEGER NOT NULL DEFAULT 0)%s", stays_sorted(d) ? " WITHOUT ROWID" : "");
    return run(s, sql);
}

/* Columns that the table has not yet. `columns` is read anew where there were such. */
static int add_columns(struct store *s, const struct manifest_table *d, struct text *sql, struct text *columns)
{
    int e = 0;
    bool added = false;
    for (size_t i = 0; !e && i < d->n_columns; i++) {
        if (has_column(columns, d->columns[i].name))
            continue;
        text_reset(sql);
        text_printf(sql, "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s", d->name, d->columns[i].name,
                    column_type(&d->columns[i]));
        put_default(sql, d, d->columns[i].name);
        e = run(s, sql);
        added = true;
    }
    return e || !added ? e : read_columns(s, d, columns);
}

static int make_indexes(struct store *s, const struct manifest_table *d, struct text *sql)
{
    int e = 0;
    for (size_t i = 0; !e && i < d->indexes.n; i++) {
        char name[MANIFEST_INDEX_NAME_MAX];
        bool descending;
        const char *column = manifest_index_column(d->indexes.at[i], &descending);
        manifest_index_name(d->name, d->indexes.at[i], name, sizeof name);
        text_reset(sql);
        if (strchr(d->indexes.at[i], '=')) /* it had no name of its own before */
            text_printf(sql, "DROP INDEX IF EXISTS \"%s_%s\"; ", d->name, column);
        text_printf(sql, "CREATE INDEX IF NOT EXISTS \"%s\" ON \"%s\"(\"%s\"%s)", name, d->name, column,
                    descending ? " DESC" : "");
        e = run(s, sql);
    }
    return e;
}

/* Makes the table, adds columns a newer manifest declares, makes the indexes, prepares the writer's statements. */
int store_table(struct store *s, struct table *table, char *ret_error, size_t size)
{
    const struct manifest_table *d = table->decl;
    struct text sql, columns;
    text_init(&sql, 65536);
    text_init(&columns, 65536);
    int e = read_columns(s, d, &columns);
    if (!e && !columns.len && !(e = make_table(s, d, &sql)))
        e = read_columns(s, d, &columns);
    if (!e && strcmp(key_of(&columns), d->key) != 0) {
        snprintf(ret_error, size,
                 "the table %s stands with the key \"%s\", the manifest says \"%s\": a table keeps its key; give the "
                 "new one another name",
                 d->name, key_of(&columns), d->key);
        text_free(&sql);
        text_free(&columns);
        return CVM_EINVAL;
    }
    e = e ? e : add_columns(s, d, &sql, &columns);
    e = e ? e : make_indexes(s, d, &sql);
    text_reset(&sql);
    text_printf(&sql, "INSERT INTO \"%s\"(", d->name);
    for (size_t i = 0; i < d->n_columns; i++)
        text_printf(&sql, "%s\"%s\"", i ? ", " : "", d->columns[i].name);
    text_puts(&sql, ") VALUES(");
    for (size_t i = 0; i < d->n_columns; i++)
        text_puts(&sql, i ? ", ?" : "?");
    text_char(&sql, ')');
    put_update(&sql, d, &columns);
    text_free(&columns);
    sqlite3_stmt *put = NULL, *del = NULL;
    text_add(&sql, "", 0);
    if (!e)
        e = store_keep(s, &sql, &put);
    text_reset(&sql);
    text_printf(&sql, "DELETE FROM \"%s\" WHERE \"%s\" = ?", d->name, d->key);
    if (!e)
        e = store_keep(s, &sql, &del);
    text_free(&sql);
    if (!e && !table->search && (d->search.n_texts || d->search.n_vectors || search_index_stands(s, d)))
        e = search_index_make(s, d, &table->search);
    if (e)
        return fail(s, ret_error, size, d->name);
    table->put = put;
    table->del = del;
    return 0;
}
