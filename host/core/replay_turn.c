/* One recorded turn, run again in a world; what it commits is caught as text. replay_message.c makes its message, what
 * its handler asks is answered by replay_asked.c. */
#include "core/replay_parts.h"

#include "core/envelope_words.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void replay_say(struct replay *r, const char *format, ...)
{
    va_list args;
    if (*r->why)
        return; /* the first thing that is missing explains the rest */
    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
}

struct component *replay_component(const struct core *core, const char *id)
{
    const struct name *name = *id ? names_find(core->names, id) : NULL;
    for (uint32_t i = 0; name && i < core->n_components; i++)
        if (core->components[i]->id == name)
            return core->components[i];
    return NULL;
}

bool replay_led(const struct core *core)
{
    return json_object_get(core->replay->turn->record, "led") != NULL;
}

void replay_record(struct core *core, struct record *rec)
{
    struct replay *r = core->replay;
    if (!*r->outcome) {
        record_text(&r->made, &r->scratch, rec);
        snprintf(r->outcome, sizeof r->outcome, "%s", rec->outcome);
        snprintf(r->lane, sizeof r->lane, "%s", rec->conversation->name);
    }
    record_release(core, rec);
}

/* The code that ran it: of the build in service, or, while that was on probation, of the one before. */
static const struct binding *binding_of(struct replay *r, const struct component *c)
{
    const struct binding *all[] = {c->now, c->before};
    if (!c->plugin || r->options->with_current || json_object_get(r->turn->record, "unhandled"))
        return c->now;
    for (int i = 0; i < 2; i++)
        if (all[i] && all[i]->generation && strncmp(all[i]->generation->build, r->turn->build, 12) == 0)
            return all[i];
    return NULL;
}

static void run_handler(struct replay *r, struct core *core, struct message *m)
{
    const json_t *unhandled = json_object_get(r->turn->record, "unhandled");
    const json_t *error = json_object_get(r->turn->record, "error");
    if (!unhandled) {
        const struct route_slot *edit = m->to->plugin && !*m->pub.sender ? state_edit_slot(core, m->pub.type) : NULL;
        m->route = edit && !component_route(m->to, m->type) ? ROUTE_STATE_EDIT : 0;
        m->attempts = CORE_RETRIES_MAX;
        turn_run(core, m);
        return;
    }
    const char *dead = json_string_value(unhandled);
    uint8_t outcome = word_number(outcome_words, OUTCOMES, r->turn->outcome, CVM_ERROR);
    if (strcmp(r->turn->outcome, "DEAD") == 0 && m->request) { /* as what its asker heard */
        size_t i;
        json_t *out;
        json_array_foreach(json_object_get(r->turn->record, "out"), i, out) if (json_object_get(out, "outcome"))
            outcome = word_number(outcome_words, OUTCOMES, cvm_json_str(out, "outcome", ""), outcome);
    }
    turn_fail(core, m, outcome, cvm_json_str(error, "code", ""), cvm_json_str(error, "message", ""),
              dead && *dead ? dead : NULL);
}

/* What was made for the turn goes; what it left open is not open here. */
static void let_go(struct replay *r, struct core *core, struct request *own)
{
    if (own) {
        if (!own->ended && !own->message && own->holder->counts.lent) {
            own->holder->counts.lent--;
            own->holder->counts.delivered--;
        }
        item_remove(core, &own->item);
        item_release(core, &own->item);
    }
    for (uint32_t i = 0; i < r->kept.n; i++) {
        struct request *q = (struct request *)r->kept.at[i];
        if (q->item.kind == ITEM_REQUEST && !q->ended) {
            q->holder->counts.lent--;
            q->holder->counts.delivered--;
        }
        item_remove(core, r->kept.at[i]);
        item_release(core, r->kept.at[i]);
    }
    r->kept.n = 0;
    json_decref(r->reads);
    r->reads = NULL;
    state_trim(core);
}

static enum replay_verdict run_in(struct replay *r, struct core *core, struct component *c, const json_t *envelope)
{
    struct message *m = replay_message(r, core, envelope);
    struct request *own = NULL;
    int e = m ? replay_put_in_lane(r, core, m, cvm_json_str(envelope, "conversation", "")) : CVM_ENOMEM;
    if (!e)
        e = replay_carry(r, core, m, envelope);
    if (e) {
        if (m && m->conversation && m->conversation->head == m) {
            lane_resume(core, m->conversation);
            c->counts.delivered--;
            c->counts.queued--;
        }
        if (m)
            item_release(core, &m->item);
        replay_say(r, "its message cannot be made again");
        return REPLAY_MISSING;
    }
    if ((own = m->request))
        own->item.refs++;
    core->virtual_ms = core->now_ms = r->turn->at_ms;
    core->seq = r->turn->seq - 1;
    *r->outcome = 0;
    run_handler(r, core, m);
    let_go(r, core, own);
    return *r->outcome ? REPLAY_SAME : REPLAY_DIFFERS;
}

