/* From which mean monthly spend a customer is of high value, where the operator does not say: a fifth of all customers
 * spend as much. A job counts, at the start and when its result is old. Owns the state keys bar -> {"minor",
 * "customers"} and bar_at -> when it was asked for. Loop thread; the job on a thread of its own. */
#include "treatments.h"

#include <stdlib.h>

#define OLD_MS INT64_C(600000)
#define CUSTOMERS_MIN 20      /* of fewer no fifth is taken */
#define CUSTOMERS_MAX 4000000 /* that are looked at */

int bar_start(cvm_turn *t)
{
    int64_t at;
    CVM_TRY(cvm_state_int(t, "bar_at", &at));
    if (at && cvm_now_ms(t) - at < OLD_MS)
        return CVM_OK;
    CVM_TRY(cvm_job_start(t, "bar", NULL, (cvm_id){0, 0}, 0));
    return cvm_state_put_int(t, "bar_at", cvm_now_ms(t));
}

int bar_counted(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return CVM_OK; /* what was known stays */
    return cvm_state_put(t, "bar", cvm_json_share(m->data));
}

bool bar_get(cvm_turn *t, int64_t *ret_minor)
{
    const json_t *own = json_object_get(cvm_settings(t), "high_value_pounds"), *bar = NULL;
    if (json_is_number(own))
        return cvm_money_from_json(own, ret_minor) >= 0;
    if (cvm_state_get(t, "bar", &bar) < 0 || !json_is_integer(json_object_get(bar, "minor")))
        return false;
    *ret_minor = cvm_json_int(bar, "minor", 0);
    return true;
}

/* ---- the job ---- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_spends(cvm_job *j, int64_t **ret_spends, size_t *ret_n)
{
    static const char *const columns[] = {"monthly_spend", NULL};
    const cvm_cell *cells;
    cvm_cursor *cursor = NULL;
    int64_t *spends = NULL;
    size_t n = 0, room = 0;
    int e = cvm_job_open(j, "cvm_customers", columns, NULL, NULL, &cursor);
    if (e == CVM_ENOENT) /* nobody brings customers */
        return CVM_OK;
    CVM_TRY(e);
    while (n < CUSTOMERS_MAX && (e = cvm_cursor_next(cursor, &cells)) > 0) {
        if (cells[0].kind == CVM_CELL_NULL)
            continue;
        if (n == room) {
            int64_t *more = realloc(spends, (room = room ? 2 * room : 4096) * sizeof *spends);
            if (!more) {
                e = CVM_ENOMEM;
                break;
            }
            spends = more;
        }
        spends[n++] = cells[0].i;
    }
    cvm_cursor_close(cursor);
    if (e < 0) {
        free(spends);
        return e;
    }
    *ret_spends = spends;
    *ret_n = n;
    return CVM_OK;
}

int bar_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    int64_t *spends = NULL;
    size_t n = 0;
    (void)input;
    CVM_TRY(read_spends(j, &spends, &n));
    if (n >= CUSTOMERS_MIN) {
        qsort(spends, n, sizeof *spends, by_size);
        *ret_result = json_pack("{s:I, s:I}", "minor", (json_int_t)spends[n - n / 5], "customers", (json_int_t)n);
    } else {
        *ret_result = json_pack("{s:n, s:I}", "minor", "customers", (json_int_t)n);
    }
    free(spends);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}
