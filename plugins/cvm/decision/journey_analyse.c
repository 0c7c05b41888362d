/* What can be said of a journey: figures, trends, patterns, and the same in plain words. See journey.h. */
#include "../common/facts.h"
#include "journey.h"
#include "moment.h"
#include "value.h"
#include "words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define POINTS_MAX 36
#define POINTS_LEAST 4   /* of a trend */
#define TREND_LEAST 0.10 /* change that counts, as a share */
#define CONTACTS_LEAST 3 /* of a trend of contacts */
#define WINDOW_DAYS 90
#define REPEAT_DAYS 30
#define SENTENCE_SIZE 240

static const char not_enough[] = "not enough data";

struct topic_story {
    int in_window, in_repeat; /* contacts in 90 and in 30 days */
    int negative;
    enum ending last;
    int64_t last_ms;
};

struct analysis {
    const json_t *journey;
    int64_t as_of;
    struct cvm_facts facts;
    bool has_facts, has_contacts; /* has_contacts: there is a source of contacts at all */
    struct topic_story topics[TOPICS];
    int contacts, negative, recent, earlier; /* of 90 days; recent, earlier: its halves */
    int64_t last_contact_ms, last_campaign_ms;
    int campaigns, answered, complained;
    unsigned signals;
    json_t *metrics, *patterns, *trends, *insights, *details;
};

