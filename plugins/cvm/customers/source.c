/* See source.h. */
#include "source.h"

#include "../common/value.h"
#include <stdio.h>
#include <stdlib.h>

#define MANY 1e12

/* clang-format off */
#define CUSTOMER {"customer_id", NULL, KIND_ID, true, 0, 0}

const struct source sources[SOURCES] = {
    [SOURCE_USAGE] = {"usage", "cvm.source.usage", "usage.csv", "cvm_usage", FORM_CSV, NULL, {0, 1}, 2, true, "usage", {
        CUSTOMER, {"month", NULL, KIND_MONTH, true, 0, 0}, {"voice_minutes", NULL, KIND_REAL, false, 0, MANY},
        {"sms_count", NULL, KIND_INT, false, 0, MANY}, {"data_gb", NULL, KIND_REAL, false, 0, MANY},
        {"roaming_minutes", NULL, KIND_REAL, false, 0, MANY}, {"roaming_data_gb", NULL, KIND_REAL, false, 0, MANY},
        {"spend_pounds", NULL, KIND_REAL, false, -MANY, MANY}, {"paid_on_time", NULL, KIND_SWITCH, false, 0, 0}}},
    [SOURCE_RECOMMENDER] = {"recommender", "cvm.source.recommender", "recommender.csv", "cvm_recommender", FORM_CSV,
        NULL, {0, 1, 2}, 3, true, "recommender", {
        CUSTOMER, {"model", NULL, KIND_WORD, true, 0, 32}, {"offer_id", NULL, KIND_TEXT, false, 0, 64},
        {"score", NULL, KIND_REAL, true, 0, 1}, {"scored_on", NULL, KIND_DATE, false, 0, 0}}},
    [SOURCE_CAMPAIGNS] = {"campaigns", "cvm.source.campaigns", "campaigns.csv", "cvm_campaigns", FORM_CSV, NULL,
        {0, 4, 1}, 3, true, "campaigns", {
        CUSTOMER, {"campaign_id", NULL, KIND_TEXT, true, 0, 64}, {"treatment_id", NULL, KIND_TEXT, false, 0, 80},
        {"channel", NULL, KIND_WORD, false, 0, 32}, {"sent_at", NULL, KIND_TIME, true, 0, 0},
        {"outcome", NULL, KIND_WORD, false, 0, 32}}},
    [SOURCE_DEMOGRAPHICS] = {"demographics", "cvm.source.demographics", "demographics.csv", "cvm_demographics",
        FORM_CSV, NULL, {0}, 0, true, "demographics", {
        CUSTOMER, {"name", NULL, KIND_TEXT, false, 0, 120}, {"age", NULL, KIND_INT, false, 0, 130},
        {"postcode_area", NULL, KIND_TEXT, false, 0, 16}, {"segment", NULL, KIND_TEXT, false, 0, 64},
        {"tenure_months", NULL, KIND_INT, false, 0, 1200}, {"contract_end", NULL, KIND_DATE, false, 0, 0},
        {"device", NULL, KIND_TEXT, false, 0, 120}, {"household_size", NULL, KIND_INT, false, 0, 1000}}},
    [SOURCE_NETWORK] = {"network", "cvm.source.network", "network.csv", "cvm_network", FORM_CSV, NULL, {0, 1}, 2, true,
        "network", {
        CUSTOMER, {"day", NULL, KIND_DATE, true, 0, 0}, {"dropped_call_rate_percent", NULL, KIND_REAL, false, 0, 100},
        {"signal_dbm", NULL, KIND_REAL, false, -200, 0}, {"download_mbps", NULL, KIND_REAL, false, 0, 1e6},
        {"upload_mbps", NULL, KIND_REAL, false, 0, 1e6}, {"latency_ms", NULL, KIND_REAL, false, 0, 1e6},
        {"outages", NULL, KIND_INT, false, 0, 100000}}},
    [SOURCE_CALLS] = {"call_transcripts", "cvm.source.call_transcripts", "call_transcripts.json", "cvm_transcripts",
        FORM_ARRAY, "call", {0, 2, 1}, 3, true, "call_transcripts", {
        CUSTOMER, {"call_id", "ref", KIND_TEXT, true, 0, 64}, {"started_at", NULL, KIND_TIME, true, 0, 0},
        {"duration_seconds", NULL, KIND_INT, false, 0, 1e9}, {"text", NULL, KIND_TEXT, true, 0, SOURCE_TEXT_MAX_BYTES}}},
    [SOURCE_CHATS] = {"web_transcripts", "cvm.source.web_transcripts", "web_transcripts.json", "cvm_transcripts",
        FORM_ARRAY, "web", {0, 2, 1}, 3, true, "web_transcripts", {
        CUSTOMER, {"session_id", "ref", KIND_TEXT, true, 0, 64}, {"started_at", NULL, KIND_TIME, true, 0, 0},
        {"channel", NULL, KIND_WORD, false, 0, 32}, {"text", NULL, KIND_TEXT, true, 0, SOURCE_TEXT_MAX_BYTES}}},
    [SOURCE_PERMISSIONS] = {"permissions", "cvm.source.permissions", "permissions.json", "cvm_permissions", FORM_BY_ID,
        NULL, {0}, 0, true, "permissions", {
        CUSTOMER, {"sms", NULL, KIND_SWITCH, false, 0, 0}, {"email", NULL, KIND_SWITCH, false, 0, 0},
        {"call", NULL, KIND_SWITCH, false, 0, 0}, {"app", NULL, KIND_SWITCH, false, 0, 0},
        {"post", NULL, KIND_SWITCH, false, 0, 0}, {"marketing", NULL, KIND_SWITCH, false, 0, 0}}},
    [SOURCE_BILLING] = {"billing", "", "billing.csv", "cvm_billing", FORM_CSV, NULL, {0}, 0, true, "billing", {
        CUSTOMER, {"plan", NULL, KIND_TEXT, false, 0, 120}, {"currency", NULL, KIND_TEXT, false, 0, 3},
        {"avg_monthly_spend", NULL, KIND_REAL, false, -MANY, MANY},
        {"last_month_charged", NULL, KIND_REAL, false, -MANY, MANY},
        {"payment_status", NULL, KIND_WORD, false, 0, 32}, {"late_payments_12m", NULL, KIND_INT, false, 0, 1000},
        {"dispute_open", NULL, KIND_SWITCH, false, 0, 0}, {"tenure_months", NULL, KIND_INT, false, 0, 1200}}},
    [SOURCE_OFFERS] = {"offers", "cvm.source.offers", "offers.json", "cvm_offers", FORM_ARRAY, NULL, {0}, 0, false,
        NULL, {
        {"offer_id", NULL, KIND_TEXT, true, 0, 64}, {"name", NULL, KIND_TEXT, false, 0, 120},
        {"description", NULL, KIND_TEXT, false, 0, 2000}, {"price_pounds_per_month", NULL, KIND_REAL, false, 0, MANY},
        {"data_gb", NULL, KIND_REAL, false, 0, MANY}, {"voice_minutes", NULL, KIND_REAL, false, 0, MANY},
        {"sms_count", NULL, KIND_INT, false, 0, MANY}, {"contract_months", NULL, KIND_INT, false, 0, 1200},
        {"eligible_segments", NULL, KIND_LIST, false, 0, 2000}}},
    [SOURCE_PRICES] = {"prices", "cvm.source.prices", "competitor_prices.csv", "cvm_prices", FORM_CSV, NULL, {0, 1}, 2,
        false, NULL, {
        {"competitor", NULL, KIND_TEXT, true, 0, 80}, {"plan_name", NULL, KIND_TEXT, true, 0, 120},
        {"price_pounds_per_month", NULL, KIND_REAL, false, 0, MANY}, {"data_gb", NULL, KIND_REAL, false, 0, MANY},
        {"voice_minutes", NULL, KIND_REAL, false, 0, MANY}, {"observed_on", NULL, KIND_DATE, false, 0, 0}}},
};
/* clang-format on */

