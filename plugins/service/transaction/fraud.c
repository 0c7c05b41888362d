/* Purchases that a human should look at: too many in a minute, one recipient of many customers, a success after
 * failures, far more than usual, the same twice. Owns the table `fraud_flags`, the state keys rcpt/ and what of an
 * account is counted for it. Each rule flags, holds or is off, as the setting `fraud_rules` says. Loop thread. */
#include "transaction.h"
#include <inttypes.h>

#define RECIPIENT_CUSTOMERS_MAX 8
#define LAST_MAX 8 /* purchases that a repeat is looked for among */

int flag_row(cvm_turn *t, const cvm_msg *m, const char *kind, const char *customer_id, const char *transaction_id,
             const char *detail)
{
    char id[CVM_SHORT_ID_SIZE], at[TXN_TIME_SIZE];
    CVM_TRY(cvm_new_id(t, "FLG", id));
    cvm_log(t, CVM_LOG_WARNING, "flagged %s: %s %s", id, kind, transaction_id);
    CVM_TRY(cvm_metric(t, "fraud_flags_total", kind, 1));
    return cvm_row_put(t, "fraud_flags",
                       json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "flag_id", id, "kind", kind, "customer_id",
                                 customer_id, "transaction_id", transaction_id, "detail", detail, "at",
                                 time_text(cvm_now_ms(t), at), "conversation", m->conversation));
}

/* ---- before a purchase ---- */

static const char *action(cvm_turn *t, const char *rule)
{
    return cvm_json_str(json_object_get(cvm_settings(t), "fraud_rules"), rule, "flag");
}

static int raise_flag(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *rule, const char *detail,
                      const char **ret_hold)
{
    if (strcmp(action(t, rule), "hold") == 0)
        *ret_hold = rule;
    CVM_TRY(cvm_note(t, "rule",
                     json_pack("{s:s, s:s, s:s}", "rule", rule, "because", detail, "transaction_id",
                               record_str(record, "transaction_id"))));
    return flag_row(t, m, rule, record_str(record, "customer_id"), record_str(record, "transaction_id"), detail);
}

static bool is_on(cvm_turn *t, const char *rule)
{
    return strcmp(action(t, rule), "off") != 0;
}

static int check_pace(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record, const char **ret_hold)
{
    int64_t now = cvm_now_ms(t);
    if (!is_on(t, "VELOCITY") || !account_too_fast(account, now, cvm_json_int(cvm_settings(t), "max_per_minute", 5)))
        return CVM_OK;
    if (cvm_json_int(account, "flagged_ms", 0) > now - 60000) { /* one flag a minute says enough */
        if (strcmp(action(t, "VELOCITY"), "hold") == 0)
            *ret_hold = "VELOCITY";
        return CVM_OK;
    }
    json_object_set_new(account, "flagged_ms", json_integer(now));
    return raise_flag(t, m, record, "VELOCITY", "more transactions in a minute than allowed", ret_hold);
}

int fraud_recipient_key(cvm_turn *t, const char *recipient, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    static const char salt[] = "recipient";
    uint8_t hash[32];
    CVM_TRY(t->host->hmac_sha256(t, salt, sizeof salt - 1, recipient, strlen(recipient), hash));
    int n = snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "rcpt/");
    for (int i = 0; i < 12; i++)
        n += snprintf(ret_key + n, CVM_STATE_KEY_MAX + 1 - (size_t)n, "%02x", hash[i]);
    return CVM_OK;
}

static int check_recipient(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *recipient,
                           const char **ret_hold)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const char *customer = record_str(record, "customer_id");
    int64_t now = cvm_now_ms(t), window = saga_setting_ms(t, "same_recipient_s", 600) * 1000;
    size_t most = (size_t)saga_setting_ms(t, "same_recipient_customers", 3);
    const json_t *known = NULL;
    if (!*recipient || !is_on(t, "SAME_RECIPIENT"))
        return CVM_OK;
    CVM_TRY(fraud_recipient_key(t, recipient, key));
    int e = cvm_state_get(t, key, &known);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *kept = json_array();
    bool there = false;
    for (size_t i = 0; i < json_array_size(known); i++) {
        json_t *pair = json_array_get(known, i);
        int64_t at = json_integer_value(json_array_get(pair, 1));
        bool own = strcmp(json_string_value(json_array_get(pair, 0)), customer) == 0;
        if (at <= now - window || (own && at <= now - window / 2))
            continue;
        there = there || own;
        json_array_append(kept, pair);
    }
    if (there || json_array_size(kept) >= RECIPIENT_CUSTOMERS_MAX) { /* nothing new */
        json_decref(kept);
        return CVM_OK;
    }
    json_array_append_new(kept, json_pack("[s, I]", customer, (json_int_t)now));
    size_t customers = json_array_size(kept);
    CVM_TRY(cvm_state_put(t, key, kept));
    if (customers < most)
        return CVM_OK;
    return raise_flag(t, m, record, "SAME_RECIPIENT", "several customers buy for this recipient", ret_hold);
}

