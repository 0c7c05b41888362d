/* Deciding for one customer, without a host: what a journey says and what it does not, values factor by factor, the
 * first rule that rejects, the ranking, and that the stated smallest change does alter the decision. */
#include "../../plugins/cvm/decision/journey.h"
#include "../../plugins/cvm/decision/moment.h"
#include "../../plugins/cvm/decision/problem.h"
#include "../../plugins/cvm/decision/words.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOW INT64_C(1763683200000) /* 2025-11-21 */

static json_t *read_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    ck_assert_msg(value != NULL, "%s: %s", error.text, text);
    return value;
}

static bool has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strstr(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

/* ---- time and words ---- */

START_TEST(moments_are_read_and_written)
{
    static const struct {
        const char *text, *is;
    } good[] = {{"2025-10-02T11:20:00Z", "2025-10-02T11:20:00.000Z"},
                {"2024-02-29", "2024-02-29T00:00:00.000Z"},
                {"2025-10", "2025-10-01T00:00:00.000Z"},
                {"2025-10-02T11:20:00.5+01:00", "2025-10-02T10:20:00.500Z"},
                {"1969-12-31 23:59:59", "1969-12-31T23:59:59.000Z"}};
    static const char *const bad[] = {"", "2025", "2025-13-01", "2025-10-02T25:00", "2025-10-02x", "yesterday"};
    char text[MOMENT_SIZE];
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(moment_parse(good[i].text, &ms), "%s", good[i].text);
        ck_assert_str_eq(moment_text(ms, text), good[i].is);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!moment_parse(bad[i], &ms), "%s", bad[i]);
}
END_TEST

