/* What a purchase waits for before its money moves: the customer's code, a human's word, a payment. Each gate is a
 * state of the record; whoever asked is told at once that it waits, and what ends the wait is another turn, at the
 * latest the timer `gate_due`. Nothing is held or charged until the last gate is passed. Loop thread. */
#include "transaction.h"

static int64_t held_back(const json_t *account)
{
    return cvm_json_int(account, "held_back", 0);
}

static int count_held_back(cvm_turn *t, const json_t *record, int change)
{
    json_t *account = NULL;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t n = held_back(account) + change;
    if (n > 0)
        json_object_set_new(account, "held_back", json_integer(n));
    else
        json_object_del(account, "held_back");
    e = account_save(t, json_incref(account));
    json_decref(account);
    return e;
}

/* Whoever waits is told how it stands; the record is saved. */
static int wait_here(cvm_turn *t, const cvm_msg *m, json_t *record, int64_t at_most_ms)
{
    CVM_TRY(saga_arm(t, m, record, "gate_due", at_most_ms));
    CVM_TRY(record_row(t, record));
    CVM_TRY(answer_waiters(t, record, 0));
    return record_save(t, json_incref(record));
}

/* ---- a human's word ---- */

static int ask_human(cvm_turn *t, const cvm_msg *m, const json_t *record)
{
    char summary[400], total[32], reason[160];
    const char *id = record_str(record, "transaction_id"), *why = record_str(record, "held_for");
    bool approval = strcmp(why, "APPROVAL") == 0;
    cvm_money_text(record_int(record, "total_kobo"), total, sizeof total);
    snprintf(reason, sizeof reason, approval ? "a purchase of NGN %s needs approval" : "NGN %s held by the rule %s",
             total, why);
    snprintf(summary, sizeof summary, "%s: %s %s, %s. Decide with: cvmhost transaction approve|reject %s --by NAME", id,
             record_str(record, "service_type"), record_str(record, "network_or_disco"), reason, id);
    if (!component_loaded(t, "service.escalation")) /* it is seen in the list of transactions all the same */
        return CVM_OK;
    return cvm_request(t, "service.escalation", "create_handoff",
                       json_pack("{s:s, s:s, s:[{s:s, s:s, s:s}], s:s, s:{s:s, s:s, s:s}}", "customer_id",
                                 record_str(record, "customer_id"), "priority", "HIGH", "reasons", "rule",
                                 approval ? "transaction_amount_threshold" : "fraud_check", "reason", reason, "queue",
                                 "transactions", "summary", summary, "context", "transaction_id", id,
                                 "transaction_status", "PENDING", "service_domain", record_str(record, "service_type")),
                       &(cvm_request_opts){.on_behalf = record_cookie(id)});
}

/* The case is over with the decision: it is claimed for whoever decided, then resolved. */
static int close_handoff(cvm_turn *t, const json_t *record)
{
    const char *handoff = record_str(record, "handoff_id"), *by = record_str(record, "decided_by");
    if (!*handoff)
        return CVM_OK;
    int e = cvm_request(
        t, "service.escalation", "claim_handoff",
        json_pack("{s:s, s:s}", "handoff_id", handoff, "by", *by ? by : TXN_SELF),
        &(cvm_request_opts){.on_behalf = record_cookie(record_str(record, "transaction_id")), .conversation = handoff});
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* Whoever has it by now. */
int gate_claimed(cvm_turn *t, const cvm_msg *m)
{
    char note[200];
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    snprintf(note, sizeof note, "The purchase %.16s was %s.", record_str(record, "transaction_id"),
             json_object_get(record, "approved_ms") ? "approved" : "not approved; nothing was charged");
    e = cvm_request(t, "service.escalation", "resolve_handoff",
                    json_pack("{s:s, s:s}", "handoff_id", record_str(record, "handoff_id"), "note", note),
                    &(cvm_request_opts){.on_behalf = m->on_behalf});
    json_decref(record);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int gate_resolved(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_OK; /* refused where a human resolved it before */
}

int gate_handoff(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0 || m->outcome != CVM_REPLIED) {
        json_decref(record);
        return e == CVM_ENOENT || e == CVM_OK ? CVM_OK : e;
    }
    json_object_set_new(record, "handoff_id", json_string(cvm_json_str(m->data, "handoff_id", "")));
    e = txn_is_final(record_state(record)) ? CVM_OK : record_row(t, record);
    if (e >= 0 && record_state(record) != TXN_REVIEW) /* decided before */
        e = close_handoff(t, record);
    if (e >= 0)
        e = record_save(t, json_incref(record));
    json_decref(record);
    return e;
}

static int review_begin(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record)
{
    json_object_set_new(account, "held_back", json_integer(held_back(account) + 1));
    CVM_TRY(account_save(t, json_incref(account)));
    record_move(record, TXN_REVIEW);
    CVM_TRY(
        cvm_note(t, "decision",
                 json_pack("{s:s, s:s, s:s}", "chose", "wait for a human", "because", record_str(record, "held_for"),
                           "transaction_id", record_str(record, "transaction_id"))));
    CVM_TRY(ask_human(t, m, record));
    return wait_here(t, m, record, saga_setting_ms(t, "approve_within_s", 86400) * 1000);
}

/* ---- on through the gates ---- */

int gate_advance(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record)
{
    if (cvm_json_bool(record, "needs_code", false) && !json_object_get(record, "confirmed_ms")) {
        CVM_TRY(account_save(t, json_incref(account)));
        record_move(record, TXN_CHALLENGED);
        CVM_TRY(otp_begin(t, m, account, record));
        return wait_here(t, m, record, saga_setting_ms(t, "code_valid_s", 300) * 1000);
    }
    if (*record_str(record, "held_for") && !json_object_get(record, "approved_ms"))
        return review_begin(t, m, account, record);
    return pay_begin(t, m, account, record);
}

int gate_cancel(cvm_turn *t, const cvm_msg *m, json_t *record, const char *rule, const char *message)
{
    json_t *account = NULL;
    if (record_state(record) == TXN_REVIEW && !json_object_get(record, "approved_ms")) {
        CVM_TRY(count_held_back(t, record, -1));
        CVM_TRY(close_handoff(t, record));
    }
    CVM_TRY(saga_disarm(t, m, record));
    record_move(record, TXN_CANCELLED);
    set_message(record, "error_code", rule);
    set_message(record, "rule", rule);
    set_message(record, "message", message);
    json_object_set_new(record, "completed_ms", json_integer(cvm_now_ms(t)));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "FAILED", "because", rule, "transaction_id",
                               record_str(record, "transaction_id"))));
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_EDATA : e;
    int64_t failures = account_count_failure(account, record_str(record, "session_id"));
    if ((e = fraud_count(t, m, account, record, false)) < 0)
        goto out;
    if ((e = account_save(t, json_incref(account))) < 0 ||
        (!json_object_get(record, "waiters") && (e = tell_ending(t, account, record)) < 0))
        goto out;
    if ((e = cvm_metric(t, "transactions_total", txn_status(TXN_CANCELLED), 1)) >= 0 &&
        (e = record_row(t, record)) >= 0 && (e = answer_waiters(t, record, failures)) >= 0)
        e = record_save(t, json_incref(record));
