/* Cores set up as configurations say, to run recorded turns in: each in a folder of its own, with its own copies of the
 * builds, so that nothing of the home is written. What cannot be had any more is said by name. */
#include "core/replay_parts.h"

#include "core/elf.h"
#include "core/file.h"
#include "core/store.h"
#include <cvm/json.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORLDS_MAX 12 /* in memory at a time */

static void world_free(struct world *w)
{
    core_close(w->core);
    config_free(w->config);
    json_decref(w->doc);
    json_decref(w->lost);
    json_decref(w->gone);
    json_decref(w->started);
    free(w);
}

void worlds_free(struct replay *r)
{
    for (struct world *w = r->worlds, *next; w; w = next) {
        next = w->next;
        world_free(w);
    }
    r->worlds = NULL;
}

int replay_copy_build(const char *from_home, const char *to_home, const char *hash, const char *end)
{
    char from[4300], to[4300], why[256], *bytes = NULL;
    size_t n = 0;
    snprintf(from, sizeof from, "%s/data/builds/%s%s", from_home, hash, end);
    snprintf(to, sizeof to, "%s/data/builds/%s%s", to_home, hash, end);
    if (access(to, F_OK) == 0)
        return 0;
    CVM_TRY(file_read(from, REPLAY_BUILD_MAX_BYTES, false, &bytes, &n, why, sizeof why));
    int e = file_write(to, bytes, n);
    free(bytes);
    if (!e && chmod(to, 0500) < 0) /* a program is run from there */
        e = CVM_EIO;
    return e;
}

/* One generation of a plugin, by its mark in the document. */
static int load_generation(struct replay *r, struct world *w, struct plugin *p, const json_t *mark,
                           struct generation **ret_g, char *error, size_t size)
{
    struct stage_place place = plugin_place(w->core);
    struct candidate candidate = {0};
    struct generation *g = NULL;
    place.jobs_anywhere = true;
    const char *build = cvm_json_str(mark, "build", ""), *content = cvm_json_str(mark, "content", "");
    if (replay_copy_build(r->options->home, w->core->home, build, ".so") < 0 ||
        replay_copy_build(r->options->home, w->core->home, content, ".json") < 0) {
        snprintf(error, size, "build %.12s of %s %s is not in data/builds any more", build, p->name,
                 cvm_json_str(mark, "version", "?"));
        return CVM_ENOENT;
    }
    int e = stage_recall(&place, build, content, true, r->options->trusted ? PLACEMENT_INLINE : PLACEMENT_PROCESS,
                         &candidate, error, size);
    if (!e)
        e = generation_load(w->core, p, &candidate, &g, error, size);
    if (!e)
        e = tables_make(w->core, p, g->manifest, g->tables, error, size);
    stage_clear(&candidate);
    if (e)
        generation_free(w->core, g);
    else
        *ret_g = g;
    return e;
}

static int load_plugin(struct replay *r, struct world *w, const json_t *entry)
{
    const char *name = cvm_json_str(entry, "name", "?");
    const json_t *before = json_object_get(entry, "before");
    struct plugin *p = plugin_get(w->core, name);
    char error[512];
    if (!p)
        return CVM_ENOMEM;
    if (load_generation(r, w, p, entry, &p->now, error, sizeof error) < 0) {
        json_object_set_new(w->gone, name, json_string(error));
        p->now = NULL;
        return 0;
    }
    p->phase = PLUGIN_RUNNING;
    generation_install(w->core, p->now);
    if (before && load_generation(r, w, p, before, &p->before, error, sizeof error) == 0)
        probation_behind(p->now, p->before);
    return 0;
}

static int load_plugins(struct replay *r, struct world *w, char *error, size_t size)
{
    struct core *core = w->core;
    struct registry *registry = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(w->doc, "plugins"), i, entry) CVM_TRY(load_plugin(r, w, entry));
    const struct binding **future = calloc(core->n_components + 1, sizeof(*future));
    if (!future)
        return CVM_ENOMEM;
    for (uint32_t k = 0; k < core->n_components; k++)
        future[k] = core->components[k]->now;
    int e = registry_build(core, future, &registry, error, size);
    free(future);
    if (!e)
        registry_free(registry_exchange(core, registry));
    return e;
}

