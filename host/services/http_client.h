/* Outgoing HTTP, and mail by SMTP, over libcurl's multi interface on the loop. One pool of handles, connections reused.
 * Knows no bus: it sends what it is given and says what became of it. libcurl is initialised on first use. Loop thread.
 */
#ifndef HOST_SERVICES_HTTP_CLIENT_H
#define HOST_SERVICES_HTTP_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_CLIENT_RESPONSE_MAX_BYTES (1024 * 1024)
#define HTTP_CLIENT_REQUEST_MAX_BYTES (1024 * 1024)
#define HTTP_CLIENT_CONNECTIONS_PER_HOST 64
#define SMTP_CLIENT_CONNECTIONS_PER_HOST 8 /* mail servers count them */
#define HTTP_CLIENT_IN_FLIGHT_MAX 1024     /* further ones wait in order */

enum http_fate {
    HTTP_ANSWERED,  /* a complete answer came, of whatever status */
    HTTP_NOT_SENT,  /* it certainly did not leave: bad URL, name not found, connection refused, queue over its limit */
    HTTP_TIMED_OUT, /* may have been received */
    HTTP_BROKEN     /* connection lost, or an answer that cannot be read or is too large: may have been received */
};

/* With the method MAIL the URL is a mail server's, `headers` and `body` are what cvm_mail_of reads, and the header
 * Message-ID is the key. Its answer has the server's last code as status, the last line as body. */
struct http_request {
    const char *method, *url;
    const json_t *headers; /* object of strings; NULL for none. Secrets are already in place: never logged */
    const char *body;      /* copied; NULL for none */
    size_t body_len;
    int64_t timeout_ms; /* whole exchange; > 0 */
};

struct http_result {
    enum http_fate fate;
    int status;
    const json_t *headers; /* lower-case names */
    const char *body;      /* NUL-terminated */
    size_t body_len;
    const char *text; /* what went wrong, without secrets; "" where nothing did */
    int64_t elapsed_us;
    bool hopeless; /* HTTP_NOT_SENT: to send it again as it is will not help */
};

struct http_client;
typedef void (*http_done)(void *arg, const struct http_result *result); /* from the loop, never from http_client_send */

int http_client_new(uv_loop_t *loop, struct http_client **ret_client);

/* Returns 0 and gives a handle for cancelling, or a negative error (done is then not called). */
int http_client_send(struct http_client *client, const struct http_request *request, http_done done, void *arg,
                     uint64_t *ret_handle);
void http_client_cancel(struct http_client *client, uint64_t handle); /* done is not called any more */

/* Cancels everything, closes; `closed` is called when the loop holds nothing of it any more. */
void http_client_close(struct http_client *client, void (*closed)(void *), void *arg);

#endif
