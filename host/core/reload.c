/* Changes of plugins as a state machine: one change at a time goes from staging (beside the loop) over the marks and
 * tables (on the writer's connection) to the switch between two turns. What fails before the switch has changed
 * nothing; what fails in it is undone in the same tick. See reload.h. */
#include "core/internal.h"

#include "core/crash.h"
#include "core/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_WAITERS_MAX 1024
#define RELOAD_MAPPED_MAX 64 /* libraries that stay in memory because they cannot be unloaded */
#define RELOAD_ERROR_BYTES 768

struct change_waiter {
    struct change_waiter *next;
    core_change_done done;
    void *arg;
};

/* One change that was asked for; equal ones that wait are one. */
struct change {
    struct change *next;
    enum core_change what;
    char *plugin; /* NULL: all */
    bool now;
    struct change_waiter *waiters;
};

/* One plugin of the change under way. */
struct entry {
    struct plugin *plugin;
    struct candidate *candidate; /* NULL: its generation before is in memory */
    struct generation *fresh, *old;
    struct table **tables; /* until the generation has them */
    const char *action;
    bool unchanged, no_way_back;
    int64_t load_us, switch_us, held;
    struct turn *starts; /* run and not yet kept */
    size_t n_starts;
};

enum reload_step { RELOAD_IDLE, RELOAD_STAGING, RELOAD_MARKING, RELOAD_ENDING };

struct reload {
    struct core *core;
    struct alarm alarm; /* begins the next change from the loop */
    struct change *queue, *running;
    uint32_t waiters;
    enum reload_step step;
    uv_work_t work;
    bool working;
    /* of the change under way */
    struct config *config, *own_config; /* read anew; and the core's, while the new one is tried */
    struct transitions *transitions;    /* read anew with it */
    struct stage_place place;
    struct stage_list list;
    struct candidate candidates[STAGE_PLUGINS_MAX];
    size_t n_candidates;
    struct entry entries[STAGE_PLUGINS_MAX];
    size_t n_entries;
    struct plugin_row rows[STAGE_PLUGINS_MAX];
    size_t n_rows;
    int64_t at_ms; /* for the writer, which may not look at the loop's clock */
    int error;
    const char *failed; /* step */
    char failed_plugin[CVM_NAME_MAX + 1];
    char text[RELOAD_ERROR_BYTES];
    json_t *report;
};

static void next_change(struct core *core, struct alarm *alarm);

/* Nothing of it runs beside the loop. */
bool reload_is_still(const struct core *core)
{
    return !core->reload || !core->reload->working;
}

/* ---- asking for a change ----------------------------------------------------------------------------------------- */

static json_t *refusal(const char *code, const char *step, const char *plugin, const char *text)
{
    return json_pack("{s:s, s:[], s:{s:s, s:s, s:s?, s:s}}", "result", "refused", "plugins", "error", "code", code,
                     "step", step, "plugin", plugin, "text", text);
}

static struct change *find_or_add(struct reload *r, enum core_change what, const char *plugin, bool now)
{
    struct change **at = &r->queue;
    for (; *at; at = &(*at)->next) {
        struct change *c = *at;
        if (c->what == what && c->now == now &&
            (c->plugin && plugin ? strcmp(c->plugin, plugin) == 0 : c->plugin == plugin))
            return c;
    }
    struct change *c = calloc(1, sizeof *c);
    if (!c || (plugin && !(c->plugin = strdup(plugin)))) {
        free(c);
        return NULL;
    }
    c->what = what;
    c->now = now;
    *at = c;
    return c;
}

void core_change(struct core *core, enum core_change what, const char *plugin, bool now, core_change_done done,
                 void *arg)
{
    struct reload *r = core->reload;
    struct change_waiter *w = calloc(1, sizeof *w);
    if (!r && (r = calloc(1, sizeof *r))) {
        r->core = core;
        core->reload = r;
    }
    struct change *c = r && w && r->waiters < RELOAD_WAITERS_MAX ? find_or_add(r, what, plugin, now) : NULL;
    if (!c) { /* the one case in which the caller hears at once */
        free(w);
        done(arg, CVM_EBUSY, refusal("BUSY", "stage", plugin, "too many changes wait, or memory is short; try again"));
        return;
    }
    r->waiters++;
    *w = (struct change_waiter){.next = c->waiters, .done = done, .arg = arg};
    c->waiters = w;
    core_set_now(core);
    if (r->step == RELOAD_IDLE && !r->alarm.index)
        alarm_set(core, &r->alarm, core->now_ms, next_change);
    kick(core);
}

