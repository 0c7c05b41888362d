/* seccomp: which system calls a confined process may make. What is on no list fails with EPERM, so that a library
 * that probes for something finds it missing; what only an attack needs ends the process (SIGSYS). See confine.h. */
#include "link/confine_private.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* A name that the library or the machine does not know is passed over. */
static const char *const allowed[] = {
    /* descriptors that are open */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek",
    "close", "close_range", "dup", "dup2", "dup3", "pipe", "pipe2", "fstat", "fstatfs", "getdents", "getdents64",
    "fadvise64", "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "signalfd", "signalfd4", "getsockopt", "getsockname", "getpeername", "shutdown",
    /* paths: what may be opened says Landlock */
    "stat", "lstat", "newfstatat", "statx", "statfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getcwd",
    /* memory */
    "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "msync", "membarrier",
    /* time, threads, signals to itself */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getitimer",
    "setitimer", "alarm", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "futex",
    "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "set_robust_list", "get_robust_list", "set_tid_address",
    "rseq", "sched_yield", "sched_getaffinity", "getcpu", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "pause", "restart_syscall", "wait4", "waitid",
    "exit", "exit_group",
    /* about itself */
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
    "getpgrp", "getpgid", "getsid", "capget", "getrlimit", "setrlimit", "getrusage", "getpriority", "uname", "sysinfo",
    "getrandom", "arch_prctl", "set_thread_area", "seccomp"};

/* Nobody asks for these by mistake. */
static const char *const deadly[] = {"ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "process_madvise",
                                     "process_mrelease",
                                     "pidfd_getfd",
                                     "kcmp",
                                     "mount",
                                     "umount",
                                     "umount2",
                                     "pivot_root",
                                     "chroot",
                                     "move_mount",
                                     "open_tree",
                                     "fsopen",
                                     "fsconfig",
                                     "fsmount",
                                     "fspick",
                                     "mount_setattr",
                                     "unshare",
                                     "setns",
                                     "bpf",
                                     "perf_event_open",
                                     "userfaultfd",
                                     "io_uring_setup",
                                     "io_uring_enter",
                                     "io_uring_register",
                                     "keyctl",
                                     "add_key",
                                     "request_key",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "init_module",
                                     "finit_module",
                                     "delete_module",
                                     "open_by_handle_at",
                                     "name_to_handle_at",
                                     "fanotify_init",
                                     "swapon",
                                     "swapoff",
                                     "reboot",
                                     "settimeofday",
                                     "clock_settime",
                                     "clock_adjtime",
                                     "adjtimex",
                                     "acct",
                                     "quotactl",
                                     "iopl",
                                     "ioperm",
                                     "modify_ldt",
                                     "execveat",
                                     "syslog",
                                     "vhangup",
                                     "lookup_dcookie"};

/* Newer forms whose arguments no filter can see; libc falls back to the older ones. */
static const char *const unknown[] = {"clone3", "openat2"};

/* After the library is loaded. */
static const char *const sealed[] = {"execve", "openat",    "open",       "clone",        "seccomp",    "prctl",
                                     "access", "faccessat", "faccessat2", "readlink",     "readlinkat", "getcwd",
                                     "statfs", "getdents",  "getdents64", "pkey_mprotect"};

static const uint32_t requests[] = {FIONBIO, FIOCLEX, FIONCLEX, FIONREAD};
static const int descriptor_commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL};
static const int process_options[] = {PR_SET_NAME,         PR_GET_NAME,    PR_GET_DUMPABLE, PR_SET_NO_NEW_PRIVS,
                                      PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_SET_VMA};
static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

/* A filter under construction; the first error stays. */
struct filter {
    scmp_filter_ctx at;
    int error;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void rule(struct filter *f, uint32_t action, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
    int call = seccomp_syscall_resolve_name(name);
    if (f->error || call == __NR_SCMP_ERROR)
        return;
    f->error = seccomp_rule_add_array(f->at, action, call, n, args);
}

static void names(struct filter *f, uint32_t action, const char *const *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rule(f, action, all[i], 0, NULL);
}

static void allow(struct filter *f, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
    rule(f, SCMP_ACT_ALLOW, name, n, args);
}

/* The call with its argument `at`, an int, equal to `value`. The kernel looks at 32 bits, a filter would see 64. */
static void allow_int(struct filter *f, const char *name, unsigned at, uint32_t value)
{
    struct scmp_arg_cmp arg = SCMP_CMP(at, SCMP_CMP_MASKED_EQ, 0xffffffffu, value);
    allow(f, name, 1, &arg);
}

/* Opening to read; Landlock says what. This holds where the kernel has no Landlock too: nothing is written. */
static void opening(struct filter *f)
{
    const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
    struct scmp_arg_cmp openat_flags = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, writing, 0);
    struct scmp_arg_cmp open_flags = SCMP_CMP(1, SCMP_CMP_MASKED_EQ, writing, 0);
    allow(f, "openat", 1, &openat_flags);
    allow(f, "open", 1, &open_flags);
}

