/* A treatment of another team, dropped in: a gift that suits everybody. FEWER: but not two customers any more. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <string.h>

static int describe(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m,
                     json_pack("{s:[{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:{s:i, s:f, s:i}, s:{s:s, s:f, s:f}}]}",
                               "treatments", "id", "gift", "display_name", "Gift", "description", "A gift", "channel",
                               "none", "enabled", 1, "check", 1, "service", 1, "constraints", "max_per_day", 1000,
                               "cost_per_contact_pounds", 1.0, "priority", 1, "value", "kind", "fixed", "propensity",
                               0.9, "amount_pounds", 500.0));
}

static int check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers"), *c;
    json_t *verdicts = json_array();
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)customers, i, c)
    {
        const json_t *facts = json_object_get(c, "facts");
        const char *id = cvm_json_str(facts, "customer_id", cvm_json_str(c, "customer_id", ""));
        bool good = true;
#ifdef FEWER
        good = strcmp(id, "U131") != 0 && strcmp(id, "U142") != 0;
#endif
        json_array_append_new(verdicts, json_pack("{s:s, s:b, s:s*}", "customer_id", id, "eligible", good, "rule",
                                                  good ? NULL : "had one lately"));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "verdicts", verdicts));
}

static int apply(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:s}", "status", "simulated"));
}

static const cvm_component components[] = {{.id = "cvm.treatment.gift", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"cvm.treatment.gift", "describe", describe},
                                   {"cvm.treatment.gift", "check", check},
                                   {"cvm.treatment.gift", "apply", apply},
                                   {0}};
CVM_PLUGIN(.name = "gift", .version = "1.0.0", .components = components, .routes = routes);
