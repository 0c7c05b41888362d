/* What the generations in service say together: operations, roles, topics, domains, whom each may send to. It is built
 * aside from the bindings that are to be, checked as a whole, and then exchanged; the first fault is named with its
 * remedy. */
#include "core/internal.h"

#include "harness/workflows.h"
#include <cvm/json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)
#define ONE_OF_THEM "; take one of them out, or name it in plugins.disabled"

/* ---- looking up -------------------------------------------------------------------------------------------------- */

static bool in_area(const struct component *c, const char *area)
{
    size_t n = strlen(area);
    return strncmp(c->id->text, area, n) == 0 && c->id->text[n] == '.';
}

struct component *registry_find(const struct core *core, const char *text, const char *area)
{
    struct name *name = names_find(core->names, text);
    struct component *found = name ? name->component : NULL;
    if (found)
        return found->absent ? NULL : found;
    for (uint32_t i = 0; name && i < core->n_components; i++) {
        struct component *c = core->components[i];
        if (c->absent || !c->alias || strcmp(c->alias, text) != 0 || (area && !in_area(c, area)))
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

static bool matches(const struct manifest_component *decl, const char *pattern)
{
    if (strncmp(pattern, "role:", 5) == 0)
        return has_string(&decl->roles, pattern + 5);
    return strcmp(pattern, "*") == 0 || strcmp(pattern, decl->id) == 0 ||
           (decl->alias && strcmp(pattern, decl->alias) == 0);
}

bool registry_component_matches(const struct component *c, const char *pattern)
{
    return matches(c->now->decl, pattern);
}

static bool serves(const struct component *c, const json_t *fields)
{
    const char *field;
    json_t *accepted;
    json_object_foreach((json_t *)(uintptr_t)c->now->decl->serves, field, accepted)
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

/* Place in the operator's order of the role's holders; SIZE_MAX: not in it. */
static size_t rank_of(const json_t *order, const struct component *c)
{
    size_t i;
    json_t *id;
    json_array_foreach(order, i,
                       id) if (json_is_string(id) && strcmp(json_string_value(id), c->id->text) == 0) return i;
    return SIZE_MAX;
}

/* A turn that chooses by it says so in its record. */
static bool is_sick(struct core *core, const struct component *c)
{
    bool sick = core->replay ? replay_met(core, "sick", c->id->text) : c->down || c->closing;
    if (sick && core->turn.message)
        turn_met(&core->turn, "sick", c->id->text);
    return sick;
}

/* The first healthy holder that serves these fields, in the operator's order, else by id; a sick one if all are. */
struct component *registry_role(struct core *core, const char *role, const json_t *fields)
{
    struct component *best = NULL;
    bool best_sick = false;
    const json_t *order = json_object_get(config_get(core->options.config, "roles"), role);
    for (uint32_t i = 0; i < core->n_components; i++) {
        struct component *c = core->components[i];
        if (!has_string(&c->now->decl->roles, role) || !serves(c, fields))
            continue;
        bool sick = is_sick(core, c);
        size_t rank = rank_of(order, c), best_rank = best ? rank_of(order, best) : SIZE_MAX;
        if (!best || (sick != best_sick   ? best_sick
                      : rank != best_rank ? rank < best_rank
                                          : strcmp(c->id->text, best->id->text) < 0)) {
            best = c;
            best_sick = sick;
        }
    }
    return best;
}

struct plugin *registry_plugin(const struct core *core, const char *name)
{
    for (struct plugin *p = core->plugins; p; p = p->next)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

const struct operation *registry_operations(const struct core *core, size_t *ret_n)
{
    *ret_n = core->registry ? core->registry->n_operations : 0;
    return core->registry ? core->registry->operations : NULL;
}

const struct registry_page *registry_pages(const struct core *core, size_t *ret_n)
{
    *ret_n = core->registry ? core->registry->n_pages : 0;
    return core->registry ? core->registry->all_pages : NULL;
}

const struct registry_stream *registry_streams(const struct core *core, size_t *ret_n)
{
    *ret_n = core->registry ? core->registry->n_streams : 0;
    return core->registry ? core->registry->streams : NULL;
}

uint64_t registry_version(const struct core *core)
{
    return core->registry_version;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

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

static int check_operations(const struct core *core, const struct registry *r, char *error, size_t size)
{
    for (size_t i = 0; i < r->n_operations; i++) {
        const struct operation *a = &r->operations[i];
        const struct manifest_expose *x = a->decl->expose;
        const char *own = x && core->options.owns ? core->options.owns(x) : NULL;
        if (own)
            return REFUSE(error, size,
                          "the %s \"%s\" belongs to the host already: rename it in the manifest of plugin %s, or name "
                          "that in plugins.disabled",
                          *own == '/' ? "route" : "command", own, a->plugin);
        for (size_t k = 0; x && k < i; k++) {
            const struct operation *b = &r->operations[k];
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

/* A model has one plugin that declares it. */
static int check_models(const struct core *core, const struct binding *const *future, char *error, size_t size)
{
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct generation *a = future[i]->generation;
        for (uint32_t k = 0; a && k < i; k++) {
            const struct generation *b = future[k]->generation;
            for (size_t x = 0; b && a->plugin != b->plugin && x < a->manifest->n_models; x++)
                for (size_t y = 0; y < b->manifest->n_models; y++)
                    if (strcmp(a->manifest->models[x].name, b->manifest->models[y].name) == 0)
                        return REFUSE(error, size, "the model \"%s\" is declared by %s and by %s" ONE_OF_THEM,
                                      a->manifest->models[x].name, b->plugin->name, a->plugin->name);
        }
    }
    return 0;
}

static int list_operations(struct registry *r, const struct core *core, const struct binding *const *future,
                           char *error, size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < core->n_components; i++)
        n += future[i]->generation ? future[i]->decl->n_operations : 0;
    r->operations = calloc(n + 1, sizeof *r->operations);
    if (!r->operations)
        return REFUSE(error, size, "out of memory");
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct binding *b = future[i];
        for (size_t k = 0; b->generation && k < b->decl->n_operations; k++)
            r->operations[r->n_operations++] = (struct operation){.component_id = core->components[i]->id->text,
                                                                  .alias = b->decl->alias,
                                                                  .plugin = b->generation->manifest->name,
                                                                  .kind = b->decl->kind,
                                                                  .decl = &b->decl->operations[k],
                                                                  .document = b->generation->manifest->doc};
    }
    qsort(r->operations, r->n_operations, sizeof *r->operations, by_component);
    return check_operations(core, r, error, size);
}

static bool first_of_generation(const struct binding *const *future, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (future[k]->generation == future[i]->generation)
            return false;
    return future[i]->generation != NULL;
}

static int by_domain(const void *a, const void *b)
{
    const struct generation *x = *(const struct generation *const *)a, *y = *(const struct generation *const *)b;
    return strcmp(x->plugin->name, y->plugin->name);
}

static int by_page(const void *a, const void *b)
{
    const struct registry_page *x = a, *y = b;
    int d = strcmp(x->decl->path, y->decl->path);
    return d ? d : strcmp(x->plugin, y->plugin);
}

static int check_pages(const struct core *core, const struct registry *r, char *error, size_t size)
{
    for (size_t i = 0; i < r->n_pages; i++) {
        const struct registry_page *page = &r->all_pages[i];
        const char *path = page->decl->path;
        struct manifest_expose as_route = {.path = path};
        if (core->options.owns && core->options.owns(&as_route))
            return REFUSE(error, size, "the page %s of plugin %s belongs to the host already: give it another path",
                          path, page->plugin);
        if (i && strcmp(r->all_pages[i - 1].decl->path, path) == 0)
            return REFUSE(error, size, "the page %s is claimed by %s and by %s" ONE_OF_THEM, path,
                          r->all_pages[i - 1].plugin, page->plugin);
        for (size_t k = 0; k < r->n_operations; k++) {
            const struct manifest_expose *x = r->operations[k].decl->expose;
            if (x && x->path && strcmp(x->path, path) == 0)
                return REFUSE(error, size, "the page %s of plugin %s is a route of %s" ONE_OF_THEM, path, page->plugin,
                              r->operations[k].component_id);
        }
    }
    return 0;
}

/* Those with a title, for people to find. */
static int tell_pages(struct registry *r)
{
    r->pages = json_array();
    for (size_t i = 0; r->pages && i < r->n_pages; i++) {
        const struct manifest_page *page = r->all_pages[i].decl;
        if (page->title &&
            json_array_append_new(r->pages, json_pack("{s:s, s:s, s:b, s:s}", "path", page->path, "title", page->title,
                                                      "nav", page->nav, "plugin", r->all_pages[i].plugin)) < 0)
            return CVM_ENOMEM;
    }
    return r->pages ? 0 : CVM_ENOMEM;
}

static int list_pages(struct registry *r, const struct core *core, const struct binding *const *future, char *error,
                      size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < core->n_components; i++)
        n += first_of_generation(future, i) ? future[i]->generation->manifest->n_pages : 0;
    r->all_pages = calloc(n + 1, sizeof *r->all_pages);
    if (!r->all_pages)
        return REFUSE(error, size, "out of memory");
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct manifest *m = first_of_generation(future, i) ? future[i]->generation->manifest : NULL;
        for (size_t k = 0; m && k < m->n_pages; k++)
            r->all_pages[r->n_pages++] = (struct registry_page){m->name, &m->pages[k]};
    }
    qsort(r->all_pages, r->n_pages, sizeof *r->all_pages, by_page);
    CVM_TRY(check_pages(core, r, error, size));
    return tell_pages(r) < 0 ? REFUSE(error, size, "out of memory") : 0;
}

static int by_stream(const void *a, const void *b)
{
    const struct registry_stream *x = a, *y = b;
    int d = strcmp(x->decl->path, y->decl->path);
    return d ? d : strcmp(x->plugin, y->plugin);
}

static int check_streams(const struct core *core, const struct registry *r, char *error, size_t size)
{
    for (size_t i = 0; i < r->n_streams; i++) {
        const char *path = r->streams[i].decl->path, *plugin = r->streams[i].plugin;
        struct manifest_expose as_route = {.path = path};
        if (core->options.owns && core->options.owns(&as_route))
            return REFUSE(error, size, "the stream %s of plugin %s belongs to the host already: give it another path",
                          path, plugin);
        if (i && strcmp(r->streams[i - 1].decl->path, path) == 0)
            return REFUSE(error, size, "the stream %s is claimed by %s and by %s" ONE_OF_THEM, path,
                          r->streams[i - 1].plugin, plugin);
        for (size_t k = 0; k < r->n_pages; k++)
            if (strcmp(r->all_pages[k].decl->path, path) == 0)
                return REFUSE(error, size, "the stream %s of plugin %s is a page of %s" ONE_OF_THEM, path, plugin,
                              r->all_pages[k].plugin);
        for (size_t k = 0; k < r->n_operations; k++) {
            const struct manifest_expose *x = r->operations[k].decl->expose;
            if (x && x->path && strcmp(x->path, path) == 0 && strcmp(x->method, "GET") == 0)
                return REFUSE(error, size, "the stream %s of plugin %s is a route of %s" ONE_OF_THEM, path, plugin,
                              r->operations[k].component_id);
        }
    }
    return 0;
}

static int add_streamed(struct registry *r, struct core *core, const char *topic)
{
    const struct name *name = names_intern(core->names, topic);
    for (uint32_t i = 0; name && i < r->streamed.n; i++)
        if (r->streamed.at[i] == name)
            return 0;
    return name && VECTOR_PUSH(r->streamed, name) ? 0 : CVM_ENOMEM;
}

/* After operations and pages. */
static int list_streams(struct registry *r, struct core *core, const struct binding *const *future, char *error,
                        size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < core->n_components; i++)
        n += first_of_generation(future, i) ? future[i]->generation->manifest->n_streams : 0;
    r->streams = calloc(n + 1, sizeof *r->streams);
    if (!r->streams)
        return REFUSE(error, size, "out of memory");
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct manifest *m = first_of_generation(future, i) ? future[i]->generation->manifest : NULL;
        for (size_t k = 0; m && k < m->n_streams; k++) {
            r->streams[r->n_streams++] = (struct registry_stream){m->name, &m->streams[k]};
            for (size_t t = 0; t < m->streams[k].topics.n; t++)
                if (add_streamed(r, core, m->streams[k].topics.at[t]) < 0)
                    return REFUSE(error, size, "out of memory");
        }
    }
    qsort(r->streams, r->n_streams, sizeof *r->streams, by_stream);
    return check_streams(core, r, error, size);
}

static void keep_equal(json_t *was, json_t **is)
{
    if (!json_equal(was, *is))
        return;
    json_decref(*is);
    *is = json_incref(was);
}

/* The texts of a domain's folder are many: who asks for domains does not get them. */
static int list_domain(struct registry *r, const struct manifest *m)
{
    const json_t *texts = json_object_get(m->domain, "knowledge"), *text;
    json_t *domain = json_copy(m->domain);
    size_t i;
    json_object_del(domain, "knowledge");
    if (!domain || json_array_append_new(r->domains, domain) < 0)
        return CVM_ENOMEM;
    json_array_foreach(texts, i, text)
    {
        json_t *one =
            json_pack("{s:s, s:s?, s:O, s:O}", "plugin", m->name, "domain", cvm_json_str(m->domain, "name", NULL),
                      "file", json_object_get(text, "file"), "text", json_object_get(text, "text"));
        if (json_array_append_new(r->knowledge, one) < 0)
            return CVM_ENOMEM;
    }
    return 0;
}

static json_t *operation_names(const struct manifest_component *c)
{
    json_t *names = json_array();
    for (size_t i = 0; i < c->n_operations; i++)
        json_array_append_new(names, json_string(c->operations[i].type));
    return names;
}

/* By the plugins' names, so that the order says nothing of when each was loaded. */
static int list_for_components(struct registry *r, const struct core *core, const struct binding *const *future)
{
    const struct generation **all = calloc(core->n_components + 1, sizeof(*all));
    size_t n = 0;
    r->domains = json_array();
    r->components = json_array();
    r->knowledge = json_array();
    if (!all || !r->domains || !r->components || !r->knowledge) {
        free(all);
        return CVM_ENOMEM;
    }
    for (uint32_t i = 0; i < core->n_components; i++)
        if (first_of_generation(future, i))
            all[n++] = future[i]->generation;
    qsort(all, n, sizeof(*all), by_domain);
    for (size_t g = 0; g < n; g++) {
        const struct manifest *m = all[g]->manifest;
        if (m->domain && list_domain(r, m) < 0) {
            free(all);
            return CVM_ENOMEM;
        }
        for (size_t i = 0; i < m->n_components; i++) {
            const struct manifest_component *c = &m->components[i];
            json_array_append_new(
                r->components,
                json_pack("{s:s, s:s?, s:s, s:o, s:o, s:s, s:s, s:o, s:o}", "id", c->id, "alias", c->alias, "kind",
                          manifest_kind_name(c->kind), "roles", manifest_strings_json(&c->roles), "next",
                          manifest_strings_json(&c->next), "plugin", m->name, "version", m->version, "tools",
                          c->tools ? cvm_json_share(c->tools) : json_array(), "operations", operation_names(c)));
        }
    }
    free(all);
    if (core->registry) { /* the same value stays the same: components that made something of it need not make it anew
                           */
        keep_equal(core->registry->domains, &r->domains);
        keep_equal(core->registry->components, &r->components);
        keep_equal(core->registry->knowledge, &r->knowledge);
        keep_equal(core->registry->pages, &r->pages);
    }
    return 0;
}

/* ---- workflows ---- */

/* Of every plugin in service once, by name. Gives an array of `n` for free(). */
static const struct generation **generations_of(const struct core *core, const struct binding *const *future,
                                                size_t *ret_n)
{
    const struct generation **all = calloc(core->n_components + 1, sizeof(*all));
    size_t n = 0;
    for (uint32_t i = 0; all && i < core->n_components; i++)
        if (first_of_generation(future, i))
            all[n++] = future[i]->generation;
    if (all)
        qsort(all, n, sizeof(*all), by_domain);
    *ret_n = n;
    return all;
}

static json_t *workflow_named(json_t *workflows, const char *name)
{
    for (size_t i = 0; i < json_array_size(workflows); i++)
        if (strcmp(cvm_json_str(json_array_get(workflows, i), "name", ""), name) == 0)
            return json_array_get(workflows, i);
    return NULL;
}

static int take_whole(struct registry *r, const struct manifest *m, char *error, size_t size)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)m->workflows, i, one)
    {
        const char *name = cvm_json_str(one, "name", "");
        const json_t *steps = json_object_get(one, "steps"), *other = workflow_named(r->workflows, name);
        if (steps && other)
            return REFUSE(error, size, "the workflow \"%s\" is declared by %s and by %s" ONE_OF_THEM, name,
                          cvm_json_str(other, "plugin", ""), m->name);
        if (steps &&
            json_array_append_new(r->workflows, json_pack("{s:s, s:s, s:O?, s:o, s:{}}", "name", name, "plugin",
                                                          m->name, "description", json_object_get(one, "description"),
                                                          "steps", workflows_normal(steps), "added")) < 0)
            return CVM_ENOMEM;
    }
    return 0;
}

