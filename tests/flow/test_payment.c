/* Money from outside: Paystack and Flutterwave, played by payment_sim, asked by the saga in their order, and their
 * webhooks. Every ending of a charge; the first provider away; webhooks that are forged, repeated and out of order. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const providers[] = {"paystack", "flutterwave"};
static char pay_url[64], sim_url[64];

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void start_simulators(struct flow *f, const char *hook_faults)
{
    char port[8], hooks[64];
    int number = flow_free_port();
    f->port = flow_kept_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(pay_url, sizeof pay_url, "http://127.0.0.1:%d", number);
    snprintf(hooks, sizeof hooks, "http://127.0.0.1:%d/webhooks", f->port);
    flow_spawn(f, "payment_sim",
               (const char *const[]){"examples/simulators/payment_sim/payment_sim", "--port", port, "--settle-ms",
                                     "500", "--hang-ms", "20000", "--webhooks", hooks, "--webhook-ms", "100",
                                     "--webhook-faults", hook_faults, NULL});
    number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(sim_url, sizeof sim_url, "http://127.0.0.1:%d", number);
    flow_spawn(f, "network_sim",
               (const char *const[]){"examples/simulators/network_sim/network_sim", "--port", port, "--quiet", NULL});
}

/* Sellers, wallets that may be filled from outside, and both payment providers; `away` is one that nobody answers for.
 */
static struct flow *home(const char *hook_faults, const char *away)
{
    static const char *const plugins[] = {"transaction", "airtime", "network", "paystack", "flutterwave"};
    static const char *const secrets[] = {"MTN_API_KEY", "PAYSTACK_SECRET_KEY", "FLUTTERWAVE_SECRET_KEY",
                                          "FLUTTERWAVE_SECRET_HASH"};
    struct flow *f = flow_new();
    char url[96];
    start_simulators(f, hook_faults);
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++)
        flow_plugin(f, plugins[i]);
    json_t *agents =
        json_pack("{s:{s:{s:i, s:b, s:i, s:i, s:i}}, s:{s:{s:i}}}", "service.transaction", "settings",
                  "answer_within_ms", 3000, "gateway_payments", 1, "link_valid_s", 60, "max_per_minute", 1000,
                  "reconcile_after_s", 2, "service.airtime_sales", "settings", "credit_timeout_s", 6);
    for (size_t i = 0; i < 2; i++) {
        char id[64];
        snprintf(id, sizeof id, "provider.payment.%s", providers[i]);
        if (away && !strcmp(away, providers[i]))
            snprintf(url, sizeof url, "http://127.0.0.1:%d", flow_free_port());
        else
            snprintf(url, sizeof url, "%s/%s%s", pay_url, providers[i], i ? "/v3" : "");
        json_object_set_new(agents, id, json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
    }
    snprintf(url, sizeof url, "%s/mtn/v1", sim_url);
    json_object_set_new(agents, "provider.network.mtn",
                        json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
    flow_config(f, "agents", agents);
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        flow_env(f, secrets[i], "sim-key");
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "wallet", "open", "ADA", "08031234567"), 0);
    return f;
}

static json_t *ask(struct flow *f, const char *provider, const char *type, const char *format, const char *a,
                   const char *b)
{
    char id[64], data[256];
    snprintf(id, sizeof id, "provider.payment.%s", provider);
    snprintf(data, sizeof data, format, a, b);
    return flow_call(f, id, type, data, NULL);
}

static json_t *charge(struct flow *f, const char *provider, const char *reference, const char *authorization)
{
    return ask(
        f, provider, "charge",
        "{\"reference\": \"%s\", \"amount_kobo\": 500050, \"currency\": \"NGN\", \"authorization\": \"%s\", \"email\": "
        "\"ada@example.ng\"}",
        reference, authorization);
}

static json_t *verify(struct flow *f, const char *provider, const char *reference)
{
    return ask(f, provider, "verify", "{\"reference\": \"%s\"}%s", reference, "");
}

static int64_t counted(struct flow *f, const char *provider, const char *what)
{
    json_t *counts = ask(f, provider, "webhook_counts", "{}%s%s", "", "");
    int64_t n = int_of(counts, what);
    json_decref(counts);
    return n;
}

/* A customer follows a link. */
static void pay(struct flow *f, const char *link)
{
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, pay_url, sizeof own);
    ck_assert_msg(!strncmp(link, pay_url, strlen(pay_url)), "%s", link);
    ck_assert_int_eq(flow_http(f, "GET", link + strlen(pay_url), NULL, NULL, NULL), 200);
    memcpy(f->url, own, sizeof own);
}

