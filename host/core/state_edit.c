/* What an operator may do to a component's state: put one value, delete one key. The host runs it as a turn of that
 * component, in the component's own lane, so it is journalled, durable and in order like any other. Loop thread. */
#include "core/audit.h"
#include "core/internal.h"

#include <cvm/json.h>
#include <string.h>

static const struct manifest_operation operations[] = {{.type = "state.put"}, {.type = "state.delete"}};

int state_edit_init(struct core *core)
{
    for (size_t i = 0; i < 2; i++) {
        const struct name *type = names_intern(core->names, operations[i].type);
        if (!type)
            return CVM_ENOMEM;
        core->state_edit[i] = (struct route_slot){.type = type, .operation = &operations[i], .route = ROUTE_STATE_EDIT};
    }
    return 0;
}

const struct route_slot *state_edit_slot(const struct core *core, const char *type)
{
    for (size_t i = 0; type && i < 2; i++)
        if (strcmp(type, operations[i].type) == 0)
            return &core->state_edit[i];
    return NULL;
}

int state_edit_turn(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    bool put = strcmp(m->type, operations[0].type) == 0;
    const json_t *was = NULL;
    int e = turn_state_get(t, key, &was);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!put && !was)
        return cvm_refuse(t, "NOT_FOUND", "key", "there is no such key in that store");
    json_t *answer = json_pack("{s:s, s:s, s:b}", "store", m->recipient, "key", key, put ? "written" : "deleted", 1);
    if (was)
        json_object_set(answer, "was", (json_t *)(uintptr_t)was);
    e = turn_state_put(t, key, put ? cvm_json_share(json_object_get(m->data, "value")) : NULL);
    if (e < 0) {
        json_decref(answer);
        return e;
    }
    e = cvm_note(t, "edited by the operator", cvm_json_share(answer));
    if (e < 0) {
        json_decref(answer);
        return e;
    }
    e = cvm_reply(t, m, answer);
    if (e == CVM_OK) { /* what and where is in the turn it names; keys may be somebody's number */
        char id[40];
        id_text(m->id, id);
        audit_event(((struct turn *)t)->core, "state.edited",
                    json_pack("{s:s, s:s, s:s, s:s}", "component", m->recipient, "by", "operator", "action", m->type,
                              "message", id));
    }
    return e;
}
