/* See fake_host.h. One thread; every misuse ends the test by assert. */
#include "fake_host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPONENTS_MAX 32
#define ITEMS_MAX 8192

struct component {
    const char *id, *alias;
    const cvm_plugin_descriptor *plugin;
    const json_t *decl, *manifest;
    json_t *settings, *state, *dumps; /* dumps: key -> text of the value as it was frozen */
};

struct item { /* a message, a timer, or an open request */
    enum { QUEUED, TIMER, OPEN, OUTSIDE } kind;
    cvm_id id, in_reply_to, on_behalf;
    struct component *to, *from; /* from: NULL for outside */
    char *type, *conversation, *enquiry, *session, *sender;
    json_t *data;
    int outcome;
    int64_t at_ms; /* a timer's time, an open request's deadline */
    bool reply, request;
};

struct cvm_real_turn {
    cvm_turn pub;
    struct fake *f;
    struct component *c;
    struct item *m;
    struct item made[CVM_TURN_OUTPUTS_MAX];
    size_t n_made;
    struct {
        cvm_id request;
        int outcome;
        json_t *data;
    } settled[CVM_TURN_OUTPUTS_MAX];
    size_t n_settled;
    cvm_id cancelled[16];
    size_t n_cancelled;
    json_t *refusal;
    size_t notes;
};

struct fake {
    int64_t now;
    uint64_t counter;
    struct component components[COMPONENTS_MAX];
    size_t n_components;
    struct item items[ITEMS_MAX];
    size_t n_items;
    json_t *manifests, *rows, *contexts, *results, *registry;
    char enquiry[64], session[64];
    size_t notes;
};

static const cvm_host table;

static cvm_id next_id(struct fake *f)
{
    return (cvm_id){0xfa4e, ++f->counter};
}

static struct component *component(struct fake *f, const char *name)
{
    for (size_t i = 0; i < f->n_components; i++)
        if (!strcmp(f->components[i].id, name) || !strcmp(f->components[i].alias, name))
            return &f->components[i];
    return NULL;
}

static bool has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

static struct component *holder(struct fake *f, const char *to, const json_t *data)
{
    if (strncmp(to, "role:", 5) != 0)
        return component(f, to);
    for (size_t i = 0; i < f->n_components; i++) {
        struct component *c = &f->components[i];
        const char *field;
        json_t *values;
        bool serves = has(json_object_get(c->decl, "roles"), to + 5);
        json_object_foreach(json_object_get(c->decl, "serves"), field, values) serves =
            serves && has(values, cvm_json_str(data, field, ""));
        if (serves)
            return c;
    }
    return NULL;
}

static int route(const struct component *c, const char *type)
{
    const cvm_route *r = c->plugin->routes;
    for (int i = 0; r[i].component; i++)
        if (!strcmp(r[i].component, c->id) && !strcmp(r[i].type, type))
            return i;
    return -1;
}

/* ---- the manifest's schemas: required and unknown members of the outermost object ---- */

static void check_object(const json_t *manifest, const json_t *schema, const json_t *object, const char *what)
{
    const char *ref = cvm_json_str(schema, "$ref", ""), *key;
    json_t *value;
    if (!strncmp(ref, "#/schemas/", 10))
        schema = json_object_get(json_object_get(manifest, "schemas"), ref + 10);
    const json_t *required = json_object_get(schema, "required"), *properties = json_object_get(schema, "properties");
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_object_get(object, json_string_value(json_array_get(required, i)))) {
            fprintf(stderr, "%s: %s is missing\n", what, json_string_value(json_array_get(required, i)));
            abort();
        }
    if (!json_is_false(json_object_get(schema, "additionalProperties")))
        return;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) if (!json_object_get(properties, key))
    {
        fprintf(stderr, "%s: %s is unknown\n", what, key);
        abort();
    }
}

static const json_t *operation(const struct component *c, const char *type)
{
    const json_t *operations = json_object_get(c->decl, "operations");
    for (size_t i = 0; i < json_array_size(operations); i++)
        if (!strcmp(cvm_json_str(json_array_get(operations, i), "type", ""), type))
            return json_array_get(operations, i);
    return NULL;
}

