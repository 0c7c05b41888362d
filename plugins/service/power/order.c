/* Orders of electricity: the rules from the settings, the checks in their order, and the bodies. Pure; any thread. */
#include "power.h"

#include <time.h>

void power_rules_read(const json_t *settings, struct power_rules *ret_rules)
{
    *ret_rules = (struct power_rules){
        .discos = json_object_get(settings, "discos"),
        .tariffs = json_object_get(settings, "tariffs"),
        .band_hours = json_object_get(settings, "band_hours"),
        .min_kobo = sale_setting_kobo(settings, "min_purchase", 50000),
        .max_kobo = sale_setting_kobo(settings, "max_purchase", 50000000),
        .charge_kobo = sale_setting_kobo(settings, "service_charge", 10000),
        .approval_above_kobo = sale_setting_kobo(settings, "approval_above", 10000000),
        .vat_basis_points = sale_setting_kobo(settings, "vat_percent", 750),
        .validity_days = cvm_json_int(settings, "token_validity_days", 30),
        .credit_timeout_s = cvm_json_int(settings, "credit_timeout_s", 300),
        .answer_within_ms = cvm_json_int(settings, "answer_within_ms", 50000),
        .refund_window_hours = cvm_json_int(settings, "refund_window_hours", 24),
    };
}

/* ---- companies and meters ---- */

#define NAME_SIZE 64

/* Capitals and digits alone: "Port-Harcourt" and "port harcourt" are one name. */
static void name_key(const char *name, char ret_key[NAME_SIZE])
{
    size_t n = 0;
    for (const char *p = name; *p && n < NAME_SIZE - 1; p++)
        if (isalnum((unsigned char)*p))
            ret_key[n++] = (char)toupper((unsigned char)*p);
    ret_key[n] = '\0';
}

static bool same_name(const char *key, const char *name)
{
    char other[NAME_SIZE];
    name_key(name, other);
    return *key && strcmp(key, other) == 0;
}

int power_disco(const struct power_rules *rules, const char *name, char ret_code[POWER_DISCO_SIZE])
{
    char key[NAME_SIZE];
    const char *code;
    json_t *disco, *alias;
    size_t i;
    name_key(name, key);
    json_object_foreach((json_t *)(uintptr_t)rules->discos, code, disco)
    {
        bool found = same_name(key, code) || same_name(key, cvm_json_str(disco, "name", ""));
        json_array_foreach(json_object_get(disco, "aliases"), i, alias) found =
            found || (json_is_string(alias) && same_name(key, json_string_value(alias)));
        if (found) {
            snprintf(ret_code, POWER_DISCO_SIZE, "%s", code);
            return CVM_OK;
        }
    }
    return CVM_ENOENT;
}

const char *power_disco_name(const struct power_rules *rules, const char *code)
{
    return cvm_json_str(json_object_get(rules->discos, code), "name", code);
}

const char *power_time(int64_t at_ms, char buf[POWER_TIME_SIZE])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(buf, POWER_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}

const char *power_discos_text(const struct power_rules *rules, char *buf, size_t size)
{
    size_t at = 0;
    const char *code;
    json_t *disco;
    buf[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)rules->discos, code, disco) if (at < size) at +=
        (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", code);
    return buf;
}

const char *power_places_text(const struct power_rules *rules, char *buf, size_t size)
{
    size_t at = 0;
    const char *code;
    json_t *disco;
    buf[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)rules->discos, code, disco)
    {
        const char *name = cvm_json_str(disco, "name", code), *end = strstr(name, " Electric");
        if (at < size)
            at += (size_t)snprintf(buf + at, size - at, "%s%.*s", at ? ", " : "", end ? (int)(end - name) : 40, name);
    }
    return buf;
}

int power_meter(const char *text, char ret_meter[POWER_METER_SIZE])
{
    char digits[POWER_METER_SIZE];
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ' ' || *p == '-')
            continue;
        if (*p < '0' || *p > '9' || n == POWER_METER_SIZE - 1)
            return CVM_EINVAL;
        digits[n++] = *p;
    }
    if (n < 11)
        return CVM_EINVAL;
    digits[n] = '\0';
    memcpy(ret_meter, digits, n + 1);
    return CVM_OK;
}

