/* The conversation engine's step within the turn of another component. A turn that answers a `handle` of the engine, in
 * the conversation that the engine leads, goes on at once with what the engine makes of the answer: the next agent's
 * `handle`, or the end. In the same way one that asks it to lead its own conversation goes on with the first agent's.
 * All of it is one turn. The message to the engine stands among what the turn put out as any other, and the record says
 * that the turn itself took it (`led`); it is never in a queue. Sender, ids and rights are the engine's, as they are in
 * a turn of its own. Whatever stands in the way leaves it an ordinary message. Loop thread. */
#include "core/internal.h"

#include "core/crash.h"

/* Room that a step needs beside what it hands on; with it no limit of a turn stops it. */
#define LEAD_OUTPUTS 4
#define LEAD_BYTES (64 * 1024)
#define LEAD_INVOLVED_MAX 256 /* agents in the answer to who opened the conversation */

/* What goes to the engine in the turn's own conversation: the only answer, else the only request. */
static struct message *to_engine(const struct core *core, const struct turn *t)
{
    struct message *found = NULL;
    if (!t->conversation || !t->component->plugin)
        return NULL;
    for (uint32_t i = 0; i < t->answers.n; i++) {
        struct message *reply = t->answers.at[i].reply;
        if (!reply || reply->to != core->engine)
            continue;
        if (found || reply->conversation != t->conversation)
            return NULL;
        found = reply;
    }
    for (uint32_t i = 0; i < t->outs.n; i++) {
        struct message *out = t->outs.at[i];
        if (out->to != core->engine)
            continue;
        if (found || out->conversation != t->conversation || !out->request || out->request->asker != t->component)
            return NULL;
        found = out;
    }
    return found;
}

static bool has_room(struct turn *t, const struct message *m)
{
    const struct conversation *c = t->conversation;
    return turn_outputs(t) + LEAD_OUTPUTS <= CVM_TURN_OUTPUTS_MAX &&
           t->bytes + m->weight + LEAD_BYTES <= CVM_TURN_BYTES_MAX &&
           (c->pinned || !c->limit || c->messages < c->limit) &&
           !json_object_get(t->met, "over") /* its places are numbered by sender */ &&
           json_array_size(json_object_get(turn_context(&t->pub), "agents_involved")) < LEAD_INVOLVED_MAX;
}

/* The engine holds it from here on: a request as one that is lent. */
static void hand_over(struct message *m)
{
    m->to->counts.delivered++;
    if (!m->request)
        return;
    m->request->message = NULL;
    m->to->counts.lent++;
}

static void hand_back(struct message *m)
{
    m->to->counts.delivered--;
    if (!m->request)
        return;
    m->request->message = m;
    m->to->counts.lent--;
}

/* What a step that failed has added goes again; it writes the context when all else is done. */
static void take_back(struct core *core, const struct turn *before, size_t notes)
{
    struct turn *t = &core->turn;
    if (t->changes.n != before->changes.n)
        crash_promised("a step of a conversation");
    while (t->outs.n > before->outs.n)
        item_release(core, &t->outs.at[--t->outs.n]->item);
    while (t->answers.n > before->answers.n)
        answer_undo(core, &t->answers.at[--t->answers.n]);
    while (json_array_size(t->notes) > notes)
        json_array_remove(t->notes, json_array_size(t->notes) - 1);
    json_decref(t->refusal);
    t->refusal = NULL;
    t->bytes = before->bytes;
}

void turn_lead(struct core *core)
{
    struct turn *t = &core->turn;
    struct message *m = to_engine(core, t);
    if (!m || (core->replay ? !replay_led(core) : core->engine->down || !has_room(t, m)))
        return;
    const struct turn before = *t;
    const size_t notes = json_array_size(t->notes);
    const struct binding *b = core->engine->now;
    t->message = m;
    t->component = core->engine;
    t->ordinal = 0;
    hand_over(m);
    if (b->turn(b->instance, &t->pub, &m->pub, m->route) < 0) {
        take_back(core, &before, notes);
        hand_back(m);
    } else {
        t->led = m;
    }
    t->message = before.message;
    t->component = before.component;
    t->ordinal = before.ordinal;
}
