/* The configuration as the host uses it: the built-in defaults, overridden by the file, beside the secrets. Owns how
 * a setting is found by its path. Read once at start; loop thread. */
#include "core/config.h"
#include "core/config_settings.h"
#include "core/file.h"
#include "core/schema.h"
#include "core/secrets.h"

#include <assert.h>
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_FILE_MAX_BYTES (1024 * 1024)

struct config {
    uint64_t version;
    json_t *settings; /* every default, overridden by the file */
    json_t *areas;    /* those of its sections that are for the components of an area */
    struct secrets secrets;
    bool trusts_all; /* config_trust_all */
    bool recorded;   /* config_recorded */
};

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static json_t *defaults_of(const json_t *schema)
{
    const char *name;
    json_t *member, *value = json_object_get(schema, "default"), *object;
    if (value || !json_object_get(schema, "properties"))
        return json_deep_copy(value);
    object = json_object();
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        value = defaults_of(member);
        if (value)
            json_object_set_new(object, name, value);
    }
    return object;
}

/* Levels are known in any case; the configuration keeps one spelling. */
static const char *level_name(const char *name)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    for (size_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return names[i];
    return NULL;
}

static void set_level(json_t *settings, const char *name)
{
    json_t *host = json_object_get(settings, "host");
    const char *known = level_name(name);
    if (known && json_is_object(host))
        json_object_set_new(host, "log_level", json_string(known));
}

/* What of a file is the host's own. Gives. */
static json_t *own_sections(const json_t *schema_doc, json_t *doc)
{
    const char *name;
    json_t *section, *own = json_is_object(doc) ? json_object() : json_incref(doc);
    json_object_foreach(doc, name, section)
    {
        if (!config_is_area(schema_doc, name))
            json_object_set(own, name, section);
    }
    return own;
}

/* Those of the settings that are for areas; they stay part of the settings. */
static int note_areas(struct config *c, const json_t *schema_doc)
{
    const char *name;
    json_t *section;
    c->areas = json_object();
    json_object_foreach(c->settings, name, section)
    {
        if (config_is_area(schema_doc, name) && json_object_set(c->areas, name, section) < 0)
            return CVM_ENOMEM;
    }
    return c->areas ? 0 : CVM_ENOMEM;
}

static int check_file(const json_t *schema_doc, json_t *doc, const char *path, char *ret_error, size_t error_size)
{
    char text[512];
    struct schema_error fault;
    struct schema *schema = NULL;
    if (config_unknown(schema_doc, doc, text, sizeof text)) {
        snprintf(ret_error, error_size, "%s: %s", path, text);
        return CVM_EINVAL;
    }
    set_level(doc, json_string_value(json_object_get(json_object_get(doc, "host"), "log_level")));
    int error = schema_compile(schema_doc, schema_doc, &schema, &fault);
    assert(!error || error == CVM_ENOMEM); /* our own text */
    json_t *own = error ? NULL : own_sections(schema_doc, doc);
    if (!error)
        error = own ? schema_check_quoting(schema, own, &fault) : CVM_ENOMEM;
    json_decref(own);
    if (error)
        snprintf(ret_error, error_size, "%s: %s%s%s", path, fault.field, *fault.field ? ": " : "", fault.text);
    schema_free(schema);
    return error;
}

/* `doc`: the file. A size that it does not name suits the other (journal_open). */
static int check_sense(const struct config *c, const json_t *doc, const char *path, char *ret_error, size_t error_size)
{
    int64_t least = config_int(c, "journal.wal_checkpoint_mib", 0), most = config_int(c, "journal.wal_max_mib", 0);
    if (least < most || !json_object_get(json_object_get(doc, "journal"), "wal_checkpoint_mib"))
        return 0;
    snprintf(ret_error, error_size,
             "%s: journal.wal_max_mib: must be more than journal.wal_checkpoint_mib (%lld), got %lld", path,
             (long long)least, (long long)most);
    return CVM_EINVAL;
}

