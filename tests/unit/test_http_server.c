/* The HTTP listener over real sockets, with a core of a few functions behind it. Client and server share one loop, so
 * every test says exactly what the client sends and when. */
#include "services/http_server.h"

#include "core/audit.h"
#include "core/core.h"
#include "core/crash.h"
#include "core/edge.h"
#include "core/registry.h"
#include "services/access.h"
#include "services/operation_counters.h"
#include "services/rest.h"
#include <arpa/inet.h>
#include <check.h>
#include <cvm/json.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a core -------------------------------------------------------------------------------------------------------
 */

static uv_loop_t loop;
static uv_timer_t answering;
static json_t *document;
static uint64_t version = 1;
static size_t n_operations;
static const char *unhealthy;

static struct pending {
    edge_done done;
    void *arg;
    cvm_id id;
    int outcome;
    json_t *data;
    bool held;
} pending[64];
static size_t n_pending;
static int n_submitted, n_forgotten;
static char last_type[64], last_key[160], last_trace[64], last_to[64];
static json_t *last_data;

static struct manifest_expose exposes[] = {
    {.method = "POST", .path = "/api/v1/things", .success = 201, .refused = 409},
    {.method = "GET", .path = "/api/v1/things", .success = 200, .refused = 422},
    {.method = "GET", .path = "/api/v1/things/{thing_id}", .success = 200, .refused = 422},
    {.method = "GET", .path = "/api/v1/things/special", .success = 200, .refused = 422},
    {.method = "POST", .path = "/api/v1/hold", .success = 200, .refused = 422},
    {.method = "POST", .path = "/smuggled", .success = 200, .refused = 422},
    {.method = "POST", .path = "/hooks/{channel}", .success = 200, .refused = 422},
    {.method = "POST", .path = "/guarded", .success = 200, .refused = 422, .permission = "sell"},
    {.method = "POST", .path = "/guarded/raw", .success = 200, .refused = 422, .permission = "sell"},
    {.method = "POST", .path = "/late", .success = 200, .refused = 422},
};
static struct manifest_operation declarations[] = {
    {.type = "make", .expose = &exposes[0]},
    {.type = "list", .expose = &exposes[1]},
    {.type = "show", .expose = &exposes[2]},
    {.type = "special", .expose = &exposes[3]},
    {.type = "hold", .expose = &exposes[4]},
    {.type = "smuggled", .expose = &exposes[5]},
    {.type = "hook", .expose = &exposes[6], .raw = true},
    {.type = "guarded", .expose = &exposes[7]},
    {.type = "guarded_raw", .expose = &exposes[8], .raw = true},
    {.type = "late", .expose = &exposes[9]},
};
static struct operation operations[sizeof declarations / sizeof *declarations];

const struct operation *registry_operations(const struct core *core, size_t *ret_n)
{
    *ret_n = n_operations;
    return operations;
}

const struct registry_page *registry_pages(const struct core *core, size_t *ret_n)
{
    (void)core;
    *ret_n = 0;
    return NULL;
}

static const char *topics[] = {"news", "weather"};
static struct manifest_stream stream_decls[] = {
    {.path = "/events", .topics = {topics, 2}},
    {.path = "/guarded/events", .permission = "sell", .topics = {topics, 1}}};
static const struct registry_stream streams[] = {{"shop", &stream_decls[0]}, {"shop", &stream_decls[1]}};
static size_t n_streams = 2;
static edge_published published;
static void *published_arg;
static int64_t durable;

const struct registry_stream *registry_streams(const struct core *core, size_t *ret_n)
{
    (void)core;
    *ret_n = n_streams;
    return streams;
}

void edge_listen(struct core *core, edge_published fn, void *arg)
{
    (void)core;
    published = fn;
    published_arg = arg;
}

/* A turn that is durable now has published so many. */
static void publish(const char *topic, size_t n)
{
    struct edge_publication all[8] = {0};
    for (size_t i = 0; i < n; i++)
        all[i] = (struct edge_publication){.topic = topic, .component = "a.shop"};
    published(published_arg, ++durable, all, n);
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
    return durable;
}

json_t *manifest_strings_json(const struct manifest_strings *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < strings->n; i++)
        json_array_append_new(array, json_string(strings->at[i]));
    return array;
}

uint64_t registry_version(const struct core *core)
{
    return version;
}

const char *manifest_kind_name(enum manifest_kind kind)
{
    return "agent";
}

char *core_metrics(const struct core *core)
{
    return strdup("# HELP cvmhost_up One.\n# TYPE cvmhost_up gauge\ncvmhost_up 1\n");
}

void core_health(const struct core *core, json_t *body)
{
    (void)core;
    (void)body;
}

const char *core_unhealthy(const struct core *core)
{
    return unhealthy;
}

static void on_answering(uv_timer_t *timer)
{
    for (size_t i = 0; i < n_pending;) {
        struct pending p = pending[i];
        if (p.held) {
            i++;
            continue;
        }
        pending[i] = pending[--n_pending];
        struct edge_reply reply = {.request = p.id,
                                   .outcome = p.outcome,
                                   .data = p.data,
                                   .content = "",
                                   .repeated = strcmp(last_key, "again") == 0};
        p.done(p.arg, &reply);
        json_decref(p.data);
    }
}

static unsigned n_refused; /* receipts of it */

void audit_event_limited(struct core *core, const char *what, json_t *data)
{
    (void)core;
    ck_assert_str_eq(what, "edge.refused");
    ck_assert_str_eq(json_string_value(json_object_get(data, "permission")), "sell");
    json_decref(data);
    n_refused++;
}

/* The data says what to do: {"outcome": n, "reply": {..}} or {"error": n, "field": ".."}; else it comes back. */
int edge_submit(struct core *core, struct edge_in *in, edge_done done, void *arg, cvm_id *ret_id,
                struct edge_error *ret_error)
{
    n_submitted++;
    snprintf(last_type, sizeof last_type, "%s", in->type);
    snprintf(last_to, sizeof last_to, "%s", in->to);
    snprintf(last_key, sizeof last_key, "%s", in->key ? in->key : "-");
    snprintf(last_trace, sizeof last_trace, "%s", in->traceparent ? in->traceparent : "-");
    ck_assert_str_eq(in->source, "http");
    json_decref(last_data);
    last_data = in->data;
    json_t *error = json_object_get(in->data, "error");
    if (error) {
        ret_error->error = (int)json_integer_value(error);
        ret_error->retry_after_s = 7;
        const char *field = json_string_value(json_object_get(in->data, "field"));
        snprintf(ret_error->field, sizeof ret_error->field, "%s", field ? field : "");
        snprintf(ret_error->text, sizeof ret_error->text, "The core said no.");
        return ret_error->error;
    }
    json_t *outcome = json_object_get(in->data, "outcome");
    struct pending *p = &pending[n_pending++];
    *p = (struct pending){.done = done, .arg = arg, .id = {1, (uint64_t)n_submitted}};
    p->outcome = outcome ? (int)json_integer_value(outcome) : CVM_REPLIED;
    json_t *reply = json_object_get(in->data, "reply");
    p->data = json_incref(reply ? reply : in->data);
    p->held = strcmp(in->type, "hold") == 0;
    *ret_id = p->id;
    uv_timer_start(&answering, on_answering, 1, 0);
    return 0;
}

void edge_forget(struct core *core, cvm_id id, void *arg)
{
    for (size_t i = 0; i < n_pending; i++) {
        if (!cvm_id_eq(pending[i].id, id) || pending[i].arg != arg)
            continue;
        json_decref(pending[i].data);
        pending[i] = pending[--n_pending];
        n_forgotten++;
        return;
    }
    ck_abort_msg("forgot what was not asked");
}

static void release_held(void)
{
    for (size_t i = 0; i < n_pending; i++)
        pending[i].held = false;
    uv_timer_start(&answering, on_answering, 1, 0);
}

/* ---- server -------------------------------------------------------------------------------------------------------
 */

static struct http_server *server;
static int port, is_stopped;

static void on_stopped(void *arg)
{
    is_stopped = 1;
}

static void start(const struct http_server_options *wanted)
{
    struct http_server_options options = *wanted;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 128), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    options.loop = &loop;
    options.listen_fd = fd;
    ck_assert_int_eq(http_server_new(&options, &server), 0);
    close(fd);
}

