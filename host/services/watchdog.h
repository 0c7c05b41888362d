/* Ends a host whose handler does not return, and says where. A thread of its own looks at the page while the loop is at
 * work and sleeps while the loop sleeps. Knows the page and the loop, not the core.
 *
 * A turn is ended when it is past its hard limit by the wall clock and either has used that much processor time too (an
 * endless loop), or was found asleep at every look for 100 ms past the limit (a wait that a handler must not make). A
 * turn that merely was not scheduled is neither, and lives. */
#ifndef HOST_SERVICES_WATCHDOG_H
#define HOST_SERVICES_WATCHDOG_H

#include "core/page.h"
#include <uv.h>

#define WATCHDOG_LOOK_MS 20
#define WATCHDOG_CALM_MS 100 /* without a turn for so long, the thread goes to sleep */

#define WATCHDOG_EXIT_HARD_LIMIT 1 /* page.exit_reason */

struct watchdog;

/* Installs the handlers that print component, message and a backtrace to stderr and `crash_log` when the process dies
 * of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT), then let it die. The calling thread is taken as the loop's.
 * Nothing is installed in a build with sanitizers, which have their own. `page` is borrowed for ever. */
int watchdog_catch_faults(struct page *page, const char *crash_log) __attribute__((warn_unused_result));

/* Starts the thread that watches the calling thread's loop. The page is borrowed until watchdog_stop. */
int watchdog_start(uv_loop_t *loop, struct page *page, struct watchdog **ret_watchdog)
    __attribute__((warn_unused_result));

/* Ends the thread and closes the handle on the loop; `closed` is called when the loop holds nothing of it any more and
 * the memory is freed. Loop thread. */
void watchdog_stop(struct watchdog *watchdog, void (*closed)(void *), void *arg);

#endif
