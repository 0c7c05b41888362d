/* The purchase saga after its start: settle, verify, park or refund. Knows no domain: what is delivered is an opaque
 * object of the seller. Each step is one turn, and the money moves in the same turn as the state it stands for. An
 * unknown outcome is never taken for a failure before the credit timeout. Loop thread. */
#include "transaction.h"

#define MESSAGE_MAX 300 /* bytes of a provider's message that are kept */
#define CHECK_TIMEOUT_MS 45000

/* What is known of a delivery when its transaction ends. */
struct ending {
    const char *error_code, *message, *recommendation, *rule; /* "" where there is none */
    const json_t *delivered;                                  /* the seller's reply, or NULL */
};

/* The money is back, or on its way. */
static bool gone_back(const json_t *record)
{
    return record_state(record) == TXN_REFUNDED || record_state(record) == TXN_REFUNDING;
}

/* With a seller. An order with several recipients is not: each of them is. */
static bool in_delivery(const json_t *record)
{
    return !json_object_get(record, "items") &&
           (record_state(record) == TXN_DELIVERING || record_state(record) == TXN_PENDING);
}

/* ---- the end ---- */

void set_message(json_t *record, const char *key, const char *text)
{
    size_t n = strlen(text);
    if (n > MESSAGE_MAX)
        for (n = MESSAGE_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
    json_object_set_new(record, key, json_stringn(text, n));
}

static int settle_verifiers(cvm_turn *t, json_t *record, const char *result)
{
    json_t *verifiers = json_incref(json_object_get(record, "verifiers"));
    json_object_del(record, "verifiers");
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(verifiers) && e >= 0; i++) {
        json_t *body = json_pack("{s:s, s:s, s:s}", "transaction_id", record_str(record, "transaction_id"), "status",
                                 txn_status(record_state(record)), "delivery", result);
        e = cvm_settle(t, id_from_text(json_string_value(json_array_get(verifiers, i))), CVM_REPLIED, body, NULL);
        if (e == CVM_ENOENT)
            e = CVM_OK;
    }
    json_decref(verifiers);
    return e;
}

/* Who bought, the counters of how it went, and who else has to know. */
static int tell_end(cvm_turn *t, const cvm_msg *m, json_t *account, const json_t *record, bool success)
{
    CVM_TRY(fraud_count(t, m, account, record, success));
    if (!json_array_size(json_object_get(record, "waiters")) && !*record_str(record, "order_id"))
        CVM_TRY(tell_ending(t, account, record));
    return *record_str(record, "order_id") ? bulk_ended(t, m, record) : CVM_OK;
}

int saga_finish(cvm_turn *t, const cvm_msg *m, json_t *record, enum entry_kind kind)
{
    const char *id = record_str(record, "transaction_id"), *code = record_str(record, "error_code");
    enum txn_state to = kind == ENTRY_SETTLE ? TXN_SUCCESS : TXN_REFUNDED;
    int64_t total = record_int(record, "total_kobo"), failures = 0;
    json_t *account = NULL;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0) /* the money is held there, so the account cannot be missing */
        return e == CVM_ENOENT ? CVM_EDATA : e;
    if ((e = account_book(t, m, account, kind, total, id)) < 0)
        goto out;
    if (to != TXN_SUCCESS)
        failures = account_count_failure(account, record_str(record, "session_id"));
    if (to == TXN_REFUNDED && record_state(record) != TXN_REFUNDING)
        record_move(record, TXN_FAILED); /* known to have failed, and the money is back in the same turn */
    record_move(record, to);
    json_object_set_new(record, "completed_ms", json_integer(cvm_now_ms(t)));
    if ((e = saga_disarm(t, m, record)) < 0 || (e = tell_end(t, m, account, record, to == TXN_SUCCESS)) < 0 ||
        (e = account_save(t, json_incref(account))) < 0)
        goto out;
    if ((e = cvm_metric(t, "transactions_total", txn_status(to), 1)) < 0 || (e = tell_ended(t, record, to)) < 0)
        goto out;
    if (to == TXN_REFUNDED && (e = refund_row(t, m, record, "done", kind == ENTRY_RETURN ? "source" : "wallet")) < 0)
        goto out;
    if ((e = cvm_note(t, "decision",
                      json_pack("{s:s, s:s, s:s, s:s, s:I}", "chose", txn_status(to), "transaction_id", id, "because",
                                *code && to != TXN_SUCCESS ? code : "delivered", "rule", record_str(record, "rule"),
                                "total_kobo", (json_int_t)total))) < 0 ||
        (e = record_row(t, record)) < 0 || (e = answer_waiters(t, record, failures)) < 0 ||
        (e = settle_verifiers(t, record, to == TXN_SUCCESS ? "delivered" : "failed")) < 0)
        goto out;
    e = record_save(t, json_incref(record));
