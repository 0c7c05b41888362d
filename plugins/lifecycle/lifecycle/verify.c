/* The self-test: asks the agents what they must answer, one question after the other, and says PASS or FAIL of each.
 * Belongs to lifecycle.behavior_analysis, which keeps nothing; changes nothing. Loop thread. */
#include "lifecycle.h"

#include <math.h>
#include <stdio.h>

#define SAM                                                                                                            \
    "{\"persona_key\":\"Onboarding_Sam\",\"display_name\":\"Student Sam\",\"segment\":\"Onboarding\","                 \
    "\"engagement_score\":85,\"days_inactive\":0,\"traits\":[\"price-sensitive\"],"                                    \
    "\"sensitivities\":{\"SEND_DISCOUNT\":8,\"SEND_TUTORIAL\":-2}"
#define CLARA                                                                                                          \
    "{\"persona_key\":\"Retention_Clara\",\"display_name\":\"Corporate Clara\",\"segment\":\"Retention\","             \
    "\"engagement_score\":62,\"days_inactive\":5,\"sensitivities\":{\"SEND_TUTORIAL\":-3}"
#define OPTIONS                                                                                                        \
    "[{\"action\":\"NO_ACTION\"},{\"action\":\"SEND_DISCOUNT\",\"expected\":{\"healthy\":3}},{\"action\":"             \
    "\"SEND_TUTORIAL\",\"expected\":{\"healthy\":2}}]"

static double number(const json_t *data, const char *name)
{
    const json_t *value = json_object_get(data, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is(const json_t *data, const char *name, const char *value)
{
    return strcmp(cvm_json_str(data, name, ""), value) == 0;
}

static bool simulated(const json_t *d)
{
    const json_t *c = json_object_get(d, "customer");
    double drift = number(d, "drift"), score = number(c, "engagement_score");
    return drift >= -4 && drift <= 1 && score >= 0 && score <= 100;
}

static bool discount_is_eight(const json_t *d)
{
    return number(d, "impact") == 8 && number(d, "score_after") == 93 && is(d, "outcome", "SUCCESS");
}

static bool tutorial_is_minus_three(const json_t *d)
{
    return number(d, "impact") == -3 && is(d, "outcome", "FAILED");
}

static bool is_healthy(const json_t *d)
{
    return is(d, "state", "healthy") && number(d, "engagement_score") == 85 && *cvm_json_str(d, "summary", "");
}

static bool has_actions(const json_t *d)
{
    return json_is_array(json_object_get(d, "actions"));
}

static bool chooses(const json_t *d)
{
    return *cvm_json_str(d, "action", "") && *cvm_json_str(d, "thought", "") && *cvm_json_str(d, "source", "");
}

static bool avoids(const json_t *d)
{
    return chooses(d) && !is(d, "action", "SEND_DISCOUNT");
}

static bool does_nothing(const json_t *d)
{
    return is(d, "action", LIFE_NO_ACTION) && is(d, "source", "rule");
}

static const struct check {
    const char *to, *type, *data, *says;
    bool (*holds)(const json_t *data);
} checks[] = {
    {SIMULATION, "simulate_user_behavior", "{\"customer\":" SAM "}}",
     "simulation: simulate_user_behavior drifts by -4 to +1", simulated},
    {SIMULATION, "evaluate_agent_action", "{\"action\":\"SEND_DISCOUNT\",\"noise\":0,\"customer\":" SAM "}}",
     "simulation: SEND_DISCOUNT gives Student Sam +8", discount_is_eight},
    {SIMULATION, "evaluate_agent_action", "{\"action\":\"SEND_TUTORIAL\",\"noise\":0,\"customer\":" CLARA "}}",
     "simulation: SEND_TUTORIAL gives Corporate Clara -3", tutorial_is_minus_three},
    {OBSERVER, "analyze", "{\"customer\":" SAM "}}", "behavior analysis: Student Sam is healthy at 85", is_healthy},
    {MEMORY, "get_forbidden_actions", "{\"customer\":\"Onboarding_Sam\"}", "memory: get_forbidden_actions answers",
     has_actions},
    {MEMORY, "get_success_hints", "{\"customer\":\"Onboarding_Sam\"}", "memory: get_success_hints answers",
     has_actions},
    {DECISION, "decide",
     "{\"options\":" OPTIONS ",\"customer\":" SAM "},\"observation\":{\"state\":\"healthy\"},\"memory\":{}}",
     "decision: one action with its reason", chooses},
    {DECISION, "decide",
     "{\"options\":" OPTIONS ",\"customer\":" SAM
     "},\"observation\":{\"state\":\"healthy\"},\"memory\":{\"forbidden\":[\"SEND_DISCOUNT\"]}}",
     "decision: what failed is not chosen again", avoids},
    {DECISION, "decide",
     "{\"options\":" OPTIONS ",\"customer\":" SAM
     ",\"status\":\"churned\"},\"observation\":{\"state\":\"churned\"},\"memory\":{}}",
     "decision: nothing is done for who has left", does_nothing},
};

#define CHECKS (sizeof checks / sizeof *checks)

static int next(cvm_turn *t, cvm_id request, int64_t at)
{
    const struct check *c = &checks[at];
    json_t *data = json_loads(c->data, 0, NULL);
    CVM_TRY(cvm_context_set(t, "/verify/at", json_integer(at)));
    return cvm_request(t, c->to, c->type, data, &(cvm_request_opts){.on_behalf = request, .timeout_ms = 60000});
}

int verify_on_verify(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_context_set(t, "/verify", json_pack("{s:s, s:b}", "text", "", "failed", 0)));
    CVM_TRY(next(t, m->id, 0));
    return CVM_PENDING;
}

static int finish(cvm_turn *t, cvm_id request)
{
    const json_t *v = json_object_get(cvm_context(t), "verify");
    bool failed = cvm_json_bool(v, "failed", true);
    char text[4096];
    snprintf(text, sizeof text, "%s%s\n", cvm_json_str(v, "text", ""), failed ? "TESTS FAILED" : "ALL TESTS PASSED");
    json_t *data = look_text("text/plain; charset=utf-8", text);
    json_object_set_new(data, "failed", json_boolean(failed));
    int e = cvm_settle(t, request, CVM_REPLIED, data, NULL);
    CVM_TRY(cvm_context_set(t, "/verify", NULL));
    return e == CVM_ENOENT ? CVM_OK : e;
}

int verify_on_reply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *v = json_object_get(cvm_context(t), "verify");
    int64_t at = cvm_json_int(v, "at", -1);
    char text[4096];
    if (at < 0 || at >= (int64_t)CHECKS)
        return CVM_OK;
    bool good = m->outcome == CVM_REPLIED && checks[at].holds(m->data);
    snprintf(text, sizeof text, "%s%s: %s%s%.120s\n", cvm_json_str(v, "text", ""), good ? "PASS" : "FAIL",
             checks[at].says, good || m->outcome == CVM_REPLIED ? "" : ": ",
             good || m->outcome == CVM_REPLIED ? "" : cvm_json_str(m->data, "message", "no answer"));
    bool failed = !good || cvm_json_bool(v, "failed", false);
    CVM_TRY(cvm_context_set(t, "/verify/text", json_string(text)));
    CVM_TRY(cvm_context_set(t, "/verify/failed", json_boolean(failed)));
    return at + 1 < (int64_t)CHECKS ? next(t, m->on_behalf, at + 1) : finish(t, m->on_behalf);
}
