/* cvm.experiments: what an experiment is, from its making to its end. State exp/<id>. Loop thread. */
#include "experiment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LISTED_MAX 1000
#define EXISTS "there is an experiment of that id already; ids are not used twice"
#define WRONG_MAX 1000 /* bytes of a sentence about what is wrong */

int experiment_find(cvm_turn *t, const json_t *request, const json_t **ret_experiment)
{
    char key[CVM_STATE_KEY_MAX], text[160];
    const char *id = cvm_json_str(request, "experiment_id", "");
    snprintf(key, sizeof key, "exp/%.80s", id);
    int e = cvm_state_get(t, key, ret_experiment);
    if (e != CVM_ENOENT)
        return e;
    snprintf(text, sizeof text, "there is no experiment \"%.80s\": cvmhost experiment list", id);
    return cvm_refuse(t, "NOT_FOUND", "experiment_id", text);
}

static int keep(cvm_turn *t, const char *id, json_t *experiment)
{
    char key[CVM_STATE_KEY_MAX];
    snprintf(key, sizeof key, "exp/%.80s", id);
    return cvm_state_put(t, key, experiment);
}

/* "name" or "name=weight". False: the weight is none. */
static bool read_variant(const char *text, char ret_name[65], double *ret_weight)
{
    const char *sign = text ? strchr(text, '=') : NULL;
    if (!text)
        return false;
    size_t len = sign ? (size_t)(sign - text) : strlen(text);
    char *end = NULL;
    if (!len || len > 64)
        return false;
    memcpy(ret_name, text, len);
    ret_name[len] = 0;
    *ret_weight = sign ? strtod(sign + 1, &end) : 1;
    return !sign || (end != sign + 1 && !*end && isfinite(*ret_weight) && *ret_weight > 0 && *ret_weight <= 1e6);
}

const json_t *experiment_named(const json_t *variants, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(variants, i, one) if (strcmp(cvm_json_str(one, "name", ""), name) == 0) return one;
    return NULL;
}

void experiment_names(const json_t *list, const char *member, size_t from, char *ret_text, size_t size)
{
    size_t at = 0;
    *ret_text = 0;
    for (size_t i = from; i < json_array_size(list) && at < size; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = member ? cvm_json_str(one, member, "") : json_string_value(one);
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", i > from ? ", " : "", name ? name : "");
    }
}

/* False: settings are none, or of a variant that there is not. */
static bool settings_fit(const json_t *settings, const json_t *variants, char ret_text[WRONG_MAX])
{
    const char *name;
    const json_t *value;
    char names[WRONG_MAX - 200];
    if (settings && !json_is_object(settings)) {
        snprintf(ret_text, WRONG_MAX, "settings: must be an object, with an object for each variant");
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        if (experiment_named(variants, name) && json_is_object(value))
            continue;
        experiment_names(variants, "name", 0, names, sizeof names);
        if (json_is_object(value) || !experiment_named(variants, name))
            snprintf(ret_text, WRONG_MAX, "settings.%.64s: there is no such variant; there are %s", name, names);
        else
            snprintf(ret_text, WRONG_MAX, "settings.%.64s: must be an object of what the variant does differently",
                     name);
        return false;
    }
    return true;
}

/* The variants of a request; NULL: that field of it is wrong, the text says how; or, without a text, there is no
 * memory. */
static json_t *read_variants(const json_t *request, const char **ret_field, char ret_text[WRONG_MAX])
{
    const json_t *texts = json_object_get(request, "variants"), *settings = json_object_get(request, "settings");
    json_t *list = json_array();
    double weight;
    char name[65];
    *ret_text = 0;
    *ret_field = "variants";
    for (size_t i = 0; i < json_array_size(texts) && !*ret_text; i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        if (!read_variant(text, name, &weight)) {
            snprintf(ret_text, WRONG_MAX,
                     "variants: \"%.80s\": a variant is NAME or NAME=WEIGHT with a weight above 0, such as control=50",
                     text ? text : "");
            break;
        }
        if (experiment_named(list, name))
            snprintf(ret_text, WRONG_MAX, "variants: two have the name %s", name);
        json_t *one = json_pack("{s:s, s:f}", "name", name, "weight", weight);
        if (json_is_object(json_object_get(settings, name)))
            insight_set(&one, "settings", cvm_json_share(json_object_get(settings, name)));
        insight_append(&list, one);
    }
    if (!*ret_text && (json_array_size(texts) < 2 || json_array_size(texts) > COMPARE_MAX))
        snprintf(ret_text, WRONG_MAX, "variants: an experiment has 2 to 8 of them");
    if (!*ret_text && !settings_fit(settings, list, ret_text))
        *ret_field = "settings";
    if (*ret_text) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static const char *kind_of(const json_t *request, const char *metric)
{
    if (experiment_is_daily(cvm_json_str(request, "area", "cvm")))
        return strcmp(metric, "success") == 0 ? "rate" : "mean";
    if (experiment_is_outcome(metric))
        return strcmp(metric, "value") == 0 ? "mean" : "rate";
    return cvm_json_str(request, "kind", "mean");
}

bool experiment_is_outcome(const char *metric)
{
    static const char *const outcomes[] = {"responded", "converted", "complained", "churned", "value"};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (strcmp(outcomes[i], metric) == 0)
            return true;
    return false;
}

static void set_given(json_t **experiment, const char *name, const json_t *request)
{
    if (json_object_get(request, name))
        insight_set(experiment, name, cvm_json_share(json_object_get(request, name)));
}

int experiment_keep(cvm_turn *t, cvm_id request, json_t *experiment)
{
    const json_t *there;
    char key[CVM_STATE_KEY_MAX];
    const char *id = cvm_json_str(experiment, "id", "");
    snprintf(key, sizeof key, "exp/%.80s", id);
    if (cvm_state_get(t, key, &there) == CVM_OK) {
        json_decref(experiment);
        return cvm_settle(t, request, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "EXISTS", "field", "id", "message", EXISTS), NULL);
    }
    json_incref(experiment);
    int e = keep(t, id, experiment);
    if (e < 0) {
        json_decref(experiment);
        return e;
    }
    return cvm_settle(t, request, CVM_REPLIED, experiment, NULL);
}