/* Steps for a workflow that nobody declares wait for it. */
static int take_added(struct registry *r, const struct manifest *m, char *error, size_t size)
{
    struct workflow_fault fault;
    size_t i, k;
    json_t *one, *add;
    json_array_foreach((json_t *)(uintptr_t)m->workflows, i, one)
    {
        json_t *workflow = workflow_named(r->workflows, cvm_json_str(one, "name", ""));
        json_t *added = json_object_get(workflow, "added");
        json_array_foreach(json_object_get(one, "add"), k, add)
        {
            int e = workflow ? workflows_add(json_object_get(workflow, "steps"), added, add, &fault) : 0;
            if (e == CVM_EINVAL)
                return REFUSE(error, size, "%s: workflows[%zu].add[%zu].%s: %s", m->path, i, k, fault.field,
                              fault.text);
            CVM_TRY(e);
        }
    }
    return 0;
}

static int list_workflows(struct registry *r, const struct core *core, const struct binding *const *future, char *error,
                          size_t size)
{
    struct workflow_fault fault;
    size_t n, i;
    json_t *one;
    const struct generation **all = generations_of(core, future, &n);
    r->workflows = json_array();
    int e = all && r->workflows ? 0 : CVM_ENOMEM;
    for (size_t g = 0; g < n && !e; g++)
        e = take_whole(r, all[g]->manifest, error, size);
    for (size_t g = 0; g < n && !e; g++)
        e = take_added(r, all[g]->manifest, error, size);
    free(all);
    json_array_foreach(r->workflows, i, one)
    {
        bool more = json_object_size(json_object_get(one, "added")) > 0;
        json_object_del(one, "added");
        if (!e && more && (e = workflows_check(json_object_get(one, "steps"), &fault)) == CVM_EINVAL)
            e = REFUSE(error, size, "the workflow \"%s\" with what plugins add to it: %s: %s",
                       cvm_json_str(one, "name", ""), fault.field, fault.text);
    }
    if (!e && core->registry)
        keep_equal(core->registry->workflows, &r->workflows);
    return e;
}

