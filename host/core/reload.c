/* Changes of plugins as a state machine: one change at a time goes from staging (beside the loop) over the marks and
 * tables (on the writer's connection) to the switch between two turns. What fails before the switch has changed
 * nothing; what fails in it is undone in the same tick. See reload.h. */
#include "core/reload_parts.h"

#include "core/crash.h"
#include "core/store.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_WAITERS_MAX 1024

static void next_change(struct core *core, struct alarm *alarm);

/* Nothing of it runs beside the loop. */
bool reload_is_still(const struct core *core)
{
    return !core->reload || !core->reload->working;
}

/* ---- asking for a change -------------------------------------------------------------------------------------------
 */

static json_t *refusal(const char *code, const char *step, const char *plugin, const char *text)
{
    return json_pack("{s:s, s:[], s:{s:s, s:s, s:s?, s:s}}", "result", "refused", "plugins", "error", "code", code,
                     "step", step, "plugin", plugin, "text", text);
}

/* An equal one that waits, unless a later one says otherwise of the same plugin. */
static struct change *find_or_add(struct reload *r, enum core_change what, const char *plugin, bool now)
{
    struct change **at = &r->queue, *equal = NULL;
    for (; *at; at = &(*at)->next) {
        bool same = (*at)->plugin && plugin ? strcmp((*at)->plugin, plugin) == 0 : (*at)->plugin == plugin;
        if (same && (*at)->what == what && (*at)->now == now)
            equal = *at;
        else if (same || !(*at)->plugin || !plugin)
            equal = NULL;
    }
    if (equal)
        return equal;
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

int core_canary(struct core *core, const char *plugin, int percent)
{
    bool known = false;
    assert(percent >= 0 && percent < 100);
    for (struct plugin *p = core->plugins; p; p = p->next) {
        if (plugin && strcmp(p->name, plugin) != 0)
            continue;
        p->canary_wanted = (uint8_t)percent;
        known = true;
    }
    return known || !plugin ? 0 : CVM_ENOENT;
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
        manifest_free(e->was);
        for (size_t k = 0; e->tables && k < e->candidate->manifest->n_tables; k++)
            table_release(e->tables[k]);
        free(e->tables);
        json_decref(e->warnings);
    }
    for (size_t i = 0; i < r->n_candidates; i++)
        stage_clear(&r->candidates[i]);
    stage_list_clear(&r->list);
    json_decref(r->report);
    json_decref(r->kept);
    r->report = r->kept = NULL;
    r->n_candidates = r->n_entries = r->n_rows = 0;
    r->back = (struct build_mark){{0}, {0}, {0}};
    r->placement = PLACEMENT_ANY;
    r->error = 0;
    r->failed = NULL;
    r->failed_plugin[0] = r->text[0] = 0;
}