out:
    json_decref(account);
    return e;
}

static int succeed(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *delivered)
{
    static const char *const doubts[] = {"error_code", "message", "recommendation", "rule"};
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++)
        json_object_del(record, doubts[i]);
    set_message(record, "reference", cvm_json_str(delivered, "reference", record_str(record, "transaction_id")));
    set_message(record, "provider_transaction_id", cvm_json_str(delivered, "transaction_id", ""));
    json_object_set_new(record, "delivered", cvm_json_share(delivered));
    CVM_TRY(lane_tell(t, m, record, LANE_SERVES));
    return saga_finish(t, m, record, ENTRY_SETTLE);
}

static void set_ending(json_t *record, const struct ending *how)
{
    set_message(record, "error_code", how->error_code);
    set_message(record, "message", *how->message ? how->message : "The network could not complete it.");
    set_message(record, "recommendation", how->recommendation);
    set_message(record, "rule", how->rule);
}

/* The provider has trouble of its own, as against a customer's order that it cannot fill. */
static bool is_trouble(const char *code)
{
    static const char *const codes[] = {"CONNECTION_ERROR", "NETWORK_ERROR", "TIMEOUT", "UNKNOWN", "UNAVAILABLE"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i], code) == 0)
            return true;
    return false;
}

static int fail(cvm_turn *t, const cvm_msg *m, json_t *record, const struct ending *how)
{
    set_ending(record, how);
    CVM_TRY(lane_tell(t, m, record, is_trouble(how->error_code) ? LANE_FAILS : LANE_SERVES));
    return refund_to_source(t, record) ? refund_begin(t, m, record) : saga_finish(t, m, record, ENTRY_REFUND);
}

/* Our own float is low: the order waits for it, and is refunded at the deadline. */
static int park(cvm_turn *t, const cvm_msg *m, json_t *record, const struct ending *how)
{
    int64_t left = record_int(record, "deadline_ms") - cvm_now_ms(t);
    int64_t retry_ms = saga_setting_ms(t, "float_retry_s", 30) * 1000;
    if (!cvm_json_bool(cvm_settings(t), "park_low_float", true) || left <= 0)
        return fail(t, m, record, how);
    set_ending(record, how);
    CVM_TRY(lane_tell(t, m, record, LANE_LOW_FLOAT));
    record_move(record, TXN_PARKED);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "wait for our float", "because", how->error_code,
                               "transaction_id", record_str(record, "transaction_id"))));
    CVM_TRY(saga_arm(t, m, record, "float_due", retry_ms < left ? retry_ms : left));
    CVM_TRY(record_row(t, record));
    CVM_TRY(answer_waiters(t, record, 0));
    return record_save(t, json_incref(record));
}

int saga_float_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (record_state(record) != TXN_PARKED)
        goto out;
    struct ending how = {record_str(record, "error_code"), "Our balance with the provider stayed low.", "", "LOW_FLOAT",
                         NULL};
    int64_t left = record_int(record, "deadline_ms") - cvm_now_ms(t);
    if (left <= 0) {
        e = fail(t, m, record, &how);
        goto out;
    }
    char reference[40]; /* a new one: the provider has refused the one before for good */
    int64_t n = record_int(record, "vends") + 1;
    snprintf(reference, sizeof reference, "%s-%lld", record_str(record, "transaction_id"), (long long)n + 1);
    json_object_set_new(record, "vends", json_integer(n));
    json_object_set_new(record, "vend_reference", json_string(reference));
    record_move(record, TXN_DELIVERING);
    e = saga_ask_delivery(t, m, record);
    if (e == CVM_ENOENT || e == CVM_EACCES) /* its seller is gone, so nothing is under way */
        e = fail(t, m, record, &how);
    else if (e >= 0 && (e = saga_arm(t, m, record, "deadline", left)) >= 0)
        e = record_save(t, json_incref(record));
