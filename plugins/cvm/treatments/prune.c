/* AllocationAgent: units that were taken long ago are forgotten, once a day, a thousand keys in a turn. Nothing reads
 * them any more: a limit is one of a day, and who got what stands in the history. Owns the state key prune/at_ms ->
 * when the timer fires. Loop thread. */
#include "treatments.h"

#define DAY_MS INT64_C(86400000)
#define KEPT_DAYS 40
#define KEYS_A_TURN 1000
#define USED "used/"

int prune_arm(cvm_turn *t)
{
    cvm_id none = {0, 0};
    int64_t at = 0;
    CVM_TRY(cvm_state_int(t, "prune/at_ms", &at));
    if (at)
        return CVM_OK; /* armed by an earlier start; a late one fires at once */
    CVM_TRY(cvm_timer(t, "prune", DAY_MS, NULL, none, NULL));
    return cvm_state_put_int(t, "prune/at_ms", cvm_now_ms(t) + DAY_MS);
}

int prune_used(cvm_turn *t, const cvm_msg *m)
{
    const char *after = cvm_json_str(m->data, "after", NULL), *key = NULL;
    char first[ZONE_DAY_SIZE];
    cvm_id none = {0, 0};
    struct zone z = allocation_zone(t);
    json_t *pairs = NULL;
    int e = CVM_OK;
    if (!after) {
        CVM_TRY(cvm_state_del(t, "prune/at_ms"));
        CVM_TRY(prune_arm(t));
    }
    zone_day(&z, cvm_now_ms(t) - KEPT_DAYS * DAY_MS, first);
    CVM_TRY(cvm_state_scan(t, USED, after, KEYS_A_TURN, &pairs));
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        key = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        if (strcmp(strrchr(key, '/') + 1, first) < 0)
            e = cvm_state_del(t, key);
    }
    if (e >= 0 && json_array_size(pairs) == KEYS_A_TURN)
        e = cvm_timer(t, "prune", 0, json_pack("{s:s}", "after", key), none, NULL);
    json_decref(pairs);
    return e < 0 ? e : CVM_OK;
}