START_TEST(words_say_what_about_and_how)
{
    static const struct {
        const char *text;
        enum topic topic;
        enum tone tone;
        enum ending ending;
    } cases[] = {
        {"customer: My calls drop every evening, this is ridiculous.\nagent: Sorry.", TOPIC_NETWORK, TONE_NEGATIVE,
         ENDING_UNKNOWN},
        {"customer: I was charged twice.\nagent: That has been credited.", TOPIC_BILLING, TONE_NEGATIVE, ENDING_SOLVED},
        {"customer: The signal is still not fixed.", TOPIC_NETWORK, TONE_NEGATIVE, ENDING_OPEN},
        {"customer: Thank you, perfect.\nagent: Anything on roaming abroad?", TOPIC_OTHER, TONE_POSITIVE,
         ENDING_UNKNOWN},
        {"customer: Roaming did not work, the charge is wrong.", TOPIC_ROAMING, TONE_NEGATIVE, ENDING_UNKNOWN},
        {"customer: I want my porting code.", TOPIC_LEAVING, TONE_NEUTRAL, ENDING_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        words_read(cases[i].text, &r);
        ck_assert_msg(r.topic == cases[i].topic, "%s: %s", cases[i].text, topic_names[r.topic]);
        ck_assert_msg(r.tone == cases[i].tone, "%s: %s", cases[i].text, tone_names[r.tone]);
        ck_assert_msg(r.ending == cases[i].ending, "%s: %d", cases[i].text, (int)r.ending);
    }
    char gist[24];
    words_cut("one two three four five six", gist, sizeof gist);
    ck_assert_str_eq(gist, "one two three four...");
}
END_TEST

/* ---- the journey ---- */

static const char story[] =
    "{\"call_transcripts\": ["
    "{\"call_id\": \"C-2\", \"started_at\": \"2025-11-15T09:00:00Z\", \"text\": \"customer: No signal again, third "
    "time I call.\"},"
    "{\"call_id\": \"C-1\", \"started_at\": \"2025-11-01T09:00:00Z\", \"text\": \"customer: My calls keep dropping.\"},"
    "{\"call_id\": \"C-X\", \"started_at\": \"some day\", \"text\": \"customer: lost\"}],"
    "\"web_transcripts\": [{\"session_id\": \"W-1\", \"started_at\": \"2025-11-08T09:00:00Z\", \"text\": \"customer: "
    "The signal drops at home, not happy.\"}],"
    "\"campaigns\": [{\"campaign_id\": \"A\", \"treatment_id\": \"retention_email\", \"channel\": \"email\", "
    "\"sent_at\": \"2025-11-08T09:00:00Z\", \"outcome\": \"complained\"}],"
    "\"usage\": [{\"month\": \"2025-05\", \"spend_pounds\": 60, \"data_gb\": 10, \"paid_on_time\": 1}, {\"month\": "
    "\"2025-06\", \"spend_pounds\": 61, \"data_gb\": 10, \"paid_on_time\": 1},"
    "{\"month\": \"2025-07\", \"spend_pounds\": 59, \"data_gb\": 11, \"paid_on_time\": 0}, {\"month\": \"2025-08\", "
    "\"spend_pounds\": 42, \"data_gb\": 10, \"paid_on_time\": 1},"
    "{\"month\": \"2025-09\", \"spend_pounds\": 41, \"data_gb\": 10, \"paid_on_time\": 1}, {\"month\": \"2025-10\", "
    "\"spend_pounds\": 40, \"data_gb\": 11, \"paid_on_time\": 1}],"
    "\"facts\": {\"customer_id\": \"U1\", \"segment\": \"family\", \"tenure_months\": 31, \"age\": 44, "
    "\"monthly_spend\": 5050, \"churn_score\": 0.74,"
    "\"dropped_call_rate\": 3.1, \"months_seen\": 6, \"as_of_ms\": 1763683200000, \"attributes\": {\"Contract\": \"Two "
    "year\"}}}";

START_TEST(journey_is_in_the_order_of_time)
{
    json_t *data = read_json(story), *journey = journey_build("U1", data, NOW);
    const json_t *events = json_object_get(journey, "events");
    const char *before = "";
    ck_assert_uint_eq(json_array_size(events), 5); /* one had no date; a late payment is one */
    for (size_t i = 0; i < json_array_size(events); i++) {
        const char *at = cvm_json_str(json_array_get(events, i), "timestamp", "");
        ck_assert_msg(strcmp(before, at) <= 0, "%s behind %s", at, before);
        before = at;
    }
    /* Equal times keep the order of the sources. */
    ck_assert_str_eq(cvm_json_str(json_array_get(events, 2), "source", ""), "web_transcripts");
    ck_assert_str_eq(cvm_json_str(json_array_get(events, 3), "source", ""), "campaigns");
    ck_assert_str_eq(cvm_json_str(json_object_get(journey, "profile"), "segment", ""), "family");
    json_decref(journey);
    json_decref(data);
}
END_TEST

START_TEST(journey_says_what_it_knows)
{
    json_t *data = read_json(story), *journey = journey_build("U1", data, NOW);
    const json_t *metrics = json_object_get(journey, "metrics"), *trends = json_object_get(journey, "trends");
    ck_assert_double_eq_tol(json_number_value(json_object_get(metrics, "spend_pounds_3m")), 123, 1e-9);
    ck_assert_int_eq(cvm_json_int(metrics, "contacts_90d", -1), 3);
    ck_assert_int_eq(cvm_json_int(metrics, "negative_contacts_90d", -1), 3);
    ck_assert_int_eq(cvm_json_int(metrics, "days_since_last_contact", -1), 5);
    ck_assert_double_eq_tol(json_number_value(json_object_get(metrics, "churn_probability")), 0.74, 1e-9);
    ck_assert_str_eq(cvm_json_str(trends, "spend", ""), "down");
    ck_assert_str_eq(cvm_json_str(trends, "data_usage", ""), "flat");
    ck_assert_str_eq(cvm_json_str(trends, "contacts", ""), "up");
    ck_assert(has(json_object_get(journey, "patterns"), "repeat contact about the same problem"));
    ck_assert(has(json_object_get(journey, "patterns"), "network problem not solved"));
    ck_assert(has(json_object_get(journey, "insights"), "Three network contacts in 30 days, none solved."));
    ck_assert(has(json_object_get(journey, "signals"), "network_issues"));
    ck_assert(has(json_object_get(journey, "signals"), "churn_risk"));
    ck_assert(!has(json_object_get(journey, "signals"), "billing_disputes"));
    json_decref(journey);
    json_decref(data);
}
END_TEST

START_TEST(little_data_is_said_to_be_little)
{
    json_t *data = read_json("{\"usage\": [{\"month\": \"2025-09\", \"spend_pounds\": 60}, {\"month\": \"2025-10\", "
                             "\"spend_pounds\": 20}]}");
    json_t *journey = journey_build("U1", data, NOW), *nothing = json_object(),
           *empty = journey_build("U2", nothing, NOW);
    ck_assert_str_eq(cvm_json_str(json_object_get(journey, "trends"), "spend", ""), "not enough data");
    ck_assert(json_is_null(json_object_get(json_object_get(journey, "metrics"), "spend_pounds_3m")));
    ck_assert(has(json_object_get(journey, "insights"), "too few months"));
    ck_assert_str_eq(cvm_json_str(json_object_get(empty, "trends"), "contacts", ""), "not enough data");
    ck_assert(json_is_null(json_object_get(json_object_get(empty, "metrics"), "churn_probability")));
    ck_assert_uint_eq(json_array_size(json_object_get(empty, "patterns")), 0);
    ck_assert(has(json_object_get(empty, "insights"), "Nothing in the journey"));
    json_decref(journey);
    json_decref(empty);
    json_decref(nothing);
    json_decref(data);
}
END_TEST

START_TEST(noise_is_no_trend)
{
    json_t *data = read_json("{\"usage\": [{\"month\": \"2025-05\", \"spend_pounds\": 20}, {\"month\": \"2025-06\", "
                             "\"spend_pounds\": 60}, {\"month\": \"2025-07\", \"spend_pounds\": 25},"
                             "{\"month\": \"2025-08\", \"spend_pounds\": 55}, {\"month\": \"2025-09\", "
                             "\"spend_pounds\": 20}, {\"month\": \"2025-10\", \"spend_pounds\": 65}]}");
    json_t *journey = journey_build("U1", data, NOW);
    ck_assert_str_eq(cvm_json_str(json_object_get(journey, "trends"), "spend", ""), "flat");
    json_decref(journey);
    json_decref(data);
}
END_TEST

START_TEST(summary_keeps_its_size)
{
    json_t *data = read_json(story), *journey = journey_build("U1", data, NOW);
    for (size_t size = 60; size <= 1200; size += 60) {
        json_t *summary = journey_summarise(journey, 2, size);
        const char *text = cvm_json_str(summary, "summary", "");
        ck_assert_uint_le(strlen(text), size);
        ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(summary, "journey"), "events")), 2);
        ck_assert_msg(!*text || strchr(".!?", text[strlen(text) - 1]) != NULL, "cut: %s", text);
        json_decref(summary);
    }
    json_decref(journey);
    json_decref(data);
}
END_TEST

