/* Owns plugins, components, topics and tables: read from the folders, checked against each other, made ready so that a
 * message finds its handler by two table look-ups. */
#include "core/internal.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGISTRY_PLUGINS_MAX 256

#define ONE_OF_THEM "; take one of them out, or name it in plugins.disabled"
#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)

struct registry_scan {
    char *manifest[REGISTRY_PLUGINS_MAX];
    bool installed[REGISTRY_PLUGINS_MAX];
    size_t n;
};

/* ---- looking up ----------------------------------------------------------------------------------------------------
 */

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

/* ---- reading the folders -------------------------------------------------------------------------------------------
 */

static void scan_folder(struct registry_scan *scan, const char *folder, bool installed)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t begin = scan->n;
    while (dir && (entry = readdir(dir)) && scan->n < REGISTRY_PLUGINS_MAX) {
        char path[4096];
        size_t len = strlen(entry->d_name);
        bool known = false;
        if (len < 6 || strcmp(entry->d_name + len - 5, ".json") != 0 || entry->d_name[0] == '.')
            continue;
        for (size_t i = 0; i < begin; i++) {
            const char *base = strrchr(scan->manifest[i], '/');
            known = known || strcmp(base + 1, entry->d_name) == 0;
        }
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!known && (scan->manifest[scan->n] = strdup(path)))
            scan->installed[scan->n++] = installed;
    }
    if (dir)
        closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    const struct plugin *x = *(struct plugin *const *)a, *y = *(struct plugin *const *)b;
    return strcmp(x->manifest->name, y->manifest->name);
}

static bool listed(const json_t *array, const char *name)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i,
                       value) if (json_is_string(value) && (strcmp(json_string_value(value), name) == 0 ||
                                                            strcmp(json_string_value(value), "*") == 0)) return true;
    return false;
}

/* Where the library of a manifest lies: in HOME/plugins, beside a dropped-in manifest, or in the installed set. A file
 * that is there and cannot be read is given too: opening it says why. */
static int find_library(const struct core *core, const struct manifest *m, bool installed, char ret_path[4096],
                        char *error, size_t size)
{
    const char *slash = strrchr(m->path, '/');
    int n = installed ? snprintf(ret_path, 4096, "%s/plugins/%s", core->options.installed, m->library)
                      : snprintf(ret_path, 4096, "%s/plugins/%s", core->home, m->library);
    if (access(ret_path, F_OK) != 0)
        n = snprintf(ret_path, 4096, "%.*s/%s", (int)(slash - m->path), m->path, m->library);
    if (n >= 4096 || access(ret_path, F_OK) != 0)
        return REFUSE(error, size, "%s: its library %s is not in %s/plugins: copy it there", m->path, m->library,
                      installed ? core->options.installed : core->home);
    return 0;
}

static int load_one(struct core *core, const char *path, bool installed, struct plugin **ret_plugin, char *error,
                    size_t size)
{
    char library[4096];
    struct plugin *p = calloc(1, sizeof *p);
    if (!p)
        return REFUSE(error, size, "out of memory");
    int e = manifest_load(path, &p->manifest, error, size);
    if (e)
        goto fail;
    if (listed(config_get(core->options.config, "plugins.disabled"), p->manifest->name)) {
        log_info(p->manifest->name, "disabled in the configuration");
        goto fail;
    }
    if (!installed && !listed(config_get(core->options.config, "plugins.inline"), p->manifest->name)) {
        e = REFUSE(
            error, size,
            "%s: plugin %s is not part of the installed set, and a process of its own for it is not available "
            "yet; to trust it inside the host add \"%s\" to plugins.inline in config/cvmhost.json (\"*\" trusts all)",
            path, p->manifest->name, p->manifest->name);
        goto fail;
    }
    e = find_library(core, p->manifest, installed, library, error, size);
    if (!e)
        e = loader_load(core, p, library, error, size);
    if (e)
        goto fail;
    *ret_plugin = p;
    return 0;
fail:
    loader_unload(p);
    manifest_free(p->manifest);
    free(p);
    return e;
}

/* ---- making components ---------------------------------------------------------------------------------------------
 */

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

