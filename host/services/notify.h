/* The service manager that started us, if there is one: what it is told (sd_notify(3), a datagram to $NOTIFY_SOCKET),
 * how often it wants to hear that we live, and the sockets it opened for us (sd_listen_fds(3)). Only the supervisor, or
 * a host without one. */
#ifndef HOST_SERVICES_NOTIFY_H
#define HOST_SERVICES_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/* Sends one datagram: "READY=1\nSTATUS=..". Without a manager nothing is done. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Tells of a reload that begins, with the time that the manager compares with its own. */
void notify_reloading(const char *status);

/* $WATCHDOG_USEC in milliseconds, where it is meant for this process; 0: it is not watched. */
int64_t notify_watchdog_ms(void);

/* Takes the sockets of $LISTEN_FDS: the first listening TCP socket and the first listening Unix socket; others are
 * closed, and counted in the result. Both outputs are untouched where there is none. Unsets the variables. */
int notify_take_sockets(int *ret_http, int *ret_control);

#endif