/* ---- values and rules ---- */

static const char catalogue[] =
    "[{\"id\": \"ignore\", \"display_name\": \"No treatment\", \"constraints\": {\"priority\": 9}},"
    "{\"id\": \"retention_call\", \"display_name\": \"Retention call\", \"channel\": \"call\", \"applies_to\": "
    "[\"churn_risk\"],"
    " \"constraints\": {\"max_per_day\": 20, \"cost_per_contact_pounds\": 8, \"priority\": 2},"
    " \"eligibility\": [{\"rule\": \"half_a_year\", \"fact\": \"tenure_months\", \"op\": \">=\", \"value\": 6, "
    "\"why\": \"only after half a year\"}],"
    " \"value\": {\"kind\": \"retain\", \"propensity\": 0.08, \"uplift_by_trigger\": {\"churn_risk\": 0.1}, "
    "\"months\": 12, \"margin\": 0.4}},"
    "{\"id\": \"upgrade\", \"display_name\": \"Upgrade\", \"channel\": \"sms\", \"constraints\": "
    "{\"cost_per_contact_pounds\": 0.05},"
    " \"value\": {\"kind\": \"sell\", \"propensity\": 0.04, \"amount_pounds\": 6, \"months\": 12, \"margin\": 0.5}},"
    "{\"id\": \"booster\", \"display_name\": \"Booster\", \"channel\": \"network\", \"constraints\": "
    "{\"cost_per_contact_pounds\": 25, \"priority\": 2},"
    " \"value\": {\"kind\": \"service\", \"propensity\": 0.01, \"uplift_by_trigger\": {\"network_issues\": 0.4}, "
    "\"amount_pounds\": 90}},"
    "{\"id\": \"vip_gift\", \"display_name\": \"Gift\", \"channel\": \"post\", \"eligible_segments\": [\"business\"], "
    "\"constraints\": {\"cost_per_contact_pounds\": 5},"
    " \"value\": {\"kind\": \"fixed\", \"propensity\": 0.5, \"amount_pounds\": 60}},"
    "{\"id\": \"custom_one\", \"display_name\": \"Send a letter about network coverage\", \"channel\": \"post\", "
    "\"constraints\": {\"priority\": 3}},"
    "{\"id\": \"off\", \"display_name\": \"Off\", \"enabled\": false, \"value\": {\"kind\": \"fixed\", \"propensity\": "
    "1, \"amount_pounds\": 500}}]";

