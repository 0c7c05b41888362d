/* Watches folders for files that change, and tells once a burst of changes is over. Loop thread. */
#ifndef HOST_CLI_WATCH_H
#define HOST_CLI_WATCH_H

#include <stdbool.h>
#include <uv.h>

struct watch;

/* `path`: what changed, within a folder given. Called for each change, before any is told to be over. */
typedef void (*watch_changed)(void *arg, const char *path);
/* The burst is over: nothing has changed for WATCH_QUIET_MS. */
typedef void (*watch_over)(void *arg);

#define WATCH_QUIET_MS 100

int watch_new(uv_loop_t *loop, watch_changed changed, watch_over over, void *arg, struct watch **ret_watch);

/* Watches a folder and all folders in it, also those that come later; not those whose name begins with "." and not
 * "build". Or one file, by its folder: editors put another file in its place. Returns 0, CVM_ENOENT: there is none,
 * CVM_ELIMIT: too many folders, CVM_EIO. */
int watch_add(struct watch *watch, const char *path);

void watch_close(struct watch *watch); /* its memory goes with the last callback of the loop; accepts NULL */

#endif
