/* Events and series of a journey, out of a customer's data. See journey.h. */
#include "journey.h"
#include "moment.h"
#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GIST_SIZE 161
#define SERIES_MONTHS_MAX 36
#define FOLLOW_UP_DAYS 30

struct event {
    int64_t at_ms;
    size_t order; /* equal times keep the order of the sources */
    json_t *json;
};

struct events {
    struct event *at;
    size_t n, cap;
    int64_t newest_ms; /* of anything that has a date */
};

static void saw(struct events *e, int64_t at_ms)
{
    if (at_ms > e->newest_ms)
        e->newest_ms = at_ms;
}

/* Takes `json`. */
static void add(struct events *e, int64_t at_ms, json_t *json)
{
    char text[MOMENT_SIZE];
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        struct event *at = json ? realloc(e->at, cap * sizeof *at) : NULL;
        if (!at) {
            json_decref(json);
            return;
        }
        e->at = at;
        e->cap = cap;
    }
    if (!json || json_object_set_new(json, "timestamp", json_string(moment_text(at_ms, text))) < 0) {
        json_decref(json);
        return;
    }
    e->at[e->n] = (struct event){at_ms, e->n, json};
    e->n++;
    saw(e, at_ms);
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void add_transcripts(struct events *e, const json_t *list, const char *source)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        const char *text = cvm_json_str(t, "text", "");
        bool call = strcmp(source, "call_transcripts") == 0;
        char gist[GIST_SIZE];
        struct reading r;
        int64_t at;
        if (!moment_parse(cvm_json_str(t, "started_at", cvm_json_str(t, "date", "")), &at))
            continue;
        words_read(text, &r);
        words_gist(text, gist, sizeof gist);
        const char *ending = r.ending == ENDING_SOLVED ? "solved" : r.ending == ENDING_OPEN ? "open" : "unknown";
        json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "source", source, "kind",
                                  call ? "call" : "chat", "summary", gist, "sentiment", tone_names[r.tone], "ref",
                                  cvm_json_str(t, call ? "call_id" : "session_id", cvm_json_str(t, "ref", "")), "topic",
                                  topic_names[r.topic], "outcome", ending);
        json_t *about = json_array();
        for (int topic = 0; topic < TOPIC_OTHER; topic++)
            if (r.about[topic])
                json_array_append_new(about, json_string(topic_names[topic]));
        json_object_set_new(event, "about", about);
        add(e, at, event);
    }
}

static void add_campaigns(struct events *e, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        const char *outcome = cvm_json_str(c, "outcome", "none"),
                   *treatment = cvm_json_str(c, "treatment_id", "a treatment");
        char text[GIST_SIZE];
        int64_t at;
        if (!moment_parse(cvm_json_str(c, "sent_at", ""), &at))
            continue;
        snprintf(text, sizeof text, "%.60s by %.20s: %.40s", treatment,
                 cvm_json_str(c, "channel", "an unknown channel"),
                 strcmp(outcome, "none") == 0 ? "no response" : outcome);
        const char *tone = strcmp(outcome, "complained") == 0 ? tone_names[TONE_NEGATIVE]
                           : strcmp(outcome, "converted") == 0 || strcmp(outcome, "clicked") == 0
                               ? tone_names[TONE_POSITIVE]
                               : tone_names[TONE_NEUTRAL];
        add(e, at,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "source", "campaigns", "kind", "campaign", "summary", text,
                      "sentiment", tone, "ref", cvm_json_str(c, "campaign_id", ""), "treatment_id", treatment,
                      "outcome", outcome));
    }
}

static void add_network(struct events *e, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *n = json_array_get(list, i);
        char text[GIST_SIZE];
        int64_t at, outages = cvm_json_int(n, "outages", 0);
        if (!moment_parse(cvm_json_str(n, "day", ""), &at))
            continue;
        saw(e, at);
        if (outages <= 0)
            continue;
        snprintf(text, sizeof text, "%lld network outage%s", (long long)outages, outages == 1 ? "" : "s");
        add(e, at,
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "source", "network", "kind", "outage", "summary", text, "sentiment",
                      tone_names[TONE_NEGATIVE], "ref", cvm_json_str(n, "day", "")));
    }
}

static int by_month(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    return strcmp(cvm_json_str(x, "month", ""), cvm_json_str(y, "month", ""));
}

static void append_point(json_t *series, const char *name, const char *month, const json_t *value)
{
    json_t *list = json_object_get(series, name);
    if (!json_is_number(value))
        return;
    if (!list) {
        list = json_array();
        json_object_set_new(series, name, list);
    }
    json_array_append_new(list, json_pack("[s, f]", month, json_number_value(value)));
}

/* Months in order, and a payment that was late as an event. */
static void add_usage(struct events *e, json_t *series, const json_t *list)
{
    const json_t *months[SERIES_MONTHS_MAX];
    size_t n = 0, size = json_array_size(list);
    for (size_t i = size > SERIES_MONTHS_MAX ? size - SERIES_MONTHS_MAX : 0; i < size; i++) {
        int64_t at;
        if (moment_parse(cvm_json_str(json_array_get(list, i), "month", ""), &at))
            months[n++] = json_array_get(list, i);
    }
    qsort(months, n, sizeof *months, by_month);
    for (size_t i = 0; i < n; i++) {
        const char *month = cvm_json_str(months[i], "month", "");
        const json_t *paid = json_object_get(months[i], "paid_on_time");
        int64_t at = 0;
        append_point(series, "spend_pounds", month, json_object_get(months[i], "spend_pounds"));
        append_point(series, "data_gb", month, json_object_get(months[i], "data_gb"));
        append_point(series, "voice_minutes", month, json_object_get(months[i], "voice_minutes"));
        if (!moment_parse(month, &at))
            continue;
        saw(e, at);
        if (json_is_false(paid) || (json_is_integer(paid) && !json_integer_value(paid)))
            add(e, at,
                json_pack("{s:s, s:s, s:s, s:s, s:s}", "source", "usage", "kind", "late_payment", "summary",
                          "the month's bill was paid late", "sentiment", tone_names[TONE_NEUTRAL], "ref", month));
    }
}

