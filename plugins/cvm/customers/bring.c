/* See customers.h: customers that come and go by command. The work is that of jobs (import.c). Loop thread. */
#include "customers.h"

#define IMPORT_TIMEOUT_MS (6 * 3600 * 1000)

int data_import(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_job_start(t, "import", cvm_json_share(m->data), m->id, IMPORT_TIMEOUT_MS));
    return CVM_PENDING;
}

int data_imported(cvm_turn *t, const cvm_msg *m)
{
    cache_clear(NULL);
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    return answer(t, m->on_behalf, json_copy((json_t *)(uintptr_t)m->data));
}

int data_take_scores(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_job_start(t, "scores", cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

int data_clear(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_job_start(t, "clear", NULL, m->id, 0));
    return CVM_PENDING;
}

/* Then the sources are loaded again: what an import had replaced comes back. */
int data_cleared(cvm_turn *t, const cvm_msg *m)
{
    cache_clear(NULL);
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    json_t *body = json_pack("{s:I}", "removed", (json_int_t)cvm_json_int(m->data, "removed", 0));
    return cvm_job_start(t, "load", json_pack("{s:{s:s, s:o}}", "with", "as", "cleared", "data", body), m->on_behalf,
                         0);
}
