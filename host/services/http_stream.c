/* Streams of the listener: server-sent events (HTML Living Standard, 9.2) of what turns have published, told when the
 * turn is durable. Owns the logs of events and who listens. A client that waits is suspended in the daemon and woken by
 * the next event or heartbeat; it reads from the stream's log, so it costs no memory of its own. Loop thread. */
#include "services/http_server_private.h"
#include "services/stream_log.h"

#include "core/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define STREAM_TYPE "text/event-stream"
#define CLIENTS_MAX 64 /* of all streams */
#define WAITING_MAX_BYTES (1024 * 1024)
#define STALLED_MS 1000 /* so much waits, and for so long nothing of it was taken: the client is let go */
#define BLOCK_BYTES (16 * 1024)
#define RETRY_MS 1000

struct http_listener {
    TAILQ_ENTRY(http_listener) link;
    struct http_stream *stream;
    struct http_exchange *x;
    uint64_t at;       /* the event that is next */
    size_t offset;     /* of it are sent */
    uint64_t taken_ms; /* when the daemon last took something */
    char note[128];    /* goes before the next event: a heartbeat, or what a client is told first */
    size_t note_len, note_at;
    bool asleep; /* suspended in the daemon */
    bool ended;
};

struct http_stream {
    TAILQ_ENTRY(http_stream) link;
    char *path, *plugin;
    char *permission; /* NULL: none */
    json_t *topics;   /* array */
    struct stream_log *log;
    bool kept; /* the registry has it still */
    TAILQ_HEAD(, http_listener) listeners;
};

/* ---- those who listen --------------------------------------------------------------------------------------------
 */

static void wake(struct http_listener *l)
{
    if (!l->asleep)
        return;
    l->asleep = false;
    MHD_resume_connection(l->x->mhd);
    http_server_run_again(l->x->server);
}

static void end_listener(struct http_listener *l)
{
    l->ended = true;
    wake(l);
}

static void note(struct http_listener *l, const char *text)
{
    if (l->note_at < l->note_len)
        return;
    snprintf(l->note, sizeof l->note, "%s", text);
    l->note_at = 0;
    l->note_len = strlen(l->note);
}

/* What to send next; NULL: nothing for now. */
static const char *next_piece(struct http_listener *l, size_t *ret_len)
{
    if (!l->offset && l->note_at < l->note_len) {
        *ret_len = l->note_len - l->note_at;
        return l->note + l->note_at;
    }
    const char *text = stream_log_text(l->stream->log, l->at, ret_len);
    if (!text)
        return NULL;
    *ret_len -= l->offset;
    return text + l->offset;
}

static void piece_taken(struct http_listener *l, size_t n, bool whole)
{
    if (!l->offset && l->note_at < l->note_len) {
        l->note_at += n;
        return;
    }
    l->offset = whole ? 0 : l->offset + n;
    l->at += whole;
}

