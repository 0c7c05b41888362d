/* What a handler sees of the calls that can be refused: the same functions, and where one says no, a line in the log
 * that names what was asked for and what would allow it. The handler itself gets a number, which its author cannot read
 * the reason from. Names only, no data. Loop thread. */
#include "core/internal.h"

/* Of a component in so long: a handler that fails under load must not fill the disk. */
#define COMPLAINTS_MAX 10
#define COMPLAINTS_MS 10000

static struct turn *of(cvm_turn *t)
{
    return (struct turn *)t;
}

static bool may_complain(const struct core *core, struct component *c)
{
    if (core->now_ms - c->complaints_since_ms >= COMPLAINTS_MS) {
        c->complaints_since_ms = core->now_ms;
        c->n_complaints = 0;
    }
    return ++c->n_complaints <= COMPLAINTS_MAX;
}

/* A handler ended with an error that is no refusal: who asked hears only the number's text. */
void complain_of_handler(const struct core *core, struct component *c, const char *type, int error)
{
    if (may_complain(core, c))
        log_info(c->id->text, "%s: its handler failed: %s", type, cvm_strerror(error));
}

/* "award: cvm_timer remind: not found: ...". Gives back `error`. `subject` and `why` may be "". */
static int complain(struct turn *t, int error, const char *asked, const char *subject, const char *why)
{
    struct component *c = t->component;
    if (!c->plugin || t->told)
        return error;
    if (may_complain(t->core, c))
        log_warning(c->id->text, "%s: %s%s%.200s: %s%s%s%s", t->message ? t->message->pub.type : "", asked,
                    *subject ? " " : "", subject, cvm_strerror(error), *why ? ": " : "", why,
                    c->n_complaints == COMPLAINTS_MAX ? " (more like this is left out for a while)" : "");
    return error;
}

#define EPHEMERAL "an ephemeral operation (\"durable\": false) may change nothing that is kept"
#define OVER_TURN "too many or too large outputs in one turn"

/* ---- messages ---- */

static const char *why_not_sent(const struct turn *t, const cvm_out *out, int error)
{
    bool topic = out->kind == CVM_OUT_PUBLISH || (out->to && strcmp(out->to, "BROADCAST") == 0);
    switch (error) {
    case CVM_EACCES:
        return topic                          ? "the manifest does not list this topic under publishes"
               : out->kind == CVM_OUT_FORWARD ? "the manifest does not name the recipient under may_send_to, or the "
                                                "request is not this component's"
                                              : "the manifest does not name the recipient under may_send_to";
    case CVM_ENOENT:
        if (out->kind == CVM_OUT_FORWARD)
            return "no such component or operation is loaded, or the request is not open any more";
        if (out->to && strncmp(out->to, "role:", 5) == 0)
            return "no component that is loaded has this role, serves these fields and has this operation";
        return out->to && registry_find(t->core, out->to, NULL) ? "the recipient has no such operation"
                                                                : "no component that is loaded has this id or alias";
    case CVM_ELIMIT:
        return "too many or too large messages in one turn or conversation";
    case CVM_EINVAL:
        return "data must be an object, tags an array of strings, texts UTF-8";
    }
    return "";
}

/* A reply that finds no route is dropped: who asks wants to hear of that once, and not by a timeout. */
static void check_reply_route(struct turn *t)
{
    struct name *type = (struct name *)(uintptr_t)t->outs.at[t->outs.n - 1]->type;
    const struct name *reply = names_reply(t->core->names, type);
    if (!reply || component_route(t->component, reply) || type->unanswered || !t->component->plugin)
        return;
    type->unanswered = true;
    log_warning(t->component->id->text,
                "asked for \"%s\" and has no route \"%s\": the reply will be dropped (cvm_send asks for none)",
                type->text, reply->text);
}

