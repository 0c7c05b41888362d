/* Owns the rules by which an answer becomes a verdict. The first of them: unknown is not failure. Money is given back
 * on VERDICT_REFUSED, so only an answer that certainly means "not vended" may become that. */
#include "vendor.h"

#include <cvm/money.h>

#include <stdio.h>
#include <strings.h>

#define CODE_MAX 64 /* bytes; what is longer is none of the vendor's words for us */
#define MESSAGE_MAX 500
#define MEMBER_MAX 128

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

static const char *number_end(const char *number)
{
    size_t len = strlen(number);
    const char *end = number + (len > 4 ? len - 4 : 0);
    while (((unsigned char)*end & 0xc0) == 0x80) /* not within a character, for what is no number */
        end++;
    return end;
}

json_t *order_new(const char *reference, const char *number, int64_t amount_kobo)
{
    return json_pack("{s:s, s:I, s:s}", "reference", reference, "amount_kobo", (json_int_t)amount_kobo,
                     vendor.number_end, number_end(number));
}

bool order_matches(const json_t *order, const json_t *body)
{
    int64_t kobo;
    const char *number = cvm_json_str(body, vendor.number, "");
    if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) == CVM_OK &&
        kobo != cvm_json_int(order, "amount_kobo", kobo))
        return false;
    const char *end = number_end(number);
    return !*number || strcmp(end, cvm_json_str(order, vendor.number_end, end)) == 0;
}

bool order_whole(const json_t *order, const json_t *body)
{
    return !vendor.whole || vendor.whole(order, body);
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

bool has_text(const json_t *body, const char *key)
{
    json_t *text = text_member(body, key);
    json_decref(text);
    return text;
}

void copy_text(const json_t *body, const char *key, json_t *into)
{
    json_t *text = text_member(body, key);
    if (text)
        json_object_set_new(into, key, text);
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
        message = vendor.say.refused;
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
        if (status == 409 && !has_text(body, "error_code")) /* in conflict with what? perhaps with our own order */
            return verdict(VERDICT_ASK, "UNKNOWN", "The answer does not say what became of the order", NULL);
        if (status >= 400 && status < 500 && status != 408)
            return refusal_read(body);
        return verdict(VERDICT_ASK, "UNKNOWN", "The answer does not say what became of the order", NULL);
    case CVM_TIMEOUT:
    case CVM_UNKNOWN:
        return verdict(VERDICT_UNKNOWN, "TIMEOUT", vendor.say.late, NULL);
    default: /* it did not leave */
        return verdict(VERDICT_REFUSED, "CONNECTION_ERROR", vendor.say.unsent, NULL);
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
