/* What the operator sets, held against what a plugin says its settings may be. */
#include "core/config.h"
#include "core/stage.h"

#include <stdio.h>
#include <string.h>

/* Where the file has it: with the component, or in the section of its area. */
static bool set_for_component(const struct config *config, const char *id, const char *field)
{
    char name[sizeof((struct schema_error *)NULL)->field];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(field, ".["), field);
    const json_t *agent = json_object_get(config_get(config, "agents"), id);
    return json_object_get(json_object_get(agent, "settings"), name) != NULL;
}

int stage_check_settings(const struct config *config, const struct manifest *m, char *ret_error, size_t error_size)
{
    for (size_t i = 0; i < m->n_components; i++) {
        const struct manifest_component *c = &m->components[i];
        struct schema_error fault;
        if (!c->settings_check)
            continue;
        json_t *settings = config_component_settings(config, c->id, c->settings);
        int e = settings ? schema_check_quoting(c->settings_check, settings, &fault) : CVM_ENOMEM;
        json_decref(settings);
        if (e == CVM_ENOMEM)
            snprintf(ret_error, error_size, "out of memory");
        else if (e < 0 && set_for_component(config, c->id, fault.field))
            snprintf(ret_error, error_size, "config/cvmhost.json: agents.%s.settings.%s: %s", c->id, fault.field,
                     fault.text);
        else if (e < 0)
            snprintf(ret_error, error_size, "config/cvmhost.json: %.*s.%s: %s (a setting of %s)",
                     (int)strcspn(c->id, "."), c->id, fault.field, fault.text, c->id);
        if (e < 0)
            return e;
    }
    return 0;
}