static const char plain_journey[] =
    "{\"customer_id\": \"U1\", \"events\": [], \"signals\": [], \"insights\": [\"Two network contacts in 30 days, none "
    "solved.\"],"
    "\"facts\": {\"customer_id\": \"U1\", \"segment\": \"family\", \"tenure_months\": 31, \"monthly_spend\": 4000, "
    "\"churn_score\": 0.5, \"upsell_score\": 0.5,"
    "\"sms\": 1, \"email\": 1, \"call\": 1, \"app\": 1, \"post\": 1, \"marketing\": 1}}";

struct set {
    json_t *journey, *treatments, *constraints;
    struct problem *p;
};

static void set_up(struct set *s, const char *journey, const char *constraints)
{
    char why[200];
    s->journey = read_json(journey);
    s->treatments = read_json(catalogue);
    s->constraints = read_json(constraints);
    struct problem_given given = {.journey = s->journey, .treatments = s->treatments, .constraints = s->constraints};
    ck_assert_msg(problem_make(&given, &s->p, why, sizeof why) == 0, "%s", why);
    problem_decide(s->p);
}

static void set_down(struct set *s)
{
    problem_free(s->p);
    json_decref(s->journey);
    json_decref(s->treatments);
    json_decref(s->constraints);
}

static const char *rule_of(const struct set *s, const char *id)
{
    return s->p->verdicts[problem_find(s->p, id)].rule;
}

static const char *winner_of(const struct set *s)
{
    return s->p->p.options[s->p->r.winner].o.id;
}

static int64_t value_in(const struct set *s, const char *id)
{
    return s->p->verdicts[problem_find(s->p, id)].value.value;
}

START_TEST(value_is_propensity_times_worth_less_cost)
{
    struct set s;
    set_up(&s, plain_journey, "{}");
    /* retain: .08 x (.5 x 40.00 x .4 x 12 = 96.00) - 8.00 = -.32 */
    ck_assert_int_eq(value_in(&s, "retention_call"), -32);
    /* sell: .04 x 36.00 - .05 */
    ck_assert_int_eq(value_in(&s, "upgrade"), 139);
    ck_assert_int_eq(value_in(&s, "booster"), -2500); /* there is nothing to put right */
    ck_assert_int_eq(value_in(&s, "ignore"), 0);
    ck_assert_str_eq(winner_of(&s), "upgrade");
    s.p->p.word_signals = 1U << SIGNAL_NETWORK | 1U << SIGNAL_CHURN;
    problem_decide(s.p);
    ck_assert_int_eq(value_in(&s, "booster"), 3690 - 2500); /* .41 x 90.00 */
    ck_assert_int_eq(value_in(&s, "retention_call"), 1728 - 800);
    ck_assert_str_eq(winner_of(&s), "booster");
    json_t *answer = problem_answer(s.p, s.p->r.winner, false);
    const json_t *one = json_array_get(json_object_get(answer, "considered"), problem_find(s.p, "booster"));
    ck_assert_double_eq_tol(json_number_value(json_object_get(json_object_get(one, "factors"), "uplift_of_triggers")),
                            0.4, 1e-9);
    ck_assert_str_eq(cvm_json_str(answer, "runner_up", ""), "custom_one"); /* by assumed figures */
    json_decref(answer);
    set_down(&s);
}
END_TEST

