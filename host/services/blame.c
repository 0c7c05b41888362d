/* See blame.h. The page was written by a process that went wrong: nothing in it is trusted to be in range. */
#include "services/blame.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int blame_page_new(int *ret_fd, struct page **ret_page)
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
    page->bytes = sizeof *page;
    *ret_fd = fd;
    *ret_page = page;
    return CVM_OK;
}

/* ---- suspects and blames ----------------------------------------------------------------------------------------- */

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

/* The entry of `name`; else a free one, else the one whose crash is longest ago. */
static struct page_blame *blame_of(struct page *page, const char *name)
{
    struct page_blame *oldest = &page->blames[0];
    for (int i = 0; i < PAGE_BLAMES_MAX; i++) {
        struct page_blame *b = &page->blames[i];
        if (strncmp(b->name, name, sizeof b->name) == 0)
            return b;
        if (b->at_ms < oldest->at_ms)
            oldest = b;
    }
    *oldest = (struct page_blame){{0}, 0, 0, 0};
    snprintf(oldest->name, sizeof oldest->name, "%s", name);
    return oldest;
}

static void quarantine(struct page *page, const char *name)
{
    char *free_place = NULL;
    for (int i = 0; i < PAGE_BLAMES_MAX; i++) {
        if (strncmp(page->quarantine[i], name, sizeof page->quarantine[i]) == 0)
            return;
        if (!page->quarantine[i][0] && !free_place)
            free_place = page->quarantine[i];
    }
    if (free_place)
        snprintf(free_place, sizeof page->quarantine[0], "%s", name);
}

/* SIGKILL and SIGTERM come from outside, unless the watchdog sent them: they say nothing about the code that ran. */
static bool own_doing(int wait_status, int exit_reason)
{
    int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    return exit_reason || (number != SIGKILL && number != SIGTERM && number != SIGINT);
}

/* Gives whether it is to be quarantined now. */
static bool count_blame(struct page *page, const char *name, bool own, struct blame_time time)
{
    struct page_blame *b = blame_of(page, name);
    b->before_ms = own ? b->at_ms : b->before_ms;
    b->at_ms = time.now_ms;
    b->crashes += own;
    if (!own || b->crashes < PAGE_CRASHES_TO_QUARANTINE || b->at_ms - b->before_ms > time.window_ms)
        return false;
    quarantine(page, name);
    return true;
}

int blame_all(struct page *page, struct blame_time time, char *ret_names, size_t size)
{
    int n = 0;
    size_t at = 0;
    *ret_names = 0;
    for (int i = 0; i < PAGE_BLAMES_MAX; i++) {
        const struct page_blame *b = &page->blames[i];
        if (!b->name[0] || time.now_ms - b->at_ms > time.window_ms)
            continue;
        quarantine(page, b->name);
        int len = snprintf(ret_names + at, size - at, "%s%.*s", n++ ? ", " : "", CVM_NAME_MAX, b->name);
        at = len < 0 || (size_t)len >= size - at ? size - 1 : at + (size_t)len;
    }
    return n;
}

/* ---- a dead host ------------------------------------------------------------------------------------------------- */

/* What may be printed of a name on the page; "" gives the number. */
static void take_name(const char *from, uint32_t number, char ret_name[CVM_NAME_MAX + 1])
{
    size_t n = 0;
    for (; from && n < CVM_NAME_MAX && from[n] > ' ' && from[n] < 0x7f; n++)
        ret_name[n] = from[n];
    ret_name[n] = 0;
    if (n == 0)
        snprintf(ret_name, CVM_NAME_MAX + 1, "number %u", number);
}

void blame_how(int wait_status, int exit_reason, char *ret_text, size_t size)
{
    if (exit_reason == 1)
        snprintf(ret_text, size, "it passed the hard limit of its turn");
    else if (WIFSIGNALED(wait_status))
        snprintf(ret_text, size, "signal %d, %s", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else
        snprintf(ret_text, size, "exit status %d", WEXITSTATUS(wait_status));
}

static void examine_turn(struct page *page, int wait_status, const char *how, struct blame_time time, char *ret_text,
                         size_t size)
{
    char name[CVM_NAME_MAX + 1];
    cvm_id m = page->message;
    uint32_t at = page->component;
    take_name(at < PAGE_COMPONENTS_MAX ? page->components[at] : NULL, at, name);
    count_suspect(page, m, at);
    bool out = count_blame(page, name, own_doing(wait_status, page->exit_reason), time);
    snprintf(page->crashed, sizeof page->crashed, "%s", name);
    uint32_t crashes = page_crashes(page, m);
    snprintf(page->ended.component, sizeof page->ended.component, "%s", name);
    page->ended.message = m;
    page->ended.crashes = crashes;
    snprintf(
        ret_text, size,
        "component %s was handling MSG-%016llx%016llx when the host died (%s); the host has died %u time%s of this "
        "message%s%s",
        name, (unsigned long long)m.hi, (unsigned long long)m.lo, how, crashes, crashes == 1 ? "" : "s",
        crashes >= PAGE_CRASHES_TO_DEAD ? ", which goes to the dead letters" : "",
        out ? "; its plugin is quarantined" : "");
}

static void examine_loading(struct page *page, int wait_status, const char *how, struct blame_time time, char *ret_text,
                            size_t size)
{
    char name[CVM_NAME_MAX + 1];
    take_name(page->loading, 0, name);
    bool out = count_blame(page, name, own_doing(wait_status, page->exit_reason), time);
    snprintf(ret_text, size, "plugin %s was being loaded when the host died (%s)%s", name, how,
             out ? "; it is quarantined" : "");
}

void blame_examine(struct page *page, int wait_status, struct blame_time time, char *ret_text, size_t size)
{
    char how[sizeof page->ended.how];
    assert(size);
    *ret_text = 0;
    memset(&page->ended, 0, sizeof page->ended);
    if (atomic_exchange(&page->job.faulted, 0)) { /* whatever turn ran beside it is not to blame */
        page->component = page->job.component;
        page->message = page->job.id;
        atomic_store(&page->in_turn, 1);
    }
    blame_how(wait_status, page->exit_reason, how, sizeof how);
    if (wait_status || atomic_load(&page->in_turn))
        snprintf(page->ended.how, sizeof page->ended.how, "%s", how);
    if (atomic_load(&page->in_turn))
        examine_turn(page, wait_status, how, time, ret_text, size);
    else if (page->loading[0])
        examine_loading(page, wait_status, how, time, ret_text, size);
    atomic_store(&page->in_turn, 0);
    atomic_store(&page->ready, 0);
    page->message = (cvm_id){0, 0};
    page->turn_started_ns = 0;
    page->hard_limit_ns = 0;
    page->exit_reason = 0;
    page->loading[0] = 0;
}
