/* Effects: outgoing calls, questions to the tables, look-ups at other components, and jobs. Each begins when its turn
 * is durable, a look-up with its turn. What happens when its outcome is unknown is the manifest's word: repeat with the
 * same key, verify by an operation of the component, or report. The row of an effect stands until the turn that takes
 * its answer is committed; a row found at recovery may have been sent. */
#include "core/internal.h"

#include "core/broken.h"

#include "core/crash.h"
#include <assert.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EFFECT_HEADERS_EXPANDED_MAX_BYTES 8192

static void attempt(struct core *core, struct effect *e);
static void ask(struct core *core, struct effect *e);
static void start(struct core *core, struct effect *e);

static const int64_t backoff_ms[] = {250, 1000, 2500, 5000, 15000, 30000, 60000};

static int64_t backoff(uint32_t n)
{
    size_t most = sizeof backoff_ms / sizeof *backoff_ms - 1;
    return backoff_ms[n < most ? n : most];
}

void effect_free(struct core *core, struct effect *e)
{
    assert(!e->alarm.index && !e->item.hashed);
    manifest_free(e->manifest);
    journal_shed(core, e->headers);
    journal_shed(core, e->body);
    journal_shed(core, e->query);
    free(e->url);
    free(e->key);
    subject_release(e->subject);
    if (e->conversation)
        conversation_release(core, e->conversation);
    free(e);
}

/* What one conversation has to tell by one channel leaves in order, one at a time: the first of its list is under
 * way, the others wait. Effects begin in the order of their turns, at recovery too. */
static bool waits_for_channel(struct effect *e)
{
    if (!e->call || !e->conversation || e->component->now->decl->kind != KIND_CHANNEL)
        return false;
    struct effect **at = &e->conversation->sending;
    bool waits = false;
    for (; *at; at = &(*at)->sending_next)
        waits = waits || (*at)->component == e->component;
    *at = e;
    return waits;
}

/* Gives the next of the same channel, whose turn has come; NULL: none. */
static struct effect *leave_channel(struct effect *e)
{
    struct effect **at = e->conversation ? &e->conversation->sending : NULL;
    while (at && *at && *at != e)
        at = &(*at)->sending_next;
    if (!at || !*at)
        return NULL;
    *at = e->sending_next;
    for (struct effect *next = e->conversation->sending; next; next = next->sending_next)
        if (next->component == e->component)
            return next;
    return NULL;
}

/* Its component is out of service: it leaves memory, its row stands, and the plugin that comes back finds it as one
 * that may have been sent. */
static void park(struct core *core, struct effect *e)
{
    struct effect *next = leave_channel(e);
    e->state = EFFECT_ANSWERED;
    item_remove(core, &e->item);
    if (next)
        start(core, next);
    item_release(core, &e->item);
}

/* Who answers: the component that a look-up went to, else the host. */
static const char *answerer(struct core *core, const struct effect *e)
{
    const struct name *to = names_find(core->names, cvm_json_str(json_object_get(e->query, "look"), "to", "?"));
    return to ? to->text : core->host->id->text;
}

/* The answer goes to "<type>.reply" of the component; the message ends the effect when its turn is kept. */
static void answer_with(struct core *core, struct effect *e, int outcome, json_t *data, const char *content)
{
    struct name *type = names_reply(core->names, (struct name *)(uintptr_t)e->type);
    const struct route_slot *slot = component_route(e->component, type);
    alarm_clear(core, &e->alarm);
    if (e->component->absent && e->conversation && e->state != EFFECT_ANSWERED) {
        park(core, e);
        json_decref(data);
        return;
    }
    if (e->state == EFFECT_ANSWERED) {
        json_decref(data);
        return;
    }
    e->state = EFFECT_ANSWERED;
    struct message *m = message_new(core, slot ? e->type : core->name_timeout);
    if (!m)
        crash_promised("the answer of a call"); /* recovery finds the call again */
    if (!slot) {                                /* nobody takes it: the host does, so that the effect's row goes */
        e->component->counts.unrouted++;
        slot = component_route(core->host, core->name_timeout);
        m->to = core->host;
    } else {
        m->to = e->component;
        m->reply = true;
        m->pub.type = type->text;
    }
    if (outcome == CVM_UNKNOWN)
        core->total.call_unknown++;
    m->route = slot->route;
    m->pub.id = m->item.id =
        id_derive(e->item.id, core->host->salt, 1, e->conversation ? (uint64_t)e->conversation->key : 0);
    m->cause = e->item.id;
    m->pub.in_reply_to = e->item.id;
    m->pub.on_behalf = e->on_behalf;
    m->pub.sender = answerer(core, e);
    m->pub.recipient = m->to->id->text;
    m->pub.message_type = CVM_RESPONSE;
    m->pub.outcome = (uint8_t)outcome;
    m->pub.priority = e->priority;
    m->pub.data = m->data = data;
    message_set_content(m, content);
    m->input = true;
    m->origin = &e->item; /* with the table's reference */
    item_remove(core, &e->item);
    e->subject ? e->subject->refs++ : 0;
    message_set_subject(m, e->subject);
    if (e->conversation) {
        m->conversation = e->conversation;
        m->pub.conversation = e->conversation->name;
        conversation_hold(e->conversation);
    }
    core_set_now(core);
    post(core, m);
    struct effect *next = leave_channel(e);
    if (next)
        start(core, next);
}

