/* Replaces the host by another version of the program, and then the supervisor. The sockets stay open here, so that
 * clients wait in their backlog: the host finishes what it has begun and ends, the new one is started on the same
 * sockets; when it serves, this process executes the new program in place and goes on as its supervisor. A new host
 * that does not come to serve leaves the old program, which this process still is, to start its own host again. */
#include "services/supervisor_private.h"

#include "core/log.h"
#include "services/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SELF_ARGS_MAX 24

/* ---- telling ----------------------------------------------------------------------------------------------------- */

/* The host that runs, if any, notes it in the journal. */
static void set_result(struct supervisor *s, enum page_upgrade_state state, const char *from, const char *to,
                       const char *text)
{
    struct page_upgrade *u = &s->page->upgrade;
    if (s->foreign_page)
        return;
    snprintf(u->from, sizeof u->from, "%s", from);
    snprintf(u->to, sizeof u->to, "%s", to);
    snprintf(u->text, sizeof u->text, "%s", text);
    u->unread = 1;
    atomic_store(&u->state, state);
    if (s->pid)
        kill(s->pid, SIGUSR1);
}

static void refuse(struct supervisor *s, const char *text)
{
    log_error("supervisor", "not upgraded: %s", text);
    if (!s->foreign_page)
        s->page->upgrade.stopped_ns = s->page->upgrade.ready_ns = 0;
    set_result(s, PAGE_UPGRADE_REFUSED, s->version, s->upgrade.program.version, text);
    program_close(&s->upgrade.program);
}

static void tell_done(struct supervisor *s, const struct supervisor_handover *h)
{
    struct page_upgrade *u = &s->page->upgrade;
    char text[256];
    snprintf(text, sizeof text, "%s -> %s: the new host served %lld ms after the last answer of the one before",
             h->from, s->version, (long long)((h->ready_ns - h->stopped_ns + 999999) / 1000000));
    log_info("supervisor", "upgraded %s", text);
    if (s->foreign_page)
        return;
    u->stopped_ns = h->stopped_ns;
    u->ready_ns = h->ready_ns;
    set_result(s, PAGE_UPGRADE_DONE, h->from, s->version, text);
}

/* ---- begin ------------------------------------------------------------------------------------------------------- */

/* Whether it can begin; opens the program. */
static bool prepare(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    char path[PAGE_PATH_MAX] = "", text[512];
    bool by_command = !s->foreign_page && atomic_load(&s->page->upgrade.state) == PAGE_UPGRADE_ASKED;
    if (by_command)
        snprintf(path, sizeof path, "%.*s", PAGE_PATH_MAX - 1, s->page->upgrade.path);
    u->one_way = by_command && s->page->upgrade.one_way;
    if (!*path)
        program_self(path, sizeof path);
    if (!s->pid || !s->serving_since) {
        refuse(s, "the host does not serve yet; try again");
        return false;
    }
    if (program_open(path, &u->program, text, sizeof text) < 0 ||
        program_fits(&u->program, s->options->database, u->one_way, text, sizeof text) < 0) {
        refuse(s, text);
        return false;
    }
    return true;
}

void upgrade__asked(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->step != UPGRADE_NONE) {
        log_warning("supervisor", "an upgrade is under way already");
        return;
    }
    if (!prepare(s))
        return;
    log_info("supervisor", "upgrading %s -> %s (%s): the host finishes what it has begun", s->version,
             u->program.version, u->program.path);
    notify_reloading("upgrading");
    u->step = UPGRADE_FINISHING;
    u->asked_ns = supervisor__now_ns();
    u->until_ms = supervisor__now_ms() + UPGRADE_STOP_MS;
    kill(s->pid, SIGUSR2);
}

/* ---- the new host ------------------------------------------------------------------------------------------------ */

/* A page in the form that the new host knows. What the old one remembers of crashes ends with it. */
static int change_page(struct supervisor *s, const struct program *p)
{
    struct upgrade *u = &s->upgrade;
    if (p->page_magic == PAGE_MAGIC && p->page_bytes == sizeof *s->page)
        return CVM_OK;
    int fd = memfd_create("cvmhost-page", MFD_CLOEXEC);
    struct page *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, p->page_bytes) == 0)
        page = mmap(NULL, p->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        if (fd >= 0)
            close(fd);
        return CVM_ENOMEM;
    }
    page->magic = p->page_magic;
    page->bytes = p->page_bytes;
    page->restarts = s->page->restarts;
    u->old_page = s->page;
    u->old_page_fd = s->fds.page;
    u->page_bytes = p->page_bytes;
    s->page = page;
    s->fds.page = fd;
    s->foreign_page = true;
    return CVM_OK;
}

static void change_page_back(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->old_page_fd < 0)
        return;
    munmap(s->page, u->page_bytes);
    close(s->fds.page);
    s->page = u->old_page;
    s->fds.page = u->old_page_fd;
    s->foreign_page = false;
    u->old_page_fd = -1;
}

