/* Makes a harness, adds plugins to it, shows what is in it. See cvm/harness.h. */
#include "private.h"
#include "workflows.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define START_MS INT64_C(1767225600000) /* 2026-01-01T00:00Z */

_Noreturn void harness__die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("harness: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

void harness__log(struct harness *h, const char *format, ...)
{
    char text[1400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(h->logs, json_string(text));
    if (getenv("CVM_HARNESS_LOG"))
        fprintf(stderr, "%s\n", text);
}

bool harness__lists(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!strcmp(json_string_value(json_array_get(array, i)), text))
            return true;
    return false;
}

struct harness_component *harness__component(struct harness *h, const char *name)
{
    for (size_t i = 0; i < h->n_components; i++)
        if (!strcmp(h->components[i].id, name) || !strcmp(h->components[i].alias, name))
            return &h->components[i];
    return NULL;
}

const json_t *harness__operation(const struct harness_component *c, const char *type)
{
    const json_t *operations = json_object_get(c->decl, "operations");
    for (size_t i = 0; i < json_array_size(operations); i++)
        if (!strcmp(cvm_json_str(json_array_get(operations, i), "type", ""), type))
            return json_array_get(operations, i);
    return NULL;
}

/* ---- making ---- */

struct harness *harness_new(int64_t now_ms)
{
    struct harness *h = calloc(1, sizeof *h);
    if (!h)
        harness__die("out of memory");
    h->now = now_ms ? now_ms : START_MS;
    json_t **arrays[] = {&h->registry, &h->domains, &h->workflows, &h->pages, &h->stubs,
                         &h->sent,     &h->timers,  &h->notes,     &h->logs,  &h->retired};
    json_t **objects[] = {&h->rows, &h->contexts, &h->results, &h->secrets, &h->models, &h->tables};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = json_array();
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        *objects[i] = json_object();
    return h;
}

static void retire(const struct harness_plugin *p)
{
    if (p->descriptor->stop)
        p->descriptor->stop(p->instance);
    if (p->descriptor->destroy)
        p->descriptor->destroy(p->instance);
}

void harness_free(struct harness *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n_items; i++) {
        struct harness_item *m = &h->items[i];
        char *texts[] = {m->type, m->conversation, m->enquiry, m->customer, m->session, m->sender};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            free(texts[k]);
        json_decref(m->data);
    }
    for (size_t i = 0; i < h->n_components; i++) {
        struct harness_component *c = &h->components[i];
        json_t *values[] = {c->settings, c->state, c->versions, c->dumps};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            json_decref(values[k]);
    }
    json_t *values[] = {h->rows,  h->contexts, h->results, h->registry, h->domains, h->workflows, h->pages,  h->secrets,
                        h->stubs, h->sent,     h->timers,  h->notes,    h->logs,    h->retired,   h->models, h->tables};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        json_decref(values[i]);
    for (size_t i = 0; i < h->n_plugins; i++) {
        retire(&h->plugins[i]);
        json_decref(h->plugins[i].manifest);
        if (h->plugins[i].library)
            dlclose(h->plugins[i].library);
    }
    free(h);
}

static json_t *read_manifest(const char *manifest)
{
    json_error_t fault;
    json_t *doc = *manifest == '{' ? json_loads(manifest, JSON_REJECT_DUPLICATES, &fault)
                                   : json_load_file(manifest, JSON_REJECT_DUPLICATES, &fault);
    if (!doc)
        harness__die("%s:%d: %s", *manifest == '{' ? "the manifest" : manifest, fault.line, fault.text);
    return doc;
}