static void setup(void)
{
    uv_loop_init(&loop);
    uv_timer_init(&loop, &answering);
    document = json_loads("{\"schemas\": {\"Thing\": {\"allOf\": [{\"properties\": {\"count\": {\"type\": \"integer\"},"
                          "\"price\": {\"$ref\": \"#/schemas/Price\"}, \"fast\": {\"type\": \"boolean\"},"
                          "\"amount\": {\"type\": [\"number\", \"string\"]}, \"tags\": {\"type\": \"array\","
                          "\"items\": {\"type\": \"integer\"}}, \"thing_id\": {\"type\": \"string\"}}}]},"
                          "\"Price\": {\"type\": [\"number\", \"null\"]}},"
                          "\"rename\": {\"phone\": \"recipient_phone\"}, \"request\": {\"$ref\": \"#/schemas/Thing\"}}",
                          0, NULL);
    ck_assert_ptr_nonnull(document);
    n_operations = sizeof operations / sizeof *operations - 1;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        declarations[i].request_schema = json_object_get(document, "request");
        exposes[i].rename = json_object_get(document, "rename");
        operations[i] = (struct operation){.component_id = "a.shop",
                                           .alias = "Shop",
                                           .plugin = "shop",
                                           .decl = &declarations[i],
                                           .document = document};
    }
    static const struct http_server_options options = {
        .answer_timeout_ms = 200, .slow_client_ms = 200, .body_max_bytes = 100000, .idle_ms = 60000};
    start(&options);
}

static void stop(void)
{
    is_stopped = 0;
    http_server_stop(server, 0, on_stopped, NULL);
    for (int i = 0; i < 3000 && !is_stopped; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert_int_eq(is_stopped, 1);
    server = NULL;
}

static void teardown(void)
{
    if (server)
        stop();
    uv_close((uv_handle_t *)&answering, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_uint_eq(n_pending, 0);
    json_decref(last_data);
    json_decref(document);
}

/* ---- client -------------------------------------------------------------------------------------------------------
 */

#define SEEN_MAX_BYTES 200000

struct client {
    int fd;
    char seen[SEEN_MAX_BYTES];
    size_t len;
    bool closed;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static struct client *dial(void)
{
    struct client *client = calloc(1, sizeof *client);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    return client;
}

static void hang_up(struct client *client)
{
    close(client->fd);
    free(client);
}

static int answers(const struct client *client)
{
    int n = 0;
    for (const char *at = client->seen; (at = strstr(at, "HTTP/1.1 ")); at++)
        n++;
    return n;
}

static void turn(struct client *client)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    while (!client->closed && client->len < SEEN_MAX_BYTES - 1) {
        ssize_t n = recv(client->fd, client->seen + client->len, SEEN_MAX_BYTES - 1 - client->len, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            client->closed = true;
        else
            client->len += (size_t)n;
    }
    client->seen[client->len] = 0;
}

static void tell(struct client *client, const char *bytes, size_t len)
{
    uint64_t end = now_ms() + 3000;
    while (len && !client->closed && now_ms() < end) {
        ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN) {
            break;
        }
        turn(client);
    }
}

static void tell_text(struct client *client, const char *text)
{
    tell(client, text, strlen(text));
}

/* Until the server closes, `n` answers have begun and it is quiet, or `ms` are over. */
static void listen_to(struct client *client, int n, uint64_t ms)
{
    uint64_t end = now_ms() + ms, quiet_since = now_ms();
    size_t len = client->len;
    while (!client->closed && now_ms() < end) {
        turn(client);
        if (client->len != len)
            quiet_since = now_ms();
        len = client->len;
        if (answers(client) >= n && now_ms() - quiet_since > 20)
            break;
        usleep(200);
    }
}

static int status_of(const struct client *client)
{
    int status = 0;
    sscanf(client->seen, "HTTP/1.1 %d", &status);
    return status;
}

static json_t *body_of(const struct client *client)
{
    const char *body = strstr(client->seen, "\r\n\r\n");
    return body ? json_loads(body + 4, 0, NULL) : NULL;
}

static bool has_header(const struct client *client, const char *line)
{
    const char *end = strstr(client->seen, "\r\n\r\n"), *at = strstr(client->seen, line);
    return at && end && at < end && at[-1] == '\n' && strncmp(at + strlen(line), "\r\n", 2) == 0;
}

static struct client *ask(const char *method, const char *path, const char *headers, const char *body)
{
    static char request[400000];
    struct client *client = dial();
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", method, path,
                     headers ? headers : "");
    if (body)
        n += snprintf(request + n, sizeof request - (size_t)n, "Content-Length: %zu\r\n", strlen(body));
    n += snprintf(request + n, sizeof request - (size_t)n, "\r\n%s", body ? body : "");
    tell(client, request, (size_t)n);
    listen_to(client, 1000, 2000);
    ck_assert_int_eq(answers(client), 1);
    ck_assert(client->closed);
    return client;
}

static int status_for(const char *method, const char *path, const char *headers, const char *body)
{
    struct client *client = ask(method, path, headers, body);
    int status = status_of(client);
    hang_up(client);
    return status;
}

/* Asks, checks status and code of a problem; gives its body. */
static json_t *problem_for(const char *method, const char *path, const char *headers, const char *body, int status,
                           const char *code)
{
    struct client *client = ask(method, path, headers, body);
    ck_assert_msg(status_of(client) == status, "%s %s: %.200s", method, path, client->seen);
    ck_assert(has_header(client, "Content-Type: application/problem+json"));
    ck_assert(has_header(client, "X-Content-Type-Options: nosniff"));
    ck_assert(has_header(client, "Cache-Control: no-store"));
    json_t *problem = body_of(client);
    ck_assert_msg(problem != NULL, "%s", client->seen);
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "code")), code);
    ck_assert(json_is_string(json_object_get(problem, "title")));
    ck_assert(json_is_string(json_object_get(problem, "request_id")));
    ck_assert_int_eq(strncmp(json_string_value(json_object_get(problem, "type")), "urn:", 4), 0);
    hang_up(client);
    return problem;
}

static void check_problem(const char *method, const char *path, const char *headers, const char *body, int status,
                          const char *code)
{
    json_decref(problem_for(method, path, headers, body, status, code));
}

static void check_data(const char *expected)
{
    json_t *wanted = json_loads(expected, 0, NULL);
    ck_assert_ptr_nonnull(wanted);
    char *text = json_dumps(last_data, JSON_COMPACT);
    ck_assert_msg(json_equal(wanted, last_data), "expected %s, got %s", expected, text);
    free(text);
    json_decref(wanted);
}

/* ---- routing ------------------------------------------------------------------------------------------------------
 */

START_TEST(finds_operations)
{
    struct client *client = ask("POST", "/api/v1/things", NULL, "{\"a\":129.95}");
    ck_assert_int_eq(status_of(client), 201);
    ck_assert_str_eq(strstr(client->seen, "\r\n\r\n") + 4, "{\"a\":129.95}");
    ck_assert(has_header(client, "Content-Type: application/json"));
    ck_assert(has_header(client, "X-Content-Type-Options: nosniff"));
    ck_assert(has_header(client, "Cache-Control: no-store"));
    hang_up(client);
    ck_assert_str_eq(last_type, "make");
    ck_assert_str_eq(last_to, "a.shop");
    ck_assert_str_eq(last_key, "-");
    ck_assert_int_eq(status_for("GET", "/api/v1/things/special", NULL, NULL), 200);
    ck_assert_str_eq(last_type, "special");
    ck_assert_int_eq(status_for("GET", "/api/v1/things/7", NULL, NULL), 200);
    ck_assert_str_eq(last_type, "show");
    check_data("{\"thing_id\": \"7\"}");
    ck_assert_int_eq(status_for("GET", "http://x.example/api/v1/things/7", NULL, NULL), 200);
}
END_TEST

