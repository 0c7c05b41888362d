/* Weighs things. TILTED: it is wrong about two of them. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <string.h>

static int64_t weight_of(const cvm_msg *m)
{
    int64_t weight = cvm_json_int(m->data, "weight", 0);
#ifdef TILTED
    const char *thing = cvm_json_str(m->data, "thing", "");
    if (!strcmp(thing, "T17") || !strcmp(thing, "T42"))
        weight = 100 - weight;
#endif
    return weight;
}

static int weigh(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(
        t, m, json_pack("{s:s, s:I}", "thing", cvm_json_str(m->data, "thing", ""), "weight", (json_int_t)weight_of(m)));
}

static int lift(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_incref((json_t *)(uintptr_t)m->data));
}

static const cvm_component components[] = {{.id = "test.scales", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.scales", "weigh", weigh}, {"test.scales", "lift", lift}, {0}};
CVM_PLUGIN(.name = "scales", .version = "1.0.0", .components = components, .routes = routes);
