/* The numbers behind segments, effects and experiments, against values of SciPy and against what chance does. */
#include "../../plugins/cvm/common/assign.h"
#include "../../plugins/cvm/insight/bands.h"
#include "../../plugins/cvm/insight/compare.h"
#include "../../plugins/cvm/insight/effect.h"
#include "../../plugins/cvm/insight/index.h"
#include "../../plugins/cvm/insight/kmeans.h"
#include "../../plugins/cvm/insight/qini.h"

#include <check.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NEAR(x, expected, tolerance)                                                                                   \
    ck_assert_msg(fabs((x) - (expected)) <= (tolerance)*fmax(1e-300, fabs((double)(expected))) || (x) == (expected),   \
                  "%s: %.17g, expected %.17g", #x, (double)(x), (double)(expected))

static double chance(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

/* ---- statistics ---- */

START_TEST(distributions_are_those_of_the_tables)
{
    NEAR(stats_t_two_sided(2.1, 7.3), 0.07224671342485328, 1e-10);
    NEAR(stats_t_two_sided(0.5, 1), 0.7048327646991336, 1e-10);
    NEAR(stats_t_two_sided(12, 30), 5.580185415199261e-13, 1e-8);
    NEAR(stats_t_two_sided(3.3, 1e5), 0.0009671862623271419, 1e-8);
    NEAR(stats_t_quantile(.975, 1), 12.706204736432095, 1e-9);
    NEAR(stats_t_quantile(.975, 7.3), 2.345066736150929, 1e-9);
    NEAR(stats_t_quantile(.995, 1000), 2.580754698065942, 1e-9);
    NEAR(stats_t_quantile(.1, 4), -1.5332062737131438, 1e-9);
    NEAR(stats_chi2_above(3.84, 1), 0.05004352124870519, 1e-10);
    NEAR(stats_chi2_above(0.2, 5), 0.9991138612111875, 1e-10);
    NEAR(stats_chi2_above(40, 3), 1.065509033425585e-08, 1e-8);
    NEAR(stats_normal_quantile(.975), 1.959963984540054, 1e-12);
    NEAR(stats_normal_quantile(.001), -3.090232306167813, 1e-12);
    NEAR(stats_normal_quantile(1e-10), -6.361340902404056, 1e-10);
    ck_assert(fabs(stats_normal_quantile(.5)) < 1e-15);
    NEAR(stats_normal_cdf(-3.090232306167813), .001, 1e-12);
}
END_TEST

START_TEST(rates_have_wilsons_interval)
{
    struct stats_interval i = stats_wilson(5, 10, .95);
    NEAR(i.low, 0.236593090512564, 1e-12);
    NEAR(i.high, 0.7634069094874361, 1e-12);
    i = stats_wilson(0, 10, .95);
    ck_assert(i.low == 0);
    NEAR(i.high, 0.27753279986288926, 1e-12);
    i = stats_wilson(10, 10, .95);
    NEAR(i.low, 0.7224672001371109, 1e-12);
    ck_assert(i.high == 1);
    i = stats_wilson(17, 1000, .95);
    NEAR(i.low, 0.01064068985681633, 1e-12);
    NEAR(i.high, 0.027055958840229925, 1e-12);
    i = stats_wilson(0, 0, .95);
    ck_assert(i.low == 0 && i.high == 1);
}
END_TEST

START_TEST(two_rates_are_told_apart)
{
    struct stats_test t;
    stats_two_rates(120, 1000, 90, 1000, .95, &t);
    ck_assert(t.known && !t.few);
    NEAR(t.p, 0.028650240398448473, 1e-10);
    NEAR(t.interval.low, 0.0030960486785798214, 1e-10);
    NEAR(t.interval.high, 0.057009571192658454, 1e-10);
    stats_two_rates(56, 70, 48, 80, .95, &t);
    NEAR(t.p, 0.00804508136819656, 1e-10);
    NEAR(t.interval.low, 0.052431472402364815, 1e-10);
    NEAR(t.interval.high, 0.3338726540369059, 1e-10);
    stats_two_rates(3, 10, 0, 12, .95, &t); /* too few for the normal law */
    ck_assert(t.few);
    NEAR(t.p, 0.07792207792207792, 1e-9);
    NEAR(stats_fisher(1, 100, 6, 100), 0.11840538106385107, 1e-9);
    NEAR(stats_fisher(0, 20, 0, 30), 1, 1e-9);
    NEAR(stats_fisher(8, 10, 1, 6), 0.034965034965034975, 1e-9);
    stats_two_rates(0, 20, 0, 30, .95, &t);
    ck_assert(t.known && t.p == 1 && t.interval.low < 0 && t.interval.high > 0);
    stats_two_rates(0, 0, 3, 30, .95, &t);
    ck_assert(!t.known);
}
END_TEST

START_TEST(two_means_are_told_apart)
{
    static const double a[] = {5.1, 6.3, 4.2, 7.7, 5.9, 6.6}, b[] = {4.0, 4.4, 5.2, 3.1, 4.9, 4.1, 3.8, 5.5};
    struct stats_sample x = {0}, y = {0}, alike = {.n = 9, .mean = 1}, one = {.n = 1, .mean = 4};
    struct stats_test t;
    for (int i = 0; i < 6; i++)
        stats_add(&x, a[i]);
    for (int i = 0; i < 8; i++)
        stats_add(&y, b[i]);
    stats_welch(&x, &y, .95, &t);
    ck_assert(t.known && t.few);
    NEAR(t.p, 0.02318046465243378, 1e-9);
    NEAR(t.difference, 1.591666666666666, 1e-12);
    NEAR(t.interval.low, 0.28013664670385463, 1e-8);
    NEAR(t.interval.high, 2.903196686629477, 1e-8);
    stats_welch(&x, &one, .95, &t);
    ck_assert(!t.known);
    stats_welch(&alike, &alike, .95, &t);
    ck_assert(!t.known);
}
END_TEST

START_TEST(planning_and_checks_are_those_of_the_tables)
{
    static const int64_t fair[] = {5050, 4950}, skewed[] = {9700, 300}, none[] = {0, 0};
    static const double halves[] = {1, 1}, twentieth[] = {95, 5};
    double p[] = {.01, .04, .03, .005};
    ck_assert_int_eq(stats_needed(.12, .10, .5, .95, .8), 7677);
    ck_assert_int_eq(stats_needed(.15, .10, .05, .95, .8), 6073);
    ck_assert(stats_needed(.1, .1, .5, .95, .8) == INT64_MAX);
    NEAR(stats_ratio_mismatch(fair, halves, 2), 0.31731050786291115, 1e-9);
    NEAR(stats_ratio_mismatch(skewed, twentieth, 2), 4.4479612959472114e-20, 1e-6);
    ck_assert(stats_ratio_mismatch(none, halves, 2) == 1);
    stats_holm(p, 4);
    NEAR(p[0], .03, 1e-12);
    NEAR(p[1], .06, 1e-12);
    NEAR(p[2], .06, 1e-12);
    NEAR(p[3], .02, 1e-12);
}
END_TEST

/* The mixture integrated numerically, by SciPy. */
START_TEST(sequential_bound_is_that_of_the_mixture)
{
    double p;
    struct stats_interval i;
    stats_sequential(.03, 1e-4, .02, .95, &p, &i);
    NEAR(p, 0.06109770079048306, 1e-6);
    ck_assert(i.low < 0 && i.high > .06);
    stats_sequential(.045, 1e-4, .02, .95, &p, &i);
    NEAR(p, 0.0006787341465760408, 1e-6);
    ck_assert(i.low > 0);
    stats_sequential(.005, 4e-4, .05, .95, &p, &i);
    ck_assert(p == 1);
}
END_TEST

/* Looking after every 50 customers: the fixed test cries wolf often, the sequential bound seldom. */
START_TEST(many_looks_do_not_deceive_the_sequential_bound)
{
    enum { RUNS = 400, LOOKS = 80, STEP = 50 };
    int fixed = 0, always = 0, found = 0;
    uint64_t state = 42;
    for (int real = 0; real < 2; real++)
        for (int run = 0; run < RUNS; run++) {
            int64_t k[2] = {0}, n = 0;
            bool fixed_now = false, always_now = false;
            for (int look = 0; look < LOOKS; look++) {
                for (int i = 0; i < STEP; i++) {
                    k[0] += chance(&state) < (real ? .26 : .2);
                    k[1] += chance(&state) < .2;
                    n++;
                }
                struct compare_variant v[2] = {{.name = "a", .weight = 1, .customers = n, .events = k[1]},
                                               {.name = "b", .weight = 1, .customers = n, .events = k[0]}};
                for (int i = 0; i < 2; i++)
                    v[i].value = (struct stats_sample){.n = n, .mean = (double)v[i].events / (double)n};
                json_t *r = compare_json(v, 2, true, .04), *c = json_array_get(json_object_get(r, "comparisons"), 0);
                fixed_now |= json_number_value(json_object_get(c, "p_value")) < .05;
                const json_t *p = json_object_get(c, "always_valid_p");
                always_now |= json_is_number(p) && json_number_value(p) < .05;
                json_decref(r);
            }
            if (real)
                found += always_now;
            else {
                fixed += fixed_now;
                always += always_now;
            }
        }
    ck_assert_msg(fixed > RUNS / 5, "fixed %d of %d", fixed, RUNS);
    ck_assert_msg(always <= RUNS / 20, "always valid %d of %d", always, RUNS);
    ck_assert_msg(found > RUNS * 9 / 10, "found %d of %d", found, RUNS);
}
END_TEST

/* ---- chance that can be repeated ---- */

START_TEST(assignment_is_even_and_independent)
{
    enum { CUSTOMERS = 100000 };
    static const char *const names[] = {"spring", "spring2", "a", "b"};
    static const double weights[] = {50, 30, 20};
    double ten[10];
    for (int i = 0; i < 10; i++)
        ten[i] = 1;
    for (int e = 0; e < 4; e++) {
        int64_t counts[10] = {0}, variants[3] = {0};
        for (int i = 0; i < CUSTOMERS; i++) {
            char id[16];
            snprintf(id, sizeof id, "U%05d", i);
            double place = assign_place(names[e], id);
            ck_assert(place >= 0 && place < 1 && place == assign_place(names[e], id));
            counts[(int)(place * 10)]++;
            variants[assign_variant(place, weights, 3)]++;
        }
        ck_assert(stats_ratio_mismatch(counts, ten, 10) > .001);
        ck_assert(stats_ratio_mismatch(variants, weights, 3) > .001);
    }
    for (int e = 1; e < 4; e++) {
        int64_t cells[16] = {0};
        double even[16];
        for (int i = 0; i < 16; i++)
            even[i] = 1;
        for (int i = 0; i < CUSTOMERS; i++) {
            char id[16];
            snprintf(id, sizeof id, "U%05d", i);
            cells[(int)(assign_place(names[0], id) * 4) * 4 + (int)(assign_place(names[e], id) * 4)]++;
        }
        ck_assert_msg(stats_ratio_mismatch(cells, even, 16) > .001, "%s and %s go together", names[0], names[e]);
    }
}
END_TEST

START_TEST(weights_of_nothing_get_nobody)
{
    static const double weights[] = {0, 3, 0, 1, 0};
    ck_assert_uint_eq(assign_variant(0, weights, 5), 1);
    ck_assert_uint_eq(assign_variant(.7499, weights, 5), 1);
    ck_assert_uint_eq(assign_variant(.7501, weights, 5), 3);
    ck_assert_uint_eq(assign_variant(1 - 0x1p-53, weights, 5), 3);
}
END_TEST

/* ---- segments ---- */

START_TEST(bands_have_readable_names)
{
    static const int64_t spend[] = {100, 200, 300, 400, 500, 600, 700, 800}, same[] = {5, 5, 5};
    static const struct bands_limits limits = {10, -10, .3, .7};
    char id[BANDS_NAME_SIZE], name[BANDS_NAME_SIZE];
    static const enum value_band expected[] = {VALUE_BASIC, VALUE_BASIC, VALUE_MODEST,  VALUE_MODEST,
                                               VALUE_SOLID, VALUE_SOLID, VALUE_PREMIUM, VALUE_PREMIUM};
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(bands_value(spend, 8, spend[i]), expected[i]);
    ck_assert_int_eq(bands_value(same, 3, 5), VALUE_SOLID);
    ck_assert_int_eq(bands_value(spend, 8, INT64_MIN), VALUE_UNKNOWN);
    ck_assert_int_eq(bands_value(spend, 0, 5), VALUE_UNKNOWN);
    ck_assert_int_eq(bands_engagement(NAN, &limits), ENGAGEMENT_UNKNOWN);
    ck_assert_int_eq(bands_engagement(10, &limits), ENGAGEMENT_GROWING);
    ck_assert_int_eq(bands_engagement(-9.9, &limits), ENGAGEMENT_STEADY);
    ck_assert_int_eq(bands_engagement(-10, &limits), ENGAGEMENT_FADING);
    ck_assert_int_eq(bands_risk(NAN, &limits), RISK_UNKNOWN);
    ck_assert_int_eq(bands_risk(.7, &limits), RISK_HIGH);
    ck_assert_int_eq(bands_risk(.3, &limits), RISK_MEDIUM);
    ck_assert_int_eq(bands_risk(.29, &limits), RISK_LOW);
    struct bands b = {VALUE_PREMIUM, ENGAGEMENT_FADING, RISK_HIGH};
    bands_id(b, id);
    bands_name(b, name);
    ck_assert_str_eq(id, "premium.fading.high");
    ck_assert_str_eq(name, "Premium, fading, high risk");
    bands_name((struct bands){0}, name);
    ck_assert_str_eq(name, "Value unknown, usage unknown, risk unknown");
    for (size_t i = 0; i < BANDS_SEGMENTS; i++)
        ck_assert_uint_eq(bands_number(bands_of(i)), i);
}
END_TEST

/* Four clouds, far apart. */
static void clouds(float *rows, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        rows[i * 2] = (float)((i % 4 < 2 ? 0 : 10) + chance(&seed));
        rows[i * 2 + 1] = (float)((i % 2 ? 0 : 10) + chance(&seed));
    }
}

START_TEST(kmeans_finds_the_clouds)
{
    enum { N = 400 };
    static float rows[N * 2];
    static uint8_t of[N], again[N];
    struct kmeans m, other;
    double silhouette;
    clouds(rows, N, 7);
    kmeans_normalise(rows, N, 2);
    ck_assert_uint_eq(kmeans_choose(rows, N, 2, 8, 1, &silhouette), 4);
    ck_assert(silhouette > .8);
    ck_assert(kmeans_run(rows, N, 2, 4, 1, of, &m) && kmeans_run(rows, N, 2, 4, 1, again, &other));
    ck_assert_uint_eq(m.k, 4);
    ck_assert_mem_eq(of, again, N);
    for (size_t i = 0; i < N; i++)
        ck_assert_uint_eq(of[i], of[i % 4]);
    for (size_t c = 0; c < 4; c++)
        ck_assert_uint_eq(m.sizes[c], N / 4);
}
END_TEST

START_TEST(kmeans_has_no_empty_cluster)
{
    float same[20] = {0}, few[] = {1, 1, 1, 5, 5, 9};
    uint8_t of[20];
    struct kmeans m;
    double silhouette;
    ck_assert(kmeans_run(same, 20, 1, 5, 1, of, &m));
    ck_assert_uint_eq(m.k, 1); /* no more are different */
    ck_assert_uint_eq(kmeans_choose(same, 20, 1, 5, 1, &silhouette), 1);
    ck_assert(kmeans_run(few, 6, 1, 3, 1, of, &m));
    ck_assert_uint_eq(m.k, 3);
    ck_assert(m.sizes[0] == 3 && m.sizes[1] == 2 && m.sizes[2] == 1 && m.inertia == 0);
    float two[] = {20, 21, 30, 31};
    double nearest[4];
    struct kmeans far = {.k = 3, .centres = {{25}, {100}, {20}}}; /* nobody is near 100 */
    kmeans_settle(two, 4, 1, &far, nearest, of);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_gt(far.sizes[i], 0);
}
END_TEST

START_TEST(unknown_figures_stand_at_the_mean)
{
    float rows[] = {1, 7, 3, 7, NAN, 7, 2, NAN};
    kmeans_normalise(rows, 4, 2);
    NEAR(rows[0], -1.2247449f, 1e-6);
    NEAR(rows[2], 1.2247449f, 1e-6);
    ck_assert(rows[4] == 0 && rows[6] == 0 && rows[1] == 0 && rows[7] == 0);
}
END_TEST

START_TEST(index_tells_texts_apart)
{
    struct index_map m = {0};
    char text[32];
    for (size_t i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "U%zu", i);
        ck_assert_uint_eq(index_put(&m, text, NULL), i);
    }
    ck_assert_uint_eq(index_find(&m, "U4321", NULL), 4321);
    ck_assert_uint_eq(index_put(&m, "U4321", NULL), 4321);
    ck_assert(index_find(&m, "U5000", NULL) == INDEX_NONE);
    size_t ab = index_put(&m, "a", "bc"), abc = index_put(&m, "ab", "c");
    ck_assert_uint_ne(ab, abc);
    ck_assert_str_eq(index_text(&m, abc), "ab");
    index_fini(&m);
}
END_TEST

