/* The commands of the plugin `learn` on a real host: what they answer, what they refuse, the page that tells of them.
 * CVM_SHARED_DATA names a folder with cdnow/cdnow-customers-summary.csv; what needs it is left out without. */
#include "flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double real(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
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

static struct flow *started(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "learn");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_start(f);
    return f;
}

static const json_t *row(const json_t *list, const char *key, const char *value, const char *other, const char *also)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (strcmp(str(one, key), value) == 0 && (!other || strcmp(str(one, other), also) == 0))
            return one;
    }
    ck_abort_msg("no row with %s %s", key, value);
    return NULL;
}

/* HOME/name in one of two buffers. */
static const char *in_home(struct flow *f, const char *name)
{
    static char paths[2][200];
    static int next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", f->home, name);
    return path;
}

static double drawn(uint64_t *s) /* xorshift* (Vigna 2016) */
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return (double)(*s * UINT64_C(2685821657736338717) >> 11) * 0x1p-53;
}

/* 1,200 choices between DISCOUNT (worth 2, and 0 where x is 1) and CALL (worth 1), by propensities of 0.7 and 0.3. */
static void write_log(struct flow *f)
{
    static char text[100000];
    size_t len = (size_t)snprintf(text, sizeof text, "action,reward,propensity,x,segment\n");
    uint64_t s = 5;
    for (int i = 0; i < 1200; i++) {
        double u = drawn(&s), noise = drawn(&s) - 0.5;
        int x = drawn(&s) < 0.5, discount = u < 0.7;
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s,%.3f,%s,%d,%s\n", discount ? "DISCOUNT" : "CALL",
                             (discount ? 2 - 2 * x : 1) + noise, discount ? "0.7" : "0.3", x, x ? "Loyalty" : "Growth");
    }
    flow_write(f, "log.csv", text);
}

static json_t *evaluate(struct flow *f, const char *policy, const char *columns)
{
    return RUN(f, 0, "learn", "evaluate", "--policy", policy, "--log", in_home(f, "log.csv"), "--columns", columns);
}

static bool holds(const json_t *answer, const char *method, double truth)
{
    const json_t *e = row(json_object_get(answer, "estimates"), "method", method, NULL, NULL);
    return real(e, "low") <= truth && truth <= real(e, "high");
}

START_TEST(policies_are_evaluated_off_a_log)
{
    struct flow *f = started();
    write_log(f);
    json_t *r = evaluate(f, "action:DISCOUNT", "features=x");
    ck_assert(holds(r, "IPS", 1) && holds(r, "SNIPS", 1) && holds(r, "DR", 1));
    ck_assert_str_eq(str(r, "verdict"), "no difference can be told"); /* 1 either way */
    ck_assert(real(r, "effective_rows") > 700 && real(r, "rows") == 1200);
    json_decref(r);
    r = evaluate(f, "greedy", "state=segment"); /* DISCOUNT for Growth, CALL for Loyalty: 1.5 */
    ck_assert_msg(holds(r, "DR", 1.5), "%s", json_dumps(r, 0));
    ck_assert_str_eq(str(r, "verdict"), "better");
    json_decref(r);
    r = evaluate(f, "thompson", "features=x");
    ck_assert_str_eq(str(r, "verdict"), "better");
    json_decref(r);
    r = evaluate(f, "logged", "features=x");
    const json_t *ips = row(json_object_get(r, "estimates"), "method", "IPS", NULL, NULL);
    ck_assert(fabs(real(ips, "value") - real(r, "logged_mean")) < 1e-5);
    json_decref(r);
    EXPECT(f, 0, "METHOD", "learn", "evaluate", "--policy", "uniform", "--log", in_home(f, "log.csv"));
    EXPECT(f, 0, "method,value,low,high", "learn", "evaluate", "--policy", "uniform", "--log", in_home(f, "log.csv"),
           "--output", "csv");
    flow_end(f);
}
END_TEST

