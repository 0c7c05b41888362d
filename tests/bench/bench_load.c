/* A load generator: keep-alive connections on one epoll, each with one POST under way. It shares the machine with what
 * it measures, so it does as little as it can: fixed headers, a look for Content-Length, nothing parsed. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 4096
#define RESPONSE_MAX 65536

struct connection {
    int fd;
    int64_t n, sent_ns;
    size_t have;
    char in[RESPONSE_MAX];
};

void bench_echo_body(int64_t i, char *out, size_t size)
{
    snprintf(out, size,
             "{\"n\": %lld, \"text\": \"a body of about two hundred bytes, as the peers move it: the quick brown fox "
             "jumps over the lazy dog, and then once more, until there is enough of it to matter\"}",
             (long long)i);
}

static int open_connection(int port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int send_one(struct connection *c, const char *path, int64_t i, void (*body)(int64_t, char *, size_t))
{
    char text[REQUEST_MAX], json[REQUEST_MAX / 2];
    body(i, json, sizeof json);
    int n =
        snprintf(text, sizeof text,
                 "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 path, strlen(json), json);
    c->n = i;
    c->have = 0;
    c->sent_ns = bench_ns();
    return send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
}

/* 1: a whole answer is there, its status in *ret_status; 0: not yet; -1: broken. */
static int receive(struct connection *c, int *ret_status)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof c->in - 1 - c->have, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return -1;
    c->have += n > 0 ? (size_t)n : 0;
    c->in[c->have] = 0;
    const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!end || !length)
        return 0;
    size_t whole = (size_t)(end - c->in) + 4 + (size_t)strtoul(length + 17, NULL, 10);
    if (c->have < whole)
        return 0;
    *ret_status = (int)strtol(c->in + 9, NULL, 10);
    return 1;
}

static int by_int(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int bench_load(int port, const char *path, int connections, int64_t total,
               void (*body)(int64_t i, char *out, size_t size), struct load_result *ret_result)
{
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int64_t *took = calloc((size_t)total, sizeof *took), next = 0, done = 0, failed = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC), result = -1;
    struct epoll_event events[256];
    int64_t begun = bench_ns();
    for (int i = 0; i < connections; i++) {
        all[i].fd = open_connection(port);
        if (all[i].fd < 0)
            goto out;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    begun = bench_ns();
    for (int i = 0; i < connections && next < total; i++)
        if (send_one(&all[i], path, next++, body) < 0)
            goto out;
    while (done < total) {
        int n = epoll_wait(epoll, events, 256, 30000);
        if (n <= 0)
            goto out;
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            int status = 0, r = receive(c, &status);
            if (r < 0)
                goto out;
            if (!r)
                continue;
            took[done++] = bench_ns() - c->sent_ns;
            if (status != 200 && failed++ == 0)
                fprintf(stderr, "bench: first failure: %.600s\n", c->in);
            if (next < total && send_one(c, path, next++, body) < 0)
                goto out;
        }
    }
    qsort(took, (size_t)total, sizeof *took, by_int);
    *ret_result = (struct load_result){.per_second = (double)total * 1e9 / (double)(bench_ns() - begun),
                                       .p50_us = (double)took[total / 2] / 1e3,
                                       .p99_us = (double)took[(int64_t)((double)total * 0.99)] / 1e3,
                                       .failed = failed};
    result = 0;
out:
    if (result < 0)
        fprintf(stderr, "bench: %s: the connection broke or nothing came for 30 s (%lld of %lld done)\n", path,
                (long long)done, (long long)total);
    for (int i = 0; i < connections; i++)
        if (all[i].fd > 0)
            close(all[i].fd);
    close(epoll);
    free(all);
    free(took);
    return result;
}

json_t *bench_get(int port, const char *path)
{
    char text[RESPONSE_MAX], request[256];
    size_t have = 0;
    ssize_t got;
    int fd = open_connection(port);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", path);
    if (fd < 0 || send(fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        close(fd);
        return NULL;
    }
    while (have < sizeof text - 1 && (got = recv(fd, text + have, sizeof text - 1 - have, 0)) > 0)
        have += (size_t)got;
    close(fd);
    text[have] = 0;
    const char *body = strstr(text, "\r\n\r\n");
    return body ? json_loads(body + 4, 0, NULL) : NULL;
}
