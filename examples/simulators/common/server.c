/* Owns connections, the queue of decided answers and the heap of those that wait for their time; see server.h. */
#include "server.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* One request. Made and freed by the server thread; while its connection is suspended it belongs to the loop. */
struct exchange {
    struct MHD_Connection *connection;
    struct answer answer;
    struct exchange *next; /* in the queue */
    uint64_t due_ms;       /* of the loop's clock */
    bool decided;
    size_t body_len; /* may pass BODY_MAX_BYTES: then the rest was dropped */
    char body[BODY_MAX_BYTES];
};

struct server {
    const struct server_options *options;
    struct vending *vending;
    struct MHD_Daemon *daemon;
    int port;
    uv_loop_t *loop;
    uv_async_t wake;
    uv_timer_t timer;
    struct exchange *waiting[CONNECTIONS_MAX]; /* binary heap by due_ms; loop thread */
    size_t n_waiting;
    char *lines; /* of one commit; loop thread */
    size_t lines_capacity;
    pthread_mutex_t mutex; /* guards what follows */
    struct exchange *queue, **queue_end;
    bool stopping;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the loop: commit, wait, let go ---- */

static void let_go(struct exchange *x)
{
    MHD_resume_connection(x->connection); /* x is the server thread's again */
}

static void heap_push(struct server *s, struct exchange *x)
{
    assert(s->n_waiting < CONNECTIONS_MAX); /* a connection has one exchange at a time */
    size_t i = s->n_waiting++;
    for (; i && s->waiting[(i - 1) / 2]->due_ms > x->due_ms; i = (i - 1) / 2)
        s->waiting[i] = s->waiting[(i - 1) / 2];
    s->waiting[i] = x;
}

static struct exchange *heap_pop(struct server *s)
{
    struct exchange *first = s->waiting[0], *last = s->waiting[--s->n_waiting];
    size_t i = 0;
    for (size_t child = 1; child < s->n_waiting; child = 2 * i + 1) {
        if (child + 1 < s->n_waiting && s->waiting[child + 1]->due_ms < s->waiting[child]->due_ms)
            child++;
        if (s->waiting[child]->due_ms >= last->due_ms)
            break;
        s->waiting[i] = s->waiting[child];
        i = child;
    }
    s->waiting[i] = last;
    return first;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t now = uv_now(s->loop);
    while (s->n_waiting && s->waiting[0]->due_ms <= now)
        let_go(heap_pop(s));
    if (s->n_waiting)
        uv_timer_start(&s->timer, on_timer, s->waiting[0]->due_ms - now, 0);
}

/* What the file holds after a failed sync is not known, so nothing may be answered any more. */
static void commit(struct server *s, const struct exchange *queue)
{
    size_t len = 0;
    for (const struct exchange *x = queue; x; x = x->next) {
        size_t n = x->answer.line ? strlen(x->answer.line) : 0;
        if (len + n > s->lines_capacity) {
            s->lines_capacity = (len + n) * 2;
            s->lines = realloc(s->lines, s->lines_capacity);
            if (!s->lines)
                abort();
        }
        if (n)
            memcpy(s->lines + len, x->answer.line, n);
        len += n;
    }
    if (ledger_commit(s->vending->ledger, s->lines, len) < 0) {
        fprintf(stderr, "%s: the ledger cannot be written: %s\n", s->vending->trade->program, strerror(errno));
        _Exit(3);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct server *s = wake->data;
    pthread_mutex_lock(&s->mutex);
    struct exchange *queue = s->queue, *next;
    s->queue = NULL;
    s->queue_end = &s->queue;
    pthread_mutex_unlock(&s->mutex);
    commit(s, queue);
    uv_update_time(s->loop);
    for (struct exchange *x = queue; x; x = next) {
        next = x->next;
        if (x->answer.delay_ms == 0) {
            let_go(x);
            continue;
        }
        x->due_ms = uv_now(s->loop) + (uint64_t)x->answer.delay_ms;
        heap_push(s, x);
    }
    on_timer(&s->timer);
}

/* ---- the server thread: requests ---- */

static void ledger_place(struct vending *v, const struct asked *q, int64_t now, struct answer *a)
{
    ledger_answer(v, q->vendor_name, now, a);
}

static void health_place(struct vending *v, const struct asked *q, int64_t now, struct answer *a)
{
    a->status = 200;
    a->text = strdup("{\"status\":\"ok\"}");
}

static const struct place open_places[] = {{"/ledger", ledger_place, .get = true},
                                           {"/statement", statement_answer, .get = true},
                                           {"/health", health_place, .get = true}};

/* "/mtn/v1/airtime/vend": the vendor, then the version where there is one, then the call. *ret_vendor is -1 for a place
 * that needs no key. */
static const struct place *place_of(const struct trade *trade, const char *path, int *ret_vendor)
{
    *ret_vendor = -1;
    for (size_t i = 0; i < sizeof open_places / sizeof open_places[0]; i++)
        if (strcmp(open_places[i].path, path) == 0)
            return &open_places[i];
    size_t len = path[0] == '/' ? strcspn(path + 1, "/") : 0;
    if (trade->answer || !ledger_vendor(&trade->form, path + 1, len, ret_vendor))
        return NULL;
    path += 1 + len;
    if (strncmp(path, "/v1/", 4) == 0)
        path += 3;
    for (const struct place *p = trade->places; p->path; p++)
        if (strcmp(p->path, path) == 0)
            return p;
    return NULL;
}

static bool key_matches(const struct server *s, struct MHD_Connection *c, int vendor)
{
    const char *name = s->vending->trade->key_header(vendor);
    const char *given = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
    if (given && strcmp(name, "Authorization") == 0 && strncasecmp(given, "Bearer ", 7) == 0)
        given += 7;
    return given && strcmp(given, s->options->keys[vendor]) == 0;
}

static const char *find_header(const struct asked *asked, const char *name)
{
    return MHD_lookup_connection_value(asked->connection, MHD_HEADER_KIND, name);
}

static const char *find_argument(const struct asked *asked, const char *name)
{
    return MHD_lookup_connection_value(asked->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void decide(struct server *s, struct exchange *x, const char *path, const char *method)
{
    struct answer *a = &x->answer;
    const struct trade *trade = s->vending->trade;
    int vendor;
    const struct place *place = place_of(trade, path, &vendor);
    const char *(*find)(struct MHD_Connection *, enum MHD_ValueKind, const char *) = MHD_lookup_connection_value;
    struct asked asked = {.vendor = vendor,
                          .vendor_name = find(x->connection, MHD_GET_ARGUMENT_KIND, trade->form.vendor_member),
                          .key = find(x->connection, MHD_HEADER_KIND, "Idempotency-Key"),
                          .reference = find(x->connection, MHD_GET_ARGUMENT_KIND, "reference"),
                          .subject = find(x->connection, MHD_GET_ARGUMENT_KIND, trade->form.subject_member),
                          .body = x->body,
                          .body_len = x->body_len,
                          .path = path,
                          .method = method,
                          .connection = x->connection,
                          .header = find_header,
                          .argument = find_argument};

    if (!place && trade->answer && x->body_len <= BODY_MAX_BYTES)
        trade->answer(s->vending, &asked, now_ms(), a);
    else if (!place)
        error_answer(a, 404, "NO_SUCH_ADDRESS", "no such address");
    else if (x->body_len > BODY_MAX_BYTES)
        error_answer(a, 413, "TOO_LARGE", "the body may have 4096 bytes");
    else if (!((place->get && strcmp(method, "GET") == 0) || (place->post && strcmp(method, "POST") == 0)))
        error_answer(a, 405, "METHOD_NOT_ALLOWED", "this address does not take that method");
    else if (vendor >= 0 && !key_matches(s, x->connection, vendor))
        error_answer(a, 401, "UNAUTHORIZED", "the key is missing or wrong");
    else
        place->answer(s->vending, &asked, now_ms(), a);
}

/* No phone or meter number, no key: the reference is enough to find the rest. */
static void log_exchange(const struct server *s, const struct exchange *x, const char *path, const char *method)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    if (s->options->quiet)
        return;
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const struct entry *e = x->answer.entry;
    fprintf(stderr, "%s %s %.64s reference=%s kobo=%" PRId64 " attempt=%u -> %d %s\n", when, method, path,
            e ? e->reference : "-", e ? e->amount_kobo : 0, e ? (unsigned)e->attempts : 0, x->answer.status,
            x->answer.note);
}

/* The first half of a text; then the connection breaks. */
static ssize_t read_half(void *arg, uint64_t at, char *buf, size_t max)
{
    const char *text = arg;
    size_t half = strlen(text) / 2;
    if (at >= half)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = half - (size_t)at < max ? half - (size_t)at : max;
    memcpy(buf, text + at, n);
    return (ssize_t)n;
}

static enum MHD_Result send_answer(struct exchange *x)
{
    struct answer *a = &x->answer;
    if (a->cut)
        return MHD_NO;
    struct MHD_Response *r = a->half ? MHD_create_response_from_callback(strlen(a->text), 512, read_half, a->text, free)
                                     : MHD_create_response_from_buffer(strlen(a->text), a->text, MHD_RESPMEM_MUST_FREE);
    if (!r)
        return MHD_NO;
    a->text = NULL;
    enum MHD_Result ok = MHD_add_response_header(r, "Content-Type", a->html ? "text/html" : "application/json");
    if (ok == MHD_YES && a->replayed)
        ok = MHD_add_response_header(r, "Idempotent-Replayed", "true");
    if (ok == MHD_YES)
        ok = MHD_queue_response(x->connection, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **request)
{
    struct server *s = arg;
    struct exchange *x = *request;
    if (!x) {
        x = *request = calloc(1, sizeof *x);
        if (x)
            x->connection = c;
        return x ? MHD_YES : MHD_NO;
    }
    if (*data_len) {
        size_t room = x->body_len < BODY_MAX_BYTES ? BODY_MAX_BYTES - x->body_len : 0;
        memcpy(x->body + (BODY_MAX_BYTES - room), data, *data_len < room ? *data_len : room);
        x->body_len += *data_len;
        *data_len = 0;
        return MHD_YES;
    }
    if (x->decided)
        return send_answer(x);
    decide(s, x, path, method);
    log_exchange(s, x, path, method);
    x->decided = true;

    pthread_mutex_lock(&s->mutex);
    bool stopping = s->stopping;
    if (!stopping) {
        MHD_suspend_connection(c);
        *s->queue_end = x;
        s->queue_end = &x->next;
    }
    pthread_mutex_unlock(&s->mutex);
    if (stopping) /* nobody commits any more, so nobody may be told */
        return MHD_NO;
    uv_async_send(&s->wake);
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *request;
    if (x)
        answer_clear(&x->answer);
    free(x);
    *request = NULL;
}

/* ---- start and stop ---- */

int server_start(uv_loop_t *loop, const struct server_options *options, struct vending *vending,
                 struct server **ret_server, char *ret_error, size_t error_size)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->options = options;
    s->vending = vending;
    s->loop = loop;
    s->queue_end = &s->queue;
    pthread_mutex_init(&s->mutex, NULL);
    if (uv_async_init(loop, &s->wake, on_wake) < 0 || uv_timer_init(loop, &s->timer) < 0)
        abort();
    s->wake.data = s->timer.data = s;
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                                 MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 120u, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!s->daemon) {
        snprintf(ret_error, error_size, "127.0.0.1:%d: cannot listen: %s", options->port, strerror(errno));
        server_stop(s);
        uv_run(loop, UV_RUN_DEFAULT);
        server_free(s);
        return -1;
    }
    s->port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    *ret_server = s;
    return 0;
}

int server_port(const struct server *s)
{
    return s->port;
}

void server_stop(struct server *s)
{
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_mutex_unlock(&s->mutex);
    on_wake(&s->wake);
    while (s->n_waiting) {
        s->waiting[0]->answer.cut = true;
        let_go(heap_pop(s));
    }
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

void server_free(struct server *s)
{
    pthread_mutex_destroy(&s->mutex);
    free(s->lines);
    free(s);
}
