/* The code that a customer confirms a large purchase with. Owns the table `otp_challenges` and what of a record is
 * about the code. Only a keyed hash of the code is kept; the code itself leaves sealed, in a message to the component
 * that sends it, so that neither the journal nor `why` can show it. Loop thread. */
#include "../common/phone.h"
#include "../common/seal.h"
#include "transaction.h"

#define OTP_KEY "OTP_KEY"
#define GUESSED_MAX 3 /* purchases that ended by wrong codes, within a day */

bool otp_possible(cvm_turn *t)
{
    const char *key;
    return component_loaded(t, TELL_COMPONENT) && cvm_secret(t, OTP_KEY, &key) == CVM_OK && *key;
}

static int hash_code(cvm_turn *t, const char *challenge, const char *code, char ret_hash[65])
{
    const char *key = NULL;
    uint8_t mac[32];
    char text[96];
    CVM_TRY(cvm_secret(t, OTP_KEY, &key));
    int n = snprintf(text, sizeof text, "code|%.40s|%.16s", challenge, code);
    CVM_TRY(t->host->hmac_sha256(t, key, strlen(key), text, (size_t)n, mac));
    for (size_t i = 0; i < sizeof mac; i++)
        snprintf(ret_hash + 2 * i, 3, "%02x", mac[i]);
    return CVM_OK;
}

/* Six digits that follow from the key and the turn, and are known to nobody without the key. */
static int new_code(cvm_turn *t, const char *challenge, int64_t n, char ret_code[7])
{
    const char *key = NULL;
    uint8_t mac[32];
    char text[128];
    uint64_t value = 0;
    CVM_TRY(cvm_secret(t, OTP_KEY, &key));
    int len = snprintf(text, sizeof text, "new|%.40s|%lld|%016llx", challenge, (long long)n,
                       (unsigned long long)cvm_random(t));
    CVM_TRY(t->host->hmac_sha256(t, key, strlen(key), text, (size_t)len, mac));
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | mac[i];
    snprintf(ret_code, 7, "%06llu", (unsigned long long)(value % 1000000));
    return CVM_OK;
}

static int challenge_row(cvm_turn *t, const json_t *record, const char *status)
{
    char made[TXN_TIME_SIZE], ends[TXN_TIME_SIZE];
    const json_t *otp = json_object_get(record, "otp");
    return cvm_row_put(
        t, "otp_challenges",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "challenge_id", cvm_json_str(otp, "id", ""),
                  "transaction_id", record_str(record, "transaction_id"), "customer_id",
                  record_str(record, "customer_id"), "code_hash", cvm_json_str(otp, "hash", ""), "status", status,
                  "tries", (json_int_t)cvm_json_int(otp, "tries", 0), "sent", (json_int_t)cvm_json_int(otp, "sent", 0),
                  "created_at", time_text(cvm_json_int(otp, "sent_ms", 0), made), "expires_at",
                  time_text(cvm_json_int(otp, "ends_ms", 0), ends), "conversation",
                  record_str(record, "conversation")));
}

/* Makes a code and sends it; the record's challenge is as it was but for the code, its times and how often it was sent.
 */