const struct source *source_find(const char *name)
{
    for (size_t i = 0; i < SOURCES; i++)
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    return NULL;
}

const struct source *source_of_component(const char *id)
{
    for (size_t i = 0; i < SOURCES; i++)
        if (strcmp(sources[i].component, id) == 0)
            return &sources[i];
    return NULL;
}

size_t source_n_fields(const struct source *s)
{
    size_t n = 0;
    while (s->fields[n].name)
        n++;
    return n;
}

size_t source_columns(const struct source *s, const char *ret_columns[SOURCE_COLUMNS_MAX + 1])
{
    size_t n = 0;
    if (s->n_keys)
        ret_columns[n++] = "row_id";
    for (const struct source_field *f = s->fields; f->name; f++)
        ret_columns[n++] = f->column ? f->column : f->name;
    if (s->kind)
        ret_columns[n++] = "kind";
    ret_columns[n++] = "origin";
    ret_columns[n] = NULL;
    return n;
}

size_t source_cell(const struct source *s, size_t field)
{
    return field + (s->n_keys != 0);
}

/* ---- a value ----------------------------------------------------------------------------------------------------- */

static const char *number_fault(const struct source_field *f, double value)
{
    return value < f->least ? "is too small" : value > f->most ? "is too large" : NULL;
}

