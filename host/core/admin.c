/* What the operator sees of the core: components with their counts, plugins, the health of the store. */
#include "core/internal.h"

#include "core/keep.h"

#include <cvm/json.h>
#include <string.h>

static json_t *counts(const struct component *c)
{
    const struct counts *n = &c->counts;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", c->id->text, "alias",
        c->alias ? c->alias : "", "plugin", c->plugin ? c->plugin->name : "host", "status",
        c->down                                      ? "down"
        : c->closing                                 ? "closing"
        : c->plugin && *c->plugin->quarantined.build ? "quarantined"
                                                     : "up",
        "delivered", (json_int_t)n->delivered, "settled", (json_int_t)n->settled, "queued", (json_int_t)n->queued,
        "lent", (json_int_t)n->lent, "dead", (json_int_t)n->dead, "turns", (json_int_t)n->turns, "refused",
        (json_int_t)n->refusals, "errors", (json_int_t)n->errors, "faults", (json_int_t)n->faults, "busy",
        (json_int_t)n->busy, "over_budget", (json_int_t)n->over_budget, "late_replies", (json_int_t)n->late_replies);
}

/* Components that nobody has loaded are shown by their names alone. */
static void add_quarantined(const struct core *core, json_t *list)
{
    for (const struct plugin *p = core->plugins; p; p = p->next)
        for (size_t i = 0; p->held && i < p->held->n_components; i++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "id", p->held->components[i].id, "alias",
                                                  p->held->components[i].alias ? p->held->components[i].alias : "",
                                                  "plugin", p->name, "status", "quarantined"));
}

json_t *core_ps(const struct core *core)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < core->n_components; i++)
        if (!core->components[i]->absent)
            json_array_append_new(list, counts(core->components[i]));
    add_quarantined(core, list);
    return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}}", "components", list, "totals", "turns",
                     (json_int_t)core->total.turns, "inputs", (json_int_t)core->total.inputs, "conversations",
                     (json_int_t)core->n_conversations, "calls", (json_int_t)core->total.calls, "dead_letters",
                     (json_int_t)core->total.dead_letters, "submitted", (json_int_t)core->seq, "durable",
                     (json_int_t)core->durable, "restarts", (json_int_t)core->page->restarts, "trouble", core->trouble);
}

static json_t *component_json(const struct component *c)
{
    const struct manifest_component *d = c->now->decl;
    json_t *operations = json_array();
    for (size_t i = 0; i < d->n_operations; i++) {
        const struct manifest_operation *op = &d->operations[i];
        const struct manifest_expose *x = op->expose;
        json_array_append_new(operations,
                              json_pack("{s:s, s:s, s:b, s:s*, s:s*, s:s*}", "type", op->type, "description",
                                        op->description ? op->description : "", "durable", !op->ephemeral, "cli",
                                        x ? x->cli : NULL, "method", x ? x->method : NULL, "path", x ? x->path : NULL));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:O*, s:o, s:o, s:O?, s:O, s:i, s:I, s:s, s:o}", "id", c->id->text,
                     "alias", c->alias ? c->alias : "", "kind", manifest_kind_name(d->kind), "plugin",
                     c->plugin ? c->plugin->name : "host", "roles", manifest_strings_json(&d->roles), "serves",
                     (json_t *)(uintptr_t)d->serves, "next", manifest_strings_json(&d->next), "may_send_to",
                     manifest_strings_json(&d->may_send_to), "tools", d->tools, "settings", c->now->settings,
                     "state_version", (int)d->state_version, "concurrency", (json_int_t)c->now->concurrency, "status",
                     c->down ? "down" : "up", "operations", operations);
}

