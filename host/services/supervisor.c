/* Owns the life of the host process. One loop over three descriptors: a signalfd, the host's pidfd, and the eventfd by
 * which the host says that it serves. While the host runs nothing wakes it, but for a service manager that wants to be
 * told that we live. */
#include "services/supervisor_private.h"

#include "core/log.h"
#include "services/blame.h"
#include "services/notify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALM_MS 10000 /* a host that served so long has no series of crashes behind it */
#define FIRST_DELAY_MS 100
#define ABORT_GRACE_MS 1000 /* then SIGKILL */
#define HOST_ARGS_MAX 24
#define WATCHDOG_PARTS 3 /* of the manager's limit between two signs of life */

int64_t supervisor__now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t supervisor__now_ms(void)
{
    return supervisor__now_ns() / 1000000;
}

int64_t supervisor_delay_ms(int n, int64_t max_ms)
{
    int64_t delay = n <= 0 ? 0 : n > 16 ? max_ms : (int64_t)FIRST_DELAY_MS << (n - 1);
    return delay < max_ms ? delay : max_ms;
}

static struct blame_time crash_time(const struct supervisor *s)
{
    return (struct blame_time){.now_ms = supervisor__now_ms(), .window_ms = s->options->window_ms};
}

/* ---- the host process -------------------------------------------------------------------------------------------- */

