/* The home: the folder that holds one host's configuration, plugins and data, its lock and its two listening sockets.
 * Knows no core and no configuration. Used before the host runs and by commands; any thread. */
#ifndef HOST_SERVICES_HOME_H
#define HOST_SERVICES_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define HOME_PATH_MAX 4096
#define HOME_SOCKET "data/cvmhost.sock"
#define HOME_LOCK "data/lock"
#define HOME_DATABASE "data/cvmhost.db"
#define HOME_LOG "logs/cvmhost.log"
#define HOME_CRASH_LOG "logs/crash.log"

/* The home to use: `option` (--home) if not NULL, else $CVMHOST_HOME, else ".". Borrowed from its source. */
const char *home_find(const char *option);

/* HOME/name into ret_path. CVM_ELIMIT: longer than the buffer. */
int home_path(const char *home, const char *name, char *ret_path, size_t size) __attribute__((warn_unused_result));

/* Checks that the home exists and makes data/, logs/ and output/ in it. CVM_ENOENT, CVM_EIO with a sentence. */
int home_prepare(const char *home, char *ret_error, size_t error_size) __attribute__((warn_unused_result));

/* Takes HOME/data/lock for this process and all that inherit the descriptor; it is free again when the last of them
 * has closed it, however it ended. CVM_EBUSY: another host has it; the sentence names its process and the remedy.
 * Gives the descriptor. */
int home_lock(const char *home, int *ret_fd, char *ret_error, size_t error_size) __attribute__((warn_unused_result));

/* Writes into the lock that its holder ends with the last command that uses it; and whether that stands there. */
int home_mark_private(int lock_fd) __attribute__((warn_unused_result));
bool home_is_private(const char *home);

/* The process id written in the lock of a running host; 0: the home is free (or cannot be read). */
long home_owner(const char *home);

/* Where the control socket of a home is, for bind and connect. CVM_ELIMIT: the path does not fit into a socket address;
 * the sentence says what to do. */
int home_socket(const char *home, struct sockaddr_un *ret_address, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));

/* Opens the control socket, mode 0600, in place of one that an earlier host left. The lock must be held. Gives a
 * listening descriptor, non-blocking and close-on-exec. */
int home_listen_control(const char *home, int *ret_fd, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));

/* Whether home_listen_http() would take this address; opens nothing. Same errors. */
int home_check_http(const char *host, int is_public, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));

/* Opens the TCP listener. An address that is not loopback is refused (CVM_EACCES) unless `is_public`; port 0 takes a
 * free one. CVM_EBUSY: the port is in use. Gives a listening descriptor as above and the port. */
int home_listen_http(const char *host, int port, int is_public, int *ret_fd, int *ret_port, char *ret_error,
                     size_t error_size) __attribute__((warn_unused_result));

/* "http://127.0.0.1:8000" of a listening TCP socket; "" where it is none. */
void home_url(int fd, char *ret_text, size_t size);

#endif
