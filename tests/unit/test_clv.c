/* Models of what customers will buy: the published figures on public data (CVM_SHARED_DATA names a folder with
 * cdnow/cdnow-customers-summary.csv; left out without), parameters found again in simulated customers, formulas held
 * against what they stand for. */
#include "../../plugins/lifecycle/common/world.h"
#include "../../plugins/lifecycle/learn/bgnbd.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MANY 20000

static struct clv_customer customers[MANY];

static double normal(struct life_random *r)
{
    return sqrt(-2 * log(1 - life_random_unit(r))) * cos(2 * M_PI * life_random_unit(r));
}

static double exponential(struct life_random *r)
{
    return -log(1 - life_random_unit(r));
}

/* Marsaglia & Tsang 2000. */
static double gamma_drawn(struct life_random *r, double shape)
{
    if (shape < 1)
        return gamma_drawn(r, shape + 1) * pow(1 - life_random_unit(r), 1 / shape);
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double z = normal(r), v = pow(1 + c * z, 3);
        if (v > 0 && log(1 - life_random_unit(r)) < z * z / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

static double beta_drawn(struct life_random *r, double a, double b)
{
    double x = gamma_drawn(r, a), y = gamma_drawn(r, b);
    return x / (x + y);
}

struct past {
    struct clv_customer seen;
    double later; /* purchases in the horizon after it */
    bool there;
};

static struct past lived(const double p[4], double age, double horizon, struct life_random *r)
{
    double rate = gamma_drawn(r, p[0]) / p[1], leaves = beta_drawn(r, p[2], p[3]), at = 0;
    struct past l = {.seen = {.age = age}, .there = true};
    for (;;) {
        at += exponential(r) / rate;
        if (at > age + horizon)
            break;
        if (at <= age) {
            l.seen.frequency++;
            l.seen.recency = at;
        } else {
            l.later++;
        }
        if (life_random_unit(r) < leaves) {
            l.there = at > age;
            break;
        }
    }
    return l;
}

START_TEST(cdnow_is_as_published)
{
    static const double published[] = {0.2426, 4.4135, 0.7929, 2.4258};
    const char *folder = getenv("CVM_SHARED_DATA");
    char path[500], line[200];
    size_t n = 0;
    if (!folder) {
        printf("CVM_SHARED_DATA is not set: CDNOW is left out\n");
        return;
    }
    snprintf(path, sizeof path, "%s/cdnow/cdnow-customers-summary.csv", folder);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    while (fgets(line, sizeof line, f) && n < MANY) {
        struct clv_customer c = {0};
        if (sscanf(line, "%*[^,],%lf,%lf,%lf", &c.frequency, &c.recency, &c.age) == 3)
            customers[n++] = c;
    }
    fclose(f);
    ck_assert_uint_eq(n, 2357);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct clv_fit fit = bgnbd_fit(customers, n, 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    printf(
        "CDNOW: r %.4f alpha %.4f a %.4f b %.4f, log-likelihood %.3f, errors %.4f %.4f %.4f %.4f, %d steps, %.1f ms\n",
        fit.parameters[0], fit.parameters[1], fit.parameters[2], fit.parameters[3], fit.log_likelihood, fit.errors[0],
        fit.errors[1], fit.errors[2], fit.errors[3], fit.steps, ms);
    ck_assert(fit.converged);
    for (size_t i = 0; i < 4; i++)
        ck_assert_msg(fabs(fit.parameters[i] - published[i]) < 0.0002 * fmax(1, published[i]), "%zu: %g", i,
                      fit.parameters[i]);
    ck_assert_msg(fabs(fit.log_likelihood + 9582.43) < 0.01, "%g", fit.log_likelihood);
    /* The customer of the published spreadsheet: two purchases, recency 30.43, age 38.86. */
    struct clv_customer c = {.frequency = 2, .recency = 30.43, .age = 38.86};
    ck_assert_msg(fabs(bgnbd_expected(fit.parameters, &c, 39) - 1.226) < 0.001, "%g",
                  bgnbd_expected(fit.parameters, &c, 39));
}
END_TEST

START_TEST(parameters_are_found_again)
{
    static const double truth[][4] = {{0.25, 4.5, 0.8, 2.5}, {1.5, 8, 1.5, 6}, {0.6, 2, 0.4, 1.2}};
    for (size_t w = 0; w < 3; w++) {
        struct life_random r = {w + 1};
        for (size_t i = 0; i < MANY; i++)
            customers[i] = lived(truth[w], 20 + 30 * life_random_unit(&r), 0, &r).seen;
        struct clv_fit fit = bgnbd_fit(customers, MANY, 0);
        ck_assert_msg(fit.converged, "world %zu", w);
        for (size_t k = 0; k < 4; k++)
            ck_assert_msg(fit.errors[k] > 0 && fabs(fit.parameters[k] - truth[w][k]) < 4 * fit.errors[k] &&
                              fit.errors[k] < 0.35 * truth[w][k],
                          "world %zu, %zu: %g of %g, error %g", w, k, fit.parameters[k], truth[w][k], fit.errors[k]);
        struct clv_fit held = bgnbd_fit(customers, 60, 0.01); /* few customers and a penalty: still an answer */
        ck_assert(held.converged && isfinite(held.log_likelihood));
    }
}
END_TEST

/* Where the likelihood only ever rises there is no maximum, however flat it gets; a penalty makes one. */
START_TEST(undecided_parameters_are_no_fit)
{
    for (size_t n = 12; n <= 600; n += 588) { /* a few who are all alike; many of whom nobody leaves */
        for (size_t i = 0; i < n; i++) {
            double times = (double)(i % 5), age = 30 + (double)(i % 7);
            customers[i] = n == 12
                               ? (struct clv_customer){.frequency = 1, .recency = 5, .age = 10}
                               : (struct clv_customer){.frequency = times, .recency = times > 0 ? age : 0, .age = age};
        }
        struct clv_fit fit = bgnbd_fit(customers, n, 0), held = bgnbd_fit(customers, n, n < 500 ? 0.01 : 0.001);
        ck_assert_msg(!fit.converged, "%zu: %g %g %g %g", n, fit.parameters[0], fit.parameters[1], fit.parameters[2],
                      fit.parameters[3]);
        ck_assert_msg(held.converged, "%zu", n);
        for (size_t k = 0; k < 4; k++)
            ck_assert(held.errors[k] > 0 && held.errors[k] <= CLV_ERROR_MAX * held.parameters[k]);
    }
    customers[0] = (struct clv_customer){.frequency = 1, .recency = 1e29, .age = 1e30};
    ck_assert(!bgnbd_fit(customers, 600, 0).converged); /* the likelihood is 0 where the search begins */
}
END_TEST

/* Predictions against what the same customers did later. */
START_TEST(predictions_are_what_happens)
{
    static const double truth[4] = {0.6, 4, 0.7, 2.5};
    enum { DRAWS = 300000, GROUPS = 6 };
    struct life_random r = {4};
    double said[GROUPS] = {0}, done[GROUPS] = {0}, said_there[GROUPS] = {0}, there[GROUPS] = {0}, n[GROUPS] = {0};
    for (int i = 0; i < DRAWS; i++) {
        struct past l = lived(truth, 30, 25, &r);
        size_t g = l.seen.frequency > GROUPS - 1 ? GROUPS - 1 : (size_t)l.seen.frequency;
        said[g] += bgnbd_expected(truth, &l.seen, 25);
        said_there[g] += bgnbd_alive(truth, &l.seen);
        done[g] += l.later;
        there[g] += l.there;
        n[g]++;
    }
    for (size_t g = 0; g < GROUPS; g++) {
        ck_assert_msg(fabs(said[g] - done[g]) / n[g] < 0.02 + 0.02 * done[g] / n[g], "%zu: %g, did %g", g,
                      said[g] / n[g], done[g] / n[g]);
        ck_assert_msg(fabs(said_there[g] - there[g]) / n[g] < 0.015, "%zu: %g, were %g", g, said_there[g] / n[g],
                      there[g] / n[g]);
    }
    struct clv_customer often = {.frequency = 5000, .recency = 29.999, .age = 30};
    ck_assert(isfinite(bgnbd_expected(truth, &often, 25)) && bgnbd_expected(truth, &often, 25) > 1000);
    const double one[4] = {0.6, 4, 1, 2.5}, about[4] = {0.6, 4, 1.0001, 2.5}; /* where the formula is 0 / 0 */
    struct clv_customer c = {.frequency = 2, .recency = 20, .age = 30};
    ck_assert(fabs(bgnbd_expected(one, &c, 25) - bgnbd_expected(about, &c, 25)) < 1e-3);
    ck_assert(fabs(clv_hypergeometric(1, 1, 2, 0.5) - 2 * log(2)) < 1e-12);
    /* Customers who are all alike leave each time with the same chance, a / (a + b), however large both are. */
    const double alike[4] = {3, 48, 1e6, 5e6}, large[4] = {3, 48, 1e4, 5e4};
    for (int times = 2; times <= 20002; times += 20000) {
        struct clv_customer d = {.frequency = times, .recency = 29.99, .age = 30};
        double z = 26.0 / (48 + 30 + 26), gone = pow((1 - z) / (1 - z * 5 / 6), 3 + times);
        double limit = 6 * (1 - gone) * bgnbd_alive(alike, &d);
        ck_assert_msg(fabs(bgnbd_expected(alike, &d, 26) - limit) < 0.02 * limit, "%d times: %g, limit %g", times,
                      bgnbd_expected(alike, &d, 26), limit);
        ck_assert(isfinite(bgnbd_expected(large, &d, 26)));
    }
    /* One way to reckon it goes over into the other. */
    const double below[4] = {0.6, 4, 3.6 - 1e-9, 2.5}, above[4] = {0.6, 4, 3.6 + 1e-9, 2.5};
    ck_assert(fabs(bgnbd_expected(below, &c, 25) - bgnbd_expected(above, &c, 25)) < 1e-6);
}
END_TEST

START_TEST(spend_is_found_again)
{
    static const double truth[3] = {6.25, 3.74, 1544}; /* p, q, v; minor units */
    struct life_random r = {8};
    for (size_t i = 0; i < MANY; i++) {
        double rate = gamma_drawn(&r, truth[1]) / truth[2], x = 1 + floor(4 * life_random_unit(&r));
        customers[i] = (struct clv_customer){.frequency = x, .spend = gamma_drawn(&r, truth[0] * x) / rate / x};
    }
    struct clv_fit fit = gamma_gamma_fit(customers, MANY);
    ck_assert(fit.converged);
    for (size_t k = 0; k < 3; k++)
        ck_assert_msg(fit.errors[k] > 0 && fabs(fit.parameters[k] - truth[k]) < 4 * fit.errors[k],
                      "%zu: %g of %g, error %g", k, fit.parameters[k], truth[k], fit.errors[k]);
    struct clv_customer unknown = {0}, regular = {.frequency = 200, .spend = 9000};
    double all = truth[0] * truth[2] / (truth[1] - 1);
    ck_assert(fabs(gamma_gamma_expected(truth, &unknown) - all) < 1e-9);
    ck_assert(fabs(gamma_gamma_expected(truth, &regular) - 9000) < 60); /* many purchases speak for themselves */
    ck_assert(isnan(gamma_gamma_expected((double[]){6, 0.9, 1500}, &unknown)));
    ck_assert(!gamma_gamma_fit(customers, 2).converged);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("clv");
    TCase *c = tcase_create("clv");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, cdnow_is_as_published);
    tcase_add_test(c, parameters_are_found_again);
    tcase_add_test(c, undecided_parameters_are_no_fit);
    tcase_add_test(c, predictions_are_what_happens);
    tcase_add_test(c, spend_is_found_again);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