/* Secrets by their digests: one that has changed since is not known any more. */
static json_t *secrets_of(struct replay *r, struct world *w)
{
    json_t *secrets = json_object(), *digest;
    const char *name;
    json_object_foreach(json_object_get(w->doc, "secrets"), name, digest)
    {
        const char *value = r->present ? config_secret(r->present, name) : NULL;
        char hex[17] = "", stand_in[CVM_NAME_MAX + 16];
        if (!json_is_string(digest))
            continue; /* was not set */
        if (value)
            configuration_digest(r->past.short_id_key, name, value, hex);
        if (strcmp(hex, json_string_value(digest)) != 0) {
            snprintf(stand_in, sizeof stand_in, "secret:%s", name);
            value = stand_in;
            if (strcmp(json_string_value(digest), "stand-in") != 0)
                json_array_append_new(w->lost, json_string(name));
        }
        json_object_set_new(secrets, name, json_string(value));
    }
    return secrets;
}

static int make_folder(struct replay *r, char ret_path[4200])
{
    char path[4300];
    snprintf(ret_path, 4200, "%s/%u", r->folder, ++r->folders);
    snprintf(path, sizeof path, "%s/data", ret_path);
    if (mkdir(ret_path, 0700) < 0 || mkdir(path, 0700) < 0)
        return CVM_EIO;
    snprintf(path, sizeof path, "%s/data/builds", ret_path);
    return mkdir(path, 0700) < 0 ? CVM_EIO : 0;
}

static int open_core(struct replay *r, struct world *w, const char *folder)
{
    const struct core_options options = {
        .home = folder, .config = w->config, .seed = 1, .installed = r->options->installed};
    int e = core_open(&options, &w->core, w->why, sizeof w->why);
    if (!e) {
        w->core->short_id_key = r->past.short_id_key;
        w->core->durable = INT64_MAX / 2; /* nothing waits for what is not written */
    }
    return e;
}

/* A folder with links to what is in another; one that is not there is an empty one. */
static int link_all(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    char a[8500], b[8500];
    int e = mkdir(to, 0700) < 0 ? CVM_EIO : 0;
    while (!e && dir && (entry = readdir(dir))) {
        if (*entry->d_name == '.')
            continue;
        snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
        snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
        e = symlink(a, b) < 0 ? CVM_EIO : 0;
    }
    if (dir)
        closedir(dir);
    return e;
}

static int link_over(const char *from, const char *to)
{
    unlink(to);
    return symlink(from, to) < 0 ? CVM_EIO : 0;
}

/* Where the manifest of a plugin lies, with ".json": in the home or in the installed set. */
static void own_manifest(const struct replay *r, const char *home, const char *name, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/manifests/%.63s.json", home, name);
    if (access(ret_path, F_OK) != 0 && r->options->installed)
        snprintf(ret_path, size, "%s/../../share/cvmhost/manifests/%.63s.json", r->options->installed, name);
}

/* The manifest for `options->with`, put at `to`: one that was kept with a build, the one beside the library, or the
 * plugin's own, whose folder serves all. Gives the name of its library. */
static int put_manifest(struct replay *r, const char *own, const char *beside, const char *to, char ret_library[256])
{
    const char *kept = r->options->with_manifest, *from = access(beside, F_OK) == 0 ? beside : own;
    char folder[4400], to_folder[4400];
    json_t *doc = json_load_file(kept ? kept : from, 0, NULL),
           *manifest = kept ? json_object_get(doc, "manifest") : doc;
    int e = manifest ? 0 : CVM_EDATA;
    snprintf(ret_library, 256, "%s", cvm_json_str(manifest, "library", ""));
    unlink(to);
    if (!e && kept)
        e = json_dump_file(manifest, to, 0) < 0 ? CVM_EIO : 0;
    else if (!e)
        e = link_over(from, to);
    json_decref(doc);
    for (int i = 0; !e && i < 2; i++) { /* the own one's last */
        const char *path = i ? own : from;
        snprintf(folder, sizeof folder, "%.*s", (int)strlen(path) - 5, path);
        snprintf(to_folder, sizeof to_folder, "%.*s", (int)strlen(to) - 5, to);
        if (access(folder, F_OK) == 0)
            return link_over(folder, to_folder);
    }
    return e;
}

