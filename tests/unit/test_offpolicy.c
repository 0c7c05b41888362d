/* Evaluation off the policy in worlds whose truth is known: whether 95 of 100 intervals hold it, and whether it says so
 * where it cannot tell. */
#include "../../plugins/lifecycle/common/world.h"
#include "../../plugins/lifecycle/learn/offpolicy.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_MAX 4000
#define K_MAX 8

static double x[N_MAX * 3], reward[N_MAX], propensity[N_MAX], given[N_MAX * K_MAX];
static int action[N_MAX];
static char names[OUTCOME_ACTIONS_MAX][OFF_NAME_MAX];

static double normal(struct life_random *r)
{
    return sqrt(-2 * log(1 - life_random_unit(r))) * cos(2 * M_PI * life_random_unit(r));
}

/* A world to log in: how rewards come and how actions were chosen. */
struct world {
    const char *name;
    size_t n, k;
    double sharpness; /* of the logging policy: 0 all alike, 2 some actions in one of a hundred cases */
    bool rate;        /* rewards are 0 or 1, else normal; `skewed`: seldom and large, as sums that people spend */
    bool skewed;
    bool crooked; /* rewards are not linear in the features */
};

static double expected(const struct world *w, const double *features, size_t a)
{
    double level = 0.3 * (double)a + features[0] * (a % 2 ? 0.8 : -0.4) + 0.5 * features[1];
    if (w->crooked)
        level += sin(2 * features[0] + (double)a) + features[1] * features[1] * 0.3;
    if (w->rate)
        return 0.9 / (1 + exp(-(level - 1))) + 0.02;
    return w->skewed ? 0.1 * exp(level / 2) * 20 : level;
}

static double rewarded(const struct world *w, double mean, struct life_random *r)
{
    if (w->rate)
        return life_random_unit(r) < mean;
    if (w->skewed)
        return life_random_unit(r) < 0.2 ? -log(1 - life_random_unit(r)) * mean / 0.2 : 0;
    return mean + normal(r);
}

static void probabilities(const struct world *w, double sharpness, const double *features, double shift, double *ret_p)
{
    double total = 0;
    for (size_t a = 0; a < w->k; a++)
        total += ret_p[a] = exp(sharpness * (sin((double)a * 1.7 + shift) + 0.3 * features[0]) * (a % 3 ? 1 : 0.6));
    for (size_t a = 0; a < w->k; a++)
        ret_p[a] /= total;
}

static struct off_log logged(const struct world *w, uint64_t seed)
{
    struct life_random r = life_random_of(seed, 1, w->name, LIFE_NOISE);
    for (size_t i = 0; i < w->n; i++) {
        double p[K_MAX], u = life_random_unit(&r);
        size_t a = 0;
        for (size_t f = 0; f < 3; f++)
            x[i * 3 + f] = normal(&r);
        probabilities(w, w->sharpness, x + i * 3, 0, p);
        while (a + 1 < w->k && u >= p[a])
            u -= p[a++];
        action[i] = (int)a;
        propensity[i] = p[a];
        reward[i] = rewarded(w, expected(w, x + i * 3, a), &r);
        probabilities(w, 1, x + i * 3, 2, given + i * w->k); /* what is evaluated */
    }
    for (size_t a = 0; a < w->k; a++)
        snprintf(names[a], sizeof names[a], "A%zu", a);
    return (struct off_log){
        .rows = {w->n, 3, w->k, x, action, reward}, .n_logged = w->k, .names = names, .propensity = propensity};
}

/* The value of the evaluated policy, by a great many draws of the features. */
static double truth_of(const struct world *w, const struct off_policy *policy)
{
    struct life_random r = life_random_of(77, 1, w->name, LIFE_BEHAVIOUR);
    enum { DRAWS = 400000 };
    double sum = 0;
    for (int i = 0; i < DRAWS; i++) {
        double features[3] = {normal(&r), normal(&r), normal(&r)}, p[K_MAX];
        probabilities(w, 1, features, 2, p);
        for (size_t a = 0; a < w->k; a++)
            sum += (policy->kind == OFF_GIVEN     ? p[a]
                    : policy->kind == OFF_UNIFORM ? 1.0 / (double)w->k
                                                  : (int)a == policy->action) *
                   expected(w, features, a);
    }
    return sum / DRAWS;
}