START_TEST(what_was_observed_moves_the_rate)
{
    json_t *record = read_json("{\"id\": \"a\", \"value\": {\"kind\": \"fixed\", \"propensity\": 0.1, "
                               "\"amount_pounds\": 100, \"observed\": {\"contacts\": 450, \"successes\": 90}}}");
    struct option o;
    struct cvm_facts facts;
    struct value v;
    char why[100];
    facts_clear(&facts);
    ck_assert(option_read(record, &o, why, sizeof why));
    struct value_customer c = {.facts = &facts};
    value_of(&o, &c, NULL, &v);
    ck_assert_double_eq_tol(v.propensity, (5 + 90) / 500.0, 1e-12);
    struct value_history h = {.contacts = 2, .complaints = 1, .propensity = NAN, .worth = FACTS_NONE};
    value_of(&o, &c, &h, &v);
    ck_assert_double_eq_tol(v.propensity, 0.19 * 5 / 7 / 4, 1e-12);
    h = (struct value_history){.told = true, .propensity = 0.5, .worth = 2000};
    value_of(&o, &c, &h, &v);
    ck_assert_int_eq(v.value, 1000);
    json_decref(record);
}
END_TEST

START_TEST(first_rule_rejects)
{
    struct set s;
    set_up(&s,
           "{\"customer_id\": \"U1\", \"signals\": [], \"facts\": {\"customer_id\": \"U1\", \"segment\": \"family\", "
           "\"tenure_months\": 3, \"call\": 1, \"sms\": 1, \"post\": 1, \"marketing\": 1}}",
           "{\"booster\": {\"remaining\": 0}}");
    ck_assert_str_eq(rule_of(&s, "off"), "disabled");
    ck_assert_str_eq(rule_of(&s, "retention_call"), "eligibility:half_a_year");
    ck_assert_str_eq(s.p->verdicts[problem_find(s.p, "retention_call")].why, "only after half a year");
    ck_assert_str_eq(rule_of(&s, "vip_gift"), "segment");
    ck_assert_str_eq(rule_of(&s, "booster"), "exhausted");
    ck_assert_str_eq(rule_of(&s, "upgrade"), "");
    s.p->p.facts.marketing = 0;
    problem_decide(s.p);
    ck_assert_str_eq(rule_of(&s, "upgrade"), "permission:marketing");
    ck_assert_str_eq(rule_of(&s, "booster"), "exhausted"); /* network needs no permission */
    s.p->p.facts.sms = 0;
    problem_decide(s.p);
    ck_assert_str_eq(rule_of(&s, "upgrade"), "permission:sms");
    ck_assert_str_eq(winner_of(&s), "ignore");
    set_down(&s);
}
END_TEST

