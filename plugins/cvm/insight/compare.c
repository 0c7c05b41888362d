/* See compare.h. Any thread. */
#include "compare.h"

#include "insight.h"

#include <math.h>
#include <stdio.h>

#define MISMATCH 0.001 /* p of the sample-ratio check below which the groups are not what was drawn */
#define BURN_EACH 30   /* customers of each group before the sequential bound says anything */
#define BURN_EVENTS 10 /* events, and customers without one, of both together: before that its normal law is rough */
#define WHY_SIZE 256

struct comparison {
    struct stats_test test;
    bool sequential;
    double sequential_p, adjusted_p, least;
    struct stats_interval bound;
    int64_t more; /* customers beyond those there are; -1: does not apply */
};

static double smoothed_variance(const struct compare_variant *v)
{
    double p = ((double)v->events + 0.5) / ((double)v->value.n + 1);
    return p * (1 - p);
}

/* Planned from what is known of the rate, which is one half where nothing is. */
static int64_t needed_rate(double rate, double share, double least)
{
    return stats_needed(rate + least <= 1 ? rate + least : fmax(0, rate - least), rate, share, LEVEL, POWER);
}

static void look(const struct compare_variant *a, const struct compare_variant *b, bool rate, double least,
                 struct comparison *c)
{
    double n_a = (double)a->value.n, n_b = (double)b->value.n;
    double var_a = rate ? smoothed_variance(a) : stats_variance(&a->value);
    double var_b = rate ? smoothed_variance(b) : stats_variance(&b->value);
    int64_t events = a->events + b->events, without = a->value.n + b->value.n - events;
    if (rate)
        stats_two_rates(a->events, a->value.n, b->events, b->value.n, LEVEL, &c->test);
    else
        stats_welch(&a->value, &b->value, LEVEL, &c->test);
    c->least = least > 0 ? least : rate ? 0.02 : 0.1 * sqrt((var_a + var_b) / 2);
    c->sequential = c->test.known && c->least > 0 && a->value.n >= BURN_EACH && b->value.n >= BURN_EACH &&
                    var_a + var_b > 0 && (!rate || (events >= BURN_EVENTS && without >= BURN_EVENTS));
    if (c->sequential)
        stats_sequential(c->test.difference, var_a / n_a + var_b / n_b, c->least, LEVEL, &c->sequential_p, &c->bound);
    c->adjusted_p = c->test.p;
    double share = n_a + n_b > 0 ? n_b / (n_a + n_b) : 0.5;
    int64_t needed = INT64_MAX;
    share = share > 0 && share < 1 ? share : 0.5;
    if (rate)
        needed = needed_rate(((double)events + 0.5) / (n_a + n_b + 1), share, c->least);
    else if (c->least > 0 && var_a + var_b > 0)
        needed = stats_needed_mean(c->least, var_a, var_b, share, LEVEL, POWER);
    int64_t present = a->value.n + b->value.n;
    c->more = needed == INT64_MAX ? -1 : needed > present ? needed - present : 0;
}

static const char *judge(const struct comparison *c, const char *name, const char *against, char why[WHY_SIZE])
{
    const struct stats_test *t = &c->test;
    bool up = t->difference > 0;
    if (c->sequential && c->sequential_p < 1 - LEVEL) {
        snprintf(why, WHY_SIZE, "%.60s differs from %.60s, however often one has looked (p %.2g)", name, against,
                 c->sequential_p);
        return up ? "higher" : "lower";
    }
    if (t->known && c->adjusted_p < 1 - LEVEL) {
        snprintf(why, WHY_SIZE,
                 "p is %.2g (%s): enough only if this is the one look that was planned; the bound for many looks "
                 "does not say so yet",
                 c->adjusted_p, t->method);
        return up ? "perhaps higher" : "perhaps lower";
    }
    if (t->known && t->interval.low > -c->least && t->interval.high < c->least) {
        snprintf(why, WHY_SIZE, "if there is a difference, it is smaller than %.3g", c->least);
        return "no difference";
    }
    if (c->more > 0)
        snprintf(why, WHY_SIZE, "to show a difference of %.3g takes about %lld more customers", c->least,
                 (long long)c->more);
    else if (t->known)
        snprintf(why, WHY_SIZE, "the difference lies between %.3g and %.3g", t->interval.low, t->interval.high);
    else
        snprintf(why, WHY_SIZE, "a group has nobody, or all are alike");
    return "not enough data";
}

