/* See mapping.h. */
#include "mapping.h"

#include "../common/value.h"
#include "json_text.h"
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 64
#define CONSTANTS_MAX 64
#define MISSING_MAX 16
#define PREFIX "attributes."

struct replaced {
    char *from, *to;
    size_t from_len, to_len;
};

/* What becomes of a value: cell `cell` of the row, or the attribute of this name. */
struct target {
    int column; /* enum facts_column; -1: an attribute */
    size_t cell;
    char *attribute; /* quoted */
    double scale;    /* 0: none was given */
    struct replaced *values;
    size_t n_values;
};

struct mapping {
    struct {
        char *name;
        size_t n_targets;
        struct target target;
    } fields[CSV_FIELDS_MAX];
    size_t n_fields;
    struct {
        char *text;
        struct target target;
    } constants[CONSTANTS_MAX];
    size_t n_constants;
    char *missing[MISSING_MAX];
    size_t n_missing;
    const char *columns[FACTS_COLUMNS + 2];
    cvm_cell cells[FACTS_COLUMNS + 1];
    char small[FACTS_COLUMNS + 1][72];
    size_t n_cells, attributes_cell;
    bool has_attributes;
    struct json_text attributes;
};

/* Making a plan. */
struct making {
    struct mapping *m;
    char *fault;
    size_t size;
    int error;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct making *k, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(k->fault, k->size, format, args);
    va_end(args);
    return k->error = CVM_EINVAL;
}

static void free_target(struct target *t)
{
    for (size_t i = 0; i < t->n_values; i++) {
        free(t->values[i].from);
        free(t->values[i].to);
    }
    free(t->values);
    free(t->attribute);
}

void mapping_free(struct mapping *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_fields; i++) {
        free(m->fields[i].name);
        free_target(&m->fields[i].target);
    }
    for (size_t i = 0; i < m->n_constants; i++) {
        free(m->constants[i].text);
        free_target(&m->constants[i].target);
    }
    for (size_t i = 0; i < m->n_missing; i++)
        free(m->missing[i]);
    free(m);
}

const char *const *mapping_columns(const struct mapping *m)
{
    return m->columns;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

/* A scalar of the mapping as a CSV file would have it. Gives (free); NULL: it is none. */
static char *text_of(const json_t *value)
{
    char number[40];
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "1" : "0");
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else
        return NULL;
    return strdup(number);
}

/* The cell of a column; each column has one. */
static size_t cell_of(struct mapping *m, const char *column)
{
    for (size_t i = 0; i < m->n_cells; i++)
        if (strcmp(m->columns[i], column) == 0)
            return i;
    m->columns[m->n_cells] = column;
    return m->n_cells++;
}

static int set_target(struct making *k, const char *field, struct target *t)
{
    if (strncmp(field, PREFIX, sizeof PREFIX - 1) == 0) {
        const char *name = field + sizeof PREFIX - 1;
        t->column = -1;
        t->attribute = json_text_name(name, strlen(name));
        k->m->has_attributes = true;
        return t->attribute ? 0 : (k->error = CVM_ENOMEM);
    }
    t->column = facts_column_find(field);
    if (t->column < 0 || t->column == FACTS_attributes)
        return wrong(k, "there is no field \"%.60s\": expected a column of cvm_customers or attributes.NAME", field);
    t->cell = cell_of(k->m, facts_columns[t->column]);
    return 0;
}

static int set_values(struct making *k, const json_t *values, struct target *t)
{
    const char *from;
    json_t *to;
    size_t n = json_object_size(values);
    if (n > VALUES_MAX)
        return wrong(k, "\"values\" may have at most %d members", VALUES_MAX);
    if (!n)
        return 0;
    if (!(t->values = calloc(n, sizeof *t->values)))
        return k->error = CVM_ENOMEM;
    json_object_foreach((json_t *)(uintptr_t)values, from, to)
    {
        struct replaced *r = &t->values[t->n_values++];
        r->from = strdup(from);
        r->to = json_is_null(to) ? strdup("") : text_of(to);
        if (!r->from || !r->to)
            return wrong(k, "\"values\" must be texts, numbers, true, false or null");
        r->from_len = strlen(r->from);
        r->to_len = strlen(r->to);
    }
    return 0;
}

