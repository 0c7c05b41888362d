/* See bandit.h. Any thread, one at a time. */
#include "bandit.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BEST_STEPS 96 /* of the quadrature: wrong by less than 0.002 */
#define TAIL 6.0      /* deviations beyond which nothing is expected */

struct bandit_prior bandit_prior_usual(void)
{
    return (struct bandit_prior){.sigma = 1.5,
                                 .all = 1.5,
                                 .segment = 2,
                                 .persona = 2.5,
                                 .state = 0.5,
                                 .fatigue = 1,
                                 .fatigue_mean = -1,
                                 .half_life = 60};
}

struct bandit *bandit_new(const struct bandit_prior *prior)
{
    struct bandit *b = calloc(1, sizeof *b);
    assert(prior->sigma > 0 && prior->all > 0 && prior->segment > 0 && prior->persona > 0 && prior->state > 0 &&
           prior->fatigue > 0 && prior->half_life >= 0);
    if (b)
        b->prior = *prior;
    return b;
}

void bandit_free(struct bandit *b)
{
    free(b);
}

/* Length of a name that can be kept; 0: it cannot. */
static size_t kept(const char *name)
{
    size_t len = strnlen(name, BANDIT_NAME_MAX);
    return len < BANDIT_NAME_MAX ? len : 0;
}

int bandit_action(struct bandit *b, const char *action)
{
    size_t len = kept(action);
    for (int i = 0; i < b->n_actions; i++)
        if (strcmp(b->models[i].name, action) == 0)
            return i;
    if (!len || b->n_actions == BANDIT_ACTIONS_MAX)
        return -1;
    memcpy(b->models[b->n_actions].name, action, len + 1);
    return b->n_actions++;
}

int bandit_segment(struct bandit *b, const char *segment)
{
    size_t len = segment ? kept(segment) : 0;
    if (!len)
        return -1;
    for (int i = 0; i < b->n_segments; i++)
        if (strcmp(b->segments[i], segment) == 0)
            return i;
    if (b->n_segments == BANDIT_SEGMENTS_MAX)
        return -1;
    memcpy(b->segments[b->n_segments], segment, len + 1);
    for (int i = 0; i < b->n_actions; i++)
        b->models[i].solved = false;
    return b->n_segments++;
}

/* What is left of an impact after so many days. */
static double left(const struct bandit *b, int64_t days)
{
    return b->prior.half_life > 0 && days > 0 ? exp2(-(double)days / b->prior.half_life) : 1;
}

void bandit_day(struct bandit *b, int64_t day)
{
    double keep = left(b, day - b->day);
    if (day <= b->day)
        return;
    b->day = day;
    if (keep == 1)
        return;
    for (int i = 0; i < b->n_actions; i++) {
        struct bandit_model *m = &b->models[i];
        for (size_t r = 0; r < BANDIT_COMMON; r++) {
            m->b[r] *= keep;
            for (size_t c = 0; c < BANDIT_COMMON; c++)
                m->a[r][c] *= keep;
        }
        for (int s = 0; s < BANDIT_SEGMENTS_MAX; s++) {
            m->segment_b[s] *= keep;
            for (size_t c = 0; c < BANDIT_COMMON; c++)
                m->segment[s][c] *= keep;
        }
        m->solved = false;
    }
}

/* Adds weight * v v' and weight * y v. */
static void add(struct bandit_model *m, const double v[BANDIT_COMMON], int segment, double y, double weight)
{
    for (size_t r = 0; r < BANDIT_COMMON; r++) {
        m->b[r] += weight * y * v[r];
        for (size_t c = 0; c < BANDIT_COMMON; c++)
            m->a[r][c] += weight * v[r] * v[c];
    }
    if (segment < 0)
        return;
    m->segment_b[segment] += weight * y * v[0]; /* its feature is that of the constant */
    for (size_t c = 0; c < BANDIT_COMMON; c++)
        m->segment[segment][c] += weight * v[0] * v[c];
}

static void features(const struct bandit_case *c, double ret_x[BANDIT_COMMON])
{
    ret_x[0] = 1;
    ret_x[1] = c->state == BANDIT_AT_RISK;
    ret_x[2] = c->state == BANDIT_CRITICAL;
    ret_x[3] = c->yesterday;
}