START_TEST(probabilities_may_come_from_a_file)
{
    struct flow *f = started();
    static char csv[40000], json[80000], name[220];
    write_log(f);
    size_t c = (size_t)snprintf(csv, sizeof csv, "DISCOUNT,CALL\n"), n = (size_t)snprintf(json, sizeof json, "[");
    for (int i = 0; i < 1200; i++) {
        c += (size_t)snprintf(csv + c, sizeof csv - c, "0.25,0.75\n");
        n += (size_t)snprintf(json + n, sizeof json - n, "%s{\"DISCOUNT\": 0.25, \"CALL\": 0.75}", i ? ",\n" : "");
    }
    snprintf(json + n, sizeof json - n, "]\n");
    flow_write(f, "p.csv", csv);
    flow_write(f, "p.json", json);
    double values[2];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "file:%s", in_home(f, i ? "p.json" : "p.csv"));
        json_t *r = evaluate(f, name, "features=x");
        const json_t *dr = row(json_object_get(r, "estimates"), "method", "DR", NULL, NULL);
        values[i] = real(dr, "value");
        ck_assert(holds(r, "DR", 1));
        json_decref(r);
    }
    ck_assert(values[0] == values[1]);
    snprintf(name, sizeof name, "file:%s", in_home(f, "p.csv"));
    csv[strlen(csv) - 10] = 0; /* a row less */
    flow_write(f, "p.csv", csv);
    EXPECT(f, 5, "1199 rows of probabilities and the log 1200", "learn", "evaluate", "--policy", name, "--log",
           in_home(f, "log.csv"));
    flow_write(f, "p.csv", "DISCOUNT,CALL\n0.5,0.6\n");
    EXPECT(f, 5, "line 2: the probabilities must add up to 1", "learn", "evaluate", "--policy", name, "--log",
           in_home(f, "log.csv"));
    static const char *const wrong[][3] = {
        {"file:p.json", "[1,2]\n", "p.json: element 1: must be an object of actions"},
        {"file:p.json", "[{\"DISCOUNT\": 0.5}]\n", "element 1: the probabilities must add up to 1"},
        {"file:p.json", "{}\n", "no JSON array of objects"},
        {"file:p.csv", "DISCOUNT,CALL,DISCOUNT\n0.5,0.5,0\n", "line 1: the header names an action more than once"},
        {"file:p.csv", "DISCOUNT,CALL\n0.5,0.5,0\n", "line 2: has more fields than the header"},
        {"file:p.csv", "DISCOUNT,CALL\n0.5,\"0.5\n", "line 2: ends within a quoted field"},
        {"file:../p.csv", "", "a path is absolute, or relative to the home and stays there"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (*wrong[i][1])
            flow_write(f, wrong[i][0] + 5, wrong[i][1]);
        EXPECT(f, 5, wrong[i][2], "learn", "evaluate", "--policy", wrong[i][0], "--log", in_home(f, "log.csv"));
    }
    flow_end(f);
}
END_TEST

