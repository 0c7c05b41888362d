/* Slack by incoming webhook: writes a message in Slack's form and reads its answers; common/deliver.c does what every
 * channel does. A webhook has its own place in Slack, so `to` is shown and chooses nothing. Loop thread. */
#include "../../common/text.h"
#include "../common/deliver.h"

#include <stdio.h>
#include <stdlib.h>

#define ID "channel.slack"
#define HEADER_MAX 150 /* characters that Slack takes; we count bytes */
#define SECTION_MAX 3000
#define TEXT_MAX 2900 /* of ours in a section, once escaped */
#define RETRY_MAX_S 3600

/* ---- Slack's form -------------------------------------------------------------------------------------------------
 */

/* With & < > as Slack wants them, as much of it as fits; never half a character. Gives the bytes written. */
static size_t escape(const char *text, char *out, size_t size)
{
    size_t n = 0;
    while (*text) {
        const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        size_t bytes = 1, width;
        while (((unsigned char)text[bytes] & 0xc0) == 0x80)
            bytes++;
        width = as ? strlen(as) : bytes;
        if (n + width >= size)
            break;
        memcpy(out + n, as ? as : text, width);
        n += width;
        text += bytes;
    }
    out[n] = 0;
    return n;
}

static json_t *plain(const char *text)
{
    return json_pack("{s:s, s:s}", "type", "plain_text", "text", text);
}

static json_t *button(const char *url)
{
    return json_pack("{s:s, s:[{s:s, s:o, s:s, s:s}]}", "type", "actions", "elements", "type", "button", "text",
                     plain("Review and approve"), "url", url, "style", "primary");
}

static json_t *body_of(const json_t *data)
{
    char header[HEADER_MAX + 1], text[TEXT_MAX + 1], end[CHANNEL_REFERENCE_MAX * 5 + 1],
        whole[TEXT_MAX + HEADER_MAX + 8];
    const char *subject = cvm_json_str(data, "subject", ""), *link = cvm_json_str(data, "link", "");
    json_t *blocks = json_array();
    escape(cvm_json_str(data, "text", ""), text, sizeof text);
    escape(subject, header, sizeof header);
    snprintf(whole, sizeof whole, "%s%s%s", header, *header ? "\n" : "", text);
    if (*header) /* plain text is escaped too */
        json_array_append_new(blocks, json_pack("{s:s, s:o}", "type", "header", "text", plain(header)));
    json_array_append_new(blocks, json_pack("{s:s, s:{s:s, s:s}}", "type", "section", "text", "type", "mrkdwn", "text",
                                            *text ? text : " "));
    if (*link)
        json_array_append_new(blocks, button(link));
    escape(cvm_json_str(data, "reference", ""), end, sizeof end);
    json_array_append_new(
        blocks, json_pack("{s:s, s:[{s:s, s:s}]}", "type", "context", "elements", "type", "mrkdwn", "text", end));
    return json_pack("{s:s, s:o}", "text", whole, "blocks", blocks);
}

/* ---- the channel --------------------------------------------------------------------------------------------------
 */

static bool by_setting(cvm_turn *t)
{
    return *cvm_json_str(cvm_settings(t), "webhook_url", "");
}

static int send(cvm_turn *t, cvm_id cookie, const json_t *data, int64_t until_ms)
{
    return cvm_http_call(t,
                         &(cvm_call){.size = sizeof(cvm_call),
                                     .name = by_setting(t) ? "post" : "post_secret",
                                     .body = body_of(data),
                                     .key = cvm_json_str(data, "reference", NULL),
                                     .on_behalf = cookie,
                                     .deadline_ms = until_ms,
                                     .timeout_ms = cvm_json_int(cvm_settings(t), "timeout_ms", 15000)},
                         NULL);
}

static bool is_link(const char *link)
{
    return !strncmp(link, "https://", 8) || !strncmp(link, "http://", 7);
}

static int deliver(cvm_turn *t, const cvm_msg *m)
{
    const char *link = cvm_json_str(m->data, "link", "");
    if (!by_setting(t) && !channel_has_secret(t, "SLACK_WEBHOOK_URL"))
        return cvm_refuse(t, "NOT_CONFIGURED", NULL,
                          "No webhook is set: the secret SLACK_WEBHOOK_URL, or channel.slack's setting webhook_url.");
    if (*cvm_json_str(m->data, "sealed_code", ""))
        return cvm_refuse(t, "SEALED", "sealed_code", "This channel opens no sealed codes.");
    if (*link && !is_link(link))
        return cvm_refuse(t, "INVALID", "link", "A link begins with https:// or http://.");
    return channel_deliver(t, m, send);
}

/* "Retry-After: 30"; 0: it says nothing. */
static int64_t retry_after_ms(const json_t *data)
{
    const char *text = cvm_json_str(json_object_get(data, "headers"), "retry-after", "");
    char *end = NULL;
    long seconds = strtol(text, &end, 10);
    if (end == text || seconds < 0)
        return 0;
    return (seconds > RETRY_MAX_S ? RETRY_MAX_S : seconds < 1 ? 1 : seconds) * INT64_C(1000);
}

static int answered(cvm_turn *t, const cvm_msg *m)
{
    char why[300];
    int64_t status = cvm_json_int(m->data, "status", 0);
    const char *text = cvm_json_str(m->data, "text", "");
    snprintf(why, sizeof why, "Slack answered %d %.*s", (int)status, text_cut(text, 200), text);
    if (status == 429)
        return channel_later(t, m, retry_after_ms(m->data), why);
    if (status >= 300 && status < 500)
        return channel_failed(t, m, CVM_REFUSED, "SLACK_REFUSED", why);
    if (status != 200 || strcmp(text, "ok"))
        return channel_unknown(t, m); /* somebody answered, and not in Slack's words */
    return channel_sent(t, m, "");
}

static int posted(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome == CVM_REPLIED)
        return answered(t, m);
    if (m->outcome == CVM_ERROR)
        return channel_later(t, m, 0, cvm_json_str(m->data, "message", "Slack cannot be reached."));
    return channel_unknown(t, m);
}

static int again(cvm_turn *t, const cvm_msg *m)
{
    return channel_again(t, m, send);
}

static const cvm_component components[] = {{.id = ID, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {ID, "deliver", deliver}, {ID, "post.reply", posted}, {ID, "post_secret.reply", posted}, {ID, "again", again}, {0}};

CVM_PLUGIN(.name = "slack", .version = "1.0.0", .components = components, .routes = routes);