/* 1 / (sigma^2 / tau^2 + n): how far a persona's own impacts speak for it. */
static double own(const struct bandit *b, double n)
{
    double ratio = b->prior.sigma / b->prior.persona;
    return 1 / (ratio * ratio + n);
}

void bandit_learn(struct bandit *b, struct bandit_persona *persona, int action, const struct bandit_case *c,
                  double impact)
{
    double x[BANDIT_COMMON], before[BANDIT_COMMON], after[BANDIT_COMMON], y = impact - c->expected;
    int segment = bandit_segment(b, c->segment);
    assert(action >= 0 && action < b->n_actions);
    if (!isfinite(y))
        return;
    struct bandit_model *m = &b->models[action];
    struct bandit_figures *f = &persona->of[action];
    double keep = left(b, b->day - f->day);
    features(c, x);
    before[0] = f->n;
    for (size_t i = 1; i < BANDIT_COMMON; i++)
        before[i] = f->s[i - 1];
    add(m, before, segment, f->sy, keep * own(b, f->n)); /* takes back what stood for the persona */
    add(m, x, segment, y, 1);
    for (size_t i = 0; i < BANDIT_COMMON; i++)
        after[i] = keep * before[i] + x[i];
    f->n = after[0];
    for (size_t i = 1; i < BANDIT_COMMON; i++)
        f->s[i - 1] = after[i];
    f->sy = keep * f->sy + y;
    f->day = b->day;
    add(m, after, segment, f->sy, -own(b, f->n));
    m->solved = false;
}

/* The lower triangle of p becomes its Cholesky factor; no pivot falls below `least`, whatever was rounded. */
static void factor(double p[BANDIT_D][BANDIT_D], size_t d, double least)
{
    for (size_t c = 0; c < d; c++) {
        double pivot = p[c][c];
        for (size_t k = 0; k < c; k++)
            pivot -= p[c][k] * p[c][k];
        p[c][c] = sqrt(pivot > least ? pivot : least);
        for (size_t r = c + 1; r < d; r++) {
            double sum = p[r][c];
            for (size_t k = 0; k < c; k++)
                sum -= p[r][k] * p[c][k];
            p[r][c] = sum / p[c][c];
        }
    }
}

static void invert(const double l[BANDIT_D][BANDIT_D], size_t d, double ret_inverse[BANDIT_D][BANDIT_D])
{
    double half[BANDIT_D][BANDIT_D] = {{0}}; /* of l */
    for (size_t c = 0; c < d; c++)
        for (size_t r = c; r < d; r++) {
            double sum = r == c;
            for (size_t k = c; k < r; k++)
                sum -= l[r][k] * half[k][c];
            half[r][c] = sum / l[r][r];
        }
    for (size_t r = 0; r < d; r++)
        for (size_t c = 0; c <= r; c++) {
            double sum = 0;
            for (size_t k = r; k < d; k++)
                sum += half[k][r] * half[k][c];
            ret_inverse[r][c] = ret_inverse[c][r] = sum;
        }
}

static void solve(const struct bandit *b, struct bandit_model *m)
{
    const struct bandit_prior *prior = &b->prior;
    const double deviations[BANDIT_COMMON] = {prior->all, prior->state, prior->state, prior->fatigue};
    size_t d = BANDIT_COMMON + (size_t)b->n_segments;
    double p[BANDIT_D][BANDIT_D] = {{0}}, right[BANDIT_D] = {0}, per = 1 / (prior->sigma * prior->sigma), least = 1e300;
    for (size_t r = 0; r < d; r++) {
        double deviation = r < BANDIT_COMMON ? deviations[r] : prior->segment;
        const double *row = r < BANDIT_COMMON ? m->a[r] : m->segment[r - BANDIT_COMMON];
        double known = 1 / (deviation * deviation);
        least = fmin(least, known);
        for (size_t c = 0; c < BANDIT_COMMON; c++)
            p[r][c] = per * row[c];
        if (r >= BANDIT_COMMON)
            p[r][r] = per * row[0];
        p[r][r] += known;
        right[r] = per * (r < BANDIT_COMMON ? m->b[r] : m->segment_b[r - BANDIT_COMMON]);
        if (r == BANDIT_COMMON - 1)
            right[r] += known * prior->fatigue_mean;
    }
    factor(p, d, least * 1e-6);
    invert(p, d, m->covariance);
    for (size_t r = 0; r < d; r++) {
        m->theta[r] = 0;
        for (size_t c = 0; c < d; c++)
            m->theta[r] += m->covariance[r][c] * right[c];
    }
    m->solved = true;
}

