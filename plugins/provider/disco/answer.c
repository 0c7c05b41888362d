/* Owns the rules by which an answer becomes a verdict. The first of them: unknown is not failure. Money is given back
 * on VERDICT_REFUSED, so only an answer that certainly means "not vended" may become that. A token is the vendor's: it
 * is carried as it came, never made. */
#include "answer.h"

#include <cvm/json.h>
#include <cvm/money.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FAILURE_TEXT "The distribution company did not accept the order"
#define CODE_MAX 64 /* bytes; what is longer is none of its words for us */
#define MESSAGE_MAX 500
#define MEMBER_MAX 128
#define LINES_MAX 20 /* of a bill */

static const char *const words_delivered[] = {"delivered", "success", "successful", "completed", NULL};
static const char *const words_failed[] = {"failed", "reversed", "refused", "error", NULL};
static const char *const words_missing[] = {"not_found", "NOT_FOUND", "TRANSACTION_NOT_FOUND", NULL};

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(word, *words) == 0)
            return true;
    return false;
}

static const char *meter_end(const char *meter)
{
    size_t len = strlen(meter);
    const char *end = meter + (len > 4 ? len - 4 : 0);
    while (((unsigned char)*end & 0xc0) == 0x80) /* not within a character, for what is no number */
        end++;
    return end;
}

json_t *order_new(const char *reference, const char *meter, bool postpaid, int64_t amount_kobo)
{
    return json_pack("{s:s, s:I, s:s, s:b}", "reference", reference, "amount_kobo", (json_int_t)amount_kobo,
                     "meter_end", meter_end(meter), "postpaid", postpaid);
}

json_t *text_member(const json_t *body, const char *key)
{
    char digits[32];
    const json_t *v = json_object_get(body, key);
    if (json_is_string(v) && json_string_length(v) > 0 && json_string_length(v) <= MEMBER_MAX)
        return cvm_json_share(v);
    if (!json_is_integer(v))
        return NULL;
    snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    return json_string(digits);
}

static bool has_text(const json_t *body, const char *key)
{
    json_t *text = text_member(body, key);
    json_decref(text);
    return text;
}

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
    json_t *id = text_member(body, "transaction_id"), *units = units_read(body);
    if (id)
        json_object_set_new(into, "transaction_id", id);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        if (token_read(body, tokens[i], token))
            json_object_set_new(into, tokens[i], json_string(token));
    if (units)
        json_object_set_new(into, "units", units);
    if (cvm_money_from_json(json_object_get(body, "balance"), &kobo) == CVM_OK)
        json_object_set_new(into, "balance_kobo", json_integer(kobo));
}

/* ---- vends ---- */

bool order_matches(const json_t *order, const json_t *body)
{
    int64_t kobo;
    const char *meter = cvm_json_str(body, "meter_number", "");
    if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) == CVM_OK &&
        kobo != cvm_json_int(order, "amount_kobo", kobo))
        return false;
    return !*meter || strcmp(meter_end(meter), cvm_json_str(order, "meter_end", meter_end(meter))) == 0;
}

bool order_whole(const json_t *order, const json_t *body)
{
    char token[TOKEN_DIGITS + 1];
    return cvm_json_bool(order, "postpaid", false) || token_read(body, "token", token);
}

static struct answer verdict(enum verdict verdict, const char *code, const char *message, const json_t *body)
{
    return (struct answer){.verdict = verdict, .code = code, .message = message, .body = body};
}

struct answer refusal_read(const json_t *body)
{
    const char *code = cvm_json_str(body, "error_code", "");
    const char *message = cvm_json_str(body, "message", "");
    if (!*code || strlen(code) > CODE_MAX)
        code = "UNKNOWN";
    if (!*message || strlen(message) > MESSAGE_MAX)
        message = FAILURE_TEXT;
    /* "Processed already" may be said of our own order, when the request arrived twice. */
    return verdict(strcmp(code, "DUPLICATE") == 0 ? VERDICT_ASK : VERDICT_REFUSED, code, message, body);
}

static struct answer success(const json_t *data, const json_t *body, const json_t *order)
{
    const char *word = cvm_json_str(body, "status", "delivered");
    if (is_one_of(word, words_failed) || !cvm_json_bool(body, "success", true))
        return refusal_read(body);
    if (cvm_json_bool(data, "verified", false) && !order_matches(order, body))
        return verdict(VERDICT_REFUSED, "DUPLICATE", "The reference was used for another order", body);
    if (!is_one_of(word, words_delivered) || !has_text(body, "transaction_id") || !order_whole(order, body))
        return verdict(VERDICT_ASK, "UNKNOWN", "The answer does not say what became of the order", body);
    return verdict(VERDICT_DONE, "", "", body);
}

struct answer vend_answer_read(const cvm_msg *reply, const json_t *order)
{
    const json_t *body = json_object_get(reply->data, "body");
    int64_t status = cvm_json_int(reply->data, "status", 0);
    switch (reply->outcome) {
    case CVM_REPLIED:
        if (status == 200 && json_is_object(body))
            return success(reply->data, body, order);
        if (status >= 400 && status < 500 && status != 408)
            return refusal_read(body);
        return verdict(VERDICT_ASK, "UNKNOWN", "The answer does not say what became of the order", NULL);
    case CVM_TIMEOUT:
    case CVM_UNKNOWN:
        return verdict(VERDICT_UNKNOWN, "TIMEOUT", "The distribution company did not answer in time", NULL);
    default: /* it did not leave */
        return verdict(VERDICT_REFUSED, "CONNECTION_ERROR", "The token service is not available at the moment", NULL);
    }
}

const char *found_word(enum found found)
{
    static const char *const words[] = {"delivered", "failed", "pending", "not_found", "unknown"};
    return words[found];
}

/* "Not found" has to be said in so many words: a bare 404 may come from a wrong address or a proxy, and after it a vend
 * would be sent again or paid back. */
enum found status_answer_read(const cvm_msg *reply, const json_t **ret_body)
{
    const json_t *body = json_object_get(reply->data, "body");
    int64_t status = cvm_json_int(reply->data, "status", 0);
    const char *word = cvm_json_str(body, "status", "");
    if (reply->outcome != CVM_REPLIED || !json_is_object(body))
        return FOUND_NO_ANSWER;
    if ((status == 200 && is_one_of(word, words_missing)) ||
        (status == 404 && is_one_of(cvm_json_str(body, "error_code", word), words_missing)))
        return FOUND_NOTHING;
    if (status != 200 || !*word)
        return FOUND_NO_ANSWER;
    *ret_body = body;
    if (is_one_of(word, words_delivered) && has_text(body, "transaction_id"))
        return FOUND_DELIVERED;
    return is_one_of(word, words_failed) ? FOUND_FAILED : FOUND_PENDING; /* a word nobody has listed is not final */
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

static void copy_text(const json_t *body, const char *key, json_t *into)
{
    json_t *text = text_member(body, key);
    if (text)
        json_object_set_new(into, key, text);
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
