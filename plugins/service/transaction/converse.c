/* The step of a conversation: executes the order that a seller put into its message. A message of anyone else holds no
 * order, whatever it says: what customers send is never executed as one. Loop thread. */
#include "transaction.h"

/* The same order again in one conversation (a reworked answer) is the same purchase. */
static void order_key(const cvm_msg *m, const json_t *order, char ret_key[TXN_IDEMPOTENCY_MAX + 1])
{
    const char *service = cvm_json_str(order, "service_type", ""), *to = cvm_json_str(order, "recipient", "");
    const char *network = cvm_json_str(order, "network_or_disco", "");
    snprintf(ret_key, TXN_IDEMPOTENCY_MAX + 1, "%.*s|%.*s|%.*s|%.*s|%lld", clip(m->conversation, 48), m->conversation,
             clip(service, 12), service, clip(network, 16), network, clip(to, 24), to,
             (long long)cvm_json_int(order, "amount_kobo", 0));
}

int converse_handle(cvm_turn *t, const cvm_msg *m)
{
    const json_t *message = json_object_get(m->data, "message");
    const json_t *order = json_object_get(json_object_get(message, "structured_data"), "order");
    const char *from = cvm_json_str(message, "from", "");
    const char *seller = json_is_object(order) ? saga_seller(t, from) : NULL;
    if (!seller) { /* nothing to execute: what was said so far stands */
        CVM_TRY(cvm_note(t, "decision",
                         json_pack("{s:s, s:s}", "chose", "no purchase", "because",
                                   order ? "the order is not a seller's" : "no order")));
        return cvm_reply(t, m,
                         json_pack("{s:s, s:{}, s:s, s:b}", "content", cvm_json_str(message, "content", ""),
                                   "structured_data", "next", "service.qa", "end", 0));
    }
    char key[TXN_IDEMPOTENCY_MAX + 1];
    order_key(m, order, key);
    struct order o = {.seller = seller, .idempotency_key = key, .body = order, .asker = ASKER_HANDLE};
    return saga_begin(t, m, &o);
}