/* ---- effects ---- */

START_TEST(qini_is_that_of_the_definition)
{
    struct qini_customer c[] = {{9, 1, true}, {8, 0, false}, {7, 1, true}, {6, 0, true},  {5, 1, false},
                                {4, 0, true}, {3, 0, false}, {2, 0, true}, {1, 1, false}, {.5, 1, true}};
    static const double expected[] = {
        0, 1. / 6, 1. / 6, 1. / 3, 1. / 3, 1. / 12, 0, .1111111111111111, .05555555555555555, -.08333333333333333, 0};
    struct qini q;
    ck_assert(qini_make(c, 10, .95, &q));
    for (int i = 0; i < QINI_POINTS; i++)
        ck_assert_msg(fabs(q.gain[i] - expected[i]) < 1e-9, "%d: %g, expected %g", i, q.gain[i], expected[i]);
    double area = 0;
    for (int i = 0; i < 10; i++)
        area += (expected[i] + expected[i + 1]) / 20;
    NEAR(q.coefficient, area, 1e-9);
    ck_assert(!qini_make(c, 1, .95, &q)); /* one group alone */
}
END_TEST

START_TEST(qini_tells_a_good_score_from_none)
{
    enum { N = 8000 };
    static struct qini_customer good[N], none[N];
    struct qini q;
    uint64_t state = 5;
    for (int i = 0; i < N; i++) {
        double score = chance(&state);
        bool treated = i % 2;
        double outcome = chance(&state) < .1 + (treated ? .3 * score * score : 0);
        good[i] = (struct qini_customer){score, outcome, treated};
        none[i] = (struct qini_customer){chance(&state), outcome, treated};
    }
    ck_assert(qini_make(good, N, .95, &q));
    ck_assert(q.interval.low > 0 && q.coefficient > q.interval.low && q.coefficient < q.interval.high);
    ck_assert(qini_make(none, N, .95, &q));
    ck_assert(q.interval.low < 0 && q.interval.high > 0);
}
END_TEST

