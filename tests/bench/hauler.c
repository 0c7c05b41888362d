/* bench.hauler: rows of 20 columns into a table and out of it, by jobs. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>

#define COLUMNS 20

static const char *const columns[COLUMNS + 1] = {"id", "i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7", "r0", "r1",
                                                 "r2", "r3", "r4", "r5", "r6", "t0", "t1", "t2", "t3", NULL};

static int load(cvm_job *j, const json_t *input, json_t **ret_result)
{
    int64_t rows = cvm_json_int(input, "rows", 0);
    cvm_cell cells[COLUMNS];
    cvm_loader *l;
    char id[24];
    (void)ret_result;
    for (int k = 1; k < 16; k++)
        cells[k] = k < 9 ? (cvm_cell){.kind = CVM_CELL_INT} : (cvm_cell){.kind = CVM_CELL_REAL, .r = k * 1.5};
    for (int k = 16; k < COLUMNS; k++)
        cells[k] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = "month-to-month", .len = 14};
    CVM_TRY(cvm_job_loader(j, "loads", columns, &l));
    for (int64_t i = 0; i < rows; i++) {
        cells[0] = (cvm_cell){
            .kind = CVM_CELL_TEXT, .text = id, .len = (size_t)snprintf(id, sizeof id, "CUST-%09lld", (long long)i)};
        for (int k = 1; k < 9; k++)
            cells[k].i = i * k;
        CVM_TRY(cvm_loader_put(l, cells));
    }
    return cvm_loader_close(l);
}

static int read_all(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const cvm_cell *cells;
    int64_t rows = 0, sum = 0;
    cvm_cursor *c;
    int e;
    (void)input;
    CVM_TRY(cvm_job_open(j, "loads", columns, NULL, NULL, &c));
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        rows++;
        for (int k = 0; k < COLUMNS; k++)
            sum += cells[k].i + (int64_t)cells[k].len;
    }
    cvm_cursor_close(c);
    *ret_result = json_pack("{s:I, s:I}", "rows", (json_int_t)rows, "sum", (json_int_t)sum);
    return e;
}

static int haul(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_job_start(t, cvm_json_str(m->data, "job", ""), cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

static int hauled(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
}

static const cvm_job_entry jobs[] = {{"load", load}, {"read", read_all}, {0}};
static const cvm_component components[] = {{.id = "bench.hauler", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"bench.hauler", "haul", haul},
                                   {"bench.hauler", "load.reply", hauled},
                                   {"bench.hauler", "read.reply", hauled},
                                   {0}};
CVM_PLUGIN(.name = "hauler", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
