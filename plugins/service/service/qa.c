/* QAAgent: reviews the draft by the rubric; approves, sends it back once, or asks for a human. Loop thread. */
#include "../../common/object.h"
#include "qa_llm.h"

int qa_review(cvm_turn *t, const cvm_msg *m)
{
    const json_t *context = json_object_get(m->data, "context");
    return cvm_reply(t, m,
                     review_draft(cvm_json_str(m->data, "response", ""), json_object_get(m->data, "facts"),
                                  json_is_object(context) ? context : cvm_context(t), cvm_settings(t)));
}

/* Whether an action stays within what agents may do without a human. */
int qa_policy(cvm_turn *t, const cvm_msg *m)
{
    double amount = json_number_value(json_object_get(m->data, "amount"));
    double limit = (double)cvm_json_int(cvm_settings(t), "automatic_limit", 100000);
    const char *action = cvm_json_str(m->data, "action", "");
    bool allowed = amount <= limit;
    return cvm_reply(
        t, m,
        json_pack("{s:s, s:b, s:s}", "action", action, "allowed", allowed, "reason",
                  allowed ? "within the limit of what needs no human" : "above the limit: a human decides"));
}

/* Domain agents, research and transaction count as agents that worked on the matter (D-42). */
int64_t qa_workers(cvm_turn *t)
{
    const json_t *involved = json_object_get(cvm_context(t), "agents_involved");
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(involved); i++) {
        const char *name = json_string_value(json_array_get(involved, i));
        const json_t *c = name ? service_component(cvm_registry(t, "components"), name) : NULL;
        const char *id = cvm_json_str(c, "id", "");
        n += c &&
             (service_has_role(c, "desk.domain") || !strcmp(id, SERVICE_RESEARCH) || !strcmp(id, SERVICE_TRANSACTION));
    }
    return n;
}

static json_t *rule(const char *name, const char *reason, const char *queue)
{
    return json_pack("{s:s, s:s, s:s}", "rule", name, "reason", reason, "queue", queue);
}

/* What became known only by the work itself: a purchase that needs a colleague, the third failure. */
json_t *qa_late_rule(cvm_turn *t, const json_t *given)
{
    const json_t *transaction = json_object_get(given, "transaction");
    const char *code = cvm_json_str(transaction, "rule", "");
    char reason[160];
    if (*service_context_str(t, "handoff_id"))
        return NULL;
    if (cvm_json_bool(transaction, "handoff", false)) {
        snprintf(reason, sizeof reason, "the purchase needs a colleague (%.*s)", clip(code, 60), code);
        return rule(!strcmp(code, "TWO_FACTOR") ? "two_factor" : "fraud_check", reason, "transactions");
    }
    int64_t failures = cvm_json_int(cvm_context(t), "transaction_failure_count", 0);
    if (failures < cvm_json_int(cvm_settings(t), "transaction_failure_count", 3))
        return NULL;
    snprintf(reason, sizeof reason, "%lld failed transactions in this session", (long long)failures);
    return rule("transaction_failure_count", reason, "transactions");
}

static json_t *with(const cvm_msg *m, const char *name, json_t *value)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)service_given(m));
    if (!copy)
        copy = json_object();
    json_object_set_new(copy, name, value);
    return copy;
}

static int reject(cvm_turn *t, const cvm_msg *m, json_t *review, int64_t rejections)
{
    const json_t *author = service_component(cvm_registry(t, "components"), service_from(m));
    const char *id = cvm_json_str(author, "id", "");
    bool many = qa_workers(t) >= cvm_json_int(cvm_settings(t), "unresolved_after_agents", 5);
    bool rework = !many && rejections == 1 && service_has_role(author, "desk.domain");
    char next[CVM_NAME_MAX + 1];
    snprintf(next, sizeof next, "%s",
             rework                                  ? id
             : *service_context_str(t, "handoff_id") ? SERVICE_RESPONSE /* a human has it already */
                                                     : SERVICE_ESCALATION);
    json_t *data;
    if (rework) {
        data =
            with(m, "rework",
                 json_pack("{s:O, s:s}", "remarks", json_object_get(review, "remarks"), "draft", service_content(m)));
    } else {
        data = with(m, "escalate",
                    many ? rule("unresolved_after_agents", "not solved after five agents", "general")
                         : rule("qa_rejected", "the answer did not pass the review", "general"));
    }
    return service_step(t, m, rework ? service_context_str(t, "message") : service_content(m), data, next, false);
}

