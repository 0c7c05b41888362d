/* Answers "state.put" and "state.delete": one value of a component's state, changed by the operator in a turn of that
 * component. Loop thread. */
#include "services/control_private.h"

#include "core/json_text.h"
#include <stdio.h>

static void edited(void *arg, const struct edge_reply *reply)
{
    struct exchange *x = arg;
    x->message = (cvm_id){0, 0};
    if (reply->outcome == CVM_REPLIED) {
        control__answer(x, reply->data ? cvm_json_share(reply->data) : json_object());
        return;
    }
    const char *code = cvm_json_str(reply->data, "code", "");
    control__fail(x, strcmp(code, "NOT_FOUND") == 0 ? CVM_ENOENT : CVM_ESTATE, cvm_json_str(reply->data, "field", ""),
                  "%s", cvm_json_str(reply->data, "message", "the value was not changed"));
}

/* Answers and ends the exchange where something is wrong with the request. */
static bool check(struct exchange *x, const json_t *request, bool put)
{
    const json_t *key = json_object_get(request, "key"), *value = json_object_get(request, "value");
    size_t len = json_is_string(key) ? json_string_length(key) : 0;
    if (!json_is_string(json_object_get(request, "store")))
        control__fail(x, CVM_EINVAL, "store", "store: expected the id or alias of a component");
    else if (len == 0 || strlen(json_string_value(key)) != len)
        control__fail(x, CVM_EINVAL, "key", "key: expected a text that is not empty");
    else if (len > CVM_STATE_KEY_MAX)
        control__fail(x, CVM_ELIMIT, "key", "key: at most %d bytes, got %zu", CVM_STATE_KEY_MAX, len);
    else if (json_string_value(key)[0] == '.')
        control__fail(x, CVM_EACCES, "key", "key: those that begin with \".\" are the host's own");
    else if (put && !value)
        control__fail(x, CVM_EINVAL, "value", "value: is missing");
    else if (put && json_text_size(value, CVM_STATE_VALUE_MAX_BYTES) > CVM_STATE_VALUE_MAX_BYTES)
        control__fail(x, CVM_ELIMIT, "value", "value: at most %d bytes of JSON", CVM_STATE_VALUE_MAX_BYTES);
    else
        return true;
    return false;
}

void control__edit(struct exchange *x, const char *what, const json_t *request)
{
    if (!check(x, request, strcmp(what, "state.put") == 0))
        return;
    struct edge_error error = {0};
    struct edge_in in = {.source = "cli",
                         .to = cvm_json_str(request, "store", ""),
                         .type = what,
                         .priority = CVM_HIGH,
                         .edit = true,
                         .data = json_pack("{s:O, s:O*}", "key", json_object_get(request, "key"), "value",
                                           json_object_get(request, "value"))};
    cvm_id id = {0, 0};
    int e = edge_submit(x->core, &in, edited, x, &id, &error);
    if (e == CVM_ENOENT)
        control__fail(x, e, "store", "no component %.100s keeps state here; see: cvmhost state stores", in.to);
    else if (e < 0)
        control__fail(x, e, error.field, "%s", error.text[0] ? error.text : cvm_strerror(e));
    else
        x->message = id;
}
