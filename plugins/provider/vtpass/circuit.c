/* What is not tried for a while: everything after a fault of our set-up, all sales while our account is empty, a
 * service that its biller does not answer for. After the time the next order tries. Owns the state keys circuit/<scope>
 * and fails/<service>. Loop thread. */
#include "vtpass.h"

#include <stdio.h>

#define FAILS_MAX 3

static void scope_key(const char *kind, const char *scope, char key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(key, CVM_STATE_KEY_MAX + 1, "%s/%.64s", kind, scope);
}

int vt_circuit_check(cvm_turn *t, const cvm_msg *m, const char *service)
{
    const char *const scopes[] = {VT_ALL, VT_FLOAT, service};
    (void)m;
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        char key[CVM_STATE_KEY_MAX + 1];
        const json_t *open = NULL;
        scope_key("circuit", scopes[i], key);
        int e = cvm_state_get(t, key, &open);
        if (e < 0 && e != CVM_ENOENT)
            return e;
        if (cvm_json_int(open, "until_ms", 0) > cvm_now_ms(t))
            return cvm_refuse_with(
                t, vt_failure(cvm_json_str(open, "error_code", "UNKNOWN"), cvm_json_str(open, "message", "")));
    }
    return CVM_OK;
}

int vt_alert(cvm_turn *t, const char *code, const char *scope, const char *message)
{
    cvm_log(t, CVM_LOG_ERROR, "VTpass answers %.16s (%.64s): %.200s", *code ? code : "nothing", scope, message);
    return cvm_publish(
        t, "provider.alert",
        json_pack("{s:s, s:s, s:s, s:s}", "provider", "vtpass", "code", code, "scope", scope, "message", message));
}

int vt_circuit_open(cvm_turn *t, const char *scope, const char *code, const char *error_code, const char *message)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *settings = cvm_settings(t);
    int64_t wait_s = cvm_json_int(settings, strcmp(scope, VT_FLOAT) == 0 ? "float_wait_s" : "circuit_s", 60);
    scope_key("circuit", scope, key);
    CVM_TRY(cvm_state_put(t, key,
                          json_pack("{s:I, s:s, s:s}", "until_ms", (json_int_t)(cvm_now_ms(t) + wait_s * 1000),
                                    "error_code", error_code, "message", message)));
    return vt_alert(t, code, strcmp(scope, VT_FLOAT) == 0 ? "float_low" : scope, message);
}

int vt_circuit_count(cvm_turn *t, const char *service, const char *code)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t n = 0;
    scope_key("fails", service, key);
    CVM_TRY(cvm_state_int(t, key, &n));
    if (++n < FAILS_MAX)
        return cvm_state_put_int(t, key, n);
    CVM_TRY(cvm_state_del(t, key));
    return vt_circuit_open(t, service, code, "NETWORK_ERROR", "The biller cannot be reached");
}

int vt_circuit_good(cvm_turn *t, const char *service)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t n = 0;
    scope_key("fails", service, key);
    CVM_TRY(cvm_state_int(t, key, &n));
    return n ? cvm_state_del(t, key) : CVM_OK;
}
