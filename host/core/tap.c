/* Listeners to the stream of envelopes, in the order in which they became durable. */
#include "core/internal.h"

#include <stdlib.h>

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
