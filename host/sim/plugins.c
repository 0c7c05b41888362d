/* Which plugins are run, and what their manifests allow. Read before the first seed. */
#include "sim/parts.h"

#include "cli/installed.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Beside the program: in the build tree, or as it is installed. */
static bool find_own(char ret_folder[SIM_PATH])
{
    static const char *const places[] = {"/../tests/sim/plugins", "/plugins", "/../lib/cvmhost/sim"};
    char program[SIM_PATH], manifest[SIM_PATH + 64];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 64);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i <= sizeof places / sizeof *places; i++) {
        if (i < sizeof places / sizeof *places)
            snprintf(ret_folder, SIM_PATH, "%s%s", program, places[i]);
        else
            snprintf(ret_folder, SIM_PATH, "%s", CVMHOST_INSTALLED "/sim");
        snprintf(manifest, sizeof manifest, "%s/ledger.json", ret_folder);
        if (is_file(manifest))
            return true;
    }
    return false;
}

static bool find_pair(const char *folder, const char *name, const char *suffix, char ret_library[SIM_PATH],
                      char ret_manifest[SIM_PATH])
{
    static const char *const places[][2] = {{"%s/%s%s.so", "%s/%s%s.json"},
                                            {"%s/plugins/%s%s.so", "%s/manifests/%s%s.json"},
                                            {"%s/plugins/%s%s.so", "%s/plugins/%s%s.json"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(ret_library, SIM_PATH, places[i][0], folder, name, suffix);
        snprintf(ret_manifest, SIM_PATH, places[i][1], folder, name, suffix);
        if (is_file(ret_library) && is_file(ret_manifest))
            return true;
    }
    return false;
}

static void allow(struct sim_plugins *p, const struct manifest *m)
{
    for (size_t i = 0; i < m->n_components; i++) {
        const struct manifest_component *c = &m->components[i];
        json_t *to = json_object_get(p->may_send, c->id), *topics = json_object_get(p->publishes, c->id);
        if (!to)
            json_object_set_new(p->may_send, c->id, to = json_object());
        if (!topics)
            json_object_set_new(p->publishes, c->id, topics = json_object());
        for (size_t k = 0; k < c->may_send_to.n; k++)
            json_object_set_new(to, c->may_send_to.at[k], json_true());
        for (size_t k = 0; k < c->next.n; k++)
            json_object_set_new(to, c->next.at[k], json_true());
        for (size_t k = 0; k < c->publishes.n; k++)
            json_object_set_new(topics, c->publishes.at[k], json_true());
    }
}

static int add(struct sim_plugins *p, const char *name, char *error, size_t size)
{
    struct sim_plugin *plugin = &p->at[p->n];
    struct manifest *second = NULL;
    char library[SIM_PATH], manifest[SIM_PATH];
    snprintf(plugin->name, sizeof plugin->name, "%s", name);
    if (!find_pair(p->folder, name, "", plugin->library[0], plugin->manifest[0]))
        return 0; /* a manifest without a library, or the other way */
    int e = manifest_load(plugin->manifest[0], &plugin->decl, error, size);
    if (e)
        return e;
    if (strcmp(plugin->decl->name, name) != 0) {
        snprintf(error, size, "%s: the plugin is called %s; its file must be, too", plugin->manifest[0],
                 plugin->decl->name);
        manifest_free(plugin->decl);
        return CVM_EINVAL;
    }
    memcpy(library, plugin->library[0], sizeof library);
    memcpy(manifest, plugin->manifest[0], sizeof manifest);
    if (find_pair(p->folder, name, ".2", library, manifest)) {
        e = manifest_load(manifest, &second, error, size);
        if (e)
            return e;
        allow(p, second);
        manifest_free(second);
    } else {
        memcpy(library, plugin->library[0], sizeof library);
        memcpy(manifest, plugin->manifest[0], sizeof manifest);
    }
    memcpy(plugin->library[1], library, sizeof library);
    memcpy(plugin->manifest[1], manifest, sizeof manifest);
    allow(p, plugin->decl);
    for (size_t i = 0; i < plugin->decl->n_components; i++)
        json_array_append_new(p->words, json_string(plugin->decl->components[i].id));
    p->n++;
    return 0;
}

/* "x.json" but not "x.2.json". */
static int is_manifest(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 5 && n < CVM_NAME_MAX && strcmp(entry->d_name + n - 5, ".json") == 0 &&
           !(n > 7 && strcmp(entry->d_name + n - 7, ".2.json") == 0);
}

static int read_folder(struct sim_plugins *p, const char *sub, char *error, size_t size)
{
    char folder[SIM_PATH + 16];
    struct dirent **entries = NULL;
    snprintf(folder, sizeof folder, "%s%s", p->folder, sub);
    int n = scandir(folder, &entries, is_manifest, alphasort), e = 0;
    for (int i = 0; i < n; i++) {
        char name[CVM_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)strlen(entries[i]->d_name) - 5, entries[i]->d_name);
        bool known = false;
        for (size_t k = 0; k < p->n; k++)
            known = known || strcmp(p->at[k].name, name) == 0;
        if (!e && !known && p->n < SIM_PLUGINS_MAX)
            e = add(p, name, error, size);
        free(entries[i]);
    }
    free(entries);
    return e;
}

int plugins_find(struct sim_plugins *p, const char *folder, char *error, size_t size)
{
    static const char *const subs[] = {"", "/manifests", "/plugins"};
    int e = 0;
    *p = (struct sim_plugins){
        .own = !folder, .words = json_array(), .may_send = json_object(), .publishes = json_object()};
    if (!folder && !find_own(p->folder)) {
        snprintf(error, size,
                 "the plugins of the simulation are not there: build them, install them "
                 "(PREFIX/lib/cvmhost/sim), or name others with --plugins DIR");
        return CVM_ENOENT;
    }
    if (folder && (strlen(folder) > 700 || !realpath(folder, p->folder))) {
        snprintf(error, size, "%.300s: %s", folder, strerror(errno));
        return CVM_ENOENT;
    }
    for (size_t i = 0; i < sizeof subs / sizeof *subs && !e; i++)
        e = read_folder(p, subs[i], error, size);
    if (!e && !p->n) {
        snprintf(error, size, "%s: no plugins: expected NAME.so with NAME.json beside it, or a home", p->folder);
        e = CVM_ENOENT;
    }
    return e;
}

void plugins_forget(struct sim_plugins *p)
{
    for (size_t i = 0; i < p->n; i++)
        manifest_free(p->at[i].decl);
    json_decref(p->words);
    json_decref(p->may_send);
    json_decref(p->publishes);
}