static int link_components(struct registry *r, const struct core *core, const struct binding *const *future)
{
    r->n_components = core->n_components;
    r->words = core->n_components / 64 + 1;
    r->may_send = calloc((size_t)core->n_components * r->words + 1, sizeof *r->may_send);
    if (!r->may_send)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct manifest_component *from = future[i]->decl;
        for (size_t p = 0; p < from->may_send_to.n; p++) {
            for (uint32_t k = 0; k < core->n_components; k++)
                if (matches(future[k]->decl, from->may_send_to.at[p]))
                    r->may_send[i * r->words + k / 64] |= UINT64_C(1) << (k % 64);
        }
    }
    return 0;
}

static bool is_id(const struct core *core, const struct name *name)
{
    for (uint32_t i = 0; i < core->n_components; i++)
        if (core->components[i]->id == name)
            return true;
    return false;
}

static int list_aliases(struct registry *r, struct core *core, const struct binding *const *future)
{
    for (uint32_t i = 0; i < core->n_components; i++) {
        const char *alias = future[i]->decl->alias;
        bool shared = false;
        if (!alias || strcmp(alias, core->components[i]->id->text) == 0)
            continue;
        for (uint32_t k = 0; k < core->n_components; k++)
            shared = shared || (k != i && future[k]->decl->alias && strcmp(future[k]->decl->alias, alias) == 0);
        struct alias one = {.name = names_intern(core->names, alias), .component = core->components[i]};
        if (!one.name || (!shared && !is_id(core, one.name) && !VECTOR_PUSH(r->aliases, one)))
            return CVM_ENOMEM;
    }
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct component *x = *(struct component *const *)a, *y = *(struct component *const *)b;
    return strcmp(x->id->text, y->id->text);
}

