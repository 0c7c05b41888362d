/* See effect.h. Any thread. */
#include "effect.h"

#include "insight.h"

#include <math.h>
#include <stdio.h>

#define LEAST_EACH 2 /* customers of each group below which no interval is worth showing as a verdict */
#define MORE_MAX 1000000000

static void say_more(struct effect_verdict *v, double rate, double share, int64_t present, double least)
{
    double other = rate + least <= 1 ? rate + least : rate - least;
    int64_t needed = stats_needed(other, rate, share, LEVEL, POWER);
    v->more = needed > MORE_MAX ? MORE_MAX : needed > present ? needed - present : 0;
}

void effect_judge(const struct stats_test *test, double rate, double share, int64_t present, double least,
                  struct effect_verdict *ret_verdict)
{
    struct effect_verdict v = {.more = -1};
    if (test->known && test->p < 1 - LEVEL && test->interval.low > 0) {
        v.word = "raises";
        snprintf(v.why, sizeof v.why, "by %.1f in a hundred, at least %.1f (p %.2g, %s)", 100 * test->difference,
                 100 * test->interval.low, test->p, test->method);
    } else if (test->known && test->p < 1 - LEVEL && test->interval.high < 0) {
        v.word = "lowers";
        snprintf(v.why, sizeof v.why, "by %.1f in a hundred, at least %.1f (p %.2g, %s)", -100 * test->difference,
                 -100 * test->interval.high, test->p, test->method);
    } else if (test->known && test->interval.low > -least && test->interval.high < least) {
        v.word = "no difference";
        snprintf(v.why, sizeof v.why, "of %.1f in a hundred or more, which is what would matter", 100 * least);
    } else {
        say_more(&v, rate, share, present, least);
        v.word = "not enough data";
        if (v.more)
            snprintf(v.why, sizeof v.why,
                     "to show a difference of %.1f in a hundred takes about %lld more customers, %lld of them control",
                     100 * least, (long long)v.more, (long long)ceil((double)v.more * share));
        else
            snprintf(v.why, sizeof v.why,
                     "as many as planned, and the difference lies between %.1f and %.1f in a hundred",
                     100 * test->interval.low, 100 * test->interval.high);
    }
    *ret_verdict = v;
}

static void set_interval(json_t **o, const char *low, const char *high, struct stats_interval i, int digits)
{
    insight_set(o, low, insight_number(i.low, digits));
    insight_set(o, high, insight_number(i.high, digits));
}

static void set_rate(json_t **o, const char *name, int64_t k, int64_t n)
{
    char low[40], high[40];
    struct stats_interval i = stats_wilson(k, n, LEVEL);
    snprintf(low, sizeof low, "%s_low", name);
    snprintf(high, sizeof high, "%s_high", name);
    insight_set(o, name, n ? insight_number((double)k / (double)n, 4) : json_null());
    insight_set(o, low, n ? insight_number(i.low, 4) : json_null());
    insight_set(o, high, n ? insight_number(i.high, 4) : json_null());
}

static void set_uplift(json_t **o, const struct effect *e, double share, double least)
{
    struct stats_test test, value;
    struct effect_verdict v;
    int64_t present = e->applied + e->control;
    double seen = e->control ? (double)e->control / (double)present : share;
    double rate = present ? (double)(e->converted + e->control_converted) / (double)present : 0.5;
    stats_two_rates(e->converted, e->applied, e->control_converted, e->control, LEVEL, &test);
    bool shown = test.known && e->applied >= LEAST_EACH && e->control >= LEAST_EACH;
    effect_judge(&test, rate, seen > 0 && seen < 1 ? seen : 0.5, present, least, &v);
    if (!e->applied || !e->control) {
        v.word = "not enough data";
        char needed[EFFECT_WHY_SIZE / 2];
        snprintf(needed, sizeof needed, "%s", v.why);
        snprintf(v.why, sizeof v.why, "%s; %s",
                 !e->applied ? "it was applied to nobody" : "nobody was left without it as a control", needed);
    }
    insight_set(o, "uplift_vs_control", shown ? insight_number(test.difference, 4) : json_null());
    set_interval(o, "uplift_low", "uplift_high", shown ? test.interval : (struct stats_interval){NAN, NAN}, 4);
    insight_set(o, "p_value", shown ? insight_number(test.p, 6) : json_null());
    insight_set(o, "test", shown ? json_string(test.method) : json_null());
    stats_welch(&e->value, &e->control_value, LEVEL, &value);
    insight_set(o, "value_uplift_pounds", value.known ? insight_number(value.difference, 2) : json_null());
    set_interval(o, "value_uplift_low", "value_uplift_high",
                 value.known ? value.interval : (struct stats_interval){NAN, NAN}, 2);
    insight_set(o, "verdict", json_string(v.word));
    insight_set(o, "why", json_string(v.why));
    insight_set(o, "more_needed", v.more >= 0 ? json_integer(v.more) : json_null());
}

json_t *effect_json(const char *treatment_id, const struct effect *e, double share, double least)
{
    double value = e->value.mean * (double)e->value.n;
    json_t *o = json_pack("{s:s, s:I, s:I, s:I}", "treatment_id", treatment_id, "applied", (json_int_t)e->applied,
                          "responded", (json_int_t)e->responded, "converted", (json_int_t)e->converted);
    set_rate(&o, "response_rate", e->responded, e->applied);
    set_rate(&o, "conversion_rate", e->converted, e->applied);
    insight_set(&o, "cost_pounds", insight_number(e->cost, 2));
    insight_set(&o, "value_pounds", insight_number(value, 2));
    insight_set(&o, "return_on_spend", e->cost > 0 ? insight_number(value / e->cost, 2) : json_null());
    insight_set(&o, "control", json_integer(e->control));
    insight_set(&o, "control_converted", json_integer(e->control_converted));
    set_rate(&o, "control_rate", e->control_converted, e->control);
    set_uplift(&o, e, share, least);
    insight_set(&o, "complained", json_integer(e->complained));
    insight_set(&o, "churned", json_integer(e->churned));
    insight_set(&o, "control_churned", json_integer(e->control_churned));
    insight_set(&o, "applications", json_integer(e->applications));
    insight_set(&o, "simulated", json_integer(e->simulated));
    insight_set(&o, "failed", json_integer(e->failed));
    insight_set(&o, "unmatched_outcomes", json_integer(e->unmatched));
    insight_set(&o, "control_treated", json_integer(e->crossed));
    return o;
}