static struct effect effect_of(int64_t applied, int64_t converted, int64_t control, int64_t control_converted)
{
    return (struct effect){.applications = applied,
                           .applied = applied,
                           .responded = converted,
                           .converted = converted,
                           .control = control,
                           .control_converted = control_converted,
                           .cost = (double)applied,
                           .value = {.n = applied, .mean = 2, .m2 = 10},
                           .control_value = {.n = control, .mean = 1, .m2 = 10}};
}

START_TEST(effects_are_said_only_where_they_show)
{
    struct effect e = effect_of(1000, 200, 1000, 100);
    json_t *o = effect_json("t", &e, .05, .02);
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "raises");
    NEAR(json_number_value(json_object_get(o, "uplift_vs_control")), .1, 1e-9);
    NEAR(json_number_value(json_object_get(o, "return_on_spend")), 2, 1e-9);
    ck_assert(json_is_null(json_object_get(o, "more_needed")));
    json_decref(o);
    e = effect_of(1000, 100, 1000, 200);
    o = effect_json("t", &e, .05, .02);
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "lowers");
    json_decref(o);
    e = effect_of(100000, 10000, 100000, 10010);
    o = effect_json("t", &e, .05, .02);
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "no difference");
    json_decref(o);
    e = effect_of(20, 4, 2, 0);
    o = effect_json("t", &e, .05, .02);
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "not enough data");
    ck_assert_int_gt(cvm_json_int(o, "more_needed", 0), 1000);
    ck_assert_ptr_nonnull(strstr(cvm_json_str(o, "why", ""), "more customers"));
    json_decref(o);
    e = effect_of(500, 90, 0, 0);
    o = effect_json("t", &e, .05, .02);
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "not enough data");
    ck_assert(json_is_null(json_object_get(o, "uplift_vs_control")));
    ck_assert_ptr_nonnull(strstr(cvm_json_str(o, "why", ""), "nobody was left without it"));
    json_decref(o);
    e = effect_of(0, 0, 0, 0);
    o = effect_json("t", &e, .05, .02);
    ck_assert(json_is_null(json_object_get(o, "conversion_rate")) &&
              json_is_null(json_object_get(o, "return_on_spend")));
    ck_assert_str_eq(cvm_json_str(o, "verdict", ""), "not enough data");
    json_decref(o);
}
END_TEST

