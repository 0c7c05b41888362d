/* Owns the watching thread, and the process's handlers of faults. The loop pays one relaxed store and one load an
 * iteration (uv_check); the thread wakes every 20 ms while turns are run and not at all while none are.
 *
 * Past the limit the loop's thread gets SIGABRT, so that the backtrace is that of the handler which hangs. */
#include "services/watchdog.h"

#include "core/core.h"
#include "core/log.h"

#include <assert.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BACKTRACE_DEPTH 64
#define BLOCKED_LOOKS (100 / WATCHDOG_LOOK_MS)
#define ABORT_GRACE_MS 1000 /* then SIGKILL: the thread is stuck in the kernel */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

/* ---- faults: only what may be called from a signal handler ------------------------------------------------------- */

static struct {
    struct page *page;
    pthread_t loop_thread;
    int fd;
} faults = {.fd = -1};

static void put(const char *text, size_t len)
{
    /* What cannot be written is lost: the process dies next. */
    if (write(STDERR_FILENO, text, len) < 0 || (faults.fd >= 0 && write(faults.fd, text, len) < 0))
        return;
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

static void put_hex(uint64_t value)
{
    char text[16];
    for (int i = 0; i < 16; i++)
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    put(text, sizeof text);
}

static void put_number(uint64_t value)
{
    char text[20];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put(text + at, sizeof text - at);
}

static void put_turn(const struct page *page)
{
    put_text("component ");
    if (page->component < PAGE_COMPONENTS_MAX)
        put(page->components[page->component], strnlen(page->components[page->component], CVM_NAME_MAX));
    put_text(" was handling MSG-");
    put_hex(page->message.hi);
    put_hex(page->message.lo);
    if (page->exit_reason == WATCHDOG_EXIT_HARD_LIMIT) {
        put_text(", past the hard limit of its turn (");
        put_number((uint64_t)(page->hard_limit_ns / 1000000));
        put_text(" ms)");
    }
    put_text("\n");
}

static void put_job(const struct page *page)
{
    put_text("a job of component ");
    if (page->job.component < PAGE_COMPONENTS_MAX)
        put(page->components[page->job.component], strnlen(page->components[page->job.component], CVM_NAME_MAX));
    put_text(" was running: MSG-");
    put_hex(page->job.id.hi);
    put_hex(page->job.id.lo);
    put_text("\n");
}

static void on_fault(int signal_number)
{
    void *frames[BACKTRACE_DEPTH];
    put_text("cvmhost died of signal ");
    put_number((uint64_t)signal_number);
    put_text(" at ");
    put_number((uint64_t)time(NULL));
    put_text(" (seconds since 1970)\n");
    if (job_faulted(faults.page))
        put_job(faults.page);
    else if (!pthread_equal(pthread_self(), faults.loop_thread))
        put_text("not in a handler: another thread than the loop's\n");
    else if (atomic_load(&faults.page->in_turn))
        put_turn(faults.page);
    else
        put_text("no handler was running\n");
    int n = backtrace(frames, BACKTRACE_DEPTH);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    if (faults.fd >= 0)
        backtrace_symbols_fd(frames, n, faults.fd);
    raise(signal_number); /* SA_RESETHAND: pending until we return, then the default action */
}

int watchdog_catch_faults(struct page *page, const char *crash_log)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char stack[65536]; /* a handler that used up its stack must be reported too */
    if (HAS_SANITIZER)
        return CVM_OK;
    void *frame;
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    faults.page = page;
    faults.loop_thread = pthread_self();
    faults.fd = open(crash_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    /* The first call of backtrace loads libgcc, which allocates: not in a signal handler. */
    if (faults.fd < 0 || sigaltstack(&alternate, NULL) < 0 || backtrace(&frame, 1) < 0)
        return CVM_EIO;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &action, NULL) < 0)
            return CVM_EIO;
    return CVM_OK;
}

/* ---- the watching thread ----------------------------------------------------------------------------------------- */

struct watchdog {
    uv_check_t check;
    struct page *page;
    pthread_t thread, loop_thread;
    pid_t loop_tid;
    clockid_t loop_clock;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint asleep;          /* the thread waits, or is about to wait, without a time limit */
    atomic_uint_fast64_t passes; /* iterations of the loop; loop thread writes */
    bool ending;                 /* under `lock` */
    void (*closed)(void *);
    void *closed_arg;
};

/* What the thread knows of the turn it saw last. */
struct look {
    int64_t turn;       /* page.turn_started_ns; 0: none */
    int64_t cpu_before; /* processor time of the loop's thread when it was first seen */
    int blocked;        /* looks past the limit at which the thread was asleep */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The state letter that the kernel shows for the loop's thread; '?' where it cannot be read. */
static char thread_state(pid_t tid)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return '?';
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    const char *end = strrchr(text, ')'); /* the name before it may hold anything */
    return end && end[1] == ' ' && end[2] ? end[2] : '?';
}

