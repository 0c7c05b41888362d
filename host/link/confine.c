/* What a process gives up by itself before a plugin runs in it; the order in which the layers go on. See confine.h. */
#include "link/confine.h"
#include "link/confine_private.h"

#include <assert.h>
#include <cvm/cvm.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

int confine__failed(int error, char *ret_error, size_t error_size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error, error_size, format, args);
    va_end(args);
    return error;
}

/* A small file of /proc into `text`. 0: it cannot be read. */
static size_t proc_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* The number `field` (from 1, as proc(5) counts) of /proc/self/stat. */
static unsigned long long stat_field(const char *text, int field)
{
    const char *at = strrchr(text, ')'); /* the second field is the name and may hold anything */
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* The strings that the kernel put there stay in memory, and in /proc/self/environ, after clearenv(): they may hold
 * what the host was started with. */
static void wipe_environment(void)
{
    char text[2048];
    if (proc_read("/proc/self/stat", text, sizeof text)) {
        unsigned long long from = stat_field(text, 50), to = stat_field(text, 51);
        if (from && from < to)
            memset((void *)(uintptr_t)from, 0, (size_t)(to - from));
    }
    clearenv();
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("PATH", CONFINE_PATH, 1);
}

static int close_all_but(int link_fd)
{
    unsigned link = (unsigned)link_fd;
    int error = link > 3 ? close_range(3, link - 1, 0) : 0;
    return error ? error : link < 3 ? close_range(3, ~0u, 0) : close_range(link + 1, ~0u, 0);
}

static int clean(const struct confine *c, char *ret_error, size_t error_size)
{
    char score[16];
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    int n = snprintf(score, sizeof score, "%d", CONFINE_OOM_SCORE);
    if (fd >= 0) { /* best effort: there may be no /proc, or a lower score than ours */
        if (write(fd, score, (size_t)n) < 0)
            errno = 0;
        close(fd);
    }
    wipe_environment();
    umask(077);
    signal(SIGXFSZ, SIG_IGN); /* a file limit of 0 must fail a write, not end the process */
    if (close_all_but(c->link_fd) < 0 || chdir("/") < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "descriptors and folder: %s", strerror(errno));
    return CVM_OK;
}

static int die_with_host(const struct confine *c, char *ret_error, size_t error_size)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "PR_SET_PDEATHSIG: %s", strerror(errno));
    if (c->host && getppid() != c->host) /* it ended before the signal was set */
        return confine__failed(CVM_ESTATE, ret_error, error_size, "the host has ended");
    return CVM_OK;
}

/* Root without capabilities is a user as any other but for files of its own, which Landlock keeps. */
static int drop_capabilities(char *ret_error, size_t error_size)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (int cap = 0; cap < 64; cap++) /* CAP_SETPCAP is needed; without it no_new_privs keeps the set out of reach */
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "capabilities: %s", strerror(errno));
    return CVM_OK;
}

static int no_privileges(char *ret_error, size_t error_size)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    return drop_capabilities(ret_error, error_size);
}

/* Sets soft and hard limit; never above a hard limit that is there already. */
static int limit(int what, uint64_t value, const char *name, char *ret_error, size_t error_size)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "limit of %s: %s", name, strerror(errno));
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        value = now.rlim_max;
    now.rlim_cur = now.rlim_max = value;
    if (setrlimit((__rlimit_resource_t)what, &now) < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "limit of %s: %s", name, strerror(errno));
    return CVM_OK;
}

static int limits(const struct confine *c, char *ret_error, size_t error_size)
{
    uint32_t files = c->files ? c->files : CONFINE_FILES_DEFAULT;
    if (files < (uint32_t)c->link_fd + 8) /* the limit is on the number of a descriptor */
        files = (uint32_t)c->link_fd + 8;
    const struct {
        int what;
        uint64_t value;
        const char *name;
    } all[] = {{RLIMIT_CORE, 0, "core files"},
               {RLIMIT_FSIZE, 0, "file size"},
               {RLIMIT_MEMLOCK, 0, "locked memory"},
               {RLIMIT_MSGQUEUE, 0, "message queues"},
               {RLIMIT_NICE, 0, "niceness"},
               {RLIMIT_RTPRIO, 0, "priority"},
               {RLIMIT_SIGPENDING, 64, "waiting signals"},
               {RLIMIT_STACK, CONFINE_STACK_MAX_BYTES, "stack"},
               {RLIMIT_NOFILE, files, "descriptors"}};
    int error = CVM_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && !error; i++)
        error = limit(all[i].what, all[i].value, all[i].name, ret_error, error_size);
    if (!error && c->cpu_s)
        error = limit(RLIMIT_CPU, c->cpu_s, "CPU time", ret_error, error_size);
    if (!error && c->nice > 0 && setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + c->nice) < 0)
        error = confine__failed(CVM_EIO, ret_error, error_size, "niceness: %s", strerror(errno));
    return error;
}