START_TEST(experiments_warn_of_groups_that_were_not_drawn)
{
    struct compare_variant v[3] = {
        {.name = "control", .weight = 1, .customers = 1000, .events = 100, .value = {.n = 1000, .mean = .1}},
        {.name = "call", .weight = 1, .customers = 1000, .events = 180, .value = {.n = 1000, .mean = .18}},
        {.name = "text", .weight = 1, .customers = 700, .events = 70, .value = {.n = 700, .mean = .1}}};
    json_t *r = compare_json(v, 3, true, 0), *c = json_object_get(r, "comparisons");
    ck_assert(!cvm_json_bool(json_object_get(r, "sample_ratio"), "ok", true));
    ck_assert_uint_eq(json_array_size(c), 2);
    ck_assert_str_eq(cvm_json_str(json_array_get(c, 0), "verdict", ""), "higher");
    ck_assert_str_eq(cvm_json_str(json_array_get(c, 1), "verdict", ""), "not enough data");
    const json_t *first = json_array_get(c, 0);
    ck_assert(json_number_value(json_object_get(first, "p_adjusted")) >
              json_number_value(json_object_get(first, "p_value")));
    json_decref(r);
    struct compare_variant few[2] = {{.name = "a", .weight = 1}, {.name = "b", .weight = 1}};
    r = compare_json(few, 2, false, 0);
    c = json_array_get(json_object_get(r, "comparisons"), 0);
    ck_assert_str_eq(cvm_json_str(c, "verdict", ""), "not enough data");
    ck_assert(json_is_null(json_object_get(c, "p_value")));
    json_decref(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("insight");
    TCase *c = tcase_create("numbers");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, distributions_are_those_of_the_tables);
    tcase_add_test(c, rates_have_wilsons_interval);
    tcase_add_test(c, two_rates_are_told_apart);
    tcase_add_test(c, two_means_are_told_apart);
    tcase_add_test(c, planning_and_checks_are_those_of_the_tables);
    tcase_add_test(c, sequential_bound_is_that_of_the_mixture);
    tcase_add_test(c, many_looks_do_not_deceive_the_sequential_bound);
    tcase_add_test(c, assignment_is_even_and_independent);
    tcase_add_test(c, weights_of_nothing_get_nobody);
    tcase_add_test(c, bands_have_readable_names);
    tcase_add_test(c, kmeans_finds_the_clouds);
    tcase_add_test(c, kmeans_has_no_empty_cluster);
    tcase_add_test(c, unknown_figures_stand_at_the_mean);
    tcase_add_test(c, index_tells_texts_apart);
    tcase_add_test(c, qini_is_that_of_the_definition);
    tcase_add_test(c, qini_tells_a_good_score_from_none);
    tcase_add_test(c, effects_are_said_only_where_they_show);
    tcase_add_test(c, experiments_warn_of_groups_that_were_not_drawn);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
