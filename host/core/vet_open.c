/* What is open against a generation that is to come: every message that waits and every answer, timer or call on its
 * way must find a handler in it and fit its schemas, and stored values must be readable by it. Loop thread, between
 * turns; changes nothing. */
#include "core/internal.h"

#include "core/schema_diff.h"
#include <stdio.h>
#include <string.h>

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)
#define PROVE_VALUES_MAX 1000 /* stored values of a component that the new code tries to read */

/* Whether the new binding takes whatever the old one took, so that nothing need be looked at. */
static bool takes_all(const struct binding *was, const struct binding *is)
{
    const json_t *old_document = was->generation->manifest->doc, *new_document = is->generation->manifest->doc;
    for (uint32_t i = 0; i <= was->slot_mask; i++) {
        const struct route_slot *slot = &was->slots[i], *now = slot->type ? binding_route(is, slot->type) : NULL;
        if (!slot->type)
            continue;
        if (!now || (slot->operation && !now->operation))
            return false;
        const json_t *a = slot->operation ? slot->operation->request_schema : NULL;
        const json_t *b = now->operation ? now->operation->request_schema : NULL;
        if (!schema_accepts_more(old_document, a, new_document, b, NULL, 0))
            return false;
    }
    return true;
}

struct check {
    const struct component *component;
    const struct binding *binding; /* NULL: the component is gone with the new generation */
    char *error;
    size_t size;
};

static int check_entry(const struct check *k, const struct name *entry, const char *what)
{
    if (entry && k->binding && binding_route(k->binding, entry))
        return 0;
    return REFUSE(
        k->error, k->size,
        "%s: %s \"%s\" is open and the new build has no handler for it; keep the handler, or wait until it has "
        "ended",
        k->component->id->text, what, entry ? entry->text : "");
}

static int check_request(const struct check *k, const struct request *r)
{
    if (!k->binding && r->holder == k->component && !r->ended && !r->message)
        return REFUSE(k->error, k->size, "%s: it has a request \"%s\" to answer and is not in the new build; %s",
                      k->component->id->text, r->type->text, "keep it, or wait until that has ended");
    if (r->asker != k->component || r->ended || !r->type->reply || !component_route(r->asker, r->type->reply))
        return 0;
    return check_entry(k, r->type->reply, "a request whose answer comes as");
}

static int check_message(const struct check *k, const struct message *m)
{
    struct schema_error fault;
    char id[40];
    if (m->request)
        CVM_TRY(check_request(k, m->request));
    if (m->to != k->component || m->expired || m->route == ROUTE_STATE_EDIT)
        return 0;
    CVM_TRY(check_entry(k, message_entry(m), "a message"));
    const struct route_slot *slot = binding_route(k->binding, message_entry(m));
    if (m->reply || !slot->operation || schema_check(slot->operation->request, m->data, &fault) == 0)
        return 0;
    id_text(m->pub.id, id);
    return REFUSE(k->error, k->size, "%s: %s waits for %s, and the new schema refuses it: %s: %s",
                  k->component->id->text, id, slot->type->text, fault.field, fault.text);
}

static int check_queue(const struct check *k, const struct queue *q)
{
    for (const struct message *m = q->head; m; m = m->queue_next)
        CVM_TRY(check_message(k, m));
    return 0;
}

static int check_item(struct core *core, const struct check *k, const struct item *item)
{
    const struct request *r = (const struct request *)item;
    const struct timer *t = (const struct timer *)item;
    const struct effect *e = (const struct effect *)item;
    switch ((enum item_kind)item->kind) {
    case ITEM_REQUEST:
        return check_request(k, r);
    case ITEM_TIMER:
        return t->component == k->component ? check_entry(k, t->type, "a timer") : 0;
    case ITEM_EFFECT:
        if (e->component != k->component ||
            !component_route(e->component, names_reply(core->names, (struct name *)(uintptr_t)e->type)))
            return 0;
        return check_entry(k, e->type->reply, "a call whose answer comes as");
    case ITEM_MESSAGE:
        break;
    }
    return 0;
}

static int check_open(struct core *core, const struct check *k)
{
    for (uint32_t i = 0; i < core->n_components; i++) { /* what it asked may wait at another's */
        const struct component *c = core->components[i];
        for (int class = 0; class < CORE_CLASSES; class ++)
            CVM_TRY(check_queue(k, &c->run[class]));
        CVM_TRY(check_queue(k, &c->waiting));
        CVM_TRY(check_queue(k, &c->kept));
    }
    for (int i = 0; i < CORE_HASH_BUCKETS; i++) {
        for (const struct conversation *lane = core->conversations[i]; lane; lane = lane->hash_next)
            for (const struct message *m = lane->head; m; m = m->next)
                CVM_TRY(check_message(k, m));
        for (const struct item *item = core->items[i]; item; item = item->hash_next)
            CVM_TRY(check_item(core, k, item));
    }
    return 0;
}

int vet_open_work(struct core *core, const struct generation *old, const struct generation *fresh, char *error,
                  size_t size)
{
    for (size_t i = 0; old && i < old->manifest->n_components; i++) {
        struct component *c = old->components[i];
        const struct binding *b = generation_binding(fresh, c);
        struct check k = {.component = c, .binding = b, .error = error, .size = size};
        if (!b || !takes_all(&old->bindings[i], b))
            CVM_TRY(check_open(core, &k));
    }
    for (size_t i = 0; i < fresh->manifest->n_components; i++) { /* also of those that are back */
        const struct component *c = fresh->components[i];
        const struct binding *b = &fresh->bindings[i];
        uint32_t version = 0;
        if (state_prove(core, c, b, PROVE_VALUES_MAX, &version) < 0)
            return REFUSE(error, size,
                          "%s: stored values of state version %u cannot be turned into version %u: the %s fails",
                          c->id->text, version, b->decl->state_version,
                          version < b->decl->state_version ? "upgrade" : "downgrade");
    }
    return 0;
}