/* ---- items ---- */

static struct item *add(struct fake *f, struct item item)
{
    assert(f->n_items < ITEMS_MAX);
    f->items[f->n_items] = item;
    return &f->items[f->n_items++];
}

static void item_clear(struct item *i)
{
    free(i->type);
    free(i->conversation);
    free(i->enquiry);
    free(i->session);
    free(i->sender);
    json_decref(i->data);
}

static void item_remove(struct fake *f, size_t at, bool clear)
{
    if (clear)
        item_clear(&f->items[at]);
    memmove(&f->items[at], &f->items[at + 1], (f->n_items - at - 1) * sizeof f->items[0]);
    f->n_items--;
}

static struct item *open_of(struct fake *f, cvm_id id)
{
    for (size_t i = 0; i < f->n_items; i++)
        if ((f->items[i].kind == OPEN || f->items[i].kind == OUTSIDE) && cvm_id_eq(f->items[i].id, id))
            return &f->items[i];
    return NULL;
}

static const char *id_key(cvm_id id, char buf[40])
{
    snprintf(buf, 40, "%llx-%llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
    return buf;
}

/* Ends an open request: its reply is queued, or kept for fake_result. Takes data. */
static bool finish(struct fake *f, cvm_id id, int outcome, json_t *data)
{
    struct item *o = open_of(f, id);
    char key[40];
    if (!o) {
        json_decref(data);
        return false;
    }
    if (!data)
        data = json_object();
    if (o->kind == OUTSIDE) {
        json_object_set_new(f->results, id_key(id, key), json_pack("{s:i, s:o}", "outcome", outcome, "data", data));
        item_remove(f, (size_t)(o - f->items), true);
        return true;
    }
    struct item reply = *o;
    char *type = NULL;
    assert(asprintf(&type, "%s.reply", o->type) > 0);
    free(reply.type);
    json_decref(reply.data);
    reply.kind = QUEUED;
    reply.reply = true;
    reply.request = false;
    reply.in_reply_to = id;
    reply.id = next_id(f);
    reply.to = o->from;
    reply.from = NULL;
    reply.type = type;
    reply.data = data;
    reply.outcome = outcome;
    item_remove(f, (size_t)(o - f->items), false);
    add(f, reply);
    return true;
}

bool fake_settle(struct fake *f, cvm_id request, int outcome, json_t *data)
{
    return finish(f, request, outcome, data);
}

/* ---- the table ---- */

static struct cvm_real_turn *real(cvm_turn *t)
{
    return (struct cvm_real_turn *)t;
}

static bool may_send(struct cvm_real_turn *t, const struct component *to, const char *name)
{
    const json_t *may = json_object_get(t->c->decl, "may_send_to"), *roles = json_object_get(to->decl, "roles");
    if (has(may, name) || has(may, to->id))
        return true;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        char role[CVM_NAME_MAX + 8];
        snprintf(role, sizeof role, "role:%s", json_string_value(json_array_get(roles, i)));
        if (has(may, role))
            return true;
    }
    return false;
}

static int emit(cvm_turn *pub, const cvm_out *out, cvm_id *ret_id)
{
    struct cvm_real_turn *t = real(pub);
    assert(out->kind == CVM_OUT_REQUEST || out->kind == CVM_OUT_MESSAGE);
    assert(t->n_made < CVM_TURN_OUTPUTS_MAX);
    struct component *to = holder(t->f, out->to, out->data);
    int e = !to || route(to, out->type) < 0 ? CVM_ENOENT : may_send(t, to, out->to) ? CVM_OK : CVM_EACCES;
    if (e < 0) {
        json_decref(out->data);
        return e;
    }
    const json_t *op = operation(to, out->type);
    if (op)
        check_object(to->manifest, json_object_get(op, "request"), out->data, out->type);
    int64_t timeout = out->timeout_ms ? out->timeout_ms : op ? cvm_json_int(op, "timeout_ms", 30000) : 30000;
    t->made[t->n_made++] =
        (struct item){.kind = QUEUED,
                      .id = next_id(t->f),
                      .on_behalf = out->on_behalf,
                      .to = to,
                      .from = t->c,
                      .type = strdup(out->type),
                      .conversation = strdup(out->conversation ? out->conversation : t->m->conversation),
                      .enquiry = strdup(out->enquiry_id ? out->enquiry_id : t->m->enquiry),
                      .session = strdup(out->session_id ? out->session_id : t->m->session),
                      .sender = strdup(t->c->id),
                      .data = out->data ? out->data : json_object(),
                      .at_ms = t->f->now + timeout,
                      .request = out->kind == CVM_OUT_REQUEST};
    if (ret_id)
        *ret_id = t->made[t->n_made - 1].id;
    return CVM_OK;
}

