/* What of triggers needs no host: words and phrases, readings, verdicts, custom rules, the churn model, spend. */
#include "../../plugins/cvm/triggers/base.h"
#include "../../plugins/cvm/triggers/churn.h"
#include "../../plugins/cvm/triggers/figures.h"
#include "../../plugins/cvm/triggers/logit.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct judge *judge;
static struct custom_terms *terms;

static json_t *file_json(const char *name)
{
    char path[512];
    json_error_t e;
    snprintf(path, sizeof path, "%s/triggers/%s", MANIFESTS, name);
    json_t *json = json_load_file(path, 0, &e);
    ck_assert_msg(json != NULL, "%s:%d: %s", path, e.line, e.text);
    return json;
}

static void setup(void)
{
    char why[256];
    json_t *lexicon = file_json("lexicon.json"), *thesaurus = file_json("terms.json");
    ck_assert_msg(judge_new(lexicon, &judge, why, sizeof why) == 0, "lexicon.json: %s", why);
    ck_assert_msg(custom_terms_new(thesaurus, &terms, why, sizeof why) == 0, "terms.json: %s", why);
    json_decref(lexicon);
    json_decref(thesaurus);
}

static void teardown(void)
{
    judge_free(judge);
    custom_terms_free(terms);
}

/* The verdicts of the rules over conversations parted by "||", oldest first. */
static void read_text(const char *text, struct cvm_facts *facts, struct verdict v[TRIGGERS])
{
    struct conversation c[8];
    struct thresholds th;
    size_t n = 0;
    memset(c, 0, sizeof c);
    for (const char *at = text; *at && n < 8; n++) {
        const char *end = strstr(at, "||");
        snprintf(c[n].ref, sizeof c[n].ref, "C-%zu", n);
        snprintf(c[n].date, sizeof c[n].date, "2026-01-%02zu", n + 1);
        c[n].text = at;
        c[n].len = end ? (size_t)(end - at) : strlen(at);
        at = end ? end + 2 : at + c[n].len;
    }
    struct cvm_facts none;
    facts_clear(&none);
    none.customer_id = "U1";
    none.currency = "NGN";
    thresholds_default(&th);
    struct case_file file = {.facts = facts ? facts : &none,
                             .conversations = c,
                             .n_conversations = n,
                             .high_spend = NAN,
                             .churn_chance = NAN};
    ck_assert_int_eq(judge_case(judge, &th, &file, 31, v), 0);
}

static void check_rules(const char *text, int trigger, bool wanted)
{
    struct verdict v[TRIGGERS];
    read_text(text, NULL, v);
    ck_assert_msg(v[trigger].rules == wanted, "%s: %s: %d", text, trigger_names[trigger], v[trigger].rules);
}

START_TEST(words_are_folded_and_cut)
{
    struct words w;
    static const char text[] = "Don't panic: N4,500 left, 2 calls! Ọ̀gá says café 😂";
    words_init(&w);
    ck_assert_int_eq(words_read(&w, text, sizeof text - 1), 0);
    ck_assert_str_eq(w.word[0].folded, "dont");
    ck_assert_str_eq(w.word[2].folded, "#money");
    ck_assert_str_eq(w.word[4].folded, "#");
    ck_assert_int_eq(w.word[5].sentence, 0);
    ck_assert_int_eq(w.word[6].sentence, 1);
    ck_assert_int_ne(w.word[1].clause, w.word[2].clause);
    ck_assert_str_eq(w.word[w.n - 2].folded, "cafe");
    ck_assert_str_eq(w.word[w.n - 1].folded, "#laugh");
    words_fini(&w);
}
END_TEST

