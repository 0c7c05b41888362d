/* The simulated world of lifecycle. Pure; any thread. */
#include "world.h"

#include <cvm/json.h>
#include <math.h>
#include <stdio.h>

#define DRIFT_LEAST (-4.0)
#define DRIFT_MOST 1.0
#define DRIFT_CALM 0.8  /* how much of the drift a score of 100 takes away */
#define ACTIVE_LEAST .1 /* chance of an active day at a score of 0, and what 100 adds */
#define ACTIVE_MORE .8
#define FATIGUE 2.0
#define TREND_LEAST 1.0 /* a smaller change is none */
#define MONEY_MAX INT64_C(100000000000000)

const char *life_state_name(enum life_state state)
{
    static const char *const names[] = {"healthy", "at_risk", "critical", "churned"};
    return names[state];
}

const char *life_trend_name(enum life_trend trend)
{
    static const char *const names[] = {"flat", "up", "down"};
    return names[trend];
}

double life_round(double value)
{
    return nearbyint(value * 10) / 10 + 0.0;
}

json_t *life_number(double value)
{
    double rounded = life_round(value);
    return rounded == nearbyint(rounded) ? json_integer((json_int_t)rounded) : json_real(rounded);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int bad(char *error, size_t size, const char *field, const char *must)
{
    snprintf(error, size, "%s: must be %s", field, must);
    return CVM_EINVAL;
}

static bool is_name(const json_t *value, size_t most)
{
    size_t len = json_string_length(value);
    return json_is_string(value) && len > 0 && len <= most && strlen(json_string_value(value)) == len;
}

static bool within(const json_t *value, double least, double most)
{
    return json_is_number(value) && json_number_value(value) >= least && json_number_value(value) <= most;
}

static int read_lists(const json_t *record, char *error, size_t size)
{
    const json_t *traits = json_object_get(record, "traits"), *sensitivities = json_object_get(record, "sensitivities");
    const char *action;
    const json_t *value;
    if (traits && (!json_is_array(traits) || json_array_size(traits) > LIFE_TRAITS_MAX))
        return bad(error, size, "traits", "an array of at most 16 texts");
    for (size_t i = 0; i < json_array_size(traits); i++)
        if (!is_name(json_array_get(traits, i), LIFE_NAME_MAX))
            return bad(error, size, "traits", "texts of 1 to 63 bytes");
    if (sensitivities && (!json_is_object(sensitivities) || json_object_size(sensitivities) > LIFE_ACTIONS_MAX))
        return bad(error, size, "sensitivities", "an object of at most 32 actions");
    json_object_foreach((json_t *)(uintptr_t)sensitivities, action, value)
    {
        if (!*action || strlen(action) > LIFE_NAME_MAX || !within(value, -100, 100)) {
            snprintf(error, size, "sensitivities.%.63s: must be a number from -100 to 100", action);
            return CVM_EINVAL;
        }
    }
    return CVM_OK;
}

/* The key is segment and name: memory is by it, and its segment part is what figures of a segment are by. */
static int read_key(const json_t *record, char *error, size_t size)
{
    const json_t *key = json_object_get(record, "persona_key");
    const char *segment = cvm_json_str(record, "segment", "");
    size_t len = strlen(segment);
    if (!is_name(key, LIFE_KEY_MAX))
        return bad(error, size, "persona_key", "a text of 1 to 120 bytes");
    if (!is_name(json_object_get(record, "segment"), LIFE_NAME_MAX))
        return bad(error, size, "segment", "a text of 1 to 63 bytes");
    if (strncmp(json_string_value(key), segment, len) != 0 || json_string_value(key)[len] != '_' ||
        !json_string_value(key)[len + 1])
        return bad(error, size, "persona_key", "the segment, '_' and a name");
    if (!is_name(json_object_get(record, "display_name"), LIFE_NAME_MAX))
        return bad(error, size, "display_name", "a text of 1 to 63 bytes");
    return CVM_OK;
}

static int read_figures(const json_t *record, char *error, size_t size)
{
    const json_t *inactive = json_object_get(record, "days_inactive"),
                 *revenue = json_object_get(record, "monthly_revenue"),
                 *margin = json_object_get(record, "gross_margin"), *before = json_object_get(record, "score_before");
    const char *status = cvm_json_str(record, "status", "active"),
               *currency = cvm_json_str(record, "currency", LIFE_CURRENCY);
    if (!within(json_object_get(record, "engagement_score"), 0, 100))
        return bad(error, size, "engagement_score", "a number from 0 to 100");
    if (before && !within(before, 0, 100))
        return bad(error, size, "score_before", "a number from 0 to 100");
    if (inactive && (!json_is_integer(inactive) || !within(inactive, 0, 100000)))
        return bad(error, size, "days_inactive", "a whole number from 0");
    if (strcmp(status, "active") != 0 && strcmp(status, "churned") != 0)
        return bad(error, size, "status", "active or churned");
    if (revenue && (!json_is_integer(revenue) || !within(revenue, 0, (double)MONEY_MAX)))
        return bad(error, size, "monthly_revenue", "a whole number of minor units (cents) from 0");
    if (margin && !within(margin, 0, 1))
        return bad(error, size, "gross_margin", "a number from 0 to 1");
    if (json_string_length(json_object_get(record, "contact")) > 200)
        return bad(error, size, "contact", "a text of at most 200 bytes");
    if (strlen(currency) != 3)
        return bad(error, size, "currency", "three letters");
    return CVM_OK;
}

void life_persona_take(const json_t *record, struct life_persona *ret_persona)
{
    double score = life_round(json_number_value(json_object_get(record, "engagement_score")));
    const json_t *before = json_object_get(record, "score_before"), *margin = json_object_get(record, "gross_margin");
    *ret_persona = (struct life_persona){
        .key = cvm_json_str(record, "persona_key", ""),
        .name = cvm_json_str(record, "display_name", ""),
        .segment = cvm_json_str(record, "segment", ""),
        .currency = cvm_json_str(record, "currency", LIFE_CURRENCY),
        .contact = cvm_json_str(record, "contact", ""),
        .traits = json_object_get(record, "traits"),
        .sensitivities = json_object_get(record, "sensitivities"),
        .monthly_revenue = cvm_json_int(record, "monthly_revenue", 0),
        .gross_margin = margin ? json_number_value(margin) : 1,
        .score = score,
        .score_before = before ? life_round(json_number_value(before)) : score,
        .days_inactive = cvm_json_int(record, "days_inactive", 0),
        .churned = strcmp(cvm_json_str(record, "status", "active"), "churned") == 0,
        .churned_on_day = cvm_json_int(record, "churned_on_day", 0),
        .last_action = cvm_json_str(record, "last_action", ""),
    };
}

int life_persona_read(const json_t *record, struct life_persona *ret_persona, char *ret_error, size_t size)
{
    if (!json_is_object(record))
        return bad(ret_error, size, "persona", "an object");
    CVM_TRY(read_key(record, ret_error, size));
    CVM_TRY(read_lists(record, ret_error, size));
    CVM_TRY(read_figures(record, ret_error, size));
    life_persona_take(record, ret_persona);
    return CVM_OK;
}

json_t *life_persona_json(const struct life_persona *p)
{
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:s, s:O*, s:O*, s:I, s:s, s:f, s:o}", "persona_key", p->key,
                  "display_name", p->name, "segment", p->segment, "engagement_score", life_number(p->score),
                  "days_inactive", (json_int_t)p->days_inactive, "status", p->churned ? "churned" : "active", "traits",
                  p->traits, "sensitivities", p->sensitivities, "monthly_revenue", (json_int_t)p->monthly_revenue,
                  "currency", p->currency, "gross_margin", p->gross_margin, "churned_on_day",
                  p->churned_on_day ? json_integer((json_int_t)p->churned_on_day) : json_null());
    if (record)
        json_object_set_new(record, "score_before", life_number(p->score_before));
    if (record && *p->last_action)
        json_object_set_new(record, "last_action", json_string(p->last_action));
    return record;
}

