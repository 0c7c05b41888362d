/* Money in a real host beside the plain purchase: codes, approval, several recipients, payment providers, low float,
 * rules against fraud, schedules and the day's books, with networks and payment providers played by simulators. */
#include "flow_desk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define BUY "/api/v1/transactions/airtime"

static char network_url[64], payment_url[64];
static int network_port;

static void start_networks(struct flow *f, const char *name, const char *naira)
{
    char port[8], ledger[128];
    snprintf(port, sizeof port, "%d", network_port);
    snprintf(ledger, sizeof ledger, "%s/%s.jsonl", f->home, "networks");
    flow_spawn(f, name,
               (const char *const[]){"examples/simulators/network_sim/network_sim", "--port", port, "--ledger", ledger,
                                     "--quiet", "--settle-ms", "300", "--hang-ms", "20000", "--float", naira, NULL});
}

static json_t *settings(json_t *agents, const char *id)
{
    if (!json_object_get(agents, id))
        json_object_set_new(agents, id, json_pack("{s:{}}", "settings"));
    return json_object_get(json_object_get(agents, id), "settings");
}

static void set_url(json_t *agents, const char *id, const char *format, const char *url)
{
    char text[128];
    snprintf(text, sizeof text, format, url);
    json_object_set_new(settings(agents, id), "base_url", json_string(text));
    json_object_set_new(settings(agents, id), "timeout_ms", json_integer(1000));
}

/* Wallets, airtime, the networks and somebody who tells customers; not started. */
static struct flow *home(const char *naira)
{
    static const char *const plugins[] = {"transaction", "airtime", "network", "service", "pager", NULL};
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    static const char *const secrets[] = {"MTN_API_KEY", "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY"};
    struct flow *f = flow_new();
    char url[128], id[64];
    network_port = flow_free_port();
    snprintf(network_url, sizeof network_url, "http://127.0.0.1:%d", network_port);
    start_networks(f, "network_sim", naira);
    for (const char *const *name = plugins; *name; name++)
        flow_plugin(f, *name);
    json_t *agents = json_object();
    for (size_t i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "provider.network.%s", networks[i]);
        snprintf(url, sizeof url, "%s/%s/v1", network_url, networks[i]);
        set_url(agents, id, "%s", url);
        snprintf(url, sizeof url, "%s/statement", network_url);
        json_object_set_new(settings(agents, id), "statement_url", json_string(url));
        flow_env(f, secrets[i], "sim-key");
    }
    json_object_update_new(
        settings(agents, "service.transaction"),
        json_pack("{s:i, s:i, s:i}", "answer_within_ms", 1500, "reconcile_after_s", 2, "float_retry_s", 1));
    json_object_update_new(settings(agents, "service.airtime_sales"), json_pack("{s:i}", "credit_timeout_s", 8));
    flow_config(f, "agents", agents);
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_env(f, "OTP_KEY", "a key of sixteen letters");
    return f;
}

static json_t *transaction_settings(struct flow *f)
{
    return settings(json_object_get(f->config, "agents"), "service.transaction");
}

static void wallet(struct flow *f, const char *customer, const char *phone, const char *naira)
{
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", customer, phone), 0);
    if (naira)
        ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "credit", customer, naira), 0);
}

static int64_t kobo(struct flow *f, const char *customer, const char *member)
{
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "wallet", "show", customer, "--output", "json"), 0);
    int64_t n = int_of(a.json, member);
    flow_answer_free(&a);
    return n;
}

static int buy(struct flow *f, const char *customer, const char *phone, int naira, struct flow_answer *ret)
{
    char body[256];
    snprintf(body, sizeof body, "{\"network\": \"MTN\", \"phone\": \"%s\", \"amount\": %d, \"customer_id\": \"%s\"}",
             phone, naira, customer);
    return flow_http(f, "POST", BUY, body, NULL, ret);
}