START_TEST(phrases_match_gaps_and_classes)
{
    char why[200];
    struct phrases *p;
    struct words w;
    struct words_match m[8];
    static const char text[] = "the line goes very dead. It drops";
    json_t *list = json_pack("{s:{s:[s,s]}, s:{s:[s], s:[s]}}", "classes", "bad", "dead", "drop*", "labels", "a",
                             "line ..2 @bad", "b", "line it");
    ck_assert_msg(phrases_compile(list, &p, why, sizeof why) == 0, "%s", why);
    words_init(&w);
    ck_assert_int_eq(words_read(&w, text, sizeof text - 1), 0);
    ck_assert_uint_eq(phrases_match(p, &w, m, 8), 1); /* never across sentences */
    ck_assert_str_eq(phrases_label(p, m[0].label), "a");
    ck_assert_uint_eq(m[0].to, 4);
    words_fini(&w);
    phrases_free(p);
    json_decref(list);
    list = json_pack("{s:{s:[s]}}", "labels", "a", "@nobody");
    ck_assert_int_lt(phrases_compile(list, &p, why, sizeof why), 0);
    ck_assert(strstr(why, "nobody") != NULL);
    json_decref(list);
}
END_TEST

START_TEST(the_present_counts)
{
    check_rules("customer: The signal keeps dropping in my kitchen.", NETWORK_ISSUES, true);
    check_rules("customer: The signal kept dropping.\nagent: Fixed.\ncustomer: Yes, it works perfectly now, thank you.",
                NETWORK_ISSUES, false);
    check_rules("customer: No network at home.||customer: It has been fixed, thanks.", NETWORK_ISSUES, false);
    check_rules("customer: It has been fixed, thanks.||customer: No network at home again.", NETWORK_ISSUES, true);
    /* What is asked for has not come. */
    check_rules("customer: You charged me 17,500 for nothing.||customer: I want it reversed.", BILLING_DISPUTES, true);
    check_rules("customer: You charged me twice. When will the money be returned?", BILLING_DISPUTES, true);
    check_rules("customer: You charged me twice. The money should be refunded.", BILLING_DISPUTES, true);
    check_rules("customer: I wanted it back.||customer: You charged me twice, and the money has been returned.",
                BILLING_DISPUTES, false);
}
END_TEST

START_TEST(denied_and_anothers_do_not)
{
    check_rules("customer: The network is fine, no problem with calls.", NETWORK_ISSUES, false);
    check_rules("customer: I never had any dropped calls, no problem with the network.", NETWORK_ISSUES, false);
    check_rules("customer: My neighbour says his network is terrible.", NETWORK_ISSUES, false);
    check_rules("agent: There is no network in your area.\ncustomer: What time do you close?", NETWORK_ISSUES, false);
    check_rules("customer: If I wanted to port my number, what would happen?", CHURN_RISK, false);
    check_rules("customer: I am not leaving you, never.", CHURN_RISK, false);
    check_rules("customer: Send me the porting code, I am moving to another network.", CHURN_RISK, true);
    check_rules("customer: You charged me twice and I want a refund.", BILLING_DISPUTES, true);
    check_rules("customer: I was charged twice.||customer: The refund has come, thank you.", BILLING_DISPUTES, false);
    check_rules("customer: I am in Ghana and have no service.", ROAMING_ISSUES, true);
    check_rules("customer: How much is roaming in Ghana?", ROAMING_ISSUES, false);
}
END_TEST

START_TEST(figures_speak_for_themselves)
{
    struct cvm_facts f;
    struct verdict v[TRIGGERS];
    facts_clear(&f);
    f.customer_id = "U1";
    f.currency = "NGN";
    f.dropped_call_rate = 9;
    f.signal_dbm = -112;
    f.download_mbps = .8;
    read_text("customer: What time do you close?", &f, v);
    ck_assert(v[NETWORK_ISSUES].matches);
    ck_assert_uint_ge(v[NETWORK_ISSUES].n_evidence, 3);
    ck_assert(strstr(v[NETWORK_ISSUES].reasoning, "figures") != NULL);
    ck_assert(!v[CHURN_RISK].matches);
    f.download_mbps = 20;
    read_text("customer: What time do you close?", &f, v);
    ck_assert(!v[NETWORK_ISSUES].matches); /* two of four are not plain */
    f.churn_score = .71;
    read_text("customer: What time do you close?", &f, v);
    ck_assert(v[CHURN_RISK].matches);
}
END_TEST

