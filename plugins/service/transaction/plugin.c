/* TransactionAgent: pays, verifies, receipts. Owns accounts and transactions. The table of routes; see saga.c. */
#include "transaction.h"

/* clang-format off */
static const cvm_component components[] = { { .id = TXN_SELF, .state_version = 1 }, { 0 } };

static const cvm_route routes[] = {
    { TXN_SELF, "start",                   record_start },
    { TXN_SELF, "purge",                   record_purge },
    { TXN_SELF, "handle",                  converse_handle },
    { TXN_SELF, "purchase",                saga_purchase },
    { TXN_SELF, "deliver.reply",           saga_delivered },
    { TXN_SELF, "check_delivery.reply",    saga_checked },
    { TXN_SELF, "answer_due",              saga_answer_due },
    { TXN_SELF, "deadline",                saga_deadline },
    { TXN_SELF, "check_due",               saga_check_due },
    { TXN_SELF, "reconcile",               saga_reconcile },
    { TXN_SELF, "verify_transaction",      saga_verify },
    { TXN_SELF, "open_account",            account_open },
    { TXN_SELF, "credit_account",          account_credit },
    { TXN_SELF, "account",                 account_show },
    { TXN_SELF, "list_transactions",       lookup_list },
    { TXN_SELF, "query.reply",             lookup_listed },
    { TXN_SELF, "show_transaction",        lookup_show },
    { TXN_SELF, "list_transactions.reply", lookup_shown },
    { TXN_SELF, "generate_receipt",        lookup_receipt },
    { TXN_SELF, "show_transaction.reply",  lookup_receipted },
    { TXN_SELF, "refund_transaction",      lookup_refund },
    { TXN_SELF, "initiate_payment",        lookup_payment },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "transaction", .version = "1.0.0", .components = components, .routes = routes);
