/* A journey in a few sentences, and a short version of it for those who read many. See journey.h. */
#include "journey.h"
#include "moment.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>

#define SUMMARY_SIZE 8192

static void add(char *text, size_t limit, const char *sentence)
{
    size_t n = strlen(text), len = strlen(sentence);
    if (n + len + 2 <= limit) /* a sentence stands whole or not at all */
        snprintf(text + n, limit - n, "%s%s", n ? " " : "", sentence);
}

/* How much an event tells: contacts that went badly first, then contacts, then the rest; newer before older. */
static int weight_of(const json_t *event)
{
    const char *kind = cvm_json_str(event, "kind", "");
    bool contact = strcmp(kind, "call") == 0 || strcmp(kind, "chat") == 0;
    bool bad = strcmp(cvm_json_str(event, "sentiment", ""), "NEGATIVE") == 0;
    return contact * 2 + bad;
}

/* At most `max` events in their order, the most telling ones. Gives. */
static json_t *choose_events(const json_t *events, size_t max)
{
    size_t n = json_array_size(events), left = max;
    json_t *chosen = json_array();
    bool *take = calloc(n ? n : 1, sizeof *take);
    for (int weight = 3; take && weight >= 0; weight--)
        for (size_t i = n; i-- > 0 && left;)
            if (!take[i] && weight_of(json_array_get(events, i)) == weight) {
                take[i] = true;
                left--;
            }
    for (size_t i = 0; take && i < n; i++)
        if (take[i])
            json_array_append(chosen, json_array_get(events, i));
    free(take);
    return chosen;
}

static void who(const json_t *journey, char *text, size_t limit)
{
    const json_t *profile = json_object_get(journey, "profile"), *tenure = json_object_get(profile, "tenure_months");
    const char *segment = cvm_json_str(profile, "segment", NULL);
    char sentence[240];
    if (segment && json_is_number(tenure))
        snprintf(sentence, sizeof sentence, "Customer of the segment %.60s for %.0f months.", segment,
                 json_number_value(tenure));
    else if (json_is_number(tenure))
        snprintf(sentence, sizeof sentence, "Customer for %.0f months.", json_number_value(tenure));
    else if (segment)
        snprintf(sentence, sizeof sentence, "Customer of the segment %.60s.", segment);
    else
        return;
    add(text, limit, sentence);
}

json_t *journey_summarise(const json_t *journey, size_t max_events, size_t max_characters)
{
    char text[SUMMARY_SIZE] = "", sentence[320], cut[160];
    size_t limit = max_characters + 1 < sizeof text ? max_characters + 1 : sizeof text;
    static const char *const kept[] = {"customer_id", "generated_at", "as_of",    "profile", "metrics",
                                       "patterns",    "trends",       "insights", "signals", "permissions"};
    const json_t *insights = json_object_get(journey, "insights");
    json_t *analysis = insights ? NULL : journey_analyse(journey), *short_one = json_object();
    if (analysis)
        insights = json_object_get(analysis, "insights");
    json_t *events = choose_events(json_object_get(journey, "events"), max_events);
    who(journey, text, limit);
    for (size_t i = 0; i < json_array_size(insights); i++)
        add(text, limit, json_string_value(json_array_get(insights, i)));
    for (size_t i = json_array_size(events); i-- > 0;) {
        const json_t *e = json_array_get(events, i);
        words_cut(cvm_json_str(e, "summary", ""), cut, sizeof cut);
        snprintf(sentence, sizeof sentence, "%.10s, %s: %s%s", cvm_json_str(e, "timestamp", ""),
                 cvm_json_str(e, "kind", "event"), cut, *cut && strchr(".!?", cut[strlen(cut) - 1]) ? "" : ".");
        add(text, limit, sentence);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const json_t *value = json_object_get(journey, kept[i]);
        if (!value)
            value = json_object_get(analysis, kept[i]);
        if (value)
            json_object_set_new(short_one, kept[i], cvm_json_share(value));
    }
    json_object_set_new(short_one, "events", events);
    json_decref(analysis);
    return json_pack("{s:s, s:o}", "summary", text, "journey", short_one);
}
