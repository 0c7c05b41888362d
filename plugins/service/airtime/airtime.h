/* What the files of the plugin `airtime` share: the rules of the trade, an order read and checked against them, the
 * bodies it is turned into. Loop thread. */
#ifndef SERVICE_AIRTIME_H
#define SERVICE_AIRTIME_H

#include "../common/claims.h"
#include "../common/clip.h"
#include "../common/hold.h"
#include "../common/networks.h"
#include "../common/phone.h"
#include "../common/sale.h"
#include "../common/step.h"
#include "../common/words.h"
#include <cvm/json.h>
#include <cvm/money.h>

#define AIRTIME_SELF "service.airtime_sales"
#define AIRTIME_ALIAS "AirtimeSalesAgent"
#define AIRTIME_BILLING "service.airtime_billing"
#define AIRTIME_TECHNICAL "service.airtime_technical"

/* ---- order.c: pure ---- */

/* Read from the settings of the component; borrows them. */
struct airtime_rules {
    struct networks networks;
    int64_t min_kobo, max_kobo, bulk_from_kobo, fee_kobo;
    int64_t bulk_basis_points; /* 500 is 5 % */
    int64_t credit_timeout_s, refund_window_hours;
    bool strict_ranges;
};

struct airtime_order {
    char network[NETWORK_SIZE];
    char phone[PHONE_SIZE]; /* E.164 */
    int64_t amount_kobo;    /* face value: what the recipient gets */
    int64_t discount_kobo;
    int64_t final_kobo; /* what the customer pays, with the fee */
    bool bulk;
    char prefix_network[NETWORK_SIZE]; /* whose prefix the number has; "" for an unlisted one */
    bool range_unusual;
};

void airtime_rules_read(const json_t *settings, struct airtime_rules *ret_rules);
int64_t airtime_discount(const struct airtime_rules *rules, int64_t amount_kobo);
/* Checks network, phone, smallest and largest amount, in this order. CVM_EREFUSED: *ret_failure says why; ret_order is
 * then untouched. */
CVM_MUST_USE int airtime_check(const struct airtime_rules *rules, const char *network, const char *phone,
                               const json_t *amount, struct airtime_order *ret_order, struct sale_failure *ret_failure);
/* The request `purchase` without the payer. Gives. */
json_t *airtime_purchase_body(const struct airtime_rules *rules, const struct airtime_order *order);
/* The answer to process_purchase for a reply of `purchase`; *ret_outcome is what to send it with. Gives. */
json_t *airtime_sold_body(const cvm_msg *reply, enum cvm_outcome *ret_outcome);

/* ---- bulk.c: several recipients ---- */

/* process_purchase with `recipients`. */
CVM_MUST_USE int airtime_bulk(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules);
int airtime_bulk_sold(cvm_turn *t, const cvm_msg *m); /* "purchase_bulk.reply" */

/* ---- sell.c: operations ---- */

int airtime_process_purchase(cvm_turn *t, const cvm_msg *m);
int airtime_purchased(cvm_turn *t, const cvm_msg *m); /* "purchase.reply" */
int airtime_deliver(cvm_turn *t, const cvm_msg *m);
int airtime_vended(cvm_turn *t, const cvm_msg *m); /* "vend.reply" */
int airtime_check_delivery(cvm_turn *t, const cvm_msg *m);
int airtime_verified(cvm_turn *t, const cvm_msg *m); /* "verify.reply" */
int airtime_get_pricing(cvm_turn *t, const cvm_msg *m);
int airtime_check_balance(cvm_turn *t, const cvm_msg *m);
int airtime_balance(cvm_turn *t, const cvm_msg *m); /* "balance.reply" */

/* ---- billing.c, technical.c: the other agents ---- */

int billing_handle(cvm_turn *t, const cvm_msg *m);

int technical_handle(cvm_turn *t, const cvm_msg *m);
int technical_network(cvm_turn *t, const cvm_msg *m);          /* network_status */
int technical_network_told(cvm_turn *t, const cvm_msg *m);     /* "network_status.reply" */
int technical_scheduled(cvm_turn *t, const cvm_msg *m);        /* "schedule_add.reply" */
int technical_listed_schedules(cvm_turn *t, const cvm_msg *m); /* "schedule_list.reply" */
int technical_cancelled(cvm_turn *t, const cvm_msg *m);        /* "schedule_cancel.reply" */

/* ---- converse.c, facts.c ---- */

int airtime_handle(cvm_turn *t, const cvm_msg *m);
/* Answers what the customer asks from what is known here. Returns how many topics were found; 0: *ret_text is "". */
size_t airtime_facts(const struct airtime_rules *rules, const char *question, char *ret_text, size_t size);

#endif
