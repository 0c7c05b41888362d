/* The agents of the support desk: the table of routes. */
#include "agents.h"

/* clang-format off */
static const cvm_component components[] = {
    { .id = TRIAGE, .state_version = 1 }, { .id = EXPERT, .state_version = 1 }, { .id = NOTIFICATION, .state_version = 1 },
    { .id = DATA, .state_version = 1 },
    { 0 }
};

static const cvm_route routes[] = {
    { TRIAGE, "run",                triage_run },
    { TRIAGE, "lookup_customer",    triage_lookup_customer },
    { TRIAGE, "lookup_system_info", triage_lookup_system },
    { TRIAGE, "get.reply",          triage_found },
    { TRIAGE, "get_several.reply",  triage_found_both },
    { TRIAGE, "put.reply",          remembered },

    { EXPERT, "analyse",              expert_analyse },
    { EXPERT, "query_knowledge_base", expert_ask },
    { EXPERT, "query.reply",          expert_found },
    { EXPERT, "chat.reply",           expert_worded },
    { EXPERT, "put.reply",            remembered },

    { NOTIFICATION, "create",        notification_create },
    { NOTIFICATION, "ask",           notification_ask },
    { NOTIFICATION, "chat.reply",    notification_worded },
    { NOTIFICATION, "deliver.reply", notification_delivered },
    { NOTIFICATION, "put.reply",     remembered },

    { DATA, "load_samples", data_load },
    { DATA, "put.reply",    data_put },
    { DATA, "health",       data_health },
    { DATA, "list.reply",   data_looked },
    { 0 }
};
/* clang-format on */

static void destroy(void *instance)
{
    (void)instance;
    triage_forget();
}

CVM_PLUGIN(.name = "support_agents", .version = "1.0.0", .components = components, .routes = routes,
           .destroy = destroy);
