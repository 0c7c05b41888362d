/* An order with several recipients: one record with the gates and the key, then one ordinary transaction for each
 * recipient, held, delivered and settled or refunded by itself. The order ends with its last recipient; what did not
 * reach one is back to the kobo, because each paid its own share of the sum. Loop thread. */
#include "transaction.h"

#define BATCH 12              /* recipients begun in a turn */
#define ITEMS_BYTES_MAX 40000 /* so that the results fit into the record too, whatever they are */

static int sum_items(const json_t *items, json_t *body)
{
    static const char *const sums[] = {"amount_kobo", "discount_kobo", "service_charge_kobo"};
    for (size_t s = 0; s < sizeof sums / sizeof sums[0]; s++) {
        int64_t total = 0;
        for (size_t i = 0; i < json_array_size(items); i++) {
            int64_t one = cvm_json_int(json_array_get(items, i), sums[s], 0);
            if (one < 0 || one > CVM_MONEY_MAX_MINOR / BULK_ITEMS_MAX)
                return CVM_EINVAL;
            total += one;
        }
        json_object_set_new(body, sums[s], json_integer(total));
    }
    return CVM_OK;
}

int bulk_purchase(cvm_turn *t, const cvm_msg *m)
{
    char summary[64];
    const char *seller = saga_seller(t, m->sender);
    const json_t *items = json_object_get(m->data, "items");
    if (!seller)
        return cvm_refuse(t, "NOT_A_SELLER", NULL, "only components with the role desk.seller may sell");
    if (json_dumpb(items, NULL, 0, JSON_COMPACT) > ITEMS_BYTES_MAX)
        return cvm_refuse(t, "ORDER", "items", "the order is too long; make several of it");
    json_t *body = json_copy((json_t *)(uintptr_t)m->data);
    if (!body || sum_items(items, body) < 0) {
        json_decref(body);
        return cvm_refuse(t, "ORDER", "items", "the sums of the order do not make sense");
    }
    snprintf(summary, sizeof summary, "An order for %zu recipients", json_array_size(items));
    json_object_set_new(body, "summary", json_string(summary));
    json_object_set_new(body, "destination", json_string("all"));
    struct order o = {.seller = seller,
                      .idempotency_key = cvm_json_str(m->data, "idempotency_key", ""),
                      .body = body,
                      .items = items,
                      .asker = ASKER_PURCHASE};
    int e = saga_begin(t, m, &o);
    json_decref(body);
    return e;
}

static void add_result(json_t *order, const char *recipient, const char *id, const char *status, int64_t amount,
                       int64_t total, const char *error)
{
    json_t *results = record_list(order, "results");
    json_array_append_new(results, json_pack("{s:s, s:s, s:s, s:I, s:I, s:s*}", "recipient", recipient,
                                             "transaction_id", id, "status", status, "amount_kobo", (json_int_t)amount,
                                             "total_kobo", (json_int_t)total, "error", *error ? error : NULL));
    json_object_set_new(order, "results", results);
}

static size_t done(const json_t *order)
{
    return json_array_size(json_object_get(order, "results"));
}

static size_t delivered(const json_t *order)
{
    const json_t *results = json_object_get(order, "results"), *one;
    size_t i, n = 0;
    json_array_foreach((json_t *)(uintptr_t)results, i, one) n += !strcmp(cvm_json_str(one, "status", ""), "SUCCESS");
    return n;
}

static int end_order(cvm_turn *t, const cvm_msg *m, json_t *order)
{
    size_t n = delivered(order);
    CVM_TRY(saga_disarm(t, m, order));
    json_object_set_new(order, "completed_ms", json_integer(cvm_now_ms(t)));
    if (n) {
        record_move(order, TXN_SUCCESS);
        set_message(order, "reference", record_str(order, "transaction_id"));
    } else {
        record_move(order, TXN_FAILED);
        record_move(order, TXN_REFUNDED);
        set_message(order, "error_code", "NONE_DELIVERED");
        set_message(order, "message", "It reached none of the recipients.");
    }
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:I, s:I}", "chose", "order ended", "transaction_id",
                               record_str(order, "transaction_id"), "delivered", (json_int_t)n, "recipients",
                               (json_int_t)done(order))));
    CVM_TRY(record_row(t, order));
    CVM_TRY(answer_waiters(t, order, 0));
    return record_save(t, json_incref(order));
}