static json_t *ledger_of(struct flow *f, const char *url, const char *path)
{
    struct flow_answer a;
    struct flow other = *f;
    snprintf(other.url, sizeof other.url, "%s", url);
    ck_assert_int_eq(flow_http(&other, "GET", path, NULL, NULL, &a), 200);
    json_t *entries = json_incref(json_object_get(a.json, "entries"));
    flow_answer_free(&a);
    return entries;
}

/* How many vends were delivered, and for how much. */
static int64_t vended(struct flow *f, size_t *ret_count)
{
    json_t *entries = ledger_of(f, network_url, "/ledger"), *one;
    size_t i, n = 0;
    int64_t sum = 0;
    json_array_foreach(entries, i, one) if (!strcmp(text_of(one, "status"), "delivered"))
    {
        n++;
        sum += int_of(one, "amount_kobo");
    }
    json_decref(entries);
    *ret_count = n;
    return sum;
}

static json_t *told(struct flow *f, const char *customer)
{
    char data[96];
    snprintf(data, sizeof data, "{\"customer_id\": \"%s\"}", customer);
    return flow_call(f, "service.notification", "shown", data, NULL);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* an order above the limit waits for a code, and then each number gets its own. */
START_TEST(several_numbers_after_a_code)
{
    struct flow *f = home("100000000");
    struct flow_answer a;
    char id[32], code[8], path[128];
    size_t n;
    flow_start(f);
    wallet(f, "ADA", "08031234567", "100000");
    snprintf(path, sizeof path, "%s/list.csv", f->home);
    flow_write(f, "list.csv", "# number, amount\n08031112221,30000\n08031112222, 25000.05 ,MTN\n\n08030000002,5000\n");
    ck_assert_int_eq(
        FLOW_RUN(f, &a, "buy", "airtime", "--recipients", path, "--customer-id", "ADA", "--output", "json"), 1);
    const json_t *answer = json_object_get(json_object_get(a.json, "error"), "data");
    ck_assert_msg(!strcmp(text_of(answer, "waits_for"), "code"), "%s %s", a.text, a.errors);
    snprintf(id, sizeof id, "%s", text_of(answer, "transaction_id"));
    flow_answer_free(&a);
    ck_assert_int_eq(kobo(f, "ADA", "held_kobo"), 0);
    json_t *message = told(f, "ADA");
    ck_assert_ptr_nonnull(strstr(text_of(message, "text"), "{code}"));
    snprintf(code, sizeof code, "%s", text_of(message, "code"));
    json_decref(message);
    ck_assert_uint_eq(strlen(code), 6);
    snprintf(path, sizeof path, "/api/v1/transactions/%s/confirm", id);
    ck_assert_int_eq(
        flow_http(f, "POST", path, strcmp(code, "000000") ? "{\"code\": \"000000\"}" : "{\"code\": \"1\"}", NULL, NULL),
        422);
    /* Nobody but the customer knows the code: not the journal's story, the log, or the database. */
    ck_assert_int_eq(FLOW_RUN(f, &a, "why", id), 0);
    ck_assert_ptr_null(strstr(a.text, code));
    flow_answer_free(&a);
    char *log = flow_log(f);
    ck_assert_ptr_null(strstr(log, code));
    free(log);
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "confirm", id, code, "--output", "json"), 0);
    const json_t *order = json_object_get(a.json, "order");
    ck_assert_int_eq(int_of(order, "delivered"), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(order, "results")), 3);
    flow_answer_free(&a);
    ck_assert_int_eq(vended(f, &n), 5500005);
    ck_assert_uint_eq(n, 2);
    /* 5 % of the whole order; what did not arrive is back, each with its own share. */
    int64_t paid = flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind = 'settle'");
    ck_assert_int_eq(kobo(f, "ADA", "balance_kobo"), 10000000 - paid);
    ck_assert_int_eq(paid + flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind = 'refund'"),
                     6000005 - 300000);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from otp_challenges where status = 'confirmed'"), 1);
    EXPECT(f, 2, "recipients", "buy", "airtime", "--recipients", "/dev/null/none", "--customer-id", "ADA");
    flow_end(f);
}
END_TEST