static void clear(struct reload *r)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        free(e->starts);
        for (size_t k = 0; e->tables && k < e->candidate->manifest->n_tables; k++)
            table_release(r->core, e->tables[k]);
        free(e->tables);
    }
    for (size_t i = 0; i < r->n_candidates; i++)
        stage_clear(&r->candidates[i]);
    stage_list_clear(&r->list);
    json_decref(r->report);
    r->report = NULL;
    r->n_candidates = r->n_entries = r->n_rows = 0;
    r->error = 0;
    r->failed = NULL;
    r->failed_plugin[0] = r->text[0] = 0;
}

static void answer(struct reload *r, int error)
{
    struct core *core = r->core;
    struct change *c = r->running;
    json_t *report = r->report;
    r->report = NULL;
    r->running = NULL;
    clear(r);
    r->step = RELOAD_IDLE;
    if (r->queue)
        alarm_set(core, &r->alarm, core->now_ms, next_change);
    while (c->waiters) {
        struct change_waiter *w = c->waiters;
        c->waiters = w->next;
        r->waiters--;
        w->done(w->arg, error, c->waiters ? json_deep_copy(report) : json_incref(report));
        free(w);
    }
    json_decref(report);
    free(c->plugin);
    free(c);
}

/* ---- marks: what the next start is to know, durable before it can matter ------------------------------------------
 */

static void write_marks(struct store *store, void *arg)
{
    struct reload *r = arg;
    for (size_t i = 0; i < r->n_rows; i++)
        plugin_row_write(store, &r->rows[i], r->at_ms);
    for (size_t i = 0; i < r->n_entries && r->step == RELOAD_MARKING; i++) {
        struct entry *e = &r->entries[i];
        for (size_t k = 0; e->tables && k < e->candidate->manifest->n_tables && !r->error; k++) {
            if (!e->tables[k]->put)
                r->error = store_table(store, e->tables[k], r->text, sizeof r->text);
            if (r->error) {
                r->failed = "load";
                snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", e->plugin->name);
            }
        }
    }
}

static void mark(struct reload *r, struct plugin *p, const char *phase)
{
    plugin_row_take(p, phase, &r->rows[r->n_rows++]);
}

static int write_by_writer(struct reload *r, void (*done)(struct core *, void *))
{
    r->at_ms = r->core->now_ms;
    return journal_job(r->core, write_marks, done, r);
}

static void marked_at_the_end(struct core *core, void *arg)
{
    struct reload *r = arg;
    (void)core;
    crash_here(CRASH_CHANGE_NOTED);
    answer(r, r->error);
}

static void end(struct reload *r)
{
    r->step = RELOAD_ENDING;
    if (!r->n_rows || write_by_writer(r, marked_at_the_end) < 0)
        answer(r, r->error);
}

/* ---- the configuration, which a reload reads anew ---- */

static void try_config(struct reload *r)
{
    if (!r->config)
        return;
    r->own_config = r->core->options.config;
    r->core->options.config = r->config;
}

static void drop_config(struct reload *r)
{
    if (r->own_config)
        r->core->options.config = r->own_config;
    config_free(r->config);
    transitions_free(r->transitions);
    r->config = r->own_config = NULL;
    r->transitions = NULL;
}

/* For good. Generations that stay take their settings; gives how many plugins have others now. */
static uint32_t take_config(struct reload *r)
{
    struct core *core = r->core;
    uint32_t changed = 0;
    if (!r->config)
        return 0;
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
        changed += differs;
    }
    return changed;
}

