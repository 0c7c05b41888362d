/* AirtimeSalesAgent: sells airtime and answers for it. The table of routes. */
#include "airtime.h"

/* clang-format off */
static const cvm_component components[] = { { .id = AIRTIME_SELF, .state_version = 1 }, { 0 } };

static const cvm_route routes[] = {
    { AIRTIME_SELF, "handle",                airtime_handle },
    { AIRTIME_SELF, "process_purchase",      airtime_process_purchase },
    { AIRTIME_SELF, "process_recharge",      airtime_process_purchase },
    { AIRTIME_SELF, "purchase.reply",        airtime_purchased },
    { AIRTIME_SELF, "deliver",               airtime_deliver },
    { AIRTIME_SELF, "vend.reply",            airtime_vended },
    { AIRTIME_SELF, "check_delivery",        airtime_check_delivery },
    { AIRTIME_SELF, "verify.reply",          airtime_verified },
    { AIRTIME_SELF, "get_pricing",           airtime_get_pricing },
    { AIRTIME_SELF, "check_network_balance", airtime_check_balance },
    { AIRTIME_SELF, "balance.reply",         airtime_balance },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "airtime", .version = "1.0.0", .components = components, .routes = routes);
