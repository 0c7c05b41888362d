/* How a purchase is paid when its gates are passed: from the wallet, else by a stored authorisation, else by a link
 * that the customer follows. Providers are asked one after the other, the next one only when the one before certainly
 * took nothing; an outcome that is not known is asked for, at the same provider, until the time to pay is over. What is
 * paid is booked into the wallet and held in the same turn. Owns the record's member `pay`. Loop thread. */
#include "transaction.h"
#include <stdlib.h>

#define CHARGE_TIMEOUT_MS 45000
#define VERIFY_TIMEOUT_MS 20000

static const char *pay_str(const json_t *record, const char *key)
{
    return cvm_json_str(json_object_get(record, "pay"), key, "");
}

static int64_t pay_int(const json_t *record, const char *key)
{
    return cvm_json_int(json_object_get(record, "pay"), key, 0);
}

static void pay_set(json_t *record, const char *key, json_t *value)
{
    json_t *pay = json_copy(json_object_get(record, "pay"));
    if (!pay)
        pay = json_object();
    json_object_set_new(pay, key, value);
    json_object_set_new(record, "pay", pay);
}

/* Whom the attempt of a reference was made with, "TXN-…-P2" being the second. "" where it is none of ours. */
static const char *provider_of(const json_t *record, const char *reference)
{
    const char *end = strrchr(reference, 'P');
    long n = end ? strtol(end + 1, NULL, 10) : 0;
    const char *id = json_string_value(
        json_array_get(json_object_get(json_object_get(record, "pay"), "tried"), n > 0 ? (size_t)n - 1 : SIZE_MAX));
    return id ? id : "";
}

bool pay_by_provider(cvm_turn *t)
{
    const json_t *order = json_object_get(cvm_settings(t), "payment_order");
    if (!cvm_json_bool(cvm_settings(t), "gateway_payments", false))
        return false;
    for (size_t i = 0; i < json_array_size(order); i++)
        if (json_is_string(json_array_get(order, i)) &&
            component_loaded(t, json_string_value(json_array_get(order, i))))
            return true;
    return false;
}

/* Those of the order that are loaded and, where `authorizations` is given, hold one of the customer's. Gives. */
static json_t *providers(cvm_turn *t, const json_t *authorizations, bool all)
{
    const json_t *order = json_object_get(cvm_settings(t), "payment_order");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(order); i++) {
        const char *id = json_string_value(json_array_get(order, i));
        if (id && component_loaded(t, id) && (all || json_object_get(authorizations, id)))
            json_array_append_new(list, json_string(id));
    }
    return list;
}

/* ---- asking a provider ---- */

static void email_of(cvm_turn *t, const json_t *account, const json_t *authorization, char *ret_email, size_t size)
{
    const char *known = cvm_json_str(authorization, "email", "");
    if (*known)
        snprintf(ret_email, size, "%.120s", known);
    else
        snprintf(ret_email, size, "%.64s@%.60s", cvm_json_str(account, "customer_id", ""),
                 cvm_json_str(cvm_settings(t), "payer_email_domain", "customers.invalid"));
}

static int send(cvm_turn *t, const cvm_msg *m, const json_t *record, const char *type, json_t *data, int64_t timeout_ms)
{
    const char *id = record_str(record, "transaction_id"), *home = record_str(record, "conversation");
    cvm_request_opts opts = {.on_behalf = record_cookie_n(id, pay_int(record, "n")), .timeout_ms = timeout_ms};
    if (strcmp(home, m->conversation) != 0) /* the answer may settle a step of that conversation */
        opts.conversation = home;
    return cvm_request(t, pay_str(record, "provider"), type, data, &opts);
}

static int ask_provider(cvm_turn *t, const cvm_msg *m, const json_t *account, const json_t *record)
{
    const char *provider = pay_str(record, "provider"), *reference = pay_str(record, "reference");
    const json_t *authorization = json_object_get(json_object_get(account, "authorizations"), provider);
    json_int_t total = (json_int_t)record_int(record, "total_kobo");
    char email[200], ends[TXN_TIME_SIZE];
    email_of(t, account, authorization, email, sizeof email);
    if (strcmp(pay_str(record, "method"), "link") == 0)
        return send(t, m, record, "link",
                    json_pack("{s:s, s:I, s:s, s:s}", "reference", reference, "amount_kobo", total, "email", email,
                              "expires_at", time_text(pay_int(record, "ends_ms"), ends)),
                    CHARGE_TIMEOUT_MS);
    return send(t, m, record, "charge",
                json_pack("{s:s, s:I, s:s, s:s, s:s}", "reference", reference, "amount_kobo", total, "currency", "NGN",
                          "authorization", cvm_json_str(authorization, "code", ""), "email", email),
                CHARGE_TIMEOUT_MS);
}