static int settle(cvm_turn *pub, cvm_id request, int outcome, json_t *data, const char *content)
{
    struct cvm_real_turn *t = real(pub);
    (void)content;
    const struct item *o = open_of(t->f, request);
    for (size_t i = 0; i < t->n_settled; i++)
        if (cvm_id_eq(t->settled[i].request, request))
            o = NULL;
    if (!o || o->to != t->c) {
        json_decref(data);
        return CVM_ENOENT;
    }
    t->settled[t->n_settled].request = request;
    t->settled[t->n_settled].outcome = outcome;
    t->settled[t->n_settled++].data = data;
    return CVM_OK;
}

static int refuse(cvm_turn *pub, const char *code, const char *field, const char *text)
{
    real(pub)->refusal = json_pack("{s:s, s:s?, s:s}", "code", code, "field", field, "message", text);
    return CVM_EREFUSED;
}

static int note_reply(cvm_turn *pub, int outcome, json_t *data, const char *content)
{
    (void)content;
    assert(outcome == CVM_REFUSED);
    real(pub)->refusal = data;
    return CVM_EREFUSED;
}

static int timer(cvm_turn *pub, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    struct cvm_real_turn *t = real(pub);
    assert(t->n_made < CVM_TURN_OUTPUTS_MAX && delay_ms >= 0);
    assert(route(t->c, type) >= 0);
    t->made[t->n_made++] = (struct item){.kind = TIMER,
                                         .id = next_id(t->f),
                                         .on_behalf = on_behalf,
                                         .to = t->c,
                                         .from = t->c,
                                         .type = strdup(type),
                                         .conversation = strdup(t->m->conversation),
                                         .enquiry = strdup(t->m->enquiry),
                                         .session = strdup(t->m->session),
                                         .sender = strdup(t->c->id),
                                         .data = data ? data : json_object(),
                                         .at_ms = t->f->now + delay_ms};
    if (ret_id)
        *ret_id = t->made[t->n_made - 1].id;
    return CVM_OK;
}

static int timer_cancel(cvm_turn *pub, cvm_id id)
{
    struct cvm_real_turn *t = real(pub);
    for (size_t i = 0; i < t->f->n_items; i++)
        if (t->f->items[i].kind == TIMER && cvm_id_eq(t->f->items[i].id, id)) {
            assert(t->n_cancelled < 16);
            t->cancelled[t->n_cancelled++] = id;
            return CVM_OK;
        }
    return CVM_ENOENT;
}

/* Answered from the rows as they are, in a message of its own like the host's. */
static int query(cvm_turn *pub, const cvm_query *q)
{
    struct cvm_real_turn *t = real(pub);
    json_t *rows = json_array(), *row, *value;
    const char *key, *column;
    json_object_foreach(json_object_get(t->f->rows, q->table), key, row)
    {
        bool match = true;
        json_object_foreach(q->where, column, value) match = match && json_equal(json_object_get(row, column), value);
        if (match && (int64_t)json_array_size(rows) < q->limit)
            json_array_append(rows, row);
    }
    json_decref(q->where);
    t->made[t->n_made++] = (struct item){.kind = QUEUED,
                                         .id = next_id(t->f),
                                         .on_behalf = q->on_behalf,
                                         .to = t->c,
                                         .type = strdup("query.reply"),
                                         .conversation = strdup(t->m->conversation),
                                         .enquiry = strdup(""),
                                         .session = strdup(""),
                                         .sender = strdup(""),
                                         .data = json_pack("{s:o, s:b}", "rows", rows, "more", 0),
                                         .reply = true};
    return CVM_OK;
}

