/* The host is killed, again and again, while customers buy and ask: at any moment, and at each named point of
 * host/core/crash.h. Clients repeat what was not answered under the same key. After each death and in the end: what was
 * accepted has one answer, no effect left before what caused it was durable, nobody was charged twice, nothing was
 * vended twice, and wallets, transactions and the networks' ledger agree to the kobo.
 *
 * CVM_KILLS says how often (20), CVM_SEED with which luck (the clock). With CVM_PURCHASES so many purchases are made
 * instead, CVM_PURCHASE_KILLS (3) of them in the middle of a death. */
#include "core/crash.h"
#include "flow.h"
#include "kill_books.h"
#include "kill_load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KILLS 20
#define CLIENTS 16
#define PURCHASES 1000
#define REFUND_SLACK_MS 5000
#define POINT_WAIT_MS 15000 /* a point that is not passed often enough by then: the host is killed as it is */

static struct books_sims sims;

#define CRASH_X(id, name) name,
static const char *const points[] = {CRASH_POINTS(CRASH_X)};
#undef CRASH_X

/* How many passings to let go by at most: about a second's worth. */
static const int passings[] = {
    [CRASH_INPUT_ADMITTED] = 60,  [CRASH_TURN_RUN] = 1000,  [CRASH_GROUP_BEGUN] = 300,    [CRASH_ROWS_WRITTEN] = 300,
    [CRASH_COMMITTED] = 300,      [CRASH_EFFECT_HELD] = 60, [CRASH_FIRST_BYTE_SENT] = 60, [CRASH_ANSWER_RECEIVED] = 60,
    [CRASH_REPLY_COMMITTED] = 60, [CRASH_CHECKPOINT] = 1,   [CRASH_RECOVERY] = 20,
};

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

/* ---- deaths ------------------------------------------------------------------------------------------------------ */

/* How a host is to end: killed after a while, or at a point. */
struct death {
    int point; /* -1: at any moment */
    int n;
};

/* Two of three at a point, each point in turn. */
static struct death draw_death(int i, uint64_t *random)
{
    struct death d = {.point = -1};
    uint64_t draw = load_random(random);
    if (i % 3 == 0)
        return d;
    d.point = (i - 1 - i / 3) % (CRASH_RECOVERY + 1); /* those of an exchange are passed in test_reload */
    d.n = 1 + (int)(draw % (uint64_t)passings[d.point]);
    if (draw / 65536 % 3 == 0)
        d.n = 1 + d.n / 20; /* soon after the start */
    return d;
}

