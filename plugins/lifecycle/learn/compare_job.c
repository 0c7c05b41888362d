/* The job `compare_policies`: policies in the simulated world, with the same chance for each. Job thread. */
#include "../../cvm/insight/stats.h"
#include "learn.h"
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define POLICIES_MAX 3
#define WORK_MAX INT64_C(800000) /* lives of a day in all */

enum { SCORE, DAYS_SCORE, IMPACT, SUCCESS, CHURNED, CLV, MEASURES };
static const char *const measures[] = {"score", "score_over_days", "impact", "success_share", "churned", "clv_minor"};

struct comparison {
    cvm_job *j;
    struct sim_world world;
    struct sim_options options;
    bool drawn; /* other sensitivities for each seed */
    int64_t seeds;
    size_t n; /* policies */
    enum policy_kind kinds[POLICIES_MAX];
    double *results; /* policies x seeds x MEASURES */
};

static int fail(cvm_job *j, const char *code, const char *text)
{
    return cvm_job_fail(j, code, text);
}

static int read_world(struct comparison *c, const char *path)
{
    char *text, error[SIM_ERROR_SIZE] = "", whole[LEARN_TEXT_SIZE];
    const char *name = path ? path : "manifest:world.json";
    json_error_t why;
    int e = learn_text(c->j, name, &text);
    if (e < 0)
        return learn_unreadable(c->j, name, e);
    json_t *record = json_loads(text, 0, &why);
    free(text);
    if (!record) {
        snprintf(whole, sizeof whole, "%.200s: line %d: no JSON", name, why.line);
        return fail(c->j, "WORLD", whole);
    }
    e = sim_world_read(record, &c->world, error);
    json_decref(record);
    if (e != CVM_EINVAL)
        return e;
    snprintf(whole, sizeof whole, "%.180s: %s", name, error);
    return fail(c->j, "WORLD", whole);
}

static int read_policies(struct comparison *c, const json_t *list)
{
    static const char *const usual[] = {"source", "thompson", "random"};
    size_t n = list ? json_array_size(list) : POLICIES_MAX;
    char text[LEARN_TEXT_SIZE];
    for (size_t i = 0; i < n; i++) {
        const char *name = list ? json_string_value(json_array_get(list, i)) : usual[i];
        enum policy_kind kind;
        if (!policy_kind_of(name, &kind)) {
            snprintf(text, sizeof text, "--policies: \"%.40s\" is none of source, thompson, random", name ? name : "");
            return fail(c->j, "POLICY", text);
        }
        for (size_t k = 0; k < c->n; k++)
            if (c->kinds[k] == kind)
                return fail(c->j, "POLICY", "--policies: a policy is named twice");
        c->kinds[c->n++] = kind;
    }
    return CVM_OK;
}

static double given(const json_t *input, const char *name, double otherwise)
{
    const json_t *v = json_object_get(input, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static int prepare(struct comparison *c, const json_t *input)
{
    c->options = sim_options_usual();
    c->seeds = cvm_json_int(input, "seeds", 200);
    c->drawn = strcmp(cvm_json_str(input, "world", "given"), "drawn") == 0;
    c->options.days = (int)cvm_json_int(input, "days", 90);
    c->options.noise = given(input, "noise", c->options.noise);
    c->options.drift = given(input, "drift", 0);
    c->options.policy.explore_rate = given(input, "explore_rate", c->options.policy.explore_rate);
    c->options.prior.half_life = given(input, "half_life", c->options.prior.half_life);
    CVM_TRY(read_policies(c, json_object_get(input, "policies")));
    CVM_TRY(read_world(c, cvm_json_str(input, "personas", NULL)));
    if (c->seeds * c->options.days * (int64_t)(c->world.n_personas * c->n) > WORK_MAX)
        return fail(c->j, "TOO_MANY", "more than 800,000 days of personas: fewer seeds, days or personas");
    c->results = calloc((size_t)c->seeds * c->n * MEASURES, sizeof *c->results);
    return c->results ? CVM_OK : CVM_ENOMEM;
}

static double *result_of(const struct comparison *c, size_t policy, int64_t seed)
{
    return &c->results[((size_t)seed * c->n + policy) * MEASURES];
}

static int run_seed(struct comparison *c, int64_t seed, uint64_t first)
{
    struct sim_options o = c->options;
    struct sim_world world = c->world;
    int e = CVM_OK;
    o.seed = first + (uint64_t)seed;
    if (c->drawn)
        CVM_TRY(sim_world_shuffle(&c->world, o.seed, &world));
    for (size_t i = 0; i < c->n && e == CVM_OK; i++) {
        struct sim_result r;
        o.policy.kind = c->kinds[i];
        e = sim_run(&world, &o, &r);
        if (e == CVM_OK)
            memcpy(result_of(c, i, seed), (double[]){r.score, r.days_score, r.impact, r.success, r.churned, r.clv},
                   MEASURES * sizeof(double));
    }
    if (c->drawn)
        sim_world_fini(&world);
    return e;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

/* A measure of policy a beside that of b, and the paired interval of the difference. */
static json_t *difference(const struct comparison *c, size_t a, size_t b, int measure)
{
    struct stats_sample s = {0};
    double mean = 0, other = 0;
    for (int64_t seed = 0; seed < c->seeds; seed++) {
        double x = result_of(c, a, seed)[measure], y = result_of(c, b, seed)[measure];
        stats_add(&s, x - y);
        mean += x / (double)c->seeds;
        other += y / (double)c->seeds;
    }
    struct stats_interval i = stats_mean_interval(&s, 0.95);
    bool less = measure == CHURNED; /* is better */
    const char *verdict = i.low > 0 ? (less ? "worse" : "better") : i.high < 0 ? (less ? "better" : "worse") : "even";
    int digits = measure == CLV ? 0 : 3;
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "measure", measures[measure], "policy",
                     policy_name(c->kinds[a]), "against", policy_name(c->kinds[b]), "mean", learn_number(mean, digits),
                     "against_mean", learn_number(other, digits), "difference", learn_number(s.mean, digits), "low",
                     learn_number(i.low, digits), "high", learn_number(i.high, digits), "verdict", verdict);
}

/* thompson against the others; without it the first one. */
static json_t *answer(const struct comparison *c)
{
    json_t *differences = json_array();
    size_t judged = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->kinds[i] == POLICY_THOMPSON)
            judged = i;
    for (size_t i = 0; i < c->n; i++)
        for (int m = 0; m < MEASURES && i != judged; m++)
            json_array_append_new(differences, difference(c, judged, i, m));
    return json_pack("{s:o, s:I, s:i, s:I, s:f, s:f, s:s}", "differences", differences, "seeds", (json_int_t)c->seeds,
                     "days", c->options.days, "personas", (json_int_t)c->world.n_personas, "noise", c->options.noise,
                     "drift", c->options.drift, "world", c->drawn ? "drawn" : "given");
}

int compare_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct comparison c = {.j = j};
    uint64_t first = (uint64_t)cvm_json_int(input, "seed", 1);
    int e = prepare(&c, input);
    for (int64_t seed = 0; e == CVM_OK && seed < c.seeds; seed++) {
        if (cvm_job_stopped(j))
            e = CVM_ESTATE;
        else
            e = run_seed(&c, seed, first);
        cvm_job_progress(j, seed + 1, c.seeds, "seeds");
    }
    if (e == CVM_OK) {
        *ret_result = answer(&c);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    sim_world_fini(&c.world);
    free(c.results);
    return e;
}
