/* Messages out of a turn. Whether an emission is allowed depends on the manifest only, never on load: a full
 * recipient answers BUSY by a message. */
#include "core/internal.h"

#include "core/broken.h"

#include <stdio.h>
#include <stdlib.h>

/* The area is an id's first part: a shared alias is looked for in the sender's own area first. */
static void area_of(const struct component *c, char ret_area[CVM_NAME_MAX + 1])
{
    size_t n = strcspn(c->id->text, ".");
    memcpy(ret_area, c->id->text, n);
    ret_area[n] = 0;
}

static struct component *find_alias(const struct turn *t, const char *alias)
{
    char area[CVM_NAME_MAX + 1];
    area_of(t->component, area);
    return registry_find(t->core, alias, area);
}

static int resolve(struct turn *t, const cvm_out *out, struct component **ret_to)
{
    struct component *to = NULL;
    if (!out->to || !*out->to)
        return CVM_EINVAL;
    if (*out->to == 'r' && strncmp(out->to, "role:", 5) == 0) {
        to = registry_role(t->core, out->to + 5, out->data);
    } else {
        const struct name *name = names_find(t->core->names, out->to);
        to = name && name->component ? name->component : find_alias(t, out->to);
    }
    if (!to || to->absent)
        return CVM_ENOENT;
    if (!component_may_send(t->component, to) && !BROKEN(any_recipient))
        return CVM_EACCES;
    *ret_to = to;
    return 0;
}

/* A text that goes into the journal: what is no UTF-8 there could not be read back. */
static int check_text(const char *text, size_t most, size_t *bytes)
{
    size_t n = text ? strlen(text) : 0;
    if (n > most)
        return CVM_ELIMIT;
    *bytes += n;
    return n && !text_is_utf8(text, n) ? CVM_EINVAL : 0;
}

static bool all_strings(const json_t *array)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value) if (!json_is_string(value)) return false;
    return true;
}

static int check_texts(const cvm_out *out, size_t *bytes)
{
    CVM_TRY(check_text(out->content, CVM_CONTENT_MAX_BYTES, bytes));
    CVM_TRY(check_text(out->conversation, CVM_NAME_MAX, bytes));
    CVM_TRY(check_text(out->enquiry_id, CVM_NAME_MAX, bytes));
    CVM_TRY(check_text(out->customer_id, CVM_NAME_MAX, bytes));
    return check_text(out->session_id, CVM_NAME_MAX, bytes);
}

/* Shape and size of an emission. *ret_bytes: what one copy of it adds to the turn. */
static int check(const struct turn *t, const cvm_out *out, size_t *ret_bytes)
{
    size_t bytes = 0;
    if (out->kind > CVM_OUT_LOOK || out->message_type > CVM_ESCALATION || !(out->confidence <= 1.0))
        return CVM_EINVAL;
    if ((out->data && !json_is_object(out->data)) ||
        (out->tags && !(json_is_array(out->tags) && all_strings(out->tags))))
        return CVM_EINVAL;
    if (out->content || out->conversation || out->enquiry_id || out->customer_id || out->session_id)
        CVM_TRY(check_texts(out, &bytes));
    if (t->message && out->data == t->message->data && t->message->weight)
        bytes += t->message->weight;
    else if (out->data)
        bytes += json_text_size(out->data, CVM_TURN_BYTES_MAX);
    if (out->tags)
        bytes += json_text_size(out->tags, CVM_TURN_BYTES_MAX);
    *ret_bytes = bytes;
    return 0;
}

/* Counts a message of the conversation. The record names it, and the place among the outputs where it was over. */
static bool is_over(struct turn *t, struct conversation *c)
{
    char place[CVM_NAME_MAX + 48];
    if (!t->core->replay && (c->pinned || (c->messages += !t->trial) <= c->limit - t->trial))
        return false;
    snprintf(place, sizeof place, "%s#%u", c->name, t->ordinal + 1);
    if (t->core->replay && !replay_met(t->core, "over", place))
        return false;
    turn_met(t, "over", place);
    return true;
}

/* Which lane the message goes to; gives a held conversation or NULL for an ephemeral message. */
static int choose_lane(struct turn *t, const cvm_out *out, struct conversation **ret_lane)
{
    struct conversation *c = t->conversation;
    if (out->conversation && *out->conversation) {
        bool unread = t->core->replay && replay_met(t->core, "unread", out->conversation);
        c = unread ? NULL : conversation_open(t->core, out->conversation, out->fresh);
        if (!c) {
            turn_met(t, "unread", out->conversation);
            return CVM_ENOMEM;
        }
        if (!t->trial && c != t->conversation && !c->parent && t->conversation && !c->pinned && c->version == 0 &&
            !c->messages) {
            c->parent = t->conversation->key;
            c->dirty = true;
        }
    }
    if (c) {
        conversation_hold(c);
        conversation_limit(c, t->component);
        if (is_over(t, c)) {
            conversation_release(t->core, c);
            return CVM_ELIMIT;
        }
    }
    *ret_lane = c;
    return 0;
}

