/* `config check`, the part beyond manifests: libraries, trust, secrets, the settings of components, transitions and the
 * listener's address, each as the start would look at it. Loads no code and opens no port. */
#include "cli/check.h"

#include "core/file.h"
#include "core/stage.h"
#include "core/vet.h"
#include "core/vet_program.h"
#include "services/access.h"
#include "services/home.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_DAYS 90
#define ERROR_SIZE 1024
#define TRANSITIONS_MAX_BYTES (1024 * 1024)

/* ---- plugins ---- */

static bool is_loaded(const struct check *c, const char *plugin)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->plugins[i].manifest->name, plugin) == 0)
            return true;
    return json_object_get(c->disabled, plugin) != NULL;
}

static void check_named(struct check *c, const char *setting)
{
    const json_t *list = config_get(c->config, setting);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && strcmp(name, "*") != 0 && !is_loaded(c, name))
            check_find(c->warnings, "%s: there is no plugin %s", setting, name);
    }
}

/* What the start would refuse of the library, by its file alone. */
static void vet_file(struct check *c, const char *path, bool program)
{
    struct vet_program found;
    struct vet_verdict verdict;
    char error[ERROR_SIZE], *bytes = NULL;
    size_t size;
    if (file_read(path, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
    else if (program && vet_program(path, bytes, size, &found, error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
    else if (program && *found.warning)
        check_find(c->warnings, "%s: %s", path, found.warning);
    else if (!program && vet_judge((const uint8_t *)bytes, size, &verdict, error, sizeof error) < 0)
        check_find(c->errors, "%s: %s", path, error);
    else if (!program && !verdict.may_inline)
        check_find(c->warnings,
                   "%s: may not run inside the host: %s; it runs in a process of its own; see: cvmhost plugin vet %s",
                   path, verdict.inline_reasons, path);
    free(bytes);
}

/* Where the start looks: HOME/plugins, then beside the manifest; or the installed set. */
static void check_library(struct check *c, const struct check_plugin *p)
{
    const struct manifest *m = p->manifest;
    char path[HOME_PATH_MAX + 300];
    snprintf(path, sizeof path, "%s/plugins/%s", p->installed ? c->installed : c->home, m->library);
    if (access(path, F_OK) != 0)
        snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(m->path, '/') - m->path), m->path, m->library);
    if (access(path, F_OK) != 0)
        check_find(c->errors, "%s: its %s %s is not in %s/plugins: copy it there", m->path,
                   m->program ? "program" : "library", m->library, p->installed ? c->installed : c->home);
    else
        vet_file(c, path, m->program != NULL);
}

static void check_plugin(struct check *c, const struct check_plugin *p)
{
    const struct manifest *m = p->manifest;
    if (m->abi_major != CVM_ABI_MAJOR || m->abi_minor > CVM_ABI_MINOR)
        check_find(c->errors, "%s: abi: the manifest asks for the plugin interface %s, this host has %d.%d", m->path,
                   m->abi, CVM_ABI_MAJOR, CVM_ABI_MINOR);
    check_library(c, p);
    for (size_t k = 0; k < m->secrets.n; k++)
        if (!config_secret(c->config, m->secrets.at[k]))
            check_find(c->warnings, "%s %s: the secret %s is not set (in the environment, .env or secrets.file)",
                       m->name, m->version, m->secrets.at[k]);
}

/* ---- settings ---- */

static const struct manifest_component *find_component(const struct check *c, const char *id)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++)
            if (strcmp(c->plugins[i].manifest->components[k].id, id) == 0)
                return &c->plugins[i].manifest->components[k];
    return NULL;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array",      "a text",        "a number",
                                        "a number",  "true or false", "true or false", "null"};
    return names[json_typeof(value)];
}