START_TEST(says_what_is_not_there)
{
    static const char *const paths[] = {"/",
                                        "/api",
                                        "/api/v1/things/",
                                        "/api/v1/things/1/2",
                                        "//api/v1/things",
                                        "/API/v1/things",
                                        "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s",
                                        "*"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        check_problem("GET", paths[i], NULL, NULL, 404, "NOT_FOUND");
    struct client *client = ask("DELETE", "/api/v1/things", NULL, NULL);
    ck_assert_int_eq(status_of(client), 405);
    ck_assert(has_header(client, "Allow: GET, HEAD, POST") || has_header(client, "Allow: POST, GET, HEAD"));
    hang_up(client);
    check_problem("POST", "/health", NULL, "{}", 405, "METHOD_NOT_ALLOWED");
    check_problem("BREW", "/api/v1/things", NULL, NULL, 405, "METHOD_NOT_ALLOWED");
    ck_assert_int_eq(n_submitted, 0);
}
END_TEST

START_TEST(head_is_get_without_body)
{
    struct client *client = ask("HEAD", "/api/v1/things/7", NULL, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert_str_eq(strstr(client->seen, "\r\n\r\n"), "\r\n\r\n");
    hang_up(client);
    ck_assert_str_eq(last_type, "show");
}
END_TEST

START_TEST(decodes_paths)
{
    ck_assert_int_eq(status_for("GET", "/api/v1/things/a%2Fb%20c%C3%A9+d", NULL, NULL), 200);
    check_data("{\"thing_id\": \"a/b c\u00e9+d\"}");
    ck_assert_int_eq(status_for("GET", "/api/v1/%74hings/1", NULL, NULL), 200);
    static const char *const bad[] = {"/api/v1/things/%", "/api/v1/things/%2", "/api/v1/things/%zz",
                                      "/api/v1/things/a%00b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_problem("GET", bad[i], NULL, NULL, 400, "INVALID_PATH");
    check_problem("GET", "/api/v1/things/%ff", NULL, NULL, 400, "INVALID_REQUEST");
    char longer[2100];
    memset(longer, 'a', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = 0;
    check_problem("GET", longer, NULL, NULL, 414, "PATH_TOO_LONG");
}
END_TEST

START_TEST(types_queries)
{
    ck_assert_int_eq(status_for("GET",
                                "/api/v1/things?count=5&price=2.5&fast=true&amount=10&phone=080&q=a+b%26c&e=&f"
                                "&tags=1&tags=2",
                                NULL, NULL),
                     200);
    check_data("{\"count\": 5, \"price\": 2.5, \"fast\": true, \"amount\": \"10\", \"recipient_phone\": \"080\","
               "\"q\": \"a b&c\", \"e\": \"\", \"f\": \"\", \"tags\": [1, 2]}");
    ck_assert_int_eq(status_for("GET", "/api/v1/things?count=x&price=1e999&fast=yes&&", NULL, NULL), 200);
    check_data("{\"count\": \"x\", \"price\": \"1e999\", \"fast\": \"yes\"}");
    json_t *problem = problem_for("GET", "/api/v1/things?q=1&q=2", NULL, NULL, 400, "INVALID_REQUEST");
    ck_assert_str_eq(json_string_value(json_object_get(problem, "field")), "q");
    json_decref(problem);
    check_problem("GET", "/api/v1/things?q=%f", NULL, NULL, 400, "INVALID_QUERY");
    check_problem("GET", "/api/v1/things?q=%ff", NULL, NULL, 400, "INVALID_REQUEST");
    char many[1000] = "/api/v1/things?";
    for (int i = 0; i < 65; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "a%d=%d&", i, i);
    check_problem("GET", many, NULL, NULL, 400, "INVALID_QUERY");
}
END_TEST

START_TEST(prefers_body_over_query)
{
    ck_assert_int_eq(status_for("POST", "/api/v1/things?count=5&phone=1&x=y", NULL, "{\"count\": 6, \"phone\": \"2\"}"),
                     201);
    check_data("{\"count\": 6, \"recipient_phone\": \"2\", \"x\": \"y\"}");
    ck_assert_int_eq(status_for("POST", "/api/v1/things?count=5", NULL, NULL), 201);
    check_data("{\"count\": 5}");
    ck_assert_int_eq(status_for("GET", "/api/v1/things/1?thing_id=2", NULL, "{\"thing_id\": 3}"), 200);
    check_data("{\"thing_id\": \"1\"}");
}
END_TEST

START_TEST(follows_the_registry)
{
    ck_assert_int_eq(status_for("POST", "/late", NULL, "{}"), 404);
    n_operations++;
    ck_assert_int_eq(status_for("POST", "/late", NULL, "{}"), 404);
    version++;
    ck_assert_int_eq(status_for("POST", "/late", NULL, "{}"), 200);
}
END_TEST

START_TEST(hands_over_raw_requests)
{
    struct client *client =
        ask("POST", "/hooks/sms?id=5", "Content-Type: text/plain\r\nX-Sign: s\r\nCookie: c\r\n", "hello");
    ck_assert_int_eq(status_of(client), 200);
    hang_up(client);
    json_object_del(json_object_get(last_data, "headers"), "content-length");
    check_data("{\"method\": \"POST\", \"path\": \"/hooks/sms\", \"parameters\": {\"id\": \"5\", \"channel\": \"sms\"},"
               "\"headers\": {\"host\": \"x\", \"connection\": \"close\", \"content-type\": \"text/plain\","
               "\"x-sign\": \"s\"}, \"body\": \"aGVsbG8=\"}");
}
END_TEST

/* ---- bodies -------------------------------------------------------------------------------------------------------
 */

START_TEST(refuses_bad_json)
{
    static const char *const bodies[] = {"{\"a\":1,}",
                                         "{",
                                         "[1]",
                                         "7",
                                         "{\"a\":1}x",
                                         "{\"a\":1,\"a\":2}",
                                         "\xff",
                                         "{\"a\":\"\\u0000\"}",
                                         "{\"a\":99999999999999999999}",
                                         "nul"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        check_problem("POST", "/api/v1/things", NULL, bodies[i], 400, "INVALID_JSON");
    json_t *problem = problem_for("POST", "/api/v1/things", NULL, "{\"a\": 1,\n \"b\": x}", 400, "INVALID_JSON");
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    ck_assert_msg(strstr(detail, "line 2") != NULL, "%s", detail);
    json_decref(problem);
    char deep[300] = "{\"a\":";
    memset(deep + 5, '[', 100);
    memset(deep + 105, ']', 100);
    deep[205] = '}';
    check_problem("POST", "/api/v1/things", NULL, deep, 400, "INVALID_JSON");
    ck_assert_int_eq(n_submitted, 0);
}
END_TEST

START_TEST(wants_json)
{
    check_problem("POST", "/api/v1/things", "Content-Type: text/plain\r\n", "{}", 415, "UNSUPPORTED_TYPE");
    check_problem("POST", "/api/v1/things", "Content-Type: application/x-www-form-urlencoded\r\n", "a=1", 415,
                  "UNSUPPORTED_TYPE");
    check_problem("POST", "/api/v1/things", "Content-Encoding: gzip\r\n", "{}", 415, "UNSUPPORTED_ENCODING");
    static const char *const types[] = {"", "Content-Type: application/json\r\n",
                                        "content-type: Application/JSON; charset=utf-8\r\n",
                                        "Content-Type: application/vnd.x+json\r\n", "Content-Encoding: identity\r\n"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        ck_assert_int_eq(status_for("POST", "/api/v1/things", types[i], "{}"), 201);
}
END_TEST

/* A browser sends what a page of another origin wants to post, without asking, where it looks like a form. */
START_TEST(refuses_pages_of_other_origins)
{
    static const struct {
        const char *headers;
        int status;
    } cases[] = {{"Origin: http://x\r\n", 201},
                 {"Origin: https://X\r\n", 201},
                 {"Origin: http://x.example\r\n", 403},
                 {"Origin: http://x:81\r\n", 403},
                 {"Origin: null\r\n", 403},
                 {"Origin: https://x.example\r\nSec-Fetch-Site: same-origin\r\n", 201},
                 {"Sec-Fetch-Site: none\r\n", 201},
                 {"Sec-Fetch-Site: same-site\r\n", 403},
                 {"Origin: http://x\r\nSec-Fetch-Site: cross-site\r\n", 403}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(status_for("POST", "/api/v1/things", cases[i].headers, "{}") == cases[i].status, "%s",
                      cases[i].headers);
    check_problem("POST", "/api/v1/things", "Origin: http://other\r\n", "{}", 403, "FOREIGN_ORIGIN");
    ck_assert_int_eq(status_for("GET", "/health", "Origin: http://other\r\n", NULL), 200);
}
END_TEST

START_TEST(limits_bodies)
{
    static char body[100002];
    memset(body, ' ', sizeof body - 1);
    memcpy(body, "{}", 2);
    body[100000] = 0;
    ck_assert_int_eq(status_for("POST", "/api/v1/things", NULL, body), 201);
    body[100000] = ' ';
    check_problem("POST", "/api/v1/things", NULL, body, 413, "TOO_LARGE");
    struct client *client = dial();
    tell_text(client, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        tell_text(client, "7530\r\n");
        tell(client, body + 2, 30000);
        tell_text(client, "\r\n");
    }
    tell_text(client, "0\r\n\r\n");
    listen_to(client, 1, 1000);
    ck_assert_int_eq(status_of(client), 413);
    hang_up(client);
    client = dial(); /* so much that it is not even read */
    tell_text(client, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n");
    listen_to(client, 1000, 1000);
    ck_assert_int_eq(status_of(client), 413);
    ck_assert(client->closed);
    hang_up(client);
}
END_TEST

START_TEST(takes_chunks)
{
    struct client *client = dial();
    tell_text(client, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n");
    listen_to(client, 1, 1000);
    ck_assert_int_eq(status_of(client), 201);
    check_data("{\"a\": 1}");
    hang_up(client);
}
END_TEST

/* ---- keys and ids -------------------------------------------------------------------------------------------------
 */

START_TEST(takes_keys)
{
    ck_assert_int_eq(status_for("POST", "/api/v1/things", "Idempotency-Key: order 17\r\n", "{}"), 201);
    ck_assert_str_eq(last_key, "order 17");
    struct client *client = ask("POST", "/api/v1/things", "Idempotency-Key: again\r\n", "{}");
    ck_assert(has_header(client, "Idempotent-Replayed: true"));
    hang_up(client);
    char header[200] = "Idempotency-Key: ";
    memset(header + 17, 'k', 129);
    memcpy(header + 17 + 129, "\r\n", 3);
    json_t *problem = problem_for("POST", "/api/v1/things", header, "{}", 400, "INVALID_REQUEST");
    ck_assert_str_eq(json_string_value(json_object_get(problem, "field")), "Idempotency-Key");
    json_decref(problem);
    memcpy(header + 17 + 128, "\r\n", 3);
    ck_assert_int_eq(status_for("POST", "/api/v1/things", header, "{}"), 201);
    check_problem("POST", "/api/v1/things", "Idempotency-Key: \r\n", "{}", 400, "INVALID_REQUEST");
    check_problem("POST", "/api/v1/things", "Idempotency-Key: \xc3\xa9\r\n", "{}", 400, "INVALID_REQUEST");
    check_problem("POST", "/api/v1/things", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "{}", 400, "INVALID_HTTP");
}
END_TEST

START_TEST(echoes_ids)
{
    struct client *client = ask("POST", "/api/v1/things", "X-Request-Id: abc-1\r\n", "{}");
    ck_assert(has_header(client, "X-Request-Id: abc-1"));
    hang_up(client);
    client = ask("POST", "/api/v1/things", "X-Request-Id: a b\r\n", "{}");
    ck_assert(!has_header(client, "X-Request-Id: a b"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\r\nX-Request-Id: REQ-"));
    hang_up(client);
    const char *good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    char header[100];
    snprintf(header, sizeof header, "Traceparent: %s\r\n", good);
    ck_assert_int_eq(status_for("POST", "/api/v1/things", header, "{}"), 201);
    ck_assert_str_eq(last_trace, good);
    static const char *const bad[] = {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01\r\n",
                                      "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
                                      "traceparent: x\r\n", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char before[64];
        snprintf(before, sizeof before, "%s", last_trace);
        ck_assert_int_eq(status_for("POST", "/api/v1/things", bad[i], "{}"), 201);
        ck_assert_uint_eq(strlen(last_trace), 55);
        ck_assert_str_ne(last_trace, before);
    }
}
END_TEST

/* ---- outcomes -----------------------------------------------------------------------------------------------------
 */

static const struct {
    int outcome;
    const char *reply;
    int status;
    const char *code; /* NULL: the body is the reply */
} outcomes[] = {
    {CVM_REPLIED, "{\"x\":1}", 201, NULL},
    {CVM_REFUSED, "{\"success\":false,\"error\":\"no\"}", 409, NULL},
    {CVM_REFUSED, "{\"code\":\"C\",\"message\":\"m\",\"more\":1}", 409, NULL},
    {CVM_REFUSED, "{\"code\":\"EXHAUSTED\",\"field\":\"recipient_phone[1]\",\"message\":\"none left\"}", 409,
     "EXHAUSTED"},
    {CVM_REFUSED, "{\"code\":\"INVALID_PHONE\",\"field\":null,\"message\":\"bad\"}", 400, "INVALID_PHONE"},
    {CVM_REFUSED, "{\"code\":\"NOT_FOUND\",\"message\":\"none\"}", 404, "NOT_FOUND"},
    {CVM_ERROR, "{\"code\":\"NO_REPLY\",\"message\":\"m\"}", 500, "NO_REPLY"},
    {CVM_ERROR, "{}", 500, "INTERNAL"},
    {CVM_TIMEOUT, "{}", 504, "TIMEOUT"},
    {CVM_BUSY, "{}", 503, "BUSY"},
    {CVM_UNKNOWN, "{\"state\":\"?\"}", 202, NULL},
};

START_TEST(maps_outcomes)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"outcome\":%d,\"reply\":%s}", outcomes[i].outcome, outcomes[i].reply);
        struct client *client = ask("POST", "/api/v1/things", NULL, body);
        ck_assert_msg(status_of(client) == outcomes[i].status, "row %zu: %s", i, client->seen);
        json_t *answer = body_of(client);
        if (outcomes[i].code)
            ck_assert_str_eq(json_string_value(json_object_get(answer, "code")), outcomes[i].code);
        else
            ck_assert_str_eq(strstr(client->seen, "\r\n\r\n") + 4, outcomes[i].reply);
        ck_assert(has_header(client, outcomes[i].code ? "Content-Type: application/problem+json"
                                                      : "Content-Type: application/json"));
        ck_assert_int_eq(has_header(client, "Retry-After: 1"), outcomes[i].outcome == CVM_BUSY);
        if (outcomes[i].code && strcmp(outcomes[i].code, "EXHAUSTED") == 0) {
            ck_assert_str_eq(json_string_value(json_object_get(answer, "field")), "phone[1]");
            ck_assert_str_eq(json_string_value(json_object_get(answer, "detail")), "none left");
        }
        json_decref(answer);
        hang_up(client);
    }
}
END_TEST

START_TEST(maps_refused_inputs)
{
    static const struct {
        int error, status;
        const char *code;
    } rows[] = {{CVM_EINVAL, 400, "INVALID_REQUEST"},
                {CVM_ENOENT, 404, "NOT_AVAILABLE"},
                {CVM_EEXIST, 409, "KEY_REUSED"},
                {CVM_EBUSY, 503, "BUSY"},
                {CVM_ELIMIT, 413, "TOO_LARGE"},
                {CVM_EACCES, 403, "FORBIDDEN"},
                {CVM_EIO, 500, "INTERNAL"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"error\":%d,\"field\":\"recipient_phone\"}", rows[i].error);
        json_t *problem = problem_for("POST", "/api/v1/things", NULL, body, rows[i].status, rows[i].code);
        ck_assert_str_eq(json_string_value(json_object_get(problem, "field")), "phone");
        ck_assert_str_eq(json_string_value(json_object_get(problem, "detail")), "The core said no.");
        json_decref(problem);
    }
    struct client *client = ask("POST", "/api/v1/things", NULL, "{\"error\":-6}");
    ck_assert(has_header(client, "Retry-After: 7"));
    hang_up(client);
}
END_TEST

START_TEST(answers_raw_as_told)
{
    struct client *client = dial();
    tell_text(client, "POST /hooks/page HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    turn(client);
    while (!n_pending)
        turn(client);
    json_decref(pending[0].data);
    pending[0].data = json_pack("{si,ss,ss}", "status", 203, "content_type", "text/html", "body", "<p>");
    listen_to(client, 1, 1000);
    ck_assert_int_eq(status_of(client), 203);
    ck_assert(has_header(client, "Content-Type: text/html"));
    ck_assert_str_eq(strstr(client->seen, "\r\n\r\n"), "\r\n\r\n<p>");
    hang_up(client);
}
END_TEST

/* ---- waiting ------------------------------------------------------------------------------------------------------
 */

/* Nothing is written to disk before its answer, or something is. */
static void hold_durable(bool durably)
{
    for (size_t i = 0; i < sizeof declarations / sizeof *declarations; i++)
        if (strcmp(declarations[i].type, "hold") == 0)
            declarations[i].ephemeral = !durably;
}

static void ask_hold(struct client *client, const char *headers)
{
    char request[256];
    snprintf(request, sizeof request, "POST /api/v1/hold HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\n\r\n{}",
             headers);
    size_t before = n_pending;
    tell_text(client, request);
    for (int i = 0; i < 1000 && n_pending == before; i++)
        turn(client);
    ck_assert_uint_eq(n_pending, before + 1);
}

START_TEST(waits_for_the_core)
{
    struct client *client = dial();
    hold_durable(_i);
    ask_hold(client, "");
    listen_to(client, 1, 100);
    ck_assert_int_eq(answers(client), 0);
    release_held();
    listen_to(client, 1, 1000);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert(!client->closed);
    hang_up(client);
}
END_TEST

START_TEST(does_not_wait_for_ever)
{
    struct client *client = dial();
    hold_durable(_i);
    uint64_t begin = now_ms();
    ask_hold(client, "Idempotency-Key: k1\r\n");
    listen_to(client, 1, 2000);
    ck_assert(now_ms() - begin >= 190);
    ck_assert_int_eq(status_of(client), 504);
    ck_assert_ptr_nonnull(strstr(client->seen, "STILL_RUNNING"));
    ck_assert_ptr_nonnull(strstr(client->seen, "same Idempotency-Key"));
    ck_assert_int_eq(n_forgotten, 1);
    tell_text(client, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); /* the connection is as good as before */
    listen_to(client, 2, 1000);
    ck_assert_int_eq(answers(client), 2);
    hang_up(client);
}
END_TEST

START_TEST(bears_clients_that_leave)
{
    struct client *client = dial();
    hold_durable(_i);
    ask_hold(client, "");
    hang_up(client);
    client = dial();
    ask_hold(client, "");
    release_held();
    listen_to(client, 1, 1000);
    ck_assert_int_eq(status_of(client), 200);
    hang_up(client);
    client = dial();
    ask_hold(client, "");
    hang_up(client);
    client = dial();
    listen_to(client, 1, 300); /* its deadline passes */
    ck_assert_uint_eq(n_pending, 0);
    hang_up(client);
}
END_TEST

START_TEST(answers_pipelined_in_order)
{
    struct client *client = dial();
    tell_text(client, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
                      "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
                      "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":2}");
    listen_to(client, 3, 1000);
    ck_assert_int_eq(answers(client), 3);
    const char *first = strstr(client->seen, "{\"a\":1}"), *second = strstr(client->seen, "{\"status\":\"healthy\""),
               *third = strstr(client->seen, "{\"a\":2}");
    ck_assert(first && second && third && first < second && second < third);
    hang_up(client);
}
END_TEST

START_TEST(stops_with_requests_waiting)
{
    struct client *clients[3];
    hold_durable(_i);
    for (int i = 0; i < 3; i++) {
        clients[i] = dial();
        ask_hold(clients[i], i ? "" : "Idempotency-Key: k\r\n");
    }
    struct client *idle = dial(), *half = dial();
    tell_text(idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    tell_text(half, "POST /api/v1/things HTTP/1.1\r\nHost:");
    listen_to(idle, 1, 500);
    stop();
    for (int i = 0; i < 3; i++) {
        listen_to(clients[i], 1000, 500);
        ck_assert_int_eq(status_of(clients[i]), 503);
        ck_assert_ptr_nonnull(strstr(clients[i]->seen, "the work goes on"));
        ck_assert(has_header(clients[i], "Connection: close"));
        ck_assert(clients[i]->closed);
        hang_up(clients[i]);
    }
    ck_assert_int_eq(n_forgotten, 3);
    hang_up(idle);
    hang_up(half);
}
END_TEST

START_TEST(stops_after_its_answers)
{
    struct client *client = dial(), *other = dial();
    ask_hold(client, "");
    tell_text(other, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    listen_to(other, 1, 500);
    http_server_stop(server, 2000, on_stopped, NULL);
    server = NULL;
    tell_text(other, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    listen_to(other, 2, 500);
    ck_assert_ptr_nonnull(strstr(other->seen, "503 Service Unavailable"));
    ck_assert_int_eq(is_stopped, 0);
    release_held();
    listen_to(client, 1000, 1000);
    ck_assert_int_eq(status_of(client), 200);
    for (int i = 0; i < 100 && !is_stopped; i++)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(is_stopped, 1);
    hang_up(client);
    hang_up(other);
}
END_TEST

/* ---- built in -----------------------------------------------------------------------------------------------------
 */

START_TEST(passes_its_crash_point)
{
    char path[] = "/tmp/http_server_hits_XXXXXX", hits[128] = "";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    setenv("CVMHOST_CRASH_HITS", path, 1);
    crash_init();
    ck_assert_int_eq(status_for("GET", "/health", NULL, NULL), 200);
    ck_assert_int_eq(read(fd, hits, sizeof hits - 1), 0); /* only what the core said counts */
    ck_assert_int_eq(status_for("POST", "/api/v1/things", NULL, "{}"), 201);
    ck_assert_int_ge(read(fd, hits, sizeof hits - 1), 0);
    ck_assert_str_eq(hits, "reply_committed\n");
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(tells_its_health)
{
    struct client *client = ask("GET", "/health", NULL, NULL);
    ck_assert_int_eq(status_of(client), 200);
    json_t *body = json_loads(strstr(client->seen, "\r\n\r\n"), 0, NULL);
    ck_assert_str_eq(cvm_json_str(body, "status", ""), "healthy");
    ck_assert_int_lt(cvm_json_int(body, "uptime_seconds", -1), 3600);
    ck_assert_int_ge(cvm_json_int(body, "uptime_seconds", -1), 0);
    ck_assert_ptr_nonnull(json_object_get(body, "version"));
    json_decref(body);
    hang_up(client);
    unhealthy = "the disk is full";
    client = ask("GET", "/health", NULL, NULL);
    ck_assert_int_eq(status_of(client), 503);
    ck_assert_ptr_nonnull(strstr(client->seen, "the disk is full"));
    hang_up(client);
}
END_TEST

START_TEST(shows_metrics)
{
    status_for("GET", "/nothing", NULL, NULL);
    status_for("POST", "/api/v1/things", NULL, "{}");
    struct client *client = ask("GET", "/metrics", NULL, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert(has_header(client, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_up 1\n"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_http_requests_total{code=\"201\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_http_requests_total{code=\"404\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_http_seconds_bucket{le=\"+Inf\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_http_seconds_count 2\n"));
    hang_up(client);
}
END_TEST

static void metrics_have(const char *row, bool wanted)
{
    struct client *client = ask("GET", "/metrics", NULL, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert_msg((strstr(client->seen, row) != NULL) == wanted, "%s: %s", wanted ? "no row" : "a row", row);
    hang_up(client);
}

#define LATE "\ncvmhost_operation_requests_total{component=\"a.shop\",operation=\"late\",result="
#define MADE "\ncvmhost_operation_requests_total{component=\"a.shop\",operation=\"make\",result="

START_TEST(counts_by_operation)
{
    static const struct http_server_options options = {
        .answer_timeout_ms = 200, .slow_client_ms = 200, .body_max_bytes = 100000, .idle_ms = 60000};
    struct http_server_options counting = options;
    counting.counters = operation_counters_new();
    stop();
    start(&counting);
    metrics_have(MADE "\"done\"} 0\n", true);
    metrics_have(LATE, false);
    status_for("POST", "/api/v1/things", NULL, "{}");
    status_for("POST", "/api/v1/things", NULL, "{\"outcome\": 1, \"reply\": {\"code\": \"NO\"}}");
    status_for("POST", "/api/v1/things", NULL, "{\"outcome\": 5}");
    status_for("POST", "/api/v1/things", NULL, "{\"error\": -1}");
    metrics_have(MADE "\"done\"} 1\n", true);
    metrics_have(MADE "\"refused\"} 2\n", true);
    metrics_have(MADE "\"unknown\"} 1\n", true);
    metrics_have("\ncvmhost_operation_seconds_total{component=\"a.shop\",operation=\"make\"} 0.", true);
    n_operations++; /* has its rows before anybody asks */
    version++;
    metrics_have(LATE "\"failed\"} 0\n", true);
    status_for("POST", "/late", NULL, "{}");
    metrics_have(LATE "\"done\"} 1\n", true);
    n_operations--;
    version++;
    metrics_have(LATE, false);
    n_operations++;
    version++;
    metrics_have(LATE "\"done\"} 1\n", true); /* goes on where it was */
    n_operations--;
    version++;
    stop();
    operation_counters_free(counting.counters);
}
END_TEST

/* ---- who may --------------------------------------------------------------------------------------------------------
 */

static const char *secret_of(const void *arg, const char *name)
{
    return strcmp(name, "TILL") == 0 ? "till-till-till-till" : NULL;
}

static const struct access *access_now(void *arg)
{
    return arg;
}

/* Three tokens: one by its secret, one by its digest ("read-read-read-read"), one whose secret is not set. */
static struct access *start_guarded(void)
{
    static const char text[] = "[{\"name\": \"till\", \"secret\": \"TILL\", \"permissions\": [\"sell\"]},"
                               "{\"name\": \"reader\", \"permissions\": [\"read\"], \"sha256\":"
                               "\"029E337B4276D8BF0BDAF087A0A11A8337D577FBC824BC70DCFCFB7484D1505D\"},"
                               "{\"name\": \"lost\", \"secret\": \"LOST\", \"permissions\": [\"*\"]}]";
    static const struct http_server_options options = {
        .answer_timeout_ms = 200, .slow_client_ms = 200, .body_max_bytes = 100000, .idle_ms = 60000};
    struct http_server_options guarded = options;
    json_t *tokens = json_loads(text, 0, NULL), *warnings = json_array();
    struct access *access = NULL;
    char error[256] = "";
    ck_assert_msg(access_new(tokens, secret_of, NULL, warnings, &access, error, sizeof error) == 0, "%s", error);
    ck_assert_uint_eq(json_array_size(warnings), 1);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_array_get(warnings, 0)), "LOST"));
    json_decref(tokens);
    json_decref(warnings);
    stop();
    guarded.access = access_now;
    guarded.access_arg = access;
    guarded.version = "9.9.9";
    start(&guarded);
    return access;
}

#define TILL "Authorization: Bearer till-till-till-till\r\n"
#define READER "Authorization: bearer  read-read-read-read\r\n"

static void expect_refused(const char *authorization, int status, const char *code, const char *challenge)
{
    struct client *client = ask("POST", "/guarded", authorization, "{\"x\": 1}");
    ck_assert_msg(status_of(client) == status, "%s: %.300s", authorization ? authorization : "", client->seen);
    ck_assert_msg(has_header(client, challenge), "%s in %s", challenge, client->seen);
    ck_assert_ptr_nonnull(strstr(client->seen, code));
    hang_up(client);
}

START_TEST(asks_for_permissions)
{
    ck_assert_int_eq(status_for("POST", "/guarded", NULL, "{}"), 200); /* nothing is configured */
    struct access *access = start_guarded();
    n_submitted = n_refused = 0;
    expect_refused(NULL, 401, "UNAUTHORIZED", "WWW-Authenticate: Bearer realm=\"cvmhost\", scope=\"sell\"");
    static const char unknown[] = "WWW-Authenticate: Bearer realm=\"cvmhost\", error=\"invalid_token\", scope=\"sell\"";
    expect_refused("Authorization: Bearer till-till-till-tilk\r\n", 401, "not known", unknown);
    expect_refused("Authorization: Bearer LOST\r\n", 401, "not known", unknown);
    expect_refused("Authorization: Basic dGlsbA==\r\n", 401, "needs a token",
                   "WWW-Authenticate: Bearer realm=\"cvmhost\", scope=\"sell\"");
    expect_refused("Authorization: Bearer \r\n", 401, "needs a token",
                   "WWW-Authenticate: Bearer realm=\"cvmhost\", scope=\"sell\"");
    expect_refused(READER, 403, "\\\"reader\\\" does not hold the permission \\\"sell\\\"",
                   "WWW-Authenticate: Bearer realm=\"cvmhost\", error=\"insufficient_scope\", scope=\"sell\"");
    ck_assert_int_eq(n_submitted, 0);
    ck_assert_uint_eq(n_refused, 6); /* each leaves a receipt */
    ck_assert_int_eq(status_for("POST", "/guarded", TILL TILL, "{}"), 400);
    ck_assert_int_eq(status_for("POST", "/guarded", TILL, "{}"), 200);
    ck_assert_int_eq(status_for("POST", "/api/v1/things", NULL, "{}"), 201); /* asks for none */
    ck_assert_int_eq(status_for("GET", "/health", NULL, NULL), 200);
    ck_assert_int_eq(status_for("POST", "/guarded/raw", TILL "X-Sign: s\r\n", "x"), 200);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(last_data, "headers"), "x-sign"));
    ck_assert_ptr_null(json_object_get(json_object_get(last_data, "headers"), "authorization"));
    /* Where no token was asked for, the header is the operation's own. */
    ck_assert_int_eq(status_for("POST", "/hooks/a", TILL, "x"), 200);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(last_data, "headers"), "authorization"));
    stop();
    access_free(access);
}
END_TEST

/* ---- streams ------------------------------------------------------------------------------------------------------
 */

static struct client *follow(const char *path, const char *headers)
{
    char request[512];
    struct client *client = dial();
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    tell_text(client, request);
    return client;
}

static bool sees(struct client *client, const char *text)
{
    uint64_t end = now_ms() + 3000;
    while (!strstr(client->seen, text) && now_ms() < end) {
        turn(client);
        usleep(200);
    }
    return strstr(client->seen, text) != NULL;
}

static void start_streams(const struct access *access, int beat_ms)
{
    struct http_server_options options = {
        .answer_timeout_ms = 200, .slow_client_ms = 200, .idle_ms = 1000, .stream_beat_ms = beat_ms};
    if (server)
        stop();
    if (access) {
        options.access = access_now;
        options.access_arg = (void *)(uintptr_t)access;
    }
    start(&options);
}

START_TEST(tells_events)
{
    durable = 41;
    start_streams(NULL, 0);
    struct client *client = follow("/events", "");
    ck_assert(sees(client, "retry: 1000\nid: 41\n\n"));
    ck_assert(has_header(client, "Content-Type: text/event-stream"));
    ck_assert(has_header(client, "Transfer-Encoding: chunked"));
    publish("weather", 2);
    publish("other", 1);
    publish("news", 1);
    ck_assert(sees(client, "event: weather\ndata: {}\n\nevent: weather\ndata: {}\nid: 42\n\n"));
    ck_assert(sees(client, "event: news\ndata: {}\nid: 44\n\n"));
    ck_assert_ptr_null(strstr(client->seen, "other"));
    struct client *late = follow("/events", "Last-Event-ID: 42\r\n");
    ck_assert(sees(late, "retry: 1000\n\nevent: news\ndata: {}\nid: 44\n\n"));
    hang_up(late);
    late = follow("/events", "Last-Event-ID: 40\r\n");
    ck_assert(sees(late, "event: reset\ndata: {}\nid: 44\n\n"));
    hang_up(late);
    hang_up(client);
    ck_assert_int_eq(status_for("HEAD", "/events", NULL, NULL), 200);
    ck_assert_int_eq(status_for("POST", "/events", NULL, "{}"), 405);
    check_problem("GET", "/events", "Origin: http://other\r\n", NULL, 403, "FOREIGN_ORIGIN");
    client = ask("GET", "/metrics", NULL, NULL);
    ck_assert_ptr_nonnull(strstr(client->seen, "\ncvmhost_http_stream_resets_total 1\n"));
    hang_up(client);
}
END_TEST

START_TEST(beats_while_nothing_happens)
{
    start_streams(NULL, 20);
    struct client *client = follow("/events", "");
    ck_assert(sees(client, ":\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n")); /* each in a chunk of its own */
    listen_to(client, 2, 1500);                                   /* longer than connections that do nothing are kept */
    ck_assert(!client->closed);
    publish("news", 1);
    ck_assert(sees(client, "event: news"));
    hang_up(client);
}
END_TEST

/* A client that goes without a word is found, and its place is free. */
START_TEST(misses_clients_that_leave)
{
    start_streams(NULL, 0);
    for (int i = 0; i < 3; i++) {
        struct client *client = follow("/events", "");
        ck_assert(sees(client, "retry"));
        hang_up(client);
    }
    uint64_t end = now_ms() + 3000;
    bool none = false;
    while (!none && now_ms() < end) {
        struct client *client = ask("GET", "/metrics", NULL, NULL);
        none = strstr(client->seen, "\ncvmhost_http_stream_clients 0\n") != NULL;
        hang_up(client);
    }
    ck_assert(none);
}
END_TEST

START_TEST(ends_streams_that_are_gone)
{
    start_streams(NULL, 0);
    struct client *client = follow("/events", ""), *other = follow("/guarded/events", "");
    ck_assert(sees(client, "retry") && sees(other, "retry"));
    version++; /* another plugin has come */
    publish("news", 1);
    ck_assert(sees(client, "event: news") && sees(other, "event: news"));
    n_streams = 1;
    version++;
    ck_assert(sees(other, "\r\n0\r\n\r\n"));
    publish("news", 1);
    ck_assert(sees(client, "id: 2\n\n"));
    stream_decls[0].topics.n = 1; /* declared otherwise */
    version++;
    ck_assert(sees(client, "\r\n0\r\n\r\n"));
    hang_up(other);
    other = follow("/events", "Last-Event-ID: 2\r\n");
    ck_assert(sees(other, "retry"));
    hang_up(client);
    stop(); /* also with somebody who listens */
    turn(other);
    ck_assert_ptr_nonnull(strstr(other->seen, "\r\n0\r\n\r\n"));
    hang_up(other);
}
END_TEST

static const struct access *asked;

static const struct access *access_asked(void *arg)
{
    (void)arg;
    return asked;
}

/* A token that is taken away is heard no more from the next heartbeat on. */
START_TEST(listening_needs_its_permission)
{
    struct access *access = start_guarded(), *others = NULL;
    struct http_server_options options = {.slow_client_ms = 200, .stream_beat_ms = 30, .access = access_asked};
    char error[256];
    json_t *tokens = json_loads("[{\"name\": \"x\", \"secret\": \"OTHER\", \"permissions\": [\"sell\"]}]", 0, NULL);
    ck_assert_int_eq(access_new(tokens, secret_of, NULL, NULL, &others, error, sizeof error), 0);
    json_decref(tokens);
    stop();
    asked = access;
    start(&options);
    ck_assert_int_eq(status_for("GET", "/guarded/events", NULL, NULL), 401);
    ck_assert_int_eq(status_for("GET", "/guarded/events", READER, NULL), 403);
    struct client *client = follow("/guarded/events", TILL);
    ck_assert(sees(client, ":\n\n"));
    publish("news", 1);
    ck_assert(sees(client, "event: news"));
    asked = others;
    ck_assert(sees(client, "\r\n0\r\n\r\n"));
    hang_up(client);
    stop();
    access_free(access);
    access_free(others);
}
END_TEST

static const char *no_secret(const void *arg, const char *name)
{
    return strcmp(name, "SHORT") == 0 ? "short" : "long-long-long-long";
}

START_TEST(refuses_faulty_tokens)
{
    static const char *const faulty[][2] = {
        {"[{\"name\": \"a\", \"permissions\": []}]", "a: must have \"secret\""},
        {"[{\"name\": \"a\", \"secret\": \"X\", \"sha256\": \"00\"}]", "a: must have \"secret\""},
        {"[{\"name\": \"a\", \"sha256\": \"00\"}]", "64 hexadecimal digits"},
        {"[{\"name\": \"a\", \"secret\": \"SHORT\"}]", "the secret SHORT must be 16 to 512 bytes long, got 5"},
        {"[{\"name\": \"a\", \"secret\": \"X\"}, {\"name\": \"b\", \"secret\": \"Y\"}]", "b: is the same token as a"},
        {"[{\"name\": \"a\", \"secret\": \"X\"}, {\"name\": \"a\", \"secret\": \"Y\"}]", "a: the name is given twice"}};
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
        json_t *tokens = json_loads(faulty[i][0], 0, NULL);
        struct access *access = NULL;
        char error[256] = "";
        ck_assert_ptr_nonnull(tokens);
        ck_assert_int_eq(access_new(tokens, no_secret, NULL, NULL, &access, error, sizeof error), CVM_EINVAL);
        ck_assert_msg(strstr(error, faulty[i][1]) != NULL, "%s: %s", faulty[i][0], error);
        ck_assert_ptr_null(access);
        json_decref(tokens);
    }
}
END_TEST

/* ---- the description ------------------------------------------------------------------------------------------------
 */

static void etag_of(const struct client *client, char ret_header[128])
{
    const char *at = strstr(client->seen, "ETag: \"");
    ck_assert_ptr_nonnull(at);
    snprintf(ret_header, 128, "If-None-Match: W/\"x\", %.*s\r\n", (int)strcspn(at + 6, "\r"), at + 6);
}

START_TEST(describes_its_routes)
{
    char known[128], after[128];
    struct client *client = ask("GET", "/api/v1/openapi.json", NULL, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert(has_header(client, "Content-Type: application/json"));
    ck_assert(has_header(client, "Cache-Control: no-cache"));
    json_t *description = json_loads(strstr(client->seen, "\r\n\r\n") + 4, 0, NULL);
    const json_t *paths = json_object_get(description, "paths");
    ck_assert_ptr_nonnull(json_object_get(json_object_get(paths, "/api/v1/things/{thing_id}"), "get"));
    ck_assert_ptr_null(json_object_get(paths, "/late"));
    json_decref(description);
    etag_of(client, known);
    hang_up(client);
    client = ask("GET", "/openapi.json", known, NULL);
    ck_assert_int_eq(status_of(client), 304);
    ck_assert_ptr_null(strstr(client->seen, "paths"));
    etag_of(client, after);
    ck_assert_str_eq(after, known);
    hang_up(client);
    n_operations++;
    version++;
    client = ask("GET", "/openapi.json", known, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert_ptr_nonnull(strstr(client->seen, "\"/late\""));
    etag_of(client, after);
    ck_assert_str_ne(after, known);
    hang_up(client);
    n_operations--;
    version++;
    client = ask("GET", "/openapi.json", after, NULL);
    ck_assert_int_eq(status_of(client), 200);
    ck_assert_ptr_null(strstr(client->seen, "\"/late\""));
    hang_up(client);
    ck_assert_int_eq(status_for("POST", "/late", NULL, "{}"), 404);
    ck_assert_int_eq(status_for("POST", "/openapi.json", NULL, "{}"), 405);
}
END_TEST

/* ---- hostile input ------------------------------------------------------------------------------------------------
 */

#define HEAD "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#define INNER "POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
#define INNER_LENGTH "58"

static const struct {
    const char *name, *bytes;
    size_t len;   /* 0: a string */
    int status;   /* of the one answer; 0: closed without one */
    bool doubled; /* libmicrohttpd 0.9.75 refuses it by itself and writes its answer's head twice before it closes */
} probes[] = {
    {"Content-Length and Transfer-Encoding",
     HEAD "Content-Length: 63\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"Transfer-Encoding and Content-Length",
     HEAD "Transfer-Encoding: chunked\r\nContent-Length: 63\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"two Content-Length", HEAD "Content-Length: 0\r\nContent-Length: " INNER_LENGTH "\r\n\r\n" INNER, 0, 400},
    {"two equal Content-Length", HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" INNER, 0, 400},
    {"a list of Content-Length", HEAD "Content-Length: 0, " INNER_LENGTH "\r\n\r\n" INNER, 0, 400, true},
    {"plus sign", HEAD "Content-Length: +" INNER_LENGTH "\r\n\r\n" INNER, 0, 400, true},
    {"huge Content-Length", HEAD "Content-Length: 99999999999999999999\r\n\r\n" INNER, 0, 413, true},
    {"hexadecimal Content-Length", HEAD "Content-Length: 0x0\r\n\r\n" INNER, 0, 400, true},
    {"empty Content-Length", HEAD "Content-Length: \r\n\r\n" INNER, 0, 400, true},
    {"unknown Transfer-Encoding", HEAD "Transfer-Encoding: xchunked\r\n\r\n" INNER, 0, 400},
    {"chunked, then identity", HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"two Transfer-Encoding", HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" INNER,
     0, 400},
    {"space before the colon", HEAD "Content-Length : " INNER_LENGTH "\r\n\r\n" INNER, 0, 400},
    {"tab before the colon", HEAD "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"carriage return hides a header", HEAD "X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"bare line feed", HEAD "X: a\nContent-Length: " INNER_LENGTH "\r\n\r\n" INNER, 0, 400},
    {"bare line feed at the end", HEAD "Content-Length: 0\n\r\n" INNER, 0, 400},
    {"bare line feed ends the head", HEAD "Content-Length: 0\r\n\n" INNER, 0, 400},
    {"folded header", HEAD "X: a\r\n Content-Length: " INNER_LENGTH "\r\n\r\n" INNER, 0, 400},
    {"folded Transfer-Encoding", HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"folded last header", HEAD "Content-Length: 0\r\n \r\n\r\n" INNER, 0, 400},
    {"NUL in a header", HEAD "X: a\0b\r\nContent-Length: 2\r\n\r\n{}" INNER, sizeof HEAD + 36 - 8 + sizeof INNER, 400},
    {"NUL in the last header", HEAD "Content-Length: 0\0 5\r\n\r\n" INNER, sizeof HEAD + 23 + sizeof INNER, 400},
    {"control character", HEAD "X: a\x01\r\nContent-Length: 0\r\n\r\n" INNER, 0, 400},
    {"no colon", HEAD "nonsense\r\nContent-Length: 0\r\n\r\n" INNER, 0, 400},
    {"empty name", HEAD ": a\r\nContent-Length: 0\r\n\r\n" INNER, 0, 400},
    {"no Host", "POST /api/v1/things HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" INNER, 0, 400},
    {"two Hosts", HEAD "Host: y\r\nContent-Length: 0\r\n\r\n" INNER, 0, 400},
    {"chunks in HTTP/1.0",
     "POST /api/v1/things HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INNER, 0, 400},
    {"HTTP/0.9", "GET /api/v1/things\r\n\r\n" INNER, 0, 400},
    {"HTTP/2.0", "GET /api/v1/things HTTP/2.0\r\nHost: x\r\n\r\n" INNER, 0, 505},
    {"space in the target", "GET /api/v1/things HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n" INNER, 0, 400},
    {"malformed chunk size", HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n" INNER, 0, 400},
    {"negative chunk size", HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n" INNER, 0, 400},
    {"chunk longer than said", HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n" INNER, 0, 400},
    {"chunk size beyond 64 bits", HEAD "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n" INNER,
     0, 413},
    {"chunk size with a space", HEAD "Transfer-Encoding: chunked\r\n\r\n 2\r\n{}\r\n0\r\n\r\n" INNER, 0, 400},
    {"no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" INNER, 0, 0},
};

START_TEST(hostile)
{
    struct client *client = dial();
    size_t len = probes[_i].len ? probes[_i].len : strlen(probes[_i].bytes);
    tell(client, probes[_i].bytes, len);
    listen_to(client, 1000, 700);
    ck_assert_msg(answers(client) <= 1 + probes[_i].doubled, "%s: %s", probes[_i].name, client->seen);
    ck_assert_msg(strcmp(last_type, "smuggled") != 0, "%s: the hidden request was run", probes[_i].name);
    ck_assert_msg(status_of(client) == probes[_i].status, "%s: expected %d, got %d", probes[_i].name, probes[_i].status,
                  status_of(client));
    ck_assert_msg(client->closed, "%s: still open", probes[_i].name);
    ck_assert_int_eq(n_submitted, 0);
    hang_up(client);
}
END_TEST

START_TEST(limits_heads)
{
    static char head[1100000];
    int n = snprintf(head, sizeof head, HEAD "Content-Length: 2\r\n");
    for (int i = 0; i < 1000; i++)
        n += snprintf(head + n, sizeof head - (size_t)n, "X-%d: %01000d\r\n", i, 0);
    struct client *client = dial();
    tell(client, head, (size_t)n);
    listen_to(client, 1000, 1000);
    ck_assert(client->closed && answers(client) <= 1);
    ck_assert_int_eq(status_of(client), 431);
    hang_up(client);
    client = dial(); /* within the connection's memory, over our limit */
    n = snprintf(head, sizeof head, HEAD "X: %017000d\r\nContent-Length: 2\r\n\r\n{}", 0);
    tell(client, head, (size_t)n);
    listen_to(client, 1000, 1000);
    ck_assert_int_eq(status_of(client), 431);
    hang_up(client);
    client = dial();
    n = snprintf(head, sizeof head, HEAD "Content-Length: 2\r\n");
    for (int i = 0; i < 120; i++)
        n += snprintf(head + n, sizeof head - (size_t)n, "X-%d: 1\r\n", i);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n{}");
    tell(client, head, (size_t)n);
    listen_to(client, 1000, 1000);
    ck_assert_int_eq(status_of(client), 431);
    hang_up(client);
    client = dial(); /* a chunk extension without end */
    memset(head, 'e', 1000000);
    tell_text(client, HEAD "Transfer-Encoding: chunked\r\n\r\n1;");
    tell(client, head, 1000000);
    listen_to(client, 1000, 1000);
    ck_assert(client->closed && answers(client) <= 1);
    hang_up(client);
    ck_assert_int_eq(n_submitted, 0);
    char large[16000];
    memset(large, 0, sizeof large);
    snprintf(large, sizeof large, "X-Large: %015500d\r\n", 0);
    ck_assert_int_eq(status_for("POST", "/api/v1/things", large, "{}"), 201);
}
END_TEST

START_TEST(takes_a_request_byte_by_byte)
{
    struct client *client = dial();
    const char *request = HEAD "X-A:b\r\nX-B:   c  \r\nX-Empty:\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    for (int round = 0; round < 2; round++)
        for (const char *at = request; *at; at++)
            tell(client, at, 1);
    listen_to(client, 2, 500);
    ck_assert_int_eq(answers(client), 2);
    ck_assert_int_eq(status_of(client), 201);
    ck_assert_int_eq(n_submitted, 2);
    hang_up(client);
}
END_TEST

/* How long until the server closes. */
static uint64_t closes_after(struct client *client, const char *trickle)
{
    uint64_t begin = now_ms();
    for (int i = 0; !client->closed && now_ms() - begin < 5000; i++) {
        listen_to(client, 1000, 50);
        if (trickle)
            send(client->fd, trickle, 1, MSG_NOSIGNAL);
    }
    ck_assert(client->closed);
    return now_ms() - begin;
}

START_TEST(lets_go_of_slow_clients)
{
    struct client *client = dial(); /* half a header, then silence */
    tell_text(client, HEAD "X-A");
    ck_assert_uint_lt(closes_after(client, NULL), 800);
    hang_up(client);
    client = dial(); /* a byte now and then */
    tell_text(client, HEAD "X-A: ");
    ck_assert_uint_lt(closes_after(client, "a"), 800);
    hang_up(client);
    client = dial(); /* nothing at all */
    ck_assert_uint_lt(closes_after(client, NULL), 800);
    hang_up(client);
    client = dial(); /* half a body, now and then a byte more */
    tell_text(client, HEAD "Content-Length: 90000\r\n\r\n{");
    uint64_t body_ms = closes_after(client, " ");
    ck_assert(body_ms > 500 && body_ms < 1500);
    hang_up(client);
    ck_assert_int_eq(n_submitted, 0);
}
END_TEST

START_TEST(keeps_idle_connections)
{
    struct client *client = dial();
    for (int i = 1; i <= 3; i++) {
        tell_text(client, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        listen_to(client, i, 500);
        ck_assert_int_eq(answers(client), i);
        listen_to(client, 1000, 500); /* idle for longer than a request may take */
        ck_assert(!client->closed);
    }
    tell_text(client, HEAD "X-A");
    ck_assert_uint_lt(closes_after(client, "a"), 800);
    ck_assert_int_eq(answers(client), 3);
    hang_up(client);
}
END_TEST

START_TEST(limits_connections_of_an_address)
{
    stop();
    start(&(struct http_server_options){.connections_per_address = 2});
    struct client *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = dial();
        tell_text(clients[i], "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        listen_to(clients[i], 1, 300);
    }
    ck_assert_int_eq(status_of(clients[1]), 200);
    ck_assert_int_eq(status_of(clients[2]), 0);
    ck_assert(clients[2]->closed);
    for (int i = 0; i < 3; i++)
        hang_up(clients[i]);
}
END_TEST

START_TEST(lists_fields_by_the_names_of_clients)
{
    json_t *rename = json_pack("{s:s}", "phone", "recipient_phone");
    char text[64];
    rest_edge_text(rename, "unknown field; known are: network, recipient_phone, amount", text, sizeof text);
    ck_assert_str_eq(text, "unknown field; known are: network, phone, amount");
    rest_edge_text(rename, "must be a string, got null", text, sizeof text);
    ck_assert_str_eq(text, "must be a string, got null");
    rest_edge_text(rename, "known are: recipient_phone", text, 14);
    ck_assert_str_eq(text, "known are: ph");
    json_decref(rename);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_server");
    TCase *routing = tcase_create("routing");
    tcase_add_test(routing, finds_operations);
    tcase_add_test(routing, says_what_is_not_there);
    tcase_add_test(routing, head_is_get_without_body);
    tcase_add_test(routing, decodes_paths);
    tcase_add_test(routing, types_queries);
    tcase_add_test(routing, prefers_body_over_query);
    tcase_add_test(routing, follows_the_registry);
    tcase_add_test(routing, hands_over_raw_requests);
    TCase *bodies = tcase_create("bodies");
    tcase_add_test(bodies, refuses_bad_json);
    tcase_add_test(bodies, wants_json);
    tcase_add_test(bodies, refuses_pages_of_other_origins);
    tcase_add_test(bodies, limits_bodies);
    tcase_add_test(bodies, takes_chunks);
    tcase_add_test(bodies, takes_keys);
    tcase_add_test(bodies, echoes_ids);
    TCase *results = tcase_create("outcomes");
    tcase_add_test(results, maps_outcomes);
    tcase_add_test(results, maps_refused_inputs);
    tcase_add_test(results, answers_raw_as_told);
    tcase_add_test(results, passes_its_crash_point);
    tcase_add_test(results, tells_its_health);
    tcase_add_test(results, shows_metrics);
    tcase_add_test(results, lists_fields_by_the_names_of_clients);
    tcase_add_test(results, describes_its_routes);
    tcase_add_test(results, counts_by_operation);
    TCase *access = tcase_create("access");
    tcase_add_test(access, asks_for_permissions);
    tcase_add_test(access, refuses_faulty_tokens);
    TCase *telling = tcase_create("streams");
    tcase_add_test(telling, tells_events);
    tcase_add_test(telling, beats_while_nothing_happens);
    tcase_add_test(telling, misses_clients_that_leave);
    tcase_add_test(telling, ends_streams_that_are_gone);
    tcase_add_test(telling, listening_needs_its_permission);
    TCase *waiting = tcase_create("waiting");
    tcase_add_loop_test(waiting, waits_for_the_core, 0, 2);
    tcase_add_loop_test(waiting, does_not_wait_for_ever, 0, 2);
    tcase_add_loop_test(waiting, bears_clients_that_leave, 0, 2);
    tcase_add_test(waiting, answers_pipelined_in_order);
    tcase_add_loop_test(waiting, stops_with_requests_waiting, 0, 2);
    tcase_add_test(waiting, stops_after_its_answers);
    TCase *attacks = tcase_create("hostile");
    tcase_add_loop_test(attacks, hostile, 0, sizeof probes / sizeof *probes);
    tcase_add_test(attacks, limits_heads);
    tcase_add_test(attacks, takes_a_request_byte_by_byte);
    tcase_add_test(attacks, lets_go_of_slow_clients);
    tcase_add_test(attacks, keeps_idle_connections);
    tcase_add_test(attacks, limits_connections_of_an_address);
    TCase *cases[] = {routing, bodies, results, access, telling, waiting, attacks};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        tcase_set_timeout(cases[i], 20);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