/* The old host has ended: whatever it could answer is answered. */
static int try_new(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    int64_t last = atomic_load(&s->page->last_answer_ns);
    u->stopped_ns = last > u->asked_ns ? last : u->asked_ns;
    u->until_ms = 0;
    s->page->restarts++; /* the builds that ran go on */
    atomic_store(&s->page->first_answer_ns, 0);
    program_close(&s->program);
    s->program = u->program;
    u->program.fd = -1;
    u->step = UPGRADE_TRIAL;
    return change_page(s, &s->program) < 0 ? CVM_EIO : supervisor__start_host(s);
}

static int go_back(struct supervisor *s, const char *how)
{
    struct upgrade *u = &s->upgrade;
    char text[512];
    snprintf(text, sizeof text, "%s (%s) did not come to serve (%s): %s %s again; the log says why", s->program.version,
             s->program.path, how, s->options->version,
             u->one_way ? "cannot read what it left, so it is tried" : "runs");
    u->step = UPGRADE_NONE;
    change_page_back(s);
    log_error("supervisor", "not upgraded: %s", text);
    s->page->upgrade.stopped_ns = s->page->upgrade.ready_ns = 0;
    set_result(s, PAGE_UPGRADE_BACK, s->options->version, s->program.version, text);
    if (u->one_way)
        return CVM_ENOENT; /* a crash like any other, of the new program */
    program_close(&s->program);
    snprintf(s->version, sizeof s->version, "%s", s->options->version);
    s->reloading = true; /* the manager is told when it serves */
    return supervisor__start_host(s);
}

int upgrade__host_ended(struct supervisor *s, const char *how)
{
    if (s->upgrade.step == UPGRADE_NONE)
        return CVM_ENOENT;
    if (s->upgrade.step == UPGRADE_FINISHING && try_new(s) == CVM_OK)
        return CVM_OK;
    return go_back(s, how);
}

/* ---- the new supervisor ------------------------------------------------------------------------------------------ */

int supervisor_handover_read(const char *text, struct host_fds *ret_fds, struct supervisor_handover *ret_handover)
{
    struct host_fds f;
    struct supervisor_handover h = {0};
    long pid = 0;
    long long stopped = 0, ready = 0;
    if (!text ||
        sscanf(text, "http=%d,control=%d,page=%d,ready=%d,lock=%d,pid=%ld,stopped=%lld,ready_at=%lld,from=%31s",
               &f.http, &f.control, &f.page, &f.ready, &f.lock, &pid, &stopped, &ready, h.from) != 9)
        return CVM_EINVAL;
    h.pid = (pid_t)pid;
    h.stopped_ns = stopped;
    h.ready_ns = ready;
    *ret_fds = f;
    *ret_handover = h;
    return pid > 0 ? CVM_OK : CVM_EINVAL;
}

static void keep_open(const struct host_fds *f, int flags)
{
    const int all[] = {f->http, f->control, f->page, f->ready, f->lock};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            fcntl(all[i], F_SETFD, flags);
}

/* Replaces this process. Its number, its child and its blocked signals stay; a signal that comes meanwhile waits. */
static void become(struct supervisor *s, const struct supervisor_handover *h)
{
    char text[256];
    const char *argv[SELF_ARGS_MAX + 3];
    int n = 0;
    for (; s->options->self[n] && n < SELF_ARGS_MAX; n++)
        argv[n] = s->options->self[n];
    snprintf(text, sizeof text,
             "http=%d,control=%d,page=%d,ready=%d,lock=%d,pid=%ld,stopped=%lld,ready_at=%lld,from=%s", s->fds.http,
             s->fds.control, s->fds.page, s->fds.ready, s->fds.lock, (long)s->pid, (long long)h->stopped_ns,
             (long long)h->ready_ns, h->from);
    argv[n] = "--handover";
    argv[n + 1] = text;
    argv[n + 2] = NULL;
    keep_open(&s->fds, 0);
    program_exec(s->program.fd, s->program.path, (char *const *)(uintptr_t)argv);
    keep_open(&s->fds, FD_CLOEXEC);
    log_error("supervisor",
              "the new program runs the host, but cannot be executed as its supervisor: %s; the one of "
              "version %s goes on",
              strerror(errno), s->options->version);
}

void upgrade__host_serves(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->step != UPGRADE_TRIAL)
        return;
    struct supervisor_handover h = {.stopped_ns = u->stopped_ns, .ready_ns = supervisor__now_ns()};
    snprintf(h.from, sizeof h.from, "%s", s->version);
    snprintf(s->version, sizeof s->version, "%s", s->program.version);
    u->step = UPGRADE_NONE;
    s->reloading = true; /* told to the manager: it serves again */
    if (s->program.handover == PROGRAM_HANDOVER)
        become(s, &h);
    if (u->old_page_fd >= 0) { /* for good */
        munmap(u->old_page, sizeof *u->old_page);
        close(u->old_page_fd);
        u->old_page_fd = -1;
    }
    tell_done(s, &h);
}

void upgrade__resumed(struct supervisor *s)
{
    prctl(PR_SET_NAME, "cvmhost"); /* else it is the number of a descriptor */
    tell_done(s, &s->options->handover);
    supervisor__tell_serving(s, "READY=1\n");
}
