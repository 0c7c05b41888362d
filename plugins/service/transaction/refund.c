/* Money on its way back: the row of every refund, refunds through the provider that took the payment, and what becomes
 * of a customer's claim. Owns the table `refunds` and the record's members about a refund. Loop thread. */
#include "transaction.h"

#define REFUND_TIMEOUT_MS 45000
#define REFUND_AGAIN_MAX_MS INT64_C(3600000)

bool refund_to_source(cvm_turn *t, const json_t *record)
{
    return *record_str(record, "paid_by") &&
           strcmp(cvm_json_str(cvm_settings(t), "refund_to", "wallet"), "source") == 0;
}

static void refund_id(const json_t *record, char ret_id[CVM_SHORT_ID_SIZE])
{
    snprintf(ret_id, CVM_SHORT_ID_SIZE, "REF-%.12s", record_str(record, "transaction_id") + 4);
}

int refund_row(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *status, const char *to)
{
    char id[CVM_SHORT_ID_SIZE], at[TXN_TIME_SIZE], due[TXN_TIME_SIZE];
    int64_t now = cvm_now_ms(t), asked = record_int(record, "refund_ms");
    int64_t due_ms = record_int(record, "refund_due_ms");
    refund_id(record, id);
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "refund_id", id, "transaction_id",
                  record_str(record, "transaction_id"), "customer_id", record_str(record, "customer_id"), "amount_kobo",
                  (json_int_t)record_int(record, "total_kobo"), "refunded_to", to, "status", status, "reason",
                  record_str(record, "error_code"), "requested_at", time_text(asked ? asked : now, at), "due_at",
                  time_text(due_ms ? due_ms : record_int(record, "deadline_ms"), due), "conversation", m->conversation);
    if (row && strcmp(status, "done") == 0)
        json_object_set_new(row, "completed_at", json_string(time_text(now, at)));
    if (!row)
        return CVM_ENOMEM;
    int64_t held = record_int(record, "held_ms");
    if (strcmp(status, "done") == 0 && held)
        CVM_TRY(cvm_metric(t, "refund_seconds", NULL, (double)(now - held) / 1000));
    return cvm_row_put(t, "refunds", row);
}

/* ---- through the provider ---- */

static int ask(cvm_turn *t, const cvm_msg *m, const json_t *record)
{
    char id[CVM_SHORT_ID_SIZE];
    const json_t *payments = json_object_get(record, "payments");
    const json_t *paid = json_array_get(payments, json_array_size(payments) - 1);
    const char *home = record_str(record, "conversation");
    cvm_request_opts opts = {.on_behalf = record_cookie(record_str(record, "transaction_id")),
                             .timeout_ms = REFUND_TIMEOUT_MS};
    if (strcmp(home, m->conversation) != 0)
        opts.conversation = home;
    refund_id(record, id);
    return cvm_request(t, record_str(record, "paid_by"), "refund",
                       json_pack("{s:s, s:I, s:s}", "reference", cvm_json_str(paid, "reference", ""), "amount_kobo",
                                 (json_int_t)record_int(record, "total_kobo"), "refund_reference", id),
                       &opts);
}

int refund_begin(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    int64_t now = cvm_now_ms(t);
    record_move(record, TXN_FAILED);
    record_move(record, TXN_REFUNDING);
    json_object_set_new(record, "refund_ms", json_integer(now));
    json_object_set_new(record, "refund_due_ms",
                        json_integer(now + saga_setting_ms(t, "refund_within_s", 86400) * 1000));
    int e = ask(t, m, record);
    if (e == CVM_ENOENT || e == CVM_EACCES) /* it is gone: the wallet takes the money at once */
        return saga_finish(t, m, record, ENTRY_REFUND);
    CVM_TRY(e);
    CVM_TRY(saga_disarm(t, m, record));
    CVM_TRY(refund_row(t, m, record, "pending", "source"));
    CVM_TRY(record_row(t, record));
    CVM_TRY(answer_waiters(t, record, 0));
    return record_save(t, json_incref(record));
}

/* The same refund is asked for again, under its own reference, so that it is made once. */
static int again(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    int64_t now = cvm_now_ms(t), n = record_int(record, "refund_tries"), delay = 5000;
    for (int64_t i = 0; i < n && delay < REFUND_AGAIN_MAX_MS; i++)
        delay *= 2;
    json_object_set_new(record, "refund_tries", json_integer(n + 1));
    if (now >= record_int(record, "refund_due_ms") && !json_object_get(record, "overdue")) {
        json_object_set_new(record, "overdue", json_true());
        CVM_TRY(flag_row(t, m, "REFUND_OVERDUE", record_str(record, "customer_id"),
                         record_str(record, "transaction_id"), "the provider has not confirmed the refund"));
    }
    CVM_TRY(saga_arm(t, m, record, "refund_due", delay < REFUND_AGAIN_MAX_MS ? delay : REFUND_AGAIN_MAX_MS));
    return record_save(t, json_incref(record));
}

static int refunding(cvm_turn *t, const cvm_msg *m, json_t **ret_record)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (record_state(record) == TXN_REFUNDING)
        *ret_record = record;
    else
        json_decref(record);
    return CVM_OK;
}

int refund_told(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(refunding(t, m, &record));
    if (!record)
        return CVM_OK;
    const char *status = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "status", "unknown") : "unknown";
    int e;
    bool in_doubt = json_object_get(record, "refund_doubt"); /* an earlier try may have given it back */
    if (strcmp(status, "succeeded") == 0)
        e = saga_finish(t, m, record, ENTRY_RETURN);
    else if (strcmp(status, "failed") == 0 || (m->outcome == CVM_REFUSED && !in_doubt)) /* the wallet takes it */
        e = saga_finish(t, m, record, ENTRY_REFUND);
    else {
        if (m->outcome != CVM_BUSY && m->outcome != CVM_REFUSED)
            json_object_set_new(record, "refund_doubt", json_true());
        e = again(t, m, record);
    }
    json_decref(record);
    return e;
}

