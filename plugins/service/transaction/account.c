/* Prepaid wallets. Owns the state keys account/<customer_id> and phone/<E.164> and the table `wallet_entries`. Knows
 * nothing of purchases beyond their id. Loop thread. */
#include "../../common/object.h"
#include "../common/phone.h"
#include "transaction.h"

static const char *const entry_names[] = {
    [ENTRY_OPENING] = "opening", [ENTRY_CREDIT] = "credit", [ENTRY_HOLD] = "hold",
    [ENTRY_SETTLE] = "settle",   [ENTRY_REFUND] = "refund", [ENTRY_RETURN] = "return",
};

static bool balanced(const struct figures *f)
{
    return f->balance >= 0 && f->held >= 0 &&
           f->balance == f->opening + f->credited - f->settled - f->returned - f->held;
}

int account_apply(struct figures *f, enum entry_kind kind, int64_t amount)
{
    assert(balanced(f));
    if (amount <= 0)
        return CVM_EINVAL;
    switch (kind) {
    case ENTRY_OPENING:
    case ENTRY_CREDIT:
        if (amount > CVM_MONEY_MAX_MINOR - f->balance - f->held)
            return CVM_ELIMIT;
        *(kind == ENTRY_OPENING ? &f->opening : &f->credited) += amount;
        f->balance += amount;
        break;
    case ENTRY_HOLD:
        if (amount > f->balance)
            return CVM_EREFUSED;
        f->balance -= amount;
        f->held += amount;
        break;
    case ENTRY_SETTLE:
        if (amount > f->held)
            return CVM_ESTATE;
        f->held -= amount;
        f->settled += amount;
        break;
    case ENTRY_RETURN:
        if (amount > f->held)
            return CVM_ESTATE;
        f->held -= amount;
        f->returned += amount;
        break;
    case ENTRY_REFUND:
        if (amount > f->held)
            return CVM_ESTATE;
        f->held -= amount;
        f->balance += amount;
        break;
    }
    assert(balanced(f));
    return CVM_OK;
}

void account_figures(const json_t *account, struct figures *ret_figures)
{
    *ret_figures = (struct figures){.opening = cvm_json_int(account, "opening_kobo", 0),
                                    .credited = cvm_json_int(account, "credited_kobo", 0),
                                    .settled = cvm_json_int(account, "settled_kobo", 0),
                                    .returned = cvm_json_int(account, "returned_kobo", 0),
                                    .held = cvm_json_int(account, "held_kobo", 0),
                                    .balance = cvm_json_int(account, "balance_kobo", 0)};
}

static int figures_store(json_t *account, const struct figures *f)
{
    int e = json_object_set_new(account, "opening_kobo", json_integer(f->opening));
    e |= json_object_set_new(account, "credited_kobo", json_integer(f->credited));
    e |= json_object_set_new(account, "settled_kobo", json_integer(f->settled));
    if (f->returned)
        e |= json_object_set_new(account, "returned_kobo", json_integer(f->returned));
    e |= json_object_set_new(account, "held_kobo", json_integer(f->held));
    e |= json_object_set_new(account, "balance_kobo", json_integer(f->balance));
    return e ? CVM_ENOMEM : CVM_OK;
}

/* A customer id becomes part of state keys, so its characters are few and its length is bounded. */
bool customer_valid(const char *id)
{
    size_t n = strlen(id);
    if (n == 0 || n > TXN_CUSTOMER_MAX)
        return false;
    for (; *id; id++)
        if (!((*id >= 'a' && *id <= 'z') || (*id >= 'A' && *id <= 'Z') || (*id >= '0' && *id <= '9') ||
              strchr("_.:-", *id)))
            return false;
    return true;
}

static int account_load(cvm_turn *t, const char *customer_id, json_t **ret_account)
{
    if (!customer_valid(customer_id))
        return CVM_ENOENT;
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "account/%s", customer_id);
    const json_t *stored = NULL;
    CVM_TRY(cvm_state_get(t, key, &stored));
    json_t *copy = json_copy((json_t *)(uintptr_t)stored);
    if (!copy)
        return CVM_ENOMEM;
    *ret_account = copy;
    return CVM_OK;
}

static int phone_owner(cvm_turn *t, const char *e164, const char **ret_customer)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "phone/%s", e164);
    const json_t *owner = NULL;
    CVM_TRY(cvm_state_get(t, key, &owner));
    if (!json_is_string(owner))
        return CVM_EDATA;
    *ret_customer = json_string_value(owner);
    return CVM_OK;
}

int account_find(cvm_turn *t, const char *customer_id, const char *phone, json_t **ret_account)
{
    int e = account_load(t, customer_id, ret_account);
    if (e != CVM_ENOENT)
        return e;
    char e164[PHONE_SIZE];
    if (phone_normalise(phone, e164) < 0)
        return CVM_ENOENT;
    const char *owner = NULL;
    CVM_TRY(phone_owner(t, e164, &owner));
    return account_load(t, owner, ret_account);
}