/* Called by the daemon whenever it has room. */
static ssize_t read_piece(void *arg, uint64_t position, char *buffer, size_t max)
{
    struct http_listener *l = arg;
    size_t n = 0, len;
    const char *piece;
    (void)position;
    while (!l->ended && n < max && (piece = next_piece(l, &len))) {
        size_t part = len < max - n ? len : max - n;
        memcpy(buffer + n, piece, part);
        n += part;
        piece_taken(l, part, part == len);
    }
    l->taken_ms = uv_now(l->x->server->options.loop);
    if (n)
        return (ssize_t)n;
    if (l->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    l->asleep = true;
    MHD_suspend_connection(l->x->mhd);
    return 0;
}

/* Whoever has fallen behind loses the connection, and comes back to hear what is still known, or that some is not. */
static void judge(struct http_server *server, struct http_listener *l)
{
    size_t waiting = stream_log_waiting(l->stream->log, l->at);
    bool stalled = !l->asleep && uv_now(server->options.loop) - l->taken_ms > STALLED_MS;
    if (l->ended || waiting <= WAITING_MAX_BYTES || (waiting != SIZE_MAX && !stalled))
        return;
    log_warning("http", "%s: a client reads too slowly and was let go, request %s", l->stream->path, l->x->request_id);
    server->stream_counts.dropped++;
    end_listener(l);
    shutdown(l->x->connection->fd, SHUT_RDWR);
}

static bool has_left(const struct http_listener *l)
{
    char byte;
    ssize_t n = recv(l->x->connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* ---- the streams there are ----------------------------------------------------------------------------------------
 */

static void stream_free(struct http_server *server, struct http_stream *s)
{
    TAILQ_REMOVE(&server->streams, s, link);
    stream_log_free(s->log);
    json_decref(s->topics);
    free(s->path);
    free(s->plugin);
    free(s->permission);
    free(s);
}

/* Once nobody listens any more. */
static void free_unkept(struct http_server *server)
{
    struct http_stream *next;
    for (struct http_stream *s = TAILQ_FIRST(&server->streams); s; s = next) {
        next = TAILQ_NEXT(s, link);
        if (!s->kept && TAILQ_EMPTY(&s->listeners))
            stream_free(server, s);
    }
}

static struct http_stream *find(struct http_server *server, const char *path)
{
    struct http_stream *s;
    TAILQ_FOREACH(s, &server->streams, link)
    {
        if (s->kept && strcmp(s->path, path) == 0)
            return s;
    }
    return NULL;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* As the registry says it. Who listens stays where it is the same stream of the same plugin. */
static void take_stream(struct http_server *server, const struct registry_stream *from)
{
    struct http_stream *s = find(server, from->decl->path);
    json_t *topics = manifest_strings_json(&from->decl->topics);
    if (s || !topics || !(s = calloc(1, sizeof *s))) {
        json_decref(topics);
        return;
    }
    TAILQ_INIT(&s->listeners);
    TAILQ_INSERT_TAIL(&server->streams, s, link);
    s->path = strdup(from->decl->path);
    s->plugin = strdup(from->plugin);
    s->permission = from->decl->permission ? strdup(from->decl->permission) : NULL;
    s->topics = topics;
    s->log = stream_log_new(edge_durable(server->options.core));
    s->kept = s->path && s->plugin && s->log && (s->permission || !from->decl->permission);
}

static bool stays(const struct http_stream *s, const struct registry_stream *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *topics = manifest_strings_json(&all[i].decl->topics);
        bool equal = strcmp(s->path, all[i].decl->path) == 0 && strcmp(s->plugin, all[i].plugin) == 0 &&
                     same(s->permission, all[i].decl->permission) && json_equal(s->topics, topics);
        json_decref(topics);
        if (equal)
            return true;
    }
    return false;
}

void http_streams_refresh(struct http_server *server)
{
    uint64_t version = registry_version(server->options.core);
    size_t n = 0;
    struct http_stream *s;
    struct http_listener *l;
    if (server->streams_version == version)
        return;
    const struct registry_stream *all = registry_streams(server->options.core, &n);
    server->streams_version = version;
    TAILQ_FOREACH(s, &server->streams, link)
    {
        s->kept = s->kept && stays(s, all, n);
        if (!s->kept)
            TAILQ_FOREACH(l, &s->listeners, link) end_listener(l);
    }
    for (size_t i = 0; i < n; i++)
        take_stream(server, &all[i]);
    free_unkept(server);
}

/* ---- events -------------------------------------------------------------------------------------------------------
 */

static bool carries(const struct http_stream *s, const char *topic)
{
    size_t i;
    json_t *one;
    json_array_foreach(s->topics, i, one) if (strcmp(json_string_value(one), topic) == 0) return true;
    return false;
}

static void tell(struct http_server *server, struct http_stream *s, int64_t turn, const struct edge_publication *all,
                 size_t n)
{
    size_t left = 0;
    struct http_listener *l;
    for (size_t i = 0; i < n; i++)
        left += carries(s, all[i].topic);
    if (!left)
        return;
    for (size_t i = 0; i < n; i++) {
        if (!carries(s, all[i].topic))
            continue;
        if (stream_log_add(s->log, turn, all[i].topic, all[i].data, --left == 0) < 0)
            log_warning("http", "%s: out of memory for an event, who listens is told to read anew", s->path);
        server->stream_counts.events++;
    }
    TAILQ_FOREACH(l, &s->listeners, link)
    {
        judge(server, l);
        wake(l);
    }
}

static void published(void *arg, int64_t turn, const struct edge_publication *all, size_t n)
{
    struct http_server *server = arg;
    struct http_stream *s;
    http_streams_refresh(server);
    TAILQ_FOREACH(s, &server->streams, link) if (s->kept) tell(server, s, turn, all, n);
}

/* ---- a client comes -----------------------------------------------------------------------------------------------
 */

/* Where it goes on, and what it is told first. */
static void place(struct http_listener *l, const char *last_id)
{
    struct http_server *server = l->x->server;
    char text[sizeof l->note], *end = NULL;
    int64_t durable = edge_durable(server->options.core);
    long long last = last_id ? strtoll(last_id, &end, 10) : 0;
    bool resumes =
        last_id && *last_id && !*end && last >= 0 && last <= durable && stream_log_after(l->stream->log, last, &l->at);
    if (!resumes)
        l->at = stream_log_end(l->stream->log);
    if (resumes) {
        snprintf(text, sizeof text, "retry: %d\n\n", RETRY_MS);
    } else {
        server->stream_counts.resets += last_id != NULL;
        snprintf(text, sizeof text, "retry: %d\n%sid: %lld\n\n", RETRY_MS, last_id ? "event: reset\ndata: {}\n" : "",
                 (long long)durable);
    }
    note(l, text);
}

static int refuse(struct http_exchange *x, const struct http_stream *s, struct problem *problem)
{
    struct http_server *server = x->server;
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        snprintf(x->answer.allow, sizeof x->answer.allow, "GET, HEAD");
        return problem_set(problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to GET, HEAD.");
    }
    x->answer.retry_after_s = 1;
    if (server->stopping || server->draining)
        return problem_set(problem, 503, "STOPPING", NULL, "The host is going down.");
    if (server->n_listeners >= CLIENTS_MAX)
        return problem_set(problem, 503, "BUSY", NULL, "%d clients listen already, and more may not.", CLIENTS_MAX);
    x->answer.retry_after_s = 0;
    int status = http_refuse_foreign(x, problem);
    if (!status)
        status = http_permit(x, s->plugin, s->path, s->permission, problem);
    return status ? status : http_request_no_query(x, problem);
}

bool http_answer_stream(struct http_exchange *x)
{
    struct problem problem;
    http_streams_refresh(x->server);
    struct http_stream *s = find(x->server, x->url);
    if (!s)
        return false;
    struct http_listener *l = NULL;
    int status = refuse(x, s, &problem);
    if (!status && strcmp(x->method, "HEAD") == 0) {
        http_answer_text(x, 200, STREAM_TYPE, strdup(""), 0);
        return true;
    }
    if (!status && !(l = calloc(1, sizeof *l)))
        status = problem_set(&problem, 503, "BUSY", NULL, "Out of memory.");
    if (status) {
        http_answer_problem(x, &problem);
        return true;
    }
    l->stream = s;
    l->x = x;
    l->taken_ms = uv_now(x->server->options.loop);
    TAILQ_INSERT_TAIL(&s->listeners, l, link);
    x->server->n_listeners++;
    x->listener = l;
    x->phase = EXCHANGE_STREAMING;
    place(l, MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "Last-Event-ID"));
    return true;
}

enum MHD_Result http_stream_reply(struct http_exchange *x)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_piece, x->listener, NULL);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", STREAM_TYPE);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* a proxy that collects would make it late */
    MHD_add_response_header(response, "X-Request-Id", x->request_id);
    http_counters_add(&x->server->counters, 200, uv_hrtime() - x->begun_ns);
    enum MHD_Result result = MHD_queue_response(x->mhd, 200, response);
    MHD_destroy_response(response);
    return result;
}

