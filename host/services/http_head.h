/* The head of a request, read once: the headers the listener wants, and a check for what libmicrohttpd lets through
 * although two readers could understand it differently (where one message ends and the next begins). Loop thread. */
#ifndef HOST_SERVICES_HTTP_HEAD_H
#define HOST_SERVICES_HTTP_HEAD_H

#include "services/problem.h"
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEAD_MAX_BYTES (16 * 1024)
#define HTTP_HEAD_HEADERS_MAX 100

/* Texts are the connection's own and live as long as the request; NULL where there is no such header. */
struct http_head {
    const char *content_type, *content_encoding, *key, *traceparent, *request_id, *if_none_match;
    const char *authorization; /* secret */
    const char *host, *origin, *fetch_site;
    bool chunked;
    uint64_t length; /* as declared; 0 where nothing was */
};

/* Returns 0, or the status of *ret_problem: the message is to be refused and the connection closed. `method` must be
 * the pointer the access handler was given. */
int http_head_read(struct MHD_Connection *connection, const char *method, const char *version,
                   struct http_head *ret_head, struct problem *ret_problem);

/* Whether a browser says that a page of another origin asks. Who is no browser says nothing of that. */
bool http_head_foreign(const struct http_head *head);

#endif
