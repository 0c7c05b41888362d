/* `audit log`: turns by who, what, about whom and how it ended; `audit events`: what happened to the host itself. Both
 * read the journal's file. */
#include "cli/audit.h"

#include "cli/show.h"
#include "core/internal.h"
#include "core/record_read.h"
#include <stdlib.h>

#define LIMIT_DEFAULT 200
#define LIMIT_MAX 100000
#define DETAIL_MAX_BYTES 160

static int read_limit(const char *text, int64_t *ret_limit)
{
    *ret_limit = LIMIT_DEFAULT;
    if (text && (!cli_read_number(text, ret_limit) || *ret_limit < 1 || *ret_limit > LIMIT_MAX))
        return cli_fail(CLI_USAGE, "--limit: expected 1 to %d rows, got \"%.40s\"", LIMIT_MAX, text);
    return CLI_OK;
}

/* Rows as objects, the last of them first in the result of the query. Gives a new array; NULL: said. */
static json_t *read_rows(sqlite3_stmt *st)
{
    json_t *rows = json_array();
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *text = (const char *)sqlite3_column_text(st, i), *name = sqlite3_column_name(st, i);
            json_t *value = sqlite3_column_type(st, i) == SQLITE_INTEGER ? json_integer(sqlite3_column_int64(st, i))
                            : !text                                      ? json_null()
                            : strcmp(name, "record") == 0 || strcmp(name, "note") == 0
                                ? json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL)
                                : json_string(text);
            json_object_set_new(row, name, value ? value : json_null());
        }
        if (json_object_get(row, "_key"))
            record_unpack(row);
        json_array_insert_new(rows, 0, row);
    }
    if (code == SQLITE_DONE)
        return rows;
    cli_fail(CLI_CONFIG, "the journal cannot be read: %s", sqlite3_errmsg(sqlite3_db_handle(st)));
    json_decref(rows);
    return NULL;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK)
        return st;
    cli_fail(CLI_CONFIG, "the journal cannot be read: %s", sqlite3_errmsg(db));
    return NULL;
}

static int open_since(struct cli *cli, const char *since, sqlite3 **ret_db, int64_t *ret_seq)
{
    int64_t ms = 0;
    *ret_seq = 0;
    int status = audit_cli_since(since, &ms);
    if (status == CLI_OK)
        status = audit_cli_open(cli, ret_db);
    if (status == CLI_OK && since && audit_seq_since(*ret_db, ms, ret_seq) < 0)
        status = cli_fail(CLI_CONFIG, "the journal cannot be read: %s", sqlite3_errmsg(*ret_db));
    return status;
}

static void show(struct cli *cli, const json_t *rows, const char *columns)
{
    json_t *shown = show_names(columns);
    show_rows(cli, rows, cli->output == OUTPUT_JSON ? NULL : shown);
    json_decref(shown);
}

/* ---- audit log ---- */

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
    if (text)
        sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

int cli_audit_log(struct cli *cli)
{
    const char *agent = NULL, *action = NULL, *subject = NULL, *outcome = NULL, *since = NULL, *limit = NULL;
    const struct cli_option options[] = {{"agent", &agent},     {"action", &action}, {"subject", &subject},
                                         {"outcome", &outcome}, {"since", &since},   {"limit", &limit}};
    /* A subject is a conversation's name, whose key has an index. */
    static const char columns[] =
        "SELECT a.seq AS seq, at, agent, action, a.sender AS sender, subject, a.outcome AS outcome, a.us AS us,"
        " a.record AS record, " RECORD_COLUMNS(
            "t") " FROM audit_log a JOIN turns t ON t.seq = a.seq"
                 " WHERE a.seq >= ?1 AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR action = ?3)"
                 " AND (?4 IS NULL OR a.outcome = ?4)";
    char sql[1400];
    sqlite3 *db = NULL;
    int64_t from = 0, n = 0;
    int status = cli_arguments(
        cli, "audit log [--agent A] [--action TYPE] [--subject ID] [--outcome O] [--since TIME] [--limit N]", options,
        6, NULL, 0, 0);
    if (status == CLI_OK)
        status = read_limit(limit, &n);
    if (status == CLI_OK)
        status = open_since(cli, since, &db, &from);
    if (status != CLI_OK)
        goto out;
    snprintf(sql, sizeof sql, "%s%s ORDER BY a.seq DESC LIMIT ?6", columns,
             subject ? " AND a.seq IN (SELECT seq FROM turns WHERE conversation = ?5)" : "");
    sqlite3_stmt *st = prepare(db, sql);
    json_t *rows = NULL;
    if (st) {
        sqlite3_bind_int64(st, 1, from);
        bind_text(st, 2, agent);
        bind_text(st, 3, action);
        bind_text(st, 4, outcome);
        sqlite3_bind_int64(st, 5, subject ? conversation_key(subject) : 0);
        sqlite3_bind_int64(st, 6, n);
        rows = read_rows(st);
    }
    sqlite3_finalize(st);
    status = rows ? CLI_OK : CLI_CONFIG;
    if (rows)
        show(cli, rows, "seq at agent action sender subject outcome us");
    json_decref(rows);
out:
    sqlite3_close(db);
    return status;
}

/* ---- audit events ---- */

