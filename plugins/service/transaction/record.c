/* The stored record of a transaction and its row. Owns the state keys txn/, done/, key/ and purge/ and the table
 * `transactions`. Knows no money beyond the figures in the record. Loop thread. */
#include "transaction.h"
#include <inttypes.h>
#include <time.h>

#define PURGE_BATCH 100
#define PURGE_EVERY_MS (10 * 60 * 1000)
#define COOKIE_HI UINT64_C(0x54584e) /* "TXN": the cookie of everything sent for a transaction is its id */

const char *time_text(int64_t at_ms, char buf[TXN_TIME_SIZE])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(buf, TXN_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, TXN_TIME_SIZE - n, ".%03dZ", (int)(at_ms % 1000));
    return buf;
}

void id_to_text(cvm_id id, char ret_text[33])
{
    snprintf(ret_text, 33, "%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

cvm_id id_from_text(const char *text)
{
    cvm_id id = {0, 0};
    if (strlen(text) != 32 || sscanf(text, "%16" SCNx64 "%16" SCNx64, &id.hi, &id.lo) != 2)
        return (cvm_id){0, 0};
    return id;
}

bool record_id_valid(const char *transaction_id)
{
    return strlen(transaction_id) == 16 && strncmp(transaction_id, "TXN-", 4) == 0 &&
           strspn(transaction_id + 4, "0123456789abcdef") == 12;
}

cvm_id record_cookie_n(const char *transaction_id, int64_t n)
{
    cvm_id cookie = record_cookie(transaction_id);
    cookie.hi |= (uint64_t)n << 32;
    return cookie;
}

int64_t record_cookie_number(cvm_id cookie)
{
    return (int64_t)(cookie.hi >> 32);
}

cvm_id record_cookie(const char *transaction_id)
{
    assert(record_id_valid(transaction_id));
    cvm_id cookie = {COOKIE_HI, 0};
    int n = sscanf(transaction_id + 4, "%12" SCNx64, &cookie.lo);
    assert(n == 1);
    return cookie;
}

static int load(cvm_turn *t, const char *folder, const char *transaction_id, json_t **ret_record)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "%s/%s", folder, transaction_id);
    const json_t *stored = NULL;
    CVM_TRY(cvm_state_get(t, key, &stored));
    json_t *copy = json_copy((json_t *)(uintptr_t)stored);
    if (!copy)
        return CVM_ENOMEM;
    *ret_record = copy;
    return CVM_OK;
}

int record_load(cvm_turn *t, const char *transaction_id, json_t **ret_record)
{
    if (!record_id_valid(transaction_id))
        return CVM_ENOENT;
    int e = load(t, "txn", transaction_id, ret_record);
    return e == CVM_ENOENT ? load(t, "done", transaction_id, ret_record) : e;
}

int record_by_cookie(cvm_turn *t, cvm_id cookie, json_t **ret_record)
{
    char id[CVM_SHORT_ID_SIZE];
    if ((cookie.hi & UINT64_C(0xffffffff)) != COOKIE_HI)
        return CVM_ENOENT;
    snprintf(id, sizeof id, "TXN-%012" PRIx64, cookie.lo & UINT64_C(0xffffffffffff));
    return record_load(t, id, ret_record);
}

json_t *record_list(const json_t *record, const char *key)
{
    json_t *list = json_copy(json_object_get(record, key));
    return list ? list : json_array();
}

int64_t record_int(const json_t *record, const char *key)
{
    return cvm_json_int(record, key, 0);
}

const char *record_str(const json_t *record, const char *key)
{
    return cvm_json_str(record, key, "");
}

enum txn_state record_state(const json_t *record)
{
    enum txn_state state = TXN_RECEIVED;
    int e = txn_state_parse(record_str(record, "state"), &state);
    assert(e == CVM_OK);
    return state;
}

void record_move(json_t *record, enum txn_state to)
{
    assert(txn_may_move(record_state(record), to));
    json_object_set_new(record, "state", json_string(txn_state_name(to)));
}

/* State key of a customer's idempotency key: hashed, because customers choose keys of any length. */
static int key_of(cvm_turn *t, const char *customer_id, const char *key, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    static const char salt[] = "idempotency";
    uint8_t hash[32];
    CVM_TRY(t->host->hmac_sha256(t, salt, sizeof salt - 1, key, strlen(key), hash));
    int n = snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "key/%s/", customer_id);
    for (int i = 0; i < 16; i++)
        n += snprintf(ret_key + n, CVM_STATE_KEY_MAX + 1 - (size_t)n, "%02x", hash[i]);
    return CVM_OK;
}

