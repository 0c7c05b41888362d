/* See notify.h. A few lines over the datagram, so that nothing is linked that only one service manager has. */
#include "services/notify.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3 /* by the protocol */
#define FDS_MAX 64

void notify_send(const char *format, ...)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    char state[1024];
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(state, sizeof state, format, args);
    va_end(args);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, size) < 0)
        log_warning("supervisor", "the service manager could not be told \"%.40s\": %s", state, strerror(errno));
    close(fd);
}

void notify_reloading(const char *status)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000,
                status);
}

static int64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    errno = 0;
    long long value = text ? strtoll(text, &end, 10) : 0;
    return !text || errno || end == text || *end || value < 0 ? 0 : value;
}

int64_t notify_watchdog_ms(void)
{
    if (getenv("WATCHDOG_PID") && number_of("WATCHDOG_PID") != getpid())
        return 0;
    return number_of("WATCHDOG_USEC") / 1000;
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

int notify_take_sockets(int *ret_http, int *ret_control)
{
    int64_t n = number_of("LISTEN_PID") == getpid() ? number_of("LISTEN_FDS") : 0;
    int http = -1, control = -1, others = 0;
    for (int fd = FIRST_FD; fd < FIRST_FD + (n > FDS_MAX ? FDS_MAX : n); fd++) {
        int family = option_of(fd, SO_DOMAIN);
        int *place = family == AF_UNIX ? &control : family == AF_INET || family == AF_INET6 ? &http : NULL;
        if (!place || *place >= 0 || option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
            close(fd);
            others++;
            continue;
        }
        *place = fd;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (http >= 0)
        *ret_http = http;
    if (control >= 0)
        *ret_control = control;
    return others;
}
