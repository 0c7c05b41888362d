/* Confinement of a process that runs a plugin: after it, the process reaches the host over one descriptor and little
 * else. Layers are independent of each other, so that one that the kernel lacks leaves the others standing. Called in
 * the child itself, while it has one thread and before any code of the plugin runs (constructors of its library
 * included). Knows nothing of the link's frames. docs/explanation/confinement.md says what is left open. */
#ifndef HOST_LINK_CONFINE_H
#define HOST_LINK_CONFINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFINE_FILES_DEFAULT 64                   /* open descriptors */
#define CONFINE_STACK_MAX_BYTES (8u * 1024 * 1024) /* of a thread */
#define CONFINE_OOM_SCORE 500                      /* the machine out of memory: the host goes last */
#define CONFINE_LAYERS_TEXT_BYTES 256

/* What holds. X(name, text) */
#define CONFINE_LAYERS(X)                                                                                              \
    X(PRIVILEGES, "no new privileges") /* no_new_privs, no capability, not even as root */                             \
    X(PARENT, "ends with the host")    /* SIGKILL when the thread that started it ends */                              \
    X(HIDDEN, "memory hidden")         /* not dumpable, no core file; of a program only the latter */                  \
    X(CLEAN, "nothing inherited")      /* environment, descriptors, folder */                                          \
    X(LIMITS, "resource limits")       /* descriptors, file size, stack, locked memory, CPU time where asked for */    \
    X(MEMORY, "memory limit")          /* not under a sanitizer, which reserves terabytes */                           \
    X(FILES, "files")                  /* Landlock: reads what is named below and nothing else, writes nothing */      \
    X(NETWORK, "network")              /* Landlock, Linux 6.7: no TCP bind or connect */                               \
    X(SCOPE, "signals and sockets")    /* Landlock, Linux 6.12: none to the outside */                                 \
    X(CALLS, "system calls")           /* seccomp */

enum {
#define CONFINE_X(name, text) CONFINE_BIT_##name,
    CONFINE_LAYERS(CONFINE_X)
#undef CONFINE_X
};

enum confine_layer {
#define CONFINE_X(name, text) CONFINE_##name = 1 << CONFINE_BIT_##name,
    CONFINE_LAYERS(CONFINE_X)
#undef CONFINE_X
};

struct confine {
    const char *library;      /* absolute; the one library that it will load with dlopen. NULL: none */
    const char *program;      /* absolute; the executable that it will become with execve. NULL: none, execve fails */
    const char *const *reads; /* absolute; further files and folders that it may read, ends with NULL. NULL: none */
    int link_fd;              /* stays open beside 0, 1 and 2; the only socket that it may use */
    pid_t host;               /* its parent; the call fails if that has ended already. 0: not checked */
    uint64_t memory_bytes;    /* that it may take beyond what it has now (of a program: in all). 0: no limit */
    uint32_t files;           /* open descriptors. 0: CONFINE_FILES_DEFAULT */
    uint32_t cpu_s;           /* CPU time of its whole life; SIGKILL beyond. 0: no limit */
    int nice;                 /* added to its niceness, 0 to 19 */
    uint32_t without;         /* layers to leave out: tests look at each alone */
};

/* Confines the calling process for good. Closes all descriptors but 0, 1, 2 and link_fd (so call it before anything
 * opens one), empties the environment, sets the signal SIGXFSZ to be ignored. What the child needs of /proc, the
 * environment or the time zone it reads before. Gives *ret_layers, a set of enum confine_layer: what holds; a layer
 * that this kernel lacks is no error. CVM_EINVAL: a path is not absolute, link_fd is not open, or there is a second
 * thread. CVM_ENOENT: no such library or program. CVM_ESTATE: the host has ended. CVM_EIO: a layer that the kernel has
 * was refused; the process is then half confined and must end. On error `ret_error` has a sentence. */
int confine_self(const struct confine *c, uint32_t *ret_layers, char *ret_error, size_t error_size);

/* After the library is loaded: no file can be opened from now on, no memory become executable, no thread start
 * (threads that run already are sealed too). Libraries that load others late must have done it before: call
 * backtrace() once, make a JSON object once. Not for programs. CVM_EIO as above; CVM_OK without effect where seccomp
 * does not exist. */
int confine_seal(char *ret_error, size_t error_size);

/* The layers that confine_self() would reach in this process on this kernel. Changes nothing; any thread. */
uint32_t confine_available(void);

/* The names of the layers, "a, b, c", for people; "none" for 0. Cut off at `size`. */
void confine_layers_text(uint32_t layers, char *ret_text, size_t size);

#endif