/* The link is a connected socket: no address may come with what is sent. */
static void link_calls(struct filter *f, const struct confine *c)
{
    static const char *const calls[] = {"sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "recvfrom"};
    uint32_t link = (uint32_t)c->link_fd;
    struct scmp_arg_cmp to[] = {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffffu, link), SCMP_CMP(4, SCMP_CMP_EQ, 0)};
    struct scmp_arg_cmp option[] = {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffffu, link),
                                    SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xffffffffu, SOL_SOCKET)};
    struct scmp_arg_cmp pair = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffffu, AF_UNIX);
    if (c->program) { /* an event loop of its own wakes itself over a pair */
        allow(f, "socketpair", 1, &pair);
        allow(f, "recvfrom", 0, NULL);
        allow(f, "sendto", 1, &to[1]);
    }
    if (c->link_fd < 0)
        return;
    for (size_t i = 0; i < COUNT(calls) - (c->program ? 1 : 0); i++)
        allow_int(f, calls[i], 0, link);
    if (!c->program)
        allow(f, "sendto", COUNT(to), to);
    allow(f, "setsockopt", COUNT(option), option);
}

/* Itself and nobody else. */
static void signals(struct filter *f)
{
    static const char *const calls[] = {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"};
    uint32_t self = (uint32_t)getpid();
    for (size_t i = 0; i < COUNT(calls); i++)
        allow_int(f, calls[i], 0, self);
    allow_int(f, "prlimit64", 0, 0);
    allow_int(f, "prlimit64", 0, self);
}

static void children(struct filter *f, const struct confine *c)
{
    uint64_t all = 0;
    for (size_t i = 0; i < COUNT(namespaces); i++) {
        struct scmp_arg_cmp arg = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);
        rule(f, SCMP_ACT_KILL_PROCESS, "clone", 1, &arg);
        all |= namespaces[i];
    }
    struct scmp_arg_cmp thread = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | all, CLONE_THREAD);
    allow(f, "clone", 1, &thread);
    if (c->program)
        allow(f, "execve", 0, NULL);
}

static void some_of(struct filter *f)
{
    for (size_t i = 0; i < COUNT(requests); i++)
        allow_int(f, "ioctl", 1, requests[i]);
    for (size_t i = 0; i < COUNT(descriptor_commands); i++)
        allow_int(f, "fcntl", 1, (uint32_t)descriptor_commands[i]);
    for (size_t i = 0; i < COUNT(process_options); i++)
        allow_int(f, "prctl", 0, (uint32_t)process_options[i]);
}

/* Takes the filter; with all threads, and by a tree, because the list is long and each call pays. */
static int load(struct filter *f, char *ret_error, size_t error_size)
{
    if (!f->error)
        f->error = seccomp_attr_set(f->at, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!f->error)
        f->error = seccomp_attr_set(f->at, SCMP_FLTATR_CTL_NNP, 1);
    if (!f->error)
        f->error = seccomp_attr_set(f->at, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!f->error)
        f->error = seccomp_attr_set(f->at, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!f->error)
        f->error = seccomp_load(f->at);
    seccomp_release(f->at);
    if (f->error)
        return confine__failed(CVM_EIO, ret_error, error_size, "seccomp: %s", strerror(-f->error));
    return CVM_OK;
}

int confine__calls(const struct confine *c, char *ret_error, size_t error_size)
{
    struct filter f = {.at = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    if (!f.at)
        return confine__failed(CVM_ENOMEM, ret_error, error_size, "seccomp: no memory");
    names(&f, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    names(&f, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
    names(&f, SCMP_ACT_ERRNO(ENOSYS), unknown, COUNT(unknown));
    opening(&f);
    link_calls(&f, c);
    signals(&f);
    children(&f, c);
    some_of(&f);
    return load(&f, ret_error, error_size);
}

int confine__calls_sealed(char *ret_error, size_t error_size)
{
    struct filter f = {.at = seccomp_init(SCMP_ACT_ALLOW)};
    struct scmp_arg_cmp code = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    if (!f.at)
        return confine__failed(CVM_ENOMEM, ret_error, error_size, "seccomp: no memory");
    names(&f, SCMP_ACT_ERRNO(EPERM), sealed, COUNT(sealed));
    rule(&f, SCMP_ACT_ERRNO(EPERM), "mmap", 1, &code);
    rule(&f, SCMP_ACT_ERRNO(EPERM), "mprotect", 1, &code);
    return load(&f, ret_error, error_size);
}

uint32_t confine__calls_layers(void)
{
    return seccomp_api_get() >= 1 ? CONFINE_CALLS : 0;
}