START_TEST(says_what_is_wrong_and_what_it_cannot_tell)
{
    struct flow *f = started();
    write_log(f);
    json_t *r = evaluate(f, "action:GIFT", "features=x");
    ck_assert_str_eq(str(r, "verdict"), "cannot tell");
    ck_assert_ptr_nonnull(strstr(str(r, "why"), "GIFT"));
    ck_assert(json_is_null(json_object_get(row(json_object_get(r, "estimates"), "method", "DR", NULL, NULL), "value")));
    json_decref(r);
    EXPECT(f, 5, "no column \"rewards\"", "learn", "evaluate", "--policy", "uniform", "--log", in_home(f, "log.csv"),
           "--columns", "reward=rewards");
    EXPECT(f, 5, "none of action=", "learn", "evaluate", "--policy", "uniform", "--log", in_home(f, "log.csv"),
           "--columns", "rewrd=reward");
    EXPECT(f, 5, "must be action:NAME", "learn", "evaluate", "--policy", "best", "--log", in_home(f, "log.csv"));
    EXPECT(f, 5, "no such file", "learn", "evaluate", "--policy", "uniform", "--log", in_home(f, "none.csv"));
    EXPECT(f, 5, "--columns features: \"reward\" is the column of the reward", "learn", "evaluate", "--policy",
           "greedy", "--log", in_home(f, "log.csv"), "--columns", "features=x+reward");
    EXPECT(f, 5, "--columns state: \"action\" is the column of the action", "learn", "evaluate", "--policy", "greedy",
           "--log", in_home(f, "log.csv"), "--columns", "state=action");
    EXPECT(f, 5, "must be different columns", "learn", "evaluate", "--policy", "greedy", "--log", in_home(f, "log.csv"),
           "--columns", "reward=propensity");
    flow_write(f, "log.csv", "action,reward,x,propensity,X,note,note\nA,1,1,0.5,2,a,b\n");
    EXPECT(f, 5, "the header names the column \"x\" more than once", "learn", "evaluate", "--policy", "greedy", "--log",
           in_home(f, "log.csv"), "--columns", "features=x");
    EXPECT(f, 0, "cannot tell", "learn", "evaluate", "--policy", "greedy", "--log", in_home(f, "log.csv"));
    flow_write(f, "log.csv", "action,reward,reward\nA,1,1\n");
    EXPECT(f, 5, "the header names the column \"reward\" more than once", "learn", "evaluate", "--policy", "greedy",
           "--log", in_home(f, "log.csv"));
    flow_write(f, "log.csv", "action,reward,propensity\nA,1,0.5,7\nA,1,0.5\n");
    r = evaluate(f, "action:A", "action=action");
    ck_assert(real(r, "faulty_rows") == 1 && real(r, "rows") == 1);
    ck_assert_str_eq(str(json_array_get(json_object_get(r, "faults"), 0), "fault"), "has more fields than the header");
    json_decref(r);
    flow_write(f, "log.csv", "action,reward\nA,1\nB,2\n");
    r = evaluate(f, "action:A", "action=action");
    ck_assert_ptr_nonnull(strstr(str(r, "why"), "no propensities"));
    json_decref(r);
    flow_write(f, "log.csv", "action,reward,propensity\nA,1,0.5\nB,two,0.5\n,3,0.5\nA,1,0\nA,1,1.5\nA,1\n\"A,1,0.5\n");
    r = evaluate(f, "action:A", "action=action");
    ck_assert_ptr_nonnull(
        strstr(str(r, "why"), "3 rows have no propensity above 0 and at most 1, the first in line 5"));
    ck_assert(real(r, "faulty_rows") == 6 && real(r, "rows") == 1);
    const json_t *faults = json_object_get(r, "faults");
    ck_assert_int_eq((int)real(json_array_get(faults, 0), "line"), 3);
    ck_assert_str_eq(str(json_array_get(faults, 0), "fault"), "reward: no number");
    ck_assert_ptr_nonnull(strstr(str(json_array_get(faults, 1), "fault"), "action"));
    json_decref(r);
    flow_end(f);
}
END_TEST

