/* Fills the registry: reads the folders, loads what the operator trusts, checks the plugins against each other, makes
 * their components, topics and tables. The first fault refuses the start and is named with its remedy. */
#include "core/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGISTRY_PLUGINS_MAX 256

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)

struct registry_scan {
    char *manifest[REGISTRY_PLUGINS_MAX];
    bool installed[REGISTRY_PLUGINS_MAX];
    size_t n;
};

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
                return REFUSE(error, size, "the command \"%s\" is claimed by %s and by %s" REGISTRY_ONE_OF_THEM, x->cli,
                              b->component_id, a->component_id);
            if (y && x->path && y->path && strcmp(x->method, y->method) == 0 && same_path(x->path, y->path))
                return REFUSE(error, size, "the route %s %s is claimed by %s and by %s" REGISTRY_ONE_OF_THEM, x->method,
                              x->path, b->component_id, a->component_id);
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
            json_array_append_new(
                core->component_list,
                json_pack("{s:s, s:s?, s:s, s:o, s:o, s:s}", "id", c->id->text, "alias", c->alias, "kind",
                          manifest_kind_name(c->decl->kind), "roles", manifest_strings_json(&c->decl->roles), "next",
                          manifest_strings_json(&c->decl->next), "plugin", c->plugin->manifest->name));
    }
}

static int add_tables(struct core *core, struct plugin *p, char *error, size_t size)
{
    for (size_t i = 0; i < p->manifest->n_tables; i++) {
        const struct manifest_table *decl = &p->manifest->tables[i];
        for (struct table *t = core->tables; t; t = t->next)
            if (strcmp(t->decl->name, decl->name) == 0)
                return REFUSE(error, size, "the table %s is declared by plugins %s and %s" REGISTRY_ONE_OF_THEM,
                              decl->name, t->plugin->manifest->name, p->manifest->name);
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
            e = component_register(core, p, &p->manifest->components[i], error, size);
        if (!e)
            e = add_tables(core, p, error, size);
    }
    for (uint32_t i = 0; i < core->n_components && !e; i++) {
        component_link(core, core->components[i]);
        e = component_subscribe(core, core->components[i], error, size);
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