/* With the binding that ran it in place of the one in service. */
static enum replay_verdict run(struct replay *r, struct component *c, const json_t *envelope)
{
    const struct binding *b = binding_of(r, c), *now = c->now, *before = c->before;
    if (!b) {
        replay_say(r, "the configuration it names has no build %s of it", r->turn->build);
        return REPLAY_MISSING;
    }
    if (b != c->now) {
        c->before = c->now;
        c->now = b;
    }
    enum replay_verdict verdict = run_in(r, r->world->core, c, envelope);
    c->now = now;
    c->before = before;
    return verdict;
}

/* Code may have prepared things in memory as it started: so it does here, from what it read then. */
static void prime(struct replay *r, const struct component *c)
{
    const struct past_turn *turn = r->turn;
    struct past_turn start;
    const char *id = c->id->text;
    int64_t seq = c->plugin && !r->options->with_current ? past_start(&r->past, id, turn->build, turn->seq) : 0;
    if (r->options->with_current && c->plugin && !json_object_get(r->world->started, id))
        seq = past_start(&r->past, id, turn->build, turn->seq);
    if (!seq || seq == json_integer_value(json_object_get(r->world->started, id)))
        return;
    json_object_set_new(r->world->started, id, json_integer(seq));
    if (!past_turn_at(&r->past, seq, &start))
        return;
    const json_t *envelope = json_object_get(start.record, "in");
    r->turn = &start;
    if (envelope)
        run(r, (struct component *)(uintptr_t)c, envelope);
    r->turn = turn;
    r->scans = 0;
    r->asked_elsewhere = false;
    *r->why = 0;
    past_clear(&start);
}

static void tell_who(struct replay *r, const struct component *c)
{
    const struct binding *b = c && c->plugin ? binding_of(r, c) : NULL;
    const struct generation *g = b ? b->generation : NULL;
    r->shown.plugin = c && c->plugin ? c->plugin->name : "";
    r->shown.version = g ? g->manifest->version : "";
}

/* What cannot be run, before a world is looked for. */
static const char *not_run(const struct past_turn *turn)
{
    if (cvm_id_is_none(turn->message))
        return "state that was written in another version, by the host";
    if (json_object_get(turn->record, "reduced"))
        return "only what others read of it was exported";
    if (strcmp(turn->component, "host.redrive") == 0)
        return "reads dead letters, which are not among a turn's inputs";
    if (strcmp(turn->component, "host") == 0 && strcmp(turn->type, "timeout") != 0)
        return "the host's own note";
    return NULL;
}

enum replay_verdict replay_run(struct replay *r, const struct past_turn *turn, json_t **ret_differences)
{
    const char *own = not_run(turn);
    *r->why = 0;
    r->turn = turn;
    r->scans = 0;
    r->asked_elsewhere = false;
    r->shown.plugin = r->shown.version = "";
    if (own) {
        replay_say(r, "%s", own);
        return REPLAY_NOT_RUN;
    }
    if (!turn->record || !turn->configuration) {
        replay_say(r, "%s",
                   turn->record ? "it was recorded before turns could be run again" : "its record cannot be read");
        return REPLAY_MISSING;
    }
    const json_t *envelope = past_envelope(&r->past, turn->record, turn->sent_by, turn->message);
    struct world *w = r->world = world_of(r, turn->configuration);
    struct component *c = w && w->core ? replay_component(w->core, turn->component) : NULL;
    if (w && w->core && !c && json_object_get(turn->record, "unhandled")) /* which was why */
        c = component_get(w->core, turn->component);
    if (!w || !w->core) {
        replay_say(r, "%s", w ? w->why : "out of memory");
        return REPLAY_MISSING;
    }
    if (!envelope) {
        replay_say(r, "turn %lld, which sent its message, is not stored any more", (long long)turn->sent_by);
        return REPLAY_MISSING;
    }
    if (!c || (c->absent && !json_object_get(turn->record, "unhandled"))) {
        const char *name;
        json_t *gone;
        json_object_foreach(w->gone, name, gone) replay_say(r, "%s", json_string_value(gone));
        replay_say(r, "%s is not there %s", turn->component, w->configuration ? "in its configuration" : "now");
        return REPLAY_MISSING;
    }
    if (strcmp(turn->component, "host") == 0 && json_object_get(envelope, "in_reply_to")) {
        replay_say(r, "an answer that nobody waited for");
        return REPLAY_NOT_RUN;
    }
    tell_who(r, c);
    log_mute(1);
    prime(r, c);
    if (strcmp(turn->type, "start") == 0)
        json_object_set_new(w->started, turn->component, json_integer(turn->seq));
    enum replay_verdict verdict = run(r, c, envelope);
    log_mute(0);
    if (verdict == REPLAY_MISSING)
        return verdict;
    if (verdict == REPLAY_DIFFERS)
        *ret_differences = json_pack("[{s:s, s:s, s:n}]", "where", "/", "recorded", turn->outcome, "replayed");
    else
        *ret_differences = replay_differences(r, turn, r->made.at, r->made.len);
    if (!*ret_differences) {
        *r->why = 0; /* a secret that was asked for made no difference */
        return REPLAY_SAME;
    }
    return *r->why && !r->options->with_current ? REPLAY_MISSING : REPLAY_DIFFERS;
}
