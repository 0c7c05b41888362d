/* The host entry of the desk: takes an enquiry, opens its conversation, answers when the agents are done. Owns the
 * table `enquiries`. Everything about a running enquiry stands in its conversation's context; no state of its own. Loop
 * thread.
 *
 * An accepted enquiry always gets an answer: where the agents do not reach one (too many rounds, a step that is not
 * allowed, a fault, no answer in time), the customer gets a safe text and a human gets the case. */
#include "../../common/object.h"
#include "service.h"

#define RESPONSE_MS_DEFAULT 300000

static const char *const channel_names[] = {"SMS", "WHATSAPP", "WEB", "VOICE", "EMAIL", "USSD"};

/* The channel's name in capitals; NULL: there is no such channel. */
static const char *channel_of(const char *text)
{
    for (size_t i = 0; i < sizeof channel_names / sizeof *channel_names; i++) {
        const char *a = channel_names[i], *b = text;
        while (*a && *b && *a == (*b >= 'a' && *b <= 'z' ? *b - 32 : *b))
            a++, b++;
        if (!*a && !*b)
            return channel_names[i];
    }
    return NULL;
}

static bool blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

struct intake {
    const char *message, *channel, *name, *email, *session;
    char phone[PHONE_SIZE];
};

/* CVM_OK, or the refusal that names the field. */
static int check(cvm_turn *t, const cvm_msg *m, struct intake *in)
{
    const char *phone = cvm_json_str(m->data, "customer_phone", cvm_json_str(m->data, "phone", NULL));
    in->message = cvm_json_str(m->data, "message", cvm_json_str(m->data, "enquiry_text", ""));
    in->channel = channel_of(cvm_json_str(m->data, "channel", "SMS"));
    in->name = cvm_json_str(m->data, "customer_name", "");
    in->email = cvm_json_str(m->data, "customer_email", "");
    in->session = cvm_json_str(m->data, "session_id", ""); /* an edge's own session is that of a command or request */
    if (blank(in->message))
        return cvm_refuse(t, "INVALID", "message", "The message is empty.");
    if (!in->channel)
        return cvm_refuse(t, "INVALID", "channel", "The channel must be SMS, WHATSAPP, WEB, VOICE, EMAIL or USSD.");
    if (!phone || !*phone)
        CVM_TRY(customers_sample(t, &phone));
    if (!phone)
        return cvm_refuse(t, "INVALID", "customer_phone", "The customer's phone number is missing.");
    if (phone_normalise(phone, in->phone) < 0)
        return cvm_refuse(t, "INVALID", "customer_phone",
                          "The phone number is invalid. Write it like 08012345678 or +2348012345678.");
    if (*in->email && !triage_email_form(in->email))
        return cvm_refuse(t, "INVALID", "customer_email",
                          "The e-mail address is invalid. Write it like name@example.com.");
    return CVM_OK;
}