static const json_t *context(cvm_turn *pub)
{
    return fake_context(real(pub)->f, real(pub)->m->conversation);
}

static int context_set(cvm_turn *pub, const char *path, json_t *value)
{
    json_t *at = fake_context(real(pub)->f, real(pub)->m->conversation);
    const char *slash;
    assert(*path == '/');
    for (path++; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        json_t *next = json_object_get(at, name);
        if (!json_is_object(next)) {
            next = json_object();
            json_object_set_new(at, name, next);
        }
        at = next;
    }
    /* a copy, so that later sets do not change what was frozen elsewhere */
    json_object_set_new(at, path, json_deep_copy(value));
    json_decref(value);
    return CVM_OK;
}

static int state_get(cvm_turn *pub, const char *key, const json_t **ret_value)
{
    struct component *c = real(pub)->c;
    if (!*key || strlen(key) > CVM_STATE_KEY_MAX)
        return CVM_ELIMIT;
    const json_t *v = json_object_get(c->state, key);
    if (!v)
        return CVM_ENOENT;
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert(!strcmp(text, cvm_json_str(c->dumps, key, ""))); /* changed after it was given away */
    free(text);
    *ret_value = v;
    return CVM_OK;
}

static int state_put(cvm_turn *pub, const char *key, json_t *value)
{
    struct component *c = real(pub)->c;
    if (!*key || strlen(key) > CVM_STATE_KEY_MAX) {
        json_decref(value);
        return CVM_ELIMIT;
    }
    if (!value) {
        json_object_del(c->state, key);
        json_object_del(c->dumps, key);
        return CVM_OK;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert(text && strlen(text) <= CVM_STATE_VALUE_MAX_BYTES);
    json_object_set_new(c->dumps, key, json_string(text));
    free(text);
    json_object_set_new(c->state, key, value);
    return CVM_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    const json_t *state = real(pub)->c->state;
    size_t n = 0, size = json_object_size(state);
    const char **keys = calloc(size + 1, sizeof *keys), *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)state, key, value) if (!strncmp(key, prefix, strlen(prefix)) &&
                                                                    (!after || strcmp(key, after) > 0)) keys[n++] = key;
    qsort(keys, n, sizeof *keys, by_text);
    *ret_pairs = json_array();
    for (size_t i = 0; i < n && i < limit; i++)
        json_array_append_new(*ret_pairs, json_pack("[s, O]", keys[i], json_object_get(state, keys[i])));
    free(keys);
    return CVM_OK;
}

static int row_put(cvm_turn *pub, const char *name, json_t *row)
{
    struct cvm_real_turn *t = real(pub);
    const json_t *tables = json_object_get(json_object_get(t->c->manifest, "needs"), "tables"), *found = NULL;
    assert(json_is_object(row));
    for (size_t i = 0; i < json_array_size(tables); i++)
        if (!strcmp(cvm_json_str(json_array_get(tables, i), "name", ""), name))
            found = json_array_get(tables, i);
    assert(found);
    check_object(t->c->manifest, json_object_get(found, "schema"), row, name);
    json_t *rows = json_object_get(t->f->rows, name);
    if (!rows) {
        rows = json_object();
        json_object_set_new(t->f->rows, name, rows);
    }
    json_object_set_new(rows, cvm_json_str(row, cvm_json_str(found, "key", ""), ""), row);
    return CVM_OK;
}

static int note(cvm_turn *pub, const char *what, json_t *data)
{
    assert(*what && json_is_object(data));
    real(pub)->notes++;
    json_decref(data);
    return CVM_OK;
}

static int64_t now_ms(cvm_turn *pub)
{
    return real(pub)->f->now;
}

static const json_t *settings(cvm_turn *pub)
{
    return real(pub)->c->settings;
}

static const json_t *registry(cvm_turn *pub, const char *what)
{
    return strcmp(what, "components") ? NULL : real(pub)->f->registry;
}

