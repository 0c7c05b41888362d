/* See policy.h. Any thread, one at a time. */
#include "policy.h"

#include <assert.h>
#include <string.h>

static const char *const names[] = {
    [POLICY_SOURCE] = "source", [POLICY_RANDOM] = "random", [POLICY_THOMPSON] = "thompson"};

bool policy_kind_of(const char *name, enum policy_kind *ret_kind)
{
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *ret_kind = (enum policy_kind)i;
            return true;
        }
    return false;
}

const char *policy_name(enum policy_kind kind)
{
    return names[kind];
}

struct policy_settings policy_settings_usual(void)
{
    return (struct policy_settings){.kind = POLICY_SOURCE, .explore_rate = 0.15, .floor = 0.01, .spread = 0.5};
}

/* ---- source ---- */

/* Where nothing else is left. */
static int nothing(const struct policy_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (options[i].nothing && !options[i].blocked)
            return (int)i;
    return -1;
}

static bool allowed(const struct policy_option *o)
{
    return !o->blocked && !o->forbidden && !o->nothing;
}

/* The best known success, else the highest expected effect; the first of equals. */
static int known_best(const struct policy_option *options, size_t n)
{
    int success = -1, expected = -1;
    for (size_t i = 0; i < n; i++) {
        const struct policy_option *o = &options[i];
        if (!allowed(o))
            continue;
        if (o->success && (success < 0 || o->impact > options[success].impact))
            success = (int)i;
        if (expected < 0 || o->expected > options[expected].expected)
            expected = (int)i;
    }
    return success >= 0 ? success : expected >= 0 ? expected : nothing(options, n);
}

static void by_source(const struct policy_settings *settings, const struct policy_option *options, size_t n,
                      struct policy_choice *c)
{
    size_t untried = 0;
    c->best = known_best(options, n);
    if (c->best < 0)
        return;
    for (size_t i = 0; i < n; i++)
        untried += allowed(&options[i]) && !options[i].tries;
    for (size_t i = 0; untried && i < n; i++)
        if (allowed(&options[i]) && !options[i].tries)
            c->probabilities[i] = settings->explore_rate / (double)untried;
    c->probabilities[c->best] += untried ? 1 - settings->explore_rate : 1;
}

/* ---- random ---- */

static void by_chance(const struct policy_option *options, size_t n, struct policy_choice *c)
{
    size_t open = 0;
    for (size_t i = 0; i < n; i++)
        open += !options[i].blocked && !options[i].nothing;
    for (size_t i = 0; open && i < n; i++)
        if (!options[i].blocked && !options[i].nothing)
            c->probabilities[i] = 1.0 / (double)open;
    c->best = nothing(options, n);
    if (!open && c->best >= 0)
        c->probabilities[c->best] = 1;
}

/* ---- thompson ---- */

static void by_belief(const struct policy_settings *settings, const struct policy_case *k,
                      const struct policy_option *options, size_t n, double *means, double *deviations,
                      struct policy_choice *c)
{
    double open_means[POLICY_OPTIONS_MAX], open_deviations[POLICY_OPTIONS_MAX], best[POLICY_OPTIONS_MAX];
    size_t open[POLICY_OPTIONS_MAX], n_open = 0;
    for (size_t i = 0; i < n; i++) {
        const struct policy_option *o = &options[i];
        struct bandit_case circumstances = {k->segment, k->state, o->yesterday, o->expected};
        int action = o->nothing || o->blocked ? -1 : bandit_action(k->bandit, o->action);
        means[i] = deviations[i] = 0;
        if (action >= 0)
            bandit_predict(k->bandit, k->known, action, &circumstances, &means[i], &deviations[i]);
        if (o->blocked || (action < 0 && !o->nothing) || (o->forbidden && means[i] <= 0))
            continue;
        open_means[n_open] = means[i];
        open_deviations[n_open] = settings->spread * deviations[i];
        open[n_open++] = i;
        if (c->best < 0 || means[i] > means[c->best])
            c->best = (int)i;
    }
    if (!n_open)
        return;
    bandit_best(open_means, open_deviations, n_open, best);
    for (size_t i = 0; i < n_open; i++)
        c->probabilities[open[i]] = (1 - settings->floor) * best[i] + settings->floor / (double)n_open;
}

/* ---- all ---- */

/* By one number from 0 to below 1; what rounding leaves over falls to the last possible one. */
static int drawn(const double *probabilities, size_t n, double u)
{
    int last = -1;
    for (size_t i = 0; i < n; i++) {
        if (probabilities[i] <= 0)
            continue;
        last = (int)i;
        if (u < probabilities[i])
            return last;
        u -= probabilities[i];
    }
    return last;
}

void policy_choose(const struct policy_settings *settings, const struct policy_case *c,
                   const struct policy_option *options, size_t n, policy_draw draw, void *arg,
                   struct policy_choice *ret_choice)
{
    struct policy_choice choice = {.index = -1, .probability = 1, .best = -1};
    double means[POLICY_OPTIONS_MAX] = {0}, deviations[POLICY_OPTIONS_MAX] = {0};
    double u = (double)(draw(arg) >> 11) * 0x1p-53;
    assert(n <= POLICY_OPTIONS_MAX);
    assert(settings->kind != POLICY_THOMPSON || c->bandit);
    if (settings->kind == POLICY_SOURCE)
        by_source(settings, options, n, &choice);
    else if (settings->kind == POLICY_RANDOM)
        by_chance(options, n, &choice);
    else
        by_belief(settings, c, options, n, means, deviations, &choice);
    choice.index = drawn(choice.probabilities, n, u);
    if (choice.index >= 0) {
        const struct policy_option *o = &options[choice.index];
        choice.probability = choice.probabilities[choice.index];
        choice.why = choice.index == choice.best ? POLICY_RULE : POLICY_EXPLORE;
        choice.mean = means[choice.index];
        choice.deviation = deviations[choice.index];
        choice.features[0] = 1;
        choice.features[1] = c->state == BANDIT_AT_RISK;
        choice.features[2] = c->state == BANDIT_CRITICAL;
        choice.features[3] = o->yesterday;
    }
    *ret_choice = choice;
}
