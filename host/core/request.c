/* Requests: opened by an emission or an edge, held by one component at a time, ended exactly once. */
#include "core/internal.h"

#include "core/crash.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A recycled or new one, all zero. */
struct request *request_alloc(struct core *core)
{
    struct request *r = core->free_requests;
    if (!r)
        return calloc(1, sizeof *r);
    core->free_requests = (struct request *)r->item.hash_next;
    clear_bytes(r, sizeof *r);
    return r;
}

/* The carrier holds the first reference. Not open before request_resume. */
struct request *request_new(struct core *core, struct message *carrier, int64_t deadline_ms)
{
    struct request *r = request_alloc(core);
    if (!r)
        return NULL;
    r->item = (struct item){.id = carrier->pub.id, .kind = ITEM_REQUEST, .refs = 1};
    r->asked = carrier->pub.id;
    r->holder = r->taker = carrier->to;
    r->message = carrier;
    r->type = carrier->type;
    r->deadline_ms = deadline_ms;
    r->priority = carrier->pub.priority;
    r->on_behalf = carrier->pub.on_behalf;
    r->subject = subject_hold(carrier->subject);
    carrier->request = r;
    carrier->pub.requires_response = 1;
    carrier->pub.deadline_ms = deadline_ms;
    return r;
}

void request_free(struct core *core, struct request *r)
{
    assert(!r->item.hashed && !r->alarm.index && !r->young);
    subject_release(r->subject);
    if (r->conversation)
        conversation_release(core, r->conversation);
    if (r->inbox)
        inbox_release(core, r->inbox);
    if (r->effect)
        item_release(core, &r->effect->item);
    r->item.hash_next = (struct item *)core->free_requests;
    core->free_requests = r;
}

/* A request that was handled leads to its turn's record; of others the record says where they are. */
static json_t *where_it_stands(const struct request *r)
{
    char asked[40];
    id_text(r->asked, asked);
    if (!r->message)
        return json_object();
    if (r->message->sent_by)
        return json_pack("{s:I}", "sent_by", (json_int_t)r->message->sent_by);
    return json_pack("{s:s, s:s, s:s, s:s}", "request", asked, "type", r->type->text, "sender", r->message->pub.sender,
                     "recipient", r->message->to->id->text);
}

/* A deadline passed: the host itself answers, in a turn like any other, so that the end is journalled. */
static void deadline(struct core *core, struct alarm *alarm)
{
    struct request *r = (struct request *)((char *)alarm - offsetof(struct request, alarm));
    struct message *m = message_new(core, core->name_timeout);
    if (!m) {
        alarm_set(core, alarm, core->now_ms + 1000, deadline);
        return;
    }
    m->pub.id = m->item.id = id_derive(r->item.id, core->host->salt, 1, r->item.id.hi);
    m->cause = r->item.id;
    m->to = core->host;
    m->pub.recipient = core->host->id->text;
    m->pub.sender = core->host->id->text;
    m->pub.message_type = CVM_NOTIFICATION;
    m->pub.on_behalf = r->item.id;
    m->pub.priority = r->priority;
    m->pub.data = m->data = where_it_stands(r);
    m->input = true;
    m->route = component_route(core->host, core->name_timeout)->route;
    message_set_subject(m, subject_hold(r->subject));
    /* of a durable request with an ephemeral asker the end is journalled too */
    m->conversation = r->conversation ? r->conversation : request_durable(r) ? core->host->lane : NULL;
    if (m->conversation) {
        m->pub.conversation = m->conversation->name;
        conversation_hold(m->conversation);
    }
    core->total.timeouts++;
    if (!r->item.hashed)
        item_insert(core, &r->item); /* so that the host finds it */
    post(core, m);
}

/* Open from now on; the open ones hold a reference. Most end in the tick in which they began, so a deadline is set
 * only when the tick is over. */
void request_resume(struct core *core, struct request *r)
{
    r->item.refs++;
    r->live = true;
    if (!r->deadline_ms)
        return;
    if (VECTOR_PUSH(core->young, r))
        r->young = core->young.n;
    else
        alarm_set(core, &r->alarm, r->deadline_ms, deadline);
}

static void leave_young(struct core *core, struct request *r)
{
    if (!r->young)
        return;
    struct request *last = core->young.at[--core->young.n];
    core->young.at[r->young - 1] = last;
    last->young = r->young;
    r->young = 0;
}

void requests_age(struct core *core)
{
    for (uint32_t i = 0; i < core->young.n; i++) {
        struct request *r = core->young.at[i];
        r->young = 0;
        alarm_set(core, &r->alarm, r->deadline_ms, deadline);
    }
    core->young.n = 0;
}

/* From here on its holder names it by its id. */
void request_lend(struct core *core, struct request *r)
{
    r->message = NULL;
    r->holder->counts.lent++;
    if (!r->item.hashed)
        item_insert(core, &r->item);
}