/* One for each host to come, in the file from which each takes its line. */
static struct death *plan_deaths(struct flow *f, int kills, uint64_t *random)
{
    struct death *plan = calloc((size_t)kills, sizeof *plan);
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    for (int i = 0; i < kills; i++) {
        plan[i] = draw_death(i, random);
        if (plan[i].point < 0)
            fputs("-\n", file);
        else
            fprintf(file, "%s:%d\n", points[plan[i].point], plan[i].n);
    }
    fputs("-\n", file); /* who survives */
    fclose(file);
    flow_write(f, "crash", text);
    free(text);
    return plan;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; at && (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* How often the host has died so far, from what the supervisor says; *ret_up tells whether one serves since. */
static int deaths(struct flow *f, bool *ret_up)
{
    char *text = flow_read(f, "serve.err"), *last = text, *at = text;
    int n = 0;
    for (; (at = strstr(at, "supervisor: the host died (")); last = at++)
        n++;
    at = strstr(last, "serving on http://");
    *ret_up = at && strchr(at, '\n');
    if (*ret_up) {
        f->host = (pid_t)strtol(strstr(at, "(pid ") + 5, NULL, 10);
        f->served = count(text, "serving on http://");
    }
    free(text);
    return n;
}

static int wait_up(struct flow *f)
{
    bool up = false;
    int n = 0;
    FLOW_UNTIL((n = deaths(f, &up), up));
    return n;
}

/* Waits for the death that was planned for this host. False: it did not come, and the host was killed. */
static bool meet(struct flow *f, const struct death *d, int before, uint64_t *random)
{
    bool up, met = true;
    int64_t until = flow_now_ms() + POINT_WAIT_MS;
    if (d->point < 0) {
        flow_sleep_ms(20 + (int)(load_random(random) % 800));
        kill(f->host, SIGKILL);
    }
    while (deaths(f, &up) == before) {
        if (met && flow_now_ms() > until) {
            kill(f->host, SIGKILL);
            met = false;
        }
        flow_sleep_ms(5);
    }
    return met;
}

/* Some hosts are gone before anybody sees them serve. The books of hundreds of deaths take long to go through: in long
 * runs every hundredth part of them is followed by a check. */
static void kill_often(struct flow *f, struct load *load, const struct death *plan, int kills, uint64_t *random)
{
    int checked = 0, step = kills / 100;
    for (int n = 0, seen; n < kills; n = seen) {
        char when[128];
        const struct death *d = &plan[n];
        bool met = meet(f, d, n, random);
        seen = wait_up(f);
        if (seen < kills && seen < checked + step)
            continue;
        checked = seen;
        snprintf(when, sizeof when, "after death %d (%s:%d%s)", seen, d->point < 0 ? "any moment" : points[d->point],
                 d->n, met ? "" : ", not reached");
        int64_t begun = flow_now_ms();
        books_check(f, &sims, load, when);
        EXPECT(f, 0, "the chain holds", "audit", "verify", "--output", "table");
        if (getenv("CVM_VERBOSE"))
            fprintf(stderr, "%s: %d asks, checked in %lld ms\n", when, load_count(load),
                    (long long)(flow_now_ms() - begun));
    }
}

/* The supervisor dies, and the host with it; then both are stopped as an operator would. Customers go on asking. */
static void restart_both_ways(struct flow *f, struct load *load)
{
    pid_t host = f->host;
    ck_assert_int_eq(kill(f->pid, SIGKILL), 0);
    ck_assert_int_eq(flow_wait_end(f), 128 + SIGKILL);
    FLOW_UNTIL(kill(host, 0) < 0);
    flow_start(f);
    books_check(f, &sims, load, "after the supervisor's death");
    flow_sleep_ms(200);
    ck_assert_int_eq(flow_stop(f), 0);
    books_check(f, &sims, load, "after a stop");
    flow_start(f);
    books_check(f, &sims, load, "after a start");
    flow_sleep_ms(200);
}

/* Nobody but us has ended it. */
static void check_deaths(struct flow *f)
{
    char *text = flow_read(f, "serve.err");
    ck_assert_msg(count(text, "supervisor: the host died (") == count(text, "supervisor: the host died (signal 9"),
                  "the host died by itself; see serve.err");
    free(text);
}

static int count_lines(struct flow *f, const char *line)
{
    char *text = flow_read(f, "hits");
    int n = 0;
    for (char *save = NULL, *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save))
        n += strcmp(at, line) == 0;
    free(text);
    return n;
}

/* ---- the home ---------------------------------------------------------------------------------------------------- */

static void start_sim(struct flow *f, const char *name, char ret_url[64])
{
    char port[8], ledger[128], program[96];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(program, sizeof program, "examples/simulators/%s/%s", name, name);
    snprintf(ledger, sizeof ledger, "%s/%s.jsonl", f->home, name);
    snprintf(ret_url, 64, "http://127.0.0.1:%d", number);
    flow_spawn(f, name,
               (const char *const[]){program, "--port", port, "--ledger", ledger, "--quiet", "--faults", "0.05",
                                     "--delay-ms", "5", "--settle-ms", "300", "--hang-ms", "20000", NULL});
}

/* Doubt ends soon: an answer after 1.5 s, the money back after 6 s, and then up to four questions to the network, for 8
 * s. */
static json_t *agents(void)
{
    static const char *const networks[] = {"mtn", "airtel", "glo", "9mobile"};
    static const char *const discos[] = {"ekedc", "ikedc", "aedc"};
    int credit_s = getenv("CVM_PURCHASES") ? 3 : 6;
    json_t *all = json_pack("{s:{s:{s:i, s:i, s:i, s:i, s:i, s:i}}, s:{s:{s:i}}, s:{s:{s:i, s:i}}}",
                            "service.transaction", "settings", "duplicate_window_s", 0, "answer_within_ms", 1500,
                            "max_per_minute", 1000000, "late_watch_s", 1, "reconcile_after_s", 1, "reconcile_times", 3,
                            "service.airtime_sales", "settings", "credit_timeout_s", credit_s, "service.power_sales",
                            "settings", "credit_timeout_s", credit_s, "answer_within_ms", 1500);
    for (size_t i = 0; i < 3 && *sims.discos; i++) {
        char id[64], url[96];
        snprintf(id, sizeof id, "provider.disco.%s", discos[i]);
        snprintf(url, sizeof url, "%s/%s/v1", sims.discos, discos[i]);
        json_object_set_new(all, id,
                            json_pack("{s:{s:s, s:i, s:i}}", "settings", "base_url", url, "timeout_ms", 1000,
                                      "validate_timeout_ms", 5000));
    }
    for (size_t i = 0; i < 4; i++) {
        char id[64], url[96];
        snprintf(id, sizeof id, "provider.network.%s", networks[i]);
        snprintf(url, sizeof url, "%s/%s/v1", sims.networks, networks[i]);
        json_object_set_new(all, id, json_pack("{s:{s:s, s:i}}", "settings", "base_url", url, "timeout_ms", 1000));
    }
    return all;
}

static struct flow *home(int kills, uint64_t *random, struct death **ret_plan)
{
    static const char *const secrets[] = {"MTN_API_KEY",   "AIRTEL_API_KEY", "GLO_API_KEY", "NINEMOBILE_API_KEY",
                                          "EKEDC_API_KEY", "IKEDC_API_KEY",  "AEDC_API_KEY"};
    char path[128];
    struct flow *f = flow_new();
    f->port = flow_free_port(); /* the same after each start */
    memset(&sims, 0, sizeof sims);
    start_sim(f, "network_sim", sims.networks);
    if (getenv("CVM_PURCHASES"))
        start_sim(f, "disco_sim", sims.discos);
    flow_product(f);
    flow_plugin(f, "faulty");
    flow_config(f, "agents", agents());
    flow_config(f, "journal.wal_checkpoint_mib", json_integer(1));
    flow_config(f, "journal.group_max", json_integer(2)); /* many commits: many moments between two of them */
    flow_config(f, "supervisor.restart_delay_ms", json_integer(20));
    flow_config(f, "supervisor.restarts", json_integer(100000));
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        flow_env(f, secrets[i], "sim-key");
    snprintf(path, sizeof path, "@%s/crash", f->home);
    flow_env(f, "CVMHOST_CRASH", path);
    snprintf(path, sizeof path, "%s/hits", f->home);
    flow_env(f, "CVMHOST_CRASH_HITS", path);
    *ret_plan = plan_deaths(f, kills, random);
    flow_start(f);
    for (int i = 0; i < LOAD_CUSTOMERS; i++) {
        char id[16], phone[16], data[160];
        load_customer(i, id, phone);
        snprintf(data, sizeof data, "{\"customer_id\":\"%s\",\"phone\":\"%s\",\"balance_kobo\":%lld}", id, phone,
                 (long long)LOAD_BALANCE_KOBO);
        json_decref(flow_call(f, "service.transaction", "open_account", data, NULL));
    }
    return f;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void check_points(struct flow *f, int kills)
{
    for (int i = 0; i <= CRASH_RECOVERY; i++) {
        char killed[64];
        snprintf(killed, sizeof killed, "%s!", points[i]);
        ck_assert_msg(count_lines(f, points[i]) > 0, "the point %s was never passed", points[i]);
        if (kills >= 2 * CRASH_RECOVERY)
            ck_assert_msg(count_lines(f, killed) > 0, "no host died at the point %s", points[i]);
    }
}

static void check_clients(struct load *load)
{
    int by_status[600] = {0};
    for (int i = 0; i < load_count(load); i++) {
        struct ask *a = load_at(load, i);
        int status = atomic_load(&a->status);
        ck_assert_msg(status > 0, "%s (%s) was never answered, after %d tries", a->key, load_path(a->kind), a->tries);
        ck_assert_msg(status == 200 || (load_buys(a->kind) && (status == 202 || status == 422)), "%s (%s): %d %s",
                      a->key, load_path(a->kind), status, a->text);
        by_status[status]++;
    }
    ck_assert_int_gt(by_status[200], 0);
    ck_assert_int_gt(by_status[202], 0);
    ck_assert_int_gt(by_status[422], 0);
}

/* Each key gives what it gave, from the store. */
static void check_repeats(struct flow *f, struct load *load)
{
    for (int i = 0; i < load_count(load); i++) {
        struct ask *a = load_at(load, i);
        char *text = NULL;
        bool replayed = false;
        int status = load_ask_again(f->url, a, &text, &replayed);
        ck_assert_msg(status == atomic_load(&a->status) && replayed, "%s gave %d, then %d%s: %s", a->key,
                      atomic_load(&a->status), status, replayed ? "" : " as if it were new", text);
        json_t *first = json_loads(a->text, 0, NULL), *again = json_loads(text, 0, NULL);
        ck_assert_msg(first && json_equal(first, again), "%s gave %s, then %s", a->key, a->text, text);
        json_decref(first);
        json_decref(again);
        free(text);
    }
}

/* A key belongs to what was asked with it first. */
static void check_other_body(struct flow *f, struct load *load)
{
    struct ask other = *load_at(load, 0);
    char *text = NULL;
    bool replayed;
    snprintf(other.body, sizeof other.body, "{\"network\":\"MTN\",\"phone\":\"08031234567\",\"amount\":77}");
    other.kind = ASK_BUY;
    ck_assert_int_eq(load_ask_again(f->url, &other, &text, &replayed), 409);
    free(text);
}

/* What an operator sees: nothing waits, and each message that came was settled or is a dead letter. */
static void check_conservation(struct flow *f)
{
    struct flow_answer a;
    json_t *c;
    size_t i;
    ck_assert_int_eq(FLOW_RUN(f, &a, "ps", "--output", "json"), 0);
    json_array_foreach(json_object_get(a.json, "components"), i, c)
    {
        const char *id = json_string_value(json_object_get(c, "id"));
        json_int_t delivered = json_integer_value(json_object_get(c, "delivered")),
                   settled = json_integer_value(json_object_get(c, "settled")),
                   queued = json_integer_value(json_object_get(c, "queued")),
                   lent = json_integer_value(json_object_get(c, "lent")),
                   dead = json_integer_value(json_object_get(c, "dead"));
        ck_assert_msg(delivered == settled + queued + lent + dead && queued + lent + dead == 0,
                      "%s: %lld delivered, %lld settled, %lld queued, %lld lent, %lld dead", id, (long long)delivered,
                      (long long)settled, (long long)queued, (long long)lent, (long long)dead);
    }
    ck_assert_int_gt(i, 0);
    flow_answer_free(&a);
}

/* Things that were asked for once happened once. */
static void check_counts(struct flow *f, struct load *load)
{
    int n[ASK_KINDS] = {0};
    for (int i = 0; i < load_count(load); i++)
        n[load_at(load, i)->kind]++;
    ck_assert_int_eq(
        flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE component = 'test.faulty' AND key = 'count'"),
        n[ASK_COUNT]);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM inbox WHERE source = 'http'"), load_count(load));
    int64_t bought = flow_sql_int(f, "SELECT count(*) FROM transactions WHERE conversation LIKE 'IN-%'");
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM turns WHERE component = 'service.transaction' AND type = "
                                     "'purchase'"),
                     bought);
    ck_assert_int_ge(bought, n[ASK_BUY]);
    ck_assert_int_le(bought, n[ASK_BUY] + n[ASK_POWER]); /* a meter that was not found is not bought for */
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM enquiries"), n[ASK_ENQUIRY]);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM enquiries WHERE resolution_status NOT IN ('RESOLVED', "
                                     "'ESCALATED', 'PENDING')"),
                     0);
}