static void answer(struct core *core, struct effect *e, int outcome, json_t *data)
{
    answer_with(core, e, outcome, data, NULL);
}

static void answer_error(struct core *core, struct effect *e, int outcome, const char *code, const char *text)
{
    answer(core, e, outcome,
           json_pack("{s:s, s:s, s:O*}", "code", code, "message", text, "with", json_object_get(e->query, "with")));
}

void effect_answer(struct core *core, struct effect *e, int outcome, json_t *data)
{
    answer(core, e, outcome, data);
}

void effect_leave(struct core *core, struct effect *e)
{
    alarm_clear(core, &e->alarm);
    if (e->conversation)
        park(core, e);
    else
        answer_error(core, e, CVM_BUSY, "NOT_AVAILABLE", "the component is not in service any more");
}

static void retry_fire(struct core *core, struct alarm *alarm)
{
    struct effect *e = (struct effect *)((char *)alarm - offsetof(struct effect, alarm));
    attempt(core, e);
}

static void ask_fire(struct core *core, struct alarm *alarm)
{
    struct effect *e = (struct effect *)((char *)alarm - offsetof(struct effect, alarm));
    ask(core, e);
}

static void later(struct core *core, struct effect *e, int64_t delay_ms, void (*fire)(struct core *, struct alarm *))
{
    e->state = EFFECT_WAITING;
    if (core->now_ms + delay_ms >= e->deadline_ms)
        answer_error(core, e, CVM_UNKNOWN, "UNKNOWN", "it is not known whether the call took effect");
    else
        alarm_set(core, &e->alarm, core->now_ms + delay_ms, fire);
}

static void unknown(struct core *core, struct effect *e)
{
    switch (e->call->unknown) {
    case UNKNOWN_SAFE:
    case UNKNOWN_REPEAT:
        later(core, e, backoff(e->attempts), retry_fire);
        break;
    case UNKNOWN_VERIFY:
        later(core, e, backoff(e->asked), BROKEN(no_verify) ? retry_fire : ask_fire);
        break;
    case UNKNOWN_REPORT:
        answer_error(core, e, CVM_UNKNOWN, "UNKNOWN", "it is not known whether the call took effect");
        break;
    }
}

/* The value of a secret that the manifest names; NULL: *ret_missing says which there is not. */
static const char *secret_of(struct core *core, const struct effect *e, const char *name, const char **ret_missing)
{
    const struct manifest *manifest = e->manifest;
    *ret_missing = "(a name that the manifest does not list)";
    for (size_t i = 0; i < manifest->secrets.n; i++) {
        if (strcmp(manifest->secrets.at[i], name) == 0) {
            *ret_missing = manifest->secrets.at[i];
            return config_secret(core->options.config, name);
        }
    }
    return NULL;
}

/* Replaces "${NAME}" by a secret the manifest names. Gives an object; NULL where one is missing or not named. */
static json_t *expand(struct core *core, const struct effect *e, const char **ret_missing)
{
    json_t *expanded = json_object();
    const char *name;
    json_t *value;
    json_object_foreach(e->headers, name, value)
    {
        struct text text;
        const char *s = json_string_value(value), *open, *close;
        text_init(&text, EFFECT_HEADERS_EXPANDED_MAX_BYTES);
        while ((open = strstr(s, "${")) && (close = strchr(open, '}'))) {
            char secret[CVM_NAME_MAX + 1];
            snprintf(secret, sizeof secret, "%.*s", (int)(close - open - 2), open + 2);
            const char *known = secret_of(core, e, secret, ret_missing);
            if (!known) {
                text_free(&text);
                json_decref(expanded);
                return NULL;
            }
            text_add(&text, s, (size_t)(open - s));
            text_puts(&text, known);
            s = close + 1;
        }
        text_puts(&text, s);
        json_object_set_new(expanded, name, json_string(text.failed ? "" : text.at));
        text_free(&text);
    }
    if (e->key && e->call->key_header && *e->call->key_header)
        json_object_set_new(expanded, e->call->key_header, json_string(e->key));
    if (e->body && !json_object_get(expanded, "Content-Type"))
        json_object_set_new(expanded, "Content-Type", json_string("application/json"));
    if (e->subject && *e->subject->traceparent)
        json_object_set_new(expanded, "traceparent", json_string(e->subject->traceparent));
    return expanded;
}

