/* The functions of the host as the checked plugin sees them: each looks, calls the real one, and looks again. In a
 * child.
 */
#include "conform/parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define REGISTRY_EVERY 16 /* turns: what is loaded is large, and rarely wronged */

static const cvm_host *real; /* of the turn under way */
static const cvm_msg *message;
static bool context_changed;
static json_t *under_way; /* what this turn adds: conversation -> number */

/* ---- the functions of the host ------------------------------------------------------------------------------------
 */

/* One more thing that comes back to `conversation`; NULL: to the turn's own. */
static void comes_back(const char *conversation, int n)
{
    const char *to = conversation && *conversation ? conversation : message->conversation;
    json_int_t was = json_integer_value(json_object_get(under_way, to));
    json_object_set_new(under_way, to, json_integer(was + n));
}

/* What a well-behaved handler is never refused, whatever it is sent. */
static int told(const char *call, const char *subject, int error)
{
    if (error >= 0 || error == CVM_ENOMEM || error == CVM_ENOENT || error == CVM_EREFUSED || error == CVM_EBUSY ||
        !guard.watch || guard.tolerant)
        return error;
    find(guard.c, "limits", call, message->recipient, message->type,
         "%s%s%.120s: the host refused it (%s): check before you call, or declare it in the manifest", call,
         *subject ? " " : "", subject, cvm_strerror(error));
    return error;
}

#define ENTER() (guard_call(), memory_host(true))
#define LEAVE() memory_host(false)

static void learn(const cvm_out *out)
{
    json_t *types;
    if (!out->to || !out->type || out->kind == CVM_OUT_PUBLISH)
        return;
    if (!(types = json_object_get(guard.c->learned, out->to)))
        json_object_set_new(guard.c->learned, out->to, types = json_object());
    if (json_object_get(types, out->type))
        return;
    json_object_set_new(types, out->type, json_true());
    fact_write(guard.c, json_pack("{s:s, s:s, s:s}", "kind", "learned", "to", out->to, "type", out->type));
}

static int g_emit(cvm_turn *t, const cvm_out *out, cvm_id *ret_id)
{
    static const char *const names[] = {"cvm_request", "cvm_send", "cvm_publish", "cvm_forward", "cvm_look"};
    char subject[160] = "";
    if (memory_call_fails()) {
        json_decref(out->data);
        json_decref(out->tags);
        return CVM_ENOMEM;
    }
    ENTER();
    snprintf(subject, sizeof subject, "%.60s%s%.80s", out->type ? out->type : "", out->to ? " to " : "",
             out->to ? out->to : "");
    json_t *data = out->data;
    borrow_taken("a message's data after it was sent", data);
    const char *conversation = out->conversation;
    uint32_t kind = out->kind;
    int e = real->emit(t, out, ret_id);
    borrow_given(e < 0 ? NULL : data);
    if (e == CVM_ENOENT)
        learn(out);
    bool asks = kind == CVM_OUT_REQUEST || kind == CVM_OUT_LOOK;
    if (e >= 0 && (asks || (conversation && *conversation)))
        comes_back(NULL, 1);
    if (e >= 0 && !asks)
        comes_back(NULL, 1 << 20); /* who gets it may go on here: nobody can tell when that is over */
    told(kind <= CVM_OUT_LOOK ? names[kind] : "cvm_request", subject, e);
    LEAVE();
    return e;
}

