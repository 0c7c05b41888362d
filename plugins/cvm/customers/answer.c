/* See customers.h: how requests are answered in whatever turn that is. Loop thread. */
#include "customers.h"

int answer_refused(cvm_turn *t, cvm_id request, const char *code, const char *field, const char *message)
{
    return cvm_settle(
        t, request, CVM_REFUSED,
        json_pack("{s:s, s:s, s:s*, s:s}", "status", "error", "code", code, "field", field, "message", message),
        message);
}

int answer_failed(cvm_turn *t, cvm_id request, const cvm_msg *m)
{
    static const char *const reasons[] = {"NOT_FOUND", "BAD_FILE", "BAD_MAPPING", "NO_MAPPING", "BAD_VALUE"};
    const char *code = cvm_json_str(m->data, "code", "");
    const char *text = cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", m->content));
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i], code) == 0)
            return answer_refused(t, request, code, NULL, text);
    return cvm_settle(t, request, m->outcome == CVM_REPLIED ? CVM_ERROR : m->outcome,
                      json_pack("{s:s, s:s, s:s}", "status", "error", "code", *code ? code : "UNAVAILABLE", "message",
                                *text ? text : "the customer data are not available"),
                      NULL);
}

int answer(cvm_turn *t, cvm_id request, json_t *body)
{
    if (body)
        json_object_set_new(body, "status", json_string("success"));
    int e = body ? cvm_settle(t, request, CVM_REPLIED, body, NULL) : CVM_ENOMEM;
    return e == CVM_ENOENT ? CVM_OK : e; /* nobody waits any more */
}
