/* Open things as JSON documents, as the writer stores them (its thread), and whether a document is one. recover.c reads
 * them back. */
#include "core/internal.h"

#include "core/hex.h"
#include <cvm/json.h>
#include <string.h>

static void name(struct text *text, const char *key)
{
    text_char(text, '"');
    text_puts(text, key);
    text_add(text, "\":", 2);
}

static void member(struct text *text, const char *key, const char *value)
{
    name(text, key);
    text_string(text, value ? value : "");
    text_char(text, ',');
}

static void number(struct text *text, const char *key, int64_t value)
{
    name(text, key);
    text_int(text, value);
    text_char(text, ',');
}

static void id_member(struct text *text, const char *key, cvm_id id)
{
    char shown[40];
    if (cvm_id_is_none(id))
        return;
    id_text(id, shown);
    member(text, key, shown);
}

static void subject_member(struct text *text, const struct subject *s)
{
    if (!s)
        return;
    text_puts(text, "\"subject\":{");
    if (s->restored)
        number(text, "restored", 1);
    id_member(text, "root", s->root);
    member(text, "enquiry_id", s->enquiry_id);
    member(text, "customer_id", s->customer_id);
    member(text, "session_id", s->session_id);
    text_puts(text, "\"traceparent\":");
    text_string(text, s->traceparent);
    text_puts(text, "},");
}

static void json_member(struct text *text, const char *key, const json_t *value)
{
    if (!value)
        return;
    name(text, key);
    text_json(text, value);
    text_char(text, ',');
}

/* The last member, without a comma. */
static void close_doc(struct text *text)
{
    text_puts(text, "\"v\":1}");
}

/* `subject`: whom the document that it stands in is about, which need not be said twice. */
static void request_doc(struct text *text, const struct request *r, const struct subject *subject)
{
    text_char(text, '{');
    id_member(text, "id", r->item.id);
    id_member(text, "asked", r->asked);
    member(text, "asker", r->asker ? r->asker->id->text : "");
    member(text, "holder", r->taker->id->text);
    member(text, "conversation", r->conversation ? r->conversation->name : "");
    member(text, "type", r->type->text);
    id_member(text, "on_behalf", r->on_behalf);
    number(text, "deadline_ms", r->deadline_ms);
    number(text, "priority", r->priority);
    number(text, "edge", r->edge);
    number(text, "effect", r->effect != NULL);
    if (r->inbox && r->inbox->key) {
        char hash[HASH_HEX_SIZE];
        hex_text(r->inbox->hash, sizeof r->inbox->hash, hash);
        member(text, "source", r->inbox->source);
        member(text, "key", r->inbox->key);
        member(text, "hash", hash);
        id_member(text, "input", r->inbox->id);
    }
    if (r->subject != subject)
        subject_member(text, r->subject);
    close_doc(text);
}

static void message_doc(struct text *text, const struct message *m)
{
    text_puts(text, "{\"envelope\":");
    envelope_text(text, m, ENVELOPE_SHORT);
    text_char(text, ',');
    if (m->sent_by)
        number(text, "turn", m->sent_by);
    number(text, "timestamp_ms", m->pub.timestamp_ms);
    number(text, "reply", m->reply);
    if (m->request) {
        text_puts(text, "\"request\":");
        request_doc(text, m->request, m->subject);
        text_char(text, ',');
    }
    subject_member(text, m->subject);
    close_doc(text);
}

static void timer_doc(struct text *text, const struct timer *t)
{
    text_char(text, '{');
    id_member(text, "id", t->item.id);
    member(text, "component", t->component->id->text);
    member(text, "conversation", t->conversation->name);
    member(text, "type", t->type->text);
    number(text, "at_ms", t->alarm.at_ms);
    number(text, "priority", t->priority);
    id_member(text, "on_behalf", t->on_behalf);
    json_member(text, "data", t->data);
    subject_member(text, t->subject);
    close_doc(text);
}

