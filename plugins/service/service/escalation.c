/* EscalationAgent: hands cases to humans, prepares a softer answer where a customer is unhappy, and takes an enquiry
 * with several domains apart, part by part (D-98). Owns `escalation`, `multi`, `handoff_id` and `interim` in the
 * context. Loop thread. */
#include "service.h"

static const json_t *rules_of(cvm_turn *t)
{
    return json_object_get(json_object_get(cvm_context(t), "escalation"), "rules");
}

static bool part_of_money(cvm_turn *t)
{
    return *service_context_str(t, "transaction_id") != 0;
}

/* ---- one case -----------------------------------------------------------------------------------------------------
 */

static int hand_over(cvm_turn *t, const cvm_msg *m, const char *draft, char *ret_interim, size_t size)
{
    char id[CVM_SHORT_ID_SIZE], summary[256];
    const json_t *context = cvm_context(t), *rules = rules_of(t);
    const char *priority = cvm_json_str(context, "priority", "MEDIUM");
    snprintf(summary, sizeof summary, "%s %s, %s, by %s: %s", cvm_json_str(context, "service_domain", "UNKNOWN"),
             cvm_json_str(context, "intent", "UNKNOWN"), priority, cvm_json_str(context, "channel", "SMS"),
             cvm_json_str(json_array_get(rules, 0), "reason", "needs a human"));
    struct handoff h = {.enquiry_id = cvm_json_str(context, "enquiry_id", ""),
                        .customer_id = cvm_json_str(context, "customer_id", ""),
                        .priority = priority,
                        .summary = summary,
                        .draft = draft,
                        .rules = rules,
                        .context = context};
    CVM_TRY(handoffs_create(t, m, &h, id));
    handoffs_interim(t, id, rules, priority, ret_interim, size);
    CVM_TRY(cvm_context_set(t, "/handoff_id", json_string(id)));
    return cvm_context_set(t, "/interim", json_string(ret_interim));
}

/* Who goes on after us. Where the route does not hold us (QA called), it must not begin again. */
static const char *after(cvm_turn *t)
{
    const json_t *route = json_object_get(cvm_context(t), "route");
    for (size_t i = 0; i < json_array_size(route); i++)
        if (!strcmp(json_string_value(json_array_get(route, i)), SERVICE_ESCALATION))
            return NULL;
    return SERVICE_QA;
}

static bool rejected(cvm_turn *t)
{
    return !cvm_json_bool(json_object_get(cvm_context(t), "review"), "approved", true);
}

/* The customer hears what was done to their money, and who looks at the rest; a draft about words alone, or one that
 * did not pass the review, waits for the human who takes the case. */
static int finish_case(cvm_turn *t, const cvm_msg *m, const char *draft, json_t *facts)
{
    char interim[512], text[SERVICE_TEXT_MAX];
    bool inform = rules_only_inform(rules_of(t), service_context_str(t, "intent")) && part_of_money(t);
    bool several = json_object_get(cvm_context(t), "multi") && !rejected(t);
    bool keep_draft = *draft && (part_of_money(t) || several);
    int e = hand_over(t, m, draft, interim, sizeof interim);
    if (e < 0) {
        json_decref(facts);
        return e;
    }
    if (inform) {
        CVM_TRY(cvm_context_set(t, "/interim", NULL));
        return service_step(t, m, draft, facts, after(t), false);
    }
    e = cvm_context_set(t, "/resolution_status", json_string("ESCALATED"));
    if (e < 0) {
        json_decref(facts);
        return e;
    }
    snprintf(text, sizeof text, "%.*s%s%s", keep_draft ? (int)text_cut(draft, 6000) : 0, draft, keep_draft ? " " : "",
             interim);
    return service_step(t, m, text, facts, after(t), false);
}

/* ---- several domains ----------------------------------------------------------------------------------------------
 */

static json_t *member(const json_t *object, const char *name)
{
    return cvm_json_share(json_object_get(object, name));
}

