/* What is loaded, looked up: components by id, alias or role, tables, plugins, operations. registry_load.c fills it. */
#include "core/internal.h"

#include <stdlib.h>
#include <string.h>

static bool in_area(const struct component *c, const char *area)
{
    size_t n = strlen(area);
    return strncmp(c->id->text, area, n) == 0 && c->id->text[n] == '.';
}

struct component *registry_find(const struct core *core, const char *text, const char *area)
{
    struct name *name = names_find(core->names, text);
    struct component *found = NULL;
    if (name && name->component)
        return name->component;
    for (uint32_t i = 0; name && i < core->n_components; i++) {
        struct component *c = core->components[i];
        if (!c->alias || strcmp(c->alias, text) != 0 || (area && !in_area(c, area)))
            continue;
        if (found)
            return NULL;
        found = c;
    }
    return found;
}

static bool has_string(const struct manifest_strings *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->at[i], text) == 0)
            return true;
    return false;
}

bool registry_component_matches(const struct component *c, const char *pattern)
{
    if (strncmp(pattern, "role:", 5) == 0)
        return has_string(&c->decl->roles, pattern + 5);
    return strcmp(pattern, "*") == 0 || strcmp(pattern, c->id->text) == 0 ||
           (c->alias && strcmp(pattern, c->alias) == 0);
}

static bool serves(const struct component *c, const json_t *fields)
{
    const char *field;
    json_t *accepted;
    json_object_foreach((json_t *)(uintptr_t)c->decl->serves, field, accepted)
    {
        json_t *wanted = json_object_get(fields, field), *value;
        size_t i;
        bool found = false;
        json_array_foreach(accepted, i, value) found = found || (wanted && json_equal(value, wanted));
        if (!found)
            return false;
    }
    return true;
}

/* The first healthy holder that serves these fields, in the operator's order, else by id; a sick one if all are. */
struct component *registry_role(struct core *core, const char *role, const json_t *fields)
{
    struct component *best = NULL;
    size_t best_rank = SIZE_MAX;
    const json_t *order = json_object_get(config_get(core->options.config, "roles"), role);
    for (uint32_t i = 0; i < core->n_components; i++) {
        struct component *c = core->components[i];
        if (!has_string(&c->decl->roles, role) || !serves(c, fields))
            continue;
        size_t rank = c->index + 100000u, k;
        json_t *id;
        json_array_foreach(order, k, id) if (json_is_string(id) && strcmp(json_string_value(id), c->id->text) == 0)
            rank = k;
        rank += c->down ? 1000000u : 0;
        if (rank < best_rank) {
            best = c;
            best_rank = rank;
        }
    }
    return best;
}

struct table *registry_table(const struct core *core, const struct plugin *plugin, const char *name)
{
    for (struct table *t = core->tables; t; t = t->next)
        if (t->plugin == plugin && strcmp(t->decl->name, name) == 0)
            return t;
    return NULL;
}

const struct plugin *registry_plugin(const struct core *core, const char *name)
{
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (strcmp(p->manifest->name, name) == 0)
            return p;
    return NULL;
}

const struct operation *registry_operations(const struct core *core, size_t *ret_n)
{
    *ret_n = core->n_operations;
    return core->operations;
}

uint64_t registry_version(const struct core *core)
{
    return core->registry_version;
}

void registry_free(struct core *core)
{
    for (uint32_t i = 0; i < core->n_components; i++) {
        struct component *c = core->components[i];
        free(c->slots);
        free(c->may_send);
        json_decref(c->settings);
        free(c);
    }
    free(core->components);
    for (uint32_t i = 0; i < core->topics.n; i++) {
        free(core->topics.at[i]->subscribers.at);
        free(core->topics.at[i]);
    }
    free(core->topics.at);
    for (struct table *t = core->tables, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    json_decref(core->domains);
    json_decref(core->component_list);
    free(core->operations);
    for (struct plugin *p = core->plugins, *next; p; p = next) {
        next = p->next;
        loader_unload(p);
        manifest_free(p->manifest);
        free(p->components);
        free(p);
    }
}
