/* See upgrade_load.h. Non-blocking sockets and poll. */
#include "upgrade_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define ANSWER_BYTES 4096

struct connection {
    int fd; /* -1: to be opened */
    bool kept, connecting, asked, resting;
    int64_t began_us;
    size_t have;
    char answer[ANSWER_BYTES];
};

struct run {
    struct upgrade_load *load;
    struct sockaddr_in address;
    long long keys;
    bool ending;
};

static void drop(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->asked = c->connecting = false;
    c->have = 0;
}

static void failed(struct run *r, struct connection *c, const char *what)
{
    struct upgrade_load *load = r->load;
    if (!load->failed && !load->refused)
        snprintf(load->what, sizeof load->what, "%s connection: %s: %s: %.120s", c->kept ? "kept" : "fresh", what,
                 strerror(errno), c->have ? c->answer : "no answer");
    load->failed++;
    drop(c);
}

static void open_connection(struct run *r, struct connection *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(c->fd, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = connect(c->fd, (struct sockaddr *)&r->address, sizeof r->address) < 0;
    c->began_us = flow_now_us();
    if (c->connecting && errno != EINPROGRESS) {
        r->load->refused++;
        drop(c);
    }
}

static void ask(struct run *r, struct connection *c)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "POST /test/count HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "Idempotency-Key: load-%lld\r\n%sContent-Length: 2\r\n\r\n{}",
                     ++r->keys, c->kept ? "" : "Connection: close\r\n");
    if (c->kept)
        c->began_us = flow_now_us();
    c->have = 0;
    c->asked = true;
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        failed(r, c, "send");
}

/* Whole: head, and as many bytes of body as it says. */
static bool is_whole(const struct connection *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "Content-Length:");
    return end && length && length < end &&
           c->have >= (size_t)(end + 4 - c->answer) + (size_t)strtol(length + 15, NULL, 10);
}

static void take(struct run *r, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->have, sizeof c->answer - 1 - c->have, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (c->asked)
            failed(r, c, n ? "receive" : "closed");
        else
            drop(c); /* a server may close what is idle */
        return;
    }
    c->have += (size_t)n;
    c->answer[c->have] = 0;
    if (!is_whole(c))
        return;
    c->asked = false;
    if (strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0) {
        errno = 0;
        failed(r, c, "status");
        return;
    }
    int64_t took = flow_now_us() - c->began_us;
    r->load->longest_us = took > r->load->longest_us ? took : r->load->longest_us;
    r->load->answered++;
    if (!c->kept || strcasestr(c->answer, "\r\nConnection: close"))
        drop(c);
}

static void on_event(struct run *r, struct connection *c, short events)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (c->connecting && (events & (POLLOUT | POLLERR | POLLHUP))) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        c->connecting = false;
        if (error) {
            errno = error;
            r->load->refused += error == ECONNREFUSED;
            failed(r, c, "connect");
            return;
        }
    } else if (events & (POLLIN | POLLERR | POLLHUP)) {
        take(r, c);
    }
    if (c->fd >= 0 && !c->asked && !r->ending)
        ask(r, c);
}

static bool one_pass(struct run *r, struct connection *all, int n)
{
    struct pollfd polled[CONNECTIONS_MAX];
    bool open = false;
    for (int i = 0; i < n; i++) {
        struct connection *c = &all[i];
        if (c->fd < 0 && !r->ending)
            open_connection(r, c);
        if (c->fd >= 0 && r->ending && !c->asked)
            drop(c);
        polled[i] = (struct pollfd){.fd = c->fd, .events = c->connecting ? POLLOUT : POLLIN};
        open = open || c->fd >= 0;
    }
    if (poll(polled, (nfds_t)n, 5) > 0)
        for (int i = 0; i < n; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                on_event(r, &all[i], polled[i].revents);
    return open;
}

void upgrade_load_run(struct flow *f, int kept, int fresh, bool (*done)(void *), void *arg,
                      struct upgrade_load *ret_load)
{
    static struct connection all[CONNECTIONS_MAX];
    static long long keys;
    struct run r = {.load = ret_load, .keys = keys};
    const char *port = strrchr(f->url, ':');
    *ret_load = (struct upgrade_load){0};
    r.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r.address.sin_port = htons((uint16_t)strtol(port + 1, NULL, 10));
    ck_assert_int_le(kept + fresh, CONNECTIONS_MAX);
    for (int i = 0; i < kept + fresh; i++)
        all[i] = (struct connection){.fd = -1, .kept = i < kept};
    while (!done(arg))
        one_pass(&r, all, kept + fresh);
    r.ending = true;
    int64_t until = flow_now_ms() + FLOW_WAIT_MS;
    while (one_pass(&r, all, kept + fresh) && flow_now_ms() < until)
        ;
    for (int i = 0; i < kept + fresh; i++)
        if (all[i].fd >= 0)
            failed(&r, &all[i], "no end");
    keys = r.keys;
}
