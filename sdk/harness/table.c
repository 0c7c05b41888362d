/* What handlers call: reads, changes and emissions of one turn. Nothing of it outlives the turn unless it is kept
 * (run.c). Errors are those of the host, each with a line in the log that says what would allow the call. */
#include "hmac.h"
#include "private.h"

#include <stdio.h>
#include <stdlib.h>

int harness__complain(const struct harness_turn *t, int error, const char *call, const char *what, const char *remedy)
{
    harness__log(t->h, "%s: %s: %s %s: %s%s%s", t->c->id, t->m->type, call, what, cvm_strerror(error),
                 *remedy ? ": " : "", remedy);
    return error;
}

/* ---- messages ---- */

static bool may_send(const struct harness_turn *t, const struct harness_component *to, const char *name)
{
    const json_t *may = json_object_get(t->c->decl, "may_send_to");
    const json_t *roles = to ? json_object_get(to->decl, "roles") : NULL;
    if (strncmp(name, "host.", 5) == 0 || to == t->c || harness__lists(may, name) ||
        (to && (harness__lists(may, to->id) || harness__lists(may, to->alias))))
        return true;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        char role[CVM_NAME_MAX + 8];
        snprintf(role, sizeof role, "role:%s", json_string_value(json_array_get(roles, i)));
        if (harness__lists(may, role))
            return true;
    }
    return false;
}

static struct harness_component *holder(struct harness *h, const char *to, const json_t *data)
{
    if (strncmp(to, "role:", 5) != 0)
        return harness__component(h, to);
    for (size_t i = 0; i < h->n_components; i++) {
        struct harness_component *c = &h->components[i];
        const char *field;
        json_t *values;
        bool serves = harness__lists(json_object_get(c->decl, "roles"), to + 5);
        json_object_foreach(json_object_get(c->decl, "serves"), field, values) serves =
            serves && harness__lists(values, cvm_json_str(data, field, ""));
        if (serves)
            return c;
    }
    return NULL;
}

static bool is_stubbed(const struct harness *h, const char *to, const char *type)
{
    for (size_t i = 0; i < json_array_size(h->stubs); i++) {
        const json_t *stub = json_array_get(h->stubs, i);
        if (!strcmp(cvm_json_str(stub, "to", ""), to) && !strcmp(cvm_json_str(stub, "type", ""), type))
            return true;
    }
    return false;
}

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (!made)
        harness__die("out of memory");
    return made;
}

static void record(struct harness_turn *t, const char *kind, const char *to, const char *type, const char *conversation,
                   json_t *data)
{
    json_array_append_new(t->sent, json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "kind", kind, "from", t->c->id, "to", to,
                                             "type", type, "conversation", conversation, "data", data));
}

/* An empty item of this turn, its subject inherited. NULL: the turn's outputs are at their limit. */
struct harness_item *harness__make(struct harness_turn *t, const char *type, const char *conversation)
{
    if (t->n_made + t->n_settled >= CVM_TURN_OUTPUTS_MAX)
        return NULL;
    struct harness_item *i = &t->made[t->n_made++];
    *i = (struct harness_item){.kind = ITEM_QUEUED,
                               .id = harness__id(t->h),
                               .from = t->c,
                               .type = copy(type),
                               .conversation = copy(t->ephemeral ? "" : conversation),
                               .enquiry = copy(t->m->enquiry),
                               .customer = copy(t->m->customer),
                               .session = copy(t->m->session),
                               .sender = copy(t->c->id)};
    i->asked = i->id;
    return i;
}

static void put(char **at, const char *text)
{
    if (!text)
        return;
    free(*at);
    *at = copy(text);
}

