/* What the files of the plugin `data` share: the rules of the trade, the catalogue of bundles, an order read and
 * checked against them, recommendations, texts. Loop thread. */
#ifndef SERVICE_DATA_H
#define SERVICE_DATA_H

#include "../../common/pending.h"
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

#define DATA_SALES "service.data_sales"
#define DATA_BILLING "service.data_billing"
#define DATA_TECHNICAL "service.data_technical"
#define DATA_CODE_SIZE 24
#define DATA_LONG_SIZE 2048
#define DATA_TIME_SIZE 32
#define DATA_BUNDLES_MAX 64 /* of a network */

/* ---- catalogue.c: pure ---- */

/* Read from the settings of DataSalesAgent; borrows them. */
struct data_rules {
    struct networks networks;
    const json_t *bundles;  /* network -> [{"size", "validity", "price", "code", ..}] */
    const json_t *rollover; /* network -> boolean */
    int64_t min_kobo, max_kobo, spare_percent, days, credit_timeout_s, refund_window_hours;
    bool strict_ranges, gifting, auto_renewal, upgrades;
};

/* A row of the catalogue; borrows from it. */
struct bundle {
    const char *code, *size, *validity, *type; /* "*312*20#", "2GB", "30 days", "MONTHLY" */
    int64_t mb, days, kobo;
};

/* What a customer named of a bundle; 0 and "" for what they did not. */
struct wanted {
    int64_t mb, kobo;
    char type[8]; /* DAILY, .. */
    char code[DATA_CODE_SIZE];
};

void data_rules_read(const json_t *settings, struct data_rules *ret_rules);
/* The bundles of a network that are for sale. Returns how many. */
size_t catalogue_of(const struct data_rules *rules, const char *network, struct bundle ret[DATA_BUNDLES_MAX]);
/* CVM_ENOENT: the network does not sell it. */
CVM_MUST_USE int catalogue_find(const struct data_rules *rules, const char *network, const char *code,
                                struct bundle *ret_bundle);
/* Those that are all that was wanted. Returns how many. */
size_t catalogue_pick(const struct data_rules *rules, const char *network, const struct wanted *wanted,
                      struct bundle ret[DATA_BUNDLES_MAX]);
/* {"network", "size", "validity", "price", "code", "package_type", "size_mb", "validity_days"}. Gives. */
json_t *bundle_json(const char *network, const struct bundle *bundle);
const char *bundle_text(const struct bundle *bundle, char buf[96]); /* "2GB (30 days) ₦1,200" */
/* "100MB (1 day) ₦100, .." */
const char *bundles_text(const struct bundle *bundles, size_t n, char *buf, size_t size);
bool data_rolls_over(const struct data_rules *rules, const char *network);
const char *data_size_text(int64_t mb, char buf[24]);           /* "1.5GB" */
const char *data_time(int64_t at_ms, char buf[DATA_TIME_SIZE]); /* RFC 3339 in UTC */

/* ---- wanted.c: pure ---- */

/* Reads sizes, periods and codes out of a customer's words, sums from the entities. */
void wanted_read(const char *words, const json_t *amount, struct wanted *ret_wanted);
/* "about 150MB a day": the megabytes of a day, 0 for none. */
int64_t wanted_daily_mb(const char *words);
int64_t wanted_days(const char *type); /* 1, 7, 30, 365; 0 for "" */

/* ---- recommend.c: pure ---- */

struct need {
    int64_t daily_mb, days, budget_kobo; /* budget 0: none */
};

/* The next larger one that lasts as long. False: there is none. */
bool recommend_larger(const struct data_rules *rules, const char *network, const struct bundle *than,
                      struct bundle *ret_bundle);
/* {"network", "daily_mb", "days", "need_mb", "covers", "recommended", "upgrade", "reason", "text"}: the cheapest bundle
 * that covers the need and some spare, and the next larger one. NULL: the network sells nothing that fits. Gives. */
json_t *recommend(const struct data_rules *rules, const char *network, const struct need *need);

/* ---- order.c: pure ---- */

struct data_order {
    char network[NETWORK_SIZE];
    char phone[PHONE_SIZE]; /* E.164 */
    struct bundle bundle;
    char prefix_network[NETWORK_SIZE]; /* whose prefix the number has, where that is another network's */
    bool range_unusual, gift, auto_renew;
};

/* Checks network, phone, bundle and price, in this order. CVM_EREFUSED: *ret_failure says why. */
CVM_MUST_USE int data_check(const struct data_rules *rules, const char *network, const char *phone, const char *code,
                            struct data_order *ret_order, struct sale_failure *ret_failure);
/* The request `purchase` without the payer. Gives. */
json_t *data_purchase_body(const struct data_rules *rules, const struct data_order *order);
/* The answer to activate_bundle for a reply of `purchase`; *ret_outcome is what to send it with. Gives. */
json_t *data_sold_body(const struct data_rules *rules, const cvm_msg *reply, enum cvm_outcome *ret_outcome);

/* ---- facts.c, apn.c: pure ---- */

/* Answers what the customer asks from what is known here. Returns how many topics were found; 0: *ret_text is "". */
size_t data_facts(const struct data_rules *rules, const char *question, char *ret_text, size_t size);
const char *data_rollover_text(const struct data_rules *rules, const char *network, char *buf, size_t size);
extern const char data_borrow_text[], data_share_text[];

/* {"network", "device", "apn", "username", "password", "steps", "text"} by the setting `apn`; `device` "" for both.
 * Gives. */