/* What a part leaves unsaid (whose phone, which network) stands in the whole message. */
static json_t *part_entities(const json_t *part, const json_t *whole)
{
    json_t *entities = json_copy((json_t *)(uintptr_t)part);
    static const char *const shared[] = {"phone_numbers", "networks", "discos", "meter_numbers"};
    for (size_t i = 0; entities && i < sizeof shared / sizeof *shared; i++)
        if (!json_array_size(json_object_get(entities, shared[i])) && json_object_get(whole, shared[i]))
            json_object_set_new(entities, shared[i], member(whole, shared[i]));
    return entities ? entities : json_object();
}

static int set_current(cvm_turn *t, const char *domain, const char *intent, const json_t *leaf, const json_t *cues,
                       json_t *entities)
{
    CVM_TRY(cvm_context_set(t, "/service_domain", json_string(domain)));
    CVM_TRY(cvm_context_set(t, "/intent", json_string(intent)));
    CVM_TRY(cvm_context_set(t, "/sub_intent", leaf ? cvm_json_share(leaf) : json_null()));
    CVM_TRY(cvm_context_set(t, "/cues", cues ? cvm_json_share(cues) : json_array()));
    return cvm_context_set(t, "/entities", entities);
}

/* The conversation goes to the agents of one part and comes back here. */
static int begin_part(cvm_turn *t, const cvm_msg *m, size_t n, const json_t *part, json_t *agents)
{
    const json_t *whole = json_object_get(json_object_get(cvm_context(t), "multi"), "entities");
    const char *text = cvm_json_str(part, "message", "");
    json_t *reading = classifier_read(t, text, service_context_str(t, "channel"));
    json_t *entities = part_entities(json_object_get(reading, "entities"), whole);
    json_decref(reading);
    char first[CVM_NAME_MAX + 1];
    snprintf(first, sizeof first, "%s", json_string_value(json_array_get(agents, 0)));
    json_t *route = json_copy(agents);
    json_array_append_new(route, json_string(SERVICE_ESCALATION));
    json_array_append_new(route, json_string(SERVICE_QA));
    json_array_append_new(route, json_string(SERVICE_RESPONSE));
    CVM_TRY(set_current(t, cvm_json_str(part, "service_domain", ""), cvm_json_str(part, "intent", ""),
                        json_object_get(part, "sub_intent"), json_object_get(part, "cues"), entities));
    CVM_TRY(cvm_context_set(t, "/route", route));
    CVM_TRY(cvm_context_set(t, "/multi/current", json_integer((json_int_t)n)));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:i, s:s?, s:O}", "chose", "part", "part", (int)n + 1, "domain",
                               cvm_json_str(part, "service_domain", ""), "agents", agents)));
    return service_step(t, m, text, json_pack("{s:i}", "part", (int)n + 1), first, false);
}

static const char *domain_label(cvm_turn *t, const char *domain)
{
    const struct vocabulary *v = service_vocabulary(t);
    int d = v ? vocabulary_domain(v, domain) : -1;
    return d >= 0 ? v->labels_of[d] : domain;
}

/* All parts have been tried: one answer that names them, and a human for those that could not be solved. */
static int finish_parts(cvm_turn *t, const cvm_msg *m)
{
    const json_t *multi = json_object_get(cvm_context(t), "multi"), *parts = json_object_get(multi, "parts");
    char text[SERVICE_TEXT_MAX] = "", reason[256] = "";
    size_t at = 0;
    bool unsolved = false;
    for (size_t i = 0; i < json_array_size(parts) && at + 64 < sizeof text; i++) {
        const json_t *part = json_array_get(parts, i);
        const char *answer = cvm_json_str(part, "answer", NULL), *domain = cvm_json_str(part, "service_domain", "");
        const char *label = domain_label(t, domain);
        unsolved |= !answer;
        if (!answer && strlen(reason) + strlen(label) + 40 < sizeof reason)
            snprintf(reason + strlen(reason), sizeof reason - strlen(reason), "%s%s", *reason ? " and " : "", label);
        int n = answer ? snprintf(text + at, sizeof text - at, "%sAbout %s: %.*s", at ? "\n" : "", label,
                                  (int)text_cut(answer, 1800), answer)
                       : snprintf(text + at, sizeof text - at, "%sAbout %s: a colleague will answer this part.",
                                  at ? "\n" : "", label);
        at += n > 0 ? (size_t)n : 0;
    }
    json_t *held = cvm_json_share(multi); /* the context changes under it */
    int e = set_current(t, "MULTI", cvm_json_str(held, "intent", ""), NULL, NULL, member(held, "entities"));
    json_decref(held);
    CVM_TRY(e);
    CVM_TRY(cvm_context_set(t, "/multi/current", NULL));
    if (unsolved) {
        char why[320];
        snprintf(why, sizeof why, "the part about %s could not be solved here", reason);
        CVM_TRY(service_context_append(
            t, "/escalation/rules",
            json_pack("{s:s, s:s, s:s}", "rule", "part_unsolved", "reason", why, "queue", "general")));
    }
    if (json_array_size(rules_of(t)))
        return finish_case(t, m, text, NULL);
    return service_step(t, m, text, NULL, after(t), false);
}