void request_end(struct core *core, struct request *r)
{
    assert(!r->ended);
    r->ended = true;
    alarm_clear(core, &r->alarm);
    leave_young(core, r);
    if (r->message) {
        r->message->expired = true; /* harmless for the message that ends it by its own turn */
        schedule_drop(core, r->message);
    } else {
        struct component *holder = r->holder;
        assert(holder->counts.lent > 0);
        holder->counts.lent--;
        holder->counts.settled++;
        schedule_place_freed(core, holder);
    }
    item_remove(core, &r->item);
    if (r->live) {
        r->live = false;
        item_release(core, &r->item);
    }
}

/* The message by which the asker hears of it. Takes data where it gives one; NULL: nobody takes it. */
static struct message *reply_new(struct core *core, struct turn *t, struct request *r, int outcome, json_t *data,
                                 const char *content)
{
    const struct name *type = names_reply(core->names, (struct name *)(uintptr_t)r->type);
    const struct route_slot *slot = component_route(r->asker, type);
    bool parked = r->asker->absent && r->conversation; /* the reply waits in the store for it */
    struct message *m = slot || parked ? message_new(core, r->type) : NULL;
    if (!m) {
        r->asker->counts.unrouted++;
        return NULL;
    }
    m->reply = true;
    m->pub.type = type->text;
    m->to = r->asker;
    m->from = r->holder;
    m->route = slot ? slot->route : 0;
    m->epoch = slot ? r->asker->now->epoch : 0;
    m->cause = t->message ? t->message->pub.id : r->item.id;
    m->pub.id = m->item.id =
        id_derive(m->cause, t->component->salt, ++t->ordinal, r->conversation ? (uint64_t)r->conversation->key : 0);
    m->pub.in_reply_to = r->asked;
    m->pub.on_behalf = r->on_behalf;
    m->pub.sender = r->holder->id->text;
    m->pub.recipient = r->asker->id->text;
    m->pub.message_type = CVM_RESPONSE;
    m->pub.outcome = (uint8_t)outcome;
    m->pub.priority = r->priority;
    m->pub.data = m->data = data;
    message_set_content(m, content);
    message_set_subject(m, subject_hold(r->subject));
    if (r->conversation) {
        m->conversation = r->conversation;
        m->pub.conversation = r->conversation->name;
        conversation_hold(r->conversation);
    }
    return m;
}

/* Adds to the turn: the request ends, and its asker, if a component, gets a reply message. */
void request_answer(struct core *core, struct turn *t, struct request *r, int outcome, json_t *data,
                    const char *content)
{
    struct answer a = {.request = r, .outcome = outcome, .data = data ? data : json_object()};
    r->settling = true;
    if (content && *content)
        a.content = strdup(content);
    if (r->asker && (a.reply = reply_new(core, t, r, outcome, a.data, content))) {
        if (r->inbox || r->effect)
            json_incref(a.data);
        else
            a.data = NULL;
    }
    r->item.refs++; /* the turn's, until it is committed or undone */
    if (!VECTOR_PUSH(t->answers, a))
        crash_promised("an answer"); /* no memory for one entry of a vector is none for an error either */
}

/* The open request that this turn was given, or that was left open before; NULL: there is none. */
struct request *request_find(struct turn *t, cvm_id id)
{
    struct request *r;
    if (t->message && t->message->request && cvm_id_eq(t->message->pub.id, id))
        return t->message->request;
    r = t->core->replay ? replay_request(t->core, id) : (struct request *)item_find(t->core, id, ITEM_REQUEST);
    if (!r || r->ended)
        turn_met_id(t, "late", id);
    return r;
}

int turn_settle(cvm_turn *pub, cvm_id id, int outcome, json_t *data, const char *content)
{
    struct turn *t = (struct turn *)pub;
    struct core *core = t->core;
    struct request *r = request_find(t, id);
    int e = CVM_OK;
    if (outcome < CVM_REPLIED || outcome > CVM_UNKNOWN || (data && !json_is_object(data)))
        e = CVM_EINVAL;
    else if (!r || r->ended || r->settling) {
        t->component->counts.late_replies += !t->trial;
        core->total.late_replies += !t->trial;
        e = CVM_ENOENT;
    } else if (r->holder != t->component)
        e = CVM_EACCES;
    else if (!t->conversation && request_durable(r))
        e = CVM_ESTATE; /* an ephemeral turn may not end a durable request */
    else if (turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX)
        e = CVM_ELIMIT;
    size_t len = content ? strlen(content) : 0;
    if (!e && len > CVM_CONTENT_MAX_BYTES)
        e = CVM_ELIMIT;
    if (!e && !text_is_utf8(content, len))
        e = CVM_EINVAL;
    bool passed_on = t->message && data == t->message->data && t->message->weight;
    size_t bytes = len + (passed_on ? t->message->weight : json_text_size(data, CVM_TURN_BYTES_MAX));
    if (!e)
        e = turn_count(t, bytes);
    if (e) {
        json_decref(data);
        return e;
    }
    request_answer(core, t, r, outcome, data, content);
    struct message *reply = t->answers.at[t->answers.n - 1].reply;
    if (reply)
        reply->weight = (uint32_t)bytes;
    return CVM_OK;
}
