/* What a turn in a process of its own asks for, done through the same functions that handlers inside the host call.
 * The process is not trusted: every member is looked at. */
#include "core/remote_parts.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *op, const char *member)
{
    return json_string_value(json_object_get(op, member));
}

static int64_t int_of(const json_t *op, const char *member)
{
    return (int64_t)json_integer_value(json_object_get(op, member));
}

static cvm_id id_of(const json_t *op, const char *member)
{
    cvm_id id = {0, 0};
    const char *text = text_of(op, member);
    if (text && id_parse(text, &id) < 0)
        id = (cvm_id){0, 0};
    return id;
}

/* A reference for a function that takes one; NULL where the op has none. */
static json_t *taken(const json_t *op, const char *member)
{
    return json_incref(json_object_get(op, member));
}

static int within(const json_t *op, const char *member, int64_t least, int64_t most)
{
    int64_t value = int_of(op, member);
    return value < least || value > most ? CVM_EINVAL : 0;
}

static int with_id(json_t *answer, int e, cvm_id id)
{
    char text[40];
    if (!e && !cvm_id_is_none(id)) {
        id_text(id, text);
        json_object_set_new(answer, "id", json_string(text));
    }
    return e;
}

static int with_value(json_t *answer, int e, const json_t *value)
{
    if (!e && value)
        json_object_set(answer, "value", (json_t *)(uintptr_t)value);
    return e;
}

static int op_emit(cvm_turn *t, const json_t *op, json_t *answer)
{
    cvm_id id = {0, 0};
    CVM_TRY(within(op, "kind", CVM_OUT_REQUEST, CVM_OUT_LOOK));
    CVM_TRY(within(op, "priority", -1, CVM_CRITICAL));
    CVM_TRY(within(op, "message_type", 0, CVM_ESCALATION));
    const cvm_out out = {.size = sizeof out,
                         .kind = (uint32_t)int_of(op, "kind"),
                         .to = text_of(op, "to"),
                         .type = text_of(op, "type"),
                         .data = taken(op, "data"),
                         .content = text_of(op, "content"),
                         .tags = taken(op, "tags"),
                         .conversation = text_of(op, "conversation"),
                         .enquiry_id = text_of(op, "enquiry_id"),
                         .customer_id = text_of(op, "customer_id"),
                         .session_id = text_of(op, "session_id"),
                         .on_behalf = id_of(op, "on_behalf"),
                         .request = id_of(op, "request"),
                         .timeout_ms = int_of(op, "timeout_ms"),
                         .confidence = json_number_value(json_object_get(op, "confidence")),
                         .priority = json_object_get(op, "priority") ? (int8_t)int_of(op, "priority") : -1,
                         .message_type = (uint8_t)int_of(op, "message_type"),
                         .fresh = json_is_true(json_object_get(op, "fresh"))};
    int e = t->host->emit(t, &out, &id); /* before its id is read: arguments have no order */
    return with_id(answer, e, id);
}

static int op_settle(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    CVM_TRY(within(op, "outcome", CVM_REPLIED, CVM_UNKNOWN));
    return t->host->settle(t, id_of(op, "request"), (int)int_of(op, "outcome"), taken(op, "data"),
                           text_of(op, "content"));
}

/* What the handler then returns says that it refuses; this alone is no error. */
static int op_refuse(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    CVM_TRY(within(op, "outcome", CVM_REPLIED, CVM_UNKNOWN));
    int e = t->host->note_reply(t, (int)int_of(op, "outcome"), taken(op, "data"), NULL);
    return e == CVM_EREFUSED ? 0 : e;
}

static int op_timer(cvm_turn *t, const json_t *op, json_t *answer)
{
    cvm_id id = {0, 0};
    int e =
        t->host->timer(t, text_of(op, "type"), int_of(op, "delay_ms"), taken(op, "data"), id_of(op, "on_behalf"), &id);
    return with_id(answer, e, id);
}

static int op_timer_cancel(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    return t->host->timer_cancel(t, id_of(op, "timer"));
}

static int op_call(cvm_turn *t, const json_t *op, json_t *answer)
{
    cvm_id id = {0, 0};
    const cvm_call call = {.size = sizeof call,
                           .name = text_of(op, "name") ? text_of(op, "name") : "",
                           .path = text_of(op, "path"),
                           .query = json_object_get(op, "query"),
                           .headers = taken(op, "headers"),
                           .body = taken(op, "body"),
                           .key = text_of(op, "key"),
                           .on_behalf = id_of(op, "on_behalf"),
                           .timeout_ms = int_of(op, "timeout_ms"),
                           .deadline_ms = int_of(op, "deadline_ms")};
    int e = t->host->call(t, &call, &id);
    return with_id(answer, e, id);
}

static int op_query(cvm_turn *t, const json_t *op, json_t *answer)
{
    cvm_question also[CVM_QUESTIONS_MAX];
    const json_t *list = json_object_get(op, "also");
    size_t n = json_array_size(list);
    (void)answer;
    for (size_t i = 0; i < n && i < CVM_QUESTIONS_MAX; i++) {
        const json_t *one = json_array_get(list, i);
        also[i] = (cvm_question){text_of(one, "match"), text_of(one, "near_column"), text_of(one, "near_vector")};
    }
    const cvm_query query = {.size = sizeof query,
                             .table = text_of(op, "table") ? text_of(op, "table") : "",
                             .where = taken(op, "where"),
                             .order_by = text_of(op, "order_by"),
                             .limit = int_of(op, "limit"),
                             .on_behalf = id_of(op, "on_behalf"),
                             .match = text_of(op, "match"),
                             .near_column = text_of(op, "near_column"),
                             .near_vector = text_of(op, "near_vector"),
                             .with = taken(op, "with"),
                             .keys_only = json_is_true(json_object_get(op, "keys_only")),
                             .also = also,
                             .n_also = n};
    return t->host->query(t, &query);
}

