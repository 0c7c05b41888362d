/* Owns the daemon, its place in the loop, the connections and their time limits; see http_server.h. libmicrohttpd runs
 * in its external epoll mode: its one descriptor is watched, and after each run it is asked when it wants to run again.
 * Suspended connections have no timeout there and their closing goes unseen, so each exchange that waits for the core
 * has a deadline here that always resumes it. Loop thread. */
#include "services/http_server_private.h"
#include "services/tcp_received.h"

#include <assert.h>
#include <cvm/cvm.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 60000
#define SLOW_CLIENT_MS 10000
#define IDLE_MS 75000
#define STREAM_BEAT_MS 15000
#define BODY_MAX_BYTES (1024 * 1024)
#define CONNECTIONS_MAX 4096
#define CONNECTIONS_PER_ADDRESS 1024
#define CONNECTION_MEMORY_BYTES (32 * 1024) /* head, buffers, answer's head; cleared at each request, so not larger */
#define BODY_TIME_FACTOR 3                  /* slow_client_ms times this for a body, twice that for reading an answer */
#define RUNS_IN_VAIN_MAX 16                 /* then only every millisecond */
#define FLUSH_MS 1000
#define DRAIN_TICK_MS 5

/* ---- running the daemon -------------------------------------------------------------------------------------------
 */

static void pump(struct http_server *server);
static void run_again(struct http_server *server);

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    server->runs_in_vain = 0;
    pump(server);
}

/* Keeps the loop from sleeping before on_prepare. */
static void on_idle(uv_idle_t *idle)
{
    uv_idle_stop(idle);
}

/* Behind the idle handles, and so behind the core's turns: what they answered is written in the same pass. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct http_server *server = prepare->data;
    uv_prepare_stop(prepare);
    pump(server);
}

/* The daemon runs once more in the loop's next pass. Not by a timer of 0 ms: started in a timer's callback, libuv
 * before 1.45 would run it for ever without looking at anything else. */
void http_server_run_again(struct http_server *server)
{
    server->runs_in_vain = 0;
    run_again(server);
}

static void run_again(struct http_server *server)
{
    uv_idle_start(&server->idle, on_idle);
    uv_prepare_start(&server->prepare, on_prepare);
}

/* "At once" may be said for ever: a connection whose read buffer is full of half a line (an endless chunk extension) is
 * taken for one with work to do until its time is over. */
static void pump(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES) {
        uv_timer_stop(&server->timer);
        return;
    }
    server->runs_in_vain = wait_ms ? 0 : server->runs_in_vain + 1;
    if (!wait_ms && server->runs_in_vain <= RUNS_IN_VAIN_MAX)
        run_again(server);
    else
        uv_timer_start(&server->timer, on_timer, wait_ms ? wait_ms : 1, 0);
}

const struct access *http_server_access(const struct http_server *server)
{
    return server->options.access ? server->options.access(server->options.access_arg) : NULL;
}

/* ---- exchanges that wait ------------------------------------------------------------------------------------------
 */

void http_server_resume(struct http_exchange *x)
{
    TAILQ_REMOVE(&x->server->waiting, x, link);
    if (x->suspended)
        MHD_resume_connection(x->mhd);
    x->server->runs_in_vain = 0;
    run_again(x->server); /* one run writes all answers of a pass */
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->options.loop);
    struct http_exchange *x;
    while ((x = TAILQ_FIRST(&server->waiting)) && x->deadline_ms <= now)
        http_exchange_give_up(x, 504, "STILL_RUNNING", "There is no answer yet; the work goes on.");
    if (x)
        uv_timer_start(timer, on_deadline, x->deadline_ms - now, 0);
}

static void suspend(struct http_exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->mhd);
}

/* Where nothing is written to disk before the answer, it is likely there when the daemon runs next and asks once more:
 * the connection is not suspended yet, which would take it out of the daemon's epoll and back and read it once in vain.
 */
static void await(struct http_exchange *x)
{
    struct http_server *server = x->server;
    x->deadline_ms = uv_now(server->options.loop) + (uint64_t)server->options.answer_timeout_ms;
    x->connection->phase = CONNECTION_WAITING;
    TAILQ_INSERT_TAIL(&server->waiting, x, link);
    if (!uv_is_active((uv_handle_t *)&server->deadline))
        uv_timer_start(&server->deadline, on_deadline, (uint64_t)server->options.answer_timeout_ms, 0);
    if (!x->soon)
        suspend(x);
}

/* ---- what the daemon tells ----------------------------------------------------------------------------------------
 */

