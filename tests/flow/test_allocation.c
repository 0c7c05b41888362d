/* Units of a treatment on a real host: never more than there are a day, however many ask at once, also when the host is
 * killed meanwhile; what the history says; the reserve for customers of high value; contacts. */
#include "flow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALLOCATION "cvm.allocation"
#define ASKERS 100
#define LIMIT 10 /* of network_signal_booster */
#define LINE_MAX_BYTES 8192

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int64_t num(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static struct flow *with_treatments(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "treatments");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    return f;
}

static json_t *run(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: %d, wanted %d: %s%s", words[0], words[1], got, status, a.text, a.errors);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

#define RUN(f, status, ...) run(f, status, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

/* ---- many at once ------------------------------------------------------------------------------------------------ */

struct asker {
    int fd;
    char outcome[16]; /* "" until answered */
    char code[24];
    char line[LINE_MAX_BYTES];
    size_t len;
};

static void dial(struct flow *f, struct asker *a, int i)
{
    char line[400];
    a->len = 0;
    if ((a->fd = flow_connect(f)) < 0)
        return;
    int n =
        snprintf(line, sizeof line,
                 "{\"id\": 1, \"do\": \"call\", \"to\": \"" ALLOCATION "\", \"type\": \"allocate_resource\", \"key\": "
                 "\"ask-%d\", \"data\": {\"treatment_key\": \"network_signal_booster\", \"customer_id\": \"C%d\"}}\n",
                 i, i);
    if (send(a->fd, line, (size_t)n, MSG_NOSIGNAL) != n) {
        close(a->fd);
        a->fd = -1;
    }
}

/* What has come; a connection that broke is dialled anew by the caller. */
static void listen_to(struct asker *a)
{
    ssize_t n = read(a->fd, a->line + a->len, sizeof a->line - 1 - a->len);
    if (n <= 0) {
        close(a->fd);
        a->fd = -1;
        return;
    }
    a->len += (size_t)n;
    a->line[a->len] = 0;
    char *end = strchr(a->line, '\n');
    if (!end)
        return;
    json_t *answer = json_loadb(a->line, (size_t)(end - a->line), 0, NULL);
    ck_assert_ptr_nonnull(answer);
    const json_t *error = json_object_get(answer, "error");
    if (error) /* the socket takes 64 connections at a time, the others come again */
        ck_assert_str_eq(str(error, "code"), "BUSY");
    snprintf(a->outcome, sizeof a->outcome, "%s", str(answer, "outcome"));
    snprintf(a->code, sizeof a->code, "%s", str(json_object_get(answer, "data"), "code"));
    ck_assert_msg(error || *a->outcome, "%s", a->line);
    json_decref(answer);
    close(a->fd);
    a->fd = -1;
}

/* All ask at once with a key each, and again with the same key where the connection breaks. `kills`: how often the host
 * is killed meanwhile. */
static void ask_all(struct flow *f, struct asker *askers, int kills)
{
    int open = ASKERS, killed = 0, answered = 0;
    int64_t until = flow_now_ms() + FLOW_WAIT_MS;
    for (int i = 0; i < ASKERS; i++)
        dial(f, &askers[i], i);
    while (open > 0) {
        struct pollfd fds[ASKERS];
        ck_assert_msg(flow_now_ms() < until, "%d of %d have no answer", open, ASKERS);
        for (int i = 0; i < ASKERS; i++) {
            if (!*askers[i].outcome && askers[i].fd < 0)
                dial(f, &askers[i], i);
            fds[i] = (struct pollfd){.fd = *askers[i].outcome ? -1 : askers[i].fd, .events = POLLIN};
        }
        poll(fds, ASKERS, 20);
        for (int i = 0; i < ASKERS; i++)
            if (fds[i].revents && askers[i].fd >= 0)
                listen_to(&askers[i]);
        open = 0;
        for (int i = 0; i < ASKERS; i++)
            open += !*askers[i].outcome;
        answered = ASKERS - open;
        if (killed < kills && answered >= (killed + 1) * ASKERS / (kills + 2)) {
            flow_kill(f, 9);
            killed++;
            flow_wait_serving(f);
        }
    }
    ck_assert_int_eq(killed, kills);
}

static int count(const struct asker *askers, const char *outcome, const char *code)
{
    int n = 0;
    for (int i = 0; i < ASKERS; i++)
        n += !strcmp(askers[i].outcome, outcome) && !strcmp(askers[i].code, code);
    return n;
}

static int history(struct flow *f, const char *outcome)
{
    json_t *all = RUN(f, 0, "allocation", "history", "--treatment", "network_signal_booster", "--limit", "2000");
    const json_t *rows = json_object_get(all, "history");
    int n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++)
        n += !strcmp(str(json_array_get(rows, i), "outcome"), outcome);
    json_decref(all);
    return n;
}

