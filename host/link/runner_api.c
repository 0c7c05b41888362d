/* The function table that handlers in a plugin's own process see. What only the host can decide is asked; what is
 * certain here is told, and travels with the end of the turn. */
#include "core/id.h"
#include "link/runner_parts.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSIFY_TEXT_MAX_BYTES (64 * 1024)

static struct runner_turn *of(cvm_turn *pub)
{
    return (struct runner_turn *)pub;
}

static bool is_durable(const struct runner_turn *t)
{
    return *t->message->conversation != 0;
}

static json_t *id_json(cvm_id id)
{
    char text[40];
    if (cvm_id_is_none(id))
        return NULL;
    id_text(id, text);
    return json_string(text);
}

static bool is_text(const char *text, size_t most)
{
    size_t n = text ? strlen(text) : 0;
    return n <= most && (!n || text_is_utf8(text, n));
}

/* ---- messages out -------------------------------------------------------------------------------------------------
 */

/* What jansson would not take as a string would be left out in silence. */
static int check_out(const cvm_out *out)
{
    const char *names[] = {out->conversation, out->enquiry_id, out->customer_id, out->session_id};
    if (out->content && strlen(out->content) > CVM_CONTENT_MAX_BYTES)
        return CVM_ELIMIT;
    for (int i = 0; i < 4; i++)
        if (names[i] && strlen(names[i]) > CVM_NAME_MAX)
            return CVM_ELIMIT;
    for (int i = 0; i < 4; i++)
        if (!is_text(names[i], CVM_NAME_MAX))
            return CVM_EINVAL;
    if (!is_text(out->content, CVM_CONTENT_MAX_BYTES) || !is_text(out->to, SIZE_MAX) || !is_text(out->type, SIZE_MAX))
        return CVM_EINVAL;
    return out->confidence <= 1.0 ? 0 : CVM_EINVAL;
}

static int emit(cvm_turn *pub, const cvm_out *out, cvm_id *ret_id)
{
    struct runner_turn *t = of(pub);
    size_t bytes = json_text_size(out->data, CVM_TURN_BYTES_MAX) + json_text_size(out->tags, CVM_TURN_BYTES_MAX) +
                   (out->content ? strlen(out->content) : 0);
    int e = out->size < sizeof *out ? CVM_EINVAL : check_out(out);
    if (!e && bytes > CVM_TURN_BYTES_MAX)
        e = CVM_ELIMIT;
    if (e) {
        json_decref(out->data);
        json_decref(out->tags);
        return e;
    }
    runner_count(t, 1, bytes + 4 * CVM_NAME_MAX);
    t->published = t->published || out->kind == CVM_OUT_PUBLISH || (out->to && strcmp(out->to, "BROADCAST") == 0);
    e = runner_ask_id(
        t,
        json_pack(
            "{s:s, s:i, s:s*, s:s*, s:o*, s:s*, s:o*, s:s*, s:s*, s:s*, s:s*, s:o*, s:o*, s:I, s:f, s:i, s:i, s:b}",
            "op", "emit", "kind", (int)out->kind, "to", out->to, "type", out->type, "data", out->data, "content",
            out->content, "tags", out->tags, "conversation", out->conversation, "enquiry_id", out->enquiry_id,
            "customer_id", out->customer_id, "session_id", out->session_id, "on_behalf", id_json(out->on_behalf),
            "request", id_json(out->request), "timeout_ms", (json_int_t)out->timeout_ms, "confidence", out->confidence,
            "priority", out->priority, "message_type", out->message_type, "fresh", out->fresh),
        ret_id);
    if (!e && out->kind == CVM_OUT_FORWARD && cvm_id_eq(out->request, t->message->id))
        t->open = false;
    return e;
}

/* Its own request the turn may settle for certain, once; else the host knows. */
static int settle(cvm_turn *pub, cvm_id request, int outcome, json_t *data, const char *content)
{
    struct runner_turn *t = of(pub);
    char id[40];
    size_t length = content ? strlen(content) : 0, bytes = json_text_size(data, CVM_TURN_BYTES_MAX) + length;
    bool sound = outcome >= CVM_REPLIED && outcome <= CVM_UNKNOWN && (!data || json_is_object(data));
    int e = !is_text(content, SIZE_MAX)                                        ? CVM_EINVAL
            : bytes > CVM_TURN_BYTES_MAX || length > 2 * CVM_CONTENT_MAX_BYTES ? CVM_ELIMIT
                                                                               : 0;
    if (e) {
        json_decref(data);
        return e;
    }
    bool certain = runner_count(t, 1, bytes) && sound && length <= CVM_CONTENT_MAX_BYTES && t->open &&
                   cvm_id_eq(request, t->message->id);
    id_text(request, id);
    if (certain) {
        runner_tell_reply(t, id, outcome, data, content);
        json_decref(data);
    } else {
        e = runner_ask_id(t,
                          json_pack("{s:s, s:s, s:i, s:o*, s:s*}", "op", "settle", "request", id, "outcome", outcome,
                                    "data", data, "content", content),
                          NULL);
    }
    if (!e && cvm_id_eq(request, t->message->id))
        t->open = false;
    return e;
}

