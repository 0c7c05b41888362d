/* Experiments of an area that deals with many at once and by itself: it is given the definitions of what runs, assigns
 * by the same hash, and tells once a day what came of each variant. Owns the table cvm_trial_days. Loop thread; the
 * last part runs in the job. */
#include "experiment.h"
#include "rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIAL_DAYS "cvm_trial_days"
#define RUNNING_MAX 4 /* at a time in such an area */
#define TOLD_MAX 16
#define SCORE_DAYS_MAX 90
#define PROMPT_MAX 2000

/* ---- what a variant may say -------------------------------------------------------------------------------------- */

bool experiment_is_daily(const char *area)
{
    return strcmp(area, "lifecycle") == 0;
}

/* "score_after_7": 7; -1: it is no such metric. */
static int days_of(const char *metric)
{
    char *end;
    if (strncmp(metric, "score_after_", 12) != 0 || metric[12] < '0' || metric[12] > '9')
        return -1;
    long n = strtol(metric + 12, &end, 10);
    return *end || n > SCORE_DAYS_MAX ? -1 : (int)n;
}

static bool texts(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return json_array_size(list) > 0 && json_array_size(list) <= 32;
}

static bool within(const json_t *value, double low, double high)
{
    return json_is_number(value) && json_number_value(value) >= low && json_number_value(value) <= high;
}

/* NULL: it is a member that lifecycle.decision knows. */
static const char *wrong_member(const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    if (strcmp(name, "actions") == 0 || strcmp(name, "without") == 0)
        return texts(value) ? NULL : "actions and without must be arrays of 1 to 32 actions";
    if (strcmp(name, "explore_rate") == 0)
        return within(value, 0, 1) ? NULL : "explore_rate must be a number from 0 to 1";
    if (strcmp(name, "temperature") == 0)
        return within(value, 0, 2) ? NULL : "temperature must be a number from 0 to 2";
    if (strcmp(name, "policy") == 0)
        return text && (strcmp(text, "source") == 0 || strcmp(text, "thompson") == 0 || strcmp(text, "random") == 0)
                   ? NULL
                   : "policy must be source, thompson or random";
    if (strcmp(name, "provider") == 0 || strcmp(name, "model") == 0)
        return text && *text && strlen(text) < 128 ? NULL : "provider and model must be names";
    if (strcmp(name, "prompt") == 0)
        return text && *text && strlen(text) <= PROMPT_MAX ? NULL : "prompt must be a text of 1 to 2000 bytes";
    return "a variant of the area lifecycle may set actions, without, explore_rate, policy, provider, model, prompt "
           "and temperature";
}

const char *experiment_wrong_daily(const char *metric, const json_t *variants)
{
    const char *name;
    json_t *value;
    if (strcmp(metric, "impact") != 0 && strcmp(metric, "success") != 0 && days_of(metric) < 0)
        return "the metric of the area lifecycle is impact, success or score_after_N, N days from 0 to 90";
    for (size_t i = 0; i < json_array_size(variants); i++)
        json_object_foreach(json_object_get(json_array_get(variants, i), "settings"), name, value)
        {
            const char *why = wrong_member(name, value);
            if (why)
                return why;
        }
    return NULL;
}

/* ---- what runs, and what came of it ------------------------------------------------------------------------------ */

int experiment_on_running(cvm_turn *t, const cvm_msg *m)
{
    static const char *const names[] = {"id", "metric", "variants", "started_at"};
    json_t *pairs, *list = json_array();
    const char *area = cvm_json_str(m->data, "area", "");
    int e = cvm_state_scan(t, "exp/", NULL, 1000, &pairs);
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs) && json_array_size(list) < RUNNING_MAX; i++) {
        const json_t *one = json_array_get(json_array_get(pairs, i), 1);
        if (strcmp(cvm_json_str(one, "area", ""), area) != 0 || experiment_closed(one, cvm_now_ms(t)))
            continue;
        json_t *told = json_object();
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            insight_set(&told, names[k], cvm_json_share(json_object_get(one, names[k])));
        insight_append(&list, told);
    }
    if (e < 0) {
        json_decref(list);
        return e;
    }
    json_decref(pairs);
    return cvm_reply(t, m, json_pack("{s:o}", "experiments", list));
}

