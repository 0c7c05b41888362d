/* See customers.h: one question to each table after the other. What was found so far travels with the question, so that
 * nothing is lost or kept when the build changes in between. Loop thread. */
#include "customers.h"

#include <stdio.h>

#define TEXTS_MAX_BYTES 400000 /* of all transcripts in one answer */

/* The questions in their order. */
static const struct step {
    const char *member; /* of customer_data */
    int source;         /* enum source_no; -1: a table of our own */
    const char *table, *order;
    int64_t limit;
    bool single; /* one row, an object */
} steps[] = {
    {"facts", -1, "cvm_customers", NULL, 1, true},
    {"demographics", SOURCE_DEMOGRAPHICS, NULL, NULL, 1, true},
    {"usage", SOURCE_USAGE, NULL, "-month", 36, false},
    {"network", SOURCE_NETWORK, NULL, "-day", 90, false},
    {"billing", SOURCE_BILLING, NULL, NULL, 1, true},
    {"campaigns", SOURCE_CAMPAIGNS, NULL, "-sent_at", 100, false},
    {"recommender", SOURCE_RECOMMENDER, NULL, NULL, 100, false},
    {"call_transcripts", SOURCE_CALLS, NULL, "-started_at", 100, false},
    {"web_transcripts", SOURCE_CHATS, NULL, "-started_at", 100, false},
    {"permissions", SOURCE_PERMISSIONS, NULL, NULL, 1, true},
    {"warnings", -1, "cvm_sources", NULL, 100, false},
};
#define STEPS (sizeof steps / sizeof *steps)

/* ---- rows as they are answered ----------------------------------------------------------------------------------- */

static json_t *value_of(const struct source *s, const struct source_field *f, const json_t *row)
{
    json_t *value = json_object_get(row, f->column ? f->column : f->name);
    if (f->kind == KIND_LIST && json_is_string(value)) {
        json_t *list = json_loads(json_string_value(value), 0, NULL);
        return list ? list : json_array();
    }
    if (s == &sources[SOURCE_PERMISSIONS] && f->kind == KIND_SWITCH)
        return json_boolean(json_integer_value(value) == 1);
    return value ? json_incref(value) : json_null();
}

json_t *gather_records(const struct source *s, const json_t *rows)
{
    json_t *records = json_array();
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        json_t *record = json_object();
        for (const struct source_field *f = s->fields; f->name; f++)
            json_object_set_new(record, f->name, value_of(s, f, row));
        json_array_append_new(records, record);
    }
    return records;
}

static void add_sentence(json_t *list, const char *file, const json_t *warning)
{
    char text[400];
    const char *field = cvm_json_str(warning, "field", "");
    long long line = (long long)cvm_json_int(warning, "line", 0);
    if (line)
        snprintf(text, sizeof text, "%s:%lld: %s%s%s", file, line, field, *field ? ": " : "",
                 cvm_json_str(warning, "message", ""));
    else
        snprintf(text, sizeof text, "%s: %s", file, cvm_json_str(warning, "message", ""));
    json_array_append_new(list, json_string(text));
}

json_t *gather_warnings(const struct source *s, const json_t *rows)
{
    json_t *list = json_array();
    const json_t *row, *one;
    size_t i, n;
    json_array_foreach(rows, i, row)
    {
        const char *source = cvm_json_str(row, "source", ""), *file = cvm_json_str(row, "file", "");
        const struct source *known = source_find(source);
        json_t *warnings = json_loads(cvm_json_str(row, "warnings", "[]"), 0, NULL);
        long long skipped = (long long)cvm_json_int(row, "skipped", 0);
        if (known && (s ? s == known : known->of_customers)) {
            const char *slash = strrchr(file, '/');
            char text[200];
            snprintf(text, sizeof text, "%s: %lld of %lld rows were left out", source, skipped,
                     skipped + (long long)cvm_json_int(row, "rows", 0));
            if (skipped)
                json_array_append_new(list, json_string(text));
            json_array_foreach(warnings, n, one)
            {
                if (n < 20)
                    add_sentence(list, slash ? slash + 1 : file, one);
            }
        }
        json_decref(warnings);
    }
    return list;
}

/* The newest first, as they were asked for, to the oldest first; no more text than an answer may have. */
static json_t *in_time(const struct step *step, const json_t *rows, bool *ret_cut)
{
    json_t *turned = json_array();
    size_t bytes = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        bytes += json_string_length(json_object_get(row, "text"));
        if (bytes > TEXTS_MAX_BYTES / 2) {
            *ret_cut = true;
            break;
        }
        if (step->order)
            json_array_insert(turned, 0, row);
        else
            json_array_append(turned, row);
    }
    return turned;
}