START_TEST(customers_are_valued)
{
    struct flow *f = started();
    const char *folder = getenv("CVM_SHARED_DATA");
    static char text[60000], path[400];
    size_t len = (size_t)snprintf(text, sizeof text, "who,frequency,recency,T,spend\n");
    uint64_t chance = 3;
    for (int i = 0; i < 600; i++) {
        int age = 30 + i % 9, n = 0;
        double rate = 0.02 + 0.2 * drawn(&chance) * drawn(&chance), leaves = drawn(&chance) * drawn(&chance), last = 0;
        for (double t = 0; (t += -log(1 - drawn(&chance)) / rate) < age;) {
            last = t;
            n++;
            if (drawn(&chance) < leaves)
                break;
        }
        len += (size_t)snprintf(text + len, sizeof text - len, "C%d,%d,%.3f,%d,", i, n, last, age);
        len += n ? (size_t)snprintf(text + len, sizeof text - len, "%d\n", 1500 + (int)(4000 * drawn(&chance)))
                 : (size_t)snprintf(text + len, sizeof text - len, "\n");
    }
    snprintf(text + len, sizeof text - len,
             "C600,1,20,10,\nC601,1.5,3,10,\nC602,1,1e29,1e30,100\nC603,1,3,1e7,\nC604,1,3,10,1e15\nC605,1,3,10,5,6\n");
    flow_write(f, "customers.csv", text);
    json_t *r = RUN(f, 0, "learn", "clv", in_home(f, "customers.csv"), "--columns", "id=who", "--horizon", "26",
                    "--limit", "3", "--save", "clv.csv");
    const json_t *first = json_array_get(json_object_get(r, "customers"), 0);
    ck_assert_int_eq(json_array_size(json_object_get(r, "customers")), 3);
    ck_assert(real(first, "p_alive") > 0 && real(first, "p_alive") <= 1 && real(first, "clv_minor") > 0);
    ck_assert(fabs(real(first, "clv_minor") - real(first, "expected_purchases") * real(first, "expected_spend_minor")) <
              1 + 0.0001 * real(first, "expected_spend_minor"));
    ck_assert(real(r, "faulty_rows") == 6);
    const json_t *faults = json_object_get(r, "faults");
    ck_assert_int_eq((int)real(json_array_get(faults, 0), "line"), 602);
    static const char *const named[] = {"T: ", "frequency: ", "recency: ", "T: ", "spend: ", "more fields"};
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(strstr(str(json_array_get(faults, i), "fault"), named[i]), "%s, wanted %s",
                      str(json_array_get(faults, i), "fault"), named[i]);
    const json_t *errors = json_object_get(json_object_get(r, "bgnbd"), "standard_errors");
    ck_assert(real(errors, "a") > 0 && real(errors, "b") > 0);
    json_decref(r);
    char *saved = flow_read(f, "output/clv.csv");
    size_t lines = 0;
    for (const char *at = saved; at && (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_int_eq(lines, 601);
    free(saved);
    EXPECT(f, 5, "below output/", "learn", "clv", in_home(f, "customers.csv"), "--save", "a/../../../x.csv");
    flow_write(f, "few.csv", "frequency,recency,T\n1,2,3\n");
    EXPECT(f, 5, "too few customers", "learn", "clv", in_home(f, "few.csv"));
    flow_write(f, "twice.csv", "frequency,recency,T,Frequency\n1,2,3,4\n");
    EXPECT(f, 5, "names the column \"frequency\" more than once", "learn", "clv", in_home(f, "twice.csv"));
    len = (size_t)snprintf(text, sizeof text, "frequency,recency,T\n");
    for (int i = 0; i < 12; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "1,5,10\n");
    flow_write(f, "alike.csv", text);
    EXPECT(f, 5, "undecided: the likelihood has no clear maximum; --penalty 0.01 holds them", "learn", "clv",
           in_home(f, "alike.csv"));
    EXPECT(f, 5, "a greater --penalty holds them", "learn", "clv", in_home(f, "alike.csv"), "--penalty", "0.0001");
    EXPECT(f, 0, "converged: true", "learn", "clv", in_home(f, "alike.csv"), "--penalty", "0.01");
    if (folder) {
        snprintf(path, sizeof path, "%s/cdnow/cdnow-customers-summary.csv", folder);
        r = RUN(f, 0, "learn", "clv", path, "--columns", "id=ID", "--limit", "5000");
        const json_t *fit = json_object_get(r, "bgnbd");
        ck_assert(fabs(real(fit, "log_likelihood") + 9582.43) < 0.01);
        ck_assert(fabs(real(json_object_get(fit, "parameters"), "r") - 0.2426) < 0.0001);
        ck_assert_int_eq(json_array_size(json_object_get(r, "customers")), 2357);
        json_decref(r);
        EXPECT(f, 0, "customer_id,frequency", "learn", "clv", path, "--limit", "5000", "--output", "csv");
    } else {
        printf("CVM_SHARED_DATA is not set: CDNOW is left out\n");
    }
    flow_end(f);
}
END_TEST

START_TEST(policies_are_compared)
{
    struct flow *f = started();
    struct flow_answer a;
    json_t *r = RUN(f, 0, "learn", "compare", "--seeds", "40");
    const json_t *list = json_object_get(r, "differences"), *one;
    one = row(list, "measure", "impact", "against", "source");
    ck_assert(real(one, "low") > 0);
    ck_assert_str_eq(str(one, "verdict"), "better");
    ck_assert(real(row(list, "measure", "score", "against", "random"), "low") > 0);
    ck_assert(real(row(list, "measure", "churned", "against", "random"), "high") < 0);
    json_t *again = RUN(f, 0, "learn", "compare", "--seeds", "40");
    ck_assert(json_equal(r, again)); /* the same seeds, the same lives */
    json_decref(again);
    json_decref(r);
    r = RUN(f, 0, "learn", "compare", "--seeds", "40", "--world", "drawn", "--policies", "source,thompson");
    ck_assert(real(row(json_object_get(r, "differences"), "measure", "score", NULL, NULL), "low") > 0);
    json_decref(r);
    flow_write(f, "one.json",
               "[{\"persona_key\": \"A_b\", \"display_name\": \"b\", \"segment\": \"A\", "
               "\"engagement_score\": 50, \"sensitivities\": {\"CALL\": 3, \"WRITE\": -2}}]");
    r = RUN(f, 0, "learn", "compare", "--seeds", "20", "--personas", in_home(f, "one.json"));
    ck_assert(real(r, "personas") == 1);
    json_decref(r);
    flow_write(f, "one.json", "[{\"persona_key\": \"A_b\"}]");
    EXPECT(f, 5, "personas[0]", "learn", "compare", "--personas", in_home(f, "one.json"));
    EXPECT(f, 5, "none of source", "learn", "compare", "--policies", "source,oracle");
    EXPECT(f, 5, "more than 800,000", "learn", "compare", "--seeds", "10000", "--days", "1000");
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/learn/compare", "{\"seeds\": 10, \"days\": 20}", NULL, &a), 200);
    ck_assert_int_eq(json_array_size(json_object_get(a.json, "differences")), 12);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/learn/compare", "{\"personas\": \"/etc/passwd\"}", NULL, NULL), 400);
    flow_end(f);
}
END_TEST