static void run_child(const struct supervisor *s, pid_t supervisor)
{
    /* SIGTERM, SIGINT and what else the host obeys stay blocked: it takes them when it is ready to. */
    char fds[96];
    const char *argv[HOST_ARGS_MAX + 3];
    int n = 0;
    sigset_t mask;
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    /* The host is nothing without the holder of its sockets. It may be killed at any moment, so it is. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(1);
    const int all[] = {s->fds.http, s->fds.control, s->fds.page, s->fds.ready, s->fds.lock};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            fcntl(all[i], F_SETFD, 0);
    snprintf(fds, sizeof fds, "%d,%d,%d,%d,%d", all[0], all[1], all[2], all[3], all[4]);
    for (; s->options->argv[n] && n < HOST_ARGS_MAX; n++)
        argv[n] = s->options->argv[n];
    argv[n] = "--fds";
    argv[n + 1] = fds;
    argv[n + 2] = NULL;
    program_exec(s->program.fd, s->program.path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int watch_host(struct supervisor *s, pid_t pid)
{
    s->pid_fd = pidfd_open(pid, 0);
    if (s->pid_fd < 0) {
        log_error("supervisor", "the host process cannot be watched: %s", strerror(errno));
        return CVM_EIO;
    }
    s->pid = pid;
    s->start_at = 0;
    s->serving_since = 0;
    s->aborted = false;
    return CVM_OK;
}

int supervisor__start_host(struct supervisor *s)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        run_child(s, self);
    if (pid < 0) {
        log_error("supervisor", "the host process cannot be started: %s", strerror(errno));
        return CVM_EIO;
    }
    if (watch_host(s, pid) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return CVM_EIO;
    }
    s->ready_by = supervisor__now_ms() + s->options->ready_ms;
    return CVM_OK;
}

/* True while another restart is within the budget; counts it. */
static int budget_take(struct supervisor *s)
{
    int64_t now = supervisor__now_ms();
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

/* ---- after a crash ----------------------------------------------------------------------------------------------- */

/* The budget is spent. Whoever ran in its crashes is left out, once; returns the exit status where that was tried. */
static int enter_safe_mode(struct supervisor *s, const char *how)
{
    char names[512] = "";
    if (s->safe_until) {
        log_error("supervisor",
                  "the host died (%s) in safe mode too and is not started again. logs/crash.log tells where it died: "
                  "take the plugin named there out (plugins.disabled), or the last change of the machine back, then "
                  "start it",
                  how);
        notify_send("STATUS=the host died in safe mode too and is not started again; see logs/crash.log");
        return SUPERVISOR_UNSAFE;
    }
    int n = s->foreign_page ? 0 : blame_all(s->page, crash_time(s), names, sizeof names);
    s->safe_until = supervisor__now_ms() + s->options->delay_max_ms + s->options->window_ms;
    if (!s->foreign_page)
        s->page->safe = 1;
    log_error("supervisor",
              "the host died (%s): more than %d restarts in %lld s are too many (supervisor.restarts, "
              "supervisor.window_s). It is started once more, in safe mode: %s%s",
              how, s->options->restarts_max, (long long)(s->options->window_ms / 1000),
              n ? "the plugins that ran when it died are quarantined: " : "no plugin was running when it died", names);
    return -1;
}

static int plan_restart(struct supervisor *s, const char *how)
{
    if (s->safe_until || !budget_take(s)) {
        int status = enter_safe_mode(s, how);
        if (status >= 0)
            return status;
    }
    int64_t delay = supervisor_delay_ms(s->in_series++, s->options->delay_max_ms);
    log_error("supervisor", "the host died (%s); starting it again in %lld ms", how, (long long)delay);
    notify_send("STATUS=the host died (%s); starting it again in %lld ms%s", how, (long long)delay,
                s->safe_until ? ", in safe mode" : "");
    s->page->restarts++;
    s->start_at = supervisor__now_ms() + delay;
    return -1;
}

static int reap(struct supervisor *s)
{
    int wait_status = 0;
    if (waitpid(s->pid, &wait_status, 0) != s->pid)
        wait_status = 1 << 8;
    close(s->pid_fd);
    s->pid_fd = -1;
    s->pid = 0;
    s->ready_by = 0;
    return wait_status;
}

/* Returns the exit status of the supervisor, or -1: it goes on. */
static int host_ended(struct supervisor *s)
{
    char text[512] = "", how[96];
    bool aborted = s->aborted;
    int wait_status = reap(s), status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    if (!s->foreign_page)
        blame_examine(s->page, wait_status, crash_time(s), text, sizeof text);
    if (*text)
        log_error("supervisor", "%s", text);
    if (s->stop_by)
        return status;
    if (aborted)
        snprintf(how, sizeof how, "it did not serve within %lld s", (long long)(s->options->ready_ms / 1000));
    else
        blame_how(wait_status, 0, how, sizeof how);
    int e = upgrade__host_ended(s, how);
    if (e != CVM_ENOENT)
        return e < 0 ? 1 : -1;
    /* Within a turn it was the handler that called exit(), whatever the status: that is a crash like any other. */
    if (WIFEXITED(wait_status) && !*text && is_final(s, status))
        return status == 127 ? 1 : status;
    if (s->serving_since && supervisor__now_ms() - s->serving_since >= CALM_MS)
        s->in_series = 0;
    return plan_restart(s, how);
}

/* ---- while it runs ----------------------------------------------------------------------------------------------- */

void supervisor__tell_serving(const struct supervisor *s, const char *first)
{
    notify_send("%sSTATUS=cvmhost %s %s%s, host process %ld%s", first, s->version,
                *s->options->serving ? "serves on " : "serves", s->options->serving, (long)s->pid,
                s->safe_until ? ", in safe mode" : "");
}

/* The host has written to the eventfd: it serves, or has ended a reload. */
static void host_serves(struct supervisor *s)
{
    uint64_t count;
    if (read(s->fds.ready, &count, sizeof count) != sizeof count || !s->pid)
        return;
    bool first = !s->ever_served, again = s->serving_since != 0;
    if (!again) {
        s->serving_since = supervisor__now_ms();
        if (!s->foreign_page)
            atomic_store(&s->page->pong, atomic_load(&s->page->ping));
    }
    s->ready_by = 0;
    s->ever_served = true;
    if (!again)
        upgrade__host_serves(s);
    supervisor__tell_serving(s, first || s->reloading ? "READY=1\n" : "");
    s->reloading = false;
    if (s->watchdog_ms && !s->watchdog_at)
        s->watchdog_at = supervisor__now_ms();
}

static void not_ready(struct supervisor *s)
{
    if (!s->aborted)
        log_error("supervisor", "the host does not serve after %lld s (supervisor.ready_s) and is ended",
                  (long long)(s->options->ready_ms / 1000));
    kill(s->pid, s->aborted ? SIGKILL : SIGABRT); /* the first leaves a backtrace in logs/crash.log */
    s->aborted = true;
    s->ready_by = supervisor__now_ms() + ABORT_GRACE_MS;
}

/* The host's loop must have answered the last question. While it is down or starting, other limits are in force. */
static void watchdog_tick(struct supervisor *s)
{
    bool asked = s->serving_since && s->pid && !s->foreign_page && s->upgrade.step == UPGRADE_NONE;
    if (!asked || atomic_load(&s->page->pong) == atomic_load(&s->page->ping))
        notify_send("WATCHDOG=1");
    else
        log_error("supervisor",
                  "the host's loop has not answered for %lld ms; the service manager is not told that it "
                  "lives",
                  (long long)s->watchdog_ms);
    if (asked && atomic_load(&s->page->pong) == atomic_load(&s->page->ping)) {
        atomic_fetch_add(&s->page->ping, 1);
        kill(s->pid, SIGUSR1);
    }
    s->watchdog_at = supervisor__now_ms() + s->watchdog_ms;
}

static void stop_requested(struct supervisor *s, int signal_number)
{
    if (s->stop_by)
        return;
    log_info("supervisor", "stopping (signal %d)", signal_number);
    notify_send("STOPPING=1\nSTATUS=stopping");
    s->stop_by = supervisor__now_ms() + SUPERVISOR_STOP_MS;
    if (s->pid)
        kill(s->pid, SIGTERM);
}

static void hangup(struct supervisor *s)
{
    if (!s->pid || !s->serving_since)
        return; /* one that is being started reads everything anyway */
    notify_reloading("reloading plugins and configuration");
    s->reloading = true;
    kill(s->pid, SIGHUP);
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            stop_requested(s, (int)info.ssi_signo);
        else if (info.ssi_signo == SIGHUP)
            hangup(s);
        else if (info.ssi_signo == SIGUSR2 && !s->stop_by)
            upgrade__asked(s);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Milliseconds until something must be done without being told; -1: nothing. */
static int next_wake(const struct supervisor *s)
{
    const int64_t all[] = {s->stop_by,     s->stop_by ? 0 : s->start_at,         s->stop_by ? 0 : s->ready_by,
                           s->watchdog_at, s->serving_since ? s->safe_until : 0, s->upgrade.until_ms};
    int64_t at = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && (!at || all[i] < at))
            at = all[i];
    if (!at)
        return -1;
    int64_t left = at - supervisor__now_ms();
    return left < 0 ? 0 : (int)(left < INT32_MAX ? left : INT32_MAX);
}

static bool is_over(int64_t at)
{
    return at && supervisor__now_ms() >= at;
}

/* What time alone brings about. Returns -1, or the exit status. */
static int on_time(struct supervisor *s)
{
    if (is_over(s->stop_by)) {
        log_error("supervisor", "the host did not stop within %d s and is killed; nothing accepted is lost",
                  SUPERVISOR_STOP_MS / 1000);
        kill(s->pid, SIGKILL);
        s->stop_by = supervisor__now_ms() + SUPERVISOR_STOP_MS;
    }
    if (is_over(s->upgrade.until_ms) && s->pid) {
        log_error("supervisor", "the host did not finish within %d s and is killed; nothing accepted is lost",
                  UPGRADE_STOP_MS / 1000);
        kill(s->pid, SIGKILL);
        s->upgrade.until_ms = 0;
    }
    if (is_over(s->watchdog_at))
        watchdog_tick(s);
    if (is_over(s->safe_until) && s->serving_since) {
        log_info("supervisor", "safe mode is over; what is quarantined stays so until it is revived or replaced");
        s->safe_until = 0;
        if (!s->foreign_page)
            s->page->safe = 0;
        s->n_restarts = 0;
        supervisor__tell_serving(s, "");
    }
    if (is_over(s->ready_by) && s->pid && !s->stop_by)
        not_ready(s);
    return is_over(s->start_at) && !s->stop_by && supervisor__start_host(s) < 0 ? 1 : -1;
}

static int loop(struct supervisor *s)
{
    for (;;) {
        struct pollfd fds[] = {{s->signal_fd, POLLIN, 0}, {s->fds.ready, POLLIN, 0}, {s->pid_fd, POLLIN, 0}};
        int n = poll(fds, s->pid_fd < 0 ? 2 : 3, next_wake(s)), status = -1;
        if (n < 0 && errno != EINTR)
            return 1;
        if (n > 0 && fds[1].revents)
            host_serves(s);
        if (n > 0 && fds[0].revents)
            read_signals(s);
        if (n > 0 && s->pid_fd >= 0 && fds[2].revents)
            status = host_ended(s);
        if (status < 0 && s->stop_by && !s->pid)
            return 0; /* told to stop while it waited to restart */
        if (status < 0)
            status = on_time(s);
        if (status >= 0)
            return status;
    }
}

/* SIGUSR1 is sent to the host alone; it is blocked here so that it comes blocked there. */
static int watch_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    sigset_t watched;
    signal(SIGCHLD, SIG_DFL); /* were it ignored, the kernel would throw the status of the host away */
    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&watched, numbers[i]);
    int fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    sigaddset(&watched, SIGUSR1);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    return fd;
}

/* The host that runs was started by the version before, which this process was. */
static int resume(struct supervisor *s, const struct supervisor_handover *from)
{
    if (watch_host(s, from->pid) < 0)
        return CVM_EIO;
    s->serving_since = supervisor__now_ms();
    s->ever_served = true;
    if (s->watchdog_ms)
        s->watchdog_at = supervisor__now_ms();
    upgrade__resumed(s);
    return CVM_OK;
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor s = {.options = options,
                           .fds = options->fds,
                           .page = options->page,
                           .program = {.fd = -1},
                           .upgrade = {.program = {.fd = -1}, .old_page_fd = -1},
                           .pid_fd = -1,
                           .watchdog_ms = notify_watchdog_ms() / WATCHDOG_PARTS};
    snprintf(s.version, sizeof s.version, "%s", options->version);
    s.signal_fd = watch_signals();
    if (s.signal_fd < 0) {
        log_error("supervisor", "signals cannot be watched: %s", strerror(errno));
        return 1;
    }
    int e = options->handover.pid ? resume(&s, &options->handover) : supervisor__start_host(&s);
    int status = e < 0 ? 1 : loop(&s);
    close(s.signal_fd);
    return status;
}
