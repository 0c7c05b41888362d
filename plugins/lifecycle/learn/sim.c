/* See sim.h. Any thread. */
#include "sim.h"

#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the world --------------------------------------------------------------------------------------------------- */

static bool has_action(const struct sim_world *w, const char *name)
{
    for (size_t i = 0; i < w->n_actions; i++)
        if (strcmp(w->actions[i], name) == 0)
            return true;
    return false;
}

static int read_actions(const json_t *list, struct sim_world *w, char *error)
{
    static const char *const states[] = {"healthy", "at_risk", "critical"};
    const json_t *one;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > LIFE_ACTIONS_MAX - 1) {
        snprintf(error, SIM_ERROR_SIZE, "actions: must be an array of 1 to %d actions", LIFE_ACTIONS_MAX - 1);
        return CVM_EINVAL;
    }
    json_array_foreach((json_t *)(uintptr_t)list, i, one)
    {
        const char *name = cvm_json_str(one, "action", "");
        if (!*name || strlen(name) > LIFE_NAME_MAX) {
            snprintf(error, SIM_ERROR_SIZE, "actions[%zu].action: must be a text of 1 to %d bytes", i, LIFE_NAME_MAX);
            return CVM_EINVAL;
        }
        if (strcmp(name, LIFE_NO_ACTION) == 0 || has_action(w, name))
            continue;
        for (size_t s = 0; s < 3; s++)
            w->expected[w->n_actions][s] =
                json_number_value(json_object_get(json_object_get(one, "expected"), states[s]));
        w->actions[w->n_actions++] = name;
    }
    return CVM_OK;
}

static void find_actions(struct sim_world *w)
{
    for (size_t p = 0; p < w->n_personas; p++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)w->personas[p].sensitivities, name, value)
        {
            if (!has_action(w, name) && w->n_actions < LIFE_ACTIONS_MAX - 1 && strcmp(name, LIFE_NO_ACTION) != 0)
                w->actions[w->n_actions++] = name;
        }
    }
}

int sim_world_read(const json_t *record, struct sim_world *ret_world, char ret_error[SIM_ERROR_SIZE])
{
    struct sim_world w = {.record = cvm_json_share(record)};
    const json_t *list = json_is_array(record) ? record : json_object_get(record, "personas");
    const json_t *actions = json_is_array(record) ? NULL : json_object_get(record, "actions");
    char why[SIM_ERROR_SIZE - 40];
    int e = CVM_EINVAL;
    if (json_array_size(list) < 1 || json_array_size(list) > SIM_PERSONAS_MAX) {
        snprintf(ret_error, SIM_ERROR_SIZE, "personas: must be an array of 1 to %d personas", SIM_PERSONAS_MAX);
        goto out;
    }
    e = CVM_ENOMEM;
    w.personas = calloc(json_array_size(list), sizeof *w.personas);
    if (!w.personas)
        goto out;
    for (; w.n_personas < json_array_size(list); w.n_personas++) {
        e = life_persona_read(json_array_get(list, w.n_personas), &w.personas[w.n_personas], why, sizeof why);
        if (e < 0) {
            snprintf(ret_error, SIM_ERROR_SIZE, "personas[%zu].%s", w.n_personas, why);
            goto out;
        }
    }
    e = actions ? read_actions(actions, &w, ret_error) : CVM_OK;
    if (e == CVM_OK && !actions)
        find_actions(&w);
    if (e == CVM_OK && !w.n_actions) {
        snprintf(ret_error, SIM_ERROR_SIZE, "personas: no action is named in actions or sensitivities");
        e = CVM_EINVAL;
    }
out:
    if (e < 0)
        sim_world_fini(&w);
    else
        *ret_world = w;
    return e;
}

void sim_world_fini(struct sim_world *w)
{
    json_decref(w->record);
    free(w->personas);
    *w = (struct sim_world){0};
}

static double normal(struct life_random *r)
{
    double u = 1 - life_random_unit(r), angle = 2 * M_PI * life_random_unit(r);
    return sqrt(-2 * log(u)) * cos(angle); /* Box and Muller */
}

