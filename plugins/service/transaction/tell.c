/* Messages to customers, handed to service.notification where it is loaded: what they would not hear otherwise, because
 * nobody waits for the answer any more. Keeps nothing. Loop thread. */
#include "transaction.h"

int tell_customer(cvm_turn *t, const char *customer_id, const char *phone, const char *template, const char *text,
                  json_t *more)
{
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:b}", "customer_id", customer_id, "phone", phone, "template",
                             template, "text", text, "transactional", 1);
    if (data && more)
        json_object_update_missing(data, more);
    json_decref(more);
    if (!data)
        return CVM_ENOMEM;
    if (!component_loaded(t, TELL_COMPONENT)) {
        json_decref(data);
        return CVM_OK;
    }
    int e = cvm_send(t, TELL_COMPONENT, "notify", data);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int tell_ending(cvm_turn *t, const json_t *account, const json_t *record)
{
    char text[1200];
    static const char *const templates[TXN_N] = {
        [TXN_SUCCESS] = "purchase_delivered",   [TXN_REFUNDED] = "purchase_refunded",
        [TXN_CANCELLED] = "purchase_cancelled", [TXN_REFUNDING] = "refund_under_way",
        [TXN_PAYING] = "payment_link",          [TXN_REVIEW] = "purchase_held",
        [TXN_PARKED] = "purchase_delayed"};
    const char *template = templates[record_state(record)];
    if (!template || !component_loaded(t, TELL_COMPONENT))
        return CVM_OK;
    answer_text(record, text, sizeof text);
    return tell_customer(t, record_str(record, "customer_id"), cvm_json_str(account, "phone", ""), template, text,
                         json_pack("{s:s}", "transaction_id", record_str(record, "transaction_id")));
}

/* Topic transaction.ended: for those who count, and for how much customers spend. */
int tell_ended(cvm_turn *t, const json_t *record, enum txn_state to)
{
    return cvm_publish(t, "transaction.ended",
                       json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "transaction_id",
                                 record_str(record, "transaction_id"), "customer_id", record_str(record, "customer_id"),
                                 "service_type", record_str(record, "service_type"), "network_or_disco",
                                 record_str(record, "network_or_disco"), "status", txn_status(to), "total_kobo",
                                 (json_int_t)record_int(record, "total_kobo")));
}