START_TEST(nothing_is_lost_or_done_twice)
{
    int kills = setting("CVM_KILLS", KILLS);
    uint64_t seed = (uint64_t)setting("CVM_SEED", (int)time(NULL)), random = seed;
    fprintf(stderr, "CVM_SEED=%llu CVM_KILLS=%d\n", (unsigned long long)seed, kills);
    struct death *plan;
    struct flow *f = home(kills, &random, &plan);
    struct load *load = load_start(f->url, CLIENTS, seed);
    kill_often(f, load, plan, kills, &random);
    restart_both_ways(f, load);
    load_finish(load);
    check_clients(load);
    FLOW_UNTIL(books_open(f) == 0);
    books_check_settled(f, &sims, load);
    check_counts(f, load);
    check_conservation(f);
    check_points(f, kills);
    check_deaths(f);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    check_repeats(f, load);
    check_other_body(f, load);
    books_check_settled(f, &sims, load);
    check_counts(f, load);
    ck_assert_int_eq(flow_stop(f), 0);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--output", "table");
    free(plan);
    load_free(load);
    flow_free(f);
}
END_TEST

/* ---- many purchases ---------------------------------------------------------------------------------------------- */

/* What was given back was back by its deadline; the slack is for a host that was down at that moment. */
static void check_refunds(struct flow *f)
{
    static const char took[] = "(julianday(r.completed_at) - julianday(t.initiated_at)) * 86400";
    char sql[600];
    int64_t n = flow_sql_int(f, "SELECT count(*) FROM refunds WHERE status = 'done'");
    ck_assert_int_eq(n, flow_sql_int(f, "SELECT count(*) FROM transactions WHERE status = 'REFUNDED'"));
    snprintf(sql, sizeof sql,
             "SELECT CAST(1000 * %s AS INTEGER) FROM refunds r JOIN transactions t USING (transaction_id) ORDER BY 1 "
             "LIMIT 1 OFFSET %lld",
             took, (long long)(n * 99 / 100));
    int64_t p99 = flow_sql_int(f, sql);
    snprintf(sql, sizeof sql,
             "SELECT CAST(1000 * max((julianday(completed_at) - julianday(due_at)) * 86400) AS INTEGER) FROM refunds");
    int64_t late = flow_sql_int(f, sql);
    fprintf(stderr, "%lld refunds, p99 %lld ms after the purchase, the latest %lld ms after its deadline\n",
            (long long)n, (long long)p99, (long long)late);
    ck_assert_int_le(late, REFUND_SLACK_MS);
}

