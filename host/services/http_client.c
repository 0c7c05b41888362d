/* Owns outgoing exchanges from http_client_send to their end: those that wait for a place and those that run, and the
 * connections kept for the next. It says what became of a request and decides nothing. Knows no bus. Loop thread. */
#include "services/http_client.h"

#include "core/crash.h"
#include "services/http_transfer.h"
#include "services/smtp_transfer.h"
#include <assert.h>
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>

#define WAITING_MAX 16384
#define WAITING_MAX_BYTES (64 * 1024 * 1024)
#define TIMEOUT_MAX_MS (24 * 3600 * 1000)
#define IDLE_CONNECTIONS_MAX 256L
#define EASY_POOL_MAX 64
#define SWEEP_MS 50

enum phase { NOWHERE, WAITING, RUNNING, FAILED };

struct exchange {
    TAILQ_ENTRY(exchange) link; /* in the host's `waiting`, the client's `running` or `failed`, by phase */
    enum phase phase;
    struct http_client *client;
    struct host *host; /* NULL in phase FAILED */
    uint64_t handle;
    http_done done;
    void *arg;
    uint64_t begun_ns, deadline_ms; /* the deadline on the loop's clock */
    struct http_transfer transfer;
    struct poller *poller; /* of a mail whose connection stands */
};

TAILQ_HEAD(exchanges, exchange);

/* Everything for one scheme, name and port. */
struct host {
    TAILQ_ENTRY(host) link;
    struct exchanges waiting;
    size_t n_running, n_waiting;
    size_t most; /* connections */
    bool held;   /* not to be freed now */
    char origin[];
};

struct poller {
    uv_poll_t poll;
    TAILQ_ENTRY(poller) link;
    struct http_client *client;
    struct exchange *talks; /* its dialogue is ours; NULL: libcurl's */
    curl_socket_t socket;
};

struct http_client {
    uv_loop_t *loop;
    const struct curl_lib *curl;
    CURLM *multi;
    uv_timer_t timer; /* libcurl's */
    uv_timer_t sweep; /* ends what failed at once and what waited too long */
    TAILQ_HEAD(, host) hosts;
    TAILQ_HEAD(, poller) pollers;
    struct exchanges running, failed;
    size_t n_running, n_waiting, n_failed, n_talking, waiting_bytes;
    CURL *pool[EASY_POOL_MAX];
    size_t n_pool;
    uint64_t last_handle;
    int open_handles;
    bool closing;
    void (*closed)(void *);
    void *closed_arg;
};

/* ---- an exchange ------------------------------------------------------------------------------------------------- */

static struct host *host_of(struct http_client *client, const char *url)
{
    const char *authority = strstr(url, "://") + 3;
    size_t len = (size_t)(authority - url) + strcspn(authority, "/?#");
    struct host *host;
    TAILQ_FOREACH(host, &client->hosts, link)
    {
        if (strncmp(host->origin, url, len) == 0 && !host->origin[len])
            return host;
    }
    host = calloc(1, sizeof *host + len + 1);
    if (!host)
        return NULL;
    memcpy(host->origin, url, len);
    host->most = strncasecmp(url, "smtp", 4) == 0 ? SMTP_CLIENT_CONNECTIONS_PER_HOST : HTTP_CLIENT_CONNECTIONS_PER_HOST;
    TAILQ_INIT(&host->waiting);
    TAILQ_INSERT_TAIL(&client->hosts, host, link);
    return host;
}

static void host_release(struct http_client *client, struct host *host)
{
    if (host->n_running || host->n_waiting || host->held)
        return;
    TAILQ_REMOVE(&client->hosts, host, link);
    free(host);
}

static void on_sweep(uv_timer_t *timer);

