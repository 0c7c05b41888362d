/* The components a plugin sends to, where they are not its own: they take what they are sent and end it in any way a
 * request can end. And one that sends: it hands on messages that no edge would let in, and publishes. In a child. */
#include "conform/parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

static struct world *world; /* of this child */

static const struct manifest_operation *taken_by(const char *id, const char *type, const json_t **ret_document)
{
    const struct conform *c = world->c;
    for (size_t i = 0; i < c->n_peers; i++) {
        if (!c->peer_known[i] || strcmp(c->peers[i].id, id) != 0)
            continue;
        for (size_t k = 0; k < c->n_others; k++)
            for (size_t n = 0; n < c->others[k]->n_components; n++)
                if (strcmp(c->others[k]->components[n].id, id) == 0)
                    *ret_document = c->others[k]->doc;
        return manifest_find_operation(&c->peers[i], type);
    }
    return NULL;
}

/* Sees names in requests that come back in answers, as an id does. */
static json_t *answer_of(struct gen *g, const cvm_msg *m)
{
    const struct manifest_operation *op = taken_by(m->recipient, m->type, &g->document);
    const char *name;
    json_t *value, *answer = gen_object(g, op ? op->response_schema : NULL);
    if (!op || gen_chance(g, 30))
        json_object_foreach((json_t *)(uintptr_t)m->data, name, value) if (gen_chance(g, 50) && !op)
            json_object_set(answer, name, value);
    return answer;
}

static int peer_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t operation)
{
    bool wild = world->mode == WORLD_WILD;
    uint64_t asked = gen_hash(m->type, strlen(m->type), gen_mix(m->id.lo, world->c->options.seed));
    struct gen g = {.state = asked, .words = world->c->words, .seen = wild ? world->seen : NULL};
    uint64_t kind = gen_below(&g, 100);
    (void)instance;
    (void)operation;
    if (m->message_type != CVM_REQUEST)
        return CVM_OK;
    if (kind < 70 || (!wild && kind < 85))
        return cvm_reply(t, m, answer_of(&g, m));
    if (kind < 78 || !wild)
        return cvm_refuse(t, "CHECK", NULL, "refused, as the check wants it");
    if (kind < 84)
        return CVM_EINVAL;
    if (kind < 88)
        return CVM_PENDING; /* until the deadline */
    if (kind < 92)
        return cvm_settle(t, m->id, CVM_UNKNOWN, gen_object(&g, NULL), NULL);
    return cvm_reply(t, m, gen_chance(&g, 50) ? gen_mutated(&g, answer_of(&g, m)) : gen_object(&g, NULL));
}

static int sender_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t operation)
{
    const char *type = cvm_json_str(m->data, "type", "");
    json_t *data = json_incref(json_object_get(m->data, "data"));
    (void)instance;
    if (operation == 0)
        return cvm_forward(t, m->id, cvm_json_str(m->data, "to", ""), type, data);
    CVM_TRY(cvm_publish(t, type, data));
    return cvm_reply(t, m, NULL);
}

int peers_add(struct world *w)
{
    struct conform *c = w->c;
    world = w;
    CVM_TRY(core_add_peer(w->core, &c->sender, sender_turn));
    for (size_t i = 0; i < c->n_peers; i++)
        CVM_TRY(core_add_peer(w->core, &c->peers[i], peer_turn));
    return 0;
}
