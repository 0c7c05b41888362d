/* Probation: for some turns and some time after a switch the generation before stays loaded. A turn in which the new
 * one faults is run by the one before and is a strike; at the limit, or at the operator's word, the one before is back.
 * A rollback changes code, never history. */
#include "core/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which generation stands behind another one's components; NULL: none. */
void probation_behind(const struct generation *now, const struct generation *before)
{
    for (size_t i = 0; now && i < now->manifest->n_components; i++)
        now->components[i]->before = generation_binding(before, now->components[i]);
}

void binding_swap(struct component *c)
{
    const struct binding *now = c->now;
    c->now = c->before;
    c->before = now;
}

bool build_is_needed(const struct core *core, const char *hash)
{
    if (configuration_names(core, hash)) /* for replay */
        return true;
    for (const struct plugin *p = core->plugins; p; p = p->next) {
        const struct generation *in_memory[] = {p->now, p->before};
        const struct build_mark *marks[] = {&p->previous, &p->quarantined};
        for (int i = 0; i < 2; i++)
            if (strcmp(marks[i]->build, hash) == 0 || strcmp(marks[i]->content, hash) == 0)
                return true;
        for (int i = 0; i < 2; i++)
            if (in_memory[i] && (strcmp(in_memory[i]->build, hash) == 0 || strcmp(in_memory[i]->content, hash) == 0))
                return true;
    }
    return false;
}

/* Files in data/builds that neither run nor are what a rollback goes back to. */
void build_forget_unused(struct core *core, const struct build_mark *mark)
{
    struct stage_place place = plugin_place(core);
    stage_forget(&place, build_is_needed(core, mark->build) ? "" : mark->build,
                 build_is_needed(core, mark->content) ? "" : mark->content);
}

void generation_retire(struct core *core, struct generation *g)
{
    struct build_mark mark;
    if (!g)
        return;
    g->retired = g->jobs > 0;
    if (g->retired) /* its code still runs */
        return;
    build_mark_of(g, &mark);
    generation_free(core, g);
    build_forget_unused(core, &mark);
}

void probation_end(struct core *core, struct plugin *p)
{
    struct generation *old = p->before;
    alarm_clear(core, &p->alarm);
    if (!old)
        return;
    if (p->strikes && p->now) /* what the one before wrote for it may be of a newer state version */
        state_lower(core, old, p->now);
    probation_behind(p->now, NULL);
    p->before = NULL;
    p->canary = 0;
    core->configuration = NULL; /* turns name another one from here on */
    if (p->phase == PLUGIN_PROBATION)
        p->phase = PLUGIN_RUNNING;
    generation_retire(core, old);
}

static void stood(struct core *core, struct plugin *p)
{
    log_info(p->name, "version %s, build %.12s: probation is over", p->now->manifest->version, p->now->build);
    probation_end(core, p);
    plugin_remember(core, p, "running");
}

static void time_is_over(struct core *core, struct alarm *alarm)
{
    stood(core, (struct plugin *)((char *)alarm - offsetof(struct plugin, alarm)));
}

static void set_end(struct core *core, struct plugin *p)
{
    int64_t seconds = config_int(core->options.config, "plugins.probation_s", CORE_PROBATION_MS / 1000);
    alarm_set(core, &p->alarm, core->now_ms + 1000 * seconds, time_is_over);
}

/* Only what another crash does is as before: there is no generation to run its faulted turns. */
void probation_resume(struct core *core, struct plugin *p)
{
    p->proving = false;
    set_end(core, p);
}

void probation_begin(struct core *core, struct plugin *p, struct generation *old)
{
    p->before = old;
    p->canary = p->canary_wanted;
    p->canary_wanted = 0;
    core->configuration = NULL; /* turns name another one from here on */
    p->phase = PLUGIN_PROBATION;
    p->strikes = 0;
    p->turns_left = (uint32_t)config_int(core->options.config, "plugins.probation_turns", CORE_PROBATION_TURNS);
    probation_behind(p->now, old);
    set_end(core, p);
}

const char *canary_impossible(const struct plugin *p, const struct generation *old, const struct generation *fresh,
                              bool no_way_back)
{
    if (!p->canary_wanted)
        return NULL;
    if (!old)
        return "no build of it is in service that could keep the other conversations";
    if (no_way_back)
        return "the build in service cannot read what this one writes, so both cannot be in service together";
    return old->remote || fresh->remote ? "it runs in a process of its own, which has one build" : NULL;
}

/* The conversation stays with the build before. Always the same for a conversation and a build. */
bool canary_elsewhere(const struct component *c, const struct conversation *in)
{
    const struct plugin *p = c->plugin;
    return p && p->canary && c->before && in &&
           id_mix((uint64_t)in->key, id_hash(p->now->build, 12, 0)) % 100 >= p->canary;
}