static int check_amount(cvm_turn *t, const cvm_msg *m, const json_t *account, const json_t *record,
                        const char **ret_hold)
{
    int64_t n = cvm_json_int(account, "bought", 0), sum = cvm_json_int(account, "bought_kobo", 0);
    int64_t factor = cvm_json_int(cvm_settings(t), "unusual_factor", 10), total = record_int(record, "total_kobo");
    if (!is_on(t, "UNUSUAL_AMOUNT") || factor <= 0 || n < cvm_json_int(cvm_settings(t), "unusual_after", 5) ||
        total / factor < sum / n)
        return CVM_OK;
    if (total <= factor * (sum / n))
        return CVM_OK;
    return raise_flag(t, m, record, "UNUSUAL_AMOUNT", "far more than this customer's mean", ret_hold);
}

int fraud_check(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record, const char **ret_hold)
{
    const json_t *items = json_object_get(record, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        CVM_TRY(check_recipient(t, m, record, cvm_json_str(json_array_get(items, i), "recipient", ""), ret_hold));
    CVM_TRY(check_recipient(t, m, record, record_str(record, "recipient"), ret_hold));
    CVM_TRY(check_amount(t, m, account, record, ret_hold));
    return check_pace(t, m, account, record, ret_hold);
}

/* ---- the same twice ---- */

static uint64_t hash(uint64_t h, const json_t *body) /* FNV-1a: it only has to tell a customer's own orders apart */
{
    char text[160];
    int n = snprintf(text, sizeof text, "%.32s|%.32s|%.64s|%" PRId64, cvm_json_str(body, "service_type", ""),
                     cvm_json_str(body, "network_or_disco", ""), cvm_json_str(body, "recipient", ""),
                     cvm_json_int(body, "amount_kobo", 0));
    for (int i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int64_t fingerprint(const json_t *body)
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), body);
    const json_t *items = json_object_get(body, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        h = hash(h, json_array_get(items, i));
    return (int64_t)(h >> 1);
}

int64_t fraud_duplicate(cvm_turn *t, json_t *account, const json_t *body)
{
    int64_t now = cvm_now_ms(t), window = cvm_json_int(cvm_settings(t), "duplicate_window_s", 60) * 1000;
    int64_t print = fingerprint(body), found = -1;
    const json_t *last = json_object_get(account, "last");
    if (window <= 0)
        return -1;
    json_t *kept = json_array();
    size_t n = json_array_size(last);
    for (size_t i = n > LAST_MAX - 1 ? n - (LAST_MAX - 1) : 0; i < n; i++) {
        json_t *pair = json_array_get(last, i);
        int64_t at = json_integer_value(json_array_get(pair, 1));
        if (at <= now - window)
            continue;
        if (json_integer_value(json_array_get(pair, 0)) == print)
            found = (now - at) / 1000;
        json_array_append(kept, pair);
    }
    if (found >= 0) {
        json_decref(kept);
        return found;
    }
    json_array_append_new(kept, json_pack("[I, I]", (json_int_t)print, (json_int_t)now));
    json_object_set_new(account, "last", kept);
    return -1;
}

/* What failed may be bought again at once. */
static void forget(json_t *account, const json_t *record)
{
    const json_t *last = json_object_get(account, "last");
    int64_t print = fingerprint(record);
    json_t *kept = json_array();
    for (size_t i = 0; i < json_array_size(last); i++)
        if (json_integer_value(json_array_get(json_array_get(last, i), 0)) != print)
            json_array_append(kept, json_array_get(last, i));
    if (json_array_size(kept) < json_array_size(last))
        json_object_set(account, "last", kept);
    json_decref(kept);
}

/* ---- after it ---- */

int fraud_count(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record, bool success)
{
    int64_t failures = cvm_json_int(account, "failures_running", 0), now = cvm_now_ms(t);
    int64_t least = saga_setting_ms(t, "failures_before_success", 3);
    const char *hold = "";
    if (!success) {
        forget(account, record);
        bool old = cvm_json_int(account, "failed_ms", 0) <= now - 3600000;
        json_object_set_new(account, "failures_running", json_integer(old ? 1 : failures + 1));
        json_object_set_new(account, "failed_ms", json_integer(now));
        return CVM_OK;
    }
    json_object_set_new(account, "bought", json_integer(cvm_json_int(account, "bought", 0) + 1));
    json_object_set_new(account, "bought_kobo",
                        json_integer(cvm_json_int(account, "bought_kobo", 0) + record_int(record, "total_kobo")));
    if (!failures)
        return CVM_OK;
    json_object_del(account, "failures_running");
    if (failures < least || !is_on(t, "FAILURES_THEN_SUCCESS") ||
        cvm_json_int(account, "failed_ms", 0) <= now - 3600000)
        return CVM_OK;
    return raise_flag(t, m, record, "FAILURES_THEN_SUCCESS", "a success after several failures", &hold);
}

/* ---- operation list_flags ---- */

int fraud_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[] = {"kind", "customer_id", "transaction_id"};
    json_t *where = json_object();
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        if (json_object_get(m->data, filters[i]))
            json_object_set(where, filters[i], json_object_get(m->data, filters[i]));
    return lookup_table(t, m, "fraud_flags", where, "-at");
}
