/* The beginning of a change: configuration and folders are read anew beside the loop, and what differs from what runs
 * becomes the plan. Which functions run beside the loop is said at each. */
#include "core/reload_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- beside the loop -----------------------------------------------------------------------------------------------
 */

static bool is_manifest_of(const char *path, const char *plugin)
{
    const char *base = strrchr(path, '/') + 1;
    size_t n = strlen(plugin);
    return strncmp(base, plugin, n) == 0 && strcmp(base + n, ".json") == 0;
}

static void stage(struct reload *r)
{
    const struct change *c = r->running;
    bool found = false;
    r->error = config_load(r->place.home, r->core->options.config_file, &r->config, r->text, sizeof r->text);
    if (!r->error)
        r->error = transitions_read(r->place.home, &r->transitions, r->text, sizeof r->text);
    if (r->error) {
        r->failed = "stage";
        return;
    }
    config_inherit(r->config, r->core->options.config);
    r->place.config = r->config;
    r->error = stage_scan(&r->place, &r->list, r->text, sizeof r->text);
    if (r->error)
        r->failed = "stage";
    for (size_t i = 0; i < r->list.n && !r->error; i++) {
        struct candidate *candidate = &r->candidates[r->n_candidates];
        if (c->plugin && !is_manifest_of(r->list.manifest[i], c->plugin))
            continue;
        found = true;
        int e = stage_read(&r->place, r->list.manifest[i], r->list.installed[i], candidate, r->text, sizeof r->text);
        if (e == CVM_EEXIST && !c->plugin) { /* disabled: as if it were not there */
            stage_clear(candidate);
            continue;
        }
        r->n_candidates++;
        if (!e)
            continue;
        r->error = e;
        r->failed = candidate->failed ? candidate->failed : "stage";
        const char *base = strrchr(r->list.manifest[i], '/') + 1;
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%.*s", (int)(strlen(base) - 5), base);
    }
    if (c->plugin && !found && !r->error) {
        r->error = CVM_ENOENT;
        r->failed = "stage";
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", c->plugin);
        snprintf(
            r->text, sizeof r->text,
            "there is no manifest %s.json in %s/manifests or %s/plugins: copy it there, and the library to plugins/",
            c->plugin, r->place.home, r->place.home);
    }
}

static void recall(struct reload *r, const struct build_mark *previous)
{
    struct candidate *candidate = &r->candidates[r->n_candidates++];
    r->error = stage_recall(&r->place, previous->build, previous->content, r->back_installed, r->placement, candidate,
                            r->text, sizeof r->text);
    if (r->error) {
        r->failed = "stage";
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", r->running->plugin);
    }
}

static void work(uv_work_t *work)
{
    struct reload *r = work->data;
    if (*r->back.build)
        recall(r, &r->back);
    else
        stage(r);
}

static void after_work(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    (void)status;
    r->working = false;
    core_set_now(r->core);
    reload__staged(r);
    kick(r->core);
}

void reload__stage(struct reload *r)
{
    r->step = RELOAD_STAGING;
    r->place = plugin_place(r->core);
    if (r->running->what == CHANGE_ENABLE) /* to where the rules say */
        r->place.quarantined = NULL;
    r->work.data = r;
    if (r->core->options.loop && uv_queue_work(r->core->options.loop, &r->work, work, after_work) == 0) {
        r->working = true;
        return;
    }
    work(&r->work);
    reload__staged(r);
}

static void launch(uv_work_t *work)
{
    struct reload *r = work->data;
    for (size_t i = 0; i < r->n_entries && !r->error; i++) {
        struct entry *e = &r->entries[i];
        if (e->unchanged || !(r->error = stage_launch(&r->place, e->candidate, r->text, sizeof r->text)))
            continue;
        r->failed = "load";
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", e->candidate->manifest->name);
    }
}

static void launched(struct reload *r)
{
    if (r->error)
        reload__refuse(r, r->failed, r->failed_plugin);
    else
        reload__prepare(r);
}

static void after_launch(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    (void)status;
    r->working = false;
    core_set_now(r->core);
    launched(r);
    kick(r->core);
}

void reload__launch(struct reload *r)
{
    if (r->core->options.loop && uv_queue_work(r->core->options.loop, &r->work, launch, after_launch) == 0) {
        r->working = true;
        return;
    }
    launch(&r->work);
    launched(r);
}

/* ---- the configuration ---------------------------------------------------------------------------------------------
 */

void reload__try_config(struct reload *r)
{
    if (!r->config)
        return;
    r->own_config = r->core->options.config;
    r->core->options.config = r->config;
}

void reload__drop_config(struct reload *r)
{
    if (r->own_config)
        r->core->options.config = r->own_config;
    config_free(r->config);
    transitions_free(r->transitions);
    r->config = r->own_config = NULL;
    r->transitions = NULL;
}

/* For good. Generations that stay take their settings; gives how many plugins have others now. */
uint32_t reload__take_config(struct reload *r)
{
    struct core *core = r->core;
    uint32_t changed = 0;
    if (!r->config)
        return 0;
    core->facts++;
    if (r->own_config)
        core->options.config = r->own_config;
    config_adopt(core->options.config, r->config);
    transitions_free(core->transitions);
    core->transitions = r->transitions;
    r->config = r->own_config = NULL;
    r->transitions = NULL;
    for (struct plugin *p = core->plugins; p; p = p->next) {
        bool differs = false;
        for (size_t i = 0; p->now && i < p->now->manifest->n_components; i++)
            differs = binding_configure(core, &p->now->bindings[i]) || differs;
        for (size_t i = 0; p->before && i < p->before->manifest->n_components; i++)
            binding_configure(core, &p->before->bindings[i]);
        for (size_t i = 0; i < r->n_entries; i++)
            if (r->entries[i].plugin == p && r->entries[i].unchanged && differs)
                r->entries[i].action = "settings";
        if (differs)
            log_info(p->name, "has other settings");
        for (size_t i = 0; p->now && i < p->now->manifest->n_components; i++)
            schedule_place_freed(core, p->now->components[i]);
        changed += differs;
    }
    return changed;
}