out:
    json_decref(record);
    return e;
}

static int time_out(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    char advice[200];
    const char *id = record_str(record, "transaction_id");
    snprintf(advice, sizeof advice,
             "The money is back in the wallet. If it is delivered after all, keep the reference %s and tell us.", id);
    struct ending how = {"TIMEOUT", "The network did not confirm the purchase in time.", advice, "CREDIT_TIMEOUT",
                         NULL};
    CVM_TRY(
        cvm_timer(t, "reconcile", saga_setting_ms(t, "reconcile_after_s", 600) * 1000, NULL, record_cookie(id), NULL));
    return fail(t, m, record, &how);
}

/* Delivered, but the money went back before: a loss that a human must see. */
static int flag_late(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *delivered)
{
    const char *id = record_str(record, "transaction_id");
    char at[TXN_TIME_SIZE];
    if (json_object_get(record, "late"))
        return CVM_OK;
    json_object_set_new(record, "late",
                        json_pack("{s:s, s:s}", "at", time_text(cvm_now_ms(t), at), "reference",
                                  cvm_json_str(delivered, "reference", "")));
    cvm_log(t, CVM_LOG_WARNING, "%s: delivered after the refund", id);
    CVM_TRY(cvm_note(t, "late_delivery",
                     json_pack("{s:s, s:s, s:I}", "transaction_id", id, "reference",
                               cvm_json_str(delivered, "reference", ""), "loss_kobo",
                               (json_int_t)record_int(record, "total_kobo"))));
    CVM_TRY(flag_row(t, m, "LATE_DELIVERY", record_str(record, "customer_id"), id, "delivered after the refund"));
    CVM_TRY(record_row(t, record));
    return record_save(t, json_incref(record));
}

/* The money went back because the network was silent, and so it still is: it is asked again by and by, further and
 * further apart. Changes the record. */
static int look_again(cvm_turn *t, json_t *record)
{
    int64_t n = record_int(record, "looks"), after_ms = saga_look_after_ms(t, n);
    if (!after_ms || json_object_get(record, "late"))
        return CVM_OK;
    json_object_set_new(record, "looks", json_integer(n + 1));
    CVM_TRY(cvm_timer(t, "reconcile", after_ms, NULL, record_cookie(record_str(record, "transaction_id")), NULL));
    return record_save(t, json_incref(record));
}

/* ---- what comes back ---- */

int saga_check(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    const char *id = record_str(record, "transaction_id"), *home = record_str(record, "conversation");
    cvm_request_opts opts = {.on_behalf = record_cookie_n(id, record_int(record, "vends")),
                             .timeout_ms = CHECK_TIMEOUT_MS};
    if (strcmp(home, m->conversation) != 0) /* the answer may settle a step of that conversation */
        opts.conversation = home;
    const char *reference = record_str(record, "vend_reference");
    return cvm_request(t, record_str(record, "seller"), "check_delivery",
                       json_pack("{s:s, s:O}", "transaction_id", *reference ? reference : id, "delivery",
                                 json_object_get(record, "delivery")),
                       &opts);
}

/* Asks again later, further and further apart; the deadline ends it. Changes the record. */
static int check_later(cvm_turn *t, json_t *record)
{
    static const int64_t after_ms[] = {5000, 10000, 20000, 40000, 60000};
    int64_t now = cvm_now_ms(t), n = record_int(record, "checks");
    if (record_int(record, "next_check_ms") > now)
        return CVM_OK;
    int64_t delay = after_ms[n < 5 ? n : 4], left = record_int(record, "deadline_ms") - now;
    if (n == 0 && left <= delay) /* too late for patience, but not for one question */
        delay = 1;
    json_object_set_new(record, "checks", json_integer(n + 1));
    json_object_set_new(record, "next_check_ms", json_integer(now + delay));
    return cvm_timer(t, "check_due", delay, NULL, record_cookie(record_str(record, "transaction_id")), NULL);
}