static void answer(struct reload *r, int error)
{
    struct core *core = r->core;
    struct change *c = r->running;
    json_t *report = r->report;
    if (r->kept)
        json_object_set(report, "kept", r->kept);
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

/* ---- marks: what the next start is to know -------------------------------------------------------------------------
 */

static void write_marks(struct store *store, void *arg)
{
    struct reload *r = arg;
    for (size_t i = 0; i < r->n_rows && !r->error; i++) {
        if (plugin_row_write(store, &r->rows[i], r->at_ms) == 0 || r->step != RELOAD_MARKING)
            continue;
        r->error = CVM_EIO;
        r->failed = "load";
        snprintf(r->failed_plugin, sizeof r->failed_plugin, "%s", r->rows[i].name);
        snprintf(r->text, sizeof r->text, "%s: the change cannot be noted in the store; see the log, and try again",
                 r->rows[i].name);
    }
    for (size_t i = 0; i < r->n_entries && r->step == RELOAD_MARKING; i++) {
        struct entry *e = &r->entries[i];
        if (e->warnings && r->n_rows)
            vet_recorded(store, e->was, e->candidate->manifest, e->warnings);
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

void reload__mark(struct reload *r, struct plugin *p, const char *phase)
{
    plugin_row_take(p, phase, &r->rows[r->n_rows++]);
}

int reload__by_writer(struct reload *r, void (*done)(struct core *, void *))
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

void reload__end(struct reload *r)
{
    r->step = RELOAD_ENDING;
    if (!r->n_rows || reload__by_writer(r, marked_at_the_end) < 0)
        answer(r, r->error);
}

/* ---- refusing ------------------------------------------------------------------------------------------------------
 */

static const char *code_of(int error)
{
    return error == CVM_ENOENT   ? "NOT_FOUND"
           : error == CVM_EABI   ? "ABI"
           : error == CVM_EACCES ? "NOT_TRUSTED"
           : error == CVM_ESTATE ? "BAD_STATE"
                                 : "REFUSED";
}

/* Nothing was changed; generations that were loaded for it are let go. */
void reload__refuse(struct reload *r, const char *step, const char *plugin)
{
    reload__drop_config(r);
    bool were_marked = r->step == RELOAD_MARKING;
    r->n_rows = 0;
    for (size_t i = 0; i < r->n_entries; i++) {
        struct entry *e = &r->entries[i];
        if (e->fresh)
            generation_free(r->core, e->fresh);
        e->fresh = NULL;
        if (were_marked && !e->unchanged)
            reload__mark(r, e->plugin, plugin_mark(e->plugin));
    }
    for (size_t i = 0; i < r->n_candidates; i++) {
        struct build_mark mark = {{0}, {0}, {0}};
        memcpy(mark.build, r->candidates[i].build, sizeof mark.build);
        memcpy(mark.content, r->candidates[i].content, sizeof mark.content);
        build_forget_unused(r->core, &mark);
    }
    text_make_utf8(r->text); /* it may quote a stranger */
    r->report = refusal(code_of(r->error), step, plugin && *plugin ? plugin : NULL, r->text);
    log_error(plugin && *plugin ? plugin : "host", "not changed, %s failed: %s", step, r->text);
    r->error = r->error == CVM_ENOENT ? CVM_ENOENT : CVM_EINVAL;
    reload__end(r);
}

void reload__refuse_now(struct reload *r, int error, const char *step, const char *plugin, const char *text)
{
    r->error = error;
    snprintf(r->text, sizeof r->text, "%s", text);
    reload__refuse(r, step, plugin);
}

/* ---- one change after another --------------------------------------------------------------------------------------
 */

/* The generation before is still loaded: it takes over at once. */
static void roll_back(struct reload *r, struct plugin *p)
{
    char text[RELOAD_ERROR_BYTES];
    json_t *receipt = probation_rollback(r->core, p, "the operator asked for it", text, sizeof text);
    if (!receipt) {
        reload__refuse_now(r, CVM_ESTATE, "switch", p->name, text);
        return;
    }
    r->report = json_pack("{s:s, s:[o], s:n}", "result", "switched", "plugins", receipt, "error");
    reload__mark(r, p, plugin_mark(p)); /* answered when the next start knows it */
    reload__end(r);
}

void reload__staged(struct reload *r)
{
    const struct change *c = r->running;
    if (!r->error && ((r->error = reload__plan(r)) || (r->error = reload__check_settings(r))))
        r->failed = "stage";
    if (r->error) {
        char plugin[CVM_NAME_MAX + 1];
        snprintf(plugin, sizeof plugin, "%s", r->failed_plugin);
        r->n_entries = 0;
        reload__refuse(r, r->failed, *plugin ? plugin : c->plugin);
        return;
    }
    if (reload__anything_to_do(r)) {
        reload__launch(r);
        return;
    }
    uint32_t settings = reload__take_config(r);
    json_t *leaving = c->plugin ? NULL : removal_of_missing(r->core, r->candidates, r->n_candidates);
    r->report = json_pack("{s:s, s:[], s:n}", "result",
                          leaving    ? "removing"
                          : settings ? "switched"
                                     : "unchanged",
                          "plugins", "error");
    for (size_t i = 0; i < r->n_entries; i++)
        reload__report_entry(r, &r->entries[i], reload__build_json(r->entries[i].plugin->now));
    if (leaving)
        json_object_set_new(r->report, "leaving", leaving);
    if (settings)
        change_record(r->core, json_object_get(r->report, "plugins"));
    reload__end(r);
}

/* The build that runs, to another place. */
static void move(struct reload *r, struct plugin *p, const char *not_there)
{
    char text[256];
    r->placement = r->running->what == CHANGE_MOVE_INLINE ? PLACEMENT_INLINE : PLACEMENT_PROCESS;
    if (!p || !p->now) {
        reload__refuse_now(r, CVM_ENOENT, "stage", r->running->plugin, not_there);
    } else if (p->phase == PLUGIN_REMOVING) {
        snprintf(text, sizeof text, "%.100s is being removed", p->name);
        reload__refuse_now(r, CVM_ESTATE, "stage", p->name, text);
    } else if (p->now->manifest->program && r->placement == PLACEMENT_INLINE) {
        snprintf(text, sizeof text, "%.100s is a program, not a library: it always runs in a process of its own",
                 p->name);
        reload__refuse_now(r, CVM_ESTATE, "stage", p->name, text);
    } else {
        build_mark_of(p->now, &r->back);
        r->back_installed = p->installed;
        reload__stage(r);
    }
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
        reload__stage(r);
        return;
    case CHANGE_ENABLE:
        if (!p || (p->phase != PLUGIN_DISABLED && !*p->quarantined.build)) {
            snprintf(
                text, sizeof text,
                p && p->phase == PLUGIN_REMOVING
                    ? "%.100s is still leaving: open conversations finish on it; disable it with --now, then enable it"
                    : "%.100s is not disabled; see: cvmhost plugin list",
                c->plugin);
            reload__refuse_now(r, p ? CVM_ESTATE : CVM_ENOENT, "stage", c->plugin, text);
            return;
        }
        reload__stage(r);
        return;
    case CHANGE_ROLLBACK:
        if (p && p->phase == PLUGIN_REMOVING) {
            snprintf(text, sizeof text, "%.100s is being removed", p->name);
            reload__refuse_now(r, CVM_ESTATE, "stage", c->plugin, text);
        } else if (!p || !p->now) {
            reload__refuse_now(r, CVM_ENOENT, "stage", c->plugin, text);
        } else if (p->before) {
            roll_back(r, p);
        } else if (!*p->previous.build) {
            snprintf(text, sizeof text,
                     p->one_way
                         ? "%.100s has no way back: the build before cannot read the state that this one writes, "
                           "and this one has no downgrade"
                         : "%.100s has no build before this one",
                     p->name);
            reload__refuse_now(r, CVM_ESTATE, "stage", c->plugin, text);
        } else {
            r->back = p->previous;
            r->back_installed = p->installed;
            reload__stage(r);
        }
        return;
    case CHANGE_MOVE_INLINE:
    case CHANGE_MOVE_PROCESS:
    case CHANGE_QUARANTINE:
        move(r, p, text);
        return;
    case CHANGE_DISABLE:
    case CHANGE_REMOVE:
        if (!p || (!p->now && !p->held && p->phase != PLUGIN_DISABLED)) {
            reload__refuse_now(r, CVM_ENOENT, "stage", c->plugin, text);
            return;
        }
        r->error = removal_begin(core, p, c->what == CHANGE_DISABLE, c->now, &r->report, r->text, sizeof r->text);
        if (r->error) {
            reload__refuse(r, "switch", c->plugin);
            return;
        }
        reload__mark(r, p, plugin_mark(p));
        reload__end(r);
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

void reload_free(struct core *core)
{
    struct reload *r = core->reload;
    if (!r)
        return;
    alarm_clear(core, &r->alarm);
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
        if (r->entries[i].fresh && r->entries[i].plugin->now != r->entries[i].fresh)
            generation_free(core, r->entries[i].fresh);
    r->running = NULL;
    reload__drop_config(r);
    clear(r);
    free(r);
    core->reload = NULL;
}
