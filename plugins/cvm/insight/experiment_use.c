/* An experiment while it runs: who gets which variant, what was observed of whom. Owns the tables cvm_exposures and
 * cvm_observations. Loop thread, but for the pure functions. */
#include "experiment.h"

#include "../common/assign.h"

#include <stdio.h>

#define EXPOSURES "cvm_exposures"
#define OBSERVATIONS "cvm_observations"

size_t experiment_weights(const json_t *experiment, double ret_weights[COMPARE_MAX])
{
    const json_t *variants = json_object_get(experiment, "variants");
    size_t n = json_array_size(variants) < COMPARE_MAX ? json_array_size(variants) : COMPARE_MAX;
    for (size_t i = 0; i < n; i++)
        ret_weights[i] = json_number_value(json_object_get(json_array_get(variants, i), "weight"));
    return n;
}

size_t experiment_variant(const json_t *experiment, const char *customer_id)
{
    double weights[COMPARE_MAX];
    size_t n = experiment_weights(experiment, weights);
    return assign_variant(assign_place(cvm_json_str(experiment, "id", ""), customer_id), weights, n);
}

const char *experiment_closed(const json_t *experiment, int64_t now)
{
    int64_t from, to;
    if (strcmp(cvm_json_str(experiment, "status", ""), "running") != 0)
        return "it does not run";
    if (!insight_time_of(experiment, "starts", INT64_MIN, &from) || now < from)
        return "it has not begun yet";
    if (!insight_time_of(experiment, "ends", INT64_MAX, &to) || now >= to)
        return "it is over";
    return NULL;
}

static json_t *assigned(const json_t *experiment, const char *customer, const char *variant)
{
    const json_t *one;
    size_t i;
    json_t *answer = json_pack("{s:s, s:s, s:s}", "experiment_id", cvm_json_str(experiment, "id", ""), "customer_id",
                               customer, "variant", variant);
    json_array_foreach(json_object_get(experiment, "variants"), i, one)
    {
        if (answer && strcmp(cvm_json_str(one, "name", ""), variant) == 0 && json_object_get(one, "settings"))
            insight_set(&answer, "settings", cvm_json_share(json_object_get(one, "settings")));
    }
    return answer;
}

static bool key_of(const json_t *what, char ret_key[INSIGHT_KEY_SIZE])
{
    return insight_key(ret_key, cvm_json_str(what, "experiment_id", ""), cvm_json_str(what, "customer_id", ""), NULL,
                       NULL);
}

int experiment_on_assign(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    char key[INSIGHT_KEY_SIZE];
    CVM_TRY(experiment_find(t, m->data, &experiment));
    CVM_TRY(insight_need(t, m, "customer_id", ID_MAX));
    const char *why = experiment_closed(experiment, cvm_now_ms(t));
    if (why)
        return cvm_reply(t, m,
                         json_pack("{s:s, s:s, s:n, s:s}", "experiment_id", cvm_json_str(experiment, "id", ""),
                                   "customer_id", cvm_json_str(m->data, "customer_id", ""), "variant", "why", why));
    if (!key_of(m->data, key))
        return cvm_refuse(t, "INVALID", "customer_id", "the ids are too long together");
    return insight_ask(t, m, EXPOSURES, "exposure_id", key, cvm_json_share(m->data));
}