static const char *code_of(int error)
{
    return error == CVM_ENOENT   ? "NOT_FOUND"
           : error == CVM_EABI   ? "ABI"
           : error == CVM_EACCES ? "NOT_TRUSTED"
           : error == CVM_ESTATE ? "BAD_STATE"
                                 : "REFUSED";
}

/* Nothing was changed; generations that were loaded for it are let go. */
static void refuse(struct reload *r, const char *step, const char *plugin)
{
    drop_config(r);
    bool were_marked = r->step == RELOAD_MARKING;
    r->n_rows = 0;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (e->candidate && e->fresh)
            generation_free(r->core, e->fresh);
        e->fresh = NULL;
        if (were_marked && !e->unchanged)
            mark(r, e->plugin,
                 e->plugin->phase == PLUGIN_PROBATION ? "probation" : plugin_phase_name(e->plugin->phase));
    }
    r->report = refusal(code_of(r->error), step, plugin && *plugin ? plugin : NULL, r->text);
    log_error(plugin && *plugin ? plugin : "host", "not changed, %s failed: %s", step, r->text);
    r->error = r->error == CVM_ENOENT ? CVM_ENOENT : CVM_EINVAL;
    end(r);
}

static void refuse_now(struct reload *r, int error, const char *step, const char *plugin, const char *text)
{
    r->error = error;
    snprintf(r->text, sizeof r->text, "%s", text);
    refuse(r, step, plugin);
}

/* ---- staging: beside the loop ------------------------------------------------------------------------------------ */

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
    r->place.config = r->config;
    stage_scan(&r->place, &r->list);
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
    if (c->plugin && !found) {
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
    r->error = stage_recall(&r->place, previous->build, previous->content, candidate, r->text, sizeof r->text);
    if (r->error) {
        r->failed = "stage";
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", r->running->plugin);
    }
}

static void staged(struct reload *r);

static void work(uv_work_t *work)
{
    struct reload *r = work->data;
    const struct plugin *p = r->running->what == CHANGE_ROLLBACK ? r->entries[0].plugin : NULL;
    if (p)
        recall(r, &p->previous);
    else
        stage(r);
}

static void after_work(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    (void)status;
    r->working = false;
    core_set_now(r->core);
    staged(r);
    kick(r->core);
}

static void stage_beside(struct reload *r)
{
    r->step = RELOAD_STAGING;
    r->place = plugin_place(r->core);
    r->work.data = r;
    if (r->core->options.loop && uv_queue_work(r->core->options.loop, &r->work, work, after_work) == 0) {
        r->working = true;
        return;
    }
    work(&r->work);
    staged(r);
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

static bool same_build(const struct generation *g, const struct candidate *c)
{
    return g && strcmp(g->build, c->build) == 0 && strcmp(g->content, c->content) == 0;
}

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

static void add_entry(struct reload *r, struct plugin *p, struct candidate *c)
{
    struct entry *e = &r->entries[r->n_entries++];
    *e = (struct entry){.plugin = p, .candidate = c, .old = p->now};
    e->unchanged = c && same_build(p->now, c);
    e->action = e->unchanged                          ? "unchanged"
                : r->running->what == CHANGE_ROLLBACK ? "rolled_back"
                : r->running->what == CHANGE_ENABLE   ? "enabled"
                : p->now                              ? "replaced"
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

static int plan(struct reload *r)
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
            continue;
        }
        CVM_TRY(check_claims(r, c->manifest));
        p->installed = change->what == CHANGE_ROLLBACK ? p->installed : c->installed;
        add_entry(r, p, c);
    }
    return 0;
}

static bool anything_to_do(const struct reload *r)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (!r->entries[i].unchanged)
            return true;
    return false;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static json_t *mark_json(const struct generation *g)
{
    return g ? json_pack("{s:s, s:s}", "version", g->manifest->version, "build", g->build) : json_null();
}

static json_t *counts_json(const struct generation *g, int64_t held)
{
    struct counts n = {0};
    for (size_t i = 0; g && i < g->manifest->n_components; i++) {
        const struct counts *c = &g->components[i]->counts;
        n.delivered += c->delivered;
        n.settled += c->settled;
        n.queued += c->queued;
        n.lent += c->lent;
        n.dead += c->dead;
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "held", (json_int_t)held, "delivered", (json_int_t)n.delivered,
                     "settled", (json_int_t)n.settled, "queued", (json_int_t)n.queued, "lent", (json_int_t)n.lent,
                     "dead", (json_int_t)n.dead);
}