/* Goes to the next part from `n` on that somebody here can work on. */
static int next_part(cvm_turn *t, const cvm_msg *m, size_t n)
{
    for (;; n++) {
        const json_t *parts = json_object_get(json_object_get(cvm_context(t), "multi"), "parts");
        const json_t *part = json_array_get(parts, n), *domains = cvm_registry(t, "domains");
        if (!part)
            return finish_parts(t, m);
        const char *domain = cvm_json_str(part, "service_domain", "");
        if (!routing_served(domains, domain))
            continue;
        json_t *agents = routing_agents(domain, cvm_json_str(part, "intent", ""), cvm_json_str(part, "sub_intent", ""),
                                        domains, service_base(t), cvm_registry(t, "components"), NULL);
        json_t *held = cvm_json_share(part); /* the context changes under it */
        int e = json_array_size(agents) ? begin_part(t, m, n, part, agents) : 1;
        json_decref(held);
        json_decref(agents);
        if (e <= 0)
            return e;
    }
}

static int begin_parts(cvm_turn *t, const cvm_msg *m)
{
    const json_t *context = cvm_context(t), *classification = json_object_get(context, "classification");
    const json_t *parts = json_object_get(classification, "parts");
    json_t *multi = json_pack("{s:O?, s:s, s:O?}", "parts", parts, "intent", cvm_json_str(context, "intent", ""),
                              "entities", json_object_get(context, "entities"));
    if (!multi)
        return CVM_ENOMEM;
    CVM_TRY(cvm_context_set(t, "/multi", multi));
    return next_part(t, m, 0);
}

static int part_answered(cvm_turn *t, const cvm_msg *m, size_t n)
{
    const json_t *parts = json_object_get(json_object_get(cvm_context(t), "multi"), "parts");
    json_t *list = json_copy((json_t *)(uintptr_t)parts);
    json_t *part = json_copy(json_array_get(list, n));
    if (!list || !part) {
        json_decref(list);
        json_decref(part);
        return CVM_EDATA;
    }
    if (*service_content(m))
        json_object_set_new(part, "answer", json_string(service_content(m)));
    const char *bought = cvm_json_str(json_object_get(service_given(m), "transaction"), "transaction_id", "");
    if (*bought)
        json_object_set_new(part, "transaction_id", json_string(bought));
    if (*service_rule(service_given(m)))
        json_object_set_new(part, "rule", json_string(service_rule(service_given(m))));
    json_array_set_new(list, n, part);
    CVM_TRY(cvm_context_set(t, "/multi/parts", list));
    json_t *late = qa_late_rule(t, service_given(m));
    if (late)
        CVM_TRY(service_context_append(t, "/escalation/rules", late));
    return next_part(t, m, n + 1);
}

/* ---- a step of a conversation -------------------------------------------------------------------------------------
 */

static int add_given_rule(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rule = json_object_get(service_given(m), "escalate");
    if (!json_is_object(rule))
        return CVM_OK;
    return service_context_append(t, "/escalation/rules", cvm_json_share(rule));
}

static bool is_domain_agent(cvm_turn *t, const char *from)
{
    const json_t *c = service_component(cvm_registry(t, "components"), from);
    return c &&
           (service_has_role(c, "desk.domain") || !strcmp(cvm_json_str(c, "id", ""), SERVICE_TRANSACTION) ||
            !strcmp(cvm_json_str(c, "id", ""), SERVICE_RESEARCH) || !strcmp(cvm_json_str(c, "id", ""), SERVICE_QA));
}