int sim_world_shuffle(const struct sim_world *w, uint64_t seed, struct sim_world *ret_world)
{
    struct life_random r = life_random_of(seed, 0, "sensitivities", LIFE_NOISE);
    json_t *personas = json_array(), *actions = json_array();
    char error[SIM_ERROR_SIZE];
    int e = CVM_ENOMEM;
    for (size_t i = 0; i < w->n_actions; i++)
        json_array_append_new(actions, json_pack("{s:s, s:{s:f, s:f, s:f}}", "action", w->actions[i], "expected",
                                                 "healthy", w->expected[i][0], "at_risk", w->expected[i][1], "critical",
                                                 w->expected[i][2]));
    for (size_t p = 0; p < w->n_personas; p++) {
        json_t *one = life_persona_json(&w->personas[p]), *sensitivities = json_object();
        for (size_t i = 0; i < w->n_actions; i++)
            json_object_set_new(sensitivities, w->actions[i], json_real(fmax(-20, fmin(20, 4 * normal(&r)))));
        json_object_set_new(one, "sensitivities", sensitivities);
        json_array_append_new(personas, one);
    }
    json_t *record = json_pack("{s:o, s:o}", "personas", personas, "actions", actions);
    if (record && json_array_size(personas) == w->n_personas && json_array_size(actions) == w->n_actions)
        e = sim_world_read(record, ret_world, error);
    json_decref(record);
    return e;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

/* What is remembered of an action for a persona. */
struct memory {
    bool success, failed;
    int tries;
    double sum;
};

struct run {
    const struct sim_world *w;
    const struct sim_options *o;
    struct life_persona *personas;
    json_t *sensitivities; /* array, of the personas; only where they drift */
    struct memory *memory; /* personas x actions */
    struct bandit *bandit;
    struct bandit_persona *known; /* of the personas; thompson only */
    int64_t acts, successes;
    double impact, score; /* sums */
};

struct sim_options sim_options_usual(void)
{
    return (struct sim_options){.seed = 1,
                                .days = 90,
                                .noise = 2,
                                .churn_score = 10,
                                .churn_days = 30,
                                .discount_rate = 0.01,
                                .policy = policy_settings_usual(),
                                .prior = bandit_prior_usual()};
}

static void drift(struct run *r, size_t p, int day)
{
    struct life_random chance = life_random_of(r->o->seed ^ 0x5eed, day, r->personas[p].key, LIFE_NOISE);
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(r->sensitivities, p), name, value)
    {
        double moved = json_number_value(value) + r->o->drift * normal(&chance);
        json_real_set(value, fmax(-20, fmin(20, moved)));
    }
}

static uint64_t draw(void *arg)
{
    return life_random_next(arg);
}

static void choose(struct run *r, size_t p, int day, struct policy_choice *ret_choice)
{
    const struct life_persona *persona = &r->personas[p];
    struct policy_option options[LIFE_ACTIONS_MAX] = {0};
    struct policy_case c = {persona->segment, (enum bandit_state)life_state_of(persona), r->bandit,
                            r->known ? &r->known[p] : NULL};
    struct life_random chance = life_random_of(r->o->seed, day, persona->key, LIFE_CHOICE);
    for (size_t i = 0; i < r->w->n_actions; i++) {
        const struct memory *m = &r->memory[p * r->w->n_actions + i];
        options[i] = (struct policy_option){.action = r->w->actions[i],
                                            .expected = r->w->expected[i][c.state],
                                            .forbidden = m->failed,
                                            .success = m->success,
                                            .tries = m->tries,
                                            .impact = m->tries ? m->sum / m->tries : 0,
                                            .yesterday = strcmp(persona->last_action, r->w->actions[i]) == 0};
    }
    options[r->w->n_actions] = (struct policy_option){.action = LIFE_NO_ACTION, .nothing = true};
    policy_choose(&r->o->policy, &c, options, r->w->n_actions + 1, draw, &chance, ret_choice);
}