static int send_code(cvm_turn *t, const json_t *account, json_t *record)
{
    char code[7], hash[65], sealed[13], text[200], total[32];
    const char *key = NULL, *challenge = cvm_json_str(json_object_get(record, "otp"), "id", "");
    int64_t now = cvm_now_ms(t), valid_s = saga_setting_ms(t, "code_valid_s", 300);
    json_t *otp = json_copy(json_object_get(record, "otp"));
    int64_t n = cvm_json_int(otp, "sent", 0) + 1;
    int e = new_code(t, challenge, n, code);
    if (e < 0 || (e = hash_code(t, challenge, code, hash)) < 0 || (e = cvm_secret(t, OTP_KEY, &key)) < 0 ||
        (e = seal_code(t, key, challenge, n, code, sealed)) < 0) {
        json_decref(otp);
        return e;
    }
    memset(code, 0, sizeof code);
    json_object_set_new(otp, "hash", json_string(hash));
    json_object_set_new(otp, "sent", json_integer(n)); /* the tries go on: a new code is no new chance to guess */
    json_object_set_new(otp, "sent_ms", json_integer(now));
    json_object_set_new(otp, "ends_ms", json_integer(now + valid_s * 1000));
    json_object_set_new(record, "otp", otp);
    cvm_money_text(record_int(record, "total_kobo"), total, sizeof total);
    snprintf(text, sizeof text,
             "{code} is your code to confirm a purchase of NGN %s. It is valid for %lld minutes. Give it to nobody.",
             total, (long long)((valid_s + 59) / 60));
    CVM_TRY(tell_customer(t, record_str(record, "customer_id"), cvm_json_str(account, "phone", ""), "confirmation_code",
                          text,
                          json_pack("{s:s, s:s, s:s, s:I}", "transaction_id", record_str(record, "transaction_id"),
                                    "sealed_code", sealed, "challenge_id", challenge, "number", (json_int_t)n)));
    return challenge_row(t, record, "sent");
}

int otp_begin(cvm_turn *t, const cvm_msg *m, const json_t *account, json_t *record)
{
    char id[CVM_SHORT_ID_SIZE];
    (void)m;
    CVM_TRY(cvm_new_id(t, "OTP", id));
    json_object_set_new(record, "otp", json_pack("{s:s, s:i, s:i}", "id", id, "sent", 0, "tries", 0));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "ask for a code", "because", "two_factor_above",
                               "transaction_id", record_str(record, "transaction_id"))));
    return send_code(t, account, record);
}

static int challenged(cvm_turn *t, const cvm_msg *m, json_t **ret_record)
{
    json_t *record = NULL;
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!record || record_state(record) != TXN_CHALLENGED) {
        json_decref(record);
        return cvm_refuse(t, "NOT_WAITING", "transaction_id", "no transaction with this id waits for a code");
    }
    *ret_record = record;
    return CVM_OK;
}

/* Compares without telling by the time where they differ. */
static bool same(const char *a, const char *b)
{
    unsigned char differs = strlen(a) != strlen(b);
    for (size_t i = 0; !differs && a[i]; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return !differs;
}

/* One more purchase of this customer that ended by wrong codes; see otp_guessed. */
static int count_guessed(cvm_turn *t, const json_t *record)
{
    json_t *account = NULL;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_EDATA : e;
    int64_t now = cvm_now_ms(t), n = cvm_json_int(account, "guessed_ms", 0) > now - TXN_DAY_MS;
    json_object_set_new(account, "guessed", json_integer(n * cvm_json_int(account, "guessed", 0) + 1));
    json_object_set_new(account, "guessed_ms", json_integer(now));
    return account_save(t, account);
}

bool otp_guessed(cvm_turn *t, const json_t *account)
{
    return cvm_json_int(account, "guessed", 0) >= GUESSED_MAX &&
           cvm_json_int(account, "guessed_ms", 0) > cvm_now_ms(t) - TXN_DAY_MS;
}

static int wrong(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    enum cvm_outcome outcome;
    char text[96];
    json_t *otp = json_copy(json_object_get(record, "otp"));
    int64_t tries = cvm_json_int(otp, "tries", 0) + 1, most = saga_setting_ms(t, "code_tries", 3);
    json_object_set_new(otp, "tries", json_integer(tries));
    json_object_set_new(record, "otp", otp);
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:I}", "rule", "CODE_WRONG", "tries", (json_int_t)tries)));
    CVM_TRY(challenge_row(t, record, tries < most ? "sent" : "failed"));
    if (tries >= most) {
        CVM_TRY(gate_cancel(t, m, record, "CODE_WRONG", "The code was wrong too often."));
        CVM_TRY(count_guessed(t, record));
        json_t *body = answer_public(record, &outcome);
        return cvm_settle(t, m->id, CVM_REFUSED, body, NULL);
    }
    snprintf(text, sizeof text, "That is not the code that was sent. %lld more %s.", (long long)(most - tries),
             most - tries == 1 ? "try" : "tries");
    CVM_TRY(record_save(t, json_incref(record)));
    return cvm_settle(t, m->id, CVM_REFUSED,
                      json_pack("{s:b, s:s, s:s, s:s, s:I, s:s}", "success", 0, "code", "CODE_WRONG", "field", "code",
                                "message", text, "tries_left", (json_int_t)(most - tries), "transaction_id",
                                record_str(record, "transaction_id")),
                      NULL);
}

