/* `cvmhost db check --schema`: what tables, columns, defaults and indexes the database has, beside what the manifests
 * declare. Only reads. One thread. */
#include "cli/db.h"

#include "cli/show.h"
#include "core/config.h"
#include "core/internal.h"
#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define HOST_COLUMN "key_id"

static const char *text_at(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? text : "";
}

static void put(struct db_check *c, const char *table, const char *kind, const char *name, const char *type,
                const char *otherwise, const char *of, const char *state)
{
    json_array_append_new(c->schema,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "table", table, "kind", kind, "name", name,
                                    "type", type, "default", otherwise, "plugin", of, "state", state));
}

static const struct manifest_column *declared_column(const struct manifest_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static const char *type_of(const struct manifest_column *column)
{
    return column->type == COLUMN_INTEGER ? "INTEGER" : column->type == COLUMN_REAL ? "REAL" : "TEXT";
}

/* As the database writes it; "" for none. */
static void default_of(const struct manifest_table *t, const char *column, char *ret_text, size_t size)
{
    const json_t *value = json_object_get(schema_member(NULL, t->schema_json, column), "default");
    *ret_text = 0;
    if (json_is_string(value))
        snprintf(ret_text, size, "'%s'", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret_text, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(ret_text, size, "%d", (int)json_is_true(value));
}

/* Columns that stand, then those that do not. Returns how many stand. */
static int columns(struct db_check *c, const char *table, const char *of, const struct manifest_table *t)
{
    char sql[200], wanted[256];
    int n = 0;
    snprintf(sql, sizeof sql, "SELECT name, type, dflt_value, pk FROM pragma_table_info('%.63s')", table);
    sqlite3_stmt *st = db_prepare(c, sql);
    json_t *seen = json_object();
    for (; db_row(c, st, table); n++) {
        const char *name = text_at(st, 0), *kind = sqlite3_column_int(st, 3) ? "key" : "column";
        const struct manifest_column *column = t ? declared_column(t, name) : NULL;
        const char *state = "ok";
        json_object_set_new(seen, name, json_true());
        if (t && !column && strcmp(name, HOST_COLUMN) != 0) {
            state = "not declared";
        } else if (column) {
            default_of(t, name, wanted, sizeof wanted);
            bool is_key = strcmp(t->key, name) == 0;
            if (strcmp(type_of(column), text_at(st, 1)) != 0 || strcmp(wanted, text_at(st, 2)) != 0 ||
                is_key != (sqlite3_column_int(st, 3) != 0))
                state = "differs";
        }
        put(c, table, kind, name, text_at(st, 1), text_at(st, 2), of, state);
    }
    sqlite3_finalize(st);
    for (size_t i = 0; t && n && i < t->n_columns; i++) {
        default_of(t, t->columns[i].name, wanted, sizeof wanted);
        if (!json_object_get(seen, t->columns[i].name))
            put(c, table, "column", t->columns[i].name, type_of(&t->columns[i]), wanted, of, "missing");
    }
    json_decref(seen);
    return n;
}

/* "column", "column DESC" of an index that stands. False: there is none. */
static bool index_on(struct db_check *c, const char *index, char *ret_on, size_t size)
{
    char sql[320];
    size_t n = 0;
    *ret_on = 0;
    snprintf(sql, sizeof sql, "SELECT name, \"desc\" FROM pragma_index_xinfo('%.160s') WHERE key = 1", index);
    sqlite3_stmt *st = db_prepare(c, sql);
    while (db_row(c, st, index) && n < size)
        n += (size_t)snprintf(ret_on + n, size - n, "%s%s%s", n ? ", " : "", text_at(st, 0),
                              sqlite3_column_int(st, 1) ? " DESC" : "");
    sqlite3_finalize(st);
    return n > 0;
}

static void declared_indexes(struct db_check *c, const char *of, const struct manifest_table *t, json_t *seen)
{
    char name[MANIFEST_INDEX_NAME_MAX], wanted[160], on[160];
    for (size_t i = 0; i < t->indexes.n; i++) {
        bool descending;
        const char *column = manifest_index_column(t->indexes.at[i], &descending);
        manifest_index_name(t->name, t->indexes.at[i], name, sizeof name);
        snprintf(wanted, sizeof wanted, "%s%s", column, descending ? " DESC" : "");
        bool there = index_on(c, name, on, sizeof on);
        put(c, t->name, "index", name, there ? on : wanted, "", of,
            !there                    ? "missing"
            : strcmp(on, wanted) != 0 ? "differs"
                                      : "ok");
        json_object_set_new(seen, name, json_true());
    }
}

static void indexes(struct db_check *c, const char *table, const char *of, const struct manifest_table *t)
{
    char sql[200], on[160];
    json_t *seen = json_object();
    if (t)
        declared_indexes(c, of, t, seen);
    snprintf(sql, sizeof sql,
             "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = '%.63s' ORDER BY"
             " name",
             table);
    sqlite3_stmt *st = db_prepare(c, sql);
    while (db_row(c, st, table)) {
        if (json_object_get(seen, text_at(st, 0)))
            continue;
        index_on(c, text_at(st, 0), on, sizeof on);
        put(c, table, "index", text_at(st, 0), on, "", of, t ? "not declared" : "ok");
    }
    sqlite3_finalize(st);
    json_decref(seen);
}

static void declared(struct db_check *c, const struct manifest *m, const struct manifest_table *t)
{
    if (!columns(c, t->name, m->name, t)) {
        put(c, t->name, "table", t->name, "", "", m->name, "missing");
        return;
    }
    indexes(c, t->name, m->name, t);
}

static bool listed(const struct db_check *c, const char *table)
{
    const json_t *row;
    size_t i;
    json_array_foreach(c->schema, i, row) if (strcmp(cvm_json_str(row, "table", ""), table) == 0) return true;
    return false;
}

static void hosts_own(struct db_check *c)
{
    sqlite3_stmt *st =
        db_prepare(c, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name");
    json_t *names = json_array();
    const json_t *name;
    size_t i;
    while (db_row(c, st, "the schema"))
        json_array_append_new(names, json_string(text_at(st, 0)));
    sqlite3_finalize(st);
    json_array_foreach(names, i, name)
    {
        if (listed(c, json_string_value(name)))
            continue;
        columns(c, json_string_value(name), "", NULL);
        indexes(c, json_string_value(name), "", NULL);
    }
    json_decref(names);
}

int db_schema(struct db_check *c)
{
    struct config *config = NULL;
    char error[1024];
    const json_t *row;
    size_t i;
    int wrong = 0;
    if (config_load(c->cli->home, c->cli->config_file, &config, error, sizeof error) < 0)
        return cli_fail(CLI_CONFIG, "%s", error);
    c->schema = json_array();
    db_tables(c, config, declared);
    hosts_own(c);
    config_free(config);
    json_array_foreach(c->schema, i, row)
    {
        const char *state = cvm_json_str(row, "state", "");
        wrong += strcmp(state, "missing") == 0 || strcmp(state, "differs") == 0;
    }
    json_t *names = show_names("table kind name type default state plugin");
    show_rows(c->cli, c->schema, names);
    json_decref(names);
    json_decref(c->schema);
    return wrong || c->worst >= DB_FAULT ? CLI_FAILED : CLI_OK;
}