/* Not a MAC: enough to tell keys apart. */
static int hmac(cvm_turn *pub, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[32])
{
    uint64_t h = 1469598103934665603u;
    (void)pub;
    for (size_t i = 0; i < key_len; i++)
        h = (h ^ ((const uint8_t *)key)[i]) * 1099511628211u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    for (size_t i = 0; i < 32; i++)
        ret[i] = (uint8_t)((h = h * 6364136223846793005u + 1) >> 56);
    return CVM_OK;
}

static void log_line(cvm_turn *pub, int level, const char *format, va_list args)
{
    (void)pub, (void)level, (void)format, (void)args;
}

static int new_id(cvm_turn *pub, const char *prefix, char *ret_id, size_t size)
{
    uint64_t n = ++real(pub)->f->counter * UINT64_C(0x9e3779b97f4a7c15);
    snprintf(ret_id, size, "%s-%012llx", prefix, (unsigned long long)(n >> 16));
    return CVM_OK;
}

static const cvm_host table = {.size = sizeof table,
                               .abi_major = CVM_ABI_MAJOR,
                               .abi_minor = CVM_ABI_MINOR,
                               .emit = emit,
                               .settle = settle,
                               .refuse = refuse,
                               .timer = timer,
                               .timer_cancel = timer_cancel,
                               .query = query,
                               .context = context,
                               .context_set = context_set,
                               .state_get = state_get,
                               .state_put = state_put,
                               .state_scan = state_scan,
                               .row_put = row_put,
                               .note = note,
                               .now_ms = now_ms,
                               .settings = settings,
                               .registry = registry,
                               .hmac_sha256 = hmac,
                               .log = log_line,
                               .note_reply = note_reply,
                               .new_id = new_id};

/* ---- turns ---- */

static void undo(struct cvm_real_turn *t, json_t *state, json_t *dumps, json_t *rows, json_t *contexts)
{
    json_decref(t->c->state);
    json_decref(t->c->dumps);
    json_decref(t->f->rows);
    json_decref(t->f->contexts);
    t->c->state = state;
    t->c->dumps = dumps;
    t->f->rows = rows;
    t->f->contexts = contexts;
    for (size_t i = 0; i < t->n_made; i++)
        item_clear(&t->made[i]);
    for (size_t i = 0; i < t->n_settled; i++)
        json_decref(t->settled[i].data);
}

static void commit(struct cvm_real_turn *t)
{
    struct fake *f = t->f;
    f->notes += t->notes;
    for (size_t i = 0; i < t->n_cancelled; i++)
        for (size_t k = 0; k < f->n_items; k++)
            if (f->items[k].kind == TIMER && cvm_id_eq(f->items[k].id, t->cancelled[i])) {
                item_remove(f, k, true);
                break;
            }
    for (size_t i = 0; i < t->n_made; i++) {
        struct item *made = &t->made[i];
        if (made->request) {
            struct item open = *made;
            open.kind = OPEN;
            open.type = strdup(made->type);
            open.conversation = strdup(made->conversation);
            open.enquiry = strdup(made->enquiry);
            open.session = strdup(made->session);
            open.sender = strdup(made->sender);
            json_incref(open.data);
            add(f, open);
        }
        add(f, *made);
    }
    for (size_t i = 0; i < t->n_settled; i++)
        finish(f, t->settled[i].request, t->settled[i].outcome, t->settled[i].data);
}

