/* The supervisor: starts the host process, starts it again when it crashes, and holds what must outlive it: the lock,
 * the listening sockets (so that clients wait in the backlog meanwhile) and the page. It replaces the host by another
 * version, and itself after that. Loads no plugin and opens no database. The only thread of its process. */
#ifndef HOST_SERVICES_SUPERVISOR_H
#define HOST_SERVICES_SUPERVISOR_H

#include "core/page.h"
#include "services/program.h"

#define SUPERVISOR_STOP_MS 10000 /* from SIGTERM to SIGKILL */
#define SUPERVISOR_UNSAFE 4      /* exit status: it crashed again in safe mode */

/* -1: none. */
struct host_fds {
    int http;    /* listening TCP socket; -1 in a private host */
    int control; /* listening Unix socket */
    int page;    /* memory of the page */
    int ready;   /* eventfd, written when the host serves, and when a reload has ended */
    int lock;    /* keeps the home taken */
};

/* From the supervisor of before, which this process was until an upgrade. */
struct supervisor_handover {
    pid_t pid; /* the host, which serves; 0: there was none before */
    int64_t stopped_ns, ready_ns;
    char from[32];
};

struct supervisor_options {
    const char *const *argv; /* of the host process, without its descriptors; argv[0] is its name. Borrowed */
    const char *const *self; /* of the supervisor itself, for the next version. Borrowed */
    struct host_fds fds;     /* the host inherits them, under the same numbers */
    struct page *page;       /* shared with the host */
    int restarts_max;        /* so many restarts within window_ms are too many */
    int64_t window_ms;
    int64_t delay_max_ms; /* the longest pause before a restart */
    int64_t ready_ms;     /* the longest that a host may take until it serves */
    const char *version;  /* of this program */
    int64_t database;     /* the format of the store that it writes */
    const char *serving;  /* where, for the service manager; "": nowhere */
    struct supervisor_handover handover;
};

/* Runs until told to stop (SIGTERM, SIGINT) or the host has ended for good; returns the exit status of the process. */
int supervisor_run(const struct supervisor_options *options);

/* What the options' handover and descriptors are in a word of a command line, and back; CVM_EINVAL. */
int supervisor_handover_read(const char *text, struct host_fds *ret_fds, struct supervisor_handover *ret_handover)
    __attribute__((warn_unused_result));

/* How long to wait before restart number `n` (0: the first after a calm time): 0, then 100 ms doubled each time. */
int64_t supervisor_delay_ms(int n, int64_t max_ms);

#endif
