/* Pages and streams of plugins over the real listener: what is served and how, no way out of the folder, what a reload
 * and a removal do, events in order and only of what is durable, clients that come back, are slow, or too many. */
#include "flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 64

/* ---- a client of a stream -----------------------------------------------------------------------------------------
 */

struct client {
    int fd;
    char *text;
    size_t len, cap;
    bool over; /* the other end has closed */
};

static int port_of(const struct flow *f)
{
    return (int)strtol(strrchr(f->url, ':') + 1, NULL, 10);
}

/* HTTP/1.0, so that the body comes as it is. `small`: hardly any room to receive. */
static struct client listen_to(const struct flow *f, const char *path, const char *headers, bool small)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(f))};
    char request[1024];
    int bytes = 4096;
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (small)
        setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    ck_assert_int_eq(connect(c.fd, (struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: a\r\n%s\r\n", path, headers ? headers : "");
    ck_assert_int_eq((int)send(c.fd, request, (size_t)n, MSG_NOSIGNAL), n);
    return c;
}

/* Takes what comes within `ms`; false: nothing did. */
static bool take(struct client *c, int ms)
{
    struct pollfd p = {c->fd, POLLIN, 0};
    if (c->over || poll(&p, 1, ms) <= 0)
        return false;
    if (c->len + 65536 > c->cap) {
        c->cap = c->cap * 2 + 131072;
        c->text = realloc(c->text, c->cap);
    }
    ssize_t n = read(c->fd, c->text + c->len, 65535);
    c->over = n <= 0;
    c->len += n > 0 ? (size_t)n : 0;
    c->text[c->len] = 0;
    return true;
}

static bool heard(struct client *c, const char *text)
{
    int64_t until = flow_now_ms() + FLOW_WAIT_MS;
    while (!(c->text && strstr(c->text, text)) && !c->over && flow_now_ms() < until)
        take(c, 100);
    return c->text && strstr(c->text, text);
}

static void hear(struct client *c, const char *text)
{
    ck_assert_msg(heard(c, text), "\"%s\" was not heard, but: %s", text, c->text ? c->text : "nothing");
}

static bool is_over(struct client *c)
{
    int64_t until = flow_now_ms() + FLOW_WAIT_MS;
    while (!c->over && flow_now_ms() < until)
        take(c, 100);
    return c->over;
}

static void leave(struct client *c)
{
    close(c->fd);
    free(c->text);
    c->text = NULL;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* ---- the host -----------------------------------------------------------------------------------------------------
 */

static struct flow *with_teller(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "teller");
    flow_start(f);
    return f;
}

static int ask(struct flow *f, const char *path, const char *body)
{
    return flow_http(f, "POST", path, body, (const char *const[]){"Content-Type: application/json", NULL}, NULL);
}

static void tell(struct flow *f, const char *body)
{
    ck_assert_int_eq(ask(f, "/test/tell", body), 200);
}

static void get(struct flow *f, const char *path, int status, const char *header, const char *text)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), status);
    ck_assert_msg(!header || strstr(a.headers, header), "%s: no %s in: %s", path, header, a.headers);
    ck_assert_msg(!text || strstr(a.text, text), "%s: no %s in: %s", path, text, a.text);
    flow_answer_free(&a);
}

/* The value of a metric without labels. */
static int64_t metric(struct flow *f, const char *name)
{
    struct flow_answer a;
    char line[128];
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(a.text, line);
    int64_t value = at ? strtoll(at + strlen(line), NULL, 10) : -1;
    flow_answer_free(&a);
    return value;
}

/* ---- pages ---------------------------------------------------------------------------------------------------------
 */

