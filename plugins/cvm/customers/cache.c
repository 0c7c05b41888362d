/* See customers.h: what was gathered of customers, for some minutes. The oldest gives way. Loop thread. */
#include "customers.h"

#define CACHED_MAX 1000

static json_t *cached; /* customer id -> [answer, at_ms], in the order they came */

const json_t *cache_get(const char *customer_id, int64_t now_ms, int64_t ttl_ms)
{
    const json_t *entry = json_object_get(cached, customer_id);
    int64_t at = (int64_t)json_integer_value(json_array_get(entry, 1));
    if (!entry || now_ms - at >= ttl_ms || now_ms < at)
        return NULL;
    return json_array_get(entry, 0);
}

void cache_put(const char *customer_id, const json_t *answer_, int64_t now_ms)
{
    if (!cached && !(cached = json_object()))
        return;
    json_object_del(cached, customer_id);
    while (json_object_size(cached) >= CACHED_MAX)
        json_object_del(cached, json_object_iter_key(json_object_iter(cached)));
    json_object_set_new(cached, customer_id, json_pack("[O, I]", answer_, (json_int_t)now_ms));
}

int64_t cache_clear(const char *customer_id)
{
    int64_t n = (int64_t)json_object_size(cached);
    if (customer_id)
        return json_object_del(cached, customer_id) == 0;
    json_object_clear(cached);
    return n;
}

void cache_free(void)
{
    json_decref(cached);
    cached = NULL;
}
