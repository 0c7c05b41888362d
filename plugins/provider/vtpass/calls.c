/* Set-up, outgoing calls, and how requests end. Loop thread. */
#include "vtpass.h"

#include <stdio.h>

#define STATUS_TIMEOUT_MS 15000

const char *vt_setting(cvm_turn *t, const char *name)
{
    return cvm_json_str(cvm_settings(t), name, "");
}

const char *vt_service(cvm_turn *t, const char *name, const char *kind)
{
    const json_t *services = json_object_get(cvm_settings(t), "services");
    return kind ? cvm_json_str(json_object_get(services, name), kind, "") : cvm_json_str(services, name, "");
}

json_t *vt_failure(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

static bool is_power(const cvm_msg *m)
{
    return strcmp(m->recipient, VT_POWER) == 0;
}

int vt_check_setup(cvm_turn *t, const cvm_msg *m)
{
    static const char *const keys[] = {"VTPASS_API_KEY", "VTPASS_PUBLIC_KEY", "VTPASS_SECRET_KEY"};
    const char *name = cvm_json_str(m->data, is_power(m) ? "disco" : "network", NULL), *secret;
    char text[256] = "";
    if (name && !json_object_get(json_object_get(cvm_settings(t), "services"), name))
        return cvm_refuse_with(t, vt_failure(is_power(m) ? "INVALID_DISCO" : "INVALID_NETWORK",
                                             "VTpass does not sell for it here; see the setting services"));
    if (!*vt_setting(t, "base_url"))
        snprintf(text, sizeof text, "VTpass is not configured: set base_url of %s", m->recipient);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !*text; i++)
        if (cvm_secret(t, keys[i], &secret) < 0)
            snprintf(text, sizeof text, "VTpass is not configured: set the secret %s", keys[i]);
    if (!*text)
        return CVM_OK;
    json_t *body = vt_failure("CONFIGURATION", text);
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

int vt_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e; /* its asker has given up */
}

int vt_settle_unanswered(cvm_turn *t, cvm_id request)
{
    json_t *body = vt_failure("CONNECTION_ERROR", "VTpass did not answer; try again later");
    json_object_set_new(body, "code", json_string("CONNECTION_ERROR"));
    return vt_settle(t, request, CVM_ERROR, body);
}

int vt_ask(cvm_turn *t, const char *call, const char *path, json_t *body, json_t *query, cvm_id on_behalf,
           int64_t timeout_ms)
{
    json_t *headers = json_pack("{s:s, s:s}", "api-key", "${VTPASS_API_KEY}", body ? "secret-key" : "public-key",
                                body ? "${VTPASS_SECRET_KEY}" : "${VTPASS_PUBLIC_KEY}");
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = call,
                                      .path = path,
                                      .query = query,
                                      .headers = headers,
                                      .body = body,
                                      .on_behalf = on_behalf,
                                      .timeout_ms = timeout_ms},
                          NULL);
    json_decref(query);
    return e;
}

int vt_requery(cvm_turn *t, const char *call, const char *request_id, cvm_id on_behalf)
{
    return vt_ask(t, call, "/requery", json_pack("{s:s}", "request_id", request_id), NULL, on_behalf,
                  STATUS_TIMEOUT_MS);
}

const json_t *vt_body(const cvm_msg *reply, int64_t *ret_http_status)
{
    const json_t *body = json_object_get(reply->data, "body");
    *ret_http_status = 0;
    if (reply->outcome != CVM_REPLIED || !json_is_object(body))
        return NULL;
    *ret_http_status = cvm_json_int(reply->data, "status", 0);
    return body;
}