/* One recipient's transaction. What is common to all stands in the order. */
static int begin_one(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *order, const json_t *item)
{
    static const char *const common[] = {"service_type", "credit_timeout_s", "context_path"};
    char id[CVM_SHORT_ID_SIZE];
    json_t *body = json_copy((json_t *)(uintptr_t)item), *record;
    CVM_TRY(cvm_new_id(t, "TXN", id));
    for (size_t i = 0; body && i < sizeof common / sizeof common[0]; i++)
        if (json_object_get(order, common[i]))
            json_object_set(body, common[i], json_object_get(order, common[i]));
    json_object_set_new(body, "order_id", json_string(record_str(order, "transaction_id")));
    if (!saga_seller(t, record_str(order, "seller"))) { /* gone since the order began */
        add_result(order, cvm_json_str(body, "recipient", ""), "", "FAILED", cvm_json_int(body, "amount_kobo", 0), 0,
                   "CONNECTION_ERROR");
        json_decref(body);
        return CVM_OK;
    }
    record = record_new(m, record_str(order, "seller"), body, id, record_str(order, "customer_id"), cvm_now_ms(t));
    json_decref(body);
    if (!record)
        return CVM_ENOMEM;
    int e = saga_hold(t, m, account, record);
    if (e == CVM_EREFUSED) { /* something else was bought with it meanwhile */
        add_result(order, record_str(record, "recipient"), "", "FAILED", record_int(record, "amount_kobo"), 0,
                   "INSUFFICIENT_FUNDS");
        e = CVM_OK;
    }
    json_decref(record);
    return e;
}

/* The next batch; the account is borrowed and changes. */
static int spread(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *order)
{
    const json_t *items = json_object_get(order, "items");
    size_t next = (size_t)record_int(order, "next"), n = json_array_size(items), i = next;
    for (; i < n && i < next + BATCH; i++)
        CVM_TRY(begin_one(t, m, account, order, json_array_get(items, i)));
    json_object_set_new(order, "next", json_integer((json_int_t)i));
    if (i < n)
        CVM_TRY(cvm_timer(t, "bulk_more", 1, NULL, record_cookie(record_str(order, "transaction_id")), NULL));
    if (done(order) == n)
        return end_order(t, m, order);
    return record_save(t, json_incref(order));
}

int bulk_spread(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record)
{
    int64_t answer_ms = saga_setting_ms(t, "answer_within_ms", 32000);
    CVM_TRY(account_save(t, json_incref(account)));
    record_move(record, TXN_HELD);
    record_move(record, TXN_DELIVERING);
    CVM_TRY(record_row(t, record));
    CVM_TRY(saga_arm(t, m, record, "answer_due", answer_ms));
    return spread(t, m, account, record);
}

int bulk_more(cvm_turn *t, const cvm_msg *m)
{
    json_t *order = NULL, *account = NULL;
    int e = record_by_cookie(t, m->on_behalf, &order);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if ((e = account_find(t, record_str(order, "customer_id"), "", &account)) >= 0)
        e = spread(t, m, account, order);
    json_decref(account);
    json_decref(order);
    return e;
}

int bulk_ended(cvm_turn *t, const cvm_msg *m, const json_t *record)
{
    json_t *order = NULL;
    int e = record_load(t, record_str(record, "order_id"), &order);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    bool success = record_state(record) == TXN_SUCCESS;
    add_result(order, record_str(record, "recipient"), record_str(record, "transaction_id"),
               txn_status(record_state(record)), record_int(record, "amount_kobo"), record_int(record, "total_kobo"),
               success ? "" : record_str(record, "error_code"));
    e = done(order) == json_array_size(json_object_get(order, "items")) ? end_order(t, m, order)
                                                                        : record_save(t, json_incref(order));
    json_decref(order);
    return e;
}

json_t *bulk_result(const json_t *record)
{
    const json_t *results = json_object_get(record, "results"), *one;
    json_t *list = json_array();
    int64_t paid = 0, refunded = 0;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)results, i, one)
    {
        bool success = strcmp(cvm_json_str(one, "status", ""), "SUCCESS") == 0;
        int64_t total = cvm_json_int(one, "total_kobo", 0);
        *(success ? &paid : &refunded) += total;
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:s*}", "recipient", cvm_json_str(one, "recipient", ""),
                      "transaction_id", cvm_json_str(one, "transaction_id", ""), "status",
                      cvm_json_str(one, "status", ""), "amount", cvm_money_to_json(cvm_json_int(one, "amount_kobo", 0)),
                      "paid", cvm_money_to_json(success ? total : 0), "error", cvm_json_str(one, "error", NULL)));
    }
    return json_pack("{s:i, s:i, s:o, s:o, s:o}", "recipients", (int)json_array_size(json_object_get(record, "items")),
                     "delivered", (int)delivered(record), "paid", cvm_money_to_json(paid), "refunded",
                     cvm_money_to_json(refunded), "results", list);
}
