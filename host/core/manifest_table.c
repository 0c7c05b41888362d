/* The tables of a manifest: from a row's schema to columns. Knows no SQL but its names. Loop thread. */
#include "core/manifest_parts.h"

#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 128
#define COLUMN_NAME_MAX 63

/* Tables and views of the journal, and the column the host adds to every table. */
static const char *const host_tables[] = {
    "host_plugins", "turns",     "contexts",          "state",    "inbox",      "open_items",  "meta",
    "dead_letters", "audit_log", "component_metrics", "messages", "audit_head", "audit_stubs", "audit_anchors",
    "folded",       "folded_log"};
#define HOST_COLUMN "key_id"

/* The one type a column can have in SQL, null aside; COLUMN_JSON for whatever is mixed or nested. */
static int column_type(const json_t *doc, const json_t *property)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {
        {"string", COLUMN_TEXT}, {"integer", COLUMN_INTEGER}, {"boolean", COLUMN_INTEGER}, {"number", COLUMN_REAL}};
    const json_t *schema = schema_resolve(doc, property), *type = json_object_get(schema, "type"), *name;
    const json_t *values = json_object_get(schema, "enum");
    int found = -1;
    size_t i;
    if (!type && json_is_array(values)) {
        json_array_foreach(values, i, name)
        {
            if (!json_is_string(name))
                return COLUMN_JSON;
        }
        return COLUMN_TEXT;
    }
    for (i = 0; i < (json_is_array(type) ? json_array_size(type) : 1); i++) {
        const char *text = json_string_value(json_is_array(type) ? json_array_get(type, i) : type);
        int one = COLUMN_JSON;
        if (text && strcmp(text, "null") == 0)
            continue;
        for (size_t t = 0; text && t < sizeof types / sizeof types[0]; t++)
            if (strcmp(types[t].name, text) == 0)
                one = types[t].type;
        if (found >= 0 && found != one)
            return COLUMN_JSON;
        found = one;
    }
    return found < 0 ? COLUMN_JSON : found;
}

static bool is_column_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        bool letter = (name[i] | 32) >= 'a' && (name[i] | 32) <= 'z';
        if (!letter && name[i] != '_' && (i == 0 || name[i] < '0' || name[i] > '9'))
            return false;
    }
    return len > 0 && len <= COLUMN_NAME_MAX;
}

static const struct manifest_column *find_column(const struct manifest_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcasecmp(table->columns[i].name, name) == 0) /* SQL names know no case */
            return &table->columns[i];
    return NULL;
}

static int read_columns(struct reading *r, const json_t *schema, const char *field, struct manifest_table *table)
{
    const json_t *properties = json_object_get(schema, "properties"), *property;
    const char *name;
    size_t n = json_object_size(properties);
    if (n == 0 || n > COLUMNS_MAX)
        return manifest_wrong(r, field, "must have 1 to %d properties (the columns), got %zu", COLUMNS_MAX, n);
    table->columns = calloc(n, sizeof *table->columns);
    if (!table->columns)
        return CVM_ENOMEM;
    json_object_foreach((json_t *)properties, name, property)
    {
        if (!is_column_name(name) || strcasecmp(name, HOST_COLUMN) == 0)
            return manifest_wrong(
                r, field, "a column must be at most %d letters, digits and _, and not \"" HOST_COLUMN "\", got \"%s\"",
                COLUMN_NAME_MAX, name);
        if (find_column(table, name))
            return manifest_wrong(r, field, "the column \"%s\" occurs twice (case does not count)", name);
        table->columns[table->n_columns++] = (struct manifest_column){name, column_type(r->m->doc, property)};
    }
    return 0;
}

/* The row's schema as it is checked: no members but the columns, and the key must be there. */
static int compile_row(struct reading *r, const json_t *schema, const char *field, struct manifest_table *table)
{
    json_t *row = json_copy((json_t *)schema), *required = json_copy(json_object_get(schema, "required"));
    int error = CVM_ENOMEM;
    if (!required)
        required = json_array();
    if (row && json_array_append_new(required, json_string(table->key)) == 0 &&
        json_object_set(row, "required", required) == 0 &&
        json_object_set(row, "additionalProperties", json_false()) == 0)
        error = manifest_compile(r, row, field, &table->schema);
    json_decref(required);
    json_decref(row);
    return error;
}

static int search_column(struct reading *r, const struct manifest_table *table, const char *field, const char *name)
{
    const struct manifest_column *column = find_column(table, name);
    if (!column || strcmp(column->name, name) != 0 || column->type != COLUMN_TEXT)
        return manifest_wrong(r, field, "must name columns of the type \"string\", got \"%s\"", name);
    if (strcmp(name, table->key) == 0)
        return manifest_wrong(r, field, "must not name the key, \"%s\"", name);
    return 0;
}

