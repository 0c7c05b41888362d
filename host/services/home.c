/* Owns the layout of a home on disk. The lock is an open-file-description lock: it goes with the descriptor, so the
 * supervised process that inherits it keeps the home taken even while its supervisor dies; and it can be asked about
 * without being taken, which flock() cannot. */
#include "services/home.h"

#include <arpa/inet.h>
#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE "private" /* in the lock, behind the process */

const char *home_find(const char *option)
{
    if (option)
        return option;
    const char *variable = getenv("CVMHOST_HOME");
    return variable && *variable ? variable : ".";
}

int home_path(const char *home, const char *name, char *ret_path, size_t size)
{
    char path[HOME_PATH_MAX];
    int n = strcmp(home, ".") == 0 ? snprintf(path, sizeof path, "%s", name)
                                   : snprintf(path, sizeof path, "%s/%s", home, name);
    if (n < 0 || (size_t)n >= sizeof path || (size_t)n >= size)
        return CVM_ELIMIT;
    memcpy(ret_path, path, (size_t)n + 1);
    return CVM_OK;
}

static int make_folder(const char *home, const char *name, mode_t mode, char *ret_error, size_t error_size)
{
    char path[HOME_PATH_MAX];
    struct stat st;
    if (home_path(home, name, path, sizeof path) < 0) {
        snprintf(ret_error, error_size, "the home's path is longer than %d bytes", HOME_PATH_MAX);
        return CVM_ELIMIT;
    }
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        snprintf(ret_error, error_size, "%s cannot be made: %s; the home must be writable for this user", path,
                 strerror(errno));
        return CVM_EIO;
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || access(path, W_OK | X_OK) < 0) {
        snprintf(ret_error, error_size, "%s is not a folder this user can write to", path);
        return CVM_EIO;
    }
    return CVM_OK;
}

int home_prepare(const char *home, char *ret_error, size_t error_size)
{
    struct stat st;
    if (stat(home, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(ret_error, error_size, "there is no home at %s: make the folder, or name another one with --home",
                 home);
        return CVM_ENOENT;
    }
    int e = make_folder(home, "data", 0750, ret_error, error_size);
    if (e == CVM_OK)
        e = make_folder(home, "logs", 0750, ret_error, error_size);
    return e < 0 ? e : make_folder(home, "output", 0750, ret_error, error_size);
}

static long read_pid(int fd)
{
    char text[24] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int write_pid(int fd, const char *remark)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%ld%s\n", (long)getpid(), remark);
    return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n ? CVM_EIO : CVM_OK;
}

int home_lock(const char *home, int *ret_fd, char *ret_error, size_t error_size)
{
    char path[HOME_PATH_MAX];
    int e = home_path(home, HOME_LOCK, path, sizeof path);
    int fd = e < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        snprintf(ret_error, error_size, "%s cannot be opened: %s", path, strerror(errno));
        return CVM_EIO;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES) {
            long pid = read_pid(fd);
            snprintf(ret_error, error_size,
                     "another host (process %ld) runs in the home %s: stop it with \"kill %ld\", or give this one a "
                     "home of its own with --home",
                     pid, home, pid);
            e = CVM_EBUSY;
        } else {
            snprintf(ret_error, error_size, "%s cannot be locked: %s", path, strerror(errno));
            e = CVM_EIO;
        }
    } else if ((e = write_pid(fd, "")) < 0) {
        snprintf(ret_error, error_size, "%s cannot be written: %s", path, strerror(errno));
    }
    if (e < 0)
        close(fd);
    else
        *ret_fd = fd;
    return e;
}

int home_mark_private(int lock_fd)
{
    return write_pid(lock_fd, " " PRIVATE);
}

bool home_is_private(const char *home)
{
    char path[HOME_PATH_MAX], text[48] = "";
    int fd = home_path(home, HOME_LOCK, path, sizeof path) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    bool is_private = fd >= 0 && pread(fd, text, sizeof text - 1, 0) > 0 && strstr(text, PRIVATE);
    if (fd >= 0)
        close(fd);
    return is_private;
}

