/* Meters that were found, remembered for `validation_cache_s` (3600; 0: not at all). Owns the state keys ask/<request>,
 * meter/<number> and meter-at/<time>/<number>. What is too old goes when the next one comes, a few at a time, so the
 * store holds little more than an hour's meters. Loop thread. */
#include "meter_cache.h"

#include <inttypes.h>
#include <stdio.h>

#define PURGE_BATCH 8

static int64_t cache_ms(cvm_turn *t)
{
    return cvm_json_int(cvm_settings(t), "validation_cache_s", 3600) * 1000;
}

static void ask_key(cvm_id id, char key[64])
{
    snprintf(key, 64, "ask/%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

int cache_find(cvm_turn *t, const char *meter, const json_t **ret_known)
{
    char key[64];
    const json_t *kept = NULL;
    snprintf(key, sizeof key, "meter/%.20s", meter);
    int e = cvm_state_get(t, key, &kept);
    if (e == CVM_ENOENT)
        return CVM_OK;
    if (e < 0)
        return e;
    if (cvm_json_int(kept, "at_ms", 0) + cache_ms(t) > cvm_now_ms(t))
        *ret_known = json_object_get(kept, "found");
    return CVM_OK;
}

int cache_expect(cvm_turn *t, cvm_id id, const char *meter)
{
    char key[64];
    ask_key(id, key);
    return cvm_state_put(t, key, json_string(meter));
}

static int purge(cvm_turn *t)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "meter-at/", NULL, PURGE_BATCH, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(pairs) && e >= 0; i++) {
        const char *at = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        int64_t at_ms = 0;
        char meter[24] = "", key[64];
        const json_t *kept = NULL;
        if (sscanf(at, "meter-at/%15" SCNd64 "/%20[0-9]", &at_ms, meter) != 2 || at_ms + cache_ms(t) > cvm_now_ms(t))
            break;
        snprintf(key, sizeof key, "meter/%s", meter);
        if (cvm_state_get(t, key, &kept) == CVM_OK && cvm_json_int(kept, "at_ms", 0) == at_ms)
            e = cvm_state_del(t, key);
        if (e >= 0)
            e = cvm_state_del(t, at);
    }
    json_decref(pairs);
    return e;
}

int cache_arrived(cvm_turn *t, cvm_id id, const json_t *found)
{
    char key[64], meter[24];
    const json_t *asked = NULL;
    int64_t now = cvm_now_ms(t);
    ask_key(id, key);
    int e = cvm_state_get(t, key, &asked);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    snprintf(meter, sizeof meter, "%.20s", json_is_string(asked) ? json_string_value(asked) : "");
    CVM_TRY(cvm_state_del(t, key));
    CVM_TRY(purge(t));
    if (!found || cache_ms(t) <= 0)
        return CVM_OK;
    snprintf(key, sizeof key, "meter/%s", meter);
    CVM_TRY(cvm_state_put(t, key, json_pack("{s:I, s:O}", "at_ms", (json_int_t)now, "found", found)));
    snprintf(key, sizeof key, "meter-at/%015" PRId64 "/%s", now, meter);
    return cvm_state_put(t, key, json_true());
}