/* A complete answer. Of a call that is not safe, a server error or unreadable success says nothing about the effect. */
static void answered(struct core *core, struct effect *e, const struct http_result *result)
{
    json_t *body = !result->body_len ? NULL
                   : e->call->exact  ? cvm_json_exact(result->body, result->body_len)
                                     : json_loadb(result->body, result->body_len, JSON_DECODE_ANY, NULL);
    bool certain =
        e->call->unknown == UNKNOWN_SAFE || (result->status < 500 && (body || e->call->text || result->status >= 400));
    if (!certain) {
        json_decref(body);
        unknown(core, e);
        return;
    }
    json_t *text = body ? json_string("") : json_stringn(result->body, result->body_len);
    answer(core, e, CVM_REPLIED,
           json_pack("{s:i, s:O?, s:o, s:o}", "status", result->status, "headers", result->headers, "body",
                     body ? body : json_null(), "text", text ? text : json_string("")));
}

/* Nothing was taken, and it may be the next time: until the deadline. */
static void mail_later(struct core *core, struct effect *e, const char *why)
{
    int64_t delay_ms = backoff(e->attempts);
    e->state = EFFECT_WAITING;
    if (core->now_ms + delay_ms >= e->deadline_ms)
        answer_error(core, e, CVM_ERROR, "NOT_SENT", why);
    else
        alarm_set(core, &e->alarm, core->now_ms + delay_ms, retry_fire);
}

static void mail_answered(struct core *core, struct effect *e, int status, const char *text)
{
    char why[400];
    snprintf(why, sizeof why, "the mail server answered %d %.350s", status, text);
    if (status < 400)
        answer(core, e, CVM_REPLIED, json_pack("{s:i, s:s}", "status", status, "text", text));
    else if (status >= 500)
        answer(core, e, CVM_REFUSED,
               json_pack("{s:s, s:n, s:s, s:i}", "code", "MAIL_REFUSED", "field", "message", why, "status", status));
    else
        mail_later(core, e, why);
}

/* What became of a mail. That the server does not take it says nothing of an earlier attempt that it may have taken. */
static void mail_sent(struct core *core, struct effect *e, const struct http_result *result)
{
    bool answered = result->fate == HTTP_ANSWERED;
    e->doubtful = e->doubtful || result->fate == HTTP_TIMED_OUT || result->fate == HTTP_BROKEN;
    if (e->doubtful && !(answered && result->status < 400))
        unknown(core, e);
    else if (answered)
        mail_answered(core, e, result->status, result->body);
    else if (result->hopeless)
        answer_error(core, e, CVM_ERROR, "NOT_SENT", result->text);
    else
        mail_later(core, e, result->text);
}

static void sent(void *arg, const struct http_result *result)
{
    struct effect *e = arg;
    struct core *core = e->core;
    core_set_now(core);
    e->handle = 0;
    e->item.refs++;
    if (e->call->mail) {
        mail_sent(core, e, result);
        item_release(core, &e->item);
        return;
    }
    switch (result->fate) {
    case HTTP_ANSWERED:
        answered(core, e, result);
        break;
    case HTTP_NOT_SENT:
        if (e->attempts == 1 && !e->asked)
            answer_error(core, e, CVM_ERROR, "NOT_SENT", result->text);
        else
            unknown(core, e); /* an earlier attempt may have arrived */
        break;
    case HTTP_TIMED_OUT:
    case HTTP_BROKEN:
        if (e->call->unknown == UNKNOWN_SAFE)
            answer_error(core, e, result->fate == HTTP_TIMED_OUT ? CVM_TIMEOUT : CVM_ERROR,
                         result->fate == HTTP_TIMED_OUT ? "TIMEOUT" : "BROKEN", result->text);
        else
            unknown(core, e);
        break;
    }
    item_release(core, &e->item);
}

