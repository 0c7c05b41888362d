/* The allocation solver: small instances against every assignment there is, thousands of random ones against their
 * limits and bounds. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/cvm/decision/solve.h"

enum { MOST_CUSTOMERS = 60, MOST_COLUMNS = 6, MOST_LIMITS = 8 };

/* An instance with room for its arrays. */
struct instance {
    solve_problem problem;
    float value[MOST_CUSTOMERS * MOST_COLUMNS];
    float use[MOST_CUSTOMERS * MOST_COLUMNS];
    float fixed[MOST_LIMITS][MOST_COLUMNS];
    float rate[MOST_LIMITS][MOST_COLUMNS];
    solve_limit limit[MOST_LIMITS];
    int group[MOST_COLUMNS];
};

static uint64_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Caps and one budget of uses; `flags` make it degenerate. */
enum { ZERO_CAPS = 1, NEGATIVE = 2, TIES = 4, MINIMA = 8, REQUIRED = 16, FRACTIONS = 32, GROUPS = 64 };

static void make(struct instance *x, size_t customers, size_t columns, unsigned per_customer, unsigned flags)
{
    memset(x, 0, sizeof *x);
    for (size_t a = 0; a < customers * columns; a++) {
        x->value[a] = flags & TIES ? 10 : (float)any(100) - (flags & NEGATIVE ? 80.0f : 10.0f);
        x->value[a] += flags & FRACTIONS ? (float)any(1000) / 997.0f : 0;
        x->value[a] = any(7) == 0 ? -INFINITY : x->value[a];
        x->use[a] = (float)(1 + any(9)) + (flags & FRACTIONS ? .1f : 0);
    }
    for (size_t t = 0; t < columns; t++) {
        x->fixed[t][t] = 1;
        x->limit[t] = (solve_limit){"call", flags & ZERO_CAPS && any(2) ? 0 : 1 + any((uint32_t)(customers / 2 + 1)), 0,
                                    x->fixed[t], NULL};
        if (flags & MINIMA && x->limit[t].maximum > 0 && any(2)) {
            x->limit[t].minimum = 1 + any((uint32_t)x->limit[t].maximum);
            x->limit[t].minimum = x->limit[t].minimum > x->limit[t].maximum ? x->limit[t].maximum : x->limit[t].minimum;
        }
        x->rate[columns][t] = any(4) ? 1 : .5f;
        x->group[t] = flags & GROUPS ? (int)(t / 2) : -1;
    }
    x->limit[columns] = (solve_limit){"pound", any((uint32_t)(3 * customers + 1)), 0, NULL, x->rate[columns]};
    x->problem = (solve_problem){customers, columns,      columns + 1,
                                 x->value,  x->use,       x->group,
                                 x->limit,  per_customer, (flags & REQUIRED) != 0 && per_customer == 1};
}

/* A generalised assignment problem. */
static void make_gap(struct instance *x, size_t jobs, size_t agents, unsigned room)
{
    memset(x, 0, sizeof *x);
    for (size_t a = 0; a < jobs * agents; a++) {
        x->value[a] = (float)(10 + any(40));
        x->use[a] = (float)(5 + any(20));
    }
    for (size_t i = 0; i < agents; i++) {
        x->rate[i][i] = 1;
        x->limit[i] = (solve_limit){"agent", (double)(jobs * 15 * room / agents / 100), 0, NULL, x->rate[i]};
    }
    x->problem = (solve_problem){jobs, agents, agents, x->value, x->use, NULL, x->limit, 1, true};
}

static double used(const solve_problem *p, size_t k, size_t i, size_t t)
{
    const solve_limit *l = &p->limit[k];
    return (l->fixed ? (double)l->fixed[t] : 0) +
           (l->rate ? (double)l->rate[t] * (double)p->use[i * p->columns + t] : 0);
}

/* The best of all assignments by trying each; -INFINITY: none is feasible. */
static int16_t taken[MOST_CUSTOMERS][MOST_COLUMNS]; /* on the way there */