json_t *change_receipt(const struct plugin *p, const char *action, const struct generation *from,
                       const struct generation *to, int64_t held)
{
    json_t *receipt = counts_json(to ? to : from, held);
    json_object_set_new(receipt, "plugin", json_string(p->name));
    json_object_set_new(receipt, "action", json_string(action));
    json_object_set_new(receipt, "from", mark_json(from));
    json_object_set_new(receipt, "to", mark_json(to));
    json_object_set_new(
        receipt, "probation",
        p->phase == PLUGIN_PROBATION && to == p->now
            ? json_pack("{s:i, s:i}", "turns", CORE_PROBATION_TURNS, "seconds", CORE_PROBATION_MS / 1000)
            : json_null());
    return receipt;
}

static void report_entry(struct reload *r, const struct entry *e, const struct generation *from)
{
    json_t *receipt = change_receipt(e->plugin, e->action, from, e->plugin->now, e->held);
    json_object_set_new(receipt, "us",
                        json_pack("{s:I, s:I, s:I, s:I}", "stage",
                                  (json_int_t)(e->candidate ? e->candidate->stage_us : 0), "vet",
                                  (json_int_t)(e->candidate ? e->candidate->vet_us : 0), "load", (json_int_t)e->load_us,
                                  "switch", (json_int_t)e->switch_us));
    json_object_set_new(receipt, "no_way_back", json_boolean(e->no_way_back));
    json_array_append_new(json_object_get(r->report, "plugins"), receipt);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static int load_entry(struct reload *r, struct entry *e)
{
    struct core *core = r->core;
    int64_t begun = clock_ns();
    if (core->mapped >= RELOAD_MAPPED_MAX) {
        snprintf(r->text, sizeof r->text, "%u builds that cannot be unloaded fill the memory already; restart the host",
                 core->mapped);
        return CVM_ELIMIT;
    }
    int error = generation_load(core, e->plugin, e->candidate, &e->fresh, r->text, sizeof r->text);
    if (!error) {
        struct table **none = e->fresh->tables;
        e->fresh->tables = e->tables; /* made and prepared before */
        e->tables = none;
        free(none);
        e->tables = NULL;
        e->no_way_back = no_way_back(e->old, e->fresh->manifest, e->fresh->descriptor->components);
        error = vet_open_work(core, e->old, e->fresh, r->text, sizeof r->text);
        if (error)
            r->failed = "vet";
    }
    e->load_us = (clock_ns() - begun) / 1000;
    return error;
}

static void swap_in(struct core *core, struct reload *r);

/* The marks are durable and the tables made: from here to the switch everything runs in one callback. */
static void marked(struct core *core, void *arg)
{
    struct reload *r = arg;
    if (r->error) {
        refuse(r, r->failed, r->failed_plugin);
        return;
    }
    if (core->parked_seq > core->durable) { /* what was parked meanwhile must be in the store to be found there */
        r->n_rows = 0;
        if (write_by_writer(r, marked) < 0)
            refuse_now(r, CVM_ENOMEM, "load", NULL, "out of memory");
        return;
    }
    crash_here(CRASH_CHANGE_MARKED);
    try_config(r);
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (e->unchanged)
            continue;
        r->failed = "load";
        if ((r->error = load_entry(r, e))) {
            refuse(r, r->failed, e->plugin->name);
            return;
        }
    }
    crash_here(CRASH_CHANGE_LOADED);
    swap_in(core, r);
}