/* ---- chance ----------------------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t life_random_next(struct life_random *r)
{
    uint64_t z = r->at += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct life_random life_random_of(uint64_t seed, int64_t day, const char *key, enum life_purpose purpose)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *s = key; *s; s++)
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    struct life_random r = {seed};
    r.at = life_random_next(&r) ^ hash;
    r.at = life_random_next(&r) ^ (uint64_t)day;
    r.at = life_random_next(&r) ^ (uint64_t)purpose;
    r.at = life_random_next(&r);
    return r;
}

double life_random_unit(struct life_random *r)
{
    return (double)(life_random_next(r) >> 11) * 0x1p-53;
}

double life_random_between(struct life_random *r, double least, double most)
{
    return least + (most - least) * life_random_unit(r);
}

/* ---- the steps of a day ------------------------------------------------------------------------------------------ */

static double kept(double score)
{
    return life_round(score < 0 ? 0 : score > 100 ? 100 : score);
}

double life_simulate(struct life_persona *p, struct life_random *r)
{
    double drift = life_random_between(r, DRIFT_LEAST, DRIFT_MOST) * (1 - DRIFT_CALM * p->score / 100);
    bool active = life_random_unit(r) < ACTIVE_LEAST + ACTIVE_MORE * p->score / 100;
    if (p->churned)
        return 0;
    p->score_before = p->score;
    p->score = kept(p->score + drift);
    p->days_inactive = active ? 0 : p->days_inactive + 1;
    return life_round(p->score - p->score_before);
}

