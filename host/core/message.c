/* Messages in memory and as envelopes. Message structs are recycled; payloads are shared by reference. */
#include "core/internal.h"

#include "core/envelope_words.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool vector_grow(void *at, uint32_t *cap, size_t size)
{
    void **where = at;
    uint32_t wanted = *cap ? *cap * 2 : 16;
    void *grown = reallocarray(*where, wanted, size);
    if (!grown)
        return false;
    *where = grown;
    *cap = wanted;
    return true;
}

static const char *put_text(char **at, const char *text)
{
    if (!text || !*text)
        return "";
    size_t n = strlen(text) + 1;
    char *here = memcpy(*at, text, n);
    *at += n;
    return here;
}

struct subject *subject_new(cvm_id root, const char *enquiry_id, const char *customer_id, const char *session_id,
                            const char *traceparent)
{
    size_t size = 4;
    const char *const all[] = {enquiry_id, customer_id, session_id, traceparent};
    for (int i = 0; i < 4; i++)
        size += all[i] ? strlen(all[i]) : 0;
    struct subject *s = calloc(1, sizeof *s + size);
    if (!s)
        return NULL;
    char *at = s->text;
    s->refs = 1;
    s->root = root;
    s->enquiry_id = put_text(&at, enquiry_id);
    s->customer_id = put_text(&at, customer_id);
    s->session_id = put_text(&at, session_id);
    s->traceparent = put_text(&at, traceparent);
    return s;
}

struct subject *subject_derive(struct subject *from, const char *enquiry_id, const char *customer_id,
                               const char *session_id)
{
    if (from && !enquiry_id && !customer_id && !session_id) {
        from->refs++;
        return from;
    }
    if (!from)
        return subject_new((cvm_id){0, 0}, enquiry_id, customer_id, session_id, NULL);
    struct subject *s = subject_new(from->root, enquiry_id ? enquiry_id : from->enquiry_id,
                                    customer_id ? customer_id : from->customer_id,
                                    session_id ? session_id : from->session_id, from->traceparent);
    if (s)
        s->restored = from->restored;
    return s;
}

struct message *message_new(struct core *core, const struct name *type)
{
    struct message *m = core->free_messages;
    if (m) {
        core->free_messages = m->queue_next;
        clear_bytes(m, sizeof *m);
    } else if (!(m = calloc(1, sizeof *m))) {
        return NULL;
    }
    m->item.kind = ITEM_MESSAGE;
    m->item.refs = 1;
    m->type = type;
    m->pub.type = type->text;
    m->pub.sender = m->pub.conversation = m->pub.content = "";
    m->pub.enquiry_id = m->pub.customer_id = m->pub.session_id = m->pub.traceparent = "";
    m->pub.confidence = 1.0;
    m->pub.priority = CVM_MEDIUM;
    m->pub.schema_version = 1;
    m->pub.timestamp_ms = core->now_ms;
    return m;
}

void message_set_subject(struct message *m, struct subject *subject)
{
    m->subject = subject;
    if (!subject)
        return;
    m->pub.enquiry_id = subject->enquiry_id;
    m->pub.customer_id = subject->customer_id;
    m->pub.session_id = subject->session_id;
    m->pub.traceparent = subject->traceparent;
}

void message_set_content(struct message *m, const char *content)
{
    if (!content || !*content)
        return;
    m->content = strdup(content);
    m->pub.content = m->content ? m->content : "";
}

void message_free(struct core *core, struct message *m)
{
    assert(!m->item.hashed);
    journal_shed(core, m->data);
    json_decref(m->tags);
    if (m->content)
        free(m->content);
    subject_release(m->subject);
    if (m->request)
        item_release(core, &m->request->item);
    if (m->origin)
        item_release(core, m->origin);
    if (m->conversation)
        conversation_release(core, m->conversation);
    m->queue_next = core->free_messages;
    core->free_messages = m;
}