/* ---- experiments of the lifecycle agent ---- */

#define ALL_BUT_REMINDERS                                                                                              \
    "SELECT count(*) FROM lifecycle_history WHERE day BETWEEN %d AND %d AND action NOT IN ('SEND_REMINDER', "          \
    "'NO_ACTION')"

static int64_t others(struct flow *f, int from, int to)
{
    char sql[300];
    snprintf(sql, sizeof sql, ALL_BUT_REMINDERS, from, to);
    return flow_sql_int(f, sql);
}

static struct flow *living(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "insight");
    flow_plugin(f, "lifecycle");
    flow_plugin(f, "actions");
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "agents", json_pack("{s:{s:{s:s}}}", "lifecycle.decision", "settings", "provider", "rules"));
    flow_start(f);
    return f;
}

START_TEST(strategies_are_compared_on_personas_and_days)
{
    struct flow *f = living();
    json_decref(RUN(f, 0, "experiment", "create", "narrow", "--area", "lifecycle", "--variants", "all,narrow",
                    "--settings", "{\"narrow\": {\"actions\": [\"SEND_SURVEY\"], \"explore_rate\": 0}}"));
    json_decref(RUN(f, 0, "experiment", "create", "learner", "--area", "lifecycle", "--variants", "rule,thompson",
                    "--metric", "score_after_3", "--settings",
                    "{\"rule\": {\"policy\": \"source\"}, \"thompson\": {\"policy\": \"thompson\"}}"));
    EXPECT(f, 5, "the metric of the area lifecycle is", "experiment", "create", "x", "--area", "lifecycle",
           "--variants", "a,b", "--metric", "converted");
    EXPECT(f, 5, "explore_rate must be", "experiment", "create", "x", "--area", "lifecycle", "--variants", "a,b",
           "--settings", "{\"b\": {\"explore_rate\": 2}}");
    EXPECT(f, 5, "settings.c: there is no such variant; there are a, b", "experiment", "create", "x", "--area",
           "lifecycle", "--variants", "a,b", "--settings", "{\"c\": {\"policy\": \"source\"}}");
    EXPECT(f, 5, "settings.b: must be an object", "experiment", "create", "x", "--area", "lifecycle", "--variants",
           "a,b", "--settings", "{\"b\": 5}");
    EXPECT(f, 5, "settings.b.without: there is no action NOPE; there are GRANT_LOYALTY_POINTS, NO_ACTION,",
           "experiment", "create", "x", "--area", "lifecycle", "--variants", "a,b", "--settings",
           "{\"b\": {\"without\": [\"SEND_SURVEY\", \"NOPE\"]}}");
    EXPECT(f, 4, "no experiment", "experiment", "show", "x");
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "2")); /* a draft changes nothing */
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_trial_days"), 0);
    json_decref(RUN(f, 0, "experiment", "start", "narrow"));
    json_decref(RUN(f, 0, "experiment", "start", "learner"));
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "40"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_trial_days"), 80);
    json_t *r = RUN(f, 0, "experiment", "report", "narrow");
    const json_t *variants = json_object_get(r, "variants"), *all = row(variants, "variant", "all", NULL, NULL),
                 *narrow = row(variants, "variant", "narrow", NULL, NULL);
    double n = real(all, "observed") + real(narrow, "observed");
    double sum = real(all, "observed") * real(all, "mean") + real(narrow, "observed") * real(narrow, "mean");
    json_t *history =
        flow_sql(f, "SELECT count(*) AS n, sum(impact) AS impact FROM lifecycle_history WHERE day > 2 AND "
                    "policy <> 'rule'");
    const json_t *whole = json_array_get(history, 0);
    ck_assert_msg(n == real(whole, "n") && fabs(sum - real(whole, "impact")) < 0.1, "%g of %g, %g of %g", n,
                  real(whole, "n"), sum, real(whole, "impact"));
    ck_assert_str_eq(str(json_array_get(json_object_get(r, "comparisons"), 0), "verdict"), "lower");
    ck_assert(json_is_true(json_object_get(json_object_get(r, "sample_ratio"), "ok")));
    ck_assert_str_eq(str(r, "unit"), "persona and day");
    json_decref(history);
    json_decref(r);
    r = RUN(f, 0, "experiment", "report", "learner");
    variants = json_object_get(r, "variants");
    for (size_t i = 0; i < 2; i++) { /* the last three days have no score after three days yet */
        const json_t *one = json_array_get(variants, i);
        ck_assert(real(one, "observed") < real(one, "customers") && real(one, "observed") > 40);
        ck_assert(real(one, "mean") > 50 && real(one, "mean") <= 100);
    }
    json_decref(r);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE policy = 'thompson'"), 50);
    ck_assert_int_gt(flow_sql_int(f, "SELECT count(*) FROM lifecycle_history WHERE day > 2 AND policy = 'source'"), 50);
    json_decref(RUN(f, 0, "experiment", "stop", "narrow"));
    json_decref(RUN(f, 0, "experiment", "stop", "learner"));
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "2"));
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM cvm_trial_days"), 80);
    flow_end(f);
}
END_TEST