int account_save(cvm_turn *t, json_t *account)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "account/%s", cvm_json_str(account, "customer_id", ""));
    return cvm_state_put(t, key, account);
}

static int book(cvm_turn *t, const cvm_msg *m, json_t *account, enum entry_kind kind, int64_t amount,
                const char *transaction_id, const char *entry)
{
    struct figures f;
    char at[TXN_TIME_SIZE];
    account_figures(account, &f);
    CVM_TRY(account_apply(&f, kind, amount));
    CVM_TRY(figures_store(account, &f));
    return cvm_row_put(t, "wallet_entries",
                       json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "entry_id", entry, "customer_id",
                                 cvm_json_str(account, "customer_id", ""), "transaction_id", transaction_id, "kind",
                                 entry_names[kind], "amount_kobo", (json_int_t)amount, "balance_after_kobo",
                                 (json_int_t)f.balance, "at", time_text(cvm_now_ms(t), at), "conversation",
                                 m->conversation));
}

int account_book(cvm_turn *t, const cvm_msg *m, json_t *account, enum entry_kind kind, int64_t amount,
                 const char *transaction_id)
{
    char entry[TXN_CUSTOMER_MAX + 48], made[CVM_SHORT_ID_SIZE];
    if (*transaction_id) { /* each kind at most once for a transaction, so the id needs no counter */
        snprintf(entry, sizeof entry, "%s-%s", transaction_id, entry_names[kind]);
    } else {
        CVM_TRY(cvm_new_id(t, "WAL", made));
        snprintf(entry, sizeof entry, "%s-%s", made, entry_names[kind]);
    }
    return book(t, m, account, kind, amount, transaction_id, entry);
}

int account_book_payment(cvm_turn *t, const cvm_msg *m, json_t *account, int64_t amount, const char *transaction_id,
                         const char *reference)
{
    char entry[96];
    snprintf(entry, sizeof entry, "%.80s-credit", reference);
    return book(t, m, account, ENTRY_CREDIT, amount, transaction_id, entry);
}

int64_t account_count_failure(json_t *account, const char *session_id)
{
    if (!*session_id)
        return 0;
    bool same = strcmp(cvm_json_str(account, "failed_session", ""), session_id) == 0;
    int64_t n = (same ? cvm_json_int(account, "failed_count", 0) : 0) + 1;
    json_object_set_new(account, "failed_session", json_string(session_id));
    json_object_set_new(account, "failed_count", json_integer(n));
    return n;
}

/* Counted by the second, [second, count], so that the account stays small whatever the limit. */
bool account_too_fast(json_t *account, int64_t now_ms, int64_t per_minute)
{
    const json_t *recent = json_object_get(account, "recent");
    int64_t now_s = now_ms / 1000, in_minute = 0, in_second = 0;
    json_t *kept = json_array();
    for (size_t i = 0; i < json_array_size(recent); i++) {
        json_t *pair = json_array_get(recent, i);
        int64_t second = json_integer_value(json_array_get(pair, 0)), n = json_integer_value(json_array_get(pair, 1));
        if (second <= now_s - 60)
            continue;
        in_minute += n;
        if (second == now_s)
            in_second = n;
        else
            json_array_append(kept, pair);
    }
    bool fast = in_minute >= per_minute;
    in_second += !fast;
    if (in_second)
        json_array_append_new(kept, json_pack("[I, I]", (json_int_t)now_s, (json_int_t)in_second));
    json_object_set_new(account, "recent", kept);
    return fast;
}

/* ---- operations ---- */

static json_t *account_view(const json_t *account)
{
    struct figures f;
    account_figures(account, &f);
    json_t *view = json_object();
    OBJECT_TEXT(view, "customer_id", cvm_json_str(account, "customer_id", ""));
    OBJECT_TEXT(view, "phone", cvm_json_str(account, "phone", ""));
    OBJECT_TEXT(view, "currency", "NGN");
    OBJECT_PUT(view, "balance", cvm_money_to_json(f.balance));
    OBJECT_PUT(view, "held", cvm_money_to_json(f.held));
    OBJECT_INT(view, "balance_kobo", (json_int_t)f.balance);
    OBJECT_INT(view, "held_kobo", (json_int_t)f.held);
    return view;
}

