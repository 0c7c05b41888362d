/* The churn model's chances as figures of imported customers, who have no recommender: what decides by churn_score then
 * knows them. Both tables are in the order of their customers. The job's thread. */
#include "jobs.h"
#include <math.h>

static int take(cvm_cursor *customers, cvm_cursor *scores, cvm_loader *loader, int64_t *ret_n)
{
    const cvm_cell *customer, *score;
    int e = 0, more = cvm_cursor_next(scores, &score);
    while (more > 0 && (e = cvm_cursor_next(customers, &customer)) > 0) {
        while (more > 0 && strcmp(score[0].text, customer[0].text) < 0)
            more = cvm_cursor_next(scores, &score);
        if (more <= 0 || strcmp(score[0].text, customer[0].text) != 0)
            continue;
        const cvm_cell chance = {.kind = CVM_CELL_REAL, .r = round(score[1].r * 10000) / 10000};
        if ((e = cvm_loader_put(loader, (const cvm_cell[]){customer[0], chance})) < 0)
            return e;
        ++*ret_n;
    }
    return more < 0 ? more : e < 0 ? e : 0;
}

int scores_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const to[] = {"customer_id", "churn_score", NULL}, *const from[] = {"customer_id", "chance",
                                                                                           NULL};
    json_t *imported = json_pack("{s:s}", "origin", "import");
    cvm_cursor *customers = NULL, *scores = NULL;
    cvm_loader *loader = NULL;
    int64_t n = 0;
    jobs_lock();
    int e = imported ? cvm_job_open(j, "cvm_churn_scores", from, NULL, NULL, &scores) : CVM_ENOMEM;
    if (!e)
        e = cvm_job_open(j, "cvm_customers", to, imported, NULL, &customers);
    if (!e)
        e = cvm_job_loader(j, "cvm_customers", to, &loader);
    if (!e)
        e = take(customers, scores, loader, &n);
    cvm_cursor_close(customers);
    cvm_cursor_close(scores);
    int closed = cvm_loader_close(loader);
    jobs_unlock();
    json_decref(imported);
    if (e || closed)
        return e ? e : closed;
    *ret_result = json_pack("{s:s, s:I, s:O?}", "status", "success", "taken", (json_int_t)n, "with",
                            json_object_get(input, "with"));
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}