int otp_confirm(cvm_turn *t, const cvm_msg *m)
{
    char hash[65];
    json_t *record = NULL, *account = NULL;
    CVM_TRY(challenged(t, m, &record));
    const json_t *otp = json_object_get(record, "otp");
    int e;
    if (cvm_json_int(otp, "ends_ms", 0) <= cvm_now_ms(t)) { /* its timer may be late, after the host was down */
        enum cvm_outcome outcome;
        e = gate_cancel(t, m, record, "CODE_EXPIRED", "The code was not confirmed in time.");
        if (e >= 0)
            e = cvm_settle(t, m->id, CVM_REFUSED, answer_public(record, &outcome), NULL);
        goto out;
    }
    if ((e = hash_code(t, cvm_json_str(otp, "id", ""), cvm_json_str(m->data, "code", ""), hash)) < 0)
        goto out;
    if (!same(hash, cvm_json_str(otp, "hash", ""))) {
        e = wrong(t, m, record);
        goto out;
    }
    if ((e = account_find(t, record_str(record, "customer_id"), "", &account)) < 0)
        goto out;
    json_object_set_new(record, "confirmed_ms", json_integer(cvm_now_ms(t)));
    if ((e = challenge_row(t, record, "confirmed")) < 0 ||
        (e = cvm_note(t, "decision",
                      json_pack("{s:s, s:s}", "chose", "confirmed", "transaction_id",
                                record_str(record, "transaction_id")))) < 0 ||
        (e = saga_wait(record, m, ASKER_PUBLIC, false)) < 0 || (e = gate_advance(t, m, account, record)) < 0)
        goto out;
    e = CVM_PENDING;
out:
    json_decref(account);
    json_decref(record);
    return e;
}

int otp_resend(cvm_turn *t, const cvm_msg *m)
{
    char text[96];
    json_t *record = NULL, *account = NULL;
    enum cvm_outcome outcome;
    CVM_TRY(challenged(t, m, &record));
    const json_t *otp = json_object_get(record, "otp");
    int64_t sent = cvm_json_int(otp, "sent", 0), wait_s = saga_setting_ms(t, "code_resend_after_s", 60);
    int64_t left_ms = cvm_json_int(otp, "sent_ms", 0) + wait_s * 1000 - cvm_now_ms(t);
    int e;
    if (sent > saga_setting_ms(t, "code_resends", 3)) {
        e = cvm_refuse(t, "RESEND_LIMIT", "transaction_id", "the code was sent as often as it may be");
    } else if (left_ms > 0) {
        snprintf(text, sizeof text, "a new code can be sent in %lld seconds", (long long)((left_ms + 999) / 1000));
        e = cvm_refuse(t, "RESEND_TOO_SOON", "transaction_id", text);
    } else if ((e = account_find(t, record_str(record, "customer_id"), "", &account)) >= 0 &&
               (e = send_code(t, account, record)) >= 0 &&
               (e = saga_arm(t, m, record, "gate_due", saga_setting_ms(t, "code_valid_s", 300) * 1000)) >= 0 &&
               (e = record_save(t, json_incref(record))) >= 0) {
        e = cvm_reply(t, m, answer_public(record, &outcome));
    }
    json_decref(account);
    json_decref(record);
    return e;
}