static void exactly_the_limit(int kills)
{
    struct asker *askers = calloc(ASKERS, sizeof *askers);
    struct flow *f = with_treatments();
    flow_start(f);
    json_decref(RUN(f, 0, "allocation", "show", "network_signal_booster")); /* it is there */
    ask_all(f, askers, kills);
    ck_assert_int_eq(count(askers, "REPLIED", ""), LIMIT);
    ck_assert_int_eq(count(askers, "REFUSED", "EXHAUSTED"), ASKERS - LIMIT);
    if (kills) { /* what was answered once is answered the same again, and nothing is counted twice */
        struct asker *again = calloc(ASKERS, sizeof *again);
        ask_all(f, again, 0);
        for (int i = 0; i < ASKERS; i++)
            ck_assert_str_eq(again[i].outcome, askers[i].outcome);
        free(again);
    }
    json_t *left = RUN(f, 0, "allocation", "check", "network_signal_booster");
    ck_assert_int_eq(num(left, "used_today"), LIMIT);
    ck_assert_int_eq(num(left, "remaining"), 0);
    ck_assert(json_is_false(json_object_get(left, "available")));
    json_decref(left);
    ck_assert_int_eq(history(f, "allocated"), LIMIT); /* the history agrees */
    ck_assert_int_eq(history(f, "exhausted"), ASKERS - LIMIT);
    flow_end(f);
    free(askers);
}

START_TEST(hundred_ask_ten_get)
{
    exactly_the_limit(0);
}
END_TEST

START_TEST(hundred_ask_among_kills)
{
    exactly_the_limit(3);
}
END_TEST

/* ---- one after the other ----------------------------------------------------------------------------------------- */

/* Asks for a unit; gives the code of the refusal, "" for a unit. `more` are further members, ", ..". */
static const char *ask(struct flow *f, const char *treatment, const char *customer, const char *more)
{
    static char code[40];
    char data[400];
    struct flow_answer a;
    snprintf(data, sizeof data, "{\"treatment_key\": \"%s\", \"customer_id\": \"%s\"%s}", treatment, customer, more);
    int status = FLOW_RUN(f, &a, "agent", "call", ALLOCATION, "allocate_resource", "--data", data, "--output", "json");
    snprintf(code, sizeof code, "%s", "");
    if (status) {
        const char *open = strrchr(a.errors, '(');
        snprintf(code, sizeof code, "%.*s", open ? (int)strcspn(open + 1, ",)") : 0, open ? open + 1 : "");
        ck_assert_msg(*code, "%d: %s", status, a.errors);
    } else {
        ck_assert_str_eq(str(a.json, "status"), "success");
        ck_assert(json_is_true(json_object_get(a.json, "allocated")));
    }
    flow_answer_free(&a);
    return code;
}

static int64_t used(struct flow *f, const char *treatment)
{
    json_t *show = RUN(f, 0, "allocation", "show", treatment);
    int64_t n = num(json_object_get(json_object_get(show, "constraints"), treatment), "used_today");
    json_decref(show);
    return n;
}

static void limit(struct flow *f, const char *settings)
{
    json_t *agents = json_loads(settings, 0, NULL);
    ck_assert_ptr_nonnull(agents);
    flow_config(f, "agents", agents);
}

