/* The plugin triggers: which customers are in a situation today. See triggers.h. */
#include "triggers.h"

static const cvm_component components[] = {{TRIGGER_AGENT, 1, NULL, NULL},
                                           {"cvm.trigger.network_issues", 1, NULL, NULL},
                                           {"cvm.trigger.billing_disputes", 1, NULL, NULL},
                                           {"cvm.trigger.churn_risk", 1, NULL, NULL},
                                           {"cvm.trigger.high_value", 1, NULL, NULL},
                                           {"cvm.trigger.roaming_issues", 1, NULL, NULL},
                                           {"cvm.trigger.custom", 1, NULL, NULL},
                                           {0}};

#define TRIGGER(name)                                                                                                  \
    {"cvm.trigger." name, "describe", describe_trigger}, {"cvm.trigger." name, "match", match_customers},              \
    {                                                                                                                  \
        "cvm.trigger." name, "scan.reply", find_scanned                                                                \
    }

static const cvm_route routes[] = {{TRIGGER_AGENT, "trigger_customers", find_customers},
                                   {TRIGGER_AGENT, "run", find_customers},
                                   {TRIGGER_AGENT, "list_triggers", list_triggers},
                                   {TRIGGER_AGENT, "compile", compile_trigger},
                                   {TRIGGER_AGENT, "apply", apply_trigger},
                                   {TRIGGER_AGENT, "train", train_churn},
                                   {TRIGGER_AGENT, "scan.reply", find_scanned},
                                   {TRIGGER_AGENT, "chat.reply", find_judged},
                                   {TRIGGER_AGENT, "learn.reply", train_done},
                                   {TRIGGER_AGENT, "take_churn_scores.reply", train_taken},
                                   {TRIGGER_AGENT, "gather.reply", others_gathered},
                                   {TRIGGER_AGENT, "match.reply", others_matched},
                                   {TRIGGER_AGENT, "trigger_and_process.reply", apply_done},
                                   TRIGGER("network_issues"),
                                   TRIGGER("billing_disputes"),
                                   TRIGGER("churn_risk"),
                                   TRIGGER("high_value"),
                                   TRIGGER("roaming_issues"),
                                   TRIGGER("custom"),
                                   {0}};

static const cvm_job_entry jobs[] = {{"scan", job_scan}, {"learn", job_train}, {"gather", job_gather}, {0}};

CVM_PLUGIN(.name = "triggers", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs,
           .destroy = knowledge_forget);