static int note_reply(cvm_turn *pub, int outcome, json_t *data, const char *content)
{
    (void)content;
    if (!json_is_object(data)) {
        json_decref(data);
        return CVM_EINVAL;
    }
    runner_tell(of(pub), json_pack("{s:s, s:i, s:o}", "op", "refuse", "outcome", outcome, "data", data));
    return CVM_EREFUSED;
}

static int refuse(cvm_turn *pub, const char *code, const char *field, const char *text)
{
    return note_reply(pub, CVM_REFUSED, json_pack("{s:s, s:s?, s:s}", "code", code, "field", field, "message", text),
                      NULL);
}

/* ---- later, and outside -------------------------------------------------------------------------------------------
 */

/* What is larger than a turn may be the link does not carry. */
static bool too_large(struct runner_turn *t, uint32_t outputs, json_t *a, json_t *b)
{
    size_t bytes = (a ? json_text_size(a, CVM_TURN_BYTES_MAX) : 0) + (b ? json_text_size(b, CVM_TURN_BYTES_MAX) : 0);
    runner_count(t, outputs, bytes + CVM_STATE_KEY_MAX * 2);
    if (bytes <= CVM_TURN_BYTES_MAX)
        return false;
    json_decref(a);
    json_decref(b);
    return true;
}

static int timer(cvm_turn *pub, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    if (too_large(of(pub), 1, data, NULL))
        return CVM_ELIMIT;
    return runner_ask_id(of(pub),
                         json_pack("{s:s, s:s*, s:I, s:o*, s:o*}", "op", "timer", "type", type, "delay_ms",
                                   (json_int_t)delay_ms, "data", data, "on_behalf", id_json(on_behalf)),
                         ret_id);
}

static int timer_cancel(cvm_turn *pub, cvm_id id)
{
    return runner_ask_id(of(pub), json_pack("{s:s, s:o*}", "op", "timer_cancel", "timer", id_json(id)), NULL);
}

static int call(cvm_turn *pub, const cvm_call *c, cvm_id *ret_id)
{
    if (too_large(of(pub), 1, c->headers, c->body))
        return CVM_ELIMIT;
    return runner_ask_id(of(pub),
                         json_pack("{s:s, s:s*, s:s*, s:O*, s:o*, s:o*, s:s*, s:o*, s:I, s:I}", "op", "call", "name",
                                   c->name, "path", c->path, "query", (json_t *)(uintptr_t)c->query, "headers",
                                   c->headers, "body", c->body, "key", c->key, "on_behalf", id_json(c->on_behalf),
                                   "timeout_ms", (json_int_t)c->timeout_ms, "deadline_ms", (json_int_t)c->deadline_ms),
                         ret_id);
}

/* What else is asked. One that no JSON can hold keeps its place: the host refuses it. */
static json_t *questions(const cvm_query *q)
{
    json_t *also = q->n_also ? json_array() : NULL;
    for (size_t i = 0; i < q->n_also && i <= CVM_QUESTIONS_MAX; i++) { /* one too many is refused by the host */
        json_t *one = json_pack("{s:s*, s:s*, s:s*}", "match", q->also[i].match, "near_column", q->also[i].near_column,
                                "near_vector", q->also[i].near_vector);
        json_array_append_new(also, one ? one : json_null());
    }
    return also;
}