int told_emit(cvm_turn *pub, const cvm_out *out, cvm_id *ret_id)
{
    static const char *const names[] = {"cvm_request", "cvm_send", "cvm_publish", "cvm_forward", "cvm_look"};
    struct turn *t = of(pub);
    uint32_t sent = t->outs.n;
    int e = turn_emit(pub, out, ret_id);
    if (__builtin_expect(e < 0, 0)) {
        char subject[200];
        snprintf(subject, sizeof subject, "%.90s%s%.90s", out->type ? out->type : "(no type)",
                 out->kind == CVM_OUT_PUBLISH ? "" : " to ",
                 out->kind == CVM_OUT_PUBLISH ? ""
                 : out->to                    ? out->to
                                              : "(nobody)");
        complain(t, e, names[out->kind <= CVM_OUT_LOOK ? out->kind : 0], subject, why_not_sent(t, out, e));
        json_decref(out->data); /* last: the names may lie in it */
        json_decref(out->tags);
    } else if (out->kind == CVM_OUT_REQUEST && t->outs.n > sent) {
        check_reply_route(t);
    }
    return e;
}

int told_settle(cvm_turn *pub, cvm_id request, int outcome, json_t *data, const char *content)
{
    struct turn *t = of(pub);
    int e = turn_settle(pub, request, outcome, data, content);
    if (e >= 0)
        return e;
    const char *why = e == CVM_EINVAL   ? "the outcome must be one, the data an object, the content UTF-8"
                      : e == CVM_EACCES ? "the request is another component's"
                      : e == CVM_ESTATE ? "an ephemeral operation may not end a durable request"
                      : e == CVM_ELIMIT ? OVER_TURN
                                        : "it was answered already";
    /* Elsewhere an answer that comes too late is nobody's fault. */
    bool own = t->message && t->message->request && cvm_id_eq(t->message->pub.id, request);
    return e == CVM_ENOENT && !own ? e : complain(t, e, "cvm_settle", "", why);
}

/* ---- timers, calls, questions ---- */

int told_timer(cvm_turn *pub, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id)
{
    json_t *held = json_incref(data);
    int e = turn_timer(pub, type, delay_ms, data, on_behalf, ret_id);
    if (e < 0)
        complain(of(pub), e, "cvm_timer", type ? type : "(no type)",
                 e == CVM_ESTATE   ? EPHEMERAL
                 : e == CVM_ENOENT ? "the library has no route of this component for it"
                 : e == CVM_EINVAL ? "the delay must be 0 to 400 days, the data an object"
                 : e == CVM_ELIMIT ? OVER_TURN
                                   : "");
    json_decref(held);
    return e;
}

/* Why a call cannot be made as it is. Gives `ret_why`, or a sentence that is always there. */
static const char *bad_call(cvm_turn *pub, const char *name, const json_t *headers, const json_t *body, char *ret_why,
                            size_t size)
{
    const struct manifest_call *decl = effect_find_call(of(pub)->component, name);
    cvm_mail mail = cvm_mail_of(headers, body);
    const char *fault = decl && decl->mail ? cvm_mail_fault(&mail) : NULL;
    snprintf(ret_why, size, "the mail's \"%s\" is missing, too long, no address, or has a line break",
             fault ? fault : "");
    return fault ? ret_why : "the query must be an object, headers texts without line breaks, the key UTF-8";
}

int told_call(cvm_turn *pub, const cvm_call *call, cvm_id *ret_id)
{
    char why[128];
    json_t *held = json_incref(call->body), *headers = json_incref(call->headers);
    int e = turn_call(pub, call, ret_id);
    if (e < 0)
        complain(of(pub), e, "cvm_http_call", call->name ? call->name : "(no name)",
                 e == CVM_EACCES   ? "the manifest declares no such call under needs.hosts"
                 : e == CVM_ENOENT ? "the setting that holds its address is empty, or the address is none"
                 : e == CVM_ESTATE ? "an ephemeral operation may make only calls that are declared safe"
                 : e == CVM_EINVAL ? bad_call(pub, call->name, headers, held, why, sizeof why)
                 : e == CVM_ELIMIT ? OVER_TURN
                                   : "");
    json_decref(headers);
    json_decref(held);
    return e;
}