/* A text as it is, or in small letters; no longer than the column. */
static const char *read_text(const struct source_field *f, const char *text, size_t len, char small[72], cvm_cell *cell)
{
    size_t most = f->most > 0 ? (size_t)f->most : 64; /* of a word what `small` has room for */
    if (len > most)
        return "is too long";
    *cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = text, .len = len};
    if (f->kind != KIND_WORD)
        return NULL;
    for (size_t i = 0; i < len; i++)
        small[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 32) : text[i];
    small[len] = 0;
    cell->text = small;
    return NULL;
}

static void put_small(cvm_cell *cell, const char *small)
{
    *cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = small, .len = strlen(small)};
}

/* NULL, or why not. */
static const char *read_value(const struct source_field *f, const char *text, size_t len, char small[72],
                              cvm_cell *cell)
{
    int64_t n;
    bool yes;
    switch (f->kind) {
    case KIND_ID:
        *cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = text, .len = len};
        return value_is_id(text, len) ? NULL : "must be 1 to 64 characters without blanks";
    case KIND_TEXT:
    case KIND_WORD:
    case KIND_LIST:
        return read_text(f, text, len, small, cell);
    case KIND_INT:
        cell->kind = CVM_CELL_INT;
        return value_int(text, len, &cell->i) ? number_fault(f, (double)cell->i) : "is no whole number";
    case KIND_REAL:
        cell->kind = CVM_CELL_REAL;
        return value_real(text, len, &cell->r) ? number_fault(f, cell->r) : "is no number";
    case KIND_SWITCH:
        if (!value_bool(text, len, &yes))
            return "is neither yes nor no";
        *cell = (cvm_cell){.kind = CVM_CELL_INT, .i = yes};
        return NULL;
    case KIND_DATE:
        if (!value_date(text, len, small))
            return "is no date";
        put_small(cell, small);
        return NULL;
    case KIND_MONTH:
        if (!value_month(text, len, small))
            return "is no month";
        put_small(cell, small);
        return NULL;
    case KIND_TIME:
        if (!value_time(text, len, small, &n))
            return "is no point in time";
        put_small(cell, small);
        return NULL;
    }
    return "is of no known kind";
}

/* ---- a row ------------------------------------------------------------------------------------------------------- */

