/* Data as a line of business: selling bundles, what a line has and used, what does not work. The table of routes. */
#include "data.h"

const struct claims claims = {.service = "DATA",
                              .noun = "data",
                              .arrived = "dial *323# on the line to see it, and switch mobile data off and on."};

/* clang-format off */
static const cvm_component components[] = {
    { .id = DATA_SALES, .state_version = 1 }, { .id = DATA_BILLING, .state_version = 1 },
    { .id = DATA_TECHNICAL, .state_version = 1 }, { 0 }
};

static const cvm_route routes[] = {
    { DATA_SALES, "handle",                sales_handle },
    { DATA_SALES, "activate_bundle",       sell_activate },
    { DATA_SALES, "purchase.reply",        sell_purchased },
    { DATA_SALES, "deliver",               sell_deliver },
    { DATA_SALES, "vend.reply",            sell_vended },
    { DATA_SALES, "check_delivery",        sell_check_delivery },
    { DATA_SALES, "verify.reply",          sell_verified },
    { DATA_SALES, "recommend_plan",        tools_recommend },
    { DATA_SALES, "usage.reply",           tools_usage_told },
    { DATA_SALES, "list_bundles",          tools_list },
    { DATA_SALES, "check_balance",         tools_balance },
    { DATA_SALES, "line_balance.reply",    tools_balance_told },
    { DATA_SALES, "renew_bundle",          renew_bundle },
    { DATA_SALES, "set_auto_renewal",      renew_set_auto },
    { DATA_SALES, "query.reply",           renew_found },
    { DATA_SALES, "schedule_add.reply",    renew_scheduled },
    { DATA_SALES, "schedule_list.reply",   renew_listed },
    { DATA_SALES, "schedule_cancel.reply", renew_cancelled },

    { DATA_BILLING, "handle",             billing_handle },
    { DATA_BILLING, "check_data_balance", billing_balance },
    { DATA_BILLING, "usage_breakdown",    billing_usage },
    { DATA_BILLING, "rollover_status",    billing_rollover },
    { DATA_BILLING, "line_balance.reply", billing_line_told },
    { DATA_BILLING, "usage.reply",        billing_usage_told },
    CLAIMS_ROUTES(DATA_BILLING),

    { DATA_TECHNICAL, "handle",               technical_handle },
    { DATA_TECHNICAL, "apn_settings",         technical_apn },
    { DATA_TECHNICAL, "speed_diagnosis",      technical_diagnose },
    { DATA_TECHNICAL, "network_status",       technical_network },
    { DATA_TECHNICAL, "network_status.reply", technical_network_told },
    { DATA_TECHNICAL, "line_balance.reply",   technical_line_told },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "data", .version = "1.0.0", .components = components, .routes = routes);
