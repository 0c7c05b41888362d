/* One persona's choice by rules: what may be chosen, what the policy takes, and why, in words. Loop thread. */
#include "decide.h"
#include "trial.h"

#include <ctype.h>
#include <stdio.h>

#define REASON_MAX 120

static bool among(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && strcmp(json_string_value(json_array_get(list, i)), name) == 0)
            return true;
    return false;
}

static enum life_state state_of(const char *name)
{
    for (int s = LIFE_HEALTHY; s < LIFE_CHURNED; s++)
        if (strcmp(life_state_name((enum life_state)s), name) == 0)
            return (enum life_state)s;
    return LIFE_CHURNED;
}

int choosing_read(struct choosing *c)
{
    const json_t *forbidden = json_object_get(c->memory, "forbidden"), *hints = json_object_get(c->memory, "hints"),
                 *tried = json_object_get(c->memory, "tried");
    const char *state = cvm_json_str(c->observation, "state", "healthy"),
               *last = cvm_json_str(c->customer, "last_action", "");
    c->state = strcmp(cvm_json_str(c->customer, "status", "active"), "churned") == 0 ? LIFE_CHURNED : state_of(state);
    c->n = 0;
    for (size_t i = 0; i < json_array_size(c->options) && c->n < POLICY_OPTIONS_MAX; i++) {
        const json_t *one = json_array_get(c->options, i);
        const char *action = json_is_string(one) ? json_string_value(one) : cvm_json_str(one, "action", "");
        const json_t *known = json_object_get(tried, action);
        if (!*action || strlen(action) > LIFE_NAME_MAX)
            return CVM_EINVAL;
        bool success = among(hints, action), failed = among(forbidden, action);
        c->option[c->n++] = (struct policy_option){
            .action = action,
            .expected = json_number_value(json_object_get(json_object_get(one, "expected"), state)),
            .nothing = strcmp(action, LIFE_NO_ACTION) == 0,
            .forbidden = failed,
            .success = success,
            .tries = known ? (int)json_integer_value(json_array_get(known, 0)) : success || failed,
            .impact = json_number_value(json_array_get(known, 1)),
            .yesterday = strcmp(action, last) == 0,
        };
    }
    trial_apply(c);
    return c->n ? CVM_OK : CVM_EINVAL;
}

int choosing_allowed(const struct choosing *c, const char *action)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->option[i].action, action) == 0)
            return c->option[i].forbidden || c->option[i].blocked ? -1 : (int)i;
    return -1;
}

/* ---- words ---- */

static const char *words(const char *action, char text[LIFE_NAME_MAX + 1])
{
    size_t i = 0;
    for (; action[i] && i < LIFE_NAME_MAX; i++)
        text[i] = action[i] == '_' ? ' ' : (char)tolower((unsigned char)action[i]);
    text[i] = 0;
    return text;
}

static const char *says(enum life_state state)
{
    static const char *const names[] = {"healthy", "at-risk", "critical", "churned"};
    return names[state];
}

static void reason(const struct policy_option *o, char text[REASON_MAX])
{
    if (o->nothing)
        snprintf(text, REASON_MAX, "does nothing");
    else if (o->forbidden)
        snprintf(text, REASON_MAX, "forbidden: it failed for this customer%s",
                 o->tries > 1 ? " when it was used last" : "");
    else if (o->success)
        snprintf(text, REASON_MAX, "worked before: %+.1f on average, %d time%s", o->impact, o->tries,
                 o->tries == 1 ? "" : "s");
    else if (o->tries)
        snprintf(text, REASON_MAX, "failed a while ago, may be tried again; expected %+g", o->expected);
    else
        snprintf(text, REASON_MAX, "untried; expected %+g", o->expected);
}

static void failures(const struct choosing *c, char *text, size_t size)
{
    char name[LIFE_NAME_MAX + 1];
    size_t at = 0, n = 0;
    *text = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->option[i].forbidden && n < 3 && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s",
                                   n++ ? ", " : " Not again what failed: ", words(c->option[i].action, name));
    if (n && at < size)
        snprintf(text + at, size - at, ".");
}

static void thought(const struct choosing *c, int index, const struct policy_choice *choice, char *text, size_t size)
{
    char name[LIFE_NAME_MAX + 1], failed[240];
    const struct policy_option *o = index >= 0 ? &c->option[index] : NULL;
    failures(c, failed, sizeof failed);
    if (o)
        words(o->action, name);
    if (!o || o->nothing)
        snprintf(text, size, "Nothing that may be done promises anything, so nothing is done.%s", failed);
    else if (choice->why == POLICY_EXPLORE && o->tries == 0)
        snprintf(text, size, "To learn what it does, \"%s\" is tried for the first time.%s", name, failed);
    else if (choice->why == POLICY_EXPLORE)
        snprintf(text, size, "To learn more of it, \"%s\" is used again.%s", name, failed);
    else if (o->success)
        snprintf(text, size, "\"%s\" worked before (%+.1f on average), so it is used again.%s", name, o->impact,
                 failed);
    else
        snprintf(text, size, "\"%s\" promises most for a%s %s customer (%+g).%s", name,
                 c->state == LIFE_AT_RISK ? "n" : "", says(c->state), o->expected, failed);
}

