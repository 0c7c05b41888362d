/* provider.telemetry.otlp: carries the host's figures to a collector of OpenTelemetry. Keeps nothing: the host says
 * when and what, and how long to leave the collector alone is part of the answer. Loop thread. */
#include "otlp.h"

#include "../common/retry_after.h"

#include <inttypes.h>
#include <stdio.h>

#define OTLP "provider.telemetry.otlp"
#define SECRET "TELEMETRY_TOKEN"

static json_t *headers_of(cvm_turn *t)
{
    const char *token, *name = cvm_json_str(cvm_settings(t), "token_header", "Authorization");
    const char *before = cvm_json_str(cvm_settings(t), "token_prefix", "Bearer ");
    char value[128];
    json_t *headers = json_object();
    if (*name && cvm_secret(t, SECRET, &token) == CVM_OK) {
        snprintf(value, sizeof value, "%.60s${" SECRET "}", before);
        json_object_set_new(headers, name, json_string(value));
    }
    return headers;
}

static int export(cvm_turn *t, const cvm_msg *m)
{
    const json_t *settings = cvm_settings(t);
    int64_t timeout = cvm_json_int(settings, "timeout_ms", 10000);
    json_t *body = otlp_metrics(m->data, cvm_json_str(settings, "service_name", "cvmhost"),
                                json_object_get(settings, "attributes"));
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = "metrics",
                                      .headers = headers_of(t),
                                      .body = body,
                                      .on_behalf = m->id,
                                      .timeout_ms = timeout,
                                      .deadline_ms = cvm_now_ms(t) + timeout},
                          NULL);
    if (e == CVM_ENOENT)
        return cvm_reply(t, m, json_pack("{s:b, s:s}", "exported", 0, "reason", "the setting endpoint is empty"));
    CVM_TRY(e);
    return CVM_PENDING;
}

static int exported(cvm_turn *t, const cvm_msg *m)
{
    int64_t status = cvm_json_int(m->data, "status", 0), wait = 0;
    const json_t *headers = json_object_get(m->data, "headers");
    const char *retry = cvm_json_str(headers, "retry-after", "");
    char reason[256] = "";
    if (m->outcome != CVM_REPLIED)
        snprintf(reason, sizeof reason, "the collector cannot be reached: %.180s",
                 cvm_json_str(m->data, "message", m->outcome == CVM_TIMEOUT ? "no answer in time" : "no reason"));
    else if (status == 401 || status == 403)
        snprintf(reason, sizeof reason,
                 "the collector refuses us (HTTP %" PRId64 "): the secret " SECRET " is not set or not the right one",
                 status);
    else if (status == 404)
        snprintf(reason, sizeof reason, "nobody takes metrics there (HTTP 404): look at the setting endpoint");
    else if (status < 200 || status >= 300)
        snprintf(reason, sizeof reason, "the collector answered HTTP %" PRId64, status);
    if (*retry && (status == 429 || status == 502 || status == 503 || status == 504))
        wait = (retry_after_ms(retry, 1000, cvm_now_ms(t)) + 999) / 1000;
    int e = cvm_settle(
        t, m->on_behalf, CVM_REPLIED,
        json_pack("{s:b, s:s, s:I}", "exported", !*reason, "reason", reason, "retry_after_s", (json_int_t)wait), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static const cvm_component components[] = {{.id = OTLP, .state_version = 1}, {0}};

static const cvm_route routes[] = {{OTLP, "export", export}, {OTLP, "metrics.reply", exported}, {0}};

CVM_PLUGIN(.name = "telemetry", .version = "1.0.0", .components = components, .routes = routes);
