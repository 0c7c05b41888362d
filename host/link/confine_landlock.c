/* Landlock: which files a confined process may read. By system call, because the kernel knows more than the headers of
 * the machine that builds. See confine.h. */
#include "link/confine_private.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, as of version 6 of its interface. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_ALL_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,     /* version 2 */
    FS_TRUNCATE = 1 << 14,  /* version 3 */
    FS_IOCTL_DEV = 1 << 15, /* version 5 */
    NET_ALL = 3,            /* version 4: bind and connect of TCP */
    SCOPE_ALL = 3,          /* version 6: abstract sockets, signals */
    RULE_PATH_BENEATH = 1,
    CREATE_RULESET_VERSION = 1
};

struct ruleset {
    uint64_t fs, net, scope;
};

struct __attribute__((packed)) path_beneath {
    uint64_t allowed;
    int32_t parent_fd;
};

/* What the loader and libc look into. Not /etc as a whole: it holds what runs on the machine. */
static const char *const library_places[] = {
    "/lib",           "/lib64",    "/usr/lib",     "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/etc/localtime", "/dev/null", "/dev/urandom", NULL};
static const char *const program_places[] = {"/usr", NULL};

static int version(void)
{
    long n = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    return n > 0 ? (int)n : 0;
}

uint32_t confine__landlock_layers(void)
{
    int v = version();
    return (v >= 1 ? CONFINE_FILES : 0) | (v >= 4 ? CONFINE_NETWORK : 0) | (v >= 6 ? CONFINE_SCOPE : 0);
}

static int make_ruleset(uint32_t layers, char *ret_error, size_t error_size)
{
    int v = version();
    struct ruleset all = {0};
    if (layers & CONFINE_FILES)
        all.fs = FS_ALL_1 | (v >= 2 ? FS_REFER : 0) | (v >= 3 ? FS_TRUNCATE : 0) | (v >= 5 ? FS_IOCTL_DEV : 0);
    if (layers & CONFINE_NETWORK)
        all.net = NET_ALL;
    if (layers & CONFINE_SCOPE)
        all.scope = SCOPE_ALL;
    /* An older kernel wants the structure as short as it was then. */
    size_t size = v >= 6 ? sizeof all : v >= 4 ? offsetof(struct ruleset, scope) : offsetof(struct ruleset, net);
    long fd = syscall(SYS_landlock_create_ruleset, &all, size, 0);
    if (fd < 0)
        return confine__failed(CVM_EIO, ret_error, error_size, "Landlock: %s", strerror(errno));
    return (int)fd;
}

/* `path` and all below it may be used as `allowed` says; what makes no sense for a file is left out for one. */
static int add_path(int ruleset, const char *path, uint64_t allowed, char *ret_error, size_t error_size)
{
    struct stat st;
    int error = CVM_OK, fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return confine__failed(errno == ENOENT || errno == ENOTDIR ? CVM_ENOENT : CVM_EIO, ret_error, error_size,
                               "%s: %s", path, strerror(errno));
    struct path_beneath rule = {.allowed = allowed, .parent_fd = fd};
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed &= FS_EXECUTE | FS_READ_FILE;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
        error = confine__failed(CVM_EIO, ret_error, error_size, "Landlock: %s: %s", path, strerror(errno));
    close(fd);
    return error;
}

/* Places of the system, of which a machine has some. */
static int add_places(int ruleset, const char *const *places, char *ret_error, size_t error_size)
{
    for (; *places; places++) {
        int error = add_path(ruleset, *places, FS_READ_FILE | FS_READ_DIR, ret_error, error_size);
        if (error && error != CVM_ENOENT)
            return error;
    }
    return CVM_OK;
}

static int add_program(int ruleset, const char *program, char *ret_error, size_t error_size)
{
    char paths[CONFINE_RUN_FILES_MAX][CONFINE_PATH_MAX];
    size_t n = 0;
    int error = confine__run_files(program, paths, &n, ret_error, error_size);
    for (size_t i = 0; i < n && !error; i++)
        error = add_path(ruleset, paths[i], FS_EXECUTE | FS_READ_FILE, ret_error, error_size);
    return error ? error : add_places(ruleset, program_places, ret_error, error_size);
}

/* Mapping a library as code needs no FS_EXECUTE: that right is for execve alone, and only `program` has it. */
static int add_files(int ruleset, const struct confine *c, char *ret_error, size_t error_size)
{
    int error = add_places(ruleset, library_places, ret_error, error_size);
    if (!error && c->library)
        error = add_path(ruleset, c->library, FS_READ_FILE, ret_error, error_size);
    if (!error && c->reads)
        error = add_places(ruleset, c->reads, ret_error, error_size);
    if (!error && c->program)
        error = add_program(ruleset, c->program, ret_error, error_size);
    return error;
}

int confine__landlock(const struct confine *c, uint32_t *ret_layers, char *ret_error, size_t error_size)
{
    uint32_t layers = confine__landlock_layers() & ~c->without;
    int error = CVM_OK, ruleset = make_ruleset(layers, ret_error, error_size);
    if (ruleset < 0)
        return ruleset;
    if (layers & CONFINE_FILES)
        error = add_files(ruleset, c, ret_error, error_size);
    if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        error = confine__failed(CVM_EIO, ret_error, error_size, "Landlock: %s", strerror(errno));
    close(ruleset);
    if (!error)
        *ret_layers |= layers;
    return error;
}