/* The next provider of the list is asked, under a reference of its own. CVM_ENOENT: there is none left. */
static int try_next(cvm_turn *t, const cvm_msg *m, const json_t *account, json_t *record)
{
    char reference[40];
    json_t *left = json_copy(json_object_get(json_object_get(record, "pay"), "left"));
    const char *provider = json_string_value(json_array_get(left, 0));
    int64_t n = pay_int(record, "n") + 1;
    if (!provider) {
        json_decref(left);
        return CVM_ENOENT;
    }
    snprintf(reference, sizeof reference, "%s-P%lld", record_str(record, "transaction_id"), (long long)n);
    pay_set(record, "provider", json_string(provider));
    pay_set(record, "reference", json_string(reference));
    pay_set(record, "n", json_integer(n));
    pay_set(record, "checks", json_integer(0));
    json_t *tried = record_list(json_object_get(record, "pay"), "tried");
    json_array_append_new(tried, json_string(provider));
    pay_set(record, "tried", tried);
    json_array_remove(left, 0);
    pay_set(record, "left", left);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s, s:s, s:s}", "chose", "pay", "method", pay_str(record, "method"),
                               "provider", pay_str(record, "provider"), "reference", reference, "transaction_id",
                               record_str(record, "transaction_id"))));
    return ask_provider(t, m, account, record);
}

/* Goes over to a link; CVM_ENOENT: nobody offers one. */
static int try_links(cvm_turn *t, const cvm_msg *m, const json_t *account, json_t *record)
{
    int64_t valid_ms = saga_setting_ms(t, "link_valid_s", 1800) * 1000;
    pay_set(record, "method", json_string("link"));
    pay_set(record, "ends_ms", json_integer(cvm_now_ms(t) + valid_ms));
    pay_set(record, "left", providers(t, NULL, true));
    return try_next(t, m, account, record);
}

int pay_begin(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record)
{
    struct figures f;
    account_figures(account, &f);
    if (f.balance >= record_int(record, "total_kobo"))
        return saga_hold(t, m, account, record);
    CVM_TRY(account_save(t, json_incref(account)));
    if (!pay_by_provider(t))
        return gate_cancel(t, m, record, "INSUFFICIENT_FUNDS", "The wallet does not hold enough any more.");
    int64_t now = cvm_now_ms(t), answer_ms = saga_setting_ms(t, "answer_within_ms", 32000);
    json_t *left = providers(t, json_object_get(account, "authorizations"), false);
    record_move(record, TXN_PAYING);
    json_object_set_new(record, "pay",
                        json_pack("{s:s, s:i, s:o, s:I}", "method", "authorization", "n", 0, "left", left, "ends_ms",
                                  (json_int_t)(now + saga_setting_ms(t, "charge_timeout_s", 300) * 1000)));
    int e = try_next(t, m, account, record);
    if (e == CVM_ENOENT)
        e = try_links(t, m, account, record);
    if (e == CVM_ENOENT)
        return gate_cancel(t, m, record, "INSUFFICIENT_FUNDS", "There is no way to pay for it at the moment.");
    CVM_TRY(e);
    CVM_TRY(saga_arm(t, m, record, "answer_due", answer_ms));
    CVM_TRY(record_row(t, record));
    return record_save(t, json_incref(record));
}

int pay_next(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    json_t *account = NULL;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_EDATA : e;
    e = try_next(t, m, account, record);
    if (e == CVM_ENOENT && strcmp(pay_str(record, "method"), "link") != 0)
        e = try_links(t, m, account, record);
    json_decref(account);
    if (e == CVM_ENOENT)
        return gate_cancel(t, m, record, "PAYMENT_UNAVAILABLE", "No payment provider can be reached at the moment.");
    return e < 0 ? e : record_save(t, json_incref(record));
}

