/* The outgoing HTTP client against a small server in the same loop that answers, stalls, cuts and closes by path. */
#include "core/crash.h"
#include "services/http_client.h"

#include <arpa/inet.h>
#include <check.h>
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server -------------------------------------------------------------------------------------------------- */

struct peer {
    uv_tcp_t tcp;
    uv_timer_t timer;
    char in[300000];
    size_t len;
    int closing;
};

static uv_loop_t loop;
static uv_tcp_t listener;
static int port, n_connections, n_requests, n_gone;
static char last_head[4096], last_body[256];

static void peer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    if (++peer->closing == 2)
        free(peer);
}

static void peer_close(struct peer *peer)
{
    if (uv_is_closing((uv_handle_t *)&peer->tcp))
        return;
    uv_close((uv_handle_t *)&peer->tcp, peer_closed);
    uv_close((uv_handle_t *)&peer->timer, peer_closed);
}

static void say(struct peer *peer, const char *text, size_t len)
{
    while (len) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
        int n = uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1);
        if (n < 0 && n != UV_EAGAIN)
            return;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

static void say_text(struct peer *peer, const char *text)
{
    say(peer, text, strlen(text));
}

static const char *const ok_answer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Thing: a\r\n"
                                     "x-thing: b\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

static void say_later(uv_timer_t *timer)
{
    say_text(timer->data, ok_answer);
}

static void say_chunk(uv_timer_t *timer)
{
    static char chunk[6 + 16384 + 2];
    memcpy(chunk, "4000\r\n", 6);
    memset(chunk + 6, 'x', 16384);
    memcpy(chunk + 6 + 16384, "\r\n", 2);
    say(timer->data, chunk, sizeof chunk);
}

static void answer(struct peer *peer)
{
    char path[64] = "";
    sscanf(peer->in, "%*s %63s", path);
    n_requests++;
    if (strncmp(path, "/slow", 5) == 0) {
        uv_timer_start(&peer->timer, say_later, 60, 0);
    } else if (strcmp(path, "/cut") == 0) {
        say_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\":");
        uv_tcp_close_reset(&peer->tcp, peer_closed);
        uv_close((uv_handle_t *)&peer->timer, peer_closed);
    } else if (strcmp(path, "/gone") == 0) {
        n_gone++;
        peer_close(peer);
    } else if (strcmp(path, "/large") == 0) {
        say_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
    } else if (strcmp(path, "/endless") == 0) {
        say_text(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        uv_timer_start(&peer->timer, say_chunk, 0, 1);
    } else if (strcmp(path, "/junk") == 0) {
        say_text(peer, "what?\r\n\r\n");
    } else if (strcmp(path, "/moved") == 0) {
        say_text(peer, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/interim") == 0) {
        say_text(peer, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n");
        say_text(peer, ok_answer);
    } else if (strcmp(path, "/headers") == 0) {
        say_text(peer, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 1000; i++)
            say_text(peer, "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
        say_text(peer, "Content-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/silent") != 0) {
        say_text(peer, ok_answer);
    }
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct peer *peer = handle->data;
    *buf = uv_buf_init(peer->in + peer->len, (unsigned)(sizeof peer->in - peer->len - 1));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *peer = stream->data;
    if (n < 0) {
        peer_close(peer);
        return;
    }
    peer->len += (size_t)n;
    peer->in[peer->len] = 0;
    const char *end = strstr(peer->in, "\r\n\r\n");
    if (!end)
        return;
    const char *length = strstr(peer->in, "Content-Length: ");
    size_t body = length ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    size_t head = (size_t)(end - peer->in) + 4;
    if (peer->len < head + body)
        return;
    snprintf(last_head, sizeof last_head, "%.*s", (int)head, peer->in);
    snprintf(last_body, sizeof last_body, "%.*s", (int)(body < 200 ? body : 200), peer->in + head);
    peer->len = 0;
    answer(peer);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peer *peer = calloc(1, sizeof *peer);
    uv_tcp_init(&loop, &peer->tcp);
    uv_timer_init(&loop, &peer->timer);
    peer->tcp.data = peer->timer.data = peer;
    ck_assert_int_eq(uv_accept(server, (uv_stream_t *)&peer->tcp), 0);
    n_connections++;
    uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
}

/* ---- the client's side ---------------------------------------------------------------------------------------------
 */

struct seen {
    int calls;
    enum http_fate fate;
    int status;
    size_t body_len;
    char body[64], thing[32], early[8], text[200];
};

static struct http_client *client;
static int left, was_closed;

static void on_done(void *arg, const struct http_result *result)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->fate = result->fate;
    seen->status = result->status;
    seen->body_len = result->body_len;
    ck_assert(result->elapsed_us >= 0);
    ck_assert(result->text != NULL && strlen(result->body) == result->body_len);
    snprintf(seen->body, sizeof seen->body, "%s", result->body);
    snprintf(seen->text, sizeof seen->text, "%s", result->text);
    const char *thing = json_string_value(json_object_get(result->headers, "x-thing"));
    snprintf(seen->thing, sizeof seen->thing, "%s", thing ? thing : "");
    const char *early = json_string_value(json_object_get(result->headers, "x-early"));
    snprintf(seen->early, sizeof seen->early, "%s", early ? early : "");
    left--;
    uv_stop(&loop);
}

static void setup(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &listener);
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    ck_assert_int_eq(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&listener, 512, on_connection), 0);
    int len = sizeof address;
    uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    ck_assert_int_eq(http_client_new(&loop, &client), 0);
}