/* CVM_PURCHASES of them, with networks that fail at every step and a host that is killed every now and then. */
START_TEST(many_purchases_to_the_kobo)
{
    int most = setting("CVM_PURCHASES", PURCHASES), kills = setting("CVM_PURCHASE_KILLS", 3);
    uint64_t seed = (uint64_t)setting("CVM_SEED", (int)time(NULL)), random = seed;
    struct death *plan;
    int64_t begun = flow_now_ms();
    struct flow *f = home(0, &random, &plan);
    struct load *load = load_start_purchases(f->url, 32, seed, most);
    for (int i = 1; i <= kills; i++) {
        while (load_count(load) < (int)((int64_t)most * i / (kills + 1)))
            flow_sleep_ms(2);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    while (load_count(load) < most)
        flow_sleep_ms(5);
    load_finish(load);
    int64_t asked = flow_now_ms() - begun;
    check_clients(load);
    FLOW_UNTIL(books_open(f) == 0);
    books_check_settled(f, &sims, load);
    check_counts(f, load);
    check_refunds(f);
    int64_t tokens = flow_sql_int(f, "SELECT count(*) FROM power_tokens");
    ck_assert_int_gt(tokens, most / 10);
    fprintf(stderr, "%lld tokens, each for one purchase\n", (long long)tokens);
    fprintf(stderr, "CVM_SEED=%llu: %d purchases, %d kills, asked in %lld ms, all settled in %lld ms\n",
            (unsigned long long)seed, most, kills, (long long)asked, (long long)(flow_now_ms() - begun));
    ck_assert_int_eq(flow_stop(f), 0);
    free(plan);
    load_free(load);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("kill");
    tcase_set_timeout(c, 7000);
    if (getenv("CVM_PURCHASES"))
        tcase_add_test(c, many_purchases_to_the_kobo);
    else
        tcase_add_test(c, nothing_is_lost_or_done_twice);
    return flow_main("kill", (TCase *[]){c, NULL});
}
