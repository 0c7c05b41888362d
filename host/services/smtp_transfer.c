/* Owns what a mail needs beside an http_transfer: the envelope, how far the dialogue is, the server's last answer. The
 * rule that it serves: a mail whose end was not handed to the connection was certainly not taken; one whose end was,
 * without an answer, may have been. Loop thread. */
#include "services/smtp_transfer.h"

#include "core/crash.h"
#include "services/smtp_message.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define REPLY_TEXT_MAX 300
#define REPLY_LINE_MAX 1024 /* RFC 5321, 4.5.3.1.5: 512 */
#define REPLY_LINES_MAX 100
#define COMMAND_MAX 300
#define CHUNK_BYTES 16384

enum smtp_step { STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BODY };

struct smtp_transfer {
    char *from, *user, *password, *ca_file;
    json_t *to;   /* addresses */
    size_t n_to;  /* that the server knows of */
    bool tls;     /* required */
    bool begun;   /* the dialogue */
    bool over;    /* libcurl has said QUIT: what comes now is about that */
    bool broken;  /* the server went, or says what nobody understands */
    bool ended;   /* the end of the message was handed to the connection */
    bool settled; /* its answer has decided */
    enum smtp_step step;
    char command[COMMAND_MAX];
    size_t command_len, sent;  /* bytes of the command, or of the message, that are out */
    bool writing;              /* else it waits for an answer */
    char line[REPLY_LINE_MAX]; /* of an answer, as far as it has come */
    size_t line_len, n_lines;
    curl_socket_t socket;           /* that libcurl waits for; CURL_SOCKET_BAD: none */
    int code;                       /* of the last whole answer; 0: none */
    char reply[REPLY_TEXT_MAX + 1]; /* its last line, without the code */
};

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

static int copy_envelope(struct smtp_transfer *s, const cvm_mail *mail)
{
    s->from = strdup(mail->from);
    s->to = json_is_array(mail->to) ? json_deep_copy(mail->to) : json_pack("[O]", mail->to);
    if (!s->from || !s->to)
        return CVM_ENOMEM;
    if (mail->user && (!(s->user = strdup(mail->user)) || !(s->password = strdup(mail->password))))
        return CVM_ENOMEM;
    if (mail->ca_file && !(s->ca_file = strdup(mail->ca_file)))
        return CVM_ENOMEM;
    s->tls = mail->tls == CVM_MAIL_TLS_REQUIRED || mail->user; /* a password never goes as clear text */
    return 0;
}

/* A line that begins with a dot has another one before it, and a dot alone ends the message (RFC 5321, 4.5.2). Gives.
 */
static char *with_dots(const char *message, size_t len, size_t *ret_len)
{
    char *made = malloc(2 * len + 4);
    size_t n = 0;
    for (size_t i = 0; made && i < len; i++) {
        if (message[i] == '.' && (!i || message[i - 1] == '\n'))
            made[n++] = '.';
        made[n++] = message[i];
    }
    if (made)
        memcpy(made + n, ".\r\n", 3);
    *ret_len = n + 3;
    return made;
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
    if (x->mail)
        x->mail->socket = CURL_SOCKET_BAD;
    if (!e)
        smtp_message_make(&mail, key, json_integer_value(json_object_get(body, "date_ms")), &message);
    if (!e && (message.failed || !(x->body = with_dots(message.at, message.len, &x->body_len))))
        e = message.failed ? CVM_ELIMIT : CVM_ENOMEM;
    if (!e)
        e = copy_envelope(x->mail, &mail);
    text_free(&message);
    json_decref(body);
    return e;
}

void smtp_transfer_free(struct smtp_transfer *mail)
{
    if (!mail)
        return;
    json_decref(mail->to);
    free(mail->from);
    free(mail->user);
    free(mail->password);
    free(mail->ca_file);
    free(mail);
}

/* ---- connecting ----------------------------------------------------------------------------------------------------
 */

/* A line of the server. True: an answer is whole; that is the one without "-" behind the code. */
static bool read_line(struct smtp_transfer *s, const char *line, size_t len)
{
    size_t at = 0;
    if (len < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9' ||
        (len > 3 && line[3] == '-'))
        return false;
    s->code = 100 * (line[0] - '0') + 10 * (line[1] - '0') + line[2] - '0';
    for (size_t i = 4; i < len && at < REPLY_TEXT_MAX && line[i] != '\r' && line[i] != '\n'; i++)
        s->reply[at++] = line[i];
    s->reply[at] = 0;
    for (char *c = s->reply; *c; c++)
        *c = *c >= 0x20 && *c < 0x7f ? *c : '?';
    return true;
}

static size_t on_reply(char *data, size_t size, size_t n, void *arg)
{
    struct smtp_transfer *s = ((struct http_transfer *)arg)->mail;
    if (!s->over)
        read_line(s, data, size * n);
    return size * n;
}

/* libcurl says QUIT where it could not log in, and waits for the answer, and the loop with it. There will be none. */
static int on_said(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    struct smtp_transfer *s = ((struct http_transfer *)arg)->mail;
    (void)easy;
    if (type != CURLINFO_HEADER_OUT || size < 4 || strncmp(data, "QUIT", 4) != 0)
        return 0;
    s->over = true;
    if (s->socket != CURL_SOCKET_BAD)
        shutdown(s->socket, SHUT_RDWR);
    return 0;
}

void smtp_transfer_socket(struct smtp_transfer *s, curl_socket_t socket, bool gone)
{
    if (!gone)
        s->socket = socket;
    else if (s->socket == socket)
        s->socket = CURL_SOCKET_BAD;
}