void http_stream_leave(struct http_exchange *x)
{
    struct http_listener *l = x->listener;
    if (!l)
        return;
    TAILQ_REMOVE(&l->stream->listeners, l, link);
    x->server->n_listeners--;
    x->listener = NULL;
    free(l);
    free_unkept(x->server);
}

/* ---- as time passes -----------------------------------------------------------------------------------------------
 */

/* A token that has been taken away since is heard no more. */
static bool still_permitted(struct http_listener *l)
{
    struct problem problem;
    return http_permit(l->x, l->stream->plugin, l->stream->path, l->stream->permission, &problem) == 0;
}

static void on_beat(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    struct http_stream *s;
    struct http_listener *l;
    TAILQ_FOREACH(s, &server->streams, link)
    {
        TAILQ_FOREACH(l, &s->listeners, link)
        {
            if (!still_permitted(l)) {
                end_listener(l);
                continue;
            }
            note(l, ":\n\n");
            wake(l);
        }
    }
}

void http_streams_sweep(struct http_server *server)
{
    struct http_stream *s;
    struct http_listener *l;
    http_streams_refresh(server);
    TAILQ_FOREACH(s, &server->streams, link)
    {
        TAILQ_FOREACH(l, &s->listeners, link)
        {
            judge(server, l);
            if (l->asleep && has_left(l))
                end_listener(l);
        }
    }
}