/* The same persona and day is in the same variant again, after a kill and from the beginning too. */
START_TEST(assignment_is_stable)
{
    struct flow *f = living();
    json_decref(RUN(f, 0, "experiment", "create", "steady", "--area", "lifecycle", "--variants", "a=1,b=3"));
    json_decref(RUN(f, 0, "experiment", "create", "only", "--area", "lifecycle", "--variants", "on,too", "--settings",
                    "{\"on\": {\"actions\": [\"SEND_REMINDER\"]}, \"too\": {\"actions\": [\"SEND_REMINDER\"]}}"));
    json_decref(RUN(f, 0, "experiment", "start", "steady"));
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "12", "--seed", "5"));
    flow_kill(f, 9);
    flow_wait_serving(f);
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "12", "--seed", "5"));
    json_decref(RUN(f, 0, "lifecycle", "reset"));
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "24", "--seed", "5"));
    json_t *days = flow_sql(f, "SELECT variants FROM cvm_trial_days WHERE experiment_id = 'steady' ORDER BY day_id");
    ck_assert_int_eq(json_array_size(days), 48);
    for (size_t i = 0; i < 24; i++)
        ck_assert_msg(json_equal(json_array_get(days, i), json_array_get(days, i + 24)), "day %zu", i + 1);
    json_decref(days);
    json_t *r = RUN(f, 0, "experiment", "report", "steady");
    ck_assert(real(row(json_object_get(r, "variants"), "variant", "b", NULL, NULL), "customers") >
              2 * real(row(json_object_get(r, "variants"), "variant", "a", NULL, NULL), "customers"));
    json_decref(r);
    ck_assert_int_gt(others(f, 1, 24), 20);
    json_decref(RUN(f, 0, "experiment", "start", "only"));
    json_decref(RUN(f, 0, "lifecycle", "run", "--days", "4"));
    ck_assert_int_eq(others(f, 25, 28), 0);
    flow_end(f);
}
END_TEST