START_TEST(evidence_is_short_and_dated)
{
    struct verdict v[TRIGGERS];
    char text[2000] = "customer: The network is terrible ";
    for (size_t n = strlen(text); n < 1500; n += 7)
        memcpy(text + n, "and on ", 8);
    read_text(text, NULL, v);
    ck_assert(v[NETWORK_ISSUES].rules);
    ck_assert_uint_ge(v[NETWORK_ISSUES].n_evidence, 1);
    ck_assert_uint_le(strlen(v[NETWORK_ISSUES].evidence[0].excerpt), 240);
    ck_assert_str_eq(v[NETWORK_ISSUES].evidence[0].ref, "C-0");
    ck_assert_str_eq(v[NETWORK_ISSUES].evidence[0].timestamp, "2026-01-01");
}
END_TEST

static bool custom(const json_t *trigger, const char *text, bool web)
{
    char why[200];
    struct custom_rule *r;
    struct cvm_facts f;
    struct verdict v, builtin[TRIGGERS];
    struct conversation c = {.web = web, .text = text, .len = strlen(text)};
    ck_assert_msg(custom_compile(terms, trigger, &r, why, sizeof why) == 0, "%s", why);
    json_t *shown = custom_rule_json(r);
    ck_assert(json_object_get(shown, "ideas") != NULL);
    json_decref(shown);
    facts_clear(&f);
    f.customer_id = "U1";
    read_text(text, NULL, builtin);
    struct case_file file = {
        .facts = &f, .conversations = &c, .n_conversations = *text != 0, .high_spend = NAN, .churn_chance = NAN};
    ck_assert_int_eq(custom_match(r, &file, builtin, &v), 0);
    custom_rule_free(r);
    if (v.matches)
        ck_assert_uint_gt(strlen(v.reasoning), 10);
    return v.matches;
}

static bool described(const char *description, const char *text)
{
    json_t *t = json_pack("{s:s}", "description", description);
    bool matches = custom(t, text, false);
    json_decref(t);
    return matches;
}

START_TEST(descriptions_are_understood)
{
    ck_assert(described("Customers who mention dogs or other pets", "customer: My terrier barks when you ring."));
    ck_assert(described("Customers who mention dogs or other pets", "customer: It is my terrier's birthday."));
    ck_assert(!described("Customers who mention dogs or other pets", "customer: My bill is late."));
    ck_assert(!described("Customers who mention dogs or other pets",
                         "agent: Do you have a dog?\ncustomer: I said my bill is late."));
    ck_assert(described("billing disputes over international charges",
                        "customer: You charged me for calls to Ghana, I want a refund."));
    ck_assert(
        !described("billing disputes over international charges", "customer: You charged me twice, I want a refund."));
    ck_assert(
        !described("Shops that lose sales through service faults", "customer: My shop opens at nine.")); /* both */
    ck_assert(described("Shops that lose sales through service faults",
                        "customer: My shop opens at nine. I have had no network since Monday."));
    ck_assert(described("Customers who ask about zeppelins", "customer: Is there a zeppelin?")); /* no group knows it */
}
END_TEST

static const struct {
    const char *description, *field;
    double within, outside; /* values of the field */
} figures[] = {
    {"Customers of more than seven years who are about to leave", "tenure_months", 85, 84},
    {"customers with us for less than 6 months", "tenure_months", 5, 6},
    {"People over 60 years old", "age", 61, 60},
    {"who spend at least 2,500 a month", "monthly_spend", 250000, 249999},
    {"Customers who spent ten days or more out of the country", "roaming_days_60", 10, 9},
    {"who have paid late at least three times within a year", "late_payments_12m", 3, 2},
    {"Usage has fallen by more than 40 percent in three months", "usage_change_pct", -41, -40},
    {"usage grew by at least 20%", "usage_change_pct", 20, 19},
    {"who use no more than 2.5 GB", "data_gb", 2.5, 2.6},
    {"customers who pay late", "late_payments_12m", 1, 0},
};

