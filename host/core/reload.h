/* Plugins changed while messages flow: a generation is staged, vetted, loaded and switched to between two turns; the
 * one before stays until probation is over. Changes run one after another; equal ones that wait are answered together.
 * Loop thread. */
#ifndef HOST_CORE_RELOAD_H
#define HOST_CORE_RELOAD_H

#include <jansson.h>
#include <stdbool.h>

struct core;

enum core_change {
    CHANGE_RELOAD,       /* the build that stands in the folders now; without a name: all that differ, all or none */
    CHANGE_ROLLBACK,     /* the generation before */
    CHANGE_ENABLE,       /* takes back a disable */
    CHANGE_DISABLE,      /* out of service, its files stay; survives restarts */
    CHANGE_REMOVE,       /* out of service, its files leave the home */
    CHANGE_MOVE_INLINE,  /* the same build, inside the host */
    CHANGE_MOVE_PROCESS, /* the same build, in a process of its own */
    CHANGE_QUARANTINE    /* the same, but not as the operator's word: it faulted too often inside the host */
};

/* Called exactly once, from the loop, never from inside core_change. Gives `report`:
 *   {"result": "switched" | "unchanged" | "refused" | "removing" | "removed",
 *    "plugins": [{"plugin", "action": "replaced" | "added" | "removed" | "rolled_back" | "disabled" | "enabled" |
 * "moved" | "settings" | "unchanged", "from": {"version", "build", "placement"} | null, "to": .. | null, "us":
 * {"stage", "vet", "load", "switch"}, "held", "no_way_back": bool, "warnings": [text], "probation": {"turns",
 * "seconds"} | null, "delivered", "settled", "queued", "lent", "dead"}], "error": null | {"code", "step": "stage" |
 * "vet" | "load" | "start" | "switch", "plugin", "text"}} `error` is 0, or CVM_EINVAL where the change was refused
 * (nothing was changed), CVM_ENOENT for an unknown name. */
typedef void (*core_change_done)(void *arg, int error, json_t *report);

/* The next reload of this plugin gives the new build only so many of a hundred conversations (1 to 99) while it is on
 * probation; where that cannot be done, it is refused. 0: takes that back, of all where `plugin` is NULL. CVM_ENOENT:
 * there is no such plugin. */
int core_canary(struct core *core, const char *plugin, int percent);

/* `now`: of a removal or a disable, do not wait for open conversations: what waits is parked. */
void core_change(struct core *core, enum core_change what, const char *plugin, bool now, core_change_done done,
                 void *arg);

#endif
