/* Units in the order of value: customers of a batch are worked on a few at a time, but one after the other at the
 * allocation, in the order in which the batch began them. Who comes too early waits until those before have a unit or
 * are done. Owns the state keys b/<batch>/gate: {"next": rank whose turn it is, "done": [ranks beyond it], "waiting":
 * {rank: request and its conversation}}. Loop thread. */
#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_SIZE 80

static const char *gate_key(const char *batch, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "b/%.40s/gate", batch);
    return key;
}

/* A copy to be changed. */
static int gate_get(cvm_turn *t, const char *batch, json_t **ret_gate)
{
    char key[KEY_SIZE];
    const json_t *kept = NULL;
    int e = cvm_state_get(t, gate_key(batch, key), &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *gate = kept ? json_deep_copy(kept) : json_pack("{s:i, s:[], s:{}}", "next", 0, "done", "waiting");
    if (!gate)
        return CVM_ENOMEM;
    *ret_gate = gate;
    return CVM_OK;
}

int gate_enter(cvm_turn *t, cvm_id request, const json_t *work, bool *ret_open)
{
    const json_t *batch = json_object_get(work, "batch");
    const char *id = cvm_json_str(batch, "id", "");
    int64_t rank = cvm_json_int(batch, "rank", 0);
    char key[KEY_SIZE], place[24];
    json_t *gate = NULL;
    *ret_open = true;
    if (!*id)
        return CVM_OK;
    CVM_TRY(gate_get(t, id, &gate));
    *ret_open = rank <= cvm_json_int(gate, "next", 0);
    if (*ret_open) {
        json_decref(gate);
        return CVM_OK;
    }
    snprintf(place, sizeof place, "%" PRId64, rank);
    json_object_set_new(json_object_get(gate, "waiting"), place,
                        json_pack("{s:I, s:I, s:s}", "hi", (json_int_t)request.hi, "lo", (json_int_t)request.lo,
                                  "conversation", cvm_json_str(work, "conversation", "")));
    return cvm_state_put(t, gate_key(id, key), gate);
}

static bool take_rank(json_t *done, int64_t rank)
{
    for (size_t i = 0; i < json_array_size(done); i++)
        if (json_integer_value(json_array_get(done, i)) == rank) {
            json_array_remove(done, i);
            return true;
        }
    return false;
}

/* The one whose turn it is now, if it waits: in its own conversation. */
static int open_next(cvm_turn *t, json_t *gate)
{
    char place[24];
    json_t *waiting = json_object_get(gate, "waiting"), *work = NULL;
    snprintf(place, sizeof place, "%" PRId64, cvm_json_int(gate, "next", 0));
    const json_t *one = json_object_get(waiting, place);
    if (!one)
        return CVM_OK;
    cvm_id request = {(uint64_t)cvm_json_int(one, "hi", 0), (uint64_t)cvm_json_int(one, "lo", 0)};
    char conversation[CVM_NAME_MAX + 1];
    snprintf(conversation, sizeof conversation, "%s", cvm_json_str(one, "conversation", ""));
    json_object_del(waiting, place);
    int e = process_work(t, request, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    return process_allocate(t, request, work, conversation);
}

int gate_pass(cvm_turn *t, const char *batch, int64_t rank)
{
    char key[KEY_SIZE];
    json_t *gate = NULL;
    if (!*batch)
        return CVM_OK;
    CVM_TRY(gate_get(t, batch, &gate));
    int64_t next = cvm_json_int(gate, "next", 0);
    json_t *done = json_object_get(gate, "done");
    if (rank < next) { /* its unit was had before it was done */
        json_decref(gate);
        return CVM_OK;
    }
    take_rank(done, rank);
    json_array_append_new(done, json_integer((json_int_t)rank));
    while (take_rank(done, next))
        next++;
    bool moved = next != cvm_json_int(gate, "next", 0);
    json_object_set_new(gate, "next", json_integer((json_int_t)next));
    int e = moved ? open_next(t, gate) : CVM_OK;
    if (e < 0) {
        json_decref(gate);
        return e;
    }
    return cvm_state_put(t, gate_key(batch, key), gate);
}

int gate_forget(cvm_turn *t, const char *batch)
{
    char key[KEY_SIZE];
    return cvm_state_del(t, gate_key(batch, key));
}
