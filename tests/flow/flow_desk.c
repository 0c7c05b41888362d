/* The product's home for flow tests, and its books; see flow_desk.h. One thread. */
#include "flow_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char sim_url[64];

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

/* The product with simulated networks. Doubt ends soon: an answer within 1.5 s, a refund after 4 s. Not started. */
struct flow *desk_home(void)
{
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    static const char *const secrets[] = {"MTN_API_KEY", "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY"};
    struct flow *f = flow_new();
    char port[8], path[96], url[96];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(sim_url, sizeof sim_url, "http://127.0.0.1:%d", number);
    flow_spawn(f, "network_sim",
               (const char *const[]){"examples/simulators/network_sim/network_sim", "--port", port, "--quiet",
                                     "--settle-ms", "500", "--hang-ms", "20000", NULL});
    flow_product(f);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "provider.network.%s", networks[i]);
        snprintf(url, sizeof url, "%s/%s/v1", sim_url, networks[i]);
        json_object_set_new(json_object_get(f->config, "agents"), path,
                            json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
        flow_env(f, secrets[i], "sim-key");
    }
    json_t *agents = json_object_get(f->config, "agents");
    json_object_set_new(agents, "service.transaction",
                        json_pack("{s:{s:i, s:i}}", "settings", "answer_within_ms", 1500, "reconcile_after_s", 2));
    json_object_set_new(agents, "service.airtime_sales", json_pack("{s:{s:i}}", "settings", "credit_timeout_s", 4));
    return f;
}

struct flow *desk_started(void)
{
    struct flow *f = desk_home();
    flow_start(f);
    return f;
}

void desk_ended(struct flow *f)
{
    ck_assert_int_eq(flow_stop(f), 0);
    flow_free(f);
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

json_t *desk_ledger(struct flow *f)
{
    struct flow_answer a;
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, sim_url, sizeof own);
    ck_assert_int_eq(flow_http(f, "GET", "/ledger", NULL, NULL, &a), 200);
    memcpy(f->url, own, sizeof own);
    json_t *entries = json_incref(json_object_get(a.json, "entries"));
    flow_answer_free(&a);
    return entries;
}

/* The network's entry of a transaction, NULL: none. Borrowed from `entries`. */
const json_t *desk_vended(const json_t *entries, const char *transaction)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(entries, i, entry) if (!strcmp(text_of(entry, "reference"), transaction) &&
                                              !strcmp(text_of(entry, "status"), "delivered")) return entry;
    return NULL;
}

/* Every success stands once in transactions, wallet and the network's ledger with equal sums, and nothing else was
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