static void enter(struct exchange *x, enum phase phase)
{
    struct http_client *client = x->client;
    x->phase = phase;
    switch (phase) {
    case NOWHERE:
        break;
    case WAITING:
        TAILQ_INSERT_TAIL(&x->host->waiting, x, link);
        x->host->n_waiting++;
        client->n_waiting++;
        client->waiting_bytes += x->transfer.body_len;
        if (!uv_is_active((uv_handle_t *)&client->sweep))
            uv_timer_start(&client->sweep, on_sweep, SWEEP_MS, 0);
        break;
    case RUNNING:
        TAILQ_INSERT_TAIL(&client->running, x, link);
        x->host->n_running++;
        client->n_running++;
        break;
    case FAILED:
        TAILQ_INSERT_TAIL(&client->failed, x, link);
        client->n_failed++;
        uv_timer_start(&client->sweep, on_sweep, 0, 0);
        break;
    }
}

static void leave(struct exchange *x)
{
    struct http_client *client = x->client;
    switch (x->phase) {
    case NOWHERE:
        break;
    case WAITING:
        TAILQ_REMOVE(&x->host->waiting, x, link);
        x->host->n_waiting--;
        client->n_waiting--;
        client->waiting_bytes -= x->transfer.body_len;
        break;
    case RUNNING:
        TAILQ_REMOVE(&client->running, x, link);
        x->host->n_running--;
        client->n_running--;
        break;
    case FAILED:
        TAILQ_REMOVE(&client->failed, x, link);
        client->n_failed--;
        break;
    }
    x->phase = NOWHERE;
}

static void poller_close(struct poller *poller);

/* Takes the handle of libcurl away from it. */
static void disarm(struct exchange *x)
{
    struct http_client *client = x->client;
    CURL *easy = x->transfer.easy;
    if (x->poller) {
        poller_close(x->poller); /* before its socket goes */
        client->n_talking--;
        x->poller = NULL;
    }
    if (!easy)
        return;
    x->transfer.easy = NULL;
    client->curl->multi_remove_handle(client->multi, easy);
    if (client->n_pool < EASY_POOL_MAX) {
        client->curl->easy_reset(easy);
        client->pool[client->n_pool++] = easy;
    } else {
        client->curl->easy_cleanup(easy);
    }
}

static void let_host_go(struct exchange *x)
{
    if (x->host)
        host_release(x->client, x->host);
    x->host = NULL;
}

static void drop(struct exchange *x)
{
    leave(x);
    disarm(x);
    let_host_go(x);
    http_transfer_fini(&x->transfer);
    free(x);
}

/* Tells its owner, drops it. */
static void finish(struct exchange *x, enum http_fate fate, long status)
{
    leave(x);
    disarm(x);
    let_host_go(x);
    bool answered = fate == HTTP_ANSWERED;
    struct http_result result = {.fate = fate,
                                 .status = (int)status,
                                 .headers = x->transfer.answer_headers,
                                 .body = answered && x->transfer.answer ? x->transfer.answer : "",
                                 .body_len = answered ? x->transfer.answer_len : 0,
                                 .text = answered ? "" : x->transfer.text,
                                 .hopeless = fate == HTTP_NOT_SENT && x->transfer.hopeless,
                                 .elapsed_us = (int64_t)((uv_hrtime() - x->begun_ns) / 1000)};
    if (answered)
        crash_here(CRASH_ANSWER_RECEIVED);
    x->done(x->arg, &result);
    drop(x);
}

/* Will be ended from the loop, as certainly not sent. */
static void fail_later(struct exchange *x, const char *text)
{
    snprintf(x->transfer.text, sizeof x->transfer.text, "%s", text);
    leave(x);
    let_host_go(x);
    enter(x, FAILED);
}

static void start(struct exchange *x)
{
    struct http_client *client = x->client;
    leave(x);
    uint64_t now = uv_now(client->loop);
    if (now >= x->deadline_ms) {
        fail_later(x, "waited too long for a free connection");
        return;
    }
    CURL *easy = client->n_pool ? client->pool[--client->n_pool] : client->curl->easy_init();
    if (!easy) {
        fail_later(x, "out of memory");
        return;
    }
    http_transfer_arm(&x->transfer, easy, (long)(x->deadline_ms - now), x);
    enter(x, RUNNING);
    if (client->curl->multi_add_handle(client->multi, easy) == CURLM_OK)
        return;
    disarm(x);
    fail_later(x, "libcurl did not take the request");
}