static int add_column(struct making *k, const struct csv *header, const char *name, const json_t *what)
{
    int at = csv_find(header, name);
    const char *field = json_is_string(what) ? json_string_value(what) : cvm_json_str(what, "field", NULL);
    if (at < 0)
        return wrong(k, "the file has no column \"%.60s\"", name);
    if (!field)
        return wrong(k, "columns.%.60s: expected a field or {\"field\", \"scale\", \"values\"}", name);
    if (k->m->fields[at].n_targets++)
        return wrong(k, "the column \"%.60s\" occurs twice", name);
    struct target *t = &k->m->fields[at].target;
    t->scale = json_number_value(json_object_get(what, "scale"));
    if (set_target(k, field, t) < 0)
        return k->error;
    return set_values(k, json_object_get(what, "values"), t);
}

static int add_columns(struct making *k, const struct csv *header, const json_t *columns)
{
    const char *name;
    json_t *what;
    json_object_foreach((json_t *)(uintptr_t)columns, name, what)
    {
        if (add_column(k, header, name, what) < 0)
            return k->error;
    }
    return 0;
}

static int add_constants(struct making *k, const json_t *constants)
{
    const char *name;
    json_t *value;
    if (json_object_size(constants) > CONSTANTS_MAX)
        return wrong(k, "\"constants\" may have at most %d members", CONSTANTS_MAX);
    json_object_foreach((json_t *)(uintptr_t)constants, name, value)
    {
        size_t n = k->m->n_constants++;
        k->m->constants[n].target.scale = 1; /* as it stands in the table */
        if (!(k->m->constants[n].text = text_of(value)))
            return wrong(k, "constants.%.60s: expected a text, a number, true or false", name);
        if (set_target(k, name, &k->m->constants[n].target) < 0)
            return k->error;
    }
    return 0;
}

/* The other columns that become attributes: all (true), or those of a list. */
static int add_attributes(struct making *k, const struct csv *header, const json_t *attributes)
{
    for (size_t i = 0; json_is_true(attributes) && i < header->n; i++) {
        struct csv_field f = header->fields[i];
        value_trim(&f.text, &f.len);
        if (k->m->fields[i].n_targets || !f.len)
            continue;
        k->m->fields[i].n_targets = 1;
        k->m->fields[i].target.column = -1;
        if (!(k->m->fields[i].target.attribute = json_text_name(f.text, f.len)))
            return k->error = CVM_ENOMEM;
        k->m->has_attributes = true;
    }
    for (size_t i = 0; i < json_array_size(attributes); i++) {
        const char *name = json_string_value(json_array_get(attributes, i));
        char field[FACTS_TEXT_MAX + sizeof PREFIX];
        json_t *what;
        if (!name || strlen(name) > FACTS_TEXT_MAX)
            return wrong(k, "\"attributes\" must be true or names of columns");
        snprintf(field, sizeof field, PREFIX "%s", name);
        what = json_string(field);
        int e = add_column(k, header, name, what);
        json_decref(what);
        if (e < 0)
            return e;
    }
    return 0;
}

static int add_missing(struct making *k, const json_t *missing)
{
    if (json_array_size(missing) > MISSING_MAX)
        return wrong(k, "\"missing\" may have at most %d texts", MISSING_MAX);
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *text = json_string_value(json_array_get(missing, i));
        if (!text || !(k->m->missing[k->m->n_missing] = strdup(text)))
            return wrong(k, "\"missing\" must be texts");
        k->m->n_missing++;
    }
    return 0;
}

static int take_header(struct making *k, const struct csv *header)
{
    for (size_t i = 0; i < header->n; i++) {
        struct csv_field f = header->fields[i];
        value_trim(&f.text, &f.len);
        if (!(k->m->fields[i].name = strndup(f.text, f.len < 60 ? f.len : 60)))
            return k->error = CVM_ENOMEM;
        k->m->n_fields = i + 1;
    }
    return 0;
}

