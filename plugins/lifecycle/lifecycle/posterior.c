/* What lifecycle.decision has learnt of effects, for the policy thompson: "bandit" what all share, "of/<persona>" a
 * persona's figures. Loop thread. */
#include "decide.h"

#include <stdio.h>

#define SCAN_MAX 1000

static double number(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

int posterior_read(cvm_turn *t, bool wanted, struct policy_settings *ret_policy, struct bandit **ret_bandit)
{
    const json_t *settings = cvm_settings(t), *stored = NULL;
    struct policy_settings policy = policy_settings_usual();
    struct bandit_prior prior = bandit_prior_usual();
    *ret_bandit = NULL;
    if (!policy_kind_of(cvm_json_str(settings, "policy", "source"), &policy.kind)) {
        cvm_log(t, CVM_LOG_WARNING, "lifecycle.policy: must be source, thompson or random; source is taken");
        policy.kind = POLICY_SOURCE;
    }
    policy.explore_rate = number(settings, "explore_rate", policy.explore_rate);
    *ret_policy = policy;
    if (policy.kind != POLICY_THOMPSON && !wanted)
        return CVM_OK;
    struct bandit *b = bandit_new(&prior);
    if (!b)
        return CVM_ENOMEM;
    if (cvm_state_get(t, "bandit", &stored) == CVM_OK && !bandit_read(b, stored))
        cvm_log(t, CVM_LOG_ERROR, "what was learnt cannot be read and is begun anew");
    *ret_bandit = b;
    return CVM_OK;
}

static void state_key(char key[CVM_STATE_KEY_MAX + 1], const char *persona)
{
    snprintf(key, CVM_STATE_KEY_MAX + 1, FIGURES_PREFIX "%.*s", CVM_STATE_KEY_MAX - 3, persona);
}

int posterior_persona(cvm_turn *t, struct bandit *bandit, const char *key, struct bandit_persona *ret_persona)
{
    char name[CVM_STATE_KEY_MAX + 1];
    const json_t *stored = NULL;
    state_key(name, key);
    int e = cvm_state_get(t, name, &stored);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    bandit_persona_read(bandit, stored, ret_persona);
    return CVM_OK;
}

static int state_of(const char *name)
{
    for (int s = LIFE_HEALTHY; s < LIFE_CHURNED; s++)
        if (strcmp(life_state_name((enum life_state)s), name) == 0)
            return s;
    return -1;
}

static int learn(cvm_turn *t, struct bandit *b, const json_t *outcome)
{
    char name[CVM_STATE_KEY_MAX + 1];
    struct bandit_persona known;
    const char *persona = cvm_json_str(outcome, "customer", "");
    int action = bandit_action(b, cvm_json_str(outcome, "action", "")),
        state = state_of(cvm_json_str(outcome, "state", ""));
    struct bandit_case c = {cvm_json_str(outcome, "segment", ""), (enum bandit_state)state,
                            cvm_json_bool(outcome, "yesterday", false), number(outcome, "expected", 0)};
    if (action < 0 || state < 0)
        return CVM_OK;
    CVM_TRY(posterior_persona(t, b, persona, &known));
    bandit_learn(b, &known, action, &c, number(outcome, "impact", 0));
    state_key(name, persona);
    return cvm_state_put(t, name, bandit_persona_json(b, &known));
}

int decide_on_learn(cvm_turn *t, const cvm_msg *m)
{
    struct policy_settings policy;
    struct bandit *b = NULL;
    const json_t *outcomes = json_object_get(m->data, "outcomes");
    CVM_TRY(posterior_read(t, true, &policy, &b)); /* outcomes are sent of choices by thompson only */
    int e = CVM_OK;
    if (b) {
        bandit_day(b, cvm_json_int(m->data, "day", 0));
        for (size_t i = 0; e == CVM_OK && i < json_array_size(outcomes); i++)
            e = learn(t, b, json_array_get(outcomes, i));
        if (e == CVM_OK)
            e = cvm_state_put(t, "bandit", bandit_json(b));
        bandit_free(b);
    }
    CVM_TRY(e);
    return cvm_reply(t, m, json_pack("{s:I}", "learnt", (json_int_t)(b ? json_array_size(outcomes) : 0)));
}

int decide_on_clear(cvm_turn *t, const cvm_msg *m)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, FIGURES_PREFIX, NULL, SCAN_MAX, &pairs));
    size_t n = json_array_size(pairs);
    int e = cvm_state_del(t, "bandit");
    for (size_t i = 0; e == CVM_OK && i < n; i++)
        e = cvm_state_del(t, json_string_value(json_array_get(json_array_get(pairs, i), 0)));
    json_decref(pairs);
    CVM_TRY(e);
    return cvm_reply(t, m, json_pack("{s:b}", "more", n == SCAN_MAX));
}