static bool together(const solve_problem *p, size_t i, size_t t, unsigned n)
{
    for (unsigned a = 0; a < n; a++)
        if (p->group && p->group[t] >= 0 && p->group[taken[i][a]] == p->group[t])
            return false;
    return true;
}

static double brute(const solve_problem *p, size_t i, unsigned left, size_t from, double value, double *load)
{
    if (i == p->customers) {
        for (size_t k = 0; k < p->limits; k++)
            if (load[k] < p->limit[k].minimum)
                return -INFINITY;
        return value;
    }
    double best = p->required ? -INFINITY : brute(p, i + 1, p->per_customer, 0, value, load);
    for (size_t t = from; t < p->columns; t++) {
        unsigned n = p->per_customer - left;
        if (isinf(p->value[i * p->columns + t]) || !together(p, i, t, n))
            continue;
        taken[i][n] = (int16_t)t;
        bool fits = true;
        for (size_t k = 0; k < p->limits; k++) {
            load[k] += used(p, k, i, t);
            fits &= load[k] <= p->limit[k].maximum;
        }
        double v = value + (double)p->value[i * p->columns + t];
        double found = !fits      ? -INFINITY
                       : left > 1 ? brute(p, i, left - 1, t + 1, v, load)
                                  : brute(p, i + 1, p->per_customer, 0, v, load);
        best = found > best ? found : best;
        for (size_t k = 0; k < p->limits; k++)
            load[k] -= used(p, k, i, t);
    }
    return best;
}

/* What must hold of any result. */
static void judge(const solve_problem *p, const solve_result *r)
{
    double value = 0;
    double load[MOST_LIMITS] = {0};
    for (size_t i = 0; i < p->customers; i++) {
        for (unsigned a = 0; a < p->per_customer; a++) {
            int t = r->assignment[i * p->per_customer + a];
            if (t < 0) {
                ck_assert(!p->required || !r->feasible);
                continue;
            }
            ck_assert_int_lt(t, (int)p->columns);
            ck_assert(isfinite(p->value[i * p->columns + (size_t)t]));
            value += (double)p->value[i * p->columns + (size_t)t];
            for (size_t k = 0; k < p->limits; k++)
                load[k] += used(p, k, i, (size_t)t);
            for (unsigned b = 0; b < a; b++) {
                int o = r->assignment[i * p->per_customer + b];
                ck_assert(o < 0 || (o != t && (!p->group || p->group[o] < 0 || p->group[o] != p->group[t])));
            }
        }
    }
    for (size_t k = 0; k < p->limits; k++) {
        ck_assert_double_le(load[k], p->limit[k].maximum);
        ck_assert_double_eq_tol(load[k], r->loads[k], 1e-9 * (1 + load[k]));
        ck_assert(!r->feasible || load[k] >= p->limit[k].minimum);
    }
    ck_assert_double_eq_tol(value, r->value, 1e-6 * (1 + fabs(value)));
    ck_assert(r->unplaced > 0 || r->bound >= r->value);
}

static void run(const solve_problem *p, solve_result *r)
{
    char why[200] = "";
    solve_options o = {.time_limit_ms = 400};
    ck_assert_msg(solve_run(p, &o, r, why, sizeof why) == SOLVE_OK, "%s", why);
    judge(p, r);
}

START_TEST(small_ones_against_all_assignments)
{
    struct instance x;
    double share = 0;
    int n = 0;
    int exact = 0;
    for (int round = 0; round < 400; round++) {
        unsigned flags = any(128);
        make(&x, 1 + any(6), 1 + any(3), 1 + any(2), flags);
        solve_result r;
        run(&x.problem, &r);
        double load[MOST_LIMITS] = {0};
        double best = brute(&x.problem, 0, x.problem.per_customer, 0, 0, load);
        if (isfinite(best) && r.feasible) {
            ck_assert_double_le(r.value, best + 1e-4);
            ck_assert_double_ge(r.bound, best - 1e-4);
            share += best > 0 ? r.value / best : 1;
            exact += r.value > best - 1e-4;
            n++;
        } else {
            ck_assert(!isfinite(best) || x.problem.required || flags & MINIMA);
        }
        solve_result_fini(&r);
    }
    ck_assert_int_gt(n, 150);
    ck_assert_msg(share / n >= .985 && exact >= n * 85 / 100, "mean share of the best %.4f, exact %d of %d", share / n,
                  exact, n);
}
END_TEST