static void learn(struct run *r, size_t p, size_t action, double impact)
{
    struct memory *m = &r->memory[p * r->w->n_actions + action];
    const struct life_persona *persona = &r->personas[p];
    enum bandit_state state = (enum bandit_state)life_state_of(persona);
    m->success = impact > 0;
    m->failed = impact <= 0;
    m->tries++;
    m->sum += impact;
    r->acts++;
    r->successes += impact > 0;
    r->impact += impact;
    if (!r->bandit)
        return;
    struct bandit_case c = {persona->segment, state, strcmp(persona->last_action, r->w->actions[action]) == 0,
                            r->w->expected[action][state]};
    int index = bandit_action(r->bandit, r->w->actions[action]);
    if (index >= 0)
        bandit_learn(r->bandit, &r->known[p], index, &c, impact);
}

/* One persona's day. */
static void live(struct run *r, size_t p, int day)
{
    struct life_persona *persona = &r->personas[p];
    struct life_random behaviour = life_random_of(r->o->seed, day, persona->key, LIFE_BEHAVIOUR),
                       noise = life_random_of(r->o->seed, day, persona->key, LIFE_NOISE);
    struct policy_choice choice;
    if (r->sensitivities)
        drift(r, p, day);
    if (persona->churned) {
        r->score += persona->score;
        return;
    }
    life_simulate(persona, &behaviour);
    choose(r, p, day, &choice);
    bool acts = choice.index >= 0 && (size_t)choice.index < r->w->n_actions;
    const char *action = acts ? r->w->actions[choice.index] : LIFE_NO_ACTION;
    if (acts) {
        double impact = life_impact(persona, action, 0, r->o->noise, &noise);
        learn(r, p, (size_t)choice.index, impact);
        life_act(persona, impact);
    }
    persona->last_action = action;
    r->score += persona->score;
    if (life_churns(persona, r->o->churn_score, r->o->churn_days)) {
        persona->churned = true;
        persona->churned_on_day = day;
    }
}

static int begin(struct run *r)
{
    size_t n = r->w->n_personas;
    r->personas = calloc(n, sizeof *r->personas);
    r->memory = calloc(n * r->w->n_actions, sizeof *r->memory);
    if (!r->personas || !r->memory)
        return CVM_ENOMEM;
    memcpy(r->personas, r->w->personas, n * sizeof *r->personas);
    if (r->o->policy.kind == POLICY_THOMPSON) {
        r->bandit = bandit_new(&r->o->prior);
        r->known = calloc(n, sizeof *r->known);
        if (!r->bandit || !r->known)
            return CVM_ENOMEM;
    }
    if (r->o->drift <= 0)
        return CVM_OK;
    r->sensitivities = json_array();
    for (size_t p = 0; p < n; p++) {
        json_t *own = json_object();
        for (size_t i = 0; own && i < r->w->n_actions; i++)
            json_object_set_new(
                own, r->w->actions[i],
                json_real(json_number_value(json_object_get(r->personas[p].sensitivities, r->w->actions[i]))));
        r->personas[p].sensitivities = own;
        if (json_object_size(own) != r->w->n_actions || json_array_append_new(r->sensitivities, own) < 0)
            return CVM_ENOMEM;
    }
    return CVM_OK;
}

static void sum_up(const struct run *r, struct sim_result *ret_result)
{
    struct sim_result s = {.impact = r->impact / (double)r->w->n_personas / r->o->days,
                           .days_score = r->score / (double)r->w->n_personas / r->o->days,
                           .success = r->acts ? (double)r->successes / (double)r->acts : 0};
    for (size_t p = 0; p < r->w->n_personas; p++) {
        s.score += r->personas[p].score / (double)r->w->n_personas;
        s.churned += r->personas[p].churned;
        s.clv += (double)life_clv(&r->personas[p], r->o->discount_rate);
    }
    *ret_result = s;
}

int sim_run(const struct sim_world *w, const struct sim_options *options, struct sim_result *ret_result)
{
    struct run r = {.w = w, .o = options};
    int e = begin(&r);
    for (int day = 1; e == CVM_OK && day <= options->days; day++) {
        if (r.bandit)
            bandit_day(r.bandit, day);
        for (size_t p = 0; p < w->n_personas; p++)
            live(&r, p, day);
    }
    if (e == CVM_OK)
        sum_up(&r, ret_result);
    free(r.personas);
    free(r.memory);
    free(r.known);
    bandit_free(r.bandit);
    json_decref(r.sensitivities);
    return e;
}