START_TEST(are_served)
{
    static const char *const headers[] = {
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n",
        "X-Content-Type-Options: nosniff\r\n",
        "Referrer-Policy: no-referrer\r\n",
        "Cache-Control: no-cache\r\n",
        "ETag: \"",
        "Content-Type: text/html; charset=utf-8\r\n"};
    struct flow *f = with_teller();
    struct flow_answer a;
    char known[128];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        get(f, "/test/page", 200, headers[i], "<p>first</p>");
    get(f, "/test/site/", 200, "text/html", "index");
    get(f, "/test/site/index.html", 200, "text/html", "index");
    get(f, "/test/site/deep/a.js", 200, "Content-Type: text/javascript; charset=utf-8\r\n", "export");
    get(f, "/test/site/dot.png", 200, "Content-Type: image/png\r\n", "\x89PNG");
    get(f, "/test/site/dot.png", 200, "Content-Length: 16\r\n", NULL);
    get(f, "/test/site/.hidden.txt", 404, NULL, NULL);
    get(f, "/test/site", 404, NULL, NULL);
    get(f, "/test/gone.js", 404, NULL, "cvmhost-is-not-there");
    get(f, "/test/old", 302, "Location: /test/page\r\n", NULL);
    ck_assert(flow_logged(f, "/test/gone.js is answered 404"));

    ck_assert_int_eq(flow_http(f, "POST", "/test/page", "{}", NULL, &a), 405);
    ck_assert_ptr_nonnull(strstr(a.headers, "Allow: GET, HEAD\r\n"));
    flow_answer_free(&a);

    ck_assert_int_eq(flow_http(f, "HEAD", "/test/page", NULL, NULL, &a), 200);
    ck_assert_str_eq(a.text, "");
    ck_assert_ptr_nonnull(strstr(a.headers, "Content-Length: 1"));
    const char *etag = strstr(a.headers, "ETag: ") + 6;
    snprintf(known, sizeof known, "If-None-Match: %.34s", etag);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/test/page", NULL, (const char *const[]){known, NULL}, &a), 304);
    ck_assert_str_eq(a.text, "");
    flow_answer_free(&a);
    known[20] ^= 1;
    ck_assert_int_eq(flow_http(f, "GET", "/test/page", NULL, (const char *const[]){known, NULL}, NULL), 200);
    flow_end(f);
}
END_TEST

START_TEST(no_way_out)
{
    static const char *const paths[] = {"/test/site/../../teller.json",
                                        "/test/site/../page.html",
                                        "/test/site/%2e%2e/page.html",
                                        "/test/site/%2E%2E%2Fpage.html",
                                        "/test/site/..%2f..%2fteller.json",
                                        "/test/site/..",
                                        "/test/site/deep/../../../../../../../../etc/passwd",
                                        "/test/site//deep/a.js",
                                        "/test/site/./index.html",
                                        "/test/site/index.html%00.js",
                                        "/test/site/index.html%00",
                                        "/test/site/deep",
                                        "/test/site/deep/",
                                        "/test/site/.hidden.txt",
                                        "/test/site/index.html/",
                                        "//etc/passwd",
                                        "/etc/passwd",
                                        "/test/site/%c0%ae%c0%ae/page.html",
                                        "/test/site\\index.html",
                                        "test/page"};
    struct flow *f = with_teller();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct client c = listen_to(f, paths[i], NULL, false);
        ck_assert(is_over(&c));
        ck_assert_msg(c.text && (strstr(c.text, " 404 ") || strstr(c.text, " 400 ")), "%s: %s", paths[i], c.text);
        leave(&c);
    }
    flow_end(f);
}
END_TEST

/* Asks for the page again and again until told to end; each answer must be a whole page of one of the builds. */
static pid_t crowd(struct flow *f)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    for (int n = 0; n < 100000; n++) {
        struct flow_answer a;
        if (flow_http(f, "GET", "/test/page", NULL, NULL, &a) != 200 || !strstr(a.text, "</html>") ||
            (!strstr(a.text, "<p>first</p>") && !strstr(a.text, "<p>second</p>")))
            _exit(1);
        flow_answer_free(&a);
    }
    _exit(2);
}

START_TEST(come_and_go_with_their_plugin)
{
    static const char page[] = "<!doctype html><html lang=\"en\"><title>A page</title><p>%s</p></html>";
    struct flow *f = with_teller();
    int status;
    pid_t asking = crowd(f);
    for (int i = 0; i < 10; i++) {
        char text[256];
        snprintf(text, sizeof text, page, i % 2 ? "first" : "second");
        flow_write(f, "manifests/teller/pages/page.html", text);
        EXPECT(f, 0, "", "reload", "teller");
        get(f, "/test/page", 200, NULL, i % 2 ? "<p>first</p>" : "<p>second</p>");
    }
    ck_assert_int_eq(waitpid(asking, &status, WNOHANG), 0); /* nothing has gone wrong so far */
    kill(asking, SIGKILL);
    waitpid(asking, &status, 0);

    flow_remove(f, "manifests/teller/pages/page.html");
    EXPECT(f, 3, "pages[0]: there is no file", "reload", "teller");
    get(f, "/test/page", 200, NULL, "<p>first</p>"); /* what serves is in memory */
    flow_kill(f, SIGKILL);                           /* and comes back with its build */
    flow_wait_serving(f);
    get(f, "/test/page", 200, NULL, "<p>first</p>");
    get(f, "/test/site/dot.png", 200, "Content-Length: 16\r\n", NULL);
    EXPECT(f, 0, "removed", "plugin", "remove", "teller");
    get(f, "/test/page", 404, NULL, NULL);
    get(f, "/test/old", 404, NULL, NULL);
    flow_end(f);
}
END_TEST

