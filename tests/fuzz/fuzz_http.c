/* Bytes of HTTP clients, before the real listener with a core of a few functions. A byte 0x1e is not sent: there the
 * client waits. Whatever came, the core gets only what is well-formed, nothing answers 500, and the next client is
 * served. */
#include "fuzz.h"

#include "core/audit.h"
#include "core/core.h"
#include "core/edge.h"
#include "core/log.h"
#include "core/registry.h"
#include "services/http_server_private.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEEN_MAX_BYTES (1 << 20)
#define ROUNDS_MAX 3000
#define QUIET_ROUNDS 4
#define PENDING_MAX 256
#define IDLE_MS 1000
#define LEFT_MAX 200    /* connections */
#define SERVED_EVERY 64 /* inputs: a client that behaves */

/* ---- a core ---- */

static uv_loop_t loop;
static json_t *document;
static struct manifest_expose exposes[] = {
    {.method = "POST", .path = "/things", .success = 201, .refused = 409},
    {.method = "GET", .path = "/things/{thing_id}", .success = 200, .refused = 422},
    {.method = "POST", .path = "/hooks/{channel}", .success = 200, .refused = 422},
};
static struct manifest_operation declarations[] = {{.type = "make", .expose = &exposes[0]},
                                                   {.type = "show", .expose = &exposes[1]},
                                                   {.type = "hook", .expose = &exposes[2], .raw = true}};
static struct operation operations[3];
static struct pending {
    edge_done done;
    void *arg;
    cvm_id id;
    json_t *data;
} pending[PENDING_MAX];
static size_t n_pending;
static uint64_t n_submitted;

const struct operation *registry_operations(const struct core *core, size_t *ret_n)
{
    (void)core;
    *ret_n = 3;
    return operations;
}

const struct registry_page *registry_pages(const struct core *core, size_t *ret_n)
{
    (void)core;
    *ret_n = 0;
    return NULL;
}

const struct registry_stream *registry_streams(const struct core *core, size_t *ret_n)
{
    (void)core;
    *ret_n = 0;
    return NULL;
}

void edge_listen(struct core *core, edge_published fn, void *arg)
{
    (void)core;
    (void)fn;
    (void)arg;
}

int core_query(struct core *core, const char *sql, json_t *binds, size_t limit, core_rows done, void *arg)
{
    (void)core;
    (void)sql;
    (void)limit;
    (void)done;
    (void)arg;
    json_decref(binds);
    return CVM_EBUSY;
}

int64_t edge_durable(const struct core *core)
{
    (void)core;
    return 0;
}

json_t *manifest_strings_json(const struct manifest_strings *strings)
{
    (void)strings;
    return json_array();
}

uint64_t registry_version(const struct core *core)
{
    (void)core;
    return 1;
}

const char *manifest_kind_name(enum manifest_kind kind)
{
    (void)kind;
    return "agent";
}

char *core_metrics(const struct core *core)
{
    (void)core;
    return strdup("cvmhost_up 1\n");
}

void core_health(const struct core *core, json_t *body)
{
    (void)core;
    (void)body;
}

const char *core_unhealthy(const struct core *core)
{
    (void)core;
    return NULL;
}

void audit_event_limited(struct core *c, const char *what, json_t *data)
{
    (void)c, (void)what;
    json_decref(data);
}

int edge_submit(struct core *core, struct edge_in *in, edge_done done, void *arg, cvm_id *ret_id,
                struct edge_error *ret_error)
{
    (void)core;
    FUZZ_CHECK(json_is_object(in->data));
    FUZZ_CHECK(!in->key || (strlen(in->key) >= 1 && strlen(in->key) <= HTTP_KEY_MAX_BYTES));
    FUZZ_CHECK(in->traceparent && strlen(in->traceparent) == 55);
    char *text = json_dumps(in->data, 0);
    FUZZ_CHECK(text);
    free(text);
    if (n_pending == PENDING_MAX || json_object_get(in->data, "full")) {
        json_decref(in->data);
        *ret_error = (struct edge_error){.error = CVM_EBUSY, .text = "Full.", .retry_after_s = 1};
        return CVM_EBUSY;
    }
    pending[n_pending++] = (struct pending){done, arg, {1, ++n_submitted}, in->data};
    *ret_id = pending[n_pending - 1].id;
    return 0;
}

void edge_forget(struct core *core, cvm_id id, void *arg)
{
    (void)core;
    for (size_t i = 0; i < n_pending; i++) {
        if (!cvm_id_eq(pending[i].id, id) || pending[i].arg != arg)
            continue;
        json_decref(pending[i].data);
        pending[i] = pending[--n_pending];
        return;
    }
    FUZZ_CHECK(!"forgets what was asked");
}

static void answer_all(void)
{
    while (n_pending) {
        struct pending p = pending[--n_pending];
        struct edge_reply reply = {.request = p.id, .outcome = CVM_REPLIED, .data = p.data, .content = ""};
        p.done(p.arg, &reply);
        json_decref(p.data);
    }
}

/* ---- the listener ---- */

static struct http_server *server;
static int port;

static void start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 16) == 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    struct http_server_options options = {
        .loop = &loop, .listen_fd = fd, .body_max_bytes = 4096, .idle_ms = IDLE_MS, .version = "1"};
    FUZZ_CHECK(http_server_new(&options, &server) == 0);
    close(fd);
}

