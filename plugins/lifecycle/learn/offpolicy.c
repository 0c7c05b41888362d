/* See offpolicy.h. Any thread. */
#include "offpolicy.h"

#include "../../cvm/insight/stats.h"
#include "../common/bandit.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MISFIT 4.0 /* deviations of the mean weight from 1 that true propensities do not have */

/* ---- intervals --------------------------------------------------------------------------------------------------- */

/* Hall's cubic transformation of Student's t of a sample with that skewness; nearly normal. It is monotone. */
static double straight(double t, double skew, double root_n)
{
    double c = skew / root_n;
    return t + c * t * t / 3 + c * c * t * t * t / 27 + c / 6;
}

/* Its inverse. */
static double bent(double y, double skew, double root_n)
{
    double c = skew / root_n;
    if (fabs(c) < 1e-9)
        return y;
    return 3 / c * (cbrt(1 + c * (y - c / 6)) - 1);
}

/* Student's quantile. Its degrees of freedom are those of the variance, which long tails leave fewer of than rows: 2 n
 * / (kurtosis - 1), by the variance of a variance. */
static double quantile_of(double n, double kurtosis)
{
    double freedom = fmin(n - 1, kurtosis > 1 ? 2 * n / (kurtosis - 1) : n);
    return freedom > 2000 ? stats_normal_quantile(0.975) : stats_t_quantile(0.975, fmax(freedom, 3));
}

struct off_interval off_mean(const double *values, size_t n)
{
    double mean = 0, second = 0, third = 0, fourth = 0, size = (double)n;
    for (size_t i = 0; i < n; i++)
        mean += values[i] / size;
    for (size_t i = 0; i < n; i++) {
        double d = values[i] - mean;
        second += d * d;
        third += d * d * d;
        fourth += d * d * d * d;
    }
    if (n < 2)
        return (struct off_interval){mean, -HUGE_VAL, HUGE_VAL};
    double variance = second / (size - 1), error = sqrt(variance / size);
    if (!(variance > 0))
        return (struct off_interval){mean, mean, mean};
    double skew = third / size / pow(second / size, 1.5);
    double z = quantile_of(size, fourth * size / (second * second));
    return (struct off_interval){mean, mean - error * bent(z, skew, sqrt(size)),
                                 mean - error * bent(-z, skew, sqrt(size))};
}

/* Sums of w^j r^k, which are all that the ratio's test needs. */
struct moments {
    double n, w, wr, w2[3], w3[4];
};

/* How far the mean of w (r - theta) is from 0, straightened. Falls with theta where the weights carry an answer. */
static double distance(const struct moments *m, double theta)
{
    double mean = (m->wr - theta * m->w) / m->n;
    double raw2 = (m->w2[2] - 2 * theta * m->w2[1] + theta * theta * m->w2[0]) / m->n;
    double raw3 =
        (m->w3[3] - 3 * theta * m->w3[2] + 3 * theta * theta * m->w3[1] - theta * theta * theta * m->w3[0]) / m->n;
    double variance = raw2 - mean * mean, third = raw3 - 3 * mean * raw2 + 2 * mean * mean * mean;
    if (variance <= 0)
        return mean > 0 ? HUGE_VAL : mean < 0 ? -HUGE_VAL : 0;
    return straight(mean / sqrt(variance / (m->n - 1)), third / pow(variance, 1.5), sqrt(m->n));
}

/* Where the distance from `from` on in steps of `step` reaches `wanted`; infinite: it never does. */
static double reach(const struct moments *m, double from, double step, double wanted)
{
    double inside = from, outside = from + step;
    for (int i = 0; i < 60 && (wanted > 0 ? distance(m, outside) < wanted : distance(m, outside) > wanted); i++) {
        inside = outside;
        outside += step *= 1.5;
        if (i == 59)
            return wanted > 0 ? -HUGE_VAL : HUGE_VAL;
    }
    for (int i = 0; i < 80; i++) {
        double middle = inside + (outside - inside) / 2;
        bool beyond = wanted > 0 ? distance(m, middle) >= wanted : distance(m, middle) <= wanted;
        *(beyond ? &outside : &inside) = middle;
    }
    return outside;
}

