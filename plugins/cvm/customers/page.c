/* Listing customers, page by page in the order of their ids. The job's thread. */
#include "jobs.h"
#include <cvm/json.h>

#define PAGE_MAX_BYTES (CVM_JOB_RESULT_MAX_BYTES / 2)

static const char *const profile[] = {"customer_id",   "segment",  "tenure_months",
                                      "monthly_spend", "currency", "contract_end",
                                      "churn_score",   "origin",   NULL};

static json_t *json_of(const cvm_cell *cell)
{
    return cell->kind == CVM_CELL_TEXT   ? json_stringn(cell->text, cell->len)
           : cell->kind == CVM_CELL_INT  ? json_integer(cell->i)
           : cell->kind == CVM_CELL_REAL ? json_real(cell->r)
                                         : json_null();
}

/* A page being made: ids, and with `rows` what is known in short. */
struct page {
    const char *after;
    int64_t limit, seen;
    size_t bytes;
    char last[FACTS_TEXT_MAX + 1];
    json_t *ids, *rows;
    bool more;
};

static int add(struct page *p, const cvm_cell *cells)
{
    if (strcmp(cells[0].text, p->after) <= 0 || strcmp(cells[0].text, p->last) == 0)
        return 0;
    if ((int64_t)json_array_size(p->ids) == p->limit || p->bytes > PAGE_MAX_BYTES) {
        p->more = true;
        return 0;
    }
    json_t *row = p->rows ? json_object() : NULL;
    for (size_t i = 0; p->rows && profile[i]; i++)
        if (json_object_set_new(row, profile[i], json_of(&cells[i])) < 0)
            return CVM_ENOMEM;
    if ((row && json_array_append_new(p->rows, row) < 0) || json_array_append_new(p->ids, json_of(&cells[0])) < 0)
        return CVM_ENOMEM;
    p->bytes += cells[0].len + (p->rows ? 240 : 8);
    memcpy(p->last, cells[0].text, strnlen(cells[0].text, FACTS_TEXT_MAX) + 1);
    return 0;
}

static int read_page(cvm_job *j, const struct source *s, struct page *p)
{
    static const char *const ids[] = {"customer_id", NULL};
    json_t *where = s && s->kind ? json_pack("{s:s}", "kind", s->kind) : NULL;
    const cvm_cell *cells;
    cvm_cursor *c;
    int e = cvm_job_open(j, s ? s->table : "cvm_customers", s ? ids : profile, where,
                         s && s->n_keys ? "customer_id" : NULL, &c);
    if (!e) {
        while (!p->more && (e = cvm_cursor_next(c, &cells)) > 0 && (e = add(p, cells)) == 0)
            ;
        cvm_cursor_close(c);
    }
    json_decref(where);
    return e < 0 ? e : 0;
}

int page_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const struct source *s = source_find(cvm_json_str(input, "source", ""));
    struct page p = {.after = cvm_json_str(input, "after", ""),
                     .limit = cvm_json_int(input, "limit", 1000),
                     .ids = json_array(),
                     .rows = s ? NULL : json_array()};
    int e = !p.ids || (!s && !p.rows) ? CVM_ENOMEM : s && !s->of_customers ? 0 : read_page(j, s, &p);
    if (!e)
        *ret_result = json_pack("{s:s, s:O, s:O*, s:b, s:o*, s:O?}", "status", "success", "customer_ids", p.ids,
                                "customers", p.rows, "more", p.more, "next", p.more ? json_string(p.last) : NULL,
                                "with", json_object_get(input, "with"));
    json_decref(p.ids);
    json_decref(p.rows);
    return e < 0 ? e : *ret_result ? CVM_OK : CVM_ENOMEM;
}
