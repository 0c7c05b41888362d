/* Recovery: what was open when the host ended is read back in the order in which it was opened, and goes on. A thing
 * that belongs to a component which is not loaded stays in the store, and comes back with its plugin. */
#include "core/internal.h"

#include "core/crash.h"
#include "core/envelope_words.h"
#include "core/hex.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recovery {
    struct core *core;
    const struct plugin *back; /* only what waits for this plugin; NULL: all, at the start */
    int64_t messages, requests, timers, effects, parked;
    struct effect **effect_list; /* begun when everything is back */
    uint32_t n_effects, effects_cap;
};

static cvm_id id_of(const json_t *doc, const char *key)
{
    cvm_id id = {0, 0};
    const char *text = cvm_json_str(doc, key, NULL);
    if (text && id_parse(text, &id) < 0)
        return (cvm_id){0, 0};
    return id;
}

static struct subject *subject_of(const json_t *doc)
{
    const json_t *s = json_object_get(doc, "subject");
    bool restored = cvm_json_int(doc, "restored", 0) || cvm_json_int(s, "restored", 0);
    if (!s && !restored)
        return NULL;
    struct subject *subject =
        subject_new(id_of(s, "root"), cvm_json_str(s, "enquiry_id", ""), cvm_json_str(s, "customer_id", ""),
                    cvm_json_str(s, "session_id", ""), cvm_json_str(s, "traceparent", ""));
    if (subject)
        subject->restored = restored;
    return subject;
}

/* Gives a held conversation, which `user` takes part in; NULL for "". */
static int lane_of(struct core *core, const json_t *doc, const char *key, const struct component *user,
                   struct conversation **ret_lane)
{
    const char *name = cvm_json_str(doc, key, "");
    struct conversation *c = *name ? conversation_open(core, name, false) : NULL;
    if (*name && !c)
        return CVM_EDATA; /* without its lane it would be ephemeral */
    if (c) {
        conversation_hold(c);
        c->messages++; /* it is not new: who writes to it next has not opened it */
        if (user && user->plugin)
            c->touched |= user->plugin->bit;
    }
    *ret_lane = c;
    return 0;
}

static struct component *component_of(struct core *core, const json_t *doc, const char *key)
{
    return registry_find(core, cvm_json_str(doc, key, ""), NULL);
}

static int inbox_of(struct core *core, const json_t *doc, struct request *r)
{
    const char *key = cvm_json_str(doc, "key", NULL), *hex = cvm_json_str(doc, "hash", "");
    uint8_t hash[32] = {0};
    if (!key)
        return 0;
    if (!hex_read(hex, hash, sizeof hash))
        memset(hash, 0, sizeof hash);
    r->inbox = inbox_new(core, cvm_json_str(doc, "source", ""), key, hash, id_of(doc, "input"));
    return r->inbox ? 0 : CVM_ENOMEM;
}

static int fill_request(struct core *core, struct request *r, const json_t *doc)
{
    const char *asker = cvm_json_str(doc, "asker", "");
    r->item.id = id_of(doc, "id");
    r->asked = id_of(doc, "asked");
    if (*asker && !(r->asker = component_get(core, asker))) /* who may be away: then the reply waits in the store */
        return CVM_ENOMEM;
    if (!(r->type = names_intern(core->names, cvm_json_str(doc, "type", "?"))))
        return CVM_ENOMEM;
    r->on_behalf = id_of(doc, "on_behalf");
    r->priority = (uint8_t)(cvm_json_int(doc, "priority", CVM_MEDIUM) & 3);
    r->edge = cvm_json_int(doc, "edge", 0) != 0;
    r->deadline_ms = cvm_json_int(doc, "deadline_ms", 0);
    CVM_TRY(lane_of(core, doc, "conversation", r->holder, &r->conversation));
    return inbox_of(core, doc, r);
}

static bool is_back(const struct recovery *rec, const struct component *c)
{
    return c && c->plugin == rec->back && c->returning;
}

/* The request that the host holds in place of a component that was away; NULL: none. */
static struct request *held_by_host(struct core *core, const json_t *doc)
{
    struct request *r = (struct request *)item_find(core, id_of(doc, "id"), ITEM_REQUEST);
    return r && r->holder == core->host && !r->ended && !r->message ? r : NULL;
}

static void give_back(struct core *core, struct request *r, struct component *c)
{
    core->host->counts.lent--;
    core->host->counts.delivered--;
    r->holder = c;
}

/* A request that `holder` has taken, or, where its plugin is not loaded, that nobody can answer: then the host holds
 * it, so that it still ends for who asked. Its row stays as it is: if the plugin is back before, it finds it. */
