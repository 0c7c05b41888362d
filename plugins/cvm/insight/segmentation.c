/* cvm.segmentation: starts the job that gives customers their segments, keeps its summary (state `summary`), answers
 * questions. Loop thread. */
#include "insight.h"
#include "kmeans.h"

#include <stdio.h>
#include <strings.h>

#define TABLE "cvm_segments"

int segment_on_assign(cvm_turn *t, const cvm_msg *m)
{
    int64_t k = cvm_json_int(m->data, "k", 0);
    if (json_object_get(m->data, "k") && (k < 1 || k > KMEANS_MAX))
        return cvm_refuse(t, "INVALID", "k", "k must be 1 to 20");
    if (k && strcmp(cvm_json_str(m->data, "scheme", "rules"), "kmeans") != 0)
        return cvm_refuse(t, "INVALID", "k", "k is of the scheme kmeans: --scheme kmeans --k 5");
    CVM_TRY(cvm_job_start(t, "assign_segments", cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

int segment_on_assigned(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome == CVM_REPLIED && json_is_array(json_object_get(m->data, "segments")))
        CVM_TRY(cvm_state_put(t, "summary", cvm_json_share(m->data)));
    return insight_relay(t, m);
}

static int summary_of(cvm_turn *t, const json_t **ret_summary)
{
    *ret_summary = NULL;
    int e = cvm_state_get(t, "summary", ret_summary);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int segment_on_list(cvm_turn *t, const cvm_msg *m)
{
    const json_t *summary;
    CVM_TRY(summary_of(t, &summary));
    return cvm_reply(t, m,
                     summary ? cvm_json_share(summary)
                             : json_pack("{s:[], s:i, s:s}", "segments", "customers", 0, "note",
                                         "no segments yet: cvmhost segment run"));
}

int segment_on_get(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(insight_need(t, m, "customer_id", ID_MAX));
    return insight_ask(t, m, TABLE, "customer_id", cvm_json_str(m->data, "customer_id", ""), NULL);
}

/* A segment by id or name, else a customer. */
int segment_on_show(cvm_turn *t, const cvm_msg *m)
{
    const char *subject = cvm_json_str(m->data, "subject", "");
    const json_t *summary, *one;
    size_t i;
    CVM_TRY(insight_need(t, m, "subject", ID_MAX));
    CVM_TRY(summary_of(t, &summary));
    json_array_foreach(json_object_get(summary, "segments"), i, one)
    {
        if (strcasecmp(cvm_json_str(one, "segment", ""), subject) != 0 &&
            strcasecmp(cvm_json_str(one, "name", ""), subject) != 0)
            continue;
        json_t *answer = json_copy((json_t *)(uintptr_t)one);
        insight_set(&answer, "scheme", json_string(cvm_json_str(summary, "scheme", "")));
        insight_set(&answer, "assigned_at", json_string(cvm_json_str(summary, "assigned_at", "")));
        return answer ? cvm_reply(t, m, answer) : CVM_ENOMEM;
    }
    return insight_ask(t, m, TABLE, "customer_id", subject, NULL);
}

/* A row without what is empty in it. */
static json_t *assigned(const json_t *row)
{
    static const char *const names[] = {"customer_id",     "segment",   "name",        "scheme", "value_band",
                                        "engagement_band", "risk_band", "assigned_at", "run_id"};
    json_t *answer = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_string(json_object_get(row, names[i])))
            insight_set(&answer, names[i], cvm_json_share(json_object_get(row, names[i])));
    return answer;
}

int segment_on_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0);
    int e;
    if (m->outcome != CVM_REPLIED)
        e = cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    else if (row)
        e = cvm_settle(t, m->on_behalf, CVM_REPLIED, assigned(row), NULL);
    else
        e = cvm_settle(t, m->on_behalf, CVM_REFUSED,
                       json_pack("{s:s, s:s}", "code", "NOT_FOUND", "message",
                                 "no such segment, and no customer of that id has one: cvmhost segment list, "
                                 "cvmhost segment run"),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}