static int g_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content)
{
    if (memory_call_fails()) {
        json_decref(data);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("an answer's data after it was given", data);
    int e = real->settle(t, request, outcome, data, content);
    borrow_given(e < 0 ? NULL : data);
    told("cvm_settle", "", guard.inject.component ? 0 : e);
    LEAVE();
    return e;
}

static int g_refuse(cvm_turn *t, const char *code, const char *field, const char *text)
{
    ENTER();
    if (guard.watch && (!code || !*code || !text || !*text))
        find(guard.c, "answers", "refusal", message->recipient, message->type,
             "refuses without %s: say which rule it was and what would help", !code || !*code ? "a code" : "a text");
    int e = real->refuse(t, code, field, text);
    LEAVE();
    return e;
}

static int g_note_reply(cvm_turn *t, int outcome, json_t *data, const char *content)
{
    ENTER();
    borrow_taken("a refusal's body after it was given", data);
    int e = real->note_reply(t, outcome, data, content);
    borrow_given(data);
    LEAVE();
    return e;
}

static int g_timer(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    if (memory_call_fails()) {
        json_decref(data);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("a timer's data after it was set", data);
    int e = real->timer(t, type, delay_ms, data, on_behalf, ret_id);
    borrow_given(e < 0 ? NULL : data);
    if (e >= 0) {
        comes_back(NULL, 1);
        if (type)
            json_object_set_new(guard.timers, type, json_true());
    } else if (e == CVM_ENOENT && guard.watch) {
        find(guard.c, "limits", "cvm_timer", message->recipient, message->type,
             "sets a timer %.80s, for which the library has no route of this component", type ? type : "(NULL)");
    }
    told("cvm_timer", type ? type : "", e);
    LEAVE();
    return e;
}

static int g_timer_cancel(cvm_turn *t, cvm_id timer)
{
    ENTER();
    int e = real->timer_cancel(t, timer);
    if (e >= 0)
        comes_back(NULL, -1);
    LEAVE();
    return e;
}

static int g_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id)
{
    if (memory_call_fails()) {
        json_decref(call->headers);
        json_decref(call->body);
        return CVM_ENOMEM;
    }
    ENTER();
    json_t *body = call->body;
    borrow_taken("a call's body after it was handed over", body);
    int e = real->call(t, call, ret_id);
    borrow_given(e < 0 ? NULL : body);
    if (e >= 0)
        comes_back(NULL, 1);
    told("cvm_http_call", call->name ? call->name : "", e);
    LEAVE();
    return e;
}

static int g_query(cvm_turn *t, const cvm_query *query)
{
    if (memory_call_fails()) {
        json_decref(query->where);
        json_decref(query->size >= offsetof(cvm_query, keys_only) ? query->with : NULL); /* 1.2 has it */
        return CVM_ENOMEM;
    }
    ENTER();
    int e = real->query(t, query);
    if (e >= 0)
        comes_back(NULL, 1);
    told("cvm_ask", query->table ? query->table : "", e);
    LEAVE();
    return e;
}

static int g_job_start(cvm_turn *t, const char *job, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    if (memory_call_fails()) {
        json_decref(input);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("a job's input after it was given", input);
    int e = real->job_start(t, job, input, on_behalf, timeout_ms);
    borrow_given(e < 0 ? NULL : input);
    if (e >= 0)
        comes_back(NULL, 1);
    told("cvm_job_start", job ? job : "", e);
    LEAVE();
    return e;
}

static const json_t *g_context(cvm_turn *t)
{
    ENTER();
    const json_t *value = real->context(t);
    if (!context_changed)
        borrow("the context", value, true);
    LEAVE();
    return value;
}

static int g_context_set(cvm_turn *t, const char *path, json_t *value)
{
    if (memory_call_fails()) {
        json_decref(value);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_forget("a value after it was put into the context");
    borrow_taken("a value after it was put into the context", value);
    int e = real->context_set(t, path, value);
    borrow_given(e < 0 ? NULL : value);
    context_changed = true;
    told("cvm_context_set", path ? path : "", e);
    LEAVE();
    return e;
}

static int g_state_get(cvm_turn *t, const char *key, const json_t **ret_value)
{
    if (memory_call_fails())
        return CVM_ENOMEM;
    ENTER();
    borrow_pause();
    int e = real->state_get(t, key, ret_value);
    borrow_resume();
    if (e >= 0)
        borrow("a state value", *ret_value, true);
    if (e == CVM_EDATA && guard.watch)
        find(guard.c, "state", "upgrade", message->recipient, message->type,
             "a stored value of an older version could not be read: upgrade() refused it or gave nothing");
    told("cvm_state_get", "(key)", e == CVM_EDATA ? 0 : e);
    LEAVE();
    return e;
}

static int g_state_put(cvm_turn *t, const char *key, json_t *value)
{
    if (memory_call_fails()) {
        json_decref(value);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("a state value after it was put", value);
    int e = real->state_put(t, key, value);
    if (e >= 0)
        borrow_replaced(key);
    borrow_given(e < 0 ? NULL : value);
    borrow_placed(key, e < 0 ? NULL : value);
    told(value ? "cvm_state_put" : "cvm_state_del", "(key or value)", e);
    LEAVE();
    return e;
}

static int g_state_scan(cvm_turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    if (memory_call_fails())
        return CVM_ENOMEM;
    ENTER();
    int e = real->state_scan(t, prefix, after, limit, ret_pairs);
    json_t *pair;
    size_t i;
    if (e >= 0)
        json_array_foreach(*ret_pairs, i, pair) borrow("a state value", json_array_get(pair, 1), false);
    told("cvm_state_scan", "(prefix or limit)", e);
    LEAVE();
    return e;
}

static int g_row_put(cvm_turn *t, const char *table, json_t *row)
{
    if (memory_call_fails()) {
        json_decref(row);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("a row after it was put", row);
    int e = real->row_put(t, table, row);
    borrow_given(e < 0 ? NULL : row);
    told("cvm_row_put", table ? table : "", e);
    LEAVE();
    return e;
}

static int g_row_del(cvm_turn *t, const char *table, const char *key)
{
    if (memory_call_fails())
        return CVM_ENOMEM;
    ENTER();
    int e = told("cvm_row_del", table ? table : "", real->row_del(t, table, key));
    LEAVE();
    return e;
}

static int g_note(cvm_turn *t, const char *what, json_t *data)
{
    if (memory_call_fails()) {
        json_decref(data);
        return CVM_ENOMEM;
    }
    ENTER();
    borrow_taken("a note after it was made", data);
    int e = real->note(t, what, data);
    borrow_given(e < 0 ? NULL : data);
    LEAVE();
    return e;
}

static const json_t *g_settings(cvm_turn *t)
{
    ENTER();
    const json_t *value = real->settings(t);
    borrow("the settings", value, true);
    LEAVE();
    return value;
}

static const json_t *g_registry(cvm_turn *t, const char *what)
{
    ENTER();
    const json_t *value = real->registry(t, what);
    if (guard.turns % REGISTRY_EVERY == 0)
        borrow("what is loaded (cvm_registry)", value, true);
    LEAVE();
    return value;
}

static int g_secret(cvm_turn *t, const char *name, const char **ret_value)
{
    ENTER();
    int e = told("cvm_secret", name ? name : "", real->secret(t, name, ret_value));
    LEAVE();
    return e;
}

static int g_classify(cvm_turn *t, const char *model, const char *text, json_t **ret_labels)
{
    if (memory_call_fails())
        return CVM_ENOMEM;
    ENTER();
    int e = real->classify(t, model, text, ret_labels);
    told("cvm_classify", model ? model : "", e == CVM_ENOENT ? 0 : e);
    LEAVE();
    return e;
}

static int g_match(cvm_turn *t, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    ENTER();
    int e = real->match(t, pattern, text, offset, spans, n);
    told("cvm_match", pattern ? pattern : "", e == CVM_EINVAL ? e : 0);
    LEAVE();
    return e;
}

static int g_new_id(cvm_turn *t, const char *prefix, char *ret_id, size_t size)
{
    if (memory_call_fails())
        return CVM_ENOMEM;
    ENTER();
    int e = told("cvm_new_id", prefix ? prefix : "", real->new_id(t, prefix, ret_id, size));
    LEAVE();
    return e;
}

static void g_log(cvm_turn *t, int level, const char *format, va_list args)
{
    ENTER();
    real->log(t, level, format, args);
    LEAVE();
}

const json_t *guard_asked(void)
{
    return under_way;
}

/* The table for one turn, over the one of the host. */
cvm_host guard_table(const cvm_host *host, const cvm_msg *m)
{
    real = host;
    message = m;
    context_changed = false;
    if (!under_way)
        under_way = json_object();
    json_object_clear(under_way);
    cvm_host h = *host; /* the rest is harmless: clock, randomness, end, digests */
    h.emit = g_emit;
    h.settle = g_settle;
    h.refuse = g_refuse;
    h.timer = g_timer;
    h.timer_cancel = g_timer_cancel;
    h.call = g_call;
    h.query = g_query;
    h.job_start = g_job_start;
    h.context = g_context;
    h.context_set = g_context_set;
    h.state_get = g_state_get;
    h.state_put = g_state_put;
    h.state_scan = g_state_scan;
    h.row_put = g_row_put;
    h.row_del = g_row_del;
    h.note = g_note;
    h.settings = g_settings;
    h.registry = g_registry;
    h.secret = g_secret;
    h.match = g_match;
    h.classify = g_classify;
    h.log = g_log;
    h.note_reply = g_note_reply;
    h.new_id = g_new_id;
    return h;
}
