/* Handoffs to humans: the record, the word to the customer, the list. Owns the table `handoffs`; a record's context and
 * draft stand in the row, because humans work with them after the conversation is gone. Loop thread. */
#include "service.h"

/* What a human needs of the shared document; the rest is in the journal. */
static json_t *context_extract(const json_t *context)
{
    static const char *const names[] = {"channel",        "message",        "customer_name",      "customer_phone",
                                        "customer_email", "customer_tier",  "service_domain",     "intent",
                                        "sub_intent",     "priority",       "sentiment",          "entities",
                                        "routing",        "transaction_id", "transaction_status", "agents_involved",
                                        "review",         "multi",          "created_at"};
    json_t *extract = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get(context, names[i]);
        if (v)
            json_object_set_new(extract, names[i], cvm_json_share(v));
    }
    return extract;
}

int handoffs_create(cvm_turn *t, const cvm_msg *m, const struct handoff *h, char ret_id[CVM_SHORT_ID_SIZE])
{
    char at[SERVICE_TIME_SIZE];
    const char *queue = rules_queue(h->rules);
    CVM_TRY(cvm_new_id(t, "HND", ret_id));
    CVM_TRY(cvm_row_put(t, "handoffs",
                        json_pack("{s:s, s:s, s:s, s:O, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "handoff_id", ret_id,
                                  "enquiry_id", h->enquiry_id, "customer_id", h->customer_id, "reasons", h->rules,
                                  "queue", queue, "priority", h->priority, "summary", h->summary, "context",
                                  context_extract(h->context), "draft_response", h->draft, "status", "open",
                                  "created_at", service_time(cvm_now_ms(t), at), "conversation", m->conversation)));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s, s:O}", "chose", "handoff", "handoff_id", ret_id, "queue", queue,
                               "because", h->rules)));
    return cvm_publish(t, "handoff.created",
                       json_pack("{s:s, s:s, s:s, s:s}", "handoff_id", ret_id, "enquiry_id", h->enquiry_id, "queue",
                                 queue, "priority", h->priority));
}

/* Said before the rest, where the rule asks for it. */
static const char *lead(const char *rule)
{
    static const char *const leads[][2] = {
        {"no_answer", "I do not have the answer to this myself. "},
        {"agents_missing", "I cannot settle this myself. "},
        {"bulk_order", "An order for several numbers needs a colleague. "},
        {"security_keywords", "Please give nobody your PIN or codes. "},
    };
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (!strcmp(leads[i][0], rule))
            return leads[i][1];
    return "";
}

void handoffs_interim(cvm_turn *t, const char *handoff_id, const json_t *rules, const char *priority, char *ret_text,
                      size_t size)
{
    const json_t *minutes = json_object_get(cvm_settings(t), "expected_minutes");
    int64_t n = cvm_json_int(minutes, priority, 240);
    const char *team = cvm_json_str(json_object_get(cvm_settings(t), "teams"), rules_queue(rules), "customer care");
    char when[48];
    if (n % 60 == 0)
        snprintf(when, sizeof when, "%lld hour%s", (long long)(n / 60), n == 60 ? "" : "s");
    else
        snprintf(when, sizeof when, "%lld minutes", (long long)n);
    snprintf(ret_text, size, "%sA colleague from our %s team will get back to you within %s. Your reference is %s.",
             lead(rules_first(rules)), team, when, handoff_id);
}

int handoffs_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[][2] = {{"handoff_id", "handoff_id"},
                                             {"status", "status"},
                                             {"queue", "queue"},
                                             {"enquiry_id", "enquiry_id"},
                                             {"customer_id", "customer_id"}};
    return service_list(t, m, "handoffs", filters, sizeof filters / sizeof *filters);
}

int handoffs_listed(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    return cvm_settle(
        t, m->on_behalf, CVM_REPLIED,
        json_pack("{s:o, s:O?}", "handoffs",
                  service_rows(json_object_get(m->data, "rows"), (const char *const[]){"reasons", "context"}, 2),
                  "more", json_object_get(m->data, "more")),
        NULL);
}

int handoffs_show(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, SERVICE_ESCALATION, "list_handoffs",
                        json_pack("{s:s, s:i}", "handoff_id", cvm_json_str(m->data, "handoff_id", ""), "limit", 1),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int handoffs_shown(cvm_turn *t, const cvm_msg *m)
{
    if (handoffs_changing(t, m))
        return handoffs_changed(t, m);
    const json_t *row = json_array_get(json_object_get(m->data, "handoffs"), 0);
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    if (!row)
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "handoff_id", "message",
                                    "There is no handoff with this id."),
                          NULL);
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(row), NULL);
}
