/* See reading.h. */
#include "reading.h"

#include "items.h"
#include <stdio.h>
#include <stdlib.h>

static int take(struct reading *r, const struct csv_field *values, int64_t line)
{
    char fault[200];
    if (source_read(r->source, values, r->origin, &r->row, fault, sizeof fault) < 0) {
        faults_row(r->faults, line, fault);
        return 0;
    }
    CVM_TRY(r->take(r, &r->row));
    r->rows++;
    return 0;
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

/* Where each field of the source stands in the file; -1: it has no such column. */
static bool find_columns(struct reading *r, const struct csv *header, int places[SOURCE_FIELDS_MAX])
{
    char text[160];
    bool all = true;
    for (size_t i = 0; r->source->fields[i].name; i++) {
        const struct source_field *f = &r->source->fields[i];
        places[i] = csv_find(header, f->name);
        if (places[i] >= 0)
            continue;
        snprintf(text, sizeof text, "%s: the file has no such column%s", f->name,
                 f->required ? ", so nothing of it can be read" : "");
        faults_note(r->faults, 1, text);
        all = all && !f->required;
    }
    return all;
}

int reading_rows(struct reading *r, struct csv *csv)
{
    int places[SOURCE_FIELDS_MAX] = {0}, e;
    size_t n = csv->n;
    char text[80];
    if (!find_columns(r, csv, places))
        return 0;
    while ((e = csv_next(csv)) > 0) {
        struct csv_field values[SOURCE_FIELDS_MAX] = {{0}};
        if (csv->fault) {
            faults_row(r->faults, csv->line, csv->fault);
            continue;
        }
        if (csv->n != n) {
            snprintf(text, sizeof text, "has %zu fields, the header has %zu", csv->n, n);
            faults_row(r->faults, csv->line, text);
            continue;
        }
        for (size_t i = 0; r->source->fields[i].name; i++)
            if (places[i] >= 0)
                values[i] = csv->fields[places[i]];
        CVM_TRY(take(r, values, csv->line));
    }
    return e;
}

static int read_csv(struct reading *r, csv_line next, void *arg)
{
    struct csv *csv;
    CVM_TRY(csv_new(next, arg, ',', &csv));
    int e = csv_next(csv);
    if (e > 0 && csv->fault)
        faults_note(r->faults, csv->line, csv->fault);
    else if (e > 0)
        e = reading_rows(r, csv);
    csv_free(csv);
    return e < 0 ? e : 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static int take_item(struct reading *r, const struct item *item)
{
    struct csv_field values[SOURCE_FIELDS_MAX] = {{0}};
    json_error_t error;
    json_t *name = item->name ? json_loadb(item->name, item->name_len, JSON_DECODE_ANY, NULL) : NULL;
    json_t *object = json_loadb(item->text, item->len, 0, &error), *holder = NULL;
    int e = 0;
    if (!object || (item->name && !name))
        faults_row(r->faults, item->line + (object || error.line < 1 ? 0 : error.line - 1), "is no JSON");
    else if (!(holder = source_values(r->source, json_string_value(name), object, values)))
        faults_row(r->faults, item->line, "is no object");
    else
        e = take(r, values, item->line);
    json_decref(holder);
    json_decref(object);
    json_decref(name);
    return e;
}

static int take_items(struct reading *r, const char *text, size_t len)
{
    struct items it;
    struct item item;
    char wanted = r->source->form == FORM_ARRAY ? ']' : '}';
    int e;
    if (!items_begin(&it, text, len) || it.close != wanted) {
        faults_note(r->faults, 1, wanted == ']' ? "is no JSON array" : "is no JSON object");
        return 0;
    }
    while ((e = items_next(&it, &item)) > 0)
        CVM_TRY(take_item(r, &item));
    if (e == CVM_EDATA)
        faults_row(r->faults, it.line, "is no JSON, and all that follows is left out");
    return 0;
}

static int read_json(struct reading *r, csv_line next, void *arg)
{
    const char *line;
    char *text = NULL;
    size_t len, size = 0, room = 0;
    int e;
    while ((e = next(arg, &line, &len)) > 0) {
        if (size + len + 1 > room) {
            room = (size + len + 1) * 2;
            char *more = room <= READING_JSON_MAX_BYTES ? realloc(text, room) : NULL;
            if (!more) {
                free(text);
                return room > READING_JSON_MAX_BYTES ? CVM_ELIMIT : CVM_ENOMEM;
            }
            text = more;
        }
        memcpy(text + size, line, len);
        text[size + len] = '\n';
        size += len + 1;
    }
    if (e == 0)
        e = take_items(r, text ? text : "", size);
    free(text);
    return e;
}

int reading_file(struct reading *r, csv_line next, void *arg)
{
    return r->source->form == FORM_CSV ? read_csv(r, next, arg) : read_json(r, next, arg);
}
