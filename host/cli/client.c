/* Owns the socket and what is half read or half written. */
#include "cli/client.h"

#include "core/json_text.h"
#include "services/home.h"
#include <cvm/cvm.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 * 1024 * 1024)

struct client {
    int fd;
    struct text out;
    size_t sent;
    char *in;
    size_t in_len, in_cap, taken, scanned;
};

/* Nobody listens: most often the home is not the one that was meant. */
static void say_nobody(const char *home, char *ret_error, size_t error_size)
{
    char here[4096];
    struct stat st;
    if (stat(home, &st) < 0 || !S_ISDIR(st.st_mode))
        snprintf(ret_error, error_size, "there is no home at %s: name another one with --home or CVMHOST_HOME", home);
    else if (strcmp(home, ".") == 0 && getcwd(here, sizeof here))
        snprintf(ret_error, error_size,
                 "no host is running in %.300s, the working directory; start it with: cvmhost serve; or name another "
                 "home with --home or CVMHOST_HOME",
                 here);
    else
        snprintf(ret_error, error_size, "no host is running in %s; start it with: cvmhost serve --home %s", home, home);
}

int client_open(const char *home, struct client **ret_client, char *ret_error, size_t error_size)
{
    struct sockaddr_un address;
    int error = home_socket(home, &address, ret_error, error_size);
    if (error < 0)
        return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct client *client = calloc(1, sizeof *client);
    if (fd < 0 || !client) {
        error = CVM_ENOMEM;
        snprintf(ret_error, error_size, "no socket: %s", strerror(errno));
    } else if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
        error = nobody ? CVM_ENOENT : CVM_EIO;
        if (nobody)
            say_nobody(home, ret_error, error_size);
        else
            snprintf(ret_error, error_size, "the host in %s cannot be reached: %s", home, strerror(errno));
    }
    if (error < 0) {
        if (fd >= 0)
            close(fd);
        free(client);
        return error;
    }
    client->fd = fd;
    text_init(&client->out, LINE_MAX_BYTES);
    *ret_client = client;
    return 0;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    close(client->fd);
    text_free(&client->out);
    free(client->in);
    free(client);
}

int client_send(struct client *client, json_t *line)
{
    text_json(&client->out, line);
    text_char(&client->out, '\n');
    json_decref(line);
    return client->out.failed ? CVM_ELIMIT : 0;
}

static int write_some(struct client *client)
{
    ssize_t n =
        send(client->fd, client->out.at + client->sent, client->out.len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : CVM_EIO;
    client->sent += (size_t)n;
    if (client->sent == client->out.len) {
        text_reset(&client->out);
        client->sent = 0;
    }
    return 0;
}

static int read_some(struct client *client)
{
    if (client->taken) {
        client->in_len -= client->taken;
        memmove(client->in, client->in + client->taken, client->in_len);
        client->scanned -= client->taken;
        client->taken = 0;
    }
    if (client->in_cap - client->in_len < 16384) {
        size_t cap = client->in_cap ? client->in_cap * 2 : 65536;
        char *in = cap > LINE_MAX_BYTES * 2 ? NULL : realloc(client->in, cap);
        if (!in)
            return CVM_ELIMIT;
        client->in = in;
        client->in_cap = cap;
    }
    ssize_t n = recv(client->fd, client->in + client->in_len, client->in_cap - client->in_len, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : CVM_EIO;
    if (n == 0)
        return CVM_EIO;
    client->in_len += (size_t)n;
    return 0;
}

static int take_line(struct client *client, json_t **ret_line)
{
    char *end = client->in ? memchr(client->in + client->scanned, '\n', client->in_len - client->scanned) : NULL;
    if (!end) {
        client->scanned = client->in_len;
        return CVM_ENOENT;
    }
    size_t start = client->taken;
    client->taken = client->scanned = (size_t)(end - client->in) + 1;
    json_t *line = json_loadb(client->in + start, client->taken - 1 - start, 0, NULL);
    if (!line)
        return CVM_EDATA;
    *ret_line = line;
    return 0;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int client_next(struct client *client, int64_t timeout_ms, json_t **ret_line)
{
    return client_next_or(client, -1, timeout_ms, ret_line);
}

int client_next_or(struct client *client, int fd, int64_t timeout_ms, json_t **ret_line)
{
    int64_t until = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
    for (;;) {
        int error = take_line(client, ret_line);
        if (error != CVM_ENOENT)
            return error;
        int64_t left = until < 0 ? -1 : until - clock_ms();
        if (until >= 0 && left < 0)
            return CVM_ETIMEOUT;
        bool writing = client->out.len > client->sent;
        struct pollfd both[2] = {{.fd = client->fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))},
                                 {.fd = fd, .events = POLLIN}},
                      p;
        int n = poll(both, 2, left < 0 ? -1 : left > 60000 ? 60000 : (int)left);
        if (n < 0 && errno != EINTR)
            return CVM_EIO;
        if (n <= 0)
            continue;
        p = both[0];
        /* What has arrived is read first: the host may have answered before it went away. */
        error = p.revents & (POLLIN | POLLHUP | POLLERR) ? read_some(client) : 0;
        if (error == 0 && (p.revents & POLLOUT))
            error = write_some(client);
        if (error < 0)
            return take_line(client, ret_line) == 0 ? 0 : error;
        if (both[1].revents) {
            error = take_line(client, ret_line);
            return error == CVM_ENOENT ? CVM_PENDING : error;
        }
    }
}
