/* The text of a turn's record, as the writer stores it and a replay compares it. What the row or its conversation's row
 * says already is left out of the messages; record_read.c fills it in, and docs/reference/journal.md has the rules. Any
 * thread, as long as the record does not change meanwhile. */
#include "core/internal.h"

#include "core/envelope_words.h"
#include "core/record_read.h"
#include <string.h>

#define SAME_MOST 8 /* messages that one is compared with: the first ones, and as many of its own neighbours */

#define PUT(text, literal) text_add(text, literal, sizeof(literal) - 1)

/* The text of which a JSON string needs nothing escaped. */
static void add_plain(struct text *text, const char *plain, size_t len)
{
    text_char(text, '"');
    text_add(text, plain, len);
    text_char(text, '"');
}

/* The digits of an id: none for that of the turn's message, half where the other half is the row's conversation. */
static void add_id(struct text *text, const struct record *rec, cvm_id id)
{
    char shown[40];
    if (rec->message && cvm_id_eq(id, rec->message->pub.id)) {
        PUT(text, "\"\"");
        return;
    }
    id_text(id, shown);
    const size_t from = id.hi == (uint64_t)rec->conversation->key ? 20 : 4;
    add_plain(text, shown + from, 36 - from);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* Whom it is about, without what the turn's message says already: a member that is not there is as there. */
static void add_subject(struct text *text, const struct message *m, const struct message *cause)
{
    if (cause && m->subject == cause->subject)
        return;
    static const char *const keys[] = {
        ",\"enquiry_id\":", ",\"customer_id\":", ",\"session_id\":", ",\"traceparent\":"};
    const cvm_msg *p = &m->pub, *its = cause ? &cause->pub : NULL;
    const char *const own[] = {p->enquiry_id, p->customer_id, p->session_id, p->traceparent};
    const char *const known[] = {its ? its->enquiry_id : "", its ? its->customer_id : "", its ? its->session_id : "",
                                 its ? its->traceparent : ""};
    for (int i = 0; i < 4; i++) {
        if (own[i] == known[i] || strcmp(own[i], known[i]) == 0)
            continue;
        text_puts(text, keys[i]);
        text_string(text, own[i]);
    }
}

static uint32_t first_with(const struct record *rec, const json_t *data, uint32_t from, uint32_t end)
{
    while (from < end && rec->outs[from]->pub.data != data)
        from++;
    return from;
}

/* `same` names a message that has the data itself: readers follow it once. The first of a block of neighbours has it,
 * unless one of the first block has. */
static void add_data(struct text *text, const struct record *rec, const struct message *m, uint32_t place)
{
    const json_t *data = m->pub.data;
    if (json_is_object(data) && json_object_size(data) == 0)
        return;
    const uint32_t first = place < SAME_MOST ? place : SAME_MOST;
    uint32_t at = first_with(rec, data, 0, first);
    if (at == first)
        at = first_with(rec, data, place - place % SAME_MOST, place);
    if (at < place) {
        PUT(text, ",\"same\":");
        text_int(text, at);
        return;
    }
    PUT(text, ",\"data\":");
    text_json(text, data);
}

/* The operation's own type, as the row's column says it. */
static bool is_rows_type(const struct record *rec, const struct name *type)
{
    const char *of = rec->message ? rec->message->pub.type : "";
    return of == type->text ||
           (strncmp(of, type->text, record_type_length(of)) == 0 && !type->text[record_type_length(of)]);
}

static void add_rest(struct text *text, const struct record *rec, const struct message *m, const struct message *cause)
{
    const cvm_msg *p = &m->pub;
    if (m->conversation != rec->conversation) {
        PUT(text, ",\"conversation\":");
        text_string(text, p->conversation);
    }
    if (p->priority != CVM_MEDIUM) {
        PUT(text, ",\"priority\":");
        text_string(text, priority_words[p->priority]);
    }
    if ((p->requires_response != 0) != (p->deadline_ms != 0))
        text_puts(text, p->requires_response ? ",\"requires_response\":true" : ",\"requires_response\":false");
    if (p->tags) {
        PUT(text, ",\"tags\":");
        text_json(text, p->tags);
    }
    if (p->confidence != 1.0) {
        PUT(text, ",\"confidence\":");
        text_real(text, p->confidence);
    }
    if (!cvm_id_is_none(m->cause) && !(cause && cvm_id_eq(m->cause, cause->pub.id))) {
        PUT(text, ",\"cause\":");
        add_id(text, rec, m->cause);
    }
    if (p->deadline_ms) {
        PUT(text, ",\"deadline_ms\":");
        text_int(text, p->deadline_ms - p->timestamp_ms);
    }
    if (!cvm_id_is_none(p->on_behalf)) {
        PUT(text, ",\"on_behalf\":");
        add_id(text, rec, p->on_behalf);
    }
    if (m->request && !cvm_id_eq(m->request->asked, p->id)) {
        PUT(text, ",\"asked\":");
        cvm_id_is_none(m->request->asked) ? PUT(text, "null") : add_id(text, rec, m->request->asked);
    }
    text_char(text, '}');
}

/* One that was sent, or, with `in`, the turn's own. */
static void add_message(struct text *text, const struct record *rec, const struct message *m, uint32_t place, bool in)
{
    const cvm_msg *p = &m->pub;
    const struct message *cause = in ? NULL : rec->message;
    const char *sender = in ? p->sender : rec->component->id->text;
    const bool answers = m->reply && cause && *p->recipient && cvm_id_eq(p->in_reply_to, cause->pub.id) &&
                         strcmp(p->recipient, cause->pub.sender) == 0;
    PUT(text, "{\"id\":");
    add_id(text, rec, p->id);
    if (p->timestamp_ms != rec->at_ms) {
        char time[32];
        time_text(p->timestamp_ms, time);
        PUT(text, ",\"timestamp\":");
        add_plain(text, time, strlen(time));
    }
    if (p->sender != sender && strcmp(p->sender, sender) != 0) {
        PUT(text, ",\"sender\":");
        text_string(text, p->sender);
    }
    if (in ? strcmp(p->recipient, rec->component->id->text) != 0 : !answers) {
        PUT(text, ",\"to\":");
        text_string(text, p->recipient);
    }
    if (p->message_type != (m->reply ? CVM_RESPONSE : p->deadline_ms ? CVM_REQUEST : CVM_NOTIFICATION)) {
        PUT(text, ",\"message_type\":");
        text_string(text, sort_words[p->message_type]);
    }
    if (!is_rows_type(rec, m->type)) {
        PUT(text, ",\"type\":");
        text_string(text, m->type->text);
    }
    if (m->reply && (!answers || p->outcome != CVM_REPLIED)) {
        PUT(text, ",\"outcome\":");
        text_string(text, outcome_words[p->outcome]);
    }
    if (*p->content) {
        PUT(text, ",\"content\":");
        text_string(text, p->content);
    }
    add_data(text, rec, m, place);
    add_subject(text, m, cause);
    if (!answers && !cvm_id_is_none(p->in_reply_to)) {
        PUT(text, ",\"in_reply_to\":");
        add_id(text, rec, p->in_reply_to);
    }
    add_rest(text, rec, m, cause);
}

/* The conversation's name, where no row of `contexts` has it and it does not follow from its key. */
static void add_lane(struct text *text, const struct record *rec)
{
    char name[40];
    bool named = false;
    for (uint32_t i = 0; i < rec->n_outs && !named; i++)
        named = rec->outs[i]->conversation == rec->conversation;
    if (!(named || (rec->message && rec->message->input)) || rec->context_before > 0 || rec->n_changes)
        return;
    input_name((uint64_t)rec->conversation->key, name);
    if (strcmp(name, rec->conversation->name) == 0)
        return;
    PUT(text, ",\"lane\":");
    text_string(text, rec->conversation->name);
}

/* ---- what was opened and changed --------------------------------------------------------------------------------- */

/* 64 bits that say whether a text is the same. */
static void add_digest(struct text *text, const struct text *of)
{
    text_printf(text, "\"%016llx\"", (unsigned long long)id_hash(of->at, of->len, 0x726f77));
}

/* What is sent is not kept in the record, where it would outlive its use; whether it is the same can be told. */
static void add_sent(struct text *text, struct text *scratch, const struct effect *e)
{
    text_reset(scratch);
    text_json(scratch, e->headers);
    text_json(scratch, e->body);
    text_int(scratch, e->timeout_ms);
    text_puts(text, ",\"deadline_ms\":");
    text_int(text, e->deadline_ms);
    text_puts(text, ",\"sent\":");
    add_digest(text, scratch);
}

static void add_queries(struct text *text, const struct record *rec)
{
    int queries = 0;
    for (uint32_t i = 0; i < rec->n_opens; i++) {
        const struct effect *e = (const struct effect *)rec->opens[i];
        if (rec->opens[i]->kind != ITEM_EFFECT || !e->query)
            continue;
        text_puts(text, queries++ ? ",{\"id\":" : ",\"queries\":[{\"id\":");
        add_id(text, rec, e->item.id);
        text_puts(text, ",\"query\":");
        text_json(text, e->query);
        text_char(text, '}');
    }
    if (queries)
        text_char(text, ']');
}

static void add_jobs(struct text *text, const struct record *rec)
{
    int jobs = 0;
    for (uint32_t i = 0; i < rec->n_opens; i++) {
        const struct effect *e = (const struct effect *)rec->opens[i];
        if (rec->opens[i]->kind != ITEM_EFFECT || !e->job)
            continue;
        text_puts(text, jobs++ ? ",{\"id\":" : ",\"jobs\":[{\"id\":");
        add_id(text, rec, e->item.id);
        text_puts(text, ",\"name\":");
        text_string(text, e->type->text);
        text_puts(text, ",\"timeout_ms\":");
        text_int(text, e->timeout_ms);
        text_puts(text, ",\"input\":");
        text_json(text, e->body);
        text_char(text, '}');
    }
    if (jobs)
        text_char(text, ']');
}

static void add_cancelled(struct text *text, const struct record *rec)
{
    int n = 0;
    for (uint32_t i = 0; i < rec->n_closes; i++) {
        if (rec->closes[i]->kind != ITEM_TIMER || (rec->message && rec->closes[i] == rec->message->origin))
            continue;
        text_puts(text, n++ ? "," : ",\"cancelled\":[");
        add_id(text, rec, rec->closes[i]->id);
    }
    if (n)
        text_char(text, ']');
}

static void add_opened(struct text *text, struct text *scratch, const struct record *rec)
{
    int calls = 0, timers = 0;
    for (uint32_t i = 0; i < rec->n_opens; i++) {
        const struct effect *e = (const struct effect *)rec->opens[i];
        if (rec->opens[i]->kind != ITEM_EFFECT || !e->call)
            continue;
        text_puts(text, calls++ ? ",{\"name\":" : ",\"calls\":[{\"name\":");
        text_string(text, e->call->name);
        text_puts(text, ",\"url\":");
        text_string(text, e->url);
        text_puts(text, ",\"key\":");
        text_string(text, e->key);
        text_puts(text, ",\"id\":");
        add_id(text, rec, e->item.id);
        add_sent(text, scratch, e);
        text_char(text, '}');
    }
    if (calls)
        text_char(text, ']');
    add_queries(text, rec);
    add_jobs(text, rec);
    for (uint32_t i = 0; i < rec->n_opens; i++) {
        const struct timer *timer = (const struct timer *)rec->opens[i];
        if (rec->opens[i]->kind != ITEM_TIMER)
            continue;
        text_puts(text, timers++ ? ",{\"type\":" : ",\"timers\":[{\"type\":");
        text_string(text, timer->type->text);
        text_puts(text, ",\"at_ms\":");
        text_int(text, timer->alarm.at_ms);
        text_puts(text, ",\"id\":");
        add_id(text, rec, timer->item.id);
        text_char(text, '}');
    }
    if (timers)
        text_char(text, ']');
    add_cancelled(text, rec);
}

static void add_changes(struct text *text, struct text *scratch, const struct record *rec)
{
    for (uint32_t i = 0; i < rec->n_states; i++) {
        text_puts(text, i ? ",[" : ",\"state\":[[");
        text_string(text, rec->states[i].entry->key);
        if (rec->states[i].value) {
            text_char(text, ',');
            rec->states[i].text_at = (uint32_t)text->len;
            text_json(text, rec->states[i].value);
            rec->states[i].text_len = (uint32_t)(text->len - rec->states[i].text_at);
        }
        text_char(text, ']');
    }
    if (rec->n_states)
        text_char(text, ']');
    if (rec->n_states && rec->state_version != 1)
        text_printf(text, ",\"state_version\":%u", rec->state_version);
    for (uint32_t i = 0; i < rec->n_rows; i++) {
        text_puts(text, i ? ",[" : ",\"rows\":[[");
        text_string(text, rec->rows[i].table->decl->name);
        text_char(text, ',');
        text_string(text, rec->rows[i].key);
        if (rec->rows[i].row) {
            text_reset(scratch);
            text_json(scratch, rec->rows[i].row);
            text_char(text, ',');
            add_digest(text, scratch);
        }
        text_char(text, ']');
    }
    if (rec->n_rows)
        text_char(text, ']');
    int answers = 0;
    for (uint32_t i = 0; i < rec->n_inboxes; i++) {
        if (rec->inboxes[i].outcome < 0)
            continue;
        text_puts(text, answers++ ? ",[" : ",\"answers\":[[");
        add_id(text, rec, rec->inboxes[i].inbox->id);
        text_printf(text, ",\"%s\",", outcome_words[rec->inboxes[i].outcome]);
        text_json(text, rec->inboxes[i].result);
        text_char(text, ']');
    }
    if (answers)
        text_char(text, ']');
}

/* What the turn changed in its conversation's context, what it was told, and what it noted. */
static void add_told(struct text *text, const struct record *rec)
{
    for (uint32_t i = 0; i < rec->n_changes; i++) {
        const struct context_change *change = &rec->changes[i];
        text_puts(text, i ? ",[" : ",\"context\":[[");
        text_json(text, change->path);
        if (change->value) {
            text_char(text, ',');
            text_json(text, change->value);
        }
        text_char(text, ']');
    }
    if (rec->n_changes)
        text_char(text, ']');
    if (*rec->reads) {
        PUT(text, ",\"reads\":[");
        text_puts(text, rec->reads);
        text_char(text, ']');
    }
    if (rec->notes) {
        PUT(text, ",\"notes\":");
        text_json(text, rec->notes);
    }
}

/* By what it can be run again: the configuration, the version of the context before it, and the turn whose record has
 * the message. */
void record_text(struct text *text, struct text *scratch, const struct record *rec)
{
    text_reset(text);
    text_reset(scratch); /* what failed in it was of another record, or of this one when it was tried before */
    PUT(text, "{\"run\":[");
    text_int(text, configuration_id(rec->configuration));
    text_char(text, ',');
    text_int(text, rec->context_before);
    text_char(text, ',');
    text_int(text, rec->message ? rec->message->sent_by : 0);
    text_char(text, ']');
    if (rec->message && rec->message->input) {
        PUT(text, ",\"in\":");
        add_message(text, rec, rec->message, 0, true);
    }
    for (uint32_t i = 0; i < rec->n_outs; i++) {
        text_puts(text, i ? "," : ",\"out\":[");
        add_message(text, rec, rec->outs[i], i, false);
    }
    if (rec->n_outs)
        text_char(text, ']');
    add_lane(text, rec);
    if (rec->led) {
        PUT(text, ",\"led\":");
        text_int(text, rec->led - 1);
    }
    add_opened(text, scratch, rec);
    add_changes(text, scratch, rec);
    add_told(text, rec);
    const char *key;
    json_t *value;
    json_object_foreach(rec->extra, key, value)
    {
        text_char(text, ',');
        text_string(text, key);
        text_char(text, ':');
        text_json(text, value);
    }
    if (rec->ended)
        PUT(text, ",\"ended\":true");
    text_char(text, '}');
    text->failed = text->failed || scratch->failed;
}
