/* The switch: with the marks durable and the tables made, the new generations are loaded, put in place and started
 * within one callback of the loop. `start` is their first turn, its outputs kept apart until all have started. */
#include "core/reload_parts.h"

#include "core/crash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWITCH_MAPPED_MAX 64 /* libraries that stay in memory because they cannot be unloaded */

/* ---- loading -------------------------------------------------------------------------------------------------------
 */

/* Whether the new code could not be left again: it will write state that the old code does not understand. */
static bool no_way_back(const struct generation *old, const struct manifest *m, const cvm_component *code)
{
    for (size_t i = 0; old && i < m->n_components; i++) {
        const struct manifest_component *now = &m->components[i];
        for (size_t k = 0; k < old->manifest->n_components; k++) {
            const struct manifest_component *was = &old->manifest->components[k];
            if (strcmp(was->id, now->id) != 0 || now->state_version <= was->state_version)
                continue;
            const cvm_component *c = code;
            while (c->id && strcmp(c->id, now->id) != 0)
                c++;
            if (!c->downgrade)
                return true;
        }
    }
    return false;
}

static int load_entry(struct reload *r, struct entry *e)
{
    struct core *core = r->core;
    int64_t begun = clock_ns();
    if (core->mapped >= SWITCH_MAPPED_MAX) {
        snprintf(r->text, sizeof r->text, "%u builds that cannot be unloaded fill the memory already; restart the host",
                 core->mapped);
        return CVM_ELIMIT;
    }
    int error = generation_load(core, e->plugin, e->candidate, &e->fresh, r->text, sizeof r->text);
    if (!error) {
        free(e->fresh->tables);
        e->fresh->tables = e->tables; /* made and prepared before */
        e->tables = NULL;
        e->no_way_back = no_way_back(e->old, e->fresh->manifest, e->fresh->descriptor->components);
        error = vet_open_work(core, e->old, e->fresh, r->text, sizeof r->text);
        if (error)
            r->failed = "vet";
    }
    e->load_us = (clock_ns() - begun) / 1000;
    return error;
}

/* ---- putting in place ----------------------------------------------------------------------------------------------
 */

/* The registry as it will be with the new generations. */
static int build_registry(struct core *core, struct reload *r, struct registry **ret_registry)
{
    const struct binding **future = calloc(core->n_components + 1, sizeof(*future));
    int error = CVM_ENOMEM;
    snprintf(r->text, sizeof r->text, "out of memory");
    for (uint32_t i = 0; future && i < core->n_components; i++) {
        struct component *c = core->components[i];
        future[i] = c->now;
        for (size_t k = 0; k < r->n_entries; k++) {
            const struct entry *e = &r->entries[k];
            const struct binding *then = e->unchanged ? NULL : generation_binding(e->fresh, c);
            if (then)
                future[i] = then;
            else if (!e->unchanged && e->old && future[i]->generation == e->old)
                future[i] = &c->nothing;
        }
    }
    if (future)
        error = registry_build(core, future, ret_registry, r->text, sizeof r->text);
    free(future);
    return error;
}

void generation_install(struct core *core, struct generation *g)
{
    for (size_t i = 0; i < g->manifest->n_components; i++) {
        struct component *c = g->components[i];
        struct name *alias = names_intern(core->names, g->manifest->components[i].alias);
        c->plugin = g->plugin;
        c->now = &g->bindings[i];
        c->alias = alias ? alias->text : c->id->text;
        c->absent = false;
    }
}

void generation_uninstall(struct generation *g)
{
    for (size_t i = 0; g && i < g->manifest->n_components; i++) {
        struct component *c = g->components[i];
        if (c->now->generation != g)
            continue;
        c->now = &c->nothing;
        c->alias = c->id->text;
        c->absent = true;
    }
}

/* ---- starting ------------------------------------------------------------------------------------------------------
 */

static int start_entry(struct core *core, struct reload *r, struct entry *e)
{
    const struct generation *g = e->fresh;
    e->starts = calloc(g->manifest->n_components + 1, sizeof *e->starts);
    if (!e->starts)
        return CVM_ENOMEM;
    for (size_t i = 0; i < g->manifest->n_components; i++) {
        struct component *c = g->components[i];
        if (!component_route(c, core->name_start))
            continue;
        struct message *m = start_message(core, c);
        int error = m ? turn_try(core, m, &e->starts[e->n_starts]) : CVM_ENOMEM;
        if (error) {
            if (m)
                item_release(core, &m->item);
            snprintf(r->text, sizeof r->text, "%s: its start failed: %s", c->id->text, cvm_strerror(error));
            return error;
        }
        e->n_starts++;
    }
    return 0;
}

