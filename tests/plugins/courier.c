/* Two components that do what a message's script says, step by step: so a test of turns is a text in the test itself.
 * {"steps": [{"do": "put", "key": "k", "value": 1}, {"do": "reply"}]}; a reply carries what the steps found. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <math.h>
#include <stdlib.h>

#define A "test.courier"
#define B "test.helper"

static json_t *id_json(cvm_id id)
{
    return json_pack("[I, I]", (json_int_t)id.hi, (json_int_t)id.lo);
}

/* The id kept under the step's "key"; without one, the message's own. */
static cvm_id id_of(cvm_turn *t, const cvm_msg *m, const json_t *step)
{
    const char *key = cvm_json_str(step, "key", NULL);
    const json_t *v = NULL;
    if (!key)
        return m->id;
    if (cvm_state_get(t, key, &v) < 0)
        return (cvm_id){0, 0};
    return (cvm_id){(uint64_t)json_integer_value(json_array_get(v, 0)),
                    (uint64_t)json_integer_value(json_array_get(v, 1))};
}

static int save(cvm_turn *t, const json_t *step, cvm_id id)
{
    const char *key = cvm_json_str(step, "save", NULL);
    return key ? cvm_state_put(t, key, id_json(id)) : CVM_OK;
}

static int emit(cvm_turn *t, const cvm_msg *m, const json_t *step, uint32_t kind)
{
    cvm_out out = {.size = sizeof out, .kind = (uint32_t)cvm_json_int(step, "kind", kind)};
    const json_t *confidence = json_object_get(step, "confidence");
    char *content = NULL;
    cvm_id id = {0, 0};
    out.to = cvm_json_str(step, "to", B);
    out.type = cvm_json_str(step, "type", "run");
    out.data = cvm_json_share(json_object_get(step, "data"));
    out.tags = cvm_json_share(json_object_get(step, "tags"));
    out.conversation = cvm_json_str(step, "conversation", NULL);
    out.enquiry_id = cvm_json_str(step, "enquiry_id", NULL);
    out.fresh = cvm_json_bool(step, "fresh", false);
    out.priority = (int8_t)cvm_json_int(step, "priority", -1);
    out.timeout_ms = cvm_json_int(step, "timeout_ms", 0);
    out.message_type = (uint8_t)cvm_json_int(step, "message_type", 0);
    out.confidence = json_is_string(confidence) ? NAN : json_number_value(confidence);
    out.on_behalf = kind == CVM_OUT_REQUEST ? m->id : (cvm_id){0, 0};
    out.request = id_of(t, m, step);
    int64_t bytes = cvm_json_int(step, "content_bytes", 0);
    if (cvm_json_bool(step, "content_bad", false)) {
        content = strdup("caf\xe9");
    } else if (bytes && (content = malloc((size_t)bytes + 1))) {
        memset(content, 'x', (size_t)bytes);
        content[bytes] = 0;
    }
    out.content = content ? content : cvm_json_str(step, "content", NULL);
    int64_t n = cvm_json_int(step, "n", 1);
    int e = CVM_OK;
    for (int64_t i = 0; i < n && e >= 0; i++) {
        if (i) {
            json_incref(out.data);
            json_incref(out.tags);
        }
        e = t->host->emit(t, &out, &id);
    }
    free(content);
    return e < 0 ? e : save(t, step, id);
}

/* A value nested `depth` arrays deep. */
static json_t *nested(int64_t depth)
{
    json_t *v = json_array();
    for (int64_t i = 1; i < depth; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, v);
        v = outer;
    }
    return v;
}

static json_t *value_of(const json_t *step)
{
    int64_t depth = cvm_json_int(step, "depth", 0), bytes = cvm_json_int(step, "bytes", 0);
    if (depth)
        return nested(depth);
    if (bytes) {
        char *text = malloc((size_t)bytes);
        memset(text, 'y', (size_t)bytes);
        json_t *v = json_stringn(text, (size_t)bytes);
        free(text);
        return v;
    }
    if (cvm_json_bool(step, "nul", false))
        return json_stringn("a\0b", 3);
    return cvm_json_share(json_object_get(step, "value"));
}

