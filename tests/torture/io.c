/* Files that fail: each call to the system of the core and of SQLite that touches a file of the home fails once, in
 * each way it can. These stand in the place of the C library's, for the program and for the libraries it is linked
 * with. (What stdio and the loader do by themselves is not among them.) */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum how { BROKEN, FULL, INTERRUPTED, SHORT, HOWS }; /* EIO, ENOSPC, EINTR, less was written */

/* What can fail so. */
enum { CAN_BREAK = 1 << BROKEN, CAN_FILL = 1 << FULL, CAN_WAIT = 1 << INTERRUPTED, CAN_SHORTEN = 1 << SHORT };

static struct torture_seen *watched; /* NULL: nothing fails */
static int64_t fail_at, fail_count;
static enum how fail_how;

static bool is_file(int fd)
{
    struct stat st;
    return fd > STDERR_FILENO && syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The call's turn has come; errno is set. A short one does the call by itself. */
static bool fails(int can)
{
    static const int errors[] = {EIO, ENOSPC, EINTR, 0};
    if (!watched || !(can & 1 << fail_how))
        return false;
    int64_t n = ++watched->calls;
    if (!fail_at || n < fail_at || n >= fail_at + fail_count)
        return false;
    watched->failed = true;
    errno = errors[fail_how];
    return true;
}

static bool fd_fails(int fd, int can)
{
    int kept = errno;
    if (!watched || !is_file(fd)) {
        errno = kept;
        return false;
    }
    errno = kept;
    return fails(can);
}

static bool is_ours(const char *path)
{
    return watched && path && __builtin_strstr(path, "/torture_");
}

static int open_it(int folder, const char *path, int flags, mode_t mode)
{
    int can = CAN_BREAK | CAN_WAIT | (flags & O_CREAT ? CAN_FILL : 0);
    if (is_ours(path) && fails(can))
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_it(AT_FDCWD, path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    return fd_fails(fd, CAN_BREAK | CAN_WAIT) ? -1 : syscall(SYS_read, fd, bytes, n);
}

ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
    return fd_fails(fd, CAN_BREAK | CAN_WAIT) ? -1 : syscall(SYS_pread64, fd, bytes, n, at);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (fd_fails(fd, CAN_BREAK | CAN_FILL | CAN_WAIT | (n > 1 ? CAN_SHORTEN : 0))) {
        if (fail_how != SHORT)
            return -1;
        n /= 2;
    }
    return syscall(SYS_write, fd, bytes, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    if (fd_fails(fd, CAN_BREAK | CAN_FILL | CAN_WAIT | (n > 1 ? CAN_SHORTEN : 0))) {
        if (fail_how != SHORT)
            return -1;
        n /= 2;
    }
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t n)
{
    if (fd_fails(out, CAN_BREAK | CAN_FILL | CAN_WAIT | (n > 1 ? CAN_SHORTEN : 0))) {
        if (fail_how != SHORT)
            return -1;
        n /= 2;
    }
    return syscall(SYS_sendfile, out, in, at, n);
}

int fsync(int fd)
{
    return fd_fails(fd, CAN_BREAK | CAN_FILL | CAN_WAIT) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fd_fails(fd, CAN_BREAK | CAN_FILL | CAN_WAIT) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t size)
{
    return fd_fails(fd, CAN_BREAK | CAN_FILL | CAN_WAIT) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int rename(const char *from, const char *to)
{
    return is_ours(to) && fails(CAN_BREAK | CAN_FILL) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
    return is_ours(path) && fails(CAN_BREAK) ? -1 : (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
    return is_ours(path) && fails(CAN_BREAK | CAN_FILL) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

void *mmap64(void *wish, size_t size, int protection, int flags, int fd, off64_t at)
{
    if (fd >= 0 && fd_fails(fd, CAN_BREAK)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    long got = syscall(SYS_mmap, wish, size, protection, flags, fd, at);
    return got == -1 ? MAP_FAILED : (void *)got; /* NOLINT */
}

/* Without large files they have other names, and do the same here. */
int plain_open(const char *path, int flags, ...) __asm__("open");
ssize_t plain_pread(int fd, void *bytes, size_t n, off64_t at) __asm__("pread");
ssize_t plain_pwrite(int fd, const void *bytes, size_t n, off64_t at) __asm__("pwrite");
ssize_t plain_sendfile(int out, int in, off64_t *at, size_t n) __asm__("sendfile");
int plain_ftruncate(int fd, off64_t size) __asm__("ftruncate");
void *plain_mmap(void *wish, size_t size, int protection, int flags, int fd, off64_t at) __asm__("mmap");

int plain_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_it(AT_FDCWD, path, flags, mode);
}

ssize_t plain_pread(int fd, void *bytes, size_t n, off64_t at)
{
    return pread64(fd, bytes, n, at);
}

ssize_t plain_pwrite(int fd, const void *bytes, size_t n, off64_t at)
{
    return pwrite64(fd, bytes, n, at);
}

ssize_t plain_sendfile(int out, int in, off64_t *at, size_t n)
{
    return sendfile64(out, in, at, n);
}

int plain_ftruncate(int fd, off64_t size)
{
    return ftruncate64(fd, size);
}

void *plain_mmap(void *wish, size_t size, int protection, int flags, int fd, off64_t at)
{
    return mmap64(wish, size, protection, flags, fd, at);
}

static void arm(int64_t at, int64_t count, int how, struct torture_seen *seen)
{
    watched = seen;
    fail_at = at;
    fail_count = count;
    fail_how = (enum how)how;
}

static void disarm(void)
{
    watched = NULL;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"EIO in call", "ENOSPC in call", "EINTR in call", "a short write in call"};
    static const struct torture io = {"files", arm, disarm, HOWS, names};
    return torture_main(&io, argc, argv);
}