static void log_component(const struct component *c)
{
    char tools[1024] = "";
    size_t i, at = 0;
    const json_t *tool;
    json_array_foreach(c->now->decl->tools, i, tool)
    {
        int n = snprintf(tools + at, sizeof tools - at, "%s%s", i ? ", " : "; tools: ", json_string_value(tool));
        if (n < 0 || (size_t)n >= sizeof tools - at)
            break;
        at += (size_t)n;
    }
    log_info("host", "%s %s (%s)%s", manifest_kind_name(c->now->decl->kind), c->id->text, c->alias ? c->alias : "",
             tools);
}

void core_log_loaded(const struct core *core)
{
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (p->phase != PLUGIN_GONE)
            log_info("host", "plugin %s %s", p->name,
                     p->now    ? p->now->manifest->version
                     : p->held ? p->quarantined.version
                               : "?");
    for (uint32_t i = 0; i < core->n_components; i++)
        if (core->components[i]->plugin && !core->components[i]->absent)
            log_component(core->components[i]);
}

json_t *core_components(const struct core *core)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < core->n_components; i++)
        if (core->components[i]->plugin && !core->components[i]->absent)
            json_array_append_new(list, component_json(core->components[i]));
    return list;
}

static json_t *build_json(const struct build_mark *mark)
{
    return *mark->build ? json_pack("{s:s, s:s}", "version", mark->version, "build", mark->build) : json_null();
}

static json_t *probation_json(const struct core *core, const struct plugin *p)
{
    if (!p->before)
        return json_null();
    return json_pack("{s:I, s:I}", "turns_left", (json_int_t)p->turns_left, "ms_left",
                     (json_int_t)(p->alarm.at_ms > core->now_ms ? p->alarm.at_ms - core->now_ms : 0));
}

static json_t *plugin_json(const struct core *core, const struct plugin *p, bool whole)
{
    json_t *result =
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:s?}", "name", p->name, "state",
                  *p->quarantined.build ? "quarantined" : plugin_phase_name(p->phase), "generation",
                  (json_int_t)(p->now ? p->now->number : 0), "strikes", (json_int_t)(p->before ? p->strikes : 0),
                  "probation", probation_json(core, p), "previous", build_json(&p->previous), "note", p->note);
    if (p->held) {
        json_t *ids = json_array();
        for (size_t i = 0; i < p->held->n_components; i++)
            json_array_append_new(ids, json_string(p->held->components[i].id));
        json_object_set_new(result, "version", json_string(p->quarantined.version));
        json_object_set_new(result, "build", json_string(p->quarantined.build));
        json_object_set_new(result, "components", ids);
    }
    if (!p->now)
        return result;
    const struct manifest *m = p->now->manifest;
    json_t *list = json_array(), *tables = json_array(), *calls = json_array();
    for (size_t i = 0; i < m->n_components; i++)
        json_array_append_new(list, whole ? component_json(p->now->components[i]) : json_string(m->components[i].id));
    for (size_t i = 0; i < m->n_tables; i++)
        json_array_append_new(tables, json_string(m->tables[i].name));
    for (size_t i = 0; i < m->n_calls; i++)
        json_array_append_new(calls, json_string(m->calls[i].name));
    json_t *loaded = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s*}", "version", m->version, "abi",
                               m->abi, "description", m->description, "build", p->now->build, "placement",
                               placement_name(generation_placement(p->now)), "manifest", m->path, "components", list,
                               "tables", tables, "calls", calls, "secrets", manifest_strings_json(&m->secrets),
                               "domain", m->domain ? cvm_json_str(m->domain, "name", NULL) : NULL);
    json_object_update(result, loaded);
    json_decref(loaded);
    if (whole && m->n_models)
        json_object_set_new(result, "models", core_models(core, p->name));
    if (p->now->remote)
        json_object_set_new(result, "process", remote_json(p->now->remote));
    return result;
}

json_t *core_plugins(const struct core *core)
{
    json_t *list = json_array();
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (p->phase != PLUGIN_GONE)
            json_array_append_new(list, plugin_json(core, p, false));
    return list;
}

