/* See rows.h. The job's thread. */
#include "rows.h"

#define TOLD_EVERY 10000

int rows_read(cvm_job *j, const char *table, const char *const columns[], json_t *where,
              int (*take)(void *arg, const cvm_cell *cells), void *arg)
{
    const cvm_cell *cells;
    cvm_cursor *c;
    int64_t n = 0;
    int e = cvm_job_open(j, table, columns, where, NULL, &c);
    json_decref(where);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        e = take(arg, cells);
        if (e < 0)
            break;
        if (++n % TOLD_EVERY == 0)
            cvm_job_progress(j, n, 0, table);
    }
    cvm_cursor_close(c);
    return e;
}