static int query(cvm_turn *pub, const cvm_query *given)
{
    cvm_query whole = {.size = 0}, *q = &whole;
    if (given->size < CVM_QUERY_SIZE_1_0)
        return CVM_EINVAL;
    memcpy(&whole, given, given->size < sizeof whole ? given->size : sizeof whole);
    if (too_large(of(pub), 1, q->where, q->with))
        return CVM_ELIMIT;
    json_t *op = json_pack("{s:s, s:s*, s:o*, s:s*, s:I, s:o*, s:s*, s:s*, s:s*, s:o*, s:o*, s:o*}", "op", "query",
                           "table", q->table, "where", q->where, "order_by", q->order_by, "limit", (json_int_t)q->limit,
                           "on_behalf", id_json(q->on_behalf), "match", q->match, "near_column", q->near_column,
                           "near_vector", q->near_vector, "with", q->with, "keys_only",
                           q->keys_only ? json_true() : NULL, "also", questions(q));
    size_t bytes = op ? json_text_size(op, 4 * CVM_TURN_BYTES_MAX) : 0;
    runner_count(of(pub), 0, bytes);
    if (bytes > 4 * CVM_TURN_BYTES_MAX) { /* `where` and `with` within their limit, and texts that are too long */
        json_decref(op);
        return CVM_ELIMIT;
    }
    return op ? runner_ask_id(of(pub), op, NULL) : CVM_EINVAL;
}

/* Only where recorded turns are run again: elsewhere a plugin with jobs is inside the host. */
static int job_start(cvm_turn *pub, const char *job, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    if (too_large(of(pub), 1, input, NULL))
        return CVM_ELIMIT;
    return runner_ask_id(of(pub),
                         json_pack("{s:s, s:s*, s:o*, s:o*, s:I}", "op", "job", "job", job, "input", input, "on_behalf",
                                   id_json(on_behalf), "timeout_ms", (json_int_t)timeout_ms),
                         NULL);
}

static int row_put(cvm_turn *pub, const char *table, json_t *row)
{
    if (too_large(of(pub), 0, row, NULL))
        return CVM_ELIMIT;
    return runner_ask_id(of(pub), json_pack("{s:s, s:s*, s:o*}", "op", "row_put", "table", table, "row", row), NULL);
}

static int row_del(cvm_turn *pub, const char *table, const char *key)
{
    return runner_ask_id(of(pub), json_pack("{s:s, s:s*, s:s*}", "op", "row_del", "table", table, "key", key), NULL);
}

static int note(cvm_turn *pub, const char *what, json_t *data)
{
    struct runner_turn *t = of(pub);
    size_t bytes = json_text_size(data, CVM_TURN_BYTES_MAX);
    if (!is_durable(t) || bytes > CVM_TURN_BYTES_MAX) {
        json_decref(data);
        return is_durable(t) ? CVM_ELIMIT : CVM_OK;
    }
    json_t *op = json_pack("{s:s, s:s, s:o*}", "op", "note", "what", what, "data", data);
    if (!runner_count(t, 0, bytes))
        return runner_ask_id(t, op, NULL);
    runner_tell(t, op);
    return CVM_OK;
}

static int end(cvm_turn *pub)
{
    if (!is_durable(of(pub)))
        return CVM_ESTATE;
    runner_tell(of(pub), json_pack("{s:s}", "op", "end"));
    return CVM_OK;
}

/* ---- what the turn is given ---------------------------------------------------------------------------------------
 */

static int64_t now_ms(cvm_turn *pub)
{
    return of(pub)->now_ms;
}

/* The same numbers as inside the host: turn_api.c. */
static uint64_t random_bits(cvm_turn *pub)
{
    struct runner_turn *t = of(pub);
    if (!t->random_seeded) {
        t->random = id_seed(t->message->id, t->component->salt);
        t->random_seeded = true;
    }
    return id_random(&t->random);
}

/* A fact of the host: asked for once, kept until the host has others. Borrowed until then or the turn's end. */
static const json_t *fact(struct runner_turn *t, const char *kind, const char *name, int *ret_error)
{
    struct runner_facts *facts = &t->runner->facts;
    char key[2 * CVM_NAME_MAX + 16];
    snprintf(key, sizeof key, "%s/%s/%s", kind, strcmp(kind, "settings") == 0 ? t->component->id : "", name);
    json_t *value = json_object_get(facts->values, key);
    *ret_error = 0;
    if (!value) {
        json_t *answer = runner_ask(t, json_pack("{s:s, s:s}", "op", kind, "name", name));
        *ret_error = (int)json_integer_value(json_object_get(answer, "error"));
        value = json_incref(json_object_get(answer, "value"));
        json_decref(answer);
        if (!value || json_object_set_new(facts->values, key, value) < 0)
            return NULL;
    }
    return runner_lend(t, json_incref(value));
}

static const json_t *settings(cvm_turn *pub)
{
    int e;
    const json_t *value = fact(of(pub), "settings", "", &e);
    return value ? value : runner_lend(of(pub), json_object());
}

static const json_t *registry(cvm_turn *pub, const char *what)
{
    int e;
    return is_text(what, CVM_NAME_MAX) ? fact(of(pub), "registry", what, &e) : NULL;
}