/* The page's customers decide the parameters well, and still do when some of them are gone. */
static void check_example_is_decided(struct flow *f)
{
    char *text = flow_read(f, "customers.csv"), *body = text ? strchr(text, '\n') : NULL;
    ck_assert_ptr_nonnull(body);
    for (int left_out = 0; left_out < 3; left_out++) {
        flow_write(f, "fewer.csv", text);
        json_t *r = RUN(f, 0, "learn", "clv", in_home(f, "fewer.csv"));
        const json_t *fit = json_object_get(r, "bgnbd"), *error;
        const char *name;
        json_object_foreach(json_object_get(fit, "standard_errors"), name, error)
            ck_assert_msg(json_number_value(error) > 0 &&
                              json_number_value(error) < 0.5 * real(json_object_get(fit, "parameters"), name),
                          "%s: %g", name, json_number_value(error));
        json_decref(r);
        char *second = strchr(body + 1, '\n');
        ck_assert_ptr_nonnull(second);
        memmove(body, second, strlen(second) + 1);
    }
    free(text);
}

/* docs/howto/learn.md, each block of commands as it stands. */
START_TEST(the_page_runs)
{
    struct flow *f = started();
    static char script[20000], line[2000], command[1000];
    FILE *page = fopen(flow_source("docs/howto/learn.md"), "r");
    size_t len = 0;
    int blocks = 0;
    bool inside = false;
    ck_assert_ptr_nonnull(page);
    while (fgets(line, sizeof line, page)) {
        const char *at = line + strspn(line, " ");
        if (strncmp(at, "```", 3) == 0) {
            inside = strncmp(at, "```sh", 5) == 0;
            blocks += inside;
        } else if (inside) {
            len += (size_t)snprintf(script + len, sizeof script - len, "%s", line);
        }
    }
    fclose(page);
    ck_assert_int_ge(blocks, 5);
    flow_write(f, "page.sh", script);
    snprintf(command, sizeof command, "cd %s && CVMHOST_HOME=%s PATH=%s:$PATH exec sh -e page.sh 2>&1", f->home,
             f->home, flow_build("host"));
    int status = -1;
    pid_t shell = flow_spawn(f, "page", (const char *const[]){"/bin/sh", "-c", command, NULL});
    ck_assert_int_eq(waitpid(shell, &status, 0), shell);
    char *output = flow_read(f, "page.txt");
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", output);
    ck_assert_msg(strstr(output, "verdict: better") && strstr(output, "clv_minor"), "%s", output);
    check_example_is_decided(f);
    free(output);
    output = flow_read(f, "output/clv.csv");
    ck_assert(output && strstr(output, "customer_id,"));
    free(output);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("learn");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, policies_are_evaluated_off_a_log);
    tcase_add_test(c, probabilities_may_come_from_a_file);
    tcase_add_test(c, says_what_is_wrong_and_what_it_cannot_tell);
    tcase_add_test(c, customers_are_valued);
    tcase_add_test(c, policies_are_compared);
    tcase_add_test(c, strategies_are_compared_on_personas_and_days);
    tcase_add_test(c, assignment_is_stable);
    tcase_add_test(c, the_page_runs);
    return flow_main("learn", (TCase *[]){c, NULL});
}
