/* The purchase saga after its start: settle, verify or refund. Knows no domain: what is delivered is an opaque object
 * of the seller. Each step is one turn, and the money moves in the same turn as the state it stands for. An unknown
 * outcome is never taken for a failure before the credit timeout. Loop thread. */
#include "transaction.h"

#define MESSAGE_MAX 300 /* bytes of a provider's message that are kept */
#define CHECK_TIMEOUT_MS 45000

/* What is known of a delivery when its transaction ends. */
struct ending {
    const char *error_code, *message, *recommendation, *rule; /* "" where there is none */
    const json_t *delivered;                                  /* the seller's reply, or NULL */
};

/* ---- the end ---- */

static void set_message(json_t *record, const char *key, const char *text)
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

static int finish(cvm_turn *t, const cvm_msg *m, json_t *record, enum txn_state to, const struct ending *how)
{
    const char *id = record_str(record, "transaction_id");
    int64_t total = record_int(record, "total_kobo"), failures = 0;
    json_t *account = NULL;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0) /* the money is held there, so the account cannot be missing */
        return e == CVM_ENOENT ? CVM_EDATA : e;
    if ((e = account_book(t, m, account, to == TXN_SUCCESS ? ENTRY_SETTLE : ENTRY_REFUND, total, id)) < 0)
        goto out;
    if (to != TXN_SUCCESS)
        failures = account_count_failure(account, record_str(record, "session_id"));
    if ((e = account_save(t, json_incref(account))) < 0)
        goto out;

    if (to == TXN_REFUNDED)
        record_move(record, TXN_FAILED); /* known to have failed, and the money is back in the same turn */
    record_move(record, to);
    json_object_set_new(record, "completed_ms", json_integer(cvm_now_ms(t)));
    cvm_id timer = id_from_text(record_str(record, "timer"));
    json_object_del(record, "timer");
    if (!cvm_id_is_none(timer) && !cvm_id_eq(timer, m->id)) {
        e = cvm_timer_cancel(t, timer);
        if (e < 0 && e != CVM_ENOENT)
            goto out;
    }
    if ((e = cvm_note(t, "decision",
                      json_pack("{s:s, s:s, s:s, s:s, s:I}", "chose", txn_status(to), "transaction_id", id, "because",
                                *how->error_code ? how->error_code : "delivered", "rule", how->rule, "total_kobo",
                                (json_int_t)total))) < 0 ||
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
    struct ending how = {"", "", "", "", delivered};
    set_message(record, "reference", cvm_json_str(delivered, "reference", record_str(record, "transaction_id")));
    set_message(record, "provider_transaction_id", cvm_json_str(delivered, "transaction_id", ""));
    json_object_set_new(record, "delivered", cvm_json_share(delivered));
    return finish(t, m, record, TXN_SUCCESS, &how);
}

static int fail(cvm_turn *t, const cvm_msg *m, json_t *record, const struct ending *how)
{
    set_message(record, "error_code", how->error_code);
    set_message(record, "message", *how->message ? how->message : "The network could not complete it.");
    set_message(record, "recommendation", how->recommendation);
    set_message(record, "rule", how->rule);
    return finish(t, m, record, TXN_REFUNDED, how);
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

/* ---- what comes back ---- */

static int check_send(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    const char *id = record_str(record, "transaction_id"), *home = record_str(record, "conversation");
    cvm_request_opts opts = {.on_behalf = record_cookie(id), .timeout_ms = CHECK_TIMEOUT_MS};
    if (strcmp(home, m->conversation) != 0) /* the answer may settle a step of that conversation */
        opts.conversation = home;
    return cvm_request(t, record_str(record, "seller"), "check_delivery",
                       json_pack("{s:s, s:O}", "transaction_id", id, "delivery", json_object_get(record, "delivery")),
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
    if (duplicate)
        CVM_TRY(check_send(t, m, record));
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
    if (!txn_is_final(record_state(record)))
        e = delivered_open(t, m, record);
    else if (m->outcome == CVM_REPLIED && record_state(record) == TXN_REFUNDED)
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
    bool failed = strcmp(result, "failed") == 0 || (duplicate && strcmp(result, "absent") == 0);
    struct ending how = {cvm_json_str(m->data, "error_code", *reason ? reason : "UNKNOWN"),
                         cvm_json_str(m->data, "message", record_str(record, "doubt_message")), "", "", NULL};
    e = cvm_note(t, "verified",
                 json_pack("{s:s, s:s}", "transaction_id", record_str(record, "transaction_id"), "result", result));
    if (e < 0)
        goto out;
    if (txn_is_final(record_state(record))) {
        if (delivered && record_state(record) == TXN_REFUNDED)
            e = flag_late(t, m, record, m->data);
        if (e >= 0 && json_object_get(record, "verifiers") && (e = settle_verifiers(t, record, result)) >= 0)
            e = record_save(t, json_incref(record));
    } else if (delivered) {
        e = succeed(t, m, record, m->data);
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
    if (txn_is_final(record_state(record)))
        json_decref(record);
    else
        *ret_record = record;
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
    if (left <= 0) {
        e = time_out(t, m, record);
        goto out;
    }
    if (record_state(record) == TXN_DELIVERING)
        record_move(record, TXN_PENDING);
    e = cvm_note(t, "decision",
                 json_pack("{s:s, s:s, s:s}", "chose", "answer PENDING", "because", "no result in time",
                           "transaction_id", record_str(record, "transaction_id")));
    if (e < 0 || (e = answer_waiters(t, record, 0)) < 0 || (e = saga_arm(t, record, "deadline", left)) < 0)
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
    int e = time_out(t, m, record);
    json_decref(record);
    return e;
}

int saga_check_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(open_record(t, m, &record));
    if (!record)
        return CVM_OK;
    int e = check_send(t, m, record);
    json_decref(record);
    return e;
}

int saga_reconcile(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = check_send(t, m, record);
    json_decref(record);
    return e;
}

/* ---- operation verify_transaction ---- */

int saga_verify(cvm_turn *t, const cvm_msg *m)
{
    char id[33];
    json_t *record = NULL;
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "no transaction with this id in the last 24 hours");
    if (e < 0)
        return e;
    const json_t *before = json_object_get(record, "verifiers");
    if (record_state(record) == TXN_SUCCESS) {
        e = cvm_reply(t, m,
                      json_pack("{s:s, s:s, s:s}", "transaction_id", record_str(record, "transaction_id"), "status",
                                "SUCCESS", "delivery", "delivered"));
        goto out;
    }
    if (json_array_size(before) >= TXN_WAITERS_MAX) {
        e = CVM_EBUSY;
        goto out;
    }
    json_t *verifiers = before ? json_copy((json_t *)(uintptr_t)before) : json_array();
    id_to_text(m->id, id);
    json_array_append_new(verifiers, json_string(id));
    json_object_set_new(record, "verifiers", verifiers);
    if ((e = check_send(t, m, record)) < 0 || (e = record_save(t, json_incref(record))) < 0)
        goto out;
    e = CVM_PENDING;
out:
    json_decref(record);
    return e;
}