static int publish(struct harness_turn *t, const cvm_out *out, cvm_id *ret_id)
{
    if (!harness__lists(json_object_get(t->c->decl, "publishes"), out->type))
        return harness__complain(t, CVM_EACCES, "cvm_publish", out->type,
                                 "\"publishes\" of the manifest does not list it");
    json_t *data = out->data ? json_incref(out->data) : json_object();
    record(t, "publish", "", out->type, "", data);
    for (size_t i = 0; i < t->h->n_components; i++) {
        struct harness_component *c = &t->h->components[i];
        char lane[2 * CVM_NAME_MAX + 16];
        if (c == t->c || !harness__lists(json_object_get(c->decl, "subscribes"), out->type))
            continue;
        snprintf(lane, sizeof lane, "topic:%s/%s", out->type, c->id);
        struct harness_item *made = harness__make(t, out->type, lane);
        if (!made)
            return CVM_ELIMIT;
        made->to = c;
        made->data = json_incref(data);
        if (ret_id)
            *ret_id = made->id;
    }
    json_decref(data);
    return CVM_OK;
}

/* What the host would refuse too; *ret_to is NULL for a stub. */
static int check_emit(struct harness_turn *t, const cvm_out *out, struct harness_component **ret_to)
{
    char field[160], text[160], what[400];
    struct harness_component *to = holder(t->h, out->to, out->data);
    bool stubbed = is_stubbed(t->h, out->to, out->type);
    snprintf(what, sizeof what, "%.127s to %.127s", out->type, out->to);
    if (out->size < sizeof *out || (out->data && !json_is_object(out->data)) || !(out->confidence <= 1.0))
        return harness__complain(t, CVM_EINVAL, "emit", what, "cvm_out.size, .data or .confidence is wrong");
    if (!to && !stubbed)
        return harness__complain(t, CVM_ENOENT, "emit", what,
                                 "add its plugin with harness_add, or harness_stub an answer");
    if (!may_send(t, to, out->to))
        return harness__complain(t, CVM_EACCES, "emit", what, "add the recipient to \"may_send_to\"");
    const json_t *op = to ? harness__operation(to, out->type) : NULL;
    if (!stubbed && !op && to != t->c)
        return harness__complain(t, CVM_ENOENT, "emit", what, "the recipient has no such operation");
    if (!stubbed && op &&
        harness__schema(to->plugin->manifest, json_object_get(op, "request"), out->data, field, text) < 0)
        harness__die("%s sends %s: %s %s", t->c->id, what, *field ? field : "the request", text);
    if (out->kind == CVM_OUT_REQUEST || out->kind == CVM_OUT_LOOK) {
        char reply[CVM_NAME_MAX + 8];
        snprintf(reply, sizeof reply, "%s.reply", out->type);
        if (harness__route(t->c, reply) < 0)
            harness__log(t->h, "%s: a request %s, but no route %s to take its reply", t->c->id, out->type, reply);
    }
    *ret_to = stubbed ? NULL : to;
    return CVM_OK;
}

/* Whether this component may hand the request on: it is open, and it is its to settle. */
static int check_forward(struct harness_turn *t, const cvm_out *out, const struct harness_component *to)
{
    const struct harness_item *o = harness__open(t->h, out->request);
    for (size_t i = 0; i < t->n_settled; i++)
        if (cvm_id_eq(t->settled[i].request, out->request))
            o = NULL;
    if (!o || o->kind != ITEM_OPEN)
        return harness__complain(t, CVM_ENOENT, "cvm_forward", out->type, "the request is not open");
    if (o->to != t->c)
        return harness__complain(t, CVM_EACCES, "cvm_forward", out->type, "the request is not this component's");
    if (!to)
        harness__die("%s forwards to a stub: add a component for %s", t->c->id, out->to);
    return CVM_OK;
}

