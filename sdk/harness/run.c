/* Runs turns: delivers what is queued, keeps or undoes what a turn did, ends requests, moves the clock. */
#include "private.h"

#include <stdio.h>
#include <stdlib.h>

cvm_id harness__id(struct harness *h)
{
    return (cvm_id){0xfa4e, ++h->counter};
}

int harness__route(const struct harness_component *c, const char *type)
{
    const cvm_route *r = c->plugin->descriptor->routes;
    size_t len = strlen(type);
    int any = -1;
    for (int i = 0; r[i].component; i++) {
        if (strcmp(r[i].component, c->id) != 0)
            continue;
        if (!strcmp(r[i].type, type))
            return i;
        if (!strcmp(r[i].type, CVM_ANY_REPLY) && len > 6 && !strcmp(type + len - 6, ".reply"))
            any = i;
    }
    return any;
}

/* ---- items ---- */

static struct harness_item *add(struct harness *h, struct harness_item item)
{
    if (h->n_items == HARNESS_ITEMS_MAX)
        harness__die("more than %d messages, timers and requests wait: run them with harness_run", HARNESS_ITEMS_MAX);
    h->items[h->n_items] = item;
    return &h->items[h->n_items++];
}

static void item_clear(struct harness_item *i)
{
    free(i->type);
    free(i->conversation);
    free(i->enquiry);
    free(i->customer);
    free(i->session);
    free(i->sender);
    json_decref(i->data);
}

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (!made)
        harness__die("out of memory");
    return made;
}

static struct harness_item item_copy(const struct harness_item *i)
{
    struct harness_item made = *i;
    made.type = copy(i->type);
    made.conversation = copy(i->conversation);
    made.enquiry = copy(i->enquiry);
    made.customer = copy(i->customer);
    made.session = copy(i->session);
    made.sender = copy(i->sender);
    json_incref(made.data);
    return made;
}

static void item_remove(struct harness *h, size_t at, bool clear)
{
    if (clear)
        item_clear(&h->items[at]);
    memmove(&h->items[at], &h->items[at + 1], (h->n_items - at - 1) * sizeof h->items[0]);
    h->n_items--;
}

struct harness_item *harness__open(struct harness *h, cvm_id id)
{
    for (size_t i = 0; i < h->n_items; i++)
        if ((h->items[i].kind == ITEM_OPEN || h->items[i].kind == ITEM_CALL || h->items[i].kind == ITEM_JOB) &&
            cvm_id_eq(h->items[i].id, id))
            return &h->items[i];
    return NULL;
}