static int lend_again(struct recovery *rec, int64_t no, const json_t *doc, const json_t *about,
                      struct component *holder)
{
    struct core *core = rec->core;
    struct request *r = request_alloc(core);
    if (!r)
        return CVM_ENOMEM;
    r->item = (struct item){.kind = ITEM_REQUEST, .no = no, .written = true};
    r->holder = r->taker = holder ? holder : core->host;
    r->subject = subject_of(about);
    CVM_TRY(fill_request(core, r, doc));
    if (!r->type || (json_object_get(about, "subject") && !r->subject))
        return CVM_ENOMEM;
    r->holder->counts.delivered++;
    rec->requests++;
    request_resume(core, r);
    request_lend(core, r);
    return 0;
}

static int recover_message(struct recovery *rec, int64_t no, const json_t *doc)
{
    struct core *core = rec->core;
    const json_t *e = json_object_get(doc, "envelope"), *request = json_object_get(doc, "request");
    struct component *to = component_of(core, e, "recipient");
    struct name *type = names_intern(core->names, cvm_json_str(e, "type", "?"));
    bool reply = cvm_json_int(doc, "reply", 0) != 0;
    if (to && (!type || (reply && !names_reply(core->names, type))))
        return CVM_ENOMEM;
    const struct route_slot *slot = to ? component_route(to, reply ? names_reply(core->names, type) : type) : NULL;
    struct request *held = request && rec->back ? held_by_host(core, request) : NULL;
    if (!slot) {
        rec->parked++;
        return request && !rec->back
                   ? lend_again(rec, no, request, json_object_get(request, "subject") ? request : doc, NULL)
                   : 0;
    }
    if (rec->back && !is_back(rec, to))
        return 0;
    if (rec->back && request && !held)
        return 0; /* it has ended meanwhile; the turn that ended it takes the row away */
    struct message *m = message_new(core, type);
    if (!m)
        return CVM_ENOMEM;
    m->item.no = no;
    m->item.written = true;
    m->reply = reply;
    m->pub.type = reply ? type->reply->text : type->text;
    m->pub.id = m->item.id = id_of(e, "message_id");
    m->cause = id_of(e, "cause");
    m->to = to;
    m->from = component_of(core, e, "sender");
    m->route = slot->route;
    struct name *sender = names_intern(core->names, cvm_json_str(e, "sender", "")); /* who may be gone */
    m->pub.sender = sender ? sender->text : "";
    m->pub.timestamp_ms = cvm_json_int(doc, "timestamp_ms", m->pub.timestamp_ms);
    m->pub.recipient = to->id->text;
    m->pub.in_reply_to = id_of(e, "in_reply_to");
    m->pub.on_behalf = id_of(json_object_get(e, "on_behalf") ? e : doc, "on_behalf"); /* older ones: beside it */
    m->sent_by = cvm_json_int(doc, "turn", 0);
    if (json_object_get(e, "confidence"))
        m->pub.confidence = json_number_value(json_object_get(e, "confidence"));
    m->pub.outcome = word_number(outcome_words, OUTCOMES, cvm_json_str(e, "outcome", ""), m->pub.outcome);
    m->pub.message_type = word_number(sort_words, SORTS, cvm_json_str(e, "message_type", ""), m->pub.message_type);
    m->pub.priority = word_number(priority_words, PRIORITIES, cvm_json_str(e, "priority", ""), m->pub.priority);
    m->pub.data = m->data = json_incref(json_object_get(e, "structured_data"));
    m->pub.tags = m->tags = json_incref(json_object_get(e, "tags"));
    message_set_content(m, cvm_json_str(e, "content", ""));
    message_set_subject(m, subject_of(doc));
    if ((!m->content && *cvm_json_str(e, "content", "")) || (!m->subject && json_object_get(doc, "subject")))
        return CVM_ENOMEM;
    CVM_TRY(lane_of(core, e, "conversation", to, &m->conversation));
    m->pub.conversation = m->conversation ? m->conversation->name : "";
    if (held) {
        give_back(core, held, to);
        item_remove(core, &held->item);
        held->item.no = 0;
        held->item.refs++;
        held->message = m;
        m->request = held;
        m->pub.requires_response = 1;
        m->pub.deadline_ms = held->deadline_ms;
    } else if (request) {
        struct request *r = request_new(core, m, cvm_json_int(request, "deadline_ms", 0));
        if (!r)
            return CVM_ENOMEM;
        CVM_TRY(fill_request(core, r, request));
        request_resume(core, r);
    }
    rec->messages++;
    post(core, m);
    return 0;
}

static int recover_request(struct recovery *rec, int64_t no, const json_t *doc)
{
    struct core *core = rec->core;
    struct component *holder = component_of(core, doc, "holder");
    if (rec->back) {
        struct request *r = is_back(rec, holder) ? held_by_host(core, doc) : NULL;
        if (r) {
            give_back(core, r, holder);
            holder->counts.delivered++;
            holder->counts.lent++;
            rec->requests++;
        }
        return 0;
    }
    if (cvm_json_int(doc, "effect", 0)) { /* the host asks again by itself */
        store_close_open_item(journal_store(core), no);
        return 0;
    }
    rec->parked += !holder;
    return lend_again(rec, no, doc, doc, holder);
}

