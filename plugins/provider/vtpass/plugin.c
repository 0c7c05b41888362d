/* The aggregator VTpass behind the roles of the networks and of the distribution companies, so that an operator chooses
 * between it and their own interfaces by the order in `roles` alone. One library, three components: who answers which
 * is here. Loop thread. */
#include "vtpass.h"

static const cvm_component components[] = {{.id = VT_NETWORK, .state_version = 1},
                                           {.id = VT_POWER, .state_version = 1},
                                           {.id = VT_WEBHOOK, .state_version = 1},
                                           {0}};

/* clang-format off */
#define ORDERS(id)                                                                                                     \
    {id, "vend.reply", vt_vended}, {id, "requery_due", vt_requery_due}, {id, "requery.reply", vt_requeried},           \
    {id, "verify_vend", vt_verify_vend}, {id, "outcome.reply", vt_outcome},                                            \
    {id, "transaction_update", vt_hint}, {id, "hint.reply", vt_hinted},                                                \
    {id, "verify", vt_verify}, {id, "status.reply", vt_status_told},                                                   \
    {id, "balance", vt_balance}, {id, "balance.reply", vt_balance_told}

static const cvm_route routes[] = {
    {VT_NETWORK, "vend", vt_vend_network}, ORDERS(VT_NETWORK),
    {VT_NETWORK, "variations.reply", vt_variations_told}, {VT_NETWORK, "variations_update", vt_variations_update},
    {VT_NETWORK, "line_balance", vt_not_offered}, {VT_NETWORK, "usage", vt_not_offered},
    {VT_NETWORK, "network_status", vt_not_offered},
    {VT_NETWORK, "bundles", vt_bundles}, {VT_NETWORK, "bundles.reply", vt_bundles_told},
    {VT_POWER, "vend", vt_vend_power}, ORDERS(VT_POWER),
    {VT_POWER, "validate_meter", vt_validate}, {VT_POWER, "validate.reply", vt_meter_told},
    {VT_POWER, "bill", vt_bill_asked}, {VT_POWER, "bill.reply", vt_bill_told},
    {VT_WEBHOOK, "webhook", vt_webhook}, {0}};
/* clang-format on */

CVM_PLUGIN(.name = "vtpass", .version = "1.0.0", .components = components, .routes = routes);
