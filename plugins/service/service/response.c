/* ResponseGeneratorAgent: the final text in the right tone and length, the next steps, the end signal. Loop thread. */
#include "../../common/object.h"
#include "response_llm.h"

int response_compose(cvm_turn *t, const cvm_msg *m)
{
    char text[SERVICE_TEXT_MAX];
    compose_text(&(struct compose_in){.channel = cvm_json_str(m->data, "channel", "WEB"),
                                      .tone = cvm_json_str(m->data, "tone", ""),
                                      .sentiment = cvm_json_str(m->data, "sentiment", "NEUTRAL"),
                                      .name = cvm_json_str(m->data, "customer_name", ""),
                                      .body = cvm_json_str(m->data, "text", ""),
                                      .token = cvm_json_str(m->data, "token", ""),
                                      .language = cvm_json_str(m->data, "language", "en")},
                 text, sizeof text);
    return cvm_reply(t, m, json_pack("{s:s}", "response_text", text));
}

int response_tone(cvm_turn *t, const cvm_msg *m)
{
    const char *tone =
        compose_tone(cvm_json_str(m->data, "channel", "WEB"), cvm_json_str(m->data, "sentiment", "NEUTRAL"));
    return cvm_reply(t, m, json_pack("{s:s}", "tone", tone));
}

static const char *label_of(cvm_turn *t, const char *domain)
{
    const struct vocabulary *v = service_vocabulary(t);
    int d = v ? vocabulary_domain(v, domain) : -1;
    return d >= 0 ? v->labels_of[d] : domain;
}

/* What is served now, for the customer: "airtime and data". */
static void served_list(cvm_turn *t, const char *last, char *text, size_t size)
{
    const struct vocabulary *v = service_vocabulary(t);
    const json_t *domains = cvm_registry(t, "domains");
    size_t n = 0, at = 0, total = 0;
    text[0] = 0;
    for (size_t d = 0; v && d < v->n_domains; d++)
        total += routing_served(domains, v->domains[d]);
    for (size_t d = 0; v && d < v->n_domains && at < size; d++) {
        if (!routing_served(domains, v->domains[d]))
            continue;
        const char *between = !n ? "" : n + 1 == total ? last : ", ";
        int wrote = snprintf(text + at, size - at, "%s%s", between, v->labels_of[d]);
        at += wrote > 0 ? (size_t)wrote : 0;
        n++;
    }
    if (!n)
        snprintf(text, size, "questions about our services");
}

/* Texts of our own, where no agent wrote one. Returns a word for the record. */
static const char *own_text(cvm_turn *t, char *text, size_t size)
{
    const json_t *context = cvm_context(t);
    const char *outcome = cvm_json_str(json_object_get(context, "routing"), "outcome", "");
    const struct vocabulary *v = service_vocabulary(t);
    char served[160];
    served_list(t, " and ", served, sizeof served);
    if (!strcmp(outcome, "not_served")) {
        snprintf(text, size, "I am sorry, we do not serve %s here yet. I can help you with %s.",
                 label_of(t, cvm_json_str(context, "service_domain", "")), served);
        return "domain_not_served";
    }
    if (!strcmp(outcome, "clarify_domain")) {
        const json_t *routing = json_object_get(context, "routing");
        snprintf(text, size, "I want to get this right: is it about %s, or about %s? Please tell me what you need.",
                 label_of(t, cvm_json_str(routing, "instead", "")),
                 label_of(t, cvm_json_str(context, "service_domain", "")));
        return "clarify_domain";
    }
    if (!strcmp(outcome, "unknown") && v) {
        struct understanding u;
        understand(v, cvm_json_str(context, "message", ""), "", &u);
        if (u.request) {
            served_list(t, " or ", served, sizeof served);
            snprintf(text, size,
                     "I would like to help. Is it about %s? Please tell me what you need, with the number and "
                     "the amount where they matter.",
                     served);
            return "clarify";
        }
        if (u.greeting) {
            snprintf(text, size, "I can help you with %s. What can I do for you?", served);
            return "greeting";
        }
        snprintf(text, size, "I am sorry, I cannot help with that here. I can help you with %s.", served);
        return "out_of_scope";
    }
    snprintf(text, size, "I am sorry, I could not complete this just now. Please try again, or ask for a colleague.");
    return "nothing_written";
}