/* Intents and words that stand in files of the manifest's folder. */
static void add_domain(struct harness *h, const json_t *manifest, const char *path)
{
    static const char *const members[] = {"intents", "words"};
    json_t *domain = json_deep_copy(json_object_get(manifest, "domain"));
    if (!domain)
        return;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *file = json_string_value(json_object_get(domain, members[i]));
        char full[4096];
        const char *slash = strrchr(path, '/');
        json_error_t fault;
        if (!file)
            continue;
        snprintf(full, sizeof full, "%.*s%s/%s", slash ? (int)(slash + 1 - path) : 0, path,
                 cvm_json_str(manifest, "name", ""), file);
        json_t *content = json_load_file(full, JSON_REJECT_DUPLICATES, &fault);
        if (!content)
            harness__die("%s:%d: %s", full, fault.line, fault.text);
        json_object_set_new(domain, members[i], content);
    }
    for (size_t i = json_array_size(h->domains); i-- > 0;)
        if (json_equal(json_object_get(json_array_get(h->domains, i), "name"), json_object_get(domain, "name")))
            json_array_remove(h->domains, i);
    json_array_append_new(h->domains, domain);
}

static void check_routes(const struct harness_component *c)
{
    const json_t *operations = json_object_get(c->decl, "operations");
    for (size_t k = 0; k < json_array_size(operations); k++)
        if (harness__route(c, cvm_json_str(json_array_get(operations, k), "type", "")) < 0)
            harness__die("%s: the library has no handler for operation %s", c->id,
                         cvm_json_str(json_array_get(operations, k), "type", ""));
}

static void queue_start(struct harness *h, struct harness_component *c)
{
    char lane[CVM_NAME_MAX + 16];
    snprintf(lane, sizeof lane, "component:%s", c->id);
    if (harness__route(c, "start") >= 0)
        harness_send(h, c->id, "start", lane, NULL);
}

static json_t *operation_names(const json_t *decl)
{
    json_t *names = json_array();
    const json_t *operations = json_object_get(decl, "operations");
    for (size_t i = 0; i < json_array_size(operations); i++)
        json_array_append_new(names, json_string(cvm_json_str(json_array_get(operations, i), "type", "")));
    return names;
}

static void take_component(struct harness *h, struct harness_plugin *p, const json_t *decl)
{
    const char *id = cvm_json_str(decl, "id", "");
    struct harness_component *c = harness__component(h, id);
    bool known = c != NULL;
    if (!c && h->n_components == HARNESS_COMPONENTS_MAX)
        harness__die("more than %d components", HARNESS_COMPONENTS_MAX);
    if (!c) {
        c = &h->components[h->n_components++];
        *c = (struct harness_component){.state = json_object(), .versions = json_object(), .dumps = json_object()};
    }
    json_decref(c->settings);
    const json_t *own = json_object_get(decl, "settings"), *roles = json_object_get(decl, "roles");
    const json_t *tools = json_object_get(decl, "tools");
    c->id = id;
    c->alias = cvm_json_str(decl, "alias", "");
    c->plugin = p;
    c->decl = decl;
    c->settings = own ? json_deep_copy(own) : json_object();
    check_routes(c);
    if (!known)
        json_array_append_new(
            h->registry,
            json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o}", "id", c->id, "alias", c->alias, "kind",
                      cvm_json_str(decl, "kind", ""), "roles", roles ? json_deep_copy(roles) : json_array(), "plugin",
                      cvm_json_str(p->manifest, "name", ""), "version", cvm_json_str(p->manifest, "version", ""),
                      "tools", tools ? json_deep_copy(tools) : json_array(), "operations", operation_names(decl)));
    queue_start(h, c);
}

/* All anew, as a plugin may add to those of any other. */
static void list_workflows(struct harness *h)
{
    struct workflow_fault fault;
    json_t *added = json_object();
    size_t i, k;
    json_t *one, *add;
    json_decref(h->workflows);
    h->workflows = json_array();
    for (int whole = 1; whole >= 0; whole--)
        for (size_t p = 0; p < h->n_plugins; p++)
            json_array_foreach(json_object_get(h->plugins[p].manifest, "workflows"), i, one)
            {
                json_t *steps = json_object_get(one, "steps"), *target = NULL;
                for (size_t w = 0; w < json_array_size(h->workflows); w++)
                    if (json_equal(json_object_get(json_array_get(h->workflows, w), "name"),
                                   json_object_get(one, "name")))
                        target = json_object_get(json_array_get(h->workflows, w), "steps");
                if (steps && whole)
                    json_array_append_new(h->workflows,
                                          json_pack("{s:O, s:O, s:o}", "name", json_object_get(one, "name"), "plugin",
                                                    json_object_get(h->plugins[p].manifest, "name"), "steps",
                                                    workflows_normal(steps)));
                json_array_foreach(target && !whole ? json_object_get(one, "add") : NULL, k,
                                   add) if (workflows_add(target, added, add, &fault) < 0)
                    harness__die("workflows[%zu].add[%zu].%s: %s", i, k, fault.field, fault.text);
            }
    json_decref(added);
}