bool power_check_digit(const char *meter)
{
    int sum = 0;
    size_t n = strlen(meter);
    for (size_t i = 0; i < n; i++) {
        int d = meter[n - 1 - i] - '0';
        if (i % 2)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

/* ---- the checks ---- */

int power_check_meter(const struct power_rules *rules, const char *disco, const char *meter,
                      struct power_order *ret_order, struct sale_failure *f)
{
    struct power_order o = {0};
    if (power_meter(meter, o.meter) < 0) {
        snprintf(f->error, sizeof f->error, "The meter number has the wrong format: it must be 11 to 13 digits.");
        return sale_refused(f, "METER", "Check the meter number and try again.");
    }
    if (power_disco(rules, disco, o.disco) < 0) {
        char known[160];
        snprintf(f->error, sizeof f->error, "The distribution company %.*s is not recognised. Supported companies: %s.",
                 *disco ? clip(disco, 40) : 6, *disco ? disco : "(none)",
                 power_discos_text(rules, known, sizeof known));
        return sale_refused(f, "DISCO", "Choose one of the supported distribution companies.");
    }
    *ret_order = o;
    return CVM_OK;
}

static int check_amount(const struct power_rules *rules, const json_t *amount, struct power_order *o,
                        struct sale_failure *f)
{
    char most[40];
    CVM_TRY(sale_check_amount(amount, rules->min_kobo, rules->max_kobo, "electricity", &o->amount_kobo, f));
    o->total_kobo = o->amount_kobo + rules->charge_kobo;
    if (o->total_kobo > rules->approval_above_kobo) {
        snprintf(f->error, sizeof f->error, "A purchase above %s must be approved by a colleague first.",
                 sale_naira(rules->approval_above_kobo, most));
        return sale_refused(f, "APPROVAL", "Choose a smaller amount, or ask a colleague to approve it.");
    }
    return CVM_OK;
}

int power_check(const struct power_rules *rules, const char *disco, const char *meter, const json_t *amount,
                struct power_order *ret_order, struct sale_failure *ret_failure)
{
    struct power_order o;
    CVM_TRY(power_check_meter(rules, disco, meter, &o, ret_failure));
    CVM_TRY(check_amount(rules, amount, &o, ret_failure));
    *ret_order = o;
    return CVM_OK;
}

void power_not_validated(const struct power_rules *rules, const cvm_msg *reply, const char *disco,
                         struct sale_failure *f)
{
    const char *code = cvm_json_str(reply->data, "error_code", "");
    if (reply->outcome == CVM_REFUSED && strcmp(code, "CONFIGURATION") != 0) {
        snprintf(f->error, sizeof f->error, "The meter was not found at %s.", power_disco_name(rules, disco));
        sale_refused(f, "UNKNOWN_METER",
                     "Check the meter number and try again; if it persists, contact the distribution company.");
        return;
    }
    snprintf(f->error, sizeof f->error, "%s cannot validate the meter at the moment.", power_disco_name(rules, disco));
    sale_refused(f, "NOT_VALIDATED", "You were not charged. Please try again later.");
}

/* ---- bodies ---- */

json_t *power_purchase_body(const struct power_rules *rules, const struct power_order *o, const json_t *meter)
{
    char sum[40], summary[64], destination[64];
    const char *type = cvm_json_str(meter, "meter_type", "PREPAID");
    bool postpaid = strcmp(type, "POSTPAID") == 0;
    sale_naira_exact(o->amount_kobo, sum);
    snprintf(summary, sizeof summary, postpaid ? "%s for the electricity bill" : "%s electricity", sum);
    snprintf(destination, sizeof destination, "meter %s at %s", o->meter, o->disco);
    json_t *delivery =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "disco", o->disco, "meter_number", o->meter, "meter_type",
                  type, "amount_kobo", (json_int_t)o->amount_kobo, "charge_kobo", (json_int_t)rules->charge_kobo,
                  "customer_name", cvm_json_str(meter, "customer_name", ""), "address",
                  cvm_json_str(meter, "address", ""), "tariff_class", cvm_json_str(meter, "tariff_class", ""));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o}", "service_type", "POWER",
                     "network_or_disco", o->disco, "recipient", o->meter, "amount_kobo", (json_int_t)o->amount_kobo,
                     "service_charge_kobo", (json_int_t)rules->charge_kobo, "credit_timeout_s",
                     (json_int_t)rules->credit_timeout_s, "answer_within_ms", (json_int_t)rules->answer_within_ms,
                     "summary", summary, "destination", destination, "context_path", "/power_context", "delivery",
                     delivery);
}