/* ---- what is not known is asked for ---- */

int pay_verify(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    return send(t, m, record, "verify", json_pack("{s:s}", "reference", pay_str(record, "reference")),
                VERIFY_TIMEOUT_MS);
}

static int verify_later(cvm_turn *t, json_t *record)
{
    static const int64_t after_ms[] = {2000, 5000, 10000, 20000, 40000, 60000};
    int64_t n = pay_int(record, "checks");
    pay_set(record, "checks", json_integer(n + 1));
    return cvm_timer(t, "pay_check_due", after_ms[n < 6 ? n : 5], NULL,
                     record_cookie_n(record_str(record, "transaction_id"), pay_int(record, "n")), NULL);
}

/* It was given up, and may have been paid all the same: asked for by and by, further and further apart, as long as the
 * transaction is remembered. Changes the record. */
static int look_again(cvm_turn *t, json_t *record)
{
    int64_t n = pay_int(record, "looks"), after_ms = saga_look_after_ms(t, n);
    if (!after_ms)
        return CVM_OK;
    pay_set(record, "looks", json_integer(n + 1));
    return cvm_timer(t, "pay_check_due", after_ms, NULL,
                     record_cookie_n(record_str(record, "transaction_id"), TXN_PROBE), NULL);
}

int pay_check_due(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t n = record_cookie_number(m->on_behalf); /* after the end it is asked once more, for money that came late */
    if (n == TXN_PROBE || (record_state(record) == TXN_PAYING && n == pay_int(record, "n")))
        e = pay_verify(t, m, record);
    if ((e == CVM_ENOENT || e == CVM_EACCES) &&
        (e = n == TXN_PROBE ? look_again(t, record) : verify_later(t, record)) >= 0)
        e = record_save(t, json_incref(record)); /* the provider is away: it may be back */
    json_decref(record);
    return e;
}

int pay_late(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    if (!json_object_get(json_object_get(record, "pay"), "last_look")) { /* one question more before it is given up */
        pay_set(record, "last_look", json_true());
        int e = pay_verify(t, m, record);
        if (e < 0 && e != CVM_ENOENT && e != CVM_EACCES) /* a provider that is gone cannot be asked */
            return e;
        CVM_TRY(saga_arm(t, m, record, "gate_due", VERIFY_TIMEOUT_MS + 5000));
        return record_save(t, json_incref(record));
    }
    bool link = strcmp(pay_str(record, "method"), "link") == 0;
    CVM_TRY(look_again(t, record));
    return gate_cancel(t, m, record, link ? "PAYMENT_EXPIRED" : "PAYMENT_TIMEOUT",
                       link ? "It was not paid in time." : "The payment was not confirmed in time.");
}

/* ---- money has come ---- */

static bool is_known(const json_t *record, const char *reference)
{
    const json_t *list = json_object_get(record, "payments"), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       one) if (strcmp(cvm_json_str(one, "reference", ""), reference) == 0) return true;
    return false;
}

static void keep_authorization(cvm_turn *t, json_t *account, const char *provider, const json_t *told)
{
    const char *code = cvm_json_str(told, "authorization", "");
    if (!*code || !cvm_json_bool(cvm_settings(t), "keep_authorizations", false))
        return;
    json_t *all = json_copy(json_object_get(account, "authorizations"));
    if (!all)
        all = json_object();
    json_object_set_new(all, provider,
                        json_pack("{s:s, s:s*}", "code", code, "email", cvm_json_str(told, "email", NULL)));
    json_object_set_new(account, "authorizations", all);
}

/* Books a payment once. It pays for the purchase if that still waits for it; else it stays in the wallet, and a human
 * is told. */