/* A message may order two things. */
static void keep_references(cvm_turn *t, json_t *steps)
{
    const json_t *purchases = json_object_get(cvm_context(t), "purchases"), *one;
    const char *domain;
    json_object_foreach((json_t *)(uintptr_t)purchases, domain, one)
        json_array_append_new(steps, json_sprintf("Keep the reference %s", cvm_json_str(one, "transaction_id", "")));
    if (!purchases)
        json_array_append_new(steps, json_sprintf("Keep the reference %s", service_context_str(t, "transaction_id")));
}

static json_t *next_steps(cvm_turn *t, const char *why)
{
    const char *handoff = service_context_str(t, "handoff_id");
    bool escalated = !strcmp(service_context_str(t, "resolution_status"), "ESCALATED");
    json_t *steps = json_array();
    char text[160];
    if (escalated && *handoff) {
        snprintf(text, sizeof text, "Keep the reference %s and wait for our colleague", handoff);
        json_array_append_new(steps, json_string(text));
    } else if (!strcmp(service_context_str(t, "transaction_status"), "PENDING")) {
        json_array_append_new(steps, json_string("Do not repeat the purchase; check its status in 5 minutes"));
    } else if (!strncmp(why, "clarify", 7) || !strcmp(why, "greeting") || !strcmp(why, "out_of_scope")) {
        json_array_append_new(steps, json_string("Write what you need, with the number and the amount"));
    } else if (!strcmp(why, "domain_not_served")) {
        json_array_append_new(steps, json_string("Ask us about the services we offer"));
    } else if (!strcmp(why, "needs_input")) {
        json_array_append_new(steps, json_string("Answer with what is missing, or write the whole order again"));
    } else if (*service_context_str(t, "transaction_id")) {
        keep_references(t, steps);
    } else {
        json_array_append_new(steps, json_string("Write again if this did not answer your question"));
    }
    bool done = !*why && !escalated && strcmp(service_context_str(t, "transaction_status"), "PENDING") != 0;
    if (done && service_loaded(t, "service.feedback"))
        json_array_append_new(steps, json_string("Rate this answer 1 to 5"));
    return steps;
}

static const char *resolution(cvm_turn *t, const cvm_msg *m)
{
    const char *status = cvm_json_str(service_given(m), "resolution_status", "");
    if (!strcmp(service_context_str(t, "resolution_status"), "ESCALATED"))
        return "ESCALATED";
    if (!strcmp(service_context_str(t, "transaction_status"), "PENDING") || !strcmp(status, "PENDING"))
        return "PENDING";
    return "RESOLVED";
}

static bool own_outcome(const char *outcome)
{
    return !strcmp(outcome, "unknown") || !strcmp(outcome, "not_served") || !strcmp(outcome, "clarify_domain");
}

/* Why the answer is what it is, by the rule's name: what the desk said itself, what a human must settle, what an agent
 * did not do. "sold" and "answered" need no rule. */
static const char *reason_of(cvm_turn *t, const json_t *given, const char *text)
{
    const json_t *context = cvm_context(t), *parts = json_object_get(json_object_get(context, "multi"), "parts");
    bool money = !strcmp(service_context_str(t, "transaction_status"), "SUCCESS");
    if (*text)
        return text;
    if (*service_context_str(t, "handoff_id"))
        return rules_first(json_object_get(json_object_get(context, "escalation"), "rules"));
    if (*service_rule(given))
        return service_rule(given);
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (*cvm_json_str(json_array_get(parts, i), "rule", ""))
            return cvm_json_str(json_array_get(parts, i), "rule", "");
    return money ? "sold" : "answered";
}

