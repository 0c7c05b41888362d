/* The host's end of a link; see link.h. */
#include "link/link.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINK_OUT_MAX_BYTES (4 * LINK_BODY_MAX_BYTES)
#define LINK_SOCKET_BYTES (512 * 1024)
#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

struct link {
    int fd, errors, pidfd;
    pid_t pid;
    bool reaped;
    siginfo_t end;
    struct framer in;
    char *out;
    size_t out_begin, out_end, out_cap;
};

/* ---- the process --------------------------------------------------------------------------------------------------
 */

static int start(struct link *l, const struct link_spec *spec, int fd, int errors)
{
    char memory[32];
    snprintf(memory, sizeof memory, "%lld", (long long)spec->memory_mib);
    const char *argv[] = {"cvmhost",
                          "run-plugin",
                          spec->plugin,
                          spec->library ? "library" : "program",
                          spec->library ? spec->library : spec->program,
                          memory,
                          NULL};
    char *const environment[] = {(char *)(uintptr_t) "LC_ALL=C.UTF-8", (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t how;
    sigset_t none;
    sigemptyset(&none);
    int e = posix_spawn_file_actions_init(&actions);
    if (e)
        return e;
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setpgroup(&how, 0); /* what a terminal sends to the host's group is not meant for it */
    e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    e = e ? e : posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, errors, 2);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, fd, LINK_FD);
    e = e ? e : posix_spawn_file_actions_addclosefrom_np(&actions, LINK_FD + 1);
    if (!e)
        e = posix_spawn(&l->pid, spec->runner ? spec->runner : "/proc/self/exe", &actions, &how,
                        (char *const *)(uintptr_t)argv, environment);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Above the numbers the child gets, so that no dup2 closes what a later one needs. */
static int raised(int fd)
{
    if (fd < 0 || fd > LINK_FD)
        return fd;
    int up = fcntl(fd, F_DUPFD_CLOEXEC, LINK_FD + 1);
    close(fd);
    return up;
}

int link_spawn(const struct link_spec *spec, struct link **ret_link, char *error, size_t size)
{
    int pair[2] = {-1, -1}, pipe_fds[2] = {-1, -1}, e;
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    l->fd = l->errors = l->pidfd = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        e = errno;
    } else {
        int bytes = LINK_SOCKET_BYTES;
        for (int i = 0; i < 2; i++) {
            pair[i] = raised(pair[i]);
            pipe_fds[i] = raised(pipe_fds[i]);
            setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        }
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
        fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
        fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK); /* who writes without end loses it, and does not wait for us */
        e = start(l, spec, pair[1], pipe_fds[1]);
    }
    l->fd = pair[0];
    l->errors = pipe_fds[0];
    if (pair[1] >= 0)
        close(pair[1]);
    if (pipe_fds[1] >= 0)
        close(pipe_fds[1]);
    if (!e && (l->pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0)) < 0)
        e = errno;
    if (e) {
        link_close(l);
        return REFUSE(error, size, CVM_EIO, "%s: its process cannot be started: %s", spec->plugin, strerror(e));
    }
    *ret_link = l;
    return 0;
}

void link_kill(struct link *l, int signal)
{
    if (!l->reaped && l->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, l->pidfd, signal, NULL, 0);
}

int64_t link_cpu_ns(const struct link *l)
{
    clockid_t clock;
    struct timespec t = {0};
    if (clock_getcpuclockid(l->pid, &clock) == 0)
        clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool link_waits(const struct link *l)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)l->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = 0;
    const char *end = strrchr(text, ')'); /* the name before it may hold anything */
    return end && end[1] == ' ' && strchr("STtD", end[2]) && end[2];
}

static bool reap(struct link *l, int ms)
{
    struct pollfd p = {.fd = l->pidfd, .events = POLLIN};
    if (l->reaped || l->pid <= 0)
        return true;
    if (l->pidfd >= 0 && poll(&p, 1, ms) == 1)
        l->reaped = waitid(P_PIDFD, (id_t)l->pidfd, &l->end, WEXITED | WNOHANG) == 0 && l->end.si_pid == l->pid;
    return l->reaped;
}