int experiment_on_create(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "id", ""), *area = cvm_json_str(m->data, "area", "cvm"), *text;
    const char *field;
    char wrong[WRONG_MAX];
    bool daily = experiment_is_daily(area);
    const char *metric = cvm_json_str(m->data, "metric", daily ? "impact" : "converted");
    char key[CVM_STATE_KEY_MAX], at[INSIGHT_TIME_SIZE];
    const json_t *there;
    int64_t from, to;
    CVM_TRY(insight_need(t, m, "id", ID_MAX));
    snprintf(key, sizeof key, "exp/%.80s", id);
    if (cvm_state_get(t, key, &there) == CVM_OK)
        return cvm_refuse(t, "EXISTS", "id", EXISTS);
    if (!insight_time_of(m->data, "starts", INT64_MIN, &from) || !insight_time_of(m->data, "ends", INT64_MAX, &to))
        return cvm_refuse(t, "INVALID", "starts", "starts and ends must be dates such as 2026-12-01");
    if (from >= to)
        return cvm_refuse(t, "INVALID", "ends", "it ends before it starts");
    json_t *variants = read_variants(m->data, &field, wrong);
    if (!variants)
        return *wrong ? cvm_refuse(t, "INVALID", field, wrong) : CVM_ENOMEM;
    text = daily ? experiment_wrong_daily(metric, variants) : NULL;
    if (text) {
        json_decref(variants);
        return cvm_refuse(t, "INVALID", strstr(text, "the metric") == text ? "metric" : "settings", text);
    }
    insight_time(cvm_now_ms(t), at);
    json_t *experiment = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "id", id, "area", area, "status",
                                   "draft", "metric", metric, "kind", kind_of(m->data, metric), "population",
                                   daily ? "daily" : cvm_json_str(m->data, "population", "exposed"), "variants",
                                   variants, "created_at", at, "description", cvm_json_str(m->data, "description", ""));
    set_given(&experiment, "starts", m->data);
    set_given(&experiment, "ends", m->data);
    set_given(&experiment, "treatment_id", m->data);
    set_given(&experiment, "least_effect", m->data);
    if (!experiment)
        return CVM_ENOMEM;
    return daily ? experiment_check_actions(t, m, experiment) : experiment_keep(t, m->id, experiment);
}

int experiment_on_list(cvm_turn *t, const cvm_msg *m)
{
    json_t *pairs, *pair, *list = json_array();
    const char *status = cvm_json_str(m->data, "status", NULL);
    size_t i;
    int e = cvm_state_scan(t, "exp/", NULL, LISTED_MAX, &pairs);
    if (e < 0) {
        json_decref(list);
        return e;
    }
    json_array_foreach(pairs, i, pair)
    {
        json_t *one = json_array_get(pair, 1);
        if (!status || strcmp(status, cvm_json_str(one, "status", "")) == 0)
            insight_append(&list, json_incref(one));
    }
    json_decref(pairs);
    return cvm_reply(t, m, json_pack("{s:o}", "experiments", list));
}

int experiment_on_get(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    CVM_TRY(experiment_find(t, m->data, &experiment));
    return cvm_reply(t, m, cvm_json_share(experiment));
}

/* A copy with another status, kept and replied. */
static int become(cvm_turn *t, const cvm_msg *m, const json_t *experiment, const char *status, const char *when)
{
    char at[INSIGHT_TIME_SIZE];
    json_t *changed = json_copy((json_t *)(uintptr_t)experiment);
    insight_time(cvm_now_ms(t), at);
    if (!changed || json_object_set_new(changed, "status", json_string(status)) < 0 ||
        json_object_set_new(changed, when, json_string(at)) < 0) {
        json_decref(changed);
        return CVM_ENOMEM;
    }
    json_incref(changed);
    int e = keep(t, cvm_json_str(m->data, "experiment_id", ""), changed);
    if (e < 0) {
        json_decref(changed);
        return e;
    }
    return cvm_reply(t, m, changed);
}

int experiment_on_start(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    CVM_TRY(experiment_find(t, m->data, &experiment));
    const char *status = cvm_json_str(experiment, "status", "");
    if (strcmp(status, "draft") != 0)
        return cvm_refuse(t, "STATE", "experiment_id",
                          strcmp(status, "running") == 0
                              ? "it runs already"
                              : "it was stopped: what comes now is another experiment, create one with a new id");
    return become(t, m, experiment, "running", "started_at");
}

int experiment_on_stop(cvm_turn *t, const cvm_msg *m)
{
    const json_t *experiment;
    CVM_TRY(experiment_find(t, m->data, &experiment));
    if (strcmp(cvm_json_str(experiment, "status", ""), "running") != 0)
        return cvm_refuse(t, "STATE", "experiment_id", "it does not run");
    return become(t, m, experiment, "stopped", "stopped_at");
}
