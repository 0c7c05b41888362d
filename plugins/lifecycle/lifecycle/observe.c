/* lifecycle.behavior_analysis: what an observer sees of a customer, or of many. Deterministic, keeps nothing. Loop
 * thread. */
#include "lifecycle.h"

static json_t *seen(const struct life_persona *p)
{
    struct life_observation o;
    life_observe(p, &o);
    return json_pack("{s:s, s:o, s:I, s:s, s:O*, s:s}", "state", life_state_name(o.state), "engagement_score",
                     life_number(p->score), "days_inactive", (json_int_t)p->days_inactive, "trend",
                     life_trend_name(o.trend), "traits", p->traits, "summary", o.summary);
}

int observe_on_analyze(cvm_turn *t, const cvm_msg *m)
{
    const json_t *one = json_object_get(m->data, "customer"), *many = json_object_get(m->data, "customers");
    struct life_persona p;
    char error[160];
    if (one) {
        if (life_persona_read(one, &p, error, sizeof error) < 0)
            return cvm_refuse(t, "INVALID", "customer", error);
        return cvm_reply(t, m, seen(&p));
    }
    json_t *observations = json_array();
    for (size_t i = 0; i < json_array_size(many); i++) {
        if (life_persona_read(json_array_get(many, i), &p, error, sizeof error) < 0) {
            json_decref(observations);
            return cvm_refuse(t, "INVALID", "customers", error);
        }
        json_array_append_new(observations, seen(&p));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "observations", observations));
}
