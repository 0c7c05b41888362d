/* Owns one outgoing request and its answer; see http_transfer.h. The rule that everything here serves: a request is
 * never sent twice, and "not sent" is said only where that is certain. */
#include "services/http_transfer.h"

#include "core/crash.h"
#include "services/smtp_transfer.h"
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- the request ------------------------------------------------------------------------------------------------ */

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return true;
}

static bool is_plain_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int add_header(struct http_transfer *x, const char *name, const char *value)
{
    char line_small[512], *line = line_small;
    size_t need = strlen(name) + strlen(value) + 3;
    if (need > sizeof line_small && !(line = malloc(need)))
        return CVM_ENOMEM;
    snprintf(line, need, *value ? "%s: %s" : "%s;", name, value); /* "Name;" is how libcurl spells an empty one */
    struct curl_slist *grown = x->curl->slist_append(x->headers, line);
    if (line != line_small)
        free(line);
    if (!grown)
        return CVM_ENOMEM;
    x->headers = grown;
    return 0;
}

static int copy_headers(struct http_transfer *x, const json_t *headers)
{
    if (json_object_size(headers) > HTTP_CLIENT_REQUEST_HEADERS_MAX)
        return CVM_ELIMIT;
    bool has_type = false;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        if (!json_is_string(value) || !is_token(name) || !is_plain_value(json_string_value(value)))
            return CVM_EINVAL;
        if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0)
            return CVM_EINVAL; /* ours to say */
        has_type = has_type || strcasecmp(name, "content-type") == 0;
        int e = add_header(x, name, json_string_value(value));
        if (e)
            return e;
    }
    if (x->body && !has_type && add_header(x, "Content-Type", "application/json"))
        return CVM_ENOMEM;
    struct curl_slist *grown = x->curl->slist_append(x->headers, "Expect:"); /* never wait for 100 */
    if (!grown)
        return CVM_ENOMEM;
    x->headers = grown;
    return 0;
}

int http_transfer_init(struct http_transfer *x, const struct curl_lib *curl, const struct http_request *request)
{
    x->curl = curl;
    if (!is_token(request->method) || strlen(request->method) > HTTP_CLIENT_METHOD_MAX_BYTES)
        return CVM_EINVAL;
    if (request->body_len > HTTP_CLIENT_REQUEST_MAX_BYTES)
        return CVM_ELIMIT;
    snprintf(x->method, sizeof x->method, "%s", request->method);
    if (strcmp(x->method, CVM_MAIL_METHOD) == 0)
        return smtp_transfer_init(x, request);
    x->url = strdup(request->url);
    x->answer_headers = json_object();
    if (!x->url || !x->answer_headers)
        return CVM_ENOMEM;
    x->tls = strncasecmp(x->url, "https:", 6) == 0;
    if (request->body) {
        x->body = malloc(request->body_len + 1);
        if (!x->body)
            return CVM_ENOMEM;
        memcpy(x->body, request->body, request->body_len);
        x->body[request->body_len] = 0;
        x->body_len = request->body_len;
    }
    return copy_headers(x, request->headers);
}

void http_transfer_fini(struct http_transfer *x)
{
    if (x->headers)
        x->curl->slist_free_all(x->headers);
    smtp_transfer_free(x->mail);
    json_decref(x->answer_headers);
    free(x->answer);
    free(x->url);
    free(x->body);
}

const char *http_transfer_url_fault(const struct http_transfer *x)
{
    const char *url = x->url;
    if (strlen(url) > HTTP_CLIENT_URL_MAX_BYTES)
        return "the URL is too long";
    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return "the URL has a space or control character";
    if (x->mail)
        return smtp_transfer_url_fault(url);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return "the URL begins neither with http:// nor with https://";
    return NULL;
}

/* ---- what libcurl tells ------------------------------------------------------------------------------------------ */

/* Nothing of the request can have reached anyone. Under TLS a record that stands half in the socket may still be
 * completed as the connection is shut down, so there only "the connection never stood" counts. */
static bool certainly_not_sent(const struct http_transfer *x)
{
    if (!x->began)
        return true;
    long sent = 1;
    x->curl->easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
    return !x->tls && sent == 0;
}

/* The connection stands and the request is about to go out. libcurl comes here again when a kept connection was closed
 * under the request: it would send once more, although the other side may have acted on the first. */
static int on_connected(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct http_transfer *x = arg;
    if (!certainly_not_sent(x))
        return CURL_PREREQFUNC_ABORT;
    x->began = true;
    return CURL_PREREQFUNC_OK;
}