/* The account as it is, or a new one with nothing in it. */
static int account_make(cvm_turn *t, const char *customer_id, const char *e164, json_t **ret_account, bool *ret_new)
{
    const char *owner = NULL;
    int e = phone_owner(t, e164, &owner);
    if (e == CVM_OK && strcmp(owner, customer_id) != 0)
        return cvm_refuse(t, "PHONE_TAKEN", "phone", "this phone number belongs to another account");
    if (e < 0 && e != CVM_ENOENT)
        return e;
    e = account_load(t, customer_id, ret_account);
    if (e == CVM_OK && strcmp(cvm_json_str(*ret_account, "phone", ""), e164) != 0) {
        json_decref(*ret_account);
        *ret_account = NULL;
        return cvm_refuse(t, "CUSTOMER_TAKEN", "customer_id", "this customer has an account with another number");
    }
    if (e != CVM_ENOENT)
        return e;
    char at[TXN_TIME_SIZE], key[CVM_STATE_KEY_MAX + 1];
    *ret_account = json_object();
    OBJECT_TEXT(*ret_account, "customer_id", customer_id);
    OBJECT_TEXT(*ret_account, "phone", e164);
    OBJECT_TEXT(*ret_account, "opened_at", time_text(cvm_now_ms(t), at));
    if (!*ret_account)
        return CVM_ENOMEM;
    *ret_new = true;
    snprintf(key, sizeof key, "phone/%s", e164);
    return cvm_state_put(t, key, json_string(customer_id));
}

int account_open(cvm_turn *t, const cvm_msg *m)
{
    const char *customer_id = cvm_json_str(m->data, "customer_id", "");
    int64_t opening = cvm_json_int(m->data, "balance_kobo", 0);
    char e164[PHONE_SIZE];
    if (!customer_valid(customer_id))
        return cvm_refuse(t, "CUSTOMER_ID", "customer_id",
                          "the customer id must be 1 to 64 letters, digits, '_', '.', ':' or '-'");
    if (phone_normalise(cvm_json_str(m->data, "phone", ""), e164) < 0)
        return cvm_refuse(t, "INVALID_PHONE", "phone",
                          "the phone number must be one such as 08012345678 or +2348012345678");
    if (opening < 0 || opening > CVM_MONEY_MAX_MINOR)
        return cvm_refuse(t, "LIMIT", "balance_kobo", "the balance must be 0 to 100000000000000 kobo");

    json_t *account = NULL;
    bool made = false;
    int e = account_make(t, customer_id, e164, &account, &made);
    if (e < 0)
        goto out;
    if (made && opening > 0 && (e = account_book(t, m, account, ENTRY_OPENING, opening, "")) < 0)
        goto out;
    json_t *view = account_view(account);
    json_object_set_new(view, "opened", json_boolean(made));
    if (made && (e = account_save(t, json_incref(account))) < 0) {
        json_decref(view);
        goto out;
    }
    e = cvm_reply(t, m, view);
out:
    json_decref(account);
    return e;
}

int account_credit(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    int64_t amount;
    if (cvm_money_from_json(json_object_get(m->data, "amount"), &amount) < 0 || amount <= 0)
        return cvm_refuse(t, "AMOUNT", "amount", "the amount must be a sum in naira above 0, such as 500 or 99.50");
    json_t *account = NULL;
    int e = account_find(t, customer, customer, &account);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
    if (e < 0)
        return e;
    e = account_book(t, m, account, ENTRY_CREDIT, amount, "");
    if (e == CVM_ELIMIT)
        e = cvm_refuse(t, "LIMIT", "amount", "the account would hold more than 1,000,000,000,000 naira");
    if (e < 0)
        goto out;
    json_t *view = account_view(account);
    if ((e = account_save(t, json_incref(account))) < 0) {
        json_decref(view);
        goto out;
    }
    e = cvm_reply(t, m, view);
out:
    json_decref(account);
    return e;
}

int account_show(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    json_t *account = NULL;
    int e = account_find(t, customer, customer, &account);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
    if (e < 0)
        return e;
    json_t *view = account_view(account);
    json_decref(account);
    return cvm_reply(t, m, view);
}

/* ---- stored authorisations: what a payment provider may charge again with ---- */

/* Saves the account and answers with it; both borrowed. */
static int save_and_show(cvm_turn *t, const cvm_msg *m, json_t *account)
{
    json_t *view = account_view(account);
    int e = account_save(t, json_incref(account));
    if (e < 0) {
        json_decref(view);
        return e;
    }
    return cvm_reply(t, m, view);
}

int account_authorize(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", ""), *code = cvm_json_str(m->data, "authorization", "");
    json_t *account = NULL;
    int e = account_find(t, customer, customer, &account);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
    if (e < 0)
        return e;
    json_t *all = json_copy(json_object_get(account, "authorizations"));
    if (!all)
        all = json_object();
    json_object_set_new(all, cvm_json_str(m->data, "provider", ""),
                        json_pack("{s:s, s:s*}", "code", code, "email", cvm_json_str(m->data, "email", NULL)));
    json_object_set_new(account, "authorizations", all);
    e = save_and_show(t, m, account);
    json_decref(account);
    return e;
}

int account_deauthorize(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    json_t *account = NULL;
    int e = account_find(t, customer, customer, &account);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
    if (e < 0)
        return e;
    json_object_del(account, "authorizations");
    e = save_and_show(t, m, account);
    json_decref(account);
    return e;
}
