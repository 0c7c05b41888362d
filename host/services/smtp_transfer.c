/* Owns what a mail needs beside an http_transfer: the envelope, how far the message is out, the server's last answer.
 * The rule that it serves: a mail whose end was not handed to the connection was certainly not taken; one whose end
 * was, without an answer, may have been. Loop thread. */
#include "services/smtp_transfer.h"

#include "core/crash.h"
#include "services/smtp_message.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define REPLY_TEXT_MAX 300

struct smtp_transfer {
    char *from, *user, *password, *ca_file;
    struct curl_slist *to;
    bool tls;                       /* required */
    size_t out;                     /* bytes of the message that libcurl took */
    bool ended;                     /* it knows that there are no more */
    int code;                       /* of the last whole answer of the server; 0: none */
    char reply[REPLY_TEXT_MAX + 1]; /* its last line, without the code */
};

static char *bracketed(const char *address)
{
    size_t size = strlen(address) + 3;
    char *made = malloc(size);
    if (made)
        snprintf(made, size, "<%s>", address);
    return made;
}

static int add_recipient(struct http_transfer *x, const char *address)
{
    char *to = bracketed(address);
    struct curl_slist *grown = to ? x->curl->slist_append(x->mail->to, to) : NULL;
    free(to);
    if (!grown)
        return CVM_ENOMEM;
    x->mail->to = grown;
    return 0;
}

/* This machine itself: what goes there passes no network. */
static bool is_loopback(const char *url)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(url, "://") + 3;
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], host, len) == 0)
            return true;
    return false;
}

const char *smtp_transfer_url_fault(const char *url)
{
    if (strncasecmp(url, "smtp://", 7) != 0 && strncasecmp(url, "smtps://", 8) != 0)
        return "the address of a mail server begins with smtp:// or smtps://";
    if (strchr(url, '@'))
        return "the address of a mail server has no user in it; a user and password are secrets";
    return NULL;
}

static int copy_envelope(struct http_transfer *x, const cvm_mail *mail)
{
    struct smtp_transfer *s = x->mail;
    size_t n = json_is_array(mail->to) ? json_array_size(mail->to) : 1;
    int e = (s->from = bracketed(mail->from)) ? 0 : CVM_ENOMEM;
    for (size_t i = 0; !e && i < n; i++)
        e = add_recipient(x, json_string_value(json_is_array(mail->to) ? json_array_get(mail->to, i) : mail->to));
    if (!e && mail->user && (!(s->user = strdup(mail->user)) || !(s->password = strdup(mail->password))))
        e = CVM_ENOMEM;
    if (!e && mail->ca_file && !(s->ca_file = strdup(mail->ca_file)))
        e = CVM_ENOMEM;
    s->tls = mail->tls == CVM_MAIL_TLS_REQUIRED || mail->user; /* a password never goes as clear text */
    return e;
}

int smtp_transfer_init(struct http_transfer *x, const struct http_request *request)
{
    struct text message;
    json_t *body = request->body ? json_loadb(request->body, request->body_len, 0, NULL) : NULL;
    const char *key = json_string_value(json_object_get(request->headers, CVM_MAIL_KEY_HEADER));
    cvm_mail mail = cvm_mail_of(request->headers, body);
    int e = body && key && !cvm_mail_fault(&mail) ? 0 : CVM_EINVAL;
    text_init(&message, SMTP_MESSAGE_MAX_BYTES);
    x->url = strdup(request->url);
    x->mail = calloc(1, sizeof *x->mail);
    if (!e && (!x->url || !x->mail))
        e = CVM_ENOMEM;
    if (!e)
        smtp_message_make(&mail, key, json_integer_value(json_object_get(body, "date_ms")), &message);
    if (!e && (message.failed || !(x->body = malloc(message.len))))
        e = message.failed ? CVM_ELIMIT : CVM_ENOMEM;
    if (!e) {
        memcpy(x->body, message.at, message.len);
        x->body_len = message.len;
        e = copy_envelope(x, &mail);
    }
    text_free(&message);
    json_decref(body);
    return e;
}

