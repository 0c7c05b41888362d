/* See recorder.h. A few threads, each serves one connection after the other. */
#include "recorder.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 4
#define HEAD_MAX 4096
#define WAIT_MS 3000

struct recorder {
    int listener, ledger, port, hang_up_every;
    atomic_int calls;
    atomic_bool stopping;
    pthread_t threads[THREADS];
};

/* Reads until the head and as much body as it announces are there; false: the client went away. */
static bool read_request(int fd, char *head, size_t size)
{
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (n + 1 >= size || poll(&p, 1, WAIT_MS) <= 0)
            return false;
        ssize_t got = read(fd, head + n, size - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        head[n] = 0;
        const char *end = strstr(head, "\r\n\r\n"), *length = strcasestr(head, "\r\ncontent-length:");
        if (end && n >= (size_t)(end - head) + 4 + (length ? strtoul(length + 17, NULL, 10) : 0))
            return true;
    }
}

static void serve(struct recorder *r, int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n"
                                 "Connection: close\r\n\r\n{\"ok\":true}";
    char head[HEAD_MAX], line[256];
    if (!read_request(fd, head, sizeof head))
        return;
    const char *key = strcasestr(head, "\r\nidempotency-key:");
    key = key ? key + 18 + strspn(key + 18, " ") : "";
    int len = snprintf(line, sizeof line, "%.*s\n", (int)strcspn(key, "\r\n"), key);
    ck_assert_int_eq(write(r->ledger, line, (size_t)len), len);
    fsync(r->ledger);
    int n = atomic_fetch_add(&r->calls, 1) + 1;
    if (r->hang_up_every && n % r->hang_up_every == 0)
        return;
    if (write(fd, answer, sizeof answer - 1) < 0)
        return;
}

static void *run(void *arg)
{
    struct recorder *r = arg;
    while (!atomic_load(&r->stopping)) {
        struct pollfd p = {.fd = r->listener, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve(r, fd);
        close(fd);
    }
    return NULL;
}

struct recorder *recorder_start(const char *ledger, int hang_up_every)
{
    struct recorder *r = calloc(1, sizeof *r);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    ck_assert_ptr_nonnull(r);
    r->hang_up_every = hang_up_every;
    r->ledger = open(ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert(r->ledger >= 0 && r->listener >= 0);
    ck_assert_int_eq(bind(r->listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(r->listener, 256), 0);
    getsockname(r->listener, (struct sockaddr *)&at, &len);
    r->port = ntohs(at.sin_port);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&r->threads[i], NULL, run, r), 0);
    return r;
}

int recorder_port(const struct recorder *r)
{
    return r->port;
}

int recorder_calls(const struct recorder *r)
{
    return atomic_load(&((struct recorder *)(uintptr_t)r)->calls);
}

void recorder_stop(struct recorder *r)
{
    atomic_store(&r->stopping, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(r->threads[i], NULL);
    close(r->listener);
    close(r->ledger);
    free(r);
}
