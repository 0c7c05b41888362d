/* The plugin `service`: the desk's entry and the seven agents that are not of any one line of business. Owns the table
 * of routes; the work is in the files named after the agents. Loop thread. */
#include "service.h"

static const cvm_component components[] = {
    {.id = SERVICE_DESK, .state_version = 1},       {.id = SERVICE_TRIAGE, .state_version = 1},
    {.id = SERVICE_CLASSIFIER, .state_version = 1}, {.id = SERVICE_ORCHESTRATOR, .state_version = 1},
    {.id = SERVICE_QA, .state_version = 1},         {.id = SERVICE_RESPONSE, .state_version = 1},
    {.id = SERVICE_ESCALATION, .state_version = 1}, {0},
};

/* clang-format off */
static const cvm_route routes[] = {
    {SERVICE_DESK, "start", customers_start},
    {SERVICE_DESK, "open_account.reply", customers_opened},
    {SERVICE_DESK, "process_enquiry", desk_process},
    {SERVICE_DESK, "open_enquiry", desk_open},
    {SERVICE_DESK, "converse.reply", desk_conversed},
    {SERVICE_DESK, "create_handoff.reply", desk_handed_over},
    {SERVICE_DESK, "classify", desk_classify},
    {SERVICE_DESK, "show_enquiry", lookup_show},
    {SERVICE_DESK, "list_enquiries", lookup_list},
    {SERVICE_DESK, "list_enquiries.reply", lookup_shown},
    {SERVICE_DESK, "query.reply", lookup_listed},
    {SERVICE_DESK, "read_enquiry", lookup_context},
    {SERVICE_DESK, "rate_enquiry", rating_take},
    {SERVICE_DESK, "rate_last.reply", rating_replied},
    {SERVICE_DESK, "settle_enquiry", rating_settle},
    {SERVICE_DESK, "settle_enquiry.reply", rating_settled},
    {SERVICE_DESK, "handoff.resolved", rating_resolved},
    {SERVICE_DESK, "transaction.ended", tiers_spent},
    {SERVICE_DESK, "set_tier", tiers_set},
    {SERVICE_DESK, "contact", tiers_contact},
    {SERVICE_DESK, "evaluate", evaluate_rows},
    {SERVICE_TRIAGE, "handle", triage_handle},
    {SERVICE_TRIAGE, "validate_phone", triage_validate_phone},
    {SERVICE_TRIAGE, "validate_email", triage_validate_email},
    {SERVICE_TRIAGE, "detect_language", triage_detect_language},
    {SERVICE_CLASSIFIER, "start", classifier_start},
    {SERVICE_CLASSIFIER, "handle", classifier_handle},
    {SERVICE_CLASSIFIER, "classify_enquiry", classifier_classify},
    {SERVICE_CLASSIFIER, "chat.reply", classifier_answered},
    {SERVICE_CLASSIFIER, "extract_entities", classifier_entities},
    {SERVICE_CLASSIFIER, "sentiment_analysis", classifier_sentiment},
    {SERVICE_CLASSIFIER, "intent_classification", classifier_intent},
    {SERVICE_CLASSIFIER, "note_texts", classifier_notes},
    {SERVICE_ORCHESTRATOR, "handle", orchestrator_handle},
    {SERVICE_ORCHESTRATOR, "route_enquiry", orchestrator_route},
    {SERVICE_ORCHESTRATOR, "check_transition", orchestrator_check},
    {SERVICE_ORCHESTRATOR, "get_context", orchestrator_context},
    {SERVICE_QA, "handle", qa_handle},
    {SERVICE_QA, "chat.reply", qa_answered},
    {SERVICE_QA, "review_response", qa_review},
    {SERVICE_QA, "check_policy", qa_policy},
    {SERVICE_RESPONSE, "handle", response_handle},
    {SERVICE_RESPONSE, "chat.reply", response_answered},
    {SERVICE_RESPONSE, "compose_response", response_compose},
    {SERVICE_RESPONSE, "apply_tone", response_tone},
    {SERVICE_ESCALATION, "handle", escalation_handle},
    {SERVICE_ESCALATION, "create_handoff", escalation_create},
    {SERVICE_ESCALATION, "notify_human", escalation_notify},
    {SERVICE_ESCALATION, "split_enquiry", escalation_split},
    {SERVICE_ESCALATION, "list_handoffs", handoffs_list},
    {SERVICE_ESCALATION, "list_handoffs.reply", handoffs_shown},
    {SERVICE_ESCALATION, "query.reply", handoffs_listed},
    {SERVICE_ESCALATION, "show_handoff", handoffs_show},
    {SERVICE_ESCALATION, "claim_handoff", handoffs_claim},
    {SERVICE_ESCALATION, "resolve_handoff", handoffs_resolve},
    {0},
};
/* clang-format on */

static int create(void **ret_instance)
{
    *ret_instance = NULL;
    return CVM_OK;
}

static void destroy(void *instance)
{
    (void)instance;
    service_forget();
}

CVM_PLUGIN(.name = "service", .version = "1.0.0", .components = components, .routes = routes, .create = create,
           .destroy = destroy);
