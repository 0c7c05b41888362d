/* The figures of every customer: one pass over the tables of the sources side by side, as all are in the order of their
 * customers. What was imported as figures stays as it is. The job's thread. */
#include "../common/value.h"
#include "jobs.h"
#include "merge.h"
#include <stdlib.h>

/* The table of transcripts is read once, for both of its sources. */
static const enum source_no merged[] = {SOURCE_USAGE,   SOURCE_RECOMMENDER, SOURCE_CAMPAIGNS,   SOURCE_DEMOGRAPHICS,
                                        SOURCE_NETWORK, SOURCE_CALLS,       SOURCE_PERMISSIONS, SOURCE_BILLING};
#define MERGED (sizeof merged / sizeof *merged)

/* A table being read: the row in hand. */
struct front {
    enum source_no source;
    cvm_cursor *cursor;
    const cvm_cell *cells;
    size_t id, origin; /* cells */
    bool over;
};

struct pass {
    cvm_job *job;
    struct front fronts[MERGED + 1]; /* the last one: imported customers */
    cvm_loader *loader;
    struct merge merge;
    int64_t n;
};

static bool is_imported(const cvm_cell *origin)
{
    return origin->kind == CVM_CELL_TEXT && strcmp(origin->text, "import") == 0;
}

/* The next row of whom it is about; what was imported is of no source. */
static int advance(struct front *f, bool imported)
{
    int e;
    do {
        e = cvm_cursor_next(f->cursor, &f->cells);
    } while (e > 0 && (f->cells[f->id].kind != CVM_CELL_TEXT || is_imported(&f->cells[f->origin]) != imported));
    f->over = e <= 0;
    return e < 0 ? e : 0;
}

static int open_fronts(struct pass *p)
{
    static const char *const customers[] = {"customer_id", "origin", NULL};
    const char *columns[SOURCE_COLUMNS_MAX + 1];
    for (size_t i = 0; i < MERGED; i++) {
        const struct source *s = &sources[merged[i]];
        struct front *f = &p->fronts[i];
        f->source = merged[i];
        f->id = source_cell(s, 0);
        f->origin = source_columns(s, columns) - 1;
        CVM_TRY(cvm_job_open(p->job, s->table, columns, NULL, s->n_keys ? "customer_id" : NULL, &f->cursor));
        CVM_TRY(advance(f, false));
    }
    struct front *last = &p->fronts[MERGED];
    last->origin = 1;
    CVM_TRY(cvm_job_open(p->job, "cvm_customers", customers, NULL, NULL, &last->cursor));
    return advance(last, true);
}

static const char *least_id(const struct pass *p)
{
    const char *least = NULL;
    for (size_t i = 0; i < MERGED; i++) {
        const struct front *f = &p->fronts[i];
        if (!f->over && (!least || strcmp(f->cells[f->id].text, least) < 0))
            least = f->cells[f->id].text;
    }
    return least;
}

static int put(struct pass *p)
{
    const struct cvm_facts *facts = merge_end(&p->merge);
    cvm_cell cells[FACTS_COLUMNS + 1];
    for (int c = 0; c < FACTS_COLUMNS; c++)
        cells[c] = facts_at(facts, (enum facts_column)c);
    cells[FACTS_COLUMNS] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = "file", .len = 4};
    p->n++;
    return cvm_loader_put(p->loader, cells);
}

static int next_customer(struct pass *p, const char *least)
{
    char id[VALUE_ID_MAX + 1] = "";
    struct front *imported = &p->fronts[MERGED];
    memcpy(id, least, strnlen(least, VALUE_ID_MAX));
    merge_begin(&p->merge, id);
    for (size_t i = 0; i < MERGED; i++) {
        struct front *f = &p->fronts[i];
        while (!f->over && strncmp(f->cells[f->id].text, id, VALUE_ID_MAX) == 0) {
            merge_add(&p->merge, f->source, f->cells);
            CVM_TRY(advance(f, false));
        }
    }
    while (!imported->over && strcmp(imported->cells[0].text, id) < 0)
        CVM_TRY(advance(imported, true));
    if (!imported->over && strcmp(imported->cells[0].text, id) == 0)
        return 0;
    return put(p);
}

/* The newest moment that the tables speak of. */
static int newest(struct pass *p, int64_t *ret_ms)
{
    int64_t newest_ms = INT64_MIN, now = cvm_job_now_ms(p->job);
    for (size_t i = 0; i < MERGED; i++) {
        const struct source *s = &sources[merged[i]];
        int field = merge_when(merged[i]), e;
        const cvm_cell *cells;
        cvm_cursor *c;
        if (field < 0)
            continue;
        CVM_TRY(cvm_job_open(p->job, s->table, (const char *const[]){s->fields[field].name, "origin", NULL}, NULL, NULL,
                             &c));
        while ((e = cvm_cursor_next(c, &cells)) > 0) {
            int64_t ms = cells[0].kind == CVM_CELL_TEXT && !is_imported(&cells[1])
                             ? merge_moment(merged[i], cells[0].text)
                             : INT64_MIN;
            if (ms > newest_ms && ms <= now)
                newest_ms = ms;
        }
        cvm_cursor_close(c);
        if (e < 0)
            return e;
    }
    *ret_ms = newest_ms == INT64_MIN ? now : newest_ms;
    return 0;
}

static int run(struct pass *p, const char *as_of)
{
    static const char *columns[FACTS_COLUMNS + 2];
    const char *least;
    int64_t day = value_ms(as_of);
    for (size_t i = 0; i < FACTS_COLUMNS; i++)
        columns[i] = facts_columns[i];
    columns[FACTS_COLUMNS] = "origin";
    if (day != INT64_MIN)
        p->merge.as_of_ms = merge_moment(SOURCE_NETWORK, as_of);
    else
        CVM_TRY(newest(p, &p->merge.as_of_ms));
    CVM_TRY(open_fronts(p));
    CVM_TRY(cvm_job_loader(p->job, "cvm_customers", columns, &p->loader));
    while ((least = least_id(p))) {
        CVM_TRY(next_customer(p, least));
        if (p->n % 1024 == 0)
            cvm_job_progress(p->job, p->n, 0, "customers");
    }
    return 0;
}

int figures_make(cvm_job *j, const char *currency, const char *as_of, int64_t *ret_customers)
{
    json_t *where = json_pack("{s:s}", "origin", "file");
    struct pass *p = calloc(1, sizeof *p);
    int e = CVM_ENOMEM;
    if (!p || !where)
        goto out;
    p->job = j;
    memcpy(p->merge.currency_other, currency, strnlen(currency, sizeof p->merge.currency_other - 1));
    e = cvm_job_clear(j, "cvm_customers", where, NULL);
    if (!e)
        e = run(p, as_of);
    for (size_t i = 0; i <= MERGED; i++)
        cvm_cursor_close(p->fronts[i].cursor);
    int closed = cvm_loader_close(p->loader);
    e = e ? e : closed;
    *ret_customers = p->n;
out:
    json_decref(where);
    free(p);
    return e;
}
