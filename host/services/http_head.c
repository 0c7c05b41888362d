/* Owns nothing; see http_head.h. */
#include "services/http_head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* libmicrohttpd cuts a header at a NUL, joins folded lines and takes a bare LF for a line's end, and tells nobody. In
 * the versions named here header lines are parsed in place, so a well-formed head lies in memory without gaps: each
 * name begins two bytes (CR LF) after the value before it. Versions from 0.9.77 on refuse all this themselves; of
 * others we know nothing and check nothing. */
static bool parsed_in_place(void)
{
    static int known = -1;
    if (known < 0)
        known = strncmp(MHD_get_version(), "0.9.75", 6) == 0;
    return known;
}

struct reading {
    struct http_head *head;
    int n, n_host, n_length, n_coding, n_key, n_authorization;
    const char *end; /* of the header before */
    const char *fault;
};

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool usual = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
        if (!usual && (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)))
            return false;
    }
    return len > 0;
}

static bool is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

static const char *take_length(struct reading *r, const char *value, size_t len)
{
    if (r->n_length++)
        return "Content-Length is given twice.";
    if (!len || len > 18 || strspn(value, "0123456789") != len)
        return "Content-Length is not a number of bytes.";
    r->head->length = strtoull(value, NULL, 10);
    return NULL;
}

static const char *take_coding(struct reading *r, const char *value)
{
    if (r->n_coding++ || strcasecmp(value, "chunked") != 0)
        return "The only Transfer-Encoding understood is \"chunked\".";
    r->head->chunked = true;
    return NULL;
}

static const char *take(struct reading *r, const char *name, size_t name_len, const char *value, size_t len)
{
    if (!is_token(name, name_len))
        return "A header has a malformed name.";
    if (!is_value(value, len))
        return "A header has a control character in its value.";
    if (r->end && parsed_in_place() && name != r->end + 2)
        return "The headers are not lines that end with CR LF.";
    if (is(name, name_len, "content-length"))
        return take_length(r, value, len);
    if (is(name, name_len, "transfer-encoding"))
        return take_coding(r, value);
    if (is(name, name_len, "host")) {
        r->head->host = value;
        return r->n_host++ ? "Host is given twice." : NULL;
    }
    if (is(name, name_len, "idempotency-key")) {
        r->head->key = value;
        return r->n_key++ ? "Idempotency-Key is given twice." : NULL;
    }
    if (is(name, name_len, "authorization")) {
        r->head->authorization = value;
        return r->n_authorization++ ? "Authorization is given twice." : NULL;
    }
    if (is(name, name_len, "content-type"))
        r->head->content_type = value;
    else if (is(name, name_len, "content-encoding"))
        r->head->content_encoding = value;
    else if (is(name, name_len, "traceparent"))
        r->head->traceparent = value;
    else if (is(name, name_len, "x-request-id"))
        r->head->request_id = value;
    else if (is(name, name_len, "if-none-match"))
        r->head->if_none_match = value;
    else if (is(name, name_len, "origin"))
        r->head->origin = value;
    else if (is(name, name_len, "sec-fetch-site"))
        r->head->fetch_site = value;
    return NULL;
}

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t len)
{
    struct reading *r = arg;
    if (!value) {
        value = "";
        len = 0;
    }
    if (++r->n > HTTP_HEAD_HEADERS_MAX)
        return MHD_NO;
    r->fault = take(r, name, name_len, value, len);
    r->end = value + len;
    return r->fault ? MHD_NO : MHD_YES;
}

int http_head_read(struct MHD_Connection *connection, const char *method, const char *version,
                   struct http_head *ret_head, struct problem *ret_problem)
{
    struct reading r = {.head = ret_head};
    memset(ret_head, 0, sizeof *ret_head);
    bool is_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (!is_1_1 && strcmp(version, "HTTP/1.0") != 0)
        return problem_set(ret_problem, 505, "HTTP_VERSION", NULL, "Speak HTTP/1.1.");
    if (!is_token(method, strlen(method)))
        return problem_set(ret_problem, 400, "INVALID_HTTP", NULL, "The method is malformed.");
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, &r);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t size = info ? info->header_size : 0;
    if (r.n > HTTP_HEAD_HEADERS_MAX || size > HTTP_HEAD_MAX_BYTES)
        return problem_set(ret_problem, 431, "HEADERS_TOO_LARGE", NULL,
                           "At most %d headers and %d bytes of request line and headers are read.",
                           HTTP_HEAD_HEADERS_MAX, HTTP_HEAD_MAX_BYTES);
    const char *fault = r.fault;
    if (!fault && r.end && parsed_in_place() && method + size != r.end + 4)
        fault = "The headers are not lines that end with CR LF.";
    if (!fault && is_1_1 && !r.n_host)
        fault = "Host is missing.";
    if (!fault && r.n_coding && (r.n_length || !is_1_1))
        fault = "Transfer-Encoding stands beside Content-Length, or in HTTP/1.0.";
    return fault ? problem_set(ret_problem, 400, "INVALID_HTTP", NULL, "%s", fault) : 0;
}

/* "Sec-Fetch-Site" (W3C Fetch Metadata) is what the browser itself knows; a proxy may have changed the Host that Origin
 * is compared with, and browsers leave it out only where the page came over plain HTTP from another machine. */
bool http_head_foreign(const struct http_head *head)
{
    if (head->fetch_site)
        return strcmp(head->fetch_site, "same-origin") != 0 && strcmp(head->fetch_site, "none") != 0;
    if (!head->origin)
        return false;
    const char *authority = strstr(head->origin, "://");
    return !authority || !head->host || strcasecmp(authority + 3, head->host) != 0;
}