static void deliver(struct fake *f, struct item *m)
{
    static struct cvm_real_turn t;
    int r = route(m->to, m->type);
    if (r < 0)
        return;
    t = (struct cvm_real_turn){.pub = {.host = &table}, .f = f, .c = m->to, .m = m};
    cvm_msg msg = {.id = m->id,
                   .in_reply_to = m->in_reply_to,
                   .on_behalf = m->reply || m->kind == TIMER || !m->request ? m->on_behalf : (cvm_id){0, 0},
                   .timestamp_ms = f->now,
                   .deadline_ms = m->request ? m->at_ms : 0,
                   .sender = m->sender,
                   .recipient = m->to->id,
                   .type = m->type,
                   .conversation = m->conversation,
                   .content = "",
                   .enquiry_id = m->enquiry,
                   .customer_id = "",
                   .session_id = m->session,
                   .traceparent = "",
                   .data = m->data,
                   .outcome = (uint8_t)m->outcome,
                   .confidence = 1};
    json_t *state = json_copy(m->to->state), *dumps = json_copy(m->to->dumps), *rows = json_object();
    json_t *contexts = json_deep_copy(f->contexts), *value;
    const char *key;
    json_object_foreach(f->rows, key, value) json_object_set_new(rows, key, json_copy(value));
    int e = m->to->plugin->turn(NULL, &t.pub, &msg, (uint32_t)r);
    if (e < 0) {
        undo(&t, state, dumps, rows, contexts);
        finish(f, m->id, e == CVM_EREFUSED ? CVM_REFUSED : CVM_ERROR,
               t.refusal ? t.refusal : json_pack("{s:s, s:s}", "code", "FAILED", "message", cvm_strerror(e)));
        return;
    }
    json_decref(state);
    json_decref(dumps);
    json_decref(rows);
    json_decref(contexts);
    commit(&t);
    if (m->request && e == CVM_OK && open_of(f, m->id))
        finish(f, m->id, CVM_ERROR, json_pack("{s:s}", "code", "NO_REPLY"));
}

/* The next message, or, when none is queued, the next timer or deadline up to `until`. */
static bool step(struct fake *f, int64_t until)
{
    size_t best = f->n_items;
    for (size_t i = 0; i < f->n_items; i++)
        if (f->items[i].kind == QUEUED) {
            best = i;
            break;
        }
    if (best == f->n_items) {
        for (size_t i = 0; i < f->n_items; i++)
            if (f->items[i].at_ms <= until && (best == f->n_items || f->items[i].at_ms < f->items[best].at_ms))
                best = i;
        if (best == f->n_items)
            return false;
        if (f->items[best].at_ms > f->now)
            f->now = f->items[best].at_ms;
        if (f->items[best].kind == OPEN || f->items[best].kind == OUTSIDE)
            return finish(f, f->items[best].id, CVM_TIMEOUT, NULL);
    }
    struct item m = f->items[best];
    item_remove(f, best, false);
    deliver(f, &m);
    item_clear(&m);
    return true;
}

void fake_run(struct fake *f, int64_t ms)
{
    int64_t until = f->now + ms;
    long steps = 0;
    while (step(f, until))
        assert(++steps < 2000000);
    if (ms > 0)
        f->now = until;
}

cvm_id fake_request(struct fake *f, const char *sender, const char *to, const char *type, const char *conversation,
                    json_t *data)
{
    struct component *c = component(f, to);
    assert(c && route(c, type) >= 0);
    const json_t *op = operation(c, type);
    struct item m = {.kind = OUTSIDE,
                     .id = next_id(f),
                     .to = c,
                     .type = strdup(type),
                     .conversation = strdup(conversation),
                     .enquiry = strdup(f->enquiry),
                     .session = strdup(f->session),
                     .sender = strdup(sender),
                     .data = json_incref(data),
                     .at_ms = f->now + cvm_json_int(op, "timeout_ms", 30000),
                     .request = true};
    add(f, m);
    m.kind = QUEUED;
    m.type = strdup(type);
    m.conversation = strdup(conversation);
    m.enquiry = strdup(f->enquiry);
    m.session = strdup(f->session);
    m.sender = strdup(sender);
    m.data = data;
    add(f, m);
    return m.id;
}

void fake_subject(struct fake *f, const char *enquiry_id, const char *session_id)
{
    snprintf(f->enquiry, sizeof f->enquiry, "%s", enquiry_id ? enquiry_id : "");
    snprintf(f->session, sizeof f->session, "%s", session_id ? session_id : "");
}

int fake_result(struct fake *f, cvm_id request, const json_t **ret_data)
{
    char key[40];
    const json_t *r = json_object_get(f->results, id_key(request, key));
    if (!r)
        return -1;
    if (ret_data)
        *ret_data = json_object_get(r, "data");
    return (int)cvm_json_int(r, "outcome", -1);
}

