/* One recorded turn, run again in a world: the message is made from its envelope, the context, the state and the open
 * requests come from the record, the host's functions answer as they did; what the turn commits is caught as text. */
#include "core/replay_parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sorts[] = {"request", "response", "notification", "escalation"};
static const char *const priorities[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
static const char *const outcomes[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};

static uint8_t index_of(const char *const *names, uint8_t n, const json_t *object, const char *member,
                        uint8_t otherwise)
{
    const char *text = cvm_json_str(object, member, "");
    for (uint8_t i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return otherwise;
}

__attribute__((format(printf, 2, 3))) static void say(struct replay *r, const char *format, ...)
{
    va_list args;
    if (*r->why)
        return; /* the first thing that is missing explains the rest */
    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
}

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

static struct component *component_named(const struct core *core, const char *id)
{
    const struct name *name = *id ? names_find(core->names, id) : NULL;
    for (uint32_t i = 0; name && i < core->n_components; i++)
        if (core->components[i]->id == name)
            return core->components[i];
    return NULL;
}

/* ---- what the core asks instead of what it knows itself ---------------------------------------------------------- */

bool replay_met(const struct core *core, const char *what, const char *name)
{
    const json_t *list = json_object_get(json_object_get(core->replay->turn->record, "met"), what);
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       value) if (strcmp(json_string_value(value), name) == 0) return true;
    return false;
}

bool replay_met_id(const struct core *core, const char *what, cvm_id id)
{
    char shown[40];
    id_text(id, shown);
    return replay_met(core, what, shown);
}

void replay_secret(struct core *core, const char *name)
{
    struct replay *r = core->replay;
    size_t i;
    json_t *lost;
    json_array_foreach(r->world->lost, i, lost) if (strcmp(json_string_value(lost), name) == 0)
        say(r, "the secret %s is not what it was then", name);
}

void replay_short_id(struct core *core, const json_t *ids, char *ret_id, size_t size)
{
    const json_t *id = json_array_get(json_object_get(core->replay->turn->record, "ids"), json_array_size(ids));
    if (json_is_string(id))
        snprintf(ret_id, size, "%s", json_string_value(id));
}

/* The turn that had written the key, as the record says; -1: it does not. Found by an index that the first asks for. */
static int64_t read_from(struct replay *r, const char *key)
{
    const json_t *reads = json_object_get(r->turn->record, "reads");
    json_t *read;
    size_t i;
    if (!r->reads) {
        r->reads = json_object();
        json_array_foreach((json_t *)(uintptr_t)reads, i, read) if (json_array_size(read) == 2)
            json_object_set_nocheck(r->reads, json_string_value(json_array_get(read, 0)), json_array_get(read, 1));
    }
    read = json_object_get(r->reads, key);
    return read ? (int64_t)json_integer_value(read) : -1;
}

int replay_state(struct core *core, struct state_entry *e)
{
    struct replay *r = core->replay;
    const char *component = e->component->id->text;
    json_t *value = NULL;
    uint32_t version = 1;
    int64_t turn = read_from(r, e->key);
    if (turn > 0 && past_state(&r->past, component, e->key, turn, &value, &version) < 0)
        say(r, "what turn %lld wrote under the key %s of %s is not stored any more", (long long)turn, e->key,
            component);
    if (turn < 0) {
        r->asked_elsewhere = true;
        turn = 0;
        past_state_now(&r->past, component, e->key, r->turn->seq, &value, &version, &turn);
    }
    json_decref(e->value);
    json_decref(e->view);
    e->view = NULL;
    e->value = value;
    e->version = version;
    e->turn = turn;
    return 0;
}

/* The record's scan of this range that was not asked for yet. */
static const json_t *find_scan(struct replay *r, const char *prefix, const char *after, size_t limit)
{
    const json_t *reads = json_object_get(r->turn->record, "reads");
    uint32_t n = 0;
    size_t i;
    json_t *read;
    json_array_foreach((json_t *)(uintptr_t)reads, i, read)
    {
        const char *first = json_string_value(json_array_get(read, 0));
        if (json_array_size(read) < 4 || strcmp(first, "scan") != 0 || n++ < r->scans)
            continue;
        r->scans++;
        if (strcmp(json_string_value(json_array_get(read, 1)), prefix) == 0 &&
            strcmp(json_string_value(json_array_get(read, 2)), after ? after : "") == 0 &&
            json_integer_value(json_array_get(read, 3)) == (json_int_t)limit)
            return read;
        break;
    }
    return NULL;
}

/* Another code's scan, of what is stored today and was there then. */
static json_t *scan_now(struct replay *r, const struct component *c, const char *prefix, const char *after,
                        size_t limit)
{
    sqlite3_stmt *st = NULL;
    char end[CVM_STATE_KEY_MAX + 8];
    json_t *entries = json_array();
    snprintf(end, sizeof end, "%s\xf4\x8f\xbf\xbf", prefix);
    if (sqlite3_prepare_v2(r->past.db,
                           "SELECT key, value, version, turn FROM state WHERE component = ? AND key > ? AND key >= ?"
                           " AND key < ? AND turn < ? ORDER BY key LIMIT ?",
                           -1, &st, NULL))
        return entries;
    sqlite3_bind_text(st, 1, c->id->text, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, after ? after : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, prefix, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, end, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, r->turn->seq);
    sqlite3_bind_int64(st, 6, (int64_t)limit);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        json_t *value = json_loads((const char *)sqlite3_column_text(st, 1), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *made = NULL;
        if (value && state_converted(c, key, (uint32_t)sqlite3_column_int64(st, 2), value, &made) == 0)
            json_array_append_new(entries, json_pack("[s, o, I]", key, made, (json_int_t)sqlite3_column_int64(st, 3)));
        json_decref(value);
    }
    sqlite3_finalize(st);
    return entries;
}

int replay_scan(struct core *core, struct component *c, const char *prefix, const char *after, size_t limit,
                json_t **ret_entries)
{
    struct replay *r = core->replay;
    const json_t *scan = find_scan(r, prefix, after, limit);
    if (!scan) {
        r->asked_elsewhere = true;
        *ret_entries = scan_now(r, c, prefix, after, limit);
        return 0;
    }
    json_t *entries = json_array();
    for (size_t i = 4; i < json_array_size(scan); i++) {
        const json_t *entry = json_array_get(scan, i);
        const char *key = json_string_value(json_array_get(entry, 0));
        int64_t turn = (int64_t)json_integer_value(json_array_get(entry, 1));
        json_t *value = NULL, *made = NULL;
        uint32_t version = 1;
        int e = past_state(&r->past, c->id->text, key, turn, &value, &version);
        if (e < 0 || !value)
            say(r, "what turn %lld wrote under the key %s of %s is not stored any more", (long long)turn, key,
                c->id->text);
        else
            e = state_converted(c, key, version, value, &made);
        json_decref(value);
        if (e < 0) {
            json_decref(entries);
            return e;
        }
        json_array_append_new(entries, json_pack("[s, o, I]", key, made ? made : json_null(), (json_int_t)turn));
    }
    *ret_entries = entries;
    return 0;
}

struct timer *replay_timer(struct turn *t, cvm_id id)
{
    struct replay *r = t->core->replay;
    if (replay_met_id(t->core, "gone", id))
        return NULL;
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->item = (struct item){.id = id, .kind = ITEM_TIMER, .refs = 1, .no = 1};
    timer->component = t->component;
    timer->conversation = t->conversation;
    conversation_hold(timer->conversation);
    if (!VECTOR_PUSH(r->kept, &timer->item)) {
        item_release(t->core, &timer->item);
        return NULL;
    }
    return timer;
}

int64_t replay_key(const struct core *core, const char *conversation)
{
    return past_key(&core->replay->past, conversation);
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
        say(r, "the request that was handed on to it is not stored any more");
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
            say(r, "a request that it answers is not stored any more");
        json_decref(unheard);
        return NULL;
    }
    q->item = (struct item){.id = id, .kind = ITEM_REQUEST, .refs = 1, .no = 1};
    q->holder = q->taker = holder;
    if (holder->absent) /* the host held it in the meantime */
        q->holder = holder = core->host;
    q->priority = index_of(priorities, 4, e, "priority", CVM_MEDIUM);
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

static struct message *make_message(struct replay *r, struct core *core, const json_t *e)
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
    m->to = component_named(core, cvm_json_str(e, "recipient", ""));
    struct name *sender = names_intern(core->names, cvm_json_str(e, "sender", ""));
    m->pub.sender = *cvm_json_str(e, "sender", "") && sender ? sender->text : "";
    m->from = m->input ? NULL : component_named(core, m->pub.sender);
    m->pub.recipient = m->to->id->text;
    m->pub.in_reply_to = past_id(e, "in_reply_to");
    m->pub.on_behalf = past_id(e, "on_behalf");
    m->pub.timestamp_ms = time_of(cvm_json_str(e, "timestamp", ""));
    int64_t deadline = cvm_json_int(e, "deadline_ms", 0);
    m->pub.deadline_ms = deadline ? m->pub.timestamp_ms + deadline : 0;
    m->pub.message_type = index_of(sorts, 4, e, "message_type", CVM_NOTIFICATION);
    m->pub.priority = index_of(priorities, 4, e, "priority", CVM_MEDIUM);
    m->pub.outcome = index_of(outcomes, 6, e, "outcome", CVM_REPLIED);
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
static int carry(struct replay *r, struct core *core, struct message *m, const json_t *e)
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
static int put_in_lane(struct replay *r, struct core *core, struct message *m, const char *lane)
{
    json_t *doc = NULL;
    struct conversation *c = conversation_open(core, lane, false);
    if (!c)
        return CVM_ENOMEM;
    if (past_key(&r->past, lane) != r->turn->conversation) {
        say(r, "its message names another conversation than its own");
        return CVM_EDATA;
    }
    CVM_TRY(past_context(&r->past, c->key, r->turn->seq, r->turn->context, &doc, r->why, sizeof r->why));
    json_decref(c->context);
    c->context = doc;
    c->version = r->turn->context;
    c->context_bytes = json_text_size(doc, SIZE_MAX / 4);
    c->ended_ms = 0;
    c->messages = 0;
    m->conversation = c;
    m->pub.conversation = c->name;
    conversation_hold(c);
    c->head = c->tail = m;
    c->scheduled = true;
    m->to->counts.delivered++;
    m->to->counts.queued++;
    return 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

void replay_record(struct core *core, struct record *rec)
{
    struct replay *r = core->replay;
    if (!*r->outcome) {
        record_text(&r->made, &r->scratch, rec);
        snprintf(r->outcome, sizeof r->outcome, "%s", rec->outcome);
    }
    record_release(core, rec);
}

/* The code that ran it: of the build in service, or, while that was on probation, of the one before. */
static const struct binding *binding_of(struct replay *r, const struct component *c)
{
    const struct binding *all[] = {c->now, c->before};
    if (!c->plugin || r->options->with_current || json_object_get(r->turn->record, "unhandled"))
        return c->now;
    for (int i = 0; i < 2; i++)
        if (all[i] && all[i]->generation && strncmp(all[i]->generation->build, r->turn->build, 12) == 0)
            return all[i];
    return NULL;
}

static void run_handler(struct replay *r, struct core *core, struct message *m)
{
    const json_t *unhandled = json_object_get(r->turn->record, "unhandled");
    const json_t *error = json_object_get(r->turn->record, "error");
    if (!unhandled) {
        const struct route_slot *edit = m->to->plugin && !*m->pub.sender ? state_edit_slot(core, m->pub.type) : NULL;
        m->route = edit && !component_route(m->to, m->type) ? ROUTE_STATE_EDIT : 0;
        m->attempts = CORE_RETRIES_MAX;
        turn_run(core, m);
        return;
    }
    const char *dead = json_string_value(unhandled);
    uint8_t outcome = CVM_ERROR;
    for (uint8_t i = 0; i < 6; i++)
        outcome = strcmp(outcomes[i], r->turn->outcome) == 0 ? i : outcome;
    if (strcmp(r->turn->outcome, "DEAD") == 0 && m->request) { /* as what its asker heard */
        size_t i;
        json_t *out;
        json_array_foreach(json_object_get(r->turn->record, "out"), i, out) if (json_object_get(out, "outcome"))
            outcome = index_of(outcomes, 6, out, "outcome", outcome);
    }
    turn_fail(core, m, outcome, cvm_json_str(error, "code", ""), cvm_json_str(error, "message", ""),
              dead && *dead ? dead : NULL);
}

/* What was made for the turn goes; what it left open is not open here. */
static void let_go(struct replay *r, struct core *core, struct request *own)
{
    if (own) {
        if (!own->ended && !own->message && own->holder->counts.lent) {
            own->holder->counts.lent--;
            own->holder->counts.delivered--;
        }
        item_remove(core, &own->item);
        item_release(core, &own->item);
    }
    for (uint32_t i = 0; i < r->kept.n; i++) {
        struct request *q = (struct request *)r->kept.at[i];
        if (q->item.kind == ITEM_REQUEST && !q->ended) {
            q->holder->counts.lent--;
            q->holder->counts.delivered--;
        }
        item_remove(core, r->kept.at[i]);
        item_release(core, r->kept.at[i]);
    }
    r->kept.n = 0;
    json_decref(r->reads);
    r->reads = NULL;
    state_trim(core);
}

static enum replay_verdict run_in(struct replay *r, struct core *core, struct component *c, const json_t *envelope)
{
    struct message *m = make_message(r, core, envelope);
    struct request *own = NULL;
    int e = m ? put_in_lane(r, core, m, cvm_json_str(envelope, "conversation", "")) : CVM_ENOMEM;
    if (!e)
        e = carry(r, core, m, envelope);
    if (e) {
        if (m && m->conversation && m->conversation->head == m) {
            m->conversation->head = m->conversation->tail = NULL;
            m->conversation->scheduled = false;
            c->counts.delivered--;
            c->counts.queued--;
        }
        if (m)
            item_release(core, &m->item);
        say(r, "its message cannot be made again");
        return REPLAY_MISSING;
    }
    if ((own = m->request))
        own->item.refs++;
    core->virtual_ms = core->now_ms = r->turn->at_ms;
    core->seq = r->turn->seq - 1;
    *r->outcome = 0;
    run_handler(r, core, m);
    let_go(r, core, own);
    return *r->outcome ? REPLAY_SAME : REPLAY_DIFFERS;
}

/* With the binding that ran it in place of the one in service. */
static enum replay_verdict run(struct replay *r, struct component *c, const json_t *envelope)
{
    const struct binding *b = binding_of(r, c), *now = c->now, *before = c->before;
    if (!b) {
        say(r, "the configuration it names has no build %s of it", r->turn->build);
        return REPLAY_MISSING;
    }
    if (b != c->now) {
        c->before = c->now;
        c->now = b;
    }
    enum replay_verdict verdict = run_in(r, r->world->core, c, envelope);
    c->now = now;
    c->before = before;
    return verdict;
}

/* Code may have prepared things in memory as it started: so it does here, from what it read then. */
static void prime(struct replay *r, const struct component *c)
{
    const struct past_turn *turn = r->turn;
    struct past_turn start;
    const char *id = c->id->text;
    int64_t seq = c->plugin && !r->options->with_current ? past_start(&r->past, id, turn->build, turn->seq) : 0;
    if (r->options->with_current && c->plugin && !json_object_get(r->world->started, id))
        seq = past_start(&r->past, id, turn->build, turn->seq);
    if (!seq || seq == json_integer_value(json_object_get(r->world->started, id)))
        return;
    json_object_set_new(r->world->started, id, json_integer(seq));
    if (!past_turn_at(&r->past, seq, &start))
        return;
    const json_t *envelope = json_object_get(start.record, "in");
    r->turn = &start;
    if (envelope)
        run(r, (struct component *)(uintptr_t)c, envelope);
    r->turn = turn;
    r->scans = 0;
    r->asked_elsewhere = false;
    *r->why = 0;
    past_clear(&start);
}

static void tell_who(struct replay *r, const struct component *c)
{
    const struct binding *b = c && c->plugin ? binding_of(r, c) : NULL;
    const struct generation *g = b ? b->generation : NULL;
    r->shown.plugin = c && c->plugin ? c->plugin->name : "";
    r->shown.version = g ? g->manifest->version : "";
}

/* What cannot be run, before a world is looked for. */
static const char *not_run(const struct past_turn *turn)
{
    if (cvm_id_is_none(turn->message))
        return "state that was written in another version, by the host";
    if (json_object_get(turn->record, "reduced"))
        return "only what others read of it was exported";
    if (strcmp(turn->component, "host.redrive") == 0)
        return "reads dead letters, which are not among a turn's inputs";
    if (strcmp(turn->component, "host") == 0 && strcmp(turn->type, "timeout") != 0)
        return "the host's own note";
    return NULL;
}

enum replay_verdict replay_run(struct replay *r, const struct past_turn *turn, json_t **ret_differences)
{
    const char *own = not_run(turn);
    *r->why = 0;
    r->turn = turn;
    r->scans = 0;
    r->asked_elsewhere = false;
    r->shown.plugin = r->shown.version = "";
    if (own) {
        say(r, "%s", own);
        return REPLAY_NOT_RUN;
    }
    if (!turn->record || !turn->configuration) {
        say(r, "%s", turn->record ? "it was recorded before turns could be run again" : "its record cannot be read");
        return REPLAY_MISSING;
    }
    const json_t *envelope = past_envelope(&r->past, turn->record, turn->sent_by, turn->message);
    struct world *w = r->world = world_of(r, turn->configuration);
    struct component *c = w && w->core ? component_named(w->core, turn->component) : NULL;
    if (w && w->core && !c && json_object_get(turn->record, "unhandled")) /* which was why */
        c = component_get(w->core, turn->component);
    if (!w || !w->core) {
        say(r, "%s", w ? w->why : "out of memory");
        return REPLAY_MISSING;
    }
    if (!envelope) {
        say(r, "turn %lld, which sent its message, is not stored any more", (long long)turn->sent_by);
        return REPLAY_MISSING;
    }
    if (!c || (c->absent && !json_object_get(turn->record, "unhandled"))) {
        const char *name;
        json_t *gone;
        json_object_foreach(w->gone, name, gone) say(r, "%s", json_string_value(gone));
        say(r, "%s is not there %s", turn->component, w->configuration ? "in its configuration" : "now");
        return REPLAY_MISSING;
    }
    if (strcmp(turn->component, "host") == 0 && json_object_get(envelope, "in_reply_to")) {
        say(r, "an answer that nobody waited for");
        return REPLAY_NOT_RUN;
    }
    tell_who(r, c);
    log_mute(1);
    prime(r, c);
    if (strcmp(turn->type, "start") == 0)
        json_object_set_new(w->started, turn->component, json_integer(turn->seq));
    enum replay_verdict verdict = run(r, c, envelope);
    log_mute(0);
    if (verdict == REPLAY_MISSING)
        return verdict;
    if (verdict == REPLAY_DIFFERS)
        *ret_differences = json_pack("[{s:s, s:s, s:n}]", "where", "/", "recorded", turn->outcome, "replayed");
    else
        *ret_differences = replay_differences(r, turn, r->made.at, r->made.len);
    if (!*ret_differences) {
        *r->why = 0; /* a secret that was asked for made no difference */
        return REPLAY_SAME;
    }
    return *r->why && !r->options->with_current ? REPLAY_MISSING : REPLAY_DIFFERS;
}