int desk_go_on(cvm_turn *t, cvm_id request, json_t *data)
{
    const char *enquiry = cvm_json_str(data, "enquiry_id", "");
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = SERVICE_DESK,
                   .type = "open_enquiry",
                   .data = data,
                   .conversation = enquiry,
                   .enquiry_id = enquiry,
                   .customer_id = cvm_json_str(data, "customer_id", ""),
                   .session_id = cvm_json_str(data, "session_id", ""),
                   .request = request,
                   .priority = -1,
                   .fresh = 1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

/* "AIRTEL" after "Which network?": what is read is the order with it. */
static bool completes(cvm_turn *t, const struct customer *c, const char *message, char *ret_whole, size_t size)
{
    const struct vocabulary *v = *c->asked ? service_vocabulary(t) : NULL;
    return v && reply_fits(v, c->asked_rule, message) && reply_join(c->asked, message, ret_whole, size);
}

/* The request goes on in the enquiry's own conversation: this turn belongs to the message's. */
int desk_process(cvm_turn *t, const cvm_msg *m)
{
    struct intake in;
    struct customer c;
    char enquiry[CVM_SHORT_ID_SIZE];
    CVM_TRY(check(t, m, &in));
    CVM_TRY(cvm_new_id(t, "ENQ", enquiry));
    CVM_TRY(customers_find(t, m, in.phone, in.name, in.email, in.session, enquiry, &c));
    char whole[REPLY_BYTES_MAX + 1];
    bool answer = completes(t, &c, in.message, whole, sizeof whole);
    json_t *data = json_object();
    OBJECT_TEXT(data, "enquiry_id", enquiry);
    OBJECT_TEXT(data, "customer_id", c.id);
    OBJECT_TEXT(data, "session_id", c.session);
    OBJECT_TEXT(data, "customer_phone", c.phone);
    OBJECT_TEXT(data, "customer_name", c.name);
    OBJECT_TEXT(data, "customer_email", c.email);
    OBJECT_TEXT(data, "customer_tier", c.tier);
    OBJECT_TEXT(data, "preferred_language", c.language);
    OBJECT_TEXT(data, "channel", in.channel);
    OBJECT_TEXT(data, "message", answer ? whole : in.message);
    if (answer)
        OBJECT_TEXT(data, "written", in.message);
    if (!data)
        return CVM_ENOMEM;
    int e = answer ? CVM_OK : rating_reply(t, m, in.message, in.channel, c.id, data);
    if (e != CVM_OK) {
        json_decref(data);
        return e;
    }
    return desk_go_on(t, m->id, data);
}

/* ---- in the enquiry's conversation ----------------------------------------------------------------------------------
 */

/* A string member as it is; NULL where it is none. */
static json_t *text_of(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_string(value) ? value : NULL;
}

static json_t *text_or_null(const json_t *object, const char *name)
{
    json_t *value = text_of(object, name);
    return value ? json_incref(value) : json_null();
}

/* The row, from what the context says: it shares the context's texts. A column without a value is left out. */
int desk_write_row(cvm_turn *t, const cvm_msg *m, const char *status)
{
    static const char *const texts[] = {"enquiry_id",     "customer_id", "session_id", "channel",
                                        "service_domain", "intent",      "priority",   "sentiment",
                                        "transaction_id", "handoff_id",  "created_at", "sla_deadline"};
    const json_t *c = cvm_context(t), *closed = json_object_get(c, "closed"), *rating = json_object_get(c, "rating");
    char resolved[SERVICE_TIME_SIZE];
    int64_t created = cvm_json_int(c, "created_ms", cvm_now_ms(t)), closed_ms = cvm_json_int(closed, "at_ms", 0);
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        object_share(&row, texts[i], strlen(texts[i]), text_of(c, texts[i]));
    OBJECT_SHARE(row, "id", text_of(c, "row_id"));
    OBJECT_SHARE(row, "original_message", text_of(c, text_of(c, "written") ? "written" : "message"));
    OBJECT_TEXT(row, "resolution_status", status);
    OBJECT_TEXT(row, "conversation", m->conversation);
    OBJECT_SHARE(row, "customer_rating", json_object_get(rating, "rating"));
    OBJECT_SHARE(row, "feedback_text", text_of(rating, "text"));
    if (closed) {
        OBJECT_SHARE(row, "final_response", text_of(c, "final_response"));
        OBJECT_SHARE(row, "agents_involved", json_object_get(c, "agents_involved"));
        OBJECT_SHARE(row, "reason", text_of(closed, "reason"));
        OBJECT_PUT(row, "processing_duration_seconds", json_real((double)(closed_ms - created) / 1000.0));
        OBJECT_TEXT(row, "resolved_at", service_time(closed_ms, resolved));
    }
    return row ? cvm_row_put(t, "enquiries", row) : CVM_ENOMEM;
}

static int seed_context(cvm_turn *t, const cvm_msg *m)
{
    static const char *const copied[] = {"/enquiry_id",    "/customer_id", "/session_id", "/customer_phone",
                                         "/customer_tier", "/channel",     "/message",    "/preferred_language"};
    static const char *const nullable[] = {"/customer_name", "/customer_email"};
    static const char *const empty[] = {"/airtime_context", "/power_context", "/data_context", "/transaction_id"};
    char at[SERVICE_TIME_SIZE], row_id[48];
    int64_t now = cvm_now_ms(t);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        CVM_TRY(cvm_context_set(t, copied[i], cvm_json_share(json_object_get(m->data, copied[i] + 1))));
    for (size_t i = 0; i < sizeof nullable / sizeof *nullable; i++) {
        const char *value = cvm_json_str(m->data, nullable[i] + 1, "");
        CVM_TRY(cvm_context_set(t, nullable[i], *value ? json_string(value) : json_null()));
    }
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        CVM_TRY(cvm_context_set(t, empty[i], json_null()));
    if (json_object_get(m->data, "written"))
        CVM_TRY(cvm_context_set(t, "/written", cvm_json_share(json_object_get(m->data, "written"))));
    CVM_TRY(cvm_context_set(t, "/recommended_actions", json_array()));
    CVM_TRY(cvm_context_set(t, "/resolution_status", json_string("IN_PROGRESS")));
    snprintf(row_id, sizeof row_id, "%016llx%016llx", (unsigned long long)m->id.hi, (unsigned long long)m->id.lo);
    CVM_TRY(cvm_context_set(t, "/row_id", json_string(row_id)));
    CVM_TRY(cvm_context_set(t, "/created_ms", json_integer((json_int_t)now)));
    return cvm_context_set(t, "/created_at", json_string(service_time(now, at)));
}

int desk_open(cvm_turn *t, const cvm_msg *m)
{
    if (m->sender[0] && strcmp(m->sender, SERVICE_DESK) != 0)
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "Enquiries are opened with process_enquiry.");
    if (strcmp(m->conversation, cvm_json_str(m->data, "enquiry_id", "")) != 0)
        return cvm_refuse(t, "NOT_ALLOWED", "enquiry_id", "Enquiries are opened with process_enquiry.");
    CVM_TRY(seed_context(t, m));
    CVM_TRY(desk_write_row(t, m, "IN_PROGRESS"));
    CVM_TRY(cvm_request(
        t, "host.conversation", "converse",
        json_pack("{s:s, s:{s:O, s:{s:O}}}", "first", SERVICE_TRIAGE, "message", "content",
                  json_object_get(m->data, "message"), "structured_data", "channel",
                  json_object_get(m->data, "channel")),
        &(cvm_request_opts){.on_behalf = m->id,
                            .timeout_ms = cvm_json_int(cvm_settings(t), "response_time_ms", RESPONSE_MS_DEFAULT)}));
    return CVM_PENDING;
}

