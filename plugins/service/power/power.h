/* What the files of the plugin `power` share: the rules of the trade, an order read and checked against them, tariffs,
 * texts, cases, and what waits for an answer. Loop thread. */
#ifndef SERVICE_POWER_H
#define SERVICE_POWER_H

#include "../../common/pending.h"
#include "../common/clip.h"
#include "../common/hold.h"
#include "../common/phone.h"
#include "../common/sale.h"
#include "../common/step.h"
#include "../common/words.h"
#include <cvm/json.h>
#include <cvm/money.h>

#define POWER_SALES "service.power_sales"
#define POWER_BILLING "service.power_billing"
#define POWER_TECHNICAL "service.power_technical"
#define POWER_DISCO_SIZE 21
#define POWER_METER_SIZE 14 /* 13 digits and NUL */
#define POWER_LONG_SIZE 2048
#define POWER_TIME_SIZE 32

/* ---- order.c: pure ---- */

/* Read from the settings of PowerSalesAgent; borrows them. */
struct power_rules {
    const json_t *discos; /* code -> {"name", "aliases", "areas"} */
    const json_t *tariffs, *band_hours;
    int64_t min_kobo, max_kobo, charge_kobo, approval_above_kobo;
    int64_t vat_basis_points, validity_days, credit_timeout_s, answer_within_ms, refund_window_hours;
};

struct power_order {
    char disco[POWER_DISCO_SIZE];
    char meter[POWER_METER_SIZE];
    int64_t amount_kobo, total_kobo;
};

void power_rules_read(const json_t *settings, struct power_rules *ret_rules);
/* The code of a distribution company by any accepted name. CVM_ENOENT: there is none. */
CVM_MUST_USE int power_disco(const struct power_rules *rules, const char *name, char ret_code[POWER_DISCO_SIZE]);
const char *power_disco_name(const struct power_rules *rules, const char *code); /* "Ikeja Electric", or the code */
const char *power_time(int64_t at_ms, char buf[POWER_TIME_SIZE]);                /* RFC 3339 in UTC */
/* "AEDC, BEDC, .." */
const char *power_discos_text(const struct power_rules *rules, char *buf, size_t size);
/* "Abuja, Benin, ..", which does not shout. */
const char *power_places_text(const struct power_rules *rules, char *buf, size_t size);
/* The 11 to 13 digits of a meter number, without blanks and hyphens. CVM_EINVAL: it is none. */
CVM_MUST_USE int power_meter(const char *text, char ret_meter[POWER_METER_SIZE]);
bool power_check_digit(const char *meter); /* whether the last digit fits (Luhn); advice only */
/* Checks meter number and company, in this order. CVM_EREFUSED: *ret_failure says why. */
CVM_MUST_USE int power_check_meter(const struct power_rules *rules, const char *disco, const char *meter,
                                   struct power_order *ret_order, struct sale_failure *ret_failure);
/* Then the smallest and largest amount, and what needs a human. */
CVM_MUST_USE int power_check(const struct power_rules *rules, const char *disco, const char *meter,
                             const json_t *amount, struct power_order *ret_order, struct sale_failure *ret_failure);
/* Why a meter could not be validated, from the reply of `validate_meter`. */
void power_not_validated(const struct power_rules *rules, const cvm_msg *reply, const char *disco,
                         struct sale_failure *ret_failure);
/* The request `purchase` without the payer, for a meter that was found. Gives. */
json_t *power_purchase_body(const struct power_rules *rules, const struct power_order *order, const json_t *meter);

/* ---- receipt.c: pure ---- */

enum receipt_style {
    RECEIPT_WHOLE, /* it stands alone */
    RECEIPT_TALK,  /* after "Done: ..", before the reference */
    RECEIPT_BRIEF  /* the same, and fits a text message */
};

/* What was sold, as its buyer reads it. `delivery` is the order's own, `vended` what the company answered. */
void token_receipt_text(const struct power_rules *rules, const json_t *delivery, const json_t *vended,
                        enum receipt_style style, char *text, size_t size);
/* "1234 5678 9012 3456 7890" */
const char *receipt_token(const char *token, char buf[32]);
/* The answer to purchase_token for a reply of `purchase`; *ret_outcome is what to send it with. Gives. */
json_t *receipt_sold_body(const struct power_rules *rules, const cvm_msg *reply, enum cvm_outcome *ret_outcome);

/* ---- tariff.c: pure ---- */

/* {"tariffs": [{"tariff_class", "service_band", "hours_per_day", "rate", "rate_with_vat"}], "vat_percent", "text"};
 * "" for any class or band. NULL: there is no such tariff. Gives. */
json_t *tariff_table(const struct power_rules *rules, const char *tariff_class, const char *band);
/* The same for the meter that the company described. Gives. */
json_t *tariff_of_meter(const struct power_rules *rules, const json_t *meter);
/* The class and band that are named in words; "" for none. */
void tariff_named(const char *words, char ret_class[4], char ret_band[2]);

/* ---- facts.c, help.c: pure ---- */