static void attempt(struct core *core, struct effect *e)
{
    const char *missing = NULL;
    const char *url = strncmp(e->url, "secret:", 7) == 0 ? secret_of(core, e, e->url + 7, &missing) : e->url;
    json_t *headers = url ? expand(core, e, &missing) : NULL;
    struct http_result failed = {.fate = HTTP_NOT_SENT, .hopeless = true};
    char text[160];
    e->attempts++;
    if (BROKEN(new_key) && e->attempts > 1 && headers)
        json_object_set_new(headers, e->call->key_header, json_sprintf("%s-%u", e->key, e->attempts));
    if (!headers) {
        snprintf(text, sizeof text, "the secret %s is not set; put it into .env or the secrets file", missing);
        failed.text = text;
        sent(e, &failed);
        return;
    }
    size_t len = 0;
    char *body = e->body ? json_text(e->body, &len) : NULL;
    struct http_request request = {.method = e->call->method,
                                   .url = url,
                                   .headers = headers,
                                   .body = body,
                                   .body_len = len,
                                   .timeout_ms = e->timeout_ms};
    e->state = EFFECT_SENT;
    int error =
        core->options.send ? core->options.send(core->options.send_arg, &request, sent, e, &e->handle) : CVM_ESTATE;
    free(body);
    json_decref(headers);
    if (error) {
        failed.hopeless = error != CVM_EBUSY && error != CVM_ENOMEM;
        failed.text = error == CVM_ESTATE ? "this host makes no outgoing calls" : cvm_strerror(error);
        sent(e, &failed);
    }
}

/* ---- look-ups: a request outside of the lane, whose reply is all that is on record of it ---------------------------
 */

static const json_t *look_of(const struct effect *e)
{
    return json_object_get(e->query, "look");
}

bool effect_is_look(const struct effect *e)
{
    return look_of(e) != NULL;
}

/* The message that asks; NULL: nobody takes it. */
static struct message *look_message(struct core *core, struct effect *e, struct component *to)
{
    const struct route_slot *slot = to && !to->absent ? component_route(to, e->type) : NULL;
    json_t *data = json_object_get(look_of(e), "data");
    struct message *m = slot && slot->operation && slot->operation->ephemeral ? message_new(core, e->type) : NULL;
    if (!m)
        return NULL;
    m->pub.id = m->item.id = id_derive(e->item.id, core->host->salt, 2, 0);
    m->cause = e->item.id;
    m->to = to;
    m->from = e->component;
    m->route = slot->route;
    m->epoch = to->now->epoch;
    m->pub.sender = e->component->id->text;
    m->pub.recipient = to->id->text;
    m->pub.message_type = CVM_REQUEST;
    m->pub.priority = e->priority;
    m->pub.on_behalf = e->on_behalf;
    m->pub.data = m->data = data ? json_incref(data) : json_object();
    message_set_subject(m, subject_hold(e->subject));
    return m;
}

/* Whether it goes, and still serves conversations in which it took part before. */
static bool is_leaving(const struct component *to, const struct conversation *c)
{
    return to->closing && !(c && (c->pinned || (c->touched & to->plugin->bit)));
}

static void look(struct core *core, struct effect *e)
{
    const struct name *name = names_find(core->names, cvm_json_str(look_of(e), "to", ""));
    struct component *to = name ? name->component : NULL;
    e->state = EFFECT_ASKING;
    if (to && is_leaving(to, e->conversation))
        to = NULL;
    if (to && to->plugin && e->conversation)
        e->conversation->touched |= to->plugin->bit;
    if (to && ((int64_t)to->counts.queued >= to->now->mailbox || (to->down && core->now_ms < to->probe_ms))) {
        to->counts.busy++;
        core->total.refused_busy++;
        answer_error(core, e, CVM_BUSY, "BUSY", "the component is full or out of service");
        return;
    }
    struct message *m = look_message(core, e, to);
    struct request *r = m ? request_new(core, m, e->deadline_ms) : NULL;
    if (!r) {
        if (m)
            item_release(core, &m->item);
        answer_error(core, e, CVM_BUSY, "NOT_AVAILABLE", "the component is not in service any more");
        return;
    }
    r->effect = e;
    e->item.refs++;
    request_resume(core, r);
    if (core->taps)
        tap_message(core, m);
    post(core, m);
}

/* ---- the outcome of a call ----------------------------------------------------------------------------------------
 */

