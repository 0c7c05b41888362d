/* What is told of a persona's day: the row of the history, which is the story card. Pure; loop thread. */
#include "lifecycle.h"

#include <ctype.h>
#include <stdio.h>

void story_key(char key[48], int64_t epoch, int64_t day, int place)
{
    snprintf(key, 48, "%06lld/%06lld/%06d", (long long)epoch, (long long)day, place);
}

const char *story_outcome(const char *action, double impact, bool undone)
{
    if (undone || strcmp(action, LIFE_NO_ACTION) == 0)
        return "NONE";
    return impact > 0 ? "SUCCESS" : "FAILED";
}

/* "SEND_DISCOUNT" -> "send discount" */
static void words(const char *action, char *ret_words, size_t size)
{
    size_t n = 0;
    for (; action[n] && n + 1 < size; n++)
        ret_words[n] = action[n] == '_' ? ' ' : (char)tolower((unsigned char)action[n]);
    ret_words[n] = 0;
}

static void headline(const struct story *s, const char *action, const char *outcome, char *ret_text, size_t size)
{
    char what[LIFE_NAME_MAX + 1];
    words(action, what, sizeof what);
    if (s->churned_now)
        snprintf(ret_text, size, "%s has left on day %lld, at a score of %g.", s->p->name, (long long)s->day,
                 s->p->score);
    else if (s->p->churned)
        snprintf(ret_text, size, "%s left on day %lld; nothing is done.", s->p->name, (long long)s->p->churned_on_day);
    else if (s->undone)
        snprintf(ret_text, size, "\"%s\" for %s could not be carried out.", what, s->p->name);
    else if (strcmp(outcome, "NONE") == 0)
        snprintf(ret_text, size, "%s is left alone today.", s->p->name);
    else
        snprintf(ret_text, size, "\"%s\" %s for %s: %+g, from %g to %g.", what,
                 strcmp(outcome, "SUCCESS") == 0 ? "worked" : "did not work", s->p->name, s->impact, s->before,
                 s->p->score);
}

static json_t *share(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return value ? json_incref(value) : json_array();
}

json_t *story_row(const struct story *s)
{
    char key[48], text[400];
    const struct life_persona *p = s->p;
    const json_t *d = s->decision, *probability = json_object_get(d, "probability");
    const char *action = cvm_json_str(d, "action", LIFE_NO_ACTION),
               *outcome = story_outcome(action, s->impact, s->undone);
    story_key(key, s->epoch, s->day, s->place);
    headline(s, action, outcome, text, sizeof text);
    json_t *row =
        json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "history_id", key, "epoch",
                  (json_int_t)s->epoch, "day", (json_int_t)s->day, "persona_key", p->key, "display_name", p->name,
                  "segment", p->segment, "observation_state", life_state_name(s->seen->state), "observation",
                  s->seen->summary, "trend", life_trend_name(s->seen->trend), "days_inactive",
                  (json_int_t)p->days_inactive, "thought", cvm_json_str(d, "thought", ""), "action", action, "source",
                  cvm_json_str(d, "source", ""), "policy", cvm_json_str(d, "policy", ""));
    json_t *rest = json_pack(
        "{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:b, s:I, s:s, s:s, s:s, s:I, s:I, s:I}", "probability",
        probability ? json_number_value(probability) : 1.0, "features", share(d, "features"), "forbidden",
        share(d, "forbidden"), "hints", share(d, "hints"), "impact", life_number(s->impact), "score_before",
        life_number(s->before), "score_after", life_number(p->score), "outcome", outcome, "status",
        p->churned ? "churned" : "active", "adapted", cvm_json_bool(d, "adapted", false), "clv", (json_int_t)s->clv,
        "currency", p->currency, "headline", text, "conversation", s->conversation, "tokens",
        (json_int_t)(cvm_json_int(d, "input_tokens", 0) + cvm_json_int(d, "output_tokens", 0)), "cost_micro_usd",
        (json_int_t)cvm_json_int(d, "cost_micro_usd", 0), "decision_ms", (json_int_t)cvm_json_int(d, "duration_ms", 0));
    if (row && rest)
        json_object_update(row, rest);
    json_decref(rest);
    return row;
}

json_t *story_card(const json_t *row)
{
    static const char *const lists[] = {"features", "forbidden", "hints"};
    json_t *card = json_copy((json_t *)(uintptr_t)row);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const char *text = json_string_value(json_object_get(card, lists[i]));
        json_t *list = text ? json_loads(text, 0, NULL) : NULL;
        if (list)
            json_object_set_new(card, lists[i], list);
    }
    const json_t *adapted = json_object_get(card, "adapted");
    if (json_is_integer(adapted))
        json_object_set_new(card, "adapted", json_boolean(json_integer_value(adapted) != 0));
    json_object_del(card, "epoch");
    json_object_del(card, "key_id");
    json_object_del(card, "history_id");
    return card;
}