/* Gives free places to those who wait, a host at a time, so that one slow host takes none of another's. */
static void start_waiting(struct http_client *client)
{
    bool more = client->n_waiting > 0;
    while (more) {
        more = false;
        struct host *host, *next;
        for (host = TAILQ_FIRST(&client->hosts); host; host = next) {
            next = TAILQ_NEXT(host, link);
            if (client->n_running >= HTTP_CLIENT_IN_FLIGHT_MAX)
                return;
            if (!host->n_waiting || host->n_running >= host->most)
                continue;
            start(TAILQ_FIRST(&host->waiting)); /* may free the host */
            more = true;
        }
    }
}

static void expire_waiting(struct http_client *client)
{
    uint64_t now = uv_now(client->loop);
    struct host *host, *next;
    for (host = TAILQ_FIRST(&client->hosts); host; host = next) {
        host->held = true;
        struct exchange *x, *after;
        for (x = TAILQ_FIRST(&host->waiting); x; x = after) {
            after = TAILQ_NEXT(x, link);
            if (now >= x->deadline_ms)
                fail_later(x, "waited too long for a free connection");
        }
        host->held = false;
        next = TAILQ_NEXT(host, link);
        host_release(client, host);
    }
}

static void end_talk(struct exchange *x, CURLcode code)
{
    struct http_client *client = x->client;
    long status = 0;
    enum http_fate fate = smtp_transfer_fate(&x->transfer, code, &status);
    finish(x, fate, status);
    if (!client->closing)
        start_waiting(client);
}

