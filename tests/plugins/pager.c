/* Plays the component that sends messages to customers: keeps the last one of each customer, and shows it with the code
 * that was sealed in it, as a telephone would. */
#include "../../plugins/service/common/seal.h"
#include <cvm/json.h>

static int notify(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "last/%.64s", cvm_json_str(m->data, "customer_id", ""));
    return cvm_state_put(t, key, cvm_json_share(m->data));
}

static int shown(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1], code[SEAL_CODE_SIZE] = "";
    const char *secret = NULL;
    const json_t *last = NULL;
    snprintf(key, sizeof key, "last/%.64s", cvm_json_str(m->data, "customer_id", ""));
    int e = cvm_state_get(t, key, &last);
    if (e < 0)
        return e == CVM_ENOENT ? cvm_refuse(t, "NOT_FOUND", "customer_id", "nothing was sent") : e;
    json_t *body = json_copy((json_t *)(uintptr_t)last);
    if (json_object_get(last, "sealed_code") && cvm_secret(t, "OTP_KEY", &secret) == CVM_OK &&
        seal_open(t, secret, cvm_json_str(last, "challenge_id", ""), cvm_json_int(last, "number", 0),
                  cvm_json_str(last, "sealed_code", ""), code) == CVM_OK)
        json_object_set_new(body, "code", json_string(code));
    return cvm_reply(t, m, body);
}

static const cvm_component components[] = {{.id = "service.notification", .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {"service.notification", "notify", notify}, {"service.notification", "shown", shown}, {0}};

CVM_PLUGIN(.name = "pager", .version = "1.0.0", .components = components, .routes = routes);
