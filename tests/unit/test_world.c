/* The simulated world: what a day does to customers, what is seen, what an action does, when they leave, what they are
 * worth; and that nothing of it depends on order. */
#include "world.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *record;
static char error[200];

static struct life_persona persona(const char *text)
{
    struct life_persona p;
    json_decref(record);
    record = json_loads(text, 0, NULL);
    ck_assert_msg(life_persona_read(record, &p, error, sizeof error) == CVM_OK, "%s", error);
    return p;
}

#define SAM                                                                                                            \
    "{\"persona_key\": \"Onboarding_Sam\", \"display_name\": \"Student Sam\", \"segment\": \"Onboarding\", "           \
    "\"engagement_score\": 85, \"days_inactive\": 0, \"traits\": [\"price-sensitive\"], \"sensitivities\": "           \
    "{\"SEND_DISCOUNT\": 8, \"SEND_TUTORIAL\": -2}, \"monthly_revenue\": 250000, \"gross_margin\": 0.5"

static struct life_random random_at(uint64_t seed)
{
    return life_random_of(seed, 1, "Onboarding_Sam", LIFE_NOISE);
}

START_TEST(bad_records_name_their_field)
{
    static const char *const bad[][2] = {
        {"[]", "persona: must be an object"},
        {"{}", "persona_key: must be a text"},
        {"{\"persona_key\": \"Sam\", \"segment\": \"Onboarding\", \"display_name\": \"S\"}",
         "persona_key: must be the segment"},
        {SAM ", \"engagement_score\": 101}", "engagement_score: must be a number from 0 to 100"},
        {SAM ", \"days_inactive\": -1}", "days_inactive: must be a whole number"},
        {SAM ", \"status\": \"gone\"}", "status: must be active or churned"},
        {SAM ", \"gross_margin\": 2}", "gross_margin: must be a number from 0 to 1"},
        {SAM ", \"monthly_revenue\": 1.5}", "monthly_revenue: must be a whole number"},
        {SAM ", \"traits\": [1]}", "traits: must be texts"},
        {SAM ", \"sensitivities\": {\"A\": 1000}}", "sensitivities.A: must be a number"},
        {SAM ", \"currency\": \"NAIRA\"}", "currency: must be three letters"},
    };
    struct life_persona p;
    json_t *value = json_loads(bad[_i][0], 0, NULL);
    ck_assert_ptr_nonnull(value);
    ck_assert_int_eq(life_persona_read(value, &p, error, sizeof error), CVM_EINVAL);
    ck_assert_msg(strncmp(error, bad[_i][1], strlen(bad[_i][1])) == 0, "%s", error);
    json_decref(value);
}
END_TEST

START_TEST(a_record_is_read_again_as_it_was)
{
    struct life_persona p = persona(SAM "}"), again;
    json_t *text = life_persona_json(&p);
    ck_assert_int_eq(life_persona_read(text, &again, error, sizeof error), CVM_OK);
    ck_assert_str_eq(again.key, p.key);
    ck_assert_double_eq(again.score, p.score);
    ck_assert_int_eq(again.monthly_revenue, p.monthly_revenue);
    ck_assert(json_equal(again.sensitivities, p.sensitivities));
    json_decref(text);
}
END_TEST

START_TEST(drift_is_weaker_for_higher_scores)
{
    double sums[2] = {0, 0};
    static const double scores[] = {20, 90};
    for (int k = 0; k < 2; k++)
        for (int day = 1; day <= 2000; day++) {
            struct life_persona p = persona(SAM "}");
            struct life_random r = life_random_of(7, day, p.key, LIFE_BEHAVIOUR);
            p.score = scores[k];
            p.days_inactive = 3;
            double drift = life_simulate(&p, &r);
            ck_assert(drift >= -4 && drift <= 1);
            ck_assert_double_eq_tol(p.score, scores[k] + drift, 1e-9);
            ck_assert(p.days_inactive == 0 || p.days_inactive == 4);
            sums[k] += fabs(drift);
        }
    ck_assert_double_gt(sums[0], 2 * sums[1]);
    struct life_persona gone = persona(SAM ", \"status\": \"churned\"}");
    struct life_random r = random_at(1);
    ck_assert_double_eq(life_simulate(&gone, &r), 0);
    ck_assert_double_eq(gone.score, 85);
}
END_TEST

START_TEST(draws_depend_on_seed_day_persona_and_purpose_alone)
{
    struct life_random a = life_random_of(1, 2, "A_b", LIFE_NOISE), same = life_random_of(1, 2, "A_b", LIFE_NOISE);
    uint64_t first = life_random_next(&a);
    ck_assert_uint_eq(first, life_random_next(&same));
    struct life_random others[] = {life_random_of(2, 2, "A_b", LIFE_NOISE), life_random_of(1, 3, "A_b", LIFE_NOISE),
                                   life_random_of(1, 2, "A_c", LIFE_NOISE), life_random_of(1, 2, "A_b", LIFE_CHOICE)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_uint_ne(life_random_next(&others[i]), first);
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double u = life_random_unit(&a);
        ck_assert(u >= 0 && u < 1);
        sum += u;
    }
    ck_assert_double_eq_tol(sum / 10000, .5, .02);
}
END_TEST