/* Who was assigned before keeps the variant and the time. */
int experiment_on_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0), *with = json_object_get(m->data, "with");
    const json_t *experiment;
    const char *customer = cvm_json_str(with, "customer_id", ""), *variant = cvm_json_str(row, "variant", NULL);
    char key[INSIGHT_KEY_SIZE], at[INSIGHT_TIME_SIZE];
    json_t *answer;
    if (m->outcome != CVM_REPLIED) {
        int failed = cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
        return failed == CVM_ENOENT ? CVM_OK : failed;
    }
    CVM_TRY(experiment_find(t, with, &experiment));
    if (!variant) {
        const json_t *variants = json_object_get(experiment, "variants");
        variant = cvm_json_str(json_array_get(variants, experiment_variant(experiment, customer)), "name", "");
        if (!key_of(with, key))
            return CVM_EINVAL;
        insight_time(cvm_now_ms(t), at);
        json_t *put =
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "exposure_id", key, "experiment_id",
                      cvm_json_str(experiment, "id", ""), "customer_id", customer, "variant", variant, "at", at);
        CVM_TRY(put ? cvm_row_put(t, EXPOSURES, put) : CVM_ENOMEM);
    }
    answer = assigned(experiment, customer, variant);
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, answer, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int experiment_on_observe(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    char key[INSIGHT_KEY_SIZE], at[INSIGHT_TIME_SIZE];
    double value = json_number_value(json_object_get(m->data, "value"));
    CVM_TRY(experiment_find(t, m->data, &experiment));
    CVM_TRY(insight_need(t, m, "customer_id", ID_MAX));
    if (experiment_is_outcome(cvm_json_str(experiment, "metric", "")))
        return cvm_refuse(t, "METRIC", "experiment_id",
                          "its metric comes from recorded outcomes: cvmhost evaluation record");
    if (strcmp(cvm_json_str(experiment, "kind", ""), "rate") == 0 && value != 0 && value != 1)
        return cvm_refuse(t, "INVALID", "value", "its metric is a rate: 0 or 1");
    if (!key_of(m->data, key))
        return cvm_refuse(t, "INVALID", "customer_id", "the ids are too long together");
    insight_time(cvm_now_ms(t), at);
    json_t *row = json_pack("{s:s, s:s, s:s, s:f, s:s}", "observation_id", key, "experiment_id",
                            cvm_json_str(experiment, "id", ""), "customer_id", cvm_json_str(m->data, "customer_id", ""),
                            "value", value, "at", at);
    CVM_TRY(row ? cvm_row_put(t, OBSERVATIONS, row) : CVM_ENOMEM);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:f}", "experiment_id", cvm_json_str(experiment, "id", ""), "customer_id",
                               cvm_json_str(m->data, "customer_id", ""), "value", value));
}

/* The variant that a score is judged by is one, and not the one that the others are compared with. */
static int check_variant(cvm_turn *t, const cvm_msg *m, const json_t *experiment)
{
    const json_t *variants = json_object_get(experiment, "variants");
    const char *wanted = cvm_json_str(m->data, "variant", NULL);
    const json_t *found = wanted ? experiment_named(variants, wanted) : NULL;
    char names[600], text[800];
    if (!wanted)
        return CVM_OK;
    experiment_names(variants, "name", 1, names, sizeof names);
    if (!found || found == json_array_get(variants, 0)) {
        snprintf(text, sizeof text, "variant: \"%.64s\" is %s; there are %s", wanted,
                 found ? "the one that the others are compared with" : "no variant of this experiment", names);
        return cvm_refuse(t, found ? "INVALID" : "NOT_FOUND", "variant", text);
    }
    if (!json_object_get(m->data, "score"))
        return cvm_refuse(t, "INVALID", "variant", "variant: is whom a score is judged by; give score too");
    return CVM_OK;
}

int experiment_on_report(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    CVM_TRY(experiment_find(t, m->data, &experiment));
    CVM_TRY(check_variant(t, m, experiment));
    json_t *input = json_pack("{s:O}", "experiment", (json_t *)(uintptr_t)experiment);
    const char *const names[] = {"score", "variant"};
    for (size_t i = 0; input && i < 2; i++)
        if (json_object_get(m->data, names[i]))
            insight_set(&input, names[i], cvm_json_share(json_object_get(m->data, names[i])));
    CVM_TRY(input ? cvm_job_start(t, "compare", input, m->id, 0) : CVM_ENOMEM);
    return CVM_PENDING;
}