static void add_time(struct text *text, int64_t ms)
{
    char stamp[32];
    time_text(ms, stamp);
    text_char(text, '"');
    text_puts(text, stamp);
    text_char(text, '"');
}

static void add_member(struct text *text, const char *key, const char *value)
{
    text_puts(text, key);
    text_string(text, value);
}

static void add_id(struct text *text, const char *key, cvm_id id)
{
    char shown[40];
    text_puts(text, key);
    if (cvm_id_is_none(id)) {
        text_add(text, "null", 4);
        return;
    }
    id_text(id, shown);
    text_char(text, '"');
    text_add(text, shown, 36);
    text_char(text, '"');
}

static void add_member_if(struct text *text, bool whole, const char *key, const char *value)
{
    if (whole || *value)
        add_member(text, key, value);
}

/* Whole for people and edges. What is stored of one that is open leaves out what has its default value, and what its
 * document says beside it: when it was, and whom it is about. */
void envelope_text(struct text *text, const struct message *m, enum envelope_form form)
{
    const bool whole = form == ENVELOPE_WHOLE;
    const cvm_msg *p = &m->pub;
    add_id(text, "{\"message_id\":", p->id);
    if (whole) {
        text_puts(text, ",\"timestamp\":");
        add_time(text, p->timestamp_ms);
    }
    add_member(text, ",\"sender\":", *p->sender || !whole ? p->sender : "outside");
    add_member(text, ",\"recipient\":", p->recipient);
    add_member(text, ",\"message_type\":", sort_words[p->message_type]);
    add_member(text, ",\"type\":", m->type->text);
    if (m->reply)
        add_member(text, ",\"outcome\":", outcome_words[p->outcome]);
    add_member_if(text, whole, ",\"content\":", p->content);
    text_puts(text, ",\"structured_data\":");
    text_json(text, p->data);
    if (whole) {
        add_member(text, ",\"enquiry_id\":", p->enquiry_id);
        add_member(text, ",\"customer_id\":", p->customer_id);
        add_member(text, ",\"session_id\":", p->session_id);
        add_member(text, ",\"traceparent\":", p->traceparent);
    }
    add_member_if(text, whole, ",\"conversation\":", p->conversation);
    add_member(text, ",\"priority\":", priority_words[p->priority]);
    if (whole || p->requires_response)
        text_puts(text, p->requires_response ? ",\"requires_response\":true" : ",\"requires_response\":false");
    if (p->tags) {
        text_puts(text, ",\"tags\":");
        text_json(text, p->tags);
    } else if (whole) {
        text_puts(text, ",\"tags\":[]");
    }
    if (p->confidence != 1.0) {
        text_puts(text, ",\"confidence\":");
        text_real(text, p->confidence);
    } else if (whole)
        text_puts(text, ",\"confidence\":1.0");
    if (whole || !cvm_id_is_none(p->in_reply_to))
        add_id(text, ",\"in_reply_to\":", p->in_reply_to);
    if (whole || !cvm_id_is_none(m->cause))
        add_id(text, ",\"cause\":", m->cause);
    if (whole || p->deadline_ms) {
        text_puts(text, ",\"deadline_ms\":");
        text_int(text, p->deadline_ms ? p->deadline_ms - p->timestamp_ms : 0);
    }
    if (whole)
        text_printf(text, ",\"schema_version\":%d", p->schema_version);
    if (!whole && !cvm_id_is_none(p->on_behalf))
        add_id(text, ",\"on_behalf\":", p->on_behalf);
    if (!whole && m->request && !cvm_id_eq(m->request->asked, p->id))
        add_id(text, ",\"asked\":", m->request->asked);
    text_char(text, '}');
}

json_t *envelope_json(const struct message *m)
{
    struct text text;
    text_init(&text, 4 * CVM_TURN_BYTES_MAX);
    envelope_text(&text, m, ENVELOPE_WHOLE);
    json_t *value = text.failed ? NULL : json_loadb(text.at, text.len, JSON_ALLOW_NUL, NULL);
    text_free(&text);
    return value;
}