/* The figures, with the attributes as an object. */
static json_t *facts_of(const json_t *rows)
{
    json_t *row = json_copy(json_array_get(rows, 0));
    json_t *attributes = json_loads(cvm_json_str(row, "attributes", "{}"), 0, NULL);
    json_object_set_new(row, "attributes", attributes ? attributes : json_object());
    json_object_del(row, "origin");
    json_object_del(row, "key_id");
    return row;
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

static bool is_wanted(const json_t *with, const struct step *step)
{
    const json_t *names = json_object_get(json_object_get(with, "request"), "sources"), *name;
    size_t i;
    if (!names || strcmp(cvm_json_str(with, "as", ""), "get") != 0)
        return true;
    json_array_foreach(names, i, name)
    {
        if (json_is_string(name) && strcmp(json_string_value(name), step->member) == 0)
            return true;
    }
    return false;
}

static int ask(cvm_turn *t, cvm_id request, size_t at, json_t *with)
{
    const struct step *step = &steps[at];
    const struct source *s = step->source < 0 ? NULL : &sources[step->source];
    json_t *where = at == STEPS - 1 ? NULL : json_pack("{s:O}", "customer_id", json_object_get(with, "customer_id"));
    if (s && s->kind)
        json_object_set_new(where, "kind", json_string(s->kind));
    json_object_set_new(with, "step", json_integer((json_int_t)at));
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = s ? s->table : step->table,
                                   .where = where,
                                   .order_by = step->order,
                                   .limit = step->limit,
                                   .on_behalf = request,
                                   .with = with});
}

int gather_begin(cvm_turn *t, cvm_id request, const char *as, const json_t *data)
{
    CVM_TRY(ask(t, request, 0,
                json_pack("{s:s, s:O, s:O, s:{}, s:[]}", "as", as, "customer_id", json_object_get(data, "customer_id"),
                          "request", data, "data", "warnings")));
    return CVM_PENDING;
}

/* A new `with` that has what the step found; the one that came is shared. */
static json_t *taken(const json_t *old, const struct step *step, const json_t *rows)
{
    json_t *with = json_copy((json_t *)(uintptr_t)old), *data = json_copy(json_object_get(old, "data"));
    json_t *found = NULL;
    bool cut = false;
    json_object_set_new(with, "data", data);
    if (step == &steps[0]) {
        found = facts_of(rows);
        json_object_set(data, "attributes", json_object_get(found, "attributes"));
    } else if (step->source < 0) {
        json_t *warnings = gather_warnings(NULL, rows);
        json_array_extend(warnings, json_object_get(old, "warnings"));
        json_object_set_new(with, "warnings", warnings);
        return with;
    } else {
        json_t *turned = in_time(step, rows, &cut), *records = gather_records(&sources[step->source], turned);
        found = step->single ? json_incref(json_array_get(records, 0)) : json_incref(records);
        json_decref(records);
        json_decref(turned);
    }
    json_object_set_new(data, step->member, found ? found : json_object());
    if (cut) {
        char text[80];
        snprintf(text, sizeof text, "%s: only the newest are shown", step->member);
        json_object_set_new(with, "warnings", json_copy(json_object_get(old, "warnings")));
        json_array_append_new(json_object_get(with, "warnings"), json_string(text));
    }
    return with;
}

/* Who came by an import has permissions with the figures; who has none at all may not be contacted. `data` is ours,
 * what is in it came with messages. */
static void complete(json_t *data)
{
    const json_t *permissions = json_object_get(data, "permissions"), *facts = json_object_get(data, "facts");
    const struct source *s = &sources[SOURCE_PERMISSIONS];
    if (!permissions || json_object_size(permissions))
        return;
    json_t *made = json_object();
    for (const struct source_field *f = s->fields + 1; f->name; f++)
        json_object_set_new(made, f->name, json_boolean(cvm_json_int(facts, f->name, 0) == 1));
    json_object_set_new(data, "permissions", made);
}

int gather_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *old = json_object_get(m->data, "with"), *rows = json_object_get(m->data, "rows");
    size_t at = (size_t)cvm_json_int(old, "step", 0);
    if (m->outcome != CVM_REPLIED || at >= STEPS)
        return answer_failed(t, m->on_behalf, m);
    if (strcmp(cvm_json_str(old, "as", ""), "sources") == 0)
        return data_gathered(t, m->on_behalf, old, rows);
    if (at == 0 && json_array_size(rows) == 0)
        return answer_refused(t, m->on_behalf, "CUSTOMER_NOT_FOUND", "customer_id", "there is no customer of this id");
    json_t *with = taken(old, &steps[at], rows);
    if (!with)
        return CVM_ENOMEM;
    do
        at++;
    while (at < STEPS && !is_wanted(with, &steps[at]) && at < STEPS - 1);
    if (at < STEPS)
        return ask(t, m->on_behalf, at, with);
    complete(json_object_get(with, "data"));
    json_t *found = json_pack("{s:O, s:O}", "customer_data", json_object_get(with, "data"), "warnings",
                              json_object_get(with, "warnings"));
    int e = data_gathered(t, m->on_behalf, with, found);
    json_decref(found);
    json_decref(with);
    return e;
}