static int emit_checked(struct harness_turn *t, const cvm_out *out, cvm_id *ret_id)
{
    static const char *const kinds[] = {"request", "message", "publish", "forward", "request"};
    struct harness_component *to = NULL;
    CVM_TRY(check_emit(t, out, &to));
    if (out->kind == CVM_OUT_FORWARD)
        CVM_TRY(check_forward(t, out, to));
    struct harness_item *made = harness__make(t, out->type, out->conversation ? out->conversation : t->m->conversation);
    if (!made)
        return CVM_ELIMIT;
    const json_t *op = to ? harness__operation(to, out->type) : NULL;
    made->to = to;
    made->on_behalf = out->on_behalf;
    made->request = out->kind == CVM_OUT_REQUEST || out->kind == CVM_OUT_FORWARD || out->kind == CVM_OUT_LOOK;
    made->at_ms = t->h->now + (out->timeout_ms ? out->timeout_ms : cvm_json_int(op, "timeout_ms", 30000));
    made->data = out->data ? json_incref(out->data) : json_object();
    put(&made->enquiry, out->enquiry_id);
    put(&made->customer, out->customer_id);
    put(&made->session, out->session_id);
    if (out->kind == CVM_OUT_FORWARD) {
        t->settled[t->n_settled].request = out->request;
        t->settled[t->n_settled].forward = to;
        t->settled[t->n_settled++].id = made->id;
    }
    record(t, kinds[out->kind], out->to, out->type, made->conversation, made->data);
    if (!to) { /* which stub it is for */
        free(made->sender);
        made->sender = copy(out->to);
    }
    if (ret_id)
        *ret_id = made->id;
    return CVM_OK;
}

static int emit(cvm_turn *pub, const cvm_out *out, cvm_id *ret_id)
{
    struct harness_turn *t = of(pub);
    cvm_out filled = *out;
    if (!out->data && (filled.data = json_object()))
        out = &filled;
    bool all = out->kind == CVM_OUT_PUBLISH || (out->to && !strcmp(out->to, "BROADCAST"));
    int e = out->kind > CVM_OUT_LOOK || !out->type || (!all && !out->to) ? CVM_EINVAL
            : all                                                        ? publish(t, out, ret_id)
                                                                         : emit_checked(t, out, ret_id);
    json_decref(out->data);
    json_decref(out->tags);
    return e;
}

static int settle(cvm_turn *pub, cvm_id request, int outcome, json_t *data, const char *content)
{
    struct harness_turn *t = of(pub);
    const struct harness_item *o = harness__open(t->h, request);
    (void)content;
    for (size_t i = 0; i < t->n_settled; i++)
        if (cvm_id_eq(t->settled[i].request, request))
            o = NULL;
    int e = data && !json_is_object(data)                      ? CVM_EINVAL
            : !o || o->kind != ITEM_OPEN || o->to != t->c      ? CVM_ENOENT
            : t->n_made + t->n_settled >= CVM_TURN_OUTPUTS_MAX ? CVM_ELIMIT
                                                               : CVM_OK;
    if (e < 0) {
        json_decref(data);
        return harness__complain(t, e, "cvm_settle", "",
                                 e == CVM_ENOENT ? "the request is not open, or not this component's" : "");
    }
    t->settled[t->n_settled].request = request;
    t->settled[t->n_settled].forward = NULL;
    t->settled[t->n_settled].outcome = outcome;
    t->settled[t->n_settled++].data = data;
    return CVM_OK;
}

static int note_reply(cvm_turn *pub, int outcome, json_t *data, const char *content)
{
    struct harness_turn *t = of(pub);
    (void)content;
    if (outcome != CVM_REFUSED || !json_is_object(data)) {
        json_decref(data);
        return harness__complain(t, CVM_EINVAL, "cvm_refuse_with", "", "the body must be an object");
    }
    json_decref(t->refusal);
    t->refusal = data;
    return CVM_EREFUSED;
}

static int refuse(cvm_turn *pub, const char *code, const char *field, const char *text)
{
    return note_reply(pub, CVM_REFUSED, json_pack("{s:s, s:s?, s:s}", "code", code, "field", field, "message", text),
                      NULL);
}

/* ---- timers and calls ---- */