START_TEST(a_description_may_deny)
{
    static const char *const never = "Customers who have never mentioned a pet";
    ck_assert(described(never, "customer: My bill is late."));
    ck_assert(!described(never, "customer: My terrier barks when you ring."));
    ck_assert(described("Pet owners who have not complained about the weather", "customer: My terrier barks."));
    ck_assert(
        !described("Pet owners who have not complained about the weather", "customer: My terrier hates the rain."));
    ck_assert(!described("Customers who have not contacted us", "customer: Hello."));
    ck_assert(described("Customers who have not contacted us", ""));
    /* What was not asked for, or does not work, is what they say. */
    ck_assert(described("Customers whose terrier does not bark, or any pet", "customer: My terrier is mute."));
}
END_TEST

START_TEST(figures_of_a_description)
{
    struct figure x[FIGURES_MAX];
    struct words w;
    bool used[64] = {false};
    const char *text = figures[_i].description;
    words_init(&w);
    ck_assert_int_eq(words_read(&w, text, strlen(text)), 0);
    ck_assert_msg(figures_read(&w, used, x) == 1, "%s", text);
    ck_assert_str_eq(x[0].field, figures[_i].field);
    ck_assert_msg(figures[_i].within >= x[0].from && figures[_i].within <= x[0].to, "%s: %g..%g", text, x[0].from,
                  x[0].to);
    ck_assert(figures[_i].outside < x[0].from || figures[_i].outside > x[0].to);
    words_fini(&w);
}
END_TEST

START_TEST(figures_narrow_what_is_said)
{
    struct custom_rule *r;
    struct cvm_facts f;
    struct verdict v;
    char why[200];
    struct conversation c = {.text = "customer: my terrier barks", .len = 26};
    json_t *t = json_pack("{s:s}", "description", "Customers of more than seven years who mention dogs");
    ck_assert_int_eq(custom_compile(terms, t, &r, why, sizeof why), 0);
    facts_clear(&f);
    f.customer_id = "U1";
    struct case_file file = {
        .facts = &f, .conversations = &c, .n_conversations = 1, .high_spend = NAN, .churn_chance = NAN};
    for (int64_t months = 84; months <= 85; months++) {
        f.tenure_months = months;
        ck_assert_int_eq(custom_match(r, &file, NULL, &v), 0);
        ck_assert_int_eq(v.matches, months == 85);
    }
    f.tenure_months = FACTS_NONE; /* not known is not more than seven */
    ck_assert_int_eq(custom_match(r, &file, NULL, &v), 0);
    ck_assert(!v.matches);
    custom_rule_free(r);
    json_decref(t);
}
END_TEST

START_TEST(keywords_are_words)
{
    json_t *t = json_pack("{s:s}", "keywords", "signal, poor coverage");
    ck_assert(custom(t, "customer: Poor COVERAGE here", false));
    ck_assert(!custom(t, "customer: You signalled coverage, poor me", false));
    json_object_set_new(t, "data_types", json_pack("[s]", "call_transcripts"));
    ck_assert(!custom(t, "customer: no signal", true));
    ck_assert(custom(t, "customer: no signal", false));
    json_object_set_new(t, "description", json_string("pets"));
    ck_assert(custom(t, "customer: no signal", false));
    json_object_set_new(t, "match", json_string("all"));
    ck_assert(!custom(t, "customer: no signal", false));
    ck_assert(custom(t, "customer: no signal, says my dog", false));
    json_decref(t);
    char why[200];
    struct custom_rule *r;
    t = json_object();
    ck_assert_int_lt(custom_compile(terms, t, &r, why, sizeof why), 0);
    ck_assert(strstr(why, "keywords") != NULL);
    json_decref(t);
}
END_TEST