/* the sixth within a minute is flagged and waits for a human. */
START_TEST(sixth_in_a_minute_waits)
{
    struct flow *f = home("100000000");
    struct flow_answer a;
    char id[32];
    size_t n;
    flow_start(f);
    wallet(f, "ADA", "08031234567", "5000");
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(buy(f, "ADA", "08031112221", 100 + i, NULL), 200);
    ck_assert_int_eq(buy(f, "ADA", "08031112221", 200, &a), 202);
    ck_assert_str_eq(text_of(a.json, "waits_for"), "human");
    snprintf(id, sizeof id, "%s", text_of(a.json, "transaction_id"));
    flow_answer_free(&a);
    EXPECT(f, 0, "VELOCITY", "transaction", "flags");
    EXPECT(f, 0, "cvmhost_fraud_flags_total{kind=\"VELOCITY\"} 1", "metrics");
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from handoffs where queue = 'transactions'") == 1);
    ck_assert_int_eq(kobo(f, "ADA", "held_kobo"), 0);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    EXPECT(f, 0, "Done", "transaction", "approve", id, "--by", "Bola");
    vended(f, &n);
    ck_assert_uint_eq(n, 6);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from handoffs where status = 'resolved' and claimed_by = 'Bola'") == 1);
    ck_assert_int_eq(buy(f, "ADA", "08031112221", 100, NULL), 422); /* exactly this a moment ago */
    flow_end(f);
}
END_TEST

/* What our float does not cover waits for it, through a kill, and is delivered once. */
START_TEST(low_float_is_waited_for)
{
    struct flow *f = home("500");
    struct flow_answer a;
    size_t n;
    json_object_set_new(settings(json_object_get(f->config, "agents"), "service.airtime_sales"), "credit_timeout_s",
                        json_integer(120)); /* it waits no longer */
    flow_start(f);
    wallet(f, "ADA", "08031234567", "5000");
    ck_assert_int_eq(buy(f, "ADA", "08031112221", 1000, &a), 202);
    ck_assert_str_eq(text_of(a.json, "waits_for"), "float");
    flow_answer_free(&a);
    EXPECT(f, 0, "low_float", "transaction", "stops");
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    ck_assert_int_eq(kobo(f, "ADA", "held_kobo"), 100000);
    ck_assert_int_eq(flow_stop(f), 0); /* to ask while no network is there would end it */
    kill(f->spawned[0], SIGKILL);
    ck_assert_int_eq(waitpid(f->spawned[0], NULL, 0), f->spawned[0]);
    f->n_spawned = 0;
    start_networks(f, "network_again", "100000");
    flow_start(f);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'") == 1);
    ck_assert_int_eq(vended(f, &n), 100000);
    ck_assert_uint_eq(n, 1);
    EXPECT(f, 0, "balanced", "transaction", "reconcile", "--output", "json");
    flow_end(f);
}
END_TEST

/* the first provider is down, so the second charges, once; a link that is paid is finished by webhook. */
static struct flow *gateway(const char *first)
{
    struct flow *f = home("100000000");
    char port[8], hook[96];
    int number = flow_free_port();
    f->port = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(payment_url, sizeof payment_url, "http://127.0.0.1:%d", number);
    snprintf(hook, sizeof hook, "http://127.0.0.1:%d/webhooks", f->port);
    flow_spawn(f, "payment_sim",
               (const char *const[]){"examples/simulators/payment_sim/payment_sim", "--port", port, "--quiet",
                                     "--webhooks", hook, "--settle-ms", "300", NULL});
    flow_plugin(f, "paystack");
    flow_plugin(f, "flutterwave");
    json_t *agents = json_object_get(f->config, "agents");
    set_url(agents, "provider.payment.paystack", "%s/paystack", first ? first : payment_url);
    set_url(agents, "provider.payment.flutterwave", "%s/flutterwave/v3", payment_url);
    json_object_set_new(transaction_settings(f), "gateway_payments", json_true());
    flow_env(f, "PAYSTACK_SECRET_KEY", "sim-key");
    flow_env(f, "FLUTTERWAVE_SECRET_KEY", "sim-key");
    flow_env(f, "FLUTTERWAVE_SECRET_HASH", "sim-key");
    flow_start(f);
    return f;
}