static void on_closed(void *arg)
{
    was_closed = 1;
}

static void close_any(uv_handle_t *handle, void *arg)
{
    if (uv_is_closing(handle))
        return;
    if (handle->type == UV_TIMER || (handle->type == UV_TCP && handle != (uv_handle_t *)&listener))
        uv_close(handle, peer_closed);
    else
        uv_close(handle, NULL);
}

/* The loop must hold nothing of the client once it says it is closed. */
static void teardown(void)
{
    if (client)
        http_client_close(client, on_closed, NULL);
    for (int i = 0; i < 100 && !was_closed; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(was_closed, 1);
    uv_walk(&loop, close_any, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static int send_to(const char *method, const char *url, const char *body, int64_t timeout_ms, struct seen *seen,
                   uint64_t *ret_handle)
{
    struct http_request request = {
        .method = method, .url = url, .body = body, .body_len = body ? strlen(body) : 0, .timeout_ms = timeout_ms};
    int e = http_client_send(client, &request, on_done, seen, ret_handle);
    if (!e) {
        left++;
        ck_assert_int_eq(seen->calls, 0); /* never from inside */
    }
    return e;
}

static void get(const char *path, int64_t timeout_ms, struct seen *seen)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    ck_assert_int_eq(send_to("GET", url, NULL, timeout_ms, seen, NULL), 0);
}

static void post(const char *path, struct seen *seen)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    ck_assert_int_eq(send_to("POST", url, "{\"a\":1}", 5000, seen, NULL), 0);
}

static void run(void)
{
    while (left)
        uv_run(&loop, UV_RUN_DEFAULT); /* on_done stops it */
}

/* ---- what an answer looks like ------------------------------------------------------------------------------------
 */

START_TEST(answers)
{
    struct seen seen = {0};
    get("/ok", 5000, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_ANSWERED);
    ck_assert_int_eq(seen.status, 201);
    ck_assert_str_eq(seen.body, "{\"ok\":true}");
    ck_assert_str_eq(seen.thing, "a, b");
    ck_assert_str_eq(seen.text, "");
}
END_TEST

START_TEST(sends_method_headers_body)
{
    struct seen seen = {0};
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/ok?q=1", port);
    json_t *headers = json_pack("{ss,ss}", "Idempotency-Key", "K-1", "X-Empty", "");
    struct http_request request = {
        .method = "PUT", .url = url, .headers = headers, .body = "{\"a\":1}", .body_len = 7, .timeout_ms = 5000};
    ck_assert_int_eq(http_client_send(client, &request, on_done, &seen, NULL), 0);
    left++;
    json_decref(headers);
    run();
    ck_assert_ptr_nonnull(strstr(last_head, "PUT /ok?q=1 HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(last_head, "\r\nIdempotency-Key: K-1\r\n"));
    ck_assert_ptr_nonnull(strstr(last_head, "\r\nX-Empty:"));
    ck_assert_ptr_nonnull(strstr(last_head, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(last_head, "Expect"));
    ck_assert_str_eq(last_body, "{\"a\":1}");
}
END_TEST

START_TEST(interim_answer_does_not_count)
{
    struct seen seen = {0};
    get("/interim", 5000, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_ANSWERED);
    ck_assert_int_eq(seen.status, 201);
    ck_assert_str_eq(seen.early, "");
}
END_TEST

START_TEST(redirect_is_an_answer)
{
    struct seen seen = {0};
    get("/moved", 5000, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_ANSWERED);
    ck_assert_int_eq(seen.status, 302);
    ck_assert_int_eq(n_requests, 1);
}
END_TEST

START_TEST(slow_answer_in_time)
{
    struct seen seen = {0};
    get("/slow", 5000, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_ANSWERED);
}
END_TEST

/* ---- fates ---------------------------------------------------------------------------------------------------------
 */

START_TEST(silence_times_out)
{
    struct seen seen = {0};
    uint64_t begin = uv_hrtime();
    get("/silent", 120, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_TIMED_OUT);
    ck_assert_int_eq(seen.status, 0);
    ck_assert(seen.text[0]);
    ck_assert((uv_hrtime() - begin) / 1000000 < 2000);
}
END_TEST

START_TEST(cut_answer_is_broken)
{
    struct seen seen = {0};
    get("/cut", 5000, &seen);
    run();
    ck_assert_int_eq(seen.fate, HTTP_BROKEN);
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.body_len, 0);
}
END_TEST

START_TEST(no_answer_is_broken)
{
    struct seen seen = {0}, junk = {0};
    post("/gone", &seen);
    post("/junk", &junk);
    run();
    ck_assert_int_eq(seen.fate, HTTP_BROKEN);
    ck_assert_int_eq(junk.fate, HTTP_BROKEN);
    ck_assert_int_eq(n_gone, 1);
}
END_TEST

/* libcurl would send a request again when a kept connection closes under it. The other side may have acted on it. */
START_TEST(never_sends_twice)
{
    struct seen first = {0}, second = {0};
    post("/ok", &first);
    run();
    post("/gone", &second);
    run();
    ck_assert_int_eq(first.fate, HTTP_ANSWERED);
    ck_assert_int_eq(second.fate, HTTP_BROKEN);
    ck_assert_int_eq(n_gone, 1);
}
END_TEST

START_TEST(too_large_is_broken)
{
    struct seen declared = {0}, chunked = {0}, headers = {0};
    get("/large", 5000, &declared);
    get("/endless", 5000, &chunked);
    get("/headers", 5000, &headers);
    run();
    ck_assert_int_eq(declared.fate, HTTP_BROKEN);
    ck_assert_int_eq(headers.fate, HTTP_BROKEN);
    ck_assert_ptr_nonnull(strstr(headers.text, "larger than"));
    ck_assert_int_eq(chunked.fate, HTTP_BROKEN);
    ck_assert_ptr_nonnull(strstr(chunked.text, "larger than"));
}
END_TEST

static int unused_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

START_TEST(refused_connection_is_not_sent)
{
    struct seen seen = {0};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", unused_port());
    send_to("POST", url, "{}", 5000, &seen, NULL);
    run();
    ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
    ck_assert_ptr_nonnull(strstr(seen.text, "refused"));
}
END_TEST

START_TEST(bad_url_is_not_sent)
{
    static const char *const urls[] = {"",
                                       "127.0.0.1/x",
                                       "ftp://127.0.0.1/",
                                       "file:///etc/passwd",
                                       "http://127.0.0.1/a b",
                                       "http://127.0.0.1/a\r\nX: y",
                                       "http://127.0.0.1:99999/",
                                       "http:///x"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct seen seen = {0};
        ck_assert_int_eq(send_to("GET", urls[i], NULL, 2000, &seen, NULL), 0);
        run();
        ck_assert_msg(seen.fate == HTTP_NOT_SENT && seen.text[0], "%s", urls[i]);
    }
    ck_assert_int_eq(n_connections, 0);
}
END_TEST

START_TEST(unknown_name_is_not_sent)
{
    struct seen seen = {0};
    send_to("GET", "http://nobody.invalid/", NULL, 4000, &seen, NULL);
    run();
    ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
}
END_TEST

/* A plain server under an https URL: the handshake fails, so the request was never handed to the connection. */
START_TEST(failed_handshake_is_not_sent)
{
    struct seen seen = {0};
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/ok", port);
    send_to("POST", url, "{}", 300, &seen, NULL);
    run();
    ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
    ck_assert_int_eq(n_requests, 0);
}
END_TEST

START_TEST(refuses_what_could_smuggle)
{
    struct seen seen = {0};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", port);
    static const char *const headers[][2] = {{"X-A", "b\r\nX-C: d"},
                                             {"X-A: b\r\nX", "y"},
                                             {"X A", "b"},
                                             {"Content-Length", "3"},
                                             {"transfer-encoding", "chunked"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        json_t *object = json_pack("{ss}", headers[i][0], headers[i][1]);
        struct http_request request = {.method = "GET", .url = url, .headers = object, .timeout_ms = 1000};
        ck_assert_int_eq(http_client_send(client, &request, on_done, &seen, NULL), CVM_EINVAL);
        json_decref(object);
    }
    ck_assert_int_eq(send_to("GET /x", url, NULL, 1000, &seen, NULL), CVM_EINVAL);
    ck_assert_int_eq(send_to("GET", url, NULL, 0, &seen, NULL), CVM_EINVAL);
    struct http_request big = {
        .method = "POST", .url = url, .body = url, .timeout_ms = 1000, .body_len = HTTP_CLIENT_REQUEST_MAX_BYTES + 1};
    ck_assert_int_eq(http_client_send(client, &big, on_done, &seen, NULL), CVM_ELIMIT);
    ck_assert_int_eq(seen.calls, 0);
}
END_TEST

START_TEST(passes_its_crash_points)
{
    char path[] = "/tmp/http_client_hits_XXXXXX", hits[128] = "";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    setenv("CVMHOST_CRASH_HITS", path, 1);
    crash_init();
    struct seen lost = {0}, seen = {0};
    get("/silent", 100, &lost);
    run();
    ck_assert_int_ge(read(fd, hits, sizeof hits - 1), 0);
    ck_assert_str_eq(hits, "first_byte_sent\n");
    get("/ok", 5000, &seen);
    run();
    memset(hits, 0, sizeof hits);
    ck_assert_int_ge(read(fd, hits, sizeof hits - 1), 0);
    ck_assert_str_eq(hits, "answer_received\n");
    close(fd);
    unlink(path);
}
END_TEST

/* ---- many ----------------------------------------------------------------------------------------------------------
 */

START_TEST(keeps_connections)
{
    for (int i = 0; i < 50; i++) {
        struct seen seen = {0};
        get("/ok", 5000, &seen);
        run();
        ck_assert_int_eq(seen.fate, HTTP_ANSWERED);
    }
    ck_assert_int_eq(n_connections, 1);
    ck_assert_int_eq(n_requests, 50);
}
END_TEST

START_TEST(two_hundred_in_parallel)
{
    static struct seen seen[200];
    for (int i = 0; i < 200; i++)
        get("/slow", 10000, &seen[i]);
    run();
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(seen[i].fate, HTTP_ANSWERED);
    ck_assert_int_le(n_connections, HTTP_CLIENT_CONNECTIONS_PER_HOST);
    ck_assert_int_gt(n_connections, HTTP_CLIENT_CONNECTIONS_PER_HOST / 2);
    ck_assert_int_eq(n_requests, 200);
}
END_TEST

START_TEST(waiting_too_long_is_not_sent)
{
    static struct seen seen[HTTP_CLIENT_CONNECTIONS_PER_HOST + 1];
    for (int i = 0; i < HTTP_CLIENT_CONNECTIONS_PER_HOST; i++)
        get("/silent", 600, &seen[i]);
    get("/ok", 100, &seen[HTTP_CLIENT_CONNECTIONS_PER_HOST]);
    run();
    ck_assert_int_eq(seen[0].fate, HTTP_TIMED_OUT);
    ck_assert_int_eq(seen[HTTP_CLIENT_CONNECTIONS_PER_HOST].fate, HTTP_NOT_SENT);
    ck_assert_int_eq(n_requests, HTTP_CLIENT_CONNECTIONS_PER_HOST);
}
END_TEST

START_TEST(cancelled_is_not_told)
{
    struct seen running = {0}, waiting[HTTP_CLIENT_CONNECTIONS_PER_HOST + 1] = {{0}}, failed = {0};
    char url[64];
    uint64_t handles[3];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/slow", port);
    send_to("GET", url, NULL, 1000, &running, &handles[0]);
    for (int i = 0; i < HTTP_CLIENT_CONNECTIONS_PER_HOST; i++)
        send_to("GET", url, NULL, 1000, &waiting[i], &handles[1]);
    send_to("GET", "nonsense", NULL, 1000, &failed, &handles[2]);
    uv_run(&loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 3; i++)
        http_client_cancel(client, handles[i]);
    http_client_cancel(client, handles[0]); /* twice is harmless */
    left -= failed.calls ? 2 : 3;
    run();
    ck_assert_int_eq(running.calls, 0);
    ck_assert_int_eq(waiting[HTTP_CLIENT_CONNECTIONS_PER_HOST - 1].calls, 0);
    ck_assert_int_eq(waiting[0].fate, HTTP_ANSWERED);
}
END_TEST

static void close_inside(void *arg, const struct http_result *result)
{
    on_done(arg, result);
    http_client_close(client, on_closed, NULL);
    client = NULL;
}

START_TEST(closes_with_everything_open)
{
    static struct seen seen[100], closer;
    for (int i = 0; i < 100; i++)
        get(i % 2 ? "/silent" : "/slow", 5000, &seen[i]);
    struct http_request request = {.method = "GET", .url = "nonsense", .timeout_ms = 1000};
    ck_assert_int_eq(http_client_send(client, &request, close_inside, &closer, NULL), 0);
    while (!was_closed)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(closer.calls, 1);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(seen[i].calls, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_client");
    TCase *answer_case = tcase_create("answers");
    tcase_add_checked_fixture(answer_case, setup, teardown);
    tcase_add_test(answer_case, answers);
    tcase_add_test(answer_case, sends_method_headers_body);
    tcase_add_test(answer_case, interim_answer_does_not_count);
    tcase_add_test(answer_case, redirect_is_an_answer);
    tcase_add_test(answer_case, slow_answer_in_time);
    suite_add_tcase(suite, answer_case);
    TCase *fate_case = tcase_create("fates");
    tcase_add_checked_fixture(fate_case, setup, teardown);
    tcase_set_timeout(fate_case, 20);
    tcase_add_test(fate_case, silence_times_out);
    tcase_add_test(fate_case, cut_answer_is_broken);
    tcase_add_test(fate_case, no_answer_is_broken);
    tcase_add_test(fate_case, never_sends_twice);
    tcase_add_test(fate_case, too_large_is_broken);
    tcase_add_test(fate_case, refused_connection_is_not_sent);
    tcase_add_test(fate_case, bad_url_is_not_sent);
    tcase_add_test(fate_case, unknown_name_is_not_sent);
    tcase_add_test(fate_case, failed_handshake_is_not_sent);
    tcase_add_test(fate_case, refuses_what_could_smuggle);
    tcase_add_test(fate_case, passes_its_crash_points);
    suite_add_tcase(suite, fate_case);
    TCase *many_case = tcase_create("many");
    tcase_add_checked_fixture(many_case, setup, teardown);
    tcase_set_timeout(many_case, 20);
    tcase_add_test(many_case, keeps_connections);
    tcase_add_test(many_case, two_hundred_in_parallel);
    tcase_add_test(many_case, waiting_too_long_is_not_sent);
    tcase_add_test(many_case, cancelled_is_not_told);
    tcase_add_test(many_case, closes_with_everything_open);
    suite_add_tcase(suite, many_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