START_TEST(paths_are_taken_once)
{
    static const char manifest[] = "{\"manifest\": 1, \"name\": \"echo\", \"version\": \"1.0.0\", \"abi\": \"1.0\", %s,"
                                   " \"components\": [{\"id\": \"test.echo_a\", \"kind\": \"agent\"}, {\"id\": "
                                   "\"test.echo_b\", \"kind\": \"agent\"},"
                                   " {\"id\": \"test.echo_c\", \"kind\": \"agent\"}]}";
    static const char *const faults[][2] = {
        {"\"pages\": [{\"path\": \"/test/page\", \"file\": \"a.html\"}]",
         "the page /test/page is claimed by echo and by"},
        {"\"pages\": [{\"path\": \"/test/tell\", \"file\": \"a.html\"}]", "is a route of test.teller"},
        {"\"pages\": [{\"path\": \"/health\", \"file\": \"a.html\"}]", "belongs to the host already"},
        {"\"pages\": [{\"path\": \"/test/events\", \"file\": \"a.html\"}]", "is a page of echo"},
        {"\"streams\": [{\"rest\": \"GET /test/events\", \"topics\": [\"x\"]}]", "is claimed by echo and by teller"},
        {"\"streams\": [{\"rest\": \"GET /metrics\", \"topics\": [\"x\"]}]", "belongs to the host already"}};
    struct flow *f = with_teller();
    char text[1024];
    flow_plugin(f, "echo");
    flow_write(f, "manifests/echo/a.html", "x");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        snprintf(text, sizeof text, manifest, faults[i][0]);
        flow_write(f, "manifests/echo.json", text);
        EXPECT(f, 3, faults[i][1], "reload", "echo");
        EXPECT(f, 3, "", "config", "check");
    }
    get(f, "/test/page", 200, NULL, NULL);
    flow_end(f);
}
END_TEST

/* ---- streams -------------------------------------------------------------------------------------------------------
 */

START_TEST(tells_what_is_kept)
{
    struct flow *f = with_teller();
    struct client c = listen_to(f, "/test/events", NULL, false);
    hear(&c, "\r\n\r\nretry: 1000\nid: ");
    ck_assert_ptr_nonnull(strstr(c.text, "Content-Type: text/event-stream\r\n"));
    ck_assert_ptr_nonnull(strstr(c.text, "Cache-Control: no-store\r\n"));
    tell(f, "{\"n\": 3, \"tag\": 1}");
    hear(&c, "\"i\":2,\"tag\":1");
    hear(&c, "\nid: ");
    ck_assert_int_eq(count(c.text, "event: test.told\ndata: {\"i\":"), 3);
    ck_assert_int_eq(count(c.text, "\nid: "), 2); /* where it began, and one for the turn */
    ck_assert_int_ne(ask(f, "/test/tell", "{\"tag\": 2, \"fail\": true}"), 200);
    ck_assert_int_eq(ask(f, "/test/whisper", "{\"tag\": 3}"), 200);
    tell(f, "{\"tag\": 4, \"topic\": \"test.other\"}");
    int64_t begun = flow_now_us();
    tell(f, "{\"tag\": 5, \"topic\": \"test.also\"}");
    hear(&c, "event: test.also\ndata: {\"i\":0,\"tag\":5,");
    printf("an event was at its client %.1f ms after it was asked for\n", (double)(flow_now_us() - begun) / 1000);
    ck_assert_int_eq(count(c.text, "event: "), 4);
    ck_assert_int_eq(metric(f, "cvmhost_http_stream_events_total"), 4 + 3);
    ck_assert_int_eq(metric(f, "cvmhost_http_stream_clients"), 1);
    leave(&c);
    FLOW_UNTIL(metric(f, "cvmhost_http_stream_clients") == 0);
    flow_end(f);
}
END_TEST

