/* The plugin "stores": six named stores of keys and values, each a component of its own. What its files share. Loop
 * thread.
 *
 * Each component keeps as state
 *     v/<key>   the value as it was given
 *     m/<key>   {version, at_ms}
 *     floor     the highest version that a removed key had: a key that comes again goes on from there, so that no
 *               version of a key ever stands for two values */
#ifndef STORES_H
#define STORES_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define REGISTRY "support.registry_state"

#define KEY_BYTES_MAX (CVM_STATE_KEY_MAX - 2)
#define LIST_DEFAULT 100

/* store.c */
int store_get(cvm_turn *t, const cvm_msg *m);
int store_get_several(cvm_turn *t, const cvm_msg *m);
int store_put(cvm_turn *t, const cvm_msg *m);
int store_delete(cvm_turn *t, const cvm_msg *m);
int store_list(cvm_turn *t, const cvm_msg *m);
/* Keeps `value` (taken) under `key`; *ret_version. `key` is no longer than KEY_BYTES_MAX. */
CVM_MUST_USE int store_keep(cvm_turn *t, const char *key, json_t *value, int64_t *ret_version);
/* Removes what is there. CVM_ENOENT: nothing. */
CVM_MUST_USE int store_drop(cvm_turn *t, const char *key, int64_t *ret_version);
void store_forget(void); /* what is kept beside the turns: the plugin goes */

/* registry.c: "start" and "host.registry" of support.registry_state; its put and delete */
int registry_fill(cvm_turn *t, const cvm_msg *m);
int registry_refuse(cvm_turn *t, const cvm_msg *m);

#endif