int record_of_key(cvm_turn *t, const char *customer_id, const char *key, json_t **ret_record)
{
    char at[CVM_STATE_KEY_MAX + 1];
    CVM_TRY(key_of(t, customer_id, key, at));
    const json_t *stored = NULL;
    CVM_TRY(cvm_state_get(t, at, &stored));
    if (!json_is_string(stored))
        return CVM_EDATA;
    json_t *record = NULL;
    CVM_TRY(record_load(t, json_string_value(stored), &record));
    int64_t ended = record_int(record, "completed_ms");
    if (ended && ended + TXN_DAY_MS <= cvm_now_ms(t)) { /* due for the purge: the key is free again */
        json_decref(record);
        return CVM_ENOENT;
    }
    *ret_record = record;
    return CVM_OK;
}

int record_remember_key(cvm_turn *t, const char *customer_id, const char *key, const char *transaction_id)
{
    char at[CVM_STATE_KEY_MAX + 1];
    CVM_TRY(key_of(t, customer_id, key, at));
    return cvm_state_put(t, at, json_string(transaction_id));
}

/* What is kept of an ended transaction, found by time: a line of our books, and the keys that go with it:
 * [id, key, recipient's key, status, service, network, amount, total, begun at]; the day that found it at the vendor is
 * appended by books.c. */
static int purge_later(cvm_turn *t, const json_t *record)
{
    const char *id = record_str(record, "transaction_id"), *key = record_str(record, "idempotency_key");
    char at[CVM_STATE_KEY_MAX + 1], hashed[CVM_STATE_KEY_MAX + 1] = "", recipient[CVM_STATE_KEY_MAX + 1] = "";
    snprintf(at, sizeof at, "purge/%015" PRId64 "/%s", record_int(record, "completed_ms"), id);
    if (*key)
        CVM_TRY(key_of(t, record_str(record, "customer_id"), key, hashed));
    if (*record_str(record, "recipient"))
        CVM_TRY(fraud_recipient_key(t, record_str(record, "recipient"), recipient));
    return cvm_state_put(t, at,
                         json_pack("[s, s, s, s, s, s, I, I, I]", id, hashed, recipient,
                                   json_object_get(record, "items") ? "ORDER" : txn_status(record_state(record)),
                                   record_str(record, "service_type"), record_str(record, "network_or_disco"),
                                   (json_int_t)record_int(record, "amount_kobo"),
                                   (json_int_t)record_int(record, "total_kobo"),
                                   (json_int_t)record_int(record, "initiated_ms")));
}

/* What nobody can ask for any more once it was delivered: without a key it is never replayed, and there is nothing left
 * to verify. Most transactions end like this, and the store keeps each for a day. */
static void slim(json_t *record)
{
    static const char *const gone[] = {"delivery",     "delivered",  "summary",    "destination",  "remark",
                                       "context_path", "session_id", "enquiry_id", "conversation", "seller"};
    if (record_state(record) != TXN_SUCCESS || *record_str(record, "idempotency_key"))
        return;
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        json_object_del(record, gone[i]);
}

int record_save(cvm_turn *t, json_t *record)
{
    const char *id = record_str(record, "transaction_id");
    char open_key[CVM_STATE_KEY_MAX + 1], done_key[CVM_STATE_KEY_MAX + 1];
    snprintf(open_key, sizeof open_key, "txn/%s", id);
    snprintf(done_key, sizeof done_key, "done/%s", id);
    if (!txn_is_final(record_state(record)))
        return cvm_state_put(t, open_key, record);
    const json_t *was_open = NULL;
    int e = cvm_state_get(t, open_key, &was_open);
    if (e == CVM_OK) {
        e = cvm_state_del(t, open_key);
        if (e == CVM_OK)
            e = purge_later(t, record);
    } else if (e == CVM_ENOENT) {
        e = CVM_OK; /* final before: a note was added */
    }
    if (e < 0) {
        json_decref(record);
        return e;
    }
    slim(record);
    return cvm_state_put(t, done_key, record);
}

static void set_text(json_t *row, const char *column, const char *text)
{
    if (*text)
        json_object_set_new(row, column, json_string(text));
}

/* Of an order with several recipients, each of which has a transaction of its own. */
static int order_row(cvm_turn *t, const json_t *record)
{
    char at[TXN_TIME_SIZE];
    return cvm_row_put(t, "orders",
                       json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "order_id",
                                 record_str(record, "transaction_id"), "customer_id", record_str(record, "customer_id"),
                                 "service_type", record_str(record, "service_type"), "status",
                                 txn_status(record_state(record)), "recipients",
                                 (json_int_t)json_array_size(json_object_get(record, "items")), "total_amount",
                                 (json_int_t)record_int(record, "total_kobo"), "initiated_at",
                                 time_text(record_int(record, "initiated_ms"), at), "conversation",
                                 record_str(record, "conversation")));
}

