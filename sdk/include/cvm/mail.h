/* Mail: a call whose method is MAIL. Since 1.5.
 *
 *     "needs": {"secrets": ["SMTP_USER", "SMTP_PASSWORD"], "hosts": [{"url": "setting:smtp_url", "calls": [
 *         {"name": "send", "method": "MAIL", "unknown": "report"}]}]}
 *
 *     CVM_TRY(cvm_send_mail(t, &(cvm_mail){.size = sizeof(cvm_mail), .name = "send", .from = "desk@example.com",
 *                                          .to = json_string("ada@example.com"), .subject = "Your ticket",
 *                                          .text = "It is done.", .key = "TICK0012"}, NULL));
 *
 * The address is smtp://HOST:PORT or smtps://HOST:PORT. The mail is an effect like any call: it leaves when its turn is
 * durable, one after the other of a conversation and channel, and the answer is a message "<name>.reply":
 *   REPLIED  {"status": 250, "text": "2.0.0 queued as 4XyZ"}: the server has taken it
 *   REFUSED  {"code": "MAIL_REFUSED", "field": null, "message", "status": 550}: the server will never take it
 *   ERROR    {"code": "NOT_SENT", "message"}: it certainly did not leave; a server that is away or says "later" (4xx)
 *            is tried again until the deadline before
 *   UNKNOWN  {"code": "UNKNOWN", "message"}: the connection broke, or the host ended, when the server had the whole
 *            mail and had not answered; only where the manifest says "report". Sent again with the same key it has the
 *            same Message-ID, by which mailboxes know a repeat.
 * The message is made of UTF-8 text: headers are encoded, long lines folded, both bodies go as alternatives. */
#ifndef CVM_CVM_H
#include <cvm/cvm.h>
#endif
#ifndef CVM_MAIL_H
#define CVM_MAIL_H

#define CVM_MAIL_RECIPIENTS_MAX 50           /* of one mail; each sees the others */
#define CVM_MAIL_ADDRESS_MAX 254             /* bytes */
#define CVM_MAIL_NAME_MAX 200                /* bytes of a name beside an address */
#define CVM_MAIL_SUBJECT_MAX 500             /* bytes */
#define CVM_MAIL_TEXT_MAX_BYTES (256 * 1024) /* of each body */
#define CVM_MAIL_METHOD "MAIL"               /* of the call, in the manifest */
#define CVM_MAIL_KEY_HEADER "Message-ID"     /* what the call's key becomes */

/* Whether the connection to the server must be encrypted. smtps:// always is. */
enum cvm_mail_tls {
    CVM_MAIL_TLS_REQUIRED,  /* STARTTLS or no mail; to this machine itself (loopback) as for the other */
    CVM_MAIL_TLS_IF_OFFERED /* STARTTLS where the server offers it */
};

/* A mail. All borrowed but `to`; NULL and 0 mean none, or the usual. */
typedef struct cvm_mail {
    uint32_t size;
    uint32_t tls;     /* enum cvm_mail_tls */
    const char *name; /* of the call in the manifest */
    const char *from, *from_name;
    json_t *to;          /* taken; an address, or an array of up to CVM_MAIL_RECIPIENTS_MAX */
    const char *to_name; /* of the first */
    const char *reply_to;
    const char *subject;
    const char *text, *html;     /* at least one of them */
    const char *user, *password; /* AUTH: "${SMTP_USER}" and "${SMTP_PASSWORD}"; NULL: none */
    const char *ca_file;         /* certificates that are trusted instead of the system's: an absolute path */
    const char *key;             /* what makes a repeat recognisable; NULL: the message id */
    cvm_id on_behalf;
    int64_t timeout_ms;  /* of one attempt; 0 means 30 s */
    int64_t deadline_ms; /* point in time when trying again ends; 0: 5 minutes from now */
} cvm_mail;

static inline bool cvm_mail__line(const char *text, size_t max)
{
    size_t n = 0;
    for (; text && text[n]; n++)
        if (n == max || (unsigned char)text[n] < 0x20 || text[n] == 0x7f)
            return false;
    return true;
}

/* Whether a text is an address that mail goes to: name@example.com, ASCII, nothing quoted (of a domain in other letters
 * its xn-- form). Any thread. */
static inline bool cvm_mail_address(const char *address)
{
    static const char atom[] = "!#$%&'*+-/=?^_`{|}~."; /* RFC 5322, 3.2.3, beside letters and digits */
    const char *at = address ? strrchr(address, '@') : NULL;
    size_t len = address ? strnlen(address, CVM_MAIL_ADDRESS_MAX + 1) : 0;
    if (!at || at == address || at - address > 64 || !at[1] || len > CVM_MAIL_ADDRESS_MAX)
        return false;
    for (const char *c = address; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        bool edge = c == address || c == at + 1 || c + 1 == at || !c[1];
        if (c == at)
            continue;
        if (*c == '.' ? edge || c[1] == '.' : !plain && !(c < at ? strchr(atom, *c) != NULL : *c == '-' && !edge))
            return false;
    }
    return true;
}