void http_streams_print(const struct http_server *server, struct text *text)
{
    text_printf(
        text,
        "# HELP cvmhost_http_stream_clients Clients that listen to streams.\n"
        "# TYPE cvmhost_http_stream_clients gauge\n"
        "cvmhost_http_stream_clients %u\n"
        "# HELP cvmhost_http_stream_events_total Events of streams, each counted once.\n"
        "# TYPE cvmhost_http_stream_events_total counter\n"
        "cvmhost_http_stream_events_total %llu\n"
        "# HELP cvmhost_http_stream_dropped_total Clients let go because they read too slowly.\n"
        "# TYPE cvmhost_http_stream_dropped_total counter\n"
        "cvmhost_http_stream_dropped_total %llu\n"
        "# HELP cvmhost_http_stream_resets_total Clients that came back too late to hear what they had missed.\n"
        "# TYPE cvmhost_http_stream_resets_total counter\n"
        "cvmhost_http_stream_resets_total %llu\n",
        server->n_listeners, (unsigned long long)server->stream_counts.events,
        (unsigned long long)server->stream_counts.dropped, (unsigned long long)server->stream_counts.resets);
}

void http_streams_end(struct http_server *server)
{
    struct http_stream *s;
    struct http_listener *l;
    TAILQ_FOREACH(s, &server->streams, link) TAILQ_FOREACH(l, &s->listeners, link) end_listener(l);
}

void http_streams_begin(struct http_server *server)
{
    TAILQ_INIT(&server->streams);
    server->streams_version = UINT64_MAX;
    server->beat.data = server;
    edge_listen(server->options.core, published, server);
    http_streams_refresh(server);
    uint64_t every = (uint64_t)server->options.stream_beat_ms;
    uv_timer_start(&server->beat, on_beat, every, every);
}

void http_streams_close(struct http_server *server)
{
    struct http_stream *s;
    edge_listen(server->options.core, NULL, NULL);
    while ((s = TAILQ_FIRST(&server->streams))) {
        assert(TAILQ_EMPTY(&s->listeners));
        stream_free(server, s);
    }
}
