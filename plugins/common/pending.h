/* What waits for the answer of another component, under the id of the request it is for. Owns the state keys
 * ask/<request> of the component that uses it. Built into each plugin that does. Loop thread. */
#ifndef SERVICE_COMMON_PENDING_H
#define SERVICE_COMMON_PENDING_H

#include <cvm/cvm.h>
#include <cvm/json.h>

CVM_MUST_USE int pending_put(cvm_turn *t, cvm_id request, json_t *what); /* takes */
/* Gives it and forgets it. CVM_ENOENT: nothing waits. */
CVM_MUST_USE int pending_take(cvm_turn *t, cvm_id request, json_t **ret_what);
/* Goes on with what waits for the answer `m`; an answer nothing waits for is dropped. */
CVM_MUST_USE int pending_resume(cvm_turn *t, const cvm_msg *m,
                                int (*resume)(cvm_turn *t, const cvm_msg *m, const json_t *what));

#endif
