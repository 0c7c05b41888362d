/* What may happen at each step, with its weight, and how everything is put right in the end. */
#include "sim/parts.h"

#include "core/internal.h"
#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

static void some_input(struct sim *s)
{
    for (uint64_t n = 1 + gen_below(&s->gen, gen_chance(&s->gen, 20) ? 12 : 3); n && !s->failed; n--) {
        struct client *c = load_new(s);
        if (c)
            load_submit(s, c);
    }
    sim_ticks(s, (int)gen_below(&s->gen, 8));
}

static void repeated_key(struct sim *s)
{
    struct client *c = s->n_clients ? s->clients[gen_below(&s->gen, s->n_clients)] : NULL;
    if (c && c->keyed && c->tries)
        load_submit(s, c);
}

static void bad_input(struct sim *s)
{
    load_bad(s);
}

static void some_turns(struct sim *s)
{
    sim_ticks(s, 1 + (int)gen_below(&s->gen, 30));
}

static void short_time(struct sim *s)
{
    sim_run_on(s, (int64_t)gen_below(&s->gen, 400));
}

static void long_time(struct sim *s)
{
    sim_run_on(s, (int64_t)gen_below(&s->gen, gen_chance(&s->gen, 20) ? 400000 : 40000));
}

static void crash(struct sim *s)
{
    sim_crash(s, "between two turns");
}

/* Somewhere in the next writes: within a group, between its sync and what it lets go. */
static void crash_in_write(struct sim *s)
{
    disk_cut_after(s->disk, 1 + gen_below(&s->gen, gen_chance(&s->gen, 50) ? 8 : 60));
}

static void bad_disk(struct sim *s)
{
    static const char *const names[] = {"good", "writes fail", "syncs fail", "reads fail", "full"};
    enum disk_fault fault = (enum disk_fault)(1 + gen_below(&s->gen, 4));
    uint32_t percent = gen_chance(&s->gen, 50) ? 100 : 5 + (uint32_t)gen_below(&s->gen, 60);
    if (fault == DISK_IO_READ) {
        percent = 1 + percent / 20;
        s->unreadable = true;
    }
    disk_fail(s->disk, fault, percent);
    sim_event(s, "disk: %s, %u of 100", names[fault], percent);
}

static void good_disk(struct sim *s)
{
    disk_fail(s->disk, DISK_GOOD, 0);
    sim_event(s, "disk: good");
}

static void slow_disk(struct sim *s)
{
    s->slow_until_ms = sim_now(s) + (int64_t)gen_below(&s->gen, 20000);
    sim_event(s, "disk: slow");
}

static void other_weather(struct sim *s)
{
    s->temper.outside = gen_chance(&s->gen, 30) ? 0 : gen_chance(&s->gen, 20) ? 100 : (unsigned)gen_below(&s->gen, 80);
    sim_event(s, "outside: %u of 100 go wrong", s->temper.outside);
}

static void revive(struct sim *s)
{
    const struct sim_plugin *p = &s->plugins->at[gen_below(&s->gen, s->plugins->n)];
    const char *id = p->decl->components[gen_below(&s->gen, p->decl->n_components)].id;
    core_revive(s->core, id);
    guardian_forgive(s, id);
    sim_event(s, "revive %s", id);
}

/* ---- changes -------------------------------------------------------------------------------------------------------
 */

static void changed(void *arg, int error, json_t *report)
{
    struct sim *s = arg;
    const json_t *said = json_object_get(report, "error");
    s->changes_open--;
    if (s->core)
        sim_event(s, "changed: %s%s%s", cvm_json_str(report, "result", "?"), error ? ", " : "",
                  cvm_json_str(said, "text", ""));
    json_decref(report);
}

static void change(struct sim *s, enum core_change what, const char *plugin, bool now)
{
    static const char *const names[] = {"reload", "rollback", "enable", "disable", "remove", "move in", "move out"};
    s->changes++;
    s->changes_open++;
    sim_event(s, "%s %s%s", names[what], plugin ? plugin : "all", now ? " --now" : "");
    core_change(s->core, what, plugin, now, changed, s);
    sim_ticks(s, (int)gen_below(&s->gen, 12));
}

static size_t draw_plugin(struct sim *s)
{
    return (size_t)gen_below(&s->gen, s->plugins->n);
}

static void reload(struct sim *s)
{
    size_t i = draw_plugin(s);
    if (life_put(s, i, (int)gen_below(&s->gen, 2)) < 0)
        sim_fail(s, INV_HOST, "%s: the files cannot be written", s->home);
    else
        change(s, CHANGE_RELOAD, gen_chance(&s->gen, 70) ? s->plugins->at[i].name : NULL, false);
}

static void rollback(struct sim *s)
{
    change(s, CHANGE_ROLLBACK, s->plugins->at[draw_plugin(s)].name, false);
}

