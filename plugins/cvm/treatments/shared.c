/* What the parts of the plugin share; see treatments.h. Loop thread. */
#include "treatments.h"

json_t *id_json(cvm_id id)
{
    return json_pack("{s:I, s:I}", "hi", (json_int_t)id.hi, "lo", (json_int_t)id.lo);
}

cvm_id id_of_json(const json_t *value)
{
    return (cvm_id){(uint64_t)cvm_json_int(value, "hi", 0), (uint64_t)cvm_json_int(value, "lo", 0)};
}

bool has_role(cvm_turn *t, const char *role)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *roles = json_object_get(json_array_get(components, i), "roles");
        for (size_t r = 0; r < json_array_size(roles); r++)
            if (!strcmp(json_string_value(json_array_get(roles, r)), role))
                return true;
    }
    return false;
}

bool is_loaded(cvm_turn *t, const char *component)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (!strcmp(cvm_json_str(json_array_get(components, i), "id", ""), component))
            return true;
    return false;
}

json_t *copy_of(const json_t *object)
{
    return json_copy((json_t *)(uintptr_t)object);
}

int state_copy(cvm_turn *t, const char *key, json_t **ret_value)
{
    const json_t *kept = NULL;
    int e = cvm_state_get(t, key, &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *value = kept ? json_deep_copy(kept) : json_object();
    if (!value)
        return CVM_ENOMEM;
    *ret_value = value;
    return CVM_OK;
}

int refuse_member(cvm_turn *t, const record_error *e)
{
    return cvm_refuse(t, "INVALID", *e->field ? e->field : NULL, e->text);
}
