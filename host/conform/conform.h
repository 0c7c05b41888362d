/* Conformance of a plugin, found out by running it: the real core under the virtual clock, in child processes over
 * homes of their own, so that what a plugin does wrong is a finding and not the end of the checker. Main thread only.
 */
#ifndef HOST_CONFORM_CONFORM_H
#define HOST_CONFORM_CONFORM_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define CONFORM_MESSAGES 1000
#define CONFORM_MESSAGES_MAX 1000000
#define CONFORM_KILLS 80
#define CONFORM_KILLS_MAX 10000
#define CONFORM_HANG_MS 2000 /* processor time of one turn after which it is said to hang */

struct conform_options {
    const char *file;       /* a library or a manifest */
    const char *manifest;   /* NULL: looked for beside the library */
    const char *previous;   /* an older build of the same plugin; NULL: none */
    const char *state_from; /* a home whose stored state is read; NULL: none */
    const char *runner;     /* binary that runs a plugin in a process of its own; NULL: the one that runs */
    const char *only;       /* the one check to run besides "manifest"; NULL: all */
    uint64_t seed;
    int messages, kills;
    int64_t hang_ms;
    void (*progress)(void *arg, const char *check, int done, int of); /* NULL: nobody looks */
    void *arg;
};

/* Runs the checks. Gives *ret_report:
 *   {"plugin", "version", "file", "manifest", "seed", "messages", "ok": bool,
 *    "checks": [{"check", "result": "ok" | "failed" | "skipped", "text",
 *                "findings": [{"what", "component", "type", "text", "message"}]}]}
 * or CVM_EINVAL, CVM_ENOENT, CVM_EIO with a sentence in `ret_error` where the plugin cannot be loaded at all. */
int conform_run(const struct conform_options *options, json_t **ret_report, char *ret_error, size_t error_size);

/* The names of the checks in order, ends with NULL. */
extern const char *const conform_checks[];

#endif