/* `options->with` in the place of its plugin's library. */
static int replace_one(struct replay *r, const char *home, const char *folder, char *why, size_t size)
{
    char path[4600], to[4400], own[4400], beside[4400], library[256] = "", *bytes = NULL;
    char *with = realpath(r->options->with, NULL);
    cvm_plugin_descriptor identity;
    size_t n = 0;
    if (!with) {
        snprintf(why, size, "%.200s: %s", r->options->with, strerror(errno));
        return CVM_ENOENT;
    }
    int e = file_read(with, REPLAY_BUILD_MAX_BYTES, false, &bytes, &n, why, size);
    if (!e && (e = elf_read_identity((const uint8_t *)bytes, n, &identity, to, 256)))
        snprintf(why, size, "%.200s: %.200s", with, to);
    if (!e) {
        own_manifest(r, home, identity.name, own, sizeof own);
        snprintf(beside, sizeof beside, "%.*s/%.63s.json", (int)(strrchr(with, '/') - with), with, identity.name);
        snprintf(to, sizeof to, "%s/manifests/%.63s.json", folder, identity.name);
        if ((e = put_manifest(r, own, beside, to, library)))
            snprintf(why, size, "the manifest of %.63s cannot be read", identity.name);
    }
    if (!e) {
        snprintf(path, sizeof path, "%s/plugins/%s%s", folder, *library ? library : identity.name,
                 *library ? "" : ".so");
        if ((e = link_over(with, path)))
            snprintf(why, size, "%.200s: %s", path, strerror(errno));
    }
    free(bytes);
    free(with);
    return e;
}

/* As the plugins lie in the home now. */
static int make_present(struct replay *r, struct world *w, const char *folder)
{
    static const char *const shared[] = {"manifests", "plugins", "config"};
    char from[4200], to[4300], *home = realpath(r->options->home, NULL);
    int e = home ? 0 : CVM_ENOENT;
    for (int i = 0; !e && i < 3; i++) {
        snprintf(from, sizeof from, "%s/%s", home, shared[i]);
        snprintf(to, sizeof to, "%s/%s", folder, shared[i]);
        e = link_all(from, to);
    }
    if (!e && r->options->with)
        e = replace_one(r, home, folder, w->why, sizeof w->why);
    free(home);
    CVM_TRY(e);
    CVM_TRY(config_load(r->options->home, NULL, &w->config, w->why, sizeof w->why));
    config_trust_all(w->config);
    CVM_TRY(open_core(r, w, folder));
    return core_load(w->core, w->why, sizeof w->why);
}

static int make_past(struct replay *r, struct world *w, const char *folder)
{
    if (!(w->doc = past_configuration(&r->past, w->configuration))) {
        snprintf(w->why, sizeof w->why, "configuration %lld is not stored any more", (long long)w->configuration);
        return CVM_ENOENT;
    }
    json_t *secrets = secrets_of(r, w);
    int e = config_recorded(json_object_get(w->doc, "settings"), secrets, &w->config);
    json_decref(secrets);
    if (!e)
        e = open_core(r, w, folder);
    if (!e)
        e = transitions_take(json_incref(json_object_get(w->doc, "transitions")), &w->core->transitions);
    return e ? e : load_plugins(r, w, w->why, sizeof w->why);
}

static void make(struct replay *r, struct world *w)
{
    char folder[4200];
    snprintf(w->why, sizeof w->why, "out of memory");
    int e = make_folder(r, folder);
    if (e)
        snprintf(w->why, sizeof w->why, "%s: %s", r->folder, strerror(errno));
    if (!e)
        e = w->configuration ? make_past(r, w, folder) : make_present(r, w, folder);
    if (!e)
        e = configuration_pretend(w->core, w->configuration);
    if (e) {
        core_close(w->core);
        w->core = NULL;
        return;
    }
    w->core->replay = r;
}

/* One that was not used for long makes place. */
static void make_place(struct replay *r)
{
    size_t n = 0;
    struct world **oldest = NULL;
    for (struct world **at = &r->worlds; *at; at = &(*at)->next, n++)
        if (!oldest || (*at)->used < (*oldest)->used)
            oldest = at;
    if (n < WORLDS_MAX)
        return;
    struct world *w = *oldest;
    *oldest = w->next;
    world_free(w);
}

struct world *world_of(struct replay *r, int64_t configuration)
{
    struct world *w = r->worlds;
    if (r->options->with_current)
        configuration = 0;
    while (w && w->configuration != configuration)
        w = w->next;
    if (!w) {
        make_place(r);
        if (!(w = calloc(1, sizeof *w)))
            return NULL;
        w->configuration = configuration;
        w->lost = json_array();
        w->gone = json_object();
        w->started = json_object();
        make(r, w);
        w->next = r->worlds;
        r->worlds = w;
    }
    w->used = ++r->clock;
    return w;
}