static int buy(struct flow *f, struct flow_answer *ret)
{
    static int more; /* the same twice would be asked about */
    char body[160];
    snprintf(body, sizeof body,
             "{\"network\": \"MTN\", \"phone\": \"08031234567\", \"amount\": %d, \"customer_id\": \"ADA\"}",
             500 + more++);
    return flow_http(f, "POST", "/api/v1/transactions/airtime", body, NULL, ret);
}

static int64_t sold(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from transactions where status = 'SUCCESS'");
}

/* ---- the providers ---- */

/* The last four digits of an authorisation make the provider behave; see payment_sim --help. */
/* clang-format off */
static const struct {
    const char *end, *status;
    int technical; /* -1: not said, or not the same with both */
} endings[] = {
    {"0000", "succeeded", -1}, {"0001", "failed", 0}, {"0002", "failed", 0}, {"0003", "pending", -1}, {"0005", "failed", -1},
    {"0006", "failed", 1}, {"0008", "succeeded", -1}, {"0010", "succeeded", -1}, {"0011", "failed", 1}, {"0014", "succeeded", -1},
    {"0015", "succeeded", -1}, {"0016", "succeeded", -1}, {"0018", "succeeded", -1}, {"0019", "pending", -1},
    {"0030", "unknown", -1}, {"0031", "unknown", -1},
};
/* clang-format on */

START_TEST(every_ending_of_a_charge)
{
    struct flow *f = home("0", NULL);
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
            char reference[40], authorization[32];
            snprintf(reference, sizeof reference, "TXN-%s-P1", endings[i].end);
            snprintf(authorization, sizeof authorization, "AUTH_%s", endings[i].end);
            json_t *r = charge(f, providers[p], reference, authorization);
            ck_assert_msg(!strcmp(text_of(r, "status"), endings[i].status), "%s %s: %s", providers[p], endings[i].end,
                          text_of(r, "status"));
            if (endings[i].technical >= 0)
                ck_assert_int_eq(json_is_true(json_object_get(r, "technical")), endings[i].technical);
            json_decref(r);
        }
        json_t *again = charge(f, providers[p], "TXN-0000-P1", "AUTH_0000"); /* charged once */
        ck_assert_str_eq(text_of(again, "status"), "succeeded");
        json_decref(again);
        json_t *other = verify(f, providers[p], "TXN-0030-P1"); /* says what was paid */
        ck_assert_str_eq(text_of(other, "status"), "succeeded");
        ck_assert_int_eq(int_of(other, "amount_kobo"), 500050 - 100);
        json_decref(other);
        other = verify(f, providers[p], "TXN-never");
        ck_assert_str_eq(text_of(other, "status"), "not_found");
        json_decref(other);
    }
    ck_assert(flow_logged(f, "MISMATCH"));
    flow_end(f);
}
END_TEST

START_TEST(a_refund_is_given_once)
{
    static const char refund[] = "{\"reference\": \"%s\", \"amount_kobo\": 500050, \"refund_reference\": \"%s\"}";
    struct flow *f = home("0", NULL);
    for (size_t p = 0; p < 2; p++) {
        json_decref(charge(f, providers[p], "TXN-back-P1", "AUTH_0000"));
        for (int i = 0; i < 3; i++) {
            json_t *r = ask(f, providers[p], "refund", refund, "TXN-back-P1", "RFD-1");
            ck_assert_msg(!strcmp(text_of(r, "status"), "pending") || (i && !strcmp(text_of(r, "status"), "succeeded")),
                          "%s", text_of(r, "status"));
            json_decref(r);
        }
        json_t *r = ask(f, providers[p], "refund", refund, "TXN-none-P1", "RFD-2");
        ck_assert_str_eq(text_of(r, "status"), "failed");
        json_decref(r);
    }
    flow_end(f);
}
END_TEST

