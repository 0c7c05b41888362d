/* See stub.h. */
#include "stub.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct stub {
    int listener;
    stub_answer answer;
};

struct connection {
    int fd;
    stub_answer answer;
};

void stub_header(const char *text, const char *name, char *ret_value, size_t size)
{
    const char *at = strcasestr(text, name);
    ret_value[0] = 0;
    if (at)
        snprintf(ret_value, size, "%.*s", (int)strcspn(at + strlen(name), "\r"), at + strlen(name));
}

static void *serve_one(void *arg)
{
    struct connection c = *(struct connection *)arg;
    char *text = calloc(1, STUB_BODY_MAX), length[16] = "";
    size_t len = 0;
    const char *body = NULL;
    free(arg);
    for (ssize_t n = 1; n > 0 && (!body || strlen(body) < strtoul(length, NULL, 10));) {
        n = recv(c.fd, text + len, STUB_BODY_MAX - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
        body = strstr(text, "\r\n\r\n");
        body = body ? body + 4 : NULL;
        if (body)
            stub_header(text, "\r\ncontent-length: ", length, sizeof length);
    }
    c.answer(c.fd, text, body ? body : "");
    free(text);
    close(c.fd);
    return NULL;
}

static void *serve(void *arg)
{
    const struct stub *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        struct connection *c = malloc(sizeof *c);
        pthread_t thread;
        *c = (struct connection){fd, s->answer};
        if (pthread_create(&thread, NULL, serve_one, c) == 0)
            pthread_detach(thread);
        else
            ck_abort_msg("no thread for a connection");
    }
    return arg;
}

int stub_start(stub_answer answer)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    pthread_t thread;
    static struct stub stub; /* one a process */
    stub = (struct stub){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), answer};
    ck_assert_int_eq(bind(stub.listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(stub.listener, 64), 0);
    ck_assert_int_eq(getsockname(stub.listener, (struct sockaddr *)&at, &len), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, &stub), 0);
    pthread_detach(thread);
    return ntohs(at.sin_port);
}
