/* Several requests at once, and what came of them: see agents.h. A part is known by the id of its request. Loop thread.
 */
#include "agents.h"

#include <inttypes.h>
#include <stdio.h>

#define RUN_KEY_SIZE 40
#define RUN_BYTES_MAX 56000 /* of the answers that are kept together: a value of state has 65536 */

static void run_key(cvm_id id, char ret_key[RUN_KEY_SIZE])
{
    snprintf(ret_key, RUN_KEY_SIZE, "run/%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

static json_t *failed_part(cvm_turn *t, const char *name, const char *code)
{
    return json_pack("{s:s, s:I, s:I, s:i, s:{s:s}}", "name", name, "started_ms", (json_int_t)cvm_now_ms(t), "ended_ms",
                     (json_int_t)cvm_now_ms(t), "outcome", (int)CVM_BUSY, "data", "code", code);
}

int many_send(cvm_turn *t, const cvm_msg *m, json_t *what, struct part *parts, size_t n)
{
    char key[RUN_KEY_SIZE];
    json_t *list = json_array();
    int e = CVM_OK, under_way = 0;
    for (size_t i = 0; i < n; i++) {
        cvm_id id = {0, 0};
        if (e >= 0)
            e = cvm_request(t, parts[i].to, parts[i].type, parts[i].data,
                            &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = parts[i].timeout_ms, .ret_id = &id});
        else
            json_decref(parts[i].data);
        if (e == CVM_ENOENT) {
            json_array_append_new(list, failed_part(t, parts[i].name, "NOT_LOADED"));
            e = CVM_OK;
        } else if (e >= 0) {
            under_way++;
            json_array_append_new(list,
                                  json_pack("{s:s, s:I, s:I, s:I}", "name", parts[i].name, "hi", (json_int_t)id.hi,
                                            "lo", (json_int_t)id.lo, "started_ms", (json_int_t)cvm_now_ms(t)));
        }
    }
    json_t *run = json_pack("{s:o, s:o}", "what", what, "parts", list);
    run_key(m->id, key);
    if (e >= 0 && under_way > 0)
        e = cvm_state_put(t, key, run);
    else
        json_decref(run);
    return e < 0 ? e : under_way;
}

/* What is kept of an answer: what has no room is a part that has failed. */
static void put_answer(cvm_turn *t, json_t *part, size_t n, const cvm_msg *m,
                       json_t *(*keep)(cvm_turn *t, const cvm_msg *m))
{
    json_t *data = keep && m->outcome == CVM_REPLIED ? keep(t, m) : cvm_json_share(m->data);
    int outcome = m->outcome;
    if (json_dumpb(data, NULL, 0, JSON_COMPACT) > RUN_BYTES_MAX / n) {
        json_decref(data);
        data = json_pack("{s:s}", "code", "TOO_LARGE");
        outcome = CVM_ERROR;
    }
    json_object_set_new(part, "data", data);
    json_object_set_new(part, "outcome", json_integer(outcome));
}

int many_answer(cvm_turn *t, const cvm_msg *m, json_t *(*keep)(cvm_turn *t, const cvm_msg *m), json_t **ret_run)
{
    char key[RUN_KEY_SIZE];
    const json_t *kept = NULL;
    bool open = false;
    *ret_run = NULL;
    run_key(m->on_behalf, key);
    int e = cvm_state_get(t, key, &kept);
    if (e == CVM_ENOENT)
        return CVM_OK; /* nobody waits for it any more */
    CVM_TRY(e);
    json_t *run = json_deep_copy(kept), *parts = json_object_get(run, "parts"), *part;
    size_t i;
    json_array_foreach(parts, i, part)
    {
        cvm_id id = {(uint64_t)cvm_json_int(part, "hi", 0), (uint64_t)cvm_json_int(part, "lo", 0)};
        if (!json_object_get(part, "outcome") && cvm_id_eq(id, m->in_reply_to)) {
            json_object_set_new(part, "ended_ms", json_integer((json_int_t)cvm_now_ms(t)));
            put_answer(t, part, json_array_size(parts), m, keep);
        }
        open = open || !json_object_get(part, "outcome");
    }
    if (open)
        return cvm_state_put(t, key, run);
    e = cvm_state_del(t, key);
    if (e < 0)
        json_decref(run);
    else
        *ret_run = run;
    return e < 0 ? e : CVM_OK;
}

const json_t *many_part(const json_t *run, const char *name)
{
    const json_t *parts = json_object_get(run, "parts");
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (strcmp(cvm_json_str(json_array_get(parts, i), "name", ""), name) == 0)
            return json_array_get(parts, i);
    return NULL;
}

bool many_replied(const json_t *part)
{
    return cvm_json_int(part, "outcome", CVM_ERROR) == CVM_REPLIED;
}
