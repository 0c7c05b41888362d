/* The supervisor: starts the host process, starts it again when it crashes, and holds what must outlive it: the lock,
 * the listening sockets (so that clients wait in the backlog meanwhile) and the page. Loads no plugin and opens no
 * database. The only thread of its process. */
#ifndef HOST_SERVICES_SUPERVISOR_H
#define HOST_SERVICES_SUPERVISOR_H

#include "core/page.h"

#define SUPERVISOR_STOP_MS 10000 /* from SIGTERM to SIGKILL */

struct supervisor_options {
    char *const *argv; /* of the host process; argv[0] is the program's name. Borrowed */
    const int *fds;    /* descriptors the host inherits, under the same numbers */
    int n_fds;
    int ready_fd;      /* eventfd among them: the host writes to it when it serves */
    struct page *page; /* shared with the host */
    int restarts_max;  /* so many restarts within window_ms are too many */
    int64_t window_ms;
    int64_t delay_max_ms; /* the longest pause before a restart */
};

/* Runs until told to stop (SIGTERM, SIGINT) or the host has ended for good; returns the exit status of the process. */
int supervisor_run(const struct supervisor_options *options);

/* Tells the service manager that started us ($NOTIFY_SOCKET), if there is one: "READY=1", "STOPPING=1". */
void supervisor_notify(const char *state);

/* A page in memory of its own that a child can inherit. Gives the descriptor and the mapping. */
int supervisor_page_new(int *ret_fd, struct page **ret_page) __attribute__((warn_unused_result));

/* What died while what ran: counts the message among the suspects, clears the marks of the dead process and writes one
 * sentence into `ret_text` ("" where no handler was running). Any thread; for supervisor_run and tests. */
void supervisor_examine(struct page *page, int wait_status, char *ret_text, size_t size);

/* How long to wait before restart number `n` (0: the first after a calm time): 0, then 100 ms doubled each time. */
int64_t supervisor_delay_ms(int n, int64_t max_ms);

#endif