static int received(cvm_turn *t, const cvm_msg *m, json_t *record, const char *provider, const char *reference,
                    int64_t kobo, const json_t *told)
{
    const char *id = record_str(record, "transaction_id");
    int64_t total = record_int(record, "total_kobo");
    struct figures f;
    json_t *account = NULL, *payments;
    if (is_known(record, reference))
        return CVM_OK;
    int e = account_find(t, record_str(record, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_EDATA : e;
    payments = record_list(record, "payments");
    json_array_append_new(payments, json_pack("{s:s, s:s, s:I}", "reference", reference, "provider", provider,
                                              "amount_kobo", (json_int_t)kobo));
    json_object_set_new(record, "payments", payments);
    keep_authorization(t, account, provider, told);
    bool waits = record_state(record) == TXN_PAYING && strcmp(reference, pay_str(record, "reference")) == 0;
    if ((e = account_book_payment(t, m, account, kobo, id, reference)) < 0 ||
        (e = cvm_note(t, "paid",
                      json_pack("{s:s, s:s, s:s, s:I, s:b}", "transaction_id", id, "provider", provider, "reference",
                                reference, "amount_kobo", (json_int_t)kobo, "in_time", waits))) < 0)
        goto out;
    if ((e = cvm_metric(t, "payments_total", provider, 1)) < 0)
        goto out;
    account_figures(account, &f);
    json_object_set_new(record, "paid_by", json_string(provider));
    if (waits && f.balance >= total) {
        e = saga_hold(t, m, account, record);
    } else {
        if ((e = flag_row(t, m, kobo < total ? "UNDERPAID" : "LATE_PAYMENT", record_str(record, "customer_id"), id,
                          "the payment is in the wallet")) < 0 ||
            (e = account_save(t, json_incref(account))) < 0)
            goto out;
        e = waits ? gate_cancel(t, m, record, "UNDERPAID", "Less was paid than it costs; the payment is in the wallet.")
                  : record_save(t, json_incref(record));
    }
out:
    json_decref(account);
    return e;
}

/* ---- what providers say ---- */

/* The record of a reply while it is about the present attempt; NULL where it is not. */
static int paying(cvm_turn *t, const cvm_msg *m, json_t **ret_record)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (record_state(record) == TXN_PAYING && record_cookie_number(m->on_behalf) == pay_int(record, "n"))
        *ret_record = record;
    else
        json_decref(record);
    return CVM_OK;
}

static int declined(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *told)
{
    if (strcmp(cvm_json_str(told, "status", "failed"), "failed") != 0)
        return CVM_EDATA;
    return gate_cancel(t, m, record, "PAYMENT_DECLINED",
                       cvm_json_str(told, "message", "The bank declined the payment."));
}

int pay_charged(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *status = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "status", "") : "";
    bool present = record_state(record) == TXN_PAYING && record_cookie_number(m->on_behalf) == pay_int(record, "n");
    if (strcmp(status, "succeeded") == 0) {
        char reference[40]; /* of the attempt that is answered, which may be an earlier one */
        snprintf(reference, sizeof reference, "%s-P%lld", record_str(record, "transaction_id"),
                 (long long)record_cookie_number(m->on_behalf));
        e = received(t, m, record, provider_of(record, reference), reference,
                     cvm_json_int(m->data, "amount_kobo", record_int(record, "total_kobo")), m->data);
    } else if (!present) {
        e = CVM_OK;
    } else if (strcmp(status, "failed") == 0 && !cvm_json_bool(m->data, "technical", false)) {
        e = declined(t, m, record, m->data);
    } else if (strcmp(status, "failed") == 0 || m->outcome == CVM_REFUSED || m->outcome == CVM_BUSY) {
        e = pay_next(t, m, record);
    } else {
        e = verify_later(t, record);
        if (e >= 0)
            e = record_save(t, json_incref(record));
    }
    json_decref(record);
    return e;
}

int pay_linked(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL, *account = NULL;
    CVM_TRY(paying(t, m, &record));
    if (!record)
        return CVM_OK;
    const char *url = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "url", "") : "";
    int e;
    if (!*url) { /* a link that nobody has seen is paid by nobody, so the next one may be asked in any case */
        e = pay_next(t, m, record);
        goto out;
    }
    set_message(record, "payment_url", url);
    int64_t left = pay_int(record, "ends_ms") - cvm_now_ms(t);
    if ((e = account_find(t, record_str(record, "customer_id"), "", &account)) < 0 ||
        (e = saga_arm(t, m, record, "gate_due", left > 0 ? left : 0)) < 0 ||
        (e = tell_ending(t, account, record)) < 0 || (e = record_row(t, record)) < 0 ||
        (e = answer_waiters(t, record, 0)) < 0)
        goto out;
    e = record_save(t, json_incref(record));
out:
    json_decref(account);
    json_decref(record);
    return e;
}