static void add_classification(json_t **body, const json_t *context)
{
    static const char *const names[] = {"service_domain", "intent",   "sub_intent", "priority",
                                        "sentiment",      "entities", "escalate"};
    const json_t *c = json_object_get(context, "classification");
    json_t *result = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *value = json_object_get(c, names[i]);
        if (value) {
            object_put(body, names[i], json_incref(value));
            object_put(&result, names[i], json_incref(value));
        }
    }
    OBJECT_PUT(*body, "classification", result);
}

/* Who has one of the narrower roles is not troubled with an enquiry that they would do nothing about. */
static bool told_of(const json_t *component, const json_t *context, const char *status)
{
    bool bought = json_object_get(context, "purchases") || *cvm_json_str(context, "transaction_id", "");
    return service_has_role(component, "desk.after") ||
           (service_has_role(component, "desk.after.case") && (bought || *cvm_json_str(context, "handoff_id", ""))) ||
           (service_has_role(component, "desk.after.solved") && !strcmp(status, "RESOLVED"));
}

/* What is done about it afterwards waits until whoever wrote has been answered: messages, rating, figures. */
static int tell_closed(cvm_turn *t, const char *status, const char *reason, int64_t now)
{
    const json_t *c = cvm_context(t);
    static const char *const shared[] = {"enquiry_id", "customer_id", "session_id",     "channel",   "service_domain",
                                         "intent",     "priority",    "transaction_id", "handoff_id"};
    json_t *data = json_object();
    object_share_all(&data, c, shared, sizeof shared / sizeof *shared);
    OBJECT_TEXT(data, "status", status);
    OBJECT_TEXT(data, "reason", reason);
    OBJECT_INT(data, "agents", qa_workers(t));
    OBJECT_INT(data, "duration_ms", now - cvm_json_int(c, "created_ms", now));
    OBJECT_INT(data, "sla_deadline_ms", service_time_ms(cvm_json_str(c, "sla_deadline", "")));
    int e = data ? CVM_OK : CVM_ENOMEM;
    const json_t *all = service_after(cvm_registry(t, "components")), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)all, i, one)
    {
        cvm_out out = {.size = sizeof out,
                       .kind = CVM_OUT_MESSAGE,
                       .to = cvm_json_str(one, "id", ""),
                       .type = "enquiry_closed",
                       .priority = CVM_LOW};
        if (e < 0 || !told_of(one, c, status))
            continue;
        out.data = json_incref(data);
        e = t->host->emit(t, &out, NULL);
    }
    json_decref(data);
    return e;
}