/* Address space, because it alone counts shared memory too; from what the process has now, because libraries that are
 * mapped are not taken by the plugin. */
static int limit_memory(const struct confine *c, char *ret_error, size_t error_size)
{
    char text[256];
    uint64_t now = 0;
    if (!c->program && proc_read("/proc/self/statm", text, sizeof text))
        now = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    return limit(RLIMIT_AS, now + c->memory_bytes, "memory", ret_error, error_size);
}

/* A second thread would keep what this one gives up. Under the thread sanitizer there always is one. */
static unsigned threads(void)
{
    struct stat st;
    return UNDER_SANITIZER || stat("/proc/self/task", &st) < 0 || st.st_nlink < 3 ? 1 : (unsigned)st.st_nlink - 2;
}

static int check(const struct confine *c, char *ret_error, size_t error_size)
{
    const char *const *reads = c->reads;
    if (c->link_fd >= 0 && fcntl(c->link_fd, F_GETFD) < 0)
        return confine__failed(CVM_EINVAL, ret_error, error_size, "descriptor %d is not open", c->link_fd);
    if (c->library && c->library[0] != '/')
        return confine__failed(CVM_EINVAL, ret_error, error_size, "%s: is no absolute path", c->library);
    if (c->program && c->program[0] != '/')
        return confine__failed(CVM_EINVAL, ret_error, error_size, "%s: is no absolute path", c->program);
    for (; reads && *reads; reads++)
        if (**reads != '/')
            return confine__failed(CVM_EINVAL, ret_error, error_size, "%s: is no absolute path", *reads);
    if (threads() != 1)
        return confine__failed(CVM_EINVAL, ret_error, error_size, "there are %u threads, it must be one", threads());
    return CVM_OK;
}

int confine_self(const struct confine *c, uint32_t *ret_layers, char *ret_error, size_t error_size)
{
    assert(c && ret_layers && ret_error && error_size);
    uint32_t wanted = confine_available() & ~c->without, held = 0;
    if (!c->memory_bytes)
        wanted &= ~(uint32_t)CONFINE_MEMORY;
    int error = check(c, ret_error, error_size);
    if (!error && wanted & CONFINE_PARENT)
        error = die_with_host(c, ret_error, error_size);
    /* The memory that /proc shows of itself is closed with CONFINE_HIDDEN, so that comes late. */
    if (!error && wanted & CONFINE_MEMORY)
        error = limit_memory(c, ret_error, error_size);
    if (!error && wanted & CONFINE_CLEAN)
        error = clean(c, ret_error, error_size);
    if (!error && wanted & CONFINE_LIMITS)
        error = limits(c, ret_error, error_size);
    if (!error && wanted & CONFINE_PRIVILEGES)
        error = no_privileges(ret_error, error_size);
    if (!error && wanted & (CONFINE_FILES | CONFINE_NETWORK | CONFINE_SCOPE))
        error = confine__landlock(c, &held, ret_error, error_size);
    if (!error && wanted & CONFINE_HIDDEN && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        error = confine__failed(CVM_EIO, ret_error, error_size, "PR_SET_DUMPABLE: %s", strerror(errno));
    if (!error && wanted & CONFINE_CALLS)
        error = confine__calls(c, ret_error, error_size);
    if (error)
        return error;
    assert((held & ~wanted) == 0);
    *ret_layers = wanted;
    return CVM_OK;
}

int confine_seal(char *ret_error, size_t error_size)
{
    return confine__calls_layers() ? confine__calls_sealed(ret_error, error_size) : CVM_OK;
}

uint32_t confine_available(void)
{
    uint32_t layers = CONFINE_PRIVILEGES | CONFINE_PARENT | CONFINE_HIDDEN | CONFINE_CLEAN | CONFINE_LIMITS;
    if (!UNDER_SANITIZER)
        layers |= CONFINE_MEMORY;
    return layers | confine__landlock_layers() | confine__calls_layers();
}

void confine_layers_text(uint32_t layers, char *ret_text, size_t size)
{
    static const char *const names[] = {
#define CONFINE_X(name, text) text,
        CONFINE_LAYERS(CONFINE_X)
#undef CONFINE_X
    };
    size_t at = 0;
    snprintf(ret_text, size, "none");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(layers & 1u << i) || at >= size)
            continue;
        int n = snprintf(ret_text + at, size - at, "%s%s", at ? ", " : "", names[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}