static size_t payments(struct flow *f, const char *provider)
{
    json_t *entries = ledger_of(f, payment_url, "/ledger"), *one;
    size_t i, n = 0;
    json_array_foreach(entries, i, one) n +=
        !strcmp(text_of(one, "provider"), provider) && !strcmp(text_of(one, "status"), "delivered");
    json_decref(entries);
    return n;
}

static void authorize(struct flow *f, const char *code)
{
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "authorize", "POOR", "provider.payment.paystack", code), 0);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "authorize", "POOR", "provider.payment.flutterwave", code), 0);
}

START_TEST(second_provider_when_the_first_is_down)
{
    struct flow *f = gateway("http://127.0.0.1:1");
    struct flow_answer a;
    wallet(f, "POOR", "08031234567", NULL);
    authorize(f, "AUTH_7777");
    ck_assert_int_eq(buy(f, "POOR", "08031112221", 1000, &a), 200);
    flow_answer_free(&a);
    ck_assert_uint_eq(payments(f, "FLUTTERWAVE"), 1);
    ck_assert_uint_eq(payments(f, "PAYSTACK"), 0);
    ck_assert_int_eq(kobo(f, "POOR", "balance_kobo"), 0);
    flow_end(f);
}
END_TEST

START_TEST(lost_answers_of_a_provider_charge_once)
{
    static const char *const codes[] = {"AUTH_0008", "AUTH_0010", "AUTH_0015", "AUTH_0014", "AUTH_0019"};
    struct flow *f = gateway(NULL);
    wallet(f, "POOR", "08031234567", NULL);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        authorize(f, codes[i]);
        int status = buy(f, "POOR", "08031112221", 1000 + (int)i, NULL);
        ck_assert_msg(status == 200 || status == 202, "%s: %d", codes[i], status);
    }
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'") == 5);
    ck_assert_uint_eq(payments(f, "PAYSTACK"), 5);
    ck_assert_uint_eq(payments(f, "FLUTTERWAVE"), 0);
    ck_assert_int_eq(kobo(f, "POOR", "balance_kobo"), 0);
    ck_assert_int_eq(flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind = 'settle'"), 501000);
    flow_end(f);
}
END_TEST

START_TEST(link_is_finished_by_its_webhook)
{
    struct flow *f = gateway(NULL);
    struct flow_answer a;
    size_t n;
    wallet(f, "POOR", "08031234567", NULL);
    ck_assert_int_eq(buy(f, "POOR", "08031112221", 1000, &a), 202);
    ck_assert_str_eq(text_of(a.json, "waits_for"), "payment");
    ck_assert(*text_of(a.json, "payment_url"));
    flow_answer_free(&a);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    json_t *rows = flow_sql(f, "select transaction_id from transactions");
    char path[96];
    snprintf(path, sizeof path, "/pay/paystack/%s-P1", text_of(json_array_get(rows, 0), "transaction_id"));
    json_decref(rows);
    struct flow payer = *f;
    snprintf(payer.url, sizeof payer.url, "%s", payment_url);
    ck_assert_int_eq(flow_http(&payer, "GET", path, NULL, NULL, NULL), 200);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'") == 1);
    ck_assert_int_eq(vended(f, &n), 100000);
    ck_assert_uint_eq(n, 1);
    FLOW_UNTIL(({
        json_t *message = told(f, "POOR");
        bool done = !strcmp(text_of(message, "template"), "purchase_delivered");
        json_decref(message);
        done;
    }));
    flow_end(f);
}
END_TEST