static enum MHD_Result reply(struct http_exchange *x)
{
    x->connection->phase = CONNECTION_WRITING;
    x->connection->since_ms = uv_now(x->server->options.loop);
    return http_answer_reply(x);
}

/* Stands in for the exchange of a request whose target has spaces or control characters. */
static char bad_target;

static enum MHD_Result on_head(struct http_server *server, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, void **context)
{
    struct http_exchange *x = http_exchange_new(server, mhd);
    if (!x)
        return MHD_NO;
    bool target_ok = *context != &bad_target;
    *context = x;
    x->connection = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (!x->connection)
        return MHD_NO;
    x->connection->head_done = true;
    x->connection->since_ms = uv_now(server->options.loop);
    return http_exchange_head(x, url, method, version, target_ok) ? MHD_YES : reply(x);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **context)
{
    struct http_exchange *x = *context;
    if (!x || *context == &bad_target)
        return on_head(arg, mhd, url, method, version, context);
    if (*size) {
        bool taken = http_exchange_body(x, data, *size);
        *size = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    bool asked = x->phase == EXCHANGE_WAITING;
    if (x->phase == EXCHANGE_RECEIVING)
        http_exchange_handle(x);
    if (x->phase == EXCHANGE_ANSWERED)
        return reply(x);
    if (x->phase == EXCHANGE_STREAMING) {
        x->connection->phase = CONNECTION_STREAMING;
        return http_stream_reply(x);
    }
    if (asked)
        suspend(x);
    else
        await(x);
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode how)
{
    struct http_exchange *x = *context;
    if (!x || *context == &bad_target)
        return;
    *context = NULL;
    if (x->connection) {
        x->connection->phase = CONNECTION_READING;
        x->connection->head_done = x->connection->counted = false;
        x->connection->since_ms = 0;
    }
    http_exchange_free(x);
}

static void on_sweep(uv_timer_t *timer);

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = arg;
    struct http_connection *connection = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof *connection);
        if (!connection)
            return;
        connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        connection->counted = true;
        connection->since_ms = uv_now(server->options.loop);
        *context = connection;
        TAILQ_INSERT_TAIL(&server->connections, connection, link);
        if (!uv_is_active((uv_handle_t *)&server->sweep)) {
            uint64_t every = (uint64_t)server->options.slow_client_ms / 10 + 1;
            uv_timer_start(&server->sweep, on_sweep, every, every);
        }
    } else if (connection) {
        *context = NULL;
        TAILQ_REMOVE(&server->connections, connection, link);
        free(connection);
    }
}

/* Sees the request target as it came. What is returned stands in for the exchange until the head is complete. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return &bad_target;
    return NULL;
}

/* Escapes stay as they are: a decoded slash in a path would be taken for a separator. */
static size_t leave_escaped(void *arg, struct MHD_Connection *mhd, char *text)
{
    return strlen(text);
}

/* ---- slow clients -------------------------------------------------------------------------------------------------
 */

/* The daemon's timeout counts from the last byte, so it lets go of nobody who sends one now and then. What it has read
 * of a request that is not complete cannot be asked for; the kernel counts the bytes. */
static bool too_slow(struct http_server *server, struct http_connection *connection, uint64_t now)
{
    uint64_t limit = (uint64_t)server->options.slow_client_ms;
    if (connection->phase == CONNECTION_WAITING || connection->phase == CONNECTION_STREAMING)
        return false;
    if (connection->phase == CONNECTION_WRITING)
        return now - connection->since_ms > 2 * BODY_TIME_FACTOR * limit;
    if (connection->head_done)
        return now - connection->since_ms > BODY_TIME_FACTOR * limit;
    if (!connection->since_ms) {
        uint64_t received = tcp_received(connection->fd);
        if (!connection->counted)
            connection->received = received;
        else if (received != connection->received)
            connection->since_ms = now;
        connection->counted = true;
        return false;
    }
    return now - connection->since_ms > limit;
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->options.loop);
    struct http_connection *connection;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (too_slow(server, connection, now))
            shutdown(connection->fd, SHUT_RDWR); /* the daemon sees the end and closes */
    }
    http_streams_sweep(server);
    if (TAILQ_EMPTY(&server->connections))
        uv_timer_stop(timer);
}

/* ---- life ---------------------------------------------------------------------------------------------------------
 */