static int list_topics(struct registry *r, struct core *core, const struct binding *const *future, char *error,
                       size_t size)
{
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct manifest_strings *subscribes = &future[i]->decl->subscribes;
        for (size_t s = 0; s < subscribes->n; s++) {
            const struct name *name = names_intern(core->names, subscribes->at[s]);
            struct topic *topic = NULL;
            for (uint32_t k = 0; k < r->topics.n; k++)
                if (r->topics.at[k]->name == name)
                    topic = r->topics.at[k];
            if (!topic) {
                topic = calloc(1, sizeof *topic);
                if (!topic || !name || !VECTOR_PUSH(r->topics, topic)) {
                    free(topic);
                    return REFUSE(error, size, "out of memory");
                }
                topic->name = name;
            }
            if (topic->subscribers.n >= CORE_PUBLISH_MAX || !VECTOR_PUSH(topic->subscribers, core->components[i]))
                return REFUSE(error, size, "topic %s has more than %d subscribers", name->text, CORE_PUBLISH_MAX);
        }
    }
    for (uint32_t i = 0; i < r->topics.n; i++) /* not by the order in which they were loaded, which no record tells */
        qsort(r->topics.at[i]->subscribers.at, r->topics.at[i]->subscribers.n, sizeof(struct component *), by_id);
    return 0;
}