/* `prose` is a model's wording of what the agents wrote, NULL: theirs stands; `may_ask`: a model may be asked for it.
 */
static int respond(cvm_turn *t, const cvm_msg *m, bool may_ask, const char *prose)
{
    const json_t *context = cvm_context(t), *given = service_given(m);
    const char *outcome = cvm_json_str(json_object_get(context, "routing"), "outcome", "");
    const char *why = "", *channel = cvm_json_str(context, "channel", "SMS");
    bool own = own_outcome(outcome) && !*cvm_json_str(context, "handoff_id", "");
    char body[SERVICE_TEXT_MAX], text[SERVICE_TEXT_MAX], reason[65];
    snprintf(body, sizeof body, "%.*s", own ? 0 : (int)text_cut(service_content(m), sizeof body - 1),
             service_content(m));
    if (!*body)
        why = own_text(t, body, sizeof body);
    snprintf(reason, sizeof reason, "%s", reason_of(t, given, why));
    if (!*why && cvm_json_bool(given, "needs_input", false))
        why = "needs_input";
    const char *token = cvm_json_str(json_object_get(json_object_get(given, "transaction"), "delivered"), "token", "");
    const char *tone = cvm_json_str(context, "tone", "");
    if (!*tone || !strcmp(channel, "SMS") || !strcmp(channel, "USSD"))
        tone = compose_tone(channel, cvm_json_str(context, "sentiment", "NEUTRAL"));
    if (may_ask && !own && !*why && model_may(t, m))
        return response_llm_ask(t, m, body, tone, channel);
    bool kept = prose && !own && !*why && response_llm_keeps(t, m, body, prose, channel);
    if (kept)
        snprintf(body, sizeof body, "%s", prose);
    compose_text(&(struct compose_in){.channel = channel,
                                      .tone = tone,
                                      .sentiment = cvm_json_str(context, "sentiment", "NEUTRAL"),
                                      .name = cvm_json_str(context, "customer_name", ""),
                                      .body = body,
                                      .token = token,
                                      .language = cvm_json_str(context, "language", "en")},
                 text, sizeof text);
    const char *status = resolution(t, m);
    json_t *steps = next_steps(t, why);
    json_t *note = json_object();
    OBJECT_TEXT(note, "chose", "answer");
    OBJECT_TEXT(note, "tone", tone);
    OBJECT_TEXT(note, "rule", reason);
    OBJECT_TEXT(note, "status", status);
    if (prose)
        OBJECT_TEXT(note, "wording", kept ? "by a model" : "by rules: the model's did not keep to the facts");
    CVM_TRY(cvm_note(t, "decision", note));
    int e = cvm_context_set(t, "/final_response", json_string(text));
    if (e >= 0)
        e = cvm_context_set(t, "/next_steps", json_incref(steps));
    if (e >= 0)
        e = cvm_context_set(t, "/recommended_actions", json_incref(steps));
    if (e >= 0)
        e = cvm_context_set(t, "/resolution_status", json_string(status));
    json_t *facts = json_pack("{s:o, s:s, s:s}", "next_steps", steps, "resolution_status", status, "reason", reason);
    if (e < 0) {
        json_decref(facts);
        return e;
    }
    return service_step(t, m, text, facts, NULL, true);
}

int response_handle(cvm_turn *t, const cvm_msg *m)
{
    return respond(t, m, true, NULL);
}

static int with_answer(cvm_turn *t, const cvm_msg *m, const json_t *found, const cvm_msg *answer)
{
    (void)found;
    return respond(t, m, false, llm_text(answer));
}

int response_answered(cvm_turn *t, const cvm_msg *m)
{
    return model_resume(t, m, with_answer);
}