static void effect_doc(struct text *text, const struct effect *e)
{
    text_char(text, '{');
    id_member(text, "id", e->item.id);
    member(text, "component", e->component->id->text);
    member(text, "conversation", e->conversation ? e->conversation->name : "");
    member(text, "type", e->type->text);
    if (e->call) {
        member(text, "call", e->call->name);
        member(text, "url", e->url);
        member(text, "key", e->key);
    }
    if (e->job) {
        number(text, "job", 1);
        number(text, "asked_ms", e->asked_ms);
    }
    number(text, "timeout_ms", e->timeout_ms);
    number(text, "deadline_ms", e->deadline_ms);
    number(text, "priority", e->priority);
    id_member(text, "on_behalf", e->on_behalf);
    json_member(text, "headers", e->headers);
    json_member(text, "body", e->body);
    json_member(text, "query", e->query);
    subject_member(text, e->subject);
    close_doc(text);
}

void item_doc(struct text *text, const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_MESSAGE:
        message_doc(text, (const struct message *)item);
        break;
    case ITEM_REQUEST:
        request_doc(text, (const struct request *)item, NULL);
        break;
    case ITEM_TIMER:
        timer_doc(text, (const struct timer *)item);
        break;
    case ITEM_EFFECT:
        effect_doc(text, (const struct effect *)item);
        break;
    }
}

/* ---- whether a document is one of these: what recovery reads may have been damaged. Only what belongs to a
 * conversation is journalled. ---- */

static bool has_id(const json_t *doc, const char *key)
{
    cvm_id id;
    return id_parse(cvm_json_str(doc, key, ""), &id) == 0 && !cvm_id_is_none(id);
}

static bool has_text(const json_t *doc, const char *key)
{
    return *cvm_json_str(doc, key, "") != 0;
}

static bool is_request(const json_t *doc)
{
    return has_id(doc, "id") && has_text(doc, "holder") && has_text(doc, "type") && has_text(doc, "conversation") &&
           (!json_object_get(doc, "key") || has_id(doc, "input"));
}

static bool is_message(const json_t *doc)
{
    const json_t *e = json_object_get(doc, "envelope"), *request = json_object_get(doc, "request");
    return has_id(e, "message_id") && has_text(e, "recipient") && has_text(e, "type") && has_text(e, "conversation") &&
           json_is_object(json_object_get(e, "structured_data")) && (!request || is_request(request));
}

static bool is_timer(const json_t *doc)
{
    return has_id(doc, "id") && has_text(doc, "component") && has_text(doc, "type") && has_text(doc, "conversation") &&
           json_is_integer(json_object_get(doc, "at_ms"));
}

static bool has_headers(const json_t *doc)
{
    const char *name;
    json_t *headers = json_object_get(doc, "headers"), *value;
    json_object_foreach(headers, name, value) if (!json_is_string(value)) return false;
    return !headers || json_is_object(headers);
}

static bool is_question(const json_t *query)
{
    const json_t *search = json_object_get(query, "search"), *look = json_object_get(query, "look");
    if (search)
        return has_text(search, "table");
    if (look)
        return has_text(look, "to");
    return has_text(query, "sql") && json_is_array(json_object_get(query, "binds")) &&
           json_is_integer(json_object_get(query, "limit"));
}

static bool is_effect(const json_t *doc)
{
    return has_id(doc, "id") && has_text(doc, "component") && has_text(doc, "type") && has_text(doc, "conversation") &&
           (cvm_json_int(doc, "job", 0) ? json_is_object(json_object_get(doc, "body"))
            : has_text(doc, "call")     ? has_text(doc, "url") && has_headers(doc)
                                        : is_question(json_object_get(doc, "query")));
}

bool item_doc_good(const char *kind, const json_t *doc)
{
    static bool (*const is[])(const json_t *) = {is_message, is_request, is_timer, is_effect};
    static const char *const kinds[] = {"message", "request", "timer", "effect"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return is[i](doc);
    return false;
}