static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    struct http_transfer *x = arg;
    if (type == CURLINFO_HEADER_OUT && x->began && !x->first_byte) {
        x->first_byte = true;
        crash_here(CRASH_FIRST_BYTE_SENT);
    }
    return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *x = arg;
    size_t len = size * n;
    if (len > HTTP_CLIENT_RESPONSE_MAX_BYTES - x->answer_len) {
        snprintf(x->text, sizeof x->text, "the answer is larger than %d bytes", HTTP_CLIENT_RESPONSE_MAX_BYTES);
        return 0;
    }
    if (x->answer_len + len + 1 > x->answer_cap) {
        size_t cap = x->answer_cap ? x->answer_cap * 2 : 1024;
        while (cap < x->answer_len + len + 1)
            cap *= 2;
        char *grown = realloc(x->answer, cap);
        if (!grown)
            return 0;
        x->answer = grown;
        x->answer_cap = cap;
    }
    memcpy(x->answer + x->answer_len, data, len);
    x->answer_len += len;
    x->answer[x->answer_len] = 0;
    return len;
}

static void add_answer_header(json_t *headers, char *line, size_t len)
{
    char *colon = memchr(line, ':', len);
    if (!colon || colon == line)
        return;
    for (char *c = line; c < colon; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 'a' - 'A');
    char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    json_t *text = json_stringn(value, (size_t)(end - value));
    if (!text)
        return; /* not UTF-8: nobody could show it */
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(colon - line), line);
    const json_t *earlier = json_object_get(headers, name);
    if (earlier) {
        json_t *both = json_sprintf("%s, %s", json_string_value(earlier), json_string_value(text));
        json_decref(text);
        text = both;
    }
    json_object_set_new(headers, name, text);
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *x = arg;
    size_t len = size * n;
    x->answer_header_bytes += len;
    if (x->answer_header_bytes > HTTP_CLIENT_RESPONSE_HEADERS_MAX_BYTES) {
        snprintf(x->text, sizeof x->text, "the answer's headers are larger than %d bytes",
                 HTTP_CLIENT_RESPONSE_HEADERS_MAX_BYTES);
        return 0;
    }
    if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0)
        json_object_clear(x->answer_headers); /* those of an interim answer (1xx) do not count */
    else
        add_answer_header(x->answer_headers, data, len);
    return len;
}

enum http_fate http_transfer_fate(struct http_transfer *x, CURLcode code, long *ret_status)
{
    const struct curl_lib *curl = x->curl;
    long status = 0, system_error = 0;
    if (x->mail)
        return smtp_transfer_fate(x, code, ret_status);
    curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status >= 200) {
        *ret_status = status;
        return HTTP_ANSWERED;
    }
    *ret_status = 0;
    curl->easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &system_error);
    if (x->text[0]) {
        /* said already */
    } else if (code == CURLE_ABORTED_BY_CALLBACK) {
        snprintf(x->text, sizeof x->text, "the connection was closed before an answer came");
    } else if (code == CURLE_OK) {
        snprintf(x->text, sizeof x->text, "the answer has no final status");
    } else if (code == CURLE_COULDNT_CONNECT && system_error) {
        snprintf(x->text, sizeof x->text, "%s: %s", curl->easy_strerror(code), strerror((int)system_error));
    } else {
        snprintf(x->text, sizeof x->text, "%s", curl->easy_strerror(code));
    }
    if (certainly_not_sent(x))
        return HTTP_NOT_SENT;
    return code == CURLE_OPERATION_TIMEDOUT ? HTTP_TIMED_OUT : HTTP_BROKEN;
}

/* ---- options ------------------------------------------------------------------------------------------------------
 */

static void set_method(struct http_transfer *x)
{
    const struct curl_lib *curl = x->curl;
    CURL *easy = x->easy;
    if (strcmp(x->method, "HEAD") == 0) {
        curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    bool carries =
        x->body || strcmp(x->method, "POST") == 0 || strcmp(x->method, "PUT") == 0 || strcmp(x->method, "PATCH") == 0;
    if (carries) {
        curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_len);
        curl->easy_setopt(easy, CURLOPT_POSTFIELDS, x->body ? x->body : "");
    } else {
        curl->easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, x->method);
}

void http_transfer_arm(struct http_transfer *x, CURL *easy, long timeout_ms, void *owner)
{
    const struct curl_lib *curl = x->curl;
    x->easy = easy;
    curl->easy_setopt(easy, CURLOPT_PRIVATE, owner);
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else ending a name look-up waits for its thread */
    curl->easy_setopt(easy, CURLOPT_URL, x->url);
    curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                      timeout_ms < HTTP_CLIENT_CONNECT_TIMEOUT_MS ? timeout_ms : (long)HTTP_CLIENT_CONNECT_TIMEOUT_MS);
    if (x->mail) {
        smtp_transfer_arm(x, easy, timeout_ms);
        return;
    }
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* HTTP/2 resends refused streams */
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
    curl->easy_setopt(easy, CURLOPT_MAXAGE_CONN, HTTP_CLIENT_IDLE_CONNECTION_MAX_S);
    curl->easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_CLIENT_RESPONSE_MAX_BYTES);
    curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl->easy_setopt(easy, CURLOPT_PREREQDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, (void *)x);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, (void *)x);
    if (crash_armed) {
        curl->easy_setopt(easy, CURLOPT_VERBOSE, 1L);
        curl->easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
        curl->easy_setopt(easy, CURLOPT_DEBUGDATA, (void *)x);
    }
    set_method(x);
}
