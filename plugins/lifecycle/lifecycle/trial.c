/* See trial.h. Loop thread. */
#include "trial.h"

#include "../../cvm/common/assign.h"

#include <stdio.h>
#include <stdlib.h>

#define VARIANTS_MAX 8
#define UNIT_SIZE (LIFE_KEY_MAX + 24)

/* NULL: the experiment is none. */
static const json_t *variant_of(const json_t *experiment, const char *persona, int64_t day)
{
    const json_t *variants = json_object_get(experiment, "variants");
    size_t n = json_array_size(variants);
    double weights[VARIANTS_MAX], total = 0;
    char unit[UNIT_SIZE];
    if (n < 1 || n > VARIANTS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++)
        total += weights[i] = json_number_value(json_object_get(json_array_get(variants, i), "weight"));
    if (!(total > 0))
        return NULL;
    snprintf(unit, sizeof unit, "%s#%lld", persona, (long long)day);
    return json_array_get(variants, assign_variant(assign_place(cvm_json_str(experiment, "id", ""), unit), weights, n));
}

json_t *trial_variants(const json_t *experiments, const char *persona, int64_t day)
{
    if (!json_array_size(experiments))
        return NULL;
    json_t *all = json_object();
    for (size_t i = 0; i < json_array_size(experiments); i++) {
        const json_t *experiment = json_array_get(experiments, i), *variant = variant_of(experiment, persona, day);
        if (variant)
            json_object_set_new(all, cvm_json_str(experiment, "id", ""),
                                json_string(cvm_json_str(variant, "name", "")));
    }
    return all;
}

bool trial_wants(const json_t *experiments, const char *member, const char *value)
{
    for (size_t i = 0; i < json_array_size(experiments); i++) {
        const json_t *variants = json_object_get(json_array_get(experiments, i), "variants");
        for (size_t k = 0; k < json_array_size(variants); k++) {
            const json_t *own = json_object_get(json_object_get(json_array_get(variants, k), "settings"), member);
            if (own && (!value || strcmp(value, json_is_string(own) ? json_string_value(own) : "") == 0))
                return true;
        }
    }
    return false;
}

static bool among(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && strcmp(json_string_value(json_array_get(list, i)), name) == 0)
            return true;
    return false;
}

static void lay_over(struct choosing *c, const json_t *settings)
{
    const json_t *actions = json_object_get(settings, "actions"), *without = json_object_get(settings, "without"),
                 *rate = json_object_get(settings, "explore_rate");
    enum policy_kind kind;
    for (size_t i = 0; i < c->n; i++) {
        struct policy_option *o = &c->option[i];
        o->blocked |= !o->nothing && ((actions && !among(actions, o->action)) || among(without, o->action));
    }
    if (json_is_number(rate))
        c->policy.explore_rate = json_number_value(rate);
    if (policy_kind_of(cvm_json_str(settings, "policy", ""), &kind) && (kind != POLICY_THOMPSON || c->bandit))
        c->policy.kind = kind;
    c->provider = cvm_json_str(settings, "provider", c->provider);
    c->model = cvm_json_str(settings, "model", c->model);
    c->prompt = cvm_json_str(settings, "prompt", c->prompt);
    if (json_is_number(json_object_get(settings, "temperature")))
        c->temperature = json_object_get(settings, "temperature");
}

void trial_apply(struct choosing *c)
{
    const char *persona = cvm_json_str(c->customer, "persona_key", "");
    for (size_t i = 0; i < json_array_size(c->experiments); i++)
        lay_over(c, json_object_get(variant_of(json_array_get(c->experiments, i), persona, c->day), "settings"));
}

/* ---- what came of it ---- */

/* The object `name` of another one; made where it is not there. */
static json_t *inner(json_t *object, const char *name)
{
    json_t *own = json_object_get(object, name);
    if (!own && json_object_set_new(object, name, json_object()) == 0)
        own = json_object_get(object, name);
    return own;
}

/* [number, mean, sum of squares about it] takes another value (Welford 1962). */
static void add(json_t *variant, const char *metric, double value)
{
    const json_t *was = json_object_get(variant, metric);
    double n = json_number_value(json_array_get(was, 0)) + 1, mean = json_number_value(json_array_get(was, 1)),
           m2 = json_number_value(json_array_get(was, 2)), from = value - mean;
    mean += from / n;
    m2 += from * (value - mean);
    json_object_set_new(variant, metric, json_pack("[f, f, f]", n, mean, m2));
}

static int later(const char *metric)
{
    return strncmp(metric, "score_after_", 12) == 0 ? (int)strtol(metric + 12, NULL, 10) : -1;
}

void trial_count(json_t *figures, const json_t *since, const json_t *experiments, const struct life_persona *p,
                 int64_t day, const json_t *decision, const char *outcome, double impact)
{
    for (size_t i = 0; i < json_array_size(experiments); i++) {
        const json_t *experiment = json_array_get(experiments, i);
        const char *id = cvm_json_str(experiment, "id", ""), *metric = cvm_json_str(experiment, "metric", ""),
                   *variant = cvm_json_str(json_object_get(decision, "variants"), id, NULL);
        json_t *own = inner(figures, id);
        if (variant) { /* none: churned before, or its action was ordered */
            json_t *today = inner(own, variant);
            json_object_set_new(today, "units", json_integer(cvm_json_int(today, "units", 0) + 1));
            add(today, "impact", impact);
            if (strcmp(outcome, "NONE") != 0)
                add(today, "success", strcmp(outcome, "SUCCESS") == 0);
        }
        int64_t then = day - later(metric);
        if (later(metric) < 0 || then < cvm_json_int(since, id, day) || (p->churned && p->churned_on_day < then))
            continue;
        const json_t *before = variant_of(experiment, p->key, then);
        if (before)
            add(inner(own, cvm_json_str(before, "name", "")), metric, p->score);
    }
}

int trial_tell(cvm_turn *t, const json_t *figures, int64_t epoch, int64_t day)
{
    json_t *list = json_array(), *own;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)figures, id, own)
        json_array_append_new(list, json_pack("{s:s, s:O}", "experiment_id", id, "variants", own));
    if (!json_array_size(list)) {
        json_decref(list);
        return CVM_OK;
    }
    return cvm_request(
        t, EXPERIMENTS, "observe_day",
        json_pack("{s:I, s:I, s:o}", "epoch", (json_int_t)epoch, "day", (json_int_t)day, "experiments", list), NULL);
}