int escalation_handle(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(add_given_rule(t, m));
    const json_t *context = cvm_context(t), *rules = rules_of(t);
    const json_t *current = json_object_get(json_object_get(context, "multi"), "current");
    const char *draft = is_domain_agent(t, service_from(m)) ? service_content(m) : "";
    if (json_is_integer(current))
        return part_answered(t, m, (size_t)json_integer_value(current));
    if (!strcmp(cvm_json_str(context, "service_domain", ""), "MULTI") && !json_object_get(context, "multi") &&
        !rules_hold_money(rules))
        return begin_parts(t, m);
    if (json_array_size(rules))
        return finish_case(t, m, draft, cvm_json_share(service_given(m)));
    CVM_TRY(cvm_context_set(t, "/tone", json_string("empathetic")));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s}", "chose", "prepare only", "because",
                               "the customer is unhappy, no rule asks for a human")));
    return service_step(t, m, service_content(m), cvm_json_share(service_given(m)), after(t), false);
}

/* ---- tools --------------------------------------------------------------------------------------------------------
 */

int escalation_create(cvm_turn *t, const cvm_msg *m)
{
    const json_t *reasons = json_object_get(m->data, "reasons");
    const char *priority = cvm_json_str(m->data, "priority", "MEDIUM");
    char id[CVM_SHORT_ID_SIZE], interim[512];
    struct handoff h = {.enquiry_id = cvm_json_str(m->data, "enquiry_id", ""),
                        .customer_id = cvm_json_str(m->data, "customer_id", ""),
                        .priority = priority,
                        .summary = cvm_json_str(m->data, "summary", ""),
                        .draft = cvm_json_str(m->data, "draft_response", ""),
                        .rules = reasons,
                        .context =
                            json_object_get(m->data, "context") ? json_object_get(m->data, "context") : cvm_context(t)};
    CVM_TRY(handoffs_create(t, m, &h, id));
    handoffs_interim(t, id, reasons, priority, interim, sizeof interim);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:s, s:s}", "handoff_id", id, "queue", rules_queue(reasons), "status",
                               "open", "interim_message", interim));
}

int escalation_notify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_publish(t, "handoff.created",
                        json_pack("{s:s, s:s, s:s, s:s}", "handoff_id", cvm_json_str(m->data, "handoff_id", ""),
                                  "enquiry_id", cvm_json_str(m->data, "enquiry_id", ""), "queue",
                                  cvm_json_str(m->data, "queue", "general"), "priority",
                                  cvm_json_str(m->data, "priority", "MEDIUM"))));
    return cvm_reply(t, m, json_pack("{s:b, s:s}", "notified", 1, "topic", "handoff.created"));
}

int escalation_split(cvm_turn *t, const cvm_msg *m)
{
    const json_t *domains = cvm_registry(t, "domains");
    json_t *reading = classifier_read(t, cvm_json_str(m->data, "text", ""), "SMS"), *parts = json_array();
    const json_t *found = json_object_get(reading, "parts");
    if (!reading) {
        json_decref(parts);
        return cvm_refuse(t, "NOT_AVAILABLE", NULL, "The vocabulary is not available.");
    }
    for (size_t i = 0; i < json_array_size(found); i++) {
        json_t *part = json_copy(json_array_get(found, i));
        json_object_set_new(part, "served",
                            json_boolean(routing_served(domains, cvm_json_str(part, "service_domain", ""))));
        json_array_append_new(parts, part);
    }
    if (!json_array_size(found) && strcmp(cvm_json_str(reading, "service_domain", ""), "UNKNOWN") != 0)
        json_array_append_new(parts, json_pack("{s:s, s:s, s:s, s:b}", "service_domain",
                                               cvm_json_str(reading, "service_domain", ""), "intent",
                                               cvm_json_str(reading, "intent", ""), "message",
                                               cvm_json_str(m->data, "text", ""), "served",
                                               routing_served(domains, cvm_json_str(reading, "service_domain", ""))));
    json_decref(reading);
    return cvm_reply(t, m, json_pack("{s:o}", "parts", parts));
}