static int timer(cvm_turn *pub, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    struct harness_turn *t = of(pub);
    int e = t->ephemeral                     ? CVM_ESTATE
            : harness__route(t->c, type) < 0 ? CVM_ENOENT
            : delay_ms < 0                   ? CVM_EINVAL
                                             : CVM_OK;
    struct harness_item *made = e < 0 ? NULL : harness__make(t, type, t->m->conversation);
    if (!made) {
        json_decref(data);
        return e < 0 ? harness__complain(t, e, "cvm_timer", type, e == CVM_ESTATE ? EPHEMERAL : "no route of that name")
                     : CVM_ELIMIT;
    }
    made->kind = ITEM_TIMER;
    made->to = t->c;
    made->on_behalf = on_behalf;
    made->data = data ? data : json_object();
    made->at_ms = t->h->now + delay_ms;
    if (ret_id)
        *ret_id = made->id;
    return CVM_OK;
}

static int timer_cancel(cvm_turn *pub, cvm_id id)
{
    struct harness_turn *t = of(pub);
    for (size_t i = 0; i < t->h->n_items; i++)
        if (t->h->items[i].kind == ITEM_TIMER && cvm_id_eq(t->h->items[i].id, id)) {
            if (t->n_cancelled == HARNESS_CANCELLED_MAX)
                return CVM_ELIMIT;
            t->cancelled[t->n_cancelled++] = id;
            return CVM_OK;
        }
    return CVM_ENOENT;
}

/* The declaration of a call; *ret_host is the host it belongs to. */
static const json_t *find_call(const json_t *manifest, const char *name, const json_t **ret_host)
{
    const json_t *hosts = json_object_get(json_object_get(manifest, "needs"), "hosts");
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const json_t *calls = json_object_get(json_array_get(hosts, i), "calls");
        for (size_t k = 0; k < json_array_size(calls); k++)
            if (!strcmp(cvm_json_str(json_array_get(calls, k), "name", ""), name)) {
                *ret_host = json_array_get(hosts, i);
                return json_array_get(calls, k);
            }
    }
    return NULL;
}

static json_t *call_data(const struct harness_turn *t, const cvm_call *c, const json_t *decl, const json_t *host)
{
    const char *url = cvm_json_str(host, "url", "");
    char id[40], path[600];
    snprintf(id, sizeof id, "MSG-%016llx", (unsigned long long)t->h->counter);
    snprintf(path, sizeof path, "%s%.300s", cvm_json_str(decl, "path", ""), c->path ? c->path : "");
    if (strncmp(url, "setting:", 8) == 0)
        url = cvm_json_str(t->c->settings, url + 8, "");
    return json_pack("{s:s, s:s, s:s, s:s, s:O?, s:O?, s:O?, s:s}", "name", c->name, "method",
                     cvm_json_str(decl, "method", ""), "url", url, "path", path, "query", c->query, "headers",
                     c->headers, "body", c->body, "key", c->key ? c->key : id);
}

static int call_checked(struct harness_turn *t, const cvm_call *c, cvm_id *ret_id)
{
    const json_t *host = NULL, *decl = find_call(t->c->plugin->manifest, c->name, &host);
    char reply[CVM_NAME_MAX + 8];
    snprintf(reply, sizeof reply, "%s.reply", c->name);
    if (!decl)
        return harness__complain(t, CVM_EACCES, "cvm_http_call", c->name,
                                 "declare it in \"needs.hosts\" of the manifest");
    if (t->ephemeral && !cvm_json_bool(decl, "safe", false))
        return harness__complain(t, CVM_ESTATE, "cvm_http_call", c->name,
                                 "an operation with \"durable\": false may make safe calls only");
    if (harness__route(t->c, reply) < 0)
        return harness__complain(t, CVM_ENOENT, "cvm_http_call", c->name, "no route takes its reply");
    cvm_mail mail = cvm_mail_of(c->headers, c->body);
    bool is_mail = !strcmp(cvm_json_str(decl, "method", ""), CVM_MAIL_METHOD);
    if (is_mail && cvm_mail_fault(&mail))
        return harness__complain(t, CVM_EINVAL, "cvm_send_mail", cvm_mail_fault(&mail),
                                 "missing, too long, no address, or has a line break");
    struct harness_item *made = harness__make(t, c->name, t->m->conversation);
    if (!made)
        return CVM_ELIMIT;
    made->kind = ITEM_CALL;
    made->on_behalf = c->on_behalf;
    made->data = call_data(t, c, decl, host);
    made->at_ms = c->deadline_ms ? c->deadline_ms : t->h->now + 300000;
    record(t, "call", cvm_json_str(made->data, "url", ""), c->name, made->conversation, made->data);
    if (ret_id)
        *ret_id = made->id;
    return CVM_OK;
}