static void prepare(struct reload *r)
{
    struct core *core = r->core;
    r->step = RELOAD_MARKING;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (e->unchanged)
            continue;
        e->tables = calloc(e->candidate->manifest->n_tables + 1, sizeof *e->tables);
        int error = e->tables ? tables_make(core, e->plugin, e->candidate->manifest, e->tables, r->text, sizeof r->text)
                              : CVM_ENOMEM;
        if (error) {
            r->error = error;
            refuse(r, "vet", e->plugin->name);
            return;
        }
        struct plugin_row *row = &r->rows[r->n_rows++];
        plugin_row_take(e->plugin, "loading", row);
        row->before = row->now;
        snprintf(row->now.version, sizeof row->now.version, "%s", e->candidate->manifest->version);
        memcpy(row->now.build, e->candidate->build, sizeof row->now.build);
        memcpy(row->now.content, e->candidate->content, sizeof row->now.content);
    }
    if (write_by_writer(r, marked) < 0)
        refuse_now(r, CVM_ENOMEM, "stage", NULL, "out of memory");
}

/* ---- the switch -------------------------------------------------------------------------------------------------- */

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
            if (e->unchanged)
                continue;
            if (c->plugin == e->plugin && c->now->generation)
                future[i] = &c->nothing;
        }
        for (size_t k = 0; k < r->n_entries; k++) {
            const struct entry *e = &r->entries[k];
            for (size_t m = 0; e->fresh && !e->unchanged && m < e->fresh->manifest->n_components; m++)
                if (e->fresh->components[m] == c)
                    future[i] = &e->fresh->bindings[m];
        }
    }
    if (future)
        error = registry_build(core, future, ret_registry, r->text, sizeof r->text);
    free(future);
    return error;
}

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

