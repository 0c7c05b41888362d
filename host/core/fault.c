/* The ladder of faults: strikes against a component, out of service at the limit, probed until it works again.
 * Meanwhile requests are answered BUSY; what cannot be refused (replies, timers, publications) is kept for it. */
#include "core/audit.h"
#include "core/internal.h"

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

void fault_strike(struct core *core, struct component *c)
{
    if (BROKEN(no_strikes))
        return;
    int64_t window = 1000 * config_int(core->options.config, "plugins.strike_window_s", 60);
    int64_t limit = config_int(core->options.config, "plugins.strikes", 5);
    if (core->replay)
        return;
    uint32_t most = sizeof c->strikes_at / sizeof *c->strikes_at, recent = 0;
    if (limit > most)
        limit = most;
    c->strikes_at[c->n_strikes++ % most] = core->now_ms;
    for (uint32_t i = 0; i < most && i < c->n_strikes; i++)
        recent += core->now_ms - c->strikes_at[i] < window;
    if (c->down || (int64_t)recent < limit || !c->plugin)
        return;
    c->down = true;
    probe_later(core, c);
    audit_event(core, "component.down",
                json_pack("{s:s, s:I}", "component", c->id->text, "faults", (json_int_t)recent));
    log_error(c->id->text,
              "%u faults within %lld s: out of service; tried again every 30 s, or: cvmhost plugin revive %s", recent,
              (long long)(window / 1000), c->id->text);
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