static bool holds(const struct off_interval *i, double truth)
{
    return i->low <= truth && truth <= i->high;
}

static size_t resamples(void)
{
    const char *text = getenv("CVM_LEARN_RESAMPLES");
    long n = text ? strtol(text, NULL, 10) : 200;
    return n < 50 ? 50 : (size_t)n;
}

static const struct world worlds[] = {
    {"little", 200, 4, 0.5, .rate = true},
    {"even", 500, 4, 0},
    {"even rate", 1000, 4, 0, .rate = true},
    {"uneven", 1000, 5, 1},
    {"uneven rate", 1500, 5, 1, .rate = true},
    {"crooked", 1000, 4, 1, .crooked = true},
    {"sharp", 3000, 6, 2.2},
    {"sharp rate", 4000, 6, 2, .rate = true},
    {"spending", 2000, 4, 0.7, .skewed = true},
    {"spending seldom", 4000, 4, 1.2, .skewed = true},
};

/* 95 % of the intervals hold the truth: 93 to 97 over thousands of logs, and what chance leaves of that over fewer. */
START_TEST(intervals_hold_the_truth)
{
    const struct world *w = &worlds[_i];
    const struct off_policy policies[] = {
        {.kind = OFF_GIVEN, .given = given}, {.kind = OFF_UNIFORM}, {.kind = OFF_ACTION, .action = 1}};
    size_t n = resamples();
    double margin = 0.02 + (n >= 4000 ? 0 : 2.7 * sqrt(0.95 * 0.05 / (double)n));
    for (size_t p = 0; p < 3; p++) {
        size_t ips = 0, snips = 0, dr = 0, told = 0;
        double truth = truth_of(w, &policies[p]), ess = 0, second = 0, wide[3] = {0};
        for (size_t i = 0; i < n; i++) {
            struct off_log log = logged(w, i + 1);
            struct off_result r;
            ck_assert_int_eq(off_evaluate(&log, &policies[p], &r), 0);
            ess += r.ess / (double)n;
            second += r.second / (double)n;
            if (!r.known)
                continue;
            told++;
            ips += holds(&r.ips, truth);
            snips += holds(&r.snips, truth);
            dr += holds(&r.dr, truth);
            wide[0] += r.ips.high - r.ips.low;
            wide[1] += r.snips.high - r.snips.low;
            wide[2] += r.dr.high - r.dr.low;
        }
        double size = (double)(told ? told : 1);
        printf("%-16s policy %zu: told %4zu of %zu, ESS %6.0f of %zu, second %4.0f, held IPS %.3f SNIPS %.3f DR %.3f, "
               "width %.3f %.3f "
               "%.3f\n",
               w->name, p, told, n, ess, w->n, second, (double)ips / size, (double)snips / size, (double)dr / size,
               wide[0] / size, wide[1] / size, wide[2] / size);
        ck_assert_msg(told >= n * 98 / 100, "%s: told %zu of %zu", w->name, told, n);
        ck_assert(fabs((double)ips / size - 0.95) <= margin);
        ck_assert(fabs((double)snips / size - 0.95) <= margin);
        ck_assert(fabs((double)dr / size - 0.95) <= margin);
    }
}
END_TEST

/* ---- what it cannot tell ---- */

static struct off_result evaluated(const struct off_log *log, const struct off_policy *policy)
{
    struct off_result r;
    ck_assert_int_eq(off_evaluate(log, policy, &r), 0);
    return r;
}

#define UNTOLD(result, reason)                                                                                         \
    ck_assert_msg(!(result).known && strstr((result).why, reason), "%s: \"%s\"", reason, (result).why)

