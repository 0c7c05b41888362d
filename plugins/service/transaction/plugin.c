/* TransactionAgent: pays, verifies, receipts. Owns accounts and transactions. The table of routes; see saga.c. */
#include "transaction.h"

/* clang-format off */
static const cvm_component components[] = { { .id = TXN_SELF, .state_version = 1 }, { 0 } };

static const cvm_route routes[] = {
    { TXN_SELF, "start",                   record_start },
    { TXN_SELF, "purge",                   record_purge },
    { TXN_SELF, "handle",                  converse_handle },
    { TXN_SELF, "purchase",                saga_purchase },
    { TXN_SELF, "purchase_bulk",           bulk_purchase },
    { TXN_SELF, "bulk_more",               bulk_more },
    { TXN_SELF, "gate_due",                gate_due },
    { TXN_SELF, "create_handoff.reply",    gate_handoff },
    { TXN_SELF, "approve_transaction",     gate_approve },
    { TXN_SELF, "reject_transaction",      gate_reject },
    { TXN_SELF, "confirm_transaction",     otp_confirm },
    { TXN_SELF, "resend_code",             otp_resend },
    { TXN_SELF, "charge.reply",            pay_charged },
    { TXN_SELF, "link.reply",              pay_linked },
    { TXN_SELF, "verify.reply",            pay_verified },
    { TXN_SELF, "pay_check_due",           pay_check_due },
    { TXN_SELF, "payment_event",           pay_event },
    { TXN_SELF, "deliver.reply",           saga_delivered },
    { TXN_SELF, "check_delivery.reply",    saga_checked },
    { TXN_SELF, "answer_due",              saga_answer_due },
    { TXN_SELF, "deadline",                saga_deadline },
    { TXN_SELF, "check_due",               saga_check_due },
    { TXN_SELF, "float_due",               saga_float_due },
    { TXN_SELF, "reconcile",               saga_reconcile },
    { TXN_SELF, "lane_probe",              lane_probe },
    { TXN_SELF, "list_sales_stops",        lane_list },
    { TXN_SELF, "refund.reply",            refund_told },
    { TXN_SELF, "refund_due",              refund_due },
    { TXN_SELF, "refund_transaction",      refund_asked },
    { TXN_SELF, "find_transaction",        lookup_find },
    { TXN_SELF, "find_transaction.reply",  refund_found },
    { TXN_SELF, "verify_transaction",      saga_verify },
    { TXN_SELF, "list_flags",              fraud_list },
    { TXN_SELF, "open_account",            account_open },
    { TXN_SELF, "credit_account",          account_credit },
    { TXN_SELF, "account",                 account_show },
    { TXN_SELF, "store_authorization",     account_authorize },
    { TXN_SELF, "remove_authorizations",   account_deauthorize },
    { TXN_SELF, "list_transactions",       lookup_list },
    { TXN_SELF, "query.reply",             lookup_listed },
    { TXN_SELF, "show_transaction",        lookup_show },
    { TXN_SELF, "list_transactions.reply", lookup_shown },
    { TXN_SELF, "generate_receipt",        receipt_asked },
    { TXN_SELF, "show_transaction.reply",  receipt_text },
    { TXN_SELF, "find_for_html",           lookup_find },
    { TXN_SELF, "find_for_html.reply",     receipt_html },
    { TXN_SELF, "find_for_print",          lookup_find },
    { TXN_SELF, "find_for_print.reply",    receipt_print },
    { TXN_SELF, "initiate_payment",        lookup_payment },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "transaction", .version = "1.1.0", .components = components, .routes = routes);