/* What a section of an area sets may be a setting of one component of it and unknown to the others. */
static void check_member(struct check *c, const char *area, const char *name, const json_t *value)
{
    size_t len = strlen(area), of_area = 0, readers = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++) {
            const struct manifest_component *component = &c->plugins[i].manifest->components[k];
            const json_t *standard = json_object_get(component->settings, name);
            if (strncmp(component->id, area, len) != 0 || component->id[len] != '.')
                continue;
            of_area++;
            readers += standard != NULL;
            if (standard && !json_is_null(standard) && !json_is_null(value) &&
                strcmp(type_name(standard), type_name(value)) != 0)
                check_find(c->warnings, "%s.%s: %s expects %s as its default is, got %s", area, name, component->id,
                           type_name(standard), type_name(value));
        }
    if (!of_area)
        check_find(c->warnings, "%s.%s: there is no component of the area %s", area, name, area);
    else if (!readers)
        check_find(
            c->warnings,
            "%s.%s: no component of the area %s has such a setting; \"cvmhost plugin info ID\" shows those of one",
            area, name, area);
}

static void check_areas(struct check *c)
{
    const char *area, *name;
    json_t *section, *value;
    json_object_foreach((json_t *)(uintptr_t)config_areas(c->config), area, section)
    {
        json_object_foreach(section, name, value) check_member(c, area, name, value);
    }
}

/* The defaults in the manifest say which settings there are and of what type. */
static void check_setting(struct check *c, const struct manifest_component *component, const char *name,
                          const json_t *value)
{
    const json_t *standard = json_object_get(component->settings, name);
    if (!standard)
        check_find(c->warnings,
                   "agents.%s.settings.%s: the component has no such setting; it has those that "
                   "\"cvmhost plugin info %s\" shows",
                   component->id, name, component->id);
    else if (!json_is_null(standard) && !json_is_null(value) && strcmp(type_name(standard), type_name(value)) != 0)
        check_find(c->warnings, "agents.%s.settings.%s: expected %s as its default is, got %s", component->id, name,
                   type_name(standard), type_name(value));
}

static void check_agents(struct check *c)
{
    const char *id, *name;
    json_t *agent, *value;
    json_object_foreach((json_t *)(uintptr_t)config_get(c->config, "agents"), id, agent)
    {
        const struct manifest_component *component = find_component(c, id);
        if (!component)
            check_find(c->warnings, "agents.%s: there is no component with this id", id);
        else
            json_object_foreach(json_object_get(agent, "settings"), name, value)
                check_setting(c, component, name, value);
    }
}

static void check_settings(struct check *c, const struct manifest *m)
{
    char error[512];
    if (stage_check_settings(c->config, m, error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
}

static void check_url(struct check *c, const struct manifest_component *component, const char *setting, bool mail)
{
    json_t *settings = config_component_settings(c->config, component->id, component->settings);
    const char *url = json_string_value(json_object_get(settings, setting));
    if (url && !*url)
        check_find(c->warnings, "agents.%s.settings.%s is not set: its calls have no address to go to", component->id,
                   setting);
    else if (url && strncmp(url, mail ? "smtp://" : "http://", 7) != 0 &&
             strncmp(url, mail ? "smtps://" : "https://", 8) != 0)
        check_find(c->warnings, "agents.%s.settings.%s: expected an address that begins with %s, got \"%.60s\"",
                   component->id, setting, mail ? "smtp:// or smtps://" : "http:// or https://", url);
    json_decref(settings);
}

/* "url": "setting:NAME" leads to an address only if the component's setting is one. */
static void check_urls(struct check *c, const struct manifest *m)
{
    json_t *seen = json_object(); /* a setting serves many calls */
    for (size_t i = 0; i < m->n_calls; i++) {
        const char *url = m->calls[i].url;
        if (strncmp(url, "setting:", 8) != 0 || json_object_get(seen, url))
            continue;
        json_object_set_new(seen, url, json_true());
        for (size_t k = 0; k < m->n_components; k++)
            check_url(c, &m->components[k], url + 8, m->calls[i].mail);
    }
    json_decref(seen);
}

/* Settings that name what must be loaded: a holder of a role by its id or the end of that, or, where the role is split
 * by a member, one who serves the name. */
static const struct named {
    const char *setting, *role, *member; /* of `serves`; NULL: by id */
} holders[] = {{"llm_provider", "llm", NULL}, {"notify_channel", "channel", "channel"}};

static bool answers_to(const struct manifest_component *component, const char *member, const char *name)
{
    const char *dot = strrchr(component->id, '.');
    if (!member)
        return strcmp(component->id, name) == 0 || (dot && strcmp(dot + 1, name) == 0);
    const json_t *serves = json_object_get(component->serves, member), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)serves, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return !serves;
}

static bool holds(const struct manifest_component *component, const char *role)
{
    for (size_t i = 0; i < component->roles.n; i++)
        if (strcmp(component->roles.at[i], role) == 0)
            return true;
    return false;
}

static bool has_holder(const struct check *c, const struct named *named, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++) {
            const struct manifest_component *component = &c->plugins[i].manifest->components[k];
            if (holds(component, named->role) && answers_to(component, named->member, name))
                return true;
        }
    return false;
}

