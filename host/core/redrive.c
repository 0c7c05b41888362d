/* Dead letters sent again. A redrive is a request of the operator to the host's own component `host.redrive`: its turn
 * reads the letter, sends what was in it as a new message to the same component, and keeps under the letter's number
 * when and as what; so it is journalled, durable and done once like anything else. A letter that was a request was
 * answered when it became one: it goes again only where its operation declares `redrive`, and its new answer is the
 * operator's. Loop thread. */
#include "core/audit.h"
#include "core/envelope_words.h"
#include "core/internal.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDRIVE "host.redrive"
#define REDRIVE_TIMEOUT_MS 300000

struct letter {
    int64_t number;
    json_t *rows; /* owner of the strings */
    const char *component, *type;
    json_t *envelope;
    cvm_id id;
};

static int refuse(cvm_turn *t, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(cvm_turn *t, const char *code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return cvm_refuse(t, code, "number", text);
}

/* Borrows from the rows, which the caller drops. Negative: there is no such letter, or it cannot be read. */
static int read_letter(struct core *core, struct letter *letter)
{
    static const char sql[] = "SELECT component, type, envelope FROM dead_letters WHERE id = ?1";
    bool more;
    json_t *binds = json_pack("[I]", (json_int_t)letter->number);
    int e = store_query(core->reader, sql, binds, 1, &letter->rows, &more);
    json_decref(binds);
    if (e < 0)
        return e;
    const json_t *row = json_array_get(letter->rows, 0);
    letter->component = cvm_json_str(row, "component", NULL);
    letter->type = cvm_json_str(row, "type", NULL);
    if (!letter->component || !letter->type)
        return CVM_ENOENT;
    letter->envelope = json_loads(cvm_json_str(row, "envelope", ""), JSON_ALLOW_NUL, NULL);
    return json_is_object(letter->envelope) &&
                   id_parse(cvm_json_str(letter->envelope, "message_id", ""), &letter->id) == 0
               ? 0
               : CVM_EDATA;
}

/* Whether it may go again, and to whom; else refuses with the rule. */
static int check(cvm_turn *t, const struct letter *l, struct component **ret_to, bool *ret_request)
{
    struct core *core = ((struct turn *)t)->core;
    const char *sort = cvm_json_str(l->envelope, "message_type", "");
    const long long number = (long long)l->number;
    struct component *to = registry_find(core, l->component, NULL);
    const struct name *type = names_find(core->names, l->type);
    const struct route_slot *slot = to && type ? component_route(to, type) : NULL;
    bool request = strcmp(sort, "request") == 0;
    if (strcmp(sort, "response") == 0)
        return refuse(t, "ANSWER", "%lld is the answer to a request that has ended; answers are not sent again",
                      number);
    if (type == core->name_start)
        return refuse(t, "START", "%lld is the start of %s: it starts again with the host or a reload", number,
                      l->component);
    if (!slot)
        return refuse(t, "NOT_AVAILABLE", "%s, which %lld was for, is not loaded or takes no %s any more", l->component,
                      number, l->type);
    if (request && !(slot->operation && slot->operation->redrive))
        return refuse(t, "ANSWERED",
                      "the request of %lld was answered with an error when it became a dead letter, and %s of %s does "
                      "not declare \"redrive\": whoever asked may have asked again",
                      number, l->type, l->component);
    if (to->closing || !to->plugin)
        return refuse(t, "NOT_AVAILABLE", "%s, which %lld was for, is being taken out", l->component, number);
    if (to->down || (int64_t)to->counts.queued >= to->now->mailbox)
        return refuse(t, "BUSY", "%s is %s: redrive %lld when it is in service again", l->component,
                      to->down ? "out of service" : "full", number);
    *ret_to = to;
    *ret_request = request;
    return 0;
}

/* The same data about the same subject, caused by the letter's message, in the lane of the operator's request. */
static int send_again(cvm_turn *pub, const cvm_msg *m, const struct letter *l, bool request, cvm_id *ret_id)
{
    struct turn *t = (struct turn *)pub;
    const json_t *e = l->envelope;
    cvm_out out = {.size = sizeof out,
                   .kind = request ? CVM_OUT_FORWARD : CVM_OUT_MESSAGE,
                   .to = l->component,
                   .type = l->type,
                   .data = json_object_get(e, "structured_data"),
                   .tags = json_object_get(e, "tags"),
                   .content = cvm_json_str(e, "content", NULL),
                   .enquiry_id = cvm_json_str(e, "enquiry_id", NULL),
                   .customer_id = cvm_json_str(e, "customer_id", NULL),
                   .session_id = cvm_json_str(e, "session_id", NULL),
                   .request = request ? m->id : (cvm_id){0, 0},
                   .confidence = json_number_value(json_object_get(e, "confidence")),
                   .message_type = strcmp(cvm_json_str(e, "message_type", ""), "escalation") == 0 ? CVM_ESCALATION : 0,
                   .priority =
                       (int8_t)word_number(priority_words, PRIORITIES, cvm_json_str(e, "priority", ""), CVM_MEDIUM)};
    if (out.confidence == 0)
        out.confidence = -1;
    json_incref(out.data);
    json_incref(out.tags);
    int error = turn_emit(pub, &out, ret_id);
    if (error < 0) {
        json_decref(out.data);
        json_decref(out.tags);
        return error;
    }
    struct message *sent = t->outs.at[t->outs.n - 1];
    sent->cause = l->id;
    struct subject *subject =
        subject_new(m->id, out.enquiry_id, out.customer_id, out.session_id, cvm_json_str(e, "traceparent", NULL));
    if (!subject)
        return CVM_ENOMEM;
    subject_release(sent->subject);
    message_set_subject(sent, subject);
    return 0;
}

static int keep(cvm_turn *t, const struct letter *l, const char *key, cvm_id as)
{
    struct core *core = ((struct turn *)t)->core;
    char id[40], at[32];
    id_text(as, id);
    time_text(core->now_ms, at);
    json_t *kept =
        json_pack("{s:s, s:s, s:s, s:s}", "at", at, "message_id", id, "component", l->component, "type", l->type);
    int e = turn_state_put(t, key, cvm_json_share(kept));
    if (e == 0)
        e = cvm_note(t, "redriven",
                     json_pack("{s:s, s:I, s:O}", "what", "dead letter", "number", (json_int_t)l->number, "as", kept));
    if (e == 0)
        audit_event(core, "letter.redriven",
                    json_pack("{s:s, s:s, s:I, s:s, s:s}", "component", l->component, "by", "operator", "number",
                              (json_int_t)l->number, "type", l->type, "as", id));
    json_decref(kept);
    return e;
}

static int redrive(cvm_turn *t, const cvm_msg *m, struct letter *l)
{
    struct component *to = NULL;
    const json_t *before = NULL;
    char key[24], id[40];
    cvm_id as;
    bool request = false;
    snprintf(key, sizeof key, "%lld", (long long)l->number);
    int e = turn_state_get(t, key, &before);
    if (e == 0 && before)
        return refuse(t, "REDRIVEN", "%lld was redriven at %s as %s; had that failed it were a dead letter of its own",
                      (long long)l->number, cvm_json_str(before, "at", "?"), cvm_json_str(before, "message_id", "?"));
    if (e < 0 && e != CVM_ENOENT)
        return e;
    e = read_letter(((struct turn *)t)->core, l);
    if (e == CVM_ENOENT)
        return refuse(t, "NOT_FOUND", "there is no dead letter %lld; see: cvmhost dlq list", (long long)l->number);
    if (e == 0)
        e = check(t, l, &to, &request);
    if (e == 0)
        e = send_again(t, m, l, request, &as);
    if (e == 0)
        e = keep(t, l, key, as);
    if (e < 0 || request)
        return e; /* a request is answered by whom it went to */
    id_text(as, id);
    return cvm_reply(t, m,
                     json_pack("{s:I, s:s, s:s, s:s}", "number", (json_int_t)l->number, "redriven_as", id, "component",
                               to->id->text, "type", l->type));
}

static int redrive_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route)
{
    struct letter letter = {.number = cvm_json_int(m->data, "number", 0)};
    (void)instance, (void)route;
    /* Only the operator: what a plugin may send where is said in its manifest. */
    if (((struct turn *)t)->message->from)
        return CVM_EACCES;
    int e = redrive(t, m, &letter);
    json_decref(letter.envelope);
    json_decref(letter.rows);
    return e;
}

int redrive_register(struct core *core)
{
    static struct manifest_operation operations[] = {{.type = "redrive", .timeout_ms = REDRIVE_TIMEOUT_MS}};
    static struct manifest_component decl = {
        .id = REDRIVE, .kind = KIND_AGENT, .operations = operations, .n_operations = 1};
    static const char *const types[] = {"redrive", NULL};
    return registry_add_host(core, &decl, redrive_turn, types) ? 0 : CVM_ENOMEM;
}