json_t *apn_settings(const json_t *settings, const char *network, const char *device);
const char *apn_device(const char *words); /* "Android", "iOS" or "" */

/* Whether the intent's leaf is this one. */
static inline bool data_leaf(cvm_turn *t, const char *leaf)
{
    return strcasecmp(cvm_json_str(cvm_context(t), "sub_intent", ""), leaf) == 0;
}

/* ---- line.c: whose line a step or an operation is about ---- */

struct line {
    char network[NETWORK_SIZE]; /* "" for unknown */
    char phone[PHONE_SIZE];     /* E.164, "" for unknown */
    bool own;                   /* the customer's */
};

/* What the customer named, else their own number and its prefix's network. */
void line_of_step(cvm_turn *t, const struct networks *networks, struct line *ret_line);
/* Of a request {"network"?, "phone"}. CVM_EREFUSED: the request was refused. */
CVM_MUST_USE int line_of_request(cvm_turn *t, const cvm_msg *m, const struct networks *networks, struct line *ret_line);
/* Asks the line's network; what waits goes on with "<type>.reply". Takes `what`. CVM_ENOENT: nobody serves it, and
 * nothing waits. */
CVM_MUST_USE int line_ask(cvm_turn *t, cvm_id request, const struct line *line, const char *type, json_t *what);

/* What a network told of a line: `figure` is data_mb, with the bundles, or average_mb, with days and applications.
 * Gives.
 */
json_t *line_body(const cvm_msg *m, const json_t *what, const char *figure);

/* ---- sell.c: DataSalesAgent sells ---- */

int sell_activate(cvm_turn *t, const cvm_msg *m);
int sell_purchased(cvm_turn *t, const cvm_msg *m); /* "purchase.reply" */
int sell_deliver(cvm_turn *t, const cvm_msg *m);
int sell_vended(cvm_turn *t, const cvm_msg *m); /* "vend.reply" */
int sell_check_delivery(cvm_turn *t, const cvm_msg *m);
int sell_verified(cvm_turn *t, const cvm_msg *m); /* "verify.reply" */
/* Asks the saga to sell; the answer comes as "purchase.reply". `payer` is the request that says who pays. */
CVM_MUST_USE int sell_order(cvm_turn *t, cvm_id request, const struct data_rules *rules, const struct data_order *order,
                            const json_t *payer);
/* Puts what is known of an order into the conversation's context. */
CVM_MUST_USE int sell_context(cvm_turn *t, const struct data_order *order);

/* ---- tools.c ---- */

int tools_recommend(cvm_turn *t, const cvm_msg *m);
int tools_list(cvm_turn *t, const cvm_msg *m);
int tools_balance(cvm_turn *t, const cvm_msg *m);
int tools_balance_told(cvm_turn *t, const cvm_msg *m); /* "line_balance.reply" */
int tools_usage_told(cvm_turn *t, const cvm_msg *m);   /* "usage.reply" */

/* ---- sales.c, renew.c: a conversation; renewing ---- */

int sales_handle(cvm_turn *t, const cvm_msg *m);
/* "usage.reply" for a step that asks for advice. */
CVM_MUST_USE int sales_advised(cvm_turn *t, const cvm_msg *m, const json_t *what);
/* Hands a complete order over, or asks where the number looks like another network's. */
CVM_MUST_USE int sales_order(cvm_turn *t, const cvm_msg *m, cvm_id request, const struct data_rules *rules,
                             struct data_order *order, bool confirmed);

int renew_bundle(cvm_turn *t, const cvm_msg *m);
int renew_set_auto(cvm_turn *t, const cvm_msg *m);
int renew_found(cvm_turn *t, const cvm_msg *m);                               /* "query.reply" */
int renew_scheduled(cvm_turn *t, const cvm_msg *m);                           /* "schedule_add.reply" */
int renew_listed(cvm_turn *t, const cvm_msg *m);                              /* "schedule_list.reply" */
int renew_cancelled(cvm_turn *t, const cvm_msg *m);                           /* "schedule_cancel.reply" */
CVM_MUST_USE int renew_step(cvm_turn *t, const cvm_msg *m, const char *kind); /* "renew", "upgrade" */
CVM_MUST_USE int renew_auto_step(cvm_turn *t, const cvm_msg *m);
/* After a sale with auto-renewal: `sold` is the answer that waits; taken. */
CVM_MUST_USE int renew_after_sale(cvm_turn *t, cvm_id request, const cvm_msg *reply, json_t *sold);

/* ---- billing.c: DataBillingAgent ---- */

int billing_handle(cvm_turn *t, const cvm_msg *m);
int billing_balance(cvm_turn *t, const cvm_msg *m);
int billing_usage(cvm_turn *t, const cvm_msg *m);
int billing_rollover(cvm_turn *t, const cvm_msg *m);
int billing_line_told(cvm_turn *t, const cvm_msg *m);  /* "line_balance.reply" */
int billing_usage_told(cvm_turn *t, const cvm_msg *m); /* "usage.reply" */

/* ---- technical.c: DataTechnicalAgent ---- */

int technical_handle(cvm_turn *t, const cvm_msg *m);
int technical_apn(cvm_turn *t, const cvm_msg *m);
int technical_diagnose(cvm_turn *t, const cvm_msg *m);
int technical_network(cvm_turn *t, const cvm_msg *m);
int technical_network_told(cvm_turn *t, const cvm_msg *m); /* "network_status.reply" */
int technical_line_told(cvm_turn *t, const cvm_msg *m);    /* "line_balance.reply" */

#endif