/* what is bought again and again stands through a kill. */
START_TEST(schedules_survive)
{
    struct flow *f = home("100000000");
    struct flow_answer a;
    char id[32];
    flow_start(f);
    wallet(f, "ADA", "08031234567", "5000");
    ck_assert_int_eq(FLOW_RUN(f, &a, "schedule", "add", "airtime", "--customer", "ADA", "--every", "monthly",
                              "--network", "MTN", "--recipient-phone", "08031112221", "--amount", "500", "--output",
                              "json"),
                     0);
    ck_assert_ptr_nonnull(strstr(text_of(a.json, "next_run_at"), "T07:00:00.000Z")); /* eight in Lagos */
    EXPECT(f, 5, "a year", "schedule", "add", "airtime", "--customer", "ADA", "--every", "daily", "--network", "MTN",
           "--recipient-phone", "08031112221", "--amount", "500", "--start", "2099-01-31");
    snprintf(id, sizeof id, "%s", text_of(a.json, "schedule_id"));
    flow_answer_free(&a);
    EXPECT(f, 2, "daily", "schedule", "add", "airtime", "--customer", "ADA", "--every", "hourly");
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    EXPECT(f, 0, id, "schedule", "list", "--customer", "ADA");
    EXPECT(f, 0, "cancelled", "schedule", "cancel", id);
    EXPECT(f, 4, "no schedule", "schedule", "cancel", "SCH-000000000000");
    flow_end(f);
}
END_TEST

/* The books of the day, line by line, also as a file. */
START_TEST(books_agree_with_the_networks)
{
    struct flow *f = home("100000000");
    struct flow_answer a;
    char file[128];
    json_object_set_new(transaction_settings(f), "max_per_minute", json_integer(100));
    flow_start(f);
    wallet(f, "ADA", "08031234567", "50000");
    for (int i = 0; i < 8; i++)
        buy(f, "ADA", i % 4 == 3 ? "08030000002" : "08031112221", 1000 + i, NULL);
    ck_assert_int_eq(FLOW_RUN(f, &a, "transaction", "reconcile", "--output", "json"), 0);
    ck_assert_str_eq(text_of(a.json, "status"), "balanced");
    ck_assert_int_eq(int_of(a.json, "transactions"), 8);
    ck_assert_int_eq(int_of(a.json, "succeeded"), 6);
    ck_assert_int_eq(int_of(a.json, "delivered"), 6);
    ck_assert_int_eq(int_of(a.json, "refunded"), 2);
    flow_answer_free(&a);
    snprintf(file, sizeof file, "%s/output/books.csv", f->home);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "transaction", "reconcile", "--output", "csv", "--output-file", file), 0);
    char *csv = flow_read(f, "output/books.csv");
    ck_assert_ptr_nonnull(strstr(csv, "kind,provider,transaction_id,ours,theirs,difference"));
    free(csv);
    EXPECT(f, 0, "balanced", "transaction", "reports");
    flow_end(f);
}
END_TEST

/* the third failed purchase of a session goes to a human. */
START_TEST(third_failure_goes_to_a_human)
{
    struct flow *f = desk_started();
    for (int i = 1; i <= 3; i++) {
        char text[96];
        snprintf(text, sizeof text, "Buy %d naira MTN airtime for 08030000002", 100 + i);
        json_t *r = desk_say(f, "08062464584", "WEB", text);
        ck_assert_msg(!strcmp(text_of(r, "status"), "ESCALATED") == (i == 3), "%d: %s %s %s", i, text_of(r, "status"),
                      text_of(r, "reason"), text_of(r, "response_text"));
        if (i == 3)
            ck_assert_str_eq(text_of(r, "reason"), "transaction_failure_count");
        json_decref(r);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from transactions where status = 'REFUNDED'"), 3);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("money");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, several_numbers_after_a_code);
    tcase_add_test(c, sixth_in_a_minute_waits);
    tcase_add_test(c, low_float_is_waited_for);
    tcase_add_test(c, second_provider_when_the_first_is_down);
    tcase_add_test(c, lost_answers_of_a_provider_charge_once);
    tcase_add_test(c, link_is_finished_by_its_webhook);
    tcase_add_test(c, schedules_survive);
    tcase_add_test(c, books_agree_with_the_networks);
    tcase_add_test(c, third_failure_goes_to_a_human);
    return flow_main("money", (TCase *[]){c, NULL});
}