static int op_job(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    return t->host->job_start(t, text_of(op, "job"), taken(op, "input"), id_of(op, "on_behalf"),
                              int_of(op, "timeout_ms"));
}

static int op_context(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)op;
    return with_value(answer, 0, t->host->context(t));
}

static int op_context_set(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    const char *path = text_of(op, "path");
    return path ? t->host->context_set(t, path, taken(op, "value")) : CVM_EINVAL;
}

static int op_state_get(cvm_turn *t, const json_t *op, json_t *answer)
{
    const json_t *value = NULL;
    const char *key = text_of(op, "key");
    int e = key ? t->host->state_get(t, key, &value) : CVM_ELIMIT;
    return with_value(answer, e, value);
}

static int op_state_put(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    const char *key = text_of(op, "key");
    return key ? t->host->state_put(t, key, taken(op, "value")) : CVM_ELIMIT;
}

static int op_state_scan(cvm_turn *t, const json_t *op, json_t *answer)
{
    json_t *pairs = NULL;
    const char *prefix = text_of(op, "prefix");
    int64_t limit = int_of(op, "limit");
    if (!prefix || limit < 1)
        return CVM_EINVAL;
    CVM_TRY(t->host->state_scan(t, prefix, text_of(op, "after"), (size_t)limit, &pairs));
    return json_object_set_new(answer, "value", pairs) < 0 ? CVM_ENOMEM : 0;
}

static int op_row_put(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    const char *table = text_of(op, "table");
    return table ? t->host->row_put(t, table, taken(op, "row")) : CVM_EACCES;
}

static int op_row_del(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    const char *table = text_of(op, "table");
    return table ? t->host->row_del(t, table, text_of(op, "key")) : CVM_EACCES;
}

static int op_note(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)answer;
    const char *what = text_of(op, "what");
    return what ? t->host->note(t, what, taken(op, "data")) : CVM_EINVAL;
}

static int op_end(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)op;
    (void)answer;
    return t->host->end(t);
}

static int op_settings(cvm_turn *t, const json_t *op, json_t *answer)
{
    (void)op;
    return with_value(answer, 0, t->host->settings(t));
}

static int op_registry(cvm_turn *t, const json_t *op, json_t *answer)
{
    const char *what = text_of(op, "name");
    const json_t *value = what ? t->host->registry(t, what) : NULL;
    return with_value(answer, value ? 0 : CVM_ENOENT, value);
}

static int op_secret(cvm_turn *t, const json_t *op, json_t *answer)
{
    const char *value = NULL, *name = text_of(op, "name");
    int e = name ? t->host->secret(t, name, &value) : CVM_EACCES;
    if (!e)
        json_object_set_new(answer, "value", json_string(value));
    return e;
}

static int op_new_id(cvm_turn *t, const json_t *op, json_t *answer)
{
    char id[CVM_SHORT_ID_SIZE], key[32];
    const json_t *counter = NULL;
    const char *prefix = text_of(op, "prefix");
    CVM_TRY(prefix ? t->host->new_id(t, prefix, id, sizeof id) : CVM_EINVAL);
    snprintf(key, sizeof key, ".id/%s", prefix);
    CVM_TRY(t->host->state_get(t, key, &counter)); /* the turn's own by now */
    json_object_set_new(answer, "value", json_string(id));
    json_object_set(answer, "counter", (json_t *)(uintptr_t)counter);
    return 0;
}

static int op_classify(cvm_turn *t, const json_t *op, json_t *answer)
{
    json_t *labels = NULL;
    const char *model = text_of(op, "model"), *text = text_of(op, "text");
    CVM_TRY(model && text ? t->host->classify(t, model, text, &labels) : CVM_EINVAL);
    return json_object_set_new(answer, "value", labels) < 0 ? CVM_ENOMEM : 0;
}

static const struct {
    const char *name;
    int (*run)(cvm_turn *t, const json_t *op, json_t *answer);
    bool reads;
} operations[] = {
    {"emit", op_emit, false},
    {"settle", op_settle, false},
    {"refuse", op_refuse, false},
    {"timer", op_timer, false},
    {"timer_cancel", op_timer_cancel, false},
    {"call", op_call, false},
    {"query", op_query, false},
    {"job", op_job, false},
    {"context", op_context, true},
    {"context_set", op_context_set, false},
    {"state_get", op_state_get, true},
    {"state_put", op_state_put, false},
    {"state_scan", op_state_scan, true},
    {"row_put", op_row_put, false},
    {"row_del", op_row_del, false},
    {"note", op_note, false},
    {"end", op_end, false},
    {"settings", op_settings, true},
    {"registry", op_registry, true},
    {"secret", op_secret, true},
    {"classify", op_classify, true},
    {"new_id", op_new_id, false},
};

bool remote_op_is(const json_t *op, const char *name)
{
    const char *is = text_of(op, "op");
    return is && strcmp(is, name) == 0;
}

bool remote_op_reads(const json_t *op)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (remote_op_is(op, operations[i].name))
            return operations[i].reads;
    return false;
}

int remote_op(cvm_turn *t, const json_t *op, json_t **ret_answer)
{
    json_t *answer = json_object();
    int e = answer ? CVM_EINVAL : CVM_ENOMEM;
    for (size_t i = 0; answer && i < sizeof operations / sizeof *operations; i++)
        if (remote_op_is(op, operations[i].name))
            e = operations[i].run(t, op, answer);
    json_object_set_new(answer, "error", json_integer(e));
    *ret_answer = answer;
    return e;
}