/* The id of the last event that has come. */
static long long last_id(const struct client *c)
{
    const char *at = c->text, *found = NULL;
    while ((at = strstr(at, "\nid: ")))
        found = at += 5;
    return found ? strtoll(found, NULL, 10) : -1;
}

START_TEST(goes_on_where_it_was)
{
    struct flow *f = with_teller();
    char header[64];
    struct client c = listen_to(f, "/test/events", NULL, false);
    hear(&c, "retry");
    tell(f, "{\"tag\": 1}");
    hear(&c, "\"tag\":1,");
    long long id = last_id(&c);
    leave(&c);
    tell(f, "{\"tag\": 2, \"n\": 2}");
    tell(f, "{\"tag\": 3}");
    snprintf(header, sizeof header, "Last-Event-ID: %lld\r\n", id);
    c = listen_to(f, "/test/events", header, false);
    hear(&c, "\"tag\":3,");
    ck_assert_int_eq(count(c.text, "event: test.told"), 3);
    ck_assert_ptr_null(strstr(c.text, "\"tag\":1,"));
    ck_assert_ptr_null(strstr(c.text, "reset"));
    leave(&c);

    static const char *const odd[] = {"-1", "x", "99999999999999", "1x"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        snprintf(header, sizeof header, "Last-Event-ID: %s\r\n", odd[i]);
        c = listen_to(f, "/test/events", header, false);
        hear(&c, "event: reset\ndata: {}\nid: ");
        leave(&c);
    }
    flow_kill(f, SIGKILL); /* what was told is in nobody's memory any more */
    flow_wait_serving(f);
    snprintf(header, sizeof header, "Last-Event-ID: %lld\r\n", id);
    c = listen_to(f, "/test/events", header, false);
    hear(&c, "event: reset\n");
    tell(f, "{\"tag\": 4}");
    hear(&c, "\"tag\":4,");
    leave(&c);
    flow_end(f);
}
END_TEST

START_TEST(slow_clients_are_let_go)
{
    struct flow *f = with_teller();
    struct client slow = listen_to(f, "/test/events", NULL, true), good = listen_to(f, "/test/events", NULL, false);
    hear(&good, "retry");
    for (int i = 0; i < 200 && metric(f, "cvmhost_http_stream_dropped_total") == 0; i++) {
        tell(f, "{\"n\": 10, \"size\": 50000}");
        while (take(&good, 0))
            ;
        if (i > 10)
            flow_sleep_ms(100);
    }
    ck_assert_int_eq(metric(f, "cvmhost_http_stream_dropped_total"), 1);
    ck_assert(is_over(&slow));
    tell(f, "{\"tag\": 77}");
    hear(&good, "\"tag\":77");
    ck_assert(flow_logged(f, "reads too slowly and was let go"));
    leave(&slow);
    leave(&good);
    flow_end(f);
}
END_TEST

START_TEST(so_many_and_no_more)
{
    struct flow *f = flow_new();
    flow_plugin(f, "teller");
    flow_config(f, "http.per_address", json_integer(2 * CLIENTS));
    flow_start(f);
    struct client all[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        all[i] = listen_to(f, "/test/events", NULL, false);
        hear(&all[i], "retry");
    }
    struct client more = listen_to(f, "/test/events", NULL, false);
    hear(&more, " 503 ");
    ck_assert(is_over(&more));
    ck_assert_ptr_nonnull(strstr(more.text, "Retry-After: 1\r\n"));
    leave(&more);
    tell(f, "{\"tag\": 6}");
    for (int i = 0; i < CLIENTS; i++)
        hear(&all[i], "\"tag\":6,");
    leave(&all[0]);
    FLOW_UNTIL(metric(f, "cvmhost_http_stream_clients") == CLIENTS - 1);
    more = listen_to(f, "/test/events", NULL, false);
    hear(&more, "retry");
    leave(&more);
    int64_t begun = flow_now_ms();
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_lt(flow_now_ms() - begun, 5000); /* nobody who listens holds it up */
    for (int i = 1; i < CLIENTS; i++) {
        ck_assert(is_over(&all[i]));
        leave(&all[i]);
    }
    flow_free(f);
}
END_TEST

