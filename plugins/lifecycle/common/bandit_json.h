/* A bandit as JSON, for a component's state: what all personas share in one value of at most 64 KiB, a persona's
 * figures in another of a few hundred bytes. Prior and half-life are settings and not in it. Pure; any thread. */
#ifndef LIFECYCLE_BANDIT_JSON_H
#define LIFECYCLE_BANDIT_JSON_H

#include "bandit.h"

#include <jansson.h>

/* Give; NULL: no memory. */
json_t *bandit_json(const struct bandit *b);
json_t *bandit_persona_json(const struct bandit *b, const struct bandit_persona *persona);

/* Fills a new bandit. False: it is none of ours, *b is as it was. NULL is a bandit that has learnt nothing. */
bool bandit_read(struct bandit *b, const json_t *json);
/* False: it is none of ours, nothing is known then. NULL is a persona of whom nothing is known. */
bool bandit_persona_read(struct bandit *b, const json_t *json, struct bandit_persona *ret_persona);

#endif