int mapping_new(const json_t *doc, const struct csv *header, struct mapping **ret_mapping, char *ret_fault, size_t size)
{
    struct making k = {.m = calloc(1, sizeof *k.m), .fault = ret_fault, .size = size};
    bool has_id = false;
    if (!k.m)
        return CVM_ENOMEM;
    snprintf(ret_fault, size, "out of memory");
    cell_of(k.m, facts_columns[FACTS_customer_id]);
    if (!json_is_object(json_object_get(doc, "columns")))
        wrong(&k, "\"columns\" is missing: an object, column of the file -> field");
    if (!k.error && !take_header(&k, header) && !add_columns(&k, header, json_object_get(doc, "columns")) &&
        !add_constants(&k, json_object_get(doc, "constants")) &&
        !add_attributes(&k, header, json_object_get(doc, "attributes")))
        add_missing(&k, json_object_get(doc, "missing"));
    for (size_t i = 0; i < k.m->n_fields; i++)
        has_id |= k.m->fields[i].n_targets && k.m->fields[i].target.column == FACTS_customer_id;
    if (!k.error && !has_id)
        wrong(&k, "no column is \"customer_id\"");
    if (k.error) {
        mapping_free(k.m);
        return k.error;
    }
    if (k.m->has_attributes)
        k.m->attributes_cell = cell_of(k.m, facts_columns[FACTS_attributes]);
    cell_of(k.m, "origin");
    *ret_mapping = k.m;
    return 0;
}

/* ---- a row ------------------------------------------------------------------------------------------------------- */

static bool is_missing(const struct mapping *m, const char *text, size_t len)
{
    for (size_t i = 0; i < m->n_missing; i++)
        if (strlen(m->missing[i]) == len && memcmp(m->missing[i], text, len) == 0)
            return true;
    return len == 0;
}

static const char *put_text(struct mapping *m, const struct target *t, const char *text, size_t len, cvm_cell *cell)
{
    static const size_t most[FACTS_COLUMNS] = {
        [FACTS_name] = 120, [FACTS_segment] = 64, [FACTS_currency] = 3, [FACTS_payment_status] = 32};
    char *small = m->small[t->cell];
    if (t->column == FACTS_contract_end) {
        if (!value_date(text, len, small))
            return "is no date";
        *cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = small, .len = VALUE_DATE_SIZE - 1};
        return NULL;
    }
    if (t->column == FACTS_customer_id && !value_is_id(text, len))
        return "must be 1 to 64 characters without blanks";
    if (t->column != FACTS_customer_id && len > most[t->column])
        return "is too long";
    *cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = text, .len = len};
    if (t->column != FACTS_payment_status)
        return NULL;
    for (size_t i = 0; i < len; i++)
        small[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 32) : text[i];
    cell->text = small;
    return NULL;
}

static const char *put_switch(const char *text, size_t len, cvm_cell *cell)
{
    bool yes;
    if (!value_bool(text, len, &yes))
        return "is neither yes nor no";
    *cell = (cvm_cell){.kind = CVM_CELL_INT, .i = yes};
    return NULL;
}

static const char *put_number(const struct target *t, const char *text, size_t len, cvm_cell *cell)
{
    bool money = t->column == FACTS_monthly_spend || t->column == FACTS_last_charged;
    double scale = t->scale != 0 ? t->scale : money ? 100 : 1, r;
    cvm_cell value = {.kind = CVM_CELL_INT};
    if (scale == floor(scale) && fabs(scale) < 1e9) {
        if (!value_scaled(text, len, (int64_t)scale, &value.i))
            return "is no number";
    } else {
        if (!value_real(text, len, &r) || fabs(r * scale) > 9e15)
            return "is no number";
        value.i = (int64_t)llround(r * scale);
    }
    *cell = value;
    return NULL;
}

static const char *put_int(struct mapping *m, const struct target *t, const char *text, size_t len, cvm_cell *cell)
{
    char time[VALUE_TIME_SIZE];
    switch (t->column) {
    case FACTS_dispute_open:
    case FACTS_sms:
    case FACTS_email:
    case FACTS_call:
    case FACTS_app:
    case FACTS_post:
    case FACTS_marketing:
        return put_switch(text, len, cell);
    case FACTS_last_contact_ms:
    case FACTS_as_of_ms:
        cell->kind = CVM_CELL_INT;
        if (value_time(text, len, time, &cell->i))
            return NULL;
        return put_number(t, text, len, cell);
    default:
        return put_number(t, text, len, cell);
    }
}

