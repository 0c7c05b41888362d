/* What became of each request for a unit. Owns the table cvm_allocations; a job reads it, as its filters are more than
 * equality. Loop thread; the job on a thread of its own. */
#include "treatments.h"

#include <stdio.h>

#define ROWS_DEFAULT 100
#define ROWS_MAX 2000

int history_put(cvm_turn *t, const cvm_msg *m, const struct event *event, char ret_id[CVM_SHORT_ID_SIZE])
{
    char at[MOMENT_SIZE], day[ZONE_DAY_SIZE];
    struct zone z = allocation_zone(t);
    const char *by = event->by ? event->by : cvm_json_str(m->data, "requested_by", m->sender);
    CVM_TRY(cvm_new_id(t, "ALC", ret_id));
    return cvm_row_put(t, "cvm_allocations",
                       json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:o, s:I, s:s, s:s*, s:s}", "allocation_id",
                                 ret_id, "allocated_at", moment_text(cvm_now_ms(t), at), "at_ms",
                                 (json_int_t)cvm_now_ms(t), "day", zone_day(&z, cvm_now_ms(t), day), "treatment_key",
                                 event->treatment, "customer_id", event->customer, "outcome", event->outcome,
                                 "remaining", event->remaining < 0 ? json_null() : json_integer(event->remaining),
                                 "cost", (json_int_t)event->cost, "requested_by", *by ? by : "operator", "reason",
                                 event->reason, "conversation", m->conversation));
}

/* ---- asking ---- */

static int put_moment(json_t *input, const cvm_msg *m, const char *name)
{
    const char *text = cvm_json_str(m->data, name, "");
    int64_t ms;
    if (!*text)
        return CVM_OK;
    if (!moment_parse(text, &ms))
        return CVM_EINVAL;
    return json_object_set_new(input, name, json_integer(ms));
}

int history_get(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[] = {"customer_id", "treatment_key"};
    json_t *input =
        json_pack("{s:I, s:{}}", "limit", (json_int_t)cvm_json_int(m->data, "limit", ROWS_DEFAULT), "where");
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(m->data, filters[i]))
            json_object_set(json_object_get(input, "where"), filters[i], json_object_get(m->data, filters[i]));
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "to" : "from";
        if (put_moment(input, m, name) < 0) {
            json_decref(input);
            return cvm_refuse(t, "INVALID", name, "Write it like 2026-03-29 or 2026-03-29T08:00:00Z (UTC).");
        }
    }
    CVM_TRY(cvm_job_start(t, "history", input, m->id, 0));
    return CVM_PENDING;
}

int history_got(cvm_turn *t, const cvm_msg *m)
{
    int e =
        m->outcome == CVM_REPLIED
            ? cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(m->data), NULL)
            : cvm_settle(t, m->on_behalf, CVM_ERROR,
                         json_pack("{s:s, s:s}", "code", "HISTORY", "message", "The history could not be read."), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- reading ---- */

enum column { ID, AT, AT_MS, DAY, TREATMENT, CUSTOMER, OUTCOME, REMAINING, COST, BY, REASON };

static json_t *row_of(const cvm_cell *c)
{
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "allocated_at", c[AT].text, "treatment_key", c[TREATMENT].text,
        "customer_id", c[CUSTOMER].text, "outcome", c[OUTCOME].text, "remaining",
        c[REMAINING].kind == CVM_CELL_NULL ? json_null() : json_integer(c[REMAINING].i), "cost_per_contact_pounds",
        cvm_money_to_json(c[COST].i), "requested_by", c[BY].text, "day", c[DAY].text, "allocation_id", c[ID].text);
    if (row && c[REASON].kind == CVM_CELL_TEXT)
        json_object_set_new(row, "reason", json_string(c[REASON].text));
    return row;
}

int history_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const columns[] = {"allocation_id", "allocated_at", "at_ms",   "day",
                                          "treatment_key", "customer_id",  "outcome", "remaining",
                                          "cost",          "requested_by", "reason",  NULL};
    int64_t from = cvm_json_int(input, "from", INT64_MIN), to = cvm_json_int(input, "to", INT64_MAX);
    size_t limit = (size_t)cvm_json_int(input, "limit", ROWS_DEFAULT);
    const json_t *where = json_object_get(input, "where");
    const cvm_cell *cells;
    cvm_cursor *cursor = NULL;
    json_t *rows;
    bool more = false;
    int e;
    limit = limit > ROWS_MAX ? ROWS_MAX : limit;
    CVM_TRY(cvm_job_open(j, "cvm_allocations", columns, json_object_size(where) ? where : NULL, "-at_ms", &cursor));
    rows = json_array();
    while ((e = cvm_cursor_next(cursor, &cells)) > 0 && cells[AT_MS].i >= from && !more) {
        if (cells[AT_MS].i >= to)
            continue;
        if (json_array_size(rows) == limit)
            more = true;
        else
            json_array_append_new(rows, row_of(cells));
    }
    cvm_cursor_close(cursor);
    if (e < 0) {
        json_decref(rows);
        return e;
    }
    *ret_result = json_pack("{s:o, s:b}", "history", rows, "more", more);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}