__attribute__((format(printf, 2, 3))) static void say(struct analysis *a, const char *format, ...)
{
    char text[SENTENCE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(a->insights, json_string(text));
}

static void pattern(struct analysis *a, const char *text)
{
    json_array_append_new(a->patterns, json_string(text));
}

static void metric(struct analysis *a, const char *name, double value)
{
    json_object_set_new(a->metrics, name, isnan(value) ? json_null() : json_real(round(value * 1000) / 1000));
}

static void metric_int(struct analysis *a, const char *name, int64_t value)
{
    json_object_set_new(a->metrics, name, value == FACTS_NONE ? json_null() : json_integer((json_int_t)value));
}

static const char *number_word(int n, char room[16])
{
    static const char *const words[] = {"no",  "one",   "two",   "three", "four", "five",
                                        "six", "seven", "eight", "nine",  "ten"};
    if (n >= 0 && n <= 10)
        return words[n];
    snprintf(room, 16, "%d", n);
    return room;
}

/* ---- contacts ---- */

static int topic_of(const json_t *event)
{
    const char *name = cvm_json_str(event, "topic", NULL);
    for (int i = 0; name && i < TOPICS; i++)
        if (strcmp(topic_names[i], name) == 0)
            return i;
    struct reading r;
    words_read(cvm_json_str(event, "summary", ""), &r); /* a journey from elsewhere has no topics */
    return r.topic;
}

static void read_contact(struct analysis *a, const json_t *event, int64_t at)
{
    const char *outcome = cvm_json_str(event, "outcome", "unknown");
    bool negative = strcmp(cvm_json_str(event, "sentiment", ""), "NEGATIVE") == 0;
    int64_t age = a->as_of - at;
    if (at > a->last_contact_ms)
        a->last_contact_ms = at;
    if (age < 0 || age > WINDOW_DAYS * DAY_MS)
        return;
    struct topic_story *t = &a->topics[topic_of(event)];
    a->contacts++;
    a->negative += negative;
    a->recent += age <= WINDOW_DAYS / 2 * DAY_MS;
    a->earlier += age > WINDOW_DAYS / 2 * DAY_MS;
    t->in_window++;
    t->negative += negative;
    t->in_repeat += age <= REPEAT_DAYS * DAY_MS;
    t->last_ms = at;
    t->last = strcmp(outcome, "solved") == 0 ? ENDING_SOLVED
              : strcmp(outcome, "open") == 0 ? ENDING_OPEN
                                             : ENDING_UNKNOWN;
    const json_t *about = json_object_get(event, "about");
    for (size_t i = 0; i < json_array_size(about); i++)
        for (int k = 0; k < TOPIC_OTHER; k++)
            if (strcmp(cvm_json_str(event, "topic", ""), topic_names[k]) == 0 ||
                strcmp(json_string_value(json_array_get(about, i)) ? json_string_value(json_array_get(about, i)) : "",
                       topic_names[k]) == 0)
                a->signals |= negative || k == TOPIC_LEAVING ? 1U << signal_find(topic_triggers[k]) : 0U;
}

static void read_events(struct analysis *a)
{
    const json_t *events = json_object_get(a->journey, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        const char *kind = cvm_json_str(event, "kind", ""), *outcome = cvm_json_str(event, "outcome", "");
        int64_t at;
        if (!moment_parse(cvm_json_str(event, "timestamp", ""), &at))
            continue;
        if (strcmp(kind, "call") == 0 || strcmp(kind, "chat") == 0 || strcmp(kind, "contact") == 0) {
            a->has_contacts = true;
            read_contact(a, event, at);
        } else if (strcmp(kind, "campaign") == 0) {
            a->campaigns++;
            a->answered +=
                strcmp(outcome, "opened") == 0 || strcmp(outcome, "clicked") == 0 || strcmp(outcome, "converted") == 0;
            a->complained += strcmp(outcome, "complained") == 0;
            a->last_campaign_ms = at > a->last_campaign_ms ? at : a->last_campaign_ms;
        }
    }
}

/* ---- series ---- */

static size_t points_of(const struct analysis *a, const char *name, double points[POINTS_MAX])
{
    const json_t *list = json_object_get(json_object_get(a->journey, "series"), name);
    size_t n = 0, size = json_array_size(list);
    for (size_t i = size > POINTS_MAX ? size - POINTS_MAX : 0; i < size; i++) {
        const json_t *point = json_array_get(list, i), *value = json_is_array(point) ? json_array_get(point, 1) : point;
        if (json_is_number(value))
            points[n++] = json_number_value(value);
    }
    return n;
}

static double mean(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / (double)n : NAN;
}

static double spread(const double *x, size_t n)
{
    double m = mean(x, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - m) * (x[i] - m);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

/* The last three months (at most half) against those of as many before; a change counts where it is a tenth at least
 * and larger than what the months of either half differ by. */
static const char *trend_of(const double *all, size_t n_all, double *ret_change)
{
    size_t half = n_all / 2 < 3 ? n_all / 2 : 3;
    *ret_change = NAN;
    if (n_all < POINTS_LEAST)
        return not_enough;
    const double *now = all + n_all - half, *before = now - half;
    double a = mean(before, half), b = mean(now, half), noise = fmax(spread(before, half), spread(now, half));
    if (fabs(a) < 1e-9)
        return fabs(b) < 1e-9 ? "flat" : "up";
    *ret_change = (b - a) / fabs(a);
    if (fabs(*ret_change) < TREND_LEAST || fabs(b - a) <= noise)
        return "flat";
    return b > a ? "up" : "down";
}

static const char *set_trend(struct analysis *a, const char *name, const char *trend)
{
    json_object_set_new(a->trends, name, json_string(trend));
    return trend;
}

/* Where there are no months, by the change that the facts have, made of as many. */
static const char *trend_of_fact(const struct analysis *a, double change_pct)
{
    if (!a->has_facts || isnan(change_pct) || a->facts.months_seen == FACTS_NONE || a->facts.months_seen < POINTS_LEAST)
        return not_enough;
    return change_pct >= 100 * TREND_LEAST ? "up" : change_pct <= -100 * TREND_LEAST ? "down" : "flat";
}

static void say_trend(struct analysis *a, const char *what, const char *trend, double change)
{
    if (isnan(change))
        say(a, "%s went %s from nothing.", what, trend);
    else
        say(a, "%s went %s by %.0f %%.", what, trend, fabs(change) * 100);
}

static void analyse_series(struct analysis *a)
{
    double spend[POINTS_MAX], data[POINTS_MAX], change;
    size_t n_spend = points_of(a, "spend_pounds", spend), n_data = points_of(a, "data_gb", data);
    const char *trend = n_spend ? trend_of(spend, n_spend, &change) : trend_of_fact(a, a->facts.spend_change_pct);
    if (!n_spend)
        change = a->facts.spend_change_pct / 100;
    if (strcmp(set_trend(a, "spend", trend), "down") == 0 || strcmp(trend, "up") == 0)
        say_trend(a, "Monthly spend", trend, change);
    trend = n_data ? trend_of(data, n_data, &change) : trend_of_fact(a, a->facts.usage_change_pct);
    if (!n_data)
        change = a->facts.usage_change_pct / 100;
    if (strcmp(set_trend(a, "data_usage", trend), "down") == 0 || strcmp(trend, "up") == 0)
        say_trend(a, "Data usage", trend, change);
    metric(a, "spend_pounds_3m", n_spend >= 3 ? 3 * mean(spend + n_spend - 3, 3) : NAN);
    metric(a, "data_gb_3m", n_data >= 3 ? 3 * mean(data + n_data - 3, 3) : NAN);
    int total = a->recent + a->earlier;
    set_trend(a, "contacts",
              total < CONTACTS_LEAST            ? not_enough
              : abs(a->recent - a->earlier) < 2 ? "flat"
              : a->recent > a->earlier          ? "up"
                                                : "down");
}

/* ---- figures ---- */

/* The member of the metrics as it stands, where it cannot be made anew. */
static double kept(const struct analysis *a, const char *name, double made)
{
    const json_t *v = json_object_get(json_object_get(a->journey, "metrics"), name);
    return isnan(made) && json_is_number(v) ? json_number_value(v) : made;
}

static void analyse_figures(struct analysis *a)
{
    const struct cvm_facts *f = &a->facts;
    bool seen = a->has_contacts;
    int64_t last = a->last_contact_ms > a->last_campaign_ms ? a->last_contact_ms : a->last_campaign_ms;
    if (last == INT64_MIN)
        last = f->last_contact_ms;
    int64_t days =
        last == FACTS_NONE || last > a->as_of ? (last == FACTS_NONE ? FACTS_NONE : 0) : (a->as_of - last) / DAY_MS;
    double contacts = kept(a, "contacts_90d",
                           seen                            ? a->contacts
                           : f->contacts_90d != FACTS_NONE ? (double)f->contacts_90d
                                                           : NAN);
    double negative = kept(a, "negative_contacts_90d", seen ? a->negative : NAN);
    if (isnan(contacts) && json_object_get(a->journey, "events"))
        contacts = 0;
    if (isnan(negative) && contacts == 0)
        negative = 0;
    metric_int(a, "contacts_90d", isnan(contacts) ? FACTS_NONE : (int64_t)contacts);
    metric_int(a, "negative_contacts_90d", isnan(negative) ? FACTS_NONE : (int64_t)negative);
    metric(a, "dropped_call_rate_percent", kept(a, "dropped_call_rate_percent", f->dropped_call_rate));
    metric(a, "churn_probability", kept(a, "churn_probability", f->churn_score));
    double since = kept(a, "days_since_last_contact", days == FACTS_NONE ? NAN : (double)days);
    metric_int(a, "days_since_last_contact", isnan(since) ? FACTS_NONE : (int64_t)since);
    metric(a, "monthly_spend_pounds",
           kept(a, "monthly_spend_pounds", f->monthly_spend == FACTS_NONE ? NAN : (double)f->monthly_spend / 100));
    static const char *const sums[] = {"spend_pounds_3m", "data_gb_3m"};
    for (size_t i = 0; i < 2; i++)
        if (json_is_null(json_object_get(a->metrics, sums[i])))
            metric(a, sums[i], kept(a, sums[i], NAN));
}

/* ---- patterns ---- */

static void analyse_topics(struct analysis *a)
{
    static const char *const nouns[TOPICS] = {"network", "billing", "roaming", "leaving", "other"};
    bool repeated = false;
    char room[16];
    for (int i = 0; i < TOPIC_OTHER; i++) {
        const struct topic_story *t = &a->topics[i];
        bool repeat = i != TOPIC_LEAVING && t->in_repeat >= 2;
        if (repeat || (i != TOPIC_LEAVING && t->in_window >= 3)) {
            const char *ending = t->last == ENDING_SOLVED ? "the last one solved"
                                 : t->last == ENDING_OPEN ? "none solved"
                                                          : "none known to be solved";
            if (!repeated)
                pattern(a, "repeat contact about the same problem");
            repeated = true;
            say(a, "%c%s %s contacts in %d days, %s.", number_word(repeat ? t->in_repeat : t->in_window, room)[0] & ~32,
                number_word(repeat ? t->in_repeat : t->in_window, room) + 1, nouns[i],
                repeat ? REPEAT_DAYS : WINDOW_DAYS, ending);
            json_array_append_new(
                a->details, json_pack("{s:s, s:s, s:i, s:i, s:s}", "pattern", "repeat contact about the same problem",
                                      "topic", topic_names[i], "contacts", repeat ? t->in_repeat : t->in_window, "days",
                                      repeat ? REPEAT_DAYS : WINDOW_DAYS, "solved",
                                      t->last == ENDING_SOLVED ? "yes"
                                      : t->last == ENDING_OPEN ? "no"
                                                               : "unknown"));
        } else if (t->in_window && i == TOPIC_LEAVING) {
            say(a, "The customer spoke of leaving %s.", t->in_window == 1 ? "once" : "more than once");
        } else if (t->in_window && t->negative) {
            say(a, "A %s problem in the last %d days%s.", nouns[i], WINDOW_DAYS,
                t->last == ENDING_SOLVED ? ", solved"
                : t->last == ENDING_OPEN ? ", not solved"
                                         : "");
        }
        if (i == TOPIC_LEAVING && t->in_window)
            pattern(a, "speaks of leaving");
        else if (t->negative && t->last == ENDING_OPEN)
            pattern(a, i == TOPIC_NETWORK   ? "network problem not solved"
                       : i == TOPIC_BILLING ? "billing problem not solved"
                                            : "roaming problem not solved");
        else if (t->negative && t->last == ENDING_SOLVED)
            pattern(a, i == TOPIC_NETWORK   ? "network problem solved"
                       : i == TOPIC_BILLING ? "billing problem solved"
                                            : "roaming problem solved");
    }
}

static void analyse_behaviour(struct analysis *a)
{
    const struct cvm_facts *f = &a->facts;
    char room[16];
    int64_t end = 0;
    if (a->campaigns >= 3 && !a->answered) {
        pattern(a, "does not respond to campaigns");
        say(a, "No response to %s campaigns.", number_word(a->campaigns, room));
    } else if (a->campaigns >= 2 && a->answered * 2 >= a->campaigns) {
        pattern(a, "responds to campaigns");
        say(a, "Responded to %d of %d campaigns.", a->answered, a->campaigns);
    }
    if (a->complained)
        say(a, "Complained about a campaign before.");
    if (f->late_payments_12m != FACTS_NONE && f->late_payments_12m >= 2) {
        pattern(a, "pays late");
        say(a, "%lld late payments in 12 months.", (long long)f->late_payments_12m);
    }
    if (f->contract_end && moment_parse(f->contract_end, &end) && end >= a->as_of && end - a->as_of <= 60 * DAY_MS) {
        pattern(a, "contract ends soon");
        say(a, "The contract ends on %s.", f->contract_end);
    }
    if (f->dropped_call_rate >= 2.0 || f->download_mbps < 2.0 ||
        (f->outages_30d != FACTS_NONE && f->outages_30d >= 3)) {
        pattern(a, "poor network");
        if (f->dropped_call_rate >= 2.0)
            say(a, "%.1f %% of calls dropped in 30 days.", f->dropped_call_rate);
        else if (f->download_mbps < 2.0)
            say(a, "Mean download of %.1f Mbit/s in 30 days.", f->download_mbps);
        else
            say(a, "%lld network outages in 30 days.", (long long)f->outages_30d);
    }
    if (f->dispute_open != FACTS_NONE && f->dispute_open > 0)
        say(a, "A billing dispute is open.");
    if (!isnan(f->churn_score) && f->churn_score >= 0.5)
        say(a, "The churn score is %.2f.", f->churn_score);
}

static void analyse_rest(struct analysis *a)
{
    bool usual = strcmp(cvm_json_str(a->trends, "spend", ""), not_enough) == 0;
    a->signals |= a->has_facts ? value_signals(&a->facts) : 0;
    if (!a->has_facts) { /* a journey from elsewhere: its metrics are what there is */
        double churn = json_number_value(json_object_get(a->metrics, "churn_probability"));
        double drops = json_number_value(json_object_get(a->metrics, "dropped_call_rate_percent"));
        a->signals |= (churn >= 0.70 ? 1U << SIGNAL_CHURN : 0) | (drops >= 2.0 ? 1U << SIGNAL_NETWORK : 0);
    }
    if (usual)
        say(a, "There are too few months to speak of a trend in spend.");
    if (!json_array_size(a->patterns) && !a->signals)
        say(a, "Nothing in the journey calls for action.");
}

json_t *journey_analyse(const json_t *journey)
{
    struct analysis a = {.journey = journey,
                         .as_of = journey_as_of(journey),
                         .last_contact_ms = INT64_MIN,
                         .last_campaign_ms = INT64_MIN,
                         .metrics = json_object(),
                         .patterns = json_array(),
                         .trends = json_object(),
                         .insights = json_array(),
                         .details = json_array()};
    json_t *signals = json_array();
    a.has_facts = json_is_object(json_object_get(journey, "facts"));
    facts_clear(&a.facts);
    if (a.has_facts)
        facts_from_json(journey, &a.facts);
    read_events(&a);
    analyse_series(&a);
    analyse_figures(&a);
    analyse_topics(&a);
    analyse_behaviour(&a);
    analyse_rest(&a);
    for (int i = 0; i < SIGNALS; i++)
        if (a.signals >> i & 1)
            json_array_append_new(signals, json_string(signal_names[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "metrics", a.metrics, "patterns", a.patterns, "pattern_details",
                     a.details, "trends", a.trends, "insights", a.insights, "signals", signals);
}