START_TEST(states_have_their_limits)
{
    static const struct {
        double score;
        int64_t inactive;
        enum life_state state;
    } cases[] = {{60, 6, LIFE_HEALTHY},  {59.9, 0, LIFE_AT_RISK},  {60, 7, LIFE_AT_RISK},
                 {30, 13, LIFE_AT_RISK}, {29.9, 0, LIFE_CRITICAL}, {90, 14, LIFE_CRITICAL}};
    struct life_persona p = persona(SAM "}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct life_observation one, two;
        p.score = cases[i].score;
        p.days_inactive = cases[i].inactive;
        life_observe(&p, &one);
        life_observe(&p, &two);
        ck_assert_int_eq(one.state, cases[i].state);
        ck_assert_str_eq(one.summary, two.summary);
    }
    p.churned = true;
    ck_assert_int_eq(life_state_of(&p), LIFE_CHURNED);
}
END_TEST

START_TEST(the_trend_is_told_by_the_day_before)
{
    struct life_persona p = persona(SAM "}");
    struct life_observation o;
    static const double before[] = {85, 83, 87};
    static const enum life_trend trends[] = {LIFE_FLAT, LIFE_UP, LIFE_DOWN};
    for (int i = 0; i < 3; i++) {
        p.score_before = before[i];
        life_observe(&p, &o);
        ck_assert_int_eq(o.trend, trends[i]);
    }
    ck_assert_ptr_nonnull(strstr(o.summary, "Student Sam"));
    ck_assert_ptr_nonnull(strstr(o.summary, "price-sensitive"));
}
END_TEST

START_TEST(an_impact_is_sensitivity_noise_and_fatigue)
{
    struct life_persona p = persona(SAM "}");
    struct life_random r = random_at(1);
    ck_assert_double_eq(life_impact(&p, "SEND_DISCOUNT", 0, 0, &r), 8);
    ck_assert_double_eq(life_impact(&p, "SEND_TUTORIAL", 0, 0, &r), -2);
    ck_assert_double_eq(life_impact(&p, "SOMETHING_NEW", 2.5, 0, &r), 2.5);
    ck_assert_double_eq(life_impact(&p, LIFE_NO_ACTION, 5, 2, &r), 0);
    p.last_action = "SEND_DISCOUNT";
    ck_assert_double_eq(life_impact(&p, "SEND_DISCOUNT", 0, 0, &r), 6);
    double least = 100, most = -100;
    for (int i = 0; i < 2000; i++) {
        double impact = life_impact(&p, "SEND_TUTORIAL", 0, 2, &r);
        least = fmin(least, impact);
        most = fmax(most, impact);
    }
    ck_assert(least >= -4 && least < -3.8 && most <= 0 && most > -.2);
}
END_TEST

START_TEST(scores_stay_within_their_range)
{
    struct life_persona p = persona(SAM "}");
    life_act(&p, 40);
    ck_assert_double_eq(p.score, 100);
    life_act(&p, -140);
    ck_assert_double_eq(p.score, 0);
    ck_assert(!signbit(p.score));
}
END_TEST

START_TEST(who_is_lost)
{
    struct life_persona p = persona(SAM "}");
    ck_assert(!life_churns(&p, 10, 30));
    p.score = 10;
    ck_assert(life_churns(&p, 10, 30));
    p.score = 90;
    p.days_inactive = 30;
    ck_assert(life_churns(&p, 10, 30));
    p.churned = true;
    ck_assert(!life_churns(&p, 10, 30)); /* once */
}
END_TEST

START_TEST(lifetime_value)
{
    struct life_persona p = persona(SAM "}");
    double r = .5 + .49 * .85;
    ck_assert_int_eq(life_clv(&p, .01), (int64_t)nearbyint(125000 * r / (1.01 - r)));
    p.score = 100;
    ck_assert_int_eq(life_clv(&p, .01), (int64_t)nearbyint(125000 * .99 / .02));
    p.churned = true;
    ck_assert_int_eq(life_clv(&p, .01), 0);
}
END_TEST

static void forget(void)
{
    json_decref(record);
    record = NULL;
}

int main(void)
{
    Suite *s = suite_create("world");
    TCase *t = tcase_create("world");
    tcase_add_checked_fixture(t, NULL, forget);
    tcase_add_loop_test(t, bad_records_name_their_field, 0, 11);
    tcase_add_test(t, a_record_is_read_again_as_it_was);
    tcase_add_test(t, drift_is_weaker_for_higher_scores);
    tcase_add_test(t, draws_depend_on_seed_day_persona_and_purpose_alone);
    tcase_add_test(t, states_have_their_limits);
    tcase_add_test(t, the_trend_is_told_by_the_day_before);
    tcase_add_test(t, an_impact_is_sensitivity_noise_and_fatigue);
    tcase_add_test(t, scores_stay_within_their_range);
    tcase_add_test(t, who_is_lost);
    tcase_add_test(t, lifetime_value);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
