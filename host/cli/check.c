/* `config check`: reads what a host would read at start, without one, and looks for what would stop it or surprise its
 * operator. Loads no code. */
#include "cli/check.h"

#include "cli/installed.h"
#include "cli/show.h"
#include "services/home.h"
#include "services/http_server.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FINDINGS_MAX 200
#define ERROR_SIZE 1024

void check_find(json_t *list, const char *format, ...)
{
    char text[ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (json_array_size(list) < FINDINGS_MAX)
        json_array_append_new(list, json_string(text));
}

/* ---- reading ---- */

bool check_listed(const struct check *c, const char *setting, const char *name)
{
    const json_t *list = config_get(c->config, setting);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A manifest of the home wins over an installed one by the name of its file. */
static bool is_known(const struct check *c, const char *file)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(strrchr(c->plugins[i].manifest->path, '/') + 1, file) == 0)
            return true;
    return false;
}

static void read_manifest(struct check *c, const char *path, bool installed)
{
    char error[ERROR_SIZE];
    struct manifest *m = NULL;
    if (manifest_load(path, &m, error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
    else if (check_listed(c, "plugins.disabled", m->name)) {
        json_object_set_new(c->disabled, m->name, json_true());
        manifest_free(m);
    } else {
        c->plugins[c->n++] = (struct check_plugin){.manifest = m, .installed = installed};
    }
}

static void read_folder(struct check *c, const char *folder, bool installed)
{
    char path[HOME_PATH_MAX + 300], *names[CHECK_PLUGINS_MAX];
    DIR *dir = opendir(folder);
    size_t n = 0;
    for (struct dirent *file; dir && n < CHECK_PLUGINS_MAX - c->n && (file = readdir(dir));) {
        const char *dot = strrchr(file->d_name, '.');
        if (dot && dot != file->d_name && strcmp(dot, ".json") == 0 && !(installed && is_known(c, file->d_name)) &&
            (names[n] = strdup(file->d_name)))
            n++;
    }
    if (dir)
        closedir(dir);
    qsort(names, n, sizeof *names, compare);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        read_manifest(c, path, installed);
        free(names[i]);
    }
}

static void read_folders(struct check *c)
{
    static const char *const folders[] = {"manifests", "plugins"};
    char path[HOME_PATH_MAX];
    for (int i = 0; i < 2; i++)
        if (home_path(c->home, folders[i], path, sizeof path) == 0)
            read_folder(c, path, false);
    const char *installed = getenv("CVMHOST_INSTALLED"); /* "": none */
    c->installed = installed ? installed : CVMHOST_INSTALLED;
    if (*c->installed) {
        snprintf(path, sizeof path, "%s/../../share/cvmhost/manifests", c->installed);
        read_folder(c, path, true);
    }
    if (c->n == 0 && json_array_size(c->errors) == 0)
        check_find(c->warnings, "there are no manifests in %s/manifests, and no plugins are installed", c->home);
}

/* ---- names that may be taken once ---- */

static void take_name(struct check *c, const char *plugin, const char *kind, const char *name)
{
    char key[512];
    snprintf(key, sizeof key, "%s %s", kind, name);
    const char *owner = json_string_value(json_object_get(c->names, key));
    if (owner)
        check_find(c->errors, "%s: the %s \"%s\" belongs to %s%s already", plugin, kind, name,
                   strcmp(owner, "host") == 0 ? "the " : "plugin ", owner);
    else
        json_object_set_new(c->names, key, json_string(plugin));
}

static bool is_taken(const struct check *c, const char *kind, const char *name)
{
    char key[512];
    snprintf(key, sizeof key, "%s %s", kind, name);
    return json_object_get(c->names, key) != NULL;
}

/* "POST /a/{x}" and "POST /a/{y}" are the same route. */
static void route_key(const struct manifest_expose *e, char *ret_key, size_t size)
{
    size_t n = (size_t)snprintf(ret_key, size, "%s ", e->method);
    for (const char *s = e->path; *s && n + 2 < size; s++) {
        ret_key[n++] = *s;
        if (*s == '{' && strchr(s, '}')) {
            s = strchr(s, '}');
            ret_key[n++] = '}';
        }
    }
    ret_key[n] = 0;
}

static void take_component(struct check *c, const struct manifest *m, const struct manifest_component *component)
{
    char name[512];
    take_name(c, m->name, "component", component->id);
    if (component->alias) { /* unique within its area, the id's first part */
        snprintf(name, sizeof name, "%.*s/%s", (int)strcspn(component->id, "."), component->id, component->alias);
        take_name(c, m->name, "alias", name);
    }
    for (size_t r = 0; r < component->roles.n; r++)
        json_object_set_new(c->roles, component->roles.at[r], json_true());
    for (size_t i = 0; i < component->n_operations; i++) {
        const struct manifest_expose *e = component->operations[i].expose;
        if (e && e->cli)
            take_name(c, m->name, "command", e->cli);
        if (e && e->path && http_server_owns(e->path))
            check_find(c->errors, "%s: the route \"%s\" belongs to the host already", m->name, e->path);
        if (e && e->path) {
            route_key(e, name, sizeof name);
            take_name(c, m->name, "route", name);
        }
    }
}

static void take_streams(struct check *c, const struct manifest *m)
{
    char key[512];
    for (size_t i = 0; i < m->n_streams; i++) {
        if (http_server_owns(m->streams[i].path))
            check_find(c->errors, "%s: the stream \"%s\" belongs to the host already", m->name, m->streams[i].path);
        snprintf(key, sizeof key, "GET %s", m->streams[i].path);
        take_name(c, m->name, "route", key);
    }
}

/* After the routes of all plugins are known. */
static void take_pages(struct check *c, const struct manifest *m)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    char key[512];
    for (size_t i = 0; i < m->n_pages; i++) {
        const struct manifest_page *page = &m->pages[i];
        if (http_server_owns(page->path))
            check_find(c->errors, "%s: the page \"%s\" belongs to the host already", m->name, page->path);
        for (size_t k = 0; k < sizeof methods / sizeof *methods; k++) {
            snprintf(key, sizeof key, "route %s %s", methods[k], page->path);
            const char *owner = json_string_value(json_object_get(c->names, key));
            if (owner)
                check_find(c->errors, "%s: the page \"%s\" is a route of plugin %s", m->name, page->path, owner);
        }
        if (page->missing)
            check_find(c->warnings, "%s: the page \"%s\" is answered 404: there is no file %s", m->name, page->path,
                       page->missing);
        take_name(c, m->name, "page", page->path);
    }
}