static int answer(cvm_turn *t, const cvm_msg *m, cvm_id request, const char *text, const char *status,
                  const char *reason)
{
    int64_t now = cvm_now_ms(t);
    if (reply_expected(reason) && strlen(service_context_str(t, "message")) < REPLY_BYTES_MAX &&
        strcmp(status, "ESCALATED") != 0)
        CVM_TRY(customers_asked(t, service_context_str(t, "customer_id"), service_context_str(t, "session_id"),
                                service_context_str(t, "message"), reason));
    CVM_TRY(cvm_context_set(t, "/closed", json_pack("{s:s, s:I}", "reason", reason, "at_ms", (json_int_t)now)));
    CVM_TRY(desk_write_row(t, m, status));
    const json_t *context = cvm_context(t), *agents = json_object_get(context, "agents_involved");
    const json_t *steps = json_object_get(context, "next_steps");
    json_t *body = json_object();
    OBJECT_SHARE(body, "enquiry_id", json_object_get(context, "enquiry_id"));
    OBJECT_TEXT(body, "status", status);
    OBJECT_TEXT(body, "response_text", text);
    OBJECT_PUT(body, "processing_time_seconds",
               json_real((double)(now - cvm_json_int(context, "created_ms", now)) / 1000.0));
    OBJECT_PUT(body, "agents_involved", agents ? cvm_json_share(agents) : json_array());
    OBJECT_PUT(body, "next_steps", steps ? cvm_json_share(steps) : json_array());
    OBJECT_SHARE(body, "customer_id", json_object_get(context, "customer_id"));
    OBJECT_PUT(body, "transaction_id", text_or_null(context, "transaction_id"));
    OBJECT_PUT(body, "handoff_id", text_or_null(context, "handoff_id"));
    OBJECT_TEXT(body, "reason", reason);
    add_classification(&body, context);
    if (!body)
        return CVM_ENOMEM;
    int e = cvm_settle(t, request, CVM_REPLIED, body, NULL);
    if (e < 0 && e != CVM_ENOENT) /* the client's time is over: the answer stands in the row */
        return e;
    CVM_TRY(tell_closed(t, status, reason, now));
    return cvm_end(t);
}

static json_t *failure_rule(const char *rule, const char *reason)
{
    return json_pack("{s:s, s:s, s:s}", "rule", rule, "reason", reason, "queue", "general");
}

/* The agents did not reach an answer: a human gets the case. */
static int rescue(cvm_turn *t, const cvm_msg *m, const char *ended)
{
    static const struct {
        const char *ended, *rule, *reason;
    } why[] = {{"rounds", "round_limit", "no answer within the round limit"},
               {"denied", "transition_denied", "an agent passed the conversation to one that may not have it"},
               {"timeout", "response_time_exceeded", "no answer within the response time"},
               {"silence", "no_answer", "the agents ended without an answer"}};
    const char *rule = "agent_error", *reason = "an agent could not do its part";
    for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
        if (!strcmp(why[i].ended, ended)) {
            rule = why[i].rule;
            reason = why[i].reason;
        }
    }
    CVM_TRY(service_context_append(t, "/escalation/rules", failure_rule(rule, reason)));
    CVM_TRY(cvm_context_set(t, "/resolution_status", json_string("ESCALATED")));
    CVM_TRY(
        cvm_note(t, "decision", json_pack("{s:s, s:s, s:s}", "chose", "safe answer", "rule", rule, "because", reason)));
    const json_t *c = cvm_context(t);
    return cvm_request(t, SERVICE_ESCALATION, "create_handoff",
                       json_pack("{s:O?, s:O?, s:s, s:s, s:O, s:s}", "enquiry_id", json_object_get(c, "enquiry_id"),
                                 "customer_id", json_object_get(c, "customer_id"), "summary", reason, "priority",
                                 cvm_json_str(c, "priority", "HIGH"), "reasons",
                                 json_object_get(json_object_get(c, "escalation"), "rules"), "draft_response", ""),
                       &(cvm_request_opts){.on_behalf = m->on_behalf});
}