static struct message *build(struct turn *t, const cvm_out *out, struct component *to, const struct name *type,
                             struct conversation *lane)
{
    struct core *core = t->core;
    struct message *m = message_new(core, type);
    if (!m)
        return NULL;
    cvm_id cause = t->message ? t->message->pub.id : (cvm_id){0, 0};
    const cvm_id id = id_derive(cause, t->component->salt, ++t->ordinal, lane ? (uint64_t)lane->key : 0);
    m->pub.id = id;
    m->item.id = id;
    m->cause = cause;
    m->to = to;
    m->from = t->component;
    m->conversation = lane;
    m->pub.conversation = lane ? lane->name : "";
    m->pub.sender = t->component->id->text;
    m->pub.recipient = to->id->text;
    m->pub.on_behalf = out->on_behalf;
    m->pub.message_type = out->kind == CVM_OUT_MESSAGE || out->kind == CVM_OUT_PUBLISH
                              ? (out->message_type ? out->message_type : CVM_NOTIFICATION)
                              : CVM_REQUEST;
    m->pub.priority = out->priority >= 0 && out->priority <= CVM_CRITICAL ? (uint8_t)out->priority
                      : t->message                                        ? t->message->pub.priority
                                                                          : (uint8_t)CVM_MEDIUM;
    m->pub.confidence = out->confidence == 0 ? 1.0 : out->confidence < 0 ? 0.0 : out->confidence;
    message_set_content(m, out->content);
    message_set_subject(
        m, subject_derive(t->message ? t->message->subject : NULL, out->enquiry_id, out->customer_id, out->session_id));
    return m;
}

/* The payload is the message's from here on; where that must be undone, the sender's again. */
static void take_payload(struct message *m, const cvm_out *out)
{
    m->pub.data = m->data = out->data ? out->data : json_object();
    m->pub.tags = m->tags = out->tags;
}

static int give_back(struct core *core, struct message *m, const cvm_out *out)
{
    if (out->data)
        m->data = NULL;
    m->tags = NULL;
    item_release(core, &m->item);
    return CVM_ENOMEM;
}

/* A recipient that is full or down answers at once; the sender sees an ordinary reply. Gives what the record is to say
 * of it; NULL: it takes the message. */
static const char *answers_busy(struct core *core, const struct message *m)
{
    const struct component *to = m->to;
    const struct conversation *lane = m->conversation;
    if (core->replay)
        return replay_met_id(core, "leaving", m->pub.id) ? "leaving"
               : replay_met_id(core, "full", m->pub.id)  ? "full"
                                                         : NULL;
    if ((int64_t)to->counts.queued < to->now->mailbox && !(to->down && core->now_ms < to->probe_ms) &&
        !(to->closing && !(lane && (lane->pinned || (lane->touched & to->plugin->bit)))))
        return NULL;
    return to->closing ? "leaving" : "full";
}

static int keep_request(struct turn *t, const cvm_out *out, struct message *m, const struct manifest_operation *op)
{
    struct core *core = t->core;
    int64_t timeout = out->timeout_ms > 0        ? out->timeout_ms
                      : op && op->timeout_ms > 0 ? op->timeout_ms
                                                 : CORE_REQUEST_TIMEOUT_MS;
    if (timeout > CORE_REQUEST_TIMEOUT_MAX_MS)
        timeout = CORE_REQUEST_TIMEOUT_MAX_MS;
    struct request *r = request_new(core, m, core->now_ms + timeout);
    if (!r)
        return CVM_ENOMEM;
    r->asker = t->component;
    r->conversation = t->conversation;
    if (r->conversation)
        conversation_hold(r->conversation);
    return 0;
}

static int keep_forward(struct turn *t, const cvm_out *out, struct message *m, struct request *old)
{
    (void)out;
    struct request *r = request_new(t->core, m, old->deadline_ms);
    if (!r)
        return CVM_ENOMEM;
    subject_release(r->subject); /* the request's, not that of the turn which hands it on */
    r->subject = subject_hold(old->subject);
    r->asked = old->asked;
    r->asker = old->asker;
    r->type = old->type;
    r->on_behalf = old->on_behalf;
    r->edge = old->edge;
    r->effect = old->effect;
    if (r->effect)
        r->effect->item.refs++;
    r->conversation = old->conversation;
    if (r->conversation)
        conversation_hold(r->conversation);
    r->inbox = old->inbox;
    if (r->inbox)
        r->inbox->refs++;
    struct answer a = {.request = old, .outcome = ANSWER_FORWARDED};
    old->settling = true;
    old->item.refs++;
    if (!VECTOR_PUSH(t->answers, a)) {
        old->settling = false;
        old->item.refs--;
        return CVM_ENOMEM;
    }
    return 0;
}