int told_query(cvm_turn *pub, const cvm_query *query)
{
    json_t *held = json_incref(query->where);
    int e = turn_query(pub, query);
    if (e < 0)
        complain(of(pub), e, "cvm_ask", query->table ? query->table : "(no table)",
                 e == CVM_EACCES ? "the manifest declares no such table under needs.tables"
                 : e == CVM_EINVAL && query->size > CVM_QUERY_SIZE_1_0 && (query->match || query->near_column)
                     ? "what is searched must be declared under \"search\" of the table, where name columns of it, a "
                       "vector have the dimension declared"
                 : e == CVM_EINVAL ? "where and order_by must name columns of it, the limit be 0 to 1000"
                 : e == CVM_ELIMIT ? OVER_TURN
                                   : "");
    json_decref(held);
    return e;
}

int told_job(cvm_turn *pub, const char *name, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    int e = turn_job(pub, name, input, on_behalf, timeout_ms);
    return e >= 0 ? e
                  : complain(of(pub), e, "cvm_job_start", name ? name : "(no name)",
                             e == CVM_EACCES   ? "the manifest declares no such job under jobs"
                             : e == CVM_ENOENT ? "the library has no route of this component for its reply"
                             : e == CVM_EINVAL ? "the input must be an object, the time 0 to 24 hours"
                             : e == CVM_ELIMIT ? OVER_TURN
                                               : "");
}

/* ---- what is kept ---- */

int told_context_set(cvm_turn *pub, const char *path, json_t *value)
{
    int e = turn_context_set(pub, path, value);
    return e >= 0 ? e
                  : complain(of(pub), e, "cvm_context_set", "",
                             e == CVM_ESTATE   ? EPHEMERAL
                             : e == CVM_EINVAL ? "a path begins with \"/\", such as \"/order/total\""
                                               : "");
}

/* Keys are not named: they may hold whom they are about. */
int told_state_put(cvm_turn *pub, const char *key, json_t *value)
{
    char most[80];
    int e = turn_state_put(pub, key, value);
    if (e >= 0)
        return e;
    snprintf(most, sizeof most, "a key has 1 to %d bytes, a value at most %d", CVM_STATE_KEY_MAX,
             CVM_STATE_VALUE_MAX_BYTES);
    return complain(of(pub), e, "cvm_state_put", "", e == CVM_ESTATE ? EPHEMERAL : e == CVM_ELIMIT ? most : "");
}

int told_new_id(cvm_turn *pub, const char *prefix, char *ret_id, size_t size)
{
    int e = turn_new_id(pub, prefix, ret_id, size);
    return e >= 0 ? e
                  : complain(of(pub), e, "cvm_new_id", prefix,
                             e == CVM_ESTATE   ? EPHEMERAL
                             : e == CVM_ELIMIT ? "more than a turn may make"
                                               : "a prefix is 1 to 8 letters");
}

static int told_row(cvm_turn *pub, int e, const char *asked, const char *table)
{
    return e >= 0 ? e
                  : complain(of(pub), e, asked, table,
                             e == CVM_ESTATE ? EPHEMERAL
                             : e == CVM_EACCES && component_table(of(pub)->component, table)
                                 ? "a table with \"bulk\": true is written by jobs"
                             : e == CVM_EACCES ? "the manifest declares no such table under needs.tables"
                             : e == CVM_EINVAL ? "the row must fit the table's schema and have its key"
                                               : "");
}

int told_row_put(cvm_turn *pub, const char *table, json_t *row)
{
    return told_row(pub, turn_row_put(pub, table, row), "cvm_row_put", table);
}

int told_row_del(cvm_turn *pub, const char *table, const char *key)
{
    return told_row(pub, turn_row_del(pub, table, key), "cvm_row_del", table);
}

int told_classify(cvm_turn *pub, const char *model, const char *text, json_t **ret_labels)
{
    int e = turn_classify(pub, model, text, ret_labels);
    if (__builtin_expect(e < 0 && e != CVM_ENOENT, 0))
        complain(of(pub), e, "cvm_classify", model ? model : "",
                 e == CVM_EACCES   ? "the manifest neither declares this model nor names it under needs.models"
                 : e == CVM_ELIMIT ? "the text is over 64 KiB"
                                   : "");
    return e;
}