/* "U124 2026-10": sorts as the ids do, for an id holds no blank and nothing that sorts before it. */
static bool make_key(const struct source *s, const cvm_cell *fields, char key[SOURCE_KEY_MAX + 1], size_t *ret_len)
{
    size_t at = 0;
    for (size_t k = 0; k < s->n_keys; k++) {
        const cvm_cell *cell = &fields[s->keys[k]];
        size_t len = cell->kind == CVM_CELL_TEXT ? cell->len : 0;
        if (at + len + 1 > SOURCE_KEY_MAX)
            return false;
        if (k)
            key[at++] = ' ';
        if (len)
            memcpy(key + at, cell->text, len);
        at += len;
    }
    key[at] = 0;
    *ret_len = at;
    return true;
}

int source_read(const struct source *s, const struct csv_field *values, const char *origin, struct source_row *ret_row,
                char *ret_fault, size_t size)
{
    struct source_row *row = ret_row;
    cvm_cell *fields = row->cells + (s->n_keys != 0);
    size_t n = source_n_fields(s);
    for (size_t i = 0; i < n; i++) {
        const struct source_field *f = &s->fields[i];
        const char *text = values[i].text, *fault = NULL;
        size_t len = text ? values[i].len : 0;
        if (text)
            value_trim(&text, &len);
        fields[i] = (cvm_cell){.kind = CVM_CELL_NULL};
        if (len)
            fault = read_value(f, text, len, row->small[i], &fields[i]);
        else if (f->required)
            fault = "is missing";
        if (fault) {
            snprintf(ret_fault, size, "%s: %s", f->name, fault);
            return CVM_EINVAL;
        }
    }
    if (s->n_keys) {
        size_t len;
        if (!make_key(s, fields, row->key, &len)) {
            snprintf(ret_fault, size, "%s: is too long", s->fields[s->keys[s->n_keys - 1]].name);
            return CVM_EINVAL;
        }
        row->cells[0] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = row->key, .len = len};
    }
    row->n = n + (s->n_keys != 0);
    if (s->kind)
        row->cells[row->n++] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = s->kind, .len = strlen(s->kind)};
    row->cells[row->n++] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = origin, .len = strlen(origin)};
    return 0;
}

/* ---- from JSON and by header ------------------------------------------------------------------------------------- */

/* A value as the text that a CSV file would have; gives a string, NULL: missing. */
static json_t *text_of(const json_t *value)
{
    char number[40];
    if (json_is_string(value))
        return json_incref((json_t *)(uintptr_t)value);
    if (json_is_boolean(value))
        return json_string(json_is_true(value) ? "1" : "0");
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return json_string(number);
    }
    if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return json_string(number);
    }
    if (json_is_array(value) || json_is_object(value)) {
        char *text = json_dumps(value, JSON_COMPACT);
        json_t *string = json_string(text);
        free(text);
        return string;
    }
    return json_null();
}

json_t *source_values(const struct source *s, const char *customer_id, const json_t *object,
                      struct csv_field ret_values[SOURCE_FIELDS_MAX])
{
    json_t *holder = json_is_object(object) ? json_array() : NULL;
    if (!holder)
        return NULL;
    for (size_t i = 0; s->fields[i].name; i++) {
        json_t *text =
            i == 0 && customer_id ? json_string(customer_id) : text_of(json_object_get(object, s->fields[i].name));
        if (json_array_append_new(holder, text) < 0) {
            json_decref(holder);
            return NULL;
        }
        ret_values[i] = (struct csv_field){json_string_value(text), json_string_length(text)};
    }
    return holder;
}

const struct source *source_of_header(const struct csv *header)
{
    for (size_t i = 0; i < SOURCES; i++) {
        const struct source *s = &sources[i];
        size_t n = 0;
        while (s->form == FORM_CSV && s->fields[n].name && csv_find(header, s->fields[n].name) >= 0)
            n++;
        if (n && !s->fields[n].name && header->n == n)
            return s;
    }
    return NULL;
}