/* Those with a title; which files there are is the host's business. */
static void list_pages(struct harness *h)
{
    size_t i;
    json_t *page;
    json_decref(h->pages);
    h->pages = json_array();
    for (size_t p = 0; p < h->n_plugins; p++)
        json_array_foreach(json_object_get(h->plugins[p].manifest, "pages"), i, page)
        {
            const char *title = cvm_json_str(page, "title", NULL);
            if (title)
                json_array_append_new(h->pages,
                                      json_pack("{s:s, s:s, s:b, s:s}", "path", cvm_json_str(page, "path", ""), "title",
                                                title, "nav", cvm_json_bool(page, "nav", false), "plugin",
                                                cvm_json_str(h->plugins[p].manifest, "name", "")));
        }
}

static void take_manifest(struct harness *h, struct harness_plugin *p, const char *path)
{
    const json_t *list = json_object_get(p->manifest, "components");
    add_domain(h, p->manifest, path);
    list_workflows(h);
    list_pages(h);
    for (size_t i = 0; i < json_array_size(list); i++)
        take_component(h, p, json_array_get(list, i));
}

static void create(struct harness_plugin *p)
{
    int e = p->descriptor->create ? p->descriptor->create(&p->instance) : CVM_OK;
    if (e < 0)
        harness__die("%s: create failed: %s", p->descriptor->name, cvm_strerror(e));
}

static struct harness_plugin *add(struct harness *h, const cvm_plugin_descriptor *plugin, const char *manifest)
{
    if (h->n_plugins == HARNESS_PLUGINS_MAX)
        harness__die("more than %d plugins", HARNESS_PLUGINS_MAX);
    struct harness_plugin *p = &h->plugins[h->n_plugins++];
    *p = (struct harness_plugin){.descriptor = plugin, .manifest = read_manifest(manifest)};
    const char *slash = *manifest == '{' ? NULL : strrchr(manifest, '/');
    snprintf(p->folder, sizeof p->folder, "%.*s%s", slash ? (int)(slash + 1 - manifest) : 0, manifest,
             cvm_json_str(p->manifest, "name", plugin->name));
    const char *name = cvm_json_str(p->manifest, "name", plugin->name),
               *version = cvm_json_str(p->manifest, "version", plugin->version);
    if (strcmp(name, plugin->name) != 0 || strcmp(version, plugin->version) != 0)
        harness__die("the library is %s %s, the manifest says %s %s", plugin->name, plugin->version, name, version);
    create(p);
    take_manifest(h, p, manifest);
    return p;
}

void harness_add(struct harness *h, const cvm_plugin_descriptor *plugin, const char *manifest)
{
    add(h, plugin, manifest);
    harness_run(h, 0);
}

const cvm_plugin_descriptor *harness_load(struct harness *h, const char *library, const char *manifest)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s", strchr(library, '/') ? "" : "./", library);
    void *loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!loaded)
        harness__die("%s", dlerror());
    const cvm_plugin_descriptor *plugin = dlsym(loaded, "cvm_plugin");
    if (!plugin)
        harness__die("%s exports no symbol cvm_plugin; is CVM_PLUGIN(...) in its source?", library);
    add(h, plugin, manifest)->library = loaded;
    harness_run(h, 0);
    return plugin;
}