int record_row(cvm_turn *t, const json_t *record)
{
    const char *id = record_str(record, "transaction_id");
    char at[TXN_TIME_SIZE];
    if (json_object_get(record, "items"))
        return order_row(t, record);
    json_t *metadata = json_pack("{s:s}", "seller", record_str(record, "seller"));
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "id", id + 4, "transaction_id", id,
        "customer_id", record_str(record, "customer_id"), "service_type", record_str(record, "service_type"),
        "network_or_disco", record_str(record, "network_or_disco"), "recipient", record_str(record, "recipient"),
        "amount", (json_int_t)record_int(record, "amount_kobo"), "service_charge",
        (json_int_t)record_int(record, "service_charge_kobo"), "discount",
        (json_int_t)record_int(record, "discount_kobo"), "total_amount", (json_int_t)record_int(record, "total_kobo"),
        "status", txn_status(record_state(record)), "initiated_at", time_text(record_int(record, "initiated_ms"), at),
        "conversation", record_str(record, "conversation"));
    if (!row || !metadata) {
        json_decref(row);
        json_decref(metadata);
        return CVM_ENOMEM;
    }
    set_text(row, "enquiry_id", record_str(record, "enquiry_id"));
    set_text(row, "external_reference", record_str(record, "reference"));
    set_text(row, "rule", record_str(record, "rule"));
    set_text(row, "reason", record_str(record, "message"));
    if (record_int(record, "completed_ms"))
        set_text(row, "completed_at", time_text(record_int(record, "completed_ms"), at));
    static const char *const told[] = {"error_code", "paid_by", "order_id", "handoff_id", "held_for", "decided_by"};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        set_text(metadata, told[i], record_str(record, told[i]));
    if (!txn_is_final(record_state(record)) && record_state(record) != TXN_HELD)
        set_text(metadata, "state", txn_state_name(record_state(record)));
    set_text(metadata, "provider_transaction_id", record_str(record, "provider_transaction_id"));
    const json_t *late = json_object_get(record, "late"), *delivered = json_object_get(record, "delivered");
    const json_t *receipt = json_object_get(delivered, "receipt");
    if (json_is_object(receipt))
        json_object_set_new(metadata, "receipt", cvm_json_share(receipt));
    if (late)
        json_object_set_new(metadata, "late_delivery", cvm_json_share(late));
    json_object_set_new(row, "metadata", metadata);
    return cvm_row_put(t, "transactions", row);
}

/* ---- purge ---- */

/* The recipients of an order with several, which were noted when it began. */
static int purge_recipients(cvm_turn *t, const char *done_key)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *order = NULL;
    int e = cvm_state_get(t, done_key, &order);
    const json_t *items = e == CVM_OK ? json_object_get(order, "items") : NULL;
    for (size_t i = 0; i < json_array_size(items); i++) {
        CVM_TRY(fraud_recipient_key(t, cvm_json_str(json_array_get(items, i), "recipient", ""), key));
        CVM_TRY(cvm_state_del(t, key));
    }
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int purge_one(cvm_turn *t, const char *at, const json_t *what)
{
    char done_key[CVM_STATE_KEY_MAX + 1];
    snprintf(done_key, sizeof done_key, "done/%s", json_string_value(json_array_get(what, 0)));
    CVM_TRY(purge_recipients(t, done_key));
    CVM_TRY(cvm_state_del(t, done_key));
    const char *key = json_string_value(json_array_get(what, 1));
    const char *recipient = json_string_value(json_array_get(what, 2));
    const json_t *holder = NULL;
    if (recipient && *recipient)
        CVM_TRY(cvm_state_del(t, recipient));
    /* The key may have been used again for another transaction since. */
    if (key && *key && cvm_state_get(t, key, &holder) == CVM_OK && json_equal(holder, json_array_get(what, 0)))
        CVM_TRY(cvm_state_del(t, key));
    return cvm_state_del(t, at);
}

int record_purge(cvm_turn *t, const cvm_msg *m)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "purge/", NULL, PURGE_BATCH, &pairs));
    int e = CVM_OK;
    size_t i, n = json_array_size(pairs);
    for (i = 0; i < n && e >= 0; i++) {
        const char *at = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        int64_t ended = 0;
        if (sscanf(at, "purge/%15" SCNd64, &ended) != 1 || ended + TXN_KEEP_MS > cvm_now_ms(t))
            break;
        e = purge_one(t, at, json_array_get(json_array_get(pairs, i), 1));
    }
    json_decref(pairs);
    if (e < 0) /* undoing the turn would undo the next timer too */
        cvm_log(t, CVM_LOG_ERROR, "purge stopped: %s", cvm_strerror(e));
    if (e >= 0 && i < PURGE_BATCH)
        CVM_TRY(books_daily(t, m));
    return cvm_timer(t, "purge", i == PURGE_BATCH ? 1 : PURGE_EVERY_MS, NULL, (cvm_id){0, 0}, NULL);
}

int record_start(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    const json_t *running = NULL;
    int e = cvm_state_get(t, "purging", &running);
    if (e != CVM_ENOENT)
        return e; /* the timer of the first start goes on, through reloads and restarts */
    CVM_TRY(cvm_state_put(t, "purging", json_true()));
    return cvm_timer(t, "purge", PURGE_EVERY_MS, NULL, (cvm_id){0, 0}, NULL);
}
