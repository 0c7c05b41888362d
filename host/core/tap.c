/* Listeners to the stream of envelopes, in the order in which they became durable. */
#include "core/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct edge_tap *edge_tap_open(struct core *core, cvm_id root, edge_tap_fn fn, void *arg)
{
    struct edge_tap *tap = calloc(1, sizeof *tap);
    if (!tap)
        return NULL;
    *tap = (struct edge_tap){.next = core->taps, .root = root, .fn = fn, .arg = arg};
    core->taps = tap;
    return tap;
}

void edge_tap_close(struct core *core, struct edge_tap *tap)
{
    for (struct edge_tap **at = &core->taps; *at; at = &(*at)->next) {
        if (*at == tap) {
            *at = tap->next;
            free(tap);
            return;
        }
    }
}

void edge_listen(struct core *core, edge_published fn, void *arg)
{
    core->published = fn;
    core->published_arg = arg;
}

int64_t edge_durable(const struct core *core)
{
    return core->durable;
}

void tap_envelope(struct core *core, const json_t *envelope, cvm_id root)
{
    for (struct edge_tap *tap = core->taps, *next; tap; tap = next) {
        next = tap->next; /* a listener may close its own tap */
        if (cvm_id_is_none(tap->root) || cvm_id_eq(root, tap->root))
            tap->fn(tap->arg, envelope);
    }
}

static bool has_subscribers(const struct core *core, const char *topic)
{
    for (uint32_t i = 0; i < core->registry->topics.n; i++)
        if (strcmp(core->registry->topics.at[i]->name->text, topic) == 0)
            return true;
    return false;
}

/* A publication that no component gets, so that there is no message of it. */
void tap_publication(struct core *core, const struct message *cause, const struct edge_publication *p, uint32_t n)
{
    char id[40], of[40], lane[CVM_NAME_MAX + 16];
    if (!cause || has_subscribers(core, p->topic))
        return;
    json_t *envelope = envelope_json(cause), *data = json_incref((json_t *)(uintptr_t)p->data);
    id_text(cause->pub.id, of);
    id_text(id_derive(cause->pub.id, core->host->salt, n + 1, cause->pub.id.lo), id);
    snprintf(lane, sizeof lane, "topic:%s", p->topic);
    json_object_update_new(envelope,
                           json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:n}", "message_id", id, "sender",
                                     p->component, "recipient", "BROADCAST", "type", p->topic, "message_type",
                                     "notification", "content", "", "cause", of, "structured_data",
                                     data ? data : json_object(), "conversation", lane, "in_reply_to"));
    json_object_del(envelope, "outcome");
    json_object_set_new(envelope, "requires_response", json_false());
    tap_envelope(core, envelope, cause->subject ? cause->subject->root : (cvm_id){0, 0});
    json_decref(envelope);
}

void tap_message(struct core *core, const struct message *m)
{
    json_t *envelope = NULL;
    for (struct edge_tap *tap = core->taps, *next; tap; tap = next) {
        next = tap->next; /* a listener may close its own tap */
        if (!cvm_id_is_none(tap->root) && !(m->subject && cvm_id_eq(m->subject->root, tap->root)))
            continue;
        if (!envelope && !(envelope = envelope_json(m)))
            return;
        tap->fn(tap->arg, envelope);
    }
    json_decref(envelope);
}
