/* Owns the table of open things: requests, timers and effects by id. (Waiting messages stand in their lanes.) */
#include "core/internal.h"

#include <assert.h>

static struct item **bucket(struct core *core, cvm_id id)
{
    return &core->items[(id.lo ^ id.hi * 31) & (CORE_HASH_BUCKETS - 1)];
}

void item_insert(struct core *core, struct item *item)
{
    assert(!item->hashed);
    struct item **b = bucket(core, item->id);
    item->hash_next = *b;
    item->hashed = true;
    *b = item;
}

void item_remove(struct core *core, struct item *item)
{
    if (!item->hashed)
        return;
    for (struct item **at = bucket(core, item->id); *at; at = &(*at)->hash_next) {
        if (*at == item) {
            *at = item->hash_next;
            item->hashed = false;
            return;
        }
    }
    assert(!"an open thing is in its bucket");
}

struct item *item_find(struct core *core, cvm_id id, enum item_kind kind)
{
    for (struct item *i = *bucket(core, id); i; i = i->hash_next)
        if (cvm_id_eq(i->id, id) && i->kind == kind)
            return i;
    return NULL;
}

void item_free(struct core *core, struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_MESSAGE:
        message_free(core, (struct message *)item);
        break;
    case ITEM_REQUEST:
        request_free(core, (struct request *)item);
        break;
    case ITEM_TIMER:
        timer_free(core, (struct timer *)item);
        break;
    case ITEM_EFFECT:
        effect_free(core, (struct effect *)item);
        break;
    }
}
