/* What a turn may not ask of the C library, and why. What is not listed is
 * allowed. Pure, any thread. */
#include "core/vet.h"

#include <stdio.h>

#define NAME_MAX_BYTES 64 /* of a function; longer ones are nobody's here */

static const struct {
    struct vet_rule rule;
    const char *names;
} GROUPS[] = {
    {{"starts processes", "A turn never waits for another program; wrap it as a service that is asked by message",
      VET_INLINE},
     "_Fork clone daemon execl execle execlp execv execve execveat execvp execvpe fexecve fork forkpty pclose popen "
     "posix_spawn posix_spawnp system vfork wait wait3 wait4 waitid waitpid"},
    {{"loads code", "Link what the plugin needs into it", VET_INLINE}, "dlmopen dlopen dlsym dlvsym"},
    {{"starts threads",
      "Turns run on the host's loop; work that takes long is an outgoing call or a message to oneself", VET_INLINE},
     "pthread_atfork pthread_create thrd_create"},
    {{"blocks",
      "A handler never waits: arm a timer with cvm_timer, or send a message and take its reply in a later turn",
      VET_INLINE},
     "accept clock_nanosleep cnd_timedwait cnd_wait epoll_pwait epoll_pwait2 epoll_wait flock getaddrinfo "
     "gethostbyaddr "
     "gethostbyname gethostbyname2 gethostbyname_r getnameinfo getservbyname lockf mq_receive mq_send msgrcv msgsnd "
     "nanosleep pause poll ppoll pselect pthread_barrier_wait pthread_cond_clockwait pthread_cond_timedwait "
     "pthread_cond_wait pthread_join res_query select sem_clockwait sem_timedwait sem_wait semop sigsuspend "
     "sigtimedwait "
     "sigwait sigwaitinfo sleep syslog thrd_join thrd_sleep usleep vsyslog"},
    {{"changes signals", "Signals are the host's, which finds a hang or a crash by them", VET_INLINE},
     "__sysv_signal alarm bsd_signal kill killpg pthread_kill pthread_sigmask pthread_sigqueue setitimer sigaction "
     "sigaltstack sigblock signal signalfd sigprocmask sigqueue sigset sigsetmask ssignal tgkill timer_create "
     "timerfd_create ualarm"},
    {{"ends the host", "Return CVM_EFAULT: the turn is undone and the host lives", VET_INLINE},
     "_Exit _exit exit pthread_exit quick_exit thrd_exit"},
    {{"changes the whole process", "What all plugins share is the host's to set", VET_INLINE},
     "chdir chroot clearenv fchdir initgroups json_object_seed json_set_alloc_funcs json_set_alloc_funcs2 mallopt "
     "mcheck mlockall mount mprotect mtrace personality pivot_root pkey_mprotect prctl ptrace putenv reboot "
     "remap_file_pages sched_setaffinity sched_setscheduler setdomainname setegid setenv seteuid setfsgid setfsuid "
     "setgid "
     "setgroups sethostname setlocale setns setpgid setpgrp setpriority setregid setresgid setresuid setreuid "
     "setrlimit "
     "setsid settimeofday setuid stime syscall umask umount umount2 unsetenv unshare vhangup"},
    {{"uses sockets", "Declare the call in the manifest (needs.hosts) and make it with cvm_http_call", VET_INLINE},
     "accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmsg send sendfile "
     "sendmmsg sendmsg sendto setsockopt shutdown socket socketpair"},
    {{"uses files", "Keep data with cvm_state_put or cvm_row_put; fixed data belongs into the manifest's folder",
      VET_INLINE},
     "access chmod chown close close_range closefrom copy_file_range creat dup dup2 dup3 euidaccess faccessat "
     "fallocate "
     "fchmod fchown fcntl fdatasync fdopen fopen freopen fstatat fsync ftruncate ftw futimens getcwd glob inotify_init "
     "inotify_init1 io_setup io_submit ioctl json_dump_file json_dumpfd json_load_file json_loadfd link linkat lstat "
     "memfd_create mkdir mkdirat mkdtemp mkfifo mknod mkostemp mkstemp mktemp mq_open nftw open openat opendir "
     "fdopendir "
     "pipe pipe2 posix_fallocate pread pwrite read readlink readlinkat readv realpath remove rename renameat renameat2 "
     "rmdir scandir shm_open shm_unlink shmat shmget stat statvfs statx symlink symlinkat sync syncfs tempnam tmpfile "
     "tmpnam truncate unlink unlinkat utime utimensat utimes write writev fxstat lxstat xstat"},
    {{"reads standard input", "Input arrives as messages", VET_INLINE},
     "getchar getchar_unlocked gets scanf stdin vscanf"},
    {{"leaves a call behind for the end", "Undo in destroy what create did", VET_UNLOAD},
     "__cxa_at_quick_exit __cxa_atexit __cxa_thread_atexit __cxa_thread_atexit_impl at_quick_exit atexit on_exit "
     "pthread_key_create tss_create"},
    {{"writes to the host's output", "Log with cvm_log", 0},
     "perror printf psignal putchar putchar_unlocked puts stderr stdout vprintf vwarn vwarnx warn warnx"},
    {{"reads the clock", "A turn's time is cvm_now_ms: the same when the turn is run again", 0},
     "clock clock_gettime ftime getrusage gettimeofday time times timespec_get"},
    {{"depends on the machine", "Use the settings of the manifest; times are UTC (gmtime_r, timegm)", 0},
     "ctime ctime_r getenv gethostname getlogin getpwnam getpwuid localtime localtime_r mktime secure_getenv sysconf "
     "sysinfo tzset uname"},
    {{"makes random numbers", "cvm_random gives the same ones when the turn is run again", 0},
     "arc4random arc4random_buf arc4random_uniform drand48 erand48 getentropy getrandom jrand48 lrand48 mrand48 "
     "nrand48 "
     "rand rand_r random random_r srand srand48 srandom"},
};

static bool has_word(const char *words, const char *word, size_t n)
{
    for (const char *at = words; (at = strstr(at, word)); at++)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return true;
    return false;
}

static const struct vet_rule *find(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= NAME_MAX_BYTES || strchr(name, ' '))
        return NULL;
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++)
        if (has_word(GROUPS[i].names, name, n))
            return &GROUPS[i].rule;
    return NULL;
}

static bool cut_end(char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);
    if (n <= k || strcmp(name + n - k, end) != 0)
        return false;
    name[n - k] = 0;
    return true;
}

/* The C library's other spellings: __poll_chk and __open_2 (checked), open64 (large files), __isoc99_scanf,
 * __sigaction. */
const struct vet_rule *vet_import_rule(const char *name)
{
    char plain[NAME_MAX_BYTES];
    const struct vet_rule *rule = find(name);
    if (rule || strlen(name) >= sizeof plain)
        return rule;
    size_t skip = strncmp(name, "__isoc99_", 9) == 0 || strncmp(name, "__isoc23_", 9) == 0 ? 9 : strspn(name, "_");
    snprintf(plain, sizeof plain, "%s", name + skip);
    bool changed = skip > 0;
    if (skip && !cut_end(plain, "_chk"))
        cut_end(plain, "_2");
    changed = cut_end(plain, "64") || changed;
    return changed ? find(plain) : NULL;
}
