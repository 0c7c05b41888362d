/* What the vendor says by itself. It signs nothing, so its word is a hint only: whoever has the order asks. Owns
 * nothing. Loop thread. */
#include "vtpass.h"

#include "../common/encoding.h"

#include <string.h>

/* Letters and digits only, as in ids we make. */
static bool is_id(const char *text)
{
    size_t n = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-");
    return n > 0 && n <= 64 && !text[n];
}

int vt_webhook(cvm_turn *t, const cvm_msg *m)
{
    size_t len = 0;
    char id[VT_TEXT_SIZE];
    char *raw = base64_read(cvm_json_str(m->data, "body", ""), &len);
    json_t *body = raw ? cvm_json_exact(raw, len) : NULL;
    const char *type = cvm_json_str(body, "type", "");
    int e = CVM_OK, status = 200;
    free(raw);
    if (strcmp(type, "transaction-update") == 0) {
        vt_text(json_object_get(body, "data"), "requestId", id);
        if (is_id(id)) {
            e = cvm_send(t, VT_NETWORK, "transaction_update", json_pack("{s:s}", "request_id", id));
            if (e >= 0)
                e = cvm_send(t, VT_POWER, "transaction_update", json_pack("{s:s}", "request_id", id));
        }
    } else if (strcmp(type, "variations-update") == 0) {
        if (is_id(vt_text(body, "serviceID", id)))
            e = cvm_send(t, VT_NETWORK, "variations_update", json_pack("{s:s}", "service", id));
    } else {
        status = 400;
    }
    json_decref(body);
    CVM_TRY(e);
    return cvm_reply(t, m,
                     json_pack("{s:i, s:s, s:s}", "status", status, "content_type", "application/json", "body",
                               status == 200 ? "{\"response\":\"success\"}" : "{\"response\":\"not understood\"}"));
}