static void settle_starts(struct core *core, struct entry *e, bool keep)
{
    for (size_t i = 0; i < e->n_starts; i++) {
        struct message *m = e->starts[i].message;
        turn_settle_tried(core, &e->starts[i], keep);
        item_release(core, &m->item);
    }
    e->n_starts = 0;
}

/* ---- the switch ----------------------------------------------------------------------------------------------------
 */

static int64_t queued(const struct generation *g)
{
    int64_t n = 0;
    for (size_t i = 0; g && i < g->manifest->n_components; i++)
        n += (int64_t)g->components[i]->counts.queued;
    return n;
}

/* What is gone back to (`back`) is known to be good, and so is what only moves. */
static void into_service(struct core *core, struct entry *e, bool back)
{
    struct plugin *p = e->plugin;
    struct generation *old = e->old;
    struct build_mark forgotten = p->previous, previous = p->previous;
    probation_end(core, p); /* of an earlier change: what it went back to goes */
    p->now = e->fresh;
    core->configuration = NULL; /* turns name another one from here on */
    e->fresh = NULL;
    p->phase = PLUGIN_RUNNING;
    if (!back)
        p->installed = e->candidate->installed;
    p->note = NULL;
    quarantine_lift(core, p);
    p->one_way = e->no_way_back && old;
    p->previous = (struct build_mark){{0}, {0}, {0}};
    if (e->moved) {
        p->previous = previous;
        probation_behind(p->now, NULL);
        generation_retire(core, old);
        return;
    }
    if (old && !e->no_way_back && !back) {
        build_mark_of(old, &p->previous);
        probation_begin(core, p, old);
    } else {
        probation_behind(p->now, NULL);
        generation_retire(core, old);
    }
    build_forget_unused(core, &forgotten);
}

/* What waited for a plugin in the store, now that it is there. What was parked last is durable: see marked(). */
static void unpark(struct core *core, const struct entry *e)
{
    if (recover_parked(core, e->plugin) < 0)
        log_error(e->plugin->name, "what waited for it cannot be read back; it goes on after a restart");
}

static void put_in(struct core *core, struct reload *r)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        e->held = queued(e->old);
        if (e->unchanged)
            continue;
        for (size_t m = 0; m < e->fresh->manifest->n_components; m++)
            e->fresh->components[m]->returning = e->fresh->components[m]->absent;
        remote_recall(e->old);
        generation_uninstall(e->old);
        generation_install(core, e->fresh);
        probation_behind(e->fresh, e->old); /* for what newer code wrote */
    }
}

/* In the same tick: no turn has seen the new code. */
static void put_back(struct core *core, struct reload *r)
{
    for (size_t i = r->n_entries; i-- > 0;) {
        struct entry *e = &r->entries[i];
        if (e->unchanged)
            continue;
        settle_starts(core, e, false);
        generation_uninstall(e->fresh);
        probation_behind(e->fresh, NULL);
        if (e->old) {
            generation_install(core, e->old);
            probation_behind(e->old, e->plugin->before);
        }
    }
}

/* Gives the name of the plugin whose start failed, with r->error and r->text; NULL: none. */
static const char *start_all(struct core *core, struct reload *r)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (!r->entries[i].unchanged && (r->error = start_entry(core, r, &r->entries[i])))
            return r->entries[i].plugin->name;
    return NULL;
}

/* All have started: from here on nothing can fail. */
static void keep(struct core *core, struct reload *r, struct entry *e)
{
    bool back = r->running->what == CHANGE_ROLLBACK;
    json_t *from = reload__build_json(e->unchanged ? e->plugin->now : e->old);
    if (r->placement != PLACEMENT_ANY && r->running->what != CHANGE_QUARANTINE) { /* the operator's word, from now on */
        e->plugin->placed = r->placement;
        plugins_read_moved(core, e->plugin, r->placement);
    }
    if (!e->unchanged) {
        if (!e->moved)
            e->plugin->bad = (struct build_mark){{0}, {0}, {0}};
        if (back && e->old)
            build_mark_of(e->old, &e->plugin->bad);
        state_lower(core, e->old, e->fresh);
        into_service(core, e, back);
        if (r->running->what == CHANGE_QUARANTINE)
            quarantine_faulty(core, e->plugin);
        reload__mark(r, e->plugin, plugin_mark(e->plugin));
    }
    reload__report_entry(r, e, from);
}