START_TEST(assignment_problems_are_solved_exactly)
{
    struct instance x;
    for (int round = 0; round < 60; round++) {
        make_gap(&x, 8, 3, 95 + any(40));
        solve_result r;
        run(&x.problem, &r);
        double load[MOST_LIMITS] = {0};
        double best = brute(&x.problem, 0, 1, 0, 0, load);
        if (isfinite(best)) {
            ck_assert_msg(r.feasible && r.value == best && r.bound >= best, "round %d: %g of %g, bound %g", round,
                          r.value, best, r.bound);
        } else {
            ck_assert(!r.feasible);
        }
        solve_result_fini(&r);
    }
}
END_TEST

START_TEST(limits_hold_on_a_thousand_random_instances)
{
    static struct instance x;
    for (int round = 0; round < 1000; round++) {
        make(&x, any(MOST_CUSTOMERS + 1), 1 + any(MOST_COLUMNS), 1 + any(3), any(128));
        if (round % 10 == 0) {
            make_gap(&x, 1 + any(MOST_CUSTOMERS), 1 + any(MOST_COLUMNS), 60 + any(80));
            x.limit[0].maximum = round % 20 == 0 ? 0 : x.limit[0].maximum;
        }
        solve_result r;
        char why[200] = "";
        solve_options o = {.time_limit_ms = 20};
        ck_assert_int_eq(solve_run(&x.problem, &o, &r, why, sizeof why), SOLVE_OK);
        judge(&x.problem, &r);
        solve_result_fini(&r);
    }
}
END_TEST

START_TEST(what_is_no_number_is_refused)
{
    struct instance x;
    solve_result r;
    char why[200];
    make(&x, 10, 3, 1, 0);
    x.value[7] = NAN;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    ck_assert_str_eq(why, "customer 2, column 1: the value is no number");
    x.value[7] = INFINITY;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    x.value[7] = 1;
    x.use[3] = -1;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    x.use[3] = 1;
    x.limit[1].maximum = NAN;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    x.limit[1].maximum = 5;
    x.limit[1].minimum = 6;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    x.limit[1].minimum = 0;
    x.problem.per_customer = 0;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
    x.problem.per_customer = 1;
    x.problem.columns = SOLVE_MAX_COLUMNS + 1;
    ck_assert_int_eq(solve_run(&x.problem, NULL, &r, why, sizeof why), SOLVE_E_ARGUMENT);
}
END_TEST

START_TEST(the_same_problem_has_the_same_answer)
{
    static struct instance x;
    for (int round = 0; round < 20; round++) {
        make(&x, MOST_CUSTOMERS, 5, 1, FRACTIONS);
        solve_options o = {.time_limit_ms = 60000};
        solve_result a;
        solve_result b;
        char why[200];
        ck_assert_int_eq(solve_run(&x.problem, &o, &a, why, sizeof why), SOLVE_OK);
        ck_assert_int_eq(solve_run(&x.problem, &o, &b, why, sizeof why), SOLVE_OK);
        ck_assert_mem_eq(a.assignment, b.assignment, x.problem.customers * sizeof *a.assignment);
        ck_assert_mem_eq(a.prices, b.prices, x.problem.limits * sizeof *a.prices);
        ck_assert(a.value == b.value && a.bound == b.bound);
        solve_result_fini(&a);
        solve_result_fini(&b);
    }
}
END_TEST

