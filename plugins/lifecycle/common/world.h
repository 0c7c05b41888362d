/* The simulated world of lifecycle: what customers do by themselves, what an observer sees of them, what an action does
 * to them, when they are lost, what they are worth. Pure functions of their arguments; knows no turn, no store and no
 * policy. Every draw comes from a generator made of seed, day and persona, so neither batches nor their order matter.
 * Any thread. */
#ifndef LIFECYCLE_COMMON_WORLD_H
#define LIFECYCLE_COMMON_WORLD_H

#include <cvm/cvm.h>
#include <stdbool.h>
#include <stdint.h>

#define LIFE_NO_ACTION "NO_ACTION"
#define LIFE_CURRENCY "USD"     /* of a persona whose record names none */
#define LIFE_NAME_MAX 63        /* bytes of a key's part, a name, an action, a trait */
#define LIFE_KEY_MAX 120        /* bytes of a persona's key, which is part of keys of states */
#define LIFE_ACTIONS_MAX 32     /* actions that are offered */
#define LIFE_TRAITS_MAX 16      /* of a persona */
#define LIFE_PERSONAS_MAX 20000 /* of a population */
#define LIFE_SUMMARY_MAX 320    /* bytes of an observation's sentence */

enum life_state { LIFE_HEALTHY, LIFE_AT_RISK, LIFE_CRITICAL, LIFE_CHURNED };
enum life_trend { LIFE_FLAT, LIFE_UP, LIFE_DOWN };

/* A simulated customer. Borrows texts and objects from the record that it was read from. Scores and impacts have one
 * decimal. Money is in minor units of `currency`. */
struct life_persona {
    const char *key;     /* "Onboarding_Sam": segment and name */
    const char *name;    /* "Student Sam" */
    const char *segment; /* "Onboarding" */
    const char *currency;
    const char *contact;         /* an address for a channel; "" */
    const json_t *traits;        /* array of texts */
    const json_t *sensitivities; /* object action -> number */
    int64_t monthly_revenue;
    double gross_margin; /* 0 to 1 */
    double score;        /* engagement, 0 to 100 */
    double score_before; /* at the end of the day before: what the trend is told by */
    int64_t days_inactive;
    bool churned;
    int64_t churned_on_day;  /* 0: not */
    const char *last_action; /* of the day before; "" */
};

/* Reads a persona's record. CVM_EINVAL: *ret_error (`size` bytes) names the field and what it must be. */
CVM_MUST_USE int life_persona_read(const json_t *record, struct life_persona *ret_persona, char *ret_error,
                                   size_t size);
/* The same of a record that was good when it was taken in. */
void life_persona_take(const json_t *record, struct life_persona *ret_persona);
/* The record of a persona as it is now. Gives. */
json_t *life_persona_json(const struct life_persona *p);

/* ---- chance ----------------------------------------------------------------------------------------------------- */

/* What a generator is for: each purpose has draws of its own, so a policy that draws more changes no customer. */
enum life_purpose { LIFE_BEHAVIOUR, LIFE_NOISE, LIFE_CHOICE };

struct life_random {
    uint64_t at; /* splitmix64 */
};

struct life_random life_random_of(uint64_t seed, int64_t day, const char *key, enum life_purpose purpose);
uint64_t life_random_next(struct life_random *r);
double life_random_unit(struct life_random *r);                               /* at least 0, less than 1 */
double life_random_between(struct life_random *r, double least, double most); /* uniform */

/* ---- the steps of a day ------------------------------------------------------------------------------------------ */

/* A day without us: the score drifts between -4 and +1, less the higher it is; an active day ends inactivity, another
 * one adds to it. A churned persona does nothing. Gives the drift. */
double life_simulate(struct life_persona *p, struct life_random *r);

struct life_observation {
    enum life_state state;
    enum life_trend trend;
    char summary[LIFE_SUMMARY_MAX];
};

/* Deterministic: churned; critical below 30 or from 14 inactive days; at_risk below 60 or from 7; else healthy. */
void life_observe(const struct life_persona *p, struct life_observation *ret_observation);
enum life_state life_state_of(const struct life_persona *p);

/* What an action does to the score: the persona's sensitivity (`otherwise` where it has none), noise within +-`noise`,
 * minus 2 if it was used on the day before. NO_ACTION does nothing. */
double life_impact(const struct life_persona *p, const char *action, double otherwise, double noise,
                   struct life_random *r);
/* Adds it to the score, within 0 to 100. */
void life_act(struct life_persona *p, double impact);

/* Whether an active persona is lost: the score is `churn_score` or less, or it has been inactive for `churn_days`. */
bool life_churns(const struct life_persona *p, double churn_score, int64_t churn_days);

/* Lifetime value in minor units: m r / (1 + d - r), m the monthly margin, r = 0.50 + 0.49 score / 100 the monthly
 * retention, d the monthly discount rate. 0 for a churned one. */
int64_t life_clv(const struct life_persona *p, double discount_rate);

const char *life_state_name(enum life_state state);
const char *life_trend_name(enum life_trend trend);
/* To one decimal, and never -0. */
double life_round(double value);
/* An integer where it is one, else a number with one decimal. Gives. */
json_t *life_number(double value);

#endif
