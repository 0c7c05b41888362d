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
    {"sharp", 800, 6, 2.2, .rate = false},
    {"sharp2", 3000, 6, 2.2, .rate = false},
    {"sharp3", 4000, 6, 2.0, .rate = true},
    {"sharp4", 2000, 5, 1.8, .skewed = true},
    {"even", 500, 4, 0, .rate = false},
    {"even rate", 1000, 4, 0, .rate = true},
    {"uneven", 1000, 5, 1, .rate = false},
    {"uneven rate", 1500, 5, 1, .rate = true},
    {"seldom", 2000, 6, 1.5, .rate = true},
    {"crooked", 1000, 4, 1, .crooked = true},
    {"spending", 2000, 4, 0.7, .skewed = true},
    {"spending seldom", 4000, 4, 1.2, .skewed = true},
};

/* 95 % of the intervals hold the truth: within 93 to 97 over 1,000, and within what chance leaves over fewer. */
START_TEST(intervals_hold_the_truth)
{
    const struct world *w = &worlds[_i];
    const struct off_policy policies[] = {
        {.kind = OFF_GIVEN, .given = given}, {.kind = OFF_UNIFORM}, {.kind = OFF_ACTION, .action = 1}};
    size_t n = resamples();
    double margin = n >= 1000 ? 0.02 : 0.02 + 2.5 * sqrt(0.95 * 0.05 / (double)n);
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
        if (told < n * 9 / 10 || getenv("NOASSERT"))
            continue;
        ck_assert(fabs((double)ips / size - 0.95) <= margin);
        ck_assert(fabs((double)snips / size - 0.95) <= margin);
        ck_assert(fabs((double)dr / size - 0.95) <= margin);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("offpolicy");
    TCase *c = tcase_create("offpolicy");
    tcase_set_timeout(c, 900);
    tcase_add_loop_test(c, intervals_hold_the_truth, 0, sizeof worlds / sizeof *worlds);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