static void set_defaults(struct http_server_options *options)
{
    if (options->answer_timeout_ms <= 0)
        options->answer_timeout_ms = ANSWER_TIMEOUT_MS;
    if (options->slow_client_ms <= 0)
        options->slow_client_ms = SLOW_CLIENT_MS;
    if (options->idle_ms <= 0)
        options->idle_ms = IDLE_MS;
    if (options->stream_beat_ms <= 0)
        options->stream_beat_ms = STREAM_BEAT_MS;
    if (!options->body_max_bytes)
        options->body_max_bytes = BODY_MAX_BYTES;
    if (!options->connections_max)
        options->connections_max = CONNECTIONS_MAX;
    if (!options->connections_per_address)
        options->connections_per_address = CONNECTIONS_PER_ADDRESS;
}

/* Its strict option is off: 0.9.75 writes the head of the answer to a missing Host twice. What the option would refuse,
 * and more, on_target and http_head_read refuse. */
static int start_daemon(struct http_server *server)
{
    int fd = fcntl(server->options.listen_fd, F_DUPFD_CLOEXEC, 3); /* the daemon closes its own */
    if (fd < 0)
        return CVM_EIO;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    unsigned idle_s = (unsigned)((server->options.idle_ms + 999) / 1000);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, server->options.connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        server->options.connections_per_address, MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
    if (server->daemon)
        return 0;
    close(fd);
    return CVM_EIO;
}

int http_server_new(const struct http_server_options *options, struct http_server **ret_server)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return CVM_ENOMEM;
    server->options = *options;
    server->begun_ns = uv_hrtime();
    set_defaults(&server->options);
    TAILQ_INIT(&server->connections);
    TAILQ_INIT(&server->waiting);
    if (getrandom(&server->random, sizeof server->random, GRND_NONBLOCK) < 0)
        server->random = uv_hrtime();
    int e = start_daemon(server);
    if (e) {
        free(server);
        return e;
    }
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (uv_poll_init(options->loop, &server->poll, epoll_fd)) {
        MHD_stop_daemon(server->daemon);
        free(server);
        return CVM_EIO;
    }
    uv_timer_t *timers[] = {&server->timer, &server->deadline, &server->sweep, &server->drain, &server->beat};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(options->loop, timers[i]);
        timers[i]->data = server;
    }
    uv_idle_init(options->loop, &server->idle);
    uv_prepare_init(options->loop, &server->prepare);
    server->poll.data = server->idle.data = server->prepare.data = server;
    server->open_handles = 8;
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    http_streams_begin(server);
    *ret_server = server;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles)
        return;
    void (*stopped)(void *) = server->stopped;
    void *arg = server->stopped_arg;
    rest_free(server->rest);
    free(server->description.text);
    free(server);
    if (stopped)
        stopped(arg);
}

static void end(struct http_server *server)
{
    uv_close((uv_handle_t *)&server->poll, on_handle_closed); /* before its descriptor goes */
    MHD_stop_daemon(server->daemon);
    assert(TAILQ_EMPTY(&server->waiting) && TAILQ_EMPTY(&server->connections));
    http_streams_close(server);
    uv_close((uv_handle_t *)&server->idle, on_handle_closed);
    uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    uv_close((uv_handle_t *)&server->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&server->drain, on_handle_closed);
    uv_close((uv_handle_t *)&server->beat, on_handle_closed);
}

static bool writing(const struct http_server *server)
{
    const struct http_connection *connection;
    TAILQ_FOREACH(connection, &server->connections, link)
    {
        if (connection->phase != CONNECTION_READING)
            return true;
    }
    return false;
}

static void on_drain(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->options.loop);
    struct http_exchange *x;
    if (!TAILQ_EMPTY(&server->waiting) && now < server->drain_until_ms)
        return;
    while ((x = TAILQ_FIRST(&server->waiting)))
        http_exchange_give_up(x, 503, "STOPPING",
                              "The host is going down before there is an answer; the work goes on.");
    if (!server->flush_until_ms)
        server->flush_until_ms = now + FLUSH_MS;
    pump(server); /* a suspended connection must have gone on before the daemon may stop */
    if (!writing(server) || now >= server->flush_until_ms)
        end(server);
}

void http_server_stop(struct http_server *server, int64_t grace_ms, void (*stopped)(void *), void *arg)
{
    assert(!server->stopping);
    server->stopping = true;
    server->stopped = stopped;
    server->stopped_arg = arg;
    server->drain_until_ms = uv_now(server->options.loop) + (uint64_t)(grace_ms > 0 ? grace_ms : 0);
    http_streams_end(server);
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        close(fd);
    uv_timer_start(&server->drain, on_drain, 0, DRAIN_TICK_MS);
}
