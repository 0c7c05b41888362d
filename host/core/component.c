/* Makes components, the plugins' and the host's own, so that a message finds its handler by two table look-ups. */
#include "core/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)

static bool add_route(struct component *c, const struct name *type, const struct manifest_operation *op, uint32_t route)
{
    for (uint32_t i = type->hash;; i++) {
        struct route_slot *slot = &c->slots[i & c->slot_mask];
        if (slot->type == type)
            return false;
        if (slot->type)
            continue;
        *slot = (struct route_slot){.type = type, .operation = op, .route = route};
        return true;
    }
}

static struct component *component_new(struct core *core, const struct manifest_component *decl, size_t n_routes)
{
    uint32_t slots = 8;
    struct component *c = calloc(1, sizeof *c);
    while (slots < 2 * (n_routes + 1))
        slots *= 2;
    if (!c || !(c->slots = calloc(slots, sizeof *c->slots)) || !(c->id = names_intern(core->names, decl->id)))
        goto fail;
    if (core->n_components == core->components_cap &&
        !vector_grow(&core->components, &core->components_cap, sizeof *core->components))
        goto fail;
    c->decl = decl;
    c->alias = decl->alias;
    c->slot_mask = slots - 1;
    c->salt = id_hash(decl->id, strlen(decl->id), 0x73616c74);
    c->index = core->n_components;
    c->mailbox = 4096;
    c->budget_us = 25000;
    c->hard_limit_ns = CORE_HARD_LIMIT_LEAST_MS * INT64_C(1000000);
    c->id->component = c;
    core->components[core->n_components++] = c;
    if (c->index < PAGE_COMPONENTS_MAX) {
        snprintf(core->page->components[c->index], sizeof core->page->components[0], "%s", decl->id);
        core->page->n_components = core->n_components;
    }
    char lane[CVM_NAME_MAX + 16];
    snprintf(lane, sizeof lane, "component:%s", decl->id);
    c->lane = conversation_open(core, lane, false);
    if (c->lane) {
        c->lane->pinned = true;
        c->lane->limit = UINT32_MAX;
    }
    return c;
fail:
    if (c)
        free(c->slots);
    free(c);
    return NULL;
}

struct component *registry_add_host(struct core *core, const struct manifest_component *decl, turn_fn turn,
                                    const char *const *types)
{
    size_t n = 0;
    while (types[n])
        n++;
    struct component *c = component_new(core, decl, n);
    if (!c)
        return NULL;
    c->turn = turn;
    c->may_all = true;
    c->settings = json_object();
    c->mailbox = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        struct name *type = names_intern(core->names, types[i]);
        const struct manifest_operation *op = manifest_find_operation(decl, types[i]);
        if (!type || !add_route(c, type, op, (uint32_t)i))
            return NULL;
    }
    return c;
}

int core_add_peer(struct core *core, const struct manifest_component *decl, turn_fn turn)
{
    const char *types[MANIFEST_OPERATIONS_MAX + 1] = {NULL};
    size_t n = decl->n_operations < MANIFEST_OPERATIONS_MAX ? decl->n_operations : MANIFEST_OPERATIONS_MAX;
    for (size_t i = 0; i < n; i++)
        types[i] = decl->operations[i].type;
    return registry_add_host(core, decl, turn, types) ? 0 : CVM_ENOMEM;
}