static int recover_timer(struct recovery *rec, int64_t no, const json_t *doc)
{
    struct core *core = rec->core;
    struct component *c = component_of(core, doc, "component");
    struct name *type = names_find(core->names, cvm_json_str(doc, "type", "?"));
    if (rec->back && !is_back(rec, c))
        return 0;
    if (!c || !type || !component_route(c, type)) {
        rec->parked++;
        return 0;
    }
    struct timer *t = calloc(1, sizeof *t);
    if (!t)
        return CVM_ENOMEM;
    t->item = (struct item){.id = id_of(doc, "id"), .kind = ITEM_TIMER, .no = no, .written = true};
    t->component = c;
    t->type = type;
    CVM_TRY(lane_of(core, doc, "conversation", c, &t->conversation));
    t->subject = subject_of(doc);
    t->data = json_incref(json_object_get(doc, "data"));
    t->on_behalf = id_of(doc, "on_behalf");
    t->priority = (uint8_t)(cvm_json_int(doc, "priority", CVM_MEDIUM) & 3);
    t->alarm.at_ms = cvm_json_int(doc, "at_ms", 0);
    rec->timers++;
    timer_arm(core, t);
    return 0;
}

static int recover_effect(struct recovery *rec, int64_t no, const json_t *doc)
{
    struct core *core = rec->core;
    struct component *c = component_of(core, doc, "component");
    const char *call = cvm_json_str(doc, "call", NULL), *url = cvm_json_str(doc, "url", NULL);
    const struct manifest_call *decl = c && call ? effect_find_call(c, call) : NULL;
    if (rec->back && (!is_back(rec, c) || item_find(core, id_of(doc, "id"), ITEM_EFFECT)))
        return 0;
    bool job = cvm_json_int(doc, "job", 0) != 0;
    if (!c || (call && !decl) || (job && !c->now->generation)) {
        rec->parked++;
        return 0;
    }
    struct effect *e = calloc(1, sizeof *e);
    if (!e)
        return CVM_ENOMEM;
    e->item = (struct item){.id = id_of(doc, "id"), .kind = ITEM_EFFECT, .no = no, .written = true, .refs = 1};
    e->core = core;
    e->component = c;
    e->call = decl;
    e->job = job;
    e->asked_ms = cvm_json_int(doc, "asked_ms", core->now_ms);
    e->manifest = decl ? manifest_hold(c->now->generation->manifest) : NULL;
    e->type = names_intern(core->names, cvm_json_str(doc, "type", "?"));
    CVM_TRY(lane_of(core, doc, "conversation", c, &e->conversation));
    e->subject = subject_of(doc);
    e->url = url ? strdup(url) : NULL;
    e->key = strdup(cvm_json_str(doc, "key", ""));
    e->headers = json_incref(json_object_get(doc, "headers"));
    e->body = json_incref(json_object_get(doc, "body"));
    e->query = json_incref(json_object_get(doc, "query"));
    e->timeout_ms = cvm_json_int(doc, "timeout_ms", CORE_REQUEST_TIMEOUT_MS);
    e->deadline_ms = cvm_json_int(doc, "deadline_ms", 0);
    e->priority = (uint8_t)(cvm_json_int(doc, "priority", CVM_MEDIUM) & 3);
    e->on_behalf = id_of(doc, "on_behalf");
    item_insert(core, &e->item); /* the first reference is the table's */
    if (!e->type || !e->key || (url && !e->url) || (json_object_get(doc, "subject") && !e->subject))
        return CVM_ENOMEM;
    rec->effects++;
    if (!(rec->n_effects < rec->effects_cap ||
          vector_grow(&rec->effect_list, &rec->effects_cap, sizeof *rec->effect_list)))
        return CVM_ENOMEM;
    rec->effect_list[rec->n_effects++] = e;
    return 0;
}

static int recover_one(void *arg, int64_t no, const char *kind, json_t *doc)
{
    struct recovery *rec = arg;
    if (!item_doc_good(kind, doc)) {
        log_error("journal", "what was open under the number %lld cannot be read", (long long)no);
        return CVM_EDATA;
    }
    if (no > rec->core->item_no)
        rec->core->item_no = no;
    if (!rec->back)
        crash_here(CRASH_RECOVERY);
    if (strcmp(kind, "message") == 0)
        return recover_message(rec, no, doc);
    if (strcmp(kind, "request") == 0)
        return recover_request(rec, no, doc);
    if (strcmp(kind, "timer") == 0)
        return recover_timer(rec, no, doc);
    return recover_effect(rec, no, doc);
}