static void take_names(struct check *c)
{
    for (const struct cli_command *own = cli_commands; own->words; own++) {
        char key[128];
        snprintf(key, sizeof key, "command %s", own->words);
        json_object_set_new(c->names, key, json_string("host"));
    }
    for (size_t i = 0; i < c->n; i++) {
        const struct manifest *m = c->plugins[i].manifest;
        take_name(c, m->name, "plugin", m->name);
        for (size_t k = 0; k < m->n_components; k++)
            take_component(c, m, &m->components[k]);
        for (size_t k = 0; k < m->n_tables; k++)
            take_name(c, m->name, "table", m->tables[k].name);
    }
    for (size_t i = 0; i < c->n; i++)
        take_streams(c, c->plugins[i].manifest);
    for (size_t i = 0; i < c->n; i++)
        take_pages(c, c->plugins[i].manifest);
}

/* ---- names that should lead somewhere ---- */

bool check_is_component(const struct check *c, const char *name)
{
    if (is_taken(c, "component", name))
        return true;
    const char *key;
    json_t *value;
    json_object_foreach(c->names, key, value)
    {
        const char *slash = strncmp(key, "alias ", 6) == 0 ? strchr(key, '/') : NULL;
        if (slash && strcmp(slash + 1, name) == 0)
            return true;
    }
    return false;
}

static void check_reference(struct check *c, const struct manifest_component *from, const char *member,
                            const char *name)
{
    if (strcmp(name, "*") == 0 || strncmp(name, "host.", 5) == 0)
        return;
    if (strncmp(name, "role:", 5) == 0) {
        if (!json_object_get(c->roles, name + 5))
            check_find(c->warnings, "%s: %s names %s, which no loaded component has (without one, it is never asked)",
                       from->id, member, name);
    } else if (!check_is_component(c, name)) {
        check_find(c->warnings, "%s: %s names %s, which is not loaded (another plugin may bring it)", from->id, member,
                   name);
    }
}

/* An example may say that it is of another domain: then its intent is none of this one. */
static void check_examples(struct check *c, const struct manifest *m, const char *name, const json_t *intents)
{
    const char *at = m->examples, *end = at ? at + m->examples_len : NULL;
    for (size_t line = 1; at < end; line++) {
        size_t n = (size_t)(strchrnul(at, '\n') - at);
        json_t *one = json_loadb(at, n, 0, NULL);
        const char *intent = cvm_json_str(one, "intent", NULL), *other = cvm_json_str(one, "domain", name);
        if (intent && strcmp(other, name) == 0 && json_is_object(intents) && !json_object_get(intents, intent))
            check_find(c->warnings, "domain %s: the example in line %zu is of %s, which is none of its intents", name,
                       line, intent);
        json_decref(one);
        at += n + 1;
    }
}