static const char *id_key(cvm_id id, char buf[40])
{
    snprintf(buf, 40, "%llx-%llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
    return buf;
}

bool harness__end(struct harness *h, cvm_id id, int outcome, json_t *data)
{
    struct harness_item *o = harness__open(h, id);
    char key[40], type[CVM_NAME_MAX + 8];
    if (!o) {
        json_decref(data);
        return false;
    }
    if (!data)
        data = json_object();
    if (!o->from) {
        json_object_set_new(h->results, id_key(o->asked, key),
                            json_pack("{s:i, s:o}", "outcome", outcome, "data", data));
        item_remove(h, (size_t)(o - h->items), true);
        return true;
    }
    struct harness_item reply = *o;
    snprintf(type, sizeof type, "%s.reply", o->type);
    free(reply.type);
    json_decref(reply.data);
    reply.kind = ITEM_QUEUED;
    reply.reply = true;
    reply.request = false;
    reply.in_reply_to = o->asked;
    reply.id = harness__id(h);
    reply.to = o->from;
    reply.from = NULL;
    reply.type = copy(type);
    reply.data = data;
    reply.outcome = outcome;
    item_remove(h, (size_t)(o - h->items), false);
    add(h, reply);
    return true;
}

bool harness_answer(struct harness *h, cvm_id id, int outcome, json_t *data)
{
    return harness__end(h, id, outcome, data);
}

bool harness_answer_http(struct harness *h, cvm_id id, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_t *data = json_pack("{s:i, s:{}, s:o, s:s}", "status", status, "headers", "body", body ? body : json_null(),
                             "text", text ? text : "");
    free(text);
    return harness__end(h, id, CVM_REPLIED, data);
}

const json_t *harness_call(struct harness *h, cvm_id *ret_id)
{
    for (size_t i = 0; i < h->n_items; i++) {
        if (h->items[i].kind != ITEM_CALL)
            continue;
        if (ret_id)
            *ret_id = h->items[i].id;
        return h->items[i].data;
    }
    return NULL;
}

/* ---- the end of a turn ---- */

static void undo(struct harness_turn *t, json_t *state, json_t *versions, json_t *dumps, json_t *rows, json_t *context)
{
    struct harness_component *c = t->c;
    json_decref(c->state);
    json_decref(c->versions);
    json_decref(c->dumps);
    json_decref(t->h->rows);
    c->state = state;
    c->versions = versions;
    c->dumps = dumps;
    t->h->rows = rows;
    json_object_set_new(t->h->contexts, t->m->conversation, context);
    for (size_t i = 0; i < t->n_made; i++)
        item_clear(&t->made[i]);
    for (size_t i = 0; i < t->n_settled; i++)
        if (!t->settled[i].forward)
            json_decref(t->settled[i].data);
}

static void answer_stub(struct harness *h, const struct harness_item *made)
{
    for (size_t i = json_array_size(h->stubs); i-- > 0;) {
        const json_t *stub = json_array_get(h->stubs, i);
        if (strcmp(cvm_json_str(stub, "to", ""), made->sender) != 0 ||
            strcmp(cvm_json_str(stub, "type", ""), made->type) != 0)
            continue;
        int outcome = (int)cvm_json_int(stub, "outcome", -1);
        if (outcome >= 0)
            harness__end(h, made->id, outcome, json_deep_copy(json_object_get(stub, "data")));
        return;
    }
}

static void forward(struct harness *h, cvm_id request, struct harness_component *to, cvm_id id)
{
    struct harness_item *o = harness__open(h, request);
    o->to = to;
    o->id = id; /* the asker goes on knowing it as o->asked */
}

static void keep_made(struct harness *h, struct harness_item *made, bool forwarded)
{
    if (made->request && !forwarded) {
        struct harness_item open = item_copy(made);
        open.kind = ITEM_OPEN;
        add(h, open);
    }
    if (made->to || made->kind == ITEM_CALL || made->kind == ITEM_JOB) {
        add(h, *made);
        return;
    }
    if (made->request)
        answer_stub(h, made);
    item_clear(made);
}

static void keep(struct harness_turn *t)
{
    struct harness *h = t->h;
    json_array_extend(h->notes, t->notes);
    json_array_extend(h->sent, t->sent);
    for (size_t i = 0; i < t->n_cancelled; i++)
        for (size_t k = 0; k < h->n_items; k++)
            if (h->items[k].kind == ITEM_TIMER && cvm_id_eq(h->items[k].id, t->cancelled[i])) {
                item_remove(h, k, true);
                break;
            }
    for (size_t i = 0; i < t->n_made; i++) {
        bool forwarded = false;
        for (size_t k = 0; k < t->n_settled; k++)
            forwarded = forwarded || (t->settled[k].forward && cvm_id_eq(t->settled[k].id, t->made[i].id));
        keep_made(h, &t->made[i], forwarded);
    }
    for (size_t i = 0; i < t->n_settled; i++) {
        if (t->settled[i].forward)
            forward(h, t->settled[i].request, t->settled[i].forward, t->settled[i].id);
        else
            harness__end(h, t->settled[i].request, t->settled[i].outcome, t->settled[i].data);
    }
}

/* ---- a turn ---- */

static cvm_msg envelope(const struct harness *h, const struct harness_item *m)
{
    static json_t *no_tags;
    if (!no_tags)
        no_tags = json_array();
    return (cvm_msg){.id = m->id,
                     .in_reply_to = m->in_reply_to,
                     .on_behalf = m->request ? (cvm_id){0, 0} : m->on_behalf,
                     .timestamp_ms = h->now,
                     .deadline_ms = m->request ? m->at_ms : 0,
                     .sender = m->sender,
                     .recipient = m->to->id,
                     .type = m->type,
                     .conversation = m->conversation,
                     .content = "",
                     .enquiry_id = m->enquiry,
                     .customer_id = m->customer,
                     .session_id = m->session,
                     .traceparent = "",
                     .data = m->data,
                     .tags = no_tags,
                     .message_type = m->reply     ? CVM_RESPONSE
                                     : m->request ? CVM_REQUEST
                                                  : CVM_NOTIFICATION,
                     .priority = CVM_MEDIUM,
                     .outcome = (uint8_t)m->outcome,
                     .requires_response = m->request,
                     .schema_version = 1,
                     .confidence = 1};
}

static void fail(struct harness_turn *t, int error)
{
    const char *code = error == CVM_EFAULT ? "FAULT" : "FAILED";
    if (error != CVM_EREFUSED)
        harness__log(t->h, "%s: %s: the turn was undone: %s", t->c->id, t->m->type, cvm_strerror(error));
    json_t *body = error == CVM_EREFUSED && t->refusal
                       ? json_incref(t->refusal)
                       : json_pack("{s:s, s:s}", "code", code, "message", cvm_strerror(error));
    harness__end(t->h, t->m->id, error == CVM_EREFUSED ? CVM_REFUSED : CVM_ERROR, body);
}

static void deliver(struct harness *h, const struct harness_item *m)
{
    struct harness_component *c = m->to;
    int r = harness__route(c, m->type);
    if (r < 0) {
        harness__log(h, "%s: %s: no route takes it; it was dropped", c->id, m->type);
        return;
    }
    struct harness_turn *t = calloc(1, sizeof *t);
    if (!t)
        harness__die("out of memory");
    *t = (struct harness_turn){.pub = {.host = &harness_table},
                               .h = h,
                               .c = c,
                               .m = m,
                               .ephemeral = !*m->conversation,
                               .notes = json_array(),
                               .sent = json_array()};
    cvm_msg message = envelope(h, m);
    json_t *state = json_copy(c->state), *versions = json_copy(c->versions), *dumps = json_copy(c->dumps);
    json_t *rows = json_object(), *context = json_deep_copy(harness_context(h, m->conversation)), *value;
    const char *key;
    json_object_foreach(h->rows, key, value) json_object_set_new(rows, key, json_copy(value));
    int e = c->plugin->descriptor->turn(c->plugin->instance, &t->pub, &message, (uint32_t)r);
    if (e < 0) {
        undo(t, state, versions, dumps, rows, context);
        fail(t, e);
    } else {
        json_decref(state);
        json_decref(versions);
        json_decref(dumps);
        json_decref(rows);
        json_decref(context);
        keep(t);
        if (m->request && e == CVM_OK && harness__open(h, m->id)) {
            harness__log(h, "%s: %s: returned without a reply", c->id, m->type);
            harness__end(h, m->id, CVM_ERROR,
                         json_pack("{s:s, s:s}", "code", "NO_REPLY", "message", "the handler gave no reply"));
        }
    }
    json_decref(t->refusal);
    json_decref(t->notes);
    json_decref(t->sent);
    free(t);
}

static bool run_job(struct harness *h, const struct harness_item *item)
{
    json_t *data = NULL;
    int outcome = harness__run_job(h, item->from, item->type, item->id, item->data, &data);
    return harness__end(h, item->id, outcome, data);
}

/* The next message, or, when none is queued, the next timer or deadline up to `until`. */
static bool step(struct harness *h, int64_t until)
{
    size_t best = h->n_items;
    for (size_t i = 0; i < h->n_items && best == h->n_items; i++)
        if (h->items[i].kind == ITEM_QUEUED)
            best = i;
    for (size_t i = 0; i < h->n_items && best == h->n_items; i++)
        if (h->items[i].kind == ITEM_JOB)
            return run_job(h, &h->items[i]);
    if (best == h->n_items) {
        for (size_t i = 0; i < h->n_items; i++)
            if (h->items[i].at_ms <= until && (best == h->n_items || h->items[i].at_ms < h->items[best].at_ms))
                best = i;
        if (best == h->n_items)
            return false;
        if (h->items[best].at_ms > h->now)
            h->now = h->items[best].at_ms;
        if (h->items[best].kind == ITEM_OPEN || h->items[best].kind == ITEM_CALL)
            return harness__end(h, h->items[best].id, CVM_TIMEOUT, NULL);
    }
    struct harness_item m = h->items[best];
    item_remove(h, best, false);
    deliver(h, &m);
    item_clear(&m);
    return true;
}

void harness_run(struct harness *h, int64_t ms)
{
    int64_t until = h->now + ms;
    for (long steps = 0; step(h, until); steps++)
        if (steps == 2000000)
            harness__die("two million turns and no end: do two components write to each other for ever?");
    if (ms > 0)
        h->now = until;
}

/* ---- messages from the test ---- */

static struct harness_item from_outside(struct harness *h, struct harness_component *c, const char *sender,
                                        const char *type, const char *conversation, json_t *data)
{
    struct harness_item i = {.kind = ITEM_QUEUED,
                             .id = harness__id(h),
                             .to = c,
                             .type = copy(type),
                             .conversation = copy(conversation),
                             .enquiry = copy(h->enquiry),
                             .customer = copy(h->customer),
                             .session = copy(h->session),
                             .sender = copy(sender),
                             .data = data ? data : json_object()};
    i.asked = i.id;
    return i;
}

static struct harness_component *known(struct harness *h, const char *name, const char *type)
{
    struct harness_component *c = harness__component(h, name);
    if (!c)
        harness__die("there is no component %s: was its plugin added?", name);
    if (type && harness__route(c, type) < 0)
        harness__die("%s has no route %s", name, type);
    return c;
}

cvm_id harness_request(struct harness *h, const char *sender, const char *to, const char *type,
                       const char *conversation, json_t *data)
{
    struct harness_component *c = known(h, to, type);
    const json_t *op = harness__operation(c, type);
    char field[160] = "", text[160] = "";
    bool durable = cvm_json_bool(op, "durable", true);
    struct harness_item m = from_outside(h, c, sender, type, durable ? conversation : "", data);
    m.request = true;
    m.at_ms = h->now + cvm_json_int(op, "timeout_ms", 30000);
    struct harness_item open = item_copy(&m);
    open.kind = ITEM_OPEN;
    add(h, open);
    if (!*sender && harness__schema(c->plugin->manifest, json_object_get(op, "request"), m.data, field, text) < 0) {
        harness__end(h, m.id, CVM_REFUSED,
                     json_pack("{s:s, s:s, s:s}", "code", "INVALID", "field", field, "message", text));
        item_clear(&m);
    } else {
        add(h, m);
    }
    return m.id;
}

void harness_send(struct harness *h, const char *to, const char *type, const char *conversation, json_t *data)
{
    add(h, from_outside(h, known(h, to, type), "", type, conversation, data));
}

int harness_result(struct harness *h, cvm_id request, const json_t **ret_data)
{
    char key[40];
    const json_t *r = json_object_get(h->results, id_key(request, key));
    if (!r)
        return -1;
    if (ret_data)
        *ret_data = json_object_get(r, "data");
    return (int)cvm_json_int(r, "outcome", -1);
}

int harness_ask(struct harness *h, const char *to, const char *type, json_t *data, const json_t **ret_data)
{
    cvm_id id = harness_request(h, "", to, type, "ask", data);
    harness_run(h, 0);
    return harness_result(h, id, ret_data);
}

int harness_handle(struct harness *h, const char *conversation, const char *agent, const char *content,
                   const json_t **ret_data)
{
    json_t *data = json_pack("{s:{s:s, s:{}, s:s}, s:i}", "message", "content", content, "structured_data", "from", "",
                             "round", 1);
    cvm_id id = harness_request(h, "host.conversation", agent, "handle", conversation, data);
    harness_run(h, 0);
    return harness_result(h, id, ret_data);
}
