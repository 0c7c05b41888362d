/* The listener's part in a change of the host process: what is under way is answered, connections are closed where
 * their clients expect it, and the listening socket goes to the next process with whoever waits in its backlog. First
 * everything is served as before, but each answer says that the connection closes, so that clients which are at work
 * leave by themselves; then nothing more is accepted. A connection on which nothing came for a while is closed last: a
 * request that is on its way at that very moment is lost to it, as with any idle connection (RFC 9112, 9.6). */
#include "services/http_server_private.h"
#include "services/tcp_received.h"

#include "core/page.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 5
#define QUIET_MS 50

static bool is_quiet(struct http_connection *c, uint64_t now)
{
    uint64_t received = tcp_received(c->fd);
    if (!c->drain_since_ms || received != c->drain_received) {
        c->drain_received = received;
        c->drain_since_ms = now;
    }
    return c->phase == CONNECTION_READING && !c->head_done && now - c->drain_since_ms >= QUIET_MS;
}

static void on_tick(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->options.loop);
    struct http_connection *c;
    bool busy = false;
    TAILQ_FOREACH(c, &server->connections, link)
    {
        if (is_quiet(c, now))
            shutdown(c->fd, SHUT_RDWR); /* the daemon sees the end and closes */
        else
            busy = true;
    }
    if (!server->quiesced && now - server->drain_began_ms >= QUIET_MS) {
        int fd = MHD_quiesce_daemon(server->daemon);
        if (fd >= 0)
            close(fd);
        server->quiesced = true;
        if (server->options.page) /* who comes now waits */
            atomic_store(&server->options.page->last_answer_ns, (int64_t)uv_hrtime());
        return; /* what it took a moment ago is looked at in the next tick */
    }
    if (!server->quiesced || (busy && now < server->drain_until_ms))
        return;
    uv_timer_stop(timer);
    server->drained(server->stopped_arg);
}

void http_server_drain(struct http_server *server, int64_t limit_ms, void (*drained)(void *), void *arg)
{
    assert(!server->stopping && !server->draining);
    server->draining = true;
    http_streams_end(server);
    server->drained = drained;
    server->stopped_arg = arg;
    server->drain_began_ms = uv_now(server->options.loop);
    server->drain_until_ms = server->drain_began_ms + (uint64_t)limit_ms;
    uv_timer_start(&server->drain, on_tick, 0, TICK_MS);
}