int refund_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    CVM_TRY(refunding(t, m, &record));
    if (!record)
        return CVM_OK;
    int e = ask(t, m, record);
    if (e == CVM_ENOENT || e == CVM_EACCES) /* the provider is away, and what it did before is not known */
        e = again(t, m, record);
    json_decref(record);
    return e;
}

/* ---- operation refund_transaction: what failed is refunded by itself, so this says what became of the money ---- */

static int refused(cvm_turn *t, const cvm_msg *m, cvm_id request, const char *rule, const char *message, bool handoff)
{
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", rule, "because", message)));
    (void)m;
    return cvm_settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s, s:b}", "code", rule, "field", "transaction_id", "message", message,
                                "handoff", handoff),
                      NULL);
}

static json_t *reply_body(const json_t *record, const char *status, const char *when, int64_t at_ms)
{
    char at[TXN_TIME_SIZE];
    return json_pack("{s:s, s:s, s:o, s:s}", "transaction_id", record_str(record, "transaction_id"), "status", status,
                     "amount", cvm_money_to_json(record_int(record, "total_kobo")), when, time_text(at_ms, at));
}

int refund_asked(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "transaction_id", ""), *customer = cvm_json_str(m->data, "customer", "");
    int64_t window_ms = saga_setting_ms(t, "refund_window_hours", 24) * 3600000, age;
    json_t *record = NULL;
    int e = record_load(t, id, &record);
    if (e == CVM_ENOENT && record_id_valid(id)) { /* older than what is remembered: the table knows whether it was */
        CVM_TRY(cvm_request(t, TXN_SELF, "find_transaction",
                            json_pack("{s:s, s:s*}", "transaction_id", id, "customer", *customer ? customer : NULL),
                            &(cvm_request_opts){.on_behalf = m->id}));
        return CVM_PENDING;
    }
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!record || (*customer && strcmp(customer, record_str(record, "customer_id")) != 0)) {
        json_decref(record);
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "no transaction with this id");
    }
    age = cvm_now_ms(t) - record_int(record, "initiated_ms");
    switch (record_state(record)) {
    case TXN_SUCCESS:
        e = age > window_ms ? refused(t, m, m->id, "REFUND_WINDOW",
                                      "It is older than 24 hours; later claims are for a colleague.", true)
                            : refused(t, m, m->id, "DELIVERED",
                                      "It was delivered, so only a colleague can decide about a refund.", true);
        break;
    case TXN_CANCELLED:
        e = refused(t, m, m->id, "NOTHING_TAKEN", "It ended before anything was taken.", false);
        break;
    case TXN_REFUNDED:
        e = cvm_reply(t, m, reply_body(record, "REFUNDED", "refunded_at", record_int(record, "completed_ms")));
        break;
    case TXN_REFUNDING:
        e = cvm_reply(t, m, reply_body(record, "PENDING", "refunded_by", record_int(record, "refund_due_ms")));
        break;
    case TXN_DELIVERING:
    case TXN_PENDING:
    case TXN_PARKED:
    case TXN_HELD:
        e = cvm_reply(t, m, reply_body(record, "PENDING", "refunded_by", record_int(record, "deadline_ms")));
        break;
    default:
        e = refused(t, m, m->id, "NOTHING_TAKEN", "Nothing has been taken for it yet.", false);
        break;
    }
    json_decref(record);
    return e;
}

/* ---- operation settle_refund: the provider's own books tell a human what it does not tell us ---- */

int refund_settled_by(cvm_turn *t, const cvm_msg *m)
{
    bool to_source = strcmp(cvm_json_str(m->data, "went_to", ""), "source") == 0;
    char text[96];
    json_t *record = NULL;
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "no transaction with this id waits for a refund");
    CVM_TRY(e);
    if (record_state(record) != TXN_REFUNDING) {
        snprintf(text, sizeof text, "no refund is open; its status is %s", txn_status(record_state(record)));
        json_decref(record);
        return cvm_refuse(t, "NOT_WAITING", "transaction_id", text);
    }
    e = cvm_note(t, "decision",
                 json_pack("{s:s, s:s, s:s, s:s, s:s*}", "chose", "refund settled by hand", "went_to",
                           to_source ? "source" : "wallet", "by", cvm_json_str(m->data, "by", ""), "transaction_id",
                           record_str(record, "transaction_id"), "because", cvm_json_str(m->data, "note", NULL)));
    if (e >= 0)
        e = saga_finish(t, m, record, to_source ? ENTRY_RETURN : ENTRY_REFUND);
    if (e >= 0)
        e = cvm_reply(t, m, reply_body(record, "REFUNDED", "refunded_at", record_int(record, "completed_ms")));
    json_decref(record);
    return e;
}

int refund_found(cvm_turn *t, const cvm_msg *m)
{
    const char *status = cvm_json_str(m->data, "status", "");
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    if (strcmp(status, "REFUNDED") == 0)
        return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                          json_pack("{s:s, s:s, s:O, s:s}", "transaction_id",
                                    cvm_json_str(m->data, "transaction_id", ""), "status", "REFUNDED", "amount",
                                    json_object_get(m->data, "total_amount"), "refunded_at",
                                    cvm_json_str(m->data, "completed_at", "")),
                          NULL);
    return refused(t, m, m->on_behalf, "REFUND_WINDOW", "It is older than 24 hours; later claims are for a colleague.",
                   true);
}