int registry_build(struct core *core, const struct binding *const *future, struct registry **ret_registry, char *error,
                   size_t size)
{
    struct registry *r = calloc(1, sizeof *r);
    int e = r ? list_operations(r, core, future, error, size) : CVM_ENOMEM;
    snprintf(error, e == CVM_ENOMEM ? size : 0, "out of memory");
    if (!e)
        e = check_models(core, future, error, size);
    if (!e)
        e = list_pages(r, core, future, error, size);
    if (!e)
        e = list_streams(r, core, future, error, size);
    if (!e)
        e = list_topics(r, core, future, error, size);
    if (!e && (e = list_workflows(r, core, future, error, size)) == CVM_ENOMEM)
        snprintf(error, size, "out of memory");
    if (!e && (list_for_components(r, core, future) < 0 || link_components(r, core, future) < 0 ||
               list_aliases(r, core, future) < 0))
        e = REFUSE(error, size, "out of memory");
    if (e) {
        registry_free(r);
        return e;
    }
    *ret_registry = r;
    return 0;
}

/* Each as by a subscription to what the host says of itself. */
static void tell_changed(struct core *core, struct alarm *alarm)
{
    (void)alarm;
    for (uint32_t i = 0; i < core->registry->topics.n; i++) {
        const struct topic *topic = core->registry->topics.at[i];
        for (uint32_t k = 0; topic->name == core->name_registry && k < topic->subscribers.n; k++) {
            struct component *c = topic->subscribers.at[k];
            struct message *m =
                component_route(c, core->name_registry) ? host_message(core, c, core->name_registry) : NULL;
            if (m)
                post(core, m);
        }
    }
}