/* ---- making and looking ---- */

struct fake *fake_new(int64_t at_ms)
{
    struct fake *f = calloc(1, sizeof *f);
    assert(f);
    f->now = at_ms;
    f->manifests = json_array();
    f->rows = json_object();
    f->contexts = json_object();
    f->results = json_object();
    f->registry = json_array();
    return f;
}

void fake_free(struct fake *f)
{
    for (size_t i = 0; i < f->n_items; i++)
        item_clear(&f->items[i]);
    for (size_t i = 0; i < f->n_components; i++) {
        json_decref(f->components[i].settings);
        json_decref(f->components[i].state);
        json_decref(f->components[i].dumps);
    }
    json_decref(f->manifests);
    json_decref(f->rows);
    json_decref(f->contexts);
    json_decref(f->results);
    json_decref(f->registry);
    free(f);
}

void fake_add(struct fake *f, const cvm_plugin_descriptor *plugin, const char *manifest_path)
{
    json_error_t fault;
    json_t *manifest = *manifest_path == '{' ? json_loads(manifest_path, JSON_REJECT_DUPLICATES, &fault)
                                             : json_load_file(manifest_path, JSON_REJECT_DUPLICATES, &fault);
    if (!manifest) {
        fprintf(stderr, "%s:%d: %s\n", manifest_path, fault.line, fault.text);
        abort();
    }
    json_array_append_new(f->manifests, manifest);
    const json_t *list = json_object_get(manifest, "components");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *decl = json_array_get(list, i);
        assert(f->n_components < COMPONENTS_MAX);
        struct component *c = &f->components[f->n_components++];
        json_t *own = json_object_get(decl, "settings");
        *c = (struct component){.id = cvm_json_str(decl, "id", ""),
                                .alias = cvm_json_str(decl, "alias", ""),
                                .plugin = plugin,
                                .decl = decl,
                                .manifest = manifest,
                                .settings = own ? json_deep_copy(own) : json_object(),
                                .state = json_object(),
                                .dumps = json_object()};
        const json_t *operations = json_object_get(decl, "operations"), *roles = json_object_get(decl, "roles");
        for (size_t k = 0; k < json_array_size(operations); k++)
            if (route(c, cvm_json_str(json_array_get(operations, k), "type", "")) < 0) {
                fprintf(stderr, "%s: no route for %s\n", c->id,
                        cvm_json_str(json_array_get(operations, k), "type", ""));
                abort();
            }
        json_array_append_new(f->registry, json_pack("{s:s, s:s, s:o}", "id", c->id, "alias", c->alias, "roles",
                                                     roles ? json_deep_copy(roles) : json_array()));
        if (route(c, "start") >= 0) {
            char own_lane[CVM_NAME_MAX];
            snprintf(own_lane, sizeof own_lane, "component:%s", c->id);
            add(f, (struct item){.kind = QUEUED,
                                 .id = next_id(f),
                                 .to = c,
                                 .type = strdup("start"),
                                 .conversation = strdup(own_lane),
                                 .enquiry = strdup(""),
                                 .session = strdup(""),
                                 .sender = strdup(""),
                                 .data = json_object()});
        }
    }
    fake_run(f, 0);
}

json_t *fake_settings(struct fake *f, const char *name)
{
    return component(f, name)->settings;
}

int64_t fake_now(const struct fake *f)
{
    return f->now;
}

const json_t *fake_state(struct fake *f, const char *name)
{
    return component(f, name)->state;
}

const json_t *fake_rows(struct fake *f, const char *name)
{
    return json_object_get(f->rows, name);
}

json_t *fake_context(struct fake *f, const char *conversation)
{
    json_t *c = json_object_get(f->contexts, conversation);
    if (!c) {
        c = json_object();
        json_object_set_new(f->contexts, conversation, c);
    }
    return c;
}

size_t fake_open_requests(const struct fake *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_items; i++)
        n += f->items[i].kind == OPEN || f->items[i].kind == OUTSIDE;
    return n;
}

size_t fake_notes(const struct fake *f)
{
    return f->notes;
}
