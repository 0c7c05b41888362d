/* The texts of a sale and its answer. The token is the company's: it is shown as it came. Pure; any thread. */
#include "power.h"

#include <stdarg.h>

struct sheet {
    char *text;
    size_t n, size;
};

__attribute__((format(printf, 2, 3))) static void add(struct sheet *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = s->n < s->size ? vsnprintf(s->text + s->n, s->size - s->n, format, args) : 0;
    va_end(args);
    s->n += n > 0 ? (size_t)n : 0;
}

const char *receipt_token(const char *token, char buf[32])
{
    size_t n = 0;
    for (size_t i = 0; token[i] && n + 2 < 32; i++) {
        if (i && i % 4 == 0)
            buf[n++] = ' ';
        buf[n++] = token[i];
    }
    buf[n] = '\0';
    return buf;
}

static const char *naira(int64_t kobo, char buf[40])
{
    memcpy(buf, "\xe2\x82\xa6", 3); /* the naira sign */
    cvm_money_text(kobo, buf + 3, 37);
    return buf;
}

static double units_of(const json_t *vended)
{
    return json_number_value(json_object_get(vended, "units"));
}

/* Tokens that change the meter's key come first; without them it would refuse the one for the units. */
static void add_tokens(struct sheet *s, const json_t *vended)
{
    char a[32], b[32];
    const char *kct1 = cvm_json_str(vended, "kct1", ""), *kct2 = cvm_json_str(vended, "kct2", "");
    if (*kct1)
        add(s, "First enter these key change tokens: %s%s%s\n", receipt_token(kct1, a), *kct2 ? " and then " : "",
            receipt_token(kct2, b));
    add(s, "TOKEN: %s\n", receipt_token(cvm_json_str(vended, "token", ""), a));
}

static void add_brief(struct sheet *s, const struct power_rules *rules, const json_t *d, const json_t *vended)
{
    char total[40], charge[40], token[32];
    int64_t amount = cvm_json_int(d, "amount_kobo", 0), fee = cvm_json_int(d, "charge_kobo", 0);
    naira(amount + fee, total);
    sale_naira(fee, charge);
    if (!*cvm_json_str(vended, "token", "")) {
        add(s, "Paid for %s: %s with the %s charge. Help: reply BILL.", cvm_json_str(d, "customer_name", ""), total,
            charge);
        return;
    }
    if (*cvm_json_str(vended, "kct1", ""))
        add_tokens(s, vended);
    else
        add(s, "Token %s, ", receipt_token(cvm_json_str(vended, "token", ""), token));
    add(s,
        "%.1f kWh, for %s. Total %s with %s charge. On the keypad enter it, press ENTER or #, wait for the beep. Valid "
        "%lld days. Help: reply HELP TOKEN.",
        units_of(vended), cvm_json_str(d, "customer_name", ""), total, charge, (long long)rules->validity_days);
}

void token_receipt_text(const struct power_rules *rules, const json_t *d, const json_t *vended,
                        enum receipt_style style, char *text, size_t size)
{
    struct sheet s = {.text = text, .size = size};
    char amount_text[40], charge_text[40], total_text[40];
    int64_t amount = cvm_json_int(d, "amount_kobo", 0), charge = cvm_json_int(d, "charge_kobo", 0);
    const char *disco = cvm_json_str(d, "disco", "");
    bool token = *cvm_json_str(vended, "token", "") != '\0';
    text[0] = '\0';
    if (style == RECEIPT_BRIEF) {
        add_brief(&s, rules, d, vended);
        return;
    }
    if (style == RECEIPT_WHOLE)
        add(&s, "%s was successful.\n", token ? "Your electricity purchase" : "The payment of your electricity bill");
    add(&s, "Meter number: %s\nCustomer: %s\nAddress: %s\nDistribution company: %s\n",
        cvm_json_str(d, "meter_number", ""), cvm_json_str(d, "customer_name", ""), cvm_json_str(d, "address", ""),
        power_disco_name(rules, disco));
    add(&s, "Amount: %s\nService charge: %s\nTotal: %s\n", naira(amount, amount_text), naira(charge, charge_text),
        naira(amount + charge, total_text));
    if (token) {
        add(&s, "\n");
        add_tokens(&s, vended);
        add(&s,
            "Units: %.1f kWh\n\nTo load it:\n1. Go to the keypad of the meter.\n2. Enter the 20 digits of the token.\n"
            "3. Press ENTER or #.\n4. Wait for the beep.\n\nThe token is valid for %lld days.\n",
            units_of(vended), (long long)rules->validity_days);
    } else if (json_is_integer(json_object_get(vended, "balance_kobo"))) {
        add(&s, "Left to pay: %s\n", naira(cvm_json_int(vended, "balance_kobo", 0), amount_text));
    }
    if (style == RECEIPT_WHOLE)
        add(&s, "Reference: %s\n", cvm_json_str(vended, "reference", ""));
    if (token)
        add(&s, "For help with loading reply HELP TOKEN, or call %s.", power_disco_name(rules, disco));
    else
        add(&s, "For questions about the bill write to us again, or call %s.", power_disco_name(rules, disco));
}

