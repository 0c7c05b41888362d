/* What a campaign's terms change about the catalogue. Pure; any thread. */
#include "campaign.h"
#include "option.h"

#include <string.h>

static bool listed(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && !strcmp(json_string_value(json_array_get(list, i)), id))
            return true;
    return false;
}

static size_t find(const json_t *treatments, const char *id)
{
    size_t i = 0;
    while (i < json_array_size(treatments) && strcmp(cvm_json_str(json_array_get(treatments, i), "id", ""), id) != 0)
        i++;
    return i;
}

/* Each name that the terms give must be there: a slip of the pen is not "nobody". */
static int check_names(const json_t *terms, const json_t *treatments, char *why, size_t size)
{
    static const char *const members[] = {"treatments", "without"};
    const char *id;
    json_t *limit;
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < json_array_size(json_object_get(terms, members[m])); i++) {
            const char *name = json_string_value(json_array_get(json_object_get(terms, members[m]), i));
            if (!name || find(treatments, name) == json_array_size(treatments)) {
                snprintf(why, size, "%s: there is no treatment %.60s", members[m], name ? name : "");
                return CVM_EINVAL;
            }
        }
    json_object_foreach(json_object_get(terms, "limits"), id, limit)
    {
        if (find(treatments, id) == json_array_size(treatments) || !json_is_integer(limit) ||
            json_integer_value(limit) < 0) {
            snprintf(why, size, "limits: %.60s must be a treatment and its limit a day a whole number >= 0", id);
            return CVM_EINVAL;
        }
    }
    return CVM_OK;
}

/* Lays `record` over the one of its id, or adds it. */
static int lay_over(json_t *treatments, json_t *constraints, const json_t *record, char *why, size_t size)
{
    const char *id = cvm_json_str(record, "id", "");
    size_t at = find(treatments, id);
    if (!*id) {
        snprintf(why, size, "treatment: must have an \"id\"");
        return CVM_EINVAL;
    }
    json_t *copy = at < json_array_size(treatments) ? json_deep_copy(json_array_get(treatments, at)) : json_object();
    json_object_update_recursive(copy, (json_t *)(uintptr_t)record);
    if (json_object_get(record, "constraints"))
        json_object_del(constraints, id); /* the record's own count */
    struct option o;
    bool fine = option_read(copy, &o, why, size);
    if (fine && at < json_array_size(treatments))
        json_array_set(treatments, at, copy);
    else if (fine)
        json_array_append(treatments, copy);
    json_decref(copy);
    return fine ? CVM_OK : CVM_EINVAL;
}

int campaign_change(const json_t *terms, const json_t *treatments, const json_t *constraints, json_t **ret_treatments,
                    json_t **ret_constraints, char *ret_why, size_t size)
{
    json_t *list = json_deep_copy(treatments),
           *limits = json_is_object(constraints) ? json_deep_copy(constraints) : json_object();
    const json_t *only = json_object_get(terms, "treatments"), *record = json_object_get(terms, "treatment");
    const char *id;
    json_t *limit;
    int e = list && limits ? CVM_OK : CVM_ENOMEM;
    if (e == CVM_OK && json_is_object(record))
        e = lay_over(list, limits, record, ret_why, size);
    if (e == CVM_OK)
        e = check_names(terms, list, ret_why, size);
    for (size_t i = json_array_size(list); e == CVM_OK && i-- > 0;) {
        const char *name = cvm_json_str(json_array_get(list, i), "id", "");
        if ((only && !listed(only, name)) || listed(json_object_get(terms, "without"), name))
            json_array_remove(list, i);
    }
    json_object_foreach(json_object_get(terms, "limits"), id, limit)
    {
        json_t *own = json_object_get(limits, id);
        int64_t used = cvm_json_int(own, "used_today", 0), left = (int64_t)json_integer_value(limit) - used;
        if (!own) {
            own = json_object();
            json_object_set_new(limits, id, own);
        }
        json_object_set(own, "max_per_day", limit);
        json_object_set_new(own, "remaining", json_integer(left > 0 ? left : 0));
    }
    if (e != CVM_OK) {
        json_decref(list);
        json_decref(limits);
        return e;
    }
    *ret_treatments = list;
    *ret_constraints = limits;
    return CVM_OK;
}
