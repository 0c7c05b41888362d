/* Does what a plugin must not do, as it is told: faults, floods, reaches for what is not its own, answers garbage. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>
#include <stdlib.h>

#ifndef BUILD
#define BUILD 1
#endif
#define ME "sim.hostile"

static int flood(cvm_turn *t, const cvm_msg *m)
{
    int64_t depth = cvm_json_int(m->data, "depth", 0), n = cvm_json_int(m->data, "n", 1);
    char conversation[64];
    for (int64_t i = 0; i < n && depth > 0; i++) {
        cvm_out out = {.size = sizeof out, .kind = i % 2 ? CVM_OUT_MESSAGE : CVM_OUT_REQUEST, .to = ME, .type = "act"};
        snprintf(conversation, sizeof conversation, "flood-%016llx-%lld", (unsigned long long)m->id.lo, (long long)i);
        out.conversation = i % 3 ? conversation : NULL;
        out.priority = (int8_t)(i % 3 ? -1 : CVM_CRITICAL);
        out.data =
            json_pack("{s:s, s:I, s:I}", "what", "flood", "depth", (json_int_t)depth - 1, "n", (json_int_t)n / 2);
        if (t->host->emit(t, &out, NULL) < 0)
            break;
    }
    return CVM_OK;
}

static void bad_keys(cvm_turn *t)
{
    char key[400];
    memset(key, 'k', sizeof key);
    key[300] = 0;
    int sum = cvm_state_put(t, key, json_true());
    sum += cvm_state_put(t, "", json_true());
    sum += cvm_state_put(t, "caf\xe9", json_true());
    char *large = malloc(70000);
    memset(large, 'v', 69999);
    large[69999] = 0;
    sum += cvm_state_put(t, "large", json_string(large));
    free(large);
    sum += cvm_context_set(t, "no/slash", json_true());
    (void)sum;
}

static int garbage(cvm_turn *t, const cvm_msg *m)
{
    static const int codes[] = {-99, 77, CVM_EIO, CVM_EACCES, CVM_EREFUSED, CVM_PENDING};
    int sum = cvm_settle(t, m->id, 99, NULL, NULL);
    sum += cvm_settle(t, m->id, CVM_REPLIED, json_array(), NULL);
    sum += cvm_settle(t, (cvm_id){m->id.hi, m->id.lo ^ 1}, CVM_REPLIED, NULL, NULL);
    (void)sum;
    return codes[cvm_json_int(m->data, "n", 0) % 6];
}

/* Everything here is refused; what is not would be seen. */
static int reach(cvm_turn *t, const cvm_msg *m)
{
    const char *secret = NULL;
    json_t *got = json_object();
    if (cvm_secret(t, "SIM_KEY", &secret) == CVM_OK)
        json_object_set_new(got, "secret", json_string(secret));
    int sum = cvm_request(t, "sim.ledger", "transfer", json_pack("{s:s, s:i}", "ref", "r999999999", "amount", 1), NULL);
    sum += cvm_request(t, "SimStream", "work", json_pack("{s:s}", "customer", "c999"), NULL);
    sum += cvm_publish(t, "sim.done", json_pack("{s:s, s:i}", "customer", "c999", "n", 1));
    sum += cvm_row_put(t, "sim_works", json_pack("{s:s, s:i}", "customer", "c999", "n", 1));
    sum += cvm_http_call(t, &(cvm_call){.size = sizeof(cvm_call), .name = "charge", .key = "stolen"}, NULL);
    sum += cvm_http_call(t,
                         &(cvm_call){.size = sizeof(cvm_call),
                                     .name = "beacon",
                                     .headers = json_pack("{s:s}", "X-Stolen", "${SIM_KEY}")},
                         NULL);
    (void)sum;
    (void)m;
    int e = cvm_settle(t, m->id, CVM_REPLIED, got, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int act(cvm_turn *t, const cvm_msg *m)
{
    const char *what = cvm_json_str(m->data, "what", "");
    if (strcmp(what, "fault") == 0 || (BUILD == 2 && m->id.lo % 3 == 0))
        return CVM_EFAULT;
    if (strcmp(what, "flood") == 0)
        return flood(t, m);
    if (strcmp(what, "keys") == 0)
        bad_keys(t);
    if (strcmp(what, "garbage") == 0)
        return garbage(t, m);
    if (strcmp(what, "reach") == 0)
        return reach(t, m);
    if (strcmp(what, "hold") == 0)
        return CVM_PENDING;
    if (strcmp(what, "silent") == 0)
        return CVM_OK;
    if (strcmp(what, "spin") == 0) {
        for (int i = 0; i < 50; i++)
            CVM_TRY(cvm_timer(t, "spin", i % 3, NULL, m->id, NULL));
        return CVM_PENDING;
    }
    int e = cvm_settle(t, m->id, CVM_REPLIED, NULL, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int spin(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, NULL, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int replied(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    return m->id.lo % 5 ? CVM_OK : CVM_EFAULT;
}

static int started(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    return BUILD == 2 && cvm_random(t) % 3 == 0 ? CVM_EFAULT : CVM_OK;
}

static const cvm_component components[] = {{.id = ME, .state_version = 1}, {0}};
static const cvm_route routes[] = {{ME, "act", act},   {ME, "act.reply", replied}, {ME, "beacon.reply", replied},
                                   {ME, "spin", spin}, {ME, "start", started},     {0}};
#if BUILD == 2
CVM_PLUGIN(.name = "hostile", .version = "2.0.0", .components = components, .routes = routes);
#else
CVM_PLUGIN(.name = "hostile", .version = "1.0.0", .components = components, .routes = routes);
#endif