static json_t *member(const json_t *data, const char *name)
{
    json_t *value = json_object_get(data, name);
    return value ? json_incref(value) : json_null();
}

/* What is known of it besides who and whom, in a line. Gives a new string. */
static json_t *detail(const json_t *data)
{
    static const char *const told[] = {"by", "component", "plugin", "action"};
    struct text text;
    const char *name;
    json_t *value;
    text_init(&text, DETAIL_MAX_BYTES);
    json_object_foreach((json_t *)(uintptr_t)data, name, value)
    {
        bool skip = json_is_object(value) || json_is_array(value) || json_is_null(value);
        for (size_t i = 0; !skip && i < sizeof told / sizeof *told; i++)
            skip = strcmp(name, told[i]) == 0;
        char *cell = skip ? NULL : show_cell(value);
        if (cell && !text.failed)
            text_printf(&text, "%s%s %s", text.len ? ", " : "", name, cell);
        free(cell);
    }
    json_t *line = json_stringn(text.at ? text.at : "", text.at ? text.len : 0);
    text_free(&text);
    return line;
}

static json_t *change_detail(const json_t *data)
{
    const char *from = cvm_json_str(json_object_get(data, "from"), "version", "-"),
               *to = cvm_json_str(json_object_get(data, "to"), "version", "-"), *why = cvm_json_str(data, "why", "");
    if (strcmp(cvm_json_str(data, "action", ""), "moved") == 0)
        return json_sprintf("%s, %s", to,
                            strcmp(cvm_json_str(json_object_get(data, "to"), "placement", ""), "process") == 0
                                ? "to a process of its own"
                                : "into the host");
    return json_sprintf("%s to %s%s%s", from, to, *why ? ", " : "", why);
}

/* One thing that happened; of a change of several plugins, one of them. */
static void add_event(json_t *list, const json_t *row, const char *what, json_t *data, bool change)
{
    json_t *about = json_object_get(data, "component") ? member(data, "component") : member(data, "plugin");
    /* A rollback says why, and only that of an operator is asked for. */
    const char *why = cvm_json_str(data, "why", "");
    const bool host =
        !change || (strcmp(cvm_json_str(data, "action", ""), "rolled_back") == 0 && !strstr(why, "operator"));
    json_t *by = json_object_get(data, "by") ? member(data, "by") : json_string(host ? "host" : "operator");
    json_array_append_new(list,
                          json_pack("{s:O, s:O, s:o, s:s, s:o, s:o, s:O, s:O}", "seq", json_object_get(row, "seq"),
                                    "at", json_object_get(row, "at"), "who", by, "what", what, "about", about, "detail",
                                    change ? change_detail(data) : detail(data), "receipt",
                                    json_object_get(row, "receipt"), "data", data));
}

static json_t *events_of(const json_t *rows, const char *only)
{
    json_t *list = json_array(), *row, *one;
    size_t i, k;
    char what[80];
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_t *data = json_array_get(json_object_get(row, "note"), 1);
        if (!json_is_array(data)) {
            snprintf(what, sizeof what, "%s", cvm_json_str(row, "action", "?"));
            if (!only || strncmp(what, only, strlen(only)) == 0)
                add_event(list, row, what, data, false);
            continue;
        }
        json_array_foreach(data, k, one)
        {
            snprintf(what, sizeof what, "plugin.%s", cvm_json_str(one, "action", "changed"));
            if (!only || strncmp(what, only, strlen(only)) == 0)
                add_event(list, row, what, one, true);
        }
    }
    return list;
}

int cli_audit_events(struct cli *cli)
{
    static const char sql[] =
        "SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, type AS action,"
        " 'MSG-' || lower(hex(message)) AS receipt, json_extract(record, '$.notes[0]') AS note"
        " FROM turns INDEXED BY turns_of_host WHERE component = 'host' AND seq >= ?1"
        " AND json_extract(record, '$.notes[0]') IS NOT NULL ORDER BY seq DESC LIMIT ?2";
    const char *since = NULL, *limit = NULL, *what = NULL;
    const struct cli_option options[] = {{"since", &since}, {"limit", &limit}, {"what", &what}};
    sqlite3 *db = NULL;
    int64_t from = 0, n = 0;
    int status = cli_arguments(cli, "audit events [--what W] [--since TIME] [--limit N]", options, 3, NULL, 0, 0);
    if (status == CLI_OK)
        status = read_limit(limit, &n);
    if (status == CLI_OK)
        status = open_since(cli, since, &db, &from);
    if (status != CLI_OK)
        goto out;
    sqlite3_stmt *st = prepare(db, sql);
    json_t *rows = NULL;
    if (st) {
        sqlite3_bind_int64(st, 1, from);
        sqlite3_bind_int64(st, 2, what ? LIMIT_MAX : n);
        rows = read_rows(st);
    }
    sqlite3_finalize(st);
    status = rows ? CLI_OK : CLI_CONFIG;
    if (rows) {
        json_t *events = events_of(rows, what);
        while (json_array_size(events) > (size_t)n)
            json_array_remove(events, 0);
        show(cli, events, "at who what about detail receipt");
        json_decref(events);
    }
    json_decref(rows);
out:
    sqlite3_close(db);
    return status;
}