START_TEST(operators_of_eligibility)
{
    static const struct {
        const char *rule;
        bool holds;
    } cases[] = {{"{\"fact\": \"tenure_months\", \"op\": \">\", \"value\": 30}", true},
                 {"{\"fact\": \"tenure_months\", \"op\": \"<=\", \"value\": 30}", false},
                 {"{\"fact\": \"segment\", \"op\": \"in\", \"value\": [\"business\", \"Family\"]}", true},
                 {"{\"fact\": \"segment\", \"op\": \"!=\", \"value\": \"family\"}", false},
                 {"{\"fact\": \"attributes.Contract\", \"op\": \"=\", \"value\": \"Two year\"}", true},
                 {"{\"fact\": \"attributes.Paper\", \"op\": \"absent\"}", true},
                 {"{\"fact\": \"data_gb\", \"op\": \"exists\"}", false},
                 {"{\"fact\": \"data_gb\", \"op\": \"<\", \"value\": 5}", false}, /* unknown is no number */
                 {"{\"fact\": \"contract_end\", \"op\": \"<\", \"value\": \"2026-01-01\"}", true}};
    json_t *facts_json = read_json("{\"customer_id\": \"U\", \"segment\": \"family\", \"tenure_months\": 31, "
                                   "\"contract_end\": \"2025-12-24\", \"attributes\": {\"Contract\": \"Two year\"}}");
    struct cvm_facts facts;
    facts_from_json(facts_json, &facts);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300], why[200];
        snprintf(text, sizeof text, "{\"id\": \"x\", \"eligibility\": [%s]}", cases[i].rule);
        json_t *record = read_json(text);
        struct option o;
        ck_assert_msg(option_read(record, &o, why, sizeof why), "%s", why);
        ck_assert_msg((option_broken_rule(&o, &facts) == NULL) == cases[i].holds, "%s", cases[i].rule);
        json_decref(record);
    }
    static const char *const bad[] = {
        "{\"fact\": \"shoe_size\", \"op\": \"=\", \"value\": 4}", "{\"fact\": \"age\", \"op\": \"~\", \"value\": 4}",
        "{\"fact\": \"age\", \"op\": \"in\", \"value\": 4}", "{\"fact\": \"age\", \"op\": \">\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300], why[200] = "";
        snprintf(text, sizeof text, "{\"id\": \"x\", \"eligibility\": [%s]}", bad[i]);
        json_t *record = read_json(text);
        struct option o;
        ck_assert_msg(!option_read(record, &o, why, sizeof why) && strstr(why, "eligibility 1"), "%s: %s", bad[i], why);
        json_decref(record);
    }
    json_decref(facts_json);
}
END_TEST

/* Without figures: triggers, then priority, then cost, then id; and nothing where none is matched. */
START_TEST(rule_scorer_ranks_what_has_no_figures)
{
    static const char *const order[] = {"b_two", "c_first", "a_cheap", "b_dear", "z_same", NULL};
    json_t *list =
        read_json("[{\"id\": \"b_two\", \"applies_to\": [\"network_issues\", \"churn_risk\"], \"constraints\": "
                  "{\"priority\": 9}},"
                  "{\"id\": \"z_same\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": 3, "
                  "\"cost_per_contact_pounds\": 2}},"
                  "{\"id\": \"b_dear\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": 3, "
                  "\"cost_per_contact_pounds\": 2}},"
                  "{\"id\": \"a_cheap\", \"applies_to\": [\"churn_risk\"], \"constraints\": {\"priority\": 3, "
                  "\"cost_per_contact_pounds\": 1}},"
                  "{\"id\": \"c_first\", \"applies_to\": [\"network_issues\"], \"constraints\": {\"priority\": 1}},"
                  "{\"id\": \"none\", \"applies_to\": [\"roaming_issues\"], \"constraints\": {\"priority\": 1}}]");
    json_t *journey = read_json(
               "{\"customer_id\": \"U1\", \"patterns\": [\"network_issues\", \"churn_risk\"], \"signals\": []}"),
           *excluded = json_array();
    char why[100];
    for (size_t i = 0;; i++) {
        struct problem *p = NULL;
        struct problem_given given = {.journey = journey, .treatments = list, .excluded = excluded};
        ck_assert_int_eq(problem_make(&given, &p, why, sizeof why), 0);
        problem_decide(p);
        const char *winner = p->p.options[p->r.winner].o.id;
        ck_assert_str_eq(winner, order[i] ? order[i] : "ignore");
        problem_free(p);
        if (!order[i])
            break;
        json_array_append_new(excluded, json_string(order[i])); /* the excluded one never comes back */
    }
    json_decref(list);
    json_decref(journey);
    json_decref(excluded);
}
END_TEST

START_TEST(explanation_is_short_and_names_the_journey)
{
    struct set s;
    char text[EXPLANATION_SIZE];
    set_up(&s, plain_journey, "{}");
    s.p->p.word_signals = 1U << SIGNAL_NETWORK;
    problem_decide(s.p);
    for (size_t i = 0; i < s.p->p.n; i++) {
        size_t sentences = 0;
        problem_explain(s.p, i, text);
        for (const char *at = text; *at; at++)
            sentences += *at == '.' && (at[1] == ' ' || !at[1]);
        ck_assert_msg(sentences >= 1 && sentences <= 4, "%zu: %s", sentences, text);
    }
    problem_explain(s.p, s.p->r.winner, text);
    ck_assert_msg(strstr(text, "network contacts in 30 days") != NULL, "%s", text);
    set_down(&s);
}
END_TEST

