/* Airtime as a line of business: selling it, what became of a purchase, what does not work. The table of routes. */
#include "airtime.h"

const struct claims claims = {.service = "AIRTIME",
                              .noun = "airtime",
                              .arrived = "dial *310# on the line to see the balance.",
                              .technical = AIRTIME_TECHNICAL};

/* clang-format off */
static const cvm_component components[] = {
    { .id = AIRTIME_SELF, .state_version = 1 }, { .id = AIRTIME_BILLING, .state_version = 1 },
    { .id = AIRTIME_TECHNICAL, .state_version = 1 }, { 0 }
};

static const cvm_route routes[] = {
    { AIRTIME_SELF, "handle",                airtime_handle },
    { AIRTIME_SELF, "process_purchase",      airtime_process_purchase },
    { AIRTIME_SELF, "process_recharge",      airtime_process_purchase },
    { AIRTIME_SELF, "purchase.reply",        airtime_purchased },
    { AIRTIME_SELF, "purchase_bulk.reply",   airtime_bulk_sold },
    { AIRTIME_SELF, "deliver",               airtime_deliver },
    { AIRTIME_SELF, "vend.reply",            airtime_vended },
    { AIRTIME_SELF, "check_delivery",        airtime_check_delivery },
    { AIRTIME_SELF, "verify.reply",          airtime_verified },
    { AIRTIME_SELF, "get_pricing",           airtime_get_pricing },
    { AIRTIME_SELF, "check_network_balance", airtime_check_balance },
    { AIRTIME_SELF, "balance.reply",         airtime_balance },

    { AIRTIME_BILLING, "handle",              billing_handle },
    { AIRTIME_BILLING, "lookup_transaction",  claims_lookup },
    { AIRTIME_BILLING, "transaction_history", claims_history },
    { AIRTIME_BILLING, "request_refund",      claims_refund },
    CLAIMS_ROUTES(AIRTIME_BILLING),

    { AIRTIME_TECHNICAL, "handle",                technical_handle },
    { AIRTIME_TECHNICAL, "check_recharge_status", claims_lookup },
    { AIRTIME_TECHNICAL, "requery_vend",          claims_requery },
    { AIRTIME_TECHNICAL, "network_status",        technical_network },
    { AIRTIME_TECHNICAL, "network_status.reply",  technical_network_told },
    { AIRTIME_TECHNICAL, "schedule_add.reply",    technical_scheduled },
    { AIRTIME_TECHNICAL, "schedule_list.reply",   technical_listed_schedules },
    { AIRTIME_TECHNICAL, "schedule_cancel.reply", technical_cancelled },
    CLAIMS_ROUTES(AIRTIME_TECHNICAL),
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "airtime", .version = "1.0.0", .components = components, .routes = routes);
