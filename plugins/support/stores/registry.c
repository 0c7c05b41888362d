/* registry-state: an entry for each component that is loaded, as its manifest says it. Filled when the plugin starts
 * and when the host says that something was loaded or removed. Loop thread. */
#include "stores.h"

#include <stdio.h>

#define ENTRIES_MAX 1000 /* of one scan; the host has fewer components */

/* What of a component the registry shows; borrows, gives. */
static json_t *entry_of(const json_t *component)
{
    static const char *const members[] = {"id", "alias", "kind", "roles", "operations", "tools", "plugin", "version"};
    json_t *entry = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *value = json_object_get(component, members[i]);
        if (value)
            json_object_set_new(entry, members[i], cvm_json_share(value));
    }
    return entry;
}

static int fill_one(cvm_turn *t, const json_t *component)
{
    const char *id = cvm_json_str(component, "id", "");
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *was = NULL;
    int64_t version;
    if (strlen(id) > KEY_BYTES_MAX)
        return CVM_OK;
    snprintf(key, sizeof key, "v/%s", id);
    int e = cvm_state_get(t, key, &was);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *is = entry_of(component);
    if (was && json_equal((json_t *)(uintptr_t)was, is)) {
        json_decref(is);
        return CVM_OK;
    }
    e = store_keep(t, id, is, &version);
    if (e != CVM_ELIMIT)
        return e;
    cvm_log(t, CVM_LOG_WARNING, "what %s declares is too long for registry-state and is left out", id);
    return CVM_OK;
}

static bool is_loaded(const json_t *components, const char *id)
{
    for (size_t i = 0; i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), id) == 0)
            return true;
    return false;
}

int registry_fill(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    const json_t *components = cvm_registry(t, "components");
    json_t *pairs = NULL;
    int64_t version;
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(components); i++)
        CVM_TRY(fill_one(t, json_array_get(components, i)));
    CVM_TRY(cvm_state_scan(t, "m/", NULL, ENTRIES_MAX, &pairs));
    for (size_t i = 0; i < json_array_size(pairs) && e >= 0; i++) {
        const char *id = json_string_value(json_array_get(json_array_get(pairs, i), 0)) + 2;
        if (!is_loaded(components, id))
            e = store_drop(t, id, &version);
    }
    json_decref(pairs);
    return e < 0 ? e : CVM_OK;
}

int registry_refuse(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    return cvm_refuse(
        t, "READ_ONLY", "store",
        "registry-state is filled from the manifests of what is loaded; change those, then: cvmhost reload");
}