/* ---- the smallest change ---- */

static uint64_t seed = 7;

static double draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void draw_customer(struct problem *p)
{
    struct cvm_facts *f = &p->p.facts;
    int64_t *flags[] = {&f->sms, &f->email, &f->call, &f->app, &f->post, &f->marketing};
    f->monthly_spend = (int64_t)(draw() * 12000);
    f->churn_score = draw() < 0.1 ? NAN : round(draw() * 10000) / 10000;
    f->upsell_score = draw() < 0.1 ? NAN : round(draw() * 10000) / 10000;
    f->tenure_months = (int64_t)(draw() * 72);
    f->dropped_call_rate = round(draw() * 400) / 100;
    f->download_mbps = round(draw() * 3000) / 100;
    f->outages_30d = (int64_t)(draw() * 5);
    f->dispute_open = draw() < 0.1;
    f->segment = draw() < 0.3 ? "business" : "family";
    for (size_t i = 0; i < 6; i++)
        *flags[i] = draw() < 0.7;
    p->p.word_signals = (unsigned)(draw() * 32) & (unsigned)(draw() * 32);
    for (size_t i = 0; i < p->p.n; i++) {
        struct decide_option *d = &p->p.options[i];
        d->remaining = draw() < 0.2 ? 0 : draw() < 0.3 ? OPTION_UNLIMITED : (int64_t)(draw() * 50);
        d->o.enabled = draw() < 0.9;
        d->history.told = draw() < 0.1;
        d->history.propensity = draw() * 0.5;
        if (!option_is_ignore(&d->o))
            d->o.cost = (int64_t)(draw() * draw() * 3000);
    }
}

START_TEST(stated_change_alters_the_decision)
{
    struct set s;
    size_t kinds[16] = {0}, none = 0;
    set_up(&s, plain_journey, "{}");
    struct decide_option *before = calloc(s.p->p.n, sizeof *before);
    for (int i = 0; i < 1000; i++) {
        struct change c;
        draw_customer(s.p);
        problem_decide(s.p);
        struct cvm_facts facts = s.p->p.facts;
        unsigned signals = s.p->p.word_signals;
        memcpy(before, s.p->p.options, s.p->p.n * sizeof *before);
        change_find(&s.p->p, &s.p->r, &c);
        /* The search leaves everything as it was. */
        ck_assert(memcmp(&facts, &s.p->p.facts, sizeof facts) == 0 && signals == s.p->p.word_signals);
        ck_assert(memcmp(before, s.p->p.options, s.p->p.n * sizeof *before) == 0);
        kinds[c.kind]++;
        if (c.kind == CHANGE_NONE) {
            none++;
            continue;
        }
        change_set(&s.p->p, &c, c.to);
        size_t now = decide_winner(&s.p->p);
        ck_assert_msg(now != s.p->r.winner && now == c.then, "%d: kind %d from %g to %g: still %zu", i, (int)c.kind,
                      c.from, c.to, now);
        memcpy(s.p->p.options, before, s.p->p.n * sizeof *before);
        s.p->p.facts = facts;
        s.p->p.word_signals = signals;
        ck_assert_uint_eq(decide_winner(&s.p->p), s.p->r.winner);
    }
    ck_assert_msg(none == 0, "%zu of 1000 decisions have no change that alters them", none);
    ck_assert_msg(kinds[CHANGE_FACT] && kinds[CHANGE_COST] && kinds[CHANGE_PROPENSITY],
                  "facts %zu, costs %zu, rates %zu", kinds[CHANGE_FACT], kinds[CHANGE_COST], kinds[CHANGE_PROPENSITY]);
    free(before);
    set_down(&s);
}
END_TEST