/* Answers what the customer asks from what is known here. Returns how many topics were found; 0: *ret_text is "". */
size_t power_facts(const struct power_rules *rules, const char *question, char *ret_text, size_t size);
/* How to load a token, by the brand of meter named in `words`; else for all. */
void token_help_text(const char *words, char *ret_text, size_t size);
const char *token_help_brand(const char *words); /* "Hexing", "Mojec", "Conlog" or "" */

/* Whether the intent's leaf is this one. */
static inline bool power_leaf(cvm_turn *t, const char *leaf)
{
    return strcasecmp(cvm_json_str(cvm_context(t), "sub_intent", ""), leaf) == 0;
}

/* ---- cases.c: faults, outages, disputes, requests; the table `power_cases` ---- */

/* Kinds of a case: OUTAGE, DANGER, METER_FAULT, BILL_DISPUTE, METER_REQUEST, REGISTRATION. */

/* The operation of an agent that opens a case of this kind. Where a meter and a company are named the meter is
 * validated first, and case_validated goes on. */
int case_operation(cvm_turn *t, const cvm_msg *m, const char *kind);
/* The same for a step of a conversation, from what the customer told. `lead` is said before the reference; "". */
CVM_MUST_USE int case_step(cvm_turn *t, const cvm_msg *m, const char *kind, const char *lead);
/* "validate_meter_number.reply" for what waits; borrows it. */
CVM_MUST_USE int case_validated(cvm_turn *t, const cvm_msg *m, const json_t *what);
int case_list(cvm_turn *t, const cvm_msg *m);
int case_queried(cvm_turn *t, const cvm_msg *m); /* "query.reply" */
int case_show(cvm_turn *t, const cvm_msg *m);
int case_close(cvm_turn *t, const cvm_msg *m);
int case_found(cvm_turn *t, const cvm_msg *m); /* "list_cases.reply" */

/* ---- sell.c, tools.c, sales.c: PowerSalesAgent ---- */

int sell_purchase_token(cvm_turn *t, const cvm_msg *m);
int sell_step(cvm_turn *t, const cvm_msg *m, const struct power_rules *rules, const struct power_order *order);
int sell_validated(cvm_turn *t, const cvm_msg *m); /* "validate_meter.reply" */
int sell_purchased(cvm_turn *t, const cvm_msg *m); /* "purchase.reply" */
int sell_deliver(cvm_turn *t, const cvm_msg *m);
int sell_vended(cvm_turn *t, const cvm_msg *m); /* "vend.reply" */
int sell_check_delivery(cvm_turn *t, const cvm_msg *m);
int sell_verified(cvm_turn *t, const cvm_msg *m); /* "verify.reply" */

/* Asks the company about a meter; `what` says how to go on and is taken, with a member "disco". */
CVM_MUST_USE int sell_validate(cvm_turn *t, const cvm_msg *m, const struct power_order *order, json_t *what);
int tools_validate(cvm_turn *t, const cvm_msg *m);
int tools_validated(cvm_turn *t, const cvm_msg *m, const json_t *what);
int tools_check_tariff(cvm_turn *t, const cvm_msg *m);
int tools_list_discos(cvm_turn *t, const cvm_msg *m);

int sales_handle(cvm_turn *t, const cvm_msg *m);
int sales_register(cvm_turn *t, const cvm_msg *m);      /* register_postpaid */
int sales_request_meter(cvm_turn *t, const cvm_msg *m); /* request_meter */
int sales_case(cvm_turn *t, const cvm_msg *m);          /* "validate_meter_number.reply" */
int sales_told(cvm_turn *t, const cvm_msg *m);          /* "check_bill.reply", "confirm_payment.reply" */

/* ---- billing.c: PowerBillingAgent ---- */

int billing_handle(cvm_turn *t, const cvm_msg *m);
int billing_check_bill(cvm_turn *t, const cvm_msg *m);
int billing_explain_bill(cvm_turn *t, const cvm_msg *m);
int billing_validated(cvm_turn *t, const cvm_msg *m); /* "validate_meter_number.reply" */
int billing_billed(cvm_turn *t, const cvm_msg *m);    /* "bill.reply" */
int billing_open_dispute(cvm_turn *t, const cvm_msg *m);
int billing_check_tariff(cvm_turn *t, const cvm_msg *m);
int billing_tariff(cvm_turn *t, const cvm_msg *m); /* "check_tariff.reply" */

/* ---- payments.c: PowerBillingAgent on what was paid ---- */

int payments_confirm(cvm_turn *t, const cvm_msg *m); /* confirm_payment */
CVM_MUST_USE int payments_step(cvm_turn *t, const cvm_msg *m);
int payments_listed(cvm_turn *t, const cvm_msg *m); /* "list_transactions.reply" */
int payments_token(cvm_turn *t, const cvm_msg *m);  /* "query.reply" */

/* ---- technical.c: PowerTechnicalAgent ---- */

int technical_handle(cvm_turn *t, const cvm_msg *m);
int technical_token_help(cvm_turn *t, const cvm_msg *m);
int technical_report_fault(cvm_turn *t, const cvm_msg *m);
int technical_report_outage(cvm_turn *t, const cvm_msg *m);
int technical_case(cvm_turn *t, const cvm_msg *m); /* "validate_meter_number.reply" */

#endif