static void check_holder(struct check *c, const char *id, const struct named *named, const char *name)
{
    if (!name || !*name || strcmp(name, "auto") == 0 || strcmp(name, "rules") == 0 || has_holder(c, named, name))
        return;
    const json_t *agent = json_object_get(config_get(c->config, "agents"), id);
    bool own = json_object_get(json_object_get(agent, "settings"), named->setting) != NULL;
    char where[2 * CVM_NAME_MAX + 64];
    if (own)
        snprintf(where, sizeof where, "agents.%s.settings", id);
    else
        snprintf(where, sizeof where, "%.*s", (int)strcspn(id, "."), id);
    check_find(c->warnings, "%s.%s: no loaded component with the role %s %s \"%.60s\" (a setting of %s)", where,
               named->setting, named->role, named->member ? "serves" : "is called", name, id);
}

static void check_holders(struct check *c, const struct manifest *m)
{
    for (size_t i = 0; i < m->n_components; i++)
        for (size_t k = 0; k < sizeof holders / sizeof *holders; k++) {
            const struct manifest_component *component = &m->components[i];
            json_t *settings = config_component_settings(c->config, component->id, component->settings), *one;
            json_t *value = json_object_get(settings, holders[k].setting);
            size_t n;
            check_holder(c, component->id, &holders[k], json_string_value(value));
            json_array_foreach(value, n, one) check_holder(c, component->id, &holders[k], json_string_value(one));
            json_decref(settings);
        }
}

static void check_roles(struct check *c)
{
    const char *name;
    json_t *value, *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)config_get(c->config, "roles"), name, value)
    {
        if (!json_object_get(c->roles, name))
            check_find(c->warnings, "roles.%s: no component has this role", name);
        json_array_foreach(value, i, one) if (json_is_string(one) && !check_is_component(c, json_string_value(one)))
            check_find(c->warnings, "roles.%s: there is no component %s", name, json_string_value(one));
    }
}

/* ---- other files ---- */

static void check_transition(struct check *c, const char *path, const json_t *pair)
{
    for (size_t i = 0; i < 2; i++) {
        const char *name = json_string_value(json_array_get(pair, i));
        bool role = strncmp(name, "role:", 5) == 0;
        if (strcmp(name, "*") != 0 && (role ? !json_object_get(c->roles, name + 5) : !check_is_component(c, name)))
            check_find(c->warnings, "%s: forbid: there is no component %s", path, name);
    }
}

