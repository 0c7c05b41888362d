/* Looking enquiries up: `enquiry list` and `enquiry show`. Reads the table `enquiries`; with steps or context asked
 * for, reads the conversation's context in the conversation itself. Changes nothing. Loop thread. */
#include "service.h"

int lookup_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[][2] = {{"enquiry_id", "enquiry_id"},
                                             {"customer_id", "customer_id"},
                                             {"session_id", "session_id"},
                                             {"status", "resolution_status"},
                                             {"service_domain", "service_domain"}};
    return service_list(t, m, "enquiries", filters, sizeof filters / sizeof *filters);
}

int lookup_listed(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    return cvm_settle(
        t, m->on_behalf, CVM_REPLIED,
        json_pack("{s:o, s:O?}", "enquiries",
                  service_rows(json_object_get(m->data, "rows"), (const char *const[]){"agents_involved"}, 1), "more",
                  json_object_get(m->data, "more")),
        NULL);
}

int lookup_show(cvm_turn *t, const cvm_msg *m)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    bool steps = cvm_json_bool(m->data, "steps", false), context = cvm_json_bool(m->data, "context", false);
    if (steps || context) {
        cvm_out out = {.size = sizeof out,
                       .kind = CVM_OUT_FORWARD,
                       .to = SERVICE_DESK,
                       .type = "read_enquiry",
                       .data = json_pack("{s:s, s:b, s:b}", "enquiry_id", enquiry, "steps", steps, "context", context),
                       .conversation = enquiry,
                       .request = m->id,
                       .priority = -1};
        CVM_TRY(t->host->emit(t, &out, NULL));
        return CVM_PENDING;
    }
    CVM_TRY(cvm_request(t, SERVICE_DESK, "list_enquiries", json_pack("{s:s, s:i}", "enquiry_id", enquiry, "limit", 1),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int lookup_shown(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    const json_t *row = json_array_get(json_object_get(m->data, "enquiries"), 0);
    if (!row)
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "enquiry_id", "message",
                                    "There is no enquiry with this id."),
                          NULL);
    json_t *body = json_copy((json_t *)(uintptr_t)row);
    json_object_set(body, "status", json_object_get(row, "resolution_status"));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
}

/* What each agent did; with QAAgent's step the scores it gave. */
static void show_steps(json_t *body, const json_t *context)
{
    const json_t *steps = json_object_get(context, "processing_steps"), *review = json_object_get(context, "review"),
                 *step;
    json_t *shown = json_array();
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)steps, i, step)
    {
        json_t *copy = json_copy((json_t *)(uintptr_t)step);
        if (review && !strcmp(cvm_json_str(step, "agent", ""), "QAAgent")) {
            json_object_set(copy, "scores", json_object_get(review, "scores"));
            json_object_set(copy, "mean", json_object_get(review, "mean"));
            json_object_set(copy, "approved", json_object_get(review, "approved"));
        }
        json_array_append_new(shown, copy);
    }
    json_object_set_new(body, "processing_steps", shown);
    if (review)
        json_object_set_new(body, "review", cvm_json_share(review));
    if (json_object_get(context, "rating"))
        json_object_set(body, "rating", json_object_get(context, "rating"));
}

/* In the enquiry's own conversation. */
int lookup_context(cvm_turn *t, const cvm_msg *m)
{
    static const char *const names[] = {"enquiry_id",     "customer_id",     "session_id",     "channel",
                                        "service_domain", "intent",          "priority",       "sentiment",
                                        "final_response", "agents_involved", "transaction_id", "handoff_id",
                                        "created_at",     "sla_deadline",    "rounds"};
    const json_t *context = cvm_context(t);
    if (!json_object_get(context, "enquiry_id"))
        return cvm_refuse(t, "NOT_FOUND", "enquiry_id", "There is no enquiry with this id.");
    json_t *body = json_object();
    json_object_set(body, "status", json_object_get(context, "resolution_status"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(context, names[i]))
            json_object_set(body, names[i], json_object_get(context, names[i]));
    json_object_set(body, "original_message", json_object_get(context, "message"));
    if (cvm_json_bool(m->data, "steps", false))
        show_steps(body, context);
    if (cvm_json_bool(m->data, "context", false))
        json_object_set_new(body, "context", cvm_json_share(context));
    return cvm_reply(t, m, body);
}