void harness_replace(struct harness *h, const cvm_plugin_descriptor *plugin, const char *manifest)
{
    struct harness_plugin *p = h->plugins;
    while (p < h->plugins + h->n_plugins && strcmp(p->descriptor->name, plugin->name) != 0)
        p++;
    if (p == h->plugins + h->n_plugins)
        harness__die("there is no plugin %s to replace", plugin->name);
    retire(p);
    p->instance = NULL;
    p->descriptor = plugin;
    json_array_append_new(h->retired, p->manifest); /* its names are still referred to */
    p->manifest = read_manifest(manifest);
    create(p);
    take_manifest(h, p, manifest);
    harness_run(h, 0);
}

/* ---- what a test sets ---- */

static struct harness_component *known(struct harness *h, const char *name)
{
    struct harness_component *c = harness__component(h, name);
    if (!c)
        harness__die("there is no component %s: was its plugin added?", name);
    return c;
}

json_t *harness_settings(struct harness *h, const char *component)
{
    return known(h, component)->settings;
}

void harness_secret(struct harness *h, const char *name, const char *value)
{
    json_object_set_new(h->secrets, name, json_string(value));
}

void harness_model(struct harness *h, const char *model, const char *text, json_t *labels)
{
    json_t *texts = json_object_get(h->models, model);
    if (!texts)
        json_object_set_new(h->models, model, texts = json_object());
    json_object_set_new(texts, text ? text : "", labels ? labels : json_null());
}

void harness_stub(struct harness *h, const char *to, const char *type, int outcome, json_t *data)
{
    json_array_append_new(h->stubs, json_pack("{s:s, s:s, s:i, s:o}", "to", to, "type", type, "outcome", outcome,
                                              "data", data ? data : json_object()));
}

void harness_state_put(struct harness *h, const char *component, const char *key, uint32_t version, json_t *value)
{
    struct harness_component *c = known(h, component);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    json_object_set_new(c->dumps, key, json_string(text));
    json_object_set_new(c->versions, key, json_integer(version));
    json_object_set_new(c->state, key, value);
    free(text);
}

void harness_subject(struct harness *h, const char *enquiry_id, const char *customer_id, const char *session_id)
{
    snprintf(h->enquiry, sizeof h->enquiry, "%s", enquiry_id ? enquiry_id : "");
    snprintf(h->customer, sizeof h->customer, "%s", customer_id ? customer_id : "");
    snprintf(h->session, sizeof h->session, "%s", session_id ? session_id : "");
}

/* ---- what it sees ---- */

int64_t harness_now(const struct harness *h)
{
    return h->now;
}

const json_t *harness_state(struct harness *h, const char *component)
{
    return known(h, component)->state;
}

const json_t *harness_rows(struct harness *h, const char *table)
{
    return json_object_get(h->rows, table);
}

json_t *harness_context(struct harness *h, const char *conversation)
{
    json_t *c = json_object_get(h->contexts, conversation);
    if (!c) {
        c = json_object();
        json_object_set_new(h->contexts, conversation, c);
    }
    return c;
}

const json_t *harness_sent(const struct harness *h)
{
    return h->sent;
}

const json_t *harness_timers(struct harness *h)
{
    json_array_clear(h->timers);
    for (size_t i = 0; i < h->n_items; i++)
        if (h->items[i].kind == ITEM_TIMER)
            json_array_append_new(h->timers, json_pack("{s:s, s:s, s:I, s:O}", "component", h->items[i].to->id, "type",
                                                       h->items[i].type, "at_ms", (json_int_t)h->items[i].at_ms, "data",
                                                       h->items[i].data));
    return h->timers;
}

const json_t *harness_notes(const struct harness *h)
{
    return h->notes;
}

const json_t *harness_logs(const struct harness *h)
{
    return h->logs;
}

size_t harness_open_requests(const struct harness *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_items; i++)
        n += h->items[i].kind == ITEM_OPEN;
    return n;
}

/* ---- a test program ---- */

static int checks, failures;

bool harness_check(bool condition, const char *text, const char *file, int line)
{
    checks++;
    failures += !condition;
    if (!condition)
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
    return condition;
}

int harness_finish(void)
{
    printf("%d checks, %d failed\n", checks, failures);
    return failures || !checks;
}