static void check_transitions(struct check *c)
{
    char path[HOME_PATH_MAX], error[ERROR_SIZE];
    json_t *doc = NULL, *pair;
    size_t i;
    if (home_path(c->home, "config/transitions.json", path, sizeof path) < 0 || access(path, F_OK) != 0)
        return;
    if (file_json(path, TRANSITIONS_MAX_BYTES, false, &doc, error, sizeof error) < 0) {
        check_find(c->errors, "%s", error);
        return;
    }
    const json_t *forbid = json_object_get(doc, "forbid");
    bool good = json_is_array(forbid) && json_object_size(doc) == 1;
    json_array_foreach(forbid, i, pair) good = good && json_array_size(pair) == 2 &&
                                               json_is_string(json_array_get(pair, 0)) &&
                                               json_is_string(json_array_get(pair, 1));
    if (!good)
        check_find(c->errors, "%s: must be {\"forbid\": [[\"from\", \"to\"], ...]}", path);
    else
        json_array_foreach(forbid, i, pair) check_transition(c, path, pair);
    json_decref(doc);
}

static void check_listener(struct check *c)
{
    char error[ERROR_SIZE];
    if (home_check_http(config_str(c->config, "http.host", "127.0.0.1"), config_bool(c->config, "http.public", 0),
                        error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
}

/* An operator may keep less than the product promises; then it should be known what goes. */
static void check_keeping(struct check *c)
{
    int64_t days = config_int(c->config, "journal.keep_days", KEEP_DAYS);
    if (days < KEEP_DAYS)
        check_find(
            c->warnings,
            "journal.keep_days: %lld is less than %d: of a conversation that has been over for %lld day%s only its "
            "decisions and final context are left; it cannot be replayed, and the audit has only the digests "
            "of its turns",
            (long long)days, KEEP_DAYS, (long long)days, days == 1 ? "" : "s");
}

/* ---- tokens ---- */

static const char *secret_of(const void *config, const char *name)
{
    return config_secret(config, name);
}

static bool is_asked_for(const struct check *c, const char *permission)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->plugins[i].manifest->n_components; k++) {
            const struct manifest_component *component = &c->plugins[i].manifest->components[k];
            for (size_t n = 0; n < component->n_operations; n++) {
                const struct manifest_expose *e = component->operations[n].expose;
                if (e && e->permission && strcmp(e->permission, permission) == 0)
                    return true;
            }
        }
    return false;
}

static void check_tokens(struct check *c)
{
    const json_t *tokens = config_get(c->config, "access.tokens"), *token, *one;
    const char *address = config_str(c->config, "http.host", "127.0.0.1");
    struct access *access = NULL;
    char error[ERROR_SIZE];
    size_t i, k;
    if (!tokens) {
        if (home_check_http(address, 0, error, sizeof error) == CVM_EACCES && config_bool(c->config, "http.public", 0))
            check_find(c->warnings,
                       "http.host: %s can be reached from other machines, and nobody is asked for a token: set "
                       "access.tokens",
                       address);
        return;
    }
    if (access_new(tokens, secret_of, c->config, c->warnings, &access, error, sizeof error) < 0)
        check_find(c->errors, "%s", error);
    access_free(access);
    json_array_foreach(tokens, i, token) json_array_foreach(json_object_get(token, "permissions"), k, one)
    {
        const char *permission = json_string_value(one);
        if (strcmp(permission, "*") != 0 && !is_asked_for(c, permission))
            check_find(c->warnings, "access.tokens: %s: no operation asks for the permission %s",
                       cvm_json_str(token, "name", ""), permission);
    }
}

void check_home(struct check *c)
{
    char path[HOME_PATH_MAX];
    struct stat st;
    for (size_t i = 0; i < c->n; i++) {
        check_plugin(c, &c->plugins[i]);
        check_urls(c, c->plugins[i].manifest);
        check_settings(c, c->plugins[i].manifest);
        check_holders(c, c->plugins[i].manifest);
    }
    check_named(c, "plugins.inline");
    check_named(c, "plugins.process");
    check_named(c, "plugins.disabled");
    check_areas(c);
    check_agents(c);
    check_roles(c);
    check_transitions(c);
    check_listener(c);
    check_keeping(c);
    check_tokens(c);
    if (home_path(c->home, ".env", path, sizeof path) == 0 && stat(path, &st) == 0 && (st.st_mode & 077))
        check_find(c->warnings, "%s can be read by others (mode %04o): chmod 600 it", path, st.st_mode & 0777);
}