void smtp_transfer_free(struct smtp_transfer *mail, const struct curl_lib *curl)
{
    if (!mail)
        return;
    if (mail->to)
        curl->slist_free_all(mail->to);
    free(mail->from);
    free(mail->user);
    free(mail->password);
    free(mail->ca_file);
    free(mail);
}

/* ---- what libcurl tells ------------------------------------------------------------------------------------------ */

static size_t on_wanted(char *buffer, size_t size, size_t n, void *arg)
{
    struct http_transfer *x = arg;
    size_t left = x->body_len - x->mail->out, len = size * n < left ? size * n : left;
    if (!x->mail->out)
        crash_here(CRASH_FIRST_BYTE_SENT);
    memcpy(buffer, x->body + x->mail->out, len);
    x->mail->out += len;
    x->mail->ended = x->mail->ended || !len; /* now the final dot goes out */
    return len;
}

/* Each line that the server says. An answer is whole with the line that has no "-" after the code. */
static size_t on_reply(char *data, size_t size, size_t n, void *arg)
{
    struct smtp_transfer *s = ((struct http_transfer *)arg)->mail;
    size_t len = size * n, at = 0;
    if (len < 3 || data[0] < '2' || data[0] > '5' || data[1] < '0' || data[1] > '9' || data[2] < '0' || data[2] > '9' ||
        (len > 3 && data[3] == '-'))
        return len;
    s->code = 100 * (data[0] - '0') + 10 * (data[1] - '0') + data[2] - '0';
    for (size_t i = 4; i < len && at < REPLY_TEXT_MAX && data[i] != '\r' && data[i] != '\n'; i++)
        s->reply[at++] = data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '?';
    s->reply[at] = 0;
    return len;
}

static size_t on_nothing(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

void smtp_transfer_arm(struct http_transfer *x, CURL *easy)
{
    const struct curl_lib *curl = x->curl;
    const struct smtp_transfer *s = x->mail;
    bool tls = s->tls && !is_loopback(x->url);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(easy, CURLOPT_USE_SSL, (long)(tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (s->ca_file)
        curl->easy_setopt(easy, CURLOPT_CAINFO, s->ca_file);
    if (s->user) {
        curl->easy_setopt(easy, CURLOPT_USERNAME, s->user);
        curl->easy_setopt(easy, CURLOPT_PASSWORD, s->password);
    }
    curl->easy_setopt(easy, CURLOPT_MAIL_FROM, s->from);
    curl->easy_setopt(easy, CURLOPT_MAIL_RCPT, s->to);
    curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_wanted);
    curl->easy_setopt(easy, CURLOPT_READDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_nothing);
}

/* No setting of the other side passes by itself. */
static bool is_hopeless(CURLcode code)
{
    return code == CURLE_USE_SSL_FAILED || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_LOGIN_DENIED;
}

enum http_fate smtp_transfer_fate(struct http_transfer *x, CURLcode code, long *ret_status)
{
    const struct smtp_transfer *s = x->mail;
    bool late = code == CURLE_OPERATION_TIMEDOUT;
    bool taken = s->ended && s->code >= 200 && s->code < 300;
    bool said_no = s->code >= 400 && !late && code != CURLE_USE_SSL_FAILED;
    if (code == CURLE_OK || taken || said_no) {
        *ret_status = s->code ? s->code : 250;
        free(x->answer);
        x->answer = strdup(s->reply);
        x->answer_len = x->answer ? strlen(x->answer) : 0;
        return HTTP_ANSWERED;
    }
    *ret_status = 0;
    x->hopeless = !s->ended && is_hopeless(code);
    if (code == CURLE_USE_SSL_FAILED)
        snprintf(x->text, sizeof x->text,
                 "the mail server offers no STARTTLS; use smtps://, or set require_tls to false where there is no "
                 "password");
    else
        snprintf(x->text, sizeof x->text, "%s", x->curl->easy_strerror(code));
    return !s->ended ? HTTP_NOT_SENT : late ? HTTP_TIMED_OUT : HTTP_BROKEN;
}
