/* What the parts of the HTTP listener share: http_server.c keeps daemon and connections, http_exchange.c a single
 * request until its answer is known, http_request.c makes an operation's data of it, http_answer.c makes the answer,
 * http_own.c and http_turn.c answer for the host itself. Loop thread. */
#ifndef HOST_SERVICES_HTTP_SERVER_PRIVATE_H
#define HOST_SERVICES_HTTP_SERVER_PRIVATE_H

#include "core/edge.h"
#include "services/http_counters.h"
#include "services/http_head.h"
#include "services/http_server.h"
#include "services/operation_counters.h"
#include "services/rest.h"
#include <sys/queue.h>

#define HTTP_KEY_MAX_BYTES 128
#define HTTP_REQUEST_ID_MAX_BYTES 128
#define HTTP_DROP_FACTOR 8 /* bodies up to this many limits are read and dropped, so that the client reads its 413 */

/* A connection, as far as time limits go. */
struct http_connection {
    TAILQ_ENTRY(http_connection) link;
    int fd;
    enum { CONNECTION_READING, CONNECTION_WAITING, CONNECTION_WRITING, CONNECTION_STREAMING } phase;
    bool head_done;
    bool counted;                            /* `received` is known */
    uint64_t received;                       /* bytes, before the request that is awaited */
    uint64_t since_ms;                       /* when the current piece of work was first seen; 0: idle */
    uint64_t drain_since_ms, drain_received; /* while draining: bytes as of when they last changed; 0: not seen yet */
};

/* What goes back to a client. */
struct http_answer {
    int status;
    char *text; /* for free() */
    size_t len;
    char type[96];
    char allow[64];         /* 405 */
    int retry_after_s;      /* 0: none */
    char etag[40];          /* "": none, and the answer is not to be kept */
    char authenticate[192]; /* 401, 403: WWW-Authenticate */
    bool close;             /* the connection, after it */
    bool page;              /* a page, which may do little */
    const char *location;   /* where the client is sent; NULL: nowhere. Borrowed */
    bool repeated;          /* the result of an earlier request with the same key */
    bool from_core;
};

struct http_exchange {
    TAILQ_ENTRY(http_exchange) link; /* in `waiting` */
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct http_connection *connection;
    enum { EXCHANGE_RECEIVING, EXCHANGE_WAITING, EXCHANGE_ANSWERED, EXCHANGE_STREAMING } phase;
    bool soon;                      /* nothing is written to disk before its answer */
    bool suspended;                 /* EXCHANGE_WAITING: the daemon does not look at its connection */
    struct http_listener *listener; /* EXCHANGE_STREAMING */
    const char *method, *url;       /* the connection's */
    struct http_head head;
    char request_id[HTTP_REQUEST_ID_MAX_BYTES + 1];
    uint64_t begun_ns, deadline_ms;
    char *body;
    size_t len, cap;
    uint64_t dropped; /* bytes of a body over the limit */
    cvm_id id;
    int success, refused; /* statuses of the operation, which may be gone when the answer comes */
    bool raw, has_key;
    const char *caller; /* name of the token that was asked for; NULL: none was. The configuration's */
    json_t *rename;
    struct operation_count *count;
    struct http_question *question; /* http_turn.c; NULL: none is under way */
    struct http_answer answer;
};

/* The OpenAPI document as text, of one version of the registry. */
struct http_description {
    char *text; /* for free(); NULL: not made yet */
    size_t len;
    uint64_t version;
    bool guarded;
    char etag[40];
};

struct http_server {
    struct http_server_options options;
    uint64_t begun_ns; /* when it was made, as uv_hrtime gives it */
    struct MHD_Daemon *daemon;
    uv_poll_t poll;       /* the daemon's epoll descriptor */
    uv_timer_t timer;     /* when the daemon wants to run again */
    uv_idle_t idle;       /* it wants to at once: the loop does not sleep, */
    uv_prepare_t prepare; /* and it does, behind the core's turns */
    uv_timer_t deadline;  /* of the first exchange that waits */
    uv_timer_t sweep;     /* slow clients */
    uv_timer_t drain;     /* draining, then stopping */
    uv_timer_t beat;      /* of the streams */
    int open_handles;
    bool stopping, draining, quiesced;
    uint64_t drain_began_ms;
    void (*drained)(void *);
    int runs_in_vain; /* in a row, without an event and with nothing to wait for */
    uint64_t drain_until_ms, flush_until_ms;
    void (*stopped)(void *);
    void *stopped_arg;
    TAILQ_HEAD(, http_connection) connections;
    TAILQ_HEAD(, http_exchange) waiting; /* for the core, first deadline first */
    TAILQ_HEAD(, http_stream) streams;
    uint64_t streams_version; /* of the registry */
    unsigned n_listeners;
    struct {
        uint64_t events, dropped, resets;
    } stream_counts;
    struct rest *rest;
    uint64_t rest_version;
    struct http_description description;
    uint64_t random; /* state of a generator for ids of requests and traces */
    struct http_counters counters;
    char scratch[HTTP_HEAD_MAX_BYTES + 64]; /* decoded query of the request at hand */
};