static void take_out(struct sim *s)
{
    change(s, CHANGE_REMOVE, s->plugins->at[draw_plugin(s)].name, gen_chance(&s->gen, 50));
}

/* To another placement: into a process of its own, or back into the host's. */
static void move(struct sim *s)
{
    change(s, gen_chance(&s->gen, 50) ? CHANGE_MOVE_INLINE : CHANGE_MOVE_PROCESS, s->plugins->at[draw_plugin(s)].name,
           false);
}

static void disable(struct sim *s)
{
    change(s, CHANGE_DISABLE, s->plugins->at[draw_plugin(s)].name, gen_chance(&s->gen, 50));
}

static void enable(struct sim *s)
{
    change(s, CHANGE_ENABLE, s->plugins->at[draw_plugin(s)].name, false);
}

/* ---- the table -----------------------------------------------------------------------------------------------------
 */

/* `per` names what of the temper the weight is multiplied with, in percent. */
#define ALWAYS ((size_t)-1)
#define OF(member) offsetof(struct temper, member)
static const struct {
    void (*run)(struct sim *s);
    unsigned weight;
    size_t per;
} actions[] = {{some_input, 400, ALWAYS},     {repeated_key, 60, ALWAYS},       {some_turns, 60, ALWAYS},
               {short_time, 100, ALWAYS},     {long_time, 60, ALWAYS},          {bad_input, 80, OF(bad)},
               {crash, 100, OF(crash)},       {crash_in_write, 100, OF(crash)}, {bad_disk, 80, OF(disk)},
               {good_disk, 120, OF(disk)},    {slow_disk, 60, OF(slow)},        {other_weather, 20, ALWAYS},
               {load_flood, 10, OF(hostile)}, {revive, 20, OF(fault)},          {reload, 120, OF(change)},
               {rollback, 50, OF(change)},    {take_out, 40, OF(change)},       {move, 30, OF(change)},
               {disable, 40, OF(change)},     {enable, 60, OF(change)}};

static unsigned weight_of(const struct sim *s, size_t i)
{
    if (actions[i].per == ALWAYS)
        return actions[i].weight;
    return actions[i].weight * *(const unsigned *)((const char *)&s->temper + actions[i].per) / 100;
}

void sim_act(struct sim *s)
{
    unsigned total = 0;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        total += weight_of(s, i);
    int64_t at = (int64_t)gen_below(&s->gen, total);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if ((at -= weight_of(s, i)) >= 0)
            continue;
        actions[i].run(s);
        return;
    }
}

/* ---- all is well again ---------------------------------------------------------------------------------------------
 */

static bool in_service(struct sim *s, const struct sim_plugin *plugin)
{
    const struct plugin *p = registry_plugin(s->core, plugin->name);
    return p && p->now && (p->phase == PLUGIN_RUNNING || p->phase == PLUGIN_PROBATION);
}

/* The newer builds, which can read what either has written. */
static void bring_back(struct sim *s)
{
    for (size_t i = 0; i < s->plugins->n && !s->failed; i++) {
        const char *name = s->plugins->at[i].name;
        for (int tries = 0; tries < 6 && (!tries || !in_service(s, &s->plugins->at[i])) && !s->failed; tries++) {
            if (life_put(s, i, !(tries % 2)) < 0)
                sim_fail(s, INV_HOST, "%s: the files cannot be written", s->home);
            const struct plugin *p = registry_plugin(s->core, name);
            change(s, p && p->phase == PLUGIN_DISABLED ? CHANGE_ENABLE : CHANGE_RELOAD, name, false);
            if (!s->failed)
                sim_run_on(s, 70000);
        }
        if (!s->failed && !in_service(s, &s->plugins->at[i]))
            sim_fail(s, INV_HOST, "%s does not come back into service", name);
        for (size_t k = 0; k < s->plugins->at[i].decl->n_components && !s->failed; k++) {
            core_revive(s->core, s->plugins->at[i].decl->components[k].id);
            guardian_forgive(s, s->plugins->at[i].decl->components[k].id);
        }
    }
}

/* The disk is good, the outside answers, nothing faults, every plugin is there; then time for all deadlines. */
void sim_heal(struct sim *s)
{
    sim_event(s, "all is well from now on");
    s->calm = true;
    disk_fail(s->disk, DISK_GOOD, 0);
    if (gen_chance(&s->gen, 50) || s->unreadable)
        sim_crash(s, "once more");
    disk_cut_after(s->disk, UINT64_MAX / 2);
    s->calm = true;
    sim_run_on(s, 1000);
    for (int i = 0; i < 100 && s->changes_open && !s->failed; i++)
        sim_run_on(s, 1000);
    if (!s->failed)
        bring_back(s);
    if (!s->failed)
        load_heal(s);
    if (!s->failed)
        sim_run_on(s, 700000);
}