static size_t on_nothing(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

void smtp_transfer_arm(struct http_transfer *x, CURL *easy, long timeout_ms)
{
    const struct curl_lib *curl = x->curl;
    const struct smtp_transfer *s = x->mail;
    bool tls = s->tls && !is_loopback(x->url);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, timeout_ms / 1000 + 1);
    curl->easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl->easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_said);
    curl->easy_setopt(easy, CURLOPT_DEBUGDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(easy, CURLOPT_USE_SSL, (long)(tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (s->ca_file)
        curl->easy_setopt(easy, CURLOPT_CAINFO, s->ca_file);
    if (s->user) {
        curl->easy_setopt(easy, CURLOPT_USERNAME, s->user);
        curl->easy_setopt(easy, CURLOPT_PASSWORD, s->password);
    }
    curl->easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_nothing);
}

/* ---- the dialogue --------------------------------------------------------------------------------------------------
 */

static void say(struct smtp_transfer *s, enum smtp_step step)
{
    int n = 0;
    s->step = step;
    if (step == STEP_MAIL)
        n = snprintf(s->command, sizeof s->command, "MAIL FROM:<%s>\r\n", s->from);
    else if (step == STEP_RCPT)
        n = snprintf(s->command, sizeof s->command, "RCPT TO:<%s>\r\n",
                     json_string_value(json_array_get(s->to, s->n_to)));
    else if (step == STEP_DATA)
        n = snprintf(s->command, sizeof s->command, "DATA\r\n");
    s->command_len = (size_t)n;
    s->sent = 0;
    s->writing = true;
    s->code = 0;
    s->n_lines = 0;
}

/* Writes what is to be written. False: not now, or not any more. */
static bool talk_write(struct http_transfer *x)
{
    struct smtp_transfer *s = x->mail;
    const char *from = s->step == STEP_BODY ? x->body : s->command;
    size_t len = s->step == STEP_BODY ? x->body_len : s->command_len;
    while (s->sent < len) {
        size_t chunk = len - s->sent < CHUNK_BYTES ? len - s->sent : CHUNK_BYTES, out = 0;
        s->ended = s->ended || (s->step == STEP_BODY && s->sent + chunk == len);
        CURLcode code = x->curl->easy_send(x->easy, from + s->sent, chunk, &out);
        if (code == CURLE_AGAIN)
            return false;
        if (code != CURLE_OK) {
            s->broken = true;
            return false;
        }
        if (s->step == STEP_BODY && !x->first_byte) {
            x->first_byte = true;
            crash_here(CRASH_FIRST_BYTE_SENT);
        }
        s->sent += out;
    }
    s->writing = false;
    return true;
}

/* An answer is whole: what follows from it. */
static void talk_on(struct smtp_transfer *s)
{
    bool good = s->step == STEP_DATA ? s->code / 100 == 3 : s->code / 100 == 2;
    if (!good || s->step == STEP_BODY) {
        s->settled = true;
        s->broken = !good && s->code < 400;
    } else if (s->step == STEP_DATA) {
        say(s, STEP_BODY);
    } else {
        s->n_to += s->step == STEP_RCPT;
        say(s, s->n_to < json_array_size(s->to) ? STEP_RCPT : STEP_DATA);
    }
}

/* Reads what is there, up to the end of an answer. False: not now, or not any more. */
static bool talk_read(struct http_transfer *x)
{
    struct smtp_transfer *s = x->mail;
    for (;;) {
        size_t n = 0;
        CURLcode code = x->curl->easy_recv(x->easy, s->line + s->line_len, 1, &n); /* TLS and kernel have buffers */
        if (code == CURLE_AGAIN)
            return false;
        s->line_len += n;
        if (code != CURLE_OK || !n || s->line_len == sizeof s->line || s->n_lines == REPLY_LINES_MAX) {
            s->broken = true;
            return false;
        }
        if (s->line[s->line_len - 1] != '\n')
            continue;
        bool whole = read_line(s, s->line, s->line_len), more = s->line_len > 3 && s->line[3] == '-';
        s->line_len = 0;
        s->n_lines++;
        if (whole)
            return true;
        if (!more) {
            s->broken = true;
            return false;
        }
    }
}

enum smtp_want smtp_transfer_talk(struct http_transfer *x)
{
    struct smtp_transfer *s = x->mail;
    size_t out;
    if (!s->begun)
        say(s, STEP_MAIL);
    s->begun = true;
    while (!s->settled && !s->broken) {
        if (s->writing ? !talk_write(x) : !talk_read(x))
            break;
        if (!s->writing && s->code)
            talk_on(s);
    }
    if (!s->settled && !s->broken)
        return s->writing ? SMTP_WANTS_WRITE : SMTP_WANTS_READ;
    x->curl->easy_send(x->easy, "QUIT\r\n", 6, &out); /* for politeness: nobody waits for the answer */
    return SMTP_OVER;
}

/* ---- what became of it ---------------------------------------------------------------------------------------------
 */

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
    bool refused = !s->begun && s->code >= 400 && !late && code != CURLE_USE_SSL_FAILED; /* while connecting */
    if ((s->settled && !s->broken) || refused) {
        *ret_status = s->code;
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
        snprintf(x->text, sizeof x->text, "%s",
                 code != CURLE_OK ? x->curl->easy_strerror(code) : "the mail server broke the dialogue off");
    return !s->ended ? HTTP_NOT_SENT : late ? HTTP_TIMED_OUT : HTTP_BROKEN;
}