out:
    json_decref(account);
    return e;
}

int gate_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    switch (record_state(record)) {
    case TXN_CHALLENGED:
        e = gate_cancel(t, m, record, "CODE_EXPIRED", "The code was not confirmed in time.");
        break;
    case TXN_REVIEW:
        e = gate_cancel(t, m, record, "NOT_APPROVED", "Nobody approved it in time.");
        break;
    case TXN_PAYING:
        e = pay_late(t, m, record);
        break;
    default:
        break;
    }
    json_decref(record);
    return e;
}

/* ---- operations approve_transaction, reject_transaction ---- */

static int reviewed(cvm_turn *t, const cvm_msg *m, json_t **ret_record)
{
    char text[96];
    json_t *record = NULL;
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "no transaction with this id waits for a decision");
    if (e < 0)
        return e;
    if (record_state(record) != TXN_REVIEW) {
        snprintf(text, sizeof text, "it does not wait for a decision; its status is %s",
                 txn_status(record_state(record)));
        json_decref(record);
        return cvm_refuse(t, "NOT_WAITING", "transaction_id", text);
    }
    json_object_set_new(record, "decided_by", json_string(cvm_json_str(m->data, "by", "")));
    *ret_record = record;
    return CVM_OK;
}

static int note_decision(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *what)
{
    return cvm_note(t, "decision",
                    json_pack("{s:s, s:s, s:s, s:s*}", "chose", what, "by", cvm_json_str(m->data, "by", ""),
                              "transaction_id", record_str(record, "transaction_id"), "because",
                              cvm_json_str(m->data, "note", NULL)));
}

int gate_approve(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL, *account = NULL;
    CVM_TRY(reviewed(t, m, &record));
    int e = note_decision(t, m, record, "approved");
    if (e < 0 || (e = account_find(t, record_str(record, "customer_id"), "", &account)) < 0)
        goto out;
    json_object_set_new(account, "held_back", json_integer(held_back(account) > 0 ? held_back(account) - 1 : 0));
    json_object_set_new(record, "approved_ms", json_integer(cvm_now_ms(t)));
    if ((e = close_handoff(t, record)) >= 0 && (e = saga_wait(record, m, ASKER_PUBLIC, false)) >= 0 &&
        (e = gate_advance(t, m, account, record)) >= 0)
        e = CVM_PENDING;
out:
    json_decref(account);
    json_decref(record);
    return e;
}

int gate_reject(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    enum cvm_outcome outcome;
    CVM_TRY(reviewed(t, m, &record));
    int e = note_decision(t, m, record, "rejected");
    if (e >= 0)
        e = gate_cancel(t, m, record, "REJECTED", "A colleague did not approve the purchase.");
    if (e >= 0)
        e = cvm_reply(t, m, answer_public(record, &outcome));
    json_decref(record);
    return e;
}