/* The answer to a look at what was given up. `surely`: it never will be paid. */
static int unpaid_so_far(cvm_turn *t, json_t *record, const char *reference, bool surely)
{
    if (surely || record_state(record) != TXN_CANCELLED || is_known(record, reference) ||
        strcmp(reference, pay_str(record, "reference")) != 0)
        return CVM_OK;
    CVM_TRY(look_again(t, record));
    return record_save(t, json_incref(record));
}

int pay_verified(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = record_by_cookie(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *status = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "status", "unknown") : "unknown";
    const char *reference = cvm_json_str(m->data, "reference", pay_str(record, "reference"));
    const char *currency = cvm_json_str(m->data, "currency", "NGN");
    bool present = record_state(record) == TXN_PAYING && strcmp(reference, pay_str(record, "reference")) == 0;
    bool link = strcmp(pay_str(record, "method"), "link") == 0;
    if (strcmp(status, "succeeded") == 0 && strcmp(currency, "NGN") == 0)
        e = received(t, m, record, provider_of(record, reference), reference,
                     cvm_json_int(m->data, "amount_kobo", record_int(record, "total_kobo")), m->data);
    else if (!present)
        e = unpaid_so_far(t, record, reference, strcmp(status, "failed") == 0 && !link);
    else if (strcmp(status, "failed") == 0 && !link) /* a link may be tried again until it expires */
        e = cvm_json_bool(m->data, "technical", false) ? pay_next(t, m, record) : declined(t, m, record, m->data);
    else if ((!link || json_object_get(json_object_get(record, "pay"), "told")) &&
             !json_object_get(json_object_get(record, "pay"), "last_look") && (e = verify_later(t, record)) >= 0)
        e = record_save(t, json_incref(record));
    json_decref(record);
    return e;
}

/* ---- operation payment_event: a webhook that its provider has checked ---- */

/* The transaction of one of our references, "TXN-…-P1". */
static bool id_of(const char *reference, char ret_id[CVM_SHORT_ID_SIZE])
{
    snprintf(ret_id, CVM_SHORT_ID_SIZE, "%.16s", reference);
    return strlen(reference) > 18 && strncmp(reference + 16, "-P", 2) == 0 && record_id_valid(ret_id);
}

static bool takes_payments(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components"), *c;
    size_t i, r;
    json_t *role;
    json_array_foreach((json_t *)(uintptr_t)components, i, c) if (strcmp(cvm_json_str(c, "id", ""), id) == 0)
        json_array_foreach(json_object_get(c, "roles"), r,
                           role) if (strcmp(json_string_value(role), "payment") == 0) return true;
    return false;
}

int pay_event(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    const char *reference = cvm_json_str(m->data, "reference", ""), *status = cvm_json_str(m->data, "status", "");
    json_t *record = NULL;
    if (!takes_payments(t, m->sender))
        return cvm_refuse(t, "NOT_A_PROVIDER", NULL, "only components with the role payment tell of payments");
    if (!id_of(reference, id))
        return cvm_reply(t, m, json_pack("{s:b}", "accepted", 0));
    int e = record_load(t, id, &record);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!record) { /* of a purchase that was forgotten: money nobody waits for any more */
        if (strcmp(status, "succeeded") == 0)
            CVM_TRY(flag_row(t, m, "ORPHAN_PAYMENT", "", id, "paid for a transaction that ended long ago"));
        return cvm_reply(t, m, json_pack("{s:b}", "accepted", 1));
    }
    e = CVM_OK;
    if (strcmp(status, "succeeded") == 0 && !is_known(record, reference)) { /* believed when the provider is asked */
        const char *home = record_str(record, "conversation");
        cvm_request_opts opts = {.on_behalf = record_cookie_n(id, TXN_PROBE), .timeout_ms = VERIFY_TIMEOUT_MS};
        if (*home && strcmp(home, m->conversation) != 0)
            opts.conversation = home;
        e = cvm_request(t, m->sender, "verify", json_pack("{s:s}", "reference", reference), &opts);
        if (e >= 0 && record_state(record) == TXN_PAYING) {
            pay_set(record, "told", json_true());
            e = record_save(t, json_incref(record));
        }
    }
    json_decref(record);
    return e < 0 ? e : cvm_reply(t, m, json_pack("{s:b}", "accepted", 1));
}
