/* WebhookChannel: delivers texts by an HTTP call to a gateway of yours, and takes what the gateway sends back. Shows an
 * outgoing effect: a secret in a header, the business reference as the key that makes a repeat harmless, and what to do
 * when nobody knows whether the call took effect ("unknown": "repeat" in the manifest: the host sends it again). */
#include <cvm/cvm.h>
#include <cvm/json.h>

/* Operation "deliver". The request stays open until the gateway has answered. */
static int deliver(cvm_turn *t, const cvm_msg *m)
{
    const char *text = cvm_json_str(m->data, "text", "");
    if ((int64_t)strlen(text) > cvm_json_int(cvm_settings(t), "max_bytes", 1600))
        return cvm_refuse(t, "TOO_LONG", "text", "The text is longer than the gateway takes.");
    cvm_call call = {.size = sizeof call,
                     .name = "send",
                     .headers = json_pack("{s:s}", "Authorization", "Bearer ${WEBHOOK_TOKEN}"),
                     .body = json_pack("{s:O, s:O}", "recipient", json_object_get(m->data, "recipient"), "text",
                                       json_object_get(m->data, "text")),
                     .key = cvm_json_str(m->data, "reference", NULL),
                     .on_behalf = m->id,
                     .deadline_ms = m->deadline_ms};
    CVM_TRY(cvm_http_call(t, &call, NULL));
    return CVM_PENDING;
}

static int ended(cvm_turn *t, const cvm_msg *m, int outcome, const char *code, const char *text)
{
    return cvm_settle(t, m->on_behalf, outcome, json_pack("{s:s, s:s}", "code", code, "message", text), NULL);
}

/* "send.reply": every complete HTTP answer is REPLIED, whatever its status says. */
static int sent(cvm_turn *t, const cvm_msg *m)
{
    int64_t status = cvm_json_int(m->data, "status", 0);
    const json_t *body = json_object_get(m->data, "body");
    if (m->outcome == CVM_ERROR)
        return ended(t, m, CVM_ERROR, "UNREACHABLE", "The gateway cannot be reached; nothing was sent.");
    if (m->outcome != CVM_REPLIED)
        return ended(t, m, CVM_UNKNOWN, "UNKNOWN", "The gateway did not say whether it took the text.");
    if (status < 200 || status > 299)
        return ended(t, m, CVM_REFUSED, "REFUSED", "The gateway did not take the text.");
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:s, s:s}", "status", "SENT", "gateway_id", cvm_json_str(body, "id", "")), NULL);
}

/* Operation "receive": what comes in goes to all who subscribe. */
static int receive(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_publish(t, "webhook.received", cvm_json_share(m->data)));
    return cvm_reply(t, m, json_pack("{s:b}", "accepted", 1));
}

static const cvm_component components[] = {{.id = "webhook.channel", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"webhook.channel", "deliver", deliver},
                                   {"webhook.channel", "send.reply", sent},
                                   {"webhook.channel", "receive", receive},
                                   {0}};
CVM_PLUGIN(.name = "webhook", .version = "1.0.0", .components = components, .routes = routes);