/* Four customers want the two calls; the third would have been worth 7 more than what he gets. */
START_TEST(a_limit_says_what_one_more_is_worth)
{
    const float value[] = {40, 1, 30, 1, 8, 1, 6, 1};
    const float call[] = {1, 0};
    solve_limit limit = {"retention_call", 2, 0, call, NULL};
    solve_problem p = {4, 2, 1, value, NULL, NULL, &limit, 1, false};
    solve_result r;
    char text[120];
    run(&p, &r);
    ck_assert_double_eq(r.value, 72);
    ck_assert_double_ge(r.prices[0], 7 - 1e-3);
    ck_assert_double_le(r.prices[0], 29 + 1e-3);
    solve_price_words(&p, &r, 0, "pounds", text, sizeof text);
    ck_assert_msg(strncmp(text, "one more retention_call is worth ", 33) == 0, "%s", text);
    ck_assert_int_eq(r.runner_up[0], 1);
    ck_assert_int_eq(r.runner_up[2], 0 > r.prices[0] - 8 ? 0 : SOLVE_NOTHING);
    limit.minimum = 2;
    limit.maximum = 1000;
    const float bad[] = {-5, 1, -6, 1, -7, 1, -INFINITY, 1};
    p.value = bad;
    solve_result_fini(&r);
    run(&p, &r);
    ck_assert_double_eq(r.value, -9);
    ck_assert(r.feasible);
    solve_price_words(&p, &r, 0, "", text, sizeof text);
    ck_assert_msg(strncmp(text, "one less as the minimum of retention_call would gain ", 53) == 0, "%s", text);
    solve_result_fini(&r);
    limit.minimum = 4;
    run(&p, &r);
    ck_assert(!r.feasible);
    solve_price_words(&p, &r, 0, "", text, sizeof text);
    ck_assert_str_eq(text, "retention_call: the minimum of 4 cannot be met, 3 could be had");
    solve_result_fini(&r);
}
END_TEST

/* A customer who comes alone gets at the last prices what he would get among all. */
START_TEST(one_customer_at_the_last_prices)
{
    static struct instance x;
    int same = 0;
    int all = 0;
    for (int round = 0; round < 40; round++) {
        make(&x, MOST_CUSTOMERS, 4, 1, FRACTIONS);
        solve_result r;
        run(&x.problem, &r);
        for (size_t i = 0; i < x.problem.customers; i++) {
            int16_t chosen;
            int16_t next;
            solve_one(&x.problem, r.prices, x.value + i * 4, x.use + i * 4, NULL, &chosen, &next);
            same += chosen == r.assignment[i];
            all++;
            bool open[4] = {true, true, true, true};
            if (chosen >= 0) {
                open[chosen] = false;
                int16_t other;
                solve_one(&x.problem, r.prices, x.value + i * 4, x.use + i * 4, open, &other, &next);
                ck_assert_int_ne(other, chosen);
            }
        }
        solve_result_fini(&r);
    }
    ck_assert_msg(same * 100 >= all * 85, "%d of %d", same, all);
}
END_TEST

static bool stop_now(void *arg, double done)
{
    return true;
}

START_TEST(it_ends_when_told)
{
    static struct instance x;
    make(&x, 50, 4, 1, 0);
    solve_options o = {.stopped = stop_now};
    solve_result r;
    char why[200];
    ck_assert_int_eq(solve_run(&x.problem, &o, &r, why, sizeof why), SOLVE_E_STOPPED);
    ck_assert_str_eq(why, "stopped");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("solve");
    TCase *c = tcase_create("solve");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, small_ones_against_all_assignments);
    tcase_add_test(c, assignment_problems_are_solved_exactly);
    tcase_add_test(c, limits_hold_on_a_thousand_random_instances);
    tcase_add_test(c, what_is_no_number_is_refused);
    tcase_add_test(c, the_same_problem_has_the_same_answer);
    tcase_add_test(c, a_limit_says_what_one_more_is_worth);
    tcase_add_test(c, one_customer_at_the_last_prices);
    tcase_add_test(c, it_ends_when_told);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