long home_owner(const char *home)
{
    char path[HOME_PATH_MAX];
    if (home_path(home, HOME_LOCK, path, sizeof path) < 0)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    long pid = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? read_pid(fd) : 0;
    close(fd);
    return pid;
}

int home_socket(const char *home, struct sockaddr_un *ret_address, char *ret_error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (home_path(home, HOME_SOCKET, address.sun_path, sizeof address.sun_path) < 0) {
        snprintf(ret_error, error_size,
                 "the path %s/" HOME_SOCKET " is longer than a socket's may be (%zu bytes): use a shorter home or a "
                 "symbolic link to it, or work inside it (cd to it and leave --home away)",
                 home, sizeof address.sun_path - 1);
        return CVM_ELIMIT;
    }
    *ret_address = address;
    return CVM_OK;
}

int home_listen_control(const char *home, int *ret_fd, char *ret_error, size_t error_size)
{
    struct sockaddr_un address;
    int e = home_socket(home, &address, ret_error, error_size);
    if (e < 0)
        return e;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (unlink(address.sun_path) == 0 || errno == ENOENT)) {
        /* The mode must be right from the first moment, hence umask and not chmod. */
        mode_t before = umask(0177);
        int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
        umask(before);
        if (bound == 0 && listen(fd, SOMAXCONN) == 0) {
            *ret_fd = fd;
            return CVM_OK;
        }
    }
    snprintf(ret_error, error_size, "the control socket %s cannot be opened: %s", address.sun_path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return CVM_EIO;
}

static int is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

/* Gives the address to listen on, for freeaddrinfo(). */
static int find_address(const char *host, const char *service, int is_public, struct addrinfo **ret_found,
                        char *ret_error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed || !found) {
        snprintf(ret_error, error_size, "http.host \"%s\" is no address of this machine: %s", host,
                 gai_strerror(failed));
        return CVM_EINVAL;
    }
    if (!is_public && !is_loopback(found->ai_addr)) {
        snprintf(ret_error, error_size,
                 "http.host \"%s\" can be reached from other machines: set http.public to true if that is meant (with "
                 "a proxy for TLS before it), or use 127.0.0.1",
                 host);
        freeaddrinfo(found);
        return CVM_EACCES;
    }
    *ret_found = found;
    return CVM_OK;
}

int home_check_http(const char *host, int is_public, char *ret_error, size_t error_size)
{
    struct addrinfo *found = NULL;
    int e = find_address(host, "0", is_public, &found, ret_error, error_size);
    if (found)
        freeaddrinfo(found);
    return e;
}

int home_listen_http(const char *host, int port, int is_public, int *ret_fd, int *ret_port, char *ret_error,
                     size_t error_size)
{
    char service[16];
    struct addrinfo *found = NULL;
    int fd = -1, one = 1;
    snprintf(service, sizeof service, "%d", port);
    int e = find_address(host, service, is_public, &found, ret_error, error_size);
    if (e < 0)
        return e;
    e = CVM_EIO;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        if (errno == EADDRINUSE) {
            snprintf(ret_error, error_size,
                     "port %d on %s is in use: stop the program that has it, or choose another with --port or "
                     "http.port in config/cvmhost.json",
                     port, host);
            e = CVM_EBUSY;
        } else {
            snprintf(ret_error, error_size, "port %d on %s cannot be opened: %s", port, host, strerror(errno));
        }
        goto out;
    }
    *ret_fd = fd;
    *ret_port = bound_port(fd);
    fd = -1;
    e = CVM_OK;
out:
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return e;
}

void home_url(int fd, char *ret_text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    *ret_text = 0;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return;
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(ret_text, size, "http://[%s]:%d", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(ret_text, size, "http://%s:%d", host, ntohs(four->sin_port));
    }
}
