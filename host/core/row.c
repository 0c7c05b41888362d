/* Rows of the tables that people query: checked inside the turn, so that no constraint can fail at the commit. */
#include "core/internal.h"

#include "core/search.h"

#include <stdlib.h>
#include <string.h>

#define ROW_KEY_MAX_BYTES 256

static bool vectors_good(const struct manifest_table *table, const json_t *row, const char **ret_column)
{
    for (size_t i = 0; i < table->search.n_vectors; i++) {
        const json_t *value = json_object_get(row, *ret_column = table->search.vectors[i].column);
        if (json_is_string(value) &&
            !search_is_good_vector(json_string_value(value), table->search.vectors[i].dimension))
            return false;
    }
    return true;
}

static int change(struct turn *t, const char *table_name, json_t *row, const char *key)
{
    struct table *table = component_table(t->component, table_name);
    if (!t->conversation)
        return CVM_ESTATE;
    if (!table || table->decl->bulk)
        return CVM_EACCES;
    if (row) {
        struct schema_error fault;
        if (schema_check(table->decl->schema, row, &fault) < 0) {
            if (!t->told)
                log_error(t->component->id->text, "row of table %s refused: %s: %s", table_name, fault.field,
                          fault.text);
            return CVM_EINVAL;
        }
        const char *column;
        if (!vectors_good(table->decl, row, &column)) {
            if (!t->told)
                log_error(t->component->id->text,
                          "row of table %s refused: %s: must be base64 of as many little-endian floats as the manifest "
                          "says, finite and not all 0",
                          table_name, column);
            return CVM_EINVAL;
        }
        key = json_string_value(json_object_get(row, table->decl->key));
    }
    if (!key || strlen(key) > ROW_KEY_MAX_BYTES)
        return CVM_EINVAL;
    CVM_TRY(turn_count(t, strlen(key) + json_text_size(row, CVM_TURN_BYTES_MAX)));
    struct row_change c = {.table = table, .row = json_incref(row), .key = strdup(key)};
    if (!c.key || !VECTOR_PUSH(t->rows, c)) {
        json_decref(row);
        free(c.key);
        return CVM_ENOMEM;
    }
    table->refs++;
    return CVM_OK;
}

int turn_row_put(cvm_turn *t, const char *table, json_t *row)
{
    int e = json_is_object(row) ? change((struct turn *)t, table, row, NULL) : CVM_EINVAL;
    json_decref(row);
    return e;
}

int turn_row_del(cvm_turn *t, const char *table, const char *key)
{
    return change((struct turn *)t, table, NULL, key);
}
