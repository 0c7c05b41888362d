/* `outbox list`: messages to customers, the newest first. A one-time code stands sealed in its row; it is opened for
 * who may look, as long as no gateway took it. Changes nothing. Loop thread. */
#include "operations.h"

#include "../common/seal.h"

int outbox_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const names[] = {"notification_id", "customer_id", "enquiry_id", "transaction_id",
                                        "status",          "template",    "channel"};
    json_t *where = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*cvm_json_str(m->data, names[i], ""))
            json_object_set(where, names[i], json_object_get(m->data, names[i]));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "outbox",
                                    .where = where,
                                    .order_by = "-created_at",
                                    .limit = cvm_json_int(m->data, "limit", 50),
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

static void show_code(cvm_turn *t, json_t *row)
{
    const char *key = NULL, *text = cvm_json_str(row, "text", ""), *place = strstr(text, "{code}");
    char code[SEAL_CODE_SIZE], whole[MESSAGE_MAX + 8];
    if (place && !strcmp(cvm_json_str(row, "status", ""), "written") && cvm_secret(t, "OTP_KEY", &key) == CVM_OK &&
        seal_open(t, key, cvm_json_str(row, "challenge_id", ""), cvm_json_int(row, "number", 0),
                  cvm_json_str(row, "sealed_code", ""), code) == CVM_OK) {
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)(place - text), text, code, place + strlen("{code}"));
        json_object_set_new(row, "text", json_string(whole));
    }
    json_object_del(row, "sealed_code");
    json_object_del(row, "key_id");
}

int outbox_listed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows"), *row;
    size_t i;
    if (m->outcome != CVM_REPLIED)
        return ops_pass(t, m);
    json_t *list = json_array();
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_t *copy = json_copy((json_t *)(uintptr_t)row);
        show_code(t, copy);
        json_array_append_new(list, copy);
    }
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:o, s:O?}", "outbox", list, "more", json_object_get(m->data, "more")), NULL);
}