/* The outcome is open: nothing is refunded, the network is asked. */
static int doubt(cvm_turn *t, const cvm_msg *m, json_t *record, const char *code, const json_t *data)
{
    bool duplicate = strcmp(code, "DUPLICATE") == 0;
    if (record_state(record) == TXN_DELIVERING)
        record_move(record, TXN_PENDING);
    set_message(record, "doubt", code);
    set_message(record, "doubt_message", cvm_json_str(data, "message", ""));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "verify", "because", code, "transaction_id",
                               record_str(record, "transaction_id"))));
    if (!duplicate)
        CVM_TRY(lane_tell(t, m, record, LANE_FAILS));
    if (duplicate)
        CVM_TRY(saga_check(t, m, record));
    else
        CVM_TRY(check_later(t, record));
    return record_save(t, json_incref(record));
}

static int delivered_open(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    const char *code = cvm_json_str(m->data, "error_code", cvm_json_str(m->data, "code", "UNKNOWN"));
    struct ending how = {code, cvm_json_str(m->data, "message", ""), cvm_json_str(m->data, "recommendation", ""), "",
                         NULL};
    switch (m->outcome) {
    case CVM_REPLIED:
        return succeed(t, m, record, m->data);
    case CVM_REFUSED:
        if (strcmp(code, "DUPLICATE") == 0)
            return doubt(t, m, record, code, m->data);
        if (strcmp(code, "INSUFFICIENT_BALANCE") == 0)
            return park(t, m, record, &how);
        return fail(t, m, record, &how);
    case CVM_BUSY: /* nothing was done */
        how.error_code = "CONNECTION_ERROR";
        how.message = "The service is busy or not available at the moment.";
        return fail(t, m, record, &how);
    default: /* error, timeout, unknown: it may have been delivered */
        return doubt(t, m, record, "UNKNOWN", m->data);
    }
}

int saga_delivered(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e == CVM_ENOENT) {
        cvm_log(t, CVM_LOG_WARNING, "a delivery answered for a transaction that ended more than a day ago");
        return CVM_OK;
    }
    if (e < 0)
        return e;
    bool present = record_cookie_number(m->on_behalf) == record_int(record, "vends");
    if (present && in_delivery(record))
        e = delivered_open(t, m, record);
    else if (m->outcome == CVM_REPLIED && gone_back(record))
        e = flag_late(t, m, record, m->data);
    json_decref(record);
    return e;
}

int saga_checked(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *result = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "result", "unknown") : "unknown";
    const char *reason = record_str(record, "doubt");
    bool delivered = strcmp(result, "delivered") == 0, duplicate = strcmp(reason, "DUPLICATE") == 0;
    bool present = record_cookie_number(m->on_behalf) == record_int(record, "vends"); /* no probe, no earlier attempt */
    bool failed = strcmp(result, "failed") == 0 || (duplicate && strcmp(result, "absent") == 0);
    struct ending how = {cvm_json_str(m->data, "error_code", *reason ? reason : "UNKNOWN"),
                         cvm_json_str(m->data, "message", record_str(record, "doubt_message")), "", "", NULL};
    e = cvm_note(t, "verified",
                 json_pack("{s:s, s:s}", "transaction_id", record_str(record, "transaction_id"), "result", result));
    if (e < 0)
        goto out;
    if (record_cookie_number(m->on_behalf) == TXN_PROBE && strcmp(result, "unknown") != 0 &&
        (e = lane_probed(t, record)) < 0)
        goto out;
    if (!present || !in_delivery(record)) { /* of an attempt that is over: it ends nothing */
        if (delivered && gone_back(record))
            e = flag_late(t, m, record, m->data);
        else if (present && strcmp(result, "unknown") == 0 && gone_back(record))
            e = look_again(t, record);
        if (e >= 0 && json_object_get(record, "verifiers") &&
            (e = settle_verifiers(t, record, in_delivery(record) ? "unknown" : result)) >= 0)
            e = record_save(t, json_incref(record));
    } else if (delivered) {
        e = succeed(t, m, record, m->data);
    } else if (failed && strcmp(how.error_code, "INSUFFICIENT_BALANCE") == 0) {
        e = park(t, m, record, &how);
    } else if (failed) {
        e = fail(t, m, record, &how);
    } else {
        e = settle_verifiers(t, record, result);
        if (e >= 0 && *reason)
            e = check_later(t, record);
        if (e >= 0)
            e = record_save(t, json_incref(record));
    }
out:
    json_decref(record);
    return e;
}

/* ---- timers ---- */

