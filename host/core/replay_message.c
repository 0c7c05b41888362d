/* The message of a recorded turn, made from its envelope, with the requests that it carries, answers or hands on; put
 * into its lane with the context as it was. */
#include "core/replay_parts.h"

#include "core/envelope_words.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "2026-11-21T06:22:07.123Z" */
static int64_t time_of(const char *text)
{
    struct tm tm = {0};
    int ms = 0;
    if (sscanf(text, "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
               &ms) != 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static struct subject *subject_made(const json_t *s, cvm_id root)
{
    return subject_new(root, cvm_json_str(s, "enquiry_id", ""), cvm_json_str(s, "customer_id", ""),
                       cvm_json_str(s, "session_id", ""), cvm_json_str(s, "traceparent", ""));
}

static bool heard(const struct replay *r, cvm_id id)
{
    char shown[40];
    size_t i;
    json_t *answer;
    id_text(id, shown);
    json_array_foreach(json_object_get(r->turn->record, "answers"), i,
                       answer) if (strcmp(json_string_value(json_array_get(answer, 0)), shown) == 0) return true;
    return false;
}

/* Who asked, and how the answer is to go back, of the request that `envelope` carries; `asked`: the envelope it was
 * first, where it was handed on since. */
static void fill(struct replay *r, struct core *core, struct request *q, const json_t *asked, int64_t sent_by,
                 const char *lane)
{
    const char *sender = cvm_json_str(asked, "sender", "");
    cvm_id ephemeral = past_id(asked, "asked");
    q->asked = cvm_id_is_none(ephemeral) ? past_id(asked, "message_id") : ephemeral;
    q->type = names_intern(core->names, cvm_json_str(asked, "type", "?"));
    q->on_behalf = past_id(asked, "on_behalf");
    q->asker = sent_by && strcmp(sender, core->host->id->text) != 0 ? component_get(core, sender) : NULL;
    json_t *subject = past_subject(&r->past, asked, sent_by);
    subject_release(q->subject);
    q->subject = subject_made(subject, q->asked);
    json_decref(subject);
    if (lane && *lane && (q->conversation = conversation_open(core, lane, false)))
        conversation_hold(q->conversation);
    if (!cvm_id_is_none(ephemeral)) { /* who asked stands in no record; an edge, where the record says that it heard */
        q->asker = NULL;
        sender = heard(r, ephemeral) ? "" : "?";
    }
    if (!*sender && !q->asker && (q->inbox = inbox_new(core, "", NULL, (const uint8_t[32]){0}, q->asked)))
        q->edge = true;
}

/* The name of the lane in which a turn ran. */
static const char *lane_of(struct replay *r, int64_t seq, const json_t *own)
{
    if (!seq)
        return cvm_json_str(own, "conversation", "");
    const struct past_known *known = past_known(&r->past, seq);
    if (!known)
        return "";
    const cvm_id message = known->message;
    int64_t sent_by = (int64_t)json_integer_value(json_array_get(json_object_get(known->record, "run"), 2));
    return cvm_json_str(past_envelope(&r->past, known->record, sent_by, message), "conversation", "");
}

/* The envelope a request was first, before it was handed on. */
static const json_t *first_of(struct replay *r, const json_t *envelope, int64_t *sent_by)
{
    cvm_id asked = past_id(envelope, "asked");
    int64_t conversation;
    const json_t *first;
    if (cvm_id_is_none(asked) || !asked.hi)
        return envelope;
    first = past_message(&r->past, asked, r->turn->conversation, r->turn->seq, sent_by, &conversation);
    if (!first)
        replay_say(r, "the request that was handed on to it is not stored any more");
    return first ? first : envelope;
}

struct request *replay_request(struct core *core, cvm_id id)
{
    struct replay *r = core->replay;
    int64_t sent_by = 0, conversation = 0;
    if (replay_met_id(core, "late", id))
        return NULL;
    for (uint32_t i = 0; i < r->kept.n; i++)
        if (r->kept.at[i]->kind == ITEM_REQUEST && cvm_id_eq(r->kept.at[i]->id, id))
            return (struct request *)r->kept.at[i];
    const json_t *said = core->turn.message ? core->turn.message->data : NULL, *e = NULL;
    if ((sent_by = cvm_json_int(said, "sent_by", 0)) && core->turn.component == core->host)
        e = past_envelope(&r->past, NULL, sent_by, id);
    else
        e = past_message(&r->past, id, r->turn->conversation, r->turn->seq, &sent_by, &conversation);
    json_t *unheard = NULL; /* an input that nobody had handled when its deadline passed */
    if (!e && json_object_get(said, "request") && core->turn.component == core->host) {
        const json_t *data = said;
        e = unheard =
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "message_id", cvm_json_str(data, "request", ""), "type",
                      cvm_json_str(data, "type", ""), "recipient", cvm_json_str(data, "recipient", ""), "sender",
                      cvm_json_str(data, "sender", ""), "conversation", core->turn.message->pub.conversation);
        sent_by = 0;
    }
    struct component *holder = e ? component_get(core, cvm_json_str(e, "recipient", "?")) : NULL;
    struct request *q = holder ? request_alloc(core) : NULL;
    if (!q) {
        if (!r->options->with_current)
            replay_say(r, "a request that it answers is not stored any more");
        json_decref(unheard);
        return NULL;
    }
    q->item = (struct item){.id = id, .kind = ITEM_REQUEST, .refs = 1, .no = 1};
    q->holder = q->taker = holder;
    if (holder->absent) /* the host held it in the meantime */
        q->holder = holder = core->host;
    q->priority = word_number(priority_words, PRIORITIES, cvm_json_str(e, "priority", ""), CVM_MEDIUM);
    const json_t *first = first_of(r, e, &sent_by);
    fill(r, core, q, first, sent_by, lane_of(r, sent_by, first));
    int64_t deadline = cvm_json_int(e, "deadline_ms", 0);
    q->deadline_ms = deadline ? time_of(cvm_json_str(e, "timestamp", "")) + deadline : 0;
    json_decref(unheard);
    holder->counts.delivered++;
    holder->counts.lent++;
    if (!VECTOR_PUSH(r->kept, &q->item))
        abort();
    return q;
}

/* ---- the message ------------------------------------------------------------------------------------------------- */

struct message *replay_message(struct replay *r, struct core *core, const json_t *e)
{
    const struct past_turn *turn = r->turn;
    struct name *type = names_intern(core->names, cvm_json_str(e, "type", "?"));
    struct message *m = type ? message_new(core, type) : NULL;
    if (!m)
        return NULL;
    m->reply = json_object_get(e, "outcome") != NULL;
    m->pub.type = m->reply ? names_reply(core->names, type)->text : type->text;
    m->pub.id = m->item.id = past_id(e, "message_id");
    m->sent_by = turn->sent_by;
    m->input = !turn->sent_by;
    m->item.no = 1;
    m->to = replay_component(core, cvm_json_str(e, "recipient", ""));
    struct name *sender = names_intern(core->names, cvm_json_str(e, "sender", ""));
    m->pub.sender = *cvm_json_str(e, "sender", "") && sender ? sender->text : "";
    m->from = m->input ? NULL : replay_component(core, m->pub.sender);
    m->pub.recipient = m->to->id->text;
    m->pub.in_reply_to = past_id(e, "in_reply_to");
    m->pub.on_behalf = past_id(e, "on_behalf");
    m->pub.timestamp_ms = time_of(cvm_json_str(e, "timestamp", ""));
    int64_t deadline = cvm_json_int(e, "deadline_ms", 0);
    m->pub.deadline_ms = deadline ? m->pub.timestamp_ms + deadline : 0;
    m->pub.message_type = word_number(sort_words, SORTS, cvm_json_str(e, "message_type", ""), CVM_NOTIFICATION);
    m->pub.priority = word_number(priority_words, PRIORITIES, cvm_json_str(e, "priority", ""), CVM_MEDIUM);
    m->pub.outcome = word_number(outcome_words, OUTCOMES, cvm_json_str(e, "outcome", ""), CVM_REPLIED);
    if (json_object_get(e, "confidence"))
        m->pub.confidence = json_number_value(json_object_get(e, "confidence"));
    m->pub.data = m->data = json_incref(json_object_get(e, "structured_data"));
    m->pub.tags = m->tags = json_incref(json_object_get(e, "tags"));
    message_set_content(m, cvm_json_str(e, "content", ""));
    m->cause = past_id(e, "cause");
    if (turn->sent_by && cvm_id_is_none(m->cause)) {
        const struct past_known *by = past_known(&r->past, turn->sent_by);
        if (by)
            m->cause = by->message;
    }
    json_t *subject = past_subject(&r->past, e, turn->sent_by);
    message_set_subject(m, subject_made(subject, m->pub.id));
    json_object_set_new(turn->record, "_subject", subject); /* those it causes ask for it */
    return m;
}

/* The request it carries is open. */
int replay_carry(struct replay *r, struct core *core, struct message *m, const json_t *e)
{
    int64_t deadline = m->pub.deadline_ms, sent_by = r->turn->sent_by;
    if (!json_is_true(json_object_get(e, "requires_response")))
        return 0;
    struct request *q = request_new(core, m, deadline);
    if (!q)
        return CVM_ENOMEM;
    q->item.no = 1;
    const json_t *first = first_of(r, e, &sent_by);
    fill(r, core, q, first, sent_by, lane_of(r, sent_by, first));
    return 0;
}

/* In its lane, as one that has been taken out of the run queue. */
int replay_put_in_lane(struct replay *r, struct core *core, struct message *m, const char *lane)
{
    json_t *doc = NULL;
    struct conversation *c = conversation_open(core, lane, false);
    if (!c)
        return CVM_ENOMEM;
    if (past_key(&r->past, lane) != r->turn->conversation) {
        replay_say(r, "its message names another conversation than its own");
        return CVM_EDATA;
    }
    CVM_TRY(past_context(&r->past, c->key, r->turn->seq, r->turn->context, &doc, r->why, sizeof r->why));
    json_decref(c->context);
    c->context = doc;
    json_decref(r->context);
    r->context = json_incref(doc);
    c->version = r->turn->context;
    c->context_bytes = json_text_size(doc, SIZE_MAX / 4);
    c->ended_ms = 0;
    c->messages = 0;
    m->conversation = c;
    m->pub.conversation = c->name;
    conversation_hold(c);
    c->head = c->tail = m;
    c->by_priority[m->pub.priority]++;
    c->scheduled = true;
    m->to->counts.delivered++;
    m->to->counts.queued++;
    return 0;
}