static int64_t queued(const struct generation *g)
{
    int64_t n = 0;
    for (size_t i = 0; g && i < g->manifest->n_components; i++)
        n += (int64_t)g->components[i]->counts.queued;
    return n;
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

/* What the audit shows of a change, in its place in the sequence of turns. */
void change_record(struct core *core, json_t *receipts)
{
    struct message *m = message_new(core, core->name_change);
    if (!m)
        abort(); /* without its record a change must not be */
    m->pub.id = m->item.id =
        (cvm_id){(uint64_t)core->host->lane->key, id_mix(core->seed += 0x9e3779b97f4a7c15ULL, core->host->salt) | 1};
    m->to = core->host;
    m->pub.sender = m->pub.recipient = core->host->id->text;
    m->pub.message_type = CVM_NOTIFICATION;
    m->pub.data = m->data = json_object();
    m->input = true;
    m->conversation = core->host->lane;
    m->pub.conversation = core->host->lane->name;
    conversation_hold(core->host->lane);
    turn_begin(core, core->host, core->host->lane, m);
    core->turn.notes = json_pack("[[s, O]]", "plugins changed", receipts);
    turn_commit(core, "OK", 0);
    item_release(core, &m->item);
}

/* What is gone back to (`back`) is known to be good. */
static void into_service(struct core *core, struct entry *e, bool back)
{
    struct plugin *p = e->plugin;
    struct generation *old = e->old;
    struct build_mark forgotten = p->previous;
    probation_end(core, p); /* of an earlier change: what it went back to goes */
    p->now = e->fresh;
    p->phase = PLUGIN_RUNNING;
    p->note = NULL;
    p->previous = (struct build_mark){{0}, {0}, {0}};
    if (old && !e->no_way_back && !back) {
        build_mark_of(old, &p->previous);
        probation_begin(core, p, old);
    } else {
        probation_behind(p->now, NULL);
        generation_retire(core, p, old);
    }
    build_forget_unused(core, p, &forgotten);
}

/* What waited for a plugin in the store, now that it is there. What was parked last is durable: see marked(). */
static void unpark(struct core *core, const struct entry *e)
{
    if (!e->old && recover_parked(core, e->plugin) < 0)
        log_error(e->plugin->name, "what waited for it cannot be read back; it goes on after a restart");
}

static void swap_in(struct core *core, struct reload *r)
{
    struct registry *fresh = NULL;
    const char *failed = NULL;
    int64_t begun = clock_ns();
    if ((r->error = build_registry(core, r, &fresh))) {
        refuse(r, "vet", r->running->plugin);
        return;
    }
    int64_t built = clock_ns();
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        e->load_us += e->unchanged ? 0 : (built - begun) / 1000;
        e->held = queued(e->old);
        if (!e->unchanged) {
            generation_uninstall(e->old);
            generation_install(core, e->fresh);
            probation_behind(e->fresh, e->old); /* for what newer code wrote */
        }
    }
    struct registry *old = registry_exchange(core, fresh);
    for (size_t i = 0; i < r->n_entries && !r->error; i++) {
        if (r->entries[i].unchanged)
            continue;
        r->error = start_entry(core, r, &r->entries[i]);
        failed = r->entries[i].plugin->name;
    }
    if (r->error) { /* in the same tick: no turn has seen the new code */
        for (size_t i = r->n_entries; i-- > 0;) {
            struct entry *e = &r->entries[i];
            settle_starts(core, e, false);
            if (e->unchanged)
                continue;
            generation_uninstall(e->fresh);
            probation_behind(e->fresh, NULL);
            if (e->old) {
                generation_install(core, e->old);
                probation_behind(e->old, e->plugin->before);
            }
        }
        registry_free(registry_exchange(core, old));
        refuse(r, "start", failed);
        return;
    }
    int64_t us = (clock_ns() - built) / 1000;
    registry_free(old);
    take_config(r);
    r->report = json_pack("{s:s, s:[], s:n}", "result", "switched", "plugins", "error");
    r->n_rows = 0;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        struct build_mark from = {{0}, {0}, {0}};
        json_t *was = e->unchanged ? NULL : mark_json(e->old);
        e->switch_us = e->unchanged ? 0 : us;
        if (e->old)
            build_mark_of(e->old, &from);
        if (!e->unchanged)
            state_lower(core, e->old, e->fresh);
        if (r->running->what == CHANGE_ROLLBACK)
            e->plugin->bad = from;
        else if (!e->unchanged)
            e->plugin->bad = (struct build_mark){{0}, {0}, {0}};
        if (!e->unchanged)
            into_service(core, e, r->running->what == CHANGE_ROLLBACK);
        report_entry(r, e, e->unchanged ? e->plugin->now : NULL);
        if (was)
            json_object_set_new(json_array_get(json_object_get(r->report, "plugins"), i), "from", was);
        if (!e->unchanged)
            mark(r, e->plugin, plugin_phase_name(e->plugin->phase));
    }
    change_record(core, json_object_get(r->report, "plugins"));
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        settle_starts(core, e, true);
        if (e->unchanged)
            continue;
        plugin_back_in_service(core, e->plugin);
        unpark(core, e);
        log_info(e->plugin->name, "%s: version %s, build %.12s, generation %u; switched in %lld us, %lld held",
                 e->action, e->plugin->now->manifest->version, e->plugin->now->build, e->plugin->now->number,
                 (long long)us, (long long)e->held);
    }
    crash_here(CRASH_CHANGE_SWITCHED);
    if (!r->running->plugin)
        removal_of_missing(core, r->candidates, r->n_candidates);
    end(r);
}

/* ---- rollback in memory ------------------------------------------------------------------------------------------ */

/* The generation before is still loaded: it takes over at once. */
static void roll_back(struct reload *r, struct plugin *p)
{
    r->report = json_pack("{s:s, s:[o], s:n}", "result", "switched", "plugins",
                          probation_rollback(r->core, p, "the operator asked for it"), "error");
    end(r);
}

/* ---- one change after another ------------------------------------------------------------------------------------ */

static void staged(struct reload *r)
{
    const struct change *c = r->running;
    if (!r->error && (r->error = plan(r)))
        r->failed = "stage";
    if (r->error) {
        char plugin[CVM_NAME_MAX + 1];
        snprintf(plugin, sizeof plugin, "%s", r->failed_plugin);
        r->n_entries = 0;
        refuse(r, r->failed, *plugin ? plugin : c->plugin);
        return;
    }
    if (anything_to_do(r)) {
        prepare(r);
        return;
    }
    uint32_t settings = take_config(r);
    bool leaving = !c->plugin && removal_of_missing(r->core, r->candidates, r->n_candidates);
    r->report = json_pack("{s:s, s:[], s:n}", "result",
                          leaving    ? "removing"
                          : settings ? "switched"
                                     : "unchanged",
                          "plugins", "error");
    for (size_t i = 0; i < r->n_entries; i++)
        report_entry(r, &r->entries[i], r->entries[i].plugin->now);
    if (settings)
        change_record(r->core, json_object_get(r->report, "plugins"));
    end(r);
}

