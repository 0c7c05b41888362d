/* stub */
#include "core/internal.h"
bool replay_met(const struct core *core, const char *what, const char *name){(void)core,(void)what,(void)name;return false;}
bool replay_met_id(const struct core *core, const char *what, cvm_id id){(void)core,(void)what,(void)id;return false;}
struct request *replay_request(struct core *core, cvm_id id){(void)core,(void)id;return NULL;}
struct timer *replay_timer(struct turn *t, cvm_id id){(void)t,(void)id;return NULL;}
int replay_state(struct core *core, struct state_entry *entry){(void)core,(void)entry;return 0;}
int replay_scan(struct core *core, struct component *c, const char *prefix, const char *after, size_t limit,
                json_t **ret_entries){(void)core,(void)c,(void)prefix,(void)after,(void)limit,(void)ret_entries;return 0;}
void replay_short_id(struct core *core, const json_t *ids, char *ret_id, size_t size){(void)core,(void)ids,(void)ret_id,(void)size;}
void replay_secret(struct core *core, const char *name){(void)core,(void)name;}
void replay_record(struct core *core, struct record *record){(void)core,(void)record;}