static int call(cvm_turn *pub, const cvm_call *c, cvm_id *ret_id)
{
    int e = c->size < sizeof *c || !c->name ? CVM_EINVAL : call_checked(of(pub), c, ret_id);
    json_decref(c->headers);
    json_decref(c->body);
    return e;
}

static int job_checked(struct harness_turn *t, const char *job, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    char reply[CVM_NAME_MAX + 8];
    if (!job || !harness__job(t->c, job))
        return harness__complain(t, CVM_EACCES, "cvm_job_start", job ? job : "",
                                 "declare it in \"jobs\" of the manifest");
    snprintf(reply, sizeof reply, "%s.reply", job);
    if (harness__route(t->c, reply) < 0)
        return harness__complain(t, CVM_ENOENT, "cvm_job_start", job, "no route takes its reply");
    if (!json_is_object(input) || timeout_ms < 0)
        return harness__complain(t, CVM_EINVAL, "cvm_job_start", job,
                                 "the input must be an object, the time not less than 0");
    struct harness_item *made = harness__make(t, job, t->m->conversation);
    if (!made)
        return CVM_ELIMIT;
    made->kind = ITEM_JOB;
    made->on_behalf = on_behalf;
    made->data = json_incref(input);
    record(t, "job", "", job, made->conversation, made->data);
    return CVM_OK;
}

static int job_start(cvm_turn *pub, const char *job, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    if (!input)
        input = json_object();
    int e = job_checked(of(pub), job, input, on_behalf, timeout_ms);
    json_decref(input);
    return e;
}

/* ---- the rest ---- */

static int note(cvm_turn *pub, const char *what, json_t *data)
{
    if (!*what)
        harness__die("%s: cvm_note without a word", of(pub)->c->id);
    json_array_append_new(of(pub)->notes,
                          json_pack("{s:s, s:s, s:o?}", "component", of(pub)->c->id, "what", what, "data", data));
    return CVM_OK;
}

static int end(cvm_turn *pub)
{
    return of(pub)->ephemeral ? CVM_ESTATE : CVM_OK;
}

static int64_t now_ms(cvm_turn *pub)
{
    return of(pub)->h->now;
}

static uint64_t random_bits(cvm_turn *pub) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = of(pub)->m->id.lo * UINT64_C(0x9e3779b97f4a7c15) + ++of(pub)->ordinal * UINT64_C(0xd1342543de82ef95);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static const json_t *settings(cvm_turn *pub)
{
    return of(pub)->c->settings;
}

static const json_t *registry(cvm_turn *pub, const char *what)
{
    const struct harness *h = of(pub)->h;
    return !strcmp(what, "components")  ? h->registry
           : !strcmp(what, "domains")   ? h->domains
           : !strcmp(what, "workflows") ? h->workflows
           : !strcmp(what, "pages")     ? h->pages
                                        : NULL;
}

static int secret(cvm_turn *pub, const char *name, const char **ret_value)
{
    struct harness_turn *t = of(pub);
    const json_t *needs = json_object_get(t->c->plugin->manifest, "needs");
    const char *value = cvm_json_str(t->h->secrets, name, NULL);
    if (!harness__lists(json_object_get(needs, "secrets"), name))
        return harness__complain(t, CVM_EACCES, "cvm_secret", name, "name it in \"needs.secrets\"");
    if (!value)
        return CVM_ENOENT;
    *ret_value = value;
    return CVM_OK;
}