/* Mails in the midst of their dialogue. */
static void expire_talking(struct http_client *client)
{
    uint64_t now = uv_now(client->loop);
    struct exchange *x, *after;
    for (x = TAILQ_FIRST(&client->running); x && client->n_talking && !client->closing; x = after) {
        after = TAILQ_NEXT(x, link);
        if (x->poller && now >= x->deadline_ms)
            end_talk(x, CURLE_OPERATION_TIMEDOUT);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    expire_waiting(client);
    expire_talking(client);
    size_t n = client->n_failed; /* those that fail meanwhile are for the next round */
    while (n-- && !client->closing && client->n_failed)
        finish(TAILQ_FIRST(&client->failed), HTTP_NOT_SENT, 0);
    if (client->closing)
        return;
    if (client->n_failed)
        uv_timer_start(timer, on_sweep, 1, 0); /* with 0 libuv would stay here as long as new ones fail */
    else if (client->n_waiting || client->n_talking)
        uv_timer_start(timer, on_sweep, SWEEP_MS, 0);
    else
        uv_timer_stop(timer);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void talk_begin(struct exchange *x);

static void reap(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while (!client->closing && (message = client->curl->multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* `message` is gone once the handle is removed */
        char *private = NULL;
        client->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct exchange *x = (struct exchange *)(void *)private;
        long status = 0;
        if (x->transfer.mail && code == CURLE_OK) {
            talk_begin(x);
            continue;
        }
        enum http_fate fate = http_transfer_fate(&x->transfer, code, &status);
        finish(x, fate, status);
    }
    if (!client->closing)
        start_waiting(client);
}

static void action(struct http_client *client, curl_socket_t socket, int events)
{
    int still_running;
    client->curl->multi_socket_action(client->multi, socket, events, &still_running);
    reap(client);
}

static void on_timer(uv_timer_t *timer)
{
    action(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;
    if (client->closing)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0); /* 0 is 0: rounding it up costs 20 times */
    return 0;
}

static void talk(struct exchange *x);

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct poller *poller = poll->data;
    if (poller->talks) {
        talk(poller->talks);
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    action(poller->client, poller->socket, flags);
}

static void handle_closed(struct http_client *client)
{
    if (--client->open_handles || !client->closing)
        return;
    void (*closed)(void *) = client->closed;
    void *arg = client->closed_arg;
    free(client);
    if (closed)
        closed(arg);
}

static void on_poller_closed(uv_handle_t *handle)
{
    struct poller *poller = handle->data;
    struct http_client *client = poller->client;
    free(poller);
    handle_closed(client);
}

static void poller_close(struct poller *poller)
{
    TAILQ_REMOVE(&poller->client->pollers, poller, link);
    uv_close((uv_handle_t *)&poller->poll, on_poller_closed);
}

static struct poller *poller_new(struct http_client *client, curl_socket_t socket)
{
    struct poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return NULL;
    poller->client = client;
    poller->socket = socket;
    poller->poll.data = poller;
    if (uv_poll_init_socket(client->loop, &poller->poll, socket)) {
        free(poller);
        return NULL;
    }
    client->open_handles++;
    TAILQ_INSERT_TAIL(&client->pollers, poller, link);
    return poller;
}

static void talk(struct exchange *x)
{
    enum smtp_want want = smtp_transfer_talk(&x->transfer);
    if (want == SMTP_OVER)
        end_talk(x, CURLE_OK);
    else
        uv_poll_start(&x->poller->poll, UV_READABLE | (want == SMTP_WANTS_WRITE ? UV_WRITABLE : 0), on_ready);
}

/* The connection to a mail server stands; from here on libcurl only carries bytes. */
static void talk_begin(struct exchange *x)
{
    struct http_client *client = x->client;
    curl_socket_t socket = CURL_SOCKET_BAD;
    client->curl->easy_getinfo(x->transfer.easy, CURLINFO_ACTIVESOCKET, &socket);
    x->poller = socket == CURL_SOCKET_BAD ? NULL : poller_new(client, socket);
    if (!x->poller) {
        end_talk(x, CURLE_COULDNT_CONNECT);
        return;
    }
    x->poller->talks = x;
    client->n_talking++;
    if (!uv_is_active((uv_handle_t *)&client->sweep))
        uv_timer_start(&client->sweep, on_sweep, SWEEP_MS, 0);
    talk(x);
}

static int on_set_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct http_client *client = arg;
    struct poller *poller = socket_arg;
    char *private = NULL;
    client->curl->easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct exchange *x = (struct exchange *)(void *)private;
    if (x && x->transfer.mail)
        smtp_transfer_socket(x->transfer.mail, socket, what == CURL_POLL_REMOVE);
    if (what == CURL_POLL_REMOVE) {
        if (poller)
            poller_close(poller);
        client->curl->multi_assign(client->multi, socket, NULL);
        return 0;
    }
    if (!poller) {
        poller = poller_new(client, socket);
        if (!poller)
            return 0; /* the exchange ends at its timeout; an error here would stop all others */
        client->curl->multi_assign(client->multi, socket, poller);
    }
    int events = (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0);
    uv_poll_start(&poller->poll, events, on_ready);
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int open_multi(struct http_client *client)
{
    if (client->multi)
        return 0;
    client->curl = curl_lib();
    if (!client->curl)
        return CVM_EIO;
    client->multi = client->curl->multi_init();
    if (!client->multi)
        return CVM_ENOMEM;
    const struct curl_lib *curl = client->curl;
    curl->multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_set_socket);
    curl->multi_setopt(client->multi, CURLMOPT_SOCKETDATA, (void *)client);
    curl->multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
    curl->multi_setopt(client->multi, CURLMOPT_TIMERDATA, (void *)client);
    curl->multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
    return 0;
}

static void start_or_wait(struct exchange *x)
{
    struct http_client *client = x->client;
    if (!x->host->n_waiting && x->host->n_running < x->host->most && client->n_running < HTTP_CLIENT_IN_FLIGHT_MAX)
        start(x);
    else if (client->n_waiting < WAITING_MAX && client->waiting_bytes + x->transfer.body_len <= WAITING_MAX_BYTES)
        enter(x, WAITING);
    else
        fail_later(x, "too many requests wait for a connection");
}

int http_client_send(struct http_client *client, const struct http_request *request, http_done done, void *arg,
                     uint64_t *ret_handle)
{
    if (client->closing)
        return CVM_ESTATE;
    if (request->timeout_ms <= 0)
        return CVM_EINVAL;
    int e = open_multi(client);
    if (e)
        return e;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return CVM_ENOMEM;
    int64_t timeout_ms = request->timeout_ms < TIMEOUT_MAX_MS ? request->timeout_ms : TIMEOUT_MAX_MS;
    x->client = client;
    x->done = done;
    x->arg = arg;
    x->begun_ns = uv_hrtime();
    x->deadline_ms = uv_now(client->loop) + (uint64_t)timeout_ms;
    e = http_transfer_init(&x->transfer, client->curl, request);
    const char *fault = e ? NULL : http_transfer_url_fault(&x->transfer);
    if (!e && !fault) {
        x->host = host_of(client, x->transfer.url);
        e = x->host ? 0 : CVM_ENOMEM;
    }
    if (e) {
        drop(x);
        return e;
    }
    x->handle = ++client->last_handle;
    if (ret_handle)
        *ret_handle = x->handle;
    if (fault) {
        x->transfer.hopeless = true;
        fail_later(x, fault);
    } else {
        start_or_wait(x);
    }
    return 0;
}

static struct exchange *find_in(const struct exchanges *list, uint64_t handle)
{
    struct exchange *x;
    TAILQ_FOREACH(x, list, link)
    {
        if (x->handle == handle)
            return x;
    }
    return NULL;
}

void http_client_cancel(struct http_client *client, uint64_t handle)
{
    struct exchange *x = find_in(&client->running, handle);
    if (!x)
        x = find_in(&client->failed, handle);
    struct host *host = x ? NULL : TAILQ_FIRST(&client->hosts);
    for (; host && !x; host = TAILQ_NEXT(host, link))
        x = find_in(&host->waiting, handle);
    if (!x)
        return;
    drop(x);
    start_waiting(client);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int http_client_new(uv_loop_t *loop, struct http_client **ret_client)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client)
        return CVM_ENOMEM;
    client->loop = loop;
    TAILQ_INIT(&client->hosts);
    TAILQ_INIT(&client->pollers);
    TAILQ_INIT(&client->running);
    TAILQ_INIT(&client->failed);
    uv_timer_init(loop, &client->timer);
    uv_timer_init(loop, &client->sweep);
    client->timer.data = client->sweep.data = client;
    client->open_handles = 2;
    *ret_client = client;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void drop_all(struct exchanges *list)
{
    struct exchange *x;
    while ((x = TAILQ_FIRST(list)))
        drop(x);
}

void http_client_close(struct http_client *client, void (*closed)(void *), void *arg)
{
    assert(!client->closing);
    client->closing = true;
    client->closed = closed;
    client->closed_arg = arg;
    drop_all(&client->running);
    drop_all(&client->failed);
    struct host *host;
    while ((host = TAILQ_FIRST(&client->hosts))) {
        host->held = true;
        drop_all(&host->waiting);
        host->held = false;
        host_release(client, host);
    }
    while (client->n_pool)
        client->curl->easy_cleanup(client->pool[--client->n_pool]);
    if (client->multi)
        client->curl->multi_cleanup(client->multi);
    client->multi = NULL;
    struct poller *poller;
    while ((poller = TAILQ_FIRST(&client->pollers)))
        poller_close(poller);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
    uv_close((uv_handle_t *)&client->sweep, on_timer_closed);
}