static int secret(cvm_turn *pub, const char *name, const char **ret_value)
{
    int e = CVM_EACCES;
    const json_t *value = is_text(name, CVM_NAME_MAX) ? fact(of(pub), "secret", name, &e) : NULL;
    if (!value)
        return e ? e : CVM_ENOENT;
    *ret_value = json_string_value(value);
    return CVM_OK;
}

/* Asked each time: the record of the turn has the answer. */
static int classify(cvm_turn *pub, const char *model, const char *text, json_t **ret_labels)
{
    if (!model || !text)
        return CVM_EINVAL;
    if (strlen(text) > CLASSIFY_TEXT_MAX_BYTES)
        return CVM_ELIMIT;
    json_t *answer = runner_ask(of(pub), json_pack("{s:s, s:s, s:s}", "op", "classify", "model", model, "text", text));
    const json_t *error = json_object_get(answer, "error");
    json_t *value = json_object_get(answer, "value");
    int e = json_is_integer(error) ? (int)json_integer_value(error) : CVM_EFAULT;
    if (!e && value)
        *ret_labels = json_incref(value);
    json_decref(answer);
    return !e && !value ? CVM_EFAULT : e;
}

static int match(cvm_turn *pub, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    return regexes_match(&of(pub)->runner->regexes, pattern, text, offset, spans, n);
}

static int hmac(cvm_turn *pub, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[32])
{
    unsigned n = 32;
    (void)pub;
    return HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, &n) ? CVM_OK : CVM_EINVAL;
}

/* Any of the digests; `size` is what the plugin has room for. */
static int mac(cvm_turn *pub, int digest, const void *key, size_t key_len, const void *data, size_t len,
               uint8_t *ret_mac, size_t size)
{
    unsigned n = digest == CVM_SHA512 ? 64 : 32;
    (void)pub;
    if ((digest != CVM_SHA256 && digest != CVM_SHA512) || size < n || key_len > INT_MAX)
        return CVM_EINVAL;
    return HMAC(digest == CVM_SHA512 ? EVP_sha512() : EVP_sha256(), key, (int)key_len, data, len, ret_mac, &n)
               ? (int)n
               : CVM_EINVAL;
}

static void log_line(cvm_turn *pub, int level, const char *format, va_list args)
{
    char line[1024];
    int n = vsnprintf(line, sizeof line, format, args);
    if (n < 0)
        return;
    text_make_utf8(line);
    runner_tell(of(pub), json_pack("{s:s, s:i, s:s}", "op", "log", "level", level, "text", line));
}

/* Its counter stands among the component's keys, and the turn sees it there. */
static int new_id(cvm_turn *pub, const char *prefix, char *ret_id, size_t size)
{
    struct runner_turn *t = of(pub);
    char key[32];
    if (!is_text(prefix, SIZE_MAX) || size < CVM_SHORT_ID_SIZE)
        return CVM_EINVAL;
    json_t *answer = runner_ask(t, json_pack("{s:s, s:s}", "op", "new_id", "prefix", prefix));
    const char *id = json_string_value(json_object_get(answer, "value"));
    json_t *counter = json_object_get(answer, "counter");
    int e = (int)json_integer_value(json_object_get(answer, "error"));
    if (!e && id && counter) {
        snprintf(ret_id, size, "%s", id);
        snprintf(key, sizeof key, ".id/%s", prefix);
        runner_state_wrote(t, key, counter);
        t->state_bytes += sizeof key + 20;
    }
    e = e ? e : id && counter ? CVM_OK : CVM_EFAULT;
    json_decref(answer);
    return e;
}

const cvm_host runner_api = {
    .size = sizeof(cvm_host),
    .abi_major = CVM_ABI_MAJOR,
    .abi_minor = CVM_ABI_MINOR,
    .emit = emit,
    .settle = settle,
    .refuse = refuse,
    .timer = timer,
    .timer_cancel = timer_cancel,
    .call = call,
    .query = query,
    .context = runner_context,
    .context_set = runner_context_set,
    .state_get = runner_state_get,
    .state_put = runner_state_put,
    .state_scan = runner_state_scan,
    .row_put = row_put,
    .row_del = row_del,
    .note = note,
    .end = end,
    .now_ms = now_ms,
    .random = random_bits,
    .settings = settings,
    .registry = registry,
    .secret = secret,
    .match = match,
    .hmac_sha256 = hmac,
    .log = log_line,
    .note_reply = note_reply,
    .new_id = new_id,
    .hmac = mac,
    .classify = classify,
    .job_start = job_start,
};
