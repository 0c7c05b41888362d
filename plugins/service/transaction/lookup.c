/* Looks at transactions: list, show, and what a payment would take. Reads the table `transactions` and the
 * accounts, changes nothing. `show` asks `list`, and the receipt asks `show`: each finds its way back by its own type.
 * Loop thread. */
#include "transaction.h"

#define LIST_MAX 1000

static const char *const statuses[] = {"PENDING", "SUCCESS", "FAILED", "REFUNDED"};

int lookup_list(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", ""), *status = cvm_json_str(m->data, "status", "");
    const char *id = cvm_json_str(m->data, "transaction_id", "");
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
    e = lookup_table(t, m, "transactions", json_incref(where), "-initiated_at");
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

/* The answer of a query of lookup_table: transactions by their own name and for people, any other table as "rows". */
int lookup_listed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    const char *table = cvm_json_str(json_object_get(m->data, "with"), "table", "");
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, CVM_ERROR,
                          json_pack("{s:s, s:s}", "code", "QUERY", "message", "the table could not be read"), NULL);
    bool transactions = strcmp(table, "transactions") == 0;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(list,
                              transactions ? view(json_array_get(rows, i)) : cvm_json_share(json_array_get(rows, i)));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:o, s:b}", transactions ? "transactions" : "rows", list, "more",
                                cvm_json_bool(m->data, "more", false)),
                      NULL);
}

int lookup_table(cvm_turn *t, const cvm_msg *m, const char *table, json_t *where, const char *order_by)
{
    int64_t limit = cvm_json_int(m->data, "limit", 100);
    cvm_query query = {.size = sizeof query,
                       .table = table,
                       .where = where,
                       .order_by = order_by,
                       .limit = limit < 1          ? 1
                                : limit > LIST_MAX ? LIST_MAX
                                                   : limit,
                       .on_behalf = m->id,
                       .with = json_pack("{s:s}", "table", table)};
    CVM_TRY(cvm_ask(t, &query));
    return CVM_PENDING;
}

int lookup_show(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "transaction_id", ""), *customer = cvm_json_str(m->data, "customer", NULL);
    json_t *record = NULL;
    enum cvm_outcome outcome;
    if (!record_id_valid(id))
        return cvm_refuse(t, "NOT_FOUND", "transaction_id", "a transaction id is TXN- and 12 hexadecimal digits");
    int e = record_load(t, id, &record);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (record && json_object_get(record, "items") && !customer) { /* an order of several has no row of its own */
        json_t *body = answer_public(record, &outcome);
        json_decref(record);
        return cvm_reply(t, m, body);
    }
    json_decref(record);
    CVM_TRY(cvm_request(t, TXN_SELF, "list_transactions",
                        json_pack("{s:s, s:i, s:s*}", "transaction_id", id, "limit", 1, "customer", customer),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int lookup_find(cvm_turn *t, const cvm_msg *m)
{
    return lookup_show(t, m);
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