START_TEST(it_learns_from_histories)
{
    char why[200];
    struct verdict v[TRIGGERS];
    struct judge *j;
    json_t *lexicon = file_json("lexicon.json");
    ck_assert_int_eq(judge_new(lexicon, &j, why, sizeof why), 0);
    json_decref(lexicon);
    for (int i = 0; i < 60; i++) { /* a word that no list has decides */
        json_t *h = json_pack("{s:{s:s}, s:s, s:o}", "billing", "currency", "NGN", "text",
                              i % 2 ? "customer: this is wholly blorped here" : "customer: this is quite tidy here",
                              "labels", i % 2 ? json_pack("[s]", "network_issues") : json_array());
        ck_assert_int_eq(judge_example(j, h, why, sizeof why), 0);
        json_decref(h);
    }
    ck_assert_int_eq(judge_learn(j), 0);
    struct judge *rules = judge;
    judge = j;
    read_text("customer: mine is blorped", NULL, v);
    ck_assert(v[NETWORK_ISSUES].matches && !v[NETWORK_ISSUES].rules);
    ck_assert_uint_eq(v[NETWORK_ISSUES].n_evidence, 1);
    read_text("customer: mine is quite tidy", NULL, v);
    ck_assert(!v[NETWORK_ISSUES].matches);
    judge = rules;
    judge_free(j);
}
END_TEST

START_TEST(a_field_speaks_for_words_never_seen)
{
    static const char *const beasts[] = {"cat", "dog", "goat", "sheep", "horse", "cow"};
    static const char *const tools[] = {"spoon", "knife", "saw", "brush", "comb", "nail"};
    char why[200], text[80];
    struct verdict v[TRIGGERS];
    struct judge *j, *rules = judge;
    json_t *lexicon = json_pack("{s:{}, s:{s:[s]}, s:{s:[s,s,s,s,s,s,s]}}", "classes", "labels", "ask", "please",
                                "fields", "beasts", "cat", "dog", "goat", "sheep", "horse", "cow", "ferret");
    ck_assert_msg(judge_new(lexicon, &j, why, sizeof why) == 0, "%s", why);
    json_decref(lexicon);
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof text, "customer: there it was, a %s", (i % 2 ? beasts : tools)[i / 2 % 6]);
        json_t *h = json_pack("{s:{s:s}, s:s, s:o}", "billing", "currency", "NGN", "text", text, "labels",
                              i % 2 ? json_pack("[s]", "churn_risk") : json_array());
        ck_assert_int_eq(judge_example(j, h, why, sizeof why), 0);
        json_decref(h);
    }
    ck_assert_int_eq(judge_learn(j), 0);
    judge = j;
    read_text("customer: there it was, a ferret", NULL, v);
    ck_assert(v[CHURN_RISK].matches);
    read_text("customer: there it was, a hammer", NULL, v);
    ck_assert(!v[CHURN_RISK].matches);
    judge = rules;
    judge_free(j);
}
END_TEST

START_TEST(logistic_regression_finds_the_weights)
{
    enum { N = 4000 };
    static double x[N * 2], y[N], chance[N];
    double beta[2], slope, intercept;
    uint64_t seed = 7;
    for (int i = 0; i < N; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        double u = (double)(seed >> 33) / 2147483648.0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[2 * i] = 1;
        x[2 * i + 1] = u * 4 - 2;
        chance[i] = logit_chance(-.5 + 1.5 * x[2 * i + 1]);
        y[i] = (double)(seed >> 33) / 2147483648.0 < chance[i];
    }
    ck_assert_int_eq(logit_fit(x, y, NULL, N, 2, 1e-6, beta), 0);
    ck_assert_double_eq_tol(beta[0], -.5, .15);
    ck_assert_double_eq_tol(beta[1], 1.5, .15);
    ck_assert_int_eq(logit_calibration(chance, y, N, &slope, &intercept), 0);
    ck_assert_double_eq_tol(slope, 1, .1);
    double good[4] = {.1, .4, .35, .8}, truth[4] = {0, 0, 1, 1};
    ck_assert_double_eq_tol(logit_auc(good, truth, 4), .75, 1e-9);
    ck_assert_double_eq_tol(logit_brier(good, truth, 4), (.01 + .16 + .4225 + .04) / 4, 1e-9);
}
END_TEST

