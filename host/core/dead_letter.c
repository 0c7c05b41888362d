/* Tells of dead letters on the topic "dead-letter": components may subscribe to it, and whoever watches the bus sees
 * it. Loop thread. */
#include "core/internal.h"

#include <cvm/json.h>
#include <string.h>

#define TOPIC "dead-letter"

static json_t *told(const struct message *m, const char *reason)
{
    char id[40];
    id_text(m->pub.id, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "component", m->to->id->text, "type", m->type->text, "reason",
                     reason, "message_id", id, "conversation", m->pub.conversation, "enquiry_id", m->pub.enquiry_id);
}

/* A letter about a letter would have no end. The host tells it, whose turn ever makes the letter. */
void dead_letter_publish(struct turn *t, const struct message *m, const char *reason)
{
    struct core *core = t->core;
    struct component *c = t->component;
    if (strcmp(m->type->text, TOPIC) == 0)
        return;
    json_t *data = told(m, reason);
    cvm_out out = {.size = sizeof out, .kind = CVM_OUT_PUBLISH, .type = TOPIC, .data = data, .priority = -1};
    t->component = core->host;
    if (turn_emit(&t->pub, &out, NULL) < 0) {
        log_warning(m->to->id->text, "nobody could be told of a dead letter");
        json_decref(data);
    }
    t->component = c;
}

/* As it becomes durable, also where nobody subscribes. */
void dead_letter_tap(struct core *core, const struct dead_letter *letter)
{
    const struct message *m = letter->message;
    if (!core->taps || strcmp(m->type->text, TOPIC) == 0)
        return;
    char cause[40], id[40];
    json_t *envelope = envelope_json(m);
    id_text(m->pub.id, cause);
    id_text(id_derive(m->pub.id, core->host->salt, 1, m->pub.id.hi), id);
    json_object_update_new(envelope, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:n}", "message_id", id,
                                               "sender", core->host->id->text, "recipient", "BROADCAST", "type", TOPIC,
                                               "message_type", "notification", "content", letter->reason, "cause",
                                               cause, "structured_data", told(m, letter->reason), "in_reply_to"));
    json_object_del(envelope, "outcome");
    tap_envelope(core, envelope, m->subject ? m->subject->root : (cvm_id){0, 0});
    json_decref(envelope);
}
