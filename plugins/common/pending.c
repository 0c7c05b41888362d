/* See pending.h. Loop thread. */
#include "pending.h"

#include <inttypes.h>

static void ask_key(cvm_id request, char key[64])
{
    snprintf(key, 64, "ask/%016" PRIx64 "%016" PRIx64, request.hi, request.lo);
}

int pending_put(cvm_turn *t, cvm_id request, json_t *what)
{
    char key[64];
    if (!what)
        return CVM_ENOMEM;
    ask_key(request, key);
    return cvm_state_put(t, key, what);
}

int pending_take(cvm_turn *t, cvm_id request, json_t **ret_what)
{
    char key[64];
    const json_t *kept = NULL;
    ask_key(request, key);
    CVM_TRY(cvm_state_get(t, key, &kept));
    json_t *what = cvm_json_share(kept);
    int e = cvm_state_del(t, key);
    if (e < 0) {
        json_decref(what);
        return e;
    }
    *ret_what = what;
    return CVM_OK;
}

int pending_resume(cvm_turn *t, const cvm_msg *m, int (*resume)(cvm_turn *t, const cvm_msg *m, const json_t *what))
{
    json_t *what = NULL;
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = resume(t, m, what);
    json_decref(what);
    return e;
}
