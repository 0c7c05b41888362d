/* The operations of cvm.journey: pure functions of what they are given. Loop thread. */
#include "decision.h"

int journey_build_one(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    json_t *journey = journey_build(customer, json_object_get(m->data, "customer_data"), cvm_now_ms(t));
    return journey ? cvm_reply(
                         t, m,
                         json_pack("{s:s, s:s, s:o}", "status", "success", "customer_id", customer, "journey", journey))
                   : CVM_ENOMEM;
}

int journey_analyse_one(cvm_turn *t, const cvm_msg *m)
{
    json_t *analysis = journey_analyse(json_object_get(m->data, "journey"));
    if (!analysis)
        return CVM_ENOMEM;
    json_object_set_new(analysis, "status", json_string("success"));
    return cvm_reply(t, m, analysis);
}

int journey_summarise_one(cvm_turn *t, const cvm_msg *m)
{
    int64_t events = cvm_json_int(m->data, "max_events", 10),
            characters = cvm_json_int(m->data, "max_characters", 1200);
    json_t *summary = journey_summarise(json_object_get(m->data, "journey"), (size_t)events, (size_t)characters);
    if (!summary)
        return CVM_ENOMEM;
    json_object_set_new(summary, "status", json_string("success"));
    return cvm_reply(t, m, summary);
}