/* The same day again takes the place of what was told of it. */
int experiment_on_observe_day(cvm_turn *t, const cvm_msg *m)
{
    const json_t *list = json_object_get(m->data, "experiments");
    int64_t day = cvm_json_int(m->data, "day", 0), epoch = cvm_json_int(m->data, "epoch", 1);
    char key[INSIGHT_KEY_SIZE], at[INSIGHT_TIME_SIZE];
    int64_t kept = 0;
    insight_time(cvm_now_ms(t), at);
    for (size_t i = 0; i < json_array_size(list) && i < TOLD_MAX; i++) {
        const json_t *one = json_array_get(list, i), *experiment = NULL;
        const char *id = cvm_json_str(one, "experiment_id", "");
        char state[CVM_STATE_KEY_MAX];
        snprintf(state, sizeof state, "exp/%.80s", id);
        if (cvm_state_get(t, state, &experiment) < 0 || !json_is_object(json_object_get(one, "variants")))
            continue; /* nothing to report on */
        snprintf(key, sizeof key, "%.80s %06lld/%06lld", id, (long long)epoch, (long long)day);
        json_t *row = json_pack("{s:s, s:s, s:I, s:O, s:s}", "day_id", key, "experiment_id", id, "day", (json_int_t)day,
                                "variants", json_object_get(one, "variants"), "at", at);
        CVM_TRY(row ? cvm_row_put(t, TRIAL_DAYS, row) : CVM_ENOMEM);
        kept++;
    }
    return cvm_reply(t, m, json_pack("{s:I}", "experiments", (json_int_t)kept));
}

/* ---- the report's part, in the job ------------------------------------------------------------------------------- */

struct sums {
    const json_t *experiment;
    const char *metric;
    struct compare_variant *variants;
    size_t n;
    int64_t days;
};

/* Adds one group's figures to another's (Chan, Golub & LeVeque 1979). */
static void merge(struct stats_sample *s, double n, double mean, double m2)
{
    double all = (double)s->n + n, from = mean - s->mean;
    if (!(n > 0))
        return;
    s->m2 += m2 + from * from * (double)s->n * n / all;
    s->mean += from * n / all;
    s->n += (int64_t)n;
}

static int a_day(void *arg, const cvm_cell *c)
{
    struct sums *s = arg;
    json_t *told = json_loads(c[0].text, 0, NULL);
    s->days++;
    for (size_t i = 0; i < s->n; i++) {
        const json_t *own = json_object_get(told, s->variants[i].name), *f = json_object_get(own, s->metric);
        double n = json_number_value(json_array_get(f, 0)), mean = json_number_value(json_array_get(f, 1)),
               m2 = json_number_value(json_array_get(f, 2));
        s->variants[i].customers += cvm_json_int(own, "units", 0);
        if (!(n > 0) || !isfinite(mean) || !(m2 >= 0))
            continue;
        merge(&s->variants[i].value, n, mean, m2);
        s->variants[i].events += (int64_t)llround(n * mean);
    }
    json_decref(told);
    return CVM_OK;
}

int experiment_read_days(cvm_job *j, const json_t *experiment, struct compare_variant *variants, size_t n,
                         int64_t *ret_days)
{
    static const char *const columns[] = {"variants", NULL};
    struct sums s = {experiment, cvm_json_str(experiment, "metric", ""), variants, n, 0};
    int e = rows_read(j, TRIAL_DAYS, columns, json_pack("{s:s}", "experiment_id", cvm_json_str(experiment, "id", "")),
                      a_day, &s);
    *ret_days = s.days;
    return e;
}