bool link_ending(struct link *l, int ms, char *text, size_t size)
{
    if (!reap(l, ms))
        snprintf(text, size, "its link is broken");
    else if (l->end.si_code == CLD_EXITED)
        snprintf(text, size, "ended with exit status %d", l->end.si_status);
    else
        snprintf(text, size, "killed by signal %d (%s)", l->end.si_status, strsignal(l->end.si_status));
    return l->reaped;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    if (l->errors >= 0)
        close(l->errors);
    if (l->pid > 0 && !l->reaped) {
        link_kill(l, SIGKILL);
        reap(l, 1000); /* a killed process is gone within a moment */
    }
    if (l->pidfd >= 0)
        close(l->pidfd);
    framer_free(&l->in);
    free(l->out);
    free(l);
}

/* ---- frames -------------------------------------------------------------------------------------------------------
 */

int link_send(struct link *l, enum frame_kind kind, uint64_t turn, const char *body, size_t n)
{
    size_t need = LINK_HEADER_BYTES + n;
    if (n > LINK_BODY_MAX_BYTES || need > LINK_OUT_MAX_BYTES - (l->out_end - l->out_begin))
        return CVM_ELIMIT;
    if (l->out_cap - l->out_end < need && l->out_begin) {
        memmove(l->out, l->out + l->out_begin, l->out_end - l->out_begin);
        l->out_end -= l->out_begin;
        l->out_begin = 0;
    }
    if (l->out_cap - l->out_end < need) {
        size_t cap = l->out_cap ? l->out_cap : 16384;
        while (cap - l->out_end < need)
            cap *= 2;
        char *out = realloc(l->out, cap);
        if (!out)
            return CVM_ENOMEM;
        l->out = out;
        l->out_cap = cap;
    }
    frame_header(l->out + l->out_end, kind, turn, (uint32_t)n);
    if (n)
        memcpy(l->out + l->out_end + LINK_HEADER_BYTES, body, n);
    l->out_end += need;
    return 0;
}

int link_flush(struct link *l)
{
    while (l->out_begin < l->out_end) {
        size_t n = l->out_end - l->out_begin;
        ssize_t sent = send(l->fd, l->out + l->out_begin, n < LINK_PACKET_MAX_BYTES ? n : LINK_PACKET_MAX_BYTES,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == ENOBUFS ? 1 : CVM_EIO;
        l->out_begin += (size_t)sent;
    }
    l->out_begin = l->out_end = 0;
    return 0;
}

int link_receive(struct link *l, struct frame *ret_frame)
{
    for (;;) {
        int r = framer_next(&l->in, ret_frame);
        if (r)
            return r;
        char *room = framer_room(&l->in);
        if (!room)
            return CVM_ENOMEM;
        struct iovec part = {.iov_base = room, .iov_len = LINK_PACKET_MAX_BYTES};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = recvmsg(l->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EINTR || errno == ECONNRESET))
            continue; /* it ended with something unread: told once, before what it had sent */
        if (n < 0)
            return errno == EAGAIN ? 0 : CVM_EIO;
        if (n == 0)
            return CVM_EIO;
        if (message.msg_flags & MSG_TRUNC)
            return CVM_EDATA;
        framer_add(&l->in, (size_t)n);
    }
}

int link_wait(struct link *l, int ms)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    int r = link_flush(l);
    if (r < 0)
        return r;
    if (r > 0)
        p.events |= POLLOUT;
    r = poll(&p, 1, ms);
    if (r < 0 && errno != EINTR)
        return CVM_EIO;
    return r == 0 ? CVM_ETIMEOUT : 0;
}

int link_fd(const struct link *l)
{
    return l->fd;
}

int link_errors_fd(const struct link *l)
{
    return l->errors;
}

pid_t link_pid(const struct link *l)
{
    return l->pid;
}
