/* E-mail by SMTP: checks what is to be written, makes the mail of it; the host sends it, common/deliver.c does what
 * every channel does. Loop thread. */
#include "../common/deliver.h"

#define ID "channel.email"

static const char *set(const json_t *settings, const char *name)
{
    const char *value = cvm_json_str(settings, name, "");
    return *value ? value : NULL;
}

static const char *given(const json_t *data, const char *name)
{
    return set(data, name);
}

/* The mail that a request asks for; borrowed, but `to` is the request's. */
static cvm_mail mail_of(cvm_turn *t, const json_t *data)
{
    const json_t *settings = cvm_settings(t);
    bool login = channel_has_secret(t, "SMTP_USER") && channel_has_secret(t, "SMTP_PASSWORD");
    return (cvm_mail){.size = sizeof(cvm_mail),
                      .name = "send",
                      .tls = cvm_json_bool(settings, "require_tls", true) ? CVM_MAIL_TLS_REQUIRED
                                                                          : CVM_MAIL_TLS_IF_OFFERED,
                      .from = set(settings, "from"),
                      .from_name = set(settings, "from_name"),
                      .to = json_object_get(data, "to"),
                      .to_name = given(data, "to_name"),
                      .reply_to = given(data, "reply_to"),
                      .subject = given(data, "subject"),
                      .text = given(data, "text"),
                      .html = given(data, "html"),
                      .user = login ? "${SMTP_USER}" : NULL,
                      .password = login ? "${SMTP_PASSWORD}" : NULL,
                      .ca_file = set(settings, "ca_file"),
                      .key = given(data, "reference"),
                      .timeout_ms = cvm_json_int(settings, "timeout_ms", 30000)};
}

static int send(cvm_turn *t, cvm_id cookie, const json_t *data, int64_t until_ms)
{
    cvm_mail mail = mail_of(t, data);
    json_incref(mail.to);
    mail.on_behalf = cookie;
    mail.deadline_ms = until_ms;
    return cvm_send_mail(t, &mail, NULL);
}

static int check_settings(cvm_turn *t)
{
    const json_t *settings = cvm_settings(t);
    if (!set(settings, "smtp_url"))
        return cvm_refuse(t, "NOT_CONFIGURED", NULL, "No mail server is set: channel.email's setting smtp_url.");
    if (!cvm_mail_address(set(settings, "from")))
        return cvm_refuse(t, "NOT_CONFIGURED", NULL, "The sender is no address: channel.email's setting from.");
    return CVM_OK;
}

static int deliver(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(check_settings(t));
    if (given(m->data, "sealed_code"))
        return cvm_refuse(t, "SEALED", "sealed_code", "This channel opens no sealed codes.");
    cvm_mail mail = mail_of(t, m->data);
    const char *fault = cvm_mail_fault(&mail);
    if (fault && (!strcmp(fault, "from_name") || !strcmp(fault, "ca_file")))
        return cvm_refuse(t, "NOT_CONFIGURED", NULL, "channel.email's setting from_name or ca_file is not good.");
    if (fault)
        return cvm_refuse(t, "INVALID", fault,
                          !strcmp(fault, "to") || !strcmp(fault, "reply_to")
                              ? "This is no e-mail address. Write it like name@example.com."
                          : !strcmp(fault, "text") || !strcmp(fault, "html")
                              ? "A mail needs a text, of at most 256 KiB."
                              : "This must be one line, without line breaks and control characters, and not too long.");
    return channel_deliver(t, m, send);
}

static int sent(cvm_turn *t, const cvm_msg *m)
{
    switch (m->outcome) {
    case CVM_REPLIED:
        return channel_sent(t, m, cvm_json_str(m->data, "text", ""));
    case CVM_REFUSED:
        return channel_failed(t, m, CVM_REFUSED, cvm_json_str(m->data, "code", "MAIL_REFUSED"),
                              cvm_json_str(m->data, "message", ""));
    case CVM_UNKNOWN:
        return channel_unknown(t, m);
    default:
        return channel_failed(t, m, CVM_ERROR, cvm_json_str(m->data, "code", "NOT_SENT"),
                              cvm_json_str(m->data, "message", ""));
    }
}

static int again(cvm_turn *t, const cvm_msg *m)
{
    return channel_again(t, m, send);
}

static const cvm_component components[] = {{.id = ID, .state_version = 1}, {0}};
static const cvm_route routes[] = {{ID, "deliver", deliver}, {ID, "send.reply", sent}, {ID, "again", again}, {0}};

CVM_PLUGIN(.name = "email", .version = "1.0.0", .components = components, .routes = routes);