/* The name of the first member that no mail may have so: what is no address, a line break or other control character
 * where one line belongs, what is too long, no body. NULL: it is good. Any thread. */
static inline const char *cvm_mail_fault(const cvm_mail *mail)
{
    size_t n = json_is_array(mail->to) ? json_array_size(mail->to) : 1;
    if (!cvm_mail_address(mail->from))
        return "from";
    if (!cvm_mail__line(mail->from_name, CVM_MAIL_NAME_MAX))
        return "from_name";
    if (!n || n > CVM_MAIL_RECIPIENTS_MAX)
        return "to";
    for (size_t i = 0; i < n; i++)
        if (!cvm_mail_address(json_string_value(json_is_array(mail->to) ? json_array_get(mail->to, i) : mail->to)))
            return "to";
    if (!cvm_mail__line(mail->to_name, CVM_MAIL_NAME_MAX))
        return "to_name";
    if (mail->reply_to && !cvm_mail_address(mail->reply_to))
        return "reply_to";
    if (!cvm_mail__line(mail->subject, CVM_MAIL_SUBJECT_MAX))
        return "subject";
    if (!mail->html && (!mail->text || !*mail->text))
        return "text";
    if (mail->text && strnlen(mail->text, CVM_MAIL_TEXT_MAX_BYTES + 1) > CVM_MAIL_TEXT_MAX_BYTES)
        return "text";
    if (mail->html && (!*mail->html || strnlen(mail->html, CVM_MAIL_TEXT_MAX_BYTES + 1) > CVM_MAIL_TEXT_MAX_BYTES))
        return "html";
    if (!mail->user != !mail->password)
        return mail->user ? "password" : "user";
    if (mail->ca_file && (*mail->ca_file != '/' || !cvm_mail__line(mail->ca_file, 1024)))
        return "ca_file";
    return NULL;
}

/* Sends a mail when the turn is kept; see the top. `ret_id` may be NULL. Takes `mail->to`. CVM_EINVAL: what
 * cvm_mail_fault says (the host's log names it), or text that is no UTF-8. CVM_EACCES: the manifest declares no such
 * call (it must be one with the method MAIL). CVM_ENOENT: the setting that holds its address is empty. CVM_ESTATE: in
 * an ephemeral operation. CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_send_mail(cvm_turn *t, const cvm_mail *mail, cvm_id *ret_id)
{
    json_t *to = json_is_string(mail->to) ? json_pack("[O]", mail->to) : json_incref(mail->to);
    json_t *body =
        json_pack("{s:s*, s:s*, s:O*, s:s*, s:s*, s:s*, s:s*, s:s*, s:I}", "from", mail->from, "from_name",
                  mail->from_name, "to", to, "to_name", mail->to_name, "reply_to", mail->reply_to, "subject",
                  mail->subject, "text", mail->text, "html", mail->html, "date_ms", (json_int_t)t->host->now_ms(t));
    json_t *headers = json_pack("{s:s*, s:s*, s:s*, s:s}", "user", mail->user, "password", mail->password, "ca_file",
                                mail->ca_file, "tls", mail->tls == CVM_MAIL_TLS_REQUIRED ? "required" : "if_offered");
    int e = body && headers && mail->size >= sizeof *mail ? CVM_OK : CVM_EINVAL;
    json_decref(to);
    json_decref(mail->to);
    if (e < 0) {
        json_decref(body);
        json_decref(headers);
        return e;
    }
    cvm_call call = {.size = sizeof call,
                     .name = mail->name,
                     .headers = headers,
                     .body = body,
                     .key = mail->key,
                     .on_behalf = mail->on_behalf,
                     .timeout_ms = mail->timeout_ms,
                     .deadline_ms = mail->deadline_ms};
    return t->host->call(t, &call, ret_id);
}

/* The mail that a call with the method MAIL carries, as cvm_send_mail made it; all borrowed. For hosts and tests. */
static inline cvm_mail cvm_mail_of(const json_t *headers, const json_t *body)
{
    const char *tls = json_string_value(json_object_get(headers, "tls"));
    return (cvm_mail){.size = sizeof(cvm_mail),
                      .tls = tls && strcmp(tls, "if_offered") == 0 ? CVM_MAIL_TLS_IF_OFFERED : CVM_MAIL_TLS_REQUIRED,
                      .from = json_string_value(json_object_get(body, "from")),
                      .from_name = json_string_value(json_object_get(body, "from_name")),
                      .to = json_object_get(body, "to"),
                      .to_name = json_string_value(json_object_get(body, "to_name")),
                      .reply_to = json_string_value(json_object_get(body, "reply_to")),
                      .subject = json_string_value(json_object_get(body, "subject")),
                      .text = json_string_value(json_object_get(body, "text")),
                      .html = json_string_value(json_object_get(body, "html")),
                      .user = json_string_value(json_object_get(headers, "user")),
                      .password = json_string_value(json_object_get(headers, "password")),
                      .ca_file = json_string_value(json_object_get(headers, "ca_file"))};
}

#endif