/* Gives the record of a timer while it is open; *ret_record is NULL where there is nothing more to do. */
static int open_record(cvm_turn *t, const cvm_msg *m, json_t **ret_record)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (!txn_is_final(record_state(record)))
        *ret_record = record;
    else
        json_decref(record);
    return CVM_OK;
}

int saga_answer_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(open_record(t, m, &record));
    if (!record)
        return CVM_OK;
    int64_t left = record_int(record, "deadline_ms") - cvm_now_ms(t);
    int e;
    if (record_state(record) == TXN_PAYING) { /* the payment is under way; the record's `pay` says until when */
        left = cvm_json_int(json_object_get(record, "pay"), "ends_ms", 0) - cvm_now_ms(t);
        if ((e = answer_waiters(t, record, 0)) >= 0 &&
            (e = saga_arm(t, m, record, "gate_due", left > 0 ? left : 1)) >= 0)
            e = record_save(t, json_incref(record));
        goto out;
    }
    if (json_object_get(record, "items")) {
        if ((e = answer_waiters(t, record, 0)) >= 0)
            e = record_save(t, json_incref(record));
        goto out;
    }
    if (!in_delivery(record)) {
        e = CVM_OK;
        goto out;
    }
    if (left <= 0) {
        e = time_out(t, m, record);
        goto out;
    }
    if (record_state(record) == TXN_DELIVERING)
        record_move(record, TXN_PENDING);
    e = cvm_note(t, "decision",
                 json_pack("{s:s, s:s, s:s}", "chose", "answer PENDING", "because", "no result in time",
                           "transaction_id", record_str(record, "transaction_id")));
    if (e < 0 || (e = answer_waiters(t, record, 0)) < 0 || (e = saga_arm(t, m, record, "deadline", left)) < 0)
        goto out;
    e = record_save(t, json_incref(record));
out:
    json_decref(record);
    return e;
}

int saga_deadline(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(open_record(t, m, &record));
    if (!record)
        return CVM_OK;
    int e = in_delivery(record) ? time_out(t, m, record) : CVM_OK;
    json_decref(record);
    return e;
}

int saga_check_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(open_record(t, m, &record));
    if (!record)
        return CVM_OK;
    int e = in_delivery(record) ? saga_check(t, m, record) : CVM_OK;
    if (e == CVM_ENOENT && (e = check_later(t, record)) >= 0) /* the seller is away: it may be back before the end */
        e = record_save(t, json_incref(record));
    json_decref(record);
    return e;
}

int saga_reconcile(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = saga_check(t, m, record);
    json_decref(record);
    return e;
}

/* ---- operation verify_transaction ---- */

static bool theirs(const cvm_msg *m, const json_t *record)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    return !*customer || strcmp(customer, record_str(record, "customer_id")) == 0;
}

/* Nothing of it is with a seller yet, or any more: a payment is asked for, else it is as it is. */
static int verify_elsewhere(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    if (record_state(record) == TXN_PAYING)
        CVM_TRY(pay_verify(t, m, record));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:s, s:s}", "transaction_id", record_str(record, "transaction_id"), "status",
                               txn_status(record_state(record)), "delivery",
                               record_state(record) == TXN_SUCCESS ? "delivered" : "absent", "state",
                               txn_state_name(record_state(record))));
}

int saga_verify(cvm_turn *t, const cvm_msg *m)
{
    char id[33];
    json_t *record = NULL;
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!record || !theirs(m, record)) {
        json_decref(record);
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "no transaction with this id in the last 48 hours");
    }
    const json_t *before = json_object_get(record, "verifiers");
    if (!in_delivery(record) && record_state(record) != TXN_REFUNDED) {
        e = verify_elsewhere(t, m, record);
        goto out;
    }
    if (!json_object_get(record, "seller") || json_array_size(before) >= TXN_WAITERS_MAX) {
        e = CVM_EBUSY;
        goto out;
    }
    json_t *verifiers = record_list(record, "verifiers");
    id_to_text(m->id, id);
    json_array_append_new(verifiers, json_string(id));
    json_object_set_new(record, "verifiers", verifiers);
    if ((e = saga_check(t, m, record)) < 0 || (e = record_save(t, json_incref(record))) < 0)
        goto out;
    e = CVM_PENDING;
out:
    json_decref(record);
    return e;
}
