/* A child runs the plugin; the parent waits, sees that it neither hangs nor dies, and reads what it found. */
#include "conform/parts.h"

#include "core/json_text.h"
#include "core/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCH_MS 10
#define WALL_FACTOR 10 /* a handler that waits without using the processor may take so many times longer */

/* ---- in the child ---- */

static json_t *told; /* findings of this child */

/* Where a text was cut within a character it would be no JSON text. */
void mend(char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < 4 && n && !text_is_utf8(text, n); i++)
        text[--n] = 0;
    for (char *s = text; !text_is_utf8(text, n) && *s; s++)
        if ((unsigned char)*s >= 0x80)
            *s = '?';
}

void fact_write(struct conform *c, json_t *fact)
{
    struct text text;
    text_init(&text, 4 * 1024 * 1024);
    text_json(&text, fact);
    text_char(&text, '\n');
    int fd = open(c->facts, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || text.failed || write(fd, text.at, text.len) != (ssize_t)text.len)
        _exit(98);
    close(fd);
    text_free(&text);
    json_decref(fact);
}

void find(struct conform *c, const char *check, const char *what, const char *component, const char *type,
          const char *format, ...)
{
    char text[600], name[700];
    va_list args;
    memory_host(true); /* what follows is ours */
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mend(text);
    mend(c->shared->message);
    snprintf(name, sizeof name, "%s %s %s %s", check, what, component, type);
    if (!told)
        told = json_object();
    if (!json_object_get(told, name)) {
        json_object_set_new(told, name, json_true());
        fact_write(c, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "finding", "check", check, "what", what,
                                "component", component, "type", type, "text", text, "message", c->shared->message));
    }
    memory_host(false);
}

static void settle_in(struct conform *c)
{
    const struct rlimit none = {0, 0};
    char path[CONFORM_PATH + 16];
    snprintf(path, sizeof path, "%.3000s/log", c->work);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    close(c->alive);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_open(NULL, LOG_ERROR, 1);
    told = NULL;
    unsynced_begin();
    memory_begin();
}

/* ---- in the parent ---- */

static int64_t cpu_us_of(pid_t pid)
{
    clockid_t clock;
    struct timespec now;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) < 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* True when it had to be killed. */
static bool watch(struct conform *c, pid_t pid, int *ret_status)
{
    uint32_t turns = 0;
    int64_t begun_ms = 0, waited_ms = 0;
    int shown = -1;
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN}; /* -1: passed over by poll */
    bool hangs = false;
    while (!hangs && waitpid(pid, ret_status, WNOHANG) == 0) {
        if (poll(&end, 1, WATCH_MS) > 0)
            continue;
        waited_ms += WATCH_MS;
        struct board *page = c->shared;
        if (!page->running || page->turns != turns) {
            turns = page->turns;
            begun_ms = waited_ms;
        }
        int64_t used = page->running ? cpu_us_of(pid) - page->cpu_us : 0;
        if (page->running &&
            (used > c->options.hang_ms * 1000 || waited_ms - begun_ms > c->options.hang_ms * WALL_FACTOR)) {
            kill(pid, SIGKILL);
            waitpid(pid, ret_status, 0);
            hangs = true;
        }
        if (c->options.progress && page->of && page->done != shown)
            c->options.progress(c->options.arg, NULL, shown = page->done, page->of);
    }
    if (end.fd >= 0)
        close(end.fd);
    return hangs;
}

static json_t *read_facts(const char *path)
{
    json_t *facts = json_array();
    char *line = NULL;
    size_t cap = 0;
    FILE *f = fopen(path, "re");
    while (f && getline(&line, &cap, f) > 0) {
        json_t *fact = json_loads(line, 0, NULL);
        if (fact)
            json_array_append_new(facts, fact);
    }
    if (f)
        fclose(f);
    free(line);
    unlink(path);
    return facts;
}

enum child_end child_run(struct conform *c, int (*body)(struct conform *c, void *arg), void *arg, json_t **ret_facts,
                         char *ret_text, size_t text_size)
{
    int status = 0;
    static int n;
    snprintf(c->facts, sizeof c->facts, "%.3000s/facts%d", c->work, ++n);
    c->shared->where[0] = c->shared->message[0] = 0;
    c->shared->running = 0;
    c->shared->at = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        settle_in(c);
        int e = body(c, arg);
        fflush(NULL);
        _exit(e ? 1 : 0);
    }
    bool hangs = pid > 0 && watch(c, pid, &status);
    *ret_facts = read_facts(c->facts);
    *ret_text = 0;
    if (pid < 0) {
        snprintf(ret_text, text_size, "no process could be started: %s", strerror(errno));
        return CHILD_ENDED;
    }
    if (hangs) {
        snprintf(ret_text, text_size, "did not return within %lld ms of processor time (or %lld ms in all)",
                 (long long)c->options.hang_ms, (long long)(c->options.hang_ms * WALL_FACTOR));
        return CHILD_HANGS;
    }
    if (WIFSIGNALED(status)) {
        int sig = WTERMSIG(status);
        const char *name = sigabbrev_np(sig), *what = sigdescr_np(sig);
        snprintf(ret_text, text_size, "crashed with SIG%s (%s)", name ? name : "?", what ? what : "?");
        return CHILD_CRASHED;
    }
    if (WEXITSTATUS(status) != 0 || c->shared->running) {
        snprintf(ret_text, text_size, "the process ended with status %d", WEXITSTATUS(status));
        return c->shared->running ? CHILD_CRASHED : CHILD_ENDED;
    }
    return CHILD_DONE;
}