static int timer(cvm_turn *t, const cvm_msg *m, const json_t *step)
{
    cvm_id id = {0, 0};
    json_t *data = cvm_json_share(json_object_get(step, "data"));
    if (cvm_json_int(step, "depth", 0))
        data = json_pack("{s:o}", "deep", value_of(step));
    CVM_TRY(cvm_timer(t, cvm_json_str(step, "type", "tick"), cvm_json_int(step, "delay_ms", 1000), data, m->id, &id));
    return save(t, step, id);
}

static int mark(cvm_turn *t, const char *text)
{
    const json_t *old = NULL;
    cvm_state_get(t, "log", &old) < 0 ? old = NULL : old;
    json_t *log =
        json_array_size(old) && json_array_size(old) < 500 ? json_copy((json_t *)(uintptr_t)old) : json_array();
    json_array_append_new(log, json_string(text));
    return cvm_state_put(t, "log", log);
}

static int scan(cvm_turn *t, const json_t *step, json_t *found)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, cvm_json_str(step, "prefix", ""), cvm_json_str(step, "after", NULL),
                           (size_t)cvm_json_int(step, "limit", 1000), &pairs));
    json_array_append_new(found, pairs);
    return CVM_OK;
}

/* `n` keys, each read and, where there is a value, written; the first is looked at again at the end. */
static int many(cvm_turn *t, const json_t *step, json_t *found)
{
    int64_t n = cvm_json_int(step, "n", 1), from = cvm_json_int(step, "from", 0);
    const json_t *value = json_object_get(step, "value"), *got = NULL, *first = NULL;
    char key[64];
    for (int64_t i = from; i < from + n; i++) {
        snprintf(key, sizeof key, "%s%08lld", cvm_json_str(step, "prefix", "m/"), (long long)i);
        if (value)
            CVM_TRY(cvm_state_put(t, key, cvm_json_share(value)));
        else if (cvm_state_get(t, key, &got) == CVM_OK && !first)
            first = got;
    }
    json_array_append_new(found, first ? json_deep_copy(first) : json_null());
    return CVM_OK;
}

static int step(cvm_turn *t, const cvm_msg *m, const json_t *s, json_t *found)
{
    const char *what = cvm_json_str(s, "do", ""), *key = cvm_json_str(s, "key", "k");
    const json_t *v = NULL;
    int e = CVM_OK;
    if (strcmp(what, "put") == 0)
        return cvm_state_put(t, key, value_of(s));
    if (strcmp(what, "del") == 0)
        return cvm_state_del(t, key);
    if (strcmp(what, "get") == 0) {
        e = cvm_state_get(t, key, &v);
        json_array_append_new(found, e < 0 ? json_integer(e) : cvm_json_share(v));
        return CVM_OK;
    }
    if (strcmp(what, "many") == 0)
        return many(t, s, found);
    if (strcmp(what, "scan") == 0)
        return scan(t, s, found);
    if (strcmp(what, "mark") == 0)
        return mark(t, cvm_json_str(s, "text", "?"));
    if (strcmp(what, "keep") == 0)
        return cvm_state_put(t, key, id_json(m->id));
    if (strcmp(what, "request") == 0)
        return emit(t, m, s, CVM_OUT_REQUEST);
    if (strcmp(what, "send") == 0)
        return emit(t, m, s, CVM_OUT_MESSAGE);
    if (strcmp(what, "publish") == 0)
        return emit(t, m, s, CVM_OUT_PUBLISH);
    if (strcmp(what, "forward") == 0)
        return emit(t, m, s, CVM_OUT_FORWARD);
    if (strcmp(what, "settle") == 0)
        return cvm_settle(t, id_of(t, m, s), (int)cvm_json_int(s, "outcome", CVM_REPLIED),
                          cvm_json_share(json_object_get(s, "data")), cvm_json_str(s, "content", NULL));
    if (strcmp(what, "reply") == 0)
        return cvm_settle(t, m->id, CVM_REPLIED, json_pack("{s:O}", "found", found), cvm_json_str(s, "content", NULL));
    if (strcmp(what, "timer") == 0)
        return timer(t, m, s);
    if (strcmp(what, "again") == 0)
        return cvm_timer(t, "tick", 0, cvm_json_share(m->data), m->id, NULL);
    if (strcmp(what, "cancel") == 0)
        return cvm_timer_cancel(t, id_of(t, m, s));
    if (strcmp(what, "set") == 0)
        return cvm_context_set(t, cvm_json_str(s, "path", "/x"), value_of(s));
    if (strcmp(what, "context") == 0)
        return json_array_append_new(found, cvm_json_share(cvm_context(t)));
    if (strcmp(what, "note") == 0)
        return cvm_note(t, "note", value_of(s));
    if (strcmp(what, "refuse") == 0)
        return cvm_refuse(t, "NO", NULL, cvm_json_str(s, "text", "no"));
    if (strcmp(what, "end") == 0)
        return cvm_end(t);
    if (strcmp(what, "message") == 0)
        return json_array_append_new(found, json_pack("{s:I, s:s, s:i, s:s, s:s, s:I}", "timestamp",
                                                      (json_int_t)m->timestamp_ms, "sender", m->sender, "priority",
                                                      m->priority, "enquiry", m->enquiry_id, "conversation",
                                                      m->conversation, "deadline", (json_int_t)m->deadline_ms));
    if (strcmp(what, "match") == 0) {
        cvm_span span;
        char pattern[64];
        for (int64_t i = 0; i < cvm_json_int(s, "n", 1) && e >= 0; i++) {
            snprintf(pattern, sizeof pattern, "(a)(%s)?%lld", cvm_json_str(s, "pattern", "b"), (long long)i);
            e = cvm_match(t, pattern, cvm_json_str(s, "text", "a"), 0, &span, 1);
            e = e == CVM_ENOENT ? CVM_OK : e;
        }
        return e;
    }
    return CVM_EINVAL;
}