static int find_forwarded(struct turn *t, const cvm_out *out, struct request **ret_request)
{
    struct request *r = request_find(t, out->request);
    if (!r || r->ended || r->settling)
        return CVM_ENOENT;
    if (r->holder != t->component)
        return CVM_EACCES;
    if (!t->conversation && request_durable(r))
        return CVM_ESTATE;
    *ret_request = r;
    return 0;
}

/* BUSY for a request is a reply message; for a message nobody waits for it is a dead letter. */
static int refuse_full(struct turn *t, const cvm_out *out, struct message *m, const char *why)
{
    struct core *core = t->core;
    turn_met_id(t, why, m->pub.id);
    m->to->counts.busy += !t->trial;
    core->total.refused_busy += !t->trial;
    if (m->request) {
        struct request *r = m->request;
        r->ended = true;
        r->message = NULL;
        request_answer(
            core, t, r, CVM_BUSY,
            strcmp(why, "leaving") == 0
                ? json_pack("{s:s, s:s}", "code", "NOT_AVAILABLE", "message", "the component is being removed")
                : json_pack("{s:s, s:s}", "code", "BUSY", "message", "the component is full or out of service"),
            NULL);
        item_release(core, &m->item);
        return 0;
    }
    struct dead_letter letter = {.message = m, .reason = "the mailbox was full"};
    if (!VECTOR_PUSH(t->dead, letter))
        return give_back(core, m, out);
    dead_letter_publish(t, m, letter.reason);
    return 0;
}

/* A reply, a timer, a start come from the host alone: between plugins only operations and topics are sent. */
static bool addressable(const struct turn *t, const cvm_out *out, const struct component *to,
                        const struct route_slot *slot)
{
    return slot && (slot->operation || out->kind == CVM_OUT_PUBLISH || to == t->component || !t->component->plugin);
}

/* Takes data and tags where it succeeds. */
static int emit_to(struct turn *t, const cvm_out *out, struct component *to, const struct name *type,
                   struct conversation *lane, size_t bytes, cvm_id *ret_id)
{
    const struct route_slot *slot = component_route(to, type);
    struct message *m = NULL;
    struct request *forwarded = NULL;
    int e = addressable(t, out, to, slot) ? 0 : CVM_ENOENT;
    if (!e && turn_outputs(t) + t->dead.n >= CVM_TURN_OUTPUTS_MAX)
        e = CVM_ELIMIT;
    if (!e)
        e = turn_count(t, bytes);
    if (!e && out->kind == CVM_OUT_FORWARD)
        e = find_forwarded(t, out, &forwarded);
    if (!e && (!VECTOR_ROOM(t->outs) || !(m = build(t, out, to, type, lane))))
        e = CVM_ENOMEM;
    if (e) {
        if (lane)
            conversation_release(t->core, lane);
        return e;
    }
    m->route = slot->route;
    m->epoch = to->now->epoch;
    m->weight = (uint32_t)bytes;
    if (out->kind == CVM_OUT_REQUEST)
        e = keep_request(t, out, m, slot->operation);
    else if (out->kind == CVM_OUT_FORWARD)
        e = keep_forward(t, out, m, forwarded);
    if (e) {
        item_release(t->core, &m->item);
        return e;
    }
    if (ret_id)
        *ret_id = m->pub.id;
    take_payload(m, out);
    const char *busy = answers_busy(t->core, m);
    if (__builtin_expect(busy != NULL, 0))
        return refuse_full(t, out, m, busy);
    t->outs.at[t->outs.n++] = m;
    return 0;
}

/* The lane topic:<name>/<component>: like a component's own it stays in memory and has no end. */
static struct conversation *topic_lane(struct core *core, const struct name *topic, const struct component *to)
{
    char name[2 * CVM_NAME_MAX + 32];
    snprintf(name, sizeof name, "topic:%s/%s", topic->text, to->id->text);
    struct conversation *lane = conversation_open(core, name, false);
    if (lane) {
        lane->pinned = true;
        lane->limit = UINT32_MAX;
        conversation_hold(lane);
    }
    return lane;
}