json_t *core_plugin(const struct core *core, const char *name)
{
    const struct plugin *p = registry_plugin(core, name);
    if (!p) {
        const struct component *c = registry_find(core, name, NULL);
        p = c ? c->plugin : NULL;
    }
    if (!p)
        p = quarantine_find(core, name);
    return p && p->phase != PLUGIN_GONE ? plugin_json(core, p, true) : NULL;
}

const char *core_unhealthy(const struct core *core)
{
    if (core->stopping)
        return "the host is stopping";
    return core->trouble;
}

/* ---- metrics, in the Prometheus text format ---------------------------------------------------------------------- */

static void total(struct text *text, const char *name, const char *help, const char *kind, uint64_t value)
{
    text_printf(text, "# HELP cvmhost_%s %s\n# TYPE cvmhost_%s %s\ncvmhost_%s %llu\n", name, help, name, kind, name,
                (unsigned long long)value);
}

#define PER_COMPONENT(name, help, kind, expression)                                                                    \
    do {                                                                                                               \
        text_printf(&text, "# HELP cvmhost_%s %s\n# TYPE cvmhost_%s %s\n", name, help, name, kind);                    \
        for (uint32_t i_ = 0; i_ < core->n_components; i_++) {                                                         \
            const struct component *c = core->components[i_];                                                          \
            if (c->absent)                                                                                             \
                continue;                                                                                              \
            text_printf(&text, "cvmhost_%s{component=\"%s\"} %.15g\n", name, c->id->text, (double)(expression));       \
        }                                                                                                              \
    } while (0)

void core_count_figures(struct core *core, size_t given, size_t dropped)
{
    core->total.figures_given += given;
    core->total.figures_dropped += dropped;
}