/* ---- the answer to a buyer ---- */

static json_t *share_or_null(const json_t *value)
{
    return value ? cvm_json_share(value) : json_null();
}

static json_t *success_body(const struct power_rules *rules, const json_t *sold)
{
    char text[POWER_LONG_SIZE];
    const json_t *d = json_object_get(sold, "delivery"), *vended = json_object_get(sold, "delivered");
    int64_t amount = cvm_json_int(sold, "amount_kobo", 0), charge = cvm_json_int(sold, "service_charge_kobo", 0);
    token_receipt_text(rules, d, vended, RECEIPT_WHOLE, text, sizeof text);
    json_t *body = json_pack(
        "{s:b, s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s}", "success", 1, "transaction_id",
        cvm_json_str(sold, "transaction_id", ""), "token", share_or_null(json_object_get(vended, "token")), "units",
        share_or_null(json_object_get(vended, "units")), "reference", cvm_json_str(sold, "reference", ""),
        "meter_number", cvm_json_str(sold, "recipient", ""), "customer_name", cvm_json_str(d, "customer_name", ""),
        "amount", cvm_money_to_json(amount), "service_charge", cvm_money_to_json(charge), "total",
        cvm_money_to_json(cvm_json_int(sold, "total_kobo", amount + charge)), "response_text", text, "agent",
        "PowerSalesAgent");
    if (body && strcmp(cvm_json_str(d, "meter_type", "PREPAID"), "POSTPAID") == 0)
        json_object_set_new(body, "meter_type", json_string("POSTPAID"));
    return body;
}

/* A refusal of the company itself has our advice for meters; a rule of the saga has its own. */
static json_t *refused_body(const json_t *d)
{
    struct sale_failure f = {.rule = ""};
    const char *id = cvm_json_str(d, "transaction_id", ""), *rule = cvm_json_str(d, "rule", "");
    const char *given = cvm_json_str(d, "recommendation", "Contact support."),
               *code = cvm_json_str(d, "error_code", "");
    bool returned = *id != '\0';
    if (strcmp(code, "INVALID_METER") == 0 || strcmp(code, "UNKNOWN_METER") == 0)
        given = "Check the meter number and try again; if it persists, contact the distribution company.";
    const char *message = cvm_json_str(d, "message", "The purchase was refused.");
    bool stop = *message && strchr(".!?", message[strlen(message) - 1]);
    snprintf(f.error, sizeof f.error, "%.*s%s%s", clip(message, 300), message, returned && !stop ? "." : "",
             returned ? " The payment was returned to your wallet." : "");
    sale_advise(&f, given, id);
    json_t *body = sale_failure_body(&f, "PowerSalesAgent");
    if (body && *rule)
        json_object_set_new(body, "rule", json_string(rule));
    if (body && returned)
        json_object_set_new(body, "transaction_id", json_string(id));
    return body;
}

json_t *receipt_sold_body(const struct power_rules *rules, const cvm_msg *reply, enum cvm_outcome *ret_outcome)
{
    if (reply->outcome != CVM_REPLIED && reply->outcome != CVM_REFUSED)
        return sale_unsold_body(reply, "PowerSalesAgent", ret_outcome);
    *ret_outcome = reply->outcome;
    return reply->outcome == CVM_REPLIED ? success_body(rules, reply->data) : refused_body(reply->data);
}
