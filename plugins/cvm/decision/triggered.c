/* Who needs attention, and the same treatment for all of them: the trigger agent finds, then each match is a customer
 * of a batch with a treatment that was named. Loop thread. */
#include "batch.h"

#define FIND_TIMEOUT_MS 600000

/* The trigger agent's own request has no treatment. Gives. */
static json_t *question_of(const json_t *data)
{
    json_t *question = json_copy((json_t *)(uintptr_t)data);
    json_object_del(question, "treatment_id");
    return question;
}

int triggered_find(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, TRIGGER, "trigger_customers", question_of(m->data)));
    return CVM_PENDING;
}

int triggered_apply(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(pending_put(t, m->id, json_pack("{s:s}", "treatment", cvm_json_str(m->data, "treatment_id", ""))));
    CVM_TRY(cvm_request(t, TRIGGER, "trigger_customers", question_of(m->data),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = FIND_TIMEOUT_MS}));
    return CVM_PENDING;
}

int triggered_found(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL, *customers = json_array();
    const json_t *matches = json_object_get(m->data, "matches");
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0) {
        json_decref(customers);
        return e == CVM_ENOENT ? CVM_OK : e;
    }
    for (size_t i = 0; i < json_array_size(matches); i++) {
        json_t *id = json_object_get(json_array_get(matches, i), "customer_id");
        if (json_is_string(id))
            json_array_append(customers, id);
    }
    if (m->outcome != CVM_REPLIED)
        e = cvm_settle(t, m->on_behalf, m->outcome == CVM_REFUSED ? CVM_REFUSED : CVM_ERROR, cvm_json_share(m->data),
                       NULL);
    else
        e = batch_begin(t, m->on_behalf, BATCH_TRIGGERED, json_incref(customers), cvm_json_str(what, "treatment", ""));
    json_decref(customers);
    json_decref(what);
    return e == CVM_PENDING || e == CVM_ENOENT ? CVM_OK : e;
}