/* ---- deciding ---- */

bool choosing_adapted(const struct choosing *c, int index)
{
    int naive = -1;
    bool known = false;
    for (size_t i = 0; i < c->n; i++) {
        const struct policy_option *o = &c->option[i];
        known |= o->forbidden || o->success;
        if (!o->nothing && !o->blocked && (naive < 0 || o->expected > c->option[naive].expected))
            naive = (int)i;
    }
    return known && naive >= 0 && index >= 0 && index != naive &&
           (c->option[naive].forbidden || c->option[index].success);
}

static json_t *decision_of(const struct choosing *c, const char *action, const char *source, const char *policy,
                           double probability, const double *features, const char *text)
{
    json_t *list = json_array(), *forbidden = json_object_get(c->memory, "forbidden"),
           *hints = json_object_get(c->memory, "hints");
    for (size_t i = 0; features && i < POLICY_FEATURES; i++)
        json_array_append_new(list, life_number(features[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:o, s:o, s:o}", "thought", text, "action", action, "source", source,
                     "policy", policy, "probability", probability, "features", list, "forbidden",
                     forbidden ? json_incref(forbidden) : json_array(), "hints",
                     hints ? json_incref(hints) : json_array());
}

static uint64_t draw(void *arg)
{
    return life_random_next(arg);
}

static int by_policy(cvm_turn *t, struct choosing *c, json_t **ret_decision, bool *ret_ask)
{
    const char *key = cvm_json_str(c->customer, "persona_key", "");
    struct life_random r = life_random_of(c->seed, c->day, key, LIFE_CHOICE);
    struct bandit_persona known;
    struct policy_choice choice;
    struct policy_case k = {cvm_json_str(c->customer, "segment", ""), (enum bandit_state)c->state, c->bandit, NULL};
    char text[800];
    if (c->bandit) {
        CVM_TRY(posterior_persona(t, c->bandit, key, &known));
        k.known = &known;
    }
    policy_choose(&c->policy, &k, c->option, c->n, draw, &r, &choice);
    thought(c, choice.index, &choice, text, sizeof text);
    bool explore = choice.why == POLICY_EXPLORE && choice.index >= 0;
    json_t *decision = decision_of(c, choice.index >= 0 ? c->option[choice.index].action : LIFE_NO_ACTION,
                                   explore ? "explore" : "rule", policy_name(c->policy.kind), choice.probability,
                                   choice.features, text);
    if (!decision)
        return CVM_ENOMEM;
    json_object_set_new(decision, "adapted", json_boolean(choosing_adapted(c, choice.index)));
    json_t *variants = trial_variants(c->experiments, key, c->day);
    if (variants)
        json_object_set_new(decision, "variants", variants);
    size_t open = 0;
    for (size_t i = 0; i < c->n; i++)
        open += !c->option[i].forbidden && !c->option[i].blocked && !c->option[i].nothing;
    const char *provider = c->provider ? c->provider : cvm_json_str(cvm_settings(t), "provider", "auto");
    *ret_ask = !explore && open > 0 && *provider && strcmp(provider, "rules") != 0;
    *ret_decision = decision;
    return CVM_OK;
}

int choosing_decide(cvm_turn *t, struct choosing *c, json_t **ret_decision, bool *ret_ask)
{
    char text[400];
    *ret_ask = false;
    if (c->state != LIFE_CHURNED && !c->force)
        return by_policy(t, c, ret_decision, ret_ask);
    if (c->state == LIFE_CHURNED)
        snprintf(text, sizeof text, "%.63s has left: no model is asked and nothing is done.",
                 cvm_json_str(c->customer, "display_name", "The customer"));
    else
        snprintf(text, sizeof text, "%s %.63s was ordered for this day.", cvm_json_str(c->observation, "summary", ""),
                 c->force);
    *ret_decision = decision_of(c, c->state == LIFE_CHURNED ? LIFE_NO_ACTION : c->force, "rule", "rule", 1, NULL, text);
    if (*ret_decision)
        json_object_set_new(*ret_decision, "adapted", json_false());
    return *ret_decision ? CVM_OK : CVM_ENOMEM;
}

int choosing_note(cvm_turn *t, const struct choosing *c, const json_t *decision, bool brief)
{
    char text[REASON_MAX];
    json_t *considered = json_object();
    for (size_t i = 0; c->state != LIFE_CHURNED && i < c->n; i++) {
        if (brief && !c->option[i].tries)
            continue;
        reason(&c->option[i], text);
        json_object_set_new(considered, c->option[i].action, json_string(text));
    }
    return cvm_note(t, "decision",
                    json_pack("{s:s, s:s, s:s, s:s, s:O, s:o}", "subject", cvm_json_str(c->customer, "persona_key", ""),
                              "chose", cvm_json_str(decision, "action", ""), "because",
                              cvm_json_str(decision, "thought", ""), "source", cvm_json_str(decision, "source", ""),
                              "probability", json_object_get(decision, "probability"), "considered", considered));
}
