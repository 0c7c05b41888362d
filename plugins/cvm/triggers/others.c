/* Triggers of other plugins (role cvm.trigger): the base is handed to them in batches, by message. The job "gather"
 * brings a batch, the component answers which of them match, the next batch follows. Loop thread. */
#include "find.h"
#include <string.h>

#define BATCH 50
#define MATCHES_MAX 5000
#define MATCH_TIMEOUT_MS 60000

static int gather(cvm_turn *t, cvm_id request, json_t *kept)
{
    json_t *input =
        json_pack("{s:O*, s:O*, s:i, s:O*}", "customers", json_object_get(kept, "ids"), "after",
                  json_object_get(kept, "after"), "limit", BATCH, "strict", json_object_get(kept, "strict"));
    int e = ask_keep(t, request, kept);
    if (e < 0) {
        json_decref(input);
        return e;
    }
    return cvm_job_start(t, "gather", input, request, 0);
}

int others_begin(cvm_turn *t, const cvm_msg *m, const char *component, const json_t *ids)
{
    CVM_TRY(gather(t, m->id,
                   json_pack("{s:s, s:O*, s:O*, s:[], s:i, s:b}", "component", component, "ids", ids, "custom",
                             json_object_get(m->data, "custom_trigger"), "matches", "customers", 0, "strict",
                             asked_by_people(m))));
    return CVM_PENDING;
}

static int finish(cvm_turn *t, cvm_id request, const json_t *kept)
{
    const json_t *matches = json_object_get(kept, "matches");
    return settle_found(t, request,
                        json_pack("{s:O, s:I, s:O}", "matches", matches, "total_matches",
                                  (json_int_t)json_array_size(matches), "customers",
                                  json_object_get(kept, "customers")));
}

int others_gathered(cvm_turn *t, const cvm_msg *m)
{
    json_t *kept = NULL;
    const json_t *customers = json_object_get(m->data, "customers"), *next = json_object_get(m->data, "next");
    int e = ask_take(t, m->on_behalf, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED) {
        e = settle_failed(t, m);
    } else if (!json_array_size(customers)) {
        e = finish(t, m->on_behalf, kept);
    } else {
        json_t *now = json_copy(kept), *question = json_pack("{s:O, s:O*}", "customers", customers, "custom_trigger",
                                                             json_object_get(kept, "custom"));
        const char *component = cvm_json_str(kept, "component", "");
        json_object_set_new(now, "customers",
                            json_integer(cvm_json_int(kept, "customers", 0) + (int64_t)json_array_size(customers)));
        json_object_set_new(now, "after", next ? cvm_json_share(next) : json_null());
        e = cvm_request(t, component, "match", question,
                        &(cvm_request_opts){.on_behalf = m->on_behalf, .timeout_ms = MATCH_TIMEOUT_MS});
        if (e < 0)
            json_decref(now);
        else
            e = ask_keep(t, m->on_behalf, now);
    }
    json_decref(kept);
    return e;
}

int others_matched(cvm_turn *t, const cvm_msg *m)
{
    json_t *kept = NULL;
    int e = ask_take(t, m->on_behalf, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED) {
        e = settle_failed(t, m);
    } else {
        json_t *now = json_deep_copy(kept), *matches = json_object_get(now, "matches");
        json_array_extend(matches, json_object_get(m->data, "matches"));
        bool more = json_is_string(json_object_get(now, "after")) && json_array_size(matches) < MATCHES_MAX;
        if (more) {
            e = gather(t, m->on_behalf, now);
        } else {
            e = finish(t, m->on_behalf, now);
            json_decref(now);
        }
    }
    json_decref(kept);
    return e;
}
