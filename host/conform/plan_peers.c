/* Who stands in for whom the plugin sends to: components of the manifests around it, or invented ones. Parent. */
#include "conform/parts.h"

#include <ctype.h>
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_read_others(struct conform *c)
{
    char folder[CONFORM_PATH], path[CONFORM_PATH], error[512];
    snprintf(folder, sizeof folder, "%s", c->manifest_path);
    const char *in = dirname(folder);
    DIR *dir = opendir(in);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) && c->n_others < sizeof c->others / sizeof *c->others) {
        size_t n = strlen(entry->d_name);
        struct manifest *m = NULL;
        if (n < 6 || strcmp(entry->d_name + n - 5, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", in, entry->d_name);
        if (manifest_load(path, &m, error, sizeof error) < 0)
            continue;
        if (strcmp(m->name, c->manifest->name) == 0)
            manifest_free(m);
        else
            c->others[c->n_others++] = m;
    }
    if (dir)
        closedir(dir);
}

static bool holds(const struct manifest_component *component, const char *pattern)
{
    for (size_t i = 0; strncmp(pattern, "role:", 5) == 0 && i < component->roles.n; i++)
        if (strcmp(component->roles.at[i], pattern + 5) == 0)
            return true;
    return strcmp(component->id, pattern) == 0 || (component->alias && strcmp(component->alias, pattern) == 0);
}

static bool add_peer(struct conform *c, const struct manifest_component *component, bool known)
{
    for (size_t i = 0; i < c->n_peers; i++)
        if (strcmp(c->peers[i].id, component->id) == 0)
            return true;
    if (c->n_peers == CONFORM_PEERS_MAX)
        return false;
    c->peer_known[c->n_peers] = known;
    c->peers[c->n_peers++] = *component;
    return true;
}

/* What it may be sent: all whose replies the plugin has a route for, and what it was seen to send. */
static void invent_operations(struct conform *c, struct manifest_component *peer, const char *pattern)
{
    json_t *types = json_object(), *route, *yes;
    const char *type;
    size_t i;
    json_array_foreach(c->routes, i, route)
    {
        const char *text = json_string_value(json_object_get(route, "type"));
        size_t n = strlen(text);
        char name[CVM_NAME_MAX + 1];
        if (n <= 6 || strcmp(text + n - 6, ".reply") != 0 || strcmp(text, CVM_ANY_REPLY) == 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - 6), text);
        json_object_set_new(types, name, json_true());
    }
    json_object_set_new(types, "handle", json_true());
    json_object_update(types, json_object_get(c->learned, pattern));
    peer->operations = calloc(json_object_size(types) + 1, sizeof *peer->operations);
    json_object_foreach(types, type, yes) if (peer->operations && peer->n_operations < MANIFEST_OPERATIONS_MAX)
        peer->operations[peer->n_operations++] = (struct manifest_operation){.type = strdup(type), .description = ""};
    json_decref(types);
}

static void invent(struct conform *c, const char *pattern)
{
    bool role = strncmp(pattern, "role:", 5) == 0;
    char id[CVM_NAME_MAX + 1];
    struct manifest_component peer = {.kind = KIND_AGENT};
    if (role || !strchr(pattern, '.')) {
        snprintf(id, sizeof id, "check.%.100s", role ? pattern + 5 : pattern);
        for (char *s = id + 6; *s; s++)
            *s = isalnum((unsigned char)*s) ? (char)tolower((unsigned char)*s) : '_';
    } else {
        snprintf(id, sizeof id, "%s", pattern);
    }
    peer.id = strdup(id);
    peer.alias = role || strchr(pattern, '.') ? NULL : pattern;
    if (role && (peer.roles.at = calloc(1, sizeof *peer.roles.at)))
        peer.roles.at[peer.roles.n++] = pattern + 5;
    invent_operations(c, &peer, pattern);
    if (!peer.id || !add_peer(c, &peer, false))
        free((void *)(uintptr_t)peer.id);
}

static void peers_for(struct conform *c, const struct manifest_strings *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *pattern = list->at[i];
        bool own = strcmp(pattern, "*") == 0 || strncmp(pattern, "host.", 5) == 0, found = false;
        for (size_t k = 0; k < c->manifest->n_components; k++)
            own = own || holds(&c->manifest->components[k], pattern);
        for (size_t k = 0; k < c->n_others && !own; k++)
            for (size_t n = 0; n < c->others[k]->n_components; n++)
                if (holds(&c->others[k]->components[n], pattern))
                    found = add_peer(c, &c->others[k]->components[n], true) || found;
        if (!own && !found)
            invent(c, pattern);
    }
}

void plan_forget_peers(struct conform *c)
{
    for (size_t i = 0; i < c->n_peers; i++) {
        struct manifest_component *peer = &c->peers[i];
        if (c->peer_known[i])
            continue;
        for (size_t k = 0; k < peer->n_operations; k++)
            free((void *)(uintptr_t)peer->operations[k].type);
        free(peer->operations);
        free(peer->roles.at);
        free((void *)(uintptr_t)peer->id);
    }
    c->n_peers = 0;
}

void plan_peers(struct conform *c)
{
    plan_forget_peers(c);
    for (size_t i = 0; i < c->manifest->n_components; i++)
        peers_for(c, &c->manifest->components[i].may_send_to);
    for (size_t i = 0; i < c->manifest->n_components; i++)
        peers_for(c, &c->manifest->components[i].next);
}