int component_register(struct core *core, struct plugin *p, const struct manifest_component *decl, char *error,
                       size_t size)
{
    const cvm_route *routes = p->descriptor->routes;
    const struct manifest *m = p->manifest;
    size_t n = 0;
    struct name *taken = names_find(core->names, decl->id);
    if (taken && taken->component)
        return REFUSE(error, size, "%s: component id %s is already taken by plugin %s" REGISTRY_ONE_OF_THEM, m->path,
                      decl->id,
                      ((struct component *)taken->component)->plugin
                          ? ((struct component *)taken->component)->plugin->manifest->name
                          : "host");
    for (const cvm_route *r = routes; r->component; r++)
        n += strcmp(r->component, decl->id) == 0;
    struct component *c = component_new(core, decl, n);
    if (!c)
        return REFUSE(error, size, "out of memory");
    c->plugin = p;
    c->turn = p->descriptor->turn;
    c->instance = p->instance;
    c->mailbox = m->limits.mailbox;
    c->budget_us = m->limits.turn_budget_ms * 1000;
    int64_t hard = m->limits.turn_budget_ms * CORE_HARD_LIMIT_FACTOR;
    c->hard_limit_ns = (hard > CORE_HARD_LIMIT_LEAST_MS ? hard : CORE_HARD_LIMIT_LEAST_MS) * INT64_C(1000000);
    c->conversation_limit = (uint32_t)m->limits.conversation_messages;
    const json_t *own = json_object_get(config_get(core->options.config, "agents"), decl->id);
    c->concurrency = (int64_t)json_integer_value(json_object_get(own, "concurrency"));
    c->settings = config_component_settings(core->options.config, decl->id, decl->settings);
    for (const cvm_route *r = routes; r->component; r++) {
        if (strcmp(r->component, decl->id) != 0)
            continue;
        struct name *type = names_intern(core->names, r->type);
        if (!type || !r->handler)
            return REFUSE(error, size, "%s: %s: route \"%s\" has no handler or too long a type", m->name, decl->id,
                          r->type);
        if (!add_route(c, type, manifest_find_operation(decl, r->type), (uint32_t)(r - routes)))
            return REFUSE(error, size, "%s: %s: type %s has two handlers", m->name, decl->id, r->type);
    }
    for (size_t i = 0; i < m->n_calls; i++)
        names_intern(core->names, m->calls[i].name);
    p->components[decl - m->components] = c;
    return 0;
}

int component_subscribe(struct core *core, struct component *c, char *error, size_t size)
{
    for (size_t i = 0; i < c->decl->subscribes.n; i++) {
        struct name *name = names_intern(core->names, c->decl->subscribes.at[i]);
        struct topic *topic = NULL;
        if (!name || !component_route(c, name))
            return REFUSE(error, size, "%s: %s: subscribes to %s but has no handler for it",
                          c->plugin ? c->plugin->manifest->path : "host", c->id->text, c->decl->subscribes.at[i]);
        for (uint32_t k = 0; k < core->topics.n; k++)
            if (core->topics.at[k]->name == name)
                topic = core->topics.at[k];
        if (!topic) {
            topic = calloc(1, sizeof *topic);
            if (!topic || !VECTOR_PUSH(core->topics, topic)) {
                free(topic);
                return REFUSE(error, size, "out of memory");
            }
            topic->name = name;
        }
        if (topic->subscribers.n >= CORE_PUBLISH_MAX || !VECTOR_PUSH(topic->subscribers, c))
            return REFUSE(error, size, "topic %s has more than %d subscribers", name->text, CORE_PUBLISH_MAX);
    }
    return 0;
}

void component_link(struct core *core, struct component *c)
{
    size_t words = core->n_components / 64 + 1;
    free(c->may_send);
    c->may_send = calloc(words, sizeof *c->may_send);
    for (size_t i = 0; c->may_send && i < c->decl->may_send_to.n; i++) {
        const char *pattern = c->decl->may_send_to.at[i];
        bool any = false;
        for (uint32_t k = 0; k < core->n_components; k++) {
            if (!registry_component_matches(core->components[k], pattern))
                continue;
            any = true;
            c->may_send[k / 64] |= UINT64_C(1) << (k % 64);
        }
        if (!any)
            log_debug(c->id->text, "may send to %s, which is not loaded", pattern);
    }
    if (c->alias) {
        struct name *alias = names_intern(core->names, c->alias);
        bool shared = false;
        for (uint32_t k = 0; k < core->n_components; k++)
            shared = shared || (core->components[k] != c && core->components[k]->alias &&
                                strcmp(core->components[k]->alias, c->alias) == 0);
        if (alias && !alias->component && !shared)
            alias->component = c;
    }
}
