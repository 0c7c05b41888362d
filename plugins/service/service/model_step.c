/* An agent's step that waits for a language model: the message it works on is kept, and taken up again when the model's
 * answer comes, as if it had come then. Owns the state keys ask/<request>. Loop thread. */
#include "model_step.h"

#define KEPT_MAX_BYTES 50000

bool model_may(cvm_turn *t, const cvm_msg *m)
{
    return *m->conversation && llm_wanted(t) && json_dumpb(m->data, NULL, 0, JSON_COMPACT) <= KEPT_MAX_BYTES;
}

int model_ask(cvm_turn *t, const cvm_msg *m, json_t *found, struct llm_ask *ask)
{
    json_t *kept = json_pack("{s:O, s:o, s:s}", "data", m->data, "found", found, "type", m->type);
    ask->on_behalf = m->id;
    ask->name = service_context_str(t, "customer_name");
    int e = kept ? pending_put(t, m->id, kept) : CVM_ENOMEM;
    if (e < 0) {
        json_decref(ask->schema);
        return e;
    }
    CVM_TRY(llm_ask(t, ask));
    return CVM_PENDING;
}

int model_resume(cvm_turn *t, const cvm_msg *m, model_step step)
{
    json_t *kept = NULL;
    int e = pending_take(t, m->on_behalf, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    cvm_msg again = *m;
    again.id = m->on_behalf;
    again.on_behalf = (cvm_id){0, 0};
    again.type = cvm_json_str(kept, "type", "handle");
    again.data = json_object_get(kept, "data");
    again.outcome = CVM_REPLIED;
    e = step(t, &again, json_object_get(kept, "found"), m);
    json_decref(kept);
    return e == CVM_ENOENT ? CVM_OK : e; /* whoever asked has given up */
}
