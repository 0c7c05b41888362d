/* Deciding for a customer: what happened (cvm.journey), what to do (cvm.treatment), doing it (cvm.orchestrator). The
 * table of routes. */
#include "allocate.h"
#include "campaign.h"
#include "decision.h"

/* clang-format off */
static const cvm_component components[] = {
    { .id = ORCHESTRATOR, .state_version = 1 }, { .id = JOURNEY, .state_version = 1 },
    { .id = TREATMENT, .state_version = 1 }, { .id = ALLOCATION_SOLVER, .state_version = 1 },
    { 0 }
};

static const cvm_route routes[] = {
    { ORCHESTRATOR, "process_customer",                      process_customer },
    { ORCHESTRATOR, "process_customer_with_treatment",       process_with_treatment },
    { ORCHESTRATOR, "get_customer_data.reply",               process_data },
    { ORCHESTRATOR, "build_journey.reply",                   process_journey },
    { ORCHESTRATOR, "get_records.reply",                     process_permitted },
    { ORCHESTRATOR, "list.reply",                            process_listed },
    { ORCHESTRATOR, "recommend_treatment.reply",             process_recommended },
    { ORCHESTRATOR, "find_alternative_treatment.reply",      process_recommended },
    { ORCHESTRATOR, "allocate_resource.reply",               process_allocated },
    { ORCHESTRATOR, "assign.reply",                          process_assigned },
    { ORCHESTRATOR, "apply.reply",                           process_applied },
    { ORCHESTRATOR, "release_resource.reply",                process_released },
    { ORCHESTRATOR, "process_batch",                         batch_process },
    { ORCHESTRATOR, "process_customers",                     batch_command },
    { ORCHESTRATOR, "start_batch",                           batch_start },
    { ORCHESTRATOR, "get_batch",                             batch_look },
    { ORCHESTRATOR, "list_customers.reply",                  batch_customers },
    { ORCHESTRATOR, "worth.reply",                           batch_ordered },
    { ORCHESTRATOR, "process_customer.reply",                batch_one_done },
    { ORCHESTRATOR, "process_customer_with_treatment.reply", batch_one_done },
    { ORCHESTRATOR, "forget_batch",                          batch_forget },
    { ORCHESTRATOR, "trigger_customers",                     triggered_find },
    { ORCHESTRATOR, "trigger_and_process",                   triggered_apply },
    { ORCHESTRATOR, "trigger_customers.reply",               triggered_found },
    { ORCHESTRATOR, "explain_customer",                      why_customer },
    { ORCHESTRATOR, "query.reply",                           why_asked },

    { JOURNEY, "build_journey",     journey_build_one },
    { JOURNEY, "analyze_journey",   journey_analyse_one },
    { JOURNEY, "summarize_journey", journey_summarise_one },

    { TREATMENT, "recommend_treatment",        treatment_recommend },
    { TREATMENT, "find_alternative_treatment", treatment_recommend },
    { TREATMENT, "find_alternative",           treatment_recommend },
    { TREATMENT, "list.reply",                 treatment_told },
    { TREATMENT, "get_constraints.reply",      treatment_told },
    { TREATMENT, "check.reply",                treatment_told },
    { TREATMENT, "chat.reply",                 treatment_modelled },

    { ALLOCATION_SOLVER, "solve_file",       allocate_on_solve },
    { ALLOCATION_SOLVER, "solve_file.reply", allocate_on_reply },
    { ALLOCATION_SOLVER, "solve_plan",       allocate_on_plan },
    { ALLOCATION_SOLVER, "solve_plan.reply", allocate_on_reply },

    { ALLOCATION_SOLVER, "run_campaign",          campaign_run },
    { ALLOCATION_SOLVER, "what_if",               campaign_what_if },
    { ALLOCATION_SOLVER, "list_campaigns",        campaign_list },
    { ALLOCATION_SOLVER, "show_campaign",         campaign_show },
    { ALLOCATION_SOLVER, "list_decisions",        campaign_customers },
    { ALLOCATION_SOLVER, "get_prices",            campaign_prices },
    { ALLOCATION_SOLVER, "list.reply",            campaign_treatments },
    { ALLOCATION_SOLVER, "get_constraints.reply", campaign_constraints },
    { ALLOCATION_SOLVER, "decide.reply",          campaign_decided },
    { ALLOCATION_SOLVER, "query.reply",           campaign_rows },
    { 0 }
};

static const cvm_job_entry jobs[] = {
    { "worth",      batch_job_worth },
    { "solve_file", allocate_file },
    { "solve_plan", allocate_plan },
    { "decide",     campaign_decide },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "decision", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
