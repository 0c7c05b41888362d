/* Looks at transactions: list, show, receipt, and what a payment would take. Reads the table `transactions` and the
 * accounts, changes nothing. The reply of a query says only for whom it is, so `show` asks `list`, and the receipt asks
 * `show`: each finds its way back by its own type. Loop thread. */
#include "transaction.h"

#define LIST_MAX 1000

static const char *const statuses[] = {"PENDING", "SUCCESS", "FAILED", "REFUNDED"};

int lookup_list(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", ""), *status = cvm_json_str(m->data, "status", "");
    const char *id = cvm_json_str(m->data, "transaction_id", "");
    int64_t limit = cvm_json_int(m->data, "limit", 100);
    json_t *where = json_object(), *account = NULL;
    int e;
    if (*status) {
        bool known = false;
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
            known = known || strcmp(status, statuses[i]) == 0;
        if (!known) {
            e = cvm_refuse(t, "STATUS", "status", "the status must be PENDING, SUCCESS, FAILED or REFUNDED");
            goto out;
        }
        json_object_set_new(where, "status", json_string(status));
    }
    if (*customer) {
        e = account_find(t, customer, customer, &account);
        if (e == CVM_ENOENT)
            e = cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
        if (e < 0)
            goto out;
        json_object_set_new(where, "customer_id", json_string(cvm_json_str(account, "customer_id", "")));
    }
    if (*id)
        json_object_set_new(where, "transaction_id", json_string(id));
    cvm_query query = {.size = sizeof query,
                       .table = "transactions",
                       .where = json_incref(where),
                       .order_by = "-initiated_at",
                       .limit = limit < 1          ? 1
                                : limit > LIST_MAX ? LIST_MAX
                                                   : limit,
                       .on_behalf = m->id};
    e = cvm_ask(t, &query);
    if (e >= 0)
        e = CVM_PENDING;
out:
    json_decref(where);
    json_decref(account);
    return e;
}

/* A row as people read it: sums in naira, metadata as an object. Gives. */
static json_t *view(const json_t *row)
{
    static const char *const sums[] = {"amount", "service_charge", "discount", "total_amount"};
    json_t *v = json_copy((json_t *)(uintptr_t)row);
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        json_object_set_new(v, sums[i], cvm_money_to_json(cvm_json_int(row, sums[i], 0)));
    const char *metadata = cvm_json_str(row, "metadata", "");
    json_t *parsed = *metadata ? json_loads(metadata, 0, NULL) : NULL;
    if (parsed)
        json_object_set_new(v, "metadata", parsed);
    json_object_del(v, "id");
    json_object_del(v, "key_id");
    const char *column;
    json_t *value;
    void *next;
    json_object_foreach_safe(v, next, column, value)
    {
        if (json_is_null(value))
            json_object_del(v, column);
    }
    return v;
}

int lookup_listed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, CVM_ERROR,
                          json_pack("{s:s, s:s}", "code", "QUERY", "message", "the transactions could not be read"),
                          NULL);
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(list, view(json_array_get(rows, i)));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:o, s:b}", "transactions", list, "more", cvm_json_bool(m->data, "more", false)),
                      NULL);
}

int lookup_show(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "transaction_id", "");
    if (!record_id_valid(id))
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "a transaction id is TXN- and 12 hexadecimal digits");
    CVM_TRY(cvm_request(t, TXN_SELF, "list_transactions", json_pack("{s:s, s:i}", "transaction_id", id, "limit", 1),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static int pass_on(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
}

int lookup_shown(cvm_turn *t, const cvm_msg *m)
{
    const json_t *found = json_array_get(json_object_get(m->data, "transactions"), 0);
    if (m->outcome != CVM_REPLIED)
        return pass_on(t, m);
    if (!found)
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "transaction_id", "message",
                                    "no transaction with this id"),
                          NULL);
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(found), NULL);
}

/* ---- receipt ---- */

