/* What a change leaves behind: its receipt, its place in the sequence of turns, and what the next start is to know. */
#include "core/reload_parts.h"

#include "core/crash.h"
#include <stdlib.h>

json_t *reload__build_json(const struct generation *g)
{
    return g ? json_pack("{s:s, s:s, s:s}", "version", g->manifest->version, "build", g->build, "placement",
                         placement_name(generation_placement(g)))
             : json_null();
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

static json_t *probation_json(const struct core *core)
{
    return json_pack("{s:I, s:I}", "turns",
                     (json_int_t)config_int(core->options.config, "plugins.probation_turns", CORE_PROBATION_TURNS),
                     "seconds",
                     (json_int_t)config_int(core->options.config, "plugins.probation_s", CORE_PROBATION_MS / 1000));
}

json_t *change_receipt(const struct core *core, const struct plugin *p, const char *action,
                       const struct generation *from, const struct generation *to, int64_t held)
{
    json_t *receipt = counts_json(to ? to : from, held);
    json_object_set_new(receipt, "plugin", json_string(p->name));
    json_object_set_new(receipt, "action", json_string(action));
    json_object_set_new(receipt, "from", reload__build_json(from));
    json_object_set_new(receipt, "to", reload__build_json(to));
    json_object_set_new(receipt, "probation",
                        p->phase == PLUGIN_PROBATION && to == p->now ? probation_json(core) : json_null());
    return receipt;
}

void reload__report_entry(struct reload *r, const struct entry *e, json_t *from)
{
    json_t *receipt = change_receipt(r->core, e->plugin, e->action, NULL, e->plugin->now, e->held);
    json_object_set_new(receipt, "from", from);
    const json_int_t real = r->core->options.loop != NULL; /* under the virtual clock it takes no time */
    json_object_set_new(receipt, "us",
                        json_pack("{s:I, s:I, s:I, s:I}", "stage", real * (json_int_t)e->candidate->stage_us, "vet",
                                  real * (json_int_t)e->candidate->vet_us, "load", real * (json_int_t)e->load_us,
                                  "switch", real * (json_int_t)e->switch_us));
    json_object_set_new(receipt, "no_way_back", json_boolean(e->no_way_back));
    if (json_array_size(e->warnings))
        json_object_set(receipt, "warnings", e->warnings);
    json_array_append_new(json_object_get(r->report, "plugins"), receipt);
}

/* A turn of the host's own component that only says [note, data], in its place in the sequence of turns. */
void host_record(struct core *core, const struct name *type, const char *note, json_t *data)
{
    struct message *m = message_new(core, type);
    if (!m)
        crash_promised("the record of a change");
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
    core->turn.notes = json_pack("[[s, O]]", note, data);
    turn_commit(core, "OK", 0);
    item_release(core, &m->item);
}

/* What the audit shows of a change. */
void change_record(struct core *core, json_t *receipts)
{
    host_record(core, core->name_change, "plugins changed", receipts);
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

void plugin_remember(struct core *core, const struct plugin *p, const char *phase)
{
    struct noted *n = calloc(1, sizeof *n);
    if (!n)
        return;
    plugin_row_take(p, phase, &n->row);
    n->at_ms = core->now_ms;
    if (journal_job(core, write_note, NULL, n) < 0)
        free(n);
}
