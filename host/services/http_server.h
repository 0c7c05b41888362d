/* The HTTP listener: REST routes of the loaded manifests, their description, /health and /metrics, over libmicrohttpd
 * on the loop. A request becomes an input of the core (edge.h); its connection is suspended until the core answers, or
 * until the listener's own deadline. TLS and HTTP/2 end at a proxy. Loop thread. */
#ifndef HOST_SERVICES_HTTP_SERVER_H
#define HOST_SERVICES_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct access;
struct core;
struct http_server;
struct operation_counters;
struct page;

/* Settings; 0 takes the default. */
struct http_server_options {
    uv_loop_t *loop;
    struct core *core;
    int listen_fd;                    /* bound and listening; borrowed (a duplicate is used) */
    int64_t answer_timeout_ms;        /* http.answer_timeout_s: then 504, the work goes on; default 60 s */
    int64_t slow_client_ms;           /* http.timeout_s: from a request's first byte to the end of its head, three times
                                         that for its body; default 10 s */
    int64_t idle_ms;                  /* connections without a request; default 75 s */
    int64_t stream_beat_ms;           /* heartbeats of streams; default 15 s */
    size_t body_max_bytes;            /* http.body_max_bytes; default 1 MiB */
    unsigned connections_max;         /* http.connections; default 4096 */
    unsigned connections_per_address; /* http.per_address: a proxy in front is one address; default 1024 */
    const struct access *(*access)(
        void *arg); /* who may do what now; NULL, or gives NULL: nobody is asked for a token */
    void *access_arg;
    struct operation_counters *counters; /* borrowed; NULL: nothing is counted by operation */
    const char *version;                 /* of the interface, for the description; borrowed */
    const char *title;                   /* of the interface; NULL: "cvmhost"; borrowed */
    struct page *page;                   /* is told when answers are given; NULL: nobody wants to know */
};

/* Returns 0, CVM_ENOMEM, or CVM_EIO (the descriptor cannot be listened on). */
int http_server_new(const struct http_server_options *options, struct http_server **ret_server);

struct text;
/* Appends what it counts, in Prometheus text format. */
void http_server_print_counts(const struct http_server *server, struct text *text);

/* Whether a path is one of the listener's own routes. */
bool http_server_owns(const char *path);

/* Before the host goes and another process takes the socket: answers what comes on connections that are open, each with
 * "Connection: close", then takes no new ones, and calls `drained` when none is at work any more, or after `limit_ms`.
 * http_server_stop follows. */
void http_server_drain(struct http_server *server, int64_t limit_ms, void (*drained)(void *), void *arg);

/* Takes no new connections or requests; waits up to `grace_ms` for the core's answers, gives those left a 503 (their
 * work goes on), writes what is to be written, frees the server and calls `stopped` once the loop holds nothing of it.
 */
void http_server_stop(struct http_server *server, int64_t grace_ms, void (*stopped)(void *), void *arg);

#endif