/* NULL, or why not. */
static const char *put_value(struct mapping *m, const struct target *t, const char *text, size_t len)
{
    for (size_t i = 0; i < t->n_values; i++)
        if (t->values[i].from_len == len && memcmp(t->values[i].from, text, len) == 0) {
            text = t->values[i].to;
            len = t->values[i].to_len;
            break;
        }
    if (is_missing(m, text, len))
        return t->column == FACTS_customer_id ? "is missing" : NULL;
    if (t->column < 0) {
        json_text_scalar(&m->attributes, t->attribute, text, len);
        return NULL;
    }
    cvm_cell *cell = &m->cells[t->cell];
    if (t->column == FACTS_customer_id || t->column == FACTS_name || t->column == FACTS_segment ||
        t->column == FACTS_currency || t->column == FACTS_payment_status || t->column == FACTS_contract_end)
        return put_text(m, t, text, len, cell);
    switch (t->column) {
    case FACTS_spend_change_pct:
    case FACTS_on_time_share:
    case FACTS_data_gb:
    case FACTS_voice_minutes:
    case FACTS_usage_change_pct:
    case FACTS_roaming_days_60:
    case FACTS_dropped_call_rate:
    case FACTS_signal_dbm:
    case FACTS_download_mbps:
    case FACTS_churn_score:
    case FACTS_upsell_score:
        cell->kind = CVM_CELL_REAL;
        if (!value_real(text, len, &cell->r))
            return "is no number";
        cell->r *= t->scale != 0 ? t->scale : 1;
        return NULL;
    default:
        return put_int(m, t, text, len, cell);
    }
}

int mapping_row(struct mapping *m, const struct csv *record, const cvm_cell **ret_cells, char *ret_fault, size_t size)
{
    static const char origin[] = "import";
    const char *fault = NULL;
    if (record->n != m->n_fields) {
        snprintf(ret_fault, size, "has %zu fields, the header has %zu", record->n, m->n_fields);
        return CVM_EINVAL;
    }
    memset(m->cells, 0, m->n_cells * sizeof *m->cells); /* all CVM_CELL_NULL */
    json_text_begin(&m->attributes);
    for (size_t i = 0; i < m->n_constants && !fault; i++)
        fault = put_value(m, &m->constants[i].target, m->constants[i].text, strlen(m->constants[i].text));
    if (fault) {
        snprintf(ret_fault, size, "a constant of the mapping %s", fault);
        return CVM_EINVAL;
    }
    for (size_t i = 0; i < m->n_fields && !fault; i++) {
        struct csv_field f = record->fields[i];
        if (!m->fields[i].n_targets)
            continue;
        value_trim(&f.text, &f.len);
        fault = put_value(m, &m->fields[i].target, f.text, f.len);
        if (fault)
            snprintf(ret_fault, size, "%s: %s", m->fields[i].name, fault);
    }
    if (fault)
        return CVM_EINVAL;
    if (!json_text_end(&m->attributes)) {
        snprintf(ret_fault, size, "the attributes are longer than 16 KiB");
        return CVM_EINVAL;
    }
    if (m->has_attributes)
        m->cells[m->attributes_cell] =
            (cvm_cell){.kind = CVM_CELL_TEXT, .text = m->attributes.text, .len = m->attributes.len};
    m->cells[m->n_cells - 1] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = origin, .len = sizeof origin - 1};
    *ret_cells = m->cells;
    return 0;
}

/* ---- which mapping ----------------------------------------------------------------------------------------------- */

bool mapping_recognises(const json_t *doc, const struct csv *header)
{
    const json_t *names = json_object_get(doc, "recognise"), *name;
    size_t i;
    json_array_foreach(names, i, name)
    {
        if (!json_is_string(name) || csv_find(header, json_string_value(name)) < 0)
            return false;
    }
    return json_array_size(names) > 0;
}

json_t *mapping_of_names(const struct csv *header)
{
    json_t *columns = json_object();
    if (csv_find(header, "customer_id") < 0) {
        json_decref(columns);
        return NULL;
    }
    for (int c = 0; c < FACTS_COLUMNS; c++)
        if (c != FACTS_attributes && csv_find(header, facts_columns[c]) >= 0)
            json_object_set_new(columns, facts_columns[c],
                                json_pack("{s:s, s:i}", "field", facts_columns[c], "scale", 1));
    return json_pack("{s:o, s:b}", "columns", columns, "attributes", 1);
}
