/* OrchestratorAgent: which agents work on the enquiry, and whether a human must. Sets `route`, `routing` and
 * `escalation` in the context. Loop thread. */
#include "../../common/object.h"
#include "service.h"

static json_t *decide(cvm_turn *t, const json_t *facts, const json_t *rules)
{
    return routing_decide(facts, rules, cvm_registry(t, "domains"), service_base(t), cvm_registry(t, "components"));
}

int orchestrator_route(cvm_turn *t, const cvm_msg *m)
{
    const json_t *facts = json_object_get(m->data, "context");
    json_t *upper = json_copy((json_t *)(uintptr_t)(json_is_object(facts) ? facts : m->data));
    static const char *const names[] = {"service_domain", "intent", "priority", "sentiment", "customer_tier"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) { /* compared without regard to case */
        char value[64];
        size_t n = 0;
        for (const char *s = cvm_json_str(upper, names[i], ""); *s && n + 1 < sizeof value; s++)
            value[n++] = (char)(*s >= 'a' && *s <= 'z' ? *s - 32 : *s);
        value[n] = 0;
        if (n)
            json_object_set_new(upper, names[i], json_string(value));
    }
    json_t *rules = rules_apply(upper, cvm_settings(t));
    json_t *decision = decide(t, upper, rules);
    json_object_set_new(decision, "escalation", rules);
    json_decref(upper);
    return cvm_reply(t, m, decision);
}

/* Whether an agent's manifest lets the conversation pass to another one. */
static bool allowed(const json_t *components, const json_t *from, const json_t *to)
{
    const json_t *next = json_object_get(from, "next");
    (void)components;
    for (size_t i = 0; i < json_array_size(next); i++) {
        const char *name = json_string_value(json_array_get(next, i));
        if (!name)
            continue;
        if (!strcmp(name, "*") || !strcmp(name, cvm_json_str(to, "id", "")) ||
            !strcmp(name, cvm_json_str(to, "alias", "")))
            return true;
        if (!strncmp(name, "role:", 5) && service_has_role(to, name + 5))
            return true;
    }
    return false;
}

int orchestrator_check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *components = cvm_registry(t, "components");
    const json_t *from = service_component(components, cvm_json_str(m->data, "from", ""));
    const json_t *to = service_component(components, cvm_json_str(m->data, "to", ""));
    if (!from || !to)
        return cvm_refuse(t, "NOT_FOUND", from ? "to" : "from", "There is no such agent.");
    if (!json_object_get(from, "next"))
        return cvm_refuse(t, "NOT_AVAILABLE", "from", "The host does not say who may follow this agent.");
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:b}", "from", cvm_json_str(from, "alias", ""), "to",
                               cvm_json_str(to, "alias", ""), "allowed", allowed(components, from, to)));
}

/* The context of an enquiry: read in the enquiry's own conversation. */
int orchestrator_context(cvm_turn *t, const cvm_msg *m)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    if (!*enquiry || !strcmp(enquiry, m->conversation)) {
        if (!json_object_size(cvm_context(t)))
            return cvm_refuse(t, "NOT_FOUND", "enquiry_id", "There is no enquiry with this id.");
        return cvm_reply(t, m, json_pack("{s:O}", "context", cvm_context(t)));
    }
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = SERVICE_ORCHESTRATOR,
                   .type = "get_context",
                   .data = json_pack("{s:s}", "enquiry_id", enquiry),
                   .conversation = enquiry,
                   .request = m->id,
                   .priority = -1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

static json_t *extra_rule(const json_t *decision)
{
    char reason[256];
    const json_t *context_missing = NULL;
    const json_t *notes = json_object_get(decision, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++)
        if (!strcmp(cvm_json_str(json_array_get(notes, i), "rule", ""), "agents_missing"))
            context_missing = json_object_get(json_array_get(notes, i), "agents");
    snprintf(reason, sizeof reason, "no agent for this intent is loaded:");
    for (size_t i = 0; i < json_array_size(context_missing); i++) {
        size_t n = strlen(reason);
        snprintf(reason + n, sizeof reason - n, " %s", json_string_value(json_array_get(context_missing, i)));
    }
    return json_pack("{s:s, s:s, s:s}", "rule", "agents_missing", "reason", reason, "queue", "general");
}

static json_t *routing_of(const json_t *decision)
{
    static const char *const names[] = {"outcome", "considered", "notes", "instead"};
    json_t *routing = json_object();
    object_share_all(&routing, decision, names, sizeof names / sizeof *names);
    return routing;
}

static json_t *why(const json_t *decision, const json_t *rules)
{
    static const char *const names[] = {"route", "outcome", "considered", "notes"};
    json_t *note = json_object();
    OBJECT_TEXT(note, "chose", "route");
    object_share_all(&note, decision, names, sizeof names / sizeof *names);
    OBJECT_SHARE(note, "escalation", rules);
    return note;
}

int orchestrator_handle(cvm_turn *t, const cvm_msg *m)
{
    json_t *rules = rules_apply(cvm_context(t), cvm_settings(t));
    json_t *decision = decide(t, cvm_context(t), rules);
    const json_t *route = json_object_get(decision, "route");
    char first[CVM_NAME_MAX + 1];
    snprintf(first, sizeof first, "%s",
             json_string_value(json_array_get(route, 0)) ? json_string_value(json_array_get(route, 0)) : "");
    if (!strcmp(cvm_json_str(decision, "outcome", ""), "agents_missing"))
        json_array_append_new(rules, extra_rule(decision));
    int e = *first ? CVM_OK : cvm_refuse(t, "NOT_AVAILABLE", NULL, "No agent is loaded that could answer.");
    if (e >= 0)
        e = cvm_context_set(t, "/escalation", json_pack("{s:O}", "rules", rules));
    if (e >= 0)
        e = cvm_context_set(t, "/route", cvm_json_share(route));
    if (e >= 0)
        e = cvm_context_set(t, "/routing", routing_of(decision));
    if (e >= 0)
        e = cvm_note(t, "decision", why(decision, rules));
    json_decref(rules);
    json_decref(decision);
    return e < 0 ? e : service_step(t, m, service_content(m), NULL, first, false);
}
