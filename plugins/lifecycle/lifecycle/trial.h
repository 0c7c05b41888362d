/* Experiments of the area: which variant a persona has on a day, what that changes, what came of it. The definitions
 * are those of cvm.experiments, asked for once a day; nobody is asked for an assignment, as experiment, persona and day
 * determine it. Pure but for trial_tell; loop thread. */
#ifndef LIFECYCLE_TRIAL_H
#define LIFECYCLE_TRIAL_H

#include "decide.h"

#define EXPERIMENTS "cvm.experiments"

/* The variants of a persona on a day, {experiment: variant}; NULL: nothing runs. `experiments` is the array of
 * definitions. Gives. */
json_t *trial_variants(const json_t *experiments, const char *persona, int64_t day);
/* Lays what the variants change over the choice: blocks actions, exchanges policy, explore rate and model. */
void trial_apply(struct choosing *c);
/* Whether a variant wants that member (with that value, if not NULL). */
bool trial_wants(const json_t *experiments, const char *member, const char *value);

/* Adds a persona's day to `figures` (an object by experiment), once its action is evaluated: today's impact and success
 * by today's variant; its score by the variant of N days ago, from `since` {experiment: first day} on. */
void trial_count(json_t *figures, const json_t *since, const json_t *experiments, const struct life_persona *p,
                 int64_t day, const json_t *decision, const char *outcome, double impact);
/* Tells the day's figures to cvm.experiments. */
CVM_MUST_USE int trial_tell(cvm_turn *t, const json_t *figures, int64_t epoch, int64_t day);

#endif
