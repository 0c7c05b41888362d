/* See bands.h. Any thread. */
#include "bands.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

/* How many of `sorted` are less than `spend`, or equal too. */
static size_t below(const int64_t *sorted, size_t n, int64_t spend, bool equal)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < spend || (equal && sorted[middle] == spend))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum value_band bands_value(const int64_t *sorted, size_t n, int64_t spend)
{
    double place = n ? (double)(below(sorted, n, spend, false) + below(sorted, n, spend, true)) / 2 / (double)n : 0;
    if (!n || spend == INT64_MIN)
        return VALUE_UNKNOWN;
    return place < 0.25 ? VALUE_BASIC : place < 0.5 ? VALUE_MODEST : place < 0.75 ? VALUE_SOLID : VALUE_PREMIUM;
}

enum engagement_band bands_engagement(double usage_change_pct, const struct bands_limits *limits)
{
    if (isnan(usage_change_pct))
        return ENGAGEMENT_UNKNOWN;
    return usage_change_pct >= limits->growing  ? ENGAGEMENT_GROWING
           : usage_change_pct <= limits->fading ? ENGAGEMENT_FADING
                                                : ENGAGEMENT_STEADY;
}

enum risk_band bands_risk(double churn_score, const struct bands_limits *limits)
{
    if (isnan(churn_score))
        return RISK_UNKNOWN;
    return churn_score >= limits->high ? RISK_HIGH : churn_score >= limits->medium ? RISK_MEDIUM : RISK_LOW;
}

const char *bands_value_word(enum value_band band)
{
    static const char *const words[] = {"unknown", "basic", "modest", "solid", "premium"};
    return words[band];
}

const char *bands_engagement_word(enum engagement_band band)
{
    static const char *const words[] = {"unknown", "fading", "steady", "growing"};
    return words[band];
}

const char *bands_risk_word(enum risk_band band)
{
    static const char *const words[] = {"unknown", "low", "medium", "high"};
    return words[band];
}

void bands_id(struct bands b, char ret_id[BANDS_NAME_SIZE])
{
    snprintf(ret_id, BANDS_NAME_SIZE, "%s.%s.%s", bands_value_word(b.value), bands_engagement_word(b.engagement),
             bands_risk_word(b.risk));
}

void bands_name(struct bands b, char ret_name[BANDS_NAME_SIZE])
{
    const char *value = b.value ? bands_value_word(b.value) : "value unknown";
    const char *engagement = b.engagement ? bands_engagement_word(b.engagement) : "usage unknown";
    const char *risk = b.risk ? bands_risk_word(b.risk) : "unknown";
    snprintf(ret_name, BANDS_NAME_SIZE, b.risk ? "%s, %s, %s risk" : "%s, %s, risk %s", value, engagement, risk);
    ret_name[0] = (char)toupper((unsigned char)ret_name[0]);
}

size_t bands_number(struct bands b)
{
    return ((size_t)b.value * BANDS_EACH + (size_t)b.engagement) * BANDS_EACH + (size_t)b.risk;
}

struct bands bands_of(size_t number)
{
    return (struct bands){(enum value_band)(number / BANDS_EACH / BANDS_EACH),
                          (enum engagement_band)(number / BANDS_EACH % BANDS_EACH),
                          (enum risk_band)(number % BANDS_EACH)};
}
