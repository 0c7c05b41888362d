/* One outgoing request with its answer, as libcurl sees it: the copied request, the options, the answer as it grows,
 * and the judgement what became of it. Knows no queue and no loop. Loop thread. */
#ifndef HOST_SERVICES_HTTP_TRANSFER_H
#define HOST_SERVICES_HTTP_TRANSFER_H

#include "services/curl_lib.h"
#include "services/http_client.h"
#include <stdbool.h>

#define HTTP_CLIENT_CONNECT_TIMEOUT_MS 10000
#define HTTP_CLIENT_URL_MAX_BYTES 8192
#define HTTP_CLIENT_METHOD_MAX_BYTES 16
#define HTTP_CLIENT_REQUEST_HEADERS_MAX 64
#define HTTP_CLIENT_RESPONSE_HEADERS_MAX_BYTES (64 * 1024)
/* An idle connection is dropped before most servers drop it: a request that meets their closing is maybe-sent. */
#define HTTP_CLIENT_IDLE_CONNECTION_MAX_S 20L

struct smtp_transfer;

struct http_transfer {
    const struct curl_lib *curl;
    char method[HTTP_CLIENT_METHOD_MAX_BYTES + 1];
    char *url, *body;
    size_t body_len;
    struct curl_slist *headers;
    CURL *easy; /* borrowed while it runs */
    bool tls;
    bool began;      /* a connection stood and was handed the request */
    bool first_byte; /* the crash point was passed */
    json_t *answer_headers;
    size_t answer_header_bytes;
    char *answer;
    size_t answer_len, answer_cap;
    char text[192];             /* what went wrong */
    bool hopeless;              /* HTTP_NOT_SENT: and it will be the next time */
    struct smtp_transfer *mail; /* NULL: it is HTTP */
};

/* Copies the request into a zeroed struct. CVM_EINVAL: method or header not allowed; CVM_ELIMIT: body, or too many
 * headers; CVM_ENOMEM. The caller runs http_transfer_fini in every case. */
int http_transfer_init(struct http_transfer *transfer, const struct curl_lib *curl, const struct http_request *request);
void http_transfer_fini(struct http_transfer *transfer);

/* NULL: libcurl may look at the URL; else what is wrong with it. */
const char *http_transfer_url_fault(const struct http_transfer *transfer);

/* Sets a fresh handle up for it; `owner` comes back as CURLINFO_PRIVATE. */
void http_transfer_arm(struct http_transfer *transfer, CURL *easy, long timeout_ms, void *owner);

/* What became of it, once libcurl has ended it with `code` and while the handle is still there. Fills `text` where
 * there was no answer. */
enum http_fate http_transfer_fate(struct http_transfer *transfer, CURLcode code, long *ret_status);

#endif
