/* The hunt for bugs: seeds are run one after another, each a life of the real core with real plugins under the virtual
 * clock, among crashes, a failing disk, an outside that answers late, twice or never, and changes of plugins; after
 * each the invariants are checked. What a seed does depends on its number alone. */
#ifndef HOST_SIM_SIM_H
#define HOST_SIM_SIM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SEEDS 200
#define SIM_SEEDS_MAX 100000000
#define SIM_JOBS_MAX 64

struct sim_options {
    uint64_t first;
    int64_t seeds;
    int jobs;
    bool keep_going;     /* after a seed that failed */
    bool trace;          /* every step of every seed to standard error */
    const char *plugins; /* a folder of plugins, or a home; NULL: those that come with the simulation */
    /* NULL: nobody looks. A seed's line as in the report; NULL while one runs. Borrowed. */
    void (*progress)(void *arg, int64_t done, int64_t of, const json_t *seed);
    void *arg;
};

/* Gives *ret_report:
 *   {"ok": bool, "first", "seeds", "failed", "seconds", "turns", "crashes", "changes", "plugins": folder,
 *    "failures": [{"seed", "invariant": number, "name", "what", "at_ms", "trace": [text], "digest", "repeat":
 * command}]} or CVM_EINVAL, CVM_ENOENT, CVM_EIO with a sentence. */
int sim_run(const struct sim_options *options, json_t **ret_report, char *ret_error, size_t error_size);

/* Names of the invariants by number, from 1; 0 is "host". */
extern const char *const sim_invariants[];

#endif
