/* The host process itself: everything it is made of, started in order, run by one loop, closed in the opposite order.
 */
#ifndef HOST_CLI_HOST_H
#define HOST_CLI_HOST_H

#include "core/log.h"
#include "core/page.h"
#include "services/supervisor.h"

struct host_options {
    const char *home;
    const char *config_file; /* NULL: the home's own */
    struct page *page;
    struct host_fds fds; /* only `control` is taken by host_run */
    enum log_level level;
    bool is_private; /* ends when the last control connection has closed */
    bool supervised;
    bool trust_all; /* whatever plugins.inline says */
};

/* Runs until SIGTERM or SIGINT; gives the exit status: 0, 1 failed, 3 configuration, plugin or damaged database. */
int host_run(struct host_options *options);

#endif