/* Fills c->settings from the defaults and the file at `path`; `optional`: it may be absent. */
static int read_settings(struct config *c, const char *path, bool optional, char *ret_error, size_t error_size)
{
    json_t *schema = json_loads(config_settings, 0, NULL), *doc = NULL;
    if (!schema) { /* our own text: nothing else can be wrong with it */
        snprintf(ret_error, error_size, "out of memory");
        return CVM_ENOMEM;
    }
    c->settings = defaults_of(schema);
    int error = c->settings ? file_json(path, CONFIG_FILE_MAX_BYTES, false, &doc, ret_error, error_size) : CVM_ENOMEM;
    if (error == CVM_ENOENT)
        error = optional ? 0 : CVM_EIO;
    if (!error && doc)
        error = check_file(schema, doc, path, ret_error, error_size);
    if (!error && doc && json_object_update_recursive(c->settings, doc) < 0)
        error = CVM_ENOMEM;
    if (!error)
        error = check_sense(c, doc, path, ret_error, error_size);
    if (!error)
        error = note_areas(c, schema);
    json_decref(doc);
    json_decref(schema);
    return error;
}

static int read_secrets(struct config *c, const char *home, char *ret_error, size_t error_size)
{
    char *path = NULL;
    const char *file = config_str(c, "secrets.file", NULL);
    int error = secrets_read_env(&c->secrets, home, ret_error, error_size);
    if (error || !file)
        return error;
    if (asprintf(&path, "%s%s%s", *file == '/' ? "" : home, *file == '/' ? "" : "/", file) < 0)
        return CVM_ENOMEM;
    error = secrets_read_file(&c->secrets, path, ret_error, error_size);
    free(path);
    if (error && error != CVM_ENOMEM)
        snprintf(ret_error + strlen(ret_error), error_size - strlen(ret_error),
                 " (named by secrets.file in config/cvmhost.json)");
    return error;
}

#define EXPAND_DEPTH_MAX 16

/* The value of "${NAME}" or "${NAME:-otherwise}" as the environment or .env has it; NULL: it is none of these. */
static json_t *expanded(const struct config *c, const char *text)
{
    char name[128];
    size_t len = strlen(text);
    if (len < 4 || strncmp(text, "${", 2) != 0 || text[len - 1] != '}')
        return NULL;
    const char *end = strstr(text, ":-"), *stop = end ? end : text + len - 1;
    if (stop - text - 2 <= 0 || stop - text - 2 >= (ptrdiff_t)sizeof name)
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)(stop - text - 2), text + 2);
    const char *value = getenv(name);
    if (!value || !*value)
        value = json_string_value(json_object_get(c->secrets.env, name));
    if (value && *value)
        return json_string(value);
    return end ? json_stringn(end + 2, (size_t)(text + len - 1 - end - 2)) : json_string("");
}

/* Replaces such texts in a component's settings. */
static int expand(const struct config *c, json_t *value, int depth)
{
    const char *key, *text;
    void *next;
    json_t *one, *new_one;
    size_t i;
    if (depth == EXPAND_DEPTH_MAX)
        return 0;
    json_object_foreach_safe(value, next, key, one)
    {
        if ((text = json_string_value(one)) && (new_one = expanded(c, text)) &&
            json_object_set_new(value, key, new_one) < 0)
            return CVM_ENOMEM;
        if (!text && expand(c, one, depth + 1) < 0)
            return CVM_ENOMEM;
    }
    json_array_foreach(json_is_array(value) ? value : NULL, i, one)
    {
        if ((text = json_string_value(one)) && (new_one = expanded(c, text)) &&
            json_array_set_new(value, i, new_one) < 0)
            return CVM_ENOMEM;
        if (!text && expand(c, one, depth + 1) < 0)
            return CVM_ENOMEM;
    }
    return 0;
}

int config_load(const char *home, const char *file, struct config **ret_config, char *ret_error, size_t error_size)
{
    char *path = NULL;
    struct config *c = calloc(1, sizeof *c);
    int error =
        c && asprintf(&path, "%s%s", file ? file : home, file ? "" : "/config/cvmhost.json") >= 0 ? 0 : CVM_ENOMEM;
    if (!error)
        error = read_settings(c, path, !file, ret_error, error_size);
    if (!error)
        error = read_secrets(c, home, ret_error, error_size);
    if (!error) /* a variable that happens to be set to something else is not ours */
        set_level(c->settings, secrets_get(&c->secrets, "LOG_LEVEL"));
    if (!error)
        error = expand(c, json_object_get(c->settings, "agents"), 0);
    if (!error)
        error = expand(c, c->areas, 0);
    free(path);
    if (error) {
        if (error == CVM_ENOMEM)
            snprintf(ret_error, error_size, "the configuration: out of memory");
        config_free(c);
        return error == CVM_EINVAL ? CVM_EINVAL : CVM_EIO;
    }
    *ret_config = c;
    return 0;
}