static void go_on(struct core *core, struct entry *e)
{
    settle_starts(core, e, true);
    plugin_back_in_service(core, e->plugin);
    unpark(core, e);
    log_info(e->plugin->name, "%s: version %s, build %.12s, generation %u, %s; switched in %lld us, %lld held",
             e->action, e->plugin->now->manifest->version, e->plugin->now->build, e->plugin->now->number,
             placement_name(generation_placement(e->plugin->now)), (long long)e->switch_us, (long long)e->held);
}

static void swap_in(struct core *core, struct reload *r)
{
    struct registry *registry = NULL;
    int64_t begun = clock_ns();
    if ((r->error = build_registry(core, r, &registry))) {
        reload__refuse(r, "vet", r->running->plugin);
        return;
    }
    int64_t built = clock_ns();
    put_in(core, r);
    struct registry *old = registry_exchange(core, registry);
    const char *failed = start_all(core, r);
    if (failed) {
        put_back(core, r);
        registry_free(registry_exchange(core, old));
        reload__refuse(r, "start", failed);
        return;
    }
    int64_t us = (clock_ns() - built) / 1000;
    registry_free(old);
    reload__take_config(r);
    r->report = json_pack("{s:s, s:[], s:n}", "result", "switched", "plugins", "error");
    r->n_rows = 0;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (!e->unchanged) {
            e->load_us += (built - begun) / 1000;
            e->switch_us = us;
        }
        keep(core, r, e);
    }
    change_record(core, json_object_get(r->report, "plugins"));
    for (size_t i = 0; i < r->n_entries; i++)
        if (!r->entries[i].unchanged)
            go_on(core, &r->entries[i]);
    crash_here(CRASH_CHANGE_SWITCHED);
    json_t *leaving = r->running->plugin ? NULL : removal_of_missing(core, r->candidates, r->n_candidates);
    if (leaving)
        json_object_set_new(r->report, "leaving", leaving);
    reload__end(r);
}

/* ---- up to there ---------------------------------------------------------------------------------------------------
 */

/* The marks are durable and the tables made: from here to the switch everything runs in one callback. */
static void marked(struct core *core, void *arg)
{
    struct reload *r = arg;
    if (r->error) {
        reload__refuse(r, r->failed, r->failed_plugin);
        return;
    }
    if (core->parked_seq > core->durable) { /* what was parked meanwhile must be in the store to be found there */
        r->n_rows = 0;
        if (reload__by_writer(r, marked) < 0)
            reload__refuse_now(r, CVM_ENOMEM, "load", NULL, "out of memory");
        return;
    }
    crash_here(CRASH_CHANGE_MARKED);
    reload__try_config(r);
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        e->old = e->plugin->now; /* what was on probation may have been rolled back since the plan */
        if (e->unchanged)
            continue;
        r->failed = "load";
        if ((r->error = load_entry(r, e))) {
            reload__refuse(r, r->failed, e->plugin->name);
            return;
        }
        const char *whole = canary_impossible(e->plugin, e->old, e->fresh, e->no_way_back);
        if (whole) {
            reload__refuse_now(r, CVM_ESTATE, "switch", e->plugin->name, whole);
            return;
        }
    }
    crash_here(CRASH_CHANGE_LOADED);
    swap_in(core, r);
}

void reload__prepare(struct reload *r)
{
    struct core *core = r->core;
    r->step = RELOAD_MARKING;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (e->unchanged)
            continue;
        e->warnings = json_array();
        e->was = e->old ? manifest_hold(e->old->manifest) : NULL;
        e->tables = calloc(e->candidate->manifest->n_tables + 1, sizeof *e->tables);
        int error = e->tables ? tables_make(core, e->plugin, e->candidate->manifest, e->tables, r->text, sizeof r->text)
                              : CVM_ENOMEM;
        if (error) {
            r->error = error;
            reload__refuse(r, "vet", e->plugin->name);
            return;
        }
        struct plugin_row *row = &r->rows[r->n_rows++];
        plugin_row_take(e->plugin, "loading", row);
        row->before = row->now;
        snprintf(row->now.version, sizeof row->now.version, "%s", e->candidate->manifest->version);
        memcpy(row->now.build, e->candidate->build, sizeof row->now.build);
        memcpy(row->now.content, e->candidate->content, sizeof row->now.content);
    }
    if (reload__by_writer(r, marked) < 0)
        reload__refuse_now(r, CVM_ENOMEM, "stage", NULL, "out of memory");
}