static void stop(void)
{
    http_server_stop(server, 0, NULL, NULL);
    for (int i = 0; i < ROUNDS_MAX && uv_run(&loop, UV_RUN_NOWAIT); i++)
        usleep(1000);
    uv_loop_close(&loop);
    json_decref(document);
}

static void prepare(void)
{
    log_open(NULL, LOG_ERROR, 0);
    uv_loop_init(&loop);
    document =
        json_loads("{\"request\": {\"properties\": {\"count\": {\"type\": \"integer\"}, \"tags\": {\"type\": \"array\","
                   "\"items\": {\"type\": \"integer\"}}}}, \"rename\": {\"phone\": \"recipient_phone\"}}",
                   0, NULL);
    for (size_t i = 0; i < 3; i++) {
        declarations[i].request_schema = json_object_get(document, "request");
        exposes[i].rename = json_object_get(document, "rename");
        operations[i] = (struct operation){.component_id = "a.shop",
                                           .alias = "Shop",
                                           .plugin = "shop",
                                           .decl = &declarations[i],
                                           .document = document};
    }
    start();
    atexit(stop);
}

/* ---- a client ---- */

static char seen[SEEN_MAX_BYTES + 1];
static size_t seen_len;
static bool gone;

static int dial(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    struct linger at_once = {.l_onoff = 1};
    /* Where the server closes first its side of the pair waits for a minute: many addresses of our own, many pairs. */
    static uint32_t calls;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + calls++ % 4000)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof own) == 0);
    int tries = 0; /* a machine that is busy with other tests may be out of something for a moment */
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EISCONN && tries++ < 100)
        usleep(20000);
    FUZZ_CHECK(tries <= 100);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* no port waits after it */
    seen_len = 0;
    gone = false;
    return fd;
}

static bool turn(int fd)
{
    size_t before = seen_len;
    uv_run(&loop, UV_RUN_NOWAIT);
    bool busy = n_pending > 0;
    answer_all();
    while (!gone) {
        ssize_t n = recv(fd, seen + seen_len, SEEN_MAX_BYTES - seen_len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        gone = n <= 0;
        seen_len += n > 0 ? (size_t)n : 0;
    }
    return busy || seen_len != before;
}

static void listen_to(int fd)
{
    for (int i = 0, quiet = 0; i < ROUNDS_MAX && quiet < QUIET_ROUNDS && !gone; i++)
        quiet = turn(fd) ? 0 : quiet + 1;
}

static void tell(int fd, const char *bytes, size_t len)
{
    while (len && !gone) {
        const char *stop_at = memchr(bytes, 0x1e, len);
        size_t piece = stop_at ? (size_t)(stop_at - bytes) : len;
        for (size_t sent = 0; sent < piece && !gone;) {
            ssize_t n = send(fd, bytes + sent, piece - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return;
            sent += n > 0 ? (size_t)n : 0;
            turn(fd);
        }
        listen_to(fd);
        piece += stop_at != NULL;
        bytes += piece;
        len -= piece;
    }
}

static size_t open_connections(void)
{
    size_t n = 0;
    const struct http_connection *c;
    TAILQ_FOREACH(c, &server->connections, link) n++;
    return n;
}

/* libmicrohttpd overlooks some ends of connections that were told more than one request, until they have been idle too
 * long: there may be a few, but none for ever. */
static void hang_up(int fd)
{
    close(fd);
    for (int i = 0; i < QUIET_ROUNDS * 8 && !TAILQ_EMPTY(&server->connections); i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        answer_all();
    }
    FUZZ_CHECK(TAILQ_EMPTY(&server->waiting) && !n_pending);
    for (int i = 0; i < 4 * IDLE_MS && open_connections() > LEFT_MAX; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    FUZZ_CHECK(open_connections() <= LEFT_MAX);
}

/* One answer; gives where the next begins, NULL where the rest of it has not come. */
static const char *check_answer(const char *at, const char *end)
{
    int status = 0, n = 0;
    FUZZ_CHECK(sscanf(at, "HTTP/1.1 %3d%n", &status, &n) == 1 && n == 12 && status >= 100 && status < 600 &&
               status != 500);
    const char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (!body)
        return NULL;
    const char *length = memmem(at, (size_t)(body - at), "\r\nContent-Length: ", 18);
    size_t left = length && status >= 200 && status != 304 ? strtoull(length + 18, NULL, 10) : 0;
    body += 4;
    if (body == end || strncmp(body, "HTTP/1.1 ", 9) == 0) /* the answer to a HEAD */
        return body;
    return left <= (size_t)(end - body) ? body + left : NULL;
}

static void check_seen(void)
{
    seen[seen_len] = 0;
    for (const char *at = seen, *end = seen + seen_len; at && at < end;)
        at = check_answer(at, end);
}

static void behave(void)
{
    static const char request[] = "GET /things/a HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial();
    tell(fd, request, sizeof request - 1);
    for (int i = 0; i < ROUNDS_MAX && seen_len < 12; i++)
        turn(fd);
    FUZZ_CHECK(strncmp(seen, "HTTP/1.1 200", 12) == 0);
    hang_up(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t n;
    if (!server)
        prepare();
    int fd = dial();
    tell(fd, (const char *)data, size);
    listen_to(fd);
    check_seen();
    hang_up(fd);
    if (n++ % SERVED_EVERY == 0)
        behave();
    return 0;
}
