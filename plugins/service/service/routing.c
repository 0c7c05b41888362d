/* Which agents work on an enquiry, in which order (service.md 13). Pure: reads what is loaded and what was understood.
 * A domain's own section decides; the base vocabulary's routes complete it. Any thread. */
#include "service.h"

bool routing_served(const json_t *domains, const char *domain)
{
    for (size_t i = 0; i < json_array_size(domains); i++) {
        const json_t *section = json_array_get(domains, i);
        if (!strcmp(cvm_json_str(section, "name", ""), domain))
            return json_object_size(json_object_get(section, "routes")) > 0;
    }
    return false;
}

static const json_t *section_routes(const json_t *domains, const char *domain)
{
    for (size_t i = 0; i < json_array_size(domains); i++)
        if (!strcmp(cvm_json_str(json_array_get(domains, i), "name", ""), domain))
            return json_object_get(json_array_get(domains, i), "routes");
    return NULL;
}

/* The table's row: for the leaf, else the intent, else what comes nearest (D-40: INQUIRY). */
static const json_t *row(const json_t *domains, const json_t *base, const char *domain, const char *intent,
                         const char *leaf)
{
    const json_t *own = section_routes(domains, domain);
    const json_t *common = json_object_get(json_object_get(base, "routes"), domain);
    char key[128];
    snprintf(key, sizeof key, "%s/%s", intent, leaf);
    const json_t *found = *leaf ? json_object_get(own, key) : NULL;
    if (!found && *leaf)
        found = json_object_get(common, key);
    if (!found)
        found = json_object_get(own, intent);
    if (!found)
        found = json_object_get(common, intent);
    if (!found)
        found = json_object_get(own, "INQUIRY");
    return found ? found : json_object_get(common, "INQUIRY");
}

static bool listed(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *known = json_string_value(json_array_get(list, i));
        if (known && !strcmp(known, id))
            return true;
    }
    return false;
}

/* Adds the component's id to `list` unless it is there; what is not loaded goes to `missing`. */
static void add(json_t *list, const char *name, const json_t *components, json_t *missing)
{
    const json_t *c = service_component(components, name);
    const char *id = c ? cvm_json_str(c, "id", name) : name;
    json_t *to = c ? list : missing;
    if (to && !listed(to, id))
        json_array_append_new(to, c && json_object_get(c, "id") ? cvm_json_share(json_object_get(c, "id"))
                                                                : json_string(id));
}

json_t *routing_agents(const char *domain, const char *intent, const char *leaf, const json_t *domains,
                       const json_t *base, const json_t *components, json_t *missing)
{
    const json_t *table = row(domains, base, domain, intent, leaf);
    json_t *agents = json_array();
    bool specialist = false;
    for (size_t i = 0; i < json_array_size(table); i++)
        if (json_is_string(json_array_get(table, i)))
            add(agents, json_string_value(json_array_get(table, i)), components, missing);
    /* Who only executes what a specialist prepared has nothing to do without one. */
    for (size_t i = 0; i < json_array_size(agents); i++)
        specialist |= strcmp(json_string_value(json_array_get(agents, i)), SERVICE_TRANSACTION) != 0;
    if (!specialist)
        json_array_clear(agents);
    return agents;
}

static void note(json_t *decision, const char *rule, const char *text, json_t *agents)
{
    json_t *one = json_pack("{s:s, s:s}", "rule", rule, "text", text);
    if (agents && json_array_size(agents))
        json_object_set(one, "agents", agents);
    json_array_append_new(json_object_get(decision, "notes"), one);
}

static void extend(json_t *route, const json_t *agents, const json_t *components, json_t *missing)
{
    for (size_t i = 0; i < json_array_size(agents); i++)
        add(route, json_string_value(json_array_get(agents, i)), components, missing);
}

struct facts {
    const char *domain, *intent, *leaf, *priority, *sentiment;
    const json_t *rules, *domains, *base, *components;
};

static void route_domain(const struct facts *f, json_t *decision, json_t *route, json_t *missing)
{
    bool urgent = !strcmp(f->priority, "HIGH") || !strcmp(f->priority, "CRITICAL");
    bool unhappy = !strcmp(f->sentiment, "NEGATIVE") || !strcmp(f->sentiment, "VERY_NEGATIVE");
    json_t *agents = routing_agents(f->domain, f->intent, f->leaf, f->domains, f->base, f->components, missing);
    bool hold = rules_hold_money(f->rules) && !strcmp(f->intent, "PURCHASE");
    json_object_set(decision, "considered", agents);
    if (!json_array_size(agents)) {
        json_object_set_new(decision, "outcome", json_string("agents_missing"));
        note(decision, "agents_missing", "none of the agents for this intent is loaded", missing);
    } else if (hold) {
        note(decision, "held_for_human", "no purchase goes on before a human has looked at it", agents);
    } else {
        if (urgent) {
            add(route, SERVICE_RESEARCH, f->components, missing);
            note(decision, "priority", "HIGH or CRITICAL: research first", NULL);
        }
        extend(route, agents, f->components, missing);
    }
    if (unhappy || json_array_size(f->rules) || !json_array_size(agents)) {
        add(route, SERVICE_ESCALATION, f->components, missing);
        note(decision, unhappy ? "sentiment" : "escalation", "escalation joins", NULL);
    }
    json_decref(agents);
}

