/* Conversations in memory: lanes with their shared document. A conversation comes when a message names it and leaves
 * when nothing in it is open; its document is then read back from the store when it is needed again. */
#include "core/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct conversation **bucket(struct core *core, int64_t key)
{
    return &core->conversations[(uint64_t)key & (CORE_HASH_BUCKETS - 1)];
}

struct conversation *conversation_open(struct core *core, const char *name, bool fresh)
{
    int64_t key = core->replay ? replay_key(core, name) : conversation_key(name);
    struct conversation **at = bucket(core, key);
    for (struct conversation *c = *at; c; c = c->hash_next)
        if (c->key == key) /* nobody gets at another's document by a name that was made for it */
            return core->replay || strcmp(c->name, name) == 0 ? c : NULL;
    size_t len = strlen(name);
    struct conversation *c = calloc(1, sizeof *c + len + 1);
    if (!c)
        return NULL;
    memcpy(c->name, name, len + 1);
    c->key = key;
    c->opened_ms = core->now_ms;
    int e = fresh || core->replay ? CVM_ENOENT
                                  : store_context_get(core->reader, key, name, &c->context, &c->version, &c->parent,
                                                      &c->opened_ms, &c->ended_ms);
    if (e == CVM_ENOENT && (c->context = json_object()))
        e = 0;
    if (e == CVM_EEXIST) {
        log_warning("host", "a name of a conversation was refused: it has the key of another's");
        free(c);
        return NULL;
    }
    if (e) { /* an empty one would replace what is stored */
        log_error("journal", "a conversation's document cannot be read: %s",
                  cvm_strerror(e == CVM_ENOENT ? CVM_ENOMEM : e));
        free(c);
        return NULL;
    }
    c->context_bytes = json_text_size(c->context, SIZE_MAX / 4);
    c->hash_next = *at;
    *at = c;
    core->n_conversations++;
    return c;
}

bool conversation_is_anothers(struct core *core, const char *name)
{
    int64_t key = conversation_key(name), version, parent, opened_ms, ended_ms;
    json_t *doc = NULL;
    for (const struct conversation *c = *bucket(core, key); c; c = c->hash_next)
        if (c->key == key)
            return strcmp(c->name, name) != 0;
    int e = store_context_get(core->reader, key, name, &doc, &version, &parent, &opened_ms, &ended_ms);
    json_decref(doc);
    return e == CVM_EEXIST;
}

void conversation_hold(struct conversation *c)
{
    c->open++;
}

void conversation_release(struct core *core, struct conversation *c)
{
    assert(c->open > 0);
    if (--c->open || c->pinned)
        return;
    assert(!c->head);
    struct conversation **at = bucket(core, c->key);
    while (*at != c)
        at = &(*at)->hash_next;
    *at = c->hash_next;
    core->n_conversations--;
    json_decref(c->context);
    free(c);
}

static void schedule_head(struct core *core, struct conversation *c)
{
    if (c->scheduled || !c->head)
        return;
    c->scheduled = true;
    struct message *m = c->head;
    m->class = c->class > m->pub.priority ? c->class : m->pub.priority;
    schedule(core, m);
}

/* Priority lifts the lane, not the message: what waits in front of an urgent message is served with its urgency. */
void lane_append(struct core *core, struct message *m)
{
    struct conversation *c = m->conversation;
    m->next = NULL;
    if (m->to->plugin)
        c->touched |= m->to->plugin->bit;
    if (c->tail)
        c->tail->next = m;
    else
        c->head = m;
    c->tail = m;
    c->by_priority[m->pub.priority]++;
    if (m->pub.priority > c->class) {
        c->class = m->pub.priority;
        if (c->scheduled)
            schedule_lift(core, c->head, c->class);
    }
    schedule_head(core, c);
}

/* With what was urgent gone, the others wait with their own priority again. */
static void lane_left(struct conversation *c, const struct message *m)
{
    assert(c->by_priority[m->pub.priority] > 0);
    c->by_priority[m->pub.priority]--;
    while (c->class && !c->by_priority[c->class])
        c->class --;
}

void lane_resume(struct core *core, struct conversation *c)
{
    assert(c->head && c->scheduled);
    struct message *m = c->head;
    c->head = m->next;
    if (!c->head)
        c->tail = NULL;
    m->next = NULL;
    lane_left(c, m);
    c->scheduled = false;
    schedule_head(core, c);
}

/* Out of the middle, or from its head's place in a run queue. */
void lane_take(struct core *core, struct message *m)
{
    struct conversation *c = m->conversation;
    struct message **at = &c->head, *before = NULL;
    if (c->head == m && c->scheduled) {
        schedule_unrun(core, m);
        lane_resume(core, c);
        return;
    }
    while (*at != m) {
        before = *at;
        at = &(*at)->next;
    }
    *at = m->next;
    if (c->tail == m)
        c->tail = before;
    m->next = NULL;
    lane_left(c, m);
}

void lane_put_back(struct core *core, struct message *m)
{
    struct conversation *c = m->conversation;
    assert(c->head == m); /* it stays there until lane_resume */
    c->scheduled = false;
    schedule_head(core, c);
}