/* What a domain's routes and examples say of intents, and whom they name. */
static void check_domain(struct check *c, const struct manifest *m)
{
    const char *name = cvm_json_str(m->domain, "name", m->name), *intent;
    const json_t *intents = json_object_get(m->domain, "intents"), *routes = json_object_get(m->domain, "routes");
    json_t *agents, *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)routes, intent, agents)
    {
        if (json_is_object(intents) && !json_object_get(intents, intent))
            check_find(c->warnings, "domain %s: routes has %s, which is none of its intents", name, intent);
        json_array_foreach(agents, i, one)
        {
            const char *agent = json_string_value(one);
            if (agent && strncmp(agent, "role:", 5) && !check_is_component(c, agent))
                check_find(c->warnings,
                           "domain %s: the route of %s names %s, which is not loaded (another plugin may bring it)",
                           name, intent, agent);
        }
    }
    json_object_foreach(json_is_object(intents) && routes ? (json_t *)(uintptr_t)intents : NULL, intent, one)
    {
        if (!json_object_get(routes, intent))
            check_find(c->warnings, "domain %s: the intent %s has no route", name, intent);
    }
    check_examples(c, m, name, intents);
}

static void check_references(struct check *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->plugins[i].manifest->domain)
            check_domain(c, c->plugins[i].manifest);
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++) {
            const struct manifest_component *component = &c->plugins[i].manifest->components[k];
            for (size_t j = 0; j < component->next.n; j++)
                check_reference(c, component, "next", component->next.at[j]);
            for (size_t j = 0; j < component->may_send_to.n; j++)
                check_reference(c, component, "may_send_to", component->may_send_to.at[j]);
        }
}

/* ---- the command ---- */

static int tell(struct cli *cli, const struct check *c)
{
    size_t components = 0, operations = 0, i;
    for (i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++, components++)
            operations += c->plugins[i].manifest->components[k].n_operations;
    json_t *result = json_pack("{s:b, s:i, s:i, s:i, s:O, s:O}", "ok", json_array_size(c->errors) == 0, "plugins",
                               (int)c->n, "components", (int)components, "operations", (int)operations, "errors",
                               c->errors, "warnings", c->warnings),
           *line;
    if (cli->output == OUTPUT_JSON)
        show_json(cli, result);
    json_decref(result);
    json_array_foreach(c->errors, i, line) cli_fail(CLI_CONFIG, "%s", json_string_value(line));
    if (cli->output == OUTPUT_JSON)
        return json_array_size(c->errors) ? CLI_CONFIG : CLI_OK;
    json_array_foreach(c->warnings, i, line) fprintf(stderr, "cvmhost: warning: %s\n", json_string_value(line));
    if (json_array_size(c->errors))
        return CLI_CONFIG;
    fprintf(cli->out, "%zu plugin%s with %zu component%s and %zu operation%s: no error, %zu warning%s\n", c->n,
            c->n == 1 ? "" : "s", components, components == 1 ? "" : "s", operations, operations == 1 ? "" : "s",
            json_array_size(c->warnings), json_array_size(c->warnings) == 1 ? "" : "s");
    return CLI_OK;
}

int cli_config_check(struct cli *cli)
{
    struct check c = {.home = cli->home};
    char error[ERROR_SIZE];
    struct stat st;
    int status = cli_arguments(cli, "config check", NULL, 0, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    c.errors = json_array();
    c.warnings = json_array();
    c.names = json_object();
    c.roles = json_object();
    c.disabled = json_object();
    if (stat(cli->home, &st) < 0 || !S_ISDIR(st.st_mode)) {
        check_find(c.errors, "there is no home at %s: make the folder, or name another one with --home", cli->home);
    } else if (config_load(cli->home, cli->config_file, &c.config, error, sizeof error) < 0) {
        check_find(c.errors, "%s", error);
    } else {
        read_folders(&c);
        take_names(&c);
        check_references(&c);
        check_home(&c);
    }
    status = tell(cli, &c);
    for (size_t i = 0; i < c.n; i++)
        manifest_free(c.plugins[i].manifest);
    json_decref(c.errors);
    json_decref(c.warnings);
    json_decref(c.names);
    json_decref(c.roles);
    json_decref(c.disabled);
    config_free(c.config);
    return status;
}