struct off_interval off_ratio(const double *weights, const double *rewards, size_t n)
{
    struct moments m = {.n = (double)n};
    double total = 0, sum = 0, spread = 0;
    for (size_t i = 0; i < n; i++) {
        total += weights[i];
        sum += weights[i] * rewards[i];
    }
    if (n < 2 || total <= 0)
        return (struct off_interval){NAN, -HUGE_VAL, HUGE_VAL};
    double ratio = sum / total, fourth = 0;
    for (size_t i = 0; i < n; i++) { /* about the ratio, where nothing cancels */
        double w = weights[i], r = rewards[i] - ratio;
        m.w += w;
        m.wr += w * r;
        w /= 1 - fmin(w / total, 0.5); /* it pulled the ratio to itself: as the jackknife, or MacKinnon & White's HC3 */
        for (int k = 0; k < 3; k++)
            m.w2[k] += w * w * (k == 0 ? 1 : k == 1 ? r : r * r);
        for (int k = 0; k < 4; k++)
            m.w3[k] += w * w * w * (k == 0 ? 1 : k == 1 ? r : k == 2 ? r * r : r * r * r);
        spread += w * w * r * r;
        fourth += w * w * w * w * r * r * r * r;
    }
    double step = sqrt(spread) / total / 2;
    if (!(step > 0))
        return (struct off_interval){ratio, ratio, ratio};
    double z = quantile_of(m.n, fourth * m.n / (spread * spread));
    return (struct off_interval){ratio, ratio + reach(&m, 0, -step, z), ratio + reach(&m, 0, step, -z)};
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The policy's probabilities for row i, and the rewards q that are expected there, by the model without its fold. */
static void of_row(const struct off_log *log, const struct off_policy *policy, const struct outcome_model *model,
                   size_t i, double *ret_p, double *ret_q)
{
    const struct outcome_rows *rows = &log->rows;
    size_t best = 0, n = rows->n_actions;
    double deviations[OUTCOME_ACTIONS_MAX];
    for (size_t k = 0; k < n; k++) {
        ret_q[k] =
            outcome_predict(model, rows->x + i * rows->d, (int)k, policy->kind == OFF_THOMPSON ? &deviations[k] : NULL);
        if (k < log->n_logged && ret_q[k] > ret_q[best])
            best = k;
    }
    for (size_t k = 0; k < n; k++)
        ret_p[k] = policy->kind == OFF_ACTION    ? (int)k == policy->action
                   : policy->kind == OFF_LOGGED  ? (int)k == rows->action[i]
                   : policy->kind == OFF_UNIFORM ? (k < log->n_logged) / (double)log->n_logged
                   : policy->kind == OFF_GREEDY  ? k == best
                   : policy->kind == OFF_GIVEN   ? policy->given[i * n + k]
                                                 : 0;
    if (policy->kind == OFF_THOMPSON)
        bandit_best(ret_q, deviations, log->n_logged, ret_p);
}

struct work {
    const struct off_log *log;
    const struct off_policy *policy;
    unsigned char *fold;
    double *w, *wr, *dr, *gain;
};

static int go_through(struct work *k, struct off_result *r)
{
    const struct outcome_rows *rows = &k->log->rows;
    double p[OUTCOME_ACTIONS_MAX], q[OUTCOME_ACTIONS_MAX], size = (double)rows->n;
    for (size_t i = 0; i < rows->n; i++)
        k->fold[i] = (unsigned char)(mixed(i) % OFF_FOLDS);
    for (int fold = 0; fold < OFF_FOLDS; fold++) {
        struct outcome_model *model = outcome_learn(rows, k->fold, fold, k->policy->kind == OFF_THOMPSON);
        if (!model)
            return -1;
        for (size_t i = 0; i < rows->n; i++) {
            if (k->fold[i] != fold)
                continue;
            int action = rows->action[i];
            double direct = 0;
            of_row(k->log, k->policy, model, i, p, q);
            for (size_t a = 0; a < rows->n_actions; a++) {
                direct += p[a] * q[a];
                r->mass[a] += p[a] / size;
            }
            double w = k->policy->kind == OFF_LOGGED ? 1 : p[action] / k->log->propensity[i];
            k->w[i] = w;
            k->wr[i] = w * rows->reward[i];
            k->dr[i] = direct + w * (rows->reward[i] - q[action]);
            k->gain[i] = k->dr[i] - rows->reward[i];
        }
        outcome_free(model);
    }
    return 0;
}

/* ---- what can be told -------------------------------------------------------------------------------------------- */

static void weigh(const struct work *k, struct off_result *r)
{
    const struct outcome_rows *rows = &k->log->rows;
    double sum = 0, squares = 0, fourth = 0, size = (double)rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        double w = k->w[i];
        sum += w;
        fourth += w * w * w * w;
        squares += w * w;
        r->most = fmax(r->most, w);
        r->matched += w > 0;
        r->clipped += w > OFF_CLIP;
        r->clipped_ips += fmin(w, OFF_CLIP) * rows->reward[i] / size;
        r->logged += rows->reward[i] / size;
        r->count[rows->action[i]]++;
    }
    r->weight = sum / size;
    r->ess = squares > 0 ? sum * sum / squares : 0;
    r->second = fourth > 0 ? squares * squares / fourth : 0;
    r->share = sum > 0 ? r->most / sum : 0;
    double variance = fmax(squares / size - r->weight * r->weight, 0);
    r->weight_z = variance > 0 ? (r->weight - 1) / sqrt(variance / size) : fabs(r->weight - 1) < 1e-6 ? 0 : HUGE_VAL;
}