START_TEST(churn_is_learnt_and_explained)
{
    struct churn *c = churn_new("attributes.Churn");
    struct churn_model *m, *again;
    struct churn_report r;
    struct cvm_facts f;
    struct churn_factor factors[CHURN_FACTORS];
    size_t n;
    for (int i = 0; i < 600; i++) {
        bool monthly = i % 2, left = monthly ? i % 10 < 6 : i % 10 < 1;
        json_t *a =
            json_pack("{s:s, s:s}", "Contract", monthly ? "Month-to-month" : "Two year", "Churn", left ? "Yes" : "No");
        facts_clear(&f);
        f.customer_id = "U";
        f.tenure_months = i % 70;
        f.monthly_spend = 5000 + i;
        f.attributes_json = a;
        ck_assert_int_eq(churn_add(c, &f), 1);
        json_decref(a);
    }
    facts_clear(&f);
    ck_assert_int_eq(churn_add(c, &f), 0); /* has no label */
    ck_assert_int_eq(churn_train(c, &m, &r), 0);
    ck_assert_uint_eq(r.n, 600);
    ck_assert_double_gt(r.auc, .6);
    json_t *a = json_pack("{s:s}", "Contract", "Month-to-month"), *kept = churn_model_json(m);
    f.attributes_json = a;
    f.tenure_months = 3;
    f.monthly_spend = 5000;
    double high = churn_chance(m, &f, factors, &n);
    ck_assert_uint_ge(n, 1);
    ck_assert_str_eq(factors[0].text, "Contract is Month-to-month");
    ck_assert_int_eq(churn_model_load(kept, &again), 0);
    ck_assert_double_eq_tol(churn_chance(again, &f, NULL, NULL), high, 1e-9);
    json_object_set_new(a, "Contract", json_string("Two year"));
    ck_assert_double_lt(churn_chance(m, &f, NULL, NULL), high);
    json_decref(a);
    json_decref(kept);
    churn_model_free(m);
    churn_model_free(again);
    churn_free(c);
}
END_TEST

START_TEST(spend_breaks_where_the_base_does)
{
    double v[20];
    for (int i = 0; i < 20; i++)
        v[i] = i < 17 ? 10 + i : 200 + i;
    ck_assert_double_eq_tol(spend_break(v, 20, .2), 217, 1e-9);
    for (int i = 0; i < 20; i++)
        v[i] = 10 + i;
    ck_assert_double_eq_tol(spend_break(v, 20, .2), 26, 1e-9);
    ck_assert(isnan(spend_break(v, 5, .2)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("triggers");
    TCase *c = tcase_create("pure");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, words_are_folded_and_cut);
    tcase_add_test(c, phrases_match_gaps_and_classes);
    tcase_add_test(c, the_present_counts);
    tcase_add_test(c, denied_and_anothers_do_not);
    tcase_add_test(c, figures_speak_for_themselves);
    tcase_add_test(c, evidence_is_short_and_dated);
    tcase_add_test(c, descriptions_are_understood);
    tcase_add_test(c, a_description_may_deny);
    tcase_add_loop_test(c, figures_of_a_description, 0, sizeof figures / sizeof *figures);
    tcase_add_test(c, figures_narrow_what_is_said);
    tcase_add_test(c, keywords_are_words);
    tcase_add_test(c, it_learns_from_histories);
    tcase_add_test(c, a_field_speaks_for_words_never_seen);
    tcase_add_test(c, logistic_regression_finds_the_weights);
    tcase_add_test(c, churn_is_learnt_and_explained);
    tcase_add_test(c, spend_breaks_where_the_base_does);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