static void complain_of_pages(const struct registry *r)
{
    for (size_t i = 0; i < r->n_pages; i++)
        if (r->all_pages[i].decl->missing)
            log_warning("http", "%s is answered 404: plugin %s serves %s there, and no package has brought that",
                        r->all_pages[i].decl->path, r->all_pages[i].plugin, r->all_pages[i].decl->missing);
}

/* Gives back the registry that was in service; NULL: none. */
struct registry *registry_exchange(struct core *core, struct registry *r)
{
    struct registry *old = core->registry;
    for (uint32_t i = 0; old && i < old->aliases.n; i++)
        if (old->aliases.at[i].name->component == old->aliases.at[i].component) /* else an id by now */
            old->aliases.at[i].name->component = NULL;
    for (uint32_t i = 0; i < r->aliases.n; i++)
        r->aliases.at[i].name->component = r->aliases.at[i].component;
    for (uint32_t i = 0; i < r->n_components; i++)
        core->components[i]->may_send = r->may_send + i * r->words;
    core->registry = r;
    core->registry_version++;
    if (!core->replay)
        complain_of_pages(r);
    core->facts++;
    if (core->accepting && !core->replay && !core->registry_told.index)
        alarm_set(core, &core->registry_told, core->now_ms, tell_changed);
    return old;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->topics.n; i++) {
        free(r->topics.at[i]->subscribers.at);
        free(r->topics.at[i]);
    }
    free(r->topics.at);
    json_decref(r->domains);
    json_decref(r->components);
    json_decref(r->knowledge);
    json_decref(r->pages);
    free(r->all_pages);
    free(r->streams);
    free(r->streamed.at);
    json_decref(r->workflows);
    free(r->operations);
    free(r->may_send);
    free(r->aliases.at);
    free(r);
}
