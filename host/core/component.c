/* Components, the plugins' and the host's own: made once by their id, they stay while the host runs. What a generation
 * says of one is its binding: by it a message finds its handler with two table look-ups. */
#include "core/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)

/* ---- bindings ---------------------------------------------------------------------------------------------------- */

static int binding_init(struct core *core, struct binding *b, const struct manifest_component *decl, size_t n_routes)
{
    uint32_t slots = 8;
    while (slots < 2 * (n_routes + 1))
        slots *= 2;
    b->slots = calloc(slots, sizeof *b->slots);
    b->slot_mask = slots - 1;
    b->decl = decl;
    b->epoch = ++core->epoch;
    b->mailbox = 4096;
    b->budget_us = 25000;
    b->hard_limit_ns = CORE_HARD_LIMIT_LEAST_MS * INT64_C(1000000);
    return b->slots ? 0 : CVM_ENOMEM;
}

static bool add_route(struct binding *b, const struct name *type, const struct manifest_operation *op, uint32_t route)
{
    for (uint32_t i = type->hash;; i++) {
        struct route_slot *slot = &b->slots[i & b->slot_mask];
        if (slot->type == type)
            return false;
        if (slot->type)
            continue;
        *slot = (struct route_slot){.type = type, .operation = op, .route = route};
        if (strcmp(type->text, CVM_ANY_REPLY) == 0)
            b->any_reply = slot;
        return true;
    }
}

/* Takes its settings from the configuration. True: they are others than before. */
bool binding_configure(const struct core *core, struct binding *b)
{
    const json_t *own = json_object_get(config_get(core->options.config, "agents"), b->decl->id);
    int64_t concurrency = (int64_t)json_integer_value(json_object_get(own, "concurrency"));
    json_t *settings = config_component_settings(core->options.config, b->decl->id, b->decl->settings);
    bool differs = concurrency != b->concurrency || !json_equal(settings, b->settings);
    json_decref(b->settings);
    b->settings = settings;
    b->concurrency = concurrency;
    return differs;
}

int binding_make(struct core *core, struct generation *g, const struct manifest_component *decl, struct binding *b,
                 char *error, size_t size)
{
    const cvm_route *routes = g->descriptor->routes;
    const struct manifest *m = g->manifest;
    size_t n = 0;
    for (const cvm_route *r = routes; r->component; r++)
        n += strcmp(r->component, decl->id) == 0;
    b->generation = g;
    b->turn = g->descriptor->turn;
    b->instance = g->instance;
    b->remote = g->remote;
    if (binding_init(core, b, decl, n) < 0)
        return REFUSE(error, size, "out of memory");
    for (const cvm_component *code = g->descriptor->components; code->id; code++)
        if (strcmp(code->id, decl->id) == 0)
            b->code = code;
    b->mailbox = m->limits.mailbox;
    b->budget_us = m->limits.turn_budget_ms * 1000;
    int64_t hard = m->limits.turn_budget_ms * CORE_HARD_LIMIT_FACTOR;
    b->hard_limit_ns = (hard > CORE_HARD_LIMIT_LEAST_MS ? hard : CORE_HARD_LIMIT_LEAST_MS) * INT64_C(1000000);
    b->conversation_limit = (uint32_t)m->limits.conversation_messages;
    binding_configure(core, b);
    if (!b->settings)
        return REFUSE(error, size, "out of memory");
    for (const cvm_route *r = routes; r->component; r++) {
        if (strcmp(r->component, decl->id) != 0)
            continue;
        struct name *type = names_intern(core->names, r->type);
        if (!type || !r->handler)
            return REFUSE(error, size, "%s: %s: route \"%s\" has no handler or too long a type", m->name, decl->id,
                          r->type);
        if (!add_route(b, type, manifest_find_operation(decl, r->type), (uint32_t)(r - routes)))
            return REFUSE(error, size, "%s: %s: type %s has two handlers", m->name, decl->id, r->type);
    }
    for (size_t i = 0; i < decl->subscribes.n; i++) {
        struct name *topic = names_intern(core->names, decl->subscribes.at[i]);
        if (!topic || !binding_route(b, topic))
            return REFUSE(error, size, "%s: %s: subscribes to %s but has no handler for it", m->path, decl->id,
                          decl->subscribes.at[i]);
    }
    return 0;
}

void binding_clear(struct binding *b)
{
    free(b->slots);
    json_decref(b->settings);
    b->slots = NULL;
    b->settings = NULL;
}

/* ---- components -------------------------------------------------------------------------------------------------- */

static int nothing(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route)
{
    (void)instance;
    (void)t;
    (void)m;
    (void)route;
    return CVM_ENOENT;
}

uint64_t component_salt(const char *id)
{
    return id_hash(id, strlen(id), 0x73616c74);
}

struct component *component_get(struct core *core, const char *id)
{
    struct name *name = names_intern(core->names, id);
    struct component *c;
    if (!name)
        return NULL;
    for (uint32_t i = 0; i < core->n_components; i++)
        if (core->components[i]->id == name)
            return core->components[i];
    char lane[CVM_NAME_MAX + 16];
    snprintf(lane, sizeof lane, "component:%s", id);
    struct conversation *own = conversation_open(core, lane, false);
    c = own ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->nothing_decl = (struct manifest_component){.id = name->text, .alias = name->text};
    if (binding_init(core, &c->nothing, &c->nothing_decl, 0) < 0 || !(c->nothing.settings = json_object()) ||
        (core->n_components == core->components_cap &&
         !vector_grow(&core->components, &core->components_cap, sizeof *core->components))) {
        binding_clear(&c->nothing);
        free(c);
        return NULL;
    }
    c->nothing.turn = nothing;
    c->now = &c->nothing;
    c->absent = true;
    c->id = name;
    c->alias = name->text;
    c->salt = component_salt(id);
    c->index = core->n_components;
    core->components[core->n_components++] = c;
    name->component = c;
    if (c->index < PAGE_COMPONENTS_MAX) {
        snprintf(core->page->components[c->index], sizeof core->page->components[0], "%s", id);
        core->page->n_components = core->n_components;
    }
    c->lane = own;
    own->pinned = true;
    own->limit = UINT32_MAX;
    return c;
}

void component_free(struct component *c)
{
    binding_clear(&c->nothing);
    if (!c->plugin && c->now != &c->nothing) {
        binding_clear((struct binding *)(uintptr_t)c->now);
        free((void *)(uintptr_t)c->now);
    }
    json_decref(c->metrics);
    free(c->strikes_at);
    free(c);
}

struct component *registry_add_host(struct core *core, const struct manifest_component *decl, turn_fn turn,
                                    const char *const *types)
{
    size_t n = 0;
    while (types[n])
        n++;
    struct component *c = component_get(core, decl->id);
    struct binding *b = c ? calloc(1, sizeof *b) : NULL;
    if (!b || binding_init(core, b, decl, n) < 0) {
        free(b);
        return NULL;
    }
    b->turn = turn;
    b->settings = json_object();
    b->mailbox = INT64_MAX;
    c->now = b;
    c->absent = false;
    c->alias = decl->alias;
    c->may_all = true;
    for (size_t i = 0; i < n; i++) {
        struct name *type = names_intern(core->names, types[i]);
        if (!type || !add_route(b, type, manifest_find_operation(decl, types[i]), (uint32_t)i))
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

struct table *component_table(const struct component *c, const char *name)
{
    const struct generation *g = c->now->generation;
    for (size_t i = 0; g && i < g->manifest->n_tables; i++)
        if (strcmp(g->tables[i]->decl->name, name) == 0)
            return g->tables[i];
    return NULL;
}
