/* Electricity as a line of business: selling it, what was billed and paid, what is broken. The table of routes. */
#include "power.h"

/* clang-format off */
static const cvm_component components[] = {
    { .id = POWER_SALES, .state_version = 1 }, { .id = POWER_BILLING, .state_version = 1 },
    { .id = POWER_TECHNICAL, .state_version = 1 }, { 0 }
};

static const cvm_route routes[] = {
    { POWER_SALES, "handle",                      sales_handle },
    { POWER_SALES, "purchase_token",              sell_purchase_token },
    { POWER_SALES, "validate_meter.reply",        sell_validated },
    { POWER_SALES, "purchase.reply",              sell_purchased },
    { POWER_SALES, "deliver",                     sell_deliver },
    { POWER_SALES, "vend.reply",                  sell_vended },
    { POWER_SALES, "check_delivery",              sell_check_delivery },
    { POWER_SALES, "verify.reply",                sell_verified },
    { POWER_SALES, "validate_meter_number",       tools_validate },
    { POWER_SALES, "check_tariff",                tools_check_tariff },
    { POWER_SALES, "list_discos",                 tools_list_discos },
    { POWER_SALES, "register_postpaid",           sales_register },
    { POWER_SALES, "request_meter",               sales_request_meter },
    { POWER_SALES, "validate_meter_number.reply", sales_case },
    { POWER_SALES, "check_bill.reply",            sales_told },
    { POWER_SALES, "explain_bill.reply",          sales_told },
    { POWER_SALES, "confirm_payment.reply",       sales_told },

    { POWER_BILLING, "handle",                      billing_handle },
    { POWER_BILLING, "check_bill",                  billing_check_bill },
    { POWER_BILLING, "explain_bill",                billing_explain_bill },
    { POWER_BILLING, "validate_meter_number.reply", billing_validated },
    { POWER_BILLING, "bill.reply",                  billing_billed },
    { POWER_BILLING, "open_dispute",                billing_open_dispute },
    { POWER_BILLING, "check_tariff",                billing_check_tariff },
    { POWER_BILLING, "check_tariff.reply",          billing_tariff },
    { POWER_BILLING, "confirm_payment",             payments_confirm },
    { POWER_BILLING, "list_transactions.reply",     payments_listed },
    { POWER_BILLING, "query.reply",                 payments_token },

    { POWER_TECHNICAL, "handle",                      technical_handle },
    { POWER_TECHNICAL, "token_help",                  technical_token_help },
    { POWER_TECHNICAL, "report_meter_fault",          technical_report_fault },
    { POWER_TECHNICAL, "report_outage",               technical_report_outage },
    { POWER_TECHNICAL, "validate_meter_number.reply", technical_case },
    { POWER_TECHNICAL, "list_cases",                  case_list },
    { POWER_TECHNICAL, "query.reply",                 case_queried },
    { POWER_TECHNICAL, "show_case",                   case_show },
    { POWER_TECHNICAL, "close_case",                  case_close },
    { POWER_TECHNICAL, "list_cases.reply",            case_found },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "power", .version = "1.0.0", .components = components, .routes = routes);