/* What it gave up with the build that followed may be another's by now. */
static int check_claims(const struct core *core, const struct generation *g, char *error, size_t size)
{
    for (size_t i = 0; i < g->manifest->n_components; i++) {
        const struct component *c = g->components[i];
        if (c->absent || c->plugin == g->plugin)
            continue;
        snprintf(error, size, "component %s of the build before belongs to plugin %s by now", c->id->text,
                 c->plugin->name);
        return CVM_ESTATE;
    }
    for (const struct plugin *other = core->plugins; other; other = other->next) {
        const struct generation *theirs = other == g->plugin ? NULL : other->now;
        for (size_t i = 0; theirs && i < theirs->manifest->n_tables; i++) {
            const char *name = theirs->manifest->tables[i].name;
            for (size_t k = 0; k < g->manifest->n_tables; k++) {
                if (strcmp(name, g->manifest->tables[k].name) != 0)
                    continue;
                snprintf(error, size, "table %s of the build before belongs to plugin %s by now", name, other->name);
                return CVM_ESTATE;
            }
        }
    }
    return 0;
}

static int registry_with(struct core *core, const struct generation *old, const struct generation *other,
                         struct registry **ret_registry, char *error, size_t size)
{
    const struct binding **future = calloc(core->n_components + 1, sizeof(*future));
    snprintf(error, size, "out of memory");
    if (!future)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < core->n_components; i++) {
        struct component *c = core->components[i];
        const struct binding *then = generation_binding(other, c);
        future[i] = then ? then : c->now->generation == old ? &c->nothing : c->now;
    }
    int e = registry_build(core, future, ret_registry, error, size);
    free(future);
    return e;
}

void plugin_back_in_service(struct core *core, struct plugin *p)
{
    for (size_t i = 0; p->now && i < p->now->manifest->n_components; i++)
        fault_forgive(core, p->now->components[i]);
    for (size_t i = 0; p->now && i < p->now->manifest->n_components; i++)
        schedule_place_freed(core, p->now->components[i]);
}

/* Takes the generation in service out, and puts `other` (NULL: nothing) in its place; changes nothing on failure. */
int plugin_exchange(struct core *core, struct plugin *p, struct generation *other, char *error, size_t size)
{
    struct registry *registry = NULL;
    if (other)
        CVM_TRY(check_claims(core, other, error, size));
    CVM_TRY(registry_with(core, p->now, other, &registry, error, size));
    remote_recall(p->now);
    generation_uninstall(p->now);
    if (other)
        generation_install(core, other);
    p->now = other;
    core->configuration = NULL; /* turns name another one from here on */
    registry_free(registry_exchange(core, registry));
    return 0;
}

json_t *probation_rollback(struct core *core, struct plugin *p, const char *why, char *error, size_t size)
{
    struct generation *bad = p->now, *old = p->before;
    p->canary = 0;
    int64_t begun = clock_ns(), held = 0;
    for (size_t i = 0; i < bad->manifest->n_components; i++)
        held += (int64_t)bad->components[i]->counts.queued;
    if (plugin_exchange(core, p, old, error, size) < 0)
        return NULL;
    alarm_clear(core, &p->alarm);
    p->phase = p->removal ? PLUGIN_REMOVING : PLUGIN_RUNNING;
    p->before = NULL;
    core->configuration = NULL; /* turns name another one from here on */
    probation_behind(bad, NULL);
    for (size_t i = 0; i < old->manifest->n_components; i++)
        old->components[i]->closing = p->removal != NULL;
    int64_t us = core->options.loop ? (clock_ns() - begun) / 1000 : 0; /* virtual changes take no time */
    probation_behind(old, bad); /* what the new one wrote is read through its downgrade */
    state_lower(core, bad, old);
    probation_behind(old, NULL);
    build_mark_of(bad, &p->bad);
    p->previous = (struct build_mark){{0}, {0}, {0}};
    p->note = "rolled back";
    json_t *receipt = change_receipt(core, p, "rolled_back", bad, old, held);
    json_object_set_new(receipt, "us",
                        json_pack("{s:i, s:i, s:i, s:I}", "stage", 0, "vet", 0, "load", 0, "switch", (json_int_t)us));
    json_object_set_new(receipt, "no_way_back", json_false());
    json_object_set_new(receipt, "strikes", json_integer(p->strikes));
    json_object_set_new(receipt, "why", json_string(why));
    json_t *receipts = json_pack("[O]", receipt);
    change_record(core, receipts);
    json_decref(receipts);
    log_error(p->name, "rolled back: %s; version %s, build %.12s runs again", why, old->manifest->version, old->build);
    plugin_back_in_service(core, p);
    generation_retire(core, bad);
    plugin_remember(core, p, "running");
    return receipt;
}

/* After each turn of a component on probation. */
void probation_turn(struct core *core, struct component *c, bool struck)
{
    struct plugin *p = c->plugin;
    if (!struck) {
        if (p->turns_left > 1)
            p->turns_left--;
        else
            stood(core, p);
        return;
    }
    binding_swap(c); /* for the turn the one before was in service */
    probation_strike(core, c);
}

void probation_strike(struct core *core, struct component *c)
{
    struct plugin *p = c->plugin;
    int64_t limit = config_int(core->options.config, "plugins.strikes", 5);
    p->strikes++;
    log_warning(c->id->text, "the new build faulted (strike %u of %lld); the message went to the one before",
                p->strikes, (long long)limit);
    if ((int64_t)p->strikes < limit)
        return;
    char error[512];
    json_t *receipt = probation_rollback(core, p, "the new build faulted too often", error, sizeof error);
    if (!receipt && (int64_t)p->strikes == limit)
        log_error(p->name, "faulted too often and cannot be rolled back: %s; bring a new build", error);
    json_decref(receipt);
}