/* Half of what it says, in the same direction, alters nothing: it is not larger than need be. */
START_TEST(stated_change_is_small)
{
    struct set s;
    set_up(&s, plain_journey, "{}");
    size_t tried = 0, larger = 0;
    for (int i = 0; i < 300; i++) {
        struct change c;
        draw_customer(s.p);
        problem_decide(s.p);
        change_find(&s.p->p, &s.p->r, &c);
        if (c.kind != CHANGE_COST && c.kind != CHANGE_PROPENSITY && !(c.kind == CHANGE_FACT && c.name[0] == 'c'))
            continue;
        tried++;
        change_set(&s.p->p, &c, c.from + (c.to - c.from) * 0.9);
        larger += decide_winner(&s.p->p) != s.p->r.winner && fabs(c.to - c.from) > 0.02;
        change_set(&s.p->p, &c, c.from);
    }
    ck_assert_uint_gt(tried, 10);
    ck_assert_uint_eq(larger, 0);
    set_down(&s);
}
END_TEST

START_TEST(change_reads_as_a_sentence)
{
    struct set s;
    set_up(&s, plain_journey, "{}");
    json_t *answer = problem_answer(s.p, s.p->r.winner, true);
    const json_t *change = json_object_get(answer, "change");
    const char *text = cvm_json_str(change, "text", "");
    /* 8.00 to 6.28 would do for the call (a fifth); .05 of the upgrade up to 1.45 is far more. */
    ck_assert_msg(strncmp(text, "If ", 3) == 0 && strstr(text, "would be chosen."), "%s", text);
    ck_assert_double_lt(json_number_value(json_object_get(change, "relative")), 0.25);
    json_decref(answer);
    set_down(&s);
}
END_TEST

START_TEST(one_decision_with_reasons_is_quick)
{
    struct set s;
    enum { RUNS = 400 };
    double all[RUNS];
    json_t *journey = NULL, *data = read_json(story), *treatments = read_json(catalogue), *none = json_object();
    char why[100], text[EXPLANATION_SIZE];
    set_up(&s, plain_journey, "{}");
    for (int i = 0; i < RUNS; i++) {
        struct timespec a, b;
        struct problem *p = NULL;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        journey = journey_build("U1", data, NOW);
        struct problem_given given = {.journey = journey, .treatments = treatments, .constraints = none};
        ck_assert_int_eq(problem_make(&given, &p, why, sizeof why), 0);
        problem_decide(p);
        problem_explain(p, p->r.winner, text);
        json_t *answer = problem_answer(p, p->r.winner, true);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        all[i] = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
        json_decref(answer);
        problem_free(p);
        json_decref(journey);
    }
    for (int i = 0; i < RUNS; i++)
        for (int k = i + 1; k < RUNS; k++)
            if (all[k] < all[i]) {
                double swap = all[i];
                all[i] = all[k];
                all[k] = swap;
            }
    printf("one decision: median %.3f ms, p99 %.3f ms\n", all[RUNS / 2], all[RUNS * 99 / 100]);
    ck_assert_double_lt(all[RUNS / 2],
                        10); /* the target is measured by the bench; this finds what is out of all proportion */
    json_decref(data);
    json_decref(treatments);
    json_decref(none);
    set_down(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decision");
    TCase *c = tcase_create("decision");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, moments_are_read_and_written);
    tcase_add_test(c, words_say_what_about_and_how);
    tcase_add_test(c, journey_is_in_the_order_of_time);
    tcase_add_test(c, journey_says_what_it_knows);
    tcase_add_test(c, little_data_is_said_to_be_little);
    tcase_add_test(c, noise_is_no_trend);
    tcase_add_test(c, summary_keeps_its_size);
    tcase_add_test(c, value_is_propensity_times_worth_less_cost);
    tcase_add_test(c, what_was_observed_moves_the_rate);
    tcase_add_test(c, first_rule_rejects);
    tcase_add_test(c, operators_of_eligibility);
    tcase_add_test(c, rule_scorer_ranks_what_has_no_figures);
    tcase_add_test(c, explanation_is_short_and_names_the_journey);
    tcase_add_test(c, stated_change_alters_the_decision);
    tcase_add_test(c, stated_change_is_small);
    tcase_add_test(c, change_reads_as_a_sentence);
    tcase_add_test(c, one_decision_with_reasons_is_quick);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