enum life_state life_state_of(const struct life_persona *p)
{
    if (p->churned)
        return LIFE_CHURNED;
    if (p->score < 30 || p->days_inactive >= 14)
        return LIFE_CRITICAL;
    return p->score < 60 || p->days_inactive >= 7 ? LIFE_AT_RISK : LIFE_HEALTHY;
}

void life_observe(const struct life_persona *p, struct life_observation *ret_observation)
{
    static const char *const says[] = {"is healthy", "is at risk", "is in a critical state", "has left"};
    static const char *const goes[] = {"holds", "is rising", "is falling"};
    double change = p->score - p->score_before;
    struct life_observation *o = ret_observation;
    char inactive[64];
    o->state = life_state_of(p);
    o->trend = change >= TREND_LEAST ? LIFE_UP : change <= -TREND_LEAST ? LIFE_DOWN : LIFE_FLAT;
    if (o->state == LIFE_CHURNED) {
        snprintf(o->summary, sizeof o->summary, "%.63s has left.", p->name);
        return;
    }
    if (p->days_inactive)
        snprintf(inactive, sizeof inactive, "inactive for %lld day%s", (long long)p->days_inactive,
                 p->days_inactive == 1 ? "" : "s");
    else
        snprintf(inactive, sizeof inactive, "active today");
    const char *trait = json_string_value(json_array_get(p->traits, 0));
    snprintf(o->summary, sizeof o->summary, "%.63s %s: engagement %g %s, %s%s%.63s.", p->name, says[o->state], p->score,
             goes[o->trend], inactive, trait ? "; " : "", trait ? trait : "");
}

double life_impact(const struct life_persona *p, const char *action, double otherwise, double noise,
                   struct life_random *r)
{
    const json_t *own = json_object_get(p->sensitivities, action);
    double drawn = life_random_between(r, -noise, noise);
    if (strcmp(action, LIFE_NO_ACTION) == 0)
        return 0;
    return life_round((own ? json_number_value(own) : otherwise) + drawn -
                      (strcmp(action, p->last_action) == 0 ? FATIGUE : 0));
}

void life_act(struct life_persona *p, double impact)
{
    p->score = kept(p->score + impact);
}

bool life_churns(const struct life_persona *p, double churn_score, int64_t churn_days)
{
    return !p->churned && (p->score <= churn_score || p->days_inactive >= churn_days);
}

int64_t life_clv(const struct life_persona *p, double discount_rate)
{
    double m = (double)p->monthly_revenue * p->gross_margin, r = 0.50 + 0.49 * p->score / 100;
    return p->churned ? 0 : (int64_t)nearbyint(m * r / (1 + discount_rate - r));
}