/* Agents may hand their draft straight to QA; what the route planned between them must not be lost: a part of an
 * enquiry with several domains goes back to who collects the parts, a case for a human to who hands it over. */
static bool escalation_waits(cvm_turn *t)
{
    const json_t *context = cvm_context(t);
    return !*cvm_json_str(context, "handoff_id", "") &&
           json_array_size(json_object_get(json_object_get(context, "escalation"), "rules")) > 0;
}

static bool part_runs(cvm_turn *t)
{
    return json_is_integer(json_object_get(json_object_get(cvm_context(t), "multi"), "current"));
}

static int decided(cvm_turn *t, const cvm_msg *m, json_t *review, json_t *late, int64_t rejections)
{
    bool approved = cvm_json_bool(review, "approved", false);
    if (late)
        return service_step(t, m, service_content(m), with(m, "escalate", json_incref(late)), SERVICE_ESCALATION,
                            false);
    if (!approved)
        return reject(t, m, review, rejections);
    return service_step(t, m, service_content(m), cvm_json_share(service_given(m)),
                        escalation_waits(t) ? SERVICE_ESCALATION : SERVICE_RESPONSE, false);
}

static json_t *why(const json_t *review, bool approved, const json_t *late)
{
    static const char *const names[] = {"scores", "mean", "remarks"};
    json_t *note = json_object();
    OBJECT_TEXT(note, "chose", approved ? "approved" : "rejected");
    object_share_all(&note, review, names, sizeof names / sizeof *names);
    OBJECT_PUT(note, "human", late ? cvm_json_share(late) : json_null());
    return note;
}

/* Takes the review. */
static int reviewed(cvm_turn *t, const cvm_msg *m, json_t *review)
{
    int64_t rejections = cvm_json_int(json_object_get(cvm_context(t), "review"), "rejections", 0);
    json_t *late = qa_late_rule(t, service_given(m));
    bool approved = cvm_json_bool(review, "approved", false);
    rejections += !approved;
    json_object_set_new(review, "rejections", json_integer(rejections));
    json_object_set_new(review, "author", json_string(service_from(m)));
    int e = cvm_context_set(t, "/review", json_incref(review));
    if (e >= 0)
        e = cvm_note(t, "decision", why(review, approved, late));
    if (e >= 0)
        e = decided(t, m, review, late, rejections);
    json_decref(late);
    json_decref(review);
    return e;
}

int qa_handle(cvm_turn *t, const cvm_msg *m)
{
    if (part_runs(t))
        return service_step(t, m, service_content(m), cvm_json_share(service_given(m)), SERVICE_ESCALATION, false);
    json_t *review = review_draft(service_content(m), service_given(m), cvm_context(t), cvm_settings(t));
    /* What the rules refuse needs no second opinion. */
    return cvm_json_bool(review, "approved", false) && model_may(t, m) ? qa_llm_ask(t, m, review)
                                                                       : reviewed(t, m, review);
}

static int with_answer(cvm_turn *t, const cvm_msg *m, const json_t *found, const cvm_msg *answer)
{
    json_t *review = qa_llm_merge(found, llm_data(answer), cvm_settings(t));
    return review ? reviewed(t, m, review) : CVM_ENOMEM;
}

int qa_answered(cvm_turn *t, const cvm_msg *m)
{
    return model_resume(t, m, with_answer);
}
