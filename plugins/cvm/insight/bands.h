/* The rules by which a customer falls into a segment: value x engagement x risk, and what the segment is called. Pure;
 * any thread. */
#ifndef CVM_INSIGHT_BANDS_H
#define CVM_INSIGHT_BANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BANDS_NAME_SIZE 64
#define BANDS_EACH 5 /* the most bands of one kind; a segment is a number below BANDS_SEGMENTS */
#define BANDS_SEGMENTS (BANDS_EACH * BANDS_EACH * BANDS_EACH)

enum value_band { VALUE_UNKNOWN, VALUE_BASIC, VALUE_MODEST, VALUE_SOLID, VALUE_PREMIUM };
enum engagement_band { ENGAGEMENT_UNKNOWN, ENGAGEMENT_FADING, ENGAGEMENT_STEADY, ENGAGEMENT_GROWING };
enum risk_band { RISK_UNKNOWN, RISK_LOW, RISK_MEDIUM, RISK_HIGH };

struct bands_limits {
    double growing, fading; /* change of usage in per cent */
    double medium, high;    /* churn score */
};

struct bands {
    enum value_band value;
    enum engagement_band engagement;
    enum risk_band risk;
};

/* The quarter of `sorted` that `spend` falls into; equal ones share theirs, by the middle of where they stand. */
enum value_band bands_value(const int64_t *sorted, size_t n, int64_t spend);
/* NAN: unknown. */
enum engagement_band bands_engagement(double usage_change_pct, const struct bands_limits *limits);
enum risk_band bands_risk(double churn_score, const struct bands_limits *limits);

/* "premium", "growing", "high"; "unknown". */
const char *bands_value_word(enum value_band band);
const char *bands_engagement_word(enum engagement_band band);
const char *bands_risk_word(enum risk_band band);

/* "premium.growing.high" and "Premium, growing, high risk". */
void bands_id(struct bands b, char ret_id[BANDS_NAME_SIZE]);
void bands_name(struct bands b, char ret_name[BANDS_NAME_SIZE]);
size_t bands_number(struct bands b);
struct bands bands_of(size_t number);

#endif