static void begin(struct reload *r)
{
    struct core *core = r->core;
    const struct change *c = r->running;
    struct plugin *p = c->plugin ? registry_plugin(core, c->plugin) : NULL;
    char text[256];
    snprintf(text, sizeof text, "no plugin %.100s is loaded; see: cvmhost plugin list", c->plugin ? c->plugin : "");
    switch (c->what) {
    case CHANGE_RELOAD:
        stage_beside(r);
        return;
    case CHANGE_ENABLE:
        if (!p || p->phase != PLUGIN_DISABLED) {
            snprintf(text, sizeof text, "%.100s is not disabled; see: cvmhost plugin list", c->plugin);
            refuse_now(r, p ? CVM_ESTATE : CVM_ENOENT, "stage", c->plugin, text);
            return;
        }
        stage_beside(r);
        return;
    case CHANGE_ROLLBACK:
        if (!p || !p->now) {
            refuse_now(r, CVM_ENOENT, "stage", c->plugin, text);
        } else if (p->before) {
            roll_back(r, p);
        } else if (!*p->previous.build) {
            snprintf(text, sizeof text, "%.100s has no build before this one", p->name);
            refuse_now(r, CVM_ESTATE, "stage", c->plugin, text);
        } else {
            add_entry(r, p, NULL);
            stage_beside(r);
        }
        return;
    case CHANGE_DISABLE:
    case CHANGE_REMOVE:
        if (!p || (!p->now && p->phase != PLUGIN_DISABLED)) {
            refuse_now(r, CVM_ENOENT, "stage", c->plugin, text);
            return;
        }
        r->error = removal_begin(core, p, c->what == CHANGE_DISABLE, c->now, &r->report, r->text, sizeof r->text);
        if (r->error) {
            refuse(r, "switch", c->plugin);
            return;
        }
        mark(r, p, p->phase == PLUGIN_REMOVING ? "running" : plugin_phase_name(p->phase));
        end(r);
        return;
    }
}

static void next_change(struct core *core, struct alarm *alarm)
{
    struct reload *r = core->reload;
    (void)alarm;
    if (r->step != RELOAD_IDLE || !r->queue)
        return;
    r->running = r->queue;
    r->queue = r->running->next;
    begin(r);
}

/* Of a plugin whose phase changed by itself (probation over, rolled back): noted as soon as the writer can. */
struct noted {
    struct plugin_row row;
    int64_t at_ms;
};

static void write_note(struct store *store, void *arg)
{
    const struct noted *n = arg;
    plugin_row_write(store, &n->row, n->at_ms);
}

static void note_written(struct core *core, void *arg)
{
    (void)core;
    free(arg);
}

void plugin_remember(struct core *core, const struct plugin *p, const char *phase)
{
    struct noted *n = calloc(1, sizeof *n);
    if (!n)
        return;
    plugin_row_take(p, phase, &n->row);
    n->at_ms = core->now_ms;
    if (journal_job(core, write_note, note_written, n) < 0)
        free(n);
}

void reload_free(struct core *core)
{
    struct reload *r = core->reload;
    if (!r)
        return;
    for (struct change *c = r->running ? r->running : r->queue, *next; c; c = next) {
        next = c == r->running ? r->queue : c->next;
        while (c->waiters) {
            struct change_waiter *w = c->waiters;
            c->waiters = w->next;
            w->done(w->arg, CVM_EBUSY, refusal("STOPPING", "switch", c->plugin, "the host is stopping"));
            free(w);
        }
        free(c->plugin);
        free(c);
    }
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].candidate && r->entries[i].fresh && r->entries[i].plugin->now != r->entries[i].fresh)
            generation_free(core, r->entries[i].fresh);
    r->running = NULL;
    drop_config(r);
    clear(r);
    free(r);
    core->reload = NULL;
}