static int run_steps(cvm_turn *t, const cvm_msg *m)
{
    json_t *found = json_array();
    const json_t *steps = json_object_get(m->data, "steps");
    int result = CVM_OK;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *s = json_array_get(steps, i);
        const char *what = cvm_json_str(s, "do", "");
        if (strcmp(what, "pending") == 0) {
            result = CVM_PENDING;
            continue;
        }
        if (strcmp(what, "return") == 0) {
            result = (int)cvm_json_int(s, "code", CVM_OK);
            break;
        }
        int e = step(t, m, s, found);
        if (cvm_json_bool(s, "try", false)) {
            json_array_append_new(found, json_integer(e));
        } else if (e < 0) {
            result = e;
            break;
        }
    }
    json_decref(found);
    return result;
}

/* Leaves a mark with the outcome, and settles the request it was asked for. */
static int replied(cvm_turn *t, const cvm_msg *m)
{
    static const char *const outcomes[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};
    if (*m->conversation)
        CVM_TRY(mark(t, outcomes[m->outcome]));
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:O, s:s, s:s}", "outcome", outcomes[m->outcome], "data", m->data, "enquiry",
                                 m->enquiry_id, "content", m->content),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int upgrade(uint32_t from, const char *key, const json_t *value, json_t **ret_value)
{
    (void)key;
    *ret_value = json_pack("[i, O]", (int)from, value);
    return *ret_value ? CVM_OK : CVM_ENOMEM;
}

/* clang-format off */
static const cvm_component components[] = {{.id = A, .state_version = 2, .upgrade = upgrade},
                                           {.id = B, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {A, "run", run_steps}, {A, "peek", run_steps}, {A, "tick", run_steps}, {A, "run.reply", replied},
    {A, "peek.reply", replied}, {A, "retried.reply", replied}, {A, "never.reply", replied}, {A, "test.parcel", run_steps}, {A, "start", run_steps},
    {B, "run", run_steps}, {B, "peek", run_steps}, {B, "tick", run_steps}, {B, "run.reply", replied},
    {B, "test.parcel", run_steps}, {B, "retried", run_steps}, {B, CVM_ANY_REPLY, replied},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "courier", .version = "1.0.0", .components = components, .routes = routes);