START_TEST(lives_through_a_reload_and_ends_with_its_plugin)
{
    struct flow *f = with_teller();
    struct client c = listen_to(f, "/test/events", NULL, false);
    hear(&c, "retry");
    for (int i = 1; i <= 3; i++) {
        char text[64];
        flow_write(f, "manifests/teller/pages/page.html", i % 2 ? "<p>a</p>" : "<p>b</p>");
        EXPECT(f, 0, "", "reload", "teller");
        snprintf(text, sizeof text, "{\"tag\": %d}", i);
        tell(f, text);
        snprintf(text, sizeof text, "\"tag\":%d,", i);
        hear(&c, text);
    }
    EXPECT(f, 0, "removed", "plugin", "remove", "teller");
    ck_assert(is_over(&c));
    ck_assert_int_eq(count(c.text, "event: test.told"), 3);
    leave(&c);
    get(f, "/test/events", 404, NULL, NULL);
    flow_end(f);
}
END_TEST

START_TEST(asks_for_its_permission)
{
    struct flow *f = flow_new();
    flow_plugin(f, "teller");
    flow_env(f, "LISTENER", "listener-listener-listener");
    flow_env(f, "OTHER", "other-other-other-other");
    flow_config(f, "access.tokens",
                json_pack("[{s:s, s:s, s:[s]}, {s:s, s:s, s:[s]}]", "name", "ear", "secret", "LISTENER", "permissions",
                          "listen", "name", "other", "secret", "OTHER", "permissions", "sell"));
    flow_start(f);
    struct client c = listen_to(f, "/test/secret", NULL, false);
    hear(&c, " 401 ");
    leave(&c);
    c = listen_to(f, "/test/secret", "Authorization: Bearer other-other-other-other\r\n", false);
    hear(&c, " 403 ");
    leave(&c);
    c = listen_to(f, "/test/secret", "Authorization: Bearer listener-listener-listener\r\n", false);
    hear(&c, "retry");
    tell(f, "{\"tag\": 8}");
    hear(&c, "\"tag\":8,");
    leave(&c);
    get(f, "/test/page", 200, NULL, NULL); /* pages are for everybody */
    flow_end(f);
}
END_TEST

/* The host dies while turns are on their way to the disk: each event that was heard is of a turn that is there. */
START_TEST(nothing_is_heard_that_is_not_kept)
{
    static const char *const points[] = {"turn_run:8", "group_begun:8", "rows_written:8", "committed:8"};
    char home[128], sql[160];
    struct flow *f = flow_new();
    flow_plugin(f, "teller");
    snprintf(home, sizeof home, "@%s/crash", f->home);
    flow_env(f, "CVMHOST_CRASH", home);
    flow_write(f, "crash", "none");
    flow_start(f);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        flow_write(f, "crash", points[i]);
        flow_kill(f, SIGKILL); /* the next process takes up the point */
        flow_wait_serving(f);
        flow_write(f, "crash", "none");
        struct client c = listen_to(f, "/test/events", NULL, false);
        hear(&c, "retry");
        int told = 0;
        while (told < 100 && ask(f, "/test/tell", "{\"tag\": 9}") == 200)
            told++;
        ck_assert_int_lt(told, 100);
        ck_assert(is_over(&c));
        flow_wait_serving(f);
        ck_assert_int_ge(count(c.text, "event: test.told"), told); /* also that of a turn whose answer was lost */
        for (const char *at = strstr(c.text, "event: test.told"); at && (at = strstr(at, "\nid: ")); at++) {
            snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM turns WHERE type = 'tell' AND seq = %lld",
                     strtoll(at + 5, NULL, 10));
            ck_assert_msg(flow_sql_int(f, sql) == 1, "%s: heard of a turn that is not there: %s", points[i], at);
        }
        leave(&c);
    }
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *pages = tcase_create("pages"), *streams = tcase_create("streams");
    tcase_set_timeout(pages, 120);
    tcase_set_timeout(streams, 120);
    tcase_add_test(pages, are_served);
    tcase_add_test(pages, no_way_out);
    tcase_add_test(pages, come_and_go_with_their_plugin);
    tcase_add_test(pages, paths_are_taken_once);
    tcase_add_test(streams, tells_what_is_kept);
    tcase_add_test(streams, goes_on_where_it_was);
    tcase_add_test(streams, slow_clients_are_let_go);
    tcase_add_test(streams, so_many_and_no_more);
    tcase_add_test(streams, lives_through_a_reload_and_ends_with_its_plugin);
    tcase_add_test(streams, asks_for_its_permission);
    tcase_add_test(streams, nothing_is_heard_that_is_not_kept);
    return flow_main("pages_http", (TCase *[]){pages, streams, NULL});
}
