/* A customer's journey: what happened, in order, and what can honestly be said of it. Made of the answer of
 * get_customer_data, or of as much of it as there is. Figures are given where there is enough to make them of, else
 * null; a trend of too few points is "not enough data". Stretches of time end at the data's own newest day. Pure;
 * allocates JSON; any thread. */
#ifndef CVM_DECISION_JOURNEY_H
#define CVM_DECISION_JOURNEY_H

#include <cvm/json.h>

#define JOURNEY_EVENTS_MAX 400 /* the newest are kept, the rest is counted in events_left_out */

/* {"customer_id", "generated_at", "as_of", "profile", "events", "series", "facts", "permissions", "metrics",
 * "patterns", "trends", "insights", "signals"}. Gives; NULL: no memory. */
json_t *journey_build(const char *customer_id, const json_t *customer_data, int64_t now_ms);
/* {"metrics", "patterns", "trends", "insights", "signals"} of a journey, its events, series and facts; metrics that
 * stand in it and cannot be made anew are kept. Gives. */
json_t *journey_analyse(const json_t *journey);
/* {"summary": text, "journey": condensed}. Gives. */
json_t *journey_summarise(const json_t *journey, size_t max_events, size_t max_characters);

/* Of journey_build: events and series of the sources, for journey_events.c. */
void journey_add_sources(json_t *journey, const json_t *customer_data);
/* The point in time that stretches of time end at. */
int64_t journey_as_of(const json_t *journey);

#endif