START_TEST(counts_are_shown_reset_and_kept)
{
    struct flow *f = with_treatments();
    struct flow_answer a;
    flow_start(f);
    ck_assert_str_eq(ask(f, "service_sms", "U1", ""), "");
    ck_assert_str_eq(ask(f, "service_sms", "U1", ""), "REPEATED");
    ck_assert_str_eq(ask(f, "service_sms", "U2", ""), "");
    ck_assert_str_eq(ask(f, "nothing", "U2", ""), "NOT_FOUND");
    ck_assert_str_eq(ask(f, "ignore", "U2", ""), "");
    ck_assert_str_eq(ask(f, "ignore", "U2", ""), ""); /* is never used up */
    flow_stop(f);
    flow_start(f); /* counts survive */
    ck_assert_int_eq(used(f, "service_sms"), 2);
    EXPECT(f, 0, "USED_TODAY", "allocation", "show");
    EXPECT(f, 4, "no treatment nothing", "allocation", "show", "nothing");
    EXPECT(f, 4, "no treatment nothing", "allocation", "check", "nothing");
    EXPECT(f, 0, "remaining: 998", "allocation", "check", "service_sms");
    json_t *reset = RUN(f, 0, "allocation", "reset", "service_sms");
    ck_assert_int_eq(num(reset, "reset"), 1);
    json_decref(reset);
    ck_assert_int_eq(used(f, "service_sms"), 0);
    ck_assert_str_eq(ask(f, "service_sms", "U1", ""), ""); /* as on a new day */
    reset = RUN(f, 0, "allocation", "reset");
    ck_assert_int_eq(num(reset, "reset"), 8);
    json_decref(reset);
    ck_assert_int_eq(FLOW_RUN(f, &a, "allocation", "history", "--customer", "U1", "--output", "csv"), 0);
    ck_assert_int_eq(
        strncmp(a.text, "allocated_at,treatment_key,customer_id,outcome,remaining,cost_per_contact_pounds,requested_by",
                strlen("allocated_at,treatment_key,customer_id,outcome")),
        0);
    ck_assert_ptr_nonnull(strstr(a.text, ",service_sms,U1,repeated,999,0.05,operator"));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/allocations/history?customer=U1", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "history")), 3);
    flow_answer_free(&a);
    json_t *rows = RUN(f, 0, "allocation", "history", "--from", "2100-01-01");
    ck_assert_uint_eq(json_array_size(json_object_get(rows, "history")), 0);
    json_decref(rows);
    EXPECT(f, 5, "from", "allocation", "history", "--from", "yesterday");
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/cvm/allocations", NULL, NULL, &a), 200);
    ck_assert_uint_eq(json_object_size(json_object_get(a.json, "constraints")), 8);
    flow_answer_free(&a);
    ck_assert_int_eq(
        flow_http(f, "POST", "/api/v1/cvm/allocations/reset", "{\"treatment_key\": \"service_sms\"}", NULL, NULL), 200);
    flow_end(f);
}
END_TEST

