/* Owns the life of the host process. One loop over two descriptors: a signalfd and the host's pidfd, and the eventfd by
 * which the host says that it serves; nothing wakes it while the host runs. */
#include "services/supervisor.h"

#include "core/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

#define CALM_MS 10000 /* a host that served so long has no series of crashes behind it */
#define FIRST_DELAY_MS 100

struct supervisor {
    const struct supervisor_options *options;
    int signal_fd;
    int pid_fd;
    pid_t pid;
    int64_t serving_since; /* 0: not yet */
    int64_t stop_by;       /* 0: not stopping */
    int64_t start_at;      /* 0: no restart planned */
    int in_series;         /* crashes since the last calm time */
    int64_t window_began;  /* restarts are counted from here */
    int n_restarts;
    int ever_served;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void supervisor_notify(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        log_warning("supervisor", "the service manager could not be told \"%s\": %s", state, strerror(errno));
    close(fd);
}

int supervisor_page_new(int *ret_fd, struct page **ret_page)
{
    int fd = memfd_create("cvmhost-page", MFD_CLOEXEC);
    if (fd < 0)
        return CVM_EIO;
    struct page *page = MAP_FAILED;
    if (ftruncate(fd, sizeof *page) == 0)
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        close(fd);
        return CVM_ENOMEM;
    }
    page->magic = PAGE_MAGIC;
    *ret_fd = fd;
    *ret_page = page;
    return CVM_OK;
}

int64_t supervisor_delay_ms(int n, int64_t max_ms)
{
    int64_t delay = n <= 0 ? 0 : n > 16 ? max_ms : (int64_t)FIRST_DELAY_MS << (n - 1);
    return delay < max_ms ? delay : max_ms;
}

/* ---- what a dead host leaves ------------------------------------------------------------------------------------- */

static void count_suspect(struct page *page, cvm_id message, uint32_t component)
{
    if (cvm_id_is_none(message))
        return;
    for (int i = 0; i < PAGE_SUSPECTS_MAX; i++)
        if (cvm_id_eq(page->suspects[i].message, message)) {
            page->suspects[i].crashes++;
            page->suspects[i].component = component;
            return;
        }
    uint32_t at = page->next_suspect++ % PAGE_SUSPECTS_MAX;
    page->suspects[at].message = message;
    page->suspects[at].crashes = 1;
    page->suspects[at].component = component;
}

/* The page was written by a process that went wrong: nothing in it is trusted to be in range. */
static void component_name(const struct page *page, char ret_name[CVM_NAME_MAX + 1])
{
    uint32_t at = page->component;
    size_t n = 0;
    if (at < PAGE_COMPONENTS_MAX)
        for (; n < CVM_NAME_MAX && page->components[at][n] > ' ' && page->components[at][n] < 0x7f; n++)
            ret_name[n] = page->components[at][n];
    if (n == 0) {
        snprintf(ret_name, CVM_NAME_MAX + 1, "number %u", at);
        return;
    }
    ret_name[n] = 0;
}