/* "Second time of asking": who comes back without a word on what for means what he spoke of before. */
static void follow_up(struct events *e)
{
    const char *topic = NULL;
    int64_t spoken_ms = 0;
    for (size_t i = 0; i < e->n; i++) {
        json_t *event = e->at[i].json;
        const char *its = cvm_json_str(event, "topic", NULL);
        if (!its)
            continue;
        if (strcmp(its, topic_names[TOPIC_OTHER]) != 0) {
            topic = its;
        } else if (topic && strcmp(cvm_json_str(event, "outcome", ""), "open") == 0 &&
                   e->at[i].at_ms - spoken_ms <= FOLLOW_UP_DAYS * DAY_MS) {
            json_object_set_new(event, "follow_up", json_true());
            json_object_set_new(event, "topic", json_string(topic));
        } else {
            continue;
        }
        spoken_ms = e->at[i].at_ms;
    }
}

void journey_add_sources(json_t *journey, const json_t *data)
{
    struct events e = {.newest_ms = INT64_MIN};
    json_t *list = json_array(), *series = json_object();
    add_transcripts(&e, json_object_get(data, "call_transcripts"), "call_transcripts");
    add_transcripts(&e, json_object_get(data, "web_transcripts"), "web_transcripts");
    add_campaigns(&e, json_object_get(data, "campaigns"));
    add_network(&e, json_object_get(data, "network"));
    add_usage(&e, series, json_object_get(data, "usage"));
    if (e.n)
        qsort(e.at, e.n, sizeof *e.at, by_time);
    follow_up(&e);
    size_t first = e.n > JOURNEY_EVENTS_MAX ? e.n - JOURNEY_EVENTS_MAX : 0;
    for (size_t i = 0; i < e.n; i++)
        if (i < first)
            json_decref(e.at[i].json);
        else
            json_array_append_new(list, e.at[i].json);
    if (first)
        json_object_set_new(journey, "events_left_out", json_integer((json_int_t)first));
    if (e.newest_ms != INT64_MIN)
        json_object_set_new(journey, "newest_ms", json_integer((json_int_t)e.newest_ms));
    json_object_set_new(journey, "events", list);
    json_object_set_new(journey, "series", series);
    free(e.at);
}

static json_t *or_null(const json_t *value)
{
    return value ? cvm_json_share(value) : json_null();
}

json_t *journey_build(const char *customer_id, const json_t *data, int64_t now_ms)
{
    char text[MOMENT_SIZE];
    const json_t *facts = json_object_get(data, "facts"), *who = json_object_get(data, "demographics");
    const json_t *bill = json_object_get(data, "billing"), *member;
    static const char *const profile_names[] = {"segment", "tenure_months", "age"};
    json_t *profile = json_object(), *journey = json_object();
    for (size_t i = 0; i < 3; i++) {
        member = json_object_get(facts, profile_names[i]);
        if (!member || json_is_null(member))
            member = json_object_get(who, profile_names[i]);
        if (!member || json_is_null(member))
            member = json_object_get(bill, profile_names[i]);
        json_object_set_new(profile, profile_names[i], or_null(member));
    }
    json_object_set_new(journey, "customer_id", json_string(customer_id));
    json_object_set_new(journey, "generated_at", json_string(moment_text(now_ms, text)));
    json_object_set_new(journey, "profile", profile);
    journey_add_sources(journey, data);
    /* Stretches of time end where the data end, so that a base of last year reads as it did then. */
    int64_t newest = cvm_json_int(journey, "newest_ms", INT64_MIN), as_of = cvm_json_int(facts, "as_of_ms", INT64_MIN);
    json_object_del(journey, "newest_ms");
    if (as_of == INT64_MIN)
        as_of = newest != INT64_MIN && newest < now_ms ? newest : now_ms;
    json_object_set_new(journey, "as_of", json_string(moment_text(as_of, text)));
    if (json_is_object(facts))
        json_object_set_new(journey, "facts", cvm_json_share(facts));
    if (json_is_object(json_object_get(data, "permissions")))
        json_object_set_new(journey, "permissions", cvm_json_share(json_object_get(data, "permissions")));
    json_t *analysis = journey_analyse(journey);
    if (!analysis || json_object_update(journey, analysis) < 0) {
        json_decref(journey);
        journey = NULL;
    }
    json_decref(analysis);
    return journey;
}

int64_t journey_as_of(const json_t *journey)
{
    int64_t ms = 0;
    if (moment_parse(cvm_json_str(journey, "as_of", ""), &ms) ||
        moment_parse(cvm_json_str(journey, "generated_at", ""), &ms))
        return ms;
    const json_t *events = json_object_get(journey, "events");
    size_t n = json_array_size(events);
    return n && moment_parse(cvm_json_str(json_array_get(events, n - 1), "timestamp", ""), &ms) ? ms : 0;
}
