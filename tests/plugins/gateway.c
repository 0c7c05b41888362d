/* A gateway for messages to customers, as tests want it: the last digits of a number say what becomes of it. ..0001 is
 * refused, ..0002 fails always, ..0003 fails twice, then works. Loop thread. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>

static const cvm_component components[] = {{.id = "channel.gateway", .state_version = 1}, {0}};

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static int deliver(cvm_turn *t, const cvm_msg *m)
{
    const char *to = cvm_json_str(m->data, "recipient", "");
    char key[80];
    int64_t tries = 0;
    snprintf(key, sizeof key, "tries/%.60s", to);
    CVM_TRY(cvm_state_int(t, key, &tries));
    CVM_TRY(cvm_state_put_int(t, key, tries + 1));
    bool fails = ends(to, "0002") || (ends(to, "0003") && tries < 2);
    if (ends(to, "0001") || fails)
        return cvm_settle(t, m->id, fails ? CVM_ERROR : CVM_REFUSED,
                          json_pack("{s:s, s:s}", "code", fails ? "NETWORK" : "BLOCKED", "message", "as it is told"),
                          NULL);
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "message_id", "GW-1", "status", "QUEUED"));
}

static const cvm_route routes[] = {{"channel.gateway", "deliver", deliver}, {0}};

CVM_PLUGIN(.name = "gateway", .version = "1.0.0", .components = components, .routes = routes);