static json_t *variant_json(const struct compare_variant *v, int64_t all, bool rate)
{
    struct stats_interval i = rate ? stats_wilson(v->events, v->value.n, LEVEL) : stats_mean_interval(&v->value, LEVEL);
    bool some = v->value.n > 0;
    json_t *o = json_pack(
        "{s:s, s:f, s:I, s:o, s:I}", "variant", v->name, "weight", v->weight, "customers", (json_int_t)v->customers,
        "share", insight_number(all ? (double)v->customers / (double)all : NAN, 4), "observed", (json_int_t)v->value.n);
    if (rate)
        insight_set(&o, "events", json_integer(v->events));
    insight_set(&o, rate ? "rate" : "mean", some ? insight_number(v->value.mean, 6) : json_null());
    if (!rate)
        insight_set(&o, "deviation", v->value.n > 1 ? insight_number(sqrt(stats_variance(&v->value)), 6) : json_null());
    insight_set(&o, "low", some ? insight_number(i.low, 6) : json_null());
    insight_set(&o, "high", some ? insight_number(i.high, 6) : json_null());
    return o;
}

static json_t *comparison_json(const struct compare_variant *v, const struct compare_variant *base,
                               const struct comparison *c)
{
    char why[WHY_SIZE];
    const struct stats_test *t = &c->test;
    const char *verdict = judge(c, v->name, base->name, why);
    json_t *o = json_pack("{s:s, s:s}", "variant", v->name, "against", base->name);
    insight_set(&o, "difference", t->known ? insight_number(t->difference, 6) : json_null());
    insight_set(&o, "low", t->known ? insight_number(t->interval.low, 6) : json_null());
    insight_set(&o, "high", t->known ? insight_number(t->interval.high, 6) : json_null());
    insight_set(&o, "relative_uplift",
                t->known && base->value.mean > 0 ? insight_number(t->difference / base->value.mean, 4) : json_null());
    insight_set(&o, "p_value", t->known ? insight_number(t->p, 8) : json_null());
    insight_set(&o, "p_adjusted", t->known ? insight_number(c->adjusted_p, 8) : json_null());
    insight_set(&o, "test", json_string(t->method));
    insight_set(&o, "few", json_boolean(t->few));
    insight_set(&o, "always_valid_p", c->sequential ? insight_number(c->sequential_p, 8) : json_null());
    insight_set(&o, "always_valid_low", c->sequential ? insight_number(c->bound.low, 6) : json_null());
    insight_set(&o, "always_valid_high", c->sequential ? insight_number(c->bound.high, 6) : json_null());
    insight_set(&o, "verdict", json_string(verdict));
    insight_set(&o, "why", json_string(why));
    insight_set(&o, "more_needed", c->more >= 0 ? json_integer(c->more) : json_null());
    return o;
}

static json_t *ratio_json(const struct compare_variant *variants, size_t n)
{
    int64_t counts[COMPARE_MAX];
    double weights[COMPARE_MAX];
    for (size_t i = 0; i < n; i++) {
        counts[i] = variants[i].customers;
        weights[i] = variants[i].weight;
    }
    double p = stats_ratio_mismatch(counts, weights, n);
    return json_pack("{s:o, s:b, s:s}", "p_value", insight_number(p, 8), "ok", p >= MISMATCH, "text",
                     p >= MISMATCH ? "the groups are as large as the weights say"
                                   : "the groups are not as large as the weights say: something keeps customers out of "
                                     "one of them, so the comparison cannot be trusted");
}

json_t *compare_json(const struct compare_variant *variants, size_t n, bool rate, double least)
{
    struct comparison c[COMPARE_MAX] = {0};
    double p[COMPARE_MAX];
    size_t of[COMPARE_MAX], known = 0;
    int64_t all = 0;
    json_t *list = json_array(), *compared = json_array();
    for (size_t i = 0; i < n; i++)
        all += variants[i].customers;
    for (size_t i = 1; i < n; i++) {
        look(&variants[i], &variants[0], rate, least, &c[i]);
        if (c[i].test.known) {
            of[known] = i;
            p[known++] = c[i].test.p;
        }
    }
    stats_holm(p, known);
    for (size_t i = 0; i < known; i++)
        c[of[i]].adjusted_p = p[i];
    for (size_t i = 0; i < known; i++)
        if (c[of[i]].sequential) /* Bonferroni: of bounds that hold at all times there is no order to go by */
            c[of[i]].sequential_p = fmin(1, c[of[i]].sequential_p * (double)(n - 1));
    for (size_t i = 0; i < n; i++)
        insight_append(&list, variant_json(&variants[i], all, rate));
    for (size_t i = 1; i < n; i++)
        insight_append(&compared, comparison_json(&variants[i], &variants[0], &c[i]));
    return json_pack("{s:o, s:o, s:o}", "variants", list, "comparisons", compared, "sample_ratio",
                     ratio_json(variants, n));
}