/* The rows that came last may be pruned. */
#define SEQ_SQL "SELECT max(coalesce((SELECT max(seq) FROM turns), 0), coalesce((SELECT max(seq) FROM audit_head), 0))"

#define CLOCK_BACK_MOST_MS (7 * INT64_C(86400000)) /* it is not put back by more */
#define AT_SQL                                                                                                         \
    "SELECT max(coalesce((SELECT at_ms FROM turns ORDER BY seq DESC LIMIT 1), 0),"                                     \
    " coalesce((SELECT at_ms FROM audit_head), 0))"

/* Where the clock was put back before the last turn, keys were given of times that come again. */
static int recover_ahead(struct core *core, int64_t at_ms, char *ret_error, size_t error_size)
{
    char sql[256];
    int64_t newest = 0;
    snprintf(sql, sizeof sql,
             "SELECT coalesce(max(conversation), 0) FROM contexts WHERE conversation BETWEEN %lld AND %lld"
             " AND name GLOB 'IN-*' AND length(name) = 18",
             (long long)at_ms << INPUT_KEY_MS_SHIFT, (long long)(at_ms + CLOCK_BACK_MOST_MS) << INPUT_KEY_MS_SHIFT);
    if (store_meta_int(journal_store(core), sql, &newest) < 0) {
        snprintf(ret_error, error_size, "the journal cannot be read back; restore a backup");
        return CVM_EDATA;
    }
    if ((uint64_t)newest > core->input_key)
        core->input_key = (uint64_t)newest;
    return 0;
}

/* Where the journal ends. The generators go on from there: a seed that is given, or a clock that was put back, does not
 * give the same ids again. */
int recover_position(struct core *core, char *ret_error, size_t error_size)
{
    int64_t seq = 0, at_ms = 0;
    if (store_meta_int(journal_store(core), SEQ_SQL, &seq) < 0 ||
        store_meta_int(journal_store(core), AT_SQL, &at_ms) < 0) {
        snprintf(ret_error, error_size, "the journal cannot be read back; restore a backup");
        return CVM_EDATA;
    }
    core->seq = core->durable = seq;
    if (seq) {
        core->seed = id_mix(core->seed, (uint64_t)seq);
        core->input_key = input_key(0, at_ms + 1, 0);
        return recover_ahead(core, at_ms, ret_error, error_size);
    }
    return 0;
}

int recover(struct core *core, char *ret_error, size_t error_size)
{
    struct recovery rec = {.core = core};
    struct store *store = journal_store(core);
    int e = store_each_open(store, NULL, recover_one, &rec);
    if (e) {
        snprintf(ret_error, error_size, "the journal cannot be read back (%s); restore a backup", cvm_strerror(e));
        free(rec.effect_list);
        return CVM_EDATA;
    }
    for (uint32_t i = 0; i < rec.n_effects; i++)
        effect_recover(core, rec.effect_list[i]);
    free(rec.effect_list);
    if (rec.messages + rec.requests + rec.timers + rec.effects + rec.parked)
        log_info("host", "recovered %lld messages, %lld open requests, %lld timers, %lld calls%s",
                 (long long)rec.messages, (long long)rec.requests, (long long)rec.timers, (long long)rec.effects,
                 rec.parked ? "; some wait for a plugin that is not loaded" : "");
    return 0;
}

/* Of a hundred thousand rows few are for one plugin: the others are not worth parsing. */
static bool may_concern(void *arg, int64_t no, const char *doc)
{
    const struct recovery *rec = arg;
    const struct generation *g = rec->back->now;
    (void)no;
    for (size_t i = 0; i < g->manifest->n_components; i++)
        if (g->components[i]->returning && strstr(doc, g->components[i]->id->text))
            return true;
    return false;
}

int recover_parked(struct core *core, const struct plugin *back)
{
    struct recovery rec = {.core = core, .back = back};
    const struct generation *g = back->now;
    bool any = false;
    for (size_t i = 0; i < g->manifest->n_components; i++)
        any = any || g->components[i]->returning;
    int e = any ? store_each_open(core->reader, may_concern, recover_one, &rec) : 0;
    for (size_t i = 0; i < g->manifest->n_components; i++)
        g->components[i]->returning = false;
    core_check_read(core, e);
    for (uint32_t i = 0; i < rec.n_effects; i++)
        effect_recover(core, rec.effect_list[i]);
    free(rec.effect_list);
    if (rec.messages + rec.requests + rec.timers + rec.effects)
        log_info(back->name, "%lld messages, %lld open requests, %lld timers and %lld calls that waited for it go on",
                 (long long)rec.messages, (long long)rec.requests, (long long)rec.timers, (long long)rec.effects);
    return e;
}
