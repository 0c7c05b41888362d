/* The product's home for flow tests, and its books; see flow_desk.h. One thread. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char network_url[64], disco_url[64];

const char *const desk_discos[] = {"AEDC", "BEDC",   "EKEDC", "EEDC",  "IBEDC", "IKEDC",
                                   "JED",  "KAEDCO", "KEDCO", "PHEDC", "YEDC",  NULL};

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool listed(const json_t *list, const char *text)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) if (json_is_string(one) && !strcmp(json_string_value(one), text)) return true;
    return false;
}

/* Starts a simulator of the build; gives its address. */
static void simulator(struct flow *f, const char *name, char ret_url[64])
{
    char port[8], path[96];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(path, sizeof path, "examples/simulators/%s/%s", name, name);
    snprintf(ret_url, 64, "http://127.0.0.1:%d", number);
    flow_spawn(f, name, (const char *const[]){path, "--port", port, "--settle-ms", "500", "--hang-ms", "20000", NULL});
}

static void provider(struct flow *f, const char *kind, const char *code, const char *secret, json_t *settings)
{
    char id[96];
    snprintf(id, sizeof id, "provider.%s.%s", kind, code);
    json_object_set_new(settings, "timeout_ms", json_integer(1000));
    json_object_set_new(json_object_get(f->config, "agents"), id, json_pack("{s:o}", "settings", settings));
    flow_env(f, secret, "sim-key");
}

/* The product with simulated networks and distribution companies. Doubt ends soon: an answer within 1.5 s, a refund
 * after 4 s. Not started. */
struct flow *desk_home(void)
{
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    static const char *const secrets[] = {"MTN_API_KEY", "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY"};
    struct flow *f = flow_new();
    char url[96], secret[32];
    simulator(f, "network_sim", network_url);
    simulator(f, "disco_sim", disco_url);
    flow_product(f);
    for (size_t i = 0; i < 4; i++) {
        snprintf(url, sizeof url, "%s/%s/v1", network_url, networks[i]);
        provider(f, "network", networks[i], secrets[i], json_pack("{s:s}", "base_url", url));
    }
    for (const char *const *code = desk_discos; *code; code++) {
        char lower[16] = "";
        for (size_t i = 0; (*code)[i]; i++)
            lower[i] = (char)((*code)[i] | 0x20);
        snprintf(url, sizeof url, "%s/%s", disco_url, lower);
        snprintf(secret, sizeof secret, "%s_API_KEY", *code);
        provider(f, "disco", lower, secret,
                 json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "base_url", url, "validate_path", "/validate", "vend_path",
                           "/vend", "verify_path", "/verify", "bill_path", "/bill", "validate_timeout_ms", 1000));
    }
    json_t *agents = json_object_get(f->config, "agents");
    json_object_set_new(agents, "service.transaction",
                        json_pack("{s:{s:i, s:i, s:i}}", "settings", "answer_within_ms", 1500, "reconcile_after_s", 2,
                                  "duplicate_window_s", 0));
    json_object_set_new(agents, "service.airtime_sales", json_pack("{s:{s:i}}", "settings", "credit_timeout_s", 4));
    json_object_set_new(agents, "service.data_sales", json_pack("{s:{s:i}}", "settings", "credit_timeout_s", 4));
    json_object_set_new(agents, "service.power_sales",
                        json_pack("{s:{s:i, s:i}}", "settings", "credit_timeout_s", 4, "answer_within_ms", 1500));
    return f;
}

struct flow *desk_started(void)
{
    struct flow *f = desk_home();
    flow_start(f);
    return f;
}

/* The answer to a message (json_decref); `phone` NULL for a sample customer. */
json_t *desk_say(struct flow *f, const char *phone, const char *channel, const char *message)
{
    struct flow_answer a;
    json_t *body = json_pack("{s:s, s:s, s:s*}", "message", message, "channel", channel, "customer_phone", phone);
    char *text = json_dumps(body, 0);
    ck_assert_msg(flow_http(f, "POST", "/api/v1/enquiries", text, NULL, &a) == 200, "%s: %d %s", message, a.status,
                  a.text);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    free(text);
    json_decref(body);
    return answer;
}

/* ---- the books ----------------------------------------------------------------------------------------------------
 */

static json_t *ledger_of(struct flow *f, const char *url)
{
    struct flow_answer a;
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, url, sizeof own);
    ck_assert_int_eq(flow_http(f, "GET", "/ledger", NULL, NULL, &a), 200);
    memcpy(f->url, own, sizeof own);
    json_t *entries = json_incref(json_object_get(a.json, "entries"));
    flow_answer_free(&a);
    return entries;
}

json_t *desk_ledger(struct flow *f)
{
    json_t *entries = ledger_of(f, network_url), *more = ledger_of(f, disco_url);
    json_array_extend(entries, more);
    json_decref(more);
    return entries;
}

/* The entry of a transaction in the outside books, NULL: none. Borrowed from `entries`. */
const json_t *desk_vended(const json_t *entries, const char *transaction)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(entries, i, entry) if (!strcmp(text_of(entry, "reference"), transaction) &&
                                              !strcmp(text_of(entry, "status"), "delivered")) return entry;
    return NULL;
}

/* Every success stands once in transactions, wallet and the outside books with equal sums, and nothing else was
 * vended. Returns how many. */
size_t desk_check_books(struct flow *f)
{
    json_t *entries = desk_ledger(f), *row,
           *rows = flow_sql(f, "select t.*, e.amount_kobo as paid from transactions t left join "
                               "wallet_entries e on e.transaction_id = t.transaction_id and "
                               "e.kind = 'settle' where t.status = 'SUCCESS'");
    size_t i, n = json_array_size(rows), delivered = 0;
    json_array_foreach(rows, i, row)
    {
        const json_t *entry = desk_vended(entries, text_of(row, "transaction_id"));
        ck_assert_msg(entry, "%s was paid and not vended", text_of(row, "transaction_id"));
        ck_assert_int_eq(int_of(entry, "amount_kobo"), int_of(row, "amount"));
        ck_assert_int_eq(int_of(row, "paid"), int_of(row, "total_amount"));
    }
    json_array_foreach(entries, i, row) delivered += !strcmp(text_of(row, "status"), "delivered");
    ck_assert_uint_eq(delivered, n);
    json_decref(entries);
    json_decref(rows);
    return n;
}