void bandit_predict(struct bandit *b, const struct bandit_persona *persona, int action, const struct bandit_case *c,
                    double *ret_mean, double *ret_deviation)
{
    double x[BANDIT_COMMON], v[BANDIT_D];
    int segment = bandit_segment(b, c->segment);
    size_t d = BANDIT_COMMON + (size_t)b->n_segments;
    static const struct bandit_figures none;
    assert(action >= 0 && action < b->n_actions);
    struct bandit_model *m = &b->models[action];
    const struct bandit_figures *f = persona ? &persona->of[action] : &none;
    if (!m->solved)
        solve(b, m);
    features(c, x);
    double keep = left(b, b->day - f->day), k = own(b, keep * f->n);
    for (size_t i = 0; i < d; i++)
        v[i] = i < BANDIT_COMMON ? x[i] - k * keep * (i ? f->s[i - 1] : f->n) : 0;
    if (segment >= 0)
        v[BANDIT_COMMON + (size_t)segment] = v[0];
    double mean = k * keep * f->sy, variance = b->prior.sigma * b->prior.sigma * k;
    for (size_t r = 0; r < d; r++) {
        double sum = 0;
        mean += v[r] * m->theta[r];
        for (size_t i = 0; i < d; i++)
            sum += m->covariance[r][i] * v[i];
        variance += v[r] * sum;
    }
    *ret_mean = c->expected + mean;
    *ret_deviation = sqrt(fmax(variance, 0));
}

/* The distribution function of a variable at x; one without deviation is a step. */
static double below(double x, double mean, double deviation)
{
    if (deviation < 1e-9)
        return x >= mean;
    return 0.5 * erfc((mean - x) / deviation * M_SQRT1_2);
}

/* P(i is the greatest) = integral of prod over j != i of F_j with respect to F_i, as a Stieltjes sum over one grid that
 * holds all that matters: narrow variables lose nothing between its points. */
void bandit_best(const double *means, const double *deviations, size_t n, double *ret_probabilities)
{
    double low = -HUGE_VAL, high = -HUGE_VAL, before[BANDIT_ACTIONS_MAX], at[BANDIT_ACTIONS_MAX], total = 0;
    double behind[BANDIT_ACTIONS_MAX + 1], behind_before[BANDIT_ACTIONS_MAX + 1];
    assert(n > 0 && n <= BANDIT_ACTIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        low = fmax(low, means[i] - TAIL * deviations[i]);
        high = fmax(high, means[i] + TAIL * deviations[i]);
        ret_probabilities[i] = 0;
    }
    low -= 1e-6 * (1 + fabs(low)); /* steps lie within */
    high += 1e-6 * (1 + fabs(high));
    for (size_t i = 0; i < n; i++)
        before[i] = below(low, means[i], deviations[i]);
    for (int step = 1; step <= BEST_STEPS; step++) {
        double x = low + (high - low) * step / BEST_STEPS, ahead = 1, ahead_before = 1;
        behind[n] = behind_before[n] = 1;
        for (size_t i = n; i-- > 0;) {
            at[i] = below(x, means[i], deviations[i]);
            behind[i] = behind[i + 1] * at[i];
            behind_before[i] = behind_before[i + 1] * before[i];
        }
        for (size_t i = 0; i < n; i++) {
            double others = ahead * behind[i + 1], others_before = ahead_before * behind_before[i + 1];
            ret_probabilities[i] += (at[i] - before[i]) * 0.5 * (others + others_before);
            ahead *= at[i];
            ahead_before *= before[i];
        }
        memcpy(before, at, n * sizeof *at);
    }
    for (size_t i = 0; i < n; i++)
        total += ret_probabilities[i];
    for (size_t i = 0; i < n; i++)
        ret_probabilities[i] = total > 0 ? ret_probabilities[i] / total : 1.0 / (double)n;
}