int lookup_receipt(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, TXN_SELF, "show_transaction",
                        json_pack("{s:s}", "transaction_id", cvm_json_str(m->data, "transaction_id", "")),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static const char *sum_text(const json_t *row, const char *key, char buf[32])
{
    int64_t kobo = 0;
    if (cvm_money_from_json(json_object_get(row, key), &kobo) < 0)
        kobo = 0;
    return cvm_money_text(kobo, buf, 32);
}

/* What the seller wants on the receipt: label -> text. */
static void add_details(const json_t *details, char *text, size_t size)
{
    const char *label;
    json_t *value;
    size_t at = strlen(text);
    json_object_foreach((json_t *)(uintptr_t)details, label, value)
    {
        if (json_is_string(value) && at < size)
            at += (size_t)snprintf(text + at, size - at, "%-12.40s %.200s\n", label, json_string_value(value));
    }
}

int lookup_receipted(cvm_turn *t, const cvm_msg *m)
{
    char text[2048], number[32], a[32], d[32], c[32], total[32];
    const json_t *row = m->data;
    if (m->outcome != CVM_REPLIED)
        return pass_on(t, m);
    const char *id = cvm_json_str(row, "transaction_id", ""), *date = cvm_json_str(row, "completed_at", "");
    if (strcmp(cvm_json_str(row, "status", ""), "SUCCESS") != 0)
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_COMPLETED", "field", "transaction_id", "message",
                                    "only a successful transaction has a receipt"),
                          NULL);
    snprintf(number, sizeof number, "RCP-%.20s", strlen(id) > 4 ? id + 4 : "");
    const char *service = cvm_json_str(row, "service_type", ""), *at = cvm_json_str(row, "network_or_disco", "");
    const char *to = cvm_json_str(row, "recipient", ""), *reference = cvm_json_str(row, "external_reference", "");
    snprintf(
        text, sizeof text,
        "Receipt      %s\nDate         %s\nCustomer     %s\nService      %s %s\nRecipient    %s\nAmount       NGN %s\n"
        "Discount     NGN %s\nCharge       NGN %s\nTotal        NGN %s\nReference    %s\nTransaction  %s\n",
        number, date, cvm_json_str(row, "customer_id", ""), service, at, to, sum_text(row, "amount", a),
        sum_text(row, "discount", d), sum_text(row, "service_charge", c), sum_text(row, "total_amount", total),
        reference, id);
    const json_t *details = json_object_get(json_object_get(row, "metadata"), "receipt");
    add_details(details, text, sizeof text);
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O*}", "receipt_number", number, "transaction_id", id,
                  "date", date, "customer_id", cvm_json_str(row, "customer_id", ""), "service_type", service,
                  "network_or_disco", at, "recipient", to, "reference", reference, "text", text, "details", details);
    static const char *const sums[] = {"amount", "discount", "service_charge", "total_amount"};
    for (size_t i = 0; body && i < sizeof sums / sizeof sums[0]; i++)
        json_object_set(body, sums[i], json_object_get(row, sums[i]));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
}

/* ---- refund_transaction: what failed is refunded by itself, so this says what became of the money ---- */

static int not_refunded(cvm_turn *t, const cvm_msg *m, const char *rule, const char *message)
{
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", rule, "because", message)));
    return cvm_settle(
        t, m->id, CVM_REFUSED,
        json_pack("{s:s, s:s, s:s, s:b}", "code", rule, "field", "transaction_id", "message", message, "handoff", 1),
        NULL);
}

int lookup_refund(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    char at[TXN_TIME_SIZE];
    int e = record_load(t, cvm_json_str(m->data, "transaction_id", ""), &record);
    if (e == CVM_ENOENT)
        return not_refunded(t, m, "REFUND_WINDOW",
                            "No transaction of the last 24 hours has this id; later claims are for a colleague.");
    if (e < 0)
        return e;
    switch (record_state(record)) {
    case TXN_SUCCESS:
        e = not_refunded(t, m, "DELIVERED", "It was delivered, so only a colleague can decide about a refund.");
        break;
    case TXN_REFUNDED:
        e = cvm_reply(t, m,
                      json_pack("{s:s, s:s, s:o, s:s}", "transaction_id", record_str(record, "transaction_id"),
                                "status", "REFUNDED", "amount", cvm_money_to_json(record_int(record, "total_kobo")),
                                "refunded_at", time_text(record_int(record, "completed_ms"), at)));
        break;
    default:
        e = cvm_reply(t, m,
                      json_pack("{s:s, s:s, s:o, s:s}", "transaction_id", record_str(record, "transaction_id"),
                                "status", "PENDING", "amount", cvm_money_to_json(record_int(record, "total_kobo")),
                                "refunded_by", time_text(record_int(record, "deadline_ms"), at)));
        break;
    }
    json_decref(record);
    return e;
}

/* ---- initiate_payment: whether the wallet pays, and what is missing; `purchase` is what moves the money ---- */

int lookup_payment(cvm_turn *t, const cvm_msg *m)
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
    struct figures f;
    account_figures(account, &f);
    int64_t missing = amount > f.balance ? amount - f.balance : 0;
    e = cvm_reply(t, m,
                  json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "method", "wallet", "status",
                            missing ? "INSUFFICIENT_FUNDS" : "READY", "customer_id",
                            cvm_json_str(account, "customer_id", ""), "amount", cvm_money_to_json(amount), "balance",
                            cvm_money_to_json(f.balance), "missing", cvm_money_to_json(missing)));
    json_decref(account);
    return e;
}