int desk_conversed(cvm_turn *t, const cvm_msg *m)
{
    const char *ended = m->outcome == CVM_REPLIED   ? cvm_json_str(m->data, "ended", "error")
                        : m->outcome == CVM_TIMEOUT ? "timeout"
                                                    : "error";
    const json_t *given = json_object_get(m->data, "structured_data");
    const char *text = cvm_json_str(m->data, "content", "");
    bool final = !strcmp(ended, "signal") || !strcmp(ended, "route_end");
    if (!final || !*text)
        return rescue(t, m, final ? "silence" : ended);
    const char *status = cvm_json_str(given, "resolution_status", service_context_str(t, "resolution_status"));
    if (strcmp(status, "ESCALATED") && strcmp(status, "PENDING"))
        status = "RESOLVED";
    char final_status[16];
    snprintf(final_status, sizeof final_status, "%s", status);
    CVM_TRY(cvm_context_set(t, "/resolution_status", json_string(final_status)));
    return answer(t, m, m->on_behalf, text, final_status, cvm_json_str(given, "reason", "answered"));
}

static bool money_moved(cvm_turn *t)
{
    const json_t *agents = json_object_get(cvm_context(t), "agents_involved");
    for (size_t i = 0; i < json_array_size(agents); i++) {
        const char *name = json_string_value(json_array_get(agents, i));
        if (name && !strcmp(name, "TransactionAgent"))
            return true;
    }
    return false;
}

static int keep_reference(cvm_turn *t, const char *handoff)
{
    char step[96];
    snprintf(step, sizeof step, "Keep the reference %s and wait for our colleague", handoff);
    CVM_TRY(cvm_context_set(t, "/handoff_id", json_string(handoff)));
    return cvm_context_set(t, "/next_steps", json_pack("[s]", step));
}

/* The safe answer, with the reference where the handoff could be written. */
int desk_handed_over(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rules = json_object_get(json_object_get(cvm_context(t), "escalation"), "rules");
    const char *last = cvm_json_str(json_array_get(rules, json_array_size(rules) - 1), "rule", "agent_error");
    bool handed = m->outcome == CVM_REPLIED;
    char text[768], body[700], why[64];
    snprintf(why, sizeof why, "%s", last);
    snprintf(body, sizeof body, "I am sorry, I could not finish this on my own. %s%s",
             money_moved(t) ? "Please do not repeat a purchase before you hear from us. " : "",
             handed ? cvm_json_str(m->data, "interim_message", "") : "Please write to us again in a while.");
    if (handed)
        CVM_TRY(keep_reference(t, cvm_json_str(m->data, "handoff_id", "")));
    compose_text(&(struct compose_in){.channel = service_context_str(t, "channel"),
                                      .tone = "brief",
                                      .sentiment = "",
                                      .name = "",
                                      .body = body,
                                      .token = "",
                                      .language = "en"},
                 text, sizeof text);
    CVM_TRY(cvm_context_set(t, "/final_response", json_string(text)));
    return answer(t, m, m->on_behalf, text, "ESCALATED", why);
}

/* ---- a look without an enquiry --------------------------------------------------------------------------------------
 */

int desk_classify(cvm_turn *t, const cvm_msg *m)
{
    const char *channel = channel_of(cvm_json_str(m->data, "channel", "SMS"));
    if (!channel)
        return cvm_refuse(t, "INVALID", "channel", "The channel must be SMS, WHATSAPP, WEB, VOICE, EMAIL or USSD.");
    json_t *result = classifier_read(t, cvm_json_str(m->data, "message", ""), channel);
    if (!result)
        return cvm_refuse(t, "NOT_AVAILABLE", NULL, "The vocabulary is not available.");
    return cvm_reply(t, m, result);
}
