/* A policy's life in the simulated world: personas, days, what it learns on the way. The same steps as the agents of
 * the area, in one loop. Pure; any thread. */
#ifndef LIFECYCLE_LEARN_SIM_H
#define LIFECYCLE_LEARN_SIM_H

#include "../common/policy.h"
#include "../common/world.h"

#define SIM_PERSONAS_MAX 10000
#define SIM_DAYS_MAX 1000
#define SIM_ERROR_SIZE 200

/* Who there is and what can be done. */
struct sim_world {
    json_t *record; /* what the rest borrows from */
    struct life_persona *personas;
    size_t n_personas, n_actions;
    const char *actions[LIFE_ACTIONS_MAX]; /* without NO_ACTION */
    double expected[LIFE_ACTIONS_MAX][3];  /* by state, as the treatments describe it */
};

/* Reads {"personas": [..], "actions": [{"action", "expected": {"healthy", "at_risk", "critical"}}]}, or the personas
 * alone as an array; without actions they are those that a persona is sensitive to, with an expected effect of 0.
 * CVM_EINVAL: *ret_error says what is wrong. Free it with sim_world_fini. */
CVM_MUST_USE int sim_world_read(const json_t *record, struct sim_world *ret_world, char ret_error[SIM_ERROR_SIZE]);
void sim_world_fini(struct sim_world *w);
/* The same personas with sensitivities drawn by `seed` from N(0, 4^2), so what treatments expect is worth nothing. */
CVM_MUST_USE int sim_world_shuffle(const struct sim_world *w, uint64_t seed, struct sim_world *ret_world);

struct sim_options {
    uint64_t seed;
    int days;
    double noise, churn_score, discount_rate;
    int64_t churn_days;
    double drift; /* deviation of a day's change of each sensitivity; 0: they stay */
    struct policy_settings policy;
    struct bandit_prior prior;
};
struct sim_options sim_options_usual(void);

/* Of personas and days those count too on which a persona is lost already: a policy that loses the difficult ones must
 * not look better for it. */
struct sim_result {
    double score;      /* mean over the personas at the end */
    double days_score; /* the same over all days */
    double impact;     /* of actions, per persona and day */
    double success;    /* share of impacts above 0 */
    double churned;    /* personas */
    double clv;        /* of all, minor units */
};

CVM_MUST_USE int sim_run(const struct sim_world *w, const struct sim_options *options, struct sim_result *ret_result);

#endif
