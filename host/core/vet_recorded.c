/* What came lately against the schemas of a build that is to come: where an operation takes less than before, its last
 * recorded inputs are tried. A stricter schema may be meant, so this warns and does not refuse. Writer's thread: it
 * reads the journal and two manifests, nothing of the loop's. */
#include "core/internal.h"

#include "core/record_read.h"
#include "core/schema_diff.h"
#include "core/store.h"
#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define RECORDED_INPUTS_MAX 1000
#define RECORDED_TURNS_MAX 20000 /* of all components; how far back it is looked */

static void try_one(const struct manifest_operation *op, const char *component, const char *record, int *tried,
                    int *refused, char *ret_why, size_t size)
{
    struct schema_error fault;
    const struct record_row row = {.component = component, .type = op->type, .sender = ""}; /* data is looked at */
    json_t *doc = json_loads(record, 0, NULL);
    if (doc && record_whole(doc, &row) < 0)
        json_object_clear(doc);
    json_t *data = json_object_get(json_object_get(doc, "in"), "structured_data");
    if (json_is_object(data)) {
        ++*tried;
        if (schema_check(op->request, data, &fault) < 0 && (*refused)++ == 0)
            snprintf(ret_why, size, "%s: %s", fault.field, fault.text);
    }
    json_decref(doc);
}

static void try_operation(struct store *store, const char *component, const struct manifest_operation *op,
                          json_t *warnings)
{
    static const char sql[] =
        "SELECT record FROM turns WHERE component = ?1 AND type = ?2 AND seq > (SELECT max(seq) FROM"
        " turns) - ?3 ORDER BY seq DESC LIMIT ?4";
    sqlite3_stmt *st = NULL;
    int tried = 0, refused = 0;
    char why[512] = "";
    if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL))
        return;
    sqlite3_bind_text(st, 1, component, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, op->type, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 3, RECORDED_TURNS_MAX);
    sqlite3_bind_int(st, 4, RECORDED_INPUTS_MAX);
    while (sqlite3_step(st) == SQLITE_ROW)
        try_one(op, component, (const char *)sqlite3_column_text(st, 0), &tried, &refused, why, sizeof why);
    sqlite3_finalize(st);
    if (refused)
        json_array_append_new(warnings,
                              json_sprintf("%s: %s: the new schema refuses %d of the last %d inputs; the latest: %s",
                                           component, op->type, refused, tried, why));
}

static const struct manifest_component *find(const struct manifest *m, const char *id)
{
    for (size_t i = 0; i < m->n_components; i++)
        if (strcmp(m->components[i].id, id) == 0)
            return &m->components[i];
    return NULL;
}

void vet_recorded(struct store *store, const struct manifest *old, const struct manifest *fresh, json_t *warnings)
{
    for (size_t i = 0; old && i < fresh->n_components; i++) {
        const struct manifest_component *now = &fresh->components[i], *was = find(old, now->id);
        for (size_t k = 0; was && k < now->n_operations; k++) {
            const struct manifest_operation *op = &now->operations[k];
            const struct manifest_operation *before = manifest_find_operation(was, op->type);
            if (before && !op->ephemeral &&
                !schema_accepts_more(old->doc, before->request_schema, fresh->doc, op->request_schema, NULL, 0))
                try_operation(store, now->id, op, warnings);
        }
    }
}
