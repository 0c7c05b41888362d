/* See counted.h. The writer is no thread: what the other gives up, and how it ends, is not the writer's. */
#include "counted.h"

#ifdef COUNTED
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
#define WRITING_S 60

void __gcov_dump(void);
int __gcov_execv(const char *path, char *const *argv);

/* The compiler's own would write before it, fail, and take what was counted for written. */
int __gcov_execv(const char *path, char *const *argv)
{
    return (int)syscall(SYS_execve, path, argv, environ);
}

/* It shares its thread's memory, too, so it does nothing that sets errno while the other lives. */
static int write_at_end(void *arg)
{
    struct pollfd end = {.fd = *(int *)arg, .events = POLLIN};
    close_range(0, (unsigned)end.fd - 1, 0);
    close_range((unsigned)end.fd + 1, ~0u, 0); /* who waits for the other's end waits for its descriptors */
    setsid();
    poll(&end, 1, -1);
    alarm(WRITING_S);
    __gcov_dump();
    _exit(0);
}

void counted_start(void)
{
    static int self;
    sigset_t all, before;
    self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (self < 0 || stack == MAP_FAILED)
        abort();
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    sigprocmask(SIG_SETMASK, &all, &before);
    if (clone(write_at_end, stack + STACK_BYTES, CLONE_VM, &self) < 0)
        abort();
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(self);
}
#else
void counted_start(void)
{
}
#endif
