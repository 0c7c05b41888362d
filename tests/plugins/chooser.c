/* Chooses by what the scales say: what is heavy is lifted first. Its decisions are about the thing it was given. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

#define HEAVY 50

static int choose(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, "test.scales", "weigh", json_incref((json_t *)(uintptr_t)m->data),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static int decide(cvm_turn *t, const cvm_msg *m, const char *chose)
{
    const char *thing = cvm_json_str(m->data, "thing", "");
    char key[64], because[64];
    int64_t n = 0;
    snprintf(key, sizeof key, "n/%s", chose);
    int e = cvm_state_int(t, key, &n);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    CVM_TRY(cvm_state_put_int(t, key, n + 1));
    snprintf(because, sizeof because, "it weighs %lld", (long long)cvm_json_int(m->data, "weight", 0));
    CVM_TRY(
        cvm_note(t, "decision", json_pack("{s:s, s:s, s:s}", "subject", thing, "chose", chose, "because", because)));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:s, s:s}", "thing", thing, "chose", chose), NULL);
}

static int weighed(cvm_turn *t, const cvm_msg *m)
{
    if (cvm_json_int(m->data, "weight", 0) < HEAVY)
        return decide(t, m, "carry");
    return cvm_request(t, "test.scales", "lift", json_incref((json_t *)(uintptr_t)m->data),
                       &(cvm_request_opts){.on_behalf = m->on_behalf});
}

static int lifted(cvm_turn *t, const cvm_msg *m)
{
    return decide(t, m, "roll");
}

static const cvm_component components[] = {{.id = "test.chooser", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.chooser", "choose", choose},
                                   {"test.chooser", "weigh.reply", weighed},
                                   {"test.chooser", "lift.reply", lifted},
                                   {0}};
CVM_PLUGIN(.name = "chooser", .version = "1.0.0", .components = components, .routes = routes);