/* http_exchange.c */
struct http_exchange *http_exchange_new(struct http_server *server, struct MHD_Connection *mhd);
void http_exchange_free(struct http_exchange *x);
/* The head is there. False: refused, the answer is ready. */
bool http_exchange_head(struct http_exchange *x, const char *url, const char *method, const char *version,
                        bool target_ok);
/* Takes a piece of the body. False: it is so much too large that the connection must go. */
bool http_exchange_body(struct http_exchange *x, const char *data, size_t len);
/* Everything is there: asks the core (phase WAITING) or answers. */
void http_exchange_handle(struct http_exchange *x);
/* Ends an exchange that waits, without the core. */
void http_exchange_give_up(struct http_exchange *x, int status, const char *code, const char *detail);

/* http_request.c: the operation's data. Returns 0 and gives *ret_data, or the status of *problem. */
int http_request_data(struct http_exchange *x, const struct rest_match *match, json_t **ret_data,
                      struct problem *problem);
/* For a path of the host that takes no query: 0, or the status of *problem. */
int http_request_no_query(struct http_exchange *x, struct problem *ret_problem);

/* http_answer.c: each makes the answer (phase ANSWERED) */
void http_answer_problem(struct http_exchange *x, const struct problem *problem);
void http_answer_outcome(struct http_exchange *x, int outcome, const json_t *data);
void http_answer_edge_error(struct http_exchange *x, const struct edge_error *error);
void http_answer_json(struct http_exchange *x, int status, const json_t *body);
/* Takes `text` (NULL: out of memory). */
void http_answer_text(struct http_exchange *x, int status, const char *type, char *text, size_t len);
/* Hands the answer to the daemon. */
enum MHD_Result http_answer_reply(struct http_exchange *x);

/* http_server.c: who may do what now; NULL: nobody is asked. Borrowed until the loop goes on. */
const struct access *http_server_access(const struct http_server *server);

/* http_own.c: false: its path is not one of the listener's own. */
bool http_answer_own(struct http_exchange *x);

/* 0, or the status of *ret_problem: a browser asks for a page of another origin. */
int http_refuse_foreign(const struct http_exchange *x, struct problem *ret_problem);
/* Whether the caller may have done what asks for `permission`: 0 or the status of *ret_problem. */
int http_permit(struct http_exchange *x, const char *component, const char *type, const char *permission,
                struct problem *ret_problem);

/* http_turn.c: false: its path is not of the journal. */
bool http_answer_turn(struct http_exchange *x);
/* The exchange is over: its question is answered to nobody. */
void http_turn_forget(struct http_exchange *x);

/* http_pages.c: false: there is no page at its path. */
bool http_answer_page(struct http_exchange *x);

/* http_stream.c */
void http_streams_begin(struct http_server *server);
void http_streams_refresh(struct http_server *server); /* the registry may have changed */
void http_streams_sweep(struct http_server *server);   /* now and then: lets go of who has left, or is too slow */
void http_streams_end(struct http_server *server);     /* nobody hears more */
void http_streams_close(struct http_server *server);   /* nobody listens any more */
void http_streams_print(const struct http_server *server, struct text *text); /* metrics */
bool http_answer_stream(struct http_exchange *x);                             /* false: its path is no stream's */
enum MHD_Result http_stream_reply(struct http_exchange *x);
void http_stream_leave(struct http_exchange *x);

/* http_server.c: the daemon runs once more in the loop's next pass. */
void http_server_run_again(struct http_server *server);

/* http_server.c: an exchange's answer is there; its connection goes on. */
void http_server_resume(struct http_exchange *x);

#endif