START_TEST(says_when_it_cannot_tell)
{
    struct world w = {"uneven", 1000, 5, 1};
    struct off_policy taken = {.kind = OFF_ACTION, .action = 1}, uniform = {.kind = OFF_UNIFORM};
    struct off_log log = logged(&w, 1);
    ck_assert(evaluated(&log, &taken).known);
    log.rows.n = 0;
    UNTOLD(evaluated(&log, &taken), "no rows");
    log.rows.n = 40; /* too few of that action */
    UNTOLD(evaluated(&log, &taken), "too little overlap");
    log = logged(&w, 1);
    snprintf(names[5], sizeof names[5], "GIFT");
    log.rows.n_actions = 6; /* named by the policy, never logged */
    struct off_policy never = {.kind = OFF_ACTION, .action = 5};
    UNTOLD(evaluated(&log, &never), "GIFT in 100 %");
    log = logged(&w, 1);
    for (size_t i = 0; i < w.n; i++)
        propensity[i] = 1; /* no propensities at all, or made up */
    UNTOLD(evaluated(&log, &uniform), "propensities are not those");
    log = logged(&w, 1);
    for (size_t i = 0; i < w.n; i++) /* what it would do, everybody gets but those it would do it for */
        for (size_t a = 0; a < w.k; a++)
            given[i * w.k + a] = (int)a == (action[i] + 1) % (int)w.k;
    struct off_policy elsewhere = {.kind = OFF_GIVEN, .given = given};
    UNTOLD(evaluated(&log, &elsewhere), "none of the logged actions");
    struct world extreme = {"extreme", 1500, 6, 3.5, .rate = true};
    size_t told = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct off_policy wanted = {.kind = OFF_GIVEN, .given = given};
        log = logged(&extreme, seed);
        told += evaluated(&log, &wanted).known;
    }
    ck_assert_msg(told <= 2, "%zu", told);
}
END_TEST

/* Policies that are learnt from the log itself are worth what they earn in the world. */
START_TEST(learnt_policies_are_judged_fairly)
{
    struct world w = {"uneven", 2000, 4, 0.7};
    struct life_random r = {3};
    size_t held = 0, logs = 40;
    double best = 0, greedy = 0, mean = 0;
    for (int i = 0; i < 100000; i++) {
        double features[3] = {normal(&r), normal(&r), normal(&r)}, most = -HUGE_VAL;
        for (size_t a = 0; a < w.k; a++)
            most = fmax(most, expected(&w, features, a));
        best += most / 100000;
    }
    for (size_t i = 0; i < logs; i++) {
        struct off_log log = logged(&w, i + 1);
        struct off_result g = evaluated(&log, &(struct off_policy){.kind = OFF_GREEDY}),
                          t = evaluated(&log, &(struct off_policy){.kind = OFF_THOMPSON}),
                          l = evaluated(&log, &(struct off_policy){.kind = OFF_LOGGED});
        ck_assert(g.known && t.known && l.known);
        ck_assert(fabs(l.ips.value - l.logged) < 1e-9 && fabs(l.dr.value - l.logged) < 1e-9);
        ck_assert(fabs(g.dr.value - t.dr.value) < 0.2);
        held += g.dr.low <= best && best <= g.dr.high; /* its loss is small beside the interval */
        greedy += g.dr.value / (double)logs;
        mean += l.logged / (double)logs;
    }
    ck_assert_msg(held >= logs * 8 / 10, "%zu of %zu", held, logs);
    ck_assert_msg(greedy > mean + 0.3 && fabs(greedy - best) < 0.05, "greedy %g, best %g, logged %g", greedy, best,
                  mean);
}
END_TEST

START_TEST(intervals_of_nothing_and_of_constants)
{
    double same[5] = {2, 2, 2, 2, 2}, weights[5] = {1, 1, 1, 1, 1}, none[5] = {0};
    ck_assert(isinf(off_mean(same, 1).high));
    ck_assert(off_mean(same, 5).low == 2 && off_mean(same, 5).high == 2);
    ck_assert(off_ratio(weights, same, 5).value == 2 && off_ratio(weights, same, 5).low == 2);
    ck_assert(isnan(off_ratio(none, same, 5).value));
    double values[4] = {1, 2, 3, 5};
    struct off_interval i = off_mean(values, 4);
    ck_assert(i.value == 2.75 && i.low < 2.75 - 1 && i.high > 2.75 + 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("offpolicy");
    TCase *c = tcase_create("offpolicy");
    tcase_set_timeout(c, 900);
    tcase_add_loop_test(c, intervals_hold_the_truth, 0, sizeof worlds / sizeof *worlds);
    tcase_add_test(c, says_when_it_cannot_tell);
    tcase_add_test(c, learnt_policies_are_judged_fairly);
    tcase_add_test(c, intervals_of_nothing_and_of_constants);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
