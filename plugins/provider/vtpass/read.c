/* Reading what the vendor answers. It changes the types of members from one answer to the next and leaves out what a
 * biller does not have, so every reader takes a string, a number or nothing. Pure; any thread. */
#include "vtpass.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define VARIATIONS_MAX 400
#define NAME_MOST 80

const char *vt_text(const json_t *object, const char *key, char buf[VT_TEXT_SIZE])
{
    const json_t *v = json_object_get(object, key);
    buf[0] = '\0';
    if (json_is_integer(v))
        snprintf(buf, VT_TEXT_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_string(v) && json_string_length(v) < VT_TEXT_SIZE && strcasecmp(json_string_value(v), "N/A") != 0)
        snprintf(buf, VT_TEXT_SIZE, "%s", json_string_value(v));
    return buf;
}

static void copy(const json_t *from, const char *key, const char *name, json_t *into)
{
    char text[VT_TEXT_SIZE];
    if (*vt_text(from, key, text))
        json_object_set_new(into, name, json_string(text));
}

const char *vt_code(const json_t *body, char buf[VT_TEXT_SIZE])
{
    const json_t *v = json_object_get(body, "code");
    if (!json_is_integer(v))
        return vt_text(body, "code", buf);
    snprintf(buf, VT_TEXT_SIZE, "%03" JSON_INTEGER_FORMAT, json_integer_value(v));
    return buf;
}

static const json_t *content_of(const json_t *body)
{
    const json_t *content = json_object_get(body, "content");
    return content ? content : json_object_get(body, "contents");
}

const char *vt_status(const json_t *body, char buf[VT_TEXT_SIZE])
{
    return vt_text(json_object_get(content_of(body), "transactions"), "status", buf);
}

struct vt_decision vt_read(enum vt_asked asked, int64_t http_status, const json_t *body)
{
    char code[VT_TEXT_SIZE], status[VT_TEXT_SIZE];
    vt_code(body, code);
    if (!*code && (http_status == 401 || http_status == 403))
        memcpy(code, "087", 4); /* a gate before the vendor's own words */
    return vt_decide(asked, code, vt_status(body, status));
}

bool vt_token(const json_t *body, const char *key, char ret_token[VT_TOKEN_SIZE])
{
    char text[VT_TEXT_SIZE], token[VT_TOKEN_SIZE];
    size_t n = 0;
    for (const char *c = vt_text(body, key, text); *c; c++) {
        if (*c < '0' || *c > '9')
            continue;
        if (n == VT_TOKEN_SIZE - 1)
            return false;
        token[n++] = *c;
    }
    if (n != VT_TOKEN_SIZE - 1)
        return false;
    memcpy(ret_token, token, n);
    ret_token[n] = '\0';
    return true;
}

/* Under two names, of which billers fill in one. */
static bool credit_token(const json_t *body, char ret_token[VT_TOKEN_SIZE])
{
    return vt_token(body, "token", ret_token) || vt_token(body, "purchased_code", ret_token);
}

static bool ends_alike(const char *number, const char *end)
{
    size_t len = strlen(number), n = strlen(end);
    return len < n || strcmp(number + len - n, end) == 0;
}

bool vt_matches(const json_t *order, const json_t *body)
{
    char text[VT_TEXT_SIZE];
    int64_t kobo;
    const json_t *transaction = json_object_get(content_of(body), "transactions");
    const char *ours = cvm_json_str(order, "request_id", "");
    if (*vt_text(body, "requestId", text) && strcmp(text, ours) != 0)
        return false;
    const json_t *amount = json_object_get(body, "amount");
    if (naira_read(amount, &kobo) < 0 && naira_read(json_object_get(transaction, "amount"), &kobo) < 0)
        kobo = cvm_json_int(order, "amount_kobo", 0);
    if (kobo != cvm_json_int(order, "amount_kobo", kobo))
        return false;
    vt_text(transaction, "unique_element", text);
    return !*text || ends_alike(text, cvm_json_str(order, "end", ""));
}

bool vt_whole(const json_t *order, const json_t *body)
{
    char token[VT_TOKEN_SIZE];
    return !cvm_json_bool(order, "token", false) || credit_token(body, token);
}

/* "79.9 kWh", "79.9" or 79. */
static json_t *units_read(const json_t *body)
{
    char text[VT_TEXT_SIZE], *end;
    vt_text(body, "units", text);
    double units = strtod(text, &end);
    return end != text && units >= 0 && units < 1e9 ? json_real(units) : NULL;
}

