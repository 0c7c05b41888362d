/* The configuration that turns name: which builds and manifests run, the settings that reach handlers, the names of
 * secrets with keyed digests of their values. Each is stored once, by its hash, before the first turn that names it;
 * the document is what a replay is set up from. Made on the loop's thread when something has changed; `stored` is the
 * writer's. */
#include "core/internal.h"

#include "core/hex.h"
#include "core/store.h"
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BUILDS_OF 32 /* of so many configurations, the newest, the builds stay in data/builds */

struct configuration {
    struct configuration *next;
    int64_t id, at_ms;
    char hash[65];
    char *doc;
    bool stored;
};

/* Whether a secret is still what it was can be told, what it is cannot. */
void configuration_digest(uint64_t key, const char *name, const char *value, char ret_hex[17])
{
    uint8_t digest[32] = {0};
    unsigned n = sizeof digest;
    char text[8192];
    int len = snprintf(text, sizeof text, "%s=%s", name, value);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    HMAC(EVP_sha256(), &key, sizeof key, (const uint8_t *)text, used, digest, &n);
    hex_text(digest, 8, ret_hex);
    OPENSSL_cleanse(text, sizeof text);
}

static json_t *build_json(const struct generation *g)
{
    return g ? json_pack("{s:s, s:s, s:s}", "version", g->manifest->version, "build", g->build, "content", g->content)
             : json_null();
}

static void add_secrets(const struct core *core, const struct generation *g, json_t *secrets)
{
    for (size_t i = 0; g && i < g->manifest->secrets.n; i++) {
        const char *name = g->manifest->secrets.at[i], *value = config_secret(core->options.config, name);
        char hex[17];
        if (value)
            configuration_digest(core->short_id_key, name, value, hex);
        json_object_set_new(secrets, name, value ? json_string(hex) : json_null());
    }
}

/* Of the operator's settings those that a turn can see. */
static json_t *document(const struct core *core)
{
    static const char *const parts[] = {"agents", "roles", "conversation"};
    json_t *plugins = json_array(), *settings = json_object(), *secrets = json_object();
    for (const struct plugin *p = core->plugins; p; p = p->next) {
        if (!p->now)
            continue;
        json_t *entry = build_json(p->now);
        json_object_set_new(entry, "name", json_string(p->name));
        if (p->before)
            json_object_set_new(entry, "before", build_json(p->before));
        json_array_append_new(plugins, entry);
        add_secrets(core, p->now, secrets);
        add_secrets(core, p->before, secrets);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part = config_get(core->options.config, parts[i]);
        if (part)
            json_object_set(settings, parts[i], (json_t *)(uintptr_t)part);
    }
    json_object_update(settings, (json_t *)(uintptr_t)config_areas(core->options.config));
    return json_pack("{s:o, s:o, s:o, s:O?, s:o*}", "plugins", plugins, "settings", settings, "secrets", secrets,
                     "transitions", transitions_doc(core->transitions), "models", models_ids(core));
}

static int64_t stored_id(struct core *core, const char *hash)
{
    char sql[160];
    int64_t id = 0;
    snprintf(sql, sizeof sql, "SELECT id FROM host_configs WHERE hash = '%s'", hash);
    return store_meta_int(core->reader, sql, &id) < 0 ? 0 : id;
}

static struct configuration *find(struct core *core, const char *hash)
{
    struct configuration *c = core->configurations;
    while (c && strcmp(c->hash, hash) != 0)
        c = c->next;
    return c;
}

/* The text becomes the document of a new one; takes it. Ids go on from what this run has made and what is stored. */
static struct configuration *add(struct core *core, const char *hash, char *text)
{
    struct configuration *c = calloc(1, sizeof *c);
    int64_t newest = 0;
    if (!c) {
        free(text);
        return NULL;
    }
    memcpy(c->hash, hash, sizeof c->hash);
    c->doc = text;
    c->at_ms = core->now_ms;
    c->id = stored_id(core, hash);
    c->stored = c->id != 0;
    store_meta_int(core->reader, "SELECT coalesce(max(id), 0) FROM host_configs", &newest);
    for (const struct configuration *other = core->configurations; other; other = other->next)
        newest = other->id > newest ? other->id : newest;
    if (!c->stored)
        c->id = newest + 1;
    c->next = core->configurations;
    core->configurations = c;
    json_array_append_new(core->known_builds, json_string(c->doc));
    if (json_array_size(core->known_builds) > KEEP_BUILDS_OF)
        json_array_remove(core->known_builds, 0);
    return c;
}

struct configuration *configuration_now(struct core *core)
{
    uint64_t settings = config_version(core->options.config);
    if (core->replay)
        return core->configuration;
    if (__builtin_expect(core->configuration && core->configured_registry == core->registry_version &&
                             core->configured_settings == settings,
                         1))
        return core->configuration;
    json_t *doc = document(core);
    char *text = doc ? json_text(doc, NULL) : NULL, hash[HASH_HEX_SIZE];
    json_decref(doc);
    if (!text)
        return core->configuration;
    hash_hex(text, strlen(text), hash);
    struct configuration *c = find(core, hash);
    if (c)
        free(text);
    else if (!(c = add(core, hash, text)))
        return core->configuration;
    core->configuration = c;
    core->configured_registry = core->registry_version;
    core->configured_settings = settings;
    return c;
}

int configuration_pretend(struct core *core, int64_t id)
{
    struct configuration *c = calloc(1, sizeof *c);
    if (!c)
        return CVM_ENOMEM;
    *c = (struct configuration){.next = core->configurations, .id = id, .stored = true};
    core->configurations = core->configuration = c;
    return 0;
}

static int add_doc(void *arg, int n, char **values, char **columns)
{
    (void)n;
    (void)columns;
    return json_array_insert_new(arg, 0, json_string(values[0]));
}

/* Before plugins are loaded, whose builds are swept then. */
int configuration_open(struct core *core, char *error, size_t size)
{
    char sql[96];
    core->known_builds = json_array();
    snprintf(sql, sizeof sql, "SELECT doc FROM host_configs ORDER BY id DESC LIMIT %d", KEEP_BUILDS_OF);
    if (core->known_builds &&
        sqlite3_exec(journal_store(core)->db, sql, add_doc, core->known_builds, NULL) == SQLITE_OK)
        return 0;
    snprintf(error, size, "the configurations that turns name cannot be read; restore a backup");
    return CVM_EDATA;
}

bool configuration_names(const struct core *core, const char *hash)
{
    size_t i;
    json_t *doc;
    json_array_foreach(core->known_builds, i, doc) if (*hash && strstr(json_string_value(doc), hash)) return true;
    return false;
}

void configuration_close(struct core *core)
{
    for (struct configuration *c = core->configurations, *next; c; c = next) {
        next = c->next;
        free(c->doc);
        free(c);
    }
    core->configurations = core->configuration = NULL;
    json_decref(core->known_builds);
    core->known_builds = NULL;
}

int64_t configuration_id(const struct configuration *c)
{
    return c ? c->id : 0;
}

const char *configuration_unwritten(const struct configuration *c, int64_t *ret_id, const char **ret_hash,
                                    int64_t *ret_at_ms)
{
    if (c->stored)
        return NULL;
    *ret_id = c->id;
    *ret_hash = c->hash;
    *ret_at_ms = c->at_ms;
    return c->doc;
}

void configuration_written(struct configuration *c)
{
    c->stored = true;
}