START_TEST(limits_follow_the_treatment)
{
    struct flow *f = with_treatments();
    struct flow_answer a;
    char id[64];
    flow_start(f);
    ck_assert_int_eq(FLOW_RUN(f, &a, "treatment", "add", "Gift limit 1", "--output", "json"), 0);
    snprintf(id, sizeof id, "%s", str(a.json, "id"));
    flow_answer_free(&a);
    ck_assert_str_eq(ask(f, id, "U1", ""), "");
    ck_assert_str_eq(ask(f, id, "U2", ""), "EXHAUSTED");
    EXPECT(f, 0, id, "treatment", "update", id, "limit 2");
    ck_assert_str_eq(ask(f, id, "U2", ""), "");
    EXPECT(f, 0, id, "treatment", "update", id, "{\"enabled\": false}");
    ck_assert_str_eq(ask(f, id, "U3", ""), "DISABLED");
    EXPECT(f, 0, id, "treatment", "remove", id);
    ck_assert_str_eq(ask(f, id, "U3", ""), "NOT_FOUND");
    ck_assert_int_eq(FLOW_RUN(f, &a, "allocation", "history", "--treatment", id, "--output", "json"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(a.json, "history")), 4); /* keeps its id */
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(last_units_are_for_high_value)
{
    struct flow *f = with_treatments();
    limit(f, "{\"cvm.allocation\": {\"settings\": {\"high_value_reserve_percent\": 50, \"high_value_pounds\": 80}}, "
             "\"cvm.treatment.standard\": {\"settings\": {\"treatment_overrides\": {\"network_signal_booster\": "
             "{\"constraints\": {\"max_per_day\": 4}}}}}}");
    flow_start(f);
    ck_assert_str_eq(ask(f, "network_signal_booster", "L1", ", \"customer_value\": 20"), "");
    ck_assert_str_eq(ask(f, "network_signal_booster", "L2", ", \"customer_value\": 79.9"), "");
    ck_assert_str_eq(ask(f, "network_signal_booster", "L3", ", \"customer_value\": 20"), "RESERVED");
    ck_assert_str_eq(ask(f, "network_signal_booster", "L4", ", \"high_value\": false, \"customer_value\": 500"),
                     "RESERVED");
    ck_assert_str_eq(ask(f, "network_signal_booster", "H1", ", \"customer_value\": 80"), "");
    ck_assert_str_eq(ask(f, "network_signal_booster", "H2", ", \"high_value\": true"), "");
    ck_assert_str_eq(ask(f, "network_signal_booster", "H3", ", \"high_value\": true"), "EXHAUSTED");
    flow_end(f);
}
END_TEST

START_TEST(unit_of_a_failed_application_comes_back)
{
    struct flow *f = with_treatments();
    flow_start(f);
    for (int i = 0; i < LIMIT; i++) {
        char customer[8];
        snprintf(customer, sizeof customer, "C%d", i);
        ck_assert_str_eq(ask(f, "network_signal_booster", customer, ""), "");
    }
    ck_assert_str_eq(ask(f, "network_signal_booster", "X", ""), "EXHAUSTED");
    static const char give_back[] =
        "{\"treatment_key\": \"network_signal_booster\", \"customer_id\": \"C3\", \"reason\": \"x\"}";
    for (int i = 0; i < 2; i++) { /* once */
        json_t *answer = flow_call(f, ALLOCATION, "release_resource", give_back, NULL);
        ck_assert_int_eq(json_is_true(json_object_get(answer, "released")), i == 0);
        json_decref(answer);
    }
    ck_assert_int_eq(used(f, "network_signal_booster"), LIMIT - 1);
    ck_assert_str_eq(ask(f, "network_signal_booster", "X", ""), "");
    ck_assert_str_eq(ask(f, "network_signal_booster", "Y", ""), "EXHAUSTED");
    ck_assert_int_eq(history(f, "released"), 1);
    flow_end(f);
}
END_TEST

/* ---- contacts ---------------------------------------------------------------------------------------------------- */

static void confirm(struct flow *f, const char *treatment, const char *customer, const char *rule)
{
    char data[200];
    snprintf(data, sizeof data, "{\"treatment_key\": \"%s\", \"customer_id\": \"%s\"}", treatment, customer);
    json_t *answer = flow_call(f, ALLOCATION, "confirm_contact", data, NULL);
    ck_assert_int_eq(json_is_true(json_object_get(answer, "allowed")), !*rule);
    ck_assert_str_eq(str(answer, "rule"), rule);
    json_decref(answer);
}

START_TEST(contacts_are_capped_and_asked_again)
{
    struct flow *f = with_treatments();
    limit(f,
          "{\"cvm.allocation\": {\"settings\": {\"contact_policy\": {\"caps\": [{\"rule\": \"two\", \"per\": "
          "\"customer\", "
          "\"max\": 2, \"days\": 7}, {\"rule\": \"one_call\", \"per\": \"channel\", \"channel\": \"call\", \"max\": 1, "
          "\"days\": 30}]}}}}");
    flow_start(f);
    static const char all[] =
        ", \"permissions\": {\"call\": true, \"email\": true, \"app\": true, \"marketing\": true}";
    ck_assert_str_eq(ask(f, "retention_call", "U1", ", \"permissions\": {\"email\": true}"), "CONTACT_POLICY");
    ck_assert_str_eq(ask(f, "retention_call", "U1", all), "");
    confirm(f, "retention_call", "U1", ""); /* its own unit does not count against it */
    ck_assert_str_eq(ask(f, "retention_email", "U1", all), "");
    ck_assert_str_eq(ask(f, "loyalty_app_offer", "U1", all), "CONTACT_POLICY");
    ck_assert_str_eq(ask(f, "service_sms", "U1", ""), ""); /* what serves the customer is not capped */
    ck_assert_str_eq(ask(f, "network_signal_booster", "U1", ""), "");
    confirm(f, "retention_email", "U1", "");
    confirm(f, "loyalty_app_offer", "U1", "two");
    json_t *verdicts =
        flow_call(f, ALLOCATION, "check_contact",
                  "{\"customer_id\": \"U1\", \"treatment_keys\": [\"retention_call\", \"service_sms\"]}", NULL);
    const json_t *v = json_object_get(verdicts, "verdicts");
    ck_assert_str_eq(str(json_object_get(v, "retention_call"), "rule"), "one_call"); /* the strictest */
    ck_assert(json_is_true(json_object_get(json_object_get(v, "service_sms"), "allowed")));
    json_decref(verdicts);
    ck_assert_int_eq(used(f, "loyalty_app_offer"), 0);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("allocation");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, hundred_ask_ten_get);
    tcase_add_test(c, hundred_ask_among_kills);
    tcase_add_test(c, counts_are_shown_reset_and_kept);
    tcase_add_test(c, limits_follow_the_treatment);
    tcase_add_test(c, last_units_are_for_high_value);
    tcase_add_test(c, unit_of_a_failed_application_comes_back);
    tcase_add_test(c, contacts_are_capped_and_asked_again);
    return flow_main("allocation", (TCase *[]){c, NULL});
}