/* The loop writes these two without a barrier, which the thread sanitizer would report; a turn judged by a value that
 * is just being written is looked at again before it is ended. */
__attribute__((no_sanitize("thread"), noinline)) static int64_t peek(const int64_t *at)
{
    return *(const volatile int64_t *)at;
}

static bool is_hung(const struct watchdog *w, struct look *look)
{
    const struct page *page = w->page;
    int64_t turn = peek(&page->turn_started_ns), limit = peek(&page->hard_limit_ns);
    if (!atomic_load(&page->in_turn) || limit <= 0) {
        look->turn = 0;
        return false;
    }
    int64_t cpu = clock_ns(w->loop_clock);
    if (turn != look->turn) {
        *look = (struct look){.turn = turn, .cpu_before = cpu};
        return false;
    }
    if (clock_ns(CLOCK_MONOTONIC) - turn <= limit)
        return false;
    /* The turn was first seen at most one look after it began. */
    if (cpu - look->cpu_before + (int64_t)WATCHDOG_LOOK_MS * 1000000 >= limit)
        return true;
    look->blocked = thread_state(w->loop_tid) == 'S' ? look->blocked + 1 : 0;
    return look->blocked >= BLOCKED_LOOKS;
}

static void end_host(struct watchdog *w, const struct look *look)
{
    /* The turn may have ended since it was judged; then the host lives. */
    if (!atomic_load(&w->page->in_turn) || peek(&w->page->turn_started_ns) != look->turn)
        return;
    w->page->exit_reason = WATCHDOG_EXIT_HARD_LIMIT;
    pthread_kill(w->loop_thread, SIGABRT);
    struct timespec grace = {ABORT_GRACE_MS / 1000, ABORT_GRACE_MS % 1000 * 1000000};
    nanosleep(&grace, NULL);
    kill(getpid(), SIGKILL);
}

/* Waits for the next look, or without a limit once the loop has been calm. Returns false when it is to end. */
static bool wait_for_look(struct watchdog *w, bool calm)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WATCHDOG_LOOK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->lock);
    if (!w->ending && !calm)
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    while (!w->ending && calm && atomic_load(&w->asleep))
        pthread_cond_wait(&w->wake, &w->lock);
    bool go_on = !w->ending;
    pthread_mutex_unlock(&w->lock);
    return go_on;
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    struct look look = {0};
    uint64_t seen = 0;
    int calm_looks = 0;
    bool calm = false;
    pthread_setname_np(pthread_self(), "watchdog");
    while (wait_for_look(w, calm)) {
        uint64_t now = atomic_load(&w->passes) + atomic_load(&w->page->iterations);
        calm_looks = now == seen && !atomic_load(&w->page->in_turn) ? calm_looks + 1 : 0;
        seen = now;
        /* Said one look before it is done: an iteration that passed on_check just before it was said is seen at that
         * look, and one that passes later wakes us. */
        if (calm_looks == 0)
            atomic_store(&w->asleep, 0);
        else if (calm_looks == WATCHDOG_CALM_MS / WATCHDOG_LOOK_MS)
            atomic_store(&w->asleep, 1);
        calm = calm_looks > WATCHDOG_CALM_MS / WATCHDOG_LOOK_MS;
        if (is_hung(w, &look))
            end_host(w, &look);
    }
    return NULL;
}

/* ---- the loop's side --------------------------------------------------------------------------------------------- */

static void on_check(uv_check_t *check)
{
    struct watchdog *w = check->data;
    atomic_fetch_add_explicit(&w->passes, 1, memory_order_relaxed);
    if (!atomic_load(&w->asleep))
        return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asleep, 0);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static int start_thread(struct watchdog *w)
{
    /* Signals are for the loop's thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? CVM_ENOMEM : CVM_OK;
}

int watchdog_start(uv_loop_t *loop, struct page *page, struct watchdog **ret_watchdog)
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return CVM_ENOMEM;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&w->lock, NULL);
    w->page = page;
    w->loop_thread = pthread_self();
    w->loop_tid = gettid();
    int e = pthread_getcpuclockid(w->loop_thread, &w->loop_clock) ? CVM_EIO : start_thread(w);
    if (e < 0) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return e;
    }
    uv_check_init(loop, &w->check);
    w->check.data = w;
    uv_check_start(&w->check, on_check);
    uv_unref((uv_handle_t *)&w->check);
    *ret_watchdog = w;
    return CVM_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct watchdog *w = handle->data;
    void (*closed)(void *) = w->closed;
    void *arg = w->closed_arg;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
    if (closed)
        closed(arg);
}

void watchdog_stop(struct watchdog *watchdog, void (*closed)(void *), void *arg)
{
    assert(watchdog);
    pthread_mutex_lock(&watchdog->lock);
    watchdog->ending = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    watchdog->closed = closed;
    watchdog->closed_arg = arg;
    uv_close((uv_handle_t *)&watchdog->check, on_closed);
}