static void how_text(int wait_status, int exit_reason, char *ret_text, size_t size)
{
    if (exit_reason == 1)
        snprintf(ret_text, size, "it passed the hard limit of its turn");
    else if (WIFSIGNALED(wait_status))
        snprintf(ret_text, size, "signal %d, %s", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else
        snprintf(ret_text, size, "exit status %d", WEXITSTATUS(wait_status));
}

void supervisor_examine(struct page *page, int wait_status, char *ret_text, size_t size)
{
    char how[sizeof page->ended.how];
    assert(size);
    *ret_text = 0;
    memset(&page->ended, 0, sizeof page->ended);
    how_text(wait_status, page->exit_reason, how, sizeof how);
    if (wait_status || atomic_load(&page->in_turn))
        snprintf(page->ended.how, sizeof page->ended.how, "%s", how);
    if (atomic_load(&page->in_turn)) {
        char name[CVM_NAME_MAX + 1];
        cvm_id m = page->message;
        component_name(page, name);
        count_suspect(page, m, page->component);
        snprintf(page->crashed, sizeof page->crashed, "%s", name);
        uint32_t crashes = page_crashes(page, m);
        snprintf(page->ended.component, sizeof page->ended.component, "%s", name);
        page->ended.message = m;
        page->ended.crashes = crashes;
        snprintf(ret_text, size,
                 "component %s was handling MSG-%016llx%016llx when the host died (%s); the host has died %u time%s of "
                 "this message%s",
                 name, (unsigned long long)m.hi, (unsigned long long)m.lo, how, crashes, crashes == 1 ? "" : "s",
                 crashes >= PAGE_CRASHES_TO_DEAD ? ", which goes to the dead letters" : "");
    }
    atomic_store(&page->in_turn, 0);
    atomic_store(&page->ready, 0);
    page->message = (cvm_id){0, 0};
    page->turn_started_ns = 0;
    page->hard_limit_ns = 0;
    page->exit_reason = 0;
}

/* ---- the host process -------------------------------------------------------------------------------------------- */

static void run_child(const struct supervisor_options *options, pid_t supervisor)
{
    /* SIGTERM and SIGINT stay blocked: the host takes them when it is ready to. */
    sigset_t mask;
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    /* The host is nothing without the holder of its sockets. It may be killed at any moment, so it is. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(1);
    for (int i = 0; i < options->n_fds; i++)
        fcntl(options->fds[i], F_SETFD, 0);
    execv("/proc/self/exe", options->argv);
    _exit(127);
}

static int start_host(struct supervisor *s)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        run_child(s->options, self);
    if (pid < 0) {
        log_error("supervisor", "the host process cannot be started: %s", strerror(errno));
        return CVM_EIO;
    }
    s->pid_fd = pidfd_open(pid, 0);
    if (s->pid_fd < 0) {
        log_error("supervisor", "the host process cannot be watched: %s", strerror(errno));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return CVM_EIO;
    }
    s->pid = pid;
    s->serving_since = 0;
    s->start_at = 0;
    return CVM_OK;
}

/* True while another restart is within the budget; counts it. */
static int budget_take(struct supervisor *s)
{
    int64_t now = now_ms();
    if (s->n_restarts == 0 || now - s->window_began >= s->options->window_ms) {
        s->window_began = now;
        s->n_restarts = 0;
    }
    if (s->n_restarts >= s->options->restarts_max)
        return 0;
    s->n_restarts++;
    return 1;
}

/* The host ended by itself with `status`; returns 1 if that is the end of the supervisor too. */
static int is_final(const struct supervisor *s, int status)
{
    switch (status) {
    case 0:
        return 1;
    case 2:
    case 3:
        log_error("supervisor",
                  "the host ended with status %d and is not started again, because it would end the same way: correct "
                  "what its last message names, then start it",
                  status);
        return 1;
    case 127:
        log_error("supervisor", "the host program cannot be executed: is /proc mounted?");
        return 1;
    default:
        return !s->ever_served; /* it has said why it cannot start */
    }
}

/* Returns the exit status of the supervisor, or -1: it goes on. */
static int host_ended(struct supervisor *s)
{
    int wait_status = 0;
    char text[512];
    if (waitpid(s->pid, &wait_status, 0) != s->pid)
        wait_status = 1 << 8;
    close(s->pid_fd);
    s->pid_fd = -1;
    s->pid = 0;
    supervisor_examine(s->options->page, wait_status, text, sizeof text);
    int status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    if (*text)
        log_error("supervisor", "%s", text);
    if (s->stop_by)
        return status;
    /* Within a turn it was the handler that called exit(), whatever the status: that is a crash like any other. */
    if (WIFEXITED(wait_status) && !*text && is_final(s, status))
        return status == 127 ? 1 : status;
    if (s->serving_since && now_ms() - s->serving_since >= CALM_MS)
        s->in_series = 0;
    char how[96];
    how_text(wait_status, 0, how, sizeof how);
    if (!budget_take(s)) {
        log_error("supervisor",
                  "the host died (%s) and is not started again: more than %d restarts in %lld s are too many "
                  "(supervisor.restarts_max, supervisor.restart_window_s); logs/crash.log tells where it died. Remove "
                  "the plugin named there, then start it",
                  how, s->options->restarts_max, (long long)(s->options->window_ms / 1000));
        return 1;
    }
    int64_t delay = supervisor_delay_ms(s->in_series++, s->options->delay_max_ms);
    log_error("supervisor", "the host died (%s); starting it again in %lld ms", how, (long long)delay);
    s->options->page->restarts++;
    s->start_at = now_ms() + delay;
    return -1;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void stop_requested(struct supervisor *s, int signal_number)
{
    if (s->stop_by)
        return;
    log_info("supervisor", "stopping (signal %d)", signal_number);
    supervisor_notify("STOPPING=1");
    s->stop_by = now_ms() + SUPERVISOR_STOP_MS;
    if (s->pid)
        kill(s->pid, SIGTERM);
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            stop_requested(s, (int)info.ssi_signo);
        else if (info.ssi_signo == SIGHUP && s->pid)
            kill(s->pid, SIGHUP); /* reload; one that is being started reads everything anyway */
}

static void host_serves(struct supervisor *s)
{
    uint64_t count;
    if (read(s->options->ready_fd, &count, sizeof count) != sizeof count)
        return;
    s->serving_since = now_ms();
    if (!s->ever_served)
        supervisor_notify("READY=1");
    s->ever_served = 1;
}

/* Milliseconds until something must be done without being told; -1: nothing. */
static int next_wake(const struct supervisor *s)
{
    int64_t at = s->stop_by ? s->stop_by : s->start_at;
    if (!at)
        return -1;
    int64_t left = at - now_ms();
    return left < 0 ? 0 : (int)left;
}

static int loop(struct supervisor *s)
{
    for (;;) {
        struct pollfd fds[] = {{s->signal_fd, POLLIN, 0}, {s->options->ready_fd, POLLIN, 0}, {s->pid_fd, POLLIN, 0}};
        int n = poll(fds, s->pid_fd < 0 ? 2 : 3, next_wake(s));
        if (n < 0 && errno != EINTR)
            return 1;
        if (n > 0 && fds[1].revents)
            host_serves(s);
        if (n > 0 && fds[0].revents)
            read_signals(s);
        if (n > 0 && s->pid_fd >= 0 && fds[2].revents) {
            int status = host_ended(s);
            if (status >= 0)
                return status;
        }
        if (s->stop_by && !s->pid)
            return 0; /* told to stop while it waited to restart */
        if (s->stop_by && now_ms() >= s->stop_by) {
            log_error("supervisor", "the host did not stop within %d s and is killed; nothing accepted is lost",
                      SUPERVISOR_STOP_MS / 1000);
            kill(s->pid, SIGKILL);
            s->stop_by = now_ms() + SUPERVISOR_STOP_MS;
        }
        if (s->start_at && !s->stop_by && now_ms() >= s->start_at && start_host(s) < 0)
            return 1;
    }
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor s = {.options = options, .pid_fd = -1};
    sigset_t watched;
    signal(SIGCHLD, SIG_DFL); /* were it ignored, the kernel would throw the status of the host away */
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP); /* the host's, to reload; it ends nothing, so neither does a closed terminal */
    sigprocmask(SIG_BLOCK, &watched, NULL);
    s.signal_fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s.signal_fd < 0) {
        log_error("supervisor", "signals cannot be watched: %s", strerror(errno));
        return 1;
    }
    int status = start_host(&s) < 0 ? 1 : loop(&s);
    close(s.signal_fd);
    return status;
}