/* False: it cannot be told, and why. */
static bool judge(const struct off_log *log, struct off_result *r)
{
    size_t n = log->rows.n;
    for (size_t a = 0; a < log->rows.n_actions; a++)
        if (r->mass[a] > 1e-9 && !r->count[a]) {
            snprintf(r->why, sizeof r->why,
                     "the policy takes %s in %.3g %% of the cases, and the log never does: log some of it first",
                     log->names[a], 100 * r->mass[a]);
            return false;
        }
    if (!r->matched) {
        snprintf(r->why, sizeof r->why, "the policy takes none of the logged actions where they were logged");
        return false;
    }
    if (r->matched < OFF_MATCHED_LEAST || r->ess < OFF_ESS_LEAST) {
        snprintf(r->why, sizeof r->why,
                 "too little overlap: the %zu rows count as %.1f for this policy (%zu of them with an action that it "
                 "takes), and it takes %.0f: log more, or with more chance",
                 n, r->ess, r->matched, OFF_ESS_LEAST);
        return false;
    }
    if (r->second < OFF_SPREAD_LEAST) {
        snprintf(
            r->why, sizeof r->why,
            "the answer would hang on a few rows: the heaviest has %.3g %% of all the weight: log more, or with more "
            "chance",
            100 * r->share);
        return false;
    }
    if (fabs(r->weight_z) > MISFIT) {
        snprintf(r->why, sizeof r->why,
                 "the propensities are not those that the log was made with: the weights should be 1 on average, and "
                 "are %.3g",
                 r->weight);
        return false;
    }
    return true;
}

int off_evaluate(const struct off_log *log, const struct off_policy *policy, struct off_result *ret_result)
{
    size_t n = log->rows.n;
    double *room = calloc(n ? n : 1, 4 * sizeof *room);
    struct work k = {.log = log, .policy = policy, .fold = calloc(n ? n : 1, 1)};
    struct off_result r = {0};
    int e = -1;
    assert(log->n_logged <= log->rows.n_actions && log->rows.n_actions <= OUTCOME_ACTIONS_MAX);
    if (!room || !k.fold)
        goto out;
    e = 0;
    k.w = room;
    k.wr = room + n;
    k.dr = room + 2 * n;
    k.gain = room + 3 * n;
    if (!n) {
        snprintf(r.why, sizeof r.why, "there are no rows");
        *ret_result = r;
        goto out;
    }
    e = go_through(&k, &r);
    if (e < 0)
        goto out;
    weigh(&k, &r);
    r.known = judge(log, &r);
    r.ips = off_mean(k.wr, n);
    r.snips = off_ratio(k.w, log->rows.reward, n);
    r.dr = off_mean(k.dr, n);
    r.gain = off_mean(k.gain, n);
    *ret_result = r;
out:
    free(room);
    free(k.fold);
    return e;
}