void vt_copy(const json_t *body, json_t *into)
{
    static const char *const first[] = {"kct1", "kct2"}; /* to be keyed in before the token */
    char text[VT_TEXT_SIZE], token[VT_TOKEN_SIZE];
    const json_t *transaction = json_object_get(content_of(body), "transactions");
    copy(transaction, "transactionId", "transaction_id", into);
    if (credit_token(body, token))
        json_object_set_new(into, "token", json_string(token));
    for (size_t i = 0; i < 2; i++)
        if (vt_token(body, first[i], token))
            json_object_set_new(into, first[i], json_string(token));
    json_t *units = units_read(body);
    if (units)
        json_object_set_new(into, "units", units);
    if (!json_object_get(into, "transaction_id") && *vt_text(body, "exchangeReference", text))
        json_object_set_new(into, "transaction_id", json_string(text));
}

/* ---- meters ---- */

static const json_t *meter_content(int64_t http_status, const json_t *body, bool *ret_missing)
{
    char code[VT_TEXT_SIZE], error[VT_TEXT_SIZE];
    const json_t *content = content_of(body);
    *ret_missing = false;
    if (http_status != 200 || !json_is_object(content))
        return NULL;
    vt_code(body, code);
    if (strcmp(code, "000") != 0 && strcmp(code, "020") != 0)
        return NULL;
    /* "000" also for a meter that does not exist. */
    if (json_is_true(json_object_get(content, "WrongBillersCode")) || *vt_text(content, "error", error)) {
        *ret_missing = true;
        return NULL;
    }
    return content;
}

json_t *vt_meter(int64_t http_status, const json_t *body, const char *type, bool *ret_missing)
{
    char word[VT_TEXT_SIZE];
    const json_t *content = meter_content(http_status, body, ret_missing);
    if (!*vt_text(content, "Customer_Name", word))
        return NULL;
    vt_text(content, "Meter_Type", word);
    if (!*word)
        snprintf(word, sizeof word, "%s", type);
    json_t *meter = json_pack("{s:s, s:s, s:s}", "address", "", "tariff_class", "", "meter_type",
                              strcasecmp(word, "POSTPAID") == 0 ? "POSTPAID" : "PREPAID");
    copy(content, "Customer_Name", "customer_name", meter);
    copy(content, "Address", "address", meter);
    copy(content, "Customer_Account_Type", "tariff_class", meter);
    return meter;
}

json_t *vt_bill(int64_t http_status, const json_t *body, bool *ret_missing)
{
    int64_t kobo;
    const json_t *content = meter_content(http_status, body, ret_missing);
    const json_t *arrears = json_object_get(content, "Customer_Arrears");
    if (naira_read(arrears, &kobo) < 0 && naira_read(json_object_get(content, "Outstanding"), &kobo) < 0)
        return NULL;
    json_t *bill = json_pack("{s:I, s:[]}", "amount_due_kobo", (json_int_t)(kobo > 0 ? kobo : 0), "lines");
    copy(content, "Customer_Name", "customer_name", bill);
    return bill;
}

/* ---- variations ---- */

json_t *vt_variations(int64_t http_status, const json_t *body)
{
    char code[VT_TEXT_SIZE], name[VT_TEXT_SIZE];
    const json_t *content = content_of(body);
    const json_t *list = json_object_get(content, "variations");
    if (!json_is_array(list))
        list = json_object_get(content, "varations"); /* so it is spelt in some answers */
    if (http_status != 200 || !json_is_array(list))
        return NULL;
    json_t *found = json_object();
    for (size_t i = 0; i < json_array_size(list) && i < VARIATIONS_MAX; i++) {
        int64_t kobo;
        const json_t *v = json_array_get(list, i);
        if (!*vt_text(v, "variation_code", code) || naira_read(json_object_get(v, "variation_amount"), &kobo) < 0)
            continue;
        vt_text(v, "name", name);
        size_t n = strlen(name);
        for (n = n > NAME_MOST ? NAME_MOST : n; n && ((unsigned char)name[n] & 0xc0) == 0x80; n--)
            ;
        name[n] = '\0';
        json_object_set_new(found, code, json_pack("[I, s]", (json_int_t)kobo, name));
    }
    return found;
}
