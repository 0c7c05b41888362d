/* The ladder of faults: strikes against a component, out of service at the limit, probed until it works again.
 * Meanwhile requests are answered BUSY; what cannot be refused (replies, timers, publications) is kept for it. */
#include "core/audit.h"
#include "core/internal.h"
#include "core/reload.h"

#include "core/broken.h"

/* Nothing may have come that could be the probe: then the first of those that were kept is. */
static void probe(struct core *core, struct alarm *alarm)
{
    struct component *c = (struct component *)((char *)alarm - offsetof(struct component, probe));
    schedule_kept(core, c, false);
}

static void probe_later(struct core *core, struct component *c)
{
    c->probe_ms = core->now_ms + CORE_PROBE_MS;
    alarm_set(core, &c->probe, c->probe_ms, probe);
}

static void back_in_service(struct core *core, struct component *c)
{
    c->down = false;
    c->n_strikes = 0;
    alarm_clear(core, &c->probe);
    schedule_kept(core, c, true);
}

/* A new build, or the operator: what happened before does not count any more. */
void fault_forgive(struct core *core, struct component *c)
{
    back_in_service(core, c);
}

static uint32_t strikes_limit(const struct core *core)
{
    return (uint32_t)config_int(core->options.config, "plugins.strikes", 5); /* 1000 at most: its schema */
}

/* Keeps the time of a strike; beyond the limit, and without memory for one more, in the place of the oldest. */
static void keep_strike(struct component *c, uint32_t limit, int64_t at_ms)
{
    uint32_t oldest = 0;
    if (c->n_strikes < limit &&
        (c->n_strikes < c->strikes_cap || vector_grow(&c->strikes_at, &c->strikes_cap, sizeof *c->strikes_at))) {
        c->strikes_at[c->n_strikes++] = at_ms;
        return;
    }
    for (uint32_t i = 1; i < c->n_strikes; i++)
        if (c->strikes_at[i] < c->strikes_at[oldest])
            oldest = i;
    if (c->n_strikes)
        c->strikes_at[oldest] = at_ms;
}

static uint32_t recent_strikes(const struct core *core, const struct component *c)
{
    int64_t window = 1000 * config_int(core->options.config, "plugins.strike_window_s", 60);
    uint32_t recent = 0;
    for (uint32_t i = 0; i < c->n_strikes; i++)
        recent += core->now_ms - c->strikes_at[i] < window;
    return recent;
}

static void out_of_service(struct core *core, struct component *c, uint32_t faults)
{
    c->down = true;
    probe_later(core, c);
    audit_event(core, "component.down",
                json_pack("{s:s, s:I}", "component", c->id->text, "faults", (json_int_t)faults));
    log_error(c->id->text,
              "%u faults within %lld s: out of service; tried again every 30 s, or: cvmhost plugin revive %s", faults,
              (long long)config_int(core->options.config, "plugins.strike_window_s", 60), c->id->text);
}

/* Where it cannot go outside, the components that struck too often go out of service where they are. */
static void moved_out(void *arg, int error, json_t *report)
{
    struct plugin *p = arg;
    const char *why = json_string_value(json_object_get(json_object_get(report, "error"), "text"));
    struct core *core = p->leaving;
    p->leaving = NULL;
    for (size_t i = 0; error && !core->stopping && p->now && i < p->now->manifest->n_components; i++) {
        struct component *c = p->now->components[i];
        uint32_t recent = recent_strikes(core, c);
        if (!c->down && recent >= strikes_limit(core))
            out_of_service(core, c, recent);
    }
    if (error && !core->stopping)
        log_error(p->name, "cannot be moved to a process of its own: %s", why ? why : "");
    json_decref(report);
}

/* Before it goes out of service, what faults inside the host is tried outside of it, once: what is left in memory by
 * the faults is gone then, and a program that goes on to harm itself harms nobody else. */
static bool move_out(struct core *core, struct component *c, uint32_t faults)
{
    struct plugin *p = c->plugin;
    if (p->leaving)
        return true;
    if (p->before || p->phase != PLUGIN_RUNNING || !p->now || p->now->remote || core->stopping ||
        !core->options.loop) /* nothing beside the virtual clock */
        return false;
    p->leaving = core;
    log_error(p->name, "%u faults of %s: it is moved to a process of its own, as version %s; cvmhost plugin revive %s",
              faults, c->id->text, p->now->manifest->version, p->name);
    audit_event(
        core, "plugin.quarantined",
        json_pack("{s:s, s:s, s:I}", "plugin", p->name, "component", c->id->text, "faults", (json_int_t)faults));
    int64_t now_ms = core->now_ms; /* the turn that faulted is not over, and stays in its time */
    core_change(core, CHANGE_QUARANTINE, p->name, false, moved_out, p);
    core->now_ms = now_ms;
    return true;
}

void fault_strike(struct core *core, struct component *c)
{
    if (BROKEN(no_strikes) || core->replay)
        return;
    keep_strike(c, strikes_limit(core), core->now_ms);
    uint32_t recent = recent_strikes(core, c);
    if (c->down || recent < strikes_limit(core) || !c->plugin || move_out(core, c, recent))
        return;
    out_of_service(core, c, recent);
}

bool fault_down(struct core *core, struct component *c)
{
    if (!c->down)
        return false;
    if (core->now_ms < c->probe_ms)
        return true;
    probe_later(core, c); /* this message is the probe */
    return false;
}

void fault_succeeded(struct core *core, struct component *c)
{
    back_in_service(core, c);
    log_info(c->id->text, "in service again");
    audit_event(core, "component.back", json_pack("{s:s}", "component", c->id->text));
}

int core_revive(struct core *core, const char *component)
{
    struct component *c = registry_find(core, component, NULL);
    if (!c)
        return CVM_ENOENT;
    fault_forgive(core, c);
    audit_event(core, "component.revived", json_pack("{s:s, s:s}", "component", c->id->text, "by", "operator"));
    return 0;
}