/* Each subscriber gets a copy in a lane of its own; of an ephemeral publication the copies are ephemeral. */
static int publish(struct turn *t, const cvm_out *out, const struct name *type, size_t bytes, cvm_id *ret_id)
{
    struct core *core = t->core;
    for (uint32_t i = 0; i < core->registry->topics.n; i++) {
        struct topic *topic = core->registry->topics.at[i];
        if (topic->name != type)
            continue;
        for (uint32_t s = 0; s < topic->subscribers.n; s++) {
            struct component *to = topic->subscribers.at[s];
            struct conversation *lane = NULL;
            if (to == t->component)
                continue;
            if (t->conversation && !(lane = topic_lane(core, type, to)))
                return CVM_ENOMEM;
            cvm_out copy = *out;
            copy.kind = CVM_OUT_PUBLISH;
            json_incref(copy.data);
            json_incref(copy.tags);
            int e = emit_to(t, &copy, to, type, lane, bytes, ret_id);
            if (e) {
                json_decref(copy.data);
                json_decref(copy.tags);
            }
            if (e && e != CVM_ENOENT)
                return e;
        }
    }
    return 0;
}

/* Streams, and who watches, are told of it whether or not a component is; what an ephemeral turn says is nowhere on
 * record. */
static int keep_for_streams(struct turn *t, const cvm_out *out, const struct name *type, size_t bytes)
{
    const struct registry *r = t->core->registry;
    bool streamed = false;
    for (uint32_t i = 0; i < r->streamed.n; i++)
        streamed = streamed || r->streamed.at[i] == type;
    if ((!streamed && !t->core->taps) || !t->conversation)
        return 0;
    if (t->told_out.n >= CVM_TURN_OUTPUTS_MAX)
        return streamed ? CVM_ELIMIT : 0; /* that somebody watches changes no turn */
    if (streamed)
        CVM_TRY(turn_count(t, bytes));
    struct edge_publication told = {type->text, t->component->id->text, out->data};
    if (!VECTOR_PUSH(t->told_out, told))
        return CVM_ENOMEM;
    json_incref((json_t *)(uintptr_t)out->data);
    return 0;
}

static bool may_publish(const struct component *c, const char *topic)
{
    if (!c->plugin)
        return true;
    for (size_t i = 0; i < c->now->decl->publishes.n; i++)
        if (strcmp(c->now->decl->publishes.at[i], topic) == 0)
            return true;
    return false;
}

static bool is_broadcast(const cvm_out *out)
{
    return out->kind == CVM_OUT_PUBLISH || (out->to && *out->to == 'B' && strcmp(out->to, "BROADCAST") == 0);
}

/* `type` NULL: nobody has heard of the topic. */
static int broadcast(struct turn *t, const cvm_out *out, const struct name *type, size_t bytes, cvm_id *ret_id)
{
    if (out->kind == CVM_OUT_REQUEST || out->kind == CVM_OUT_FORWARD || out->kind == CVM_OUT_LOOK)
        return CVM_EINVAL; /* one answer is expected, many would come */
    if (!out->type || !may_publish(t->component, out->type))
        return CVM_EACCES;
    if (type) {
        CVM_TRY(publish(t, out, type, bytes, ret_id));
        CVM_TRY(keep_for_streams(t, out, type, bytes));
    }
    json_decref(out->data); /* each copy has its own reference */
    json_decref(out->tags);
    return 0;
}

/* A look-up from a durable turn is an effect; any other is a request. */
static int look(struct turn *t, const cvm_out *out, struct component *to, const struct name *type, size_t bytes,
                cvm_id *ret_id)
{
    const struct route_slot *slot = component_route(to, type);
    if (t->conversation && slot && slot->operation && slot->operation->ephemeral && !out->content && !out->tags &&
        !out->conversation)
        return effect_look(t, out, to, slot, bytes, ret_id);
    struct conversation *lane = NULL;
    cvm_out request = *out;
    request.kind = CVM_OUT_REQUEST;
    CVM_TRY(choose_lane(t, &request, &lane));
    return emit_to(t, &request, to, type, lane, bytes, ret_id);
}

/* Takes data and tags where it succeeds; where it fails they are still the caller's, and the names may lie in them. */
int turn_emit(cvm_turn *pub, const cvm_out *out, cvm_id *ret_id)
{
    struct turn *t = (struct turn *)pub;
    struct component *to = NULL;
    struct conversation *lane = NULL;
    size_t bytes = 0;
    if (out->size < sizeof *out)
        return CVM_EINVAL;
    CVM_TRY(check(t, out, &bytes));
    const struct name *type = out->type ? names_find(t->core->names, out->type) : NULL;
    if (is_broadcast(out))
        return broadcast(t, out, type, bytes, ret_id);
    if (!type)
        return CVM_ENOENT;
    CVM_TRY(resolve(t, out, &to));
    if (out->kind == CVM_OUT_LOOK)
        return look(t, out, to, type, bytes, ret_id);
    CVM_TRY(choose_lane(t, out, &lane));
    return emit_to(t, out, to, type, lane, bytes, ret_id);
}