static bool declares(const json_t *manifest, const char *model)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(manifest, "models"), i, one)
    {
        if (strcmp(cvm_json_str(one, "name", ""), model) == 0)
            return true;
    }
    return harness__lists(json_object_get(json_object_get(manifest, "needs"), "models"), model);
}

static int classify(cvm_turn *pub, const char *model, const char *text, json_t **ret_labels)
{
    struct harness_turn *t = of(pub);
    if (!model || !text)
        return harness__complain(t, CVM_EINVAL, "cvm_classify", model ? model : "", "no model or no text");
    if (!declares(t->c->plugin->manifest, model))
        return harness__complain(t, CVM_EACCES, "cvm_classify", model, "declare it, or name it in \"needs.models\"");
    const json_t *texts = json_object_get(t->h->models, model), *labels = json_object_get(texts, text);
    if (!labels)
        labels = json_object_get(texts, "");
    if (!json_is_object(labels))
        return CVM_ENOENT;
    *ret_labels = json_deep_copy(labels);
    return *ret_labels ? CVM_OK : CVM_ENOMEM;
}

static int match(cvm_turn *pub, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    int found = harness__match(pattern, true, text, offset, spans, n);
    return found == CVM_EINVAL ? harness__complain(of(pub), found, "cvm_match", pattern, "") : found;
}

static int hmac_sha256(cvm_turn *pub, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[32])
{
    uint8_t mac[64];
    (void)pub;
    memcpy(ret, mac, harness__hmac(false, key, key_len, data, len, mac));
    return CVM_OK;
}

static int hmac(cvm_turn *pub, int digest, const void *key, size_t key_len, const void *data, size_t len,
                uint8_t *ret_mac, size_t size)
{
    uint8_t mac[64];
    if ((digest != CVM_SHA256 && digest != CVM_SHA512) || size < (digest == CVM_SHA512 ? 64 : 32))
        return harness__complain(of(pub), CVM_EINVAL, "cvm_hmac", "", "no such digest, or no room for it");
    size_t n = harness__hmac(digest == CVM_SHA512, key, key_len, data, len, mac);
    memcpy(ret_mac, mac, n);
    return (int)n;
}

static void log_line(cvm_turn *pub, int level, const char *format, va_list args)
{
    char text[1024];
    (void)level;
    vsnprintf(text, sizeof text, format, args);
    harness__log(of(pub)->h, "%s: %s", of(pub)->c->id, text);
}

static int new_id(cvm_turn *pub, const char *prefix, char *ret_id, size_t size)
{
    if (of(pub)->ephemeral)
        return harness__complain(of(pub), CVM_ESTATE, "cvm_new_id", prefix, EPHEMERAL);
    uint64_t n = ++of(pub)->h->counter * UINT64_C(0x9e3779b97f4a7c15);
    snprintf(ret_id, size, "%s-%012llx", prefix, (unsigned long long)(n >> 16));
    return CVM_OK;
}

const cvm_host harness_table = {.size = sizeof harness_table,
                                .abi_major = CVM_ABI_MAJOR,
                                .abi_minor = CVM_ABI_MINOR,
                                .emit = emit,
                                .settle = settle,
                                .refuse = refuse,
                                .timer = timer,
                                .timer_cancel = timer_cancel,
                                .call = call,
                                .query = harness__query,
                                .context = harness__context,
                                .context_set = harness__context_set,
                                .state_get = harness__state_get,
                                .state_put = harness__state_put,
                                .state_scan = harness__state_scan,
                                .row_put = harness__row_put,
                                .row_del = harness__row_del,
                                .note = note,
                                .end = end,
                                .now_ms = now_ms,
                                .random = random_bits,
                                .settings = settings,
                                .registry = registry,
                                .secret = secret,
                                .match = match,
                                .hmac_sha256 = hmac_sha256,
                                .log = log_line,
                                .note_reply = note_reply,
                                .new_id = new_id,
                                .hmac = hmac,
                                .classify = classify,
                                .job_start = job_start};