/* A domain that is served and that the message may be about as well, where the chosen one is not served: words for it
 * are there, and those for the chosen one do not settle it. Better to ask than to send away a customer of ours. */
static const char *served_instead(const json_t *context, const json_t *domains, const char *domain)
{
    const json_t *weights = json_object_get(json_object_get(context, "classification"), "weights");
    int64_t chosen = cvm_json_int(weights, domain, 0);
    const char *name, *instead = NULL;
    json_t *weight;
    json_object_foreach((json_t *)(uintptr_t)weights, name, weight)
    {
        int64_t n = json_integer_value(weight);
        if (strcmp(name, domain) != 0 && routing_served(domains, name) && (n >= 2 || (n == 1 && chosen < 5)))
            instead = name;
    }
    for (size_t i = 0; i < json_array_size(domains) && !instead && json_is_object(weights) && chosen < 3; i++) {
        const char *other = cvm_json_str(json_array_get(domains, i), "name", "");
        instead = strcmp(other, domain) != 0 && routing_served(domains, other) ? other : NULL;
    }
    return instead;
}

/* Not ours, or nobody's: answered at once, unless a rule asks for a human. */
static void route_unserved(const struct facts *f, json_t *decision, json_t *route, json_t *missing, const char *outcome,
                           const char *text)
{
    json_object_set_new(decision, "outcome", json_string(outcome));
    note(decision, !strcmp(outcome, "not_served") ? "domain_not_served" : outcome, text, NULL);
    if (json_array_size(f->rules))
        add(route, SERVICE_ESCALATION, f->components, missing);
}

/* The other domain where the classifier could not tell which of two is meant; NULL: it is clear, or the matter cannot
 * wait for a question. */
static const char *close_to(const struct facts *f, const json_t *context)
{
    const char *other = cvm_json_str(json_object_get(context, "classification"), "alternative", "");
    bool waits = !strcmp(f->priority, "LOW") || !strcmp(f->priority, "MEDIUM");
    return *other && waits && !json_array_size(f->rules) && routing_served(f->domains, other) ? other : NULL;
}

json_t *routing_decide(const json_t *context, const json_t *rules, const json_t *domains, const json_t *base,
                       const json_t *components)
{
    struct facts f = {.domain = cvm_json_str(context, "service_domain", "UNKNOWN"),
                      .intent = cvm_json_str(context, "intent", ""),
                      .leaf = cvm_json_str(context, "sub_intent", ""),
                      .priority = cvm_json_str(context, "priority", "MEDIUM"),
                      .sentiment = cvm_json_str(context, "sentiment", "NEUTRAL"),
                      .rules = rules,
                      .domains = domains,
                      .base = base,
                      .components = components};
    json_t *route = json_array(), *missing = json_array();
    json_t *decision = json_pack("{s:O, s:s, s:[], s:[]}", "route", route, "outcome", "answer", "considered", "notes");
    if (!strcmp(f.domain, "UNKNOWN")) {
        route_unserved(&f, decision, route, missing, "unknown", "nothing in scope was recognised");
    } else if (!strcmp(f.domain, "MULTI")) {
        json_object_set_new(decision, "outcome", json_string("multi"));
        note(decision, "multi", "several lines of business: the parts are split", NULL);
        add(route, SERVICE_ESCALATION, components, missing);
        add(route, SERVICE_RESEARCH, components, missing);
    } else if (!routing_served(domains, f.domain) && served_instead(context, domains, f.domain)) {
        const char *instead = served_instead(context, domains, f.domain);
        json_object_set_new(decision, "instead", json_string(instead));
        route_unserved(&f, decision, route, missing, "clarify_domain", "not served, but it may be about another one");
    } else if (!routing_served(domains, f.domain)) {
        route_unserved(&f, decision, route, missing, "not_served", "known, but no plugin that serves it is loaded");
    } else if (close_to(&f, context)) {
        json_object_set_new(decision, "instead", json_string(close_to(&f, context)));
        route_unserved(&f, decision, route, missing, "clarify_domain", "two lines of business are about as likely");
    } else {
        route_domain(&f, decision, route, missing);
    }
    add(route, SERVICE_QA, components, missing);
    add(route, SERVICE_RESPONSE, components, missing);
    /* A text of our own needs no review: QA is for what agents wrote. */
    const char *outcome = cvm_json_str(decision, "outcome", "");
    if (strcmp(outcome, "answer") && strcmp(outcome, "multi") && strcmp(outcome, "agents_missing") &&
        !json_array_size(rules)) {
        json_array_clear(route);
        add(route, SERVICE_RESPONSE, components, missing);
    }
    if (json_array_size(missing))
        note(decision, "agents_not_loaded", "left out of the route", missing);
    json_decref(route);
    json_decref(missing);
    return decision;
}