/* ---- the plan ------------------------------------------------------------------------------------------------------
 */

static bool same_build(const struct generation *g, const struct candidate *c)
{
    return g && strcmp(g->build, c->build) == 0 && strcmp(g->content, c->content) == 0;
}

static bool same_place(const struct generation *g, const struct candidate *c)
{
    return generation_placement(g) == c->placement;
}

void reload__add_entry(struct reload *r, struct plugin *p, struct candidate *c)
{
    struct entry *e = &r->entries[r->n_entries++];
    *e = (struct entry){.plugin = p, .candidate = c, .old = p->now};
    e->unchanged = same_build(p->now, c) && same_place(p->now, c);
    e->moved = same_build(p->now, c) && !e->unchanged;
    bool revived = r->running->what == CHANGE_ENABLE && *p->quarantined.build;
    e->action = e->unchanged                          ? "unchanged"
                : revived                             ? "revived"
                : e->moved                            ? "moved"
                : r->running->what == CHANGE_ROLLBACK ? "rolled_back"
                : r->running->what == CHANGE_ENABLE   ? "enabled"
                : p->now || p->held                   ? "replaced"
                                                      : "added";
}

/* Two plugins that come together may not claim the same component or table; those in service are looked at later. */
static int check_claims(struct reload *r, const struct manifest *m)
{
    for (size_t k = 0; k < r->n_entries; k++) {
        const struct manifest *other = r->entries[k].candidate->manifest;
        const char *what = NULL, *claimed = NULL;
        for (size_t i = 0; i < m->n_components && !claimed; i++)
            for (size_t j = 0; j < other->n_components; j++)
                if (strcmp(m->components[i].id, other->components[j].id) == 0)
                    what = "component id", claimed = m->components[i].id;
        for (size_t i = 0; i < m->n_tables && !claimed; i++)
            for (size_t j = 0; j < other->n_tables; j++)
                if (strcmp(m->tables[i].name, other->tables[j].name) == 0)
                    what = "table", claimed = m->tables[i].name;
        if (!claimed)
            continue;
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", m->name);
        snprintf(r->text, sizeof r->text,
                 "the %s %s is declared by plugins %s and %s; take one of them out, or name it in plugins.disabled",
                 what, claimed, other->name, m->name);
        return CVM_EINVAL;
    }
    return 0;
}

int reload__plan(struct reload *r)
{
    struct core *core = r->core;
    const struct change *change = r->running;
    r->n_entries = 0;
    for (size_t i = 0; i < r->n_candidates; i++) {
        struct candidate *c = &r->candidates[i];
        struct plugin *p = plugin_get(core, c->manifest->name);
        if (!p) {
            snprintf(r->text, sizeof r->text, "out of memory");
            return CVM_ENOMEM;
        }
        if (p->phase == PLUGIN_DISABLED && change->what != CHANGE_ENABLE) {
            if (!change->plugin)
                continue;
            snprintf(r->text, sizeof r->text, "%s is disabled; cvmhost plugin enable %s takes it back", p->name,
                     p->name);
            return CVM_ESTATE;
        }
        if (p->held && change->what != CHANGE_ENABLE && build_mark_is(&p->quarantined, c->build, c->content)) {
            if (!change->plugin)
                continue;
            snprintf(r->text, sizeof r->text,
                     "%s is quarantined: this build crashed the host; cvmhost revive %s tries it again", p->name,
                     p->name);
            return CVM_ESTATE;
        }
        removal_take_back(core, p);
        if (p->phase == PLUGIN_REMOVING && !change->plugin)
            continue;
        if (p->phase == PLUGIN_REMOVING) {
            snprintf(r->text, sizeof r->text,
                     "%s is being removed; wait until its conversations have ended, or: "
                     "cvmhost plugin remove %s --now",
                     p->name, p->name);
            return CVM_ESTATE;
        }
        for (size_t k = 0; k < r->n_entries; k++) {
            if (r->entries[k].plugin == p) {
                snprintf(r->text, sizeof r->text, "plugin name %s is claimed by %s and %s; take one of them out",
                         p->name, r->entries[k].candidate->manifest->path, c->manifest->path);
                return CVM_EINVAL;
            }
        }
        if (!change->plugin && build_mark_is(&p->bad, c->build, c->content)) {
            p->note = "the build in the folder was rolled back; reload it by name to try it again";
            if (r->kept || (r->kept = json_array()))
                json_array_append_new(r->kept, json_string(p->name));
            continue;
        }
        CVM_TRY(check_claims(r, c->manifest));
        reload__add_entry(r, p, c);
    }
    return 0;
}

/* The configuration is for all, also for those that are not exchanged. */
int reload__check_settings(struct reload *r)
{
    const struct config *config = r->config ? r->config : r->core->options.config;
    for (struct plugin *p = r->core->plugins; p; p = p->next) {
        const struct manifest *m = p->now ? p->now->manifest : NULL;
        for (size_t i = 0; i < r->n_entries; i++)
            if (r->entries[i].plugin == p)
                m = r->entries[i].candidate->manifest;
        if (m && stage_check_settings(config, m, r->text, sizeof r->text) < 0) {
            snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", m->name);
            return CVM_EINVAL;
        }
    }
    return 0;
}

bool reload__anything_to_do(const struct reload *r)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (!r->entries[i].unchanged)
            return true;
    return false;
}