int config_recorded(const json_t *settings, const json_t *secrets, struct config **ret_config)
{
    struct config *c = calloc(1, sizeof *c);
    json_t *schema = json_loads(config_settings, 0, NULL);
    if (c) {
        c->recorded = true;
        c->settings = defaults_of(schema);
        c->secrets.file = json_deep_copy(secrets);
    }
    bool read = c && c->settings && json_object_update_recursive(c->settings, (json_t *)(uintptr_t)settings) == 0 &&
                note_areas(c, schema) == 0;
    json_decref(schema);
    if (!read) {
        config_free(c);
        return CVM_ENOMEM;
    }
    config_trust_all(c);
    *ret_config = c;
    return 0;
}

void config_adopt(struct config *config, struct config *fresh)
{
    struct config own = *config;
    *config = *fresh;
    config->version = own.version + 1;
    *fresh = own;
    config_free(fresh);
}

uint64_t config_version(const struct config *config)
{
    return config->version;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    secrets_fini(&config->secrets);
    json_decref(config->areas);
    json_decref(config->settings);
    free(config);
}

void config_trust_all(struct config *config)
{
    config->trusts_all = true;
    json_object_set_new(json_object_get(config->settings, "plugins"), "inline", json_pack("[s]", "*"));
}

void config_inherit(struct config *config, const struct config *from)
{
    if (from->trusts_all)
        config_trust_all(config);
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

/* Names may contain dots (component ids do), so the longest member that fits is tried first. */
static const json_t *find(const json_t *in, const char *path)
{
    char name[256];
    size_t len = strlen(path);
    if (len >= sizeof name)
        return NULL;
    memcpy(name, path, len + 1);
    for (;;) {
        const json_t *member = json_object_get(in, name);
        const json_t *found = member && path[len] ? find(member, path + len + 1) : member;
        if (found)
            return found;
        char *dot = strrchr(name, '.');
        if (!dot)
            return NULL;
        *dot = 0;
        len = (size_t)(dot - name);
    }
}

const json_t *config_get(const struct config *config, const char *path)
{
    return find(config->settings, path);
}

int64_t config_int(const struct config *config, const char *path, int64_t otherwise)
{
    const json_t *value = config_get(config, path);
    return json_is_number(value) ? (int64_t)json_number_value(value) : otherwise;
}

const char *config_str(const struct config *config, const char *path, const char *otherwise)
{
    const json_t *value = config_get(config, path);
    return json_is_string(value) ? json_string_value(value) : otherwise;
}

int config_bool(const struct config *config, const char *path, int otherwise)
{
    const json_t *value = config_get(config, path);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

const json_t *config_area(const struct config *config, const char *component_id)
{
    char area[CVM_NAME_MAX + 1];
    snprintf(area, sizeof area, "%.*s", (int)strcspn(component_id, "."), component_id);
    return json_object_get(config->areas, area);
}

const json_t *config_areas(const struct config *config)
{
    return config->areas;
}

/* Members that the component has no default for are not for it. */
static void add_area(const struct config *config, const char *component_id, json_t *settings)
{
    const char *name;
    json_t *value, *one;
    json_object_foreach((json_t *)(uintptr_t)config_area(config, component_id), name, value)
    {
        if (!json_object_get(settings, name))
            continue;
        one = json_object();
        json_object_set_new(one, name, json_deep_copy(value));
        json_object_update_recursive(settings, one);
        json_decref(one);
    }
}

json_t *config_component_settings(const struct config *config, const char *component_id, const json_t *defaults)
{
    const json_t *agent = json_object_get(json_object_get(config->settings, "agents"), component_id);
    json_t *settings = json_is_object(defaults) ? json_deep_copy(defaults) : json_object();
    json_t *own = json_deep_copy(json_object_get(agent, "settings"));
    add_area(config, component_id, settings);
    if (own)
        json_object_update_recursive(settings, own);
    json_decref(own);
    return settings;
}

const char *config_secret(const struct config *config, const char *name)
{
    if (config->recorded)
        return json_string_value(json_object_get(config->secrets.file, name));
    return secrets_get(&config->secrets, name);
}

json_t *config_show(const struct config *config)
{
    json_t *shown = json_deep_copy(config->settings);
    json_t *secrets = json_object_get(shown, "secrets");
    json_object_set_new(secrets, "names", secrets_names(&config->secrets));
    return shown;
}