char *core_metrics(const struct core *core)
{
    struct text text;
    text_init(&text, 4 * 1024 * 1024);
    total(&text, "up", "Whether the host serves.", "gauge", core_unhealthy(core) ? 0 : 1);
    total(&text, "turns_total", "Turns run.", "counter", core->total.turns);
    total(&text, "inputs_total", "Inputs taken from outside.", "counter", core->total.inputs);
    total(&text, "inputs_repeated_total", "Inputs answered by an earlier one with the same key.", "counter",
          core->total.repeated);
    total(&text, "conversations_open", "Conversations in memory.", "gauge", core->n_conversations);
    total(&text, "journal_records_total", "Turns given to the journal.", "counter", core->total.records);
    total(&text, "journal_behind", "Turns not durable yet.", "gauge", (uint64_t)(core->seq - core->durable));
    total(&text, "journal_wal_bytes", "Size of the write-ahead log.", "gauge",
          (uint64_t)store_wal_bytes(journal_store((struct core *)(uintptr_t)core)));
    const struct keep_totals *kept = keep_totals(core);
    total(&text, "journal_pruned_turns_total", "Turns that left the journal by age.", "counter", kept->turns);
    total(&text, "journal_folded_total", "Conversations folded to their decisions.", "counter", kept->conversations);
    total(&text, "journal_needed_turns", "Turns old enough to leave that something needed, at the last prune.", "gauge",
          (uint64_t)kept->kept);
    total(&text, "journal_prune_steps_total", "Steps of pruning.", "counter", kept->steps);
    text_printf(&text, "# HELP cvmhost_%s\n# TYPE cvmhost_%s\ncvmhost_%s %.9f\n",
                "journal_prune_seconds_total The writer's time in them.", "journal_prune_seconds_total counter",
                "journal_prune_seconds_total", (double)kept->ns / 1e9);
    text_printf(&text, "# HELP cvmhost_%s\n# TYPE cvmhost_%s\ncvmhost_%s %.9f\n",
                "journal_prune_longest_step_seconds The longest of them.", "journal_prune_longest_step_seconds gauge",
                "journal_prune_longest_step_seconds", (double)kept->longest_ns / 1e9);
    total(&text, "backups_total", "Copies of the database made.", "counter", kept->backups);
    total(&text, "backup_timestamp_seconds", "When the last one was complete; 0: none since the start.", "gauge",
          (uint64_t)(kept->backup_ms / 1000));
    total(&text, "backup_bytes", "Its size.", "gauge", (uint64_t)kept->backup_bytes);
    total(&text, "calls_total", "Outgoing calls made.", "counter", core->total.calls);
    total(&text, "calls_unknown_total", "Outgoing calls that ended without a known outcome.", "counter",
          core->total.call_unknown);
    jobs_metrics(core, &text);
    total(&text, "timeouts_total", "Requests that passed their deadline.", "counter", core->total.timeouts);
    total(&text, "busy_total", "Messages refused because the recipient was full or down.", "counter",
          core->total.refused_busy);
    total(&text, "dead_letters_total", "Messages that could not be handled.", "counter", core->total.dead_letters);
    total(&text, "late_replies_total", "Replies to requests that had ended.", "counter", core->total.late_replies);
    total(&text, "transitions_denied_total", "Steps of conversations refused by manifest or configuration.", "counter",
          core->total.transitions_denied);
    total(&text, "secrets_refused_total", "Secrets asked for and not named in the manifest.", "counter",
          core->total.secrets_refused);
    total(&text, "state_cache_hits_total", "Reads of a component's state that memory answered.", "counter",
          core->total.state_hits);
    total(&text, "state_cache_misses_total", "Reads of a component's state that the store answered.", "counter",
          core->total.state_misses);
    text_printf(
        &text,
        "# HELP cvmhost_figures_exported_total Pages of these figures given to telemetry, by what became of them.\n"
        "# TYPE cvmhost_figures_exported_total counter\n"
        "cvmhost_figures_exported_total{result=\"given\"} %llu\n"
        "cvmhost_figures_exported_total{result=\"dropped\"} %llu\n",
        (unsigned long long)core->total.figures_given, (unsigned long long)core->total.figures_dropped);
    total(&text, "host_restarts", "Restarts of the host by its supervisor.", "gauge", core->page->restarts);
    total(&text, "safe_mode", "Whether the host was started in safe mode, after too many crashes.", "gauge",
          core->page->safe ? 1 : 0);
    text_puts(&text, "# HELP cvmhost_plugin_quarantined Plugins kept outside the host because they crashed it or "
                     "faulted too often in it.\n"
                     "# TYPE cvmhost_plugin_quarantined gauge\n");
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (*p->quarantined.build)
            text_printf(&text, "cvmhost_plugin_quarantined{plugin=\"%s\"} 1\n", p->name);
    PER_COMPONENT("component_turns_total", "Turns of a component.", "counter", c->counts.turns);
    PER_COMPONENT("component_errors_total", "Turns that ended in an error.", "counter", c->counts.errors);
    PER_COMPONENT("component_refusals_total", "Turns that refused.", "counter", c->counts.refusals);
    PER_COMPONENT("component_faults_total", "Turns that faulted.", "counter", c->counts.faults);
    PER_COMPONENT("component_over_budget_total", "Turns that took longer than their budget.", "counter",
                  c->counts.over_budget);
    PER_COMPONENT("component_turn_seconds_total", "Time in durable turns.", "counter",
                  (double)c->counts.us_total / 1e6);
    PER_COMPONENT("component_decisions_total", "Decisions noted with a confidence.", "counter", c->counts.decisions);
    PER_COMPONENT("component_confidence_total", "Sum of those confidences.", "counter", c->counts.confidence);
    PER_COMPONENT("component_queued", "Messages waiting for a component.", "gauge", c->counts.queued);
    PER_COMPONENT("component_in_flight", "Requests a component holds unsettled.", "gauge", c->counts.lent);
    PER_COMPONENT("component_up", "Whether the component is in service.", "gauge", !c->down);
    metrics_of_plugins(core, &text);
    models_metrics(core, &text);
    if (text.failed) {
        text_free(&text);
        return NULL;
    }
    return text.at;
}
