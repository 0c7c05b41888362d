/* What a distribution company says of tokens, meters and bills, in our own forms. A token is the vendor's: it is
 * carried as it came, never made. Pure; any thread. */
#include "disco.h"

#include <cvm/money.h>

#include <stdlib.h>
#include <strings.h>

#define TOKEN_DIGITS 20
#define LINES_MAX 20 /* of a bill */

/* ---- tokens ---- */

/* The digits of "2636 2054 ..." or "Token : 2636...", which must be twenty. */
static bool token_read(const json_t *body, const char *key, char ret_token[TOKEN_DIGITS + 1])
{
    size_t n = 0;
    char token[TOKEN_DIGITS + 1];
    for (const char *c = cvm_json_str(body, key, ""); *c; c++) {
        if (*c < '0' || *c > '9')
            continue;
        if (n == TOKEN_DIGITS)
            return false;
        token[n++] = *c;
    }
    if (n != TOKEN_DIGITS)
        return false;
    memcpy(ret_token, token, TOKEN_DIGITS);
    ret_token[TOKEN_DIGITS] = '\0';
    return true;
}

/* 22.2, "22.2" or "22.2 kWh". */
static json_t *units_read(const json_t *body)
{
    const json_t *v = json_object_get(body, "units");
    if (json_is_number(v))
        return json_real(json_number_value(v));
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    char *end;
    double units = strtod(text, &end);
    return end != text && units >= 0 && units < 1e9 ? json_real(units) : NULL;
}

void vend_copy(const json_t *body, json_t *into)
{
    static const char *const tokens[] = {"token", "kct1", "kct2"};
    char token[TOKEN_DIGITS + 1];
    int64_t kobo;
    json_t *units = units_read(body);
    copy_text(body, "transaction_id", into);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        if (token_read(body, tokens[i], token))
            json_object_set_new(into, tokens[i], json_string(token));
    if (units)
        json_object_set_new(into, "units", units);
    if (cvm_money_from_json(json_object_get(body, "balance"), &kobo) == CVM_OK)
        json_object_set_new(into, "balance_kobo", json_integer(kobo));
}

bool vend_whole(const json_t *order, const json_t *body)
{
    char token[TOKEN_DIGITS + 1];
    return cvm_json_bool(order, "postpaid", false) || token_read(body, "token", token);
}

/* ---- meters and bills ---- */

bool meter_missing(const cvm_msg *reply)
{
    int64_t status = cvm_json_int(reply->data, "status", 0);
    /* What speaks of our key or our pace says nothing about the meter. */
    return reply->outcome == CVM_REPLIED && status >= 400 && status < 500 && status != 401 && status != 403 &&
           status != 408 && status != 429;
}

static const json_t *body_of(const cvm_msg *reply)
{
    const json_t *body = json_object_get(reply->data, "body");
    return reply->outcome == CVM_REPLIED && cvm_json_int(reply->data, "status", 0) == 200 && json_is_object(body)
               ? body
               : NULL;
}

json_t *meter_answer_read(const cvm_msg *reply)
{
    int64_t kobo;
    const json_t *body = body_of(reply);
    if (!has_text(body, "customer_name"))
        return NULL;
    bool postpaid = strcasecmp(cvm_json_str(body, "meter_type", "PREPAID"), "POSTPAID") == 0;
    json_t *meter = json_pack("{s:s, s:s, s:s}", "address", "", "tariff_class", "", "meter_type",
                              postpaid ? "POSTPAID" : "PREPAID");
    copy_text(body, "customer_name", meter);
    copy_text(body, "address", meter);
    copy_text(body, "tariff_class", meter);
    copy_text(body, "service_band", meter);
    if (cvm_money_from_json(json_object_get(body, "rate"), &kobo) == CVM_OK && kobo > 0)
        json_object_set_new(meter, "rate_kobo", json_integer(kobo));
    return meter;
}

json_t *bill_answer_read(const cvm_msg *reply)
{
    int64_t kobo;
    const json_t *body = body_of(reply), *lines = json_object_get(body, "lines");
    if (cvm_money_from_json(json_object_get(body, "amount_due"), &kobo) < 0)
        return NULL;
    json_t *bill = json_pack("{s:I, s:[]}", "amount_due_kobo", (json_int_t)kobo, "lines");
    copy_text(body, "customer_name", bill);
    copy_text(body, "period", bill);
    copy_text(body, "due_date", bill);
    copy_text(body, "reading", bill);
    for (size_t i = 0; i < json_array_size(lines) && i < LINES_MAX; i++) {
        const json_t *line = json_array_get(lines, i);
        json_t *item = text_member(line, "item");
        if (item && cvm_money_from_json(json_object_get(line, "amount"), &kobo) == CVM_OK)
            json_array_append_new(json_object_get(bill, "lines"),
                                  json_pack("{s:O, s:I}", "item", item, "amount_kobo", (json_int_t)kobo));
        json_decref(item);
    }
    return bill;
}
