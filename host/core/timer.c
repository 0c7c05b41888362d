/* Durable timers: a message to the component itself, later. */
#include "core/internal.h"

#include <stdlib.h>

#define TIMER_DELAY_MAX_MS (400 * 24 * 3600 * INT64_C(1000))

void timer_free(struct core *core, struct timer *timer)
{
    json_decref(timer->data);
    subject_release(timer->subject);
    conversation_release(core, timer->conversation);
    free(timer);
}

static void fire(struct core *core, struct alarm *alarm)
{
    struct timer *timer = (struct timer *)((char *)alarm - offsetof(struct timer, alarm));
    const struct route_slot *slot = component_route(timer->component, timer->type);
    struct message *m = slot ? message_new(core, timer->type) : NULL;
    if (!m) {
        alarm_set(core, alarm, core->now_ms + 1000, fire);
        return;
    }
    m->pub.id = m->item.id = id_derive(timer->item.id, timer->component->salt, 1, (uint64_t)timer->conversation->key);
    m->cause = timer->item.id;
    m->to = timer->component;
    m->route = slot->route;
    m->pub.sender = m->pub.recipient = timer->component->id->text;
    m->pub.message_type = CVM_NOTIFICATION;
    m->pub.on_behalf = timer->on_behalf;
    m->pub.priority = timer->priority;
    m->pub.data = m->data = json_incref(timer->data);
    m->input = true;
    m->origin = &timer->item; /* with the reference the table had */
    item_remove(core, &timer->item);
    timer->subject ? timer->subject->refs++ : 0;
    message_set_subject(m, timer->subject);
    m->conversation = timer->conversation;
    m->pub.conversation = timer->conversation->name;
    conversation_hold(timer->conversation);
    post(core, m);
}

void timer_arm(struct core *core, struct timer *timer)
{
    timer->item.refs++;
    item_insert(core, &timer->item);
    alarm_set(core, &timer->alarm, timer->alarm.at_ms, fire);
}

int turn_timer(cvm_turn *pub, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    struct turn *t = (struct turn *)pub;
    struct core *core = t->core;
    const struct name *name = type ? names_find(core->names, type) : NULL;
    int e = !t->conversation                                                                   ? CVM_ESTATE
            : !name || !component_route(t->component, name)                                    ? CVM_ENOENT
            : delay_ms < 0 || delay_ms > TIMER_DELAY_MAX_MS || (data && !json_is_object(data)) ? CVM_EINVAL
            : turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX                                          ? CVM_ELIMIT
                                                      : turn_count(t, json_text_size(data, CVM_TURN_BYTES_MAX));
    struct timer *timer = e ? NULL : calloc(1, sizeof *timer);
    if (!e && !timer)
        e = CVM_ENOMEM;
    if (e) {
        json_decref(data);
        return e;
    }
    cvm_id cause = t->message ? t->message->pub.id : (cvm_id){0, 0};
    timer->item = (struct item){.kind = ITEM_TIMER, .refs = 1};
    timer->item.id = id_derive(cause, t->component->salt, ++t->ordinal, (uint64_t)t->conversation->key);
    timer->component = t->component;
    timer->conversation = t->conversation;
    conversation_hold(t->conversation);
    struct subject *of = t->message ? t->message->subject : NULL;
    timer->subject = subject_derive(of, of && of->restored ? of->enquiry_id : NULL, NULL, NULL);
    if (timer->subject && of && of->restored)
        timer->subject->restored = false; /* it fires in our time; its own copy, by the line before */
    timer->type = name;
    timer->data = data ? data : json_object();
    timer->on_behalf = on_behalf;
    timer->priority = t->message ? t->message->pub.priority : CVM_MEDIUM;
    timer->alarm.at_ms = core->now_ms + delay_ms;
    if (ret_id)
        *ret_id = timer->item.id;
    if (!VECTOR_PUSH(t->opens, &timer->item)) {
        item_release(core, &timer->item);
        return CVM_ENOMEM;
    }
    return CVM_OK;
}

/* A timer that fired already, or was armed by this very turn, cannot be cancelled: CVM_ENOENT. */
int turn_timer_cancel(cvm_turn *pub, cvm_id id)
{
    struct turn *t = (struct turn *)pub;
    struct timer *timer = t->core->replay ? replay_timer(t, id) : (struct timer *)item_find(t->core, id, ITEM_TIMER);
    if (!timer || timer->component != t->component || timer->cancelled) {
        turn_met_id(t, "gone", id);
        return CVM_ENOENT;
    }
    if (!t->conversation)
        return CVM_ESTATE; /* it would be back after a restart */
    timer->item.refs++;
    if (!VECTOR_PUSH(t->closes, &timer->item)) {
        timer->item.refs--;
        return CVM_ENOMEM;
    }
    return CVM_OK;
}

void timer_cancel(struct core *core, struct timer *timer)
{
    if (timer->cancelled)
        return;
    timer->cancelled = true;
    alarm_clear(core, &timer->alarm);
    if (timer->item.hashed) {
        item_remove(core, &timer->item);
        item_release(core, &timer->item);
    }
}