static int read_search(struct reading *r, const json_t *json, const char *field, struct manifest_table *table)
{
    struct manifest_search *search = &table->search;
    const json_t *texts = json_object_get(json, "text"), *vectors = json_object_get(json, "vectors"), *value;
    struct field inner;
    const char *name;
    if (json_object_size(texts) > MANIFEST_SEARCH_TEXTS_MAX || json_object_size(vectors) > MANIFEST_SEARCH_VECTORS_MAX)
        return manifest_wrong(r, field, "must have at most %d texts and %d vectors", MANIFEST_SEARCH_TEXTS_MAX,
                              MANIFEST_SEARCH_VECTORS_MAX);
    manifest_field(&inner, "%s.text", field);
    json_object_foreach((json_t *)(uintptr_t)texts, name, value)
    {
        CVM_TRY(search_column(r, table, inner.text, name));
        search->texts[search->n_texts].column = name;
        search->texts[search->n_texts++].weight = json_number_value(value);
    }
    manifest_field(&inner, "%s.vectors", field);
    json_object_foreach((json_t *)(uintptr_t)vectors, name, value)
    {
        CVM_TRY(search_column(r, table, inner.text, name));
        if (json_object_get(texts, name))
            return manifest_wrong(r, inner.text, "\"%s\" is a text to search already", name);
        search->vectors[search->n_vectors].column = name;
        search->vectors[search->n_vectors++].dimension = (int)json_integer_value(value);
    }
    return 0;
}

const char *manifest_index_column(const char *index, bool *ret_descending)
{
    const char *equals = strchr(index, '='), *column = equals ? equals + 1 : index;
    *ret_descending = *column == '-';
    return column + *ret_descending;
}

void manifest_index_name(const char *table, const char *index, char *ret_name, size_t size)
{
    bool descending;
    const char *equals = strchr(index, '='), *column = manifest_index_column(index, &descending);
    if (equals)
        snprintf(ret_name, size, "%.*s", (int)(equals - index), index);
    else
        snprintf(ret_name, size, "%s_%s", table, column);
}

static int read_table(struct reading *r, const json_t *json, size_t index)
{
    struct field field, inner;
    struct manifest_table *table = &r->m->tables[index];
    const json_t *schema = schema_resolve(r->m->doc, json_object_get(json, "schema"));
    manifest_field(&field, "needs.tables[%zu]", index);
    manifest_field(&inner, "%s.name", field.text);
    table->bulk = json_is_true(json_object_get(json, "bulk"));
    table->schema_json = schema;
    table->name = json_string_value(json_object_get(json, "name"));
    table->key = json_string_value(json_object_get(json, "key"));
    for (size_t i = 0; i < sizeof host_tables / sizeof host_tables[0]; i++)
        if (strcmp(table->name, host_tables[i]) == 0)
            return manifest_wrong(r, inner.text, "\"%s\" is a table of the host's own; choose another name",
                                  table->name);
    if (strstr(table->name, "__"))
        return manifest_wrong(r, inner.text, "must not contain \"__\": such are the host's indexes, got \"%s\"",
                              table->name);
    if (strncmp(table->name, "sqlite_", 7) == 0)
        return manifest_wrong(r, inner.text, "must not begin with \"sqlite_\", got \"%s\"", table->name);
    for (size_t i = 0; i < index; i++)
        if (strcmp(table->name, r->m->tables[i].name) == 0)
            return manifest_wrong(r, inner.text, "\"%s\" is declared twice", table->name);

    manifest_field(&inner, "%s.schema", field.text);
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!type || strcmp(type, "object") != 0)
        return manifest_wrong(r, inner.text, "must be the schema of a row: \"type\": \"object\" with \"properties\"");
    const json_t *additional = json_object_get(schema, "additionalProperties");
    if (additional && !json_is_false(additional))
        return manifest_wrong(r, inner.text, "\"additionalProperties\" must be false: a row has only its columns");
    CVM_TRY(read_columns(r, schema, inner.text, table));

    const struct manifest_column *key = find_column(table, table->key);
    const json_t *key_type =
        schema ? json_object_get(schema_resolve(r->m->doc, schema_member(r->m->doc, schema, table->key)), "type")
               : NULL;
    manifest_field(&inner, "%s.key", field.text);
    if (!key || strcmp(key->name, table->key) != 0)
        return manifest_wrong(r, inner.text, "must name a property of the table's schema, got \"%s\"", table->key);
    if (key->type != COLUMN_TEXT || json_is_array(key_type))
        return manifest_wrong(r, inner.text, "the property \"%s\" must have the type \"string\"", table->key);
    CVM_TRY(compile_row(r, schema, inner.text, table));

    manifest_field(&inner, "%s.indexes", field.text);
    CVM_TRY(manifest_strings_make(r, json_object_get(json, "indexes"), inner.text, &table->indexes));
    for (size_t i = 0; i < table->indexes.n; i++) {
        bool descending;
        const char *name = manifest_index_column(table->indexes.at[i], &descending);
        const struct manifest_column *column = find_column(table, name);
        if (!column || strcmp(column->name, name) != 0)
            return manifest_wrong(r, inner.text, "must name columns of the table, got \"%s\"", table->indexes.at[i]);
    }
    manifest_field(&inner, "%s.search", field.text);
    if (table->bulk && json_object_get(json, "search"))
        return manifest_wrong(r, inner.text, "a table with \"bulk\": true is not searched");
    return read_search(r, json_object_get(json, "search"), inner.text, table);
}

int manifest_read_tables(struct reading *r, const json_t *tables)
{
    size_t n = json_array_size(tables);
    r->m->tables = calloc(n + 1, sizeof *r->m->tables);
    if (!r->m->tables)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        r->m->n_tables = i + 1;
        CVM_TRY(read_table(r, json_array_get(tables, i), i));
    }
    return 0;
}