START_TEST(webhooks_are_signed_and_taken_once)
{
    struct flow *f = home("1", NULL); /* each comes forged, twice, and late once more */
    static const char *const lie =
        "{\"event\":\"charge.success\",\"data\":{\"id\":1,\"status\":\"success\",\"reference\":"
        "\"TXN-lie-P1\",\"amount\":100000000,\"currency\":\"NGN\"}}";
    static const char *const signatures[] = {
        "x-paystack-signature: 0000",
        "flutterwave-signature: AAAA",
        "verif-hash: sim-key",
        "x-other: sim-key",
    };
    for (size_t p = 0; p < 2; p++) {
        char path[64];
        json_decref(charge(f, providers[p], "TXN-hook-P1", "AUTH_0000"));
        FLOW_UNTIL(counted(f, providers[p], "accepted") == 1 && counted(f, providers[p], "repeated") == 2 &&
                   counted(f, providers[p], "forged") == 1);
        snprintf(path, sizeof path, "/webhooks/%s", providers[p]);
        for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
            const char *const headers[] = {signatures[i], NULL};
            struct flow_answer a;
            ck_assert_int_eq(flow_http(f, "POST", path, lie, headers, &a), 401);
            flow_answer_free(&a);
        }
        ck_assert_int_eq(flow_http(f, "POST", path, lie, NULL, NULL), 401);
        ck_assert_int_eq(flow_http(f, "POST", path, "", NULL, NULL), 401);
        ck_assert_int_eq(counted(f, providers[p], "forged"), 7);
        struct flow_answer a;
        char metric[96];
        snprintf(metric, sizeof metric, "cvmhost_%s_webhooks_total{result=\"forged\"} 7", providers[p]);
        ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
        ck_assert_msg(strstr(a.text, metric), "no %s", metric);
        flow_answer_free(&a);
        ck_assert_int_eq(counted(f, providers[p], "accepted"), 1);
        /* What had a wrong signature is asked of nobody and told to nobody. */
        ck_assert_int_eq(flow_sql_int(f, "select count(*) from state where key like '%lie%'"), 0);
        ck_assert_int_eq(flow_sql_int(f, "select count(*) from messages where envelope like '%\"payment_event\"%' and "
                                         "envelope like '%TXN-lie%'"),
                         0);
    }
    flow_end(f);
}
END_TEST

/* ---- the saga ---- */

START_TEST(a_link_is_paid_and_the_webhook_finishes)
{
    struct flow *f = home("1", NULL);
    struct flow_answer a;
    ck_assert_msg(buy(f, &a) == 202, "%d %s", a.status, a.text);
    const char *link = text_of(a.json, "payment_url");
    ck_assert_msg(strstr(link, "/pay/paystack/TXN-"), "%s", a.text);
    ck_assert_int_eq(sold(f), 0);
    pay(f, link);
    flow_answer_free(&a);
    FLOW_UNTIL(sold(f) == 1);
    FLOW_UNTIL(counted(f, "paystack", "repeated") == 2 && counted(f, "paystack", "forged") == 1);
    ck_assert_int_eq(sold(f), 1); /* paid once, sold once, however often it was told */
    ck_assert_int_eq(
        flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind not in ('hold', 'settle')"), 50000);
    ck_assert_int_eq(flow_sql_int(f, "select sum(amount_kobo) from wallet_entries where kind = 'settle'"), 50000);
    flow_end(f);
}
END_TEST

START_TEST(the_second_provider_is_asked_when_the_first_is_away)
{
    struct flow *f = home("0", "paystack");
    struct flow_answer a;
    ck_assert_msg(buy(f, &a) == 202, "%d %s", a.status, a.text);
    const char *link = text_of(a.json, "payment_url");
    ck_assert_msg(strstr(link, "/pay/flutterwave/TXN-"), "%s", a.text);
    pay(f, link);
    flow_answer_free(&a);
    FLOW_UNTIL(sold(f) == 1);
    /* And with authorisations that were kept. */
    EXPECT(f, 0, "ADA", "wallet", "authorize", "ADA", "provider.payment.paystack", "AUTH_0000");
    EXPECT(f, 0, "ADA", "wallet", "authorize", "ADA", "provider.payment.flutterwave", "FLWT_0000");
    ck_assert_msg(buy(f, &a) == 200, "%d %s", a.status, a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(sold(f), 2);
    flow_end(f);
}
END_TEST

START_TEST(a_technical_refusal_goes_to_the_second_a_decline_does_not)
{
    struct flow *f = home("0", NULL);
    struct flow_answer a;
    EXPECT(f, 0, "ADA", "wallet", "authorize", "ADA", "provider.payment.paystack", "AUTH_0005");
    EXPECT(f, 0, "ADA", "wallet", "authorize", "ADA", "provider.payment.flutterwave", "FLWT_0000");
    ck_assert_msg(buy(f, &a) == 200, "%d %s", a.status, a.text);
    flow_answer_free(&a);
    EXPECT(f, 0, "ADA", "wallet", "authorize", "ADA", "provider.payment.paystack", "AUTH_0001");
    ck_assert_msg(buy(f, &a) == 422, "%d %s", a.status, a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(sold(f), 1);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("payment");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, every_ending_of_a_charge);
    tcase_add_test(c, a_refund_is_given_once);
    tcase_add_test(c, webhooks_are_signed_and_taken_once);
    tcase_add_test(c, a_link_is_paid_and_the_webhook_finishes);
    tcase_add_test(c, the_second_provider_is_asked_when_the_first_is_away);
    tcase_add_test(c, a_technical_refusal_goes_to_the_second_a_decline_does_not);
    return flow_main("payment", (TCase *[]){c, NULL});
}