static int add_component(struct core *core, struct plugin *p, const struct manifest_component *decl, char *error,
                         size_t size)
{
    const cvm_route *routes = p->descriptor->routes;
    const struct manifest *m = p->manifest;
    size_t n = 0;
    struct name *taken = names_find(core->names, decl->id);
    if (taken && taken->component)
        return REFUSE(error, size, "%s: component id %s is already taken by plugin %s" ONE_OF_THEM, m->path, decl->id,
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

static int add_topics(struct core *core, struct component *c, char *error, size_t size)
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

static void link_component(struct core *core, struct component *c)
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

/* ---- checks across plugins ----------------------------------------------------------------------------------------
 */

/* Two routes collide where every part is equal or a parameter. */
static bool same_path(const char *a, const char *b)
{
    while (*a == '/' && *b == '/') {
        size_t n = strcspn(++a, "/"), m = strcspn(++b, "/");
        if (!(*a == '{' && *b == '{') && (n != m || strncmp(a, b, n) != 0))
            return false;
        a += n;
        b += m;
    }
    return *a == *b;
}

static int check_operations(struct core *core, char *error, size_t size)
{
    for (size_t i = 0; i < core->n_operations; i++) {
        const struct operation *a = &core->operations[i];
        const struct manifest_expose *x = a->decl->expose;
        for (size_t k = 0; x && k < i; k++) {
            const struct operation *b = &core->operations[k];
            const struct manifest_expose *y = b->decl->expose;
            if (y && x->cli && y->cli && strcmp(x->cli, y->cli) == 0)
                return REFUSE(error, size, "the command \"%s\" is claimed by %s and by %s" ONE_OF_THEM, x->cli,
                              b->component_id, a->component_id);
            if (y && x->path && y->path && strcmp(x->method, y->method) == 0 && same_path(x->path, y->path))
                return REFUSE(error, size, "the route %s %s is claimed by %s and by %s" ONE_OF_THEM, x->method, x->path,
                              b->component_id, a->component_id);
        }
    }
    return 0;
}

static int by_component(const void *a, const void *b)
{
    const struct operation *x = a, *y = b;
    int d = strcmp(x->component_id, y->component_id);
    return d ? d : (x->decl > y->decl) - (x->decl < y->decl);
}

static int list_operations(struct core *core, char *error, size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < core->n_components; i++)
        n += core->components[i]->plugin ? core->components[i]->decl->n_operations : 0;
    core->operations = calloc(n + 1, sizeof *core->operations);
    if (!core->operations)
        return REFUSE(error, size, "out of memory");
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct component *c = core->components[i];
        for (size_t k = 0; c->plugin && k < c->decl->n_operations; k++)
            core->operations[core->n_operations++] = (struct operation){.component_id = c->id->text,
                                                                        .alias = c->alias,
                                                                        .plugin = c->plugin->manifest->name,
                                                                        .kind = c->decl->kind,
                                                                        .decl = &c->decl->operations[k],
                                                                        .document = c->plugin->manifest->doc};
    }
    qsort(core->operations, core->n_operations, sizeof *core->operations, by_component);
    return check_operations(core, error, size);
}

static json_t *strings_json(const struct manifest_strings *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(array, json_string(s->at[i]));
    return array;
}

static void list_for_components(struct core *core)
{
    core->domains = json_array();
    core->component_list = json_array();
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (p->manifest->domain)
            json_array_append(core->domains, p->manifest->domain);
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct component *c = core->components[i];
        if (c->plugin)
            json_array_append_new(core->component_list,
                                  json_pack("{s:s, s:s?, s:s, s:o, s:o, s:s}", "id", c->id->text, "alias", c->alias,
                                            "kind", manifest_kind_name(c->decl->kind), "roles",
                                            strings_json(&c->decl->roles), "next", strings_json(&c->decl->next),
                                            "plugin", c->plugin->manifest->name));
    }
}

static int add_tables(struct core *core, struct plugin *p, char *error, size_t size)
{
    for (size_t i = 0; i < p->manifest->n_tables; i++) {
        const struct manifest_table *decl = &p->manifest->tables[i];
        for (struct table *t = core->tables; t; t = t->next)
            if (strcmp(t->decl->name, decl->name) == 0)
                return REFUSE(error, size, "the table %s is declared by plugins %s and %s" ONE_OF_THEM, decl->name,
                              t->plugin->manifest->name, p->manifest->name);
        struct table *t = calloc(1, sizeof *t);
        if (!t)
            return REFUSE(error, size, "out of memory");
        *t = (struct table){.decl = decl, .plugin = p, .next = core->tables};
        core->tables = t;
        int e = store_table(journal_store(core), t, error, size);
        if (e)
            return e;
    }
    return 0;
}

static int register_plugins(struct core *core, char *error, size_t size)
{
    int e = 0;
    for (struct plugin *p = core->plugins; p && !e; p = p->next) {
        p->components = calloc(p->manifest->n_components + 1, sizeof *p->components);
        for (size_t i = 0; p->components && i < p->manifest->n_components && !e; i++)
            e = add_component(core, p, &p->manifest->components[i], error, size);
        if (!e)
            e = add_tables(core, p, error, size);
    }
    for (uint32_t i = 0; i < core->n_components && !e; i++) {
        link_component(core, core->components[i]);
        e = add_topics(core, core->components[i], error, size);
    }
    if (!e)
        e = list_operations(core, error, size);
    if (!e)
        list_for_components(core);
    core->registry_version++;
    return e;
}

int registry_load(struct core *core, char *error, size_t size)
{
    struct registry_scan scan = {.n = 0};
    struct plugin *all[REGISTRY_PLUGINS_MAX];
    size_t n = 0;
    char folder[4096];
    int e = 0;
    snprintf(folder, sizeof folder, "%s/manifests", core->home);
    scan_folder(&scan, folder, false);
    snprintf(folder, sizeof folder, "%s/plugins", core->home);
    scan_folder(&scan, folder, false);
    if (core->options.installed) {
        snprintf(folder, sizeof folder, "%s/../../share/cvmhost/manifests", core->options.installed);
        scan_folder(&scan, folder, true);
    }
    for (size_t i = 0; i < scan.n; i++) {
        struct plugin *p = NULL;
        if (!e)
            e = load_one(core, scan.manifest[i], scan.installed[i], &p, error, size);
        if (p)
            all[n++] = p;
        free(scan.manifest[i]);
    }
    qsort(all, n, sizeof *all, by_name);
    while (n) {
        all[n - 1]->next = core->plugins;
        core->plugins = all[--n];
    }
    for (const struct plugin *p = core->plugins; p && p->next && !e; p = p->next)
        if (strcmp(p->manifest->name, p->next->manifest->name) == 0)
            e = REFUSE(error, size, "plugin name %s is claimed by %s and %s; take one of them out", p->manifest->name,
                       p->manifest->path, p->next->manifest->path);
    return e ? e : register_plugins(core, error, size);
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