/* Asks the component's own operation whether the call took effect. */
static void ask(struct core *core, struct effect *e)
{
    struct component *c = e->component;
    const struct name *type = names_find(core->names, e->call->by);
    const struct route_slot *slot = type ? component_route(c, type) : NULL;
    struct message *m = slot ? message_new(core, type) : NULL;
    e->asked++;
    if (!m) {
        later(core, e, backoff(e->asked), ask_fire);
        return;
    }
    m->pub.id = m->item.id = id_derive(e->item.id, core->host->salt ^ (uint64_t)core->now_ms, 100 + e->asked,
                                       (uint64_t)e->conversation->key);
    m->cause = e->item.id;
    m->to = c;
    m->from = core->host;
    m->route = slot->route;
    m->pub.sender = core->host->id->text;
    m->pub.recipient = c->id->text;
    m->pub.message_type = CVM_REQUEST;
    m->pub.priority = e->priority;
    m->pub.data = m->data = json_pack("{s:s, s:s, s:O?}", "call", e->call->name, "key", e->key, "request", e->body);
    m->input = true;
    e->subject ? e->subject->refs++ : 0;
    message_set_subject(m, e->subject);
    m->conversation = e->conversation;
    m->pub.conversation = e->conversation->name;
    conversation_hold(e->conversation);
    int64_t deadline = core->now_ms + CORE_REQUEST_TIMEOUT_MS;
    struct request *r = request_new(core, m, deadline < e->deadline_ms ? deadline : e->deadline_ms);
    if (!r) {
        item_release(core, &m->item);
        later(core, e, backoff(e->asked), ask_fire);
        return;
    }
    r->effect = e;
    e->item.refs++;
    r->conversation = e->conversation;
    conversation_hold(e->conversation);
    e->state = EFFECT_ASKING;
    request_resume(core, r);
    post(core, m);
}

void effect_verified(struct core *core, struct effect *e, int outcome, const json_t *data, const char *content)
{
    if (e->state != EFFECT_ASKING)
        return;
    if (effect_is_look(e)) {
        answer_with(core, e, outcome, data ? cvm_json_share(data) : json_object(), content);
        return;
    }
    const json_t *found = json_object_get(data, "found");
    if (outcome == CVM_REPLIED && json_is_true(found)) {
        const json_t *result = json_object_get(data, "result");
        answer(core, e, CVM_REPLIED,
               json_pack("{s:i, s:{}, s:O?, s:s, s:b}", "status", 200, "headers", "body", result, "text", "",
                         "verified", 1));
    } else if (outcome == CVM_REPLIED && json_is_false(found) && core->now_ms < e->deadline_ms) {
        attempt(core, e);
    } else {
        later(core, e, backoff(e->asked), ask_fire);
    }
}

static void rows(void *arg, int error, json_t *found, bool more)
{
    struct effect *e = arg;
    if (error)
        answer_error(e->core, e, CVM_ERROR, "QUERY_FAILED", cvm_strerror(error));
    else
        answer(
            e->core, e, CVM_REPLIED,
            json_pack("{s:o, s:b, s:O*}", "rows", found, "more", (int)more, "with", json_object_get(e->query, "with")));
    item_release(e->core, &e->item);
}

static void searched(void *arg, int error, const struct search_found *found)
{
    struct effect *e = arg;
    if (error)
        answer_error(e->core, e, CVM_ERROR, "QUERY_FAILED", cvm_strerror(error));
    else
        answer(e->core, e, CVM_REPLIED,
               json_pack("{s:o, s:b, s:o*, s:o*, s:O*}", "rows", found->rows, "more", 0, "words", found->words, "also",
                         found->also, "with", json_object_get(e->query, "with")));
    item_release(e->core, &e->item);
}

/* A call whose turn has come. One found at recovery may have been sent before; so may one that follows from what was
 * open in a backup, between the backup and the loss. */
static void start(struct core *core, struct effect *e)
{
    bool lost_time = e->conversation && e->subject && e->subject->restored;
    if ((e->recovered || lost_time) && e->call->unknown != UNKNOWN_SAFE) {
        e->attempts = 1;
        e->doubtful = true;
        unknown(core, e);
        return;
    }
    if (e->conversation)
        crash_here(CRASH_EFFECT_HELD);
    attempt(core, e);
}

void effect_begin(struct core *core, struct effect *e)
{
    if (e->call) {
        if (!waits_for_channel(e))
            start(core, e);
        return;
    }
    if (e->job) {
        job_begin(core, e);
        return;
    }
    if (effect_is_look(e)) {
        look(core, e);
        return;
    }
    e->state = EFFECT_SENT;
    e->item.refs++;
    json_t *search = json_object_get(e->query, "search");
    int error = search ? core_search(core, json_incref(search), searched, e)
                       : core_query(core, json_string_value(json_object_get(e->query, "sql")),
                                    json_incref(json_object_get(e->query, "binds")),
                                    (size_t)json_integer_value(json_object_get(e->query, "limit")), rows, e);
    if (error)
        rows(e, error, NULL, false);
}

void effect_recover(struct core *core, struct effect *e)
{
    e->recovered = true;
    effect_begin(core, e);
}
